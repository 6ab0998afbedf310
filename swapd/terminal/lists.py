"""`swapd status` and `swapd queue`: where models and requests stand, as tables.

Rule 1: `--json` is what the endpoint said; a table is for people, and may change.
"""

import argparse
from collections.abc import Sequence
from datetime import datetime

from swapd.terminal.client import Client
from swapd.terminal.facts import Record, listed
from swapd.terminal.words import (
    count,
    lasting,
    say,
    say_exactly,
    since,
    size,
    table,
    until,
    visible,
)

MODELS = "/api/models"
QUEUE = "/api/queue"

_MODEL = ("MODEL", "STATE", "PID", "SINCE", "REQUESTS", "MEMORY", "UNLOADS IN", "FAILURE")
_REQUEST = ("ID", "MODEL", "CLIENT", "AGE", "POSITION", "PHASE", "ETA", "REASON")


def status(asked: argparse.Namespace, client: Client) -> None:
    """Say where each model stands."""
    body = client.ask(MODELS).body
    models = listed(body, "models")
    if asked.json:
        say_exactly(body)
    else:
        say(_text(model_lines(models, datetime.now().astimezone())))


def queue(asked: argparse.Namespace, client: Client) -> None:
    """Say who is served and who waits, in the order in which they run."""
    body = client.ask(QUEUE).body
    requests = listed(body, "requests")
    if asked.json:
        say_exactly(body)
    else:
        say(_text(request_lines(requests)))


def model_lines(models: Sequence[Record], now: datetime) -> list[str]:
    """Write a line for each model, below the headings."""
    if not models:
        return ["no models are configured"]
    return table(_MODEL, [_model(model, now) for model in models])


def request_lines(requests: Sequence[Record]) -> list[str]:
    """Write a line for each request, below the headings."""
    if not requests:
        return ["the queue is empty"]
    return table(_REQUEST, [_request(request) for request in requests])


def _model(model: Record, now: datetime) -> Sequence[str]:
    failure, gpu = model.record("failure"), model.number("gpu_bytes")
    memory = size(model.number("rss_bytes"))
    return (
        *(model.text("id") or "-", model.text("state") or "-", count(model.number("pid"))),
        *(since(model.text("since"), now), count(model.number("requests"))),
        memory if gpu is None else f"{memory} + {size(gpu)} GPU",
        until(model.text("idle_unload_at"), now),
        "-" if failure is None else failure.text("text") or "failed",
    )


def _request(request: Record) -> Sequence[str]:
    why = request.record("reason")
    return (
        *(request.text(name) or "-" for name in ("id", "model", "client")),
        *(lasting(request.number("age_s")), count(request.number("position"))),
        *(request.text("phase") or "-", lasting(request.number("eta_s"))),
        "-" if why is None else why.text("text") or "-",
    )


def _text(lines: Sequence[str]) -> str:
    return "".join(visible(line) + "\n" for line in lines)
