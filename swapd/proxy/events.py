"""Server-sent events of our own, for a stream that began before its model answered. Pure.

Rule 1: comments and pings mean nothing to a client; they only show that somebody is there.
Rule 2: an error is an event that the client's library takes for one.
"""

import json
from typing import Any

from swapd.envelope import Reader

PING = b'event: ping\ndata: {"type": "ping"}\n\n'


def comment(text: str) -> bytes:
    """Write a line that clients overlook."""
    return b": " + text.encode() + b"\n\n"


def reasoning(text: str) -> bytes:
    """Write a chunk of a chat completion that shows up as thinking; the shape is llama-swap's."""
    chunk = {"choices": [{"delta": {"reasoning_content": text}}]}
    return _data(json.dumps(chunk, separators=(",", ":"), ensure_ascii=False).encode())


def of_answer(status: int, body: bytes, reader: Reader) -> bytes:
    """Turn a model's whole answer, that is no stream of events, into one event, or b"" into none.

    Whatever is no success is an error: nobody can follow a redirection in a stream.
    """
    if status < 300:
        return _data(body) if body else b""
    error = _error(status, body, reader)
    name = b"event: error\n" if reader.anthropic else b""
    return name + _data(json.dumps(error, separators=(",", ":")).encode())


def _error(status: int, body: bytes, reader: Reader) -> dict[str, Any]:
    """Make sure that the error has the shape that clients look for."""
    try:
        error = json.loads(body)
    except (ValueError, RecursionError):
        error = body.decode("utf-8", "replace")
    if isinstance(error, dict) and isinstance(error.get("error"), dict):
        return error
    text = error if isinstance(error, str) else json.dumps(error)
    message = text or f"the model answered with status {status} and nothing else"
    kind = {"type": "error"} if reader.anthropic else {}
    return {**kind, "error": {"message": message, "type": "api_error", "code": status}}


def _data(text: bytes) -> bytes:
    """Write an event; every line of a text needs the word before it."""
    lines = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"
