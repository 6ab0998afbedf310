"""What a run says of itself on its way to the scheduler: each word once, logged and numbered."""

import logging
from collections.abc import Awaitable, Callable

import attrs
import trio

from swapd.ids import ModelId, Run
from swapd.schedule.events import Event, ModelBroke, ModelReady, ModelStuck
from swapd.schedule.reasons import Cause

log = logging.getLogger(__name__)


@attrs.define
class Reports:
    """A run's news, as events that carry its number."""

    run: Run
    model: ModelId
    post: Callable[[Event], None]
    ended: trio.Event
    gone: Callable[[], Awaitable[None]] | None = None
    """How to wait for what survived SIGKILL, if anything did."""

    def ready(self) -> None:
        log.info("%s is ready", self.model)
        self.post(ModelReady(self.run))

    def broke(self, cause: Cause) -> None:
        log.warning("%s: %s", self.model, cause.text)
        self.post(ModelBroke(self.run, cause))
        self.ended.set()

    def stuck(self, why: str, gone: Callable[[], Awaitable[None]]) -> None:
        log.error("%s will not die: %s", self.model, why)
        self.gone = gone
        self.post(ModelStuck(self.run, why))
