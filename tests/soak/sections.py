"""Sections of a page of results, so that several programs can write to one. Pure.

Rule: a section begins with its heading of the second level, and ends where the next one begins.
"""

import re

SOAK = "## Soak"

_NEXT = re.compile(r"^## ", re.MULTILINE)


def section_of(page: str, heading: str) -> str:
    """Find the section of this heading; empty where there is none."""
    start, end = _span(page, heading)
    return page[start:end]


def with_section(page: str, text: str) -> str:
    """Put a section in the place of the one with its heading, or at the end."""
    start, end = _span(page, text.partition("\n")[0])
    before, after = page[:start].rstrip("\n"), page[end:].strip("\n")
    return "\n\n".join(part.strip("\n") for part in (before, text, after) if part) + "\n"


def _span(page: str, heading: str) -> tuple[int, int]:
    found = re.search(rf"^{re.escape(heading)}$", page, re.MULTILINE)
    if found is None:
        return len(page), len(page)
    following = _NEXT.search(page, found.end())
    return found.start(), following.start() if following else len(page)
