"""Several files as one."""

import pytest

from swapd.config.merge import Merged, merge, without_notes
from swapd.config.problems import Problem
from swapd.config.source import parse
from swapd.config.values import Tree


def merged(*texts: str) -> Merged:
    """Merge texts as files a.yaml, b.yaml, ..."""
    return merge(
        [parse(text, file=f"{name}.yaml") for name, text in zip("abc", texts, strict=False)]
    )


def told(*texts: str) -> list[str]:
    """Merge texts, and list what is wrong."""
    return [str(problem) for problem in merged(*texts).problems]


def test_mappings_are_joined_and_lists_follow_each_other() -> None:
    """C351, C356, C358, C372: one file a model, and the common things wherever they fit."""
    found = merged(
        "models: {a: {cmd: a}}\nmacros: {A: 1}\napiKeys: [x]\nmatrix: {sets: {s: a}}",
        "models: {b: {cmd: b}}\nmacros: {B: 2}\napiKeys: [y, z]\nglobalTTL: 5",
        "models: {c: {}}\nmatrix: {evict_costs: {a: 2}}\nglobalTTL: 5\napiKeys: [x]",
    )

    assert found.problems == []
    assert found.tree == {
        "models": {"a": {"cmd": "a"}, "b": {"cmd": "b"}, "c": {}},
        "macros": {"A": 1, "B": 2},
        "apiKeys": ["x", "y", "z", "x"],
        "matrix": {"sets": {"s": "a"}, "evict_costs": {"a": 2}},
        "globalTTL": 5,
    }


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        pytest.param(
            "globalTTL: 100",
            "\nglobalTTL: 200",
            'b.yaml:2:1: "globalTTL" says something else: it is already set at a.yaml:1:1',
            id="C354",
        ),
        pytest.param(
            "models:\n  m: {cmd: x}",
            "models:\n\n  m: {cmd: x}",
            'b.yaml:3:3: models: "m" stands in two files: it is already set at a.yaml:2:3',
            id="C353",
        ),
        pytest.param(
            "matrix: {sets: {a: x}}",
            "matrix: {sets: {b: x}}",
            'b.yaml:1:10: matrix: "sets" stands in two files: it is already set at a.yaml:1:10',
            id="C373",
        ),
        pytest.param(
            "startPort: 5800",
            "startPort: [5800, 5801]",
            'b.yaml:1:1: "startPort" is of another kind: it is already set at a.yaml:1:1',
            id="C360",
        ),
        pytest.param(
            "globalTTL: 5", 'globalTTL: "5"', 'b.yaml:1:1: "globalTTL" is of another', id="C369"
        ),
        pytest.param(
            "macros: {A: 1}",
            "macros: {B: 1, A: 2}",
            'b.yaml:1:16: macros: "A" says something else: it is already set at a.yaml:1:10',
            id="C370",
        ),
        pytest.param("a: 1", "a: true", 'b.yaml:1:1: "a" is of another kind', id="true-is-no-1"),
    ],
)
def test_what_two_files_say_differently_is_told_with_both_places(
    first: str, second: str, says: str
) -> None:
    """Nobody should have to know which file wins."""
    (problem,) = told(first, second)

    assert problem.startswith(says)


@pytest.mark.parametrize(
    ("texts", "tree"),
    [
        (("store:", "store: {path: p}"), {"store": {"path": "p"}}),
        (("a: {b: 1}", "a: ~"), {"a": {"b": 1}}),
        (("a:", "a:"), {"a": None}),
    ],
)
def test_a_null_gives_way(texts: tuple[str, str], tree: Tree) -> None:
    """C365, C366: a section whose lines are all commented out says nothing."""
    found = merged(*texts)

    assert (found.problems, found.tree) == ([], tree)


def test_a_problem_is_placed_in_the_file_that_has_the_value() -> None:
    """Also in lists that come from several files."""
    found = merged(
        "models:\n  a: {ttl: 1}\nl: [1, 2]", "models:\n\n  b: {ttl: 1}", "l:\n- 3\n- {k: 4}"
    )

    for path, place in (
        (("models", "a", "ttl"), "a.yaml:2:12"),
        (("models", "b", "ttl"), "b.yaml:3:12"),
        (("models", "b", "cmd"), "b.yaml:3:3"),
        (("l", 1), "a.yaml:3:8"),
        (("l", 2), "c.yaml:2:3"),
        (("l", 3, "k"), "c.yaml:3:7"),
    ):
        assert str(found.located(Problem(path, "x")).place) == place
    assert str(found.located(Problem(("models",), "x", "b")).place) == "b.yaml:3:3"


def test_notes_are_left_out_at_every_level() -> None:
    """D28: "x-" keys are where anchors live; they may hold anything, in every file."""
    found = merged("x-a: 1\nmodels: {x-b: [1], m: {x-c: '${NO}', env: [A=1]}}", "x-a: 2")

    assert found.problems == []
    assert found.tree == {"models": {"m": {"env": ["A=1"]}}}
    assert without_notes({"a": [{"x-a": 1, "b": {"x-c": 1}}]}) == {"a": [{"b": {}}]}


def test_data_of_the_operators_own_has_no_notes() -> None:
    """A header, a parameter or a macro may be called whatever it is called."""
    tree: Tree = {
        "metadata": {"x-owner": "me", "in": [{"x-deep": 1}]},
        "filters": {"setParams": {"x-priority": 1}, "x-note": 1},
        "macros": {"x-args": "-ngl 99"},
    }

    assert without_notes(tree) == {
        "metadata": {"x-owner": "me", "in": [{"x-deep": 1}]},
        "filters": {"setParams": {"x-priority": 1}},
        "macros": {"x-args": "-ngl 99"},
    }


def test_a_model_called_like_data_is_a_model() -> None:
    """Its notes are notes; and names in a list of names are none."""
    tree: Tree = {
        "models": {"metadata": {"cmd": "x", "x-note": 1}},
        "profiles": {"p": {"pins": {"x-ai/m": "a"}, "x-note": 1}},
        "matrix": {"vars": {"x-1": "a"}, "x-note": 1},
    }

    assert without_notes(tree) == {
        "models": {"metadata": {"cmd": "x"}},
        "profiles": {"p": {"pins": {"x-ai/m": "a"}}},
        "matrix": {"vars": {"x-1": "a"}},
    }


def test_what_was_wrong_with_one_file_is_still_wrong() -> None:
    """Duplicate keys were found when the file was read."""
    (problem,) = told("a: 1\na: 2")

    assert problem == 'a.yaml:2:1: key "a" already defined at line 1'
