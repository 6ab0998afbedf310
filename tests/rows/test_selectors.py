"""Rows S1 to S16 and R220 to R239: names that stand for one of several models.

Under `serial` one model is ready at a time, so rows with several are told to `Selectors` alone.
S15, R235, S16 and R236 are rows of the list of models: `tests/manage/test_listing.py`.
"""

from collections.abc import Mapping
from contextlib import ExitStack

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.settings import Settings
from swapd.ids import ModelId
from swapd.proxy.selectors import NoTarget, Selectors
from swapd.refusals import no_target
from swapd.schedule.phase import Phase
from tests.config.rows.loading import loaded
from tests.house import House, open_house

CHAT = "/v1/chat/completions"

WORLD = """
models:
  a: {M, filters: {setParamsByID: {variant: {thinking: true}}}}
  b: M
  c: M
groups:
  together: {swap: false, members: [a, b, c]}
peers:
  remote: {proxy: 'http://strix.example:8090', models: [remote-model, a, b]}
selectors:
  public: {strategy: pin, targets: [variant, remote/remote-model]}
  pair: {strategy: pin, targets: [b, a]}
  warm: {strategy: warm, targets: [a, b, c]}
  balanced: {strategy: spillover, targets: [a, b, c], settings: {spillover: 1}}
  double: {strategy: spillover, targets: [a, b, c], settings: {spillover: 2}}
  far: {strategy: spillover, targets: [remote/a, remote/b], settings: {spillover: 1}}
  lonely: {strategy: spillover, targets: [a]}
profiles:
  coding: {pins: {llm-code: public}}
"""

ALL_READY = {"a": Phase.READY, "b": Phase.READY, "c": Phase.READY}


def settings(text: str = WORLD) -> Settings:
    """Load the world of the reference's tables."""
    return loaded(text).settings


@attrs.define
class Choices:
    """Selectors without requests, and models that stand as a row says; the others are stopped."""

    phases: Mapping[str, Phase] = attrs.field(factory=dict)
    settings: Settings = attrs.field(factory=settings)
    selectors: Selectors = attrs.field(init=False)
    _held: list[tuple[str, ExitStack]] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.selectors = Selectors(self._phase)

    def choose(self, name: str, *, websocket: bool = False) -> str:
        """Choose for a request that goes on until it is over."""
        request = ExitStack()
        chosen = self.selectors.chosen(name, self.settings, websocket=websocket)
        target = request.enter_context(chosen)
        self._held.append((target, request))
        return target

    def end(self, target: str) -> None:
        """End the first of the requests that have this target."""
        first = next(held for held in self._held if held[0] == target)
        self._held.remove(first)
        first[1].close()

    def _phase(self, model: ModelId) -> Phase:
        return self.phases.get(model, Phase.STOPPED)


@pytest.mark.parametrize(
    ("selector", "phases", "target"),
    [
        pytest.param("pair", {"a": Phase.READY}, "b", id="S1-R220"),
        pytest.param("warm", {"a": Phase.STARTING, "c": Phase.READY}, "c", id="S2-R221"),
        pytest.param("warm", {**ALL_READY, "a": Phase.STARTING}, "b", id="S3-R222"),
        pytest.param("warm", {"a": Phase.STARTING, "b": Phase.STARTING}, "a", id="S4-R223"),
        pytest.param("warm", {}, "a", id="S5-R224"),
        pytest.param("someone", ALL_READY, "someone", id="R237"),
    ],
)
def test_a_name_stands_for_a_model_by_where_the_models_are(selector, phases, target):
    """`pin` looks at nothing, `warm` at who answers soonest; what is no selector is itself."""
    assert Choices(phases).choose(selector) == target


def test_s6_r225_the_first_is_filled_before_the_next_is_loaded():
    """A model in use has room for as many as the operator said, and loading another costs."""
    choices = Choices()
    assert [choices.choose("double") for _ in range(3)] == ["a", "a", "b"]


def test_s7_r226_the_one_that_nobody_uses_is_the_least_busy():
    """When all are ready, whoever waited least is the one to ask."""
    choices = Choices()
    for target in ("a", "a", "b"):
        assert choices.choose("double") == target
    choices.end("a")
    choices.phases = ALL_READY
    assert choices.choose("double") == "c"


