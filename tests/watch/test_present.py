"""How things stand, for Prometheus."""

from prometheus_client.metrics_core import Metric

from swapd import __version__
from swapd.watch.present import STATES, Present


def collected(states: dict[str, str]) -> dict[str, Metric]:
    """Ask once, with two that wait."""
    present = Present(lambda: states, lambda: (2, 7.5), lambda: (100.0, 20.0), lambda: 66)
    return {metric.name: metric for metric in present.collect()}


def test_who_knows_is_asked_for_everything():
    """What is counted twice is different at some time."""
    found = collected({})
    values = {name: [sample.value for sample in metric.samples] for name, metric in found.items()}
    assert values["swapd_queue_requests"] == [2]
    assert values["swapd_queue_oldest_seconds"] == [7.5]
    assert values["swapd_serving_seconds"] == [100]
    assert values["swapd_swapping_seconds"] == [20]
    assert values["swapd_tasks"] == [66]
    assert found["swapd_build_info"].samples[0].labels == {"version": __version__}


def test_models_are_counted_by_state_and_every_state_is_there():
    """A graph of those that failed wants a 0 while all is well."""
    found = collected({"a": "ready", "b": "stopped", "c": "ready"})
    models = {sample.labels["state"]: sample.value for sample in found["swapd_models"].samples}
    assert models == {**dict.fromkeys(STATES, 0), "ready": 2, "stopped": 1}


def test_each_model_has_one_state():
    """One series for each model, however many states there are."""
    samples = collected({"a": "ready", "b": "failed"})["swapd_model_state"].samples
    assert [(sample.labels, sample.value) for sample in samples] == [
        ({"model": "a", "state": "ready"}, 1),
        ({"model": "b", "state": "failed"}, 1),
    ]
