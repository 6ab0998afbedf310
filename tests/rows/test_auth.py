"""Rows A1 to A24: who is let in, and where the key is looked for."""

from base64 import b64encode

import attrs
import pytest

from swapd.auth import candidate
from swapd.config.settings import Origin, Peer, Settings
from tests import stories
from tests.house import open_house

CHAT = "/v1/chat/completions"
REMOTE = Origin("http", "10.0.0.9", 80)


def settings(*keys: str) -> Settings:
    """Make a world that asks for one of these keys."""
    peers = {
        "open": Peer("open", REMOTE, ("free",)),
        "closed": Peer("closed", REMOTE, ("paid",), api_key="sk-peer"),
    }
    models = stories.settings(["a", "comfyui_auto"])
    return attrs.evolve(models, api_keys=keys, peers=peers)


def basic(text: str, scheme: str = "Basic") -> tuple[str, str]:
    return ("Authorization", f"{scheme} {b64encode(text.encode()).decode()}")


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        pytest.param([], "", id="A6"),
        pytest.param([("Authorization", "Bearer tok123")], "tok123", id="A7"),
        pytest.param([("Authorization", "bearer tok123")], "tok123", id="A8"),
        pytest.param([("Authorization", "BEARER tok456")], "tok456", id="A9"),
        pytest.param([basic("user:pw-key")], "pw-key", id="A10"),
        pytest.param([basic("user:pw-key", "basic")], "pw-key", id="A11"),
        pytest.param([basic("u:bk", "bAsIc")], "bk", id="A12"),
        pytest.param([("x-api-key", "xkey")], "xkey", id="A13"),
        pytest.param([("Authorization", "Bearer btok"), ("x-api-key", "xkey")], "btok", id="A14"),
        pytest.param(
            [("Authorization", "Basic !!!notbase64"), ("x-api-key", "xkey")], "xkey", id="A15"
        ),
        pytest.param([basic("nocolon"), ("x-api-key", "k")], "k", id="A16"),
        pytest.param([basic("u:"), ("x-api-key", "k")], "k", id="A17"),
        pytest.param([basic("u:a:b")], "a:b", id="A18"),
        pytest.param([("Authorization", "Bearer  two")], " two", id="A19"),
        pytest.param([("Authorization", "secret")], "", id="A20"),
    ],
)
def test_the_key_is_found_where_clients_put_it(headers, key):
    """OpenAI's clients, Anthropic's, and browsers put it in three places."""
    assert candidate([(name.encode(), value.encode()) for name, value in headers]) == key.encode()


@pytest.mark.parametrize(
    ("keys", "credentials", "status"),
    [
        pytest.param((), {}, 200, id="A1"),
        pytest.param(("secret",), {"Authorization": "Bearer secret"}, 200, id="A2"),
        pytest.param(("secret",), {"Authorization": "Bearer wrong"}, 401, id="A3"),
        pytest.param(("two",), {"Authorization": "Bearer  two"}, 401, id="A19-refused"),
        pytest.param(("secret",), {"Authorization": "secret"}, 401, id="A20-refused"),
    ],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/models"])
async def test_both_planes_let_in_the_same_people(path, keys, credentials, status, autojump_clock):
    """A page that lets in whom a model's path refuses would be the way around the key."""
    async with open_house(settings=settings(*keys)) as house:
        caller = house.call()
        await caller.send(path, {"model": "a"} if path == CHAT else None, headers=credentials)
        reply = await caller.reply()
        assert reply.status == status
        if status == 401:
            assert reply.headers["www-authenticate"] == 'Basic realm="swapd"'
            assert reply.code == "unauthorized"
            assert reply.json()["error"]["type"] == "authentication_error"
            message = "unauthorized: invalid or missing API key"
            assert reply.json()["error"]["message"] == message


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        pytest.param("/comfyui/", None, 401, id="A4"),
        pytest.param("/comfyui/", "secret", 200, id="A5"),
        pytest.param("/health", None, 200, id="A21"),
        pytest.param("/does-not-exist", None, 404, id="A22-D3"),
        # There is no web page yet, so there is nothing that a key would open.
        pytest.param("/ui/", None, 404, id="A23-ours"),
    ],
)
async def test_what_wants_a_key_and_what_does_not(path, key, status, autojump_clock):
    """Whether we are there may be asked by anybody; what is here, by those with a key."""
    async with open_house(settings=settings("secret")) as house:
        reply = await house.get(path, **({"authorization": f"Bearer {key}"} if key else {}))
        assert reply.status == status
        if path == "/health":
            assert reply.body == b"OK"
        if status == 404:
            assert reply.code == "not_found"


@pytest.mark.parametrize(
    ("path", "model", "authorization", "key"),
    [
        pytest.param(CHAT, "a", None, None, id="A24-D21"),
        pytest.param("/upstream/a/x", "a", None, None, id="A24-D21-upstream"),
        pytest.param("/comfyui/", "comfyui_auto", None, None, id="A24-D21-comfyui"),
        pytest.param(CHAT, "free", None, None, id="A24-D21-peer-without-a-key"),
        pytest.param(CHAT, "paid", "Bearer sk-peer", "sk-peer", id="A24-D21-peer-with-a-key"),
        pytest.param(
            "/upstream/paid/x", "paid", "Bearer sk-peer", "sk-peer", id="A24-D21-below-a-peer"
        ),
    ],
)
@pytest.mark.parametrize("keys", [("secret",), ()], ids=["asked", "not-asked"])
async def test_a_clients_key_goes_no_further(
    path, model, authorization, key, keys, autojump_clock
):
    """It opens swapd. Whoever is asked next gets the key that was configured for it, or none."""
    async with open_house(settings=settings(*keys)) as house:
        body = {"model": model}
        reply = await house.post(path, body, authorization="Bearer secret", x_api_key="secret")
        assert reply.status == 200
        [asked] = house.upstream.asked
        assert asked.headers.get("authorization") == authorization
        assert asked.headers.get("x-api-key") == key
        assert not any("secret" in value for value in asked.headers.values())
