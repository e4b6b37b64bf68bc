"""What a region says of its raw blocks: which bytes are allocated or free, and how many."""

import pytest

from stablemem import BlockError, MemoryRegion, RegionFullError
from stablemem.layout import HEADER_SIZE, MAX_ADDRESS, REGION_PAGE
from support.raw import blocks, state
from support.recorded import Recorder, prove, region_on


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
