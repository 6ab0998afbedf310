"""How long things take: averages, the longest of late, and what is not known."""

import pytest

from swapd.ids import ModelId
from swapd.schedule.measures import NEWEST, Average, Measured, Measures, Total

A, B = ModelId("a"), ModelId("b")


def test_the_first_figure_is_all_that_is_known():
    """An average that starts at 0 would promise too much for a long while."""
    known = Measures()
    known.of(A).loaded(12.0)
    assert known.of(A).load == Average(12.0, 12.0)
    assert known.load(A) == 12.0


def test_an_average_moves_towards_the_newest():
    """A model that was moved to a faster disk is known to be faster after some loads."""
    average = Average(10.0, 10.0)
    average.add(20.0)
    assert average.mean == pytest.approx(10.0 + 10.0 * NEWEST)
    for _ in range(100):
        average.add(4.0)
    assert average.mean == pytest.approx(4.0)


def test_the_longest_is_at_once_the_longest_and_is_forgotten_slowly():
    """A bound that was exceeded once is none; one of last month neither."""
    average = Average(10.0, 10.0)
    average.add(30.0)
    assert average.longest == 30.0
    average.add(10.0)
    assert average.longest == pytest.approx(26.0)
    for _ in range(100):
        average.add(10.0)
    assert average.longest == pytest.approx(10.0)


def test_the_longest_is_never_below_the_mean():
    """Whatever comes, in whatever order."""
    average = Average(5.0, 5.0)
    for seconds in (1.0, 9.0, 2.0, 2.0, 40.0, 0.0, 0.0, 0.0, 7.0):
        average.add(seconds)
        assert average.longest >= average.mean
        assert average.longest >= seconds


def test_a_total_is_not_known_as_soon_as_one_part_is_not():
    """A number that leaves something out would be taken for the whole."""
    total = Total()
    total.add(2.0)
    total.add(3.5)
    assert total.seconds == 5.5
    total.add(None)
    total.add(1.0)
    assert total.seconds is None


def test_a_switch_is_a_load_and_a_stop():
    """A stop is known only after the first turn; a load is the greater part."""
    known = Measures()
    assert known.switch(A) is None
    known.of(A).stopped(2.0)
    assert known.switch(A) is None
    known.of(A).loaded(10.0)
    assert known.switch(A) == 12.0
    known.of(B).loaded(10.0)
    assert known.switch(B) == 10.0


def test_the_longest_turn_is_everything_at_its_longest():
    """Load, turn, drain and stop; no bound is told from what has not been seen."""
    known = Measures()
    for count, finish in enumerate([Measured.loaded, Measured.served, Measured.stopped], start=1):
        finish(known.of(A), 10.0**count)
        finish(known.of(A), 1.0)
        if count == 1:
            assert known.longest_turn(A, 5.0) is None
    rest = known.of(A)
    assert rest.load
    assert rest.service
    assert rest.stop
    longest = rest.load.longest + rest.service.longest + rest.stop.longest
    assert known.longest_turn(A, 5.0) == longest + 5.0
    known.of(B).loaded(1.0)
    known.of(B).served(2.0)
    assert known.longest_turn(B, 30.0) == 33.0


def test_nothing_is_known_at_first():
    """And to ask is not to know."""
    known = Measures()
    assert (known.load(A), known.stop(A), known.service(A)) == (None, None, None)
    assert known.longest_turn(A, 1.0) is None
    assert known.changed == 0
