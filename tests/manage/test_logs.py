"""The logs over HTTP: what was written, and what is being written. Rows G1 to G4, L017, L018."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from quart.testing import QuartClient
from quart_trio import QuartTrio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked
from werkzeug.routing import BaseConverter

from swapd.config.kinds import LogTarget
from swapd.config.settings import Model, Peer, Settings
from swapd.engine import Engine
from swapd.front import connection
from swapd.front.serve import Front
from swapd.ids import ModelId
from swapd.manage.logs import WHICH, blueprint
from swapd.schedule.choose import choose
from swapd.watch.logs import Logs
from swapd.wire.pool import Pool
from tests import stories
from tests.fakes import FakeModels
from tests.house import Caller

STREAM = "/logs/stream"


class Id(BaseConverter):
    """As in the control plane's app."""

    regex = ".+"
    part_isolating = False


def settings() -> Settings:
    """Make models whose names are beginnings of each other, and a peer's in between."""
    plain = stories.settings(["a"])
    models = {
        ModelId(name): attrs.evolve(plain.models[ModelId("a")], id=ModelId(name), aliases=aliases)
        for name, aliases in (("a", ("other/name",)), ("a/b", ()), ("proxy", ()), ("deep", ()))
    }
    origin = models[ModelId("a")].origin
    return attrs.evolve(
        plain, models=models, peers={"deep": Peer("deep", origin, ("remote",))}, groups={}
    )


@attrs.define
class World:
    """The pages of the logs, and nothing else."""

    logs: Logs
    app: Any

    @property
    def client(self) -> QuartClient:
        """Ask without a connection."""
        client: QuartClient = self.app.test_client()
        return client


@pytest.fixture
def world() -> World:
    """Make the pages over an engine that does not run."""
    chosen = settings()

    def open_pool(model: Model) -> Pool:
        return Pool(model.origin)

    engine = Engine(chosen, choose(chosen), supervise=FakeModels(), open_pool=open_pool)
    logs = Logs(LogTarget.BOTH)
    app = QuartTrio("test", static_folder=None)
    app.config["RESPONSE_TIMEOUT"] = None
    app.url_map.merge_slashes = False
    app.url_map.converters["id"] = Id
    app.register_blueprint(blueprint(engine, logs))
    return World(logs, app)


@asynccontextmanager
async def serving(world: World) -> AsyncIterator[Iterator[Caller]]:
    """Have clients connect, each with the next caller."""
    front = Front(world.app)

    async with trio.open_nursery() as nursery:

        def callers() -> Iterator[Caller]:
            while True:
                ours, theirs = memory_stream_pair()
                here = ("127.0.0.1", 8080)
                peer = connection.Peer(theirs, here, here, lambda data: 0, lambda: None)
                nursery.start_soon(front.serve, peer)
                yield Caller(ours, [])

        yield callers()
        nursery.cancel_scope.cancel()


async def test_g1_l017_the_history_is_bytes_as_they_were_written(world, autojump_clock):
    """Whatever a model writes, and no browser is to make a page of it."""
    world.logs.combined.write(b"hello\n\xff\x1b[1m<script>")
    for accept in ("", "*/*", "text/plain"):
        reply = await world.client.get("/logs", headers={"Accept": accept})
        assert reply.status_code == 200
        assert reply.content_type == "text/plain; charset=utf-8"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert await reply.get_data() == b"hello\n\xff\x1b[1m<script>"


