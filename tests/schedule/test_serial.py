"""serial: the rows of the Go test that it comes from, then S1 to S17, then random worlds."""

import os

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.ids import ModelId
from swapd.schedule.effects import Grant, Place, Reject, StartModel
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import (
    BackingOff,
    LoadFailed,
    ModelUnloaded,
    NotLoaded,
    QueueFull,
    ShuttingDown,
    Unkillable,
    UnknownModel,
)
from swapd.schedule.standing import (
    Behind,
    Draining,
    Loading,
    Nothing,
    Plan,
    Stage,
    Stopping,
    Wait,
)
from tests import stories
from tests.stories import (
    BOOM,
    Story,
    arm_back_off,
    arm_drain,
    arm_idle,
    arrived,
    back_off_elapsed,
    broke,
    departed,
    drain_elapsed,
    grant,
    idle_elapsed,
    place,
    prefetch,
    ready,
    ready_story,
    reject,
    reset_asked,
    returned,
    revoke,
    serial,
    settings_changed,
    start,
    stop,
    stop_asked,
    stopped,
    stuck,
    unanswered,
    unload_asked,
    unloaded,
)
from tests.worlds import World, editions
from tests.worlds import stories as stories_at_random

A, B = ModelId("a"), ModelId("b")
NEW_A = stories.model("a", cmd="a --new")


# The seed, one test a row


def test_seed_fast_path_already_loaded():
    """A loaded model answers without any swap."""
    story = ready_story("a")
    story.tell(arrived(1, "a")).expect(grant(1, 1))


def test_seed_cold_start_loads_then_serves():
    """Nothing is served before the load is complete."""
    story = Story(serial("a"))
    story.tell(arrived(1, "a")).expect(place(1, 1), start("a", 1))
    story.tell(ready(1)).expect(grant(1, 1))


def test_seed_unknown_model():
    """A name that nobody configured costs nothing but an answer."""
    story = Story(serial("a"))
    story.tell(arrived(1, "ghost")).expect(reject(1, UnknownModel(ModelId("ghost"))))


def test_seed_evicts_every_other_model():
    """One model in memory is the scheduler's own promise, whatever else came to run."""
    scheduler = serial("a", "x", "y")
    for other in ("x", "y"):
        scheduler._desk.start(stories.model(other)).move(Phase.READY, 0.0)
    story = Story(scheduler)

    story.tell(arrived(1, "a")).expect(place(1, 1), stop(1), stop(2))
    story.tell(stopped(2)).expect()
    story.tell(stopped(1)).expect(start("a", 3))


def test_seed_one_job_at_a_time():
    """A second request waits while the first is served."""
    story = ready_story("a", "b")
    story.tell(arrived(1, "a")).expect(grant(1, 1))
    story.tell(arrived(2, "b")).expect(place(2, 1))
    story.tell(departed(1)).expect(stop(1))
    story.tell(stopped(1)).expect(start("b", 2))


def test_seed_same_model_consecutive_no_reload():
    """Back to back requests for one model cost one load."""
    story = Story(serial("a"))
    story.tell(arrived(1, "a")).expect(place(1, 1), start("a", 1))
    story.tell(arrived(2, "a")).expect(place(2, 2))
    story.tell(ready(1)).expect(grant(1, 1), place(2, 1))
    story.tell(departed(1)).expect(grant(2, 1))
    assert len(story.so_far(StartModel)) == 1


def test_seed_strict_arrival_order():
    """The core promise: no reordering, no batching, reloads and all."""
    story = Story(serial("qwen36", "qwen35", "sdxl"))
    story.tell(arrived(1, "qwen36")).expect(place(1, 1), start("qwen36", 1))
    story.tell(arrived(2, "qwen35")).expect(place(2, 2))
    story.tell(arrived(3, "sdxl")).expect(place(3, 3))
    story.tell(arrived(4, "qwen36")).expect(place(4, 4))

    story.tell(ready(1)).expect(grant(1, 1), place(2, 1), place(3, 2), place(4, 3))
    story.tell(departed(1)).expect(stop(1))
    story.tell(stopped(1)).expect(start("qwen35", 2))
    story.tell(ready(2)).expect(grant(2, 2), place(3, 1), place(4, 2))
    story.tell(departed(2)).expect(stop(2))
    story.tell(stopped(2)).expect(start("sdxl", 3))
    story.tell(ready(3)).expect(grant(3, 3), place(4, 1))
    story.tell(departed(3)).expect(stop(3))
    story.tell(stopped(3)).expect(start("qwen36", 4))
    story.tell(ready(4)).expect(grant(4, 4))


def test_seed_swap_error_fails_caller_and_advances():
    """A broken model must not hold up the next one."""
    story = Story(serial("a", "b"))
    story.tell(arrived(1, "a")).tell(arrived(2, "b"))
    story.tell(broke(1)).expect(reject(1, LoadFailed(A, BOOM)), place(2, 1))
    story.tell(stopped(1)).expect(start("b", 2))


def test_seed_grant_serve_false_advances():
    """A caller that left before its grant counts for nothing."""
    story = Story(serial("a", "b"))
    story.tell(arrived(1, "a")).tell(arrived(2, "b"))
    story.tell(departed(1)).expect(place(2, 1), stop(1))
    story.tell(ready(1)).expect()
    story.tell(stopped(1)).expect(start("b", 2))
    assert story.so_far(Grant) == []


def test_seed_on_cancel_queued_request():
    """A request cancelled in the queue never causes a load."""
    story = Story(serial("a", "b"))
    story.tell(arrived(1, "a")).tell(arrived(2, "b"))
    story.tell(departed(2)).expect()
    story.tell(ready(1)).expect(grant(1, 1))
    story.tell(departed(1)).expect()
    assert story.so_far(StartModel) == [start("a", 1)]


