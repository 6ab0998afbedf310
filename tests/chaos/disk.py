"""A small disk, that can be filled."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

# Room for the state, the record, and some uploads at a time.
SIZE = 24 * 1024 * 1024

_FILL = "fill"


@attrs.frozen
class Disk:
    """A folder, and whether it is a disk of its own."""

    folder: Path
    small: bool

    def fill(self) -> None:
        """Leave no byte free."""
        piece = 65536
        with open(self.folder / _FILL, "ab", buffering=0) as file:
            while piece:
                try:
                    file.write(b"x" * piece)
                except OSError as full:
                    if full.errno != errno.ENOSPC:
                        raise
                    piece //= 2

    def clear(self) -> None:
        """Take away what it was filled with."""
        (self.folder / _FILL).unlink(missing_ok=True)


@contextmanager
def open_disk(folder: Path) -> Iterator[Disk]:
    """Mount a small disk there, where one may; leaving fails if a file there is still open."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "swapd-chaos", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        yield Disk(folder, small=False)
        return
    in_use = True
    try:
        yield Disk(folder, small=True)
        in_use = False
    finally:
        # Lazily after a failure, which must be seen and not hidden behind another.
        lazily = ["-l"] if in_use else []
        subprocess.run(["umount", *lazily, str(folder)], check=True, capture_output=True)
