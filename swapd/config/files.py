"""Which files a configuration is read from."""

import os
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
        inside = _listed(directory)
        for path in inside:
            if config is not None and os.path.abspath(path) == os.path.abspath(config):
                raise _none(
                    f"{config} is also in {directory}: give it only once", Place(str(path))
                )
        files += inside
    if not files:
        raise _none(f"no *.yaml or *.yml file in {directory}")
    return files


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