def test_seed_on_shutdown_fails_queued_and_active_load():
    """Shutting down answers everybody who has not been served."""
    story = Story(serial("a", "b", "c"))
    story.tell(arrived(1, "a")).tell(arrived(2, "b")).tell(arrived(3, "c"))
    gone = ShuttingDown()
    story.tell(stop_asked()).expect(reject(1, gone), reject(2, gone), reject(3, gone))
    story.tell(ready(1)).expect()


def test_seed_on_unload_while_serving():
    """Unloading a busy model must neither strand the queue nor start the next one early."""
    story = ready_story("a", "b")
    story.tell(arrived(1, "a")).tell(arrived(2, "b"))
    story.tell(unload_asked(1, "a")).expect(revoke(1, ModelUnloaded(A)), stop(1))
    story.tell(stopped(1)).expect(unloaded(1))
    story.tell(departed(1)).expect(start("b", 2))


def test_seed_on_unload_drops_queued_and_stops():
    """Unloading a loading model fails its request; the others stay."""
    story = Story(serial("a", "b"))
    story.tell(arrived(1, "a")).tell(arrived(2, "b"))
    story.tell(unload_asked(1, "a")).expect(reject(1, ModelUnloaded(A)), stop(1), place(2, 1))
    story.tell(stopped(1)).expect(start("b", 2), unloaded(1))


# The rules


def test_s1_one_at_a_time_for_the_same_model_too():
    """Serial never runs two requests at once, not even where the model could."""
    story = ready_story("a")
    story.tell(arrived(1, "a")).expect(grant(1, 1))
    story.tell(arrived(2, "a")).expect(place(2, 1))
    story.tell(departed(1)).expect(grant(2, 1))


def test_s2_unknown_model_is_refused_while_another_is_busy():
    """A typo gets its answer at once and takes nobody's place."""
    story = Story(serial("a"))
    story.tell(arrived(1, "a"))
    story.tell(arrived(2, "ghost")).expect(reject(2, UnknownModel(ModelId("ghost"))))
    story.tell(arrived(3, "a")).expect(place(3, 2))


def test_s3_head_needs_its_model_ready_and_nothing_else_running():
    """A ready model is not enough while another one still occupies memory."""
    scheduler = serial("a", "x")
    scheduler._desk.start(stories.model("a")).move(Phase.READY, 0.0)
    scheduler._desk.start(stories.model("x")).move(Phase.READY, 0.0)
    story = Story(scheduler)

    story.tell(arrived(1, "a")).expect(place(1, 1), stop(2))
    story.tell(stopped(2)).expect(grant(1, 1))


def test_s4_a_b_c_a_loads_a_again():
    """Coming back to an evicted model costs its load."""
    story = Story(serial("a", "b", "c"))
    for ticket, model in enumerate("abca", start=1):
        story.tell(arrived(ticket, model))
    for run in (1, 2, 3):
        story.tell(ready(run)).tell(departed(run)).tell(stopped(run))
    story.tell(ready(4)).expect(grant(4, 4))
    wanted = [start("a", 1), start("b", 2), start("c", 3), start("a", 4)]
    assert story.so_far(StartModel) == wanted


def test_s5_a_failed_load_fails_only_its_own_request():
    """The next request for the same model is a new try."""
    story = Story(serial("a"))
    story.tell(arrived(1, "a")).tell(arrived(2, "a"))
    story.tell(broke(1)).expect(reject(1, LoadFailed(A, BOOM)), place(2, 1))
    story.tell(stopped(1)).expect(start("a", 2))
    story.tell(ready(2)).expect(grant(2, 2))


def test_s5_a_second_failure_in_a_row_opens_a_back_off():
    """A model that cannot load must not cost everybody a start each."""
    story = Story(serial("a", "b"))
    for ticket, model in enumerate("aaab", start=1):
        story.tell(arrived(ticket, model))
    story.tell(broke(1)).tell(stopped(1))
    back_off = BackingOff(A, BOOM)
    story.tell(broke(2)).expect(
        reject(2, LoadFailed(A, BOOM)),
        arm_back_off("a", 10, attempt=2),
        reject(3, back_off),
        place(4, 1),
    )
    story.tell(arrived(5, "a")).expect(reject(5, back_off))
    story.tell(stopped(2)).expect(start("b", 3))
    story.tell(back_off_elapsed("a", 2)).expect()
    story.tell(arrived(6, "a")).expect(place(6, 2))


@pytest.mark.parametrize(("attempt", "seconds"), [(2, 10), (3, 20), (6, 160), (7, 300), (40, 300)])
def test_s5_back_off_doubles_up_to_five_minutes(attempt, seconds):
    """A hopeless model is asked ever more rarely, but never given up."""
    story = Story(serial("a"))
    for run in range(1, attempt + 1):
        story.tell(back_off_elapsed("a", run - 1))
        story.tell(arrived(run, "a")).tell(broke(run))
        last = story.answer
        story.tell(stopped(run))
    assert last == [
        reject(attempt, LoadFailed(A, BOOM)),
        arm_back_off("a", seconds, attempt=attempt),
    ]


@pytest.mark.parametrize("reset", [unload_asked(1, "a"), unload_asked(1)])
def test_s5_an_unload_forgets_failures(reset):
    """An operator who has mended the model need not wait for a timer."""
    story = Story(serial("a"))
    for run in (1, 2):
        story.tell(arrived(run, "a")).tell(broke(run)).tell(stopped(run))
    story.tell(reset).expect(unloaded(1))
    story.tell(back_off_elapsed("a", 2)).expect()
    story.tell(arrived(3, "a")).expect(place(3, 1), start("a", 3))


