"""From the parser's events to nodes.

Done here rather than by ruamel's constructors: those stop at the first mistake, read some scalars
the YAML 1.1 way, and lose the place of list elements.

Rule 1: a mistake is remembered and composing goes on; only what has no bound is `Hopeless`.
Rule 2: every use of an anchor is charged for what it will be written out to, and the sum is
bounded; so is the depth. A short file can stand for a tree that fits no memory.
Rule 3: only the first document counts.
"""

from collections.abc import Iterator

from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
    StreamEndEvent,
)

from swapd.config import values
from swapd.config.environment import FilledIn
from swapd.config.nodes import TOP, Child, Kind, Node, Spot
from swapd.config.problems import KeyPath, Problem
from swapd.config.values import BareKey, Scalar

# Deeper than any option lies, far from Python's own limit.
DEEPEST = 40
# What a file may come to with its aliases written out, in values and characters.
HEAVIEST = 4_000_000

_YAML = "tag:yaml.org,2002:"
_NULL = Node(Kind.SCALAR)


class Hopeless(Exception):
    """A mistake after which the rest of the file is not worth reading."""

    def __init__(self, message: str, spot: Spot) -> None:
        super().__init__(message)
        self.spot = spot


class Composer:
    """Composes one stream of events, once."""

    def __init__(self, events: Iterator[Event], text: FilledIn) -> None:
        self.problems: list[tuple[Problem, Spot]] = []
        self.reached = TOP
        self._events = events
        self._text = text
        self._anchors: dict[str, Node | None] = {}  # None while its block is still open
        self._charged = 0

    def document(self) -> Node:
        """Compose the first document; an empty stream is a null."""
        self._next()
        if isinstance(self._next(), StreamEndEvent):
            return _NULL
        root = self._child(self._next(), (), TOP).node
        # Its end, and what follows: either another document or nothing, else the parser objects.
        self._next()
        self._next()
        return root

    def _next(self) -> Event:
        event = next(self._events)
        self.reached = self._spot(event)
        return event

    def _child(self, event: Event, path: KeyPath, key_spot: Spot | None) -> Child:
        spot = self._spot(event)
        if isinstance(event, AliasEvent):
            node = self._aliased(event, path)
        else:
            node = self._node(event, path)
        if len(path) + node.height > DEEPEST:
            raise Hopeless(f"nested deeper than {DEEPEST} levels", spot)
        # Nothing at all, as in "cmd:", is placed by the parser where the next thing begins.
        stands = node.kind is Kind.SCALAR and _has_text(event)
        blamed = spot if stands else key_spot or spot
        return Child(node, blamed, key_spot or spot, alias=isinstance(event, AliasEvent))

    def _aliased(self, event: AliasEvent, path: KeyPath) -> Node:
        if event.anchor not in self._anchors:
            self._say(path, f"unknown anchor {values.quoted(event.anchor)}", self._spot(event))
            return _NULL
        node = self._anchors[event.anchor]
        if node is None:
            self._say(
                path, f"anchor {values.quoted(event.anchor)} contains itself", self._spot(event)
            )
            return _NULL
        self._charged += node.weight
        if self._charged > HEAVIEST:
            raise Hopeless(
                f"aliases come to more than {HEAVIEST} values written out", self._spot(event)
            )
        return node

    def _node(self, event: Event, path: KeyPath) -> Node:
        if isinstance(event, ScalarEvent):
            node = Node(Kind.SCALAR, self._scalar(event, path))
        else:
            assert isinstance(event, CollectionStartEvent)
            if len(path) > DEEPEST:
                raise Hopeless(f"nested deeper than {DEEPEST} levels", self._spot(event))
            if event.anchor is not None:
                self._anchors[event.anchor] = None
            if event.tag not in (None, "!", f"{_YAML}map", f"{_YAML}seq"):
                self._say(path, f"tag {event.tag} is not supported", self._spot(event))
            mapping = isinstance(event, MappingStartEvent)
            node = self._mapping(path) if mapping else self._list(path)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _list(self, path: KeyPath) -> Node:
        children: dict[str | int, Child] = {}
        while not isinstance(event := self._next(), CollectionEndEvent):
            position = len(children)
            children[position] = self._child(event, (*path, position), None)
        return Node(Kind.LIST, children=children)

    def _mapping(self, path: KeyPath) -> Node:
        children: dict[str | int, Child] = {}
        merges: list[Child] = []
        while not isinstance(event := self._next(), CollectionEndEvent):
            key, spot = self._key(event, path), self._spot(event)
            child = self._child(self._next(), (*path, key), spot)
            if key == "<<" and isinstance(event, ScalarEvent) and event.style is None:
                merges.append(child)
                if len(merges) > 1:
                    self._already(path, key, spot, merges[0].key_spot)
            elif key in children:
                self._already(path, key, spot, children[key].key_spot)
            else:
                children[key] = child
        for merge in merges[:1]:
            self._merge(merge, into=children, path=path)
        return Node(Kind.MAPPING, children=children)

    def _key(self, event: Event, path: KeyPath) -> str:
        key = self._child(event, path, None).node
        if key.kind is not Kind.SCALAR:
            self._say(path, "a key must be text, not a list or a mapping", self._spot(event))
            return BareKey("?")
        if isinstance(key.scalar, str):
            return key.scalar
        return BareKey(event.value if isinstance(event, ScalarEvent) else values.shown(key.scalar))

    def _merge(self, merge: Child, *, into: dict[str | int, Child], path: KeyPath) -> None:
        several = merge.node.kind is Kind.LIST
        blocks = (
            [child.node for child in merge.node.children.values()] if several else [merge.node]
        )
        for block in blocks:
            if block is _NULL:
                continue  # an unknown anchor, and told
            if block.kind is not Kind.MAPPING:
                self._say(path, "<< takes a mapping or a list of mappings", merge.key_spot)
                continue
            for key, child in block.children.items():
                # The mapping's own keys come before merged ones, an earlier block before a later.
                own = Child(child.node, child.spot, child.key_spot, merged=True)
                into.setdefault(key, own)

    def _scalar(self, event: ScalarEvent, path: KeyPath) -> Scalar:
        tag = str(event.tag or "")
        try:
            # JSON writes what lies outside the basic plane as two halves.
            text = str(event.value)
            if not text.isascii():
                text = text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._say(path, "half a character (a lone \\uD800 to \\uDFFF)", self._spot(event))
            return ""
        for message in self._text.left_in(text):
            self._say(path, message, self._spot(event))
        if not tag:
            return values.plain(text) if event.style is None else text
        try:
            return values.tagged(text, tag.removeprefix(_YAML))
        except ValueError as wrong:
            self._say(path, str(wrong), self._spot(event))
            return text

    def _already(self, path: KeyPath, key: str, spot: Spot, first: Spot) -> None:
        message = f"key {values.quoted(key)} already defined at line {first[0]}"
        self.problems.append((Problem(path, message, key), spot))

    def _spot(self, event: Event) -> Spot:
        return self._text.original((event.start_mark.line + 1, event.start_mark.column + 1))

    def _say(self, path: KeyPath, message: str, spot: Spot) -> None:
        self.problems.append((Problem(path, message), spot))


def _has_text(event: Event) -> bool:
    return not isinstance(event, ScalarEvent) or bool(event.value) or event.style is not None
