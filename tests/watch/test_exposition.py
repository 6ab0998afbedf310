"""Prometheus's text format, beside what prometheus_client makes of the same."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families as read

from swapd.watch.exposition import counted, family, number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (20.0, "20"),
        (10.5, "10.5"),
        (-3.25, "-3.25"),
        (999999, "999999"),
        (1e6, "1e+06"),
        (1234567.5, "1.2345675e+06"),
        (8192 * 2**20, "8.589934592e+09"),
        (98304 * 2**20, "1.03079215104e+11"),
        (1e16, "1e+16"),
        (1e-5, "1e-05"),
    ],
)
def test_numbers_are_written_as_go_writes_them(value, text):
    """Whoever compares the two with each other sees no difference."""
    assert number(value) == text


def test_a_family_without_values_is_not_there():
    """A head alone tells nobody anything."""
    assert family("x", "about", []) == ""
    assert counted(next(iter(Counter("x", "about", ["model"], registry=None).collect()))) == ""


@pytest.mark.parametrize(
    "label", ["", "plain", 'with "quotes"', "with\\backslash", "two\nlines", "ü"]
)
def test_labels_come_back_as_they_were(label):
    """A model may be called anything."""
    [found] = read(family("x", "about", [([("model", label)], "1")]))
    assert found.samples[0].labels == {"model": label}


def test_prometheus_reads_the_same_as_from_prometheus_client():
    """We write it ourselves only because that is faster."""
    registry = CollectorRegistry()
    requests = Counter("requests_total", "Requests.", ["model", "outcome"], registry=registry)
    requests.labels("a", "ok").inc(3_000_000)
    requests.labels('"b"\\', "client_gone").inc()
    waits = Histogram("wait_seconds", "Waits.", ["model"], buckets=(0.1, 1, 60), registry=registry)
    for wait in (0.05, 3.0, 100.0):
        waits.labels("a").observe(wait)
    Gauge("alone", "Without labels.", registry=registry).set(-0.5)
    ours = "".join(counted(metric) for metric in registry.collect())
    theirs = [
        metric
        for metric in read(generate_latest(registry).decode())
        if not metric.name.endswith("_created")
    ]
    assert list(read(ours)) == theirs
