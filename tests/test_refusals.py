"""What a client is told when it is refused: status, envelope and headers."""

import ast
import inspect
import json
from collections import Counter
from pathlib import Path

import pytest

from swapd import refusals
from swapd.ids import ModelId
from swapd.refusals import ERRORS, of_reason
from swapd.schedule.reasons import (
    BackingOff,
    Cancelled,
    Cause,
    LoadFailed,
    ModelUnloaded,
    NotLoaded,
    QueueFull,
    ShuttingDown,
    Unkillable,
    UnknownModel,
)

A = ModelId("a")
BOOM = Cause("exited with code 1", exit_code=1, last_lines=("loading", "out of memory"))
KILLED = Cause("killed by SIGKILL", signal=9)


# What Quart finds wrong with a request, beside paths and methods: see manage/app.py.
OF_THE_FRAMEWORK = {("invalid_request", 400)}


def test_the_table_of_errors_is_that_of_the_functions():
    """Clients are written by it: /openapi.json is made of it."""
    made = {
        (ast.literal_eval(call.args[1]), ast.literal_eval(call.args[0]))
        for call in ast.walk(ast.parse(inspect.getsource(refusals)))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "Refusal"
        if isinstance(call.args[0], ast.Constant)
    }
    table = Counter((error.code, error.status) for error in ERRORS)
    assert set(table) == made | OF_THE_FRAMEWORK
    assert set(table.values()) == {1}


def test_only_the_framework_chooses_a_status_itself():
    """Every other function has one that can be looked up."""
    choosing = [
        function.name
        for function in ast.parse(inspect.getsource(refusals)).body
        if isinstance(function, ast.FunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "Refusal"
        if not isinstance(call.args[0], ast.Constant)
    ]
    assert choosing == ["bad_request"]


def test_the_table_of_errors_is_in_the_order_of_the_statuses():
    """For whoever reads it; and each has a line that is no sentence of ours to a client."""
    statuses = [error.status for error in ERRORS]
    assert statuses == sorted(statuses)
    assert all(error.meaning and not error.meaning.endswith(".") for error in ERRORS)


@pytest.mark.parametrize(
    ("reason", "status", "code", "says"),
    [
        (UnknownModel(A), 404, "model_not_found", '"a" not found; GET /v1/models'),
        (QueueFull(7), 429, "queue_full", "7 wait already"),
        (LoadFailed(A, KILLED), 502, "load_failed", "cannot load a: killed by SIGKILL"),
        (BackingOff(A, KILLED), 503, "back_off", "left alone: killed by SIGKILL"),
        (Unkillable(A, "process 7 survived"), 503, "model_failed", "a will not die: process 7"),
        (ModelUnloaded(A), 503, "model_unloaded", "a was unloaded"),
        (NotLoaded(A), 409, "conflict", "a is not loaded"),
        (ShuttingDown(), 503, "shutting_down", "shutting down"),
        (Cancelled(), 503, "cancelled", "somebody cancelled"),
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
        (refusals.too_large_for_a_page(9), 413, "body_too_large", "9 bytes, the most"),
        (refusals.body_stalled(60.0), 408, "invalid_request", "within 60 s"),
        (refusals.upstream_unreachable(A, "refused"), 502, "upstream_unreachable", "a did not"),
        (refusals.upstream_cut(A, "closed"), 502, "upstream_cut", "a ended its answer too early"),
        (refusals.not_found("/x"), 404, "not_found", "nothing at /x"),
        (refusals.method_not_allowed("PUT", "GET"), 405, "method_not_allowed", "use GET"),
        (refusals.bad_request(418, "tea"), 418, "invalid_request", "tea"),
        (refusals.internal_error(), 500, "internal_error", "swapd itself"),
        (refusals.unauthorized(), 401, "unauthorized", "invalid or missing API key"),
        (refusals.cross_site(), 403, "cross_site", "another site's doing; set apiKeys"),
        (refusals.no_model("it is a list"), 404, "model_not_found", "identified: it is a list"),
        (refusals.not_loaded(A, "go away"), 409, "conflict", "a is not loaded; go away"),
        (refusals.no_target("s"), 503, "service_unavailable", '"s" has no available spillover'),
        (refusals.no_such_request("r-1"), 404, "not_found", "inflight request not found: r-1"),
        (refusals.upload_failed("disk full"), 507, "upload_failed", "disk full; TMPDIR"),
        (refusals.profile_not_found("p"), 404, "profile_not_found", 'profile "p" not found'),
        (refusals.broken_configuration(1), 422, "invalid_request", "a mistake; nothing has"),
        (refusals.broken_configuration(2), 422, "invalid_request", "2 mistakes; nothing has"),
    ],
)
def test_what_is_not_the_schedulers_doing_says_so_too(refusal, status, code, says):
    """Every refusal names who is at fault and what would help."""
    assert (refusal.status, refusal.code) == (status, code)
    assert says in refusal.message


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
    for reason in (
        *(UnknownModel(A), LoadFailed(A, BOOM), ModelUnloaded(A)),
        *(Unkillable(A, "x"), Cancelled()),
    ):
        assert of_reason(reason).headers() == [("Content-Type", "application/json")]
    assert ("Retry-After", "5") in of_reason(ShuttingDown()).headers()


def test_a_wrong_method_is_told_the_right_one():
    """RFC 9110 wants it in a header, too."""
    assert ("Allow", "GET, HEAD") in refusals.method_not_allowed("PUT", "GET, HEAD").headers()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{error.status} {error.code}")
def test_the_readme_lists_what_a_request_may_meet(error):
    """Whoever gets an error looks it up there."""
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    assert f"| {error.status} `{error.code}` |" in readme
