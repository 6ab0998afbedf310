"""Rows C100 to C125: environment variables."""

from collections.abc import Callable

import pytest

from swapd.config.load import Loaded
from swapd.ids import ModelId
from tests.config.rows.loading import assert_refused, loaded

NESTED = {"K1": "kk", "NEST": "${env.K1}"}


def command(found: Loaded) -> str:
    """Pick the command of the model a."""
    return found.settings.models[ModelId("a")].cmd


@pytest.mark.parametrize(
    ("environ", "text", "look", "found"),
    [
        pytest.param(
            {"TEST_MODEL_PATH": "/opt/models"},
            'models: {a: {cmd: "${env.TEST_MODEL_PATH}/llama-server", proxy: http://h}}',
            command,
            "/opt/models/llama-server",
            id="C100",
        ),
        pytest.param(
            {"TEST_HOST": "127.0.0.1", "TEST_PORT": "9000"},
            "models:\n"
            "  a:\n"
            '    cmd: "server --host ${env.TEST_HOST} --port ${env.TEST_PORT}"\n'
            '    proxy: "http://${env.TEST_HOST}:${env.TEST_PORT}"\n'
            '    checkEndpoint: "http://${env.TEST_HOST}/health"\n',
            lambda c: (
                command(c),
                c.settings.models["a"].proxy,
                c.written.models["a"].check_endpoint,
                c.settings.models["a"].check_endpoint,
            ),
            (
                "server --host 127.0.0.1 --port 9000",
                "http://127.0.0.1:9000",
                "http://127.0.0.1/health",
                "/health",
            ),
            id="C101",
        ),
        pytest.param(
            {"ROOT": "/data"},
            'macros: {DIR: "${env.ROOT}/bin"}\n'
            'models: {a: {cmd: "${DIR}/server", proxy: http://h}}',
            command,
            "/data/bin/server",
            id="C102",
        ),
        pytest.param(
            {"ROOT": "/data"},
            'models: {a: {macros: {DIR: "${env.ROOT}/own"}, cmd: "${DIR}/s", proxy: http://h}}',
            command,
            "/data/own/s",
            id="C103",
        ),
        pytest.param(
            {"REGION": "eu", "OWNER": "me"},
            'models: {a: {M, metadata: {region: "${env.REGION}", deep: {of: "${env.OWNER}!"}}}}',
            lambda c: c.settings.models["a"].metadata,
            {"region": "eu", "deep": {"of": "me!"}},
            id="C104",
        ),
        pytest.param(
            {"STRIP": "top_p, top_k"},
            'models: {a: {M, filters: {stripParams: "seed, ${env.STRIP}"}}}',
            lambda c: c.settings.models["a"].filters.strip,
            ("seed", "top_k", "top_p"),
            id="C105",
        ),
        pytest.param(
            {"SIG": "9"},
            'models: {a: {M, cmdStop: "kill -${env.SIG} ${PID}"}}',
            lambda c: c.settings.models["a"].cmd_stop,
            "kill -9 ${PID}",
            id="C106",
        ),
        pytest.param(
            {"U": "admin", "P": "secret"},
            'models: {a: {M, env: ["AUTH=${env.U}:${env.P}"]}}',
            lambda c: c.settings.models["a"].env,
            ("AUTH=admin:secret",),
            id="C108",
        ),
        pytest.param(
            {"ROOT": "/data"},
            'macros: {MODEL_BASE: "${env.ROOT}/models"}\n'
            'models: {test: {cmd: "s -m ${MODEL_BASE}/${MODEL_ID}.gguf", proxy: http://h}}',
            lambda c: c.settings.models["test"].cmd,
            "s -m /data/models/test.gguf",
            id="C109",
        ),
        pytest.param(
            {"V": 'value with "quotes"'},
            'models: {a: {cmd: "x ${env.V}", proxy: http://h}}',
            command,
            'x value with "quotes"',
            id="C111",
        ),
        pytest.param(
            {"V": r"path\to\file"},
            'models: {a: {cmd: "x ${env.V}", proxy: http://h}}',
            command,
            r"x path\to\file",
            id="C112",
        ),
        pytest.param(
            {"V": r'a"b\c'},
            "models:\n  a:\n    cmd: x ${env.V}\n    proxy: http://h\n",
            command,
            r"x a\"b\\c",
            id="C113",
        ),
        pytest.param(
            {"K": "sk-1"},
            'apiKeys: ["${env.K}"]',
            lambda c: c.settings.api_keys,
            ("sk-1",),
            id="C114-set",
        ),
        pytest.param(
            {"K": "sk-1"},
            "apiKeys: [${env.K}]",
            lambda c: c.settings.api_keys,
            ("sk-1",),
            id="C115",
        ),
        pytest.param(
            {},
            "# ${env.NOPE}\nmodels:\n  # and ${env.NOPE}\n  a: M # ${env.NOPE}\n",
            command,
            "x",
            id="C116",
        ),
        pytest.param(
            {"K": "sk-1"},
            "# ${env.NOPE}\napiKeys: [${env.K}] # ${env.NOPE}\n",
            lambda c: c.settings.api_keys,
            ("sk-1",),
            id="C117-ours",
        ),
        pytest.param(
            {"P1": "6000"},
            "startPort: ${env.P1}",
            lambda c: c.written.start_port,
            6000,
            id="C118",
        ),
        pytest.param(
            {},
            'models: {a: {cmd: "x ${env.1X} ${env.} ${env.A-B}", proxy: http://h}}',
            command,
            "x ${env.1X} ${env.} ${env.A-B}",
            id="C120",
        ),
        pytest.param(
            NESTED,
            'models: {a: {cmd: "x ${env.NEST} ${env.K1}", proxy: http://h}}',
            command,
            "x kk kk",
            id="C121",
        ),
        pytest.param(
            NESTED,
            'models: {a: {cmd: "x ${env.K1} ${env.NEST}", proxy: http://h}}',
            command,
            "x kk kk",
            id="C122-ours",
        ),
        pytest.param(
            {"V": "${A}"},
            'macros: {A: value}\nmodels: {a: {cmd: "x ${env.V}", proxy: http://h}}',
            command,
            "x value",
            id="C123",
        ),
        pytest.param(
            {"ONE": "sk-1", "TWO": "sk-2"},
            "peers:\n"
            '  p: {proxy: http://p, models: [m], apiKey: "${env.ONE}"}\n'
            '  q: {proxy: http://q, models: [n], apiKey: "${env.TWO}"}\n',
            lambda c: [peer.api_key for peer in c.settings.peers.values()],
            ["sk-1", "sk-2"],
            id="C124",
        ),
        pytest.param(
            {"STRIP": "top_k", "SITE": "here"},
            "peers:\n"
            "  p:\n"
            "    proxy: http://p\n"
            "    models: [m]\n"
            "    filters:\n"
            '      stripParams: "${env.STRIP}"\n'
            '      setParams: {site: "${env.SITE}"}\n',
            lambda c: (
                c.settings.peers["p"].filters.strip,
                c.settings.peers["p"].filters.set_params,
            ),
            (("top_k",), {"site": "here"}),
            id="C125",
        ),
    ],
)
def test_a_variable_is_filled_in_before_the_yaml_is_read(
    environ: dict[str, str], text: str, look: Callable[[Loaded], object], found: object
) -> None:
    """So that it may stand for a number, for a key of a peer, or inside a macro."""
    assert look(loaded(text, environ)) == found


