"""The whole daemon, from outside: a real process, real sockets, real models, and nothing left.

Every test here starts `python -m swapd serve`, and ends by looking through all processes for one
that the daemon, or a model of it, or a child of a model, has left behind. Models are the pretend
server of `children/model.py`, which is quick, and llama.cpp where only the real thing will do.
"""

import fcntl
import json
import os
import re
import signal
import sys
import termios
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

from tests.daemons import CHAT, Daemon, llama, make_certificate, pretend, serving, write_config
from tests.house import Caller, Reply
from tests.processes import alive, dead

pytestmark = pytest.mark.real

HOP_BY_HOP = frozenset((b"connection", b"keep-alive", b"transfer-encoding"))

# What swapd says of itself on every answer of a model.
OURS = frozenset((b"x-swapd-request", b"server-timing"))


def loads(daemon: Daemon) -> list[str]:
    """Say what was loaded, in order, whoever it was for."""
    return [line for line in story(daemon) if line.startswith("loading")]


def story(daemon: Daemon) -> list[str]:
    """Say what was loaded and what has gone, in order."""
    word = r"(loading \S+)(?: for \S+| anew)|(\S+) is gone|(stopped)"
    lines = []
    for message in daemon.log.data.decode().splitlines():
        if found := re.fullmatch(word, message):
            lines.append(found[1] or (f"stopped {found[2]}" if found[2] else found[3]))
    return lines


# Serving


async def test_two_models_are_answered_with_a_swap_between(tmp_path):
    """The whole point: one address, two models, never both in memory."""
    async with serving(tmp_path, pretend("a"), pretend("b")) as daemon:
        async with trio.open_nursery() as nursery:
            replies: dict[str, Reply] = {}

            async def ask(model: str) -> None:
                replies[model] = await daemon.chat(model)

            nursery.start_soon(ask, "a")
            nursery.start_soon(ask, "b")
        assert {model: reply.status for model, reply in replies.items()} == {"a": 200, "b": 200}
        assert {model: reply.json()["name"] for model, reply in replies.items()} == {
            "a": "a",
            "b": "b",
        }
        await daemon.end(signal.SIGTERM)
        first, second = [word.split()[1] for word in daemon.told("loading")]
        assert {first, second} == {"a", "b"}
        assert story(daemon) == [
            f"loading {first}",
            f"stopped {first}",
            f"loading {second}",
            f"stopped {second}",
            "stopped",
        ]


async def test_arrival_order_is_kept_reloads_and_all(tmp_path):
    """S1: a b a loads a twice, although serving both of its requests together would be cheaper."""
    async with serving(tmp_path, pretend("a", "--load", "0.2"), pretend("b")) as daemon:
        done: list[int] = []

        async def wait(number: int, caller: Caller) -> None:
            assert (await caller.reply()).status == 200
            done.append(number)

        async with trio.open_nursery() as nursery:
            for number, model in enumerate("aba"):
                nursery.start_soon(wait, number, await daemon.queue(model))
        assert done == [0, 1, 2]
        await daemon.end(signal.SIGTERM)
        assert loads(daemon) == ["loading a", "loading b", "loading a"]


async def test_a_request_abandoned_in_the_queue_never_loads(tmp_path):
    """S7: the model that nobody waits for any more costs no swap."""
    async with serving(tmp_path, pretend("a"), pretend("b"), pretend("c")) as daemon:
        first = await daemon.stream("a")
        second = await daemon.queue("b")
        third = await daemon.queue("c")
        await second.leave()
        await daemon.settled()
        await first.leave()
        assert (await third.reply()).json()["name"] == "c"
        await daemon.end(signal.SIGTERM)
        assert loads(daemon) == ["loading a", "loading c"]


async def test_hanging_up_in_a_stream_reaches_the_model_at_once(tmp_path):
    """The first event is here before the second is made, and nobody pays for unread ones."""
    async with serving(tmp_path, pretend("a"), log="debug") as daemon:
        caller = await daemon.stream("a")
        await caller.leave()
        await daemon.log.find("a: client gone")


