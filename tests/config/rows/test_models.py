"""Rows C200 to C239: aliases, filters, capabilities, addresses, ComfyUI, loading at the start."""

from collections.abc import Callable

import pytest

from swapd.config.kinds import Modality
from swapd.config.load import Loaded
from swapd.config.settings import Capabilities
from swapd.ids import ModelId
from tests.config.rows.loading import assert_refused, loaded, model, remarks

STRIPPED = "model, top_k, top_k, temperature, ${default_strip}, , ,"


def aliases(found: Loaded) -> tuple[str, ...]:
    """Pick the aliases of the model a."""
    return found.settings.models[ModelId("a")].aliases


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        pytest.param(
            "models: {model1: {M, aliases: [m1]}, model2: {M, aliases: [»m1]}}",
            "models.model2.aliases[0]",
            'duplicate alias "m1"',
            id="C200",
        ),
        pytest.param(
            "models: {a: {M, aliases: [b, »b]}}",
            "models.a.aliases[1]",
            'duplicate alias "b"',
            id="C201",
        ),
        pytest.param(
            "models: {a: {M, filters: {setParamsByID: {»b: {t: 1}}}}, b: M}",
            "models.a.filters.setParamsByID.b",
            "conflicts with the id of another model",
            id="C205",
        ),
        pytest.param(
            "models: {a: {M, filters: {setParamsByID: {s: {t: 1}}}},"
            " b: {M, filters: {setParamsByID: {»s: {t: 2}}}}}",
            "models.b.filters.setParamsByID.s",
            'duplicate alias "s"',
            id="C206",
        ),
        pytest.param(
            'models: {a: {M, filters: {setParamsByID: {»"a-${NO}": {t: 1}}}}}',
            "models.a.filters.setParamsByID.a-${NO}",
            "unknown macro ${NO}",
            id="C208",
        ),
        pytest.param(
            "models: {a: {M, filters: {setParamsByID: {b: »5}}}}",
            "models.a.filters.setParamsByID.b",
            "a mapping, got 5",
            id="C209",
        ),
        pytest.param(
            "models: {a: {M, capabilities: {in: [text, »video]}}}",
            "models.a.capabilities.in[1]",
            'text, audio, image, got "video"',
            id="C224-in",
        ),
        pytest.param(
            "models: {a: {M, capabilities: {out: [»video]}}}",
            "models.a.capabilities.out[0]",
            'text, audio, image, got "video"',
            id="C224-out",
        ),
        pytest.param(
            "models: {a: {M, capabilities: {context: »-1}}}",
            "models.a.capabilities.context",
            "must be at least 0, got -1",
            id="C225",
        ),
        pytest.param(
            "models: {a: {M, capabilities: {in: [»Text]}}}",
            "models.a.capabilities.in[0]",
            'text, audio, image, got "Text"',
            id="C226",
        ),
        *(
            pytest.param(
                f'models: {{a: {{cmd: x, proxy: »"{address}"}}}}',
                "models.a.proxy",
                f'invalid proxy URL "{address}"',
                id=row,
            )
            for row, address in (
                ("C229-space", "http://a b"),
                ("C229-scheme", "://x"),
                ("C230-ours", ""),
                ("C234-address", "127.0.0.1:80"),
                ("C234-port", "http://h:abc"),
                ("C235-ours", "localhost:80"),
            )
        ),
        pytest.param(
            "models: {n: {M, aliases: [q]}, m: {M, filters: {setParamsByID: {»q: {t: 1}}}}}",
            "models.m.filters.setParamsByID.q",
            'duplicate alias "q", already one of "n"',
            id="C238",
        ),
    ],
)
def test_a_model_that_contradicts_itself_or_others_is_refused(
    text: str, path: str, says: str
) -> None:
    """A name that means two things would mean either, by the weather."""
    assert_refused(text, path, says)


