"""fifo: the rows R001 to R042 of llama-swap's scheduler, then turns, and whatever else is ours.

A row's number stands in its test's name. Behind it, `d17` and the like are differences on purpose,
and `ours` is what comes in the place of something that is not there.
"""

import attrs
import pytest

from swapd.config.settings import FifoSettings, Group, Settings
from swapd.ids import ModelId
from swapd.schedule import effects
from swapd.schedule.effects import Grant, Place, Reject, StartModel, StopModel
from swapd.schedule.events import SettingsChanged
from swapd.schedule.fifo import AT_A_TIME, SWITCHES_A_TURN, Fifo
from swapd.schedule.motives import MakeRoom
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import (
    BackingOff,
    LoadFailed,
    ModelUnloaded,
    NotLoaded,
    QueueFull,
    ShuttingDown,
    TooMany,
    Unkillable,
    UnknownModel,
)
from tests.stories import (
    BOOM,
    Story,
    arm_back_off,
    arm_idle,
    arm_turn,
    arrived,
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
    returned,
    revoke,
    settings,
    settings_changed,
    start,
    stop,
    stop_asked,
    stopped,
    stuck,
    turn_elapsed,
    unanswered,
    unload_asked,
    unloaded,
)

A, B = ModelId("a"), ModelId("b")
NEW_A = model("a", cmd="a --new")
AB = exclusive("a", "b")
ABC = exclusive("a", "b", "c")


def arrive(story: Story, models: str, *, first: int = 1) -> Story:
    """Have a request arrive for each letter, numbered from `first`."""
    for ticket, name in enumerate(models, start=first):
        story.tell(arrived(ticket, name))
    return story


def depart(story: Story, *tickets: int) -> Story:
    """Have these go, one after the other."""
    for ticket in tickets:
        story.tell(departed(ticket))
    return story


def served(story: Story, run: int | None = None) -> list[int]:
    """List who has been granted, in order; those of one run or all."""
    grants = [effect for effect in story.so_far(Grant) if isinstance(effect, Grant)]
    return [effect.ticket for effect in grants if run in (None, effect.run)]


def started(story: Story) -> str:
    """Spell the models that were started, in order."""
    found = story.so_far(StartModel)
    return "".join(effect.model for effect in found if isinstance(effect, StartModel))


# The rows


def test_r001_a_ready_model_serves_at_once():
    """Whoever finds its model loaded pays nothing."""
    loaded(fifo("a"), "a").tell(arrived(1, "a")).expect(grant(1, 1))


def test_r002_a_priority_costs_the_ready_model_nothing():
    """It orders those that wait, and here nobody does."""
    story = loaded(fifo("a", priority={"a": 7}), "a")
    story.tell(arrived(1, "a")).expect(grant(1, 1))


def test_r003_an_unknown_model_is_refused():
    """A name that nobody configured costs nothing but an answer."""
    story = Story(fifo())
    story.tell(arrived(1, "ghost")).expect(reject(1, UnknownModel(ModelId("ghost"))))


def test_r004_a_stopped_model_is_loaded_once_and_serves_then():
    """Nothing is served before the load is complete."""
    story = Story(fifo("a"))
    story.tell(arrived(1, "a")).expect(place(1, 1), start("a", 1))
    story.tell(ready(1)).expect(grant(1, 1))


def test_r005_a_load_is_joined():
    """Three requests for one model cost one load, and are served together."""
    story = Story(fifo("a"))
    story.tell(arrived(1, "a")).expect(place(1, 1), start("a", 1))
    story.tell(arrived(2, "a")).expect(place(2, 2))
    story.tell(arrived(3, "a")).expect(place(3, 3))
    story.tell(ready(1)).expect(grant(1, 1), grant(2, 1), grant(3, 1))


def test_r006_a_failed_load_fails_all_who_joined_it():
    """Who waited for one load gets its one answer; the next to come tries again."""
    story = Story(fifo("a", "b", evict=AB))
    arrive(story, "aab")
    failed = LoadFailed(A, BOOM)
    story.tell(broke(1)).expect(reject(1, failed), reject(2, failed), place(3, 1))
    story.tell(stopped(1)).expect(start("b", 2))


def test_r007_to_r009_whoever_needs_another_gone_waits_until_it_has_served():
    """A model is not evicted under those whom it is loaded for."""
    story = Story(fifo("a", "b", evict={"b": "a"}))
    story.tell(arrived(1, "a")).expect(place(1, 1), start("a", 1))
    story.tell(arrived(2, "b")).expect(place(2, 2))  # R007
    story.tell(ready(1)).expect(grant(1, 1), place(2, 1), arm_turn(1, 30))  # R008
    story.tell(departed(1)).expect(stop(1))  # R009
    story.tell(stopped(1)).expect(start("b", 2))


def test_r010_swaps_that_touch_nothing_in_common_go_on_side_by_side():
    """Two loads for two graphics cards need not wait for each other."""
    story = Story(fifo("a", "b"))
    story.tell(arrived(1, "a")).expect(place(1, 1), start("a", 1))
    story.tell(arrived(2, "b")).expect(place(2, 2), start("b", 2))


def test_r011_and_r012_ours_two_swaps_do_not_wait_for_the_same_room():
    """The second begins when what both need gone is gone; llama-swap has it wait for a load."""
    story = loaded(fifo("a", "b", "x", evict={"a": "x", "b": "x"}), "x")
    story.tell(arrived(1, "a")).expect(place(1, 1), stop(1))
    story.tell(arrived(2, "b")).expect(place(2, 2))  # R011
    story.tell(stopped(1)).expect(start("a", 2), start("b", 3))  # R012


def test_r013_and_r014_whoever_would_be_evicted_by_a_swap_waits_for_it():
    """And both begin when it is over, for what they think of it is not what it thinks of them."""
    story = Story(fifo("a", "b", "c", evict={"a": "b c"}))
    # R013-ours: a knows, when it starts, of nobody that would have to go.
    story.tell(arrived(1, "a")).expect(place(1, 1), start("a", 1))
    story.tell(arrived(2, "b")).expect(place(2, 2))
    story.tell(arrived(3, "c")).expect(place(3, 3))
    story.tell(ready(1)).expect(
        grant(1, 1), place(2, 1), place(3, 2), start("b", 2), start("c", 3)
    )


