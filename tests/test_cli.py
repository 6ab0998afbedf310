"""The command line: what is printed where, and the exit codes of sysexits.h.

0 fine or help · 64 wrong usage · 69 cannot listen · 70 a bug · 78 configuration or TLS files
"""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from swapd import __version__
from swapd.cli import main, state_folder
from swapd.terminal.commands import NAMES

ROOT = Path(__file__).parents[1]

PATIENCE = 20.0

GOOD = """\
models:
  a:
    cmd: server --port ${PORT}
"""

BROKEN = """\
models:
  a:
    cmd: server --port ${PORT}
    ttl: soon
    bogus: 1
"""


@pytest.fixture(autouse=True)
def _no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a daemon writes away from whoever runs the tests."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))


@pytest.fixture
def good(tmp_path: Path) -> str:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return str(path)


@pytest.fixture
def broken(tmp_path: Path) -> str:
    path = tmp_path / "broken.yaml"
    path.write_text(BROKEN)
    return str(path)


def exit_code(*argv: str) -> int:
    """Run the command line in this process."""
    with pytest.raises(SystemExit) as left:
        main(argv)
    assert isinstance(left.value.code, int)
    return left.value.code


# Fine


def test_version_is_one_line(capsys):
    """Scripts read it."""
    assert exit_code("version") == 0
    assert capsys.readouterr() == (f"swapd {__version__}\n", "")


@pytest.mark.parametrize("argv", [("--help",), ("serve", "--help"), ("check", "--help")])
def test_help_goes_to_stdout_and_is_no_failure(argv, capsys):
    """Who asked for it wants to page through it."""
    assert exit_code(*argv) == 0
    out, err = capsys.readouterr()
    assert out.startswith("usage: swapd")
    assert err == ""


def test_help_names_the_commands_that_ask_a_daemon(capsys):
    """They are programs of their own; but there is one list of what can be typed."""
    assert exit_code("--help") == 0
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert listed >= {"serve", "check", "schema", "version", *NAMES}


def test_a_good_configuration_is_said_to_be_fine(good, capsys):
    """With a number, so that an empty file does not pass for a good one."""
    assert exit_code("check", good) == 0
    assert capsys.readouterr() == (f"{good}: fine, 1 model\n", "")


def test_several_files_are_one_configuration(tmp_path, capsys):
    """As with serve: a file a model, and a directory of more."""
    inside = tmp_path / "conf.d"
    inside.mkdir()
    (inside / "b.yaml").write_text("models: {b: {cmd: 'x ${PORT}'}}")
    (tmp_path / "a.yaml").write_text("models: {a: {cmd: 'x ${PORT}'}}")
    assert exit_code("check", str(tmp_path / "a.yaml"), "--config-dir", str(inside)) == 0
    assert capsys.readouterr().out.endswith(f"/a.yaml, {inside / 'b.yaml'}: fine, 2 models\n")

    (inside / "c.yaml").write_text("models:\n  a: {cmd: y}")
    assert exit_code("check", str(tmp_path / "a.yaml"), "--config-dir", str(inside)) == 78
    err = capsys.readouterr().err
    assert err.startswith(f"{inside / 'c.yaml'}:2:3: models: ")
    assert f"already set at {tmp_path / 'a.yaml'}:1:10" in err


def test_what_a_configuration_means_can_be_shown(tmp_path, capsys, monkeypatch):
    """Macros expanded, ports assigned, defaults filled in, secrets masked; and it is YAML."""
    path = tmp_path / "f.yaml"
    path.write_text(
        "macros: {ctx: 4096}\napiKeys: ['${env.SWAPD_TEST_KEY}']\n"
        "models: {a: {cmd: 'x ${PORT} ${ctx} ${env.SWAPD_TEST_KEY}'}}"
    )
    monkeypatch.setenv("SWAPD_TEST_KEY", "sk-very-secret")
    assert exit_code("check", "--show", str(path)) == 0
    out = capsys.readouterr().out
    assert "sk-very-secret" not in out
    assert "cmd: x 5800 4096 ***\n" in out
    assert "unloadTimeout: 10\n" in out
    (tmp_path / "g.yaml").write_text(out)
    assert exit_code("check", str(tmp_path / "g.yaml")) == 0
    capsys.readouterr()

    assert exit_code("check", "--show", "--json", str(path)) == 0
    shown = json.loads(capsys.readouterr().out)["config"]
    assert shown["models"]["a"]["proxy"] == "http://localhost:5800"


