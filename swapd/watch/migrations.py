"""The tables of the record: llama-swap's, which either of us may open, and ours beside it.

Rule 1: what is not of this kind is left as it is, in all of its bytes.
Rule 2: llama-swap's table is never changed. Whatever more we know has a table of our own, with
migrations of its own; its bookkeeping, which is goose's, is kept as it would.
Rule 3: a migration that was ever released is not changed any more; another one follows it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

# llama-swap's first migration, and so far its only one.
ACTIVITY = """
CREATE TABLE activity (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ts_created INTEGER NOT NULL,
    model_id TEXT NOT NULL,
    req_path TEXT NOT NULL DEFAULT '',
    resp_content_type TEXT NOT NULL DEFAULT '',
    resp_status_code INTEGER NOT NULL DEFAULT 0,
    cache_tokens INTEGER NOT NULL DEFAULT 0,
    draft_tokens INTEGER NOT NULL DEFAULT 0,
    draft_acc_tokens INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    prompt_per_second REAL NOT NULL DEFAULT 0,
    tokens_per_second REAL NOT NULL DEFAULT 0,
    duration_ms INTEGER NOT NULL DEFAULT 0,
    error_msg TEXT NOT NULL DEFAULT '',
    metadata_json TEXT NOT NULL DEFAULT ''
)
"""

INDEXES = (
    "CREATE INDEX IF NOT EXISTS idx_activity_created_id ON activity (ts_created DESC, id DESC)",
    "CREATE INDEX IF NOT EXISTS idx_activity_model_created_id"
    " ON activity (model_id, ts_created DESC, id DESC)",
)

COLUMNS = (
    *("id", "ts_created", "model_id", "req_path", "resp_content_type", "resp_status_code"),
    *("cache_tokens", "draft_tokens", "draft_acc_tokens", "input_tokens", "output_tokens"),
    *("prompt_per_second", "tokens_per_second", "duration_ms", "error_msg", "metadata_json"),
)
"""What is in llama-swap's table, in its order."""

GOOSE = """
CREATE TABLE IF NOT EXISTS goose_db_version (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version_id INTEGER NOT NULL,
    is_applied INTEGER NOT NULL,
    tstamp TIMESTAMP DEFAULT (datetime('now'))
)
"""

OURS = (
    """
    CREATE TABLE swapd_activity (
        id INTEGER PRIMARY KEY,
        request TEXT NOT NULL,
        outcome TEXT NOT NULL,
        queued REAL NOT NULL,
        loading REAL NOT NULL,
        first_byte REAL,
        bytes INTEGER NOT NULL
    )
    """,
)
"""Ours, each bringing the one before it to its own number, which begin with 1."""

OUR_COLUMNS = ("request", "outcome", "queued", "loading", "first_byte", "bytes")

_BOOKS = {"goose_db_version", "swapd_migrations", "swapd_activity"}


class Unsuitable(Exception):
    """The database is none that requests could be kept in."""


def migrate(connection: sqlite3.Connection) -> None:
    """Make every table that is missing; raise `Unsuitable` for the database of something else."""
    with transaction(connection):
        _check(connection)
        _make_theirs(connection)
        _make_ours(connection)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all of it or nothing, and nobody writes meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        # SQLite may have rolled it back itself, as on a full disk.
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _check(connection: sqlite3.Connection) -> None:
    tables = _tables(connection)
    if "activity" not in tables:
        if strangers := sorted(tables - _BOOKS):
            raise Unsuitable(f"it holds something else: {', '.join(strangers[:3])}")
        return
    columns = connection.execute("PRAGMA table_info(activity)").fetchall()
    if missing := [name for name in COLUMNS if name not in {column[1] for column in columns}]:
        raise Unsuitable(f"its table activity has no {', '.join(missing[:3])}")
    # A newer llama-swap may have more, as long as nobody must fill it in.
    for _, name, _, required, default, _ in columns:
        if name not in COLUMNS and required and default is None:
            raise Unsuitable(f"it is of a newer llama-swap, whose activity needs {name}")


def _make_theirs(connection: sqlite3.Connection) -> None:
    if "activity" not in _tables(connection):
        connection.execute(ACTIVITY)
    for index in INDEXES:
        connection.execute(index)
    connection.execute(GOOSE)
    applied = connection.execute("SELECT version_id FROM goose_db_version WHERE is_applied")
    known = {version for (version,) in applied}
    for version in sorted({0, 1} - known):
        connection.execute(
            "INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, 1)", (version,)
        )


def _make_ours(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS swapd_migrations"
        " (version INTEGER PRIMARY KEY, applied TIMESTAMP DEFAULT (datetime('now')))"
    )
    newest = connection.execute("SELECT max(version) FROM swapd_migrations").fetchone()[0] or 0
    if newest > len(OURS):
        raise Unsuitable(
            f"it is of a newer swapd: of version {newest}, where this one knows {len(OURS)}"
        )
    for version, statement in enumerate(OURS[newest:], newest + 1):
        connection.execute(statement)
        connection.execute("INSERT INTO swapd_migrations (version) VALUES (?)", (version,))


def _tables(connection: sqlite3.Connection) -> set[str]:
    found = connection.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")
    return {name for (name,) in found if not name.startswith("sqlite_")}
