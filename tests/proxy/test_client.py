"""The way back to a client: what is added to an answer, and how a stream that we began goes on.

What is passed on as it came, and what is cut short, is in `test_relay.py`.
"""

import gzip
import json
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.proxy.client import LARGEST_ERROR, LARGEST_EVENT
from swapd.proxy.events import PING
from tests.config.rows.loading import loaded
from tests.fakes import Asked
from tests.house import Caller, House, Reply, open_house

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
STREAM = {"model": "a", "stream": True}

REMOTE = "peers: {remote: {proxy: 'http://h', models: [m]}}"


async def ask(house: House, path: str = CHAT, **headers: str) -> Caller:
    """Ask for a stream, and have the scheduler hear of it."""
    caller = house.call()
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    await caller.send(path, STREAM, headers=fields)
    await wait_all_tasks_blocked()
    return caller


async def begun(house: House, handler: Any, path: str = CHAT, **headers: str) -> Reply:
    """Ask for a stream that we begin, which the model then answers by this handler."""
    house.models.load = 2.0
    house.upstream.handler = handler
    reply = await (await ask(house, path, **headers)).reply()
    first, _, rest = reply.body.partition(b"\n\n")
    assert first + b"\n\n" == (PING if path == MESSAGES else b": 2 s: a is loading\n\n")
    reply.body = rest
    return reply


def answering(body: bytes, status: int = 200, *, extra: bytes = b"") -> Any:
    """Make a model's server that always answers so."""

    async def answer(asked: Asked) -> None:
        await asked.answer(body, status=status, extra=extra)

    return answer


# What is added


async def test_an_answer_says_where_its_time_went(autojump_clock):
    """In milliseconds: until its turn, in which its model was loaded, and to the model's head."""

    async def slow(asked: Asked) -> None:
        await trio.sleep(0.25)
        await asked.answer()

    async with open_house("a", "b") as house:
        house.upstream.handler = slow
        timings = []

        async def post(model: str) -> None:
            timings.append((await house.post(CHAT, {"model": model})).headers["server-timing"])

        async with trio.open_nursery() as nursery:
            for model in ("a", "a", "b"):
                nursery.start_soon(post, model)
                await wait_all_tasks_blocked()
        assert timings == [
            "queue;dur=0.0, load;dur=1000.0, model;dur=250.0",
            "queue;dur=250.0, load;dur=1000.0, model;dur=250.0",
            "queue;dur=2000.0, load;dur=1000.0, model;dur=250.0",
        ]


async def test_a_peers_answer_has_waited_for_nothing_here(autojump_clock):
    """Its own queue is its own business, and what it says of that is passed on as well."""

    async def slow(asked: Asked) -> None:
        await trio.sleep(20)
        own = b"Server-Timing: queue;dur=7.0\r\nX-Swapd-Request: r-peer\r\n"
        await asked.answer(extra=own)

    async with open_house(settings=loaded(REMOTE).settings) as house:
        house.upstream.handler = slow
        caller = house.call()
        await caller.send(CHAT, {"model": "m", "stream": True})
        await wait_all_tasks_blocked()
        (flight,) = house.flights
        head = await caller.head()
        timings = [value for name, value in head.headers if name == b"server-timing"]
        assert timings == [b"queue;dur=7.0", b"queue;dur=0.0, load;dur=0.0, model;dur=20000.0"]
        names = [value for name, value in head.headers if name == b"x-swapd-request"]
        assert names == [flight.id.encode()]


async def test_every_answer_has_the_name_of_its_request(autojump_clock):
    """By which it is found in the log, and cancelled while it is under way."""
    async with open_house("a") as house:
        names = []
        for path, body, status in (
            (CHAT, {"model": "a"}, 200),
            (CHAT, {"model": "ghost"}, 404),
            (CHAT, b"[]", 404),
            (CHAT, b"{", 400),
            ("/upstream/a/x", {}, 200),
            ("/upstream/ghost/x", {}, 404),
        ):
            reply = await house.post(path, body)
            assert reply.status == status
            names.append(reply.headers["x-swapd-request"])
        reply = await house.get(CHAT)
        assert (reply.status, "server-timing" in reply.headers) == (405, False)
        names.append(reply.headers["x-swapd-request"])
        first = int(names[0].removeprefix("r-"), 16)
        assert names == [f"r-{first + count:x}" for count in range(len(names))]


