"""What a file says, typed but not yet resolved: frozen classes and their defaults.

Rule 1: an attribute is a key of the file in snake_case; `keys` tells the file's spelling.
Rule 2: a default is what the absent key means; null means the same, and an empty list for a list.
Rule 3: nothing here is inherited, clamped or parsed. That is the business of `rules.py`.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from swapd.config.settings import LogLevel, SchedulerKind

START_PORT = 5800
INHERIT_TTL = -1

# The metadata of a field whose key is not its name in camelCase.
_KEY = "key"


@attrs.frozen
class WrittenModel:
    """`models.<id>`."""

    cmd: str = ""
    cmd_stop: str = ""
    proxy: str | None = None
    """Filled in by the macro step where the file has none; None only next to another mistake."""
    env: tuple[str, ...] = ()
    check_endpoint: str = "/health"
    ttl: int = INHERIT_TTL
    unload_timeout: int = 0
    """0 for the common one."""
    aliases: tuple[str, ...] = ()
    name: str = ""
    description: str = ""
    unlisted: bool = False
    use_model_name: str = ""


@attrs.frozen
class WrittenSerial:
    """`routing.scheduler.settings.serial`."""

    max_queue: int = 1000


@attrs.frozen
class WrittenSchedulerSettings:
    """`routing.scheduler.settings`."""

    serial: WrittenSerial = WrittenSerial()


@attrs.frozen
class WrittenScheduler:
    """`routing.scheduler`."""

    use: SchedulerKind = SchedulerKind.SERIAL
    settings: WrittenSchedulerSettings = WrittenSchedulerSettings()


@attrs.frozen
class WrittenRouting:
    """`routing`."""

    scheduler: WrittenScheduler = WrittenScheduler()


@attrs.frozen
class WrittenSettings:
    """A whole configuration."""

    models: Mapping[str, WrittenModel] = attrs.field(factory=dict)
    health_check_timeout: int = 120
    start_port: int = START_PORT
    global_ttl: int = attrs.field(default=0, metadata={_KEY: "globalTTL"})
    unload_timeout: int = 10
    log_level: LogLevel = LogLevel.INFO
    routing: WrittenRouting = WrittenRouting()


def keys(cls: type[Any]) -> dict[str, str]:
    """Name the keys of a class: from attribute to the spelling of the file."""
    return {
        field.name: field.metadata.get(_KEY, _camel(field.name)) for field in attrs.fields(cls)
    }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
