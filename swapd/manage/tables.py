"""Aligned tables for people. Pure."""

from collections.abc import Sequence

# What stands between two columns.
GAP = "  "


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table, each column as wide as the widest in it; the last one may be of any width."""
    columns = zip(*rows, strict=True) if rows else [()] * len(headings)
    widths = [
        max(len(heading), max(map(len, column), default=0))
        for heading, column in zip(headings, columns, strict=True)
    ]
    line = GAP.join(f"{{:<{width}}}" for width in widths[:-1]) + GAP + "{}"
    return "".join(line.format(*row) + "\n" for row in [headings, *rows])


def ago(seconds: float | None) -> str:
    """Write a duration; "-" for one that is not known."""
    return "-" if seconds is None else f"{seconds:.1f} s"
