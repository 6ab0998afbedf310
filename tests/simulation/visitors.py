"""Clients of a simulation: what each sends, reads and gets, and whether that was right.

A client that is served must get one complete answer of the model, or one error, or see that the
answer was cut; and what it gets of the model's is what the model sent, from the beginning.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress

import attrs
import h11
import trio

from tests.simulation.machine import Attempt
from tests.simulation.plan import Reads, Sends, Visit
from tests.simulation.wires import End

# Longer than whatever a client may have to wait for, one after the other. Seconds.
PATIENCE = 3000.0

# How a line about the loading begins, where a model wants them to be seen.
LINE = b'data: {"choices":[{"delta":{"reasoning_content":'

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
    got: list[Got] = attrs.field(factory=list)
    turned_away: bool = False
    """Whether nobody listened any more."""
    begun: bool = False
    over: trio.Event = attrs.field(factory=trio.Event)

    async def run(self) -> None:
        visit = self.visit
        await moment(visit.at, visit.steps)
        self.begun = True
        if (end := self.connect()) is None:
            self.turned_away = True
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
        finally:
            self.over.set()
            end.close()

    def _left(self) -> None:
        if self.got and self.got[-1].end != "whole":
            self.got[-1].end = "left"

    async def _ask(self, end: End) -> None:
        visit = self.visit
        reader = Reader(end, slowly=visit.reads is Reads.SLOWLY)
        for _ in range(visit.again + 1):
            self.got.append(Got())
            await self._send(end)
            if visit.sends in (Sends.HALF_HEAD, Sends.HALF_BODY) or visit.reads is Reads.NEVER:
                await trio.sleep_forever()
            await reader.answer(self.got[-1])
            if visit.sends is Sends.TWICE:
                self.got.append(Got())
                await reader.answer(self.got[-1])
            if self.got[-1].end != "whole" or self._closes(self.got[-1]):
                return

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

    # What it must have got

    def complaints(self, attempts: Sequence[Attempt], *, stopped: float | None) -> list[str]:
        """Say what was wrong with what it got; `stopped` is when the daemon was told to."""
        if not self.begun:
            return []  # The daemon had stopped before.
        if not self.over.is_set():
            return [f"visit {self.visit.name} never came to its end: {self.got}"]
        if self.turned_away:
            return [] if stopped is not None else [f"visit {self.visit.name} was not let in"]
        mine = [one for one in attempts if one.visit == self.visit.name]
        return [
            f"visit {self.visit.name}: {wrong}: {got}"
            for got in self.got
            if (wrong := self._complaint(got, mine, stopped=stopped is not None))
        ]

    def _complaint(self, got: Got, attempts: Sequence[Attempt], *, stopped: bool) -> str | None:
        if got.status is None:
            honest = self.visit.sends in (Sends.WHOLE, Sends.SLOWLY, Sends.TWICE)
            if got.end == "left" or not honest or stopped:
                return None
            return "the connection ended without a word"
        if got.end == "whole" and got.status >= 400 and got.code() is not None:
            return None
        body, said = plain(bytes(got.body), got.headers)
        fitting = [one for one in attempts if one.status == got.status or said]
        if got.end == "whole" and not said:
            if any(one.whole and fits(one, body, whole=True) for one in fitting):
                return None
            return "it looks complete, and no model has sent it so"
        if not body or any(fits(one, body, whole=False) for one in fitting):
            return None
        return "no model has sent what it begins with"


def plain(body: bytes, headers: dict[str, str]) -> tuple[bytes, bool]:
    """Take off an event stream what we have put in: comments before it, an error behind it.

    Answers also whether there is such an error.
    """
    if not headers.get("content-type", "").startswith("text/event-stream"):
        return body, False
    while body.startswith((b":", b"\n", b"event: ping\n")) or _narrates(body):
        body = body.partition(b"\n\n")[2]
    events = body.split(b"\n\n")
    failed = [
        number
        for number, event in enumerate(events)
        if b'"error"' in event and event.lstrip().startswith((b"data:", b"event:"))
    ]
    if failed:
        return b"\n\n".join([*events[: failed[0]], b""] if failed[0] else []).rstrip(b"\n"), True
    return body, False


def _narrates(body: bytes) -> bool:
    """Whether a line about the loading comes first; one may be cut off."""
    event = body.partition(b"\n\n")[0]
    return event.startswith(LINE) or (bool(event) and LINE.startswith(event))


def fits(attempt: Attempt, body: bytes, *, whole: bool) -> bool:
    """Say whether an answer is what was sent, or its beginning.

    A stream that we have begun shows an answer that is none as one event.
    """
    sent = bytes(attempt.body)
    as_event = b"data: " + sent + b"\n\n"
    if whole:
        return body in (sent, as_event, as_event + b"data: [DONE]\n\n")
    return sent.startswith(body) or as_event.startswith(body)


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
