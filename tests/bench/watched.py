"""What watching costs: records and logs of every request, memory after many, readers of logs.

Rule 1: one daemon for each way of watching, all at once. Requests are sent to each in turn within
a round, and streams, which leave room for others, to all together: whatever mood the machine is
in, each of them meets it.
Rule 2: a block of requests ends when what it left behind is done, for records are written later.
"""

import contextlib
import itertools
import os
import select
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import attrs

from tests.bench.callers import (
    Address,
    BadAnswer,
    ask,
    chat,
    drain_streams,
    follow_streams,
    open_line,
    send_many,
)
from tests.bench.contestants import (
    CannotMeasure,
    fast_model_command,
    free_port,
    open_child,
    open_daemon,
    own_cpu_seconds,
    resident_megabytes,
)
from tests.bench.rows import Plan, Row

_ON, _UNRECORDED, _SILENT = "everything", "no activity", "no activity, no access log"
_WAYS: Mapping[str, Sequence[str]] = {
    _ON: (),
    _UNRECORDED: ("recordActivity: false",),
    _SILENT: ("recordActivity: false", "logLevel: warn"),
}

# A block must be long beside the moods of the machine, and short beside their change.
_REQUESTS, _LINES = 1000, 8
_STREAMS, _RATE = 8, 200
# Until the captures are full, and what is allocated once is.
_WARM = 5000
# Longer than records wait to be written.
_SETTLE = 0.4

_LONG_RUN, _LONG_STREAMS, _LONG_CHUNKS, _LONG_LINES = 100_000, 1000, 2000, 16
# Events a second that no model keeps up with.
_FASTEST = 1_000_000
# Bytes of what fast_model.py sends for each.
_LEAST_CHUNK = 180

# Megabytes a minute, and those who read them.
_FLOOD, _READERS = 100, 100
_PACE = 100
_READER = Path(__file__).with_name("readers.py")
_START_TIMEOUT = 30.0


def activity(plan: Plan) -> list[Row]:
    """CPU of a request and of a chunk, with everything watched, with less, and with nothing."""
    if plan.daemon is None:
        return []
    chunks = int(plan.stream_seconds * _RATE)
    request, stream = chat("fast"), chat("fast", stream=True, chunks=chunks, rate=_RATE)
    each: dict[str, list[float]] = {way: [] for way in _WAYS}
    chunk: dict[str, list[float]] = {way: [] for way in _WAYS}
    with _watched(plan) as daemons:
        for address, _ in daemons.values():
            send_many(address, request, count=_WARM, lines=_LINES)
        for turn in range(2 * plan.rounds):
            for way in _rotated(turn):
                address, pid = daemons[way]
                with _spent(pid, each[way], of=_REQUESTS):
                    send_many(address, request, count=_REQUESTS, lines=_LINES)
                    time.sleep(_SETTLE)
        for _ in range(2 * plan.rounds):
            with contextlib.ExitStack() as spent, ThreadPoolExecutor(len(_WAYS)) as callers:
                draining = []
                for way, (address, pid) in daemons.items():
                    spent.enter_context(_spent(pid, chunk[way], of=_STREAMS * chunks))
                    drain = partial(drain_streams, count=_STREAMS, lines=_STREAMS)
                    draining.append(callers.submit(drain, address, stream))
                for each_way in draining:
                    each_way.result()
                time.sleep(_SETTLE)
    what = f"CPU per chunk, {_STREAMS} streams x {_RATE}/s"
    return [
        _against("CPU per request", each, _UNRECORDED, bound=1.10),
        _against("CPU per request", each, _SILENT),
        _against(what, chunk, _UNRECORDED, bound=1.05),
        _against(what, chunk, _SILENT),
    ]


def watching_memory(plan: Plan) -> list[Row]:
    """What swapd weighs after many requests and streams, all of them recorded and captured."""
    if plan.daemon is None:
        return []
    stream = chat("fast", stream=True, chunks=_LONG_CHUNKS, rate=_FASTEST)
    config = _config(plan)
    with open_daemon(plan.daemon, config) as (address, pid, _):
        send_many(address, chat("fast"), count=_LONG_RUN, lines=_LINES)
        after_requests = resident_megabytes(pid)
        before, began = own_cpu_seconds(pid), time.perf_counter()
        size = drain_streams(address, stream, count=_LONG_STREAMS, lines=_LONG_LINES)
        took, spent = time.perf_counter() - began, own_cpu_seconds(pid) - before
        after_streams = resident_megabytes(pid)
    chunks = _LONG_STREAMS * _LONG_CHUNKS
    if size < chunks * _LEAST_CHUNK:
        raise BadAnswer(f"{size:,} bytes are not {chunks:,} chunks")
    return [
        Row(f"RSS after {_LONG_RUN:,} recorded requests", "MB", "-", swapd=after_requests),
        Row(
            f"RSS after that and {_LONG_STREAMS:,} streams of {_LONG_CHUNKS:,} chunks",
            "MB",
            "<= 90",
            swapd=after_streams,
            figure=after_streams,
            bound=90,
        ),
        Row(f"chunks a second, {_LONG_LINES} streams", "1/s", "-", swapd=chunks / took),
        Row("CPU per chunk of those", "us", "-", swapd=spent / chunks * 1e6),
    ]


