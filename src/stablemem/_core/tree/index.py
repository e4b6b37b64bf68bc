# cython: annotation_typing=False
r"""Index: the counted B+tree that maps a position to the pointer of the value there.

                         root: counts 3 .. n                     level 2
                    /            |           \
             [counts]         [counts]      [counts]             level 1
              /    \            / \            |
          leaf      leaf     leaf  leaf       leaf               level 0: 255 entries of 16 bytes

An inner entry has the number of values below it, so position i is found by one binary search at each level:
O(log n), 3 levels for a million values, 4 for a billion (255 * 170**3). Values are opaque here: an entry is
two 64-bit words, as shown in node.py.

Invariants (``check``): every leaf is at level 0; counts add up; every node except the root and the last one
of its level is at least half full; appending fills leaves completely.

A change first owns the path to its leaf (``own_path``), and works on that path: its nodes are dirty, and the
pager keeps them. The path is forgotten when another path is owned, when nodes are written out, and when the
index returns to an earlier state. path.py has the code that lets a tree grow and that rebalances it.
"""

from collections.abc import Callable
from struct import Struct

from ...errors import CorruptRegionError
from ..format.words import Page
from .kinds import Node
from .node import COUNTED_KIND
from .pager import Pager
from .path import Children, OwnedTree, cut
from .walk import walk

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ...layout import INNER_CAPACITY, INNER_MINIMUM, LEAF_CAPACITY, LEAF_MINIMUM
    from .kinds import level_of
    from .node import (
        COUNTED,
        add_count,
        before,
        check_of,
        child_of,
        children_of,
        close_entries,
        count_of,
        entries_of,
        move_entries,
        open_entries,
        put_children,
        put_entries,
        set_child,
        set_count,
        set_entry,
        split_child,
        spot_of,
        total_of,
        word0,
        word1,
    )
    from .path import bad_node, free_below
    from .rebalance import even_out_leaves

__all__ = ["Index"]

_ENTRY = Struct("<QQ")

REMEMBERED = 8
"""Number of changes whose positions an index remembers; a power of two."""

if not cython.compiled:
    EVERY = 1 << 62
    _LAST = REMEMBERED - 1


