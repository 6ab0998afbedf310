"""One day of a whole daemon in a pretend world, by a plan; and what must hold all through it.

Everything is real but what `World` stands for: scheduler, engine, supervisors, relay, Quart,
hypercorn, the record of requests, the reload and the stop.

After every event that the scheduler is told, and at each start of a process, these must hold:

* under serial one model lives and one request is served; else nothing lives beside what it may
  not live beside;
* a ticket is granted or refused once, and what is granted is there;
* each process that is released is gone, with all of its group;

of each client: one complete answer, one error, or an answer that is visibly cut, and never a byte
that the model has not sent; in the evening, when nothing goes wrong any more, every model answers;
and when all is unloaded, and when the daemon has stopped, nothing runs, and no ticket, order,
timer, request, connection or task is left.
"""

import signal
from contextlib import closing
from functools import partial

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from swapd import daemon
from swapd.config.load import Loaded
from swapd.config.problems import ConfigError, Located, Problem
from swapd.config.settings import Origin, Settings
from swapd.daemon import World
from swapd.flights import Flights
from swapd.ids import ModelId
from swapd.models.child import KILL_PATIENCE
from swapd.models.supervisor import Supervisor
from swapd.schedule.phase import Phase
from swapd.watch.logs import Logs
from swapd.watchers import open_recorder
from swapd.wire import pool
from swapd.wire.exchange import UpstreamGone
from tests.simulation.city import Diary, Disk, Gate
from tests.simulation.judging import UNLOADS, complaints
from tests.simulation.machine import FIRST_PORT, Machine
from tests.simulation.plan import Deed, Does, Ends, Plan, Sends, Visit
from tests.simulation.promises import Promises, Watched
from tests.simulation.visitors import PATIENCE, Client, Got, ask, moment
from tests.simulation.wires import End

# Bytes of a request's body that are taken.
MAX_BODY = 100_000

# How long the last clients of the day are sent away before it has gone wrong: longer than the
# longest back-off. Seconds.
EVENING = 900.0

# How often it is tried to unload everything, every ten seconds; nothing survives for longer.
SURVIVAL = 20

# Longer than whatever may still be on its way when nobody is left: a back-off. Seconds.
NIGHT = 400.0

# How long nobody asks for anything in the evening: longer than it takes to notice that a model is
# silent, and to start it anew. Seconds.
REST = 60.0

# For how long a model that is kept for ever is looked at. Seconds.
LONG = 30.0

# How long each unload may take, but for the killing. Seconds.
LONGEST_UNLOAD = {Does.DRAIN: 3.0 + 4.0, Does.HURRY: 1.0, Does.PATIENT: 60.0}

# From the first signal to the end: the drain, the stop of models, two patiences and last words.
LONGEST_STOP = daemon.DRAIN + 4.0 + 2 * 5.0 + 3 * daemon.LAST_WORDS


