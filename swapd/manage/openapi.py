"""`/openapi.json`: every route and every error, out of the tables and pages that serve them. Pure.

Rule 1: nothing is told here that could be false there: paths, methods and parameters come from the
routes, sentences from the docstrings, statuses and codes from the refusals.
Rule 2: what a model's server takes and answers is its own business, and is not described.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from swapd import __version__
from swapd.manage.admin import is_for_admins
from swapd.manage.switches import WORDS
from swapd.manage.told import HTML, JSON, TEXT, Told, told_by
from swapd.refusals import ERRORS
from swapd.routes import ROUTES, Route

Schema = dict[str, Any]

# What can become of any request for a model.
OF_MODELS = (
    *("model_not_found", "body_too_large", "upload_failed", "queue_full", "concurrency_limit"),
    *("load_failed", "upstream_unreachable", "upstream_cut", "back_off", "model_unloaded"),
    *("model_failed", "cancelled", "shutting_down", "service_unavailable", "peers_in_a_circle"),
)

# What can become of any request at all.
OF_ALL = ("unauthorized", "invalid_request", "internal_error", "service_unavailable")

# With which status a request for a model cannot be used.
MISTAKES = (400, 408)

# Every page has these, so they would tell nothing.
_EVERYWHERE = frozenset(("HEAD", "OPTIONS"))

_ANY_METHOD = ("GET", "POST", "PUT", "PATCH", "DELETE")
_VARIABLE = re.compile(r"<(?:\w+:)?(\w+)>")
_BODY_IN_FORM = frozenset(("/v1/audio/transcriptions", "/v1/images/edits"))

_ABOUT = (
    "Other methods than those here are a 405 with `Allow`, other paths a 404; OPTIONS is answered "
    "for every path. Routes of models take the model in JSON, in forms and in the query alike."
)

_TEXT: Schema = {"type": "string"}
_NAME = {"type": "string", "minLength": 1, "description": "whatever GET /v1/models lists"}
_ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "src": {"const": "swapd"},
        "error": {
            "type": "object",
            "required": ["message", "type", "code"],
            "properties": {
                "message": _TEXT,
                "type": _TEXT,
                "param": {"type": "null"},
                "code": {"enum": sorted({error.code for error in ERRORS})},
            },
        },
    },
}
_WAYS_IN: Schema = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic"},
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}

View = Callable[..., Any]


def document(pages: Iterable[tuple[str, Iterable[str], View]]) -> Schema:
    """Describe everything; `pages` are the control plane's: path, methods and view."""
    paths: dict[str, Schema] = {}
    for path, methods, view in pages:
        written = _VARIABLE.sub(r"{\1}", path)
        for method in sorted(set(methods) - _EVERYWHERE):
            paths.setdefault(written, {})[method.lower()] = _page(path, view)
    for path, route in ROUTES.items():
        for method in sorted(set(route.methods) - _EVERYWHERE):
            paths.setdefault(path, {})[method.lower()] = _route(path, route, method)
    for path, about in _BELOW.items():
        paths[path] = {method.lower(): _below(path, about) for method in _ANY_METHOD}
    return {
        "openapi": "3.1.0",
        "info": {"title": "swapd", "version": __version__, "description": _ABOUT},
        "security": [{way: []} for way in _WAYS_IN],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": {"Error": _ERROR}, "securitySchemes": _WAYS_IN},
    }


def _page(path: str, view: View) -> Schema:
    told = told_by(view)
    operation: Schema = {"summary": _summary(view), "parameters": _variables(path)}
    operation["parameters"] += [
        {"name": name, "in": "query", "description": why, "schema": {"enum": list(WORDS)}}
        for name, why in told.switches.items()
    ]
    operation["parameters"] += [
        {"name": name, "in": "query", "description": one.why, "schema": dict(one.schema)}
        for name, one in told.parameters.items()
    ]
    codes = {*OF_ALL, *told.errors}
    if told.open:
        operation["security"] = []
        codes.remove("unauthorized")
    if is_for_admins(path):
        codes.add("cross_site")
    if told.takes is not None:
        operation["requestBody"] = _takes({JSON: {"schema": told.takes}})
        codes.add("body_too_large")
    operation["responses"] = {**_own(told), **_errors(codes, told.mistakes)}
    return operation


def _route(path: str, route: Route, method: str) -> Schema:
    operation: Schema = {"summary": f"{route.forwarded}, answered by the model"}
    codes = {*OF_ALL, *OF_MODELS}
    named = {"type": "object", "required": ["model"], "properties": {"model": _NAME}}
    if method == "POST":
        form = "multipart/form-data"
        kinds = (form,) if path in _BODY_IN_FORM else (JSON,)
        operation["requestBody"] = _takes({kind: {"schema": named} for kind in kinds})
    else:
        query = {"name": "model", "in": "query", "required": True, "schema": _NAME}
        operation["parameters"] = [query]
        codes.add("conflict")  # It may be a websocket that loads no model.
    return {**operation, "responses": {**_of_model(), **_errors(codes, MISTAKES)}}


_BELOW: Mapping[str, str] = {
    "/upstream/{path}": "a model's id and then whatever its server has",
    "/comfyui/{path}": "whatever the server of the model comfyui_auto has",
}


def _below(path: str, about: str) -> Schema:
    rest = {"name": "path", "in": "path", "required": True, "schema": _TEXT, "description": about}
    moved = {str(status): {"description": "the same with a slash"} for status in (301, 308)}
    errors = _errors((*OF_ALL, *OF_MODELS, "conflict"), MISTAKES)
    return {
        "summary": "whatever a model's server has, answered by the model",
        "parameters": [rest],
        "responses": {**_of_model(), **moved, **errors},
    }


def _variables(path: str) -> list[Schema]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _VARIABLE.findall(path)
    ]


def _own(told: Told) -> Schema:
    content: Schema = {told.kind: {"schema": {"type": "object"} if told.kind == JSON else _TEXT}}
    if told.table:
        content[TEXT] = {"schema": _TEXT}
    return {str(status): {"description": "done", "content": content} for status in told.statuses}


def _of_model() -> Schema:
    return {"default": {"description": "the model's own answer", "content": {"*/*": {}}}}


def _errors(codes: Iterable[str], mistakes: Iterable[int]) -> Schema:
    """Describe the errors of these codes, by status; who asks for it gets them as text.

    `mistakes` are the statuses that `invalid_request` may come with.
    """
    wanted, statuses = set(codes), set(mistakes)
    by_status: dict[int, list[str]] = {}
    for error in ERRORS:
        if error.code in wanted and (error.code != "invalid_request" or error.status in statuses):
            by_status.setdefault(error.status, []).append(f"`{error.code}`: {error.meaning}")
    content = {
        JSON: {"schema": {"$ref": "#/components/schemas/Error"}},
        TEXT: {"schema": _TEXT},
        HTML: {"schema": _TEXT},
    }
    return {
        str(status): {"description": "; ".join(lines), "content": content}
        for status, lines in sorted(by_status.items())
    }


def _takes(content: Schema) -> Schema:
    return {"required": True, "content": content}


def _summary(view: View) -> str:
    return (inspect.getdoc(view) or "").partition("\n")[0].rstrip(".")