@pytest.mark.parametrize("last", [pytest.param(Phase.FAILED, id="S8-R227-ours")])
def test_what_is_on_its_way_out_is_not_chosen(last):
    """Ours: what will not die stands where llama-swap says that a model is shut down."""
    choices = Choices({"a": Phase.STOPPING, "b": Phase.STOPPING, "c": last})
    with pytest.raises(NoTarget):
        choices.choose("balanced")
    assert "no available spillover targets" in no_target("balanced").message


def test_s9_r228_peers_are_counted_like_models():
    """Where they stand is not known; that they are asked is."""
    choices = Choices()
    assert [choices.choose("far"), choices.choose("far")] == ["remote/a", "remote/b"]
    choices.end("remote/a")
    choices.end("remote/b")
    assert choices.choose("far") == "remote/a"


def test_r238_a_full_model_has_the_next_one_loaded():
    """That is what spills over."""
    choices = Choices({"a": Phase.READY})
    assert [choices.choose("balanced"), choices.choose("balanced")] == ["a", "b"]


def test_r239_when_all_are_full_everybody_gets_one_more_in_turn():
    """No request is refused because of what others ask."""
    choices = Choices(ALL_READY)
    assert sorted(choices.choose("balanced") for _ in range(3)) == ["a", "b", "c"]
    assert [choices.choose("balanced") for _ in range(3)] == ["a", "b", "c"]


def test_s13_r232_a_websocket_that_is_overlooked_takes_no_place():
    """It may stay for days without asking anything; and ties are broken in turn all the same."""
    text = WORLD.replace("a: {M,", "a: {M, compat: {ignoreWebsockets: true},")
    choices = Choices(ALL_READY, settings(text))
    assert choices.choose("balanced", websocket=True) == "a"
    assert choices.choose("balanced", websocket=True) == "b"
    assert choices.choose("balanced") == "a"


@pytest.mark.parametrize(
    ("model", "profile"),
    [
        pytest.param("public", None, id="S10-R229"),
        pytest.param("llm-code", "coding", id="S11-R230"),
    ],
)
async def test_the_model_gets_the_target_as_the_selector_spells_it(model, profile, autojump_clock):
    """An alias may bring parameters of its own, also behind a name that a profile pins."""
    async with open_house(settings=settings()) as house:
        await switch(house, profile)
        assert (await house.post(CHAT, b'{"model":"%b"}' % model.encode())).status == 200
        [asked] = house.upstream.asked
        assert asked.body == b'{"model":"variant","thinking":true}'
        assert house.loads() == "a"


@pytest.mark.parametrize("selector", [pytest.param("balanced", id="S12-R231-D1")])
async def test_two_requests_at_once_get_different_models(selector, autojump_clock):
    """D1: here one after the other, for one model is in memory at a time."""
    async with open_house(settings=settings()) as house:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(house.post, CHAT, {"model": selector})
                await wait_all_tasks_blocked()
            assert [flight.model for flight in house.flights] == ["a", "b"]
        bodies = [asked.body for asked in house.upstream.asked]
        assert bodies == [b'{"model": "a"}', b'{"model": "b"}']


@pytest.mark.parametrize("selector", [pytest.param("lonely", id="S14-R233-D1")])
async def test_a_selector_without_a_target_says_so_at_once(selector, autojump_clock):
    """D1: only one model at a time can be on its way out. Waiting would not say why."""
    async with open_house(settings=settings()) as house:
        assert (await house.post(CHAT, {"model": selector})).status == 200
        house.models.stop = 100.0
        house.nursery.start_soon(house.get, "/unload")
        await wait_all_tasks_blocked()
        before = trio.current_time()
        reply = await house.post(CHAT, {"model": selector})
        assert trio.current_time() == before
        assert (reply.status, reply.code) == (503, "service_unavailable")
        assert "no available spillover targets" in reply.json()["error"]["message"]
        assert reply.headers["retry-after"] == "5"


async def test_r234_a_selector_is_no_model_in_a_path(autojump_clock):
    """What lies below `/upstream` belongs to one model; a page's links must not go elsewhere."""
    async with open_house(settings=settings()) as house:
        reply = await house.post("/upstream/public/v1/chat/completions", {"model": "public"})
        assert (reply.status, reply.code) == (404, "model_not_found")
        assert (house.upstream.asked, house.loads()) == ([], "")


async def switch(house: House, profile: str | None) -> None:
    """Switch a profile on, or with None whichever is on off."""
    caller = house.call()
    await caller.send("/api/profiles/active", {"name": profile}, method="PUT")
    assert (await caller.reply()).status == 200
    await caller.leave()
