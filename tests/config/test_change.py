"""What a new configuration means for the models of the old one."""

from typing import Any

import attrs
import pytest

from swapd.config.change import Changes, compare, same_process
from swapd.config.settings import Model, Origin, Settings
from swapd.ids import ModelId

OTHER = Origin("http", "127.0.0.1", 10)

# A value that differs from `model`'s, for everything that a process was started with.
RESTARTS = {
    "argv": ("server", "--new"),
    "env": ("A=2",),
    "origin": OTHER,
    "proxy": "http://localhost:9",
    "check_endpoint": None,
    "stop_argv": ("kill", "${PID}"),
}

# Everything else of a model is what swapd does by itself.
GOES_ON = [
    field.alias
    for field in attrs.fields(Model)
    if field.init and field.alias not in {"id", *RESTARTS}
]


def model(own: str, **different: Any) -> Model:
    """Make a model of this id that differs from the usual in these."""
    origin = Origin("http", "127.0.0.1", 9)
    usual = Model(ModelId(own), "server", ("server",), origin, str(origin), env=("A=1",))
    return attrs.evolve(usual, **different)


def settings(*models: Model) -> Settings:
    """Make settings with these models, in this order."""
    return Settings({each.id: each for each in models})


@pytest.mark.parametrize("field", RESTARTS)
def test_what_a_process_was_started_with_restarts_it(field):
    """It would go on as something that is configured nowhere any more."""
    assert not same_process(model("a"), model("a", **{field: RESTARTS[field]}))


@pytest.mark.parametrize("field", GOES_ON)
def test_what_swapd_does_by_itself_restarts_nothing(field):
    """A new description must not cost a minute of loading."""
    assert same_process(model("a"), model("a", **{field: object()}))


def test_an_equal_definition_of_another_object_is_the_same():
    """Every reload makes new objects."""
    assert same_process(model("a"), model("a"))


def test_another_model_is_never_the_same_process():
    """Also when two are written alike."""
    assert not same_process(model("a"), model("b"))


def test_every_model_of_either_is_named_once_and_sorted():
    """The order in the file says nothing about a change."""
    old = settings(*(model(name) for name in "hgfedcba"))
    new = settings(
        *(model(name, ttl=5.0) for name in "ba"),
        *(model(name, argv=("new",)) for name in "dc"),
        *(model(name) for name in "zyfe"),
    )
    assert compare(old, new) == Changes(
        unchanged=tuple(map(ModelId, "abef")),
        restart=tuple(map(ModelId, "cd")),
        removed=tuple(map(ModelId, "gh")),
        added=tuple(map(ModelId, "yz")),
    )


def test_the_same_configuration_changes_nothing():
    """A file that was only touched."""
    both = settings(model("b"), model("a"))
    assert compare(both, both) == Changes(unchanged=(ModelId("a"), ModelId("b")))
