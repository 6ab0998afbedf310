"""Telling what happens to everybody who follows."""

import gc
import math
import weakref
from itertools import pairwise

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.ids import ModelId
from swapd.manage.live import BEAT, COUNTING, MOST_ROWS
from tests.scenes import SETTINGS, A, open_scene, read, states, told


async def test_who_comes_is_told_how_things_stand(autojump_clock):
    """In llama-swap's order: pages fill in what they show from top to bottom."""
    async with open_scene() as scene:
        scene.logs.proxy.write(b"[INFO] listening\n")
        with scene.live.follow() as listener:
            events = await told(listener)
    assert [kind for kind, _ in events] == [
        *("logData", "logData", "modelStatus", "uiConfig", "profileChanged", "inflight")
    ]
    assert events[0][1] == {"data": "[INFO] listening\n", "source": "proxy"}
    assert events[1][1] == {"data": "", "source": "upstream"}
    assert events[3:] == [
        ("uiConfig", {"activity": {"session_id": []}}),
        ("profileChanged", {"active": None}),
        ("inflight", {"operation": "snapshot"}),
    ]


async def test_models_are_told_as_they_stand_after_what_was_decided(autojump_clock):
    """Who hears "loading" of a model that is shown as stopped would wait for another word."""
    async with open_scene() as scene:
        with scene.live.follow() as listener:
            assert states(await told(listener)) == [["stopped", "stopped"]]
            assert await scene.loads.load(A) is None
            assert states(await told(listener)) == [["starting", "stopped"], ["ready", "stopped"]]
            await scene.engine.unload()
            assert states(await told(listener)) == [
                ["stopping", "stopped"],
                ["stopped", "stopped"],
            ]


async def test_a_model_that_failed_is_told_as_failed(autojump_clock):
    """As everywhere else."""
    async with open_scene() as scene:
        scene.models.broken.add(A)
        with scene.live.follow() as listener:
            await told(listener)
            assert await scene.loads.load(A) is not None
            assert states(await told(listener))[-1] == ["failed", "stopped"]


async def test_a_profile_is_told_with_the_models(autojump_clock):
    """Which it may pin."""
    async with open_scene() as scene:
        with scene.live.follow() as listener:
            await told(listener)
            scene.profiles.choose("night", SETTINGS)
            events = await told(listener)
            scene.profiles.choose("night", SETTINGS)
            assert await told(listener) == []
    assert [kind for kind, _ in events] == ["profileChanged", "modelStatus"]
    assert events[0][1] == {"active": "night"}


async def test_a_reload_is_told_as_far_as_it_changes_something(autojump_clock):
    """A profile may be gone with it, and the headers that name a session be others."""
    async with open_scene() as scene:
        scene.profiles.choose("night", SETTINGS)
        with scene.live.follow() as listener:
            await told(listener)
            await scene.engine.adopt(SETTINGS)
            assert [kind for kind, _ in await told(listener)] == ["modelStatus"]
            changed = attrs.evolve(SETTINGS, profiles={}, session_headers=("X-Trace-ID",))
            await scene.engine.adopt(changed)
            events = await told(listener)
    assert [kind for kind, _ in events] == ["profileChanged", "modelStatus", "uiConfig"]
    assert events[0][1] == {"active": None}
    assert events[2][1] == {"activity": {"session_id": ["X-Trace-ID"]}}


async def test_each_record_is_told_by_its_number(autojump_clock):
    """Of a flood only the newest: who hears of one asks for the list."""
    async with open_scene() as scene:
        with scene.live.follow() as listener:
            await told(listener)
            scene.recorded(41)
            scene.recorded(42)
            assert await told(listener) == [("activity", {"id": 41}), ("activity", {"id": 42})]
            for row in range(1000):
                scene.recorded(row)
            events = await told(listener)
            assert len(events) == MOST_ROWS
            assert events[-1] == ("activity", {"id": 999})


