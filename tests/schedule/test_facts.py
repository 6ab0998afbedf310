"""The facts of one request, one run and one model's failures."""

import math

import pytest

from swapd.ids import ModelId, Run, Ticket
from swapd.schedule.facts import (
    FIRST_BACK_OFF,
    LONGEST_BACK_OFF,
    FailureFacts,
    RunFacts,
)
from swapd.schedule.phase import NEXT, Phase
from swapd.schedule.reasons import Cause
from tests.stories import model

A = ModelId("a")
BOOM = Cause("exited with code 1", exit_code=1)


def run(phase: Phase = Phase.STARTING, *, ttl: float = 0.0) -> RunFacts:
    """Make a run in a phase; it began at 5."""
    return RunFacts(Run(1), model(A, ttl=ttl), 5.0, phase)


@pytest.mark.parametrize("phase", Phase)
def test_a_run_moves_along_the_arrows_and_nowhere_else(phase):
    """Rule 3: an impossible step is a bug, and better seen than carried on with."""
    for after in Phase:
        facts = run(phase)
        if after in NEXT[phase]:
            facts.move(after, 0.0)
            assert facts.phase is after
        else:
            with pytest.raises(AssertionError, match="a#1"):
                facts.move(after, 0.0)


def test_a_back_off_doubles_to_its_longest_and_stays_there():
    """Also after weeks of failing, when the power of two is long no float any more."""
    seconds = [FailureFacts(attempt, BOOM).back_off() for attempt in range(1, 9)]
    assert seconds == [0, 10, 20, 40, 80, 160, 300, 300]
    assert FailureFacts(1_000_000, BOOM).back_off() == LONGEST_BACK_OFF


def test_a_run_knows_since_when_it_is_what_it_is():
    """People are told how long it has been loading or stopping."""
    facts = run()
    assert (facts.since, facts.ready_at) == (5.0, None)
    facts.move(Phase.READY, 8.0)
    assert (facts.since, facts.ready_at) == (8.0, 8.0)
    facts.move(Phase.STOPPING, 9.0)
    assert (facts.since, facts.ready_at) == (9.0, 8.0)


@pytest.mark.parametrize("phase", Phase)
def test_only_a_ready_run_that_may_stay_is_fit(phase):
    """A request is granted nothing that is on its way out, whatever the reason."""
    assert run(phase).fit is (phase is Phase.READY)
    for reason in ("stale", "draining"):
        facts = run(phase)
        setattr(facts, reason, True)
        assert not facts.fit
        assert facts.leaving


def test_a_run_is_idle_since_it_is_ready_or_since_it_was_used():
    """Whichever came later; while it serves it is not idle at all."""
    facts = run()
    facts.used = 6.0
    assert facts.idle_since is None
    facts.move(Phase.READY, 8.0)
    assert facts.idle_since == 8.0
    facts.used = 12.0
    assert facts.idle_since == 12.0
    facts.serving.add(Ticket(1))
    assert facts.idle_since is None


@pytest.mark.parametrize(
    ("ttl", "keep_alive", "patience"),
    [
        (0.0, None, math.inf),
        (60.0, None, 60.0),
        (60.0, 5.0, 5.0),
        (0.0, 5.0, 5.0),
        (60.0, 0.0, 0.0),
        (60.0, -1.0, math.inf),
    ],
)
def test_a_run_is_kept_as_long_as_its_last_request_wants(ttl, keep_alive, patience):
    """Else as configured, where 0 means for ever; from a request it means not at all."""
    facts = run(ttl=ttl)
    facts.keep_alive = keep_alive
    assert facts.patience == patience


def test_a_new_ttl_that_changes_no_patience_keeps_the_timer():
    """A request has said how long, and that is what ticks."""
    facts = run(Phase.READY, ttl=60)
    facts.keep_alive, facts.armed = 5.0, True
    facts.adopt(model(A, ttl=30))
    assert (facts.turn, facts.armed) == (0, True)
    facts.keep_alive = None
    facts.adopt(model(A, ttl=20))
    assert (facts.turn, facts.armed) == (1, False)


def test_a_run_of_a_removed_model_is_stale_until_it_comes_back():
    """S16: a change that is taken back in time costs no load."""
    facts = run(Phase.READY)
    facts.adopt(None)
    assert facts.stale
    facts.adopt(model(A, cmd="another"))
    assert facts.stale
    facts.adopt(model(A))
    assert not facts.stale


def test_a_back_off_is_told_by_when_it_ends():
    """People are told when the model is tried again, if it is left alone."""
    failure = FailureFacts(3, BOOM, at=100.0)
    assert failure.until is None
    failure.backing_off = True
    assert failure.until == 100.0 + 2 * FIRST_BACK_OFF
