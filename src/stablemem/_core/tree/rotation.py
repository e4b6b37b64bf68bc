# cython: annotation_typing=False
"""Rotation: cuts an index in two at a position, and joins the two parts in the other order.

    split   the nodes on the way to the position are cut in two; each half becomes a tree of its own
    join    the tree with fewer levels becomes a child at the edge of the other, at the level where it fits

Only the nodes on the ways to the two cuts are touched, O(log n) of them; entries and blobs stay where they
are. Under-full nodes after that are on these ways and dirty, and are rebalanced as after a deletion.
"""

from .index import Index
from .kinds import Node
from .pager import Pager

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from .kinds import level_of
    from .node import COUNTED, children_of, move_entries, put_children, set_child, total_of
    from .path import bad_node

__all__ = ["rotate_index"]

Tree = tuple[int, int, int, int]
"""(root, checksum, height, length), as from ``Index.state``."""


def rotate_index(index: Index, position: int) -> None:
    """Make the entry at ``position`` the first one; the entries before it come after the last. O(log n)."""
    if not 0 < position < index.length:
        return
    pager = index.pager
    height, length = index.height, index.length
    one, two = _cut(pager, index.root, index.root_check, height - 1, position, length)
    index.restore((two.reference, 0, height, length - position))
    index.rebalance(0)
    front: Tree = index.state()
    index.restore((one.reference, 0, height, position))
    index.rebalance(position)
    _join(index, front, index.state())


def _cut(
    pager: Pager, reference: int, check: int, level: int, position: int, expected: int
) -> tuple[Node, Node]:
    """Cut a subtree of ``expected`` values in two at a position; return the owned roots of both parts."""
    node = pager.own(reference, check)
    if level_of(node.page) != level or total_of(node.page) != expected:
        bad_node(pager, 0, f"a node of level {level} with {expected} values", node.page)
    right = pager.create(level, COUNTED)
    if level == 0:
        move_entries(node, right, position)
        return node, right
    children = children_of(node.page)
    spot = 0
    first = 0
    while position >= first + children[spot][2]:
        first += children[spot][2]
        spot += 1
    lower, upper = children[:spot], children[spot:]
    if position > first:
        address, child_check, values = children[spot]
        one, two = _cut(pager, address, child_check, level - 1, position - first, values)
        lower.append((one.reference, 0, position - first))
        upper[0] = (two.reference, 0, first + values - position)
    put_children(node, lower)
    put_children(right, upper)
    return node, right


def _join(index: Index, front: Tree, back: Tree) -> None:
    """Make an index of two trees; the first comes before the second."""
    pager = index.pager
    length, more = front[3], back[3]
    one = pager.own(front[0], front[1])
    two = pager.own(back[0], back[1])
    if front[2] == back[2]:
        top = pager.create(front[2], COUNTED)
        put_children(top, [(one.reference, 0, length), (two.reference, 0, more)])
        index.restore((top.reference, 0, front[2] + 1, length + more))
    elif front[2] > back[2]:
        index.restore((one.reference, 0, front[2], length))
        level = back[2] - 1
        index.own_path(length - 1)
        home = index.owned_node(level)
        changed = [(home.reference, 0, total_of(home.page))]
        index.grow(changed, [(two.reference, 0, more)], level, more)
    else:
        index.restore((two.reference, 0, back[2], more))
        level = front[2] - 1
        index.own_path(0)
        home = index.owned_node(level)
        made = [(home.reference, 0, total_of(home.page))]
        # The new neighbour of the first child is on its left, so the two change places.
        parent = index.owned_node(level + 1)
        set_child(parent.page, 0, one.reference, 0)
        index.grow([(one.reference, 0, length)], made, level, length)
    index.own_path(length - 1)
    index.own_path(length)
    index.rebalance(length)
    index.touch()
