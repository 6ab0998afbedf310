"""The record of requests in SQLite; llama-swap's own rows are in tests/rows/test_activity.py."""

import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from swapd.watch import store as stores
from swapd.watch.activity import Query
from swapd.watch.migrations import ACTIVITY
from swapd.watch.store import PRUNE_EVERY, CannotStore, Entry, Store, StoreFailed, open_store
from swapd.watch.tokens import Tokens
from tests.records import activity, add, five, ids, memory

log = logging.getLogger(__name__)

DAY = 24 * 3600.0


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Name a file that is not there yet."""
    return str(tmp_path / "activity.db")


@pytest.fixture
def opened(path: str) -> Iterator[Callable[..., Store]]:
    """Open stores, and close them at the end."""
    stack: list[Store] = []

    def open_one(most: int = 0, days: float = 0, wall: Callable[[], float] = time.time) -> Store:
        stack.append(open_store(path, most=most, days=days, wall=wall))
        return stack[-1]

    yield open_one
    for store in stack:
        store.close()


# Opening


def test_a_file_is_for_nobody_else_to_read(opened, path):
    """It says who asked for what."""
    opened()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


@pytest.mark.parametrize(
    ("content", "why"), [(b"no database, but long enough " * 9, "file is not a database")]
)
def test_a_file_that_is_no_database_is_left_alone(content, why, path):
    """Somebody else's file, named by mistake."""
    Path(path).write_bytes(content)
    with pytest.raises(CannotStore) as problem:
        open_store(path, most=0, days=0)
    assert str(problem.value) == (
        f"cannot keep the record of requests in {path}: {why};"
        " name another file, or move this one away (store.path)"
    )
    assert Path(path).read_bytes() == content


def test_a_database_of_something_else_keeps_its_bytes(path):
    """Its journal's mode among them."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE moz_places (id INTEGER)")
    before = Path(path).read_bytes()
    with pytest.raises(CannotStore, match="it holds something else: moz_places"):
        open_store(path, most=0, days=0)
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize("place", ["no/such/folder/activity.db", ".", "pipe", "nul\0"])
def test_what_can_be_no_file_is_said_to_be_none(place, tmp_path):
    """Nothing waits: not even for whoever might write into a pipe."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CannotStore, match=r"\(store\.path\)"):
        open_store(str(tmp_path / place), most=0, days=0)


def test_a_file_that_somebody_has_locked_is_not_waited_for_for_ever(path, monkeypatch):
    """The start of the daemon says why it does not start."""
    monkeypatch.setattr(stores, "BUSY", 0.01)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(CannotStore, match="database is locked"):
            open_store(path, most=0, days=0)


def test_rows_of_llama_swap_are_listed(opened, path):
    """Whoever moves here keeps their history."""
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute(ACTIVITY)
        theirs.execute(
            "INSERT INTO activity (ts_created, model_id, resp_status_code) VALUES (7, 'old', 502)"
        )
        theirs.commit()
    store = opened()
    assert add(store, [activity("new")]) == [2]
    rows = [row.activity for row in store.page(Query()).rows]
    assert [(one.model, one.outcome, one.request) for one in rows] == [
        ("new", "ok", "r-1"),
        ("old", "upstream_error", ""),
    ]


def test_rows_that_llama_swap_adds_meanwhile_do_not_collide(opened, path):
    """Whoever tries us out beside it may give both the same file."""
    store = opened()
    assert add(store, [activity()]) == [1]
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("INSERT INTO activity (ts_created, model_id) VALUES (7, 'theirs')")
        theirs.commit()
    assert add(store, [activity()]) == [3]
    assert [row.activity.ours for row in store.page(Query()).rows] == [True, False, True]


# Writing


def test_an_entry_is_written_once():
    """Whoever was given up for lost may have written it; it is tried again all the same."""
    with memory() as store:
        entries = [Entry(activity()), Entry(activity())]
        store.write(entries[:1])
        store.write(entries)
        assert [entry.id for entry in entries] == [1, 2]
        assert store.page(Query()).total == 2


def test_a_full_disk_loses_nothing_that_was_there(opened):
    """What cannot be written has no number, and can be once there is room."""
    store = opened()
    add(store, [activity()])
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    large = [Entry(activity(error="x" * 500)) for _ in range(100)]
    with pytest.raises(StoreFailed, match="full"):
        store.write(large)
    assert {entry.id for entry in large} == {None}
    assert ids(store) == [1]
    store._connection.execute("PRAGMA max_page_count = 100000")
    store.write(large)
    assert store.page(Query()).total == 101


def test_a_writer_beside_us_is_waited_for_and_then_blamed(opened, path, monkeypatch):
    """Reading goes on meanwhile."""
    monkeypatch.setattr(stores, "BUSY", 0.01)
    store = opened()
    add(store, [activity()])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreFailed, match="database is locked"):
            add(store, [activity()])
        assert ids(store) == [1]
        other.execute("ROLLBACK")
    assert add(store, [activity()]) == [2]


