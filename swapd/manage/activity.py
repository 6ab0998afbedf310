"""The record of requests, row by row and in numbers, as llama-swap's page shows it.

Rule 1: the keys of a row are llama-swap's, in its order; ours follow them.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from quart import Blueprint, Response, request

from swapd import refusals
from swapd.manage.instants import LATEST, seconds
from swapd.manage.replies import json_text, plain, refused, wants_text
from swapd.manage.rowquery import MODEL, PARAMETERS, Mistake, read_rows
from swapd.manage.tables import ago, table
from swapd.manage.told import Told, tells
from swapd.watch.activity import Page, Stored
from swapd.watch.histogram import Histogram
from swapd.watch.recorder import Recorder
from swapd.watch.store import StoreFailed
from swapd.watch.tokens import Tokens

HEADINGS = (
    *("ID", "TIME", "MODEL", "STATUS", "OUTCOME", "IN", "OUT", "CACHED"),
    *("SPEED", "QUEUE", "LOAD", "TOTAL"),
)

# Beyond this, a number is not written out.
_EXACT = 2**53

# Python looks a day around a date for its offset, which may be most of another.
_LATEST = LATEST - 3 * 24 * 3600


def blueprint(recorder: Recorder) -> Blueprint:
    """Make the pages."""
    pages = Blueprint("activity", __name__)

    @pages.get("/api/metrics/activity")
    @tells(Told(errors=("service_unavailable",), parameters=PARAMETERS, table=True))
    async def activity() -> Response:
        """List the requests that are over, newest first, a page at a time."""
        try:
            query = read_rows()
        except Mistake as mistake:
            return refused(refusals.invalid_request(str(mistake)))
        try:
            page = await recorder.page(query)
        except StoreFailed as problem:
            return refused(refusals.no_record(str(problem)))
        if wants_text():
            rows = [*map(_row, page.rows)]
            return plain(table(HEADINGS, rows) if rows else "nothing was recorded\n")
        return _encoded(_told(page, recorder))

    @pages.get("/api/metrics/stats")
    @tells(Told(errors=("service_unavailable",), parameters={"model": MODEL}))
    async def stats() -> Response:
        """Sum up the requests that are over, all of them or those of a model."""
        try:
            found = await recorder.stats(request.args.get("model", "").strip())
        except StoreFailed as problem:
            return refused(refusals.no_record(str(problem)))
        numbers = {
            "total_requests": found.requests,
            "total_input_tokens": found.input,
            "total_output_tokens": found.output,
            "total_cache_tokens": found.cached,
            "prompt_histogram": _histogram(found.prompt),
            "gen_histogram": _histogram(found.generated),
        }
        return _encoded(numbers)

    return pages


def _encoded(value: Mapping[str, Any]) -> Response:
    # With a line's end, as llama-swap's encoder writes one.
    return json_text(json.dumps(value, separators=(",", ":")) + "\n")


def _told(page: Page, recorder: Recorder) -> dict[str, Any]:
    return {
        "data": [_entry(row, has_capture=row.id in recorder.captures) for row in page.rows],
        "page": page.page,
        "limit": page.limit,
        "total": page.total,
        "total_pages": page.pages,
    }


def _entry(row: Stored, *, has_capture: bool) -> dict[str, Any]:
    one = row.activity
    told: dict[str, Any] = {
        "id": row.id,
        "timestamp": _local(one.at).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "model": one.model,
        "req_path": one.path,
        "resp_content_type": one.content_type,
        "resp_status_code": one.status,
        "tokens": _tokens(one.tokens),
        "duration_ms": one.duration_ms,
        "has_capture": has_capture,
    }
    if one.error:
        told["error_msg"] = one.error
    if one.metadata:
        told["metadata"] = dict(one.metadata)
    return {
        **told,
        "request": one.request if one.ours else None,
        "outcome": one.outcome,
        "queue_s": seconds(one.queued) if one.ours else None,
        "load_s": seconds(one.loading) if one.ours else None,
        "first_byte_s": seconds(one.first_byte),
        "resp_bytes": one.bytes if one.ours else None,
    }


def _tokens(tokens: Tokens) -> dict[str, Any]:
    return {
        "cache_tokens": tokens.cached,
        "draft_tokens": tokens.draft,
        "draft_acc_tokens": tokens.draft_accepted,
        "input_tokens": tokens.input,
        "output_tokens": tokens.output,
        "prompt_per_second": _number(tokens.prompt_per_second),
        "tokens_per_second": _number(tokens.tokens_per_second),
    }


def _histogram(histogram: Histogram | None) -> dict[str, Any] | None:
    if histogram is None:
        return None
    return {
        "bins": list(histogram.bins),
        "min": _number(histogram.min),
        "max": _number(histogram.max),
        "binSize": _number(histogram.bin_size),
        "p50": _number(histogram.p50),
        "p95": _number(histogram.p95),
        "p99": _number(histogram.p99),
    }


def _row(row: Stored) -> tuple[str, ...]:
    one, tokens = row.activity, row.activity.tokens
    return (
        str(row.id),
        _local(one.at).strftime("%Y-%m-%d %H:%M:%S"),
        one.model,
        str(one.status),
        one.outcome,
        *(str(count) if count >= 0 else "-" for count in (tokens.input, tokens.output)),
        str(tokens.cached) if tokens.cached >= 0 else "-",
        f"{tokens.tokens_per_second:.1f}/s" if tokens.tokens_per_second > 0 else "-",
        ago(one.queued if one.ours else None),
        ago(one.loading if one.ours else None),
        ago(one.duration_ms / 1000),
    )


def _number(value: float) -> int | float:
    """Write whole numbers as such, like llama-swap's encoder."""
    return int(value) if value.is_integer() and abs(value) < _EXACT else value


def _local(at: float) -> datetime:
    return datetime.fromtimestamp(max(0.0, min(at, _LATEST))).astimezone()
