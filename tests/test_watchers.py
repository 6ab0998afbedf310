"""Who watches: put together so that what happens is heard of."""

import attrs
import pytest

from swapd.watch.store import CannotStore
from swapd.watchers import open_recorder
from tests import stories
from tests.house import open_house

CHAT = "/v1/chat/completions"


async def test_what_is_decided_and_what_is_asked_is_counted(autojump_clock):
    """Numbers that nobody tells anything would be zeros for ever."""
    async with open_house("a", "b") as house:
        await house.post(CHAT, {"model": "a"})
        await house.post(CHAT, {"model": "b"})
        text = house.watching.numbers.text().decode()
        assert 'swapd_loads_total{model="a",result="ready"} 1' in text
        assert 'swapd_evictions_total{model="a"} 1' in text
        assert 'swapd_requests_total{model="b",outcome="ok"} 1' in text
        assert 'swapd_models{state="ready"} 1' in text


async def test_time_spent_is_told_apart(autojump_clock):
    """Two loads of a second and a stop of half one, and nothing served for long."""
    async with open_house("a", "b") as house:
        await house.post(CHAT, {"model": "a"})
        await house.post(CHAT, {"model": "b"})
        serving, swapping = house.engine.ask.spent()
        assert swapping == pytest.approx(2.5, abs=0.01)
        assert serving == pytest.approx(0.0, abs=0.01)


def test_a_store_that_cannot_be_opened_is_said_before_anything_is_served(tmp_path):
    """Whose fault it is, and what to do."""
    broken = tmp_path / "activity.db"
    broken.write_text("this is no database, and longer than a header of one would have to be")
    settings = attrs.evolve(stories.settings(["a"]), store_path=str(broken))
    with pytest.raises(CannotStore, match=r"store\.path"):
        open_recorder(settings)
