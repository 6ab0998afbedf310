"""Somebody who takes a model's port, and answers there."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import trio

# What a thief answers: nobody may ever see it.
STOLEN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nstolen"


@contextmanager
def thief(port: int) -> Iterator[trio.SocketListener | None]:
    """Listen there, if nobody does; closing lets the port go."""
    try:
        taken = socket.create_server(("127.0.0.1", port))
    except OSError:
        yield None
        return
    with taken:
        yield trio.SocketListener(_listening(taken))


async def answer_as_thief(stream: trio.SocketStream) -> None:
    """Answer whatever comes as if all were well."""
    async with stream:
        with suppress(trio.BrokenResourceError):
            async for _ in stream:
                await stream.send_all(STOLEN)


def _listening(sock: socket.socket) -> trio.socket.SocketType:
    sock.setblocking(False)
    return trio.socket.from_stdlib_socket(sock)
