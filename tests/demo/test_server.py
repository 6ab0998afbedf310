"""llama.cpp's own server with a tiny model: what swapd's real tests rely on."""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import pytest
import trio

from swapd.demo import tiny

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")

pytestmark = pytest.mark.real

# A start takes 0.1 s; this is for a machine with other things to do.
PATIENCE = 20.0


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all these tests."""
    return tmp_path_factory.mktemp("models")


async def test_it_says_where_it_serves_and_is_healthy_then(cache: Path) -> None:
    """Health is what swapd waits for."""
    async with open_server(cache, "tiny-a") as (port, _):
        assert await ask(port, "GET", "/health") == {"status": "ok"}
        models = await ask(port, "GET", "/v1/models")

    assert [model["id"] for model in models["data"]] == ["tiny-a"]


@pytest.mark.parametrize("name", tiny.SHAPES)
async def test_a_chat_is_answered_in_words(cache: Path, name: str) -> None:
    """A demonstration should be readable, and its length the one asked for."""
    hello = [{"role": "user", "content": "hello, what is a model?"}]
    async with open_server(cache, name) as (port, _):
        wish = {"messages": hello, "max_tokens": 50}
        answer = await ask(port, "POST", "/v1/chat/completions", wish)

    said = answer["choices"][0]["message"]["content"].split()
    assert len(said) == answer["usage"]["completion_tokens"] == 50
    assert set(said) <= set(tiny.WORDS.split())
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["model"] == name


async def test_words_come_out_whatever_the_sampling(cache: Path) -> None:
    """No unlucky draw may end a stream that a test needs to be long."""
    wild = {"temperature": 2, "top_k": 0, "top_p": 1, "min_p": 0}
    async with open_server(cache, "tiny-a") as (port, _):
        wish = {"prompt": "the river", "max_tokens": 500, **wild}
        answer = await ask(port, "POST", "/v1/completions", wish)

    said = answer["choices"][0]["text"].split()
    assert len(said) == 500
    assert set(said) <= set(tiny.WORDS.split())


async def test_json_can_be_demanded(cache: Path) -> None:
    """Words are likely, but a grammar is stronger."""
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
    async with open_server(cache, "tiny-a") as (port, _):
        wish = {
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 500,
            "response_format": {"type": "json_schema", "json_schema": {"schema": schema}},
        }
        answer = await ask(port, "POST", "/v1/chat/completions", wish)

    assert json.loads(answer["choices"][0]["message"]["content"])["a"] in (True, False)


async def test_a_stream_comes_in_events(cache: Path) -> None:
    """One event per word, and the end is said."""
    wish = {"prompt": "the river", "max_tokens": 12, "stream": True}
    async with (
        open_server(cache, "tiny-a") as (port, _),
        open_answer(port, "POST", "/v1/completions", wish) as answer,
    ):
        text = b"".join([piece async for piece in answer])

    assert b"Content-Type: text/event-stream" in text
    assert text.count(b'"text":" ') == 12
    assert b"data: [DONE]" in text


async def test_embeddings(cache: Path) -> None:
    """One vector a text, as wide as the model."""
    async with open_server(cache, "tiny-a", "--mode", "embed") as (port, _):
        answer = await ask(port, "POST", "/v1/embeddings", {"input": ["red", "blue"]})

    widths = [len(entry["embedding"]) for entry in answer["data"]]
    assert widths == [tiny.SHAPES["tiny-a"].width] * 2


async def test_reranking(cache: Path) -> None:
    """One score a document."""
    wish = {"query": "a colour", "documents": ["red", "house", "blue"]}
    async with open_server(cache, "tiny-a", "--mode", "rerank") as (port, _):
        answer = await ask(port, "POST", "/v1/rerank", wish)

    assert {result["index"] for result in answer["results"]} == {0, 1, 2}


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_when_told_to(cache: Path, told: signal.Signals) -> None:
    """An idle model is unloaded in no time."""
    async with open_server(cache, "tiny-a") as (_, program):
        program.send_signal(told)

        assert await program.wait() == 0


async def test_it_ends_in_the_middle_of_an_answer(cache: Path) -> None:
    """llama.cpp's own goodbye may wait for its next keep-alive comment, 30 s away."""
    wish = {"prompt": "the river", "stream": True}
    async with (
        open_server(cache, "tiny-a") as (port, program),
        open_answer(port, "POST", "/v1/completions", wish) as answer,
    ):
        assert await answer.receive_some()
        program.terminate()
        with trio.fail_after(5):
            assert await program.wait() == 0


async def test_a_taken_port_is_a_clear_failure(cache: Path) -> None:
    """It must not look like a model that loads for ever."""
    async with open_server(cache, "tiny-a") as (port, _):
        second = await trio.run_process(
            [sys.executable, "-m", "swapd.demo", "tiny-a", "--port", str(port)],
            env=environment(cache),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )

    assert second.returncode == 1
    said = second.stderr.decode()  # llama.cpp logs from a thread: our line may come before its own
    assert f"cannot run the demo: cannot serve tiny-a on port {port}: " in said
    assert "Traceback" not in said


# --- A server and its client ----------------------------------------------------------------


def environment(cache: Path) -> dict[str, str]:
    """Let the program find its package and its models."""
    root = Path(tiny.__file__).parents[2]
    return {**os.environ, "SWAPD_DEMO_CACHE": str(cache), "PYTHONPATH": str(root)}


@asynccontextmanager
async def open_server(cache: Path, *args: str) -> AsyncIterator[tuple[int, trio.Process]]:
    """Start a demo server on a free port and wait until it serves."""
    command = [sys.executable, "-m", "swapd.demo", *args, "--port", "0"]
    program = await trio.lowlevel.open_process(
        command, env=environment(cache), stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
    )
    assert program.stdout is not None
    try:
        with trio.fail_after(PATIENCE):
            line = b""
            while not line.endswith(b"\n"):
                piece = await program.stdout.receive_some()
                assert piece, f"it ended before it served, having said {line!r}"
                line += piece
            yield int(line.rpartition(b":")[2]), program
    finally:
        # It is killed, so a second is plenty; without it a failed test would leave a server.
        with trio.move_on_after(1, shield=True):
            program.kill()
            await program.wait()
            await program.stdout.aclose()


@asynccontextmanager
async def open_answer(
    port: int, method: str, path: str, wish: object = None
) -> AsyncIterator[trio.SocketStream]:
    """Send one request; the answer comes raw, head and framing included."""
    body = b"" if wish is None else json.dumps(wish).encode()
    async with await trio.open_tcp_stream("127.0.0.1", port) as connection:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        await connection.send_all(head.encode() + body)
        yield connection


async def ask(port: int, method: str, path: str, wish: object = None) -> Any:
    """Send one request and read its answer, which must be a 200 with JSON."""
    async with open_answer(port, method, path, wish) as answer:
        text = b"".join([piece async for piece in answer])
    head, _, body = text.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), text
    return json.loads(body)
