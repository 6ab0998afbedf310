"""What an audit of the packages comes to; nobody is asked."""

import json

import pytest

from tests.audit import verdict

FINE = {"name": "trio", "version": "0.33.0", "vulns": []}
SKIPPED = {"name": "ours", "skip_reason": "not found on PyPI"}
BAD = {
    "name": "h11",
    "version": "0.1",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["0.16"]}, {"id": "PYSEC-2", "fix_versions": []}],
}


@pytest.mark.parametrize(
    ("packages", "code", "says"),
    [
        ([FINE], 0, "audited 1 of 1 packages"),
        ([SKIPPED, SKIPPED], 0, "cannot audit: the database knows none of 2 packages"),
        ([FINE, BAD], 1, "h11 0.1: PYSEC-1, mended in 0.16\nh11 0.1: PYSEC-2, mended in no ver"),
        ([BAD, SKIPPED], 1, "audited 1 of 2 packages"),
    ],
)
def test_only_what_is_known_to_be_vulnerable_fails(packages, code, says):
    """And what could not be asked for is said, lest nobody ever notices."""
    found, text = verdict(json.dumps({"dependencies": packages, "fixes": []}))
    assert found == code
    assert says in text


@pytest.mark.parametrize("told", ["", "Traceback (most recent call last):", '{"depend'])
def test_nobody_to_ask_is_no_failure(told):
    """A train has no network, and the tests are to run there."""
    code, text = verdict(told)
    assert code == 0
    assert text.startswith("cannot audit")
