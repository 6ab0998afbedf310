"""The newest bytes of a log.

Rule 1: it never grows beyond its capacity: the oldest bytes go.
Rule 2: bytes are kept as they came; only a reader makes lines and characters of them.
Rule 3: nothing is allocated before something is written.
"""

# llama-swap's history of a log, in bytes.
CAPACITY = 102_400


class Ring:
    """Keeps the last bytes that were written."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self._kept = bytearray()
        self._oldest = 0
        """Where the oldest byte stands, once all is full."""

    def write(self, data: bytes) -> None:
        """Keep it, and forget the oldest for it."""
        data = data[-self.capacity :]
        room = self.capacity - len(self._kept)
        self._kept += data[:room]
        data = data[room:]
        while data:
            here = data[: self.capacity - self._oldest]
            end = self._oldest + len(here)
            self._kept[self._oldest : end] = here
            self._oldest = end % self.capacity
            data = data[len(here) :]

    def history(self) -> bytes:
        """Answer with all that is kept, oldest first."""
        if not self._oldest:
            return bytes(self._kept)
        return bytes(self._kept[self._oldest :] + self._kept[: self._oldest])

    def clear(self) -> None:
        """Forget everything, and give its memory back."""
        self._kept = bytearray()
        self._oldest = 0
