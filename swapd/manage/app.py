"""The Quart app of the control plane: limits, blueprints and error handlers, in one page."""

from typing import Any

from quart import Quart, Response, has_request_context, request, websocket
from quart.json.provider import DefaultJSONProvider
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import BaseConverter

from swapd import refusals
from swapd.engine import Engine
from swapd.manage import config, models
from swapd.manage.replies import refused
from swapd.reload import Reloader

# Nothing here takes a large body.
LARGEST_BODY = 1024 * 1024


class _Id(BaseConverter):
    """A model's id as the rest of a path; werkzeug's own `path` may not begin with a slash."""

    regex = ".+"
    part_isolating = False


def make_app(engine: Engine, reloader: Reloader) -> Any:
    """Make the ASGI app that answers everything that is not a model's own route."""
    app: Quart = QuartTrio("swapd")
    # Quart would cut a stream, and an unload, after a minute.
    app.config["RESPONSE_TIMEOUT"] = None
    app.config["BODY_TIMEOUT"] = None
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    # The order in which the reference documents an answer's keys.
    assert isinstance(app.json, DefaultJSONProvider)
    app.json.sort_keys = False
    # Ids may hold slashes, two in a row or one at the beginning among them.
    app.url_map.merge_slashes = False
    app.url_map.converters["id"] = _Id
    app.register_blueprint(models.blueprint(engine))
    app.register_blueprint(config.blueprint(reloader))

    @app.errorhandler(HTTPException)
    async def on_http_error(error: HTTPException) -> Response:
        match error:
            case NotFound():
                path = request.path if has_request_context() else websocket.path
                return refused(refusals.not_found(path))
            case MethodNotAllowed():
                allowed = ", ".join(sorted(error.valid_methods or ()))
                return refused(refusals.method_not_allowed(request.method, allowed))
            case _:
                return refused(refusals.bad_request(error.code or 400, error.description or ""))

    @app.errorhandler(Exception)
    async def on_bug(error: Exception) -> Response:
        app.logger.error("answering %s failed", request.path, exc_info=error)
        return refused(refusals.internal_error())

    return app
