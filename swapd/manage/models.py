"""Which models there are, which run, and unloading them. Shapes as llama-swap's."""

import time
from typing import Any

from quart import Blueprint, Response

from swapd import refusals
from swapd.config.change import same_process
from swapd.config.settings import Model
from swapd.engine import Engine
from swapd.ids import ModelId
from swapd.manage.replies import plain, refused
from swapd.schedule.phase import Phase

# What /v1/models says of each phase.
STATUS = {
    Phase.STOPPED: "unloaded",
    Phase.STARTING: "loading",
    Phase.READY: "loaded",
    Phase.STOPPING: "unloaded",
    Phase.FAILED: "failed",
}


def blueprint(engine: Engine) -> Blueprint:
    """Make the pages."""
    pages = Blueprint("models", __name__)

    @pages.get("/health")
    async def health() -> Response:
        """Say that the daemon answers; nothing about models."""
        return plain("OK")

    @pages.get("/v1/models")
    @pages.get("/models")
    async def models() -> dict[str, Any]:
        """List the models that a client may name, as OpenAI does, by id."""
        now = int(time.time())
        listed = sorted(
            (model for model in engine.settings.models.values() if not model.unlisted),
            key=lambda model: model.id.encode(),
        )
        return {
            "data": [_record(model, engine.phase(model.id), now) for model in listed],
            "object": "list",
        }

    @pages.get("/running")
    async def running() -> dict[str, Any]:
        """List what is loaded, or on its way in or out."""
        # As they were started: meanwhile a reload may have changed them, or removed them.
        models = sorted(engine.running().values(), key=lambda model: model.id.encode())
        phases = [(_in_use(engine, model), engine.phase(model.id)) for model in models]
        return {
            "running": [
                _running(model, phase) for model, phase in phases if phase is not Phase.STOPPED
            ]
        }

    @pages.get("/unload")
    async def unload_all_for_people() -> Response:
        """Unload everything; answer when it is gone."""
        return await _unload(engine, plain("OK"))

    @pages.post("/api/models/unload")
    async def unload_all() -> Response:
        """Unload everything; answer when it is gone."""
        return await _unload(engine, Response('{"msg":"ok"}\n', content_type="application/json"))

    @pages.post("/api/models/unload/<id:name>")
    async def unload_one(name: str) -> Response:
        """Unload one model, named by its id or an alias; answer when it is gone."""
        model = engine.settings.resolve(name)
        if model is None and name in engine.running():
            model = ModelId(name)  # It was removed, and finishes what it serves.
        if model is None:
            return refused(refusals.unknown_model(name))
        return await _unload(engine, plain("OK"), model)

    return pages


async def _unload(engine: Engine, done: Response, *models: ModelId) -> Response:
    stuck = await engine.unload(models)
    return refused(refusals.of_reason(stuck)) if stuck else done


def _in_use(engine: Engine, started: Model) -> Model:
    """Answer with the present definition of what runs, if its process fits that."""
    now = engine.settings.models.get(started.id)
    return now if now is not None and same_process(started, now) else started


def _record(model: Model, phase: Phase, now: int) -> dict[str, Any]:
    meta: dict[str, Any] = {"type": "model"}
    if model.aliases:
        meta["aliases"] = list(model.aliases)
    record: dict[str, Any] = {
        "id": model.id,
        "object": "model",
        "created": now,
        "owned_by": "swapd",
        "name": model.name.strip(),
        "description": model.description.strip(),
        "meta": {"llamaswap": meta},
        "status": {"value": STATUS[phase]},
    }
    return {key: value for key, value in record.items() if value != ""}


def _running(model: Model, phase: Phase) -> dict[str, Any]:
    return {
        "model": model.id,
        "state": phase.value,
        "cmd": model.cmd,
        "proxy": model.proxy,
        "ttl": int(model.ttl),
        "name": model.name,
        "description": model.description,
    }
