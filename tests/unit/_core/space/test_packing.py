"""How far down nodes and blobs could be moved."""

from stablemem._core.space.freespace import FreeSpace
from stablemem._core.space.packing import packed_end
from stablemem.layout import BLOB_PAGE, HEADER_SIZE, NODE_PAGE, RAW_PAGE, REGION_PAGE


def test_where_a_region_could_end():
    space = FreeSpace()
    assert packed_end(space, None) == (REGION_PAGE, 0)
    blobs = [space.allocate(BLOB_PAGE, REGION_PAGE) for _ in range(10)]
    assert packed_end(space, None)[0] == space.end, "the 52 KiB behind the header are no page"
    for address in blobs[:8]:
        space.free(address, REGION_PAGE)
    end, above = packed_end(space, None)
    assert end == 3 * REGION_PAGE
    assert above <= 2 * REGION_PAGE
    space.allocate(RAW_PAGE, 10)
    space.allocate(NODE_PAGE, REGION_PAGE)
    raw = space.allocate(RAW_PAGE, 20 * REGION_PAGE)
    assert packed_end(space, None)[0] >= raw + 20 * REGION_PAGE, "raw blocks stay"


def test_what_a_snapshot_holds_is_no_hole():
    space = FreeSpace()
    blobs = [space.allocate(BLOB_PAGE, REGION_PAGE) for _ in range(10)]
    space.commit(5)
    for address in blobs[:8]:
        space.free(address, REGION_PAGE)
    assert packed_end(space, None)[0] == space.end, "freed in this transaction"
    space.commit(6)
    assert packed_end(space, 5)[0] == space.end
    assert packed_end(space, 6)[0] == packed_end(space, None)[0] == 3 * REGION_PAGE


def test_what_was_freed_together_may_lie_in_pages_of_two_kinds():
    space = FreeSpace()
    nodes = space.allocate(NODE_PAGE, 2 * REGION_PAGE - HEADER_SIZE)
    blob = space.allocate(BLOB_PAGE, 3 * REGION_PAGE)
    space.allocate(BLOB_PAGE, REGION_PAGE)
    assert (nodes, blob) == (HEADER_SIZE, 2 * REGION_PAGE)
    space.commit(5)
    space.free(nodes, 2 * REGION_PAGE - HEADER_SIZE)
    space.free(blob, 3 * REGION_PAGE)
    space.commit(6)
    assert len(space.limbo[0].blocks.blocks()) == 1
    assert packed_end(space, None)[0] == 2 * REGION_PAGE
    assert packed_end(space, 5)[0] >= 6 * REGION_PAGE
