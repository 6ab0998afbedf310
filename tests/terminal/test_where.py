"""Where the daemon is asked for, and with which key."""

import pytest

from swapd.terminal.where import BadWhere, Where, key, where


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("http://127.0.0.1:8080", ("http", "127.0.0.1", 8080, "")),
        ("http://box", ("http", "box", 80, "")),
        ("https://box/", ("https", "box", 443, "")),
        ("http://[::1]:9/", ("http", "::1", 9, "")),
        ("https://box/llm/", ("https", "box", 443, "/llm")),
        ("http://box/a b", ("http", "box", 80, "/a%20b")),
        ("unix:/run/swapd.sock", ("unix", "/run/swapd.sock", 0, "")),
        ("unix:here", ("unix", "here", 0, "")),
    ],
)
def test_addresses_are_what_the_daemon_announces(text, parts):
    """What `swapd serve` prints can be pasted."""
    assert Where.parse(text) == (text, *parts)


@pytest.mark.parametrize(
    "text",
    [
        *("localhost:8080", "8080", "ftp://box", "http://", "http://:80", "unix:", "http://[::1"),
        *("http://box:x", "http://box:70000", "http://box/?a=1", "http://box#a"),
    ],
)
def test_what_is_no_address_is_said_to_be_none(text):
    """Before anything is asked: a typing mistake is no daemon that is down."""
    with pytest.raises(BadWhere):
        Where.parse(text)


def test_a_key_has_no_place_in_an_address():
    """Everybody on the machine sees it there, and the complaint does not repeat it."""
    with pytest.raises(BadWhere, match="SWAPD_API_KEY") as wrong:
        Where.parse("http://:sk-secret@box")
    assert "sk-secret" not in str(wrong.value)


def test_what_is_typed_goes_before_what_is_exported():
    """The closest word counts; an empty variable is none."""
    assert where("http://a", {"SWAPD_URL": "http://b"}).host == "a"
    assert where(None, {"SWAPD_URL": "http://b"}).host == "b"
    assert where(None, {"SWAPD_URL": ""}).text == "http://127.0.0.1:8080"
    assert where(None, {}).text == "http://127.0.0.1:8080"


def test_a_key_comes_from_the_environment():
    """With the line break of the file that it was read from, or without."""
    assert key({"SWAPD_API_KEY": "sk-1\n"}) == "sk-1"
    assert key({}) == ""


@pytest.mark.parametrize("text", ["sk\r\nHost: x", "schlüssel", "a\x00b"])
def test_a_key_that_no_header_carries_is_said_to_be_one(text):
    """It would be another header, or a traceback; and it is not shown."""
    with pytest.raises(BadWhere) as wrong:
        key({"SWAPD_API_KEY": text})
    assert text not in str(wrong.value)
