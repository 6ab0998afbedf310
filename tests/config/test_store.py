"""Whether the store's file could be opened; with SQLite itself as the judge."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from swapd.config.store import unusable


def opens(path: Path) -> bool:
    """Try to keep a database there."""
    try:
        with closing(sqlite3.connect(path)) as database:
            database.execute("create table requests (id integer)")
    except sqlite3.Error:
        return False
    return True


def files_below(path: Path) -> list[tuple[str, float]]:
    """List everything, with its time of change."""
    return sorted((str(one), one.lstat().st_mtime) for one in [path, *path.rglob("*")])


def test_a_new_file_in_a_directory_is_fine(tmp_path: Path) -> None:
    """C060: on the first start there is none."""
    assert unusable(str(tmp_path / "requests.db")) is None


def test_a_file_that_is_there_is_fine(tmp_path: Path) -> None:
    """On the second start there is one."""
    file = tmp_path / "requests.db"
    assert opens(file)

    assert unusable(str(file)) is None


def test_a_path_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one from where swapd was started."""
    monkeypatch.chdir(tmp_path)

    assert unusable("requests.db") is None
    assert unusable("./requests.db") is None
    assert "no directory" in (unusable("below/requests.db") or "")


def test_spaces_around_a_path_are_none_of_it(tmp_path: Path) -> None:
    """A block of YAML ends with a line end."""
    assert unusable(f"  {tmp_path / 'requests.db'}\n") is None
    assert "is a directory" in (unusable(f" {tmp_path} ") or "")


@pytest.mark.parametrize("path", ["", " ", "\n"])
def test_a_path_is_needed(path: str) -> None:
    """C063: a store without one would quietly be none."""
    assert "needs a path" in (unusable(path) or "")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("{there}", "is a directory, not a file"),
        ("{there}/", "is a directory, not a file"),
        ("{there}/..", "is a directory, not a file"),
        ("/", "is a directory, not a file"),
        ("{there}/no/requests.db", "there is no directory {there}/no"),
        ("{there}/file/requests.db", "there is no directory {there}/file"),
        ("{there}/" + "x" * 300, "File name too long"),
        ("{there}/a\0b", "cannot look at"),
    ],
)
def test_what_cannot_be_a_database_says_why(tmp_path: Path, path: str, says: str) -> None:
    """At the start, rather than at the first request."""
    (tmp_path / "file").write_text("text", encoding="utf-8")

    told = unusable(path.replace("{there}", str(tmp_path)))

    assert told is not None
    assert says.replace("{there}", str(tmp_path)) in told


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o000])
def test_a_file_that_may_not_be_written_is_refused(tmp_path: Path, mode: int) -> None:
    """Whoever may write anything, as root may, is told nothing; others are."""
    file = tmp_path / "requests.db"
    file.touch()
    file.chmod(mode)

    told = unusable(str(file))

    assert (told is None) == opens(file)
    assert told is None or told.startswith(f"{file} is not writable")


@pytest.mark.parametrize("mode", [0o700, 0o500])
def test_a_directory_that_may_not_be_written_is_refused(tmp_path: Path, mode: int) -> None:
    """The file would have to be made there."""
    directory = tmp_path / "data"
    directory.mkdir()
    directory.chmod(mode)
    file = directory / "requests.db"

    told = unusable(str(file))

    try:
        assert (told is None) == opens(file)
        assert told is None or f"{directory} is not writable" in told
    finally:
        directory.chmod(0o700)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into any directory")
def test_a_directory_that_may_not_be_entered_is_a_reason(tmp_path: Path) -> None:
    """Looking fails, and that is told like all else."""
    (tmp_path / "shut" / "below").mkdir(parents=True)
    (tmp_path / "shut").chmod(0)

    try:
        assert unusable(str(tmp_path / "shut" / "below" / "requests.db")) is not None
    finally:
        (tmp_path / "shut").chmod(0o700)


@pytest.mark.parametrize("target", ["data/requests.db", "data", "requests.db", "none/requests.db"])
def test_a_link_counts_as_what_it_leads_to(tmp_path: Path, target: str) -> None:
    """Data on another disk is often linked; the disk may not be there."""
    (tmp_path / "data").mkdir()
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / target)

    told = unusable(str(link))

    assert (told is None) == opens(link)


def test_a_link_to_itself_is_no_file(tmp_path: Path) -> None:
    """It cannot be followed."""
    link = tmp_path / "link.db"
    link.symlink_to(link)

    assert not opens(link)
    assert unusable(str(link)) is not None


def test_nothing_is_changed_on_the_disk(tmp_path: Path) -> None:
    """`swapd check` looks at a configuration of tomorrow, on the machine of today."""
    (tmp_path / "old.db").touch()
    before = files_below(tmp_path)

    for path in ("new.db", "old.db", "no/new.db", ""):
        unusable(str(tmp_path / path))

    assert files_below(tmp_path) == before
