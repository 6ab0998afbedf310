"""A pretend model whose answers prove which request they belong to.

Rule 1: an answer is made of the digest of the body that was received, in every piece, and its
length is in the body too: so whoever has sent it knows every byte of the answer, and of any part.
Rule 2: the standard library only: this program is started hundreds of times.

`GET` answers 200. A body is a JSON object with `stream`, `pieces`, `size` (of a piece, in bytes)
and `interval` (seconds between pieces); what else is in it only changes the digest.
"""

import argparse
import contextlib
import hashlib
import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO


def answer_to(body: bytes) -> bytes:
    """Answer with all that a request with this body is to be answered."""
    return b"".join(pieces(body))


def pieces(body: bytes) -> Iterator[bytes]:
    """Make an answer piece by piece, each bound to its request and to its place."""
    wish = json.loads(body)
    digest = hashlib.sha256(body).hexdigest()
    for number in range(int(wish["pieces"])):
        text = f'data: {{"piece": {number}, "of": "{digest}", "more": "'
        missing = max(0, int(wish["size"]) - len(text))
        yield (text + (digest * (missing // 64 + 1))[:missing] + '"}\n\n').encode()
    yield b"data: [DONE]\n\n"


def main() -> None:
    """Serve until told to end, which may take as long as the flags say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slow-term", type=float, default=0.0, metavar="S")
    parser.add_argument("--fork", action="store_true", help="leave a grandchild deaf to SIGTERM")
    parser.add_argument("--tag", help="says nothing; to change the command")
    flags = parser.parse_args()

    def end(number: int, frame: object) -> None:
        _pause(flags.slow_term)
        os._exit(0)

    if flags.fork:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            while True:
                signal.pause()
    signal.signal(signal.SIGTERM, end)
    try:
        with socket.create_server(("127.0.0.1", flags.port), backlog=256) as listener:
            while True:
                client, _ = listener.accept()
                threading.Thread(target=_serve, args=(client,), daemon=True).start()
    except OSError as problem:
        sys.exit(f"cannot serve: {problem}")


def _serve(client: socket.socket) -> None:
    with contextlib.suppress(OSError), client, client.makefile("rb") as incoming:
        while (request := _read(incoming)) is not None:
            _answer(client, *request)


def _read(incoming: BinaryIO) -> tuple[str, bytes] | None:
    """Read one request; None at the end of the connection, or of what came of it."""
    words = incoming.readline().split()
    headers = {}
    while line := incoming.readline().strip():
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    if len(words) != 3:
        return None
    if b"chunked" in headers.get(b"transfer-encoding", b""):
        return None  # nobody here sends that; an answer to half a body would be none
    length = int(headers.get(b"content-length", b"0"))
    body = incoming.read(length)
    return (words[0].decode(), body) if len(body) == length else None


def _answer(client: socket.socket, method: str, body: bytes) -> None:
    if method != "POST":
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes")
        return
    wish: dict[str, Any] = json.loads(body)
    if not wish["stream"]:
        whole = answer_to(body)
        head = f"Content-Type: application/octet-stream\r\nContent-Length: {len(whole)}"
        client.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + whole)
        return
    head = "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked"
    client.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
    for piece in pieces(body):
        client.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        _pause(float(wish["interval"]))
    client.sendall(b"0\r\n\r\n")


def _pause(seconds: float) -> None:
    if seconds:
        select.select([], [], [], seconds)


if __name__ == "__main__":
    main()
