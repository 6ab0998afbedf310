"""Rows X16 to X19, X26 and X27: which model a request means, and what a key is taken from.

The rest of the table is about one kind of body, and stands with what reads it, in `tests/proxy`:
`test_query.py`, `test_naming.py` and `test_forms.py`.
"""

import base64
import json

import attrs
import pytest

from swapd.config.settings import Settings
from tests import stories
from tests.fakes import Asked
from tests.house import open_house

CHAT = "/v1/chat/completions"
TRANSCRIBE = "/v1/audio/transcriptions"

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}
TEXT = {"Content-Type": "text/plain"}

A_FORM = (
    b"hello\r\n--x\r\nContent-Type: audio/wav\r\nContent-Disposition: form-data;"
    b' name="file"; filename="a.wav"\r\n\r\n\x00\xff\r\n'
    b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nbody\r\n--x--\r\nbye'
)


def guarded() -> Settings:
    """Configure a model and a key."""
    return attrs.evolve(stories.settings(["body"]), api_keys=("sk-a",))


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param(JSON, b' {"x": 1.50,\r\n "model" : "bo\\u0064y"}\n', id="X16: JSON"),
        pytest.param(MULTIPART, A_FORM, id="X16: multipart"),
        pytest.param(FORM, b"x=%7e&model=%62ody&y=+&&z", id="X16: urlencoded"),
    ],
)
async def test_looking_for_the_model_changes_nothing(headers, body, autojump_clock):
    """What a client has written is between it and the model's server."""
    async with open_house("body") as house:
        house.upstream.handler = Asked.answer
        caller = house.call()
        await caller.send(TRANSCRIBE, body, headers=headers)
        assert (await caller.reply()).status == 200
        (asked,) = house.upstream.asked
        assert asked.body == body
        assert asked.headers["content-length"] == str(len(body))
        assert asked.headers["content-type"] == headers["Content-Type"]


@pytest.mark.parametrize(
    ("headers", "body", "model"),
    [
        pytest.param(MULTIPART, A_FORM, "query", id="X17"),
        pytest.param(FORM, b"model=body", "body", id="X18"),
        pytest.param(TEXT, b"model=body", "query", id="X19"),
    ],
)
async def test_of_two_places_one_counts(headers, body, model, autojump_clock):
    """And both are passed on as they are: which one its server takes is not ours to decide."""
    async with open_house("body", "query") as house:
        house.upstream.handler = Asked.answer
        caller = house.call()
        await caller.send(f"{TRANSCRIBE}?model=query", body, headers=headers)
        assert (await caller.reply()).status == 200
        assert house.loads() == model
        (asked,) = house.upstream.asked
        assert (asked.target, asked.body) == (f"{TRANSCRIBE}?model=query", body)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def x_api_key(key: str) -> dict[str, str]:
    return {"x-api-key": key}


def basic(key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"anybody:{key}".encode()).decode()}


@pytest.mark.parametrize(
    ("path", "kind", "offered", "body"),
    [
        pytest.param("/props?model=body", {}, bearer, None, id="X26: GET bearer"),
        pytest.param("/props?model=body", {}, x_api_key, None, id="X26: GET x-api-key"),
        pytest.param("/props?model=body", {}, basic, None, id="X26: GET basic"),
        pytest.param(CHAT, JSON, bearer, b'{"model":"body"}', id="X26: JSON bearer"),
        pytest.param(CHAT, JSON, x_api_key, b'{"model":"body"}', id="X26: JSON x-api-key"),
        pytest.param(TRANSCRIBE, FORM, bearer, b"model=body", id="X26: form bearer"),
    ],
)
async def test_a_key_is_found_whatever_is_asked(path, kind, offered, body, autojump_clock):
    """It stands in the headers; how the model is named has nothing to do with it."""
    async with open_house(settings=guarded()) as house:
        for key, status in (("sk-a", 200), ("sk-b", 401)):
            caller = house.call()
            await caller.send(path, body, headers={**kind, **offered(key)})
            assert (await caller.reply()).status == status


@pytest.mark.parametrize("model", [pytest.param("body", id="X27"), "ghost", ""])
async def test_a_known_model_is_served_and_any_other_is_a_404(model, autojump_clock):
    """Which is also what a request gets that names none."""
    async with open_house("body") as house:
        reply = await house.post(CHAT, {"model": model})
        if model == "body":
            assert json.loads(reply.json()["body"]) == {"model": "body"}
        else:
            assert (reply.status, reply.code) == (404, "model_not_found")
            says = reply.json()["error"]["message"]
            assert says.startswith("no model id could be identified") == (not model)
