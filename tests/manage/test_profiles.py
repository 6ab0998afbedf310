"""Profiles over HTTP: which there are, which is on, and switching."""

from collections.abc import Mapping
from typing import Any

import attrs
import pytest
import trio

from swapd.config.load import Loaded
from swapd.config.settings import Origin, Peer, Profile, Settings
from tests import stories
from tests.house import House, Reply, open_house

ACTIVE = "/api/profiles/active"


def settings() -> Settings:
    """Make the world of the reference's tables."""
    return attrs.evolve(
        stories.settings(
            [
                attrs.evolve(stories.model("real"), aliases=("variant",)),
                attrs.evolve(stories.model("hidden"), unlisted=True),
            ]
        ),
        peers={"remote": Peer("remote", Origin("http", "10.0.0.9", 80), ("remote-model",))},
        profiles={
            "coding": Profile(
                "coding",
                {
                    "public": "variant",
                    "disabled": "",
                    "real": "hidden",
                    "expose": "hidden",
                    "remote-model": "hidden",
                },
                "Coding profile",
            )
        },
    )


async def put(house: House, body: bytes | Mapping[str, Any]) -> Reply:
    """Ask for a profile, as curl does: with a form's type, whatever the body is."""
    caller = house.call()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    await caller.send(ACTIVE, body, method="PUT", headers=form)
    reply = await caller.reply()
    await caller.leave()
    return reply


async def active(house: House) -> str | None:
    """Ask which profile is on."""
    name: str | None = (await house.get("/api/profiles")).json()["active"]
    return name


async def test_q1_profiles_are_listed_with_their_pins(autojump_clock):
    """Q1, R250: a name that is turned off has an empty target."""
    more = {"b": Profile("b", {"y": "real", "x": "real"}), **settings().profiles}
    async with open_house(settings=attrs.evolve(settings(), profiles=more)) as house:
        reply = await house.get("/api/profiles")
        assert reply.status == 200
        answer = reply.json()
        assert answer == {
            "active": None,
            "profiles": [
                {"id": "b", "description": "", "pins": {"x": "real", "y": "real"}},
                {
                    "id": "coding",
                    "description": "Coding profile",
                    "pins": {
                        "disabled": "",
                        "expose": "hidden",
                        "public": "variant",
                        "real": "hidden",
                        "remote-model": "hidden",
                    },
                },
            ],
        }
        assert list(answer["profiles"][0]["pins"]) == ["x", "y"]


async def test_without_profiles_the_list_is_empty(autojump_clock):
    """An empty list, for those who go through it."""
    async with open_house("a") as house:
        assert (await house.get("/api/profiles")).json() == {"active": None, "profiles": []}


async def test_a_profile_is_switched_on_and_off(autojump_clock):
    """Q2 to Q4, R251 to R253: and a name that is unknown changes nothing."""
    async with open_house(settings=settings()) as house:
        reply = await put(house, {"name": "coding"})
        assert (reply.status, reply.json()) == (200, {"active": "coding"})
        reply = await put(house, {"name": "missing"})
        assert (reply.status, reply.code) == (404, "profile_not_found")
        assert reply.json()["error"]["message"] == 'profile "missing" not found'
        assert await active(house) == "coding"
        reply = await put(house, {"name": None})
        assert (reply.status, reply.json()) == (200, {"active": None})
        assert await active(house) is None


@pytest.mark.parametrize(
    ("body", "chosen"),
    [
        (b'{"name":""}', None),
        (b'{"name":"coding","color":[1]}', "coding"),
        (b' \r\n\t{"name":"coding"} and what follows', "coding"),
        (b'{"name":1,"name":"coding"}', "coding"),
    ],
)
async def test_the_first_json_value_counts(body, chosen, autojump_clock):
    """As in llama-swap, whose scripts must go on working."""
    async with open_house(settings=settings()) as house:
        reply = await put(house, body)
        assert (reply.status, reply.json()) == (200, {"active": chosen})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "invalid profile request"),
        (b"coding", "invalid profile request"),
        (b'{"name":', "invalid profile request"),
        (b'"coding"', "invalid profile request"),
        (b'["name"]', "invalid profile request"),
        (b"[]", "invalid profile request"),
        (b"0", "invalid profile request"),
        (b"false", "invalid profile request"),
        (b'{"name":NaN}', "invalid profile request"),
        (b'{"name":"\xff"}', "invalid profile request"),
        (b'{"name":' + b"9" * 5000 + b"}", "invalid profile request"),
        (b'{"name":' + b"[" * 100_000, "invalid profile request"),
        (b"null", "profile name is required"),
        (b"{}", "profile name is required"),
        (b'{"Name":"coding"}', "profile name is required"),
        (b'{"name":5}', "profile name must be a string or null"),
        (b'{"name":false}', "profile name must be a string or null"),
        (b'{"name":["coding"]}', "profile name must be a string or null"),
    ],
    ids=lambda value: None if len(value) < 100 else f"{len(value)}-bytes",
)
async def test_a_body_that_names_nothing_is_a_400(body, says, autojump_clock):
    """In llama-swap's words; what is on stays on."""
    async with open_house(settings=settings()) as house:
        await put(house, {"name": "coding"})
        reply = await put(house, body)
        assert (reply.status, reply.code) == (400, "invalid_request")
        assert reply.json()["error"]["message"] == says
        assert await active(house) == "coding"


async def test_a_reload_leaves_the_profile_on_as_long_as_it_is_there(autojump_clock):
    """Unlike in llama-swap, where every reload is a start."""
    files = [settings(), attrs.evolve(settings(), profiles={})]

    async def read(before: Loaded) -> Loaded:
        return Loaded(files.pop(0))

    async with open_house(settings=settings(), read=read) as house:
        await put(house, {"name": "coding"})
        for expected in ("coding", None):
            await house.get("/api/config/reload", method="POST")
            assert await active(house) == expected


async def test_q13_names_of_the_active_profile_are_listed(autojump_clock):
    """Q13, R262: for as long as it is on."""
    async with open_house(settings=settings()) as house:

        async def listed() -> list[str]:
            answer = (await house.get("/v1/models")).json()
            return [record["id"] for record in answer["data"]]

        assert await listed() == ["real", "remote/remote-model"]
        await put(house, {"name": "coding"})
        assert await listed() == ["expose", "public", "real", "remote/remote-model"]
        await put(house, {"name": None})
        assert await listed() == ["real", "remote/remote-model"]


async def test_q16_switching_and_listing_at_once_never_fails(autojump_clock):
    """Q16, R265: whoever looks sees one or the other."""
    async with open_house(settings=settings()) as house:

        async def switch(name: str | None) -> None:
            for _ in range(20):
                assert (await put(house, {"name": name})).status == 200

        async def look(path: str) -> None:
            for _ in range(20):
                assert (await house.get(path)).status == 200

        async with trio.open_nursery() as nursery:
            for name in ("coding", None):
                nursery.start_soon(switch, name)
            for path in ("/v1/models", "/api/profiles"):
                nursery.start_soon(look, path)
