"""One run of one model: the contract that the real supervisor and the fake one both keep.

The rest is about the real one alone: what only processes and ports can do.
"""

import os
import signal
from collections.abc import Awaitable, Callable, Iterator

import attrs
import pytest
import trio
import trio.testing
from trio_util import AsyncValue

from swapd.config.settings import Model, Origin
from swapd.models.supervisor import Supervisor, exit_cause
from swapd.models.warden import Warden, open_warden
from swapd.schedule.reasons import Cause
from swapd.wire import pool
from swapd.wire.dial import answers
from swapd.wire.exchange import Request, UpstreamGone
from tests import stories
from tests.fakes import FakeModels
from tests.processes import Lines, alive, real_model


@attrs.define
class Told:
    """Listens to a run's news."""

    news: AsyncValue[tuple[object, ...]] = attrs.field(factory=lambda: AsyncValue(()))

    def ready(self) -> None:
        self.news.value = (*self.news.value, "ready")

    def broke(self, cause: Cause) -> None:
        self.news.value = (*self.news.value, cause)

    def stuck(self, why: str, gone: Callable[[], Awaitable[None]]) -> None:
        self.news.value = (*self.news.value, why)

    async def heard(self, word: str) -> None:
        await self.news.wait_value(lambda news: word in news)

    @property
    def cause(self) -> Cause:
        [cause] = [item for item in self.news.value if isinstance(item, Cause)]
        return cause


@pytest.fixture(scope="module")
def warden() -> Iterator[Warden]:
    with open_warden() as opened:
        yield opened


async def ask(origin: Origin, path: str) -> int | None:
    try:
        return await pool.ask(origin, path)
    except UpstreamGone:
        return None


@attrs.define
class Bench:
    """A supervisor, and models that do what a test needs."""

    supervise: Callable[[Model, Told], Awaitable[None]]
    make: Callable[..., Model]
    lines: Lines = attrs.field(factory=Lines)


@pytest.fixture
def real(warden: Warden) -> Bench:
    lines = Lines()
    supervisor = Supervisor(
        warden=warden, open_output=lambda model: lines, ask=ask, answers=answers
    )
    return Bench(supervisor, real_model, lines)


def fake_model(name: str, *flags: str) -> Model:
    model = stories.model(name)
    return attrs.evolve(model, cmd=" ".join(flags))


@pytest.fixture
def pretended() -> Bench:
    async def supervise(model: Model, life: Told) -> None:
        models = FakeModels(load=1000.0 if "--load" in model.cmd else 0.0, stop=0.0)
        if "--exit-after" in model.cmd:
            models.broken.add(model.id)
        await models(model, life)

    return Bench(supervise, fake_model)


@pytest.fixture(params=["pretended", pytest.param("real", marks=pytest.mark.real)])
def either(request: pytest.FixtureRequest) -> Bench:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


# The contract


async def test_a_run_says_ready_once_and_goes_on(either):
    """Readiness is news, not an end."""
    told = Told()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(either.supervise, either.make("a"), told)
            await told.heard("ready")
            nursery.cancel_scope.cancel()
    assert told.news.value == ("ready",)


async def test_a_run_cancelled_while_loading_ends_without_a_word(either):
    """Who ended it knows; only what nobody asked for is news."""
    told = Told()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(either.supervise, either.make("a", "--load", "1000"), told)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert told.news.value == ()


async def test_a_failed_start_is_told_with_its_cause_and_returns(either):
    """It never says ready, and the run is over when it returns."""
    told = Told()
    with trio.fail_after(20):
        await either.supervise(either.make("a", "--exit-after", "0", "--never-healthy"), told)
    assert told.cause.exit_code == 1
    assert told.cause.last_lines
    assert "ready" not in told.news.value


# The real one alone


@pytest.mark.real
async def test_a_cancelled_run_leaves_no_process_and_no_listener(real):
    """Returned means verified gone: leader, group and port."""
    model = real.make("a", "--fork")
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            told = Told()
            nursery.start_soon(real.supervise, model, told)
            await told.heard("ready")
            grandchild = int(await real.lines.find("grandchild"))
            assert await answers(model.origin)
            nursery.cancel_scope.cancel()
        assert not alive(grandchild)
        assert not await answers(model.origin)


