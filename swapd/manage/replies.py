"""The shapes of answers that several pages share."""

import json

from quart import Response, has_request_context, request

from swapd.envelope import Reader, Refusal


def refused(refusal: Refusal) -> Response:
    """Say no, in the words that the client wants to read."""
    accept = request.headers.get("Accept", "") if has_request_context() else ""
    reader = Reader(accept)
    headers = dict(refusal.headers(reader))
    return Response(refusal.body(reader), status=refusal.status, headers=headers)


def as_json(value: object, *, status: int = 200) -> Response:
    """Answer with a value, on one line."""
    text = json.dumps(value, separators=(",", ":"))
    return Response(text, status=status, content_type="application/json")


def done() -> Response:
    """Answer that it is done, as llama-swap does."""
    return Response('{"msg":"ok"}\n', content_type="application/json")


def plain(text: str) -> Response:
    """Answer with a line for people."""
    return Response(text, content_type="text/plain; charset=utf-8")
