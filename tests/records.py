"""Records of requests for tests: activities, the store's rows, and pages over a recorder."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import trio
from quart import Blueprint
from quart_trio import QuartTrio

from swapd.watch.activity import Activity, Query
from swapd.watch.captures import Captures
from swapd.watch.recorder import Recorder
from swapd.watch.store import Entry, Store, open_store

T = TypeVar("T")


def activity(model: str = "m1", at: float = 1000.0, **more: Any) -> Activity:
    """Make a record of a request that went well."""
    told = {"request": "r-1", "path": "/v1/chat/completions", "status": 200, "outcome": "ok"}
    return Activity(model=model, at=at, **{**told, **more})


def five() -> list[Activity]:
    """Make the five rows that the reference's tables ask about."""
    models = ("m1", "m2", "m1", "m2", "m1")
    return [activity(model, 1000 + number) for number, model in enumerate(models)]


def add(store: Store, activities: Iterable[Activity]) -> list[int]:
    """Store them; answer with their numbers."""
    entries = [Entry(one) for one in activities]
    store.write(entries)
    return [entry.id for entry in entries if entry.id is not None]


def ids(store: Store, **query: Any) -> list[int]:
    """Ask for rows, and answer with their numbers."""
    return [row.id for row in store.page(Query(**query)).rows]


@contextmanager
def memory(*activities: Activity, most: int = 0) -> Iterator[Store]:
    """Open a store in memory that has these."""
    store = open_store(None, most=most, days=0)
    try:
        add(store, activities)
        yield store
    finally:
        store.close()


@contextmanager
def recording(store: Store | None = None, *, buffer: int = 1000) -> Iterator[Recorder]:
    """Make a recorder, in memory unless it has a store; leaving closes it."""
    store = store or open_store(None, most=0, days=0)
    recorder = Recorder(store, Captures(buffer), in_thread=at_once)
    try:
        yield recorder
    finally:
        recorder.close()


async def at_once(work: Callable[[], T]) -> T:
    """Do the work of a thread, in pretend time."""
    await trio.lowlevel.checkpoint()
    return work()


def client_of(*pages: Blueprint) -> Any:
    """Make a client of these pages alone."""
    app = QuartTrio(__name__, static_folder=None)
    for each in pages:
        app.register_blueprint(each)
    return app.test_client()
