"""Having models gone, over HTTP: llama-swap's shapes, and our own ways to do it."""

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.kinds import SchedulerKind
from swapd.config.settings import Model, Profile, Settings
from swapd.ids import ModelId
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import Reason
from tests import stories
from tests.fakes import Asked
from tests.house import Caller, House, Reply, open_house

CHAT = "/v1/chat/completions"
UNLOAD = "/api/models/unload/"
A, B = ModelId("a"), ModelId("b")


def settings(*models: Model) -> Settings:
    return attrs.evolve(stories.settings([]), models={model.id: model for model in models})


@pytest.fixture(params=list(SchedulerKind))
def both(request) -> Settings:
    """Two models, either here or there, under each scheduler."""
    return attrs.evolve(stories.settings(["a", "b"]), scheduler=request.param)


async def load(house: House, model: str) -> None:
    """Load a model, and leave it idle."""

    def never(reason: Reason) -> None:
        raise AssertionError(reason)

    with house.engine.turn(ModelId(model), revoke=never) as turn:
        await turn.granted()


async def asking(house: House, model: str = "a") -> Caller:
    """Begin a request."""
    caller = house.call()
    await caller.send(CHAT, {"model": model})
    await wait_all_tasks_blocked()
    return caller


async def slow(asked: Asked) -> None:
    """Answer after ten seconds."""
    await trio.sleep(10)
    await asked.answer()


async def unload(house: House, path: str = "a") -> tuple[Reply, float]:
    """Unload, and say how long that took."""
    before = trio.current_time()
    reply = await house.get(UNLOAD + path, method="POST")
    return reply, trio.current_time() - before


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


# With more than one thing going on


async def test_an_unload_during_a_load_ends_it(both, autojump_clock):
    """S10: whoever waits for it is told, and it is not loaded for nobody."""
    async with open_house(settings=both) as house:
        caller = await asking(house)
        reply, took = await unload(house)
        assert (reply.status, took) == (200, house.models.stop)
        waited = await caller.reply()
        assert (waited.status, waited.code) == (503, "model_unloaded")
        assert not house.models.running
        await trio.sleep(60)
        assert house.loads() == "a"


async def test_an_unload_during_a_stop_answers_when_that_is_over(both, autojump_clock):
    """What is on its way out is not gone yet; who comes after it is not disturbed."""
    async with open_house(settings=both) as house:
        await load(house, "a")
        caller = await asking(house, "b")
        await trio.sleep(0.2)
        reply, took = await unload(house)
        assert (reply.status, round(took, 6)) == (200, 0.3)
        assert A not in house.models.running
        assert (await caller.reply()).status == 200


async def test_d34_an_unload_of_what_still_has_others_evicted_cancels_that(both, autojump_clock):
    """In llama-swap it is answered at once, and then the model is loaded for nobody."""
    async with open_house(settings=both) as house:
        await load(house, "a")
        caller = await asking(house, "b")
        reply, took = await unload(house, "b")
        assert (reply.status, took) == (200, 0.0)
        assert (await caller.reply()).code == "model_unloaded"
        await trio.sleep(60)
        assert house.loads() == "a"


async def test_a_drain_lets_finish_what_is_served(both, autojump_clock):
    """And is answered when the process is gone behind it; who waits is refused at once."""
    async with open_house(settings=both) as house, trio.open_nursery() as nursery:
        await load(house, "a")
        house.upstream.handler = slow
        served = await asking(house)
        took: list[float] = []

        async def drain() -> None:
            reply, seconds = await unload(house, "a?mode=drain")
            assert reply.status == 200
            took.append(seconds)

        nursery.start_soon(drain)
        await wait_all_tasks_blocked()
        assert house.engine.phase(A) is Phase.READY
        assert (await served.reply()).status == 200
        await trio.sleep(5)
        assert took == [10 + house.models.stop]


async def test_a_drain_has_an_end_if_one_is_given(both, autojump_clock):
    """An operator waits for a while, and not for a stream that never ends."""
    async with open_house(settings=both) as house:
        await load(house, "a")
        house.upstream.handler = slow
        served = await asking(house)
        reply, took = await unload(house, "a?mode=drain&timeout=4")
        assert (reply.status, took) == (200, 4 + house.models.stop)
        assert (await served.reply()).code == "model_unloaded"