def test_who_holds_the_store_is_not_waited_for_for_ever(monkeypatch):
    """A thread in a disk that hangs never comes back."""
    monkeypatch.setattr(stores, "BUSY", 0.01)
    with memory() as store, store._alone(), pytest.raises(StoreFailed, match="the disk still"):
        store.page(Query())


def test_a_question_that_takes_too_long_is_given_up(monkeypatch):
    """Whoever asks ten times must not keep the disk busy for minutes."""
    monkeypatch.setattr(stores, "LONGEST_QUESTION", -1.0)
    monkeypatch.setattr(stores, "_STEPS", 10)
    with memory(*five() * 50) as store:
        with pytest.raises(StoreFailed, match="too many rows"):
            store.stats()
        monkeypatch.undo()
        assert store.stats().requests == 250


# Keeping


def test_a_file_keeps_all_unless_it_is_told_otherwise(opened):
    """As llama-swap does."""
    store = opened()
    add(store, [activity(at=1)] * 2000)
    store.prune()
    assert store.page(Query()).total == 2000


def test_d26_a_file_keeps_so_many(opened):
    """Not to the row: looking after each would cost more than the row."""
    store = opened(most=10)
    add(store, five())
    add(store, [activity()] * 6)
    assert store.page(Query()).total == 11
    add(store, [activity()] * 300)
    assert store.page(Query()).total == 10


def test_d26_a_file_keeps_them_for_so_long(opened):
    """Rows of llama-swap's too; and a closed file is looked at when it is opened."""
    now = [100 * DAY]
    store = opened(days=30, wall=lambda: now[0])
    add(store, [activity(at=day * DAY) for day in (69, 70, 71, 100)])
    assert store.page(Query()).total == 4
    now[0] += PRUNE_EVERY
    add(store, [activity(at=now[0])])
    assert ids(store) == [5, 4, 3]
    store.close()
    now[0] = 102 * DAY
    store = opened(days=30, wall=lambda: now[0])
    assert ids(store) == [5, 4]
    left = store._connection.execute("SELECT id FROM swapd_activity ORDER BY id").fetchall()
    assert left == [(4,), (5,)]


def test_many_old_rows_go_in_parts(opened, monkeypatch):
    """A file of years must not be locked until all of it has gone."""
    monkeypatch.setattr(stores, "PRUNE_AT_ONCE", 7)
    store = opened(most=3)
    add(store, [activity()] * 100)
    store.prune()
    assert ids(store) == [100, 99, 98]


@pytest.mark.parametrize(
    "spoiled",
    [
        "DELETE FROM sqlite_sequence",
        "UPDATE sqlite_sequence SET seq = 1",
    ],
)
def test_a_file_that_has_forgotten_its_numbers_is_written_on(spoiled, opened, path):
    """As tools leave it that copy a database row by row."""
    add(opened(), five())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(spoiled)
        connection.commit()
    store = opened()
    add(store, [activity()])
    assert ids(store) == [6, 5, 4, 3, 2, 1]


def test_numbers_are_never_used_again(opened):
    """A capture, or a page that somebody has open, is of the row that it names."""
    store = opened(days=1)
    assert add(store, [activity(at=1)]) == [1]
    store.prune()
    assert add(store, [activity()]) == [2]


# Really


WRITER = """
import sys
from swapd.watch.activity import Activity
from swapd.watch.store import Entry, open_store
store = open_store(sys.argv[1], most=0, days=0)
for number in range(1_000_000):
    store.write([Entry(Activity(request=f"r-{number}", at=1.0, model="m", path="/"))])
    print(number, flush=True)
"""


@pytest.mark.real
def test_a_kill_takes_nothing_that_was_written(path, opened):
    """SIGKILL, or the kernel when memory runs out: what was said to be written is there."""
    command = [sys.executable, "-c", WRITER, path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) == 100:
                writer.send_signal(signal.SIGKILL)
                break
        said = [100, *map(int, writer.stdout)]
    assert opened().page(Query()).total > max(said)


@pytest.mark.real
def test_a_large_file_is_paged_through(path, opened):
    """How long that takes is said, and not tested: it is the machine's business."""
    store = opened()
    tokens = [Tokens(1, 2, tokens_per_second=1 + number % 97) for number in range(1000)]
    for start in range(0, 200_000, 1000):
        add(store, [activity(f"m{start % 7}", start + n, tokens=tokens[n]) for n in range(1000)])
    for name, ask in {
        "first": lambda: store.page(Query()),
        "last": lambda: store.page(Query(page=8000)),
        "sorted": lambda: store.page(Query(sort="gen_speed", page=4000)),
        "model": lambda: store.page(Query(models=("m1",), page=500)),
        "stats": store.stats,
    }.items():
        began = time.monotonic()
        ask()
        log.info("%s: %.0f ms", name, 1000 * (time.monotonic() - began))
    assert store.page(Query(page=8000)).rows[-1].id == 1
