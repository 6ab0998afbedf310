"""Everybody who reports what happens, and one who tells it, without a front or a process.

async with open_scene() as scene:
    with scene.live.follow() as listener:
        events = await told(listener)
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio
from quart_trio import QuartTrio

from swapd.config.settings import Profile, Settings
from swapd.engine import Engine
from swapd.flights import Flight, Flights
from swapd.ids import ModelId
from swapd.loads import Loads
from swapd.manage import events
from swapd.manage.listening import Listener
from swapd.manage.live import Live
from swapd.profiles import Profiles
from swapd.schedule.choose import choose
from swapd.watch.captures import Captures
from swapd.watch.monitor import Monitor
from swapd.watch.recorder import Recorder
from swapd.watch.store import open_store
from swapd.watch.trace import Header, Trace
from swapd.wire.pool import Pool
from tests import stories
from tests.fakes import FakeModels

A = ModelId("a")

SETTINGS = attrs.evolve(stories.settings(["a", "b"]), profiles={"night": Profile("night", {})})

Event = tuple[str, Any]


@attrs.frozen
class Both:
    """Two logs, and nothing that writes them."""

    proxy: Monitor = attrs.field(factory=Monitor)
    upstream: Monitor = attrs.field(factory=Monitor)


@attrs.define
class Scene:
    """Everybody who reports something, and one who tells."""

    engine: Engine
    models: FakeModels
    flights: Flights
    profiles: Profiles
    loads: Loads
    recorder: Recorder
    logs: Both
    live: Live

    def trace(
        self,
        name: str = "r-1",
        *,
        path: str = "/v1/chat/completions",
        method: str = "POST",
        headers: list[Header] | None = None,
        address: str = "10.0.0.7",
        shown: bool = True,
    ) -> Trace:
        """Make a request that is not under way yet."""
        made = Trace(
            name,
            method=method,
            path=path,
            protocol="1.1",
            headers=headers or [],
            address=address,
            agent="",
        )
        made.model, made.shown = "a", shown
        return made

    def open(self, trace: Trace) -> Flight:
        """Have a request under way."""
        return self.flights.open(
            trace.name,
            method=trace.method,
            path=trace.path,
            client=trace.address,
            model=trace.model,
            trace=trace,
        )

    def recorded(self, row: int) -> None:
        """Have a row stored."""
        for hear in self.recorder.heard:
            hear(row)


@asynccontextmanager
async def open_scene(settings: Settings = SETTINGS) -> AsyncIterator[Scene]:
    """Run everything that reports something."""
    flights, profiles, logs = Flights(), Profiles(), Both()
    recorder = Recorder(open_store(None, most=1, days=0), Captures(0))
    models = FakeModels()
    engine = Engine(
        settings,
        choose(settings),
        supervise=models,
        open_pool=lambda model: Pool(model.origin),
    )
    loads = Loads(engine, flights)
    live = Live(engine, flights, profiles, logs, recorder, loads)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(engine.run)
            await nursery.start(loads.run)
            await nursery.start(live.run)
            yield Scene(engine, models, flights, profiles, loads, recorder, logs, live)
            nursery.cancel_scope.cancel()
    finally:
        recorder.close()


def read(data: bytes) -> list[Event]:
    """Take what was sent apart: type and data of each event."""
    events = (part.partition(b"\ndata:")[2] for part in data.split(b"\n\n") if part)
    return [(each["type"], json.loads(each["data"])) for each in map(json.loads, events)]


async def told(listener: Listener, seconds: float = 1.0) -> list[Event]:
    """Hear what is told within so many seconds."""
    events = []
    with trio.move_on_after(seconds):
        while piece := await listener.receive():
            events += read(piece)
    return events


def states(events: list[Event]) -> list[list[str]]:
    """Pick how the models stand, each time that this was told."""
    return [[one["state"] for one in said] for kind, said in events if kind == "modelStatus"]


@attrs.define
class Client:
    """One who asks for the page, and what it got so far."""

    status: int = 0
    headers: Mapping[str, str] = attrs.field(factory=dict)
    pieces: list[bytes] = attrs.field(factory=list)
    ended: bool = False
    """Whether that is all."""
    left: trio.Event = attrs.field(factory=trio.Event)
    """To be set when it hangs up."""

    async def ask(self, live: Live, *, method: str = "GET") -> None:
        """Ask, and read until it ends or the client leaves."""
        app = QuartTrio("page", static_folder=None)
        app.register_blueprint(events.blueprint(live))
        await self.ask_app(app, method=method)

    async def ask_app(self, app: Any, *, method: str = "GET") -> None:
        """Ask one of those who share a page."""
        messages = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await self.left.wait()
            return {"type": "http.disconnect"}

        await app(
            {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.3"},
                "http_version": "1.1",
                "method": method,
                "scheme": "http",
                "path": "/api/events",
                "raw_path": b"/api/events",
                "query_string": b"",
                "root_path": "",
                "headers": [(b"host", b"swapd")],
                "client": ("10.0.0.7", 5000),
                "server": ("127.0.0.1", 8080),
                "extensions": {},
                "state": {},
            },
            receive,
            self._take,
        )

    async def _take(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            fields = message["headers"]
            self.headers = {name.decode().lower(): value.decode() for name, value in fields}
        else:
            self.pieces += [message["body"]] if message["body"] else []
            self.ended = not message["more_body"]
        await trio.lowlevel.checkpoint()

    @property
    def body(self) -> bytes:
        """All that it got."""
        return b"".join(self.pieces)
