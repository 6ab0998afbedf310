"""Pretend processes, with their model's server in them, and every fault that was planned.

Rule 1: what a server has really sent is written down, for whoever compares.
"""

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import attrs
import h11
import trio

from swapd.config.settings import Origin
from tests.fakes import Asked, read_request
from tests.simulation.plan import Answer, Kind, Life
from tests.simulation.wires import End, wire

if TYPE_CHECKING:
    from tests.simulation.machine import Machine

# How long a connection that was used before may have been silent, and then ended, for its request
# to be asked once more: it was stale. What the pool goes by, and a little. Seconds.
STALE = 0.6

# Larger than any head that is taken.
ENDLESS = b"X-Filler: " + b"x" * 1000 + b"\r\n"


@attrs.define(eq=False)
class Attempt:
    """One request that came to a model's server, and what has been answered."""

    visit: int
    model: str
    end: End
    status: int = 200
    body: bytearray = attrs.field(factory=bytearray)
    whole: bool = False
    """Whether the answer was sent to its end."""
    over: bool = False
    """Whether the server has done with it."""
    reused: bool = False
    """Whether its connection has carried another request before."""
    began: float = attrs.field(factory=trio.current_time)
    ended: float | None = None
    """When the server, or its process, had done with it."""
    headed: float | None = None
    """When its first byte was sent."""
    sent: list[tuple[float, int]] = attrs.field(factory=list)
    """When how many bytes of its body had been sent."""

    def note_end(self) -> None:
        """Note that no more of it will come."""
        if self.ended is None:
            self.ended = trio.current_time()

    def stale(self) -> bool:
        """Whether it ended as a stale connection does, and may be asked again."""
        if self.ended is None or self.headed is not None or not self.reused:
            return False
        return self.ended - self.began <= STALE

    def under_way(self) -> bool:
        """Whether swapd still waits for it."""
        return not self.over and not self.end.closed and not self.end.peer.closed


@attrs.define(eq=False)
class Process:
    """A process group, with a server in it."""

    machine: "Machine"
    life: Life
    pid: int
    port: int
    notify: str | None
    alive: set[int] = attrs.field(factory=set)
    exit_status: int | None = None
    killed: bool = False
    """Whether it was sent SIGKILL."""
    listening: bool = False
    ready: bool = False
    _ends: list[End] = attrs.field(factory=list)
    _noise: int = 0
    _gone: trio.Event = attrs.field(factory=trio.Event)
    _heard: trio.Event = attrs.field(factory=trio.Event)
    _asked_to_end: bool = False
    _load_scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    async def live(self) -> None:
        life = self.life
        self.alive.add(self.pid)
        if life.child:
            self.alive.add(self.pid + 1)
        self._noise = life.writes
        self.listening = life.listens
        async with trio.open_nursery() as nursery:
            if life.dies is not None:
                nursery.start_soon(self._end_in, life.dies, life.status)
            nursery.start_soon(self._load)
            await self._gone.wait()
            nursery.cancel_scope.cancel()

    async def _load(self) -> None:
        with self._load_scope:
            await self._become_ready()

    async def _become_ready(self) -> None:
        await trio.sleep(self.life.load)
        self.listening = True
        self.ready = self.life.ready == "answers"
        if self.life.silent is not None:
            await trio.sleep(self.life.silent)
            self.ready = False
        if self.life.ready == "says" and self.notify is not None:
            self.machine.told[self.notify].set()

    async def _end_in(self, seconds: float, status: int) -> None:
        refuses = min(self.life.refuses, seconds) if status else 0.0
        await trio.sleep(seconds - refuses)
        if refuses:
            self._load_scope.cancel()
            self.listening = False
        await trio.sleep(refuses)
        self._exit(status)

    def _exit(self, status: int) -> None:
        """Have the leader end, with its server."""
        if self.exit_status is None:
            self.exit_status = status
            self.alive.discard(self.pid)
            self.ready = False
            for end in self._ends:
                end.close()
            for attempt in self.machine.attempts:
                if attempt.end in self._ends:
                    attempt.note_end()
            self._gone.set()
            self._heard.set()
            if self.life.port:
                self.machine.linger(self.port, self.life.port)
            self.listening = False
            self.machine.diary.log(f"process {self.pid} of {self.life.model} exits {status}")

    async def _die(self) -> None:
        await trio.sleep(self.life.survives)
        self._exit(-signal.SIGKILL)
        self.alive.clear()

    # What `Started` promises

    def signal(self, number: signal.Signals) -> None:
        if not self.alive:
            return
        self.machine.diary.log(f"{number.name} to {self.pid} of {self.life.model}")
        if number is signal.SIGKILL and not self.killed:
            self.killed = True
            self.machine.nursery.start_soon(self._die)
        elif number is signal.SIGTERM and not self.life.deaf and not self._asked_to_end:
            self._asked_to_end = True
            self.machine.nursery.start_soon(self._end_in, self.life.stop, 0)

    def members(self) -> list[int]:
        return sorted(self.alive)

    async def exited(self) -> None:
        await self._gone.wait()

    def read(self, most: int) -> bytes:
        if self._noise:
            data = b"\xffnoise\r" * (min(self._noise, most) // 7 + 1)
            self._noise = 0
            return data
        if self.exit_status is None or self.alive:
            raise BlockingIOError
        return b""

    async def readable(self) -> None:
        await self._heard.wait()
        if self.alive:
            await trio.sleep_forever()

    def close(self) -> None:
        self.machine.closed.add(self.pid)

    # Its server

    def connect(self) -> End:
        ours, theirs = wire(f"swapd to {self.life.model}", f"{self.life.model} {self.pid}")
        self.machine.held.append(ours)
        self._ends.append(theirs)
        self.machine.nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, end: End) -> None:
        try:
            reused = False
            while (asked := await _read(end)) is not None:
                await self._answer(asked, end, reused=reused)
                reused = True
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass
        finally:
            end.close()

    async def _answer(self, asked: Asked, end: End, *, reused: bool) -> None:
        if asked.target == "/health":
            await asked.answer(b"{}", status=200 if self.ready else 503)
            return
        visit = int(asked.headers.get("x-visit", "-1"))
        answer = self.machine.answers.get(visit, Answer())
        attempt = Attempt(visit, self.life.model, end, reused=reused)
        self.machine.comes(attempt)
        try:
            await _Answering(answer, attempt, asked).go()
        finally:
            attempt.over = True
            attempt.note_end()


