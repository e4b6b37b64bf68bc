# ruff: noqa: PT012 - what is tested is what an exception does to the block around it
"""Raw blocks as a user meets them: what each call does, what it refuses, what a transaction makes of it."""

import math
import os
import struct
from array import array

import pytest

from stablemem import (
    BlockError,
    MemoryBuffer,
    MemoryRegion,
    ReadOnlyError,
    RegionClosedError,
    RegionFullError,
    StableMemoryError,
)
from stablemem.layout import HEADER_SIZE, MAX_ADDRESS, NODE_SIZE, REGION_PAGE
from support.recorded import BOOT, NEXT_BOOT, Recorder, prove, region_of, region_on

HUGE = [-1, -(2**70), 2**56, 2**63, 2**64 - 1, 2**64, 2**70]
"""Addresses that no region has, some of them too large for a machine word."""


class Undo(Exception):  # noqa: N818 - it is no error
    """Leaves a transaction block."""


@pytest.fixture
def heap():
    region = MemoryRegion()
    yield region
    if not region.closed:
        prove(region)
        region.close()


@pytest.fixture
def lived_in(heap):
    """Return a region with a list, committed raw blocks, a root, and one change that is not committed."""
    values = heap.buffer("main", "bytes")
    values.extend([b"a value of more than eight bytes, number %d" % n for n in range(600)])
    first = heap.add_blob(bytes(range(200)))
    hole = heap.add_blob(b"hole" * 25)
    last = heap.add_blob(b"last" * 25)
    heap.roots["blocks"] = first, hole, last
    heap.commit()
    heap.deallocate(hole, 100)
    heap.commit()
    heap.store(first, b"open")
    return heap


def blocks(heap):
    return heap.roots["blocks"]


def state(heap):
    """Return all that a call which fails must not change."""
    first, _, last = blocks(heap)
    return (
        heap.stats(),
        heap.allocated_blocks(),
        heap.free_blocks(),
        dict(heap.roots),
        heap.load(first, 200),
        heap.load(last, 100),
        heap.capacity,
        heap.buffer("main")[5],
    )


# -- allocate and deallocate -------------------------------------------------------------------------


def test_allocate_gives_the_lowest_that_fits(heap):
    a, b, c = (heap.allocate(100) for _ in range(3))
    assert (b - a, c - b) == (100, 100)
    heap.deallocate(a, 100)
    heap.deallocate(b, 60)
    assert heap.allocate(161) > c, "160 bytes are free in one run"
    assert heap.allocate(160) == a
    assert heap.allocate(1) == c + 100 + 161


@pytest.mark.parametrize("size", [1, 2, 4095, 4096, 65535, 65536, 65537, 3 * 65536, 1_000_003])
def test_blocks_of_any_size(path, size):
    with MemoryRegion(path) as region:
        a, b = region.allocate(size), region.allocate(size)
        assert region.load(a, size) == bytes(size)
        region.store(a, b"a" * size)
        region.store(b, b"b" * size)
        region.roots["both"] = a, b
    with MemoryRegion(path, "r+") as region:
        assert region.load(a, size) + region.load(b, size) == b"a" * size + b"b" * size
        assert region.allocated_bytes == 2 * size
        region.deallocate(a, size)
        region.deallocate(b, size)
        assert region.allocated_blocks() == []
    with MemoryRegion(path, "r") as region:
        assert region.allocated_bytes == 0
        region.verify()


def test_several_blocks_may_be_freed_as_one_and_one_as_several(heap):
    a, b = heap.allocate(100), heap.allocate(100)
    heap.deallocate(a + 50, 100)
    assert heap.allocated_blocks() == [(a, 50), (b + 50, 50)]
    heap.deallocate(a, 50)
    for at in range(b + 50, b + 100):
        heap.deallocate(at, 1)
    assert heap.allocated_blocks() == []


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize(
    ("start", "size"),
    [(100, 100), (100, 1), (199, 1), (99, 2), (199, 2), (0, 300), (50, 100), (150, 100), (120, 10), (-1, 2)],
)
def test_what_overlaps_free_space_is_refused(heap, committed, start, size):
    """The original noticed only a block that began where a free block begins."""
    fence = heap.allocate(100)
    heap.deallocate(fence, 100)
    a = heap.add_blob(b"x" * 300)
    assert a == fence
    if committed:
        heap.commit()
    heap.deallocate(a + 100, 100)
    before = heap.allocated_blocks(), heap.free_blocks(), heap.stats()
    calls = [
        lambda: heap.deallocate(a + start, size),
        lambda: heap.store(a + start, b"y" * size),
        lambda: heap.resize(a + start, size, size + 5),
        lambda: heap.resize(a + start, size, 1),
        lambda: heap.remove_blob(a + start, size),
        lambda: heap.replace_blob(a + start, size, b"z" * 20),
    ]
    for call in calls:
        with pytest.raises(BlockError):
            call()
        assert (heap.allocated_blocks(), heap.free_blocks(), heap.stats()) == before
    assert heap.load(a, 100) + heap.load(a + 200, 100) == b"x" * 200


@pytest.mark.parametrize("between", ["nothing", "commit", "two commits", "reopen"])
def test_double_free(path, between):
    region = MemoryRegion(path)
    a, keep = region.add_blob(b"x" * 100), region.add_blob(b"keep")
    region.commit()
    region.deallocate(a, 100)
    if between == "reopen":
        region.close()
        region = MemoryRegion(path)
    elif between != "nothing":
        for _ in range(between.count("commit") + between.count("two")):
            region.add_blob(b"something to commit")
            region.commit()
    if not region.is_allocated(a, 100):
        with pytest.raises(BlockError, match="not all"):
            region.deallocate(a + 40, 60)
    assert region.load(keep, 4) == b"keep"
    region.close()


def test_zero_bytes_are_never_a_block(heap):
    """The original gave out a block of nothing, and could keep free blocks of nothing."""
    a = heap.add_blob(b"abc")
    before = heap.stats(), heap.free_blocks()
    for call in (
        lambda: heap.allocate(0),
        lambda: heap.deallocate(a, 0),
        lambda: heap.resize(a, 0, 5),
        lambda: heap.resize(a, 3, 0),
        lambda: heap.resize(a, 0, 0),
        lambda: heap.add_blob(b""),
        lambda: heap.remove_blob(a, 0),
        lambda: heap.replace_blob(a, 3, b""),
        lambda: heap.replace_blob(a, 0, b"x"),
        lambda: heap.is_allocated(a, 0),
        lambda: heap.is_free(a, 0),
    ):
        with pytest.raises(ValueError, match=r"1 byte|not in the region"):
            call()
    heap.store(a, b"")
    assert heap.load(a, 0) == bytes(heap.view(a, 0)) == b""
    heap.deallocate_range(a, a)
    assert (heap.load(a, 3), heap.allocated_blocks()) == (b"abc", [(a, 3)])
    assert heap.free_blocks() == before[1]
    heap.clear()
    heap.clear()
    assert all(size > 0 for _, size in heap.free_blocks())


