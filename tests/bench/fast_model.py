"""A model server that costs next to nothing, so that what is measured is the proxy in front of it.

Rule 1: one thread, one `select` (its timeout is in microseconds, epoll's in milliseconds).
Rule 2: no parsing beyond what keep-alive needs; clients here send well-formed requests.
Rule 3: every stamp is CLOCK_MONOTONIC in nanoseconds, which all processes of a machine share.

    fast_model.py --port N [--load SECONDS] [--while-loading refuse|503] [--core N] [--read FILE]
                  [--flood MEGABYTES]

`GET` answers 200 (the health check). `POST` answers 1 KB of JSON, or, when the body says
`"stream":true,"chunks":N,"rate":R`, N server-sent events at R per second, each with the instant
`t` of its sending; the one after them counts tokens, as llama.cpp's last does, and so does the
JSON answer. That carries `ready`, the instant from which the health check was good, and `first`,
the instant at which the first POST arrived, too. `--flood` is so much a minute of log.
"""

import argparse
import heapq
import json
import os
import re
import select
import socket
import time

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_CHUNKS = re.compile(rb'"chunks": *(\d+)')
_RATE = re.compile(rb'"rate": *(\d+)')
_ANSWER_SIZE = 1024
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_ANSWER_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    % _ANSWER_SIZE
)
_LOADING = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
# About the size of a real chat completion chunk.
_EVENT = (
    b'data: {"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk",'
    b'"created":1700000000,"model":"fast","choices":[{"index":0,'
    b'"delta":{"content":" word"},"finish_reason":null}],'
    b'"t":%d}\n\n'
)
_TOLD = (
    b'"usage":{"completion_tokens":128,"prompt_tokens":512,"total_tokens":640,'
    b'"prompt_tokens_details":{"cached_tokens":256}},'
    b'"timings":{"cache_n":256,"prompt_n":256,"prompt_ms":98.417,"prompt_per_token_ms":0.384,'
    b'"prompt_per_second":2601.17,"predicted_n":128,"predicted_ms":1490.03,'
    b'"predicted_per_token_ms":11.641,"predicted_per_second":85.904}'
)
_LAST_EVENT = (
    b'data: {"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk",'
    b'"created":1700000000,"model":"fast","choices":[],%b}\n\n' % _TOLD
)
_STREAM_END = b"%x\r\n%b\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n" % (
    len(_LAST_EVENT),
    _LAST_EVENT,
)
# What a model's server says of a request, over and over; a hundred characters.
_LOG_LINE = (
    b"slot print_timing: id  0 | task 42 | eval time = 1490.03 ms / 128 tokens".ljust(99) + b"\n"
)
# Between two bursts of them, in seconds.
_LOG_PAUSE = 0.02