@attrs.define
class Day:
    """A plan that is carried out."""

    plan: Plan
    editions: list[Settings]
    """What the configuration says over time."""
    diary: Diary = attrs.field(factory=Diary)
    disk: Disk = attrs.field(factory=Disk)
    file: int = 0
    """Which edition of the configuration is on the disk; below 0 it is broken."""
    stopped: float | None = None
    """When the daemon was told to stop."""
    busy: bool = False
    """Whether requests were under way then."""
    again: float | None = None
    """After how many seconds it was told once more."""
    flights: list[Flights] = attrs.field(factory=list)
    machine: Machine = attrs.field(init=False)
    gate: Gate = attrs.field(init=False)
    promises: Promises = attrs.field(init=False)
    clients: list[Client] = attrs.field(factory=list)
    _signals: trio.MemorySendChannel[int] = attrs.field(init=False)

    async def run(self) -> None:
        """Live it."""
        async with trio.open_nursery() as outside:
            self.machine = Machine.of(self.plan, outside, self.diary)
            self.promises = Watched.promises = Promises(self.diary, self.machine)
            self.machine.starts = self.promises.check_start
            self.gate = Gate(self.machine.held)
            await self._live()
            await self._after_the_end()
            outside.cancel_scope.cancel()

    async def _live(self) -> None:
        self._signals, signals = trio.open_memory_channel[int](100)
        first = Loaded(self.editions[0])
        logs = Logs(first.settings.log_to_stdout)
        world = self._world(logs)
        with closing(open_recorder(first.settings, in_thread=self.disk.write)) as recorder:
            async with trio.open_nursery() as city:
                city.start_soon(self._through_the_day, city)
                await daemon.run(
                    *(first, world, signals), logs=logs, recorder=recorder, max_body=MAX_BODY
                )
                self._check_stop()
                with trio.move_on_after(1):
                    for client in self.clients:
                        await client.over.wait()
                city.cancel_scope.cancel()
        for client in self.clients:
            attempts = self.machine.attempts
            for wrong in complaints(client, attempts, self.plan, stopped=self.stopped):
                self.diary.complain(wrong)

    def _world(self, logs: Logs) -> World:
        machine = self.machine
        supervisor = Supervisor(
            warden=machine,  # type: ignore[arg-type]  # all that is used of one
            open_output=logs.run_output,
            ask=self._ask_health,
            answers=machine.answer,
            start=machine.start,
            open_notices=machine.open_notices,
        )
        return World(
            supervise=supervisor,
            read=self._read,
            doors=[self.gate],
            open_pool=partial(pool.Pool, connect=machine.connect),
        )

    # What happens

    async def _through_the_day(self, city: trio.Nursery) -> None:
        await wait_all_tasks_blocked()
        tasks = trio.lowlevel.current_statistics().tasks_living
        if self.plan.ends.at is not None:
            city.start_soon(self._end, self.plan.ends)
        async with trio.open_nursery() as today:
            for visit in self.plan.visits:
                today.start_soon(self._client(visit).run)
            for deed in self.plan.deeds:
                today.start_soon(self._do, deed)
        if self.plan.ends.at is None:
            await self._evening(tasks)
            # Neither who says nothing nor who only follows may hold up the end.
            self.gate.connect("somebody silent")
            await self._follow()
            await trio.sleep(1.0)
            await self._end(Ends(trio.current_time()))

    def _client(self, visit: Visit) -> Client:
        connect = partial(self.gate.connect, f"visit {visit.name}")
        client = Client(visit, connect, self.machine.attempts)
        self.clients.append(client)
        return client

    async def _evening(self, tasks: int) -> None:
        """Nothing goes wrong any more: every model must answer, soon, and then all can be idle."""
        self.diary.log("the evening has come")
        self.machine.heal()
        self.disk.heal()
        self.file = max(self.file, 0)
        await self._page("POST /api/config/reload")
        await trio.sleep(REST)
        self._check_well()
        for name in sorted(self.promises.engine.settings.models):
            await self._ask_for(name)
            await self._check_kept(ModelId(name))
        # What has yet to die of SIGKILL may take its time.
        for _ in range(SURVIVAL):
            if (answered := await self._page("GET /unload")).status == 200:
                break
            await trio.sleep(10.0)
        else:
            self.diary.complain(f"nothing can be unloaded in the evening: {answered}")
        await trio.sleep(NIGHT)
        self._check_idle(tasks)

    async def _ask_for(self, name: str, *, keep: int | None = None) -> None:
        """Ask for a model until it answers."""
        got = Got()
        with trio.move_on_after(EVENING):
            while not (got.status == 200 and got.end == "whole"):
                await trio.sleep(float(got.headers.get("retry-after", 1.0)))
                number = 10_000 + len(self.clients)
                client = self._client(Visit(number, 0.0, 0, name, leaves=EVENING, keep=keep))
                await client.run()
                [got] = client.got
        if got.status != 200:
            self.diary.complain(f"{name} does not answer in the evening: {got}")

    def _check_well(self) -> None:
        """See that no model is silent for long and nobody has noticed."""
        engine = self.promises.engine
        for process in self.machine.living():
            model = engine.settings.models.get(ModelId(process.life.model))
            if (
                model is not None
                and model.liveness_interval > 0
                and not process.ready
                and engine.phase(model.id) is Phase.READY
            ):
                self.diary.complain(f"nobody has noticed that {model.id} is silent")

    async def _check_kept(self, name: ModelId) -> None:
        """See that a model is kept for as long as it is to be, again and again."""
        engine = self.promises.engine
        ttl = engine.settings.models[name].ttl
        for keep in (None, None, 2, -1):
            await self._ask_for(name, keep=keep)
            seconds = ttl if keep is None else max(keep, 0)
            if seconds > 1:
                await trio.sleep(seconds - 0.5)
                if engine.phase(name) is not Phase.READY:
                    self.diary.complain(f"{name} was to be kept for {seconds} s, and is gone")
                await trio.sleep(1.5)
            else:
                await trio.sleep(LONG)
            if (engine.phase(name) is Phase.READY) == (seconds > 0):
                phase = engine.phase(name).value
                self.diary.complain(f"{name}, of ttl {ttl}, kept for {keep} s, is {phase}")
        if engine.settings.models[name].liveness_interval > 0:
            silent = self.machine.silence(name)
            await trio.sleep(REST)
            starts = [one for one in self.machine.processes if one.life.model == name]
            if silent is not None and starts[-1] is silent:
                self.diary.complain(f"{name} is silent, and not started anew")

    async def _end(self, ends: Ends) -> None:
        assert ends.at is not None
        await moment(ends.at, ends.steps)
        self.busy = any(flight for flights in self.flights for flight in flights)
        self.again = ends.again
        self.diary.log("SIGTERM")
        self.stopped = trio.current_time()
        self._signals.send_nowait(signal.SIGTERM)
        if ends.again is not None:
            await trio.sleep(ends.again)
            self._signals.send_nowait(signal.SIGINT)

    async def _do(self, deed: Deed) -> None:
        await moment(deed.at, deed.steps)
        self.diary.log(f"{deed.does.value} {deed.model}")
        if deed.does in UNLOADS:
            await self._unload(deed)
            return
        if (page := PAGES.get(deed.does)) is not None:
            for each in page:
                await self._page(each.format(deed.model))
            return
        port = FIRST_PORT + ord(deed.model) - ord("a")
        match deed.does:
            case Does.RELOAD:
                wanted = self.file = deed.edition % len(self.editions)
                got = await self._page("POST /api/config/reload")
                settings = self.promises.engine.settings
                if got.status == 200 and self.file == wanted != self.editions.index(settings):
                    self.diary.complain(f"edition {wanted} was taken up, and does not count")
            case Does.HANGUP:
                self.file = deed.edition % len(self.editions)
                self._signals.send_nowait(signal.SIGHUP)
            case Does.BREAK_FILE:
                self.file = -1
                self._signals.send_nowait(signal.SIGHUP)
                got = await self._page("POST /api/config/reload")
                if got.status == 200 and self.file == -1:
                    self.diary.complain(f"a broken file was taken up: {got}")
            case Does.CANCEL:
                for _, turn in list(self.promises.engine.ask.queue())[:1]:
                    got = await self._page(f"DELETE /api/queue/{turn.name}")
                    flight = self.flights[-1].of(turn.name)
                    if got.status == 200 and flight is not None and not flight.ending:
                        self.diary.complain(f"{turn.name} was cancelled, and goes on")
            case Does.FOLLOW:
                if (end := await self._follow()) is not None:
                    await trio.sleep(40)
                    end.close()
            case Does.STEAL:
                self.machine.taken.add(port)
            case Does.LEAVE_PORT:
                self.machine.taken.discard(port)
            case Does.SLOW_DISK:
                self.disk.delay = 5.0
            case Does.FULL_DISK:
                self.disk.full = True
            case _:
                self.disk.heal()

    async def _follow(self) -> End | None:
        if (end := self.gate.connect("follower")) is not None:
            await end.send_all(b"GET /api/events HTTP/1.1\r\nHost: swapd\r\n\r\n")
        return end

    async def _unload(self, deed: Deed) -> None:
        """Have models gone, which takes as long as it may; and then they are."""
        all_of_them = deed.does is Does.UNLOAD_ALL
        there = [
            process
            for process in self.machine.living()
            if all_of_them or process.life.model == deed.model
        ]
        begun = trio.current_time()
        [page] = PAGES[deed.does]
        got = await self._page(page.format(deed.model))
        took = trio.current_time() - begun
        if self.stopped is not None:
            return
        if got.status == 200 and (left := [process for process in there if process.alive]):
            self.diary.complain(f"{deed.does.value} was answered, and there are {left}")
        bound = LONGEST_UNLOAD.get(deed.does, 4.0)
        if deed.does is not Does.HURRY and any(
            one.does is Does.PATIENT for one in self.plan.deeds
        ):
            bound = LONGEST_UNLOAD[Does.PATIENT]  # Who names no time is in no hurry.
        if took > bound + self._killing() + 1.0:
            self.diary.complain(f"{deed.does.value} took {took} s")

    async def _page(self, request: str) -> Got:
        """Ask a page, which must answer."""
        if (end := self.gate.connect(request)) is None:
            return Got()
        got = await ask(end, request, bound=PATIENCE)
        if got.end != "whole" and self.stopped is None:
            self.diary.complain(f"{request} was not answered: {got}")
        if got.status == 500:
            self.diary.complain(f"{request}: {got}")
        return got

    # What the daemon needs of the world

    async def _ask_health(self, origin: Origin, endpoint: str) -> int | None:
        # Nearly all that is asked is whether something is ready that is not; that is made short.
        if not self.machine.healthy(origin):
            await trio.lowlevel.checkpoint()
            return None
        try:
            return await pool.ask(origin, endpoint, connect=self.machine.connect)
        except UpstreamGone:
            return None

    async def _read(self, before: Loaded) -> Loaded:
        await trio.sleep(self.disk.delay)
        if self.file < 0:
            raise ConfigError([Located(Problem((), "broken"))])
        return Loaded(self.editions[self.file])

    # What must be left: nothing

    def _check_idle(self, tasks: int) -> None:
        """Look at a daemon that nobody has used for long."""
        self.promises.check_left()
        engine, front = self.promises.engine, self.gate.front
        assert front is not None
        left = {
            "processes": self.machine.living(),
            "guarded groups": self.machine.guarded,
            "timers": engine._timers._alarms,
            "events": engine._inbox.statistics().current_buffer_used,
            "requests": [flight for flights in self.flights for flight in flights],
            "clients": front._connections,
            "places taken": front.crowd._guests,
            "descriptors": self.machine.unclosed(),
            "connections": [end for end in self.machine.held if not end.closed],
            "tasks": trio.lowlevel.current_statistics().tasks_living - tasks,
        }
        for what, there in left.items():
            if there:
                self.diary.complain(f"in the evening there are {what}: {there}")

    def _check_stop(self) -> None:
        self.diary.log("the daemon has stopped")
        if self.stopped is None:
            self.diary.complain("it stopped by itself")
        elif (took := trio.current_time() - self.stopped) > LONGEST_STOP:
            self.diary.complain(f"it took {took} s to stop")
        else:
            shortly = 4.0 + 2 * daemon.LAST_WORDS + self._killing() + 1.0
            if self.again is not None and took > self.again + shortly:
                self.diary.complain(f"it took {took} s to stop, and was told again")
            if not self.busy and not self._others() and took > shortly:
                self.diary.complain(f"it took {took} s to stop, and nobody was served")

    def _killing(self) -> float:
        """Say how long what was killed may stay: nothing does but what was planned to."""
        hard = any(life.survives or life.port for life in self.plan.lives) or any(
            deed.does is Does.STEAL for deed in self.plan.deeds
        )
        return 2 * KILL_PATIENCE if hard else 0.0

    def _others(self) -> bool:
        """Whether somebody may have come, or have been sending, who was not under way."""
        return any(visit.sends is not Sends.WHOLE for visit in self.plan.visits) or any(
            deed.does in UNLOADS for deed in self.plan.deeds
        )

    async def _after_the_end(self) -> None:
        """Look at the machine when the daemon is gone."""
        machine = self.machine
        if lost := [process for process in machine.living() if not process.killed]:
            self.diary.complain(f"these live on, and nobody killed them: {lost}")
        # What survives SIGKILL for longer than a stop may take, or keeps its port, is another's.
        if not self.promises.stuck():
            self.promises.check_left()
            if unclosed := machine.unclosed():
                self.diary.complain(f"descriptors are left: {unclosed}")
            if machine.guarded:
                self.diary.complain(f"guarded for ever: {machine.guarded}")
        if held := [end for end in machine.held if not end.closed]:
            self.diary.complain(f"connections are left: {held}")
        assert self.gate.front is not None
        if self.gate.front._connections:
            self.diary.complain(f"clients are left: {self.gate.front._connections}")


# What is asked of pages, by what an operator does.
PAGES = {
    Does.UNLOAD_ALL: ["GET /unload"],
    Does.UNLOAD: ["POST /api/models/unload/{}"],
    Does.DRAIN: ["POST /api/models/unload/{}?mode=drain&timeout=3"],
    Does.HURRY: ["POST /api/models/unload/{}?timeout=1"],
    Does.PATIENT: ["POST /api/models/unload/{}?timeout=60"],
    Does.KEEP: ["POST /api/models/unload/{}?queued=keep"],
    Does.LOAD: ["POST /api/models/load/{}"],
    Does.RESET: ["POST /api/models/reset/{}"],
    Does.LOOK: [
        *("GET /api/queue", "GET /api/health", "GET /api/decisions", "GET /running"),
        *("GET /api/metrics", "GET /metrics", "GET /v1/models", "GET /nowhere"),
    ],
}
