"""Taking up a changed configuration while serving."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.change import Changes, fixed
from swapd.config.kinds import LogTarget, SchedulerKind
from swapd.config.load import Loaded, load
from swapd.config.problems import ConfigError, Located, Problem
from swapd.config.settings import Model, Performance, Settings
from swapd.ids import ModelId
from swapd.reload import LOOK_EVERY, Reloader, seen, watch
from tests import stories

A, B, C = map(ModelId, "abc")

PROBLEM = Located(Problem(("models",), "wrong"))


class Files:
    """Files that are read in a moment, and may be wrong."""

    def __init__(self, *models: str) -> None:
        self.settings = stories.settings(models)
        self.running: dict[ModelId, Model] = {}
        self.broken = False
        self.reads = 0
        self.reading = 0
        self.seconds = 1.0

    async def read(self, before: Loaded) -> Loaded:
        self.reads += 1
        self.reading += 1
        assert self.reading == 1, "two reloads at a time"
        now, broken = self.settings, self.broken
        try:
            await trio.sleep(self.seconds)
        finally:
            self.reading -= 1
        if broken:
            raise ConfigError([PROBLEM])
        return Loaded(now)


class Adopted:
    """Remembers what was handed over."""

    def __init__(self) -> None:
        self.all: list[Settings] = []

    async def __call__(self, settings: Settings) -> None:
        self.all.append(settings)
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def reloading(files: Files) -> AsyncIterator[tuple[Reloader, Adopted]]:
    """Have reloads done, of files that are in use as they are."""
    adopted = Adopted()
    reload = Reloader(
        Loaded(files.settings), read=files.read, adopt=adopted, running=lambda: files.running
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(reload.run)
        yield reload, adopted
        nursery.cancel_scope.cancel()


async def test_a_reload_hands_the_new_settings_over_and_says_what_it_does(autojump_clock):
    """The answer is what an operator reads before going home."""
    files = Files("a", "b")
    async with reloading(files) as (reload, adopted):
        files.settings = stories.settings(["b", "c"])

        assert await reload.reload() == Changes(unchanged=(B,), removed=(A,), added=(C,))
        assert adopted.all == [files.settings]
        assert reload.loaded.settings == files.settings


async def test_a_dry_run_only_says(autojump_clock):
    """Nothing is handed over, and the next answer is measured against the same."""
    files = Files("a")
    async with reloading(files) as (reload, adopted):
        files.settings = stories.settings(["b"])

        for _ in range(2):
            assert (await reload.reload(dry_run=True)).added == (B,)
        assert adopted.all == []


async def test_a_model_that_runs_is_measured_by_what_it_was_started_as(autojump_clock):
    """Changed and changed back while it serves, it needs no restart."""
    files = Files("a")
    async with reloading(files) as (reload, _):
        files.running = dict(files.settings.models)
        before = files.settings
        moved = attrs.evolve(before.models[A], argv=("other",))
        files.settings = attrs.evolve(before, models={A: moved})
        assert (await reload.reload()).restart == (A,)
        files.settings = before
        assert (await reload.reload()).unchanged == (A,)


async def test_a_broken_configuration_changes_nothing(autojump_clock, caplog):
    """Whoever asked is told why; whoever asked by a signal reads it in the log."""
    files = Files("a")
    async with reloading(files) as (reload, adopted):
        files.broken = True

        with pytest.raises(ConfigError):
            await reload.reload(dry_run=True)
        assert str(PROBLEM) not in caplog.messages
        reload.ask()
        await trio.sleep(5)
        assert (adopted.all, files.reads) == ([], 2)
        assert str(PROBLEM) in caplog.messages


async def test_a_disk_that_does_not_answer_is_given_up(autojump_clock):
    """The next reload is another try; nobody waits behind the first for ever."""
    files = Files("a")
    async with reloading(files) as (reload, _):
        files.seconds = math.inf
        with pytest.raises(ConfigError, match="is its disk there"):
            await reload.reload()
        files.seconds = 1
        assert (await reload.reload()).unchanged == (A,)


async def test_a_bug_in_reading_ends_nothing(autojump_clock, caplog):
    """What runs, runs well without the file; the next reload is another try."""
    files = Files("a")
    async with reloading(files) as (reload, adopted):
        read = files.read

        async def stumble(before: Loaded) -> Loaded:
            reload._read = read
            raise ValueError("a bug")

        reload._read = stumble
        with pytest.raises(RuntimeError):
            await reload.reload()
        await reload.reload()
        assert len(adopted.all) == 1
        assert "cannot reload; the configuration stays as it was" in caplog.messages


async def test_what_is_asked_for_during_a_reload_is_done_after_it(autojump_clock):
    """D35: the file may have changed after it was read."""
    files = Files("a")
    async with reloading(files) as (reload, adopted):
        reload.ask()
        await trio.sleep(0.5)
        files.settings = stories.settings(["b"])
        for _ in range(10):
            reload.ask()
        await trio.sleep(5)
        assert files.reads == 2
        assert adopted.all[-1] == files.settings


async def test_reloads_come_one_at_a_time(autojump_clock):
    """Two that overtake each other would leave the older one in use."""
    files = Files("a")
    async with reloading(files) as (reload, adopted), trio.open_nursery() as nursery:
        for name in "bcd":
            nursery.start_soon(reload.reload)
            await wait_all_tasks_blocked()
            files.settings = stories.settings([name])
    # The third came when the second had not begun, and is the same.
    assert [list(settings.models) for settings in adopted.all] == [["a"], ["d"]]


async def test_a_client_that_hangs_up_has_its_reload_done(autojump_clock):
    """It was asked for; and files that are being read are not read again beside it."""
    files = Files("a")
    async with reloading(files) as (reload, adopted):
        files.settings = stories.settings(["b"])
        for _ in range(20):
            with trio.move_on_after(0.01):
                await reload.reload()
        await trio.sleep(5)
        assert files.reads == 2
        assert adopted.all[-1] is reload.loaded.settings
        assert list(reload.loaded.settings.models) == ["b"]


async def test_what_counts_at_the_next_start_is_pending(autojump_clock):
    """Until it is taken back, or the daemon is started again."""
    files = Files("a")
    async with reloading(files) as (reload, _):
        began = files.settings
        files.settings = attrs.evolve(
            began,
            log_to_stdout=LogTarget.NONE,
            scheduler=SchedulerKind.FIFO,
            store_path="/tmp/x.db",
        )

        changes = await reload.reload()
        waits = ("logToStdout", "routing.scheduler.use", "store.path")
        assert changes.needs_daemon_restart == waits
        assert reload.pending_restart == waits
        files.settings = began
        assert not (await reload.reload()).needs_daemon_restart
        assert not reload.pending_restart


@pytest.mark.parametrize(
    ("before", "after", "waits"),
    [
        ({}, {"metrics_max_in_memory": 5}, ("metricsMaxInMemory",)),
        ({"store_path": "x"}, {"store_path": "x", "store_rows": 5}, ("store.maxRows",)),
        ({"store_path": "x"}, {"store_path": "x", "store_days": 5}, ("store.maxDays",)),
        ({"store_path": "x"}, {"store_path": "y", "store_rows": 5}, ("store.path",)),
        ({"performance": Performance(disabled=True)}, {}, ("performance.disabled",)),
        ({}, {"performance": Performance(disabled=True)}, ()),
        ({}, {"capture_buffer": 0, "record_activity": False}, ()),
    ],
)
def test_what_a_running_daemon_cannot_take_up_is_named(before, after, waits):
    """Nobody is to wait for what does not come."""
    assert fixed(Settings(**before), Settings(**after)) == waits


# Watching


class Sights:
    """What there is to see, one after the other; the last for good."""

    def __init__(self, *sights: object) -> None:
        self.left = list(sights)

    async def look(self) -> object:
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


@pytest.mark.parametrize(
    ("sights", "changes"),
    [
        pytest.param(["a"], 0, id="nothing happens"),
        pytest.param(["b", "b"], 1, id="changed while it was read"),
        pytest.param(["a", "a", "b", "b"], 1, id="a change"),
        pytest.param(["a", "b", "b", "c", "c"], 2, id="two changes"),
        pytest.param(["a", "b1", "b2", "b3", "b3"], 1, id="a file being written"),
        pytest.param(["a", "b", "a", "a"], 0, id="there and back"),
        pytest.param(["a", (), (), ()], 0, id="gone"),
        pytest.param(["a", (), (), "a", "a"], 0, id="gone and back as it was"),
        pytest.param(["a", (), "b", "b"], 1, id="gone and back, another"),
    ],
)
async def test_a_change_is_told_once_and_when_it_is_over(sights, changes, autojump_clock):
    """Half a file that happens to be sound would unload half of the models."""
    told: list[float] = []

    def changed() -> None:
        told.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        look = Sights(*sights).look
        nursery.start_soon(partial(watch, look, changed, known="a"))
        await trio.sleep(LOOK_EVERY * 20)
        nursery.cancel_scope.cancel()
    assert len(told) == changes


def test_every_file_of_a_configuration_is_seen(tmp_path: Path):
    """Added, removed, changed or replaced: each is another sight."""
    alone, inside = tmp_path / "alone.conf", tmp_path / "conf.d"
    assert seen(alone, inside) == ()
    inside.mkdir()
    sights = {seen(alone, inside)}
    for act in (
        lambda: alone.write_text("1"),
        lambda: alone.write_text("12"),
        lambda: (inside / "a.yaml").write_text("1"),
        lambda: (inside / "b.yml").write_text("1"),
        lambda: (inside / "b.yml").rename(inside / "c.yml"),
        lambda: (inside / "a.yaml").unlink(),
    ):
        act()
        assert seen(alone, inside) not in sights
        sights.add(seen(alone, inside))
    (inside / "note.txt").write_text("1")
    (inside / "empty.yaml").touch()
    (inside / ".#lock.yaml").symlink_to(tmp_path / "nowhere")
    assert seen(alone, inside) in sights


def test_a_model_that_joins_moves_no_others_port(tmp_path: Path):
    """Else one new model, sorted first, would restart all the others."""
    file = tmp_path / "f.yaml"
    file.write_text("models: {b: {cmd: 'x ${PORT}'}}")
    before = load([file], {})
    file.write_text("models: {b: {cmd: 'x ${PORT}'}, a: {cmd: 'x ${PORT}'}}")
    after = load([file], {}, before=before.ports)

    assert after.settings.models["b"] == before.settings.models["b"]  # type: ignore[index]


@pytest.mark.parametrize("broken", [False, True], ids=["good", "broken"])
async def test_who_manages_us_is_told_of_each_reload_and_of_its_end(broken, autojump_clock):
    """A service manager that hears of no end takes the daemon for one that hangs."""
    files, told = Files("a"), list[object]()
    files.broken = broken
    reload = Reloader(
        Loaded(files.settings),
        read=files.read,
        adopt=Adopted(),
        running=lambda: files.running,
        began=lambda: told.append("began"),
        ended=told.append,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(reload.run)
        for dry_run in (True, False):
            with suppress(ConfigError):
                await reload.reload(dry_run=dry_run)
        nursery.cancel_scope.cancel()
    assert told == ["began", not broken]
