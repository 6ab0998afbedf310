"""The requests under way: their names, and cutting them short."""

from contextlib import AbstractContextManager

import pytest
import trio

from swapd.flights import Flight, Flights
from swapd.ids import ModelId
from swapd.schedule.reasons import Cancelled, ModelUnloaded, ShuttingDown

UNLOADED = ModelUnloaded(ModelId("a"))


def opened(flights: Flights, name: str = "r-1") -> AbstractContextManager[Flight]:
    return flights.open(name, method="POST", path="/v1/x", client="10.0.0.7", model="a")


def test_names_are_never_the_same_and_short_enough_to_type():
    """They stand in headers, in logs, and in what somebody types to cancel."""
    flights = Flights()
    names = [flights.next_id() for _ in range(1000)]
    assert len(set(names)) == 1000
    numbers = [int(name.removeprefix("r-"), 16) for name in names]
    assert numbers == list(range(numbers[0], numbers[0] + 1000))
    assert 4 <= min(map(len, names)) <= max(map(len, names)) <= 7


async def test_one_is_known_while_it_is_under_way(autojump_clock):
    """With what there is to say about it, and since when."""
    flights = Flights()
    await trio.sleep(3)
    with opened(flights) as flight:
        told = (flight.id, flight.method, flight.path, flight.client, flight.model, flight.since)
        assert told == ("r-1", "POST", "/v1/x", "10.0.0.7", "a", 3.0)
        assert flights.find("r-1") is flight
        assert list(flights) == [flight]
    assert flights.find("r-1") is None
    assert list(flights) == []


async def test_they_stand_in_the_order_in_which_they_began():
    """Also when one ends in between, while somebody goes through them."""
    flights = Flights()
    with opened(flights, "r-2") as first:
        with opened(flights, "r-1"), opened(flights, "r-3"):
            assert [flight.id for flight in flights] == ["r-2", "r-1", "r-3"]
            under_way = iter(flights)
            assert next(under_way) is first
        assert [flight.id for flight in under_way] == ["r-1", "r-3"]
        assert list(flights) == [first]


async def test_ending_one_cancels_what_it_does_and_says_why():
    """Only what is done for it; the first reason is the one that it ended for."""
    flights = Flights()
    with opened(flights) as flight:
        flight.end(UNLOADED)
        flight.end(Cancelled())
        assert flight.cut is None  # not before it is over
        await trio.sleep_forever()
    assert flight.cut == UNLOADED
    assert flights.find("r-1") is None


async def test_one_that_ends_by_itself_first_was_not_cut():
    """Its client has the whole answer, and must not be told that it has not."""
    flights = Flights()
    with opened(flights) as flight:
        flight.end(Cancelled())
    assert flight.cut is None
    flight.end(ShuttingDown())
    assert flight.cut is None


async def test_one_that_fails_or_is_cancelled_from_outside_is_forgotten():
    """A client that hangs up, or a bug, must leave no name that can be cancelled."""
    flights = Flights()
    flown: list[Flight] = []
    with trio.CancelScope() as connection, opened(flights) as flight:
        flown.append(flight)
        connection.cancel()
        await trio.lowlevel.checkpoint()
    with pytest.raises(ZeroDivisionError), opened(flights):
        raise ZeroDivisionError
    assert [flight.cut for flight in flown] == [None]
    assert list(flights) == []


async def test_one_that_was_told_to_end_is_not_found_any_more():
    """It may take a moment, in which nobody can cancel it again; but it is still under way."""
    flights = Flights()
    with opened(flights) as flight:
        assert not flight.ending
        flight.end(UNLOADED)
        assert flight.ending
        assert flights.find("r-1") is None
        assert not flights.cancel("r-1")
        assert flights.of("r-1") is flight
        assert list(flights) == [flight]
        await trio.sleep_forever()
    assert flights.of("r-1") is None


async def test_somebody_may_end_one_by_its_name(caplog):
    """Once; and the log says so."""
    caplog.set_level("INFO")
    flights = Flights()
    assert not flights.cancel("r-1")
    with opened(flights) as flight:
        assert flights.cancel("r-1")
        await trio.sleep_forever()
    assert flight.cut == Cancelled()
    assert caplog.messages == ["cancelling request r-1"]
