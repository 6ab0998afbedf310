"""Who watches a daemon, put together: its logs, its numbers, the record, and the machine.

Rule 1: who watches may fail, and then sees nothing any more; what is watched goes on.
"""

import logging
from collections.abc import Awaitable, Callable

import trio

from swapd.config.settings import Settings
from swapd.decisions import Decision
from swapd.engine import Engine
from swapd.watch.captures import MEGABYTE, Captures
from swapd.watch.gpus import Gpus
from swapd.watch.hardware import Hardware
from swapd.watch.logs import Logs
from swapd.watch.machine import Machine
from swapd.watch.numbers import Numbers
from swapd.watch.recorder import InThread, Recorder
from swapd.watch.store import open_store
from swapd.watch.watching import Watching

log = logging.getLogger(__name__)


def open_recorder(settings: Settings, *, in_thread: InThread | None = None) -> Recorder:
    """Open the record of requests where the configuration has it; raises `CannotStore`."""
    path, most = settings.store_path, settings.store_rows
    if path is None:
        most = settings.metrics_max_in_memory
    store = open_store(path, most=most, days=settings.store_days)
    return Recorder(store, Captures(settings.capture_buffer * MEGABYTE), in_thread=in_thread)


def watch_over(engine: Engine, logs: Logs, recorder: Recorder) -> Watching:
    """Have everything watched that an engine does; nobody looks at the machine yet."""
    gpus = Gpus()
    machine = Machine(engine.settings.performance, gpus)
    numbers = Numbers(
        states=lambda: engine.ask.states(engine.settings.models),
        waiting=engine.ask.waiting,
        spent=engine.ask.spent,
        tasks=lambda: trio.lowlevel.current_statistics().tasks_living,
        machine=machine,
    )
    engine.decisions.heard_by.append(_counted_by(numbers))
    return Watching(lambda: engine.settings, logs, recorder, numbers, gpus, machine, Hardware())


async def unharmed(
    watch: Callable[..., Awaitable[None]],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Have somebody watch, until cancelled; a bug met there must not end the daemon."""
    try:
        await watch(task_status=task_status)
    except Exception:
        log.exception("watching failed; this goes on without %s", watch)


def _counted_by(numbers: Numbers) -> Callable[[Decision], None]:
    def decided(decision: Decision) -> None:
        numbers.decided(decision.kind, decision.model, decision.more.get("run"), decision.at)

    return decided
