"""The simulation itself: that it replays, that it finds what is planted, and what it has found."""

import itertools
from collections.abc import Callable, Iterator

import attrs
import pytest

from swapd.engine import Engine
from swapd.models import child
from swapd.models.group import Started
from swapd.schedule.effects import Effect, Grant
from swapd.schedule.events import Departed, Event
from swapd.schedule.serial import Serial
from tests.simulation.living import live, plan_of
from tests.simulation.plan import Answer, Kind, Life, Plan, Visit
from tests.simulation.shrink import shortest

# Days of every test run; `make simulate` lives many more.
SEEDS = 60

# Within so many a planted bug must be found.
ENOUGH = 500


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_days_keep_every_promise(first):
    """Whatever models, clients, operators and disks do; `make simulate` tells more of it."""
    found = {seed: live(plan_of(seed)).complaints for seed in range(first, first + 20)}
    assert {seed: wrong for seed, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("seed", [3, 10, 33])
def test_a_seed_is_the_same_day_again(seed):
    """Else what it has found could not be looked into."""
    first, again = live(plan_of(seed)), live(plan_of(seed))
    assert first.lines == again.lines
    assert len(first.lines) > 20


def skip_a_departed(patch: pytest.MonkeyPatch) -> None:
    """Have every fifth goodbye forgotten."""
    count = itertools.count(1)
    post = Engine.post

    def forgetful(engine: Engine, event: Event) -> None:
        if not isinstance(event, Departed) or next(count) % 5:
            post(engine, event)

    patch.setattr(Engine, "post", forgetful)


def grant_twice(patch: pytest.MonkeyPatch) -> None:
    """Have the next in the queue granted beside whom is served."""
    handle = Serial.handle

    def generous(serial: Serial, event: Event, now: float) -> list[Effect]:
        effects = handle(serial, event, now)
        granted = [effect for effect in effects if isinstance(effect, Grant)]
        others = [
            Grant(standing.ticket, granted[0].run)
            for standing in serial.queue(now)
            if granted and standing.position == 1
        ]
        return [*effects, *others]

    patch.setattr(Serial, "handle", generous)


def forget_the_group(patch: pytest.MonkeyPatch) -> None:
    """Have a process taken for gone when its leader is."""

    async def until_the_leader_is_gone(group: Started, command: child.Command) -> None:
        await group.exited()

    patch.setattr(child, "_until_gone", until_the_leader_is_gone)


@pytest.mark.parametrize("plant", [skip_a_departed, grant_twice, forget_the_group])
def test_a_planted_bug_is_found(plant, monkeypatch):
    """A simulation that finds nothing has to show that it would."""
    plant(monkeypatch)
    assert any(live(plan_of(seed)).complaints for seed in range(ENOUGH))


def test_a_story_is_made_as_short_as_its_failure_allows(monkeypatch):
    """Whoever has to mend it wants to read five lines, not fifty."""
    forget_the_group(monkeypatch)
    seed = next(seed for seed in range(ENOUGH) if live(plan_of(seed)).complaints)
    plan = shortest(plan_of(seed), lambda plan: bool(live(plan).complaints))
    assert live(plan).complaints
    assert len(plan) <= 3
    assert len(str(plan).splitlines()) == len(plan) + 2


# What it has found. Each was mended, and has its story beside the module that was wrong as well.


def stories() -> Iterator[tuple[str, Plan]]:
    """Tell the stories of bugs, as short as they could be made."""
    calm = Plan(0, (0, 0, 0.0, 30))
    until_close = Answer(Kind.UNTIL_CLOSE, pieces=3, pause=1.0)
    yield (
        "an answer without a length looks complete when its model dies",
        attrs.evolve(
            calm,
            visits=(Visit(0, 0.0, 0, "a", answer=until_close),),
            lives=(Life("a", 0, dies=2.0),),
        ),
    )


@pytest.mark.parametrize("plan", [pytest.param(plan, id=name) for name, plan in stories()])
def test_what_was_found_stays_mended(plan):
    """It went wrong once."""
    assert live(plan).complaints == []


Plant = Callable[[pytest.MonkeyPatch], None]
