"""Reading and changing one field of a query, or of a form written like one."""

from urllib.parse import parse_qsl, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.proxy.query import find, replace

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
fields = st.lists(st.tuples(st.sampled_from(["model", "models", "", "m"]) | words, words))


@st.composite
def spellings(draw: st.DrawFn, word: str) -> str:
    """Escape a word as a form must, and some of what it need not."""

    def spelled(byte: int) -> str:
        if byte == ord(" ") and draw(st.booleans()):
            return "+"
        escaped = draw(st.sampled_from([f"%{byte:02x}", f"%{byte:02X}"]))
        return chr(byte) if chr(byte).isalnum() and draw(st.booleans()) else escaped

    return "".join(spelled(byte) if byte < 128 else f"%{byte:02X}" for byte in word.encode())


@pytest.mark.parametrize(
    ("query", "model", "stream"),
    [
        pytest.param(b"model=llama3", "llama3", "", id="X1"),
        pytest.param(b"model=author/model-7b", "author/model-7b", "", id="X2"),
        pytest.param(b"", "", "", id="X3"),
        pytest.param(b"model=llama3&stream=true", "llama3", "true", id="X4"),
        pytest.param(b"model=llama3&stream=false", "llama3", "false", id="X5"),
        pytest.param(b"model=whisper-1", "whisper-1", "", id="X11"),
        pytest.param(b"prompt=hello", "", "", id="X12"),
        pytest.param(b"model=whisper-1&stream=true", "whisper-1", "true", id="X13"),
    ],
)
def test_the_rows_of_the_reference_are_read_as_there(query, model, stream):
    """A query and a urlencoded body say the same in the same way."""
    assert find(query, "model") == model
    assert find(query, "stream") == stream


@pytest.mark.parametrize(
    ("query", "value"),
    [
        (b"model=a&model=b", "a"),
        (b"model=&model=b", ""),
        (b"model&model=b", ""),
        (b"models=a&xmodel=b&x=model=c&Model=d", ""),
        (b"&&model=a&&", "a"),
        (b"mod%65l=a", "a"),
        (b"%6D%6f%64%65%6C=a", "a"),
        (b"model=a=b", "a=b"),
        (b"model=a+b%20c%2Bd", "a b c+d"),
        (b"model=caf%C3%A9", "caf\u00e9"),
        ("model=caf\u00e9".encode(), "caf\u00e9"),
        (b"model=caf%E9", "caf\ufffd"),
        (b"model=100%&model=b", "b"),
        (b"model=%zz", ""),
        (b"model=a;model=b", ""),
        (b"x=1;model=a", ""),
        (b"model=a?b", "a?b"),
    ],
)
def test_odd_queries_are_read_as_llama_swap_reads_them(query, value):
    """Rules 1 and 3: the first that can be read counts, and nothing is guessed."""
    assert find(query, "model") == value


@pytest.mark.parametrize(
    ("query", "replaced"),
    [
        pytest.param(b"model=public&x=1", b"model=target&x=1", id="W1"),
        pytest.param(b"model=public", b"model=target", id="W3"),
        (b"x=%7e&model=public&y=+", b"x=%7e&model=target&y=+"),
        (b"model=a&y&model=b", b"model=target&y&model=target"),
        (b"mod%65l=a", b"mod%65l=target"),
        (b"model&model=", b"model=target&model=target"),
        (b"model=%zz&model=a;b", b"model=target&model=target"),
        (b"models=a&model-x=b&xmodel=c", b"models=a&model-x=b&xmodel=c"),
        (b"", b""),
    ],
)
def test_every_value_of_the_name_is_replaced_and_nothing_else(query, replaced):
    """Rule 2, and whichever one the model's server takes, it is ours."""
    assert replace(query, "model", "target") == replaced


@given(fields, st.sampled_from(["model", "a b", "ä&=%+;", "m"]), words, st.data())
@settings(max_examples=200, deadline=None)
def test_any_field_is_found_and_replaced_however_it_is_escaped(pairs, name, value, data):
    """Against the standard library's reading of the same bytes."""
    spelled = [f"{data.draw(spellings(key))}={data.draw(spellings(text))}" for key, text in pairs]
    query = "&".join(spelled).encode()
    mine = [text for key, text in pairs if key == name]
    assert find(query, name) == (mine[0] if mine else "")
    changed = replace(query, name, value).decode()
    assert changed == "&".join(
        f"{text.partition('=')[0]}={quote_plus(value)}" if key == name else text
        for text, (key, _) in zip(spelled, pairs, strict=True)
    )
    assert parse_qsl(changed, keep_blank_values=True) == [
        (key, value if key == name else text) for key, text in pairs
    ]


def test_what_is_put_in_is_escaped_like_a_form():
    """A name with an ampersand in it must not become a field of its own."""
    assert replace(b"model=a", "model", "a b/c&d=\u00e4") == b"model=a+b%2Fc%26d%3D%C3%A4"
