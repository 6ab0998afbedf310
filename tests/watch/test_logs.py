"""All logs together: what goes where, and that nobody can forge a line."""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs
import pytest
import trio

from swapd.config.kinds import LogLevel, LogTarget
from swapd.config.settings import Settings
from swapd.ids import ModelId
from swapd.watch.logs import Logs
from swapd.watch.printing import Entry, Message, Output
from tests import stories

A, B = ModelId("a"), ModelId("b")


@contextmanager
def logging_to(logs: Logs) -> Iterator[logging.Logger]:
    """Have a logger that nobody else has."""
    logger = logging.Logger("test", logging.DEBUG)
    logger.addHandler(logs.handler)
    yield logger
    logger.removeHandler(logs.handler)


def written(*args: object, extra: Mapping[str, Any] | None = None) -> str:
    """Log one message and answer with what the log has."""
    logs = Logs(LogTarget.NONE)
    with logging_to(logs) as log:
        log.info(*args, extra=extra)
    return logs.proxy.history().decode()


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("listening",), "[INFO] listening\n"),
        (("loading %s", "a"), "[INFO] loading a\n"),
        (("GET %s", "/x\n[ERROR] forged\r\x1b[2J"), "[INFO] GET /x\\n[ERROR] forged\\r\\x1b[2J\n"),
        (("%s", "\ud800\u202e"), "[INFO] \\ud800\\u202e\n"),
        (("%d lines", "no number"), "[INFO] %d lines ('no number',)\n"),
        (("one %s", 1, 2), "[INFO] one %s (1, 2)\n"),
        (("",), "[INFO] \n"),
    ],
)
def test_a_message_is_one_line(args, line):
    """Whatever a client, a model's name or a bug of ours puts into it."""
    assert written(*args) == line


def test_levels_are_called_as_llama_swap_calls_them():
    """Who searches for WARN finds all of it."""
    logs = Logs(LogTarget.NONE)
    with logging_to(logs) as log:
        log.debug("d")
        log.warning("w")
        log.error("e")
        log.critical("c")
    assert logs.proxy.history() == b"[DEBUG] d\n[WARN] w\n[ERROR] e\n[ERROR] c\n"


def test_a_traceback_follows_and_cannot_forge_a_line_either():
    """What was raised may quote what a client sent."""
    logs = Logs(LogTarget.NONE)
    with logging_to(logs) as log:
        try:
            raise ValueError("bad\n[INFO] forged\x1b[2J")
        except ValueError:
            log.exception("it broke")
    first, *more = logs.proxy.history().decode().splitlines()
    assert first == "[ERROR] it broke"
    assert more[0] == "    Traceback (most recent call last):"
    assert more[-2:] == ["    ValueError: bad", "    [INFO] forged\\x1b[2J"]
    assert all(line.startswith("    ") for line in more)


def test_what_is_known_besides_goes_along_for_programs_only():
    """People have the sentence."""
    heard: list[Entry] = []
    logs = Logs(LogTarget.PROXY, out=heard.append)
    with logging_to(logs) as log:
        log.info("one", extra={"fields": {"model": "a"}})
        log.info("two", extra={"fields": "no mapping"})
    one, two = heard
    assert isinstance(one, Message)
    assert isinstance(two, Message)
    assert (one.fields, two.fields) == ({"model": "a"}, {})
    assert one.written == b"[INFO] one\n"
    assert logs.proxy.history() == b"[INFO] one\n[INFO] two\n"


def test_a_reload_changes_level_and_time_and_nothing_else():
    """What goes to standard output was decided at the start."""
    logs = Logs(LogTarget.PROXY)
    settings = Settings(log_level=LogLevel.WARN, log_time_format="Kitchen")
    with logging_to(logs) as log:
        log.info("before")
        logs.adopt(attrs.evolve(settings, log_to_stdout=LogTarget.NONE))
        log.info("not told")
        log.warning("after")
        logs.adopt(Settings(log_level=LogLevel.DEBUG))
        log.debug("at last")
    first, second, third = logs.combined.history().decode().splitlines()
    assert (first, third) == ("[INFO] before", "[DEBUG] at last")
    time, _, rest = second.partition(" ")
    assert time.endswith(("AM", "PM"))
    assert rest == "[WARN] after"


async def test_a_models_log_outlives_its_runs_and_a_reload():
    """Why it crashed an hour ago is still there, as long as there is such a model."""
    logs = Logs(LogTarget.NONE)
    assert logs.known(A) is None
    logs.run_output(A).write(b"first run\n")
    logs.run_output(A).write(b"second run\n")
    logs.run_output(B).write(b"other\n")
    with logs.of(A).follow() as a, logs.of(B).follow() as b:
        logs.adopt(stories.settings(["a"]))
        logs.of(A).write(b"more\n")
        assert await a.receive() == b"more\n"
        assert await b.receive() == b""
    assert logs.of(A).history() == b"first run\nsecond run\nmore\n"
    assert logs.known(B) is None
    assert logs.upstream.history() == b"first run\nsecond run\nother\nmore\n"


def test_the_way_out_hears_whose_output_it_is_and_when_a_run_begins_anew():
    """Half a line of a run that crashed is not the beginning of the next one's."""
    heard: list[Entry] = []
    logs = Logs(LogTarget.UPSTREAM, out=heard.append)
    output = logs.run_output(A)
    output.write(b"half")
    output.end()
    logs.run_output(B)
    pieces = [(one.model, one.data) for one in heard if isinstance(one, Output)]
    assert pieces == [(A, b""), (A, b"half"), (A, b""), (B, b"")]


async def test_what_threads_say_reaches_those_who_follow(autojump_clock):
    """A configuration is read in a thread, and a follower may only be woken from its own."""
    logs = Logs(LogTarget.BOTH)
    with logging_to(logs) as log, logs.combined.follow() as follower:
        log.info("from here")
        assert await follower.receive() == b"[INFO] from here\n"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, log.info, "from there")
            assert await follower.receive() == b"[INFO] from there\n"


def test_before_and_after_trio_threads_write_themselves():
    """What is said while the daemon begins and ends is kept as well."""
    logs = Logs(LogTarget.NONE)

    async def home(log: logging.Logger) -> None:
        log.info("two")

    with logging_to(logs) as log:
        for text in ("one", "three", "four"):
            speaker = threading.Thread(target=log.info, args=(text,))
            speaker.start()
            speaker.join()
            if text == "one":
                trio.run(home, log)
    assert [line.split()[1] for line in logs.proxy.history().decode().splitlines()] == [
        *("one", "two", "three", "four")
    ]


async def test_closing_ends_every_follower_also_of_logs_that_are_not_there_yet():
    """The daemon stops, and streams would hold it up."""
    logs = Logs(LogTarget.NONE)
    with logs.proxy.follow() as one, logs.of(A).follow() as two:
        logs.close()
        with logs.combined.follow() as three, logs.of(B).follow() as four:
            for follower in (one, two, three, four):
                assert await follower.receive() == b""
    with logging_to(logs) as log:
        log.info("last words")
    assert logs.proxy.history() == b"[INFO] last words\n"
