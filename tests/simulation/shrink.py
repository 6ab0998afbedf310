"""Making a story that fails shorter, for as long as it fails."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import attrs

from tests.simulation.plan import Answer, Ends, Kind, Plan, Reads, Sends

T = TypeVar("T")

# How many days are lived to make one shorter.
PATIENCE = 400


def shortest(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """Leave out and make simple what the failure does not need."""
    left = PATIENCE
    shorter = True
    while shorter:
        shorter = False
        for simpler in _simpler(plan):
            left -= 1
            if left < 0:
                return plan
            if fails(simpler):
                plan, shorter = simpler, True
                break
    return plan


def _simpler(plan: Plan) -> Iterator[Plan]:
    """Make plans that are less than this one, the much shorter first."""
    for size in (8, 4, 2, 1):
        for visits in _without(plan.visits, size):
            yield attrs.evolve(plan, visits=visits)
        for lives in _without(plan.lives, size):
            yield attrs.evolve(plan, lives=lives)
        for deeds in _without(plan.deeds, size):
            yield attrs.evolve(plan, deeds=deeds)
    if plan.ends != Ends():
        yield attrs.evolve(plan, ends=Ends())
    for number, visit in enumerate(plan.visits):
        for change in (
            {"answer": Answer()},
            {"answer": attrs.evolve(visit.answer, kind=Kind.WHOLE)},
            {"sends": Sends.WHOLE},
            {"reads": Reads.ALL},
            {"again": 0},
            {"stays": 0.0},
            {"steps": 0},
            {"leaves": 250.0, "leaves_steps": 0},
            {"stream": False},
        ):
            simpler = attrs.evolve(visit, **change)
            if simpler != visit:
                yield attrs.evolve(plan, visits=_with(plan.visits, number, simpler))


def _without(parts: tuple[T, ...], size: int) -> Iterator[tuple[T, ...]]:
    if size <= len(parts):
        for start in range(0, len(parts), size):
            yield parts[:start] + parts[start + size :]


def _with(parts: Sequence[T], number: int, part: T) -> tuple[T, ...]:
    return (*parts[:number], part, *parts[number + 1 :])