def test_r015_six_requests_for_three_models_cost_three_loads():
    """The point of it all: requests for a model go together."""
    story = Story(fifo("a", "b", "c", evict=ABC))
    arrive(story, "abcabc")
    for run, (one, other) in enumerate([(1, 4), (2, 5), (3, 6)], start=1):
        story.tell(ready(run))
        assert story.answer[:2] == [grant(one, run), grant(other, run)]
        depart(story, one, other)
        if run < 3:
            story.expect(stop(run)).tell(stopped(run))
    assert started(story) == "abc"


def test_r016_to_r018_the_last_that_is_served_makes_room():
    """Not the first: the others would be cut."""
    story = loaded(fifo("a", "b", evict={"b": "a"}), "a")
    arrive(story, "aa")
    story.tell(arrived(3, "b")).expect(place(3, 1), arm_turn(1, 30))  # R016
    story.tell(departed(1)).expect()  # R017
    story.tell(departed(2)).expect(stop(1))  # R018
    story.tell(stopped(1)).expect(start("b", 2))


def test_r019_a_request_that_left_before_its_grant_holds_nothing():
    """A turn that nobody took would never be given back."""
    story = Story(fifo("a", "b", evict={"b": "a"}))
    story.tell(arrived(1, "a")).tell(departed(1)).tell(ready(1)).expect()
    story.tell(arrived(2, "b")).expect(place(2, 1), stop(1))


def test_r020_shutting_down_answers_everybody_that_waits():
    """And admits nobody."""
    story = Story(fifo("a", "b", "c", evict={"c": "a b"}))
    arrive(story, "aabbc")
    gone = ShuttingDown()
    story.tell(stop_asked()).expect(*(reject(ticket, gone) for ticket in range(1, 6)))
    story.tell(arrived(6, "a")).expect(reject(6, gone))


def test_r021_an_unload_ends_the_load_and_fails_who_joined_it():
    """With the patience that the order has for its process."""
    story = Story(fifo("a"))
    arrive(story, "aa")
    unloading = ModelUnloaded(A)
    story.tell(unload_asked(1, "a", seconds=1)).expect(
        reject(1, unloading), reject(2, unloading), stop(1, grace=1)
    )
    story.tell(stopped(1)).expect(unloaded(1))


def test_r022_an_unload_fails_who_waits_for_that_model_and_nobody_else():
    """The load of another goes on."""
    story = Story(fifo("a", "b", evict={"b": "a"}))
    arrive(story, "ab")
    story.tell(unload_asked(1, "b")).expect(reject(2, ModelUnloaded(B)), unloaded(1))
    story.tell(ready(1)).expect(grant(1, 1))
    story.tell(departed(1)).expect()
    assert started(story) == "a"


def test_r023_those_that_wait_are_ordered_by_priority():
    """Each time somebody comes that goes before others, they are told."""
    ranks = {"a": 10, "b": 5, "c": 5, "d": 1}
    story = Story(fifo(*"zabcd", evict=exclusive(*"zabcd"), priority=ranks))
    arrive(story, "z")
    story.tell(arrived(2, "b")).expect(place(2, 2))
    story.tell(arrived(3, "d")).expect(place(3, 3))
    story.tell(arrived(4, "c")).expect(place(4, 3), place(3, 4))
    story.tell(arrived(5, "a")).expect(place(5, 2), place(2, 3), place(4, 4), place(3, 5))


def test_r024_a_waiting_request_that_left_never_loads():
    """A client that hung up must not cost the next one a swap."""
    story = Story(fifo("a", "b", evict={"b": "a"}))
    arrive(story, "ab")
    story.tell(departed(2)).expect()
    story.tell(ready(1)).expect(grant(1, 1))
    story.tell(departed(1)).expect()


def test_r025_one_of_those_who_joined_a_load_may_leave():
    """The load is the other's, too."""
    story = Story(fifo("a"))
    arrive(story, "aa")
    story.tell(departed(2)).expect()
    story.tell(ready(1)).expect(grant(1, 1))


def test_r026_leaving_what_was_granted_wakes_nobody_up():
    """There is nobody; and a second goodbye means nothing."""
    story = loaded(fifo("a"), "a")
    story.tell(arrived(1, "a")).expect(grant(1, 1))
    for _ in range(2):
        story.tell(departed(1)).expect()


def test_r027_a_limit_of_one_is_free_again_after_the_request():
    """Whoever sets a limit wants to hear of it, not to wait."""
    story = loaded(fifo(model("a", limit=1)), "a")
    story.tell(arrived(1, "a")).expect(grant(1, 1))
    story.tell(arrived(2, "a")).expect(reject(2, TooMany(A, 1)))
    story.tell(departed(1)).expect()
    story.tell(arrived(3, "a")).expect(grant(3, 1))


@pytest.mark.parametrize("limit", [0, -5], ids=["R028-D17", "R042-D17"])
def test_r028_d17_without_a_limit_the_eleventh_waits(limit):
    """Clients were not asked to know llama-swap's default; they have time."""
    assert AT_A_TIME == 10
    story = loaded(fifo(model("a", limit=limit)), "a")
    arrive(story, "a" * 10)
    assert served(story) == list(range(1, 11))
    story.tell(arrived(11, "a")).expect(place(11, 1))
    story.tell(departed(4)).expect(grant(11, 1))


def test_r029_the_third_is_one_too_many_for_two():
    """The limit is what the operator wrote."""
    story = loaded(fifo(model("a", limit=2)), "a")
    arrive(story, "aa")
    assert served(story) == [1, 2]
    story.tell(arrived(3, "a")).expect(reject(3, TooMany(A, 2)))


