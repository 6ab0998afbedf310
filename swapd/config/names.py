"""What a name stands for.

Rule 1: a model's id goes before an alias, and what is local before a peer's.
Rule 2: a peer's model can be asked for by `<peer>/<model>`, and by its own name as long as one
peer has it. Both parts may hold slashes; the whole is compared, never split.
"""

from collections.abc import Iterable, Mapping
from itertools import chain

import attrs

from swapd.ids import ModelId


@attrs.frozen
class PeerModel:
    """A model that a peer answers for."""

    peer: str
    model: str

    @property
    def full_name(self) -> str:
        """Name it so that no other can be meant."""
        return f"{self.peer}/{self.model}"


@attrs.frozen
class Names:
    """All names of local models and of peers' models."""

    ids: frozenset[str]
    aliases: Mapping[str, ModelId]
    full: Mapping[str, PeerModel]
    """By full name; one that two could be meant by is missing."""
    bare: Mapping[str, PeerModel]
    """By the peer's own name; one that several have is missing."""
    contested: Mapping[str, PeerModel]
    """The names that several peers have, each with the first of them."""
    longest: int = attrs.field(init=False)
    """The length of the longest name, in characters; 0 if there is none."""

    @longest.default
    def _longest(self) -> int:
        known = chain(self.ids, self.aliases, self.full, self.bare)
        return max(map(len, known), default=0)

    @classmethod
    def of(
        cls, models: Mapping[ModelId, Iterable[str]], peers: Mapping[str, Iterable[str]]
    ) -> "Names":
        """Index the aliases of models and the models of peers."""
        aliases: dict[str, ModelId] = {}
        for own, others in models.items():
            for alias in others:
                # Of two models with one alias the first has it; `namespace.py` lets none through.
                aliases.setdefault(alias, own)
        offered = {
            PeerModel(peer, model): None for peer, models in peers.items() for model in models
        }
        full, _ = _sorted_out((one.full_name, one) for one in offered)
        bare, contested = _sorted_out((one.model, one) for one in offered)
        return cls(frozenset(models), aliases, full, bare, contested)

    def local(self, name: str) -> ModelId | None:
        """Find a local model by its id or an alias."""
        return ModelId(name) if name in self.ids else self.aliases.get(name)

    def remote(self, name: str) -> PeerModel | None:
        """Find a peer's model, whatever is local."""
        return self.full.get(name) or self.bare.get(name)

    def target(self, name: str) -> ModelId | PeerModel | None:
        """Find what is served for a name, here or elsewhere."""
        return self.local(name) or self.remote(name)


def _sorted_out(
    named: Iterable[tuple[str, PeerModel]],
) -> tuple[dict[str, PeerModel], dict[str, PeerModel]]:
    """Part the names that one has from those that several have."""
    found: dict[str, PeerModel] = {}
    contested: dict[str, PeerModel] = {}
    for name, one in named:
        if found.setdefault(name, one) is not one:
            contested[name] = found[name]
    return {name: one for name, one in found.items() if name not in contested}, contested