class FastModel:
    """Serve until killed."""

    def __init__(self, port: int, *, load: float, while_loading: str) -> None:
        self._opens_at = time.monotonic_ns() + int(load * 1e9)
        self._ready = 0
        self._first = 0
        self._parts: dict[socket.socket, bytes] = {}
        # (next send in ns, tie-breaker, client, events left, ns between events)
        self._streams: list[tuple[int, int, socket.socket, int, int]] = []
        if while_loading == "refuse":
            time.sleep(load)
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        if while_loading == "refuse":
            self._ready = time.monotonic_ns()

    def run(self) -> None:
        while True:
            # A stream's next event bounds the wait; so does the end of a load.
            wakes = [self._streams[0][0]] if self._streams else []
            if not self._ready:
                wakes.append(self._opens_at)
            wait = max(0.0, (min(wakes) - time.monotonic_ns()) / 1e9) if wakes else None
            readable, _, _ = select.select([self._listener, *self._parts], [], [], wait)
            if not self._ready and time.monotonic_ns() >= self._opens_at:
                self._ready = time.monotonic_ns()
            for sock in readable:
                if sock is self._listener:
                    client, _ = sock.accept()
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._parts[client] = b""
                else:
                    self._read(sock)
            while self._streams and self._streams[0][0] <= time.monotonic_ns():
                self._send_event()

    def _read(self, client: socket.socket) -> None:
        try:
            data = client.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._forget(client)
            return
        data = self._parts[client] + data
        head_end = data.find(b"\r\n\r\n") + 4
        if head_end < 4:
            self._parts[client] = data
            return
        length = _LENGTH.search(data, 0, head_end)
        if len(data) < head_end + (int(length[1]) if length else 0):
            self._parts[client] = data
            return
        self._parts[client] = b""
        self._answer(client, data, head_end)

    def _answer(self, client: socket.socket, request: bytes, head_end: int) -> None:
        now = time.monotonic_ns()
        if request.startswith(b"GET"):
            self._send(client, _OK if self._ready else _LOADING)
            return
        self._first = self._first or now
        if request.find(b'"stream":true', head_end) < 0:
            body = b'{"object":"chat.completion","ready":%d,"first":%d,%b,"pad":"' % (
                self._ready,
                self._first,
                _TOLD,
            )
            body += b"x" * (_ANSWER_SIZE - len(body) - 2) + b'"}'
            head = (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            )
            self._send(client, head % len(body) + body)
            return
        chunks, rate = _CHUNKS.search(request, head_end), _RATE.search(request, head_end)
        if chunks is None or rate is None:
            raise ValueError("a stream needs chunks and rate")
        pace = 10**9 // int(rate[1])
        self._send(client, _STREAM_HEAD)
        heapq.heappush(self._streams, (now + pace, id(client), client, int(chunks[1]), pace))

    def _send_event(self) -> None:
        due, tie, client, left, pace = heapq.heappop(self._streams)
        if client not in self._parts:
            return
        event = _EVENT % time.monotonic_ns()
        self._send(client, b"%x\r\n%b\r\n" % (len(event), event))
        if left > 1:
            heapq.heappush(self._streams, (due + pace, tie, client, left - 1, pace))
        else:
            self._send(client, _STREAM_END)

    def _send(self, client: socket.socket, data: bytes) -> None:
        try:
            client.sendall(data)
        except OSError:
            self._forget(client)

    def _forget(self, client: socket.socket) -> None:
        self._parts.pop(client, None)
        client.close()


def answer_stamps(body: bytes) -> tuple[int, int]:
    """Read `ready` and `first` out of a JSON answer, in nanoseconds."""
    said = json.loads(body)
    return int(said["ready"]), int(said["first"])


def _read(path: str) -> None:
    block = bytearray(1 << 20)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(block):
            pass


def _flood(megabytes: float) -> None:
    """Write so much a minute from a process of its own, which ends when its parent has."""
    parent = os.getpid()
    if os.fork():
        return
    burst = _LOG_LINE * round(megabytes * 1e6 / 60 * _LOG_PAUSE / len(_LOG_LINE))
    due = time.monotonic()
    while os.getppid() == parent:
        os.write(1, burst)
        # By the clock, so that who reads slowly finds no less to read.
        due += _LOG_PAUSE
        time.sleep(max(0.0, due - time.monotonic()))
    os._exit(0)


def main() -> None:
    words = argparse.ArgumentParser(description="A model server that costs next to nothing.")
    words.add_argument("--port", type=int, required=True)
    words.add_argument("--load", type=float, default=0.0)
    words.add_argument("--while-loading", choices=("refuse", "503"), default="refuse")
    words.add_argument("--core", type=int, help="run there and nowhere else")
    words.add_argument("--read", help="a file to read as a whole before anything else")
    words.add_argument("--flood", type=float, help="megabytes of log a minute")
    said = words.parse_args()
    if said.core is not None:
        os.sched_setaffinity(0, {said.core})
    if said.read is not None:
        _read(said.read)
    if said.flood is not None:
        _flood(said.flood)
    FastModel(said.port, load=said.load, while_loading=said.while_loading).run()


if __name__ == "__main__":
    main()
