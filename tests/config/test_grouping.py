"""Which models may run side by side."""

import itertools
from typing import Any

import pytest

from swapd.config.draft import Draft
from swapd.config.grouping import (
    groups,
    matrix,
    matrix_sets,
    one_place,
    priorities,
    side_by_side,
)
from swapd.config.kinds import RouterKind, Strategy
from swapd.config.problems import spelled
from swapd.config.written import WrittenSettings
from swapd.config.written_models import WrittenModel
from swapd.config.written_routing import (
    WrittenFifo,
    WrittenGroup,
    WrittenMatrix,
    WrittenRouter,
    WrittenRouterSettings,
    WrittenRouting,
    WrittenScheduler,
    WrittenSchedulerSettings,
    WrittenSelector,
)

GROUPS = {"g": WrittenGroup(swap=False, members=("a", "b"))}
MATRIX = WrittenMatrix(sets={"s": "a & b"})


def draft(**fields: Any) -> Draft:
    """Draft a configuration with the models a, b and c; a has the alias x."""
    models = {own: WrittenModel(cmd="x", aliases=("x",) * (own == "a")) for own in "abc"}
    return Draft(WrittenSettings(models=models, **fields))


def router(use: RouterKind | None, **settings: Any) -> WrittenRouting:
    """Write `routing.router`."""
    return WrittenRouting(WrittenRouter(use, WrittenRouterSettings(**settings)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"groups": GROUPS, "routing": router(RouterKind.GROUP)}, "migrate it"),
        ({"matrix": MATRIX, "routing": router(None, groups=GROUPS)}, "migrate it"),
        ({"groups": GROUPS, "matrix": MATRIX}, "cannot use both groups and matrix"),
        ({"routing": router(RouterKind.MATRIX)}, "needs routing.router.settings.matrix"),
    ],
)
def test_there_is_one_place_for_a_router(fields: dict[str, Any], message: str) -> None:
    """C251, C252, C261: two routers would each believe to be the one."""
    assert [message in problem.message for problem in one_place(draft(**fields))] == [True]


@pytest.mark.parametrize("fields", [{}, {"groups": GROUPS}, {"groups": {}, "matrix": MATRIX}])
def test_one_router_is_no_mistake(fields: dict[str, Any]) -> None:
    """C262: an empty section says nothing."""
    assert list(one_place(draft(**fields))) == []


def test_what_is_not_in_use_may_say_anything() -> None:
    """C253, C255: switching from one router to the other takes one word."""
    broken = WrittenMatrix(sets={"s": "nobody &"})
    found = draft(routing=router(None, groups=GROUPS, matrix=broken))

    assert [*groups(found), *matrix(found)] == []
    assert matrix_sets(found) == ()


def test_a_member_is_a_model_of_one_group() -> None:
    """C240, C241, C243: a member by another name would be a second process of the same model."""
    found = draft(
        groups={
            "g": WrittenGroup(members=("a", "a", "x", "nobody")),
            "h": WrittenGroup(members=("a", "b")),
            "(default)": WrittenGroup(),
        }
    )

    assert [(spelled(one.subject), one.message) for one in groups(found)] == [
        ("groups.g.members[1]", 'duplicate member "a"'),
        ("groups.g.members[2]", '"x" is an alias; write the id, "a"'),
        ("groups.g.members[3]", 'there is no model "nobody"'),
        ("groups.h.members[0]", '"a" is in the group "g" already'),
        ("groups.(default)", "(default) is the group of all models that are in no other"),
    ]


def test_every_name_of_a_matrix_is_a_model() -> None:
    """C265 to C273: each mistake once, where it stands."""
    found = draft(
        matrix=WrittenMatrix(
            vars={"v": "a", "no_var": "b", "ghost": "nobody"},
            evict_costs={"v": 5, "a": 0, "z": 1},
            sets={"one": "v & ghost", "two": "a | nobody", "three": "+four"},
        )
    )

    assert sorted(spelled(one.subject) for one in matrix(found)) == [
        "matrix.evict_costs.a",
        "matrix.evict_costs.z",
        "matrix.sets.three",
        "matrix.sets.two",
        "matrix.vars.ghost",
        "matrix.vars.no_var",
    ]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"groups": GROUPS}, []),
        ({}, ["the targets must share a group with swap: false"]),
        (
            {
                "groups": {
                    "g": WrittenGroup(swap=False, members=("a",)),
                    "h": WrittenGroup(swap=False, members=("b",)),
                }
            },
            ["the targets must share one group"],
        ),
        ({"matrix": MATRIX}, []),
        (
            {"matrix": WrittenMatrix(sets={"s": "a | b"})},
            ["the targets must all appear together in one set of the matrix"],
        ),
    ],
)
def test_a_spillover_fills_models_that_fit_beside_each_other(
    fields: dict[str, Any], says: list[str]
) -> None:
    """C322 to C325: else every request would swap."""
    spill = WrittenSelector(strategy=Strategy.SPILLOVER, targets=("x", "b"))
    found = draft(selectors={"s": spill}, **fields)

    assert [problem.message for problem in side_by_side(found)] == says


def test_a_question_that_is_too_hard_is_a_mistake() -> None:
    """A configuration must load in a moment, whatever it asks."""
    names = [f"m{number}" for number in range(24)]
    pairs = " & ".join(f"({one} | {two})" for one, two in itertools.pairwise(names))
    found = Draft(
        WrittenSettings(
            models={name: WrittenModel(cmd="x") for name in names},
            matrix=WrittenMatrix(sets={"s": pairs}),
            selectors={"s": WrittenSelector(strategy=Strategy.SPILLOVER, targets=tuple(names))},
        )
    )

    assert [problem.path for problem in side_by_side(found)] == [("selectors", "s", "targets")]


def test_only_models_have_priorities() -> None:
    """C257, C259: an alias will do."""
    settings = WrittenSchedulerSettings(fifo=WrittenFifo({"x": 5, "b": -3, "nobody": 1}))
    found = draft(routing=WrittenRouting(scheduler=WrittenScheduler(settings=settings)))

    assert [problem.key for problem in priorities(found)] == ["nobody"]
