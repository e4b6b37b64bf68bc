# cython: annotation_typing=False
"""Rebalancing of leaves: merges two neighbours, or spreads their entries evenly, after a deletion.

``OwnedTree.rebalance`` chooses the leaves (path.py); this module knows nothing about positions.
"""

from .kinds import Node
from .pager import Pager
from .path import cut

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ...layout import LEAF_CAPACITY
    from .kinds import level_of
    from .node import (
        before,
        check_of,
        child_of,
        close_entries,
        count_of,
        deal_children,
        entries_of,
        join_children,
        put_entries,
        set_count,
    )
    from .path import bad_node

__all__: list[str] = []


def even_out_leaves(pager: Pager, parent: Node, spot: int, last: bool) -> bool:
    """Rebalance leaf ``spot`` with a sibling; return False if both are empty.

    It works directly in the page of the parent. A queue, which deletes at one end, does little else; without
    lists of all children, this takes a tenth of the time.
    """
    page = parent.page
    count = count_of(page)
    left = spot if spot + 1 < count else spot - 1
    one = pager.own(child_of(page, left), check_of(page, left))
    two = pager.own(child_of(page, left + 1), check_of(page, left + 1))
    have, more = count_of(one.page), count_of(two.page)
    total = have + more
    if level_of(one.page) or level_of(two.page) or total != before(page, left + 2) - before(page, left):
        bad_node(pager, 0, "a leaf with as many entries as its parent counts", two.page)
    # Both are dirty now. Note that in the page of the parent first, before anything else is done.
    deal_children(page, left, have, one.reference, two.reference)
    if total == 0:
        return False
    kept = cut(total, LEAF_CAPACITY, last and left + 2 == count)[0]
    entries = entries_of(one.page, 0, have) + entries_of(two.page, 0, more)
    close_entries(one.page, 0, have)
    set_count(one.page, kept)
    put_entries(one, 0, entries[: 16 * kept])
    one.pending = True
    if kept == total:
        join_children(page, left, one.reference)
        pager.drop(two.reference)
        return True
    close_entries(two.page, 0, more)
    set_count(two.page, total - kept)
    put_entries(two, 0, entries[16 * kept :])
    two.pending = True
    deal_children(page, left, kept, one.reference, two.reference)
    return True
