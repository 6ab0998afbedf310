"""From settings to a scheduler."""

import attrs
import pytest

from swapd.config.settings import SchedulerKind, Settings
from swapd.ids import ModelId
from swapd.schedule.choose import choose
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import QueueFull
from swapd.schedule.serial import Serial
from tests.stories import Story, arrived, reject, settings


def test_serial_is_the_default():
    """D1: strict arrival order, unless somebody asks for something else."""
    assert isinstance(choose(Settings()), Serial)


@pytest.mark.parametrize("kind", SchedulerKind)
def test_every_kind_makes_a_scheduler(kind):
    """What the configuration accepts, the daemon can start with."""
    scheduler = choose(attrs.evolve(settings(["a"]), scheduler=kind))
    assert scheduler.phase(ModelId("a")) is Phase.STOPPED
    assert scheduler.handle(arrived(1, "a")) != []
    assert scheduler.phase(ModelId("a")) is Phase.STARTING


def test_the_scheduler_gets_its_settings():
    """A bound that did not arrive would be none."""
    story = Story(choose(settings(["a"], max_queue=1)))
    story.tell(arrived(1, "a"))
    story.tell(arrived(2, "a")).expect(reject(2, QueueFull(1)))
