"""Running hypercorn: a connection each, until drained.

hypercorn's own `serve` keeps its sockets and its streams to itself. We need both (see
`connection.py`), so its `TCPServer`, which speaks HTTP over one stream, is run here for each
connection that we accept. This is the only file that knows hypercorn.
"""

import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from trio_util import AsyncValue

from swapd.front.connection import Client

log = logging.getLogger(__name__)

# How long a connection may be idle, or take over the head of its request. Longer than the pools
# of common clients keep theirs, so that it is them who close.
KEEP_ALIVE = 75.0

TLS_HANDSHAKE = 10.0

# The most that a request's line and headers may hold.
LARGEST_HEAD = 65536


@attrs.define
class Front:
    """Accepts connections and hands their requests to an ASGI application."""

    app: ASGIFramework
    tls: ssl.SSLContext | None = None
    _connections: AsyncValue[int] = attrs.field(factory=lambda: AsyncValue(0))
    _context: WorkerContext = attrs.field(factory=lambda: WorkerContext(None))
    _accepting: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _config: Config = attrs.field(factory=lambda: _config())

    async def run(
        self,
        listener: socket.socket,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until cancelled; after `stop_accepting` only what is connected."""
        async with trio.open_nursery() as connections:
            with self._accepting:
                accept = partial(
                    trio.serve_listeners,
                    self.connection,
                    [trio.SocketListener(trio.socket.from_stdlib_socket(listener))],
                    handler_nursery=connections,
                )
                async with trio.open_nursery() as nursery:
                    await nursery.start(accept)
                    task_status.started()
            await trio.sleep_forever()

    async def stop_accepting(self) -> None:
        """Accept no more, close what is idle, and let the rest finish its request."""
        self._accepting.cancel()
        await self._context.terminated.set()

    async def drained(self) -> None:
        """Wait until nobody is connected."""
        await self._connections.wait_value(0)

    async def connection(self, stream: trio.SocketStream) -> None:
        """Serve one connection to its end."""
        self._connections.value += 1
        try:
            await self._serve(stream)
        # One client's connection is one client's problem; a bug met there must not end the daemon.
        except Exception:
            log.exception("a connection failed")
        finally:
            self._connections.value -= 1
            stream.socket.close()

    async def _serve(self, stream: trio.SocketStream) -> None:
        spoken: trio.abc.Stream = stream
        if self.tls is not None:
            secure = trio.SSLStream(stream, self.tls, server_side=True, https_compatible=True)
            with trio.move_on_after(TLS_HANDSHAKE) as patience:
                try:
                    await secure.do_handshake()
                except trio.BrokenResourceError:
                    return
            if patience.cancelled_caught:
                return
            spoken = secure
        client = Client(spoken, stream.socket)
        state = ConnectionState({"client": client})
        server: Callable[..., Any] = TCPServer
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._until_gone, client, nursery.cancel_scope)
            await server(ASGIWrapper(self.app), self._config, self._context, state, client).run()
            nursery.cancel_scope.cancel()

    async def _until_gone(self, client: Client, connection: trio.CancelScope) -> None:
        # hypercorn itself would keep an idle connection until its timeout, and would not hear of
        # the end of a busy one while anything stands unread behind the request.
        await client.read_ahead()
        connection.cancel()


def server_tls(certificate: str, key: str) -> ssl.SSLContext:
    """Make the TLS context; raises OSError or ssl.SSLError when the files are no use."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # HTTP/1.1 only: a stream of HTTP/2 that is cut short cannot be aborted through hypercorn.
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    return context


def _config() -> Config:
    config = Config()
    config.keep_alive_timeout = KEEP_ALIVE
    config.keep_alive_max_requests = 1_000_000_000
    config.h11_max_incomplete_size = LARGEST_HEAD
    # The model's own Date and Server are the ones that count.
    config.include_date_header = False
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("swapd.front.hypercorn")
    return config
