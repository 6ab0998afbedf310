"""From settings to a scheduler."""

from typing import Protocol, assert_never

from swapd.config.settings import SchedulerKind, Settings
from swapd.ids import ModelId
from swapd.schedule.effects import Effect
from swapd.schedule.events import Event
from swapd.schedule.phase import Phase
from swapd.schedule.serial import Serial


class Scheduler(Protocol):
    """Decides; never waits, never acts."""

    def handle(self, event: Event) -> list[Effect]:
        """Take the event in and answer with everything that is to be done now, in order."""

    def phase(self, model: ModelId) -> Phase:
        """Say where the model stands."""


def choose(settings: Settings) -> Scheduler:
    """Make the scheduler that the configuration asks for."""
    match settings.scheduler:
        case SchedulerKind.SERIAL:
            return Serial(settings)
        case _:
            assert_never(settings.scheduler)
