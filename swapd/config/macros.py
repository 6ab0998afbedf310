"""Filling in `${NAME}`.

Rule 1: shape stays: no key changes, and a path into the tree before leads to the same value after.
Only a missing `proxy` is added.
Rule 2: macros are filled in from the last of their list to the first, each once; so a macro's
value may speak of macros before it, and nothing can run in circles.
Rule 3: a text that is nothing but `${NAME}` becomes the macro's value with its type.
Rule 4: comment lines leave commands first, so that a comment can neither ask for a port nor spill
a macro of several lines into the command.
Rule 5: what is left afterwards is a mistake. Only `${PID}` in `cmdStop` waits for its process.
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs

from swapd.config.command import strip_comments
from swapd.config.problems import KeyPath, Problem
from swapd.config.values import Scalar, Tree, Value, text_of
from swapd.config.written import START_PORT

DEFAULT_PROXY = "http://localhost:${PORT}"

# More than any command line that Linux starts; macros of macros could fill any memory.
LONGEST_TEXT = 1_000_000

_REFERENCE = re.compile(r"\$\{([a-zA-Z0-9_-]+)\}")
_PORT = "${PORT}"


@attrs.frozen
class Macro:
    """A name and what it stands for."""

    name: str
    value: str | int | float | bool

    @property
    def reference(self) -> str:
        """Spell how a text asks for it."""
        return f"${{{self.name}}}"


@attrs.frozen
class Expanded:
    """A tree without macros."""

    tree: Tree
    ports: Mapping[str, int]
    """The port of each model that was given one."""
    problems: tuple[Problem, ...]


class TooLong(Exception):
    """A text grew beyond `LONGEST_TEXT`."""


def expand(tree: Tree, *, sections: Collection[str]) -> Expanded:
    """Fill in every macro of a tree; what is left over counts in the models and in `sections`."""
    found = dict(tree)
    ports: dict[str, int] = {}
    problems: list[Problem] = []
    for section in sections:
        if section != "models":
            problems += _leftovers(tree.get(section), (section,))
    models = tree.get("models")
    if isinstance(models, dict):
        first = _start_port(tree.get("startPort"))
        filled = dict(models)
        # By code points, the byte order of UTF-8: a port does not follow the file's order.
        for model_id, model in sorted(models.items()):
            if isinstance(model, dict):
                one = _Model(model_id, model, port=first + len(ports))
                filled[model_id] = one.tree
                problems += one.problems
                if one.uses_port:
                    ports[model_id] = one.port
        found["models"] = filled
    return Expanded(found, ports, tuple(problems))


def substitute(value: Value, macros: Sequence[Macro]) -> Value:
    """Fill in a list of macros throughout a value, the last macro first."""
    for macro in reversed(macros):
        value = _filled(value, macro)
    return value


class _Model:
    """One model's macros, filled in."""

    def __init__(self, model_id: str, model: Tree, *, port: int) -> None:
        self.path: KeyPath = ("models", model_id)
        self.port = port
        self.uses_port = False
        self.problems: list[Problem] = []
        self.tree = _uncommented(model)
        if self.tree.get("proxy") is None:
            self.tree["proxy"] = DEFAULT_PROXY
        try:
            self._fill([Macro("MODEL_ID", model_id)])
            self.uses_port = _PORT in _text(self.tree.get("cmd"))
            if self.uses_port:
                self._fill([Macro("PORT", port)])
            elif _PORT in _text(self.tree["proxy"]):
                self._refuse_proxy(written=model.get("proxy") is not None)
        except TooLong:
            message = f"a text grows beyond {LONGEST_TEXT} characters when macros are filled in"
            self.problems.append(Problem(self.path, message))
        else:
            self.problems += _leftovers(self.tree, self.path)

    def _fill(self, macros: Sequence[Macro]) -> None:
        self.tree = {key: substitute(value, macros) for key, value in self.tree.items()}

    def _refuse_proxy(self, *, written: bool) -> None:
        del self.tree["proxy"]
        # Without a command there is a greater mistake than the port it does not use.
        if written or _text(self.tree.get("cmd")).strip():
            message = "proxy uses ${PORT} but cmd does not"
            hint = "use ${PORT} in cmd" if written else "use it there, or set proxy"
            self.problems.append(Problem((*self.path, "proxy"), f"{message}: {hint}"))


def _uncommented(model: Tree) -> Tree:
    return {
        key: strip_comments(value)
        if key in ("cmd", "cmdStop") and isinstance(value, str)
        else value
        for key, value in model.items()
    }


def _filled(value: Value, macro: Macro) -> Value:
    match value:
        case str():
            return _filled_text(value, macro)
        case dict():
            return {key: _filled(below, macro) for key, below in value.items()}
        case list():
            return [_filled(below, macro) for below in value]
        case _:
            return value


def _filled_text(text: str, macro: Macro) -> Scalar:
    if text == macro.reference:
        return macro.value
    if not (count := text.count(macro.reference)):
        return text
    filling = text_of(macro.value)
    if len(text) + count * (len(filling) - len(macro.reference)) > LONGEST_TEXT:
        raise TooLong
    return text.replace(macro.reference, filling)


def _leftovers(value: Value, path: KeyPath) -> Iterator[Problem]:
    match value:
        case str():
            for name in dict.fromkeys(_REFERENCE.findall(value)):
                if name != "PID" or path[2:3] != ("cmdStop",):
                    yield Problem(path, _unknown(name))
        case dict():
            for key, below in value.items():
                yield from _leftovers(below, (*path, key))
        case list():
            for position, below in enumerate(value):
                yield from _leftovers(below, (*path, position))
        case _:
            return


def _unknown(name: str) -> str:
    why = {
        "PORT": "a model has a port only when its cmd uses ${PORT}",
        "MODEL_ID": "it is known inside a model only",
        "PID": "it is known in cmdStop only",
    }.get(name)
    return f"unknown macro ${{{name}}}" + (f": {why}" if why else "")


def _start_port(value: Value) -> int:
    # A start port that is none is refused by whoever decodes it; here any will do.
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return int(value)
    return START_PORT


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""
