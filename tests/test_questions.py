"""What can be asked of the engine; what is answered of the queue is tried with each scheduler."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.settings import Settings
from swapd.ids import ModelId
from swapd.schedule.phase import Phase
from swapd.schedule.standing import Behind, Loading, Stage
from tests import stories
from tests.fakes import FIRST_PID
from tests.shapes import fifo_settings, group
from tests.test_engine import running

A, B = ModelId("a"), ModelId("b")

BOTH = pytest.mark.parametrize(
    "settings",
    [stories.settings("ab", ttl=300), fifo_settings({"all": group("ab")}, names="ab", ttl=300)],
    ids=["serial", "fifo"],
)


@BOTH
async def test_the_queue_is_told_with_the_names_of_its_requests(
    settings: Settings, autojump_clock
):
    """The served first; a client is found by the name that it was told."""
    async with running(settings=settings) as (engine, _):
        with engine.turn(A, revoke=print, name="first") as first:
            await wait_all_tasks_blocked()
            [(standing, turn)] = engine.ask.queue()
            assert (turn, standing.stage, standing.position) == (first, Stage.LOADING, 1)
            assert standing.wait == Loading(A, 0.0, None)
            await first.granted()
            with engine.turn(B, revoke=print, name="second") as second:
                await wait_all_tasks_blocked()
                told = [(turn.name, one.position, one.stage) for one, turn in engine.ask.queue()]
                assert told == [("first", 0, Stage.GRANTED), ("second", 1, Stage.WAITING)]
                assert engine.ask.turn("second") is second
        assert engine.ask.turn("second") is None
        await wait_all_tasks_blocked()
        assert list(engine.ask.queue()) == []


async def test_who_has_just_left_is_not_shown(autojump_clock):
    """Also before the scheduler has heard of it."""
    async with running("a") as (engine, _):
        with engine.turn(A, revoke=print):
            await wait_all_tasks_blocked()
        assert list(engine.ask.queue()) == []


@BOTH
async def test_a_plan_is_told_and_not_carried_out(settings: Settings, autojump_clock):
    """However often somebody asks, and then it happens just so."""
    async with running(settings=settings) as (engine, models):
        for _ in range(3):
            plan = engine.ask.plan(A)
            assert (plan.evict, plan.start, plan.eta) == ((), A, None)
        assert models.loads == []
        with engine.turn(A, revoke=print) as turn:
            await turn.granted()
        await wait_all_tasks_blocked()
        assert engine.ask.plan(A).start is None
        plan = engine.ask.plan(B)
        assert (plan.evict, plan.start) == ((A,), B)
        assert models.loads == [A]


@BOTH
async def test_a_model_is_told_with_its_process_and_its_time(settings: Settings, autojump_clock):
    """What `ps` shows, and when it will go by itself."""
    async with running(settings=settings) as (engine, models):
        assert (engine.ask.pid(A), engine.ask.model(A).idle_at) == (None, None)
        with engine.turn(A, revoke=print) as turn:
            await turn.granted()
            standing = engine.ask.model(A)
            assert (standing.phase, standing.in_flight) == (Phase.READY, 1)
            assert (standing.load, standing.since) == (models.load, models.load)
            assert (engine.ask.pid(A), engine.ask.model(A).idle_at) == (FIRST_PID, None)
        await trio.sleep(100)
        assert engine.ask.model(A).idle_at == models.load + 300
        await trio.sleep(300)
        assert (engine.ask.pid(A), engine.ask.model(A).idle_at) == (None, None)
        assert engine.ask.model(A).phase is Phase.STOPPED


async def test_a_long_queue_says_how_many_are_before_one(autojump_clock):
    """The question that everybody asks who waits."""
    async with running("a") as (engine, _), trio.open_nursery() as nursery:

        async def wait() -> None:
            with engine.turn(A, revoke=print) as turn:
                await turn.granted()

        for _ in range(5):
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
        assert [one.wait for one, _ in engine.ask.queue()][1:] == [
            Behind(count) for count in range(1, 5)
        ]


async def test_what_a_model_says_of_itself_ends_with_its_run(autojump_clock):
    """It is about a process, and the next one has said nothing yet."""
    async with running("a") as (engine, models):
        models.words[A] = "loading"
        assert engine.ask.status_text(A) == ""
        with engine.turn(A, revoke=print) as turn:
            await turn.granted()
            assert engine.ask.status_text(A) == "loading"
        await engine.unload()
        assert engine.ask.status_text(A) == ""
