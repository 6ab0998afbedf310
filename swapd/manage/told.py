"""What a page says of itself for `/openapi.json`, besides its path and its docstring."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

from swapd.manage.parameters import Parameter

View = TypeVar("View", bound=Callable[..., Any])

JSON = "application/json"
TEXT = "text/plain"
HTML = "text/html"

_NAME = "told"


@attrs.frozen
class Told:
    """How one page answers."""

    statuses: tuple[int, ...] = (200,)
    """Those of its own; errors have theirs."""
    kind: str = JSON
    """The content type of its own answers."""
    errors: tuple[str, ...] = ()
    """The codes of its errors, except for those that every page has."""
    mistakes: tuple[int, ...] = (400,)
    """The statuses for requests that cannot be used."""
    switches: Mapping[str, str] = attrs.field(factory=dict)
    """What its query may turn on, and what for."""
    parameters: Mapping[str, Parameter] = attrs.field(factory=dict)
    """What else its query may have."""
    table: bool = False
    """Whether people may have it as a table, by `Accept: text/plain`."""
    takes: Mapping[str, Any] | None = None
    """The schema of the JSON that it takes."""
    open: bool = False
    """Whether it wants no key."""


def tells(told: Told) -> Callable[[View], View]:
    """Give a page its words."""

    def mark(view: View) -> View:
        setattr(view, _NAME, told)
        return view

    return mark


def is_open(view: Callable[..., Any]) -> bool:
    """Tell whether a page wants no key; one without any words does."""
    told: Told = getattr(view, _NAME, Told())
    return told.open


def told_by(view: Callable[..., Any]) -> Told:
    """Answer with a page's words; raises AttributeError for a page without any."""
    told: Told = getattr(view, _NAME)
    return told
