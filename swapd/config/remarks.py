"""What works, but hardly as it was meant.

llama-swap passes over these in silence. A file that runs there must run here, so they are no
mistakes; but somebody should know.

Rule 1: what is remarked is sure. Whoever is warned of what works reads no warning any more.
Rule 2: what a scheduler ignores is remarked once, as a whole.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import attrs

from swapd.config.draft import Draft
from swapd.config.expression import All, Either, Leaf, Node, can_contain
from swapd.config.grouping import DEFAULT_GROUP, matrix_sets
from swapd.config.kinds import LEVELS, TIME_FORMATS, SchedulerKind
from swapd.config.origin import parse_origin
from swapd.config.problems import Problem
from swapd.config.values import quoted
from swapd.config.written_routing import WrittenGroup
from swapd.ids import ModelId

# Where two servers that take the same port meet, whichever of these they are asked at.
_HERE = frozenset(("localhost", "127.0.0.1", "::1", "0.0.0.0", "::"))


def remarks(draft: Draft) -> tuple[Problem, ...]:
    """Say what is worth a second look in a configuration that `check` has nothing against."""
    serial = draft.written.routing.scheduler.use is SchedulerKind.SERIAL
    looks = LOOKS + (SERIAL if serial else FIFO)
    return tuple(remark for look in looks for remark in look(draft))


def without_keys(tree: Mapping[str, object], draft: Draft) -> Iterator[Problem]:
    """Say that keys were meant and none is left, in a configuration as it is written."""
    # From llama-swap: what is null in a list is not there.
    if tree.get("apiKeys") and not draft.written.api_keys:
        message = "there is no key in it, so everybody is let in: is a variable empty?"
        yield Problem(("apiKeys",), message)


def _words(draft: Draft) -> Iterator[Problem]:
    written = draft.written
    for key, word, words, otherwise in (
        ("logLevel", written.log_level, LEVELS, "info"),
        ("logTimeFormat", written.log_time_format, TIME_FORMATS, "no time"),
    ):
        if word.strip() and word.strip().lower() not in words:
            message = f"{quoted(word)} means {otherwise}; known are {', '.join(words)}"
            yield Problem((key,), message)


def _preload(draft: Draft) -> Iterator[Problem]:
    for position, name in enumerate(draft.written.hooks.on_startup.preload):
        if name.strip() and draft.names.local(name.strip()) is None:
            message = f"there is no model {quoted(name)}: nothing is loaded for it"
            yield Problem(("hooks", "on_startup", "preload", position), message)


def _dead_aliases(draft: Draft) -> Iterator[Problem]:
    for own, model in draft.models():
        for position, alias in enumerate(model.aliases):
            if draft.model(alias) is not None:
                message = f"{quoted(alias)} is a model's id, which goes before the alias"
                yield Problem(("models", own, "aliases", position), message)


def _unused_router(draft: Draft) -> Iterator[Problem]:
    for key, there in (("groups", draft.router.groups), ("matrix", draft.router.matrix)):
        if there:
            message = f"the scheduler serial has one model in memory and ignores {quoted(key)}"
            yield Problem(draft.router.path, message, key)


def _empty_groups(draft: Draft) -> Iterator[Problem]:
    for own, group in draft.router.groups.items():
        if not group.members:
            yield Problem((*draft.router.path, "groups", own), "without members it does nothing")


def _lonely(draft: Draft) -> Iterator[Problem]:
    """Names of the matrix for models that none of its sets has."""
    matrix = draft.router.matrix
    if matrix is None:
        return
    sets = matrix_sets(draft)
    told: set[ModelId] = set()
    for key, names in ("vars", matrix.vars), ("evict_costs", matrix.evict_costs):
        for name in names:
            model = draft.of_matrix(name)
            if model is None or model in told or can_contain(sets, frozenset((model,))):
                continue
            told.add(model)
            message = f"no set has {quoted(model)}, so it runs alone"
            yield Problem((*draft.router.path, "matrix", key), message, name)


def _groups_at_one_port(draft: Draft) -> Iterator[Problem]:
    """Groups that let models run side by side which cannot."""
    groups = {DEFAULT_GROUP: WrittenGroup(), **draft.router.groups}
    homes = {member: own for own, group in groups.items() for member in group.members}
    for port, models in _shared_ports(draft).items():
        crowds: dict[str, list[str]] = {own: [] for own in groups}
        for model in models:
            crowds[homes.get(model, DEFAULT_GROUP)].append(model)
        before: list[str] = []
        for own, crowd in crowds.items():
            if not crowd:
                continue
            path = (*draft.router.path, "groups", own)
            if len(crowd) > 1 and not groups[own].swap:
                yield Problem(path, f"{_clash(crowd, port)}: they cannot run side by side")
            for other in before:
                if _stays(groups[own], groups[other]) and _stays(groups[other], groups[own]):
                    both = _clash((crowd[0], crowds[other][0]), port)
                    message = f"{both}, and neither {quoted(own)} nor {quoted(other)} unloads"
                    yield Problem(path, f"{message} the other")
                    break
            before.append(own)


def _stays(running: WrittenGroup, loading: WrittenGroup) -> bool:
    """Say whether members of one group stay when one of another is loaded."""
    return running.persistent or not loading.exclusive


def _sets_at_one_port(draft: Draft) -> Iterator[Problem]:
    """Sets of the matrix that have models side by side which cannot be."""
    if draft.router.matrix is None:
        return
    ports = {model: port for port, models in _shared_ports(draft).items() for model in models}
    known: dict[int, _Choices] = {}
    for one in matrix_sets(draft):
        found = _choices(one.node, ports, known)
        for port, pair in found.meeting.items():
            never = "the set can never be loaded as a whole"
            so = never if found.hopeless else "they cannot run side by side"
            path = (*draft.router.path, "matrix", "sets", one.name)
            yield Problem(path, f"{_clash(pair, port)}: {so}")


@attrs.frozen
class _Choices:
    """What the choices that an expression stands for have of the models that share ports."""

    models: Mapping[int, frozenset[ModelId]]
    """Those that some choice has, by port."""
    always: frozenset[int]
    """Ports of which every choice has a model."""
    meeting: Mapping[int, tuple[ModelId, ModelId]]
    """Two that some choice has together, by port; not if another set has been told of them."""
    hopeless: bool
    """Whether every choice is known to have two of one port."""


def _choices(node: Node, ports: Mapping[ModelId, int], known: dict[int, _Choices]) -> _Choices:
    """Look at an expression, and at what it refers to before."""
    # Not `can_contain` of every pair: five hundred models at one port are too many pairs.
    if id(node) in known:
        return known[id(node)]
    match node:
        case Leaf(model):
            own = {ports[model]: frozenset((model,))} if model in ports else {}
            found = _Choices(own, frozenset(own), {}, hopeless=False)
        case Either(parts):
            below = [_choices(part, ports, known) for part in parts]
            found = _Choices(
                _joined(below),
                frozenset.intersection(*(one.always for one in below)),
                {port: pair for one in below for port, pair in one.meeting.items()},
                hopeless=all(one.hopeless for one in below),
            )
        case All(parts):
            found = _together([_choices(part, ports, known) for part in parts])
    known[id(node)] = attrs.evolve(found, meeting={})
    return found


def _together(below: list[_Choices]) -> _Choices:
    meeting = {port: pair for one in below for port, pair in one.meeting.items()}
    before: dict[int, set[ModelId]] = {}
    common: dict[int, frozenset[ModelId]] = {}
    for one in below:
        for port, models in one.models.items():
            met = before.setdefault(port, set())
            if met and port not in meeting and (met != models or len(models) > 1):
                first = min(met)
                second = min(models - {first}, default=first)
                meeting[port] = (max(met) if second == first else first, second)
            met |= models
        for port in one.always:
            # A choice has a single model of the port only if all parts can choose that one.
            common[port] = common.get(port, one.models[port]) & one.models[port]
    hopeless = any(one.hopeless for one in below) or not all(common.values())
    return _Choices(_joined(below), frozenset(common), meeting, hopeless)


def _joined(below: Iterable[_Choices]) -> dict[int, frozenset[ModelId]]:
    found: dict[int, set[ModelId]] = {}
    for one in below:
        for port, models in one.models.items():
            found.setdefault(port, set()).update(models)
    return {port: frozenset(models) for port, models in found.items()}


def _shared_ports(draft: Draft) -> dict[int, list[ModelId]]:
    """List the models of each port of this machine that several of them answer at."""
    found: dict[int, list[ModelId]] = {}
    for own, model in draft.models():
        if model.proxy is not None and (origin := parse_origin(model.proxy)).host in _HERE:
            found.setdefault(origin.port, []).append(ModelId(own))
    return {port: models for port, models in found.items() if len(models) > 1}


def _clash(models: Iterable[str], port: int) -> str:
    *others, last = map(quoted, models)
    return f"{', '.join(others)} and {last} share port {port} of this machine"


Looks = tuple[Callable[[Draft], Iterator[Problem]], ...]

LOOKS: Looks = (_words, _preload, _dead_aliases)

SERIAL: Looks = (_unused_router,)

FIFO: Looks = (_empty_groups, _groups_at_one_port, _lonely, _sets_at_one_port)