async def test_a_connection_carries_many_requests(tmp_path):
    """Models, managing and refusals on one connection, as clients that pool use it."""
    async with serving(tmp_path, pretend("a")) as daemon:
        caller = await daemon.call()
        wishes: list[tuple[dict[str, object], int]] = [
            ({"model": "a"}, 200),
            ({"model": "ghost"}, 404),
            ({"model": "a", "stream": True}, 200),
            ({}, 404),
            ({"model": "a", "status": 503}, 503),
            ({"model": "a"}, 200),
        ]
        for wish, status in wishes:
            await caller.send(CHAT, wish)
            reply = await caller.reply()
            assert (reply.status, reply.complete) == (status, True)
            await caller.send("/health")
            assert (await caller.reply()).body == b"OK"


async def test_what_runs_is_told_and_can_be_unloaded(tmp_path):
    """An answered unload means gone: no process, although its grandchild ignores SIGTERM."""
    model = pretend("a", "--fork-ignore-term", unloadTimeout=1, aliases=["x/y"])
    async with serving(tmp_path, model, pretend("b"), log="debug") as daemon:
        assert (await daemon.get("/running")).json() == {"running": []}
        await daemon.chat("a")
        [running] = (await daemon.get("/running")).json()["running"]
        assert (running["model"], running["state"]) == ("a", "ready")
        pids = [await daemon.pid_of("a"), int(await daemon.log.find("a: grandchild"))]
        assert all(map(alive, pids))

        unloaded = await daemon.get("/api/models/unload/x/y", method="POST")

        assert (unloaded.status, unloaded.body) == (200, b"OK")
        assert not any(map(alive, pids))
        assert (await daemon.get("/running")).json() == {"running": []}


async def test_unloading_everything_ends_a_stream_visibly(tmp_path):
    """S9: its client must not take the part that it got for the whole."""
    async with serving(tmp_path, pretend("a"), pretend("b")) as daemon:
        caller = await daemon.stream("a")
        assert (await daemon.get("/unload")).status == 200
        assert (await daemon.get("/running")).json() == {"running": []}
        piece = await caller.piece()
        assert piece is not None
        assert b"model_unloaded" in piece
        assert await caller.piece() is None
        assert (await daemon.chat("b")).status == 200


async def test_two_models_stream_side_by_side_where_they_may(tmp_path):
    """fifo and a group that says so: nobody is evicted, and nobody waits for the other's end."""
    routing = {
        "scheduler": {"use": "fifo"},
        "router": {"settings": {"groups": {"g": {"swap": False, "members": ["a", "b"]}}}},
    }
    async with serving(
        tmp_path, pretend("a"), pretend("b"), settings={"routing": routing}
    ) as daemon:
        first, second = await daemon.stream("a"), await daemon.stream("b")
        running = (await daemon.get("/running")).json()["running"]
        assert [(one["model"], one["state"]) for one in running] == [
            ("a", "ready"),
            ("b", "ready"),
        ]
        pids = [await daemon.pid_of(name) for name in "ab"]
        for caller in (first, second):
            await caller.leave()
        assert all(map(alive, pids))


async def test_a_request_may_have_its_model_gone_afterwards(tmp_path):
    """A last request of the day leaves no process, although nothing is configured."""
    async with serving(tmp_path, pretend("a")) as daemon:
        await daemon.chat("a")
        pid = await daemon.pid_of("a")
        caller = await daemon.call()
        await caller.send(CHAT, {"model": "a"}, headers={"X-Swapd-Keep-Alive": "0"})
        assert (await caller.reply()).status == 200
        await dead(pid)
        assert (await daemon.chat("a")).status == 200


async def test_an_idle_model_is_unloaded(tmp_path):
    """S15: nobody has to ask for it."""
    async with serving(tmp_path, pretend("a", ttl=1)) as daemon:
        await daemon.chat("a")
        await daemon.log.find("a is gone")
        assert (await daemon.get("/running")).json() == {"running": []}


