"""A process group of our own: start it, signal it, and know when nothing is left of it.

Rule 1: this is the only module that starts models; it forks on the main thread, because a
death signal or a thread that ends must never take a healthy model along.
Rule 2: the group is signalled, never only its leader; a leader may leave children behind.
Rule 3: children are reaped by pid or group, never by "any"; trio's own statuses are not ours.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

# The states in /proc/PID/stat of what has died and only waits for its parent to notice.
DEAD_STATES = frozenset("ZXx")

# In which resident memory is counted there.
PAGE = os.sysconf("SC_PAGE_SIZE")


class CannotStart(Exception):
    """The command could not be executed."""


class Group:
    """A started command, and every process that stays in its group."""

    def __init__(
        self, argv: Sequence[str], *, env: Mapping[str, str], output: int = subprocess.DEVNULL
    ) -> None:
        """Start the command in a new process group; raise `CannotStart` if it cannot be.

        `output` is the descriptor that gets stdout and stderr, in their order; stdin is empty.
        """
        try:
            self._leader = subprocess.Popen(
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
        self.pid = self._leader.pid
        """The leader's process id and the group's id."""
        try:
            self.pidfd = os.pidfd_open(self.pid)
            """Becomes readable when the leader exits."""
        except OSError as problem:
            self.signal(signal.SIGKILL)
            self._leader.wait()
            raise CannotStart(f"cannot watch {argv[0]}: {problem.strerror}") from problem

    @property
    def exit_status(self) -> int | None:
        """The leader's exit code, or minus its signal; None while it lives."""
        return self._leader.poll()

    def signal(self, number: signal.Signals) -> None:
        """Signal every process of the group that there is."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def members(self) -> list[int]:
        """List the living processes of the group, the leader among them."""
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

    def close(self) -> None:
        """Give the leader's descriptor back."""
        os.close(self.pidfd)

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
