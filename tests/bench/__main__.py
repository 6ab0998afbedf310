"""Measure swapd beside nginx and beside nothing at all:  python -m tests.bench

And play the shapes of load of `workloads.py`, alone with `--only workloads`.

Never asserted in the test run: machines differ, ratios less so. Everything is interleaved within
one run and nothing leaves the loopback. Ends with 1 when a row is missed, 2 when it cannot run.
"""

import argparse
import datetime
import platform
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from tests.bench import workloads
from tests.bench.callers import BadAnswer
from tests.bench.contestants import CannotMeasure, find_nginx
from tests.bench.deciding import decisions
from tests.bench.rows import ROWS, Plan, Row, cores
from tests.bench.watched import activity, followers, watching_memory
from tests.soak.sections import SOAK, section_of, with_section

_ROWS = {
    **ROWS,
    "activity": activity,
    "followers": followers,
    "watching-memory": watching_memory,
    "decisions": decisions,
}
_RESULTS = Path(__file__).with_name("RESULTS.md")
_WORKLOADS = "workloads"


def main() -> int:
    said = _arguments()
    if said.only == [_WORKLOADS]:
        print(workloads.section())
        return 0
    try:
        find_nginx()
        began = time.perf_counter()
        rows, failures = _measure(said)
    except CannotMeasure as cannot:
        print(cannot, file=sys.stderr)
        return 2
    table = _table(rows)
    print()
    print(table)
    print(f"\n{_machine()}; {time.perf_counter() - began:.0f} s")
    if said.write and not failures and set(said.only) == {*_ROWS, _WORKLOADS}:
        missed = [row.measure for row in rows if row.verdict == "MISSED"]
        soaked = section_of(_RESULTS.read_text(), SOAK) if _RESULTS.exists() else ""
        page = _page(table, missed)
        _RESULTS.write_text(with_section(page, soaked) if soaked else page)
        print("written to tests/bench/RESULTS.md")
    for failure in failures:
        print(failure, file=sys.stderr)
    if failures:
        return 2
    return 1 if any(row.verdict == "MISSED" for row in rows) else 0


def _arguments() -> argparse.Namespace:
    words = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure swapd beside nginx."
    )
    rows = [*_ROWS, _WORKLOADS]
    words.add_argument("--only", nargs="+", choices=rows, default=rows, metavar="ROW")
    words.add_argument("--quick", action="store_true", help="a short look; nothing is written")
    words.add_argument("--without-swapd", action="store_true", help="nginx and direct only")
    words.add_argument("--pin", action="store_true", help="proxy and caller on cores of their own")
    words.add_argument(
        "--daemon",
        default=f"{sys.executable} -m swapd",
        help="the command that takes `serve --config FILE --listen HOST:PORT`",
    )
    said = words.parse_args()
    said.write = not said.quick and not said.without_swapd
    return said


def _measure(said: argparse.Namespace) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="swapd-bench-") as folder:
        daemon = None if said.without_swapd else said.daemon
        path = Path(folder)
        if said.quick:
            rounds, blocks, stream_seconds, swaps = 5, 4, 1.0, 5
        else:
            rounds, blocks, stream_seconds, swaps = 7, 10, 3.0, 11
        plan = Plan(
            daemon,
            path,
            rounds=rounds,
            blocks=blocks,
            stream_seconds=stream_seconds,
            loads=_SOME if said.quick else _ALL,
            swaps=swaps,
            pin=said.pin,
        )
        for name in [row for row in said.only if row in _ROWS]:
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                rows += _ROWS[name](plan)
            except (CannotMeasure, BadAnswer, OSError) as failure:
                # One row that fails must not cost the others their minutes.
                failures.append(f"cannot measure {name}: {failure}")
    return rows, failures


_SOME = (0.1, 0.33, 0.77)
# Nothing round: a poller's period must not fall on them.
_ALL = (0.1, 0.17, 0.29, 0.43, 0.61, 0.83, 1.07, 1.39, 1.71, 2.0)


