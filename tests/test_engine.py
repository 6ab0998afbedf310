"""The loop between requests, scheduler and models: real scheduler, fake models, pretend time."""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.settings import Model, Settings
from swapd.engine import FORGET_STALLED, Engine
from swapd.ids import ModelId
from swapd.models.supervisor import Life
from swapd.schedule.choose import choose
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import (
    BackingOff,
    LoadFailed,
    ModelUnloaded,
    QueueFull,
    Reason,
    ShuttingDown,
    Unkillable,
    UnknownModel,
)
from swapd.turns import Refused
from swapd.wire.pool import Pool
from tests import stories
from tests.fakes import CRASHED, FakeModels
from tests.shapes import fifo_settings, group

A, B = ModelId("a"), ModelId("b")

MODELS = (stories.model("a"), stories.model("b"))

BOTH = pytest.mark.parametrize("scheduler", ["serial", "fifo"])


def settings_of(scheduler: str, *models: Model) -> Settings:
    """Make settings in which no two models run side by side."""
    if scheduler == "serial":
        return stories.settings(models)
    settings = fifo_settings({"all": group("".join(model.id for model in models))})
    return attrs.evolve(settings, models={model.id: model for model in models})


@asynccontextmanager
async def running(
    *models: str,
    settings: Settings | None = None,
    fakes: FakeModels | None = None,
    read_ahead: Callable[[Model | None], None] = lambda model: None,
) -> AsyncIterator[tuple[Engine, FakeModels]]:
    """Run an engine over fake models."""
    chosen = settings or stories.settings(models)
    pretend = fakes or FakeModels()
    engine = Engine(
        chosen,
        choose(chosen),
        supervise=pretend,
        open_pool=lambda model: Pool(model.origin),
        read_ahead=read_ahead,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        yield engine, pretend
        nursery.cancel_scope.cancel()


async def use(engine: Engine, model: ModelId, seconds: float = 0.0) -> list[Reason]:
    """Take one turn; answer with what it was revoked for."""
    revoked: list[Reason] = []
    with engine.turn(model, revoke=revoked.append) as turn:
        await turn.granted()
        await trio.sleep(seconds)
    return revoked


async def test_a_turn_waits_for_its_model_and_gives_it_back(autojump_clock):
    """Load, hold, release, and the next one goes on without a load."""
    async with running("a") as (engine, models):
        with engine.turn(A, revoke=print) as turn:
            assert engine.phase(A) is Phase.STOPPED
            await turn.granted()
            assert engine.phase(A) is Phase.READY
            assert trio.current_time() == models.load
        await use(engine, A)
        assert models.loads == [A]


async def test_a_waiting_turn_learns_its_place(autojump_clock):
    """Whoever shows a waiting client where it stands watches `place`."""
    async with running("a") as (engine, _):
        with engine.turn(A, revoke=print), engine.turn(A, revoke=print) as second:
            await wait_all_tasks_blocked()
            assert second.place == 2


async def test_a_cancelled_waiter_leaves_the_queue(autojump_clock):
    """Its goodbye is synchronous, so cancellation cannot lose it."""
    async with running("a", "b") as (engine, models):
        await use(engine, A)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(use, engine, A, 10)
            await wait_all_tasks_blocked()
            with trio.move_on_after(1):
                await use(engine, B)
        await trio.sleep(60)
        assert models.loads == [A]


async def test_a_turn_cancelled_while_opening_leaves_nothing(autojump_clock):
    """A task that is cancelled before its first wait says goodbye all the same."""
    async with running("a") as (engine, _models):
        with trio.CancelScope() as request:
            request.cancel()
            await use(engine, A)
        await trio.sleep(60)
        assert not engine._turns
        assert await use(engine, A) == []


async def test_an_unload_answers_when_the_process_is_gone(autojump_clock):
    """Not when it was asked to go."""
    async with running("a") as (engine, models):
        await use(engine, A)
        before = trio.current_time()
        assert await engine.unload([A]) is None
        assert not models.running
        assert trio.current_time() - before == models.stop


async def test_an_unload_takes_the_model_from_its_user(autojump_clock):
    """The holder is told why; the queue goes on when it has let go."""
    async with running("a") as (engine, _), trio.open_nursery() as nursery:
        got: list[Reason] = []
        with engine.turn(A, revoke=got.append) as turn:
            await turn.granted()
            nursery.start_soon(engine.unload)
            await wait_all_tasks_blocked()
            assert got == [ModelUnloaded(A)]


async def test_a_cancelled_unload_is_carried_out_all_the_same(autojump_clock):
    """An operator's client that hangs up does not keep the model in memory."""
    async with running("a") as (engine, models):
        await use(engine, A)
        with trio.move_on_after(0.1):
            await engine.unload()
        await trio.sleep(models.stop)
        assert not models.running
        assert not engine._orders


async def test_a_failed_load_is_raised_with_its_cause(autojump_clock):
    """The scheduler's reason comes out of `granted`."""
    async with running("a") as (engine, models):
        models.broken.add(A)
        with pytest.raises(Refused) as refused:
            await use(engine, A)
        assert isinstance(refused.value.reason, LoadFailed)


async def test_a_bug_in_a_models_care_is_that_models_failure(autojump_clock):
    """A broken supervisor must never take the daemon, or the other models, along."""

    class Buggy(FakeModels):
        async def __call__(self, model: Model, life: Life) -> None:
            if model.id == A:
                raise ZeroDivisionError("bug")
            await super().__call__(model, life)

    async with running("a", "b", fakes=Buggy()) as (engine, _):
        with pytest.raises(Refused) as refused:
            await use(engine, A)
        assert isinstance(refused.value.reason, LoadFailed)
        assert "ZeroDivisionError" in refused.value.reason.cause.text
        await use(engine, B)


async def test_a_model_stopped_in_the_breath_it_was_started_never_stays(autojump_clock):
    """StartModel and StopModel may be carried out before the run's task has taken a step."""
    async with running("a", "b") as (engine, models):
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as request:
                request.cancel()
                await use(engine, A)
            nursery.start_soon(use, engine, B)
        assert models.running == {B}
        assert models.most == 1


async def test_an_idle_model_is_unloaded_after_its_ttl(autojump_clock):
    """Counted from its last use; memory goes back to the machine."""
    async with running(settings=stories.settings(["a"], ttl=300)) as (engine, models):
        await use(engine, A)
        await trio.sleep(299)
        await use(engine, A)
        await trio.sleep(299)
        assert engine.phase(A) is Phase.READY
        await trio.sleep(2)
        assert not models.running


async def test_a_busy_model_has_one_idle_timer(autojump_clock):
    """A task for each request's timer would be thousands of sleepers."""
    async with running(settings=stories.settings(["a"], ttl=300)) as (engine, _):
        await use(engine, A)
        await wait_all_tasks_blocked()
        before = len(engine._timers.nursery.child_tasks)
        for _ in range(100):
            await use(engine, A)
        await wait_all_tasks_blocked()
        assert len(engine._timers.nursery.child_tasks) == before


async def test_a_client_that_does_not_let_go_is_forgotten_when_its_model_is_gone(autojump_clock):
    """A stalled reader holds its own connection, not everybody's queue."""
    async with running("a", "b") as (engine, models), trio.open_nursery() as nursery:
        nursery.start_soon(use, engine, A, 1000)
        await trio.sleep(2)
        await engine.unload([A])
        before = trio.current_time()
        await use(engine, B)
        assert trio.current_time() - before == FORGET_STALLED + models.load
        nursery.cancel_scope.cancel()


async def test_what_survives_sigkill_is_named_and_nothing_is_loaded_on_top(autojump_clock):
    """Everybody gets a 503 until it goes; then life goes on."""
    async with running("a", "b") as (engine, models):
        models.unkillable.add(A)
        await use(engine, A)
        stuck = Unkillable(A, "process 7 survived SIGKILL")
        assert await engine.unload() == stuck
        assert engine.phase(A) is Phase.FAILED
        with pytest.raises(Refused) as refused:
            await use(engine, B)
        assert refused.value.reason == stuck
        models.let_go()
        await wait_all_tasks_blocked()
        await use(engine, B)


async def test_stopping_refuses_the_waiting_and_lets_the_served_finish(autojump_clock):
    """The drain is for those who hold a model."""
    async with running("a", "b") as (engine, _):
        await use(engine, A)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(use, engine, A, 10)
            await wait_all_tasks_blocked()
            engine.stop()
            with pytest.raises(Refused) as refused:
                await use(engine, B)
            assert refused.value.reason == ShuttingDown()


async def test_models_are_gone_before_the_engine_is(autojump_clock):
    """Cancelling the engine ends its models, in their own time, first."""
    fakes = FakeModels()
    async with running("a", fakes=fakes) as (engine, _):
        await use(engine, A)
    assert not fakes.running


async def test_settings_are_visible_when_the_scheduler_goes_by_them(autojump_clock):
    """Not earlier: what it asked for before is of the settings before."""
    old, new = stories.settings(["a"]), stories.settings(["b"])
    async with running(settings=old) as (engine, models):
        async with trio.open_nursery() as nursery:
            with engine.turn(A, revoke=print) as turn:
                nursery.start_soon(engine.adopt, new)
                assert engine.settings is old
                with pytest.raises(Refused) as refused:
                    await turn.granted()
                assert engine.settings is new
        assert refused.value.reason == UnknownModel(A)
        await use(engine, B)
        assert models.running == {B}
        assert models.most == 1


async def test_adopting_returns_when_the_settings_count(autojump_clock):
    """Also when the next ones come in the same breath; and it does not wait for any model."""
    first, second = stories.settings(["b"]), stories.settings(["c"])
    async with running("a") as (engine, _):
        await use(engine, A)
        before = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(engine.adopt, first)
            nursery.start_soon(engine.adopt, second)
        assert engine.settings in (first, second)
        await engine.adopt(first)
        assert engine.settings is first
        assert engine.phase(A) is Phase.STOPPING
        assert trio.current_time() == before


async def test_adopting_the_same_again_returns_too(autojump_clock):
    """A reload of an untouched file once waited for ever, and every later one behind it."""
    async with running("a") as (engine, _):
        same = stories.settings(["a"])
        assert same == engine.settings
        with trio.fail_after(1):
            await engine.adopt(same)
        assert engine.settings is same


async def test_adopting_is_not_undone_by_a_cancelled_wait(autojump_clock):
    """A client that hangs up must not leave half a reload."""
    new = stories.settings(["b"])
    async with running("a") as (engine, _):
        with trio.CancelScope() as request:
            request.cancel()
            await engine.adopt(new)
        await wait_all_tasks_blocked()
        assert engine.settings is new


async def test_a_reload_leaves_an_unchanged_model_its_run_and_its_turn(autojump_clock):
    """Nobody who uses it notices anything."""
    async with running("a", "b") as (engine, models), trio.open_nursery() as nursery:
        got: list[Reason] = []
        with engine.turn(A, revoke=got.append) as turn:
            await turn.granted()
            nursery.start_soon(use, engine, A)
            await engine.adopt(
                stories.settings([attrs.evolve(stories.model("a"), name="new"), "c"])
            )
            await trio.sleep(60)
            assert got == []
        await use(engine, A)
        assert models.loads == [A]


async def test_a_changed_model_finishes_its_turn_and_is_loaded_anew(autojump_clock):
    """Whoever has it keeps it to the end; whoever comes next gets what is configured now."""
    new = stories.model("a", cmd="a --new")
    async with running("a") as (engine, models):
        got: list[Reason] = []
        holding = ExitStack()
        first = holding.enter_context(engine.turn(A, revoke=got.append))
        assert (await first.granted()).model == stories.model("a")
        with engine.turn(A, revoke=print) as second:
            await engine.adopt(stories.settings([new]))
            await trio.sleep(60)
            assert (got, models.loads) == ([], [A])
            holding.close()
            assert (await second.granted()).model is new
        assert models.loads == [A, A]
        assert models.most == 1


async def test_a_removed_model_is_refused_and_stopped(autojump_clock):
    """Idle, it goes at once; whoever waits for it or comes is told that there is no such model."""
    async with running("a", "b") as (engine, models):
        await use(engine, A)
        await engine.adopt(stories.settings(["b"]))
        with pytest.raises(Refused) as refused:
            await use(engine, A)
        assert refused.value.reason == UnknownModel(A)
        assert engine.phase(A) is Phase.STOPPING
        await use(engine, B)
        assert engine.phase(A) is Phase.STOPPED
        assert models.loads == [A, B]


async def test_a_reload_during_a_load_starts_the_new_definition(autojump_clock):
    """The operator has mended what would have taken minutes to fail."""
    new = stories.model("a", cmd="a --new")
    async with running("a") as (engine, models):
        with engine.turn(A, revoke=print) as turn:
            with trio.move_on_after(models.load / 2):
                await turn.granted()
            await engine.adopt(stories.settings([new]))
            assert (await turn.granted()).model is new
            assert trio.current_time() == models.load / 2 + models.stop + models.load
        assert models.loads == [A, A]
        assert models.most == 1


async def test_a_request_whose_model_died_may_wait_for_another_definition(autojump_clock):
    """Nothing of it was sent, so nothing holds it to what it was resolved to."""
    new = stories.model("a", cmd="a --new")
    async with running("a") as (engine, models):
        with engine.turn(A, revoke=print) as turn:
            await turn.granted()
            await engine.adopt(stories.settings([new]))
            models.crash("a")
            assert await turn.again()
            assert (await turn.granted()).model is new


async def test_a_reload_moves_the_idle_timer(autojump_clock):
    """A new `ttl` counts from the reload; that of before means nothing any more."""
    async with running(settings=stories.settings(["a"], ttl=300)) as (engine, models):
        await use(engine, A)
        await trio.sleep(200)
        await engine.adopt(stories.settings(["a"], ttl=3000))
        await trio.sleep(2999)
        assert engine.phase(A) is Phase.READY
        await trio.sleep(2 + models.stop)
        assert engine.phase(A) is Phase.STOPPED


async def test_a_stale_run_of_a_removed_model_is_unloaded_with_all(autojump_clock):
    """Stopping the daemon must not forget what is configured no more."""
    async with running("a") as (engine, models), trio.open_nursery() as nursery:
        nursery.start_soon(use, engine, A, 1000)
        await trio.sleep(2)
        await engine.adopt(stories.settings(["b"]))
        assert await engine.unload() is None
        assert not models.running
        nursery.cancel_scope.cancel()


async def test_the_longest_unload_is_of_all_that_may_have_to_end(autojump_clock):
    """What was started with more patience than is configured now is still given it."""

    def settings(*patience: float) -> Settings:
        models = (
            attrs.evolve(stories.model(name), unload_timeout=seconds)
            for name, seconds in zip("ab", patience, strict=False)
        )
        return stories.settings(models)

    async with running(settings=settings(60, 20)) as (engine, _):
        assert engine.longest_unload() == 60
        async with trio.open_nursery() as nursery:
            nursery.start_soon(use, engine, A, 100)
            await trio.sleep(2)
            await engine.adopt(settings(5))
            await wait_all_tasks_blocked()
            assert engine.longest_unload() == 60
        await trio.sleep(60)
        assert engine.longest_unload() == 60  # unchanged and loaded: as it was started
        await engine.adopt(settings())
        await trio.sleep(60)
        assert engine.longest_unload() == 0


async def test_retry_after_follows_the_pace_of_the_queue(autojump_clock):
    """A full queue of ten-second requests does not ask clients back in one."""
    async with running(settings=stories.settings(["a"], max_queue=1)) as (engine, _):
        for _ in range(30):
            await use(engine, A, 10)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(use, engine, A, 10)
            await wait_all_tasks_blocked()
            nursery.start_soon(use, engine, A, 10)
            await wait_all_tasks_blocked()
            with pytest.raises(Refused) as refused:
                await use(engine, A)
            nursery.cancel_scope.cancel()
        assert refused.value.reason == QueueFull(1)
        assert refused.value.retry_after == pytest.approx(10, abs=0.5)


async def test_retry_after_a_back_off_is_what_is_left_of_it(autojump_clock):
    """Not its whole length: the client may have come late."""
    async with running("a") as (engine, models):
        models.broken.add(A)
        for _ in range(2):
            with pytest.raises(Refused):
                await use(engine, A)
        await trio.sleep(4)
        with pytest.raises(Refused) as refused:
            await use(engine, A)
        assert isinstance(refused.value.reason, BackingOff)
        assert refused.value.retry_after == pytest.approx(10 - 4)


async def test_who_takes_no_turn_finds_a_model_only_while_it_is_ready(autojump_clock):
    """An open page of its server must neither load it nor be sent to what is on its way out."""
    async with running("a", "b") as (engine, models), trio.open_nursery() as nursery:
        assert engine.loaded(A) is None
        with engine.turn(A, revoke=print) as turn:
            await wait_all_tasks_blocked()
            assert engine.phase(A) is Phase.STARTING
            assert engine.loaded(A) is None
            granted = await turn.granted()
        assert engine.loaded(A) is granted
        assert engine.loaded(B) is None
        assert engine.loaded(ModelId("ghost")) is None
        nursery.start_soon(engine.unload)
        await wait_all_tasks_blocked()
        assert engine.phase(A) is Phase.STOPPING
        assert engine.loaded(A) is None
        await trio.sleep(models.stop + 1)
        await use(engine, A)
        assert engine.loaded(A) is not granted


async def test_a_model_that_has_just_died_is_not_found(autojump_clock):
    """Between its death and the scheduler's next look, only the run itself knows."""
    seen: list[object] = []

    class Dying(FakeModels):
        async def __call__(self, model: Model, life: Life) -> None:
            life.ready()
            await trio.sleep(10)
            seen.append(engine.loaded(A))
            life.broke(CRASHED)
            seen.extend([engine.phase(A), engine.loaded(A)])

    async with running("a", fakes=Dying()) as (engine, _):
        await use(engine, A)
        await trio.sleep(20)
        [before, phase, after] = seen
        assert before is not None
        assert (phase, after) == (Phase.READY, None)


async def test_a_model_of_another_definition_is_found_as_it_was_started(autojump_clock):
    """Its process is where it was, whatever the configuration says meanwhile."""
    async with running("a") as (engine, _), trio.open_nursery() as nursery:
        nursery.start_soon(use, engine, A, 100)
        await trio.sleep(2)
        await engine.adopt(stories.settings([stories.model("a", cmd="a --new")]))
        loaded = engine.loaded(A)
        assert loaded is not None
        assert loaded.model == stories.model("a")


async def test_stopping_can_be_seen(autojump_clock):
    """Whoever serves without a turn, as peers are, admits nothing new either."""
    async with running("a") as (engine, _):
        assert not engine.stopping
        engine.stop()
        assert engine.stopping


async def test_the_log_calls_a_request_what_its_client_was_told(autojump_clock, caplog):
    """Who has the name out of a header finds the line; a turn without one has its number."""
    caplog.set_level("INFO")
    async with running("a", "b") as (engine, _), trio.open_nursery() as nursery:
        for name in ("r-1f3a", ""):
            with (
                engine.turn(ModelId("ghost"), revoke=print, name=name) as turn,
                pytest.raises(Refused),
            ):
                await turn.granted()
        with engine.turn(A, revoke=print, name="r-77") as turn:
            await turn.granted()
            nursery.start_soon(engine.unload)
            await wait_all_tasks_blocked()
    logged = [message for message in caplog.messages if message.startswith(("refused", "cut"))]
    assert logged == [
        "refused r-1f3a: unknown model, ghost",
        "refused 2: unknown model, ghost",
        "cut r-77: model unloaded, a",
    ]


async def test_a_turn_knows_how_long_it_queued_and_how_long_it_loaded(autojump_clock):
    """Told to clients and operators; the engine notes when each run began and was ready."""
    measured: list[tuple[float, float]] = []

    async def measure() -> None:
        with engine.turn(B, revoke=print) as third:
            await third.granted()
            measured.append((third.queued, third.loading))

    async with running("a", "b", fakes=FakeModels(load=7.0, stop=2.0)) as (engine, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(use, engine, A, 10)
            await wait_all_tasks_blocked()
            with engine.turn(A, revoke=print) as second:
                nursery.start_soon(measure)
                await second.granted()
                assert (second.queued, second.loading) == (10.0, 7.0)
        assert measured == [(7.0 + 10.0 + 2.0, 7.0)]


# Unloading in other ways


@BOTH
async def test_an_unload_that_drains_lets_the_served_finish(scheduler, autojump_clock):
    """And nobody else: who waits for it is refused, or has it loaded anew."""
    async with running(settings=settings_of(scheduler, *MODELS)) as (engine, models):
        for keep in (False, True):
            got: list[Reason] = []
            async with trio.open_nursery() as nursery:
                with engine.turn(A, revoke=got.append) as first:
                    await first.granted()
                    with engine.turn(B, revoke=print) as other:
                        nursery.start_soon(partial(engine.unload, drain=True, keep=keep))
                        await trio.sleep(60)
                        assert (got, engine.phase(A)) == ([], Phase.READY)
                        assert other.decided == (not keep)
                        if not keep:
                            with pytest.raises(Refused) as refused:
                                await other.granted()
                            assert refused.value.reason == ModelUnloaded(B)
            if not keep:
                assert not models.running
        assert models.loads == [A, A]


@BOTH
async def test_a_drain_is_cut_short_when_its_time_is_over(scheduler, autojump_clock):
    """A stream without an end must not keep a model for ever; its process gets its own grace."""
    async with running(settings=settings_of(scheduler, *MODELS)) as (engine, models):
        models.stubborn.add(A)
        got: list[Reason] = []
        async with trio.open_nursery() as nursery:
            with engine.turn(A, revoke=got.append) as turn:
                await turn.granted()
                began = trio.current_time()
                nursery.start_soon(partial(engine.unload, [A], drain=True, seconds=30.0))
                await trio.sleep(29)
                assert got == []
                await trio.sleep(2)
                assert got == [ModelUnloaded(A)]
        assert trio.current_time() == began + 30 + 10


@BOTH
@pytest.mark.parametrize(("seconds", "took"), [(None, 10.0), (0.0, 0.0), (3.0, 3.0)])
async def test_an_unload_now_is_given_as_long_as_it_says(seconds, took, scheduler, autojump_clock):
    """Until SIGKILL; without a word it is the model's own time."""
    async with running(settings=settings_of(scheduler, *MODELS)) as (engine, models):
        models.stubborn.add(A)
        await use(engine, A)
        began = trio.current_time()
        assert await engine.unload([A], seconds=seconds) is None
        assert trio.current_time() - began == took


@BOTH
async def test_who_may_keep_waiting_is_served_after_an_unload(scheduler, autojump_clock):
    """An operator has fetched new weights; nobody in the queue need ask again."""
    async with running(settings=settings_of(scheduler, *MODELS)) as (engine, models):
        await use(engine, A)
        async with trio.open_nursery() as nursery:
            with engine.turn(A, revoke=print) as serving:
                await serving.granted()
                nursery.start_soon(use, engine, B)
                await wait_all_tasks_blocked()
                nursery.start_soon(partial(engine.unload, [A, B], keep=True))
                await wait_all_tasks_blocked()
        assert models.loads == [A, B]


# Liveness

ASKED = 15.0


def asked(name: str) -> Model:
    """Make a model that is asked for its health while it is idle."""
    return attrs.evolve(stories.model(name), liveness_interval=ASKED)


@BOTH
async def test_a_deaf_model_that_nobody_uses_is_started_anew(scheduler, autojump_clock):
    """Before the next request finds out; and once only, if it answers then."""
    async with running(settings=settings_of(scheduler, asked("a"), asked("b"))) as (
        engine,
        models,
    ):
        await use(engine, A)
        models.deaf.add(A)
        await trio.sleep(ASKED + models.liveness_patience + models.stop / 2)
        models.deaf.clear()
        await trio.sleep(1000)
        assert (models.loads, models.running) == ([A, A], {A})
        told = [(one.kind, one.text) for one in engine.decisions.since(0) if one.kind != "grant"]
        assert told[2:] == [
            ("failed", "stopping a: it does not answer its health check"),
            ("stopped", "a is gone"),
            ("load", "loading a anew"),
            ("ready", "a is ready"),
        ]


@BOTH
async def test_a_deaf_model_that_serves_is_left_alone(scheduler, autojump_clock):
    """A server that works on a long prompt answers nobody else."""
    async with running(settings=settings_of(scheduler, asked("a"))) as (engine, models):
        models.deaf.add(A)
        assert await use(engine, A, 1000) == []
        assert models.loads == [A]


@BOTH
async def test_a_deaf_model_is_not_started_anew_in_the_way_of_another(scheduler, autojump_clock):
    """Who waits goes before what nobody waits for."""
    async with running(settings=settings_of(scheduler, asked("a"), asked("b"))) as (
        engine,
        models,
    ):
        models.stop = 5.0
        await use(engine, A)
        models.deaf.add(A)
        await trio.sleep(ASKED + models.liveness_patience + 1)
        assert engine.phase(A) is Phase.STOPPING
        await use(engine, B)
        await trio.sleep(10)
        assert models.loads == [A, B]
        assert models.most == 1


@BOTH
async def test_a_deaf_model_that_is_unloaded_stays_so(scheduler, autojump_clock):
    """Whoever wanted it gone did not want it back."""
    async with running(settings=settings_of(scheduler, asked("a"))) as (engine, models):
        models.stop = 5.0
        await use(engine, A)
        models.deaf.add(A)
        await trio.sleep(ASKED + models.liveness_patience + 1)
        assert await engine.unload() is None
        await trio.sleep(1000)
        assert models.loads == [A]


# What else the scheduler asks for


@BOTH
async def test_what_is_loaded_next_is_read_ahead_once(scheduler, autojump_clock):
    """While another is served; the reading ends when a model is started, which wants the disk."""
    ahead: list[ModelId | None] = []

    def read_ahead(model: Model | None) -> None:
        ahead.append(model.id if model else None)

    files = attrs.evolve(stories.model("b"), prefetch=())
    settings = settings_of(scheduler, stories.model("a"), files)
    async with running(settings=settings, read_ahead=read_ahead) as (engine, _):
        for _ in range(2):
            ahead.clear()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(use, engine, A, 10)
                await trio.sleep(5)
                assert ahead == [None]
                for _ in range(3):
                    nursery.start_soon(use, engine, B)
                    await wait_all_tasks_blocked()
                assert ahead == [None, B]
            assert ahead == [None, B, None]


@BOTH
@pytest.mark.parametrize(
    ("keep_alive", "seconds"), [(None, 300.0), (0.0, 0.0), (5.0, 5.0), (0.5, 0.5), (-1.0, None)]
)
async def test_a_turn_may_say_how_long_its_model_is_kept(
    keep_alive, seconds, scheduler, autojump_clock
):
    """The last that leaves is the one that counts, and the next may say otherwise."""
    model = attrs.evolve(stories.model("a"), ttl=300.0)
    async with running(settings=settings_of(scheduler, model)) as (engine, models):
        with engine.turn(A, revoke=print, keep_alive=77.0) as turn:
            await turn.granted()
        with engine.turn(A, revoke=print, keep_alive=keep_alive) as turn:
            await turn.granted()
        await wait_all_tasks_blocked()
        if seconds is None:
            await trio.sleep(80_000)
            assert models.running == {A}
            await use(engine, A)
            seconds = 300.0
        await trio.sleep(seconds)
        await trio.sleep(models.stop / 2)
        assert engine.phase(A) is Phase.STOPPING
        await trio.sleep(models.stop)
        assert models.loads == [A]
        assert not models.running


# Coming back


@BOTH
async def test_who_comes_back_is_not_forgotten_then(scheduler, autojump_clock):
    """It noticed late that its model had died; the next run is its own for as long as it likes."""
    async with running(settings=settings_of(scheduler, *MODELS)) as (engine, models):
        got: list[Reason] = []
        with engine.turn(A, revoke=got.append) as turn:
            await turn.granted()
            models.crash("a")
            await trio.sleep(models.stop + FORGET_STALLED / 2)
            assert await turn.again()
            await turn.granted()
            await trio.sleep(60)
            assert [standing.position for standing, _ in engine.ask.queue()] == [0]
            with engine.turn(B, revoke=print) as other:
                await trio.sleep(60)
                assert not other.decided
        assert got == []


@BOTH
async def test_who_waits_again_is_not_forgotten_then(scheduler, autojump_clock):
    """The new load takes longer than whoever stalls is waited for."""
    async with running(settings=settings_of(scheduler, *MODELS)) as (engine, models):
        with engine.turn(A, revoke=print) as turn:
            await turn.granted()
            models.load = 60.0
            models.crash("a")
            await trio.sleep(models.stop + FORGET_STALLED / 2)
            assert await turn.again()
            assert (await turn.granted()).ready == trio.current_time()


@BOTH
async def test_who_was_forgotten_does_not_come_back(scheduler, autojump_clock):
    """Nobody would ever tell it anything: its ticket is given up."""
    async with running(settings=settings_of(scheduler, *MODELS)) as (engine, models):
        with engine.turn(A, revoke=print) as turn:
            await turn.granted()
            models.crash("a")
            await trio.sleep(models.stop + FORGET_STALLED + 1)
            assert not await turn.again()
        assert models.loads == [A]
        await use(engine, A)


# In a hurry


@BOTH
@pytest.mark.parametrize("first", [None, 1e9])
async def test_an_unload_that_is_in_a_hurry_waits_for_no_other(first, scheduler, autojump_clock):
    """The model ignores SIGTERM; both are answered when the second one's time is over."""
    async with running(settings=settings_of(scheduler, *MODELS)) as (engine, models):
        models.stubborn.add(A)
        await use(engine, A)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(engine.unload, [A], seconds=first))
            await trio.sleep(2)
            assert await engine.unload([A], seconds=0) is None
        assert trio.current_time() - began == 2
        await use(engine, B)
        told = [one.kind for one in engine.decisions.since(0) if one.model == A]
        assert told == ["load", "ready", "grant", "unload", "stopped"]


@BOTH
async def test_an_eviction_is_hurried_by_an_unload(scheduler, autojump_clock):
    """It is journalled as what it was, once; and who waits for the other model has it sooner."""
    async with running(settings=settings_of(scheduler, *MODELS)) as (engine, models):
        models.stubborn.add(A)
        await use(engine, A)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(use, engine, B)
            await trio.sleep(2)
            began = trio.current_time()
            assert await engine.unload([A], seconds=0) is None
        assert trio.current_time() - began == models.load
        told = [one.kind for one in engine.decisions.since(0) if one.model == A]
        assert told == ["load", "ready", "grant", "evict", "stopped"]


async def test_what_died_by_itself_is_not_said_to_be_unloaded(autojump_clock):
    """It is cleared away sooner, that is all."""
    async with running("a") as (engine, models):
        models.stubborn.add(A)
        await use(engine, A)
        models.crash("a")
        await trio.sleep(2)
        began = trio.current_time()
        assert await engine.unload([A], seconds=0) is None
        assert trio.current_time() == began
        told = [one.kind for one in engine.decisions.since(0)]
        assert told == ["load", "ready", "grant", "failed", "stopped"]


async def test_a_drain_that_is_over_leaves_no_timer(autojump_clock):
    """Somebody gave it years, and it took a second."""
    async with running("a") as (engine, _), trio.open_nursery() as nursery:
        nursery.start_soon(use, engine, A, 1.0)
        await trio.sleep(1.5)
        assert await engine.unload([A], drain=True, seconds=1e9) is None
        await wait_all_tasks_blocked()
        assert engine._timers._alarms == {}


async def test_a_pulse_comes_back_after_all_that_was_posted_before_it(autojump_clock):
    """It is all that keeps a service manager from starting us anew: it must not come by itself."""
    async with running("a") as (engine, _):
        with engine.turn(A, revoke=lambda reason: None) as turn:
            assert turn.place is None
            await engine.pulse()
            assert turn.place == 1
            assert engine.phase(A) is Phase.STARTING


async def test_a_loop_that_is_stuck_has_no_pulse(autojump_clock):
    """A daemon whose scheduler hangs is to be started anew, however well its pages answer."""
    settings = stories.settings(["a"])
    engine = Engine(
        settings,
        choose(settings),
        supervise=FakeModels(),
        open_pool=lambda model: Pool(model.origin),
    )
    with trio.move_on_after(60) as waiting:
        await engine.pulse()
    assert waiting.cancelled_caught
