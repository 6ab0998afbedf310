"""What must hold between values."""

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from swapd.config.draft import Draft
from swapd.config.durations import Duration
from swapd.config.problems import Problem
from swapd.config.rules import check
from swapd.config.written import WrittenPerformance, WrittenSettings, WrittenUpstream
from swapd.config.written_models import WrittenModel, WrittenPeer
from swapd.config.written_routing import (
    WrittenFifo,
    WrittenRouting,
    WrittenScheduler,
    WrittenSchedulerSettings,
    WrittenSerial,
)

M = WrittenModel(cmd="x", proxy="http://h")


def written(models: Mapping[str, WrittenModel] | None = None, **fields: Any) -> WrittenSettings:
    """Write a configuration with one ordinary model, or with these."""
    return WrittenSettings(models={"m": M} if models is None else models, **fields)


def queue(longest: int) -> WrittenRouting:
    """Write a bound for the queue of either scheduler."""
    both = WrittenSchedulerSettings(WrittenSerial(longest), WrittenFifo(max_queue=longest))
    return WrittenRouting(scheduler=scheduler(both))


def scheduler(settings: WrittenSchedulerSettings) -> WrittenScheduler:
    """Write settings of schedulers."""
    return WrittenScheduler(settings=settings)


def checked(whole: WrittenSettings, ports: Mapping[str, int] | None = None) -> tuple[Problem, ...]:
    """Check a whole configuration."""
    return check(Draft(whole, ports or {}))


def wrong(model: WrittenModel) -> tuple[Problem, ...]:
    """Check a configuration with one model that is called `m`."""
    return checked(written({"m": model}))


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
    assert checked(written(**whole)) == (Problem((path,), message),)


def test_the_queue_holds_at_least_one() -> None:
    """With none, every request that comes while another runs would be refused."""
    serial, fifo = checked(written(routing=queue(0)))

    assert serial.path == ("routing", "scheduler", "settings", "serial", "maxQueue")
    assert fifo.path == ("routing", "scheduler", "settings", "fifo", "maxQueue")
    assert checked(written(routing=queue(1))) == ()


def test_a_turn_may_be_without_end_but_not_negative() -> None:
    """0 is llama-swap's way: whoever is loaded stays while requests for it overlap."""
    endless, negative = (WrittenSchedulerSettings(fifo=WrittenFifo(max_turn=n)) for n in (0, -1))
    (problem,) = checked(written(routing=WrittenRouting(scheduler=scheduler(negative))))

    assert problem.path == ("routing", "scheduler", "settings", "fifo", "maxTurn")
    assert checked(written(routing=WrittenRouting(scheduler=scheduler(endless)))) == ()


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        pytest.param({"ttl": -2}, ("ttl",), "must be at least -1, got -2", id="C025"),
        pytest.param(
            {"unload_timeout": -1}, ("unloadTimeout",), "must be at least 0, got -1", id="C031"
        ),
        pytest.param({"cmd": " "}, ("cmd",), "a model needs a command", id="C401-blank"),
        pytest.param({"cmd": "# only\n#!/bin/sh"}, ("cmd",), "a model needs a command", id="C401"),
        pytest.param({"cmd": "a\0b"}, ("cmd",), "no command can contain a NUL", id="NUL"),
        pytest.param({"cmd_stop": "a\0b"}, ("cmdStop",), "no command can contain", id="NUL-stop"),
        pytest.param({"env": ("A=1", "B")}, ("env", 1), "expected NAME=value", id="env"),
        pytest.param({"env": ("=1",)}, ("env", 0), "expected NAME=value", id="env-no-name"),
        pytest.param({"env": ("A B=1",)}, ("env", 0), "expected NAME=value", id="env-space"),
        pytest.param({"env": ("A=\0",)}, ("env", 0), "expected NAME=value", id="env-NUL"),
        pytest.param(
            {"liveness_interval": -1}, ("livenessInterval",), "must be at least 0", id="liveness"
        ),
        pytest.param({"prefetch": ("/a", "")}, ("prefetch", 1), "a file's path", id="prefetch"),
        pytest.param({"prefetch": ("a\0b",)}, ("prefetch", 0), "a file's", id="NUL-prefetch"),
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
    assert checked(written({name: M})) == (
        Problem(("models",), "a model's id must not be blank", name),
    )


@pytest.mark.parametrize("env", [("A=", "B=x=y", "c.d-e=1", "A=\n")])
def test_an_environment_may_hold_what_linux_allows(env: tuple[str, ...]) -> None:
    """Only what is no entry at all is refused."""
    assert wrong(attrs.evolve(M, env=env)) == ()


def test_a_port_beyond_the_last_is_refused() -> None:
    """C282: llama-swap would start the model and never reach it."""
    whole = written(
        {name: attrs.evolve(M, proxy=f"http://localhost:{port}") for name, port in PORTS.items()},
        start_port=65535,
    )

    assert checked(whole, PORTS) == (
        Problem(
            ("models", "b", "cmd"),
            "its ${PORT} would be 65536: startPort is 65535, the highest port 65535",
        ),
    )


PORTS = {"a": 65535, "b": 65536}


def test_a_wrong_start_port_is_told_once() -> None:
    """Each model's address would be wrong as well, and none of them is to blame."""
    whole = written({"m": attrs.evolve(M, proxy="http://localhost:0")}, start_port=0)

    assert [problem.path for problem in checked(whole, {"m": 0})] == [("startPort",)]


@pytest.mark.parametrize(
    ("whole", "path", "message"),
    [
        pytest.param(
            {"performance": WrittenPerformance(every=Duration("4s", 4.0))},
            ("performance", "every"),
            "must be at least 5s, got 4s",
            id="C070",
        ),
        pytest.param(
            {"performance": WrittenPerformance(enable=False)},
            ("performance", "enable"),
            "this turns nothing off; write disabled: true",
            id="enable",
        ),
        pytest.param(
            {"upstream": WrittenUpstream(("ok", "(?!x)"))},
            ("upstream", "ignorePaths", 1),
            "invalid regular expression",
            id="C079",
        ),
        pytest.param(
            {"peers": {"p": WrittenPeer(proxy="http://h")}},
            ("peers", "p", "models"),
            "a peer needs models",
            id="C293",
        ),
        pytest.param(
            {"peers": {"p": WrittenPeer(models=("m",))}},
            ("peers", "p", "proxy"),
            "a peer needs a proxy",
            id="C291",
        ),
    ],
)
def test_the_rest_of_a_file_is_checked_too(
    whole: dict[str, Any], path: tuple[str | int, ...], message: str
) -> None:
    """Also what no request has asked for yet."""
    (problem,) = checked(written(**whole))

    assert problem.path == path
    assert message in problem.message


@pytest.mark.parametrize("key", ["", " secret", "se cret", "sha256:", "sha256:cret" + 60 * "0"])
def test_a_wrong_api_key_is_told_without_being_shown(key: str) -> None:
    """What is printed ends up in a log, or in a question to somebody else."""
    (problem,) = checked(written(api_keys=("fine", key)))

    assert problem.path == ("apiKeys", 1)
    assert "cret" not in problem.message


@pytest.mark.parametrize("digits", ["0123456789abcdef" * 4, "0123456789ABCDEF" * 4])
def test_a_key_may_be_given_by_its_hash(digits: str) -> None:
    """So that the file holds no secret."""
    assert not checked(written(api_keys=(f"sha256:{digits}",)))