def _table(rows: Sequence[Row]) -> str:
    head = ["measure", "unit", "direct", "nginx", "swapd", "figure", "rounds", "must", ""]
    lines = [
        [
            row.measure,
            row.unit,
            _figure(row.direct),
            _figure(row.nginx),
            _figure(row.swapd),
            _figure(row.figure) + (" x" if " x " in row.must and row.figure is not None else ""),
            f"{_figure(row.spread[0])} to {_figure(row.spread[1])}" if row.spread else "-",
            row.must,
            row.verdict,
        ]
        for row in rows
    ]
    widths = [max(len(line[at]) for line in [head, *lines]) for at in range(len(head))]
    shown = [head, ["-" * width for width in widths], *lines]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in shown
    )


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"


def _page(table: str, missed: Sequence[str]) -> str:
    why = "".join(f"\n**{name}** misses its mark: {_WHY.get(name, _UNKNOWN)}\n" for name in missed)
    return (
        "# Results of `make bench`\n\n"
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {_machine()}\n\n"
        "Direct, nginx and swapd are measured in turns within one run. For latency and delay the\n"
        "columns nginx and swapd show what each *adds* to direct; a figure with an x is swapd's\n"
        "added over nginx's added, the median over the rounds, with the least and the greatest\n"
        "beside it. For the swap, direct is the bare stop and start of the same servers.\n\n"
        f"{table}\n{why}\n{workloads.section()}"
    )


_UNKNOWN = "nobody has looked into it yet."
_PYTHON = (
    "it is the interpreter's time, spread thin. Of a profiler's samples of a busy daemon,\n"
    "hypercorn's protocol had 31 %, reading the request and relaying it to the model and back\n"
    "40 %, trio's loop 15 %, and deciding whose turn it is 7 %."
)
_PAGE = (
    "asking the scheduler takes a quarter of it, writing 1.8 MB of text\n"
    "a half, finding whose requests they are the rest; one pass of the interpreter over 10,000\n"
    "of them, which a busy machine makes longer."
)
_RECORDED = (
    "alone a record costs 14 us to read what the answer says, 4 for headers and\n"
    "the capture, 2 for the row, and 10 in SQLite's thread, which shares the interpreter; here,\n"
    "where other code has had the caches in between, twice that. 64 at a time instead of 16 made\n"
    "1.17 x of 1.18 x."
)
_THREAD = (
    "at the 1,500 requests a second of this row a record is written for each, in a\n"
    "thread that then has the interpreter for some hundredths of the time; who comes meanwhile\n"
    "waits. With `recordActivity: false` a short run had 680 us, 5.9 x."
)
_NOISE = (
    "what a chunk costs more is 0.4 us of some 70; the rounds of such a short\n"
    "time lie further apart than the mark, to both sides of it."
)
_IMPORTED = (
    "what watches is imported at the start: of 8 MB, NVML takes 1.8, SQLite 0.9, psutil and\n"
    "prometheus_client 0.5 each, what unpacks answers 0.4, and our own modules 2.8."
)
_KEPT = "five megabytes are captures, as the configuration has it, and the last 1,000 rows."
_CHUNK = "CPU per chunk, 8 streams x 200/s: everything watched (swapd), no activity (direct)"
_WHY = {
    "CPU per request: everything watched (swapd), no activity (direct)": _RECORDED,
    _CHUNK: _NOISE,
    "start to listening": _IMPORTED,
    "idle RSS": _IMPORTED,
    "RSS after 50,000 requests": _KEPT,
    **{
        f"deciding with 10,000 in the queue: {name}, GET /api/queue": _PAGE
        for name in ("serial", "groups", "matrix")
    },
    "added latency, 1 KB, concurrency 1, p50": _PYTHON,
    "added latency, 1 KB, concurrency 1, p99": _THREAD,
    "8 streams x 200 chunks/s: added delay per chunk, p50": _PYTHON,
}


def _machine() -> str:
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    # Plain builds are a quarter slower, which the ratios show: say which it was.
    tuned = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    build = "optimised build" if tuned else "build without optimisations"
    nginx = subprocess.run([find_nginx(), "-v"], capture_output=True, text=True, check=True)
    libraries = ", ".join(f"{name} {version(name)}" for name in ("trio", "hypercorn", "httptools"))
    return (
        f"{model}, {cores()} cores, Python {platform.python_version()} ({build}), {libraries}, "
        f"nginx {nginx.stderr.strip().rpartition('/')[2]}"
    )


if __name__ == "__main__":
    sys.exit(main())
