# cython: annotation_typing=False
"""Repair: what a deletion leaves of the nodes of an index is freed, merged or evened out here.

``Index`` says where to look (index.py); these functions know nothing of positions. A node is freed with
all that lies below it, once; a pair of siblings is dealt out to one or two nodes that hold enough.
"""

from ...errors import CorruptRegionError
from ..format.words import Page
from .kinds import Node
from .pager import Pager

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ...layout import INNER_CAPACITY, INNER_MINIMUM, LEAF_CAPACITY, LEAF_MINIMUM
    from .kinds import level_of
    from .node import (
        before,
        check_of,
        child_of,
        children_of,
        close_entries,
        count_of,
        deal_children,
        entries_of,
        join_children,
        put_children,
        put_entries,
        set_count,
        total_of,
        word0,
        word1,
    )

__all__ = ["Children", "cut"]

Children = list[tuple[int, int, int]]


def cut(total: int, capacity: int, fill: bool) -> list[int]:
    """Return how to divide ``total`` entries among nodes: full ones and a rest, or evenly.

    >>> cut(600, 255, True), cut(600, 255, False)
    ([255, 255, 90], [200, 200, 200])
    """
    if fill:
        pieces = [capacity] * (total // capacity)
        return [*pieces, total % capacity] if total % capacity else pieces
    number = (total + capacity - 1) // capacity
    return [total // number + (1 if piece < total % number else 0) for piece in range(number)]


def bad_node(pager: Pager, reference: int, expected: str, page: Page) -> None:
    """Raise for a node that is not what its parent says."""
    found = f"level {level_of(page)} with {count_of(page)} entries"
    raise CorruptRegionError(reference if not reference >> 63 else 0, expected, found, pager.region.path)


def free_below(pager: Pager, reference: int, check: int, level: int, expected: int) -> None:
    """Free a whole subtree of so many values."""
    page = pager.page(reference, check)
    if level_of(page) != level or total_of(page) != expected:
        bad_node(pager, reference, f"a node of level {level} with {expected} values", page)
    if level:
        for address, child_check, count in children_of(page):
            free_below(pager, address, child_check, level - 1, count)
    else:
        for slot in range(count_of(page)):
            pager.release(word0(page, slot), word1(page, slot))
    pager.drop(reference)


def is_under_full(pager: Pager, reference: int, level: int, edge: bool) -> bool:
    """Return whether a child holds less than it must; only dirty ones can."""
    if not reference >> 63:
        return False
    page = pager.page(reference, 0)
    count = count_of(page)
    if edge:
        return count == 0 or total_of(page) == 0
    return count < (INNER_MINIMUM if level else LEAF_MINIMUM)


def even_out(pager: Pager, parent: Node, slot: int, level: int, last: bool) -> None:
    """Merge child ``slot``, of a level, with a sibling, or even the two out."""
    if level == 0 and count_of(parent.page) > 1 and even_out_leaves(pager, parent, slot, last):
        return
    children = children_of(parent.page)
    if len(children) == 1:
        # Only at the right edge, with nothing below: the parent is next, empty.
        free_below(pager, children[0][0], children[0][1], level, 0)
        put_children(parent, [])
        return
    left = slot if slot + 1 < len(children) else slot - 1
    one = pager.own(children[left][0], children[left][1])
    two = pager.own(children[left + 1][0], children[left + 1][1])
    fill = last and left + 2 == len(children)
    pair: Children = []
    if level:
        # An emptied child goes now: kept, it could make a pair that evens out to itself for ever.
        below = []
        for address, check, values in children_of(one.page) + children_of(two.page):
            if values:
                below.append((address, check, values))
            else:
                free_below(pager, address, check, level - 1, 0)
        for piece in cut(len(below), INNER_CAPACITY, fill):
            home = two if pair else one
            put_children(home, below[:piece])
            del below[:piece]
            pair.append((home.reference, 0, total_of(home.page)))
    for spare in (one, two)[len(pair) :]:
        pager.drop(spare.reference)
    children[left : left + 2] = pair
    put_children(parent, children)


def even_out_leaves(pager: Pager, parent: Node, slot: int, last: bool) -> bool:
    """Do it to leaves, in the parent's page itself; return whether there was anything in the two.

    A queue, which deletes at one end, does little else: without lists of all children it takes a tenth.
    """
    page = parent.page
    count = count_of(page)
    left = slot if slot + 1 < count else slot - 1
    one = pager.own(child_of(page, left), check_of(page, left))
    two = pager.own(child_of(page, left + 1), check_of(page, left + 1))
    have, more = count_of(one.page), count_of(two.page)
    total = have + more
    if level_of(one.page) or level_of(two.page) or total != before(page, left + 2) - before(page, left):
        bad_node(pager, 0, "a leaf with as many entries as its parent counts", two.page)
    # Both are dirty now, and the page says so, whatever becomes of them.
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
