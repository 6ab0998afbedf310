"""Nothing is left to split or to parse when a model starts."""

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from swapd.config.kinds import LogLevel, SchedulerKind
from swapd.config.settings import Model, Origin
from swapd.config.settle import settle
from swapd.config.written import WrittenSettings
from swapd.config.written_models import WrittenFilters, WrittenModel, WrittenPeer

M = WrittenModel(cmd="x", proxy="http://h")


def written(models: Mapping[str, WrittenModel] | None = None, **fields: Any) -> WrittenSettings:
    """Write a configuration with one ordinary model, or with these."""
    return WrittenSettings(models={"m": M} if models is None else models, **fields)


def settled(model: WrittenModel = M) -> Model:
    """Settle a configuration with one model that is called `m`."""
    (found,) = settle(written({"m": model})).models.values()
    return found


@pytest.mark.parametrize(
    ("endpoint", "asked"), [("/health", "/health"), ("", "/"), (" none ", None)]
)
def test_the_health_endpoint_is_settled(endpoint: str, asked: str | None) -> None:
    """C231: empty asks for the root, "none" asks for nothing."""
    assert settled(attrs.evolve(M, check_endpoint=endpoint)).check_endpoint == asked


def test_commands_and_addresses_are_taken_apart() -> None:
    """Nothing is left to split or parse when a model starts."""
    model = settled(
        attrs.evolve(
            M,
            cmd="run 'a b' \\\n -c",
            cmd_stop="stop ${PID}",
            proxy="http://h:1/x/",
        )
    )

    assert model.cmd == "run 'a b' \\\n -c"
    assert model.argv == ("run", "a b", "-c")
    assert model.stop_argv == ("stop", "${PID}")
    assert (model.proxy, model.origin) == ("http://h:1/x/", Origin("http", "h", 1, "/x"))


@pytest.mark.parametrize("command", ["", " \n", "# nothing"])
def test_an_empty_stop_command_is_none(command: str) -> None:
    """Then SIGTERM does it."""
    assert settled(attrs.evolve(M, cmd_stop=command)).stop_argv is None


@pytest.mark.parametrize(
    ("said", "read"), [(True, ()), (False, None), (("/a", "/b"), ("/a", "/b")), ((), ())]
)
def test_a_list_of_files_to_read_stands_for_true(
    said: bool | tuple[str, ...], read: tuple[str, ...] | None
) -> None:
    """Whoever names more files has not turned off those of the command."""
    assert settled(attrs.evolve(M, prefetch=said)).prefetch == read


def test_the_rest_is_handed_on() -> None:
    """What needs no settling arrives as it was written."""
    found = settle(written({"z": M, "a": M}, log_level="warn", capture_buffer=7))

    assert (found.log_level, found.scheduler) == (LogLevel.WARN, SchedulerKind.SERIAL)
    assert found.capture_buffer == 7
    assert list(found.models) == ["z", "a"]


def test_no_filter_touches_the_model() -> None:
    """C210, C214: it is what the request was routed by."""
    filters = WrittenFilters(
        strip_params="top_k, model,, top_k , a",
        set_params={"z": 1, "model": "x", "b": [2]},
        set_params_by_id={"m:1": {"model": "x"}, "m:2": None},
    )
    found = settled(attrs.evolve(M, filters=filters)).filters

    assert found.strip == ("a", "top_k")
    assert list(found.set_params.items()) == [("b", [2]), ("z", 1)]
    assert found.by_name == {"m:1": {}, "m:2": {}}


def test_a_peer_offers_each_model_once() -> None:
    """C301: named twice, it is the same."""
    peer = WrittenPeer(proxy="https://h/api", models=("m", "n", "m"), api_key="secret")
    found = settle(written(peers={"p": peer})).peers["p"]

    assert (found.models, found.origin) == (("m", "n"), Origin("https", "h", 443, "/api"))
    assert found.timeouts.response_header == 60
    assert "secret" not in repr(found)
