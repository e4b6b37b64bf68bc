"""Marks: keep what a pager needs to return to an earlier moment of the transaction.

Setting a mark costs nothing. The first change of a dirty node that is older than the newest mark copies the
page of the node into that mark: its *image*. A pending blob that is older than the mark, and is released,
stays in the mark. So the cost of undoing depends on the changes since the mark, not on the whole transaction.

    pager   nodes    0 1 2 3 4 5 | 6 7        pending   0 1 2 | 3 4
    mark    images       2   4                blobs       1
                       first_node = 6                first_blob = 3

Nodes and blobs that are written out lose their numbers. Before that, a mark takes the lists as they were
(``nodes``, ``pending``), with an image of every node that is written. After that, nothing that the pager does
affects the mark.

Invariants: each image is of a node with a number below ``first_node``, and shows it as it was at the mark. If
a mark has taken a list, the older marks have taken it, too.
"""

from .kinds import Node

__all__ = ["Image", "Mark"]


class Image:
    """A dirty node as it was at a mark."""

    __slots__ = ("content", "node", "pending")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.content = bytes(node.bytes)
        self.pending = node.pending

    def bring_back(self) -> Node:
        """Restore the node, and return it."""
        self.node.bytes[:] = self.content
        self.node.pending = self.pending
        return self.node


class Mark:
    """One moment of a transaction.

    Args:
        number: number of the mark; a later mark has a higher one.
        first_node: the first node number that was not in use at the mark.
        first_blob: the first number of a pending blob that was not in use.
        dirty_nodes: number of dirty nodes at the mark.
        pending_bytes: bytes of pending blobs at the mark.

    Attributes:
        images: images of the nodes changed since then, by number.
        blobs: pending blobs released since then, by number.
        nodes: the dirty nodes at the mark; None before nodes were written out after it.
        pending: the pending blobs at the mark; None before blobs were written out after it.
    """

    __slots__ = (
        "blobs", "dirty_nodes", "first_blob", "first_node", "images", "nodes", "number", "pending",
        "pending_bytes",
    )  # fmt: skip

    def __init__(
        self, number: int, first_node: int, first_blob: int, dirty_nodes: int, pending_bytes: int
    ) -> None:
        self.number = number
        self.first_node = first_node
        self.first_blob = first_blob
        self.dirty_nodes = dirty_nodes
        self.pending_bytes = pending_bytes
        self.images: dict[int, Image] = {}
        self.blobs: dict[int, bytes] = {}
        self.nodes: list[Node | None] | None = None
        self.pending: list[bytes | None] | None = None

    def keep_node(self, number: int, node: Node) -> None:
        """Take an image of a node that is about to change, if it is older and was not changed since then."""
        if self.nodes is None and number < self.first_node and number not in self.images:
            self.images[number] = Image(node)

    def keep_blob(self, number: int, blob: bytes) -> None:
        """Keep a pending blob that is about to be released, if it is older."""
        if self.pending is None and number < self.first_blob:
            self.blobs[number] = blob

    def take_nodes(self, now: list[Node | None], inner: "Mark | None") -> list[Node | None]:
        """Take and return the nodes that were dirty at the mark, before dirty nodes lose their numbers."""
        if self.nodes is None:
            if inner is not None:
                self._join_nodes(inner)
            for number in range(self.first_node):
                node = now[number]
                if node is not None:
                    self.keep_node(number, node)
            self.nodes = now[: self.first_node]
            for number, image in self.images.items():
                self.nodes[number] = image.node
        return self.nodes

    def take_blobs(self, now: list[bytes | None]) -> list[bytes | None]:
        """Take and return the blobs that were pending at the mark, before blobs lose their numbers."""
        if self.pending is None:
            self.pending = self.blobs_then(now)
        return self.pending

    def nodes_then(self, now: list[Node | None]) -> list[Node | None]:
        """Return the nodes that were dirty at the mark, restored, given those of the next mark or of now."""
        nodes = now[: self.first_node] if self.nodes is None else list(self.nodes)
        for number, image in self.images.items():
            nodes[number] = image.bring_back()
        return nodes

    def blobs_then(self, now: list[bytes | None]) -> list[bytes | None]:
        """Return the blobs that were pending at the mark, given those of the next mark or of now."""
        if self.pending is not None:
            return list(self.pending)
        blobs = now[: self.first_blob]
        for number, blob in self.blobs.items():
            blobs[number] = blob
        return blobs

    def join(self, inner: "Mark") -> None:
        """Take over what an inner mark has kept. The inner mark ends; changes since then stay."""
        self._join_nodes(inner)
        if self.pending is None:
            for number, blob in inner.blobs.items():
                if number < self.first_blob:
                    self.blobs.setdefault(number, blob)

    def _join_nodes(self, inner: "Mark") -> None:
        """Take over those images of an inner mark whose nodes are older than this mark."""
        if self.nodes is None:
            for number, image in inner.images.items():
                if number < self.first_node:
                    self.images.setdefault(number, image)
