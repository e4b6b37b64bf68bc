# cython: annotation_typing=False
"""Relocation: moves the blobs of one leaf, the leaf and the nodes above it down in the region.

A blob is verified and copied into a hole that nothing reaches, and its entry is changed. A node is owned, and
therefore written out to a new place in free space. Both are changes of the transaction like any other.
"""

from ...layout import BLOB_PAGE
from .index import Index
from .kinds import Node

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ...layout import NODE_SIZE
    from ..format.words import low32
    from .kinds import kind_of, level_of
    from .node import before, check_of, child_of, count_of, spot_of
    from .path import bad_node

__all__ = ["relocate"]


def relocate(index: Index, position: int, bound: int, below_bound: bool) -> tuple[int, int]:
    """Move blobs and nodes that are at ``bound`` or above: the blobs of a leaf, the leaf, the nodes above it.

    O(log n + bytes moved).

    Args:
        index: the list.
        position: the position of a value in the leaf.
        bound: blobs and nodes below this address stay.
        below_bound: whether a blob stays if it fits nowhere below the bound; if not, it moves down if it can.

    Returns:
        The position after the leaf, and the number of bytes moved.
    """
    pager = index.pager
    dirty = pager.dirty_nodes
    if _lies_above(index, position, bound):
        index.own_path(position)
        index.touch()
    page = index.leaf(position)
    kind = kind_of(page)
    begin = index.leaf_begin()
    end = index.leaf_end()
    node: Node | None = None
    moved = run = run_end = 0
    pieces: list[bytes] = []
    for spot, first, second in kind.blobs(page):
        if first >> 63 or first < bound:
            continue
        size = low32(second)
        blob = pager.blob(first, second)
        address = pager.space.allocate_below(BLOB_PAGE, size, bound if below_bound else first)
        if address == 0:
            continue
        if node is None:
            node = index.own_path(begin)
            index.touch()
        kind.set_blob(node.page, spot, address)
        pager.release(first, second)
        if address != run_end:
            if pieces:
                pager.region.write_run(run, pieces)
            pieces = []
            run = run_end = address
        pieces.append(blob)
        run_end += size
        moved += size
    if pieces:
        pager.region.write_run(run, pieces)
    return end, moved + (pager.dirty_nodes - dirty) * NODE_SIZE


def _lies_above(index: Index, position: int, bound: int) -> bool:
    """Return whether any node on the way to a position is at ``bound`` or above."""
    pager = index.pager
    reference = index.root
    check = index.root_check
    for level in range(index.height - 1, -1, -1):
        if reference >= bound and not reference >> 63:
            return True
        page = pager.page(reference, check)
        if level_of(page) != level:
            bad_node(pager, reference, f"a node of level {level}", page)
        if level == 0:
            break
        spot = spot_of(page, position)
        if spot >= count_of(page):
            bad_node(pager, reference, f"a node with value {position}", page)
        position -= before(page, spot)
        reference = child_of(page, spot)
        check = check_of(page, spot)
    return False
