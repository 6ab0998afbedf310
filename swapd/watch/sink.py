"""The way to standard output, which may be a pipe that nobody reads, or a disk that is full.

Rule 1: putting never blocks and never fails; a thread writes.
Rule 2: what waits is bounded: the oldest goes, and a line says how much.
Rule 3: once writing cannot succeed any more it ends, and nobody hears of it: there is no place
to say so.
"""

import errno
import os
import select
import threading
import time
from collections import deque
from collections.abc import Mapping

from swapd.watch.printing import Entry, Form, Message, Printer

# What waits to be written, in bytes.
MOST = 1024 * 1024

# What every entry costs besides its text, so that a million empty ones are bounded as well.
EACH = 128

# After each write: a burst of lines becomes a few writes, and nobody sees the delay. Seconds.
PAUSE = 0.03

# What a file system says that will have room again. All else stays as it is.
_PASSING = {errno.ENOSPC, errno.EDQUOT}

# How often a file that takes nothing now is asked again whether it does. Milliseconds.
_LOOK = 1000


class Sink:
    """Writes to a file descriptor in a thread of its own."""

    def __init__(self, fd: int, form: Form) -> None:
        self._fd = fd
        self._printer = Printer(form)
        self._entries = deque[Entry]()
        self._size = 0
        self._dropped = 0
        self._over = False
        """Whether nothing will be written any more."""
        self._torn = False
        """Whether the last line was not written to its end."""
        # One that may be taken twice: what the collector of garbage ends may have to say so.
        self._lock = threading.RLock()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="swapd log", daemon=True)
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Have it written some time."""
        with self._lock:
            if self._over:
                return
            self._entries.append(entry)
            self._size += _cost(entry)
            while self._size > MOST:
                oldest = self._entries.popleft()
                self._size -= _cost(oldest)
                self._dropped += _length(oldest)
        if not self._news.is_set():
            self._news.set()

    def close(self, seconds: float) -> None:
        """Write what waits, for at most so many seconds, and then nothing more."""
        self._closing.set()
        self._news.set()
        self._thread.join(seconds)
        self._end()

    def _run(self) -> None:
        try:
            while not self._over:
                self._news.wait()
                self._news.clear()
                # Asked before what waits is taken: what came before the end is written.
                last = self._closing.is_set()
                self._write(self._taken(last=last))
                if last:
                    self._end()
                self._closing.wait(PAUSE)
        except OSError:
            self._end()

    def _taken(self, *, last: bool) -> bytes:
        """Take all that waits, as it is to be written."""
        with self._lock:
            entries, self._entries = self._entries, deque()
            dropped, self._dropped = self._dropped, 0
            self._size = 0
        now = time.time()
        text = self._printer.gap(now, dropped) if dropped else b""
        text += self._printer.write(entries)
        return text + self._printer.rest(now) if last else text

    def _write(self, text: bytes) -> None:
        """Write it whole, however long that takes; raise OSError where that is for ever."""
        if not text:
            return
        if self._torn:
            text = b"\n" + text
        left = memoryview(text)
        while left and not self._over:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:
                # Whoever shares the terminal may have made it so.
                self._wait_for_room()
            except OSError as problem:
                if problem.errno not in _PASSING:
                    raise
                if len(left) < len(text):
                    self._torn = text[-len(left) - 1] != ord("\n")
                with self._lock:
                    self._dropped += len(left)
                return
        self._torn = False

    def _wait_for_room(self) -> None:
        room = select.poll()
        room.register(self._fd, select.POLLOUT)
        room.poll(_LOOK)

    def _end(self) -> None:
        with self._lock:
            self._over = True
            self._entries.clear()
            self._size = 0


def under_service_manager(environment: Mapping[str, str], fd: int) -> bool:
    """Tell whether a service manager reads what is written there, and wants priorities."""
    try:
        there = os.fstat(fd)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"


def _length(entry: Entry) -> int:
    return len(entry.written) if isinstance(entry, Message) else len(entry.data)


def _cost(entry: Entry) -> int:
    return EACH + _length(entry)
