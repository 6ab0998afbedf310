"""Accepting clients, and letting go of them: a task each, until drained.

Rule 1: whoever is accepted has a place in the crowd (`crowd.py`), or is told that there is none.
Rule 2: everything here that waits for a client is bounded.
"""

import logging
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import attrs
import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import EventWrapper
from hypercorn.typing import ASGIFramework
from trio_util import AsyncValue

from swapd.envelope import Refusal
from swapd.front.connection import Address, Connection, Peer
from swapd.front.crowd import Crowd, most_goodbyes
from swapd.refusals import too_many_connections
from swapd.wire.line import Line

log = logging.getLogger(__name__)

TLS_HANDSHAKE = 10.0

# How many are accepted before others have their turn: a flood passes sooner, and nobody waits
# for all of it.
ACCEPTED_AT_ONCE = 16

# How long to wait after a client could not be accepted. Seconds.
ACCEPT_AGAIN = 0.5

# How long TLS's own end of the connection, or a refusal, may take to be sent. Seconds.
GOODBYE = 1.0

# The most that a request's line and headers may hold.
LARGEST_HEAD = 65536

# SO_LINGER on, zero seconds: closing resets the connection instead of ending it properly.
RESET = struct.pack("ii", 1, 0)


class BadTls(Exception):
    """The certificate or its key cannot be used."""


