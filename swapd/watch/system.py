"""Looking at processor, memory and network.

Rule 1: what cannot be read alone is 0 or nothing; without processor or memory there is no sample.
Rule 2: looks may happen in any thread, but one at a time.
"""

import time
from collections.abc import Callable

import attrs
import psutil

from swapd.watch.looking import CannotLook
from swapd.watch.samples import Interface, SystemSample, mebibytes, moment, percent

# What psutil raises when /proc is not there, not readable, or says what it does not expect.
UNREADABLE = (OSError, psutil.Error, ValueError, IndexError, KeyError, RuntimeError)

# Nobody sees that traffic outside of the machine.
LOOPBACK = "lo"


@attrs.frozen
class Spent:
    """The seconds of one core since the machine was started."""

    busy: float
    all: float


class System:
    """Looks at this machine; `clock` tells Unix time."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._before: list[Spent] = []

    def look(self) -> SystemSample:
        """Take a sample; cores are counted since the look before. Raises `CannotLook`."""
        try:
            # Not `cpu_percent`: what it compares with belongs to the thread that asked last.
            now = [_spent(core) for core in psutil.cpu_times(percpu=True)]
            memory = psutil.virtual_memory()
        except UNREADABLE as problem:
            raise CannotLook(f"cannot look at processor and memory: {problem}") from problem
        before, self._before = self._before, now
        swap_total, swap_used = _swap()
        return SystemSample(
            at=moment(self._clock()),
            cores=busy(before, now),
            mem_total_mb=mebibytes(memory.total),
            mem_used_mb=mebibytes(memory.used),
            mem_free_mb=mebibytes(memory.free),
            swap_total_mb=mebibytes(swap_total),
            swap_used_mb=mebibytes(swap_used),
            load=_load(),
            net=_net(),
        )


def busy(before: list[Spent], now: list[Spent]) -> tuple[float, ...]:
    """Say how busy each core was between two looks, in percent; 0 for what cannot be compared."""
    if len(before) != len(now):
        # A core was taken away or brought back; which one is not said.
        return (0.0,) * len(now)
    spans = (Spent(b.busy - a.busy, b.all - a.all) for a, b in zip(before, now, strict=True))
    return tuple(max(0.0, percent(span.busy, span.all)) for span in spans)


def _spent(core: object) -> Spent:
    seconds: dict[str, float] = core._asdict()  # type: ignore[attr-defined]  # a named tuple
    # The time of guests is counted as that of the user already.
    whole = sum(seconds.values()) - seconds.get("guest", 0.0) - seconds.get("guest_nice", 0.0)
    idle = seconds["idle"] + seconds.get("iowait", 0.0)
    return Spent(whole - idle, whole)


def _swap() -> tuple[int, int]:
    try:
        swap = psutil.swap_memory()
    except UNREADABLE:
        return 0, 0
    return swap.total, swap.used


def _load() -> tuple[float, float, float]:
    try:
        return psutil.getloadavg()
    except UNREADABLE:
        return 0.0, 0.0, 0.0


def _net() -> tuple[Interface, ...]:
    try:
        counted = psutil.net_io_counters(pernic=True)
    except UNREADABLE:
        return ()
    return tuple(
        Interface(name, count.bytes_recv, count.bytes_sent)
        for name, count in counted.items()
        if name != LOOPBACK
    )
