"""The allocators of the original MemoryRegion, modelled after its source: what they would place where.

Both free lists carve from the end of the block they take, merge neighbours when a block is freed, and
extend the region where nothing fits. Sizes and addresses only; no bytes are kept.

* ``DualTree``: the two B-trees of the post, best fit. Its searches stop at the first node from the root that
  has a key on the wanted side: with more than one level the block is not the smallest that fits, and a free
  neighbour on the left may be missed.
* ``LargestFirst``: the max-value tree that came after it. It always takes the largest block, of those the
  one at the lowest address; which node holds what makes no difference, so a heap stands for the tree.
"""

from bisect import bisect_left
from heapq import heappop, heappush
from typing import Any

__all__ = ["DualTree", "LargestFirst"]

ORDER = 32
"""Children of a node of the original's B-trees; a node has one key less."""


class _Node:
    """Keys with their values; ``kids`` is empty in a leaf."""

    __slots__ = ("keys", "kids", "values")

    def __init__(self, keys: list[int], values: list[Any], kids: "list[_Node]") -> None:
        self.keys, self.values, self.kids = keys, values, kids


class _BTree:
    """A B-tree, entries in every node, with the original's two searches."""

    def __init__(self) -> None:
        self._root = _Node([], [], [])

    def get(self, key: int) -> Any:
        """Return the value of a key, None if it is not there."""
        node = self._root
        while True:
            spot = bisect_left(node.keys, key)
            if spot < len(node.keys) and node.keys[spot] == key:
                return node.values[spot]
            if not node.kids:
                return None
            node = node.kids[spot]

    def ceiling(self, key: int) -> tuple[int, Any] | None:
        """Return the first entry at or above a key in the first node that has one."""
        node = self._root
        while True:
            spot = bisect_left(node.keys, key)
            if spot < len(node.keys):
                return node.keys[spot], node.values[spot]
            if not node.kids:
                return None
            node = node.kids[spot]

    def previous(self, key: int) -> tuple[int, Any] | None:
        """Return the last entry below a key in the first node that has one."""
        node = self._root
        while True:
            spot = bisect_left(node.keys, key)
            if spot > 0:
                return node.keys[spot - 1], node.values[spot - 1]
            if not node.kids:
                return None
            node = node.kids[0]

    def put(self, key: int, value: Any) -> Any:
        """Set the value of a key; return the one that it had, or None."""
        path: list[tuple[_Node, int]] = []
        node = self._root
        while True:
            spot = bisect_left(node.keys, key)
            if spot < len(node.keys) and node.keys[spot] == key:
                old, node.values[spot] = node.values[spot], value
                return old
            if not node.kids:
                break
            path.append((node, spot))
            node = node.kids[spot]
        node.keys.insert(spot, key)
        node.values.insert(spot, value)
        while len(node.keys) >= ORDER:
            half = ORDER // 2
            right = _Node(node.keys[half + 1 :], node.values[half + 1 :], node.kids[half + 1 :])
            key, value = node.keys[half], node.values[half]
            del node.keys[half:], node.values[half:], node.kids[half + 1 :]
            if not path:
                self._root = _Node([key], [value], [node, right])
                break
            node, spot = path.pop()
            node.keys.insert(spot, key)
            node.values.insert(spot, value)
            node.kids.insert(spot + 1, right)
        return None

    def delete(self, key: int) -> Any:
        """Delete a key that is there; return its value."""
        path: list[tuple[_Node, int]] = []
        node = self._root
        while True:
            spot = bisect_left(node.keys, key)
            if spot < len(node.keys) and node.keys[spot] == key:
                break
            path.append((node, spot))
            node = node.kids[spot]
        value = node.values[spot]
        if node.kids:
            # The entry before it takes its place; it is the last of a leaf.
            inner, place = node, spot
            path.append((node, spot))
            node = node.kids[spot]
            while node.kids:
                path.append((node, len(node.keys)))
                node = node.kids[-1]
            spot = len(node.keys) - 1
            inner.keys[place], inner.values[place] = node.keys[spot], node.values[spot]
        del node.keys[spot], node.values[spot]
        while path and len(node.keys) < (ORDER - 1) // 2:
            parent, place = path.pop()
            _mend(parent, place)
            node = parent
        if not self._root.keys and self._root.kids:
            self._root = self._root.kids[0]
        return value


