"""The shapes of answers that several pages share."""

import json

from quart import Response, has_request_context, request

from swapd.envelope import Reader, Refusal
from swapd.manage.told import JSON, TEXT


def refused(refusal: Refusal) -> Response:
    """Say no, in the words that the client wants to read."""
    accept = request.headers.get("Accept", "") if has_request_context() else ""
    reader = Reader(accept)
    headers = dict(refusal.headers(reader))
    return Response(refusal.body(reader), status=refusal.status, headers=headers)


def as_json(value: object, *, status: int = 200) -> Response:
    """Answer with a value, on one line."""
    return json_text(json.dumps(value, separators=(",", ":")), status=status)


def json_text(text: str, *, status: int = 200) -> Response:
    """Answer with what is JSON already."""
    return Response(text, status=status, content_type=JSON)


def done() -> Response:
    """Answer that it is done, as llama-swap does."""
    return Response('{"msg":"ok"}\n', content_type="application/json")


def plain(text: str) -> Response:
    """Answer with a line for people."""
    return Response(text, content_type="text/plain; charset=utf-8")


def wants_text() -> bool:
    """Tell whether a list is asked for as a table for people; in doubt it is JSON."""
    # Of kinds that are as welcome the first here counts: some libraries for JSON name text, too.
    return request.accept_mimetypes.best_match([JSON, TEXT], JSON) == TEXT
