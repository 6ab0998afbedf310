"""Use a daemon for long, and see whether anything grows:  python -m tests.soak

Never part of the test run, apart from a short one. Ends with 1 when something grows or is left,
2 when an answer was not what it had to be. Only the whole run is written to the page of results.
"""

import argparse
import datetime
import os
import platform
import sys
import tempfile
from pathlib import Path

import attrs

from tests.bench.contestants import CannotMeasure
from tests.soak.callers import Unexpected
from tests.soak.page import section
from tests.soak.run import Plan, soak
from tests.soak.samples import BOUNDS
from tests.soak.sections import with_section
from tests.soak.verdict import judge

_RESULTS = Path(__file__).parents[1] / "bench" / "RESULTS.md"

_WHOLE = Plan(requests=200_000, swaps=2000, samples=40, warm=0.1)
_SHORT = Plan(requests=20_000, swaps=200, samples=20, warm=0.5)


def main() -> int:
    said = _arguments()
    usual = _SHORT if said.short else _WHOLE
    plan = attrs.evolve(
        usual, requests=said.requests or usual.requests, swaps=said.swaps or usual.swaps
    )
    with tempfile.TemporaryDirectory(prefix="swapd-soak-") as folder:
        try:
            soaked = soak(plan, Path(folder), _progress, daemon=said.daemon)
        except (Unexpected, CannotMeasure) as failure:
            print(failure, file=sys.stderr)
            # What the daemon wrote where nothing should be, if it came so far.
            for log in Path(folder).glob("*.log"):
                print(log.read_text(errors="replace"), file=sys.stderr)
            return 2
        left = os.listdir(folder)
    verdicts = judge(soaked.series, BOUNDS)
    text = section(plan, soaked, verdicts, where=_where())
    print(text)
    if soaked.errors:
        print(soaked.errors, file=sys.stderr)
    if set(left) - {"soak.yaml", "soak.log"}:
        print(f"left behind: {left}", file=sys.stderr)
    if plan == _WHOLE:
        page = _RESULTS.read_text() if _RESULTS.exists() else ""
        _RESULTS.write_text(with_section(page, text))
        print("written to tests/bench/RESULTS.md")
    good = all(verdict.flat for verdict in verdicts) and soaked.is_clean
    return 0 if good else 1


def _arguments() -> argparse.Namespace:
    words = argparse.ArgumentParser(
        prog="python -m tests.soak", description="Use a daemon for long, and see what grows."
    )
    words.add_argument("--requests", type=int, help=f"{_WHOLE.requests:,} unless said otherwise")
    words.add_argument("--swaps", type=int, help=f"{_WHOLE.swaps:,} unless said otherwise")
    words.add_argument("--short", action="store_true", help="a tenth of that; a minute")
    words.add_argument(
        "--daemon",
        default=f"{sys.executable} -m swapd",
        help="the command that takes `serve --config FILE --listen HOST:PORT`",
    )
    return words.parse_args()


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _where() -> str:
    cores = len(os.sched_getaffinity(0))
    today = datetime.datetime.now(datetime.UTC)
    return f"{today:%Y-%m-%d}, {cores} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
