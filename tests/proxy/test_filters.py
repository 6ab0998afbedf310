"""What the configuration changes in a request; rows F1 to F17 of the reference's table.

What a row says of requests as a whole, not of their bodies, is shown where those are served.
"""

import json

import pytest

from swapd.config.settings import Filters
from swapd.proxy.filters import rewritten
from swapd.proxy.naming import BadBody, find
from tests.config.rows.loading import loaded, model


def filters(text: str) -> Filters:
    """Read the filters of a model as they stand in a configuration."""
    return model(f"models: {{a: {{M, filters: {{{text}}}}}}}").filters


def sent(body: str, written: str = "", *, asked: str = "m", called: str | None = None) -> str:
    """Rewrite a body by filters as they stand in a configuration."""
    changed = rewritten(body.encode(), asked=asked, model=called, filters=filters(written))
    return changed.decode()


VARIANTS = "setParamsByID: {'m:high': {effort: high}, 'm:low': {effort: low}, m: {effort: none}}"


@pytest.mark.parametrize(
    ("written", "asked", "body", "result"),
    [
        pytest.param(
            "stripParams: temperature, setParams: {top_p: 0.9}",
            "m",
            '{"model":"m","temperature":0.7}',
            '{"model":"m","top_p":0.9}',
            id="F2",
        ),
        pytest.param(
            "setParams: {top_p: 0.5}, setParamsByID: {alias: {top_p: 0.1}}",
            "alias",
            '{"model":"alias"}',
            '{"model":"alias","top_p":0.1}',
            id="F3",
        ),
        pytest.param('stripParams: ""', "m", '{"model":"m","":1}', '{"model":"m","":1}', id="F6"),
        pytest.param(
            "stripParams: 'temperature, top_p, top_k'",
            "m",
            '{"top_k":1,"top_p":2,"x":3,"temperature":4,"model":"m"}',
            '{"x":3,"model":"m"}',
            id="F7",
        ),
        pytest.param(
            "stripParams: 'model, temperature, top_p'",
            "m",
            '{"model":"m","temperature":1,"top_p":2}',
            '{"model":"m"}',
            id="F8",
        ),
        pytest.param(
            "stripParams: model", "m", '{"model":"m","x":1}', '{"model":"m","x":1}', id="F9"
        ),
        *(
            pytest.param(
                f"stripParams: '{names}'",
                "m",
                '{"model":"m","temperature":1,"top_p":2,"":3}',
                '{"model":"m","":3}',
                id=f"F10: {names}",
            )
            for names in (
                "temperature, top_p, temperature",
                "  temperature ,top_p  ",
                "temperature,,top_p,",
            )
        ),
        pytest.param(
            "setParams: {model: x, temperature: 0.5}",
            "m",
            '{"model":"m"}',
            '{"model":"m","temperature":0.5}',
            id="F11",
        ),
        pytest.param("setParams: {model: x}", "m", '{"model":"m"}', '{"model":"m"}', id="F12"),
        pytest.param(
            "setParams: {provider: {order: [x, 'y'], deep: {on: true, n: null}}, stop: [1, a]}",
            "m",
            '{"model":"m","stop":"END"}',
            '{"model":"m","stop":[1,"a"],'
            '"provider":{"order":["x","y"],"deep":{"on":true,"n":null}}}',
            id="F13",
        ),
        pytest.param(
            VARIANTS,
            "m:high",
            '{"model":"m:high"}',
            '{"model":"m:high","effort":"high"}',
            id="F14",
        ),
        pytest.param(VARIANTS, "other", '{"model":"other"}', '{"model":"other"}', id="F15"),
        pytest.param(
            "setParamsByID: {m: {z: 1, a: 2, m: 3}}",
            "m",
            '{"model":"m"}',
            '{"model":"m","a":2,"m":3,"z":1}',
            id="F16",
        ),
        pytest.param(
            "setParamsByID: {variant: {thinking: true}}",
            "variant",
            '{"model":"variant"}',
            '{"model":"variant","thinking":true}',
            id="F17",
        ),
    ],
)
def test_parameters_are_taken_away_and_set(
    written: str, asked: str, body: str, result: str
) -> None:
    """The operator has the last word about parameters, in the order that the reference has."""
    assert sent(body, written, asked=asked) == result