def test_s5_a_success_forgets_failures():
    """Only failures in a row count."""
    story = Story(serial("a"))
    story.tell(arrived(1, "a")).tell(broke(1)).tell(stopped(1))
    story.tell(arrived(2, "a")).tell(ready(2)).tell(departed(2))
    story.tell(unload_asked(1, "a")).tell(stopped(2))
    story.tell(arrived(3, "a"))
    story.tell(broke(3)).expect(reject(3, LoadFailed(A, BOOM)))


def test_s6_a_request_gone_at_its_turn_is_skipped():
    """No grant is counted for a client that left; the next one runs."""
    story = ready_story("a")
    for ticket in (1, 2, 3):
        story.tell(arrived(ticket, "a"))
    story.tell(departed(2)).expect(place(3, 1))
    story.tell(departed(1)).expect(grant(3, 1))


def test_s7_a_cancelled_queued_request_never_loads():
    """A client that hung up must not cost the next one a swap."""
    story = ready_story("a", "b", ttl=300)
    story.tell(arrived(1, "a")).expect(grant(1, 1))
    story.tell(arrived(2, "b")).expect(place(2, 1))
    story.tell(departed(2)).expect()
    story.tell(departed(1)).expect(arm_idle(1, 300, turn=2))


def test_s8_a_cancelled_load_goes_on_while_nobody_waits():
    """A client that retries finds the model warm."""
    story = Story(serial("a"))
    story.tell(arrived(1, "a"))
    story.tell(departed(1)).expect()
    story.tell(arrived(2, "a")).expect(place(2, 1))
    story.tell(ready(1)).expect(grant(2, 1))


def test_s8_the_next_in_the_queue_takes_the_load_over():
    """The same model is not started twice because one client left."""
    story = Story(serial("a"))
    story.tell(arrived(1, "a")).tell(arrived(2, "a"))
    story.tell(departed(1)).expect(place(2, 1))
    story.tell(ready(1)).expect(grant(2, 1))


def test_s8_another_model_waiting_cancels_the_load_at_once():
    """Nobody waits for a load that is for nobody."""
    story = Story(serial("a", "b"))
    story.tell(arrived(1, "a")).tell(departed(1))
    story.tell(arrived(2, "b")).expect(place(2, 1), stop(1))
    story.tell(stopped(1)).expect(start("b", 2))


@pytest.mark.parametrize("first", ["request over", "process gone"])
def test_s9_the_queue_advances_when_request_and_process_are_gone(first):
    """Either alone is not enough, in either order."""
    story = ready_story("a", "b")
    story.tell(arrived(1, "a")).tell(arrived(2, "b")).tell(unload_asked(1, "a"))
    if first == "request over":
        story.tell(departed(1)).expect()
        story.tell(stopped(1)).expect(start("b", 2), unloaded(1))
    else:
        story.tell(stopped(1)).expect(unloaded(1))
        story.tell(departed(1)).expect(start("b", 2))


def test_s9_unloading_twice_revokes_once_and_answers_both():
    """An impatient operator asks again; both get their answer, the client one error."""
    story = ready_story("a")
    story.tell(arrived(1, "a"))
    story.tell(unload_asked(1, "a")).expect(revoke(1, ModelUnloaded(A)), stop(1))
    story.tell(unload_asked(2, "a")).expect()
    story.tell(stopped(1)).expect(unloaded(1), unloaded(2))


def test_s10_unload_drops_the_queued_of_those_models_only():
    """Requests for other models stay, and the next one runs."""
    story = Story(serial("a", "b"))
    for ticket, model in enumerate("abab", start=1):
        story.tell(arrived(ticket, model))
    story.tell(unload_asked(1, "a")).expect(
        reject(1, ModelUnloaded(A)),
        reject(3, ModelUnloaded(A)),
        stop(1),
        place(2, 1),
        place(4, 2),
    )
    story.tell(stopped(1)).expect(start("b", 2), unloaded(1))


def test_unloading_what_does_not_run_is_answered_at_once():
    """Unloading a stopped model is a success."""
    story = Story(serial("a"))
    story.tell(unload_asked(1, "a")).expect(unloaded(1))
    story.tell(unload_asked(2)).expect(unloaded(2))


def test_a_request_after_the_unload_waits_for_the_process_to_go():
    """The second client gets a fresh run, not the dying one (D33, D34)."""
    story = ready_story("a")
    story.tell(unload_asked(1, "a")).expect(stop(1))
    story.tell(arrived(1, "a")).expect(place(1, 1))
    story.tell(stopped(1)).expect(start("a", 2), unloaded(1))


def test_s11_shutdown_lets_the_served_finish_and_admits_nobody():
    """The drain is for those who have their turn."""
    story = ready_story("a")
    story.tell(arrived(1, "a")).tell(arrived(2, "a"))
    story.tell(stop_asked()).expect(reject(2, ShuttingDown()))
    story.tell(arrived(3, "a")).expect(reject(3, ShuttingDown()))
    story.tell(departed(1)).expect()


def test_s12_news_of_an_earlier_run_changes_nothing():
    """A late word of a dead process can never grant, fail or end anything."""
    story = ready_story("a")
    story.tell(unload_asked(1, "a")).tell(stopped(1)).tell(arrived(1, "a"))
    for late in (ready(1), broke(1), stuck(1), stopped(1), idle_elapsed(1, 1)):
        story.tell(late).expect()
    story.tell(ready(2)).expect(grant(1, 2))


def test_s12_a_load_that_got_ready_while_being_cancelled_is_not_used():
    """Ready and StopModel may cross; the process is dying all the same."""
    story = Story(serial("a", "b"))
    story.tell(arrived(1, "a")).tell(arrived(2, "b")).tell(departed(1))
    story.tell(ready(1)).expect()
    story.tell(broke(1)).expect()
    story.tell(stopped(1)).expect(start("b", 2))


