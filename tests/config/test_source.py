"""Reading files: what is understood, what is refused, and where everything stood."""

import os
from pathlib import Path

import pytest

from swapd.config.problems import ConfigError
from swapd.config.source import LARGEST_FILE, parse, read
from swapd.config.values import BareKey, Tree


def tree(text: str) -> Tree:
    """Read a text that has no mistakes."""
    source = parse(text, file="f.yaml")
    assert source.problems == ()
    return source.tree


def refused(text: str) -> str:
    """Read a text that cannot be read, and return the one thing that is wrong with it."""
    with pytest.raises(ConfigError) as error:
        parse(text, file="f.yaml")
    (problem,) = error.value.problems
    return str(problem)


def mistakes(text: str) -> list[str]:
    """Read a text that can be read all the same."""
    return [str(problem) for problem in parse(text, file="f.yaml").problems]


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "~", "\ufeff"])
def test_an_empty_file_is_an_empty_configuration(tmp_path: Path, text: str) -> None:
    """C001: a fresh installation starts from nothing."""
    file = tmp_path / "f.yaml"
    file.write_text(text, encoding="utf-8")

    assert read(file).tree == {}


def test_only_the_first_document_counts() -> None:
    """C012: what comes after the line is somebody else's."""
    assert tree("startPort: 1000\n---\nstartPort: 2000\n--- @\n") == {"startPort": 1000}


def test_json_is_yaml() -> None:
    """Generated configurations are often JSON, with characters in two halves."""
    assert tree('{"a": {"b": [1, true, null, "\\ud83d\\ude00"]}}') == {
        "a": {"b": [1, True, None, "\N{GRINNING FACE}"]}
    }


def test_quotes_and_tags_make_text() -> None:
    """Only what stands bare can be something other than text."""
    assert tree("a: '1'\nb: !!str 1\nc: \"true\"\nd: |\n  5\n") == {
        "a": "1",
        "b": "1",
        "c": "true",
        "d": "5\n",
    }


def test_keys_are_text_and_the_others_are_known() -> None:
    """C050: "1" is a model's id; C049: 1 is not, and must not make all the models vanish."""
    keys = tree('{1: a, "2": b, yes: c, true: d, ~: e, 3.5: f}')

    assert list(keys) == ["1", "2", "yes", "true", "~", "3.5"]
    assert [isinstance(key, BareKey) for key in keys] == [True, False, False, True, True, True]


def test_anchors_aliases_and_merges_are_written_out() -> None:
    """C175: one anchored block serves several models; own keys win, then the earlier block."""
    text = """
        x-a: &a {ttl: 1, env: [A=1]}
        x-b: &b {ttl: 2, name: b, nested: {x: 1}}
        one: {<<: *a, env: [B=2]}
        two: {<<: [*a, *b], nested: {y: 2}}
        three: *a
        four: {"<<": text}
        five: {<<: {ttl: 5}, <: 6}
    """
    found = tree(text)

    assert found["one"] == {"env": ["B=2"], "ttl": 1}
    assert found["two"] == {"nested": {"y": 2}, "ttl": 1, "env": ["A=1"], "name": "b"}
    assert found["three"] == found["x-a"]
    assert found["three"] is not found["x-a"]
    assert found["four"] == {"<<": "text"}
    assert found["five"] == {"<": 6, "ttl": 5}


