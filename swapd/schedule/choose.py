"""From settings to a scheduler."""

from typing import Protocol, assert_never

from swapd.config.kinds import SchedulerKind
from swapd.config.settings import Settings
from swapd.ids import ModelId
from swapd.schedule.effects import Effect
from swapd.schedule.events import Event
from swapd.schedule.phase import Phase
from swapd.schedule.serial import Serial


class NoScheduler(Exception):
    """The configuration asks for a scheduler that this version does not have."""


class Scheduler(Protocol):
    """Decides; never waits, never acts."""

    def handle(self, event: Event) -> list[Effect]:
        """Take the event in and answer with everything that is to be done now, in order."""

    def phase(self, model: ModelId) -> Phase:
        """Say where the model stands."""


def choose(settings: Settings) -> Scheduler:
    """Make the scheduler that the configuration asks for, or raise `NoScheduler`."""
    match settings.scheduler:
        case SchedulerKind.SERIAL:
            return Serial(settings)
        case SchedulerKind.FIFO:
            raise NoScheduler(
                "this version has no scheduler fifo yet; set it to serial, or leave it out"
            )
        case _:
            assert_never(settings.scheduler)
