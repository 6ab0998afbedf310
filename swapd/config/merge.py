"""Several files as one tree.

Rule 1: mappings are joined, lists follow each other in the order of the files, and a null gives
way to whatever another file says. Nobody has to know which file wins: two that say different
things are a mistake, placed in the later one and naming the place in the earlier.
Rule 2: what has a name of its own (a model, a group, a peer, …) stands in one file only, even if
another says the same.
Rule 3: a place is looked for in all files; the one that knows most of the path has it.
Rule 4: keys that begin with `x-`, at any level, are the operator's notes and anchors. They end
here. Under `DATA` every key is the operator's own, and none is a note.
"""

from collections.abc import Sequence

import attrs

from swapd.config.problems import KeyPath, Located, Problem
from swapd.config.source import Source
from swapd.config.values import Tree, Value, quoted

NOTE = "x-"

DATA = frozenset(
    [
        *("macros", "metadata", "setParams", "setParamsByID"),
        *("pins", "vars", "evict_costs", "sets", "priority"),
    ]
)

# Mappings whose entries have names of their own.
NAMED: frozenset[KeyPath] = frozenset(
    [
        *[(key,) for key in ("models", "groups", "profiles", "selectors", "peers", "matrix")],
        ("routing", "router", "settings", "groups"),
        ("routing", "router", "settings", "matrix"),
    ]
)

# Those whose entries are things and not settings.
_ENTRIES = frozenset(path for path in NAMED if path[-1] != "matrix")


@attrs.frozen
class _Stretch:
    """Some elements of a list that come from one file."""

    source: Source
    first: int
    """The position of the first of them in the whole list."""


@attrs.define(eq=False)
class Merged:
    """What all files say together."""

    tree: Tree = attrs.field(factory=dict)
    sources: list[Source] = attrs.field(factory=list)
    problems: list[Located] = attrs.field(factory=list)
    _setters: dict[KeyPath, Source] = attrs.field(factory=dict)
    """Who said it first; of what is not here, whoever said what is around it."""
    _lists: dict[KeyPath, list[_Stretch]] = attrs.field(factory=dict)
    """The lists that come from several files."""

    def located(self, problem: Problem) -> Located:
        """Tell the place of a problem, and the line of the block that a value came from."""
        found = []
        for source in self.sources:
            path = self._within(source, problem.path)
            depth, place = source.find(path, key=problem.key)
            found.append((depth, place, source.behind(path, key=problem.key)))
        _, place, line = max(found, key=lambda one: one[0])
        if line is not None and line != place.line:
            message = f"{problem.message} (it comes from line {line})"
            problem = attrs.evolve(problem, message=message)
        return Located(problem, place)

    def add(self, source: Source) -> None:
        """Put one more file beside the others."""
        self.sources.append(source)
        self.problems += source.problems
        self._join(self.tree, without_notes(source.tree), (), source)

    def _join(self, tree: Tree, other: Tree, path: KeyPath, source: Source) -> None:
        for key, value in other.items():
            here = (*path, key)
            before = tree.get(key)
            if before is None:
                if key not in tree or value is not None:
                    tree[key] = value
                    self._setters[here] = source
            elif value is not None:
                tree[key] = self._joined(before, value, here, source)

    def _joined(self, before: Value, value: Value, here: KeyPath, source: Source) -> Value:
        match before, value:
            case dict(), dict():
                new = value
                if here in NAMED:
                    new = {key: below for key, below in value.items() if key not in before}
                    for key in value.keys() - new.keys():
                        self._twice(here, key, "stands in two files", source)
                self._join(before, new, here, source)
                return before
            case list(), list():
                stretches = self._lists.setdefault(here, [_Stretch(self._setter(here), 0)])
                stretches.append(_Stretch(source, len(before)))
                return [*before, *value]
            case _:
                if type(before) is not type(value):
                    self._twice(here[:-1], str(here[-1]), "is of another kind", source)
                elif before != value:
                    self._twice(here[:-1], str(here[-1]), "says something else", source)
                return before

    def _twice(self, path: KeyPath, key: str, what: str, source: Source) -> None:
        first = self._setter((*path, key)).where(path, key=key)
        message = f"{quoted(key)} {what}: it is already set at {first}"
        place = source.where(path, key=key)
        self.problems.append(Located(Problem(path, message, key), place))

    def _setter(self, path: KeyPath) -> Source:
        return next(
            self._setters[path[:length]]
            for length in range(len(path), 0, -1)
            if path[:length] in self._setters
        )

    def _within(self, source: Source, path: KeyPath) -> KeyPath:
        """Translate a path in the whole into the same in one file, as far as it goes."""
        for depth, step in enumerate(path):
            if isinstance(step, int) and (stretches := self._lists.get(path[:depth])):
                own = [one for one in stretches if one.first <= step][-1]
                if own.source is not source:
                    return path[:depth]
                return (*path[:depth], step - own.first, *path[depth + 1 :])
        return path


def merge(sources: Sequence[Source]) -> Merged:
    """Put files together in the order given."""
    merged = Merged()
    for source in sources:
        merged.add(source)
    return merged


def without_notes(tree: Tree, path: KeyPath = ()) -> Tree:
    """Copy a tree, which stands at a path, without the keys that begin with `x-`."""
    return {
        # A model may be called "metadata".
        key: _copied(value, (*path, key), notes=key in DATA and path not in _ENTRIES)
        for key, value in tree.items()
        if not key.startswith(NOTE)
    }


def _copied(value: Value, path: KeyPath, *, notes: bool) -> Value:
    match value:
        case dict() if notes:
            return {key: _copied(below, path, notes=True) for key, below in value.items()}
        case dict():
            return without_notes(value, path)
        case list():
            return [_copied(below, (*path, "-"), notes=notes) for below in value]
        case _:
            return value
