"""A configuration as it was understood: complete, readable again, and without its secrets."""

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from swapd.config.load import Loaded, loaded_from
from swapd.config.secrets import MASK
from swapd.config.show import as_tree, as_yaml
from swapd.config.source import parse
from swapd.config.values import Tree, Value
from swapd.config.written import WrittenSettings

RICH = """
logLevel: DEBUG
logTimeFormat: rfc3339
logToStdout: both
healthCheckTimeout: 3
startPort: 0x1770
globalTTL: 60.9
unloadTimeout: 0
metricsMaxInMemory: -1
captureBuffer: 0
sendLoadingState: on
includeAliasesInList: y
performance: {every: 1m30s}
upstream: {ignorePaths: ['\\.css$', "^/x\\ty"]}
ui: {activity: {session_id: [" X-A ", x-a, X-B]}}
hooks: {on_startup: {preload: [q, "a/b:c", gone]}}
macros: {bin: /bin/server, args: "--threads 8", size: 4096, on: true}
x-notes: {anything: [1]}
models:
  qwen:
    cmd: |
      ${bin} --port ${PORT} ${args}
        # a comment
        --name '${MODEL_ID}'\x20
    cmdStop: stop ${PID} ${MODEL_ID}
    aliases: [q, 5, "1e3", "yes", "~", "null", "0x10", "a: b"]
    env: ["A=b c", "MODE=x=y#z"]
    ttl: -1
    useModelName: "  spaced "
    name: " Qwen "
    metadata:
      size: ${size}
      text: "${size} tokens"
      "on": ${on}
      odd: [null, 1.5, 1e300, "1.5", "", " ", "a\\nb\\n", "a\\n\\n", "#", {k: {}}, [], "é\\t"]
    filters:
      strip_params: "temperature, top_p"
      setParams: {top_k: "${size}", stop: [a, "b\\nc"]}
      setParamsByID: {"${MODEL_ID}:high": {effort: high}, other: null}
    capabilities: {in: [text, image], tools: yes, context: 8e3}
    livenessInterval: 60
    prefetch: ["/m/${MODEL_ID}", "5"]
    timeouts: {connect: 5}
    compat: {ignoreWebsockets: true}
  "a/b:c": {cmd: 'run "$HOME" ${env.} $PORT', proxy: "https://h/x?y=z", checkEndpoint: none}
  "1": {cmd: one, proxy: "http://[::1]:80", concurrencyLimit: 3, prefetch: false}
  "true": {cmd: "run --port ${PORT}", macros: {mine: 1}, metadata: {}}
peers:
  p: {proxy: "http://p/", models: [m, m], filters: {stripParams: x}, timeouts: {connect: 1}}
selectors:
  any: {strategy: warm, targets: [q, "a/b:c"], settings: {spillover: 2}, name: " any "}
profiles:
  off: {pins: {q: ~, "1": "true", m: p/m}, description: nobody}
"""

GROUPS = (
    RICH.replace("warm", "spillover")
    + """
routing:
  scheduler:
    use: fifo
    settings: {fifo: {priority: {q: 5, "1": -1}, maxTurn: 0}, serial: {maxQueue: 5}}
groups:
  g: {swap: no, exclusive: off, persistent: yes, members: [qwen, "a/b:c"]}
"""
)

MATRIX = (
    RICH.replace("warm", "spillover")
    + """
routing: {scheduler: {use: fifo}}
matrix:
  vars: {q: qwen, ab: "a/b:c"}
  evict_costs: {q: 5}
  sets: {s10: q & ab, s9: "(q | +s10)"}
"""
)

# Texts that YAML could take for something else, or write in several ways.
ODD = st.text(alphabet="0123456789_.:eExXoOb+-~<=", max_size=5) | st.text(
    alphabet="ab \n\t'\"#:,-[]{}&*!|>%@`\\\r\x07é\u00a0\ufeff\N{GRINNING FACE}", max_size=8
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD, inner, max_size=3),
    max_leaves=6,
)


def loaded(text: str) -> Loaded:
    """Load a sound text."""
    return loaded_from([parse(text, file="f.yaml", environ={})])


def shown(text: str) -> Any:
    """Load a sound text and show it."""
    return as_tree(loaded(text).written)


def again(tree: Tree) -> Loaded:
    """Write a configuration as YAML, and load that."""
    return loaded(as_yaml(tree))


def test_nothing_is_left_to_fill_in() -> None:
    """Macros, ports, what is inherited and what was not said: all of it is there."""
    tree = shown(
        "startPort: 7000\nglobalTTL: 60\nunloadTimeout: 0\nhealthCheckTimeout: 1\n"
        "macros: {bin: /bin/server}\n"
        'models: {a: {cmd: "${bin} --port ${PORT}", macros: {own: 1}}}\n'
    )
    (model,) = tree["models"].values()

    assert "macros" not in tree
    assert "macros" not in model
    assert model["cmd"] == "/bin/server --port 7000"
    assert model["proxy"] == "http://localhost:7000"
    assert (model["ttl"], model["unloadTimeout"], tree["unloadTimeout"]) == (60, 10, 10)
    assert tree["healthCheckTimeout"] == 15
    assert tree["performance"] == {"disabled": False, "every": "5s"}
    assert tree["routing"]["scheduler"]["use"] == "serial"
    assert tree["routing"]["scheduler"]["settings"]["serial"] == {"maxQueue": 1000}
    assert model["filters"]["setParamsByID"] == {}
    assert model["timeouts"]["connect"] == 30


