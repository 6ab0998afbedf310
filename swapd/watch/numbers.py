"""What swapd counts for Prometheus, and the text that Prometheus reads.

Rule 1: nothing decides by a number, and counting never fails a request.
Rule 2: names that only clients made up are `other`; else anybody could fill Prometheus with them.
Rule 3: what stands somewhere anyway is not counted again; `present.py` and `gauges.py` ask for it
when the text is made.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import attrs
import trio
from prometheus_client import CollectorRegistry, Counter, Histogram

from swapd.watch.exposition import counted
from swapd.watch.gauges import Samples, gauges
from swapd.watch.lives import Lives
from swapd.watch.present import Present
from swapd.watch.tokens import Tokens
from swapd.watch.trace import Trace

# Whatever nobody configured.
OTHER = "other"

# From at once to the longest that a client waits for a turn. Seconds.
QUEUE_BUCKETS = (0.01, 0.05, 0.25, 1, 2, 5, 10, 20, 40, 60, 120, 300, 600, 1800, 3600)

# From a short prompt that is in the cache to a long one on a processor. Seconds.
FIRST_TOKEN_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300)

# From an embedding to a night's work. Seconds.
REQUEST_BUCKETS = (0.01, 0.05, 0.25, 1, 2, 5, 10, 20, 40, 60, 120, 300, 600, 1800, 3600)


class Numbers:
    """All that is counted, since the start."""

    def __init__(
        self,
        *,
        states: Callable[[], Mapping[str, str]],
        waiting: Callable[[], tuple[int, float]],
        spent: Callable[[], tuple[float, float]],
        tasks: Callable[[], int],
        machine: Samples,
    ) -> None:
        self._registry = CollectorRegistry()
        self._states = states
        self._machine = machine
        self._lives = Lives(self._registry)
        self._families = _Families(self._registry)
        self._by_model: dict[str, _OfModel] = {}
        self._registry.register(Present(states, waiting, spent, tasks))

    def decided(self, kind: str, model: str | None, run: int | None, at: float) -> None:
        """Take note of an entry of the journal, made at this instant of the run's clock."""
        self._lives.decided(kind, model, run, at)

    def over(self, trace: Trace) -> None:
        """Take note of a request for a model that is over."""
        series = self._of(trace)
        series.outcome(trace.outcome).inc()
        series.request.observe(trio.current_time() - trace.began)
        # A request that was refused at once never waited.
        if trace.sent is not None or trace.queued:
            series.queue.observe(trace.queued)
        first = trace.first_byte
        # An answer in one piece has no first token: its first byte comes with the last.
        if first is not None and trace.streamed and trace.outcome in ("ok", "client_gone"):
            series.first_token.observe(first)
        if trace.bytes:
            series.bytes.inc(trace.bytes)

    def said(self, trace: Trace, tokens: Tokens) -> None:
        """Take note of what a model's answer says that it took."""
        series = self._of(trace)
        # Not all that is told is a number of tokens; -1 is one that the model did not say.
        if tokens.input > 0:
            series.input.inc(tokens.input)
        if tokens.output > 0:
            series.output.inc(tokens.output)
        if tokens.cached > 0:
            series.cached.inc(tokens.cached)

    def pieces(self) -> Iterator[bytes]:
        """Write everything in Prometheus's text format, family by family.

        A hundred models are thousands of lines; somebody's tokens may go between two pieces.
        """
        for model in self._states():
            self._lives.prepare(model)
        yield gauges(self._machine).encode()
        for metric in self._registry.collect():
            yield counted(metric).encode()

    def text(self) -> bytes:
        """Write it in one piece."""
        return b"".join(self.pieces())

    def _of(self, trace: Trace) -> "_OfModel":
        model = trace.model if trace.known else OTHER
        series = self._by_model.get(model)
        if series is None:
            series = self._by_model[model] = self._families.of(model)
        return series


@attrs.define
class _OfModel:
    """The series of one model, so that nobody has to look for them by their labels."""

    model: str
    queue: Histogram
    first_token: Histogram
    request: Histogram
    bytes: Counter
    input: Counter
    output: Counter
    cached: Counter
    _requests: Counter
    _outcomes: dict[str, Counter] = attrs.field(factory=dict)

    def outcome(self, outcome: str) -> Counter:
        """Answer with the counter of those that ended like this."""
        counter = self._outcomes.get(outcome)
        if counter is None:
            counter = self._outcomes[outcome] = self._requests.labels(self.model, outcome)
        return counter


class _Families:
    """What is counted of requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def histogram(name: str, about: str, buckets: Iterable[float]) -> Histogram:
            bounds = tuple(buckets)
            return Histogram(name, about, ["model"], buckets=bounds, registry=registry)

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(name, about, ["model", *labels], registry=registry)

        self._queue = histogram(
            "swapd_queue_seconds",
            "Seconds that requests waited for their turn, without those of a load.",
            QUEUE_BUCKETS,
        )
        self._first_token = histogram(
            "swapd_first_token_seconds",
            "Seconds from giving a model a request to the first byte of its answer.",
            FIRST_TOKEN_BUCKETS,
        )
        self._request = histogram(
            "swapd_request_seconds",
            "Seconds from a request's arrival to its end, with every wait.",
            REQUEST_BUCKETS,
        )
        self._requests = counter(
            "swapd_requests_total",
            "Requests for models by how they ended; a refusal by the code of its error.",
            "outcome",
        )
        self._tokens = counter(
            "swapd_tokens_total",
            "Tokens, as models counted them in their answers.",
            "kind",
        )
        self._bytes = counter(
            "swapd_response_bytes_total",
            "Bytes of the bodies of answers that clients were sent.",
        )

    def of(self, model: str) -> _OfModel:
        """Make the series of one model."""
        return _OfModel(
            model,
            queue=self._queue.labels(model),
            first_token=self._first_token.labels(model),
            request=self._request.labels(model),
            bytes=self._bytes.labels(model),
            input=self._tokens.labels(model, "input"),
            output=self._tokens.labels(model, "output"),
            cached=self._tokens.labels(model, "cached"),
            requests=self._requests,
        )
