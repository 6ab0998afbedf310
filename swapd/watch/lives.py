"""How long models take to load and to go, and what for: counted from the journal's entries.

Rule 1: a run is counted once as loaded or not, and once as ended; what is said later of a run that
is on its way out changes nothing.
Rule 2: each model's counters are there, at 0, before the first of it happens: Prometheus would not
see a first event that brings its own series.
"""

import attrs
from prometheus_client import CollectorRegistry, Counter, Histogram

# Kinds of the journal that end a run.
CAUSES = ("evict", "idle", "unload", "reload", "failed")

RESULTS = ("ready", "failed", "cancelled")

# From a tiny model that lies in memory to the largest on a disk that turns. Seconds.
LOAD_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)

# From a server that goes at once to one that is killed after its grace. Seconds.
STOP_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)


@attrs.define
class _Life:
    """One run; instants on the run's clock."""

    model: str
    began: float
    ready: bool = False
    ending: float | None = None


class Lives:
    """Every run, from its load until nothing is left of it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lives: dict[int, _Life] = {}
        self._prepared: set[str] = set()
        self._load = Histogram(
            "swapd_load_seconds",
            "Seconds from the start of a model's process until it was ready.",
            ["model"],
            buckets=LOAD_BUCKETS,
            registry=registry,
        )
        self._stop = Histogram(
            "swapd_stop_seconds",
            "Seconds from the decision to stop a model, or its end, until nothing was left of it.",
            ["model"],
            buckets=STOP_BUCKETS,
            registry=registry,
        )
        self._loads = Counter(
            "swapd_loads_total",
            "Loads by how they went; cancelled is a model told to go before it was ready.",
            ["model", "result"],
            registry=registry,
        )
        self._swaps = Counter(
            "swapd_swaps_total",
            "Runs of models that were ended, or ended by themselves, by what for.",
            ["model", "cause"],
            registry=registry,
        )
        self._evictions = Counter(
            "swapd_evictions_total",
            "Times that a model had to go to make room for another.",
            ["model"],
            registry=registry,
        )

    def prepare(self, model: str) -> None:
        """Have a model's counters there, at 0."""
        if model in self._prepared:
            return
        self._prepared.add(model)
        self._evictions.labels(model)
        for result in RESULTS:
            self._loads.labels(model, result)
        for cause in CAUSES:
            self._swaps.labels(model, cause)

    def decided(self, kind: str, model: str | None, run: int | None, at: float) -> None:
        """Take note of an entry of the journal."""
        if model is None or run is None:
            return
        if kind == "load":
            self.prepare(model)
            self._lives[run] = _Life(model, at)
            return
        life = self._lives.get(run)
        if life is None:
            return
        if kind == "ready":
            self._is_ready(life, at)
        elif kind == "stopped":
            del self._lives[run]
            if life.ending is not None:
                self._stop.labels(model).observe(at - life.ending)
        elif kind in CAUSES:
            self._is_ending(life, kind, at)

    def _is_ready(self, life: _Life, at: float) -> None:
        if life.ready or life.ending is not None:
            return
        life.ready = True
        self._load.labels(life.model).observe(at - life.began)
        self._loads.labels(life.model, "ready").inc()

    def _is_ending(self, life: _Life, cause: str, at: float) -> None:
        if life.ending is not None:
            return
        life.ending = at
        self._swaps.labels(life.model, cause).inc()
        if cause == "evict":
            self._evictions.labels(life.model).inc()
        if not life.ready:
            result = "failed" if cause == "failed" else "cancelled"
            self._loads.labels(life.model, result).inc()
