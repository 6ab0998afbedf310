"""The facts on the desk: records, answers, and asserts what cannot be."""

import attrs
import pytest

from swapd.ids import ModelId, Order, Run, Ticket
from swapd.schedule.desk import Desk
from swapd.schedule.facts import FailureFacts, Request, RunFacts, Service
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import Cause, Unkillable
from tests.stories import model

A, B = ModelId("a"), ModelId("b")
BOOM = Cause("exited with code 1", exit_code=1)


def tickets(*numbers: int) -> list[Ticket]:
    return [Ticket(number) for number in numbers]


def wait(desk: Desk, **names: int) -> None:
    """Have requests arrive, model by model: `a=1` is ticket 1 for a."""
    for name, ticket in names.items():
        desk.wait(Request(Ticket(ticket), ModelId(name), desk.now))


def ready(desk: Desk, name: ModelId, *, ttl: float = 0.0) -> RunFacts:
    """Have a model loaded."""
    facts = desk.start(model(name, ttl=ttl))
    facts.move(Phase.READY, 0.0)
    return facts


# Who waits


def test_the_head_is_who_arrived_first():
    """And nobody, if nobody waits."""
    desk = Desk()
    assert desk.head() is None
    wait(desk, a=2, b=1)
    assert desk.head() == Request(Ticket(2), A)


def test_a_place_is_told_once_until_it_changes():
    """A client is not told every second that it is still third; who was away is told again."""
    desk = Desk()
    one, two, three = tickets(1, 2, 3)
    assert list(desk.moved([one, two])) == [(one, 1), (two, 2)]
    assert list(desk.moved([one, two])) == []
    assert list(desk.moved([two, three])) == [(two, 1), (three, 2)]
    assert list(desk.moved([three, two, one])) == [(three, 1), (two, 2), (one, 3)]


def test_a_ticket_departs_from_wherever_it_is():
    """Being done, gone and cancelled are one goodbye, and a second one means nothing."""
    desk = Desk()
    waiting, served = tickets(1, 2)
    wait(desk, a=2)
    wait(desk, a=1)
    desk.grant(served, ready(desk, A))
    desk.revoked.add(served)
    for _ in range(2):
        desk.depart(waiting)
        desk.depart(served)
    assert (desk.waiting, desk.lines, desk.granted, desk.revoked) == ({}, {}, {}, set())


def test_a_model_is_wanted_by_who_waits_and_by_who_is_served():
    """Either keeps its idle timer from being set."""
    desk = Desk()
    facts, other = ready(desk, A), ready(desk, B)
    assert not desk.wanted(facts)
    wait(desk, a=1)
    assert desk.wanted(facts)
    desk.grant(Ticket(1), facts)
    assert desk.wanted(facts)
    assert not desk.wanted(other)
    desk.depart(Ticket(1))
    assert not desk.wanted(facts)


def test_who_waits_is_known_by_model_as_well():
    """Lines are what fifo asks for; there is none without somebody in it."""
    desk = Desk()
    for ticket, name in enumerate("aba", start=1):
        wait(desk, **{name: ticket})
    assert {name: list(line) for name, line in desk.lines.items()} == {A: [1, 3], B: [2]}
    desk.depart(Ticket(2))
    assert list(desk.lines) == [A]
    assert list(desk.waiting) == [1, 3]


def test_who_loads_nothing_is_known_as_long_as_it_waits():
    """Only while there is one, the scheduler looks for them."""
    desk = Desk()
    facts = ready(desk, A)
    for ticket in tickets(1, 2):
        desk.wait(Request(ticket, A, loads=False))
    desk.wait(Request(Ticket(3), A))
    assert desk.modest == {1, 2}
    desk.depart(Ticket(1))
    desk.grant(Ticket(2), facts)
    assert desk.modest == set()
    desk.take_back(Ticket(2))
    assert desk.modest == {2}


