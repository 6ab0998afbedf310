"""From files to settings, all steps together."""

import gc
import os
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.config.kinds import SchedulerKind
from swapd.config.load import load, loaded_from
from swapd.config.problems import ConfigError, Located
from swapd.config.settings import Settings
from swapd.config.source import parse

CONFIGS = Path(__file__).parents[2] / "configs"


def loaded(text: str) -> Settings:
    """Load a text as the file f.yaml."""
    return loaded_from([parse(text, file="f.yaml")]).settings


def told(text: str) -> list[str]:
    """Load a text that has mistakes, and list them."""
    with pytest.raises(ConfigError) as error:
        loaded(text)
    return str(error.value).splitlines()


def problems(text: str) -> tuple[Located, ...]:
    """List what is wrong with a text; nothing may be."""
    try:
        loaded(text)
    except ConfigError as error:
        return error.problems
    return ()


BROKEN = """\
x-base: &base
  env: [A=1, 5]
  note: "${LOCAL}"
healthCheckTimeout: abc
globalTtl: 5
models:
  qwen:
    cmd: llama-server --port ${PORT}
    ttl: abc
    bogus: 1
  "llama 2.5":
    <<: *base
    cmd:
    aliases: [a, b]
  1: {cmd: x, proxy: "http://h"}
  nil:
  fixed: {cmd: svr --port 111, aliases: [b]}
  twice: {cmd: 'x ${X}', proxy: "http://h", ttl: -2, cmd: y}
startPort: 0
"""


def test_all_mistakes_of_a_file_are_told_in_its_order() -> None:
    """Correcting one at a time, each after another restart, is how evenings are lost."""
    assert told(BROKEN) == [
        'f.yaml:4:21: healthCheckTimeout: expected a whole number, got "abc"',
        'f.yaml:5:1: unknown key "globalTtl", did you mean "globalTTL"?',
        'f.yaml:9:10: models.qwen.ttl: expected a whole number, got "abc"',
        'f.yaml:10:5: models.qwen: unknown key "bogus"; known here, nearest first: timeouts, '
        "macros, unlisted, useModelName, capabilities, proxy, concurrencyLimit, compat, …",
        'f.yaml:11:3: models."llama 2.5": unknown key "note"; known here, nearest first: '
        "unlisted, name, unloadTimeout, sendLoadingState, compat, filters, timeouts, "
        "livenessInterval, … (it comes from line 3)",
        'f.yaml:11:3: models."llama 2.5".env[1]: expected NAME=value (it comes from line 2)',
        'f.yaml:11:3: models."llama 2.5".note: unknown macro ${LOCAL} (it comes from line 3)',
        'f.yaml:13:5: models."llama 2.5".cmd: a model needs a command',
        'f.yaml:15:3: models.1: this key is not text: write "1", with the quotes',
        "f.yaml:16:3: models.nil: expected a mapping, got null",
        "f.yaml:17:3: models.fixed.proxy: proxy uses ${PORT} but cmd does not: "
        "there is no proxy, and its default is http://localhost:${PORT}; use ${PORT} in cmd, "
        "or a number in proxy",
        'f.yaml:17:42: models.fixed.aliases[0]: duplicate alias "b", already one of "llama 2.5"',
        "f.yaml:18:16: models.twice.cmd: unknown macro ${X}",
        "f.yaml:18:50: models.twice.ttl: must be at least -1, got -2",
        'f.yaml:18:54: models.twice: key "cmd" already defined at line 18',
        "f.yaml:19:12: startPort: must be at least 1, got 0",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("startPort: abcd", "f.yaml:1:12: startPort: expected a whole", id="C005"),
        pytest.param("- a", "f.yaml:1:1: a configuration must be a mapping", id="C010"),
        pytest.param("startPort: 1\nstartPort: 2", "already defined at line 1", id="C011"),
        pytest.param("foo: ${NOPE}", 'f.yaml:1:1: unknown key "foo"', id="C013-D28"),
        pytest.param("models: {a: {cmd: x, healthCheckTimeout: 9}}", "unknown key", id="C016-D28"),
        pytest.param("models: {a: {<<: *x}}", 'unknown anchor "x"', id="C374"),
        pytest.param("hello", "a configuration must be a mapping", id="C376-D28"),
        pytest.param(
            "startPort: 70000\nmodels: {a: {cmd: 'x ${PORT}'}}",
            "f.yaml:2:19: models.a.cmd: its ${PORT} would be 70000",
            id="C282",
        ),
        pytest.param("routing: {use: serial}", "it belongs under routing.router", id="D28"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, message: str) -> None:
    """D28: what llama-swap ignores is an error here, with file, line and column."""
    assert any(message in line for line in told(text))


def test_an_empty_configuration_is_all_defaults() -> None:
    """C001: swapd starts, and has no models."""
    assert loaded("") == loaded("models: {}")
    assert loaded("").scheduler is SchedulerKind.SERIAL


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        pytest.param("startPort: 1000\n---\nstartPort: x", {}, id="C012"),
        pytest.param("models: ~\nrouting:", {}, id="C280"),
        pytest.param("x-any: {thing: [1, '${NOPE}']}", {}, id="D28"),
        pytest.param("models: {x-note: 5}", {}, id="D28-models"),
        pytest.param("startPort:\nmodels: {a: {cmd: '${PORT}'}}", {"a": ("5800",)}, id="C009"),
        pytest.param("models: {a: {cmd: 12, proxy: http://h}}", {"a": ("12",)}, id="C044"),
        pytest.param(
            'models: {"1": {cmd: "x ${MODEL_ID}", proxy: "http://h"}}',
            {"1": ("x", "1")},
            id="C050",
        ),
        pytest.param(
            "models: {m: {cmd: 'x ${PORT}'}, f: {cmd: y, proxy: http://h}, a: {cmd: 'z ${PORT}'}}",
            {"m": ("x", "5801"), "f": ("y",), "a": ("z", "5800")},
            id="C165",
        ),
    ],
)
def test_a_text_loads_as_in_llama_swap(text: str, shape: dict[str, tuple[str, ...]]) -> None:
    """The commands that come out are what would have been run there."""
    models = loaded(text).models

    assert {name: model.argv for name, model in models.items()} == shape
    assert list(models) == list(shape)


