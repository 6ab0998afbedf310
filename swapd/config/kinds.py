"""The words that some keys are limited to."""

from enum import Enum


class LogLevel(Enum):
    """How much swapd says about itself."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


LEVELS = tuple(level.value for level in LogLevel)


class LogTarget(Enum):
    """Whose lines go to standard output."""

    PROXY = "proxy"
    """swapd's own."""
    UPSTREAM = "upstream"
    """What the models write."""
    BOTH = "both"
    NONE = "none"


class SchedulerKind(Enum):
    """The order in which requests run."""

    SERIAL = "serial"
    """One at a time, in exact order of arrival, one model in memory."""
    FIFO = "fifo"
    """Requests for the same model together; groups or the matrix say what may run side by side."""


class RouterKind(Enum):
    """What says which models may run side by side."""

    GROUP = "group"
    MATRIX = "matrix"


CHOICES: tuple[type[Enum], ...] = (SchedulerKind, RouterKind)
"""Where an empty text chooses the default."""


class Strategy(Enum):
    """How a selector picks one of its targets."""

    PIN = "pin"
    """Always the first."""
    WARM = "warm"
    """The first that is loaded, else the first that is loading, else the first."""
    SPILLOVER = "spillover"
    """The first that is not full."""


class Modality(Enum):
    """What a model takes in or gives out."""

    TEXT = "text"
    AUDIO = "audio"
    IMAGE = "image"


TIME_FORMATS = (
    *("ansic", "unixdate", "rubydate", "rfc822", "rfc822z", "rfc850", "rfc1123", "rfc1123z"),
    *("rfc3339", "rfc3339nano", "kitchen", "stamp", "stampmilli", "stampmicro", "stampnano"),
)
"""What `logTimeFormat` may name; anything else prints no time."""