async def test_what_was_measured_outlives_the_daemon(tmp_path):
    """The first in the queue after a restart is told how long a load takes."""

    async def load_s(daemon: Daemon) -> float | None:
        found = (await daemon.get("/api/models/a")).json()["load_s"]
        assert found is None or isinstance(found, float)
        return found

    async with serving(tmp_path, pretend("a")) as daemon:
        assert await load_s(daemon) is None
        await daemon.chat("a")
        measured = await load_s(daemon)
        assert measured is not None
    async with serving(tmp_path, pretend("a")) as daemon:
        assert await load_s(daemon) == measured


async def test_a_model_that_stops_answering_while_idle_is_restarted(tmp_path):
    """It lives, and hears nobody; the next request must not be who finds out."""
    deaf = pretend("a", livenessInterval=1, unloadTimeout=1)
    async with serving(tmp_path, deaf, patience=60.0) as daemon:
        await daemon.chat("a")
        pid = await daemon.pid_of("a")
        os.kill(pid, signal.SIGSTOP)
        await daemon.log.find("loading a anew")
        await dead(pid)
        assert (await daemon.chat("a")).status == 200


async def test_models_are_loaded_at_the_start_one_after_the_other(tmp_path):
    """Under serial the last one stays; a model that is broken keeps no other from being loaded."""
    hooks = {"hooks": {"on_startup": {"preload": ["broken", "a", "b"]}}}
    models = (pretend("a"), pretend("b"), ("broken", {"cmd": "false", "proxy": "http://[::1]:9"}))
    async with serving(tmp_path, *models, settings=hooks) as daemon:
        await daemon.log.find("b is ready")
        assert [line.split()[1] for line in loads(daemon)] == ["broken", "a", "b"]


async def test_the_files_of_the_next_model_are_read_ahead_while_one_is_served(tmp_path):
    """By a process of its own, which is gone when the model is started."""
    weights = tmp_path / "weights.gguf"
    weights.write_bytes(b"x" * 1_000_000)
    models = (pretend("a"), pretend("b", prefetch=[str(weights)]))
    async with serving(tmp_path, *models, log="debug") as daemon:
        stream = await daemon.stream("a")
        waiting = await daemon.queue("b")
        await daemon.log.find("reading the files of b ahead")
        await stream.leave()
        assert (await waiting.reply()).status == 200


# Byte for byte


async def test_answers_are_the_models_own_byte_for_byte(tmp_path):
    """Status, headers and body: what swapd adds to a stream is one word for proxies before it."""
    async with serving(tmp_path, pretend("a")) as daemon:
        await daemon.chat("a")
        for wish, added in [
            ({"size": 300_000}, []),
            ({"size": 0}, []),
            ({"size": 7, "status": 418}, []),
            ({"stream": True, "chunks": 400}, [(b"X-Accel-Buffering", b"no")]),
        ]:
            body = json.dumps({"model": "a", **wish}).encode()
            direct = await whole(await daemon.direct("a"), body)
            through = await whole(await daemon.call(), body)
            assert through == attrs.evolve(direct, headers=[*direct.headers, *added])
            assert direct.complete


async def test_the_request_is_the_clients_own_byte_for_byte(tmp_path):
    """The model sees what it would see without us, and whom it is for."""
    body = b'{ "b":1.50, "model"\n:"a","\\u0061":"\xc3\xa4" }'
    sent = {"Host": "h:1", "X-Odd": "a,  b", "Accept-Encoding": "gzip", "Cookie": "c=d"}
    sent["Content-Type"] = "application/json"
    async with serving(tmp_path, pretend("a")) as daemon:
        await daemon.chat("a")
        echoes = []
        for caller in (await daemon.direct("a"), await daemon.call()):
            await caller.send(f"{CHAT}?x=%20y&z", body, headers=sent)
            echoes.append((await caller.reply()).json())
        direct, through = echoes
        assert through["headers"].pop("x-forwarded-for") == "127.0.0.1"
        assert direct.pop("served") + 1 == through.pop("served")
        assert through == direct
        assert through["body"] == body.decode()


