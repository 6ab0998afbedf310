"""A whole swapd in pretend time: real scheduler, engine, relay, Quart and hypercorn.

Only what lies outside is pretended: processes, the models' servers, sockets and the clock.

    async with open_house("a", "b") as house:
        answer = await house.post("/v1/chat/completions", {"model": "a"})
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

import attrs
import h11
import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair

from swapd.config.load import Loaded
from swapd.config.settings import Model, Settings
from swapd.engine import Engine
from swapd.flights import Flights
from swapd.front.connection import Peer
from swapd.front.gateway import make_gateway
from swapd.front.serve import Front
from swapd.ids import ModelId
from swapd.loads import Loads
from swapd.manage.app import make_app
from swapd.manage.live import Live
from swapd.profiles import Profiles
from swapd.proxy.peers import Peers
from swapd.proxy.relay import Relay
from swapd.reload import Read, Reloader
from swapd.schedule.choose import choose
from swapd.watch.logs import Logs
from swapd.watch.watching import Watching
from swapd.watchers import open_recorder, watch_over
from swapd.wire.line import shut
from swapd.wire.pool import Pool
from tests import stories
from tests.fakes import FakeModels, FakeUpstream

T = TypeVar("T")


@attrs.define
class Reply:
    """What a client got."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool
    """Whether HTTP's own framing says that this is all of it."""

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error envelope."""
        return str(self.json()["error"]["code"])


@attrs.define
class Caller:
    """One client's connection."""

    stream: trio.abc.Stream
    resets: list[str]
    """Has an entry when swapd had the closing reset the connection."""
    _http: h11.Connection = attrs.field(factory=lambda: h11.Connection(h11.CLIENT))

    async def send(
        self,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send a request and wait for nothing."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        if body is None:
            data = b""
        verb = method or ("GET" if body is None else "POST")
        fields = {"Host": "swapd", "Content-Length": str(len(data)), **(headers or {})}
        head = h11.Request(method=verb, target=path, headers=list(fields.items()))
        await self.raw(
            (self._http.send(head) or b"")
            + (self._http.send(h11.Data(data=data)) or b"")
            + (self._http.send(h11.EndOfMessage()) or b"")
        )

    async def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        await self.stream.send_all(data)

    async def head(self) -> h11.Response:
        """Wait for the head of the answer."""
        event = await self._event()
        assert isinstance(event, h11.Response)
        return event

    async def piece(self) -> bytes | None:
        """Wait for what comes next of the body; b"" is its proper end, None a cut."""
        event = await self._event()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        return b"" if isinstance(event, h11.EndOfMessage) else None

    async def reply(self) -> Reply:
        """Wait for the whole answer, or what there is of it."""
        head = await self.head()
        body = b""
        while piece := await self.piece():
            body += piece
        headers = {name.decode().lower(): value.decode() for name, value in head.headers}
        reply = Reply(head.status_code, headers, body, complete=piece == b"")
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return reply

    async def leave(self) -> None:
        """Hang up."""
        await trio.aclose_forcefully(self.stream)

    async def _event(self) -> Any:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                return None
            if event is not h11.NEED_DATA:
                return event
            try:
                self._http.receive_data(bytes(await self.stream.receive_some()))
            except trio.BrokenResourceError:
                return None


@attrs.define
class House:
    """The pretend world around one swapd."""

    engine: Engine
    reloader: Reloader
    front: Front
    models: FakeModels
    upstream: FakeUpstream
    flights: Flights
    nursery: trio.Nursery
    headers: Mapping[str, str]
    """What `post` and `get` send with every request, such as a key."""
    read_ahead: list[ModelId]
    """Whose files were asked for ahead of a load, in order."""
    watching: Watching
    live: Live

    def call(self, *, stalling: bool = False) -> Caller:
        """Connect a client; a stalling one blocks the other side until it reads."""
        ours, theirs = lockstep_stream_pair() if stalling else memory_stream_pair()
        resets: list[str] = []
        peer = Peer(
            theirs,
            ("10.0.0.7", 5000),
            ("127.0.0.1", 8080),
            send_now=lambda data: 0,
            reset=lambda: resets.append("reset"),
        )
        self.nursery.start_soon(self._serve, peer)
        return Caller(ours, resets)

    async def _serve(self, peer: Peer) -> None:
        try:
            await self.front.serve(peer)
        finally:
            shut(peer.stream)

    async def post(self, path: str, body: bytes | Mapping[str, Any], **headers: str) -> Reply:
        """Ask once, on a connection of its own; `content_type` becomes `Content-Type`."""
        caller = self.call()
        await caller.send(path, body, headers=self._fields(headers))
        reply = await caller.reply()
        await caller.leave()
        return reply

    async def get(self, path: str, *, method: str = "GET", **headers: str) -> Reply:
        """Ask once, on a connection of its own."""
        caller = self.call()
        await caller.send(path, method=method, headers=self._fields(headers))
        reply = await caller.reply()
        await caller.leave()
        return reply

    def _fields(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {**self.headers, **{name.replace("_", "-"): headers[name] for name in headers}}

    def loads(self) -> str:
        """Say what was loaded so far, in order."""
        return " ".join(self.models.loads)


async def at_once(work: Callable[[], T]) -> T:
    """Do what a thread would do."""
    await trio.lowlevel.checkpoint()
    return work()


@asynccontextmanager
async def open_house(
    *models: str,
    settings: Settings | None = None,
    max_body: int = 1_000_000,
    read: Read = stories.unchanged,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[House]:
    """Run a swapd for models of these names; leaving ends it. A reload takes what `read` reads.

    `headers` are sent with every `post` and `get`.
    """
    chosen = settings or stories.settings(models)
    recorder = open_recorder(chosen, in_thread=at_once)
    with closing(recorder):
        async with trio.open_nursery() as nursery:
            fakes = FakeModels()
            upstream = FakeUpstream(nursery)

            def open_pool(model: Model) -> Pool:
                return Pool(model.origin, connect=upstream.connect)

            read_ahead: list[ModelId] = []
            logs = Logs(chosen.log_to_stdout)
            engine = Engine(
                chosen,
                choose(chosen),
                supervise=fakes,
                open_pool=open_pool,
                read_ahead=lambda model: read_ahead.append(model.id) if model else None,
            )
            reloader = Reloader(
                Loaded(chosen), read=read, adopt=engine.adopt, running=engine.running
            )
            flights, profiles = Flights(), Profiles()
            loads = Loads(engine, flights)
            watching = watch_over(engine, logs, recorder)
            live = Live(engine, flights, profiles, logs, recorder, loads)
            manage = make_app(
                *(engine, reloader),
                profiles=profiles,
                flights=flights,
                loads=loads,
                watching=watching,
                live=live,
            )
            relay = Relay(engine, flights, Peers(partial(Pool, connect=upstream.connect)))
            front = Front(make_gateway(relay, profiles, manage, watching, max_body=max_body))
            await nursery.start(engine.run)
            await nursery.start(reloader.run)
            await nursery.start(loads.run)
            await nursery.start(recorder.run)
            await nursery.start(live.run)
            yield House(
                *(engine, reloader, front, fakes, upstream, flights, nursery, headers, read_ahead),
                *(watching, live),
            )
            nursery.cancel_scope.cancel()
