"""Tables for people."""

import pytest

from swapd.manage.tables import ago, table


def test_columns_stand_under_their_headings():
    """As wide as the widest; nothing but the text behind the last."""
    rows = [("r-1", "qwen", "none"), ("r-10000", "a", "behind 1 request")]
    assert table(("ID", "MODEL", "REASON"), rows) == (
        "ID       MODEL  REASON\nr-1      qwen   none\nr-10000  a      behind 1 request\n"
    )


def test_a_table_of_nothing_has_its_headings():
    """Whoever sees it knows that the question was understood."""
    assert table(("ID", "STATE"), []) == "ID  STATE\n"


def test_braces_in_a_name_are_only_text():
    """Ids of models may hold anything."""
    assert table(("ID", "B"), [("{}", "{0}")]) == "ID  B\n{}  {0}\n"


@pytest.mark.parametrize(("seconds", "text"), [(None, "-"), (0.0, "0.0 s"), (61.26, "61.3 s")])
def test_what_is_not_known_is_a_dash(seconds, text):
    """An empty cell would shift the rest for programs that cut at spaces."""
    assert ago(seconds) == text
