"""The record of requests in SQLite: in memory, or in a file that llama-swap can open as well.

Rule 1: nothing here knows the event loop. Whoever calls does so from a thread that may wait, and
everything but a disk that hangs is over within seconds.
Rule 2: one connection, used by one thread at a time; who was given up for lost may still hold it.
Rule 3: whatever a row holds, it can be written and read: one odd row must not stop the others.
"""

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import attrs

from swapd.watch.activity import SORTS, Activity, Page, Query, Stats
from swapd.watch.histogram import Histogram
from swapd.watch.migrations import Unsuitable, migrate, transaction
from swapd.watch.rows import LARGEST, SELECT, characters, condition, insert, stored

# How long another program's transaction is waited for, in seconds.
BUSY = 5.0

# How long the end waits for somebody who still uses the store; it has been given up for lost.
CLOSING = 1.0

# How long a question may take; beyond, there are too many rows for it.
LONGEST_QUESTION = 5.0

# How many rows are kept in memory unless the configuration says so.
IN_MEMORY = 1000

# After how many rows, or seconds, old ones are looked for in a file; and how many go at a time.
PRUNE_ROWS = 250
PRUNE_EVERY = 600.0
PRUNE_AT_ONCE = 5000

# No speed: the sum of two could be infinite.
_ABSURD = 1e300

# After how many of its steps SQLite asks whether a question takes too long: some milliseconds.
_STEPS = 20_000

_DAY = 24 * 3600


class CannotStore(Exception):
    """No record can be kept at this place; the text says why, and what to do."""


class StoreFailed(Exception):
    """The store does not do it now; the text says why."""


@attrs.define(eq=False)
class Entry:
    """An activity on its way into the store."""

    activity: Activity
    id: int | None = None
    """Its number, once it is there; set by the thread that has written it."""


def open_store(
    path: str | None, *, most: int, days: float, wall: Callable[[], float] = time.time
) -> "Store":
    """Open the record in a file; in memory without one. Raises `CannotStore`.

    The newest `most` rows are kept: in memory 0 means 1000, in a file all of them. Those of a file
    are kept for so many days; 0 is for ever.
    """
    if path is None:
        connection = _connect(":memory:")
        migrate(connection)
        return Store(connection, most=most if most > 0 else IN_MEMORY, prompt=True)
    try:
        _make_file(path)
        connection = _connect(os.path.abspath(path))
    except (OSError, ValueError, sqlite3.Error) as wrong:
        raise CannotStore(_cannot(path, str(wrong))) from wrong
    try:
        migrate(connection)
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise Unsuitable("its file system cannot do what SQLite's WAL mode needs")
        # A crash of the machine may cost the newest rows, never the file.
        connection.execute("PRAGMA synchronous = NORMAL")
        store = Store(connection, most=most, days=days, wall=wall)
        store.prune()
    except (Unsuitable, sqlite3.Error, StoreFailed) as wrong:
        connection.close()
        raise CannotStore(_cannot(path, str(wrong))) from wrong
    return store


