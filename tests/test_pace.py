"""How fast the queue moves."""

import pytest
import trio

from swapd.pace import NEWEST_TURN, Pace


async def test_a_turn_counts_from_when_the_last_one_ended(autojump_clock):
    """Or from its own arrival, if nobody was before it: waiting for others is not its own time."""
    pace = Pace(seconds_a_turn=10.0)
    await trio.sleep(100)
    pace.departed(opened=80.0)  # the only one: twenty seconds
    assert pace.seconds_a_turn == pytest.approx(10 + NEWEST_TURN * 10)
    pace = Pace(seconds_a_turn=10.0)
    pace.departed(opened=80.0)
    await trio.sleep(5)
    pace.departed(opened=80.0)  # waited for the one before: five seconds of its own
    assert pace.seconds_a_turn == pytest.approx(12 - NEWEST_TURN * (12 - 5))
    await trio.sleep(50)
    pace.departed(opened=150.0)  # nobody asked for a while, which says nothing about turns
    assert pace.seconds_a_turn == pytest.approx(10.6 - NEWEST_TURN * (10.6 - 5))


async def test_turns_side_by_side_are_as_fast_as_they_end(autojump_clock):
    """Who waits is let in when one of them ends, however long each takes."""
    pace = Pace(seconds_a_turn=30.0)
    for _ in range(100):
        await trio.sleep(2)
        pace.departed(opened=trio.current_time() - 60)
    assert pace.seconds_a_turn == pytest.approx(2, abs=0.1)


async def test_one_long_turn_is_not_the_pace(autojump_clock):
    """A client told to come back in an hour because of one request would not come back."""
    pace = Pace(seconds_a_turn=1.0)
    await trio.sleep(1000)
    pace.departed(opened=0.0)
    assert pace.seconds_a_turn < 1000 / 4
    for _ in range(30):
        pace.departed(opened=trio.current_time())
    assert pace.seconds_a_turn < 1
