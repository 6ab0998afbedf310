"""A client's request on its way to a model or a peer."""

from typing import Any

import pytest

from swapd.config.settings import Origin, Peer, Timeouts
from swapd.proxy.body import Unusable
from swapd.proxy.outgoing import Outgoing
from swapd.proxy.spool import Body, Spliced
from swapd.wire.exchange import Request

MODEL = Origin("http", "127.0.0.1", 5801, path="/api", query="key=1")
PEER = Peer("strix", Origin("https", "strix.example", 443), ("x",), api_key="K")
CLIENT = ("10.0.0.7", 5000)


def to_peer(asked: Outgoing) -> Request:
    """Address it to the peer."""
    return asked.to_peer(PEER, through="swapd-1")


def scope(*headers: tuple[bytes, bytes], **changes: Any) -> dict[str, Any]:
    """Make what hypercorn tells of a request."""
    asked = {"method": "POST", "headers": list(headers), "client": CLIENT}
    return {**asked, **changes}


def outgoing(*headers: tuple[bytes, bytes], body: Body | Spliced = b"", **more: Any) -> Outgoing:
    """Make a request for `/v1/x?a=1` that goes on."""
    return Outgoing(scope(*headers), b"/v1/x", b"a=1", body, **more)


def test_a_model_is_asked_at_its_own_place():
    """What its URL has of path and query stands in front of the client's."""
    limits = Timeouts(connect=3)
    request = outgoing(body=b"{}").to_model(MODEL, limits, identity=False)
    assert (request.method, request.target) == ("POST", b"/api/v1/x?key=1&a=1")
    assert (request.body, request.timeouts, request.upgrade) == (b"{}", limits, b"")


def test_a_path_stays_as_it_was_escaped():
    """`%2F` in a name is no slash, and no server may be told that it is."""
    asked = Outgoing(scope(), b"/a%2Fb%20c", b"x=%31+1", b"")
    request = asked.to_model(Origin("http", "h", 80), Timeouts(), identity=False)
    assert request.target == b"/a%2Fb%20c?x=%31+1"


@pytest.mark.parametrize(
    ("body", "length"), [(b"12345", b"5"), (Spliced(b"12345", [(1, 2)], b"long"), b"8")]
)
@pytest.mark.parametrize("announced", [b"3", b"999"])
def test_the_length_is_that_of_the_body_as_it_goes_on(announced, body, length):
    """It may have been changed; a wrong length would hide another request, or wait for ever."""
    asked = outgoing((b"Content-Length", announced), body=body)
    for request in (
        asked.to_model(MODEL, Timeouts(), identity=False),
        to_peer(asked),
    ):
        assert dict(request.headers)[b"Content-Length"] == length
        assert request.body is body


def test_a_model_hears_who_asks_and_a_peer_does_not():
    """The one is ours and may count its clients; the other is somebody else's."""
    asked = outgoing((b"Host", b"swapd"))
    assert asked.client == "10.0.0.7"
    to_model = asked.to_model(MODEL, Timeouts(), identity=False).headers
    assert to_model == [(b"Host", b"swapd"), (b"X-Forwarded-For", b"10.0.0.7")]
    assert b"10.0.0.7" not in b"".join(value for _, value in to_peer(asked).headers)


@pytest.mark.parametrize(
    ("client", "address"), [(("::1", 5000), "::1"), (None, None)], ids=["v6", "none"]
)
def test_a_client_may_have_no_address(client, address):
    """It has left before it could be asked for, or came over a socket that has none."""
    asked = Outgoing(scope(client=client), b"/", b"", b"")
    assert asked.client == address
    headers = dict(asked.to_model(MODEL, Timeouts(), identity=False).headers)
    assert headers.get(b"X-Forwarded-For") == (None if address is None else address.encode())


def test_a_model_is_named_where_its_client_named_nobody():
    """A client of HTTP/1.0 need not say whom it asks; we speak HTTP/1.1."""
    headers = outgoing().to_model(MODEL, Timeouts(), identity=False).headers
    assert headers[0] == (b"Host", b"127.0.0.1:5801")


def test_a_peer_gets_its_key_its_name_and_its_limits():
    """All that is its own is taken from it, and nothing from the client's request."""
    request = to_peer(outgoing((b"Host", b"swapd"), (b"Authorization", b"Bearer mine")))
    assert request.headers == [
        (b"Host", b"strix.example"),
        (b"Via", b"1.1 swapd-1"),
        (b"Authorization", b"Bearer K"),
        (b"x-api-key", b"K"),
    ]
    assert (request.target, request.timeouts) == (b"/v1/x?a=1", PEER.timeouts)


def test_what_is_json_is_called_so():
    """A server goes by the type; curl calls everything a form."""
    declared = (b"Content-Type", b"application/x-www-form-urlencoded")
    asked = outgoing(declared, body=b"{}", content_type=b"application/json")
    for request in (
        asked.to_model(MODEL, Timeouts(), identity=False),
        to_peer(asked),
    ):
        types = [value for name, value in request.headers if name == b"Content-Type"]
        assert types == [b"application/json"]


@pytest.mark.parametrize("identity", [True, False])
def test_a_model_is_asked_for_plain_text_where_text_is_put_before_it(identity):
    """D11: and else for what the client can take."""
    asked = outgoing((b"Accept-Encoding", b"br"))
    headers = dict(asked.to_model(MODEL, Timeouts(), identity=identity).headers)
    assert headers[b"Accept-Encoding"] == (b"identity" if identity else b"br")


def test_an_upgrade_is_asked_for_on_either_way():
    """With the protocol that the answer will be compared with."""
    asked = outgoing((b"Upgrade", b"h2c, websocket"), upgrade=b"websocket")
    for request in (
        asked.to_model(MODEL, Timeouts(), identity=False),
        to_peer(asked),
    ):
        assert request.upgrade == b"websocket"
        assert [value for name, value in request.headers if name == b"Upgrade"] == [b"websocket"]
        assert (b"Connection", b"Upgrade") in request.headers


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        (b"0", 0.0),
        (b"-1", -1.0),
        (b"-1.0", -1.0),
        (b"5", 5.0),
        (b"0.25", 0.25),
        (b" 5 ", 5.0),
        (b"1e3", 1000.0),
    ],
)
def test_a_client_may_say_how_long_the_model_is_kept(text, seconds):
    """In seconds, 0 for not at all, -1 for ever; as the API promises."""
    headers = [] if text is None else [(b"x-swapd-keep-alive", text)]
    assert outgoing(*headers).keep_alive == seconds


@pytest.mark.parametrize(
    "text", [b"", b"soon", b"5m", b"nan", b"inf", b"-inf", b"-2", b"-0.5", b"1,5", b"\xff"]
)
def test_what_is_no_time_is_refused(text):
    """A model that stays because of a slip of the pen is never noticed."""
    with pytest.raises(Unusable) as unusable:
        _ = outgoing((b"x-swapd-keep-alive", text)).keep_alive
    refusal = unusable.value.refusal
    assert (refusal.status, refusal.code) == (400, "invalid_request")
    assert refusal.message.startswith("X-Swapd-Keep-Alive: expected seconds, 0 or -1, got ")
