"""HTTP/1.1 as hypercorn wants it spoken, with the ordinary request parsed by llhttp.

hypercorn speaks HTTP/1.1 through an `h11.Connection`, which costs as much as all the rest of an
exchange. `Http11` takes its place and shows it the same face, and does itself only what nearly
every request is: HTTP/1.1, a head that came whole, a body of announced length or none, a
connection that is kept. Whatever is not that goes to a real `h11.Connection`, from its first byte,
and stays there: upgrades, chunked uploads, `Expect`, HTTP/1.0, `Connection: close`, and everything
that is wrong in any way.

Rule 1: what is accepted here, h11 would have accepted, and shown to hypercorn in the same way.
Rule 2: what h11 forgives, others before or behind us may understand in another way. So llhttp
reads all that h11 reads, and what only one of them accepts is refused.
Rule 3: no upgrade is shown to hypercorn, which would take it up; `upgrade` tells of it.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

import h11
from h11._headers import Headers  # its constructor would validate once more

from swapd.front.heads import Head, SecondReader, upgrade_of

# Where a head ends for h11, which also takes bare line feeds.
_BLANK_LINE = re.compile(rb"\n\r?\n")

# What begins with a control character or a space is no request, and need not be waited for.
_FIRST_OF_A_METHOD = 0x21


class Http11:
    """One client's side of a connection, for as long as its requests are ordinary ones."""

    def __init__(self, largest_head: int) -> None:
        self._largest_head = largest_head
        self._data = bytearray()
        self._h11: h11.Connection | None = None
        self._second = SecondReader()
        self.upgrade = b""
        """What the client asked to speak instead of HTTP, in small letters; mostly nothing."""
        self._begin()

    def _begin(self) -> None:
        self._head: Head | None = None
        self._body_left = 0
        self._send_left: int | None = None
        """How much of the answer's announced length is still to be sent; None means chunked."""
        self._our_state: type = h11.IDLE
        self._their_state: type = h11.IDLE
        self._closing = False

    # What hypercorn asks

    @property
    def our_state(self) -> type:
        """How far the answer is, in h11's words."""
        return self._h11.our_state if self._h11 else self._our_state

    @property
    def their_state(self) -> type:
        """How far the request is, in h11's words."""
        return self._h11.their_state if self._h11 else self._their_state

    @property
    def they_are_waiting_for_100_continue(self) -> bool:
        """Whether the client waits to be encouraged before it sends its body."""
        return bool(self._h11 and self._h11.they_are_waiting_for_100_continue)

    @property
    def trailing_data(self) -> tuple[bytes, bool]:
        """What came in behind the request, and whether the connection has ended after it."""
        return self._h11.trailing_data if self._h11 else (bytes(self._data), False)

    def receive_data(self, data: bytes) -> None:
        """Take what the client sent."""
        if self._h11:
            self._h11.receive_data(data)
            self._second.read(data)
        else:
            self._data += data

    def next_event(self) -> object:
        """Answer with what the client has said next."""
        if self._h11:
            return self._next_of_both(self._h11)
        if self._head is None:
            return self._next_head()
        if self._body_left:
            return self._next_piece()
        if self._their_state is not h11.DONE:
            self._their_state = h11.DONE
            return h11.EndOfMessage()
        return h11.PAUSED if self._data else h11.NEED_DATA

    def send(self, event: h11.Event) -> bytes:
        """Write down what is to be said."""
        if self._h11:
            return self._h11.send(event) or b""
        match event:
            case h11.Data():
                return self.send_piece(event.data)
            case h11.Response():
                return self.send_head(event.status_code, event.headers.raw_items())
            case h11.EndOfMessage():
                return self.send_end()
            case _:
                raise h11.LocalProtocolError(f"cannot send {event!r} here")

    def start_next_cycle(self) -> None:
        """Begin with the next request."""
        if self._h11:
            self._h11.start_next_cycle()
            self._second = SecondReader()
            self._second.read(self._h11.trailing_data[0])
        elif self._our_state is h11.DONE and self._their_state is h11.DONE:
            self._begin()
        else:
            raise h11.LocalProtocolError("the exchange is not over")

    # Receiving

    def _next_head(self) -> object:
        if not self._data:
            return h11.NEED_DATA
        found = _BLANK_LINE.search(self._data)
        end = found.end() if found else len(self._data)
        if self._data[0] < _FIRST_OF_A_METHOD or end > self._largest_head:
            return self._leave_it_to_h11()
        if not found:
            return h11.NEED_DATA
        head = Head()
        if not self._data.endswith(b"\r\n\r\n", 0, end) or not head.parse(self._data[:end]):
            return self._leave_it_to_h11()
        self._head = head
        self._body_left = head.length
        del self._data[:end]
        self._our_state, self._their_state = h11.SEND_RESPONSE, h11.SEND_BODY
        return head.event()

    def _next_piece(self) -> object:
        if not self._data:
            return h11.NEED_DATA
        piece = bytes(self._data[: self._body_left])
        del self._data[: len(piece)]
        self._body_left -= len(piece)
        return h11.Data(data=piece)

    def _leave_it_to_h11(self) -> object:
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=self._largest_head)
        self.receive_data(bytes(self._data))
        return self.next_event()

    def _next_of_both(self, connection: h11.Connection) -> object:
        if connection.their_state is h11.MUST_CLOSE:
            return h11.PAUSED  # Behind its last request nothing counts, not even as an error.
        before = len(connection.trailing_data[0]) if connection.their_state is h11.IDLE else 0
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as wrong:
            # Not 501: that we lack a transfer coding is no reason to try another than `chunked`.
            status = 431 if wrong.error_status_hint == 431 else 400
            raise h11.RemoteProtocolError(str(wrong), error_status_hint=status) from wrong
        if not self._second.agrees(event):
            raise h11.RemoteProtocolError("this could be read in two ways", error_status_hint=400)
        if isinstance(event, h11.Request):
            # h11 minds only a head that is still to come, not one whose last piece was long.
            if before - len(connection.trailing_data[0]) > self._largest_head:
                raise h11.RemoteProtocolError("the head is too long", error_status_hint=431)
            if event.method == b"CONNECT":  # h11 would take our answer for a tunnel's beginning.
                raise h11.RemoteProtocolError("no tunnels here", error_status_hint=400)
            self.upgrade = upgrade_of(event)
            fields = [(name, name.lower(), value) for name, value in event.headers.raw_items()]
            kept = Headers([field for field in fields if field[1] != b"upgrade"])
            return replace(event, headers=kept)
        return event

    # Sending, for those who need no event of h11's; only while the request is an ordinary one.

    @property
    def ordinary(self) -> bool:
        """Whether the request is one of those that do not go to h11."""
        return self._h11 is None

    def send_head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Write down the head of the answer; its headers have been looked through by others."""
        assert self._head is not None
        lines = [b"HTTP/1.1 %d " % status]
        self._send_left = None
        for name, value in headers:
            field = name.lower()
            if field == b"content-length":
                self._send_left = int(value)
            elif field == b"transfer-encoding":
                continue
            elif field == b"connection" and b"close" in value.lower():
                self._closing = True
            lines.append(b"%b: %b" % (name, value))
        if self._head.method == b"HEAD" or status in (204, 304):
            self._send_left = 0
        elif self._send_left is None:
            lines.append(b"Transfer-Encoding: chunked")
        head = b"\r\n".join([*lines, b"", b""])
        if head.count(b"\n") != len(lines) + 1 or head.count(b"\r") != len(lines) + 1:
            raise h11.LocalProtocolError("a header of the answer holds a line break")
        self._our_state = h11.SEND_BODY
        return head

    def send_piece(self, data: bytes) -> bytes:
        """Write down a piece of the body."""
        if self._send_left is None:
            return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        self._send_left -= len(data)
        if self._send_left < 0:
            raise h11.LocalProtocolError("more of the answer than its length announced")
        return data

    def send_end(self) -> bytes:
        """Write down the end of the answer."""
        if self._send_left:
            raise h11.LocalProtocolError("less of the answer than its length announced")
        self._our_state = h11.MUST_CLOSE if self._closing else h11.DONE
        return b"0\r\n\r\n" if self._send_left is None else b""
