# cython: annotation_typing=False, boundscheck=False, wraparound=False, auto_pickle=False
"""The common base of FreeTree and SizeTree: a B+tree of pairs in memory, with the path of its last search.

A search records its *path*: the node at each depth, and the *spot*, the index of the entry that it followed
in that node. In the leaf, the spot is the index of the last entry at or before the searched one, or -1. A
change works on that path: it splits full nodes, and refills nodes that are less than half full.

Each entry of a branch has the first key of its child, and a *summary* of the child, which searches need. In a
FreeTree, the summary is the largest value; in other trees it is the first value, so that pairs can be found.

Invariants, which ``BlockTree.inspect`` proves:

* Each entry of a branch is exactly the first key and the summary of its child.
* All leaves are equally deep. Every node is at least half full, except the root (a branch has two
  children) and, in a FreeTree, the nodes on the right edge (one entry).

A change costs O(log n) for n entries in the leaves. An entry takes 16 bytes, in a node that is at least half
full.
"""

from collections.abc import Iterator

from .blocknode import BlockNode

try:
    import cython
except ModuleNotFoundError:  # pragma: no cover - depends on what is installed
    from .. import _cython as cython

if not cython.compiled:
    from .blocknode import CAP, DEPTH, kid_of


class BlockTree:
    """A set of pairs in the order of their keys. Subclasses define the searches and the contents.

    Attributes:
        count: the number of pairs.
    """

    __slots__ = ("count", "height", "path", "root", "spots")

    def __init__(self) -> None:
        if not cython.compiled:
            self.spots = [0] * DEPTH
            self.path = [BlockNode(False)] * DEPTH
        self.count = 0
        self.height = 0
        self.root = BlockNode(False)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        self.gather(self.root, found)
        return iter(found)

    def summary(self, node: BlockNode) -> int:
        """Return the value of the entry that leads to a node, which is not empty."""
        return node.values[0]

    def split(self, spot: int, key: int, value: int, rightmost: bool) -> int:
        """Insert an entry into the leaf of the path, which is full, and split each full node.

        Args:
            spot: the index of the new entry in the leaf.
            key: its key.
            value: its value.
            rightmost: whether the leaf is the last one: then the next entries probably come after it.

        Returns:
            The depth of the lowest node of the path that was not split. The branches above it are unchanged.

        """
        depth = self.height
        node = node_at(self, depth)
        kid = None
        half = CAP // 2
        while node.count == CAP:
            fresh = BlockNode(not node.leaf)
            # Leave the full node as it is if no more entries are expected in it.
            start = CAP if rightmost and spot == CAP else half
            node.move_tail(start, fresh)
            if spot > half:
                fresh.put(spot - start, key, value, kid)
            else:
                node.put(spot, key, value, kid)
            key = fresh.keys[0]
            value = self.summary(fresh)
            kid = fresh
            if depth == 0:
                self.root = BlockNode(True)
                self.root.put(0, node.keys[0], self.summary(node), node)
                self.root.put(1, key, value, fresh)
                self.height += 1
                return 0
            depth -= 1
            parent = node_at(self, depth)
            spot = self.spots[depth]
            parent.keys[spot] = node.keys[0]
            parent.values[spot] = self.summary(node)
            node = parent
            spot += 1
        node.put(spot, key, value, kid)
        return depth

    def mend(self) -> int:
        """Refill or merge the path's nodes that are less than half full, and bring the path up to date."""
        depth = self.height
        while depth > 0:
            node = node_at(self, depth)
            depth -= 1
            parent = node_at(self, depth)
            spot = self.spots[depth]
            if node.count >= CAP // 2 or (node.count > 0 and parent.count == 1):
                parent.keys[spot] = node.keys[0]
                parent.values[spot] = self.summary(node)
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
                    parent.values[spot + 1] = self.summary(right)
                parent.keys[spot] = left.keys[0]
                parent.values[spot] = self.summary(left)
        while self.height > 0 and self.root.count == 1:
            self.root = kid_of(self.root, 0)
            self.height -= 1
        return 0

    def gather(self, node: BlockNode, found: list[tuple[int, int]]) -> int:
        """Append all pairs in the leaves below a node to ``found``."""
        for spot in range(node.count):
            if node.leaf:
                found.append((node.keys[spot], node.values[spot]))
            else:
                self.gather(kid_of(node, spot), found)
        return 0

    def inspect(
        self, node: BlockNode, level: int, spine: bool, faults: list[str], found: list[tuple[int, int]]
    ) -> int:
        """Append the faults of a node on a level (0 for leaves) and of all nodes below it.

        Args:
            node: the node.
            level: number of levels below it.
            spine: whether it is on a right edge, where nodes may be less than half full.
            faults: gets a sentence for each fault.
            found: gets all pairs from leaves of a sound shape.
        """
        least = 1 if spine else CAP // 2
        if node is self.root:
            least = 0 if level == 0 else 2
        wrong = node.faults(level, least)
        faults += wrong
        if wrong:
            return 0
        if node.leaf:
            return self.gather(node, found)
        for spot in range(node.count):
            kid = kid_of(node, spot)
            self.inspect(kid, level - 1, spine and spot == node.count - 1, faults, found)
            if kid.count == 0:
                continue
            said, there = (node.keys[spot], node.values[spot]), (kid.keys[0], self.summary(kid))
            if said != there:
                faults.append(f"a branch on level {level} has {said} for a child that has {there}")
        return 0


if not cython.compiled:

    def node_at(tree: BlockTree, depth: int) -> BlockNode:
        """Return the node at a depth of the last search's path, which does not keep its nodes alive."""
        return tree.path[depth]

    def step(tree: BlockTree, depth: int, node: BlockNode, spot: int) -> None:
        """Set the node and the spot of the path at a depth."""
        tree.path[depth] = node
        tree.spots[depth] = spot
