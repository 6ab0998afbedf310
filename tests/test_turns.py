"""A request's claim: decided once, waited for, watched."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.ids import ModelId, Ticket
from swapd.schedule.reasons import ShuttingDown, UnknownModel
from swapd.turns import DEATH_IS_SEEN, LoadedModel, Refused, Turn
from swapd.wire.pool import Pool
from tests import stories


def turn(*, take_back: Callable[[Turn], None] = print) -> Turn:
    claim, give_back = print, print
    return Turn(Ticket(1), ModelId("a"), print, 0.0, claim, take_back, give_back)


def loaded() -> LoadedModel:
    model = stories.model("a")
    return LoadedModel(model, Pool(model.origin))


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


async def test_the_place_is_told_to_whoever_watches_since_whenever():
    """Watching from the start, or from later on."""
    early, late = turn(), turn()
    watched = early.place
    assert watched.value is None
    early.move(2)
    assert watched.value == 2
    late.move(3)
    assert late.place.value == 3
