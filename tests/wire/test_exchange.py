"""One request, one answer: framing, cuts, garbage, and answers that come too early."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from swapd.config.settings import Origin
from swapd.wire.exchange import (
    MAX_HEAD,
    SMALL_BODY,
    Answer,
    Request,
    UploadLost,
    UpstreamCut,
    UpstreamGone,
    UpstreamSilent,
)
from swapd.wire.pool import Pool

ORIGIN = Origin("http", "127.0.0.1", 5801)
GET = Request("GET", b"/health", [(b"Host", b"h")], b"")
LONG = b"x" * 4 * SMALL_BODY + b"!"
UPLOAD = Request("POST", b"/", [(b"Content-Length", b"%d" % len(LONG))], LONG)

PLAIN = (
    b"HTTP/1.1 200 OK\r\nX-Empty:\r\nContent-LENGTH:  5 \r\nx-Twice: 1\r\nX-twice: 2\r\n\r\nhello"
)
CHUNKED = (
    b"HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\nTrailer: X-Sum\r\n\r\n"
    b"3;ext=1\r\nhel\r\n002\r\nlo\r\n0\r\nX-Sum: 7\r\nX-Empty:\r\n\r\n"
)
CLOSING = b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\nhello"
EARLY = (
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello"
)
NOTHING = b"HTTP/1.1 204 No Content\r\nServer: a\r\n\r\n"
UNCHANGED = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello"
TORN = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n4\r\nwor"
SPOILT = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n"
BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"
REFUSAL = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"
SURPLUS = PLAIN + b"HTTP/1.1 200 OK\r\nX-Other: 1\r\n\r\n"


Line = trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]


@attrs.define
class Outcome:
    """What came of one exchange."""

    status: int = 0
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes = b""
    wrong: type[Exception] | None = None
    reusable: bool = False


async def outcome(*pieces: bytes, method: str = "GET") -> Outcome:
    """Let a server answer in exactly these pieces and close; tell what the client makes of it."""
    ours, theirs = lockstep_stream_pair()
    answer = Answer(ours, ORIGIN, head_only=method == "HEAD")
    result = Outcome()

    async def serve() -> None:
        await theirs.receive_some()
        for piece in pieces:
            await theirs.send_all(piece)
        await theirs.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.relative_deadline = 5
        nursery.start_soon(serve)
        await answer.send(attrs.evolve(GET, method=method))
        try:
            await answer.head()
            result.status, result.headers = answer.status, answer.headers
            while piece := await answer.read():
                result.body += piece
            assert await answer.read() == b""
        except (UpstreamGone, UpstreamCut) as wrong:
            result.wrong = type(wrong)
        result.reusable = answer.reusable
        nursery.cancel_scope.cancel()
    return result


async def early(*answers: bytes, upload: bool) -> tuple[Answer, bytes]:
    """Let a server answer after the first bytes of an upload, and then take the rest or not."""
    ours, theirs = lockstep_stream_pair()
    answer = Answer(ours, ORIGIN, head_only=False)

    async def serve() -> None:
        await theirs.receive_some(100)
        await theirs.send_all(answers[0])
        while upload and not (await theirs.receive_some()).endswith(b"!"):
            pass
        await theirs.send_all(b"".join(answers[1:]))

    body = b""
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            await answer.send(UPLOAD)
            await answer.head()
            while piece := await answer.read():
                body += piece
            nursery.cancel_scope.cancel()
    return answer, body


@pytest.mark.parametrize(
    ("answer", "method", "expected"),
    [
        (
            PLAIN,
            "GET",
            Outcome(
                200,
                [
                    (b"X-Empty", b""),
                    (b"Content-LENGTH", b"5"),
                    (b"x-Twice", b"1"),
                    (b"X-twice", b"2"),
                ],
                b"hello",
                reusable=True,
            ),
        ),
        (
            CHUNKED,
            "POST",
            Outcome(
                200,
                [(b"Transfer-Encoding", b"Chunked"), (b"Trailer", b"X-Sum")],
                b"hello",
                reusable=True,
            ),
        ),
        (CLOSING, "GET", Outcome(200, [(b"Server", b"old")], b"hello")),
        (EARLY, "GET", Outcome(201, [(b"Content-Length", b"5")], b"hello", reusable=True)),
        (NOTHING, "GET", Outcome(204, [(b"Server", b"a")], b"", reusable=True)),
        (UNCHANGED, "GET", Outcome(304, [(b"Content-Length", b"99")], b"", reusable=True)),
        (SHORT, "GET", Outcome(200, [(b"Content-Length", b"6")], b"hello", UpstreamCut)),
        (
            TORN,
            "GET",
            Outcome(200, [(b"Transfer-Encoding", b"chunked")], b"hellowor", UpstreamCut),
        ),
        (SPOILT, "GET", Outcome(200, [(b"Transfer-Encoding", b"chunked")], b"hello", UpstreamCut)),
    ],
)
async def test_an_answer_reads_the_same_however_it_is_cut(
    answer: bytes, method: str, expected: Outcome
) -> None:
    """The network may end a piece at any byte, and only there do parsers' mistakes show."""
    for at in range(1, len(answer)):
        assert await outcome(answer[:at], answer[at:], method=method) == expected, at
    assert await outcome(answer, method=method) == expected
    assert await outcome(*[answer[i : i + 1] for i in range(len(answer))]) == expected


