"""From resolved keys to `Settings`: texts are split and parsed, and everything has its type."""

from collections.abc import Mapping

from swapd.config.command import split
from swapd.config.draft import Draft
from swapd.config.grouping import DEFAULT_GROUP, matrix_sets
from swapd.config.kinds import LogLevel, RouterKind
from swapd.config.origin import parse_endpoint, parse_origin
from swapd.config.settings import (
    Capabilities,
    FifoSettings,
    Filters,
    Group,
    Matrix,
    Model,
    Params,
    Peer,
    Performance,
    Profile,
    Selector,
    SerialSettings,
    Settings,
    Timeouts,
)
from swapd.config.values import Value
from swapd.config.written import WrittenSettings
from swapd.config.written_models import (
    WrittenFilters,
    WrittenModel,
    WrittenPeer,
    WrittenTimeouts,
)
from swapd.config.written_routing import WrittenFifo, WrittenSelector
from swapd.ids import ModelId

# Parameters that no filter touches.
PROTECTED = frozenset(("model",))


def settle(written: WrittenSettings) -> Settings:
    """Make settings of a configuration that `resolve` has been through."""
    scheduler, store = written.routing.scheduler, written.store
    return Settings(
        models={ModelId(own): _model(own, one, written) for own, one in written.models.items()},
        peers={own: _peer(own, peer) for own, peer in written.peers.items()},
        selectors={own: _selector(own, one) for own, one in written.selectors.items()},
        profiles={
            own: Profile(
                own,
                {pin: target or "" for pin, target in profile.pins.items()},
                profile.description,
            )
            for own, profile in written.profiles.items()
        },
        scheduler=scheduler.use,
        serial=SerialSettings(scheduler.settings.serial.max_queue),
        fifo=_fifo(scheduler.settings.fifo),
        router=written.routing.router.use or RouterKind.GROUP,
        groups=_groups(written),
        matrix=_matrix(written),
        preload=tuple(map(ModelId, written.hooks.on_startup.preload)),
        api_keys=written.api_keys,
        include_aliases_in_list=written.include_aliases_in_list,
        ignore_paths=written.upstream.ignore_paths,
        log_level=LogLevel(written.log_level),
        log_time_format=written.log_time_format,
        log_to_stdout=written.log_to_stdout,
        metrics_max_in_memory=written.metrics_max_in_memory,
        record_activity=written.record_activity,
        capture_buffer=written.capture_buffer,
        store_path=None if store is None else store.path,
        store_rows=0 if store is None else store.max_rows,
        store_days=0 if store is None else store.max_days,
        session_headers=written.ui.activity.session_id,
        performance=Performance(written.performance.disabled, written.performance.every.seconds),
    )


def _model(own: str, model: WrittenModel, written: WrittenSettings) -> Model:
    assert model.proxy is not None, "the macro step adds one, or has a problem with it"
    proxy = model.proxy
    can = model.capabilities
    return Model(
        id=ModelId(own),
        cmd=model.cmd,
        argv=split(model.cmd),
        origin=parse_origin(proxy),
        proxy=proxy,
        cmd_stop=model.cmd_stop,
        stop_argv=split(model.cmd_stop) or None,
        env=model.env,
        check_endpoint=parse_endpoint(model.check_endpoint),
        health_timeout=float(written.health_check_timeout),
        ttl=float(model.ttl),
        unload_timeout=float(model.unload_timeout),
        aliases=model.aliases,
        name=model.name,
        description=model.description,
        unlisted=model.unlisted,
        use_model_name=model.use_model_name,
        concurrency_limit=model.concurrency_limit,
        filters=_filters(model.filters),
        metadata=model.metadata,
        send_loading_state=bool(model.send_loading_state),
        timeouts=_timeouts(model.timeouts),
        ignore_websockets=model.compat.ignore_websockets,
        capabilities=Capabilities(can.in_, can.out, can.tools, can.reranker, can.context),
        liveness_interval=float(model.liveness_interval),
        prefetch=_prefetch(model.prefetch),
    )


def _prefetch(written: bool | tuple[str, ...]) -> tuple[str, ...] | None:
    match written:
        case False:
            return None
        case True:
            return ()
        case more:
            return more


def _peer(own: str, peer: WrittenPeer) -> Peer:
    return Peer(
        id=own,
        origin=parse_origin(peer.proxy),
        models=tuple(dict.fromkeys(peer.models)),
        api_key=peer.api_key,
        filters=_filters(peer.filters),
        timeouts=_timeouts(peer.timeouts),
    )


def _selector(own: str, selector: WrittenSelector) -> Selector:
    assert selector.strategy is not None, "the rules let none through"
    return Selector(
        id=own,
        strategy=selector.strategy,
        targets=selector.targets,
        spillover=selector.settings.spillover,
        name=selector.name.strip(),
        description=selector.description.strip(),
        unlisted=selector.unlisted,
        metadata=selector.metadata,
    )


def _timeouts(written: WrittenTimeouts) -> Timeouts:
    return Timeouts(
        connect=float(written.connect),
        keepalive=float(written.keepalive),
        response_header=float(written.response_header),
        tls_handshake=float(written.tls_handshake),
        expect_continue=float(written.expect_continue),
        idle_conn=float(written.idle_conn),
    )


def _filters(written: WrittenFilters) -> Filters:
    names = {name.strip() for name in written.strip_params.split(",")}
    return Filters(
        strip=tuple(sorted(names - PROTECTED - {""})),
        set_params=_params(written.set_params),
        by_name={name: _params(below or {}) for name, below in written.set_params_by_id.items()},
    )


def _params(written: Mapping[str, Value]) -> Params:
    return {name: value for name, value in sorted(written.items()) if name not in PROTECTED}


def _groups(written: WrittenSettings) -> dict[str, Group]:
    router = written.routing.router
    if router.use is RouterKind.MATRIX:
        return {}
    found = {
        own: Group(one.swap, one.exclusive, one.persistent, tuple(map(ModelId, one.members)))
        for own, one in router.settings.groups.items()
    }
    grouped = {member for group in found.values() for member in group.members}
    rest = (ModelId(own) for own in sorted(written.models) if own not in grouped)
    return {**found, DEFAULT_GROUP: Group(members=tuple(rest))}


def _matrix(written: WrittenSettings) -> Matrix | None:
    draft = Draft(written)
    found = draft.router.matrix
    if found is None:
        return None
    costs = {draft.of_matrix(name): cost for name, cost in found.evict_costs.items()}
    return Matrix(
        matrix_sets(draft), {model: cost for model, cost in costs.items() if model is not None}
    )


def _fifo(written: WrittenFifo) -> FifoSettings:
    return FifoSettings(
        priority={ModelId(own): first for own, first in written.priority.items()},
        max_queue=written.max_queue,
        max_turn=float(written.max_turn),
    )
