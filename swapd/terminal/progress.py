"""How far a load is, drawn while something else waits for it.

Rule 1: the last thing drawn is nothing: whatever is written next begins at the left of an empty
line.
Rule 2: what cannot be drawn is not; the load matters, not its picture.
"""

import shutil
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self, TextIO

from swapd.terminal.words import cut, lasting, visible

# How often it moves: quickly enough to be alive, slowly enough for a terminal far away.
STEP = 0.2

# How wide the bar itself is.
BAR = 24

# To the left of the line, and away with what stands right of it.
_BACK, _REST = "\r", "\x1b[K"


def bar(model: str, elapsed: float, expected: float | None) -> str:
    """Draw how far a load is; one of which nothing is known has a clock only."""
    if not expected or expected < 0:
        return f"loading {visible(model)}  {lasting(elapsed)}"
    full = min(BAR, int(BAR * elapsed / expected))
    drawn = "#" * full + "-" * (BAR - full)
    return f"loading {visible(model)}  [{drawn}]  {lasting(elapsed)} of {lasting(expected)}"


class Progress:
    """A bar that moves until this is left."""

    def __init__(self, model: str, expected: float | None, out: TextIO) -> None:
        self._model = model
        self._expected = expected
        self._out = out
        self._over = threading.Event()
        # A thread, as the one that waits for the answer can do nothing else meanwhile.
        self._drawing = threading.Thread(target=self._draw, daemon=True)

    def __enter__(self) -> Self:
        self._drawing.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._drawing.join()

    def _draw(self) -> None:
        started = time.monotonic()
        with suppress(OSError):
            while not self._over.wait(STEP):
                text = bar(self._model, time.monotonic() - started, self._expected)
                # One less, as the cursor has to stand somewhere.
                fits = cut(text, shutil.get_terminal_size().columns - 1)
                self._out.write(f"{_BACK}{fits}{_REST}")
                self._out.flush()
            self._out.write(f"{_BACK}{_REST}")
            self._out.flush()
