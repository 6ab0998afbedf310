"""What passes between client and model, and what does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapd.config.settings import Origin
from swapd.wire.headers import (
    Header,
    authority,
    for_client,
    for_peer,
    for_upstream,
    is_event_stream,
    request_head,
    switches_to,
    target,
    via,
    with_host,
)

CHAT = [
    (b"Host", b"swapd.example:8080"),
    (b"User-Agent", b"openai/1.60"),
    (b"Accept-Encoding", b"gzip, br;q=0.5"),
    (b"Cookie", b"a=1"),
    (b"cookie", b"b=2"),
    (b"Content-Type", b"application/json"),
]

PEER = Origin("http", "strix.example", 8090)

# What we are called among those that a request came through.
VIA = (b"Via", b"1.1 swapd-1")

HOP_BY_HOP = [
    (b"Connection", b"keep-alive"),
    (b"Proxy-Connection", b"keep-alive"),
    (b"KEEP-ALIVE", b"timeout=5"),
    (b"Proxy-Authenticate", b"Basic"),
    (b"Proxy-Authorization", b"Basic eA=="),
    (b"TE", b"trailers"),
    (b"Trailer", b"X-Sum"),
    (b"Transfer-Encoding", b"chunked"),
    (b"Upgrade", b"h2c"),
]

ODD = st.binary(max_size=12) | st.sampled_from((b"a\r\nX: y", b"\n", b"\0", b"a\rb", b" "))


def test_a_model_gets_what_its_client_said_in_the_same_words() -> None:
    """Clients and models agree on more headers than we know of."""
    assert for_upstream(CHAT, client=None, length=0) == CHAT


@pytest.mark.parametrize("hop", HOP_BY_HOP)
def test_what_speaks_of_one_connection_is_not_passed_on(hop: Header) -> None:
    """The other connection has a framing and a life of its own."""
    asked = for_upstream([hop, *CHAT], client=None, length=0)
    assert [h for h in asked if h[0] != b"Content-Length"] == CHAT
    assert for_client([hop, *CHAT]) == CHAT


def test_what_connection_lists_is_not_passed_on() -> None:
    """A sender may name further headers that are meant for us only."""
    listing = [(b"Connection", b"close, X-One"), (b"connection", b"x-two ,")]
    extra = [(b"x-one", b"1"), (b"X-Two", b"2"), (b"X-Three", b"3")]
    kept = [*CHAT, (b"X-Three", b"3")]
    assert for_upstream([*listing, *CHAT, *extra], client=None, length=0) == kept
    assert for_client([*listing, *CHAT, *extra]) == kept


def test_nobody_can_have_host_removed() -> None:
    """A request without Host is not HTTP/1.1, and models refuse it."""
    asked = for_upstream([(b"Connection", b"Host"), *CHAT], client=None, length=0)
    assert asked == CHAT


@pytest.mark.parametrize(
    "secret", [(b"Authorization", b"Bearer sk-a"), (b"x-api-key", b"sk-a"), (b"Expect", b"100-go")]
)
def test_credentials_and_expectations_end_here(secret: Header) -> None:
    """The key is for swapd (D21), and the body that was asked for has already been read."""
    assert for_upstream([secret, *CHAT], client=None, length=0) == CHAT


def test_an_answer_keeps_its_challenge() -> None:
    """Only what the client sends is a secret of ours to keep."""
    answer = [(b"WWW-Authenticate", b"Bearer"), (b"Authorization-Info", b"x")]
    assert for_client(answer) == answer


def test_the_client_is_added_to_those_it_forwards_for() -> None:
    """Row V2; several headers mean one list, which stays where it stood."""
    asked = [(b"A", b"1"), (b"x-forwarded-for", b"9.9.9.9"), (b"B", b"2")]
    twice = [*asked, (b"X-Forwarded-For", b"8.8.8.8")]
    chain = (b"x-forwarded-for", b"9.9.9.9, 8.8.8.8, 127.0.0.1")
    assert for_upstream(twice, client="127.0.0.1", length=0) == [asked[0], chain, asked[2]]
    assert for_upstream(asked, client=None, length=0) == asked
    assert for_upstream([], client="::1", length=0) == [(b"X-Forwarded-For", b"::1")]


def test_the_length_is_that_of_the_body_that_is_sent() -> None:
    """The body may have been rewritten, and a wrong length hides a second request in it."""
    asked = [(b"content-length", b"7"), (b"A", b"1"), (b"Content-Length", b"7")]
    assert for_upstream(asked, client=None, length=9) == [(b"content-length", b"9"), asked[1]]
    assert for_upstream([(b"content-length", b"0")], client=None, length=0) == [
        (b"content-length", b"0")
    ]


def test_a_body_that_came_without_a_length_gets_one() -> None:
    """We have read it whole; not every model understands chunks."""
    chunked = [(b"Transfer-Encoding", b"chunked")]
    assert for_upstream(chunked, client=None, length=3) == [(b"Content-Length", b"3")]
    assert for_upstream(chunked, client=None, length=0) == [(b"Content-Length", b"0")]
    assert for_upstream([], client=None, length=3) == [(b"Content-Length", b"3")]
    assert for_upstream([], client=None, length=0) == []
    listed = [(b"Connection", b"content-length"), (b"Content-Length", b"3")]
    assert for_upstream(listed, client=None, length=3) == [(b"Content-Length", b"3")]


def to_peer(*headers: Header, api_key: str = "", length: int = 0) -> list[Header]:
    """Make what a peer gets of these, but for our own signature."""
    made = for_peer(headers, origin=PEER, through="swapd-1", api_key=api_key, length=length)
    made.remove(VIA)
    return made


def test_a_peer_is_told_who_sends_it_a_request() -> None:
    """Behind those who did before: so one that goes in a circle is found out."""
    before = (b"Via", b"1.0 fred, HTTP/1.1 proxy (a comment)")
    made = for_peer([before], origin=PEER, through="swapd-1", api_key="", length=0)
    assert made[1:] == [before, VIA]
    assert via(made) == [b"fred", b"proxy", b"swapd-1"]
    assert via([(b"Via", b""), (b"via", b",1.1,"), (b"X", b"1.1 y")]) == []


def test_a_peer_gets_what_its_client_said_and_its_own_name() -> None:
    """Row PE12: it may serve several names, and it does not know ours."""
    assert to_peer(*CHAT) == [(b"Host", b"strix.example:8090"), *CHAT[1:]]
    assert to_peer(length=3) == [
        (b"Host", b"strix.example:8090"),
        (b"Content-Length", b"3"),
    ]


@pytest.mark.parametrize(
    "name", [b"Forwarded", b"X-Forwarded-For", b"x-forwarded-host", b"X-FORWARDED-PROTO"]
)
def test_a_peer_is_not_told_who_asks(name: bytes) -> None:
    """Who calls us, and from where, is no business of another machine."""
    assert to_peer((name, b"10.0.0.7"), *CHAT) == to_peer(*CHAT)
    assert to_peer(*CHAT, (name, b"10.0.0.7"), (name, b"a")) == to_peer(*CHAT)


@pytest.mark.parametrize("hop", [*HOP_BY_HOP, (b"Expect", b"100-continue")])
def test_what_speaks_of_one_connection_does_not_reach_a_peer(hop: Header) -> None:
    """It is a server like any other."""
    asked = to_peer(hop, *CHAT)
    assert [header for header in asked if header[0] != b"Content-Length"] == to_peer(*CHAT)


@pytest.mark.parametrize(
    "secret", [(b"Authorization", b"Bearer sk-ours"), (b"X-API-Key", b"sk-ours")]
)
def test_a_clients_key_never_reaches_a_peer(secret: Header) -> None:
    """D21: it opens swapd, and the peer belongs to somebody else."""
    assert to_peer(secret, *CHAT) == to_peer(*CHAT)
    asked = to_peer(secret, *CHAT, api_key="sk-theirs")
    assert b"sk-ours" not in b"".join(value for _, value in asked)


def test_a_peers_key_stands_where_either_kind_of_server_looks() -> None:
    """Row PE10; OpenAI's look at the one, Anthropic's at the other."""
    assert to_peer(*CHAT, api_key="K") == [
        *to_peer(*CHAT),
        (b"Authorization", b"Bearer K"),
        (b"x-api-key", b"K"),
    ]
    listed = (b"Connection", b"authorization, x-api-key, host")
    assert to_peer(listed, *CHAT, api_key="K") == to_peer(*CHAT, api_key="K")


def test_a_key_cannot_end_its_line() -> None:
    """It may come from a file that ends with a line break."""
    asked = to_peer(api_key="K\n")
    assert asked[1:] == [(b"Authorization", b"Bearer K"), (b"x-api-key", b"K")]


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        (Origin("http", "h", 80), b"h"),
        (Origin("https", "h", 443), b"h"),
        (Origin("http", "h", 443), b"h:443"),
        (Origin("https", "h", 80), b"h:80"),
        (Origin("https", "::1", 443), b"[::1]"),
        (Origin("https", "::1", 8443, path="/v1"), b"[::1]:8443"),
    ],
)
def test_an_origin_is_called_as_every_client_calls_it(origin: Origin, name: bytes) -> None:
    """Servers that compare the name find `h:443` to be none of theirs."""
    assert authority(origin) == name


def test_an_upgrade_that_was_asked_for_is_asked_on() -> None:
    """The two headers speak of our connection to the model, where they are ours to say."""
    asked = [
        (b"Host", b"h"),
        (b"connection", b"keep-alive, upgrade"),
        (b"upgrade", b"WebSocket"),
        (b"Sec-WebSocket-Key", b"x"),
    ]
    ours = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    local = for_upstream(asked, client=None, length=0, upgrade=b"websocket")
    assert local == [asked[0], asked[3], *ours]
    peer = for_peer(
        asked, origin=PEER, through="swapd-1", api_key="", length=0, upgrade=b"websocket"
    )
    assert peer == [(b"Host", b"strix.example:8090"), asked[3], *ours, VIA]
    assert for_upstream(asked, client=None, length=0) == [asked[0], asked[3]]


@pytest.mark.parametrize(
    ("headers", "switches"),
    [
        ([(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")], True),
        ([(b"Upgrade", b"WebSocket"), (b"connection", b"close, UPGRADE")], True),
        ([(b"Connection", b"Upgrade"), (b"Upgrade", b"h2c")], False),
        ([(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket, h2c")], False),
        ([(b"Connection", b"Upgrade"), *[(b"Upgrade", b"websocket")] * 2], False),
        ([(b"Connection", b"close"), (b"Upgrade", b"websocket")], False),
        ([(b"Connection", b"Upgrade")], False),
        ([], False),
    ],
)
def test_only_the_switch_that_was_asked_for_is_one(headers: list[Header], switches: bool) -> None:
    """Both ends must mean the same language."""
    assert switches_to(b"websocket", headers) == switches
    assert not switches_to(b"", headers)


def test_an_answer_can_be_asked_for_uncompressed() -> None:
    """D11: lines of ours stand in front of it, and they are plain; else D36 holds."""
    twice = [*CHAT, (b"accept-encoding", b"br")]
    plain = [*CHAT[:2], (b"Accept-Encoding", b"identity"), *CHAT[3:]]
    assert for_upstream(twice, client=None, length=0, identity=True) == plain
    assert for_upstream([], client=None, length=0, identity=True) == [plain[2]]
    assert for_upstream(twice, client=None, length=0) == twice


def test_a_body_can_be_called_what_it_is() -> None:
    """D4: curl says that JSON is a form, and a model's server would believe it."""
    form = [*CHAT[:5], (b"content-type", b"application/x-www-form-urlencoded")]
    json = b"application/json"
    assert for_upstream(form, client=None, length=0, content_type=json) == CHAT
    named = for_upstream(CHAT[:5], client=None, length=3, content_type=json)
    assert named == [*CHAT[:5], (b"Content-Length", b"3"), CHAT[5]]
    peer = for_peer(form, origin=PEER, through="swapd-1", api_key="", length=0, content_type=json)
    assert peer == [*to_peer(*CHAT), VIA]


