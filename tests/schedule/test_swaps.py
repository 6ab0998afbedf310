"""Swaps: who is in whose way, and whose is next. What comes of it is told in `test_fifo.py`."""

from collections.abc import Mapping

import pytest

from swapd.ids import ModelId, Ticket
from swapd.schedule.desk import Desk
from swapd.schedule.eviction import Eviction
from swapd.schedule.facts import Request, RunFacts
from swapd.schedule.phase import Phase
from swapd.schedule.swaps import Models, Swaps, first
from tests.stories import evictions, exclusive, model

A, B, C, D, X = map(ModelId, "abcdx")
ALL = exclusive(*"abcdx")


def swaps(table: Mapping[str, str] | Eviction, *, runs: str = "", waiting: str = "") -> Swaps:
    """Make swaps at a desk where these run, and those wait since 1, 2, 3 and so on."""
    desk = Desk(now=100.0)
    for name in runs:
        ready(desk, name)
    for number, name in enumerate(waiting, start=1):
        desk.wait(Request(Ticket(number), ModelId(name), float(number)))
    return Swaps(desk, table if callable(table) else evictions(table))


def ready(desk: Desk, name: str) -> RunFacts:
    """Have a model loaded."""
    facts = desk.start(model(name))
    facts.move(Phase.READY, 0.0)
    return facts


# Who is in whose way


def test_nobody_leaves_for_its_own_sake():
    """Whoever runs is not asked of itself."""
    asked: list[Models] = []

    def evict(target: ModelId, running: Models) -> Models:
        asked.append(running)
        return running

    found = swaps(evict, runs="ab")
    assert found.evict(A) == (B,)
    assert found.evict(C) == (A, B)
    assert asked == [(B,), (A, B)]


def test_what_is_being_loaded_counts_like_what_runs():
    """Two swaps would meet in memory; and it can be left out or put beside, for the sake of it."""
    found = swaps(ALL, runs="b")
    found.under_way[C] = ()
    assert found.evict(A) == (B, C)
    assert found.evict(A, without=(B, C)) == ()
    assert found.evict(A, without=(C,), beside=(D, A)) == (B, D)


def test_a_model_is_alone_when_nothing_that_runs_has_to_go():
    """What is going still runs."""
    found = swaps({"a": "b"}, runs="ab")
    assert not found.alone(A)
    assert found.alone(B)
    (run,) = found.in_the_way((B,))
    run.move(Phase.STOPPING, 0.0)
    assert not found.alone(A)
    found.desk.gone(run)
    assert found.alone(A)


@pytest.mark.parametrize(
    ("going", "evict", "table", "collides"),
    [
        pytest.param((), (), {}, False, id="strangers"),
        pytest.param((), (A,), {}, True, id="its target would go"),
        pytest.param((B,), (), {}, True, id="it lets us go"),
        pytest.param((X, C), (X, D), {}, True, id="both let one go"),
        pytest.param((C,), (X,), {}, False, id="each lets its own go"),
        pytest.param((), (), {"a": "b"}, True, id="it would let us go, if we were there"),
        pytest.param((), (), {"b": "a"}, False, id="only what is said to go is asked"),
    ],
)
def test_two_swaps_collide_when_one_touches_what_the_other_does(going, evict, table, collides):
    """Rule 1; a is under way and b would come."""
    found = swaps(table)
    found.under_way[A] = going
    assert found.collides(B, evict) is collides


# Whose swap is next


def test_who_has_waited_longest_comes_first():
    """Rule 2, with nobody evicted and no priorities."""
    assert swaps(ALL, waiting="cabca").candidates({}) == [C, A, B]


def test_a_candidate_has_to_be_loaded_or_needs_another_gone():
    """Who is loaded and alone is served without a swap, and who is under way has one."""
    found = swaps({"b": "x"}, runs="abx", waiting="abcd")
    found.under_way[D] = ()
    assert found.candidates({}) == [B, C]


def test_a_run_that_is_leaving_is_as_good_as_none():
    """Its successor has to be loaded."""
    found = swaps({}, runs="ab", waiting="ab")
    (run,) = found.in_the_way((A,))
    run.stale = True
    assert found.candidates({}) == [A]


