"""The record of a request that is over, and what can be asked of all of them. Plain values.

Rule 1: instants are Unix time here, for a record outlives the daemon and its clock.
Rule 2: a figure below 0 is not known; llama-swap's rows have it so.
"""

from collections.abc import Mapping
from typing import Self

import attrs

from swapd.watch.histogram import Histogram
from swapd.watch.tokens import Tokens

# How many rows a page has unless its reader says so.
LIMIT = 25

SORTS = {
    "id": "id",
    "time": "ts_created",
    "model": "model_id",
    "req_path": "req_path",
    "resp_status_code": "resp_status_code",
    "resp_content_type": "resp_content_type",
    "cached": "cache_tokens",
    "prompt": "input_tokens",
    "generated": "output_tokens",
    "drafted": "draft_tokens",
    "prompt_speed": "prompt_per_second",
    "gen_speed": "tokens_per_second",
    "duration": "duration_ms",
}
"""What rows can be sorted by, with the column for it; both are llama-swap's words."""


@attrs.frozen(kw_only=True)
class Activity:
    """What is kept of one request."""

    request: str
    """What queue, log and answer called it; empty in a row of llama-swap's."""
    at: float
    """When it was over."""
    model: str
    path: str
    content_type: str = ""
    """Of the answer."""
    status: int = 0
    tokens: Tokens = attrs.field(factory=Tokens)
    duration_ms: int = 0
    """From its arrival to the last byte of its answer."""
    error: str = ""
    metadata: Mapping[str, str] = attrs.field(factory=dict)
    outcome: str = ""
    """How it ended, in a word."""
    queued: float = 0.0
    loading: float = 0.0
    first_byte: float | None = None
    """Seconds that the model took to the first byte; None if there was none."""
    bytes: int = 0
    """What the client was sent of the body."""

    @property
    def ours(self) -> bool:
        """Tell whether it is known how it waited and ended; llama-swap does not write it down."""
        return self.request != ""


@attrs.frozen
class Stored:
    """An activity that has its number."""

    id: int
    activity: Activity


def _sound_limit(limit: int) -> int:
    return limit if limit > 0 else LIMIT


def _sound_page(page: int) -> int:
    return max(page, 1)


@attrs.frozen(kw_only=True)
class Query:
    """Which rows are wanted; all bounds are inclusive."""

    models: tuple[str, ...] = ()
    """Any of these; blank ones do not count, and none at all means every model."""
    start: int | None = None
    end: int | None = None
    min_id: int | None = None
    max_id: int | None = None
    sort: str = "id"
    """A key of `SORTS`; any other is as good as `id`."""
    ascending: bool = False
    limit: int = attrs.field(default=LIMIT, converter=_sound_limit)
    page: int = attrs.field(default=1, converter=_sound_page)


@attrs.frozen
class Page:
    """The rows on one page of what was asked for."""

    rows: tuple[Stored, ...]
    total: int
    """Of all pages."""
    page: int
    limit: int

    @classmethod
    def of(cls, query: Query, *, rows: tuple[Stored, ...], total: int) -> Self:
        """Answer a query."""
        return cls(rows, total, query.page, query.limit)

    @property
    def pages(self) -> int:
        """Say how many pages there are."""
        return -(-self.total // self.limit)


@attrs.frozen
class Stats:
    """All rows, or those of one model, in numbers."""

    requests: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    prompt: Histogram | None = None
    """Of the speeds at which prompts were read."""
    generated: Histogram | None = None
    """Of the speeds at which answers were written."""