def test_an_answer_passes_byte_for_byte() -> None:
    """Whatever coding, cookies or doubled headers a model sends are its client's business."""
    answer = [(b"Server", b"llama.cpp"), (b"Content-Encoding", b"gzip"), (b"ETag", b'W/"1"')]
    assert for_client(answer) == answer


def test_an_event_stream_is_not_to_be_buffered() -> None:
    """nginx in front of us would deliver tokens by the kilobyte."""
    stream = [(b"Content-Type", b"Text/Event-Stream; charset=utf-8")]
    assert is_event_stream(stream)
    assert for_client(stream) == [*stream, (b"X-Accel-Buffering", b"no")]
    decided = [*stream, (b"x-accel-buffering", b"yes")]
    assert for_client(decided) == decided


def test_another_answer_may_be_buffered() -> None:
    """What is no stream of events is left as it is."""
    assert not is_event_stream([(b"Content-Type", b"application/json")])
    assert not is_event_stream([(b"X-Content-Kind", b"text/event-stream")])
    assert for_client([(b"Content-Type", b"application/json")]) == [
        (b"Content-Type", b"application/json")
    ]


@pytest.mark.parametrize(
    ("path", "query", "raw_path", "asked", "expected"),
    [
        ("/base", "k=1", b"/a%2Fb", b"x=1", b"/base/a%2Fb?k=1&x=1"),
        ("", "", b"/v1/models", b"", b"/v1/models"),
        ("", "", b"/v1/models", b"x=1", b"/v1/models?x=1"),
        ("", "k=1", b"/", b"", b"/?k=1"),
        ("/base/", "", b"/v1", b"", b"/base/v1"),
        ("/base", "", b"v1", b"", b"/base/v1"),
        ("", "", b"", b"", b"/"),
        ("", "", b"//twice", b"", b"//twice"),
        ("/base", "", b"/", b"a=%20&b", b"/base/?a=%20&b"),
    ],
)
def test_a_target_is_joined_with_one_slash_and_one_question_mark(
    path: str, query: str, raw_path: bytes, asked: bytes, expected: bytes
) -> None:
    """Row V1: what the client escaped stays escaped, and the origin's part comes first."""
    origin = Origin("http", "h", 80, path=path, query=query)
    assert target(origin, raw_path, asked) == expected


