"""The description at `/openapi.json`: complete, well-formed, and true."""

import json
import re
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from jsonschema import Draft202012Validator

from swapd import __version__
from swapd.manage.openapi import document
from swapd.manage.told import Told, tells
from swapd.refusals import ERRORS, of_reason
from swapd.routes import ROUTES
from swapd.schedule.reasons import Cause, LoadFailed
from tests import stories
from tests.house import open_house

VARIABLE = re.compile(r"{(\w+)}")

OBJECT = {"type": "object"}
WORDS = {"type": "string", "minLength": 1}
CONTENT = {
    "type": "object",
    "minProperties": 1,
    "propertyNames": {"pattern": r"^[^/]+/[^/]+$"},
    "additionalProperties": {
        "type": "object",
        "properties": {"schema": OBJECT},
        "additionalProperties": False,
    },
}
PARAMETER = {
    "type": "object",
    "required": ["name", "in", "schema"],
    "properties": {
        "name": WORDS,
        "in": {"enum": ["path", "query"]},
        "required": {"type": "boolean"},
        "description": WORDS,
        "schema": OBJECT,
    },
    "additionalProperties": False,
    "if": {"properties": {"in": {"const": "path"}}},
    "then": {"required": ["required"], "properties": {"required": {"const": True}}},
}
OPERATION = {
    "type": "object",
    "required": ["summary", "responses"],
    "properties": {
        "summary": WORDS,
        "parameters": {"type": "array", "items": PARAMETER, "uniqueItems": True},
        "requestBody": {
            "type": "object",
            "required": ["content"],
            "properties": {"required": {"type": "boolean"}, "content": CONTENT},
            "additionalProperties": False,
        },
        "responses": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": "^([1-5][0-9]{2}|default)$"},
            "additionalProperties": {
                "type": "object",
                "required": ["description"],
                "properties": {"description": WORDS, "content": CONTENT},
                "additionalProperties": False,
            },
        },
        "security": {"type": "array", "items": OBJECT},
    },
    "additionalProperties": False,
}
METHODS = ("get", "put", "post", "delete", "patch")
# What OpenAPI 3.1 says of the parts that we use; the rest of it would be a mistake here.
STRUCTURE = {
    "type": "object",
    "required": ["openapi", "info", "paths"],
    "properties": {
        "openapi": {"const": "3.1.0"},
        "info": {"type": "object", "required": ["title", "version"]},
        "security": {"type": "array", "items": OBJECT},
        "paths": {
            "type": "object",
            "propertyNames": {"pattern": "^/"},
            "additionalProperties": {
                "type": "object",
                "minProperties": 1,
                "properties": dict.fromkeys(METHODS, OPERATION),
                "additionalProperties": False,
            },
        },
        "components": {
            "type": "object",
            "required": ["schemas", "securitySchemes"],
            "properties": {
                "schemas": {"type": "object", "additionalProperties": OBJECT},
                "securitySchemes": {
                    "type": "object",
                    "additionalProperties": {
                        "type": "object",
                        "required": ["type"],
                        "properties": {"type": {"enum": ["http", "apiKey"]}},
                    },
                },
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}


async def read(app: Any) -> dict[str, Any]:
    """Ask for the description."""
    response = await app.test_client().get("/openapi.json")
    assert (response.status_code, response.content_type) == (200, "application/json")
    told: dict[str, Any] = json.loads(await response.get_data())
    return told


def operations(told: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Go through every path, method and operation."""
    for path, item in told["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def inside(value: object, key: str) -> Iterator[Any]:
    """Find whatever stands under a key, wherever."""
    if isinstance(value, dict):
        yield from (each for name, each in value.items() if name == key)
        for each in value.values():
            yield from inside(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from inside(each, key)


async def test_it_is_what_openapi_says_it_is(app, autojump_clock):
    """Generators of clients stop at the first thing that they do not expect."""
    told = await read(app)
    Draft202012Validator(STRUCTURE).validate(told)
    assert (told["info"]["title"], told["info"]["version"]) == ("swapd", __version__)
    for schema in inside(told, "schema"):
        Draft202012Validator.check_schema(schema)
    for schema in told["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


async def test_what_it_refers_to_is_there(app, autojump_clock):
    """Schemas, the variables of paths, and the ways in."""
    told = await read(app)
    for reference in inside(told, "$ref"):
        root, _, name = reference.rpartition("/")
        assert root == "#/components/schemas"
        assert name in told["components"]["schemas"]
    for path, _, operation in operations(told):
        parameters = operation.get("parameters", [])
        inside_path = [each["name"] for each in parameters if each["in"] == "path"]
        assert inside_path == VARIABLE.findall(path)
    ways = [way for asked in inside(told, "security") for each in asked for way in each]
    assert set(ways) == set(told["components"]["securitySchemes"])


async def test_no_two_paths_are_the_same(app, autojump_clock):
    """OpenAPI forbids two that differ in the names of their variables only."""
    shapes = [VARIABLE.sub("{}", path) for path in (await read(app))["paths"]]
    assert len(shapes) == len(set(shapes))


async def test_every_path_of_ours_is_there_with_its_methods(app, autojump_clock):
    """HEAD and OPTIONS, which every page has, would be noise."""
    told: dict[str, set[str]] = {}
    for path, method, _ in operations(await read(app)):
        told.setdefault(path, set()).add(method.upper())
    wanted: dict[str, set[str]] = {}
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        wanted.setdefault(path, set()).update(rule.methods)
    for path, route in ROUTES.items():
        wanted.setdefault(path, set()).update(route.methods)
    for path in ("/upstream/{path}", "/comfyui/{path}"):
        wanted[path] = {"GET", "POST", "PUT", "PATCH", "DELETE"}
    assert told == {path: methods - {"HEAD", "OPTIONS"} for path, methods in wanted.items()}


async def test_every_error_can_come_of_something(app, autojump_clock):
    """All but one: a client that goes by this asks no path for a method that it has not."""
    told = await read(app)
    texts = {text for text in inside(told["paths"], "description") if isinstance(text, str)}
    for error in ERRORS:
        found = any(f"`{error.code}`: {error.meaning}" in text for text in texts)
        assert found is (error.code != "method_not_allowed"), error


async def test_every_error_stands_under_its_status(app, autojump_clock):
    """And a page promises only what there is."""
    known = {(error.code, str(error.status)) for error in ERRORS}
    for _, _, operation in operations(await read(app)):
        for status, response in operation["responses"].items():
            for code in re.findall(r"`(\w+)`: ", response["description"]):
                assert (code, status) in known


async def test_the_envelopes_that_we_send_are_the_one_described(app, autojump_clock):
    """Whoever reads errors by the description must not stumble over one."""
    schema = (await read(app))["components"]["schemas"]["Error"]
    validator = Draft202012Validator(schema)
    async with open_house("a") as house:
        house.models.broken.add(stories.model("a").id)
        for reply in (
            await house.get("/nothing"),
            await house.post("/v1/chat/completions", {}),
            await house.post("/v1/messages", {"model": "ghost"}),
            await house.post("/v1/messages", {"model": "a"}),
            await house.get("/api/config/reload?dry_run=perhaps", method="POST"),
        ):
            assert reply.status >= 400
            validator.validate(reply.json())


@pytest.mark.parametrize("wrong", [{}, {"error": "text"}, {"src": "x", "error": {}}])
async def test_the_described_envelope_is_not_anything(wrong, app, autojump_clock):
    """A schema that takes everything would pass every test of it."""
    schema = (await read(app))["components"]["schemas"]["Error"]
    assert not Draft202012Validator(schema).is_valid(wrong)


async def test_what_wants_a_key_says_so(app, autojump_clock):
    """Asked without one, each operation does what its description says."""
    settings = attrs.evolve(stories.settings(["a"]), api_keys=("secret",))
    told = await read(app)
    async with open_house(settings=settings) as house:
        for path, method, operation in operations(told):
            reply = await house.get(VARIABLE.sub("a", path), method=method.upper())
            is_open = operation.get("security", told["security"]) == []
            assert (reply.status != 401) is is_open, (method, path)
            assert ("401" not in operation["responses"]) is is_open, (method, path)


async def test_what_a_page_answers_by_itself_is_told(app, autojump_clock):
    """Its statuses and its content type, one of each kind."""
    told = await read(app)
    async with open_house("a") as house:
        for method, path in (
            ("get", "/health"),
            ("get", "/"),
            ("get", "/upstream"),
            ("get", "/v1/models"),
            ("get", "/running"),
            ("get", "/unload"),
            ("post", "/api/models/unload"),
            ("get", "/api/profiles"),
            ("get", "/openapi.json"),
        ):
            reply = await house.get(path, method=method.upper())
            [kind] = told["paths"][path][method]["responses"][str(reply.status)]["content"]
            assert reply.headers["content-type"].partition(";")[0] == kind


async def test_what_a_query_may_have_is_told(app, autojump_clock):
    """With its values: a client made from this asks for nothing that is refused."""
    told = await read(app)

    def parameters(method: str, path: str) -> dict[str, Any]:
        listed = told["paths"][path][method]["parameters"]
        return {each["name"]: each["schema"] for each in listed if each["in"] == "query"}

    assert parameters("get", "/api/queue/{name}") == {"wait": {"enum": ["granted"]}}
    number = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
    assert parameters("get", "/api/decisions") == {"since": number}
    for path in ("/api/models/unload", "/api/models/unload/{name}"):
        how = parameters("post", path)
        assert how["mode"] == {"enum": ["now", "drain"]}
        assert how["queued"] == {"enum": ["drop", "keep"]}
        assert how["timeout"] == {"type": "number", "minimum": 0, "maximum": 1e9}


@pytest.mark.parametrize("path", ["/api/queue", "/api/decisions", "/api/models"])
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
async def test_lists_come_in_both_kinds_that_are_told(path, kind, app, autojump_clock):
    """For programs, and for people."""
    told = (await read(app))["paths"][path]["get"]["responses"]["200"]["content"]
    assert list(told) == ["application/json", "text/plain"]
    async with open_house("a") as house:
        reply = await house.get(path, accept=kind)
        assert reply.headers["content-type"].partition(";")[0] == kind


def test_a_page_without_words_is_not_described_by_a_guess():
    """Whoever adds a page is told at once, by every test of the description."""

    async def view() -> None:
        """Do something."""

    with pytest.raises(AttributeError):
        document([("/x", ("GET",), view)])
    assert "/x" in document([("/x", ("GET",), tells(Told())(view))])["paths"]


def test_a_cause_is_no_surprise():
    """More than is described may come with an error, and this does."""
    schema = document([])["components"]["schemas"]["Error"]
    refusal = of_reason(LoadFailed(stories.model("a").id, Cause("exited", exit_code=1)))
    Draft202012Validator(schema).validate(refusal.envelope())
