"""A connection, as bytes: sending, receiving, and ending it at once.

Rule 1: closing is synchronous (`shut`), so that it works from any `finally`.
Rule 2: a cancelled receive has taken nothing from the connection.
"""

import operator
import os
import select
import socket
import ssl
from typing import Protocol, runtime_checkable

import trio

# As much as one receive takes: a few hundred tokens, or a good piece of a large answer.
RECEIVE_SIZE = 64 * 1024


class Line(trio.abc.Stream):
    """A connected socket, for one sender and one receiver.

    Not `trio.SocketStream`: a send that succeeds at once does not go round the scheduler here,
    since a receive that does always follows. That saves a third of what a short exchange costs.
    """

    def __init__(self, raw: socket.socket) -> None:
        raw.setblocking(False)
        if raw.family != socket.AF_UNIX:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._raw = raw
        self._poll = select.poll()
        self._poll.register(raw, select.POLLIN)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it; cancelled on the way, some."""
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            sent = self._send_some(data)
            if sent < len(data):
                with memoryview(data) as rest:
                    while sent < len(rest):
                        await trio.lowlevel.wait_writable(self._raw)
                        sent += self._send_some(rest[sent:])
        except OSError as broken:
            raise self._error(broken) from broken

    def send_now(self, data: bytes | bytearray | memoryview) -> int:
        """Send what can be sent without waiting; answer how much that was."""
        try:
            return self._send_some(data)
        except OSError as broken:
            raise self._error(broken) from broken

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until a send has a chance to return at once."""
        if self._raw.fileno() < 0:
            raise trio.ClosedResourceError("this connection was closed here")
        await trio.lowlevel.wait_writable(self._raw)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Take what is there, or wait for it; b"" is the end."""
        size = RECEIVE_SIZE if max_bytes is None else operator.index(max_bytes)
        if size < 1:
            raise ValueError(f"cannot receive {size} bytes")
        # Waited for first: an attempt nearly always fails, because what is sent in answer to us,
        # or one token after another, has not come yet. It is a checkpoint as well.
        while True:
            await self._readable()
            try:
                return self._raw.recv(size)
            except BlockingIOError:
                continue
            except OSError as broken:
                raise self._error(broken) from broken

    async def aclose(self) -> None:
        """Close; only the checkpoint makes this asynchronous."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close at once; whoever waits for this connection gets `ClosedResourceError`."""
        if self._raw.fileno() >= 0:
            trio.lowlevel.notify_closing(self._raw)
            self._raw.close()

    def readable(self) -> bool:
        """Tell whether a receive would return at once."""
        return bool(self._poll.poll(0))

    def _send_some(self, data: bytes | bytearray | memoryview) -> int:
        try:
            return self._raw.send(data)
        except BlockingIOError:
            return 0

    async def _readable(self) -> None:
        if self._raw.fileno() < 0:
            raise trio.ClosedResourceError("this connection was closed here")
        await trio.lowlevel.wait_readable(self._raw)

    def _error(self, cause: OSError) -> Exception:
        if self._raw.fileno() < 0:
            return trio.ClosedResourceError("this connection was closed here")
        return trio.BrokenResourceError(f"the connection broke: {cause}")


@runtime_checkable
class _Closes(Protocol):
    def close(self) -> None: ...


@runtime_checkable
class _Readable(Protocol):
    def readable(self) -> bool: ...


def shut(stream: trio.abc.AsyncResource) -> None:
    """Close a connection at once, without a goodbye and without waiting.

    Over an encrypted one no `close_notify` is sent: saying it could block.
    """
    match stream:
        case Line():
            stream.close()
        case trio.SSLStream():
            shut(stream.transport_stream)
        case trio.SocketStream():
            stream.socket.close()
        case trio.StapledStream():
            shut(stream.send_stream)
            shut(stream.receive_stream)
        case _Closes():
            stream.close()
        case _:
            trio.lowlevel.spawn_system_task(trio.aclose_forcefully, stream)


def stale(stream: trio.abc.AsyncResource) -> bool:
    """Tell whether an idle connection has something to read: its end, or what nobody asked for."""
    match stream:
        case Line():  # before it is asked what it can do, which takes longer
            return stream.readable()
        case trio.SSLStream():
            return stale(stream.transport_stream)
        case trio.SocketStream():
            return stream.socket.is_readable()
        case _Readable():
            return stream.readable()
        case _:
            return False


def why(broken: BaseException) -> str:
    """Say in a few words what the layers below said in many."""
    cause = broken.__cause__
    if isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    if isinstance(cause, OSError):
        return why(cause)
    if isinstance(broken, ssl.SSLCertVerificationError):
        return broken.verify_message
    text = str(broken)
    if isinstance(broken, ssl.SSLError):
        text = broken.reason.lower().replace("_", " ") if broken.reason else text
    elif isinstance(broken, OSError):
        number = broken.errno or 0  # Negative is a resolver's; trio puts addresses in its text.
        text = os.strerror(number) if number > 0 else broken.strerror or text
    return text[:1].lower() + text[1:] or "the connection broke"