@pytest.mark.parametrize(
    ("text", "look", "found"),
    [
        pytest.param(
            "models: {model1: {M, aliases: [m1]}}",
            lambda c: [c.settings.names.local(name) for name in ("model1", "m1", "model3")],
            ["model1", "model1", None],
            id="C203",
        ),
        pytest.param(
            "models: {model1: {M, filters: {setParamsByID:"
            ' {"${MODEL_ID}:high": {t: 1}, "${MODEL_ID}:low": {t: 2}}}}}',
            lambda c: (
                sorted(c.settings.models["model1"].aliases),
                c.settings.names.local("model1:high"),
                c.settings.names.local("model1:low"),
            ),
            (["model1:high", "model1:low"], "model1", "model1"),
            id="C204",
        ),
        pytest.param(
            "models: {a: {M, filters: {setParamsByID: {a: {t: 1}}}}}", aliases, (), id="C207"
        ),
        pytest.param(
            "models: {a: {M, aliases: [q], filters: {setParamsByID: {q: {t: 1}}}}}",
            aliases,
            ("q",),
            id="C237",
        ),
        pytest.param('models: {a: {M, aliases: ["${MODEL_ID}-x"]}}', aliases, ("a-x",), id="C239"),
    ],
)
def test_names_belong_to_models_as_in_llama_swap(
    text: str, look: Callable[[Loaded], object], found: object
) -> None:
    """What clients ask for by name today, they ask for tomorrow."""
    assert look(loaded(text)) == found


@pytest.mark.parametrize(
    ("text", "path"),
    [
        pytest.param("models: {a: {M, aliases: [a]}}", "models.a.aliases[0]", id="C202-own"),
        pytest.param(
            "models: {a: {M, aliases: [x, b]}, b: M}", "models.a.aliases[1]", id="C202-other"
        ),
    ],
)
def test_an_alias_that_a_model_has_for_its_id_is_remarked(text: str, path: str) -> None:
    """It is never found, for ids come first; that harms nobody, but somebody meant something."""
    assert [about for about, _ in remarks(text)] == [path]
    assert loaded(text).settings.names.local("a") == "a"
    assert loaded(text).settings.names.local("b") in ("b", None)


@pytest.mark.parametrize(
    "key", [pytest.param("stripParams", id="C210"), pytest.param("strip_params", id="C211")]
)
def test_parameters_to_strip_are_a_clean_sorted_list(key: str) -> None:
    """The old spelling works as well; and nobody can strip the model."""
    text = (
        'macros: {default_strip: "temperature, top_p"}\n'
        f'models: {{a: {{M, filters: {{{key}: "{STRIPPED}"}}}}}}'
    )
    raw = STRIPPED.replace("${default_strip}", "temperature, top_p")

    assert loaded(text).written.models["a"].filters.strip_params == raw
    assert model(text).filters.strip == ("temperature", "top_k", "top_p")


@pytest.mark.parametrize(
    ("filters", "strip"),
    [
        pytest.param("{strip_params: seed, stripParams: top_k}", ("top_k",), id="C212"),
        *(
            pytest.param(f'{{stripParams: "{text}"}}', strip, id=f"C213-{row}")
            for row, text, strip in (
                ("nothing", "", ()),
                ("one", "temperature", ("temperature",)),
                ("model", "model", ()),
                ("gaps", "temperature,,top_p,", ("temperature", "top_p")),
                ("spaces", "  temperature  ,  top_p  ", ("temperature", "top_p")),
            )
        ),
    ],
)
def test_parameters_are_stripped_as_in_llama_swap(filters: str, strip: tuple[str, ...]) -> None:
    """An empty name would strip nothing, and look as if it did."""
    assert model(f"models: {{a: {{M, filters: {filters}}}}}").filters.strip == strip


@pytest.mark.parametrize(
    ("params", "found"),
    [
        pytest.param("{model: x, temperature: 0.7}", {"temperature": 0.7}, id="C214"),
        pytest.param("{model: x}", {}, id="C215-model"),
        pytest.param("{}", {}, id="C215-empty"),
        pytest.param("{z: 1, a: 2, m: 3}", {"a": 2, "m": 3, "z": 1}, id="C218"),
        pytest.param(
            "{top_p: 0.9, temperature: 0.7, stop: [a, b]}",
            {"stop": ["a", "b"], "temperature": 0.7, "top_p": 0.9},
            id="C219",
        ),
    ],
)
def test_parameters_are_set_in_order_of_their_names(params: str, found: dict[str, object]) -> None:
    """The same request is the same bytes every time; and nobody can set the model."""
    filters = model(
        f"models: {{a: {{M, filters: {{setParams: {params}, setParamsByID: {{b: {params}}}}}}}}}"
    ).filters

    assert list(filters.set_params.items()) == list(found.items())
    assert list(filters.by_name.get("b", {}).items()) == list(found.items())