@pytest.mark.parametrize("size", [-1, -(2**70), 2**56 + 1, 2**64, 2**70])
def test_sizes_that_no_block_has(lived_in, size):
    before = state(lived_in)
    a = blocks(lived_in)[0]
    for call in (
        lambda: lived_in.allocate(size),
        lambda: lived_in.deallocate(a, size),
        lambda: lived_in.resize(a, size, 5),
        lambda: lived_in.resize(a, 5, size),
        lambda: lived_in.remove_blob(a, size),
        lambda: lived_in.replace_blob(a, size, b"x"),
        lambda: lived_in.load(a, size),
        lambda: lived_in.view(a, size),
        lambda: lived_in.is_allocated(a, size),
        lambda: lived_in.is_free(a, size),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - a BlockError is one
            call()
    assert state(lived_in) == before


@pytest.mark.parametrize("wrong", ["1", 1.0, None, b"1", (1,)], ids=repr)
def test_what_is_no_integer(lived_in, wrong):
    before = state(lived_in)
    a = blocks(lived_in)[0]
    for call in (
        lambda: lived_in.allocate(wrong),
        lambda: lived_in.deallocate(wrong, 1),
        lambda: lived_in.deallocate(a, wrong),
        lambda: lived_in.resize(wrong, 1, 2),
        lambda: lived_in.resize(a, wrong, 2),
        lambda: lived_in.resize(a, 1, wrong),
        lambda: lived_in.load(wrong, 1),
        lambda: lived_in.load(a, wrong),
        lambda: lived_in.view(wrong, 1),
        lambda: lived_in.store(wrong, b"x"),
        lambda: lived_in.remove_blob(wrong, 1),
        lambda: lived_in.replace_blob(wrong, 1, b"x"),
        lambda: lived_in.load_as("u8", wrong),
        lambda: lived_in.store_as("u8", wrong, 1),
        lambda: lived_in.is_free(wrong, 1),
        lambda: lived_in.deallocate_range(wrong, 5),
        lambda: lived_in.deallocate_range(5, wrong),
        lambda: lived_in.grow(wrong),
    ):
        with pytest.raises(TypeError):
            call()
    assert state(lived_in) == before


@pytest.mark.parametrize(
    "wrong", ["text", 5, None, [1, 2], object()], ids=["text", "number", "None", "list", "object"]
)
def test_what_is_no_data(lived_in, wrong):
    before = state(lived_in)
    a = blocks(lived_in)[0]
    for call in (
        lambda: lived_in.store(a, wrong),
        lambda: lived_in.add_blob(wrong),
        lambda: lived_in.replace_blob(a, 10, wrong),
    ):
        with pytest.raises(TypeError):
            call()
    assert state(lived_in) == before


def test_anything_with_an_index_is_an_integer(heap):
    class Ten:
        def __index__(self):
            return 10

    a = heap.allocate(Ten())
    assert heap.allocated_blocks() == [(a, 10)]
    heap.roots["ten"] = (Ten(), Ten())
    assert heap.roots["ten"] == (10, 10)
    assert heap.load_as("u8", heap.add_as("u8", Ten())) == 10
    heap.deallocate(a, Ten())


@pytest.mark.parametrize("block", [(1.5, 1)], ids=repr)
def test_is_allocated_of_fractions(lived_in, block):
    address, size = block
    with pytest.raises(TypeError):
        lived_in.is_allocated(blocks(lived_in)[0] if address == "raw" else address, size)


@pytest.mark.parametrize(
    "data",
    [
        b"bytes",
        bytearray(b"array"),
        memoryview(b"views"),
        memoryview(b"s-t-r-i-d-e")[::2],
        array("I", [1, 2]),
    ],
    ids=lambda data: type(data).__name__,
)
def test_data_of_any_buffer(heap, data):
    content = bytes(memoryview(data))
    size = len(content)
    a = heap.add_blob(data)
    assert heap.load(a, size) == content
    heap.store(a, bytes(size))
    heap.store(a, data)
    assert heap.remove_blob(a, size) == content
    a = heap.replace_blob(heap.allocate(1), 1, data)
    assert heap.load(a, size) == content


def test_data_is_copied(heap):
    data = bytearray(b"before")
    a = heap.add_blob(data)
    heap.commit()
    heap.store(a, data)
    data[:] = b"after!"
    assert heap.load(a, 6) == b"before"


# -- what is not raw ---------------------------------------------------------------------------------


def not_raw(heap):
    """Yield the address of something of every other kind."""
    report = {"header": 0, "slot": NODE_SIZE, "end of the header": HEADER_SIZE - 1, "node": HEADER_SIZE}
    store = heap._store
    report["root of the list"] = store.slot.main[0]
    report["log page"] = store.slot.log_page
    report["catalog"] = store.slot.catalog[0]
    report["blob"] = next(
        address for address, size in store.space.areas[2].blocks() if not heap.is_free(address, 1)
    )
    report["free page"] = heap.capacity - 1
    return report


@pytest.mark.parametrize(
    "what",
    [
        "header",
        "slot",
        "end of the header",
        "node",
        "root of the list",
        "log page",
        "catalog",
        "blob",
        "free page",
    ],
)
def test_addresses_that_are_not_raw(lived_in, what):
    lived_in.grow(2)
    a = not_raw(lived_in)[what]
    before = state(lived_in)
    for size in (1, 10, NODE_SIZE):
        for call in (
            lambda size=size: lived_in.deallocate(a, size),
            lambda size=size: lived_in.resize(a, size, size + 1),
            lambda size=size: lived_in.resize(a, size, 1),
            lambda size=size: lived_in.store(a, b"x" * size),
            lambda size=size: lived_in.remove_blob(a, size),
            lambda size=size: lived_in.replace_blob(a, size, b"y"),
            lambda: lived_in.store_as("u64", a, 1),
            lambda: lived_in.remove_as("u8", a),
        ):
            with pytest.raises(BlockError):
                call()
    assert not lived_in.is_allocated(a, 1)
    assert state(lived_in) == before
    if what in {"header", "slot", "end of the header"}:
        with pytest.raises(BlockError):
            lived_in.load(a, 1)


@pytest.mark.parametrize("address", HUGE)
def test_addresses_that_no_region_has(lived_in, address):
    before = state(lived_in)
    for call in (
        lambda: lived_in.deallocate(address, 1),
        lambda: lived_in.resize(address, 1, 2),
        lambda: lived_in.resize(address, 2, 1),
        lambda: lived_in.load(address, 1),
        lambda: lived_in.load(address, 0),
        lambda: lived_in.view(address, 1),
        lambda: lived_in.store(address, b"x"),
        lambda: lived_in.remove_blob(address, 1),
        lambda: lived_in.replace_blob(address, 1, b"x"),
        lambda: lived_in.load_as("u64", address),
        lambda: lived_in.store_as("u64", address, 1),
        lambda: lived_in.remove_as("u64", address),
        lambda: lived_in.is_allocated(address, 1),
        lambda: lived_in.is_free(address, 1),
    ):
        with pytest.raises(BlockError):
            call()
    assert state(lived_in) == before


def test_ranges_that_leave_their_page_for_another_kind(heap):
    """A raw block up to the end of its page, with a list's blobs in the next one."""
    a = heap.allocate(REGION_PAGE)
    heap.buffer("main", "bytes").extend([b"of more than eight bytes"] * 10)
    heap.commit()
    assert heap._store.space.kind_at(a + REGION_PAGE) == 2
    for size in (REGION_PAGE + 1, REGION_PAGE + 100, 2 * REGION_PAGE):
        with pytest.raises(BlockError):
            heap.deallocate(a, size)
        assert not heap.is_allocated(a, size)
    with pytest.raises(BlockError):
        heap.store(a + REGION_PAGE - 1, b"xx")
    moved = heap.resize(a, REGION_PAGE, REGION_PAGE + 1)
    assert moved != a
    heap.store(moved, b"x" * (REGION_PAGE + 1))
    assert heap.buffer("main")[:] == [b"of more than eight bytes"] * 10


def test_a_block_that_ends_where_the_region_ends(path):
    with MemoryRegion(path) as region:
        a = region.allocate(REGION_PAGE)
        assert a + REGION_PAGE == region.capacity == region.size
        region.store(a + REGION_PAGE - 4, b"tail")
        region.roots["a"] = a, REGION_PAGE
        assert region.is_allocated(a, REGION_PAGE)
        assert region.load(a + REGION_PAGE - 4, 4) == b"tail"
        for call in (
            lambda: region.is_allocated(a, REGION_PAGE + 1),
            lambda: region.is_free(a + REGION_PAGE, 1),
            lambda: region.load(a + REGION_PAGE, 1),
            lambda: region.load(a, REGION_PAGE + 1),
            lambda: region.view(a + 1, REGION_PAGE),
            lambda: region.store(a + REGION_PAGE - 1, b"xx"),
            lambda: region.deallocate(a + 1, REGION_PAGE),
        ):
            with pytest.raises(BlockError):
                call()
        assert region.load(a + REGION_PAGE, 0) == b""
    with MemoryRegion(path, "r") as region:
        a, size = region.roots["a"]
        assert region.load(a, size)[-4:] == b"tail"
        assert bytes(region.view(a + size - 4, 4)) == b"tail"
    with MemoryRegion(path) as region:
        region.deallocate(a, size)
    with MemoryRegion(path) as region:
        assert region.allocated_blocks() == []


def test_what_was_never_written_is_there_after_reopening(path):
    """Allocated at the tail, not stored into: the file must reach that far all the same."""
    with MemoryRegion(path) as region:
        region.add_blob(b"x")
        region.commit()
        a = region.allocate(700_001)
    with MemoryRegion(path, "r") as region:
        assert region.load(a + 700_000, 1) == b"\0"
        assert region.allocated_bytes == 700_002
    with MemoryRegion(path) as region:
        a = region.resize(a, 700_001, 900_001)
        assert region.load(a, 900_001) == bytes(900_001)


# -- resize ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize(
    ("new_size", "stays"),
    [(1, True), (99, True), (100, True), (101, True), (150, True), (151, False), (70_000, False)],
)
def test_resize_with_50_free_bytes_behind(heap, committed, new_size, stays):
    """The original moved a block that shrank, and copied nothing when it moved."""
    content = bytes(range(100))
    a = heap.add_blob(content)
    behind = heap.allocate(50)
    fence = heap.add_blob(b"fence")
    if committed:
        heap.commit()
    heap.deallocate(behind, 50)
    for _ in range(4 * committed):
        heap.roots["commits so that what was freed may be used again"] = heap.transaction_number
        heap.commit()
    got = heap.resize(a, 100, new_size)
    assert (got == a) == stays
    assert heap.load(got, min(100, new_size)) == content[:new_size]
    assert heap.is_allocated(got, new_size)
    if stays and new_size < 150:
        assert not heap.is_allocated(a + new_size, 1)
    if not stays:
        assert not any(heap.is_allocated(at, 1) for at in range(a, a + 100) if not got <= at < got + new_size)
    assert heap.load(fence, 5) == b"fence"
    heap.commit()
    assert heap.load(got, min(100, new_size)) == content[:new_size]


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("size", [1, 100, REGION_PAGE - 1, REGION_PAGE, REGION_PAGE + 1, 3 * REGION_PAGE])
def test_resize_at_the_tail_stays(heap, committed, size):
    a = heap.allocate(size)
    heap.store(a, b"x" * size)
    if committed:
        heap.commit()
    # The catalog of an empty region is empty: nothing is behind the block.
    if heap.size == a + size:
        for new_size in (size + 1, size + REGION_PAGE, size + 10 * REGION_PAGE):
            assert heap.resize(a, size, new_size) == a
            assert heap.load(a, size) == b"x" * size
            assert heap.load(a + size, new_size - size) == bytes(new_size - size)
            assert heap.allocated_blocks() == [(a, new_size)]
            heap.deallocate(a + size, new_size - size)
    prove(heap)


