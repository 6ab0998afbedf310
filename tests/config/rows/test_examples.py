"""What llama-swap's example file and documentation show, with names, paths and secrets made up.

Restated key by key: which options stand together, how they are quoted and nested, and what leans
on what. Where an example speaks of models that it does not define ("for demonstration"), a second
file defines them, for llama-swap refuses them as well.
"""

import pytest

from swapd.config.kinds import RouterKind, SchedulerKind, Strategy
from swapd.config.load import Loaded, loaded_from
from swapd.config.source import parse

ENVIRON = {"HOME": "/home/me", "KEY_1": "sk-one", "KEY_2": "sk-two", "REMOTE_KEY": "sk-remote"}

COMPLETE = r"""
healthCheckTimeout: 500
logLevel: info
logTimeFormat: ""
logToStdout: "proxy"
metricsMaxInMemory: 1000
captureBuffer: 15
ui:
  activity:
    session_id: ["X-Session-ID", "X-Litellm-Session-Id"]
performance:
  enable: true
  every: 15s
startPort: 10001
sendLoadingState: true
includeAliasesInList: false
globalTTL: 0
unloadTimeout: 10
macros:
  "newest": >
    /opt/llama/llama-server-123
    --port ${PORT}
  "ctx": 4096
  "args": "--ctx-size ${ctx}"
  "dir": "${env.HOME}/models"
apiKeys:
  - "sk-in-the-file"
  # made with: head -c 48 /dev/urandom | base64, and ${env.NOBODY_SETS_THIS}
  - "sk-Zm9v+YmFy/MTIz=="
  - "${env.KEY_1}"
  - "${env.KEY_2}"
upstream:
  ignorePaths:
    - '.*\.(js|json|css|png|gif|jpg|jpeg|ico|txt)$'
    - ^\/ws$|^\/api\/jobs$
profiles:
  "coding":
    description: "For code"
    pins:
      "code": "big"
      "plan": "hidden"
      "pictures": ~
selectors:
  "coder":
    strategy: warm
    targets: ["big", "hidden"]
    name: "Coder"
    description: "Whatever is loaded"
    metadata:
      purpose: coding
  "planner":
    strategy: pin
    targets: ["big", "vendor/remote-2"]
  "many":
    strategy: spillover
    targets: ["boxed", "made-up-a", "made-up-b"]
    settings:
      spillover: 4
models:
  "big":
    macros:
      "ctx": 16384
      "temp": 0.7
    cmd: |
      # ${newest} stands at the top
      ${newest}
      --model some/big.gguf
      --ctx-size ${ctx}
      --temperature ${temp}
    name: "Big"
    description: "It thinks"
    env:
      - "CUDA_VISIBLE_DEVICES=0,1,2"
    proxy: http://127.0.0.1:8999
    checkEndpoint: /custom
    ttl: 60
    unloadTimeout: 10
    compat:
      ignoreWebsockets: true
    useModelName: "vendor/big"
    filters:
      stripParams: "temperature, top_p, top_k"
      setParams:
        temperature: 0.7
        top_p: 0.9
      setParamsByID:
        "${MODEL_ID}":
          chat_template_kwargs:
            reasoning_effort: medium
        "${MODEL_ID}:high":
          chat_template_kwargs:
            reasoning_effort: high
        "${MODEL_ID}:low":
          chat_template_kwargs:
            reasoning_effort: low
    aliases:
      - "gpt-4o-mini"
    metadata:
      port: ${PORT}
      temperature: ${temp}
      note: "${MODEL_ID} on port ${PORT} temp=${temp},
        context=${ctx}"
      a_list:
        - 1
        - 1.23
        - "macros too: ${MODEL_ID}"
      an_obj:
        a: "1"
        b: 2
        c: ["${temp}", false, "model: ${MODEL_ID}"]
    concurrencyLimit: 0
    sendLoadingState: false
    timeouts:
      connect: 30
      keepalive: 0
      responseHeader: 60
      tlsHandshake: 10
      idleConn: 90
    capabilities:
      in:
        - text
        - audio
        - image
      out:
        - text
      tools: true
      reranker: false
      context: 32000
  "hidden":
    unlisted: true
    cmd: llama-server --port ${PORT} -m small.gguf -ngl 0
  "boxed":
    proxy: "http://127.0.0.1:${PORT}"
    cmd: |
      docker run --name ${MODEL_ID}
      --init --rm -p ${PORT}:8080 -v /mnt/models:/models
      registry.example/llama:server
      --model '/models/boxed.gguf'
    cmdStop: docker stop ${MODEL_ID}
hooks:
  on_startup:
    preload:
      - "many"
peers:
  another-box:
    proxy: http://192.168.1.23
    models:
      - model_a
      - embeddings/model_c
  vendor:
    proxy: https://vendor.example/api
    apiKey: ${env.REMOTE_KEY}
    models:
      - remote-1
      - remote-2
    timeouts:
      connect: 30
      keepalive: 30
      responseHeader: 60
      tlsHandshake: 10
      idleConn: 90
    filters:
      stripParams: "temperature, top_p"
      setParams:
        provider:
          data_collection: "deny"
          zdr: true
"""

