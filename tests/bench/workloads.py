"""The shapes of load that a peer compared its policies with, replayed against our schedulers.

Rule 1: nothing is measured here: a pretend world with a clock plays each shape, the same anywhere.
Rule 2: a model serves one request at a time in half a second; a switch is a stop, a fifth of its
cost, and a load. Model A is loaded when a shape begins, and the first switch is the first away
from it.
"""

import random
import statistics
from collections.abc import Iterator, Mapping
from math import ceil

import attrs

from swapd.config.kinds import SchedulerKind
from swapd.config.settings import Settings
from tests.shapes import fifo_settings, group
from tests.timed import Pace, TimedWorld

Arrivals = list[tuple[float, str]]

SERVICE = 0.5
COSTS = (2, 5, 10, 20)
_STOP = 0.2

_HEAD = ["shape", "scheduler", "swaps", "serving", "mean", "p95", "worst", "makespan"]


@attrs.frozen
class Outcome:
    """What became of one shape."""

    shape: str
    scheduler: str
    cost: int
    served: int
    swaps: int
    waits: tuple[float, ...]
    makespan: float

    @property
    def work(self) -> float:
        return self.served * SERVICE

    @property
    def serving(self) -> float:
        """The share of time in which somebody was served, of that and all switches."""
        return self.work / (self.work + self.swaps * self.cost)

    @property
    def p95(self) -> float:
        return sorted(self.waits)[ceil(0.95 * len(self.waits)) - 1]

    @property
    def cells(self) -> list[str]:
        seconds = (statistics.fmean(self.waits), self.p95, max(self.waits), self.makespan)
        shown = [f"{each:.1f}" for each in seconds]
        return [self.shape, self.scheduler, str(self.swaps), f"{self.serving:.0%}", *shown]


def section() -> str:
    """Replay everything; answer with a section of the page of results."""
    found = [
        replay(name, arrivals, scheduler, cost)
        for cost in COSTS
        for name, arrivals in shapes().items()
        for scheduler in _schedulers()
    ]
    parts = [_INTRODUCTION, _summary(found)]
    for cost in COSTS:
        rows = [one.cells for one in found if one.cost == cost]
        parts.append(f"### {cost} s a switch\n\n{_table([_HEAD, *rows])}\n")
    return "\n".join(parts)


def replay(shape: str, arrivals: Arrivals, scheduler: str, cost: int) -> Outcome:
    """Play one shape to its end."""
    pace = Pace(cost * (1 - _STOP), cost * _STOP, SERVICE)
    settings = _schedulers()[scheduler]
    world = TimedWorld(settings, dict.fromkeys(settings.models, pace), one_by_one=True, ask=False)
    world.arrivals([(0.0, "a")])
    world.run(pace.load + SERVICE)
    world.visits.clear()
    world.loads.clear()
    began = world.now
    world.arrivals(arrivals)
    world.run()
    visits = world.visits.values()
    return Outcome(
        shape,
        scheduler,
        cost,
        served=len(visits),
        swaps=len(world.loads),
        waits=tuple(visit.waited for visit in visits),
        makespan=max(visit.ended or 0.0 for visit in visits) - began,
    )


def shapes() -> Mapping[str, Arrivals]:
    """Make every shape: who arrives when, in seconds from the beginning."""
    made = {
        "single": [(0.1 * at, "a") for at in range(40)],
        "balanced": [(0.1 * at, "ab"[at % 2]) for at in range(40)],
        "bursty": list(_bursts(4, 10)),
        "heavy_burst": list(_bursts(6, 50)),
        "dominant": [(0.05 * at, "b" if at % 5 == 4 else "a") for at in range(50)],
        "dominant_95": [(0.05 * at, "b" if at % 20 == 19 else "a") for at in range(80)],
        "interleave": [
            (0.01 * at + 0.001 * (who == "b"), who) for at in range(30) for who in "ab"
        ],
        "surge": [
            *((0.5 * at, "a") for at in range(20)),
            *((5.0 + 0.01 * at, "b") for at in range(20)),
        ],
        "three_model": [
            (3.0 * turn + 0.1 * at, who) for turn, who in enumerate("abcabc") for at in range(10)
        ],
    }
    return made | {f"random_mixed {count}": list(_mixed(count)) for count in (50, 100, 200)}


def _bursts(count: int, size: int) -> Iterator[tuple[float, str]]:
    for burst in range(count):
        for at in range(size):
            yield 5.0 * burst + 0.01 * at, "ab"[burst % 2]


def _mixed(count: int) -> Iterator[tuple[float, str]]:
    dice = random.Random(count)
    now = 0.0
    for _ in range(count):
        yield now, dice.choice("ab")
        now += dice.uniform(0.0, 0.2)


def _schedulers() -> Mapping[str, Settings]:
    everybody = {"all": group("abc")}
    fifo = fifo_settings(everybody, names="abc")
    return {
        "serial": attrs.evolve(fifo, scheduler=SchedulerKind.SERIAL),
        "fifo": fifo,
        "fifo, no turns": fifo_settings(everybody, names="abc", max_turn=0),
    }


def _summary(found: list[Outcome]) -> str:
    rows = [["scheduler", *(f"{cost} s" for cost in COSTS)]]
    for scheduler in _schedulers():
        cells = []
        for cost in COSTS:
            own = [one for one in found if (one.scheduler, one.cost) == (scheduler, cost)]
            work, swaps = sum(one.work for one in own), sum(one.swaps for one in own)
            mean = statistics.fmean(one.serving for one in own)
            cells.append(f"{work / (work + swaps * cost):.0%} ({mean:.0%})")
        rows.append([scheduler, *cells])
    return f"{_table(rows)}\n"


def _table(rows: list[list[str]]) -> str:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    shown = [rows[0], ["-" * width for width in widths], *rows[1:]]
    padded = (
        [cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in shown
    )
    return "\n".join(f"| {' | '.join(row)} |" for row in padded)


_INTRODUCTION = """## Workload shapes

Played, not measured: a model serves one request at a time in 0.5 s, a switch is a stop and a load,
and model A is loaded at the beginning. `serving` is the time in which somebody was served, of that
and all switches; waits, in seconds, end when the model begins with a request (under fifo up to ten
are granted at once, and queue inside the model). `fifo, no turns` is `maxTurn: 0`.

Serving, all shapes taken together, and in brackets the mean of the shapes' shares:
"""
