"""Tables of models and requests."""

from datetime import datetime

from swapd.terminal.facts import Record
from swapd.terminal.lists import model_lines, request_lines

NOW = datetime.fromisoformat("2025-11-23T12:00:30+00:00").astimezone()

READY = {
    "id": "qwen",
    "state": "ready",
    "pid": 77,
    "since": "2025-11-23T12:00:00Z",
    "requests": 2,
    "rss_bytes": 2**30,
    "gpu_bytes": 8 * 2**30,
    "idle_unload_at": "2025-11-23T12:01:12Z",
    "failure": None,
}
FAILED = {"id": "llama", "state": "failed", "requests": 0, "failure": {"text": "exited with 1"}}

WAITING = {
    "id": "r-1",
    "model": "qwen",
    "client": "10.0.0.7",
    "age_s": 12.4,
    "position": 2,
    "phase": "waiting",
    "eta_s": 18.0,
    "reason": {"kind": "behind", "text": "behind 1 request"},
}


def test_a_model_is_a_line():
    """All that one wants to know before deciding to unload it."""
    since = datetime.fromisoformat("2025-11-23T12:00:00+00:00").astimezone().strftime("%H:%M:%S")
    headings, ready, failed = model_lines([Record(READY), Record(FAILED)], NOW)
    assert headings.split() == [
        *("MODEL", "STATE", "PID", "SINCE", "REQUESTS", "MEMORY"),
        *("UNLOADS", "IN", "FAILURE"),
    ]
    assert ready.split() == [
        "qwen",
        "ready",
        "77",
        since,
        "2",
        *["1.0", "GiB", "+", "8.0", "GiB", "GPU", "42", "s", "-"],
    ]
    assert failed.split() == ["llama", "failed", "-", "-", "0", "-", "-", "exited", "with", "1"]


def test_a_request_is_a_line_with_its_reason():
    """Why it waits is what one looks for."""
    _, line = request_lines([Record(WAITING)])
    assert line.split("  ")[0] == "r-1"
    assert line.endswith("12 s  2         waiting  18 s  behind 1 request")


def test_nothing_is_said_in_words():
    """Headings above nothing look like a mistake."""
    assert model_lines([], NOW) == ["no models are configured"]
    assert request_lines([]) == ["the queue is empty"]


def test_another_version_may_say_less():
    """A field that is not there yet is no reason to say nothing."""
    assert len(model_lines([Record({})], NOW)) == 2
    assert len(request_lines([Record({})])) == 2
