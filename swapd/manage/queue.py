"""The queue: who waits for which model and why, ending that, and what one more would lead to.

Rule 1: a request that has been told to end is not there any more, though it may still hold its
model for a moment.
"""

import json
from typing import Any

import trio
from quart import Blueprint, Response, request

from swapd import refusals
from swapd.engine import Engine
from swapd.flights import Flights
from swapd.manage.entries import HEADINGS, Entry, Writer, reason
from swapd.manage.instants import Instants, seconds
from swapd.manage.parameters import Words, read_query
from swapd.manage.replies import as_json, done, json_text, plain, refused, wants_text
from swapd.manage.tables import table
from swapd.manage.told import Told, tells
from swapd.schedule.standing import Plan, Standing
from swapd.turns import Turn

# How long a request is waited for, in seconds; then the answer is how it stands.
LONGEST_WAIT = 60.0

WAIT = {"wait": Words("answer when the request is granted, or over", ("granted",))}

QUESTION = {
    "type": "object",
    "required": ["model"],
    "properties": {"model": {"type": "string", "minLength": 1}},
}


def blueprint(engine: Engine, flights: Flights) -> Blueprint:
    """Make the pages."""
    pages = Blueprint("queue", __name__)

    @pages.get("/api/queue")
    @tells(Told(table=True))
    async def queue() -> Response:
        """List the requests that are served or wait, in the order in which they run."""
        # In one go: ten thousand that live until others have had their turn would cost the
        # collector of garbage more time than it takes to write them.
        entries = (_entry(flights, *place) for place in engine.ask.queue())
        there = (entry for entry in entries if entry is not None)
        if wants_text():
            rows = [*map(_writer().row, there)]
            return plain(table(HEADINGS, rows) if rows else "the queue is empty\n")
        return json_text(f'{{"requests":[{",".join(map(_writer().json, there))}]}}')

    @pages.get("/api/queue/<name>")
    @tells(Told(errors=("not_found",), parameters=WAIT))
    async def entry(name: str) -> Response:
        """Say where a request stands; with `wait=granted` not before it is granted or over."""
        wait = read_query(WAIT)
        turn = engine.ask.turn(name)
        if turn is not None and wait:
            with trio.move_on_after(LONGEST_WAIT):
                await turn.settled()
        place = next((place for place in engine.ask.queue() if place[1].name == name), None)
        found = None if place is None else _entry(flights, *place)
        if found is None:
            return refused(refusals.no_such_request(name))
        return json_text(_writer().json(found))

    @pages.delete("/api/queue/<name>")
    @tells(Told(errors=("not_found",)))
    async def cancel(name: str) -> Response:
        """Cancel a request for a model; its client gets 503, or sees its answer cut."""
        if engine.ask.turn(name) is None or not flights.cancel(name):
            return refused(refusals.no_such_request(name))
        return done()

    @pages.post("/api/plan")
    @tells(Told(errors=("model_not_found",), takes=QUESTION))
    async def plan() -> Response:
        """Say what a request for a model would lead to, if it came now; nothing happens."""
        body = await request.get_data(cache=True, as_text=False, parse_form_data=False)
        name = _model_in(body)
        if name is None:
            text = 'the body must be a JSON object that names a model: {"model": "..."}'
            return refused(refusals.invalid_request(text))
        model = engine.settings.resolve(name)
        if model is None and (
            name in engine.settings.selectors or engine.settings.names.remote(name)
        ):
            return refused(refusals.not_here(name))
        if model is None:
            return refused(refusals.unknown_model(name))
        return as_json(_told(engine.ask.plan(model)))

    return pages


def _entry(flights: Flights, standing: Standing, turn: Turn) -> Entry | None:
    """Put together what is known of a request; None for one that is ending (rule 1)."""
    flight = flights.of(turn.name)
    if flight is None:
        return Entry(turn.name, None, turn.opened, standing)
    return None if flight.ending else Entry(turn.name, flight.client, flight.since, standing)


def _writer() -> Writer:
    return Writer(trio.current_time(), Instants.now())


def _model_in(body: bytes) -> str | None:
    """Read the model's name; None for a body that has none."""
    try:
        value = json.loads(body)
    # No text, no JSON, a number of thousands of digits, or lists in lists in lists.
    except (ValueError, RecursionError):
        return None
    match value:
        case {"model": str(name)}:
            return name
        case _:
            return None


def _told(plan: Plan) -> dict[str, Any]:
    no = None if plan.refused is None else refusals.of_reason(plan.refused)
    return {
        "model": plan.model,
        "evict": list(plan.evict),
        "start": plan.start,
        "position": plan.position,
        "wait_s": seconds(plan.eta),
        "bound_s": seconds(plan.bound),
        "reason": reason(plan.wait, Instants.now()),
        "refused": None if no is None else {"code": no.code, "message": no.message},
    }
