"""Events that come back later, in pretend time."""

from collections.abc import Callable

import trio

from swapd.ids import ModelId, Run
from swapd.schedule.events import BackOffElapsed, Event, IdleElapsed
from swapd.timers import Timers


def ticking(nursery: trio.Nursery, post: Callable[[Event], None]) -> Timers:
    """Make timers that tick."""
    timers = Timers(post)
    timers.nursery = nursery
    return timers


async def test_an_event_comes_when_it_was_asked_for(nursery, autojump_clock):
    """Not earlier, and once."""
    came: list[tuple[float, Event]] = []
    timers = ticking(nursery, lambda event: came.append((trio.current_time(), event)))
    timers.arm(5, IdleElapsed(Run(1), 1), key="a")
    assert timers.remaining("a") == 5
    await trio.sleep(100)
    assert came == [(5, IdleElapsed(Run(1), 1))]
    assert timers.remaining("a") is None


async def test_the_same_key_puts_it_off_and_renews_the_event(nursery, autojump_clock):
    """The newest turn's timer is the one that counts."""
    came: list[tuple[float, Event]] = []
    timers = ticking(nursery, lambda event: came.append((trio.current_time(), event)))
    timers.arm(5, IdleElapsed(Run(1), 1), key="a")
    await trio.sleep(4)
    timers.arm(5, IdleElapsed(Run(1), 2), key="a")
    await trio.sleep(100)
    assert came == [(9, IdleElapsed(Run(1), 2))]


async def test_keys_are_independent(nursery, autojump_clock):
    """One model's back-off says nothing about another's."""
    came: list[Event] = []
    timers = ticking(nursery, came.append)
    first, second = BackOffElapsed(ModelId("a"), 2), BackOffElapsed(ModelId("b"), 2)
    timers.arm(2, second, key=second)
    timers.arm(1, first, key=first)
    await trio.sleep(3)
    assert came == [first, second]


async def test_the_same_key_may_also_come_earlier(nursery, autojump_clock):
    """A back-off that was forgotten and opened again starts short, whatever the last one was."""
    came: list[tuple[float, Event]] = []
    timers = ticking(nursery, lambda event: came.append((trio.current_time(), event)))
    timers.arm(300, BackOffElapsed(ModelId("a"), 7), key="a")
    timers.arm(10, BackOffElapsed(ModelId("a"), 2), key="a")
    assert timers.remaining("a") == 10
    await trio.sleep(1000)
    assert came == [(10, BackOffElapsed(ModelId("a"), 2))]


async def test_arming_in_the_moment_of_the_ring_keeps_both(nursery, autojump_clock):
    """The old event is late news, which the scheduler knows by its number; the new one counts."""
    came: list[tuple[float, Event]] = []
    timers = ticking(nursery, lambda event: came.append((trio.current_time(), event)))
    timers.arm(5, IdleElapsed(Run(1), 1), key="a")
    timers._alarms["a"].waiting.cancel()
    timers.arm(5, IdleElapsed(Run(1), 2), key="a")
    await trio.sleep(100)
    assert came == [(0, IdleElapsed(Run(1), 1)), (5, IdleElapsed(Run(1), 2))]


async def test_what_nobody_wants_any_more_never_comes(nursery, autojump_clock):
    """Nor does it wait: a timer of years would be a task for years."""
    came: list[Event] = []
    timers = ticking(nursery, came.append)
    before = len(nursery.child_tasks)
    timers.arm(1e9, IdleElapsed(Run(1), 1), key="a")
    timers.disarm("a")
    timers.disarm("b")
    assert timers.remaining("a") is None
    await trio.sleep(1)
    assert len(nursery.child_tasks) == before
    timers.arm(5, IdleElapsed(Run(1), 2), key="a")
    await trio.sleep(10)
    assert came == [IdleElapsed(Run(1), 2)]
