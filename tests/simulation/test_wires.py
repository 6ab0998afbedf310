"""Pretend connections, held to what real ones do."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from swapd.wire.line import Line, shut, stale
from tests.simulation.wires import ROOM, End, wire

Pair = tuple[End | Line, End | Line]

# More than any buffers between two ends hold.
FLOOD = bytes(8 * 1024 * 1024)


@asynccontextmanager
async def connected(kind: str) -> AsyncIterator[Pair]:
    """Connect two ends."""
    if kind == "pretend":
        yield wire("left", "right")
        return
    with socket.create_server(("127.0.0.1", 0)) as server:
        left = Line(socket.create_connection(server.getsockname()))
        right = Line(server.accept()[0])
        try:
            yield left, right
        finally:
            left.close()
            right.close()


BOTH = pytest.mark.parametrize("kind", ["pretend", pytest.param("real", marks=pytest.mark.real)])


@BOTH
async def test_bytes_arrive_in_their_order_and_then_the_end(kind):
    """Whatever was sent before a closing is still there to be read."""
    async with connected(kind) as (left, right):
        await left.send_all(b"one ")
        await left.send_all(b"two")
        left.close()
        received = b""
        while data := await right.receive_some():
            received += data
        assert received == b"one two"
        assert await right.receive_some() == b""


@BOTH
async def test_closing_with_something_unread_resets(kind):
    """The other side must not take it for an end."""
    async with connected(kind) as (left, right):
        await right.send_all(b"unread")
        while not left.readable():
            await trio.lowlevel.checkpoint()
        left.close()
        with pytest.raises(trio.BrokenResourceError):
            await right.receive_some()


@BOTH
async def test_who_does_not_read_holds_up_who_sends(kind):
    """Without that nobody would ever stall."""
    async with connected(kind) as (left, right):
        with trio.move_on_after(0.2) as patience:
            await left.send_all(FLOOD)
        assert patience.cancelled_caught
        taken = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(left.send_all, b"and on")
            while taken < ROOM:
                taken += len(await right.receive_some())
            nursery.cancel_scope.cancel()


@BOTH
async def test_closing_wakes_whoever_waits(kind):
    """A read of our own, and one at the other end."""
    async with connected(kind) as (left, right):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def read_here() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await left.receive_some()

            @nursery.start_soon
            async def read_there() -> None:
                assert await right.receive_some() == b""

            await trio.testing.wait_all_tasks_blocked()
            shut(left)
        with pytest.raises(trio.ClosedResourceError):
            await left.send_all(b"x")


@BOTH
async def test_an_idle_end_tells_whether_there_is_something_to_read(kind):
    """That is how a stale connection is known."""
    async with connected(kind) as (left, right):
        assert not left.readable()
        right.close()
        while not left.readable():
            await trio.lowlevel.checkpoint()


async def test_a_pretend_end_is_taken_for_stale_like_a_real_one():
    """Else a pool would try each dead connection, as it does not in the world."""
    left, right = wire("left", "right")
    assert not stale(left)
    right.close()
    assert stale(left)
