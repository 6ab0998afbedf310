"""Orders to unload, answered one by one."""

import trio
import trio.testing

from swapd.ids import ModelId, Order
from swapd.orders import Orders
from swapd.schedule.effects import Unloaded
from swapd.schedule.events import Event, UnloadAsked
from swapd.schedule.reasons import Unkillable

A = ModelId("a")


async def test_an_order_is_posted_and_answered_with_what_would_not_die(autojump_clock):
    """Whoever unloads must hear that the memory is not free."""
    posted: list[Event] = []
    orders, stuck = Orders(posted.append), Unkillable(A, "process 7 survived SIGKILL")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_answer, orders, Unloaded(Order(1), stuck))
        found = await orders.unload([A], drain=True, keep=False, seconds=2.0)
    assert found == stuck
    assert posted == [UnloadAsked(Order(1), frozenset([A]), True, False, 2.0)]


async def test_who_left_is_not_told(autojump_clock):
    """An order outlives who gave it; its answer must find nobody, and no room be taken."""
    orders = Orders(lambda event: None)
    with trio.move_on_after(1):
        await orders.unload([], drain=False, keep=False, seconds=None)
    assert not len(orders)
    orders.answer(Unloaded(Order(1)))


async def _answer(orders: Orders, unloaded: Unloaded) -> None:
    await trio.testing.wait_all_tasks_blocked()
    orders.answer(unloaded)
