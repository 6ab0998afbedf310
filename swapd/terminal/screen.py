"""The terminal, taken for a while: one screen that is drawn over, and keys without Enter.

Rule 1: it is given back as it was, however the program leaves: by a key, a problem, a signal to
end, and for as long as it is stopped by Ctrl-Z.
Rule 2: a frame is written in one go, over the one before; what is cleared first would flicker.
"""

import contextlib
import os
import select
import signal
import socket
import sys
import termios
import tty
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, Self

from swapd.terminal.frame import Size

# Another screen than the one with the shell's lines, and no cursor on it.
_TAKE = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J"
_GIVE_BACK = "\x1b[?25h\x1b[?1049l"

_HOME, _REST_OF_LINE, _REST = "\x1b[H", "\x1b[K", "\x1b[J"

# What is heard of a changed size; no key, as no key is two letters.
RESIZED = "resized"

_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Screen:
    """The terminal of stdout, and the keys of stdin where that is one, too."""

    def __init__(self) -> None:
        self._keys = sys.stdin.fileno() if sys.stdin and sys.stdin.isatty() else None
        self._before: list[Any] = []
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._waking, self._woken = socket.socketpair()
        for end in (self._waking, self._woken):
            end.setblocking(False)
        # A signal ends no `select` in Python, but what it writes there does.
        signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)
        for number in _ENDING:
            self._handlers[number] = signal.signal(number, _end)
        self._handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._pause)
        self._handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, _go_on)
        self._take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._waking.close()
        self._woken.close()
        # A terminal that is gone wants nothing back.
        with contextlib.suppress(OSError):
            self._give_back()

    @property
    def size(self) -> Size:
        """How much it holds now."""
        columns, lines = os.get_terminal_size(sys.stdout.fileno())
        # Serial lines say 0.
        return Size(columns or 80, lines or 24)

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines, and nothing else."""
        text = "\n".join(line + _REST_OF_LINE for line in lines)
        sys.stdout.write(_HOME + text + _REST)
        sys.stdout.flush()

    def heard(self, seconds: float) -> str:
        """Wait for a key or another size, at most for so long; answer with it, or ""."""
        watched = [self._woken.fileno(), *(() if self._keys is None else (self._keys,))]
        ready, _, _ = select.select(watched, (), (), seconds)
        if self._keys in ready:
            assert self._keys is not None
            # A terminal that has hung up has nothing more to say.
            return os.read(self._keys, 1).decode("latin-1") or "q"
        if ready:
            self._woken.recv(4096)
            return RESIZED
        return ""

    def _take(self) -> None:
        if self._keys is not None:
            self._before = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys)
        sys.stdout.write(_TAKE)
        sys.stdout.flush()

    def _give_back(self) -> None:
        try:
            sys.stdout.write(_GIVE_BACK)
            sys.stdout.flush()
        finally:
            if self._keys is not None and self._before:
                termios.tcsetattr(self._keys, termios.TCSADRAIN, self._before)

    def _pause(self, number: int, where: FrameType | None) -> None:
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()


def _end(number: int, where: FrameType | None) -> None:
    # As a shell tells it of a program that a signal has ended.
    sys.exit(128 + number)


def _go_on(number: int, where: FrameType | None) -> None:
    """Take note of nothing: without a handler the signal would wake nobody."""