def test_r030_the_limit_holds_while_the_model_is_loaded():
    """It would be known too late afterwards, when a stream has begun."""
    story = Story(fifo(model("a", limit=2)))
    arrive(story, "aa")
    story.tell(arrived(3, "a")).expect(reject(3, TooMany(A, 2)))
    story.tell(ready(1)).expect(grant(1, 1), grant(2, 1))
    story.tell(arrived(4, "a")).expect(reject(4, TooMany(A, 2)))
    assert started(story) == "a"


def test_r031_the_limit_holds_while_another_is_in_the_way():
    """Waiting counts like being served."""
    story = Story(fifo(model("a", limit=2), "b", evict={"a": "b"}))
    arrive(story, "baa")
    story.tell(arrived(4, "a")).expect(reject(4, TooMany(A, 2)))
    story.tell(ready(1)).expect(grant(1, 1), place(2, 1), place(3, 2), arm_turn(1, 30))
    story.tell(departed(1)).expect(stop(1))
    story.tell(stopped(1)).expect(start("a", 2))
    story.tell(ready(2)).expect(grant(2, 2), grant(3, 2))


def test_r032_who_leaves_the_queue_is_not_counted_any_more():
    """Else a client that gave up would keep others out for ever."""
    story = Story(fifo(model("a", limit=1), "b", evict={"a": "b"}))
    arrive(story, "ba")
    story.tell(arrived(3, "a")).expect(reject(3, TooMany(A, 1)))
    story.tell(departed(2)).expect()
    story.tell(arrived(4, "a")).expect(place(4, 2))


def test_r033_ours_who_left_at_once_has_cost_nothing():
    """Nor has somebody who was refused, when its goodbye comes after all."""
    story = loaded(fifo(model("a", limit=1)), "a")
    story.tell(arrived(1, "a")).tell(departed(1)).expect()
    story.tell(arrived(2, "a")).expect(grant(2, 1))
    story.tell(arrived(3, "a")).expect(reject(3, TooMany(A, 1)))
    story.tell(departed(3)).expect()
    story.tell(arrived(4, "a")).expect(reject(4, TooMany(A, 1)))


def test_r034_ours_the_first_answer_to_an_arrival_is_its_own():
    """Being let in is no word of its own: it is a grant, a place, or else a refusal."""
    story = loaded(fifo("a", "b", model("c", limit=1), evict={"b": "a"}), "a")
    for ticket, name in enumerate(("a", "b", "ghost", "c", "c"), start=1):
        first = story.tell(arrived(ticket, name)).answer[0]
        assert isinstance(first, Reject | Place | Grant)
        assert first.ticket == ticket


def test_r035_ours_one_goodbye_frees_one_place():
    """A second one must not let two in."""
    story = loaded(fifo(model("a", limit=2)), "a")
    arrive(story, "aa")
    depart(story, 1, 1)
    story.tell(arrived(3, "a")).expect(grant(3, 1))
    story.tell(arrived(4, "a")).expect(reject(4, TooMany(A, 2)))


def test_r036_d18_a_loaded_model_serves_although_another_is_waited_for():
    """Within its turn, and not for ever as in llama-swap."""
    story = loaded(fifo("a", "b", evict={"b": "a"}), "a")
    story.tell(arrived(1, "a")).tell(arrived(2, "b")).expect(place(2, 1), arm_turn(1, 30))
    story.tell(arrived(3, "a")).expect(grant(3, 1))
    story.after(30).tell(arrived(4, "a")).expect(place(4, 2))


def test_r037_whoever_a_swap_evicts_is_not_loaded_meanwhile():
    """It would be loaded to be stopped."""
    story = loaded(fifo("a", "b", evict={"a": "b"}), "b")
    story.tell(arrived(1, "a")).expect(place(1, 1), stop(1))
    story.tell(arrived(2, "b")).expect(place(2, 2))
    story.tell(stopped(1)).expect(start("a", 2))
    story.tell(arrived(3, "b")).expect(place(3, 3))


def test_r038_a_higher_priority_goes_before_those_that_came_earlier():
    """Three that wait for one that is served: the last of them is the first."""
    story = loaded(fifo(*"wxyz", evict=exclusive(*"wxyz"), priority={"z": 5}), "w")
    arrive(story, "wxy")
    story.tell(arrived(4, "z")).expect(place(4, 1), place(2, 2), place(3, 3))


def test_r039_ours_a_place_is_told_when_it_changes_and_once():
    """Who reads late finds the last word."""
    story = loaded(fifo("a", "b", evict={"b": "a"}), "a")
    arrive(story, "abbb")
    story.tell(departed(2)).expect(place(3, 1), place(4, 2))
    story.tell(arrived(5, "a")).expect(grant(5, 1))


def test_r040_ours_who_waits_for_a_removed_model_is_refused():
    """It would wait for ever; and its limit is as before when the model comes back."""
    story = loaded(fifo("a", model("b", limit=1), evict={"b": "a"}), "a")
    arrive(story, "ab")
    story.tell(settings_changed("a")).expect(reject(2, UnknownModel(B)))
    story.tell(settings_changed("a", model("b", limit=1))).expect()
    story.tell(arrived(3, "b")).expect(place(3, 1), arm_turn(1, 30))


def test_r041_news_of_a_run_that_is_none_changes_nothing():
    """S12: a swap is over when its own run is ready, not one of before."""
    story = Story(fifo("a", "b", evict=AB))
    arrive(story, "ab")
    story.tell(broke(1)).tell(stopped(1)).expect(start("b", 2))
    for late in (ready(1), broke(1), stuck(1), stopped(1), idle_elapsed(1, 0), turn_elapsed(1)):
        story.tell(late).expect()
    story.tell(ready(2)).expect(grant(2, 2))


# Rule 1: turns


