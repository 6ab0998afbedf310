"""Parameters that turn something on."""

import pytest
from quart import Quart
from werkzeug.exceptions import BadRequest

from swapd.manage.switches import only_switch

app = Quart(__name__)


async def asked(query: str) -> bool:
    """Ask a page with this query."""
    async with app.test_request_context(f"/x{query}"):
        return only_switch("wait")


@pytest.mark.parametrize(
    ("query", "on"),
    [
        ("", False),
        ("?", False),
        *((f"?wait{word}", True) for word in ("", "=", "=1", "=true", "=yes", "=TRUE", "=Yes")),
        *((f"?wait={word}", False) for word in ("0", "false", "no", "False", "NO")),
    ],
)
async def test_a_switch_is_on_or_off_however_one_says_it(query, on, autojump_clock):
    """People write it by hand, in every program's manner."""
    assert await asked(query) is on


@pytest.mark.parametrize(
    "query",
    ["?wait=on", "?wait=2", "?wait=-1", "?wait=%20", "?Wait=1", "?wait=1&x=1", "?dry_run=1"],
)
async def test_what_cannot_be_meant_is_refused(query, autojump_clock):
    """A misspelled switch that is overlooked does the opposite of what was asked."""
    with pytest.raises(BadRequest, match="wait=1"):
        await asked(query)
