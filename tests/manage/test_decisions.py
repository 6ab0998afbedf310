"""What was decided, over HTTP."""

import re

import pytest
import trio

from tests.house import House, open_house

CHAT = "/v1/chat/completions"
DECISIONS = "/api/decisions"


async def kinds(house: House, query: str = "") -> list[tuple[int, str]]:
    found = (await house.get(DECISIONS + query)).json()["decisions"]
    return [(each["seq"], each["kind"]) for each in found]


async def test_a_swap_is_told_from_its_beginning_to_its_end(autojump_clock):
    """Each thing once, in its order, with what led to it."""
    async with open_house("a", "b") as house:
        assert await kinds(house) == []
        await house.post(CHAT, {"model": "a"})
        assert await kinds(house) == [(1, "load"), (2, "ready"), (3, "grant")]
        await trio.sleep(3)
        await house.post(CHAT, {"model": "b"})
        found = (await house.get(f"{DECISIONS}?since=3")).json()["decisions"]
        assert [each["kind"] for each in found] == ["evict", "stopped", "load", "ready", "grant"]
        evicted = found[0]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", evicted.pop("at"))
        assert evicted == {
            "seq": 4,
            "kind": "evict",
            "model": "a",
            "run": 1,
            "for": "b",
            "text": "evicted a (idle 3 s) for b: next in the queue",
        }


@pytest.mark.parametrize(
    ("since", "left"), [("0", 3), ("1", 2), ("3", 0), ("4", 0), ("9007199254740991", 0)]
)
async def test_whoever_knows_some_is_told_the_rest(since, left, autojump_clock):
    """By the number of the last that it knows; one that is not there yet is no mistake."""
    async with open_house("a") as house:
        await house.post(CHAT, {"model": "a"})
        assert len(await kinds(house, f"?since={since}")) == left


@pytest.mark.parametrize("query", ["?since=-1", "?since=x", "?since=", "?until=3", "?since=1.5"])
async def test_a_number_that_is_none_is_refused(query, autojump_clock):
    """Everything, or nothing, would look like an answer."""
    async with open_house("a") as house:
        reply = await house.get(DECISIONS + query)
        assert (reply.status, reply.code) == (400, "invalid_request")
        assert "since=NUMBER" in reply.json()["error"]["message"]


async def test_people_get_a_line_for_each(autojump_clock):
    """With the time as it stands in the log."""
    async with open_house("a") as house:
        nothing = await house.get(DECISIONS, accept="text/plain")
        assert nothing.body == b"nothing was decided\n"
        await house.post(CHAT, {"model": "a"})
        reply = await house.get(f"{DECISIONS}?since=1", accept="text/plain")
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"
        lines = reply.body.decode().splitlines()
        assert len(lines) == 2
        assert re.fullmatch(r"\d\d:\d\d:\d\d a is ready", lines[0])
