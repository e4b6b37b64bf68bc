# cython: annotation_typing=False
"""Measure: the space that an index and its blobs take."""

from .index import Index

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ..format.words import low32
    from .node import check_of, child_of, count_of, word1

__all__ = ["measure"]


def measure(index: Index) -> tuple[int, int, int]:
    """Return the bytes of the blobs, the number of nodes and the number of leaves. O(n), reads only nodes."""
    size = 0
    leaves = 0
    position = 0
    while position < index.length:
        page = index.leaf(position)
        for spot in range(count_of(page)):
            size += low32(word1(page, spot))
        leaves += 1
        position = index.leaf_end()
    above = _inner_below(index, index.root, index.root_check, index.height - 1) if index.height else 0
    return size, leaves + above, leaves


def _inner_below(index: Index, reference: int, check: int, level: int) -> int:
    """Return the number of inner nodes in a subtree, given its root and its level."""
    if level == 0:
        return 0
    total = 1
    if level > 1:
        page = index.pager.page(reference, check)
        for spot in range(count_of(page)):
            page = index.pager.page(reference, check)
            total += _inner_below(index, child_of(page, spot), check_of(page, spot), level - 1)
    return total