def test_a_ticket_that_is_taken_back_waits_where_it_came_from():
    """It had its turn, and found nobody: its place is by its arrival, in its model's line too."""
    desk = Desk()
    facts = ready(desk, A)
    wait(desk, a=1, b=2)
    wait(desk, a=3)
    for ticket in tickets(1, 3):
        desk.grant(ticket, facts)
    for ticket in tickets(3, 1):
        desk.take_back(ticket)
    assert list(desk.waiting) == [1, 2, 3]
    assert list(desk.lines[A]) == [1, 3]
    assert facts.serving == set()


# What runs


def test_runs_are_numbered_over_all_models():
    """S12: a number never comes back, so that old news finds nobody."""
    desk = Desk()
    first, second = desk.start(model(A)), desk.start(model(B))
    assert (first.run, second.run) == (Run(1), Run(2))
    first.move(Phase.STOPPING, 0.0)
    desk.gone(first)
    assert desk.start(model(A)).run == Run(3)
    assert desk.alive(Run(1)) is None


def test_a_model_has_one_run_at_a_time():
    """Rule 3: two processes of one model would fight for its port."""
    desk = Desk()
    facts = desk.start(model(A))
    facts.move(Phase.STOPPING, 0.0)
    assert desk.run_of(A) is facts
    with pytest.raises(AssertionError, match="a runs already"):
        desk.start(model(A))


def test_only_what_has_not_begun_to_end_is_alive():
    """What is on its way out is not stopped twice, nor granted."""
    desk = Desk()
    facts = desk.start(model(A))
    for phase, alive in [(Phase.READY, True), (Phase.STOPPING, False), (Phase.FAILED, False)]:
        facts.move(phase, 0.0)
        assert (desk.alive(facts.run) is facts) is alive


def test_a_grant_needs_a_ready_model_and_a_waiting_ticket():
    """Rule 3, where it matters most."""
    desk = Desk()
    wait(desk, a=1)
    with pytest.raises(AssertionError, match="ticket 1"):
        desk.grant(Ticket(1), desk.start(model(A)))
    with pytest.raises(KeyError):
        desk.grant(Ticket(2), ready(desk, B))


def test_a_grant_begins_a_new_turn():
    """An idle timer that was set before it rings for nobody."""
    desk = Desk()
    facts = ready(desk, A)
    facts.armed = True
    wait(desk, a=1)
    desk.grant(Ticket(1), facts)
    assert (facts.turn, facts.armed) == (1, False)
    assert desk.granted == {Ticket(1): Service(Request(Ticket(1), A), facts.run, 0.0)}


def test_what_survived_sigkill_is_known_until_it_is_gone():
    """Nothing is loaded on top of it meanwhile."""
    desk = Desk()
    facts = ready(desk, A)
    assert desk.stuck() is None
    facts.move(Phase.STOPPING, 0.0)
    facts.move(Phase.FAILED, 0.0)
    facts.stuck = Unkillable(A, "process 7 survived SIGKILL")
    assert desk.stuck() == facts.stuck
    desk.gone(facts)
    assert desk.stuck() is None


def test_an_order_waits_for_no_run_that_is_gone():
    """Whoever asked for an unload is answered when the last of its runs is."""
    desk = Desk()
    first, second = ready(desk, A), ready(desk, B)
    desk.orders |= {Order(1): {first.run, second.run}, Order(2): {first.run}}
    first.move(Phase.STOPPING, 0.0)
    desk.gone(first)
    assert desk.orders == {Order(1): {second.run}, Order(2): set()}


# What is configured


def test_a_run_is_stale_while_its_process_does_not_fit_what_is_configured():
    """Also one that is ending; and a change that is taken back before it ended costs no load."""
    desk = Desk()
    facts, other = ready(desk, A), ready(desk, B)
    wait(desk, a=1)
    before = {A: model(A), B: model(B)}
    for after in ({B: model(B)}, {A: model(A, cmd="new"), B: model(B)}):
        desk.adopt(before, after)
        assert (facts.stale, other.stale) == (True, False)
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
    assert desk.failures == {A: FailureFacts(0, BOOM), B: failure}
    for facts in tuple(desk.runs.values()):
        desk.gone(facts)
    again = desk.broke(desk.start(model(A)), BOOM)
    assert again == FailureFacts(1, BOOM)


