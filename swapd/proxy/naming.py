"""Which model a request means, and how another name is put in its place. Pure.

Rule 1: what is not rewritten keeps its bytes.
Rule 2: a body that we read differently from the model behind us would be a hole; so it is read
strictly, and refused with a sentence that says what is wrong.
"""

import json
from typing import Any

_decoder = json.JSONDecoder()

WHITESPACE = " \t\n\r"

# Reading a body holds up everybody. A long string costs little, but a million lists cost a good
# part of a second; so the bodies that could hold that many are looked through first. In bytes.
LARGE = 1024 * 1024
MOST_VALUES = 2_000_000


class BadBody(Exception):
    """The body does not say which model it is for."""


def find_model(body: bytes) -> str:
    """Answer with the value of `model` at the top level of a JSON object; raise `BadBody`."""
    names = [value for key, value in _members(body) if key == "model"]
    if not names:
        raise BadBody('the request names no model: "model" is missing')
    if len(names) > 1:
        raise BadBody('"model" stands twice in the request')
    [name] = names
    if not isinstance(name, str):
        raise BadBody(f'"model" must be a string, not {_kind(name)}')
    if not name:
        raise BadBody('"model" is empty')
    return name


def replace_model(body: bytes, name: str) -> bytes:
    """Put `name` where the model stands, in a body that `find_model` accepted."""
    text = body.decode()
    at = _skip(text, _skip(text, 0) + 1)
    while True:
        key, at = _decoder.raw_decode(text, at)
        start = _skip(text, _skip(text, at) + 1)
        _, at = _decoder.raw_decode(text, start)
        if key == "model":
            return (text[:start] + json.dumps(name) + text[at:]).encode()
        at = _skip(text, _skip(text, at) + 1)


def _members(body: bytes) -> list[tuple[str, Any]]:
    if len(body) > LARGE and _values(body) > MOST_VALUES:
        raise BadBody(f"the body holds more than {MOST_VALUES} lists, objects and commas")
    try:
        value = _strict.decode(body.decode())
    except UnicodeDecodeError as problem:
        raise BadBody(f"the body is not UTF-8: byte {problem.start} is wrong") from problem
    except json.JSONDecodeError as problem:
        where = f"line {problem.lineno} column {problem.colno}"
        raise BadBody(f"the body is not JSON: {problem.msg} at {where}") from problem
    except RecursionError as problem:
        raise BadBody("the body is not usable JSON: nested too deeply") from problem
    except ValueError as problem:
        raise BadBody(f"the body is not usable JSON: {problem}") from problem
    if not isinstance(value, _Members):
        raise BadBody(f"the body must be a JSON object, not {_kind(value)}")
    return value


class _Members(list[tuple[str, Any]]):
    """The members of one JSON object, in order."""


# Every object becomes its list of pairs: a dict would hide a key that stands twice.
_strict = json.JSONDecoder(object_pairs_hook=_Members)


def _values(body: bytes) -> int:
    """Count what could begin a value; in texts too, which is why the bound is generous."""
    return body.count(b"[") + body.count(b"{") + body.count(b",")


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
        case _Members():
            return "an object"
        case _:
            return "a list"


def _skip(text: str, at: int) -> int:
    while text[at] in WHITESPACE:
        at += 1
    return at
