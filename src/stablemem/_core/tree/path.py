# cython: annotation_typing=False
"""Path: the way from the root of a tree to a leaf, through nodes that the transaction owns and may change.

A change first owns the path to its leaf, by the search of its tree (``Index.own_path``), and then works on
that path: for each level, ``pages`` has the page on the path, and ``spots`` the entry that the path follows.
The path is valid until another path is owned, nodes are written out, or the tree returns to an earlier state.

    grow         after new nodes were made beside one on the path: adds them to their parents, and splits
                 parents that are full
    rebalance    after entries were removed on both sides of a position: merges each under-full node there
                 with a sibling, or spreads their entries evenly

Both work for every kind of tree whose branches count the values below each child. They see the children as a
list of tuples, whose first three items are address, checksum and number of values below. Only the tree itself
knows how it is searched and what its leaves have.

Rebalancing goes from the root down: an under-full child is rebalanced before the walk goes on below it, so
that its parent always has a sibling for it.
"""

from ...errors import CorruptRegionError
from ...layout import MAX_LEVELS
from ..format.words import Page
from .kinds import Node, NodeKind
from .pager import Pager

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from .kinds import kind_of, level_of

__all__ = ["Children", "OwnedTree", "cut"]

Children = list[tuple[int, int, int]]


class OwnedTree:
    """One tree, given by its root, and the path that was owned last.

    A subclass searches, and sets the path. It defines what to forget after a change (``touch``), and how two
    of its leaves share their entries (``share_leaves``).

    Args:
        pager: has the nodes.
        kind: the kind of the nodes.

    Attributes:
        root: address of the root; 0 for an empty tree.
        root_check: checksum of the page of the root.
        height: number of levels; 0 for an empty tree.
        length: number of values.
        last_leaf: the leaf at the end of the path.
        pages: the page on the path, for each level.
        spots: the entry that the path follows, for each level.
    """

    __slots__ = ("height", "kind", "last_leaf", "length", "pager", "pages", "root", "root_check", "spots")

    def __init__(self, pager: Pager, kind: NodeKind) -> None:
        self.pager = pager
        self.kind = kind
        self.root = self.root_check = 0
        self.height = 0
        self.length = 0
        self.last_leaf = Node(0, bytearray(), False)
        if not cython.compiled:
            self.spots = [0] * 16
            self.pages = [self.last_leaf.page] * 16

    # -- defined by subclasses -----------------------------------------------------------------------

    def touch(self) -> None:
        """Note that everything may have changed."""

    def share_leaves(self, parent: Node, spot: int, last: bool) -> bool:
        """Rebalance leaf ``spot`` with a sibling; return False if both are empty."""
        raise NotImplementedError

    # -- state ---------------------------------------------------------------------------------------

    def state(self) -> tuple[int, int, int, int]:
        """Return (root, checksum, height, length), for ``restore``."""
        return self.root, self.root_check, self.height, self.length

    def restore(self, state: tuple[int, int, int, int]) -> None:
        """Become the tree of an earlier ``state``."""
        root, check, height, length = state
        if not 0 <= height <= MAX_LEVELS or (height == 0) != (length == 0):
            raise CorruptRegionError(
                root, f"a tree of 0 to {MAX_LEVELS} levels", f"{height} for {length} values"
            )
        self.root = root
        self.root_check = check
        self.height = height
        self.length = length
        self.touch()

    # -- the path ------------------------------------------------------------------------------------

    def owned_node(self, level: int) -> Node:
        """Return the node on the path at a level."""
        if level == self.height - 1:
            return self.pager.own(self.root, self.root_check)
        return self.pager.own(self.kind.child(self.pages[level + 1], self.spots[level + 1]), 0)

    def is_at_right_edge(self, level: int) -> bool:
        """Return whether the node on the path at a level is the last one of that level."""
        for above in range(level + 1, self.height):
            if self.spots[above] != self.kind.count(self.pages[above]) - 1:
                return False
        return True

    # -- growing -------------------------------------------------------------------------------------

    def grow(self, changed: Children, made: Children, level: int, delta: int) -> None:
        """Add the nodes made at a level to their parents, and split parents that overflow.

        Args:
            changed: the node on the path at ``level``, with its new count; empty for an empty tree.
            made: its new right neighbours.
            level: the level of these nodes.
            delta: the number of values by which the tree grows.
        """
        kind = self.kind
        at_end = True
        for above in range(level + 1, self.height):
            page = self.pages[above]
            spot = self.spots[above]
            if not made:
                kind.add_count(page, spot, delta)
                continue
            if len(made) == 1 and kind.count(page) < kind.capacity(above):
                kind.split_child(page, spot, changed[0], made[0])
                made = []
                continue
            node = self.owned_node(above)
            children = kind.children(page)
            at_end = spot == len(children) - 1 and self.is_at_right_edge(above)
            children[spot : spot + 1] = changed + made
            pieces = cut(len(children), kind.capacity(above), at_end)
            made = []
            place = 0
            for piece in pieces:
                part = children[place : place + piece]
                home = node if place == 0 else self.pager.create(above, kind.mark)
                kind.put_children(home, part)
                entry = kind.entry_of(home)
                if place == 0:
                    changed = [entry]
                else:
                    made.append(entry)
                place += piece
        top = changed + made if made else []
        height = max(self.height, 1)
        while len(top) > 1:
            parents = []
            place = 0
            for piece in cut(len(top), kind.capacity(height), at_end):
                home = self.pager.create(height, kind.mark)
                kind.put_children(home, top[place : place + piece])
                parents.append(kind.entry_of(home))
                place += piece
            top = parents
            height += 1
        if top:
            self.root, self.root_check = top[0][0], top[0][1]
            self.height = height
        self.length += delta

    # -- rebalancing after a deletion ----------------------------------------------------------------

    def rebalance(self, position: int) -> None:
        """Bring the nodes left and right of a deletion back to their minimum fill."""
        if self.length == 0:
            free_below(self.pager, self.root, self.root_check, self.height - 1, 0)
            self.restore((0, 0, 0, 0))
            return
        before_it = position - 1 if position else 0
        behind_it = min(position, self.length - 1)
        while self._rebalance_path(before_it) or self._rebalance_path(behind_it):
            pass

    def _rebalance_path(self, position: int) -> bool:
        """Rebalance the first under-full node on the way to a position; return whether there was one.

        An empty child has no position: it is beside the child on the way. The deletion has owned every
        under-full node and all its ancestors.
        """
        kind = self.kind
        reference, check = self.root, self.root_check
        if self.height > 1 and kind.count(self.pager.page(reference, check)) == 1:
            page = self.pager.page(reference, check)
            self.root, self.root_check = kind.child(page, 0), kind.check(page, 0)
            self.pager.drop(reference)
            self.height -= 1
            return True
        last = True
        for level in range(self.height - 1, 0, -1):
            page = self.pager.page(reference, check)
            count = kind.count(page)
            spot = kind.spot_of(page, position)
            if spot >= count:
                bad_node(self.pager, reference, f"a node with value {position}", page)
            for near in (spot, spot + 1, spot - 1):
                edge = last and near == count - 1
                if 0 <= near < count and is_under_full(self.pager, kind.child(page, near), level - 1, edge):
                    self._even_out(self.pager.own(reference, check), near, level - 1, last)
                    return True
            last = last and spot == count - 1
            position -= kind.before(page, spot)
            reference, check = kind.child(page, spot), kind.check(page, spot)
        return False

    def _even_out(self, parent: Node, spot: int, level: int, last: bool) -> None:
        """Rebalance child ``spot``, which is on ``level``, with a sibling."""
        kind, pager = self.kind, self.pager
        if level == 0 and kind.count(parent.page) > 1 and self.share_leaves(parent, spot, last):
            return
        children = kind.children(parent.page)
        if len(children) == 1:
            # This happens only at the right edge, with nothing below. The parent is empty now, and is next.
            free_below(pager, children[0][0], children[0][1], level, 0)
            kind.put_children(parent, [])
            return
        left = spot if spot + 1 < len(children) else spot - 1
        one = pager.own(children[left][0], children[left][1])
        two = pager.own(children[left + 1][0], children[left + 1][1])
        fill = last and left + 2 == len(children)
        pair: Children = []
        if level:
            # Drop an empty child now: with it, evening out the pair could lead to the same pair for ever.
            below = []
            for child in kind.children(one.page) + kind.children(two.page):
                if child[2]:
                    below.append(child)
                else:
                    free_below(pager, child[0], child[1], level - 1, 0)
            for piece in cut(len(below), kind.capacity(level), fill):
                home = two if pair else one
                kind.put_children(home, below[:piece])
                del below[:piece]
                pair.append(kind.entry_of(home))
        for spare in (one, two)[len(pair) :]:
            pager.drop(spare.reference)
        children[left : left + 2] = pair
        kind.put_children(parent, children)


