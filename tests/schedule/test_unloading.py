"""Unload orders: who is refused, who is cut, who may finish, and when the order is answered."""

import pytest

from swapd.ids import ModelId
from swapd.schedule.effects import Effect, Reject, Revoke, StopModel, Unloaded
from swapd.schedule.motives import Asked
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import ModelUnloaded, Unkillable
from tests.stories import (
    Story,
    arm_back_off,
    arm_drain,
    arrived,
    back_off_elapsed,
    broke,
    departed,
    drain_elapsed,
    exclusive,
    fifo,
    grant,
    loaded,
    place,
    ready,
    reject,
    returned,
    revoke,
    start,
    stop,
    stopped,
    stuck,
    unanswered,
    unload_asked,
    unloaded,
)

A, B = ModelId("a"), ModelId("b")
GONE_A, GONE_B = ModelUnloaded(A), ModelUnloaded(B)


def busy(*models: str) -> Story:
    """Begin with models side by side, each serving one request: 1, 2 and so on."""
    story = loaded(fifo(*models), *models)
    for ticket, name in enumerate(models, start=1):
        story.tell(arrived(ticket, name)).expect(grant(ticket, ticket))
    return story


def test_an_order_cuts_and_stops_what_it_names_and_nothing_else():
    """The rest serves on."""
    story = busy("a", "b")
    story.tell(unload_asked(7, "a")).expect(revoke(1, GONE_A), stop(1))
    story.tell(departed(1)).expect()
    story.tell(stopped(1)).expect(unloaded(7))
    assert story.scheduler.phase(B) is Phase.READY


def test_an_order_that_names_nothing_means_all():
    """And is answered when the last of them is gone."""
    story = busy("a", "b")
    story.tell(unload_asked(7)).expect(revoke(1, GONE_A), stop(1), revoke(2, GONE_B), stop(2))
    story.tell(stopped(1)).expect()
    story.tell(stopped(2)).expect(unloaded(7))


def test_a_process_has_as_long_as_the_order_says():
    """Somebody who wants the memory now says 0."""
    story = loaded(fifo("a"), "a")
    story.tell(unload_asked(7, "a", seconds=0)).expect(stop(1, grace=0))
    (stopping,) = story.so_far(StopModel)
    assert isinstance(stopping, StopModel)
    assert stopping.why == Asked()


def test_draining_lets_the_served_finish_and_grants_nobody_else():
    """Whoever has its answer half is not cut; who waits is refused like in every order."""
    story = busy("a")
    for ticket in range(10, 20):
        story.tell(arrived(ticket, "a"))
    story.tell(unload_asked(7, "a", drain=True)).expect(reject(19, GONE_A))
    story.tell(arrived(20, "a")).expect(place(20, 1))
    for ticket in range(10, 19):
        story.tell(departed(ticket)).expect()
    story.tell(departed(1)).expect(stop(1))
    story.tell(stopped(1)).expect(start("a", 2), unloaded(7))


def test_draining_has_a_bound_if_the_order_has_one():
    """What is still served then is cut, with the process's own patience."""
    story = busy("a", "b")
    story.tell(unload_asked(7, drain=True, seconds=20)).expect(arm_drain(7, 20))
    story.tell(departed(2)).expect(stop(2))
    story.after(20).tell(drain_elapsed(7)).expect(revoke(1, GONE_A), stop(1))
    story.tell(stopped(1)).tell(stopped(2)).expect(unloaded(7))
    story.tell(drain_elapsed(7)).expect()


def test_a_drain_that_ended_in_time_cuts_nobody():
    """The timer rings all the same; the model may be loaded again by then."""
    story = busy("a")
    story.tell(unload_asked(7, "a", drain=True, seconds=20))
    story.tell(departed(1)).tell(stopped(1)).expect(unloaded(7))
    story.tell(arrived(2, "a")).tell(ready(2)).expect(grant(2, 2))
    story.tell(drain_elapsed(7)).expect()


@pytest.mark.parametrize("served", [False, True], ids=["idle", "loading"])
def test_what_serves_nobody_needs_no_drain(served):
    """It is stopped at once, without a timer, in its own time."""
    if served:
        story = Story(fifo("a"))
        story.tell(arrived(1, "a"))
        rejected = [reject(1, GONE_A)]
    else:
        story = loaded(fifo("a"), "a")
        rejected = []
    order = unload_asked(7, "a", drain=True, seconds=20)
    story.tell(order).expect(*rejected, stop(1))
    story.tell(stopped(1)).expect(unloaded(7))


def test_an_order_without_patience_overrules_one_that_drains():
    """Somebody asked again, and means it; both are answered."""
    story = busy("a")
    story.tell(unload_asked(7, "a", drain=True)).expect()
    story.tell(unload_asked(8, "a", seconds=1)).expect(revoke(1, GONE_A), stop(1, grace=1))
    story.tell(stopped(1)).expect(unloaded(7), unloaded(8))


def test_an_order_that_drains_undoes_nothing_of_one_that_does_not():
    """What is being stopped is not told twice."""
    story = busy("a")
    story.tell(unload_asked(7, "a")).expect(revoke(1, GONE_A), stop(1))
    story.tell(unload_asked(8, "a", drain=True, seconds=5)).expect()
    story.tell(stopped(1)).expect(unloaded(7), unloaded(8))


