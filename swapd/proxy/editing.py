"""Changing a JSON object in its text. Pure.

Rule 1: whatever no change names keeps its text: order, white space, numbers, escapes.
Rule 2: only a text that `naming.find` has accepted comes here; so it is JSON.
Rule 3: what a path leads into is taken apart, once; everything else is stepped over whole.

A path names one value: `a.b` is `b` in the object `a`. A number counts in a list from 0, and -1
is the place behind its end, or the last value when something is deleted. In an object both are
names, and a colon in front (`a.:7`) makes one of what would have a list made for it. A backslash
takes the meaning from whatever follows it. As in llama-swap, except that there `*`, `?`, `#`, `|`
and `@` search; here a path with one of them changes nothing, as does an empty one, or one that
wants a name in a list.
"""

import functools
import json
import math
import re
from collections.abc import Sequence

import attrs

from swapd.config.values import Value
from swapd.proxy.naming import BadBody, past_space

# A number beyond a list's end fills it up with null; who means more than this means a name.
MOST_PADDING = 1000

# Taking one object or list apart costs a microsecond for each of its values, and holds up
# everybody meanwhile. No request has as many parameters, nor a list that anybody counts so far.
MOST_VALUES = 20_000

# From here on a float is not every whole number, and written as one it would only get longer.
_WHOLE = 2.0**53

