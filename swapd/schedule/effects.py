"""What is to be done: everything a scheduler ever asks for, as orders."""

from typing import NamedTuple

import attrs

from swapd.ids import ModelId, Order, Run, Ticket
from swapd.schedule.motives import Asked, Motive
from swapd.schedule.reasons import Reason, Unkillable


class Place(NamedTuple):
    """Tell a waiting request its position, counted from 1.

    A tuple: whoever joins or leaves a long queue moves thousands.
    """

    ticket: Ticket
    position: int


@attrs.frozen
class Grant:
    """Let a request use the run."""

    ticket: Ticket
    run: Run


@attrs.frozen
class Reject:
    """Refuse a request that has not been granted; nothing more is said of it."""

    ticket: Ticket
    reason: Reason


@attrs.frozen
class Revoke:
    """End a request that is being served; its `Departed` follows."""

    ticket: Ticket
    reason: Reason


@attrs.frozen
class StartModel:
    """Start the model's process as this run."""

    model: ModelId
    run: Run
    ticket: Ticket | None = attrs.field(default=None, eq=False)
    """Who it is for, if for anybody; for people, so two starts are alike without it."""


@attrs.frozen
class StopModel:
    """End the run, and answer with `ModelStopped` when it is verified gone."""

    run: Run
    grace: float | None = None
    """Seconds until SIGKILL; None as configured."""
    why: Motive = attrs.field(default=Asked(), eq=False)
    """For people, so two stops are alike without it."""


@attrs.frozen
class ArmIdle:
    """Answer with `IdleElapsed(run, turn)` after so many seconds."""

    run: Run
    seconds: float
    turn: int


@attrs.frozen
class ArmBackOff:
    """Answer with `BackOffElapsed(model, attempt)` after so many seconds."""

    model: ModelId
    seconds: float
    attempt: int


@attrs.frozen
class ArmTurn:
    """Answer with `TurnElapsed(run)` after so many seconds."""

    run: Run
    seconds: float


@attrs.frozen
class ArmDrain:
    """Answer with `DrainElapsed(order)` after so many seconds."""

    order: Order
    seconds: float


@attrs.frozen
class Prefetch:
    """Have the files of a model at hand: it will be started before long; or of none any more."""

    model: ModelId | None


@attrs.frozen
class Unloaded:
    """Answer an order: everything it named is gone, except what `stuck` says."""

    order: Order
    stuck: Unkillable | None = None


Effect = (
    Place
    | Grant
    | Reject
    | Revoke
    | StartModel
    | StopModel
    | ArmIdle
    | ArmBackOff
    | ArmTurn
    | ArmDrain
    | Prefetch
    | Unloaded
)
