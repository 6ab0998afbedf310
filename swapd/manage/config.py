"""The configuration in use, and taking up a changed one."""

from typing import Any

import attrs
import trio
from quart import Blueprint, Response

from swapd import refusals
from swapd.config import report, show
from swapd.config.problems import ConfigError
from swapd.manage.replies import as_json
from swapd.manage.switches import only_switch
from swapd.manage.told import Told, tells
from swapd.reload import Reloader

# More than anybody mends before the next try; an answer of megabytes helps nobody.
MOST = 1000


def blueprint(reloader: Reloader) -> Blueprint:
    """Make the pages."""
    pages = Blueprint("config", __name__)

    @pages.get("/api/config")
    @tells(Told())
    async def config() -> dict[str, Any]:
        """Show the configuration as it was understood, without its secrets."""
        loaded = reloader.loaded
        # In a thread: a large configuration takes a while to be gone through.
        shown = await trio.to_thread.run_sync(show.as_tree, loaded.written, loaded.secrets)
        return {"config": shown, "pending_restart": reloader.pending_restart}

    @pages.post("/api/config/reload")
    @tells(Told(mistakes=(400, 422), switches={"dry_run": "only say what it would do"}))
    async def reload() -> Response:
        """Take the configuration up, or with `dry_run` say what that would do."""
        dry_run = only_switch("dry_run")
        try:
            changes = await reloader.reload(dry_run=dry_run)
        except ConfigError as broken:
            return _refused(broken)
        return as_json(attrs.asdict(changes))

    return pages


def _refused(broken: ConfigError) -> Response:
    refusal = refusals.broken_configuration(len(broken.problems))
    envelope = {**refusal.envelope(), "problems": report.as_data(broken.problems[:MOST])}
    return as_json(envelope, status=refusal.status)
