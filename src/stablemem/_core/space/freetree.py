# cython: annotation_typing=False, boundscheck=False, wraparound=False, auto_pickle=False
"""A max-value B+tree of disjoint blocks of bytes, in memory: the free list, and any set of ranges.

Leaves hold (address, size) of each block by address; a branch holds for each child the first address
and the largest size below it. From the sizes the lowest block that fits is found in one descent; from the
number of blocks below each node, how many there are before an address.

Invariants, all proved by ``FreeTree.check``:

* Blocks are at least 1 byte long, inside [0, 2**56), in order, and no two overlap or touch.
* Each entry of a branch is exactly the first address and the largest size of its child, and what a
  node counts is exactly the number of blocks below it.
* All leaves are equally deep. Every node is at least half full, except the root (a branch has two
  children) and the nodes on the right edge (one entry), which ascending inserts leave behind full.
* A tree of sizes, if there is one, has exactly the blocks of this one.
* ``total`` and ``count`` are the bytes and the number of the blocks.
"""

from collections.abc import Iterator
from operator import index

from ...errors import BlockError
from .freenode import FreeNode
from .sizetree import SizeTree

try:
    import cython
except ModuleNotFoundError:  # pragma: no cover - depends on what is installed
    from .. import _cython as cython

if not cython.compiled:
    from .freenode import CAP, DEPTH, kid_of

LIMIT = 1 << 56
BEYOND = LIMIT + 1


