"""What a run says of itself on its way to the scheduler: each word once, logged and numbered."""

import logging
from collections.abc import Awaitable, Callable

import attrs
import trio

from swapd.ids import ModelId, Run
from swapd.models.supervisor import Grace
from swapd.schedule.events import Event, ModelBroke, ModelReady, ModelStuck, Unanswered
from swapd.schedule.reasons import Cause

log = logging.getLogger(__name__)


@attrs.define
class Reports:
    """A run's news, as events that carry its number; and what the run is to know of its use."""

    run: Run
    model: ModelId
    post: Callable[[Event], None]
    ended: trio.Event
    gone: Callable[[], Awaitable[None]] | None = None
    """How to wait for what survived SIGKILL, if anything did."""
    pid: int | None = None
    """The leader's process id, and its group's; None before it is spawned."""
    status_text: str = ""
    """What the model says that it is doing, in its own words."""
    grace: Grace = attrs.field(factory=Grace)
    """How long it has to end."""
    uses: int = 0
    """How many requests the run was granted so far."""
    idle: Callable[[], bool] = attrs.field(default=lambda: False)
    """Whether nobody is served by the run; who does not know says no, and it is left alone."""

    def spawned(self, pid: int) -> None:
        self.pid = pid

    def says(self, status: str) -> None:
        self.status_text = status

    def ready(self) -> None:
        self.post(ModelReady(self.run))

    def broke(self, cause: Cause) -> None:
        self.post(ModelBroke(self.run, cause))
        self.ended.set()

    def unanswered(self) -> None:
        log.warning("%s does not answer its health check", self.model)
        self.post(Unanswered(self.run))

    def stuck(self, why: str, gone: Callable[[], Awaitable[None]]) -> None:
        self.gone = gone
        self.post(ModelStuck(self.run, why))
