"""What llhttp and h11 make of a request's head, beside each other."""

import h11
import httptools
from h11._headers import Headers, get_comma_header  # its constructor would validate once more

# What a server that turns names into variables takes for fields that say where a body ends.
_DISGUISED = frozenset((b"content_length", b"transfer_encoding"))

# Fields that make a request another than the ordinary one.
_NOT_ORDINARY = _DISGUISED | {b"connection", b"expect", b"transfer-encoding", b"upgrade"}


class Head:
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
        # By the letter: llhttp would take two spaces for one, and RTSP for HTTP.
        line = b"%b %b HTTP/1.1\r\n" % (self.method, self._target)
        plain = head.startswith(line) and b"#" not in self._target
        return plain and self._ordinary and self._hosts == 1

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


class SecondReader:
    """llhttp beside h11, for one request; llhttp calls what begins with `on_`."""

    def __init__(self) -> None:
        self._over = self._lost = False
        self._parser = httptools.HttpRequestParser(self)

    def read(self, data: bytes) -> None:
        """Read on; what comes behind the request does not matter."""
        try:
            if data and not self._over:
                self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._lost = self._lost or not self._over

    def agrees(self, event: object) -> bool:
        """Answer whether what h11 heard is what was read here."""
        if isinstance(event, h11.Request):
            # Neither minds other versions, or the part of a target that is not for servers.
            chunked = b"transfer-encoding" in dict(event.headers)
            known = event.http_version in ((b"1.1",) if chunked else (b"1.1", b"1.0"))
            return known and b"#" not in event.target and not self._lost
        if isinstance(event, h11.EndOfMessage):
            return self._over
        return not self._lost

    def on_header(self, name: bytes, value: bytes) -> None:
        # Never mind what is said behind the request, in a piece that holds more than it.
        self._lost = self._lost or (not self._over and name.lower() in _DISGUISED)

    def on_message_complete(self) -> None:
        self._over = True


def upgrade_of(request: h11.Request) -> bytes:
    """Name the protocol that is asked for, if it is one that may be passed on."""
    fields = request.headers
    asked = (
        (request.method, request.http_version) == (b"GET", b"1.1")
        and b"upgrade" in get_comma_header(fields, b"connection")
        and b"websocket" in get_comma_header(fields, b"upgrade")
        # Behind a body there could be two opinions on where the other protocol begins.
        and not get_comma_header(fields, b"transfer-encoding")
        and not any(map(int, get_comma_header(fields, b"content-length")))
    )
    return b"websocket" if asked else b""
