"""The access log: what of a request gets into its line, and which get none."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from swapd.watch import access
from swapd.watch.trace import Trace

Told = Callable[[Trace], list[logging.LogRecord]]


@pytest.fixture
def told(caplog) -> Told:
    """Tell of a trace, and answer with what was logged."""

    def tell(trace: Trace) -> list[logging.LogRecord]:
        with caplog.at_level(logging.INFO):
            access.tell(trace)
        return list(caplog.records)

    return tell


def trace(**known: Any) -> Trace:
    """Make a request that took a second and a half."""
    made = Trace(
        known.pop("name", "r-1f"),
        method="POST",
        path=known.pop("path", "/v1/chat/completions"),
        protocol="1.1",
        headers=[],
        address="10.0.0.5",
        agent=known.pop("agent", "curl/8"),
    )
    made.began -= 1.5
    for name, value in known.items():
        setattr(made, name, value)
    return made


async def test_g9_the_line_says_who_asked_what_and_what_came_of_it(told, autojump_clock):
    """G9: address, method and path, status and bytes; ours behind llama-swap's."""
    [record] = told(trace(status=201, bytes=5, whole=True, model="qwen", queued=1.25))
    assert record.getMessage() == (
        'Request 10.0.0.5 "POST /v1/chat/completions HTTP/1.1" 201 5 "curl/8" 1.5s '
        'id=r-1f model="qwen" ok queue=1.25s load=0µs'
    )
    assert record.fields == {
        "client": "10.0.0.5",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 201,
        "bytes": 5,
        "agent": "curl/8",
        "total_s": 1.5,
        "request": "r-1f",
        "model": "qwen",
        "outcome": "ok",
        "queue_s": 1.25,
        "load_s": 0.0,
    }


@pytest.mark.parametrize("path", ["/wol-health", "/api/performance", "/metrics", "/metrics/x"])
async def test_g10_what_machines_ask_all_day_is_not_logged(path, told, autojump_clock):
    """G10: a log of nothing but scrapes is read by nobody."""
    assert told(trace(path=path)) == []


async def test_a_page_has_no_model_in_its_line(told, autojump_clock):
    """Nobody waited for anything, so there is nothing to tell of that."""
    [record] = told(trace(name="", path="/running", status=200, bytes=2, whole=True))
    assert record.getMessage().endswith('200 2 "curl/8" 1.5s')
    assert "model" not in record.fields


async def test_a_client_cannot_end_its_place_in_the_line(told, autojump_clock):
    """Else a client could write a status for itself."""
    [record] = told(trace(agent='x" 200 9 "y', model='a" ok', status=400, whole=True))
    assert '"x\\" 200 9 \\"y"' in record.getMessage()
    assert 'model="a\\" ok"' in record.getMessage()


async def test_who_left_before_there_was_a_status_has_one_in_the_log(told, autojump_clock):
    """A line without a status breaks whoever reads columns."""
    [record] = told(trace())
    assert " 499 0 " in record.getMessage()
    assert " client_gone " in record.getMessage()


async def test_nothing_is_written_where_nobody_wants_it(caplog, autojump_clock):
    """At level warn a request costs no line, and no time to make one."""
    with caplog.at_level(logging.WARNING):
        access.tell(trace())
    assert caplog.records == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0µs"),
        (0.000845123, "845.123µs"),
        (0.0012, "1.2ms"),
        (0.999, "999ms"),
        (1.5, "1.5s"),
        (60, "1m0s"),
        (123.5, "2m3.5s"),
        (3602, "1h0m2s"),
    ],
)
def test_durations_are_written_as_in_llama_swap(seconds, text):
    """Whoever parses its log parses ours."""
    assert access.duration(seconds) == text
