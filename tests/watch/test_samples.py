"""Plain values, and how figures become them."""

from datetime import UTC, datetime

import pytest

from swapd.watch.samples import mebibytes, moment, percent


@pytest.mark.parametrize("time", [0.0, 1795466804.6764998, 1795466804.0005, 4102444799.999])
def test_a_moment_is_the_same_after_it_was_written_and_read(time):
    """Who asks for what came after the last sample must not get that one again."""
    written = datetime.fromtimestamp(moment(time), UTC).isoformat(timespec="milliseconds")
    assert datetime.fromisoformat(written).timestamp() == moment(time)


@pytest.mark.parametrize(
    ("part", "whole", "share"), [(1, 4, 25.0), (0, 0, 0.0), (1, 0, 0.0), (5, 4, 100.0)]
)
def test_a_share_is_never_more_than_all(part, whole, share):
    """Counters that are read one after the other may say so."""
    assert percent(part, whole) == share


def test_sizes_are_cut_to_whole_mebibytes():
    """As in llama-swap."""
    assert [mebibytes(size) for size in (0, 2**20 - 1, 2**20, 3 * 2**20 - 1)] == [0, 0, 1, 2]
