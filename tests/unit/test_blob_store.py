"""The store of a Blobify, below the public calls: how it lies in the region, and what damage does to it."""

import pytest

from stablemem import CorruptRegionError, MemoryBuffer, MemoryRegion, StableMemoryError
from stablemem.blob_store import RegionStore, binds, copy_store, gaps
from stablemem.blobify import Text
from support.recorded import prove


@pytest.fixture
def region():
    region = MemoryRegion()
    region.buffer("one")
    yield region
    if not region.closed:
        region.close()


def test_same_content_is_the_same_object(region):
    store = RegionStore(region, "one")
    assert store.load() == b""
    store.save(bytearray(b"content"))
    first = store.load()
    assert first == b"content"
    assert type(first) is bytes
    assert store.load() is first
    store.save(b"another")
    assert store.load() == b"another"
    assert RegionStore(region, "one").load() == b"another"
    region.commit()
    prove(region)


def test_nothing_saved_is_no_root_and_no_block(region):
    region.commit()
    before = region.allocated_bytes
    store = RegionStore(region, "one")
    store.save(b"x" * 100_000)
    assert region.allocated_bytes == before + 100_000
    assert region._handle.roots.keys() == {"\0one"}
    store.save(b"")
    assert (store.load(), region.allocated_bytes, region._handle.roots) == (b"", before, {})
    store.save(b"")
    assert region._handle.roots == {}


def test_a_list_that_is_not_there_has_no_store(region):
    with pytest.raises(StableMemoryError, match="the list 'two' was dropped"):
        RegionStore(region, "two").save(b"x")
    assert region._handle.roots == {}


def test_the_longest_name_has_no_room_for_a_store(region):
    for size in (65535, 65534):
        region.buffer("x" * size)
    RegionStore(region, "x" * 65534).save(b"content")
    region.commit()
    with pytest.raises(StableMemoryError, match="at most 65534 bytes"):
        RegionStore(region, "x" * 65535).save(b"content")
    assert RegionStore(region, "x" * 65534).load() == b"content"


def test_clear_frees_all_but_stores(region):
    region.add_blob(b"before" * 10)
    store = RegionStore(region, "one")
    store.save(b"content")
    region.add_blob(b"after" * 10)
    ((address, size),) = [root[:2] for root in region._handle.roots.values()]
    assert gaps(region, 0, 1 << 20) == [(0, address), (address + size, 1 << 20)]
    assert gaps(region, address, address + size) == []
    assert gaps(region, address + 1, address + 3) == []
    assert gaps(region, address + size, address + size + 5) == [(address + size, address + size + 5)]
    assert gaps(region, address - 5, address + 1) == [(address - 5, address)]
    region.clear()
    assert (region.allocated_blocks(), store.load()) == ([(address, size)], b"content")
    region.deallocate_range(0, 1 << 30)
    assert RegionStore(region, "one").load() == b"content"


def test_copies(region):
    with MemoryRegion() as other:
        copy_store(region, "one", other, "two")
        assert other._handle.roots == {}
        RegionStore(region, "one").save(b"content")
        copy_store(region, "one", other, "two")
        assert RegionStore(other, "two").load() == b"content"


def test_what_was_damaged_is_told_and_not_freed(region):
    RegionStore(region, "one").save(b"content")
    ((address, size),) = [root[:2] for root in region._handle.roots.values()]
    region.store(address, b"C")
    region.commit()
    with pytest.raises(CorruptRegionError, match="the store of the Blobify of 'one', with checksum"):
        RegionStore(region, "one").load()
    with pytest.raises(CorruptRegionError, match="the store of the Blobify of 'one'"):
        region.verify()
    region.drop("one")
    assert region._handle.roots == {}
    assert region.load(address, size) == b"Content"
    assert region.is_allocated(address, size)


def test_a_block_that_was_freed_is_told(region):
    RegionStore(region, "one").save(b"content")
    region.commit()
    ((address, size),) = [root[:2] for root in region._handle.roots.values()]
    region.deallocate(address, size)
    region.commit()
    with pytest.raises(CorruptRegionError, match="the store of the Blobify of 'one'"):
        region.verify()
    RegionStore(region, "one").save(b"again")
    region.commit()
    assert region.verify().faults == []


@pytest.mark.parametrize(
    "root", [(), (5,), (1 << 20, 10, 0), (0, 10, 0), (65536, 0, 0), (65536, -5, 0), (-1, 10, 0)]
)
def test_roots_that_name_no_block(region, root):
    region.add_blob(b"x" * 100)
    region._handle.set_root("\0one", root)
    region.commit()
    with pytest.raises(CorruptRegionError, match=r"a root of|with checksum"):
        RegionStore(region, "one").load()
    with pytest.raises(CorruptRegionError, match="the store of the Blobify of 'one'"):
        region.verify()
    RegionStore(region, "one").save(b"mended")
    region.commit()
    assert region.verify().faults == []


def test_who_wants_a_store():
    assert not binds(Text())
    assert binds(type("Bound", (), {"bind": lambda self, store: self})())
    with MemoryBuffer() as values:
        assert values._codec.bound is False
