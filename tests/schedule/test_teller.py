"""Questions: what people are told of models, and of what a request would lead to."""

import attrs
import pytest

from swapd.ids import ModelId, Run
from swapd.schedule.effects import Effect, Grant
from swapd.schedule.facts import FailureFacts
from swapd.schedule.measures import Average
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import BackingOff, QueueFull, UnknownModel
from swapd.schedule.standing import (
    BackOff,
    Behind,
    Loading,
    ModelStanding,
    Nothing,
    Plan,
    Stage,
    Stopping,
    TurnOf,
)
from tests.stories import (
    BOOM,
    Story,
    arrived,
    broke,
    departed,
    exclusive,
    fifo,
    grant,
    loaded,
    model,
    ready,
    serial,
    stopped,
    unload_asked,
)

A, B, C = map(ModelId, "abc")
AB = exclusive("a", "b")


def know(story: Story, name: str, *, load: float, service: float, stop: float = 0.0) -> None:
    """Have measured a model."""
    known = story.scheduler._desk.measures.of(ModelId(name))  # type: ignore[attr-defined]
    known.load, known.service = Average(load, load), Average(service, service)
    known.stop = Average(stop, stop)


# Models


def test_a_model_is_told_as_it_stands():
    """What the pages show, at once and from one place."""
    story = Story(fifo("a", "b"))
    stopped_one = ModelStanding(Phase.STOPPED, False, None, None, 0, 0, None, None, None, None)
    assert story.scheduler.model(A, 0.0) == stopped_one
    story.after(2).tell(arrived(1, "a")).tell(arrived(2, "a"))
    starting = attrs.evolve(stopped_one, phase=Phase.STARTING, run=Run(1), since=2.0, waiting=2)
    assert story.scheduler.model(A, 3.0) == starting
    story.after(4).tell(ready(1)).after(1).tell(departed(1))
    serving = ModelStanding(Phase.READY, False, Run(1), 6.0, 1, 0, None, None, 4.0, 1.0)
    assert story.scheduler.model(A, 9.0) == serving
    assert story.scheduler.model(B, 9.0) == stopped_one


def test_a_model_that_failed_is_told_so_until_it_runs_again():
    """Stopped and failed is not just stopped."""
    story = Story(fifo("a"))
    story.tell(arrived(1, "a")).after(3).tell(broke(1))
    told = story.scheduler.model(A, 3.0)
    assert (told.phase, told.failed) == (Phase.STOPPING, False)
    story.tell(stopped(1))
    told = story.scheduler.model(A, 3.0)
    assert (told.phase, told.failed) == (Phase.STOPPED, True)
    assert told.failure == FailureFacts(1, BOOM, 3.0)
    story.tell(arrived(2, "a"))
    assert not story.scheduler.model(A, 3.0).failed
    story.tell(ready(2))
    assert story.scheduler.model(A, 3.0).failure is None


# The queue


def test_the_queue_begins_with_the_served():
    """At position 0, with nothing left to wait for."""
    story = loaded(fifo("a", "b", evict=AB), "a")
    story.after(5).tell(arrived(1, "a")).after(1).tell(arrived(2, "b"))
    first, second = story.scheduler.queue(7.0)
    assert (first.ticket, first.model, first.arrived, first.position) == (1, A, 5.0, 0)
    assert (first.stage, first.wait, first.eta) == (Stage.GRANTED, Nothing(), 0.0)
    assert (second.ticket, second.model, second.arrived, second.position) == (2, B, 6.0, 1)
    assert (second.stage, second.wait) == (Stage.WAITING, TurnOf(A, 1, 29.0))


# Plans


def test_a_plan_for_a_loaded_model_is_nothing_to_do():
    """The request would be served at once."""
    story = loaded(fifo("a", "b", evict=AB), "a")
    assert story.scheduler.plan(A, 0.0) == Plan(A, eta=0.0, bound=0.0)