async def test_llama_cpps_answers_are_its_own(tmp_path, demo_cache):
    """Answers, streams and errors of a real server; only ids, dates and timings may differ."""
    say = {"model": "tiny-a", "max_tokens": 12, "temperature": 0, "seed": 1}
    chat = {**say, "messages": [{"role": "user", "content": "hello"}]}
    text = {**say, "prompt": "the river"}
    async with serving(tmp_path, llama("tiny-a"), env=demo_cache) as daemon:
        for path, wish in [
            (CHAT, chat),
            (CHAT, {**chat, "stream": True}),
            ("/v1/completions", {**text, "stream": True}),
            (CHAT, {"model": "tiny-a"}),
            ("/v1/embeddings", {"model": "tiny-a", "input": "x"}),
        ]:
            body = json.dumps(wish).encode()
            # Once to no purpose: the next two find the same prompt remembered.
            await whole(await daemon.call(), body, path=path)
            direct = await whole(await daemon.direct("tiny-a"), body, path=path)
            through = await whole(await daemon.call(), body, path=path)
            assert through.without_chance() == direct.without_chance()
            assert direct.complete


# Models that fail


async def test_a_model_killed_in_a_stream_is_seen_and_loaded_again(tmp_path):
    """D6: half an answer does not look like one, and the next request is served."""
    async with serving(tmp_path, pretend("a")) as daemon:
        caller = await daemon.stream("a")
        os.kill(await daemon.pid_of("a"), signal.SIGKILL)
        error = await caller.piece()
        assert error is not None
        assert b'"code":"upstream_cut"' in error
        assert await caller.piece() is None

        assert (await daemon.chat("a")).json()["served"] == 1
        await daemon.end(signal.SIGTERM)
        assert loads(daemon) == ["loading a", "loading a"]


async def test_a_model_killed_in_a_stream_costs_nobody_in_the_queue(tmp_path):
    """One death is one failed request, although the exit is noticed after the cut."""
    async with serving(tmp_path, pretend("a")) as daemon:
        for _ in range(5):
            served = await daemon.stream("a")
            pid = await daemon.pid_of("a")
            waiting = await daemon.queue("a")
            os.kill(pid, signal.SIGKILL)
            reply = await waiting.reply()
            assert (reply.status, reply.json()["served"]) == (200, 1)
            error = await served.piece()
            assert error is not None
            assert b'"code":"upstream_cut"' in error
        await daemon.end(signal.SIGTERM)
        assert loads(daemon) == ["loading a"] * 6


async def test_a_model_that_dies_while_loading_tells_its_last_words(tmp_path):
    """D8: its caller learns at once what the operator would look for in the log."""
    broken = pretend("a", "--exit-after", "0.1", "--exit-code", "3", "--never-healthy")
    async with serving(tmp_path, broken, pretend("b")) as daemon:
        reply = await daemon.chat("a")
        assert (reply.status, reply.code) == (502, "load_failed")
        assert "exited with code 3" in reply.json()["error"]["message"]
        assert "out of memory" in reply.json()["error"]["message"]
        assert (await daemon.chat("b")).status == 200


async def test_a_stranger_on_the_models_port_is_never_taken_for_it(tmp_path):
    """D31: his 200 would be an answer of nobody knows what."""
    asked: list[bytes | bytearray] = []

    async def stranger(stream: trio.SocketStream) -> None:
        async with stream:
            with suppress(trio.BrokenResourceError):
                async for data in stream:
                    asked.append(data)
                    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, stranger, 0, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        port = listener.socket.getsockname()[1]
        model = pretend("a", proxy=f"http://127.0.0.1:{port}")
        async with serving(tmp_path, model, pretend("b")) as daemon:
            reply = await daemon.chat("a")
            assert (reply.status, reply.code) == (502, "load_failed")
            assert f"port {port} is taken (models.a.proxy)" in reply.json()["error"]["message"]
            assert (await daemon.chat("b")).status == 200
        assert asked == []
        nursery.cancel_scope.cancel()


