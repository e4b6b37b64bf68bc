"""Packing: how far down a region's nodes and blobs could be moved, as an estimate.

Raw blocks stay where they are. An eighth of the holes is taken to be of no use, since not everything fits.
"""

from ...layout import BLOB_PAGE, HEADER_SIZE, NODE_PAGE, RAW_PAGE, REGION_PAGE
from .freespace import FreeSpace
from .freetree import FreeTree

__all__ = ["packed_end"]

Part = tuple[int, int, bool]
"""(address, size, whether it is room to move to; else it is to be moved)"""


def packed_end(space: FreeSpace, oldest: int | None, gone: FreeTree | None = None) -> tuple[int, int]:
    """Return where a region could end if nodes and blobs moved into the holes below.

    O(b log b) in free blocks, blocks in limbo, and runs of region pages of one kind.

    Args:
        space: the free space.
        oldest: the oldest commit that a snapshot is open on: what was freed later is neither; None for none,
            and then what is in limbo counts as free.
        gone: allocated blocks that will be freed, and count as free.

    Returns:
        The address from which on all could move, a multiple of region pages, or where the last raw page ends
        if that is higher; and the bytes in nodes and blobs from there on.
    """
    parts = _parts(space, oldest, gone)
    need = sum(size for _, size, free in parts if not free)
    # The header's page, and one of blobs if there is any.
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
    """Return what is to be moved, and what there is room in, by address."""
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
                break  # what was freed together may lie in pages of two kinds
            at += 1
        if place < stop:
            parts.append((place, stop - place, False))
    parts.sort()
    return parts
