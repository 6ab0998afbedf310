"""What a sound configuration means: the same, with nothing left to inherit, clamp or translate.

Rule 1: keys stay keys. What comes out could be written into a file, and would mean the same; that
is what `swapd check --show` prints.
Rule 2: old spellings have become new ones.
"""

from collections.abc import Mapping

import attrs

from swapd.config.command import strip_comments
from swapd.config.draft import Draft, by_id
from swapd.config.durations import Duration
from swapd.config.kinds import LEVELS, TIME_FORMATS, LogLevel
from swapd.config.patterns import DEFAULT
from swapd.config.rules import SHORTEST_PERIOD
from swapd.config.written import (
    WrittenActivity,
    WrittenHooks,
    WrittenOnStartup,
    WrittenPerformance,
    WrittenSettings,
    WrittenUi,
    WrittenUpstream,
)
from swapd.config.written_models import INHERIT_TTL, WrittenCompat, WrittenFilters, WrittenModel
from swapd.config.written_routing import (
    WrittenRouter,
    WrittenRouterSettings,
    WrittenRouting,
    WrittenScheduler,
    WrittenSchedulerSettings,
)

# A model server that is given less to start is a mistyped number, not a wish.
LEAST_HEALTH_TIMEOUT = 15
# What an unloadTimeout of 0 at the top means.
UNLOAD_TIMEOUT = 10
# What remembering no request at all means.
REMEMBERED = 1000

# The id of the model that serves /comfyui, whose pages ask for many things at once and keep a
# websocket open.
COMFYUI = "comfyui_auto"
COMFYUI_LIMIT = 50


def resolve(draft: Draft) -> WrittenSettings:
    """Resolve a configuration that `check` has nothing against."""
    written = draft.written
    common = attrs.evolve(
        written,
        health_check_timeout=max(written.health_check_timeout, LEAST_HEALTH_TIMEOUT),
        unload_timeout=written.unload_timeout or UNLOAD_TIMEOUT,
        log_level=_known(written.log_level, LEVELS, otherwise=LogLevel.INFO.value),
        log_time_format=_known(written.log_time_format, TIME_FORMATS, otherwise=""),
        metrics_max_in_memory=max(written.metrics_max_in_memory, 0) or REMEMBERED,
        capture_buffer=max(written.capture_buffer, 0),
        store=written.store and attrs.evolve(written.store, path=written.store.path.strip()),
        ui=WrittenUi(WrittenActivity(_headers(written.ui.activity.session_id))),
        performance=_performance(written.performance),
        upstream=WrittenUpstream(written.upstream.ignore_paths or DEFAULT),
        hooks=WrittenHooks(WrittenOnStartup(tuple(_preloaded(draft)))),
        routing=_routing(draft),
        groups={},
        matrix=None,
        peers={
            own: attrs.evolve(peer, filters=_filters(peer.filters))
            for own, peer in written.peers.items()
        },
    )
    models = {own: _model(own, model, common) for own, model in draft.models()}
    return attrs.evolve(common, models=models)


def _preloaded(draft: Draft) -> list[str]:
    """List the ids of the models to load at the start; whatever is no model is left out."""
    found = (draft.names.local(name.strip()) for name in draft.written.hooks.on_startup.preload)
    return [model for model in found if model is not None]


def _known(word: str, words: tuple[str, ...], *, otherwise: str) -> str:
    return meant if (meant := word.strip().lower()) in words else otherwise


def _headers(names: tuple[str, ...]) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for name in names:
        if name.strip():
            found.setdefault(name.strip().lower(), name.strip())
    return tuple(found.values())


def _performance(written: WrittenPerformance) -> WrittenPerformance:
    if written.every.seconds:
        return written
    return attrs.evolve(written, every=Duration(f"{SHORTEST_PERIOD:g}s", SHORTEST_PERIOD))


def _routing(draft: Draft) -> WrittenRouting:
    scheduler = draft.written.routing.scheduler
    fifo = scheduler.settings.fifo
    fifo = attrs.evolve(fifo, priority=_by_model(draft, fifo.priority))
    router = draft.router
    return WrittenRouting(
        WrittenRouter(router.kind, WrittenRouterSettings(router.groups, router.matrix)),
        WrittenScheduler(
            scheduler.use,
            WrittenSchedulerSettings(scheduler.settings.serial, fifo),
        ),
    )


def _by_model(draft: Draft, priority: Mapping[str, int]) -> dict[str, int]:
    """Write ids for aliases; where both stand, the id's own has it."""
    found: dict[str, int] = {}
    for name, value in priority.items():
        model = draft.names.local(name)
        if model is not None and (name == model or model not in priority):
            found[model] = value
    return found


def _model(own: str, model: WrittenModel, common: WrittenSettings) -> WrittenModel:
    inherits_ttl = model.ttl == INHERIT_TTL
    told = model.send_loading_state
    comfyui = own == COMFYUI
    others = [name for name in by_id(model) if name != own and name not in model.aliases]
    return attrs.evolve(
        model,
        # Those that a macro has brought in; the file's own have left before.
        cmd=strip_comments(model.cmd),
        cmd_stop=strip_comments(model.cmd_stop),
        ttl=common.global_ttl if inherits_ttl else model.ttl,
        unload_timeout=model.unload_timeout or common.unload_timeout,
        aliases=(*model.aliases, *others),
        name=model.name.strip(),
        description=model.description.strip(),
        concurrency_limit=max(model.concurrency_limit, COMFYUI_LIMIT if comfyui else 0),
        send_loading_state=common.send_loading_state if told is None else told,
        compat=WrittenCompat(comfyui or model.compat.ignore_websockets),
        filters=_filters(model.filters),
    )


def _filters(filters: WrittenFilters) -> WrittenFilters:
    strip = filters.strip_params or filters.legacy_strip_params
    return attrs.evolve(filters, strip_params=strip, legacy_strip_params="")
