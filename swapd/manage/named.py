"""Which model a path names."""

from swapd.engine import Engine
from swapd.ids import ModelId


def named(engine: Engine, name: str) -> ModelId | None:
    """Find a model by its id or an alias, one that was removed and still runs among them."""
    model = engine.settings.resolve(name)
    if model is None and name in engine.running():
        return ModelId(name)
    return model
