"""What is true of the daemon: whether it decides, where its models stand, and what is wrong.

`/health` says OK to whoever can read it, as in llama-swap; this page is for who wants to know.
"""

from collections.abc import Iterator, Mapping

from quart import Blueprint, Response

from swapd.engine import Engine
from swapd.ids import ModelId
from swapd.manage.instants import seconds
from swapd.manage.replies import as_json
from swapd.manage.told import Told, tells
from swapd.schedule.phase import Phase
from swapd.schedule.standing import ModelStanding
from swapd.watch.recorder import Recorder


def blueprint(engine: Engine, recorder: Recorder) -> Blueprint:
    """Make the page."""
    pages = Blueprint("health", __name__)

    @pages.get("/api/health")
    @tells(Told((200, 503)))
    async def health() -> Response:
        """Say what is wrong; 503 while swapd stops, and while a process will not die."""
        since = engine.ask.since_last_event()
        alive = since is not None and not engine.stopping
        models = sorted(engine.settings.models, key=str.encode)
        standings = {model: engine.ask.model(model) for model in models}
        stuck = any(standing.phase is Phase.FAILED for standing in standings.values())
        problems = ["swapd is being stopped"] if engine.stopping else []
        problems += _problems(standings)
        if recorder.trouble:
            problems.append(f"finished requests cannot be recorded: {recorder.trouble}")
        told = {
            "status": "degraded" if problems or not alive else "ok",
            "scheduler": {"alive": alive, "last_event_s": seconds(since)},
            "models": {model: standing.state for model, standing in standings.items()},
            "problems": problems,
        }
        return as_json(told, status=200 if alive and not stuck else 503)

    return pages


def _problems(standings: Mapping[ModelId, ModelStanding]) -> Iterator[str]:
    for model, standing in standings.items():
        if standing.phase is Phase.FAILED:
            yield f"{model} will not die; nothing is loaded on top of it"
        elif standing.failure is not None and standing.failed:
            times = f", {standing.failure.attempt} times" * (standing.failure.attempt > 1)
            yield f"{model} failed{times}: {standing.failure.cause.text}"
