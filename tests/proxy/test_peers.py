"""The ways to peers: kept while they lead there, and never pulled from under a request."""

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.settings import Origin, Peer
from swapd.proxy.peers import MOST_HOPS, Peers
from swapd.wire.exchange import Request
from swapd.wire.pool import Pool
from tests import stories
from tests.fakes import Asked, FakeUpstream
from tests.house import open_house

HERE = Peer("strix", Origin("http", "10.0.0.9", 80), ("x",))
ELSEWHERE = attrs.evolve(HERE, origin=Origin("http", "10.0.0.10", 80))
OTHER = attrs.evolve(HERE, id="cuda")

GET = Request("GET", b"/", [(b"Host", b"strix")], b"")


CHAT = "/v1/chat/completions"

KNOWN = frozenset(("strix", "cuda"))


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
        await ask(peers.pool(changed, KNOWN))
    assert world.upstream.connections == 1
    peers.close()


async def test_each_peer_has_a_way_of_its_own(world, autojump_clock):
    """Also two at one place, which may go different ways with the next reload."""
    peers = world.peers()
    assert peers.pool(HERE, KNOWN) is not peers.pool(OTHER, KNOWN)
    assert peers.pool(HERE, KNOWN) is peers.pool(HERE, KNOWN)
    peers.close()


async def test_a_peer_that_moves_is_asked_where_it_is_now(world, autojump_clock):
    """And the connections to where it was are closed, for nobody would use them again."""
    peers = world.peers()
    for place in (HERE, ELSEWHERE):
        await ask(peers.pool(place, KNOWN))
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
    async with peers.pool(HERE, KNOWN).exchange(GET) as answer:
        if end == "moved":
            peers.pool(ELSEWHERE, KNOWN)
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
        await ask(peers.pool(peer, KNOWN))
    peers.close()
    peers.close()
    await wait_all_tasks_blocked()
    assert world.upstream.hung_up == {"idle": 2}


async def test_a_peer_that_is_configured_no_more_is_forgotten(world, autojump_clock):
    """With its connections, when any other is asked."""
    peers = world.peers()
    await ask(peers.pool(OTHER, KNOWN))
    await ask(peers.pool(HERE, {"strix"}))
    await wait_all_tasks_blocked()
    assert world.upstream.hung_up["idle"] == 1
    peers.close()


@pytest.mark.parametrize(
    ("through", "circle"),
    [
        ([], False),
        ([b"1.1 nginx, 1.1 swapd-other"], False),
        ([b"1.1 nginx", b"1.1 SELF, 1.1 nginx"], True),
        ([b"1.1 swapd-%d" % number for number in range(MOST_HOPS - 1)], False),
        ([b"1.1 swapd-%d" % number for number in range(MOST_HOPS)], True),
    ],
)
def test_a_circle_is_found_out(through, circle):
    """It would go round until the last connection was used up, and answer nobody."""
    peers = Peers()
    mine = peers.name.encode()
    headers = [(b"Via", value.replace(b"SELF", mine)) for value in through]
    assert peers.circle(headers) is circle


async def test_a_peer_that_is_ourselves_is_asked_once(autojump_clock):
    """A slip in a configuration; the answer says what it is."""
    peers = {"me": Peer("me", Origin("http", "127.0.0.1", 8080), ("zz",))}
    async with open_house(settings=attrs.evolve(stories.settings([]), peers=peers)) as house:

        async def ourselves(asked: Asked) -> None:
            again = await house.post(CHAT, asked.body, via=asked.headers["via"])
            await asked.answer(again.body, status=again.status)

        house.upstream.handler = ourselves
        reply = await house.post(CHAT, {"model": "zz"})
        assert (reply.status, reply.code) == (508, "peers_in_a_circle")
        assert len(house.upstream.asked) == 1
