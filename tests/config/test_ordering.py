"""The order of the matrix's sets, as people and llama-swap sort them."""

import random
from itertools import permutations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from swapd.config.ordering import naturally

# What names are made of, with more of what decides: zeros, digits, and what is neither.
NAMES = st.text(alphabet="0001129aBé_-. ", max_size=6)


def ordered(*keys: str) -> list[str]:
    """Sort keys, whatever stands under them."""
    return [key for key, _ in naturally(dict.fromkeys(keys))]


def first(one: str, two: str) -> bool:
    """Say whether a key goes before another in go-yaml's `keyList.Less`, line by line."""
    digits = False
    for at, (left, right) in enumerate(zip(one, two, strict=False)):
        if left == right:
            digits = left.isdigit()
            continue
        if left.isalpha() and right.isalpha():
            return left < right
        if left.isalpha() or right.isalpha():
            return left.isalpha() if digits else right.isalpha()
        numbers = [0, 0]
        if "0" in (left, right):
            before = at - 1
            while before >= 0 and one[before].isdigit():
                if one[before] != "0":
                    numbers = [1, 1]
                    break
                before -= 1
        ends = [at, at]
        for which, text in enumerate((one, two)):
            while ends[which] < len(text) and text[ends[which]].isdigit():
                numbers[which] = numbers[which] * 10 + int(text[ends[which]])
                ends[which] += 1
        if numbers[0] != numbers[1]:
            return numbers[0] < numbers[1]
        if ends[0] != ends[1]:
            return ends[0] < ends[1]
        return left < right
    return len(one) < len(two)


def test_the_example_of_the_reference() -> None:
    """Ties between sets are broken in this order; another would unload another model."""
    for keys in permutations(["S1", "aa", "s9", "s10", "zz"]):
        assert ordered(*keys) == ["S1", "aa", "s9", "s10", "zz"]


@pytest.mark.parametrize(
    "keys",
    [
        ("a", "aa", "aaa"),  # a beginning goes before the whole
        ("", "a"),
        ("s1", "s2", "s9", "s10", "s11", "s100"),
        ("s1a", "s1b", "s2a"),
        ("1", "01", "001", "2", "10"),  # as large, but written with more digits
        ("a1", "a01", "a2"),
        ("a10", "a11", "a100", "a101"),  # a zero within a number is a digit of it
        ("1000", "10000"),
        ("A", "Z", "a", "z", "é"),  # by code points, not as in a dictionary
        ("a-b", "ab"),  # of a letter and something else the other goes first
        ("a b", "a-b", "a.b", "a_b", "aab"),
        ("1a", "1-", "1."),  # but behind a digit the letter
        ("-", ".", "_", "a"),
        ("s1", "s1b", "s10"),
    ],
)
def test_letters_by_their_codes_and_numbers_by_their_size(keys: tuple[str, ...]) -> None:
    """Whatever the order of the file."""
    assert ordered(*keys) == list(keys)
    assert ordered(*reversed(keys)) == list(keys)


def test_a_number_may_have_any_length() -> None:
    """Names are the operator's, and some are hashes; int() refuses what is longer than 4300."""
    nines, more = "9" * 10_000, "1" + "0" * 10_000

    assert ordered(more, nines) == [nines, more]
    assert ordered(f"0{nines}", nines) == [nines, f"0{nines}"]
    assert ordered(f"s{more}", f"s{nines}", "s") == ["s", f"s{nines}", f"s{more}"]


def test_digits_of_other_scripts_are_no_traceback() -> None:
    """isdigit() says yes to a superscript, and int() says no to it."""
    keys = ["a\N{SUPERSCRIPT TWO}", "a\N{ARABIC-INDIC DIGIT FIVE}", "a2", "a"]

    assert ordered(*keys) == ordered(*reversed(keys))


def test_entries_come_with_what_stands_under_them() -> None:
    """It is the expressions that are wanted."""
    assert naturally({"b10": 1, "b9": 2, "a": None}) == [("a", None), ("b9", 2), ("b10", 1)]
    assert naturally({}) == []


@settings(max_examples=200, deadline=None)
@given(NAMES, NAMES)
@example("10", "1a")
@example("s00", "s01")
def test_it_is_the_order_of_llama_swaps_yaml_library(one: str, two: str) -> None:
    """Written down here from its source, to tell what a simplification has changed."""
    expected = [one, two] if first(one, two) else [two, one]

    assert ordered(one, two) == (expected if one != two else [one])


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=8), st.text(max_size=8))
def test_of_two_keys_one_goes_first(one: str, two: str) -> None:
    """The order in which they stand in the file decides nothing."""
    assert ordered(one, two) == ordered(two, one)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(alphabet="019aB_", max_size=4), unique=True, max_size=6), st.randoms())
def test_a_list_has_one_order(keys: list[str], chance: random.Random) -> None:
    """Else moving a set in the file would change which model is unloaded."""
    shuffled = list(keys)
    chance.shuffle(shuffled)

    assert ordered(*shuffled) == ordered(*keys)
