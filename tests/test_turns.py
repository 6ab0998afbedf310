"""A request's claim: decided once, waited for, watched."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.ids import ModelId, Ticket
from swapd.schedule.reasons import ShuttingDown, UnknownModel
from swapd.turns import DEATH_FOLLOWS, DEATH_IS_SEEN, LoadedModel, Refused, Turn
from swapd.wire.pool import Pool
from tests import stories


def turn(*, take_back: Callable[[Turn], None] = print) -> Turn:
    claim, give_back = print, print
    who = (Ticket(1), "r-1", ModelId("a"))
    return Turn(*who, True, None, print, 0.0, claim, take_back, give_back)


def loaded(*, started: float = 0.0, ready: float | None = None) -> LoadedModel:
    model = stories.model("a")
    return LoadedModel(model, Pool(model.origin), started, ready)


async def test_the_grant_wakes_who_waits_and_stays():
    """Asked before or after it came."""
    claim, granted = turn(), loaded()
    got: list[LoadedModel] = []

    async def wait() -> None:
        got.append(await claim.granted())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        assert not got
        claim.decide(granted)
    assert got == [granted]
    assert await claim.granted() is granted


async def test_a_refusal_is_raised_with_its_reason():
    """And with the time after which it may be worth coming back."""
    claim = turn()
    claim.decide(Refused(UnknownModel(ModelId("ghost")), retry_after=3.0))
    with pytest.raises(Refused) as refused:
        await claim.granted()
    assert refused.value.reason == UnknownModel(ModelId("ghost"))
    assert refused.value.retry_after == 3.0


def test_deciding_twice_is_a_bug():
    """Exactly one answer to a ticket; a second one would be lost in silence."""
    claim = turn()
    claim.decide(Refused(ShuttingDown()))
    with pytest.raises(AssertionError, match="twice"):
        claim.decide(loaded())


async def test_a_claim_on_a_dead_model_is_decided_anew(autojump_clock):
    """It goes back to the queue; what it is granted then may be of another definition."""
    returned: list[Turn] = []
    claim = turn(take_back=returned.append)
    first, second = loaded(), loaded()
    claim.decide(first)
    first.ended.set()
    assert await claim.again()
    assert returned == [claim]
    claim.decide(second)
    assert await claim.granted() is second


async def test_a_claim_on_a_model_that_lives_on_stays(autojump_clock):
    """Its connections may fail for another reason, which is the client's to hear."""
    claim, granted = turn(), loaded()
    claim.decide(granted)
    before = trio.current_time()
    assert not await claim.again()
    assert trio.current_time() - before == DEATH_IS_SEEN
    assert await claim.granted() is granted


@pytest.mark.parametrize(
    ("dies", "kept"),
    [(0.0, 0.0), (DEATH_FOLLOWS / 2, DEATH_FOLLOWS / 2), (60.0, DEATH_FOLLOWS)],
    ids=["dead-already", "dying", "alive"],
)
async def test_a_claim_outlives_a_model_that_is_dying(dies, kept, autojump_clock):
    """The next would be sent to where this one was cut; one that lives on has others to serve."""
    claim, granted = turn(), loaded()
    claim.decide(granted)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def die() -> None:
            await trio.sleep(dies)
            granted.ended.set()

        await wait_all_tasks_blocked()
        before = trio.current_time()
        assert await claim.outlive() == (dies <= DEATH_FOLLOWS)
        assert trio.current_time() - before == pytest.approx(kept)
        nursery.cancel_scope.cancel()
    assert await claim.granted() is granted


def test_the_place_is_the_last_that_was_told():
    """And none before the scheduler's first word."""
    claim = turn()
    assert claim.place is None
    claim.move(3)
    claim.move(2)
    assert claim.place == 2


async def test_the_first_word_is_a_place_or_a_decision(autojump_clock):
    """Until then nobody knows whether it is refused at once, and so with which status."""
    words: list[Callable[[Turn], None]] = [
        lambda claim: claim.move(1),
        lambda claim: claim.decide(Refused(ShuttingDown())),
        lambda claim: claim.decide(loaded()),
    ]
    for word in words:
        claim, heard = turn(), list[float]()

        async def listen(claim: Turn = claim, heard: list[float] = heard) -> None:
            await claim.heard()
            heard.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await trio.sleep(5)
            assert heard == []
            word(claim)
        assert heard == [trio.current_time()]
        await claim.heard()  # It has been said, whoever asks later.


async def test_decided_is_granted_or_refused(autojump_clock):
    """A place in the queue is neither."""
    waiting, granted, refused = turn(), turn(), turn()
    waiting.move(1)
    granted.decide(loaded())
    refused.decide(Refused(ShuttingDown()))
    assert [claim.decided for claim in (waiting, granted, refused)] == [False, True, True]


async def test_a_claim_that_goes_back_is_undecided(autojump_clock):
    """Whoever shows a client what is going on must not say that its model is at work."""
    claim = turn()
    first = loaded()
    claim.decide(first)
    first.ended.set()
    assert await claim.again()
    assert not claim.decided
    assert claim.run is None


@pytest.mark.parametrize(
    ("started", "ready", "queued", "loading"),
    [
        (-20.0, -10.0, 30.0, 0.0),
        (-20.0, 10.0, 20.0, 10.0),
        (0.0, 30.0, 0.0, 30.0),
        (12.0, 30.0, 12.0, 18.0),
        (12.0, 20.0, 22.0, 8.0),
        (12.0, None, 30.0, 0.0),
    ],
    ids=[
        "ready-before-it-came",
        "being-loaded-when-it-came",
        "loaded-for-it-alone",
        "loaded-when-the-way-was-free",
        "others-served-between-load-and-turn",
        "never-said-to-be-ready",
    ],
)
async def test_a_wait_is_queueing_and_loading(started, ready, queued, loading, autojump_clock):
    """The two add up to the wait; an operator decides by them what to do about it."""
    claim = turn()
    await trio.sleep(30)
    claim.decide(loaded(started=started, ready=ready))
    assert (claim.queued, claim.loading) == (queued, loading)


async def test_a_wait_that_begins_again_counts_from_its_beginning(autojump_clock):
    """Its client has waited for all of it; only the load that it was served by counts as one."""
    claim = turn()
    await trio.sleep(10)
    first = loaded(ready=10.0)
    claim.decide(first)
    assert (claim.queued, claim.loading) == (0.0, 10.0)
    first.ended.set()
    assert await claim.again()
    await trio.sleep(10)
    claim.decide(loaded(started=12.0, ready=20.0))
    assert (claim.queued, claim.loading) == (12.0, 8.0)


async def test_a_refused_wait_is_not_measured(autojump_clock):
    """Nothing was waited for that came."""
    claim = turn()
    await trio.sleep(10)
    claim.decide(Refused(ShuttingDown()))
    assert (claim.queued, claim.loading) == (0.0, 0.0)
