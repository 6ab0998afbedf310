"""The machine as Prometheus is told of it: llama-swap's names, to the letter.

Rule 1: only the newest sample counts, of each GPU its own; what was never measured is not there.
Rule 2: so are its labels and their order, and a GPU that has no uuid has no such label.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from swapd.watch.exposition import Labels, Values, family, number
from swapd.watch.samples import GpuSample, SystemSample

# Samples have MiB.
MIB = 1024 * 1024

GPU: Sequence[tuple[str, str, Callable[[GpuSample], float]]] = (
    ("temperature_celsius", "GPU temperature in Celsius", lambda one: one.temp_c),
    ("vram_temperature_celsius", "GPU VRAM temperature in Celsius", lambda one: one.vram_temp_c),
    ("util_percent", "GPU utilization percent (0-100)", lambda one: one.util_pct),
    (
        "memory_util_percent",
        "GPU memory utilization percent (0-100)",
        lambda one: one.mem_util_pct,
    ),
    ("memory_used_bytes", "GPU memory used in bytes", lambda one: one.mem_used_mb * MIB),
    ("memory_total_bytes", "GPU memory total in bytes", lambda one: one.mem_total_mb * MIB),
    ("fan_speed_percent", "GPU fan speed percent (0-100)", lambda one: one.fan_pct),
    ("power_draw_watts", "GPU power draw in watts", lambda one: one.power_w),
)
"""What is told of a GPU: the name behind `llamaswap_gpu_`, the help, the value."""

MEMORY: Sequence[tuple[str, str, Callable[[SystemSample], int]]] = (
    ("memory_total_bytes", "Total memory in bytes", lambda one: one.mem_total_mb),
    ("memory_used_bytes", "Used memory in bytes", lambda one: one.mem_used_mb),
    ("memory_free_bytes", "Free memory in bytes", lambda one: one.mem_free_mb),
    ("swap_total_bytes", "Total swap in bytes", lambda one: one.swap_total_mb),
    ("swap_used_bytes", "Used swap in bytes", lambda one: one.swap_used_mb),
)


class Samples(Protocol):
    """Whoever measures the machine."""

    def system(self, after: float | None) -> list[SystemSample]:
        """List what was measured after that, oldest first."""

    def gpu(self, after: float | None) -> list[GpuSample]:
        """List the same of all GPUs."""


def gauges(samples: Samples) -> str:
    """Write what was measured last, in Prometheus's text format; empty before anything was."""
    families: list[str] = []
    if measured := samples.system(None):
        families += _system(measured[-1])
    if gpus := _newest(samples.gpu(None)):
        families += _gpus(gpus)
    return "".join(families)


def _system(system: SystemSample) -> list[str]:
    cores: Values = [
        ([("core", str(core))], number(busy)) for core, busy in enumerate(system.cores)
    ]
    load: Values = [
        ([("interval", interval)], number(mean))
        for interval, mean in zip(("1m", "5m", "15m"), system.load, strict=True)
    ]
    moved: Values = [
        ([("interface", interface.name), ("direction", direction)], str(total))
        for interface in system.net
        for direction, total in (("recv", interface.received), ("sent", interface.sent))
    ]
    return [
        _family("cpu_util_percent", "CPU utilization per core (0-100)", cores),
        *(_family(name, about, [((), str(size(system) * MIB))]) for name, about, size in MEMORY),
        _family("load_average", "Load average", load),
        _family("network_bytes_total", "Total network bytes transferred", moved, kind="counter"),
    ]


def _gpus(gpus: Iterable[GpuSample]) -> list[str]:
    labelled = [(_labels(gpu), gpu) for gpu in gpus]
    return [
        _family(f"gpu_{name}", about, [(labels, number(value(gpu))) for labels, gpu in labelled])
        for name, about, value in GPU
    ]


def _newest(samples: Iterable[GpuSample]) -> list[GpuSample]:
    """Keep the newest of each GPU, by number; of two of one time the first, as llama-swap does."""
    newest: dict[int, GpuSample] = {}
    for sample in samples:
        if sample.id not in newest or sample.at > newest[sample.id].at:
            newest[sample.id] = sample
    return [newest[gpu] for gpu in sorted(newest)]


def _labels(gpu: GpuSample) -> Labels:
    labels = [("id", str(gpu.id)), ("name", gpu.name)]
    return [*labels, ("uuid", gpu.uuid)] if gpu.uuid else labels


def _family(name: str, about: str, values: Values, *, kind: str = "gauge") -> str:
    return family(f"llamaswap_{name}", about, values, kind=kind)
