"""What works, but hardly as it was meant."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.config.draft import Draft
from swapd.config.expression import All, Either, Leaf, Node
from swapd.config.grouping import matrix_sets
from swapd.config.kinds import SchedulerKind
from swapd.config.load import loaded_from
from swapd.config.remarks import remarks
from swapd.config.source import parse
from swapd.config.written import WrittenSettings
from swapd.config.written_models import WrittenModel
from swapd.config.written_routing import WrittenMatrix, WrittenRouting, WrittenScheduler

M = "models: {a: {cmd: x, proxy: http://h}}\n"

# Two models at one port, two at another, and one by itself.
PORTS = {"a": 9000, "b": 9000, "c": 9001, "d": 9001, "e": 9002}
SERVERS = {own: f"http://localhost:{port}" for own, port in PORTS.items()}
FIVE = ", ".join(f"{own}: {{cmd: x, proxy: {at}}}" for own, at in SERVERS.items())
FIVE = f"models: {{{FIVE}}}\n"
FIFO = "routing: {scheduler: {use: fifo}}\n"

AB = '"a" and "b" share port 9000 of this machine'


def told(text: str) -> list[str]:
    """Load a text and list what is remarked."""
    return [str(remark) for remark in loaded_from([parse(text, file="f.yaml")]).remarks]


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        pytest.param(
            "logLevel: trace",
            'f.yaml:2:11: logLevel: "trace" means info; known are debug, info, warn, error',
            id="C019",
        ),
        pytest.param(
            "logTimeFormat: iso",
            'f.yaml:2:16: logTimeFormat: "iso" means no time;',
            id="C019-time",
        ),
        pytest.param(
            "hooks: {on_startup: {preload: [a, nobody]}}",
            'f.yaml:2:35: hooks.on_startup.preload[1]: there is no model "nobody"',
            id="C233",
        ),
        pytest.param(
            "groups: {g: {members: [a]}}",
            "f.yaml:2:1: the scheduler serial has one model in memory and ignores",
            id="D1",
        ),
        pytest.param(
            "routing: {router: {settings: {groups: {g: {members: [a]}}}}}",
            "f.yaml:2:31: routing.router.settings: the scheduler serial",
            id="D1-new-place",
        ),
    ],
)
def test_a_remark_has_a_place_and_a_reason(text: str, remark: str) -> None:
    """The file works; whoever wrote it meant something else."""
    (found,) = told(M + text)

    assert found.startswith(remark)


@pytest.mark.parametrize(
    "text",
    [
        "logLevel: ' Debug '\nlogTimeFormat: RFC3339\nhooks: {on_startup: {preload: ['']}}",
        "routing: {scheduler: {settings: {fifo: {maxTurn: 5, maxQueue: 9, priority: {a: 1}}}}}",
        FIFO + "groups: {g: {members: [a]}}",
        FIFO + "matrix: {vars: {v: a}, evict_costs: {v: 5}, sets: {s: v}}",
    ],
)
def test_an_ordinary_file_is_passed_over_in_silence(text: str) -> None:
    """Whoever is told too much reads nothing."""
    assert told(M + text) == []


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        pytest.param(
            "groups: {g: {swap: false}}",
            "f.yaml:3:10: groups.g: without members it does nothing",
            id="no-members",
        ),
        pytest.param(
            "matrix: {vars: {v: a, w: b}, evict_costs: {v: 5, w: 2}, sets: {s: w | c}}",
            'f.yaml:3:17: matrix.vars: no set has "a", so it runs alone',
            id="var-in-no-set",
        ),
        pytest.param(
            "matrix: {evict_costs: {a: 5, b: 2}, sets: {s: b}}",
            'f.yaml:3:24: matrix.evict_costs: no set has "a", so it runs alone',
            id="cost-in-no-set",
        ),
    ],
)
def test_what_does_nothing_under_fifo_is_told(text: str, remark: str) -> None:
    """A name was mistyped or left over, and nothing else would ever say so."""
    assert told(FIVE + FIFO + text) == [remark]


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        pytest.param(
            "groups: {g: {swap: false, members: [a, e, b]}}",
            f"f.yaml:3:10: groups.g: {AB}: they cannot run side by side",
            id="one-group",
        ),
        pytest.param(
            "groups:\n  h: {exclusive: no, members: [b]}\n  g: {exclusive: no, members: [a]}",
            f'f.yaml:5:3: groups.g: {AB}, and neither "g" nor "h" unloads the other',
            id="two-groups",
        ),
        pytest.param(
            "groups: {g: {persistent: true, members: [a]}, h: {persistent: true, members: [b]}}",
            'f.yaml:3:47: groups.h: "b" and "a" share port 9000 of this machine, and neither "h" '
            'nor "g" unloads the other',
            id="two-persistent-groups",
        ),
        pytest.param(
            "groups: {g: {exclusive: false, persistent: true, members: [a]}}",
            f'f.yaml:3:10: groups.g: {AB}, and neither "g" nor "(default)" unloads the other',
            id="the-default-group",
        ),
        pytest.param(
            "matrix: {sets: {s: a & e & b}}",
            f"f.yaml:3:20: matrix.sets.s: {AB}: the set can never be loaded as a whole",
            id="one-set",
        ),
        pytest.param(
            "matrix: {sets: {s: (a | e) & c & (b | e)}}",
            f"f.yaml:3:20: matrix.sets.s: {AB}: they cannot run side by side",
            id="one-choice",
        ),
        pytest.param(
            "matrix: {sets: {z: +s & e, s: (a | (a & e)) & b, y: +s}}",
            f"f.yaml:3:31: matrix.sets.s: {AB}: the set can never be loaded as a whole",
            id="told-where-they-meet",
        ),
        pytest.param(
            "matrix: {sets: {s: a | e, t: +s & (b | e)}}",
            f"f.yaml:3:30: matrix.sets.t: {AB}: they cannot run side by side",
            id="meeting-by-reference",
        ),
    ],
)
def test_models_of_one_port_that_are_to_run_side_by_side_are_told(text: str, remark: str) -> None:
    """The second would find its port taken, at a request that may come in months."""
    assert told(FIVE + FIFO + text) == [remark]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("groups: {g: {members: [a, b]}}", id="one-at-a-time"),
        pytest.param("groups: {g: {swap: false, members: [a, c, e]}}", id="other-ports"),
        pytest.param(
            "groups: {g: {members: [a]}, h: {exclusive: false, members: [b]}}", id="one-unloads"
        ),
        pytest.param("groups: {g: {persistent: true, members: [a]}}", id="it-unloads-the-rest"),
        pytest.param("matrix: {sets: {s: (a | b) & (c | d) & e, t: a & a}}", id="alternatives"),
        pytest.param("matrix: {sets: {one: a | c, two: b & e, z: +one | +two}}", id="other-sets"),
    ],
)
def test_models_of_one_port_that_never_meet_are_no_mistake(text: str) -> None:
    """Many give all models the same port, and swap."""
    assert told(FIVE + FIFO + text) == []


def test_ports_are_nobodys_business_under_serial() -> None:
    """Rule 2: one model in memory has its port to itself; that groups are ignored is said once."""
    (found,) = told(FIVE + "groups: {g: {swap: false, members: [a, b]}, h: {}}")

    assert "ignores" in found


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://localhost:9000", "http://127.0.0.1:9000/v1", True),
        ("http://LOCALHOST:9000", "https://[::1]:9000", True),
        ("http://0.0.0.0:80", "http://localhost", True),
        ("http://localhost:${PORT}", "http://localhost:5800", True),
        ("http://localhost:9000", "http://localhost:9001", False),
        ("http://box:9000", "http://box:9000", False),
        ("http://127.0.0.2:9000", "http://127.0.0.1:9000", False),
    ],
)
def test_this_machine_has_several_names(one: str, other: str, same: bool) -> None:
    """A port is taken whatever it is reached by; another machine's servers are not known here."""
    models = (
        f"models: {{a: {{cmd: 'x ${{PORT}}', proxy: '{one}'}}, b: {{cmd: y, proxy: '{other}'}}}}\n"
    )

    assert len(told(models + FIFO + "groups: {g: {swap: false, members: [a, b]}}")) == same


