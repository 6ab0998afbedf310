"""Clients of a simulation: what each sends, reads and gets."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf

import attrs
import h11
import trio

from swapd.front.connection import KEEP_ALIVE, STALLED_READER
from tests.simulation.plan import Reads, Sends, Visit
from tests.simulation.process import Attempt
from tests.simulation.wires import End

# Longer than whatever a client may have to wait for, one after the other. Seconds.
PATIENCE = 3000.0

# Within this it is noticed that a client has left. Seconds.
NOTICED = 0.2

# More than `MAX_BODY` of the daemon here.
LARGE = 150_000


@attrs.define
class Got:
    """What a client got for one request."""

    status: int | None = None
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytearray = attrs.field(factory=bytearray)
    end: str = "nothing"
    """`whole`, `cut`, `nothing` before a head came, or `left` when it left by itself."""
    asked: float = attrs.field(factory=trio.current_time)
    """When all of the request was sent."""
    ended: float = 0.0
    heard: list[tuple[float, int]] = attrs.field(factory=list, repr=False)
    """When how many bytes of the body were there."""

    def code(self) -> str | None:
        """The code of our error, if it is one."""
        try:
            return str(json.loads(self.body)["error"]["code"])
        except (ValueError, KeyError, TypeError):
            return None


@attrs.define
class Reader:
    """Reads answers from a connection."""

    end: End
    slowly: bool = False
    _rest: bytes = b""
    _http: h11.Connection = attrs.field(factory=lambda: h11.Connection(h11.CLIENT))

    async def answer(self, got: Got, *, method: str = "POST") -> None:
        """Read one answer, or what there is of it."""
        self._http = h11.Connection(h11.CLIENT)
        self._http.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        self._http.send(h11.EndOfMessage())
        if self._rest:  # nothing at all would be taken for the end
            self._http.receive_data(self._rest)
        while (event := await self._event()) is not None:
            if isinstance(event, h11.Response):
                got.status, got.end = event.status_code, "cut"
                got.headers = {
                    name.decode().lower(): value.decode() for name, value in event.headers
                }
            elif isinstance(event, h11.Data):
                got.body += event.data
                got.heard.append((trio.current_time(), len(got.body)))
            elif isinstance(event, h11.EndOfMessage):
                got.end = "whole"
                self._rest = self._http.trailing_data[0]
                return

    async def _event(self) -> object:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                return None
            if isinstance(event, h11.ConnectionClosed):
                return None
            if event is not h11.NEED_DATA:
                return event
            try:
                if self.slowly:
                    await trio.sleep(0.7)
                self._http.receive_data(await self.end.receive_some(700 if self.slowly else None))
            except trio.BrokenResourceError:
                return None


@attrs.define
class Client:
    """Makes one visit."""

    visit: Visit
    connect: Callable[[], End | None]
    attempts: Sequence[Attempt]
    """All requests that have come to models."""
    got: list[Got] = attrs.field(factory=list)
    turned_away: bool = False
    """Whether nobody listened any more."""
    begun: bool = False
    went: float = inf
    """When it was over."""
    unnoticed: bool = False
    """Whether it has left, and somebody was still at work for it."""
    clogged: bool = False
    """Whether it had read nothing for long, and was still being written to."""
    outstayed: bool = False
    """Whether it was idle for too long, and nobody has closed its connection."""
    over: trio.Event = attrs.field(factory=trio.Event)

    async def run(self) -> None:
        visit = self.visit
        await moment(visit.at, visit.steps)
        self.begun = True
        if (end := self.connect()) is None:
            self.turned_away = True
            self.went = trio.current_time()
            self.over.set()
            return
        try:
            with trio.move_on_after(visit.leaves) as patience:
                # It may be cut while it is still sending.
                with suppress(trio.BrokenResourceError):
                    await self._ask(end)
            if patience.cancelled_caught:
                await steps(visit.leaves_steps)
                self._left()
                long_ago = trio.current_time() - STALLED_READER - 5.0
                self.clogged = (
                    len(end._unread) >= end._room
                    and not end.peer.closed
                    and any(
                        one.began < long_ago and one.headed is not None for one in self._mine()
                    )
                    and all(one.sent and one.sent[-1][0] < long_ago for one in self._mine())
                )
        finally:
            self.went = trio.current_time()
            self.over.set()
            end.close()
        await trio.sleep(NOTICED)
        at_work = any(one.under_way() for one in self._mine())
        self.unnoticed = not end.peer.closed or at_work

    def _mine(self) -> list[Attempt]:
        return [one for one in self.attempts if one.visit == self.visit.name]

    def _left(self) -> None:
        if self.got and self.got[-1].end != "whole":
            self.got[-1].end = "left"

    async def _ask(self, end: End) -> None:
        visit = self.visit
        reader = Reader(end, slowly=visit.reads is Reads.SLOWLY)
        for _ in range(visit.again + 1):
            self.got.append(Got())
            await self._send(end)
            self.got[-1].asked = trio.current_time()
            if visit.reads is Reads.NEVER:
                await trio.sleep_forever()
            await reader.answer(self.got[-1])
            self.got[-1].ended = trio.current_time()
            # A connection that was cut answers nothing more.
            if visit.sends is Sends.TWICE and self.got[-1].end == "whole":
                self.got.append(Got())
                await reader.answer(self.got[-1])
            if self.got[-1].end != "whole" or self._closes(self.got[-1]):
                return
        if visit.stays:
            with trio.move_on_after(visit.stays):
                while await end.receive_some():
                    pass
                return
            self.outstayed = visit.stays > KEEP_ALIVE + 1.0

    def _closes(self, got: Got) -> bool:
        return got.headers.get("connection", "").lower() == "close"

    async def _send(self, end: End) -> None:
        visit, request = self.visit, self.request()
        match visit.sends:
            case Sends.SLOWLY:
                for start in range(0, len(request), 40):
                    await end.send_all(request[start : start + 40])
                    await trio.sleep(0.4)
            case Sends.HALF_HEAD:
                await end.send_all(request[:30])
            case Sends.HALF_BODY:
                await end.send_all(request[:-5])
            case Sends.GARBAGE:
                await end.send_all(b"\x16\x03\x01 hello\r\n\r\n")
            case Sends.TWICE:
                await end.send_all(request + request)
            case Sends.HALF_CLOSED:
                await end.send_all(request)
                end.half_close()
            case _:
                await end.send_all(request)

    def request(self) -> bytes:
        """Write the request."""
        visit = self.visit
        asked = {"model": visit.model, "stream": visit.stream}
        if visit.sends is Sends.LARGE:
            asked["filler"] = "x" * LARGE
        body = json.dumps(asked).encode()
        head = f"POST {visit.path} HTTP/1.1\r\nHost: swapd\r\nX-Visit: {visit.name}\r\n"
        if visit.keep is not None:
            head += f"X-Swapd-Keep-Alive: {visit.keep}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


async def moment(at: float, after: int) -> None:
    """Wait until a moment of the day, and so many steps of everybody's tasks."""
    await trio.sleep_until(at)
    await steps(after)


async def steps(count: int) -> None:
    """Let everybody take so many steps."""
    for _ in range(count):
        await trio.lowlevel.checkpoint()


async def ask(end: End, request: str, *, bound: float, body: bytes = b"") -> Got:
    """Ask a page once, and wait for its answer."""
    got = Got()
    method = request.partition(" ")[0]
    head = f"{request} HTTP/1.1\r\nHost: swapd\r\nContent-Length: {len(body)}\r\n\r\n"
    try:
        with trio.move_on_after(bound), suppress(trio.BrokenResourceError):
            await end.send_all(head.encode() + body)
            await Reader(end).answer(got, method=method)
    finally:
        end.close()
    return got
