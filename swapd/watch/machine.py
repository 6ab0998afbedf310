"""The machine of the last hour: what it was seen to do, every few seconds.

Rule 1: looks happen in threads, one at a time of each kind. One that hangs is given up and holds
neither the daemon nor the other kind, and there is no next of its kind before it has ended.
Rule 2: changed settings begin anew: nothing is kept, and the GPUs are looked for again.
Rule 3: who was started without watching the machine does without until the next start.
Rule 4: nothing is logged in a thread.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import TypeVar

import attrs
import trio

from swapd.config.settings import Performance
from swapd.watch.gpus import Gpus
from swapd.watch.looking import CannotLook, InThread, OneAtATime, in_a_thread
from swapd.watch.samples import GpuSample, SystemSample
from swapd.watch.system import System

log = logging.getLogger(__name__)

# How far back one can look, in seconds.
KEPT = 3600.0

# Looking is work, too; from llama-swap.
SHORTEST = 0.1

# A look takes milliseconds; a driver that needs longer than this is stuck.
LONGEST_LOOK = 10.0

T = TypeVar("T")

GpuRound = list[GpuSample]
"""All GPUs at one moment, so that several do not shorten the hour (D27)."""


class Machine:
    """Watches the machine. `look` and `in_thread` are for tests."""

    def __init__(
        self,
        settings: Performance,
        gpus: Gpus,
        *,
        in_thread: InThread = in_a_thread,
        look: Callable[[], SystemSample] | None = None,
    ) -> None:
        self.enabled = not settings.disabled
        """Whether the machine was to be watched when the daemon started."""
        self._settings = settings
        self._gpus = gpus
        self._in_thread = in_thread
        self._look = look or System().look
        self._looking = OneAtATime("the machine")
        self._watching = trio.CancelScope()
        self._clear()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch, until cancelled."""
        if not self.enabled:
            log.info("performance monitoring is disabled")
        task_status.started()
        while True:
            with trio.CancelScope() as self._watching:
                await self._watch()

    def adopt(self, settings: Performance) -> None:
        """Begin anew if the settings are other ones."""
        if not self.enabled or settings == self._settings:
            return
        self._settings = settings
        self._clear()
        self._watching.cancel()

    def system(self, after: float | None = None) -> list[SystemSample]:
        """Answer with all samples, or those after a Unix time, oldest first."""
        return [sample for sample in self._system if after is None or sample.at > after]

    def gpu(self, after: float | None = None) -> list[GpuSample]:
        """Answer with all samples of GPUs, or those after a Unix time, oldest first."""
        every = (sample for gpus in self._rounds for sample in gpus)
        return [sample for sample in every if after is None or sample.at > after]

    def _clear(self) -> None:
        most = max(1, int(KEPT // _every(self._settings)))
        self._system: deque[SystemSample] = deque(maxlen=most)
        self._rounds: deque[GpuRound] = deque(maxlen=most)

    async def _watch(self) -> None:
        if not self.enabled or self._settings.disabled:
            await self._told(self._gpus.close, _Complaints())
            await trio.sleep_forever()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_system)
            nursery.start_soon(self._watch_gpus)

    async def _watch_system(self) -> None:
        def look() -> SystemSample:
            with self._looking.now():
                return self._look()

        complaints = _Complaints()
        # Nobody is shown the first look: it is what the next one counts from.
        await self._told(look, complaints)
        while True:
            await trio.sleep(_every(self._settings))
            if (sample := await self._told(look, complaints)) is not None:
                self._system.append(sample)

    async def _watch_gpus(self) -> None:
        complaints = _Complaints()
        missing = await self._told(self._gpus.open, complaints)
        if missing:
            log.info("GPU monitoring not available: %s", "; ".join(missing))
        if missing is None or missing:
            await trio.sleep_forever()
        while True:
            await trio.sleep(_every(self._settings))
            if found := await self._told(self._gpus.samples, complaints):
                self._rounds.append(found)
            for problem in self._gpus.problems:
                complaints.add(problem)

    async def _told(self, look: Callable[[], T], complaints: "_Complaints") -> T | None:
        """Look; None, and a line in the log for the first time, if nothing can be seen."""
        try:
            return await self._bounded(look)
        except CannotLook as problem:
            complaints.add(str(problem))
            return None

    async def _bounded(self, look: Callable[[], T]) -> T:
        with trio.move_on_after(LONGEST_LOOK):
            return await self._in_thread(look)
        raise CannotLook(f"looking at the machine takes longer than {LONGEST_LOOK:g} s")


@attrs.define
class _Complaints:
    """Tells of each problem once."""

    _made: set[str] = attrs.field(factory=set)

    def add(self, text: str) -> None:
        if text not in self._made:
            self._made.add(text)
            log.error("%s", text)


def _every(settings: Performance) -> float:
    return max(SHORTEST, settings.every)
