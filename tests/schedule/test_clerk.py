"""What every scheduler does alike, told to both: taking events in, and clearing up after each."""

from collections.abc import Callable

import pytest

from swapd.config.settings import Model
from swapd.ids import ModelId
from swapd.schedule.effects import StopModel
from swapd.schedule.motives import Asked, Outdated, Unused, Unwell
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import BackingOff, LoadFailed, NotLoaded, ShuttingDown, UnknownModel
from swapd.schedule.serial import Serial
from swapd.schedule.teller import Teller
from tests.stories import (
    BOOM,
    Story,
    arm_idle,
    arrived,
    back_off_elapsed,
    broke,
    departed,
    exclusive,
    fifo,
    grant,
    idle_elapsed,
    loaded,
    model,
    place,
    prefetch,
    ready,
    reject,
    reset_asked,
    returned,
    serial,
    settings_changed,
    start,
    stop,
    stop_asked,
    stopped,
    stuck,
    turn_elapsed,
    unanswered,
    unload_asked,
)

A = ModelId("a")
Make = Callable[..., Story]


def in_turns(*models: str | Model, ttl: float = 0.0) -> Teller:
    """Make a fifo scheduler of models that all go for each other."""
    names = (each if isinstance(each, str) else each.id for each in models)
    return fifo(*models, evict=exclusive(*names), ttl=ttl)


@pytest.fixture(params=[serial, in_turns], ids=["serial", "fifo"])
def ready_story(request: pytest.FixtureRequest) -> Make:
    """Begin a story with the first of some models loaded."""

    def begin(*models: str | Model, ttl: float = 0.0) -> Story:
        first = models[0] if isinstance(models[0], str) else models[0].id
        return loaded(request.param(*models, ttl=ttl), first)

    return begin


def motive(story: Story) -> object:
    """Tell what the last run was stopped for."""
    last = story.so_far(StopModel)[-1]
    assert isinstance(last, StopModel)
    return last.why


# Why runs are stopped


def test_an_unused_model_says_for_how_long_it_was(ready_story: Make) -> None:
    """The journal of decisions tells people."""
    story = ready_story("a", ttl=60)
    story.after(5).tell(arrived(1, "a")).after(5).tell(departed(1))
    story.expect(arm_idle(1, 60, turn=1))
    story.after(60).tell(idle_elapsed(1, 1)).expect(stop(1))
    assert motive(story) == Unused(60.0)


def test_a_changed_model_says_that_it_is_outdated(ready_story: Make) -> None:
    """And one that drains says that somebody asked."""
    story = ready_story("a")
    story.tell(settings_changed(model("a", cmd="new"))).expect(stop(1))
    assert motive(story) == Outdated()
    story = ready_story("a")
    story.tell(arrived(1, "a")).tell(unload_asked(1, "a", drain=True))
    story.tell(departed(1)).expect(stop(1))
    assert motive(story) == Asked()


# How long a model is kept


def test_the_last_request_says_how_long_its_model_is_kept(ready_story: Make) -> None:
    """As Ollama's clients do; the next request says something else, or nothing."""
    story = ready_story("a", ttl=60)
    story.tell(arrived(1, "a", keep_alive=5)).tell(departed(1)).expect(arm_idle(1, 5, turn=1))
    story.tell(arrived(2, "a")).tell(departed(2)).expect(arm_idle(1, 60, turn=2))
    story.tell(arrived(3, "a", keep_alive=-1)).tell(departed(3)).expect()
    story.tell(arrived(4, "a", keep_alive=0)).tell(departed(4)).expect(arm_idle(1, 0, turn=4))
    story.tell(idle_elapsed(1, 4)).expect(stop(1))


def test_what_is_kept_0_seconds_is_still_there_for_who_waits(ready_story: Make) -> None:
    """Somebody else wants it; nobody's word is the last while another is there."""
    story = ready_story("a")
    story.tell(arrived(1, "a", keep_alive=0)).tell(departed(1)).expect(arm_idle(1, 0, turn=1))
    story.tell(arrived(2, "a")).expect(grant(2, 1))
    story.tell(idle_elapsed(1, 1)).expect()


