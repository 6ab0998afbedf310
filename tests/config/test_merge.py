"""Several files as one."""

from swapd.config.merge import merge, without_notes
from swapd.config.problems import Problem
from swapd.config.source import Source, parse


def sources(*texts: str) -> list[Source]:
    """Read texts as files a.yaml, b.yaml, ..."""
    return [parse(text, file=f"{name}.yaml") for name, text in zip("abc", texts, strict=False)]


def test_models_may_come_from_several_files() -> None:
    """C351: one file a model is how a directory of them is kept."""
    merged = merge(
        sources("models: {a: {cmd: a}}", "models: {b: {cmd: b}}\nglobalTTL: 5", "models: {c: {}}")
    )

    assert merged.problems == ()
    assert merged.tree == {
        "models": {"a": {"cmd": "a"}, "b": {"cmd": "b"}, "c": {}},
        "globalTTL": 5,
    }


def test_what_two_files_set_is_told_in_the_later_one() -> None:
    """C353, C354: nobody should have to know which file wins."""
    merged = merge(
        sources(
            "globalTTL: 100\nmodels: {dup: {cmd: x}}",
            "models: {b: {}}",
            "globalTTL: 200\nmodels:\n  b: {}\n  dup: {cmd: x}",
        )
    )

    assert [str(problem) for problem in merged.problems] == [
        'c.yaml:3:3: models: "b" is already set in b.yaml',
        'c.yaml:4:3: models: "dup" is already set in a.yaml',
        'c.yaml:1:1: "globalTTL" is already set in a.yaml',
    ]


def test_models_that_are_no_mapping_are_not_mixed_with_others() -> None:
    """C368: the type is told by whoever knows types; here it is only set twice."""
    merged = merge(sources("models: [a]", "models: {b: {}}"))

    assert [str(problem) for problem in merged.problems] == [
        'b.yaml:1:1: "models" is already set in a.yaml'
    ]


def test_a_problem_is_placed_in_the_file_that_has_the_value() -> None:
    """Two files have `models`; only one of them has this one."""
    merged = merge(sources("models:\n  a: {ttl: 1}", "models:\n\n  b: {ttl: 1}"))

    for path, place in (
        (("models", "a", "ttl"), "a.yaml:2:12"),
        (("models", "b", "ttl"), "b.yaml:3:12"),
        (("models", "b", "cmd"), "b.yaml:3:3"),
    ):
        assert str(merged.located(Problem(path, "x")).place) == place
    assert str(merged.located(Problem(("models",), "x", "b")).place) == "b.yaml:3:3"


def test_notes_are_left_out_at_every_level() -> None:
    """D28: "x-" keys are where anchors live; they may hold anything, in every file."""
    merged = merge(sources("x-a: 1\nmodels: {x-b: [1], m: {x-c: '${NO}', env: [A=1]}}", "x-a: 2"))

    assert merged.problems == ()
    assert merged.tree == {"models": {"m": {"env": ["A=1"]}}}
    assert without_notes([{"x-a": 1, "b": {"x-c": 1}}]) == [{"b": {}}]


def test_what_was_wrong_with_one_file_is_still_wrong() -> None:
    """Duplicate keys were found when the file was read."""
    (problem,) = merge(sources("a: 1\na: 2")).problems

    assert str(problem) == 'a.yaml:2:1: key "a" already defined at line 1'
