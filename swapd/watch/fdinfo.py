"""How much memory of AMD's and Intel's cards each process has, as the kernel tells it.

Rule 1: memory is a card's own; what lies in the machine's is counted with the process.
Rule 2: a client of a driver counts once, whoever holds a descriptor of it, and for the process
that has had it longest: a child that was born with its parent's holds nothing of its own.
Rule 3: processes end while one looks at them, and those of others may not be looked at.
"""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

DEVICES = "/dev/dri/"

UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

# As in "drm-resident-vram0: 1024 KiB"; what is there of it before what was asked for. The word
# before the last is what amdgpu wrote before there was one for all drivers.
_MEMORY = re.compile(
    r"^drm-(resident|memory|total)-(?:vram|local)([0-9]*):\s*([0-9]+)\s*(|KiB|MiB|GiB)$", re.M
)
_CLIENT = re.compile(r"^drm-client-id:\s*([0-9]+)$", re.M)
_PLACE = re.compile(r"^drm-pdev:\s*(\S+)$", re.M)
_KINDS = ("resident", "memory", "total")


def by_pid(root: Path, pids: Collection[int] | None) -> dict[int, int]:
    """Count the bytes on cards by process: of these, or of all that may be looked at."""
    computing = {pid: size for pid, size in _computing(root) if pids is None or pid in pids}
    drawing: dict[int, int] = {}
    seen: set[tuple[str, str]] = set()
    there = _processes(root) if pids is None else sorted(pids)
    for pid in there:
        for client, size in _clients(root / "proc" / str(pid)):
            if client not in seen:
                seen.add(client)
                drawing[pid] = drawing.get(pid, 0) + size
    # What is computed with may be counted in both, so not the sum.
    found = {pid: max(drawing.get(pid, 0), computing.get(pid, 0)) for pid in drawing | computing}
    return {pid: size for pid, size in found.items() if size}


def size_in(text: str) -> int:
    """Add up the memory of a card's own that one client has."""
    told: dict[tuple[str, str], int] = {}
    for kind, region, number, unit in _MEMORY.findall(text):
        told[kind, region] = int(number) * UNITS[unit]
    regions = {region for _, region in told}
    known = ([told[kind, each] for kind in _KINDS if (kind, each) in told] for each in regions)
    return sum(sizes[0] for sizes in known)


def _computing(root: Path) -> Iterator[tuple[int, int]]:
    """Find what AMD's driver for computing tells of each process."""
    for path in root.glob("sys/class/kfd/kfd/proc/[0-9]*"):
        total = 0
        for counter in path.glob("vram_*"):
            try:
                total += int(counter.read_text())
            except (OSError, ValueError):
                continue
        yield int(path.name), total


def _processes(root: Path) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(root / "proc") if name.isdecimal())
    except OSError:
        return []


def _clients(process: Path) -> Iterator[tuple[tuple[str, str], int]]:
    """Find what a process holds of the drivers: place and number of the client, and its bytes."""
    try:
        descriptors = os.listdir(process / "fd")
    except OSError:
        return
    for name in descriptors:
        try:
            if not os.readlink(process / "fd" / name).startswith(DEVICES):
                continue
            text = (process / "fdinfo" / name).read_text(errors="replace")
        except OSError:
            continue
        if client := _CLIENT.search(text):
            place = _PLACE.search(text)
            yield (place[1] if place else "", client[1]), size_in(text)