def test_resize_moves_what_lies_over_it_too(heap):
    a = heap.add_blob(b"." * 100)
    heap.add_blob(b"fence")
    heap.commit()
    heap.store(a + 10, b"listed")
    heap.commit()
    heap.store(a + 14, b"pending")
    old = heap.snapshot()
    wanted = b"." * 10 + b"listpending" + b"." * 79
    assert heap.load(a, 100) == wanted
    b = heap.resize(a, 100, 200)
    assert b != a
    assert heap.load(b, 100) == wanted
    assert heap.resize(b, 200, 16) == b
    assert heap.load(b, 16) == wanted[:16]
    heap.roots["n"] = 1
    heap.commit()
    assert heap.load(b, 16) == wanted[:16]
    assert old.load(a, 100) == b"." * 10 + b"listed" + b"." * 84
    old.close()


def test_resize_over_its_own_old_place(heap):
    """What a block leaves may be where it moves to: first fit from below."""
    gap, a, fence = heap.allocate(50), heap.add_blob(bytes(range(100))), heap.allocate(1)
    heap.deallocate(gap, 50)
    assert heap.resize(a, 100, 140) == gap
    assert heap.load(gap, 100) == bytes(range(100))
    assert heap.allocated_blocks() == [(gap, 140), (fence, 1)]


def test_resize_of_a_part(heap):
    a = heap.add_blob(bytes(range(100)))
    b = heap.resize(a + 40, 20, 30)
    assert heap.load(b, 20) == bytes(range(40, 60))
    assert heap.load(a, 40) + heap.load(a + 60, 40) == bytes([*range(40), *range(60, 100)])
    assert not heap.is_allocated(a + 40, 20)


# -- blobs and numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("size", [1, 4, 5, 6, 100, 100_000])
def test_replace_blob(heap, committed, size):
    a, fence = heap.add_blob(b"hello"), heap.add_blob(b"fence")
    if committed:
        heap.commit()
    b = heap.replace_blob(a, 5, b"n" * size)
    assert (b == a) == (size <= 5)
    assert heap.load(b, size) == b"n" * size
    assert heap.load(fence, 5) == b"fence"
    assert heap.allocated_bytes == size + 5
    assert heap.remove_blob(b, size) == b"n" * size
    assert heap.allocated_blocks() == [(fence, 5)]


def test_remove_blob_gives_what_was_stored_last(heap):
    a = heap.add_blob(b"first.")
    heap.commit()
    heap.store(a + 1, b"IR")
    heap.commit()
    heap.store(a + 2, b"xx")
    assert heap.remove_blob(a, 6) == b"fIxxt."
    assert not heap.is_allocated(a, 1)
    heap.rollback()
    assert heap.load(a, 6) == b"fIRst."


