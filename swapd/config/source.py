"""Reading configuration files.

Besides `files.py`, `store.py` and `credentials.py` nobody else here looks at the disk.

Rule 1: whatever a file holds, the answer is a `Source` or a `ConfigError`, and nothing else.
Rule 2: reading is bounded in time and memory, by the size of the file and by what its aliases
come to (`compose.py`).
Rule 3: an empty file is an empty configuration; a list or a scalar is none.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import attrs
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from swapd.config import environment
from swapd.config.compose import Composer, Hopeless
from swapd.config.credentials import Credentials
from swapd.config.environment import LINE_END, FilledIn, Flaw, fill_in
from swapd.config.nodes import TOP, Kind, Node, Spot, line_behind, spot_of, written_out
from swapd.config.problems import ConfigError, KeyPath, Located, Place, Problem
from swapd.config.secrets import secrets_of
from swapd.config.tabs import TabbedScanner
from swapd.config.values import Tree

# A thousand models fit; the parser takes some ten seconds for the worst file of this size.
LARGEST_FILE = 1_048_576

_COMMENT = re.compile(r"(?:^|\s)#")

_NOTHING: Mapping[str, str] = MappingProxyType({})


@attrs.frozen(eq=False)
class Source:
    """One file: what it says, and where it says it."""

    file: str
    tree: Tree
    root: Node
    problems: tuple[Located, ...] = ()
    """Mistakes that did not keep the file from being read, such as duplicate keys."""
    secrets: frozenset[str] = attrs.field(default=frozenset(), repr=False)
    """The secrets of the environment that were filled in."""

    def where(self, path: KeyPath, *, key: str | None = None) -> Place:
        """Find the place of a value, of a key inside it, or of the nearest thing around it."""
        return self.find(path, key=key)[1]

    def find(self, path: KeyPath, *, key: str | None = None) -> tuple[int, Place]:
        """Find a place as `where` does, and say how many steps of the path lead there."""
        depth, (line, column) = spot_of(self.root, path, key=key)
        return depth, Place(self.file, line, column)

    def behind(self, path: KeyPath, *, key: str | None = None) -> int | None:
        """Find the line in which the block is written that a value came from."""
        return line_behind(self.root, path, key=key)


def read(
    path: Path,
    environ: Mapping[str, str] = _NOTHING,
    credentials: Credentials | None = None,
) -> Source:
    """Read one file, with the values of these environment variables and credentials."""
    return parse(_text(path), file=str(path), environ=environ, credentials=credentials)


def lines_of(file: str) -> list[str]:
    """Read the lines of a file, to show a mistake; none if it cannot be read."""
    try:
        return LINE_END.split(_text(Path(file)))
    except ConfigError:
        return []


def parse(
    text: str,
    *,
    file: str,
    environ: Mapping[str, str] = _NOTHING,
    credentials: Credentials | None = None,
) -> Source:
    """Read a text as if it stood in `file`."""
    try:
        filled = fill_in(text, environ, credentials)
    except environment.TooLong as long:
        message = f"longer than {environment.LONGEST} characters with everything filled in"
        raise _fatal(message, Place(file)) from long
    root, problems = _composed(filled, file, text)
    tree = written_out(root)
    secrets = secrets_of(filled.used)
    if isinstance(tree, dict):
        return Source(file, tree, root, tuple(problems), secrets)
    if tree is None:
        return Source(file, {}, Node(Kind.MAPPING), tuple(problems), secrets)
    raise _fatal("a configuration must be a mapping of keys to values", Place(file, 1, 1))


def _text(path: Path) -> str:
    file = str(path)
    try:
        # Not waiting: a pipe that nobody writes to would be opened for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            kind = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(kind):
                raise _fatal("cannot read this file: a directory; use --config-dir", Place(file))
            if not stat.S_ISREG(kind):
                raise _fatal("cannot read this file: not a regular file", Place(file))
            with open(descriptor, "rb", closefd=False) as opened:
                found = opened.read(LARGEST_FILE + 1)
        finally:
            os.close(descriptor)
    except OSError as refused:
        raise _fatal(f"cannot read this file: {refused.strerror}", Place(file)) from refused
    except ValueError as wrong:
        raise _fatal(f"cannot read this file: {wrong}", Place(file)) from wrong
    if len(found) > LARGEST_FILE:
        raise _fatal(f"cannot read this file: larger than {LARGEST_FILE} bytes", Place(file))
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        before = found[: wrong.start].decode("utf-8", "replace")
        message = f"not UTF-8 text (byte 0x{found[wrong.start]:02x})"
        raise _fatal(message, Place(file, *_end_of(before))) from wrong


def _composed(filled: FilledIn, file: str, text: str) -> tuple[Node, list[Located]]:
    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = TabbedScanner
    composer = Composer(yaml.parse(filled.text), filled)
    try:
        root = composer.document()
    except Hopeless as hopeless:
        raise _fatal(str(hopeless), Place(file, *hopeless.spot)) from hopeless
    except ReaderError as wrong:
        message = f"character U+{wrong.character:04X} is not allowed in YAML"
        spot = filled.original(_end_of(filled.text[: wrong.position]))
        raise _fatal(message, Place(file, *spot)) from wrong
    except YAMLError as wrong:
        # Without its value a reference may not be YAML: "[${env.KEY}]" is not.
        if flaws := list(_outside_comments(filled, text)):
            raise ConfigError(_flaw(flaw, file) for flaw in flaws) from wrong
        message, spot = _syntax(wrong, filled.text)
        raise _fatal(message, Place(file, *filled.original(spot))) from wrong
    except (ValueError, OverflowError) as wrong:
        # ruamel asks for a character without looking whether "\\UFFFFFFFF" names one.
        message = "not YAML: an escape after this place names no character"
        raise _fatal(message, Place(file, *composer.reached)) from wrong
    return root, [Located(problem, Place(file, *spot)) for problem, spot in composer.problems]


def _outside_comments(filled: FilledIn, text: str) -> Iterator[Flaw]:
    lines = LINE_END.split(text)
    for flaw in filled.flaws:
        line, column = flaw.spot
        if not _COMMENT.search(lines[line - 1][:column]):
            yield flaw


def _syntax(wrong: YAMLError, text: str) -> tuple[str, Spot]:
    if not isinstance(wrong, MarkedYAMLError):
        return f"not YAML: {wrong}", TOP
    said = ", ".join(" ".join(part.split()) for part in (wrong.context, wrong.problem) if part)
    mark = wrong.problem_mark or wrong.context_mark
    if "quoted scalar" in (wrong.context or "") and wrong.context_mark is not None:
        mark = wrong.context_mark  # Where the quote began, not the end of the file.
    if "${" in LINE_END.split(text)[mark.line]:
        said += "; inside [ ] and { } a text with ${...} needs quotes"
    return f"not YAML: {said}", (mark.line + 1, mark.column + 1)


def _end_of(before: str) -> Spot:
    lines = LINE_END.split(before)
    return len(lines), len(lines[-1]) + 1


def _flaw(flaw: Flaw, file: str) -> Located:
    return Located(Problem((), flaw.message), Place(file, *flaw.spot))


def _fatal(message: str, place: Place) -> ConfigError:
    return ConfigError([Located(Problem((), message), place)])
