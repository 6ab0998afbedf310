"""Having models gone, and having it forgotten how they failed."""

from typing import Any

from quart import Blueprint, Response

from swapd import refusals
from swapd.engine import Engine
from swapd.ids import ModelId
from swapd.manage.named import named
from swapd.manage.parameters import Parameter, Seconds, Words, read_query
from swapd.manage.replies import done, plain, refused
from swapd.manage.told import TEXT, Told, tells
from swapd.schedule.events import ResetAsked

HOW: dict[str, Parameter] = {
    "mode": Words("end what is served now, as without it, or let it finish", ("now", "drain")),
    "queued": Words("refuse who waits, as without it, or let them wait on", ("drop", "keep")),
    "timeout": Seconds("until SIGKILL; with mode=drain until what is served is ended"),
}


def blueprint(engine: Engine) -> Blueprint:
    """Make the pages."""
    pages = Blueprint("unload", __name__)

    @pages.get("/unload")
    @tells(Told(kind=TEXT, errors=("model_failed",)))
    async def unload_all_for_people() -> Response:
        """Unload everything; answer when it is gone."""
        return await _unload(engine, plain("OK"), how={})

    @pages.post("/api/models/unload")
    @tells(Told(errors=("model_failed",), parameters=HOW))
    async def unload_all() -> Response:
        """Unload everything; answer when it is gone."""
        return await _unload(engine, done(), how=read_query(HOW))

    @pages.post("/api/models/unload/<id:name>")
    @tells(Told(kind=TEXT, errors=("model_not_found", "model_failed"), parameters=HOW))
    async def unload_one(name: str) -> Response:
        """Unload one model, named by its id or an alias; answer when it is gone."""
        how = read_query(HOW)
        model = named(engine, name)
        if model is None:
            return refused(refusals.unknown_model(name))
        return await _unload(engine, plain("OK"), model, how=how)

    @pages.post("/api/models/reset/<id:name>")
    @tells(Told(errors=("model_not_found",)))
    async def reset(name: str) -> Response:
        """Forget how a model failed; the next request for it is a reason to try again."""
        model = named(engine, name)
        if model is None:
            return refused(refusals.unknown_model(name))
        engine.post(ResetAsked(model))
        return done()

    return pages


async def _unload(
    engine: Engine, done: Response, *models: ModelId, how: dict[str, Any]
) -> Response:
    stuck = await engine.unload(
        models,
        drain=how.get("mode") == "drain",
        keep=how.get("queued") == "keep",
        seconds=how.get("timeout"),
    )
    return refused(refusals.of_reason(stuck)) if stuck else done