def test_who_loads_nothing_is_no_candidate_and_no_measure_of_waiting():
    """S17: its line counts from the first that is worth a load."""
    found = swaps(ALL, waiting="ab")
    line = found.desk.lines[A]
    line.clear()
    line[Ticket(8)] = Request(Ticket(8), A, 0.5, loads=False)
    assert first(line) is None
    assert found.candidates({}) == [B]
    line[Ticket(9)] = Request(Ticket(9), A, 9.0)
    assert first(line) == Request(Ticket(9), A, 9.0)
    assert found.candidates({}) == [B, A]


def test_a_model_that_had_to_go_counts_from_then():
    """What is left of its line has had a turn: it goes behind who waits for longer than that."""
    found = swaps(ALL, waiting="abc")
    found.evicted[A] = 2.5
    assert found.candidates({}) == [B, A, C]
    found.evicted[A] = 3.5
    assert found.candidates({}) == [B, C, A]


def test_a_priority_goes_before_who_has_waited_longest_only_once():
    """Two that are asked for again and again would else keep a third out for ever."""
    found = swaps(ALL, waiting="abc")
    assert found.candidates({C: 5}) == [C, A, B]
    found.evicted[C] = 1.5
    assert found.candidates({C: 5}) == [A, B, C]
    assert found.candidates({C: 5, A: 3, B: 1}) == [A, C, B]


def test_a_priority_goes_before_who_waits_longer():
    """And below 0 it goes behind."""
    found = swaps(ALL, waiting="abcd")
    assert found.candidates({D: 2, C: 7, A: -1}) == [C, D, B, A]


def test_a_priority_that_had_its_turn_goes_behind_who_waited_meanwhile():
    """Rule 2: once; when those were served, it counts again."""
    found = swaps(ALL, waiting="abc")
    found.evicted[C] = 1.5
    assert found.candidates({C: 7}) == [A, B, C]
    found.desk.depart(Ticket(1))
    assert found.candidates({C: 7}) == [C, B]


def test_a_swap_needs_nobody_that_is_served_to_go():
    """They would be cut."""
    found = swaps(ALL, runs="x", waiting="a")
    assert found.possible(A, (X,), [])
    (run,) = found.in_the_way((X,))
    run.serving.add(Ticket(9))
    assert not found.possible(A, (X,), [])
    assert found.possible(A, (), [])


def test_a_swap_does_not_begin_beside_one_that_it_touches():
    """Rule 1."""
    found = swaps(ALL, waiting="ab")
    found.begin(A, ())
    assert not found.possible(B, found.evict(B), [])


def test_nothing_is_loaded_that_who_comes_before_needs_gone():
    """Rule 3."""
    found = swaps({"a": "b x", "c": "x"}, runs="x", waiting="abc")
    assert not found.possible(B, (), [A])
    assert found.possible(B, (), [C])
    assert found.possible(B, (), [])


def test_what_a_swap_lets_go_is_not_in_the_way_any_more():
    """Who comes before may find room in what is left."""

    def two_at_a_time(target: ModelId, running: Models) -> Models:
        if target == A:
            return running if len(running) > 1 else ()
        return running

    found = swaps(two_at_a_time, runs="c", waiting="ab")
    assert found.possible(B, (C,), [A])
    assert not found.possible(B, (), [A])


def test_what_is_in_nobodys_way_comes_back_whoever_waits_elsewhere():
    """A long stream that one waits for must not keep others from models of their own."""
    found = swaps({"b": "d"}, runs="dx", waiting="ab")
    assert found.possible(B, (D,), [A])
    found.evicted[B] = 1.5
    assert found.possible(B, (D,), [A])


def test_what_goes_for_a_swap_is_marked_as_evicted_now():
    """What was going already is not stopped twice, and had to go for somebody else."""
    found = swaps(ALL, runs="bcx", waiting="a")
    (going,) = found.in_the_way((C,))
    going.move(Phase.STOPPING, 0.0)
    stopping = found.begin(A, (B, C))
    assert [facts.model for facts in stopping] == [B]
    assert found.under_way == {A: (B, C)}
    assert found.evicted == {B: 100.0}


def test_a_copy_can_be_rehearsed_on():
    """What is begun there is not begun here."""
    found = swaps(ALL, runs="b", waiting="ac")
    copy = found.copy(found.desk.copy())
    (facts,) = copy.begin(A, (B,))
    facts.move(Phase.STOPPING, 1.0)
    assert (found.under_way, found.evicted) == ({}, {})
    (own,) = found.in_the_way((B,))
    assert own.phase is Phase.READY
