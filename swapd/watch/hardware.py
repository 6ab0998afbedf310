"""What this machine is: one snapshot, taken when the daemon starts.

Rule 1: what cannot be found out is None, and nothing is guessed.
Rule 2: a snapshot that contradicts itself is not shown at all.
Rule 3: nobody can tell one machine from another by it: no serial numbers, no addresses.
"""

import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

import psutil
import trio

from swapd import __version__
from swapd.watch import hardware_gpu, hardware_host
from swapd.watch.looking import CannotLook, InThread, in_a_thread
from swapd.watch.nvidia import Nvidia

log = logging.getLogger(__name__)

# From llama-swap. A driver that needs longer is stuck.
LONGEST = 10.0

SCHEMA_VERSION = 1

ARCHITECTURES = frozenset(["x86_64", "arm64", "armv7", "ppc64le", "riscv64", "s390x", "other"])
ENVIRONMENTS = frozenset(["native", "container", "virtual_machine", "wsl", "other", "unknown"])
MEMORIES = frozenset(["dedicated", "unified", "shared_system", "unknown"])

Snapshot = dict[str, Any]


class NotSound(Exception):
    """The snapshot cannot be true."""


def detect(root: Path = Path("/"), *, nvidia: Nvidia | None = None) -> Snapshot:
    """Look at the machine; raise `NotSound` if what is seen cannot be. Blocks."""
    system, kernel = os.uname(), hardware_host.kernel(root)
    snapshot: Snapshot = {
        "schema_version": SCHEMA_VERSION,
        "captured_at": datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "capture": {
            "scope": "inference_host",
            "method": "detected",
            "detector": {"name": "swapd", "version": __version__},
        },
        "architecture": hardware_host.architecture(system.machine),
        "operating_system": hardware_host.operating_system(root, system.release),
        "environment": hardware_host.environment(root, kernel),
        "cpu": hardware_host.cpu(
            root, logical=psutil.cpu_count(), physical=psutil.cpu_count(logical=False)
        ),
        "memory": {"capacity_bytes": hardware_host.memory(root)},
        "accelerators": hardware_gpu.accelerators(root, nvidia or Nvidia()),
    }
    validate(snapshot)
    return snapshot


class Hardware:
    """Keeps the snapshot. `detect` and `in_thread` are for tests."""

    def __init__(
        self,
        *,
        detect: Callable[[], Snapshot] = detect,
        in_thread: InThread = in_a_thread,
    ) -> None:
        self.snapshot: Snapshot | None = None
        """None until it is taken, and for ever if it cannot be."""
        self._detect = detect
        self._in_thread = in_thread

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take the snapshot; returns when that is done or has failed."""
        task_status.started()
        with trio.move_on_after(LONGEST):
            try:
                self.snapshot = await self._in_thread(self._detect)
            except (CannotLook, NotSound, OSError, ValueError) as problem:
                log.warning("cannot say what this machine is: %s", problem)
            return
        log.warning("cannot say what this machine is: looking takes longer than %g s", LONGEST)


def validate(snapshot: Snapshot) -> None:
    """Raise `NotSound` for what cannot be."""
    _demand(snapshot["schema_version"] == SCHEMA_VERSION, "schema_version")
    _demand(bool(snapshot["captured_at"]), "captured_at")
    capture = snapshot["capture"]
    _demand((capture["scope"], capture["method"]) == ("inference_host", "detected"), "capture")
    _demand(all(word.strip() for word in capture["detector"].values()), "capture.detector")
    _known(snapshot["architecture"], "architecture", names=ARCHITECTURES, by="name")
    _demand(snapshot["operating_system"]["family"] == "linux", "operating_system.family")
    _known(snapshot["environment"], "environment", names=ENVIRONMENTS, by="kind")
    cpu = snapshot["cpu"]
    counts = ("socket_count", "physical_core_count", "logical_thread_count")
    for name in counts:
        _demand(cpu[name] is None or cpu[name] > 0, f"cpu.{name}")
    physical, logical = cpu["physical_core_count"], cpu["logical_thread_count"]
    _demand(physical is None or logical is None or logical >= physical, "cpu: fewer threads")
    _demand((snapshot["memory"]["capacity_bytes"] or 0) > 0, "memory.capacity_bytes")
    for place, accelerator in enumerate(snapshot["accelerators"]):
        _validate_accelerator(place, accelerator)


def _validate_accelerator(place: int, accelerator: dict[str, Any]) -> None:
    where = f"accelerators.{place}"
    _demand(accelerator["index"] == place, f"{where}.index")
    _known(accelerator, where, names=frozenset(["gpu", "npu", "other"]), by="kind")
    memory = accelerator["memory"]
    _demand(memory["kind"] in MEMORIES, f"{where}.memory.kind")
    size, limit = memory["capacity_bytes"], accelerator["power_limit_watts"]
    _demand(size is None or size > 0, f"{where}.memory.capacity_bytes")
    _demand(limit is None or (limit > 0 and isfinite(limit)), f"{where}.power_limit_watts")


def _known(value: dict[str, Any], where: str, *, names: frozenset[str], by: str) -> None:
    """Demand that a word is one of these, and that `other` comes with what it was."""
    _demand(value[by] in names, f"{where}.{by}")
    _demand(value[by] != "other" or bool(value.get(f"raw_{by}")), f"{where}.raw_{by}")


def _demand(sound: bool, where: str) -> None:
    if not sound:
        raise NotSound(f"what was found of {where} cannot be")
