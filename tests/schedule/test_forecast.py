"""What waits for what under fifo, and for how long."""

from swapd.ids import ModelId
from swapd.schedule.fifo import Fifo
from swapd.schedule.measures import Average
from swapd.schedule.standing import (
    Behind,
    Draining,
    Loading,
    Nothing,
    Stage,
    Stopping,
    TurnOf,
    Wait,
)
from tests.stories import (
    Story,
    arrived,
    departed,
    exclusive,
    fifo,
    grant,
    loaded,
    model,
    ready,
    settings_changed,
    stopped,
    unload_asked,
)

A, B, C = map(ModelId, "abc")
ABC = exclusive("a", "b", "c")


def known(scheduler: Fifo) -> Fifo:
    """Have measured all models: loads of 10 s, services of 4 s, stops of 1 s."""
    for name in scheduler._settings.models:
        measured = scheduler._desk.measures.of(name)
        measured.load, measured.service = Average(10.0, 10.0), Average(4.0, 4.0)
        measured.stop = Average(1.0, 1.0)
    return scheduler


def told(story: Story) -> list[tuple[int, Stage, Wait]]:
    """List those that wait, as people are told of them."""
    queue = list(story.scheduler.queue(story.now))
    return [(one.ticket, one.stage, one.wait) for one in queue if one.position]


def etas(story: Story) -> dict[int, float | None]:
    """List when those that wait will be granted, in their order."""
    queue = list(story.scheduler.queue(story.now))
    waiting = [one for one in queue if one.position]
    assert [one.position for one in waiting] == list(range(1, len(waiting) + 1))
    return {one.ticket: one.eta for one in waiting}


def arrive(story: Story, models: str, *, first: int = 1) -> Story:
    """Have a request arrive for each letter."""
    for ticket, name in enumerate(models, start=first):
        story.tell(arrived(ticket, name))
    return story


# What for


def test_who_waits_for_a_load_is_loading():
    """And so are all who joined it."""
    story = arrive(Story(fifo("a")), "aa").after(3)
    loading = Loading(A, 3.0, None)
    assert told(story) == [(1, Stage.LOADING, loading), (2, Stage.LOADING, loading)]
    story = arrive(Story(known(fifo("a"))), "a").after(3)
    assert told(story) == [(1, Stage.LOADING, Loading(A, 3.0, 10.0))]


def test_who_waits_for_room_is_told_what_is_stopping():
    """Both may wait for the same."""
    story = arrive(loaded(fifo(*"abc", evict=ABC), "a").after(1), "bb").after(2)
    stopping = Stage.WAITING, Stopping(A, 2.0)
    assert told(story) == [(1, *stopping), (2, *stopping)]


def test_who_needs_another_gone_is_told_of_its_turn_and_then_of_its_drain():
    """How long at most, and then how long the oldest has been served."""
    story = loaded(fifo("a", "b", evict=ABC), "a").after(2)
    arrive(story, "a")
    story.after(3)
    arrive(story, "ab", first=2).after(10)
    assert told(story) == [(3, Stage.WAITING, TurnOf(A, 2, 20.0))]
    story.after(20)
    assert told(story) == [(3, Stage.WAITING, Draining(A, 2, 33.0))]


def test_a_turn_without_an_end_is_told_so():
    """Whoever has configured that can see what it means."""
    story = arrive(loaded(fifo("a", "b", evict=ABC, max_turn=0), "a"), "ab")
    assert told(story) == [(2, Stage.WAITING, TurnOf(A, 1, None))]


def test_the_others_are_told_how_many_go_before():
    """By place in the whole queue; for a model that serves, by what it serves as well."""
    story = arrive(loaded(fifo("a", "b", evict=ABC), "a"), "abb")
    assert told(story)[1] == (3, Stage.WAITING, Behind(1))
    story = arrive(loaded(fifo("a"), "a"), "a" * 12)
    assert told(story) == [(11, Stage.WAITING, Behind(10)), (12, Stage.WAITING, Behind(11))]


def test_who_waits_behind_a_shut_gate_is_told_who_goes_before():
    """Its model is there, and will go first."""
    story = arrive(loaded(fifo("a", "b", evict=ABC), "a"), "ab").after(30)
    story.tell(arrived(3, "a"))
    assert [ticket for ticket, *_ in told(story)] == [2, 3]


