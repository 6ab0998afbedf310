"""How a class of `written.py` describes its keys."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

FILLED_IN: Final[Mapping[str, Any]] = MappingProxyType({})
"""The default of every key that holds a mapping."""

_KEY = "key"

_DESCRIBED: dict[type, dict[str, "Key"]] = {}


@attrs.frozen
class Key:
    """One key of the file."""

    spelling: str
    says: str
    """What it is for, in a sentence or two, for people."""
    least: int | None
    """The lowest number that it takes."""
    words: tuple[str, ...]
    """The words that mean something; others do no harm."""
    required: bool
    """Whether nothing works without it; the rules say so, in words of their own."""
    secret: bool
    """Whether its value must not be shown."""


def key(
    default: Any,
    says: str,
    *,
    spelled: str | None = None,
    least: int | None = None,
    words: tuple[str, ...] = (),
    required: bool = False,
    secret: bool = False,
) -> Any:
    """Make an attribute of a key; its spelling is the attribute's in camelCase unless told."""
    about = Key(spelled or "", says, least, words, required, secret)
    return attrs.field(default=default, metadata={_KEY: about})


def has_keys(cls: Any) -> bool:
    """Say whether something is a class whose attributes are keys."""
    return attrs.has(cls) and all(_KEY in field.metadata for field in attrs.fields(cls))


def described(cls: type[Any]) -> dict[str, Key]:
    """Describe the keys of a class, by attribute."""
    if cls not in _DESCRIBED:
        _DESCRIBED[cls] = _described(cls)
    return _DESCRIBED[cls]


def _described(cls: type[Any]) -> dict[str, Key]:
    return {
        field.name: field.metadata[_KEY]
        if field.metadata[_KEY].spelling
        else attrs.evolve(field.metadata[_KEY], spelling=_camel(field.name))
        for field in attrs.fields(cls)
    }


def keys(cls: type[Any]) -> dict[str, str]:
    """Name the keys of a class: from attribute to the spelling of the file."""
    return {name: key.spelling for name, key in described(cls).items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
