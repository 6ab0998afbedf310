"""The shapes of answers that several pages share."""

import json

from swapd.ids import ModelId
from swapd.manage.replies import plain, refused
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
