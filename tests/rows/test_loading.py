"""Rows LD1 to LD9, which are R170 to R178, and R066: the lines of `sendLoadingState`.

Ours throughout: the lines say what is true (where the request stands, how long it has been, what
its model does) instead of jokes, and come in whole pieces instead of being typed.
"""

import json

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.settings import SerialSettings, Settings
from swapd.proxy.loading import FIRST, REMARK, TICK
from swapd.routes import ROUTES
from tests import stories
from tests.fakes import Asked
from tests.house import Caller, House, open_house

CHAT = "/v1/chat/completions"
DONE = b"data: [DONE]\n\n"


def talkative(*names: str, max_queue: int = 1000) -> Settings:
    """Configure models with `sendLoadingState`."""
    models = [attrs.evolve(stories.model(name), send_loading_state=True) for name in names]
    return attrs.evolve(stories.settings(models), serial=SerialSettings(max_queue))


async def stream(asked: Asked) -> None:
    """Answer with a stream of one event."""
    await asked.begin_events()
    await asked.chunk(DONE)
    await asked.chunk(b"")


async def ask(house: House, model: str, path: str = CHAT) -> Caller:
    """Ask for a stream, and have the scheduler hear of it."""
    caller = house.call()
    await caller.send(path, {"model": model, "stream": True})
    await wait_all_tasks_blocked()
    return caller


async def thoughts(caller: Caller) -> list[tuple[float, str]]:
    """Read what is shown as thinking, and when it came, up to the model's own stream."""
    shown = []
    while (piece := await caller.piece()) != DONE:
        assert piece is not None
        for event in piece.decode().removesuffix("\n\n").split("\n\n"):
            chunk = json.loads(event.removeprefix("data: "))
            (choice,) = chunk["choices"]
            assert chunk.keys() == {"choices"}
            assert choice["delta"].keys() == {"reasoning_content"}
            shown.append((trio.current_time(), choice["delta"]["reasoning_content"]))
    return shown


def joined(shown: list[tuple[float, str]]) -> str:
    return "".join(text for _, text in shown)


@pytest.mark.parametrize("load", [pytest.param(8.0, id="LD1-R170-ours")])
async def test_a_load_is_shown_from_its_first_moment_to_its_last(load, autojump_clock):
    """Every line at its time. The third header, `Connection: keep-alive`, goes without saying."""
    async with open_house(settings=talkative("test-model")) as house:
        house.models.load = load
        house.upstream.handler = stream
        caller = await ask(house, "test-model")
        head = await caller.head()
        headers = dict(head.headers)
        assert trio.current_time() == 0.0
        assert headers[b"content-type"] == b"text/event-stream"
        assert headers[b"cache-control"] == b"no-cache"
        shown = await thoughts(caller)
        assert joined([told for told in shown if told[0] == 0.0]) == (
            "━━━━━\nswapd loading model: test-model\n"
        )
        ticks = [
            (TICK, "\nQueue position: #1 "),
            *((TICK * count, ".") for count in range(2, 9)),
            (TICK + REMARK, "\n7 s: test-model is loading "),
            (TICK * 10, "."),
        ]
        assert [told for told in shown if 0.0 < told[0] < load] == ticks
        assert joined([told for told in shown if told[0] == load]) == (
            "\nDone! (8.00s)\n━━━━━\n \n"
        )


@pytest.mark.parametrize("status", [pytest.param(400, id="LD2-R171-D10")])
async def test_a_later_status_changes_nothing(status, autojump_clock):
    """It went out with the first line; what the model says with it is an event."""

    async def refuse(asked: Asked) -> None:
        await asked.answer(b'{"error":{"message":"no"}}', status=status)

    async with open_house(settings=talkative("a")) as house:
        house.upstream.handler = refuse
        reply = await (await ask(house, "a")).reply()
        assert (reply.status, reply.complete) == (200, True)
        assert reply.body.endswith(b'data: {"error":{"message":"no"}}\n\n')


@pytest.mark.parametrize(
    "raw", [pytest.param(b"event: x\r\ndata: \xc3\xa9\r\n\r\n: y\n\n", id="LD3-R172")]
)
async def test_what_the_model_writes_passes_through(raw, autojump_clock):
    """Its stream follows ours byte for byte."""

    async def answer(asked: Asked) -> None:
        await asked.begin_events()
        await asked.chunk(raw)
        await asked.chunk(b"")

    async with open_house(settings=talkative("a")) as house:
        house.upstream.handler = answer
        reply = await (await ask(house, "a")).reply()
        last = b'data: {"choices":[{"delta":{"reasoning_content":"\\n"}}]}\n\n'
        assert (reply.body.partition(raw)[0][-len(last) :], reply.complete) == (last, True)
        assert reply.body.endswith(raw)


@pytest.mark.parametrize("load", [pytest.param(0.1, id="LD4-R173"), 0.75, 30.3])
async def test_the_lines_end_the_moment_the_model_is_there(load, autojump_clock):
    """Nobody waits for what is being shown."""
    async with open_house(settings=talkative("a")) as house:
        house.models.load = load
        house.upstream.handler = stream
        caller = await ask(house, "a")
        await caller.head()
        shown = await thoughts(caller)
        assert joined(shown).endswith(f"\nDone! ({load:.2f}s)\n━━━━━\n \n")
        assert trio.current_time() == shown[-1][0] == load


