"""From settings to a scheduler."""

from collections.abc import Iterator
from typing import Protocol, assert_never

from swapd.config.kinds import SchedulerKind
from swapd.config.settings import Settings
from swapd.ids import ModelId
from swapd.schedule.effects import Effect
from swapd.schedule.events import Event
from swapd.schedule.fifo import Fifo
from swapd.schedule.measures import Measures
from swapd.schedule.phase import Phase
from swapd.schedule.serial import Serial
from swapd.schedule.standing import ModelStanding, Plan, Standing


class Scheduler(Protocol):
    """Decides; never waits, never acts. Instants are seconds on the clock of whoever asks."""

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take the event in and answer with everything that is to be done now, in order."""

    def phase(self, model: ModelId) -> Phase:
        """Say where the model stands."""

    def model(self, model: ModelId, now: float) -> ModelStanding:
        """Say all that is known of where the model stands."""

    def queue(self, now: float) -> Iterator[Standing]:
        """Say where every request stands, in the order in which they run, the served first.

        To be heard to its end before the next event.
        """

    def plan(self, model: ModelId, now: float) -> Plan:
        """Say what a request for the model would lead to, if it came now."""


def choose(settings: Settings, measures: Measures | None = None) -> Scheduler:
    """Make the scheduler that the configuration asks for; it adds to the measures."""
    match settings.scheduler:
        case SchedulerKind.SERIAL:
            return Serial(settings, measures)
        case SchedulerKind.FIFO:
            return Fifo(settings, measures)
        case _:
            assert_never(settings.scheduler)
