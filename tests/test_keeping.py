"""What was measured, kept over restarts."""

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.config.change import same_process
from swapd.config.settings import Model, Origin
from swapd.ids import ModelId
from swapd.keeping import ABSURD, FILE, KEPT, LARGEST, MOST, SAVE_EVERY, Keeper, process_of
from swapd.schedule.measures import Average, Measured, Measures
from tests.stories import model

A, B = map(ModelId, "ab")

DAY = 24 * 3600.0


class Daemon:
    """What a daemon has of this: models, measures and a keeper."""

    def __init__(self, folder: Path | None, *models: str | Model) -> None:
        known = [one if isinstance(one, Model) else model(one) for one in models]
        self.models = {one.id: one for one in known}
        self.measures = Measures()
        self.writes = 0
        self.keeper = Keeper(folder, self.measures, lambda: self.models, in_thread=self._write)
        self.keeper.recall()

    def loads(self, name: str, seconds: float) -> None:
        """Measure a load."""
        self.measures.of(ModelId(name)).loaded(seconds)
        self.measures.changed += 1

    def keeps(self, name: str, seconds: float) -> None:
        """Measure a load, and keep it."""
        self.loads(name, seconds)
        self.keeper.save()

    async def _write(self, write: Callable[[], None]) -> None:
        self.writes += 1
        await trio.lowlevel.checkpoint()
        write()


def kept(folder: Path) -> dict[str, Any]:
    """Read what the file has of each model."""
    tree: dict[str, Any] = json.loads((folder / FILE).read_bytes())
    assert tree.keys() == {"version", "models"}
    models: dict[str, Any] = tree["models"]
    return models


def write(folder: Path, models: object, *, version: object = 1) -> None:
    """Put a file there that somebody else has written."""
    (folder / FILE).write_text(json.dumps({"version": version, "models": models}))


def entry(name: str, *, age: float = 0.0, **figures: object) -> dict[str, object]:
    """Say of a model what the file says."""
    return {"process": process_of(model(name)), "seen": time.time() - age, **figures}


# Over a restart


def test_the_next_daemon_knows_what_this_one_measured(tmp_path):
    """The first guess after an update is worth as much as the last one before."""
    daemon = Daemon(tmp_path, "a", "b")
    daemon.measures.of(A).stopped(0.5)
    daemon.measures.of(A).served(1.25)
    daemon.loads("a", 4)
    daemon.loads("a", 9)
    daemon.keeper.save()

    again = Daemon(tmp_path, "a", "b")
    assert again.measures.models == {
        A: Measured(load=Average(5, 9), stop=Average(0.5, 0.5), service=Average(1.25, 1.25))
    }
    assert again.measures.changed == 0


def test_the_file_is_as_documented(tmp_path):
    """People look into it, and other versions read it."""
    before = int(time.time())
    Daemon(tmp_path, "a").keeps("a", 2 / 3)
    tree = json.loads((tmp_path / FILE).read_bytes())
    seen = tree["models"]["a"].pop("seen")
    assert before <= seen <= time.time()
    assert tree == {
        "version": 1,
        "models": {"a": {"process": process_of(model("a")), "load_s": [0.667, 0.667]}},
    }


def test_another_definition_of_a_model_starts_afresh(tmp_path):
    """What a small model took says nothing of the large one that now has its name."""
    Daemon(tmp_path, "a").keeps("a", 4)
    assert Daemon(tmp_path, model("a", cmd="other")).measures.models == {}
    # Taken back, nothing is lost.
    assert Daemon(tmp_path, "a").measures.load(A) == 4


def test_what_is_not_configured_is_kept_but_not_told(tmp_path):
    """A model that was taken out for a week comes back with its figures."""
    Daemon(tmp_path, "a").keeps("a", 4)
    other = Daemon(tmp_path, "b")
    other.keeps("b", 1)
    assert other.measures.models.keys() == {B}
    assert kept(tmp_path).keys() == {"a", "b"}


def test_the_file_is_for_nobody_else(tmp_path):
    """A digest of a short secret can be guessed by whoever may read it."""
    folder = tmp_path / "deep" / "state"
    Daemon(folder, "a").keeps("a", 4)
    assert (folder.stat().st_mode & 0o777, (folder / FILE).stat().st_mode & 0o777) == (
        0o700,
        0o600,
    )
    assert os.listdir(folder) == [FILE]


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    """That is what was asked for."""
    monkeypatch.chdir(tmp_path)
    Daemon(None, "a").keeps("a", 4)
    assert os.listdir(tmp_path) == []


