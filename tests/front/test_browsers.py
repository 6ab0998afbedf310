"""What browsers are asked to do by the pages of others."""

import pytest

from swapd.front.browsers import is_foreign

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def foreign(method: str, *, changes: bool, **said: str) -> bool:
    headers = [(name.replace("_", "-").encode(), said[name].encode()) for name in said]
    return is_foreign(method, [(b"Host", b"gpu:8080"), *headers], changes=changes)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("changes", [True, False])
def test_whoever_is_no_browser_is_not_concerned(method, changes):
    """curl, scripts and service managers say nothing of pages."""
    assert not foreign(method, changes=changes)
    assert not foreign(method, changes=changes, User_Agent="curl/8.5.0")


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.1682",
        "Mozilla/5.0 (Linux; Debian 12; en-US) PowerShell/7.4.2",
        "Mozilla/4.0 (compatible; Win32; WinHttp.WinHttpRequest.5)",
    ],
)
def test_who_only_calls_itself_a_browser_is_none(agent):
    """Scripts on Windows do; no page can have a browser call itself so."""
    assert not foreign("GET", changes=True, User_Agent=agent)


@pytest.mark.parametrize(
    ("host", "origin"), [("gpu:80", "http://gpu"), ("gpu:443", "https://gpu")]
)
def test_a_port_that_goes_without_saying_makes_no_stranger(host, origin):
    """Proxies pass it on, and browsers leave it out."""
    headers = [(b"Host", host.encode()), (b"Origin", origin.encode())]
    assert not is_foreign("POST", headers, changes=True)


@pytest.mark.parametrize(
    ("site", "mode", "method", "changes", "refused"),
    [
        ("same-origin", "cors", "POST", True, False),
        ("none", "navigate", "GET", True, False),
        ("Same-Origin", "cors", "DELETE", True, False),
        ("cross-site", "cors", "POST", True, True),
        ("cross-site", "no-cors", "POST", True, True),
        ("cross-site", "no-cors", "GET", True, True),
        ("cross-site", "navigate", "POST", True, True),
        ("cross-site", "navigate", "GET", True, True),
        ("same-site", "cors", "POST", True, True),
        ("same-site", "no-cors", "GET", False, True),
        ("cross-site", "cors", "GET", False, True),
        ("cross-site", "no-cors", "HEAD", False, True),
        ("cross-site", "navigate", "GET", False, False),
        ("cross-site", "navigate", "HEAD", False, True),
        ("cross-site", "websocket", "GET", False, True),
        ("tomorrows-word", "cors", "POST", True, True),
        ("", "cors", "POST", True, True),
    ],
)
def test_what_a_browser_says_of_the_site_counts(site, mode, method, changes, refused):
    """1: of other sites only a link to what changes nothing is followed."""
    said = {"Sec_Fetch_Site": site, "Sec_Fetch_Mode": mode}
    assert foreign(method, changes=changes, **said) is refused


def test_what_a_browser_says_of_the_site_goes_before_the_origin():
    """An extension has an origin of its own, and is nobody's page."""
    said = {"Sec_Fetch_Site": "none", "Origin": "moz-extension://0a1b"}
    assert not foreign("POST", changes=True, **said)
    assert foreign("POST", changes=True, Sec_Fetch_Site="cross-site", Origin="http://gpu:8080")


def test_of_two_sites_the_foreign_one_counts():
    """Whatever joined two requests into one, nothing is won by it."""
    sites = [(b"sec-fetch-site", b"same-origin"), (b"Sec-Fetch-Site", b"cross-site")]
    assert is_foreign("POST", sites, changes=True)


@pytest.mark.parametrize(
    ("origin", "refused"),
    [
        ("http://gpu:8080", False),
        ("https://gpu:8080", False),
        ("http://GPU:8080", False),
        ("http://gpu", True),
        ("http://gpu:80801", True),
        ("http://evil.example", True),
        ("http://gpu:8080.evil.example", True),
        ("http://evil.example/http://gpu:8080", True),
        ("file://gpu:8080", True),
        ("gpu:8080", True),
        ("null", True),
        ("", True),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE", "GET"])
def test_an_origin_has_to_be_ours(origin, refused, method):
    """3: browsers that say nothing of the site do say this, with all that is no plain GET."""
    assert foreign(method, changes=True, Origin=origin) is refused


def test_an_origin_may_read_what_nobody_lets_it_see():
    """2: C11 answers it, without the header by which a page could read that."""
    assert not foreign("GET", changes=False, Origin="http://evil.example")


def test_an_origin_is_nobodys_without_a_host():
    """HTTP/1.0 need not say whom it is for."""
    assert is_foreign("POST", [(b"Origin", b"http://")], changes=True)


@pytest.mark.parametrize(
    ("method", "changes", "refused"),
    [
        ("GET", True, True),
        ("HEAD", True, True),
        ("GET", False, False),
        ("POST", True, False),
    ],
)
def test_a_browser_that_says_nothing_changes_nothing_by_a_get(method, changes, refused):
    """4: `<img src="http://gpu:8080/unload">` comes without origin; a form never does."""
    assert foreign(method, changes=changes, User_Agent=BROWSER) is refused
