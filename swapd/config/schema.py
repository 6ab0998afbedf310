"""The JSON Schema of configuration files, made from the classes of `written.py`.

For editors, which complete and check with it; swapd itself never reads it.

Rule 1: whatever the loader takes passes, as far as a schema can say; a macro may stand for any
scalar, and a null for the default.
"""

from collections.abc import Mapping
from enum import Enum
from types import UnionType
from typing import Any, get_args, get_origin

import attrs

from swapd.config.durations import PART, Duration
from swapd.config.fields import FALSE, TRUE
from swapd.config.keys import Key, described, has_keys
from swapd.config.kinds import CHOICES
from swapd.config.merge import NOTE
from swapd.config.written import WrittenSettings

Schema = dict[str, Any]

_MACRO: Schema = {"type": "string", "pattern": r"\$\{[^}]+\}"}
_NOTHING: Schema = {"const": ""}
_NULL: Schema = {"type": "null"}
_DURATION = rf"^[-+]?({PART})+$|^[-+]?0$"
_NOTES: Schema = {f"^{NOTE}": True}


def schema() -> Schema:
    """Make the schema, in draft 7 of the language, which every editor knows."""
    definitions: dict[str, Schema] = {}
    whole = _class(WrittenSettings, definitions)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "swapd configuration",
        **whole,
        "definitions": dict(sorted(definitions.items())),
    }


def _class(cls: type[Any], definitions: dict[str, Schema]) -> Schema:
    keys = described(cls)
    properties = {
        keys[field.name].spelling: _property(field, keys[field.name], definitions)
        for field in attrs.fields(cls)
    }
    required = [key.spelling for key in keys.values() if key.required]
    return {
        "type": "object",
        "description": _sentence(cls),
        "properties": properties,
        "patternProperties": _NOTES,
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _property(field: "attrs.Attribute[Any]", key: Key, definitions: dict[str, Schema]) -> Schema:
    described_: Schema = {"description": key.says}
    plain = _plain(field.default)
    if plain is not None:
        described_["default"] = plain
    if key.words:
        # Others do no harm, so they are no mistake; an editor offers the known ones.
        return {**described_, "anyOf": [{"enum": list(key.words)}, *_text()["anyOf"]]}
    return {**described_, **_type(field.type, definitions, least=key.least)}


def _type(of: Any, definitions: dict[str, Schema], *, least: int | None = None) -> Schema:
    if has_keys(of):
        if _name(of) not in definitions:
            definitions[_name(of)] = {}  # Holds the place; no class holds itself.
            definitions[_name(of)] = _class(of, definitions)
        return {"anyOf": [{"$ref": f"#/definitions/{_name(of)}"}, _NULL]}
    if isinstance(of, UnionType):
        inner = [_type(one, definitions) for one in get_args(of) if one is not type(None)]
        return inner[0] if len(inner) == 1 else {"anyOf": inner}
    if get_origin(of) is tuple:
        return {"type": ["array", "null"], "items": _type(get_args(of)[0], definitions)}
    if get_origin(of) is Mapping:
        return _mapping(get_args(of)[1], definitions)
    return _scalar(of, least)


def _mapping(of: Any, definitions: dict[str, Schema]) -> Schema:
    if of is Any:
        return {"type": ["object", "null"]}
    if isinstance(of, UnionType) and get_origin(get_args(of)[0]) is Mapping:
        # Names of the operator's own, none of which is a note.
        return {"type": ["object", "null"], "additionalProperties": _type(of, definitions)}
    if has_keys(of):
        # An entry that is a null is a mistake, and one that begins like a note is one.
        _type(of, definitions)
        entry = {"$ref": f"#/definitions/{_name(of)}"}
        return {
            "type": ["object", "null"],
            "patternProperties": _NOTES,
            "additionalProperties": entry,
        }
    return {"type": ["object", "null"], "additionalProperties": _type(of, definitions)}


def _scalar(of: Any, least: int | None) -> Schema:
    if of is str:
        return _text()
    if of is bool:
        words = sorted(TRUE | FALSE)
        return {"anyOf": [{"type": "boolean"}, {"enum": words}, _MACRO, _NULL]}
    if of is int:
        number: Schema = {"type": "number"}
        if least is not None:
            number["minimum"] = least
        return {"anyOf": [number, _MACRO, _NULL]}
    if of is Duration:
        return {"anyOf": [{"type": "string", "pattern": _DURATION}, _MACRO, _NULL]}
    assert issubclass(of, Enum)
    choices = [{"enum": [word.value for word in of]}, *([_NOTHING] if of in CHOICES else [])]
    return {"anyOf": [*choices, _MACRO, _NULL]}


def _text() -> Schema:
    return {"anyOf": [{"type": ["string", "number", "boolean", "null"]}]}


def _plain(default: Any) -> Any:
    match default:
        case Enum():
            return default.value
        case Duration():
            return default.text
        case tuple():
            return [_plain(one) for one in default]
        case str() | int() | bool():
            return default
        case _:
            return None


def _name(cls: type[Any]) -> str:
    return cls.__name__.removeprefix("Written")


def _sentence(cls: type[Any]) -> str:
    return (cls.__doc__ or "").strip()