GROUPS = """
routing:
  router:
    use: group
    settings:
      groups:
        "group1": {swap: true, exclusive: true, members: ["big", "hidden"]}
        "group2":
          swap: false
          exclusive: false
          members: ["boxed", "made-up-a", "made-up-b"]
        "forever": {persistent: true, swap: false, exclusive: false, members: ["made-up-c"]}
      matrix:
        vars: {g: gemma, v: voice}
        sets: {standard: "(g | qwen) & v"}
  scheduler:
    use: fifo
    settings:
      fifo:
        priority: {big: 10, boxed: 5}
"""

MATRIX = """
matrix:
  vars: {g: made-up-a, q: made-up-b, v: made-up-c, e: hidden, L: big, "b.1": boxed}
  evict_costs:
    v: 50 # slow to start
    L: 30
  sets:
    # comments may stand here
    standard: "(g | q) & v"
    with_rerank: "+standard & e"
    spread: "b.1 & made-up-a & made-up-b"
    full: "L"
"""

MADE_UP = """
models:
  made-up-a: {cmd: "server --port ${PORT}"}
  made-up-b: {cmd: "server --port ${PORT}"}
  made-up-c: {cmd: "server --port ${PORT}"}
"""


def loaded(*texts: str) -> Loaded:
    """Load texts as files that belong together."""
    names = ("example.yaml", "more.yaml", "made-up.yaml")
    return loaded_from(
        [parse(text, file=name, environ=ENVIRON) for name, text in zip(names, texts, strict=False)]
    )


@pytest.mark.parametrize(
    ("routing", "router"), [(GROUPS, RouterKind.GROUP), (MATRIX, RouterKind.MATRIX)]
)
def test_the_complete_example_is_read_with_either_router(routing: str, router: RouterKind) -> None:
    """Whoever has copied it has a file that works here."""
    found = loaded(COMPLETE, routing, MADE_UP).settings
    big = found.models[found.resolve("gpt-4o-mini") or next(iter(found.models))]

    assert found.router is router
    assert big.argv == (
        *("/opt/llama/llama-server-123", "--port", "10001", "--model", "some/big.gguf"),
        *("--ctx-size", "16384", "--temperature", "0.7"),
    )
    assert big.metadata is not None
    assert big.metadata["note"] == "big on port 10001 temp=0.7, context=16384"
    assert big.metadata["an_obj"] == {"a": "1", "b": 2, "c": [0.7, False, "model: big"]}
    assert big.aliases == ("gpt-4o-mini", "big:high", "big:low")
    assert found.models[found.resolve("boxed") or "boxed"].cmd_stop == "docker stop boxed"  # type: ignore[index]
    assert found.api_keys[2:] == ("sk-one", "sk-two")
    assert found.peers["vendor"].api_key == "sk-remote"
    assert found.selectors["many"].strategy is Strategy.SPILLOVER


