"""Unpacking what somebody else packed."""

import gzip
import zlib
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.watch import decoding
from swapd.watch.decoding import (
    CODINGS,
    MOST,
    MOST_CODINGS,
    MOST_PACKETS,
    CannotDecode,
    Decoder,
    decoder_for,
)

TEXT = b"".join(b"%d little words, " % number for number in range(2000))

Pack = Callable[[bytes], bytes]


def raw(data: bytes) -> bytes:
    """Pack without any wrapping."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def brotli(data: bytes) -> bytes:
    """Pack, or skip the test."""
    pytest.importorskip("brotli")
    return bytes(decoding.brotli.compress(data, quality=1))


def zstd(data: bytes) -> bytes:
    """Pack, or skip the test."""
    pytest.importorskip("zstandard")
    return bytes(decoding.zstandard.compress(data))


PACKS = [
    pytest.param("gzip", gzip.compress, id="gzip"),
    pytest.param("x-gzip", gzip.compress, id="x-gzip"),
    pytest.param("deflate", zlib.compress, id="zlib"),
    pytest.param("deflate", raw, id="raw"),
    pytest.param("br", brotli, id="br"),
    pytest.param("zstd", zstd, id="zstd"),
]


def opened(encoding: str) -> Decoder:
    """Open what must be known."""
    decoder = decoder_for(encoding)
    assert decoder is not None
    return decoder


def unpacked(encoding: str, data: bytes, *cuts: int) -> bytes:
    """Unpack what comes in pieces cut there."""
    decoder = opened(encoding)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return b"".join(decoder.feed(data[start:end]) for start, end in pairwise(edges))


@pytest.mark.parametrize(("encoding", "pack"), PACKS)
@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 50_000), max_size=6))
def test_pieces_unpack_like_the_whole(encoding, pack, cuts):
    """A stream is cut wherever the network likes."""
    assert unpacked(encoding, pack(TEXT), *cuts) == TEXT


@pytest.mark.parametrize(("encoding", "pack"), PACKS)
def test_an_answer_may_come_byte_by_byte(encoding, pack):
    """The head of a packing is two bytes or more, and each may be alone."""
    packed = pack(TEXT)
    assert unpacked(encoding, packed, *range(len(packed))) == TEXT


@pytest.mark.parametrize(("encoding", "pack"), PACKS)
def test_what_is_cut_short_is_read_as_far_as_it_came(encoding, pack):
    """A client that left early is no reason to doubt the packing."""
    packed = pack(TEXT)
    assert TEXT.startswith(unpacked(encoding, packed[: len(packed) // 2]))


@pytest.mark.parametrize(("encoding", "pack"), PACKS)
def test_nothing_is_nothing(encoding, pack):
    """An answer to be packed may be empty, and then some do not even begin."""
    assert unpacked(encoding, b"") == b""
    assert unpacked(encoding, pack(b"")) == b""


@pytest.mark.parametrize(("encoding", "pack"), PACKS)
def test_a_bomb_is_not_looked_at_to_its_end(encoding, pack):
    """Sixteen bytes of brotli may be a gigabyte; memory is for models."""
    packed = pack(bytes(MOST + 1_000_000))
    decoder = opened(encoding)
    size = sum(
        len(decoder.feed(packed[start : start + 16_384]))
        for start in range(0, len(packed), 16_384)
    )
    assert decoder.truncated
    assert MOST <= size < MOST + decoding.ZSTD_SLICE // 4 * 131_072
    assert decoder.feed(packed) == b""


@pytest.mark.parametrize(
    ("encoding", "why"),
    [
        ("gzip", "gzip: invalid header"),
        ("deflate", "deflate: invalid "),
        ("br", "br: decoder failed"),
        ("zstd", "zstd: Unknown frame descriptor"),
    ],
)
def test_what_is_not_packed_is_told_in_words(encoding, why):
    """The operator reads them beside the request, and a server's bug is named."""
    if encoding not in CODINGS:
        pytest.skip("its library is missing")
    with pytest.raises(CannotDecode, match=why):
        unpacked(encoding, b"not-really-packed")


def test_a_damaged_packing_is_found_out():
    """What a checksum forbids must not be counted."""
    packed = bytearray(gzip.compress(TEXT))
    packed[-5] ^= 1
    with pytest.raises(CannotDecode, match="gzip: incorrect data check"):
        unpacked("gzip", bytes(packed))


@settings(max_examples=200, deadline=None)
@given(
    encoding=st.lists(st.sampled_from(sorted(CODINGS)), min_size=1, max_size=3).map(",".join),
    data=st.binary(),
    head=st.sampled_from([b"", b"\x1f\x8b\x08\x00", b"\x78\x9c", b"\x28\xb5\x2f\xfd"]),
)
def test_garbage_is_one_kind_of_mistake(encoding, data, head):
    """Whoever listens knows one exception."""
    with suppress(CannotDecode):
        unpacked(encoding, head + data, len(data) // 2)


def test_packets_may_follow_each_other():
    """A server that packs event by event, or block by block, writes them so."""
    packed = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two") + bytes(9)
    assert unpacked("gzip", packed) == b"one two"
    assert unpacked("gzip", packed, *range(len(packed))) == b"one two"
    with pytest.raises(CannotDecode, match="gzip: invalid header"):
        unpacked("gzip", packed + b"more")


def test_packets_without_end_are_refused():
    """Each costs more to begin than a client pays to send it."""
    packet = gzip.compress(b"")
    assert unpacked("gzip", packet * MOST_PACKETS) == b""
    with pytest.raises(CannotDecode, match="gzip: too many packets"):
        unpacked("gzip", packet * (MOST_PACKETS + 1))


def test_what_stands_behind_an_answer_is_overlooked():
    """Some servers end with a line break; the answer was complete before it."""
    assert unpacked("deflate", zlib.compress(TEXT) + b"\r\n") == TEXT
    if "br" in CODINGS:
        packed = brotli(TEXT)
        assert unpacked("br", packed + b"\r\n", len(packed)) == TEXT


def test_codings_are_undone_from_the_last_to_the_first():
    """They are listed as they were put on."""
    packed = gzip.compress(raw(TEXT))
    assert unpacked(" Deflate , identity, GZIP", packed) == TEXT
    with pytest.raises(CannotDecode, match="deflate: invalid block type"):
        unpacked("gzip, deflate", packed)


@pytest.mark.parametrize(
    "encoding",
    ["", " ", "identity", ",", "snappy", "gzip, snappy", ",".join(["gzip"] * (MOST_CODINGS + 1))],
)
def test_what_is_not_known_is_left_alone(encoding):
    """Then the bytes say nothing, and nothing goes wrong."""
    assert decoder_for(encoding) is None


def test_a_missing_library_is_no_mistake():
    """D25: accounting is not worth a dependency that everybody has to have."""
    known = {"gzip": CODINGS["gzip"]}
    assert decoder_for("br", known) is None
    assert decoder_for("gzip", known) is not None
    assert {"gzip", "x-gzip", "deflate"} <= CODINGS.keys()