def test_a_turn_ends_that_long_after_the_arrival_of_who_needs_it():
    """D18: overlapping requests would keep the other waiting for ever."""
    story = loaded(fifo("a", "b", evict=AB), "a").after(100)
    story.tell(arrived(1, "a")).after(10)
    story.tell(arrived(2, "b")).expect(place(2, 1), arm_turn(1, 30))
    story.after(29).tell(arrived(3, "a")).expect(grant(3, 1))
    story.after(1).tell(turn_elapsed(1)).expect()
    story.tell(arrived(4, "a")).expect(place(4, 2))
    story.tell(departed(3)).expect()
    story.tell(departed(1)).expect(stop(1))
    story.tell(stopped(1)).expect(start("b", 2))
    story.after(5).tell(ready(2)).expect(grant(2, 2), place(4, 1), arm_turn(2, 30))


def test_a_turn_is_counted_from_readiness_if_that_is_later():
    """A model is not loaded for nothing because somebody else has waited long already."""
    story = Story(fifo("a", "b", evict=AB))
    arrive(story, "ab")
    story.after(4).tell(ready(1)).expect(grant(1, 1), place(2, 1), arm_turn(1, 30))
    story.after(29).tell(arrived(3, "a")).expect(grant(3, 1))
    story.after(1).tell(arrived(4, "a")).expect(place(4, 2))


def test_a_turn_is_counted_from_the_first_who_needs_it():
    """The second one must not make it longer."""
    story = loaded(fifo(*"abc", evict=ABC), "a").after(50)
    story.tell(arrived(1, "a")).tell(arrived(2, "b")).after(20)
    story.tell(arrived(3, "c")).expect(place(3, 2))
    story.tell(arrived(4, "b")).expect(place(4, 2), place(3, 3))
    story.after(10).tell(arrived(5, "a")).expect(place(5, 4))


def test_what_takes_long_to_switch_has_a_longer_turn():
    """Twenty seconds of loading for thirty of use would be a bad bargain."""
    assert SWITCHES_A_TURN == 4
    story = Story(fifo("a", "b", evict=AB))
    story.tell(arrived(1, "a")).after(20).tell(ready(1)).expect(grant(1, 1))
    story.tell(arrived(2, "b")).expect(place(2, 1), arm_turn(1, 80))
    story.tell(departed(1)).after(5).tell(stopped(1)).tell(departed(2))
    # Now its stop is known, too.
    story.after(5).tell(unload_asked(1, "b")).tell(stopped(2))
    story.tell(arrived(3, "a")).after(20).tell(ready(3)).expect(grant(3, 3))
    story.tell(arrived(4, "b")).expect(place(4, 1), arm_turn(3, 100))


def test_no_turn_ends_before_the_one_that_was_configured():
    """A model that is loaded in a second is not stopped after four."""
    story = Story(fifo("a", "b", evict=AB))
    story.tell(arrived(1, "a")).after(1).tell(ready(1))
    story.tell(arrived(2, "b")).expect(place(2, 1), arm_turn(1, 30))


def test_without_an_end_of_turns_a_model_is_kept_as_in_llama_swap():
    """`maxTurn: 0`, for whoever wants that."""
    story = loaded(fifo("a", "b", evict=AB, max_turn=0), "a")
    story.tell(arrived(1, "a"))
    story.tell(arrived(2, "b")).expect(place(2, 1))
    for ticket in range(3, 8):
        story.after(10_000).tell(arrived(ticket, "a")).expect(grant(ticket, 1))
        story.tell(departed(ticket)).expect()
    story.tell(departed(1)).expect(stop(1))


def test_a_gate_opens_again_when_nobody_needs_it_shut():
    """Whoever waits behind it is served at once, and a later turn has its whole length."""
    story = loaded(fifo("a", "b", evict=AB), "a")
    arrive(story, "ab")
    story.after(30).tell(turn_elapsed(1)).tell(arrived(3, "a")).expect(place(3, 2))
    story.tell(departed(2)).expect(grant(3, 1))
    story.tell(arrived(4, "b")).expect(place(4, 1), arm_turn(1, 30))


def test_a_gate_stays_shut_while_another_needs_it():
    """Two waited; only one has left."""
    story = loaded(fifo(*"abc", evict=ABC), "a")
    arrive(story, "abc")
    story.after(30).tell(arrived(4, "a")).expect(place(4, 3))
    story.tell(departed(2)).expect(place(3, 1), place(4, 2))
    story.tell(departed(1)).expect(stop(1))


def test_a_turn_that_nobody_needs_the_end_of_has_none():
    """Models side by side, and one whose own line is long, go on."""
    story = loaded(fifo("a", "b"), "a", "b")
    arrive(story, "a" * 11 + "b" * 11)
    story.after(1000).tell(departed(1)).expect(grant(11, 1), place(22, 1))


def test_a_timer_that_rings_too_early_is_set_again():
    """Clocks that count in fractions do that; the turn would never end, else."""
    story = loaded(fifo("a", "b", evict=AB), "a")
    arrive(story, "ab")
    story.after(29.75).tell(turn_elapsed(1)).expect(arm_turn(1, 0.25))
    story.after(0.25).tell(turn_elapsed(1)).expect()


def test_a_timer_is_set_once_for_the_same_end():
    """Each event would leave a timer behind."""
    story = loaded(fifo("a", "b", evict=AB), "a")
    arrive(story, "ab")
    assert story.answer == [place(2, 1), arm_turn(1, 30)]
    story.after(3).tell(arrived(3, "b")).expect(place(3, 2))
    story.after(3).tell(arrived(4, "a")).expect(grant(4, 1))


def test_a_timer_is_set_anew_when_the_end_has_moved():
    """Whoever waited first has left, and the next came later."""
    story = loaded(fifo(*"abc", evict=ABC), "a")
    arrive(story, "ab").after(10)
    story.tell(arrived(3, "c")).expect(place(3, 2))
    story.tell(departed(2)).expect(place(3, 1), arm_turn(1, 30))
    story.tell(departed(3)).expect()
    story.after(5).tell(arrived(4, "b")).expect(place(4, 1), arm_turn(1, 30))


