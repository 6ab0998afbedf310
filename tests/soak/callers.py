"""Clients of the soak: what each of them asks, and what has to come of it.

Rule 1: an answer that is not what its request must get ends the soak: a leak that is measured
beside errors that nobody expected is a measurement of something else.
Rule 2: those on a kept connection ask there; who leaves early has a connection of its own.
"""

import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import attrs
import trio

from tests.bench.callers import Address, chat, form

# More than a model that is loaded for it and a queue take on a busy machine.
PATIENCE = 60.0

_PIECE = 256 * 1024
_END = b"\r\n\r\n"
_UPLOAD = 3_000_000
_HAIL = b"hello " * 20
_UPGRADE = (
    "GET /upstream/{model}/ws HTTP/1.1\r\nHost: soak\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_NOT_JSON = chat("a").replace(b'{"model"', b'<"model"')


class Unexpected(Exception):
    """An answer was not what it had to be."""


@attrs.frozen
class Answer:
    """An answer, read whole."""

    status: int
    body: bytes


@attrs.define(eq=False)
class Line:
    """A kept connection, opened when there is something to ask."""

    address: Address
    _stream: trio.SocketStream | None = None

    async def ask(self, request: bytes) -> Answer:
        """Send a request, and read the answer to its end."""
        stream = await self.open()
        await stream.send_all(request)
        heard = bytearray()
        while (end := _end_of(heard)) == 0:
            piece = await stream.receive_some(_PIECE)
            if not piece:
                raise Unexpected(f"the connection ended after {bytes(heard[-300:])!r}")
            heard += piece
        head, _, body = bytes(heard[:end]).partition(_END)
        if b"\r\nconnection: close" in head.lower():
            self.leave()
        return Answer(int(head[9:12]), body)

    async def open(self) -> trio.SocketStream:
        """Connect, unless it is connected."""
        if self._stream is None:
            self._stream = await trio.open_tcp_stream(*self.address)
        return self._stream

    def leave(self) -> None:
        """Hang up."""
        if self._stream is not None:
            self._stream.socket.close()
            self._stream = None


async def carry_out(line: Line, job: str, model: str) -> None:
    """Do one job of the mix, by its name. Raises `Unexpected`."""
    with answered(f"{job} at {model}"):
        await JOBS[job](line, model)


async def follow(address: Address, path: str) -> None:
    """Read what this page tells until cancelled; its end is an error."""
    with answered(path, patience=math.inf):
        async with await trio.open_tcp_stream(*address) as stream:
            await stream.send_all(_get(path))
            while await stream.receive_some(_PIECE):
                pass
        raise Unexpected("it ended")


@contextmanager
def answered(what: str, *, patience: float = PATIENCE) -> Iterator[None]:
    """Call everything `Unexpected` that may go wrong with a daemon, and say what was asked."""
    try:
        with trio.fail_after(patience):
            yield
    except (Unexpected, OSError, trio.BrokenResourceError, trio.TooSlowError) as wrong:
        raise Unexpected(f"{what}: {wrong!r}") from wrong


async def fetch(line: Line, path: str) -> str:
    """Answer with what stands on a page."""
    return _expect(await line.ask(_get(path)), 200).body.decode()


async def _json(line: Line, model: str) -> None:
    if len(_expect(await line.ask(_request(model)), 200).body) < 500:
        raise Unexpected("the answer is too short")


async def _stream(line: Line, model: str) -> None:
    answer = _expect(await line.ask(_request(model, stream=True, events=8)), 200)
    if answer.body.count(b"data: ") != 10:
        raise Unexpected(repr(answer.body))


async def _upload(line: Line, model: str) -> None:
    _expect(await line.ask(_form(model)), 200)


async def _broken(line: Line, model: str) -> None:
    _expect(await line.ask(_request(model, fail=True)), 500)


async def _unknown(line: Line, model: str) -> None:
    _expect(await line.ask(_request(f"not-{model}")), 404)


async def _not_json(line: Line, model: str) -> None:
    _expect(await line.ask(_NOT_JSON), 400)


async def _socket(line: Line, model: str) -> None:
    async with await trio.open_tcp_stream(*line.address) as stream:
        await stream.send_all(_UPGRADE.format(model=model).encode())
        await _until(stream, _END, start=b"HTTP/1.1 101 ")
        await stream.send_all(_HAIL)
        await _until(stream, _HAIL)


async def _hang_up(line: Line, model: str) -> None:
    """Leave a stream that would never end."""
    async with await trio.open_tcp_stream(*line.address) as stream:
        await stream.send_all(_request(model, stream=True, endless=True))
        await _until(stream, b"data: {", start=b"HTTP/1.1 200 ")


async def _leave(line: Line, model: str) -> None:
    """Leave before anything has come: out of the queue, or out of the model."""
    async with await trio.open_tcp_stream(*line.address) as stream:
        await stream.send_all(_request(model, stream=True, endless=True))


async def _glance(line: Line, model: str) -> None:
    """Follow what happens for a moment."""
    async with await trio.open_tcp_stream(*line.address) as stream:
        await stream.send_all(_get("/api/events"))
        await _until(stream, b"data:", start=b"HTTP/1.1 200 ")


async def _pages(line: Line, model: str) -> None:
    for path in ("/v1/models", "/running", "/api/queue", "/api/metrics/activity"):
        await fetch(line, path)


async def _unload(line: Line, model: str) -> None:
    how = "mode=drain&queued=keep"
    _expect(await line.ask(_post(f"/api/models/unload/{model}?{how}")), 200)


async def _reload(line: Line, model: str) -> None:
    _expect(await line.ask(_post("/api/config/reload")), 200)


async def _crash(line: Line, model: str) -> None:
    """Have the model's process die in the middle of a stream, and be loaded again."""
    async with await trio.open_tcp_stream(*line.address) as stream:
        await stream.send_all(_request(model, stream=True, die=True))
        while await stream.receive_some(_PIECE):
            pass
    await _json(line, model)


JOBS: Mapping[str, Callable[[Line, str], Awaitable[None]]] = {
    "json": _json,
    "stream": _stream,
    "upload": _upload,
    "broken": _broken,
    "unknown": _unknown,
    "not json": _not_json,
    "socket": _socket,
    "hang up": _hang_up,
    "leave": _leave,
    "glance": _glance,
    "pages": _pages,
    "unload": _unload,
    "reload": _reload,
    "crash": _crash,
}


async def _until(stream: trio.SocketStream, words: bytes, *, start: bytes = b"") -> None:
    heard = b""
    while words not in heard:
        piece = await stream.receive_some(_PIECE)
        if not piece:
            raise Unexpected(f"the connection ended after {heard[-300:]!r}")
        heard += piece
    if not heard.startswith(start):
        raise Unexpected(repr(heard[:300]))


def _expect(answer: Answer, status: int) -> Answer:
    if answer.status != status:
        raise Unexpected(f"{answer.status} instead of {status}: {answer.body[:300]!r}")
    return answer


def _end_of(heard: bytearray) -> int:
    """Say where an answer ends that is there as a whole, or 0."""
    head = heard.find(_END) + len(_END)
    if head < len(_END):
        return 0
    _, named, rest = bytes(heard[:head]).lower().partition(b"\r\ncontent-length:")
    if named:
        end = head + int(rest.partition(b"\r\n")[0])
        return end if len(heard) >= end else 0
    return len(heard) if heard.endswith(b"\r\n0\r\n\r\n") else 0


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: soak\r\n\r\n".encode()


def _post(path: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: soak\r\nContent-Length: 0\r\n\r\n".encode()


@cache
def _request(model: str, **more: Any) -> bytes:
    return chat(model, **more)


@cache
def _form(model: str) -> bytes:
    return form(model, size=_UPLOAD)