def test_remarks_are_warnings_and_no_failure(tmp_path, capsys):
    """What works is fine; stderr says what somebody should look at."""
    path = tmp_path / "f.yaml"
    path.write_text(GOOD + "logLevel: trace\n")
    assert exit_code("check", str(path)) == 0
    out, err = capsys.readouterr()
    assert out == f"{path}: fine, 1 model\n"
    assert err.startswith(f'{path}:4:11: warning: logLevel: "trace" means info')


def test_the_schema_is_json(capsys):
    """For an editor; what is in it is for test_schema.py."""
    assert exit_code("schema") == 0
    schema = json.loads(capsys.readouterr().out)
    assert "healthCheckTimeout" in schema["properties"]


@pytest.mark.real
def test_a_reader_that_has_read_enough_is_no_failure():
    """`swapd schema | head -1` is an ordinary thing to type."""
    swapd = subprocess.Popen(
        [sys.executable, "-m", "swapd", "schema"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert swapd.stdout is not None
    swapd.stdout.close()
    _, err = swapd.communicate(timeout=PATIENCE)
    assert (swapd.returncode, err) == (0, b"")


# 78: the configuration


@pytest.mark.parametrize("argv", [("check",), ("serve", "--listen", "127.0.0.1:0", "--config")])
def test_a_broken_configuration_says_where_every_mistake_stands(argv, broken, capsys):
    """The operator fixes all of them before the next try, and reads no traceback."""
    assert exit_code(*argv, broken) == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.removeprefix(broken).split(": ")[:2] for line in err.splitlines()] == [
        [":4:10", "models.a.ttl"],
        [":5:5", "models.a"],
    ]


def test_editors_get_problems_as_json(broken, capsys):
    """Exit code and places as for people; what is fine says so in the same shape."""
    assert exit_code("check", "--json", broken) == 78
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is False
    assert said["problems"][0] == {
        "file": broken,
        "line": 4,
        "column": 10,
        "path": "models.a.ttl",
        "message": 'expected a whole number, got "soon"',
    }


def test_json_of_a_sound_file_has_its_warnings(tmp_path, capsys):
    """An editor shows both kinds, in two colours."""
    path = tmp_path / "f.yaml"
    path.write_text(GOOD + "logLevel: trace\n")
    assert exit_code("check", "--json", str(path)) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["problems"]) == (True, [])
    assert [warning["path"] for warning in said["warnings"]] == ["logLevel"]


@pytest.mark.real
def test_on_a_terminal_a_caret_shows_the_place(broken):
    """Eyes find it before they have counted columns."""
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        checked = subprocess.Popen(
            [sys.executable, "-m", "swapd", "check", broken],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=theirs,
        )
        os.close(theirs)
        assert checked.wait(PATIENCE) == 78
        shown = terminal.read(4096).decode().replace("\r\n", "\n")
    assert "        ttl: soon\n             ^\n" in shown


@pytest.mark.parametrize("text", ["models: [", "models:\n\ta: 1\n", "\x00", "- a\n"])
def test_what_is_no_yaml_or_no_mapping_is_a_line_too(text, tmp_path, capsys):
    """Half-written files are the commonest mistake."""
    path = tmp_path / "half.yaml"
    path.write_text(text)
    assert exit_code("check", str(path)) == 78
    err = capsys.readouterr().err
    assert err.startswith(f"{path}:")
    assert "Traceback" not in err


@pytest.mark.parametrize("argv", [("check",), ("serve", "--config")])
def test_a_file_that_cannot_be_read_is_named(argv, tmp_path, capsys):
    """Missing, or a folder: it is the configuration that is at fault."""
    for path in (tmp_path / "missing.yaml", tmp_path):
        assert exit_code(*argv, str(path)) == 78
        assert str(path) in capsys.readouterr().err


def test_tls_files_that_cannot_be_used_are_said_to_be(good, tmp_path, capsys):
    """Missing, no certificate, or a folder: one line, before anything listens."""
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    for cert in (tmp_path / "missing.pem", junk, tmp_path):
        files = ("--tls-cert-file", str(cert), "--tls-key-file", str(junk))
        assert exit_code("serve", "--config", good, "--listen", "127.0.0.1:0", *files) == 78
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith("swapd: cannot use the TLS files: ")


@pytest.mark.parametrize("use", ["serial", "fifo"])
def test_either_scheduler_is_served_with(use, tmp_path, capsys):
    """What `check` finds fine must not fail when it is served: the next complaint is TLS's."""
    path = tmp_path / "f.yaml"
    path.write_text(GOOD + f"routing: {{scheduler: {{use: {use}}}}}\n")
    assert exit_code("check", str(path)) == 0
    assert capsys.readouterr() == (f"{path}: fine, 1 model\n", "")

    files = ("--tls-cert-file", str(tmp_path / "no"), "--tls-key-file", str(tmp_path / "no"))
    assert exit_code("serve", "--config", str(path), "--listen", "127.0.0.1:0", *files) == 78
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("swapd: cannot use the TLS files: ")


