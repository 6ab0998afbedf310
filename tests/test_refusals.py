"""What a client is told when it is refused: status, envelope and headers."""

import json

import pytest

from swapd import refusals
from swapd.ids import ModelId
from swapd.refusals import Refusal, of_reason
from swapd.schedule.reasons import (
    BackingOff,
    Cause,
    LoadFailed,
    ModelUnloaded,
    QueueFull,
    ShuttingDown,
    Unkillable,
    UnknownModel,
)

A = ModelId("a")
BOOM = Cause("exited with code 1", exit_code=1, last_lines=("loading", "out of memory"))
KILLED = Cause("killed by SIGKILL", signal=9)


@pytest.mark.parametrize(
    ("reason", "status", "code", "says"),
    [
        (UnknownModel(A), 404, "model_not_found", '"a" not found; GET /v1/models'),
        (QueueFull(7), 429, "queue_full", "7 wait already"),
        (LoadFailed(A, KILLED), 502, "load_failed", "cannot load a: killed by SIGKILL"),
        (BackingOff(A, KILLED), 503, "back_off", "left alone: killed by SIGKILL"),
        (Unkillable(A, "process 7 survived"), 503, "model_failed", "a will not die: process 7"),
        (ModelUnloaded(A), 503, "model_unloaded", "a was unloaded"),
        (ShuttingDown(), 503, "shutting_down", "shutting down"),
    ],
)
def test_every_reason_has_its_status_its_code_and_a_sentence(reason, status, code, says):
    """A program decides by the code, a person by the sentence."""
    refusal = of_reason(reason)
    assert (refusal.status, refusal.code) == (status, code)
    assert says in refusal.message


@pytest.mark.parametrize(
    ("refusal", "status", "code", "says"),
    [
        (refusals.invalid_request("no"), 400, "invalid_request", "no"),
        (refusals.body_too_large(9), 413, "body_too_large", "9 bytes (swapd serve --max-body)"),
        (refusals.body_stalled(60.0), 408, "invalid_request", "within 60 s"),
        (refusals.upstream_unreachable(A, "refused"), 502, "upstream_unreachable", "a did not"),
        (refusals.upstream_cut(A, "closed"), 502, "upstream_cut", "a ended its answer too early"),
        (refusals.not_found("/x"), 404, "not_found", "nothing at /x"),
        (refusals.method_not_allowed("PUT", "GET"), 405, "method_not_allowed", "use GET"),
        (refusals.bad_request(418, "tea"), 418, "invalid_request", "tea"),
        (refusals.internal_error(), 500, "internal_error", "swapd itself"),
    ],
)
def test_what_is_not_the_schedulers_doing_says_so_too(refusal, status, code, says):
    """Every refusal names who is at fault and what would help."""
    assert (refusal.status, refusal.code) == (status, code)
    assert says in refusal.message


def test_the_envelope_is_openais():
    """Its clients read message, type, param and code, and we say that it was us."""
    assert refusals.not_found("/x").envelope() == {
        "src": "swapd",
        "error": {
            "message": "there is nothing at /x",
            "type": "invalid_request_error",
            "param": None,
            "code": "not_found",
        },
    }


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "authentication_error"),
        (404, "invalid_request_error"),
        (429, "rate_limit_error"),
        (499, "invalid_request_error"),
        (500, "server_error"),
        (505, "server_error"),
    ],
)
def test_the_type_follows_the_status(status, kind):
    """Clients retry by it."""
    assert Refusal(status, "x", "y").envelope()["error"]["type"] == kind


def test_a_failed_load_shows_its_cause_to_programs_and_people():
    """D8: exit code, signal and the last lines, without a look into the log."""
    refusal = of_reason(LoadFailed(A, BOOM))
    assert refusal.message == (
        "cannot load a: exited with code 1; its last lines:\nloading\nout of memory"
    )
    assert json.loads(refusal.body())["error"]["cause"] == {
        "text": "exited with code 1",
        "exit_code": 1,
        "signal": None,
        "last_lines": ["loading", "out of memory"],
    }


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (0.2, "1"), (1.5, "2"), (300, "300")])
def test_retry_after_is_whole_seconds_and_never_too_early(seconds, header):
    """Zero would have the client ask again at once."""
    for reason in (QueueFull(1), BackingOff(A, BOOM)):
        assert of_reason(reason, seconds).headers() == [
            ("Content-Type", "application/json"),
            ("Retry-After", header),
        ]


def test_retry_after_is_left_out_where_waiting_does_not_help():
    """A model that cannot load will not load in five seconds either; a restart takes five."""
    for reason in (UnknownModel(A), LoadFailed(A, BOOM), ModelUnloaded(A), Unkillable(A, "x")):
        assert of_reason(reason).headers() == [("Content-Type", "application/json")]
    assert ("Retry-After", "5") in of_reason(ShuttingDown()).headers()


def test_a_wrong_method_is_told_the_right_one():
    """RFC 9110 wants it in a header, too."""
    assert ("Allow", "GET, HEAD") in refusals.method_not_allowed("PUT", "GET, HEAD").headers()


def test_an_event_can_be_told_from_whatever_it_cuts():
    """The stream may have ended in the middle of a line."""
    event = refusals.upstream_cut(A, "closed").event()
    before, data, after = event.partition(b"data: ")
    assert (before, data) == (b"\n\n", b"data: ")
    assert after.endswith(b"\n\n")
    assert json.loads(after)["error"]["code"] == "upstream_cut"
    assert after.count(b"\n") == 2


def test_a_body_is_plain_ascii_on_one_line():
    """Whatever a model wrote, or a client called it."""
    cause = Cause("exited", last_lines=("caf\u00e9 \ud800", "a\nb"))
    for refusal in (of_reason(LoadFailed(A, cause)), refusals.unknown_model("\ud800\n\u00e4")):
        assert refusal.body().isascii()
        assert b"\n" not in refusal.body()
        json.loads(refusal.body())
