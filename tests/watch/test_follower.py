"""What waits for somebody who reads a log: bounded, woken once, and honest about gaps."""

import time

import trio
from trio.testing import wait_all_tasks_blocked

from swapd.watch.follower import MOST, MOST_PIECES, PIECE, Follower, marker


async def test_a_sleeper_gets_all_that_came_until_it_runs(autojump_clock):
    """A thousand lines wake it once."""
    follower = Follower()
    got = []

    async def read() -> None:
        while data := await follower.receive():
            got.append(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        for number in range(1000):
            follower.put(b"%d\n" % number)
        await wait_all_tasks_blocked()
        assert got == [b"".join(b"%d\n" % number for number in range(1000))]
        follower.close()


async def test_who_is_slow_loses_the_oldest_and_sees_where():
    """The newest lines are the ones that are looked for."""
    follower = Follower()
    for number in range(10):
        follower.put(b"%d" % number * 50_000)
    assert await follower.receive() == marker(250_000) + b"5" * 50_000 + b"6" * (
        PIECE - 50_000 - len(marker(250_000))
    )
    rest = follower.take()
    assert (rest[:1], rest[-1:]) == (b"6", b"9")
    assert follower.take() == b""


async def test_a_gap_in_what_was_begun_stands_where_it_is():
    """Half of a long piece may have been read when the rest is dropped."""
    follower = Follower()
    follower.put(b"a" * (PIECE + 100))
    assert await follower.receive() == b"a" * PIECE
    follower.put(b"b" * MOST)
    assert follower.take() == marker(100) + b"b" * MOST


async def test_a_flood_that_nobody_reads_is_bounded_and_quick():
    """100 MB, and as many tiny lines as memory would be short of."""
    follower = Follower()
    piece = b"x" * 65536
    began = time.perf_counter()
    for _ in range(1600):
        follower.put(piece)
    for _ in range(100_000):
        follower.put(b"y")
    assert time.perf_counter() - began < 5
    assert len(follower._pieces) == MOST_PIECES
    assert await follower.receive() == marker(1600 * 65536 + 100_000 - MOST_PIECES) + (
        b"y" * MOST_PIECES
    )


async def test_one_piece_longer_than_all_that_may_wait_keeps_its_end():
    """It counts as bytes, like any other."""
    follower = Follower()
    follower.put(b"a" * 10 + b"b" * MOST)
    assert follower.take() == marker(10) + b"b" * MOST


async def test_the_end_comes_after_what_was_written_before_it():
    """The last lines of a daemon are worth something."""
    follower = Follower()
    follower.put(b"last words")
    follower.close()
    follower.put(b"too late")
    assert await follower.receive() == b"last words"
    assert await follower.receive() == b""
    assert await follower.receive() == b""


async def test_closing_wakes_a_sleeper(autojump_clock):
    """A stream that nothing comes through must still end."""
    follower = Follower()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(follower.receive)
        await wait_all_tasks_blocked()
        follower.close()


async def test_a_cancelled_wait_loses_nothing(autojump_clock):
    """What comes later goes to the next who waits."""
    follower = Follower()
    with trio.move_on_after(1):
        await follower.receive()
    follower.put(b"here")
    assert await follower.receive() == b"here"
