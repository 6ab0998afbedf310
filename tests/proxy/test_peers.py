"""The ways to peers: kept while they lead there, and never pulled from under a request."""

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.settings import Origin, Peer
from swapd.proxy.peers import Peers
from swapd.wire.exchange import Request
from swapd.wire.pool import Pool
from tests.fakes import Asked, FakeUpstream

HERE = Peer("strix", Origin("http", "10.0.0.9", 80), ("x",))
ELSEWHERE = attrs.evolve(HERE, origin=Origin("http", "10.0.0.10", 80))
OTHER = attrs.evolve(HERE, id="cuda")

GET = Request("GET", b"/", [(b"Host", b"strix")], b"")


@attrs.define
class World:
    """Peers that are reached over memory streams."""

    upstream: FakeUpstream

    def peers(self) -> Peers:
        """Make the ways to them."""
        return Peers(lambda origin: Pool(origin, connect=self.upstream.connect))


@pytest.fixture
async def world(nursery) -> World:
    return World(FakeUpstream(nursery))


async def ask(pool: Pool) -> None:
    """Ask once and read the whole answer."""
    async with pool.exchange(GET) as answer:
        while await answer.read():
            pass


async def test_a_way_is_kept_as_long_as_it_leads_there(world, autojump_clock):
    """Connections to another machine cost a round trip, and more with TLS."""
    peers = world.peers()
    for changed in (HERE, attrs.evolve(HERE, models=("y",), api_key="K")):
        await ask(peers.pool(changed))
    assert world.upstream.connections == 1
    peers.close()


async def test_each_peer_has_a_way_of_its_own(world, autojump_clock):
    """Also two at one place, which may go different ways with the next reload."""
    peers = world.peers()
    assert peers.pool(HERE) is not peers.pool(OTHER)
    assert peers.pool(HERE) is peers.pool(HERE)
    peers.close()


async def test_a_peer_that_moves_is_asked_where_it_is_now(world, autojump_clock):
    """And the connections to where it was are closed, for nobody would use them again."""
    peers = world.peers()
    for place in (HERE, ELSEWHERE):
        await ask(peers.pool(place))
    await wait_all_tasks_blocked()
    assert [asked.origin for asked in world.upstream.asked] == [HERE.origin, ELSEWHERE.origin]
    assert world.upstream.hung_up == {"idle": 1}
    peers.close()


@pytest.mark.parametrize("end", ["moved", "closed"])
async def test_what_is_being_answered_is_answered_to_its_end(end, world, nursery, autojump_clock):
    """A reload must not cut a stream; its connection is closed when it is over."""
    go_on = trio.Event()

    async def slow(asked: Asked) -> None:
        await asked.begin_events()
        await go_on.wait()
        await asked.chunk(b"data: 1\n\n")
        await asked.chunk(b"")

    world.upstream.handler = slow
    peers = world.peers()
    async with peers.pool(HERE).exchange(GET) as answer:
        if end == "moved":
            peers.pool(ELSEWHERE)
        else:
            peers.close()
        go_on.set()
        assert await answer.read() == b"data: 1\n\n"
        assert await answer.read() == b""
    await wait_all_tasks_blocked()
    assert world.upstream.hung_up == {"idle": 1}


async def test_closing_closes_the_ways_to_all(world, autojump_clock):
    """Whatever is idle goes at once, and there may be nothing at all."""
    peers = world.peers()
    for peer in (HERE, OTHER):
        await ask(peers.pool(peer))
    peers.close()
    peers.close()
    await wait_all_tasks_blocked()
    assert world.upstream.hung_up == {"idle": 2}
