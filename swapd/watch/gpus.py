"""All GPUs of the machine, whoever made them.

Rule 1: everything here blocks, and belongs into a thread; nothing here logs.
Rule 2: one look at a time: drivers hang, and those that wait for one would fill up the threads.
Rule 3: a GPU keeps its number for as long as it is looked at, and no other GPU has the same.
"""

import time
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import attrs

from swapd.watch.drm import Drm
from swapd.watch.looking import CannotLook, OneAtATime
from swapd.watch.nvidia import Nvidia
from swapd.watch.samples import GpuSample, moment


class Source(Protocol):
    """A driver that tells of its GPUs."""

    def open(self) -> None:
        """Find its GPUs; raise `CannotLook` if there are none."""

    def samples(self, at: float, complain: Callable[[str], None]) -> list[GpuSample]:
        """Look at each, at this Unix time; complain of those that do not answer."""

    def by_pid(self, pids: Collection[int] | None) -> dict[int, int]:
        """Count the bytes that processes have on its GPUs."""

    def close(self) -> None:
        """Let go of the driver."""


class Gpus:
    """What the drivers tell of their GPUs."""

    def __init__(
        self, sources: Sequence[Source] | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.problems: tuple[str, ...] = ()
        """What of the last look did not work."""
        self._sources: Sequence[Source] = (Nvidia(), Drm()) if sources is None else sources
        self._clock = clock
        self._open: list[Source] = []
        self._numbers: dict[tuple[int, int], int] = {}
        self._looking = OneAtATime("the GPUs")

    @property
    def found(self) -> bool:
        """Tell whether there are any."""
        return bool(self._open)

    def open(self) -> list[str]:
        """Find the GPUs; answer with what is missing, or nothing if there are any.

        Raises `CannotLook` if a look still hangs; so does everything else here.
        """
        with self._looking.now():
            self._let_go()
            missing = []
            for source in self._sources:
                try:
                    source.open()
                except CannotLook as problem:
                    missing.append(str(problem))
                else:
                    self._open.append(source)
            return [] if self._open else missing or ["nowhere to look for one"]

    def samples(self) -> list[GpuSample]:
        """Look at every GPU, all at one time."""
        with self._looking.now():
            at = moment(self._clock())
            problems: list[str] = []
            found = [
                attrs.evolve(sample, id=self._number(place, sample.id))
                for place, source in enumerate(self._open)
                for sample in source.samples(at, problems.append)
            ]
            self.problems = tuple(problems)
            return sorted(found, key=lambda sample: sample.id)

    def by_pid(self, pids: Collection[int] | None = None) -> dict[int, int]:
        """Count the bytes on all GPUs by process: of these, or of all; nothing if not open."""
        with self._looking.now():
            counted: dict[int, int] = {}
            for source in self._open:
                for pid, size in source.by_pid(pids).items():
                    counted[pid] = counted.get(pid, 0) + size
            return counted

    def close(self) -> None:
        """Let go of the drivers."""
        with self._looking.now():
            self._let_go()

    def _let_go(self) -> None:
        while self._open:
            self._open.pop().close()
        self._numbers.clear()
        self.problems = ()

    def _number(self, place: int, wanted: int) -> int:
        """Answer with a GPU's number: its driver's own, or the next that is free."""
        known = self._numbers.get((place, wanted))
        if known is None:
            taken, known = set(self._numbers.values()), wanted
            while known in taken:
                known += 1
            self._numbers[place, wanted] = known
        return known
