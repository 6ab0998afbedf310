"""What a run says of itself, as events."""

import trio

from swapd.ids import ModelId, Run
from swapd.models.supervisor import Grace
from swapd.reports import Reports
from swapd.schedule.events import Event, ModelBroke, ModelReady, ModelStuck, Unanswered
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
    life.unanswered()
    life.broke(BOOM)
    life.stuck("process 9 survived SIGKILL", trio.sleep_forever)
    assert posted == [
        ModelReady(Run(7)),
        Unanswered(Run(7)),
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


def test_a_run_knows_its_process_once_there_is_one():
    """Who asks for its memory needs the number; the scheduler does not."""
    life, posted = reports()
    assert life.pid is None
    life.spawned(4711)
    assert life.pid == 4711
    assert posted == []


def test_what_a_model_says_of_itself_is_no_event():
    """It is for people; the last word counts, and nothing may be decided by it."""
    life, posted = reports()
    assert life.status_text == ""
    life.says("loading")
    life.says("up")
    assert (life.status_text, posted) == ("up", [])


def test_a_run_whose_use_nobody_knows_is_left_alone():
    """Asking a server that is busy, and ending it for being slow, would be our own fault."""
    life, _ = reports()
    assert not life.idle()
    assert (life.uses, life.grace) == (0, Grace())


def test_silence_is_told_to_the_operator(caplog):
    """A model that ends for no reason that anybody can read is a riddle."""
    life, _ = reports()
    life.unanswered()
    assert caplog.messages == ["a does not answer its health check"]