@attrs.define
class Front:
    """Accepts connections and hands their requests to an ASGI application."""

    app: ASGIFramework
    tls: ssl.SSLContext | None = None
    crowd: Crowd = attrs.field(factory=Crowd)
    _connections: set[Connection] = attrs.field(factory=set)
    _count: AsyncValue[int] = attrs.field(factory=lambda: AsyncValue(0))
    _terminated: EventWrapper = attrs.field(factory=EventWrapper)
    _accepting: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _goodbyes: int = 0
    _most_goodbyes: int = attrs.field(factory=most_goodbyes)
    _config: Config = attrs.field(factory=lambda: _config())

    async def run(
        self,
        listener: socket.socket,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until cancelled; after `stop_accepting` only what is connected."""
        listener.setblocking(False)
        async with trio.open_nursery() as connections:
            with self._accepting:
                task_status.started()
                while True:
                    await trio.lowlevel.wait_readable(listener)
                    for _ in range(ACCEPTED_AT_ONCE):
                        if (raw := await self._accept(listener)) is None:
                            break
                        connections.start_soon(self._accepted, raw)
            await trio.sleep_forever()

    async def stop_accepting(self) -> None:
        """Accept no more, close what is idle or half sent, and let the rest be answered."""
        self._accepting.cancel()
        await self._terminated.set()
        for connection in self._connections:
            if connection.idle or connection.asking:
                connection.end()

    def cut_followers(self) -> None:
        """End those who only follow what happens, also in the middle of a write that stalls."""
        for connection in self._connections:
            if connection.following:
                connection.cut()

    def cut(self) -> None:
        """End what is still connected, whatever it is doing."""
        for connection in self._connections:
            connection.cut()

    async def drained(self) -> None:
        """Wait until nobody is connected."""
        await self._count.wait_value(0)

    async def serve(self, peer: Peer) -> None:
        """Serve one connection to its end, if there is room for it."""
        connection = Connection(self.app, self._config, self._terminated, peer)
        with self.crowd.place(connection) as welcome:
            if welcome:
                await self._serve(connection)
            else:
                await self._turn_away(peer)

    async def _serve(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._count.value = len(self._connections)
        try:
            await connection.run()
        # One client's connection is one client's problem; a bug met there must not end the daemon.
        except Exception:
            log.exception("a connection failed")
        finally:
            self._connections.remove(connection)
            self._count.value = len(self._connections)

    async def _accepted(self, raw: socket.socket) -> None:
        line = Line(raw)
        # Closed synchronously, from every way out; TLS says goodbye before.
        try:
            if self.tls is None:
                await self.serve(_plain(line, raw))
            elif (secure := await self._handshake(line, self.tls)) is not None:
                await self.serve(_encrypted(secure, raw))
                with trio.move_on_after(GOODBYE):
                    await secure.aclose()
        except OSError:
            pass  # The client was gone before its address could be asked for.
        finally:
            line.close()

    async def _accept(self, listener: socket.socket) -> socket.socket | None:
        try:
            return listener.accept()[0]
        except (BlockingIOError, ConnectionError):
            return None  # The client has thought better of it.
        except OSError as problem:
            # Too many open files, mostly. The silent go; those who are being served will, too.
            self.crowd.complain(f"cannot accept a client: {problem.strerror}")
            await trio.sleep(0 if self.crowd.thin() else ACCEPT_AGAIN)
            return None

    async def _handshake(self, line: Line, tls: ssl.SSLContext) -> trio.SSLStream[Line] | None:
        secure = trio.SSLStream(line, tls, server_side=True, https_compatible=True)
        shaking = _Handshake()
        # Who is turned away here is told nothing: there is no way yet to say it.
        with self.crowd.place(shaking) as welcome, shaking.scope:
            if not welcome:
                return None
            try:
                await secure.do_handshake()
            except trio.BrokenResourceError:
                return None
            return secure
        return None

    async def _turn_away(self, peer: Peer) -> None:
        """Say that there is no room; not to everybody of a multitude."""
        if self._goodbyes >= self._most_goodbyes:
            return
        self._goodbyes += 1
        gone = (trio.BrokenResourceError, trio.ClosedResourceError)
        try:
            with trio.move_on_after(GOODBYE), suppress(*gone):
                await peer.stream.send_all(_full(too_many_connections(self.crowd.most)))
                # Closing with unread bytes would reset the connection under the client's feet.
                while await peer.stream.receive_some():
                    pass
        finally:
            self._goodbyes -= 1


@attrs.define(eq=False)
class _Handshake:
    """A client that has a place, but no words yet."""

    scope: trio.CancelScope = attrs.field(factory=lambda: trio.move_on_after(TLS_HANDSHAKE))
    silent_since: float | None = attrs.field(factory=trio.current_time)

    def dismiss(self) -> bool:
        """End it."""
        self.silent_since = None
        self.scope.cancel()
        return True


def server_tls(certificate: str, key: str) -> ssl.SSLContext:
    """Make the TLS context; raise `BadTls` when the files are no use."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # HTTP/1.1 only: a stream of HTTP/2 that is cut short cannot be aborted through hypercorn.
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except OSError as problem:  # ssl.SSLError is one
        why = f"{certificate}, {key}: {problem.strerror or problem}"
        raise BadTls(f"cannot use the TLS files: {why}") from problem
    return context


def _no_passphrase() -> str:
    raise BadTls("cannot use the TLS files: the key has a passphrase, and nobody can type it")


def _plain(line: Line, raw: socket.socket) -> Peer:
    return Peer(
        line, _address(raw.getpeername()), _address(raw.getsockname()), line.send_now, _reset(raw)
    )


def _encrypted(secure: trio.SSLStream[Line], raw: socket.socket) -> Peer:
    return Peer(
        secure, _address(raw.getpeername()), _address(raw.getsockname()), _nothing, _reset(raw)
    )


def _full(refusal: Refusal) -> bytes:
    body = refusal.body()
    fields = [*refusal.headers(), ("Connection", "close"), ("Content-Length", str(len(body)))]
    lines = [f"HTTP/1.1 {refusal.status} ", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _nothing(data: bytes | bytearray) -> int:
    """Send nothing now: what is encrypted goes through the stream."""
    return 0


def _reset(raw: socket.socket) -> Callable[[], None]:
    return partial(raw.setsockopt, socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def _address(name: Any) -> Address | None:
    return (name[0], name[1]) if isinstance(name, tuple) else None


def _config() -> Config:
    config = Config()
    config.keep_alive_max_requests = 1_000_000_000
    config.h11_max_incomplete_size = LARGEST_HEAD
    # The model's own Date and Server are the ones that count.
    config.include_date_header = False
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("swapd.front.hypercorn")
    return config
