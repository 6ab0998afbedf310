"""How speeds are distributed; llama-swap's own values are in tests/rows/test_activity.py."""

from hypothesis import given
from hypothesis import strategies as st

from swapd.watch.histogram import Histogram

SPEEDS = st.lists(st.floats(min_value=5e-324, max_value=1e300), min_size=1, max_size=200)


def test_nothing_has_no_distribution():
    """A page draws nothing then."""
    assert Histogram.of([]) is None


@given(SPEEDS)
def test_every_value_is_in_a_bin(speeds):
    """Whatever the speeds are: absurdly far apart, or so near that no bin is between them."""
    histogram = Histogram.of(sorted(speeds))
    assert histogram is not None
    assert sum(histogram.bins) == len(speeds)
    assert histogram.min <= histogram.p50 <= histogram.max * (1 + 1e-9)
