"""What is counted, and how it is written."""

from collections.abc import Mapping

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families as read

from swapd.watch.numbers import OTHER, Numbers
from swapd.watch.tokens import Tokens
from swapd.watch.trace import Trace
from tests.machines import Unmeasured


def made(states: Mapping[str, str] | None = None) -> Numbers:
    """Make numbers for these models."""
    return Numbers(
        states=lambda: states or {},
        waiting=lambda: (0, 0.0),
        spent=lambda: (0.0, 0.0),
        tasks=lambda: 1,
        machine=Unmeasured(),
    )


def begun(model: str = "a", *, known: bool = True) -> Trace:
    """Begin a request for a model."""
    trace = Trace("r-1", method="POST", path="/", protocol="1.1", headers=[], address="", agent="")
    trace.model, trace.known = model, known
    return trace


async def answered(model: str = "a", *, known: bool = True) -> Trace:
    """Answer a request: 4 s in the queue, 0.5 s to the first byte, 2 s more to the end."""
    trace = begun(model, known=known)
    trace.queued = 4.0
    await trio.sleep(4)
    trace.sent = trio.current_time()
    await trio.sleep(0.5)
    trace.first = trio.current_time()
    await trio.sleep(2)
    trace.status, trace.bytes, trace.whole = 200, 1234, True
    trace.kind = "text/event-stream"
    return trace


def series(numbers: Numbers) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Read all that Prometheus would."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in read(numbers.text().decode())
        for sample in family.samples
    }


def value(numbers: Numbers, name: str, **labels: str) -> float | None:
    """Read one series; None if it is not there."""
    return series(numbers).get((f"swapd_{name}", frozenset(labels.items())))


async def test_an_answered_request_is_counted_once_in_each_family(autojump_clock):
    """By its model, with what each part of it took."""
    numbers = made()
    numbers.over(await answered())
    assert value(numbers, "requests_total", model="a", outcome="ok") == 1
    assert value(numbers, "queue_seconds_sum", model="a") == 4
    assert value(numbers, "first_token_seconds_sum", model="a") == pytest.approx(0.5)
    assert value(numbers, "request_seconds_sum", model="a") == pytest.approx(6.5)
    assert value(numbers, "response_bytes_total", model="a") == 1234
    for name in ("queue", "first_token", "request"):
        assert value(numbers, f"{name}_seconds_count", model="a") == 1


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [("queue", "5", "2"), ("first_token", "0.5", "0.25"), ("request", "10", "5")],
)
async def test_durations_fall_where_they_belong(name, inside, outside, autojump_clock):
    """Quantiles are as good as the buckets."""
    numbers = made()
    numbers.over(await answered())
    found = {
        float(dict(labels)["le"]): count
        for (series_name, labels), count in series(numbers).items()
        if series_name == f"swapd_{name}_seconds_bucket"
    }
    assert (found[float(inside)], found[float(outside)]) == (1, 0)


async def test_names_that_nobody_configured_are_one(autojump_clock):
    """A client could else fill Prometheus's memory with names."""
    numbers = made()
    for name in ("ghost", 'evil"} 1\n', ""):
        trace = begun(name, known=False)
        trace.refused = "model_not_found"
        numbers.over(trace)
    assert value(numbers, "requests_total", model=OTHER, outcome="model_not_found") == 3
    assert b"ghost" not in numbers.text()


async def test_a_request_that_was_refused_at_once_never_waited(autojump_clock):
    """A full queue would look like a short one."""
    numbers = made()
    trace = begun()
    trace.refused = "queue_full"
    numbers.over(trace)
    assert value(numbers, "requests_total", model="a", outcome="queue_full") == 1
    assert value(numbers, "queue_seconds_count", model="a") == 0
    assert value(numbers, "first_token_seconds_count", model="a") == 0


async def test_a_request_that_gave_up_has_waited(autojump_clock):
    """Those who wait longest are the first to leave; without them every queue is short."""
    numbers = made()
    trace = begun()
    trace.queued = 90.0
    numbers.over(trace)
    assert value(numbers, "requests_total", model="a", outcome="client_gone") == 1
    assert value(numbers, "queue_seconds_sum", model="a") == 90


async def test_tokens_are_counted_by_kind_and_unknown_ones_are_not(autojump_clock):
    """A counter that goes down is taken for a restart."""
    numbers = made()
    numbers.said(begun(), Tokens(input=12, output=7, cached=4))
    numbers.said(begun(), Tokens(input=1, output=0, cached=-1))
    found = {kind: value(numbers, "tokens_total", model="a", kind=kind) for kind in KINDS}
    assert found == {"input": 13, "output": 7, "cached": 4}


KINDS = ("input", "output", "cached")


async def test_the_journal_is_counted(autojump_clock):
    """Loads and stops come from there, and nowhere else is told of them."""
    numbers = made()
    for kind, at in (("load", 1.0), ("ready", 9.0), ("idle", 60.0), ("stopped", 61.0)):
        numbers.decided(kind, "a", 1, at)
    assert value(numbers, "load_seconds_sum", model="a") == 8
    assert value(numbers, "swaps_total", model="a", cause="idle") == 1


def test_configured_models_are_there_from_the_start():
    """The first failure of a model is the one that matters."""
    numbers = made({"a": "stopped"})
    assert value(numbers, "loads_total", model="a", result="failed") == 0
    assert value(numbers, "model_state", model="a", state="stopped") == 1
    assert value(numbers, "queue_requests") == 0


def test_two_of_them_count_apart():
    """Nothing is kept in the module, so tests and daemons do not mix."""
    first, second = made(), made()
    first.decided("load", "a", 1, 0.0)
    assert value(first, "loads_total", model="a", result="ready") == 0
    assert value(second, "loads_total", model="a", result="ready") is None