@pytest.mark.parametrize(("keys", "count"), [("[null, ~]", 1), ("[null, k]", 0), ("[]", 0)])
def test_keys_of_which_none_is_left_are_remarked(keys: str, count: int) -> None:
    """An empty variable leaves nothing in the list, and the door open."""
    found = told(f"apiKeys: {keys}\n{M}")

    assert sum("there is no key in it" in one for one in found) == count


def test_five_hundred_models_of_one_port_are_one_remark_a_set() -> None:
    """They are one mistake, as two would be; and nobody waits for a hundred thousand pairs."""
    names = [f"m{number:03}" for number in range(500)]
    models = "".join(f"  {own}: {{cmd: x, proxy: http://localhost:9000}}\n" for own in names)
    sets = f"{{pool: {' | '.join(names)}, all: {' & '.join(names)}, two: +pool & +pool}}"

    assert told(f"models:\n{models}{FIFO}matrix:\n  sets: {sets}\n") == [
        f"f.yaml:504:{sets.index('m000 &') + 9}: matrix.sets.all: "
        '"m000" and "m001" share port 9000 of this machine: '
        "the set can never be loaded as a whole",
        f"f.yaml:504:{sets.index('+pool &') + 9}: matrix.sets.two: "
        '"m000" and "m001" share port 9000 of this machine: they cannot run side by side',
    ]


EXPRESSIONS = st.recursive(
    st.sampled_from(sorted(PORTS)),
    lambda inner: st.tuples(st.lists(inner, min_size=2, max_size=3), st.sampled_from("&|")).map(
        lambda parts: f"({f' {parts[1]} '.join(parts[0])})"
    ),
    max_leaves=7,
)


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS)
def test_a_set_is_remarked_if_and_only_if_models_meet_in_it(text: str) -> None:
    """Rule 1, against all combinations written out; and "never" is never said in vain."""
    draft = Draft(
        WrittenSettings(
            models={own: WrittenModel(cmd="x", proxy=at) for own, at in SERVERS.items()},
            matrix=WrittenMatrix(sets={"s": text}),
            routing=WrittenRouting(scheduler=WrittenScheduler(use=SchedulerKind.FIFO)),
        )
    )
    (expression,) = matrix_sets(draft)
    combinations = written_out(expression.node)
    crowded = [one for one in combinations if len({PORTS[own] for own in one}) < len(one)]

    found = [remark.message for remark in remarks(draft)]

    assert bool(found) == bool(crowded)
    if any("never" in message for message in found):
        assert len(crowded) == len(combinations)


def written_out(node: Node) -> set[frozenset[str]]:
    """Write out all combinations of an expression."""
    match node:
        case Leaf(model):
            return {frozenset((str(model),))}
        case Either(parts):
            return {one for part in parts for one in written_out(part)}
        case All(parts):
            several = itertools.product(*map(written_out, parts))
            return {frozenset[str]().union(*chosen) for chosen in several}
