"""Which files a configuration is read from."""

import os
from collections.abc import Sequence
from pathlib import Path

from swapd.config.problems import ConfigError, Located, Place, Problem

_SUFFIXES = (".yml", ".yaml")


def find_files(config: Path | None, directory: Path | None) -> list[Path]:
    """List the files in the order in which they are read: the one, then those of the directory.

    Of a directory its own `*.yml` and `*.yaml` files, by name; no subdirectories, and no links
    that lead nowhere: editors lock files by them.
    """
    if config is None and directory is None:
        raise _none("no configuration given: use --config FILE, --config-dir DIRECTORY, or both")
    files = [] if config is None else [config]
    if directory is not None:
        files += _listed(directory)
    if not files:
        raise _none(f"no *.yaml or *.yml file in {directory}")
    once(files)
    return files


def once(files: Sequence[Path]) -> None:
    """See that no file stands twice in a list."""
    seen: dict[str, Path] = {}
    for path in files:
        first = seen.setdefault(os.path.abspath(path), path)
        if first is not path:
            message = f"the same file as {first}, which is read already: give it only once"
            raise _none(message, Place(str(path)))


def files_in(directory: Path) -> list[Path]:
    """List the files of a directory that count, by name; may raise `OSError`."""
    found = [path for path in directory.iterdir() if path.name.endswith(_SUFFIXES)]
    return sorted(
        (path for path in found if path.exists() and not path.is_dir()),
        key=lambda path: path.name.encode(errors="surrogateescape"),
    )


def _listed(directory: Path) -> list[Path]:
    try:
        return files_in(directory)
    except OSError as refused:
        message = f"cannot read this directory: {refused.strerror}"
        raise _none(message, Place(str(directory))) from refused


def _none(message: str, place: Place | None = None) -> ConfigError:
    return ConfigError([Located(Problem((), message), place)])
