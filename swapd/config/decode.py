"""From a tree of plain values to the classes of `written.py`.

Rule 1: null leaves a default alone and empties a list; a null inside a list is dropped.
Rule 2: unknown keys are mistakes. So are models, peers, groups and profiles that are null, and
model ids that are not text.
Rule 3: all mistakes are found at once. What they spoil is left at its default, so that the rules
can look at the rest.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from types import UnionType
from typing import Any, get_args, get_origin

import attrs
from cattrs import BaseValidationError, Converter, IterableValidationError
from cattrs.errors import (
    AttributeValidationNote,
    ForbiddenExtraKeysError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, override

from swapd.config import fields
from swapd.config.durations import Duration
from swapd.config.fields import Mistake
from swapd.config.hints import meant
from swapd.config.keys import described, has_keys, keys
from swapd.config.kinds import CHOICES
from swapd.config.problems import KeyPath, Problem
from swapd.config.values import BareKey, Tree, Value, quoted, shown
from swapd.config.written import WrittenSettings
from swapd.config.written_models import WrittenModel
from swapd.config.written_routing import WrittenProfile

# Who has more unknown keys than this in one place has another program's file.
_HINTED = 20


def decode(tree: Tree) -> tuple[WrittenSettings, tuple[Problem, ...]]:
    """Decode a tree as far as it goes, and say what does not."""
    try:
        return _converter.structure(tree, WrittenSettings), ()
    except BaseValidationError as wrong:
        problems = tuple(_problems(wrong, ()))
    sound = _without({problem.subject for problem in problems}, tree, ())
    return _converter.structure(sound, WrittenSettings), problems


def _class_hook(cls: type[Any]) -> Callable[[Value, Any], Any]:
    spellings = keys(cls)
    options: dict[str, Any] = {name: override(rename=key) for name, key in spellings.items()}
    options |= {"_cattrs_forbid_extra_keys": True, "_cattrs_detailed_validation": True}
    structure = make_dict_structure_fn(cls, _converter, **options)
    # Only a list has something else to make of null than its default.
    dropped = {spellings[field.name] for field in attrs.fields(cls) if not _is_list(field.type)}
    named = {spellings[field.name] for field in attrs.fields(cls) if _is_choice(field.type)}

    def hook(value: Value, _: Any) -> Any:
        if cls is WrittenProfile and not isinstance(value, dict):
            # llama-swap's profiles were lists once.
            raise Mistake(f"expected a mapping with description and pins, got {shown(value)}")
        present = {
            key: below
            for key, below in _mapping(value).items()
            if not (key in dropped and below is None) and not (key in named and below == "")
        }
        return structure(present, cls)

    return hook


def _mapping_hook(cls: Any) -> Callable[[Value, Any], dict[str, Any]]:
    of = get_args(cls)[1]

    def hook(value: Value, _: Any) -> dict[str, Any]:
        return dict(_each(_mapping(value).items(), of))

    return hook


def _list_hook(cls: Any) -> Callable[[Value, Any], tuple[Any, ...]]:
    of = get_args(cls)[0]

    def hook(value: Value, _: Any) -> tuple[Any, ...]:
        if value is not None and not isinstance(value, list):
            raise Mistake(f"expected a list, got {shown(value)}")
        present = [(at, below) for at, below in enumerate(value or ()) if below is not None]
        return tuple(below for _, below in _each(present, of))

    return hook


def _each(steps: Iterable[tuple[str | int, Value]], of: Any) -> list[tuple[Any, Any]]:
    done: list[tuple[Any, Any]] = []
    wrong: list[Exception] = []
    for step, below in steps:
        try:
            if of is WrittenModel and isinstance(step, BareKey):
                raise Mistake(f"this key is not text: write {quoted(step)}, with the quotes")
            done.append((step, _converter.structure(below, of)))
        except (Mistake, BaseValidationError) as mistake:
            mistake.add_note(IterableValidationNote("", step, of))
            wrong.append(mistake)
    if wrong:
        raise IterableValidationError("", wrong, of)
    return done


def _mapping(value: Value) -> Tree:
    if not isinstance(value, dict):
        raise Mistake(f"expected a mapping, got {shown(value)}")
    return value


def _problems(wrong: BaseException, path: KeyPath) -> Iterator[Problem]:
    if isinstance(wrong, ForbiddenExtraKeysError):
        for position, key in enumerate(sorted(wrong.extra_fields)):
            hint = meant(key, wrong.cl) if position < _HINTED else ""
            yield Problem(path, f"unknown key {quoted(key)}{hint}", key)
    elif isinstance(wrong, BaseValidationError):
        for inner in wrong.exceptions:
            step = _step(inner, wrong.cl)
            for problem in _problems(inner, (*path, *step)):
                yield _discreet(problem) if _is_secret(wrong.cl, step) else problem
    else:
        yield Problem(path, str(wrong))


def _step(wrong: BaseException, cls: type[Any]) -> KeyPath:
    for note in getattr(wrong, "__notes__", ()):
        match note:
            case IterableValidationNote():
                return (note.index,)
            case AttributeValidationNote():
                return (keys(cls)[note.name],)
            case _:
                continue
    return ()


def _is_secret(cls: Any, step: KeyPath) -> bool:
    return has_keys(cls) and any(
        key.secret and (key.spelling,) == step for key in described(cls).values()
    )


def _discreet(problem: Problem) -> Problem:
    """Leave out what was found instead."""
    return attrs.evolve(problem, message=problem.message.partition(", got ")[0])


def _without(spoiled: set[KeyPath], value: Value, path: KeyPath) -> Value:
    """Copy a value without what is spoiled; in a list a null takes its place."""
    match value:
        case dict():
            return {
                key: _without(spoiled, below, (*path, key))
                for key, below in value.items()
                if (*path, key) not in spoiled
            }
        case list():
            return [
                None if (*path, at) in spoiled else _without(spoiled, below, (*path, at))
                for at, below in enumerate(value)
            ]
        case _:
            return value


def _is_list(cls: Any) -> bool:
    return get_origin(cls) is tuple


def _is_mapping(cls: Any) -> bool:
    return get_origin(cls) is Mapping


def _is_optional(cls: Any) -> bool:
    return isinstance(cls, UnionType)


def _is_switch(cls: Any) -> bool:
    return _is_optional(cls) and bool in get_args(cls) and any(map(_is_list, get_args(cls)))


def _is_choice(cls: Any) -> bool:
    return any(of in CHOICES for of in (get_args(cls) or (cls,)))


def _is_word(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Enum)


def _optional_hook(cls: Any) -> Callable[[Value, Any], Any]:
    of = next(one for one in get_args(cls) if one is not type(None))
    return lambda value, _: None if value is None else _converter.structure(value, of)


def _switch_hook(cls: Any) -> Callable[[Value, Any], Any]:
    of = next(one for one in get_args(cls) if _is_list(one))

    def hook(value: Value, _: Any) -> Any:
        if isinstance(value, list):
            return _converter.structure(value, of)
        return fields.boolean(value, expected="true, false or a list")

    return hook


def _word_hook(cls: Any) -> Callable[[Value, Any], Any]:
    return lambda value, _: fields.word(value, cls)


_converter = Converter()
_converter.register_structure_hook(str, lambda value, _: fields.text(value))
_converter.register_structure_hook(int, lambda value, _: fields.whole_number(value))
_converter.register_structure_hook(bool, lambda value, _: fields.boolean(value))
_converter.register_structure_hook(Duration, lambda value, _: fields.duration(value))
_converter.register_structure_hook_factory(_is_optional, _optional_hook)
_converter.register_structure_hook_factory(_is_switch, _switch_hook)
_converter.register_structure_hook_factory(_is_word, _word_hook)
_converter.register_structure_hook_factory(has_keys, _class_hook)
_converter.register_structure_hook_factory(_is_list, _list_hook)
_converter.register_structure_hook_factory(_is_mapping, _mapping_hook)
