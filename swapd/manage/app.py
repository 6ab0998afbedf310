"""The Quart app of the control plane: limits, blueprints and error handlers, in one page."""

from collections.abc import Iterator
from typing import Any

from quart import Quart, Response, has_request_context, request, websocket
from quart.json.provider import DefaultJSONProvider
from quart_trio import QuartTrio
from werkzeug.exceptions import (
    HTTPException,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
)
from werkzeug.routing import BaseConverter

from swapd import refusals
from swapd.auth import keys_of
from swapd.engine import Engine
from swapd.flights import Flights
from swapd.loads import Loads
from swapd.manage import (
    activity,
    captures,
    config,
    decisions,
    events,
    health,
    logs,
    machine,
    metrics,
    models,
    openapi,
    pages,
    queue,
    requests,
    standings,
    unload,
)
from swapd.manage import profiles as profile_pages
from swapd.manage.live import Live
from swapd.manage.replies import as_json, refused
from swapd.manage.told import Told, is_open, tells
from swapd.profiles import Profiles
from swapd.reload import Reloader
from swapd.watch.watching import Watching

# Nothing here takes a large body.
LARGEST_BODY = 1024 * 1024

# How long such a body may take to come: whoever drips it is not waited for. Seconds.
SLOWEST_BODY = 60.0


class _Id(BaseConverter):
    """A model's id as the rest of a path; werkzeug's own `path` may not begin with a slash."""

    regex = ".+"
    part_isolating = False


def make_app(
    engine: Engine,
    reloader: Reloader,
    *,
    profiles: Profiles,
    flights: Flights,
    loads: Loads,
    watching: Watching,
    live: Live,
) -> Any:
    """Make the ASGI app that answers everything that is not a model's own route."""
    # Without a folder of files, which would be a route of its own.
    app: Quart = QuartTrio("swapd", static_folder=None)
    # Quart would cut a stream, and an unload, after a minute.
    app.config["RESPONSE_TIMEOUT"] = None
    app.config["BODY_TIMEOUT"] = SLOWEST_BODY
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    # The order in which the reference documents an answer's keys.
    assert isinstance(app.json, DefaultJSONProvider)
    app.json.sort_keys = False
    # Ids may hold slashes, two in a row or one at the beginning among them.
    app.url_map.merge_slashes = False
    app.url_map.converters["id"] = _Id
    app.register_blueprint(pages.blueprint())
    app.register_blueprint(models.blueprint(engine, profiles, reloader=reloader))
    app.register_blueprint(standings.blueprint(engine, reloader, watching.gpus))
    app.register_blueprint(unload.blueprint(engine))
    app.register_blueprint(profile_pages.blueprint(engine, profiles))
    app.register_blueprint(requests.blueprint(engine, flights, loads))
    app.register_blueprint(queue.blueprint(engine, flights))
    app.register_blueprint(decisions.blueprint(engine.decisions))
    app.register_blueprint(config.blueprint(reloader))
    app.register_blueprint(health.blueprint(engine, watching.recorder))
    app.register_blueprint(logs.blueprint(engine, watching.logs))
    app.register_blueprint(activity.blueprint(watching.recorder))
    app.register_blueprint(captures.blueprint(watching.recorder))
    app.register_blueprint(events.blueprint(live))
    app.register_blueprint(machine.blueprint(watching.machine, watching.hardware))
    app.register_blueprint(metrics.blueprint(watching.numbers, watching.machine))

    @app.get("/openapi.json")
    @tells(Told())
    async def description() -> Response:
        """Describe every route and every error, as OpenAPI does."""
        return as_json(openapi.document(_pages(app)))

    @app.before_request
    async def ask_for_a_key() -> Response | None:
        # What is not there is said to everybody, as llama-swap does.
        if request.routing_exception is not None or request.endpoint is None:
            return None
        if is_open(app.view_functions[request.endpoint]):
            return None
        if keys_of(engine.settings.api_keys).admit(request.scope["headers"]):
            return None
        return refused(refusals.unauthorized())

    @app.errorhandler(HTTPException)
    async def on_http_error(error: HTTPException) -> Response:
        match error:
            case NotFound():
                path = request.path if has_request_context() else websocket.path
                return refused(refusals.not_found(path))
            case MethodNotAllowed():
                allowed = ", ".join(sorted(error.valid_methods or ()))
                return refused(refusals.method_not_allowed(request.method, allowed))
            case RequestEntityTooLarge():
                return refused(refusals.too_large_for_a_page(LARGEST_BODY))
            case _:
                return refused(refusals.bad_request(error.code or 400, error.description or ""))

    @app.errorhandler(Exception)
    async def on_bug(error: Exception) -> Response:
        app.logger.error("answering %r failed", request.path, exc_info=error)
        return refused(refusals.internal_error())

    return app


def _pages(app: Quart) -> Iterator[tuple[str, set[str], openapi.View]]:
    for rule in app.url_map.iter_rules():
        yield rule.rule, rule.methods or set(), app.view_functions[rule.endpoint]
