"""The JSON Schema: it takes what the loader takes, and knows every key."""

import json
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import attrs
import jsonschema
import pytest

from swapd.config.durations import Duration
from swapd.config.keys import FILLED_IN, Key, described, has_keys
from swapd.config.kinds import LEVELS, TIME_FORMATS
from swapd.config.load import loaded_from
from swapd.config.problems import ConfigError
from swapd.config.schema import schema
from swapd.config.source import parse, read
from swapd.config.written import WrittenSettings

CONFIGS = Path(__file__).parents[2] / "configs"

SCHEMA = schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)

# To look at one key alone.
OPEN: dict[str, Any] = {"required": [], "additionalProperties": False}

# A small sound model.
M = 'cmd: x, proxy: "http://h"'


def complaints(text: str) -> list[str]:
    """Say what an editor would mark in a text."""
    tree = parse(text, file="f.yaml").tree
    return [f"{wrong.json_path}: {wrong.message}" for wrong in VALIDATOR.iter_errors(tree)]


def loads(text: str) -> bool:
    """Say whether the loader takes a text."""
    try:
        loaded_from([parse(text, file="f.yaml", environ={})])
    except ConfigError:
        return False
    return True


def followed(part: Any) -> Any:
    """Go on to the definition that a part of the schema refers to, null or not."""
    for one in part.get("anyOf", ()):
        if "$ref" in one:
            return followed(one)
    if "$ref" in part:
        return SCHEMA["definitions"][part["$ref"].removeprefix("#/definitions/")]
    return part


@attrs.frozen
class Said:
    """What the schema says about one key."""

    path: str
    field: "attrs.Attribute[Any]"
    key: Key
    part: Any
    """The key's own schema; none if it is missing."""
    holder: Any
    """The schema of the class that has the key."""


def walked(cls: type[Any], holder: Any, path: str = "") -> Iterator[Said]:
    """Go through all keys of a class and of those below."""
    about = described(cls)
    for field in attrs.fields(cls):
        key = about[field.name]
        said = Said(
            f"{path}.{key.spelling}", field, key, holder["properties"].get(key.spelling), holder
        )
        yield said
        for inner, below in _below(field.type, said.part or {}):
            yield from walked(inner, below, said.path)


def _below(of: Any, part: Any) -> Iterator[tuple[type[Any], Any]]:
    if has_keys(of):
        yield of, followed(part)
    elif isinstance(of, UnionType):
        for one in get_args(of):
            yield from _below(one, part)
    elif get_origin(of) is Mapping and has_keys(get_args(of)[1]):
        yield get_args(of)[1], followed(part["additionalProperties"])


ALL = list(walked(WrittenSettings, SCHEMA))