# Reloading


async def test_a_stream_is_not_touched_by_a_reload(tmp_path):
    """Byte for byte as without one, from the same process; the changed model waits its turn."""
    wish = json.dumps({"model": "a", "stream": True, "chunks": 60, "interval": 0.02}).encode()
    async with serving(tmp_path, pretend("a"), pretend("b")) as daemon:
        assert (await daemon.chat("b")).json()["name"] == "b"
        undisturbed = await whole(await daemon.call(), wish)
        pid = await daemon.pid_of("a")

        caller = await daemon.call()
        await caller.send(CHAT, wish)
        first = await caller.head()
        body = await caller.piece()
        daemon.configure(pretend("a"), pretend("b", "--name", "other"))
        assert await daemon.reload() == {
            "unchanged": ["a"],
            "restart": ["b"],
            "removed": [],
            "added": [],
            "needs_daemon_restart": [],
        }
        assert body is not None
        while piece := await caller.piece():
            body += piece
        assert (first.status_code, body, piece) == (200, undisturbed.body, b"")
        assert body.count(b"data: ") >= 60
        assert await daemon.pid_of("a") == pid

        assert (await daemon.chat("b")).json()["name"] == "other"
        await daemon.end(signal.SIGTERM)
        assert loads(daemon) == ["loading b", "loading a", "loading b"]


async def test_a_removed_model_finishes_what_it_serves(tmp_path):
    """Then it ends, although nobody asks for its place."""
    async with serving(tmp_path, pretend("a"), pretend("b")) as daemon:
        caller = await daemon.call()
        await caller.send(CHAT, {"model": "a", "stream": True, "chunks": 20, "interval": 0.02})
        await caller.head()
        pid = await daemon.pid_of("a")
        daemon.configure(pretend("b"))
        assert (await daemon.reload())["removed"] == ["a"]
        assert (await daemon.chat("a")).code == "model_not_found"
        assert alive(pid)
        while piece := await caller.piece():
            pass
        assert piece == b""
        await daemon.log.find("a is gone")
        assert not alive(pid)


async def test_a_changed_model_that_nobody_uses_ends_at_once(tmp_path):
    """What it holds is of no use to anybody; and it is started as it is now."""
    async with serving(tmp_path, pretend("a")) as daemon:
        await daemon.chat("a")
        daemon.configure(pretend("a", "--name", "other"))
        await daemon.reload()
        await daemon.log.find("a is gone")
        assert (await daemon.chat("a")).json()["name"] == "other"


async def test_a_signal_reloads_and_a_broken_file_changes_nothing(tmp_path):
    """The log says where the mistake stands; the daemon goes on, and takes the mended file."""
    async with serving(tmp_path, pretend("a"), ports=2) as daemon:
        await daemon.chat("a")
        pid = await daemon.pid_of("a")
        daemon.configure(pretend("a", ttl="soon"))
        daemon.process.send_signal(signal.SIGHUP)
        place = await daemon.log.find(f"{daemon.config}:1:")
        assert place.endswith('models.a.ttl: expected a whole number, got "soon"')
        assert (await daemon.chat("a")).status == 200

        daemon.configure(pretend("a", description="mended"), pretend("c"))
        daemon.process.send_signal(signal.SIGHUP)
        assert await daemon.log.find("reloaded: ") == "1 unchanged; added c"
        assert await daemon.pid_of("a") == pid
        assert (await daemon.chat("c")).json()["name"] == "c"