def test_what_the_example_leaves_open_is_remarked() -> None:
    """It preloads a selector, which llama-swap drops without a word."""
    remarks = [str(remark) for remark in loaded(COMPLETE, GROUPS, MADE_UP).remarks]

    assert remarks == [
        'example.yaml:143:9: hooks.on_startup.preload[0]: there is no model "many": '
        "nothing is loaded for it",
    ]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        pytest.param(
            "models:\n  model1:\n    cmd: llama-server --port ${PORT} --model /some/model.gguf\n",
            {"model1": ("llama-server", "--port", "5800", "--model", "/some/model.gguf")},
            id="minimal",
        ),
        pytest.param(
            """
models:
  one:
    cmd: | # several lines
      llama-server --PORT ${PORT} -m /one.gguf
      --ctx-size 8192
      --jinja
  two:
    cmd: llama-server --port ${PORT} -m /two.gguf
""",
            {
                "one": (
                    *("llama-server", "--PORT", "5800", "-m", "/one.gguf"),
                    *("--ctx-size", "8192", "--jinja"),
                ),
                "two": ("llama-server", "--port", "5801", "-m", "/two.gguf"),
            },
            id="several",
        ),
        pytest.param(
            """
models:
  "CODER":
    name: "A coder (CODER)"
    cmdStop: docker stop coder
    cmd: |
      docker run --init --rm --name coder
        --runtime=nvidia --gpus '"device=2,3"'
        -v /cache:/root/.cache -p ${PORT}:8000
        vllm:v1
        --model "/models/coder"
""",
            {
                "CODER": (
                    *("docker", "run", "--init", "--rm", "--name", "coder", "--runtime=nvidia"),
                    *("--gpus", '"device=2,3"', "-v", "/cache:/root/.cache", "-p", "5800:8000"),
                    *("vllm:v1", "--model", "/models/coder"),
                )
            },
            id="container",
        ),
        pytest.param(
            """
models:
  "coder-32b":
    env:
      - "CUDA_VISIBLE_DEVICES=0"
    aliases:
      - coder
    # fixed
    cmd: >
      /opt/llama-server
      --host 127.0.0.1 --port 9503
      --samplers "top_k;top_p;min_p"
      --draft-max 16
    proxy: "http://127.0.0.1:9503"
""",
            {
                "coder-32b": (
                    *("/opt/llama-server", "--host", "127.0.0.1", "--port", "9503"),
                    *("--samplers", "top_k;top_p;min_p", "--draft-max", "16"),
                )
            },
            id="fixed-port",
        ),
        pytest.param(
            """
logRequests: true
models:
  "voice":
    checkEndpoint: /v1/audio/transcriptions/
    cmd: >
      whisper-server
      --port ${PORT}
      --inference-path ""
  "image":
    checkEndpoint: /
    proxy: http://127.0.0.1:9999
    cmd: |
      sd-server
      --listen-port 9999
""",
            {
                "voice": ("whisper-server", "--port", "5800", "--inference-path", ""),
                "image": ("sd-server", "--listen-port", "9999"),
            },
            id="other-servers",
        ),
        pytest.param(
            """
models:
  "a":
    proxy: "http://127.0.0.1:9999"
    cmd: "server --port 9999"
  "b":
    proxy: "http://127.0.0.1:9999"
    cmd: "server --port 9999"
groups:
  "g": {swap: true, exclusive: true, members: ["a", "b"]}
""",
            {"a": ("server", "--port", "9999"), "b": ("server", "--port", "9999")},
            id="one-port-for-two",
        ),
    ],
)
def test_an_example_of_the_documentation_runs_what_it_should(
    text: str, commands: dict[str, tuple[str, ...]]
) -> None:
    """The command that is run is the one that llama-swap would run."""
    found = loaded(text).settings

    assert {own: model.argv for own, model in found.models.items()} == commands
    assert found.scheduler is SchedulerKind.SERIAL


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "peers: {box: {proxy: http://192.168.1.23, models: [m], timeouts: {connect: 5}}}",
            id="peers",
        ),
        pytest.param(
            """
selectors:
  m:
    strategy: spillover
    targets: [here, box/m, far/m]
    settings: {spillover: 4}
models: {here: {cmd: "x --port ${PORT}"}}
peers:
  box: {proxy: "http://192.168.1.23", models: [m]}
  far: {proxy: "https://far.example/api", apiKey: "${env.REMOTE_KEY}", models: [m]}
""",
            id="overflow",
        ),
        pytest.param(
            "models: {comfyui_auto: {cmd: 'python main.py --port ${PORT}', checkEndpoint: /}}",
            id="comfyui",
        ),
    ],
)
def test_other_examples_are_read_without_a_remark(text: str) -> None:
    """Nothing in them is a mistake, here or there."""
    assert loaded(text).remarks == ()
