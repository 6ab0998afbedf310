"""Credentials that a service manager keeps in files, and configurations that ask for them."""

import os
from pathlib import Path

import pytest

from swapd.config.credentials import DIRECTORY, LARGEST_CREDENTIAL, Credentials, NoCredential
from swapd.config.environment import fill_in
from swapd.config.load import Loaded, load
from swapd.config.problems import ConfigError
from swapd.config.show import as_tree

SECRET = "sk-very-secret-1234"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Make a directory of credentials, as a service manager does."""
    directory = tmp_path / "credentials"
    directory.mkdir()
    (directory / "api.key-1").write_text(f"{SECRET}\n")
    return directory


def credentials(kept: Path) -> Credentials:
    """Find credentials in there."""
    return Credentials({DIRECTORY: str(kept)})


def loaded(tmp_path: Path, text: str, kept: Path | None, **environ: str) -> Loaded:
    """Load a text from the file f.yaml."""
    file = tmp_path / "f.yaml"
    file.write_text(text)
    return load([file], {**environ, **({DIRECTORY: str(kept)} if kept else {})})


def told(tmp_path: Path, text: str, kept: Path | None, **environ: str) -> list[str]:
    """Load a text that has mistakes, and list them without the folder."""
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, text, kept, **environ)
    return str(error.value).replace(f"{tmp_path}/", "").splitlines()


def test_a_credential_is_read_without_its_last_newline(kept):
    """Editors and `echo` put one there, and no key ends in it."""
    assert credentials(kept).find("api.key-1") == SECRET


def test_only_one_newline_goes(kept):
    """What is left is a value of several lines, which is refused with its name."""
    (kept / "two").write_text("a\n\n")
    (flaw,) = fill_in("${credential.two}", {}, credentials(kept)).flaws
    assert flaw.message == "credential two contains newlines or a NUL: no YAML takes it"


def test_a_credential_is_read_once(kept):
    """A file that changes in between must not make two keys of one."""
    found = credentials(kept)
    found.find("api.key-1")
    (kept / "api.key-1").write_text("other")
    assert found.find("api.key-1") == SECRET
    assert found.read == {SECRET}


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../shadow", "/etc/shadow", "a b", "ä"])
def test_a_name_leads_nowhere_else(kept, name):
    """A configuration chooses the name; it must not choose the directory."""
    with pytest.raises(NoCredential, match="cannot be called"):
        credentials(kept).find(name)


def test_a_pipe_is_not_waited_for(kept):
    """A reload that waits for a writer would keep all later ones from their turn."""
    os.mkfifo(kept / "pipe")
    with pytest.raises(NoCredential, match="cannot read credential pipe: not a regular file"):
        credentials(kept).find("pipe")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff\xfe", "not UTF-8 text"),
        (b"x" * (LARGEST_CREDENTIAL + 1), f"larger than {LARGEST_CREDENTIAL} bytes"),
    ],
    ids=["binary", "large"],
)
def test_what_cannot_be_a_key_is_refused(kept, content, why):
    """Certificates in DER and whole disks are no text for a configuration."""
    (kept / "odd").write_bytes(content)
    with pytest.raises(NoCredential, match=f"cannot read credential odd: {why}"):
        credentials(kept).find("odd")


def test_a_directory_is_no_credential(kept):
    """Told as a sentence, not as a traceback."""
    (kept / "folder").mkdir()
    with pytest.raises(NoCredential, match="cannot read credential folder"):
        credentials(kept).find("folder")


def test_nothing_is_read_that_nobody_asks_for(kept):
    """A credential of another program's, in the same unit, stays where it is."""
    found = credentials(kept)
    fill_in("a: ${env.HOME}", {"HOME": "/"}, found)
    assert found.read == frozenset()


# In a configuration


def test_a_key_comes_from_a_credential(tmp_path, kept):
    """What this is for: no key in a file that everybody may read, none in the environment."""
    text = 'apiKeys: ["${credential.api.key-1}"]'
    assert loaded(tmp_path, text, kept).settings.api_keys == (SECRET,)