def test_old_spellings_have_become_new_ones() -> None:
    """What is shown is what should have been written."""
    tree = shown(GROUPS)

    assert tree["models"]["qwen"]["filters"]["stripParams"] == "temperature, top_p"
    assert "strip_params" not in tree["models"]["qwen"]["filters"]
    assert list(tree["routing"]["router"]["settings"]["groups"]) == ["g"]
    assert tree["routing"]["router"]["use"] == "group"
    assert not tree["groups"]
    assert "matrix" not in tree
    assert "logRequests" not in tree
    assert "enable" not in tree["performance"]


def test_what_waits_for_its_process_stays() -> None:
    """Only a running process has an id."""
    assert shown(RICH)["models"]["qwen"]["cmdStop"] == "stop ${PID} qwen"


def test_the_empty_configuration_has_all_defaults() -> None:
    """`swapd check --show` is how somebody learns them."""
    tree = shown("")

    assert as_tree(WrittenSettings())["startPort"] == tree["startPort"] == 5800
    assert tree["models"] == {}
    assert tree["apiKeys"] == []
    assert tree["ui"]["activity"]["session_id"] == ["X-Session-ID", "X-Litellm-Session-Id"]


@pytest.mark.parametrize(
    "text", ["", RICH, GROUPS, MATRIX], ids=["empty", "plain", "groups", "matrix"]
)
def test_what_is_shown_means_the_same(text: str) -> None:
    """Rule 1: who writes it into a file has the configuration that runs."""
    before = loaded(text)

    after = again(as_tree(before.written))

    assert after.settings == before.settings
    assert as_tree(after.written) == as_tree(before.written)
    assert list(after.settings.models) == list(before.settings.models)


def test_what_is_shown_has_only_plain_values() -> None:
    """Rule 1: it goes out as JSON, too."""

    def look(value: Value) -> None:
        assert type(value) in (str, int, float, bool, type(None), list, dict)
        if isinstance(value, (list, dict)):
            for below in value.values() if isinstance(value, dict) else value:
                look(below)
        if isinstance(value, dict):
            assert {type(key) for key in value} <= {str}

    for text in ("", RICH, GROUPS, MATRIX):
        look(shown(text))


def test_texts_of_several_lines_are_blocks() -> None:
    """A command is read by people."""
    text = as_yaml({"cmd": "a\n  --b 'c'\n  --d\n", "e": ["f\ng"], "h": {"i": "j k"}})

    assert "cmd: |\n  a\n    --b 'c'\n    --d\n" in text
    assert "h:\n  i: j k\n" in text
    assert parse(text, file="f.yaml").tree["e"] == ["f\ng"]


def test_a_long_command_stays_on_its_line() -> None:
    """Only the operator knows where it may be broken."""
    command = "run " + " ".join(f"--option-{n} {n}" for n in range(300))

    assert f"cmd: {command}\n" in as_yaml({"cmd": command})


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_every_value_survives_yaml(value: Value) -> None:
    """Rule 1: a text stays text, though it looks like a number."""
    tree: Tree = {"v": value}

    source = parse(as_yaml(tree), file="f.yaml")

    assert source.problems == ()
    assert source.tree == tree
    assert repr(source.tree) == repr(tree)  # 1, 1.0 and true are equal


@pytest.mark.parametrize(
    "text",
    [
        *("1", "1.0", "1e3", "1_0", "+1", "-1", ".5", ".5e3", "5.", "0x1f", "0o17", "017", "0b11"),
        *("~", "null", "Null", "", "true", "TRUE", "yes", "off", "y", ".inf", "-.INF", ".nan"),
        *("2020-01-01", "1:30", "<<", "=", "- a", "? a", "a: b", "a #b", "#", "@a", "`a", "%a"),
        *("'", '"', "\\", "a\\nb", "&a", "*a", "!a", "|", ">", "[", "]", "{}", ",", "---", "..."),
        *(
            " a",
            "a ",
            "\ta",
            "a\t",
            "\n",
            "\n\n",
            "a\n",
            "\na",
            " \n a",
            "a \nb",
            "a\r\nb",
            "a\rb",
        ),
        *(
            "\x85",
            "a\n\x85b",
            "\u2028",
            "a\n\u2028b",
            "\x1b[0m",
            "\x7f",
            "\ufeff",
            "\x00",
            "\u200b",
        ),
    ],
)
def test_a_text_stays_the_same_text(text: str) -> None:
    """Rule 1: also as a key, and inside a list."""
    tree: Tree = {"v": text, "l": [text], "m": {text: text}}

    source = parse(as_yaml(tree), file="f.yaml")

    assert source.problems == ()
    assert source.tree == tree
    assert isinstance(source.tree["m"], dict)
    assert [type(key) for key in source.tree["m"]] == [str]


