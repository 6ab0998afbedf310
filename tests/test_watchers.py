"""Who watches: put together so that what happens is heard of."""

import os
import shlex
import signal
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path

import attrs
import pytest
import trio

from swapd.watch.store import CannotStore
from swapd.watchers import open_recorder, unharmed
from tests import stories
from tests.daemons import CHAT, ROOT, Configured, pretend, serving, write_config
from tests.house import Caller, open_house
from tests.processes import dead, free_port


async def test_what_is_decided_and_what_is_asked_is_counted(autojump_clock):
    """Numbers that nobody tells anything would be zeros for ever."""
    async with open_house("a", "b") as house:
        await house.post(CHAT, {"model": "a"})
        await house.post(CHAT, {"model": "b"})
        text = house.watching.numbers.text().decode()
        assert 'swapd_loads_total{model="a",result="ready"} 1' in text
        assert 'swapd_evictions_total{model="a"} 1' in text
        assert 'swapd_requests_total{model="b",outcome="ok"} 1' in text
        assert 'swapd_models{state="ready"} 1' in text


async def test_time_spent_is_told_apart(autojump_clock):
    """Two loads of a second and a stop of half one, and nothing served for long."""
    async with open_house("a", "b") as house:
        await house.post(CHAT, {"model": "a"})
        await house.post(CHAT, {"model": "b"})
        serving, swapping = house.engine.ask.spent()
        assert swapping == pytest.approx(2.5, abs=0.01)
        assert serving == pytest.approx(0.0, abs=0.01)