INTEGERS = [
    (f"{sign}{bits}", alias + str(bits), bits // 8, low, high)
    for bits in (8, 16, 32, 64)
    for sign, alias, low, high in (
        ("u", "nat", 0, (1 << bits) - 1),
        ("i", "int", -1 << bits - 1, (1 << bits - 1) - 1),
    )
]


@pytest.mark.parametrize(("kind", "alias", "size", "low", "high"), INTEGERS)
def test_integers(heap, kind, alias, size, low, high):
    for value in (low, high, 0, 1, high - 1, low + 1, 0x55):
        a = heap.add_as(kind, value)
        assert heap.load(a, size) == value.to_bytes(size, "little", signed=kind[0] == "i")
        assert heap.load_as(kind, a) == heap.load_as(alias, a) == value
        heap.store_as(alias, a, high)
        assert heap.load_as(kind, a) == high
        assert heap.remove_as(alias, a) == high
        assert not heap.is_allocated(a, size)


@pytest.mark.parametrize("kind", [kind for row in INTEGERS for kind in row[:2]])
def test_integers_out_of_range(lived_in, kind):
    low, high = next(row[3:] for row in INTEGERS if kind in row[:2])
    a = blocks(lived_in)[0]
    before = state(lived_in)
    for value in (low - 1, high + 1, 2**64, -(2**63) - 1, 10**100):
        for call in (lambda v=value: lived_in.add_as(kind, v), lambda v=value: lived_in.store_as(kind, a, v)):
            with pytest.raises(OverflowError, match=rf"{kind} holds {low} to {high}, not {value}"):
                call()
    for value in (1.0, 1.5, "1", None, b"1"):
        for call in (lambda v=value: lived_in.add_as(kind, v), lambda v=value: lived_in.store_as(kind, a, v)):
            with pytest.raises(TypeError, match=f"{kind} holds"):
                call()
    assert state(lived_in) == before


@pytest.mark.parametrize("kind", ["f64", "float"])
def test_floats(lived_in, kind):
    heap = lived_in
    for value in (0.0, -0.0, 1.5, math.inf, -math.inf, math.pi, 5e-324, 1.7976931348623157e308, 3):
        a = heap.add_as(kind, value)
        assert heap.load(a, 8) == struct.pack("<d", value)
        assert math.copysign(1, heap.load_as(kind, a)) == math.copysign(1, value)
        assert heap.remove_as(kind, a) == value
    a = heap.add_as(kind, math.nan)
    assert math.isnan(heap.load_as(kind, a))
    before = state(heap)
    for value, error in (("1", TypeError), (None, TypeError), (1j, TypeError), (10**400, OverflowError)):
        with pytest.raises(error, match=kind):
            heap.store_as(kind, a, value)
        with pytest.raises(error, match=kind):
            heap.add_as(kind, value)
    assert state(heap) == before


@pytest.mark.parametrize("kind", ["u8", "i64", "f64"])
def test_a_number_of_5000_digits(heap, kind):
    with pytest.raises(OverflowError):
        heap.add_as(kind, 10**5000)


def test_what_is_said_of_a_float_that_is_too_large(heap):
    with pytest.raises(OverflowError) as caught:
        heap.add_as("f64", 10**400)
    assert "9223372036854775807" not in str(caught.value)


def test_an_index_out_of_range(heap):
    class Many:
        def __index__(self):
            return 300

    with pytest.raises(OverflowError):
        heap.add_as("u8", Many())


@pytest.mark.parametrize("kind", ["u9", "U8", "", "<Q", None, 8, [], b"u8"], ids=repr)
def test_kinds_that_are_none(lived_in, kind):
    a = blocks(lived_in)[0]
    before = state(lived_in)
    for call in (
        lambda: lived_in.load_as(kind, a),
        lambda: lived_in.store_as(kind, a, 1),
        lambda: lived_in.add_as(kind, 1),
        lambda: lived_in.remove_as(kind, a),
    ):
        with pytest.raises(ValueError, match=r"the kind of a number is one of u8, u16, .*f64, not"):
            call()
    assert state(lived_in) == before


def test_numbers_that_are_cut(lived_in):
    """The last bytes of a block hold no number that is longer."""
    last = blocks(lived_in)[2]
    lived_in.deallocate(last + 50, 50)
    before = state(lived_in)
    for kind, size in (("u16", 2), ("i32", 4), ("f64", 8)):
        at = last + 50 - size + 1
        for call in (
            lambda kind=kind, at=at: lived_in.store_as(kind, at, 1),
            lambda kind=kind, at=at: lived_in.remove_as(kind, at),
        ):
            with pytest.raises(BlockError):
                call()
        lived_in.load_as(kind, at - 1)
    assert state(lived_in) == before


# -- what is where -----------------------------------------------------------------------------------


def test_is_allocated_asks_every_byte(heap):
    """The original answered for the first byte only."""
    a = heap.allocate(300)
    heap.deallocate(a + 100, 100)
    model = [*range(100), *range(200, 300)]
    for start in range(0, 300, 20):
        for size in (1, 10, 20, 40, 100, 101, 200):
            covered = all(at in model for at in range(start, start + size))
            assert heap.is_allocated(a + start, size) == covered, (start, size)
            none = not any(at in model for at in range(start, start + size))
            assert heap.is_free(a + start, size) == none, (start, size)


def test_is_free_of_what_is_kept_for_snapshots(heap):
    a = heap.add_blob(b"x" * 100)
    heap.commit()
    old = heap.snapshot()
    heap.deallocate(a, 100)
    for _ in range(3):
        assert heap.is_free(a, 100)
        assert not heap.is_allocated(a, 1)
        assert heap.allocate(100) != a
        heap.commit()
    assert old.is_allocated(a, 100)
    assert not old.is_free(a, 1)
    assert old.load(a, 100) == b"x" * 100
    assert old.allocated_blocks() == [(a, 100)]
    old.close()


def test_free_and_allocated_blocks_are_cut(heap):
    a = heap.allocate(300)
    heap.deallocate(a + 100, 100)
    assert heap.allocated_blocks() == [(a, 100), (a + 200, 100)]
    assert heap.allocated_blocks(a + 10, a + 210) == [(a + 10, 90), (a + 200, 10)]
    assert heap.allocated_blocks(a + 100, a + 200) == []
    assert heap.allocated_blocks(a + 50) == [(a + 50, 50), (a + 200, 100)]
    assert heap.allocated_blocks(0, a + 1) == [(a, 1)]
    assert heap.free_blocks(a, a + 300) == [(a + 100, 100)]
    assert heap.free_blocks(a + 110, a + 120) == [(a + 110, 10)]
    assert heap.free_blocks(a, a + 100) == heap.free_blocks(a + 5, a + 5) == heap.free_blocks(9, 5) == []
    assert heap.allocated_blocks(a + 5, a + 5) == heap.allocated_blocks(a + 9, a) == []
    assert heap.free_bytes == sum(size for _, size in heap.free_blocks())
    assert heap.allocated_bytes == 200


@pytest.mark.parametrize("call", ["free_blocks", "allocated_blocks"])
@pytest.mark.parametrize(
    "bounds", [(-1, 100), (0, 2**64), (0, 2**70), (-(2**70), 2**70), (2**60, 2**61)], ids=repr
)
def test_bounds_beyond_the_region(heap, call, bounds):
    a = heap.allocate(100)
    heap.deallocate(a, 50)
    low, high = max(0, bounds[0]), min(bounds[1], MAX_ADDRESS)
    assert getattr(heap, call)(*bounds) == getattr(heap, call)(min(low, high), high) * (low < high)


def test_sizes(heap):
    assert (heap.size, heap.capacity, heap.pages, heap.allocated_bytes) == (HEADER_SIZE, REGION_PAGE, 1, 0)
    a = heap.allocate(100)
    assert (heap.size, heap.capacity, heap.pages) == (a + 100, 2 * REGION_PAGE, 2)
    assert heap.free_bytes == heap.capacity - HEADER_SIZE - 100
    heap.deallocate(a, 100)
    assert (heap.size, heap.allocated_bytes) == (HEADER_SIZE, 0)


def test_grow(path):
    with MemoryRegion(path) as region:
        assert region.grow(5) == 1
        assert (region.pages, region.capacity, region.size) == (6, 6 * REGION_PAGE, HEADER_SIZE)
        free = region.free_bytes
        a = region.allocate(5 * REGION_PAGE)
        assert (region.pages, region.free_bytes) == (6, free - 5 * REGION_PAGE)
        region.store(a, b"x" * 5 * REGION_PAGE)
        assert region.grow(1) == 6
    with MemoryRegion(path, "r") as region:
        assert region.load(a, 5 * REGION_PAGE) == b"x" * 5 * REGION_PAGE


def test_growing_by_nothing(lived_in):
    before = state(lived_in)
    assert lived_in.grow(0) == lived_in.pages
    assert state(lived_in)[1:] == before[1:]


@pytest.mark.parametrize("pages", [-1, -(2**70), 2**40, 2**70])
def test_growing_by_what_is_no_number_of_pages(heap, pages):
    before = heap.pages
    with pytest.raises((ValueError, RegionFullError)):
        heap.grow(pages)
    assert heap.pages == before
    assert heap.grow(1) == before


def test_growth_that_fails_is_told():
    """The original counted the pages that it did not get."""
    device = Recorder()
    region = region_on(device)
    a = region.add_blob(b"kept")
    region.commit()
    before = region.allocated_blocks(), region.size
    device.fail_at = len(device.events)
    with pytest.raises(OSError):  # noqa: PT011 - the device's own
        region.allocate(10 << 20)
    device.fail_at = None
    assert (region.allocated_blocks(), region.size) == before
    assert region.load(a, 4) == b"kept"
    b = region.allocate(10 << 20)
    region.store(b, b"x" * (10 << 20))
    region.commit()
    prove(region)
    region.close()


@pytest.mark.parametrize(
    "call",
    [
        lambda heap, a: heap.allocate(MAX_ADDRESS),
        lambda heap, a: heap.resize(a, 200, MAX_ADDRESS),
        lambda heap, a: heap.grow(1 << 40),
        lambda heap, a: heap.grow(1 << 70),
    ],
    ids=["allocate", "resize", "grow", "grow further"],
)
def test_beyond_the_largest_address(lived_in, call):
    before = state(lived_in)
    with pytest.raises((RegionFullError, BlockError)):
        call(lived_in, blocks(lived_in)[0])
    assert state(lived_in) == before


# -- ranges ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 300), (50, 250), (100, 200), (120, 130), (-50, 10), (290, 5000), (10, 5), (-9, 9000)],
)
def test_deallocate_range(heap, committed, low, high):
    fence = heap.allocate(20_000)
    heap.deallocate(fence, 20_000)
    a = heap.add_blob(bytes(300))
    if committed:
        heap.commit()
    heap.deallocate(a + 100, 100)
    heap.deallocate_range(a + low, a + high)
    model = [at for at in [*range(100), *range(200, 300)] if not low <= at < high]
    assert [at for at in range(300) if heap.is_allocated(a + at, 1)] == model
    heap.commit()
    assert heap.allocated_bytes == len(model)


