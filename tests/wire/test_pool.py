"""Connections kept, given up, retried and closed."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import attrs
import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from swapd.config.settings import Origin, Timeouts
from swapd.wire.exchange import (
    SMALL_BODY,
    Answer,
    Request,
    UpstreamCut,
    UpstreamGone,
    UpstreamSilent,
    UpstreamUnreached,
)
from swapd.wire.pool import MAX_IDLE, STALE_ANSWERS, Pool, ask

ORIGIN = Origin("http", "127.0.0.1", 5801)
GET = Request("GET", b"/v1/models", [(b"Host", b"h")], b"")
LONG = b"x" * 40 * SMALL_BODY
UPLOAD = Request("POST", b"/", [(b"Content-Length", b"%d" % len(LONG))], LONG)

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
STREAM = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"5\r\nhello\r\n"
END = b"0\r\n\r\n"

Line = trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]


class Model:
    """A model's server as a list of connections; each begins with an answer already there."""

    def __init__(self, *first: bytes) -> None:
        self._first = list(first)
        self.lines: list[Line] = []

    async def connect(self, origin: Origin) -> trio.abc.Stream:
        """Open one more connection."""
        assert origin == ORIGIN
        ours, theirs = memory_stream_pair()
        await theirs.send_all(self._first.pop(0))
        self.lines.append(theirs)
        return ours


@attrs.define
class Stuck(trio.abc.Stream):
    """A connection on which one stage of an exchange never ends."""

    stage: str
    open: bool = False
    _received: bytes = STREAM + CHUNK

    async def connect(self, origin: Origin) -> trio.abc.Stream:
        """Open it."""
        if self.stage == "connecting":
            await trio.sleep_forever()
        self.open = True
        return self

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.stage == "sending":
            await trio.sleep_forever()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self.stage != "reading" or not self._received:
            await trio.sleep_forever()
        received, self._received = self._received, b""
        return received

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        """Close it at once."""
        self.open = False


async def body(answer: Answer) -> bytes:
    """Read to the end."""
    whole = b""
    while piece := await answer.read():
        whole += piece
    return whole


async def hung_up(line: Line) -> bool:
    """Tell whether the other side has closed this connection, whatever it sent before."""
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def give_up() -> None:
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

        while await line.receive_some():
            pass
        nursery.cancel_scope.cancel()
        return True
    return False


@asynccontextmanager
async def serving(
    handler: Callable[[trio.SocketStream], Awaitable[None]],
) -> AsyncIterator[Origin]:
    """Run a real server as long as the block lasts, and no longer than a few seconds."""
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, handler, [listener])
            yield Origin("http", "127.0.0.1", listener.socket.getsockname()[1])
            nursery.cancel_scope.cancel()


async def test_a_connection_serves_one_request_after_the_other() -> None:
    """A new connection a request would double what swapd adds."""
    model = Model(PLAIN)
    pool = Pool(ORIGIN, connect=model.connect)
    for _ in range(3):
        async with pool.exchange(GET) as answer:
            assert await body(answer) == b"hello"
        await model.lines[0].send_all(PLAIN)
    assert len(model.lines) == 1
    assert repr(pool) == "<Pool http://127.0.0.1:5801, 1 idle>"


async def test_an_answer_received_but_not_read_frees_its_connection() -> None:
    """Nothing of it is left on the wire."""
    model = Model(PLAIN)
    pool = Pool(ORIGIN, connect=model.connect)
    async with pool.exchange(GET) as answer:
        pass
    assert not await hung_up(model.lines[0])
    assert await answer.read() == b"hello"


@pytest.mark.parametrize(
    "first", [CLOSING, STREAM + CHUNK, PLAIN + PLAIN, b"HTTP/1.1 200 OK\r\n\r\nhello"]
)
async def test_a_connection_that_is_not_clean_is_closed(first: bytes) -> None:
    """What is left on it would be the next request's answer."""
    model = Model(first, PLAIN)
    pool = Pool(ORIGIN, connect=model.connect)
    async with pool.exchange(GET) as answer:
        assert await answer.read() == b"hello"
    assert await hung_up(model.lines[0])
    async with pool.exchange(GET) as answer:
        assert await body(answer) == b"hello"
    assert len(model.lines) == 2


