"""What `/openapi.json` promises, held against a running daemon by schemathesis.

It makes up requests that the description allows and such as it does not, sends them, and compares
the answers with what is described: statuses, content types, bodies, refusals of nonsense, methods,
keys. All its checks are on, but for `OFF`; those about links between operations find none. A 5xx
is a failure, whoever says it: the model here is of the kind that always answers.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
import trio

from tests.daemons import pretend, serving

pytestmark = pytest.mark.real

KEY = "sk-right"

# A model, an alias of it and nobody; and the same with something behind it.
NAMES = ["a", "org/a", "ghost"]
BELOW = ["a", "a/health", "ghost/x"]

# What stands in paths and is no name of a model.
SPECIAL = {"path": BELOW, "number": ["1", "999"]}

PROFILES = ["night", "day", None]

# What cannot be said in a description: that an answer has no end; that below a model any method
# goes, also one that nobody has thought of; that a field of a form may be called what all readers
# read alike; and that one number must not be above another. And where llama-swap takes whatever it
# does not understand for nothing, so do we.
OFF = """
[[operations]]
include-path-regex = "^/(logs/stream|api/events)"
enabled = false

[[operations]]
include-path-regex = "^/api/(metrics|performance)"
checks.positive_data_acceptance.enabled = false
checks.negative_data_rejection.enabled = false

[[operations]]
include-path-regex = "^/(upstream|comfyui)/"
checks.unsupported_method.enabled = false

[[operations]]
include-path-regex = "^/v1/(audio/transcriptions|images/edits)$"
checks.positive_data_acceptance.enabled = false
"""

# So many that a run takes a quarter of a minute.
EXAMPLES = 5


async def test_the_daemon_is_what_its_description_says(tmp_path):
    """A client made from the description must not meet anything that is not in it."""
    model = pretend("a", aliases=["org/a", "comfyui_auto"])
    settings = {"apiKeys": [KEY], "profiles": {"night": {"pins": {"dream": "a"}}}}
    # Longer than the other daemons live: it is asked two thousand things.
    async with serving(tmp_path, model, settings=settings, patience=120) as daemon:
        description = (await daemon.get("/openapi.json")).json()
        tell_names(description)
        (tmp_path / "openapi.json").write_text(json.dumps(description))
        (tmp_path / "schemathesis.toml").write_text(OFF)
        process = await trio.run_process(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", "openapi.json"),
                *("--url", daemon.address, "--header", f"Authorization: Bearer {KEY}"),
                *("--phases", "coverage,fuzzing", "--max-examples", str(EXAMPLES)),
                *("--generation-deterministic", "--continue-on-failure"),
                *("--no-color", "--warnings", "off"),
            ],
            cwd=tmp_path,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert process.returncode == 0, process.stdout.decode()


def tell_names(description: Mapping[str, Any]) -> None:
    """Say what there is, which no description knows: made-up names would all end in a 404."""
    for operations in description["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["schema"].get("type") == "array":
                    parameter["schema"]["items"] = {"enum": NAMES}
                elif parameter["in"] == "path" or parameter["name"] == "model":
                    parameter["schema"] = {"enum": SPECIAL.get(parameter["name"], NAMES)}
            for content in operation.get("requestBody", {}).get("content", {}).values():
                for name, schema in content["schema"]["properties"].items():
                    schema["enum"] = {"model": NAMES, "name": PROFILES}[name]
