"""What must hold between values, and what becomes of them."""

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from swapd.config.problems import Problem
from swapd.config.rules import check, settle
from swapd.config.settings import LogLevel, Model, Origin, SchedulerKind
from swapd.config.written import (
    WrittenModel,
    WrittenRouting,
    WrittenScheduler,
    WrittenSchedulerSettings,
    WrittenSerial,
    WrittenSettings,
)

M = WrittenModel(cmd="x", proxy="http://h")


def written(models: Mapping[str, WrittenModel] | None = None, **fields: Any) -> WrittenSettings:
    """Write a configuration with one ordinary model, or with these."""
    return WrittenSettings(models={"m": M} if models is None else models, **fields)


def queue(longest: int) -> WrittenRouting:
    """Write a bound for the queue."""
    settings = WrittenSchedulerSettings(WrittenSerial(longest))
    return WrittenRouting(WrittenScheduler(settings=settings))


def settled(model: WrittenModel = M, **fields: Any) -> Model:
    """Settle a configuration with one model that is called `m`."""
    whole = written({"m": model}, **fields)
    assert check(whole, {}) == ()
    (found,) = settle(whole).models.values()
    return found


def wrong(model: WrittenModel) -> tuple[Problem, ...]:
    """Check a configuration with one model that is called `m`."""
    return check(written({"m": model}), {})


@pytest.mark.parametrize(
    ("whole", "path", "message"),
    [
        pytest.param({"start_port": -99}, "startPort", "must be at least 1, got -99", id="C006"),
        pytest.param({"start_port": 0}, "startPort", "must be at least 1, got 0", id="C007"),
        pytest.param({"global_ttl": -1}, "globalTTL", "must be at least 0, got -1", id="C024"),
        pytest.param(
            {"unload_timeout": -1}, "unloadTimeout", "must be at least 0, got -1", id="C030"
        ),
    ],
)
def test_numbers_at_the_top_have_a_range(whole: dict[str, Any], path: str, message: str) -> None:
    """A negative time is a typing mistake, whatever it was meant to be."""
    assert check(written(**whole), {}) == (Problem((path,), message),)


def test_the_queue_holds_at_least_one() -> None:
    """With none, every request that comes while another runs would be refused."""
    (problem,) = check(written(routing=queue(0)), {})

    assert problem.path == ("routing", "scheduler", "settings", "serial", "maxQueue")
    assert check(written(routing=queue(1)), {}) == ()


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        pytest.param(
            {"ttl": -2}, ("ttl",), "must be at least 0, or -1 for globalTTL, got -2", id="C025"
        ),
        pytest.param(
            {"unload_timeout": -1}, ("unloadTimeout",), "must be at least 0, got -1", id="C031"
        ),
        pytest.param({"cmd": " "}, ("cmd",), "a model needs a command", id="C401-blank"),
        pytest.param({"cmd": "# only\n#!/bin/sh"}, ("cmd",), "a model needs a command", id="C401"),
        pytest.param({"cmd": "a\0b"}, ("cmd",), "no command can contain a NUL", id="NUL"),
        pytest.param({"cmd_stop": "a\0b"}, ("cmdStop",), "no command can contain", id="NUL-stop"),
        pytest.param({"env": ("A=1", "B")}, ("env", 1), 'expected NAME=value, got "B"', id="env"),
        pytest.param({"env": ("=1",)}, ("env", 0), "expected NAME=value", id="env-no-name"),
        pytest.param({"env": ("A B=1",)}, ("env", 0), "expected NAME=value", id="env-space"),
        pytest.param({"env": ("A=\0",)}, ("env", 0), "expected NAME=value", id="env-NUL"),
        pytest.param({"proxy": ""}, ("proxy",), 'invalid proxy URL "": ', id="C230-D28"),
        pytest.param(
            {"proxy": "localhost:80"}, ("proxy",), "it must begin with http://", id="C235-D28"
        ),
        pytest.param({"proxy": "http://a b"}, ("proxy",), "invalid proxy URL", id="C229"),
        pytest.param({"proxy": "http://h:abc"}, ("proxy",), "invalid proxy URL", id="C234"),
        pytest.param(
            {"check_endpoint": "http://[::1/"}, ("checkEndpoint",), "is not a path", id="endpoint"
        ),
    ],
)
def test_a_model_that_cannot_work_is_refused(
    fields: dict[str, Any], path: tuple[str | int, ...], message: str
) -> None:
    """It would fail at its first request, which is the worst time to find out."""
    (problem,) = wrong(attrs.evolve(M, **fields))

    assert problem.path == ("models", "m", *path)
    assert message in problem.message


@pytest.mark.parametrize("name", ["", "  "])
def test_a_model_must_have_a_name(name: str) -> None:
    """Nobody could ask for it."""
    assert check(written({name: M}), {}) == (
        Problem(("models", name), "a model id must not be blank"),
    )