def test_s13_the_queue_is_bounded():
    """One more than the limit is refused; a place that comes free can be taken."""
    story = Story(serial("a", max_queue=2))
    story.tell(arrived(1, "a")).tell(arrived(2, "a"))
    story.tell(arrived(3, "a")).expect(reject(3, QueueFull(2)))
    story.tell(ready(1)).expect(grant(1, 1), place(2, 1))
    story.tell(arrived(4, "a")).expect(place(4, 2))


def test_s14_the_new_model_starts_only_when_the_old_one_is_gone():
    """Two models in memory at once is an out-of-memory error for somebody."""
    story = ready_story("a", "b")
    story.tell(arrived(1, "b")).expect(place(1, 1), stop(1))
    story.tell(ready(1)).expect()
    story.tell(broke(1)).expect()
    story.tell(stopped(1)).expect(start("b", 2))


def test_s14_nothing_is_loaded_on_top_of_what_will_not_die():
    """Everybody is told which process it is; when it goes at last, life goes on."""
    story = ready_story("a", "b")
    story.tell(arrived(1, "b")).tell(arrived(2, "a"))
    why = Unkillable(A, "pid 7 survived SIGKILL")
    story.tell(stuck(1)).expect(reject(1, why), reject(2, why))
    story.tell(arrived(3, "b")).expect(reject(3, why))
    story.tell(unload_asked(1)).expect(unloaded(1, why))
    story.tell(stopped(1)).expect()
    story.tell(arrived(4, "b")).expect(place(4, 1), start("b", 2))


def test_an_unload_that_gets_stuck_is_answered_with_the_reason():
    """The operator hears which process survived instead of waiting for ever."""
    story = ready_story("a")
    story.tell(unload_asked(1, "a")).expect(stop(1))
    story.tell(stuck(1)).expect(unloaded(1, Unkillable(A, "pid 7 survived SIGKILL")))


def test_s15_idle_is_armed_when_the_last_request_leaves():
    """The clock of `ttl` starts when nobody wants the model any more."""
    story = ready_story("a", ttl=300)
    story.tell(arrived(1, "a")).tell(arrived(2, "a"))
    story.tell(departed(1)).expect(grant(2, 1))
    story.tell(departed(2)).expect(arm_idle(1, 300, turn=3))
    story.tell(idle_elapsed(1, 3)).expect(stop(1))


def test_s15_an_old_timer_never_fires_after_another_turn():
    """A timer armed before the last use says nothing about idleness since."""
    story = ready_story("a", ttl=300)
    story.tell(arrived(1, "a")).tell(departed(1)).expect(arm_idle(1, 300, turn=2))
    story.tell(idle_elapsed(1, 1)).expect()
    story.tell(idle_elapsed(1, 2)).expect(stop(1))


def test_s15_a_timer_never_fires_while_a_request_is_served():
    """A long answer is use, not idleness."""
    story = ready_story("a", ttl=300)
    story.tell(arrived(1, "a")).expect(grant(1, 1))
    story.tell(idle_elapsed(1, 1)).expect()


def test_s15_idle_counts_from_readiness_for_a_model_nobody_used():
    """A load whose client left is kept for its whole ttl (D16)."""
    story = Story(serial("a", ttl=300))
    story.tell(arrived(1, "a")).tell(departed(1))
    story.tell(ready(1)).expect(arm_idle(1, 300, turn=0))
    story.tell(idle_elapsed(1, 0)).expect(stop(1))


def test_no_ttl_no_timer():
    """`ttl: 0` keeps the model for ever."""
    story = ready_story("a")
    story.tell(arrived(1, "a")).tell(departed(1)).expect()


def test_a_crash_while_serving_waits_for_request_and_process():
    """The client sees its connection end; the next load waits for the sweep."""
    story = ready_story("a")
    story.tell(arrived(1, "a")).tell(arrived(2, "a"))
    story.tell(broke(1)).expect()
    story.tell(departed(1)).expect()
    story.tell(stopped(1)).expect(start("a", 2))


def test_a_crashed_idle_model_is_loaded_again_on_demand():
    """There is no automatic restart, and no grant to a dead process."""
    story = ready_story("a")
    story.tell(broke(1)).expect()
    story.tell(arrived(1, "a")).expect(place(1, 1))
    story.tell(stopped(1)).expect(start("a", 2))


def test_a_request_that_a_dead_model_never_saw_waits_again_first():
    """It keeps its place before everybody who came later, and the model is loaded anew."""
    story = ready_story("a", "b")
    story.tell(arrived(1, "a")).tell(arrived(2, "b")).tell(arrived(3, "a"))
    story.tell(broke(1)).expect()
    story.tell(returned(1, "a")).expect(place(1, 1), place(2, 2), place(3, 3))
    story.tell(stopped(1)).expect(start("a", 2))
    story.tell(ready(2)).expect(grant(1, 2), place(2, 1), place(3, 2))


def test_a_request_returned_while_stopping_is_refused():
    """Nothing is loaded any more."""
    story = ready_story("a")
    story.tell(arrived(1, "a")).tell(broke(1)).tell(stop_asked())
    story.tell(returned(1, "a")).expect(reject(1, ShuttingDown()))


def test_returning_what_was_not_granted_or_is_revoked_means_nothing():
    """Its end is on its way already."""
    story = ready_story("a")
    story.tell(returned(9, "a")).expect()
    story.tell(arrived(1, "a")).tell(unload_asked(1, "a"))
    story.tell(returned(1, "a")).expect()


def test_departing_twice_means_nothing():
    """The engine may say goodbye for a stalled client; its own goodbye comes later."""
    story = ready_story("a")
    story.tell(arrived(1, "a")).tell(arrived(2, "a"))
    story.tell(departed(1)).expect(grant(2, 1))
    story.tell(departed(1)).expect()


