"""The end of a log, as it is told to everybody who follows `GET /api/events`.

Rule 1: a flood is told in part, and by how much: so many bytes, so many times a second.
Rule 2: a character whose bytes come one by one is told when it is whole; what is none, as U+FFFD.
Rule 3: history and news are taken at one moment: nothing is told twice, or not at all.
"""

import codecs
import re
from collections.abc import Callable

import trio

from swapd.manage.frames import Frame, log_text
from swapd.watch.follower import Follower, marker
from swapd.watch.monitor import Monitor

# Nobody reads faster than ten times a second.
PAUSE = 0.1

# The most that is told of a log at once, in bytes: some hundred lines.
MOST = 32 * 1024

# The bytes of a character but for its first; where a log is cut, the rest of one may stand.
_FOLLOWING = bytes(range(0x80, 0xC0))

_GAP = re.compile(marker(0).replace(b"0", b"([0-9]{1,15})"))


class Tail:
    """One log; `monitor` has its history, and `follower` what comes after."""

    def __init__(self, source: str, monitor: Monitor, follower: Follower) -> None:
        self._source = source
        self._monitor = monitor
        self._follower = follower
        self._pending = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._history: Frame | None = None

    async def run(self, wake: Callable[[], None]) -> None:
        """Wake who tells the news, now and then, until the log is closed."""
        while data := await self._follower.receive():
            self._pending += data
            wake()
            await trio.sleep(PAUSE)

    def news(self, *, at_once: bool) -> Frame | None:
        """Take what came since the last time, or as much of it as people can read.

        Unless it must be taken `at_once`, what came a moment ago waits for more.
        """
        if not self._pending and not at_once:
            return None
        data = self._pending + self._follower.take()
        self._pending = b""
        if not data:
            return None
        self._history = None
        return log_text(self._source, self._text(data), told=len(data))

    def history(self) -> Frame:
        """Tell all that is known; to be asked right after the news were taken at once."""
        if self._history is None:
            data = self._monitor.history()
            begun, _ = self._decoder.getstate()
            # Its end will be in the news, with the beginning that the decoder has.
            text = data.removesuffix(begun).lstrip(_FOLLOWING).decode(errors="replace")
            self._history = log_text(self._source, text)
        return self._history

    def _text(self, data: bytes) -> str:
        excess = len(data) - MOST
        if excess <= 0:
            return self._decoder.decode(data)
        self._decoder.reset()
        rest = data[excess:].lstrip(_FOLLOWING)
        # The follower, too, says where something is missing.
        missing = sum(map(int, _GAP.findall(data[:excess])))
        return marker(excess + missing).decode() + self._decoder.decode(rest)
