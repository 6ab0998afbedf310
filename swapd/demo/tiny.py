"""Making the tiny models: random weights in GGUF files that llama.cpp really loads.

Rule 1: a name and `VERSION` fix what is in a file, so it does not matter who made it.
Rule 2: a file in the cache is whole. It is written aside and renamed, so two that start at once
both succeed, and what a killed start leaves is never taken for a model.
Rule 3: numpy and gguf are imported where a model is made and nowhere else: they cost more than
the whole start of a server whose model is in the cache.

The weights are random but not careless: what comes out is words, whatever the sampling, and it
ends only where the request ends it (see `_output`).
"""

import os
import string
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Weights = NDArray[numpy.float32]

# Part of every file's name: raise it with any change to what is written.
VERSION = 1


class Mode(Enum):
    """What a model is for."""

    CHAT = "chat"
    EMBED = "embed"
    RERANK = "rerank"


class Shape(NamedTuple):
    """How large a model is, and the seed of its weights."""

    seed: int
    layers: int
    width: int
    """Numbers per token; a multiple of twice `HEADS`."""
    inner: int
    """Numbers per token inside a feed-forward step."""


SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "tiny-a": Shape(seed=11, layers=2, width=64, inner=160),
        "tiny-b": Shape(seed=22, layers=4, width=128, inner=320),
        "tiny-c": Shape(seed=33, layers=6, width=160, inner=448),
    }
)

HEADS = 4
KEY_HEADS = 1

# Far beyond what a test asks for; nothing is allocated for it until a server wants it.
LONGEST_TEXT = 32768

# How much likelier a word is than anything else: e to the minus 24 even at temperature 1, beyond
# the reach of any sampler, yet finite, so that a grammar can still demand a bracket.
WORDS_ONLY = 12.0


def cached(name: str, mode: Mode = Mode.CHAT) -> Path:
    """Return the model's file, made now if this is its first use."""
    rerank = mode is Mode.RERANK  # the one purpose that takes other weights
    path = cache() / f"{name}{'-rerank' if rerank else ''}-v{VERSION}.gguf"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, name, rerank=rerank)
    return path


def cache() -> Path:
    """Return the folder of the models that were made."""
    own = os.environ.get("SWAPD_DEMO_CACHE")
    if own:
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "swapd"


