"""The measurements: one function a row, each interleaved and repeated, each a list of figures.

Rule 1: "added" is what a proxy takes beyond direct, in the same round; a ratio is swapd's added
over nginx's added, in the same round; a row shows the median of its rounds.
Rule 2: a row that cannot be measured without swapd is left out when there is none.
"""

import contextlib
import gc
import hashlib
import itertools
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from swapd.config.load import load
from swapd.ids import ModelId
from tests.bench.callers import (
    Address,
    BadAnswer,
    ask,
    chat,
    follow_streams,
    form,
    hear,
    open_line,
    send_many,
    time_requests,
)
from tests.bench.contestants import (
    cpu_seconds,
    fast_model_command,
    free_port,
    open_child,
    open_daemon,
    open_fast_model,
    open_nginx,
    other_core,
    own_cpu_seconds,
    peak_megabytes,
    placed,
    proxy_core,
    resident_megabytes,
    wait_healthy,
)
from tests.bench.fast_model import answer_stamps
from tests.bench.prefetch import GIBIBYTES, bare_start, open_large_file, queued_swap

# What a round shows of noise in its p99 is worth more samples than rounds.
_BLOCK = 150
_STREAMS, _RATE = 8, 200
_LONG_RUN, _LONG_RUN_LINES = 50_000, 8
# Megabytes, and seconds in the queue.
_UPLOAD, _QUEUED, _UPLOADS = 100, 5, 3
# Each takes half a minute and more.
_LONG_SWAPS = 3

# fast_model.py joins what it reads, which takes minutes for so much.
_PRETEND = Path(__file__).parents[1] / "children" / "model.py"


@attrs.frozen
class Plan:
    """How long to look, and at what."""

    daemon: str | None
    """The command that is swapd; None compares nginx with direct only."""
    folder: Path
    rounds: int
    blocks: int
    """Blocks of requests per round and contestant."""
    stream_seconds: float
    loads: tuple[float, ...]
    swaps: int
    pin: bool
    """A core for the proxy, another for caller and model: steadier where nothing else runs."""


@attrs.frozen
class Row:
    """One line of the table; a bound of None is for information."""

    measure: str
    unit: str
    must: str
    direct: float | None = None
    nginx: float | None = None
    swapd: float | None = None
    figure: float | None = None
    """What is held against the bound: a ratio, or swapd's own figure."""
    bound: float | None = None
    spread: tuple[float, float] | None = None
    """The least and the greatest of the rounds that `figure` is the median of."""

    @property
    def verdict(self) -> str:
        if self.bound is None or self.figure is None:
            return "-"
        return "met" if self.figure <= self.bound else "MISSED"


def start(plan: Plan) -> list[Row]:
    """From `swapd serve` to its address being printed, and memory before any request."""
    if plan.daemon is None:
        return []
    config = _config(plan, {"fast": {"cmd": fast_model_command("${PORT}")}})
    seconds, megabytes = [], []
    for _ in range(plan.rounds):
        with open_daemon(plan.daemon, config) as (_, pid, took):
            seconds.append(took)
            # Until what a start leaves behind has settled.
            time.sleep(0.5)
            megabytes.append(resident_megabytes(pid))
    return [
        _own("start to listening", "s", seconds, bound=0.6),
        _own("idle RSS", "MB", megabytes, bound=60),
    ]


def config(plan: Plan) -> list[Row]:
    """Reading 500 models: the least that each needs, and most of what each may have."""
    if plan.daemon is None:
        return []
    rows = []
    for words, lines in (("a cmd each", _LEAST), ("a dozen keys each", _MOST)):
        path = plan.folder / "many.yaml"
        models = "".join(lines.format(number=number) for number in range(500))
        path.write_text(f"macros: {{dir: /models}}\nmodels:\n{models}")
        seconds = []
        for _ in range(plan.rounds):
            began = time.process_time()
            assert len(load([path], {}).settings.models) == 500
            seconds.append(time.process_time() - began)
        rows.append(_own(f"500 models read, {words}, CPU", "s", seconds, bound=1.0))
    return rows


