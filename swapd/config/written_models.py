"""The keys of models and of peers; the rules of `written.py` hold."""

from collections.abc import Mapping
from typing import Any

import attrs

from swapd.config.keys import FILLED_IN, key
from swapd.config.kinds import Modality

INHERIT_TTL = -1

Free = Mapping[str, Any]
"""Whatever the operator likes to put there."""


@attrs.frozen
class WrittenTimeouts:
    """`timeouts` of a model."""

    connect: int = key(30, "Seconds until a connection must stand; 0 waits for ever.")
    keepalive: int = key(30, "Seconds between TCP keep-alive probes; 0 turns them off.")
    response_header: int = key(
        0, "Seconds until the head of an answer must be there; 0 waits for ever."
    )
    tls_handshake: int = key(
        10, "Seconds that a TLS handshake may take; 0 waits for ever.", spelled="tlsHandshake"
    )
    expect_continue: int = key(1, "Without effect: no request waits for 100 Continue.")
    idle_conn: int = key(90, "Seconds that an idle connection is good for; 0 for no limit.")


@attrs.frozen
class WrittenPeerTimeouts(WrittenTimeouts):
    """`timeouts` of a peer."""

    response_header: int = key(
        60, "Seconds until the head of an answer must be there; 0 waits for ever."
    )


@attrs.frozen
class WrittenFilters:
    """`filters`: what is changed in a JSON request before it is passed on."""

    strip_params: str = key("", "Parameters to remove, separated by commas; never `model`.")
    legacy_strip_params: str = key(
        "", "The old spelling of stripParams, which goes before it.", spelled="strip_params"
    )
    set_params: Free = key(FILLED_IN, "Parameters to set, whatever the request says.")
    set_params_by_id: Mapping[str, Free | None] = key(
        FILLED_IN,
        "Parameters to set when a model is asked for by this name; the name becomes an alias. "
        "Macros are filled in here in names, too.",
        spelled="setParamsByID",
    )


@attrs.frozen
class WrittenCapabilities:
    """`capabilities`: what the list of models says that a model can do."""

    in_: tuple[Modality, ...] = key((), "What it takes in.", spelled="in")
    out: tuple[Modality, ...] = key((), "What it gives out.")
    tools: bool = key(False, "Whether it calls functions.")
    reranker: bool = key(False, "Whether it reranks.")
    context: int = key(0, "Its context length in tokens; 0 says nothing.", least=0)


@attrs.frozen
class WrittenCompat:
    """`compat`: concessions to the model's server."""

    ignore_websockets: bool = key(
        False, "Websockets neither load the model nor count as use of it."
    )


@attrs.frozen
class WrittenModel:
    """`models.<id>`."""

    cmd: str = key(
        "",
        "The command that starts the model's server: split into arguments as a shell would, but "
        "without variables, pipes or wildcards. ${PORT} is a free port, ${MODEL_ID} the model's "
        "id.",
        required=True,
    )
    cmd_stop: str = key(
        "", "The command that stops it; ${PID} is its process id. Without one, SIGTERM does."
    )
    proxy: str | None = key(
        None, "Where it answers; http or https. The default is http://localhost:${PORT}."
    )
    aliases: tuple[str, ...] = key((), "Other names for it; each belongs to one model only.")
    env: tuple[str, ...] = key((), "NAME=value entries for its environment; the later wins.")
    check_endpoint: str = key(
        "/health", "Asked until it answers 200: then the model is ready. `none` for at once."
    )
    ttl: int = key(
        INHERIT_TTL,
        "Seconds without use after which it is unloaded; 0 for never, -1 for globalTTL.",
        least=INHERIT_TTL,
    )
    unload_timeout: int = key(
        0, "Seconds that a stop may take before SIGKILL; 0 for the common one.", least=0
    )
    liveness_interval: int = key(
        0,
        "Seconds after which a loaded model that nobody uses is asked for its checkEndpoint "
        "again, and started anew if it does not answer any more; 0 for never.",
        least=0,
    )
    prefetch: bool | tuple[str, ...] = key(
        True,
        "Whether the files named in cmd are read into memory while another model still runs; or a "
        "list of more files to read.",
    )
    unlisted: bool = key(False, "Hidden from the list of models, served all the same.")
    use_model_name: str = key(
        "", "What its server calls the model, put into every request; empty leaves requests alone."
    )
    name: str = key("", "What people call it, for the list of models.")
    description: str = key("", "A sentence for the list of models.")
    concurrency_limit: int = key(
        0, "Requests at a time under fifo, before one more is refused; 0 for no limit of its own."
    )
    filters: WrittenFilters = key(WrittenFilters(), "Changes to JSON requests.")
    macros: Free = key(FILLED_IN, "Macros of this model; they go before those of the same name.")
    metadata: Free | None = key(None, "Anything, for the list of models.")
    send_loading_state: bool | None = key(
        None, "Whether a waiting stream is told of the loading; absent for the common setting."
    )
    timeouts: WrittenTimeouts = key(WrittenTimeouts(), "Limits on the exchange with its server.")
    compat: WrittenCompat = key(WrittenCompat(), "Concessions to its server.")
    capabilities: WrittenCapabilities = key(
        WrittenCapabilities(), "What it can do, for the list of models."
    )


@attrs.frozen
class WrittenPeer:
    """`peers.<id>`: another server that answers for models of its own."""

    proxy: str = key("", "Its address; http or https, also with a path.", required=True)
    models: tuple[str, ...] = key((), "The models that it answers for.", required=True)
    api_key: str = key("", "Sent to it instead of the client's own key.", secret=True)
    filters: WrittenFilters = key(WrittenFilters(), "Changes to JSON requests.")
    timeouts: WrittenPeerTimeouts = key(WrittenPeerTimeouts(), "Limits on the exchange with it.")
