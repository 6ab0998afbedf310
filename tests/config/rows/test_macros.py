"""Rows C130 to C190: macros."""

from collections.abc import Callable

import pytest

from swapd.config.kinds import Modality
from swapd.config.load import Loaded
from swapd.config.settings import Capabilities
from swapd.ids import ModelId
from tests.config.rows.loading import assert_refused, loaded, model

MANY = """\
startPort: 9990
macros:
  svr-path: "path/to/server"
  argOne: "--arg1"
  argTwo: "--arg2"
  autoPort: "--port ${PORT}"
  overridden: failed
models:
  model1:
    macros:
      overridden: success
    cmd: |
      ${svr-path} ${argTwo}
      # the automatic ${PORT} is replaced
      ${autoPort}
      ${argOne}
      --arg3 three
      --overridden ${overridden}
    cmdStop: |
      /path/to/stop.sh --port ${PORT} ${argTwo}
"""

COMMENTED = """\
startPort: 9990
macros:
  latest-llama: |
    /user/llama.cpp/build/bin/llama-server
    --port ${PORT}
models:
  model1:
    cmd: |
      # ${latest-llama} is a macro of two lines
      ${latest-llama}
      --model /path/to/model.gguf -ngl 99
"""

TYPES = """\
macros: {PORT_NUM: 10001, TEMP: 0.7, ENABLED: true, NAME: Test Model, CTX: 16384}
models:
  a:
    cmd: x
    proxy: http://h
    metadata:
      port: ${PORT_NUM}
      temperature: ${TEMP}
      enabled: "${ENABLED}"
      name: ${NAME}
      context: "${CTX}"
      note: "Running on port ${PORT_NUM} with temp ${TEMP} and context ${CTX}"
"""

NESTED = """\
startPort: 10000
macros: {TEMP: 0.7}
models:
  a:
    cmd: s --port ${PORT}
    metadata:
      config: {port: "${PORT}", deep: {temperature: "${TEMP}"}}
      list: ["${TEMP}", "port:${PORT}", [{x: "${TEMP}"}]]
"""

EVERYWHERE = """\
macros: {TTL: 120, LOADING: true, HEADER: X-Macro-Session, FIRST: model1, CONNECT: 12}
globalTTL: "${TTL}"
sendLoadingState: ${LOADING}
ui: {activity: {session_id: ["${HEADER}"]}}
hooks: {on_startup: {preload: ["${FIRST}"]}}
models:
  model1:
    macros: {OWN: 30}
    cmd: x
    proxy: http://h
    ttl: ${OWN}
    timeouts: {connect: "${CONNECT}"}
    env: ["MODEL=${MODEL_ID}"]
"""

ANCHORED = """\
x-server: &server
  cmd: "s --name ${LOCAL}"
  proxy: http://h
  env: ["L=${LOCAL}"]
  metadata: {local: "${LOCAL}"}
models:
  a: {<<: *server, macros: {LOCAL: one}}
  b: {<<: *server, macros: {LOCAL: two}}
"""

CAPABLE = """\
x-capabilities: &c {in: [text, image], out: [text], tools: true, context: "${default_ctx}"}
models:
  a: {M, macros: {default_ctx: 4096}, capabilities: {<<: [*c]}}
  b: {M, macros: {default_ctx: 8192}, capabilities: {<<: [*c]}}
  c: {M, macros: {default_ctx: 1}, capabilities: {<<: *c, context: 202752}}
"""


def command(found: Loaded) -> str:
    """Pick the command of the model a."""
    return found.settings.models[ModelId("a")].cmd


def metadata(found: Loaded) -> object:
    """Pick the metadata of the model a."""
    return found.settings.models[ModelId("a")].metadata


def contexts(found: Loaded) -> list[int]:
    """Pick the context lengths of all models."""
    return [model.capabilities.context for model in found.settings.models.values()]


def ports(found: Loaded) -> dict[str, int]:
    """Pick the ports of all models."""
    return {str(own): model.origin.port for own, model in found.settings.models.items()}


