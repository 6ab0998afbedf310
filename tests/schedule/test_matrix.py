"""The matrix: who must leave for a model; the table R130 to R156, and R112."""

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.config.expression import DEEPEST, All, Either, Leaf, Node, compile_sets
from swapd.config.settings import Matrix
from swapd.ids import ModelId
from swapd.schedule.matrix import Solution, solve

Family = list[frozenset[ModelId]]

TWO = {"s1": "a & b", "s2": "a & c"}
VOICE = {"s": "(g | q | m) & v"}
PAIRS = {"s": "t & (a | b) & (c | d)"}
TURNED = {"s": "t & (b | a) & (d | c)"}
LAYERED = {"top": "+base & x", "base": "a | b"}
NAMED = {"full": "llama70B", "standard": "(gemma | qwen | mistral) & voxtral"}


def matrix(sets: Mapping[str, str], **costs: int) -> Matrix:
    """Make a matrix; whatever is no sign in a set is a model."""
    expressions, flaws = compile_sets(sets, ModelId)
    assert flaws == ()
    return Matrix(expressions, {ModelId(model): cost for model, cost in costs.items()})


def models(names: str) -> tuple[ModelId, ...]:
    """Spell several models."""
    return tuple(map(ModelId, names.split()))


def solution(evict: str, target_set: str, name: str = "", cost: int = 0) -> Solution:
    """Spell a solution, but for the text of its set."""
    return Solution(models(evict), models(target_set), name, "", cost)


@pytest.mark.parametrize(
    ("sets", "target", "running", "costs", "expected"),
    [
        pytest.param(
            {"base": "a & b", "extended": "target & +base & b"},
            *("target", "a b", {}, solution("", "a b target", "extended")),
            id="R112",
        ),
        pytest.param(TWO, "a", "", {}, solution("", "a b", "s1"), id="R130"),
        pytest.param(TWO, "a", "b c", {}, solution("c", "a b", "s1", 1), id="R131"),
        pytest.param(TWO, "a", "b c", {"c": 2}, solution("b", "a c", "s2", 1), id="R132"),
        pytest.param(
            {"a_with_c": "a & c", "a_with_b": "a & b"},
            *("a", "b c", {"b": 10, "c": 1}, solution("c", "a b", "a_with_b", 1)),
            id="R133",
        ),
        pytest.param(TWO, "a", "b c", {"b": 5, "c": 5}, solution("c", "a b", "s1", 5), id="R134"),
        pytest.param(TWO, "a", "a b", {}, solution("", "a b", "s1"), id="R135"),
        pytest.param(TWO, "a", "a c", {}, solution("", "a c", "s2"), id="R135-second"),
        pytest.param(TWO, "a", "a b c", {}, solution("", "a b c"), id="R136"),
        pytest.param({"s": "a & b"}, "missing", "a b", {}, solution("a b", "missing"), id="R137"),
        pytest.param(TWO, "z", "", {}, solution("", "z"), id="R138"),
        pytest.param(TWO, "a", "zz", {}, solution("zz", "a b", "s1", 1), id="R139"),
        pytest.param(VOICE, "v", "", {}, solution("", "g v", "s"), id="R140"),
        pytest.param(VOICE, "v", "q", {}, solution("", "q v", "s"), id="R141"),
        pytest.param(VOICE, "v", "g q", {}, solution("q", "g v", "s", 1), id="R142"),
        pytest.param(VOICE, "v", "g q", {"q": 2}, solution("g", "q v", "s", 1), id="R143"),
        pytest.param(
            {"s": "(q | g) & v"}, "v", "g q", {}, solution("g", "q v", "s", 1), id="R144"
        ),
        pytest.param(PAIRS, "t", "a b c d", {}, solution("b d", "a c t", "s", 2), id="R145"),
        pytest.param(
            PAIRS,
            *("t", "a b c d", {"b": 3, "d": 3}, solution("a c", "b d t", "s", 2)),
            id="R146",
        ),
        pytest.param(TURNED, "t", "a b c d", {}, solution("a c", "b d t", "s", 2), id="R147"),
        pytest.param(
            {"one": "t", "two": "t & a"}, "t", "a", {}, solution("", "a t", "two"), id="R148"
        ),
        pytest.param(LAYERED, "a", "", {}, solution("", "a", "base"), id="R149"),
        pytest.param(LAYERED, "a", "x", {}, solution("", "a x", "top"), id="R150"),
        pytest.param(
            {"s": "target & (a | (a & b))"},
            *("target", "a b", {}, solution("", "a b target", "s")),
            id="R151",
        ),
        pytest.param({"s": "t"}, "t", "z m a", {}, solution("z m a", "t", "s", 3), id="R154"),
        pytest.param(
            NAMED, "gemma", "voxtral", {}, solution("", "gemma voxtral", "standard"), id="R155"
        ),
        pytest.param(
            NAMED,
            *("llama70B", "voxtral", {}, solution("voxtral", "llama70B", "full", 1)),
            id="R155-alone",
        ),
        pytest.param(
            # x alone goes on the way, for x and z have more; so the choice of y is the first.
            {"s": "t & (x | y | x & z) & z"},
            *("t", "x y z", {}, solution("x", "t y z", "s", 1)),
            id="4.3-dropped-on-the-way",
        ),
    ],
)
def test_the_cheapest_combination_wins(
    sets: Mapping[str, str],
    target: str,
    running: str,
    costs: Mapping[str, int],
    expected: Solution,
) -> None:
    """Whoever comes from llama-swap loses the same models for the same request."""
    found = solve(matrix(sets, **costs), ModelId(target), models(running))

    texts = {"": "", **sets}
    assert found.text == texts[found.name]
    assert (found.evict, found.target_set) == (expected.evict, expected.target_set)
    assert (found.name, found.cost) == (expected.name, expected.cost)


