"""What `swapd top` shows: one screen of lines. Pure.

Rule 1: no line is wider than the screen and none too many, or it would scroll; what is left out is
counted.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from swapd.terminal.facts import Record
from swapd.terminal.lists import model_lines, request_lines
from swapd.terminal.words import count, cut, size, visible

_MIB = 1024 * 1024


class Machine(NamedTuple):
    """The newest that the daemon has measured."""

    system: Record | None = None
    gpus: tuple[Record, ...] = ()


class Look(NamedTuple):
    """All that is shown, as of one moment."""

    models: Sequence[Record]
    requests: Sequence[Record]
    machine: Machine = Machine()
    problem: str = ""
    """Why it is not newer than it is."""


class Size(NamedTuple):
    """How much a screen holds."""

    columns: int
    lines: int


def frame(where: str, look: Look, now: datetime, screen: Size | None = None) -> list[str]:
    """Draw it; without a screen with everything in it."""
    above = [_title(where, look, now), *_machine(look.machine), ""]
    models, requests = model_lines(look.models, now), request_lines(look.requests)
    if screen is not None:
        room = max(0, screen.lines - len(above) - 1)
        # Half for each, and what one leaves is the other's.
        half = max(room // 2, room - len(requests))
        models = _fitting(models, half)
        requests = _fitting(requests, room - len(models))
    lines = [visible(line) for line in (*above, *models, "", *requests)]
    if screen is None:
        return lines
    return [cut(line, screen.columns) for line in lines[: screen.lines]]


def _title(where: str, look: Look, now: datetime) -> str:
    if look.problem:
        # It names the place itself, and 80 columns are few.
        return f"{now:%H:%M:%S}  {look.problem}"
    ready = sum(model.text("state") == "ready" for model in look.models)
    waiting = sum(request.text("phase") == "waiting" for request in look.requests)
    return (
        f"swapd {where}  {now:%H:%M:%S}  {ready} of {len(look.models)} models ready, "
        f"{len(look.requests) - waiting} served, {waiting} waiting"
    )


def _machine(machine: Machine) -> list[str]:
    system = machine.system
    lines = [] if system is None else [_system(system)]
    return [*lines, *map(_gpu, machine.gpus)]


def _system(system: Record) -> str:
    cores = system.numbers("cpu_util_per_core")
    busy = f"{sum(cores) / len(cores):.0f} % of {len(cores)}" if cores else "-"
    load = " ".join(
        "-" if each is None else f"{each:.2f}"
        for each in (system.number(f"load_avg_{minutes}") for minutes in (1, 5, 15))
    )
    parts = [f"cores {busy}", f"memory {_part(system, 'mem')}", f"load {load}"]
    if system.number("swap_total_mb"):
        parts.insert(2, f"swap {_part(system, 'swap')}")
    return "  ".join(parts)


def _gpu(gpu: Record) -> str:
    return "  ".join(
        (
            f"gpu {count(gpu.number('id'))} {gpu.text('name') or ''}",
            f"{count(gpu.number('gpu_util_pct'))} %",
            f"memory {_part(gpu, 'mem')}",
            f"{count(gpu.number('temp_c'))} °C",
            f"{count(gpu.number('power_draw_w'))} W",
        )
    )


def _part(sample: Record, of: str) -> str:
    used, total = (_bytes(sample.number(f"{of}_{what}_mb")) for what in ("used", "total"))
    return f"{size(used)} of {size(total)}"


def _bytes(mebibytes: float | None) -> float | None:
    return None if mebibytes is None else mebibytes * _MIB


def _fitting(lines: list[str], room: int) -> list[str]:
    if len(lines) <= room:
        return lines
    kept = lines[: max(0, room - 1)]
    return [*kept, f"… and {len(lines) - len(kept)} more"][:room]


def newest(machine: Machine, system: Iterable[Record], gpus: Iterable[Record]) -> Machine:
    """Answer with what is known after these samples, which came in the order of their time."""
    by_id = {gpu.number("id"): gpu for gpu in (*machine.gpus, *gpus)}
    *_, last = (machine.system, *system)
    return Machine(last, tuple(by_id.values()))
