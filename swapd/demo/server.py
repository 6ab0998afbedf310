"""Running llama.cpp's own server, from the xllamacpp wheel.

Rule 1: it listens on 127.0.0.1 and nowhere else.
Rule 2: it never ends by itself once it serves, and goes at the first signal without a goodbye.
"""

import os
import signal
from pathlib import Path
from typing import NoReturn

import xllamacpp

from swapd.demo.tiny import Mode

# As many answers at a time as a test of concurrency needs, each with its own room for text: an
# endless one must not take the room of the others.
SLOTS = 4
TEXT = 8192

# The models are so small that a second thread costs more in waiting than it brings.
THREADS = 1

ENDING = (signal.SIGTERM, signal.SIGINT)


class CannotServe(Exception):
    """llama.cpp refused the model or the port; it has said why on stderr."""


def serve(path: Path, *, name: str, port: int, mode: Mode = Mode.CHAT) -> NoReturn:
    """Serve this model until SIGTERM or SIGINT, then exit with 0."""
    # Before the server, whose threads inherit it: a signal then waits for sigwait below, be it
    # that the model is still loading (0.1 s, during which no Python runs anyway).
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        server = xllamacpp.Server(_params(path, name, port, mode))
    except RuntimeError as refusal:
        raise CannotServe(f"cannot serve {name} on port {port}: {refusal}") from refusal
    print(f"serving {name} on {server.listening_address}", flush=True)
    signal.sigwait(ENDING)
    # Not by way of the server's destructor: with an answer under way it may sit out the whole
    # interval between two keep-alive comments, 30 s.
    os._exit(0)


def _params(path: Path, name: str, port: int, mode: Mode) -> xllamacpp.CommonParams:
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = {name}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * TEXT
    params.cpuparams.n_threads = THREADS
    # Prompts are cheap here; the memory that remembering them would take is not.
    params.cache_ram_mib = 0
    pooling = xllamacpp.llama_pooling_type
    match mode:
        case Mode.CHAT:
            pass
        case Mode.EMBED:
            params.embedding = True
            params.pooling_type = pooling.LLAMA_POOLING_TYPE_MEAN
        case Mode.RERANK:
            params.embedding = True
            params.pooling_type = pooling.LLAMA_POOLING_TYPE_RANK
    return params
