"""What will happen in one simulation: a story, told in advance, of which any part can be left out.

Whatever the dice decide is decided here, so that a story that fails can be made shorter and still
goes the same way: who comes, when, and what becomes of each process that is started.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import attrs

# Nothing new begins later than this. Seconds of pretend time.
DAY = 60.0


class Kind(Enum):
    """How a model's server answers."""

    WHOLE = "whole"
    CHUNKED = "in chunks"
    EVENTS = "a stream of events"
    UNTIL_CLOSE = "as long as it is connected"
    ERROR = "status 500"
    HALF = "half of it, and closes"
    SHORT = "less than it announced, and closes"
    RESET = "half of it, and resets"
    STALL = "half of it, and then nothing"
    NOTHING = "closes without a word"
    SILENT = "never a word"
    HUGE_HEAD = "a head without end"
    GARBAGE = "what is no HTTP"
    GARBLED = "chunks that are none"


HONEST = (Kind.WHOLE, Kind.CHUNKED, Kind.EVENTS, Kind.UNTIL_CLOSE)


class Sends(Enum):
    """How a client sends its request."""

    WHOLE = "whole"
    SLOWLY = "slowly"
    HALF_HEAD = "half a head"
    HALF_BODY = "half a body"
    GARBAGE = "what is no HTTP"
    TWICE = "twice at once"
    LARGE = "a body that is too large"
    HALF_CLOSED = "whole, and says that there will be no more"


class Reads(Enum):
    """How a client reads its answer."""

    ALL = "all"
    SLOWLY = "slowly"
    NEVER = "never"


class Does(Enum):
    """What an operator, or the machine, does."""

    UNLOAD_ALL = "GET /unload"
    UNLOAD = "unload it now"
    DRAIN = "unload it when it is idle"
    KEEP = "unload it, and let the queue wait"
    RELOAD = "reload"
    HANGUP = "SIGHUP"
    BREAK_FILE = "SIGHUP, and the file is broken"
    CANCEL = "cancel the first of the queue"
    LOAD = "load it in the background"
    RESET = "forget its failures"
    LOOK = "look at everything"
    FOLLOW = "follow what happens, and never read"
    STEAL = "a stranger listens at its port"
    LEAVE_PORT = "the stranger leaves its port"
    SLOW_DISK = "the disk is slow"
    FULL_DISK = "the disk is full"
    GOOD_DISK = "the disk is well again"
    HURRY = "unload it, and kill it in a second"
    PATIENT = "unload it, and kill it in a minute"


@attrs.frozen
class Life:
    """What becomes of a model's process: the `nth` that is started."""

    model: str
    nth: int
    load: float = 1.0
    """Seconds until it is ready."""
    listens: bool = True
    """Whether it accepts connections before that."""
    ready: str = "answers"
    """`answers` its health check, `says` so itself, or `never`."""
    starts: bool = True
    dies: float | None = None
    """Seconds after its start."""
    refuses: float = 0.0
    """Seconds for which it accepts no connection any more before it dies."""
    status: int = 1
    deaf: bool = False
    """Whether it ignores SIGTERM."""
    stop: float = 0.5
    """Seconds from SIGTERM to its end."""
    survives: float = 0.0
    """Seconds from SIGKILL to its end."""
    child: bool = False
    """Whether it leaves a process behind that ignores SIGTERM."""
    port: float = 0.0
    """Seconds for which its port is taken when it is gone."""
    silent: float | None = None
    """Seconds after which it answers no health check any more."""
    writes: int = 0
    """Bytes of noise that it writes."""


@attrs.frozen
class Answer:
    """What a model's server makes of one request."""

    kind: Kind = Kind.WHOLE
    after: float = 0.5
    """Seconds until its first byte."""
    pieces: int = 3
    pause: float = 0.1
    """Seconds between two of them."""
    size: int = 100
    """Bytes of each."""
    hangs_up: bool = False
    """Whether the connection is closed behind a whole answer that has not said so."""


@attrs.frozen
class Visit:
    """A client, and its request."""

    name: int
    at: float
    steps: int
    """Steps of everybody's tasks after that moment."""
    model: str
    stream: bool = False
    path: str = "/v1/chat/completions"
    answer: Answer = Answer()
    sends: Sends = Sends.WHOLE
    reads: Reads = Reads.ALL
    keep: int | None = None
    """Seconds that it wants its model to be kept."""
    again: int = 0
    """How many requests follow on the same connection."""
    leaves: float = 250.0
    """Seconds after which it hangs up if it is not answered; nobody waits for ever."""
    leaves_steps: int = 0
    stays: float = 0.0
    """Seconds for which it keeps its connection when it is answered, and asks nothing."""

    def asks_once(self) -> bool:
        """Whether it sends one request."""
        return self.again == 0 and self.sends is not Sends.TWICE


@attrs.frozen
class Deed:
    """Something that is not a request for a model."""

    at: float
    steps: int
    does: Does
    model: str = ""
    edition: int = 0


@attrs.frozen
class Ends:
    """How the day ends."""

    at: float | None = None
    """When it is told to stop, in the middle of everything; None for in the evening."""
    steps: int = 0
    again: float | None = None
    """Seconds until it is told once more."""


@attrs.frozen
class Plan:
    """One day."""

    seed: int
    house: tuple[int, int, float, int]
    """Which configurations there are: two of the routers, the `ttl`, the queue's bound."""
    visits: tuple[Visit, ...] = ()
    lives: tuple[Life, ...] = ()
    deeds: tuple[Deed, ...] = ()
    ends: Ends = Ends()

    def __str__(self) -> str:
        parts: Sequence[object] = (*self.visits, *self.lives, *self.deeds, self.ends)
        return "\n".join(
            [f"seed {self.seed}, house {self.house}", *(f"  {_told(part)}" for part in parts)]
        )

    def __len__(self) -> int:
        return len(self.visits) + len(self.lives) + len(self.deeds)


def _told(part: Any) -> str:
    """Write down what is not as usual."""
    usual = {
        Life: Life("", -1),
        Visit: Visit(-1, -1.0, 0, ""),
        Deed: Deed(-1.0, 0, Does.LOOK),
        Answer: Answer(),
        Ends: Ends(),
    }[type(part)]
    told = []
    for name in (field.name for field in attrs.fields(type(part))):
        value = getattr(part, name)
        if value == getattr(usual, name) and name not in ("does", "at"):
            continue
        if isinstance(value, Answer):
            value = f"({_told(value)})"
        told.append(f"{name}={value.value if isinstance(value, Enum) else value}")
    return f"{type(part).__name__.lower()} {', '.join(told)}"
