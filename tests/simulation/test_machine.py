"""Pretend processes, held to what real ones do."""

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from swapd.models.group import CannotStart, Group, Start, Started
from tests.simulation.city import Diary
from tests.simulation.machine import Machine
from tests.simulation.plan import Life, Plan

# The same three in both worlds: one that ends when it is told to, one that is deaf to that, and
# one that leaves a deaf child behind.
POLITE, DEAF, PARENT = "a", "b", "c"

IGNORE = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)"
)
PROGRAMS = {
    POLITE: "import time; print('up', flush=True); time.sleep(600)",
    DEAF: f"{IGNORE}; time.sleep(600)",
    PARENT: f"import os, time; os.fork() or exec({IGNORE!r}); time.sleep(600)",
}


@asynccontextmanager
async def starting(kind: str) -> AsyncIterator[Start]:
    """Answer with how processes are started; those that live on are killed."""
    if kind == "pretend":
        lives = (
            Life(DEAF, 0, deaf=True),
            Life(PARENT, 0, child=True),
            Life("no", 0, starts=False),
        )
        async with trio.open_nursery() as nursery:
            machine = Machine.of(Plan(0, (0, 0, 0.0, 1), lives=lives), nursery, Diary())
            yield machine.start
            nursery.cancel_scope.cancel()
        return
    started: list[Group] = []

    def start(argv, *, env, heard=False):
        program = PROGRAMS.get(argv[0])
        argv = ["/no/such/program"] if program is None else [sys.executable, "-c", program]
        started.append(Group(argv, env=env, heard=heard))
        return started[-1]

    try:
        yield start
    finally:
        for group in started:
            group.signal(signal.SIGKILL)  # to nobody, unless the test has failed


async def begun(start: Start, name: str) -> Started:
    """Start one and wait until it lives as it is meant to."""
    process = start([name], env={}, heard=True)
    if isinstance(process, Group):
        await process.readable()  # Of a parent it is the child that says so.
    else:
        await trio.testing.wait_all_tasks_blocked()
    return process


BOTH = pytest.mark.parametrize("kind", ["pretend", pytest.param("real", marks=pytest.mark.real)])


@BOTH
async def test_a_polite_process_ends_when_it_is_told_to(kind):
    """And is a member of its own group until then."""
    async with starting(kind) as start:
        process = await begun(start, POLITE)
        assert (process.members(), process.exit_status) == ([process.pid], None)
        process.signal(signal.SIGTERM)
        with trio.fail_after(10):
            await process.exited()
        assert process.exit_status is not None
        assert process.members() == []
        process.signal(signal.SIGTERM)  # To nobody, and no error.
        process.close()


@BOTH
async def test_a_deaf_one_ends_by_sigkill_alone(kind):
    """Which its exit status tells."""
    async with starting(kind) as start:
        process = await begun(start, DEAF)
        process.signal(signal.SIGTERM)
        with trio.move_on_after(0.3):
            await process.exited()
            pytest.fail("it was not deaf")
        process.signal(signal.SIGKILL)
        with trio.fail_after(10):
            await process.exited()
        assert process.exit_status == -signal.SIGKILL
        process.close()


@BOTH
async def test_a_child_that_is_left_behind_is_a_member_until_it_dies(kind):
    """The leader's end is not the end."""
    async with starting(kind) as start:
        process = await begun(start, PARENT)
        assert len(process.members()) == 2
        process.signal(signal.SIGTERM)
        with trio.fail_after(10):
            await process.exited()
        assert len(process.members()) == 1
        assert process.pid not in process.members()
        process.signal(signal.SIGKILL)
        with trio.fail_after(10):
            while process.members():  # noqa: ASYNC110  # nobody tells
                await trio.sleep(0.01)
        process.close()


@BOTH
async def test_what_is_not_there_cannot_be_started(kind):
    """And says so before anything runs."""
    async with starting(kind) as start:
        with pytest.raises(CannotStart, match="cannot execute"):
            start(["no"], env={})
