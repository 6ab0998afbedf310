"""What the machine was seen to do at one moment.

Plain values; sizes in MiB, as llama-swap has them.
"""

import attrs


@attrs.frozen
class Interface:
    """A network interface, by what went through it since it came up, in bytes."""

    name: str
    received: int
    sent: int


@attrs.frozen
class SystemSample:
    """Processor, memory and network."""

    at: float
    """Unix time."""
    cores: tuple[float, ...] = ()
    """Percent busy since the last sample, by core."""
    mem_total_mb: int = 0
    mem_used_mb: int = 0
    mem_free_mb: int = 0
    """Really free; not what could be freed."""
    swap_total_mb: int = 0
    swap_used_mb: int = 0
    load: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Over one, five and fifteen minutes."""
    net: tuple[Interface, ...] = ()


@attrs.frozen
class GpuSample:
    """One GPU; 0 for what it does not tell."""

    at: float
    """Unix time."""
    id: int
    name: str = ""
    uuid: str = ""
    temp_c: int = 0
    vram_temp_c: int = 0
    util_pct: float = 0.0
    mem_util_pct: float = 0.0
    mem_used_mb: int = 0
    mem_total_mb: int = 0
    fan_pct: float = 0.0
    power_w: float = 0.0


def moment(time: float) -> float:
    """Round a time to milliseconds, so that written down and read again it is the same."""
    return round(time, 3)


def mebibytes(size: int) -> int:
    """Count whole MiB."""
    return size >> 20


def percent(part: float, whole: float) -> float:
    """Say how much of the whole it is, at most all; 0 where there is no whole."""
    return min(100.0, part / whole * 100) if whole > 0 else 0.0
