"""The spelling of keys, and that the example shows them all."""

from pathlib import Path
from typing import Any

import attrs
import pytest

from swapd.config.load import load
from swapd.config.source import read
from swapd.config.values import Tree
from swapd.config.written import WrittenModel, WrittenSettings, keys

CONFIGS = Path(__file__).parents[2] / "configs"


def test_keys_are_spelled_as_in_llama_swap() -> None:
    """An existing file must be understood."""
    assert set(keys(WrittenModel).values()) == {
        *("cmd", "cmdStop", "proxy", "env", "checkEndpoint", "ttl", "unloadTimeout", "aliases"),
        *("name", "description", "unlisted", "useModelName"),
    }
    assert set(keys(WrittenSettings).values()) == {
        *("models", "healthCheckTimeout", "startPort", "globalTTL", "unloadTimeout", "logLevel"),
        "routing",
    }


@pytest.mark.parametrize("name", ["minimal.yaml", "example.yaml"])
def test_a_shipped_configuration_loads(name: str) -> None:
    """The first thing that somebody copies must work."""
    assert load([CONFIGS / name]).models


def test_the_minimal_configuration_is_minimal() -> None:
    """It is the answer to "what do I need at least"."""
    (model,) = read(CONFIGS / "minimal.yaml").tree["models"].values()  # type: ignore[union-attr]

    assert list(model) == ["cmd"]  # type: ignore[arg-type]


def test_the_example_names_every_key() -> None:
    """A key that is not in the example is a key that nobody finds."""
    tree = read(CONFIGS / "example.yaml").tree
    models = tree["models"]
    assert isinstance(models, dict)

    named = {key for model in models.values() if isinstance(model, dict) for key in model}
    assert set(keys(WrittenModel).values()) <= named
    assert _missing(WrittenSettings(), tree) == []


def _missing(written: Any, tree: Tree) -> list[str]:
    missing = []
    for name, key in keys(type(written)).items():
        value, below = getattr(written, name), tree.get(key)
        if key not in tree:
            missing.append(key)
        elif attrs.has(type(value)) and isinstance(below, dict):
            missing += _missing(value, below)
    return missing
