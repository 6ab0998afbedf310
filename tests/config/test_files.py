"""Which files are read, and in which order."""

import os
from pathlib import Path

import pytest

from swapd.config.files import find_files
from swapd.config.problems import ConfigError


def filled(directory: Path, *names: str) -> Path:
    """Make a directory with files of these names."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).write_text("", encoding="utf-8")
    return directory


def names(directory: Path) -> list[str]:
    """Name what is found in a directory."""
    return [path.name for path in find_files(None, directory)]


def refused(config: Path | None, directory: Path | None) -> str:
    """See that nothing is found, and return the one reason."""
    with pytest.raises(ConfigError) as error:
        find_files(config, directory)
    (problem,) = error.value.problems
    return str(problem)


def test_one_file_is_one_file(tmp_path: Path) -> None:
    """Whatever it is called, and whether it is there: who reads it says what is wrong."""
    assert find_files(tmp_path / "x.conf", None) == [tmp_path / "x.conf"]


def test_a_directory_gives_its_yaml_files_by_name(tmp_path: Path) -> None:
    """The order decides which macro goes before which; it must not be the disk's."""
    directory = filled(
        tmp_path, "b.yaml", "a.yml", "10.yaml", "9.yaml", "B.yaml", "é.yml", "z.yml"
    )

    assert names(directory) == [
        *("10.yaml", "9.yaml", "B.yaml", "a.yml", "b.yaml", "z.yml", "é.yml")
    ]
    assert find_files(None, directory) == [directory / name for name in names(directory)]


def test_names_are_ordered_by_their_bytes(tmp_path: Path) -> None:
    """Some are no text at all, and still stand somewhere."""
    raw = [b"\x80.yaml", "é.yaml".encode(), "\N{GRINNING FACE}.yaml".encode(), b"\xff.yaml"]
    for name in reversed(raw):
        try:
            Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
        except OSError:
            pytest.skip("this file system takes only text")

    assert [os.fsencode(name) for name in names(tmp_path)] == raw


def test_the_name_counts_and_nothing_around_it(tmp_path: Path) -> None:
    """A directory may be called anything."""
    directory = filled(tmp_path / "conf.yaml", "a.yaml")

    assert names(directory) == ["a.yaml"]


@pytest.mark.parametrize("name", [".h.yaml", ".yaml", ".yml", "a.b.yml", " .yaml", "a.json.yaml"])
def test_the_end_of_the_name_decides(tmp_path: Path, name: str) -> None:
    """A hidden file is one, too."""
    assert names(filled(tmp_path, name)) == [name]


@pytest.mark.parametrize(
    "name",
    ["a.YAML", "a.Yml", "a.json", "a.yaml~", "a.yaml.bak", ".a.yaml.swp", "yaml", "a.yamls"],
)
def test_what_editors_leave_behind_is_not_read(tmp_path: Path, name: str) -> None:
    """Yesterday's configuration must not come back."""
    directory = filled(tmp_path, name)

    assert refused(None, directory) == f"no *.yaml or *.yml file in {directory}"


def test_directories_are_not_looked_into(tmp_path: Path) -> None:
    """Not even one that is called like a file."""
    directory = filled(tmp_path, "a.yaml")
    filled(directory / "b.yaml", "c.yaml")
    filled(directory / "sub", "d.yaml")
    (directory / "link.yaml").symlink_to(directory / "sub")

    assert names(directory) == ["a.yaml"]


def test_a_link_to_a_file_is_a_file(tmp_path: Path) -> None:
    """So Kubernetes mounts them; by one that leads nowhere an editor locks a file."""
    directory = filled(tmp_path / "conf")
    (directory / "a.yaml").symlink_to(filled(tmp_path, "real") / "real")
    (directory / "b.yaml").symlink_to(tmp_path / "gone")

    assert names(directory) == ["a.yaml"]


def test_the_one_file_goes_before_those_of_the_directory(tmp_path: Path) -> None:
    """Whatever it is called."""
    directory = filled(tmp_path / "conf", "a.yaml", "b.yaml")
    config = filled(tmp_path, "z.yaml") / "z.yaml"

    assert find_files(config, directory) == [config, directory / "a.yaml", directory / "b.yaml"]


def test_beside_a_file_the_directory_may_be_empty(tmp_path: Path) -> None:
    """Nothing has been added there yet."""
    config = tmp_path / "x.yaml"

    assert find_files(config, filled(tmp_path / "conf")) == [config]


@pytest.mark.parametrize(
    ("config", "directory"),
    [
        ("{there}/conf/a.yaml", "{there}/conf"),
        ("conf/a.yaml", "{there}/conf"),
        ("{there}/conf/a.yaml", "conf"),
        ("./conf//a.yaml", "conf/"),
        ("conf/../conf/a.yaml", "conf"),
    ],
)
def test_a_file_is_given_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str, directory: str
) -> None:
    """Else everything in it would be a duplicate, and each would be told."""
    filled(tmp_path / "conf", "a.yaml", "b.yaml")
    monkeypatch.chdir(tmp_path)
    config, directory = (text.replace("{there}", str(tmp_path)) for text in (config, directory))

    told = refused(Path(config), Path(directory))

    assert "give it only once" in told
    assert told.startswith(str(Path(directory) / "a.yaml"))


def test_the_same_file_by_another_name_is_another(tmp_path: Path) -> None:
    """Links are not followed, as in llama-swap; the duplicates are told by their places."""
    directory = filled(tmp_path / "conf", "a.yaml")
    (tmp_path / "link.yaml").symlink_to(directory / "a.yaml")

    assert len(find_files(tmp_path / "link.yaml", directory)) == 2


def test_without_any_source_the_options_are_named() -> None:
    """It is the first thing that somebody does: start it and see."""
    told = refused(None, None)

    assert "--config" in told
    assert "--config-dir" in told


def test_a_directory_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """With its path in front, as every other problem."""
    file = filled(tmp_path, "a.yaml") / "a.yaml"
    missing = tmp_path / "none"

    assert refused(None, missing) == (
        f"{missing}: cannot read this directory: No such file or directory"
    )
    assert refused(file, file) == f"{file}: cannot read this directory: Not a directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read any directory")
@pytest.mark.parametrize("mode", [0o000, 0o300])
def test_a_directory_that_may_not_be_read_says_why(tmp_path: Path, mode: int) -> None:
    """Then there is somebody to be asked."""
    directory = filled(tmp_path / "conf", "a.yaml")
    directory.chmod(mode)

    try:
        assert "Permission denied" in refused(None, directory)
    finally:
        directory.chmod(0o700)