async def test_a_cut_answer_closes_its_connection() -> None:
    """Its reader learns of the cut, and nobody else gets the connection."""
    model = Model(STREAM + CHUNK)
    pool = Pool(ORIGIN, connect=model.connect)
    async with pool.exchange(GET) as answer:
        assert await answer.read() == b"hello"
        model.lines[0].send_stream.close()
        with pytest.raises(UpstreamCut):
            await answer.read()
    assert repr(pool) == "<Pool http://127.0.0.1:5801, 0 idle>"


async def test_an_error_of_the_reader_closes_an_unfinished_exchange() -> None:
    """Whatever ends the relay, the model must stop generating."""
    model = Model(STREAM)
    pool = Pool(ORIGIN, connect=model.connect)
    with pytest.raises(KeyError):
        async with pool.exchange(GET):
            raise KeyError("reader")
    assert await hung_up(model.lines[0])


async def reused(second: bytes, *fresh: bytes) -> tuple[Pool, Model]:
    """Make a pool whose idle connection will answer the next request thus, and then close."""
    model = Model(PLAIN, *fresh)
    pool = Pool(ORIGIN, connect=model.connect)
    async with pool.exchange(GET):
        pass
    await model.lines[0].send_all(second)
    await model.lines[0].send_eof()
    return pool, model


async def test_a_connection_that_went_stale_on_the_way_is_replaced() -> None:
    """The server closed it while the request was on its way; no client should see that (K)."""
    pool, model = await reused(b"", PLAIN)
    async with pool.exchange(GET) as answer:
        assert await body(answer) == b"hello"
    assert await hung_up(model.lines[0])
    assert not await hung_up(model.lines[1])


@pytest.mark.parametrize("request_", [GET, UPLOAD])
@pytest.mark.parametrize("timeouts", [Timeouts(), Timeouts(response_header=60)])
@pytest.mark.parametrize(
    ("waited", "connections"), [(STALE_ANSWERS - 0.1, 2), (STALE_ANSWERS + 0.1, 1)]
)
async def test_a_request_that_was_worked_on_is_not_sent_again(
    autojump_clock: MockClock,
    waited: float,
    connections: int,
    timeouts: Timeouts,
    request_: Request,
) -> None:
    """What is stale says so at once; what ends later has been at work, and may end of it."""
    model = Model(PLAIN, PLAIN)
    pool = Pool(ORIGIN, connect=model.connect)
    async with pool.exchange(GET):
        pass
    request = attrs.evolve(request_, timeouts=timeouts)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def end() -> None:
            await trio.sleep(waited)
            await model.lines[0].send_eof()

        if connections == 2:
            async with pool.exchange(request) as answer:
                assert await body(answer) == b"hello"
        else:
            with pytest.raises(UpstreamSilent):
                await pool.exchange(request).__aenter__()
    assert len(model.lines) == connections
    assert await hung_up(model.lines[0])


async def test_a_request_is_sent_again_only_once() -> None:
    """A model that crashes of a request must not get it for ever."""
    pool, model = await reused(b"", b"")
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def crash() -> None:
            await wait_all_tasks_blocked()
            await model.lines[1].send_eof()

        with pytest.raises(UpstreamSilent):
            await pool.exchange(GET).__aenter__()
    assert len(model.lines) == 2


async def test_a_request_that_was_partly_answered_is_not_sent_again() -> None:
    """The model has begun to do what was asked."""
    pool, model = await reused(b"H", PLAIN)
    with pytest.raises(UpstreamGone):
        await pool.exchange(GET).__aenter__()
    assert len(model.lines) == 1


async def test_a_fresh_connection_is_not_tried_again() -> None:
    """Its silence is no accident."""
    model = Model(b"", PLAIN)
    pool = Pool(ORIGIN, connect=model.connect)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def close() -> None:
            await wait_all_tasks_blocked()
            await model.lines[0].send_eof()

        with pytest.raises(UpstreamSilent):
            await pool.exchange(GET).__aenter__()
    assert len(model.lines) == 1
    assert await hung_up(model.lines[0])


