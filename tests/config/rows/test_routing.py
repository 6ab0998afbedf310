"""Rows C240 to C283: groups, the matrix, schedulers, and where they may be written."""

from collections.abc import Callable

import pytest

from swapd.config.expression import can_contain
from swapd.config.kinds import RouterKind, SchedulerKind
from swapd.config.load import Loaded
from swapd.config.settings import FifoSettings, Group
from swapd.ids import ModelId
from tests.config.rows.loading import assert_refused, loaded

AB = "models: {a: M, b: M}\n"
ABC = "models: {a: M, b: M, c: M}\n"
LLAMAS = "models: {llama70B: M, gemma: M, mistral: M}\n"


def use(found: Loaded) -> tuple[RouterKind, SchedulerKind]:
    """Pick what routes and what schedules."""
    assert found.written.routing.router.use is found.settings.router
    return found.settings.router, found.settings.scheduler


def sets(found: Loaded) -> list[str]:
    """Pick the names of the matrix's sets."""
    assert found.settings.matrix is not None
    return [expression.name for expression in found.settings.matrix.sets]


def together(*models: str) -> Callable[[Loaded], bool]:
    """Ask whether the matrix lets some models run side by side."""

    def look(found: Loaded) -> bool:
        assert found.settings.matrix is not None
        wanted = frozenset(own for own in found.settings.models if own in models)
        assert len(wanted) == len(models)
        return can_contain(found.settings.matrix.sets, wanted)

    return look


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        pytest.param(
            "models: {model1: M, model2: M}\n"
            "groups: {g1: {members: [model1, model2]}, g2: {members: [»model2]}}",
            "groups.g2.members[0]",
            '"model2" is in the group "g1" already',
            id="C240",
        ),
        pytest.param(
            AB + "groups: {g: {members: [a, b, »a]}}",
            "groups.g.members[2]",
            'duplicate member "a"',
            id="C241",
        ),
        pytest.param(
            AB + "groups: {g: {members: [a, »nope]}}",
            "groups.g.members[1]",
            'there is no model "nope"',
            id="C243-unknown-ours",
        ),
        pytest.param(
            "models: {a: {M, aliases: [al]}}\ngroups: {g: {members: [»al]}}",
            "groups.g.members[0]",
            '"al" is an alias; write the id, "a"',
            id="C243-alias-ours",
        ),
        pytest.param(
            AB + "groups: {»(default): {members: [a]}}",
            "groups.(default)",
            "is the group of all models that are in no other",
            id="C244-ours",
        ),
        pytest.param("groups: {»g: }", "groups.g", "a mapping, got null", id="C245-D28"),
        pytest.param(
            AB + "»groups: {g: {members: [a]}}\nrouting: {router: {use: group}}",
            "groups",
            "migrate it to routing.router.settings",
            id="C251",
        ),
        pytest.param(
            "routing: {router: {use: »matrix}}",
            "routing.router.use",
            "needs routing.router.settings.matrix",
            id="C252",
        ),
        pytest.param(
            "routing: {router: {use: »bogus}}",
            "routing.router.use",
            'group, matrix, got "bogus"',
            id="C254-bogus",
        ),
        pytest.param(
            "routing: {router: {use: »Group}}",
            "routing.router.use",
            'group, matrix, got "Group"',
            id="C254-case",
        ),
        pytest.param(
            AB + "routing: {scheduler: {settings: {fifo: {priority: {»nope: 5}}}}}",
            "routing.scheduler.settings.fifo.priority.nope",
            'there is no model "nope"',
            id="C257",
        ),
        pytest.param(
            "routing: {scheduler: {use: »lifo}}",
            "routing.scheduler.use",
            'serial, fifo, got "lifo"',
            id="C260",
        ),
        pytest.param(
            AB + "groups: {g: {members: [a]}}\n»matrix: {sets: {s: a}}",
            "matrix",
            "cannot use both groups and matrix",
            id="C261",
        ),
        pytest.param(AB + "»matrix: {vars: {v: a}}", "matrix.sets", "at least one set", id="C263"),
        *(
            pytest.param(
                AB + f"matrix: {{vars: {{»{key}: a}}, sets: {{s: a}}}}",
                f"matrix.vars.{path}",
                says,
                id=row,
            )
            for row, key, path, says in (
                ("C265-33", "v" * 33, "v" * 33, "1 to 32"),
                ("C265-character", "a_b", "a_b", "letters, digits"),
                ("C265-empty", '""', '""', "1 to 32"),
            )
        ),
        pytest.param(
            AB + "matrix: {vars: {v: »nope}, sets: {s: a}}",
            "matrix.vars.v",
            'there is no model "nope"',
            id="C266",
        ),
        *(
            pytest.param(
                AB + f"matrix: {{evict_costs: {{a: »{cost}}}, sets: {{s: a}}}}",
                "matrix.evict_costs.a",
                f"must be at least 1, got {cost}",
                id=f"C267-{cost}",
            )
            for cost in (0, -1)
        ),
        pytest.param(
            AB + "matrix: {evict_costs: {»nope: 5}, sets: {s: a}}",
            "matrix.evict_costs.nope",
            'unknown var or model "nope"',
            id="C268",
        ),
        pytest.param(
            AB + 'matrix: {sets: {a: »"+b", b: "+a"}}',
            "matrix.sets.a",
            "circular reference",
            id="C271",
        ),
        pytest.param(
            AB + 'matrix: {sets: {s: »"+nonexistent"}}',
            "matrix.sets.s",
            'there is no set "nonexistent"',
            id="C272",
        ),
        pytest.param(
            AB + 'matrix: {vars: {g: a}, sets: {s: »"g & nonexistent"}}',
            "matrix.sets.s",
            'unknown var or model "nonexistent"',
            id="C273",
        ),
        pytest.param(
            AB + "matrix: {»sets: [a]}", "matrix.sets", "a mapping, got a list", id="C275"
        ),
        pytest.param(
            AB + "matrix: {sets: {s: a, »s: b}}", "matrix.sets.s", "already defined", id="C281"
        ),
        pytest.param(
            'startPort: 70000\nmodels: {a: {cmd: »"x ${PORT}"}}',
            "models.a.cmd",
            "would be 70000",
            id="C282-ours",
        ),
        pytest.param(
            "models: {a/b: M}\nmatrix: {sets: {s: »a/b}}",
            "matrix.sets.s",
            'unexpected character "/"',
            id="C278",
        ),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(text: str, path: str, says: str) -> None:
    """Else a model is never loaded, or never leaves, and nothing says why."""
    assert_refused(text, path, says)