def test_an_anchored_block_expands_for_each_model() -> None:
    """C175: one template, and every model fills in its own id and port."""
    models = loaded(
        "x-t: &t {cmd: 's ${PORT} ${MODEL_ID}', env: ['ID=${MODEL_ID}']}\n"
        "models: {a: *t, b: {<<: *t, ttl: 5}}"
    ).models

    assert [model.argv for model in models.values()] == [
        ("s", "5800", "a"),
        ("s", "5801", "b"),
    ]
    assert [model.env for model in models.values()] == [("ID=a",), ("ID=b",)]


def test_several_files_are_one_configuration(tmp_path: Path) -> None:
    """Ports are assigned over all of them, and each mistake names its file."""
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    first.write_text("startPort: 9000\nmodels: {b: {cmd: 'x ${PORT}'}}")
    second.write_text("models: {a: {cmd: 'x ${PORT}'}}")

    models = load([first, second], {}).settings.models
    assert {name: model.origin.port for name, model in models.items()} == {"b": 9001, "a": 9000}

    second.write_text("models: {a: {cmd: x, ttl: abc}}")
    with pytest.raises(ConfigError) as error:
        load([first, second], {})
    assert all(str(problem).startswith(f"{second}:1:") for problem in error.value.problems)


@pytest.mark.parametrize(
    "models",
    [
        "models: {a: {cmd: 'x ${PORT}', aliases: q}}",
        "models: [a]",
        "models: {a: ~}",
        "model: {a: {}}",
    ],
)
def test_a_model_that_cannot_be_read_is_one_mistake(models: str) -> None:
    """Whoever names it elsewhere has made none."""
    names = "selectors: {s: {strategy: pin, targets: [a, q]}}\ngroups: {g: {members: [a]}}"

    assert len(told(f"{models}\n{names}")) == 1


def test_every_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A mistyped path is as likely as two."""
    with pytest.raises(ConfigError) as error:
        load([tmp_path / "a", tmp_path / "b"], {})
    assert [str(problem).split(":")[1] for problem in error.value.problems] == [
        " cannot read this file"
    ] * 2


SOUND = """\
x-base: &base {ttl: 5, env: ["A=1", B=]}
healthCheckTimeout: 20
startPort: 0x1000
globalTTL: 1e2
logLevel: info # comment
routing: {scheduler: {use: serial, settings: {serial: {maxQueue: 3}}}}
models:
  qwen:
    <<: *base
    cmd: |
      llama-server --port ${PORT} \\
        # not this ${NOPE}
        --name '${MODEL_ID}'
    cmdStop: "kill ${PID}"
    aliases: [a, 'b', 7, ~]
    proxy: http://localhost:${PORT}/x?y=z
    checkEndpoint: none
  "author/m:2.5":
    <<: [*base]
    cmd: >-
      run ${PORT}
    unlisted: yes
    name: "\\u00e9"
