"""The commands as an operator types them: exit codes, and a daemon that is asked for real.

0 done · 1 refused · 3 no daemon there · 4 cannot tell · 64 wrong usage · 130 Ctrl-C
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio

from swapd.terminal.client import Client
from swapd.terminal.commands import NAMES, _leaving, main
from tests.daemons import Daemon, make_certificate, pretend, serving
from tests.terminal.conftest import saying

ROOT = Path(__file__).parents[2]

PATIENCE = 20.0

COMMANDS = [
    ("status",),
    ("queue",),
    ("load", "a"),
    ("unload",),
    ("unload", "a"),
    ("logs",),
    ("top",),
]

HEAVY = ("trio", "quart", "attrs", "hypercorn", "ruamel", "swapd.config", "swapd.daemon")


def environment(**more: str) -> dict[str, str]:
    """Answer with a shell's, without what its owner has set."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("SWAPD_")}
    return {**own, "PYTHONPATH": str(ROOT), **more}


def run(*argv: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-m", "swapd", *argv]
    return subprocess.run(
        command,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


async def ask(
    daemon: Daemon, *argv: str, code: int = 0, env: Mapping[str, str] | None = None
) -> str:
    """Run a command against a daemon; answer with what it printed, or why it refused."""
    done = await trio.run_process(
        [sys.executable, "-m", "swapd", *argv],
        env=environment(SWAPD_URL=daemon.address, **(env or {})),
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    assert done.returncode == code, done
    text: bytes = done.stderr if code else done.stdout
    return text.decode()


# Without a daemon


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ((), "required"),
        (("serve",), "serve"),
        (("load",), "MODEL"),
        (("load", ""), "expected a name"),
        (("logs", ""), "expected a name"),
        (("unload", "a", "b"), "b"),
        (("logs", "--json"), "--json"),
        (("status", "--url", "localhost:8080"), "expected http://HOST:PORT"),
        (("status", "--url", "http://key@box"), "$SWAPD_API_KEY"),
        (("status", "--key", "x"), "--key"),
    ],
)
def test_wrong_usage_is_64(argv, says, capsys):
    """Two lines on stderr, as for `serve`; and a key is never an argument."""
    with pytest.raises(SystemExit) as left:
        main(argv)
    assert left.value.code == 64
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: swapd")
    assert says in err.splitlines()[-1]


def test_every_command_is_chosen_by_its_name(capsys):
    """One that is missing there would wait for the daemon's imports."""
    for name in NAMES:
        with pytest.raises(SystemExit) as left:
            main((name, "--help"))
        assert left.value.code == 0
        assert "--url" in capsys.readouterr().out


@pytest.mark.real
@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
def test_no_daemon_is_3(argv, tmp_path):
    """One sentence, and no traceback."""
    ended = run(*argv, SWAPD_URL=f"unix:{tmp_path}/none.sock")
    assert (ended.returncode, ended.stdout) == (3, "")
    [line] = ended.stderr.splitlines()
    assert line.startswith("swapd: no daemon at unix:")


@pytest.mark.real
@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    "said", [b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"]
)
def test_garbage_is_4(argv, said):
    """Something is there, and whoever starts a second daemon has a second problem."""
    with saying(said) as url:
        ended = run(*argv, "--url", url)
    assert (ended.returncode, ended.stdout) == (4, "")
    assert ended.stderr.startswith("swapd: ")
    assert "Traceback" not in ended.stderr


@pytest.mark.real
def test_asking_imports_nothing_heavy():
    """Half a second is long for a prompt that shows the state of a model."""
    program = (
        "import sys; sys.argv = ['swapd', 'status']; import swapd.__main__; print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, check=True
    )
    assert not {*HEAVY} & {*done.stdout.decode().split()}


@pytest.mark.real
def test_ctrl_c_is_130_and_quiet():
    """It is how a log that is followed is left."""
    with saying(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello\n", hang=True) as url:
        following = subprocess.Popen(
            [sys.executable, "-m", "swapd", "logs", "-f", "--url", url],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert following.stdout is not None
        assert following.stdout.readline() == b"hello\n"
        following.send_signal(signal.SIGINT)
        _, err = following.communicate(timeout=PATIENCE)
    assert (following.returncode, err) == (130, b"")


@pytest.mark.real
@pytest.mark.parametrize("argv", [("logs", "-f"), ("status", "--json")])
def test_a_reader_that_has_read_enough_is_no_failure(argv):
    """`swapd logs -f | head` is an ordinary thing to type."""
    kind = "text/plain" if argv[0] == "logs" else "application/json"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode()
    with saying(head + b'{"models":[]}') as url:
        asking = subprocess.Popen(
            [sys.executable, "-m", "swapd", *argv, "--url", url],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert asking.stdout is not None
        asking.stdout.close()
        _, err = asking.communicate(timeout=PATIENCE)
    assert (asking.returncode, err) == (0, b"")


@pytest.mark.real
@pytest.mark.parametrize(("where", "code"), [("> /dev/full", 4), (">&-", 0), (">&- 2>&-", 0)])
def test_an_output_that_cannot_be_written_is_no_traceback(where, code):
    """A full disk is said so; without any output at all there is nobody to tell."""
    with saying(b'HTTP/1.1 200 OK\r\n\r\n{"models":[]}') as url:
        done = subprocess.run(
            ["sh", "-c", f'"{sys.executable}" -m swapd status {where}'],
            env=environment(SWAPD_URL=url),
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == code
    assert done.stderr == (b"swapd: cannot write: No space left on device\n" if code else b"")


# With one


@pytest.mark.real
async def test_a_daemon_is_asked_and_told(tmp_path):
    """A day's work at the prompt, in one go."""
    async with serving(tmp_path, pretend("a"), pretend("b")) as daemon:
        assert "a      stopped  -" in await ask(daemon, "status")
        assert await ask(daemon, "queue") == "the queue is empty\n"
        assert await ask(daemon, "load", "a") == "a is ready\n"
        pid = await daemon.pid_of("a")

        line = (await ask(daemon, "status")).splitlines()[1]
        assert line.startswith(f"a      ready    {pid}")
        assert "iB" in line
        said = json.loads(await ask(daemon, "status", "--json"))
        assert [model["state"] for model in said["models"]] == ["ready", "stopped"]

        stream = await daemon.stream("a")
        _, served = (await ask(daemon, "queue")).splitlines()
        assert " granted " in served
        [entry] = json.loads(await ask(daemon, "queue", "--json"))["requests"]
        assert entry["model"] == "a"
        snapshot = await ask(daemon, "top")
        assert "1 of 2 models ready, 1 served, 0 waiting" in snapshot
        assert entry["id"] in snapshot
        await stream.leave()

        assert await ask(daemon, "unload", "a") == f"a is gone (process {pid})\n"
        assert await ask(daemon, "unload") == "no model was loaded\n"
        for refused in (("load", "x"), ("unload", "x")):
            assert 'model "x" not found' in await ask(daemon, *refused, code=1)


@pytest.mark.real
async def test_a_load_that_fails_is_1_with_its_cause(tmp_path):
    """The operator reads why without opening another log."""
    broken = ("a", {"cmd": "false --port ${PORT}"})
    async with serving(tmp_path, broken) as daemon:
        why = await ask(daemon, "load", "a", code=1)
        assert why.startswith("swapd: cannot load a: ")


@pytest.mark.real
async def test_a_key_is_taken_from_the_environment(tmp_path):
    """And only from there: an argument is everybody's to see."""
    keys = {"apiKeys": ["sk-1"]}
    async with serving(tmp_path, pretend("a"), settings=keys) as daemon:
        for env in ({}, {"SWAPD_API_KEY": "sk-2"}):
            assert "SWAPD_API_KEY" in await ask(daemon, "status", code=1, env=env)
        assert "a      stopped" in await ask(daemon, "status", env={"SWAPD_API_KEY": "sk-1"})


@pytest.mark.real
async def test_tls_is_believed_when_somebody_vouches_for_it(tmp_path):
    """There is no way to ask without: the key would go to whoever is in between."""
    cert, key = make_certificate(tmp_path)
    args = ("--tls-cert-file", str(cert), "--tls-key-file", str(key))
    async with serving(tmp_path, pretend("a"), args=args, trust=cert) as daemon:
        assert "certificate" in await ask(daemon, "status", code=4)
        assert "a  " in await ask(daemon, "status", env={"SSL_CERT_FILE": str(cert)})


@pytest.mark.real
async def test_a_socket_is_asked_too(tmp_path):
    """As the daemon announces it."""
    async with serving(tmp_path, pretend("a"), listen=f"unix:{tmp_path}/s") as daemon:
        assert "a  " in await ask(daemon, "status")


@pytest.mark.real
async def test_a_log_is_followed_until_the_daemon_stops(tmp_path):
    """What is written while somebody looks is seen, and the end is one."""
    async with serving(tmp_path, pretend("a")) as daemon:
        following = await trio.lowlevel.open_process(
            [sys.executable, "-m", "swapd", "logs", "-f", "proxy"],
            env=environment(SWAPD_URL=daemon.address),
            stdout=subprocess.PIPE,
        )
        assert following.stdout is not None
        try:
            await ask(daemon, "load", "a")
            seen = b""
            while b"loading a" not in seen:
                piece = await following.stdout.receive_some()
                assert piece, seen
                seen += piece
            assert "loading a" in await ask(daemon, "logs", "proxy")
            assert "loading a" in await ask(daemon, "logs")
            await daemon.end(signal.SIGTERM)
            async for piece in following.stdout:
                seen += piece
            assert await following.wait() == 0
        finally:
            following.kill()
            await following.stdout.aclose()


def test_a_bug_of_ours_is_a_sentence(capsys):
    """No traceback is for people; what it says is what to report."""

    def work(asked: argparse.Namespace, client: Client) -> None:
        raise KeyError("bug")

    run_it = _leaving(work)
    assert run_it(argparse.Namespace(url=None)) == os.EX_SOFTWARE
    said = capsys.readouterr().err
    assert said == "swapd: internal error, please report it: KeyError('bug')\n"
