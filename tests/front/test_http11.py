"""The ordinary request by llhttp, all else by both: held beside h11 and the letter of HTTP."""

import re
from collections.abc import Sequence
from http import HTTPMethod

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from swapd.front.http11 import Http11

LIMIT = 16384

GET = b"GET /x?y=1 HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nX-Odd:  a b \r\n\r\nhello"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


def heard(connection: h11.Connection | Http11, pieces: Sequence[bytes]) -> list[object]:
    """Feed the pieces, and write down what hypercorn would see, bodies joined."""
    seen: list[object] = []
    for piece in pieces:
        connection.receive_data(piece)
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError as error:
                return [*seen, ("error", error.error_status_hint)]
            if event is h11.NEED_DATA or event is h11.PAUSED:
                break
            if isinstance(event, h11.Request):
                fields = event.headers.raw_items(), list(event.headers)
                seen.append((event.method, event.target, event.http_version, *fields))
            elif isinstance(event, h11.Data):
                if seen and isinstance(seen[-1], bytes):
                    seen[-1] += bytes(event.data)
                else:
                    seen.append(bytes(event.data))
            else:
                seen.append(type(event).__name__)
            if isinstance(event, h11.EndOfMessage):
                if connection.their_state is not h11.DONE:
                    return [*seen, "must close"]
                answer(connection)
    return seen


def answer(connection: h11.Connection | Http11) -> None:
    """Complete the exchange, so that the next request may come."""
    connection.send(h11.Response(status_code=200, headers=[(b"Content-Length", b"0")]))
    connection.send(h11.EndOfMessage())
    connection.start_next_cycle()


def beside_h11(*pieces: bytes) -> tuple[list[object], list[object]]:
    ours = heard(Http11(LIMIT), pieces)
    theirs = heard(h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT), pieces)
    # What is wrong with a request is h11's to say, but that it is the client's fault is certain.
    return ours, [("error", 400) if seen == ("error", 501) else seen for seen in theirs]


def sized(length: int, *, more: bytes = b"") -> bytes:
    """Make a request whose head has so many bytes."""
    head = b"GET / HTTP/1.1\r\nHost: a\r\n%bX: %%b\r\n\r\n" % more
    return head % (b"x" * (length - len(head) + 2))


def whole(seen: Sequence[object]) -> list[tuple[object, object, bytes]]:
    """Pick the requests that were heard to their end: method, target, body."""
    requests: list[tuple[object, object, bytes]] = []
    body = b""
    for event in seen:
        if isinstance(event, tuple) and event[0] != "error":
            method, target, body = event[0], event[1], b""
        elif isinstance(event, bytes):
            body = event
        elif event == "EndOfMessage":
            requests.append((method, target, body))
    return requests


# Nobody who knows HTTP reads these differently. It is as narrow as a reader can be.
LINE = re.compile(rb"([A-Z]+) ([/*][!-\"$-~]*) HTTP/1\.([01])\r\n")
FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*\r\n")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n")


def by_the_letter(data: bytes) -> list[tuple[object, object, bytes]]:
    """Read requests, up to the first that is not whole, or not as the book has it."""
    requests: list[tuple[object, object, bytes]] = []
    at = 0
    while line := LINE.match(data, at):
        fields, at = read_fields(data, line.end())
        framing = [(n, v) for n, v in fields if n in (b"content-length", b"transfer-encoding")]
        hosts = [value for name, value in fields if name == b"host"]
        late = line[3] == b"0"
        known = line[1].decode() in HTTPMethod.__members__
        if at < 0 or len(framing) > 1 or not known or not (late or hosts) or len(hosts) > 1:
            break
        length, body = 0, b""
        if framing and framing[0][0] == b"transfer-encoding":
            if late or framing[0][1].lower() != b"chunked":
                break
            body, at = read_chunks(data, at)
        elif framing:
            if not re.fullmatch(rb"[0-9]{1,18}", framing[0][1]):
                break
            length = int(framing[0][1])
            body, at = data[at : at + length], at + length
        if not 0 <= at <= len(data):
            break
        requests.append((line[1], line[2], body))
    return requests


def read_fields(data: bytes, at: int) -> tuple[list[tuple[bytes, bytes]], int]:
    """Answer with the fields from there on and where their blank line ends, or -1."""
    fields = []
    while found := FIELD.match(data, at):
        fields.append((found[1].lower(), found[2]))
        at = found.end()
    return fields, at + 2 if data.startswith(b"\r\n", at) else -1


def read_chunks(data: bytes, at: int) -> tuple[bytes, int]:
    """Answer with the body from there on and where it ends, or -1."""
    body = b""
    while chunk := CHUNK.match(data, at):
        size, at = int(chunk[1], 16), chunk.end()
        if size == 0:
            return body, read_fields(data, at)[1]
        body += data[at : at + size]
        if not data.startswith(b"\r\n", at + size):
            break
        at += size + 2
    return body, -1


