"""Stand-ins for the world outside, each held to the contract that the real one passes.

FakeModels     for the supervisor: pretend processes that load and stop in pretend time
FakeUpstream   for a model's HTTP server, over memory streams
"""

import json
import math
from collections import Counter
from collections.abc import Callable
from typing import Any, NoReturn

import attrs
import h11
import trio
from trio.testing import memory_stream_pair
from trio_util import move_on_when

from swapd.config.settings import Model, Origin
from swapd.ids import ModelId
from swapd.models.probe import LIVENESS_PATIENCE, keep_asking
from swapd.models.supervisor import Life
from swapd.schedule.reasons import Cause
from swapd.wire.exchange import UpstreamUnreached

BROKEN = Cause("exited with code 1", exit_code=1, last_lines=("boom",))
CRASHED = Cause("killed by SIGKILL", signal=9)

# The first load's pretend process id; the next load's is the next number.
FIRST_PID = 1001


@attrs.define
class FakeModels:
    """Lives runs as the supervisor does, without any process. Times are pretend seconds."""

    load: float = 1.0
    stop: float = 0.5
    """How long they take to end, unless SIGKILL comes before that."""
    broken: set[ModelId] = attrs.field(factory=set)
    """These fail to start, after their load time."""
    unkillable: set[ModelId] = attrs.field(factory=set)
    stubborn: set[ModelId] = attrs.field(factory=set)
    """These ignore SIGTERM, and end when their grace is over."""
    deaf: set[ModelId] = attrs.field(factory=set)
    """These, once loaded, answer no health check while they are in here."""
    words: dict[ModelId, str] = attrs.field(factory=dict)
    """What these say of themselves when they are started."""
    liveness_patience: float = LIVENESS_PATIENCE
    loads: list[ModelId] = attrs.field(factory=list)
    """Every start, in order."""
    running: set[ModelId] = attrs.field(factory=set)
    """What occupies memory now."""
    most: int = 0
    """The most that ever occupied memory at once."""
    _crashes: dict[ModelId, trio.Event] = attrs.field(factory=dict)
    _killed: trio.Event = attrs.field(factory=trio.Event)

    async def __call__(self, model: Model, life: Life) -> None:
        """Live one run."""
        self.loads.append(model.id)
        self.running.add(model.id)
        self.most = max(self.most, len(self.running))
        crashed = self._crashes[model.id] = trio.Event()
        life.spawned(FIRST_PID - 1 + len(self.loads))
        if model.id in self.words:
            life.says(self.words[model.id])
        try:
            await trio.sleep(self.load)
            if model.id in self.broken:
                life.broke(BROKEN)
                return
            life.ready()
            async with move_on_when(crashed.wait):
                await self._watch(model, life)
            life.broke(CRASHED)
        finally:
            with (
                trio.CancelScope(shield=True),  # bounded by the pretend time that a stop takes
                life.grace.begin(model.unload_timeout),
            ):
                await trio.sleep(math.inf if model.id in self.stubborn else self.stop)
            if model.id in self.unkillable:
                life.stuck("process 7 survived SIGKILL", self._gone)
            self.running.discard(model.id)

    def crash(self, model: str) -> None:
        """Have the running model die by itself."""
        self._crashes[ModelId(model)].set()

    def let_go(self) -> None:
        """Have what survived SIGKILL die at last."""
        self._killed.set()

    async def _watch(self, model: Model, life: Life) -> NoReturn:
        async def ask() -> int | None:
            await trio.lowlevel.checkpoint()
            return None if model.id in self.deaf else 200

        if model.check_endpoint is not None and model.liveness_interval > 0:
            interval, patience = model.liveness_interval, self.liveness_patience
            await keep_asking(ask, life, interval=interval, patience=patience)
        await trio.sleep_forever()

    async def _gone(self) -> None:
        await self._killed.wait()


Handler = Callable[["Asked"], Any]


@attrs.define
class Asked:
    """One request at the fake upstream, and the means to answer it as badly as one likes."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    stream: trio.abc.Stream
    origin: Origin
    """Where it was asked."""
    left: trio.Event = attrs.field(factory=trio.Event)
    """Set when `gone` has seen the other side hang up."""

    async def send(self, data: bytes) -> None:
        """Send raw bytes."""
        await self.stream.send_all(data)

    async def answer(self, body: bytes = b"{}", *, status: int = 200, extra: bytes = b"") -> None:
        """Send a whole answer with a length."""
        head = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%b\r\n" % (status, len(body), extra)
        await self.send(head + body)

    async def begin_events(self) -> None:
        """Send the head of a chunked stream of events."""
        await self.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )

    async def chunk(self, data: bytes) -> None:
        """Send one chunk; an empty one is the end."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def gone(self) -> None:
        """Wait until the other side hangs up."""
        while await self.stream.receive_some():
            pass
        self.left.set()


async def echo(asked: Asked) -> None:
    """Answer with what was asked."""
    seen = {"target": asked.target, "headers": asked.headers, "body": asked.body.decode()}
    await asked.answer(json.dumps(seen).encode(), extra=b"Content-Type: application/json\r\n")


@attrs.define
class FakeUpstream:
    """A model's HTTP server over memory streams; `connect` is what a pool is given."""

    nursery: trio.Nursery
    handler: Handler = echo
    reachable: bool = True
    asked: list[Asked] = attrs.field(factory=list)
    connections: int = 0
    hung_up: Counter[str] = attrs.field(factory=Counter)
    """How often the other side closed, by what was going on."""

    async def connect(self, origin: Origin) -> trio.abc.Stream:
        """Open a connection, as `wire.dial.connect` does."""
        await trio.lowlevel.checkpoint()
        if not self.reachable:
            raise UpstreamUnreached(f"cannot reach {origin}: connection refused")
        ours, theirs = memory_stream_pair()
        self.connections += 1
        self.nursery.start_soon(self._serve, theirs, origin)
        return ours

    async def _serve(self, stream: trio.abc.Stream, origin: Origin) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            while (asked := await read_request(connection, stream, origin)) is not None:
                self.asked.append(asked)
                await self.handler(asked)
                # The handler wrote past h11; start afresh, as after any complete exchange.
                connection = h11.Connection(h11.SERVER)
            self.hung_up["idle"] += 1
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            self.hung_up["in the middle"] += 1
        finally:
            await trio.aclose_forcefully(stream)


async def read_request(
    connection: h11.Connection, stream: trio.abc.Stream, origin: Origin
) -> Asked | None:
    head: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some()))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            headers = {name.decode(): value.decode() for name, value in head.headers}
            method, target = head.method.decode(), head.target.decode()
            return Asked(method, target, headers, body, stream, origin)
        else:
            return None
