# cython: annotation_typing=False, boundscheck=False, wraparound=False, auto_pickle=False
"""The node of the trees in memory: at most ``CAP`` pairs of keys and values in arrays, and the nodes below.

In a FreeTree, keys are addresses and values are sizes; in a SizeTree, keys are sizes and values are
addresses. Both search nodes, make room in them and move entries to a neighbour. These operations take most of
the time.

Invariant: ``keys[:count]`` and ``values[:count]`` are the entries; a branch has as many nodes below it.
"""

from bisect import bisect_left, bisect_right

try:
    import cython
except ModuleNotFoundError:  # pragma: no cover - depends on what is installed
    from .. import _cython as cython

if cython.compiled:
    from cython.cimports.cpython.mem import PyMem_Free, PyMem_Malloc
    from cython.cimports.cpython.ref import Py_DECREF, Py_INCREF
    from cython.cimports.libc.string import memcpy, memmove
else:
    # The same as in the .pxd. 24 levels of half-full nodes hold more entries than there are addresses.
    CAP = 64
    DEPTH = 24


class BlockNode:
    """A leaf or a branch.

    In the compiled form, keys and values are C arrays of fixed length, and ``kids`` is a C array of counted
    references, which a branch owns. With a list, a search would wait for memory two more times at every
    level. In the interpreted form, all three are lists of exactly ``count`` items.

    Args:
        branch: whether there are nodes below this one.
    """

    __slots__ = ("count", "keys", "kids", "leaf", "values")

    def __init__(self, branch: bool) -> None:
        self.count = 0
        self.leaf = not branch
        if cython.compiled:
            if branch:
                self.kids = cython.cast(kids_t, PyMem_Malloc(CAP * 8))
                if self.kids == cython.NULL:
                    raise MemoryError
        else:
            self.kids: list[BlockNode] = []
            self.keys: list[int] = []
            self.values: list[int] = []

    def __dealloc__(self) -> None:
        """Let go of the nodes below (compiled only)."""
        self.release()

    def release(self) -> None:
        """Let go of the nodes below."""
        if cython.compiled and self.kids != cython.NULL:
            for spot in range(self.count):
                Py_DECREF(kid_of(self, spot))
            PyMem_Free(self.kids)
            self.kids = cython.NULL

    def seek(self, key: int) -> int:
        """Return the index of the last entry with a key at or below ``key``, or -1."""
        if cython.compiled:
            if self.count == 0 or self.keys[0] > key:
                return -1
            base = 0
            width = self.count
            while width > 1:
                half = width >> 1
                if self.keys[base + half] <= key:
                    base += half
                width -= half
            return base
        else:
            return bisect_right(self.keys, key) - 1

    def seek_pair(self, key: int, value: int) -> int:
        """Return the index of the last entry at or before the pair (``key``, ``value``), or -1."""
        if cython.compiled:
            base = 0
            width = self.count
            while width > 0:
                half = (width + 1) >> 1
                there = self.keys[base + half - 1]
                if there < key or (there == key and self.values[base + half - 1] <= value):
                    base += half
                    width -= half
                else:
                    width = half - 1
            return base - 1
        else:
            low = bisect_left(self.keys, key)
            return bisect_right(self.values, value, low, bisect_right(self.keys, key, low)) - 1

    def first_fit(self, size: int) -> int:
        """Return the index of the first entry with a value of ``size`` or more, or -1."""
        if cython.compiled:
            for spot in range(self.count):
                if self.values[spot] >= size:
                    return spot
        else:
            for spot, value in enumerate(self.values):
                if value >= size:
                    return spot
        return -1

    def top(self) -> int:
        """Return the largest value; 0 if the node is empty."""
        if cython.compiled:
            # Four at a time, and by selection, not by jumps: no processor can predict which one is larger.
            first = second = third = fourth = 0
            spot = 0
            while spot + 4 <= self.count:
                first = self.values[spot] if self.values[spot] > first else first
                second = self.values[spot + 1] if self.values[spot + 1] > second else second
                third = self.values[spot + 2] if self.values[spot + 2] > third else third
                fourth = self.values[spot + 3] if self.values[spot + 3] > fourth else fourth
                spot += 4
            while spot < self.count:
                first = self.values[spot] if self.values[spot] > first else first
                spot += 1
            first = second if second > first else first
            third = fourth if fourth > third else third
            return third if third > first else first
        else:
            return max(self.values, default=0)

    def put(self, spot: int, key: int, value: int, kid: "BlockNode | None") -> int:
        """Insert an entry at index ``spot``; the node must have room."""
        if cython.compiled:
            rest = self.count - spot
            memmove(cython.address(self.keys[spot + 1]), cython.address(self.keys[spot]), rest * 8)
            memmove(cython.address(self.values[spot + 1]), cython.address(self.values[spot]), rest * 8)
            self.keys[spot] = key
            self.values[spot] = value
            if kid is not None:
                memmove(cython.address(self.kids[spot + 1]), cython.address(self.kids[spot]), rest * 8)
                Py_INCREF(kid)
                self.kids[spot] = cython.cast(kid_t, kid)
        else:
            self.keys.insert(spot, key)
            self.values.insert(spot, value)
            if kid is not None:
                self.kids.insert(spot, kid)
        self.count += 1
        return 0

    def cut(self, spot: int) -> int:
        """Delete the entry at index ``spot``."""
        if cython.compiled:
            rest = self.count - spot - 1
            self.count -= 1
            memmove(cython.address(self.keys[spot]), cython.address(self.keys[spot + 1]), rest * 8)
            memmove(cython.address(self.values[spot]), cython.address(self.values[spot + 1]), rest * 8)
            if not self.leaf:
                kid = kid_of(self, spot)
                memmove(cython.address(self.kids[spot]), cython.address(self.kids[spot + 1]), rest * 8)
                Py_DECREF(kid)
        else:
            self.count -= 1
            del self.keys[spot]
            del self.values[spot]
            if not self.leaf:
                del self.kids[spot]
        return 0

    def move_tail(self, start: int, right: "BlockNode") -> int:
        """Move the entries from ``start`` on to the front of the next node."""
        moved = self.count - start
        if cython.compiled:
            memmove(cython.address(right.keys[moved]), cython.address(right.keys[0]), right.count * 8)
            memmove(cython.address(right.values[moved]), cython.address(right.values[0]), right.count * 8)
            memcpy(cython.address(right.keys[0]), cython.address(self.keys[start]), moved * 8)
            memcpy(cython.address(right.values[0]), cython.address(self.values[start]), moved * 8)
            if not self.leaf:
                memmove(cython.address(right.kids[moved]), cython.address(right.kids[0]), right.count * 8)
                memcpy(cython.address(right.kids[0]), cython.address(self.kids[start]), moved * 8)
        else:
            right.keys[:0] = self.keys[start:]
            right.values[:0] = self.values[start:]
            right.kids[:0] = self.kids[start:]
            del self.keys[start:], self.values[start:], self.kids[start:]
        self.count = start
        right.count += moved
        return 0

    def move_head(self, moved: int, left: "BlockNode") -> int:
        """Move the first ``moved`` entries to the end of the previous node."""
        if cython.compiled:
            rest = self.count - moved
            memcpy(cython.address(left.keys[left.count]), cython.address(self.keys[0]), moved * 8)
            memcpy(cython.address(left.values[left.count]), cython.address(self.values[0]), moved * 8)
            memmove(cython.address(self.keys[0]), cython.address(self.keys[moved]), rest * 8)
            memmove(cython.address(self.values[0]), cython.address(self.values[moved]), rest * 8)
            if not self.leaf:
                memcpy(cython.address(left.kids[left.count]), cython.address(self.kids[0]), moved * 8)
                memmove(cython.address(self.kids[0]), cython.address(self.kids[moved]), rest * 8)
        else:
            left.keys += self.keys[:moved]
            left.values += self.values[:moved]
            left.kids += self.kids[:moved]
            del self.keys[:moved], self.values[:moved], self.kids[:moved]
        left.count += moved
        self.count -= moved
        return 0

    def faults(self, level: int, least: int) -> list[str]:
        """Return a sentence for each fault in the shape of this node, on a level (0 for leaves)."""
        where = f"node at {self.keys[0] if self.count else None} on level {level}"
        found = []
        if not least <= self.count <= CAP:
            found.append(f"{where} has {self.count} entries, not {least} to {CAP}")
        if self.leaf != (level == 0):
            found.append(f"{where} is a leaf above level 0, or a branch on it")
        if not cython.compiled:
            if not len(self.keys) == len(self.values) == self.count:
                found.append(
                    f"{where} has {len(self.keys)} keys and {len(self.values)} values for {self.count}"
                )
            if len(self.kids) != (0 if self.leaf else self.count):
                found.append(f"{where} has {len(self.kids)} children for {self.count} entries")
        return found


if not cython.compiled:

    def kid_of(node: BlockNode, spot: int) -> BlockNode:
        """Return the node below the entry at an index."""
        return node.kids[spot]

    def fetch(node: BlockNode) -> None:
        """Prefetch all entries of a node at once (compiled form only)."""
