# cython: annotation_typing=False, boundscheck=False, wraparound=False, auto_pickle=False
"""A B+tree of blocks by size and then address, in memory: what best fit looks into.

The second tree of a dual-tree allocator, as the first free list of the Motoko library "memory-region" [1]_
was, which had address -> size and size -> addresses. There, a search stopped at the first branch with a key
that qualified; here it always goes down to a leaf, so the fit is exact on any number of levels. The
addresses of one size are entries of their own, not a set to each size: so the lowest comes first.

n is the number of blocks. Every change costs O(log n), and a free tree that keeps its sizes pays for it at
each block that appears, vanishes or changes: one to three changes here for one there. A block takes 16 bytes,
and what is free in the nodes, which are half full at least.

Invariants, all proved by ``SizeTree.check``:

* Pairs (size, address) are in order, and no two are the same.
* Each entry of a branch is exactly the first pair of its child, and what a node counts is exactly the
  number of pairs below it.
* All leaves are equally deep. Every node but the root is at least half full; a root that is a branch has two
  children.

.. [1] https://github.com/NatLabs/memory-region
"""

from collections.abc import Iterator
from itertools import pairwise

from ...errors import BlockError
from .freenode import FreeNode

try:
    import cython
except ModuleNotFoundError:  # pragma: no cover - depends on what is installed
    from .. import _cython as cython

if not cython.compiled:
    from .freenode import CAP, DEPTH, kid_of