@pytest.mark.parametrize(
    ("text", "look", "found"),
    [
        pytest.param(
            MANY,
            lambda c: (
                " ".join(c.settings.models["model1"].argv),
                " ".join(c.settings.models["model1"].stop_argv),
            ),
            (
                "path/to/server --arg2 --port 9990 --arg1 --arg3 three --overridden success",
                "/path/to/stop.sh --port 9990 --arg2",
            ),
            id="C130",
        ),
        pytest.param(
            f"macros: {{{'m' * 63}: v}}\n"
            f'models: {{a: {{cmd: "x ${{{"m" * 63}}}", proxy: http://h}}}}',
            command,
            "x v",
            id="C135-63",
        ),
        pytest.param(
            'macros: {D: 2020-01-01}\nmodels: {a: {cmd: "x ${D}", proxy: http://h}}',
            command,
            "x 2020-01-01",
            id="C136-date-ours",
        ),
        pytest.param(
            "macros: {S: text, I: 5, F: 0.5, B: true}\n"
            'models: {a: {cmd: "x ${S} ${I} ${F} ${B}", proxy: http://h}}',
            command,
            "x text 5 0.5 true",
            id="C137",
        ),
        pytest.param(
            'macros: {A: value-A, B: "prefix-${A}-suffix"}\n'
            'models: {a: {cmd: "echo ${B}", proxy: http://h}}',
            command,
            "echo prefix-value-A-suffix",
            id="C139",
        ),
        pytest.param(
            'macros: {base: /models, path: "${base}/llama", full: "${path}/model.gguf"}\n'
            'models: {a: {cmd: "load ${full}", proxy: http://h}}',
            command,
            "load /models/llama/model.gguf",
            id="C140",
        ),
        pytest.param(
            'macros: {podman: "podman run --name ${MODEL_ID} image"}\n'
            'models: {my-model: {cmd: "${podman} x", proxy: http://h}}',
            lambda c: c.settings.models["my-model"].cmd,
            "podman run --name my-model image x",
            id="C141",
        ),
        pytest.param(
            'macros: {tag: global, msg: "value-${tag}"}\n'
            'models: {a: {macros: {tag: model-level}, cmd: "echo ${msg}", proxy: http://h}}',
            command,
            "echo value-model-level",
            id="C142",
        ),
        pytest.param(
            'macros: {A: "x${B}", B: "y${A}", C: "${NOPE}"}\nmodels: {a: M}',
            command,
            "x",
            id="C145",
        ),
        pytest.param(
            'models: {a: {macros: {Z: zz, A: "${Z}"}, cmd: "${A}", proxy: http://h}}',
            command,
            "zz",
            id="C149",
        ),
        pytest.param(
            TYPES,
            metadata,
            {
                "port": 10001,
                "temperature": 0.7,
                "enabled": True,
                "name": "Test Model",
                "context": 16384,
                "note": "Running on port 10001 with temp 0.7 and context 16384",
            },
            id="C150",
        ),
        pytest.param(
            NESTED,
            metadata,
            {
                "config": {"port": 10000, "deep": {"temperature": 0.7}},
                "list": [0.7, "port:10000", [{"x": 0.7}]],
            },
            id="C151",
        ),
        pytest.param(
            "macros: {TEMP: 0.7, GLOBAL: g}\n"
            "models: {a: {M, macros: {TEMP: 0.9, LOCAL: l},"
            ' metadata: {t: "${TEMP}", g: "${GLOBAL}", l: "${LOCAL}"}}}',
            metadata,
            {"t": 0.9, "g": "g", "l": "l"},
            id="C152",
        ),
        pytest.param(
            "macros: {QUANT: Q4}\n"
            'models: {a: {M, name: "A ${QUANT}", description: "${MODEL_ID} in ${QUANT}"}}',
            lambda c: (c.settings.models["a"].name, c.settings.models["a"].description),
            ("A Q4", "a in Q4"),
            id="C154",
        ),
        pytest.param(
            EVERYWHERE,
            lambda c: (
                c.written.global_ttl,
                c.written.send_loading_state,
                c.settings.session_headers,
                c.settings.preload,
                c.settings.models["model1"].ttl,
                c.settings.models["model1"].timeouts.connect,
                c.settings.models["model1"].env,
            ),
            (120, True, ("X-Macro-Session",), ("model1",), 30.0, 12.0, ("MODEL=model1",)),
            id="C156",
        ),
        pytest.param(
            'macros: {KEY: k}\nmodels: {a: {M, metadata: {"${KEY}": "${KEY}"}}}',
            metadata,
            {"${KEY}": "k"},
            id="C157",
        ),
        pytest.param(
            'macros: {FIRST_PORT: 6200}\nstartPort: "${FIRST_PORT}"\n'
            'models: {a: {cmd: "x ${PORT}"}, b: {cmd: "y ${PORT}"}}',
            ports,
            {"a": 6200, "b": 6201},
            id="C159",
        ),
        pytest.param(
            "startPort: 6100\n"
            'models: {a: {cmd: "x ${PORT}", checkEndpoint: "/health/${PORT}",'
            ' aliases: ["port-${PORT}"], metadata: {port: "${PORT}"}}}',
            lambda c: (
                c.settings.models["a"].check_endpoint,
                c.settings.models["a"].aliases,
                c.settings.models["a"].metadata,
            ),
            ("/health/6100", ("port-6100",), {"port": 6100}),
            id="C160",
        ),
        pytest.param(
            'models: {a: {M, cmdStop: "kill ${PID}"}}',
            lambda c: c.settings.models["a"].cmd_stop,
            "kill ${PID}",
            id="C161",
        ),
        pytest.param(
            'macros: {STOP: "kill ${PID}"}\nmodels: {a: {M, cmdStop: "${STOP}"}}',
            lambda c: c.settings.models["a"].cmd_stop,
            "kill ${PID}",
            id="C162",
        ),
        pytest.param(
            "startPort: 6300\n"
            'models: {model1: {cmd: "x ${PORT}",'
            ' filters: {setParamsByID: {"model1:${PORT}": {a: 1}}}}}',
            lambda c: (
                c.settings.models["model1"].aliases,
                c.settings.models["model1"].filters.by_name,
            ),
            (("model1:6300",), {"model1:6300": {"a": 1}}),
            id="C164",
        ),
        pytest.param(
            'models: {a: {cmd: "x ${PORT}"}, b: {cmd: y, proxy: "http://h:1"},'
            ' c: {cmd: "z ${PORT}"}}',
            ports,
            {"a": 5800, "b": 1, "c": 5801},
            id="C165",
        ),
        pytest.param(
            'startPort: 9000\nmodels: {model1: {cmd: "x ${PORT}"}, model2: {cmd: "x ${PORT}"},'
            ' "author/model:F16": {cmd: "x ${PORT}"}}',
            ports,
            {"model1": 9001, "model2": 9002, "author/model:F16": 9000},
            id="C167",
        ),
        pytest.param(
            'startPort: 7000\nmodels: {zeta: {cmd: "${PORT}"}, Alpha: {cmd: "${PORT}"},'
            ' alpha: {cmd: "${PORT}"}, "10": {cmd: "${PORT}"}, "9": {cmd: "${PORT}"},'
            ' beta: {cmd: x, proxy: "http://h:1"}}',
            ports,
            {"zeta": 7004, "Alpha": 7002, "alpha": 7003, "10": 7000, "9": 7001, "beta": 1},
            id="C168",
        ),
        pytest.param(
            COMMENTED,
            lambda c: " ".join(c.settings.models["model1"].argv),
            "/user/llama.cpp/build/bin/llama-server --port 9990 "
            "--model /path/to/model.gguf -ngl 99",
            id="C173",
        ),
        pytest.param(
            ANCHORED,
            lambda c: [
                (model.cmd, model.env, model.metadata) for model in c.settings.models.values()
            ],
            [
                ("s --name one", ("L=one",), {"local": "one"}),
                ("s --name two", ("L=two",), {"local": "two"}),
            ],
            id="C175",
        ),
        pytest.param(CAPABLE, lambda c: contexts(c)[:2], [4096, 8192], id="C176"),
        pytest.param(
            CAPABLE,
            lambda c: c.settings.models["c"].capabilities,
            Capabilities(
                inputs=(Modality.TEXT, Modality.IMAGE),
                outputs=(Modality.TEXT,),
                tools=True,
                context=202752,
            ),
            id="C177",
        ),
        pytest.param(
            "macros: {ctx: 4096, kind: text, yes_: true}\n"
            "models:\n"
            "  a:\n"
            "    cmd: x\n"
            "    proxy: http://h\n"
            "    capabilities:\n"
            "      context: ${ctx}\n"
            '      in: ["${kind}", image]\n'
            '      tools: "${yes_}"\n'
            "      reranker: ${yes_}\n",
            lambda c: c.settings.models["a"].capabilities,
            Capabilities(
                inputs=(Modality.TEXT, Modality.IMAGE), tools=True, reranker=True, context=4096
            ),
            id="C178",
        ),
        pytest.param(
            'macros: {T: true}\nmodels: {a: {M, name: "${T}"}}',
            lambda c: c.settings.models["a"].name,
            "true",
            id="C180",
        ),
        pytest.param(
            'macros: {T: 5.0}\nglobalTTL: "${T}"', lambda c: c.written.global_ttl, 5, id="C181"
        ),
        pytest.param(
            'macros: {A: glob}\nx-block: &b {cmd: "x ${A}", proxy: http://h}\n'
            "models: {a: {<<: *b, macros: {A: loc}}}",
            command,
            "x loc",
            id="C189-D28",
        ),
        pytest.param(
            'macros: {E: 30s}\nperformance: {every: "${E}"}',
            lambda c: c.settings.performance.every,
            30.0,
            id="C190",
        ),
        pytest.param(
            'x-d: &d {A: "1"}\nmacros: {<<: *d, B: "2"}\n'
            'models: {a: {cmd: "x ${A} ${B}", proxy: http://h}}',
            command,
            "x 1 2",
            id="C185-ours",
        ),
        pytest.param(
            "models: {a: {cmd: \"sh -c 'echo ${HOME:-x}'\", proxy: http://h}}",
            command,
            "sh -c 'echo ${HOME:-x}'",
            id="C186",
        ),
        pytest.param(
            "macros: {KEY: sk-1, STRIP: top_k, CTX: 4096}\n"
            'peers: {openrouter: {proxy: http://p, models: [m], apiKey: "${KEY}",'
            ' filters: {stripParams: "${STRIP}", setParams: {ctx: "${CTX}"}}}}',
            lambda c: (
                c.settings.peers["openrouter"].api_key,
                c.settings.peers["openrouter"].filters.strip,
                c.settings.peers["openrouter"].filters.set_params,
            ),
            ("sk-1", ("top_k",), {"ctx": 4096}),
            id="C187",
        ),
    ],
)
def test_macros_are_filled_in_as_in_llama_swap(
    text: str, look: Callable[[Loaded], object], found: object
) -> None:
    """Each with its type, the last first, a model's own before the common one of that name."""
    seen = look(loaded(text))

    assert seen == found
    assert repr(seen) == repr(found)  # 5 is not 5.0, and 1 not true


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        *(
            pytest.param(
                f"macros: {{»{name}: x}}", f"macros.{name}", "reserved", id=f"C131-{name}"
            )
            for name in ("PORT", "MODEL_ID", "PID")
        ),
        *(
            pytest.param(
                f"models: {{model1: {{M, macros: {{»{name}: x}}}}}}",
                f"models.model1.macros.{name}",
                "reserved",
                id=f"C132-{name}",
            )
            for name in ("PORT", "MODEL_ID", "PID")
        ),
        pytest.param(
            "macros: {»bad.name: value}", 'macros."bad.name"', "letters, digits", id="C134"
        ),
        pytest.param(
            f"macros: {{»{'m' * 64}: v}}", f"macros.{'m' * 64}", "63 characters", id="C135-64"
        ),
        pytest.param("macros: {»A: {b: c}}", "macros.A", "not a mapping", id="C136-mapping"),
        pytest.param("macros: {»A: [b]}", "macros.A", "not a list", id="C136-list"),
        pytest.param("macros: {»A: }", "macros.A", "not null", id="C136-null"),
        pytest.param(
            'macros: {recursive: »"value-${recursive}"}',
            "macros.recursive",
            "a macro cannot contain itself",
            id="C138",
        ),
        pytest.param("»macros: [a]", "macros", "expected a mapping, got a list", id="C184-list"),
        pytest.param("macros: »a", "macros", 'expected a mapping, got "a"', id="C184-scalar"),
    ],
)
def test_a_declaration_that_cannot_be_used_is_refused(text: str, path: str, says: str) -> None:
    """Even when nothing uses it yet: it was written to be used."""
    assert_refused(text, path, says)


