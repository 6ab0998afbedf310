"""Parameters with a value: what they may be, and what is refused."""

import pytest
from jsonschema import Draft202012Validator
from quart import Quart
from werkzeug.exceptions import BadRequest

from swapd.manage.parameters import Number, Parameter, Seconds, Words, read_query

app = Quart(__name__)

KNOWN: dict[str, Parameter] = {
    "mode": Words("how", ("now", "drain")),
    "since": Number("from where"),
    "timeout": Seconds("how long"),
}


async def asked(query: str) -> dict[str, object]:
    """Ask a page with this query."""
    async with app.test_request_context(f"/x{query}"):
        return read_query(KNOWN)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {}),
        ("?mode=drain", {"mode": "drain"}),
        ("?since=0", {"since": 0}),
        ("?since=9007199254740991", {"since": 2**53 - 1}),
        ("?timeout=0", {"timeout": 0.0}),
        ("?timeout=2.5", {"timeout": 2.5}),
        ("?timeout=1e3", {"timeout": 1000.0}),
        ("?timeout=1e%2B3", {"timeout": 1000.0}),
        ("?timeout=-0.0", {"timeout": 0.0}),
        ("?timeout=3&mode=now", {"mode": "now", "timeout": 3.0}),
    ],
)
async def test_what_is_given_is_read(query, found, autojump_clock):
    """And what is not given is not there."""
    assert await asked(query) == found


@pytest.mark.parametrize(
    "query",
    [
        *("?mode=", "?mode", "?mode=Drain", "?mode=now&mode=now", "?Mode=now", "?other=1"),
        *("?since=-1", "?since=1.0", "?since=1_0", "?since=%20", "?since=9007199254740992"),
        *(f"?since={'9' * 5000}", "?since=%D9%A3", "?mode=now&x=1"),
        *("?timeout=nan", "?timeout=inf", "?timeout=-1", "?timeout=1e999", "?timeout=2e9"),
        *("?timeout=1_0", "?timeout=5s", "?timeout=", "?timeout=.5", "?timeout=%D9%A3"),
    ],
)
async def test_what_cannot_be_meant_is_refused_with_what_could(query, autojump_clock):
    """A misspelled drain that is overlooked would cut everybody off."""
    with pytest.raises(BadRequest) as refused:
        await asked(query)
    says = str(refused.value.description)
    assert "mode=now|drain, since=NUMBER, timeout=SECONDS" in says


@pytest.mark.parametrize("parameter", list(KNOWN.values()), ids=list(KNOWN))
@pytest.mark.parametrize("value", ["now", "later", 0, 7, 2.5, -1, 2**53, 10**9, 10**10])
def test_what_is_described_is_what_is_read(parameter, value):
    """A client made from the description must not meet a refusal, nor miss what is possible."""
    Draft202012Validator.check_schema(parameter.schema)
    described = Draft202012Validator(parameter.schema).is_valid(value)
    assert (parameter.read(str(value)) is not None) is described