def cut(total: int, capacity: int, fill: bool) -> list[int]:
    """Return the sizes of nodes for ``total`` entries: full nodes and a rest if ``fill``, else even sizes.

    >>> cut(600, 255, True), cut(600, 255, False)
    ([255, 255, 90], [200, 200, 200])
    """
    if fill:
        pieces = [capacity] * (total // capacity)
        return [*pieces, total % capacity] if total % capacity else pieces
    number = (total + capacity - 1) // capacity
    return [total // number + (1 if piece < total % number else 0) for piece in range(number)]


def bad_node(pager: Pager, reference: int, expected: str, page: Page) -> None:
    """Raise for a node that does not match its parent."""
    found = f"level {level_of(page)} with {kind_of(page).count(page)} entries"
    raise CorruptRegionError(reference if not reference >> 63 else 0, expected, found, pager.region.path)


def free_below(pager: Pager, reference: int, check: int, level: int, expected: int) -> None:
    """Free a whole subtree of ``expected`` values."""
    page = pager.page(reference, check)
    kind = kind_of(page)
    if level_of(page) != level or kind.total(page) != expected:
        bad_node(pager, reference, f"a node of level {level} with {expected} values", page)
    if level:
        for child in kind.children(page):
            free_below(pager, child[0], child[1], level - 1, child[2])
    else:
        for _, first, second in kind.blobs(page):
            pager.release(first, second)
    pager.drop(reference)


def is_under_full(pager: Pager, reference: int, level: int, edge: bool) -> bool:
    """Return whether a child has fewer entries than the minimum; only a dirty child can."""
    if not reference >> 63:
        return False
    page = pager.page(reference, 0)
    kind = kind_of(page)
    count = kind.count(page)
    if edge:
        return count == 0 or kind.total(page) == 0
    return count < kind.minimum(level)
