"""One run of one model: the contract that the real supervisor and the fake one both keep.

The rest is about the real one alone: what only processes and ports can do.
"""

import os
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator

import attrs
import pytest
import trio
import trio.testing
from trio_util import AsyncValue

from swapd.config.settings import Model, Origin
from swapd.ids import ModelId
from swapd.models.notices import NOTIFY_SOCKET
from swapd.models.probe import LIVENESS_PATIENCE
from swapd.models.supervisor import Grace, Life, Supervisor, exit_cause
from swapd.models.warden import FOR_US_ALONE, Warden, open_warden
from swapd.schedule.reasons import Cause
from swapd.wire import pool
from swapd.wire.dial import answers
from swapd.wire.exchange import Request, UpstreamGone
from tests import stories
from tests.fakes import FakeModels
from tests.processes import Lines, alive, real_model

# Long enough for a signal, short enough to wait for.
A_MOMENT = 0.1


@attrs.define
class Told:
    """Listens to a run's news."""

    news: AsyncValue[tuple[object, ...]] = attrs.field(factory=lambda: AsyncValue(()))
    grace: Grace = attrs.field(factory=Grace)
    uses: int = 0
    serving: bool = False
    looks: AsyncValue[int] = attrs.field(factory=lambda: AsyncValue(0))
    """How often it was asked whether somebody is served."""
    pids: list[int] = attrs.field(factory=list)
    said: AsyncValue[str] = attrs.field(factory=lambda: AsyncValue(""))
    """What the model said last of itself."""

    def spawned(self, pid: int) -> None:
        assert not self.news.value, "it said something before it was spawned"
        self.pids.append(pid)

    def says(self, status: str) -> None:
        self.said.value = status

    def ready(self) -> None:
        self.news.value = (*self.news.value, "ready")

    def broke(self, cause: Cause) -> None:
        self.news.value = (*self.news.value, cause)

    def idle(self) -> bool:
        self.looks.value += 1
        return not self.serving

    def unanswered(self) -> None:
        self.news.value = (*self.news.value, "unanswered")

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

    supervise: Supervisor | FakeModels
    make: Callable[..., Model]
    deafen: Callable[[Told], None]
    """Have the run's health checks hang from now on."""
    lines: Lines = attrs.field(factory=Lines)

    def impatient(self) -> "Bench":
        """Answer with one that gives health checks a moment only."""
        hasty = attrs.evolve(self.supervise, liveness_patience=A_MOMENT)
        return attrs.evolve(self, supervise=hasty)


@pytest.fixture
def real(warden: Warden) -> Bench:
    lines = Lines()
    supervisor = Supervisor(
        warden=warden, open_output=lambda model: lines, ask=ask, answers=answers
    )
    return Bench(supervisor, real_model, stop_process, lines)


def stop_process(told: Told) -> None:
    """Its port goes on accepting connections, for the kernel does that."""
    os.kill(told.pids[0], signal.SIGSTOP)


def fake_model(name: str, *flags: str, **changes: object) -> Model:
    return attrs.evolve(stories.model(name), cmd=" ".join(flags), **changes)  # type: ignore[arg-type]


class Flagged(FakeModels):
    """Pretend processes that read the pretend server's flags."""

    async def __call__(self, model: Model, life: Life) -> None:
        self.load, self.stop = 1000.0 if "--load" in model.cmd else 0.0, 0.0
        if "--exit-after" in model.cmd:
            self.broken.add(model.id)
        if "--ignore-term" in model.cmd:
            self.stubborn.add(model.id)
        await super().__call__(model, life)


@pytest.fixture
def pretended() -> Bench:
    models = Flagged()
    return Bench(models, fake_model, lambda told: models.deaf.add(ModelId("a")))


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


async def test_a_run_tells_its_process_once_and_first(either):
    """What is measured of it, or told to people, needs the number while it loads already."""
    told = Told()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(either.supervise, either.make("a"), told)
            await told.heard("ready")
            nursery.cancel_scope.cancel()
    [pid] = told.pids
    assert pid > 1


@pytest.mark.parametrize(
    ("configured", "given"), [(A_MOMENT, None), (30.0, A_MOMENT), (30.0, 0.0)]
)
async def test_the_grace_is_the_models_own_or_what_the_end_was_given(either, configured, given):
    """Who ends a model that ignores SIGTERM may be in a hurry, and is heard until it begins."""
    told = Told()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            model = either.make("a", "--ignore-term", unload_timeout=configured)
            nursery.start_soon(either.supervise, model, told)
            await told.heard("ready")
            told.grace.seconds = given
            nursery.cancel_scope.cancel()
    assert told.news.value == ("ready",)


@pytest.mark.parametrize("given", [None, 1e9])
async def test_the_grace_can_be_shortened_while_it_is_waited_for(either, given):
    """Somebody has asked again, and means it; who then asks for longer changes nothing."""
    told = Told()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            model = either.make("a", "--ignore-term", unload_timeout=1e9)
            nursery.start_soon(either.supervise, model, told)
            await told.heard("ready")
            told.grace.seconds = given
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked(A_MOMENT)
            told.grace.hurry(A_MOMENT)
            told.grace.hurry(1000.0)
    assert told.news.value == ("ready",)