@pytest.mark.real
@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--exit-after", "0.1", "--exit-code", "3", "--never-healthy"), "exited with code 3"),
        (("--never-healthy",), "not healthy after 0.3 s"),
        (("--hang",), "not healthy after 0.3 s"),
        (("--load", "1000"), "not healthy after 0.3 s"),
    ],
)
async def test_a_model_that_does_not_get_ready_says_why(real, flags, says):
    """Whatever a server may do instead of answering 200."""
    told = Told()
    with trio.fail_after(20):
        await real.supervise(
            attrs.evolve(real.make("a", *flags), health_timeout=0.3, unload_timeout=0.3), told
        )
    assert told.cause.text == says


@pytest.mark.real
async def test_a_command_that_does_not_exist_is_told(real):
    """No process, no wait, a sentence."""
    told = Told()
    await real.supervise(attrs.evolve(real.make("a"), argv=("/nonexistent/server",)), told)
    assert told.cause.text == "cannot execute /nonexistent/server: No such file or directory"


@pytest.mark.real
async def test_the_exit_while_loading_is_noticed_at_once_with_the_last_lines(real):
    """Not after the health timeout; and with what the server wrote last."""
    told = Told()
    model = real.make("a", "--exit-after", "0.1", "--never-healthy")
    with trio.fail_after(10):
        await real.supervise(attrs.evolve(model, health_timeout=1000.0), told)
    assert told.cause.last_lines[-2:] == ("about to fail", "out of memory")


@pytest.mark.real
async def test_a_model_killed_while_ready_is_told_with_the_signal(real):
    """The out-of-memory killer's work shows as what it is."""
    told = Told()
    model = real.make("a")
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(real.supervise, model, told)
            await told.heard("ready")
            os.kill(await pid_of(model), signal.SIGKILL)
    assert (told.cause.text, told.cause.signal) == ("killed by SIGKILL", 9)


@pytest.mark.real
async def test_a_strangers_200_never_counts(real):
    """D31: the port is taken, so nothing is started, and the stranger is left alone."""
    stranger, told = real.make("stranger"), Told()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            theirs = Told()
            nursery.start_soon(real.supervise, stranger, theirs)
            await theirs.heard("ready")
            await real.supervise(attrs.evolve(real.make("a"), origin=stranger.origin), told)
            assert told.cause.text == f"port {stranger.origin.port} is taken (models.a.proxy)"
            assert theirs.news.value == ("ready",)
            nursery.cancel_scope.cancel()


@pytest.mark.real
async def test_no_check_endpoint_is_ready_at_spawn(real):
    """`checkEndpoint: none` asks nothing."""
    told = Told()
    model = attrs.evolve(real.make("a", "--load", "1000"), check_endpoint=None)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(real.supervise, model, told)
            await told.heard("ready")
            nursery.cancel_scope.cancel()


@pytest.mark.real
async def test_the_environment_is_ours_plus_the_models(real, monkeypatch):
    """P038: the model's own entry wins over what we inherited."""
    monkeypatch.setenv("INHERITED", "yes")
    monkeypatch.setenv("BOTH", "ours")
    told = Told()
    model = attrs.evolve(real.make("a"), env=("BOTH=first", "BOTH=the=model's"))
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(real.supervise, model, told)
            await told.heard("ready")
            assert await get(model, b"/env/INHERITED") == "yes"
            assert await get(model, b"/env/BOTH") == "the=model's"
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (0, Cause("exited with code 0", exit_code=0)),
        (3, Cause("exited with code 3", exit_code=3)),
        (-9, Cause("killed by SIGKILL", signal=9)),
        (-64, Cause("killed by SIGRTMAX", signal=64)),
        (-99, Cause("killed by signal 99", signal=99)),
    ],
)
def test_an_exit_status_is_put_into_words(status, cause):
    """A code and a signal are different stories."""
    assert exit_cause(status) == cause


async def get(model: Model, path: bytes) -> str:
    """Ask the pretend model server something."""
    connections = pool.Pool(model.origin)
    try:
        async with connections.exchange(Request("GET", path, [(b"Host", b"x")], b"")) as answer:
            text = b""
            while piece := await answer.read():
                text += piece
            return text.decode()
    finally:
        connections.close()


async def pid_of(model: Model) -> int:
    return int(await get(model, b"/pid"))
