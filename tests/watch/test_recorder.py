"""Recording beside serving, in pretend time and over a store that fails when it is told to."""

import logging
from collections.abc import Callable, Iterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.watch import recorder as recorders
from swapd.watch.activity import Query
from swapd.watch.captures import Capture, Captures
from swapd.watch.recorder import LONGEST_PAUSE, PATIENCE, PAUSE, Recorder, T
from swapd.watch.store import StoreFailed, open_store
from tests.records import activity


class Desk:
    """A recorder, and what becomes of the work that it gives to threads."""

    def __init__(self) -> None:
        self.store = open_store(None, most=0, days=0)
        self.recorder = Recorder(self.store, Captures(1000), in_thread=self._work)
        self.heard: list[int] = []
        self.recorder.heard.append(self.heard.append)
        self.works = 0
        self.broken = False
        self.hanging = False
        self.abandoned: list[Callable[[], object]] = []

    def record(self, *names: str) -> None:
        """Record requests of these names."""
        for name in names:
            self.recorder.record(activity(request=name), Capture(name))

    def stored(self) -> list[str]:
        """Name the stored requests, newest first."""
        return [row.activity.request for row in self.store.page(Query()).rows]

    async def _work(self, work: Callable[[], T]) -> T:
        self.works += 1
        await trio.lowlevel.checkpoint()
        if self.hanging:
            self.abandoned.append(work)
            await trio.sleep_forever()
        if self.broken:
            raise StoreFailed("disk full")
        return work()


@pytest.fixture
def desk() -> Iterator[Desk]:
    """Have one."""
    made = Desk()
    yield made
    made.hanging = made.broken = False
    made.recorder.close()


async def test_a_record_is_stored_soon_and_told(desk, nursery, autojump_clock):
    """Pages that are open show it within a moment, with its capture."""
    await nursery.start(desk.recorder.run)
    desk.record("r-1")
    assert desk.heard == []
    await wait_all_tasks_blocked()
    assert (desk.stored(), desk.heard) == (["r-1"], [1])
    assert desk.recorder.captures.get(1) == Capture("r-1")


async def test_a_busy_time_makes_few_writings(desk, nursery, autojump_clock):
    """A transaction for each request would keep a disk busy that models are read from."""
    await nursery.start(desk.recorder.run)
    for number in range(100):
        desk.record(f"r-{number}")
        await trio.sleep(PAUSE / 50)
    await trio.sleep(PAUSE)
    assert desk.works <= 4
    assert desk.heard == list(range(1, 101))


async def test_nothing_is_written_while_nothing_happens(desk, nursery, autojump_clock):
    """A disk that sleeps may go on."""
    await nursery.start(desk.recorder.run)
    await trio.sleep(1000)
    assert desk.works == 0


async def test_who_asks_sees_what_was_recorded_before(desk, autojump_clock):
    """A script that asks after its request must find it."""
    desk.record("r-1", "r-2")
    assert (await desk.recorder.page(Query())).total == 2
    desk.record("r-3")
    assert (await desk.recorder.stats("m1")).requests == 3
    assert desk.heard == [1, 2, 3]


async def test_a_store_that_fails_is_tried_again_and_blamed_once(
    desk, nursery, caplog, autojump_clock
):
    """A full disk must not fill the log as well; and costs no record once there is room."""
    await nursery.start(desk.recorder.run)
    desk.broken = True
    for number in range(60):
        desk.record(f"r-{number}")
        await trio.sleep(1)
    assert 5 < desk.works < 15
    desk.broken = False
    await trio.sleep(LONGEST_PAUSE + 1)
    assert desk.heard == list(range(1, 61))
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert said == [
        "cannot record requests: disk full; they are kept and tried again",
        "requests are recorded again; 0 were lost",
    ]


async def test_only_so_many_wait_for_a_store_that_fails(desk, monkeypatch, autojump_clock):
    """Memory is for models; the newest records are of more use."""
    monkeypatch.setattr(recorders, "MOST", 3)
    desk.broken = True
    desk.record(*(f"r-{number}" for number in range(5)))
    desk.broken = False
    await desk.recorder.page(Query())
    assert desk.stored() == ["r-4", "r-3", "r-2"]
    assert desk.recorder.lost == 2
    assert desk.recorder.captures.size == sum(len(name) for name in desk.stored())


