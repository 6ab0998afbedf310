"""What happened: everything a scheduler ever learns, in the past tense."""

import attrs

from swapd.config.settings import Settings
from swapd.ids import ModelId, Order, Run, Ticket
from swapd.schedule.reasons import Cause


@attrs.frozen
class Arrived:
    """A request wants a turn with `model`."""

    ticket: Ticket
    model: ModelId
    loads: bool = True
    """Whether it is worth loading the model for."""
    keep_alive: float | None = None
    """Seconds that the model is kept afterwards, below 0 for ever; None as configured."""


@attrs.frozen
class Departed:
    """A request is over: served, refused, gone or cancelled. Said once more, it means nothing."""

    ticket: Ticket


@attrs.frozen
class Returned:
    """A granted request found nobody there, and nothing of it was sent: it waits again, first."""

    ticket: Ticket
    model: ModelId


@attrs.frozen
class ModelReady:
    """The model answers its health check."""

    run: Run


@attrs.frozen
class ModelBroke:
    """The run failed to start, or ended unasked; what is left of it is being cleared away."""

    run: Run
    cause: Cause


@attrs.frozen
class Unanswered:
    """A model that nobody uses has stopped answering its health check."""

    run: Run


@attrs.frozen
class ModelStuck:
    """Something of the run survived SIGKILL. `ModelStopped` follows if it ever goes."""

    run: Run
    why: str


@attrs.frozen
class ModelStopped:
    """Verified gone: leader reaped, group empty, port refused."""

    run: Run


@attrs.frozen
class IdleElapsed:
    """The timer of `ArmIdle` rang."""

    run: Run
    turn: int


@attrs.frozen
class BackOffElapsed:
    """The timer of `ArmBackOff` rang."""

    model: ModelId
    attempt: int


@attrs.frozen
class TurnElapsed:
    """The timer of `ArmTurn` rang."""

    run: Run


@attrs.frozen
class ResetAsked:
    """Somebody has mended the model: how it failed is to be forgotten."""

    model: ModelId


@attrs.frozen
class UnloadAsked:
    """Somebody wants these models gone; no models named means all."""

    order: Order
    models: frozenset[ModelId]
    drain: bool = False
    """Whether those that are served may finish."""
    keep: bool = False
    """Whether those that wait go on waiting."""
    seconds: float | None = None
    """How long those that are served are given, or else a process until SIGKILL."""


@attrs.frozen
class DrainElapsed:
    """The timer of `ArmDrain` rang."""

    order: Order


@attrs.frozen
class SettingsChanged:
    """The configuration was loaded anew; from now on this is it."""

    settings: Settings


@attrs.frozen
class StopAsked:
    """The daemon is going away."""


RunNews = ModelReady | ModelBroke | ModelStuck | ModelStopped
"""What a run says of itself."""

Event = (
    Arrived
    | Departed
    | Returned
    | ModelReady
    | ModelBroke
    | Unanswered
    | ModelStuck
    | ModelStopped
    | IdleElapsed
    | BackOffElapsed
    | TurnElapsed
    | ResetAsked
    | UnloadAsked
    | DrainElapsed
    | SettingsChanged
    | StopAsked
)
