"""A request's claim: decided once, waited for, watched."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.settings import Origin
from swapd.ids import ModelId, Ticket
from swapd.schedule.reasons import ShuttingDown, UnknownModel
from swapd.turns import Refused, Turn
from swapd.wire.pool import Pool


def turn() -> Turn:
    return Turn(Ticket(1), ModelId("a"), print, 0.0, claim=print, take_back=print, give_back=print)


def pool() -> Pool:
    return Pool(Origin("http", "127.0.0.1", 9))


async def test_the_grant_wakes_who_waits_and_stays():
    """Asked before or after it came."""
    claim, granted = turn(), pool()
    got: list[Pool] = []

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
        claim.decide(pool())


async def test_the_place_is_told_to_whoever_watches_since_whenever():
    """Watching from the start, or from later on."""
    early, late = turn(), turn()
    watched = early.place
    assert watched.value is None
    early.move(2)
    assert watched.value == 2
    late.move(3)
    assert late.place.value == 3
