"""The tables of the record, and whose databases are left alone."""

import sqlite3
from collections.abc import Iterator

import pytest

from swapd.watch import migrations
from swapd.watch.migrations import (
    ACTIVITY,
    COLUMNS,
    GOOSE,
    OUR_COLUMNS,
    OURS,
    Unsuitable,
    migrate,
    transaction,
)


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    """Open an empty one."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def columns(database: sqlite3.Connection, table: str) -> tuple[str, ...]:
    return tuple(column[1] for column in database.execute(f"PRAGMA table_info({table})"))


def tables(database: sqlite3.Connection) -> set[str]:
    return {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}


def fill(database: sqlite3.Connection, *names: str) -> None:
    with transaction(database):
        for name in names:
            database.execute(f"INSERT INTO {name} VALUES (1)")


def test_an_empty_database_gets_everything(database):
    """Down to goose's books, so that llama-swap does not make its table again."""
    migrate(database)
    assert columns(database, "activity") == COLUMNS
    assert columns(database, "swapd_activity") == ("id", *OUR_COLUMNS)
    goose = database.execute("SELECT version_id, is_applied FROM goose_db_version ORDER BY id")
    assert goose.fetchall() == [(0, 1), (1, 1)]
    assert {"idx_activity_created_id", "idx_activity_model_created_id"} <= tables(database)


def test_what_is_there_is_not_made_again(database):
    """Every start goes through this."""
    migrate(database)
    database.execute("INSERT INTO activity (ts_created, model_id) VALUES (1, 'm')")
    before = list(database.iterdump())
    migrate(database)
    assert list(database.iterdump()) == before


def test_a_database_of_llama_swaps_gets_ours_beside_its_own(database):
    """Its rows stay, and so do its books, also those of versions that we do not know."""
    database.execute(ACTIVITY)
    database.execute("ALTER TABLE activity ADD COLUMN news TEXT NOT NULL DEFAULT ''")
    database.execute("INSERT INTO activity (ts_created, model_id) VALUES (1, 'm')")
    database.execute(GOOSE)
    for version in range(3):
        database.execute(
            "INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, 1)", (version,)
        )
    migrate(database)
    assert database.execute("SELECT COUNT(*) FROM activity").fetchone() == (1,)
    assert database.execute("SELECT COUNT(*) FROM goose_db_version").fetchone() == (3,)
    assert columns(database, "swapd_activity")


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("CREATE TABLE moz_places (id INTEGER)", "something else: moz_places"),
        ("CREATE TABLE activity (id INTEGER, what TEXT)", "has no ts_created, model_id"),
        (
            ACTIVITY.replace("\n)", ", tenant TEXT NOT NULL)"),
            "of a newer llama-swap, whose activity needs tenant",
        ),
    ],
)
def test_the_database_of_something_else_is_left_alone(statement, why, database):
    """A mistyped path must not cost anybody their bookmarks."""
    database.execute(statement)
    before = list(database.iterdump())
    with pytest.raises(Unsuitable, match=why):
        migrate(database)
    assert list(database.iterdump()) == before


def test_a_database_of_a_newer_swapd_is_left_alone(database):
    """What it added we would leave out of every row."""
    migrate(database)
    database.execute("INSERT INTO swapd_migrations (version) VALUES (?)", (len(OURS) + 1,))
    with pytest.raises(Unsuitable, match="newer swapd: of version 2, where this one knows 1"):
        migrate(database)


def test_only_what_is_missing_is_applied(database, monkeypatch):
    """A file of the last version must become one of this."""
    migrate(database)
    more = (*OURS, "ALTER TABLE swapd_activity ADD COLUMN mood TEXT NOT NULL DEFAULT ''")
    monkeypatch.setattr(migrations, "OURS", more)
    migrate(database)
    migrate(database)
    assert columns(database, "swapd_activity")[-1] == "mood"
    versions = database.execute("SELECT version FROM swapd_migrations").fetchall()
    assert versions == [(1,), (2,)]


def test_half_of_a_transaction_is_nothing(database):
    """An error in the middle leaves no row without its other half."""
    database.execute("CREATE TABLE t (x)")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        fill(database, "t", "missing")
    assert database.execute("SELECT COUNT(*) FROM t").fetchone() == (0,)
    assert not database.in_transaction
