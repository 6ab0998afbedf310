"""The queue of one who follows: bounded, and honest about it."""

import json
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.manage import frames
from swapd.manage.frames import Kind, frame
from swapd.manage.listening import MOST_BYTES, MOST_FRAMES, PIECE, Listener

SNAPSHOT = frames.snapshot([{"id": "r-now"}])


def listener() -> Listener:
    return Listener(lambda: SNAPSHOT)


def read(data: bytes) -> list[tuple[str, Any]]:
    """Take what was sent apart: type and data of each event."""
    events = (part.partition(b"\ndata:")[2] for part in data.split(b"\n\n") if part)
    return [(each["type"], json.loads(each["data"])) for each in map(json.loads, events)]


async def rest(follower: Listener) -> list[tuple[str, Any]]:
    """Read until nothing is left."""
    events = []
    with trio.move_on_after(1):
        while piece := await follower.receive():
            events += read(piece)
    return events


async def test_what_comes_together_is_sent_together(autojump_clock):
    """A flood of small writes costs everybody more than a few large ones."""
    follower = listener()
    follower.begin([frames.profile_changed(None)])
    for row in range(3):
        follower.put(frames.activity(row))
    assert read(await follower.receive()) == [
        ("profileChanged", {"active": None}),
        ("activity", {"id": 0}),
        ("activity", {"id": 1}),
        ("activity", {"id": 2}),
    ]
    assert follower.waiting == 0
    assert await rest(follower) == []


async def test_a_piece_is_not_too_large_unless_one_frame_is(autojump_clock):
    """The client before it in the same turn must not wait long."""
    follower = listener()
    large = frames.log_text("proxy", "x" * (PIECE + 1))
    follower.begin([large])
    for _ in range(3):
        follower.put(frames.log_text("proxy", "x" * (PIECE // 2 - 100)))
    sizes = [len(await follower.receive()) for _ in range(3)]
    assert sizes[0] == len(large.data)
    assert sizes[1] > PIECE // 2 > sizes[2] - PIECE // 2
    assert sizes[1] <= PIECE


def fill(follower: Listener) -> None:
    """Have everything lost that was in the queue."""
    for _ in range(MOST_FRAMES):
        follower.put(frames.log_text("upstream", "x", told=1))


async def test_who_never_reads_costs_no_more_than_its_queue():
    """A browser in a suspended laptop may stay for hours."""
    follower = listener()
    follower.begin([frames.log_text("proxy", "history")])
    for count in range(3000):
        follower.put(frames.log_text("upstream", "x" * 5000, told=5000))
        follower.put(frames.upsert({"id": f"r-{count}"}))
    assert follower.waiting < MOST_BYTES + 1000
    fill(follower)
    assert follower.waiting < MOST_BYTES


async def test_a_log_says_how_much_of_it_is_missing(autojump_clock):
    """Where it stood, and for each log by itself."""
    follower = listener()
    for source, told in (("proxy", 10), ("upstream", 7), ("proxy", 5)):
        follower.put(frames.log_text(source, "lost", told=told))
    fill(follower)
    found = await rest(follower)
    assert found[:2] == [
        ("logData", {"data": "\n— 15 bytes dropped —\n", "source": "proxy"}),
        ("logData", {"data": "\n— 7 bytes dropped —\n", "source": "upstream"}),
    ]
    assert found[2:] == [("logData", {"data": "x", "source": "upstream"})] * MOST_FRAMES


async def test_requests_in_flight_are_told_anew_to_who_missed_some(autojump_clock):
    """I5: what is left of their changes would leave requests on the screen that are long gone."""
    follower = listener()
    follower.put(frames.upsert({"id": "r-1"}))
    for _ in range(MOST_FRAMES - 1):
        follower.put(frames.remove("r-2"))
    follower.put(frames.activity(1))
    follower.put(frames.remove("r-3"))
    assert await rest(follower) == [
        ("inflight", {"operation": "snapshot", "requests": [{"id": "r-now"}]}),
        ("activity", {"id": 1}),
    ]
    follower.put(frames.remove("r-4"))
    assert await rest(follower) == [("inflight", {"operation": "remove", "id": "r-4"})]


async def test_what_was_missed_stands_behind_what_was_told_first(autojump_clock):
    """A snapshot that is older than the one before it would bring back what is over."""
    follower = listener()
    follower.begin([frames.snapshot([])])
    follower.put(frames.upsert({"id": "r-1"}))
    follower.put(frames.log_text("proxy", "lost", told=4))
    fill(follower)
    kinds = [kind for kind, _ in await rest(follower)]
    assert kinds == ["inflight", "logData", "inflight"] + ["logData"] * MOST_FRAMES


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (frame(Kind.MODELS, [1]), frame(Kind.MODELS, [2])),
        (frames.profile_changed("a"), frames.profile_changed(None)),
        (frame(Kind.UI, 1), frame(Kind.UI, 2)),
        (frames.activity(1), frames.activity(2)),
    ],
)
async def test_what_tells_how_things_stand_is_not_lost(older, newer, autojump_clock):
    """Else a page would show a model as loading for ever."""
    follower = listener()
    follower.put(older)
    follower.put(newer)
    fill(follower)
    found = await rest(follower)
    assert found[0] == read(newer.data)[0]
    assert {kind for kind, _ in found[1:]} == {"logData"}


async def test_a_frame_that_alone_is_too_long_is_told_if_it_says_how_things_stand(autojump_clock):
    """A thousand models with long descriptions."""
    follower = listener()
    follower.put(frame(Kind.MODELS, "x" * MOST_BYTES))
    assert await rest(follower) == [("modelStatus", "x" * MOST_BYTES)]


async def test_a_slow_reader_is_not_buried_in_what_it_missed(autojump_clock):
    """What makes up for a loss is made only when the last of it was read."""
    follower = Listener(lambda: frames.snapshot([{"id": "x" * PIECE}]))
    sizes = []
    for _ in range(20):
        follower.put(frames.remove("r-1"))
        follower.put(frame(Kind.MODELS, "x" * PIECE))
        fill(follower)
        await follower.receive()
        sizes.append(follower.waiting)
    assert max(sizes) < MOST_BYTES


async def test_closing_ends_the_waiting_at_once(nursery, autojump_clock):
    """The daemon stops; what was still to be told interests nobody."""
    follower, got = listener(), list[bytes]()

    async def follow() -> None:
        got.append(await follower.receive())
        got.append(await follower.receive())

    nursery.start_soon(follow)
    await wait_all_tasks_blocked()
    follower.close()
    follower.put(frames.activity(1))
    follower.begin([frames.activity(1)])
    await wait_all_tasks_blocked()
    assert (got, follower.waiting, trio.current_time()) == ([b"", b""], 0, 0.0)
