"""Addresses of models and their health endpoints."""

import pytest

from swapd.config.origin import NoAddress, parse_endpoint, parse_origin
from swapd.config.settings import Origin


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("http://localhost:5800", Origin("http", "localhost", 5800)),
        ("http://h", Origin("http", "h", 80)),
        ("https://h/", Origin("https", "h", 443)),
        ("HTTP://Host:81/", Origin("http", "host", 81)),
        ("http://h:8080/api/v2/?k=v", Origin("http", "h", 8080, "/api/v2", "k=v")),
        ("http://[::1]:90/x", Origin("http", "::1", 90, "/x")),
        ("http://h/ü%20", Origin("http", "h", 80, "/%C3%BC%20")),
    ],
)
def test_an_address_is_taken_apart(address: str, origin: Origin) -> None:
    """Every request to the model is built from these parts."""
    assert parse_origin(address) == origin


@pytest.mark.parametrize(
    "address",
    [
        *("http://a b", "://x", "", "justahost", "localhost:80", "127.0.0.1:80", "http://"),
        *("http://h:abc", "http://h:65536", "http://h:0", "http://h:-1", "ftp://h", "unix:/x"),
        *("http://h\n", "http://u:p@h", "http://[::1", "http://[x]", "http://h\0", "http://ü"),
        *("http://a:b:c", "//h", "http:///x", "http://h\\x", "${PORT}", "5800"),
    ],
)
def test_what_cannot_work_is_no_address(address: str) -> None:
    """C229, C230, C234, C235: refused when it is written, not when the first request fails."""
    with pytest.raises(NoAddress):
        parse_origin(address)


@pytest.mark.parametrize(
    ("endpoint", "target"),
    [
        ("/health", "/health"),
        ("health", "/health"),
        ("", "/"),
        ("none", None),
        (" none\n", None),
        ("None", "/None"),
        ("http://elsewhere:99/ready?deep=1#x", "/ready?deep=1"),
        ("http://elsewhere", "/"),
        ("/a b?c d", "/a%20b?c%20d"),
    ],
)
def test_an_endpoint_is_a_path_and_query(endpoint: str, target: str | None) -> None:
    """Only the path counts: the model is always asked where its proxy says it is."""
    assert parse_endpoint(endpoint) == target


def test_an_endpoint_that_is_no_address_is_refused() -> None:
    """Half an IPv6 address is not a path either."""
    with pytest.raises(NoAddress):
        parse_endpoint("http://[::1/health")
