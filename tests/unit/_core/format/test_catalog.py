import contextlib
import random

import pytest

from stablemem import CorruptRegionError
from stablemem._core.format.catalog import Catalog, Entry, Later, Patch, decode, encode
from stablemem.layout import HEADER_SIZE

LISTS = {
    "main": Entry("text", b""),
    "b": Entry("example.Blobify", bytes(range(9)), (HEADER_SIZE, 5, 2, 300)),
    "z\u00fcrich": Entry("msgpack", b"", (HEADER_SIZE + 4096, 1 << 63, 1, 1)),
    "empty": Entry("bytes", b"", front=(1 << 64) - 1, later=b"more"),
    "map": Entry("text", b"o", (HEADER_SIZE, 5, 2, 300), 2, 0, "nat", b"of keys", b"\0"),
}
ROOTS = {"greeting": (65536, 5), "none": (), "z\u00fcrich": (-(1 << 127), (1 << 127) - 1, 0)}
PATCHES = (Patch(65536, 5, 7, 131072, 1 << 63), Patch(65541, 4096, 9, 200_000, 3))
LATER = {(2, "greeting"): b"later", (3, ""): b"l"}
UNKNOWN = (b"\x0a\0\0\0\x04\0\0\0xx", b"\x08\0\0\0\xff\xff\xff\xff")
FULL = Catalog(LISTS, ROOTS, PATCHES, Later(LATER, UNKNOWN))


@pytest.mark.parametrize("catalog", [FULL, Catalog(LISTS), Catalog({}, ROOTS), Catalog({}, {}, PATCHES)])
def test_round_trip(catalog):
    assert decode(encode(catalog), 0, 1 << 20, "") == catalog


def test_empty():
    assert decode(b"", 0, 1 << 20, "") == Catalog()
    assert encode(Catalog()) == b""


def test_main_has_its_root_in_the_slot():
    catalog = Catalog({"main": Entry("text", b"", (HEADER_SIZE, 5, 2, 300))})
    assert decode(encode(catalog), 0, 1 << 20, "").lists["main"].tree == (0, 0, 0, 0)


def test_the_same_bytes_whatever_the_order():
    other = Catalog(dict(reversed(LISTS.items())), dict(reversed(ROOTS.items())), PATCHES, FULL.later)
    assert encode(other) == encode(FULL)


def records(content):
    """Return where each record ends."""
    ends = [0]
    while ends[-1] < len(content):
        ends.append(ends[-1] + int.from_bytes(content[ends[-1] : ends[-1] + 4], "little"))
    return ends


# Between two records the rest is a catalog too: its checksum and the size in the slot say that it is cut.
@pytest.mark.parametrize("size", sorted({*range(len(encode(FULL)))} - {*records(encode(FULL))})[::3])
def test_cut_short(size):
    with pytest.raises(CorruptRegionError) as caught:
        decode(encode(FULL)[:size], 65536, 1 << 20, "file.smem")
    assert caught.value.address == 65536
    assert "file.smem" in str(caught.value)


def test_too_long():
    with pytest.raises(CorruptRegionError, match="a catalog"):
        decode(encode(FULL) + b"\0", 0, 1 << 20, "")


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
        decode(encode(Catalog({"x": Entry("text", b"", tree)})), 0, 1 << 20, "")


@pytest.mark.parametrize(
    "patches",
    [
        (Patch(0, 5, 1, 65536, 0),),
        (Patch(65536, 0, 1, 70000, 0),),
        (Patch((1 << 20) - 4, 5, 1, 65536, 0),),
        (Patch(65536, 5, 1, (1 << 20) - 4, 0),),
        (Patch(65536, 5, 1, 0, 0),),
        (Patch(65536, 5, 1, 70000, 0), Patch(65540, 5, 1, 70005, 0)),
        (Patch(65540, 5, 1, 70000, 0), Patch(65530, 5, 1, 70005, 0)),
    ],
)
def test_bad_patches(patches):
    with pytest.raises(CorruptRegionError, match="a patch"):
        decode(encode(Catalog({}, {}, patches)), 0, 1 << 20, "")


def test_random_bytes_are_a_catalog_or_a_typed_error():
    rng = random.Random(1)
    good = encode(FULL)
    for _ in range(3000):
        content = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        with contextlib.suppress(CorruptRegionError):
            decode(bytes(content), 0, 1 << 20, "")
