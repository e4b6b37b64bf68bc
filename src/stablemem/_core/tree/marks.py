"""Marks: what a pager must bring back to be as it was at an earlier moment of the transaction.

A mark costs nothing when it is set. The first change of a dirty node that is older than the newest mark
copies the node's page into that mark: its *image*. A pending blob that is older and is released stays in the
mark. So undoing costs what was changed since, not what the transaction holds.

    pager   nodes    0 1 2 3 4 5 | 6 7        pending   0 1 2 | 3 4
    mark    images       2   4                blobs       1
                       first_node = 6                first_blob = 3

What is written out loses its number. Then a mark takes the lists as they were (``nodes``, ``pending``), with
an image of every node that is written: after that, nothing the pager does concerns it any more.

Invariants: an image is of a node with a number below ``first_node``, and as it was at the mark; if a mark has
taken a list, the older marks have taken it too.
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
        """Make the node what it was; return it."""
        self.node.bytes[:] = self.content
        self.node.pending = self.pending
        return self.node


class Mark:
    """One moment of a transaction.

    Args:
        number: how many marks there are with it.
        first_node: how many numbers of nodes were given then.
        first_blob: how many numbers of pending blobs.
        dirty_nodes: nodes that were dirty.
        pending_bytes: bytes of blobs that were pending.

    Attributes:
        images: of nodes changed since, by number.
        blobs: pending blobs released since, by number.
        nodes: what was dirty at the mark, once nodes were written out after it.
        pending: what was pending, once blobs were.
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
        """Take an image of a node that is about to change, if it is older and was not changed since."""
        if self.nodes is None and number < self.first_node and number not in self.images:
            self.images[number] = Image(node)

    def keep_blob(self, number: int, blob: bytes) -> None:
        """Keep a pending blob that is about to be released, if it is older."""
        if self.pending is None and number < self.first_blob:
            self.blobs[number] = blob

    def take_nodes(self, now: list[Node | None], inner: "Mark | None") -> list[Node | None]:
        """Return what was dirty, taken over before all that is dirty now loses its number."""
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
        """Return what was pending, taken over before all that is pending now loses its number."""
        if self.pending is None:
            self.pending = self.blobs_then(now)
        return self.pending

    def nodes_then(self, now: list[Node | None]) -> list[Node | None]:
        """Return what was dirty at the mark, brought back, given what was at the next mark, or is now."""
        nodes = now[: self.first_node] if self.nodes is None else list(self.nodes)
        for number, image in self.images.items():
            nodes[number] = image.bring_back()
        return nodes

    def blobs_then(self, now: list[bytes | None]) -> list[bytes | None]:
        """Return what was pending at the mark, given what was at the next mark, or is now."""
        if self.pending is not None:
            return list(self.pending)
        blobs = now[: self.first_blob]
        for number, blob in self.blobs.items():
            blobs[number] = blob
        return blobs

    def join(self, inner: "Mark") -> None:
        """Take over what an inner mark has kept: it ends, and what was changed since stays changed."""
        self._join_nodes(inner)
        if self.pending is None:
            for number, blob in inner.blobs.items():
                if number < self.first_blob:
                    self.blobs.setdefault(number, blob)

    def _join_nodes(self, inner: "Mark") -> None:
        """Take over the images of an inner mark that are of older nodes."""
        if self.nodes is None:
            for number, image in inner.images.items():
                if number < self.first_node:
                    self.images.setdefault(number, image)
