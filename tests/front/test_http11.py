"""The ordinary request by llhttp, all else by h11: held beside h11 itself."""

from collections.abc import Sequence

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from swapd.front.http11 import Http11

LIMIT = 16384

GET = b"GET /x?y=1 HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nX-Odd:  a b \r\n\r\nhello"


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
    return ours, theirs


@pytest.mark.parametrize(
    "request_",
    [
        GET,
        POST,
        POST + GET + POST,
        GET.replace(b"\r\n", b"\n"),
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5x\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\n"
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \xff\xfe\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://h/x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT h:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * LIMIT + b"\r\n\r\n",
        b"x" * (LIMIT + 1),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
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


names = st.sampled_from([b"Host", b"Content-Length", b"X", b"Connection", b"x-y_z", b"Expect"])
values = st.sampled_from([b"h", b"5", b"0", b"keep-alive", b"close", b" a\tb ", b"\x80", b"100-c"])
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
    st.sampled_from([b"", b"hello", b"hello" + GET, b"\r\n"]),
)
wounds = st.tuples(st.integers(0, 200), st.binary(max_size=2))


@settings(max_examples=500, deadline=None)
@given(
    heads, st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=2)), max_size=2), st.data()
)
@example(POST + POST, [], None)
def test_mutated_requests_in_any_pieces_are_heard_as_h11_hears_them(head, hits, data):
    """A difference in how two readers understand a request is how requests are smuggled."""
    for at, what in hits:
        head = head[:at] + what + head[at + len(what) :]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(head)), max_size=3))) if data else []
    pieces = [head[a:b] for a, b in zip([0, *cuts], [*cuts, len(head)], strict=True)]
    ours, theirs = beside_h11(*[piece for piece in pieces if piece])
    assert ours == theirs


def test_an_offer_of_h2c_is_overlooked():
    """hypercorn would take it up, and nothing here could then abort an answer."""
    connection = Http11(LIMIT)
    connection.receive_data(
        b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    )
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    assert b"upgrade" not in dict(request.headers)


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