def test_the_schema_is_one() -> None:
    """Draft 7, which every editor knows; and it can be written into a file."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert schema() == SCHEMA


def test_every_key_is_in_the_schema_and_explained() -> None:
    """An editor shows the explanation beside the key."""
    assert len(ALL) > 100
    assert [said.path for said in ALL if said.part is None] == []
    assert [said.path for said in ALL if said.part["description"] != said.key.says] == []
    assert [said.path for said in ALL if not said.key.says] == []


def test_the_schema_has_no_key_that_no_class_has() -> None:
    """An editor would complete it, and the loader would refuse it."""
    spellings: dict[int, set[str]] = {}
    for said in ALL:
        spellings.setdefault(id(said.holder), set()).add(said.key.spelling)

    for part in (SCHEMA, *SCHEMA["definitions"].values()):
        assert part["additionalProperties"] is False
        assert set(part["properties"]) == spellings[id(part)]
        assert part["description"]


def test_every_default_is_the_classs() -> None:
    """An editor fills it in; a wrong one would be a change that nobody meant."""
    for said in ALL:
        match said.field.default:
            case Enum(value=word):
                expected = word
            case Duration(text=text):
                expected = text
            case tuple(words):
                expected = list(words)
            case default if default is FILLED_IN or has_keys(type(default)):
                expected = None  # an editor has nothing to fill in
            case default:
                expected = default
        found = said.part.get("default")
        assert (found, type(found)) == (expected, type(expected)), said.path
    assert sum("default" in said.part for said in ALL) > 50


def test_every_default_fits_its_own_key() -> None:
    """What the editor fills in must not be underlined by it."""
    for said in ALL:
        if "default" in said.part:
            alone = jsonschema.Draft7Validator({**SCHEMA, **OPEN, "properties": {"it": said.part}})
            assert list(alone.iter_errors({"it": said.part["default"]})) == [], said.path


def test_what_is_required_is_required() -> None:
    """A model without a command cannot start."""
    for said in ALL:
        required = said.key.spelling in said.holder.get("required", ())
        assert required == said.key.required, said.path


def test_the_lowest_numbers_are_those_of_the_rules() -> None:
    """A number below is refused by both."""
    for said in ALL:
        numbers = [one for one in said.part.get("anyOf", ()) if one.get("type") == "number"]
        least = [one["minimum"] for one in numbers if "minimum" in one]
        assert least == ([] if said.key.least is None else [said.key.least]), said.path
    assert sum(said.key.least is not None for said in ALL) > 5


def test_serial_is_the_scheduler_unless_said() -> None:
    """The one word that decides how everything runs."""
    (part,) = (said.part for said in ALL if said.path == ".routing.scheduler.use")

    assert part["default"] == "serial"
    assert [one["enum"] for one in part["anyOf"] if "enum" in one] == [["serial", "fifo"]]


def test_words_that_do_no_harm_are_offered_and_not_asked_for() -> None:
    """`logLevel: verbose` runs; the editor knows better words."""
    properties = SCHEMA["properties"]

    assert properties["logLevel"]["anyOf"][0] == {"enum": list(LEVELS)}
    assert properties["logTimeFormat"]["anyOf"][0] == {"enum": list(TIME_FORMATS)}
    assert complaints("logLevel: verbose") == []


@pytest.mark.parametrize("name", ["minimal.yaml", "demo.yaml", "example.yaml"])
def test_a_shipped_configuration_is_valid(name: str) -> None:
    """Nothing may be underlined in what somebody copies."""
    tree = read(CONFIGS / name).tree

    assert [wrong.message for wrong in VALIDATOR.iter_errors(tree)] == []


@pytest.mark.parametrize(
    "text",
    [
        *("", "models:", "models: {}", "routing:", "ui: {activity: }", "store:", "matrix:"),
        "apiKeys: ~",
        "x-notes: [anything, {goes: here}]",
        "x-a: 1\nmodels: {x-b: [1], a: {x-c: {}, cmd: x, proxy: 'http://h', filters: {x-d: 1}}}",
        "startPort: 6000.0",
        "healthCheckTimeout: -5",
        "macros: {P: 6000}\nstartPort: ${P}",
        "macros: {L: on, U: both, E: 5s}\nsendLoadingState: ${L}\nlogToStdout: ${U}\n"
        "performance: {every: '${E}'}",
        "sendLoadingState: yes\nincludeAliasesInList: 'off'",
        "logLevel: 5\nlogTimeFormat: true",
        "apiKeys: [1, true, ~, k]",
        "performance: {every: 1h2m3.5s}",
        "performance: {every: '0'}",
        "performance: {every: '+0'}",
        "performance: {every: 5000000µs}",
        "performance: {every: +.5m, enable: yes}",
        "captureBuffer: -1\nmetricsMaxInMemory: -1",
        "routing: {scheduler: {use: ''}, router: {use: ''}}",
        "routing: {scheduler: {use: ~}, router: {use: group, settings: {groups: {}}}}",
        f"models: {{a: {{{M}, ttl: ~, aliases: [~, 5], env: , name: 5, filters: , macros: }}}}",
        f"models: {{a: {{{M}, ttl: -1, unlisted: n, metadata: {{1: [x, ~]}}}}}}",
        f"models: {{a: {{{M}, capabilities: {{in: [text, ~], context: 8e3}}}}}}",
        f"models: {{a: {{{M}, filters: {{setParams: {{a: ~}}, setParamsByID: {{b: }}}}}}}}",
        f"models: {{a: {{{M}, sendLoadingState: , metadata: }}}}",
        *(
            f"models: {{a: {{{M}, livenessInterval: 0, prefetch: {some}}}}}"
            for some in ("", "no", "false", "[]", "[/a, ~, 5]")
        ),
        f"macros: {{P: false}}\nmodels: {{a: {{{M}, prefetch: '${{P}}'}}}}",
        "routing: {scheduler: {settings: {fifo: {maxTurn: 0, maxQueue: 1}}}}",
        "models: {a: {cmd: '${X}', proxy: 'http://h'}}\nmacros: {X: 5}",
        f"models: {{a: {{{M}}}}}\nprofiles: {{p: {{pins: {{a: , b: a, c: ''}}}}}}",
        f"models: {{a: {{{M}}}}}\nselectors: {{s: {{strategy: pin, targets: [a], settings: }}}}",
        "peers: {p: {proxy: 'http://p', models: [m], apiKey: 5, timeouts: {idleConn: 0}}}",
        f"models: {{a: {{{M}}}}}\nmatrix: {{vars: {{v: a}}, sets: {{s: v}}, "
        "evict_costs: {v: 2}, x-d: 1}",
        f"models: {{a: {{{M}}}}}\ngroups: {{g: {{members: [a], swap: , exclusive: off}}}}",
        f"models: {{a: {{{M}}}}}\nmatrix: {{x-n: [1], sets: {{s: a}}}}",
        f"models: {{a: {{{M}}}}}\nprofiles: {{p: {{x-b: [1], pins: {{a: }}}}}}",
        f"models: {{a: {{{M}}}}}\nrouting: {{scheduler: {{settings: {{fifo: {{x-b: 1, "
        "priority: {a: 1}}}}}",
    ],
)
def test_what_the_loader_takes_passes(text: str) -> None:
    """Rule 1: a false alarm teaches people to look away."""
    assert loads(text)
    assert complaints(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "model: {}",
        "modles: {a: {cmd: x}}",
        "models: {a: }",
        "models: {a: {}}",
        "models: {a: text}",
        "models: [a]",
        "models: {a: {cmd: x, tll: 5}}",
        "models: {a: {cmd: [x, y]}}",
        "models: {a: {cmd: x, ttl: '5'}}",
        "models: {a: {cmd: x, ttl: -2}}",
        "models: {a: {cmd: x, aliases: b}}",
        "models: {a: {cmd: x, unlisted: 'true'}}",
        "models: {a: {cmd: x, capabilities: {in: [smell]}}}",
        "models: {a: {cmd: x, timeouts: {conect: 5}}}",
        "models: {a: {cmd: x, prefetch: /a}}",
        "models: {a: {cmd: x, prefetch: 1}}",
        "models: {a: {cmd: x, prefetch: [[/a]]}}",
        "models: {a: {cmd: x, livenessInterval: -1}}",
        "routing: {scheduler: {settings: {fifo: {maxTurn: -1}}}}",
        "routing: {scheduler: {settings: {fifo: {maxQueue: 0}}}}",
        "startPort: 0",
        "startPort: '6000'",
        "startPort: true",
        "globalTTL: -1",
        "logToStdout: stdout",
        "logToStdout: Proxy",
        "routing: {scheduler: {use: lifo}}",
        "routing: {router: {use: serial}}",
        "routing: {scheduler: {settings: {serial: {maxQueue: 0}}}}",
        "performance: {every: 5}",
        "store: {}",
        "peers: {p: }",
        "peers: {p: {proxy: 'http://p'}}",
        "groups: {g: }",
        "matrix: {vars: {a: b}}",
        "selectors: {s: {targets: [a]}}",
        "selectors: {s: {strategy: best, targets: [a]}}",
        "profiles: {p: [a]}",
        "profiles: {p: }",
        "metadata: {}",
        "sendLoadingState: 1",
        "apiKeys: k",
    ],
)
def test_what_is_wrong_is_underlined(text: str) -> None:
    """While it is written, rather than when swapd refuses to start."""
    assert not loads(text)
    assert complaints(text) != []
