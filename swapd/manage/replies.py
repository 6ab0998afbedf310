"""The shapes of answers that several pages share."""

from quart import Response

from swapd.refusals import Refusal


def refused(refusal: Refusal) -> Response:
    """Say no in the OpenAI envelope."""
    return Response(refusal.body(), status=refusal.status, headers=dict(refusal.headers()))


def plain(text: str) -> Response:
    """Answer with a line for people."""
    return Response(text, content_type="text/plain; charset=utf-8")
