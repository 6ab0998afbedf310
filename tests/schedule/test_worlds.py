"""Random worlds of fifo: without a clock (see `tests/worlds.py` for what must hold), and with."""

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.ids import ModelId
from swapd.schedule.effects import Grant
from swapd.schedule.events import SettingsChanged
from swapd.schedule.fifo import Fifo
from tests.shapes import (
    GROUPS,
    MATRICES,
    Router,
    SideBySide,
    fifo_editions,
    fifo_settings,
    group,
    matrix,
)
from tests.stories import (
    Story,
    arm_turn,
    arrived,
    broke,
    departed,
    grant,
    place,
    ready,
    returned,
    start,
    stop,
    stopped,
    unload_asked,
    unloaded,
)
from tests.timed import Pace, TimedWorld, Visit
from tests.worlds import Act, stories

# Enough for a bug to show within a day of runs; one that is hunted is worth some thousands.
COUNT = int(os.environ.get("SWAPD_WORLDS", "200"))

# What is added up from fractions is a hair off.
HAIR = 1e-6

QUEUES = st.sampled_from([1, 2, 4, 40])
TTLS = st.sampled_from([0.0, 5.0])


@settings(max_examples=COUNT, deadline=None)
@given(stories(), st.sampled_from([*GROUPS.values()]), QUEUES, TTLS)
def test_fifo_with_groups_keeps_every_promise(story, groups, max_queue, ttl):
    """Whatever clients, models and operators do, in any order, and whatever the groups are."""
    play(story, groups, GROUPS["side by side, but not with others"], max_queue, ttl)


@settings(max_examples=COUNT, deadline=None)
@given(stories(), st.sampled_from([*MATRICES.values()]), QUEUES, TTLS)
def test_fifo_with_a_matrix_keeps_every_promise(story, matrix, max_queue, ttl):
    """The same where sets say who may run beside whom."""
    play(story, matrix, MATRICES["choices"], max_queue, ttl)


def play(story: list[Act], router: Router, other: Router, max_queue: int, ttl: float) -> None:
    world = SideBySide(fifo_editions(router, other, ttl=ttl, max_queue=max_queue))
    for act in story:
        world.do(act)
    world.drain()


# With a clock

PACES = {"a": Pace(2, 1, 0.5), "b": Pace(5, 0.5, 3), "c": Pace(8, 2, 1), "d": Pace(1, 0.25, 6)}


def timed(router: Router, **settings: Any) -> TimedWorld:
    """Make a world with four models, all known and none loaded."""
    made = fifo_settings(router, names="abcd", **settings)
    world = TimedWorld(made, {ModelId(name): pace for name, pace in PACES.items()})
    world.warm_up()
    return world


def endless(name: str, every: float, seconds: float) -> list[tuple[float, str]]:
    """Have one request arrive before the one before has been served, and so on."""
    return [(index * every, name) for index in range(int(seconds / every))]


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[float, str]]:
    """Draw arrivals of some minutes, some in bursts; often one model is never left alone."""
    found = []
    if draw(st.booleans()):
        name = draw(st.sampled_from([*PACES]))
        found += endless(name, PACES[name].service * draw(st.sampled_from([0.3, 0.9])), 120)
    for name in draw(st.lists(st.sampled_from([*PACES]), min_size=1, max_size=12)):
        at = draw(st.sampled_from([0.0, 1.0, 4.0])) + draw(st.integers(0, 600)) / 10
        found += [(at, name)] * draw(st.sampled_from([1, 1, 1, 3, 11, 25]))
    return found


ROUTERS = st.sampled_from([*GROUPS.values(), *MATRICES.values()])


