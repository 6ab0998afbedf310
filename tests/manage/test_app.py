"""The Quart app of the control plane: its limits and its errors, without any model."""

import logging
from collections.abc import AsyncIterator

import pytest
import trio
from quart import Response, abort, request
from quart.testing import WebsocketResponseError

from swapd.manage.app import LARGEST_BODY


async def envelope(response: Response) -> tuple[int, str, str]:
    """Read an error."""
    assert response.content_type == "application/json"
    error = (await response.get_json())["error"]
    return response.status_code, error["code"], error["message"]


async def test_what_is_not_there_is_a_404_in_the_envelope(app, autojump_clock):
    """D3: a client that knows only OpenAI's errors can read ours."""
    response = await app.test_client().get("/nothing/at%20all")
    status, code, says = await envelope(response)
    assert (status, code) == (404, "not_found")
    assert "/nothing/at all" in says


async def test_a_wrong_method_is_a_405_with_those_that_would_do(app, autojump_clock):
    """In the message and in the header."""
    response = await app.test_client().delete("/v1/models")
    status, code, says = await envelope(response)
    assert (status, code) == (405, "method_not_allowed")
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert "GET, HEAD, OPTIONS" in says


async def test_any_other_error_of_the_framework_comes_in_the_envelope(app, autojump_clock):
    """Quart's own pages are HTML."""

    @app.get("/tea")
    async def tea():
        abort(418)

    status, code, _ = await envelope(await app.test_client().get("/tea"))
    assert (status, code) == (418, "invalid_request")


async def test_a_bug_is_a_500_for_the_client_and_a_traceback_for_the_log(
    app, autojump_clock, caplog
):
    """The client learns nothing of our insides; the operator all."""

    @app.get("/bug")
    async def bug():
        raise ZeroDivisionError("secret")

    with caplog.at_level(logging.ERROR):
        status, code, says = await envelope(await app.test_client().get("/bug"))
    assert (status, code) == (500, "internal_error")
    assert "secret" not in says
    [record] = caplog.records
    assert record.getMessage() == "answering '/bug' failed"
    assert record.exc_info is not None


async def test_a_large_body_is_refused(app, autojump_clock):
    """Nothing here takes one, and Quart keeps bodies in memory."""

    @app.post("/echo")
    async def echo():
        return str(len(await request.get_data()))

    client = app.test_client()
    largest = await client.post("/echo", data=b"x" * LARGEST_BODY)
    assert await largest.get_data(as_text=True) == str(LARGEST_BODY)
    status, code, _ = await envelope(await client.post("/echo", data=b"x" * (LARGEST_BODY + 1)))
    assert (status, code) == (413, "body_too_large")


async def test_an_answer_may_take_long(app, autojump_clock):
    """An unload waits for processes; Quart's default would cut it after a minute."""

    @app.get("/slow")
    async def slow():
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(3):
                await trio.sleep(1000)
                yield b"x"

        await trio.sleep(1000)
        return Response(pieces())

    response = await app.test_client().get("/slow")
    assert await response.get_data() == b"xxx"


async def test_slashes_in_ids_are_kept(app, autojump_clock):
    """Two in a row as well, or one at the start; a redirect to a tidier path would lose a POST."""
    for name in ("org/model", "a//b", "a%2Fb", "a/", "/a", "%2Fa"):
        response = await app.test_client().post(f"/api/models/unload/{name}")
        status, code, says = await envelope(response)
        assert (status, code) == (404, "model_not_found")
        assert f'"{name.replace("%2F", "/")}"' in says


async def test_a_websocket_to_nowhere_is_a_404_too(app, autojump_clock, caplog):
    """Somebody's dashboard that tries every minute must not fill the log with tracebacks."""
    with pytest.raises(ExceptionGroup) as refusal:
        async with app.test_client().websocket("/nothing") as socket:
            await socket.receive()
    [error] = refusal.value.exceptions
    assert isinstance(error, WebsocketResponseError)
    assert (await envelope(error.response))[:2] == (404, "not_found")
    assert caplog.records == []


async def test_keys_keep_the_order_in_which_they_are_documented(app, autojump_clock):
    """For people with curl."""
    response = await app.test_client().get("/v1/models")
    text = await response.get_data(as_text=True)
    assert text.index('"data"') < text.index('"id"') < text.index('"status"')
    assert text.index('"status"') < text.rindex('"object"')
