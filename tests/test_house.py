"""House rules that no tool knows: where things stand, what they are called, who may do what."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from swapd.schedule import phase

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "swapd").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# Modules without a test file of their own, and why.
UNTESTED = {
    "__main__.py": "two lines; test_cli.py and test_daemon.py start it",
    "ids.py": "four names for str and int",
    "config/kinds.py": "words; test_decode.py and the rows use them",
    "config/written_models.py": "plain keys; test_written.py goes through all of them",
    "config/written_routing.py": "plain keys; test_written.py goes through all of them",
    "proxy/spool.py": "bodies; test_body.py reads them, and what is asked is made of them",
    "proxy/scope.py": "three look-ups; every test of a request makes them",
    "front/inbox.py": "two queues; test_connection.py fills them",
    "front/heads.py": "what http11.py makes of them; test_http11.py compares both with h11",
    "config/draft.py": "what rules share; test_rules.py makes drafts",
    "schedule/events.py": "plain values; test_serial.py tells them",
    "schedule/effects.py": "plain values; test_serial.py expects them",
    "schedule/motives.py": "plain values; test_decisions.py puts each into words",
    "schedule/reasons.py": "plain values; test_refusals.py puts each into words",
}

# Tests of a whole: by the tables of the reference, and of the pretend world and what lives there.
TABLES = {Path("config/rows"), Path("rows"), Path("simulation")}

# Names that say nothing about what is inside, and so attract everything.
FORBIDDEN = {"base", "common", "helper", "helpers", "manager", "util", "utils"}

LONGEST = 300

# A bug met here must not end the daemon, or must end it with a sentence. manage/app.py registers
# an error handler instead, which is Quart's way to say the same.
CATCHES_EVERYTHING = {
    *("cli.py", "reload.py", "runs.py", "front/connection.py", "front/serve.py", "watchers.py"),
    "terminal/commands.py",
}

PRINTS = {"cli.py", "demo/__main__.py", "demo/server.py"}

# Programs of their own, without trio: the warden, the pretend model, and what is measured.
SLEEPS = {
    *("swapd/models/warden.py", "tests/children/model.py", "tests/children/recorded.py"),
}


def name(path: Path) -> str:
    return path.relative_to(ROOT / "swapd").as_posix()


def test_every_module_has_its_test_file():
    """Who opens a module knows where its tests are, and a missing one shows."""
    missing = []
    for path in MODULES:
        test = ROOT / "tests" / Path(name(path)).parent / f"test_{path.stem.strip('_')}.py"
        if path.name != "__init__.py" and name(path) not in UNTESTED and not test.exists():
            missing.append(str(test.relative_to(ROOT)))
    assert missing == []


def test_every_exception_is_still_needed():
    """A list of exceptions that nobody prunes becomes the rule."""
    for module in UNTESTED:
        path = ROOT / "swapd" / module
        assert path.exists()
        assert not (
            ROOT / "tests" / Path(module).parent / f"test_{path.stem.strip('_')}.py"
        ).exists()


def test_every_test_file_has_its_module():
    """A test whose module was renamed must move with it."""
    # The house rules, the pretend model server, HTTP where it is no longer polite, what the
    # vendors' own clients and a tester that reads our OpenAPI document say, random worlds, pretend
    # days, a short soak and a short chaos, what may stand nowhere, and the service manager's side.
    wholes = {
        *("tests/test_house.py", "tests/children/test_children.py"),
        *("tests/front/test_hygiene.py", "tests/test_clients.py", "tests/test_contract.py"),
        "tests/test_hours.py",
        "tests/schedule/test_worlds.py",
        *(
            "tests/soak/test_soak.py",
            "tests/chaos/test_chaos.py",
            "tests/front/test_limits.py",
            "tests/test_secrecy.py",
        ),
        *("tests/test_audit.py", "tests/test_units.py", "tests/test_service_daemon.py"),
    }
    for path in TESTS:
        place = path.relative_to(ROOT / "tests")
        if place.parent in TABLES:
            continue
        if path.name.startswith("test_") and f"tests/{place.as_posix()}" not in wholes:
            stem = path.stem.removeprefix("test_")
            room = ROOT / "swapd" / place.parent
            assert any((room / f"{module}.py").exists() for module in (stem, f"__{stem}__")), place


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_are_named_for_what_they_hold_and_stay_short(path):
    """Five minutes to read, and a name that tells whether to."""
    assert path.stem not in FORBIDDEN
    assert len(path.read_text().splitlines()) <= LONGEST


def test_rooms_are_not_named_for_nothing_either():
    """A folder called utils is no better than a file."""
    assert not {path.parent.name for path in MODULES} & FORBIDDEN


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_module_begins_with_its_promise(path):
    """The first thing a reader sees is what lives here."""
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_only_the_command_line_prints():
    """Everybody else logs; stdout is for what a script reads. The demo is a model's program."""
    assert {name(path) for path in MODULES if "print" in called(path)} <= PRINTS


def test_only_the_known_few_catch_everything():
    """Else a bug is swallowed where nobody looks for it."""
    catching = {
        name(path) for path in MODULES if set(caught(path)) & {"Exception", "BaseException"}
    }
    assert catching == CATCHES_EVERYTHING


def test_nobody_sleeps_in_a_thread():
    """A pause in the one thread stops everybody; a pause in a test is slow, and flaky besides."""
    sleeping = {
        path.relative_to(ROOT).as_posix()
        for path in [*MODULES, *TESTS]
        if "time.sleep" in called(path) and "bench" not in path.parts
    }
    assert sleeping == SLEEPS


def test_nobody_mocks():
    """A mock agrees with whatever we believe; a fake is held to the contract."""
    for path in TESTS:
        assert not {"unittest", "unittest.mock", "mock"} & set(imported(path)), path


def test_the_design_shows_the_phases_as_they_are():
    """A picture that may be wrong is worse than none."""
    design = ROOT / "swapd" / "DESIGN.md"
    assert phase.diagram() in design.read_text()


# Reading code


def called(path: Path) -> set[str]:
    """Name every function that is called, as it is written."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}


def caught(path: Path) -> Iterator[str]:
    """Name every exception that is caught; a bare except is a BaseException."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            yield from (ast.unparse(kind) if kind else "BaseException" for kind in kinds)


def imported(path: Path) -> Iterator[str]:
    """Name every module that is imported."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