_LEAST = "  m{number}:\n    cmd: llama-server --port ${{PORT}} -m /models/{number}.gguf\n"
_MOST = """\
  model-{number}:
    cmd: |
      llama-server --port ${{PORT}}
        --model ${{dir}}/{number}.gguf --ctx-size 8192 -ngl 99
        # a comment
    aliases: [m{number}]
    ttl: 300
    name: Model {number}
    env:
      - CUDA_VISIBLE_DEVICES=0
    filters:
      stripParams: temperature, top_k
      setParams: {{top_p: 0.9}}
    metadata:
      context: 8192
    capabilities: {{in: [text], out: [text], tools: true}}
"""


def ready(plan: Plan) -> list[Row]:
    """From the instant a model's health check is good to its first request arriving there."""
    if plan.daemon is None:
        return []
    models = {}
    for length, while_loading in itertools.product(plan.loads, ("refuse", "503")):
        options = ("--load", str(length), "--while-loading", while_loading)
        models[f"load-{length}-{while_loading}"] = {"cmd": fast_model_command("${PORT}", *options)}
    config, waited = _config(plan, models), []
    with open_daemon(plan.daemon, config) as (address, _, _), open_line(address) as line:
        for model in models:
            became, first = answer_stamps(ask(line, chat(model)))
            waited.append((first - became) / 1e6)
    middle = statistics.median(waited)
    return [
        Row(
            f"model ready to first request there, {len(waited)} loads, worst",
            "ms",
            "<= 25",
            swapd=max(waited),
            figure=max(waited),
            bound=25,
            spread=(min(waited), max(waited)),
        ),
        Row("the same, median", "ms", "-", swapd=middle),
    ]


def latency(plan: Plan) -> list[Row]:
    """A warm 1 KB request with a 1 KB answer, one at a time."""
    request = chat("fast")
    p50s, p99s = _by_name(), _by_name()
    for turn in range(plan.rounds):
        # New processes every round: where the scheduler puts them decides whether nginx adds 40
        # or 110 us, and it does not reconsider.
        taken = _latency_round(plan, request, turn)
        for name, times in taken.items():
            p50s[name].append(_quantile(times, 0.50))
            p99s[name].append(_quantile(times, 0.99))
    return [
        _added("added latency, 1 KB, concurrency 1, p50", "us", p50s, bound=3.5),
        _added("added latency, 1 KB, concurrency 1, p99", "us", p99s, bound=5.0),
    ]


def streams(plan: Plan) -> list[Row]:
    """Eight streams of 200 chunks a second: delay of each chunk, and CPU for it."""
    chunks = int(plan.stream_seconds * _RATE)
    request = chat("fast", stream=True, chunks=chunks, rate=_RATE)
    p50s, p99s, cpu = _by_name(), _by_name(), _by_name()
    # serial would serve them one after the other, which says nothing of streams side by side.
    with _contestants(plan, scheduler="fifo") as (addresses, clocks):
        for turn in range(plan.rounds):
            for name in _rotated(list(addresses), turn):
                before = clocks[name]()
                with _no_gc():
                    delays = follow_streams(
                        addresses[name], request, streams=_STREAMS, chunks=chunks
                    )
                cpu[name].append((clocks[name]() - before) / len(delays) * 1e6)
                p50s[name].append(_quantile(delays, 0.50))
                p99s[name].append(_quantile(delays, 0.99))
    what = f"{_STREAMS} streams x {_RATE} chunks/s"
    nginx, swapd = cpu["nginx"], cpu["swapd"]
    # A mean over all rounds: what is done every few seconds falls into some of them only.
    per_nginx = statistics.fmean(nginx)
    per_swapd = statistics.fmean(swapd) if swapd else None
    ratio = per_swapd / per_nginx if per_swapd is not None and per_nginx > 0 else None
    return [
        _added(f"{what}: added delay per chunk, p50", "us", p50s, bound=3.0),
        _added(f"{what}: added delay per chunk, p99", "us", p99s, bound=None),
        Row(
            f"{what}: CPU per chunk",
            "us",
            "<= 4 x nginx",
            nginx=per_nginx,
            swapd=per_swapd,
            figure=ratio,
            bound=4.0,
        ),
    ]