def test_the_first_answer_to_an_arrival_is_its_own():
    """Whoever arrives learns at once where it stands."""
    story = Story(serial("a", "b", max_queue=2))
    for ticket, model in enumerate(("a", "ghost", "b", "a"), start=1):
        story.tell(arrived(ticket, model))
        first = story.answer[0]
        assert isinstance(first, Reject | Place | Grant)
        assert first.ticket == ticket


# S16: a reload


def test_s16_the_new_settings_are_used_from_then_on():
    """A model that was added can be asked for; one that was removed is nobody's."""
    story = Story(serial("a"))
    story.tell(settings_changed("b")).expect()
    story.tell(arrived(1, "a")).expect(reject(1, UnknownModel(A)))
    story.tell(arrived(2, "b")).expect(place(2, 1), start("b", 1))


@pytest.mark.parametrize("after", [[], [NEW_A]], ids=["removed", "changed"])
def test_s16_a_stale_run_finishes_what_it_serves_and_is_stopped_then(after):
    """An answer is not cut for an edit in a file, nor does the old process serve anybody else."""
    story = ready_story("a", ttl=300)
    story.tell(arrived(1, "a")).expect(grant(1, 1))
    story.tell(settings_changed(*after)).expect()
    story.tell(departed(1)).expect(stop(1))
    story.tell(stopped(1)).expect()
    assert story.scheduler.phase(A) is Phase.STOPPED


@pytest.mark.parametrize("after", [[], [NEW_A]], ids=["removed", "changed"])
def test_s16_a_stale_run_that_serves_nobody_is_stopped_at_once(after):
    """Nobody would ever stop it else: its idle timer may be days away, or none."""
    story = ready_story("a")
    story.tell(settings_changed(*after)).expect(stop(1))
    story.tell(stopped(1)).expect()


def test_s16_a_stale_run_is_stopped_while_it_starts_too():
    """Its request waits for the new definition, which may be why the file was edited."""
    story = Story(serial("a"))
    story.tell(arrived(1, "a")).expect(place(1, 1), start("a", 1))
    story.tell(settings_changed(NEW_A)).expect(stop(1))
    story.tell(ready(1)).expect()
    story.tell(stopped(1)).expect(start("a", 2))
    story.tell(ready(2)).expect(grant(1, 2))


def test_s16_an_unchanged_run_stays_loaded_and_keeps_its_turn():
    """A reload costs nobody anything whose model it does not touch."""
    story = ready_story("a", "b")
    story.tell(arrived(1, "a")).tell(arrived(2, "a"))
    renamed = attrs.evolve(stories.model("a"), description="the good one")
    story.tell(settings_changed(renamed, "c")).expect()
    story.tell(departed(1)).expect(grant(2, 1))


def test_s16_an_unchanged_load_goes_on():
    """Whoever waits for it has waited long enough."""
    story = Story(serial("a", "b"))
    story.tell(arrived(1, "a")).expect(place(1, 1), start("a", 1))
    story.tell(settings_changed("a")).expect()
    story.tell(ready(1)).expect(grant(1, 1))


def test_s16_a_changed_ttl_arms_the_idle_timer_anew_and_the_old_one_rings_for_nobody():
    """There is no taking back of a timer; its turn number is no more."""
    story = Story(serial("a", ttl=300))
    story.tell(arrived(1, "a")).tell(ready(1))
    story.tell(departed(1)).expect(arm_idle(1, 300, turn=1))
    story.tell(settings_changed("a", ttl=60)).expect(arm_idle(1, 60, turn=2))
    story.tell(idle_elapsed(1, 1)).expect()
    story.tell(idle_elapsed(1, 2)).expect(stop(1))


def test_s16_a_ttl_that_was_taken_away_keeps_the_model():
    """The timer that ticks already is a thing of the past; and one that comes anew is armed."""
    story = Story(serial("a", ttl=300))
    story.tell(arrived(1, "a")).tell(ready(1)).tell(departed(1))
    story.tell(settings_changed("a")).expect()
    story.tell(idle_elapsed(1, 1)).expect()
    story.tell(settings_changed("a", ttl=60)).expect(arm_idle(1, 60, turn=2))


def test_s16_the_same_ttl_keeps_its_timer():
    """Whoever saves the file every minute must not keep every model in memory."""
    story = Story(serial("a", ttl=300))
    story.tell(arrived(1, "a")).tell(ready(1)).tell(departed(1))
    story.tell(settings_changed("a", "b", ttl=300)).expect()
    story.tell(idle_elapsed(1, 1)).expect(stop(1))


def test_s16_a_ttl_that_changes_under_a_served_request_counts_from_its_end():
    """A long answer is use, not idleness."""
    story = ready_story("a", ttl=300)
    story.tell(arrived(1, "a")).tell(settings_changed("a", ttl=60)).expect()
    story.tell(departed(1)).expect(arm_idle(1, 60, turn=2))


def test_s16_who_waits_for_a_removed_model_is_refused():
    """It would wait for ever; the others move up."""
    story = ready_story("a", "b")
    for ticket, name in enumerate("abab", start=1):
        story.tell(arrived(ticket, name))
    unknown = UnknownModel(B)
    story.tell(settings_changed("a")).expect(reject(2, unknown), reject(4, unknown), place(3, 1))


def test_s16_a_removed_load_is_stopped_with_its_request_refused():
    """And the next in the queue gets its turn."""
    story = Story(serial("a", "b"))
    story.tell(arrived(1, "a")).tell(arrived(2, "b"))
    story.tell(settings_changed("b")).expect(reject(1, UnknownModel(A)), place(2, 1), stop(1))
    story.tell(stopped(1)).expect(start("b", 2))


