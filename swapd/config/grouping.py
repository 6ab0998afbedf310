"""Which models may run side by side: groups, the matrix, and what leans on them.

Rule 1: only what is in use is checked; the other router's settings may say anything.
"""

import re
from collections.abc import Iterator

from swapd.config.draft import Draft
from swapd.config.expression import Expression, Flaw, TooHard, can_contain, compile_sets
from swapd.config.kinds import RouterKind, Strategy
from swapd.config.ordering import naturally
from swapd.config.problems import KeyPath, Problem
from swapd.config.values import quoted
from swapd.config.written_routing import WrittenGroup
from swapd.ids import ModelId

# The group of all models that are in no other.
DEFAULT_GROUP = "(default)"

_VAR = re.compile(r"[a-zA-Z0-9.-]{1,32}")


def one_place(draft: Draft) -> Iterator[Problem]:
    """Groups and the matrix stand at their old place or at their new one."""
    written, router = draft.written, draft.written.routing.router
    places = (("groups", bool(written.groups)), ("matrix", written.matrix is not None))
    old = [key for key, there in places if there]
    settings = router.settings
    if old and (router.use or settings.matrix is not None or settings.groups):
        message = "stands beside routing.router: migrate it to routing.router.settings"
        yield from (Problem((), f"{quoted(key)} {message}", key) for key in old)
    elif len(old) == 2:
        yield Problem((), "cannot use both groups and matrix", "matrix")
    elif not old and router.use is RouterKind.MATRIX and settings.matrix is None:
        message = "the router matrix needs routing.router.settings.matrix"
        yield Problem(("routing", "router", "use"), message)


def groups(draft: Draft) -> Iterator[Problem]:
    """Every member is a model, and of one group only."""
    owners: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    for own, group in draft.router.groups.items():
        path = (*draft.router.path, "groups", own)
        if own == DEFAULT_GROUP:
            message = f"{DEFAULT_GROUP} is the group of all models that are in no other"
            yield Problem(path[:-1], message, own)
        for position, member in enumerate(group.members):
            here = (*path, "members", position)
            if draft.model(member) is None:
                yield Problem(here, _unknown(draft, member))
            elif owners.setdefault(member, own) != own:
                message = f"{quoted(member)} is in the group {quoted(owners[member])} already"
                yield Problem(here, message)
            elif (own, member) in seen:
                yield Problem(here, f"duplicate member {quoted(member)}")
            seen.add((own, member))


def matrix(draft: Draft) -> Iterator[Problem]:
    """Every name in the matrix stands for a model, and every expression can be understood."""
    found = draft.router.matrix
    if found is None:
        return
    path = (*draft.router.path, "matrix")
    for var, model in found.vars.items():
        if not _VAR.fullmatch(var):
            message = "a var's name must be of 1 to 32 letters, digits, - and ."
            yield Problem((*path, "vars"), message, var)
        if draft.model(model) is None:
            yield Problem((*path, "vars", var), _unknown(draft, model))
    for name, cost in found.evict_costs.items():
        if cost < 1:
            yield Problem((*path, "evict_costs", name), f"must be at least 1, got {cost}")
        if name not in found.vars and draft.model(name) is None:
            yield Problem((*path, "evict_costs"), _no_var(name), name)
    if not found.sets:
        yield Problem((*path, "sets"), "a matrix needs at least one set")
    _, flaws = _compiled(draft)
    # A var that stands for nothing is told above.
    told = {_no_var(var) for var in found.vars}
    for flaw in flaws:
        if flaw.message not in told:
            yield Problem((*path, "sets", flaw.name), flaw.message)


def side_by_side(draft: Draft) -> Iterator[Problem]:
    """The local targets of a spillover can all be loaded at once."""
    expressions = matrix_sets(draft)
    owners = {
        member: (own, group)
        for own, group in draft.router.groups.items()
        for member in group.members
    }
    for own, selector in draft.written.selectors.items():
        found = {name: draft.names.local(name) for name in selector.targets}
        local = {model: name for name, model in found.items() if model is not None}
        if selector.strategy is Strategy.SPILLOVER and len(local) > 1:
            path = ("selectors", own, "targets")
            if draft.router.kind is RouterKind.MATRIX:
                yield from _in_one_set(frozenset(local), expressions, path)
            else:
                yield from _in_one_group([owners.get(model) for model in local], path)


def _in_one_set(
    models: frozenset[ModelId], expressions: tuple[Expression, ...], path: KeyPath
) -> Iterator[Problem]:
    try:
        # Without expressions the matrix has a problem of its own.
        if expressions and not can_contain(expressions, models):
            yield Problem(path, "the targets must all appear together in one set of the matrix")
    except TooHard:
        yield Problem(path, "these targets are too many to find them in the matrix")


def _in_one_group(
    owners: "list[tuple[str, WrittenGroup] | None]", path: KeyPath
) -> Iterator[Problem]:
    first, *others = owners
    if first is None or first[1].swap:
        yield Problem(path, "the targets must share a group with swap: false")
    elif any(other is None or other[0] != first[0] for other in others):
        yield Problem(path, "the targets must share one group")


def priorities(draft: Draft) -> Iterator[Problem]:
    """Whatever has a priority is a model."""
    for name in draft.written.routing.scheduler.settings.fifo.priority:
        if draft.names.local(name) is None:
            path = ("routing", "scheduler", "settings", "fifo", "priority")
            yield Problem(path, f"there is no model {quoted(name)}", name)


def matrix_sets(draft: Draft) -> tuple[Expression, ...]:
    """Compile the expressions in use; none if one of them cannot be understood."""
    return _compiled(draft)[0]


def _compiled(draft: Draft) -> tuple[tuple[Expression, ...], tuple[Flaw, ...]]:
    if draft.router.matrix is None:
        return (), ()
    return compile_sets(dict(naturally(draft.router.matrix.sets)), draft.of_matrix)


def _unknown(draft: Draft, name: str) -> str:
    if owner := draft.names.local(name):
        return f"{quoted(name)} is an alias; write the id, {quoted(owner)}"
    return f"there is no model {quoted(name)}"


def _no_var(name: str) -> str:
    return f"unknown var or model {quoted(name)}"