async def test_an_answer_to_head_has_no_body() -> None:
    """Its length is that of the body a GET would get; waiting for it would be for ever."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    expected = Outcome(200, [(b"Content-Length", b"5")], reusable=True)
    assert await outcome(head, method="HEAD") == expected
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert (await outcome(chunked, method="HEAD")).reusable


async def test_a_body_that_head_should_not_have_spoils_the_connection() -> None:
    """The rest of it would be taken for the next answer."""
    surprise = await outcome(PLAIN, method="HEAD")
    assert (surprise.status, surprise.body, surprise.reusable) == (200, b"", False)


@pytest.mark.parametrize("more", [SURPLUS, PLAIN + b"x", PLAIN + b"HTTP/1.1 2"])
async def test_bytes_after_an_answer_spoil_the_connection(more: bytes) -> None:
    """They belong to nobody; the next request must not get them."""
    expected = attrs.evolve(await outcome(PLAIN), reusable=False)
    assert await outcome(more) == expected


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n\r\nok",
    ],
)
async def test_a_connection_that_will_close_is_not_reusable(answer: bytes) -> None:
    """The server said so, or said nothing that ends the body."""
    closing = await outcome(answer)
    assert (closing.body, closing.wrong, closing.reusable) == (b"ok", None, False)


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 099 What\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
async def test_what_is_no_clear_answer_is_none(garbage: bytes) -> None:
    """Guessing at a framing is how one client's answer reaches another."""
    assert await outcome(garbage) == Outcome(wrong=UpstreamGone)


async def test_silence_is_told_from_garbage() -> None:
    """Only a connection that said nothing at all is safe to be tried again."""
    assert await outcome() == Outcome(wrong=UpstreamSilent)


