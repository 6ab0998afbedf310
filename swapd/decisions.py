"""The journal of decisions: what was started, stopped, granted and refused, and why.

Rule 1: bounded; who reads too late has missed something, and sees that by the numbers.
Rule 2: each thing once, where it is carried out; the log is told, except of what goes well for
requests: there may be thousands.
"""

import logging
import re
from collections import deque
from collections.abc import Callable
from itertools import count, islice
from typing import Any, assert_never

import attrs
import trio

from swapd.ids import ModelId, Run
from swapd.schedule.events import ModelBroke, ModelReady, ModelStopped, ModelStuck, RunNews
from swapd.schedule.motives import Asked, MakeRoom, Motive, Outdated, Unused, Unwell
from swapd.schedule.reasons import (
    BackingOff,
    LoadFailed,
    ModelUnloaded,
    NotLoaded,
    Reason,
    TooMany,
    Unkillable,
    UnknownModel,
)

log = logging.getLogger(__name__)

# How many are remembered.
REMEMBERED = 1000


@attrs.frozen
class Decision:
    """One thing that was decided, or that happened and led to one."""

    seq: int
    at: float
    """On the run's clock."""
    kind: str
    model: ModelId | None
    text: str
    more: dict[str, Any]
    """What the text says, as data: `run`, `request`, `for`."""


class Decisions:
    """The newest decisions, numbered from 1."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._newest = deque[Decision](maxlen=REMEMBERED)
        self.heard_by: list[Callable[[Decision], None]] = []
        """Who is told of each, at once; the scheduler may not have heard of it yet."""

    def since(self, seq: int) -> list[Decision]:
        """List those that came after the one of this number, oldest first."""
        if not self._newest:
            return []
        skipped = max(0, seq + 1 - self._newest[0].seq)
        return list(islice(self._newest, skipped, None))

    # What is told

    def loading(self, model: ModelId, run: Run, request: str | None) -> None:
        """A model is started, for a request or anew."""
        what = f"loading {model} anew" if request is None else f"loading {model} for {request}"
        self._tell("load", model, what, run=run, request=request)

    def stopping(self, model: ModelId, run: Run, why: Motive) -> None:
        """A run is told to end."""
        match why:
            case MakeRoom(other, idle):
                state = "still loading" if idle is None else f"idle {idle:.0f} s"
                text = f"evicted {model} ({state}) for {other}: next in the queue"
                self._tell("evict", model, text, run=run, **{"for": other})
            case Unused(seconds):
                text = f"unloading {model}: idle for {seconds:.0f} s"
                self._tell("idle", model, text, run=run)
            case Asked():
                self._tell("unload", model, f"unloading {model}: somebody asked for it", run=run)
            case Outdated():
                text = f"stopping {model}: its definition has changed, or is gone"
                self._tell("reload", model, text, run=run)
            case Unwell():
                text = f"stopping {model}: it does not answer its health check"
                self._tell("failed", model, text, run=run)
            case _:
                assert_never(why)

    def heard(self, news: RunNews, model: ModelId) -> None:
        """A run says what has become of it."""
        match news:
            case ModelReady(run):
                self._tell("ready", model, f"{model} is ready", run=run)
            case ModelBroke(run, cause):
                self._tell("failed", model, f"{model} failed: {cause.text}", run=run)
            case ModelStuck(run, why):
                self._tell("failed", model, f"{model} will not die: {why}", run=run)
            case ModelStopped(run):
                self._tell("stopped", model, f"{model} is gone", run=run)
            case _:
                assert_never(news)

    def granted(self, model: ModelId, run: Run, request: str, waited: float) -> None:
        """A request may use a model."""
        text = f"{request} may use {model} after {waited:.1f} s"
        self._keep("grant", model, text, {"run": run, "request": request})

    def refused(self, model: ModelId, request: str, reason: Reason) -> None:
        """A request is refused."""
        text = f"refused {request}: {_words(reason)}"
        log.info("%s", text)
        self._keep("refuse", model, text, {"request": request})

    def revoked(self, model: ModelId, request: str, reason: Reason) -> None:
        """A request is cut while it is served."""
        text = f"cut {request}: {_words(reason)}"
        log.info("%s", text)
        self._keep("cancel", model, text, {"request": request})

    def left(self, model: ModelId, request: str, waited: float) -> None:
        """A request is gone before it was decided on."""
        text = f"{request} left the queue after {waited:.1f} s"
        self._keep("cancel", model, text, {"request": request})

    def reloaded(self) -> None:
        """Another configuration counts."""
        self._tell("reload", None, "another configuration counts from now on")

    def _tell(self, kind: str, model: ModelId | None, text: str, **more: Any) -> None:
        log.log(logging.WARNING if kind == "failed" else logging.INFO, "%s", text)
        self._keep(kind, model, text, {name: word for name, word in more.items() if word})

    def _keep(self, kind: str, model: ModelId | None, text: str, more: dict[str, Any]) -> None:
        made = Decision(next(self._numbers), trio.current_time(), kind, model, text, more)
        self._newest.append(made)
        for hear in self.heard_by:
            hear(made)


def _words(reason: Reason) -> str:
    """Put a reason as people would: `QueueFull` is "queue full".

    Without what a model wrote: that may hold secrets, and the log is read by many.
    """
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(reason).__name__).lower()
    match reason:
        case LoadFailed(model, cause) | BackingOff(model, cause):
            return f"{name}, {model}: {cause.text}"
        case UnknownModel(model) | ModelUnloaded(model) | NotLoaded(model) | TooMany(model):
            return f"{name}, {model}"
        case Unkillable(model, why):
            return f"{name}, {model}: {why}"
        case _:
            return name
