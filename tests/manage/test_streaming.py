"""Answers without an end: few writes for a flood, and others in between."""

from contextlib import ExitStack

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.manage.streaming import PAUSE, Audience, Stream, streamed
from swapd.watch.follower import PIECE
from swapd.watch.monitor import Monitor


async def test_a_flood_is_sent_in_few_pieces(autojump_clock):
    """Two thousand lines a second are twenty writes."""
    log = Monitor()
    live = Stream(log.follow, Audience())
    pieces = []

    async def read() -> None:
        pieces.extend([piece async for piece in live])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        for _ in range(100):
            for _ in range(20):
                log.write(b"x" * 100)
            await trio.sleep(0.01)
        log.close()
    await live.aclose()
    assert sum(map(len, pieces)) == 200_000
    assert max(map(len, pieces)) <= PIECE
    assert len(pieces) <= 1 / PAUSE + 2


async def test_many_who_follow_take_turns(autojump_clock):
    """A line that goes to a hundred must not keep a token waiting for a hundred writes."""
    log = Monitor()
    audience = Audience()
    sent = 0

    async def read(live: Stream) -> None:
        nonlocal sent
        async for _ in live:
            sent += 1

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(read, Stream(log.follow, audience))
        await wait_all_tasks_blocked()
        log.write(b"line\n")
        before = most = 0
        while sent < 100:
            await trio.lowlevel.checkpoint()
            most = max(most, sent - before)
            before = sent
        assert most <= 2
        nursery.cancel_scope.cancel()


async def test_nothing_is_followed_before_the_first_piece_or_after_the_last(autojump_clock):
    """Who asks for the head only, or has left, must not fill anybody's memory."""
    log = Monitor()
    stream = Stream(log.follow, Audience())
    assert log.followers == 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.__anext__)
        await wait_all_tasks_blocked()
        assert log.followers == 1
        log.write(b"x")
    await stream.aclose()
    assert log.followers == 0


@attrs.define
class Client:
    """As much of a connection as is needed here."""

    following: bool = False
    goodbye: ExitStack = attrs.field(factory=ExitStack)


async def test_a_place_is_given_back_with_the_connection(app, autojump_clock):
    """An answer that is never begun is never ended; a leak of places would end all following."""
    client, audience = Client(), Audience(1)
    scope = {"state": {"client": client}}
    async with app.test_request_context("/api/events", scope_base=scope):

        def come() -> int:
            return streamed(Stream(Monitor().follow, audience), {}, "text/plain").status_code

        assert (come(), come()) == (200, 503)
        assert client.following
        client.goodbye.close()
        assert (come(), come()) == (200, 503)


async def test_a_place_is_given_back_once(autojump_clock):
    """By Quart, and then by the connection; nobody else's place goes with the second."""
    audience = Audience(1)
    first, second = (Stream(Monitor().follow, audience) for _ in range(2))
    assert (audience.admit(first), audience.admit(second)) == (True, False)
    await first.aclose()
    assert audience.admit(second)
    first.leave()
    assert not audience.admit(first)
