"""Where the log goes: standard output, in the form that suits whoever reads it there.

Rule 1: from here to the end nothing that is logged waits for a reader.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from swapd.config.settings import Settings
from swapd.watch.logs import Logs
from swapd.watch.printing import Form
from swapd.watch.sink import Sink, under_service_manager

AUTO = "auto"
"""Chooses the form: with priorities for a service manager, else plain lines."""

# How long the last lines may take. Whoever does not read by then will not.
LAST_LINES = 2.0


@contextmanager
def open_logs(
    settings: Settings, form: str, *, fd: int, environment: Mapping[str, str]
) -> Iterator[Logs]:
    """Have everything logged to this descriptor, until the context is left.

    `form` is `AUTO` or the word of one; `environment` says whether a service manager reads it.
    """
    chosen = Form.TEXT
    if form != AUTO:
        chosen = Form(form)
    elif under_service_manager(environment, fd):
        chosen = Form.PRIORITY
    sink = Sink(fd, chosen)
    logs = Logs(settings.log_to_stdout, out=sink.put, flush=sink.close)
    logs.adopt(settings)
    # Looked up for every record otherwise, and written by nobody.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    # What is not to be logged is asked for at the logger, before a line is made of it.
    root.setLevel(logs.handler.level)
    root.addHandler(logs.handler)
    try:
        yield logs
    finally:
        root.removeHandler(logs.handler)
        sink.close(LAST_LINES)