def test_a_plan_says_what_goes_and_what_comes():
    """Before anybody asks for it in earnest."""
    story = loaded(fifo("a", "b", evict=AB), "a")
    know(story, "a", load=9, service=4, stop=2)
    know(story, "b", load=20, service=4)
    plan = story.scheduler.plan(B, 0.0)
    assert (plan.evict, plan.start, plan.position, plan.eta) == ((A,), B, 1, 22.0)
    assert plan.wait == Stopping(A, 0.0)


def test_a_plan_for_a_model_that_is_loading_starts_nothing():
    """The load is there to be joined."""
    story = Story(fifo("a"))
    story.tell(arrived(1, "a"))
    plan = story.scheduler.plan(A, 3.0)
    assert plan == Plan(A, position=2, wait=Loading(A, 3.0, None))


def test_a_plan_for_a_model_whose_turn_is_over_starts_it_anew():
    """It is there, and will not be when the request's turn comes."""
    story = loaded(fifo("a", "b", evict=AB), "a")
    story.tell(arrived(1, "a")).tell(arrived(2, "b"))
    assert story.scheduler.plan(A, 29.0).start is None
    plan = story.scheduler.plan(A, 30.0)
    assert (plan.start, plan.position) == (A, 2)


def test_a_plan_for_a_model_that_is_going_starts_it_anew():
    """Its process cannot be kept any more."""
    story = loaded(fifo("a"), "a")
    story.tell(unload_asked(1, "a"))
    plan = story.scheduler.plan(A, 2.0)
    assert (plan.evict, plan.start, plan.wait) == ((), A, Stopping(A, 2.0))


def test_a_plan_tells_a_refusal():
    """With the reason that the request would get."""
    story = loaded(fifo("a", "b", evict=AB, max_queue=1), "a")
    ghost = ModelId("ghost")
    assert story.scheduler.plan(ghost, 0.0) == Plan(ghost, refused=UnknownModel(ghost))
    story.tell(arrived(1, "a")).tell(arrived(2, "b"))
    assert story.scheduler.plan(B, 0.0) == Plan(B, refused=QueueFull(1))


def test_a_plan_for_a_model_that_is_left_alone_says_until_when():
    """A client that may wait knows how long."""
    story = Story(fifo("a"))
    for run in (1, 2):
        story.tell(arrived(run, "a")).after(5).tell(broke(run)).tell(stopped(run))
    plan = story.scheduler.plan(A, 11.0)
    assert plan == Plan(A, wait=BackOff(A, 20.0), refused=BackingOff(A, BOOM))


@pytest.mark.parametrize("make", [fifo, serial])
def test_a_plan_changes_nothing(make):
    """Rule 1: however often it is asked, the story goes on as if it had not been."""

    def tell(*, asking: bool) -> list[Effect]:
        story = Story(make(model("a", prefetch=()), model("b", prefetch=()), "c"))
        if make is fifo:
            story.scheduler = fifo(
                model("a", prefetch=()), model("b", prefetch=()), "c", evict=exclusive(*"abc")
            )
        answers: list[Effect] = []
        steps = [
            *(arrived(1, "a"), arrived(2, "a"), ready(1), arrived(3, "b"), departed(1)),
            *(departed(2), stopped(1), ready(2), arrived(4, "c"), departed(3), stopped(2)),
        ]
        for step in steps:
            if asking:
                for name in (A, B, C, ModelId("ghost")):
                    story.scheduler.plan(name, story.now)
                    list(story.scheduler.queue(story.now))
                    story.scheduler.model(name, story.now)
            answers += story.after(1).tell(step).answer
        return answers

    assert tell(asking=True) == tell(asking=False)


def test_a_plan_says_whose_turn_it_is_or_who_else_waits():
    """The first in a model's line waits for the room, the others for those before them."""
    story = loaded(fifo("a", "b", "c", evict=exclusive(*"abc")), "a")
    story.tell(arrived(1, "a")).tell(arrived(2, "b"))
    first, second = (story.scheduler.plan(name, 10.0) for name in (C, B))
    assert (first.position, first.wait) == (2, TurnOf(A, 1, 20.0))
    assert (second.position, second.wait) == (2, Behind(1))


