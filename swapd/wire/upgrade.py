"""A connection after a 101: a tunnel for bytes that are no longer HTTP.

Rule 1: what goes through is neither read nor changed here.
Rule 2: for one sender and one receiver. A cancelled sender may have sent a part.
"""

import trio

from swapd.config.settings import Origin


class Tunnel:
    """The two directions of a connection."""

    def __init__(self, stream: trio.abc.Stream, origin: Origin) -> None:
        self._stream = stream
        self._origin = origin
        self._pieces: list[bytes] = []
        """What has been received and not been taken."""

    async def receive(self) -> bytes:
        """Wait for what comes next; b"" is the end, also that of a broken connection."""
        if self._pieces:
            first = b"".join(self._pieces)
            self._pieces.clear()
            return first
        try:
            return bytes(await self._stream.receive_some())
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def send_raw(self, data: bytes) -> None:
        """Send all of it; `trio.BrokenResourceError` says that nobody takes it any more."""
        try:
            await self._stream.send_all(data)
        except trio.ClosedResourceError as closed:
            raise trio.BrokenResourceError(f"the tunnel to {self._origin} is closed") from closed