def test_s16_who_waits_for_a_changed_model_gets_its_new_definition():
    """The old process is at the head's own model, and is stopped all the same, and gone first."""
    story = ready_story("a")
    story.tell(arrived(1, "a")).tell(arrived(2, "a"))
    story.tell(settings_changed(NEW_A)).expect()
    story.tell(departed(1)).expect(stop(1))
    story.tell(arrived(3, "a")).expect(place(3, 2))
    story.tell(stopped(1)).expect(start("a", 2))
    story.tell(ready(2)).expect(grant(2, 2), place(3, 1))


def test_s16_failures_of_a_changed_model_are_forgotten():
    """Whoever has mended its definition need not wait for a timer, which rings for nobody."""
    story = Story(serial("a"))
    for run in (1, 2):
        story.tell(arrived(run, "a")).tell(broke(run)).tell(stopped(run))
    story.tell(settings_changed(NEW_A)).expect()
    story.tell(back_off_elapsed("a", 2)).expect()
    story.tell(arrived(3, "a")).expect(place(3, 1), start("a", 3))
    story.tell(broke(3)).expect(reject(3, LoadFailed(A, BOOM)))


def test_s16_failures_of_a_removed_model_are_forgotten():
    """When it comes back, it comes back as new."""
    story = Story(serial("a"))
    for run in (1, 2):
        story.tell(arrived(run, "a")).tell(broke(run)).tell(stopped(run))
    story.tell(settings_changed()).tell(settings_changed("a"))
    story.tell(arrived(3, "a")).expect(place(3, 1), start("a", 3))


def test_s16_failures_of_a_model_that_is_as_before_are_remembered():
    """Touching the file mends nothing."""
    story = Story(serial("a"))
    for run in (1, 2):
        story.tell(arrived(run, "a")).tell(broke(run)).tell(stopped(run))
    story.tell(settings_changed("a", "b")).expect()
    story.tell(arrived(3, "a")).expect(reject(3, BackingOff(A, BOOM)))


def test_s16_a_stale_load_that_breaks_is_no_failure_of_the_new_definition():
    """It was told to stop; what it says meanwhile fails nobody."""
    story = Story(serial("a"))
    story.tell(arrived(1, "a")).tell(settings_changed(NEW_A)).expect(stop(1))
    story.tell(broke(1)).expect()
    story.tell(stopped(1)).expect(start("a", 2))
    story.tell(broke(2)).expect(reject(1, LoadFailed(A, BOOM)))


@pytest.mark.parametrize("after", [["b"], [NEW_A, "b"]], ids=["removed", "changed"])
def test_s16_a_stale_run_may_be_anything_on_its_way_out(after):
    """No lookup of what is configured no more ever fails, whatever else happens meanwhile."""
    story = ready_story("a", "b", ttl=300)
    story.tell(arrived(1, "a")).tell(settings_changed(*after, ttl=60)).expect()
    story.tell(arrived(2, "b")).expect(place(2, 1))
    for late in (ready(1), idle_elapsed(1, 1), idle_elapsed(1, 2), back_off_elapsed("a", 1)):
        story.tell(late).expect()
    story.tell(broke(1)).expect()
    story.tell(departed(1)).expect()
    story.tell(stopped(1)).expect(start("b", 2))


def test_s16_max_queue_is_for_new_arrivals_only():
    """Nobody who was let in is thrown out."""
    story = Story(serial("a"))
    for ticket in (1, 2, 3):
        story.tell(arrived(ticket, "a"))
    story.tell(settings_changed("a", max_queue=2)).expect()
    story.tell(arrived(4, "a")).expect(reject(4, QueueFull(2)))
    story.tell(ready(1)).expect(grant(1, 1), place(2, 1), place(3, 2))
    story.tell(arrived(5, "a")).expect(reject(5, QueueFull(2)))
    story.tell(settings_changed("a", max_queue=3)).expect()
    story.tell(arrived(6, "a")).expect(place(6, 3))


@pytest.mark.parametrize("named", [["a"], []], ids=["by name", "all"])
def test_s16_a_stale_run_of_a_removed_model_can_be_unloaded(named):
    """Its request ends, and the order is answered when the process is gone."""
    story = ready_story("a")
    story.tell(arrived(1, "a")).tell(settings_changed("b")).expect()
    story.tell(unload_asked(1, *named)).expect(revoke(1, ModelUnloaded(A)), stop(1))
    story.tell(departed(1)).expect()
    story.tell(stopped(1)).expect(unloaded(1))


def test_s16_an_order_outlives_the_removal_of_what_it_waits_for():
    """It was given for a process, and that still has to go."""
    story = ready_story("a")
    story.tell(unload_asked(1, "a")).expect(stop(1))
    story.tell(settings_changed("b")).expect()
    story.tell(unload_asked(2)).expect()
    story.tell(stopped(1)).expect(unloaded(1), unloaded(2))


def test_s16_a_stuck_run_of_a_removed_model_stays_known():
    """It still sits in memory: nothing is loaded on top of it, and its phase can be asked for."""
    story = ready_story("a")
    story.tell(settings_changed("b")).expect(stop(1))
    assert story.scheduler.phase(A) is Phase.STOPPING
    story.tell(stuck(1)).expect()
    assert story.scheduler.phase(A) is Phase.FAILED
    why = Unkillable(A, "pid 7 survived SIGKILL")
    story.tell(arrived(1, "b")).expect(reject(1, why))
    story.tell(settings_changed("a", "b")).expect()
    story.tell(arrived(2, "a")).expect(reject(2, why))
    story.tell(stopped(1)).expect()
    story.tell(arrived(3, "a")).expect(place(3, 1), start("a", 2))


