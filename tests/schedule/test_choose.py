"""From settings to a scheduler."""

import attrs
import pytest

from swapd.config.kinds import SchedulerKind
from swapd.config.settings import Settings
from swapd.ids import ModelId
from swapd.schedule.choose import NoScheduler, choose
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import QueueFull
from swapd.schedule.serial import Serial
from tests.stories import Story, arrived, reject, settings


def test_serial_is_the_default():
    """D1: strict arrival order, unless somebody asks for something else."""
    assert isinstance(choose(Settings()), Serial)


def test_a_scheduler_tells_phases():
    """Whatever is chosen, the pages ask it where a model stands."""
    scheduler = choose(settings(["a"]))
    assert scheduler.phase(ModelId("a")) is Phase.STOPPED
    assert scheduler.handle(arrived(1, "a")) != []
    assert scheduler.phase(ModelId("a")) is Phase.STARTING


def test_a_scheduler_that_is_not_there_yet_is_refused():
    """Running in another order than the one asked for would be a lie."""
    with pytest.raises(NoScheduler, match="to serial, or leave it out"):
        choose(attrs.evolve(settings(["a"]), scheduler=SchedulerKind.FIFO))


def test_the_scheduler_gets_its_settings():
    """A bound that did not arrive would be none."""
    story = Story(choose(settings(["a"], max_queue=1)))
    story.tell(arrived(1, "a"))
    story.tell(arrived(2, "a")).expect(reject(2, QueueFull(1)))