async def test_an_unload_during_a_drain_ends_it(both, autojump_clock):
    """Whoever has lost patience is not held up by whoever had it; both are answered."""
    async with open_house(settings=both) as house, trio.open_nursery() as nursery:
        await load(house, "a")
        house.upstream.handler = slow
        served = await asking(house)
        replies: list[tuple[Reply, float]] = []

        async def drain() -> None:
            replies.append(await unload(house, "a?mode=drain"))

        nursery.start_soon(drain)
        await trio.sleep(3)
        replies.append(await unload(house))
        assert (await served.reply()).code == "model_unloaded"
        await wait_all_tasks_blocked()
        assert sorted((reply.status, took) for reply, took in replies) == [
            (200, house.models.stop),
            (200, 3 + house.models.stop),
        ]


@pytest.mark.parametrize("serving", [False, True], ids=["idle", "serving"])
async def test_two_unloads_at_once_are_both_answered_when_it_is_gone(
    both, serving, autojump_clock
):
    """Neither before the other, and none is forgotten."""
    async with open_house(settings=both) as house, trio.open_nursery() as nursery:
        await load(house, "a")
        house.upstream.handler = slow
        if serving:
            await asking(house)
        replies: list[tuple[Reply, float]] = []

        async def once() -> None:
            replies.append(await unload(house))

        nursery.start_soon(once)
        nursery.start_soon(once)
        await trio.sleep(5)
        assert [(reply.status, took) for reply, took in replies] == [(200, house.models.stop)] * 2


@pytest.mark.parametrize(
    ("query", "loads", "status"), [("queued=drop", "a", 503), ("queued=keep", "a a", 200)]
)
async def test_who_waits_is_refused_or_waits_on(query, loads, status, both, autojump_clock):
    """With `keep` an unload is a restart of the model, for whoever still wants it."""
    async with open_house(settings=both) as house:
        caller = await asking(house)
        reply, _ = await unload(house, f"a?{query}")
        assert reply.status == 200
        assert (await caller.reply()).status == status
        assert house.loads() == loads


@pytest.mark.parametrize(("query", "took"), [("", 10.0), ("?timeout=3", 3.0), ("?timeout=0", 0.0)])
async def test_a_process_has_as_long_as_one_says(query, took, both, autojump_clock):
    """Until SIGKILL; as configured, if one says nothing."""
    async with open_house(settings=both) as house:
        house.models.stubborn.add(A)
        await load(house, "a")
        assert (await unload(house, f"a{query}"))[1] == took


@pytest.mark.parametrize(
    "query",
    ["mode=later", "mode=", "queued=all", "timeout=-1", "timeout=soon", "drain=1", "mode=now&x=1"],
)
@pytest.mark.parametrize("path", ["/api/models/unload", "/api/models/unload/a"])
async def test_what_cannot_be_meant_unloads_nothing(path, query, autojump_clock):
    """Whoever misspells `drain` does not want everybody cut off."""
    async with open_house("a") as house:
        await load(house, "a")
        reply = await house.get(f"{path}?{query}", method="POST")
        assert (reply.status, reply.code) == (400, "invalid_request")
        forms = "mode=now|drain, queued=drop|keep, timeout=SECONDS"
        assert forms in reply.json()["error"]["message"]
        assert house.models.running == {A}


async def test_all_can_be_drained_too(autojump_clock):
    """Before the machine is restarted."""
    async with open_house("a") as house:
        await load(house, "a")
        house.upstream.handler = slow
        served = await asking(house)
        reply = await house.get("/api/models/unload?mode=drain", method="POST")
        assert (reply.json(), trio.current_time()) == ({"msg": "ok"}, 11.0 + house.models.stop)
        assert (await served.reply()).status == 200


# Forgetting failures


async def test_a_model_that_was_mended_is_tried_again_at_once(both, autojump_clock):
    """Else the operator would wait up to five minutes for the proof."""
    both = attrs.evolve(
        both, models={**both.models, A: attrs.evolve(both.models[A], aliases=("nick",))}
    )
    async with open_house(settings=both) as house:
        house.models.broken.add(A)
        for _ in range(2):
            await house.post(CHAT, {"model": "a"})
            await trio.sleep(house.models.stop)
        assert (await house.post(CHAT, {"model": "a"})).code == "back_off"
        house.models.broken.clear()
        reply = await house.get("/api/models/reset/nick", method="POST")
        assert (reply.status, reply.json()) == (200, {"msg": "ok"})
        assert (await house.post(CHAT, {"model": "a"})).status == 200


async def test_nobody_resets_what_is_not_there(autojump_clock):
    """A typo is not a success."""
    async with open_house("a") as house:
        reply = await house.get("/api/models/reset/ghost", method="POST")
        assert (reply.status, reply.code) == (404, "model_not_found")