def patient(seconds: float, request: Request = GET) -> Request:
    """Ask for something that must be answered within so many seconds."""
    return attrs.evolve(request, timeouts=Timeouts(response_header=seconds))


@pytest.mark.parametrize("request_", [GET, UPLOAD])
async def test_an_answer_is_waited_for_as_long_as_configured(
    autojump_clock: MockClock, request_: Request
) -> None:
    """A peer that accepts and never answers must not hold its client for ever."""
    model = Model(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    pool = Pool(ORIGIN, connect=model.connect)
    with pytest.raises(UpstreamGone) as gone:
        await pool.exchange(patient(60, request_)).__aenter__()
    assert not isinstance(gone.value, UpstreamSilent)
    assert str(gone.value) == f"cannot get an answer from {ORIGIN}: no answer within 60 s"
    assert trio.current_time() == pytest.approx(60)
    assert await hung_up(model.lines[0])


@pytest.mark.parametrize("none", [0.0, -1.0])
async def test_without_a_bound_an_answer_is_waited_for(
    autojump_clock: MockClock, none: float
) -> None:
    """A long prompt may take a local model many minutes."""
    model = Model(b"")
    with trio.move_on_after(10_000) as hanging_up:
        await Pool(ORIGIN, connect=model.connect).exchange(patient(none)).__aenter__()
    assert hanging_up.cancelled_caught


async def test_only_the_head_must_come_in_time(autojump_clock: MockClock) -> None:
    """A stream of tokens lasts as long as it lasts, and sending takes the time it takes."""
    model = Model(STREAM)
    pool = Pool(ORIGIN, connect=model.connect)
    async with pool.exchange(patient(60)) as answer:
        await trio.sleep(300)
        await model.lines[0].send_all(CHUNK + END)
        assert await body(answer) == b"hello"
    assert repr(pool).endswith("1 idle>")


async def test_an_answer_that_is_late_is_not_asked_for_again(autojump_clock: MockClock) -> None:
    """The model may be doing what was asked; a second time would cost the same again."""
    model = Model(PLAIN, PLAIN)
    pool = Pool(ORIGIN, connect=model.connect)
    async with pool.exchange(GET):
        pass
    with pytest.raises(UpstreamGone, match="no answer within 60 s"):
        await pool.exchange(patient(60)).__aenter__()
    assert len(model.lines) == 1


@pytest.mark.parametrize("waited", [0.0, STALE_ANSWERS - 0.1])
async def test_both_attempts_have_the_time_of_one(
    autojump_clock: MockClock, waited: float
) -> None:
    """The client was promised an end after 60 seconds, however many connections that takes."""
    model = Model(PLAIN, b"")
    pool = Pool(ORIGIN, connect=model.connect)
    async with pool.exchange(GET):
        pass
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def close() -> None:
            await trio.sleep(waited)
            await model.lines[0].send_eof()

        with pytest.raises(UpstreamGone, match="no answer within 60 s"):
            await pool.exchange(patient(60)).__aenter__()
    assert len(model.lines) == 2
    assert trio.current_time() - begun == pytest.approx(60)


@pytest.mark.parametrize(
    ("idle", "limit", "connections"), [(89, 90, 1), (91, 90, 2), (2, 1, 2), (1e6, 0, 1)]
)
async def test_a_connection_idle_for_too_long_is_not_used(
    autojump_clock: MockClock, idle: float, limit: float, connections: int
) -> None:
    """Firewalls forget connections without a word, and what is sent then is lost."""
    model = Model(PLAIN, PLAIN)
    pool = Pool(ORIGIN, connect=model.connect)
    async with pool.exchange(GET):
        pass
    await trio.sleep(idle)
    await model.lines[0].send_all(PLAIN)
    request = attrs.evolve(GET, timeouts=Timeouts(idle_conn=limit))
    async with pool.exchange(request) as answer:
        assert await body(answer) == b"hello"
    assert len(model.lines) == connections
    assert await hung_up(model.lines[0]) == (connections == 2)
    assert repr(pool).endswith("1 idle>")


async def test_connections_left_over_from_a_rush_are_closed(autojump_clock: MockClock) -> None:
    """Those at the bottom would never be used again, nor given up."""
    model = Model(*[PLAIN] * 3)
    pool = Pool(ORIGIN, connect=model.connect)
    async with pool.exchange(GET), pool.exchange(GET), pool.exchange(GET):
        pass
    used = model.lines[0]  # It came back last.
    for expected in (3, 3, 1):
        await trio.sleep(40)
        await used.send_all(PLAIN)
        async with pool.exchange(GET) as answer:
            assert await body(answer) == b"hello"
        assert repr(pool).endswith(f"{expected} idle>")
    assert [await hung_up(line) for line in model.lines] == [False, True, True]


async def test_idle_connections_are_bounded() -> None:
    """A burst of clients must not hold descriptors, and threads of the model, for long."""
    model = Model(*[PLAIN] * (MAX_IDLE + 3))
    pool = Pool(ORIGIN, connect=model.connect)
    exchanges = [pool.exchange(GET) for _ in range(MAX_IDLE + 3)]
    for exchange in exchanges:
        await exchange.__aenter__()
    for exchange in exchanges:
        await exchange.__aexit__(None, None, None)
    assert [await hung_up(line) for line in model.lines].count(True) == 3


async def test_a_closed_pool_keeps_nothing() -> None:
    """Its model is being stopped; what is in use lasts as long as its exchange."""
    model = Model(PLAIN, PLAIN)
    pool = Pool(ORIGIN, connect=model.connect)
    async with pool.exchange(GET) as answer:
        async with pool.exchange(GET):
            pass
        pool.close()
        assert await hung_up(model.lines[1])
        assert not await hung_up(model.lines[0])
        assert await body(answer) == b"hello"
    assert await hung_up(model.lines[0])
    assert repr(pool) == "<Pool http://127.0.0.1:5801, 0 idle, closed>"


@pytest.mark.parametrize("request_", [GET, UPLOAD])
@pytest.mark.parametrize("stage", ["connecting", "sending", "head", "reading"])
async def test_a_cancelled_exchange_closes_at_once(stage: str, request_: Request) -> None:
    """The client hung up: llama.cpp generates on until its connection closes."""
    line = Stuck(stage)
    pool = Pool(ORIGIN, connect=line.connect)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def hang_up() -> None:
            await wait_all_tasks_blocked()
            assert line.open == (stage != "connecting")
            hanging_up.cancel()

        with trio.CancelScope() as hanging_up:
            try:
                async with pool.exchange(request_) as answer:
                    await body(answer)
            finally:
                assert not line.open
    assert hanging_up.cancelled_caught
    assert repr(pool) == "<Pool http://127.0.0.1:5801, 0 idle>"


async def test_ask_tells_the_status_and_hangs_up() -> None:
    """A probe every few milliseconds must leave nothing behind, whatever the body."""
    model = Model(b"HTTP/1.1 503 Loading\r\nContent-Length: 99\r\n\r\n{")
    assert await ask(ORIGIN, "/health?a=1", connect=model.connect) == 503
    asked = await model.lines[0].receive_some()
    assert asked.startswith(b"GET /health?a=1 HTTP/1.1\r\nHost: 127.0.0.1:5801\r\n")
    assert b"\r\nConnection: close\r\n" in asked
    assert await hung_up(model.lines[0])


async def test_ask_does_not_take_garbage_for_readiness() -> None:
    """Something else may listen on the port."""
    model = Model(b"220 mail.example ESMTP\r\n")
    with pytest.raises(UpstreamGone, match="not HTTP"):
        await ask(ORIGIN, "/health", connect=model.connect)
    assert await hung_up(model.lines[0])


@pytest.mark.parametrize("stage", ["connecting", "sending", "head"])
async def test_a_cancelled_ask_leaves_nothing_open(stage: str) -> None:
    """The model may be unloaded while it is still being probed."""
    line = Stuck(stage)
    with trio.CancelScope() as unloading:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: ask(ORIGIN, "/", connect=line.connect))
            await wait_all_tasks_blocked()
            unloading.cancel()
    assert not line.open


