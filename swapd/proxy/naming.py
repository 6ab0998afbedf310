"""Which model a JSON request means, and whether it wants a stream. Pure.

Rule 1: a body that we read differently from the model behind us would be a hole; so it is read
strictly, and refused with a sentence that says what is wrong.
Rule 2: a request that names no model is not wrong here: what becomes of it is the caller's matter.
"""

import json
import re
from typing import Any, TypeAlias

import attrs

# Reading a body holds up everybody. A long string costs little, but a million members cost a
# second; so the bodies that could hold that many are looked through first. In bytes. No API takes
# as many: OpenAI's largest request, of embeddings, is half of it.
LARGE = 1024 * 1024
MOST_VALUES = 600_000

# What counts as true when it is written as a text; from llama-swap.
TRUE_TEXTS = frozenset(("true", "TRUE", "True", "1", "t", "T"))

# Every object becomes a tuple of its members: a dict would hide a key that stands twice.
_Members: TypeAlias = tuple[tuple[str, Any], ...]
_strict = json.JSONDecoder(object_pairs_hook=tuple)

_BYTE_ORDER_MARK = "\ufeff"
_OBJECT = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\n\r]*\{")
_WHITESPACE = " \t\n\r"
_SPACE = re.compile(f"[{_WHITESPACE}]*")


class BadBody(Exception):
    """The body cannot be used as JSON, and why."""


@attrs.frozen
class Named:
    """What a request says of itself."""

    model: str
    """Empty if it names none."""
    stream: bool


def find(body: bytes) -> Named:
    """Read `model` and `stream` at the top level of a JSON object; raise `BadBody`."""
    names = []
    streams = []
    for key, value in _members(body):
        if key == "model":
            names.append(value)
        elif key == "stream":
            streams.append(value)
    if len(names) > 1:
        raise BadBody('"model" stands twice in the request')
    name = names[0] if names else ""
    if not isinstance(name, str):
        raise BadBody(f'"model" must be a string, not {_kind(name)}')
    return Named(name, _is_true(streams[0]) if streams else False)


def looks_like_object(body: bytes) -> bool:
    """Say whether a body can only be meant as a JSON object, whatever its type is said to be.

    Also behind a byte order mark: `find` then says what is wrong with it.
    """
    return _OBJECT.match(body) is not None


def past_space(text: str, at: int) -> int:
    """Say where the white space that may begin there is over."""
    if text[at : at + 1] not in _WHITESPACE:
        return at
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _members(body: bytes) -> _Members:
    if len(body) > LARGE and _values(body) > MOST_VALUES:
        raise BadBody(f"the body holds more than {MOST_VALUES} lists, objects and commas")
    try:
        text = body.decode()
        value = _decoded(text)
    except UnicodeDecodeError as problem:
        raise BadBody(f"the body is not UTF-8: byte {problem.start} is wrong") from problem
    except json.JSONDecodeError as problem:
        if text.startswith(_BYTE_ORDER_MARK):
            raise BadBody("the body is not JSON: it begins with a byte order mark") from problem
        where = f"line {problem.lineno} column {problem.colno}"
        raise BadBody(f"the body is not JSON: {problem.msg} at {where}") from problem
    except RecursionError as problem:
        raise BadBody("the body is not usable JSON: nested too deeply") from problem
    except ValueError as problem:
        raise BadBody(f"the body is not usable JSON: {problem}") from problem
    if not isinstance(value, tuple):
        raise BadBody(f"the body must be a JSON object, not {_kind(value)}")
    return value


def _decoded(text: str) -> Any:
    # Not the decoder's `decode`: looking for white space where there is none costs a sixth more.
    start = 0 if text.startswith("{") else past_space(text, 0)
    value, end = _strict.raw_decode(text, start)
    if end != len(text) and (end := past_space(text, end)) != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def _values(body: bytes) -> int:
    """Count what could begin a value; in texts too, which is why the bound is generous."""
    return body.count(b"[") + body.count(b"{") + body.count(b",")


def _is_true(value: object) -> bool:
    match value:
        case bool() | int() | float():
            return value != 0
        case str():
            return value in TRUE_TEXTS
        case _:
            return False


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case tuple():
            return "an object"
        case _:
            return "a list"