@pytest.mark.parametrize(
    "request_",
    [
        GET,
        POST,
        POST + GET + POST,
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5x\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b'5;a=b;c="d e"\r\nhello\r\n00\r\nX: y\r\n\r\n' + POST + CHUNKED + b"1\r\nx",
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
        b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \xff\xfe\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / RTSP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://h/x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        sized(LIMIT),
        b"x" * (LIMIT + 1),
        b"\x16\x03\x01\x02\x00\x01",
        b"\r\n" + GET,
        POST + b"\r\n" + GET,
    ],
)
def test_every_kind_of_request_is_heard_as_h11_hears_it(request_):
    """Ordinary or not, right or wrong, in one piece and byte by byte."""
    ours, theirs = beside_h11(request_)
    assert ours == theirs
    if len(request_) < 1000:
        ours, theirs = beside_h11(*[request_[at : at + 1] for at in range(len(request_))])
        assert ours == theirs


@pytest.mark.parametrize(
    "request_",
    [
        GET.replace(b"\r\n", b"\n"),
        GET.replace(b"h\r\n", b"h\nX: y\r\n"),
        GET.replace(b"/x", b"/#x"),
        GET.replace(b"1.1", b"2.0"),
        GET.replace(b"GET", b"get"),
        GET.replace(b"GET", b"BREW"),
        b"PRI * HTTP/2.0\r\n\r\n",
        b"CONNECT h:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent_Length: 0\r\n\r\nabc",
        CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n") + b"0\r\n\r\n",
        CHUNKED.replace(b"Transfer-", b"Content-Length: 3\r\nTransfer-") + b"0\r\n\r\n",
        CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n",
        CHUNKED + b"0\r\n\n" + GET,
        CHUNKED + b"0 \r\n\r\n",
        CHUNKED + b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"fffffffffffffffff\r\nhello",
        CHUNKED + b"0\r\nContent-Length: 1\r\n\r\n",
        CHUNKED + b"0\r\nX: y\n\r\n",
        CHUNKED + b"0\r\nX: y\r\n folded\r\n\r\n",
    ],
)
def test_what_only_h11_understands_is_refused(request_):
    """Whoever stands before or behind us may find another request in it, or two."""
    for pieces in ([request_], [request_[at : at + 1] for at in range(len(request_))]):
        ours, theirs = beside_h11(*pieces)
        assert ("error", 400) not in theirs
        assert whole(ours) == []
        assert ours[-1] == ("error", 400)


names = st.sampled_from(
    [b"Host", b"Content-Length", b"X", b"Connection", b"x-y_z", b"Expect", b"Transfer-Encoding"]
)
values = st.sampled_from(
    [b"h", b"5", b"0", b"keep-alive", b"close", b" a\tb ", b"\x80", b"100-c", b"chunked"]
)
bodies = [b"", b"hello", b"hello" + GET, b"\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\nX: y\r\n\r\n"]
heads = st.builds(
    lambda method, target, version, fields, body: (
        b"%b %b HTTP/%b\r\n" % (method, target, version)
        + b"".join(b"%b: %b\r\n" % field for field in [(b"Host", b"h"), *fields])
        + b"\r\n"
        + body
    ),
    st.sampled_from([b"GET", b"POST", b"HEAD", b"DELETE"]),
    st.sampled_from([b"/", b"/v1/x?a=b", b"*", b"/%2f", b"/\xc3"]),
    st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0"]),
    st.lists(st.tuples(names, values), max_size=4),
    st.sampled_from([*bodies, bodies[-2] + GET, bodies[-1] + GET]),
)


@settings(max_examples=500, deadline=None)
@given(
    heads, st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=2)), max_size=2), st.data()
)
@example(POST + POST, [], None)
def test_mutated_requests_in_any_pieces_are_heard_by_the_letter(head, hits, data):
    """A difference in how two readers understand a request is how requests are smuggled."""
    for at, what in hits:
        head = head[:at] + what + head[at + len(what) :]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(head)), max_size=3))) if data else []
    pieces = [head[a:b] for a, b in zip([0, *cuts], [*cuts, len(head)], strict=True)]
    ours, theirs = beside_h11(*[piece for piece in pieces if piece])
    by_h11, by_letter = whole(theirs), by_the_letter(head)
    assert whole(ours) == [
        one for one, other in zip(by_h11, by_letter, strict=False) if one == other
    ]
    assert ours == theirs or ours[-1] == ("error", 400)


