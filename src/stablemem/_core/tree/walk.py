# cython: annotation_typing=False
"""Walk: verifies every node and every blob of a tree of any kind again."""

from collections.abc import Callable

from ...errors import CorruptRegionError
from .pager import Pager

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ..format.words import low32
    from .kinds import kind_of, level_of

__all__ = ["walk"]


def walk(
    pager: Pager, mark: int, root: int, check: int, level: int, seen_node: Callable[[int], None],
    seen_blob: Callable[[int, int], None], verify_blobs: bool,
) -> int:  # fmt: skip
    """Call back for every node and blob of a subtree; return the number of values in it.

    Every page is verified again, even if it was verified before. With ``verify_blobs``, every blob is, too.

    Args:
        pager: has the nodes.
        mark: the mark byte of the tree's kind.
        root: address of the root of the subtree.
        check: checksum of its page.
        level: the level that it must have.
        seen_node: called with the address of each node.
        seen_blob: called with address and size of each blob.
        verify_blobs: whether each blob is read and verified.

    Raises:
        CorruptRegionError: a page, a count, a level or a blob is wrong.
    """
    if not root >> 63:
        pager.verify(root, check)
    page = pager.page(root, check)
    if level_of(page) != level:
        found_level = f"one of level {level_of(page)}"
        raise CorruptRegionError(root, f"a node of level {level}", found_level, pager.region.path)
    kind = kind_of(page)
    if kind.mark != mark:
        found_mark = f"one of mark {kind.mark}"
        raise CorruptRegionError(root, f"a node of mark {mark}", found_mark, pager.region.path)
    if level == 0:
        # Read these before the callbacks: after a callback, the page may be at another address in memory.
        count, blobs = kind.count(page), kind.blobs(page)
        seen_node(root)
        for _, first, second in blobs:
            if verify_blobs:
                pager.blob(first, second)
            seen_blob(first, low32(second))
        return count
    children = kind.children(page)
    seen_node(root)
    total = 0
    for address, child_check, expected in children:
        found = walk(pager, mark, address, child_check, level - 1, seen_node, seen_blob, verify_blobs)
        if found != expected:
            raise CorruptRegionError(
                address, f"{expected} values below the node", f"{found}", pager.region.path
            )
        total += found
    return total