@pytest.mark.parametrize(
    ("name", "body", "result"),
    [
        pytest.param(
            "real-model",
            '{"model":"alias","temp":1}',
            '{"model":"real-model","temp":1}',
            id="F1",
        ),
        pytest.param(
            "target",
            '{"model":"public","prompt":"hello"}',
            '{"model":"target","prompt":"hello"}',
            id="W2",
        ),
        ("new", ' \r\n\t{ "model"\n:\t"a" } \n', ' \r\n\t{ "model"\n:\t"new" } \n'),
        ("new", r'{"mod\u0065l":"\u0061"}', r'{"mod\u0065l":"new"}'),
        ("new", '{"x":[{"model":"no"}],"model":"a"}', '{"x":[{"model":"no"}],"model":"new"}'),
        ("new", '{"x":"\\"model\\":","model":"a"}', '{"x":"\\"model\\":","model":"new"}'),
        ("new", '{"model":"a","x":1.50E+3}', '{"model":"new","x":1.50E+3}'),
        ("new", f'{{"seed":{10**400},"model":"a"}}', f'{{"seed":{10**400},"model":"new"}}'),
        ("new", '{"x":1e999,"model":"a"}', '{"x":1e999,"model":"new"}'),
        ("new", '{"x":"\u00e4\U0001f600","model":"a"}', '{"x":"\u00e4\U0001f600","model":"new"}'),
        ("new", r'{"x":"\ud800","model":"a"}', r'{"x":"\ud800","model":"new"}'),
        ("new", '{"x":1}', '{"x":1,"model":"new"}'),
    ],
)
def test_the_model_gets_the_name_that_its_server_knows(name: str, body: str, result: str) -> None:
    """And nothing else changes, however the client has written it."""
    assert sent(body, called=name) == result


@pytest.mark.parametrize("name", ['a"b', "a\\b", "\u00e4\n", "\U0001f600", "\x00", "a.b", "*"])
def test_any_name_can_be_put_in(name: str) -> None:
    """What the model's server calls itself is the operator's text, neither JSON nor a path."""
    assert find(sent('{"model":"a","y":[1]}', called=name).encode()).model == name


def test_a_peer_has_filters_of_its_own() -> None:
    """F4: what a peer is sent can be changed as well, its model's name aside."""
    text = (
        "peers: {remote: {proxy: 'http://h', models: [org/model], filters: {stripParams: seed}}}"
    )
    peer = loaded(text).settings.peers["remote"]
    body = b'{"model":"remote/org/model","seed":1}'
    changed = rewritten(body, asked="remote/org/model", model=None, filters=peer.filters)
    assert changed == b'{"model":"remote/org/model"}'


def test_each_step_sees_what_the_one_before_it_left() -> None:
    """Taken away and set again, a parameter is set; the name that was asked for comes last."""
    written = "stripParams: t, setParams: {t: 1, u: 1}, setParamsByID: {alias: {t: 2}}"
    body = '{"t":0,"model":"alias"}'
    assert sent(body, written, asked="alias", called="own") == '{"model":"own","t":2,"u":1}'
    assert sent(body, written, asked="own", called="own") == '{"model":"own","t":1,"u":1}'


@pytest.mark.parametrize(
    "written",
    [
        "",
        "stripParams: 'missing, o.missing, l.7, x*'",
        "setParams: {t: 0.70, o.p: [true], '': 1, 'x*': 1, l.x: 1}",
        "setParamsByID: {other: {t: 1}}",
        "stripParams: missing, setParams: {'': 1}, setParamsByID: {m: {o: {p: [true]}}}",
    ],
)
def test_a_request_in_which_nothing_changes_keeps_its_bytes(written: str) -> None:
    """Rule 2: not even a copy of a large body is made for nothing."""
    body = b'{ "model":"m", "t":0.7, "o":{"p":[true]}, "l":[] }'
    assert rewritten(body, asked="m", model=None, filters=filters(written)) is body
    assert rewritten(body, asked="m", model="m", filters=filters(written)) is body


@pytest.mark.parametrize(
    "path", ["model", r"\model", "mod\\el", ":model", "model.x", "model.0", r":\m\odel.-1"]
)
def test_no_parameter_touches_the_model(path: str) -> None:
    """Rule 3: what was routed by must be what arrives."""
    every = Filters(strip=(path,), set_params={path: "x"}, by_name={"m": {path: "x"}})
    body = b'{"model":"m"}'
    assert rewritten(body, asked="m", model=None, filters=every) is body
    assert rewritten(body, asked="m", model="own", filters=every) == b'{"model":"own"}'


def test_a_model_further_down_is_a_parameter_like_any_other() -> None:
    """Tools have models too."""
    body = '{"model":"m","tool":{"model":"x"}}'
    assert sent(body, "setParams: {tool.model: z}") == '{"model":"m","tool":{"model":"z"}}'
    assert sent(body, "stripParams: tool.model") == '{"model":"m","tool":{}}'


def test_what_was_rewritten_can_be_read() -> None:
    """Half a surrogate pair, in the configuration or in the request, must not end as an error."""
    every = Filters(set_params={"\ud800": "\udfff", "x.\udc00": 1})
    body = rb'{"model":"m","y":"\ud83d"}'
    changed = rewritten(body, asked="m", model="\ud83d\ude00", filters=every)
    assert json.loads(changed)["\ud800"] == "\udfff"
    assert find(changed).stream is False


def test_a_body_that_is_too_much_work_is_refused() -> None:
    """The parameters of a request can be counted; only an attack has tens of thousands."""
    body = b'{"model":"m"' + b',"":0' * 50_000 + b"}"
    assert rewritten(body, asked="m", model=None, filters=Filters()) is body
    with pytest.raises(BadBody, match="more than 20000 values"):
        rewritten(body, asked="m", model="own", filters=Filters())
