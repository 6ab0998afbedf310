"""The page for Prometheus: what it answers, whether Prometheus reads it, and the dashboard."""

import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from subprocess import PIPE
from typing import Any
from urllib.parse import quote

import attrs
import pytest
import trio
from quart import Response
from quart_trio import QuartTrio

from swapd.config.settings import Performance
from swapd.manage import metrics
from swapd.watch.exposition import CONTENT_TYPE
from swapd.watch.gpus import Gpus
from swapd.watch.machine import Machine
from swapd.watch.numbers import Numbers
from swapd.watch.present import STATES
from swapd.watch.samples import GpuSample, Interface, SystemSample
from swapd.watch.tokens import Tokens
from swapd.watch.trace import Trace
from tests.house import Caller
from tests.machines import Unmeasured
from tests.processes import free_port

DASHBOARD = Path(__file__).parents[2] / "configs" / "grafana.json"

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")

with_prometheus = pytest.mark.skipif(
    not (PROMETHEUS and PROMTOOL), reason="prometheus and promtool are not installed"
)

# It starts in a second and scrapes every second; this is for a machine with other things to do.
PATIENCE = 60.0

# One model whose name has to be escaped.
MODELS = ("a", 'odd "name"\\')


@attrs.define
class Measured:
    """A machine with everything that can be measured."""

    def system(self, after: float | None) -> list[SystemSample]:
        return [
            SystemSample(1.0, (10.5, 20.0), 8192, 4096, 4096, net=(Interface("eth0", 1000, 2000),))
        ]

    def gpu(self, after: float | None) -> list[GpuSample]:
        return [GpuSample(1.0, 0, "RTX", "GPU-1"), GpuSample(1.0, 1, "Other", mem_total_mb=24576)]


def made(machine: Measured | Unmeasured) -> Numbers:
    """Make numbers in which nothing has happened."""
    return Numbers(
        states=lambda: dict(zip(MODELS, STATES[1:], strict=False)),
        waiting=lambda: (3, 12.5),
        spent=lambda: (100.0, 20.0),
        tasks=lambda: 66,
        machine=machine,
    )


def busy() -> Numbers:
    """Make numbers in which everything has happened once."""
    numbers = made(Measured())
    for run, model in enumerate(MODELS, 1):
        for kind, at in (("load", 1.0), ("ready", 9.0), ("evict", 60.0), ("stopped", 61.0)):
            numbers.decided(kind, model, run, at)
        trace = Trace(
            "r-1", method="POST", path="/", protocol="1.1", headers=[], address="", agent=""
        )
        trace.model, trace.known = model, True
        trace.queued, trace.sent, trace.first = 4.0, trace.began, trace.began + 0.5
        trace.status, trace.bytes, trace.whole = 200, 1234, True
        numbers.over(trace)
        numbers.said(trace, Tokens(input=12, output=7, cached=4))
    return numbers


# The page


async def asked(numbers: Numbers, *, disabled: bool = False) -> tuple[Response, str]:
    """Ask for the page."""
    app = QuartTrio(__name__)
    machine = Machine(Performance(disabled=disabled), Gpus())
    app.register_blueprint(metrics.blueprint(numbers, machine))
    response = await app.test_client().get("/metrics")
    return response, await response.get_data(as_text=True)


async def test_everything_is_on_one_page(autojump_clock):
    """llama-swap's families and ours, in the format that every Prometheus reads."""
    numbers = busy()
    response, text = await asked(numbers)
    assert (response.status_code, response.headers["Content-Type"]) == (200, CONTENT_TYPE)
    assert text == numbers.text().decode()
    assert 'llamaswap_gpu_util_percent{id="0",name="RTX",uuid="GPU-1"} 0\n' in text
    assert 'swapd_requests_total{model="a",outcome="ok"} 1\n' in text


@pytest.mark.parametrize("machine", [pytest.param(Unmeasured(), id="Y17-ours")])
async def test_before_the_first_sample_there_is_only_what_is_ours(machine, autojump_clock):
    """As in llama-swap nothing of the machine; but a queue there is from the start."""
    response, text = await asked(made(machine))
    assert (response.status_code, response.headers["Content-Type"]) == (200, CONTENT_TYPE)
    assert "llamaswap" not in text
    assert "swapd_queue_requests 3\n" in text


@pytest.mark.parametrize("disabled", [pytest.param(True, id="R18")])
async def test_without_the_monitor_there_is_no_such_page(disabled, autojump_clock):
    """Who turned it off wants nothing measured; Prometheus sees a target that is down."""
    response, text = await asked(busy(), disabled=disabled)
    assert (response.status_code, text) == (503, "# performance monitor not available\n")


# The dashboard


