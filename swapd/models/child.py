"""One child: started, listened to, ended, and verified gone.

Rule 1: whoever leaves `open_child`, by whatever door, leaves nothing running: SIGTERM (or
`cmdStop`), SIGKILL after the grace period, and then the proof: leader reaped, group empty, port
released.
Rule 2: output is read until the very end, so that a child never blocks on a full pipe, and end of
file is never waited for: a grandchild may hold the pipe open.
"""

import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import attrs
import trio

from swapd.models.group import CannotStart, Group, Start, Started
from swapd.models.warden import Warden

log = logging.getLogger(__name__)

# After SIGKILL a process may stay for as long as its driver takes to let go of the device.
KILL_PATIENCE = 5.0

# How often what is left of a group is looked at: at first often, because most go at once.
FIRST_LOOK = 0.002
SLOWEST_LOOK = 0.05

# Reads in a row before others get a chance; together about a mebibyte.
READS_IN_A_ROW = 16
READ_SIZE = 65536


@attrs.frozen
class Command:
    """What to run, and how it is to be ended."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    stop_argv: tuple[str, ...] | None
    """Run instead of SIGTERM, with `${PID}` replaced by the leader's process id."""
    patience: Callable[[], trio.CancelScope]
    """Opened when it is to end: a scope that is over when SIGKILL is due. Whoever has made it may
    move its deadline while the end is waited for."""
    released: Callable[[], Awaitable[bool]]
    """Whether what the process occupied besides memory (its port) is free again."""
    kill_patience: float = KILL_PATIENCE
    """Seconds from SIGKILL until it is said to have survived."""


Stuck = Callable[[str, Callable[[], Awaitable[None]]], None]
"""Called with what survived SIGKILL, and a way to wait until it is gone after all."""


@attrs.define
class Child:
    """A running command."""

    group: Started
    exited: trio.Event = attrs.field(factory=trio.Event)
    """Set when the leader has exited; others of its group may live on."""

    @property
    def exit_status(self) -> int | None:
        """The leader's exit code, or minus its signal; None while it lives."""
        return self.group.exit_status


@asynccontextmanager
async def open_child(
    command: Command,
    *,
    output: Callable[[bytes], None],
    stuck: Stuck,
    warden: Warden,
    start: Start = Group,
    beside: Callable[[], Awaitable[object]] = trio.sleep_forever,
) -> AsyncIterator[Child]:
    """Run a command. Leaving by any door ends it and everything in its process group.

    Raises `CannotStart` before anything runs. `beside`, which never returns by itself, is run for
    as long as the child is, to its very end. When something survives even SIGKILL, `stuck` is
    called and the context is left all the same.
    """
    group = start(command.argv, env=command.env, heard=True)
    warden.guard(group.pid)
    child = Child(group)
    # Shielded until the child is gone: a child that is being ended still writes, and still exits.
    attending = trio.CancelScope(shield=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_attend, child, output, beside, attending)
        try:
            yield child
        finally:
            try:
                with trio.CancelScope(shield=True):  # bounded: patience, killing, cmdStop's end
                    await _end(child, command, stuck, warden, start)
            finally:
                attending.cancel()


async def _attend(
    child: Child,
    output: Callable[[bytes], None],
    beside: Callable[[], Awaitable[object]],
    attending: trio.CancelScope,
) -> None:
    try:
        with attending:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_pump, child.group, output)
                nursery.start_soon(beside)
                await child.group.exited()
                # What the leader wrote is there by now; nobody has to wait for it.
                _read_available(child.group, output)
                child.exited.set()
    finally:
        child.group.close()


async def _pump(group: Started, output: Callable[[bytes], None]) -> None:
    while _read_available(group, output):
        await group.readable()


def _read_available(group: Started, output: Callable[[bytes], None]) -> bool:
    """Hand on what is there; answer False at end of file."""
    for _ in range(READS_IN_A_ROW):
        try:
            data = group.read(READ_SIZE)
        except BlockingIOError:
            return True
        if not data:
            return False
        output(data)
    return True


async def _end(child: Child, command: Command, stuck: Stuck, warden: Warden, start: Start) -> None:
    async def gone() -> None:
        await _until_gone(child.group, command)
        warden.release(child.group.pid)

    patience = command.patience()
    async with _asked_to_end(child, command, warden, start):
        if await _within(patience, child, gone):
            return
    child.group.signal(signal.SIGKILL)
    if not await _within(trio.move_on_after(command.kill_patience), child, gone):
        stuck(_whatever_is_left(child.group), gone)


async def _within(
    patience: trio.CancelScope, child: Child, gone: Callable[[], Awaitable[None]]
) -> bool:
    with patience:
        await child.exited.wait()
        await gone()
    return not patience.cancelled_caught


@asynccontextmanager
async def _asked_to_end(
    child: Child, command: Command, warden: Warden, start: Start
) -> AsyncIterator[None]:
    """Ask the group to end, with `cmdStop` if there is one, which does not outlive the asking."""
    if command.stop_argv is None or child.exited.is_set():
        child.group.signal(signal.SIGTERM)
        yield
        return
    argv = [word.replace("${PID}", str(child.group.pid)) for word in command.stop_argv]
    try:
        stopper = start(argv, env=command.env)
    except CannotStart as problem:
        log.warning("cmdStop: %s; sending SIGTERM instead", problem)
        child.group.signal(signal.SIGTERM)
        yield
        return
    warden.guard(stopper.pid)
    try:
        yield
    finally:
        stopper.signal(signal.SIGKILL)
        with trio.CancelScope(shield=True, deadline=trio.current_time() + KILL_PATIENCE):
            await stopper.exited()
        stopper.members()
        stopper.close()
        warden.release(stopper.pid)


async def _until_gone(group: Started, command: Command) -> None:
    look = FIRST_LOOK
    while group.members() or not await command.released():
        await trio.sleep(look)
        look = min(look * 2, SLOWEST_LOOK)


def _whatever_is_left(group: Started) -> str:
    members = group.members()
    if not members:
        return "its port still accepts connections, though its process group is gone"
    pids = ", ".join(map(str, members))
    return f"process {pids} survived SIGKILL"
