"""Rows C001 to C050: defaults and scalars."""

from collections.abc import Callable

import pytest

from swapd.config.kinds import LogLevel, LogTarget, RouterKind, SchedulerKind
from swapd.config.load import Loaded
from swapd.config.settings import Capabilities, Filters, Group, Timeouts
from tests.config.rows.loading import assert_refused, loaded, model, remarks

SMALLEST = 'models: {model1: {cmd: "path/to/cmd --port ${PORT}"}}'


@pytest.mark.parametrize("text", [pytest.param("", id="C001-D1")])
def test_nothing_written_is_all_defaults(text: str) -> None:
    """The scheduler is the one default that is not llama-swap's."""
    found = loaded(text)
    settings, written = found.settings, found.written

    assert written.start_port == 5800
    assert written.health_check_timeout == 120
    assert written.global_ttl == 0
    assert written.unload_timeout == 10
    assert written.send_loading_state is False
    assert (settings.log_level, settings.log_time_format) == (LogLevel.INFO, "")
    assert settings.log_to_stdout is LogTarget.PROXY
    assert settings.metrics_max_in_memory == 1000
    assert settings.capture_buffer == 5
    assert settings.performance.every == 5
    assert (settings.router, settings.scheduler) == (RouterKind.GROUP, SchedulerKind.SERIAL)
    assert found.remarks == ()


@pytest.mark.parametrize("text", [pytest.param(SMALLEST, id="C002")])
def test_a_model_needs_a_command_and_nothing_else(text: str) -> None:
    """Everything else has a default that serves."""
    found = model(text, named="model1")

    assert found.cmd == "path/to/cmd --port 5800"
    assert found.argv == ("path/to/cmd", "--port", "5800")
    assert found.proxy == "http://localhost:5800"
    assert found.check_endpoint == "/health"
    assert (found.cmd_stop, found.stop_argv) == ("", None)
    assert (found.aliases, found.env) == ((), ())
    assert (found.ttl, found.unload_timeout, found.health_timeout) == (0, 10, 120)
    assert (found.unlisted, found.use_model_name) == (False, "")
    assert found.concurrency_limit == 0
    assert found.filters == Filters()
    assert found.capabilities == Capabilities()