async def test_a_question_is_answered_though_nothing_can_be_written(desk, nursery, autojump_clock):
    """A full disk can still be read; who reads waits for no writing that has just failed."""
    desk.record("r-1")
    await desk.recorder.page(Query())
    desk.record("r-2")
    connection = desk.store._connection
    connection.execute("PRAGMA query_only = ON")
    assert (await desk.recorder.page(Query())).total == 1
    connection.execute("PRAGMA query_only = OFF")
    assert (await desk.recorder.page(Query())).total == 1
    await nursery.start(desk.recorder.run)
    await trio.sleep(1)
    assert (await desk.recorder.page(Query())).total == 2


async def test_many_who_ask_wait_for_one_attempt_to_write(desk, autojump_clock):
    """Fifty pages that each tried for themselves would all be given up."""
    desk.record("r-1")
    connection = desk.store._connection
    connection.execute("PRAGMA query_only = ON")
    totals: list[int] = []

    async def ask() -> None:
        totals.append((await desk.recorder.page(Query())).total)

    async with trio.open_nursery() as asking:
        for _ in range(50):
            asking.start_soon(ask)
    assert totals == [0] * 50
    assert desk.works == 50 + 1


async def test_a_disk_that_hangs_holds_nobody(desk, autojump_clock):
    """Each step has its bound, and the answer says which it was."""
    desk.hanging = True
    desk.record("r-1")
    with pytest.raises(StoreFailed, match="not answered within 6 s"):
        await desk.recorder.page(Query())
    assert trio.current_time() == pytest.approx(2 * PATIENCE)


async def test_what_an_abandoned_thread_wrote_is_not_written_again(desk, nursery, autojump_clock):
    """The disk woke up after everybody had gone; each record is there once."""
    desk.hanging = True
    desk.record("r-1")
    with pytest.raises(StoreFailed):
        await desk.recorder.page(Query())
    desk.hanging = False
    desk.abandoned[0]()
    desk.record("r-2")
    await nursery.start(desk.recorder.run)
    await trio.sleep(1)
    assert (await desk.recorder.page(Query())).total == 2
    assert desk.heard == [1, 2]


async def test_a_client_that_leaves_costs_no_record(desk, nursery, autojump_clock):
    """It was only a question."""
    desk.hanging = True
    desk.record("r-1")
    with trio.move_on_after(1):
        await desk.recorder.page(Query())
    desk.hanging = False
    await nursery.start(desk.recorder.run)
    await trio.sleep(1)
    assert desk.stored() == ["r-1"]


async def test_the_end_writes_what_is_left(tmp_path, autojump_clock):
    """The last request before a restart is the one that people ask about."""
    path = str(tmp_path / "activity.db")
    recorder = Recorder(open_store(path, most=0, days=0), Captures(0))
    recorder.record(activity(request="r-last"))
    recorder.close()
    store = open_store(path, most=0, days=0)
    assert store.page(Query()).rows[0].activity.request == "r-last"
    store.close()


def test_an_end_that_cannot_write_says_how_many_are_lost(tmp_path, caplog):
    """And ends."""
    store = open_store(str(tmp_path / "activity.db"), most=0, days=0)
    store._connection.execute("PRAGMA query_only = ON")
    recorder = Recorder(store, Captures(0))
    recorder.record(activity())
    recorder.close()
    assert "cannot record the newest requests, 1 in number: attempt to write" in caplog.text


def test_a_capture_larger_than_all_is_refused_with_a_word(desk, caplog):
    """Whoever looks for it finds out which setting to change."""
    desk.recorder.record(activity(request="r-9"), Capture("x" * 1001))
    assert "cannot capture r-9: it is larger than all of captureBuffer" in caplog.text


async def test_threads_do_the_work_unless_a_test_wants_them_not_to():
    """The real way, once."""
    recorder = Recorder(open_store(None, most=0, days=0), Captures(0))
    recorder.record(activity())
    assert (await recorder.page(Query())).total == 1
    recorder.close()
