"""A configuration as it was understood, for people to look at.

Rule 1: it is spelled like a file, and means the same when it is read as one.
Rule 2: secrets are masked (`secrets.py`): keys, whatever is called one, and the same text
elsewhere.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from swapd.config.durations import Duration
from swapd.config.keys import described, has_keys
from swapd.config.secrets import MASK, Secrets, hidden_options, names_secret
from swapd.config.values import Tree, Value, plain
from swapd.config.written import WrittenSettings

# What is the operator's own.
_FREE = frozenset(("metadata", "setParams", "setParamsByID"))

# Filled in already, or without effect.
_LEFT_OUT = frozenset(("macros", "strip_params", "logRequests", "enable"))


def as_tree(written: WrittenSettings, hide: Iterable[str] = ()) -> Tree:
    """Spell a resolved configuration as the keys of a file, without secrets; `hide` has more."""
    tree = _spelled(written)
    secrets = Secrets([*hide, *_secrets(written)]).within("\0".join(_texts(tree)))
    masked = _masked(tree, secrets)
    assert isinstance(masked, dict)
    return masked


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
            yield key.spelling, [_entry(entry) for entry in below]
        elif key.spelling in ("cmd", "cmdStop"):
            yield key.spelling, hidden_options(below)
        elif key.spelling in _FREE:
            yield key.spelling, _data(below)
        else:
            yield key.spelling, _spelled(below)


def _entry(entry: str) -> str:
    name, _, _ = entry.partition("=")
    return f"{name}={MASK}" if names_secret(name) else entry


def _data(value: Any) -> Value:
    """Spell what is the operator's own; a text that is called a secret is one."""
    match value:
        case Mapping():
            return {
                key: MASK if isinstance(below, str) and names_secret(key) else _data(below)
                for key, below in value.items()
            }
        case tuple() | list():
            return [_data(below) for below in value]
        case _:
            scalar: Value = value
            return scalar


def _secrets(written: WrittenSettings) -> Iterator[str]:
    yield from written.api_keys
    yield from (peer.api_key for peer in written.peers.values())
    for model in written.models.values():
        for entry in model.env:
            name, _, value = entry.partition("=")
            if names_secret(name):
                yield value


def _texts(value: Value) -> Iterator[str]:
    match value:
        case dict():
            for key, below in value.items():
                yield key
                yield from _texts(below)
        case list():
            for below in value:
                yield from _texts(below)
        case str():
            yield value
        case _:
            return


def _masked(value: Value, secrets: Secrets) -> Value:
    match value:
        case dict():
            return {secrets.hidden(key): _masked(below, secrets) for key, below in value.items()}
        case list():
            return [_masked(below, secrets) for below in value]
        case str():
            return secrets.hidden(value)
        case _:
            return value  # A number that is some secret's, too, is so by chance.


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
