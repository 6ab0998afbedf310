"""One run: a daemon under load while things go wrong, and the account at its end.

1. A seed makes the run: which scheduler, where it listens, what goes wrong when, how it ends.
2. llama.cpp's answers are heard while the daemon is quiet.
3. Clients ask while faults happen; then every request must have its ending.
4. What was broken is mended: the daemon must be well, and every model must answer.
5. The daemon is ended, in order or by SIGKILL, idle or busy: nothing of it may be left.
"""

import io
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from random import Random
from subprocess import CalledProcessError
from typing import Any

import attrs
import trio

from swapd.demo import tiny
from tests.chaos.account import Account, Answer, Ending, said_in
from tests.chaos.clients import PROMPTS, Client, Dial
from tests.chaos.disk import Disk, open_disk
from tests.chaos.faults import World, plan
from tests.chaos.shape import LLAMAS, PRETENDED, Shape, models_at, ports_of, routing_of
from tests.daemons import Daemon, free_ports, serving
from tests.processes import dead

CLIENTS = 16

# What a run may take besides its load: starting, the slowest request, mending, stopping.
BESIDES = 200.0

# How long the daemon may take until it is well again, once nothing is wrong any more.
MENDING = 20.0

# How long a stop in order may take: requests end, and models within their own seconds.
STOPPING = 45.0

# And how long what a killed daemon leaves behind: its warden gives models two seconds.
SWEEPING = 8.0