def write(path: Path, name: str, *, rerank: bool = False) -> None:
    """Write a model, whole or not at all; one that reranks gets a head for scores besides."""
    import gguf  # rule 3
    import numpy

    shape = SHAPES[name]
    # llama.cpp reads a rank head's labels for qwen3 alone, which is llama with two norms more.
    writer = gguf.GGUFWriter(None, "qwen3" if rerank else "llama")
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(LONGEST_TEXT)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_key_length(shape.width // HEADS)
    writer.add_value_length(shape.width // HEADS)
    writer.add_rope_dimension_count(shape.width // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    tokens = [*_tokens()]
    _describe_tokens(writer, gguf, tokens, rerank=rerank)
    if rerank:
        writer.add_pooling_type(gguf.PoolingType.RANK)
        writer.add_classifier_output_labels(["yes", "no"])
    random = numpy.random.default_rng(shape.seed)
    for tensor, weights in _weights(random, shape, tokens, rerank=rerank):
        writer.add_tensor(f"{tensor}.weight", weights)
    # Beside it and not in /tmp: a rename is atomic only within one file system. Not a file with a
    # random name: only in a folder of our own does it get the permissions that the user wants.
    with tempfile.TemporaryDirectory(prefix=".making-", dir=path.parent) as aside:
        made = Path(aside, path.name)
        with closing(writer):
            writer.write_header_to_file(made)
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        made.replace(path)


# --- The vocabulary -------------------------------------------------------------------------

# Everyday words, and some that an operator reads all day.
WORDS = """
a about above after again all along also always an and another answer any are around as ask at
autumn away back be bear because before begin behind below best better between big bird black blue
boat book both bread bridge bright bring brown but by call can carry chair change child city clear
clock close cloud cold come corner could country cross cup dark day deep dinner do door down
draw dream dry each early earth east easy eat egg empty end enough even evening ever every eye
face fall family far farm fast father few field find fire first fish five floor flower fly follow
food foot for forest found four fresh friend from full garden gate gave get give glass go gold good
grass great green grew grow had half hand happy hard has have he hear heart heavy help her here
high hill his hold home horse hour house how hundred ice idea if in inside into island it its
just keep kind king kitchen know lake lamp land large last late laugh leaf learn leave left less
letter light like line listen little live long look low made make many map market may meet middle
milk mind minute moment money moon more morning most mother mountain mouse move much music must my
name near never new next night no north nose not nothing now number of off often old on once one
only open or orange other our out over own paper part path people perhaps picture piece place plain
plant play please point poor present quick quiet rain reach read ready red remember rest rich ride
right ring river road rock roof room round run sail salt same sand saw say school sea season second
see seem send seven shadow shape she ship shoe shop shore short should show side silver simple
since sing sister sit six skin sky sleep slow small smile snow so soft some song soon south speak
spring stand star start stay step still stone stop story street strong such sugar summer sun sure
swim table take talk tall tell ten than that the their them then there these they thing think this
those thousand three through time tired to today together told tomorrow too took town train tree
true try turn two under until up us use very village visit voice wait walk wall want warm was watch
water way we week well went were west what wheel when where which while white who why wide wild
will wind window winter wish with wonder wood word work world would write year yellow yes yet
you young your
client daemon drain evict hello idle load model port proxy queue request server socket stream swap
ticket token unload
"""

UNKNOWN, BEGIN, END = range(3)

MARKS = ("<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")

# ChatML, with room for content given in parts.
TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string -%}
{{ message.content }}
{%- else -%}
{%- for part in message.content or [] -%}{{ part.text or '' }}{%- endfor -%}
{%- endif -%}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""


class Token(NamedTuple):
    """One entry of the vocabulary."""

    text: str
    kind: str
    """A member of gguf's `TokenType`, by name."""
    is_word: bool = False


def _tokens() -> Iterator[Token]:
    """Go through the vocabulary, which any text at all can be written in."""
    yield Token("<unk>", "UNKNOWN")
    yield Token("<s>", "CONTROL")
    yield Token("</s>", "CONTROL")
    for byte in range(256):
        yield Token(f"<0x{byte:02X}>", "BYTE")
    for mark in MARKS:
        yield Token(mark, "CONTROL")
    words = {f"▁{word}" for word in WORDS.split()}
    # The tokenizer joins two neighbours at a time: a word is found only by way of its beginnings.
    beginnings = (word[:end] for word in sorted(words) for end in range(2, len(word) + 1))
    letters = string.ascii_letters + string.digits + string.punctuation
    for text in dict.fromkeys(("▁", *letters, *beginnings)):
        yield Token(text, "NORMAL", text in words)


def _describe_tokens(writer: Any, gguf: Any, tokens: list[Token], *, rerank: bool) -> None:
    number = {token.text: n for n, token in enumerate(tokens)}
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([token.text for token in tokens])
    # The score is the order of joining: the later in the vocabulary, the later joined.
    writer.add_token_scores([-float(n) for n in range(len(tokens))])
    writer.add_token_types([int(gguf.TokenType[token.kind]) for token in tokens])
    writer.add_unk_token_id(UNKNOWN)
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(END)
    writer.add_eot_token_id(number["<|im_end|>"])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(rerank)
    # A space put before `assistant` in the template would not be the text that llama.cpp's JSON
    # mode expects there, and it would refuse the request.
    writer.add_add_space_prefix(False)
    for key, mark in (("pre", "prefix"), ("suf", "suffix"), ("mid", "middle")):
        writer.add_uint32(f"tokenizer.ggml.fim_{key}_token_id", number[f"<|fim_{mark}|>"])
    writer.add_chat_template(TEMPLATE)


# --- The weights ----------------------------------------------------------------------------


def _weights(
    random: "numpy.random.Generator", shape: Shape, tokens: list[Token], *, rerank: bool
) -> Iterator[tuple[str, "Weights"]]:
    """Draw every tensor, in an order that never changes for a seed."""
    import numpy  # rule 3

    def drawn(rows: int, columns: int) -> "Weights":
        weights: Weights = random.standard_normal((rows, columns), numpy.float32)
        weights /= numpy.float32(columns**0.5)
        return weights

    def into_stream(columns: int) -> "Weights":
        weights = drawn(shape.width, columns)
        weights[0] = 0  # the first number is not to be touched on its way: see _output
        return weights

    def ones(size: int) -> "Weights":
        return numpy.ones(size, numpy.float32)

    head = shape.width // HEADS
    embedding = drawn(len(tokens), shape.width) * numpy.float32(shape.width**0.5)
    embedding[:, 0] = 2 * shape.layers
    yield "token_embd", embedding
    for layer in range(shape.layers):
        yield f"blk.{layer}.attn_norm", ones(shape.width)
        yield f"blk.{layer}.attn_q", drawn(HEADS * head, shape.width)
        yield f"blk.{layer}.attn_k", drawn(KEY_HEADS * head, shape.width)
        yield f"blk.{layer}.attn_v", drawn(KEY_HEADS * head, shape.width)
        yield f"blk.{layer}.attn_output", into_stream(HEADS * head)
        if rerank:
            yield f"blk.{layer}.attn_q_norm", ones(head)
            yield f"blk.{layer}.attn_k_norm", ones(head)
        yield f"blk.{layer}.ffn_norm", ones(shape.width)
        yield f"blk.{layer}.ffn_gate", drawn(shape.inner, shape.width)
        yield f"blk.{layer}.ffn_up", drawn(shape.inner, shape.width)
        yield f"blk.{layer}.ffn_down", into_stream(shape.inner)
    yield "output_norm", ones(shape.width)
    yield "output", _output(drawn(len(tokens), shape.width), tokens)
    if rerank:
        yield "cls.output", drawn(2, shape.width)


def _output(weights: "Weights", tokens: list[Token]) -> "Weights":
    """Make words likely and all else, the end above all, practically impossible.

    The first number of every token's embedding is the same, and no layer adds to it, so at the
    end it is positive still: its column here works as a bias, which the format has no place for.
    """
    weights *= 2
    for n, token in enumerate(tokens):
        weights[n, 0] = WORDS_ONLY if token.is_word else -WORDS_ONLY
    return weights
