"""Reading configuration files. The only module of this room that touches the disk.

Rule 1: whatever a file holds, the answer is a `Source` or a `ConfigError`, and nothing else.
Rule 2: reading is bounded in time and memory, by the size of the file and by what its aliases
come to (`compose.py`).
Rule 3: an empty file is an empty configuration; a list or a scalar is none.
"""

from pathlib import Path

import attrs
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from swapd.config.compose import Composer, Hopeless
from swapd.config.nodes import Kind, Node, Spot, spot_of, written_out
from swapd.config.problems import ConfigError, KeyPath, Located, Place, Problem
from swapd.config.values import Tree

# A thousand models fit; the parser takes some ten seconds for the worst file of this size.
LARGEST_FILE = 1_048_576


@attrs.frozen(eq=False)
class Source:
    """One file: what it says, and where it says it."""

    file: str
    tree: Tree
    root: Node
    problems: tuple[Located, ...] = ()
    """Mistakes that did not keep the file from being read, such as duplicate keys."""

    def where(self, path: KeyPath, *, key: str | None = None) -> Place:
        """Find the place of a value, of a key inside it, or of the nearest thing around it."""
        return self.find(path, key=key)[1]

    def find(self, path: KeyPath, *, key: str | None = None) -> tuple[int, Place]:
        """Find a place as `where` does, and say how many steps of the path lead there."""
        depth, (line, column) = spot_of(self.root, path, key=key)
        return depth, Place(self.file, line, column)


def read(path: Path) -> Source:
    """Read one file."""
    file = str(path)
    try:
        with path.open("rb") as opened:
            found = opened.read(LARGEST_FILE + 1)
    except OSError as refused:
        raise _fatal(f"cannot read this file: {refused.strerror}", Place(file)) from refused
    if len(found) > LARGEST_FILE:
        raise _fatal(f"cannot read this file: larger than {LARGEST_FILE} bytes", Place(file))
    try:
        text = found.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        before = found[: wrong.start].decode("utf-8", "replace")
        message = f"not UTF-8 text (byte 0x{found[wrong.start]:02x})"
        raise _fatal(message, Place(file, *_end_of(before))) from wrong
    return parse(text, file=file)


def parse(text: str, *, file: str) -> Source:
    """Read a text as if it stood in `file`."""
    composer = Composer(YAML(typ="safe", pure=True).parse(text))
    try:
        root = composer.document()
    except Hopeless as hopeless:
        raise _fatal(str(hopeless), Place(file, *hopeless.spot)) from hopeless
    except ReaderError as wrong:
        message = f"character U+{wrong.character:04X} is not allowed in YAML"
        raise _fatal(message, Place(file, *_end_of(text[: wrong.position]))) from wrong
    except YAMLError as wrong:
        raise _fatal(*_syntax(wrong, file)) from wrong
    except (ValueError, OverflowError) as wrong:
        # ruamel asks for a character without looking whether "\\UFFFFFFFF" names one.
        message = "not YAML: an escape after this place names no character"
        raise _fatal(message, Place(file, *composer.reached)) from wrong
    problems = tuple(Located(problem, Place(file, *spot)) for problem, spot in composer.problems)
    tree = written_out(root)
    if isinstance(tree, dict):
        return Source(file, tree, root, problems)
    if tree is None:
        return Source(file, {}, Node(Kind.MAPPING), problems)
    raise _fatal("a configuration must be a mapping of keys to values", Place(file, 1, 1))


def _syntax(wrong: YAMLError, file: str) -> tuple[str, Place]:
    if not isinstance(wrong, MarkedYAMLError):
        return f"not YAML: {wrong}", Place(file, 1, 1)
    said = ", ".join(" ".join(part.split()) for part in (wrong.context, wrong.problem) if part)
    mark = wrong.problem_mark or wrong.context_mark
    return f"not YAML: {said}", Place(file, mark.line + 1, mark.column + 1)


def _end_of(before: str) -> Spot:
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _fatal(message: str, place: Place) -> ConfigError:
    return ConfigError([Located(Problem((), message), place)])
