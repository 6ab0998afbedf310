"""One child: real processes that end well, badly, or hardly at all."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence

import attrs
import pytest
import trio
import trio.testing

from swapd.models.child import Command, open_child
from swapd.models.group import CannotStart, Group
from swapd.models.warden import Warden, open_warden
from tests.processes import Lines, alive, child_argv, free_port

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def warden() -> Iterator[Warden]:
    with open_warden() as opened:
        yield opened


async def released() -> bool:
    return True


def command(*argv: str, grace: float = 10, stop: tuple[str, ...] | None = None) -> Command:
    return Command(argv, dict(os.environ), stop, lambda: trio.move_on_after(grace), released)


def child(*flags: str, grace: float = 10, stop: tuple[str, ...] | None = None) -> Command:
    return command(*child_argv(0, *flags), grace=grace, stop=stop)


def never_stuck(why: str, gone: object) -> None:
    raise AssertionError(why)


async def test_leaving_ends_the_child(warden):
    """Whoever leaves the context leaves nothing running."""
    lines = Lines()
    with trio.fail_after(20):
        async with open_child(
            child(), output=lines.write, stuck=never_stuck, warden=warden
        ) as opened:
            await lines.find("listening on")
            assert alive(opened.group.pid)
    assert not alive(opened.group.pid)
    assert opened.exit_status == 0


@pytest.mark.parametrize("moment", ["opening", "open", "closing"])
async def test_cancelling_at_any_moment_leaves_nothing(moment, warden):
    """Cancellation is how every run ends."""
    lines = Lines()
    pid = 0
    with trio.fail_after(20), trio.CancelScope() as unloading:
        if moment == "opening":
            unloading.cancel()
        async with open_child(
            child("--slow-term", "0.2"), output=lines.write, stuck=never_stuck, warden=warden
        ) as opened:
            pid = opened.group.pid
            await lines.find("listening on")
            if moment == "open":
                unloading.cancel()
                await trio.sleep_forever()
            async with trio.open_nursery() as nursery:

                async def cancel_when_ending() -> None:
                    with trio.CancelScope(shield=True):
                        await lines.find("ending in")
                    unloading.cancel()

                nursery.start_soon(cancel_when_ending)
                os.kill(pid, signal.SIGTERM)
    assert pid
    assert not alive(pid)


async def test_sigkill_follows_the_grace_period(warden):
    """A model that ignores SIGTERM is gone all the same."""
    lines = Lines()
    with trio.fail_after(20):
        async with open_child(
            child("--ignore-term", grace=0.2), output=lines.write, stuck=never_stuck, warden=warden
        ) as opened:
            await lines.find("listening on")
    assert opened.exit_status == -signal.SIGKILL


async def test_the_grace_period_can_be_cut_while_the_child_is_ending(warden):
    """Who gave it an hour may regret it, or somebody else may."""
    lines, patience = Lines(), trio.CancelScope()
    patient = attrs.evolve(child("--ignore-term"), patience=lambda: patience)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:

            async def regret() -> None:
                await trio.testing.wait_all_tasks_blocked(0.1)
                patience.deadline = trio.current_time()

            async with open_child(
                patient, output=lines.write, stuck=never_stuck, warden=warden
            ) as opened:
                await lines.find("listening on")
                nursery.start_soon(regret)
    assert opened.exit_status == -signal.SIGKILL


async def test_the_grace_period_is_asked_for_when_the_end_begins(warden):
    """Who ends a run may be in a hurry; nobody knew that when it was started."""
    lines, hurry = Lines(), False
    patient = attrs.evolve(
        child("--ignore-term"), patience=lambda: trio.move_on_after(0 if hurry else 30)
    )
    with trio.fail_after(20):
        async with open_child(
            patient, output=lines.write, stuck=never_stuck, warden=warden
        ) as opened:
            await lines.find("listening on")
            hurry = True
    assert opened.exit_status == -signal.SIGKILL


async def test_a_slow_end_within_the_grace_period_is_not_killed(warden):
    """A server that saves its state on SIGTERM gets the time it was promised."""
    lines = Lines()
    with trio.fail_after(20):
        async with open_child(
            child("--slow-term", "0.5"), output=lines.write, stuck=never_stuck, warden=warden
        ) as opened:
            await lines.find("listening on")
    assert opened.exit_status == 0
    assert b"ending in" in lines.data


@pytest.mark.parametrize("flag", ["--fork", "--fork-ignore-term"])
async def test_grandchildren_go_too(flag, warden):
    """A wrapper's server holds the GPU, not the wrapper."""
    lines = Lines()
    with trio.fail_after(20):
        async with open_child(
            child(flag, grace=0.3), output=lines.write, stuck=never_stuck, warden=warden
        ):
            await lines.find("listening on")
            grandchild = int(await lines.find("grandchild"))
            assert alive(grandchild)
    assert not alive(grandchild)


async def test_a_grandchild_whose_leader_crashed_goes_too(warden):
    """The exit of the leader is not the end of the group."""
    lines = Lines()
    with trio.fail_after(20):
        async with open_child(
            child("--fork-ignore-term", grace=0.3),
            output=lines.write,
            stuck=never_stuck,
            warden=warden,
        ) as opened:
            grandchild = int(await lines.find("grandchild"))
            os.kill(opened.group.pid, signal.SIGKILL)
            await opened.exited.wait()
            assert alive(grandchild)
    assert not alive(grandchild)


