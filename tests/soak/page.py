"""What is written of a soak: its section of the page of results. Pure."""

import textwrap
from collections import Counter
from collections.abc import Sequence

from tests.soak.run import Plan, Soaked
from tests.soak.sections import SOAK
from tests.soak.verdict import Verdict

_HEAD = ["held at quiet moments", "first", "last", "least", "most", "growth", "must", ""]

_COUNTED = ("swapd_requests_total", "swapd_loads_total", "swapd_swaps_total")


def section(plan: Plan, soaked: Soaked, verdicts: Sequence[Verdict], *, where: str) -> str:
    """Write the section."""
    done, told = soaked.done, soaked.told
    counted = [f"{told.get(name, 0):,.0f}" for name in _COUNTED]
    return (
        f"{SOAK}\n\n{where}, {soaked.seconds:.0f} s\n\n"
        f"One daemon, {done.total():,} jobs of clients, in {plan.rounds:,} rounds, each of them\n"
        "of another model than the one before. The daemon counted\n"
        f"{counted[0]} requests, {counted[1]} loads and {counted[2]} swaps. The jobs:\n"
        f"{_listed(done)}\n\n"
        f"There are {plan.samples} samples between rounds, none in the first {plan.warm:.0%}.\n"
        "The first and the last quarter are shown by their means; growth is the difference,\n"
        "or the rise of a straight line through all samples, whichever is more.\n\n"
        f"{_table(verdicts)}\n\n{_ending(soaked)}\n"
    )


def _ending(soaked: Soaked) -> str:
    left = f"{len(soaked.left)} processes were left" if soaked.left else "no process was left"
    said = ", and it wrote errors" if soaked.errors else ""
    return f"At the end it exited with {soaked.status}; {left}{said}."


def _listed(done: Counter[str]) -> str:
    words = ", ".join(f"{count:,} {job}" for job, count in done.most_common())
    return textwrap.fill(f"{words}.", 99)


def _table(verdicts: Sequence[Verdict]) -> str:
    rows = [
        [
            verdict.name,
            *map(_figure, (verdict.first, verdict.last, verdict.least, verdict.greatest)),
            f"{verdict.growth:+.2f}",
            f"< {verdict.allowed:.2f}",
            "flat" if verdict.flat else "GROWS",
        ]
        for verdict in verdicts
    ]
    widths = [max(len(row[at]) for row in [_HEAD, *rows]) for at in range(len(_HEAD))]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        + " |"
        for row in [_HEAD, ["-" * width for width in widths], *rows]
    )


def _figure(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:.2f}"
