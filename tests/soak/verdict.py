"""Whether a series of measurements is flat. Pure arithmetic.

Rule 1: samples are at equal intervals, and those of the warm-up are not among them.
Rule 2: two looks at the same series, and the worse one counts: a straight line fitted to all of it
finds what grows slowly within noise, and the means of its ends what grows in steps.
"""

import statistics
from collections.abc import Mapping, Sequence

import attrs


@attrs.frozen
class Bound:
    """What a series may grow and still be called flat."""

    most: float
    """In its own unit; what grows by less is flat."""
    share: float | None = None
    """Of the mean that it begins with, if that is less."""


@attrs.frozen
class Verdict:
    """What became of one series."""

    name: str
    first: float
    """The mean of the first quarter of the samples."""
    last: float
    """And of the last."""
    least: float
    greatest: float
    rise: float
    """By how much the fitted line rises between the middles of those quarters."""
    allowed: float

    @property
    def growth(self) -> float:
        return max(self.rise, self.last - self.first)

    @property
    def flat(self) -> bool:
        return self.growth < self.allowed


def judge(series: Mapping[str, Sequence[float]], bounds: Mapping[str, Bound]) -> list[Verdict]:
    """Hold each series against its bound."""
    return [_judged(name, values, bounds[name]) for name, values in series.items()]


def slope(values: Sequence[float]) -> float:
    """Fit a straight line by least squares; answer with its rise from one sample to the next."""
    middle, mean = (len(values) - 1) / 2, statistics.fmean(values)
    spread = sum((at - middle) ** 2 for at in range(len(values)))
    return sum((at - middle) * (value - mean) for at, value in enumerate(values)) / spread


def _judged(name: str, values: Sequence[float], bound: Bound) -> Verdict:
    if len(values) < 4:
        raise ValueError(f"cannot judge {name} by {len(values)} samples")
    quarter = len(values) // 4
    first, last = statistics.fmean(values[:quarter]), statistics.fmean(values[-quarter:])
    allowed = bound.most if bound.share is None else min(bound.most, bound.share * first)
    return Verdict(
        name,
        first,
        last,
        min(values),
        max(values),
        rise=slope(values) * (len(values) - quarter),
        allowed=allowed,
    )