async def test_an_end_in_a_hurry_is_so_from_the_beginning(either):
    """Both orders may be there before the run has noticed the first."""
    told = Told()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            model = either.make("a", "--ignore-term", unload_timeout=1e9)
            nursery.start_soon(either.supervise, model, told)
            await told.heard("ready")
            nursery.cancel_scope.cancel()
            told.grace.hurry(0.0)
            told.grace.hurry(1000.0)
    assert told.news.value == ("ready",)


async def test_an_idle_model_that_answers_is_looked_at_in_silence(either):
    """Health checks are no news as long as they are answered."""
    told = Told()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(either.supervise, either.make("a", liveness_interval=0.01), told)
            await told.looks.wait_value(lambda looks: looks > 3)
            nursery.cancel_scope.cancel()
    assert told.news.value == ("ready",)


async def test_an_idle_model_that_stopped_answering_is_told_and_goes_on(either):
    """Whether it is ended is not decided here; so it is said again."""
    told, hasty = Told(), either.impatient()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hasty.supervise, either.make("a", liveness_interval=0.01), told)
            await told.heard("ready")
            either.deafen(told)
            await told.news.wait_value(lambda news: news.count("unanswered") == 2)
            told.grace.seconds = 0.0  # what is stopped obeys no SIGTERM
            nursery.cancel_scope.cancel()
    assert set(told.news.value) == {"ready", "unanswered"}


async def test_a_model_that_is_used_may_be_silent(either):
    """It may be busy; those who wait for it would be the first to know."""
    told, hasty = Told(serving=True), either.impatient()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hasty.supervise, either.make("a", liveness_interval=0.01), told)
            await told.heard("ready")
            either.deafen(told)
            seen = told.looks.value
            await told.looks.wait_value(lambda looks: looks > seen + 3)
            told.grace.seconds = 0.0
            nursery.cancel_scope.cancel()
    assert told.news.value == ("ready",)