class FreeTree:
    """A set of bytes as maximal blocks (address, size), with first fit in one descent, or best fit.

    A max-value B+tree: a B+tree by address in which each branch also knows the largest size below
    each child, as in the MaxBpTree of the Motoko library "memory-region" [1]_. Where that one takes the
    largest block, this one takes the lowest that fits. n is the number of blocks; every method costs
    O(log n) where it does not say otherwise. Addresses and sizes are in bytes, and every method raises
    BlockError for a block that is empty or not inside [0, 2**56).

    The methods named ``..._block`` and ``..._range`` are the public ones for compiled callers: they
    take C integers, and behave alike, but only those of a block check its range.

    Attributes:
        total: bytes in all blocks.
        count: number of blocks.
        sizes: the same blocks by size, from which the best fit is taken; None for first fit.

    .. [1] https://github.com/NatLabs/memory-region

    >>> tree = FreeTree()
    >>> tree.insert(0, 100)
    >>> tree.insert(200, 50)
    >>> tree.allocate(60)
    0
    >>> tree.insert(100, 100)
    >>> list(tree), tree.total
    ([(60, 190)], 190)

    """

    __slots__ = ("count", "height", "path", "root", "sizes", "spots", "total")

    def __init__(self) -> None:
        if not cython.compiled:
            self.spots = [0] * DEPTH
            self.path = [FreeNode(False)] * DEPTH
        self.total = 0
        self.count = 0
        self.height = 0
        self.root = FreeNode(False)
        self.sizes: SizeTree | None = None

    def clear(self) -> None:
        """Remove all blocks.

        >>> tree = FreeTree()
        >>> tree.insert(0, 10)
        >>> tree.clear()
        >>> list(tree)
        []
        """
        if self.height:
            self.height = 0
            self.root = FreeNode(False)
        elif not cython.compiled:
            self.root.keys.clear()
            self.root.values.clear()
        self.root.count = 0
        self.root.below = 0
        self.total = 0
        self.count = 0
        if self.sizes is not None:
            self.sizes = SizeTree()

    def start_of_end(self, end: int) -> int:
        """Give the address of the block that ends exactly at ``end``, or ``end`` if there is none.

        >>> tree = FreeTree()
        >>> tree.insert(8, 10)
        >>> tree.start_of_end(18), tree.start_of_end(17)
        (8, 17)
        """
        return self.start_of(_word(end))

    def copy(self) -> "FreeTree":
        """Give an independent tree of the same blocks, in O(n).

        >>> tree = FreeTree()
        >>> tree.insert(0, 10)
        >>> twin = tree.copy()
        >>> twin.allocate(4)
        0
        >>> list(tree), list(twin)
        ([(0, 10)], [(4, 6)])
        """
        twin = FreeTree()
        twin.root = self.root.copied()
        twin.total = self.total
        twin.count = self.count
        twin.height = self.height
        if self.sizes is not None:
            twin.sizes = self.sizes.copy()
        return twin

    def insert(self, address: int, size: int) -> None:
        """Add a block and merge it with those it touches.

        Raises:
            BlockError: a byte of it is already in the tree, which is unchanged.

        >>> tree = FreeTree()
        >>> tree.insert(0, 10)
        >>> tree.insert(10, 5)
        >>> list(tree)
        [(0, 15)]
        >>> tree.insert(14, 2)
        Traceback (most recent call last):
        stablemem.errors.BlockError: block at 14 of 2 bytes overlaps the block at 0 of 15 bytes

        """
        self.insert_block(_word(address), _word(size))

    def allocate(self, size: int) -> int:
        """Take the front of the lowest block of ``size`` bytes or more: first fit.

        A tree that keeps sizes takes that of the smallest block of ``size`` bytes or more, the lowest of
        equals: best fit.

        Returns:
            The address of the bytes taken, or -1 if no block is large enough.

        >>> tree = FreeTree()
        >>> tree.insert(0, 10)
        >>> tree.allocate(4), tree.allocate(7), list(tree)
        (0, -1, [(4, 6)])

        """
        return self.allocate_block(_word(size))

    def find(self, size: int) -> int:
        """Give the address of the block that ``allocate`` would take from, or -1; change nothing.

        >>> tree = FreeTree()
        >>> tree.insert(8, 10)
        >>> tree.find(10), tree.find(11)
        (8, -1)
        """
        return self.find_block(_word(size))

    def lowest(self, size: int) -> int:
        """Give the address of the lowest block of ``size`` bytes or more, or -1, whatever the policy.

        >>> tree = FreeTree()
        >>> tree.insert(8, 10)
        >>> tree.lowest(10), tree.lowest(11)
        (8, -1)
        """
        return self.lowest_block(_word(size))

    def keep_sizes(self) -> None:
        """Take the best fit from now on, not the lowest: all blocks go into a SizeTree too, in O(n log n).

        >>> tree = FreeTree()
        >>> tree.insert(0, 10)
        >>> tree.insert(20, 5)
        >>> tree.keep_sizes()
        >>> tree.allocate(4), list(tree)
        (20, [(0, 10), (24, 1)])
        """
        sizes = SizeTree()
        for address, size in self.list_blocks(0, LIMIT, LIMIT):
            sizes.insert_pair(size, address)
        self.sizes = sizes

    def remove(self, address: int, size: int) -> None:
        """Take exactly these bytes out of the one block that holds them, splitting it if need be.

        Raises:
            BlockError: they are not wholly inside one block; the tree is unchanged.

        >>> tree = FreeTree()
        >>> tree.insert(0, 10)
        >>> tree.remove(4, 2)
        >>> list(tree)
        [(0, 4), (6, 4)]

        """
        self.remove_block(_word(address), _word(size))

    def discard(self, start: int, stop: int) -> int:
        """Take out every byte of [start, stop) that is there, in O(k log n) for k blocks met.

        Returns:
            The number of bytes removed.

        >>> tree = FreeTree()
        >>> tree.insert(0, 10)
        >>> tree.insert(20, 10)
        >>> tree.discard(5, 25), list(tree)
        (10, [(0, 5), (25, 5)])

        """
        return self.discard_range(_word(start), _word(stop))

    def covers(self, address: int, size: int) -> bool:
        """Tell whether all these bytes are in the tree, and so in one block.

        >>> tree = FreeTree()
        >>> tree.insert(0, 10)
        >>> tree.covers(2, 8), tree.covers(2, 9)
        (True, False)
        """
        return self.covers_block(_word(address), _word(size))

    def overlaps(self, address: int, size: int) -> bool:
        """Tell whether any of these bytes is in the tree.

        >>> tree = FreeTree()
        >>> tree.insert(0, 10)
        >>> tree.overlaps(9, 8), tree.overlaps(10, 8)
        (True, False)
        """
        return self.overlaps_block(_word(address), _word(size))

    def floor(self, address: int) -> tuple[int, int] | None:
        """Give the block with the largest address not above ``address``, or None.

        >>> tree = FreeTree()
        >>> tree.insert(8, 10)
        >>> tree.floor(100), tree.floor(7)
        ((8, 10), None)
        """
        return self.floor_block(_word(address))

    def ceiling(self, address: int) -> tuple[int, int] | None:
        """Give the block with the smallest address not below ``address``, or None.

        >>> tree = FreeTree()
        >>> tree.insert(8, 10)
        >>> tree.ceiling(8), tree.ceiling(9)
        ((8, 10), None)
        """
        return self.ceiling_block(_word(address))

    def largest(self) -> int:
        """Size of the largest block, 0 if there is none, in O(1).

        >>> FreeTree().largest()
        0
        """
        return self.root.top()

    def last(self) -> tuple[int, int] | None:
        """Give the block with the highest address, or None.

        >>> tree = FreeTree()
        >>> tree.insert(8, 10)
        >>> tree.last()
        (8, 10)
        """
        return self.last_block()

    def rank(self, address: int) -> int:
        """Give the number of blocks that begin below ``address``.

        >>> tree = FreeTree()
        >>> tree.insert(8, 10)
        >>> tree.rank(8), tree.rank(9)
        (0, 1)
        """
        return self.rank_block(_word(address))

    def select(self, rank: int) -> tuple[int, int] | None:
        """Give the block that has ``rank`` blocks before it, or None if there are not so many.

        >>> tree = FreeTree()
        >>> tree.insert(8, 10)
        >>> tree.select(0), tree.select(1)
        ((8, 10), None)
        """
        return self.select_block(_word(rank))

    def blocks(self, start: int = 0, stop: int = 1 << 56, most: int = 1 << 56) -> list[tuple[int, int]]:
        """Blocks with a byte in [start, stop), whole and in order, the first ``most``; O(log n + k).

        >>> tree = FreeTree()
        >>> tree.insert(0, 10)
        >>> tree.insert(20, 10)
        >>> tree.blocks(9, 20)
        [(0, 10)]
        """
        return self.list_blocks(_word(start), _word(stop), _word(most))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.list_blocks(0, LIMIT, LIMIT))

    def __len__(self) -> int:
        return self.count

    def check(self) -> list[str]:
        """Prove every invariant of the module, in O(n).

        Returns:
            What is broken, a sentence each; none if the tree is sound.

        >>> FreeTree().check()
        []

        """
        faults: list[str] = []
        found: list[tuple[int, int]] = []
        self._inspect(self.root, self.height, True, faults, found)
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

    def insert_block(self, address: int, size: int) -> int:
        """``insert`` of C integers; gives the size of the block that the bytes are in now."""
        merged = self.merge_block(address, size)
        if merged == 0:
            raise self._clash(address, size)
        return merged

    def merge_block(self, address: int, size: int) -> int:
        """``insert_block`` that gives 0, and changes nothing, if a byte of the block is there already."""
        _check_block(address, size)
        stop = address + size
        merged = size
        front = 0
        fence = self._descend(address)
        node = self._at(self.height)
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
            # The grown block is larger than both it came from, so theirs need no looking for as maxima.
            if spot + 1 < node.count:
                merged = room + size + node.values[spot + 1]
                node.values[spot] = merged
                self._drop_entry(spot + 1, 0, merged)
            else:
                self._descend(after)
                node = self._at(self.height)
                room = node.values[0]
                self._drop_entry(0, room, 0)
                self._descend(address)
                node = self._at(self.height)
                spot = self.spots[self.height]
                merged = room + node.values[spot] + size
                node.values[spot] = merged
                self._changed(self.height, 0, merged)
        else:
            if spot + 1 < node.count:
                spot += 1
            else:
                self._descend(after)
                node = self._at(self.height)
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
                self.sizes.remove_pair(front, address - front)
            if back:
                self.sizes.remove_pair(back, stop)
            self.sizes.insert_pair(merged, address - front)
        return merged

    def allocate_block(self, size: int) -> int:
        """``allocate`` of a C integer."""
        _check_block(0, size)
        if self.sizes is not None:
            address = self.sizes.fit(size, 0)
            if address < 0:
                return -1
            self._take(address, size, self._descend(address))
            return address
        node = self.root
        for depth in range(self.height):
            spot = node.first_fit(size)
            if spot < 0:
                return -1
            self._step(depth, node)
            self.spots[depth] = spot
            node = kid_of(node, spot)
            if cython.compiled:
                prefetch(cython.address(node.count), CAP * 16 + 32)
        spot = node.first_fit(size)
        if spot < 0:
            return -1
        self._step(self.height, node)
        address = node.keys[spot]
        room = node.values[spot]
        if room == size:
            self._drop_entry(spot, room, 0)
        else:
            node.keys[spot] = address + size
            node.values[spot] = room - size
            self._changed(self.height, room, room - size)
        self.total -= size
        return address

    def find_block(self, size: int) -> int:
        """``find`` of a C integer."""
        _check_block(0, size)
        return self.lowest_block(size) if self.sizes is None else self.sizes.fit(size, 0)

    def lowest_block(self, size: int) -> int:
        """``lowest`` of a C integer."""
        _check_block(0, size)
        node = self.root
        for _depth in range(self.height):
            spot = node.first_fit(size)
            if spot < 0:
                return -1
            node = kid_of(node, spot)
        spot = node.first_fit(size)
        return node.keys[spot] if spot >= 0 else -1

    def remove_block(self, address: int, size: int) -> int:
        """``remove`` of C integers."""
        _check_block(address, size)
        fence = self._descend(address)
        node = self._at(self.height)
        spot = self.spots[self.height]
        if spot < 0 or node.keys[spot] + node.values[spot] < address + size:
            raise BlockError(f"block at {address} of {size} bytes is not inside one block")
        return self._take(address, size, fence)

    def take_block(self, address: int, size: int) -> int:
        """``remove_block`` that raises nothing: 1 if the bytes were there, 0 if none is, -1 if some are.

        Only in the first case the tree has changed.
        """
        _check_block(address, size)
        fence = self._descend(address)
        node = self._at(self.height)
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

    def expect(self, address: int) -> int:
        """Have the leaf that a search of ``address`` will end in brought from memory, meanwhile."""
        if cython.compiled:
            node = self.root
            for _depth in range(self.height):
                node = kid_of(node, max(node.seek(address), 0))
            prefetch(cython.address(node.count), CAP * 16 + 32)
        return 0

    def discard_range(self, start: int, stop: int) -> int:
        """``discard`` of C integers."""
        taken = 0
        while start < stop:
            fence = self._descend(start)
            node = self._at(self.height)
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

    def start_of(self, end: int) -> int:
        """``start_of_end`` of a C integer."""
        if self.count == 0 or end == 0:
            return end
        self._descend(end - 1)
        node = self._at(self.height)
        spot = self.spots[self.height]
        if spot >= 0 and node.keys[spot] + node.values[spot] == end:
            return node.keys[spot]
        return end

    def covers_block(self, address: int, size: int) -> bool:
        """``covers`` of C integers."""
        _check_block(address, size)
        self._descend(address)
        node = self._at(self.height)
        spot = self.spots[self.height]
        return spot >= 0 and node.keys[spot] + node.values[spot] >= address + size

    def overlaps_block(self, address: int, size: int) -> bool:
        """``overlaps`` of C integers."""
        _check_block(address, size)
        fence = self._descend(address)
        node = self._at(self.height)
        spot = self.spots[self.height]
        if spot >= 0 and node.keys[spot] + node.values[spot] > address:
            return True
        if spot + 1 < node.count:
            fence = node.keys[spot + 1]
        return fence < address + size

    def floor_block(self, address: int) -> tuple[int, int] | None:
        """``floor`` of a C integer."""
        self._descend(address)
        node = self._at(self.height)
        spot = self.spots[self.height]
        return (node.keys[spot], node.values[spot]) if spot >= 0 else None

    def ceiling_block(self, address: int) -> tuple[int, int] | None:
        """``ceiling`` of a C integer."""
        fence = self._descend(address)
        node = self._at(self.height)
        spot = self.spots[self.height]
        if spot >= 0 and node.keys[spot] == address:
            return node.keys[spot], node.values[spot]
        if spot + 1 < node.count:
            return node.keys[spot + 1], node.values[spot + 1]
        return self.floor_block(fence) if fence < BEYOND else None

    def last_block(self) -> tuple[int, int] | None:
        """``last``, for compiled callers."""
        node = self.root
        if node.count == 0:
            return None
        for _depth in range(self.height):
            node = kid_of(node, node.count - 1)
        return node.keys[node.count - 1], node.values[node.count - 1]

    def rank_block(self, address: int) -> int:
        """``rank`` of a C integer."""
        before = 0
        node = self.root
        if address == 0:
            return 0
        for _depth in range(self.height):
            spot = max(node.seek(address - 1), 0)
            before += node.weight(0, spot)
            node = kid_of(node, spot)
        return before + node.seek(address - 1) + 1

    def select_block(self, rank: int) -> tuple[int, int] | None:
        """``select`` of a C integer."""
        if rank >= self.count:
            return None
        node = self.root
        for _depth in range(self.height):
            spot = 0
            kid = kid_of(node, 0)
            while rank >= kid.below:
                rank -= kid.below
                spot += 1
                kid = kid_of(node, spot)
            node = kid
        return node.keys[rank], node.values[rank]

    def list_blocks(self, start: int, stop: int, most: int) -> list[tuple[int, int]]:
        """``blocks`` of C integers."""
        found: list[tuple[int, int]] = []
        if start >= stop or most == 0:
            return found
        self._descend(start)
        node = self._at(self.height)
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
                node = self._at(depth)
                self.spots[depth] += 1
                spot = self.spots[depth]
            while depth < self.height:
                node = kid_of(node, spot)
                depth += 1
                self._step(depth, node)
                self.spots[depth] = 0
                spot = 0

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

    def _descend(self, address: int) -> int:
        """Set path and spots to the last block at or below ``address``, or to -1 in the first leaf.

        Returns:
            The address of the first block after that leaf, BEYOND if there is none.

        """
        fence = BEYOND
        node = self.root
        for depth in range(self.height):
            spot = max(node.seek(address), 0)
            self._step(depth, node)
            self.spots[depth] = spot
            if spot + 1 < node.count:
                fence = node.keys[spot + 1]
            node = kid_of(node, spot)
            if cython.compiled:
                # A search reads cache lines one after the other; so they come at once.
                prefetch(cython.address(node.count), CAP * 16 + 32)
                if not node.leaf:
                    prefetch(node.kids, CAP * 8)
        self._step(self.height, node)
        self.spots[self.height] = node.seek(address)
        return fence

    def _changed(self, depth: int, old: int, new: int) -> int:
        """Bring the branches above a node of the path up to date.

        One value in the node went from ``old`` to ``new``; 0 stands for "was not there" or "is gone".
        """
        node = self._at(depth)
        while depth > 0:
            depth -= 1
            parent = self._at(depth)
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

    def _count(self, more: int) -> int:
        """Count one block more, or less, in every node of the path."""
        for depth in range(self.height + 1):
            node = self._at(depth)
            node.below += more
        self.count += more
        return 0

    def _add_entry(self, key: int, value: int, fence: int) -> int:
        """Insert an entry behind the spot of the path, splitting what is full."""
        self._count(1)
        depth = self.height
        node = self._at(depth)
        spot = self.spots[depth] + 1
        biggest = value
        kid = None
        weight = 1
        half = CAP // 2
        while node.count == CAP:
            fresh = FreeNode(not node.leaf)
            start = half
            if fence == BEYOND and spot == CAP:
                # At the right edge: what comes next is likely to be above, so leave a full node behind.
                start = CAP
            node.move_tail(start, fresh)
            if spot > half:
                fresh.put(spot - start, key, value, kid)
                fresh.below += weight
                node.below -= weight
            else:
                node.put(spot, key, value, kid)
            if depth == 0:
                self.root = FreeNode(True)
                self.root.below = node.below + fresh.below
                self.root.put(0, node.keys[0], node.top(), node)
                self.root.put(1, fresh.keys[0], fresh.top(), fresh)
                self.height += 1
                return 0
            depth -= 1
            parent = self._at(depth)
            spot = self.spots[depth]
            parent.keys[spot] = node.keys[0]
            parent.values[spot] = node.top()
            key = fresh.keys[0]
            value = fresh.top()
            kid = fresh
            weight = fresh.below
            node = parent
            spot += 1
        node.put(spot, key, value, kid)
        return self._changed(depth, 0, biggest)

    def _drop_entry(self, spot: int, old: int, new: int) -> int:
        """Delete an entry of the path's leaf; ``old`` and ``new`` as in ``_changed``."""
        self._count(-1)
        node = self._at(self.height)
        node.cut(spot)
        if node.count >= CAP // 2:
            return self._changed(self.height, old, new)
        return self._mend()

    def _mend(self) -> int:
        """Refill or merge the nodes of the path that are less than half full, and bring all up to date."""
        depth = self.height
        while depth > 0:
            node = self._at(depth)
            depth -= 1
            parent = self._at(depth)
            spot = self.spots[depth]
            if node.count >= CAP // 2 or (node.count > 0 and parent.count == 1):
                parent.keys[spot] = node.keys[0]
                parent.values[spot] = node.top()
            elif node.count == 0:
                parent.cut(spot)
            else:
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
                    parent.values[spot + 1] = right.top()
                parent.keys[spot] = left.keys[0]
                parent.values[spot] = left.top()
        while self.height > 0 and self.root.count == 1:
            self.root = kid_of(self.root, 0)
            self.height -= 1
        return 0

    def _take(self, address: int, size: int, fence: int) -> int:
        """Take bytes out of the block of the path, which has them all; ``fence`` is of the same descent."""
        node = self._at(self.height)
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
            self.sizes.remove_pair(room, key)
            if address > key:
                self.sizes.insert_pair(address - key, key)
            if key + room > address + size:
                self.sizes.insert_pair(key + room - address - size, address + size)
        return 0

    def _clash(self, address: int, size: int) -> BlockError:
        """Error of a block that overlaps another, the first of which it names."""
        other, room = self.list_blocks(address, address + size, 1)[0]
        return BlockError(f"block at {address} of {size} bytes overlaps the block at {other} of {room} bytes")

    def _inspect(
        self, node: FreeNode, level: int, spine: bool, faults: list[str], found: list[tuple[int, int]]
    ) -> int:
        """Check a node and all below it; ``spine`` tells that it is on the right edge."""
        least = CAP // 2
        if spine:
            least = 1
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
            if kid.count and kid.keys[0] != node.keys[spot]:
                faults.append(f"{where} says {node.keys[spot]} for a child that begins at {kid.keys[0]}")
            if kid.top() != node.values[spot]:
                faults.append(f"{where} says {node.values[spot]} for a child whose largest is another")
            self._inspect(kid, level - 1, spine and spot == node.count - 1, faults, found)
        return 0


def _word(value: int) -> int:
    """Check that ``value`` can be an address or a size, as far as C integers go."""
    if not isinstance(value, int):
        value = index(value)
    if cython.compiled:
        try:
            word = value
        except OverflowError:
            word = BEYOND
    else:
        word = value if value >= 0 else BEYOND
    if word > LIMIT:
        raise BlockError(f"{value} is not an address or a size: these are from 0 to 2**56")
    return word


def _check_block(address: int, size: int) -> int:
    """Check that a block is inside [0, 2**56) and not empty."""
    if size == 0 or size > LIMIT or address > LIMIT - size:
        raise BlockError(f"block at {address} of {size} bytes is empty, or ends beyond 2**56")
    return 0
