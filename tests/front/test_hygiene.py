"""Requests that two readers could understand differently, against a whole swapd.

Each case is tried as a connection's first request, which is llhttp's, and behind one that has
moved the connection to h11. Another request follows at once, which a misreading would find.
"""

import json

import pytest
import trio

from swapd.front.connection import KEEP_ALIVE
from swapd.front.serve import LARGEST_HEAD
from tests.fakes import Asked
from tests.house import open_house

CHAT = "/v1/chat/completions"
LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
HOST = b"Host: x\r\n"
BODY = b'{"model":"a"}'
CHUNKS = b"d\r\n%b\r\n0\r\n\r\n" % BODY

# After this one h11 speaks for the connection.
MOVES_TO_H11 = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, x\r\n\r\n"


def chat(fields: bytes, body: bytes = BODY, *, line: bytes = LINE, host: bytes = HOST) -> bytes:
    return line + host + fields + b"\r\n" + body


def chunked(body: bytes) -> bytes:
    return chat(b"Transfer-Encoding: chunked\r\n", body)


def coded(coding: bytes) -> bytes:
    return chat(b"Transfer-Encoding:%b\r\n" % coding, CHUNKS)


def sized(length: bytes) -> bytes:
    return chat(b"Content-Length:%b\r\n" % length)


def aimed(target: bytes) -> bytes:
    return chat(b"Content-Length: 13\r\n", line=b"POST %b HTTP/1.1\r\n" % target)


def also(field: bytes) -> bytes:
    return chat(b"Content-Length: 13\r\n" + field)


NEXT = chat(b"Content-Length: 26\r\n", b'{"model":"a","smuggled":1}')

