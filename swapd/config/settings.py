"""What a configuration says, resolved: frozen classes and their defaults, nothing else.

Everything here is final: macros are expanded, ports assigned, inherited values filled in. All
times are seconds. Field names are the configuration's keys in snake_case; the camelCase spelling
of the file is the business of `decode.py`.
"""

from collections.abc import Mapping
from enum import Enum

import attrs

from swapd.ids import ModelId


class LogLevel(Enum):
    """How much swapd says about itself."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class SchedulerKind(Enum):
    """The order in which requests run."""

    SERIAL = "serial"


@attrs.frozen
class Origin:
    """Where a model answers: the parsed `proxy` URL."""

    scheme: str
    host: str
    port: int
    path: str = ""
    """Joined in front of every request path; no slash at its end."""
    query: str = ""
    """Put in front of every request's query; without the question mark."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


@attrs.frozen
class Model:
    """One model: how its server is started, reached and stopped."""

    id: ModelId
    cmd: str
    """The command as written, comments removed and macros expanded; what `/running` shows."""
    argv: tuple[str, ...]
    """`cmd` split into arguments; never empty."""
    origin: Origin
    proxy: str
    """The text that `origin` was parsed from."""
    stop_argv: tuple[str, ...] | None = None
    """`cmdStop` split into arguments, with `${PID}` still in place; None sends SIGTERM."""
    env: tuple[str, ...] = ()
    """`NAME=value` entries added to the inherited environment; the later wins."""
    check_endpoint: str | None = "/health"
    """Path (and query) that answers 200 when the model is ready; None for "ready at spawn"."""
    health_timeout: float = 120.0
    """How long a start may take until it is ready."""
    ttl: float = 0.0
    """Idle time after which the model is unloaded; 0 keeps it."""
    unload_timeout: float = 10.0
    """How long a stop may take before SIGKILL."""
    aliases: tuple[str, ...] = ()
    name: str = ""
    description: str = ""
    unlisted: bool = False
    """Hidden from `/v1/models`, still served."""
    use_model_name: str = ""
    """Replaces `model` in the body that the model's server gets; empty leaves it."""


@attrs.frozen
class SerialSettings:
    """`routing.scheduler.settings.serial`."""

    max_queue: int = 1000
    """How many requests may wait; one more is refused with 429."""


@attrs.frozen
class Settings:
    """A whole configuration."""

    models: Mapping[ModelId, Model] = attrs.field(factory=dict)
    """In the order of the file."""
    log_level: LogLevel = LogLevel.INFO
    scheduler: SchedulerKind = SchedulerKind.SERIAL
    serial: SerialSettings = SerialSettings()

    _aliased: Mapping[str, ModelId] = attrs.field(init=False, eq=False, repr=False)

    @_aliased.default
    def _index(self) -> Mapping[str, ModelId]:
        # Of two models with one alias the first has it; `rules.py` lets none such through.
        entries = [(alias, own) for own, model in self.models.items() for alias in model.aliases]
        return dict(reversed(entries))

    def resolve(self, name: str) -> ModelId | None:
        """Find the model that a client means by `name`: an id first, then an alias."""
        own = ModelId(name)
        return own if own in self.models else self._aliased.get(name)
