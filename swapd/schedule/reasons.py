"""Why a request is not served, as values. What a client is told of them is `refusals.py`."""

import attrs

from swapd.ids import ModelId


@attrs.frozen
class Cause:
    """What ended a run that nobody asked to end."""

    text: str
    """One sentence without a full stop, for the operator."""
    exit_code: int | None = None
    signal: int | None = None
    last_lines: tuple[str, ...] = ()
    """The last lines that the process wrote, oldest first."""


@attrs.frozen
class UnknownModel:
    """No model has this id."""

    model: ModelId


@attrs.frozen
class QueueFull:
    """As many requests wait as the configuration allows."""

    limit: int


@attrs.frozen
class TooMany:
    """As many requests for the model are under way as its `concurrencyLimit` allows."""

    model: ModelId
    limit: int


@attrs.frozen
class LoadFailed:
    """The model was started for this request and did not become ready."""

    model: ModelId
    cause: Cause


@attrs.frozen
class BackingOff:
    """The model failed to load several times in a row and is left alone for a while."""

    model: ModelId
    cause: Cause


@attrs.frozen
class Unkillable:
    """A process of `model` survived SIGKILL; nothing can be loaded on top of it."""

    model: ModelId
    why: str


@attrs.frozen
class ModelUnloaded:
    """Somebody unloaded the model while the request waited for it or used it."""

    model: ModelId


@attrs.frozen
class NotLoaded:
    """The model is not loaded, and the request is none that it is loaded for."""

    model: ModelId


@attrs.frozen
class ShuttingDown:
    """The daemon is going away and starts nothing new."""


@attrs.frozen
class Cancelled:
    """Somebody cancelled the request by its name."""


Reason = (
    UnknownModel
    | QueueFull
    | TooMany
    | LoadFailed
    | BackingOff
    | Unkillable
    | ModelUnloaded
    | NotLoaded
    | ShuttingDown
    | Cancelled
)
