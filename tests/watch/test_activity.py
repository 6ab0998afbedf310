"""The record's plain values."""

import pytest

from swapd.watch.activity import SORTS, Query
from swapd.watch.migrations import COLUMNS
from tests.records import activity


@pytest.mark.parametrize(
    ("given", "meant"), [((0, 0), (25, 1)), ((-3, -3), (25, 1)), ((7, 2), (7, 2))]
)
def test_a_page_that_cannot_be_is_the_first_of_the_usual_size(given, meant):
    """Nobody is shown an error for a number that a program counted down."""
    query = Query(limit=given[0], page=given[1])
    assert (query.limit, query.page) == meant


def test_rows_are_sorted_by_columns_that_there_are():
    """The column becomes part of a statement."""
    assert set(SORTS.values()) <= set(COLUMNS)


@pytest.mark.parametrize(("name", "ours"), [("r-1", True), ("", False)], ids=["ours", "theirs"])
def test_a_row_of_ours_has_a_request(name, ours):
    """What llama-swap wrote says nothing of waiting, which is not the same as no wait."""
    assert activity(request=name).ours is ours