async def test_a_watched_file_is_taken_up_by_itself(tmp_path):
    """Nobody has to remember the signal."""
    inside = tmp_path / "conf.d"
    inside.mkdir()
    args = ("--watch-config", "--config-dir", str(inside))
    async with serving(tmp_path, pretend("a"), ports=3, args=args) as daemon:
        daemon.configure(pretend("a"), pretend("b"))
        assert await daemon.log.find("reloaded: ") == "1 unchanged; added b"
        write_config(inside / "c.yaml", {"models": dict([pretend("c")])})
        assert await daemon.log.find("reloaded: 2 ") == "unchanged; added c"
        assert (await daemon.chat("c")).json()["name"] == "c"


async def test_reloads_in_a_storm_lose_no_request(tmp_path):
    """Changed, removed and taken back while clients ask: each gets one answer that is true."""
    async with serving(tmp_path, pretend("a"), pretend("b"), ports=3) as daemon:
        done = trio.Event()
        statuses: list[int] = []

        async def ask(model: str) -> None:
            while not done.is_set():
                statuses.append((await daemon.chat(model)).status)

        async with trio.open_nursery() as nursery:
            for model in "aab":
                nursery.start_soon(ask, model)
            for round_ in range(12):
                daemon.configure(pretend("a", "--name", f"a{round_ // 3}"), pretend("b"))
                if round_ % 2:
                    daemon.process.send_signal(signal.SIGHUP)
                await daemon.reload()
            done.set()
        assert set(statuses) == {200}
        await daemon.end(signal.SIGTERM)


# Stopping


async def test_ctrl_c_leaves_nothing_and_is_no_failure(tmp_path):
    """The terminal signals the whole group in the foreground; models are not in it."""
    async with serving(tmp_path, pretend("a", "--fork")) as daemon:
        await daemon.chat("a")
        os.killpg(daemon.process.pid, signal.SIGINT)
        assert await daemon.ended() == 0
        assert story(daemon)[-2:] == ["stopped a", "stopped"]


async def test_a_stop_in_a_load_refuses_who_waits_and_is_quick(tmp_path):
    """S11: a load of minutes is not waited for, and its clients are told."""
    async with serving(tmp_path, pretend("a", "--load", "1000"), log="debug") as daemon:
        waiting = [await daemon.queue("a"), await daemon.queue("a")]
        await daemon.log.find("loading a")
        daemon.process.send_signal(signal.SIGTERM)
        for caller in waiting:
            reply = await caller.reply()
            assert (reply.status, reply.code) == (503, "shutting_down")
            assert reply.complete
        assert await daemon.ended() == 0


async def test_a_stop_lets_a_stream_end_properly(tmp_path):
    """A restart costs nobody the answer that is just being made."""
    async with serving(tmp_path, pretend("a")) as daemon:
        caller = await daemon.stream("a", chunks=6, interval=0.1)
        daemon.process.send_signal(signal.SIGTERM)
        await daemon.log.find("stopping; ")
        await daemon.refuses_connections()
        rest = b""
        while piece := await caller.piece():
            rest += piece
        assert piece == b""
        assert rest.endswith(b"data: [DONE]\n\n")
        assert await daemon.ended() == 0


async def test_a_stop_does_not_wait_for_as_long_as_somebody_gave_a_model(tmp_path):
    """A model that ignores SIGTERM, and an operator who had all the time in the world."""
    model = pretend("a", "--ignore-term", unloadTimeout=1)
    async with serving(tmp_path, model) as daemon:
        await daemon.chat("a")
        patient = await daemon.call()
        await patient.send("/api/models/unload/a?timeout=1e9", method="POST")
        await daemon.log.find("unloading a")
        await patient.leave()
        daemon.process.send_signal(signal.SIGINT)
        with trio.fail_after(5):
            assert await daemon.ended() == 0
        assert story(daemon)[-2:] == ["stopped a", "stopped"]


