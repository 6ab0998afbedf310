"""The processes of a measurement: the upstream model, nginx, swapd. Each ends with its block.

Rule 1: whatever is started here is stopped here, by its own pid or its own process group.
Rule 2: only loopback, only ports that were free a moment ago, only files in a temporary folder.
"""

import contextlib
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bench.callers import Address

FAST_MODEL = Path(__file__).with_name("fast_model.py")
_REPOSITORY = Path(__file__).resolve().parents[2]
# Longer than any start in this bench, on a machine that is busy with something else.
_START_TIMEOUT = 30.0
# A daemon that unloads its models may take its time; then it is killed.
_STOP_TIMEOUT = 15.0
# What the kernel calls a process's own time, in the last bits of a clock's number.
_PROCESS_CPU = 2

_NGINX_CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000;
  upstream model {{ server {host}:{upstream}; keepalive 32; keepalive_requests 1000000; }}
  server {{
    listen {host}:{port};
    tcp_nodelay on;
    location / {{
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


class CannotMeasure(Exception):
    """Something that the bench needs is missing or does not start."""


def find_nginx() -> str:
    """Return nginx's path, or say how to install it."""
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        raise CannotMeasure(
            "cannot find nginx, the yardstick: apt-get update; apt-get install -y nginx-light"
        )
    return found


def proxy_core() -> int | None:
    """The core that a proxy under measurement has to itself; None on a single core."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[-1] if len(cores) > 1 else None


def other_core() -> int | None:
    """The core that the caller and the model share."""
    return min(os.sched_getaffinity(0)) if proxy_core() is not None else None


@contextmanager
def placed(core: int | None) -> Iterator[None]:
    """Run this process, and what it starts meanwhile, on one core."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def fast_model_command(port: int | str, *options: str) -> str:
    """The command line of the upstream, as a configuration wants it."""
    return shlex.join([sys.executable, str(FAST_MODEL), "--port", "PORT", *options]).replace(
        "PORT", str(port)
    )


@contextmanager
def open_fast_model(port: int) -> Iterator[Address]:
    with open_child(shlex.split(fast_model_command(port))) as child:
        address = ("127.0.0.1", port)
        wait_listening(address, child)
        yield address


@contextmanager
def open_nginx(upstream: Address, folder: Path) -> Iterator[tuple[Address, int]]:
    """Run nginx in front of `upstream`; yield its address and its master's pid."""
    host, port = "127.0.0.1", free_port()
    config = folder / "nginx.conf"
    config.write_text(
        _NGINX_CONFIG.format(folder=folder, host=host, port=port, upstream=upstream[1])
    )
    argv = [find_nginx(), "-p", str(folder), "-e", f"{folder}/error.log", "-c", str(config)]
    with open_child(argv) as child:
        wait_listening((host, port), child)
        yield (host, port), child.pid


@contextmanager
def open_daemon(command: str, config: Path, *more: str) -> Iterator[tuple[Address, int, float]]:
    """Run swapd; yield its address, its pid and the seconds from its start to listening.

    `more` are options of its.
    """
    address = ("127.0.0.1", free_port())
    listen = f"{address[0]}:{address[1]}"
    argv = [*shlex.split(command), "serve", "--config", str(config), "--listen", listen, *more]
    argv += ["--state-dir", ""]
    log = config.with_suffix(".log")
    began = time.perf_counter()
    with log.open("wb") as errors, open_child(argv, errors=errors.fileno()) as child:
        try:
            _wait_line(child, listen)
            took = time.perf_counter() - began
            wait_listening(address, child)
        except CannotMeasure as cannot:
            raise CannotMeasure(f"{cannot}\n{log.read_text(errors='replace')[-2000:]}") from cannot
        with _discarded(child):
            yield address, child.pid, took


@contextmanager
def open_child(
    argv: Sequence[str], *, errors: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in its own group; leaving ends it and the group."""
    child = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        cwd=_REPOSITORY,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        stop(child)


def stop(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL for what is left of its group."""
    if child.stdout is not None:
        child.stdout.close()
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    # Not finding the group is as it should be: nothing is left of it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def wait_listening(address: Address, child: subprocess.Popen[bytes]) -> None:
    """Poll every millisecond until a connection is accepted."""
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline:
        try:
            socket.create_connection(address, timeout=1.0).close()
        except OSError:
            if child.poll() is not None:
                raise CannotMeasure(f"{child.args!r} ended with {child.returncode}") from None
            time.sleep(0.001)
        else:
            return
    raise CannotMeasure(f"{child.args!r} does not listen after {_START_TIMEOUT:.0f} s")


def wait_healthy(address: Address, child: subprocess.Popen[bytes]) -> None:
    """Poll `/health` every millisecond until it answers 200, on a new connection each time."""
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(address, timeout=1.0) as line:
                line.sendall(b"GET /health HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                if line.recv(64).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            pass
        if child.poll() is not None:
            raise CannotMeasure(f"{child.args!r} ended with {child.returncode}")
        time.sleep(0.001)
    raise CannotMeasure(f"{child.args!r} is not healthy after {_START_TIMEOUT:.0f} s")


def cpu_seconds(pid: int) -> float:
    """CPU time that `pid` and its present children used until now (nginx: master and worker)."""
    return sum(own_cpu_seconds(each) for each in [pid, *_children(pid)])


def own_cpu_seconds(pid: int) -> float:
    """CPU time of `pid` alone, all its threads: a daemon's models are not its own work."""
    # The clock that clock_getcpuclockid(3) answers with; /proc shows the same in ticks of 10 ms.
    return time.clock_gettime((~pid << 3) | _PROCESS_CPU)


def resident_megabytes(pid: int) -> float:
    return _memory(pid, "VmRSS")


def peak_megabytes(pid: int) -> float:
    """The most memory that a process ever had."""
    return _memory(pid, "VmHWM")


def _memory(pid: int, what: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1024
    raise CannotMeasure(f"cannot read the memory of process {pid}")


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        # A kernel without that file: look at everyone's parent.
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[1]) == pid:
                    found.append(int(entry.name))
        return found


@contextmanager
def _discarded(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Read its output and forget it, in a process of its own: here it would disturb the stamps."""
    argv = [sys.executable, "-I", "-S", "-c", _DISCARD]
    with subprocess.Popen(argv, stdin=child.stdout, start_new_session=True) as reader:
        try:
            yield
        finally:
            reader.kill()


_DISCARD = """
import os
nowhere = os.open(os.devnull, os.O_WRONLY)
while os.splice(0, nowhere, 1 << 20):
    pass
"""


def _wait_line(child: subprocess.Popen[bytes], listen: str) -> None:
    """Read the daemon's output until it names the address that it listens on."""
    assert child.stdout is not None
    heard = b""
    deadline = time.monotonic() + _START_TIMEOUT
    while listen.encode() not in heard:
        left = deadline - time.monotonic()
        readable, _, _ = select.select([child.stdout], [], [], max(0.0, left))
        part = os.read(child.stdout.fileno(), 65536) if readable else b""
        if not part:
            raise CannotMeasure(f"{child.args!r} did not say that it listens; it said {heard!r}")
        heard += part