@pytest.mark.parametrize("first", [None, 1e9])
def test_who_asks_again_may_be_in_more_of_a_hurry(first):
    """Their `seconds` count, also for what somebody has given longer; all are answered."""
    story = loaded(fifo("a"), "a")
    story.tell(unload_asked(7, "a", seconds=first)).expect(stop(1, grace=first))
    story.tell(unload_asked(8, "a", seconds=0)).expect(stop(1, grace=0))
    story.tell(unload_asked(9, "a")).expect()
    story.tell(stopped(1)).expect(unloaded(7), unloaded(8), unloaded(9))


def test_what_ends_for_another_reason_is_hurried_too():
    """An eviction, and a crash whose children are being cleared away."""
    evicted = loaded(fifo("a", "b", evict=exclusive("a", "b")), "a")
    evicted.tell(arrived(1, "b")).expect(place(1, 1), stop(1))
    evicted.tell(unload_asked(7, "a", seconds=0)).expect(stop(1, grace=0))
    evicted.tell(stopped(1)).expect(start("b", 2), unloaded(7))
    crashed = loaded(fifo("a"), "a")
    crashed.tell(broke(1)).tell(unload_asked(7, "a", seconds=0)).expect(stop(1, grace=0))
    crashed.tell(stopped(1)).expect(unloaded(7))


def test_what_would_not_die_is_not_told_again():
    """SIGKILL has been sent; there is no time left to shorten."""
    story = loaded(fifo("a"), "a")
    story.tell(unload_asked(7, "a")).tell(stuck(1))
    story.tell(unload_asked(8, "a", seconds=0))
    assert story.so_far(StopModel) == [stop(1)]


def test_keeping_lets_those_that_wait_wait_on():
    """A restart: they get the new process."""
    story = busy("a")
    for ticket in range(10, 20):
        story.tell(arrived(ticket, "a"))
    cut = [revoke(ticket, GONE_A) for ticket in (1, *range(10, 19))]
    story.tell(unload_asked(7, "a", keep=True)).expect(*cut, stop(1))
    for ticket in (1, *range(10, 19)):
        story.tell(departed(ticket)).expect()
    story.tell(stopped(1)).expect(start("a", 2), unloaded(7))
    story.tell(ready(2)).expect(grant(19, 2))


def test_draining_and_keeping_cost_nobody_an_answer():
    """Everybody is served, by the old process or by the new one."""
    story = busy("a")
    story.tell(unload_asked(7, "a", drain=True, keep=True)).expect()
    story.tell(arrived(2, "a")).expect(place(2, 1))
    story.tell(departed(1)).expect(stop(1))
    story.tell(stopped(1)).expect(start("a", 2), unloaded(7))
    story.tell(ready(2)).expect(grant(2, 2))
    assert story.so_far(Revoke, Reject) == []


def test_a_crash_ends_a_drain():
    """What it served is over anyway."""
    story = busy("a")
    story.tell(unload_asked(7, "a", drain=True, seconds=20)).tell(broke(1)).expect()
    story.tell(departed(1)).expect()
    story.tell(stopped(1)).expect(unloaded(7))


def test_who_was_cut_by_an_order_does_not_wait_again():
    """Its end is on its way already."""
    story = busy("a")
    story.tell(unload_asked(7, "a"))
    story.tell(returned(1, "a")).expect()


def test_an_unload_keeps_what_was_unwell_from_starting_anew():
    """Somebody wants it gone, which is more than it being ill."""
    story = loaded(fifo("a"), "a")
    story.tell(unanswered(1)).expect(stop(1))
    story.tell(unload_asked(7, "a")).expect()
    story.tell(stopped(1)).expect(unloaded(7))


def test_failures_of_what_is_named_are_forgotten_and_no_others():
    """Whoever unloads has mended it, perhaps."""
    story = Story(fifo("a", "b"))
    for name, runs in (("a", (1, 2)), ("b", (3, 4))):
        for run in runs:
            story.tell(arrived(run, name)).tell(broke(run))
            tail = story.answer[1:]
            story.tell(stopped(run))
        assert tail == [arm_back_off(name, 10, attempt=2)]
    story.tell(unload_asked(7, "a")).expect(unloaded(7))
    story.tell(back_off_elapsed("a", 2)).expect()
    story.tell(arrived(9, "a")).expect(place(9, 1), start("a", 5))
    story.tell(arrived(10, "b"))
    assert isinstance(story.answer[0], Reject)


def stuck_ones(answer: list[Effect]) -> list[Unkillable | None]:
    """List what the orders were told."""
    return [effect.stuck for effect in answer if isinstance(effect, Unloaded)]


def test_an_order_is_answered_when_only_what_would_not_die_is_left():
    """The others are gone first, and the operator hears of the first that is not."""
    story = loaded(fifo("a", "b", "c"), "a", "b", "c")
    story.tell(unload_asked(7)).expect(stop(1), stop(2), stop(3))
    story.tell(stuck(2, "two")).expect()
    story.tell(stopped(3)).expect()
    story.tell(stuck(1, "one"))
    assert stuck_ones(story.answer) == [Unkillable(A, "one")]
    story.tell(stopped(1)).tell(stopped(2)).expect()
