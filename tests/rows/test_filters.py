"""Row F5, and filters in requests as a whole.

The other rows are about bodies alone, and stand with what changes them, in
`tests/proxy/test_filters.py`; pins and selectors have tables of their own.
"""

import json

import pytest

from swapd.config.settings import Settings
from tests.config.rows.loading import loaded
from tests.fakes import Asked
from tests.house import House, open_house

CHAT = "/v1/chat/completions"
TRANSCRIBE = "/v1/audio/transcriptions"

CONFIGURATION = """
models: {a: {M, useModelName: real, aliases: [other], filters: {
  stripParams: seed,
  setParams: {top_p: 0.5},
  setParamsByID: {'a:high': {effort: high, top_p: 0.1}}}}}
peers: {remote: {proxy: 'http://h', models: [org/model], filters: {
  stripParams: seed,
  setParams: {provider.order: [x]}}}}
"""


def configured() -> Settings:
    """Load the models with their filters."""
    return loaded(CONFIGURATION).settings


async def sent(house: House, path: str, body: bytes, **headers: str) -> Asked:
    """Ask for a model; answer with what its server is asked."""
    assert (await house.post(path, body, **headers)).status == 200
    asked = house.upstream.asked[-1]
    assert asked.headers["content-length"] == str(len(asked.body))
    return asked


WHISPER = (
    b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n%b\r\n'
    b'--x\r\nContent-Disposition: form-data; name="seed"\r\n\r\n1\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
    b"Content-Type: audio/wav\r\n\r\nxx\r\n--x--\r\n"
)


@pytest.mark.parametrize(
    ("called", "real"), [pytest.param(b"whisper", b"whisper-large-v3", id="F5-D24")]
)
async def test_a_form_gets_the_name_that_the_models_server_knows(called, real, autojump_clock):
    """The model is loaded, listed and counted by the name that it has here."""
    settings = loaded(
        "models: {whisper: {M, useModelName: whisper-large-v3, filters: {stripParams: seed}}}"
    ).settings
    async with open_house(settings=settings) as house:
        during: list[str] = []

        async def look(asked: Asked) -> None:
            during.extend(flight.model for flight in house.flights)
            await asked.answer()

        house.upstream.handler = look
        multipart = "multipart/form-data; boundary=x"
        asked = await sent(house, TRANSCRIBE, WHISPER % called, content_type=multipart)
        assert asked.body == WHISPER % real
        assert (during, house.loads()) == (["whisper"], "whisper")


@pytest.mark.parametrize(
    ("asked_for", "body"),
    [
        ("a", {"model": "real", "top_p": 0.5}),
        ("other", {"model": "real", "top_p": 0.5}),
        ("a:high", {"model": "real", "effort": "high", "top_p": 0.1}),
        ("org/model", {"model": "org/model", "provider": {"order": ["x"]}}),
        ("remote/org/model", {"model": "org/model", "provider": {"order": ["x"]}}),
    ],
)
async def test_what_is_set_goes_by_the_name_that_was_asked_for(asked_for, body, autojump_clock):
    """One process serves all variants of a model, and a peer has filters but no other name."""
    async with open_house(settings=configured()) as house:
        asked = await sent(house, CHAT, json.dumps({"seed": 1, "model": asked_for}).encode())
        assert json.loads(asked.body) == body
        assert house.loads() == ("" if "/" in asked_for else "a")


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/x-www-form-urlencoded", "text/plain"]
)
@pytest.mark.parametrize("padding", [0, 2_000_000])
async def test_json_is_filtered_whatever_it_was_declared_as(content_type, padding, autojump_clock):
    """D4; and whether it waited for its turn in memory or on disk."""
    text = "x" * padding
    async with open_house(settings=configured(), max_body=3_000_000) as house:
        body = f'{{"seed":1,"model":"a", "x":"{text}"}}'.encode()
        asked = await sent(house, CHAT, body, content_type=content_type)
        assert asked.body == f'{{"model":"real", "x":"{text}","top_p":0.5}}'.encode()


@pytest.mark.parametrize(
    ("path", "body", "content_type"),
    [
        (CHAT, b"seed=1&model=a", "application/x-www-form-urlencoded"),
        (f"{CHAT}?model=a&seed=1", b"seed=1", "text/plain"),
        ("/upstream/a/v1/chat/completions", b'{"model":"a","seed":1}', "application/json"),
    ],
)
async def test_what_is_no_json_and_what_is_addressed_to_a_path_is_not_filtered(
    path, body, content_type, autojump_clock
):
    """As in llama-swap: not even the name that the model's server knows is put in."""
    async with open_house(settings=configured()) as house:
        asked = await sent(house, path, body, content_type=content_type)
        assert (asked.target, asked.body) == (path.removeprefix("/upstream/a"), body)


async def test_a_page_that_is_asked_for_is_not_filtered(autojump_clock):
    """Its model stands in the query and stays as it is there."""
    async with open_house(settings=configured()) as house:
        assert (await house.get("/props?seed=1&model=a")).status == 200
        assert house.upstream.asked[0].target == "/props?seed=1&model=a"


async def test_a_body_that_cannot_be_filtered_is_refused_before_anything_is_loaded(
    autojump_clock,
):
    """It is the client's mistake, and costs nobody a turn."""
    async with open_house(settings=configured()) as house:
        body = b'{"model":"a"' + b',"":0' * 50_000 + b"}"
        reply = await house.post(CHAT, body)
        assert (reply.status, reply.code) == (400, "invalid_request")
        assert house.loads() == ""
