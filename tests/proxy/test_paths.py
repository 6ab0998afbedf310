"""Names in paths: what the reference's rows do not show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapd.config.names import Names
from swapd.ids import ModelId
from swapd.proxy.paths import escaped, find, pinned, renamed, text_of

NAMES = ("a", "a/b", "a//c", "\u00e9 ?", "100%", "a%2Fb")

KNOWN = Names.of(dict.fromkeys(map(ModelId, NAMES), ()), {})


@pytest.mark.parametrize(
    ("raw", "name", "rest"),
    [
        (b"a", "a", b""),
        (b"a/", "a", b"/"),
        (b"a//", "a", b"//"),
        (b"/a/b", "a/b", b""),
        (b"a//b/x", "a/b", b"/x"),
        (b"a//c/x", "a//c", b"/x"),
        (b"a%2fb%2Fx", "a/b", b"%2Fx"),
        (b"a/b%2fx", "a/b", b"%2fx"),
        (b"a%2F%2Fc", "a//c", b""),
        (b"%61/%62/%63", "a/b", b"/%63"),
        (b"%C3%A9%20%3f/x?", "\u00e9 ?", b"/x?"),
        (b"100%/x", "100%", b"/x"),
        (b"100%25/x", "100%", b"/x"),
        (b"a%252Fb/x", "a%2Fb", b"/x"),
        (b"a/%FF\xff%", "a", b"/%FF\xff%"),
    ],
)
def test_a_name_is_found_however_it_is_escaped(raw, name, rest):
    """What stands behind it is the model's, to the letter."""
    found = find(KNOWN, raw)
    assert found is not None
    assert (found.name, found.target, found.rest) == (name, name, rest)


@pytest.mark.parametrize(
    "raw", [b"ab", b"A", b"b", b"b/a", b"%", b"%FF/a", b"a%2", b"\xff", b"//"]
)
def test_what_only_looks_like_a_name_is_none(raw):
    """A request must not wake up somebody else's model."""
    assert find(KNOWN, raw) is None


@given(st.sampled_from(NAMES), st.binary(max_size=20))
def test_whatever_stands_behind_a_name_is_left_as_it_is(name, rest):
    """Nothing in it can end the name in another place, or be lost."""
    raw = escaped(name) + b"/" + rest
    found = find(KNOWN, raw)
    assert found is not None
    assert raw.endswith(found.rest)
    assert len(found.name) >= len(name)


@pytest.mark.parametrize("segment", [b"a/", b"a%2f", b"/a", b"%2F", b"aaaa"])
def test_a_path_of_many_segments_costs_no_more_than_others(segment):
    """Each of them could end a name, and nothing else is done while that is looked at."""
    looked: list[str] = []

    class Asked(Names):
        def target(self, name: str) -> None:
            looked.append(name)

    find(Asked.of(dict.fromkeys(map(ModelId, NAMES), ()), {}), segment * 16_000)
    assert len(looked) <= 2 * max(map(len, NAMES))


@pytest.mark.parametrize(
    ("raw", "old", "new", "becomes"),
    [
        (b"a/x%2Fy", "a", "b/c", b"b/c/x%2Fy"),
        (b"a%2Fb/x", "a/b", "c", b"c/x"),
        (b"a/b/x", "a", "c", b"c/b/x"),
        (b"a", "a", "\u00e9 ?", b"%C3%A9%20%3F"),
        (b"a//b/x", "a//b", "c", b"c/x"),
        (b"ab/x", "a", "c", b"ab/x"),
        (b"", "a", "c", b""),
    ],
)
def test_a_name_is_replaced_and_nothing_else(raw, old, new, becomes):
    """As a profile wants it."""
    found = pinned({old: new}, raw)
    assert (raw if found is None else renamed(found)) == becomes


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_escaped_reads_as_it_was(name):
    """And holds nothing that could end a line or begin a query."""
    assert text_of(escaped(name)) == name
    assert not set(escaped(name)) & set(b"?# \r\n")


@given(st.binary())
def test_any_path_can_be_read(raw):
    """What is no UTF-8 is nobody's name, and no error."""
    assert isinstance(text_of(raw), str)
    find(KNOWN, raw)
