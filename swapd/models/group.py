"""A process group of our own: start it, signal it, and know when nothing is left of it.

Rule 1: this is the only module that starts models; it forks on the main thread, because a
death signal or a thread that ends must never take a healthy model along.
Rule 2: the group is signalled, never only its leader; a leader may leave children behind.
Rule 3: children are reaped by pid or group, never by "any"; trio's own statuses are not ours.
Rule 4: nobody else knows of pids' descriptors and pipes: `Started` is all that is asked of a
process, so that a pretended one can stand in for it.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

import trio

# The states in /proc/PID/stat of what has died and only waits for its parent to notice.
DEAD_STATES = frozenset("ZXx")

# In which resident memory is counted there.
PAGE = os.sysconf("SC_PAGE_SIZE")


class CannotStart(Exception):
    """The command could not be executed."""


class Started(Protocol):
    """A started command, and every process that stays in its group."""

    pid: int
    """The leader's process id and the group's id."""

    @property
    def exit_status(self) -> int | None:
        """The leader's exit code, or minus its signal; None while it lives."""

    def signal(self, number: signal.Signals) -> None:
        """Signal every process of the group that there is."""

    def members(self) -> list[int]:
        """List the living processes of the group, the leader among them."""

    async def exited(self) -> None:
        """Wait until the leader has exited; others of its group may live on."""

    def read(self, most: int) -> bytes:
        """Take output that is there; b"" is its end. Raises BlockingIOError if there is none."""

    async def readable(self) -> None:
        """Wait until there is output, or its end."""

    def close(self) -> None:
        """Give the descriptors back; nobody may be waiting."""


class Start(Protocol):
    """How commands are started: `Group`, wherever processes are real."""

    def __call__(
        self, argv: Sequence[str], *, env: Mapping[str, str], heard: bool = False
    ) -> Started:
        """Start the command in a new process group; raise `CannotStart` if it cannot be.

        Where it is to be heard, its stdout and stderr can be read, in their order; else they are
        dropped. Its stdin is empty.
        """


class Group:
    """A real process group; see `Started` for what it promises and `Start` for how to get it."""

    def __init__(
        self, argv: Sequence[str], *, env: Mapping[str, str], heard: bool = False
    ) -> None:
        self._pipe: int | None = None
        output = subprocess.DEVNULL
        if heard:
            self._pipe, output = _open_pipe(argv[0])
        try:
            self._leader = _execute(argv, env, output)
            self.pid = self._leader.pid
            self._pidfd = self._watch(argv[0])
        except CannotStart:
            if self._pipe is not None:
                os.close(self._pipe)
            raise
        finally:
            if self._pipe is not None:
                os.close(output)

    @property
    def exit_status(self) -> int | None:
        return self._leader.poll()

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def members(self) -> list[int]:
        living = [] if self.exit_status is not None else [self.pid]
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return living
        except PermissionError:
            pass
        self._reap_adopted()
        try:
            found = _living_in(self.pid)
        except OSError:
            # There is something, and no descriptor left to look at it with: no proof of its end.
            return living or [self.pid]
        return living + [pid for pid in found if pid not in living]

    async def exited(self) -> None:
        await trio.lowlevel.wait_readable(self._pidfd)

    def read(self, most: int) -> bytes:
        return b"" if self._pipe is None else os.read(self._pipe, most)

    async def readable(self) -> None:
        if self._pipe is not None:
            await trio.lowlevel.wait_readable(self._pipe)

    def close(self) -> None:
        os.close(self._pidfd)
        if self._pipe is not None:
            os.close(self._pipe)

    def _watch(self, name: str) -> int:
        """Open what becomes readable when the leader exits."""
        try:
            return os.pidfd_open(self.pid)
        except OSError as problem:
            self.signal(signal.SIGKILL)
            self._leader.wait()
            raise CannotStart(f"cannot watch {name}: {problem.strerror}") from problem

    def _reap_adopted(self) -> None:
        # Orphans of the group become our children where we are the first process of a container.
        # The leader is reaped by its own `poll`, so this never sees it.
        if self._leader.returncode is not None:
            with suppress(ChildProcessError):
                while os.waitpid(-self.pid, os.WNOHANG) != (0, 0):
                    pass


def resident(group: int) -> dict[int, int]:
    """Count the bytes of memory that each living process of a group occupies.

    What several of them share is counted for each. Raises OSError if /proc cannot be looked at.
    """
    return {pid: pages * PAGE for pid, pages in _look_through(group)}


def _open_pipe(name: str) -> tuple[int, int]:
    try:
        pipe, pipe_for_child = os.pipe()
    except OSError as problem:
        raise CannotStart(f"cannot listen to {name}: {problem.strerror}") from problem
    os.set_blocking(pipe, False)
    return pipe, pipe_for_child


def _execute(argv: Sequence[str], env: Mapping[str, str], output: int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    except (OSError, ValueError) as problem:
        text = problem.strerror if isinstance(problem, OSError) else str(problem)
        raise CannotStart(f"cannot execute {argv[0]}: {text}") from problem


def _living_in(group: int) -> list[int]:
    return [pid for pid, _ in _look_through(group)]


def _look_through(group: int) -> Iterator[tuple[int, int]]:
    """Find in /proc what is in the group and not merely waiting to be reaped, with its pages."""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            # A process that ends while we look is not there any more, which is the answer.
            gone = suppress(FileNotFoundError, ProcessLookupError)
            with gone, open(f"/proc/{name}/stat", "rb") as stat:
                # The command's name stands in parentheses and may hold anything, also ") S 1".
                fields = stat.read().rpartition(b")")[2].split()
                state, pgrp, pages = fields[0].decode(), int(fields[2]), int(fields[21])
                if pgrp == group and state not in DEAD_STATES:
                    yield int(name), pages