async def test_an_unload_in_a_hurry_answers_for_those_that_had_more_time(tmp_path):
    """`timeout` is the time until SIGKILL, whatever somebody else has said before."""
    async with serving(tmp_path, pretend("a", "--ignore-term"), pretend("b")) as daemon:
        await daemon.chat("a")
        pid = await daemon.pid_of("a")
        patient = await daemon.call()
        await patient.send("/api/models/unload/a?timeout=1e9", method="POST")
        await daemon.log.find("unloading a")
        with trio.fail_after(5):
            hurried = await daemon.get("/api/models/unload/a?timeout=0", method="POST")
            assert (hurried.status, (await patient.reply()).status) == (200, 200)
        assert not alive(pid)
        assert (await daemon.chat("b")).status == 200


async def test_a_second_signal_cuts_the_stream(tmp_path):
    """An operator in a hurry is obeyed, and the client sees that it got a part."""
    async with serving(tmp_path, pretend("a")) as daemon:
        caller = await daemon.stream("a")
        daemon.process.send_signal(signal.SIGTERM)
        await daemon.log.find("stopping; ")
        daemon.process.send_signal(signal.SIGINT)
        while piece := await caller.piece():
            assert b"model_unloaded" in piece
        assert piece is None
        assert await daemon.ended() == 0


async def test_a_second_signal_does_not_wait_for_a_stalled_reader(tmp_path):
    """An operator in a hurry is obeyed, whatever the clients do."""
    async with serving(tmp_path, pretend("a")) as daemon:
        caller = await daemon.call()
        await caller.send(CHAT, {"model": "a", "size": 50_000_000})
        await caller.head()
        # Nothing says that swapd waits for this client; but its buffers are full, and stay so for
        # longer than the kernel takes to look again.
        fill = [0]
        while len(set(fill[-40:])) > 1 or fill[-1] == 0:
            await daemon.settled()
            fill.append(unread(caller))
        daemon.process.send_signal(signal.SIGTERM)
        await daemon.log.find("stopping; ")
        daemon.process.send_signal(signal.SIGTERM)
        with trio.fail_after(5):
            assert await daemon.ended() == 0


@pytest.mark.parametrize(
    ("moment", "flags"),
    [("loading a", ("--ignore-term", "--load", "1000")), ("a is ready", ())],
)
async def test_sigkill_of_the_daemon_leaves_no_process(moment, flags, tmp_path):
    """D29: whatever ends the daemon, the memory on the GPU is free again."""
    model = pretend("a", "--fork-ignore-term", *flags)
    async with serving(tmp_path, model, log="debug") as daemon:
        await daemon.queue("a")
        await daemon.log.find(moment)
        grandchild = int(await daemon.log.find("a: grandchild"))
        assert grandchild in daemon.left()
        assert len(daemon.left()) == 4  # and the model, the daemon and its warden
        daemon.process.kill()
        assert await daemon.ended() == -signal.SIGKILL
        while left := daemon.left():
            await dead(*left)


async def test_a_hangup_signal_disturbs_nobody(tmp_path):
    """With nothing changed a reload is nothing at all."""
    async with serving(tmp_path, pretend("a")) as daemon:
        caller = await daemon.stream("a", chunks=3, interval=0.05)
        daemon.process.send_signal(signal.SIGHUP)
        assert await daemon.log.find("reloaded: ") == "1 unchanged"
        while piece := await caller.piece():
            pass
        assert piece == b""
        assert (await daemon.get("/health")).status == 200


# Other ways in


async def test_a_unix_socket_serves_and_is_removed(tmp_path):
    """For a proxy on the same machine; the next start finds no file in its way."""
    path = tmp_path / "swapd.sock"
    async with serving(tmp_path, pretend("a"), listen=f"unix:{path}") as daemon:
        assert daemon.address == f"unix:{path}"
        reply = await daemon.chat("a")
        assert reply.json()["name"] == "a"
        assert "x-forwarded-for" not in reply.json()["headers"]
        stream = await daemon.stream("a")
        await stream.leave()
        assert (await daemon.chat("a")).status == 200
        await daemon.end(signal.SIGTERM)
        assert not path.exists()


