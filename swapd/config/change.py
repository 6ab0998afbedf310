"""What differs between two configurations, and which models it restarts.

A model's process goes on as long as what it was started with, and how it is reached and stopped,
stay the same. All else of a model (its name, its `ttl`, what is done to its requests, …) is
swapd's own business and changes under a running process.
"""

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from swapd.config.settings import Model, Settings
from swapd.ids import ModelId


@attrs.frozen
class Changes:
    """Every model of either configuration, once, sorted by id."""

    unchanged: tuple[ModelId, ...] = ()
    """Those whose process goes on, also if something else about them has changed."""
    restart: tuple[ModelId, ...] = ()
    removed: tuple[ModelId, ...] = ()
    added: tuple[ModelId, ...] = ()
    needs_daemon_restart: tuple[str, ...] = ()
    """Paths of settings that take effect when the daemon is started again."""


def compare(
    old: Settings, new: Settings, running: Mapping[ModelId, Model] = MappingProxyType({})
) -> Changes:
    """Say what becomes of each model; of one that runs, by what it was started as."""
    kept = sorted(old.models.keys() & new.models.keys())
    now = {model: running.get(model, old.models[model]) for model in kept}
    same = {model for model in kept if same_process(now[model], new.models[model])}
    return Changes(
        unchanged=tuple(model for model in kept if model in same),
        restart=tuple(model for model in kept if model not in same),
        removed=tuple(sorted(old.models.keys() - new.models.keys())),
        added=tuple(sorted(new.models.keys() - old.models.keys())),
    )


def fixed(began: Settings, now: Settings) -> tuple[str, ...]:
    """Name what a daemon that began with `began` cannot take up while it runs."""
    off, same = began.performance.disabled, began.store_path == now.store_path
    return tuple(
        path
        for path, before, after in (
            ("logToStdout", began.log_to_stdout, now.log_to_stdout),
            ("routing.scheduler.use", began.scheduler, now.scheduler),
            ("store.path", began.store_path, now.store_path),
            ("store.maxRows", same and began.store_rows, same and now.store_rows),
            ("store.maxDays", same and began.store_days, same and now.store_days),
            ("metricsMaxInMemory", began.metrics_max_in_memory, now.metrics_max_in_memory),
            # As in llama-swap: what was not watched at the start is not watched later.
            ("performance.disabled", off, off and now.performance.disabled),
        )
        if before != after
    )


def same_process(old: Model, new: Model) -> bool:
    """Say whether a running process of `old` can go on serving as `new`."""
    return _process(old) == _process(new)


def _process(model: Model) -> tuple[object, ...]:
    return (
        model.id,
        model.argv,
        model.env,
        model.origin,
        model.proxy,
        model.check_endpoint,
        model.stop_argv,
    )
