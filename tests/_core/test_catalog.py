import contextlib
import random

import pytest

from stablemem import CorruptRegionError
from stablemem._core.catalog import Entry, decode, encode
from stablemem.layout import HEADER_SIZE

ENTRIES = {
    "main": Entry("text", b""),
    "b": Entry("example.Blobify", bytes(range(9)), (HEADER_SIZE, 5, 2, 300)),
    "z\u00fcrich": Entry("msgpack", b"", (HEADER_SIZE + 4096, 1 << 63, 1, 1)),
    "empty": Entry("bytes", b""),
}


def test_round_trip():
    assert decode(encode(ENTRIES), 0, 1 << 20, "") == ENTRIES
    assert decode(b"", 0, 1 << 20, "") == {}
    assert encode({}) == b""


def test_main_has_its_root_in_the_slot():
    entries = {"main": Entry("text", b"", (HEADER_SIZE, 5, 2, 300))}
    assert decode(encode(entries), 0, 1 << 20, "")["main"].tree == (0, 0, 0, 0)


def test_the_same_bytes_whatever_the_order():
    assert encode(dict(reversed(ENTRIES.items()))) == encode(ENTRIES)


@pytest.mark.parametrize("size", range(1, len(encode(ENTRIES)), 3))
def test_cut_short(size):
    with pytest.raises(CorruptRegionError) as caught:
        decode(encode(ENTRIES)[:size], 65536, 1 << 20, "file.smem")
    assert caught.value.address == 65536
    assert "file.smem" in str(caught.value)


def test_too_long():
    with pytest.raises(CorruptRegionError, match="1 bytes too many"):
        decode(encode(ENTRIES) + b"\0", 0, 1 << 20, "")


@pytest.mark.parametrize(
    "tree",
    [
        (5, 0, 1, 1),
        (0, 0, 1, 1),
        (HEADER_SIZE, 0, 0, 1),
        (HEADER_SIZE, 0, 1, 0),
        (HEADER_SIZE, 0, 13, 5),
        (1 << 20, 0, 1, 5),
        (4096, 0, 1, 5),
        (1 << 63, 0, 1, 1),
    ],
)
def test_bad_trees(tree):
    with pytest.raises(CorruptRegionError, match="a catalog"):
        decode(encode({"x": Entry("text", b"", tree)}), 0, 1 << 20, "")


def test_random_bytes_are_a_catalog_or_a_typed_error():
    rng = random.Random(1)
    good = encode(ENTRIES)
    for _ in range(3000):
        content = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        with contextlib.suppress(CorruptRegionError):
            decode(bytes(content), 0, 1 << 20, "")