@pytest.mark.parametrize("env", [("A=", "B=x=y", "c.d-e=1", "A=\n")])
def test_an_environment_may_hold_what_linux_allows(env: tuple[str, ...]) -> None:
    """Only what is no entry at all is refused."""
    assert settled(attrs.evolve(M, env=env)).env == env


def test_an_alias_belongs_to_one_model() -> None:
    """C200, C201: which of two was meant is nobody's guess."""
    found = check(
        written(
            {
                "a": attrs.evolve(M, aliases=("x", "y", "x")),
                "b": attrs.evolve(M, aliases=("z", "y")),
            }
        ),
        {},
    )

    assert found == (
        Problem(("models", "a", "aliases", 2), 'duplicate alias "x", already one of "a"'),
        Problem(("models", "b", "aliases", 1), 'duplicate alias "y", already one of "a"'),
    )


def test_an_alias_that_is_a_models_id_is_dead_but_no_mistake() -> None:
    """C202: the id is found first."""
    whole = written({"a": attrs.evolve(M, aliases=("a", "b", "")), "b": M})

    assert check(whole, {}) == ()
    assert settle(whole).resolve("b") == "b"


def test_a_port_beyond_the_last_is_refused() -> None:
    """C282: llama-swap would start the model and never reach it."""
    whole = written(
        {name: attrs.evolve(M, proxy=f"http://localhost:{port}") for name, port in PORTS.items()},
        start_port=65535,
    )

    assert check(whole, PORTS) == (
        Problem(
            ("models", "b", "cmd"),
            "its ${PORT} would be 65536: startPort is 65535, the highest port 65535",
        ),
    )


PORTS = {"a": 65535, "b": 65536}


def test_a_wrong_start_port_is_told_once() -> None:
    """Each model's address would be wrong as well, and none of them is to blame."""
    whole = written({"m": attrs.evolve(M, proxy="http://localhost:0")}, start_port=0)

    assert [problem.path for problem in check(whole, {"m": 0})] == [("startPort",)]


@pytest.mark.parametrize(
    ("common", "own", "seconds"),
    [
        pytest.param(300, -1, 300.0, id="C020"),
        pytest.param(300, 0, 0.0, id="C021"),
        pytest.param(300, 600, 600.0, id="C022"),
        pytest.param(0, -1, 0.0, id="C023"),
    ],
)
def test_a_model_inherits_the_common_ttl(common: int, own: int, seconds: float) -> None:
    """0 is a wish of its own: never unload."""
    assert settled(attrs.evolve(M, ttl=own), global_ttl=common).ttl == seconds


@pytest.mark.parametrize(
    ("common", "own", "seconds"),
    [
        pytest.param(25, 0, 25.0, id="C027"),
        pytest.param(25, 45, 45.0, id="C028"),
        pytest.param(25, 0, 25.0, id="C029"),
        pytest.param(10, 0, 10.0, id="C002"),
        pytest.param(0, 0, 10.0, id="zero"),
    ],
)
def test_a_model_inherits_the_common_unload_timeout(common: int, own: int, seconds: float) -> None:
    """Here 0 is nobody's wish: it would kill at once."""
    model = settled(attrs.evolve(M, unload_timeout=own), unload_timeout=common)

    assert model.unload_timeout == seconds


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        pytest.param(0, 15.0, id="C014-zero"),
        pytest.param(-5, 15.0, id="C014-negative"),
        pytest.param(15, 15.0, id="C015"),
        pytest.param(16, 16.0, id="more"),
    ],
)
def test_a_start_gets_at_least_fifteen_seconds(asked: int, seconds: float) -> None:
    """No model server loads in less on a bad day."""
    assert settled(health_check_timeout=asked).health_timeout == seconds


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
            name=" N ",
            description="d\n",
        )
    )

    assert model.cmd == "run 'a b' \\\n -c"
    assert model.argv == ("run", "a b", "-c")
    assert model.stop_argv == ("stop", "${PID}")
    assert (model.proxy, model.origin) == ("http://h:1/x/", Origin("http", "h", 1, "/x"))
    assert (model.name, model.description) == ("N", "d")


@pytest.mark.parametrize("command", ["", " \n", "# nothing"])
def test_an_empty_stop_command_is_none(command: str) -> None:
    """Then SIGTERM does it."""
    assert settled(attrs.evolve(M, cmd_stop=command)).stop_argv is None


def test_the_rest_is_handed_on() -> None:
    """What needs no settling arrives as it was written."""
    found = settle(written(log_level=LogLevel.WARN, routing=queue(7)))

    assert (found.log_level, found.scheduler) == (LogLevel.WARN, SchedulerKind.SERIAL)
    assert found.serial.max_queue == 7
    assert list(settle(written({"z": M, "a": M})).models) == ["z", "a"]
