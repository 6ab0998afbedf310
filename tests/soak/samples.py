"""What a daemon holds at one moment: what the kernel says of it, and what it says of itself.

Rule: a sample is taken when nothing is under way; what is counted then is what was kept.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import trio

from tests.soak.callers import Line, fetch
from tests.soak.verdict import Bound

MEMORY, TASKS = "memory, MB", "tasks"

# What is counted must not grow at all. A line fitted to whole numbers rises by less than one by
# chance alone; threads come and go with the work that was last handed to them.
BOUNDS: Mapping[str, Bound] = {
    MEMORY: Bound(3.0, share=0.03),
    "open files": Bound(1.0),
    "sockets": Bound(1.0),
    "threads": Bound(2.0),
    "processes": Bound(1.0),
    TASKS: Bound(1.0),
}

# Two looks that agree, so far apart, are taken for quiet; and how often they may disagree.
_APART, _LOOKS = 0.15, 40

# What follows a swap, a record that is written later, has been done by then.
_SETTLE = 0.3

# What a daemon says of its own tasks, if it does.
_TASKS = "swapd_tasks"


async def sample(pid: int, line: Line) -> dict[str, float]:
    """Wait until it is quiet, then look; "tasks" only where the daemon tells."""
    await trio.sleep(_SETTLE)
    before: dict[str, float] = {}
    for _ in range(_LOOKS):
        now = _counts(pid)
        told = await numbers(line)
        if _TASKS in told:
            now[TASKS] = told[_TASKS]
        if now == before:
            break
        before = now
        await trio.sleep(_APART)
    return {MEMORY: _status(pid, "VmRSS") / 1024, **before}


async def numbers(line: Line) -> dict[str, float]:
    """Answer with the numbers of `/metrics` by their names, those of all labels added up."""
    sums: dict[str, float] = {}
    for told in (await fetch(line, "/metrics")).splitlines():
        if told.startswith("swapd_"):
            series, _, value = told.rpartition(" ")
            name = series.partition("{")[0]
            sums[name] = sums.get(name, 0.0) + float(value)
    return sums


def descendants(pid: int) -> list[int]:
    """List the processes that this one started, and those started by them."""
    children: dict[int, list[int]] = {}
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            stat = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            children.setdefault(int(stat[1]), []).append(int(entry))
    found, looked = [pid], 0
    while looked < len(found):
        found += children.get(found[looked], [])
        looked += 1
    return found[1:]


def _counts(pid: int) -> dict[str, float]:
    opened = _opened(pid)
    return {
        "open files": len(opened),
        "sockets": sum(each.startswith("socket:") for each in opened),
        "threads": _status(pid, "Threads"),
        "processes": len(descendants(pid)),
    }


def _opened(pid: int) -> list[str]:
    found = []
    for entry in os.listdir(f"/proc/{pid}/fd"):
        # What is closed while we look is not open.
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{entry}"))
    return found


def _status(pid: int, what: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{what}:")[2].split()[0])
