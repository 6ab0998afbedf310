"""The official clients, unchanged, over real sockets: what their own objects hold in the end.

Behind swapd stands llama.cpp where it serves the route, else a pretend server in the vendor's
shapes (`children/recorded.py`). A client that is content here is content in everybody's program.
"""

import base64
import hashlib
import importlib
import json
import os
import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs
import pytest
import trio

from tests.daemons import (
    PATIENCE,
    Daemon,
    llama,
    make_certificate,
    pretend,
    recorded,
    serving,
)

pytestmark = pytest.mark.real

HELLO = [{"role": "user", "content": "hello there"}]
PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
LOOK = {"name": "look", "description": "Look at a place."}

KEY = "sk-right"

ONCE = {"api_key": KEY, "max_retries": 0, "timeout": PATIENCE}

# A load of so many seconds outlasts the 1.5 after which a client gets a sign of life from us.
SLOW = "2"

# All bytes, a form's own line ends and dashes among them.
NASTY = bytes(range(256)) * 40 + b"\r\n--\r\n\r\n" + random.Random(5).randbytes(200_000) + b"\r\n"

MEGABYTE = 1024 * 1024
LARGE = 100 * MEGABYTE

# What goes before it. Streamed, so that it hears where it stands in the queue.
UPLOAD = {b"model": b"a", b"stream": b"true"}

# A sixth of it, and several times what swapd keeps in memory.
GROWTH = 15 * MEGABYTE


@attrs.frozen
class Clients:
    """Both libraries. Not imported on top: that takes longer than most tests here."""

    openai: Any
    anthropic: Any

    def of_openai(self, daemon: Daemon) -> Any:
        """Open a client that tries once."""
        return self.openai.OpenAI(base_url=f"{daemon.address}/v1", **ONCE)

    def of_anthropic(self, daemon: Daemon) -> Any:
        """Open a client that tries once."""
        return self.anthropic.Anthropic(base_url=daemon.address, **ONCE)


# Answers


async def test_openais_client_talks_to_llama_cpp(tmp_path, demo_cache, clients):
    """Chat, responses and embeddings, whole and streamed, with a swap between."""

    def converse(client: Any) -> None:
        chat = partial(client.chat.completions.create, model="tiny-a", messages=HELLO)
        whole = chat(max_tokens=5)
        assert whole.model == "tiny-a"
        assert (whole.choices[0].finish_reason, whole.usage.completion_tokens) == ("length", 5)
        text = "".join(
            chunk.choices[0].delta.content or ""
            for chunk in chat(max_tokens=5, stream=True)
            if chunk.choices
        )
        assert len(text.split()) == len(whole.choices[0].message.content.split()) == 5

        respond = partial(client.responses.create, model="tiny-a", input="hello")
        assert len(respond(max_output_tokens=5).output_text.split()) == 5
        events = list(respond(max_output_tokens=5, stream=True))
        assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
        words = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert "".join(words) == events[-1].response.output_text

        embedded = client.embeddings.create(model="embed", input=["red", "blue"])
        assert [len(entry.embedding) for entry in embedded.data] == [64, 64]

        listed = {model.id: model.status["value"] for model in client.models.list()}
        assert listed == {"tiny-a": "unloaded", "embed": "loaded"}

    embed = llama("tiny-a", "--mode", "embed")[1]
    async with serving(tmp_path, llama("tiny-a"), ("embed", embed), env=demo_cache) as daemon:
        await in_thread(converse, clients.of_openai(daemon))


async def test_anthropics_client_talks_to_llama_cpp(tmp_path, demo_cache, clients):
    """Messages, whole and streamed, counted, and the list of models."""

    def converse(client: Any) -> None:
        wish = {"model": "tiny-a", "messages": HELLO}
        whole = client.messages.create(max_tokens=5, **wish)
        assert (whole.stop_reason, whole.usage.output_tokens) == ("max_tokens", 5)
        with client.messages.stream(max_tokens=5, **wish) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        assert final.stop_reason == "max_tokens"
        assert len(text.split()) == len(whole.content[0].text.split()) == 5
        assert final.content[0].text == text

        assert client.messages.count_tokens(**wish).input_tokens > 5
        assert [model.id for model in client.models.list().data] == ["tiny-a"]

    async with serving(tmp_path, llama("tiny-a"), env=demo_cache) as daemon:
        await in_thread(converse, clients.of_anthropic(daemon))


async def test_tools_are_called_by_both(tmp_path, clients):
    """Arguments that come in pieces are whole again in the client's own object."""

    def of_openai(client: Any) -> None:
        tools = [{"type": "function", "function": {**LOOK, "parameters": PLACE}}]
        ask = partial(client.chat.completions.create, model="a", messages=HELLO, tools=tools)
        [call] = ask().choices[0].message.tool_calls
        assert json.loads(call.function.arguments) == {"place": "hello there"}
        with client.chat.completions.stream(model="a", messages=HELLO, tools=tools) as stream:
            [call] = stream.get_final_completion().choices[0].message.tool_calls
        assert call.function.name == "look"
        assert json.loads(call.function.arguments) == {"place": "hello there"}

    def of_anthropic(client: Any) -> None:
        wish = {"model": "a", "messages": HELLO, "max_tokens": 9}
        tools = [{**LOOK, "input_schema": PLACE}]
        [block] = client.messages.create(**wish, tools=tools).content
        assert (block.type, block.input) == ("tool_use", {"place": "hello there"})
        with client.messages.stream(**wish, tools=tools) as stream:
            final = stream.get_final_message()
        assert (final.stop_reason, final.content[0].input) == ("tool_use", block.input)

    async with serving(tmp_path, recorded("a")) as daemon:
        await in_thread(of_openai, clients.of_openai(daemon))
        await in_thread(of_anthropic, clients.of_anthropic(daemon))


