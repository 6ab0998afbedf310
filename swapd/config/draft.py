"""A configuration whose types are right, as its rules look at it."""

from collections.abc import Iterator, Mapping

import attrs

from swapd.config.kinds import RouterKind
from swapd.config.names import Names
from swapd.config.problems import KeyPath
from swapd.config.written import WrittenSettings
from swapd.config.written_models import WrittenModel
from swapd.config.written_routing import WrittenGroup, WrittenMatrix
from swapd.ids import ModelId


@attrs.frozen
class Router:
    """What says which models may run side by side, wherever it was written."""

    kind: RouterKind
    groups: Mapping[str, WrittenGroup]
    matrix: WrittenMatrix | None
    path: KeyPath
    """What holds `groups` and `matrix`."""


@attrs.frozen
class Draft:
    """What a file says, and what follows from it that several rules ask for."""

    written: WrittenSettings
    ports: Mapping[str, int] = attrs.field(factory=dict)
    """The port that each model was given, if it was."""
    names: Names = attrs.field(init=False)
    router: Router = attrs.field(init=False)

    @names.default
    def _index(self) -> Names:
        return Names.of(
            {ModelId(own): [*model.aliases, *by_id(model)] for own, model in self.models()},
            {own: peer.models for own, peer in self.written.peers.items()},
        )

    @router.default
    def _choose(self) -> Router:
        written = self.written
        settings = written.routing.router.settings
        here: KeyPath = ("routing", "router", "settings")
        if written.matrix is not None:
            return Router(RouterKind.MATRIX, {}, written.matrix, ())
        if written.groups:
            return Router(RouterKind.GROUP, written.groups, None, ())
        if written.routing.router.use is RouterKind.MATRIX:
            return Router(RouterKind.MATRIX, {}, settings.matrix, here)
        return Router(RouterKind.GROUP, settings.groups, None, here)

    def models(self) -> Iterator[tuple[str, WrittenModel]]:
        """Go through the models."""
        yield from self.written.models.items()

    def model(self, name: str) -> ModelId | None:
        """Find a model by its id, and by nothing else."""
        return ModelId(name) if name in self.written.models else None

    def of_matrix(self, name: str) -> ModelId | None:
        """Find what an expression of the matrix means: a var, or else a model."""
        matrix = self.router.matrix
        return self.model(name if matrix is None else matrix.vars.get(name, name))


def by_id(model: WrittenModel) -> list[str]:
    """Name what a model sets parameters for; each of them is another name for it."""
    return sorted(model.filters.set_params_by_id)
