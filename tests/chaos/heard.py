"""One exchange as a client sees it: a request sent, and what came back of it so far."""

from contextlib import suppress
from typing import Any

import attrs
import h11
import trio

from tests.chaos.account import Answer

READ = 65536


@attrs.define
class Heard:
    """What has come back so far."""

    head: h11.Response | None = None
    pieces: list[bytes] = attrs.field(factory=list)
    complete: bool = False

    def add(self, event: Any) -> bool:
        """Take what came; answer whether there may be more. None is the end of the connection."""
        if isinstance(event, h11.Response):
            self.head = event
        elif isinstance(event, h11.Data):
            self.pieces.append(bytes(event.data))
        else:
            self.complete = isinstance(event, h11.EndOfMessage)
            return False
        return True

    def answer(self) -> Answer:
        """Answer with what there is."""
        fields = dict(self.head.headers) if self.head is not None else {}
        # Where only the end of the connection ends an answer, nobody knows whether it is whole.
        framed = b"content-length" in fields or b"transfer-encoding" in fields
        return Answer(
            None if self.head is None else self.head.status_code,
            events=fields.get(b"content-type", b"").startswith(b"text/event-stream"),
            body=b"".join(self.pieces),
            complete=self.complete and framed,
        )


async def send(stream: trio.SocketStream, data: bytes, sent: trio.Event) -> None:
    """Send all of it, if the other side takes it; `sent` is set then."""
    # What came before the end can be read all the same.
    with suppress(trio.BrokenResourceError):
        await stream.send_all(data)
        sent.set()


async def hear(
    stream: trio.SocketStream, http: h11.Connection, heard: Heard, *, pause: float
) -> None:
    """Read what comes, with a pause after each piece, to its end."""
    while heard.add(await _next(stream, http)):
        if pause:
            await trio.sleep(pause)


async def _next(stream: trio.SocketStream, http: h11.Connection) -> Any:
    """Read the next event; None where the connection ended too early."""
    while True:
        try:
            event = http.next_event()
            if event is not h11.NEED_DATA:
                return event
            http.receive_data(bytes(await stream.receive_some(READ)))
        except (h11.RemoteProtocolError, trio.BrokenResourceError):
            return None
