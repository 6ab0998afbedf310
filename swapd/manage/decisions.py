"""What was decided lately, and why."""

from typing import Any

from quart import Blueprint, Response

from swapd.decisions import Decision, Decisions
from swapd.manage.instants import Instants
from swapd.manage.parameters import Number, read_query
from swapd.manage.replies import as_json, plain, wants_text
from swapd.manage.told import Told, tells

SINCE = {"since": Number("list only what came after the decision of this number")}


def blueprint(decisions: Decisions) -> Blueprint:
    """Make the page."""
    pages = Blueprint("decisions", __name__)

    @pages.get("/api/decisions")
    @tells(Told(table=True, parameters=SINCE))
    async def newest() -> Response:
        """List the newest decisions, oldest first; as text, a line each, in local time."""
        found = decisions.since(read_query(SINCE).get("since", 0))
        instants = Instants.now()
        if wants_text():
            lines = [f"{instants.time_of_day(each.at)} {each.text}\n" for each in found]
            return plain("".join(lines) or "nothing was decided\n")
        return as_json({"decisions": [_told(each, instants) for each in found]})

    return pages


def _told(decision: Decision, instants: Instants) -> dict[str, Any]:
    return {
        "seq": decision.seq,
        "at": instants.date(decision.at),
        "kind": decision.kind,
        "model": decision.model,
        "text": decision.text,
        **decision.more,
    }
