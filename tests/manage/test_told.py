"""What a page says of itself."""

import pytest

from swapd.manage.told import Told, tells, told_by


def test_a_page_keeps_its_words_and_stays_what_it_is():
    """The framework gets the view itself, so that its name and its sentence stay."""
    words = Told((202,), errors=("not_found",))

    def view() -> None:
        """Do something."""

    assert tells(words)(view) is view
    assert told_by(view) is words


def test_a_page_without_words_fails_loudly():
    """Else a new page would be missing from the description, or described by a guess."""

    def view() -> None:
        """Do something."""

    with pytest.raises(AttributeError, match="told"):
        told_by(view)


def test_words_of_one_page_are_not_those_of_another():
    """Each has switches of its own, also where none were given."""
    assert Told().switches == {}
    assert Told().switches is not Told().switches
