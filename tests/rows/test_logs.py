"""Rows O1 to O8, L001 to L026 and G1 to G5: histories of logs, and those who follow them.

What goes over HTTP (G1 to G4, L017, L018) stands in `tests/manage/test_logs.py`, and L019 to L022
with the access log. For llama-swap's ring of items (L023 to L026) we have Python's deque.
"""

import logging
import time
from datetime import datetime

import pytest
import trio

from swapd.config.kinds import LogLevel, LogTarget
from swapd.config.settings import Settings
from swapd.ids import ModelId
from swapd.watch.logs import Logs
from swapd.watch.monitor import Monitor
from swapd.watch.ring import Ring


async def test_o1_l001_all_who_follow_get_all_and_so_does_the_history():
    """Two viewers are one as good as the other."""
    log = Monitor()
    with log.follow() as one, log.follow() as two:
        for piece in (b"1", b"2", b"3"):
            log.write(piece)
        assert log.history() == b"123"
        assert await one.receive() == await two.receive() == b"123"


def test_o2_l002_what_was_written_stays_what_it_was():
    """A reader's buffer is used again for the next read."""
    log = Monitor()
    with log.follow() as follower:
        buffer = bytearray(b"hello")
        log.write(buffer)
        buffer[:] = b"other"
        assert (log.history(), follower.take()) == (b"hello", b"hello")


def test_o3_l003_the_time_stands_first():
    """In the form that was asked for."""
    logs = Logs(LogTarget.NONE)
    logs.adopt(Settings(log_time_format="RFC3339"))
    logger = logging.Logger("test", logging.DEBUG)
    logger.addHandler(logs.handler)
    logger.info("hello")
    at, rest = logs.proxy.history().decode().split(" ", 1)
    assert abs(datetime.fromisoformat(at).timestamp() - time.time()) < 60
    assert rest == "[INFO] hello\n"


@pytest.mark.parametrize(
    ("writes", "history"),
    [
        pytest.param([b"hello"], b"hello", id="O4-L004-one"),
        pytest.param([b"hello", b"world"], b"helloworld", id="O4-L004-two"),
        pytest.param([b"hello", b"world", b"12345"], b"world12345", id="O4-L004-three"),
        pytest.param([b"hello", b"abcdefghijklmnop"], b"ghijklmnop", id="O4-L004-long"),
        pytest.param([], b"", id="L005"),
        pytest.param([b"1234567890"], b"1234567890", id="O5-L006-once"),
        pytest.param([b"12345", b"67890"], b"1234567890", id="O5-L006-twice"),
        pytest.param([b""], b"", id="L012"),
    ],
)
def test_a_ring_of_ten(writes, history):
    """The newest bytes, to the letter."""
    ring = Ring(10)
    for data in writes:
        ring.write(data)
    assert ring.history() == history


def test_o6_o7_l007_to_l009_a_cleared_log_begins_anew():
    """Nothing before the first write, nothing after clearing, and only the new after that."""
    log = Monitor()
    assert log.history() == b""
    log.write(b"first")
    assert log.history() == b"first"
    log.clear()
    assert log.history() == b""
    log.write(b"second")
    assert log.history() == b"second"


async def test_o8_l010_a_stalled_viewer_stops_nobody_and_sees_what_it_missed():
    """A model whose output is not taken stands still."""
    log = Monitor()
    with log.follow() as follower:
        began = time.perf_counter()
        for _ in range(4000):
            log.write(b"x")
        assert time.perf_counter() - began < 5
        got = await follower.receive()
    gap, rest = got.decode().removeprefix("\n— ").split(" bytes dropped —\n")
    assert int(gap) + len(rest) == 4000


def test_l011_what_is_below_the_level_is_not_written():
    """Not even into the history."""
    logs = Logs(LogTarget.PROXY)
    logs.adopt(Settings(log_level=LogLevel.INFO))
    logger = logging.Logger("test", logging.DEBUG)
    logger.addHandler(logs.handler)
    logger.debug("hidden")
    assert logs.proxy.history() == b""


async def test_l012_a_write_of_nothing_wakes_nobody(autojump_clock):
    """Nobody takes it for the end."""
    log = Monitor()
    with log.follow() as follower:
        log.write(b"")
        with trio.move_on_after(1) as patience:
            await follower.receive()
        assert patience.cancelled_caught
        assert log.history() == b""


def test_l013_a_write_longer_than_the_history_is_its_end():
    """The last 102,400 bytes."""
    log = Monitor()
    log.write(b"a" * 100_000 + b"b" * 100_000)
    assert log.history() == b"a" * 2_400 + b"b" * 100_000


@pytest.mark.parametrize(
    ("target", "combined"),
    [
        pytest.param(LogTarget.PROXY, b"[INFO] proxy\n", id="G5-L014"),
        pytest.param(LogTarget.UPSTREAM, b"upstream\n", id="G5-upstream"),
        pytest.param(LogTarget.BOTH, b"[INFO] proxy\nupstream\n", id="G5-L015"),
        pytest.param(LogTarget.NONE, b"", id="G5-L016"),
    ],
)
def test_what_goes_to_standard_output_is_what_was_asked_for(target, combined):
    """And the other logs have theirs all the same."""
    out: list[object] = []
    logs = Logs(target, out=out.append)
    logger = logging.Logger("test", logging.DEBUG)
    logger.addHandler(logs.handler)
    logger.info("proxy")
    logs.run_output(ModelId("a")).write(b"upstream\n")
    assert logs.combined.history() == combined
    assert logs.proxy.history() == b"[INFO] proxy\n"
    assert logs.upstream.history() == logs.of(ModelId("a")).history() == b"upstream\n"
    assert bool(out) == bool(combined)
