"""What a configuration says, resolved: frozen classes, nothing else.

Everything here is final: macros are expanded, ports assigned, inherited values filled in, old
spellings translated. All times are seconds. What a file may say, and what it means to say nothing,
is the business of `written.py`.
"""

from collections.abc import Mapping

import attrs

from swapd.config.expression import Expression
from swapd.config.kinds import LogLevel, LogTarget, Modality, RouterKind, SchedulerKind, Strategy
from swapd.config.names import Names
from swapd.config.values import Value
from swapd.ids import ModelId

HASHED_KEY = "sha256:"
"""Begins an API key that is given by its SHA-256 in hexadecimal digits."""

Params = Mapping[str, Value]
"""Parameters of a request, by name, in the order in which they are set."""


@attrs.frozen
class Origin:
    """Where a model or a peer answers: the parsed `proxy` URL."""

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
class Timeouts:
    """Limits on an exchange with a model or a peer; 0 is no limit."""

    connect: float = 30.0
    keepalive: float = 30.0
    response_header: float = 0.0
    tls_handshake: float = 10.0
    expect_continue: float = 1.0
    idle_conn: float = 90.0


@attrs.frozen
class Filters:
    """What is changed in a JSON request. `model` is never among the parameters."""

    strip: tuple[str, ...] = ()
    """Parameters to remove, sorted."""
    set_params: Params = attrs.field(factory=dict)
    """Parameters to set, sorted."""
    by_name: Mapping[str, Params] = attrs.field(factory=dict)
    """Parameters to set for the name that was asked for."""


@attrs.frozen
class Capabilities:
    """What the list of models says that a model can do."""

    inputs: tuple[Modality, ...] = ()
    outputs: tuple[Modality, ...] = ()
    tools: bool = False
    reranker: bool = False
    context: int = 0

    @property
    def empty(self) -> bool:
        """Say whether nothing is told."""
        return self == Capabilities()


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
    cmd_stop: str = ""
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
    """Written ones first, then those that come from `setParamsByID`."""
    name: str = ""
    description: str = ""
    unlisted: bool = False
    """Hidden from `/v1/models`, still served."""
    use_model_name: str = ""
    """Replaces `model` in the body that the model's server gets; empty leaves it."""
    concurrency_limit: int = 0
    """Requests at a time under fifo; 0 for no limit of its own."""
    filters: Filters = Filters()
    metadata: Mapping[str, Value] | None = None
    send_loading_state: bool = False
    timeouts: Timeouts = Timeouts()
    ignore_websockets: bool = False
    capabilities: Capabilities = Capabilities()
    liveness_interval: float = 0.0
    """How often it is asked for its health while nobody uses it; 0 for never."""
    prefetch: tuple[str, ...] | None = None
    """Files to read ahead besides those in `argv`; None to read none at all."""


@attrs.frozen
class Peer:
    """Another server that answers for models of its own."""

    id: str
    origin: Origin
    models: tuple[str, ...]
    """Each once."""
    api_key: str = attrs.field(default="", repr=False)
    filters: Filters = Filters()
    timeouts: Timeouts = Timeouts(response_header=60.0)


@attrs.frozen
class Selector:
    """A name that stands for one of several models."""

    id: str
    strategy: Strategy
    targets: tuple[str, ...]
    spillover: int = 1
    name: str = ""
    description: str = ""
    unlisted: bool = False
    metadata: Mapping[str, Value] = attrs.field(factory=dict)


@attrs.frozen
class Profile:
    """Replacements of names that are switched on together."""

    id: str
    pins: Mapping[str, str]
    """What is served for a name; an empty text turns the name off."""
    description: str = ""


@attrs.frozen
class Group:
    """Models that share a rule about running side by side."""

    swap: bool = True
    exclusive: bool = True
    persistent: bool = False
    members: tuple[ModelId, ...] = ()


@attrs.frozen
class Matrix:
    """Which sets of models may run side by side."""

    sets: tuple[Expression, ...]
    """In the order in which ties are broken."""
    evict_costs: Mapping[ModelId, int] = attrs.field(factory=dict)
    """What losing a running model costs; 1 for those that are not here."""


@attrs.frozen
class SerialSettings:
    """`routing.scheduler.settings.serial`."""

    max_queue: int = 1000
    """How many requests may wait; one more is refused with 429."""


@attrs.frozen
class FifoSettings:
    """`routing.scheduler.settings.fifo`."""

    priority: Mapping[ModelId, int] = attrs.field(factory=dict)
    """Higher goes first; 0 for those that are not here."""
    max_queue: int = 1000
    """How many requests may wait; one more is refused with 429."""
    max_turn: float = 30.0
    """How long a model may be granted requests while another waits for it to go; 0 for ever."""


@attrs.frozen
class Performance:
    """Measuring the machine."""

    disabled: bool = False
    every: float = 5.0


@attrs.frozen
class Settings:
    """A whole configuration."""

    models: Mapping[ModelId, Model] = attrs.field(factory=dict)
    """In the order of the file."""
    peers: Mapping[str, Peer] = attrs.field(factory=dict)
    selectors: Mapping[str, Selector] = attrs.field(factory=dict)
    profiles: Mapping[str, Profile] = attrs.field(factory=dict)
    scheduler: SchedulerKind = SchedulerKind.SERIAL
    serial: SerialSettings = SerialSettings()
    fifo: FifoSettings = FifoSettings()
    router: RouterKind = RouterKind.GROUP
    groups: Mapping[str, Group] = attrs.field(factory=dict)
    """With `(default)`, of all models that no other has; none at all under the matrix."""
    matrix: Matrix | None = None
    """None under groups."""
    preload: tuple[ModelId, ...] = ()
    api_keys: tuple[str, ...] = attrs.field(default=(), repr=False)
    """One of these must come with every request; none for no check."""
    include_aliases_in_list: bool = False
    ignore_paths: tuple[str, ...] = ()
    """Patterns (RE2) of paths under `/upstream` that load no model; see `patterns.py`."""
    log_level: LogLevel = LogLevel.INFO
    log_time_format: str = ""
    log_to_stdout: LogTarget = LogTarget.PROXY
    record_activity: bool = True
    metrics_max_in_memory: int = 1000
    capture_buffer: int = 5
    """Megabytes; 0 for none."""
    store_path: str | None = None
    """The file of the record of requests; None for memory."""
    store_rows: int = 1_000_000
    """How many requests it keeps; 0 for all."""
    store_days: int = 0
    """For how long, in days; 0 for ever."""
    session_headers: tuple[str, ...] = ()
    performance: Performance = Performance()

    names: Names = attrs.field(init=False, eq=False, repr=False)

    @names.default
    def _index(self) -> Names:
        return Names.of(
            {own: model.aliases for own, model in self.models.items()},
            {own: peer.models for own, peer in self.peers.items()},
        )

    def resolve(self, name: str) -> ModelId | None:
        """Find the model that a client means by `name`: an id first, then an alias."""
        return self.names.local(name)
