"""Watching requests: bounded while they are under way, and never in their way.

What becomes of each kind of request is in `tests/rows/test_recording.py`.
"""

from typing import Any

import attrs
import pytest
import trio

from swapd.watch.watching import LONGEST_CAPTURE
from tests import stories
from tests.fakes import Asked
from tests.house import House, open_house

CHAT = "/v1/chat/completions"


async def rows(house: House) -> list[dict[str, Any]]:
    """List what was recorded, oldest first."""
    found: list[dict[str, Any]] = (await house.get("/api/metrics/activity?order=asc")).json()[
        "data"
    ]
    return found


async def test_captures_under_way_are_bounded_by_the_buffer(autojump_clock):
    """Many long streams at once must not hold more than what is kept of them."""
    settings = attrs.evolve(stories.settings(["a"]), capture_buffer=1)
    settings = attrs.evolve(settings, serial=attrs.evolve(settings.serial, max_queue=100))
    async with open_house(settings=settings) as house:
        watching = house.watching
        most = 0

        async def handler(asked: Asked) -> None:
            nonlocal most
            await asked.begin_events()
            await asked.chunk(b"data: {}\n\n")
            await trio.sleep(10)
            most = max(most, watching._reserved)
            await asked.chunk(b"")

        house.upstream.handler = handler
        callers = [house.call() for _ in range(12)]
        async with trio.open_nursery() as nursery:
            for caller in callers:
                await caller.send(CHAT, {"model": "a", "stream": True})
                nursery.start_soon(caller.reply)
        assert 0 < most <= 1024 * 1024
        assert watching._reserved == 0


async def test_an_answer_too_long_for_a_capture_is_cut_and_says_so(autojump_clock):
    """A part is worth more than nothing, if it does not pretend to be the whole."""
    async with open_house("a") as house:

        async def handler(asked: Asked) -> None:
            await asked.answer(
                b"x" * (LONGEST_CAPTURE + 10), extra=b"Content-Type: text/plain\r\n"
            )

        house.upstream.handler = handler
        reply = await house.post(CHAT, {"model": "a"})
        assert len(reply.body) == LONGEST_CAPTURE + 10
        [row] = await rows(house)
        capture = (await house.get(f"/api/captures/{row['id']}")).json()
        assert capture["truncated"] == ["resp_body"]
        assert len(capture["resp_body"]) == pytest.approx(LONGEST_CAPTURE * 4 / 3, rel=0.01)


async def test_a_reload_resizes_what_is_captured(autojump_clock):
    """`captureBuffer: 0` forgets what there is, at once."""
    async with open_house("a") as house:
        await house.post(CHAT, {"model": "a"})
        [row] = await rows(house)
        assert row["has_capture"]
        house.watching.adopt(attrs.evolve(house.engine.settings, capture_buffer=0))
        [row] = await rows(house)
        assert not row["has_capture"]


async def test_pages_are_not_counted_as_requests_for_models(autojump_clock):
    """Who looks at the numbers must not change them."""
    async with open_house("a") as house:
        await house.get("/running")
        assert "swapd_requests_total{" not in house.watching.numbers.text().decode()
