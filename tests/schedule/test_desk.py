"""The facts on the desk: records, answers, and asserts what cannot be."""

import attrs
import pytest

from swapd.ids import ModelId, Order, Run, Ticket
from swapd.schedule.desk import LONGEST_BACK_OFF, Desk, FailureFacts, RunFacts
from swapd.schedule.phase import NEXT, Phase
from swapd.schedule.reasons import Cause, Unkillable
from tests.stories import model

A, B = ModelId("a"), ModelId("b")
BOOM = Cause("exited with code 1", exit_code=1)


def tickets(*numbers: int) -> list[Ticket]:
    return [Ticket(number) for number in numbers]


def ready(desk: Desk, name: ModelId, *, ttl: float = 0.0) -> RunFacts:
    """Have a model loaded."""
    facts = desk.start(model(name, ttl=ttl))
    facts.move(Phase.READY)
    return facts


# Who waits


def test_the_head_is_who_arrived_first():
    """And nobody, if nobody waits."""
    desk = Desk()
    assert desk.head() is None
    for ticket, name in zip(tickets(2, 1), (A, B), strict=True):
        desk.waiting[ticket] = name
    assert desk.head() == (Ticket(2), A)


def test_a_place_is_told_once_until_it_changes():
    """A client is not told every second that it is still third."""
    desk = Desk()
    one, two, three = tickets(1, 2, 3)
    desk.waiting |= {one: A, two: B}
    assert list(desk.moved()) == [(one, 1), (two, 2)]
    assert list(desk.moved()) == []
    desk.depart(one)
    desk.waiting[three] = A
    assert list(desk.moved()) == [(two, 1), (three, 2)]


def test_a_ticket_departs_from_wherever_it_is():
    """Being done, gone and cancelled are one goodbye, and a second one means nothing."""
    desk = Desk()
    waiting, served = tickets(1, 2)
    desk.waiting |= {served: A, waiting: A}
    desk.grant(served, ready(desk, A))
    desk.revoked.add(served)
    for _ in range(2):
        desk.depart(waiting)
        desk.depart(served)
    assert (desk.waiting, desk.granted, desk.revoked) == ({}, {}, set())


def test_a_model_is_wanted_by_who_waits_and_by_who_is_served():
    """Either keeps its idle timer from being set."""
    desk = Desk()
    facts, other = ready(desk, A), ready(desk, B)
    assert not desk.wanted(facts)
    desk.waiting[Ticket(1)] = A
    assert desk.wanted(facts)
    desk.grant(Ticket(1), facts)
    assert desk.wanted(facts)
    assert not desk.wanted(other)
    desk.depart(Ticket(1))
    assert not desk.wanted(facts)


# What runs


def test_runs_are_numbered_over_all_models():
    """S12: a number never comes back, so that old news finds nobody."""
    desk = Desk()
    first, second = desk.start(model(A)), desk.start(model(B))
    assert (first.run, second.run) == (Run(1), Run(2))
    first.move(Phase.STOPPING)
    desk.gone(first)
    assert desk.start(model(A)).run == Run(3)
    assert desk.alive(Run(1)) is None


def test_a_model_has_one_run_at_a_time():
    """Rule 3: two processes of one model would fight for its port."""
    desk = Desk()
    facts = desk.start(model(A))
    facts.move(Phase.STOPPING)
    assert desk.run_of(A) is facts
    with pytest.raises(AssertionError, match="a runs already"):
        desk.start(model(A))


@pytest.mark.parametrize("phase", Phase)
def test_a_run_moves_along_the_arrows_and_nowhere_else(phase):
    """Rule 3: an impossible step is a bug, and better seen than carried on with."""
    for after in Phase:
        facts = RunFacts(Run(1), model(A), phase)
        if after in NEXT[phase]:
            facts.move(after)
            assert facts.phase is after
        else:
            with pytest.raises(AssertionError, match="a#1"):
                facts.move(after)


def test_only_what_has_not_begun_to_end_is_alive():
    """What is on its way out is not stopped twice, nor granted."""
    desk = Desk()
    facts = desk.start(model(A))
    for phase, alive in [(Phase.READY, True), (Phase.STOPPING, False), (Phase.FAILED, False)]:
        facts.move(phase)
        assert (desk.alive(facts.run) is facts) is alive


def test_a_grant_needs_a_ready_model_and_a_waiting_ticket():
    """Rule 3, where it matters most."""
    desk = Desk()
    desk.waiting[Ticket(1)] = A
    with pytest.raises(AssertionError, match="ticket 1"):
        desk.grant(Ticket(1), desk.start(model(A)))
    with pytest.raises(KeyError):
        desk.grant(Ticket(2), ready(desk, B))


def test_a_grant_begins_a_new_turn():
    """An idle timer that was set before it rings for nobody."""
    desk = Desk()
    facts = ready(desk, A)
    facts.armed = True
    desk.waiting[Ticket(1)] = A
    desk.grant(Ticket(1), facts)
    assert (facts.turn, facts.armed) == (1, False)
    assert desk.granted == {Ticket(1): facts.run}


