"""Loads without a request: they are turns like any. Over HTTP: manage/test_requests.py."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.settings import Settings
from swapd.engine import Engine
from swapd.flights import Flights
from swapd.ids import ModelId
from swapd.loads import Loads, newly_preloaded
from swapd.schedule.choose import choose
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import Cancelled, LoadFailed, ModelUnloaded, ShuttingDown
from swapd.wire.pool import Pool
from tests import stories
from tests.fakes import BROKEN, FakeModels

A, B = ModelId("a"), ModelId("b")


@asynccontextmanager
async def running(*models: str) -> AsyncIterator[tuple[Loads, FakeModels]]:
    """Run loads over an engine and fake models."""
    settings, fakes = stories.settings(models), FakeModels()
    engine = Engine(
        settings,
        choose(settings),
        supervise=fakes,
        open_pool=lambda model: Pool(model.origin),
    )
    loads = Loads(engine, Flights())
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        await nursery.start(loads.run)
        yield loads, fakes
        nursery.cancel_scope.cancel()


def assert_nothing_left(loads: Loads) -> None:
    assert list(loads.flights) == []
    assert not loads.engine._turns


async def test_a_load_answers_when_the_model_is_ready_and_leaves_it_to_others(autojump_clock):
    """It holds nothing: the next request for another model need not wait for it."""
    async with running("a", "b") as (loads, models):
        assert await loads.load(A) is None
        assert trio.current_time() == models.load
        assert loads.engine.phase(A) is Phase.READY
        assert_nothing_left(loads)
        assert await loads.load(B) is None
        assert models.loads == [A, B]


async def test_a_load_waits_its_turn(autojump_clock):
    """It takes no model away from whoever is being served."""
    async with running("a", "b") as (loads, models):
        with loads.engine.turn(A, revoke=print) as turn:
            await turn.granted()
            loads.begin(B)
            await trio.sleep(60)
            assert models.loads == [A]
        await trio.sleep(60)
        assert models.loads == [A, B]


async def test_a_load_in_the_background_has_a_name_while_it_lasts(autojump_clock):
    """By which it can be cancelled; it came from no client."""
    async with running("org/a") as (loads, models):
        name = loads.begin(ModelId("org/a"))
        await wait_all_tasks_blocked()
        [flight] = loads.flights
        assert flight is loads.flights.find(name)
        told = (flight.method, flight.path, flight.client, flight.model)
        assert told == ("POST", "/api/models/load/org/a", None, "org/a")
        await trio.sleep(models.load + 1)
        assert_nothing_left(loads)


async def test_what_goes_wrong_is_an_answer(autojump_clock):
    """Not an exception, which in the background would end the daemon."""
    async with running("a", "b") as (loads, models):
        models.broken.add(A)
        no = await loads.load(A)
        assert no is not None
        assert no.reason == LoadFailed(A, BROKEN)
        loads.begin(A)
        await trio.sleep(60)
        assert_nothing_left(loads)
        assert await loads.load(B) is None


async def test_a_load_is_ended_for_a_reason(autojump_clock):
    """By its name, by an unload of its model, or by the end of everything."""
    async with running("a", "b") as (loads, _), trio.open_nursery() as nursery:
        got: list[object] = []

        async def load(model: ModelId) -> None:
            no = await loads.load(model)
            assert no is not None
            got.append(no.reason)

        nursery.start_soon(load, A)
        await wait_all_tasks_blocked()
        next(iter(loads.flights)).end(Cancelled())
        await wait_all_tasks_blocked()
        await trio.sleep(60)
        nursery.start_soon(load, B)
        await wait_all_tasks_blocked()
        nursery.start_soon(loads.engine.unload)
        await wait_all_tasks_blocked()
        await trio.sleep(60)
        nursery.start_soon(load, A)
        await wait_all_tasks_blocked()
        loads.engine.stop()
        await wait_all_tasks_blocked()
        assert got == [Cancelled(), ModelUnloaded(B), ShuttingDown()]
        assert_nothing_left(loads)


async def test_a_cancelled_load_leaves_nothing_behind(autojump_clock):
    """Whoever asked has hung up: before anything, or while the model was being loaded."""
    async with running("a", "b") as (loads, models):
        for seconds in (0.0, models.load / 2):
            with trio.move_on_after(seconds):
                await loads.load(A)
            await wait_all_tasks_blocked()
            assert_nothing_left(loads)
        assert await loads.load(B) is None


async def test_the_end_of_the_service_is_the_end_of_its_loads(autojump_clock):
    """The daemon waits for nobody who waits for nothing."""
    settings = stories.settings(["a"])
    engine = Engine(
        settings,
        choose(settings),
        supervise=FakeModels(load=1000.0),
        open_pool=lambda model: Pool(model.origin),
    )
    loads = Loads(engine, Flights())
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        async with trio.open_nursery() as service:
            await service.start(loads.run)
            loads.begin(A)
            await wait_all_tasks_blocked()
            service.cancel_scope.cancel()
        assert_nothing_left(loads)
        nursery.cancel_scope.cancel()


# Preloading


def preloading(names: str, **models: str) -> Settings:
    """Make settings in which these are preloaded; other `models` have another `cmd`."""
    made = [stories.model(name, cmd=models.get(name)) for name in "abc"]
    return attrs.evolve(stories.settings(made), preload=tuple(map(ModelId, names)))


@pytest.mark.parametrize(
    ("wanted", "loads"), [pytest.param("a", [A], id="R23-ours"), ("ba", [B, A]), ("", [])]
)
async def test_what_is_to_be_preloaded_is_loaded_in_its_order(wanted, loads, autojump_clock):
    """One after the other, each with a load and a readiness in the journal."""
    async with running("a", "b") as (preloads, models):
        preloads.preload(map(ModelId, wanted))
        await trio.sleep(60)
        assert models.loads == loads
        told = [one for one in preloads.engine.decisions.since(0) if one.kind == "ready"]
        assert [one.model for one in told] == loads
        assert_nothing_left(preloads)


async def test_a_preload_that_fails_keeps_no_other_from_being_loaded(autojump_clock, caplog):
    """And it is in the log, because nobody waits for it."""
    async with running("a", "b") as (loads, models):
        models.broken.add(A)
        loads.preload([A, ModelId("ghost"), B])
        await trio.sleep(60)
        assert models.running == {B}
        assert_nothing_left(loads)
    warnings = [message for message in caplog.messages if message.startswith("cannot")]
    assert [message.partition(":")[0] for message in warnings] == [
        "cannot preload a",
        "cannot preload ghost",
    ]


async def test_who_asks_meanwhile_waits_for_one_load_at_most(autojump_clock):
    """Preloads stand in the queue one at a time, and not all before the first client."""
    async with running("a", "b", "c") as (loads, models):
        loads.preload([A, B])
        await wait_all_tasks_blocked()
        assert await loads.load(ModelId("c")) is None
        await trio.sleep(60)
        assert models.loads == [A, "c", B]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (preloading(""), preloading("ab"), [A, B]),
        (preloading("a"), preloading("ba"), [B]),
        (preloading("ab"), preloading("ab"), []),
        (preloading("ab"), preloading(""), []),
        (preloading("ab"), preloading("ab", a="a --new"), [A]),
        (preloading("ab"), preloading("b", a="a --new"), []),
        (attrs.evolve(preloading("a"), models={}), preloading("a"), [A]),
    ],
    ids=["all", "one more", "none", "none now", "changed", "changed, not wanted", "added"],
)
def test_a_reload_preloads_what_is_new(old, new, wanted):
    """What has been idle and is gone since the start is not loaded again with every reload."""
    assert newly_preloaded(old, new) == wanted
