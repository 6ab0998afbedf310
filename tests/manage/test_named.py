"""Which model a path names."""

import attrs
import trio

from swapd.ids import ModelId
from swapd.manage.named import named
from tests import stories
from tests.fakes import Asked
from tests.house import open_house


async def silent(asked: Asked) -> None:
    """Never say a word."""
    await asked.gone()


async def test_a_model_is_named_by_its_id_or_an_alias(autojump_clock):
    """And nobody else by anything."""
    a = attrs.evolve(stories.model("org/a"), aliases=("nick",))
    async with open_house(settings=stories.settings([a])) as house:
        for name, model in (("org/a", a.id), ("nick", a.id), ("a", None), ("", None)):
            assert named(house.engine, name) == model


async def test_a_model_that_was_removed_has_its_name_until_it_is_gone(autojump_clock):
    """Somebody may want it gone sooner, or know how much memory it still has."""
    async with open_house("a", "b") as house:
        house.upstream.handler = silent
        caller = house.call()
        await caller.send("/v1/chat/completions", {"model": "a"})
        await trio.sleep(5)
        await house.engine.adopt(stories.settings(["b"]))
        assert named(house.engine, "a") == ModelId("a")
        await caller.leave()
        await trio.sleep(5)
        assert named(house.engine, "a") is None