async def test_a_request_is_told_from_its_beginning_to_its_end(autojump_clock):
    """I3, I4: with each change of what is known of it."""
    async with open_scene() as scene:
        with scene.live.follow() as listener:
            await told(listener)
            trace = scene.trace()
            with scene.open(trace) as flight:
                [(kind, begun)] = await told(listener)
                assert (kind, begun["operation"]) == ("inflight", "upsert")
                assert (begun["request"]["id"], begun["request"]["resp_headers"]) == ("r-1", {})
                trace.status, trace.response_headers = 200, [(b"set-cookie", b"s=1")]
                flight.headed()
                [(_, head)] = await told(listener)
                assert head["request"]["resp_headers"] == {"Set-Cookie": "[REDACTED]"}
                trace.bytes = 5
                [(_, counted)] = await told(listener)
                assert counted["request"]["resp_bytes"] == 5
            assert await told(listener) == [("inflight", {"operation": "remove", "id": "r-1"})]


async def test_a_request_that_is_over_at_once_is_told_all_the_same(autojump_clock):
    """I4: first that it is there, then that it is not."""
    async with open_scene() as scene:
        with scene.live.follow() as listener:
            await told(listener)
            with scene.open(scene.trace()) as flight:
                flight.headed()
            events = [said for _, said in await told(listener)]
    assert [said["operation"] for said in events] == ["upsert", "remove"]
    assert (events[0]["request"]["id"], events[1]["id"]) == ("r-1", "r-1")


async def test_only_what_people_are_to_see_is_told(autojump_clock):
    """I2: no load, and nothing that does not count as a request for a model."""
    async with open_scene() as scene:
        hidden = scene.trace("r-2", shown=False)
        with scene.open(hidden), scene.live.follow() as listener:
            assert (await told(listener))[-1] == ("inflight", {"operation": "snapshot"})
            with scene.open(scene.trace("r-3", shown=False)) as flight:
                flight.headed()
            await scene.loads.load(A)
            assert {kind for kind, _ in await told(listener)} == {"modelStatus"}


async def test_who_comes_later_is_told_of_what_is_under_way(autojump_clock):
    """And from then on of what is sent of it."""
    async with open_scene() as scene:
        trace = scene.trace()
        with scene.open(trace) as flight:
            trace.status = 200
            flight.headed()
            await trio.sleep(10)
            with scene.live.follow() as listener:
                _, snapshot = (await told(listener))[-1]
                [request] = snapshot["requests"]
                assert (request["id"], request["elapsed_ms"]) == ("r-1", 10_000)
                trace.bytes = 7
                [(_, counted)] = await told(listener)
                assert counted["request"]["resp_bytes"] == 7


async def test_what_was_sent_is_counted_now_and_then_and_to_its_end(autojump_clock):
    """However small the pieces; and the last count is told when no more comes."""
    async with open_scene() as scene:
        trace = scene.trace()
        with scene.open(trace) as flight, scene.live.follow() as listener:
            trace.status = 200
            flight.headed()
            await told(listener)
            began, counts = trio.current_time(), list[tuple[float, int]]()
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def listen() -> None:
                    while piece := await listener.receive():
                        for _, said in read(piece):
                            after = trio.current_time() - began
                            counts.append((after, said["request"]["resp_bytes"]))

                for _ in range(103):
                    trace.bytes += 1
                    await trio.sleep(0.01)
                await trio.sleep(1)
                nursery.cancel_scope.cancel()
    times = [time for time, _ in counts]
    assert min(later - time for time, later in pairwise(times)) >= COUNTING
    assert 4 <= len(counts) <= 6
    assert times[0] <= BEAT + 0.001
    assert counts[-1][1] == 103


async def test_log_lines_are_told_in_their_order_and_once(autojump_clock):
    """Also to who comes in the middle of them."""
    async with open_scene() as scene:
        heard: dict[int, str] = {}

        async def follow(number: int) -> None:
            heard[number] = ""
            with scene.live.follow() as listener:
                for kind, said in await told(listener, seconds=5 - trio.current_time()):
                    if kind == "logData" and said["source"] == "upstream":
                        heard[number] += said["data"]

        async with trio.open_nursery() as nursery:
            for number in range(200):
                scene.logs.upstream.write(f"{number}\n".encode())
                if number % 10 == 5:
                    nursery.start_soon(follow, number)
                await trio.sleep(0.013)
    assert set(heard.values()) == {"".join(f"{number}\n" for number in range(200))}


