"""Secrets that the service manager keeps in files: `LoadCredential=` of a systemd unit.

Rule 1: only what a configuration asks for is read, once for each reading of it.
Rule 2: whatever was read is remembered as a secret, also when the configuration turns out broken.
"""

import os
import re
import stat
from collections.abc import Mapping

# Where the service manager puts the files, as it says itself.
DIRECTORY = "CREDENTIALS_DIRECTORY"

# More than any key or token; systemd itself stops at a megabyte.
LARGEST_CREDENTIAL = 65_536

_NAME = re.compile(r"[a-zA-Z0-9_.-]+")


class NoCredential(Exception):
    """The credential cannot be had."""


class Credentials:
    """The credentials in a directory, by name."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._directory = environ.get(DIRECTORY, "")
        self._read: dict[str, str] = {}

    @property
    def read(self) -> frozenset[str]:
        """What was read so far; none of it may be shown."""
        return frozenset(self._read.values())

    def find(self, name: str) -> str:
        """Read a credential, without the newline at its end; raise `NoCredential`."""
        if not _NAME.fullmatch(name) or not name.strip("."):
            raise NoCredential(
                f"a credential cannot be called {name!r}: letters, digits, '.', '_' and '-' only"
            )
        if name not in self._read:
            self._read[name] = self._text(name).removesuffix("\n")
        return self._read[name]

    def _text(self, name: str) -> str:
        if not self._directory:
            why = f"${DIRECTORY} is not set"
            raise NoCredential(f"credential {name} is not there: {why}; {_remedy(name)}")
        try:
            found = _bytes(os.path.join(self._directory, name))
        except FileNotFoundError as gone:
            raise NoCredential(f"credential {name} is not there: {_remedy(name)}") from gone
        except (OSError, ValueError) as refused:
            why = getattr(refused, "strerror", None) or str(refused)
            raise NoCredential(f"cannot read credential {name}: {why}") from refused
        try:
            return found.decode()
        except UnicodeDecodeError:
            # Not "from": what it holds must not be in a traceback either.
            raise NoCredential(f"cannot read credential {name}: not UTF-8 text") from None


def _bytes(path: str) -> bytes:
    # Not waiting: a pipe that nobody writes to would be opened for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        found = opened.read(LARGEST_CREDENTIAL + 1)
    if len(found) > LARGEST_CREDENTIAL:
        raise ValueError(f"larger than {LARGEST_CREDENTIAL} bytes")
    return found


def _remedy(name: str) -> str:
    return f"LoadCredential={name}:/path/of/its/file in the unit puts it there"