async def babble(start: bytes, line: bytes) -> Answer:
    """Read the answer of a server that never stops."""
    ours, theirs = lockstep_stream_pair()
    answer = Answer(ours, ORIGIN, head_only=False)

    async def serve() -> None:
        await theirs.receive_some()
        await theirs.send_all(start)
        while True:
            await theirs.send_all(line * (MAX_HEAD // 16 // len(line)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await answer.send(GET)
        try:
            await answer.head()
            await answer.read()
        finally:
            nursery.cancel_scope.cancel()
    return answer


async def test_a_head_without_an_end_is_given_up() -> None:
    """A stranger on a model's port must not fill our memory."""
    with pytest.RaisesGroup(pytest.RaisesExc(UpstreamGone, match="nothing of an answer")):
        await babble(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n")
    with pytest.RaisesGroup(pytest.RaisesExc(UpstreamGone, match="nothing of an answer")):
        await babble(b"", b"HTTP/1.1 100 Continue\r\n\r\n")


async def test_trailers_without_an_end_are_given_up() -> None:
    """Nobody reads them, so nobody would notice."""
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    with pytest.RaisesGroup(UpstreamCut):
        await babble(start, b"X-More: and more\r\n")


async def test_a_long_stream_of_small_chunks_is_no_babble() -> None:
    """What counts is what came since the last piece, not since the beginning."""
    ours, theirs = memory_stream_pair()
    answer = Answer(ours, ORIGIN, head_only=False)
    await answer.send(GET)
    await theirs.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await answer.head()
    wide = b"4;" + b"e" * (MAX_HEAD // 4) + b"\r\n"
    for _ in range(6):
        await theirs.send_all(wide)
        await theirs.send_all(b"word\r\n")
        assert await answer.read() == b"word"


async def test_a_small_request_is_one_send() -> None:
    """Two would be two packets, two wake-ups of the model, and twice the cost."""
    ours, _ = memory_stream_pair()
    sends = 0

    async def count() -> None:
        nonlocal sends
        sends += 1

    ours.send_stream.send_all_hook = count
    await Answer(ours, ORIGIN, head_only=False).send(
        Request("POST", b"/", [(b"Content-Length", b"1000")], b"x" * 1000)
    )
    assert sends == 1


async def test_what_one_receive_brought_is_one_piece() -> None:
    """Each piece costs a way through the server in front, however small it is."""
    ours, theirs = memory_stream_pair()
    answer = Answer(ours, ORIGIN, head_only=False)
    await theirs.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await theirs.send_all(b"1\r\na\r\n2\r\nbc\r\n1\r\nd\r\n")
    await answer.head()
    assert await answer.read() == b"abcd"
    await theirs.send_all(b"1\r\ne\r\n0\r\n\r\n")
    assert await answer.read() == b"e"
    assert answer.complete
    assert await answer.read() == b""


async def test_an_answer_names_its_server_and_its_fault() -> None:
    """The text is all that an operator gets."""
    ours, theirs = memory_stream_pair()
    answer = Answer(ours, ORIGIN, head_only=False)
    theirs.send_stream.close()
    with pytest.raises(
        UpstreamGone, match=r"^cannot get an answer from http://127.0.0.1:5801: it closed"
    ):
        await answer.head()
    assert repr(answer) == "<Answer 0 of http://127.0.0.1:5801>"


async def test_a_large_body_arrives_whole() -> None:
    """An image, or a recording, takes another way than a chat does."""
    answer, body = await early(b"", PLAIN, upload=True)
    assert (answer.status, body) == (200, b"hello")


async def test_a_refusal_during_the_upload_is_delivered() -> None:
    """The model says why it will not take 100 MB, and stops reading; nobody must wait for it."""
    answer, body = await early(REFUSAL, upload=False)
    assert (answer.status, body, answer.reusable) == (413, b"big", False)


async def test_an_answer_that_needs_no_upload_ends_it() -> None:
    """A server that ignores bodies is done, whatever of this one it has read."""
    answer, body = await early(PLAIN, upload=False)
    assert (answer.status, body, answer.reusable) == (200, b"hello", False)


async def test_an_answer_that_begins_during_the_upload_does_not_end_it() -> None:
    """It may depend on the rest of the body."""
    answer, body = await early(PLAIN[:-3], PLAIN[-3:], upload=True)
    assert (answer.status, body) == (200, b"hello")


async def test_an_answer_before_a_broken_send_is_delivered() -> None:
    """A server may say 413 and close with half the body unread."""
    ours, theirs = memory_stream_pair()
    answer = Answer(ours, ORIGIN, head_only=False)
    await theirs.send_all(PLAIN)
    await theirs.aclose()
    await answer.send(GET)
    await answer.head()
    assert await answer.read() == b"hello"
    assert not answer.reusable


async def test_a_server_that_vanishes_during_the_upload_is_gone() -> None:
    """There is nothing left to send to, and no answer to wait for."""
    ours, theirs = memory_stream_pair()
    answer = Answer(ours, ORIGIN, head_only=False)
    await theirs.aclose()
    await answer.send(UPLOAD)
    with pytest.raises(UpstreamSilent):
        await answer.head()


async def test_a_broken_head_is_not_sent() -> None:
    """Nothing of a request that hides another reaches the model."""
    ours, theirs = memory_stream_pair()
    with pytest.raises(ValueError, match="cannot send"):
        await Answer(ours, ORIGIN, head_only=False).send(
            Request("GET", b"/", [(b"A", b"1\r\n\r\nGET /other HTTP/1.1")], b"")
        )
    ours.send_stream.close()
    assert await theirs.receive_some() == b""


class Piece(bytes):
    """A piece that counts how many of its kind are in memory."""

    alive = 0

    def __new__(cls, content: bytes) -> "Piece":
        """Count one more."""
        cls.alive += 1
        return super().__new__(cls, content)

    def __del__(self) -> None:
        type(self).alive -= 1


@attrs.define
class Spool:
    """A body on a pretended disk, with whatever may happen to it there."""

    content: bytes
    step: int = 1000
    size: int = attrs.field()
    breaks_at: int | None = None
    sticks_at: int | None = None
    most: int = 0
    """How many pieces were in memory at a time."""

    @size.default
    def _whole(self) -> int:
        return len(self.content)

    async def piece(self, at: int) -> bytes:
        """Read, as from a file that others may write to."""
        await trio.lowlevel.checkpoint()
        if at == self.breaks_at:
            raise OSError(5, "Input/output error")
        if at == self.sticks_at:
            await trio.sleep_forever()
        piece = Piece(self.content[at : at + self.step])
        self.most = max(self.most, Piece.alive)
        return piece


class Model:
    """A model's server whose connections read all that comes, and answer as they are told."""

    def __init__(self, nursery: trio.Nursery, *answers: bytes) -> None:
        self._nursery = nursery
        self._answers = list(answers)
        self.received: list[bytes] = []
        """By connection; one that has been hung up ends with "(end)"."""

    async def connect(self, origin: Origin) -> trio.abc.Stream:
        """Open one more connection."""
        assert origin == ORIGIN
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self._serve, theirs, len(self.received))
        self.received.append(b"")
        return ours

    async def _serve(self, line: Line, number: int) -> None:
        while piece := await line.receive_some():
            self.received[number] += piece
            if self.received[number].endswith((b"!!", b"GET / HTTP/1.1\r\n\r\n")):
                answer = self._answers.pop(0)
                if not answer:
                    await line.aclose()
                    return
                await line.send_all(answer)
        self.received[number] += b"(end)"


@asynccontextmanager
async def model(*answers: bytes) -> AsyncIterator[tuple[Model, Pool]]:
    """Serve as long as the block lasts."""
    async with trio.open_nursery() as nursery:
        there = Model(nursery, *answers)
        yield there, Pool(ORIGIN, connect=there.connect)
        nursery.cancel_scope.cancel()


def upload(source: Spool) -> Request:
    """Ask for something to be done with it."""
    return Request("POST", b"/", [(b"Content-Length", b"%d" % source.size)], source)


def sent(source: Spool) -> bytes:
    """Tell what goes over the wire."""
    return b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % source.size + source.content


async def begun() -> tuple[Pool, Line]:
    """Make a pool whose model begins its answer before it has read anything."""
    ours, theirs = memory_stream_pair()
    await theirs.send_all(BEGUN)

    async def connect(origin: Origin) -> trio.abc.Stream:
        return ours

    return Pool(ORIGIN, connect=connect), theirs


async def rest(line: Line) -> bytes:
    """Take what was sent on a connection that has been hung up."""
    whole = b""
    with trio.fail_after(5):
        while piece := await line.receive_some():
            whole += piece
    return whole


@pytest.mark.parametrize("step", [1, 7, 999, 1000, 5000])
async def test_a_body_from_a_source_arrives_whole_and_in_order(step: int) -> None:
    """How its bytes lie on the disk is nothing to the model."""
    source = Spool(bytes(range(256)) * 3 + b"!!", step)
    async with model(PLAIN) as (there, pool):
        async with pool.exchange(upload(source)) as answer:
            assert await answer.read() == b"hello"
        assert there.received == [sent(source)]
        assert repr(pool).endswith("1 idle>")


async def test_an_empty_source_is_asked_for_nothing() -> None:
    """An end is only an end where something was expected."""
    ours, theirs = memory_stream_pair()
    source = Spool(b"", breaks_at=0)
    await Answer(ours, ORIGIN, head_only=False).send(upload(source))
    assert await theirs.receive_some() == sent(source)


async def test_one_piece_at_a_time_is_in_memory() -> None:
    """A recording of a gigabyte is on the disk so that it need not be here."""
    source = Spool(b"x" * 20_000 + b"!!")
    async with model(PLAIN) as (_, pool), pool.exchange(upload(source)) as answer:
        assert answer.status == 200
    assert source.most == 1
    assert Piece.alive == 0


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (Spool(b"x" * 2500, breaks_at=2000), "input/output error"),
        (Spool(b"x" * 2500, breaks_at=0), "input/output error"),
        (Spool(b"x" * 2500, size=2501), "it no longer has the 2501 bytes that were announced"),
        (Spool(b"x" * 2500, size=2499), "it no longer has the 2499 bytes that were announced"),
    ],
)
async def test_a_body_that_is_lost_ends_its_connection(source: Spool, why: str) -> None:
    """The model can never take a part for the whole, nor the rest for another request."""
    async with model() as (there, pool):
        with pytest.raises(UploadLost) as lost:
            await pool.exchange(upload(source)).__aenter__()
        assert str(lost.value) == f"cannot send the body to {ORIGIN}: {why}"
        assert repr(pool).endswith("0 idle>")
        await wait_all_tasks_blocked()
        [received] = there.received
        assert received.endswith(b"(end)")
        head, _, body = received.removesuffix(b"(end)").partition(b"\r\n\r\n")
        assert head.endswith(b"Content-Length: %d" % source.size)
        assert len(body) < source.size


async def test_an_answer_that_has_begun_saves_no_lost_upload() -> None:
    """Its head is there already; the connection must be closed all the same."""
    pool, theirs = await begun()
    source = Spool(b"x" * 2500, breaks_at=2000)
    with pytest.raises(UploadLost):
        await pool.exchange(upload(source)).__aenter__()
    assert await rest(theirs) == sent(source)[:-500]


async def test_an_answer_that_has_begun_saves_no_cancelled_upload() -> None:
    """The client hung up in the middle; nobody else would ever close that connection."""
    pool, theirs = await begun()
    source = Spool(b"x" * 2500, sticks_at=2000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.exchange(upload(source)).__aenter__)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert await rest(theirs) == sent(source)[:-500]


async def test_a_source_is_read_from_its_start_for_a_fresh_connection() -> None:
    """The model had closed the old one, and what it read of the body is lost with it."""
    source = Spool(b"x" * 2500 + b"!!")
    async with model(PLAIN, b"", PLAIN) as (there, pool):
        async with pool.exchange(Request("GET", b"/", [], b"")):
            pass
        async with pool.exchange(upload(source)) as answer:
            assert await answer.read() == b"hello"
        assert [received.endswith(sent(source)) for received in there.received] == [True, True]


async def test_a_refusal_stops_a_source() -> None:
    """Nobody reads on from a disk, or waits for one, what the model does not want."""
    ours, theirs = lockstep_stream_pair()
    answer = Answer(ours, ORIGIN, head_only=False)

    async def refuse() -> None:
        await theirs.receive_some()
        await theirs.send_all(REFUSAL)

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse)
            await answer.send(upload(Spool(b"x" * 2500, sticks_at=0)))
    assert (answer.status, await answer.read(), answer.reusable) == (413, b"big", False)
