"""The pretend machine: its processes, their ports, and who looks after them.

Rule 1: what is promised of processes is looked at here, in the moment in which one is started.
"""

import itertools
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NoReturn

import attrs
import trio

from swapd.config.settings import Origin
from swapd.models.group import CannotStart
from swapd.models.notices import Notices, Tell
from swapd.wire.exchange import UpstreamUnreached
from tests.simulation.city import Diary
from tests.simulation.plan import Answer, Life, Plan
from tests.simulation.process import Attempt, Process
from tests.simulation.wires import End

FIRST_PORT = 9001

# The command that `cmdStop` names, where there is one.
STOPPER = "stopper"


@attrs.define
class Machine:
    """Where the pretend processes live."""

    nursery: trio.Nursery
    diary: Diary
    lives: dict[tuple[str, int], Life]
    answers: dict[int, Answer]
    once: set[int]
    """The visits that send one request, which no model may work on twice."""
    one_at_a_time: bool
    starts: Callable[[str], None] = lambda name: None
    """Told of each start of a model, before it lives."""
    processes: list[Process] = attrs.field(factory=list)
    attempts: list[Attempt] = attrs.field(factory=list)
    held: list[End] = attrs.field(factory=list)
    """The ends of connections that are swapd's, both ways."""
    closed: set[int] = attrs.field(factory=set)
    """The processes whose descriptors were given back."""
    told: dict[str, trio.Event] = attrs.field(factory=dict)
    guarded: set[int] = attrs.field(factory=set)
    taken: set[int] = attrs.field(factory=set)
    """The ports at which strangers listen, or the kernel still does."""
    _begun: dict[str, int] = attrs.field(factory=dict)
    _pids: Iterator[int] = attrs.field(factory=lambda: itertools.count(1000, 2))

    @classmethod
    def of(cls, plan: Plan, nursery: trio.Nursery, diary: Diary) -> "Machine":
        """Make the machine of a plan."""
        return cls(
            nursery,
            diary,
            {(life.model, life.nth): life for life in plan.lives},
            {visit.name: visit.answer for visit in plan.visits},
            {visit.name for visit in plan.visits if visit.asks_once()},
            plan.house[0] == 0,
        )

    def heal(self) -> None:
        """Let nothing go wrong that has not gone wrong yet."""
        self.lives.clear()
        self.answers.clear()
        self.taken.clear()

    def living(self) -> list[Process]:
        """List the groups of which something lives."""
        return [process for process in self.processes if process.alive]

    def silence(self, name: str) -> Process | None:
        """Have the model that runs answer no health check any more."""
        for process in self.living():
            if process.life.model == name and process.ready:
                process.ready = False
                return process
        return None

    def unclosed(self) -> list[Process]:
        """List what has ended, and keeps descriptors."""
        return [one for one in self.processes if not one.alive and one.pid not in self.closed]

    def there(self) -> list[str]:
        """Name the models of which something lives, in the order of their starts."""
        return [process.life.model for process in self.living() if process.life.model != STOPPER]

    # What a supervisor needs

    def start(
        self, argv: Sequence[str], *, env: Mapping[str, str], heard: bool = False
    ) -> Process:
        name = argv[0].partition(" ")[0]
        if name == STOPPER:
            return self._stopper(int(argv[1]))
        nth = self._begun[name] = self._begun.get(name, -1) + 1
        life = self.lives.get((name, nth), Life(name, nth))
        if not life.starts:
            raise CannotStart(f"cannot execute {name}: there is none")
        self.starts(name)
        if FIRST_PORT + ord(name[0]) - ord("a") in self.taken:
            self.diary.complain(f"{name} is started, and its port is taken")
        port = FIRST_PORT + ord(name[0]) - ord("a")
        process = Process(self, life, next(self._pids), port, env.get("NOTIFY_SOCKET"))
        self.diary.log(f"{name} is started as {process.pid}, its {nth}. time")
        self.processes.append(process)
        process.alive.add(process.pid)
        self.nursery.start_soon(process.live)
        return process

    def _stopper(self, pid: int) -> Process:
        """Start what ends another process, as `cmdStop` is to."""
        stopper = Process(self, Life(STOPPER, 0, dies=0.1), next(self._pids), 0, None)
        stopper.alive.add(stopper.pid)
        self.processes.append(stopper)
        self.nursery.start_soon(stopper.live)
        for process in self.processes:
            if process.pid == pid:
                process.signal(signal.SIGTERM)
        return stopper

    async def connect(self, origin: Origin) -> End:
        await trio.lowlevel.checkpoint()
        for process in self.living():
            if process.port == origin.port and process.listening and process.exit_status is None:
                return process.connect()
        raise UpstreamUnreached(f"cannot reach {origin}: connection refused")

    def healthy(self, origin: Origin) -> bool:
        """Whether a process there is ready, or says so."""
        return any(
            process.port == origin.port and (process.ready or process.life.ready == "says")
            for process in self.living()
        )

    async def answer(self, origin: Origin) -> bool:
        await trio.lowlevel.checkpoint()
        return origin.port in self.taken or any(
            process.port == origin.port and process.listening for process in self.living()
        )

    @contextmanager
    def open_notices(self) -> Iterator[Notices]:
        address = f"@{len(self.told)}"
        ready = self.told[address] = trio.Event()
        yield _Notices(address, ready)

    def linger(self, port: int, seconds: float) -> None:
        """Have a port taken for a while."""

        async def linger() -> None:
            self.taken.add(port)
            await trio.sleep(seconds)
            self.taken.discard(port)

        self.nursery.start_soon(linger)

    def comes(self, attempt: Attempt) -> None:
        """Look at a request that has come to a server."""
        beside = [one for one in self.attempts if one.under_way()]
        if self.one_at_a_time and beside and attempt.under_way():
            self.diary.complain(f"visit {attempt.visit} is served beside {beside}")
        if attempt.visit in self.once:
            for before in self.attempts:
                if before.visit == attempt.visit and not before.stale():
                    self.diary.complain(f"visit {attempt.visit} was asked before: {before}")
        self.attempts.append(attempt)

    # What a warden promises

    def guard(self, group: int) -> None:
        self.guarded.add(group)

    def release(self, group: int) -> None:
        self.guarded.discard(group)
        for process in self.processes:
            if process.pid == group and process.alive:
                self.diary.complain(f"group {group} is released, and {process.alive} live")
            if process.pid == group and process.port in self.taken:
                self.diary.complain(f"group {group} is released, and its port is taken")

    def mark(self, env: Mapping[str, str], own: Mapping[str, str] = {}) -> dict[str, str]:
        return {**env, **own}


@attrs.define
class _Notices:
    address: str | None
    ready: trio.Event

    async def listen(self, tell: Tell) -> NoReturn:
        await trio.sleep_forever()
