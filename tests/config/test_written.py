"""The keys themselves, and that the example shows them all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import attrs
import pytest

from swapd.config.hints import below
from swapd.config.keys import described, keys
from swapd.config.kinds import SchedulerKind
from swapd.config.load import load
from swapd.config.source import read
from swapd.config.values import Value
from swapd.config.written import WrittenSettings
from swapd.config.written_models import WrittenModel

CONFIGS = Path(__file__).parents[2] / "configs"

# Old spellings, which the example mentions in passing.
OLD = {"groups", "matrix", "strip_params", "path"}


def test_keys_are_spelled_as_in_llama_swap() -> None:
    """An existing file must be understood. The last two of a model's are ours, and the last."""
    assert set(keys(WrittenModel).values()) == {
        *("cmd", "cmdStop", "proxy", "aliases", "env", "checkEndpoint", "ttl", "unloadTimeout"),
        *("unlisted", "useModelName", "name", "description", "concurrencyLimit", "filters"),
        *("macros", "metadata", "sendLoadingState", "timeouts", "compat", "capabilities"),
        *("livenessInterval", "prefetch"),
    }
    assert set(keys(WrittenSettings).values()) == {
        *("healthCheckTimeout", "logRequests", "logLevel", "logTimeFormat", "logToStdout"),
        *("metricsMaxInMemory", "captureBuffer", "store", "ui", "performance", "globalTTL"),
        *("unloadTimeout", "models", "profiles", "selectors", "routing", "groups", "matrix"),
        *("macros", "startPort", "hooks", "sendLoadingState", "includeAliasesInList", "apiKeys"),
        *("peers", "upstream", "recordActivity"),
    }


def test_serial_is_the_default_and_fifo_the_other_word() -> None:
    """D1: strict arrival order, unless somebody asks for something else."""
    assert WrittenSettings().routing.scheduler.use is SchedulerKind.SERIAL
    assert [kind.value for kind in SchedulerKind] == ["serial", "fifo"]
    assert load([CONFIGS / "example.yaml"], {}).settings.scheduler is SchedulerKind.SERIAL


@pytest.mark.parametrize("name", ["minimal.yaml", "demo.yaml", "example.yaml"])
def test_a_shipped_configuration_loads(name: str) -> None:
    """The first thing that somebody copies must work, without a remark but what it shows off."""
    loaded = load([CONFIGS / name], {})

    assert loaded.settings.models
    assert [str(remark) for remark in loaded.remarks if "ignores" not in str(remark)] == []


def test_the_minimal_configuration_is_minimal() -> None:
    """It is the answer to "what do I need at least"."""
    (model,) = read(CONFIGS / "minimal.yaml").tree["models"].values()  # type: ignore[union-attr]

    assert list(model) == ["cmd"]  # type: ignore[arg-type]


def test_the_example_names_every_key() -> None:
    """A key that is not in the example is a key that nobody finds."""
    example = CONFIGS / "example.yaml"
    missing = set(_missing(WrittenSettings, [read(example).tree], ""))

    assert {path.rpartition(".")[2] for path in missing} <= OLD, missing
    for key in OLD:
        assert f"{key}:" in example.read_text(encoding="utf-8")


def test_the_example_shows_defaults_where_it_says_so() -> None:
    """ "With its default unless the text says otherwise" must not be a lie after a change."""
    tree = read(CONFIGS / "example.yaml").tree
    defaults = attrs.asdict(WrittenSettings(), recurse=False)
    for name, key in described(WrittenSettings).items():
        if isinstance(defaults[name], (int, str)):
            assert tree[key.spelling] == defaults[name], key.spelling


def _missing(cls: type[Any], shown: list[Value], path: str) -> Iterator[str]:
    """Name the keys of a class that none of several mappings has, and those inside them."""
    for field in attrs.fields(cls):
        key = keys(cls)[field.name]
        values = [tree[key] for tree in shown if isinstance(tree, dict) and key in tree]
        if not values:
            yield f"{path}.{key}"
            continue
        for inner, more in below(field.type):
            if more:  # A mapping of ids to what they have.
                values = [
                    one for value in values if isinstance(value, dict) for one in value.values()
                ]
            assert get_args(inner) == ()
            if any(isinstance(value, dict) for value in values):
                yield from _missing(inner, values, f"{path}.{key}{more}")
