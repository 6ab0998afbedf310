"""Patterns of paths, in the syntax of RE2, as llama-swap has them.

With RE2 itself: Python's own patterns read some of it differently without a word.
"""

from collections.abc import Callable, Iterable

import re2

# Files that web pages ask for beside their own requests.
DEFAULT = (r".*\.(js|json|css|png|gif|jpg|jpeg|ico|txt)$",)


class NoPattern(ValueError):
    """A text that is not a pattern."""


def compiled(pattern: str) -> Callable[[str], bool]:
    """Make a test of whether a pattern occurs anywhere in a text."""
    options = re2.Options()
    options.log_errors = False  # They would go to standard error, past everybody.
    try:
        found = re2.compile(pattern.encode(), options)
    except re2.error as wrong:
        said = wrong.args[0]
        raise NoPattern(
            said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        ) from wrong
    # As bytes: whatever a client puts into a path must be looked at, and not be an error.
    return lambda text: found.search(text.encode("utf-8", "surrogateescape")) is not None


def any_of(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Make a test of whether one of the patterns occurs in a text."""
    tests = [compiled(pattern) for pattern in patterns]
    return lambda text: any(test(text) for test in tests)