async def test_tls_serves_answers_streams_and_cuts(tmp_path, certificate):
    """All that holds for plain connections holds under TLS."""
    cert, key = certificate
    args = ("--tls-cert-file", str(cert), "--tls-key-file", str(key))
    models = pretend("a"), pretend("b")
    async with serving(tmp_path, *models, args=args, trust=cert, log="debug") as daemon:
        assert daemon.address.startswith("https://127.0.0.1:")
        caller = await daemon.call()
        for model in "ab":
            await caller.send(CHAT, {"model": model, "size": 300_000})
            assert len((await caller.reply()).body) == 300_000
        await (await daemon.stream("a")).leave()
        await daemon.log.find("a: client gone")
        cut = await daemon.stream("b")
        os.kill(await daemon.pid_of("b"), signal.SIGKILL)
        assert b"upstream_cut" in (await cut.piece() or b"")
        assert await cut.piece() is None


@pytest.mark.parametrize(("method", "path"), [(b"\x82", "/health"), (b"\x83", CHAT)])
async def test_http_2_is_spoken_or_refused_but_harms_nobody(method, path, tmp_path):
    """Any client may begin with it; one that takes no data and leaves must not pin the daemon."""
    async with serving(tmp_path, pretend("a")) as daemon:
        caller = await daemon.call()
        fields = method + b"\x86\x04" + bytes([len(path)]) + path.encode() + b"\x41\x01x"
        await caller.raw(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + b"\0\0\6\4\0\0\0\0\0\0\4\0\0\0\0"  # SETTINGS: an initial window of 0
            + bytes([0, 0, len(fields), 1, 5, 0, 0, 0, 1])  # HEADERS: all there is of stream 1
            + fields
        )
        await daemon.settled()
        await caller.leave()
        await daemon.settled()
        with trio.fail_after(5):
            await daemon.end(signal.SIGTERM)


async def test_listening_to_everybody_is_worth_a_warning(tmp_path):
    """D2: there are no keys yet; whoever opens it to the network should know."""
    async with serving(tmp_path, pretend("a"), listen="0.0.0.0:0") as daemon:
        await daemon.log.find("everybody on the network can use this")
        assert (await daemon.get("/health")).status == 200


# What comes back


@attrs.define
class Whole:
    """An answer as it came, without what belongs to the connection or is swapd's own."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    complete: bool

    def without_chance(self) -> "Whole":
        """Blot out ids, dates and timings of llama.cpp, and the length that they change."""
        body = re.sub(
            rb'"(id|created|\w+_ms|\w+_per_second)":("[^"]*"|[-+.\de]+)', rb'"\1":0', self.body
        )
        headers = [
            (name, b"" if name.lower() == b"content-length" else value)
            for name, value in self.headers
        ]
        return Whole(self.status, headers, body, self.complete)


def unread(caller: Caller) -> int:
    """Say how much has come for a caller that does not read."""
    assert isinstance(caller.stream, trio.SocketStream)
    answer = fcntl.ioctl(caller.stream.socket.fileno(), termios.FIONREAD, bytes(4))
    return int.from_bytes(answer, sys.byteorder)


async def whole(caller: Caller, body: bytes, *, path: str = CHAT) -> Whole:
    """Ask, and take the whole answer."""
    await caller.send(path, body)
    head = await caller.head()
    text = b""
    while piece := await caller.piece():
        text += piece
    overlooked = HOP_BY_HOP | OURS
    headers = [
        (name, value) for name, value in head.headers.raw_items() if name.lower() not in overlooked
    ]
    return Whole(head.status_code, headers, text, piece == b"")


@pytest.fixture(scope="session")
def demo_cache(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """One place for the tiny models, which are made on first use."""
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gguf")
    return {"SWAPD_DEMO_CACHE": str(tmp_path_factory.mktemp("models"))}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1, and its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))