def test_the_turn_of_each_model_that_has_to_go_ends():
    """Both stand in the way, so both are told."""
    story = loaded(fifo(*"abc", evict={"c": "a b"}), "a", "b")
    arrive(story, "ab")
    story.tell(arrived(3, "c")).expect(place(3, 1), arm_turn(1, 30), arm_turn(2, 30))
    story.after(30).tell(arrived(4, "a")).expect(place(4, 2))
    story.tell(arrived(5, "b")).expect(place(5, 3))
    story.tell(departed(1)).expect()
    story.tell(departed(2)).expect(stop(1), stop(2))
    story.tell(stopped(2)).expect()
    story.tell(stopped(1)).expect(start("c", 3))


# Rule 2: whose swap is next


def serve_out(story: Story, run: int, *, seconds: float) -> list[int]:
    """Load a run, let whoever it is granted take so long, until it is stopped; list them."""
    story.tell(ready(run))
    done: list[int] = []
    while stop(run) not in story.answer:
        now = [ticket for ticket in served(story, run) if ticket not in done]
        assert now, story
        depart(story.after(seconds), *now)
        done += now
    story.tell(stopped(run))
    return done


def test_three_models_with_long_lines_take_turns():
    """Nobody starves, and what is left of a line when its turn ends goes behind the others."""
    story = Story(fifo(*"abd", evict=exclusive(*"abd")))
    arrive(story, "a" * 12 + "b" * 12 + "d" * 12)
    for run, first in [(1, 1), (2, 13), (3, 25)]:
        assert serve_out(story, run, seconds=31) == list(range(first, first + 10))
    assert started(story) == "abda"
    for run, first in [(4, 11), (5, 23)]:
        assert serve_out(story, run, seconds=31) == [first, first + 1]
    assert started(story) == "abdabd"


def test_a_line_is_served_out_within_its_turn():
    """A switch for the eleventh would cost more than it takes."""
    story = Story(fifo("a", "b", evict=AB))
    arrive(story, "a" * 12 + "b")
    assert serve_out(story, 1, seconds=10) == list(range(1, 13))
    assert started(story) == "ab"


def test_a_model_that_had_to_go_queues_up_behind_those_that_waited_meanwhile():
    """What is left of its line came first and has had its turn."""
    story = loaded(fifo(*"abc", evict=ABC), "a")
    arrive(story, "a" * 10)
    story.after(1)
    arrive(story, "abc", first=11)
    depart(story.after(31), *range(1, 11))
    story.after(1).tell(stopped(1)).expect(start("b", 2))
    story.after(1).tell(ready(2))
    story.after(1).tell(departed(12)).expect(stop(2))
    story.tell(stopped(2)).expect(start("c", 3))


def test_who_has_waited_longest_is_next_whatever_order_the_models_have():
    """Not the longest line, nor the first in the file."""
    story = loaded(fifo(*"abc", evict=ABC), "a")
    arrive(story, "acbbb")
    story.tell(departed(1)).expect(stop(1))
    story.tell(stopped(1)).expect(start("c", 2))


def test_a_higher_priority_goes_before_who_waited_longer_but_once():
    """An order and no right to starve others."""
    story = loaded(fifo(*"abcx", evict=exclusive(*"abcx"), priority={"a": 5}), "x")
    arrive(story, "xbc")
    story.after(1)
    arrive(story, "a" * 11, first=4)
    story.tell(departed(1)).expect(stop(1))
    story.tell(stopped(1)).expect(start("a", 2))
    story.tell(ready(2)).after(31)
    depart(story, *range(4, 14))
    story.tell(stopped(2)).expect(start("b", 3))
    story.tell(ready(3))
    story.tell(departed(2)).expect(stop(3))
    story.tell(stopped(3)).expect(start("c", 4))
    story.tell(ready(4))
    story.tell(departed(3)).expect(stop(4))
    story.tell(stopped(4)).expect(start("a", 5))


def test_nothing_is_loaded_that_who_comes_before_would_need_gone():
    """Rule 3: it would be one more that has to drain."""
    story = loaded(fifo("a", "b", "x", evict={"a": "b x"}), "x")
    arrive(story, "x")
    story.tell(arrived(2, "a")).expect(place(2, 1), arm_turn(1, 30))
    story.tell(arrived(3, "b")).expect(place(3, 2))
    story.tell(departed(1)).expect(stop(1))


def test_what_is_in_nobodys_way_is_loaded_while_others_wait():
    """A free graphics card is used."""
    story = loaded(fifo("a", "b", "x", evict={"a": "x"}), "x")
    arrive(story, "xa")
    story.tell(arrived(3, "b")).expect(place(3, 1), place(2, 2), start("b", 2))
    story.tell(ready(2)).expect(grant(3, 2), place(2, 1))


def test_who_could_be_loaded_at_once_waits_for_who_needs_its_victim_too():
    """An idle model would be stopped for the younger, and the older would wait for both."""
    story = loaded(fifo(*"abxy", evict={"a": "x y", "b": "y"}), "x", "y")
    arrive(story, "x")
    story.tell(arrived(2, "a")).expect(place(2, 1), arm_turn(1, 30), arm_turn(2, 30))
    story.tell(arrived(3, "b")).expect(place(3, 1), place(2, 2), stop(2))


# Swaps under way


def test_two_swaps_touch_each_other_before_either_has_a_process():
    """What is still being made room for counts as if it ran."""
    story = loaded(fifo("a", "b", "x", evict={"a": "x", "b": "a"}), "x")
    story.tell(arrived(1, "a")).expect(place(1, 1), stop(1))
    story.tell(arrived(2, "b")).expect(place(2, 2))
    story.tell(stopped(1)).expect(start("a", 2))
    story.tell(ready(2)).expect(grant(1, 2), place(2, 1), arm_turn(2, 30))


def test_a_swap_waits_until_all_that_have_to_go_are_gone():
    """S14: counted in memory, the first of two is not enough."""
    story = loaded(fifo(*"abc", evict={"c": "a b"}), "a", "b")
    story.tell(arrived(1, "c")).expect(place(1, 1), stop(1), stop(2))
    story.tell(stopped(1)).expect()
    story.tell(stopped(2)).expect(start("c", 3))