def test_every_duplicate_key_is_told_with_its_place() -> None:
    """C011: the later value would silently win, or silently lose."""
    text = "startPort: 1\nstartPort: 2\nmodels:\n  a: {ttl: 1, ttl: 2}\n  a: {}\n"

    assert mistakes(text) == [
        'f.yaml:2:1: key "startPort" already defined at line 1',
        'f.yaml:4:15: models.a: key "ttl" already defined at line 4',
        'f.yaml:5:3: models: key "a" already defined at line 4',
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: *x", 'f.yaml:1:4: a: unknown anchor "x"'),
        ("a: {<<: *x}", 'f.yaml:1:9: a.<<: unknown anchor "x"'),
        ("a: &a [*a]", 'f.yaml:1:8: a[0]: anchor "a" contains itself'),
        ("a: {<<: 5}", "f.yaml:1:5: a: << takes a mapping or a list of mappings"),
        ("a: {<<: {b: 1}, <<: {c: 2}}", 'f.yaml:1:17: a: key "<<" already defined at line 1'),
        ("? [1, 2]\n: x", "f.yaml:1:3: a key must be text, not a list or a mapping"),
        ("a: !secret x", "f.yaml:1:4: a: tag !secret is not supported"),
        ("a: !!set {x}", "f.yaml:1:4: a: tag tag:yaml.org,2002:set is not supported"),
        ("a: !!int x", 'f.yaml:1:4: a: "x" does not fit its tag !!int'),
        ('a: "\\ud83d"', "f.yaml:1:4: a: half a character (a lone \\uD800 to \\uDFFF)"),
    ],
)
def test_a_mistake_in_the_writing_has_its_place(text: str, told: str) -> None:
    """The rest of the file is read all the same, and its mistakes are told too."""
    assert mistakes(text) == [told]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a", "f.yaml:1:1: a configuration must be a mapping"),
        ("hello", "f.yaml:1:1: a configuration must be a mapping"),
        ("a: b: c", "f.yaml:1:5: not YAML: "),
        ("a: [1", "f.yaml:1:6: not YAML: while parsing a flow sequence"),
        ("a: 1\n\tb: 2", "f.yaml:2:1: not YAML: "),
        ("a:\n  b: @x", "f.yaml:2:6: not YAML: "),
        ("[a]\nb", "f.yaml:2:1: not YAML: expected '<document start>'"),
        ("a: \x07", "f.yaml:1:4: character U+0007 is not allowed in YAML"),
        ('a: "\\UFFFFFFFF"', "f.yaml:1:1: not YAML: an escape after this place"),
    ],
)
def test_what_is_not_a_configuration_is_one_problem(text: str, told: str) -> None:
    """C010: a syntax error is a line and a column, never a traceback. C376: nor is it nothing."""
    assert refused(text).startswith(told)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """The path is in front, as in every other problem."""
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: \xe9\n")
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (LARGEST_FILE + 1))

    for path, told in (
        (tmp_path / "none.yaml", ": cannot read this file: No such file or directory"),
        (tmp_path, ": cannot read this file: a directory; use --config-dir"),
        (latin, ":2:4: not UTF-8 text (byte 0xe9)"),
        (large, f": cannot read this file: larger than {LARGEST_FILE} bytes"),
        (Path("/dev/zero"), ": cannot read this file: not a regular file"),
    ):
        with pytest.raises(ConfigError) as error:
            read(path)
        assert str(error.value) == f"{path}{told}"


def test_places_are_those_of_the_file() -> None:
    """An operator jumps to the value, or to the key of what is larger than a value."""
    source = parse(
        "x-base: &base\n"
        "  ttl: abc\n"
        "  env: [A]\n"
        "models:\n"
        "  qwen:\n"
        "    <<: *base\n"
        "    cmd: x\n"
        "    aliases: [a,  b]\n"
        "    name:\n"
        "  llama: *base\n",
        file="f.yaml",
    )

    for path, place in (
        ((), "f.yaml:1:1"),
        (("models", "qwen"), "f.yaml:5:3"),
        (("models", "qwen", "cmd"), "f.yaml:7:10"),
        (("models", "qwen", "aliases"), "f.yaml:8:5"),
        (("models", "qwen", "aliases", 1), "f.yaml:8:19"),
        (("models", "qwen", "name"), "f.yaml:9:5"),
        (("models", "qwen", "ttl"), "f.yaml:5:3"),  # merged: blamed on the model
        (("models", "qwen", "env", 0), "f.yaml:5:3"),
        (("models", "qwen", "proxy"), "f.yaml:5:3"),  # absent
        (("models", "llama", "ttl"), "f.yaml:10:3"),  # inside an alias
        (("x-base", "ttl"), "f.yaml:2:8"),
    ):
        assert str(source.where(path)) == place
    assert str(source.where(("models", "qwen"), key="cmd")) == "f.yaml:7:5"
    assert str(source.where(("models", "qwen"), key="ttl")) == "f.yaml:5:3"


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """Opening one that nobody writes to waits for ever, and every reload behind it."""
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="not a regular file"):
        read(pipe)


def test_an_open_quote_is_told_where_it_begins() -> None:
    """The end of the file is where it shows, not where it is."""
    assert refused("a: 1\nb: 'x\nc: 2\n").startswith("f.yaml:2:4: not YAML: ")


def test_a_macro_without_quotes_in_a_list_is_explained() -> None:
    """To YAML its braces begin a mapping."""
    assert refused("a: [x, ${Y}]").endswith("a text with ${...} needs quotes")


def test_a_hash_in_a_text_is_no_comment() -> None:
    """The variable behind it is asked for all the same."""
    with pytest.raises(ConfigError, match="variable NOPE is not set"):
        parse("a: ['x#y', ${env.NOPE}]", file="f.yaml")