async def test_files_arrive_and_come_back_identical(tmp_path, clients):
    """A form is taken apart to find the model in it; not a byte of a file may be lost thereby."""

    def converse(client: Any) -> None:
        heard = client.audio.transcriptions.create(model="nick", file=("a.wav", NASTY))
        assert heard.text == hashlib.sha256(NASTY).hexdigest()
        edited = client.images.edit(model="a", image=("a.png", NASTY), prompt="ä--\r\n--b")
        assert client.images.edit(model="a", image=("a.png", b""), prompt="").created == 1
        assert edited.data[0].b64_json == base64.b64encode(NASTY).decode()
        spoken = client.audio.speech.create(model="a", voice="v", input="hello")
        assert spoken.content == b"olleh"

    model = recorded("a", aliases=["nick"], useModelName="another")
    async with serving(tmp_path, model) as daemon:
        await in_thread(converse, clients.of_openai(daemon))


# Refusals


@attrs.frozen
class Refusal:
    """What both clients are to raise; theirs are called the same."""

    exception: str
    status: int
    code: str


UNAUTHORIZED = Refusal("AuthenticationError", 401, "unauthorized")
UNKNOWN = Refusal("NotFoundError", 404, "model_not_found")
FULL = Refusal("RateLimitError", 429, "queue_full")
BROKEN = Refusal("InternalServerError", 502, "load_failed")


async def test_refusals_are_the_clients_own_exceptions(tmp_path, clients):
    """Programs catch these by class, and ask them for the code."""
    scheduler = {"use": "serial", "settings": {"serial": {"maxQueue": 1}}}
    settings = {"apiKeys": [KEY], "routing": {"scheduler": scheduler}}
    broken = pretend("broken", "--exit-after", "0.1", "--never-healthy")
    async with serving(tmp_path, pretend("a"), broken, settings=settings) as daemon:
        with clients.of_openai(daemon) as openai, clients.of_anthropic(daemon) as anthropic:

            def refuse(model: str, expected: Refusal, *, key: str = KEY) -> None:
                with pytest.raises(getattr(clients.openai, expected.exception)) as first:
                    chat(openai.with_options(api_key=key), model)
                assert first.value.status_code == expected.status
                assert first.value.code == expected.code
                with pytest.raises(getattr(clients.anthropic, expected.exception)) as second:
                    say(anthropic.with_options(api_key=key), model)
                assert second.value.status_code == expected.status
                assert second.value.body["error"]["code"] == expected.code

            run = trio.to_thread.run_sync
            await run(partial(refuse, "a", UNAUTHORIZED, key="sk-wrong"))
            await run(refuse, "ghost", UNKNOWN)
            await run(refuse, "broken", BROKEN)
            # One is served and one waits, which is as many as may.
            await daemon.stream("a")
            await daemon.queue("a")
            await run(refuse, "a", FULL)


# Waiting


