"""What must hold between values.

Rule 1: a check looks at typed values, yields a problem for each that it does not like, and changes
nothing. Every check is in `CHECKS`, or in `NAMES` if it asks what names stand for.
Rule 2: what is wrong only with one model, peer or number is told here; what is wrong between names
in `namespace.py`, and between models that run side by side in `grouping.py`.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from swapd.config import grouping, namespace, store
from swapd.config.command import split
from swapd.config.draft import Draft
from swapd.config.expand import HIGHEST_PORT
from swapd.config.keys import described, has_keys
from swapd.config.origin import NoAddress, parse_endpoint, parse_origin
from swapd.config.patterns import NoPattern, compiled
from swapd.config.problems import KeyPath, Problem
from swapd.config.settings import HASHED_KEY
from swapd.config.values import quoted, text_of
from swapd.config.written_models import WrittenFilters

# More often than this, measuring is work.
SHORTEST_PERIOD = 5.0

_USER = re.compile(r"//[^/@]*@")
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_ENV = re.compile(r"[^\s=\x00]+=[^\x00]*", re.DOTALL)


def check(draft: Draft, *, names: bool = True) -> tuple[Problem, ...]:
    """Find everything that is wrong with a configuration whose types are right.

    Without `names`, what names stand for is not asked.
    """
    rules = CHECKS + NAMES if names else CHECKS
    return tuple(problem for rule in rules for problem in rule(draft))


def _bounds(draft: Draft) -> Iterator[Problem]:
    yield from _below(draft.written, ())


def _below(value: Any, path: KeyPath) -> Iterator[Problem]:
    if isinstance(value, Mapping):
        for step, below in value.items():
            yield from _below(below, (*path, step))
    elif has_keys(type(value)):
        for name, key in described(type(value)).items():
            below = getattr(value, name)
            if key.least is not None and below < key.least:
                message = f"must be at least {key.least}, got {below}"
                yield Problem((*path, key.spelling), message)
            yield from _below(below, (*path, key.spelling))


def _period(draft: Draft) -> Iterator[Problem]:
    every = draft.written.performance.every
    if every.seconds and every.seconds < SHORTEST_PERIOD:
        yield Problem(("performance", "every"), f"must be at least 5s, got {every.text}")


def _ids(draft: Draft) -> Iterator[Problem]:
    for model_id, _ in draft.models():
        if not model_id.strip():
            yield Problem(("models",), "a model's id must not be blank", model_id)


def _commands(draft: Draft) -> Iterator[Problem]:
    for own, model in draft.models():
        if not split(model.cmd):
            yield Problem(("models", own, "cmd"), "a model needs a command")
        for key, command in ("cmd", model.cmd), ("cmdStop", model.cmd_stop):
            if "\0" in command:
                yield Problem(("models", own, key), "no command can contain a NUL character")


def _env(draft: Draft) -> Iterator[Problem]:
    for own, model in draft.models():
        for position, entry in enumerate(model.env):
            if not _ENV.fullmatch(entry):
                # Not the entry itself: what has lost its name may be a secret.
                message = "expected NAME=value"
                yield Problem(("models", own, "env", position), message)


def _prefetch(draft: Draft) -> Iterator[Problem]:
    for own, model in draft.models():
        more = () if isinstance(model.prefetch, bool) else model.prefetch
        for position, path in enumerate(more):
            if not path or "\0" in path:
                yield Problem(("models", own, "prefetch", position), "expected a file's path")


def _ports(draft: Draft) -> Iterator[Problem]:
    for own, port in draft.ports.items():
        if port > HIGHEST_PORT:
            told = f"startPort is {draft.written.start_port}, the highest port {HIGHEST_PORT}"
            yield Problem(("models", own, "cmd"), f"its ${{PORT}} would be {port}: {told}")


def _addresses(draft: Draft) -> Iterator[Problem]:
    for own, model in draft.models():
        path = ("models", own)
        try:
            parse_endpoint(model.check_endpoint)
        except NoAddress as wrong:
            message = f"{quoted(model.check_endpoint)} is not a path: {wrong}"
            yield Problem((*path, "checkEndpoint"), message)
        sound = 1 <= draft.ports.get(own, 1) <= HIGHEST_PORT
        if model.proxy is not None and sound:  # else there is a problem already
            yield from _address(model.proxy, (*path, "proxy"))


def _address(address: str, path: KeyPath) -> Iterator[Problem]:
    try:
        parse_origin(address)
    except NoAddress as wrong:
        shown = _USER.sub("//***@", address)
        yield Problem(path, f"invalid proxy URL {quoted(shown)}: {wrong}")


def _peers(draft: Draft) -> Iterator[Problem]:
    for own, peer in draft.written.peers.items():
        path = ("peers", own)
        if peer.proxy:
            yield from _address(peer.proxy, (*path, "proxy"))
        else:
            yield Problem((*path, "proxy"), "a peer needs a proxy: the address where it answers")
        if not peer.models:
            yield Problem((*path, "models"), "a peer needs models: at least one name")


def _api_keys(draft: Draft) -> Iterator[Problem]:
    for position, key in enumerate(draft.written.api_keys):
        if not key:
            yield Problem(("apiKeys", position), "an API key must not be empty")
        elif " " in key:
            yield Problem(("apiKeys", position), "an API key must not contain spaces")
        elif key.startswith(HASHED_KEY) and not _HASH.fullmatch(key.removeprefix(HASHED_KEY)):
            expected = "expected 64 hexadecimal digits, the SHA-256 of the key, after sha256:"
            yield Problem(("apiKeys", position), expected)


def _patterns(draft: Draft) -> Iterator[Problem]:
    for position, pattern in enumerate(draft.written.upstream.ignore_paths):
        try:
            compiled(pattern)
        except NoPattern as wrong:
            message = f"invalid regular expression {quoted(pattern)}: {wrong}"
            yield Problem(("upstream", "ignorePaths", position), message)


def _store(draft: Draft) -> Iterator[Problem]:
    if draft.written.store is not None and (why := store.unusable(draft.written.store.path)):
        yield Problem(("store", "path"), why)


def _json(draft: Draft) -> Iterator[Problem]:
    """What is passed on as JSON can be."""
    written = draft.written
    for own, model in draft.models():
        yield from _unspeakable(model.metadata, ("models", own, "metadata"))
        yield from _unspeakable_params(model.filters, ("models", own, "filters"))
    for own, peer in written.peers.items():
        yield from _unspeakable_params(peer.filters, ("peers", own, "filters"))
    for own, selector in written.selectors.items():
        yield from _unspeakable(selector.metadata, ("selectors", own, "metadata"))


def _unspeakable_params(filters: WrittenFilters, path: KeyPath) -> Iterator[Problem]:
    yield from _unspeakable(filters.set_params, (*path, "setParams"))
    yield from _unspeakable(filters.set_params_by_id, (*path, "setParamsByID"))


def _unspeakable(value: Any, path: KeyPath) -> Iterator[Problem]:
    match value:
        case float() if not math.isfinite(value):
            yield Problem(path, f"JSON has no such number: {text_of(value)}")
        case Mapping():
            for key, below in value.items():
                yield from _unspeakable(below, (*path, key))
        case list() | tuple():
            for position, below in enumerate(value):
                yield from _unspeakable(below, (*path, position))
        case _:
            return


def _without_effect(draft: Draft) -> Iterator[Problem]:
    if not draft.written.performance.enable:
        message = "this turns nothing off; write disabled: true"
        yield Problem(("performance", "enable"), message)


CHECKS: tuple[Callable[[Draft], Iterator[Problem]], ...] = (
    _bounds,
    _period,
    _ids,
    _commands,
    _env,
    _prefetch,
    _ports,
    _addresses,
    _peers,
    _api_keys,
    _patterns,
    _store,
    _json,
    _without_effect,
    namespace.aliases,
    namespace.parameters_by_id,
    namespace.peers,
    grouping.one_place,
)

NAMES: tuple[Callable[[Draft], Iterator[Problem]], ...] = (
    namespace.selectors,
    namespace.profiles,
    grouping.groups,
    grouping.matrix,
    grouping.side_by_side,
    grouping.priorities,
)
