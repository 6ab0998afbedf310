"""The end of a log, as it is told to everybody."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.manage.frames import Frame
from swapd.manage.tails import MOST, PAUSE, Tail
from swapd.watch.monitor import Monitor


@contextmanager
def following(monitor: Monitor) -> Iterator[Tail]:
    with monitor.follow() as follower:
        yield Tail("upstream", monitor, follower)


def text(frame: Frame | None) -> str | None:
    """Take a frame apart; None is none."""
    if frame is None:
        return None
    event = json.loads(frame.data.decode().partition("\ndata:")[2])
    told = json.loads(event["data"])
    assert told["source"] == "upstream"
    return str(told["data"])


def news(tail: Tail) -> str | None:
    return text(tail.news(at_once=True))


async def test_what_was_told_as_history_is_not_told_again(autojump_clock):
    """And nothing is left out between the two, at whatever moment somebody comes."""
    monitor = Monitor()
    monitor.write(b"before\n")
    with following(monitor) as tail:
        monitor.write(b"first\n")
        assert news(tail) == "first\n"
        assert text(tail.history()) == "before\nfirst\n"
        assert text(tail.history()) == "before\nfirst\n"
        monitor.write(b"second\n")
        assert news(tail) == "second\n"
        assert text(tail.history()) == "before\nfirst\nsecond\n"
        assert news(tail) is None


async def test_a_character_that_comes_in_parts_is_told_when_it_is_whole(autojump_clock):
    """A model's server writes token by token, and a token may be half a character."""
    monitor = Monitor()
    data = "a😀b".encode()
    with following(monitor) as tail:
        told = []
        for position in range(len(data)):
            monitor.write(data[position : position + 1])
            told.append(news(tail))
            whole = "".join(piece or "" for piece in told)
            assert text(tail.history()) == whole
        assert "".join(piece or "" for piece in told) == "a😀b"


async def test_what_is_no_text_is_told_as_such(autojump_clock):
    """Some programs write in the encoding of another century."""
    monitor = Monitor()
    with following(monitor) as tail:
        monitor.write(b"gr\xf6\xdfer\n")
        assert news(tail) == "gr\ufffd\ufffder\n"
        assert text(tail.history()) == "gr\ufffd\ufffder\n"


async def test_a_flood_is_told_in_part_and_by_how_much(autojump_clock):
    """Its end is what says how it went on."""
    monitor = Monitor()
    with following(monitor) as tail:
        monitor.write("é".encode() * MOST + b"x")
        told = news(tail)
        assert told is not None
        marker, mark, rest = told.rpartition("dropped —\n")
        assert (marker + mark) == f"\n— {MOST + 1} bytes dropped —\n"
        assert rest == "é" * (MOST // 2 - 1) + "x"


async def test_what_its_follower_dropped_counts_too(autojump_clock):
    """A number that is too small would be believed."""
    monitor = Monitor()
    with following(monitor) as tail:
        for _ in range(100):
            monitor.write(b"x" * 9_999 + b"\n")
        told = news(tail)
        assert told is not None
        missing = 1_000_000 - told.count("x") - told[5:].count("\n") + 1
        assert int(told.split()[1]) == pytest.approx(missing, abs=40)
        assert told.count("dropped") == 1


async def test_who_tells_is_woken_now_and_then(nursery, autojump_clock):
    """However often something is written: nobody reads faster."""
    monitor, woken = Monitor(), list[float]()
    with following(monitor) as tail:
        nursery.start_soon(tail.run, lambda: woken.append(trio.current_time()))
        await wait_all_tasks_blocked()
        assert tail.news(at_once=False) is None
        for _ in range(100):
            monitor.write(b"x" * 10)
            await trio.sleep(0.01)
            tail.news(at_once=False)
        assert len(woken) == pytest.approx(1.0 / PAUSE, abs=2)
        assert woken[0] == 0.0
        nursery.cancel_scope.cancel()


async def test_the_end_of_a_log_ends_the_listening(nursery, autojump_clock):
    """The daemon stops."""
    monitor = Monitor()
    with following(monitor) as tail:
        monitor.close()
        await tail.run(lambda: None)
    assert monitor.followers == 0