def test_the_second_failure_in_a_row_opens_a_back_off():
    """The first may be bad luck."""
    desk = Desk()
    for attempt in (1, 2):
        facts = desk.start(model(A))
        failure = desk.broke(facts, BOOM)
        assert failure is not None
        assert (failure.attempt, failure.backing_off) == (attempt, attempt == 2)
        assert desk.back_off(A) == (failure if attempt == 2 else None)
        desk.gone(facts)
    assert desk.back_off(B) is None


# What was measured


def test_loads_stops_and_services_are_measured():
    """They say how long somebody waits, and how long a turn has to be."""
    desk = Desk(now=10.0)
    facts = desk.start(model(A))
    desk.now = 14.0
    desk.ready(facts)
    wait(desk, a=1)
    desk.grant(Ticket(1), facts)
    desk.now = 21.0
    desk.depart(Ticket(1))
    facts.move(Phase.STOPPING, desk.now)
    desk.now = 22.0
    desk.gone(facts)
    known = desk.measures
    assert (known.load(A), known.service(A), known.stop(A)) == (4.0, 7.0, 1.0)
    assert known.changed == 3


def test_a_service_that_was_cut_says_nothing_of_how_long_one_takes():
    """Nor does the end of one that would not die."""
    desk = Desk()
    facts = ready(desk, A)
    wait(desk, a=1)
    desk.grant(Ticket(1), facts)
    desk.revoked.add(Ticket(1))
    desk.depart(Ticket(1))
    facts.move(Phase.STOPPING, 0.0)
    facts.move(Phase.FAILED, 0.0)
    desk.now = 4000.0
    desk.gone(facts)
    known = desk.measures
    assert (known.service(A), known.stop(A), known.changed) == (None, None, 0)


def test_a_run_is_idle_since_its_last_request_left():
    """And a service that outlives its run is nobody's use."""
    desk = Desk(now=5.0)
    facts = desk.start(model(A))
    assert desk.idle(facts) is None
    desk.ready(facts)
    desk.now = 7.0
    assert desk.idle(facts) == 2.0
    desk.wait(Request(Ticket(1), A, keep_alive=9.0))
    desk.grant(Ticket(1), facts)
    assert desk.idle(facts) is None
    desk.depart(Ticket(1))
    desk.now = 8.0
    assert (desk.idle(facts), facts.keep_alive) == (1.0, 9.0)
    wait(desk, a=2)
    desk.grant(Ticket(2), facts)
    facts.move(Phase.STOPPING, 8.0)
    desk.gone(facts)
    desk.depart(Ticket(2))
    assert desk.granted == {}


def test_a_copy_can_be_rehearsed_on():
    """Whatever happens there, nothing here changes: neither facts nor measures."""
    desk = Desk(now=1.0)
    facts = desk.start(model(A))
    desk.now = 3.0
    desk.ready(facts)
    wait(desk, a=1, b=2)
    desk.wait(Request(Ticket(3), A, loads=False))
    desk.grant(Ticket(1), facts)
    desk.orders[Order(1)] = {facts.run}
    desk.failures[B] = FailureFacts(1, BOOM)
    list(desk.moved(tickets(2)))
    before, shown = desk.copy(), repr(desk)
    assert before == desk

    copy = desk.copy()
    copied = copy.runs[facts.run]
    assert copied.since == facts.since
    copy.depart(Ticket(1))
    copy.depart(Ticket(3))
    copied.move(Phase.STOPPING, 9.0)
    copy.gone(copied)
    copy.start(model(B))
    copy.failures.clear()
    list(copy.moved([]))
    copy.revoked.add(Ticket(2))
    copy.measures.of(B).served(1.0)

    assert desk == before
    assert repr(desk) == shown


def test_it_describes_itself_in_a_line():
    """A story that goes wrong prints it."""
    desk = Desk()
    assert repr(desk) == "<Desk 0 waiting>"
    facts = ready(desk, A)
    desk.start(model(B))
    wait(desk, a=1, b=2)
    desk.grant(Ticket(1), facts)
    assert repr(desk) == "<Desk a ready 1 serving, b starting 0 serving, 1 waiting>"