async def test_the_last_words_are_there_when_the_exit_is(warden):
    """Whoever reads them on exit need not wait for the end of the pipe."""
    lines = Lines()
    with trio.fail_after(20):
        async with open_child(
            command("/bin/sh", "-c", "sleep 1000 & echo last words >&2; exit 7", grace=0.2),
            output=lines.write,
            stuck=never_stuck,
            warden=warden,
        ) as opened:
            await opened.exited.wait()
            assert lines.data == b"last words\n"
            assert opened.exit_status == 7


async def test_a_flood_of_output_blocks_nobody(warden):
    """Output is read to the very end, also while the child is being ended."""
    seen = 0

    def count(data: bytes) -> None:
        nonlocal seen
        seen += len(data)

    with trio.fail_after(30):
        async with open_child(
            child("--flood", "--slow-term", "0.2"), output=count, stuck=never_stuck, warden=warden
        ) as opened:
            while seen < 10_000_000:
                await trio.lowlevel.checkpoint()
    assert opened.exit_status == 0


async def test_cmd_stop_runs_instead_of_sigterm(warden):
    """`docker stop` is the operator's own way; the process id is filled in."""
    lines = Lines()
    stop = ("/bin/sh", "-c", "kill -USR1 ${PID}")
    script = (
        "trap 'echo by cmdStop; exit 5' USR1; trap '' TERM; echo up; while :; do sleep 0.05; done"
    )
    with trio.fail_after(20):
        async with open_child(
            command("/bin/sh", "-c", script, stop=stop),
            output=lines.write,
            stuck=never_stuck,
            warden=warden,
        ) as opened:
            await lines.find("up")
    assert opened.exit_status == 5
    assert b"by cmdStop" in lines.data


async def test_a_cmd_stop_that_hangs_does_not_outlive_the_model(warden):
    """It has no time limit of its own, only the model's."""
    lines = Lines()
    marker = f"{free_port()}.{os.getpid()}"
    stop = (sys.executable, "-c", "import time; time.sleep(1000)", marker)
    with trio.fail_after(20):
        async with open_child(
            child(grace=0.3, stop=stop), output=lines.write, stuck=never_stuck, warden=warden
        ) as opened:
            await lines.find("listening on")
    assert opened.exit_status == -signal.SIGKILL
    assert not processes_with(marker)


async def test_a_cmd_stop_that_cannot_run_falls_back_to_sigterm(warden):
    """A typo there must not turn every swap into a SIGKILL."""
    lines = Lines()
    with trio.fail_after(20):
        async with open_child(
            child(stop=("/nonexistent/stop",)),
            output=lines.write,
            stuck=never_stuck,
            warden=warden,
        ) as opened:
            await lines.find("listening on")
    assert opened.exit_status == 0


async def test_what_is_not_released_is_reported_as_stuck_and_waited_for(warden):
    """A port that stays open belongs to something that escaped; nothing starts on top of it."""
    lines = Lines()
    free = trio.Event()
    stuck: list[tuple[str, object]] = []

    async def is_free() -> bool:
        return free.is_set()

    with trio.fail_after(20):
        async with open_child(
            attrs.evolve(child(grace=0.3), released=is_free, kill_patience=0.2),
            output=lines.write,
            stuck=lambda why, gone: stuck.append((why, gone)),
            warden=warden,
        ):
            await lines.find("listening on")
        [(why, gone)] = stuck
        assert "its port still accepts connections" in why
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gone)  # type: ignore[arg-type]
            free.set()


async def test_a_child_that_cannot_start_leaks_nothing(warden):
    """Failing loads are repeated; descriptors must not pile up."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(CannotStart):
            async with open_child(
                command("/nonexistent/server"), output=print, stuck=never_stuck, warden=warden
            ):
                pytest.fail("it started")
    assert len(os.listdir("/proc/self/fd")) == before


async def test_children_that_come_and_go_leave_no_descriptor(warden):
    """A box swaps thousands of times between restarts."""
    before = len(os.listdir("/proc/self/fd"))
    with trio.fail_after(60):
        for _ in range(20):
            async with open_child(
                command("/bin/true"), output=print, stuck=never_stuck, warden=warden
            ) as opened:
                await opened.exited.wait()
    assert len(os.listdir("/proc/self/fd")) == before


async def test_what_runs_beside_a_child_runs_to_its_very_end(warden):
    """What a child says while it is being ended is heard, too."""
    lines, seen = Lines(), b""

    async def beside() -> None:
        nonlocal seen
        try:
            await trio.sleep_forever()
        finally:
            seen = lines.data

    with trio.fail_after(20):
        async with open_child(
            child("--slow-term", "0.1"),
            output=lines.write,
            stuck=never_stuck,
            warden=warden,
            beside=beside,
        ):
            await lines.find("listening on")
            assert not seen
    assert b"ending in" in seen


async def test_processes_are_started_as_the_caller_says(warden):
    """The model and its `cmdStop` alike, so that both can be pretended."""
    lines, started = Lines(), list[tuple[str, bool]]()

    def start(argv: Sequence[str], *, env: Mapping[str, str], heard: bool = False) -> Group:
        started.append((argv[0], heard))
        return Group(argv, env=env, heard=heard)

    with trio.fail_after(20):
        async with open_child(
            child(stop=("/bin/kill", "${PID}")),
            output=lines.write,
            stuck=never_stuck,
            warden=warden,
            start=start,
        ):
            await lines.find("listening on")
    assert started == [(sys.executable, True), ("/bin/kill", False)]


def processes_with(word: str) -> list[int]:
    """List the processes that have this word in their arguments."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as cmdline:
                if word.encode() in cmdline.read():
                    found.append(int(name))
        except OSError:
            continue
    return found