def test_deallocate_range_leaves_everything_else(lived_in):
    first = blocks(lived_in)[0]
    values = lived_in.buffer("main")[:]
    lived_in.deallocate_range(0, MAX_ADDRESS)
    assert lived_in.allocated_blocks() == []
    lived_in.commit()
    assert lived_in.buffer("main")[:] == values
    assert blocks(lived_in)[0] == first
    lived_in.verify()


@pytest.mark.parametrize(
    "bounds",
    [
        (-(2**70), -1),
        (0, 12),
        (5, 5),
        pytest.param((2**57, 0)),
        (0, -(2**70)),
        pytest.param((2**60, 2**61)),
        pytest.param((2**70, 2**71)),
    ],
    ids=repr,
)
def test_deallocate_range_of_nothing(lived_in, bounds):
    before = lived_in.allocated_blocks(), lived_in.load(blocks(lived_in)[0], 200)
    lived_in.deallocate_range(*bounds)
    assert (lived_in.allocated_blocks(), lived_in.load(blocks(lived_in)[0], 200)) == before


def test_clear(lived_in):
    values = lived_in.buffer("main")[:]
    first = blocks(lived_in)[0]
    old = lived_in.snapshot()
    lived_in.clear()
    assert (lived_in.allocated_blocks(), lived_in.allocated_bytes) == ([], 0)
    assert lived_in.buffer("main")[:] == values
    assert lived_in.roots["blocks"][0] == first
    lived_in.rollback()
    assert lived_in.load(first, 200) == bytes(range(200)), "the store that was open is rolled back too"
    lived_in.clear()
    lived_in.commit()
    a = lived_in.allocate(10)
    lived_in.deallocate(a, 10)
    assert old.load(first, 200) == bytes(range(200))
    old.close()


# -- roots -------------------------------------------------------------------------------------------


def test_roots_are_a_mapping(path):
    with MemoryRegion(path) as region:
        roots = region.roots
        roots["one"] = 5
        roots["two"] = [1, -2, 3]
        roots["none"] = ()
        roots["limits"] = -(2**127), 2**127 - 1
        roots["naïve \U0001f600"] = range(1000)
        assert (len(roots), list(roots)[:2], "one" in roots, "six" in roots, 5 in roots) == (
            5, ["limits", "naïve \U0001f600"], True, False, False,
        )  # fmt: skip
        assert (roots["one"], roots["two"], roots.get("six")) == ((5,), (1, -2, 3), None)
        assert roots.pop("none") == ()
        assert repr(region.roots).startswith("Roots({'limits': (-170")
        expected = dict(roots)
        assert region.roots == expected
    with MemoryRegion(path, "r") as region:
        assert dict(region.roots) == expected
        with pytest.raises(KeyError):
            region.roots["none"]
    with MemoryRegion(path) as region:
        region.roots.clear()
    with MemoryRegion(path, "r") as region:
        assert len(region.roots) == 0


@pytest.mark.parametrize(
    ("name", "numbers", "error"),
    [
        ("x", 2**127, OverflowError),
        ("x", -(2**127) - 1, OverflowError),
        ("x", (1, 2**200), OverflowError),
        ("x", 1.5, TypeError),
        ("x", (1, 1.5), TypeError),
        ("x", "12", TypeError),
        ("x", None, TypeError),
        ("x", range(65536), ValueError),
        ("", 1, ValueError),
        ("x" * 65536, 1, ValueError),
        ("\ud800", 1, ValueError),
        (5, 1, ValueError),
        (None, 1, ValueError),
        (b"x", 1, ValueError),
    ],
)
def test_roots_that_are_none(lived_in, name, numbers, error):
    before = state(lived_in)
    with pytest.raises(error):
        lived_in.roots[name] = numbers
    with pytest.raises(KeyError):
        del lived_in.roots["missing"]
    assert state(lived_in) == before


def test_roots_of_the_largest_kind(path):
    with MemoryRegion(path) as region:
        region.roots["x" * 65535] = range(65535)
    with MemoryRegion(path, "r") as region:
        assert region.roots["x" * 65535] == tuple(range(65535))


def test_roots_are_rolled_back(heap):
    heap.roots["a"] = 1
    heap.commit()
    old = heap.snapshot()
    heap.roots["a"] = 2
    with pytest.raises(Undo), heap.transaction():
        del heap.roots["a"]
        heap.roots["b"] = 1
        with pytest.raises(Undo), heap.transaction():
            heap.roots["c"] = 3
            heap.roots["b"] = 4
            raise Undo
        assert dict(heap.roots) == {"b": (1,)}
        raise Undo
    assert dict(heap.roots) == {"a": (2,)}
    assert dict(old.roots) == {"a": (1,)}
    heap.rollback()
    assert dict(heap.roots) == {"a": (1,)}
    heap.roots["a"] = 7
    heap.commit()
    assert dict(old.roots) == {"a": (1,)}
    assert old.refresh()
    assert dict(old.roots) == {"a": (7,)}
    old.close()


# -- drop --------------------------------------------------------------------------------------------


def test_drop(path):
    with MemoryRegion(path) as region:
        keep, gone = region.buffer("keep"), region.buffer("gone")
        keep.extend(range(1000))
        gone.extend(range(1000))
        region.buffer("main").extend(range(300))
        a = region.add_blob(b"raw")
        region.commit()
        old = region.snapshot()
        region.drop("gone")
        region.drop("main")
        assert gone.closed
        with pytest.raises(RegionClosedError):
            gone.append(1)
        assert region.names() == ["keep"]
        with pytest.raises(KeyError, match="no list 'gone'; it has \\['keep'\\]"):
            region.drop("gone")
        region.commit()
        assert region.verify().lists == {"keep": 1000}
        assert old.buffer("gone")[:] == list(range(1000))
        old.close()
        assert region.buffer("gone", "text")[:] == []
        region.buffer("gone").append("new")
    with MemoryRegion(path, "r") as region:
        assert region.names() == ["gone", "keep"]
        assert region.buffer("gone")[:] == ["new"]
        assert region.load(a, 3) == b"raw"


@pytest.mark.parametrize("reopened", [False, True])
def test_drop_is_rolled_back(path, reopened):
    region = MemoryRegion(path)
    region.buffer("a").extend(range(1000))
    region.commit()
    if reopened:
        region.close()
        region = MemoryRegion(path)
    region.drop("a")
    region.rollback()
    assert region.names() == ["a"]
    assert region.buffer("a")[:] == list(range(1000))
    region.close()


def test_drop_in_a_block_that_is_undone(heap):
    heap.buffer("a").extend(range(1000))
    heap.commit()
    heap.buffer("b").append(1)
    with pytest.raises(Undo), heap.transaction():
        heap.drop("a")
        heap.drop("b")
        heap.buffer("c").append(1)
        raise Undo
    assert heap.buffer("a")[:] == list(range(1000))
    assert heap.buffer("b")[:] == [1]
    heap.commit()
    assert heap.buffer("a")[:] == list(range(1000))