class Store:
    """Rows, over a connection with both tables; `prompt` is for pruning after every writing."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        most: int = 0,
        days: float = 0.0,
        prompt: bool = False,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        self._most = most
        self._days = days
        self._prompt = prompt
        self._wall = wall
        self._turn = threading.Lock()
        self._since_pruning = 0
        self._pruned = wall()
        self._patience = BUSY

    def write(self, entries: Sequence[Entry]) -> None:
        """Store those that are not stored yet, all or none, and number them."""
        with self._alone() as connection:
            fresh = [entry for entry in entries if entry.id is None]
            if not fresh:
                return
            with transaction(connection):
                ids = insert(connection, [entry.activity for entry in fresh])
            for entry, number in zip(fresh, ids, strict=True):
                entry.id = number
            self._since_pruning += len(fresh)
            if self._should_prune():
                self._prune(connection)

    def page(self, query: Query) -> Page:
        """Answer with one page of the rows that are wanted."""
        where, values = condition(query)
        column, way = SORTS.get(query.sort, "id"), "ASC" if query.ascending else "DESC"
        order = f"activity.{column} {way}, activity.id {way}"
        # Found by number first: all of a row is read only where it is shown.
        found = f"SELECT id FROM activity{where} ORDER BY {order} LIMIT ? OFFSET ?"
        skipped = min((query.page - 1) * query.limit, LARGEST)
        with self._alone() as connection, _hurrying(connection):
            count = connection.execute(f"SELECT COUNT(*) FROM activity{where}", values)
            total = count.fetchone()[0]
            rows = connection.execute(
                f"{SELECT} FROM ({found}) AS found JOIN activity ON activity.id = found.id"
                f" LEFT JOIN swapd_activity AS ours ON ours.id = activity.id ORDER BY {order}",
                (*values, query.limit, skipped),
            )
            return Page.of(query, rows=tuple(map(stored, rows)), total=total)

    def stats(self, model: str = "") -> Stats:
        """Answer with the numbers of all rows, or of one model's."""
        where = "model_id = ?" if model else "1"
        values = (characters(model),) if model else ()
        # TOTAL and not SUM, which fails when the numbers in a file are absurd.
        sums = (
            "SELECT COUNT(*), TOTAL(input_tokens), TOTAL(output_tokens),"
            f" TOTAL(max(cache_tokens, 0)) FROM activity WHERE {where}"
        )
        with self._alone() as connection, _hurrying(connection):
            requests, *tokens = map(int, connection.execute(sums, values).fetchone())
            histograms = []
            for column in ("prompt_per_second", "tokens_per_second"):
                # Sorted there and not here, where nothing else could go on meanwhile.
                found = connection.execute(
                    f"SELECT {column} FROM activity WHERE {where} AND {column} > 0"
                    f" AND {column} < {_ABSURD} ORDER BY {column}",
                    values,
                )
                histograms.append(Histogram.of([speed for (speed,) in found]))
        (read, written, cached), (prompt, generated) = tokens, histograms
        return Stats(requests, read, written, cached, prompt, generated)

    def prune(self) -> None:
        """Remove what is older, or more, than is kept."""
        with self._alone() as connection:
            self._prune(connection)

    def hurry(self) -> None:
        """Wait for nobody any more as long as before: the end has come."""
        self._patience = CLOSING
        with suppress(StoreFailed), self._alone() as connection:
            connection.execute(f"PRAGMA busy_timeout = {CLOSING * 1000:.0f}")

    def close(self) -> None:
        """Close it; left to the process's end if somebody cannot be stopped using it."""
        if self._turn.acquire(timeout=CLOSING):
            try:
                self._connection.close()
            finally:
                self._turn.release()

    def _should_prune(self) -> bool:
        if self._prompt or self._since_pruning >= PRUNE_ROWS:
            return True
        return not 0 <= self._wall() - self._pruned < PRUNE_EVERY

    def _prune(self, connection: sqlite3.Connection) -> None:
        self._since_pruning, self._pruned = 0, self._wall()
        newest = connection.execute("SELECT MAX(id) FROM activity").fetchone()[0] or 0
        if self._most > 0:
            self._remove(connection, "id <= ?", newest - self._most)
        if self._days > 0:
            self._remove(connection, "ts_created < ?", int(self._pruned - self._days * _DAY))

    def _remove(self, connection: sqlite3.Connection, old: str, bound: int) -> None:
        some = f"SELECT id FROM activity WHERE {old} LIMIT {PRUNE_AT_ONCE}"
        removed = PRUNE_AT_ONCE
        # Not all at once: whoever else writes into the file would wait too long.
        while removed == PRUNE_AT_ONCE:
            with transaction(connection):
                connection.execute(f"DELETE FROM swapd_activity WHERE id IN ({some})", (bound,))
                gone = connection.execute(f"DELETE FROM activity WHERE id IN ({some})", (bound,))
                removed = gone.rowcount

    @contextmanager
    def _alone(self) -> Iterator[sqlite3.Connection]:
        """Use the connection as the only one; raise `StoreFailed` for whatever SQLite says."""
        if not self._turn.acquire(timeout=self._patience):
            raise StoreFailed("the disk still does what it was asked before")
        try:
            yield self._connection
        except sqlite3.Error as problem:
            raise StoreFailed(str(problem)) from problem
        finally:
            self._turn.release()


def _connect(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, timeout=BUSY, isolation_level=None, check_same_thread=False)
    # llama-swap stores the bytes of a name that is no UTF-8.
    connection.text_factory = lambda text: text.decode(errors="replace")
    return connection


def _make_file(path: str) -> None:
    """Make it for nobody else to read, for it says who asked for what; and open nothing else."""
    try:
        # A pipe would wait for whoever writes into it.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError("it is no file")
    except FileNotFoundError:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


def _cannot(path: str, why: str) -> str:
    advice = "name another file, or move this one away (store.path)"
    return f"cannot keep the record of requests in {path}: {why}; {advice}"


@contextmanager
def _hurrying(connection: sqlite3.Connection) -> Iterator[None]:
    """End what takes too long."""
    latest = time.monotonic() + LONGEST_QUESTION
    connection.set_progress_handler(lambda: time.monotonic() > latest, _STEPS)
    try:
        yield
    except sqlite3.OperationalError as problem:
        if problem.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        text = f"there are too many rows to answer within {LONGEST_QUESTION:g} s"
        raise StoreFailed(text) from problem
    finally:
        connection.set_progress_handler(None, _STEPS)
