"""A file as a tree of nodes that know where they stood.

Rule 1: an anchored block is one node with several parents; `written_out` gives each its own copy.
Rule 2: what came through `<<` has no place of its own, nor has anything inside an alias: both are
blamed on the place where they are used. Where they come from is told beside it.
"""

from enum import Enum, auto

import attrs

from swapd.config.problems import KeyPath
from swapd.config.values import Scalar, Value

Spot = tuple[int, int]
"""Line and column, counted from 1."""

TOP: Spot = (1, 1)


class Kind(Enum):
    """What a node is."""

    SCALAR = auto()
    LIST = auto()
    MAPPING = auto()


@attrs.frozen(eq=False)
class Node:
    """A scalar, a list or a mapping."""

    kind: Kind
    scalar: Scalar = None
    children: "dict[str | int, Child]" = attrs.field(factory=dict)
    weight: int = attrs.field(init=False)
    """How many values and characters it comes to when written out."""
    height: int = attrs.field(init=False)
    """How many levels it has."""

    @weight.default
    def _weigh(self) -> int:
        own = 1 + (len(self.scalar) if isinstance(self.scalar, str) else 0)
        keys = sum(len(key) for key in self.children if isinstance(key, str))
        return own + keys + sum(child.node.weight for child in self.children.values())

    @height.default
    def _measure(self) -> int:
        return 1 + max((child.node.height for child in self.children.values()), default=0)


@attrs.frozen(eq=False)
class Child:
    """A node as its parent has it."""

    node: Node
    spot: Spot
    """Where to look for a mistake in it: at a scalar itself, at the key of anything larger."""
    key_spot: Spot
    merged: bool = False
    alias: bool = False


def written_out(node: Node) -> Value:
    """Copy a tree as plain values, with every alias replaced by what it stands for."""
    match node.kind:
        case Kind.SCALAR:
            return node.scalar
        case Kind.LIST:
            return [written_out(child.node) for child in node.children.values()]
        case Kind.MAPPING:
            return {
                step: written_out(child.node)
                for step, child in node.children.items()
                if isinstance(step, str)
            }


def spot_of(root: Node, path: KeyPath, *, key: str | None = None) -> tuple[int, Spot]:
    """Find where a value stands, or else what holds it; how many steps lead there, and the spot.

    With `key`, the spot of that key in the mapping at `path`.
    """
    node, spot = root, TOP
    for depth, step in enumerate(path):
        child = node.children.get(step)
        if child is None or child.merged:
            return depth, spot
        node, spot = child.node, child.spot
        if child.alias:
            return depth + 1, spot
    named = None if key is None else node.children.get(key)
    if named is None or named.merged:
        return len(path), spot
    return len(path) + 1, named.key_spot


def line_behind(root: Node, path: KeyPath, *, key: str | None = None) -> int | None:
    """Find the line of a value that came through `<<` or an alias, where it was written."""
    node, spot, borrowed = root, TOP, False
    for step in path if key is None else (*path, key):
        if (child := node.children.get(step)) is None:
            break
        node, spot = child.node, child.spot
        borrowed = borrowed or child.merged or child.alias
    return spot[0] if borrowed else None