def test_nothing_measured_is_nothing_written(tmp_path):
    """A folder that nobody needs would be litter."""
    Daemon(tmp_path / "state", "a").keeper.save()
    assert os.listdir(tmp_path) == []


# The digest


@pytest.mark.parametrize(
    "change",
    [
        {"argv": ("a", "b")},
        {"argv": ("a b",)},
        {"env": ("KEY=1",)},
        {"check_endpoint": "/v1/health"},
        {"check_endpoint": None},
        {"stop_argv": ("stop", "${PID}")},
        {"proxy": "http://other:9", "origin": Origin("http", "other", 9)},
    ],
)
def test_what_restarts_a_process_is_another_digest(change):
    """Figures of a process that has to be started anew are of that one."""
    before = model("a")
    assert not same_process(before, attrs.evolve(before, **change))
    assert process_of(before) != process_of(attrs.evolve(before, **change))


@pytest.mark.parametrize("change", [{"ttl": 5.0}, {"name": "A"}, {"unload_timeout": 3.0}])
def test_what_changes_under_a_running_process_keeps_the_digest(change):
    """An operator who shortens a `ttl` has the same model."""
    assert process_of(model("a")) == process_of(attrs.evolve(model("a"), **change))


def on_port(port: int, *words: str) -> Model:
    origin = Origin("http", "localhost", port)
    argv = ("server", f"--port={port}", *words)
    return attrs.evolve(model("a"), argv=argv, origin=origin, proxy=str(origin))


def test_a_port_that_has_moved_changes_nothing():
    """One new model, sorted first, moves all automatic ports; nobody loads slower for that."""
    assert process_of(on_port(5800)) == process_of(on_port(5801))
    assert process_of(on_port(5800, "58000")) == process_of(on_port(5801, "58000"))
    assert process_of(on_port(5800, "58000")) != process_of(on_port(5801, "58010"))


def test_a_digest_takes_any_definition_and_tells_none():
    """Keys stand in commands, and names come in bytes that are no text."""
    secret = attrs.evolve(model("a"), argv=("a", "--key", "sk-secret", "\udcff"), env=("é=1",))
    assert "secret" not in process_of(secret)
    assert int(process_of(secret), 16)


# Files that are none


def recalled(folder: Path) -> Measures:
    """Start a daemon there, have it keep something, and answer with what it began with."""
    daemon = Daemon(folder, "a", "b")
    before = attrs.evolve(daemon.measures, models=dict(daemon.measures.models))
    daemon.keeps("b", 3)
    assert Daemon(folder, "b").measures.load(B) == daemon.measures.load(B)
    return before


def test_a_missing_file_is_the_first_start(tmp_path, caplog):
    """Which is nothing to tell."""
    assert recalled(tmp_path / "none").models == {}
    assert caplog.messages == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"9" * 10_000,
        b'"text"',
        b"[]",
        b"{}",
        b'{"version": 2, "models": {}}',
        b'{"version": "1", "models": {}}',
        b'{"version": 1, "models": []}',
        b" " * (LARGEST + 1),
    ],
)
def test_a_broken_or_foreign_file_is_one_warning_and_a_fresh_start(data, tmp_path, caplog):
    """Half a file after a full disk must not keep a daemon from serving."""
    (tmp_path / FILE).write_bytes(data)
    assert recalled(tmp_path).models == {}
    [message] = caplog.messages
    assert message.startswith(f"cannot use what was measured before: {tmp_path / FILE} is ")


@settings(deadline=None)
@given(st.binary())
def test_no_bytes_keep_a_daemon_from_starting(data: bytes) -> None:
    """Whatever a disk makes of the file."""
    with TemporaryDirectory() as folder:
        (Path(folder) / FILE).write_bytes(data)
        assert recalled(Path(folder)).models == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)

PAIR = st.lists(st.floats() | st.integers(), min_size=2, max_size=2)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c"]),
        JSON
        | st.fixed_dictionaries(
            {"process": st.just(process_of(model("a"))) | JSON, "seen": st.floats() | JSON},
            optional=dict.fromkeys(("load_s", "stop_s", "service_s", "more"), PAIR | JSON),
        ),
    )
    | JSON
)
def test_whatever_is_recalled_is_sound(models: object) -> None:
    """Who waits is told a time that is made of this: never a NaN, never a year."""
    with TemporaryDirectory() as folder:
        write(Path(folder), models)
        for known in recalled(Path(folder)).models.values():
            for average in filter(None, (known.load, known.stop, known.service)):
                assert 0 <= average.mean <= average.longest <= ABSURD