class Index(OwnedTree):
    """One list of entries.

    Args:
        pager: has the nodes.
        root: address of the root; 0 for an empty list.
        check: checksum of the page of the root.
        height: number of levels; 0 for an empty list.
        length: number of entries.

    Attributes:
        spot: the number of an entry, the second result of ``leaf`` and ``owned``.
        version: grows with every change to the list, but not when nodes are written out; for iterators.
    """

    __slots__ = ("_at_end", "_highs", "_lows", "_near", "_near_from", "_near_to", "spot", "version")

    def __init__(self, pager: Pager, root: int = 0, check: int = 0, height: int = 0, length: int = 0) -> None:
        OwnedTree.__init__(self, pager, COUNTED_KIND)
        self.version = 0
        self._near = 0
        if not cython.compiled:
            self._lows = [0] * REMEMBERED
            self._highs = [0] * REMEMBERED
        self.spot = 0
        self.restore((root, check, height, length))

    def touch(self) -> None:
        """Note that everything may have changed."""
        self._changed(0, EVERY)

    def _changed(self, low: int, high: int) -> None:
        """Note a change: all values except those at positions ``low`` to ``high`` are unchanged."""
        number = (self.version + 1) & _LAST
        self._lows[number] = low
        self._highs[number] = high
        self.version += 1
        self._forget()

    def kept(self, then: int, now: int, position: int, step: int, number: int) -> int:
        """Return how many of the first values of a row are unchanged since an earlier version.

        Args:
            then: the version at which the values were read.
            now: the version up to which changes are considered, at most that of the index.
            position: the position of the first value.
            step: 1 or -1, the step to the next position of the row.
            number: the number of values that were read.
        """
        seen = then
        while number and seen != now and now - then <= _LAST:
            seen += 1
            low = self._lows[seen & _LAST]
            high = self._highs[seen & _LAST]
            if step > 0:
                if low < position + number and high > position:
                    number = max(0, low - position)
            elif low <= position and high > position + 1 - number:
                number = max(0, position + 1 - high)
        # In the interpreted form, other threads may have overwritten these notes by now.
        return number if self.version - then <= _LAST else 0

    def _forget(self) -> None:
        """Forget the remembered leaves, which are not valid any more."""
        self._near_to = 0
        self._near_from = 0
        self._at_end = False

    # -- reading -------------------------------------------------------------------------------------

    def leaf(self, position: int) -> Page:
        """Return the leaf of a position below ``length``; the number of the entry goes into ``spot``.

        Half of the result is in an attribute because this is the most called function of all, and a C
        function has one result. ``spot`` is valid until the next call of ``leaf`` or ``owned``; read it at
        once.

        O(log n); O(1) while positions stay within one leaf.
        """
        if self._near_from <= position < self._near_to:
            self.spot = position - self._near_from
            return self.pager.page(self._near, 0)
        reference = self.root
        level = self.height - 1
        left = position
        page = self.pager.page(reference, self.root_check)
        while level > 0:
            if level_of(page) != level:
                bad_node(self.pager, reference, f"a node of level {level}", page)
            spot = spot_of(page, left)
            if spot >= count_of(page):
                bad_node(self.pager, reference, f"a node with value {left}", page)
            left -= before(page, spot)
            reference = child_of(page, spot)
            page = self.pager.page(reference, check_of(page, spot))
            level -= 1
        count = count_of(page)
        if level_of(page) or left >= count:
            bad_node(self.pager, reference, f"a leaf with value {left}", page)
        # The bound that makes the rest valid is set last: in the interpreted form, an interrupt may come
        # in between.
        self._near_to = 0
        self._near = reference
        self._near_from = position - left
        self._near_to = position - left + count
        self.spot = left
        return page

    def leaf_begin(self) -> int:
        """Return the position of the first value of the leaf that ``leaf`` returned last."""
        return self._near_from

    def leaf_end(self) -> int:
        """Return the position after the leaf that ``leaf`` returned last."""
        return self._near_to

    def entries(self, start: int, stop: int) -> bytes:
        """Return the entries of positions ``start`` to ``stop``, 16 bytes each. O(k + log n) for k entries.

        A later write-out changes the first word of entries of pending blobs: after it, read them again.
        """
        pieces = []
        while start < stop:
            page = self.leaf(start)
            end = min(stop, self._near_to)
            pieces.append(entries_of(page, self.spot, self.spot + end - start))
            start = end
        return b"".join(pieces)

    # -- the path ------------------------------------------------------------------------------------

    def own_path(self, position: int) -> Node:
        """Own every node on the way to a position, and make that the path; return the leaf.

        This forgets the last path and the remembered leaf, whose page is freed if the leaf is copied.
        """
        self._forget()
        node = self.pager.own(self.root, self.root_check)
        self.root = node.reference
        level = self.height - 1
        expected = self.length
        while True:
            page = node.page
            if cython.compiled and 0 < level < self.height - 1:
                # The counts are probably in no cache: fetch them all at once, not one after the other.
                prefetch(page, COUNTS_SIZE)
            if level_of(page) != level or total_of(page) != expected:
                bad_node(self.pager, 0, f"a node of level {level} with {expected} values", page)
            self.pages[level] = page
            if level == 0:
                break
            spot = spot_of(page, position)
            if spot >= count_of(page):
                bad_node(self.pager, 0, f"a node with value {position}", page)
            self.spots[level] = spot
            below = before(page, spot)
            expected = before(page, spot + 1) - below
            position -= below
            reference = child_of(page, spot)
            node = self.pager.own(reference, check_of(page, spot))
            if node.reference != reference:
                set_child(page, spot, node.reference, 0)
            level -= 1
        if position >= expected:
            bad_node(self.pager, 0, f"a leaf with value {position}", node.page)
        self.spots[0] = position
        self.last_leaf = node
        return node

    def _count(self, delta: int) -> None:
        """Add ``delta`` to the counts above the leaf of the path, and to the length."""
        for level in range(1, self.height):
            add_count(self.pages[level], self.spots[level], delta)
        self.length += delta

    # -- changing ------------------------------------------------------------------------------------

    def replace(self, position: int, first: int, second: int) -> None:
        """Point an existing position at another blob and free the old one. O(log n)."""
        node = self.own_path(position)
        spot = self.spots[0]
        self.pager.release(word0(node.page, spot), word1(node.page, spot))
        set_entry(node.page, spot, first, second)
        node.pending = True
        self._changed(position, position + 1)

    def put_entries_at(self, position: int, entries: bytes) -> None:
        """Overwrite the entries from ``position`` on, 16 bytes each, and free nothing; for permutations.

        O(k + log n) for k entries; every leaf is owned once.
        """
        number = len(entries) // 16
        if position + number > self.length:
            raise IndexError(f"{number} entries from {position} on, in a list of {self.length}")
        place = 0
        while place < number:
            leaf = self.own_path(position + place)
            spot = self.spots[0]
            part = min(number - place, count_of(leaf.page) - spot)
            put_entries(leaf, spot, entries[16 * place : 16 * (place + part)])
            leaf.pending = True
            place += part
        self._changed(position, position + number)

    def insert(self, position: int, first: int, second: int) -> None:
        """Insert one entry before ``position``, which may be ``length``. O(log n)."""
        if self.height:
            at_end = position == self.length
            if at_end and self._at_end:
                node = self.last_leaf
                spot = count_of(node.page)
            else:
                node = self.own_path(position - 1 if position else 0)
                spot = self.spots[0] + (1 if position else 0)
            if count_of(node.page) < LEAF_CAPACITY:
                open_entries(node.page, spot, 1)
                set_entry(node.page, spot, first, second)
                node.pending = True
                self._count(1)
                self._changed(position, EVERY)
                self._at_end = at_end
                return
            if self.height > 1 and count_of(self.pages[1]) < INNER_CAPACITY:
                self._split_leaf(node, spot, first, second, at_end)
                self._changed(position, EVERY)
                return
        self.insert_run(position, _ENTRY.pack(first, second))

    def _split_leaf(self, left: Node, spot: int, first: int, second: int, at_end: bool) -> None:
        """Insert one entry into the full leaf of the path, whose parent has room for a second leaf.

        The result is the same tree as with ``insert_run``, but without its lists: in random inserts into full
        leaves, this is most of the work.
        """
        right = self.pager.create(0, COUNTED)
        kept = LEAF_CAPACITY if at_end else (LEAF_CAPACITY + 2) // 2
        if spot < kept:
            move_entries(left, right, kept - 1)
            open_entries(left.page, spot, 1)
            set_entry(left.page, spot, first, second)
        else:
            move_entries(left, right, kept)
            open_entries(right.page, spot - kept, 1)
            set_entry(right.page, spot - kept, first, second)
        left.pending = True
        split_child(self.pages[1], self.spots[1], count_of(left.page), right.reference, count_of(right.page))
        for level in range(2, self.height):
            add_count(self.pages[level], self.spots[level], 1)
        self.length += 1

    def insert_run(self, position: int, entries: bytes) -> None:
        """Insert entries (16 bytes each) before ``position``. O(k + log n) for k entries."""
        number = len(entries) // 16
        if number == 0:
            return
        at_end = position == self.length
        if self.height == 0:
            self.grow([], self._leaves(entries, True), 0, number)
            self._changed(position, EVERY)
            return
        leaf = self.own_path(position - 1 if position else 0)
        spot = self.spots[0] + (1 if position else 0)
        count = count_of(leaf.page)
        leaf.pending = True
        if count + number <= LEAF_CAPACITY:
            open_entries(leaf.page, spot, number)
            put_entries(leaf, spot, entries)
            self._count(number)
            self._changed(position, EVERY)
            return
        merged = entries_of(leaf.page, 0, spot) + entries + entries_of(leaf.page, spot, count)
        kept = cut(len(merged) // 16, LEAF_CAPACITY, at_end)[0]
        close_entries(leaf.page, 0, count)
        set_count(leaf.page, kept)
        put_entries(leaf, 0, merged[: 16 * kept])
        self.grow([(leaf.reference, 0, kept)], self._leaves(merged[16 * kept :], at_end), 0, number)
        self._changed(position, EVERY)

    def _leaves(self, entries: bytes, fill: bool) -> Children:
        """Return new leaves with these entries."""
        made = []
        place = 0
        for number in cut(len(entries) // 16, LEAF_CAPACITY, fill):
            leaf = self.pager.create(0, COUNTED)
            set_count(leaf.page, number)
            put_entries(leaf, 0, entries[place : place + 16 * number])
            made.append((leaf.reference, 0, number))
            place += 16 * number
        return made

    def delete(self, position: int) -> None:
        """Delete one entry and free its blob. O(log n)."""
        self.own_path(position)
        self.delete_owned(position)

    def owned(self, position: int) -> Page:
        """Own and return the leaf of a position, for ``delete_owned``; the entry's number is in ``spot``."""
        node = self.own_path(position)
        self.spot = self.spots[0]
        return node.page

    def delete_owned(self, position: int) -> None:
        """Delete the entry of the last call of ``owned``, and free its blob."""
        node = self.last_leaf
        spot = self.spots[0]
        self.pager.release(word0(node.page, spot), word1(node.page, spot))
        close_entries(node.page, spot, 1)
        self._count(-1)
        left = count_of(node.page)
        if left < LEAF_MINIMUM and (left == 0 or not self.is_at_right_edge(0)):
            self.rebalance(position)
        self._changed(position, EVERY)

    def share_leaves(self, parent: Node, spot: int, last: bool) -> bool:
        """Rebalance leaf ``spot`` with a sibling; return False if both are empty."""
        return even_out_leaves(self.pager, parent, spot, last)

    def delete_range(self, start: int, stop: int) -> None:
        """Delete entries ``start`` to ``stop`` and free their blobs. O(k + log n)."""
        if start >= stop:
            return
        if start == 0 and stop == self.length:
            free_below(self.pager, self.root, self.root_check, self.height - 1, self.length)
            self.restore((0, 0, 0, 0))
            return
        if stop - start <= 3 * LEAF_CAPACITY:
            self._delete_few(start, stop)
            return
        self.root = self._delete_below(self.root, self.root_check, self.height - 1, start, stop).reference
        self.length -= stop - start
        self.rebalance(start)
        self._changed(start, EVERY)

    def _delete_few(self, start: int, stop: int) -> None:
        """Do ``delete_range`` for a few entries, leaf by leaf on the path, without lists of all children."""
        while start < stop:
            node = self.own_path(start)
            spot = self.spots[0]
            number = min(stop - start, count_of(node.page) - spot)
            for each in range(spot, spot + number):
                self.pager.release(word0(node.page, each), word1(node.page, each))
            close_entries(node.page, spot, number)
            self._count(-number)
            stop -= number
            left = count_of(node.page)
            if left < LEAF_MINIMUM and (left == 0 or not self.is_at_right_edge(0)):
                self.rebalance(start)
        self._changed(start, EVERY)

    def clear(self) -> None:
        """Delete everything. O(n): every blob is freed."""
        self.delete_range(0, self.length)

    def _delete_below(self, reference: int, check: int, level: int, start: int, stop: int) -> Node:
        """Delete positions of a subtree, but not all of them; return the owned node of the subtree."""
        node = self.pager.own(reference, check)
        page = node.page
        if level_of(page) != level or stop > total_of(page):
            bad_node(self.pager, reference, f"a node of level {level} with {stop} values or more", page)
        if level == 0:
            for spot in range(start, stop):
                self.pager.release(word0(page, spot), word1(page, spot))
            close_entries(page, start, stop - start)
            return node
        kept = []
        first = 0
        for address, child_check, count in children_of(page):
            low, high = max(start, first), min(stop, first + count)
            if low >= high:
                kept.append((address, child_check, count))
            elif high - low == count:
                free_below(self.pager, address, child_check, level - 1, count)
            else:
                child = self._delete_below(address, child_check, level - 1, low - first, high - first)
                kept.append((child.reference, 0, count - (high - low)))
            first += count
        put_children(node, kept)
        return node

    # -- writing out, checking -----------------------------------------------------------------------

    def place(self) -> None:
        """Hand the dirty nodes to the pager, which has addresses for them; the tree is clean then."""
        if self.height:
            self.root, self.root_check = self.pager.place_tree(self.root, self.root_check)
        self._forget()

    def walk(
        self, seen_node: Callable[[int], None], seen_blob: Callable[[int, int], None], verify_blobs: bool
    ) -> None:
        """Call back for every node and blob; raise CorruptRegionError at the first fault."""
        if self.height == 0:
            return
        found = walk(
            self.pager,
            COUNTED,
            self.root,
            self.root_check,
            self.height - 1,
            seen_node,
            seen_blob,
            verify_blobs,
        )
        if found != self.length:
            raise CorruptRegionError(self.root, f"{self.length} values", f"{found}", self.pager.region.path)

    def check(self) -> list[str]:
        """Return a sentence for each violation of an invariant."""
        faults: list[str] = []
        if self.height:
            total = self._check_below(self.root, self.root_check, self.height - 1, True, True, faults)
            if total != self.length:
                faults.append(f"the tree holds {total} values, its length says {self.length}")
        return faults

    def _check_below(
        self, reference: int, check: int, level: int, root: bool, last: bool, faults: list[str]
    ) -> int:
        """Check one node and those below it; return the number of values in them."""
        page = self.pager.page(reference, check)
        name = f"node {reference:#x}"
        count = count_of(page)
        if level_of(page) != level:
            faults.append(f"{name} is of level {level_of(page)}, not {level}")
            return 0
        least = 1 if last or root else INNER_MINIMUM if level else LEAF_MINIMUM
        if root and level:
            least = 2
        if count < least:
            faults.append(f"{name} of level {level} has {count} entries, fewer than {least}")
        if level == 0:
            return count
        total = 0
        children = children_of(page)
        for spot, (address, child_check, expected) in enumerate(children):
            if address >> 63 and not reference >> 63:
                faults.append(f"{name} is clean and has a dirty child")
            edge = last and spot == len(children) - 1
            found = self._check_below(address, child_check, level - 1, False, edge, faults)
            if found != expected:
                faults.append(f"{name} counts {expected} values below child {spot}, which has {found}")
            total += found
        return total
