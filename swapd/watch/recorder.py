"""Recording requests beside serving them: a request leaves its record here and goes on.

Rule 1: no request waits for the store, or fails with it. What cannot be written now is kept and
tried again; beyond `MOST` records the oldest are lost, and counted.
Rule 2: the store is used in a thread only, and by one at a time. A thread may be given up for
lost, never what it does: an entry says itself whether it has been written.
Rule 3: whoever asks sees all that was recorded before, if the store can write at all.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

import trio

from swapd.watch.activity import Activity, Page, Query, Stats
from swapd.watch.captures import Capture, Captures
from swapd.watch.store import BUSY, Entry, Store, StoreFailed

log = logging.getLogger(__name__)

# Between two writings, so that a busy time makes few of them; a crash costs what is in between.
PAUSE = 0.25

# Between two attempts, once several have failed.
LONGEST_PAUSE = 10.0

# How many records wait for a store that does not work; a few megabytes.
MOST = 10_000

# A little longer than the store waits for whoever else has the file.
PATIENCE = BUSY + 1.0

T = TypeVar("T")


class InThread(Protocol):
    """Runs work in a thread that may be abandoned."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Wait for its answer."""


class Recorder:
    """Takes records, and answers what is asked about them. `run` writes them."""

    def __init__(
        self, store: Store, captures: Captures, *, in_thread: InThread | None = None
    ) -> None:
        self.captures = captures
        """By their row's number."""
        self.heard: list[Callable[[int], None]] = []
        """Who is told the number of each stored row."""
        self.gather: Callable[[], None] = _nothing
        """Records what is over and is not recorded yet; asked before anything is written."""
        self.lost = 0
        """How many records were never written."""
        self._store = store
        self._in_thread = in_thread or _in_thread
        self._pending: deque[Entry] = deque()
        self._news = trio.Event()
        self._turn = trio.Lock()
        self._writing = trio.Lock()
        self.trouble = ""
        """Why nothing can be written now; empty while it can."""

    def record(self, activity: Activity, capture: Capture | None = None) -> None:
        """Take a record, to be stored soon."""
        entry = Entry(activity)
        self._pending.append(entry)
        if len(self._pending) > MOST:
            self._lose(self._pending.popleft())
        if capture is not None:
            self._capture(entry, capture)
        self._news.set()

    def expect(self) -> None:
        """Have `gather` called soon."""
        self._news.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write what is recorded, until cancelled."""
        task_status.started()
        pause = PAUSE
        while True:
            await self._news.wait()
            self._news = trio.Event()
            if await self._write():
                pause = PAUSE
            else:
                self._news.set()
                pause = min(pause * 2, LONGEST_PAUSE)
            await trio.sleep(pause)

    async def page(self, query: Query) -> Page:
        """Answer with a page of rows; raises `StoreFailed`."""
        await self._write_first()
        return await self._ask(partial(self._store.page, query))

    async def stats(self, model: str = "") -> Stats:
        """Answer with the numbers of all rows, or of a model's; raises `StoreFailed`."""
        await self._write_first()
        return await self._ask(partial(self._store.stats, model))

    def close(self) -> None:
        """Write what is left, and close the store. At the end, for it blocks."""
        self.gather()
        self._store.hurry()
        try:
            self._store.write(self._pending)
        except StoreFailed as problem:
            unwritten = sum(entry.id is None for entry in self._pending)
            log.warning("cannot record the newest requests, %d in number: %s", unwritten, problem)
        self._store.close()

    def _capture(self, entry: Entry, capture: Capture) -> None:
        if self.captures.enabled and not self.captures.put(entry, capture):
            log.warning(
                "cannot capture %s: it is larger than all of captureBuffer",
                entry.activity.request,
            )

    async def _write_first(self) -> None:
        """Have all in the store that can be; who only reads does not wait for it twice."""
        async with self._writing:
            if not self.trouble:
                await self._write()

    async def _write(self) -> bool:
        """Write what is pending; say whether that worked."""
        self.gather()
        if not self._pending:
            return True
        try:
            # A copy: the thread must not see others come.
            await self._ask(partial(self._store.write, tuple(self._pending)))
        except StoreFailed as problem:
            if not self.trouble:
                log.warning("cannot record requests: %s; they are kept and tried again", problem)
            self.trouble = str(problem)
            return False
        finally:
            self._settle()
        if self.trouble:
            log.warning("requests are recorded again; %d were lost", self.lost)
        self.trouble = ""
        return True

    def _settle(self) -> None:
        """Say of everything that has been written that it is, in its order."""
        while self._pending and (number := self._pending[0].id) is not None:
            entry = self._pending.popleft()
            self.captures.rename(entry, number)
            for hear in self.heard:
                hear(number)

    def _lose(self, entry: Entry) -> None:
        self.captures.drop(entry)
        # A thread that was given up may have written it nevertheless.
        self.lost += entry.id is None

    async def _ask(self, work: Callable[[], T]) -> T:
        try:
            with trio.fail_after(PATIENCE):
                async with self._turn:
                    return await self._in_thread(work)
        except trio.TooSlowError as slow:
            raise StoreFailed(f"the store has not answered within {PATIENCE:g} s") from slow


def _nothing() -> None:
    """Where nothing is kept back."""


async def _in_thread(work: Callable[[], T]) -> T:
    # Abandoned: a disk that has gone must hold neither a client nor the daemon.
    return await trio.to_thread.run_sync(work, abandon_on_cancel=True)