@pytest.mark.parametrize(
    "pair",
    [
        [math.nan, 1],
        [1, math.inf],
        [-1, 1],
        [2, 1],
        [1, ABSURD + 1],
        [1, 10**400],
        [1],
        [1, 2, 3],
        ["1", "2"],
        {"0": 1},
        "12",
        7,
        None,
    ],
)
def test_a_figure_that_cannot_be_is_ignored_and_the_others_count(pair, tmp_path):
    """One bad number is no reason to forget the rest."""
    write(tmp_path, {"a": entry("a", load_s=pair, stop_s=[1, 2])})
    assert Daemon(tmp_path, "a").measures.models == {A: Measured(stop=Average(1, 2))}


@pytest.mark.parametrize("seen", [math.nan, math.inf, -1, "now", None])
def test_an_entry_that_says_not_since_when_is_ignored(seen, tmp_path):
    """It could never be forgotten."""
    write(tmp_path, {"a": {**entry("a", load_s=[1, 2]), "seen": seen}})
    assert Daemon(tmp_path, "a").measures.models == {}


# Disks that do not take it


def file_for_folder(tmp_path: Path) -> Path:
    (tmp_path / "state").write_text("a file")
    return tmp_path / "state"


def folder_for_file(tmp_path: Path) -> Path:
    (tmp_path / "state" / FILE).mkdir(parents=True)
    return tmp_path / "state"


def dead_link(tmp_path: Path) -> Path:
    (tmp_path / "state").symlink_to(tmp_path / "gone")
    return tmp_path / "state"


@pytest.mark.parametrize("broken", [file_for_folder, folder_for_file, dead_link])
def test_what_cannot_be_kept_is_one_warning(broken, tmp_path, caplog):
    """One a minute would hide what the log is read for."""
    daemon = Daemon(broken(tmp_path), "a")
    caplog.clear()
    for seconds in range(3):
        daemon.keeps("a", seconds)
    [message] = caplog.messages
    assert message.startswith("cannot keep what was measured: ")


def test_a_disk_that_is_back_gets_all_of_it_and_may_fail_anew(tmp_path, caplog):
    """What could not be written is not forgotten; the next trouble is another one."""
    folder = file_for_folder(tmp_path)
    daemon = Daemon(folder, "a")
    caplog.clear()
    daemon.keeps("a", 4)
    folder.unlink()
    daemon.keeper.save()
    assert kept(folder)["a"]["load_s"] == [4, 4]

    (folder / FILE).unlink()
    (folder / FILE).mkdir()
    daemon.keeps("a", 4)
    assert len(caplog.messages) == 2


def test_a_pipe_in_place_of_the_file_holds_nobody(tmp_path, caplog):
    """Opening one waits for a writer who never comes."""
    os.mkfifo(tmp_path / FILE)
    assert recalled(tmp_path).models == {}
    assert caplog.messages == [
        f"cannot use what was measured before: {tmp_path / FILE} is no file"
    ]


def test_a_draft_that_was_left_behind_is_in_nobodys_way(tmp_path):
    """A daemon was killed while it wrote; and nothing is written through a link."""
    (tmp_path / "victim").write_text("precious")
    (tmp_path / FILE).with_suffix(".draft").symlink_to(tmp_path / "victim")
    Daemon(tmp_path, "a").keeps("a", 4)
    assert (tmp_path / "victim").read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == [FILE, "victim"]


# Several daemons


def test_daemons_keep_each_others_models(tmp_path):
    """Two configurations of one user share the folder, and neither reads the file again."""
    one, two = Daemon(tmp_path, "a"), Daemon(tmp_path, "b")
    one.keeps("a", 1)
    two.keeps("b", 2)
    one.keeps("a", 1)
    assert {name: told["load_s"] for name, told in kept(tmp_path).items()} == {
        "a": [1, 1],
        "b": [2, 2],
    }


def test_what_was_only_recalled_does_not_replace_what_another_measured(tmp_path):
    """It is older than what stands there by now."""
    write(tmp_path, {"a": entry("a", load_s=[1, 1])})
    one, two = Daemon(tmp_path, "a", "b"), Daemon(tmp_path, "a", "b")
    one.keeps("a", 6)
    two.keeps("b", 3)
    assert kept(tmp_path)["a"]["load_s"] == [2, 6]


