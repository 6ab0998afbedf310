"""Where requests go: the reference's table, row by row.

R9 to R17 are in `tests/manage`. R18 to R23 come with what they speak of.
"""

import attrs
import pytest
import trio

from swapd.config.settings import Origin, Peer, Settings
from swapd.routes import find
from tests import stories
from tests.fakes import Asked
from tests.house import House, open_house

CHAT = "/v1/chat/completions"
HERE, THERE = "127.0.0.1", "10.0.0.9"


def settings() -> Settings:
    """Make settings in which a peer has a model of its own, and one that is called as ours."""
    peers = {"p": Peer("p", Origin("http", THERE, 80), ("theirs", "ours"))}
    return attrs.evolve(stories.settings(["ours", "own"]), peers=peers)


@pytest.mark.parametrize(
    ("path", "model", "host"),
    [
        pytest.param(CHAT, "own", HERE, id="R1"),
        pytest.param(CHAT, "theirs", THERE, id="R2"),
        pytest.param(CHAT, "ours", HERE, id="R3"),
        pytest.param("/audioapi/v1/tasks/run", "ours", HERE, id="R5"),
    ],
)
async def test_a_request_goes_to_who_has_its_model(path, model, host, autojump_clock):
    """R1 to R5: and here before elsewhere."""
    async with open_house(settings=settings()) as house:
        assert (await house.post(path, {"model": model})).status == 200
        assert [asked.origin.host for asked in house.upstream.asked] == [host]


async def test_r4_an_unknown_model_is_asked_of_nobody(autojump_clock):
    """R4: not even of a peer, who might know it."""
    async with open_house(settings=settings()) as house:
        reply = await house.post(CHAT, {"model": "nobodys"})
        assert (reply.status, reply.code) == (404, "model_not_found")
        assert house.upstream.asked == []


@pytest.mark.parametrize(
    ("path", "forwarded"),
    [
        pytest.param("/audioapi/v1/tasks/run", "/v1/tasks/run", id="R6-R8"),
        pytest.param("/v1/tasks/run", None, id="R8-without-ours"),
        # There is no /v/v1 among the routes: a prefix is cut off where the table says so, only.
        pytest.param("/v/v1/chat", None, id="R7-ours"),
        pytest.param("/v/chat/completions", "/chat/completions", id="R7"),
        pytest.param(CHAT, CHAT, id="R7-without"),
    ],
)
def test_a_prefix_is_cut_off_once(path, forwarded):
    """R6 to R8: what has none stays as it is."""
    route = find(path)
    assert (None if route is None else route.forwarded) == forwarded


async def test_r24_a_second_stop_is_the_first(autojump_clock):
    """R24: what is served is served to its end, what comes new is refused, both times."""
    go = trio.Event()

    async def slow(asked: Asked) -> None:
        await go.wait()
        await asked.answer(b"done")

    async with open_house(settings=settings()) as house:
        house.upstream.handler = slow
        caller = house.call()
        await caller.send(CHAT, {"model": "ours"})
        await trio.sleep(5)
        for _ in range(2):
            house.engine.stop()
            await refuses_all(house)
        go.set()
        assert (await caller.reply()).body == b"done"
        assert house.loads() == "ours"


async def refuses_all(house: House) -> None:
    """Ask for a model here, and for one elsewhere."""
    for model in ("ours", "theirs"):
        reply = await house.post(CHAT, {"model": model})
        assert (reply.status, reply.code) == (503, "shutting_down")
