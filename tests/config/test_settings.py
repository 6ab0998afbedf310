"""The resolved configuration itself."""

import attrs

from swapd.config.settings import Model, Origin, Settings
from swapd.ids import ModelId


def settings(**aliases: tuple[str, ...]) -> Settings:
    """Make settings with models that have these aliases."""
    models = [
        Model(ModelId(id_), "x", ("x",), Origin("http", "h", 80), "http://h", aliases=names)
        for id_, names in aliases.items()
    ]
    return Settings({model.id: model for model in models})


def test_a_model_is_found_by_id_and_by_alias() -> None:
    """C203: a client may ask for either."""
    found = settings(model1=("m1",), model2=("m2", "m3"))

    assert [found.resolve(name) for name in ("model1", "m1", "m3")] == [
        *("model1", "model1", "model2")
    ]
    assert found.resolve("model3") is None
    assert found.resolve("M1") is None


def test_an_id_goes_before_an_alias_of_the_same_name() -> None:
    """C202: such an alias is dead, and the model that has it does not shadow the other."""
    found = settings(a=("b", "a"), b=())

    assert found.resolve("b") == "b"
    assert found.resolve("a") == "a"


def test_changed_settings_find_their_own_models() -> None:
    """The index belongs to the value that it was made for, and equality does not see it."""
    before = settings(a=("x",))
    after = attrs.evolve(before, models=settings(b=("x",)).models)

    assert (before.resolve("x"), after.resolve("x")) == ("a", "b")
    assert after == settings(b=("x",))


def test_an_origin_prints_as_an_address() -> None:
    """Messages name the model's address; IPv6 needs its brackets."""
    assert str(Origin("http", "localhost", 5800, "/api")) == "http://localhost:5800/api"
    assert str(Origin("http", "::1", 80)) == "http://[::1]:80"
