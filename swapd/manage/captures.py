"""What a request and its answer were in full, while it is remembered."""

import re
from base64 import b64encode
from typing import Any

from quart import Blueprint, Response

from swapd import refusals
from swapd.manage.replies import as_json, refused
from swapd.manage.told import Told, tells
from swapd.watch.captures import Capture
from swapd.watch.recorder import Recorder

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


def blueprint(recorder: Recorder) -> Blueprint:
    """Make the page."""
    pages = Blueprint("captures", __name__)

    @pages.get("/api/captures/<number>")
    @tells(Told(errors=("not_found",)))
    async def capture(number: str) -> Response:
        """Show a request and its answer by the id of its row; bodies are in base64."""
        if not _NUMBER.fullmatch(number):
            return refused(refusals.invalid_request("invalid capture ID"))
        found = recorder.captures.get(int(number))
        if found is None:
            return refused(refusals.no_capture())
        return as_json(_told(int(number), found))

    return pages


def _told(number: int, capture: Capture) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": number,
        "req_path": capture.path,
        "req_headers": capture.request_headers,
        "req_body": _base64(capture.request_body),
        "resp_headers": capture.response_headers,
        "resp_body": _base64(capture.response_body),
    }
    # Unlike llama-swap we do not keep bodies of any length.
    if capture.truncated:
        told["truncated"] = list(capture.truncated)
    return told


def _base64(body: bytes | None) -> str | None:
    return None if body is None else b64encode(body).decode()