# A model that has stopped answering


def test_an_unanswered_model_is_stopped_and_started_anew(ready_story: Make) -> None:
    """Before the next request finds it dead."""
    story = ready_story("a")
    story.tell(unanswered(1)).expect(stop(1))
    assert motive(story) == Unwell()
    story.tell(stopped(1)).expect(start("a", 2))
    story.tell(ready(2)).expect()
    story.tell(arrived(1, "a")).expect(grant(1, 2))


def test_who_comes_meanwhile_is_served_by_the_new_process(ready_story: Make) -> None:
    """It is started once, and for that request."""
    story = ready_story("a")
    story.tell(unanswered(1)).tell(arrived(1, "a")).expect(place(1, 1))
    story.tell(stopped(1)).expect(start("a", 2))
    story.tell(ready(2)).expect(grant(1, 2))


def test_who_wants_another_model_meanwhile_gets_that(ready_story: Make) -> None:
    """Nobody has asked for the one that was ill."""
    story = ready_story("a", "b")
    story.tell(unanswered(1)).tell(arrived(1, "b")).expect(place(1, 1))
    story.tell(stopped(1)).expect(start("b", 2))


def test_a_model_that_is_used_is_not_stopped_for_not_answering(ready_story: Make) -> None:
    """It may be too busy to; whoever uses it would notice."""
    story = ready_story("a")
    story.tell(arrived(1, "a"))
    story.tell(unanswered(1)).expect()


@pytest.mark.parametrize("late", [stopped(1), broke(1)], ids=["gone", "broken"])
def test_an_unanswered_model_that_is_going_is_left_to_go(ready_story: Make, late) -> None:
    """Somebody was faster."""
    story = ready_story("a")
    story.tell(unload_asked(1)).tell(late)
    story.tell(unanswered(1)).expect()


def test_what_starts_is_not_unanswered(ready_story: Make) -> None:
    """That is the business of the health check."""
    story = ready_story("b", "a")
    story.tell(arrived(1, "a")).tell(stopped(1)).tell(departed(1))
    story.tell(unanswered(2)).expect()


@pytest.mark.parametrize(
    "meanwhile",
    [stop_asked(), settings_changed("b"), unload_asked(1, "a")],
    ids=["stopping", "removed", "unloaded"],
)
def test_what_was_unwell_stays_away_if_nobody_can_want_it(ready_story: Make, meanwhile) -> None:
    """Shutting down, it would be started to be stopped."""
    story = ready_story("a", "b")
    story.tell(unanswered(1)).expect(stop(1))
    story.tell(meanwhile)
    story.tell(stopped(1))
    assert story.scheduler.phase(A) is Phase.STOPPED


def test_what_went_for_other_reasons_is_not_started_anew(ready_story: Make) -> None:
    """Idle, unloaded or crashed: the next request loads it."""
    story = ready_story("a", ttl=60)
    story.tell(departed(9)).expect(arm_idle(1, 60, turn=0))
    story.tell(idle_elapsed(1, 0)).expect(stop(1))
    story.tell(stopped(1)).expect()
    story = ready_story("a")
    story.tell(broke(1)).tell(stopped(1)).expect()


# Failures


def test_somebody_has_mended_it(ready_story: Make) -> None:
    """A reset forgets how the model has failed, and an old timer rings for nobody."""
    story = ready_story("b", "a")
    story.tell(unload_asked(1)).tell(stopped(1))
    for run in (2, 3):
        story.tell(arrived(run, "a")).tell(broke(run)).tell(stopped(run))
    story.tell(arrived(4, "a")).expect(reject(4, BackingOff(A, BOOM)))
    story.tell(reset_asked("b")).tell(arrived(5, "a")).expect(reject(5, BackingOff(A, BOOM)))
    story.tell(reset_asked("a")).expect()
    story.tell(back_off_elapsed("a", 2)).expect()
    story.tell(arrived(6, "a")).expect(place(6, 1), start("a", 4))
    story.tell(broke(4)).expect(reject(6, LoadFailed(A, BOOM)))


