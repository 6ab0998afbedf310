"""Small things: some of the reference's tables of logs and of verified details, row by row.

V1 and V2 are in `tests/wire/test_headers.py`, V7 in `tests/manage/test_pages.py`, G19 and G20 in
`tests/front/test_http11.py`. G1 to G5, G7 to G10, G12 to G18 and G21 come with logs, the events
and the web page.
"""

import gzip

import pytest
import trio

from tests.fakes import Asked
from tests.house import open_house

CHAT = "/v1/chat/completions"

HELLO = gzip.compress(b"hello")


async def test_g6_a_request_is_known_by_the_address_that_it_came_from(autojump_clock):
    """G6: without the port, which says nothing to anybody."""

    async def never(asked: Asked) -> None:
        await asked.gone()

    async with open_house("a") as house:
        house.upstream.handler = never
        await house.call().send(CHAT, {"model": "a"})
        await trio.sleep(5)
        assert [flight.client for flight in house.flights] == ["10.0.0.7"]


async def test_g11_a_websocket_is_bytes_both_ways(autojump_clock):
    """G11: after a 101, with what the client sent before it had that."""

    async def echo(asked: Asked) -> None:
        await asked.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        )
        while data := await asked.stream.receive_some():
            await asked.send(bytes(data))

    async with open_house("a") as house:
        house.upstream.handler = echo
        caller = house.call()
        await caller.raw(
            b"GET /upstream/a/ HTTP/1.1\r\nHost: x\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x82\x01early"
        )
        got = b""
        while not got.endswith(b"early"):
            got += bytes(await caller.stream.receive_some())
        head, _, frames = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        assert frames == b"\x82\x01early"
        await caller.raw(b"GET / HTTP/1.1\r\n\r\n")
        assert bytes(await caller.stream.receive_some()) == b"GET / HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(
    ("wish", "asked_for", "coding"),
    [
        pytest.param(None, None, None, id="V3-D36"),
        pytest.param("br", "br", None, id="V4-D36"),
        pytest.param("gzip", "gzip", "gzip", id="V5"),
        pytest.param("br, gzip;q=0.5", "br, gzip;q=0.5", "gzip", id="V5-D36-a-list"),
    ],
)
async def test_how_an_answer_is_compressed_is_not_our_business(
    wish, asked_for, coding, autojump_clock
):
    """V3 to V5, D36: nothing is asked for that the client did not, and nothing is unpacked."""

    async def answer(asked: Asked) -> None:
        if "gzip" in asked.headers.get("accept-encoding", ""):
            await asked.answer(HELLO, extra=b"Content-Encoding: gzip\r\n")
        else:
            await asked.answer(b"hello")

    async with open_house("a") as house:
        house.upstream.handler = answer
        caller = house.call()
        headers = {} if wish is None else {"Accept-Encoding": wish}
        await caller.send(CHAT, {"model": "a"}, headers=headers)
        reply = await caller.reply()
        assert house.upstream.asked[0].headers.get("accept-encoding") == asked_for
        assert reply.headers.get("content-encoding") == coding
        assert reply.body == (b"hello" if coding is None else HELLO)


@pytest.mark.parametrize("path", ["/upstream/a/x", "/props?model=a"])
async def test_v6_a_model_that_cannot_be_reached_is_told_of_in_words(path, autojump_clock):
    """V6-D7: llama-swap's answer is empty, and of no type."""
    async with open_house("a") as house:
        house.upstream.reachable = False
        reply = await house.get(path)
        assert (reply.status, reply.code) == (502, "upstream_unreachable")
        assert reply.headers["content-type"] == "application/json"
        assert "connection refused" in reply.json()["error"]["message"]