async def test_signs_of_life_before_the_answer_harm_no_client(tmp_path, clients):
    """Comments for the one, pings for the other; in the end both hold what the model said."""

    def of_openai(client: Any) -> None:
        stream = chat(client, "a", stream=True)
        assert "server-timing" not in stream.response.headers  # It had begun before the model.
        chunks = list(stream)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "hello there "

    def of_anthropic(client: Any) -> None:
        with client.messages.stream(model="a", messages=HELLO, max_tokens=9) as stream:
            assert "server-timing" not in stream.response.headers
            assert stream.get_final_message().content[0].text == "hello there "

    async with (
        serving(tmp_path, recorded("a", "--load", SLOW)) as daemon,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(in_thread, of_openai, clients.of_openai(daemon))
        nursery.start_soon(in_thread, of_anthropic, clients.of_anthropic(daemon))


async def test_lines_about_the_loading_are_read_as_thinking(tmp_path, demo_cache, clients):
    """`sendLoadingState`: chunks without an id, a model or a role, which no vendor documents."""

    def converse(client: Any) -> None:
        chunks = list(chat(client, "tiny-a", stream=True, max_tokens=5))
        deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
        thoughts = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
        assert "swapd loading model: tiny-a\n" in thoughts
        assert "Done! (" in thoughts
        assert len("".join(delta.content or "" for delta in deltas).split()) == 5

    model = llama("tiny-a", sendLoadingState=True)
    async with serving(tmp_path, model, env=demo_cache) as daemon:
        await in_thread(converse, clients.of_openai(daemon))


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
async def test_a_failure_after_signs_of_life_is_an_exception(vendor, tmp_path, clients):
    """D10: the status is 200 by then, and an answer without a word in it must not be all."""

    def of_openai(client: Any) -> None:
        with pytest.raises(clients.openai.APIError, match="out of memory") as failed:
            list(chat(client, "a", stream=True))
        assert not isinstance(failed.value, clients.openai.APIStatusError)
        assert failed.value.code == "load_failed"

    def of_anthropic(client: Any) -> None:
        with pytest.raises(clients.anthropic.APIStatusError, match="out of memory") as failed:
            list(say(client, "a", stream=True))
        assert failed.value.status_code == 200
        assert failed.value.body["error"]["code"] == "load_failed"

    model = pretend("a", "--never-healthy", "--exit-after", SLOW)
    async with serving(tmp_path, model) as daemon:
        if vendor == "openai":
            await in_thread(of_openai, clients.of_openai(daemon))
        else:
            await in_thread(of_anthropic, clients.of_anthropic(daemon))


# Leaving


async def test_closing_a_stream_frees_the_model(tmp_path, clients):
    """Whoever presses stop must not keep the next one waiting."""

    def of_openai(client: Any) -> None:
        with chat(client, "a", stream=True) as stream:
            assert next(iter(stream)).choices[0].delta.role == "assistant"

    def of_anthropic(client: Any) -> None:
        with say(client, "b", stream=True) as stream:
            assert next(iter(stream)).type == "message_start"

    models = recorded("a", "--endless"), recorded("b", "--endless")
    async with serving(tmp_path, *models, log="debug") as daemon:
        await in_thread(of_openai, clients.of_openai(daemon))
        await daemon.log.find("a: client gone")
        await in_thread(of_anthropic, clients.of_anthropic(daemon))
        await daemon.log.find("b: client gone")
        await in_thread(partial(chat, model="a"), clients.of_openai(daemon))


# Far and large


async def test_a_peer_is_reached_by_https(tmp_path, clients):
    """Another swapd, with a certificate of its own making and a key of its own."""
    cert, key = make_certificate(tmp_path)
    far, near = tmp_path / "far", tmp_path / "near"
    far.mkdir()
    near.mkdir()
    tls = ("--tls-cert-file", str(cert), "--tls-key-file", str(key))

    def converse(client: Any) -> None:
        assert chat(client, "a").choices[0].message.content == "hello there"
        assert len(list(chat(client, "a", stream=True))) == 4
        heard = client.audio.transcriptions.create(model="there/a", file=("a.wav", NASTY))
        assert heard.text == hashlib.sha256(NASTY).hexdigest()

    async with serving(
        far, recorded("a"), args=tls, trust=cert, settings={"apiKeys": ["sk-far"]}
    ) as there:
        peer = {"proxy": there.address, "models": ["a"], "apiKey": "sk-far"}
        settings = {"peers": {"there": peer}, "apiKeys": [KEY]}
        async with serving(near, env={"SSL_CERT_FILE": str(cert)}, settings=settings) as here:
            await in_thread(converse, clients.of_openai(here))


async def test_a_large_upload_waits_on_disk_and_arrives_identical(tmp_path):
    """Ten of them in the queue must not take a gigabyte from the models."""
    form = b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n'
    fields = b"".join(form % name + value + b"\r\n" for name, value in UPLOAD.items())
    body = fields + form % b"file" + os.urandom(LARGE) + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    args = ("--max-body", str(len(body)))
    async with serving(tmp_path, pretend("a"), args=args) as daemon:
        ahead = await daemon.stream("a")
        before = daemon.memory("VmRSS")
        upload = await daemon.call()
        await upload.send("/v1/audio/transcriptions", body, headers=kind)
        await upload.head()
        assert b"position 1 in the queue" in (await upload.piece() or b"")
        assert daemon.memory("VmRSS") - before < GROWTH
        await ahead.leave()
        answer = b""
        while piece := await upload.piece():
            answer += piece
        echo = json.loads(answer.partition(b"data: ")[2])
        assert echo["sha256"] == hashlib.sha256(body).hexdigest()
        assert daemon.memory("VmHWM") - before < GROWTH


# What they share


def chat(client: Any, model: str, **more: Any) -> Any:
    """Ask as one asks OpenAI."""
    return client.chat.completions.create(model=model, messages=HELLO, **more)


def say(client: Any, model: str, **more: Any) -> Any:
    """Ask as one asks Anthropic."""
    return client.messages.create(model=model, messages=HELLO, max_tokens=9, **more)


async def in_thread(converse: Callable[[Any], object], client: Any) -> None:
    """Have a blocking client converse, and close it."""

    def whole() -> None:
        with client:
            converse(client)

    await trio.to_thread.run_sync(whole)


@pytest.fixture(scope="module")
def clients() -> Clients:
    """Give both libraries."""
    return Clients(importlib.import_module("openai"), importlib.import_module("anthropic"))


@pytest.fixture(scope="module")
def demo_cache(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """One place for the tiny models, which are made on first use."""
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gguf")
    return {"SWAPD_DEMO_CACHE": str(tmp_path_factory.mktemp("models"))}
