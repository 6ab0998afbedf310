"""What a name stands for: ids, aliases, peers' models."""

from collections.abc import Iterable, Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.config.names import Names, PeerModel
from swapd.ids import ModelId

WORDS = st.text(alphabet="ab/", min_size=1, max_size=4)


def names(
    models: Mapping[str, Iterable[str]] | None = None,
    peers: Mapping[str, Iterable[str]] | None = None,
) -> Names:
    """Index models with their aliases, and peers with their models."""
    return Names.of({ModelId(own): of for own, of in (models or {}).items()}, peers or {})


def test_a_model_is_found_by_its_id_and_by_its_aliases() -> None:
    """The alias is how clients know it, the id how it is run."""
    found = names({"qwen": ["q", "gpt-4o"], "llama": []})

    assert [found.local(name) for name in ("qwen", "q", "gpt-4o", "llama", "x", "", "Q")] == [
        *("qwen", "qwen", "qwen", "llama", None, None, None)
    ]


def test_an_id_goes_before_an_alias() -> None:
    """Rule 1: a model must not be out of reach because of what another one is called."""
    found = names({"a": ["b"], "b": ["a"]})

    assert (found.local("a"), found.local("b")) == ("a", "b")


def test_of_two_models_with_one_alias_the_first_has_it() -> None:
    """No configuration gets that far; until it is refused, nothing may break."""
    assert names({"b": ["x"], "a": ["x"]}).local("x") == "b"


def test_what_is_local_goes_before_a_peers() -> None:
    """Rule 1: the model next door must not be replaced by one that costs money."""
    found = names({"qwen": ["gpt"], "p/x": []}, {"p": ["qwen", "gpt", "x"]})

    assert found.target("qwen") == "qwen"
    assert found.target("gpt") == "qwen"
    assert found.target("p/x") == "p/x"
    assert found.remote("qwen") == PeerModel("p", "qwen")
    assert found.target("p/qwen") == PeerModel("p", "qwen")
    assert found.target("nothing") is None


def test_a_peers_model_has_two_names() -> None:
    """Rule 2: the short one is what clients of that peer know."""
    found = names(peers={"p": ["author/model:F16"], "q": ["other"]})

    assert found.remote("author/model:F16") == PeerModel("p", "author/model:F16")
    assert found.remote("p/author/model:F16") == PeerModel("p", "author/model:F16")
    assert found.remote("author/model:F16") == found.remote("p/author/model:F16")
    assert found.remote("model:F16") is None
    assert found.remote("q/model:F16") is None
    assert found.remote("p") is None


def test_a_name_that_several_peers_have_stands_for_none() -> None:
    """Rule 2: whoever pays for one must not get the other."""
    found = names(peers={"p": ["m"], "q": ["m"], "r": ["m", "n"]})

    assert found.remote("m") is None
    assert found.remote("n") == PeerModel("r", "n")
    assert [found.remote(f"{peer}/m") for peer in "pqr"] == [PeerModel(own, "m") for own in "pqr"]


def test_a_model_that_a_peer_names_twice_is_one() -> None:
    """Nothing is ambiguous about it."""
    found = names(peers={"p": ["m", "m"]})

    assert found.remote("m") == found.remote("p/m") == PeerModel("p", "m")


def test_full_names_are_compared_and_never_split() -> None:
    """Rule 2: a slash may belong to either part; one that could mean two means none."""
    found = names(peers={"a": ["b/c"], "a/b": ["c", "d"]})

    assert found.remote("a/b/c") is None
    assert found.remote("a/b/d") == PeerModel("a/b", "d")
    assert found.remote("b/c") == PeerModel("a", "b/c")
    assert found.remote("c") == PeerModel("a/b", "c")


def test_a_full_name_goes_before_a_peers_own() -> None:
    """It was written out so that nothing else can be meant."""
    found = names(peers={"p": ["m"], "q": ["p/m"]})

    assert found.remote("p/m") == PeerModel("p", "m")
    assert found.remote("q/p/m") == PeerModel("q", "p/m")


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(WORDS, st.lists(WORDS, max_size=3), max_size=3),
    st.dictionaries(WORDS, st.lists(WORDS, max_size=3), max_size=3),
    WORDS,
)
def test_whatever_is_found_is_called_so(
    models: dict[str, list[str]], peers: dict[str, list[str]], name: str
) -> None:
    """Whatever the names are made of: what is found has the name, and only one has it."""
    found = names(models, peers)

    local = found.local(name)
    assert (local is not None) == (name in models or any(name in of for of in models.values()))
    assert local is None or local == name or name in models[local]
    offered = {PeerModel(peer, model) for peer, of in peers.items() for model in of}
    full = {one for one in offered if one.full_name == name}
    bare = {one for one in offered if one.model == name}
    expected = full if len(full) == 1 else bare if len(bare) == 1 else {None}
    assert {found.remote(name)} == expected
    assert found.target(name) == (found.remote(name) if local is None else local)