def test_those_whose_model_is_there_stand_before_those_whose_model_is_loading():
    """They need only one of ten to leave."""
    story = loaded(fifo("a", "b"), "b")
    story.tell(arrived(1, "a")).expect(place(1, 1), start("a", 2))
    arrive(story, "b" * 10, first=2)
    story.tell(arrived(12, "b")).expect(place(12, 1), place(1, 2))


def test_a_swap_says_what_room_is_made_for():
    """The journal of decisions tells people why their model is gone."""
    story = loaded(fifo("a", "b", evict=AB), "a").after(12)
    story.tell(arrived(1, "b"))
    (stopping,) = story.so_far(StopModel)
    assert isinstance(stopping, StopModel)
    assert stopping.why == MakeRoom(B, 12)


def test_d34_a_swap_that_is_for_nobody_any_more_is_dropped():
    """Its model has no process yet; it would be loaded for nobody."""
    story = loaded(fifo("a", "b", evict=AB), "a")
    story.tell(arrived(1, "b")).expect(place(1, 1), stop(1))
    story.tell(departed(1)).expect()
    story.tell(stopped(1)).expect()


def test_d34_an_unload_ends_a_swap_that_still_makes_room():
    """It is answered at once, for nothing of that model runs, and nothing will."""
    story = loaded(fifo("a", "b", evict=AB), "a")
    story.tell(arrived(1, "b")).expect(place(1, 1), stop(1))
    story.tell(unload_asked(1, "b")).expect(reject(1, ModelUnloaded(B)), unloaded(1))
    story.tell(stopped(1)).expect()


def test_a_load_that_nobody_waits_for_goes_on():
    """Whoever retries finds the model warm; if nobody does, its `ttl` counts (D16)."""
    story = Story(fifo("a", ttl=300))
    story.tell(arrived(1, "a")).tell(departed(1)).expect()
    story.tell(ready(1)).expect(arm_idle(1, 300, turn=0))


def test_a_load_that_nobody_waits_for_is_taken_over():
    """It is not started twice because one client left."""
    story = Story(fifo("a"))
    story.tell(arrived(1, "a")).tell(departed(1)).expect()
    story.tell(arrived(2, "a")).expect(place(2, 1))
    story.tell(ready(1)).expect(grant(2, 1))


def test_a_load_that_nobody_waits_for_gives_way():
    """Who waits is not to wait for what is for nobody."""
    story = Story(fifo("a", "b", evict=AB))
    story.tell(arrived(1, "a")).tell(departed(1))
    story.tell(arrived(2, "b")).expect(place(2, 1), stop(1))
    story.tell(stopped(1)).expect(start("b", 2))


def test_a_load_that_somebody_waits_for_gives_way_to_nobody():
    """Else two could stop each other for ever."""
    story = Story(fifo("a", "b", evict=AB, priority={"b": 9}))
    arrive(story, "ab")
    assert story.so_far(StopModel) == []


def test_a_loaded_model_that_needs_another_gone_makes_room_first():
    """Groups need not agree: it came beside the other later, and must not serve beside it."""
    story = loaded(fifo("a", "b", evict={"a": "b"}), "a", "b")
    story.tell(arrived(1, "b")).expect(grant(1, 2))
    story.tell(arrived(2, "a")).expect(place(2, 1), arm_turn(2, 30))
    story.tell(departed(1)).expect(stop(2))
    story.tell(departed(9)).expect()
    story.tell(stopped(2)).expect(grant(2, 1))


def test_what_is_loaded_for_others_serves_no_more_than_ten_of_them():
    """All who joined are served together, up to what is served at a time."""
    story = Story(fifo("a"))
    arrive(story, "a" * 12)
    joined = [grant(ticket, 1) for ticket in range(1, 11)]
    story.tell(ready(1)).expect(*joined, place(11, 1), place(12, 2))


# The queue's bound


def test_the_queue_is_bounded():
    """S13; whoever is not let in is told so."""
    story = loaded(fifo("a", "b", evict=AB, max_queue=1), "a")
    arrive(story, "ab")
    story.tell(arrived(3, "b")).expect(reject(3, QueueFull(1)))


def test_a_full_queue_keeps_nobody_out_who_need_not_queue():
    """Its model is there and free, whatever others wait for."""
    story = loaded(fifo("a", "b", evict=AB, max_queue=1), "a")
    arrive(story, "ab")
    story.tell(arrived(3, "a")).expect(grant(3, 1))


@pytest.mark.parametrize("shut", ["gate", "ten are served", "another has to go"])
def test_a_full_queue_keeps_out_whoever_would_have_to_wait(shut):
    """A loaded model is not enough."""
    story = loaded(fifo("a", "b", "c", evict={"b": "a", "c": "b"}, max_queue=1), "a")
    arrive(story, "ab")
    match shut:
        case "gate":
            story.after(30)
        case "ten are served":
            arrive(story, "a" * 9, first=11)
        case _:
            story = loaded(fifo("a", "b", "c", evict={"a": "b", "c": "b"}, max_queue=1), *"ab")
            arrive(story, "bc")
    story.tell(arrived(3, "a")).expect(reject(3, QueueFull(1)))


# What S17 says of requests that load nothing


def test_s17_what_loads_nothing_is_served_or_refused():
    """A page that polls."""
    story = loaded(fifo("a", "b", evict=AB), "a")
    story.tell(arrived(1, "a", loads=False)).expect(grant(1, 1))
    story.tell(arrived(2, "b", loads=False)).expect(reject(2, NotLoaded(B)))


def test_s17_what_loads_nothing_waits_behind_a_shut_gate_and_is_refused_after_it():
    """It has no turn to wait for once the model is gone."""
    story = loaded(fifo("a", "b", evict=AB), "a")
    arrive(story, "ab")
    story.after(30).tell(arrived(3, "a", loads=False)).expect(place(3, 2))
    story.tell(departed(1)).expect(reject(3, NotLoaded(A)), stop(1))
    story.tell(stopped(1)).expect(start("b", 2))


