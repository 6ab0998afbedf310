"""What a run is stopped for, as values; the journal of decisions puts them into words."""

import attrs

from swapd.ids import ModelId


@attrs.frozen
class MakeRoom:
    """Another model is to be loaded."""

    model: ModelId
    idle: float | None = None
    """Seconds for which nobody had used what is stopped; None if it was still loading."""


@attrs.frozen
class Unused:
    """Nobody has used it for as long as it is kept."""

    seconds: float


@attrs.frozen
class Asked:
    """Somebody wants it gone."""


@attrs.frozen
class Outdated:
    """Its model was changed or removed."""


@attrs.frozen
class Unwell:
    """It has stopped answering its health check."""


Motive = MakeRoom | Unused | Asked | Outdated | Unwell