async def test_a_stream_that_we_begin_says_what_it_is_and_whose(autojump_clock):
    """No proxy may collect it, and whoever waits can be found."""
    async with open_house("a") as house:
        house.models.load = 5.0
        caller = await ask(house)
        (flight,) = house.flights
        head = await caller.head()
        assert head.status_code == 200
        assert list(head.headers) == [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            (b"x-swapd-request", flight.id.encode()),
            (b"transfer-encoding", b"chunked"),
        ]


# How a stream goes on


@pytest.mark.parametrize("length", [b"", b"Content-Length: 9\r\n"], ids=["closed", "of a length"])
async def test_the_models_stream_follows_byte_for_byte(length, autojump_clock):
    """However its own end is marked."""

    async def answer(asked: Asked) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + length
        await asked.send(head + b"Connection: close\r\n\r\ndata: 1\n\n")
        await trio.aclose_forcefully(asked.stream)

    async with open_house("a") as house:
        reply = await begun(house, answer)
        assert (reply.body, reply.complete) == (b"data: 1\n\n", True)


@pytest.mark.parametrize(
    ("path", "body", "event"),
    [
        (
            CHAT,
            b'{"error": {"message": "too long"}}',
            b'data: {"error":{"message":"too long"}}\n\n',
        ),
        (
            MESSAGES,
            b'{"type": "error", "error": {"type": "overloaded_error"}}',
            b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n',
        ),
    ],
)
async def test_an_error_of_the_model_becomes_an_event(path, body, event, autojump_clock):
    """D10: its status cannot be told any more; the client's library raises it all the same."""
    async with open_house("a") as house:
        for extra in (b"", b"Content-Type: text/event-stream\r\n"):
            reply = await begun(house, answering(body, 400, extra=extra), path)
            assert (reply.status, reply.body, reply.complete) == (200, event, True)
            await house.engine.unload()


async def test_an_answer_in_one_piece_becomes_an_event(autojump_clock):
    """Not every server knows every request as a stream; what it says is not lost."""
    async with open_house("a") as house:
        reply = await begun(house, answering(b'{\n "text": "hello"\n}'))
        assert reply.body == b'data: {\ndata:  "text": "hello"\ndata: }\n\n'
        assert reply.complete


async def test_a_large_answer_in_one_piece_is_an_event_all_the_same(autojump_clock):
    """Pictures are answered like this, several megabytes of base64."""
    picture = json.dumps({"data": [{"b64_json": "x" * 8_000_000}]}).encode()
    async with open_house("a") as house:
        reply = await begun(house, answering(picture), "/v1/images/generations")
        assert reply.body == b"data: " + picture + b"\n\n"


async def endless(asked: Asked) -> None:
    """Answer with plain text that never ends."""
    await asked.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        await asked.send(b"x" * 1024 * 1024)


async def test_an_answer_too_large_for_an_event_is_an_error_and_no_part_of_it(autojump_clock):
    """Rule 1: a part must not be taken for the whole."""
    async with open_house("a") as house:
        reply = await begun(house, endless)
        error = json.loads(reply.body.removeprefix(b"data: "))["error"]
        assert error["code"] == 502
        assert f"larger than {LARGEST_EVENT} bytes" in error["message"]
        assert reply.complete


async def test_an_error_of_any_length_is_told_with_its_beginning(autojump_clock):
    """It is read by people, if at all."""
    async with open_house("a") as house:
        reply = await begun(house, answering(b"x" * 10 * LARGEST_ERROR, 500))
        error = json.loads(reply.body.removeprefix(b"data: "))["error"]
        assert error["message"] == "x" * LARGEST_ERROR


async def test_a_stream_is_asked_for_uncompressed(autojump_clock):
    """D11: its bytes might follow ours, without a word of how to read them. D36 for all else."""
    async with open_house("a") as house:
        await begun(house, answering(b"{}"), Accept_Encoding="gzip, br")
        await (await ask(house, Accept_Encoding="gzip, br")).reply()
        await house.post(CHAT, {"model": "a"}, Accept_Encoding="gzip, br")
        sent = [asked.headers["accept-encoding"] for asked in house.upstream.asked]
        assert sent == ["identity", "identity", "gzip, br"]


