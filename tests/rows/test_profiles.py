"""Rows Q1 to Q16 and R250 to R265: names that the active profile replaces.

Most stand where what they speak of is tested: choosing a profile and what it makes of names in
`tests/manage/test_profiles.py` and `tests/test_profiles.py`, unloading (Q15, R264) in
`tests/manage/test_models.py`, the list of models in `tests/manage/test_listing.py`. Here are those
that take a whole swapd.
"""

import pytest
from trio.testing import wait_all_tasks_blocked

from swapd.config.settings import Settings
from tests.config.rows.loading import loaded
from tests.house import House, open_house

CHAT = "/v1/chat/completions"

WORLD = """
models:
  real: {M, filters: {setParamsByID: {variant: {thinking: true}}}}
  hidden: {M, unlisted: true}
peers:
  remote: {proxy: 'http://strix.example:8090', models: [remote-model]}
profiles:
  coding:
    pins:
      public: variant
      disabled: null
      real: hidden
      expose: hidden
      remote-model: hidden
      author: hidden
      author/public: real
"""


def settings() -> Settings:
    """Load the world of the reference's tables."""
    return loaded(WORLD).settings


async def switch_on(house: House) -> None:
    """Switch the profile on."""
    caller = house.call()
    await caller.send("/api/profiles/active", {"name": "coding"}, method="PUT")
    assert (await caller.reply()).status == 200
    await caller.leave()


@pytest.mark.parametrize(
    ("path", "target", "loads"),
    [
        pytest.param("public/custom", "/custom", "real", id="Q7-R256"),
        pytest.param("public/a%2Fb?x=%31", "/a%2Fb?x=%31", "real", id="escaped as it was"),
        pytest.param("author/public/v1/x", "/v1/x", "real", id="longest"),
        pytest.param("author%2Fpublic/v1/x", "/v1/x", "real", id="slash-escaped"),
        pytest.param("author/v1/x", "/v1/x", "hidden", id="shorter"),
        pytest.param("variant/v1/x", "/v1/x", "real", id="not-pinned"),
        pytest.param("real/v1/x", "/v1/x", "hidden", id="a-model-that-is-pinned"),
        pytest.param("remote-model/v1/x", "/v1/x", "hidden", id="a-peers-model-that-is-pinned"),
    ],
)
async def test_a_pinned_path_leads_elsewhere_and_the_body_stays(
    path, target, loads, autojump_clock
):
    """Below a model's name everything is its server's own; only the way there is the profile's."""
    async with open_house(settings=settings()) as house:
        await switch_on(house)
        reply = await house.post(f"/upstream/{path}", b'{ "model":"public" }')
        assert reply.status == 200
        [asked] = house.upstream.asked
        assert (asked.target, asked.body) == (target, b'{ "model":"public" }')
        assert house.loads() == loads


@pytest.mark.parametrize("path", ["disabled", "disabled/", "disabled/v1/x"])
async def test_a_path_that_is_turned_off_leads_nowhere(path, autojump_clock):
    """A 404 like that of a model that nobody configured, and no load."""
    async with open_house(settings=settings()) as house:
        await switch_on(house)
        reply = await house.post(f"/upstream/{path}", {})
        assert (reply.status, reply.code) == (404, "model_not_found")
        assert (house.upstream.asked, house.loads()) == ([], "")


@pytest.mark.parametrize(
    ("asked", "model"),
    [
        pytest.param("public", "real", id="Q12-R261"),
        pytest.param("expose", "hidden", id="unlisted"),
    ],
)
async def test_a_request_is_told_as_one_of_the_model_that_serves_it(asked, model, autojump_clock):
    """Who looks at what is going on looks for what takes the memory."""
    async with open_house(settings=settings()) as house:
        await switch_on(house)
        house.nursery.start_soon(house.post, f"/upstream/{asked}{CHAT}", {"model": asked})
        await wait_all_tasks_blocked()
        assert [flight.model for flight in house.flights] == [model]


@pytest.mark.parametrize("profile", [pytest.param("coding", id="Q14-R263")])
async def test_what_runs_is_told_by_its_own_name(profile, autojump_clock):
    """Operators unload models, not what clients call them today."""
    async with open_house(settings=settings()) as house:
        await switch_on(house)
        for pin, model in (("public", "real"), ("real", "hidden")):
            assert (await house.post(CHAT, {"model": pin})).status == 200
            running = (await house.get("/running")).json()["running"]
            assert [entry["model"] for entry in running] == [model]
