"""How a command ends when it has not done what it was asked for, and the exit codes of that.

Rule 1: messages may quote a server's words; whoever shows them makes them harmless (words.py).
"""

from typing import ClassVar

# The shell's own number for a program that Ctrl-C has ended.
INTERRUPTED = 130


class Ending(Exception):
    """A reason to leave with a number other than 0."""

    code: ClassVar[int]


class Refused(Ending):
    """The daemon said no."""

    code = 1

    def __init__(self, message: str, *, lines: tuple[str, ...] = (), body: bytes = b"") -> None:
        super().__init__(message)
        self.lines = lines
        """What a model wrote last, where that is why."""
        self.body = body
        """What the endpoint said, as it said it."""


class NobodyThere(Ending):
    """There is no daemon."""

    code = 3


class CannotTell(Ending):
    """Something is there, or may be, and does not answer as a swapd does."""

    code = 4