def test_s17_what_loads_nothing_shuts_no_gate_and_stops_nobody():
    """Both are loaded already, so it is served beside the other."""
    story = loaded(fifo("a", "b", evict={"a": "b"}), "a", "b")
    story.tell(arrived(1, "b")).expect(grant(1, 2))
    story.tell(arrived(2, "a", loads=False)).expect(grant(2, 1))
    story.tell(arrived(3, "a")).expect(place(3, 1), arm_turn(2, 30))
    story.tell(departed(3)).expect()
    arrive(story, "b" * 10, first=20)
    story.after(60).tell(departed(1)).expect(grant(29, 2))


# What breaks, stays and changes


def test_a_second_failed_load_opens_a_back_off():
    """S5: as under serial."""
    story = Story(fifo("a"))
    story.tell(arrived(1, "a")).tell(broke(1)).tell(stopped(1))
    story.tell(arrived(2, "a")).tell(arrived(3, "a"))
    failed = LoadFailed(A, BOOM)
    story.tell(broke(2)).expect(
        reject(2, failed), reject(3, failed), arm_back_off("a", 10, attempt=2)
    )
    story.tell(arrived(4, "a")).expect(reject(4, BackingOff(A, BOOM)))


def test_who_arrives_while_a_failed_load_is_swept_gets_a_load_of_its_own():
    """It has not joined the one that failed."""
    story = Story(fifo("a"))
    story.tell(arrived(1, "a")).tell(broke(1)).expect(reject(1, LoadFailed(A, BOOM)))
    story.tell(arrived(2, "a")).expect(place(2, 1))
    story.tell(stopped(1)).expect(start("a", 2))
    story.tell(ready(2)).expect(grant(2, 2))


def test_a_crash_makes_room_as_well():
    """Who waits for the model to go is not told of its end, but served by it."""
    story = loaded(fifo("a", "b", evict=AB), "a")
    arrive(story, "ab")
    story.tell(broke(1)).expect()
    story.tell(departed(1)).expect()
    story.tell(stopped(1)).expect(start("b", 2))


def test_who_waits_for_a_model_that_crashed_gets_a_new_one():
    """It has served before, so it is no hopeless case."""
    story = loaded(fifo(model("a")), "a")
    arrive(story, "a" * 11)
    story.tell(broke(1)).expect()
    depart(story, *range(1, 11))
    story.tell(stopped(1)).expect(start("a", 2))
    story.tell(ready(2)).expect(grant(11, 2))


def test_a_returned_request_waits_again_and_first():
    """Its model was gone before anybody knew; it loses only the time of the load."""
    story = loaded(fifo("a"), "a")
    arrive(story, "a" * 11)
    story.tell(broke(1)).expect()
    story.tell(returned(4, "a")).expect(place(4, 1), place(11, 2))
    story.tell(stopped(1)).expect(start("a", 2))
    story.tell(ready(2)).expect(grant(4, 2), grant(11, 2))


def test_what_would_not_die_blocks_only_those_who_need_it_gone():
    """The other graphics card serves on."""
    story = loaded(fifo(*"abc", evict={"b": "a"}), "a")
    story.tell(arrived(1, "b")).expect(place(1, 1), stop(1))
    why = Unkillable(A, "pid 7 survived SIGKILL")
    story.tell(stuck(1)).expect(reject(1, why))
    for ticket, name in [(2, "a"), (3, "b")]:
        story.tell(arrived(ticket, name)).expect(reject(ticket, why))
    story.tell(arrived(4, "c")).expect(place(4, 1), start("c", 2))
    story.tell(stopped(1)).expect()
    story.tell(arrived(5, "b")).expect(place(5, 2), start("b", 3))


def test_a_stuck_process_refuses_by_its_own_name():
    """Of two that would not die, the one in the way is named."""
    story = loaded(fifo(*"abcd", evict={"c": "a", "d": "b"}), "a", "b")
    story.tell(unload_asked(1))
    story.tell(stuck(1, "one")).tell(stuck(2, "two"))
    story.tell(arrived(1, "d")).expect(reject(1, Unkillable(B, "two")))
    story.tell(arrived(2, "c")).expect(reject(2, Unkillable(A, "one")))


def test_a_stale_run_serves_nobody_more_and_its_successor_waits_for_it():
    """S16: as under serial; a model has one process at a time."""
    story = loaded(fifo("a"), "a")
    story.tell(arrived(1, "a")).expect(grant(1, 1))
    story.tell(settings_changed(NEW_A)).expect()
    story.tell(arrived(2, "a")).expect(place(2, 1))
    story.tell(departed(1)).expect(stop(1))
    story.tell(stopped(1)).expect(start("a", 2))
    story.tell(ready(2)).expect(grant(2, 2))


def test_a_stale_run_stands_in_the_way_until_it_is_gone():
    """What was configured no more still has its memory."""
    story = loaded(fifo("a", "b", evict=AB), "a")
    arrive(story, "ab")
    story.tell(settings_changed("b")).expect()
    story.tell(departed(1)).expect(stop(1))
    story.tell(stopped(1)).expect(start("b", 2))


def test_a_reload_brings_its_own_eviction():
    """Who must leave for whom is configured, too."""

    def groups(*, swap: bool) -> Settings:
        group = Group(swap, exclusive=True, persistent=False, members=(A, B))
        return attrs.evolve(settings(["a", "b"]), groups={"g": group})

    story = loaded(Fifo(groups(swap=True)), "a")
    story.tell(arrived(1, "a"))
    story.tell(arrived(2, "b")).expect(place(2, 1), arm_turn(1, 30))
    story.tell(SettingsChanged(groups(swap=False))).expect(start("b", 2))