@pytest.mark.real
async def test_a_requests_limits_go_with_its_connection(autojump_clock: MockClock) -> None:
    """Another machine may swallow packets, and only its own configuration knows how long."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        origin = Origin("https", "127.0.0.1", listener.socket.getsockname()[1])
        request = attrs.evolve(GET, timeouts=Timeouts(tls_handshake=3))
        with pytest.raises(UpstreamUnreached, match="no TLS handshake within 3 s"):
            await Pool(origin).exchange(request).__aenter__()


@pytest.mark.real
async def test_a_real_connection_is_kept() -> None:
    """All of it over a socket: ten requests, one connection."""
    connections = 0

    async def handler(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        while await stream.receive_some():
            await stream.send_all(PLAIN)

    async with serving(handler) as origin:
        pool = Pool(origin)
        for _ in range(10):
            async with pool.exchange(GET) as answer:
                assert await body(answer) == b"hello"
        pool.close()
    assert connections == 1


@pytest.mark.real
async def test_a_server_that_closes_after_each_stream_is_never_seen_to() -> None:
    """llama-server says keep-alive and closes right after a streamed answer (K)."""

    async def handler(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(STREAM + CHUNK + END)
        await stream.aclose()

    async with serving(handler) as origin:
        pool = Pool(origin)
        for _ in range(50):
            async with pool.exchange(GET) as answer:
                assert await body(answer) == b"hello"
        pool.close()


@pytest.mark.real
async def test_an_idle_connection_that_was_spoken_on_is_not_used() -> None:
    """Some servers send 408 before they close an idle connection; nobody asked that."""
    spoken = trio.Event()
    connections = 0

    async def handler(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        await stream.receive_some()
        await stream.send_all(PLAIN)
        if connections == 1:
            await stream.send_all(b"HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n")
            spoken.set()
        with suppress(trio.BrokenResourceError):
            await stream.receive_some()

    async with serving(handler) as origin:
        pool = Pool(origin)
        async with pool.exchange(GET) as answer:
            assert await body(answer) == b"hello"
        await spoken.wait()
        async with pool.exchange(GET) as answer:
            assert answer.status == 200
        pool.close()
    assert connections == 2


@pytest.mark.real
async def test_a_large_upload_keeps_its_connection() -> None:
    """Pictures come one after the other, too."""
    connections = 0

    async def handler(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        while True:
            got = await stream.receive_some()
            if not got:
                return
            if got.endswith(b"!"):
                await stream.send_all(PLAIN)

    request = attrs.evolve(UPLOAD, body=LONG[1:] + b"!")
    async with serving(handler) as origin:
        pool = Pool(origin)
        for _ in range(5):
            async with pool.exchange(request) as answer:
                assert await body(answer) == b"hello"
        pool.close()
    assert connections == 1


@pytest.mark.real
async def test_a_refused_upload_over_a_socket_tells_why() -> None:
    """The server closes with unread bytes, which resets the connection behind its answer."""

    async def handler(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        await stream.send_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await stream.aclose()

    async with serving(handler) as origin:
        pool = Pool(origin)
        for _ in range(20):
            async with pool.exchange(UPLOAD) as answer:
                assert answer.status == 413
                assert await body(answer) == b"big"
        pool.close()


@pytest.mark.real
async def test_a_model_notices_a_cancelled_stream() -> None:
    """This, and nothing else, stops it generating."""
    noticed = trio.Event()

    async def handler(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(STREAM + CHUNK)
        assert await stream.receive_some() == b""
        noticed.set()

    async with serving(handler) as origin:
        with trio.CancelScope() as hanging_up:
            async with Pool(origin).exchange(GET) as answer:
                assert await answer.read() == b"hello"
                hanging_up.cancel()
                await answer.read()
        await noticed.wait()