"""

PIECES = (
    *("", " ", "\n", "\t", "  ", ":", ": ", "-", "- ", "#", "&a ", "*a", "*base", "<<: *base"),
    *("!!int ", "!x ", "|", ">", "'", '"', "[", "]", "{", "}", ",", "?", "? ", "%YAML 1.1\n"),
    *("---\n", "...\n", "~", "null", "yes", "12", "-1", "1.5", ".nan", ".inf", "0o17", "1e99"),
    *("${PORT}", "${PID}", "${X}", "\x00", "\x07", "\x85", "\u2028", "\ufeff", "\ufffe", "é"),
    *("\N{GRINNING FACE}", "\\", "\\U0011ffff", "\\ud800", '"\\0"', "http://[", "\r", "@", "`"),
    *("models:", "x-", "99999999999999999999", "=", "&base ", "[*base, *base]", "{<<: *base}"),
)


# A mutation is one of these, at a random place of a text.


def dropped(lines: list[str], at: int, chance: random.Random) -> None:
    """A line is gone, or some."""
    del lines[at : at + chance.choice((1, 1, 1, 5))]


def doubled(lines: list[str], at: int, chance: random.Random) -> None:
    """A block stands twice."""
    block = lines[at : at + chance.choice((1, 1, 4))]
    place = chance.randrange(len(lines))
    lines[place:place] = block


def pierced(lines: list[str], at: int, chance: random.Random) -> None:
    """Something has got into a line."""
    column = chance.randrange(len(lines[at]) + 1)
    lines[at] = lines[at][:column] + chance.choice(PIECES) + lines[at][column:]


def retyped(lines: list[str], at: int, chance: random.Random) -> None:
    """A value is of another type."""
    key, colon, _ = lines[at].partition(":")
    lines[at] = f"{key}{colon} {chance.choice(PIECES)}\n"


def nested(lines: list[str], at: int, chance: random.Random) -> None:
    """A block is a level deeper, or a value very many."""
    if chance.random() < 0.5:
        end = at + chance.randrange(1, 8)
        lines[at:end] = [f"  {line}" for line in lines[at:end]]
    else:
        deep = chance.choice((3, 39, 60, 5000))
        key, colon, value = lines[at].partition(":")
        lines[at] = f"{key}{colon} {'[' * deep}{value.strip()}{']' * deep}\n"


def lengthened(lines: list[str], at: int, chance: random.Random) -> None:
    """A name or a value is very long."""
    long = chance.choice(("x", "ab ", "é", "${A}", "&", "1", "a: ")) * chance.choice((300, 20_000))
    key, colon, value = lines[at].partition(":")
    lines[at] = f"{key}{long}{colon}{value}" if chance.random() < 0.5 else f"{key}: {long}\n"


def anchored(lines: list[str], at: int, chance: random.Random) -> None:
    """A value has an anchor, and is used or merged elsewhere."""
    key, colon, value = lines[at].partition(":")
    lines[at] = f"{key}{colon} &z{value or chr(10)}"
    other = chance.randrange(len(lines))
    indent = lines[other][: len(lines[other]) - len(lines[other].lstrip())]
    lines.insert(
        other, f"{indent}{chance.choice(('<<: *z', '<<: [*z, *z]', 'ttl: *z', 'x: *z'))}\n"
    )


def shortened(lines: list[str], at: int, chance: random.Random) -> None:
    """A character is gone."""
    column = chance.randrange(len(lines[at]) + 1)
    lines[at] = lines[at][:column] + lines[at][column + 1 :]


MUTATIONS = (dropped, doubled, pierced, retyped, nested, lengthened, anchored, shortened)

# Every key there is, without the comments, which are half of the file.
COMPLETE = "".join(
    line
    for line in (CONFIGS / "example.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    if not line.lstrip().startswith("#")
)

# SWAPD_MUTATIONS=10000 is for an evening; then none may take longer than a second.
COUNT = int(os.environ.get("SWAPD_MUTATIONS", "200"))


@settings(max_examples=COUNT, deadline=None)
@given(st.sampled_from([SOUND, COMPLETE]), st.randoms(use_true_random=False), st.integers(1, 4))
def test_a_broken_configuration_is_never_a_traceback(
    text: str, chance: random.Random, times: int
) -> None:
    """Whatever an editor, a template or a cat on the keyboard makes of the file."""
    for _ in range(times):
        lines = text.splitlines(keepends=True) or [""]
        chance.choice(MUTATIONS)(lines, chance.randrange(len(lines)), chance)
        text = "".join(lines)
    gc.disable()  # What Hypothesis has piled up is not the loader's.
    began = time.process_time()
    found = problems(text)
    took = time.process_time() - began
    gc.enable()
    if COUNT >= 10_000:
        assert took < 1
    for problem in found:
        assert problem.problem.message
        assert problem.place is not None
        assert problem.place.file == "f.yaml"
        assert 1 <= problem.place.line <= len(text.splitlines()) + 1
        assert problem.place.column >= 1


def test_the_sound_configuration_is_sound() -> None:
    """Else the mutations above would all be stopped by the same mistake."""
    assert list(loaded(SOUND).models) == ["qwen", "author/m:2.5"]
    assert list(loaded(COMPLETE).models) == ["qwen3-8b", "whisper", "embed"]


@given(st.text())
def test_no_text_is_a_traceback(text: str) -> None:
    """Not even one that was never meant to be a configuration."""
    assert all(problem.place is not None for problem in problems(text))
