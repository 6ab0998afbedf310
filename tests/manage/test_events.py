"""`GET /api/events` as its clients see it."""

from collections.abc import Callable

import pytest
import trio
from quart_trio import QuartTrio
from trio.testing import wait_all_tasks_blocked

from swapd.manage import events
from swapd.manage.listening import PIECE
from swapd.manage.streaming import PAUSE
from tests.scenes import Client, open_scene, read


async def test_the_stream_says_what_it_is(nursery, autojump_clock):
    """And that nobody on the way is to keep it back, or to wait for more."""
    async with open_scene() as scene:
        client = Client()
        nursery.start_soon(client.ask, scene.live)
        await trio.sleep(1)
        assert client.status == 200
        assert client.headers == {
            "content-type": "text/event-stream",
            "cache-control": "no-cache",
            "connection": "keep-alive",
            "x-content-type-options": "nosniff",
            "x-accel-buffering": "no",
        }
        assert not client.ended
        client.left.set()


async def test_who_asks_for_its_head_follows_nothing(autojump_clock):
    """It would wait for the end of a stream that has none."""
    async with open_scene() as scene:
        client = Client()
        await client.ask(scene.live, method="HEAD")
        assert (client.status, client.ended, client.body) == (200, True, b"")
        assert scene.logs.proxy.followers == 0


async def test_who_leaves_is_followed_by_nothing(nursery, autojump_clock):
    """Neither a task nor a queue: browsers come and go for months."""
    async with open_scene() as scene:
        for seconds in (0.0, 0.001, 1.0):
            client = Client()
            async with trio.open_nursery() as visit:
                visit.start_soon(client.ask, scene.live)
                await trio.sleep(seconds)
                client.left.set()
            await trio.sleep(1)
            assert not client.ended
            assert scene.logs.proxy.followers == 0


async def test_the_stream_ends_properly_and_soon_when_the_daemon_stops(autojump_clock):
    """A stop must not wait for who only looks on, and no browser is to take it for a cut."""
    async with open_scene() as scene:
        clients = [Client() for _ in range(3)]
        async with trio.open_nursery() as visits:
            for client in clients:
                visits.start_soon(client.ask, scene.live)
            await trio.sleep(1)
            scene.recorded(1)
            await wait_all_tasks_blocked()
            before = trio.current_time()
            scene.live.close()
        assert trio.current_time() <= before + PAUSE
        assert [client.ended for client in clients] == [True] * 3


async def test_a_flood_is_few_large_writes(autojump_clock):
    """Each write costs the one thread that tokens go through as well."""
    async with open_scene() as scene, trio.open_nursery() as visits:
        client = Client()
        visits.start_soon(client.ask, scene.live)
        await trio.sleep(1)
        begun = len(client.pieces)
        for row in range(1000):
            scene.logs.upstream.write(b"x" * 100)
            scene.recorded(row)
            await trio.sleep(0.001)
        await trio.sleep(1)
        later = client.pieces[begun:]
        assert len(later) <= 1.0 / PAUSE + 2
        assert max(map(len, later)) <= PIECE
        found = [said for kind, said in read(b"".join(later)) if kind == "activity"]
        assert found == [{"id": row} for row in range(1000)]
        client.left.set()


@pytest.mark.parametrize("count", [2, 100])
async def test_one_is_written_to_at_a_time(count, autojump_clock):
    """A hundred writes in one pass of the scheduler would hold up every request."""
    async with open_scene() as scene, trio.open_nursery() as visits:
        app = QuartTrio("page", static_folder=None)
        app.register_blueprint(events.blueprint(scene.live))
        clients = [Client() for _ in range(count)]
        for client in clients:
            visits.start_soon(client.ask_app, app)
        await trio.sleep(1)
        before = [len(client.pieces) for client in clients]
        writes = Writes(lambda: sum(len(client.pieces) for client in clients))
        trio.lowlevel.add_instrument(writes)
        scene.recorded(1)
        await trio.sleep(1)
        trio.lowlevel.remove_instrument(writes)
        assert [len(client.pieces) for client in clients] == [one + 1 for one in before]
        assert writes.most == 1
        assert len({client.body for client in clients}) == 1
        for client in clients:
            client.left.set()


class Writes(trio.abc.Instrument):
    """Finds the most that is written in one pass of the scheduler."""

    def __init__(self, count: Callable[[], int]) -> None:
        self.most = 0
        self._count = count
        self._before = count()

    def after_io_wait(self, timeout: float) -> None:
        self._before = self._count()

    def before_io_wait(self, timeout: float) -> None:
        self.most = max(self.most, self._count() - self._before)
