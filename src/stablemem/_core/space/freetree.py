# cython: annotation_typing=False, boundscheck=False, wraparound=False, auto_pickle=False
"""A max-value B+tree of disjoint blocks of bytes, in memory: the free list, and any set of ranges.

Leaves hold (address, size) of each block, by address. A branch holds, for each child, the first address and
the largest size below it. With these sizes, the lowest block that fits is found in one descent.

Invariants, all proved by ``FreeTree.check``:

* Those of blocktree.py. The nodes on the right edge may be less than half full: ascending inserts leave a
  full node as it is and begin a new one.
* Blocks are at least 1 byte long, inside [0, 2**56), in order, and no two overlap or touch.
* The tree of sizes, if there is one, has exactly the blocks of this tree.
* ``total`` and ``count`` are the bytes and the number of the blocks.
"""

from ...errors import BlockError
from .blocknode import BlockNode
from .blocktree import BlockTree
from .sizetree import SizeTree

try:
    import cython
except ModuleNotFoundError:  # pragma: no cover - depends on what is installed
    from .. import _cython as cython

if not cython.compiled:
    from .blocknode import CAP, fetch, kid_of
    from .blocktree import node_at, step

LIMIT = 1 << 56
BEYOND = LIMIT + 1


class FreeTree(BlockTree):
    """A set of bytes as maximal blocks (address, size), with first fit in one descent, or best fit.

    A max-value B+tree: a B+tree by address in which each branch also knows the largest size below each
    child, as in the MaxBpTree of the Motoko library "memory-region" [1]_. That tree takes the largest block;
    this one takes the lowest that fits. n is the number of blocks; every method costs O(log n) unless it
    says otherwise. Addresses and sizes are in bytes. A method that changes or looks for a block raises
    BlockError if the block is empty or not inside [0, 2**56).

    Attributes:
        total: bytes in all blocks.
        count: number of blocks.
        sizes: the same blocks by size, for the best fit; None for first fit.

    .. [1] https://github.com/NatLabs/memory-region

    >>> tree = FreeTree()
    >>> tree.insert(0, 100); tree.insert(200, 50)
    >>> tree.allocate(60), tree.find(60), tree.lowest(40)
    (0, -1, 60)
    >>> tree.insert(100, 100)
    >>> list(tree), tree.total, tree.largest()
    ([(60, 190)], 190, 190)
    >>> tree.remove(100, 50); tree.discard(0, 70)
    10
    >>> list(tree), tree.last(), tree.floor(149), tree.start_of_end(100)
    ([(70, 30), (150, 100)], (150, 100), (70, 30), 70)
    >>> tree.covers(70, 30), tree.covers(70, 31), tree.overlaps(99, 10), tree.overlaps(100, 10)
    (True, False, True, False)
    """

    __slots__ = ("sizes", "total")

    def __init__(self) -> None:
        BlockTree.__init__(self)
        self.total = 0
        self.sizes: SizeTree | None = None

    def summary(self, node: BlockNode) -> int:
        """Return the largest size in a node."""
        return node.top()

    def clear(self) -> None:
        """Remove all blocks."""
        if self.height:
            self.height = 0
            self.root = BlockNode(False)
        elif not cython.compiled:
            self.root.keys.clear()
            self.root.values.clear()
        self.root.count = 0
        self.total = 0
        self.count = 0
        if self.sizes is not None:
            self.sizes = SizeTree()

    def keep_sizes(self) -> None:
        """From now on, take the best fit, not the lowest: put all blocks into a SizeTree, too. O(n log n).

        >>> tree = FreeTree()
        >>> tree.insert(0, 10); tree.insert(20, 5)
        >>> tree.keep_sizes()
        >>> tree.allocate(4), list(tree)
        (20, [(0, 10), (24, 1)])
        """
        sizes = SizeTree()
        for address, size in self.blocks():
            sizes.insert(size, address)
        self.sizes = sizes

    def insert(self, address: int, size: int) -> None:
        """Add a block and merge it with the blocks that it touches.

        Raises:
            BlockError: a byte of the block is already in the tree; the tree is unchanged.

        >>> tree = FreeTree()
        >>> tree.insert(0, 10)
        >>> tree.insert(9, 2)
        Traceback (most recent call last):
        stablemem.errors.BlockError: block at 9 of 2 bytes overlaps the block at 0 of 10 bytes
        """
        if not self.merge(address, size):
            other, room = self.blocks(address, address + size, 1)[0]
            raise BlockError(
                f"block at {address} of {size} bytes overlaps the block at {other} of {room} bytes"
            )

    def merge(self, address: int, size: int) -> int:
        """Do the same as ``insert``, and return the size of the merged block.

        If a byte of the block is already in the tree, change nothing and return 0.
        """
        _check_block(address, size)
        stop = address + size
        merged = size
        front = 0
        fence = self._descend(address)
        node = node_at(self, self.height)
        spot = self.spots[self.height]
        joins = False
        if spot >= 0:
            room = node.values[spot]
            if node.keys[spot] + room > address:
                return 0
            if node.keys[spot] + room == address:
                joins = True
                front = room
        after = node.keys[spot + 1] if spot + 1 < node.count else fence
        if after < stop:
            return 0
        if after > stop:
            if joins:
                merged = room + size
                node.values[spot] = merged
                self._changed(self.height, room, merged)
            else:
                self._add_entry(address, size, fence)
        elif joins:
            # The merged block is larger than its two parts, so it does not matter if they were maxima.
            if spot + 1 < node.count:
                merged = room + size + node.values[spot + 1]
                node.values[spot] = merged
                self._drop_entry(spot + 1, 0, merged)
            else:
                self._descend(after)
                node = node_at(self, self.height)
                room = node.values[0]
                self._drop_entry(0, room, 0)
                self._descend(address)
                node = node_at(self, self.height)
                spot = self.spots[self.height]
                merged = room + node.values[spot] + size
                node.values[spot] = merged
                self._changed(self.height, 0, merged)
        else:
            if spot + 1 < node.count:
                spot += 1
            else:
                self._descend(after)
                node = node_at(self, self.height)
                spot = 0
            room = node.values[spot]
            merged = room + size
            node.keys[spot] = address
            node.values[spot] = merged
            self._changed(self.height, room, merged)
        self.total += size
        if self.sizes is not None:
            back = merged - size - front
            if front:
                self.sizes.remove(front, address - front)
            if back:
                self.sizes.remove(back, stop)
            self.sizes.insert(merged, address - front)
        return merged

    def allocate(self, size: int) -> int:
        """Take the front of the lowest block of ``size`` bytes or more: first fit.

        A tree that keeps sizes takes the front of the smallest block of ``size`` bytes or more, and of
        several such blocks the lowest: best fit.

        Returns:
            The address of the bytes taken, or -1 if no block is large enough.
        """
        address = self.find(size)
        if address >= 0:
            # ``lowest`` has left the path to this block.
            self._take(address, size, BEYOND if self.sizes is None else self._descend(address))
        return address

    def find(self, size: int) -> int:
        """Return the address of the block that ``allocate`` would take from, or -1; change nothing."""
        _check_block(0, size)
        return self.lowest(size) if self.sizes is None else self.sizes.fit(size, 0)

    def lowest(self, size: int) -> int:
        """Return the address of the lowest block of ``size`` bytes or more, or -1, even in best fit."""
        _check_block(0, size)
        node = self.root
        for depth in range(self.height):
            spot = node.first_fit(size)
            if spot < 0:
                return -1
            step(self, depth, node, spot)
            node = kid_of(node, spot)
            fetch(node)
        spot = node.first_fit(size)
        step(self, self.height, node, spot)
        return node.keys[spot] if spot >= 0 else -1

    def remove(self, address: int, size: int) -> None:
        """Take exactly these bytes out of the block that holds them; split that block if necessary.

        Raises:
            BlockError: the bytes are not wholly inside one block; the tree is unchanged.
        """
        if self.take(address, size) <= 0:
            raise BlockError(f"block at {address} of {size} bytes is not inside one block")

    def take(self, address: int, size: int) -> int:
        """Do the same as ``remove`` and return 1. If none of the bytes is there, return 0; if some are, -1.

        The tree changes only if the result is 1.
        """
        _check_block(address, size)
        fence = self._descend(address)
        node = node_at(self, self.height)
        spot = self.spots[self.height]
        if spot >= 0:
            end = node.keys[spot] + node.values[spot]
            if end >= address + size:
                self._take(address, size, fence)
                return 1
            if end > address:
                return -1
        after = node.keys[spot + 1] if spot + 1 < node.count else fence
        return 0 if after >= address + size else -1

    def expect(self, address: int) -> None:
        """Prefetch the leaf that a search for ``address`` will reach."""
        if cython.compiled:
            node = self.root
            for _depth in range(self.height):
                node = kid_of(node, max(node.seek(address), 0))
            fetch(node)

    def discard(self, start: int, stop: int) -> int:
        """Remove every byte of [start, stop) that is in the tree. O(k log n) for k blocks with such bytes.

        Returns:
            The number of bytes removed.
        """
        taken = 0
        while start < stop:
            fence = self._descend(start)
            node = node_at(self, self.height)
            spot = self.spots[self.height]
            end = node.keys[spot] + node.values[spot] if spot >= 0 else 0
            if end > start:
                end = min(end, stop)
                self._take(start, end - start, fence)
                taken += end - start
                start = end
            else:
                start = node.keys[spot + 1] if spot + 1 < node.count else fence
        return taken

    def start_of_end(self, end: int) -> int:
        """Return the address of the block that ends exactly at ``end``, or ``end`` if there is none."""
        if self.count == 0 or end == 0:
            return end
        self._descend(end - 1)
        node = node_at(self, self.height)
        spot = self.spots[self.height]
        if spot >= 0 and node.keys[spot] + node.values[spot] == end:
            return node.keys[spot]
        return end

    def covers(self, address: int, size: int) -> bool:
        """Return whether all these bytes are in the tree, and therefore in one block."""
        _check_block(address, size)
        self._descend(address)
        node = node_at(self, self.height)
        spot = self.spots[self.height]
        return spot >= 0 and node.keys[spot] + node.values[spot] >= address + size

    def overlaps(self, address: int, size: int) -> bool:
        """Return whether any of these bytes is in the tree."""
        _check_block(address, size)
        fence = self._descend(address)
        node = node_at(self, self.height)
        spot = self.spots[self.height]
        if spot >= 0 and node.keys[spot] + node.values[spot] > address:
            return True
        if spot + 1 < node.count:
            fence = node.keys[spot + 1]
        return fence < address + size

    def floor(self, address: int) -> tuple[int, int] | None:
        """Return the block with the highest address at or below ``address``, or None."""
        self._descend(address)
        node = node_at(self, self.height)
        spot = self.spots[self.height]
        return (node.keys[spot], node.values[spot]) if spot >= 0 else None

    def largest(self) -> int:
        """Return the size of the largest block, 0 if there is none. O(1)."""
        return self.root.top()

    def last(self) -> tuple[int, int] | None:
        """Return the block with the highest address, or None."""
        node = self.root
        if node.count == 0:
            return None
        for _depth in range(self.height):
            node = kid_of(node, node.count - 1)
        return node.keys[node.count - 1], node.values[node.count - 1]

    def blocks(self, start: int = 0, stop: int = LIMIT, most: int = LIMIT) -> list[tuple[int, int]]:
        """Return the first ``most`` blocks with a byte in [start, stop), not cut, in order. O(log n + k).

        >>> tree = FreeTree()
        >>> tree.insert(0, 10); tree.insert(20, 10)
        >>> tree.blocks(9, 20)
        [(0, 10)]
        """
        found: list[tuple[int, int]] = []
        if start >= stop or most == 0:
            return found
        self._descend(start)
        node = node_at(self, self.height)
        spot = self.spots[self.height]
        if spot < 0 or node.keys[spot] + node.values[spot] <= start:
            spot += 1
        while True:
            while spot < node.count and node.keys[spot] < stop:
                found.append((node.keys[spot], node.values[spot]))
                spot += 1
                most -= 1
                if most == 0:
                    return found
            if spot < node.count:
                return found
            depth = self.height
            while spot == node.count:
                if depth == 0:
                    return found
                depth -= 1
                node = node_at(self, depth)
                self.spots[depth] += 1
                spot = self.spots[depth]
            while depth < self.height:
                node = kid_of(node, spot)
                depth += 1
                step(self, depth, node, 0)
                spot = 0

    def check(self) -> list[str]:
        """Prove every invariant of the module. O(n).

        Returns:
            A sentence for each violation; an empty list if the tree is sound.

        >>> FreeTree().check()
        []
        """
        faults: list[str] = []
        found: list[tuple[int, int]] = []
        self.inspect(self.root, self.height, True, faults, found)
        end = -1
        for address, size in found:
            if size < 1 or address + size > LIMIT:
                faults.append(f"block at {address} of {size} bytes is out of range")
            if address < end:
                faults.append(f"block at {address} begins before {end}, where the one before it ends")
            elif address == end:
                faults.append(f"block at {address} touches the one before it")
            end = address + size
        total = sum([size for _, size in found])
        if total != self.total:
            faults.append(f"total is {self.total}, the blocks have {total} bytes")
        if len(found) != self.count:
            faults.append(f"count is {self.count}, there are {len(found)} blocks")
        if self.sizes is not None:
            wrong = self.sizes.check()
            faults += [f"sizes: {fault}" for fault in wrong]
            if not wrong and list(self.sizes) != sorted([(size, address) for address, size in found]):
                faults.append("the sizes are not those of the blocks")
        return faults

    def _descend(self, address: int) -> int:
        """Set the path to the last block at or below ``address``, or to -1 in the first leaf.

        Returns:
            The address of the first block after that leaf; BEYOND if there is none.
        """
        fence = BEYOND
        node = self.root
        for depth in range(self.height):
            spot = max(node.seek(address), 0)
            step(self, depth, node, spot)
            if spot + 1 < node.count:
                fence = node.keys[spot + 1]
            node = kid_of(node, spot)
            fetch(node)
        step(self, self.height, node, node.seek(address))
        return fence

    def _changed(self, depth: int, old: int, new: int) -> int:
        """Bring the branches above a node of the path up to date.

        One value in the node has changed from ``old`` to ``new``; 0 means that it was, or is, not there.
        """
        node = node_at(self, depth)
        while depth > 0:
            depth -= 1
            parent = node_at(self, depth)
            spot = self.spots[depth]
            known = parent.values[spot]
            if new >= known:
                top = new
            elif old == known:
                top = node.top()
            else:
                top = known
            key = node.keys[0]
            if top == known and parent.keys[spot] == key:
                break
            parent.keys[spot] = key
            parent.values[spot] = top
            old = known
            new = top
            node = parent
        return 0

    def _add_entry(self, key: int, value: int, fence: int) -> int:
        """Insert an entry after the spot of the path; ``fence`` is the result of the same descent."""
        self.count += 1
        node = node_at(self, self.height)
        spot = self.spots[self.height] + 1
        if node.count == CAP:
            return self._changed(self.split(spot, key, value, fence == BEYOND), 0, value)
        node.put(spot, key, value, None)
        return self._changed(self.height, 0, value)

    def _drop_entry(self, spot: int, old: int, new: int) -> int:
        """Delete an entry of the path's leaf; ``old`` and ``new`` are those of ``_changed``."""
        self.count -= 1
        node = node_at(self, self.height)
        node.cut(spot)
        if node.count >= CAP // 2:
            return self._changed(self.height, old, new)
        return self.mend()

    def _take(self, address: int, size: int, fence: int) -> int:
        """Remove bytes from the path's block, which has all of them; ``fence`` is from the same descent."""
        node = node_at(self, self.height)
        spot = self.spots[self.height]
        key = node.keys[spot]
        room = node.values[spot]
        if room == size:
            self._drop_entry(spot, room, 0)
        elif key == address:
            node.keys[spot] = key + size
            node.values[spot] = room - size
            self._changed(self.height, room, room - size)
        else:
            node.values[spot] = address - key
            self._changed(self.height, room, address - key)
            if key + room > address + size:
                self._add_entry(address + size, key + room - address - size, fence)
        self.total -= size
        if self.sizes is not None:
            self.sizes.remove(room, key)
            if address > key:
                self.sizes.insert(address - key, key)
            if key + room > address + size:
                self.sizes.insert(key + room - address - size, address + size)
        return 0


def _check_block(address: int, size: int) -> int:
    """Raise unless a block is inside [0, 2**56) and not empty."""
    if size == 0 or size > LIMIT or address > LIMIT - size:
        raise BlockError(f"block at {address} of {size} bytes is empty, or ends beyond 2**56")
    return 0