def test_a_new_list_in_a_dropped_ones_place_is_undone(heap):
    heap.buffer("a", "text").append("hello")
    heap.commit()
    heap.buffer("b").append(1)
    with pytest.raises(Undo), heap.transaction():
        heap.drop("a")
        with pytest.raises(
            StableMemoryError, match="was dropped, and that is not committed yet: commit before"
        ):
            heap.buffer("a", "bytes")
        raise Undo
    assert heap.buffer("a")[:] == ["hello"]


def test_drop_of_a_list_that_was_never_committed(heap):
    heap.buffer("a").append(1)
    heap.drop("a")
    assert heap.names() == []
    heap.commit()
    heap.buffer("a").append(2)
    heap.commit()
    assert heap.buffer("a")[:] == [2]


# -- stores into committed blocks --------------------------------------------------------------------


STORES = {
    "whole": [(0, 100)],
    "part": [(10, 20)],
    "ends": [(0, 1), (99, 1)],
    "twice": [(10, 20), (10, 20)],
    "overlapping": [(10, 20), (20, 20), (5, 10)],
    "within": [(10, 50), (20, 5)],
    "around": [(20, 5), (10, 50)],
    "neighbours": [(10, 10), (20, 10), (0, 10)],
    "bridging": [(0, 20), (40, 20), (80, 20), (10, 80)],
    "many": [(at, 3) for at in range(0, 97, 2)],
    "falling": [(at, 3) for at in range(96, 0, -2)],
}


def play(heap, address, model, stores, first=65):
    """Store so into a block, and into its model; after each, both are the same."""
    for number, (at, size) in enumerate(stores):
        data = bytes([first + number % 58]) * size
        heap.store(address + at, data)
        model[at : at + size] = data
        assert heap.load(address, len(model)) == bytes(model)
        assert bytes(heap.view(address, len(model))) == bytes(model)
        for low, high in (
            (at, at + size),
            (max(0, at - 3), at + 1),
            (at + size - 1, min(100, at + size + 3)),
        ):
            assert heap.load(address + low, high - low) == bytes(model[low:high])


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("stores", STORES.values(), ids=STORES)
def test_stores_are_committed_with_everything_else(path, stores, sync):
    with MemoryRegion(path) as region:
        a = region.add_blob(bytes(100))
        region.roots["a"] = a, 100
        region.commit()
        before = region.snapshot()
        view = before.view(a, 100)
        model = bytearray(100)
        play(region, a, model, stores)
        assert before.load(a, 100) == bytes(100), "nobody else sees them before the commit"
        with MemoryRegion(path, "r") as reader:
            assert reader.load(a, 100) == bytes(100)
        region.commit(sync)
        after = region.snapshot()
        states = [(before, bytes(100)), (after, bytes(model))]
        for step in range(4):
            play(region, a, model, stores, 97 + step)
            region.commit(sync)
            with MemoryRegion(path, "r") as reader:
                states.append((reader.snapshot(), bytes(model)))
            for taken, content in states:
                assert taken.load(a, 100) == bytes(taken.view(a, 100)) == content
            prove(region)
        assert bytes(view) == bytes(100)
        assert before.refresh()
        assert before.load(a, 100) == bytes(model)
        assert bytes(view) == bytes(100), "a view of a snapshot never changes"
        for taken, _ in states:
            taken.close()
        view.release()
    with MemoryRegion(path, "r") as region:
        assert region.load(*region.roots["a"]) == bytes(model)
    with MemoryRegion(path) as region:
        for _ in range(4):
            assert region.load(a, 100) == bytes(model)
            region.add_blob(b"so that there is something to commit")
            region.commit()
        assert region._store.patches.listed == (), "in the end they are in place"
        assert region.load(a, 100) == bytes(model)


@pytest.mark.parametrize("stores", STORES.values(), ids=STORES)
def test_stores_are_rolled_back(heap, stores):
    a = heap.add_blob(bytes(range(100)))
    heap.commit()
    heap.store(a + 15, b"listed patch")
    heap.commit()
    content = heap.load(a, 100)
    play(heap, a, bytearray(content), stores)
    heap.rollback()
    assert heap.load(a, 100) == content
    heap.add_blob(b"x")
    heap.commit()
    assert heap.load(a, 100) == content
    model = bytearray(content)
    play(heap, a, model, stores)
    heap.commit()
    assert heap.load(a, 100) == bytes(model)


@pytest.mark.parametrize("stores", STORES.values(), ids=STORES)
@pytest.mark.parametrize("owner", ["committed", "outer", "mixed"])
def test_stores_in_a_savepoint(heap, stores, owner):
    """Into blocks that were allocated outside of it; an exception leaves it, then nothing does."""
    a = heap.allocate(100)
    heap.store(a, bytes(range(100)))
    if owner == "mixed":
        heap.deallocate(a + 30, 70)
    if owner != "outer":
        heap.commit()
    with heap.transaction():
        if owner == "mixed":
            assert heap.resize(a, 30, 100) == a
            heap.store(a + 30, bytes(range(30, 100)))
        outer = bytearray(range(100))
        play(heap, a, outer, [(8, 20)])
        with pytest.raises(Undo), heap.transaction():
            play(heap, a, bytearray(outer), stores, 97)
            with heap.transaction():
                heap.store(a + 3, b"in an inner one that ends well")
            raise Undo
        assert heap.load(a, 100) == bytes(outer)
        with heap.transaction():
            play(heap, a, outer, stores, 97)
            with pytest.raises(Undo), heap.transaction():
                heap.store(a + 3, b"in an inner one that does not")
                heap.deallocate(a + 50, 10)
                raise Undo
        assert heap.load(a, 100) == bytes(outer)
        play(heap, a, outer, [(19, 2)])
    assert heap.load(a, 100) == bytes(outer)
    prove(heap)
    with heap.snapshot() as after:
        assert after.load(a, 100) == bytes(outer)


def test_an_exception_that_leaves_the_outermost_block(heap):
    a = heap.add_blob(b"." * 100)
    heap.commit()
    with pytest.raises(Undo), heap.transaction():
        heap.store(a, b"x" * 100)
        b = heap.add_blob(b"new")
        heap.deallocate(a + 50, 50)
        with heap.transaction():
            heap.store(b, b"New")
        raise Undo
    assert heap.load(a, 100) == b"." * 100
    assert heap.allocated_blocks() == [(a, 100)]


def test_a_store_over_what_is_partly_new(heap):
    a = heap.add_blob(b"old" * 10)
    heap.commit()
    assert heap.resize(a, 30, 60) == a
    heap.store(a + 20, b"x" * 20)
    heap.store(a + 59, b"!")
    assert heap.load(a, 60) == b"old" * 6 + b"ol" + b"x" * 20 + bytes(19) + b"!"
    old = heap.snapshot()
    heap.commit()
    assert old.load(a, 30) == b"old" * 10
    old.close()
    assert heap.load(a, 60) == b"old" * 6 + b"ol" + b"x" * 20 + bytes(19) + b"!"


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(("low", "size"), [(0, 100), (10, 20), (0, 15), (25, 50), (12, 6), (40, 60), (99, 1)])
def test_deallocating_with_a_store_over_it(heap, listed, low, size):
    a = heap.add_blob(b"." * 100)
    heap.commit()
    heap.store(a + 10, b"s" * 20)
    if listed:
        heap.commit()
    old = heap.snapshot()
    expected = bytearray(b"." * 10 + b"s" * 20 + b"." * 70)
    heap.deallocate(a + low, size)
    rest = [at for at in range(100) if not low <= at < low + size]
    for _ in range(4):
        assert [heap.load(a + at, 1) for at in rest] == [bytes([expected[at]]) for at in rest]
        assert heap.allocated_bytes == len(rest)
        heap.commit()
        heap.roots["n"] = heap.transaction_number
    assert old.load(a, 100) == (bytes(expected) if listed else b"." * 100)
    old.close()
    for number in range(3):
        heap.roots["n"] = number
        heap.commit()
    # What is allocated there again holds what is stored, never what once lay over it.
    again = [heap.allocate(1) for _ in range(size)]
    assert a + low in again
    for at in again:
        heap.store(at, b"!")
    heap.commit()
    assert [heap.load(at, 1) for at in again] == [b"!"] * size
    assert [heap.load(a + at, 1) for at in rest] == [bytes([expected[at]]) for at in rest]


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize("how", ["deallocate", "remove_blob", "clear", "resize", "shrink", "replace_blob"])
def test_a_commit_that_only_drops_patches(path, how):
    region = MemoryRegion(path)
    fence, a = region.allocate(1), region.add_blob(b"." * 100)
    region.add_blob(b"fence")
    region.commit()
    region.store(a + 10, b"s" * 20)
    region.commit()
    if how == "clear":
        region.clear()
    elif how == "replace_blob":
        region.replace_blob(a, 100, b"x" * 200)
    elif how == "resize":
        region.resize(a, 100, 200)
    elif how == "shrink":
        region.resize(a, 100, 5)
    else:
        getattr(region, how)(a, 100)
    assert region._store.patches.listed == ()
    region.commit()
    assert region._store.state.patches == ()
    region.verify()
    assert fence
    region.close()
    # A catalog that still names the patch lays it over whatever is allocated there next.
    with MemoryRegion(path, "r+") as again:
        for number in range(4):
            again.roots["n"] = number
            again.commit()
        b = again.add_blob(b"!" * 90)
        assert again.load(b, 90) == b"!" * 90
        again.commit()
        again.verify()