# What is forgotten


def test_models_that_nobody_configures_are_forgotten_after_a_while(tmp_path):
    """Names come and go for years; those that are configured stay, used or not."""
    write(
        tmp_path,
        {
            "a": entry("a", age=2 * KEPT, load_s=[1, 1]),
            "gone": entry("gone", age=KEPT + DAY, load_s=[1, 1]),
            "away": entry("away", age=KEPT - DAY, load_s=[1, 1]),
        },
    )
    Daemon(tmp_path, "a", "b").keeps("b", 1)
    assert kept(tmp_path).keys() == {"a", "away", "b"}
    assert kept(tmp_path)["a"]["seen"] > time.time() - DAY
    assert kept(tmp_path)["away"]["seen"] < time.time() - DAY


def test_there_are_only_so_many_and_the_latest_stay(tmp_path):
    """Whoever makes up names in a script must not fill a disk."""
    write(tmp_path, {f"m{age}": entry("m", age=1000 + age) for age in range(MOST + 10)})
    Daemon(tmp_path, "a").keeps("a", 1)
    assert kept(tmp_path).keys() == {"a", *(f"m{age}" for age in range(MOST - 1))}


def test_a_stamp_of_tomorrow_ages_like_any(tmp_path):
    """A machine that began with a wrong clock would keep it for ever."""
    write(tmp_path, {"gone": entry("gone", age=-1000 * DAY)})
    Daemon(tmp_path, "a").keeps("a", 1)
    assert kept(tmp_path)["gone"]["seen"] <= time.time()


# While serving


async def test_it_is_written_once_a_minute_if_there_is_news(tmp_path, nursery, autojump_clock):
    """A crash costs a minute, and a quiet daemon wakes no disk."""
    daemon = Daemon(tmp_path, "a")
    await nursery.start(daemon.keeper.run)
    await trio.sleep(10 * SAVE_EVERY)
    assert daemon.writes == 0

    daemon.loads("a", 4)
    await trio.sleep(SAVE_EVERY + 1)
    assert kept(tmp_path)["a"]["load_s"] == [4, 4]
    await trio.sleep(10 * SAVE_EVERY)
    assert daemon.writes == 1


async def test_a_disk_that_fails_is_tried_again_in_silence(
    tmp_path, nursery, autojump_clock, caplog
):
    """The daemon goes on, the log has one line, and the disk may come back."""
    folder = file_for_folder(tmp_path)
    daemon = Daemon(folder, "a")
    caplog.clear()
    await nursery.start(daemon.keeper.run)
    daemon.loads("a", 4)
    await trio.sleep(5 * SAVE_EVERY + 1)
    assert (daemon.writes, len(caplog.messages)) == (5, 1)

    folder.unlink()
    await trio.sleep(SAVE_EVERY)
    assert kept(folder).keys() == {"a"}


async def test_what_is_measured_while_it_is_written_comes_the_next_time(
    tmp_path, nursery, autojump_clock
):
    """The thread has values of its own, and what is added meanwhile is still news."""
    daemon = Daemon(tmp_path, "a")

    async def slowly(write: Callable[[], None]) -> None:
        await trio.sleep(5)
        write()

    daemon.keeper = Keeper(tmp_path, daemon.measures, lambda: daemon.models, in_thread=slowly)
    await nursery.start(daemon.keeper.run)
    daemon.loads("a", 1)
    await trio.sleep(SAVE_EVERY + 1)
    daemon.loads("a", 6)
    await trio.sleep(5)
    assert kept(tmp_path)["a"]["load_s"] == [1, 1]
    await trio.sleep(SAVE_EVERY + 5)
    assert kept(tmp_path)["a"]["load_s"] == [2, 6]


async def test_the_end_may_come_while_it_is_written(tmp_path, autojump_clock):
    """What was not written to its end is written by the last one."""
    daemon = Daemon(tmp_path, "a")

    async def hang(write: Callable[[], None]) -> None:
        await trio.sleep_forever()

    keeper = Keeper(tmp_path, daemon.measures, lambda: daemon.models, in_thread=hang)
    async with trio.open_nursery() as nursery:
        await nursery.start(keeper.run)
        daemon.loads("a", 1)
        await trio.sleep(SAVE_EVERY + 1)
        nursery.cancel_scope.cancel()
    keeper.save()
    assert kept(tmp_path).keys() == {"a"}