def test_what_survived_sigkill_is_known_until_it_is_gone():
    """Nothing is loaded on top of it meanwhile."""
    desk = Desk()
    facts = ready(desk, A)
    assert desk.stuck() is None
    facts.move(Phase.STOPPING)
    facts.move(Phase.FAILED)
    facts.stuck = Unkillable(A, "process 7 survived SIGKILL")
    assert desk.stuck() == facts.stuck
    desk.gone(facts)
    assert desk.stuck() is None


def test_an_order_waits_for_no_run_that_is_gone():
    """Whoever asked for an unload is answered when the last of its runs is."""
    desk = Desk()
    first, second = ready(desk, A), ready(desk, B)
    desk.orders |= {Order(1): {first.run, second.run}, Order(2): {first.run}}
    first.move(Phase.STOPPING)
    desk.gone(first)
    assert desk.orders == {Order(1): {second.run}, Order(2): set()}


# What is configured


def test_a_run_is_stale_while_its_process_does_not_fit_what_is_configured():
    """Also one that is ending; and a change that is taken back before it ended costs no load."""
    desk = Desk()
    facts, other = ready(desk, A), ready(desk, B)
    before = {A: model(A), B: model(B)}
    for after in ({B: model(B)}, {A: model(A, cmd="new"), B: model(B)}):
        desk.adopt(before, after)
        assert (facts.stale, other.stale) == (True, False)
        desk.waiting[Ticket(1)] = A
        with pytest.raises(AssertionError, match="stale"):
            desk.grant(Ticket(1), facts)
        desk.adopt(after, before)
        assert not facts.stale


def test_a_run_that_fits_serves_as_the_newest_definition():
    """Its next idle timer is of the newest `ttl`; a stale one goes by what it was."""
    desk = Desk()
    facts = ready(desk, A)
    newer = model(A, ttl=5)
    desk.adopt({A: model(A)}, {A: newer})
    assert facts.definition is newer
    desk.adopt({A: newer}, {A: model(A, cmd="new", ttl=7)})
    assert facts.definition is newer


def test_an_idle_timer_is_void_when_its_ttl_has_changed_and_only_then():
    """The timer rings all the same, for a turn that is no more."""
    desk = Desk()
    facts = ready(desk, A, ttl=300)
    facts.armed = True
    old = {A: facts.definition}
    desk.adopt(old, dict(old))
    assert (facts.turn, facts.armed) == (0, True)
    desk.adopt(old, {A: model(A, ttl=60)})
    assert (facts.turn, facts.armed) == (1, False)
    desk.adopt({A: model(A, ttl=60)}, {A: model(A, ttl=30)})
    assert (facts.turn, facts.armed) == (1, False)


def test_failures_are_of_one_definition():
    """Whoever edits a model has mended it, perhaps; whoever edits another one has not."""
    desk = Desk()
    for name in (A, B):
        desk.failures[name] = FailureFacts(2, BOOM, backing_off=True)
    before = {A: model(A), B: model(B)}
    desk.adopt(before, {A: model(A), B: attrs.evolve(model(B), health_timeout=600.0)})
    assert list(desk.failures) == [A]
    desk.adopt(before, {})
    assert desk.failures == {}


# What failed


def test_a_failed_load_counts_and_a_crash_does_not():
    """S5: a model that served before it crashed is no hopeless case."""
    desk = Desk()
    assert desk.broke(ready(desk, A), BOOM) is None
    failure = desk.broke(desk.start(model(B)), BOOM)
    assert failure == FailureFacts(1, BOOM)
    assert desk.failures == {B: failure}


def test_the_second_failure_in_a_row_opens_a_back_off():
    """The first may be bad luck."""
    desk = Desk()
    for attempt in (1, 2):
        facts = desk.start(model(A))
        failure = desk.broke(facts, BOOM)
        assert failure is not None
        assert (failure.attempt, failure.backing_off) == (attempt, attempt == 2)
        assert desk.back_off(A) == (BOOM if attempt == 2 else None)
        desk.gone(facts)
    assert desk.back_off(B) is None


def test_a_back_off_doubles_to_its_longest_and_stays_there():
    """Also after weeks of failing, when the power of two is long no float any more."""
    seconds = [FailureFacts(attempt, BOOM).back_off() for attempt in range(1, 9)]
    assert seconds == [0, 10, 20, 40, 80, 160, 300, 300]
    assert FailureFacts(1_000_000, BOOM).back_off() == LONGEST_BACK_OFF


def test_it_describes_itself_in_a_line():
    """A story that goes wrong prints it."""
    desk = Desk()
    assert repr(desk) == "<Desk 0 waiting>"
    facts = ready(desk, A)
    desk.start(model(B))
    desk.waiting |= {Ticket(1): A, Ticket(2): B}
    desk.grant(Ticket(1), facts)
    assert repr(desk) == "<Desk a ready 1 serving, b starting 0 serving, 1 waiting>"