def test_reused_bytes_show_no_old_patch(heap):
    """A block is patched, freed, allocated anew and not stored into: no patch of its past lies over it."""
    a = heap.add_blob(b"." * 100)
    heap.commit()
    for number in range(6):
        heap.store(a, b"patched" * 10)
        heap.commit()
        heap.deallocate(a, 100)
        for _ in range(3):
            heap.roots["n"] = number
            heap.commit()
            heap.roots["n"] = -1
        a = heap.add_blob(b"fresh" * 20)
        assert heap.load(a, 100) == b"fresh" * 20
        heap.commit()
        assert heap.load(a, 100) == b"fresh" * 20
        prove(heap)


def test_the_first_store_after_reopening(path):
    with MemoryRegion(path) as region:
        a = region.add_blob(b"." * 100)
        region.commit()
        region.store(a, b"first")
    with MemoryRegion(path) as region:
        region.store(a + 3, b"second")
        assert region.load(a, 12) == b"firsecond..."
        region.rollback()
        assert region.load(a, 12) == b"first......."
        region.store(a + 3, b"second")
    with MemoryRegion(path, "r") as region:
        assert region.load(a, 12) == b"firsecond..."


def test_thousands_of_stores(heap):
    size = 30_000
    a = heap.allocate(size)
    heap.commit()
    model = bytearray(size)
    for at in range(0, size - 8, 15):
        heap.store_as("u64", a + at, at)
        model[at : at + 8] = at.to_bytes(8, "little")
    assert heap.load(a, size) == bytes(model)
    heap.commit()
    assert heap.load(a, size) == bytes(model)
    heap.store(a + 100, b"x" * 20_000)
    model[100:20_100] = b"x" * 20_000
    heap.commit()
    heap.roots["x"] = 1
    heap.commit()
    assert heap.load(a, size) == bytes(model)


def test_a_views_bytes_are_read_only(heap):
    a = heap.add_blob(b"." * 10)
    heap.commit()
    heap.store(a + 5, b"x")
    for view in (heap.view(a, 3), heap.view(a, 10)):
        assert view.readonly
        with pytest.raises(TypeError):
            view[0] = 1


def test_a_snapshots_view_outlives_the_snapshot(path):
    with MemoryRegion(path) as region:
        a = region.add_blob(b"." * 5000)
        b = region.add_blob(b"," * 5000)
        region.commit()
        region.store(b, b"patch")
        region.commit()
        taken = region.snapshot()
        views = taken.view(a, 5000), taken.view(b, 5000)
        taken.close()
        region.deallocate(a, 5000)
        region.deallocate(b, 5000)
        for number in range(5):
            region.roots["n"] = number
            region.commit()
            c = region.add_blob(b"x" * 20_000)
            region.commit()
            region.deallocate(c, 20_000)
        assert bytes(views[0]) == b"." * 5000
        assert bytes(views[1]) == b"patch" + b"," * 4995


# -- what is on the disk -----------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["deallocate", "shrink", "move", "clear", "drop part"])
def test_writing_where_a_synced_commit_wrote_and_freed(way):
    """A block that one transaction allocates, stores into and frees is free for the next one at once.

    What the commit's digest covers must not include it: the next transaction's first store would undo the
    commit for whoever opens the region after a kill.
    """
    device = Recorder()
    region = region_on(device)
    region.roots["n"] = 1
    region.commit()
    a = region.add_blob(b"gone" * 50)
    fence = region.allocate(1)
    if way == "deallocate":
        region.deallocate(a, 200)
    elif way == "shrink":
        region.resize(a, 200, 10)
    elif way == "move":
        region.resize(a, 200, 300)
    elif way == "drop part":
        region.deallocate(a + 100, 5)
    else:
        region.clear()
    region.roots["n"] = 2
    region.commit()
    for size in (5, 90, 100, 190, 200, 300, 5000):
        region.store(region.allocate(size), b"!" * size)
        with region_of(device.bytes()) as after_a_kill:
            assert after_a_kill.roots["n"] == (2,), (way, size)
    assert fence
    region.rollback()
    region.close()


@pytest.mark.parametrize("sync", [True, False])
def test_killed_at_every_point_of_a_workload_with_stores(sync):
    """What was written is there, in order: whoever opens it then sees a commit as a whole."""
    device = Recorder()
    region = region_on(device)
    a, b = region.add_blob(b"." * 50), region.add_blob(b"," * 50)
    region.roots["n"] = 0
    region.commit()
    states = {0: (b"." * 50, b"," * 50)}
    images = []
    for number in range(1, 9):
        region.roots["n"] = number
        region.store(a + number, b"%d" % number * 10)
        images.append((number - 1, device.bytes()))
        region.store(b + 3 * number, b"%d" % number * 7)
        c = region.add_blob(b"c" * 100 * number)
        if number % 2:
            region.deallocate(c, 100 * number)
        images.append((number - 1, device.bytes()))
        states[number] = region.load(a, 50), region.load(b, 50)
        region.commit(sync)
        images.append((number, device.bytes()))
    region.close()
    images.append((8, device.bytes()))
    for number, image in images:
        for boot in (BOOT, NEXT_BOOT):
            with region_of(image, boot) as again:
                found = again.roots["n"][0]
                assert found == number or (boot == NEXT_BOOT and not sync and found <= number)
                assert (again.load(a, 50), again.load(b, 50)) == states[found]
                prove(again)
                again.roots["n"] = 100
                again.commit()
                assert (again.load(a, 50), again.load(b, 50)) == states[found]


# -- who may not ---------------------------------------------------------------------------------------


