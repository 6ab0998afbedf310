"""Which GPUs the machine has, put together of what each driver knows.

Rule 1: several may know the same one, by its place on the bus or its number; what the first of
them knows counts. Neither is ever shown.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs

from swapd.watch import drm
from swapd.watch.looking import CannotLook
from swapd.watch.nvidia import Nvidia

VENDORS = {
    "0x10de": "NVIDIA",
    "0x1002": "AMD",
    "0x1022": "AMD",
    "0x8086": "Intel",
    "0x106b": "Apple",
}

UNKNOWN = "unknown"

MICRO = 1_000_000

_PCI = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])")

# The graphics of AMD: major, minor and step, of which the last is a hexadecimal digit.
SMALLEST_GFX, LARGEST_MINOR, LARGEST_STEP = 10000, 9, 15


@attrs.frozen
class Record:
    """What one driver knows of one GPU; None for what it does not."""

    identity: str | None = None
    """The place on the bus; the number that the GPU was made with where there is no place."""
    vendor: str | None = None
    model: str | None = None
    architecture: str | None = None
    memory_kind: str = UNKNOWN
    memory: int | None = None
    """Bytes."""
    driver: str | None = None
    driver_version: str | None = None
    power_limit: float | None = None
    """Watts."""


def accelerators(root: Path, nvidia: Nvidia) -> list[dict[str, Any]]:
    """Describe every GPU; blocks."""
    found = merged([*of_nvidia(nvidia), *of_kfd(root), *of_drm(root)])
    return [told(index, record) for index, record in enumerate(found)]


def told(index: int, record: Record) -> dict[str, Any]:
    """Write a GPU as llama-swap does."""
    return {
        "index": index,
        "kind": "gpu",
        "vendor": record.vendor,
        "model": record.model,
        "architecture": record.architecture,
        "memory": {"kind": record.memory_kind, "capacity_bytes": record.memory},
        "driver": {"name": record.driver, "version": record.driver_version},
        "power_limit_watts": record.power_limit,
    }


def merged(records: Iterable[Record]) -> list[Record]:
    """Put together what is known of each GPU, and sort them by their place."""
    known: dict[str, Record] = {}
    others: list[Record] = []
    for record in records:
        if record.identity is None:
            others.append(record)
        elif record.identity in known:
            known[record.identity] = _both(known[record.identity], record)
        else:
            known[record.identity] = record
    return sorted(
        [*known.values(), *others], key=lambda one: (one.identity or "", one.model or "")
    )


def place(address: str | None) -> str | None:
    """Write an address on the bus as everybody else does: 0000:01:00.0; None for what is none."""
    match = _PCI.fullmatch((address or "").strip().lower())
    return f"{match[1][-4:]}:{match[2]}:{match[3]}.{match[4]}" if match else None


def gfx(version: int) -> str | None:
    """Name AMD's architecture by its number; None for a number that is none."""
    major, minor, step = version // 10000, version // 100 % 100, version % 100
    if version < SMALLEST_GFX or minor > LARGEST_MINOR or step > LARGEST_STEP:
        return None
    return f"gfx{major}{minor}{step:x}"


def of_nvidia(nvidia: Nvidia) -> Iterator[Record]:
    """Ask NVIDIA's driver."""
    try:
        nvidia.open()
    except CannotLook:
        return
    try:
        cards = nvidia.cards()
    finally:
        nvidia.close()
    for card in cards:
        yield Record(
            identity=place(card.pci) or card.uuid,
            vendor="NVIDIA",
            model=card.name,
            architecture=card.architecture,
            memory_kind="dedicated" if card.memory else UNKNOWN,
            memory=card.memory,
            driver="NVIDIA",
            driver_version=card.driver,
            power_limit=card.power_limit,
        )


def of_kfd(root: Path) -> Iterator[Record]:
    """Ask AMD's driver for computing, which knows the architecture."""
    for path in sorted(root.glob("sys/class/kfd/kfd/topology/nodes/*")):
        properties = dict(re.findall(r"(?m)^(\w+) ([0-9]+)$", drm.lines(path, "properties")))
        minor, version = properties.get("drm_render_minor"), properties.get("gfx_target_version")
        device = root / f"sys/class/drm/renderD{minor}/device"
        if minor is None or version is None or not (root / f"dev/dri/renderD{minor}").exists():
            continue
        if VENDORS.get(drm.text(device, "vendor") or "") == "AMD" and gfx(int(version)):
            yield Record(identity=_place_of(device), vendor="AMD", architecture=gfx(int(version)))


def of_drm(root: Path) -> Iterator[Record]:
    """Ask the kernel for whatever it has a driver for, and we may use."""
    for _, device in drm.cards(root):
        vendor = VENDORS.get(drm.text(device, "vendor") or "")
        nodes = (root / "dev/dri" / path.name for path in device.glob("drm/renderD*"))
        if vendor is None or not any(os.access(node, os.R_OK | os.W_OK) for node in nodes):
            continue
        size = drm.memory(device)[1] or None
        driver = (device / "driver").resolve().name if (device / "driver").exists() else None
        limits = (drm.number(path.parent, path.name) for path in _caps(device))
        limit = next((limit for limit in limits if limit is not None and limit > 0), None)
        # Of NVIDIA's, only its own driver says how much memory they have, and of which kind.
        none = UNKNOWN if vendor == "NVIDIA" else "shared_system"
        yield Record(
            identity=_place_of(device),
            vendor=vendor,
            model=drm.text(device, "product_name"),
            memory_kind="dedicated" if size else none,
            memory=size,
            driver=driver,
            driver_version=drm.text(root / f"sys/module/{driver}", "version") if driver else None,
            power_limit=limit / MICRO if limit else None,
        )


def _caps(device: Path) -> list[Path]:
    return sorted(device.glob("hwmon/hwmon*/power1_cap"))


def _place_of(device: Path) -> str | None:
    found = re.search(r"(?m)^PCI_SLOT_NAME=(.+)$", drm.lines(device, "uevent"))
    return place(found[1]) if found else None


def _both(first: Record, second: Record) -> Record:
    changes: dict[str, Any] = {}
    for field in attrs.fields(Record):
        if getattr(first, field.name) in (None, UNKNOWN):
            changes[field.name] = getattr(second, field.name)
    return attrs.evolve(first, **changes)