async def test_g2_l018_browsers_are_sent_to_the_page(world, autojump_clock):
    """Which shows the same and more."""
    reply = await world.client.get("/logs", headers={"Accept": "text/html,*/*;q=0.8"})
    assert (reply.status_code, reply.headers["Location"]) == (302, "/ui/")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("", b"c", id="combined"),
        pytest.param("/proxy", b"p", id="proxy before a model of its name"),
        pytest.param("/upstream", b"u", id="upstream"),
        pytest.param("/a", b"log of a", id="G3"),
        pytest.param("/other/name", b"log of a", id="alias with a slash"),
        pytest.param("/other%2Fname", b"log of a", id="escaped"),
        pytest.param("/a/b", b"log of a/b", id="longest"),
        pytest.param("/a/c/d", b"log of a", id="what follows does not matter"),
        pytest.param("/a/", b"log of a", id="slash at the end"),
        pytest.param("/a/" + "x/" * 10_000, b"log of a", id="long"),
        pytest.param("/proxy/x", b"log of proxy", id="proxy as a model"),
    ],
)
async def test_each_log_has_its_stream(path, expected, world, autojump_clock):
    """First what was written before."""
    for name in ("a", "a/b", "proxy"):
        world.logs.of(ModelId(name)).write(f"log of {name}".encode())
    world.logs.upstream.clear()
    world.logs.combined.clear()
    world.logs.upstream.write(b"u")
    world.logs.combined.clear()
    world.logs.proxy.write(b"p")
    world.logs.combined.clear()
    world.logs.combined.write(b"c")
    async with serving(world) as callers:
        caller = next(callers)
        await caller.send(STREAM + path)
        head = await caller.head()
        headers = {name.lower(): value for name, value in head.headers}
        assert head.status_code == 200
        assert headers[b"content-type"] == b"text/plain; charset=utf-8"
        assert headers[b"x-content-type-options"] == b"nosniff"
        assert headers[b"x-accel-buffering"] == b"no"
        assert await caller.piece() == expected


@pytest.mark.parametrize(
    "name", ["no-such-model", "deep/remote", "remote", "b", "Proxy", "ab", "%20", "x/" * 10_000]
)
async def test_g4_other_names_are_refused(name, world, autojump_clock):
    """A peer's models write their logs elsewhere."""
    reply = await world.client.get(f"{STREAM}/{name}")
    assert reply.status_code == 400
    assert (await reply.get_json())["error"]["message"] == WHICH


@pytest.mark.parametrize("query", ["?no-history", "?no-history=false", "?x=1&no-history=1"])
async def test_without_the_history_a_stream_begins_now(query, world, autojump_clock):
    """Whatever the parameter's value, as in llama-swap."""
    world.logs.combined.write(b"before")
    async with serving(world) as callers:
        caller = next(callers)
        await caller.send(STREAM + query)
        await wait_all_tasks_blocked()
        world.logs.combined.write(b"after")
        await caller.head()
        assert await caller.piece() == b"after"


async def test_history_and_what_follows_are_one_stream(world, autojump_clock):
    """Nothing twice and nothing missing, while a model writes on."""
    log = world.logs.of(ModelId("a"))
    written = b""

    async def write() -> None:
        nonlocal written
        for number in range(500):
            line = b"%d\n" % number
            written += line
            log.write(line)
            await trio.sleep(0.01)
        log.close()

    async with serving(world) as callers, trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.sleep(2)
        caller = next(callers)
        await caller.send(f"{STREAM}/a")
        reply = await caller.reply()
        assert reply.body == written
        assert reply.complete


async def test_a_client_that_leaves_is_followed_by_nobody(world, autojump_clock):
    """Also while nothing is written, which is most of the time."""
    async with serving(world) as callers:
        for _ in range(3):
            caller = next(callers)
            await caller.send(STREAM)
            await wait_all_tasks_blocked()
            assert world.logs.combined.followers == 1
            await caller.leave()
            await wait_all_tasks_blocked()
            assert world.logs.combined.followers == 0


async def test_streams_end_properly_when_the_daemon_does(world, autojump_clock):
    """With the last words; else each would hold up the stop, and look like a crash."""
    async with serving(world) as callers:
        caller = next(callers)
        await caller.send(STREAM)
        await wait_all_tasks_blocked()
        world.logs.combined.write(b"stopped")
        world.logs.close()
        reply = await caller.reply()
        assert (reply.body, reply.complete) == (b"stopped", True)
        assert world.logs.combined.followers == 0


async def test_who_asks_for_the_head_follows_nothing(world, autojump_clock):
    """An answer without an end would never be over."""
    with trio.fail_after(5):
        reply = await world.client.head(STREAM)
    assert reply.status_code == 200
    assert world.logs.combined.followers == 0