def test_a_reset_of_what_never_failed_means_nothing(ready_story: Make) -> None:
    """Or of what is not configured."""
    story = ready_story("a")
    for name in ("a", "ghost"):
        story.tell(reset_asked(name)).expect()


def test_a_back_off_ends_with_its_own_timer_only(ready_story: Make) -> None:
    """An earlier one rings into a later back-off."""
    story = ready_story("b", "a")
    story.tell(unload_asked(1)).tell(stopped(1))
    for run in (2, 3, 4):
        story.tell(back_off_elapsed("a", run - 2))
        story.tell(arrived(run, "a")).tell(broke(run)).tell(stopped(run))
    story.tell(back_off_elapsed("a", 2))
    story.tell(arrived(5, "a")).expect(reject(5, BackingOff(A, BOOM)))
    story.tell(back_off_elapsed("a", 3))
    story.tell(arrived(6, "a")).expect(place(6, 1), start("a", 5))


# Reading ahead


def test_the_next_model_is_read_ahead_while_another_is_used(ready_story: Make) -> None:
    """Once; and once more for the next time."""
    story = ready_story("a", model("b", prefetch=()))
    story.tell(arrived(1, "a")).tell(arrived(2, "b"))
    assert prefetch("b") in story.answer
    story.tell(arrived(3, "b"))
    assert prefetch("b") not in story.answer
    story.tell(departed(1)).tell(stopped(1)).expect(start("b", 2))
    story.tell(ready(2)).tell(arrived(4, "a"))
    for ticket in (2, 3):
        story.tell(departed(ticket))
    story.tell(stopped(2)).tell(ready(3)).tell(arrived(5, "b"))
    assert prefetch("b") in story.answer


def test_nothing_is_read_ahead_that_does_not_want_to_be(ready_story: Make) -> None:
    """Or while nobody is served: then it is loaded at once."""
    story = ready_story("a", "b")
    story.tell(arrived(1, "a")).tell(arrived(2, "b"))
    assert prefetch("b") not in story.answer
    story = ready_story("a", model("b", prefetch=()))
    story.tell(arrived(1, "b")).expect(place(1, 1), stop(1))


def test_what_is_loaded_is_not_read_ahead(ready_story: Make) -> None:
    """Those that wait for it have its files in memory."""
    story = ready_story(model("a", prefetch=()))
    for ticket in range(1, 13):
        story.tell(arrived(ticket, "a"))
        assert prefetch("a") not in story.answer


# What cannot come


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (settings_changed("b"), UnknownModel(A)),
        (stop_asked(), ShuttingDown()),
        (broke(1), NotLoaded(A)),
    ],
    ids=["removed", "stopping", "not loaded"],
)
def test_what_loads_nothing_is_told_the_best_reason(ready_story: Make, first, reason) -> None:
    """That its model is not loaded is the least that can be said."""
    story = ready_story("a", "b")
    story.tell(first)
    story.tell(arrived(1, "a", loads=False)).expect(reject(1, reason))


@pytest.mark.parametrize(
    "event",
    [
        *(ready(9), broke(9), stopped(9), stuck(9), unanswered(9), turn_elapsed(9)),
        *(idle_elapsed(9, 0), departed(9), returned(9, "a"), back_off_elapsed("a", 1)),
    ],
    ids=lambda event: type(event).__name__,
)
def test_news_of_strangers_changes_nothing(ready_story: Make, event) -> None:
    """S12: whoever is not on the desk has nothing to say."""
    story = ready_story("a", "b")
    story.tell(arrived(1, "a")).tell(arrived(2, "b"))
    before = repr(story.scheduler)
    story.tell(event).expect()
    assert repr(story.scheduler) == before


def test_it_describes_itself_by_its_desk(ready_story: Make) -> None:
    """A story that goes wrong prints it."""
    story = ready_story("a")
    name = "Serial" if isinstance(story.scheduler, Serial) else "Fifo"
    assert repr(story.scheduler) == f"<{name} <Desk a ready 0 serving, 0 waiting>>"
