# cython: annotation_typing=False
"""Savepoint: a moment of a transaction that the transaction can return to.

    pager    mark     images of the nodes that were changed since then (tree/marks.py)
    space    layer    the blocks that were allocated and freed since then (space/layers.py)
    patches           the stores into raw blocks until then
    catalog           entries, roots and dropped names until then

Beginning a savepoint writes nothing, unless very many nodes are dirty. A savepoint ends once, kept or undone,
and the newest ends first. Undoing a savepoint also undoes those after it.
"""

from ..format.catalog import Entry, Root
from ..format.slots import Tree
from ..tree.marks import Mark
from .handle import Handle
from .patches import Pending
from .transaction import Transaction, place_nodes

__all__ = ["MARKED_NODES", "Savepoint"]

MARKED_NODES = 2048
"""With more dirty nodes (8 MiB), a savepoint writes them out first: a later write-out would copy them."""


class Savepoint:
    """One moment of the transaction of a handle.

    Args:
        handle: the handle; its transaction need not have begun.
    """

    __slots__ = (
        "_changes", "_dropped", "_entries", "_handle", "_layer", "_mark", "_patches", "_roots", "_trees",
        "_tx",
    )  # fmt: skip

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._tx: Transaction | None = None
        self._mark: Mark | None = None
        self._layer = 0
        self._changes = 0
        self._trees: dict[str, Tree] = {}
        self._entries: dict[str, Entry] = {}
        self._dropped: set[str] = set()
        self._roots: dict[str, Root] = {}
        self._patches: Pending

    def begin(self) -> None:
        """Remember the present state. O(open lists), and a write-out if very many nodes are dirty.

        Raises:
            OSError: the disk failed; the transaction was rolled back.
        """
        handle = self._handle
        handle.latch.enter()
        try:
            space = handle.begin().space
            tx = handle.tx
            if tx.pager.dirty_nodes > MARKED_NODES:
                tx.wrote_early = True
                tx.pager.write_blobs()
                place_nodes(tx, 0)
                tx.pager.end_nodes()
            for name, index in tx.indexes.items():
                self._trees[name] = index.state()
                # So the index forgets the nodes that it has owned: it would change them without an image.
                index.restore(self._trees[name])
            self._changes = tx.changes
            self._entries, self._roots = dict(tx.entries), dict(tx.roots)
            self._dropped = set(tx.dropped)
            self._patches = handle.patches.mark()
            self._layer = len(space.layers) + 1
            self._tx = tx
            space.push()
            self._mark = tx.pager.set_mark()
        except BaseException as error:
            handle.failed(error)
            raise
        finally:
            handle.latch.leave()

    def end(self) -> None:
        """Keep the changes since then, unless an error has undone the whole transaction."""
        tx, writer = self._handle.tx, self._handle.writer
        if self._tx is tx and writer is not None:
            tx.pager.end_mark()
            writer.space.pop()

    def undo(self) -> None:
        """Return to this moment; the caller is inside the latch. May be called again after an interrupt."""
        handle = self._handle
        tx, writer = handle.tx, handle.writer
        if self._tx is not tx or writer is None:
            return
        if self._mark is not None:
            tx.pager.undo_to(self._mark)
        while len(writer.space.layers) >= self._layer:
            writer.space.undo()
            writer.space.layers.pop()
        tx.changes = self._changes
        tx.revert(self._entries, self._roots, self._dropped)
        handle.patches.undo_to(self._patches)
        for name, tree in self._trees.items():
            handle.index(name).restore(tree)
        for name in handle.indexes.keys() - self._trees.keys():
            handle.indexes[name].restore(tx.entries[name].tree)