def test_a_reload_brings_its_own_turns_and_limits():
    """From then on they hold, for who waits already as well."""
    story = loaded(fifo("a", "b", evict=AB), "a")
    arrive(story, "ab")
    story.after(10)
    shorter = attrs.evolve(settings(["a", "b"]), fifo=FifoSettings(max_queue=1, max_turn=15))
    story.tell(SettingsChanged(shorter)).expect(arm_turn(1, 5))
    story.tell(arrived(3, "b")).expect(reject(3, QueueFull(1)))


def test_an_unload_cuts_who_is_served_and_who_waits_for_the_room_is_next():
    """D19: only its own answer waits for the process."""
    story = loaded(fifo(*"abc", evict={"b": "a"}), "a")
    arrive(story, "ab")
    story.tell(unload_asked(1, "a")).expect(revoke(1, ModelUnloaded(A)), stop(1))
    story.tell(arrived(3, "c")).expect(place(3, 1), place(2, 2), start("c", 2))
    story.tell(ready(2)).expect(grant(3, 2), place(2, 1))
    story.tell(departed(1)).expect()
    story.tell(stopped(1)).expect(start("b", 3), unloaded(1))


def test_an_idle_model_is_stopped_and_a_wanted_one_is_not():
    """S15: as under serial, for each of several."""
    story = loaded(fifo("a", "b", ttl=60), "a", "b")
    story.tell(arrived(1, "a")).expect(grant(1, 1), arm_idle(2, 60, turn=0))
    story.tell(idle_elapsed(2, 0)).expect(stop(2))
    story.tell(departed(1)).expect(arm_idle(1, 60, turn=1))
    story.tell(arrived(2, "a")).expect(grant(2, 1))
    story.tell(idle_elapsed(1, 1)).expect()


def test_what_was_unwell_starts_anew_beside_others():
    """Nobody has asked for it, but somebody will; it takes nothing from anybody."""
    story = loaded(fifo(*"ac"), "a", "c")
    story.tell(arrived(1, "c")).expect(grant(1, 2))
    story.tell(unanswered(1)).expect(stop(1))
    story.tell(stopped(1)).expect(start("a", 3))


@pytest.mark.parametrize("evict", [{"a": "c"}, {"b": "c"}, {"b": "x"}])
def test_what_was_unwell_stays_away_where_it_would_take_something(evict):
    """Another would have to go for it, or somebody waits to be loaded."""
    story = loaded(fifo(*"abcx", evict=evict), "a", "c", "x")
    arrive(story, "cx" if evict == {"a": "c"} else "cxb")
    story.tell(unanswered(1)).expect(stop(1))
    story.tell(stopped(1)).expect()


def test_what_was_unwell_stays_away_while_room_is_made_of_it():
    """It would take the place that another is about to have."""
    story = loaded(fifo("a", "b", evict={"b": "a"}), "a")
    story.tell(unanswered(1)).expect(stop(1))
    story.tell(arrived(1, "b")).expect(place(1, 1))
    story.tell(stopped(1)).expect(start("b", 2))


def test_what_was_unwell_is_started_anew_when_nobody_waits_any_more():
    """It was there, and somebody wanted it there; but those who wait come first."""
    story = loaded(fifo(*"abx", evict={"b": "x"}), "a", "x")
    arrive(story, "xb")
    story.tell(unanswered(1)).expect(stop(1))
    story.tell(stopped(1)).expect()
    story.tell(departed(2)).expect(start("a", 3))


def test_what_was_unwell_and_is_unloaded_stays_away():
    """Whoever unloads it wants it gone."""
    story = loaded(fifo(*"abx", evict={"b": "x"}), "a", "x")
    arrive(story, "xb")
    story.tell(unanswered(1)).tell(stopped(1))
    story.tell(unload_asked(1, "a")).expect(unloaded(1))
    story.tell(departed(2)).expect()


def test_reading_ahead_ends_when_nobody_wants_the_model_any_more():
    """Gigabytes would be read for nobody; and who comes back finds it read again."""
    story = loaded(fifo("a", model("b", prefetch=()), evict=AB), "a")
    story.tell(arrived(1, "a"))
    story.tell(arrived(2, "b")).expect(place(2, 1), arm_turn(1, 30), prefetch("b"))
    story.tell(departed(2)).expect(effects.Prefetch(None))
    story.tell(arrived(3, "b")).expect(place(3, 1), arm_turn(1, 30), prefetch("b"))


def test_the_next_load_is_read_ahead_while_others_are_served():
    """Once, and only for the one that is next."""
    story = loaded(fifo("a", model("b", prefetch=()), model("c", prefetch=()), evict=ABC), "a")
    story.tell(arrived(1, "a"))
    story.tell(arrived(2, "b")).expect(place(2, 1), arm_turn(1, 30), prefetch("b"))
    story.tell(arrived(3, "c")).expect(place(3, 2))
    story.tell(departed(2)).expect(place(3, 1), prefetch("c"))
    story.tell(departed(1)).expect(stop(1))


def test_a_model_that_is_loaded_already_is_not_read_ahead():
    """It waits for another to go, not for its files."""
    story = loaded(fifo(model("a", prefetch=()), "b", evict={"a": "b"}), "a", "b")
    story.tell(arrived(1, "b"))
    story.tell(arrived(2, "a")).expect(place(2, 1), arm_turn(2, 30))


def test_the_first_that_is_not_loaded_is_read_ahead():
    """Whoever is before it needs only room."""
    story = loaded(fifo("a", "b", model("c", prefetch=()), evict={"a": "b", "c": "b"}), "a", "b")
    arrive(story, "ba")
    story.tell(arrived(3, "c")).expect(place(3, 2), prefetch("c"))


def test_phases_are_told():
    """The pages ask every scheduler the same."""
    story = loaded(fifo("a", "b"), "a")
    story.tell(arrived(1, "b"))
    phases = [story.scheduler.phase(ModelId(name)) for name in ("a", "b", "c")]
    assert phases == [Phase.READY, Phase.STARTING, Phase.STOPPED]
