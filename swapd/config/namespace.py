"""Names: which may stand beside which, and which must stand for something.

Rule 1: a problem stands where the later of two names stands.
Rule 2: a peer's model may share its own name with anything local, which goes before it; its full
name, `<peer>/<model>`, is its alone.
"""

from collections.abc import Iterator

from swapd.config.draft import Draft, by_id
from swapd.config.kinds import Strategy
from swapd.config.names import PeerModel
from swapd.config.problems import KeyPath, Problem
from swapd.config.values import quoted
from swapd.config.written_routing import WrittenSelector


def aliases(draft: Draft) -> Iterator[Problem]:
    """Each alias belongs to one model, once."""
    # An alias that is also a model's id is no mistake: the id is found first, the alias never.
    owners: dict[str, str] = {}
    for own, model in draft.models():
        for position, alias in enumerate(model.aliases):
            if alias in owners:
                message = _duplicate(alias, owners[alias])
                yield Problem(("models", own, "aliases", position), message)
            owners.setdefault(alias, own)


def parameters_by_id(draft: Draft) -> Iterator[Problem]:
    """Whatever parameters are set for is the model's own name and nobody else's."""
    owners: dict[str, str] = {}
    for own, model in draft.models():
        for alias in model.aliases:
            owners.setdefault(alias, own)
    for own, model in sorted(draft.models()):
        path = ("models", own, "filters", "setParamsByID")
        for name in by_id(model):
            if name == own:
                continue
            if draft.model(name) is not None:
                message = f"{quoted(name)} conflicts with the id of another model"
                yield Problem(path, message, name)
            elif owners.setdefault(name, own) != own:
                yield Problem(path, _duplicate(name, owners[name]), name)


def _duplicate(alias: str, owner: str) -> str:
    return f"duplicate alias {quoted(alias)}, already one of {quoted(owner)}"


def peers(draft: Draft) -> Iterator[Problem]:
    """The full name of a peer's model is its alone."""
    full: dict[str, PeerModel] = {}
    for own, peer in sorted(draft.written.peers.items()):
        for position, model in enumerate(peer.models):
            one = PeerModel(own, model)
            other = full.setdefault(one.full_name, one)
            if other != one:
                message = (
                    f"{quoted(one.full_name)} could also be {quoted(other.model)} of the peer "
                    f"{quoted(other.peer)}"
                )
                yield Problem(("peers", own, "models", position), message)
    for path, key, name in _local_names(draft):
        if name in full:
            message = f"{quoted(name)} conflicts with the full name of a peer's model"
            yield Problem(path, message, key)


def _local_names(draft: Draft) -> Iterator[tuple[KeyPath, str | None, str]]:
    for own, model in draft.models():
        yield ("models",), own, own
        for position, alias in enumerate(model.aliases):
            yield ("models", own, "aliases", position), None, alias
        for name in by_id(model):
            yield ("models", own, "filters", "setParamsByID"), name, name
    for selector in draft.written.selectors:
        yield ("selectors",), selector, selector
    for name, profile in draft.written.profiles.items():
        for pin in profile.pins:
            yield ("profiles", name, "pins"), pin, pin


def selectors(draft: Draft) -> Iterator[Problem]:
    """A selector has a name of its own, a strategy, and targets that are there."""
    for own, selector in draft.written.selectors.items():
        if not own.strip():
            yield Problem(("selectors",), "a selector's name must not be blank", own)
        elif draft.model(own):
            yield Problem(("selectors",), f"{quoted(own)} conflicts with a model's id", own)
        elif owner := draft.names.local(own):
            message = f"{quoted(own)} conflicts with an alias of {quoted(owner)}"
            yield Problem(("selectors",), message, own)
        path = ("selectors", own)
        if selector.strategy is None:
            words = ", ".join(one.value for one in Strategy)
            yield Problem((*path, "strategy"), f"a selector needs a strategy: one of {words}")
        if not selector.targets:
            yield Problem((*path, "targets"), "a selector needs at least one target")
        yield from _targets(draft, selector, path)


def _targets(draft: Draft, selector: WrittenSelector, path: KeyPath) -> Iterator[Problem]:
    found: dict[object, None] = {}
    for position, target in enumerate(selector.targets):
        here = (*path, "targets", position)
        if target in draft.written.selectors:
            yield Problem(here, f"{quoted(target)} is a selector, which cannot be a target")
            continue
        one = draft.names.target(target)
        if one is None:
            yield Problem(here, _nothing(draft, target))
        elif selector.strategy is Strategy.WARM and isinstance(one, PeerModel):
            yield Problem(
                here, f"{quoted(target)} is a peer's; the strategy warm needs local models"
            )
        elif selector.strategy is Strategy.SPILLOVER and one in found:
            name = one.full_name if isinstance(one, PeerModel) else one
            yield Problem(here, f"{quoted(name)} is a target already")
        found[one] = None
    if selector.strategy is Strategy.SPILLOVER and selector.settings.spillover < 1:
        message = f"must be at least 1, got {selector.settings.spillover}"
        yield Problem((*path, "settings", "spillover"), message)


def profiles(draft: Draft) -> Iterator[Problem]:
    """A profile has pins, and each stands for something that is there, or for nothing."""
    for own, profile in draft.written.profiles.items():
        if not own.strip():
            yield Problem(("profiles",), "a profile's name must not be blank", own)
        path = ("profiles", own, "pins")
        if not profile.pins:
            yield Problem(path, "a profile needs at least one pin")
        for pin, target in profile.pins.items():
            if not pin.strip():
                yield Problem(path, "a pin's name must not be blank", pin)
            known = target in draft.written.selectors or not target or draft.names.target(target)
            if not known and target:
                yield Problem((*path, pin), _nothing(draft, target))


def _nothing(draft: Draft, name: str) -> str:
    if first := draft.names.contested.get(name):
        full = quoted(first.full_name)
        return f"several peers have a model {quoted(name)}: write {full} or another's"
    return f"there is no model {quoted(name)}, here or at a peer"
