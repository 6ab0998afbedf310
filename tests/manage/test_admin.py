"""Which pages are for clients of models, and which are not."""

import pytest

from swapd.manage.admin import FOR_CLIENTS, changes_something, is_for_admins


async def test_every_page_has_its_side(app, autojump_clock):
    """A page that is added is an admin's until somebody decides otherwise."""
    pages = {rule.rule for rule in app.url_map.iter_rules()}
    assert pages >= FOR_CLIENTS
    admins = pages - FOR_CLIENTS
    beginnings = ("/api/", "/logs", "/metrics", "/running", "/unload")
    assert {page for page in admins if not page.startswith(beginnings)} == set()
    assert all(map(is_for_admins, admins))


@pytest.mark.parametrize("path", ["//health", "/health/", "/Health", "/v1/models/", ""])
def test_whatever_only_looks_like_a_page_for_clients_is_none(path):
    """By the letter: what nobody has thought of stays shut."""
    assert is_for_admins(path)


async def test_a_get_changes_something_on_one_page_only(app, autojump_clock):
    """The others are for those who follow a link, too; what else changes something is no GET."""
    changing = {
        rule.rule for rule in app.url_map.iter_rules() if changes_something("GET", rule.rule)
    }
    assert changing == {"/unload"}


@pytest.mark.parametrize(
    ("method", "path", "changes"),
    [
        ("GET", "/running", False),
        ("HEAD", "/running", False),
        ("GET", "/unload", True),
        ("HEAD", "/unload", True),
        ("GET", "//unload", True),
        ("GET", "///unload", True),
        ("GET", "/unload/", False),
        ("POST", "/running", True),
        ("DELETE", "/api/queue/r-1", True),
        ("UNHEARD", "/running", True),
    ],
)
def test_what_changes_something_is_known_by_method_and_page(method, path, changes):
    """Quart takes any number of slashes in front for one."""
    assert changes_something(method, path) is changes