# Where state is kept


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"STATE_DIRECTORY": "/s", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/s"),
        ({"STATE_DIRECTORY": "/s/a:/s/b"}, "/s/a"),
        ({"STATE_DIRECTORY": "", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/swapd"),
        ({"XDG_STATE_HOME": "", "HOME": "/h"}, "/h/.local/state/swapd"),
        ({"XDG_STATE_HOME": "x", "HOME": "/h"}, "/h/.local/state/swapd"),
        ({"HOME": "/h"}, "/h/.local/state/swapd"),
        ({"HOME": "h"}, None),
        ({"HOME": ""}, None),
        ({}, None),
    ],
)
def test_state_is_kept_where_the_environment_has_room_for_it(environment, folder):
    """A service manager's folder, then the user's; never the folder that it was started in."""
    assert state_folder(environment) == (None if folder is None else Path(folder))


# 64: wrong usage


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ((), "required"),
        (("dance",), "dance"),
        (("serve",), "--config"),
        (("check",), "FILE or --config-dir"),
        (("schema", "x"), "x"),
        (("serve", "--config", "x", "--bogus"), "--bogus"),
        (("serve", "--config", "x", "--listen", "8080"), "expected HOST:PORT"),
        (("serve", "--config", "x", "--listen", "unix:"), "unix: needs a path"),
        (("serve", "--config", "x", "--max-body", "0"), "whole number above 0"),
        (("serve", "--config", "x", "--max-body", "1k"), "whole number above 0"),
        (("serve", "--config", "x", "--log-format", "xml"), "xml"),
        (("status", "x"), "x"),
        (("load",), "MODEL"),
        (("serve", "--config", "x", "--tls-cert-file", "c"), "go together"),
        (("serve", "--config", "x", "--tls-key-file", "k"), "go together"),
    ],
)
def test_wrong_usage_is_64_and_says_what_is_wrong(argv, says, capsys):
    """Two lines on stderr: how it is used, and what was wrong; files are not even looked at."""
    assert exit_code(*argv) == 64
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: swapd")
    assert says in err.splitlines()[-1]


# In a process of its own


@pytest.mark.real
@pytest.mark.parametrize("flags", [("--show",), ("--json", "--show"), ()])
def test_a_terminal_without_its_letters_gets_them_spelled(flags, tmp_path):
    """A name in another script is no internal error."""
    path = tmp_path / "f.yaml"
    path.write_text("models: {模型: {cmd: 'x ${PORT}', name: é}}", encoding="utf-8")
    checked = subprocess.run(
        [sys.executable, "-m", "swapd", "check", *flags, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, b"")


@pytest.mark.real
def test_a_store_that_is_no_database_is_78_and_left_alone(tmp_path):
    """The record of requests is worth a word before anything is served without it."""
    store, config = tmp_path / "notes.txt", tmp_path / "swapd.yaml"
    store.write_text("no database, but long enough to be looked at as one " * 9)
    config.write_text(f"store: {{path: '{store}'}}\nmodels: {{a: {{cmd: 'true ${{PORT}}'}}}}\n")
    ended = run("serve", "--config", str(config), "--listen", "127.0.0.1:0")
    assert (ended.returncode, ended.stdout) == (78, "")
    assert ended.stderr.startswith("swapd: cannot ")
    assert "store.path" in ended.stderr
    assert store.read_text().startswith("no database")


@pytest.mark.real
def test_an_address_in_use_is_69_although_the_configuration_is_fine(good):
    """A service manager may try again; with 78 it should not."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run("serve", "--config", good, "--listen", where)
    assert (ended.returncode, ended.stdout) == (69, "")
    assert ended.stderr == f"swapd: cannot listen on {where}: Address already in use\n"


@pytest.mark.real
def test_a_broken_configuration_starts_nothing(broken):
    """The same code and lines in reality, with the address never announced."""
    ended = run("serve", "--config", broken, "--listen", "127.0.0.1:0")
    assert (ended.returncode, ended.stdout) == (78, "")
    assert [line.partition(": ")[0] for line in ended.stderr.splitlines()] == [
        f"{broken}:4:10",
        f"{broken}:5:5",
    ]


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as an operator does, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "swapd", *argv],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.real
def test_ctrl_c_before_anything_runs_says_nothing():
    """Python would print the traceback of half an import."""
    program = "import signal, swapd.__main__; signal.raise_signal(signal.SIGINT)"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, b"")
