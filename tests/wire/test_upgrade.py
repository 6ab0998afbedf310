"""Answers of 101: those asked for become tunnels, all others are nobody's."""

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from swapd.config.settings import Origin
from swapd.wire.exchange import Answer, Request, UpstreamGone, UpstreamSilent
from swapd.wire.pool import Pool

ORIGIN = Origin("http", "127.0.0.1", 5801)
ASKED = Request("GET", b"/ws", [(b"Upgrade", b"websocket")], b"", upgrade=b"websocket")
GET = Request("GET", b"/ws", [(b"Host", b"h")], b"")

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\n"
TO_WEBSOCKET = SWITCH + b"Connection: keep-alive, upGRADE\r\nUpgrade: WebSocket\r\nX: 1\r\n\r\n"
HEADERS = [(b"Connection", b"keep-alive, upGRADE"), (b"Upgrade", b"WebSocket"), (b"X", b"1")]
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

Line = trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]


async def answered(*pieces: bytes, request: Request = ASKED) -> tuple[Answer, Line]:
    """Let a server answer in exactly these pieces."""
    ours, theirs = memory_stream_pair()
    answer = Answer(ours, ORIGIN, head_only=False)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            for piece in pieces:
                await wait_all_tasks_blocked()
                await theirs.send_all(piece)

        try:
            await answer.send(request)
            await answer.head()
        except UpstreamGone:
            nursery.cancel_scope.cancel()
            raise
    return answer, theirs


@pytest.mark.parametrize("before", [b"", HINTS])
@pytest.mark.parametrize("first", [b"", b"\x81\x00", b"HTTP/1.1 200 OK\r\n\r\n", b"\0" * 3000])
async def test_what_comes_with_the_head_comes_first_out_of_the_tunnel(
    first: bytes, before: bytes
) -> None:
    """A server may speak before its client has; where the packets end is the network's choice."""
    whole = before + TO_WEBSOCKET + first
    for at in range(1, min(len(whole), 400)):
        answer, theirs = await answered(whole[:at], whole[at:])
        assert (answer.status, answer.headers, answer.reusable) == (101, HEADERS, False)
        await theirs.send_all(b"more")
        await theirs.send_eof()
        out = b""
        while piece := await answer.receive():
            out += piece
        assert out == first + b"more"


async def test_a_tunnel_carries_bytes_both_ways() -> None:
    """Nothing in it is HTTP any more, whatever it looks like."""
    answer, theirs = await answered(TO_WEBSOCKET)
    await theirs.receive_some()
    await answer.send_raw(b"GET / HTTP/1.1\r\n\r\n")
    assert await theirs.receive_some() == b"GET / HTTP/1.1\r\n\r\n"
    await theirs.send_all(PLAIN)
    assert await answer.receive() == PLAIN


async def test_a_tunnel_that_breaks_ends() -> None:
    """Whoever reads is done, whoever sends is told."""
    answer, theirs = await answered(TO_WEBSOCKET + b"last")
    theirs.send_stream.close()
    theirs.receive_stream.close()
    assert await answer.receive() == b"last"
    assert await answer.receive() == b""
    with pytest.raises(trio.BrokenResourceError):
        await answer.send_raw(b"x")


async def test_a_tunnel_closed_here_ends_as_well() -> None:
    """One direction's end closes the connection under the other one."""
    async with trio.open_nursery() as nursery:
        connected: list[Line] = []

        async def connect(origin: Origin) -> trio.abc.Stream:
            ours, theirs = memory_stream_pair()
            connected.append(theirs)
            await theirs.send_all(TO_WEBSOCKET)
            return ours

        ended: list[bytes] = []

        async def read(answer: Answer) -> None:
            ended.append(await answer.receive())

        pool = Pool(ORIGIN, connect=connect)
        async with pool.exchange(ASKED) as answer:
            nursery.start_soon(read, answer)
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        assert ended == [b""]
        with pytest.raises(trio.BrokenResourceError):
            await answer.send_raw(b"x")
        assert repr(pool).endswith("0 idle>")
        while await connected[0].receive_some():
            pass


@pytest.mark.parametrize(
    "switch",
    [
        SWITCH + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        SWITCH + b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
        SWITCH + b"Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n",
        SWITCH + b"Connection: Upgrade\r\n\r\n",
        SWITCH + b"Upgrade: websocket\r\n\r\n",
        SWITCH + b"\r\n",
    ],
)
async def test_a_switch_to_anything_else_is_no_answer(switch: bytes) -> None:
    """The client and the model would speak two languages through us."""
    with pytest.RaisesGroup(pytest.RaisesExc(UpstreamGone, match="101, which nobody asked for")):
        await answered(switch + b"rest")


async def test_a_switch_that_nobody_asked_for_is_no_answer() -> None:
    """What follows it could pass for answers to others' requests."""
    with pytest.RaisesGroup(pytest.RaisesExc(UpstreamGone, match="101, which nobody asked for")):
        await answered(TO_WEBSOCKET, request=GET)


async def test_a_switch_in_the_middle_of_an_upload_is_no_answer() -> None:
    """What is left of the body would be the first words in the tunnel."""
    ours, theirs = memory_stream_pair()
    long = b"x" * 200_000
    answer = Answer(ours, ORIGIN, head_only=False)

    async def full() -> None:
        await trio.sleep_forever()

    ours.send_stream.send_all_hook = full
    await theirs.send_all(TO_WEBSOCKET)
    with trio.fail_after(5):
        await answer.send(Request("POST", b"/", [], long, upgrade=b"websocket"))
        with pytest.raises(UpstreamGone, match="101, which nobody asked for"):
            await answer.head()


@pytest.mark.parametrize("refusal", [PLAIN, b"HTTP/1.1 426 No\r\nContent-Length: 5\r\n\r\nhello"])
async def test_a_model_may_answer_in_the_ordinary_way(refusal: bytes) -> None:
    """No websocket there, or a key is missing: the client has to hear that."""
    answer, _ = await answered(refusal)
    assert answer.status in (200, 426)
    assert (await answer.read(), answer.reusable) == (b"hello", True)


async def test_a_model_that_hangs_up_has_not_switched() -> None:
    """An end is no answer here either."""
    ours, theirs = memory_stream_pair()
    answer = Answer(ours, ORIGIN, head_only=False)
    await answer.send(ASKED)
    theirs.send_stream.close()
    with pytest.raises(UpstreamSilent):
        await answer.head()
