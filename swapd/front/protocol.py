"""hypercorn's HTTP/1.1, where we answer in another way.

Rule 1: what is sent in answer to an ordinary request makes no detour over h11. Its events would
cost more than all else that is done to a head, or to a token.
Rule 2: what is no request is refused like any other, in an envelope, before its connection ends.
"""

import h11
from hypercorn.events import RawData
from hypercorn.protocol.events import Body, EndBody, Response
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import H11Protocol

from swapd import refusals
from swapd.front.http11 import Http11

TOO_LONG = 431


class Protocol(H11Protocol):
    """Turns what comes in into requests, and what is answered into what goes out."""

    connection: Http11  # type: ignore[assignment]  # all that is used of h11's

    async def stream_send(self, event: StreamEvent) -> None:
        """Send what the application says."""
        spoken = self.connection
        if not spoken.ordinary:
            await super().stream_send(event)
        elif isinstance(event, Body):  # first, and not a match: this is asked for every token
            await self.send(RawData(data=spoken.send_piece(event.data)))
        elif isinstance(event, Response):
            await self.send(RawData(data=spoken.send_head(event.status_code, event.headers)))
        elif isinstance(event, EndBody):
            await self.send(RawData(data=spoken.send_end()))
        else:
            await super().stream_send(event)

    async def _send_error_response(self, status_code: int) -> None:
        refusal = refusals.bad_request(status_code, self._wrong(status_code))
        body = refusal.body()
        fields = [*refusal.headers(), ("Connection", "close"), ("Content-Length", str(len(body)))]
        for event in (
            h11.Response(status_code=status_code, headers=fields),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            await self._send_h11_event(event)

    def _wrong(self, status_code: int) -> str:
        if status_code != TOO_LONG:
            return "this cannot be read as HTTP/1.1, or in two ways"
        most = self.config.h11_max_incomplete_size
        return f"the request's line and headers are longer than {most} bytes"
