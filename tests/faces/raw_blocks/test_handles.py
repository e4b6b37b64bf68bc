"""Raw blocks through readers, snapshots and closed handles, and commits that nobody calls for."""

import pytest

from stablemem import BlockError, MemoryRegion, ReadOnlyError, RegionClosedError, StableMemoryError
from stablemem.layout import REGION_PAGE

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
