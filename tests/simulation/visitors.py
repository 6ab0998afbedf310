"""Clients of a simulation: what each sends, reads and gets, and whether that was right.

A client that is served must get one complete answer of the model, or one error, or see that the
answer was cut; and what it gets of the model's is what the model sent, from the beginning.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from math import inf

import attrs
import h11
import trio

from swapd.front.connection import KEEP_ALIVE, STALLED_READER
from swapd.proxy.body import LINGER, STALLED_UPLOAD
from swapd.proxy.loading import EVERY, FIRST
from tests.simulation.machine import Attempt
from tests.simulation.plan import HONEST, Does, Life, Plan, Reads, Sends, Visit
from tests.simulation.wires import End

# Longer than whatever a client may have to wait for, one after the other. Seconds.
PATIENCE = 3000.0

# How a line about the loading begins, where a model wants them to be seen.
LINE = b'data: {"choices":[{"delta":{"reasoning_content":'

# What has come from a model reaches its client within this. Seconds.
AT_ONCE = 0.5

# Within this it is noticed that a client has left. Seconds.
NOTICED = 0.2

# What says when it may be asked again.
LATER = ("back_off", "queue_full", "concurrency_limit", "shutting_down")

# Deeds that end what is served, or waits.
UNLOADS = frozenset(
    (Does.UNLOAD_ALL, Does.UNLOAD, Does.DRAIN, Does.KEEP, Does.HURRY, Does.PATIENT)
)
RELOADS = frozenset((Does.RELOAD, Does.HANGUP))

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

    # What it must have got

    def complaints(
        self, attempts: Sequence[Attempt], plan: Plan, *, stopped: float | None
    ) -> list[str]:
        """Say what was wrong with what it got; `stopped` is when the daemon was told to.

        That excuses nothing of what was over before.
        """
        if stopped is not None and self.went < stopped:
            stopped = None
        if not self.begun:
            return []  # The daemon had stopped before.
        if not self.over.is_set():
            return [f"visit {self.visit.name} never came to its end: {self.got}"]
        if self.turned_away:
            return [] if stopped is not None else [f"visit {self.visit.name} was not let in"]
        mine = [one for one in attempts if one.visit == self.visit.name]
        wrong = [
            f"visit {self.visit.name}: {wrong}: {got}"
            for got in self.got
            if (wrong := self._complaint(got, mine, stopped=stopped is not None))
            or (wrong := self._unjustified(got, plan, stopped=stopped is not None))
        ]
        if self.unnoticed:
            wrong.append(f"visit {self.visit.name} has left, and nobody has noticed")
        if self.clogged:
            wrong.append(f"visit {self.visit.name} reads nothing, and nobody gives it up")
        if self.outstayed:
            wrong.append(f"visit {self.visit.name} was idle for {self.visit.stays} s")
        if self.visit.asks_once() and len(self.got) == 1:
            late = [*self._held_up(self.got[0], mine), *self._silence(self.got[0], mine)]
            wrong += [f"visit {self.visit.name}: {one}: {self.got[0]}" for one in late]
        return wrong

    def _unjustified(self, got: Got, plan: Plan, *, stopped: bool) -> str | None:
        """Say that it was refused, or cut, for a reason that there was not."""
        visit = self.visit
        done = {deed.does for deed in plan.deeds}
        # What is not as usual, of this model.
        lives = [life for life in plan.lives if life.model == visit.model]
        broken = any(_breaks(life) for life in lives) or Does.STEAL in done
        faulty = visit.answer.kind not in HONEST or broken
        cut = stopped or bool(done & {*UNLOADS, Does.CANCEL})
        patient = visit.reads is Reads.ALL
        if got.end == "left" and not patient:
            return None
        if got.end == "left" and visit.sends in (Sends.WHOLE, Sends.SLOWLY, Sends.TWICE):
            return "it was never answered" if _longest(plan) < visit.leaves - 50.0 else None
        if got.end == "left" and visit.sends is Sends.HALF_HEAD:
            return "half a head was waited for" if visit.leaves > KEEP_ALIVE + 1.0 else None
        if got.end == "left" and visit.sends is Sends.HALF_BODY:
            most = STALLED_UPLOAD + LINGER + 1.0
            return "half a body was waited for" if visit.leaves > most else None
        if got.end == "cut":
            return None if faulty or cut or not patient else "it was cut for no reason"
        if got.end != "whole" or (code := got.code()) is None:
            return None
        if code in LATER and "retry-after" not in got.headers:
            return "it does not say when to ask again"
        reasons = {
            "model_not_found": visit.model == "ghost" or bool(done & RELOADS),
            "queue_full": plan.house[3] < len(plan.visits) or bool(done & RELOADS),
            "concurrency_limit": bool(done & RELOADS),
            "load_failed": broken,
            "back_off": broken,
            "model_failed": any(life.survives or life.port for life in plan.lives)
            or Does.STEAL in done,
            "model_unloaded": bool(done & UNLOADS) or stopped,
            "cancelled": Does.CANCEL in done,
            "shutting_down": stopped,
            "upstream_unreachable": faulty,
            "upstream_cut": faulty,
            "invalid_request": visit.sends not in (Sends.WHOLE, Sends.SLOWLY, Sends.TWICE),
            "body_too_large": visit.sends is Sends.LARGE,
            "upload_failed": Does.FULL_DISK in done,
        }
        return None if reasons.get(code, False) else f"there was no reason for {code}"

    def _held_up(self, got: Got, attempts: Sequence[Attempt]) -> Iterator[str]:
        """Look for what a model had sent, and the client had not got soon."""
        if self.visit.reads is not Reads.ALL or len(attempts) != 1:
            return
        [attempt] = attempts
        if not attempt.body.startswith(got.body):
            return  # Ours, or packed into a stream of ours.
        for at, size in attempt.sent:
            came = next((when for when, there in got.heard if there >= size), None)
            if came is not None and came > at + AT_ONCE:
                yield f"what was sent at {at} came at {came}"
                return

    def _silence(self, got: Got, attempts: Sequence[Attempt]) -> Iterator[str]:
        """Look for a silence while it waits, where it asked for a stream."""
        visit = self.visit
        if not visit.stream or visit.path != "/v1/chat/completions" or got.ended == 0.0:
            return
        if visit.reads is not Reads.ALL or visit.sends not in (Sends.WHOLE, Sends.SLOWLY):
            return
        until = min((one.headed for one in attempts if one.headed is not None), default=got.ended)
        times = [at for at, _ in got.heard if at < until]
        for before, after in zip(
            [got.asked, *times], [*times, min(until, got.ended)], strict=True
        ):
            if after - before > EVERY + FIRST + AT_ONCE:
                yield f"it heard nothing from {before} to {after}"
                return

    def _hears_of_errors(self, got: Got) -> bool:
        kind = got.headers.get("content-type", "")
        return kind.startswith("text/event-stream") and self.visit.reads is Reads.ALL

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
        if got.end == "cut" and not said and not stopped and self._hears_of_errors(got):
            return "a stream was cut without an error"
        if not body or any(fits(one, body, whole=False) for one in fitting):
            return None
        return "no model has sent what it begins with"


def _longest(plan: Plan) -> float:
    """Say for how many seconds somebody may have to wait for all the others, and not in vain."""
    seconds = sum(60.0 for life in plan.lives if _breaks(life))
    seconds += sum(60.0 for deed in plan.deeds)
    for visit in plan.visits:
        answer = visit.answer
        one = 15.0 + answer.after + answer.pieces * answer.pause
        if visit.reads is not Reads.ALL or answer.kind not in HONEST:
            one += 65.0
        seconds += one * (visit.again + 1 + (visit.sends is Sends.TWICE))
    return seconds


def _breaks(life: Life) -> bool:
    """Whether a process may fail its requests, or those for the next one."""
    usual = Life(life.model, life.nth, load=life.load, stop=life.stop, writes=life.writes)
    return life != attrs.evolve(usual, listens=life.listens)


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
