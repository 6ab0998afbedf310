"""`make simulate SEEDS=10000`: many days, and the shortest story of one that went wrong.

python -m tests.simulation --seeds 10000          all of these
python -m tests.simulation --first 33 --seeds 1   one of them again, told in full
"""

import argparse
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator

from tests.simulation.living import live, plan_of
from tests.simulation.shrink import shortest

# Seeds that one process takes at a time.
BATCH = 25

# How often something is said. Seconds.
EVERY = 10.0

# Sets of names are gone through in an order that this decides.
HASHES = {"PYTHONHASHSEED": "0"}


def main() -> int:
    """Live the days; answer with 1 if one went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=1000, help="how many days")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    asked = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [*sys.orig_argv], {**os.environ, **HASHES})
    seeds = range(asked.first, asked.first + asked.seeds)
    begun = said = time.perf_counter()
    done, failed = 0, list[int]()
    with multiprocessing.Pool(asked.jobs) as pool:
        for some in pool.imap_unordered(_live_some, _batches(seeds)):
            done += some[0]
            failed += some[1]
            if time.perf_counter() - said > EVERY:
                said = time.perf_counter()
                print(f"{done} of {len(seeds)}, {len(failed)} failed", flush=True)
    took = time.perf_counter() - begun
    print(f"{done} seeds in {took:.0f} s, {done / took:.1f} seeds/s: {len(failed)} failed")
    if failed:
        print(f"the seeds: {', '.join(map(str, sorted(failed)[:50]))}")
        tell(min(failed))
    elif len(seeds) == 1:
        print("\n".join(live(plan_of(seeds[0])).lines))
    return 1 if failed else 0


def tell(seed: int) -> None:
    """Tell the shortest story that goes wrong as this seed does."""
    print(f"making the story of seed {seed} shorter")
    plan = shortest(plan_of(seed), lambda plan: bool(live(plan).complaints))
    diary = live(plan)
    print(plan, *diary.lines, *diary.complaints, sep="\n")


def _batches(seeds: range) -> Iterator[range]:
    for start in range(0, len(seeds), BATCH):
        yield seeds[start : start + BATCH]


def _live_some(seeds: range) -> tuple[int, list[int]]:
    logging.disable(logging.WARNING)  # What is logged as an error is listened to.
    return len(seeds), [seed for seed in seeds if live(plan_of(seed)).complaints]


if __name__ == "__main__":
    sys.exit(main())
