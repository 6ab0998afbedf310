"""How things stand, for Prometheus: who waits, which model is in which state, where the time goes.

Rule 1: nothing is kept here; whoever knows is asked.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import attrs
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from swapd import __version__
from swapd.schedule.phase import Phase

# Those of `/api/models`: all of them are always there, so that a graph of one knows its 0.
STATES = (*(phase.value for phase in Phase), "shutdown")


@attrs.frozen(eq=False)
class Present(Collector):
    """Asks whoever knows, whenever the text is made."""

    _states: Callable[[], Mapping[str, str]]
    _waiting: Callable[[], tuple[int, float]]
    _spent: Callable[[], tuple[float, float]]
    _tasks: Callable[[], int]

    def collect(self) -> Iterable[Metric]:
        """Answer with the families."""
        build = GaugeMetricFamily("swapd_build_info", "What runs; always 1.", labels=["version"])
        build.add_metric([__version__], 1)
        waiting, oldest = self._waiting()
        serving, swapping = self._spent()
        return [
            build,
            GaugeMetricFamily("swapd_tasks", "Tasks that live now.", self._tasks()),
            GaugeMetricFamily("swapd_queue_requests", "Requests that wait now.", waiting),
            GaugeMetricFamily(
                "swapd_queue_oldest_seconds", "Seconds that the oldest of them has waited.", oldest
            ),
            *self._models(),
            CounterMetricFamily(
                "swapd_serving_seconds", "Seconds in which requests were served.", serving
            ),
            CounterMetricFamily(
                "swapd_swapping_seconds",
                "Seconds in which models were stopped or loaded and nothing was served.",
                swapping,
            ),
        ]

    def _models(self) -> list[Metric]:
        states = self._states()
        each = GaugeMetricFamily(
            "swapd_model_state",
            "The state of each model: 1 for that one.",
            labels=["model", "state"],
        )
        for model, state in states.items():
            each.add_metric([model, state], 1)
        number = GaugeMetricFamily("swapd_models", "Models by state.", labels=["state"])
        tally = Counter(states.values())
        for state in dict.fromkeys([*STATES, *tally]):
            number.add_metric([state], tally[state])
        return [number, each]