# The bound


def test_without_an_end_of_turns_there_is_no_bound():
    """As in llama-swap."""
    story = loaded(fifo("a", "b", evict=AB, max_turn=0), "a")
    know(story, "a", load=1, service=1)
    know(story, "b", load=1, service=1)
    assert story.scheduler.plan(B, 0.0).bound is None


def test_a_bound_is_a_whole_turn_of_each_that_is_ahead_and_the_own_load():
    """Load, turn, drain and stop at their longest, for those that run, wait or go first."""
    ranks = {"p": 1, "q": 0, "low": -1}
    names = ("a", "b", "c", "p", "q", "low")
    story = loaded(fifo(*names, evict=exclusive(*names), priority=ranks), "a")
    story.tell(arrived(1, "a")).tell(arrived(2, "b"))
    for name, load in zip(names, (1, 2, 4, 8, 100, 1000), strict=True):
        know(story, name, load=load, service=0.5, stop=0.25)
    turn, drain = 30.0, 0.75
    wanted = (1 + turn + drain) + (2 + turn + drain) + (8 + 4 * 8.25 + drain) + 4
    assert story.scheduler.plan(C, 0.0).bound == wanted


def test_a_bound_of_what_was_never_measured_is_none():
    """A number that leaves something out would be taken for the whole."""
    story = loaded(fifo("a", "b", evict=AB), "a")
    story.tell(arrived(1, "a"))
    know(story, "b", load=2, service=1)
    assert story.scheduler.plan(B, 0.0).bound is None
    know(story, "a", load=2, service=1)
    assert story.scheduler.plan(B, 0.0).bound == 33 + 2


def test_a_bound_counts_a_round_of_all_for_each_ten_that_wait_before():
    """A line that is longer than what is served at a time may need several turns."""
    story = loaded(fifo("a", "b", evict=AB), "a")
    know(story, "a", load=2, service=1)
    know(story, "b", load=3, service=1)
    story.tell(arrived(1, "a"))
    for ticket in range(2, 11):
        story.tell(arrived(ticket, "b"))
    both = (2 + 30 + 1) + (3 + 30 + 1)
    assert story.scheduler.plan(B, 0.0).bound == both
    story.tell(arrived(11, "b"))
    assert story.scheduler.plan(B, 0.0).bound == 2 * both


def test_a_bound_is_kept():
    """Three models, lines that never end, each turn used up: what was told holds."""
    story = loaded(fifo(*"abc", evict=exclusive(*"abc")), "a")
    for name in "abc":
        know(story, name, load=5, service=8, stop=1)
    story.tell(arrived(1, "a")).tell(arrived(2, "b"))
    bound = story.scheduler.plan(C, 0.0).bound
    assert bound is not None
    story.tell(arrived(3, "c"))
    ticket, told, run = 3, 0.0, 1
    going: dict[int, float] = {1: 8.0}
    while grant(3, 3) not in story.so_far(Grant):
        story.after(1)
        assert story.now <= bound, story
        for name in "ab":
            ticket += 1
            story.tell(arrived(ticket, name))
            going |= dict.fromkeys(granted(story.answer), story.now + 8)
        for one in [one for one, end in going.items() if end <= story.now]:
            del going[one]
            story.tell(departed(one))
            going |= dict.fromkeys(granted(story.answer), story.now + 8)
            told = story.now
        if not going and story.now == told:
            story.after(1).tell(stopped(run)).after(5).tell(ready(run + 1))
            going = dict.fromkeys(granted(story.answer), story.now + 8)
            run += 1
    assert run == 3


def granted(answer: list[Effect]) -> list[int]:
    """List who was granted just now."""
    return [effect.ticket for effect in answer if isinstance(effect, Grant)]
