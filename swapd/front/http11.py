"""HTTP/1.1 as hypercorn wants it spoken, with the ordinary request parsed by llhttp.

hypercorn speaks HTTP/1.1 through an `h11.Connection`, which costs as much as all the rest of an
exchange. `Http11` takes its place and shows it the same face, and does itself only what nearly
every request is: HTTP/1.1, a head that came whole, a body of announced length or none, a
connection that is kept. Whatever is not that goes to a real `h11.Connection`, from its first byte,
and stays there: upgrades, chunked uploads, `Expect`, HTTP/1.0, `Connection: close`, and everything
that is wrong in any way. So the verdict over a bad request is h11's, and this file has none.

Rule 1: what is accepted here, h11 would have accepted, and shown to hypercorn in the same way.
"""

import re

import h11
import httptools
from h11._headers import Headers  # h11's own constructor validates what llhttp has validated

# Fields that make a request another than the ordinary one.
_NOT_ORDINARY = frozenset((b"connection", b"expect", b"transfer-encoding", b"upgrade"))

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
        self._begin()

    def _begin(self) -> None:
        self._head: _Head | None = None
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
        else:
            self._data += data

    def next_event(self) -> object:
        """Answer with what the client has said next."""
        if self._h11:
            return _without_h2c(self._h11.next_event())
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
        if isinstance(event, h11.Data):  # not a match: this is asked for every token
            return self._send_piece(event.data)
        if isinstance(event, h11.Response):
            return self._send_head(event)
        if isinstance(event, h11.EndOfMessage):
            return self._send_end()
        raise h11.LocalProtocolError(f"cannot send {event!r} here")

    def start_next_cycle(self) -> None:
        """Begin with the next request."""
        if self._h11:
            self._h11.start_next_cycle()
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
        head = _Head()
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
        self._h11.receive_data(bytes(self._data))
        return self.next_event()

    # Sending

    def _send_head(self, response: h11.Response) -> bytes:
        assert self._head is not None
        lines = [b"HTTP/1.1 %d %b" % (response.status_code, response.reason)]
        self._send_left = None
        for name, value in response.headers.raw_items():
            field = name.lower()
            if field == b"content-length":
                self._send_left = int(value)
            elif field == b"transfer-encoding":
                continue
            elif field == b"connection" and b"close" in value.lower():
                self._closing = True
            lines.append(b"%b: %b" % (name, value))
        if self._head.method == b"HEAD" or response.status_code in (204, 304):
            self._send_left = 0
        elif self._send_left is None:
            lines.append(b"Transfer-Encoding: chunked")
        self._our_state = h11.SEND_BODY
        return b"\r\n".join([*lines, b"", b""])

    def _send_piece(self, data: bytes) -> bytes:
        if self._send_left is None:
            return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        self._send_left -= len(data)
        if self._send_left < 0:
            raise h11.LocalProtocolError("more of the answer than its length announced")
        return data

    def _send_end(self) -> bytes:
        if self._send_left:
            raise h11.LocalProtocolError("less of the answer than its length announced")
        self._our_state = h11.MUST_CLOSE if self._closing else h11.DONE
        return b"0\r\n\r\n" if self._send_left is None else b""


def _without_h2c(event: object) -> object:
    """Overlook the offer to go on in HTTP/2, which hypercorn would take up."""
    if isinstance(event, h11.Request) and (b"upgrade", b"h2c") in event.headers:
        kept = [field for field in event.headers.raw_items() if field[0].lower() != b"upgrade"]
        return h11.Request(method=event.method, target=event.target, headers=kept)
    return event


class _Head:
    """The head of one ordinary request; llhttp calls what begins with `on_`."""

    def __init__(self) -> None:
        self.length = 0
        self.method = b""
        self._target = b""
        self._fields: list[tuple[bytes, bytes, bytes]] = []
        self._ordinary = True
        self._hosts = 0

    def parse(self, head: bytearray) -> bool:
        """Take the whole head; answer whether it is one that is ours to take."""
        parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(head)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return False
        self.method = parser.get_method()
        version = parser.get_http_version()
        return self._ordinary and self._hosts == 1 and version == "1.1"

    def event(self) -> h11.Request:
        """Make h11's own event of it."""
        return h11.Request(method=self.method, target=self._target, headers=Headers(self._fields))

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        field = name.lower()
        if field in _NOT_ORDINARY and not (
            field == b"connection" and value.lower() == b"keep-alive"
        ):
            self._ordinary = False
        elif field == b"host":
            self._hosts += 1
        elif field == b"content-length":
            self.length = int(value)
        self._fields.append((name, field, value.rstrip(b" \t")))
