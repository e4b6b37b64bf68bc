"""Packing: estimates how far down the nodes and blobs of a region could be moved.

Raw blocks stay where they are. An eighth of the holes counts as useless, because not everything fits.
"""

from ...layout import BLOB_PAGE, HEADER_SIZE, NODE_PAGE, RAW_PAGE, REGION_PAGE
from .freespace import FreeSpace
from .freetree import FreeTree

__all__ = ["packed_end"]

Part = tuple[int, int, bool]
"""(address, size, whether this is room to move to); if not, it is to be moved."""


def packed_end(space: FreeSpace, oldest: int | None, gone: FreeTree | None = None) -> tuple[int, int]:
    """Return the end that a region could have if nodes and blobs moved into the holes below it.

    O(b log b) for b free blocks, blocks in limbo, and runs of region pages of one kind.

    Args:
        space: the free space.
        oldest: the oldest commit that a snapshot is open on. Blocks freed later are no room, and are not
            moved. None if there is no snapshot; then all blocks in limbo count as free.
        gone: allocated blocks that will be freed, and count as free.

    Returns:
        The address from which on everything could move down: a multiple of region pages, or the end of the
        last raw page if that is higher. Then the number of bytes in nodes and blobs from there on.
    """
    parts = _parts(space, oldest, gone)
    need = sum(size for _, size, free in parts if not free)
    # The page of the header, and one page of blobs if there are any.
    lowest = max(
        sum(space.areas[RAW_PAGE].last() or ()), REGION_PAGE * (1 + (space.areas[BLOB_PAGE].count > 0))
    )
    have = 0
    for address, size, free in parts:
        if address + size <= lowest:
            reach = size
        else:
            missing = need - (have - (have >> 3))
            reach = -(-missing * 8 // 7) if free else missing
            reach = max(reach, lowest - address, 0)
            if reach <= size:
                end = -(-(address + reach) // REGION_PAGE) * REGION_PAGE
                return min(max(end, lowest), space.end), max(0, need - (0 if free else reach))
        if free:
            have += size
        else:
            need -= size
    return space.end, 0


def _parts(space: FreeSpace, oldest: int | None, gone: FreeTree | None) -> list[Part]:
    """Return the ranges that are to be moved, and those that have room, by address."""
    holes = [(0, HEADER_SIZE, False)]
    parts: list[Part] = []
    for address, size in space.free_blocks():
        if space.kind_at(address):
            holes.append((address, size, True))
        else:
            parts.append((address, size, True))
    for each in space.limbo:
        free = oldest is None or each.transaction <= oldest
        holes += [(address, size, free) for address, size in each.blocks.blocks()]
    if gone is not None:
        holes += [(address, size, True) for address, size in gone.blocks()]
    for layer in space.layers:
        holes += [(address, size, False) for address, size in layer.freed.blocks()]
    holes.sort()
    at = 0
    for address, size in sorted(space.areas[NODE_PAGE].blocks() + space.areas[BLOB_PAGE].blocks()):
        place, stop = address, address + size
        while at < len(holes) and holes[at][0] < stop:
            begin, length, free = holes[at]
            low, high = max(begin, place), min(begin + length, stop)
            if low < high:
                if place < low:
                    parts.append((place, low - place, False))
                if free:
                    parts.append((low, high - low, True))
                place = high
            if begin + length > stop:
                break  # a freed block may lie in pages of two kinds
            at += 1
        if place < stop:
            parts.append((place, stop - place, False))
    parts.sort()
    return parts
