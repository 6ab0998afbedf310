"""Loading the inputs of the reference's test tables (`reference/config.md`, section 18).

Rule 1: a row is found by its number, which is the test's id. A `-D…` behind it names the
difference that it shows (`differences.md`), `-ours` one that the loader's design decides.
Rule 2: as in the tables, `M` stands for a small sound model, and `{M, ttl: 5}` for one with more.
Rule 3: in an input that is refused, `»` stands where the mistake must be placed.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from swapd.config.load import Loaded, load, loaded_from
from swapd.config.problems import ConfigError, Located, spelled
from swapd.config.settings import Model
from swapd.config.source import parse

MARK = "»"

_MODEL = 'cmd: x, proxy: "http://h"'


def loaded(text: str, environ: Mapping[str, str] | None = None) -> Loaded:
    """Load a sound text as the file f.yaml."""
    return loaded_from([parse(spelled_out(text), file="f.yaml", environ=environ or {})])


def model(text: str, environ: Mapping[str, str] | None = None, *, named: str = "a") -> Model:
    """Load a sound text and pick a model, `a` unless said."""
    found = {str(own): one for own, one in loaded(text, environ).settings.models.items()}
    return found[named]


def refusals(text: str, environ: Mapping[str, str] | None = None) -> tuple[Located, ...]:
    """Load a text that has mistakes, and list them."""
    with pytest.raises(ConfigError) as error:
        loaded(text, environ)
    return error.value.problems


def assert_refused(
    text: str,
    path: str,
    says: str,
    environ: Mapping[str, str] | None = None,
    *,
    among_others: bool = False,
) -> None:
    """See that a text has one mistake: at the mark, about the path, saying so."""
    problems = refusals(text.replace(MARK, ""), environ)
    place = f"f.yaml:{marked(text)}"
    told = "\n".join(str(problem) for problem in problems)
    assert any(
        str(problem.place) == place
        and spelled(problem.problem.subject) == path
        and says in problem.problem.message
        for problem in problems
    ), f"expected {place}: {path}: … {says} …, got\n{told}"
    assert among_others or len(problems) == 1, told


def remarks(text: str) -> list[tuple[str, str]]:
    """Load a text that is accepted with remarks: about which path, and what they say."""
    return [
        (spelled(remark.problem.subject), remark.problem.message)
        for remark in loaded(text).remarks
    ]


def folder(path: Path, **texts: str) -> Path:
    """Fill a folder with `<name>.yaml` files."""
    path.mkdir(exist_ok=True)
    for name, text in texts.items():
        (path / f"{name}.yaml").write_text(spelled_out(text), encoding="utf-8")
    return path


def loaded_together(path: Path, *texts: str, environ: Mapping[str, str] | None = None) -> Loaded:
    """Load texts as the files 0.yaml, 1.yaml, … of a folder."""
    files = [path / f"{number}.yaml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(spelled_out(text), encoding="utf-8")
    return load(files, environ=environ or {})


def assert_clash(path: Path, *texts: str, about: str, says: str) -> None:
    """See that texts do not go together: one mistake, at the mark, about a path, saying so."""
    (file,) = (f"{number}.yaml" for number, text in enumerate(texts) if MARK in text)
    (text,) = (text for text in texts if MARK in text)
    with pytest.raises(ConfigError) as error:
        loaded_together(path, *(text.replace(MARK, "") for text in texts))
    (problem,) = error.value.problems
    assert str(problem.place) == f"{path / file}:{marked(text)}"
    assert spelled(problem.problem.subject) == about
    assert says in problem.problem.message


def marked(text: str) -> str:
    """Tell the line and the column of the mark."""
    before, _, _ = spelled_out(text).partition(MARK)
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def spelled_out(text: str) -> str:
    """Write out the models that the tables abbreviate."""
    return re.sub(r"(?<=: )M\b", f"{{{_MODEL}}}", text.replace("{M,", f"{{{_MODEL},"))