@pytest.mark.parametrize("text", [pytest.param(SMALLEST, id="C003")])
def test_a_model_of_no_group_is_in_the_default_group(text: str) -> None:
    """One model at a time is what an operator gets who says nothing."""
    (own,) = loaded(text).settings.models
    group = Group(swap=True, exclusive=True, persistent=False, members=(own,))

    assert loaded(text).settings.groups == {"(default)": group}


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        pytest.param("startPort: »abcd", "startPort", 'a whole number, got "abcd"', id="C005"),
        pytest.param("startPort: »-99", "startPort", "must be at least 1, got -99", id="C006"),
        pytest.param("startPort: »0", "startPort", "must be at least 1, got 0", id="C007"),
        pytest.param('startPort: »"6000"', "startPort", 'whole number, got "6000"', id="C008"),
        pytest.param("»- a", "", "must be a mapping", id="C010"),
        pytest.param("startPort: 1\n»startPort: 2", "startPort", "already defined", id="C011"),
        pytest.param("»foo: ${NOPE}", "foo", 'unknown key "foo"', id="C013-D28"),
        pytest.param(
            "models: {a: {M, »healthCheckTimeout: 99}}",
            "models.a.healthCheckTimeout",
            'unknown key "healthCheckTimeout"',
            id="C016-D28",
        ),
        pytest.param('logToStdout: »""', "logToStdout", "proxy, upstream, both, none", id="C017"),
        pytest.param(
            "logToStdout: »Proxy", "logToStdout", "proxy, upstream, both, none", id="C018"
        ),
        pytest.param("globalTTL: »-1", "globalTTL", "must be at least 0, got -1", id="C024"),
        pytest.param("models: {a: {M, ttl: »-2}}", "models.a.ttl", "got -2", id="C025"),
        pytest.param(
            "unloadTimeout: »-1", "unloadTimeout", "must be at least 0, got -1", id="C030"
        ),
        pytest.param(
            "models: {model1: {M, unloadTimeout: »-1}}",
            "models.model1.unloadTimeout",
            "must be at least 0, got -1",
            id="C031",
        ),
        pytest.param('sendLoadingState: »"true"', "sendLoadingState", "true or false", id="C034"),
        pytest.param(
            "models: {a: {M, timeouts: {»bogus: 1}}}",
            "models.a.timeouts.bogus",
            'unknown key "bogus"',
            id="C043-D28",
        ),
        pytest.param("models: {»a: }", "models.a", "a mapping, got null", id="C045-D28"),
        pytest.param("models: {»a: [1]}", "models.a", "a mapping, got a list", id="C046"),
        pytest.param("»models: []", "models", "a mapping, got a list", id="C047"),
        pytest.param('models: {a: {M, env: »"A=b"}}', "models.a.env", "a list", id="C048"),
        pytest.param("models: {»1: M}", "models.1", "not text", id="C049-D28"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(text: str, path: str, says: str) -> None:
    """Whoever mistypes a number learns its line, not a default that looks like an answer."""
    assert_refused(text, path, says)


@pytest.mark.parametrize(
    ("text", "look", "found"),
    [
        pytest.param("startPort: 1000", lambda c: c.written.start_port, 1000, id="C004"),
        pytest.param("startPort:", lambda c: c.written.start_port, 5800, id="C009"),
        pytest.param(
            "startPort: 1000\n---\nstartPort: 2000",
            lambda c: c.written.start_port,
            1000,
            id="C012",
        ),
        pytest.param("x-foo: ${NOPE}", lambda c: c.settings.models, {}, id="C013-D28-x"),
        *(
            pytest.param(
                f"healthCheckTimeout: {seconds}\nmodels: {{a: M, b: M}}",
                lambda c: [
                    c.written.health_check_timeout,
                    *(model.health_timeout for model in c.settings.models.values()),
                ],
                [15, 15, 15],
                id=row,
            )
            for row, seconds in (("C014-zero", 0), ("C014-negative", -5), ("C015", 15))
        ),
        pytest.param(
            "models: {a: M}", lambda c: c.settings.models["a"].health_timeout, 120, id="C016"
        ),
        pytest.param(
            "globalTTL: 300\nmodels: {a: M}",
            lambda c: c.settings.models["a"].ttl,
            300,
            id="C020",
        ),
        pytest.param(
            "globalTTL: 300\nmodels: {a: {M, ttl: 0}}",
            lambda c: c.settings.models["a"].ttl,
            0,
            id="C021",
        ),
        pytest.param(
            "globalTTL: 300\nmodels: {a: {M, ttl: 600}}",
            lambda c: c.settings.models["a"].ttl,
            600,
            id="C022",
        ),
        pytest.param("models: {a: M}", lambda c: c.settings.models["a"].ttl, 0, id="C023"),
        pytest.param(
            "models: {a: {M, ttl: 1.5}}", lambda c: c.settings.models["a"].ttl, 1, id="C026"
        ),
        pytest.param(
            "unloadTimeout: 25\nmodels: {a: M}",
            lambda c: (c.written.unload_timeout, c.settings.models["a"].unload_timeout),
            (25, 25),
            id="C027",
        ),
        pytest.param(
            "unloadTimeout: 25\nmodels: {model1: {M, unloadTimeout: 45}, model2: M}",
            lambda c: (
                c.written.unload_timeout,
                c.settings.models["model1"].unload_timeout,
                c.settings.models["model2"].unload_timeout,
            ),
            (25, 45, 25),
            id="C028",
        ),
        pytest.param(
            "unloadTimeout: 25\nmodels: {a: {M, unloadTimeout: 0}}",
            lambda c: c.settings.models["a"].unload_timeout,
            25,
            id="C029",
        ),
        pytest.param(
            "sendLoadingState: true\nmodels: {m1: {M, sendLoadingState: false}, m2: M}",
            lambda c: [model.send_loading_state for model in c.settings.models.values()],
            [False, True],
            id="C032",
        ),
        pytest.param(
            "sendLoadingState: yes", lambda c: c.written.send_loading_state, True, id="C033"
        ),
        pytest.param(
            "sendLoadingState: true\nmodels: {a: {M, sendLoadingState: }}",
            lambda c: c.settings.models["a"].send_loading_state,
            True,
            id="C035",
        ),
        pytest.param(
            "ui: {activity: {session_id: [' X-Trace-ID ', '', x-trace-id, X-Session-ID]}}",
            lambda c: c.settings.session_headers,
            ("X-Trace-ID", "X-Session-ID"),
            id="C036",
        ),
        pytest.param(
            "ui: {activity: {session_id: []}}",
            lambda c: c.settings.session_headers,
            (),
            id="C037",
        ),
        pytest.param(
            "ui: {activity: {session_id: }}",
            lambda c: c.settings.session_headers,
            (),
            id="C038",
        ),
        pytest.param(
            "ui: {activity: {}}",
            lambda c: c.settings.session_headers,
            ("X-Session-ID", "X-Litellm-Session-Id"),
            id="C039",
        ),
        pytest.param(
            "models: {a: {M, timeouts: {connect: 45, responseHeader: 120}}}",
            lambda c: c.settings.models["a"].timeouts,
            Timeouts(connect=45, response_header=120),
            id="C040",
        ),
        pytest.param(
            "models: {a: M}",
            lambda c: c.settings.models["a"].timeouts,
            Timeouts(
                connect=30,
                keepalive=30,
                response_header=0,
                tls_handshake=10,
                expect_continue=1,
                idle_conn=90,
            ),
            id="C041",
        ),
        pytest.param(
            "models: {a: {M, timeouts: {connect: 0, responseHeader: 0}}}",
            lambda c: (
                c.settings.models["a"].timeouts.connect,
                c.settings.models["a"].timeouts.response_header,
            ),
            (0, 0),
            id="C042",
        ),
        pytest.param(
            "models: {a: {cmd: 12, proxy: 'http://h'}}",
            lambda c: c.settings.models["a"].cmd,
            "12",
            id="C044",
        ),
        pytest.param(
            'models: {"1": {cmd: "x ${MODEL_ID}", proxy: "http://h"}}',
            lambda c: {own: model.cmd for own, model in c.settings.models.items()},
            {"1": "x 1"},
            id="C050",
        ),
    ],
)
def test_a_scalar_means_what_it_means_in_llama_swap(
    text: str, look: Callable[[Loaded], object], found: object
) -> None:
    """A configuration that has served for a year moves here without a change."""
    assert look(loaded(text)) == found


@pytest.mark.parametrize("text", [pytest.param("logLevel: junk\nlogTimeFormat: junk", id="C019")])
def test_an_unknown_way_to_log_is_remarked(text: str) -> None:
    """A daemon that does not start for the look of its log would be worse than a plain log."""
    assert [path for path, _ in remarks(text)] == ["logLevel", "logTimeFormat"]
    assert all('"junk"' in says for _, says in remarks(text))
    assert loaded(text).settings.log_level is LogLevel.INFO