def memory(plan: Plan) -> list[Row]:
    """What swapd weighs after many requests."""
    if plan.daemon is None:
        return []
    config = _config(plan, {"fast": {"cmd": fast_model_command("${PORT}")}})
    with open_daemon(plan.daemon, config) as (address, pid, _):
        began = time.perf_counter()
        send_many(address, chat("fast"), count=_LONG_RUN, lines=_LONG_RUN_LINES)
        rate = _LONG_RUN / (time.perf_counter() - began)
        weight = resident_megabytes(pid)
    return [
        _own(f"RSS after {_LONG_RUN:,} requests", "MB", [weight], bound=75),
        Row(f"requests a second, concurrency {_LONG_RUN_LINES}", "1/s", "-", swapd=rate),
    ]


def upload(plan: Plan) -> list[Row]:
    """What a large upload adds to swapd's memory, in the queue and on its whole way."""
    if plan.daemon is None:
        return []
    command = shlex.join([sys.executable, "-I", "-S", str(_PRETEND), "--port", "PORT"])
    config = _config(plan, {"a": {"cmd": command.replace("PORT", "${PORT}")}})
    request = form("a", size=_UPLOAD * 1024 * 1024)
    expected = hashlib.sha256(request.partition(b"\r\n\r\n")[2]).hexdigest()
    waiting, whole = [], []
    for _ in range(_UPLOADS):
        with (
            # New every time: what was once had as memory is kept for the next.
            open_daemon(plan.daemon, config, "--max-body", str(len(request))) as (address, pid, _),
            open_line(address) as ahead,
            open_line(address) as line,
        ):
            ask(ahead, chat("a"))
            before = resident_megabytes(pid)
            ahead.sendall(chat("a", stream=True, chunks=1, interval=_QUEUED + 2))
            ahead.recv(65536)  # It is served, and keeps everybody else waiting.
            line.sendall(request)
            time.sleep(_QUEUED)
            waiting.append(resident_megabytes(pid) - before)
            if json.loads(hear(line))["sha256"] != expected:
                raise BadAnswer("an upload did not arrive as it was sent")
            whole.append(peak_megabytes(pid) - before)
    what = f"RSS growth, {_UPLOAD} MB upload"
    return [
        _own(f"{what} queued for {_QUEUED} s", "MB", waiting, bound=15),
        _own(f"{what} at its peak, delivered", "MB", whole, bound=15),
    ]


def swap(plan: Plan) -> list[Row]:
    """Swap two tiny llama.cpp models; compare with stopping and starting the same servers."""
    if plan.daemon is None:
        return []
    commands = {name: f"{sys.executable} -m swapd.demo {name} --port" for name in _TINY}
    models = {name: {"cmd": f"{command} ${{PORT}}"} for name, command in commands.items()}
    # A word for a prompt: reading 1 KB takes a fresh server longer than a swap, and a warm one,
    # which remembers it, no time at all.
    requests = {name: chat(name, size=1, max_tokens=1) for name in _TINY}
    bare, through = [], []
    with (
        open_daemon(plan.daemon, _config(plan, models)) as (address, _, _),
        open_line(address) as line,
    ):
        # Once around, so that files are made and cached.
        for name in _TINY:
            ask(line, requests[name])
        old, new = _TINY
        for _ in range(plan.swaps):
            bare.append(_bare_swap(commands[new], commands[old]))
            # The last round left `new` loaded; swap to `old`.
            cold = time_requests(line, requests[old], count=1)[0]
            warm = statistics.median(time_requests(line, requests[old], count=3))
            through.append((cold - warm) / 1000)
            old, new = new, old
    beyond = [one - other for one, other in zip(through, bare, strict=True)]
    return [
        Row(
            "swap of two llama.cpp models, beyond bare stop + start, median",
            "ms",
            "<= 15",
            direct=statistics.median(bare),
            swapd=statistics.median(through),
            figure=statistics.median(beyond),
            bound=15,
            spread=(min(beyond), max(beyond)),
        )
    ]