def test_s16_a_request_returned_to_a_removed_model_is_refused():
    """There is nobody left that it could wait for."""
    story = ready_story("a")
    story.tell(arrived(1, "a")).tell(broke(1)).tell(settings_changed("b"))
    story.tell(returned(1, "a")).expect(reject(1, UnknownModel(A)))


def test_s16_a_request_returned_to_a_changed_model_gets_its_new_definition():
    """It keeps its place, and waits until the dead process is swept."""
    story = ready_story("a")
    story.tell(arrived(1, "a")).tell(broke(1)).tell(settings_changed(NEW_A)).expect()
    story.tell(returned(1, "a")).expect(place(1, 1))
    story.tell(stopped(1)).expect(start("a", 2))
    story.tell(ready(2)).expect(grant(1, 2))


def test_s16_a_change_that_is_taken_back_in_time_costs_no_load():
    """The process fits again what is configured, and nobody has told it to stop."""
    story = ready_story("a")
    story.tell(arrived(1, "a")).tell(arrived(2, "a"))
    story.tell(settings_changed(NEW_A)).tell(settings_changed("a")).expect()
    story.tell(departed(1)).expect(grant(2, 1))


def test_s16_a_change_that_is_taken_back_too_late_loads_anew():
    """A process that was told to stop does."""
    story = ready_story("a")
    story.tell(settings_changed(NEW_A)).expect(stop(1))
    story.tell(settings_changed("a")).expect()
    story.tell(arrived(1, "a")).expect(place(1, 1))
    story.tell(stopped(1)).expect(start("a", 2))


def test_s16_a_reload_while_stopping_admits_nobody():
    """Both hold: what is stale ends, and nothing starts."""
    story = ready_story("a")
    story.tell(stop_asked()).expect()
    story.tell(settings_changed(NEW_A)).expect(stop(1))
    story.tell(arrived(1, "a")).expect(reject(1, ShuttingDown()))
    story.tell(stopped(1)).expect()


def test_s17_what_loads_nothing_is_served_by_a_model_that_is_there():
    """In its turn like any other."""
    story = ready_story("a")
    story.tell(arrived(1, "a")).expect(grant(1, 1))
    story.tell(arrived(2, "a", loads=False)).expect(place(2, 1))
    story.tell(departed(1)).expect(grant(2, 1))


def test_s17_what_loads_nothing_is_refused_at_once_where_there_is_no_model():
    """Neither stopped nor on its way, nor with another at work."""
    story = Story(serial("a", "b"))
    story.tell(arrived(1, "a", loads=False)).expect(reject(1, NotLoaded(A)))
    story.tell(arrived(2, "a")).expect(place(2, 1), start("a", 1))
    story.tell(arrived(3, "a", loads=False)).expect(reject(3, NotLoaded(A)))
    story.tell(ready(1)).expect(grant(2, 1))
    story.tell(arrived(4, "b", loads=False)).expect(reject(4, NotLoaded(ModelId("b"))))


def test_s17_what_loads_nothing_is_refused_when_its_model_goes():
    """A page that polls, left open in a browser, must not swap for ever."""
    story = ready_story("a", "b")
    story.tell(arrived(1, "a")).expect(grant(1, 1))
    story.tell(arrived(2, "b")).expect(place(2, 1))
    story.tell(arrived(3, "a", loads=False)).expect(place(3, 2))
    story.tell(departed(1)).expect(reject(3, NotLoaded(A)), stop(1))
    story.tell(stopped(1)).expect(start("b", 2))


def test_s17_what_loads_nothing_does_not_wait_for_a_changed_model():
    """The run that there is will serve nobody any more, and none is started for it."""
    story = ready_story("a")
    story.tell(arrived(1, "a")).expect(grant(1, 1))
    story.tell(arrived(2, "a", loads=False)).expect(place(2, 1))
    story.tell(settings_changed(NEW_A)).expect(reject(2, NotLoaded(A)))


def test_s17_what_loads_nothing_and_found_nobody_is_refused():
    """Its model has died under it."""
    story = ready_story("a")
    story.tell(arrived(1, "a", loads=False)).expect(grant(1, 1))
    story.tell(broke(1))
    story.tell(returned(1, "a")).expect(reject(1, NotLoaded(A)))
    story.tell(stopped(1)).expect()


# What else a request, an operator and a health check may say


def test_a_request_says_how_long_its_model_is_kept():
    """Below 0 for ever; the next one that says nothing goes by the configuration again."""
    story = ready_story("a", ttl=300)
    story.tell(arrived(1, "a", keep_alive=20)).tell(departed(1)).expect(arm_idle(1, 20, turn=2))
    story.tell(arrived(2, "a", keep_alive=-1)).tell(departed(2)).expect()
    story.tell(arrived(3, "a")).tell(departed(3)).expect(arm_idle(1, 300, turn=4))


def test_who_leaves_the_queue_says_nothing_of_how_long_a_model_is_kept():
    """Only who has used it does."""
    story = ready_story("a", ttl=300)
    story.tell(arrived(1, "a")).tell(arrived(2, "a", keep_alive=1)).tell(departed(2)).expect()
    story.tell(departed(1)).expect(arm_idle(1, 300, turn=2))


def test_an_unanswered_model_starts_anew_unless_anybody_waits_for_another():
    """One model in memory: what nobody asked for takes it from nobody."""
    story = ready_story("a", "b")
    story.tell(unanswered(1)).expect(stop(1))
    story.tell(stopped(1)).expect(start("a", 2))
    story.tell(ready(2)).tell(unanswered(2)).expect(stop(2))
    story.tell(arrived(1, "b")).expect(place(1, 1))
    story.tell(stopped(2)).expect(start("b", 3))


