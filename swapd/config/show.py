"""A configuration as it was understood, for people to look at.

Rule 1: it is spelled like a file, and means the same when it is read as one.
Rule 2: secrets are masked, wherever they have got to: keys, variables of the environment that are
called one, and the same text in a command.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from swapd.config.durations import Duration
from swapd.config.keys import described, has_keys
from swapd.config.values import Tree, Value, plain, text_of
from swapd.config.written import WrittenSettings

MASK = "***"

# A variable whose name has one of these is masked.
_SECRET_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL")

# Shorter texts occur anywhere by chance.
_SHORTEST = 6

# Filled in already, or without effect.
_LEFT_OUT = frozenset(("macros", "strip_params", "logRequests", "enable"))


def as_tree(written: WrittenSettings) -> Tree:
    """Spell a resolved configuration as the keys of a file, with secrets masked."""
    secrets = {secret for secret in _secrets(written) if len(secret) >= _SHORTEST}
    # The longest first: one secret may be the beginning of another.
    tree = _masked(_spelled(written), sorted(secrets, key=len, reverse=True))
    assert isinstance(tree, dict)
    return tree


def as_yaml(tree: Tree) -> str:
    """Write a tree as YAML; texts of several lines in blocks."""
    yaml = YAML()
    yaml.width = 10_000  # Only the operator knows where a command may be broken.
    stream = io.StringIO()
    yaml.dump(_in_blocks(tree), stream)
    return stream.getvalue()


def _spelled(value: Any) -> Value:
    match value:
        case Duration(text=text):
            return text
        case Enum(value=word):
            return str(word)
        case Mapping():
            return {str(key): _spelled(below) for key, below in value.items()}
        case tuple() | list():
            return [_spelled(below) for below in value]
        case _ if has_keys(type(value)):
            return dict(_keys(value))
        case _:
            scalar: Value = value
            return scalar


def _keys(value: Any) -> Iterator[tuple[str, Value]]:
    for name, key in described(type(value)).items():
        below = getattr(value, name)
        if below is None or key.spelling in _LEFT_OUT:
            continue
        if key.secret and below:
            yield key.spelling, MASK if isinstance(below, str) else [MASK for _ in below]
        elif key.spelling == "env":
            yield key.spelling, [_without_secret(entry) for entry in below]
        else:
            yield key.spelling, _spelled(below)


def _without_secret(entry: str) -> str:
    name, _, _ = entry.partition("=")
    return f"{name}={MASK}" if _is_secret(name) else entry


def _is_secret(name: str) -> bool:
    return any(word in name.upper() for word in _SECRET_NAMES)


def _secrets(written: WrittenSettings) -> Iterator[str]:
    yield from written.api_keys
    yield from (peer.api_key for peer in written.peers.values())
    for model in written.models.values():
        for entry in model.env:
            name, _, value = entry.partition("=")
            if _is_secret(name):
                yield value


def _masked(value: Value, secrets: Sequence[str]) -> Value:
    match value:
        case str():
            return _without(value, secrets)
        case dict():
            return {
                _without(key, secrets): _masked(below, secrets) for key, below in value.items()
            }
        case list():
            return [_masked(below, secrets) for below in value]
        case int() | float() if text_of(value) in secrets:
            return MASK
        case _:
            return value


def _without(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def _in_blocks(value: Value) -> Any:
    match value:
        case str() if "\n" in value and value.replace("\n", "").isprintable():
            return LiteralScalarString(value)
        case str():
            return _in_quotes(value)
        case dict():
            return {_in_quotes(key): _in_blocks(below) for key, below in value.items()}
        case list():
            return [_in_blocks(below) for below in value]
        case _:
            return value


def _in_quotes(text: str) -> str:
    # What ruamel writes without quotes may be a number to us, or a line end.
    safe = plain(text) == text and text.isprintable()
    return text if safe else DoubleQuotedScalarString(text)