@pytest.mark.parametrize(
    ("name", "found"),
    [
        pytest.param("model1:unknown", None, id="C216-unknown"),
        pytest.param("model1:model", None, id="C216-model"),
        pytest.param("model1:high", {"reasoning_effort": "high"}, id="C217"),
    ],
)
def test_parameters_follow_the_name_that_was_asked_for(
    name: str, found: dict[str, object] | None
) -> None:
    """One model, several manners, each with a name of its own."""
    text = (
        "models: {model1: {M, filters: {setParamsByID: {"
        '"${MODEL_ID}:high": {reasoning_effort: high}, "${MODEL_ID}:model": {model: x}}}}}'
    )
    filters = model(text, named="model1").filters

    assert (filters.by_name.get(name) or None) == found


@pytest.mark.parametrize(
    ("block", "found"),
    [
        pytest.param(
            "{in: [text, image], out: [text, audio], tools: true, reranker: true, context: 8192}",
            Capabilities(
                inputs=(Modality.TEXT, Modality.IMAGE),
                outputs=(Modality.TEXT, Modality.AUDIO),
                tools=True,
                reranker=True,
                context=8192,
            ),
            id="C220",
        ),
        pytest.param(
            "{tools: true, context: 8192}", Capabilities(tools=True, context=8192), id="C221"
        ),
        pytest.param("{tools: false}", Capabilities(), id="C222-tools"),
        pytest.param("{reranker: false}", Capabilities(), id="C222-reranker"),
        pytest.param("", Capabilities(), id="C222-absent"),
        pytest.param("{reranker: true}", Capabilities(reranker=True), id="C223"),
    ],
)
def test_capabilities_say_something_or_nothing(block: str, found: Capabilities) -> None:
    """A block that only says no is as good as none, and is not listed."""
    told = model(f"models: {{a: {{M, capabilities: {block}}}}}").capabilities

    assert told == found
    assert told.empty is (found == Capabilities())


@pytest.mark.parametrize(
    ("limit", "found"),
    [
        pytest.param("", 50, id="C227-unset"),
        pytest.param("10", 50, id="C227-10"),
        pytest.param("50", 50, id="C227-50"),
        pytest.param("60", 60, id="C227-60"),
    ],
)
def test_comfyui_gets_the_room_that_its_page_needs(limit: str, found: int) -> None:
    """Its page opens dozens of requests at once, and a websocket that never ends."""
    text = (
        f"models: {{comfyui_auto: {{M, concurrencyLimit: {limit},"
        " compat: {ignoreWebsockets: false}}, other: {M, concurrencyLimit: 10}}"
    )
    comfy, other = loaded(text).settings.models.values()

    assert (comfy.concurrency_limit, comfy.ignore_websockets) == (found, True)
    assert (other.concurrency_limit, other.ignore_websockets) == (10, False)


@pytest.mark.parametrize(
    ("text", "look", "found"),
    [
        pytest.param(
            "models: {a: {M, compat: {ignoreWebsockets: true}}, b: M}",
            lambda c: [model.ignore_websockets for model in c.settings.models.values()],
            [True, False],
            id="C228",
        ),
        *(
            pytest.param(
                f'sendLoadingState: "{word}"\nmodels: {{a: {{M, sendLoadingState: "{word}"}}}}',
                lambda c: (
                    c.written.send_loading_state,
                    c.settings.models["a"].send_loading_state,
                ),
                (True, True),
                id=f"C236-{word}",
            )
            for word in ("yes", "y")
        ),
        pytest.param(
            'models: {a: {M, checkEndpoint: ""}, b: {M, checkEndpoint: }}',
            lambda c: (
                [model.check_endpoint for model in c.written.models.values()],
                [model.check_endpoint for model in c.settings.models.values()],
            ),
            (["", "/health"], ["/", "/health"]),
            id="C231",
        ),
    ],
)
def test_a_model_means_what_it_means_in_llama_swap(
    text: str, look: Callable[[Loaded], object], found: object
) -> None:
    """An empty endpoint asks for the root, an absent one for /health."""
    assert look(loaded(text)) == found


@pytest.mark.parametrize(
    ("preload", "found", "position"),
    [
        pytest.param('[" al ", "", nope, a, a]', ("a", "a", "a"), 2, id="C232"),
        pytest.param("[nope]", (), 0, id="C233"),
    ],
)
def test_what_cannot_be_loaded_at_the_start_is_remarked(
    preload: str, found: tuple[str, ...], position: int
) -> None:
    """The others are loaded, in their order; a model that was removed must not stop swapd."""
    text = f"hooks: {{on_startup: {{preload: {preload}}}}}\nmodels: {{a: {{M, aliases: [al]}}}}\n"

    assert loaded(text).settings.preload == found
    ((path, says),) = remarks(text)
    assert path == f"hooks.on_startup.preload[{position}]"
    assert '"nope"' in says
