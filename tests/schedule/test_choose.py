"""From settings to a scheduler."""

import attrs
import pytest

from swapd.config.kinds import SchedulerKind
from swapd.config.settings import Settings
from swapd.ids import ModelId
from swapd.schedule.choose import choose
from swapd.schedule.fifo import Fifo
from swapd.schedule.measures import Measures
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import QueueFull
from swapd.schedule.serial import Serial
from tests.stories import Story, arrived, ready, reject, settings

KINDS = pytest.mark.parametrize("kind", SchedulerKind)


def test_serial_is_the_default():
    """D1: strict arrival order, unless somebody asks for something else."""
    assert isinstance(choose(Settings()), Serial)


def test_fifo_is_there_for_whoever_asks():
    """Running in another order than the one asked for would be a lie."""
    assert isinstance(choose(Settings(scheduler=SchedulerKind.FIFO)), Fifo)


@KINDS
def test_a_scheduler_tells_phases(kind):
    """Whatever is chosen, the pages ask it where a model stands."""
    scheduler = choose(attrs.evolve(settings(["a"]), scheduler=kind))
    assert scheduler.phase(ModelId("a")) is Phase.STOPPED
    assert scheduler.handle(arrived(1, "a"), 0.0) != []
    assert scheduler.phase(ModelId("a")) is Phase.STARTING
    assert scheduler.model(ModelId("a"), 0.0).phase is Phase.STARTING
    assert [standing.ticket for standing in scheduler.queue(0.0)] == [1]
    assert scheduler.plan(ModelId("a"), 0.0).position == 2


@KINDS
def test_the_scheduler_gets_its_settings(kind):
    """A bound that did not arrive would be none."""
    story = Story(choose(attrs.evolve(settings(["a"], max_queue=1), scheduler=kind)))
    story.tell(arrived(1, "a"))
    story.tell(arrived(2, "a")).expect(reject(2, QueueFull(1)))


@KINDS
def test_the_scheduler_adds_to_the_measures_that_it_is_given(kind):
    """They outlive it, and a reload to another one."""
    measures = Measures()
    story = Story(choose(attrs.evolve(settings(["a"]), scheduler=kind), measures))
    story.tell(arrived(1, "a")).after(3).tell(ready(1))
    assert measures.load(ModelId("a")) == 3.0
