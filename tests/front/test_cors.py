"""What browsers ask before they ask, beyond the rows C1 to C11."""

from hypothesis import given
from hypothesis import strategies as st

from swapd.front.cors import preflight, sanitized

WISH = b"access-control-request-headers"


def allowed(*headers: tuple[bytes, bytes]) -> bytes:
    return dict(preflight(headers))[b"Access-Control-Allow-Headers"]


def test_only_the_first_wish_counts_however_it_is_spelled():
    """As in llama-swap; a second line is nothing that a browser sends."""
    assert allowed((b"Origin", b"x"), (WISH.upper(), b"X-One"), (WISH, b"X-Two")) == b"X-One"


def test_empty_names_are_left_out():
    """A list may have commas to spare."""
    assert sanitized(b",, a ,,\tb,") == b"a, b"


@given(st.binary(max_size=60))
def test_nothing_that_is_echoed_can_be_anything_but_names(wish):
    """A line break in it would be a header of the client's making."""
    echoed = sanitized(wish)
    assert not set(echoed) & set(b'\r\n\0"<>()@/;:=?[]{}\\\t')
    assert echoed.isascii()
    assert sanitized(echoed) == echoed