@pytest.mark.parametrize(
    ("method", "fields", "upgrade"),
    [
        pytest.param(b"GET", UPGRADE, b"websocket", id="plain"),
        pytest.param(
            b"GET",
            b"Connection: keep-alive, UpGrAdE\r\nUpgrade: WebSocket\r\n",
            b"websocket",
            id="G19",
        ),
        pytest.param(
            b"GET",
            b"Connection: keep-alive\r\nUpgrade: h2c, x/1\r\n"
            b"Connection: x, upgrade\r\nUpgrade: websocket\r\n",
            b"websocket",
            id="lists over several lines",
        ),
        pytest.param(
            b"GET", b"Connection: keep-alive\r\nUpgrade: websocket\r\n", b"", id="G20-not-named"
        ),
        pytest.param(
            b"GET", b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"", id="G20-another-protocol"
        ),
        pytest.param(
            b"GET", b"Connection: xupgrade\r\nUpgrade: websockets\r\n", b"", id="parts of words"
        ),
        pytest.param(b"POST", UPGRADE, b"", id="no GET"),
        pytest.param(b"GET", UPGRADE + b"Content-Length: 0\r\n", b"websocket", id="no body"),
        pytest.param(b"GET", UPGRADE + b"Content-Length: 5\r\n", b"", id="a body"),
        pytest.param(
            b"GET", UPGRADE + b"Transfer-Encoding: chunked\r\n", b"", id="a body in chunks"
        ),
        pytest.param(b"GET", b"", b"", id="nothing"),
    ],
)
def test_an_upgrade_is_told_of_and_hidden(method, fields, upgrade):
    """hypercorn would take up h2c and websockets, and what is said there is not its business."""
    connection = Http11(LIMIT)
    connection.receive_data(method + b" / HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n")
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    assert connection.upgrade == upgrade
    names = [name for name, _ in request.headers]
    assert b"upgrade" not in names
    assert names.count(b"connection") == fields.count(b"Connection")


def test_no_upgrade_outlives_its_request():
    """The next one on the connection has asked for nothing."""
    connection = Http11(LIMIT)
    connection.receive_data(b"GET / HTTP/1.1\r\nHost: h\r\n" + UPGRADE + b"\r\n" + GET)
    connection.next_event()
    assert isinstance(connection.next_event(), h11.EndOfMessage)
    assert connection.next_event() is h11.PAUSED
    answer(connection)
    connection.next_event()
    assert connection.upgrade == b""


def test_http_1_0_knows_no_upgrades():
    """Its Upgrade is to be ignored (RFC 9110, 7.8): a cache of that age may have passed it on."""
    connection = Http11(LIMIT)
    connection.receive_data(b"GET / HTTP/1.0\r\n" + UPGRADE + b"\r\n")
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    assert request.http_version == b"1.0"
    assert connection.upgrade == b""


@pytest.mark.parametrize(
    ("method", "status", "headers", "body"),
    [
        (b"POST", 200, [(b"Content-Length", b"5"), (b"X-Odd", b"a  b")], [b"hel", b"lo"]),
        (b"POST", 200, [(b"Content-Type", b"text/event-stream")], [b"data: 1\n\n", b"", b"x"]),
        (b"POST", 204, [], []),
        (b"GET", 304, [(b"ETag", b"x")], []),
        (b"HEAD", 200, [(b"Content-Length", b"5")], []),
        (b"POST", 413, [(b"content-length", b"0"), (b"connection", b"close")], []),
        (b"POST", 200, [(b"Content-Length", b"0")], [b""]),
    ],
)
def test_answers_are_written_as_h11_writes_them(method, status, headers, body):
    """Same bytes, same end, same word on whether the connection may go on."""
    both: list[tuple[bytes, object]] = []
    for connection in (Http11(LIMIT), h11.Connection(h11.SERVER)):
        connection.receive_data(method + GET[3:])
        connection.next_event()
        connection.next_event()
        said = connection.send(h11.Response(status_code=status, headers=headers)) or b""
        for piece in body:
            said += connection.send(h11.Data(data=piece)) or b""
        said += connection.send(h11.EndOfMessage()) or b""
        both.append((said.lower(), connection.our_state))
    assert both[0] == both[1]


@pytest.mark.parametrize("body", [b"1234", b"123456"])
def test_an_answer_of_another_length_than_announced_is_an_error(body):
    """A client would wait for the rest, or take it for the next answer."""
    connection = Http11(LIMIT)
    connection.receive_data(GET)
    connection.next_event()
    connection.send(h11.Response(status_code=200, headers=[(b"Content-Length", b"5")]))
    with pytest.raises(h11.LocalProtocolError):
        say(connection, body)


def say(connection: Http11, body: bytes) -> None:
    connection.send(h11.Data(data=body))
    connection.send(h11.EndOfMessage())


def test_the_next_cycle_needs_the_end_of_this_one():
    """hypercorn relies on the error to close."""
    connection = Http11(LIMIT)
    connection.receive_data(GET)
    connection.next_event()
    with pytest.raises(h11.LocalProtocolError):
        connection.start_next_cycle()


@pytest.mark.parametrize("more", [b"", b"Connection: a, b\r\n"], ids=["ours", "h11's"])
@pytest.mark.parametrize(
    "before", [b"", GET, CHUNKED + b"0\r\n\r\n"], ids=["first", "second", "after h11"]
)
@pytest.mark.parametrize("cut", [1000, LIMIT, 2 * LIMIT])
def test_a_head_is_bounded_to_the_byte_however_it_comes(more, before, cut):
    """Not as in h11, which minds only what is not whole yet: up to twice as much got through."""
    for length, wrong in ((LIMIT, []), (LIMIT + 1, [("error", 431)])):
        head = sized(length, more=more)
        assert len(head) == length
        pieces = [head[at : at + cut] for at in range(0, length, cut)]
        seen = heard(Http11(LIMIT), [before, *pieces] if before else pieces)
        assert [
            event for event in seen if isinstance(event, tuple) and event[0] == "error"
        ] == wrong