_PART = re.compile(r"(:?+)((?:[^\\.*?#|@]|\\.)+)\.", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
# Longer numbers are names: nobody counts that far, and reading very long ones is refused.
_INDEX = re.compile(r"-1|[0-9]{1,9}")
_APPEND = -1

_CLOSING = {"{": "}", "[": "]"}

_decoder = json.JSONDecoder()
# Only ASCII comes out: half a surrogate pair, which YAML may hold, is an escape like any other.
_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


@attrs.frozen
class Step:
    """One part of a path."""

    name: str
    index: int | None
    """Where it leads to in a list."""


# Paths come from the configuration, the same ones with every request.
@functools.lru_cache(maxsize=1000)
def steps_of(path: str) -> tuple[Step, ...]:
    """Take a path apart; nothing comes of one that changes nothing."""
    written = f"{path}."
    steps: list[Step] = []
    at = 0
    while at < len(written):
        found = _PART.match(written, at)
        if found is None:
            return ()
        name = _ESCAPE.sub(r"\1", found[2])
        counted = not found[1] and _INDEX.fullmatch(name)
        steps.append(Step(name, int(name) if counted else None))
        at = found.end()
    return tuple(steps)


class Document:
    """A JSON object that is changed member by member. Raises `BadBody` if that is too much work.

    Of equal keys the first is meant, and the others go when that is changed or taken away: the
    model may be one that reads the last.
    """

    def __init__(self, text: str) -> None:
        start = past_space(text, 0)
        self._object, end = _open(text, start)
        self._around = text[:start], text[end:]
        self.changed = False

    def set(self, path: str, value: Value) -> None:
        """Put a value where the path leads to; what is missing on the way there is made.

        A number that JSON has no word for becomes null.
        """
        steps = steps_of(path)
        if steps:
            node, steps = self._reach(steps)
            text = _wrapped(steps[1:], _encoder.encode(_plain(value)))
            if text is not None and node.put(steps[0], text):
                self.changed = True

    def delete(self, path: str) -> None:
        """Take away what the path leads to, if it is there."""
        steps = steps_of(path)
        if steps:
            node, steps = self._reach(steps)
            if len(steps) == 1 and node.drop(steps[0]):
                self.changed = True

    def render(self) -> str:
        """Write the object as it is now."""
        before, after = self._around
        return f"{before}{self._object.render()}{after}"

    def _reach(self, steps: tuple[Step, ...]) -> tuple["_Node", tuple[Step, ...]]:
        """Follow the path as far as objects and lists go, and answer with the steps left over."""
        node = self._object
        while len(steps) > 1 and (below := node.below(steps[0])) is not None:
            node, steps = below, steps[1:]
        return node, steps


@attrs.define
class _Member:
    """One value of an object or of a list, and the text around it."""

    key: str | None
    """None in a list."""
    before: str
    """From the bracket or comma on: the key with its colon, white space."""
    value: "str | _Node"
    after: str = ""
    """White space up to the comma."""

    def text(self) -> str:
        return self.value if isinstance(self.value, str) else self.value.render()


@attrs.define
class _Node:
    """An object or a list that has been taken apart."""

    opening: str
    closing: str
    """The bracket, and the white space before it."""
    members: list[_Member]

    def below(self, step: Step) -> "_Node | None":
        """Take apart what stands there, if it is an object or a list."""
        place = self._place(step)
        if place is None:
            return None
        member = self.members[place]
        if isinstance(member.value, str) and member.value[0] in _CLOSING:
            member.value, _ = _open(member.value, 0)
        return None if isinstance(member.value, str) else member.value

    def put(self, step: Step, text: str) -> bool:
        """Put a value there, and say whether that changed anything."""
        place = self._place(step)
        if place is not None:
            changed = self.members[place].text() != text
            self.members[place].value = text
            return self._drop_doubles(step, place + 1) or changed
        if self.opening == "{":
            self.members.append(_Member(step.name, f"{_encoder.encode(step.name)}:", text))
            return True
        if step.index is None or step.index - len(self.members) > MOST_PADDING:
            return False
        padding = step.index - len(self.members)
        self.members += [_Member(None, "", "null") for _ in range(padding)]
        self.members.append(_Member(None, "", text))
        return True

    def drop(self, step: Step) -> bool:
        """Take away what stands there, and say whether anything did."""
        place = self._place(step)
        if place is None and self.opening == "[" and step.index == _APPEND and self.members:
            place = len(self.members) - 1
        if place is None:
            return False
        del self.members[place]
        self._drop_doubles(step, place)
        return True

    def _drop_doubles(self, step: Step, start: int) -> bool:
        if self.opening == "[":
            return False
        kept = [member for member in self.members[start:] if member.key != step.name]
        dropped = len(kept) < len(self.members) - start
        self.members[start:] = kept
        return dropped

    def render(self) -> str:
        inside = ",".join(f"{one.before}{one.text()}{one.after}" for one in self.members)
        return f"{self.opening}{inside}{self.closing}"

    def _place(self, step: Step) -> int | None:
        if self.opening == "{":
            found = (at for at, member in enumerate(self.members) if member.key == step.name)
            return next(found, None)
        known = step.index is not None and 0 <= step.index < len(self.members)
        return step.index if known else None


def _open(text: str, at: int) -> tuple[_Node, int]:
    """Take apart the object or list that begins there, and say where it ends."""
    node = _Node(text[at], _CLOSING[text[at]], [])
    at += 1
    start = past_space(text, at)
    if text[start] == node.closing:
        node.closing = text[at : start + 1]
        return node, start + 1
    try:
        while True:
            key = None
            if node.opening == "{":
                key, colon = _decoder.raw_decode(text, start)
                start = past_space(text, past_space(text, colon) + 1)
            _, end = _decoder.raw_decode(text, start)
            behind = past_space(text, end)
            member = _Member(key, text[at:start], text[start:end])
            node.members.append(member)
            if text[behind] != ",":
                node.closing = text[end : behind + 1]
                return node, behind + 1
            if len(node.members) == MOST_VALUES:
                raise BadBody(f"a list or an object to change has more than {MOST_VALUES} values")
            member.after = text[end:behind]
            at = behind + 1
            start = past_space(text, at)
    except RecursionError as problem:
        # Also where `find` went through: how deep it gets depends on who called.
        raise BadBody("the body is not usable JSON: nested too deeply") from problem


def _wrapped(steps: Sequence[Step], text: str) -> str | None:
    """Make the objects and lists that lead to a new value; None if that takes too much padding."""
    for step in reversed(steps):
        if step.index is None:
            text = f"{{{_encoder.encode(step.name)}:{text}}}"
        elif step.index > MOST_PADDING:
            return None
        else:
            text = f"[{'null,' * step.index}{text}]"
    return text


def _plain(value: Value) -> Value:
    """Put numbers as llama-swap does: 1000.0, which YAML makes of 1e3, is a whole number."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case float() if value.is_integer() and abs(value) < _WHOLE:
            return int(value)
        case list():
            return [_plain(one) for one in value]
        case dict():
            return {name: _plain(one) for name, one in value.items()}
        case _:
            return value
