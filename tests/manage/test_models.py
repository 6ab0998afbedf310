"""Which models there are, which run, and unloading them: llama-swap's shapes."""

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.load import Loaded
from swapd.config.settings import Model, Origin, Peer, Profile
from swapd.ids import ModelId
from swapd.schedule.reasons import Reason
from tests import stories
from tests.fakes import Asked
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


@pytest.mark.parametrize(
    ("method", "path", "body", "kind"),
    [
        pytest.param("GET", "/unload", b"OK", "text/plain; charset=utf-8", id="R13"),
        pytest.param(
            "POST", "/api/models/unload", b'{"msg":"ok"}\n', "application/json", id="R14"
        ),
        pytest.param(
            "POST", "/api/models/unload/author/m", b"OK", "text/plain; charset=utf-8", id="R15"
        ),
        pytest.param(
            "POST",
            "/api/models/unload/author%2Fm",
            b"OK",
            "text/plain; charset=utf-8",
            id="R15-escaped",
        ),
        pytest.param(
            "POST", "/api/models/unload/nick", b"OK", "text/plain; charset=utf-8", id="R15-alias"
        ),
    ],
)
async def test_unloading_answers_when_the_process_is_gone(
    method, path, body, kind, autojump_clock
):
    """R13 to R15: all of them, or one by its id, with slashes, or by an alias."""
    model = attrs.evolve(stories.model("author/m"), aliases=("nick",))
    async with open_house(settings=settings(model)) as house:
        await house.post(CHAT, {"model": "nick"})
        before = trio.current_time()
        reply = await house.get(path, method=method)
        assert (reply.status, reply.body) == (200, body)
        assert reply.headers["content-type"] == kind
        assert trio.current_time() - before == house.models.stop
        assert not house.models.running


async def test_unloading_an_unknown_model_is_404(autojump_clock):
    """R16: a typo is not a success."""
    async with open_house("a") as house:
        reply = await house.get("/api/models/unload/ghost", method="POST")
        assert (reply.status, reply.code) == (404, "model_not_found")


async def test_q15_an_unload_means_the_model_itself(autojump_clock):
    """Q15, R264: while a profile leads clients elsewhere, the operator still means what runs."""
    chosen = attrs.evolve(
        settings(stories.model("real"), stories.model("hidden")),
        profiles={"coding": Profile("coding", {"real": "hidden"})},
    )
    async with open_house(settings=chosen) as house:
        caller = house.call()
        await caller.send("/api/profiles/active", {"name": "coding"}, method="PUT")
        assert (await caller.reply()).status == 200
        await caller.leave()
        await load(house, "real")
        assert (await house.get("/api/models/unload/real", method="POST")).status == 200
        assert not house.models.running


async def test_unloading_a_stopped_model_is_a_success(autojump_clock):
    """What is wanted is already so."""
    async with open_house("a") as house:
        assert (await house.get("/api/models/unload/a", method="POST")).status == 200


async def test_unloading_what_will_not_die_names_the_process(autojump_clock):
    """503 with the process, instead of waiting for ever."""
    async with open_house("a") as house:
        house.models.unkillable.add(ModelId("a"))
        await house.post(CHAT, {"model": "a"})
        reply = await house.get("/unload")
        assert (reply.status, reply.code) == (503, "model_failed")
        assert "process 7" in reply.json()["error"]["message"]
        [entry] = (await house.get("/running")).json()["running"]
        assert entry["state"] == "failed"
        house.models.let_go()


async def test_an_unload_does_not_hold_up_other_questions(autojump_clock):
    """D19: only its own answer waits."""

    async def never(asked: Asked) -> None:
        await asked.gone()

    async with open_house("a") as house:
        house.models.stop = 1000
        house.upstream.handler = never
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.post, CHAT, {"model": "a"})
            await trio.sleep(5)
            nursery.start_soon(house.get, "/unload")
            await wait_all_tasks_blocked()
            before = trio.current_time()
            assert (await house.get("/health")).status == 200
            assert (await house.post(CHAT, {"model": "ghost"})).status == 404
            assert trio.current_time() == before
