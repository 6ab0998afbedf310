"""What is inherited, clamped and translated."""

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from swapd.config.draft import Draft
from swapd.config.durations import Duration
from swapd.config.kinds import RouterKind
from swapd.config.load import loaded_from
from swapd.config.resolve import resolve
from swapd.config.show import as_tree, as_yaml
from swapd.config.source import parse
from swapd.config.written import WrittenPerformance, WrittenSettings
from swapd.config.written_models import WrittenFilters, WrittenModel
from swapd.config.written_routing import WrittenGroup

M = WrittenModel(cmd="x", proxy="http://h")


def written(models: Mapping[str, WrittenModel] | None = None, **fields: Any) -> WrittenSettings:
    """Write a configuration with one ordinary model, or with these."""
    return WrittenSettings(models={"m": M} if models is None else models, **fields)


def resolved(model: WrittenModel = M, **fields: Any) -> WrittenModel:
    """Resolve a configuration with one model that is called `m`."""
    return resolve(Draft(written({"m": model}, **fields))).models["m"]


@pytest.mark.parametrize(
    ("common", "own", "seconds"),
    [
        pytest.param(300, -1, 300, id="C020"),
        pytest.param(300, 0, 0, id="C021"),
        pytest.param(300, 600, 600, id="C022"),
        pytest.param(0, -1, 0, id="C023"),
    ],
)
def test_a_model_inherits_the_common_ttl(common: int, own: int, seconds: int) -> None:
    """0 is a wish of its own: never unload."""
    assert resolved(attrs.evolve(M, ttl=own), global_ttl=common).ttl == seconds


@pytest.mark.parametrize(
    ("common", "own", "seconds"),
    [
        pytest.param(25, 0, 25, id="C027"),
        pytest.param(25, 45, 45, id="C028"),
        pytest.param(25, 0, 25, id="C029"),
        pytest.param(10, 0, 10, id="C002"),
        pytest.param(0, 0, 10, id="zero"),
    ],
)
def test_a_model_inherits_the_common_unload_timeout(common: int, own: int, seconds: int) -> None:
    """Here 0 is nobody's wish: it would kill at once."""
    model = resolved(attrs.evolve(M, unload_timeout=own), unload_timeout=common)

    assert model.unload_timeout == seconds


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        pytest.param(0, 15, id="C014-zero"),
        pytest.param(-5, 15, id="C014-negative"),
        pytest.param(15, 15, id="C015"),
        pytest.param(16, 16, id="more"),
    ],
)
def test_a_start_gets_at_least_fifteen_seconds(asked: int, seconds: int) -> None:
    """No model server loads in less on a bad day."""
    found = resolve(Draft(written(health_check_timeout=asked)))

    assert found.health_check_timeout == seconds


def test_what_is_resolved_stays_as_it_is() -> None:
    """It is printed as a file, and read as one it must mean the same."""
    text = """\
globalTTL: 300
performance: {every: 0s}
store: ~
groups: {g: {swap: false, members: [a, b]}}
models:
  a: {cmd: 'x ${PORT}', filters: {strip_params: 'top_k', setParamsByID: {'a:high': {n: 1}}}}
  b: {cmd: 'y ${PORT}', sendLoadingState: true, name: ' B '}
  comfyui_auto: {cmd: 'z ${PORT}'}
hooks: {on_startup: {preload: [' a:high ', nobody]}}
"""
    once = loaded_from([parse(text, file="f.yaml")])
    shown = as_yaml(as_tree(once.written))
    twice = loaded_from([parse(shown, file="g.yaml")])

    assert twice.written == once.written
    assert twice.settings == once.settings


def test_old_spellings_become_new_ones() -> None:
    """Whoever comes later has one place to look at."""
    found = resolve(
        Draft(
            written(
                {"m": attrs.evolve(M, filters=WrittenFilters(legacy_strip_params="top_k"))},
                groups={"g": WrittenGroup(members=("m",))},
            )
        )
    )

    assert found.groups == {}
    assert found.routing.router.use is RouterKind.GROUP
    assert list(found.routing.router.settings.groups) == ["g"]
    assert found.models["m"].filters == WrittenFilters(strip_params="top_k")


def test_no_period_at_all_is_the_default_one() -> None:
    """C071: measuring without a pause is nobody's wish."""
    found = resolve(Draft(written(performance=WrittenPerformance(every=Duration("0s", 0.0)))))

    assert found.performance.every.seconds == 5