def test_a_target_cannot_end_its_line() -> None:
    """A space or a line break in it would start another request."""
    origin = Origin("http", "h", 80)
    assert target(origin, b"/a b\r\nHost: x\0", b"\xc3\xa9") == b"/a%20b%0D%0AHost:%20x%00?%C3%A9"


@given(st.lists(st.tuples(ODD, ODD)), ODD, ODD)
def test_nothing_forwarded_can_be_two_requests(
    headers: list[Header], path: bytes, query: bytes
) -> None:
    """Whatever a client gets past the server in front, a model sees one head with these lines."""
    asked = for_upstream(headers, client="127.0.0.1", length=5)
    head = request_head("POST", target(Origin("http", "h", 80), path, query), asked)
    lines = head.split(b"\r\n")
    assert len(lines) == len(asked) + 3
    assert lines[0].split(b" ")[0::2] == [b"POST", b"HTTP/1.1"]
    assert b"\n" not in b"".join(lines)
    assert b"\r" not in b"".join(lines)
    assert not any(b"\n" in n + v or b"\r" in n + v for n, v in for_client(headers))
    asked = for_peer(headers, origin=PEER, through="swapd-1", api_key="K", length=5)
    assert request_head("POST", b"/", asked).count(b"\n") == len(asked) + 2