@pytest.mark.parametrize(
    ("environ", "text", "path", "says"),
    [
        pytest.param(
            {},
            'models: {a: {cmd: »"${env.NOPE}/x", proxy: http://h}}',
            "models.a.cmd",
            "environment variable NOPE is not set",
            id="C107-cmd",
        ),
        pytest.param(
            {},
            'macros: {A: »"${env.NOPE}"}\nmodels: {a: {cmd: "x ${A}", proxy: http://h}}',
            "macros.A",
            "environment variable NOPE is not set",
            id="C107-macro",
        ),
        pytest.param(
            {},
            'models: {a: {macros: {A: »"${env.NOPE}"}, cmd: "x ${A}", proxy: http://h}}',
            "models.a.macros.A",
            "environment variable NOPE is not set",
            id="C107-own-macro",
        ),
        pytest.param(
            {},
            'models: {a: {M, metadata: {region: »"${env.NOPE}"}}}',
            "models.a.metadata.region",
            "environment variable NOPE is not set",
            id="C107-metadata",
        ),
        *(
            pytest.param(
                {"LINES": f"one{end}two"},
                'models: {a: {cmd: »"x ${env.LINES}", proxy: http://h}}',
                "models.a.cmd",
                "environment variable LINES contains newlines",
                id=row,
            )
            for row, end in (("C110-newline", "\n"), ("C110-return", "\r"))
        ),
        pytest.param(
            {},
            'apiKeys: [»"${env.K}"]',
            "apiKeys[0]",
            "environment variable K is not set",
            id="C114-unset",
        ),
        pytest.param(
            {"K": ""}, 'apiKeys: [»"${env.K}"]', "apiKeys[0]", "must not be empty", id="C114-empty"
        ),
        pytest.param(
            {},
            "models:\n  a:\n    proxy: http://h\n    cmd: »|\n      x\n      # ${env.NOPE}\n",
            "models.a.cmd",
            "environment variable NOPE is not set",
            id="C119",
        ),
    ],
)
def test_a_variable_that_cannot_be_filled_in_is_refused(
    environ: dict[str, str], text: str, path: str, says: str
) -> None:
    """A path that begins with nothing is another path, and a missing key is an open door."""
    assert_refused(text, path, says, environ)
