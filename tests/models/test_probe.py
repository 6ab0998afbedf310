"""Asking for readiness, in pretend time."""

from collections.abc import Iterator

import pytest
import trio

from swapd.models.probe import LONGEST_PAUSE, SHORTEST_PAUSE, pause, until_ready


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
