"""The small process that outlives us by a moment and leaves nothing behind.

A daemon that is killed with SIGKILL cannot clean up. So a second process, started before anything
else, holds one end of a socket pair and is told of every process group. When the other end closes,
for whatever reason, it ends every group it knows of, and every process that carries our mark in
its environment: one that was spawned in the very moment of our death, or that left its group.

Rule 1: the file is also the program that runs in the second process, with the standard library
alone and none of swapd, so that it starts in a few milliseconds and stays small.
Rule 2: the warden trusts no exit of ours; only the closing of the pair counts.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

# The environment variable that every model's processes inherit.
MARK = "SWAPD_DAEMON"

# What the service manager tells us alone. A model that had it would answer in our place, or take
# our listeners for its own.
NOTIFY = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
LISTEN = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES")
FOR_US_ALONE = frozenset((*NOTIFY, *LISTEN))

# From SIGTERM to SIGKILL, when the daemon is gone: nobody waits for these processes any more, but
# a server in a container may have something outside to give back.
GRACE = 1.0
LOOK = 0.02


class Warden:
    """Tells the second process what to guard."""

    def __init__(self, line: socket.socket, mark: str) -> None:
        self._line = line
        self._mark = mark

    def guard(self, group: int) -> None:
        """Have the process group ended if we die."""
        self._say(b"+%d\n" % group)

    def release(self, group: int) -> None:
        """Forget a process group that is gone; its number may be somebody else's tomorrow."""
        self._say(b"-%d\n" % group)

    def mark(self, env: Mapping[str, str], own: Mapping[str, str] = {}) -> dict[str, str]:
        """Answer with the environment for a process of ours, with the mark that all of them carry.

        Of `env`, which is ours, it gets what is not for us alone; `own` is for it alone.
        """
        return {**_handed_down(env), **own, MARK: self._mark}

    def _say(self, words: bytes) -> None:
        # A dead warden is no reason to stop serving; the service manager's own sweep is left.
        with suppress(OSError):
            self._line.sendall(words)


@contextmanager
def open_warden() -> Iterator[Warden]:
    """Start the warden. Leaving tells it to end what is left, which should be nothing."""
    ours, theirs = socket.socketpair()
    mark = secrets.token_hex(16)
    # Its own session: Ctrl-C and a closing terminal are for us, not for it.
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(theirs.fileno())],
        env=_handed_down(os.environ),
        pass_fds=[theirs.fileno()],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    theirs.close()
    # Said over a pipe and not in the arguments: what is in `ps` could be read by anybody.
    assert process.stdin is not None
    with process.stdin as secret:
        secret.write(mark.encode())
    try:
        yield Warden(ours, mark)
    finally:
        ours.close()
        process.wait()


def _handed_down(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name not in FOR_US_ALONE}


# The program in the second process


def main(line: socket.socket) -> None:
    """Listen until the other end closes, then end everything that is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    mark = f"{MARK}={sys.stdin.read()}".encode()
    groups = _listen(line)
    if not _tell(signal.SIGTERM, groups, mark):
        return
    deadline = time.monotonic() + GRACE
    while time.monotonic() < deadline and _tell(None, groups, mark):
        time.sleep(LOOK)
    # More than once: a process that forks while it is looked for is found the next time.
    while _tell(signal.SIGKILL, groups, mark) and time.monotonic() < deadline + GRACE:
        time.sleep(LOOK)


def _listen(line: socket.socket) -> set[int]:
    groups: set[int] = set()
    with line, line.makefile("rb") as words:
        for word in words:
            if word.startswith(b"+"):
                groups.add(int(word[1:]))
            else:
                groups.discard(int(word[1:]))
    return groups


def _tell(number: signal.Signals | None, groups: set[int], mark: bytes) -> bool:
    """Signal all that is left, or only look; answer whether there was anything."""
    found = False
    for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))):
        with suppress(OSError, ValueError, IndexError):
            if pid != os.getpid() and _ours(pid, groups, mark):
                found = True
                if number is not None:
                    os.kill(pid, number)
    return found


def _ours(pid: int, groups: set[int], mark: bytes) -> bool:
    with open(f"/proc/{pid}/stat", "rb") as stat:
        state, _, group = stat.read().rpartition(b")")[2].split()[:3]
    if state in (b"Z", b"X"):
        return False
    if int(group) in groups:
        return True
    with open(f"/proc/{pid}/environ", "rb") as environ:
        return mark in environ.read().split(b"\0")


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