def prefetch(plan: Plan) -> list[Row]:
    """Swap to a model with a large file: with a cold cache, and read ahead while it waits."""
    if plan.daemon is None:
        return []
    times: dict[bool, list[float]] = {False: [], True: []}
    bare: dict[bool, list[float]] = {False: [], True: []}
    with open_large_file(plan.folder) as path:
        command = fast_model_command("${PORT}", "--read", str(path))
        config = plan.folder / "prefetch.yaml"
        config.write_text(
            f"models:\n  served: {{cmd: '{fast_model_command('${PORT}')}'}}\n"
            f"  cold: {{cmd: '{command}', prefetch: false}}\n  ahead: {{cmd: '{command}'}}\n"
        )
        model = load([config], {}).settings.models[ModelId("ahead")]
        # Long enough for a reader at low priority, by the time that another takes.
        hold = 1.0 + 2 * bare_start(model, path, hold=_QUEUED, ahead=False)
        with open_daemon(plan.daemon, config) as (address, _, _):
            for turn in range(_LONG_SWAPS):
                for ahead in (turn % 2 == 0, turn % 2 == 1):
                    bare[ahead].append(bare_start(model, path, hold=hold, ahead=ahead))
                    taken = queued_swap(
                        address,
                        path,
                        serving="served",
                        wanted="ahead" if ahead else "cold",
                        hold=hold,
                        ahead=ahead,
                    )
                    times[ahead].append(taken)
    ratios = [one / other for one, other in zip(times[True], times[False], strict=True)]
    what = f"swap to a model that reads {GIBIBYTES} GiB"
    direct, swapd = (
        {ahead: statistics.median(each[ahead]) for ahead in each} for each in (bare, times)
    )
    return [
        Row(f"{what}, cold cache", "s", "-", direct=direct[False], swapd=swapd[False]),
        Row(
            f"{what}, prefetched",
            "s",
            "<= 1 x cold",
            direct=direct[True],
            swapd=swapd[True],
            figure=statistics.median(ratios),
            bound=1.0,
            spread=(min(ratios), max(ratios)),
        ),
    ]


ROWS: Mapping[str, Callable[[Plan], list[Row]]] = {
    "start": start,
    "config": config,
    "ready": ready,
    "swap": swap,
    "prefetch": prefetch,
    "latency": latency,
    "streams": streams,
    "memory": memory,
    "upload": upload,
}

_TINY = ("tiny-a", "tiny-b")


def _latency_round(plan: Plan, request: bytes, turn: int) -> dict[str, list[float]]:
    with _contestants(plan) as (addresses, _), contextlib.ExitStack() as lines:
        opened = {
            name: lines.enter_context(open_line(address)) for name, address in addresses.items()
        }
        for line in opened.values():
            time_requests(line, request, count=_BLOCK)
        taken: dict[str, list[float]] = {name: [] for name in opened}
        for block in range(plan.blocks):
            for name in _rotated(list(opened), turn + block):
                with _no_gc():
                    taken[name] += time_requests(opened[name], request, count=_BLOCK)
        return taken


