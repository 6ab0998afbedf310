"""How a refusal is written, beyond the rows E1 to E14: Anthropic's shape, events, odd texts."""

import json

import pytest

from swapd import refusals
from swapd.envelope import Reader, Refusal
from swapd.ids import ModelId
from swapd.refusals import ERRORS
from swapd.schedule.reasons import Cause, LoadFailed

ANTHROPIC = Reader(anthropic=True)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (507, "api_error"),
    ],
)
def test_anthropics_clients_read_types_of_their_own(status, kind):
    """Theirs raise by the type, and look for it under an `error` that says so twice."""
    envelope = json.loads(Refusal(status, "x", "y").body(ANTHROPIC))
    assert envelope["type"] == "error"
    assert envelope["error"] == {"message": "y", "type": kind, "param": None, "code": "x"}


def test_openais_envelope_does_not_say_that_it_is_one():
    """Some of its clients are strict about the top level."""
    assert set(Refusal(404, "x", "y").envelope()) == {"src", "error"}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{error.status}-{error.code}")
def test_only_what_goes_with_an_error_goes_with_it(error):
    """A 401 that does not say how to be let in is none (RFC 9110, 15.5.2)."""
    headers = dict(Refusal(error.status, error.code, "y").headers())
    challenge = {"WWW-Authenticate": 'Basic realm="swapd"'} if error.status == 401 else {}
    assert headers == {"Content-Type": "application/json", **challenge}


def test_an_event_can_be_told_from_whatever_it_cuts():
    """The stream may have ended in the middle of a line."""
    event = refusals.upstream_cut("a", "closed").event()
    before, data, after = event.partition(b"data: ")
    assert (before, data) == (b"\n\n", b"data: ")
    assert after.endswith(b"\n\n")
    assert json.loads(after)["error"]["code"] == "upstream_cut"
    assert after.count(b"\n") == 2


def test_anthropics_events_have_a_name():
    """Its clients overlook an error that comes without."""
    event = refusals.upstream_cut("a", "closed").event(Reader("text/plain", anthropic=True))
    assert event.startswith(b"\n\nevent: error\ndata: {")
    assert json.loads(event.partition(b"data: ")[2])["type"] == "error"


def test_json_is_plain_ascii_on_one_line():
    """Whatever a model wrote, or a client called it."""
    cause = Cause("exited", last_lines=("caf\u00e9 \ud800", "a\nb"))
    for refusal in (
        refusals.of_reason(LoadFailed(ModelId("a"), cause)),
        refusals.unknown_model("\ud800\n\u00e4"),
    ):
        for reader in (Reader(), ANTHROPIC):
            assert refusal.body(reader).isascii()
            assert b"\n" not in refusal.body(reader)
            json.loads(refusal.body(reader))


@pytest.mark.parametrize("kind", ["text/plain", "text/html"])
def test_text_is_utf_8_whatever_it_says(kind):
    """A name that is no text must not become a 500."""
    body = refusals.unknown_model("\ud800 caf\u00e9").body(Reader(kind))
    assert "? caf\u00e9" in body.decode()


@pytest.mark.parametrize(
    ("character", "shown"),
    [("<", "&lt;"), (">", "&gt;"), ("&", "&amp;"), ("'", "&#39;"), ('"', "&#34;")],
)
def test_no_character_of_a_page_is_the_clients(character, shown):
    """Nothing that a client sends can end the text or an attribute; written as llama-swap does."""
    page = Refusal(404, "x", character).body(Reader("text/html")).decode()
    assert page == f"<html><body><h1>swapd</h1><p>{shown}</p></body></html>"


def test_a_cause_is_told_to_programs_and_its_words_to_people():
    """D8: the exit code as a number, for whoever watches; in a page as the sentence has it."""
    cause = Cause("exited with code 1", exit_code=1, last_lines=("out of memory",))
    refusal = refusals.of_reason(LoadFailed(ModelId("a"), cause))
    for reader in (Reader(), ANTHROPIC):
        assert json.loads(refusal.body(reader))["error"]["cause"]["exit_code"] == 1
    for kind in ("text/plain", "text/html"):
        assert b"out of memory" in refusal.body(Reader(kind))