@pytest.mark.parametrize("running", [pytest.param("", id="R156-ours"), "a"])
def test_a_solution_shows_how_its_set_was_written(running: str) -> None:
    """The log shows it, without the space around it that a file's own style asks for."""
    found = solve(matrix({"s": "  a   &b "}), ModelId("a"), models(running))

    assert (found.name, found.text) == ("s", "a   &b")


def alternatives(groups: int, *, each: int) -> str:
    """Write groups of alternatives, one of each."""
    return " & ".join(
        f"({' | '.join(f'm{group}-{one}' for one in range(each))})" for group in range(groups)
    )


@pytest.mark.parametrize(
    ("text", "running", "size"),
    [
        pytest.param(
            f"target & {alternatives(6, each=10)}",
            *([f"m{group}-9" for group in range(6)], 7),
            id="R152",
        ),
        pytest.param(
            " & ".join(["target", *(f"m{one}" for one in range(70))]),
            *([f"m{one}" for one in range(70)], 71),
            id="R153",
        ),
        pytest.param(
            " & ".join(["target", *(f"(m{one} | m{one} & n{one})" for one in range(30))]),
            *([f"n{one}" for one in range(30)], 61),
            id="R151-often",
        ),
    ],
)
def test_large_sets_are_little_work(text: str, running: list[str], size: int) -> None:
    """Rule 2: a few comparisons, where there are a million combinations or a billion."""
    found = solve(
        matrix({"large": text}),
        ModelId("target"),
        models(" ".join([*running, "outside"])),
        work=500,
    )

    assert found.evict == ("outside",)
    assert (found.name, found.cost, len(found.target_set)) == ("large", 1, size)


def test_what_is_too_hard_is_passed_over() -> None:
    """Rule 3: a model that could have stayed leaves, and nobody waits for the proof."""
    hard = alternatives(4, each=20)
    running = tuple(ModelId(f"m{group}-{one}") for group in range(4) for one in range(20))
    target = ModelId("t")

    assert solve(matrix({"hard": f"t & {hard}"}), target, running) == Solution(running, (target,))
    found = solve(matrix({"easy": "t & m0-0", "hard": f"t & {hard}"}), target, running)
    assert (found.evict, found.name) == (running[1:], "easy")


def test_what_is_too_hard_is_named_no_more() -> None:
    """Rule 3: a model that runs stays, whatever its set is called."""
    running = models("t a b")
    easy = matrix({"s": "t & (a | b) & (a | b)"})

    assert solve(easy, running[0], running) == Solution(
        (), models("a b t"), "s", easy.sets[0].text
    )
    assert solve(easy, running[0], running, work=3) == Solution((), models("a b t"))


@pytest.mark.parametrize("step", ["+s{0}", "+s{0} & +s{0} | +s{0}", "+s{0} & m{0}"])
def test_a_chain_of_sets_may_be_long(step: str) -> None:
    """Python's own depth is a thousand, and what is shared is looked through once."""
    chain = {"s0": "a | b", **{f"s{n + 1}": step.format(n) for n in range(3000)}}

    found = solve(matrix(chain), ModelId("a"), models("z"))

    assert found == Solution(models("z"), models("a"), "s0", "a | b", 1)


def test_an_expression_may_be_as_deep_as_can_be_read() -> None:
    """Python's own depth is a thousand, of which the daemon has used some already."""
    deep = "".join(f"(m{n} | a & " for n in range(DEEPEST)) + "z" + ")" * DEEPEST

    found = solve(matrix({"s": deep}), ModelId("z"), models("a m7 m8"))

    assert found.evict == models("m7 m8")


# Random expressions


