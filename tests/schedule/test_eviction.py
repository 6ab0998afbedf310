"""Who must leave for whom: groups, the table R080 to R090, and the matrix behind the same door."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from swapd.config import grouping
from swapd.config.draft import Draft
from swapd.config.expression import compile_sets
from swapd.config.kinds import RouterKind
from swapd.config.settings import Group, Matrix, Settings
from swapd.config.written import WrittenSettings
from swapd.config.written_models import WrittenModel
from swapd.config.written_routing import WrittenGroup
from swapd.ids import ModelId
from swapd.schedule.eviction import REMEMBERED, Eviction, by_groups, by_matrix, eviction_of


def models(names: str) -> tuple[ModelId, ...]:
    """Spell several models."""
    return tuple(map(ModelId, names.split()))


def group(
    names: str, *, swap: bool = True, exclusive: bool = True, persistent: bool = False
) -> Group:
    """Make a group; like the default one unless something else is said."""
    return Group(swap, exclusive, persistent, models(names))


def matrix(**sets: str) -> Matrix:
    """Make a matrix; whatever is no sign in a set is a model."""
    expressions, _ = compile_sets(sets, ModelId)
    return Matrix(expressions)


def test_no_model_is_in_two_groups() -> None:
    """R080-ours: the loader says so, and where; a group can rely on it."""
    draft = Draft(
        WrittenSettings(
            models={"a": WrittenModel(cmd="x")},
            groups={"g1": WrittenGroup(members=("a",)), "g2": WrittenGroup(members=("a",))},
        )
    )

    (problem,) = grouping.groups(draft)

    assert problem.message == '"a" is in the group "g1" already'


ALONE = {"g1": group("a"), "g2": group("b")}
OPEN = {"g1": group("a", exclusive=False), "g2": group("b", exclusive=False)}
KEPT = {"persist": group("a", exclusive=False, persistent=True), "other": group("b")}
UNEQUAL = {"g1": group("a"), "g2": group("b", exclusive=False)}
BESIDE = {"g": group("a b", swap=False), "h": group("c")}


@pytest.mark.parametrize(
    ("groups", "running", "target", "expected"),
    [
        pytest.param({"g": group("a b")}, "a", "b", "a", id="R081"),
        pytest.param({"g": group("a b", swap=False, exclusive=False)}, "a", "b", "", id="R082"),
        pytest.param(ALONE, "a", "b", "a", id="R083"),
        pytest.param(OPEN, "a", "b", "", id="R084"),
        pytest.param(OPEN, "b", "a", "", id="R084-turned"),
        pytest.param({"g": group("a b")}, "a", "b", "a", id="R085"),
        pytest.param(KEPT, "a", "b", "", id="R086"),
        pytest.param(KEPT, "b", "a", "", id="R086-turned"),
        pytest.param(UNEQUAL, "a", "b", "", id="R087"),
        pytest.param(UNEQUAL, "b", "a", "b", id="R087-turned"),
        pytest.param(BESIDE, "a b c", "a", "c", id="R088"),
        pytest.param(BESIDE, "c b a", "c", "b a", id="R088-order"),
        pytest.param({"g": group("a b", persistent=True)}, "a", "b", "a", id="R089"),
        pytest.param({"(default)": group("a b")}, "a", "b", "a", id="R090"),
        pytest.param({}, "a", "b", "a", id="nobody-knows"),
    ],
)
def test_groups_say_who_leaves(
    groups: Mapping[str, Group], running: str, target: str, expected: str
) -> None:
    """Whoever comes from llama-swap loses the same models for the same request."""
    assert by_groups(groups)(ModelId(target), models(running)) == models(expected)


def test_a_removed_model_leaves_for_everybody() -> None:
    """Rule 3: also for a group that evicts nobody; a process without a definition only costs."""
    evict = by_groups({"g": group("a b", swap=False, exclusive=False)})

    assert evict(ModelId("b"), models("a gone b")) == models("gone")


def test_the_configuration_says_which() -> None:
    """Groups are the default; under the matrix there are none."""
    sets = matrix(s="a & b", t="c")
    groups = {"(default)": group("a b c")}
    target, running = ModelId("b"), models("a c")

    assert eviction_of(Settings(groups=groups))(target, running) == running
    found = eviction_of(Settings(router=RouterKind.MATRIX, matrix=sets))
    assert found(target, running) == models("c")
    assert found(ModelId("unknown"), running) == running


@pytest.mark.parametrize(
    "evict", [by_groups({"g": group("a b c")}), by_matrix(matrix(s="a & b & (c | d)"))]
)
def test_an_answer_is_remembered_for_a_while(evict: Eviction) -> None:
    """Rule 1: after every event it is asked for every waiting model, mostly the same."""
    target, running = ModelId("a"), models("c d")

    first = evict(target, running)

    assert evict(target, models("c d")) is first
    for number in range(REMEMBERED):
        evict(ModelId(f"m{number}"), running)
    assert evict(target, running) == first
    assert evict(target, running) is not first


FLAGS = st.tuples(st.booleans(), st.booleans(), st.booleans())
MEMBERS = ("a b", "c d", "e", "")
GROUPS = st.tuples(*(FLAGS for _ in MEMBERS)).map(
    lambda flags: {
        names: group(names, swap=swap, exclusive=exclusive, persistent=persistent)
        for names, (swap, exclusive, persistent) in zip(MEMBERS, flags, strict=True)
    }
)
RUNNING = st.permutations("abcdefg").flatmap(
    lambda names: st.integers(0, 7).map(lambda most: models(" ".join(names[:most])))
)


@examples(max_examples=200, deadline=None)
@given(GROUPS, RUNNING, st.sampled_from("abcde").map(ModelId))
def test_groups_keep_to_their_definition(
    groups: Mapping[str, Group], running: tuple[ModelId, ...], target: ModelId
) -> None:
    """Every model that stays has a reason to, and every one that leaves has none."""
    (own,) = (one for one in groups.values() if target in one.members)
    stay = {target}
    if not own.swap:
        stay.update(own.members)
    for other in groups.values():
        if target not in other.members and (other.persistent or not own.exclusive):
            stay.update(other.members)

    leaving = by_groups(groups)(target, running)

    assert leaving == tuple(model for model in running if model not in stay)
