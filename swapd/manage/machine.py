"""The machine: what it did lately, what it is, and which swapd runs on it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
from quart import Blueprint, Response, request
from werkzeug.exceptions import BadRequest

from swapd import __version__, refusals
from swapd.manage.replies import as_json, refused
from swapd.manage.told import Told, tells
from swapd.watch.hardware import Hardware
from swapd.watch.machine import Machine
from swapd.watch.samples import GpuSample, SystemSample

# What Go's reader takes, which is less than Python's.
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"
)

# A package does not say what it was built from, nor when.
NOT_SAID = "unknown"


@attrs.frozen
class Moment:
    """A date with its time."""

    why: str
    form: str = "DATE"

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "string", "format": "date-time"}

    def read(self, word: str) -> float | None:
        if not _RFC_3339.fullmatch(word):
            return None
        try:
            return datetime.fromisoformat(word).timestamp()
        # A thirteenth month, or a time zone beyond the first year.
        except (ValueError, OverflowError):
            return None


AFTER = Moment("list only what was seen after this moment")


def blueprint(machine: Machine, hardware: Hardware) -> Blueprint:
    """Make the pages."""
    pages = Blueprint("machine", __name__)

    @pages.get("/api/performance")
    @tells(Told((200, 503), parameters={"after": AFTER}))
    async def performance() -> Response:
        """List what processor, memory, network and GPUs did in the last hour."""
        # Leniently, as in llama-swap: whatever else the query has is not looked at.
        word = request.args.get("after", "")
        after = AFTER.read(word) if word else None
        if not machine.enabled:
            return as_json({"enabled": False}, status=503)
        if word and after is None:
            raise BadRequest("invalid 'after' timestamp, use RFC3339 format")
        gpus = [gpu_told(sample) for sample in machine.gpu(after)]
        systems = [system_told(sample) for sample in machine.system(after)]
        # Who asks for all there is gets null for nothing, and who asks for news an empty list.
        nothing: list[Any] | None = [] if word else None
        told = {"enabled": True, "gpu_stats": gpus or nothing, "sys_stats": systems or nothing}
        return as_json(told)

    @pages.get("/api/hardware")
    @tells(Told(errors=("service_unavailable",)))
    async def snapshot() -> Response:
        """Say what this machine is, as it was when the daemon started."""
        if hardware.snapshot is None:
            return refused(refusals.no_hardware())
        return as_json(hardware.snapshot)

    @pages.get("/api/version")
    @tells(Told())
    async def version() -> Response:
        """Say which swapd this is."""
        return as_json({"build_date": NOT_SAID, "commit": NOT_SAID, "version": __version__})

    return pages


def system_told(sample: SystemSample) -> dict[str, Any]:
    """Write a sample as llama-swap does."""
    return {
        "timestamp": _date(sample.at),
        "cpu_util_per_core": [round(core, 2) for core in sample.cores],
        "mem_total_mb": sample.mem_total_mb,
        "mem_used_mb": sample.mem_used_mb,
        "mem_free_mb": sample.mem_free_mb,
        "swap_total_mb": sample.swap_total_mb,
        "swap_used_mb": sample.swap_used_mb,
        "load_avg_1": sample.load[0],
        "load_avg_5": sample.load[1],
        "load_avg_15": sample.load[2],
        "net_io": [
            {"name": each.name, "bytes_recv": each.received, "bytes_sent": each.sent}
            for each in sample.net
        ],
    }


def gpu_told(sample: GpuSample) -> dict[str, Any]:
    """Write a sample of a GPU as llama-swap does."""
    return {
        "timestamp": _date(sample.at),
        "id": sample.id,
        "name": sample.name,
        "uuid": sample.uuid,
        "temp_c": sample.temp_c,
        "vram_temp_c": sample.vram_temp_c,
        "gpu_util_pct": sample.util_pct,
        "mem_util_pct": round(sample.mem_util_pct, 2),
        "mem_used_mb": sample.mem_used_mb,
        "mem_total_mb": sample.mem_total_mb,
        "fan_speed_pct": sample.fan_pct,
        "power_draw_w": sample.power_w,
    }


def _date(at: float) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