async def test_who_fails_at_watching_harms_nobody(caplog, autojump_clock):
    """A driver that answers nonsense must not take the box out of service."""

    async def broken(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        raise KeyError("nonsense")

    async with trio.open_nursery() as nursery:
        await nursery.start(unharmed, broken)
    assert "watching failed" in caplog.text


async def test_who_watches_can_be_cancelled(autojump_clock):
    """Else the daemon would not end."""

    async def forever(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        await nursery.start(unharmed, forever)
        nursery.cancel_scope.cancel()


def test_a_store_that_cannot_be_opened_is_said_before_anything_is_served(tmp_path):
    """Whose fault it is, and what to do."""
    broken = tmp_path / "activity.db"
    broken.write_text("this is no database, and longer than a header of one would have to be")
    settings = attrs.evolve(stories.settings(["a"]), store_path=str(broken))
    with pytest.raises(CannotStore, match=r"store\.path"):
        open_recorder(settings)


# A whole daemon

FLOOD = 100_000_000


def flooding(name: str) -> Configured:
    """Configure a pretend model that begins with a flood of output."""
    own, options = pretend(name)
    flood = f"yes 'a line that nobody needs' | head -c {FLOOD} & exec {options['cmd']}"
    return own, {**options, "cmd": shlex.join(["sh", "-c", flood])}


def recorded(store: Path) -> int:
    """Count the rows of a store that somebody else writes."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM activity").fetchone()[0])


@pytest.mark.real
async def test_what_was_recorded_a_second_ago_outlives_sigkill(tmp_path):
    """Nobody asked for the rows before; they are on the disk all the same."""
    store = tmp_path / "activity.db"
    settings = {"store": {"path": str(store)}}
    async with serving(tmp_path, pretend("a"), settings=settings) as daemon:
        for _ in range(5):
            await daemon.chat("a")
        with trio.fail_after(1):
            while recorded(store) < 5:
                await daemon.settled()
        daemon.process.kill()
        await daemon.ended()
        await dead(*daemon.left())
    async with serving(tmp_path, pretend("a"), settings=settings) as daemon:
        rows = (await daemon.get("/api/metrics/activity")).json()
        assert [row["outcome"] for row in rows["data"]] == ["ok"] * 5


@pytest.mark.real
async def test_a_flood_and_a_follower_that_never_reads_keep_nobody_waiting(tmp_path):
    """A hundred megabytes of log, one who follows it and sleeps, and requests in between."""
    settings = {"logToStdout": "proxy"}  # Else the flood goes through the test as well.
    async with serving(tmp_path, flooding("a"), settings=settings) as daemon:
        sleeper = await daemon.call()
        await sleeper.send("/logs/stream/a")
        deaf = await daemon.call()
        await deaf.send("/api/events")
        for _ in range(20):
            assert (await daemon.chat("a")).status == 200
        caller = await daemon.call()
        await caller.send("/logs/stream/upstream")
        seen = b""
        with trio.fail_after(15):
            while b"bytes dropped" not in seen:
                seen = seen[-100:] + (await caller.piece() or b"")
        assert daemon.memory("VmHWM") < 120_000_000


@pytest.mark.real
async def test_a_hundred_who_follow_all_hear_of_it(tmp_path):
    """And the stream that they hear of comes whole."""
    async with serving(tmp_path, pretend("a")) as daemon:
        followers = [await daemon.call() for _ in range(100)]
        for follower in followers:
            await follower.send("/api/events")
            await follower.head()
        caller = await daemon.call()
        await caller.send(CHAT, {"model": "a", "stream": True, "chunks": 100, "interval": 0.01})
        assert (await caller.reply()).complete

        async def heard(follower: Caller) -> None:
            seen = b""
            while rb"\"operation\":\"remove\"" not in seen.replace(rb"\\", b"\\"):
                piece = await follower.piece()
                assert piece
                seen = seen[-10_000:] + piece

        with trio.fail_after(15):
            async with trio.open_nursery() as nursery:
                for follower in followers:
                    nursery.start_soon(heard, follower)


@pytest.mark.real
async def test_a_stop_does_not_wait_for_who_only_looks_on(tmp_path):
    """Some of them read, some never have; nobody else is there to wait for."""
    async with serving(tmp_path, pretend("a")) as daemon:
        for path in ("/api/events", "/logs/stream", "/logs/stream/a") * 10:
            caller = await daemon.call()
            await caller.send(path)
            await caller.head()
        with trio.fail_after(5):
            await daemon.end(signal.SIGTERM)


@pytest.mark.real
async def test_a_reload_is_followed_by_all_who_watch(tmp_path):
    """Level, captures and record change while it runs; nothing has to be started again."""
    async with serving(tmp_path, pretend("a")) as daemon:
        await daemon.chat("a")
        quiet = {"logLevel": "warn", "captureBuffer": 0, "recordActivity": False}
        daemon.common = {**daemon.common, **quiet}
        daemon.configure(pretend("a"))
        assert (await daemon.reload())["needs_daemon_restart"] == []
        await daemon.chat("a")
        rows = (await daemon.get("/api/metrics/activity")).json()["data"]
        assert [row["has_capture"] for row in rows] == [False]
        await daemon.end(signal.SIGTERM)
        assert len([line for line in daemon.told("Request") if CHAT in line]) == 1


@pytest.mark.real
async def test_a_stop_does_not_wait_for_who_never_reads_a_flood(tmp_path):
    """Their connections are full, and nothing but cutting them ends a write."""
    settings = {"logToStdout": "proxy"}
    async with serving(tmp_path, flooding("a"), settings=settings) as daemon:
        for path in ("/api/events", "/logs/stream/upstream", "/logs/stream/a") * 5:
            caller = await daemon.call()
            await caller.send(path)
        await daemon.chat("a")
        with trio.fail_after(8):
            await daemon.end(signal.SIGTERM)


@pytest.mark.real
async def test_a_daemon_without_standard_streams_serves(tmp_path):
    """Some start their programs with nothing open; then the log is for nobody."""
    port = free_port()
    config = tmp_path / "swapd.yaml"
    write_config(config, {"models": dict([pretend("a")]), "startPort": free_port()})
    serve = [sys.executable, "-m", "swapd", "serve", "--config", str(config)]
    command = shlex.join([*serve, "--listen", f"127.0.0.1:{port}"])
    with trio.fail_after(20):
        process = await trio.lowlevel.open_process(
            ["sh", "-c", f"exec {command} <&- >&- 2>&-"],
            env={**os.environ, "PYTHONPATH": str(ROOT), "STATE_DIRECTORY": str(tmp_path)},
        )
        try:
            while True:
                with suppress(OSError):
                    stream = await trio.open_tcp_stream("127.0.0.1", port)
                    break
            caller = Caller(stream, [])
            await caller.send("/health")
            assert (await caller.reply()).body == b"OK"
            await caller.leave()
        finally:
            process.terminate()
            assert await process.wait() == 0
