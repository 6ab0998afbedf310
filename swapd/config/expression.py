"""Expressions of the matrix: which models may run side by side. Pure; from llama-swap.

    expr := and ("|" and)*        and := atom ("&" atom)*
    atom := NAME | "+" NAME | "(" expr ")"

Rule 1: an expression stands for a family of sets of models. `a & b` joins one set of each side,
`a | b` offers both sides, `+other` stands for the expression of that name.
Rule 2: no family is ever written out: six groups of ten alternatives are a million sets.
Rule 3: whatever stands in an expression, reading it ends soon, with nodes or with a `Malformed`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import attrs

from swapd.config.values import quoted
from swapd.ids import ModelId

# Nobody nests deeper; Python does not recurse much deeper.
DEEPEST = 50
# So many partial answers are looked at before a question counts as too hard.
HARDEST = 20_000

_NAME = re.compile(r"[\w.-]")


@attrs.frozen(eq=False)
class Leaf:
    """One model."""

    model: ModelId


@attrs.frozen(eq=False)
class All:
    """One choice of each."""

    parts: tuple["Node", ...]


@attrs.frozen(eq=False)
class Either:
    """One choice of one."""

    parts: tuple["Node", ...]


Node = Leaf | All | Either


@attrs.frozen
class Expression:
    """A set of the matrix by its name, as it was written and as it was understood."""

    name: str
    text: str
    node: Node = attrs.field(eq=False, repr=False)
    """Shared with the expressions that refer to it."""


@attrs.frozen
class Flaw:
    """What is wrong with the expression of a set."""

    name: str
    message: str


class Malformed(Exception):
    """An expression that cannot be understood."""


class TooHard(Exception):
    """A question with more partial answers than `HARDEST`."""


def compile_sets(
    sets: Mapping[str, str], model: Callable[[str], ModelId | None]
) -> tuple[tuple[Expression, ...], tuple[Flaw, ...]]:
    """Understand all sets; `model` tells what a name in them means.

    The expressions come in the order of the sets, but none before one that it refers to.
    """
    flaws: list[Flaw] = []
    parsed: dict[str, _Parsed] = {}
    for name, text in sets.items():
        try:
            parsed[name] = _Parser(text.strip(), model).whole()
        except Malformed as wrong:
            flaws.append(Flaw(name, str(wrong)))
    for name, found in parsed.items():
        for other in found.references:
            if other not in sets:
                flaws.append(Flaw(name, f"there is no set {quoted(other)}"))
    if flaws:
        return (), tuple(flaws)
    order, circle = _ordered({name: found.references for name, found in parsed.items()})
    if circle is not None:
        return (), (Flaw(circle, f"circular reference: {quoted(circle)} contains itself"),)
    done: dict[str, Expression] = {}
    for name in order:
        nodes = {other: done[other].node for other in parsed[name].references}
        done[name] = Expression(name, sets[name].strip(), parsed[name].linked(nodes))
    return tuple(done.values()), ()


def can_contain(expressions: Iterable[Expression], models: frozenset[ModelId]) -> bool:
    """Say whether one of the sets that expressions stand for has all of these models.

    None of them may come before one that it refers to. Raises `TooHard` rather than to take
    minutes.
    """
    numbered = {model: 1 << position for position, model in enumerate(sorted(models))}
    wanted = (1 << len(numbered)) - 1
    known: dict[int, set[int]] = {}
    return any(wanted in _reach(one.node, numbered, known) for one in expressions)


def _reach(node: Node, numbered: Mapping[ModelId, int], known: dict[int, set[int]]) -> set[int]:
    """Which of the models one set can have, as bits; only the largest choices."""
    if id(node) in known:
        return known[id(node)]
    match node:
        case Leaf(model):
            found = {numbered.get(model, 0)}
        case Either(parts):
            found = _largest(bits for part in parts for bits in _reach(part, numbered, known))
        case All(parts):
            found = {0}
            for part in parts:
                other = _reach(part, numbered, known)
                if len(found) * len(other) > HARDEST:
                    raise TooHard
                found = _largest(one | two for one in found for two in other)
    known[id(node)] = found
    return found


def _largest(choices: Iterator[int]) -> set[int]:
    kept: set[int] = set()
    for bits in sorted(set(choices), key=int.bit_count, reverse=True):
        if not any(bits | more == more for more in kept):
            kept.add(bits)
            if len(kept) ** 2 > HARDEST:
                raise TooHard
    return kept


def _ordered(references: Mapping[str, tuple[str, ...]]) -> tuple[list[str], str | None]:
    """Put what is referred to before what refers to it; or name one in a circle."""
    order: dict[str, None] = {}
    for first in references:
        path = [first]
        open_: dict[str, Iterator[str]] = {first: iter(references[first])}
        while path and first not in order:
            nearest = next((name for name in open_[path[-1]] if name not in order), None)
            if nearest is None:
                order[path.pop()] = None
            elif nearest in open_:
                return [], nearest
            else:
                path.append(nearest)
                open_[nearest] = iter(references[nearest])
    return list(order), None


@attrs.frozen
class _Reference:
    name: str


@attrs.frozen
class _Parsed:
    """An expression whose references are still names."""

    tree: "_Tree"
    references: tuple[str, ...]

    def linked(self, nodes: Mapping[str, Node]) -> Node:
        """Put the expressions in the place of their names."""
        return _link(self.tree, nodes)


_Tree = Leaf | _Reference | tuple[type[All] | type[Either], tuple["_Tree", ...]]


def _link(tree: _Tree, nodes: Mapping[str, Node]) -> Node:
    match tree:
        case Leaf():
            return tree
        case _Reference(name):
            return nodes[name]
        case (kind, parts):
            return kind(tuple(_link(part, nodes) for part in parts))


@attrs.frozen
class _Token:
    kind: str
    """`name`, `set`, or the character itself; nothing at the end."""
    text: str


class _Parser:
    """Reads one expression."""

    def __init__(self, text: str, model: Callable[[str], ModelId | None]) -> None:
        if not text:
            raise Malformed("empty expression")
        self._tokens = list(_tokens(text))
        self._at = 0
        self._model = model
        self._references: dict[str, None] = {}

    def whole(self) -> _Parsed:
        """Read all of it."""
        tree = self._either(0)
        if self._here.kind:
            raise Malformed(f"unexpected {quoted(self._here.text)} after the expression")
        return _Parsed(tree, tuple(self._references))

    @property
    def _here(self) -> _Token:
        return self._tokens[self._at]

    def _either(self, depth: int) -> _Tree:
        return self._joined("|", Either, lambda: self._joined("&", All, lambda: self._atom(depth)))

    def _joined(
        self, sign: str, kind: type[All] | type[Either], part: Callable[[], _Tree]
    ) -> _Tree:
        parts = [part()]
        while self._here.kind == sign:
            self._at += 1
            parts.append(part())
        return parts[0] if len(parts) == 1 else (kind, tuple(parts))

    def _atom(self, depth: int) -> _Tree:
        token = self._here
        self._at += 1
        match token.kind:
            case "name":
                if (model := self._model(token.text)) is None:
                    raise Malformed(f"unknown var or model {quoted(token.text)}")
                return Leaf(model)
            case "set":
                self._references[token.text] = None
                return _Reference(token.text)
            case "(":
                if depth == DEEPEST:
                    raise Malformed(f"parentheses deeper than {DEEPEST}")
                inner = self._either(depth + 1)
                if self._here.kind != ")":
                    raise Malformed("missing closing parenthesis")
                self._at += 1
                return inner
            case "":
                raise Malformed("unexpected end")
            case _:
                raise Malformed(f"unexpected {quoted(token.text)}")


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        char = text[at]
        if char.isspace():
            at += 1
        elif char in "&|()":
            yield _Token(char, char)
            at += 1
        elif char == "+" or _NAME.match(char):
            end = start = at + (char == "+")
            while end < len(text) and _NAME.match(text[end]):
                end += 1
            if end == start:
                raise Malformed(f"a set's name must follow + at position {start}")
            yield _Token("set" if char == "+" else "name", text[start:end])
            at = end
        else:
            raise Malformed(f"unexpected character {quoted(char)} at position {at}")
    yield _Token("", "")
