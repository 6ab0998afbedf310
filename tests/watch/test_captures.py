"""Captures; llama-swap's own rows are in tests/rows/test_activity.py."""

import pytest

from swapd.routes import ROUTES
from swapd.watch.captures import MASKS, REDACTED, Capture, Captures, redacted


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (b"content-type", "Content-Type"),
        (b"x-LITELLM-session-id", "X-Litellm-Session-Id"),
        (b"x-2fa-b", "X-2fa-B"),
        (b"a b", "a b"),
        (b"caf\xe9", "caf\ufffd"),
    ],
)
def test_names_are_written_as_llama_swap_does(name, written):
    """Its pages look for X-Session-ID and the like by their casing there."""
    assert redacted([(name, b"1")]) == {written: "1"}


def test_the_first_of_a_name_is_kept_and_the_host_is_not():
    """As in llama-swap, whose maps hold one value for each name."""
    headers = [
        (b"Host", b"h"),
        (b"A", b"1"),
        (b"a", b"2"),
        (b"Cookie", b"x"),
        (b"set-cookie", b""),
    ]
    shown = {"A": "1", "Cookie": "[REDACTED]", "Set-Cookie": "[REDACTED]"}
    assert redacted(headers) == shown


def test_a_decoded_body_is_not_called_encoded():
    """Whoever replays it would try to decode it again."""
    headers = [(b"content-encoding", b"gzip"), (b"A", b"1")]
    assert redacted(headers, without_encoding=True) == {"A": "1"}
    assert redacted(headers) == {"Content-Encoding": "gzip", "A": "1"}


def test_headers_count():
    """Of many requests they are most; and what comes back is what went in."""
    captures = Captures(10_000)
    capture = Capture("/p", {"ab": "c" * 1000}, b"12345", {"d": "é"}, None, ("resp_body",))
    captures.put(1, capture)
    assert 1000 + 5 < captures.size < 1100
    assert captures.get(1) == capture


@pytest.mark.parametrize(
    "name", ["Api-Key", "X-Goog-Api-Key", "X-Auth-Token", "X-Client-Secret", "X-ApiKey", "Cookie"]
)
def test_whatever_is_called_a_key_is_one(name):
    """Vendors have names of their own for them."""
    assert redacted([(name.encode(), b"sk-1")]) == {name.replace("ApiKey", "Apikey"): REDACTED}


def test_a_smaller_buffer_forgets_the_oldest():
    """A reload may change it."""
    captures = Captures(100)
    for key in range(3):
        captures.put(key, Capture("x" * 30))
    captures.resize(60)
    assert [key in captures for key in range(3)] == [False, True, True]
    captures.resize(0)
    assert captures.size == 0
    assert not captures.enabled


def test_every_masked_path_is_one_that_there_is():
    """A mistyped one would keep hours of sound."""
    assert set(MASKS) <= set(ROUTES)
