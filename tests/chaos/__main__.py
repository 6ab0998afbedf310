"""Have everything go wrong at once, and account for every request:  python -m tests.chaos

Each run takes a minute, prints one line, and can be had again with its seed (its times are real,
so nearly). Ends with 1 if a run fails, with all that is known of it on standard error.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import trio

from tests.chaos.run import Outcome, play
from tests.chaos.shape import Shape

# Of load in each run.
SECONDS = 25.0

# So much of a failed run's log is shown; all of it is kept in a file beside.
SHOWN = 60


def main() -> int:
    """Play runs until there have been enough, or the time is over."""
    words = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="A daemon under load while things go wrong."
    )
    words.add_argument("--runs", type=int, default=10, metavar="N")
    words.add_argument("--minutes", type=float, metavar="M", help="begin no run after these")
    words.add_argument("--seed", type=int, metavar="S", help="of the first run (default: by time)")
    words.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help="of load")
    words.add_argument("--keep", action="store_true", help="tell what went wrong in good runs too")
    said = words.parse_args()
    first = int(time.time()) if said.seed is None else said.seed
    last = None if said.minutes is None else time.monotonic() + 60 * said.minutes
    played = failed = 0
    while played < said.runs and (last is None or time.monotonic() < last):
        with tempfile.TemporaryDirectory(prefix="swapd-chaos-") as folder:
            outcome = trio.run(play, Shape.of(first + played, said.seconds), Path(folder))
        print(outcome.line(), flush=True)
        played += 1
        failed += not outcome.good
        if said.keep or not outcome.good:
            _tell(outcome)
    print(f"{played - failed} of {played} runs add up")
    return 1 if failed else 0


def _tell(outcome: Outcome) -> None:
    """Say all that is known of a run, the whole log in a file of its own."""
    for story in outcome.account.failures:
        print(f"  FAILED: {story}", file=sys.stderr)
    for fault in outcome.done:
        print(f"  {fault}", file=sys.stderr)
    codes = {code.decode(): count for code, count in outcome.account.codes.most_common()}
    print(f"  refused: {codes}", file=sys.stderr)
    path = Path(tempfile.gettempdir()) / f"swapd-chaos-{outcome.shape.seed}.log"
    path.write_text(outcome.log)
    lines = outcome.log.splitlines()
    print(f"  the log's last lines, of {len(lines)} in {path}:", file=sys.stderr)
    for line in lines[-SHOWN:]:
        print(f"  | {line}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