def _bare_swap(leaving: str, coming: str) -> float:
    """SIGTERM, wait for the exit, spawn, poll until healthy; in milliseconds."""
    gone_port, come_port = free_port(), free_port()
    with open_child([*shlex.split(leaving), str(gone_port)]) as first:
        wait_healthy(("127.0.0.1", gone_port), first)
        began = time.perf_counter()
        first.terminate()
        first.wait()
        # Devnull, not a pipe: nobody reads here, and the daemon's reading is its own cost.
        with subprocess.Popen(
            [*shlex.split(coming), str(come_port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as second:
            try:
                wait_healthy(("127.0.0.1", come_port), second)
                return (time.perf_counter() - began) * 1000
            finally:
                second.terminate()


@contextmanager
def _contestants(
    plan: Plan, *, scheduler: str = "serial"
) -> Iterator[tuple[dict[str, Address], dict[str, Callable[[], float]]]]:
    """Run one fast model, and in front of it nginx and swapd: addresses and CPU clocks."""
    port = free_port()
    upstream = ("127.0.0.1", port)
    proxy, other = (proxy_core(), other_core()) if plan.pin else (None, None)
    with contextlib.ExitStack() as running:
        addresses: dict[str, Address] = {"direct": upstream}
        clocks: dict[str, Callable[[], float]] = {"direct": lambda: 0.0}
        if plan.daemon is None:
            with placed(other):
                running.enter_context(open_fast_model(port))
        with placed(proxy):
            nginx, nginx_pid = running.enter_context(open_nginx(upstream, plan.folder))
        addresses["nginx"] = nginx
        clocks["nginx"] = lambda: cpu_seconds(nginx_pid)
        if plan.daemon is not None:
            command = fast_model_command(port, *([] if other is None else ["--core", str(other)]))
            model = {"cmd": command, "proxy": f"http://127.0.0.1:{port}"}
            config = _config(plan, {"fast": model}, scheduler=scheduler)
            with placed(proxy):
                swapd, swapd_pid, _ = running.enter_context(open_daemon(plan.daemon, config))
            with open_line(swapd) as line:
                # Starts the model, which is everyone's upstream from here on.
                ask(line, chat("fast"))
            addresses["swapd"] = swapd
            clocks["swapd"] = lambda: own_cpu_seconds(swapd_pid)
        running.enter_context(placed(other))
        yield addresses, clocks


def _config(
    plan: Plan, models: Mapping[str, Mapping[str, str]], *, scheduler: str = "serial"
) -> Path:
    """Write a configuration with these models; YAML strings are JSON strings here."""
    lines = [f"routing: {{scheduler: {{use: {scheduler}}}}}", "models:"]
    for name, keys in models.items():
        lines.append(f'  "{name}":')
        lines += [f'    {key}: "{value}"' for key, value in keys.items()]
    path = plan.folder / f"swapd-{next(_CONFIGS)}.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


_CONFIGS = itertools.count(1)


def _added(
    measure: str, unit: str, rounds: Mapping[str, list[float]], *, bound: float | None
) -> Row:
    """Compare what swapd adds with what nginx adds, round by round."""
    direct = rounds["direct"]
    nginx = [one - base for one, base in zip(rounds["nginx"], direct, strict=True)]
    must = f"<= {bound:g} x nginx" if bound is not None else "-"
    row = Row(
        measure,
        unit,
        must,
        direct=statistics.median(direct),
        nginx=statistics.median(nginx),
        bound=bound,
    )
    if not rounds["swapd"]:
        return row
    swapd = [one - base for one, base in zip(rounds["swapd"], direct, strict=True)]
    # A round in which nginx was no slower than direct is noise and says nothing.
    ratios = [mine / its for mine, its in zip(swapd, nginx, strict=True) if its > 0]
    if not ratios:
        return attrs.evolve(row, swapd=statistics.median(swapd))
    return attrs.evolve(
        row,
        swapd=statistics.median(swapd),
        figure=statistics.median(ratios),
        spread=(min(ratios), max(ratios)),
    )


def _own(measure: str, unit: str, figures: Sequence[float], *, bound: float) -> Row:
    middle = statistics.median(figures)
    spread = (min(figures), max(figures)) if len(figures) > 1 else None
    must = f"<= {bound:g}"
    return Row(measure, unit, must, swapd=middle, figure=middle, bound=bound, spread=spread)


def _by_name() -> dict[str, list[float]]:
    return {"direct": [], "nginx": [], "swapd": []}


def _rotated(names: list[str], by: int) -> list[str]:
    """Nobody is always first."""
    by %= len(names)
    return names[by:] + names[:by]


def _quantile(figures: Sequence[float], part: float) -> float:
    return sorted(figures)[min(len(figures) - 1, int(len(figures) * part))]


@contextmanager
def _no_gc() -> Iterator[None]:
    """Keep this process's collector out of the stamps."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def cores() -> int:
    return len(os.sched_getaffinity(0))
