"""The configuration in use, and taking up a changed one."""

import json
from typing import Any

import attrs
from quart import Blueprint, Response, request

from swapd import refusals
from swapd.config import report, show
from swapd.config.problems import ConfigError
from swapd.reload import Reloader, tell_broken

_YES = frozenset(("", "1", "true", "yes"))


def blueprint(reloader: Reloader) -> Blueprint:
    """Make the pages."""
    pages = Blueprint("config", __name__)

    @pages.get("/api/config")
    async def config() -> dict[str, Any]:
        """Show the configuration as it was understood, without its secrets."""
        return {
            "config": show.as_tree(reloader.loaded.written),
            "pending_restart": reloader.pending_restart,
        }

    @pages.post("/api/config/reload")
    async def reload() -> Response:
        """Take the configuration up, or with `dry_run` say what that would do."""
        dry_run = request.args.get("dry_run", "0").lower() in _YES
        try:
            changes = await reloader.reload(dry_run=dry_run)
        except ConfigError as broken:
            if not dry_run:
                tell_broken(broken)
            return _refused(broken)
        return _json(attrs.asdict(changes))

    return pages


def _refused(broken: ConfigError) -> Response:
    refusal = refusals.broken_configuration(len(broken.problems))
    envelope = {**refusal.envelope(), "problems": report.as_data(broken.problems)}
    return _json(envelope, status=refusal.status)


def _json(value: object, *, status: int = 200) -> Response:
    text = json.dumps(value, separators=(",", ":"))
    return Response(text, status=status, content_type="application/json")
