"""One soak: a daemon, many rounds of requests, and samples between them.

Rule 1: what outlives the daemon is found by whose child it was while the daemon lived.
Rule 2: nothing is measured before the warm-up is over, and then at equal intervals.
"""

import os
import select
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import attrs
import trio

from tests.bench.callers import Address
from tests.bench.contestants import open_daemon
from tests.daemons import free_ports, write_config
from tests.processes import alive
from tests.soak.callers import Line, Unexpected, answered, carry_out, follow
from tests.soak.mix import MODELS, crashes, jobs, model_of
from tests.soak.samples import descendants, numbers, sample

_MODEL = Path(__file__).with_name("model.py")

# Connections that are kept, as many as a busy installation has.
LINES = 16

# Whoever follows what happens from the beginning to the end.
FOLLOWED = ("/api/events", "/logs/stream")

# A stop takes a second and a half, most of it for those who follow.
_ENDING = 20.0


@attrs.frozen
class Plan:
    """How much of everything."""

    requests: int
    swaps: int
    samples: int
    warm: float
    """This share of it comes before the first sample: captures fill up, which takes seven thousand
    requests, and the interpreter finds its size."""

    @property
    def rounds(self) -> int:
        # The first one loads and swaps nothing.
        return self.swaps + 1

    @property
    def requests_each(self) -> int:
        return -(-self.requests // self.rounds)


@attrs.define
class Soaked:
    """What was found."""

    series: dict[str, list[float]] = attrs.field(factory=dict)
    done: Counter[str] = attrs.field(factory=Counter)
    """Jobs by their names."""
    told: dict[str, float] = attrs.field(factory=dict)
    """What the daemon counted."""
    seconds: float = 0.0
    status: int | None = None
    """How the daemon ended; negative for a signal."""
    left: list[int] = attrs.field(factory=list)
    """Processes that outlived it."""
    errors: str = ""
    """What it wrote where nothing should be."""

    @property
    def is_clean(self) -> bool:
        return self.status == 0 and not self.left and not self.errors


def soak(plan: Plan, folder: Path, progress: Callable[[str], object], *, daemon: str) -> Soaked:
    """Run a daemon through all of it, and end it. Raises `Unexpected` or `CannotMeasure`."""
    config = folder / "soak.yaml"
    _configure(config, port := free_ports(len(MODELS)), version=0)
    soaked = Soaked()
    began = time.monotonic()
    with open_daemon(daemon, config) as (address, pid, _):
        driver = _Driver(plan, address, pid, config, port, progress, soaked)
        trio.run(driver.run)
        family = descendants(pid)
        soaked.status = _end(pid)
        soaked.left = [each for each in family if alive(each)]
    soaked.seconds = time.monotonic() - began
    soaked.errors = config.with_suffix(".log").read_text(errors="replace")
    return soaked


@attrs.define
class _Driver:
    """Asks, and looks at times."""

    plan: Plan
    address: Address
    pid: int
    config: Path
    port: int
    progress: Callable[[str], object]
    soaked: Soaked

    async def run(self) -> None:
        lines = [Line(self.address) for _ in range(LINES)]
        asking = Line(self.address)
        try:
            async with trio.open_nursery() as following:
                for path in FOLLOWED:
                    following.start_soon(follow, self.address, path)
                for number in range(self.plan.rounds):
                    await self._round(number, lines)
                    if self._is_due(number):
                        with answered("a sample"):
                            self._keep(number, await sample(self.pid, asking))
                with answered("the last numbers"):
                    self.soaked.told = await numbers(asking)
                following.cancel_scope.cancel()
        except* Unexpected as wrong:
            raise _first(wrong) from None
        finally:
            for line in [*lines, asking]:
                line.leave()

    async def _round(self, number: int, lines: list[Line]) -> None:
        todo = jobs(number, self.plan.requests_each)
        if "reload" in todo:
            _configure(self.config, self.port, version=number)
        model = model_of(number)
        async with trio.open_nursery() as callers:
            for line in lines:
                callers.start_soon(self._work, line, todo, model)
        if crashes(number):
            await self._do(lines[0], "crash", model)

    async def _work(self, line: Line, todo: list[str], model: str) -> None:
        while todo:
            await self._do(line, todo.pop(), model)

    async def _do(self, line: Line, job: str, model: str) -> None:
        await carry_out(line, job, model)
        self.soaked.done[job] += 1

    def _is_due(self, number: int) -> bool:
        """Say whether to look after this round: as often as planned, the last time at the end."""
        warm = int(self.plan.rounds * self.plan.warm)
        at, measured = number + 1 - warm, self.plan.rounds - warm
        samples = self.plan.samples
        return at > 0 and at * samples // measured > (at - 1) * samples // measured

    def _keep(self, number: int, seen: dict[str, float]) -> None:
        for name, value in seen.items():
            self.soaked.series.setdefault(name, []).append(value)
        shown = ", ".join(f"{name} {value:.6g}" for name, value in seen.items())
        self.progress(f"round {number + 1} of {self.plan.rounds}: {shown}")


def _configure(config: Path, port: int, *, version: int) -> None:
    """Write a configuration; every version is another."""
    command = shlex.join([sys.executable, "-I", "-S", str(_MODEL), "PORT"])
    models = {
        model: {"cmd": command.replace("PORT", "${PORT}"), "metadata": {"version": version}}
        for model in MODELS
    }
    write_config(config, {"startPort": port, "models": models})


def _end(pid: int) -> int | None:
    """Tell the daemon to stop; say how it ended, None if it did not."""
    handle = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGTERM)
        if not select.select([handle], [], [], _ENDING)[0]:
            return None
    finally:
        os.close(handle)
    # Only looked at: `open_daemon` started it, and collects it.
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def _first(group: BaseExceptionGroup[Unexpected]) -> Unexpected:
    """Several lines may meet the same trouble; one is enough."""
    for each in group.exceptions:
        return _first(each) if isinstance(each, BaseExceptionGroup) else each
    raise AssertionError("a group is never empty")