class SizeTree:
    """A set of pairs (size, address), in that order.

    Sizes and addresses are at most 2**56; whoever calls has checked that.

    Attributes:
        fitting: the size of what ``fit`` found last.

    >>> sizes = SizeTree()
    >>> sizes.insert(10, 200); sizes.insert(10, 100); sizes.insert(40, 0)
    >>> list(sizes), sizes.ceiling(11), sizes.ceiling(10)
    ([(10, 100), (10, 200), (40, 0)], (40, 0), (10, 100))
    """

    __slots__ = ("fitting", "height", "path", "root", "spots")

    def __init__(self) -> None:
        if not cython.compiled:
            self.spots = [0] * DEPTH
            self.path = [FreeNode(False)] * DEPTH
        self.fitting = 0
        self.height = 0
        self.root = FreeNode(False)

    def __len__(self) -> int:
        return self.root.below

    def __iter__(self) -> Iterator[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        self._gather(self.root, found)
        return iter(found)

    def insert(self, size: int, address: int) -> None:
        """Add a pair.

        Raises:
            BlockError: it is there already.
        """
        self.insert_pair(size, address)

    def remove(self, size: int, address: int) -> None:
        """Take a pair out.

        Raises:
            BlockError: it is not there.
        """
        self.remove_pair(size, address)

    def ceiling(self, size: int, address: int = 0) -> tuple[int, int] | None:
        """Give the first pair not before (``size``, ``address``), or None.

        With address 0: the smallest block of ``size`` or more, the lowest of equals.
        """
        found = self.fit(size, address)
        return None if found < 0 else (self.fitting, found)

    def copy(self) -> "SizeTree":
        """Give an independent tree of the same pairs, in O(n)."""
        twin = SizeTree()
        twin.root = self.root.copied()
        twin.height = self.height
        return twin

    def insert_pair(self, size: int, address: int) -> int:
        """``insert``, for compiled callers."""
        self._descend(size, address)
        depth = self.height
        node = self._at(depth)
        spot = self.spots[depth]
        if spot >= 0 and node.keys[spot] == size and node.values[spot] == address:
            raise BlockError(f"block at {address} of {size} bytes is there already")
        self._count(1)
        spot += 1
        kid = None
        weight = 1
        half = CAP // 2
        while node.count == CAP:
            fresh = FreeNode(not node.leaf)
            node.move_tail(half, fresh)
            if spot > half:
                fresh.put(spot - half, size, address, kid)
                fresh.below += weight
                node.below -= weight
            else:
                node.put(spot, size, address, kid)
            if depth == 0:
                self.root = FreeNode(True)
                self.root.below = node.below + fresh.below
                self.root.put(0, node.keys[0], node.values[0], node)
                self.root.put(1, fresh.keys[0], fresh.values[0], fresh)
                self.height += 1
                return 0
            self._begins(depth)
            depth -= 1
            size = fresh.keys[0]
            address = fresh.values[0]
            kid = fresh
            weight = fresh.below
            node = self._at(depth)
            spot = self.spots[depth] + 1
        node.put(spot, size, address, kid)
        if spot == 0:
            self._begins(depth)
        return 0

    def remove_pair(self, size: int, address: int) -> int:
        """``remove``, for compiled callers."""
        self._descend(size, address)
        depth = self.height
        node = self._at(depth)
        spot = self.spots[depth]
        if spot < 0 or node.keys[spot] != size or node.values[spot] != address:
            raise BlockError(f"block at {address} of {size} bytes is not there")
        self._count(-1)
        node.cut(spot)
        if node.count < CAP // 2:
            self._mend()
        elif spot == 0:
            self._begins(depth)
        return 0

    def fit(self, size: int, address: int) -> int:
        """Give the address of ``ceiling``, or -1; its size is in ``fitting``."""
        node = self.root
        self.fitting = 0
        next_address = -1
        for _depth in range(self.height):
            spot = max(node.seek_pair(size, address), 0)
            if spot + 1 < node.count:
                self.fitting = node.keys[spot + 1]
                next_address = node.values[spot + 1]
            node = kid_of(node, spot)
        spot = node.seek_pair(size, address)
        if spot < 0 or node.keys[spot] != size or node.values[spot] != address:
            spot += 1
        if spot < node.count:
            self.fitting = node.keys[spot]
            return node.values[spot]
        return next_address

    def check(self) -> list[str]:
        """Prove every invariant of the module, in O(n).

        Returns:
            What is broken, a sentence each; none if the tree is sound.

        >>> SizeTree().check()
        []
        """
        faults: list[str] = []
        pairs: list[tuple[int, int]] = []
        self._inspect(self.root, self.height, faults, pairs)
        for before, after in pairwise(pairs):
            if before >= after:
                faults.append(f"{before} stands before {after}")
        return faults

    def _at(self, depth: int) -> FreeNode:
        """Node of the path at a depth; only of the descent that was last, as nothing here keeps it alive."""
        if cython.compiled:
            return cython.cast(FreeNode, self.path[depth])
        else:
            return self.path[depth]

    def _step(self, depth: int, node: FreeNode) -> int:
        """Let the path lead through a node."""
        if cython.compiled:
            self.path[depth] = cython.cast(kid_t, node)
        else:
            self.path[depth] = node
        return 0

    def _descend(self, size: int, address: int) -> int:
        """Set path and spots to the last pair at or before this one, or to -1 in the first leaf."""
        node = self.root
        for depth in range(self.height):
            spot = max(node.seek_pair(size, address), 0)
            self._step(depth, node)
            self.spots[depth] = spot
            node = kid_of(node, spot)
            if cython.compiled:
                prefetch(cython.address(node.count), CAP * 16 + 32)
        self._step(self.height, node)
        self.spots[self.height] = node.seek_pair(size, address)
        return 0

    def _count(self, more: int) -> int:
        """Count one pair more, or less, in every node of the path."""
        for depth in range(self.height + 1):
            node = self._at(depth)
            node.below += more
        return 0

    def _begins(self, depth: int) -> int:
        """Tell the branches above a node of the path what it begins with."""
        node = self._at(depth)
        while depth > 0:
            depth -= 1
            parent = self._at(depth)
            spot = self.spots[depth]
            parent.keys[spot] = node.keys[0]
            parent.values[spot] = node.values[0]
            if spot > 0:
                break
            node = parent
        return 0

    def _mend(self) -> int:
        """Refill or merge the nodes of the path that are less than half full, and bring all up to date."""
        depth = self.height
        while depth > 0:
            node = self._at(depth)
            depth -= 1
            parent = self._at(depth)
            spot = self.spots[depth]
            if node.count < CAP // 2:
                spot = max(spot - 1, 0)
                left = kid_of(parent, spot)
                right = kid_of(parent, spot + 1)
                half = (left.count + right.count) // 2
                if left.count + right.count <= CAP:
                    right.move_head(right.count, left)
                    parent.cut(spot + 1)
                else:
                    if left.count > half:
                        left.move_tail(half, right)
                    else:
                        right.move_head(half - left.count, left)
                    parent.keys[spot + 1] = right.keys[0]
                    parent.values[spot + 1] = right.values[0]
                node = left
            parent.keys[spot] = node.keys[0]
            parent.values[spot] = node.values[0]
        while self.height > 0 and self.root.count == 1:
            self.root = kid_of(self.root, 0)
            self.height -= 1
        return 0

    def _gather(self, node: FreeNode, found: list[tuple[int, int]]) -> int:
        """Append all pairs below a node."""
        for spot in range(node.count):
            if node.leaf:
                found.append((node.keys[spot], node.values[spot]))
            else:
                self._gather(kid_of(node, spot), found)
        return 0

    def _inspect(self, node: FreeNode, level: int, faults: list[str], found: list[tuple[int, int]]) -> int:
        """Check a node and all below it."""
        least = CAP // 2
        if node is self.root:
            least = 0 if level == 0 else 2
        wrong = node.faults(level, least)
        faults += wrong
        if wrong:
            return 0
        where = f"node at {node.keys[0] if node.count else None} on level {level}"
        if node.weight(0, node.count) != node.below:
            faults.append(f"{where} counts {node.below} below, not {node.weight(0, node.count)}")
        for spot in range(node.count):
            if node.leaf:
                found.append((node.keys[spot], node.values[spot]))
                continue
            kid = kid_of(node, spot)
            said, there = (node.keys[spot], node.values[spot]), (kid.keys[0], kid.values[0])
            if kid.count and said != there:
                faults.append(f"{where} says {said} for a child that begins at {there}")
            self._inspect(kid, level - 1, faults, found)
        return 0
