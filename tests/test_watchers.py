"""Who watches: put together so that what happens is heard of."""

import attrs
import pytest
import trio

from swapd.watch.store import CannotStore
from swapd.watchers import open_recorder, unharmed
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


async def test_who_fails_at_watching_harms_nobody(caplog, autojump_clock):
    """A driver that answers nonsense must not take the box out of service."""

    async def broken(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        raise KeyError("nonsense")

    async with trio.open_nursery() as nursery:
        await nursery.start(unharmed, broken)
    assert "watching failed" in caplog.text


async def test_who_watches_can_be_cancelled(autojump_clock):
    """Else the daemon would not end."""

    async def forever(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        await nursery.start(unharmed, forever)
        nursery.cancel_scope.cancel()


def test_a_store_that_cannot_be_opened_is_said_before_anything_is_served(tmp_path):
    """Whose fault it is, and what to do."""
    broken = tmp_path / "activity.db"
    broken.write_text("this is no database, and longer than a header of one would have to be")
    settings = attrs.evolve(stories.settings(["a"]), store_path=str(broken))
    with pytest.raises(CannotStore, match=r"store\.path"):
        open_recorder(settings)