def test_who_waits_for_an_earlier_run_to_go_is_told_so():
    """A model has one process at a time."""
    story = loaded(fifo("a"), "a")
    story.tell(unload_asked(1, "a")).tell(arrived(1, "a")).after(4)
    assert told(story) == [(1, Stage.WAITING, Stopping(A, 4.0))]


def test_who_waits_for_a_stale_run_is_told_of_something():
    """Its successor cannot start before what is served is over."""
    story = arrive(loaded(fifo("a"), "a"), "a")
    story.tell(settings_changed(model("a", cmd="new"))).tell(arrived(2, "a"))
    ((ticket, stage, wait),) = told(story)
    assert (ticket, stage) == (2, Stage.WAITING)
    assert isinstance(wait, Nothing | Behind | Draining)


# For how long


def test_a_cold_start_takes_its_load():
    """Less what has passed of it, and never less than nothing."""
    story = arrive(Story(known(fifo("a"))), "aa")
    assert etas(story) == {1: 10.0, 2: 10.0}
    assert etas(story.after(4)) == {1: 6.0, 2: 6.0}
    assert etas(story.after(40)) == {1: 0.0, 2: 0.0}


def test_what_was_never_measured_is_not_guessed():
    """None is an honest answer."""
    story = arrive(Story(fifo("a", "b", evict=ABC)), "ab")
    assert etas(story) == {1: None, 2: None}


def test_a_switch_is_the_rest_of_a_service_a_stop_and_a_load():
    """Then what is in the way is stopping, and only that is left of it."""
    story = arrive(loaded(known(fifo("a", "b", evict=ABC)), "a"), "ab").after(1)
    assert etas(story) == {2: 3.0 + 1.0 + 10.0}
    story.tell(departed(1)).after(0.25)
    assert etas(story) == {2: 0.75 + 10.0}
    story.tell(stopped(1)).after(2)
    assert etas(story) == {2: 8.0}


def test_models_follow_each_other():
    """Each is served out before the next one's switch."""
    story = arrive(Story(known(fifo(*"abc", evict=ABC))), "abcb")
    second = 10.0 + 4.0 + 1.0 + 10.0
    assert etas(story) == {1: 10.0, 2: second, 4: second, 3: second + 4.0 + 1.0 + 10.0}


def test_models_side_by_side_do_not_add_up():
    """Each has a room of its own."""
    story = arrive(Story(known(fifo("a", "b"))), "ab")
    assert etas(story) == {1: 10.0, 2: 10.0}


def test_ten_at_a_time_go_on_after_each_other():
    """The eleventh waits for one service, the twenty-first for two."""
    story = arrive(Story(known(fifo("a", "b", evict=ABC))), "a" * 21 + "b")
    guess = etas(story)
    assert [guess[ticket] for ticket in (1, 10, 11, 20, 21)] == [10.0, 10.0, 14.0, 14.0, 18.0]
    assert guess[22] == 10.0 + 3 * 4.0 + 1.0 + 10.0


def test_who_waits_behind_a_shut_gate_waits_for_two_switches():
    """The other's and its own model's again."""
    story = arrive(loaded(known(fifo("a", "b", evict=ABC)), "a"), "ab").after(60)
    story.tell(arrived(3, "a"))
    first = 0.0 + 1.0 + 10.0
    assert etas(story) == {2: first, 3: first + 4.0 + 1.0 + 10.0}


def test_a_loaded_model_that_goes_for_somebody_before_is_loaded_again():
    """It is there, needs another gone itself, and will have to go first."""
    story = loaded(known(fifo("a", "b", "x", evict={"a": "b x", "b": "x"})), "b", "x")
    arrive(story, "xab")
    guess = etas(story)
    assert guess[2] == 4.0 + 1.0 + 10.0
    assert guess[3] is not None
    assert guess[3] >= 10.0


def test_a_guess_comes_true_when_nothing_else_happens():
    """One model after the other, each service as long as usual."""
    story = arrive(Story(known(fifo("a", "b", evict=ABC))), "ab")
    guess = etas(story)[2]
    story.after(10).tell(ready(1)).after(4).tell(departed(1)).after(1).tell(stopped(1))
    assert etas(story) == {2: 10.0}
    story.after(10).tell(ready(2)).expect(grant(2, 2))
    assert story.now == guess
