"""What selectors remember, and what must hold whatever they choose from."""

from collections import Counter
from contextlib import ExitStack

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from swapd.config.kinds import Strategy
from swapd.config.settings import Origin, Peer, Selector, Settings
from swapd.ids import ModelId
from swapd.proxy.selectors import NoTarget, Selectors, Target, choose, spill
from swapd.schedule.phase import Phase
from tests import stories

OUT = (Phase.STOPPING, Phase.FAILED)
LOADED = (Phase.READY, Phase.STARTING)


def target(name: str, phase: Phase | None = Phase.STOPPED) -> Target:
    """Make a target that is counted by its own name."""
    return Target(name, name, phase)


def world(*targets: str, spillover: int = 1) -> Settings:
    """Make settings in which `spread` spreads requests over these."""
    models = [attrs.evolve(stories.model("a"), aliases=("fast",)), stories.model("b")]
    return attrs.evolve(
        stories.settings(models),
        peers={"p": Peer("p", Origin("http", "10.0.0.9", 80), ("x",))},
        selectors={"spread": Selector("spread", Strategy.SPILLOVER, targets, spillover)},
    )


def selectors(**phases: Phase) -> Selectors:
    """Make selectors over models of which these run."""
    return Selectors(lambda model: phases.get(model, Phase.STOPPED))


@pytest.mark.parametrize("strategy", [Strategy.PIN, Strategy.WARM])
@pytest.mark.parametrize("phase", [Phase.STOPPED, Phase.STOPPING, Phase.FAILED])
def test_where_nothing_is_loaded_the_first_target_is_chosen(strategy, phase):
    """Also one on its way out: its request waits, or is told why not, as if asked for by name."""
    targets = [target("a", phase), target("b")]
    assert choose(Selector("s", strategy, ("a", "b")), targets).name == "a"


def test_a_name_that_is_no_selector_is_looked_at_by_nobody():
    """Most requests name a model."""

    def phase(model: ModelId) -> Phase:
        raise AssertionError(model)

    with Selectors(phase).chosen("a", world("a"), websocket=False) as chosen:
        assert chosen == "a"


@pytest.mark.parametrize(
    ("targets", "chosen"),
    [
        (("fast", "b"), ["fast", "b"]),
        (("fast", "a", "b"), ["fast", "b"]),
        (("x", "p/x", "b"), ["x", "b"]),
    ],
    ids=["alias", "two names of a model", "two names of a peer's model"],
)
def test_a_model_is_counted_once_whatever_it_is_called(targets, chosen):
    """Two names for one model are no room for two requests."""
    some = selectors()
    with (
        some.chosen("spread", world(*targets), websocket=False) as first,
        some.chosen("spread", world(*targets), websocket=False) as second,
    ):
        assert [first, second] == chosen


def test_selectors_do_not_count_for_each_other():
    """Each has a bound of its own, and knows only of what came through it."""
    one = world("a", "b").selectors["spread"]
    both = attrs.evolve(world(), selectors={"spread": one, "other": attrs.evolve(one, id="other")})
    some = selectors(a=Phase.READY)
    with (
        some.chosen("spread", both, websocket=False) as first,
        some.chosen("other", both, websocket=False) as second,
    ):
        assert [first, second] == ["a", "a"]


def test_a_reload_forgets_nobody_who_is_being_served():
    """The new bound counts those that began under the old one, and room is made when they end."""
    some = selectors(a=Phase.READY, b=Phase.READY)
    with ExitStack() as before:
        first = before.enter_context(some.chosen("spread", world("a"), websocket=False))
        assert first == "a"
        with some.chosen("spread", world("b", "a"), websocket=False) as second:
            assert second == "b"
    with some.chosen("spread", world("a"), websocket=False) as third:
        assert third == "a"


async def test_a_request_that_is_cancelled_makes_room(autojump_clock):
    """Clients leave; a place that is never given back would keep a model from being used."""
    some = selectors(a=Phase.READY)
    with (
        trio.move_on_after(1),
        some.chosen("spread", world("a", "b"), websocket=False) as first,
    ):
        await trio.sleep_forever()
    with some.chosen("spread", world("a", "b"), websocket=False) as second:
        assert [first, second] == ["a", "a"]


def test_where_there_is_no_target_nothing_is_counted():
    """It comes back as it was, when something is there again."""
    phases = {ModelId("a"): Phase.STOPPING}
    some = Selectors(lambda model: phases.get(model, Phase.STOPPED))
    for _ in range(3):
        with pytest.raises(NoTarget), some.chosen("spread", world("a"), websocket=False):
            raise AssertionError("there was a target")
    phases.clear()
    with some.chosen("spread", world("a", "b"), websocket=False) as chosen:
        assert chosen == "a"


@pytest.mark.parametrize(
    ("ignores", "websocket", "second"),
    [(True, True, "a"), (False, True, "b"), (True, False, "b")],
    ids=["overlooked", "counted", "no websocket"],
)
def test_a_websocket_counts_as_its_model_says(ignores, websocket, second):
    """What the scheduler overlooks must not fill the model here."""
    calm = world("a", "b")
    models = {
        own: attrs.evolve(one, ignore_websockets=ignores) for own, one in calm.models.items()
    }
    some = selectors(a=Phase.READY)
    with (
        some.chosen("spread", attrs.evolve(calm, models=models), websocket=websocket) as first,
        some.chosen("spread", calm, websocket=False) as then,
    ):
        assert [first, then] == ["a", second]


def test_a_websocket_to_a_peer_counts():
    """Nobody here can say that its model does not mind."""
    some = selectors()
    with (
        some.chosen("spread", world("p/x", "a"), websocket=True) as first,
        some.chosen("spread", world("p/x", "a"), websocket=True) as second,
    ):
        assert [first, second] == ["p/x", "a"]


@limits(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([None, *Phase]), min_size=1, max_size=5),
    st.lists(st.integers(0, 3), min_size=5, max_size=5),
    st.integers(1, 3),
    st.integers(0, 100),
)
def test_spilling_over_keeps_its_promises(phases, counts, limit, turn):
    """Whatever runs and whatever is asked: room is used before anything else is loaded."""
    targets = [target(str(at), phase) for at, phase in enumerate(phases)]
    serving = Counter({str(at): count for at, count in enumerate(counts)})
    here = [one for one in targets if one.phase not in OUT]
    used = [one for one in here if one.phase in LOADED or serving[one.counted]]
    if not here:
        with pytest.raises(NoTarget):
            spill(targets, serving, limit, turn)
        return
    chosen, tie = spill(targets, serving, limit, turn)
    assert chosen in here
    assert tie == (chosen in used)
    room = [one for one in used if serving[one.counted] < limit]
    if room:
        assert chosen in room
    elif len(used) < len(here):
        assert chosen == next(one for one in here if one not in used)
    if tie:
        assert serving[chosen.counted] == min(serving[one.counted] for one in used)


@limits(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=30))
def test_whoever_comes_gets_the_least_busy(story):
    """Whatever came and went before, in any order."""
    everything = world("a", "b")
    some = selectors(a=Phase.READY, b=Phase.READY)
    held: list[tuple[str, ExitStack]] = []
    for step in story:
        if step is not None and held:
            held.pop(step % len(held))[1].close()
            continue
        serving = Counter(name for name, _ in held)
        request = ExitStack()
        name = request.enter_context(some.chosen("spread", everything, websocket=False))
        assert serving[name] == min(serving["a"], serving["b"])
        held.append((name, request))
