"""Asking for readiness, and whether it lasts, in pretend time."""

from collections.abc import Callable, Iterator

import attrs
import pytest
import trio

from swapd.models.probe import (
    LIVENESS_PATIENCE,
    LONGEST_PAUSE,
    SHORTEST_PAUSE,
    keep_asking,
    pause,
    until_ready,
)


@pytest.mark.parametrize(
    ("waited", "seconds"),
    [(0, 0.002), (0.1, 0.002), (0.2, 0.002), (1, 0.01), (2, 0.02), (5, 0.05), (3600, 0.05)],
)
def test_pauses_are_one_percent_of_the_wait_within_bounds(waited, seconds):
    """A short load loses milliseconds, a long one costs few questions."""
    assert pause(waited) == pytest.approx(seconds)
    assert SHORTEST_PAUSE <= pause(waited) <= LONGEST_PAUSE


async def test_it_asks_at_once(autojump_clock):
    """A model that is ready before we look loses nothing."""

    async def ask() -> int | None:
        return 200

    await until_ready(ask)
    assert trio.current_time() == 0


@pytest.mark.parametrize("not_yet", [None, 503, 404, 204, 301, 500, 401])
async def test_only_200_is_ready(not_yet, autojump_clock):
    """Anything else is a server that is still loading, or not ours."""
    answers: Iterator[int | None] = iter([not_yet, not_yet, 200])

    async def ask() -> int | None:
        return next(answers)

    await until_ready(ask)
    assert next(answers, "all asked") == "all asked"


async def test_a_load_is_noticed_within_one_pause(autojump_clock):
    """However long it took: at most 1 % and 50 ms late."""
    for ready_at in (0.1, 1.0, 2.0, 30.0):
        begun = trio.current_time()

        async def ask(due: float = begun + ready_at) -> int | None:
            return 200 if trio.current_time() >= due else None

        await until_ready(ask)
        late = trio.current_time() - begun - ready_at
        assert late <= pause(ready_at) + 1e-9


# Whether it lasts

EVERY = 60.0


@attrs.define
class Watched:
    """A run whose use the tests make up; notes when it was said not to answer."""

    uses: int = 0
    serving: bool = False
    silent: list[float] = attrs.field(factory=list)

    def idle(self) -> bool:
        return not self.serving

    def unanswered(self) -> None:
        self.silent.append(trio.current_time())


@attrs.define
class Server:
    """A pretend health endpoint; counts its questions."""

    answer: int | None = 200
    hangs: bool = False
    asked: int = 0

    async def ask(self) -> int | None:
        self.asked += 1
        if self.hangs:
            await trio.sleep_forever()
        return self.answer


async def watch(server: Server, run: Watched, *, seconds: float) -> None:
    """Watch a run for so long."""
    with trio.move_on_after(seconds):
        await keep_asking(server.ask, run, interval=EVERY)


async def test_an_idle_model_is_asked_once_in_each_interval(autojump_clock):
    """And nothing is said as long as it answers."""
    server, run = Server(), Watched()
    await watch(server, run, seconds=EVERY * 10 + 1)
    assert (server.asked, run.silent) == (10, [])


@pytest.mark.parametrize(
    "server",
    [Server(None), Server(503), Server(hangs=True)],
    ids=["refusing", "unhealthy", "hanging"],
)
async def test_silence_is_told_after_the_patience_and_in_each_interval_again(
    server, autojump_clock
):
    """A hanging server is bounded too; and whoever decides may have let it pass the first time."""
    run = Watched()
    await watch(server, run, seconds=(EVERY + LIVENESS_PATIENCE) * 2 + 1)
    told = EVERY + LIVENESS_PATIENCE
    assert run.silent == pytest.approx([told, told * 2])


async def test_a_model_in_use_is_not_asked(autojump_clock):
    """It may be slow to answer because it works."""
    server, run = Server(hangs=True), Watched(serving=True)
    await watch(server, run, seconds=EVERY * 10)
    assert (server.asked, run.silent) == (0, [])


def stays(run: Watched) -> None:
    run.uses, run.serving = run.uses + 1, True


def comes_and_goes(run: Watched) -> None:
    run.uses += 1


@pytest.mark.parametrize("use", [stays, comes_and_goes])
async def test_a_model_that_was_used_while_it_was_asked_is_given_the_benefit(
    use: Callable[[Watched], None], autojump_clock
):
    """The question may have waited behind the request."""
    server, run = Server(hangs=True), Watched()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: watch(server, run, seconds=EVERY + LIVENESS_PATIENCE + 1))
        await trio.sleep(EVERY + LIVENESS_PATIENCE / 2)
        assert server.asked == 1
        use(run)
    assert run.silent == []


async def test_a_server_that_comes_to_within_the_patience_has_answered(autojump_clock):
    """One dropped connection is no verdict."""
    server, run = Server(None), Watched()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: watch(server, run, seconds=EVERY * 2))
        await trio.sleep(EVERY + LIVENESS_PATIENCE - 1)
        server.answer = 200
    assert run.silent == []


@pytest.mark.parametrize("moment", [EVERY / 2, EVERY + 1], ids=["pausing", "asking"])
async def test_a_watch_that_is_cancelled_ends_at_once_and_says_nothing(moment, autojump_clock):
    """An unload, or the end of the process, must not wait for a hanging question."""
    run = Watched()
    await watch(Server(hangs=True), run, seconds=moment)
    assert trio.current_time() == moment
    assert run.silent == []