SECRETS = """
apiKeys: [sk-alpha-123, "short", 1234567890]
models:
  a:
    cmd: |
      run --key sk-alpha-123 --token=tok-model-9 \\
        --peer pk-peer-77 --plain visible-1
    cmdStop: stop tok-model-9
    proxy: http://h/?k=sk-alpha-123
    env: [HF_TOKEN=tok-model-9, "my_api_key=lower-key", PLAIN=visible-1, "COPY=x tok-model-9 y"]
    metadata: {nested: [{deep: "is tok-model-9."}], n: 1}
    filters: {setParams: {auth: sk-alpha-123}}
peers:
  p: {proxy: "http://p", models: [m], apiKey: pk-peer-77}
  q: {proxy: "http://q", models: [n]}
"""


def test_secrets_are_masked_where_they_are_kept() -> None:
    """Rule 2: the listing is made to be shown to somebody."""
    tree = shown(SECRETS)

    assert tree["apiKeys"] == [MASK, MASK, MASK]
    assert tree["peers"]["p"]["apiKey"] == MASK
    assert tree["peers"]["q"]["apiKey"] == ""  # that there is none is no secret
    assert tree["models"]["a"]["env"] == [
        *("HF_TOKEN=***", "my_api_key=***", "PLAIN=visible-1", "COPY=x *** y")
    ]


def test_secrets_are_masked_wherever_they_have_got_to() -> None:
    """Rule 2: a macro puts a key into a command as well."""
    model = shown(SECRETS)["models"]["a"]

    assert model["cmd"].split() == [
        *("run", "--key", MASK, f"--token={MASK}", "\\", "--peer", MASK, "--plain", "visible-1")
    ]
    assert model["cmdStop"] == f"stop {MASK}"
    assert model["proxy"] == f"http://h/?k={MASK}"
    assert model["metadata"] == {"nested": [{"deep": f"is {MASK}."}], "n": 1}
    assert model["filters"]["setParams"] == {"auth": MASK}


def test_no_secret_is_left_in_the_text() -> None:
    """Rule 2: neither in YAML nor anywhere in the tree."""
    tree = shown(SECRETS)

    for secret in ("sk-alpha-123", "tok-model-9", "pk-peer-77", "lower-key", "1234567890"):
        assert secret not in as_yaml(tree)
        assert secret not in str(tree)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "KEY",
            "API_KEY",
            "OPENAI_APIKEY",
            "HF_TOKEN",
            "token",
            "Secret",
            "AWS_SECRET_ACCESS_KEY",
        ),
        *("PASSWORD", "DB_PASSWD", "GOOGLE_APPLICATION_CREDENTIALS"),
    ],
)
def test_a_variable_that_is_called_a_secret_is_one(name: str) -> None:
    """Rule 2: in any case, and with anything around it."""
    (entry,) = shown(f"models: {{a: {{cmd: x, proxy: 'http://h', env: ['{name}=s=cret-1']}}}}")[
        "models"
    ]["a"]["env"]

    assert entry == f"{name}={MASK}"


def test_what_is_called_something_else_is_shown() -> None:
    """Else nobody could see what a model is started with."""
    env = ["PATH=/bin", "CUDA_VISIBLE_DEVICES=0", "EMPTY="]
    text = f"models: {{a: {{cmd: x, proxy: 'http://h', env: {env}}}}}"

    assert shown(text)["models"]["a"]["env"] == env


def test_a_short_secret_masks_nothing_else() -> None:
    """A key `1` would black out every port."""
    tree = shown("apiKeys: ['80']\nmodels: {a: {cmd: x 8080, proxy: 'http://h:8080'}}")

    assert tree["apiKeys"] == [MASK]
    assert tree["models"]["a"]["cmd"] == "x 8080"


def test_a_secret_within_another_uncovers_nothing() -> None:
    """Masking the shorter first would leave the rest of the longer."""
    tree = shown(
        "apiKeys: [secret, secret-and-more, more-secret]\n"
        "models: {a: {cmd: x secret-and-more more-secret secret, proxy: 'http://h'}}"
    )

    assert tree["models"]["a"]["cmd"] == f"x {MASK} {MASK} {MASK}"


@settings(max_examples=50, deadline=None)
@given(
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=6, max_size=20)
)
def test_a_secret_of_any_characters_is_masked(secret: str) -> None:
    """Rule 2: quoting in YAML must not hide it from the mask."""
    # A secret that is a word of the language is masked there as well, and nothing is found.
    assume(secret not in "apiKeys, models")
    quoted = secret.replace("'", "''").replace("${", "$-")
    secret = quoted.replace("''", "'")
    text = f"apiKeys: ['{quoted}']\nmodels: {{a: {{cmd: 'x=<{quoted}>', proxy: 'http://h'}}}}"

    tree = shown(text)

    assert tree["apiKeys"] == [MASK]
    assert secret not in tree["models"]["a"]["cmd"]
