"""A model server for the soak: light to start, light to ask, and able to fail.

Rule 1: one thread and one `select`; nothing is imported that a start does not need.
Rule 2: whoever asks is well-behaved; requests are read whole and looked through, not parsed.

    model.py PORT

`GET` answers 200; with `Upgrade` it is a 101, and every byte comes back. `POST` answers as its
body says: `"fail":true` with a 500, `"events":N` with so many events, `"endless":true` with one
and then silence, `"die":true` with one and the end of the process; else with a little JSON.
"""

import os
import select
import socket
import sys

_PIECE = 256 * 1024
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
_FAILED = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n"
    b'Content-Length: 30\r\n\r\n{"error":{"message":"broken"}}'
)
_SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
_STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_TOLD = b'"usage":{"completion_tokens":8,"prompt_tokens":32,"total_tokens":40}'
_ANSWER = b'{"object":"chat.completion",%b,"choices":[{"message":{"content":"%b"}}]}' % (
    _TOLD,
    b"word " * 150,
)
_EVENT = b'data: {"object":"chat.completion.chunk","choices":[{"delta":{"content":" word"}}]}\n\n'
_LAST = b'data: {"object":"chat.completion.chunk","choices":[],%b}\n\ndata: [DONE]\n\n' % _TOLD


class Model:
    """Serve until killed."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self._heard: dict[socket.socket, bytearray] = {}
        self._tunnels: set[socket.socket] = set()

    def run(self) -> None:
        """Take turns between all who are connected."""
        while True:
            for sock in select.select([self._listener, *self._heard], [], [])[0]:
                if sock is self._listener:
                    client, _ = sock.accept()
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._heard[client] = bytearray()
                else:
                    self._take(sock)

    def _take(self, client: socket.socket) -> None:
        try:
            data = client.recv(_PIECE)
            if not data:
                self._forget(client)
            elif client in self._tunnels:
                client.sendall(data)
            else:
                heard = self._heard[client]
                heard += data
                if _is_whole(heard):
                    request = bytes(heard)
                    heard.clear()
                    self._answer(client, request)
        except OSError:
            self._forget(client)

    def _answer(self, client: socket.socket, request: bytes) -> None:
        if request.startswith(b"GET"):
            if b"\r\nupgrade: websocket" in request.lower():
                self._tunnels.add(client)
                client.sendall(_SWITCHED)
            else:
                client.sendall(_OK % (2, b"{}"))
        elif b'"fail":true' in request:
            client.sendall(_FAILED)
        elif b'"stream":true' in request:
            client.sendall(_STREAM + _chunk(_EVENT))
            if b'"die":true' in request:
                os._exit(9)
            if b'"endless":true' not in request:
                for _ in range(_events(request) - 1):
                    client.sendall(_chunk(_EVENT))
                client.sendall(_chunk(_LAST) + b"0\r\n\r\n")
        else:
            client.sendall(_OK % (len(_ANSWER), _ANSWER))

    def _forget(self, client: socket.socket) -> None:
        self._heard.pop(client, None)
        self._tunnels.discard(client)
        client.close()


def _is_whole(heard: bytearray) -> bool:
    end = heard.find(b"\r\n\r\n") + 4
    if end < 4:
        return False
    _, named, rest = bytes(heard[:end]).lower().partition(b"\r\ncontent-length:")
    return len(heard) >= end + (int(rest.partition(b"\r\n")[0]) if named else 0)


def _events(request: bytes) -> int:
    _, _, rest = request.partition(b'"events":')
    return int(rest.partition(b",")[0].rstrip(b"}"))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


if __name__ == "__main__":
    Model(int(sys.argv[1])).run()
