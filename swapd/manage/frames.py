"""What `GET /api/events` tells, in llama-swap's shapes. Pure.

Rule 1: a frame is made once, as the bytes that go to everybody.
Rule 2: nothing that a client or a model wrote breaks a frame, and no secret of a header is in one.
"""

import json
from enum import StrEnum
from typing import Any

import attrs

from swapd.config.settings import Model, Settings
from swapd.manage.instants import Instants
from swapd.manage.listing import PhaseOf, capabilities
from swapd.watch.captures import redacted
from swapd.watch.follower import marker
from swapd.watch.trace import Trace

# Of a header's value, in characters; every follower is told of it, several times.
LONGEST_HEADER = 1024

Record = dict[str, Any]

# Below this only the model's own path says what is asked; elsewhere it is told as it was asked.
_UPSTREAM = "/upstream/"


class Kind(StrEnum):
    """What a frame is about; the values are what the API says."""

    LOG = "logData"
    MODELS = "modelStatus"
    UI = "uiConfig"
    PROFILE = "profileChanged"
    IN_FLIGHT = "inflight"
    ACTIVITY = "activity"
    PRELOAD = "preload"


@attrs.frozen
class Frame:
    """One event, ready to be sent."""

    kind: Kind
    data: bytes = attrs.field(repr=False)
    source: str = ""
    """Whose log it is of."""
    told: int = 0
    """How many bytes of that log."""


def frame(kind: Kind, value: object) -> Frame:
    """Write an event: JSON, as text, in JSON."""
    event = f'{{"type":"{kind}","data":{_json(_json(value))}}}'
    # Not every text out of JSON can be written: half of a surrogate pair is a text there.
    return Frame(kind, f"event:message\ndata:{event}\n\n".encode(errors="replace"))


def log_text(source: str, text: str, *, told: int = 0) -> Frame:
    """Tell what came into a log: `told` bytes of it."""
    made = frame(Kind.LOG, {"data": text, "source": source})
    return attrs.evolve(made, source=source, told=told)


def dropped(source: str, count: int) -> Frame:
    """Say that so many bytes of a log stood here."""
    return log_text(source, marker(count).decode(), told=count)


def model_status(settings: Settings, phase: PhaseOf) -> Frame:
    """Tell what there is, also what is unlisted, and where it stands: our models, then peers'."""
    ours = [_model(model, phase) for model in settings.models.values()]
    theirs = [_nobody(full, peer=one.peer) for full, one in settings.names.full.items()]
    both = (sorted(records, key=lambda record: record["id"]) for records in (ours, theirs))
    return frame(Kind.MODELS, [record for records in both for record in records])


def ui_config(settings: Settings) -> Frame:
    """Tell what the configuration says of the web page."""
    return frame(Kind.UI, {"activity": {"session_id": list(settings.session_headers)}})


def profile_changed(active: str | None) -> Frame:
    """Tell which profile is on."""
    return frame(Kind.PROFILE, {"active": active})


def activity(row: int) -> Frame:
    """Tell that there is another row in the record of requests."""
    return frame(Kind.ACTIVITY, {"id": row})


def preloaded(model: str, *, success: bool) -> Frame:
    """Tell what became of a preload; llama-swap keeps that to itself."""
    return frame(Kind.PRELOAD, {"model": model, "success": success})


def snapshot(requests: list[Record]) -> Frame:
    """Tell all requests that are in flight."""
    shown: Record = {"requests": requests} if requests else {}
    return frame(Kind.IN_FLIGHT, {"operation": "snapshot", **shown})


def upsert(request: Record) -> Frame:
    """Tell of a request that is in flight."""
    return frame(Kind.IN_FLIGHT, {"operation": "upsert", "request": request})


def remove(name: str) -> Frame:
    """Tell that a request is in flight no more."""
    return frame(Kind.IN_FLIGHT, {"operation": "remove", "id": name})


def in_flight(trace: Trace, instants: Instants, now: float) -> Record:
    """Say what is known of a request; `now` is on the run's clock."""
    below = trace.path.startswith(_UPSTREAM)
    record: Record = {
        "id": trace.name,
        "timestamp": instants.date(trace.began),
        "model": trace.model,
        "req_path": trace.route if below else trace.path,
        "method": trace.method,
        "req_headers": _asked(trace),
        "remote_ip": trace.address,
        "resp_headers": _cut(redacted(trace.response_headers)),
        "resp_bytes": trace.bytes,
        "elapsed_ms": max(0, int((now - trace.began) * 1000)),
    }
    return {**record, "metadata": dict(trace.metadata)} if trace.metadata else record


def _asked(trace: Trace) -> dict[str, str]:
    """Answer with a request's headers, which are told of many times and change never."""
    if trace.told_headers is None:
        trace.told_headers = _cut(redacted(trace.request_headers))
    return trace.told_headers


def _cut(headers: dict[str, str]) -> dict[str, str]:
    return {name: value[:LONGEST_HEADER] for name, value in headers.items()}


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _model(model: Model, phase: PhaseOf) -> Record:
    can = capabilities(model.capabilities)
    more = {
        "aliases": list(model.aliases),
        "capabilities": can["capabilities"],
        "context_length": can["context_length"],
    }
    return {
        **_nobody(model.id),
        "name": model.name.strip(),
        "description": model.description.strip(),
        "state": phase(model.id).value,
        "unlisted": model.unlisted,
        **{field: value for field, value in more.items() if value},
    }


def _nobody(name: str, *, peer: str = "") -> Record:
    return {
        "id": name,
        "name": "",
        "description": "",
        "state": "",
        "unlisted": False,
        "peerID": peer,
    }