async def test_a_hundred_followers_are_told_the_same_bytes(autojump_clock):
    """A frame is made once, whoever gets it."""
    async with open_scene() as scene, trio.open_nursery() as nursery:
        received: list[list[bytes]] = []

        async def follow(pieces: list[bytes]) -> None:
            with scene.live.follow() as listener:
                while piece := await listener.receive():
                    pieces.append(piece)

        for _ in range(100):
            received.append([])
            nursery.start_soon(follow, received[-1])
        await trio.sleep(1)
        with scene.open(scene.trace()):
            scene.logs.proxy.write(b"x\n")
            await scene.loads.load(A)
        await trio.sleep(1)
        scene.live.close()
    assert len({b"".join(pieces) for pieces in received}) == 1
    assert {kind for kind, _ in read(b"".join(received[0]))} >= {"logData", "inflight"}


async def test_one_that_never_reads_holds_up_nobody(autojump_clock):
    """Neither the others, nor what happens."""
    async with open_scene() as scene:
        with scene.live.follow() as stuck, scene.live.follow() as listener:
            await told(listener)
            for count in range(2000):
                scene.logs.upstream.write(b"x" * 1000)
                scene.recorded(count)
                if count % 10 == 0:
                    await told(listener, 2 * BEAT)
            assert stuck.waiting < 1_000_000
            with scene.open(scene.trace()):
                assert ("inflight", "upsert") in [
                    (kind, said.get("operation")) for kind, said in await told(listener)
                ]
                late = await told(stuck)
    assert [kind for kind, _ in late[:6]] == [
        *("logData", "logData", "modelStatus", "uiConfig", "profileChanged", "inflight")
    ]
    assert "bytes dropped" in late[6][1]["data"]
    shown = [said for kind, said in late[6:] if kind == "inflight"]
    assert [said["request"]["id"] for said in shown] == ["r-1"]


async def test_without_followers_nothing_is_noted(autojump_clock):
    """Nobody looks for most of the day; requests must not pay for it, nor memory."""
    async with open_scene() as scene:
        for _ in range(2):
            with scene.live.follow() as listener:
                await told(listener)
                assert scene.logs.proxy.followers == 1
                with scene.open(scene.trace()) as flight:
                    flight.headed()
            await wait_all_tasks_blocked()
            before = repr(scene.live._notes)
            with scene.open(scene.trace()) as flight:
                flight.headed()
                scene.recorded(1)
                scene.profiles.choose("night", SETTINGS)
                scene.profiles.choose(None, SETTINGS)
                await scene.loads.load(A)
            assert repr(scene.live._notes) == before
            await trio.sleep(1)
            assert (scene.logs.proxy.followers, scene.logs.upstream.followers) == (0, 0)


async def test_who_left_leaves_nothing_behind(autojump_clock):
    """Browsers come and go for months."""
    async with open_scene() as scene:
        with scene.live.follow() as listener:
            await told(listener)
        with scene.live.follow() as early:
            pass
        remembered = [weakref.ref(listener), weakref.ref(early)]
        del listener, early
        await trio.sleep(1)
        gc.collect()
        assert [each() for each in remembered] == [None, None]


async def test_closing_ends_everybody_at_once(autojump_clock):
    """The daemon stops, and waits for the streams that it has; who comes now is too late."""
    async with open_scene() as scene, trio.open_nursery() as nursery:
        ended: list[float] = []

        async def follow() -> None:
            with scene.live.follow() as listener:
                await told(listener, math.inf)
                ended.append(trio.current_time())

        for _ in range(3):
            nursery.start_soon(follow)
        await trio.sleep(5)
        scene.live.close()
        nursery.start_soon(follow)
    assert ended == pytest.approx([5.0] * 4)


async def test_a_preload_is_told_with_what_became_of_it(autojump_clock):
    """R23: whoever waits for the start can see it."""
    async with open_scene() as scene:
        with scene.live.follow() as listener:
            await told(listener)
            scene.loads.preload([A, ModelId("ghost")])
            events = await told(listener, 10)
    found = [said for kind, said in events if kind == "preload"]
    assert found == [{"model": "a", "success": True}, {"model": "ghost", "success": False}]
