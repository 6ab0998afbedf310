"""Clients that cost next to nothing: raw sockets, timing on the outside, parsing afterwards.

Rule: between two stamps there is a send, a receive and nothing else worth naming.
"""

import json
import os
import re
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Address = tuple[str, int]

_REQUEST_SIZE = 1024
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_END = b"0\r\n\r\n"
_STAMP = re.compile(rb'"t": ?(\d+)')
# Longer than any load in this bench, shorter than patience.
_ANSWER_TIMEOUT = 30.0


class BadAnswer(Exception):
    """What came back is not what the measurement is about."""


def chat(model: str, *, size: int = _REQUEST_SIZE, **more: Any) -> bytes:
    """Build a chat completion request of so many bytes of body, 1 KB by default."""
    said = {"model": model, **more, "messages": [{"role": "user", "content": ""}]}
    bare = len(json.dumps(said, separators=(",", ":")))
    said["messages"][0]["content"] = "x" * max(1, size - bare)
    body = json.dumps(said, separators=(",", ":")).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\n"
        f"Accept: */*\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextmanager
def open_line(address: Address) -> Iterator[socket.socket]:
    """Connect, with no delay on small writes."""
    with socket.create_connection(address, timeout=_ANSWER_TIMEOUT) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield line


def form(model: str, *, size: int) -> bytes:
    """Build an upload with a file of so many bytes, no two alike."""
    part = 'Content-Disposition: form-data; name="'
    body = f'--x\r\n{part}model"\r\n\r\n{model}\r\n--x\r\n{part}file"\r\n\r\n'.encode()
    body += os.urandom(size) + b"\r\n--x--\r\n"
    head = (
        "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: bench\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def ask(line: socket.socket, request: bytes) -> bytes:
    """Send one request and return the body of its answer (Content-Length or chunked)."""
    line.sendall(request)
    return hear(line)


def hear(line: socket.socket) -> bytes:
    """Return the body of the answer to what was sent."""
    data = b""
    while (end := _answer_end(data)) == 0:
        part = line.recv(65536)
        if not part:
            raise BadAnswer(f"connection closed after {data[:200]!r}")
        data += part
    if not data.startswith(b"HTTP/1.1 200"):
        raise BadAnswer(repr(data[:400]))
    return data[data.index(b"\r\n\r\n") + 4 : end]


def time_requests(line: socket.socket, request: bytes, *, count: int) -> list[float]:
    """Send `count` requests one after the other; the time of each, in microseconds."""
    taken = []
    clock = time.perf_counter_ns
    for _ in range(count):
        sent = clock()
        ask(line, request)
        taken.append((clock() - sent) / 1000)
    return taken


def send_many(address: Address, request: bytes, *, count: int, lines: int) -> None:
    """Send `count` requests over `lines` connections at once, as fast as answers come."""
    with selectors.DefaultSelector() as ready:
        opened = [socket.create_connection(address, timeout=_ANSWER_TIMEOUT) for _ in range(lines)]
        try:
            for each in opened:
                each.sendall(request)
                ready.register(each, selectors.EVENT_READ, [b""])
            asked, answered = lines, 0
            while answered < count:
                for key, _ in ready.select(_ANSWER_TIMEOUT) or _silence():
                    line, parts = key.fileobj, key.data
                    assert isinstance(line, socket.socket)
                    part = line.recv(65536)
                    if not part:
                        raise BadAnswer(f"connection closed after {answered} answers")
                    parts[0] += part
                    if not _answer_end(parts[0]):
                        continue
                    if not parts[0].startswith(b"HTTP/1.1 200"):
                        raise BadAnswer(repr(parts[0][:400]))
                    parts[0] = b""
                    answered += 1
                    if asked < count:
                        line.sendall(request)
                        asked += 1
        finally:
            for each in opened:
                each.close()


def follow_streams(address: Address, request: bytes, *, streams: int, chunks: int) -> list[float]:
    """Read `streams` streams at once; the delay of each chunk since its sending, in µs."""
    heard: dict[int, list[tuple[int, bytes]]] = {}
    with selectors.DefaultSelector() as ready:
        opened = [
            socket.create_connection(address, timeout=_ANSWER_TIMEOUT) for _ in range(streams)
        ]
        try:
            for line in opened:
                heard[line.fileno()] = []
                ready.register(line, selectors.EVENT_READ)
                line.sendall(request)
                # Spread over the pace: models do not speak in chorus.
                time.sleep(0.0007)
            left = streams
            while left:
                for key, _ in ready.select(_ANSWER_TIMEOUT) or _silence():
                    assert isinstance(key.fileobj, socket.socket)
                    part = key.fileobj.recv(65536)
                    heard[key.fd].append((time.monotonic_ns(), part))
                    if not part or part.endswith(b"0\r\n\r\n"):
                        ready.unregister(key.fileobj)
                        left -= 1
        finally:
            for line in opened:
                line.close()
    delays = [delay for parts in heard.values() for delay in _chunk_delays(parts)]
    if len(delays) != streams * chunks:
        start = b"".join(part for _, part in next(iter(heard.values())))[:300]
        raise BadAnswer(f"{len(delays)} chunks instead of {streams * chunks}: {start!r}")
    return delays


def drain_streams(address: Address, request: bytes, *, count: int, lines: int) -> int:
    """Read `count` streams over `lines` connections at once, as fast as they come; the bytes."""
    block = bytearray(256 * 1024)
    total = 0
    with selectors.DefaultSelector() as ready:
        opened = [socket.create_connection(address, timeout=_ANSWER_TIMEOUT) for _ in range(lines)]
        try:
            for each in opened:
                each.sendall(request)
                ready.register(each, selectors.EVENT_READ, bytearray())
            asked, ended = lines, 0
            while ended < count:
                for key, _ in ready.select(_ANSWER_TIMEOUT) or _silence():
                    line, last = key.fileobj, key.data
                    assert isinstance(line, socket.socket)
                    size = line.recv_into(block)
                    if not size:
                        raise BadAnswer(f"connection closed after {ended} streams")
                    total += size
                    # The end may come in two parts.
                    last += block[max(0, size - len(_END)) : size]
                    del last[: -len(_END)]
                    if last != _END:
                        continue
                    last.clear()
                    ended += 1
                    if asked < count:
                        line.sendall(request)
                        asked += 1
        finally:
            for each in opened:
                each.close()
    return total


def _chunk_delays(parts: list[tuple[int, bytes]]) -> Iterator[float]:
    """Give each event the stamp of the read that brought its last byte."""
    whole = b"".join(part for _, part in parts)
    ends, at = [], 0
    for when, part in parts:
        at += len(part)
        ends.append((at, when))
    here = 0
    for stamp in _STAMP.finditer(whole):
        while ends[here][0] < stamp.end():
            here += 1
        yield (ends[here][1] - int(stamp[1])) / 1000


def _answer_end(data: bytes) -> int:
    """Return where a complete answer ends, or 0."""
    head_end = data.find(b"\r\n\r\n") + 4
    if head_end < 4:
        return 0
    if length := _LENGTH.search(data, 0, head_end):
        end = head_end + int(length[1])
        return end if len(data) >= end else 0
    return len(data) if data.endswith(b"0\r\n\r\n") else 0


def _silence() -> Any:
    raise BadAnswer(f"nothing came for {_ANSWER_TIMEOUT:.0f} s")