@pytest.mark.parametrize(
    ("text", "look", "found"),
    [
        pytest.param(
            "models: {c: M, b: M, a: M, d: M}\ngroups: {g: {members: [b]}}",
            lambda c: {own: group.members for own, group in c.settings.groups.items()},
            {"g": ("b",), "(default)": ("a", "c", "d")},
            id="C242",
        ),
        pytest.param(
            AB + "groups: {g: {swap: false, members: [a]}}",
            lambda c: (use(c), c.settings.groups["g"]),
            ((RouterKind.GROUP, SchedulerKind.SERIAL), Group(swap=False, members=(ModelId("a"),))),
            id="C246-D1",
        ),
        pytest.param(
            AB + "matrix: {sets: {s: a & b}}",
            lambda c: (c.settings.router, c.settings.groups, sets(c), together("a", "b")(c)),
            (RouterKind.MATRIX, {}, ["s"], True),
            id="C247",
        ),
        pytest.param(
            AB + "routing: {router: {use: matrix, settings: {matrix: {sets: {s: a & b}}}}}",
            lambda c: (c.settings.router, c.settings.groups, sets(c)),
            (RouterKind.MATRIX, {}, ["s"]),
            id="C248",
        ),
        pytest.param(
            AB + "routing: {router: {use: group, settings: {groups: {g: {members: [a]}}}}}",
            lambda c: (c.settings.router, c.settings.matrix, c.settings.groups["g"].members),
            (RouterKind.GROUP, None, ("a",)),
            id="C249",
        ),
        pytest.param(AB, use, (RouterKind.GROUP, SchedulerKind.SERIAL), id="C250-D1"),
        pytest.param(
            AB + "routing: {router: {use: group, settings:"
            " {groups: {g: {members: [a]}}, matrix: {sets: {s: a}}}}}",
            lambda c: (c.settings.router, c.settings.matrix, c.settings.groups["g"].members),
            (RouterKind.GROUP, None, ("a",)),
            id="C253",
        ),
        pytest.param(
            AB + "routing: {router: {settings: {matrix: {vars: {v: nope}, sets: {s: v}}}}}",
            lambda c: (c.settings.router, c.settings.matrix),
            (RouterKind.GROUP, None),
            id="C255",
        ),
        *(
            pytest.param(
                AB + f"groups: {{g: {{members: [a]}}}}\nrouting: {routing}",
                lambda c: (c.settings.router, c.settings.groups["g"].members),
                (RouterKind.GROUP, ("a",)),
                id=f"C256-{row}",
            )
            for row, routing in (
                ("scheduler", "{scheduler: {use: fifo}}"),
                ("empty", "{}"),
                ("empty-groups", "{router: {settings: {groups: {}}}}"),
            )
        ),
        pytest.param(
            "models: {gemma: M}\n"
            "routing: {scheduler: {use: fifo, settings: {fifo: {priority: {gemma: 5}}}}}",
            lambda c: (c.settings.scheduler, c.settings.fifo),
            (SchedulerKind.FIFO, FifoSettings(priority={ModelId("gemma"): 5})),
            id="C258",
        ),
        pytest.param(
            "routing: {scheduler: {settings: {fifo: {maxTurn: 5, maxQueue: 7}}}}",
            lambda c: c.settings.fifo,
            FifoSettings(max_turn=5.0, max_queue=7),
            id="D18",
        ),
        pytest.param(
            "models: {gemma: {M, aliases: [g]}}\n"
            "routing: {scheduler: {use: fifo, settings: {fifo: {priority: {g: 5}}}}}",
            lambda c: c.settings.fifo.priority,
            {"gemma": 5},
            id="C259",
        ),
        pytest.param(
            AB + "groups: {}\nmatrix: {sets: {s: a}}",
            lambda c: (c.settings.router, sets(c)),
            (RouterKind.MATRIX, ["s"]),
            id="C262",
        ),
        *(
            pytest.param(
                AB + f"matrix: {{vars: {{{key}: b}}, sets: {{s: a & {key}}}}}",
                together("a", "b"),
                True,
                id=f"C264-{row}",
            )
            for row, key in (("32", "v" * 32), ("dash", "model-var"), ("dot", "model.var"))
        ),
        pytest.param(
            AB + "matrix: {evict_costs: {a: 7}, sets: {s: a}}",
            lambda c: c.settings.matrix.evict_costs,
            {"a": 7},
            id="C269",
        ),
        pytest.param(
            LLAMAS + "matrix: {vars: {L: llama70B, g: gemma},"
            " evict_costs: {L: 30, g: 5, mistral: 10}, sets: {s: L & g}}",
            lambda c: c.settings.matrix.evict_costs,
            {"llama70B": 30, "gemma": 5, "mistral": 10},
            id="C270",
        ),
        pytest.param(
            ABC + "matrix: {sets: {s: a & b}}", together("a", "b"), True, id="C274-direct"
        ),
        pytest.param(
            ABC + "matrix: {vars: {v: c}, sets: {s: a & v}}",
            together("a", "c"),
            True,
            id="C274-mixed",
        ),
        pytest.param(
            ABC + "matrix: {vars: {b: c}, sets: {s: a & b}}",
            lambda c: (together("a", "b")(c), together("a", "c")(c)),
            (False, True),
            id="C274-shadow",
        ),
        pytest.param(
            AB + "matrix: {sets: {zz: a, aa: a, s10: a, s9: a, S1: a}}",
            sets,
            ["S1", "aa", "s9", "s10", "zz"],
            id="C276",
        ),
        pytest.param(
            'macros: {D: "a & b"}\n' + AB + 'matrix: {sets: {s: "${D}"}}',
            together("a", "b"),
            True,
            id="C277",
        ),
        pytest.param(
            "macros: {ONE: a}\n" + AB + 'groups: {g: {members: ["${ONE}"]}}\n'
            'selectors: {s: {strategy: pin, targets: ["${ONE}"]}}\n'
            'hooks: {on_startup: {preload: ["${ONE}"]}}\n',
            lambda c: (
                c.settings.groups["g"].members,
                c.settings.selectors["s"].targets,
                c.settings.preload,
            ),
            (("a",), ("a",), ("a",)),
            id="C279",
        ),
        pytest.param(
            "models:\ngroups:\nprofiles:\nselectors:\npeers:\nrouting:\nmacros:\n",
            lambda c: c.settings == loaded("").settings,
            True,
            id="C280",
        ),
        pytest.param(
            AB + "routing: {scheduler: {use: fifo, settings: {fifo: {priority: {a: -3}}}}}",
            lambda c: c.settings.fifo.priority,
            {"a": -3},
            id="C283",
        ),
    ],
)
def test_a_plan_is_understood_as_in_llama_swap(
    text: str, look: Callable[[Loaded], object], found: object
) -> None:
    """In its old place or its new one, with the same models beside each other."""
    assert look(loaded(text)) == found