@pytest.mark.parametrize("kind", [b"text/event-stream", b"application/json"])
async def test_an_answer_that_is_compressed_all_the_same_is_an_error(kind, autojump_clock):
    """D11: what nobody can read is not passed on as if it could be."""
    extra = b"Content-Encoding: gzip\r\nContent-Type: %b\r\n" % kind
    async with open_house("a") as house:
        reply = await begun(house, answering(gzip.compress(b"data: 1\n\n"), extra=extra))
        error = json.loads(reply.body.removeprefix(b"data: "))["error"]
        assert error["code"] == 502
        assert "compressed" in error["message"]
        assert reply.complete


async def test_an_answer_that_says_it_is_not_compressed_is_read(autojump_clock):
    """Which is what was asked for, word for word."""
    extra = b"Content-Encoding: identity\r\nContent-Type: text/event-stream\r\n"
    async with open_house("a") as house:
        reply = await begun(house, answering(b"data: 1\n\n", extra=extra))
        assert reply.body == b"data: 1\n\n"


# Cut short


async def die(asked: Asked) -> None:
    await trio.aclose_forcefully(asked.stream)


async def die_in_the_stream(asked: Asked) -> None:
    await asked.begin_events()
    await asked.chunk(b"data: 1\n\n")
    await trio.aclose_forcefully(asked.stream)


async def die_in_a_stream_of_a_length(asked: Asked) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\n"
    await asked.send(head + b"data: 1\n\n")
    await trio.aclose_forcefully(asked.stream)


async def die_in_the_body(asked: Asked) -> None:
    await asked.send(b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"x":')
    await trio.aclose_forcefully(asked.stream)


DEATHS = pytest.mark.parametrize(
    ("handler", "before", "code", "complete"),
    [
        (die, b"", "upstream_unreachable", True),
        (die_in_the_stream, b"data: 1\n\n", "upstream_cut", False),
        (die_in_a_stream_of_a_length, b"data: 1\n\n", "upstream_cut", False),
        (die_in_the_body, b"", "upstream_cut", True),
    ],
)


@DEATHS
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_a_model_that_dies_is_an_error_event(
    handler, before, code, complete, path, autojump_clock
):
    """D6, D10: the end is a proper one as long as nothing of the model's answer has gone out."""
    async with open_house("a") as house:
        reply = await begun(house, handler, path)
        assert reply.body.startswith(before + b"\n\n")
        event = reply.body.removeprefix(before).strip()
        if path == MESSAGES:
            assert event.startswith(b"event: error\n")
            event = event.removeprefix(b"event: error\n")
        assert json.loads(event.removeprefix(b"data: "))["error"]["code"] == code
        assert reply.complete == complete


@DEATHS
async def test_a_client_of_http_1_0_is_told_in_the_same_way(
    handler, before, code, complete, autojump_clock
):
    """Where the end of the connection is the end of the answer, only a reset is a cut."""
    async with open_house("a") as house:
        house.models.load = 2.0
        house.upstream.handler = handler
        caller = house.call()
        body = json.dumps(STREAM).encode()
        head = b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n"
        await caller.raw(head % len(body) + body)
        came = b""
        while piece := await caller.stream.receive_some():
            came += piece
        head, _, stream = came.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert stream.startswith(b": 2 s: a is loading\n\n" + before)
        assert code.encode() in stream
        assert stream.endswith(b"}\n\n")
        assert caller.resets == ([] if complete else ["reset"])


async def test_a_stream_that_is_cancelled_is_cut_with_an_error_event(autojump_clock):
    """D9: also one that we began, once the model's answer is in it."""

    async def stream(asked: Asked) -> None:
        await asked.begin_events()
        await asked.chunk(b"data: 1\n\n")
        await asked.gone()

    async with open_house("a") as house:
        house.models.load = 2.0
        house.upstream.handler = stream
        caller = await ask(house)
        await caller.head()
        assert [await caller.piece(), await caller.piece()][1] == b"data: 1\n\n"
        (flight,) = house.flights
        await house.get(f"/api/inflight/{flight.id}/cancel", method="POST")
        event = await caller.piece()
        assert event is not None
        assert b'"code":"cancelled"' in event
        assert await caller.piece() is None
        assert house.upstream.asked[0].left.is_set()
