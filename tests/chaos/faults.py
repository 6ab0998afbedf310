"""Everything that goes wrong in a run, chosen beforehand by its seed.

Rule 1: a fault takes back what it did when its time is over, or when the run is: a stopped process
goes on, descriptors and the disk are given back, ports are let go.
Rule 2: faults of one kind do not overlap, or one would take back what another does.
"""

import json
import os
import resource
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Protocol

import attrs
import trio

from tests.chaos.account import Account, Answer
from tests.chaos.disk import Disk
from tests.chaos.pids import leads, named, send
from tests.chaos.thief import answer_as_thief, thief
from tests.daemons import Daemon, write_config

# One fault after the other, on the average; seconds.
OFTEN = 0.8

# How long a thief tries to get a port between two runs of its model.
LURKING = 3.0

# So much later a process can be seen that is started once its port was found to be free.
ON_ITS_WAY = 0.1


@attrs.frozen
class Fault:
    """One thing that goes wrong."""

    at: float
    """Seconds after the load began."""
    kind: str
    model: str
    seconds: float
    """How long it lasts, where it lasts."""
    way: int
    """Which of the ways of its kind."""

    def __str__(self) -> str:
        return f"{self.at:.1f} s: {self.kind} {self.model} ({self.seconds:.1f} s, way {self.way})"


class Control(Protocol):
    """Has the daemon do something."""

    async def __call__(self, method: str, path: str) -> Answer: ...


@attrs.define
class World:
    """What faults are done to."""

    daemon: Daemon
    control: Control
    account: Account
    disk: Disk
    ports: Mapping[str, int]
    """The models' own, by their names."""
    models: Mapping[str, Mapping[str, Any]]
    """As they are configured in the beginning."""
    done: list[str] = attrs.field(factory=list)
    """What came of each fault."""
    _kinds: dict[str, trio.Lock] = attrs.field(factory=dict)

    async def run(self, faults: list[Fault]) -> None:
        """Do all of it, each in its time; cancelled, take back what lasts."""
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for fault in faults:
                await trio.sleep_until(began + fault.at)
                nursery.start_soon(self._carry_out, fault)

    def running(self, fault: Fault) -> list[int]:
        """List the processes of the model that the fault names, or else of one that runs."""
        for name in (fault.model, *self.ports):
            if pids := self.processes(name):
                return pids
        return []

    def processes(self, name: str) -> list[int]:
        """List the processes of a model: the leader of its group first."""
        wanted = f"\0--port\0{self.ports[name]}\0".encode()
        found = []
        for pid in self.daemon.left():
            with suppress(OSError):
                if wanted in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return sorted(found, key=lambda pid: (not leads(pid), pid))

    async def _carry_out(self, fault: Fault) -> None:
        async with self._kinds.setdefault(KINDS[fault.kind][1], trio.Lock()):
            came_of_it = await KINDS[fault.kind][0](self, fault)
        self.done.append(f"{fault}: {came_of_it}")


def plan(seed: int, *, seconds: float, models: list[str]) -> list[Fault]:
    """Choose what goes wrong, the same for the same seed."""
    random = Random(seed)
    # Every kind once at least, where there is time; then as it comes.
    kinds = [*KINDS]
    random.shuffle(kinds)
    faults = []
    at = random.expovariate(1 / OFTEN)
    while at < seconds:
        kind = kinds.pop() if kinds else random.choice([*KINDS])
        lasting = min(random.uniform(0.3, 3.0), seconds - at)
        faults.append(Fault(at, kind, random.choice(models), lasting, random.randrange(1000)))
        at += random.expovariate(1 / OFTEN)
    return faults


# Each kind


async def _kill(world: World, fault: Fault) -> str:
    """Kill a model's leader, or all of its group."""
    pids = world.running(fault)[: 1 if fault.way % 2 else None]
    return f"killed {named(pids)} ({send(pids, signal.SIGKILL)})"


async def _stop(world: World, fault: Fault) -> str:
    """Stop a model, and have it go on later; or unloaded, stopped as it is."""
    pids = world.running(fault)
    text = f"stopped {named(pids)}"
    send(pids, signal.SIGSTOP)
    try:
        await trio.sleep(fault.seconds)
        if fault.way % 2:
            answer = await world.control("POST", "/api/models/unload")
            left = sorted(set(pids) & set(world.daemon.left()))
            text += f", unloaded: {answer.status}, left are {left}"
            # Not even who is stopped is there any more when the answer has come.
            if answer.status == 200 and left:
                world.account.fail(text)
    finally:
        send(pids, signal.SIGCONT)
    return text