async def _read(end: End) -> Asked | None:
    return await read_request(h11.Connection(h11.SERVER), end, Origin("http", "model", 1))


@attrs.define
class _Answering:
    """One answer, as badly as it was planned."""

    answer: Answer
    attempt: Attempt
    asked: Asked

    async def go(self) -> None:
        kind, asked = self.answer.kind, self.asked
        await trio.sleep(self.answer.after)
        if kind not in (Kind.SILENT, Kind.NOTHING) and self.attempt.ended is None:
            self.attempt.headed = trio.current_time()
        pieces = list(self._pieces())
        length = sum(map(len, pieces))
        if kind is Kind.SILENT:
            await asked.gone()
        elif kind is Kind.GARBAGE:
            await asked.send(b"\x00\x01 what?\r\n\r\n")
        elif kind is Kind.HUGE_HEAD:
            await asked.send(b"HTTP/1.1 200 OK\r\n")
            for _ in range(2000):
                await asked.send(ENDLESS)
        elif kind is Kind.ERROR:
            self.attempt.status = 500
            await self._head(b"500 Oh", b"Content-Length: %d" % length)
            await self._send(pieces, lambda piece: piece)
            self.attempt.whole = True
        elif kind in (Kind.CHUNKED, Kind.EVENTS, Kind.GARBLED):
            await self._head(b"200 OK", b"Transfer-Encoding: chunked")
            await self._send(pieces, lambda piece: b"%x\r\n%b\r\n" % (len(piece), piece))
            self.attempt.whole = kind is not Kind.GARBLED
            await asked.send(b"0\r\n\r\n" if self.attempt.whole else b"zz\r\nxx")
        elif kind is Kind.UNTIL_CLOSE:
            await self._head(b"200 OK", b"Connection: close")
            await self._send(pieces, lambda piece: piece)
            self.attempt.whole = True
        elif kind is not Kind.NOTHING:
            more = 10 if kind is Kind.SHORT else 0
            await self._head(b"200 OK", b"Content-Length: %d" % (length + more))
            cut = kind in (Kind.HALF, Kind.RESET, Kind.STALL) and pieces
            kept = pieces[: len(pieces) // 2] if cut else pieces
            await self._send(kept, lambda piece: piece)
            self.attempt.whole = kept == pieces and not more
            if kind is Kind.STALL and cut:
                await asked.gone()
            elif kind is Kind.RESET and cut:
                self.attempt.end.reset()
        if not self.attempt.whole or kind is Kind.UNTIL_CLOSE or self.answer.hangs_up:
            self.attempt.end.close()

    async def _head(self, status: bytes, framing: bytes) -> None:
        kind = b"text/event-stream" if self.answer.kind is Kind.EVENTS else b"application/json"
        await self.asked.send(
            b"HTTP/1.1 %b\r\nContent-Type: %b\r\n%b\r\n\r\n" % (status, kind, framing)
        )

    async def _send(self, pieces: Sequence[bytes], frame: Callable[[bytes], bytes]) -> None:
        for number, piece in enumerate(pieces):
            if number:
                await trio.sleep(self.answer.pause)
            self.attempt.body += piece
            await self.asked.send(frame(piece))
            self.attempt.sent.append((trio.current_time(), len(self.attempt.body)))

    def _pieces(self) -> Iterator[bytes]:
        visit, size = self.attempt.visit, self.answer.size
        events = self.answer.kind is Kind.EVENTS
        if not events:
            yield b'{"visit": %d, "text": "' % visit
        for number in range(self.answer.pieces):
            text = f"{visit}.{number};" * (size // 6)
            yield f"data: {json.dumps({'text': text})}\n\n".encode() if events else text.encode()
        yield b"data: [DONE]\n\n" if events else b'"}'