REFUSED = {
    # Two framings
    "length, then coding": chat(b"Content-Length: 13\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
    "coding, then length": chat(b"Transfer-Encoding: chunked\r\nContent-Length: 13\r\n", CHUNKS),
    "length 0 and coding": chat(b"content-length: 0\r\nTRANSFER-ENCODING: CHUNKED\r\n", CHUNKS),
    "coding before a colon": chat(b"Content-Length: 13\r\nTransfer-Encoding : chunked\r\n"),
    "coding in disguise": chat(b"Content-Length: 13\r\nTransfer_Encoding: chunked\r\n"),
    "length in disguise": chat(b"Transfer-Encoding: chunked\r\nContent_Length: 13\r\n", CHUNKS),
    "coding behind NUL": chat(b"Content-Length: 13\r\n\0Transfer-Encoding: chunked\r\n"),
    # Lengths
    "two lengths": chat(b"Content-Length: 13\r\nContent-Length: 0\r\n"),
    "a length twice": chat(b"Content-Length: 13\r\nContent-Length: 13\r\n"),
    "a list of lengths": sized(b" 13, 13"),
    "a length with plus": sized(b" +13"),
    "a length with minus": sized(b" -13"),
    "a length with a space": sized(b" 1 3"),
    "a length in hex": sized(b" 0xd"),
    "a length with a point": sized(b" 13.0"),
    "a length with an underscore": sized(b" 1_3"),
    "an empty length": sized(b""),
    "a length beyond all bounds": sized(b" " + b"9" * 30),
    # Codings
    "chunked twice": coded(b" chunked, chunked"),
    "chunked on two lines": chat(b"Transfer-Encoding: chunked\r\n" * 2, CHUNKS),
    "gzip, then chunked": coded(b" gzip, chunked"),
    "chunked, then identity": coded(b" chunked, identity"),
    "identity": coded(b" identity"),
    "an empty coding": coded(b""),
    "an empty coding first": coded(b" , chunked"),
    "nearly chunked": coded(b" xchunked"),
    "quoted chunked": coded(b' "chunked"'),
    "chunked with a parameter": coded(b" chunked;q=1"),
    "chunked behind a vertical tab": coded(b" \x0bchunked"),
    "chunked in HTTP/1.0": chunked(CHUNKS).replace(b"1.1", b"1.0"),
    # Lines
    "a folded field": also(b"X: a\r\n b\r\n"),
    "a folded length": sized(b" 1\r\n 3"),
    "a folded coding": coded(b"\r\n chunked"),
    "a folded first field": chat(b"Content-Length: 13\r\n", host=b" Host: x\r\n"),
    "bare line feeds": also(b"").replace(b"\r\n", b"\n"),
    "one bare line feed": also(b"X: a\nY: b\r\n"),
    "a bare line feed at the end": also(b"X: a\r\n").replace(b"a\r\n\r\n", b"a\r\n\n"),
    "a bare carriage return": also(b"X: a\rTransfer-Encoding: chunked\r\n"),
    "two carriage returns": also(b"X: a\r\r\n"),
    "NUL in a name": also(b"X\0Y: a\r\n"),
    "NUL in a value": also(b"X: a\0b\r\n"),
    "a space before the colon": also(b"X : a\r\n"),
    "a space in a name": also(b"X Y: a\r\n"),
    "an empty name": also(b": a\r\n"),
    "no colon": also(b"X\r\n"),
    "an empty line first": b"\r\n" + also(b""),
    "a space first": b" " + also(b""),
    # Chunks
    "a chunk's extension with a carriage return": chunked(b"d;a\rb\r\n%b\r\n0\r\n\r\n" % BODY),
    "a chunk's extension with a line feed": chunked(b"d;a\nb\r\n%b\r\n0\r\n\r\n" % BODY),
    "a chunk's size with 0x": chunked(b"0xd\r\n%b\r\n0\r\n\r\n" % BODY),
    "a chunk's size with minus": chunked(b"-d\r\n%b\r\n0\r\n\r\n" % BODY),
    "a chunk's size behind a space": chunked(b" d\r\n%b\r\n0\r\n\r\n" % BODY),
    "a chunk's size before a space": chunked(b"d \r\n%b\r\n0\r\n\r\n" % BODY),
    "a chunk's size beyond 64 bits": chunked(b"1000000000000000d\r\n%b\r\n0\r\n\r\n" % BODY),
    "a chunk's size in more digits": chunked(b"0" * 30 + b"d\r\n%b\r\n0\r\n\r\n" % BODY),
    "no size": chunked(b"\r\n%b\r\n0\r\n\r\n" % BODY),
    "a size that is too small": chunked(b"c\r\n%b\r\n0\r\n\r\n" % BODY),
    "a bare line feed behind a size": chunked(b"d\n%b\r\n0\r\n\r\n" % BODY),
    "a bare line feed behind a chunk": chunked(b"d\r\n%b\n0\r\n\r\n" % BODY),
    "a bare line feed for the end": chunked(b"d\r\n%b\r\n0\r\n\n" % BODY),
    "a trailer with a length": chunked(b"d\r\n%b\r\n0\r\nContent-Length: 99\r\n\r\n" % BODY),
    "a trailer with a coding": chunked(
        b"d\r\n%b\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n" % BODY
    ),
    "a trailer that is folded": chunked(b"d\r\n%b\r\n0\r\nX: a\r\n b\r\n\r\n" % BODY),
    "a trailer with a bare line feed": chunked(b"d\r\n%b\r\n0\r\nX: a\n\r\n" % BODY),
    # The request's line, and Host
    "no Host": chat(b"Content-Length: 13\r\n", host=b""),
    "two Hosts": also(b"Host: y\r\n"),
    "a Host twice": also(HOST),
    "a fragment": aimed(b"/v1/chat/completions#x"),
    "a fragment in the query": aimed(b"/v1/chat/completions?x#y"),
    "a space in the target": aimed(b"/v1/chat/completions x"),
    "two spaces before the target": aimed(b" /v1/chat/completions"),
    "a tab in the target": aimed(b"/v1/chat/completions\tx"),
    "a control character in the target": aimed(b"/v1/chat/completions?\x01"),
    "DEL in the target": aimed(b"/v1/chat/completions?\x7f"),
    "a letter outside ASCII in the target": aimed(b"/v1/chat/completions?\xc3\xa9"),
    "no target": aimed(b""),
    "a method in small letters": also(b"").replace(b"POST", b"post"),
    "a method in mixed letters": also(b"").replace(b"POST", b"Post"),
    "a protocol in small letters": also(b"").replace(b"HTTP", b"http"),
    "another protocol": also(b"").replace(b"HTTP", b"RTSP"),
    "HTTP/0.9": b"POST /v1/chat/completions\r\n\r\n",
    "HTTP/2.0": also(b"").replace(b"1.1", b"2.0"),
    "HTTP/1.10": also(b"").replace(b"1.1", b"1.10"),
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a space behind the version": also(b"").replace(b"1.1\r\n", b"1.1 \r\n"),
}

# What is behind each is not the next request, except where it says so.
TAKEN_FOR_ONE = {
    "a length": sized(b" 13"),
    "a length with a zero first": sized(b" 013"),
    "a length between spaces": sized(b" \t13 \t"),
    "a coding behind a tab": coded(b"\tchunked"),
    "a coding in large letters": coded(b" CHUNKED"),
    "a coding between spaces": coded(b"   chunked  "),
    "two chunks": chunked(b"4\r\n%b\r\n9\r\n%b\r\n0\r\n\r\n" % (BODY[:4], BODY[4:])),
    "a chunk's extension": chunked(b"d;a\r\n%b\r\n0;b=c\r\n\r\n" % BODY),
    "a long extension": chunked(b"d;a=%b\r\n%b\r\n0\r\n\r\n" % (b"x" * 5000, BODY)),
    "a quoted extension": chunked(b'd;a="b; c"\r\n%b\r\n0\r\n\r\n' % BODY),
    "a chunk's size in large letters": chunked(CHUNKS.replace(b"d\r\n", b"D\r\n", 1)),
    "a chunk's size with zeros": chunked(b"000d\r\n%b\r\n000\r\n\r\n" % BODY),
    "a trailer": chunked(b"d\r\n%b\r\n0\r\nX: a\r\n\r\n" % BODY),
    "a trailer with a Host": chunked(b"d\r\n%b\r\n0\r\nHost: y\r\n\r\n" % BODY),
    "another host in the target": aimed(b"http://elsewhere/v1/chat/completions"),
    "Connection naming the length": also(b"Connection: content-length\r\n"),
    "Connection naming Host": also(b"Connection: host, x\r\n"),
    "Connection naming the coding": chat(
        b"Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n", CHUNKS
    ),
    "an upgrade nobody knows": also(b"Connection: Upgrade\r\nUpgrade: x\r\n"),
    "an upgrade of a POST": also(b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
}


async def said(raw: bytes) -> tuple[list[bytes], list[Asked], float]:
    """Send it; answer with the statuses, what the model was asked, and when it all ended."""
    async with open_house("a") as house:
        caller = house.call()
        await caller.raw(raw)
        got = b""
        while piece := await caller.stream.receive_some():
            got += bytes(piece)
        lines = [line for line in got.split(b"\r\n") if b"HTTP/1.1 " in line]
        answers = [line[line.index(b"HTTP/1.1 ") + 9 :][:3] for line in lines]
        return answers, house.upstream.asked, trio.current_time()


@pytest.mark.parametrize("before", [b"", MOVES_TO_H11], ids=["llhttp", "h11"])
@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
async def test_what_could_be_read_in_two_ways_is_refused(raw, before, autojump_clock):
    """With 400, and with the end of the connection: where the next begins is anybody's guess."""
    answers, asked, ended = await said(before + raw + NEXT)
    assert answers == [*([b"200"] if before else []), b"400"]
    assert asked == []
    assert ended == 0


@pytest.mark.parametrize("before", [b"", MOVES_TO_H11], ids=["llhttp", "h11"])
@pytest.mark.parametrize("raw", TAKEN_FOR_ONE.values(), ids=TAKEN_FOR_ONE)
async def test_what_all_read_alike_is_one_request(raw, before, autojump_clock):
    """Its body is the model's to the last byte, and the next request is where we found it."""
    answers, asked, _ = await said(before + raw + NEXT)
    assert answers == [*([b"200"] if before else []), b"200", b"200"]
    assert [one.body for one in asked] == [BODY, b'{"model":"a","smuggled":1}']
    for one in asked:
        assert (one.method, one.target) == ("POST", CHAT)
        assert one.headers["content-length"] == str(len(one.body))
        assert one.headers["host"] == "x"
        assert not one.headers.keys() & {"transfer-encoding", "upgrade", "connection"}


@pytest.mark.parametrize(
    ("raw", "answers", "bodies"),
    [
        pytest.param(sized(b" 13") + b"rest\r\n\r\n", [b"200", b"400"], [BODY], id="garbage"),
        pytest.param(sized(b" 13") + b"\r\n" + NEXT, [b"200", b"400"], [BODY], id="an empty line"),
        pytest.param(also(b"Connection: close\r\n") + NEXT, [b"200"], [BODY], id="said its last"),
        pytest.param(
            also(b"").replace(b"1.1", b"1.0") + NEXT, [b"200"], [BODY], id="HTTP/1.0 keeps nothing"
        ),
        pytest.param(
            chat(b"Content-Length: 0\r\n", b"") + sized(b" 13"),
            [b"404", b"200"],
            [BODY],
            id="a request behind an empty one",
        ),
        pytest.param(
            also(b"Expect: 100-continue\r\n"), [b"100", b"200"], [BODY], id="an expectation"
        ),
        pytest.param(
            also(b"X: " + b"x" * 3 * LARGEST_HEAD + b"\r\n"),
            [b"431"],
            [],
            id="a head that is too long",
        ),
    ],
)
async def test_what_comes_behind_is_never_the_same_request(raw, answers, bodies, autojump_clock):
    """Bytes belong to one request, or to none."""
    got, asked, _ = await said(raw)
    assert (got, [one.body for one in asked]) == (answers, bodies)


async def test_a_body_that_never_ends_reaches_nobody(autojump_clock):
    """Half a request is no request, however long the connection is kept."""
    answers, asked, ended = await said(chunked(b"d\r\n" + BODY))
    assert (answers, asked) == ([b"408"], [])
    assert ended <= 2 * KEEP_ALIVE


@pytest.mark.parametrize(
    "name", ["a\r\nInjected: yes", "a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "a\0", "\r\n", "a\nb"]
)
async def test_a_name_with_line_breaks_is_only_an_unknown_name(name, autojump_clock):
    """It comes back in the refusal, where it must stay inside of its quotes."""
    async with open_house("a") as house:
        reply = await house.post(CHAT, {"model": name})
        assert (reply.status, reply.complete) == (404, True)
        assert "injected" not in reply.headers
        assert house.upstream.asked == []


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions%0d%0aInjected:%20yes",
        "/v1/chat/completions?x=%0d%0aInjected:%20yes",
        "/v1/chat/completions?%0D%0A%0D%0APOST%20/%20HTTP/1.1%0D%0A",
        "/upstream/a/x%0d%0aInjected:%20yes",
        "/upstream/a%0d%0aInjected:%20yes/x",
        "/%0d%0aInjected:%20yes",
        "//elsewhere%0d%0aInjected:%20yes",
    ],
)
async def test_line_breaks_in_a_path_end_no_line(path, autojump_clock):
    """Neither of what the model is asked, nor of what the client is answered."""
    async with open_house("a") as house:
        reply = await house.post(path, {"model": "a"})
        assert reply.complete
        assert "injected" not in reply.headers
        for asked in house.upstream.asked:
            assert "injected" not in asked.headers
            assert json.loads(asked.body) == {"model": "a"}
        assert len(house.upstream.asked) <= 1


# Answers of models


async def test_what_a_models_connection_names_stays_between_it_and_us(autojump_clock):
    """A client that believed it would wait for, or end, a connection that is not its own."""
    hops = (
        b"Connection: X-Hop, close\r\nConnection: x-other\r\n"
        b"X-Hop: 1\r\nX-Other: 2\r\nX-Kept: 3\r\n"
        b"Keep-Alive: timeout=1\r\nProxy-Authenticate: x\r\nTrailer: y\r\nUpgrade: h2c\r\n"
    )

    async def hopping(asked: Asked) -> None:
        await asked.answer(b"{}", extra=hops)

    async with open_house("a") as house:
        house.upstream.handler = hopping
        reply = await house.post(CHAT, {"model": "a"})
        assert (reply.status, reply.body) == (200, b"{}")
        assert reply.headers["x-kept"] == "3"
        hidden = {"connection", "keep-alive", "proxy-authenticate", "trailer", "upgrade"}
        assert not reply.headers.keys() & (hidden | {"x-hop", "x-other"})


@pytest.mark.parametrize(
    "field",
    [
        b"X: a\rInjected: yes\r\n",
        b"X: a\nInjected: yes\r\n",
        b"X: a\r\n Injected: yes\r\n",
        b"X: a\0Injected: yes\r\n",
        b"X\r: a\r\n",
        b"Content-Length: 7\r\n",
        b"Transfer-Encoding: chunked\r\n",
    ],
)
async def test_an_answer_that_could_be_read_in_two_ways_is_not_passed_on(field, autojump_clock):
    """A model, or what stands before it, must not put words into our mouth either."""

    async def ambiguous(asked: Asked) -> None:
        await asked.answer(b"{}", extra=field)

    async with open_house("a") as house:
        house.upstream.handler = ambiguous
        reply = await house.post(CHAT, {"model": "a"})
        assert (reply.status, reply.code) == (502, "upstream_unreachable")
        assert "injected" not in reply.headers