@settings(max_examples=COUNT // 2, deadline=None)
@given(ROUTERS, arrivals(), st.sampled_from([0.5, 5.0, 30.0]), st.sampled_from([{}, {"b": 1}]))
def test_nobody_waits_longer_than_was_said_at_arrival(router, arrivals, max_turn, priority):
    """The bound that the API states is a promise, whoever comes later."""
    world = timed(router, max_turn=max_turn, priority=priority)
    world.arrivals(arrivals)
    world.run()
    for visit in world.visits.values():
        assert visit.bound is not None
        assert visit.queued() <= visit.bound + HAIR, visit


@pytest.mark.parametrize("max_turn", [5.0, 30.0])
def test_a_request_is_served_while_those_for_another_model_overlap_for_ever(max_turn):
    """The promise that llama-swap does not make (D18): nobody starves."""
    (visit,) = visits_beside_endless_load(max_turn)
    assert visit.bound is not None
    assert visit.queued() <= visit.bound
    assert visit.queued() >= max_turn


def test_without_turns_a_request_starves_while_others_overlap():
    """What `maxTurn: 0` asks for, and why it is not what we begin with."""
    (visit,) = visits_beside_endless_load(0)
    assert visit.bound is None
    assert visit.queued() > 590


def visits_beside_endless_load(max_turn: float) -> list[Visit]:
    """Let a request for b come while requests for a overlap for ten minutes."""
    world = timed(GROUPS["one after the other"], max_turn=max_turn)
    world.arrivals([*endless("a", PACES["a"].service * 0.9, 600), (3.0, "b")])
    world.run()
    return [visit for visit in world.visits.values() if visit.model == "b"]


# What the worlds found


def test_a_reload_that_parts_two_models_is_heard_by_the_swap_that_has_begun():
    """A swap that knows less of who has to go would start its model beside what is forbidden."""
    story = Story(Fifo(fifo_settings(GROUPS["all at once"])))
    story.tell(arrived(1, "a")).tell(arrived(2, "c"))
    apart = fifo_settings(GROUPS["one after the other"])
    story.tell(SettingsChanged(apart))
    story.tell(unload_asked(1, "a", keep=True)).expect(stop(1))
    story.tell(stopped(1)).expect(place(2, 1), place(1, 2), unloaded(1))
    story.tell(ready(2)).expect(grant(2, 2), place(1, 1), arm_turn(2, 30))
    story.tell(departed(2)).expect(stop(2))
    story.tell(stopped(2)).expect(start("a", 3))


def test_the_bound_holds_where_a_swap_and_what_it_stops_are_in_each_others_way():
    """What goes for a swap is as good as gone; counting it kept a third model out for a turn."""
    world = timed(MATRICES["layers"], max_turn=5.0)
    world.arrivals([*endless("a", 0.45, 120), (30.2, "b"), (40.8, "c")])
    world.run()
    for visit in world.visits.values():
        assert visit.bound is not None
        assert visit.queued() <= visit.bound + HAIR, visit


def test_those_that_come_back_from_a_dead_model_keep_their_order():
    """One after the other they are put where they came from, not each before the last."""
    story = Story(Fifo(fifo_settings(GROUPS["one after the other"])))
    for ticket in (1, 2, 3):
        story.tell(arrived(ticket, "a"))
    story.tell(ready(1)).tell(broke(1))
    for ticket in (1, 2, 3):
        story.tell(returned(ticket, "a"))
    story.tell(stopped(1)).expect(start("a", 2))
    story.tell(ready(2)).expect(grant(1, 2), grant(2, 2), grant(3, 2))


def test_groups_that_do_not_touch_are_as_if_the_other_were_not_there():
    """One endless stream, and who waits for its model, kept a whole other group from loading."""
    apart = {"one": group("ab", exclusive=False), "two": group("cd", exclusive=False)}
    others = [(4.0 + 5 * index, "cd"[index % 2]) for index in range(40)]
    waits = []
    for stream in ([], [(0.0, "a"), (3.0, "b")]):
        paces = {ModelId(name): Pace(2, 1, 600 if name == "a" else 1) for name in "abcd"}
        world = TimedWorld(fifo_settings(apart, names="abcd"), paces)
        world.warm_up()
        world.arrivals([*stream, *others])
        world.run()
        visits = world.visits.values()
        waits.append([visit.queued() for visit in visits if visit.model in ("c", "d")])
    assert waits[0] == waits[1]
    assert len(waits[0]) == len(others)


def test_a_model_that_a_reload_removes_keeps_nobody_from_those_beside_it():
    """It finishes what it serves; its neighbour, loaded all along, goes on serving."""
    beside = {"all": group("ab", swap=False)}
    story = Story(Fifo(fifo_settings(beside, names="ab")))
    story.tell(arrived(1, "a")).tell(arrived(2, "b")).tell(ready(1)).tell(ready(2))
    story.tell(departed(2))
    story.tell(SettingsChanged(fifo_settings({"all": group("b", swap=False)}, names="b")))
    story.tell(arrived(3, "b")).expect(grant(3, 2))


def test_a_gate_is_not_shut_for_who_has_to_wait_for_others_first():
    """It would serve nobody for as long as that takes, and be needed by nobody either."""
    ways = matrix({"one": "a & b", "two": "c & a", "three": "d & b"})
    story = Story(Fifo(fifo_settings(ways, names="abcd", max_turn=5.0)))
    story.tell(arrived(1, "a")).tell(arrived(2, "b")).tell(ready(1)).tell(ready(2))
    story.tell(departed(1))
    story.tell(arrived(3, "c"))
    story.tell(arrived(4, "d"))
    story.after(60).tell(arrived(5, "a"))
    assert story.so_far(Grant)[-1] == grant(5, 1)
