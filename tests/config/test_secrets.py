"""What must not be shown."""

import pytest

from swapd.config.load import load
from swapd.config.problems import ConfigError
from swapd.config.secrets import Secrets, hidden_options, names_secret, secrets_of


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *(
            (name, True)
            for name in ("API_KEY", "apiKey", "HF_TOKEN", "hf_auth", "DB_PASS", "OPENAI_APIKEY")
        ),
        *((name, True) for name in ("Authorization", "AWS_SECRET", "PASSWORD", "OPENAI_APIKEY")),
        *((name, False) for name in ("AUTHOR", "COMPASS", "temperature", "PWD", "OLDPWD")),
        *((name, False) for name in ("VLLM_MAX_TOKENS", "TIKTOKEN_RS_CACHE_DIR", "KEY_FILE")),
    ],
)
def test_a_name_tells_a_secret(name: str, secret: bool) -> None:
    """Nobody marks them otherwise."""
    assert names_secret(name) is secret


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("x --api-key sk-1 -m f", "x --api-key *** -m f"),
        ("x --api-key=sk-1", "x --api-key=***"),
        ("x --hf-token 'a b' y", "x --hf-token *** y"),
        ("x -key sk-1", "x -key ***"),
        ("x --max-num-batched-tokens 8192", "x --max-num-batched-tokens 8192"),
        ("x --cache-type-k q8_0 --keyboard us", "x --cache-type-k q8_0 --keyboard us"),
        ("x --model /a/--api-key b", "x --model /a/--api-key b"),
    ],
)
def test_an_option_tells_its_value(command: str, shown: str) -> None:
    """The usual way in which a key gets into a command."""
    assert hidden_options(command) == shown


def test_the_longest_is_hidden_first_and_the_shortest_not_at_all() -> None:
    """One may be the beginning of another; and "abc" occurs anywhere."""
    secrets = Secrets(["secret", "secret-two", "abc"])

    assert secrets.hidden("a secret-two, a secret, abc") == "a ***, a ***, abc"
    assert secrets.within("only a secret").hidden("secret-two") == "***-two"
    assert secrets_of({"A_KEY": "v", "B": "w"}) == {"v"}


@pytest.mark.parametrize(
    "text",
    [
        "apiKeys: ${env.THE_KEY}",
        "apiKeys: sk-in-the-file",
        "globalTTL: ${env.THE_KEY}",
        "models: {a: {cmd: x, proxy: 'http://u:${env.THE_KEY}@h'}}",
        "${env.THE_KEY}: 1",
        "peers: {p: {proxy: http://h, models: [m], apiKey: [sk-in-the-file]}}",
        "logToStdout: ${env.THE_KEY}",
        "store: {path: '/none/${env.THE_KEY}'}",
    ],
)
def test_no_mistake_tells_a_secret(text: str, tmp_path) -> None:
    """A forgotten bracket is the likeliest slip, and what it prints is copied into a question."""
    file = tmp_path / "f.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load([file], {"THE_KEY": "sk-of-the-environment"})
    assert "sk-" not in str(error.value)


def test_only_what_a_file_uses_of_the_environment_is_hidden(tmp_path) -> None:
    """Whatever else the environment holds would mask words at random."""
    file = tmp_path / "f.yaml"
    file.write_text("models: {a: {cmd: 'x ${PORT} ${env.THE_KEY}'}}")
    loaded = load([file], {"THE_KEY": "sk-of-the-environment", "OTHER_KEY": "another"})

    assert loaded.secrets == {"sk-of-the-environment"}
    assert "another" not in repr(loaded)


def test_no_remark_tells_a_secret(tmp_path) -> None:
    """A remark is logged at every start."""
    file = tmp_path / "f.yaml"
    file.write_text("logLevel: ${env.THE_KEY}")
    (remark,) = load([file], {"THE_KEY": "sk-of-the-environment"}).remarks

    assert "sk-" not in str(remark)