def _mend(parent: _Node, place: int) -> None:
    """Give a child an entry of a sibling that can spare one, or join it with a sibling."""
    least = (ORDER - 1) // 2
    node = parent.kids[place]
    if place > 0 and len(parent.kids[place - 1].keys) > least:
        left = parent.kids[place - 1]
        node.keys.insert(0, parent.keys[place - 1])
        node.values.insert(0, parent.values[place - 1])
        parent.keys[place - 1], parent.values[place - 1] = left.keys.pop(), left.values.pop()
        if left.kids:
            node.kids.insert(0, left.kids.pop())
        return
    if place + 1 < len(parent.kids) and len(parent.kids[place + 1].keys) > least:
        right = parent.kids[place + 1]
        node.keys.append(parent.keys[place])
        node.values.append(parent.values[place])
        parent.keys[place], parent.values[place] = right.keys.pop(0), right.values.pop(0)
        if right.kids:
            node.kids.append(right.kids.pop(0))
        return
    first = place - 1 if place > 0 else place
    left, right = parent.kids[first], parent.kids[first + 1]
    left.keys += [parent.keys.pop(first), *right.keys]
    left.values += [parent.values.pop(first), *right.values]
    left.kids += right.kids
    del parent.kids[first + 1]


class DualTree:
    """Best fit by two B-trees: address to size, and size to addresses.

    Attributes:
        end: bytes of the region so far.
    """

    def __init__(self) -> None:
        self.end = 0
        self._addresses = _BTree()
        self._sizes = _BTree()

    def _forget(self, address: int, size: int) -> None:
        """Take a free block out of the tree of sizes."""
        same: dict[int, None] = self._sizes.get(size)
        del same[address]
        if not same:
            self._sizes.delete(size)

    def _keep(self, address: int, size: int) -> None:
        """Let a free block have this size, whatever it had."""
        old = self._addresses.put(address, size)
        if old is not None:
            self._forget(address, old)
        # A set that gives back first what came last, as the original's does.
        same = self._sizes.get(size)
        if same is None:
            same = {}
            self._sizes.put(size, same)
        same[address] = None

    def allocate(self, size: int) -> int:
        """Return the address of a block: the end of the free one that the search finds, or of the region."""
        found = self._sizes.ceiling(size)
        if found is None:
            self.end += size
            return self.end - size
        room, same = found
        address: int = next(reversed(same))
        if room == size:
            self._addresses.delete(address)
            self._forget(address, room)
            return address
        self._keep(address, room - size)
        return address + room - size

    def deallocate(self, address: int, size: int) -> None:
        """Free a block, and merge it with the free neighbours that the searches find."""
        previous = self._addresses.previous(address)
        behind = self._addresses.get(address + size)
        if behind is not None:
            self._addresses.delete(address + size)
            self._forget(address + size, behind)
            size += behind
        if previous is not None and sum(previous) == address:
            address, size = previous[0], previous[1] + size
        self._keep(address, size)


class LargestFirst:
    """Worst fit: the largest free block serves every call that it is large enough for.

    Attributes:
        end: bytes of the region so far.
    """

    def __init__(self) -> None:
        self.end = 0
        self._sizes: dict[int, int] = {}
        self._starts: dict[int, int] = {}
        # Negative sizes, addresses; what is not so in ``_sizes`` any more counts as deleted.
        self._largest: list[tuple[int, int]] = []

    def _keep(self, address: int, size: int) -> None:
        self._sizes[address] = size
        self._starts[address + size] = address
        heappush(self._largest, (-size, address))

    def _forget(self, address: int) -> int:
        size = self._sizes.pop(address)
        del self._starts[address + size]
        return size

    def allocate(self, size: int) -> int:
        """Return the address of a block: the end of the largest free one, or of the region."""
        largest = self._largest
        while largest and self._sizes.get(largest[0][1]) != -largest[0][0]:
            heappop(largest)
        if not largest or -largest[0][0] < size:
            self.end += size
            return self.end - size
        address = largest[0][1]
        room = self._forget(address)
        if room > size:
            self._keep(address, room - size)
        return address + room - size

    def deallocate(self, address: int, size: int) -> None:
        """Free a block, and merge it with its free neighbours."""
        before = self._starts.get(address)
        if before is not None:
            size += self._forget(before)
            address = before
        if address + size in self._sizes:
            size += self._forget(address + size)
        self._keep(address, size)
