"""Selectors: names that stand for one of several models. What each strategy does is llama-swap's.

Rule 1: choosing is pure; only the counts of `spillover` are remembered, and only while requests
that came through the selector are under way.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import attrs

from swapd.config.kinds import Strategy
from swapd.config.settings import Selector, Settings
from swapd.ids import ModelId
from swapd.schedule.phase import Phase


class NoTarget(Exception):
    """Every target is on its way out."""


@attrs.frozen
class Target:
    """One of a selector's targets, as it stands."""

    name: str
    """As the selector spells it, which is what the request is made to say."""
    counted: str
    """What its requests are counted by: the model, whatever it is called."""
    phase: Phase | None
    """None for a peer's model."""


@attrs.define
class _Counts:
    """What a `spillover` selector remembers."""

    serving: Counter[str] = attrs.field(factory=Counter)
    turns: int = 0
    """How often the least busy was chosen, for ties."""


@attrs.define
class Selectors:
    """Chooses targets; `phase` says where a local model stands."""

    phase: Callable[[ModelId], Phase]
    _counts: dict[str, _Counts] = attrs.field(factory=dict)

    @contextmanager
    def chosen(self, name: str, settings: Settings, *, websocket: bool) -> Iterator[str]:
        """Answer with the target for a request, or with the name itself if it is no selector.

        The request counts until the context is left. Raises `NoTarget`.
        """
        selector = settings.selectors.get(name)
        if selector is None:
            yield name
            return
        targets = [self._target(target, settings) for target in selector.targets]
        if selector.strategy is not Strategy.SPILLOVER:
            yield choose(selector, targets).name
            return
        counts = self._counts.setdefault(name, _Counts())
        target, tie = spill(targets, counts.serving, selector.spillover, counts.turns)
        counts.turns += tie
        if websocket and _overlooks(target, settings):
            yield target.name
            return
        counts.serving[target.counted] += 1
        try:
            yield target.name
        finally:
            counts.serving[target.counted] -= 1

    def _target(self, name: str, settings: Settings) -> Target:
        local = settings.resolve(name)
        if local is not None:
            return Target(name, local, self.phase(local))
        remote = settings.names.remote(name)
        return Target(name, remote.full_name if remote else name, None)


def choose(selector: Selector, targets: Sequence[Target]) -> Target:
    """Choose by `pin` or `warm`."""
    if selector.strategy is Strategy.WARM:
        for wanted in (Phase.READY, Phase.STARTING):
            for target in targets:
                if target.phase is wanted:
                    return target
    return targets[0]


def spill(
    targets: Sequence[Target], serving: Counter[str], limit: int, turn: int
) -> tuple[Target, bool]:
    """Choose by `spillover`; answer also whether `turn` decided, which then goes on by one.

    1. nothing is in use: the first that is cold;
    2. the least busy of those in use has room: that;
    3. there is a cold one: the first;
    4. the least busy of those in use, though it is full.
    """
    here = [target for target in targets if target.phase not in (Phase.STOPPING, Phase.FAILED)]
    active = [
        target
        for target in here
        if target.phase in (Phase.READY, Phase.STARTING) or serving[target.counted] > 0
    ]
    cold = [target for target in here if target not in active]
    least = min((serving[target.counted] for target in active), default=limit)
    if cold and (not active or least >= limit):
        return cold[0], False  # 1, 3
    if not active:
        raise NoTarget
    idlest = [target for target in active if serving[target.counted] == least]
    return idlest[turn % len(idlest)], True  # 2, 4


def _overlooks(target: Target, settings: Settings) -> bool:
    """Whether the target's model does not count its websockets."""
    model = settings.models.get(ModelId(target.counted))
    return target.phase is not None and model is not None and model.ignore_websockets
