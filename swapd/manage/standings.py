"""Where each model stands: its process, its memory, what it takes, and how it failed last."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any

import attrs
import trio
from quart import Blueprint, Response
from werkzeug.exceptions import MethodNotAllowed

from swapd import refusals
from swapd.config.secrets import Secrets, hidden_options
from swapd.config.settings import Model
from swapd.engine import Engine
from swapd.ids import ModelId
from swapd.manage.instants import Instants, seconds
from swapd.manage.masking import secrets_around
from swapd.manage.named import named
from swapd.manage.replies import as_json, plain, refused, wants_text
from swapd.manage.tables import ago, table
from swapd.manage.told import Told, tells
from swapd.models.group import resident
from swapd.reload import Reloader
from swapd.schedule.facts import FailureFacts
from swapd.schedule.phase import Phase
from swapd.schedule.standing import ModelStanding
from swapd.watch.gpus import Gpus
from swapd.watch.looking import CannotLook

HEADINGS = (
    *("ID", "STATE", "PID", "SINCE", "REQUESTS", "LOAD", "SERVICE", "MEMORY", "GPU", "FAILURE"),
)

# What may stand before a model's id in other paths; those take no GET.
ORDERS = ("load", "unload", "reset")

# How long drivers may take to say whose memory is whose, in seconds.
LONGEST_LOOK = 5.0

Record = dict[str, Any]


def blueprint(engine: Engine, reloader: Reloader, gpus: Gpus) -> Blueprint:
    """Make the pages."""
    pages = Blueprint("standings", __name__)

    async def records(models: Sequence[ModelId]) -> list[Record]:
        groups = {pid for model in models if (pid := engine.ask.pid(model)) is not None}
        occupied = await _occupied(groups, gpus)
        instants, running = Instants.now(), engine.running()
        seen = (_Seen.of(engine, reloader, model, running.get(model)) for model in models)
        return [_record(each, occupied, instants) for each in seen]

    @pages.get("/api/models")
    @tells(Told(table=True))
    async def every() -> Response:
        """List all models by id, with where they stand."""
        models = sorted({*engine.settings.models, *engine.running()}, key=str.encode)
        found = await records(models)
        if wants_text():
            return plain(table(HEADINGS, [_row(record) for record in found]))
        return as_json({"models": found})

    @pages.get("/api/models/<id:name>")
    @tells(Told(errors=("model_not_found",)))
    async def one(name: str) -> Response:
        """Say where a model stands, named by its id or an alias."""
        model = named(engine, name)
        if model is None:
            if name.partition("/")[0] in ORDERS:
                raise MethodNotAllowed(["OPTIONS", "POST"])
            return refused(refusals.unknown_model(name))
        [record] = await records([model])
        return as_json(record)

    return pages


@attrs.frozen
class _Seen:
    """All that is known of one model, at once."""

    model: ModelId
    state: str
    standing: ModelStanding
    pid: int | None
    status_text: str
    secrets: Secrets

    @classmethod
    def of(
        cls, engine: Engine, reloader: Reloader, model: ModelId, running: Model | None
    ) -> "_Seen":
        settings, standing = engine.settings, engine.ask.model(model)
        started = running or settings.models.get(model)
        return cls(
            model,
            _state(standing, stopping=engine.stopping),
            standing,
            engine.ask.pid(model),
            engine.ask.status_text(model),
            secrets_around(started, settings, reloader.loaded.secrets),
        )


@attrs.frozen
class _Occupied:
    """The memory of one process group, in bytes; None for what cannot be looked at."""

    rss: int | None = None
    gpu: int | None = None


async def _occupied(groups: Iterable[int], gpus: Gpus) -> dict[int, _Occupied]:
    """Count the memory of process groups."""
    if not groups:
        return {}
    # In a thread: /proc is gone through for each, a few milliseconds on a busy machine; and a
    # driver may hang, which then costs this page its figures and nobody anything else.
    with trio.move_on_after(LONGEST_LOOK):
        look = partial(_look, groups, gpus)
        return await trio.to_thread.run_sync(look, abandon_on_cancel=True)
    return {}


def _look(groups: Iterable[int], gpus: Gpus) -> dict[int, _Occupied]:
    try:
        members = {group: resident(group) for group in groups}
    except OSError:
        return {}
    on_gpus: dict[int, int] | None = None
    if gpus.found:
        with suppress(CannotLook):
            on_gpus = gpus.by_pid([*chain.from_iterable(members.values())])
    return {
        group: _Occupied(
            sum(sizes.values()),
            None if on_gpus is None else sum(on_gpus.get(pid, 0) for pid in sizes),
        )
        for group, sizes in members.items()
    }


def _state(standing: ModelStanding, *, stopping: bool) -> str:
    if stopping and standing.phase is Phase.STOPPED and not standing.failed:
        return "shutdown"
    return standing.state


def _record(seen: _Seen, occupied: dict[int, _Occupied], instants: Instants) -> Record:
    standing = seen.standing
    memory = _Occupied() if seen.pid is None else occupied.get(seen.pid, _Occupied())
    return {
        "id": seen.model,
        "state": seen.state,
        "pid": seen.pid,
        "status_text": _hidden(seen.status_text, seen.secrets) or None,
        "run": standing.run,
        "since": instants.date(standing.since),
        "requests": standing.in_flight,
        "idle_unload_at": instants.date(standing.idle_at),
        "load_s": seconds(standing.load),
        "service_s": seconds(standing.service),
        "rss_bytes": memory.rss,
        "gpu_bytes": memory.gpu,
        "failure": _failure(standing.failure, seen.secrets, instants),
    }


def _failure(failure: FailureFacts | None, secrets: Secrets, instants: Instants) -> Record | None:
    if failure is None:
        return None
    cause = failure.cause
    return {
        "text": cause.text,
        "exit_code": cause.exit_code,
        "signal": cause.signal,
        "at": instants.date(failure.at),
        "attempts": failure.attempt,
        "retry_at": instants.date(failure.until),
        "last_lines": [_hidden(line, secrets) for line in cause.last_lines],
    }


def _hidden(text: str, secrets: Secrets) -> str:
    return secrets.hidden(hidden_options(text))


def _row(record: Record) -> Sequence[str]:
    pid, since, failure = record["pid"], record["since"], record["failure"]
    return (
        *(record["id"], record["state"], "-" if pid is None else str(pid), since or "-"),
        *(str(record["requests"]), ago(record["load_s"]), ago(record["service_s"])),
        _size(record["rss_bytes"]),
        _size(record["gpu_bytes"]),
        "-" if failure is None else f"{failure['text']}, {failure['at']}",
    )


def _size(count: int | None) -> str:
    return "-" if count is None else f"{count / 2**20:.0f} MiB"