def panels() -> list[dict[str, Any]]:
    """List what the dashboard shows."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> list[str]:
    """List what it asks of Prometheus."""
    return [target["expr"] for panel in panels() for target in panel.get("targets", ())]


def exposed(text: str) -> tuple[set[str], set[str]]:
    """Read the names and the labels of all series, without a parser."""
    names = set(re.findall(r"^(\w+)[{ ]", text, re.MULTILINE))
    return names, {*re.findall(r'[{,](\w+)="', text), "job", "instance"}


async def test_the_dashboard_asks_for_what_there_is(autojump_clock):
    """A panel that stays empty is found by nobody until it is needed."""
    names, labels = exposed(busy().text().decode())
    asked_for = set(re.findall(r"\b(?:swapd|llamaswap)_\w+", " ".join(expressions())))
    assert asked_for
    assert asked_for - names == set()
    by = re.findall(r"by \(([^)]*)\)", " ".join(expressions()))
    shown = re.findall(r"{{(\w+)}}", DASHBOARD.read_text())
    assert {label.strip() for group in by for label in group.split(",")} - labels == set()
    assert set(shown) - labels == set()


async def test_the_dashboard_shows_everything_of_ours(autojump_clock):
    """What nobody looks at need not be counted."""
    names, _ = exposed(busy().text().decode())
    ours = {
        re.sub(r"_(bucket|sum|count)$", "", name) for name in names if name.startswith("swapd")
    }
    dashboard = DASHBOARD.read_text()
    assert {name for name in ours if name not in dashboard} == set()


def test_panels_have_their_own_numbers_and_places():
    """Grafana drops one of two with the same number, and says nothing."""
    numbers = [panel["id"] for panel in panels()]
    assert len(set(numbers)) == len(numbers)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()]
    assert len(set(places)) == len(places)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels())


def test_the_dashboard_belongs_to_no_one_prometheus():
    """Who imports it says which; a name from somewhere else would show nothing."""
    sources = re.findall(r'"uid": "([^"]*)"', DASHBOARD.read_text())
    assert set(sources) == {"${datasource}", "swapd"}


# Prometheus itself


@attrs.define
class Scraped:
    """A page that is all that its server has, and counts how often it was asked for."""

    numbers: Numbers
    times: int = 0
    _asked: trio.Event = attrs.field(factory=trio.Event)

    async def answer(self, stream: trio.SocketStream) -> None:
        """Answer each request on a connection with the page."""
        heard = b""
        async with stream:
            async for data in stream:
                heard += data
                while b"\r\n\r\n" in heard:
                    heard = heard.partition(b"\r\n\r\n")[2]
                    await stream.send_all(self._page())
                    self.times += 1
                    self._asked.set()
                    self._asked = trio.Event()

    async def was_read(self) -> None:
        """Wait until one page was read and stored; the next is asked for after that."""
        enough = self.times + 2
        while self.times < enough:
            await self._asked.wait()

    def _page(self) -> bytes:
        body = self.numbers.text()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}"
        return f"{head}\r\n\r\n".encode() + body


@asynccontextmanager
async def prometheus(config: Path) -> AsyncIterator[int]:
    """Run Prometheus until the end of the block; answers with its port."""
    port = free_port()
    command = [
        *(str(PROMETHEUS), f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"),
        f"--storage.tsdb.path={config.parent / 'data'}",
    ]
    async with trio.open_nursery() as nursery:
        process = await trio.lowlevel.open_process(command, stdin=PIPE, stderr=PIPE)
        try:
            await nursery.start(_ready, process.stderr)
            yield port
        finally:
            process.kill()
            # It dies of this; who waits for it leaves nothing behind.
            with trio.CancelScope(shield=True):
                await process.wait()


async def _ready(output: trio.abc.ReceiveStream, *, task_status: trio.TaskStatus[None]) -> None:
    """Read what it logs, and say when it answers."""
    log = b""
    ready = False
    async with output:
        async for data in output:
            log += data
            if not ready and b"Server is ready to receive web requests" in log:
                ready = True
                task_status.started()


async def query(port: int, expression: str) -> list[dict[str, Any]]:
    """Ask Prometheus for what an expression is now."""
    caller = Caller(await trio.open_tcp_stream("127.0.0.1", port), [])
    await caller.send(f"/api/v1/query?query={quote(expression)}")
    answer = (await caller.reply()).json()
    await caller.stream.aclose()
    assert answer["status"] == "success", (expression, answer)
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def filled(expression: str) -> str:
    """Put something in the place of Grafana's variables."""
    for name, value in (("$__rate_interval", "1m"), ("$job", ".*"), ("$model", ".*")):
        expression = expression.replace(name, value)
    return expression


@pytest.mark.real
@with_prometheus
@pytest.mark.parametrize("numbers", [busy, partial(made, Unmeasured())], ids=["busy", "fresh"])
async def test_promtool_finds_nothing_to_say(numbers):
    """Neither about llama-swap's names nor about ours."""
    with trio.fail_after(PATIENCE):
        checked = await trio.run_process(
            [str(PROMTOOL), "check", "metrics"],
            stdin=numbers().text(),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@pytest.mark.real
@with_prometheus
async def test_prometheus_reads_it_and_the_dashboard_asks_in_its_language(tmp_path, nursery):
    """The real one, once, from the scrape to every panel's expression."""
    page = Scraped(busy())
    with trio.fail_after(PATIENCE):
        serve = partial(trio.serve_tcp, page.answer, 0, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        target = f"127.0.0.1:{listener.socket.getsockname()[1]}"
        config = tmp_path / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s}\n"
            f"scrape_configs: [{{job_name: swapd, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        await trio.run_process(
            [str(PROMTOOL), "check", "config", str(config)], capture_stdout=True
        )
        async with prometheus(config) as port:
            await page.was_read()
            [up] = await query(port, "up")
            assert (up["metric"]["job"], up["value"][1]) == ("swapd", "1")
            found = await query(port, "swapd_requests_total")
            assert {each["metric"]["model"]: each["value"][1] for each in found} == dict.fromkeys(
                MODELS, "1"
            )
            [oldest] = await query(port, "swapd_queue_oldest_seconds")
            assert oldest["value"][1] == "12.5"
            [total] = await query(port, 'llamaswap_gpu_memory_total_bytes{id="1"}')
            assert float(total["value"][1]) == 24576 * 2**20
            for expression in expressions():
                await query(port, filled(expression))
