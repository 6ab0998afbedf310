"""How long things take, by model: loads, stops and services, lately.

A moving average, and beside it the longest of late, which forgets just as slowly.
"""

import attrs

from swapd.ids import ModelId

# The weight of the newest figure.
NEWEST = 0.2


@attrs.define
class Average:
    """Seconds that something takes."""

    mean: float
    longest: float

    def add(self, seconds: float) -> None:
        """Count one more."""
        self.mean += NEWEST * (seconds - self.mean)
        self.longest = max(seconds, self.longest + NEWEST * (seconds - self.longest))


@attrs.define
class Total:
    """Seconds that follow each other; None as soon as one of them is not known."""

    seconds: float | None = 0.0

    def add(self, seconds: float | None) -> None:
        """Count some more."""
        self.seconds = None if self.seconds is None or seconds is None else self.seconds + seconds


@attrs.define
class Measured:
    """What is known of one model; None for what has not happened yet."""

    load: Average | None = None
    stop: Average | None = None
    service: Average | None = None
    """From the grant to the departure."""

    def loaded(self, seconds: float) -> None:
        """Count a load."""
        self.load = _with(self.load, seconds)

    def stopped(self, seconds: float) -> None:
        """Count a stop."""
        self.stop = _with(self.stop, seconds)

    def served(self, seconds: float) -> None:
        """Count a service."""
        self.service = _with(self.service, seconds)


@attrs.define
class Measures:
    """What is known of all models."""

    models: dict[ModelId, Measured] = attrs.field(factory=dict)
    changed: int = 0
    """Counts what was counted, for whoever keeps it."""

    def of(self, model: ModelId) -> Measured:
        """Answer with what is known of a model, to read or to add to."""
        if model not in self.models:
            self.models[model] = Measured()
        return self.models[model]

    def load(self, model: ModelId) -> float | None:
        """Answer with the mean seconds of a load."""
        return _mean(self.of(model).load)

    def stop(self, model: ModelId) -> float | None:
        """Answer with the mean seconds of a stop."""
        return _mean(self.of(model).stop)

    def service(self, model: ModelId) -> float | None:
        """Answer with the mean seconds of a service."""
        return _mean(self.of(model).service)

    def switch(self, model: ModelId) -> float | None:
        """Answer with the mean seconds that it takes to load the model and to stop it again.

        A stop that was never seen counts nothing: the first one comes after the first turn.
        """
        load = self.load(model)
        return None if load is None else load + (self.stop(model) or 0.0)

    def longest_turn(self, model: ModelId, turn: float) -> float | None:
        """Answer with the most seconds that a model's load, turn, drain and stop took together.

        `turn` is how long it may be granted. None until each has been seen.
        """
        known = self.of(model)
        if known.load is None or known.service is None:
            return None
        stop = known.stop.longest if known.stop else 0.0
        return known.load.longest + turn + known.service.longest + stop


def _with(average: Average | None, seconds: float) -> Average:
    if average is None:
        return Average(seconds, seconds)
    average.add(seconds)
    return average


def _mean(average: Average | None) -> float | None:
    return None if average is None else average.mean