def test_it_is_escaped_as_a_variable_is(kept):
    """In YAML's double quotes a password comes out as it was."""
    (kept / "pass").write_text('a\\b"c')
    assert fill_in('"${credential.pass}"', {}, credentials(kept)).text == '"a\\\\b\\"c"'


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "credential pass is empty"),
        ("\n", "credential pass is empty"),
        *(
            (value, "credential pass has to stand in double quotes")
            for value in (
                "#secret",
                "&secret",
                "~",
                "null",
                "abc #def",
                "a: b",
                "[x]",
                "*x",
                "a, b",
            )
        ),
    ],
)
def test_one_that_yaml_would_read_as_something_else_is_a_mistake(kept, value, why):
    """A key that vanishes takes its door with it: everybody would be let in, and nobody told."""
    (kept / "pass").write_text(value)
    (flaw,) = fill_in("- ${credential.pass}", {}, credentials(kept)).flaws
    assert flaw.message == why


@pytest.mark.parametrize("value", ["sk-1_2.3", "sha256:0a", "~", "#x"])
def test_in_quotes_any_value_is_the_text_that_it_is(kept, value):
    """Quotes are how YAML is told so."""
    (kept / "pass").write_text(value)
    assert fill_in('- "${credential.pass}"', {}, credentials(kept)).text == f'- "{value}"'


def test_a_variable_may_speak_of_a_credential(kept):
    """As it may speak of another variable, and once."""
    environ = {"HEADER": "Bearer ${credential.api.key-1}"}
    assert fill_in("${env.HEADER}", environ, credentials(kept)).text == f"Bearer {SECRET}"


def test_a_credential_speaks_of_nothing(kept):
    """It is somebody else's text; a secret with a dollar in it must not read our environment."""
    (kept / "sly").write_text("${env.HOME}")
    (flaw,) = fill_in("${credential.sly}", {"HOME": "/"}, credentials(kept)).flaws
    assert flaw.message == "credential sly speaks of something else to fill in"


@pytest.mark.parametrize(
    ("reference", "there", "why"),
    [
        (
            "${credential.gone}",
            True,
            "credential gone is not there: LoadCredential=gone:/path/of/its/file in the unit "
            "puts it there",
        ),
        (
            "${credential.gone}",
            False,
            "credential gone is not there: $CREDENTIALS_DIRECTORY is not set; "
            "LoadCredential=gone:/path/of/its/file in the unit puts it there",
        ),
        (
            "${credential.a/b}",
            True,
            "a credential cannot be called 'a/b': letters, digits, '.', '_' and '-' only",
        ),
    ],
)
def test_a_missing_credential_is_named_with_its_place(tmp_path, kept, reference, there, why):
    """Whoever forgot the line in the unit is told which line, and who wants it."""
    text = f'logLevel: info\napiKeys: ["{reference}"]'
    (line,) = told(tmp_path, text, kept if there else None)
    assert line == f"f.yaml:2:11: apiKeys[0]: {why}"


def test_one_in_a_comment_matters_to_nobody(tmp_path, kept):
    """An example that explains itself is no mistake."""
    found = loaded(tmp_path, "# ${credential.gone}\nglobalTTL: 7", kept)
    assert found.written.global_ttl == 7


def test_it_is_a_secret_whatever_it_is_called(tmp_path, kept):
    """Its name tells nothing, and it may have got anywhere; nothing shows it."""
    (kept / "place").write_text("hidden-place")
    text = (
        "models:\n  a:\n    cmd: serve --at ${credential.place} --port 1\n"
        '    description: "it is ${credential.place}"\n    proxy: http://127.0.0.1:1\n'
    )
    found = loaded(tmp_path, text, kept)
    assert found.settings.models[next(iter(found.settings.models))].argv[2] == "hidden-place"
    assert found.secrets == {"hidden-place"}
    assert "hidden-place" not in str(as_tree(found.written, found.secrets))


def test_a_mistake_does_not_show_it(tmp_path, kept):
    """Mistakes are logged, and mailed to colleagues."""
    (kept / "level").write_text("hidden-level")
    (line,) = told(tmp_path, "globalTTL: ${credential.level}", kept)
    assert "hidden-level" not in line
    assert "***" in line


def test_reading_anew_reads_it_anew(tmp_path, kept):
    """Each reading of a configuration has its own look, so that a reload takes up a new key."""
    text = 'apiKeys: ["${credential.api.key-1}"]'
    loaded(tmp_path, text, kept)
    (kept / "api.key-1").write_text("sk-another")
    assert loaded(tmp_path, text, kept).settings.api_keys == ("sk-another",)
