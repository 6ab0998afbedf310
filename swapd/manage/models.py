"""Which models there are, and which run. Shapes as llama-swap's."""

import time
from typing import Any

from quart import Blueprint, Response, jsonify, request

from swapd.config.change import same_process
from swapd.config.secrets import Secrets, hidden_options
from swapd.config.settings import Model
from swapd.engine import Engine
from swapd.ids import ModelId
from swapd.manage.listing import records
from swapd.manage.masking import secrets_around
from swapd.manage.told import Told, tells
from swapd.profiles import Profiles
from swapd.reload import Reloader
from swapd.schedule.phase import Phase


def blueprint(engine: Engine, profiles: Profiles, *, reloader: Reloader) -> Blueprint:
    """Make the pages."""
    pages = Blueprint("models", __name__)

    def phase(model: ModelId) -> Phase:
        return engine.ask.model(model).shown

    @pages.get("/v1/models")
    @pages.get("/models")
    @tells(Told())
    async def models() -> Response:
        """List what a client may name, as OpenAI does, by id."""
        settings = engine.settings
        active = profiles.active(settings)
        listed = records(settings, phase, profile=active, now=int(time.time()))
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
        settings, known = engine.settings, reloader.loaded.secrets
        return {
            "running": [
                _running(
                    model,
                    phase,
                    secrets_around(model, settings, known),
                    status_text=engine.ask.status_text(model.id),
                )
                for model, phase in phases
                if phase is not Phase.STOPPED
            ]
        }

    return pages


def _in_use(engine: Engine, started: Model) -> Model:
    """Answer with the present definition of what runs, if its process fits that."""
    now = engine.settings.models.get(started.id)
    return now if now is not None and same_process(started, now) else started


def _running(model: Model, phase: Phase, secrets: Secrets, *, status_text: str) -> dict[str, Any]:
    # Ours, and not among llama-swap's fields where the model says nothing.
    own = {"status_text": secrets.hidden(hidden_options(status_text))} if status_text else {}
    return {
        "model": model.id,
        "state": phase.value,
        "cmd": secrets.hidden(hidden_options(model.cmd)),
        "proxy": secrets.hidden(model.proxy),
        "ttl": int(model.ttl),
        "name": model.name,
        "description": model.description,
        **own,
    }
