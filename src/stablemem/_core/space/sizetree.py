# cython: annotation_typing=False, boundscheck=False, wraparound=False, auto_pickle=False
"""A B+tree of blocks by size and then address, in memory, for the best fit.

It is the second tree of a dual-tree allocator, like the first free list of the Motoko library "memory-region"
[1]_, which had address -> size and size -> addresses. There, a search stopped at the first branch with a key
that qualified. Here it always goes down to a leaf, so the fit is exact for any number of levels. Each
address is an entry of its own; there is no set of addresses for each size. So the lowest address comes first.

A free tree that keeps its sizes makes one to three changes here for each of its blocks that appears, vanishes
or changes.

Invariants, all proved by ``SizeTree.check``: those of blocktree.py; and pairs (size, address) are in order,
without duplicates.

.. [1] https://github.com/NatLabs/memory-region
"""

from itertools import pairwise

from ...errors import BlockError
from .blocktree import BlockTree

try:
    import cython
except ModuleNotFoundError:  # pragma: no cover - depends on what is installed
    from .. import _cython as cython

if not cython.compiled:
    from .blocknode import CAP, fetch, kid_of
    from .blocktree import node_at, step


class SizeTree(BlockTree):
    """A set of pairs (size, address), in that order.

    Sizes and addresses are at most 2**56; the caller must check that.

    Attributes:
        fitting: the size of the block that ``fit`` found last.

    >>> sizes = SizeTree()
    >>> sizes.insert(10, 200); sizes.insert(10, 100); sizes.insert(40, 0)
    >>> list(sizes), sizes.fit(10), sizes.fit(11), sizes.fitting
    ([(10, 100), (10, 200), (40, 0)], 100, 0, 40)
    """

    __slots__ = ("fitting",)

    def __init__(self) -> None:
        BlockTree.__init__(self)
        self.fitting = 0

    def insert(self, size: int, address: int) -> None:
        """Add a pair.

        Raises:
            BlockError: the pair is already there.
        """
        self._descend(size, address)
        node = node_at(self, self.height)
        spot = self.spots[self.height]
        if spot >= 0 and node.keys[spot] == size and node.values[spot] == address:
            raise BlockError(f"block at {address} of {size} bytes is there already")
        self.count += 1
        if node.count == CAP:
            self._begins(self.split(spot + 1, size, address, False))
            return
        node.put(spot + 1, size, address, None)
        if spot < 0:
            self._begins(self.height)

    def remove(self, size: int, address: int) -> None:
        """Remove a pair.

        Raises:
            BlockError: the pair is not there.
        """
        self._descend(size, address)
        node = node_at(self, self.height)
        spot = self.spots[self.height]
        if spot < 0 or node.keys[spot] != size or node.values[spot] != address:
            raise BlockError(f"block at {address} of {size} bytes is not there")
        self.count -= 1
        node.cut(spot)
        if node.count < CAP // 2:
            self.mend()
        elif spot == 0:
            self._begins(self.height)

    def fit(self, size: int, address: int = 0) -> int:
        """Return the address of the first pair at or after (``size``, ``address``), or -1.

        With address 0, that is the smallest block of ``size`` or more, and of several such blocks the lowest.
        Its size is in ``fitting``.
        """
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
        """Prove every invariant of the module. O(n).

        Returns:
            A sentence for each violation; an empty list if the tree is sound.

        >>> SizeTree().check()
        []
        """
        faults: list[str] = []
        pairs: list[tuple[int, int]] = []
        self.inspect(self.root, self.height, False, faults, pairs)
        if len(pairs) != self.count:
            faults.append(f"count is {self.count}, there are {len(pairs)} blocks")
        for before, after in pairwise(pairs):
            if before >= after:
                faults.append(f"{before} stands before {after}")
        return faults

    def _descend(self, size: int, address: int) -> int:
        """Set the path to the last pair at or before this one, or to -1 in the first leaf."""
        node = self.root
        for depth in range(self.height):
            spot = max(node.seek_pair(size, address), 0)
            step(self, depth, node, spot)
            node = kid_of(node, spot)
            fetch(node)
        step(self, self.height, node, node.seek_pair(size, address))
        return 0

    def _begins(self, depth: int) -> int:
        """Copy the first pair of a node of the path into the branches above it."""
        node = node_at(self, depth)
        while depth > 0:
            depth -= 1
            parent = node_at(self, depth)
            spot = self.spots[depth]
            parent.keys[spot] = node.keys[0]
            parent.values[spot] = node.values[0]
            if spot > 0:
                break
            node = parent
        return 0
