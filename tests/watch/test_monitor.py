"""One log, its history, and those who follow it."""

import time

from swapd.watch.monitor import Monitor
from swapd.watch.ring import CAPACITY


def test_what_is_written_goes_downstream_as_well():
    """One model's log is part of all models', and that may be part of standard output's."""
    combined = Monitor()
    upstream = Monitor(combined)
    one, other = Monitor(upstream), Monitor(upstream)
    one.write(b"1")
    other.write(b"2")
    assert (one.history(), other.history()) == (b"1", b"2")
    assert upstream.history() == combined.history() == b"12"


def test_history_and_news_meet_without_a_gap():
    """Who takes the history right after it began to follow has each byte once."""
    log = Monitor()
    log.write(b"old ")
    with log.follow() as follower:
        history = log.history()
        log.write(b"new")
        assert history + follower.take() == b"old new"


def test_leaving_ends_the_following():
    """Nothing is put aside for somebody who is gone."""
    log = Monitor()
    with log.follow() as follower, log.follow():
        assert log.followers == 2
    assert log.followers == 0
    log.write(b"x")
    assert follower.take() == b""


def test_a_closed_log_ends_those_who_come_later_too():
    """A client that comes while the daemon stops must not hold it up."""
    log = Monitor()
    log.close()
    log.write(b"still kept")
    with log.follow() as follower:
        assert follower._closed
    assert log.history() == b"still kept"


async def test_a_flood_with_an_idle_follower_stays_bounded_and_quick():
    """Row O8 at the speed of a model that writes 100 MB: its pipe must be emptied in time."""
    log = Monitor(Monitor(Monitor()))
    with log.follow() as follower:
        piece = b"x" * 65536
        began = time.perf_counter()
        for _ in range(1600):
            log.write(piece)
        assert time.perf_counter() - began < 5
        assert len(log.history()) == CAPACITY
        assert b"bytes dropped" in await follower.receive()