@pytest.mark.parametrize(
    ("method", "aim", "field"),
    [
        ("GET", b"/", (b"A", b"1\r\nB: 2")),
        ("GET", b"/", (b"A\n", b"1")),
        ("GET", b"/", (b"A", b"1\0")),
        ("GET", b"/ HTTP/1.1\r\n", (b"A", b"1")),
        ("GET", b"/a b", (b"A", b"1")),
        ("GET", b"", (b"A", b"1")),
        ("GET /", b"/", (b"A", b"1")),
        ("", b"/", (b"A", b"1")),
    ],
)
def test_a_head_that_is_more_than_one_is_not_written(
    method: str, aim: bytes, field: Header
) -> None:
    """The last look before the wire trusts nobody above."""
    with pytest.raises(ValueError, match="cannot send"):
        request_head(method, aim, [field])


@pytest.mark.parametrize(
    ("host", "wanted"), [("127.0.0.1", b"127.0.0.1:5800"), ("::1", b"[::1]:5800")]
)
def test_a_missing_host_is_the_models_own_and_another_is_kept(host, wanted):
    """HTTP/1.0 has none; HTTP/1.1 servers insist on one."""
    origin = Origin("http", host, 5800)
    assert with_host([(b"X", b"1")], origin) == [(b"Host", wanted), (b"X", b"1")]
    assert with_host([(b"hOST", b"mine")], origin) == [(b"hOST", b"mine")]
