"""One client's connection, with small applications on it, over memory streams."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import EventWrapper
from trio.testing import lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from swapd.front.connection import (
    KEEP_ALIVE,
    READ_AHEAD,
    STALLED_READER,
    Connection,
    Peer,
)
from swapd.front.inbox import LONGEST_INBOX

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HANDSHAKE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"

App = Callable[[Any, Any, Any], Awaitable[None]]


class Wire:
    """A client's end, and the connection at the other."""

    def __init__(self, app: App, *, stalling: bool = False) -> None:
        ours, theirs = lockstep_stream_pair() if stalling else memory_stream_pair()
        self.client: trio.abc.HalfCloseableStream = ours
        self.terminated = EventWrapper()
        self.writes: list[bytes] = []
        self.at_once = 0
        """How much of a write the socket takes without waiting."""
        self.resets = 0
        peer = Peer(theirs, ("10.0.0.7", 5000), ("127.0.0.1", 8080), self._send_now, self._reset)
        config = Config()
        config.include_date_header = config.include_server_header = False
        config.errorlog = logging.getLogger("tests")
        self.connection = Connection(app, config, self.terminated, peer)
        self.theirs = theirs

    async def serve(self) -> None:
        await self.connection.run()
        await trio.aclose_forcefully(self.theirs)

    async def ask(self, request: bytes = GET) -> bytes:
        await self.client.send_all(request)
        return bytes(await self.client.receive_some())

    async def receive_exactly(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            piece = bytes(await self.client.receive_some(size - len(got)))
            assert piece, got
            got += piece
        return got

    def _send_now(self, data: bytes | bytearray) -> int:
        self.writes.append(bytes(data))
        return min(self.at_once, len(data))

    def _reset(self) -> None:
        self.resets += 1


async def answer(send: Any, body: bytes = b"hello") -> None:
    headers = [(b"Content-Length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await answer(send)


async def wait_for_ever(scope: Any, receive: Any, send: Any) -> None:
    await trio.sleep_forever()


async def test_requests_are_answered_one_after_the_other(nursery, autojump_clock):
    """Keep-alive, and two requests that came in one piece."""
    wire = Wire(hello)
    nursery.start_soon(wire.serve)
    assert (await wire.ask()).startswith(b"HTTP/1.1 200 ")
    await wire.client.send_all(GET + GET)
    await wait_all_tasks_blocked()
    got = bytes(await wire.client.receive_some())
    assert got.count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize("behind", [b"", b"\r\n", b"x" * 1000, GET])
async def test_a_hang_up_is_noticed_whatever_stands_behind_the_request(behind, autojump_clock):
    """hypercorn stops reading there; we do not."""
    async with trio.open_nursery() as nursery:
        wire = Wire(wait_for_ever)
        nursery.start_soon(wire.serve)
        await wire.client.send_all(GET + behind)
        await wait_all_tasks_blocked()
        assert nursery.child_tasks
        await trio.aclose_forcefully(wire.client)
        await wait_all_tasks_blocked()
        assert not nursery.child_tasks


async def test_reading_behind_a_request_is_bounded(nursery, autojump_clock):
    """What nobody takes stays where it is: with the client."""
    wire = Wire(wait_for_ever, stalling=True)
    nursery.start_soon(wire.serve)
    await wire.client.send_all(GET + b"x")
    sent = 0

    async def babble() -> None:
        nonlocal sent
        while True:
            await wire.client.send_all(b"x" * 16384)
            sent += 16384

    nursery.start_soon(babble)
    await wait_all_tasks_blocked()
    assert READ_AHEAD <= sent <= 2 * READ_AHEAD


async def test_what_was_read_ahead_is_the_next_request(nursery, autojump_clock):
    """Pipelined in pieces, nothing of it is lost."""
    go = trio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await answer(send, scope["path"].encode())

    wire = Wire(slow)
    nursery.start_soon(wire.serve)
    await wire.client.send_all(GET + b"GET /sec")
    await wait_all_tasks_blocked()
    await wire.client.send_all(b"ond HTTP/1.1\r\nHost: x\r\n\r\n")
    await wait_all_tasks_blocked()
    go.set()
    await wait_all_tasks_blocked()
    assert bytes(await wire.client.receive_some()).endswith(b"\r\n\r\n/second")


async def test_an_upload_waits_for_the_application(nursery, autojump_clock):
    """Back-pressure reaches the client; the whole arrives when it is read."""
    go, size = trio.Event(), 5_000_000

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        got = 0
        while (message := await receive())["more_body"]:
            got += len(message["body"])
        await answer(send, b"%d" % got)

    wire = Wire(late, stalling=True)
    nursery.start_soon(wire.serve)
    sent = 0

    async def upload() -> None:
        nonlocal sent
        await wire.client.send_all(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
        )
        for _ in range(size // 50_000):
            await wire.client.send_all(b"x" * 50_000)
            sent += 50_000

    nursery.start_soon(upload)
    await wait_all_tasks_blocked()
    assert sent <= (LONGEST_INBOX + 4) * 65536
    go.set()
    got = b""
    while b"\r\n\r\n5000000" not in got:
        got += bytes(await wire.client.receive_some())


async def test_an_application_that_does_not_read_the_body_hangs_nobody(autojump_clock):
    """It answers and is done; the connection is closed, because the rest is no request."""
    async with trio.open_nursery() as nursery:
        wire = Wire(hello)
        nursery.start_soon(wire.serve)
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n"
        await wire.client.send_all(head + b"x" * 2_000_000)
        assert (await wire.ask(b"x")).startswith(b"HTTP/1.1 200 ")
        await wait_all_tasks_blocked()
        assert not nursery.child_tasks


async def test_a_reader_that_stalls_ends_the_connection(autojump_clock):
    """Even out of a write that must not be cancelled."""
    async with trio.open_nursery() as nursery:
        wire = Wire(hello, stalling=True)
        nursery.start_soon(wire.serve)
        await wire.client.send_all(GET)
    assert trio.current_time() == STALLED_READER
    assert wire.resets == 1


async def test_cutting_ends_even_a_write_to_a_stalled_reader(autojump_clock):
    """A daemon that stops must not wait for the slowest of its clients."""
    async with trio.open_nursery() as nursery:
        wire = Wire(hello, stalling=True)
        nursery.start_soon(wire.serve)
        await wire.client.send_all(GET)
        await wait_all_tasks_blocked()
        wire.connection.cut()
    assert trio.current_time() == 0


async def test_a_slow_reader_keeps_its_connection(nursery, autojump_clock):
    """Progress counts, not the time that the whole takes."""
    body = b"x" * 1_000_000

    async def large(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, body)

    wire = Wire(large, stalling=True)
    nursery.start_soon(wire.serve)
    await wire.client.send_all(GET)
    got = b""
    while not got.endswith(body):
        await trio.sleep(STALLED_READER - 1)
        got += bytes(await wire.client.receive_some(65536))
    assert trio.current_time() > 10 * STALLED_READER


async def test_a_cancelled_request_leaves_no_half_write(nursery, autojump_clock):
    """What goes on to be said on the connection must be understood."""

    async def cancelled(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"Transfer-Encoding", b"chunked")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        with trio.move_on_after(1):
            piece = {"type": "http.response.body", "body": b"x" * 10, "more_body": True}
            while True:
                await send(piece)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    wire = Wire(cancelled, stalling=True)
    nursery.start_soon(wire.serve)
    got = await wire.ask()
    assert got.endswith(b"\r\n\r\n")
    await trio.sleep(5)
    while not got.endswith(b"\r\n0\r\n\r\n"):
        piece = bytes(await wire.client.receive_some(65536))
        assert piece, got
        got += piece
    body = got.partition(b"\r\n\r\n")[2].removesuffix(b"0\r\n\r\n")
    assert body == b"a\r\nxxxxxxxxxx\r\n" * body.count(b"a")


async def test_a_write_that_has_begun_is_not_cancelled(nursery, autojump_clock):
    """The socket took a part of it at once; the rest must follow, cancelled or not."""

    async def cancelled(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"Transfer-Encoding", b"chunked")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        with trio.CancelScope() as request:
            request.cancel()
            await send({"type": "http.response.body", "body": b"x" * 10, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    wire = Wire(cancelled)
    wire.at_once = 3
    nursery.start_soon(wire.serve)
    await wire.client.send_all(GET)
    await wait_all_tasks_blocked()
    # What was taken at once is gone; of every write the rest came, and in its order.
    rest = b"".join(write[3:] for write in wire.writes)
    assert len(wire.writes) == 3
    assert bytes(await wire.client.receive_some()) == rest


async def test_what_is_held_leaves_in_one_write(nursery, autojump_clock):
    """A system call less for every answer that came whole."""

    async def held(scope: Any, receive: Any, send: Any) -> None:
        client = scope["state"]["client"]
        client.hold()
        await answer(send)
        await client.release()

    wire = Wire(held)
    nursery.start_soon(wire.serve)
    assert (await wire.ask()).endswith(b"\r\n\r\nhello")
    assert [write.endswith(b"\r\n\r\nhello") for write in wire.writes] == [True]


async def test_a_bug_in_the_application_is_a_500_and_a_line_in_the_log(
    nursery, autojump_clock, caplog
):
    """The client hears that it was us; nobody else does."""

    async def buggy(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    wire = Wire(buggy)
    nursery.start_soon(wire.serve)
    assert (await wire.ask()).startswith(b"HTTP/1.1 500 ")
    assert "answering '/' failed" in caplog.text


async def test_an_application_that_stops_in_the_middle_cuts_the_connection(autojump_clock):
    """No proper end is put to what has none."""

    async def half(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"Transfer-Encoding", b"chunked")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async with trio.open_nursery() as nursery:
        wire = Wire(half)
        nursery.start_soon(wire.serve)
        got = await wire.ask()
        while piece := await wire.client.receive_some():
            got += bytes(piece)
        assert got.endswith(b"4\r\nhalf\r\n")


async def test_idle_time_counts_from_the_last_answer(nursery, autojump_clock):
    """A long answer is not idleness."""

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep(10 * KEEP_ALIVE)
        await answer(send)

    wire = Wire(slow)
    nursery.start_soon(wire.serve)
    got = await wire.ask()
    while not got.endswith(b"hello"):
        got += bytes(await wire.client.receive_some())
    before = trio.current_time()
    assert await wire.client.receive_some() == b""
    assert trio.current_time() - before == KEEP_ALIVE


# Tunnels


async def echo(scope: Any, receive: Any, send: Any) -> None:
    tunnel = scope["state"]["client"].tunnel()
    await tunnel.send(SWITCHED)
    while data := await tunnel.receive():
        await tunnel.send(data)


async def test_an_upgraded_connection_carries_bytes_both_ways(nursery, autojump_clock):
    """What is spoken there is between the client and its model; to hypercorn it is a GET."""
    asked: list[Any] = []

    async def noted(scope: Any, receive: Any, send: Any) -> None:
        asked.append((scope["type"], scope["state"]["client"].upgrade, scope["headers"]))
        await echo(scope, receive, send)

    wire = Wire(noted)
    nursery.start_soon(wire.serve)
    assert await wire.ask(HANDSHAKE) == SWITCHED
    assert await wire.ask(b"\x81\x02hi") == b"\x81\x02hi"
    assert await wire.ask(GET) == GET
    assert asked == [("http", b"websocket", [(b"host", b"x"), (b"connection", b"Upgrade")])]


async def test_what_came_with_the_handshake_is_the_first_in_the_tunnel(nursery, autojump_clock):
    """Clients in a hurry send before they are answered; all of it arrives, and in order."""
    go = trio.Event()

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await echo(scope, receive, send)

    wire = Wire(late)
    nursery.start_soon(wire.serve)
    await wire.client.send_all(HANDSHAKE + b"one ")
    await wait_all_tasks_blocked()
    await wire.client.send_all(b"two ")
    await wait_all_tasks_blocked()
    go.set()
    await wait_all_tasks_blocked()
    await wire.client.send_all(b"three")
    expected = SWITCHED + b"one two three"
    assert await wire.receive_exactly(len(expected)) == expected


async def test_a_tunnel_goes_on_where_reading_ahead_was_full(nursery, autojump_clock):
    """Until somebody takes what it sent, a client has to wait, and not for ever."""
    go, size = trio.Event(), 10 * READ_AHEAD
    got = sent = 0

    async def late(scope: Any, receive: Any, send: Any) -> None:
        nonlocal got
        await go.wait()
        tunnel = scope["state"]["client"].tunnel()
        while data := await tunnel.receive():
            got += len(data)

    wire = Wire(late, stalling=True)
    nursery.start_soon(wire.serve)
    await wire.client.send_all(HANDSHAKE)

    async def talk() -> None:
        nonlocal sent
        while sent < size:
            await wire.client.send_all(b"x" * 16384)
            sent += 16384

    nursery.start_soon(talk)
    await wait_all_tasks_blocked()
    assert READ_AHEAD <= sent <= 2 * READ_AHEAD
    go.set()
    await wait_all_tasks_blocked()
    assert got == size


@pytest.mark.parametrize("slow", ["client", "application"])
async def test_much_flows_both_ways_and_a_slow_end_slows_the_other(slow, autojump_clock):
    """A megabyte each way, nothing buffered beyond a bound, nobody waiting for himself."""
    size, up, sent = 1_000_000, bytearray(), 0

    async def pause(who: str) -> None:
        await trio.sleep(1 if who == slow else 0)

    async def busy(scope: Any, receive: Any, send: Any) -> None:
        tunnel = scope["state"]["client"].tunnel()

        async def take() -> None:
            while data := await tunnel.receive():
                await pause("application")
                up.extend(data)
                assert sent - len(up) <= 4 * READ_AHEAD

        async with trio.open_nursery() as directions:
            directions.start_soon(take)
            await tunnel.send(b"d" * size)

    wire = Wire(busy, stalling=True)

    async def talk() -> None:
        nonlocal sent
        for _ in range(100):
            await wire.client.send_all(b"u" * 10_000)
            sent += 10_000
        await wire.client.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.serve)
        await wire.client.send_all(HANDSHAKE)
        nursery.start_soon(talk)
        down = b""
        while piece := await wire.client.receive_some(65536):
            down += bytes(piece)
            await pause("client")
    assert (bytes(up), down) == (b"u" * size, b"d" * size)


async def test_a_clients_last_words_come_before_its_end(autojump_clock):
    """A close frame with the end right behind it still has to reach the model."""
    heard: list[bytes] = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        tunnel = scope["state"]["client"].tunnel()
        await tunnel.send(SWITCHED)
        while data := await tunnel.receive():
            await trio.sleep(1)
            heard.append(data)
        assert await tunnel.receive() == b""
        await tunnel.send(b"bye")

    async with trio.open_nursery() as nursery:
        wire = Wire(note)
        nursery.start_soon(wire.serve)
        await wire.ask(HANDSHAKE)
        await wire.client.send_all(b"close")
        await wire.client.send_eof()
        assert await wire.client.receive_some() == b"bye"
    assert heard == [b"close"]


async def test_a_client_that_vanishes_is_told_to_both_directions(autojump_clock):
    """Whichever is waiting must come back, so that the model is let go."""
    told: list[str] = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        tunnel = scope["state"]["client"].tunnel()
        await tunnel.send(SWITCHED)
        told.append(repr(await tunnel.receive()))
        for _ in range(2):
            try:
                await tunnel.send(b"hello")
            except trio.BrokenResourceError:
                told.append("broken")

    async with trio.open_nursery() as nursery:
        wire = Wire(note)
        nursery.start_soon(wire.serve)
        await wire.ask(HANDSHAKE)
        await wire.client.aclose()
    assert told == ["b''", "broken", "broken"]


async def test_a_client_that_leaves_before_the_tunnel_is_a_hang_up(autojump_clock):
    """It may be waiting for its model to load; nobody is to load it for nobody."""
    async with trio.open_nursery() as nursery:
        wire = Wire(wait_for_ever)
        nursery.start_soon(wire.serve)
        await wire.client.send_all(HANDSHAKE)
        await wait_all_tasks_blocked()
        await wire.client.aclose()


async def test_a_tunnel_ends_with_its_application(autojump_clock):
    """Without a word of HTTP: the client would take it for its model's."""

    async def short(scope: Any, receive: Any, send: Any) -> None:
        await scope["state"]["client"].tunnel().send(b"bye")

    async with trio.open_nursery() as nursery:
        wire = Wire(short)
        nursery.start_soon(wire.serve)
        assert await wire.ask(HANDSHAKE) == b"bye"
        assert await wire.client.receive_some() == b""


async def test_a_bug_in_a_tunnel_is_a_line_in_the_log_and_the_end(autojump_clock, caplog):
    """A 500 in the middle of frames helps nobody."""

    async def buggy(scope: Any, receive: Any, send: Any) -> None:
        await scope["state"]["client"].tunnel().send(SWITCHED)
        raise ZeroDivisionError

    async with trio.open_nursery() as nursery:
        wire = Wire(buggy)
        nursery.start_soon(wire.serve)
        assert await wire.ask(HANDSHAKE) == SWITCHED
        assert await wire.client.receive_some() == b""
    assert "answering '/' failed" in caplog.text


async def test_a_reader_that_stalls_ends_its_tunnel(autojump_clock):
    """It holds a model; nothing may be sent behind what it has not read."""
    told: list[float] = []

    async def stubborn(scope: Any, receive: Any, send: Any) -> None:
        tunnel = scope["state"]["client"].tunnel()
        for _ in range(2):
            try:
                await tunnel.send(b"x" * 1_000_000)
            except trio.BrokenResourceError:
                told.append(trio.current_time())
        assert await tunnel.receive() == b""

    async with trio.open_nursery() as nursery:
        wire = Wire(stubborn, stalling=True)
        nursery.start_soon(wire.serve)
        await wire.client.send_all(HANDSHAKE)
    assert told == [STALLED_READER, STALLED_READER]
    assert wire.resets == 1


@pytest.mark.parametrize("how", ["end", "cut"])
@pytest.mark.parametrize("doing", ["receiving", "sending"])
async def test_a_stop_ends_a_tunnel_whatever_it_is_doing(doing, how, autojump_clock):
    """It has no last byte that a drain could wait for."""

    async def busy(scope: Any, receive: Any, send: Any) -> None:
        tunnel = scope["state"]["client"].tunnel()
        await (tunnel.send(b"x" * 1_000_000) if doing == "sending" else tunnel.receive())

    async with trio.open_nursery() as nursery:
        wire = Wire(busy, stalling=True)
        nursery.start_soon(wire.serve)
        await wire.client.send_all(HANDSHAKE)
        await wait_all_tasks_blocked()
        assert wire.connection.asking
        assert not wire.connection.idle
        getattr(wire.connection, how)()
    assert trio.current_time() == 0


async def test_no_tunnel_begins_in_a_stop(autojump_clock):
    """Its handshake may have been on its way to the model when the drain began."""
    go = trio.Event()

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await echo(scope, receive, send)

    async with trio.open_nursery() as nursery:
        wire = Wire(late)
        nursery.start_soon(wire.serve)
        await wire.client.send_all(HANDSHAKE)
        await wait_all_tasks_blocked()
        await wire.terminated.set()
        go.set()
    assert trio.current_time() == 0


async def test_a_quiet_tunnel_is_not_idle(nursery, autojump_clock):
    """Its client and its model say when it is over."""
    wire = Wire(echo)
    nursery.start_soon(wire.serve)
    await wire.ask(HANDSHAKE)
    await trio.sleep(100 * KEEP_ALIVE)
    assert await wire.ask(b"still there?") == b"still there?"


@pytest.mark.parametrize("behind", [b"", GET])
async def test_an_upgrade_that_is_not_taken_up_is_a_request_like_any_other(
    behind, nursery, autojump_clock
):
    """The model may answer 200, 404 or 426; the client may ask for something else then."""
    wire = Wire(hello)
    nursery.start_soon(wire.serve)
    await wire.client.send_all(HANDSHAKE + behind)
    await wait_all_tasks_blocked()
    got = bytes(await wire.client.receive_some())
    assert got.count(b"HTTP/1.1 200 ") == (2 if behind else 1)
    assert (await wire.ask()).startswith(b"HTTP/1.1 200 ")
    assert wire.connection.upgrade == b""


async def test_only_an_upgrade_makes_a_tunnel(nursery, autojump_clock, caplog):
    """Anywhere else hypercorn would read from the same stream."""
    wire = Wire(echo)
    nursery.start_soon(wire.serve)
    assert (await wire.ask()).startswith(b"HTTP/1.1 500 ")
    assert "only what was asked for can be spoken" in caplog.text
