"""The configuration in use, and taking up a changed one."""

import json
from typing import Any

import attrs
import trio
from quart import Blueprint, Response, request

from swapd import refusals
from swapd.config import report, show
from swapd.config.problems import ConfigError
from swapd.manage.replies import refused
from swapd.reload import Reloader

# More than anybody mends before the next try; an answer of megabytes helps nobody.
MOST = 1000

_WORDS = {"": True, "1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def blueprint(reloader: Reloader) -> Blueprint:
    """Make the pages."""
    pages = Blueprint("config", __name__)

    @pages.get("/api/config")
    async def config() -> dict[str, Any]:
        """Show the configuration as it was understood, without its secrets."""
        loaded = reloader.loaded
        # In a thread: a large configuration takes a while to be gone through.
        shown = await trio.to_thread.run_sync(show.as_tree, loaded.written, loaded.secrets)
        return {"config": shown, "pending_restart": reloader.pending_restart}

    @pages.post("/api/config/reload")
    async def reload() -> Response:
        """Take the configuration up, or with `dry_run` say what that would do."""
        word = request.args.get("dry_run", "no").lower()
        if word not in _WORDS or set(request.args) - {"dry_run"}:
            # Nothing at all rather than what was not meant.
            return refused(refusals.invalid_request("the only parameter here is dry_run=1"))
        try:
            changes = await reloader.reload(dry_run=_WORDS[word])
        except ConfigError as broken:
            return _refused(broken)
        return _json(attrs.asdict(changes))

    return pages


def _refused(broken: ConfigError) -> Response:
    refusal = refusals.broken_configuration(len(broken.problems))
    envelope = {**refusal.envelope(), "problems": report.as_data(broken.problems[:MOST])}
    return _json(envelope, status=refusal.status)


def _json(value: object, *, status: int = 200) -> Response:
    text = json.dumps(value, separators=(",", ":"))
    return Response(text, status=status, content_type="application/json")
