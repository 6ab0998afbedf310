"""Rows C1 to C9: what browsers ask before they ask. C10 and C11 stand with the list of models."""

import attrs
import pytest

from swapd.front.cors import preflight
from tests import stories
from tests.house import open_house

USUAL = "Content-Type, Authorization, Accept, X-Requested-With"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/v1/chat/completions", id="C1"),
        pytest.param("/nonexistent", id="C9"),
        pytest.param("/running", id="C9-control-plane"),
        pytest.param("/upstream/a/x", id="C9-upstream"),
    ],
)
async def test_every_path_may_be_asked_about_by_any_page(path, autojump_clock):
    """Without a key, which browsers do not send with this; and no model hears of it."""
    settings = attrs.evolve(stories.settings(["a"]), api_keys=("secret",))
    async with open_house(settings=settings) as house:
        reply = await house.get(path, method="OPTIONS")
        assert (reply.status, reply.body) == (204, b"")
        wanted = {
            "access-control-allow-origin": "*",
            "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
            "access-control-allow-headers": USUAL,
            "access-control-max-age": "86400",
        }
        assert wanted.items() <= reply.headers.items()
        assert house.loads() == ""


@pytest.mark.parametrize(
    ("wished", "allowed"),
    [
        pytest.param("Content-Type, Authorization", "Content-Type, Authorization", id="C2"),
        pytest.param("  X-Custom ,  Accept ", "X-Custom, Accept", id="C3"),
        pytest.param("Valid, Bad Header", "Valid", id="C4"),
        pytest.param("Bad@Header", "", id="C5"),
        pytest.param("", USUAL, id="C6"),
        pytest.param("abcXYZ0129!#$%&'*+-.^_`|~", "abcXYZ0129!#$%&'*+-.^_`|~", id="C7"),
        *(
            pytest.param(f"a{character}b", "", id=f"C8-{ord(character):#x}")
            for character in ' @()/\t"'
        ),
    ],
)
def test_a_page_may_send_the_headers_that_it_wishes_for(wished, allowed):
    """As long as they are headers."""
    headers = dict(preflight([(b"Access-Control-Request-Headers", wished.encode())]))
    assert headers[b"Access-Control-Allow-Headers"] == allowed.encode()


async def test_the_wish_is_heard_over_the_wire(autojump_clock):
    """C2 again, from end to end: any plane might have answered instead."""
    async with open_house("a") as house:
        reply = await house.get(
            "/v1/models", method="OPTIONS", access_control_request_headers="X-One, no good, X-Two"
        )
        assert reply.headers["access-control-allow-headers"] == "X-One, X-Two"
