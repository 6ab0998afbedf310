"""How many clients there is room for, and who goes; with clients that are nothing else."""

import logging
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import attrs
import pytest
import trio

from swapd.front.crowd import (
    DESCRIPTORS_EACH,
    DESCRIPTORS_OF_OURS,
    FEWEST_CONNECTIONS,
    LOOKED_AT,
    MOST_CONNECTIONS,
    SAID_AGAIN,
    THINNED_BY,
    Crowd,
    ask_for_descriptors,
    most_connections,
    most_goodbyes,
)


@attrs.define(eq=False)
class Client:
    """One that has been silent since then, if it is."""

    silent_since: float | None = None
    asking: bool = False
    """Whether it has just begun to ask for something."""
    gone: bool = False

    def dismiss(self) -> bool:
        if self.asking:
            return False
        self.silent_since, self.gone = None, True
        return True


@pytest.fixture
def come() -> Iterator[Callable[[Crowd, Client], bool]]:
    """Let clients come; they stay until the test is over."""
    with ExitStack() as places:
        yield lambda crowd, client: places.enter_context(crowd.place(client))


async def test_there_is_room_up_to_the_bound(come, autojump_clock):
    """One less is welcome, and so is the last; one more is not."""
    crowd = Crowd(3)
    assert [come(crowd, Client()) for _ in range(4)] == [True, True, True, False]


async def test_who_leaves_makes_room(come, autojump_clock):
    """And who was turned away had none to give."""
    crowd = Crowd(1)
    with crowd.place(Client()) as first, crowd.place(Client()) as second:
        assert (first, second) == (True, False)
    assert [come(crowd, Client()) for _ in range(2)] == [True, False]


async def test_who_has_been_silent_longest_makes_room(come, autojump_clock):
    """One for one; who is being served never does."""
    crowd = Crowd(4)
    here = [Client(5.0), Client(), Client(3.0), Client(4.0)]
    for client in here:
        come(crowd, client)
    for gone in ({2}, {2, 3}, {0, 2, 3}):
        assert come(crowd, Client())
        assert {number for number, client in enumerate(here) if client.gone} == gone
    assert not come(crowd, Client())
    assert not here[1].gone


async def test_who_asks_just_now_is_not_sent_away(come, autojump_clock):
    """Its request lies in the socket; the next silent one goes instead."""
    crowd = Crowd(2)
    asking, silent = Client(1.0, asking=True), Client(2.0)
    come(crowd, asking)
    come(crowd, silent)
    assert come(crowd, Client())
    assert (asking.gone, silent.gone) == (False, True)


async def test_a_newcomer_costs_little_however_many_ask(come, autojump_clock):
    """A look at each of thousands of sockets would be a way to keep us busy."""
    looked = 0

    class Asking(Client):
        def dismiss(self) -> bool:
            nonlocal looked
            looked += 1
            return False

    crowd = Crowd(100)
    for _ in range(100):
        come(crowd, Asking(1.0))
    assert not come(crowd, Client())
    assert looked <= 1 + LOOKED_AT


@pytest.mark.parametrize(
    ("silent", "served", "gone"), [(80, 0, 80 // THINNED_BY), (1, 3, 1), (0, 5, 0)]
)
async def test_some_go_at_once_when_the_system_has_no_more(
    silent, served, gone, come, autojump_clock
):
    """One by one would be slower than those who come."""
    crowd = Crowd(100)
    here = [*(Client(1.0) for _ in range(silent)), *(Client() for _ in range(served))]
    for client in here:
        come(crowd, client)
    assert crowd.thin() is (gone > 0)
    assert sum(client.gone for client in here) == gone


async def test_others_make_room_where_nobody_here_can(come, autojump_clock):
    """An admin comes in, though all that the system gives us is held by clients."""
    clients = Crowd(100)
    silent = Client(1.0)
    come(clients, silent)
    assert Crowd(100, clients).thin()
    assert silent.gone
    assert not Crowd(100, clients).thin()


@pytest.mark.parametrize(
    ("allowed", "most"), [(64, 8), (512, 64), (100_000, 64), (resource.RLIM_INFINITY, 64)]
)
def test_refusals_leave_descriptors_for_those_who_are_here(allowed, most, limited):
    """A second's worth of goodbyes must not be all that there is."""
    limited((allowed, allowed))
    assert most_goodbyes() == most


async def test_a_flood_of_clients_is_none_of_lines(come, autojump_clock, caplog):
    """The log says it once a minute, however many are turned away."""
    caplog.set_level(logging.INFO)
    crowd = Crowd(0)
    for _ in range(1000):
        assert not come(crowd, Client())
    await trio.sleep(SAID_AGAIN)
    assert not come(crowd, Client())
    assert caplog.messages == ["0 clients are being served; others are turned away"] * 2


# Descriptors

Limits = tuple[int, int]
ALL = DESCRIPTORS_OF_OURS + DESCRIPTORS_EACH * MOST_CONNECTIONS


@pytest.fixture
def limited(monkeypatch) -> Callable[[Limits], list[Limits]]:
    """Give us so many descriptors, and the right to so many; answer with what is asked for."""

    def limit(limits: Limits) -> list[Limits]:
        asked: list[Limits] = []
        monkeypatch.setattr(resource, "getrlimit", lambda what: limits)
        monkeypatch.setattr(resource, "setrlimit", lambda what, wanted: asked.append(wanted))
        return asked

    return limit


@pytest.mark.parametrize(
    ("allowed", "most"),
    [
        (64, FEWEST_CONNECTIONS),
        (1024, 256),
        (ALL - 1, MOST_CONNECTIONS - 1),
        (ALL, MOST_CONNECTIONS),
        (1_000_000, MOST_CONNECTIONS),
        (resource.RLIM_INFINITY, MOST_CONNECTIONS),
    ],
)
def test_clients_leave_descriptors_for_their_models(allowed, most, limited):
    """A request that is let in and then cannot be passed on would be worse than a refusal."""
    limited((allowed, allowed))
    assert most_connections() == most


@pytest.mark.parametrize(
    ("soft", "hard", "asked"),
    [
        (1024, 524288, [(ALL, 524288)]),
        (1024, 4096, [(4096, 4096)]),
        (1024, resource.RLIM_INFINITY, [(ALL, resource.RLIM_INFINITY)]),
        (ALL, 524288, []),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, []),
    ],
)
def test_no_more_is_asked_for_than_is_needed(soft, hard, asked, limited):
    """What a service starts with is for programs that cannot count beyond 1024."""
    found = limited((soft, hard))
    ask_for_descriptors()
    assert found == asked
