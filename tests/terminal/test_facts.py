"""Reading answers that may be anybody's."""

import json

import pytest

from swapd.terminal.endings import CannotTell
from swapd.terminal.facts import Record, listed


def test_facts_are_read_by_their_kind():
    """What is missing, or null, is not known; that is no mistake."""
    record = Record.read(
        b'{"t": "x", "n": 1.5, "i": 3, "r": {"t": "y"}, "l": [1, null], "no": null}'
    )
    assert (record.text("t"), record.number("n"), record.number("i")) == ("x", 1.5, 3.0)
    assert (record.text("no"), record.number("no"), record.record("no")) == (None, None, None)
    assert (record.text("gone"), record.numbers("gone"), record.records("gone")) == (None, [], [])
    inner = record.record("r")
    assert inner is not None
    assert inner.text("t") == "y"
    assert record.numbers("l") == [1.0]


@pytest.mark.parametrize(
    "body",
    [b"", b"OK", b"[]", b"1", b"null", b"\xff", b"<html>", b"[" * 100_000, b"9" * 10_000, b"{"],
)
def test_what_is_no_object_ends_the_command(body):
    """With a sentence, whatever answers there."""
    with pytest.raises(CannotTell):
        Record.read(body)


@pytest.mark.parametrize(
    "value", [True, "1", [], {}, float("nan"), float("inf"), -float("inf"), 10**400]
)
def test_a_number_is_one(value):
    """Infinity would be a traceback where it is written."""
    with pytest.raises(CannotTell):
        Record.read(json.dumps({"n": value}).encode()).number("n")


@pytest.mark.parametrize("body", [b"{}", b'{"models": 1}', b'{"models": [1]}', b'{"models": {}}'])
def test_a_list_has_to_be_there(body):
    """Another server's answer must not pass for a daemon without models."""
    with pytest.raises(CannotTell):
        listed(body, "models")


def test_an_empty_list_is_a_list():
    """As a daemon without models has it."""
    assert listed(b'{"models": []}', "models") == []
