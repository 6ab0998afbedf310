"""How speeds are distributed: bins of one width, and percentiles. Pure; the arithmetic is
llama-swap's."""

from collections.abc import Sequence
from math import ceil, floor, log2
from typing import Self

import attrs

# Fewer bins show nothing, and more are only noise.
FEWEST, MOST = 5, 20


@attrs.frozen
class Histogram:
    """The distribution of some values."""

    bins: tuple[int, ...]
    """How many values there are in each, from `min` upwards."""
    min: float
    max: float
    bin_size: float
    """0 where all values are the same, which makes one bin."""
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self | None:
        """Make it of finite values, lowest first; None without any."""
        if not values:
            return None
        least, most = values[0], values[-1]
        marks = [percentile(values, percent) for percent in (50, 95, 99)]
        count = bin_count(len(values))
        size = (most - least) / count
        # Also of values that differ by less than a bin's width can say.
        if size == 0:
            return cls((len(values),), least, most, 0.0, *marks)
        bins = [0] * count
        for value in values:
            bins[min(floor((value - least) / size), count - 1)] += 1
        return cls(tuple(bins), least, most, size, *marks)


def percentile(values: Sequence[float], percent: float) -> float:
    """Answer with the value below which this part lies, between two values in proportion."""
    rank = percent / 100 * (len(values) - 1)
    low, high = values[floor(rank)], values[ceil(rank)]
    return low + (rank - floor(rank)) * (high - low)


def bin_count(values: int) -> int:
    """Say how many bins that many values are put in."""
    return max(FEWEST, min(ceil(log2(values)) + 1, MOST))
