"""The log's way to standard output: opened, followed, and left as it was found."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from swapd.config.kinds import LogLevel, LogTarget
from swapd.config.settings import Settings
from swapd.watch.logs import Logs
from swapd.watch.opening import AUTO, open_logs

log = logging.getLogger("swapd.test")

USUAL = Settings()


@pytest.fixture
def output(tmp_path) -> Path:
    """Answer with the file that standard output goes to."""
    path: Path = tmp_path / "out"
    path.touch()
    return path


@contextmanager
def logging_to(
    output: Path, settings: Settings = USUAL, form: str = AUTO, **environment: str
) -> Iterator[Logs]:
    """Have everything logged to a file."""
    with (
        output.open("wb") as file,
        open_logs(settings, form, fd=file.fileno(), environment=environment) as logs,
    ):
        yield logs


@pytest.fixture(autouse=True)
def level():
    """Leave the level of the tests' own log as it was."""
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


def test_what_is_logged_is_there_when_the_log_is_closed(output):
    """The last words are those that matter."""
    with logging_to(output):
        log.info("first")
        log.debug("unheard")
        log.warning("last")
    log.warning("too late")
    assert output.read_text() == "[INFO] first\n[WARN] last\n"


def test_json_is_json_line_by_line(output):
    """Whoever reads it by machine must never meet anything else."""
    with logging_to(output, form="json") as logs:
        log.info("a\nb", extra={"fields": {"model": "qwen"}})
        logs.announce("here")
    first, second = map(json.loads, output.read_text().splitlines())
    assert (first["level"], first["source"], first["model"]) == ("info", "swapd", "qwen")
    assert second["text"] == "here"


def test_a_service_manager_gets_priorities(output):
    """Then `journalctl -p warning` shows what it should."""
    there = output.stat()
    with logging_to(output, JOURNAL_STREAM=f"{there.st_dev}:{there.st_ino}"):
        log.info("fine")
        log.error("bad")
    assert output.read_text() == "<6>fine\n<3>bad\n"


def test_the_announcement_is_heard_at_every_level(output):
    """Where it listens is what a script waits for."""
    quiet = attrs.evolve(Settings(), log_level=LogLevel.ERROR)
    with logging_to(output, quiet) as logs:
        log.warning("unheard")
        logs.announce("listening")
    assert output.read_text() == "[INFO] listening\n"


def test_a_reload_changes_level_and_time_at_once(output):
    """An operator turns debugging on to see what goes on now."""
    with logging_to(output) as logs:
        log.debug("unheard")
        logging.getLogger().setLevel(logging.DEBUG)  # as the daemon does
        logs.adopt(attrs.evolve(Settings(), log_level=LogLevel.DEBUG, log_time_format="rfc3339"))
        log.debug("heard")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\S+ \[DEBUG\] heard\n", output.read_text())


def test_nothing_goes_where_it_is_not_wanted(output):
    """G5: the history is kept all the same."""
    nowhere = attrs.evolve(Settings(), log_to_stdout=LogTarget.NONE)
    with logging_to(output, nowhere) as logs:
        log.info("kept")
    assert output.read_text() == ""
    assert logs.proxy.history() == b"[INFO] kept\n"
