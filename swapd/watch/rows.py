"""An activity as a row of two tables, and back.

Rule 1: whatever an activity holds, it becomes a row that can be written; and whatever a row holds
that somebody else wrote, it becomes an activity. One odd row must not stop the others.
"""

import json
import sqlite3
from collections.abc import Sequence
from math import isfinite
from typing import Any

from swapd.watch.activity import Activity, Query, Stored
from swapd.watch.migrations import COLUMNS, OUR_COLUMNS
from swapd.watch.tokens import Tokens

# What SQLite holds.
LARGEST = 2**63 - 1

# Never one that was used before, as by a row that was pruned; what the table remembers of that may
# be missing in a file that somebody has repaired.
_NEWEST = (
    "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'activity'), 0),"
    " coalesce((SELECT max(id) FROM activity), 0))"
)
_INSERT = f"INSERT INTO activity ({', '.join(COLUMNS)}) VALUES "
_INSERT_OURS = f"INSERT OR REPLACE INTO swapd_activity (id, {', '.join(OUR_COLUMNS)}) VALUES "

# Rows written at once: for every statement a thread gives the interpreter away, and has to get it
# back from requests under way. SQLite takes 32,766 values, or 999 where it is old.
AT_ONCE = 50
SELECT = (
    f"SELECT {', '.join(f'activity.{name}' for name in COLUMNS)},"
    f" {', '.join(f'ours.{name}' for name in OUR_COLUMNS)}"
)
"""The beginning of a question whose rows `stored` reads; ours are called `ours` in it."""


def condition(query: Query) -> tuple[str, tuple[Any, ...]]:
    """Write what rows must be like, and the values in it; empty for all rows."""
    models = [characters(name) for name in map(str.strip, query.models) if name]
    terms = [f"model_id IN ({', '.join('?' * len(models))})"] if models else []
    values: list[Any] = [*models]
    bounds = {
        "ts_created >= ?": query.start,
        "ts_created <= ?": query.end,
        "id >= ?": query.min_id,
        "id <= ?": query.max_id,
    }
    for term, bound in bounds.items():
        if bound is not None:
            terms.append(term)
            values.append(_whole(bound))
    return (f" WHERE {' AND '.join(terms)}" if terms else ""), tuple(values)


def insert(connection: sqlite3.Connection, several: Sequence[Activity]) -> list[int]:
    """Add activities to both tables, in a transaction; answer with their numbers."""
    first = connection.execute(_NEWEST).fetchone()[0] + 1
    for start in range(0, len(several), AT_ONCE):
        some = several[start : start + AT_ONCE]
        theirs, ours = list[Any](), list[Any]()
        for number, one in enumerate(some, first + start):
            theirs += (number, *_their_row(one))
            ours += (number, *_our_row(one))
        for statement, columns, values in (
            (_INSERT, len(COLUMNS), theirs),
            (_INSERT_OURS, 1 + len(OUR_COLUMNS), ours),
        ):
            row = f"({', '.join('?' * columns)})"
            connection.execute(statement + ", ".join([row] * len(some)), values)
    return list(range(first, first + len(several)))


def _their_row(one: Activity) -> tuple[Any, ...]:
    tokens = one.tokens
    metadata = {**one.metadata}
    return (
        _whole(int(_finite(one.at))),
        *map(characters, (one.model, one.path, one.content_type)),
        *map(_whole, (one.status, tokens.cached, tokens.draft, tokens.draft_accepted)),
        *map(_whole, (tokens.input, tokens.output)),
        *map(_finite, (tokens.prompt_per_second, tokens.tokens_per_second)),
        _whole(one.duration_ms),
        characters(one.error),
        json.dumps(metadata, separators=(",", ":"), sort_keys=True) if metadata else "",
    )


def _our_row(one: Activity) -> tuple[Any, ...]:
    return (
        *map(characters, (one.request, one.outcome)),
        *map(_finite, (one.queued, one.loading)),
        None if one.first_byte is None else _finite(one.first_byte),
        _whole(one.bytes),
    )


def stored(row: Sequence[Any]) -> Stored:
    """Read a row; where only llama-swap wrote it, its status says how it ended."""
    theirs, ours = dict(zip(COLUMNS, row, strict=False)), row[len(COLUMNS) :]
    status = _whole(theirs["resp_status_code"])
    if ours[0] is None:
        ours = ("", "ok" if status < 400 else "upstream_error", 0.0, 0.0, None, 0)
    request, outcome, queued, loading, first_byte, sent = ours
    activity = Activity(
        request=request,
        at=_whole(theirs["ts_created"]),
        model=str(theirs["model_id"]),
        path=str(theirs["req_path"]),
        content_type=str(theirs["resp_content_type"]),
        status=status,
        tokens=Tokens(
            input=_whole(theirs["input_tokens"]),
            output=_whole(theirs["output_tokens"]),
            cached=_whole(theirs["cache_tokens"]),
            draft=_whole(theirs["draft_tokens"]),
            draft_accepted=_whole(theirs["draft_acc_tokens"]),
            prompt_per_second=_finite(theirs["prompt_per_second"]),
            tokens_per_second=_finite(theirs["tokens_per_second"]),
        ),
        duration_ms=_whole(theirs["duration_ms"]),
        error=str(theirs["error_msg"]),
        metadata=_metadata(str(theirs["metadata_json"])),
        outcome=outcome,
        queued=queued,
        loading=loading,
        first_byte=first_byte,
        bytes=sent,
    )
    return Stored(theirs["id"], activity)


def _whole(number: Any) -> int:
    return max(-LARGEST, min(number, LARGEST)) if isinstance(number, int) else -1


def _finite(number: Any) -> float:
    sound = isinstance(number, int | float) and isfinite(number)
    return float(number) if sound else -1.0


def characters(text: str) -> str:
    """Take away what is no character; JSON may name models so."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def _metadata(text: str) -> dict[str, str]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return {key: str(each) for key, each in value.items()} if isinstance(value, dict) else {}