@pytest.mark.parametrize("ahead", [pytest.param(2, id="LD5-R174-ours")])
async def test_news_of_the_queue_are_shown_with_the_next_tick(ahead, autojump_clock):
    """Its real places, and what the model does once it is this request's turn."""

    async def busy(asked: Asked) -> None:
        await trio.sleep(4)
        await stream(asked)

    async with open_house(settings=talkative("a", "b")) as house:
        house.upstream.handler = busy
        for _ in range(ahead):
            await ask(house, "b")
        house.models.load = 10.0
        caller = await ask(house, "a")
        await caller.head()
        lines = [(when, text) for when, text in await thoughts(caller) if len(text) > 1]
        # b is loaded until 1, serves until 5 and 9, is gone at 9.5; a is loaded until 19.5.
        assert lines[2:-2] == [
            (TICK, "\nQueue position: #3 "),
            (TICK * 2, "\nQueue position: #2 "),
            (5.25, "\nQueue position: #1 "),
            (11.25, "\n11 s: a is loading "),
            (17.25, "\n17 s: a is loading "),
        ]
        assert lines[-2][1] == "Done! (19.50s)"


@pytest.mark.parametrize("text", [pytest.param("━━━━━", id="LD6-R175"), "swapd loading model: a"])
async def test_a_piece_is_a_chunk_of_a_chat(text, autojump_clock):
    """The smallest that clients show as thinking, in letters that people can read in curl."""
    async with open_house(settings=talkative("a")) as house:
        house.upstream.handler = stream
        reply = await (await ask(house, "a")).reply()
        chunk = f'data: {{"choices":[{{"delta":{{"reasoning_content":"{text}"}}}}]}}\n\n'
        assert chunk.encode() in reply.body


@pytest.mark.parametrize("line", [pytest.param("swapd loading model: a", id="LD7-R176")])
async def test_a_line_is_a_piece_and_its_line_break(line, autojump_clock):
    """As llama-swap has it, for clients that show what they get piece by piece."""
    async with open_house(settings=talkative("a")) as house:
        house.upstream.handler = stream
        caller = await ask(house, "a")
        await caller.head()
        texts = [text for _, text in await thoughts(caller)]
        assert texts[texts.index(line) + 1] == "\n"


@pytest.mark.parametrize("ticks", [pytest.param(5, id="LD8-R177")])
async def test_every_tick_shows_something(ticks, autojump_clock):
    """A line that stands still looks like a hang."""
    async with open_house(settings=talkative("a")) as house:
        house.models.load = ticks * TICK + 0.1
        house.upstream.handler = stream
        caller = await ask(house, "a")
        await caller.head()
        times = {when for when, _ in await thoughts(caller)}
        assert times == {*(count * TICK for count in range(ticks + 1)), house.models.load}


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        pytest.param(CHAT, True, id=f"LD9-R178: {CHAT}"),
        # Ours: nothing below a route is a route.
        pytest.param(f"{CHAT}/extra", False, id=f"LD9-R178-ours: {CHAT}/extra"),
        pytest.param("/v1/completions", False, id="LD9-R178: /v1/completions"),
        pytest.param("/v1/embeddings", False, id="LD9-R178: /v1/embeddings"),
        pytest.param("/health", False, id="LD9-R178: /health"),
        pytest.param("", False, id="LD9-R178: empty"),
        ("/v/chat/completions", False),
        ("/v1/messages", False),
        ("/v1/responses", False),
        ("/upstream/a/v1/chat/completions", False),
    ],
)
async def test_only_chats_are_shown_it(path, shown, autojump_clock):
    """Elsewhere `reasoning_content` means nothing to a client."""
    assert (path in ROUTES and ROUTES[path].loading_state) == shown
    async with open_house(settings=talkative("a")) as house:
        house.models.load = FIRST / 2
        reply = await (await ask(house, "a", path or "/")).reply()
        assert (b"swapd loading model: a" in reply.body) == shown


@pytest.mark.parametrize("limit", [pytest.param(2, id="R066-ours")])
async def test_a_refusal_at_once_has_no_lines(limit, autojump_clock):
    """Ours: under `serial` the queue's bound refuses, where fifo has one for each model."""

    async def busy(asked: Asked) -> None:
        await asked.gone()

    async with open_house(settings=talkative("a", "b", max_queue=limit)) as house:
        house.upstream.handler = busy
        await ask(house, "b")
        await trio.sleep(house.models.load)
        waiting = [await ask(house, "a") for _ in range(limit)]
        reply = await (await ask(house, "a")).reply()
        assert (reply.status, reply.code) == (429, "queue_full")
        assert reply.headers["content-type"] == "application/json"
        assert reply.json().keys() == {"src", "error"}
        for caller in waiting:
            assert (await caller.head()).status_code == 200


async def test_a_model_that_is_there_is_shown_no_loading(autojump_clock):
    """There is none; its answer is its own from the head on."""
    async with open_house(settings=talkative("a")) as house:
        await house.post(CHAT, {"model": "a"})
        house.upstream.handler = stream
        reply = await (await ask(house, "a")).reply()
        assert (reply.body, "server-timing" in reply.headers) == (DONE, True)
