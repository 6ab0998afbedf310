"""How the classes of a file describe their keys."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import attrs
import pytest

from swapd.config.keys import FILLED_IN, described, has_keys, key, keys
from swapd.config.written import WrittenSettings


@attrs.frozen
class Meal:
    """A class of keys."""

    main_dish_of_day: str = key("soup", "What there is.", required=True)
    price: int = key(5, "What it costs.", least=0)
    from_: str = key("", "Where it comes from.", spelled="from")
    wine_id: str = key("", "What goes with it.", spelled="wineID", words=("red", "white"))
    recipe: str = key("", "Nobody's business.", secret=True)
    sides: Mapping[str, int] = key(FILLED_IN, "What lies beside it.")


@attrs.frozen
class Plain:
    """A class without keys."""

    a: int = 1


def classes_of(of: Any) -> Iterator[type[Any]]:
    """Find every class of keys in a type."""
    if has_keys(of):
        yield of
        for field in attrs.fields(of):
            yield from classes_of(field.type)
    for inner in get_args(of):
        yield from classes_of(inner)


CLASSES = dict.fromkeys(classes_of(WrittenSettings))


def test_a_key_is_the_attribute_in_camel_case_unless_told() -> None:
    """Most keys follow llama-swap's habit, and those that do not are spelled out."""
    assert keys(Meal) == {
        "main_dish_of_day": "mainDishOfDay",
        "price": "price",
        "from_": "from",
        "wine_id": "wineID",
        "recipe": "recipe",
        "sides": "sides",
    }


def test_a_key_carries_what_is_known_about_it() -> None:
    """The schema, the rules and the listing of a configuration all ask here."""
    about = described(Meal)

    assert about["main_dish_of_day"].says == "What there is."
    assert [name for name, one in about.items() if one.required] == ["main_dish_of_day"]
    assert [name for name, one in about.items() if one.secret] == ["recipe"]
    assert {name: one.least for name, one in about.items() if one.least is not None} == {
        "price": 0
    }
    assert about["wine_id"].words == ("red", "white")
    assert about["price"].words == ()


def test_the_default_is_the_attributes() -> None:
    """A class of keys is an ordinary frozen class."""
    assert Meal() == Meal("soup", 5, "", "", "", {})
    assert Meal(price=3).price == 3


def test_describing_a_class_changes_nothing() -> None:
    """It is done for every file that is read."""
    assert described(Meal) == described(Meal)
    assert keys(Meal) == keys(Meal)


def test_the_mapping_that_is_a_default_stays_empty() -> None:
    """All configurations share it."""
    assert dict(FILLED_IN) == {}
    with pytest.raises(TypeError):
        FILLED_IN["a"] = 1  # type: ignore[index]


@pytest.mark.parametrize(
    ("of", "has"),
    [
        (Meal, True),
        (WrittenSettings, True),
        (Plain, False),
        (int, False),
        (type(None), False),
        (None, False),
        (Any, False),
        (Mapping[str, Meal], False),
        (Meal | None, False),
        (tuple[Meal, ...], False),
        ("Meal", False),
    ],
)
def test_only_a_class_of_keys_has_keys(of: Any, has: bool) -> None:
    """Types are asked as they stand in a field, and a type that merely holds one is none."""
    assert has_keys(of) is has


@pytest.mark.parametrize("cls", CLASSES)
def test_every_key_of_a_file_is_told_apart_and_explained(cls: type[Any]) -> None:
    """Two attributes of one spelling would have one of them never set."""
    about = described(cls).values()

    assert len({one.spelling for one in about}) == len(about)
    assert len({one.spelling.lower() for one in about}) == len(about)
    for one in about:
        assert one.says[0].isupper() or one.says[0] in "$" or " " in one.says
        assert one.says.endswith((".", "…"))
        assert "\n" not in one.says


def test_a_file_has_more_than_one_class() -> None:
    """Else the test above would look at nothing."""
    assert len(CLASSES) > 20


@pytest.mark.parametrize("cls", CLASSES)
def test_every_key_may_be_absent(cls: type[Any]) -> None:
    """What nothing works without is missed by the rules, together with all else."""
    assert cls() == cls()
