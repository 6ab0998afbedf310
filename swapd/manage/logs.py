"""The logs: what was written lately, and what is being written, as it was written.

Rule 1: history and what follows are one stream: nothing is told twice, or not at all, unless its
reader is slow; then a line says how much is missing.
Rule 2: as in llama-swap, what stands behind a model's name does not matter.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import attrs
from quart import Blueprint, Response, request

from swapd import refusals
from swapd.config.names import Names
from swapd.engine import Engine
from swapd.ids import ModelId
from swapd.manage.replies import refused
from swapd.manage.streaming import Audience, Stream, streamed
from swapd.manage.told import TEXT, Told, tells
from swapd.watch.follower import Follower
from swapd.watch.logs import Logs
from swapd.watch.monitor import Monitor

# Whatever a model writes, no browser is to run it.
HEADERS = {"X-Content-Type-Options": "nosniff"}

# No proxy on the way is to wait for more.
LIVE = {**HEADERS, "X-Accel-Buffering": "no"}

# Where people read logs.
PAGE = "/ui/"

# In llama-swap's words.
WHICH = "invalid logger. Use 'proxy', 'upstream' or a model's ID"

NO_HISTORY = "no-history"

PLAIN = f"{TEXT}; charset=utf-8"


@attrs.frozen
class Anything:
    """A parameter that says something by being there."""

    why: str
    form: str = "ANYTHING"

    @property
    def schema(self) -> dict[str, str]:
        return {"type": "string"}

    def read(self, word: str) -> str:
        return word


STREAM = Told(
    kind=TEXT,
    errors=("too_many_followers",),
    parameters={NO_HISTORY: Anything("given, what was written before is not told")},
)


def blueprint(engine: Engine, logs: Logs) -> Blueprint:
    """Make the pages."""
    pages = Blueprint("logs", __name__)
    audience = Audience()

    @pages.get("/logs")
    @tells(Told(statuses=(200, 302), kind=TEXT))
    async def history() -> Response:
        """Show what was written to standard output lately; browsers are sent to the web page."""
        if "text/html" in request.headers.get("Accept", ""):
            return Response(b"", status=302, headers={"Location": PAGE}, content_type=TEXT)
        return Response(logs.combined.history(), headers=HEADERS, content_type=PLAIN)

    @pages.get("/logs/stream")
    @tells(STREAM)
    async def combined() -> Response:
        """Follow what is written to standard output."""
        return _live(logs.combined)

    @pages.get("/logs/stream/<id:name>")
    @tells(STREAM)
    async def one(name: str) -> Response:
        """Follow one log: `proxy`, `upstream`, or that of a model."""
        log = _named(name)
        return _live(log) if log else refused(refusals.invalid_request(WHICH))

    def _named(name: str) -> Monitor | None:
        match name:
            case "proxy":
                return logs.proxy
            case "upstream":
                return logs.upstream
            case _:
                model = _find(engine.settings.names, name)
                return logs.of(model) if model else None

    def _live(log: Monitor) -> Response:
        follow = log.follow if NO_HISTORY in request.args else partial(_with_history, log)
        return streamed(Stream(follow, audience), LIVE, PLAIN)

    return pages


@contextmanager
def _with_history(log: Monitor) -> Iterator[Follower]:
    with log.follow() as follower:
        follower.put(log.history())
        yield follower


def _find(names: Names, path: str) -> ModelId | None:
    """Find the model whose name begins the path; of several the longest is meant."""
    if len(path) > names.longest:
        # Not from the very end: a path of many segments would take seconds.
        path = path[: names.longest + 1].rpartition("/")[0]
    while path:
        target = names.target(path)
        if target is not None:
            return target if isinstance(target, str) else None
        path = path.rpartition("/")[0]
    return None