def followers(plan: Plan) -> list[Row]:
    """The delay of a stream's chunks beside those who follow logs and events."""
    if plan.daemon is None:
        return []
    found = {beside: _Beside() for beside in (_NOBODY, _DEAF, _CROWD)}
    for turn in range(max(1, plan.rounds // 2)):
        for beside in _rotated(turn, found):
            found[beside].add(_beside(plan, plan.daemon, beside))
    alone = found[_NOBODY]
    rows = []
    for beside, those in found.items():
        what = f"a stream of {_PACE} chunks/s beside {beside}"
        for name, part in (("p50", 0.5), ("p99", 0.99), ("worst", 1.0)):
            delay, base = those.delay(part), alone.delay(part)
            label = f"{what}: chunk's delay, {name}" if those is alone else f"{what}: {name} added"
            rows.append(Row(label, "us", "-", direct=base, swapd=delay - base * (those != alone)))
        rows.append(Row(f"{what}: CPU", "%", "-", swapd=100 * statistics.fmean(those.cpu)))
    return rows


_NOBODY = "nobody"
_DEAF = "one of /api/events who never reads"
_CROWD = f"{_READERS} who read {_FLOOD} MB/min"


@attrs.define(eq=False)
class _Beside:
    """What a stream met, in all rounds."""

    delays: list[float] = attrs.field(factory=list)
    """In µs."""
    cpu: list[float] = attrs.field(factory=list)
    """The daemon's, as a share of a core."""

    def add(self, other: "_Beside") -> None:
        self.delays += other.delays
        self.cpu += other.cpu

    def delay(self, part: float) -> float:
        figures = sorted(self.delays)
        return figures[min(len(figures) - 1, int(len(figures) * part))]


def _beside(plan: Plan, daemon: str, beside: str) -> _Beside:
    chunks = int(3 * plan.stream_seconds * _PACE)
    stream = chat("fast", stream=True, chunks=chunks, rate=_PACE)
    options = ("--flood", str(_FLOOD)) if beside == _CROWD else ()
    config = _config(plan, options=options)
    with open_daemon(daemon, config) as (address, pid, _), contextlib.ExitStack() as readers:
        _ask_once(address)
        if beside == _DEAF:
            line = readers.enter_context(open_line(address))
            line.sendall(b"GET /api/events HTTP/1.1\r\nHost: bench\r\n\r\n")
        elif beside == _CROWD:
            readers.enter_context(_reading(address))
        time.sleep(_SETTLE)
        before, began = own_cpu_seconds(pid), time.perf_counter()
        delays = follow_streams(address, stream, streams=1, chunks=chunks)
        took = time.perf_counter() - began
        return _Beside(delays, [(own_cpu_seconds(pid) - before) / took])


@contextmanager
def _reading(address: Address) -> Iterator[None]:
    """Have so many read, half of them the log and half the events, until leaving."""
    paths = ("/logs/stream/upstream", "/api/events")
    argv = [sys.executable, str(_READER), address[0], str(address[1]), str(_READERS), *paths]
    with open_child(argv) as child:
        assert child.stdout is not None
        readable, _, _ = select.select([child.stdout], [], [], _START_TIMEOUT)
        if not readable or not os.read(child.stdout.fileno(), 100):
            raise CannotMeasure("the readers of logs do not all hear something")
        yield


@contextmanager
def _watched(plan: Plan) -> Iterator[dict[str, tuple[Address, int]]]:
    """Run a daemon for each way of watching, its model loaded: address and pid."""
    assert plan.daemon is not None
    with contextlib.ExitStack() as running:
        daemons = {}
        for way, lines in _WAYS.items():
            config = _config(plan, *lines)
            address, pid, _ = running.enter_context(open_daemon(plan.daemon, config))
            _ask_once(address)
            daemons[way] = (address, pid)
        yield daemons


def _ask_once(address: Address) -> None:
    """Have the model loaded."""
    with open_line(address) as line:
        ask(line, chat("fast"))


@contextmanager
def _spent(pid: int, figures: list[float], *, of: int) -> Iterator[None]:
    """Add what a process spends meanwhile, for each of so many, in µs."""
    before = own_cpu_seconds(pid)
    yield
    figures.append((own_cpu_seconds(pid) - before) / of * 1e6)


def _against(
    what: str, figures: Mapping[str, list[float]], other: str, *, bound: float | None = None
) -> Row:
    ratios = [one / base for one, base in zip(figures[_ON], figures[other], strict=True)]
    return Row(
        f"{what}: everything watched (swapd), {other} (direct)",
        "us",
        "-" if bound is None else f"<= {bound:.2f} x off",
        direct=statistics.median(figures[other]),
        swapd=statistics.median(figures[_ON]),
        figure=statistics.median(ratios),
        bound=bound,
        spread=(min(ratios), max(ratios)),
    )


def _rotated(turn: int, names: Mapping[str, object] = _WAYS) -> list[str]:
    """Nobody is always first."""
    ordered = list(names)
    turn %= len(ordered)
    return ordered[turn:] + ordered[:turn]


def _config(plan: Plan, *lines: str, options: Sequence[str] = ()) -> Path:
    """Write a configuration with one model, under fifo, for streams side by side."""
    path = plan.folder / f"watched-{next(_CONFIGS)}.yaml"
    # Daemons know nothing of each other's ports.
    port = free_port()
    command = fast_model_command(port, *options)
    model = f'  fast: {{cmd: "{command}", proxy: "http://127.0.0.1:{port}"}}'
    text = ["routing: {scheduler: {use: fifo}}", *lines, "models:", model]
    path.write_text("\n".join(text) + "\n")
    return path


_CONFIGS = itertools.count(1)
