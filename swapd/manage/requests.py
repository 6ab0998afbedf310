"""What is under way: cancelling it, and loading models without a request for them."""

from quart import Blueprint, Response

from swapd import refusals
from swapd.engine import Engine
from swapd.flights import Flights
from swapd.loads import Loads
from swapd.manage.replies import as_json, done, refused
from swapd.manage.switches import only_switch
from swapd.manage.told import Told, tells

LOADING = Told(
    (200, 202),
    errors=(
        *("model_not_found", "load_failed", "back_off", "model_failed", "model_unloaded"),
        *("queue_full", "concurrency_limit", "cancelled", "shutting_down"),
    ),
    switches={"wait": "answer when the model is ready, or with why it is not"},
)


def blueprint(engine: Engine, flights: Flights, loads: Loads) -> Blueprint:
    """Make the pages."""
    pages = Blueprint("requests", __name__)

    @pages.post("/api/inflight/<name>/cancel")
    @tells(Told(errors=("not_found",)))
    async def cancel(name: str) -> Response:
        """Cancel a request by its id; its client gets 503, or sees its answer cut."""
        if not flights.cancel(name):
            return refused(refusals.no_such_request(name))
        return done()

    @pages.post("/api/models/load/<id:name>")
    @tells(LOADING)
    async def load(name: str) -> Response:
        """Load a model; with `wait=1` answer when it is ready, or with why it is not."""
        model = engine.settings.resolve(name)
        if model is None:
            return refused(refusals.unknown_model(name))
        if not only_switch("wait"):
            return as_json({"id": loads.begin(model)}, status=202)
        no = await loads.load(model)
        if no is not None:
            return refused(refusals.of_reason(no.reason, no.retry_after))
        return as_json({"model": model, "state": engine.phase(model).value})

    return pages
