"""What an operator may have meant by a key that is not known where it stands."""

import difflib
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, get_args, get_origin

import attrs

from swapd.config.keys import has_keys, keys
from swapd.config.merge import NOTE
from swapd.config.values import quoted
from swapd.config.written import WrittenSettings

# Nobody mistypes a longer key, and comparing takes time.
_LONGEST_TYPO = 40

# Alike enough to be a slip; "defs" is no "models".
_NEAR = 0.7

# More would be the whole documentation.
_SHOWN = 8


def meant(key: str, cls: type[Any]) -> str:
    """Continue "unknown key …": what was meant, where it belongs, or what there is."""
    known = sorted(keys(cls).values())
    typo = key.lower()[:_LONGEST_TYPO]
    spelled = {name.lower(): name for name in known}
    if typo in spelled:
        return f", did you mean {quoted(spelled[typo])}?"
    if belongs := _PLACES.get(key):
        return f"; it belongs {' or '.join(belongs)}"
    for near in difflib.get_close_matches(typo, spelled, n=1, cutoff=_NEAR):
        return f", did you mean {quoted(spelled[near])}?"
    nearest = difflib.get_close_matches(typo, spelled, n=_SHOWN, cutoff=0.0)
    more = ", …" if len(spelled) > _SHOWN else ""
    listed = f"; known here, nearest first: {', '.join(spelled[name] for name in nearest)}{more}"
    if cls is WrittenSettings:
        return f'{listed}; notes and anchors go under keys that begin with "{NOTE}"'
    return listed


def below(of: Any) -> Iterator[tuple[type[Any], str]]:
    """Find the classes of keys in the type of a field, and how a path goes on to them."""
    if has_keys(of):
        yield of, ""
    elif get_origin(of) is Mapping:
        yield from ((cls, f".<id>{more}") for cls, more in below(get_args(of)[1]))
    elif isinstance(of, UnionType):
        for one in get_args(of):
            yield from below(one)


def _places() -> Mapping[str, list[str]]:
    places: dict[str, list[str]] = {}

    def note(cls: type[Any], path: str) -> None:
        spellings = keys(cls)
        for field in attrs.fields(cls):
            spelling = spellings[field.name]
            here = f"under {path}" if path else "at the top"
            places.setdefault(spelling, []).append(here)
            for inner, more in below(field.type):
                note(inner, f"{path}.{spelling}{more}".lstrip("."))

    note(WrittenSettings, "")
    return places


_PLACES = _places()
"""Where each key belongs."""
