"""Process groups: real processes, because that is what may go wrong."""

import os
import resource
import signal
from pathlib import Path

import pytest
import trio

from swapd.models.group import CannotStart, Group, resident
from tests.processes import alive, child_argv, dead

pytestmark = pytest.mark.real


async def exited(group: Group) -> None:
    with trio.fail_after(20):
        await group.exited()


async def test_the_leader_is_in_a_group_of_its_own():
    """Ctrl-C in our terminal must not reach the models."""
    group = Group(child_argv(0), env={})
    assert os.getpgid(group.pid) == group.pid != os.getpgid(0)
    assert group.members() == [group.pid]
    group.signal(signal.SIGKILL)
    await exited(group)
    assert group.members() == []
    assert group.exit_status == -signal.SIGKILL
    group.close()


async def test_members_are_what_lives_and_not_the_leader_only():
    """A shell that has exited may have left its server behind."""
    group = Group(["/bin/sh", "-c", "sleep 1000 & exit 3"], env={"PATH": os.environ["PATH"]})
    await exited(group)
    assert group.exit_status == 3
    [left] = group.members()
    assert left != group.pid
    group.signal(signal.SIGKILL)
    with trio.fail_after(20):
        await dead(left)
    assert group.members() == []
    group.close()


async def test_signalling_what_is_gone_is_no_error():
    """The race between an exit and a signal is nobody's fault."""
    group = Group(["/bin/true"], env={})
    await exited(group)
    assert group.exit_status == 0
    group.signal(signal.SIGTERM)
    assert not alive(group.pid)
    group.close()


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["/nonexistent/server"], "cannot execute /nonexistent/server: No such file or directory"),
        (["/etc/passwd"], "cannot execute /etc/passwd: Permission denied"),
        (["a\0b"], "embedded null byte"),
    ],
)
def test_a_command_that_cannot_be_executed_says_why(argv, says):
    """The operator learns which file it is."""
    with pytest.raises(CannotStart, match=says):
        Group(argv, env={})


@pytest.mark.parametrize("heard", [False, True])
def test_a_command_that_cannot_be_executed_leaks_nothing(heard):
    """Failing loads are repeated; descriptors must not pile up."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        with pytest.raises(CannotStart):
            Group(["/nonexistent/server"], env={}, heard=heard)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_what_is_heard_comes_in_order_and_ends():
    """A crash says why on stderr, after what it said on stdout."""
    group = Group(["/bin/sh", "-c", "echo one; echo two >&2"], env={}, heard=True)
    await exited(group)
    await group.readable()
    assert group.read(4) + group.read(100) == b"one\ntwo\n"
    assert group.read(100) == b""
    assert group.exit_status == 0
    group.close()


async def test_reading_never_waits():
    """Others have their turn while a server is silent."""
    group = Group(["/bin/sleep", "1000"], env={}, heard=True)
    with pytest.raises(BlockingIOError):
        group.read(100)
    group.signal(signal.SIGKILL)
    await exited(group)
    group.members()
    group.close()


async def test_what_is_not_heard_has_ended_from_the_beginning():
    """Whoever reads it all the same does not wait for ever."""
    group = Group(["/bin/echo", "one"], env={})
    with trio.fail_after(20):
        await group.readable()
    assert group.read(100) == b""
    await exited(group)
    group.members()
    group.close()


async def test_the_memory_of_a_group_is_that_of_all_who_live_in_it():
    """A wrapper's server is where the memory is, and nothing is left of it afterwards."""
    group = Group(child_argv(0, "--fork"), env={}, heard=True)
    said = b""
    while b"listening on" not in said:  # from then on neither of the two takes any more
        with trio.fail_after(20):
            await group.readable()
        said += group.read(1000)
    both = group.members()
    assert len(both) == 2
    found = resident(group.pid)
    assert set(found) == set(both)
    assert sum(found.values()) == pytest.approx(sum(map(resident_alone, both)), rel=0.2)
    group.signal(signal.SIGKILL)
    with trio.fail_after(20):
        await dead(*both)
    assert resident(group.pid) == {}
    group.members()
    group.close()


async def test_nothing_counts_as_gone_that_cannot_be_looked_at():
    """Without a descriptor left there is no proof, and nothing may be loaded on top of a guess."""
    group = Group(["/bin/sh", "-c", "sleep 1000 & exit 3"], env={"PATH": os.environ["PATH"]})
    await exited(group)
    assert group.exit_status == 3
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.close(lowest := os.dup(0))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
        assert group.members() == [group.pid]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    [left] = group.members()
    assert left != group.pid
    group.signal(signal.SIGKILL)
    with trio.fail_after(20):
        await dead(left)
    group.close()


def resident_alone(pid: int) -> int:
    """Ask the kernel how many bytes of memory one process occupies."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.partition("VmRSS:")[2].split()[0])
