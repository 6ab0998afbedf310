"""`swapd top`: what it asks, and what it does with a daemon that goes away."""

import json
import os
import signal

import pytest

from swapd.terminal.client import Client
from swapd.terminal.commands import main
from swapd.terminal.endings import CannotTell
from swapd.terminal.top import Watch
from swapd.terminal.where import Where
from tests.terminal.conftest import LINES, on_a_terminal

MODELS, QUEUE, MACHINE = "GET /api/models", "GET /api/queue", "GET /api/performance"


@pytest.fixture
def daemon(server):
    server.says(MODELS, '{"models":[{"id":"a","state":"ready"}]}')
    server.says(QUEUE, '{"requests":[]}')
    server.says(MACHINE, '{"enabled":false}', 503)
    return server


@pytest.mark.real
def test_on_a_pipe_it_is_one_snapshot(daemon, capsys):
    """`swapd top | mail`: without a single escape."""
    with pytest.raises(SystemExit) as left:
        main(("top",))
    assert left.value.code == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"swapd {daemon.url}  ")
    assert "\x1b" not in out
    assert "\na      ready" in out
    assert err == ""


@pytest.mark.real
def test_an_hour_of_samples_is_asked_for_once(daemon):
    """Every second it would be a megabyte."""
    watch = Watch(Client(Where.parse(daemon.url)))
    at = "2025-11-23T12:00:00+01:00"
    samples = [{"timestamp": "x", "mem_total_mb": 1}, {"timestamp": at, "mem_total_mb": 2}]
    gpus = [{"id": 0, "temp_c": 1}, {"id": 1, "temp_c": 5}, {"id": 0, "temp_c": 2}]
    told = {"enabled": True, "sys_stats": samples, "gpu_stats": gpus}
    daemon.says(MACHINE, json.dumps(told))
    first = watch.look().machine
    assert first.system is not None
    assert first.system.number("mem_total_mb") == 2
    assert [gpu.number("temp_c") for gpu in first.gpus] == [2, 5]

    later = f"{MACHINE}?after=2025-11-23T12%3A00%3A00%2B01%3A00"
    daemon.says(later, '{"enabled":true,"sys_stats":[],"gpu_stats":[]}')
    assert watch.look().machine == first
    assert daemon.told[-1] == later


@pytest.mark.real
def test_a_daemon_that_measures_nothing_is_watched_all_the_same(daemon):
    """Nor does an older one, that has no such page."""
    watch = Watch(Client(Where.parse(daemon.url)))
    assert watch.look().machine.system is None
    del daemon.answers[MACHINE]
    assert watch.look().machine.system is None


@pytest.mark.real
@pytest.mark.parametrize("what", [MODELS, QUEUE, MACHINE])
def test_what_makes_no_sense_is_a_sentence(what, daemon):
    """The screen shows it, and stays."""
    daemon.says(what, "[]")
    with pytest.raises(CannotTell):
        Watch(Client(Where.parse(daemon.url))).look()


@pytest.mark.real
def test_on_a_terminal_it_looks_again_and_again(daemon):
    """What changes is seen; a daemon that is gone is waited for; and `q` is enough."""
    with on_a_terminal("-m", "swapd", "top") as terminal:
        terminal.find(b"1 of 1 models ready")
        daemon.says(MODELS, '{"models":[{"id":"a","state":"stopped"}]}')
        terminal.find(b"0 of 1 models ready")
        daemon.says(MODELS, "gone", 502)
        terminal.find(b"is no swapd: HTTP 502")
        daemon.says(MODELS, '{"models":[]}')
        terminal.find(b"no models are configured")
        os.write(terminal.fd, b"q")
        assert terminal.ended() == 0
        assert terminal.modes() == LINES


@pytest.mark.real
def test_ctrl_c_ends_it_too(daemon):
    """Without a word, and with the shell's own screen as it was."""
    with on_a_terminal("-m", "swapd", "top") as terminal:
        terminal.find(b"1 of 1 models ready")
        os.kill(terminal.pid, signal.SIGINT)
        terminal.find(b"\x1b[?25h\x1b[?1049l")
        assert terminal.ended() == 130
        assert b"Traceback" not in terminal.shown
        assert terminal.modes() == LINES


@pytest.mark.real
def test_a_daemon_that_was_never_there_is_not_waited_for(daemon):
    """The address is wrong, more likely than not."""
    daemon.says(MODELS, "gone", 502)
    with on_a_terminal("-m", "swapd", "top") as terminal:
        terminal.find(b"is no swapd: HTTP 502")
        assert terminal.ended() == 4