def nested(leaves: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Write expressions of any shape."""
    return st.recursive(
        leaves,
        lambda inner: st.builds(
            lambda sign, parts: f"({sign.join(parts)})",
            st.sampled_from(["&", " & ", "|"]),
            st.lists(inner, min_size=2, max_size=3),
        ),
        max_leaves=8,
    )


@st.composite
def once_each(draw: st.DrawFn) -> str:
    """Write an expression in which no model stands twice."""
    names = iter(draw(st.permutations("abcdefgh")))
    shape = draw(nested(st.just("*")))
    return "".join(next(names) if char == "*" else char for char in shape)


ANY_SET = nested(st.sampled_from("abcdef"))
TARGETS = st.sampled_from("abcdefg").map(ModelId)
RUNNING = st.lists(st.sampled_from("abcdefg").map(ModelId), unique=True, max_size=5).map(tuple)
COSTS = st.dictionaries(st.sampled_from("abcdefg"), st.integers(1, 3), max_size=4)


def without(running: tuple[ModelId, ...], target: ModelId) -> tuple[ModelId, ...]:
    """Let the target not run yet."""
    return tuple(model for model in running if model != target)


def written_out(node: Node) -> Family:
    """Write out what nodes stand for, left operands outermost; for small ones only."""
    match node:
        case Leaf(model):
            return [frozenset([model])]
        case Either(parts):
            return [one for part in parts for one in written_out(part)]
        case All(parts):
            choices = itertools.product(*(written_out(part) for part in parts))
            return [frozenset().union(*choice) for choice in choices]


def looked_up(found: Matrix, target: ModelId, running: tuple[ModelId, ...]) -> list[Solution]:
    """Find the cheapest combinations among all of them, in order."""
    every = [
        Solution(
            tuple(model for model in running if model not in choice),
            tuple(sorted(choice)),
            one.name,
            one.text,
            sum(found.evict_costs.get(model, 1) for model in running if model not in choice),
        )
        for one in found.sets
        for choice in written_out(one.node)
        if target in choice
    ] or [Solution(running, (target,))]
    least = min(one.cost for one in every)
    return [one for one in every if one.cost == least]


@settings(max_examples=100, deadline=None)
@given(st.lists(once_each(), min_size=1, max_size=3), TARGETS, RUNNING, COSTS)
def test_of_equals_the_first_wins(
    texts: list[str], target: ModelId, running: tuple[ModelId, ...], costs: dict[str, int]
) -> None:
    """Rule 1: the order in a file is how its owner says what matters more."""
    found = matrix({f"s{n}": text for n, text in enumerate(texts)}, **costs)
    others = without(running, target)

    assert solve(found, target, others) == looked_up(found, target, others)[0]


@settings(max_examples=200, deadline=None)
@given(ANY_SET, ANY_SET, TARGETS, RUNNING, COSTS)
def test_none_is_cheaper(
    one: str, two: str, target: ModelId, running: tuple[ModelId, ...], costs: dict[str, int]
) -> None:
    """Rule 2: what is dropped on the way costs nobody a model, and the first such set is named."""
    found = matrix({"z": one, "y": two, "x": f"+z & ({two})"}, **costs)
    others = without(running, target)
    expected = looked_up(found, target, others)

    solved = solve(found, target, others)

    assert solved in expected
    assert solved.name == expected[0].name


def survivors(node: Node, relevant: frozenset[ModelId]) -> Family:
    """Write out what nodes stand for, dropping at every step what has less than another."""
    match node:
        case Leaf(model):
            return [frozenset([model])]
        case Either(parts):
            return largest([one for part in parts for one in survivors(part, relevant)], relevant)
        case All(parts):
            found: Family = [frozenset()]
            for part in parts:
                others = survivors(part, relevant)
                found = largest([one | other for one in found for other in others], relevant)
            return found


def largest(family: Family, relevant: frozenset[ModelId]) -> Family:
    """Keep the first of those that nothing has more than."""
    shown = [one & relevant for one in family]
    return [
        one
        for position, (one, seen) in enumerate(zip(family, shown, strict=True))
        if not any(seen < more for more in shown) and seen not in shown[:position]
    ]


@settings(max_examples=200, deadline=None)
@given(ANY_SET, TARGETS, RUNNING)
def test_a_tie_goes_to_the_first_that_is_left(
    text: str, target: ModelId, running: tuple[ModelId, ...]
) -> None:
    """Rule 2: what is dropped where decides ties, as in llama-swap."""
    found = matrix({"s": text})
    others = without(running, target)
    left = survivors(found.sets[0].node, frozenset([target, *others]))
    offered: Family = [one for one in left if target in one] or [frozenset([target])]

    solved = solve(found, target, others)

    most = max(len(one & {*others}) for one in offered)
    first = next(one for one in offered if len(one & {*others}) == most)
    assert solved.target_set == tuple(sorted(first))


@settings(max_examples=200, deadline=None)
@given(ANY_SET, ANY_SET, RUNNING.filter(bool))
def test_a_model_that_runs_costs_nobody(one: str, two: str, running: tuple[ModelId, ...]) -> None:
    """4.3, 1: the first set that all that runs fits into is named, if there is one."""
    found = matrix({"one": one, "two": two})
    fits = (
        each.name
        for each in found.sets
        if any({*running} <= choice for choice in written_out(each.node))
    )

    solved = solve(found, running[0], running)

    assert (solved.evict, solved.cost) == ((), 0)
    assert solved.target_set == tuple(sorted(running))
    assert solved.name == next(fits, "")
