"""What the box's time went to: serving requests, swapping models, or neither. Pure."""

import attrs


@attrs.define
class Spent:
    """Seconds so far, as of the last change that it was told of."""

    serving: float = 0.0
    """In which at least one request was served."""
    swapping: float = 0.0
    """In which none was, and a model was on its way in or out."""
    _since: float = 0.0
    _serves: bool = False
    _swaps: bool = False

    def note(self, now: float, *, serves: bool, swaps: bool) -> None:
        """Count up to now, and go on with what is true from now on."""
        if self._serves:
            self.serving += now - self._since
        elif self._swaps:
            self.swapping += now - self._since
        self._since, self._serves, self._swaps = now, serves, swaps
