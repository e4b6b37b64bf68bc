"""allocate, resize and deallocate: where a block goes, and what is freed."""

import pytest

from stablemem import BlockError, MemoryRegion
from stablemem.layout import MAX_ADDRESS, REGION_PAGE
from support.raw import blocks
from support.recorded import prove


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
