"""Runs of models: tasks that are told to end, and that always say when they have."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.settings import Model
from swapd.ids import ModelId, Run
from swapd.models.supervisor import Life
from swapd.runs import Runs
from swapd.schedule.events import Event, ModelBroke, ModelReady, ModelStopped, ModelStuck
from swapd.wire.pool import Pool
from tests import stories
from tests.fakes import CRASHED, FIRST_PID, FakeModels

A = ModelId("a")
ONE, TWO = Run(1), Run(2)


class World:
    """What runs have said, and for which of them clients were forgotten."""

    def __init__(self, models: FakeModels) -> None:
        self.models = models
        self.heard: list[Event] = []
        self.forgotten: list[Run] = []
        self.runs = Runs(
            models,
            lambda model: Pool(model.origin),
            self.heard.append,
            self.forgotten.append,
        )


@asynccontextmanager
async def living(models: FakeModels | None = None) -> AsyncIterator[World]:
    """Have a place for runs."""
    world = World(models or FakeModels())
    async with trio.open_nursery() as world.runs.nursery:
        yield world
        world.runs.nursery.cancel_scope.cancel()


async def test_a_run_is_known_before_its_task_has_taken_a_step(autojump_clock):
    """Whoever ends it in the same breath must find it; its model is never granted."""
    async with living() as world:
        world.runs.start(stories.model("a"), ONE)
        world.runs[ONE].end(None)
        await trio.sleep(world.models.stop + 1)
        assert world.heard == [ModelStopped(ONE)]
        assert not world.models.running


async def test_a_run_is_there_until_the_scheduler_has_heard_of_its_end(autojump_clock):
    """Until then it may still be granted; after that nobody finds it."""
    async with living() as world:
        world.runs.start(stories.model("a"), ONE)
        await trio.sleep(5)
        running = world.runs[ONE]
        assert world.runs.of(A) is running
        assert world.runs.loaded(A) is running.loaded
        assert world.runs.definitions() == {A: stories.model("a")}
        assert running.life.pid == FIRST_PID
        running.end(None)
        await trio.sleep(5)
        assert world.heard == [ModelReady(ONE), ModelStopped(ONE)]
        assert world.forgotten == [ONE]
        assert world.runs.get(ONE) is running
        assert world.runs.loaded(A) is None
        world.runs.gone(ONE)
        assert (world.runs.get(ONE), world.runs.of(A)) == (None, None)
        assert world.runs.definitions() == {}


@pytest.mark.parametrize(("grace", "seconds"), [(None, 10.0), (0.0, 0.0), (3.0, 3.0)])
async def test_a_run_is_given_the_time_that_it_is_told(grace, seconds, autojump_clock):
    """None is its model's own."""
    async with living(FakeModels(stubborn={A})) as world:
        world.runs.start(stories.model("a"), ONE)
        await trio.sleep(5)
        world.runs[ONE].end(grace)
        await world.runs[ONE].loaded.ended.wait()
        assert trio.current_time() == 5 + seconds


@pytest.mark.parametrize(
    ("first", "later", "took"),
    [
        (None, [0.0], 2.0),
        (1e9, [3.0], 5.0),
        (1e9, [None, 3.0, 4.0], 5.0),
        (None, [1e9], 10.0),
        (3.0, [1e9], 3.0),
        (3.0, [None], 3.0),
    ],
)
async def test_a_run_that_is_told_again_is_given_no_more_time(first, later, took, autojump_clock):
    """The first says how long; whoever comes later can only be in more of a hurry."""
    async with living(FakeModels(stubborn={A})) as world:
        world.runs.start(stories.model("a"), ONE)
        await trio.sleep(5)
        assert world.runs[ONE].end(first)
        await trio.sleep(2)
        for grace in later:
            assert not world.runs[ONE].end(grace)
        await world.runs[ONE].loaded.ended.wait()
        assert trio.current_time() == 5 + took


@pytest.mark.parametrize(
    ("first", "second", "took"),
    [(None, 0.0, 0.0), (1e9, 3.0, 3.0), (None, 1e9, 10.0), (3.0, None, 3.0)],
)
async def test_a_run_may_be_told_twice_in_one_breath(first, second, took, autojump_clock):
    """It has not noticed the first when the second comes."""
    async with living(FakeModels(stubborn={A})) as world:
        world.runs.start(stories.model("a"), ONE)
        await trio.sleep(5)
        assert world.runs[ONE].end(first)
        assert not world.runs[ONE].end(second)
        await world.runs[ONE].loaded.ended.wait()
        assert trio.current_time() == 5 + took


async def test_a_run_that_died_by_itself_is_cleared_away_sooner_for_whoever_hurries(
    autojump_clock,
):
    """It has its own time and no more; that it ends was told already."""
    async with living(FakeModels(stubborn={A})) as world:
        world.runs.start(stories.model("a"), ONE)
        await trio.sleep(5)
        world.models.crash("a")
        await trio.sleep(1)
        for grace in (1e9, None, 3.0):
            assert not world.runs[ONE].end(grace)
        await trio.sleep(2.5)
        assert world.models.running
        await trio.sleep(1)
        assert world.heard[1:] == [ModelBroke(ONE, CRASHED), ModelStopped(ONE)]


async def test_a_run_is_idle_while_no_turn_holds_it(autojump_clock):
    """Nobody asks a busy model for its health."""
    async with living() as world:
        world.runs.start(stories.model("a"), ONE)
        running = world.runs[ONE]
        assert running.life.idle()
        assert running.grant() is running.loaded
        running.grant()
        assert not running.life.idle()
        running.serving -= 2
        assert running.life.idle()
        assert running.life.uses == 2


async def test_what_survives_is_waited_for_outside_of_what_ended_it(autojump_clock):
    """The run ends when it goes at last, and not before."""
    async with living(FakeModels(unkillable={A})) as world:
        world.runs.start(stories.model("a"), ONE)
        await trio.sleep(5)
        world.runs[ONE].end(None)
        await trio.sleep(100)
        assert world.heard == [
            ModelReady(ONE),
            ModelStuck(ONE, "process 7 survived SIGKILL"),
        ]
        world.models.let_go()
        await wait_all_tasks_blocked()
        assert world.heard[-1] == ModelStopped(ONE)


async def test_a_bug_ends_one_run_and_says_so(autojump_clock, caplog):
    """The others live on, and the traceback is in the log."""

    class Buggy(FakeModels):
        async def __call__(self, model: Model, life: Life) -> None:
            if model.id == A:
                raise ZeroDivisionError("bug")
            await super().__call__(model, life)

    async with living(Buggy()) as world:
        world.runs.start(stories.model("a"), ONE)
        world.runs.start(stories.model("b"), TWO)
        await trio.sleep(5)
        broke, stopped, ready = world.heard
        assert isinstance(broke, ModelBroke)
        assert broke.cause.text == "internal error: ZeroDivisionError('bug')"
        assert (stopped, ready) == (ModelStopped(ONE), ModelReady(TWO))
    assert "ZeroDivisionError" in caplog.text


async def test_the_end_of_everything_ends_each_run_properly(autojump_clock):
    """In its own time, and heard of."""
    async with living() as world:
        world.runs.start(stories.model("a"), ONE)
        await trio.sleep(5)
    assert trio.current_time() == 5 + world.models.stop
    assert world.heard == [ModelReady(ONE), ModelStopped(ONE)]