@pytest.mark.parametrize("changes", [{}, {"liveness_interval": 0.01, "check_endpoint": None}])
async def test_a_model_without_interval_or_endpoint_is_not_looked_at(either, changes):
    """Off is off; and what has no health endpoint has none later either."""
    told = Told()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(either.supervise, either.make("a", **changes), told)
            await told.heard("ready")
            with trio.move_on_after(A_MOMENT):
                await told.looks.wait_value(bool)
            nursery.cancel_scope.cancel()
    assert told.looks.value == 0


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
    # A question may come in between, which it writes down as well.
    lines = [line for line in told.cause.last_lines if not line.startswith("request ")]
    assert lines[-2:] == ["about to fail", "out of memory"]


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
@pytest.mark.parametrize("ending", ["cancelled", "killed"])
async def test_a_question_that_hangs_holds_up_no_end(real, ending):
    """Neither an unload nor the notice of an exit waits for the patience of a health check."""

    class Stopping(Told):
        def idle(self) -> bool:
            stop_process(self)  # the last moment before it is asked
            return super().idle()

    told = Stopping()
    with trio.fail_after(LIVENESS_PATIENCE / 2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(real.supervise, real.make("a", liveness_interval=0.01), told)
            await told.looks.wait_value(bool)
            await trio.testing.wait_all_tasks_blocked()
            if ending == "killed":
                os.kill(told.pids[0], signal.SIGKILL)
            else:
                told.grace.seconds = 0.0
                nursery.cancel_scope.cancel()
    assert not alive(told.pids[0])
    assert "unanswered" not in told.news.value
    assert (ending == "killed") == (told.news.value != ("ready",))


@pytest.mark.real
async def test_the_pid_is_the_servers_own(real):
    """What is measured by it is the model."""
    told, model = Told(), real.make("a")
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(real.supervise, model, told)
            await told.heard("ready")
            assert told.pids == [await pid_of(model)]
            nursery.cancel_scope.cancel()


@pytest.mark.real
async def test_a_grace_that_is_given_bounds_cmd_stop_too(real):
    """Its own time is the model's, and so is its hurry."""
    told = Told()
    model = real.make("a", unload_timeout=30.0, stop_argv=("/bin/sleep", "1000"))
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(real.supervise, model, told)
            await told.heard("ready")
            told.grace.seconds = A_MOMENT
            nursery.cancel_scope.cancel()
    assert not alive(told.pids[0])


@pytest.mark.real
async def test_who_hurries_does_not_wait_for_cmd_stop_either(real):
    """It is part of the time that was promised to be over."""
    told = Told()
    model = real.make("a", unload_timeout=1e9, stop_argv=("/bin/sleep", "1000"))
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(real.supervise, model, told)
            await told.heard("ready")
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked(A_MOMENT)
            told.grace.hurry(0.0)
    assert not alive(told.pids[0])


# How long it is given


async def test_a_grace_begins_with_what_was_given_or_the_models_own(autojump_clock):
    """More than its own, too, if somebody says so."""
    for given, seconds in ((None, 10.0), (0.0, 0.0), (30.0, 30.0)):
        began = trio.current_time()
        with Grace(given).begin(10.0):
            await trio.sleep_forever()
        assert trio.current_time() - began == seconds


@pytest.mark.parametrize(
    ("hurries", "took"),
    [((1000.0,), 10), ((1.0,), 4), ((0.0,), 3), ((1.0, 1000.0), 4), ((5.0, 1.0), 4)],
)
async def test_whoever_hurries_only_shortens_it(hurries, took, autojump_clock):
    """Ten seconds; after three of them, others say how long they would wait from then."""
    grace = Grace(10.0)
    with grace.begin(1.0) as patience:
        with trio.move_on_after(3):
            await trio.sleep_forever()
        for seconds in hurries:
            grace.hurry(seconds)
        await trio.sleep_forever()
    assert patience.cancelled_caught
    assert trio.current_time() == took
    grace.hurry(0.0)  # too late, and no harm


async def test_a_hurry_counts_from_when_it_is_said(autojump_clock):
    """Whatever the run has to do before it can be asked to end is part of that."""
    grace = Grace(10.0)
    grace.hurry(5.0)
    await trio.sleep(3)
    with grace.begin(1.0):
        await trio.sleep_forever()
    assert trio.current_time() == 5


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


# What a model says of itself


@pytest.mark.real
async def test_a_model_may_say_itself_that_it_is_ready(real):
    """What its health check says then is of no interest; what it does is known meanwhile."""
    told = Told()
    model = real.make("a", "--never-healthy", "--notify", "up, and content")
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(real.supervise, model, told)
            await told.heard("ready")
            await told.said.wait_value("up, and content")
            nursery.cancel_scope.cancel()
    assert told.news.value == ("ready",)


@pytest.mark.real
async def test_who_says_ready_and_exits_has_failed(real):
    """Words are no model."""
    told = Told()
    script = f"{shlex.join(real.make('a', '--notify', 'up', '--exit-after', '0').argv)}; exit 3"
    model = real.make("a", argv=("/bin/sh", "-c", script))
    with trio.fail_after(20):
        await real.supervise(model, told)
    assert told.cause.exit_code == 3


@pytest.mark.real
async def test_a_model_is_heard_while_it_is_being_ended(real):
    """Who speaks then must not wait for an ear for as long as SIGKILL takes to come."""
    told = Told()
    script = (
        "import os, signal, socket, sys, time\n"
        "mouth = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "mouth.connect(os.environ['NOTIFY_SOCKET'].replace('@', chr(0)))\n"
        "def end(*args):\n"
        "    for n in range(1000): mouth.send(b'STATUS=saved %d' % n)\n"
        "    os._exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "mouth.send(b'READY=1')\n"
        "time.sleep(0.3)\n"
        "door = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
        "while True: signal.pause()\n"
    )
    model = real.make("a", unload_timeout=60.0)
    argv = (sys.executable, "-I", "-S", "-c", script, str(model.origin.port))
    model = attrs.evolve(model, argv=argv)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(real.supervise, model, told)
            await told.heard("ready")
            assert await answers(model.origin), "it only said so"
            nursery.cancel_scope.cancel()
    assert told.said.value.startswith("saved ")


@pytest.mark.real
async def test_each_run_has_an_ear_of_its_own_and_nothing_of_ours(real, monkeypatch):
    """A model that spoke to our service manager would speak for us."""
    for name in FOR_US_ALONE:
        monkeypatch.setenv(name, "ours")
    told, model = Told(), real.make("a")
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(real.supervise, model, told)
            await told.heard("ready")
            for name in FOR_US_ALONE - {NOTIFY_SOCKET}:
                assert await get(model, f"/env/{name}".encode()) == ""
            assert (await get(model, b"/env/NOTIFY_SOCKET")).startswith("@swapd-")
            nursery.cancel_scope.cancel()


@pytest.mark.real
async def test_a_models_own_environment_goes_before_its_ear(real):
    """Who has a listener of their own, or a program that is confused by ours, can say so."""
    told, model = Told(), real.make("a", env=("NOTIFY_SOCKET=@own", "LISTEN_FDS=2"))
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(real.supervise, model, told)
            await told.heard("ready")
            assert await get(model, b"/env/NOTIFY_SOCKET") == "@own"
            assert await get(model, b"/env/LISTEN_FDS") == "2"
            nursery.cancel_scope.cancel()


@pytest.mark.real
async def test_cmd_stop_gets_nothing_of_ours_either(real, monkeypatch):
    """It is started as the model is."""
    monkeypatch.setenv("WATCHDOG_USEC", "1000")
    stop = ("/bin/sh", "-c", "kill -${WATCHDOG_USEC:-TERM} $0", "${PID}")
    told, model = Told(), real.make("a", unload_timeout=1e9, stop_argv=stop)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(real.supervise, model, told)
            await told.heard("ready")
            nursery.cancel_scope.cancel()
    assert not alive(told.pids[0])


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
