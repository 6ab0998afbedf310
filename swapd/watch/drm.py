"""AMD's and Intel's GPUs, as the kernel tells of them in its files.

Rule 1: every file may be missing, or not readable; what it would say is 0 then.
Rule 2: only cards that tell something are GPUs here. Those of others are left to their drivers.
"""

import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import attrs

from swapd.watch import fdinfo
from swapd.watch.looking import CannotLook
from swapd.watch.samples import GpuSample, mebibytes, percent

AMD, INTEL = "0x1002", "0x8086"

# Outputs stand beside the cards, as in card0-DP-1.
_CARD = re.compile(r"card([0-9]+)")

# What amdgpu and the two drivers of Intel call the sensors of chip and memory.
CHIP = ("edge", "pkg", "")
MEMORY = ("mem", "vram")

MILLI, MICRO = 1000, 1_000_000

LARGEST_DUTY = 255


@attrs.define
class Card:
    """A card, and the joules of its meter when it was last read."""

    number: int
    folder: Path
    """Of the device, which may be taken away."""
    metered: tuple[float, float] | None = None
    """Unix time and joules."""


class Drm:
    """Reads the kernel's files, below `root`."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._cards: list[Card] = []

    def open(self) -> None:
        """Find the cards; raise `CannotLook` if there are none that tell anything."""
        self._cards = [card for card in _cards(self._root) if _tells(card.folder)]
        if not self._cards:
            raise CannotLook("no AMD or Intel GPU in /sys/class/drm")

    def close(self) -> None:
        """Forget the cards."""
        self._cards = []

    def samples(self, at: float, complain: Callable[[str], None]) -> list[GpuSample]:
        """Look at each card; complain of those that are gone."""
        found = []
        for card in self._cards:
            if card.folder.is_dir():
                found.append(_sample(at, card))
            else:
                complain(f"GPU card{card.number} is gone")
        return found

    def by_pid(self, pids: Collection[int] | None) -> dict[int, int]:
        """Count the bytes that processes have on these cards."""
        return fdinfo.by_pid(self._root, pids) if self._cards else {}


def number(folder: Path, name: str) -> int | None:
    """Read a file with a number; None if there is none."""
    word = text(folder, name)
    return int(word) if word is not None and re.fullmatch(r"-?[0-9]+", word) else None


def text(folder: Path, name: str) -> str | None:
    """Read a file with a line; None if there is none."""
    return lines(folder, name).strip() or None


def lines(folder: Path, name: str) -> str:
    """Read a file; empty if there is none."""
    try:
        return (folder / name).read_text(errors="replace")
    except OSError:
        return ""


def cards(root: Path) -> Iterator[tuple[int, Path]]:
    """Find all cards, of whomever: the number and the folder of the device of each."""
    found = [
        (int(match[1]), path / "device")
        for path in root.glob("sys/class/drm/card*")
        if (match := _CARD.fullmatch(path.name))
    ]
    yield from sorted(found)


def memory(folder: Path) -> tuple[int, int]:
    """Answer with used and total bytes. Intel's drivers tell only how much there is, if that."""
    total = number(folder, "mem_info_vram_total")
    if total is not None:
        return number(folder, "mem_info_vram_used") or 0, total
    tiles = (number(tile, "physical_vram_size_bytes") for tile in folder.glob("tile*"))
    return 0, sum(size or 0 for size in tiles)


def _cards(root: Path) -> Iterator[Card]:
    for place, folder in cards(root):
        if text(folder, "vendor") in (AMD, INTEL):
            yield Card(place, folder)


def _tells(folder: Path) -> bool:
    return any(
        [
            number(folder, "gpu_busy_percent") is not None,
            memory(folder)[1] > 0,
            *(list(_sensors(folder, kind)) for kind in ("temp", "energy", "power", "fan")),
        ]
    )


def _sample(at: float, card: Card) -> GpuSample:
    folder = card.folder
    used, total = memory(folder)
    name = text(folder, "product_name")
    plain = f"card{card.number}"
    return GpuSample(
        at=at,
        id=card.number,
        name=f"{name} {plain}" if name else plain,
        uuid=text(folder, "unique_id") or "",
        temp_c=_temperature(folder, CHIP),
        vram_temp_c=_temperature(folder, MEMORY),
        util_pct=float(number(folder, "gpu_busy_percent") or 0),
        mem_util_pct=percent(used, total),
        mem_used_mb=mebibytes(used),
        mem_total_mb=mebibytes(total),
        fan_pct=_fan(folder),
        power_w=_power(at, card),
    )


def _sensors(folder: Path, kind: str) -> Iterator[tuple[Path, str, int]]:
    """Find the sensors of a kind: the folder, the name and the number of each."""
    for path in sorted(folder.glob(f"hwmon/hwmon*/{kind}[0-9]*_input")):
        if (value := number(path.parent, path.name)) is not None:
            yield path.parent, path.name.removesuffix("_input"), value


def _temperature(folder: Path, labels: tuple[str, ...]) -> int:
    told = {
        text(place, f"{name}_label") or "": value
        for place, name, value in _sensors(folder, "temp")
    }
    found = [told[label] for label in labels if label in told]
    return found[0] // MILLI if found else 0


def _fan(folder: Path) -> float:
    for place in sorted(folder.glob("hwmon/hwmon*")):
        if (duty := number(place, "pwm1")) is not None:
            return max(0.0, percent(duty, number(place, "pwm1_max") or LARGEST_DUTY))
        if (turns := number(place, "fan1_input")) is not None:
            return max(0.0, percent(turns, number(place, "fan1_max") or 0))
    return 0.0


def _power(at: float, card: Card) -> float:
    for place in sorted(card.folder.glob("hwmon/hwmon*")):
        watts = (number(place, f"power1_{kind}") or 0 for kind in ("average", "input"))
        for value in watts:
            if value > 0:
                return value / MICRO
    # Intel's cards have a meter, which tells of power only who reads it twice.
    for _, _, value in _sensors(card.folder, "energy"):
        before, card.metered = card.metered, (at, value / MICRO)
        if before is not None and at > before[0]:
            return max(0.0, (card.metered[1] - before[1]) / (at - before[0]))
        break
    return 0.0
