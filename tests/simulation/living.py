"""Living a day: what the dice, the clock and the configuration of a simulation are."""

import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from swapd import daemon
from swapd.config.settings import Origin, Performance, Settings
from swapd.flights import Flights
from swapd.models import child, probe
from tests.shapes import GROUPS, MATRICES, Router, fifo_editions
from tests.simulation.city import Bugs, Diary
from tests.simulation.day import Day
from tests.simulation.dice import make
from tests.simulation.machine import FIRST_PORT, STOPPER
from tests.simulation.plan import Plan
from tests.simulation.promises import Watched
from tests.worlds import editions

ROUTERS: Sequence[Router] = ({}, *GROUPS.values(), *MATRICES.values())


def plan_of(seed: int) -> Plan:
    """Make the story of a seed."""
    return make(seed, len(ROUTERS))


def settings_of(plan: Plan) -> list[Settings]:
    """Make what the configuration says over time."""
    first, other, ttl, max_queue = plan.house
    made = editions(ttl=ttl, max_queue=max_queue)
    if first:
        made = fifo_editions(ROUTERS[first], ROUTERS[other], ttl=ttl, max_queue=max_queue)
    common: dict[str, Any] = {
        "unload_timeout": 4.0,
        "health_timeout": 8.0,
        "liveness_interval": 15.0 if plan.seed % 4 == 0 else 0.0,
        "stop_argv": (STOPPER, "${PID}") if plan.seed % 5 == 0 else None,
        "send_loading_state": plan.seed % 3 == 0,
    }
    return [
        attrs.evolve(
            one,
            performance=attrs.evolve(Performance(), disabled=True),
            models={
                name: attrs.evolve(
                    model,
                    origin=Origin("http", "127.0.0.1", FIRST_PORT + ord(name[0]) - ord("a")),
                    **common,
                )
                for name, model in one.models.items()
            },
        )
        for one in made
    ]


def live(plan: Plan) -> Diary:
    """Live the day of a plan; answer with what happened, and what was wrong."""
    day = Day(plan, settings_of(plan))
    with _pretended(day):
        try:
            trio.run(day.run, clock=MockClock(autojump_threshold=0))
        # Whatever it is, it is what was looked for.
        except Exception as bug:  # noqa: BLE001
            day.diary.complaints.append(f"the daemon has ended with {bug!r}")
    return day.diary


@contextmanager
def _pretended(day: Day) -> Iterator[None]:
    """Have trio's dice, and threads, follow the plan; and listen to what is logged."""

    def flights() -> Flights:
        day.flights.append(Flights())
        return day.flights[-1]

    bugs = Bugs(day.diary)
    logging.getLogger().addHandler(bugs)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
            patch.setattr(trio._core._run, "_r", random.Random(day.plan.seed))
            patch.setattr(trio.to_thread, "run_sync", day.disk.in_thread)
            patch.setattr(daemon, "Engine", Watched)
            patch.setattr(daemon, "Flights", flights)
            patch.setattr(probe, "SHORTEST_PAUSE", 0.05)
            patch.setattr(probe, "LONGEST_PAUSE", 0.5)
            patch.setattr(child, "SLOWEST_LOOK", 0.5)
            yield
    finally:
        logging.getLogger().removeHandler(bugs)