CHANGES = {
    "allocate": lambda heap, a: heap.allocate(1),
    "deallocate": lambda heap, a: heap.deallocate(a, 1),
    "resize": lambda heap, a: heap.resize(a, 5, 2),
    "store": lambda heap, a: heap.store(a, b"x"),
    "add_blob": lambda heap, a: heap.add_blob(b"x"),
    "remove_blob": lambda heap, a: heap.remove_blob(a, 1),
    "replace_blob": lambda heap, a: heap.replace_blob(a, 5, b"x"),
    "add_as": lambda heap, a: heap.add_as("u8", 1),
    "store_as": lambda heap, a: heap.store_as("u8", a, 1),
    "remove_as": lambda heap, a: heap.remove_as("u8", a),
    "deallocate_range": lambda heap, a: heap.deallocate_range(a, a + 1),
    "clear": lambda heap, a: heap.clear(),
    "grow": lambda heap, a: heap.grow(1),
    "set a root": lambda heap, a: heap.roots.__setitem__("a", 1),
    "delete a root": lambda heap, a: heap.roots.__delitem__("a"),
    "drop": lambda heap, a: heap.drop("main"),
}
READS = {
    "load": lambda heap, a: heap.load(a, 5),
    "view": lambda heap, a: bytes(heap.view(a, 5)),
    "load_as": lambda heap, a: heap.load_as("u8", a),
    "free_blocks": lambda heap, a: heap.free_blocks(),
    "allocated_blocks": lambda heap, a: heap.allocated_blocks(),
    "is_allocated": lambda heap, a: heap.is_allocated(a, 5),
    "is_free": lambda heap, a: heap.is_free(a, 5),
    "size": lambda heap, a: heap.size,
    "capacity": lambda heap, a: heap.capacity,
    "pages": lambda heap, a: heap.pages,
    "allocated_bytes": lambda heap, a: heap.allocated_bytes,
    "free_bytes": lambda heap, a: heap.free_bytes,
    "roots": lambda heap, a: dict(heap.roots),
    "a root": lambda heap, a: heap.roots["a"],
    "number of roots": lambda heap, a: len(heap.roots),
}


@pytest.fixture
def small(path):
    """Return the path of a region with a block of 5 bytes, which is at the root "a"."""
    with MemoryRegion(path) as region:
        region.buffer("main").append(1)
        region.roots["a"] = region.add_blob(b"block"), 5
    return path


@pytest.mark.parametrize("call", CHANGES.values(), ids=CHANGES)
def test_readers_change_nothing(small, call):
    with MemoryRegion(small) as region, MemoryRegion(small, "r") as reader, region.snapshot() as snapshot:
        a = region.roots["a"][0]
        for handle in (reader, snapshot):
            with pytest.raises(ReadOnlyError, match="open for reading only"):
                call(handle, a)
            assert (handle.load(a, 5), handle.names()) == (b"block", ["main"])


@pytest.mark.parametrize("call", READS.values(), ids=READS)
def test_readers_read(small, call):
    with MemoryRegion(small) as region, MemoryRegion(small, "r") as reader, region.snapshot() as snapshot:
        a = region.roots["a"][0]
        assert call(region, a) == call(reader, a) == call(snapshot, a)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(
            call, id=name,
        )
        for name, call in {**CHANGES, **READS}.items()
    ],
)  # fmt: skip
def test_closed_handles(small, call):
    region = MemoryRegion(small)
    a = region.roots["a"][0]
    snapshot = region.snapshot()
    roots = region.roots
    snapshot.close()
    region.close()
    for handle in (region, snapshot):
        with pytest.raises(RegionClosedError, match="is closed"):
            call(handle, a)
    with pytest.raises(RegionClosedError):
        roots["a"]


@pytest.mark.parametrize("handle", ["reader", "closed"])
def test_storing_nothing_where_nothing_may_be_stored(small, handle):
    with MemoryRegion(small, "r") as region:
        a = region.roots["a"][0]
        if handle == "closed":
            region.close()
        with pytest.raises(StableMemoryError):
            region.store(a, b"")


def test_a_snapshot_knows_no_byte_behind_its_end(path):
    with MemoryRegion(path) as region:
        a = region.add_blob(b"x" * 100)
        region.commit()
        old = region.snapshot()
        b = region.add_blob(b"y" * REGION_PAGE)
        region.commit()
        with pytest.raises(BlockError):
            old.load(b, REGION_PAGE)
        assert old.refresh()
        assert old.load(b, REGION_PAGE) == b"y" * REGION_PAGE
        assert old.load(a, 100) == b"x" * 100
        old.close()


# -- commits that nobody calls for -------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in CHANGES if name != "drop"])
def test_autocommit(path, name):
    with MemoryRegion(path, autocommit=True) as region:
        region.roots["a"] = a = region.add_blob(b"block"), 5
        number = region.transaction_number
        CHANGES[name](region, a[0])
        assert region.transaction_number > number
        assert region.stats().changes == 0
        with MemoryRegion(path, "r") as reader:
            assert reader.allocated_blocks() == region.allocated_blocks()
            assert dict(reader.roots) == dict(region.roots)
            for at, size in region.allocated_blocks():
                assert reader.load(at, size) == region.load(at, size)
        number = region.transaction_number
        with pytest.raises((BlockError, ValueError)):
            region.deallocate(1, 1)
        assert region.transaction_number == number, "what fails commits nothing"
        with region.transaction():
            region.add_blob(b"one")
            region.add_blob(b"two")
            assert region.transaction_number == number
        assert region.transaction_number == number + 1


def test_commit_every_so_many_changes(path):
    with MemoryRegion(path, commit_every=3) as region:
        region.add_blob(b"1")
        region.add_blob(b"2")
        assert region.stats().changes == 2
        region.roots["three"] = 3
        assert region.stats().changes == 0
        with MemoryRegion(path, "r") as reader:
            assert dict(reader.roots) == {"three": (3,)}


def test_a_failed_call_leaves_a_block_going(heap):
    a = heap.add_blob(b"x" * 10)
    with heap.transaction():
        heap.store(a, b"y")
        with pytest.raises(BlockError):
            heap.deallocate(a + 5, 6)
        with heap.transaction():
            b = heap.add_blob(b"z")
            with pytest.raises(BlockError):
                heap.store(b, b"..")
        heap.store(b, b"!")
    assert heap.load(a, 10) + heap.load(b, 1) == b"yxxxxxxxxx!"


def test_lists_and_blocks_in_one_commit(path):
    with MemoryRegion(path) as region:
        values = region.buffer("main", "bytes")
        for number in range(300):
            values.append(b"value %d, of some length" % number * 3)
            region.roots[f"{number % 7}"] = region.add_blob(values[-1]), len(values[-1])
            if number % 50 == 0:
                region.commit()
    with MemoryRegion(path, "r") as region:
        values = region.buffer("main", "bytes")
        assert [region.load(*region.roots[f"{n % 7}"]) for n in range(293, 300)] == values[293:]
        region.verify()


# -- what a reader of the source found ----------------------------------------------------------------


def test_a_full_disk_under_a_patch_over_a_hole():
    """Writing in place needs room that the disk has not: nothing else may fail for it."""
    device = Recorder()
    region = region_on(device)
    other = region.add_blob(b"to be freed")
    hole = region.allocate(1 << 20)
    region.commit()
    region.store(hole + 500_000, b"patch")
    region.commit()
    write_run = device.write_run

    def full(address, pieces):
        if hole <= address < hole + (1 << 20):
            raise RegionFullError("no space left")
        write_run(address, pieces)

    device.write_run = full
    for _ in range(3):
        region.roots["number"] = 1, _
        region.commit()
    region.deallocate(other, 11)
    region.commit()
    assert region.load(hole + 500_000, 5) == b"patch"
    device.write_run = write_run
    for _ in range(4):
        region.roots["number"] = 2, _
        region.commit()
    assert not region._store.patches.listed
    assert region.load(hole + 500_000, 5) == b"patch"
    region.close()


def test_dropping_a_list_whose_handle_owns_the_region(path):
    values = MemoryBuffer(path)
    values.append(1)
    values.commit()
    region = values.region
    with region.transaction():
        region.drop("main")
        assert values.closed
        region.roots["still"] = 1
    region.commit()
    assert region.names() == []
    values.close()
    assert region.closed


def test_a_dropped_list_of_an_inner_block_that_is_undone(heap):
    with heap.transaction():
        heap.add_blob(b"x")
        with pytest.raises(Undo), heap.transaction():
            heap.buffer("new").append(1)
            heap.drop("new")
            raise Undo
        heap.buffer("new").append(2)
    assert heap.buffer("new")[:] == [2]


def test_a_fork_with_a_root_pending(path):
    with MemoryRegion(path) as region:
        region.roots["a"] = 1
        pid = os.fork()
        if pid == 0:
            try:
                region.commit()
                os._exit(0 if dict(region.roots) == {} else 1)
            finally:
                os._exit(2)
        assert os.waitpid(pid, 0)[1] == 0
