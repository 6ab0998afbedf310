"""Patterns of paths: RE2's syntax, and no other."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.config.patterns import DEFAULT, NoPattern, any_of, compiled


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        (r"\.css$", "/a/b.css", True),
        (r"\.css$", "/a/b.css?", False),
        ("static", "/x/static/y", True),  # anywhere, not only from the beginning
        ("^/static", "/x/static/y", False),
        ("(?i)LOGO", "/logo.svg", True),
        (r"(?P<name>a+)\z", "/aaa", True),  # Go's end of text
        (r"\pL", "/1é", True),
        (r"[[:digit:]]", "/a7", True),
        (r"\d", "/\N{ARABIC-INDIC DIGIT FIVE}", False),  # only ASCII, unlike Python's
        (r"\bcaf\b", "/caf\N{LATIN SMALL LETTER E WITH ACUTE}", True),
        (r"(?U)a+", "aaa", True),
        ("^.$", "\N{GRINNING FACE}", True),
        ("", "", True),
        ("a", "", False),
    ],
)
def test_a_pattern_means_what_it_means_in_llama_swap(pattern: str, text: str, fits: bool) -> None:
    """The same file must let the same requests load a model."""
    assert compiled(pattern)(text) is fits


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("[", "missing ]"),
        ("(", "missing )"),
        ("*", "no argument for repetition operator"),
        ("a{1001}", "repetition"),
        (r"(?=a)", "invalid perl operator"),  # Python knows these, RE2 and Go do not
        (r"(?<!a)b", "invalid perl operator"),
        (r"(a)\1", "invalid escape sequence"),
        (r"\Z", "invalid escape sequence"),
        ("a**", "bad repetition operator"),
    ],
)
def test_what_is_no_pattern_says_why(
    pattern: str, says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """In the problem, where the operator looks; not past it on standard error."""
    with pytest.raises(NoPattern) as refused:
        compiled(pattern)

    assert says in str(refused.value)
    assert capfd.readouterr() == ("", "")


def test_a_pattern_takes_no_time_to_fail() -> None:
    """A client chooses the path: with Python's patterns this one would hang for years."""
    assert not compiled("(a+)+$")("a" * 10_000 + "b")


def test_one_pattern_of_several_is_enough() -> None:
    """And of none none fits: then everything loads a model."""
    assert any_of(["^/a", r"\.js$"])("/x.js")
    assert any_of(iter(["^/a", r"\.js$"]))("/a")
    assert not any_of(["^/a", r"\.js$"])("/x.css")
    assert not any_of([])("/")
    with pytest.raises(NoPattern):
        any_of(["a", "["])


@pytest.mark.parametrize(
    ("path", "fits"),
    [
        *((f"/a/b.{end}", True) for end in ("js", "json", "css", "png", "gif", "jpg", "jpeg")),
        *((f"/a.b/c.{end}", True) for end in ("ico", "txt")),
        *(("/v1/chat/completions", False), ("/a.js/b", False), ("/ajs", False)),
        *(("/a.JS", False), ("/a.html", False), ("/", False), ("/.js", True)),
    ],
)
def test_the_default_is_for_the_files_of_web_pages(path: str, fits: bool) -> None:
    """A browser's favicon must not swap out the model that somebody works with."""
    assert any_of(DEFAULT)(path) is fits


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20) | st.text(alphabet="ab()[]{}*+?|\\^$.1,:P<>-", max_size=12), st.text())
def test_every_text_is_a_pattern_or_none(pattern: str, path: str) -> None:
    """Nothing that an operator writes, or a client asks for, is a traceback."""
    try:
        fits = compiled(pattern)
    except NoPattern as refused:
        said = str(refused)
    else:
        said = str(fits(path))
    assert said


def test_a_path_may_hold_any_bytes() -> None:
    """What a client's percent signs decode to need not be text."""
    assert compiled("b$")("/a\udcff b")
    assert not compiled("^b")("/a\udcff b")
