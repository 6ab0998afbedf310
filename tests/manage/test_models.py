"""Which models there are, and which run: llama-swap's shapes."""

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.load import Loaded
from swapd.config.settings import Model, Origin, Peer
from swapd.ids import ModelId
from swapd.schedule.reasons import Reason
from tests import stories
from tests.house import House, open_house

CHAT = "/v1/chat/completions"


def settings(*models: Model):
    return attrs.evolve(stories.settings([]), models={model.id: model for model in models})


async def load(house: House, model: str) -> None:
    """Load a model, and leave it idle."""

    def never(reason: Reason) -> None:
        raise AssertionError(reason)

    with house.engine.turn(ModelId(model), revoke=never) as turn:
        await turn.granted()


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
async def test_listed_models_come_by_id_with_their_state(path, autojump_clock):
    """Section 19 of the reference; unlisted ones are hidden, empty fields left out."""
    a = attrs.evolve(stories.model("b/slash"), name=" B ", description="d", aliases=("x",))
    hidden = attrs.evolve(stories.model("hidden"), unlisted=True)
    async with open_house(settings=settings(a, hidden, stories.model("a"))) as house:
        await house.post(CHAT, {"model": "a"})
        reply = (await house.get(path)).json()
        for record in reply["data"]:
            assert record.pop("created") > 0
        assert reply == {
            "data": [
                {
                    "id": "a",
                    "object": "model",
                    "owned_by": "swapd",
                    "meta": {"llamaswap": {"type": "model"}},
                    "status": {"value": "loaded"},
                },
                {
                    "id": "b/slash",
                    "object": "model",
                    "owned_by": "swapd",
                    "name": "B",
                    "description": "d",
                    "meta": {"llamaswap": {"type": "model", "aliases": ["x"]}},
                    "status": {"value": "unloaded"},
                },
            ],
            "object": "list",
        }


@pytest.mark.parametrize(
    ("path", "origin", "allowed"),
    [
        pytest.param("/v1/models", "http://example.com", "http://example.com", id="C10"),
        pytest.param("/models", "null", "null", id="C10-as-it-is"),
        pytest.param("/running", "http://example.com", None, id="C11"),
        pytest.param("/v1/models", None, None, id="nobody-asks"),
        pytest.param("/v1/models", "", None, id="empty"),
    ],
)
async def test_pages_of_another_origin_may_read_the_list(path, origin, allowed, autojump_clock):
    """Web clients list models without asking first; nothing else of us is theirs to read."""
    async with open_house("a") as house:
        caller = house.call()
        await caller.send(path, headers={} if origin is None else {"Origin": origin})
        reply = await caller.reply()
        assert reply.status == 200
        assert reply.headers.get("access-control-allow-origin") == allowed
        await caller.leave()


async def test_an_unlisted_model_is_served_all_the_same(autojump_clock):
    """Hidden is not forbidden."""
    hidden = attrs.evolve(stories.model("hidden"), unlisted=True)
    async with open_house(settings=settings(hidden)) as house:
        assert (await house.post(CHAT, {"model": "hidden"})).status == 200


async def test_running_follows_a_model_through_its_life(autojump_clock):
    """R17: starting, ready, stopping, and then it is not there."""
    model = attrs.evolve(stories.model("a"), name="A", description="d", ttl=300.0)
    async with open_house(settings=settings(model)) as house, trio.open_nursery() as nursery:
        assert (await house.get("/running")).json() == {"running": []}
        nursery.start_soon(house.post, CHAT, {"model": "a"})
        await wait_all_tasks_blocked()
        [entry] = (await house.get("/running")).json()["running"]
        assert entry == {
            "model": "a",
            "state": "starting",
            "cmd": "a",
            "proxy": "http://127.0.0.1:9",
            "ttl": 300,
            "name": "A",
            "description": "d",
        }
        await trio.sleep(2)
        assert (await house.get("/running")).json()["running"][0]["state"] == "ready"
        nursery.start_soon(house.get, "/unload")
        await wait_all_tasks_blocked()
        assert (await house.get("/running")).json()["running"][0]["state"] == "stopping"
        await trio.sleep(2)
        assert (await house.get("/running")).json() == {"running": []}


async def test_running_shows_what_a_model_says_of_itself(autojump_clock):
    """Ours, and not llama-swap's; so it is not there where nothing is said, nor after its run."""
    async with open_house("a", "b") as house:
        house.models.words[ModelId("a")] = "loading layers, --api-key hunter2"
        await load(house, "a")
        [entry] = (await house.get("/running")).json()["running"]
        assert entry["status_text"].startswith("loading layers")
        assert "hunter2" not in entry["status_text"]
        await load(house, "b")
        [entry] = (await house.get("/running")).json()["running"]
        assert (entry["model"], "status_text" in entry) == ("b", False)
        house.models.words.clear()
        await load(house, "a")
        [entry] = (await house.get("/running")).json()["running"]
        assert "status_text" not in entry


# Everything in a command that is nobody's business, and how the list shows it.
COMMAND = (
    "server --port 5800 --api-key of-the-model --hf-token=hf_abc\n  --say sk-swapd-key"
    " peer-key-1 of-the-host of-its-own --max-tokens 9"
)
SHOWN = "server --port 5800 --api-key *** --hf-token=***\n  --say *** *** *** *** --max-tokens 9"


async def test_running_shows_no_secrets(autojump_clock):
    """Whoever may look must not thereby get the keys, of swapd, of peers, or of the host."""
    model = attrs.evolve(
        stories.model("a", cmd=COMMAND),
        proxy="http://127.0.0.1:9?key=sk-swapd-key",
        env=("HF_TOKEN=of-its-own", "PORT=server"),
    )
    origin = Origin("http", "10.0.0.9", 80)
    chosen = attrs.evolve(
        settings(model),
        api_keys=("sk-swapd-key",),
        peers={"p": Peer("p", origin, ("x",), api_key="peer-key-1")},
    )

    async def read(before: Loaded) -> Loaded:
        return attrs.evolve(before, secrets=frozenset(["of-the-host"]))

    key = {"x-api-key": "sk-swapd-key"}
    async with open_house(settings=chosen, read=read, headers=key) as house:
        await house.get("/api/config/reload", method="POST")
        await load(house, "a")
        [entry] = (await house.get("/running")).json()["running"]
        assert (entry["cmd"], entry["proxy"]) == (SHOWN, "http://127.0.0.1:9?key=***")


async def test_a_model_that_does_not_start_is_listed_as_failed(autojump_clock):
    """Until it is known to be mended: whoever chooses from the list should choose another."""
    async with open_house("a", "b") as house:
        house.models.broken.add(ModelId("a"))
        assert (await house.post(CHAT, {"model": "a"})).status == 502
        await trio.sleep(house.models.stop)

        async def listed() -> list[str]:
            data = (await house.get("/v1/models")).json()["data"]
            return [record["status"]["value"] for record in data]

        assert await listed() == ["failed", "unloaded"]
        assert (await house.get("/api/models/reset/a", method="POST")).status == 200
        assert await listed() == ["unloaded", "unloaded"]
