"""What a run says of itself, as events."""

import trio

from swapd.ids import ModelId, Run
from swapd.reports import Reports
from swapd.schedule.events import Event, ModelBroke, ModelReady, ModelStuck
from swapd.schedule.reasons import Cause

BOOM = Cause("exited with code 1", exit_code=1)


def reports() -> tuple[Reports, list[Event]]:
    """Make the reports of run 7, and the list of what they post."""
    posted: list[Event] = []
    return Reports(Run(7), ModelId("a"), posted.append, trio.Event()), posted


def test_every_word_carries_the_number_of_the_run():
    """S12: so that news of an earlier run changes nothing."""
    life, posted = reports()
    life.ready()
    life.broke(BOOM)
    life.stuck("process 9 survived SIGKILL", trio.sleep_forever)
    assert posted == [
        ModelReady(Run(7)),
        ModelBroke(Run(7), BOOM),
        ModelStuck(Run(7), "process 9 survived SIGKILL"),
    ]


def test_a_broken_run_has_ended_for_those_who_hold_it():
    """They need not wait for the sweep to know that nobody is there."""
    life, _ = reports()
    life.ready()
    assert not life.ended.is_set()
    life.broke(BOOM)
    assert life.ended.is_set()


def test_what_survived_sigkill_can_be_waited_for():
    """And what did not survive need not be."""
    life, _ = reports()
    assert life.gone is None
    life.stuck("process 9 survived SIGKILL", trio.sleep_forever)
    assert life.gone is trio.sleep_forever
