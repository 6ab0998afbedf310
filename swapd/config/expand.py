"""A tree with its macros filled in, and with a port for each model that asks for one.

Rule 1: shape stays: a path into the tree before leads to the same value after. A missing `proxy`
is added, `macros` are gone, and the keys of `setParamsByID` are filled in like values; `Expanded`
remembers how they were written.
Rule 2: comment lines leave commands first, so that a comment can neither ask for a port nor spill
a macro of several lines into the command.
Rule 3: what is left afterwards is a mistake. Only `${PID}` in `cmdStop` waits for its process.
Rule 4: ports go to models in the byte order of their ids. In a reload a model keeps the port that
it has; what is new gets one that nobody had.
"""

import itertools
import math
from collections.abc import Collection, Iterator, Mapping

import attrs

from swapd.config.command import strip_comments
from swapd.config.macros import (
    Macro,
    Macros,
    TooLong,
    declared,
    substitute,
    substitute_text,
    unknown,
    unknown_in,
)
from swapd.config.problems import KeyPath, Problem
from swapd.config.values import Tree, Value, quoted, text_of
from swapd.config.written import START_PORT

HIGHEST_PORT = 65535

DEFAULT_PROXY = "http://localhost:${PORT}"

_PORT = "${PORT}"
_PID = frozenset(("PID",))


@attrs.frozen
class Ports:
    """Which model has which port, and where counting began."""

    start: int = START_PORT
    given: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen
class Expanded:
    """A tree without macros."""

    tree: Tree
    ports: Ports
    problems: tuple[Problem, ...]
    _spelled: Mapping[KeyPath, str]
    """How the keys were written that have changed."""

    def as_written(self, path: KeyPath) -> KeyPath:
        """Translate a path into one of the tree before."""
        return tuple(self._spelled.get(path[: depth + 1], step) for depth, step in enumerate(path))


def expand(tree: Tree, *, sections: Collection[str], before: Ports | None = None) -> Expanded:
    """Fill in every macro of a tree; what is left over counts in the models and in `sections`."""
    common, wrong = declared(tree.get("macros"), ("macros",))
    macros = Macros(common)
    problems = list(wrong)
    found: Tree = {}
    for section, value in tree.items():
        if section in ("macros", "models"):
            continue
        try:
            found[section] = substitute(value, macros)
        except TooLong as long:
            problems.append(Problem((section,), f"a text {long}"))
            continue
        if section in sections:
            problems += unknown(found[section], (section,), macros)
    models = tree.get("models")
    present = models if isinstance(models, dict) else ()
    ports = _Allotment(_start_port(found.get("startPort")), before, present)
    spelled: dict[KeyPath, str] = {}
    if isinstance(models, dict):
        filled = dict(models)
        # By code points, the byte order of UTF-8: a port does not follow the file's order.
        for model_id, model in sorted(models.items()):
            if isinstance(model, dict):
                one = _Model(model_id, model, macros, ports)
                filled[model_id] = one.tree
                problems += one.problems
                spelled |= one.spelled
        found["models"] = filled
    elif "models" in tree:
        found["models"] = models
    return Expanded(found, Ports(ports.start, ports.given), tuple(problems), spelled)


class _Allotment:
    """Hands out ports."""

    def __init__(self, start: int, before: Ports | None, models: Collection[str]) -> None:
        self.start = start
        self.given: dict[str, int] = {}
        self._kept = before.given if before is not None and before.start == start else {}
        taken = frozenset(self._kept.values())
        self._free = itertools.chain(
            (port for port in range(start, HIGHEST_PORT + 1) if port not in taken),
            # Rather than none at all.
            (port for model, port in self._kept.items() if model not in models),
            itertools.count(max(start, HIGHEST_PORT + 1)),
        )

    def give(self, model_id: str) -> int:
        kept = self._kept.get(model_id)
        self.given[model_id] = next(self._free) if kept is None else kept
        return self.given[model_id]


class _Model:
    """One model's macros, filled in."""

    def __init__(self, model_id: str, model: Tree, common: Macros, ports: _Allotment) -> None:
        self.path: KeyPath = ("models", model_id)
        self.spelled: dict[KeyPath, str] = {}
        own, wrong = declared(model.get("macros"), (*self.path, "macros"))
        self.problems = list(wrong)
        self.tree = _prepared(model)
        self.macros = Macros(own, over=common, first=Macro("MODEL_ID", model_id))
        try:
            self._fill(self.macros)
            if _PORT in _text(self.tree.get("cmd")):
                self._fill(Macros([Macro("PORT", ports.give(model_id))]))
            elif _PORT in _text(self.tree["proxy"]):
                self._refuse_proxy(written=model.get("proxy") is not None)
        except TooLong as long:
            self.problems.append(Problem(self.path, f"a text {long}"))
        else:
            self.problems += self._unknown()

    def _fill(self, macros: Macros) -> None:
        self.tree = {key: substitute(value, macros) for key, value in self.tree.items()}
        filters = self.tree.get("filters")
        if not isinstance(filters, dict) or not isinstance(filters.get("setParamsByID"), dict):
            return
        by_id = filters["setParamsByID"]
        assert isinstance(by_id, dict)
        path = (*self.path, "filters", "setParamsByID")
        before, self.spelled = self.spelled, {}
        renamed: Tree = {}
        for key, value in by_id.items():
            name = text_of(substitute_text(key, macros))
            written = before.get((*path, key), key)
            if name in renamed:
                first = self.spelled.get((*path, name), name)
                message = f"{quoted(first)} and {quoted(written)} both become {quoted(name)}"
                self.problems.append(Problem(path, message, written))
                continue
            renamed[name] = value
            if name != written:
                self.spelled[(*path, name)] = written
        filters["setParamsByID"] = renamed

    def _unknown(self) -> Iterator[Problem]:
        for key, value in self.tree.items():
            known = _PID if key == "cmdStop" else frozenset[str]()
            yield from unknown(value, (*self.path, key), self.macros, known=known)
        filters = self.tree.get("filters")
        by_id = filters.get("setParamsByID") if isinstance(filters, dict) else None
        path = (*self.path, "filters", "setParamsByID")
        for key in by_id if isinstance(by_id, dict) else ():
            written = self.spelled.get((*path, key), key)
            for message in unknown_in(key, self.macros):
                yield Problem(path, message, written)

    def _refuse_proxy(self, *, written: bool) -> None:
        del self.tree["proxy"]
        # Without a command there is a greater mistake than the port it does not use.
        if written or _as_text(self.tree.get("cmd")).strip():
            message = "proxy uses ${PORT} but cmd does not"
            hint = "use ${PORT} in cmd, or a number in proxy"
            if not written:
                hint = f"there is no proxy, and its default is {DEFAULT_PROXY}; {hint}"
            self.problems.append(Problem((*self.path, "proxy"), f"{message}: {hint}"))


def _prepared(model: Tree) -> Tree:
    tree: Tree = {
        key: strip_comments(value)
        if key in ("cmd", "cmdStop") and isinstance(value, str)
        else value
        for key, value in model.items()
        if key != "macros"
    }
    if tree.get("proxy") is None:
        tree["proxy"] = DEFAULT_PROXY
    return tree


def _start_port(value: Value) -> int:
    # A start port that is none is refused by whoever decodes it; here any will do.
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return int(value)
    return START_PORT


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""


def _as_text(value: Value) -> str:
    """What a text field makes of a value: a command may look like a number."""
    return "" if value is None or isinstance(value, (list, dict)) else text_of(value)