@attrs.define
class Outcome:
    """What a run came to."""

    shape: Shape
    account: Account = attrs.field(factory=Account)
    done: list[str] = attrs.field(factory=list)
    """What went wrong, and what came of it."""
    notes: list[str] = attrs.field(factory=list)
    """What could not be done here."""
    log: str = ""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether the account adds up and nothing was left."""
        return self.account.adds_up

    def line(self) -> str:
        """Say all of it in a line."""
        word = "ok  " if self.good else "FAIL"
        notes = "".join(f"; {note}" for note in self.notes)
        faults = f"{len(self.done)} faults, {self.seconds:.0f} s{notes}"
        return f"{word} {self.shape}: {self.account}; {faults}"


async def play(shape: Shape, folder: Path) -> Outcome:
    """Play one run in a folder of its own."""
    outcome = Outcome(shape)
    log = io.StringIO()
    began = trio.current_time()
    try:
        with redirect_stderr(log), open_disk(folder / "disk") as disk:
            if not disk.small:
                outcome.notes.append("SKIPPED filling the disk, mounting one is not permitted")
            await _play(shape, folder, disk, outcome)
    except* (AssertionError, trio.TooSlowError, OSError, CalledProcessError) as wrong:
        for leaf in _leaves(wrong):
            outcome.account.fail(f"{type(leaf).__name__}: {leaf}")
    outcome.log = log.getvalue()
    outcome.seconds = trio.current_time() - began
    return outcome


async def _play(shape: Shape, folder: Path, disk: Disk, outcome: Outcome) -> None:
    ports = ports_of(shape)
    models = models_at(ports)
    temporary, state = disk.folder / "tmp", disk.folder / "state"
    temporary.mkdir()
    address = f"unix:{folder / 'socket'}" if shape.unix else f"127.0.0.1:{free_ports(1)}"
    settings = {
        **routing_of(shape, models),
        "healthCheckTimeout": 15,
        "unloadTimeout": 2,
        "logToStdout": "proxy",  # a model may end with a Traceback when it is out of descriptors
        "store": {"path": str(state / "activity.db")},
    }
    env = {"TMPDIR": str(temporary), "STATE_DIRECTORY": str(state)}
    env |= {"SWAPD_DEMO_CACHE": str(tiny.cached("tiny-a").parent)}
    state.mkdir()
    async with serving(
        folder,
        *models.items(),
        listen=address,
        env=env,
        settings=settings,
        ports=1,
        patience=shape.seconds + BESIDES,
    ) as daemon:
        dial = _dial(address)
        account = outcome.account
        texts = await _heard_when_quiet(dial, account) if shape.llamas else {}
        world = World(daemon, partial(_control, dial, account), account, disk, ports, models)
        outcome.done = world.done
        clients = [
            Client(dial, account, Random(f"{shape.seed}/{number}"), PRETENDED, texts)
            for number in range(CLIENTS)
        ]
        await _under_load(world, clients, shape)
        await _mended(world, Client(dial, account, Random(0), PRETENDED, texts))
        await _end(daemon, shape, clients)
        _nothing_is_left(daemon, ports, address, temporary, killed="KILL" in shape.end)


async def _under_load(world: World, clients: list[Client], shape: Shape) -> None:
    """Have clients ask while things go wrong, and wait until each has what it asked for."""
    over = trio.Event()
    names = list(world.ports)
    async with trio.open_nursery() as nursery:
        for client in clients:
            nursery.start_soon(client.run, over)
        with trio.move_on_after(shape.seconds + 1):
            await world.run(plan(shape.seed, seconds=shape.seconds, models=names))
        over.set()


async def _mended(world: World, client: Client) -> None:
    """Mend what was broken, and have every model answer once."""
    world.daemon.configure(*world.models.items())
    answer = await client.control("POST", "/api/config/reload")
    assert answer.status == 200, f"the old configuration was not taken up: {answer}"
    for name in world.ports:
        answer = await client.control("POST", f"/api/models/reset/{name}")
        assert answer.status == 200, f"{name} was not reset: {answer}"
    with trio.move_on_after(MENDING):
        await _well(client)
    answer = await client.control("GET", "/api/health")
    assert answer.status == 200, f"not well after {MENDING:g} s: {answer}"
    for name in world.ports:
        if name in LLAMAS:
            asked = client.talk(name, PROMPTS[0], stream=False)
        else:
            asked = client.pretend(name, pieces=3)
        ending = await client.ask(asked)
        assert ending is Ending.ANSWERED, f"{name} does not answer any more: {ending.value}"
    client.drop()


async def _well(client: Client) -> None:
    while (await client.control("GET", "/api/health")).status != 200:  # noqa: ASYNC110
        await trio.sleep(0.1)  # asking is the only way to know


async def _end(daemon: Daemon, shape: Shape, clients: list[Client]) -> None:
    """End the daemon as the seed has it."""
    over = trio.Event()
    async with trio.open_nursery() as nursery:
        if "busy" in shape.end:
            for client in clients:
                nursery.start_soon(client.run, over)
            await trio.sleep(1.5)
        if "KILL" in shape.end:
            daemon.process.kill()
            await daemon.process.wait()
            with trio.move_on_after(SWEEPING):
                await dead(*daemon.left())
        else:
            with trio.fail_after(STOPPING):
                await daemon.end(signal.SIGTERM)
        over.set()


def _nothing_is_left(
    daemon: Daemon, ports: Mapping[str, int], address: str, temporary: Path, *, killed: bool
) -> None:
    """See that no process, no socket and no file is there any more."""
    left = [(pid, Path(f"/proc/{pid}/cmdline").read_bytes()) for pid in daemon.left()]
    assert not left, f"processes are left: {left}"
    where = list(ports.values())
    if not address.startswith("unix:"):
        where.append(int(address.rpartition(":")[2]))
    for port in where:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, f"port {port} still answers"
    files = [str(path) for path in temporary.iterdir()]
    assert not files, f"temporary files are left: {files}"
    # Nobody can take a socket's name away after SIGKILL; the next daemon does.
    assert killed or not Path(address.partition(":")[2]).exists(), "its socket is left"
    told = daemon.log.data + daemon.errors
    assert b"Traceback" not in told, "there is a Traceback in the log"


async def _heard_when_quiet(dial: Dial, account: Account) -> dict[tuple[str, str], str]:
    """Hear what llama.cpp says to each prompt, which it has to say for the whole run."""
    client = Client(dial, account, Random(0), PRETENDED, {})
    texts = {}
    for name in LLAMAS:
        for prompt in PROMPTS:
            answer = await client.hear(client.talk(name, prompt, stream=False))
            text = said_in(answer.body)
            assert text, f"{name} says nothing to {prompt!r}: {answer}"
            texts[name, prompt] = text
    client.drop()
    return texts


async def _control(dial: Dial, account: Account, method: str, path: str) -> Answer:
    client = Client(dial, account, Random(0), PRETENDED, {})
    try:
        return await client.control(method, path)
    finally:
        client.drop()


def _dial(address: str) -> Dial:
    if address.startswith("unix:"):
        return partial(trio.open_unix_socket, address.removeprefix("unix:"))
    host, _, port = address.rpartition(":")
    return partial(trio.open_tcp_stream, host, int(port))


def _leaves(wrong: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for inner in wrong.exceptions:
        if isinstance(inner, BaseExceptionGroup):
            yield from _leaves(inner)
        else:
            yield inner
