# cython: annotation_typing=False
"""Block: a part of a transaction that is done as a whole, or undone alone.

    with region.transaction():      Block 0    committed at its end
        a.append(1)
        with region.transaction():  Block 1    a savepoint: an exception that leaves it undoes it alone
            a.append(2)

Each block knows what there was when it began (``Mark``), and which transaction that was of. An error that
rolls this transaction back breaks the blocks: there is nothing left to undo, and they take no changes.
"""

from contextlib import suppress
from typing import NamedTuple

from ...errors import StableMemoryError
from ..format.catalog import Entry, Root
from ..format.slots import Tree
from .handle import Handle
from .patches import Pending
from .transaction import Transaction, place_nodes

__all__ = ["Block"]


class Mark(NamedTuple):
    """What a savepoint returns to.

    Attributes:
        tx: the transaction that it is of.
        layers: how many layers of allocations there are with it.
    """

    tx: Transaction
    layers: int
    changes: int
    trees: dict[str, Tree]
    entries: dict[str, Entry]
    dropped: set[str]
    roots: dict[str, Root]
    patches: Pending


class Block:
    """What ``with region.transaction():`` runs in.

    A class, since an interrupt between the halves of a generator would leave the second half to whenever
    the generator is collected, behind the end of the blocks around it.

    Args:
        handle: the region.
        sync: how the outermost block commits.

    Attributes:
        broken: whether an error has undone it while it was open.
    """

    __slots__ = ("_begun", "_handle", "_mark", "_owned", "_sync", "broken")

    def __init__(self, handle: Handle, sync: bool) -> None:
        self._handle = handle
        self._sync = sync
        self._owned = handle.exclusive()
        self._begun = False
        self._mark: Mark | None = None
        self.broken = False

    def __enter__(self) -> None:
        if self._begun:
            raise RuntimeError("a transaction block can be entered only once: call transaction() again")
        self._owned.__enter__()
        try:
            self._begin()
        except BaseException:
            self._leave(True)
            raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._end()
        except BaseException:
            self._leave(True)
            raise
        self._leave(kind is not None)

    def _leave(self, undo: bool) -> None:
        """Undo the block, if that is asked for, and let other threads in."""
        try:
            if undo and self._begun:
                self._undo()
        finally:
            self._owned.__exit__()

    def _begin(self) -> None:
        """Begin: within other changes, by a savepoint."""
        handle = self._handle
        handle.require_open()
        handle.require_writable()
        layers = _count_layers(handle)
        try:
            if handle.blocks or handle.changes:
                self._mark = _savepoint(handle)
            self._begun = True
            handle.blocks.append(self)
        except BaseException:
            if _count_layers(handle) > layers and self not in handle.blocks:
                # The savepoint was there, but nobody has heard of it; nothing was changed since.
                self._begun = False
                _pop_layer(handle)
            raise

    def _end(self) -> None:
        """End a block that did all it wanted."""
        handle = self._handle
        if handle.forked:
            return
        if handle.blocks and handle.blocks[-1] is not self:
            # Interpreted, an interrupt may end a block within it before that is undone.
            with handle.latch.held():
                handle.failed(KeyboardInterrupt())
        if self.broken:
            # Says what has undone it all; ``_undo`` then ends this part of it.
            handle.require_writable()
        try:
            self._take_off()
            if self._mark is not None and self._mark.tx is handle.tx and handle.writer is not None:
                handle.writer.space.pop()
        except BaseException as error:
            # What was the block's own may be half the outer one's.
            with handle.latch.held():
                handle.failed(error)
            raise
        if not handle.blocks:
            handle.commit(self._sync)

    def _take_off(self) -> None:
        """Be no open block any more, nor those that were begun within this one."""
        blocks = self._handle.blocks
        if self in blocks:
            del blocks[blocks.index(self) :]

    def _undo(self) -> None:
        """End a block that an exception leaves, as if it had not been; or what is left of its end."""
        handle = self._handle
        if handle.forked:
            return
        try:
            if self in handle.blocks:
                self._take_off()
                if self._mark is None:
                    handle.rollback()
                else:
                    # Within the latch: another thread's read would meet a list without its values.
                    with handle.latch.held():
                        _undo_to(handle, self._mark)
            elif not handle.blocks and handle.changes:
                handle.rollback()
        except BaseException as error:
            # Half of the block may be undone: nothing of the transaction around it can stay.
            self._take_off()
            with suppress(StableMemoryError), handle.latch.held():
                # Refused only where the interrupt left the latch taken: the next call undoes it then.
                handle.failed(error)
            raise


def _count_layers(handle: Handle) -> int:
    """Return how many layers of allocations there are."""
    return len(handle.writer.space.layers) if handle.writer is not None else 1


def _pop_layer(handle: Handle) -> None:
    """Undo the innermost layer of allocations."""
    if handle.writer is not None:
        handle.writer.space.undo()
        handle.writer.space.layers.pop()


def _savepoint(handle: Handle) -> Mark:
    """Begin a savepoint: everything so far is written out, so that a root says all of it."""
    handle.latch.enter()
    try:
        space = handle.begin().space
        tx = handle.tx
        tx.wrote_early = True
        tx.pager.write_blobs()
        place_nodes(tx, 0)
        tx.pager.end_nodes()
        trees = {name: index.state() for name, index in tx.indexes.items()}
        mark = Mark(
            tx, len(space.layers) + 1, tx.changes, trees,
            dict(tx.entries), set(tx.dropped), dict(tx.roots), handle.patches.mark(),
        )  # fmt: skip
        space.push()
    except BaseException as error:
        handle.failed(error)
        raise
    finally:
        handle.latch.leave()
    return mark


def _undo_to(handle: Handle, mark: Mark) -> None:
    """Return to a savepoint, unless an error has undone the whole transaction already."""
    tx = handle.tx
    if mark.tx is not tx or handle.writer is None:
        return
    space = handle.writer.space
    tx.pager.discard()
    while len(space.layers) >= mark.layers:
        space.undo()
        space.layers.pop()
    tx.changes = mark.changes
    tx.revert(mark.entries, mark.roots, mark.dropped)
    handle.patches.undo_to(mark.patches)
    for name, tree in mark.trees.items():
        handle.index(name).restore(tree)
    for name in handle.indexes.keys() - mark.trees.keys():
        handle.indexes[name].restore(tx.entries[name].tree)