@pytest.mark.parametrize(
    ("text", "path", "name"),
    [
        *(
            pytest.param(
                f"models: {{model1: {{{fields}}}}}",
                f"models.model1.{field}",
                "unknownMacro",
                id=f"C133-{field}",
            )
            for field, fields in (
                ("cmd", 'cmd: »"x ${unknownMacro}", proxy: http://h'),
                ("cmdStop", 'cmd: x, proxy: http://h, cmdStop: »"x ${unknownMacro}"'),
                ("proxy", 'cmd: x, proxy: »"http://${unknownMacro}"'),
                ("checkEndpoint", 'cmd: x, proxy: http://h, checkEndpoint: »"/${unknownMacro}"'),
                (
                    "filters.stripParams",
                    'cmd: x, proxy: http://h, filters: {stripParams: »"a, ${unknownMacro}"}',
                ),
            )
        ),
        pytest.param(
            'macros: {FIRST: "value-${SECOND}", SECOND: x}\n'
            'models: {a: {cmd: »"echo ${FIRST}", proxy: http://h}}',
            "models.a.cmd",
            "SECOND",
            id="C143",
        ),
        *(
            pytest.param(
                'macros: {A: "x${B}", B: "y${A}"}\n'
                f'models: {{a: {{cmd: »"${{{used}}}", proxy: http://h}}}}',
                "models.a.cmd",
                "B",
                id=f"C144-{used}",
            )
            for used in ("A", "B")
        ),
        pytest.param(
            'macros: {A: "x ${UNDEFINED}"}\nmodels: {a: {cmd: »"x ${A}", proxy: http://h}}',
            "models.a.cmd",
            "UNDEFINED",
            id="C146",
        ),
        pytest.param(
            "models: {owner: {M, macros: {LOCAL: x}},"
            ' other: {cmd: »"x ${LOCAL}", proxy: http://h}}',
            "models.other.cmd",
            "LOCAL",
            id="C147",
        ),
        pytest.param(
            "macros: {A: a}\n"
            'models: {a: {macros: {Z: zz, A: "${Z}"}, cmd: »"${A}", proxy: http://h}}',
            "models.a.cmd",
            "Z",
            id="C148",
        ),
        pytest.param(
            'models: {a: {M, metadata: {deep: {of: [»"${NOPE}"]}}}}',
            "models.a.metadata.deep.of[0]",
            "NOPE",
            id="C153",
        ),
        pytest.param('models: {a: {M, name: »"${NOPE}"}}', "models.a.name", "NOPE", id="C155"),
        pytest.param(
            'models: {a: {M, metadata: {pid: »"${PID}"}}}',
            "models.a.metadata.pid",
            "PID",
            id="C163-metadata",
        ),
        pytest.param(
            'models: {a: {cmd: »"x ${PID}", proxy: http://h}}',
            "models.a.cmd",
            "PID",
            id="C163-cmd",
        ),
        pytest.param(
            'models: {a: {M, cmdStop: »"k ${PORT}"}}', "models.a.cmdStop", "PORT", id="C169"
        ),
        pytest.param(
            'models: {a: {M, metadata: {p: »"${PORT}"}}}',
            "models.a.metadata.p",
            "PORT",
            id="C170",
        ),
        pytest.param(
            'hooks: {on_startup: {preload: [»"${PORT}"]}}',
            "hooks.on_startup.preload[0]",
            "PORT",
            id="C171",
        ),
        pytest.param('apiKeys: [»"${MODEL_ID}"]', "apiKeys[0]", "MODEL_ID", id="C172"),
        pytest.param(
            'models: {a: {cmd: »"x --a 1 # ${NOPE}", proxy: http://h}}',
            "models.a.cmd",
            "NOPE",
            id="C174",
        ),
        pytest.param(
            'models: {a: {M, capabilities: {context: »"${undefined_macro}"}}}',
            "models.a.capabilities.context",
            "undefined_macro",
            id="C179",
        ),
        pytest.param(
            'peers: {openrouter: {proxy: http://p, models: [m], apiKey: »"${NOPE}"}}',
            "peers.openrouter.apiKey",
            "NOPE",
            id="C188-apiKey",
        ),
        pytest.param(
            "peers: {openrouter: {proxy: http://p, models: [m],"
            ' filters: {setParams: {value: »"${NOPE}"}}}}',
            "peers.openrouter.filters.setParams.value",
            "NOPE",
            id="C188-setParams",
        ),
    ],
)
def test_a_macro_that_is_not_known_there_is_refused(text: str, path: str, name: str) -> None:
    """A command that is run with "${...}" in it fails in stranger ways."""
    assert_refused(text, path, f"unknown macro ${{{name}}}")


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        pytest.param(
            "macros: {FIRST: shared, SECOND: shared}\n"
            "models: {a: {M, filters: {setParamsByID:"
            ' {"${FIRST}": {t: 1}, »"${SECOND}": {t: 2}}}}}',
            "models.a.filters.setParamsByID.${SECOND}",
            '"${FIRST}" and "${SECOND}" both become "shared"',
            id="C158",
        ),
        pytest.param(
            "models: {»model1: {cmd: svr --port 111}}",
            "models.model1.proxy",
            "proxy uses ${PORT} but cmd does not",
            id="C166",
        ),
        pytest.param(
            'macros: {T: 5}\nglobalTTL: »"${T}0"',
            "globalTTL",
            'expected a whole number, got "50"',
            id="C182",
        ),
    ],
)
def test_what_macros_come_to_is_checked_like_anything_else(
    text: str, path: str, says: str
) -> None:
    """The mistake is told where it was written, in words about what came out."""
    assert_refused(text, path, says)


@pytest.mark.parametrize(
    "text", [pytest.param('models: {a: {M, bogus: »"${NOPE}"}}', id="C183-D28")]
)
def test_an_unknown_key_does_not_hide_an_unknown_macro(text: str) -> None:
    """Both are mistakes, and both are told."""
    assert_refused(text, "models.a.bogus", "unknown macro ${NOPE}", among_others=True)
    other = text.replace("»", "").replace("bogus", "»bogus")
    assert_refused(other, "models.a.bogus", 'unknown key "bogus"', among_others=True)


@pytest.mark.parametrize("row", [pytest.param(COMMENTED, id="C173-words")])
def test_a_comment_spills_no_macro_into_the_command(row: str) -> None:
    """Half of a macro of two lines would stand behind the comment, as arguments."""
    assert "is a macro" not in model(row, named="model1").cmd