def test_a_reset_forgets_how_a_model_failed():
    """Whoever has mended it need not unload what is not there."""
    story = Story(serial("a"))
    for run in (1, 2):
        story.tell(arrived(run, "a")).tell(broke(run)).tell(stopped(run))
    story.tell(reset_asked("a")).expect()
    story.tell(arrived(3, "a")).expect(place(3, 1), start("a", 3))


def test_an_unload_that_drains_ends_the_queue_of_its_model_and_no_service():
    """The next model is loaded when the last answer is whole."""
    story = ready_story("a", "b")
    for ticket, name in enumerate("aab", start=1):
        story.tell(arrived(ticket, name))
    story.tell(unload_asked(1, "a", drain=True, seconds=60)).expect(
        reject(2, ModelUnloaded(A)), arm_drain(1, 60), place(3, 1)
    )
    story.tell(departed(1)).expect(stop(1))
    story.tell(stopped(1)).expect(start("b", 2), unloaded(1))


def test_a_drain_has_a_bound():
    """Then it is an unload like any other."""
    story = ready_story("a")
    story.tell(arrived(1, "a")).tell(unload_asked(1, "a", drain=True, seconds=60))
    story.tell(drain_elapsed(1)).expect(revoke(1, ModelUnloaded(A)), stop(1))
    story.tell(stopped(1)).expect(unloaded(1))


def test_an_unload_that_keeps_the_queue_is_a_restart():
    """In the same order, with a fresh process."""
    story = ready_story("a")
    story.tell(arrived(1, "a")).tell(arrived(2, "a"))
    story.tell(unload_asked(1, "a", keep=True)).expect(revoke(1, ModelUnloaded(A)), stop(1))
    story.tell(departed(1)).tell(stopped(1)).expect(start("a", 2), unloaded(1))
    story.tell(ready(2)).expect(grant(2, 2))


def test_the_head_is_read_ahead_while_another_is_served():
    """Its files are at hand when its turn comes; who comes behind it is not read for."""
    story = ready_story("a")
    ahead = [stories.model(name, prefetch=()) for name in "abc"]
    story.tell(settings_changed(*ahead)).tell(arrived(1, "a")).expect(grant(1, 1))
    story.tell(arrived(2, "b")).expect(place(2, 1), prefetch("b"))
    story.tell(arrived(3, "c")).expect(place(3, 2))
    story.tell(departed(2)).expect(place(3, 1), prefetch("c"))


def test_the_queue_tells_who_waits_for_what():
    """Behind a service, for the drain of another, for its end, and for the own load."""
    story = ready_story("a", "b")
    story.tell(arrived(1, "a")).tell(arrived(2, "a")).tell(arrived(3, "b"))

    def told() -> list[tuple[int, int, Stage, Wait]]:
        queue = list(story.scheduler.queue(story.now))
        return [(one.ticket, one.position, one.stage, one.wait) for one in queue]

    served, waiting = (1, 0, Stage.GRANTED, Nothing()), Stage.WAITING
    assert told() == [served, (2, 1, waiting, Behind(1)), (3, 2, waiting, Behind(2))]
    story.tell(departed(2)).after(7)
    assert told() == [served, (3, 1, waiting, Draining(A, 1, 7.0))]
    story.tell(departed(1)).after(2)
    assert told() == [(3, 1, waiting, Stopping(A, 2.0))]
    story.tell(stopped(1)).after(4)
    assert told() == [(3, 1, Stage.LOADING, Loading(B, 4.0, None))]


def test_the_queue_tells_until_when_by_what_was_measured():
    """Loads and stops between different models, a service each, and nothing where that is new."""
    story = Story(serial("a", "b"))
    story.tell(arrived(1, "a")).after(10).tell(ready(1)).after(4).tell(departed(1))
    story.tell(arrived(2, "b")).after(1).tell(stopped(1)).after(20).tell(ready(2))
    story.after(2).tell(departed(2))
    for ticket, name in enumerate("bbaab", start=3):
        story.tell(arrived(ticket, name))

    first, *etas = [one.eta for one in story.scheduler.queue(story.now)]
    assert first == 0.0
    assert etas[:3] == [2.0, 4.0 + 10.0, 14.0 + 4.0]
    assert etas[3] == 18.0 + 4.0 + 20.0 + 1.0
    assert [one.eta for one in story.scheduler.queue(story.now + 0.5)][1] == 1.5
    story.tell(settings_changed("a", "b", "c")).tell(arrived(8, "c")).tell(arrived(9, "a"))
    assert [one.eta for one in story.scheduler.queue(story.now)][-2:] == [None, None]


def test_a_plan_says_what_a_request_would_lead_to():
    """At its place in the queue, from what will be loaded then; there is no bound."""
    story = ready_story("a", "b")
    assert story.scheduler.plan(A, 0.0) == Plan(A, eta=0.0)
    plan = story.scheduler.plan(B, 0.0)
    assert (plan.evict, plan.start, plan.position) == ((A,), B, 1)
    story.tell(arrived(1, "a")).tell(arrived(2, "b"))
    plan = story.scheduler.plan(A, 0.0)
    assert (plan.evict, plan.start, plan.position, plan.bound) == ((B,), A, 2, None)
    plan = story.scheduler.plan(B, 0.0)
    assert (plan.evict, plan.start, plan.position, plan.wait) == ((), None, 2, Behind(2))


@settings(max_examples=int(os.environ.get("SWAPD_WORLDS", "400")), deadline=None)
@given(stories_at_random(), st.integers(1, 6), st.sampled_from([0.0, 5.0]))
def test_random_worlds_keep_every_promise(story, max_queue, ttl):
    """Whatever clients, models and operators do, in any order: see `worlds.py` for the list."""
    world = World(editions(ttl=ttl, max_queue=max_queue))
    for act in story:
        world.do(act)
    world.drain()
