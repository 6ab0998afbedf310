"""One client's connection: reading ahead, noticing the end, and patience with readers."""

import pytest
import trio
from trio.testing import (
    lockstep_stream_pair,
    memory_stream_pair,
    wait_all_tasks_blocked,
)

from swapd.front.connection import READ_AHEAD, STALLED_READER, Client
from tests.fakes import SocketLike


def connect(nursery: trio.Nursery, *, stalling: bool = False) -> tuple[trio.abc.Stream, Client]:
    ours, theirs = lockstep_stream_pair() if stalling else memory_stream_pair()
    stream = SocketLike(theirs)
    client = Client(stream, stream.socket)  # type: ignore[arg-type]
    nursery.start_soon(client.read_ahead)
    return ours, client


async def test_what_comes_in_is_handed_on(nursery, autojump_clock):
    """hypercorn sees an ordinary stream, in pieces no larger than it asks for."""
    theirs, client = connect(nursery)
    await theirs.send_all(b"hello")
    assert await client.receive_some(2) == b"he"
    assert await client.receive_some() == b"llo"
    await theirs.send_all(b"again")
    assert await client.receive_some(65536) == b"again"


async def test_a_hang_up_is_noticed_while_nobody_reads(autojump_clock):
    """Even behind bytes that hypercorn has not taken."""
    async with trio.open_nursery() as nursery:
        theirs, _client = connect(nursery)
        await theirs.send_all(b"\r\n")
        await wait_all_tasks_blocked()
        assert nursery.child_tasks
        await trio.aclose_forcefully(theirs)
        await wait_all_tasks_blocked()
        assert not nursery.child_tasks


async def test_reading_ahead_is_bounded(nursery, autojump_clock):
    """An upload nobody takes stays where it is: with the client."""
    theirs, client = connect(nursery, stalling=True)
    sent = 0

    async def upload() -> None:
        nonlocal sent
        while True:
            await theirs.send_all(b"x" * 16384)
            sent += 16384

    nursery.start_soon(upload)
    await wait_all_tasks_blocked()
    assert READ_AHEAD <= sent <= 2 * READ_AHEAD
    taken = 0
    while taken < 10 * READ_AHEAD:
        taken += len(await client.receive_some())
    assert sent >= taken - READ_AHEAD


async def test_a_reader_that_stalls_breaks_the_connection(nursery, autojump_clock):
    """hypercorn shields its writes; only the stream itself can end them."""
    _, client = connect(nursery, stalling=True)
    with pytest.raises(trio.BrokenResourceError):
        await client.send_all(b"x")
    assert trio.current_time() == STALLED_READER


async def test_a_slow_reader_keeps_its_connection(nursery, autojump_clock):
    """Progress counts, not the time that the whole takes."""
    theirs, client = connect(nursery, stalling=True)
    data = b"x" * 1_000_000

    async def read_slowly() -> None:
        taken = 0
        while taken < len(data):
            await trio.sleep(STALLED_READER - 1)
            taken += len(await theirs.receive_some(65536))

    nursery.start_soon(read_slowly)
    await client.send_all(data)
    assert trio.current_time() > 10 * STALLED_READER


async def test_abort_resets_instead_of_ending(nursery, autojump_clock):
    """SO_LINGER with no seconds: what follows is a reset."""
    _, client = connect(nursery)
    client.abort()
    [(_, _, value)] = client.socket.options  # type: ignore[attr-defined]
    assert value == b"\1\0\0\0\0\0\0\0"
