"""What a file says, typed but not yet resolved: frozen classes, their defaults, what they are for.

Rule 1: an attribute is a key of the file in snake_case; `keys.py` tells the file's spelling.
Rule 2: a default is what the absent key means; null means the same, and an empty list for a list.
Rule 3: what a key is for stands beside it, once: the JSON Schema that editors read is made of it.
Rule 4: nothing here is inherited, clamped or parsed. That is the business of `resolve.py`.
"""

from collections.abc import Mapping

import attrs

from swapd.config.durations import Duration
from swapd.config.keys import FILLED_IN, key
from swapd.config.kinds import LEVELS, TIME_FORMATS, LogTarget
from swapd.config.written_models import Free, WrittenModel, WrittenPeer
from swapd.config.written_routing import (
    WrittenGroup,
    WrittenMatrix,
    WrittenProfile,
    WrittenRouting,
    WrittenSelector,
)

START_PORT = 5800


@attrs.frozen
class WrittenStore:
    """`store`."""

    path: str = key("", "An SQLite file for the record of requests.", required=True)
    max_rows: int = key(1_000_000, "The newest requests that the file keeps; 0 for all.", least=0)
    max_days: int = key(0, "For how many days the file keeps a request; 0 for ever.", least=0)


@attrs.frozen
class WrittenActivity:
    """`ui.activity`."""

    session_id: tuple[str, ...] = key(
        ("X-Session-ID", "X-Litellm-Session-Id"),
        "Headers that name a client's session, the first present wins; [] for none.",
        spelled="session_id",
    )


@attrs.frozen
class WrittenUi:
    """`ui`."""

    activity: WrittenActivity = key(WrittenActivity(), "The record of requests.")


@attrs.frozen
class WrittenPerformance:
    """`performance`: measuring the machine."""

    disabled: bool = key(False, "Whether the machine is left unmeasured.")
    every: Duration = key(
        Duration("5s", 5.0), "How often; a duration such as 30s or 1m30s, at least 5s."
    )
    enable: bool = key(True, "Without effect, as in llama-swap: `disabled: true` turns it off.")


@attrs.frozen
class WrittenOnStartup:
    """`hooks.on_startup`."""

    preload: tuple[str, ...] = key((), "Models to load at the start, in this order.")


@attrs.frozen
class WrittenHooks:
    """`hooks`."""

    on_startup: WrittenOnStartup = key(
        WrittenOnStartup(), "What is done at the start.", spelled="on_startup"
    )


@attrs.frozen
class WrittenUpstream:
    """`upstream`."""

    ignore_paths: tuple[str, ...] = key(
        (),
        "Patterns (RE2) of paths that load no model; an empty list stands for the default, the "
        "files of web pages.",
    )


@attrs.frozen
class WrittenSettings:
    """A whole configuration."""

    models: Mapping[str, WrittenModel] = key(FILLED_IN, "The models, by the id clients ask for.")
    health_check_timeout: int = key(
        120, "Seconds from a model's start until it must be ready; less than 15 counts as 15."
    )
    start_port: int = key(
        START_PORT, "The first ${PORT}; models take one each, by their ids.", least=1
    )
    global_ttl: int = key(
        0,
        "Seconds without use after which a model is unloaded; 0 for never.",
        spelled="globalTTL",
        least=0,
    )
    unload_timeout: int = key(
        10, "Seconds that a stop may take before SIGKILL; 0 for the default.", least=0
    )
    macros: Free = key(
        FILLED_IN,
        "${NAME} anywhere is replaced by the value here, which may use macros named before it.",
    )
    api_keys: tuple[str, ...] = key(
        (),
        "One of these must come with every request; none for no check. Instead of a key, "
        "sha256:<its SHA-256 in hexadecimal digits> keeps the secret out of the file.",
        secret=True,
    )
    send_loading_state: bool = key(False, "Whether a waiting stream is told of the loading.")
    include_aliases_in_list: bool = key(False, "Whether aliases are listed beside the models.")
    peers: Mapping[str, WrittenPeer] = key(FILLED_IN, "Other servers with models of their own.")
    selectors: Mapping[str, WrittenSelector] = key(
        FILLED_IN, "Names that stand for one of several models."
    )
    profiles: Mapping[str, WrittenProfile] = key(
        FILLED_IN, "Replacements of names that are switched on together."
    )
    routing: WrittenRouting = key(WrittenRouting(), "Which requests and models run when.")
    groups: Mapping[str, WrittenGroup] = key(
        FILLED_IN, "The old place of routing.router.settings.groups."
    )
    matrix: WrittenMatrix | None = key(None, "The old place of routing.router.settings.matrix.")
    hooks: WrittenHooks = key(WrittenHooks(), "What is done by itself.")
    upstream: WrittenUpstream = key(WrittenUpstream(), "Requests passed on under /upstream.")
    log_level: str = key(
        "info", "How much swapd says about itself; any other word means info.", words=LEVELS
    )
    log_time_format: str = key(
        "",
        "The time in front of logged lines, by its name; any other word means none.",
        words=TIME_FORMATS,
    )
    log_to_stdout: LogTarget = key(LogTarget.PROXY, "Whose lines go to standard output.")
    log_requests: bool = key(False, "Without effect, as in llama-swap.")
    metrics_max_in_memory: int = key(1000, "Requests remembered without a store.")
    record_activity: bool = key(
        True, "Whether finished requests are recorded: tokens, times, and what captures keep."
    )
    capture_buffer: int = key(5, "Megabytes of captured requests and answers; 0 for none.")
    store: WrittenStore | None = key(None, "Where the record of requests outlives a restart.")
    ui: WrittenUi = key(WrittenUi(), "What the web pages show.")
    performance: WrittenPerformance = key(WrittenPerformance(), "Measuring the machine.")