async def _reload(world: World, fault: Fault) -> str:
    """Have a configuration taken up: the same, another, or one that is no good."""
    models = {name: dict(options) for name, options in world.models.items()}
    common: dict[str, Any] = json.loads(json.dumps(world.daemon.common))
    what = ("unchanged", "changed", "fewer", "more", "broken", "mistyped")[fault.way % 6]
    chosen = models[fault.model]
    match what:
        case "changed" if "tests" in chosen["cmd"]:
            chosen["cmd"] += f" --tag {fault.way}"
        case "changed":
            chosen["env"] = [f"TAG={fault.way}"]
        case "fewer":
            del models[fault.model]
            for group in _groups(common):
                group["members"] = [name for name in group["members"] if name != fault.model]
        case "more":
            models["more"] = {"cmd": "sleep 1", "proxy": "http://127.0.0.1:9"}
        case "mistyped":
            chosen["cmdd"] = "x"
        case _:
            pass
    if what == "broken":
        world.daemon.config.write_text("models: [")
    else:
        write_config(world.daemon.config, {**common, "models": models})
    if fault.way % 2:
        world.daemon.process.send_signal(signal.SIGHUP)
        return f"{what}, by SIGHUP"
    return f"{what}: {(await world.control('POST', '/api/config/reload')).status}"


async def _unload(world: World, fault: Fault) -> str:
    """Unload a model, or all, in every way there is."""
    one = f"/api/models/unload/{fault.model}"
    ways = [
        *(("GET", "/unload"), ("POST", "/api/models/unload"), ("POST", one)),
        *(("POST", f"{one}?mode=drain&queued=keep&timeout=2"), ("POST", f"{one}?queued=keep")),
        *(("POST", f"{one}?mode=drain&timeout=1"), ("POST", f"{one}?timeout=0")),
        ("POST", f"/api/models/load/{fault.model}"),
    ]
    method, path = ways[fault.way % len(ways)]
    return f"{method} {path}: {(await world.control(method, path)).status}"


async def _cancel(world: World, fault: Fault) -> str:
    """Cancel some requests, whether they wait or are being answered."""
    listed = await world.control("GET", "/api/queue")
    if listed.status != 200 or not listed.complete:
        return "no list"
    ids = [entry["id"] for entry in json.loads(listed.body)["requests"]]
    chosen = Random(fault.way).sample(ids, min(len(ids), 3))
    said = [(await world.control("DELETE", f"/api/queue/{name}")).status for name in chosen]
    return f"{said} of {len(ids)}"


async def _descriptors(world: World, fault: Fault) -> str:
    """Leave the daemon hardly a descriptor more than it has open."""
    pid, spare = world.daemon.process.pid, fault.way % 4
    try:
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        used = max(map(int, os.listdir(f"/proc/{pid}/fd"))) + 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + spare, hard))
    except OSError:
        return "the daemon is gone"
    try:
        await trio.sleep(fault.seconds)
    finally:
        # Also to those who were started meanwhile, and cannot be blamed for what they inherited.
        for left in world.daemon.left():
            with suppress(OSError):
                resource.prlimit(left, resource.RLIMIT_NOFILE, (soft, hard))
    for name in world.ports:  # or they would be left alone for the rest of the run
        await world.control("POST", f"/api/models/reset/{name}")
    return f"{spare} beyond {used}"


async def _fill(world: World, fault: Fault) -> str:
    """Fill the disk."""
    if not world.disk.small:
        return "SKIPPED, no disk to fill"
    world.disk.fill()
    try:
        await trio.sleep(fault.seconds)
    finally:
        world.disk.clear()
    return "filled"


async def _steal(world: World, fault: Fault) -> str:
    """Take a model's port between two of its runs, and answer everybody there."""
    await world.control("POST", f"/api/models/unload/{fault.model}")
    with trio.move_on_after(LURKING):
        while True:
            with thief(world.ports[fault.model]) as listener:
                if listener is not None and await _between_runs(world, fault.model):
                    with trio.move_on_after(fault.seconds):
                        await trio.serve_listeners(answer_as_thief, [listener])
                    return "had it"
            await trio.sleep(0.01)
    return "never free"


async def _between_runs(world: World, name: str) -> bool:
    """Whether a thief has come in time: before the daemon has looked whether the port is free.

    Who takes it later, while the process is on its way to it, is taken for the model as soon as it
    answers like one; nobody could tell them apart.
    """
    await trio.sleep(ON_ITS_WAY)
    return not world.processes(name)


Carrying = Callable[[World, Fault], Awaitable[str]]

# Each kind with its name among those that do not overlap.
KINDS: Mapping[str, tuple[Carrying, str]] = {
    "kill": (_kill, "kill"),
    "stop": (_stop, "stop"),
    "reload": (_reload, "reload"),
    "unload": (_unload, "unload"),
    "cancel": (_cancel, "cancel"),
    "descriptors": (_descriptors, "descriptors"),
    "disk": (_fill, "disk"),
    "port": (_steal, "port"),
}


def _groups(common: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "routing" not in common:
        return []
    return list(common["routing"]["router"]["settings"]["groups"].values())
