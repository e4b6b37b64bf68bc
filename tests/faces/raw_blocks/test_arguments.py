"""Sizes, addresses and data that no raw block has: each is refused and changes nothing."""

from array import array

import pytest

from stablemem import BlockError
from stablemem.layout import HEADER_SIZE, NODE_SIZE, REGION_PAGE
from support.probe import handle_of
from support.raw import blocks, state

HUGE = [-1, -(2**70), 2**56, 2**63, 2**64 - 1, 2**64, 2**70]
"""Addresses that no region has, some of them too large for a machine word."""


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


def not_raw(heap):
    """Yield the address of something of every other kind."""
    report = {"header": 0, "slot": NODE_SIZE, "end of the header": HEADER_SIZE - 1, "node": HEADER_SIZE}
    store = handle_of(heap)
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
    assert handle_of(heap).space.kind_at(a + REGION_PAGE) == 2
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
