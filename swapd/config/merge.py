"""Several files as one tree.

Rule 1: whatever two files both set is a mistake, placed in the later one; only `models` may come
from several, each model from one. Nobody has to know which file wins.
Rule 2: a place is looked for in all files; the one that knows most of the path has it.
Rule 3: keys that begin with `x-`, at any level, are the operator's notes and anchors. They end
here.
"""

from collections.abc import Sequence

import attrs

from swapd.config import values
from swapd.config.problems import KeyPath, Located, Problem
from swapd.config.source import Source
from swapd.config.values import Tree, Value

NOTE = "x-"


@attrs.frozen(eq=False)
class Merged:
    """What all files say together."""

    tree: Tree
    sources: tuple[Source, ...]
    problems: tuple[Located, ...]

    def located(self, problem: Problem) -> Located:
        """Tell the place of a problem."""
        found = [source.find(problem.path, key=problem.key) for source in self.sources]
        _, place = max(found, key=lambda depth_and_place: depth_and_place[0])
        return Located(problem, place)


def merge(sources: Sequence[Source]) -> Merged:
    """Put files together in the order given."""
    merged: Tree = {}
    setters: dict[KeyPath, Source] = {}
    problems = [located for source in sources for located in source.problems]
    for source in sources:
        tree = {key: without_notes(value) for key, value in source.tree.items() if not _note(key)}
        models = tree.get("models")
        both = merged.get("models")
        if isinstance(models, dict) and isinstance(both, dict):
            del tree["models"]
            problems += _add(models, ("models",), source, into=both, setters=setters)
        problems += _add(tree, (), source, into=merged, setters=setters)
        if isinstance(models, dict) and both is None:
            setters |= {("models", model): source for model in models}
    return Merged(merged, tuple(sources), tuple(problems))


def without_notes(value: Value) -> Value:
    """Copy a value without the keys that begin with `x-`."""
    match value:
        case dict():
            return {key: without_notes(below) for key, below in value.items() if not _note(key)}
        case list():
            return [without_notes(below) for below in value]
        case _:
            return value


def _add(
    tree: Tree, path: KeyPath, source: Source, *, into: Tree, setters: dict[KeyPath, Source]
) -> list[Located]:
    problems = []
    for key, value in tree.items():
        if key in into:
            message = f"{values.quoted(key)} is already set in {setters[(*path, key)].file}"
            place = source.where(path, key=key)
            problems.append(Located(Problem(path, message, key), place))
        else:
            into[key] = value
            setters[(*path, key)] = source
    return problems


def _note(key: str) -> bool:
    return key.startswith(NOTE)
