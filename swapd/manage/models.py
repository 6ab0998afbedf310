"""Which models there are, which run, and unloading them. Shapes as llama-swap's."""

import time
from collections.abc import Iterator
from typing import Any

from quart import Blueprint, Response, jsonify, request

from swapd import refusals
from swapd.config.change import same_process
from swapd.config.secrets import Secrets, hidden_options, names_secret
from swapd.config.settings import Model, Settings
from swapd.engine import Engine
from swapd.ids import ModelId
from swapd.manage.listing import records
from swapd.manage.replies import done, plain, refused
from swapd.manage.told import TEXT, Told, tells
from swapd.profiles import Profiles
from swapd.reload import Reloader
from swapd.schedule.phase import Phase


def blueprint(engine: Engine, profiles: Profiles, *, reloader: Reloader) -> Blueprint:
    """Make the pages."""
    pages = Blueprint("models", __name__)

    @pages.get("/v1/models")
    @pages.get("/models")
    @tells(Told())
    async def models() -> Response:
        """List what a client may name, as OpenAI does, by id."""
        settings = engine.settings
        active = profiles.active(settings)
        listed = records(settings, engine.phase, profile=active, now=int(time.time()))
        reply: Response = jsonify({"data": listed, "object": "list"})
        # Here and nowhere else, as in llama-swap: a page of another origin may read what there is.
        if origin := request.headers.get("Origin"):
            reply.headers["Access-Control-Allow-Origin"] = origin
        return reply

    @pages.get("/running")
    @tells(Told())
    async def running() -> dict[str, Any]:
        """List what is loaded, or on its way in or out."""
        # As they were started: meanwhile a reload may have changed them, or removed them.
        models = sorted(engine.running().values(), key=lambda model: model.id.encode())
        phases = [(_in_use(engine, model), engine.phase(model.id)) for model in models]
        known = [*reloader.loaded.secrets, *_keys(engine.settings)]
        return {
            "running": [
                _running(model, phase, Secrets([*known, *_in_environment(model)]))
                for model, phase in phases
                if phase is not Phase.STOPPED
            ]
        }

    @pages.get("/unload")
    @tells(Told(kind=TEXT, errors=("model_failed",)))
    async def unload_all_for_people() -> Response:
        """Unload everything; answer when it is gone."""
        return await _unload(engine, plain("OK"))

    @pages.post("/api/models/unload")
    @tells(Told(errors=("model_failed",)))
    async def unload_all() -> Response:
        """Unload everything; answer when it is gone."""
        return await _unload(engine, done())

    @pages.post("/api/models/unload/<id:name>")
    @tells(Told(kind=TEXT, errors=("model_not_found", "model_failed")))
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


def _running(model: Model, phase: Phase, secrets: Secrets) -> dict[str, Any]:
    return {
        "model": model.id,
        "state": phase.value,
        "cmd": secrets.hidden(hidden_options(model.cmd)),
        "proxy": secrets.hidden(model.proxy),
        "ttl": int(model.ttl),
        "name": model.name,
        "description": model.description,
    }


def _keys(settings: Settings) -> Iterator[str]:
    yield from settings.api_keys
    yield from (peer.api_key for peer in settings.peers.values())


def _in_environment(model: Model) -> Iterator[str]:
    for entry in model.env:
        name, _, value = entry.partition("=")
        if names_secret(name):
            yield value
