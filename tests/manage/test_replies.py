"""The shapes of answers that several pages share."""

import json

import pytest
from quart import Quart

from swapd.ids import ModelId
from swapd.manage.replies import as_json, json_text, plain, refused, wants_text
from swapd.refusals import method_not_allowed, of_reason
from swapd.schedule.reasons import BackingOff, Cause


async def test_a_refusal_keeps_its_status_headers_and_body():
    """The same on both planes: a client cannot tell which one said no."""
    refusal = of_reason(BackingOff(ModelId("a"), Cause("exited with code 1")), 2.5)
    response = refused(refusal)
    assert response.status_code == 503
    assert response.headers.getlist("Content-Type") == ["application/json"]
    assert response.headers["Retry-After"] == "3"
    assert await response.get_data(as_text=False) == refusal.body()
    assert response.headers["Content-Length"] == str(len(refusal.body()))


async def test_a_refusal_without_a_time_gives_none():
    """Only what a refusal has is sent."""
    response = refused(method_not_allowed("PUT", "GET"))
    assert response.headers["Allow"] == "GET"
    assert "Retry-After" not in response.headers
    assert json.loads(await response.get_data(as_text=True))["src"] == "swapd"


async def test_a_line_for_people_is_plain_text():
    """llama-swap's own content type, which scripts compare."""
    response = plain("OK")
    assert response.status_code == 200
    assert response.headers.getlist("Content-Type") == ["text/plain; charset=utf-8"]
    assert await response.get_data(as_text=True) == "OK"


async def test_what_is_json_already_goes_out_as_it_is():
    """Writing a value and writing its text give the same answer."""
    ours, theirs = json_text('{"a":[1]}'), as_json({"a": [1]})
    assert ours.headers == theirs.headers
    assert await ours.get_data(as_text=True) == await theirs.get_data(as_text=True)


@pytest.mark.parametrize(
    ("accept", "text"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("application/json, text/plain, */*", False),
        ("text/plain;q=0.5, application/json", False),
        ("text/plain;q=0, */*", False),
        ("image/png", False),
        ("text/plain", True),
        ("text/plain, */*", True),
        ("text/*", True),
        ("application/json;q=0.5, text/plain", True),
    ],
)
async def test_only_whoever_likes_text_better_gets_a_table(accept, text):
    """A browser, curl, and libraries that would take anything, get JSON."""
    headers = {} if accept is None else {"Accept": accept}
    async with Quart(__name__).test_request_context("/x", headers=headers):
        assert wants_text() is text
