"""What lies around a simulated daemon and is no process: its way in, its disk, and a diary."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import attrs
import trio

from swapd.front.connection import Peer
from swapd.front.gateway import Gateway
from swapd.front.serve import Front
from swapd.watch.store import StoreFailed
from tests.simulation.wires import End, wire

T = TypeVar("T")


@attrs.define
class Diary:
    """What has happened, and what was wrong with it."""

    lines: list[str] = attrs.field(factory=list)
    complaints: list[str] = attrs.field(factory=list)

    def log(self, text: str) -> None:
        self.lines.append(f"{trio.current_time():9.3f} {text}")

    def complain(self, text: str) -> None:
        self.log(f"!! {text}")
        self.complaints.append(text)


class Bugs(logging.Handler):
    """Hears of exceptions that somebody caught who must not have had to."""

    def __init__(self, diary: Diary) -> None:
        super().__init__(logging.ERROR)
        self._diary = diary

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._diary.complain(f"{record.getMessage()}: {record.exc_info[1]!r}")


@attrs.define
class Disk:
    """Where files are, and threads that wait for them."""

    delay: float = 0.0
    full: bool = False

    def heal(self) -> None:
        """Be well again."""
        self.delay, self.full = 0.0, False

    async def in_thread(self, work: Callable[..., T], *args: Any, **others: object) -> T:
        await trio.sleep(self.delay)
        if self.full:
            raise OSError(28, "No space left on device")
        return work(*args)

    async def write(self, work: Callable[[], T]) -> T:
        """Do what the record of requests wants done."""
        await trio.sleep(self.delay)
        if self.full:
            raise StoreFailed("database or disk is full")
        return work()


@attrs.define
class Gate:
    """The way in: a listening socket without one."""

    held: list[End]
    """The ends of connections that are swapd's."""
    where: str = "memory"
    wide: bool = False
    admin: bool = False
    front: Front | None = None
    _nursery: trio.Nursery = attrs.field(init=False)

    async def run(
        self,
        app: Gateway,
        *,
        task_status: trio.TaskStatus[Front] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        self.front = Front(app)
        async with trio.open_nursery() as self._nursery:
            task_status.started(self.front)
            await trio.sleep_forever()

    def connect(self, name: str) -> End | None:
        """Connect a client; None where nobody listens."""
        if self.front is None or self.front._accepting.cancel_called:
            return None
        ours, theirs = wire(name, f"swapd to {name}")
        self.held.append(theirs)
        peer = Peer(theirs, ("10.0.0.7", 5000), ("127.0.0.1", 8080), theirs.send_now, theirs.reset)
        self._nursery.start_soon(self._serve, peer)
        return ours

    async def _serve(self, peer: Peer) -> None:
        assert self.front is not None
        try:
            await self.front.serve(peer)
        finally:
            peer.stream.close()  # type: ignore[attr-defined]
