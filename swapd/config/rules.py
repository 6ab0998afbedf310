"""What must hold between values, and what becomes of them.

Rule 1: a check looks at typed values, yields a problem for each that it does not like, and changes
nothing. Every check is in `CHECKS`.
Rule 2: `settle` is for what all checks have passed: it inherits, clamps, splits and parses.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from swapd.config.command import split
from swapd.config.origin import NoAddress, parse_endpoint, parse_origin
from swapd.config.problems import KeyPath, Problem
from swapd.config.settings import Model, SerialSettings, Settings
from swapd.config.values import quoted
from swapd.config.written import (
    INHERIT_TTL,
    WrittenModel,
    WrittenSettings,
)
from swapd.ids import ModelId

# A model server that is given less to start is a mistyped number, not a wish.
LEAST_HEALTH_TIMEOUT = 15
# What an unloadTimeout of 0 at the top means.
UNLOAD_TIMEOUT = 10
HIGHEST_PORT = 65535

_ENV = re.compile(r"[^\s=\x00]+=[^\x00]*", re.DOTALL)

Ports = Mapping[str, int]
"""The port that each model was given, if it was."""


def check(written: WrittenSettings, ports: Ports) -> tuple[Problem, ...]:
    """Find everything that is wrong with a configuration whose types are right."""
    return tuple(problem for rule in CHECKS for problem in rule(written, ports))


def settle(written: WrittenSettings) -> Settings:
    """Resolve a configuration that `check` has nothing against."""
    serial = written.routing.scheduler.settings.serial
    return Settings(
        models={
            ModelId(model_id): _model(model_id, model, written)
            for model_id, model in written.models.items()
        },
        log_level=written.log_level,
        scheduler=written.routing.scheduler.use,
        serial=SerialSettings(max_queue=serial.max_queue),
    )


def _start_port(written: WrittenSettings, _: Ports) -> Iterator[Problem]:
    if written.start_port < 1:
        yield Problem(("startPort",), f"must be at least 1, got {written.start_port}")


def _times(written: WrittenSettings, _: Ports) -> Iterator[Problem]:
    for key, seconds in (
        ("globalTTL", written.global_ttl),
        ("unloadTimeout", written.unload_timeout),
    ):
        if seconds < 0:
            yield Problem((key,), f"must be at least 0, got {seconds}")
    for path, model in _models(written):
        if model.ttl < INHERIT_TTL:
            message = f"must be at least 0, or {INHERIT_TTL} for globalTTL, got {model.ttl}"
            yield Problem((*path, "ttl"), message)
        if model.unload_timeout < 0:
            message = f"must be at least 0, got {model.unload_timeout}"
            yield Problem((*path, "unloadTimeout"), message)


def _queue(written: WrittenSettings, _: Ports) -> Iterator[Problem]:
    longest = written.routing.scheduler.settings.serial.max_queue
    if longest < 1:
        path = ("routing", "scheduler", "settings", "serial", "maxQueue")
        yield Problem(path, f"must be at least 1, got {longest}")


def _ids(written: WrittenSettings, _: Ports) -> Iterator[Problem]:
    for model_id in written.models:
        if not model_id.strip():
            yield Problem(("models", model_id), "a model id must not be blank")


def _commands(written: WrittenSettings, _: Ports) -> Iterator[Problem]:
    for path, model in _models(written):
        if not split(model.cmd):
            yield Problem((*path, "cmd"), "a model needs a command")
        for key, command in ("cmd", model.cmd), ("cmdStop", model.cmd_stop):
            if "\0" in command:
                yield Problem((*path, key), "no command can contain a NUL character")


def _env(written: WrittenSettings, _: Ports) -> Iterator[Problem]:
    for path, model in _models(written):
        for position, entry in enumerate(model.env):
            if not _ENV.fullmatch(entry):
                message = f"expected NAME=value, got {quoted(entry)}"
                yield Problem((*path, "env", position), message)


def _aliases(written: WrittenSettings, _: Ports) -> Iterator[Problem]:
    # An alias that is also a model's id is no mistake: the id is found first, the alias never.
    owners: dict[str, str] = {}
    for path, model in _models(written):
        for position, alias in enumerate(model.aliases):
            if alias in owners:
                message = (
                    f"duplicate alias {quoted(alias)}, already one of {quoted(owners[alias])}"
                )
                yield Problem((*path, "aliases", position), message)
            owners.setdefault(alias, str(path[-1]))


def _ports(written: WrittenSettings, ports: Ports) -> Iterator[Problem]:
    for model_id, port in ports.items():
        if port > HIGHEST_PORT:
            told = f"startPort is {written.start_port}, the highest port {HIGHEST_PORT}"
            yield Problem(("models", model_id, "cmd"), f"its ${{PORT}} would be {port}: {told}")


def _addresses(written: WrittenSettings, ports: Ports) -> Iterator[Problem]:
    for path, model in _models(written):
        try:
            parse_endpoint(model.check_endpoint)
        except NoAddress as wrong:
            message = f"{quoted(model.check_endpoint)} is not a path: {wrong}"
            yield Problem((*path, "checkEndpoint"), message)
        sound = 1 <= ports.get(str(path[-1]), 1) <= HIGHEST_PORT
        if model.proxy is None or not sound:
            continue  # there is a problem already, and it is not the address
        try:
            parse_origin(model.proxy)
        except NoAddress as wrong:
            message = f"invalid proxy URL {quoted(model.proxy)}: {wrong}"
            yield Problem((*path, "proxy"), message)


CHECKS: tuple[Callable[[WrittenSettings, Ports], Iterator[Problem]], ...] = (
    _start_port,
    _times,
    _queue,
    _ids,
    _commands,
    _env,
    _aliases,
    _ports,
    _addresses,
)


def _models(written: WrittenSettings) -> Iterator[tuple[KeyPath, WrittenModel]]:
    for model_id, model in written.models.items():
        yield ("models", model_id), model


def _model(model_id: str, model: WrittenModel, written: WrittenSettings) -> Model:
    proxy = model.proxy or ""
    inherits_ttl = model.ttl == INHERIT_TTL
    return Model(
        id=ModelId(model_id),
        cmd=model.cmd,
        argv=split(model.cmd),
        origin=parse_origin(proxy),
        proxy=proxy,
        stop_argv=split(model.cmd_stop) or None,
        env=model.env,
        check_endpoint=parse_endpoint(model.check_endpoint),
        health_timeout=float(max(written.health_check_timeout, LEAST_HEALTH_TIMEOUT)),
        ttl=float(written.global_ttl if inherits_ttl else model.ttl),
        unload_timeout=_unload_timeout(model, written),
        aliases=model.aliases,
        name=model.name.strip(),
        description=model.description.strip(),
        unlisted=model.unlisted,
        use_model_name=model.use_model_name,
    )


def _unload_timeout(model: WrittenModel, written: WrittenSettings) -> float:
    """Give a model its own time to stop, else the common one; 0 asks for the next."""
    return float(model.unload_timeout or written.unload_timeout or UNLOAD_TIMEOUT)
