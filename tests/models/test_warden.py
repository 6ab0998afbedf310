"""The warden: a daemon is killed in every rude way, and nothing of it is left."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import trio

from swapd.models.warden import FOR_US_ALONE, MARK, open_warden
from tests.processes import alive, dead

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]

# A daemon in miniature: it starts a group that ignores SIGTERM, with a grandchild, says both
# process ids, and waits to be killed.
DAEMON = """
    import os, signal, subprocess, sys, time
    from swapd.models.warden import open_warden

    script = "trap '' TERM; sleep 1000 & echo $$ $!; wait; sleep 1000"
    with open_warden() as warden:
        model = subprocess.Popen(
            ["/bin/sh", "-c", script], env=warden.mark(os.environ),
            stdout=subprocess.PIPE, text=True, {more}
        )
        {tell}
        print(model.stdout.readline().strip(), flush=True)
        signal.pause()
"""


def daemon(*, tell: str, more: str) -> tuple[subprocess.Popen[str], list[int]]:
    program = textwrap.dedent(DAEMON).format(tell=tell, more=more)
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as words:
        return process, [int(word) for word in words.readline().split()]


@pytest.mark.parametrize(
    ("tell", "more"),
    [
        ("warden.guard(model.pid)", "process_group=0"),
        ("# killed between the spawn and the word of it", "process_group=0"),
        ("# everything has left its group", "start_new_session=True"),
    ],
)
async def test_sigkill_of_the_daemon_leaves_no_process(tell, more):
    """D29: leader and grandchild, although they ignore SIGTERM, and however they were known."""
    process, pids = daemon(tell=tell, more=more)
    assert all(map(alive, pids))
    process.kill()
    process.wait()
    with trio.fail_after(20):
        await dead(*pids)


def test_a_released_group_is_left_alone():
    """Its number may be somebody else's by now."""
    stranger = subprocess.Popen(["/bin/sleep", "1000"], process_group=0, env={})
    with open_warden() as warden:
        warden.guard(stranger.pid)
        warden.release(stranger.pid)
    assert alive(stranger.pid)
    stranger.kill()
    stranger.wait()


def test_a_guarded_group_goes_when_we_leave():
    """Leaving in order ends what should not be there any more."""
    model = subprocess.Popen(["/bin/sleep", "1000"], process_group=0, env={})
    with open_warden() as warden:
        warden.guard(model.pid)
    assert model.wait() == -signal.SIGTERM


async def test_ctrl_c_does_not_reach_it():
    """It has a session of its own, and must outlive us."""
    with open_warden() as warden:
        assert MARK in warden.mark({})
        [pid] = children_of(os.getpid(), "warden.py")
        assert os.getsid(pid) == pid
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        warden.guard(2**22 - 1)
        assert alive(pid)
    assert not alive(pid)


async def test_a_dead_warden_is_no_reason_to_fail():
    """The service manager's own sweep is the second line; requests go on."""
    with open_warden() as warden:
        [pid] = children_of(os.getpid(), "warden.py")
        os.kill(pid, signal.SIGKILL)
        with trio.fail_after(20):
            await dead(pid)
        warden.guard(2**22 - 1)
        warden.release(2**22 - 1)


def test_processes_of_ours_get_what_is_not_for_us_alone():
    """What the service manager told us is not theirs; what was written for them is."""
    ours = {**dict.fromkeys(FOR_US_ALONE, "ours"), "PATH": "/bin", "LANG": "C"}
    with open_warden() as warden:
        env = warden.mark(ours, {"LANG": "de", "LISTEN_FDS": "1"})
    assert env.pop(MARK)
    assert env == {"PATH": "/bin", "LANG": "de", "LISTEN_FDS": "1"}


def test_it_gets_nothing_that_is_for_us_alone(monkeypatch):
    """It lives longer than we do, and must not be taken for us then."""
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/nobody")
    with open_warden():
        [pid] = children_of(os.getpid(), "warden.py")
        assert b"NOTIFY_SOCKET" not in Path(f"/proc/{pid}/environ").read_bytes()


def children_of(parent: int, word: str) -> list[int]:
    """List our children that have this word in their arguments."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            if int(stat[1]) == parent and word in Path(f"/proc/{name}/cmdline").read_text():
                found.append(int(name))
        except OSError:
            continue
    return found
