"""How YAML scalars are read, and how they print into text."""

import math

import pytest

from swapd.config.values import Scalar, Value, plain, quoted, shown, tagged, text_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, None) for text in ("", "~", "null", "Null", "NULL")),
        *((text, True) for text in ("true", "True", "TRUE")),
        *((text, False) for text in ("false", "False", "FALSE")),
        *((text, text) for text in ("yes", "no", "on", "off", "y", "n", "tRue", "2020-01-01")),
        *((text, text) for text in ("0x", "1:30", "1.2.3", "_", "0b2", "1e999", "-", "x1")),
        ("12", 12),
        ("-12", -12),
        ("+12", 12),
        ("012", 12),
        ("0x10", 16),
        ("0o17", 15),
        ("0b1", 1),
        ("1_000", 1000),
        ("1_", 1),
        ("0.70", 0.7),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", float(2**64)),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_a_plain_scalar_has_the_type_that_llama_swap_gives_it(text: str, value: Scalar) -> None:
    """A boolean that is text, or the other way round, would turn an option around."""
    found = plain(text)

    assert (found, type(found)) == (value, type(value))


def test_not_a_number_is_read_too() -> None:
    """It has its own test because it equals nothing."""
    assert math.isnan(plain(".nan"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.70, "0.7"),
        (1.0, "1"),
        (1e3, "1000"),
        (100000.0, "100000"),
        (123456.7, "123456.7"),
        (1000000.0, "1e+06"),
        (1234567.0, "1.234567e+06"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (1e21, "1e+21"),
        (-2.5e-7, "-2.5e-07"),
        (1e100, "1e+100"),
        (0.0, "0"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
        (16, "16"),
        (True, "true"),
        (False, "false"),
        ("as it is", "as it is"),
    ],
)
def test_a_scalar_prints_as_in_llama_swap(value: str | float | bool, text: str) -> None:
    """A number that goes into a command line must be spelled as llama-swap would."""
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("text", "tag", "value"),
    [
        ("5", "str", "5"),
        ("5", "!", "5"),
        ("5", "int", 5),
        ("5", "float", 5.0),
        ("~", "null", None),
    ],
)
def test_a_tag_decides_the_type(text: str, tag: str, value: Scalar) -> None:
    """`!!str 5` is the other way to say "5"."""
    found = tagged(text, tag)

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(("text", "tag"), [("x", "int"), ("1.5", "int"), ("x", "!secret")])
def test_a_tag_that_does_not_fit_is_refused(text: str, tag: str) -> None:
    """A tag that is ignored would be an option that is ignored."""
    with pytest.raises(ValueError, match="tag"):
        tagged(text, tag)


def test_messages_quote_values_on_one_line_and_not_forever() -> None:
    """One problem is one line of the log, whatever the value is."""
    assert quoted('a\n"b"') == r'"a\n\"b\""'
    assert len(quoted("x" * 10_000)) < 100
    values: list[Value] = [None, True, 1.5, "a", [], {}]
    assert [shown(value) for value in values] == [
        *("null", "true", "1.5", '"a"', "a list", "a mapping")
    ]
