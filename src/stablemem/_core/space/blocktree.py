# cython: annotation_typing=False, boundscheck=False, wraparound=False, auto_pickle=False
"""What FreeTree and SizeTree share: a B+tree of pairs in memory, and the path of its last search.

A search leaves its *path* behind: the node that it met at each depth, and the *spot*, the index of the entry
that it followed there; in the leaf, of the last entry at or before what was looked for, or -1. A change
works on that path: it splits what is full, and refills what is less than half full.

Each entry of a branch is the first key of its child, and a *summary* of the child: what else a search has to
know. In a FreeTree that is the largest value; else the first value, so that entries are found by pairs.

Invariants, which ``BlockTree.inspect`` proves:

* Each entry of a branch is exactly the first key and the summary of its child.
* All leaves are equally deep. Every node is at least half full, except the root (a branch has two
  children) and, in a FreeTree, the nodes on the right edge (one entry).

A change costs O(log n) for n entries in the leaves. Such an entry takes 16 bytes, in a node that is half full
at least.
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
    """A set of pairs in the order of their keys. A tree of a kind says how it is searched, and what is kept.

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
        """Insert an entry into the leaf of the path, which is full, and split each node that is.

        Args:
            spot: the index of the new entry in the leaf.
            key: its key.
            value: its value.
            rightmost: whether the leaf is the last one, and entries that follow are likely to be later ones.

        Returns:
            The depth of the lowest node of the path that was not split: what is above it is as before.

        """
        depth = self.height
        node = node_at(self, depth)
        kid = None
        half = CAP // 2
        while node.count == CAP:
            fresh = BlockNode(not node.leaf)
            # A full node is left behind if nothing more is expected in it.
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
        """Refill or merge the nodes of the path that are less than half full, and bring all up to date."""
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
        """Append all pairs in the leaves below a node."""
        for spot in range(node.count):
            if node.leaf:
                found.append((node.keys[spot], node.values[spot]))
            else:
                self.gather(kid_of(node, spot), found)
        return 0

    def inspect(
        self, node: BlockNode, level: int, spine: bool, faults: list[str], found: list[tuple[int, int]]
    ) -> int:
        """Append what is wrong with a node on a level (0 for leaves) and with all below it.

        Args:
            node: the node.
            level: how many levels are below it.
            spine: whether it is on a right edge, where nodes may be less than half full.
            faults: where a sentence goes for each fault.
            found: where all pairs go that are in leaves of a sound shape.
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
        """Return the node of the path at a depth, of the last search only: nothing else keeps it alive."""
        return tree.path[depth]

    def step(tree: BlockTree, depth: int, node: BlockNode, spot: int) -> None:
        """Let the path lead through an entry of a node."""
        tree.path[depth] = node
        tree.spots[depth] = spot
