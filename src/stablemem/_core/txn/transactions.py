# cython: annotation_typing=False
"""Transactions: how the first change begins one, and how one, or a block within it, is undone.

Invariants:

* Nothing is written before the first change; the first change recovers (``Header.recover``) and replays
  the space map, and only then is anything allocated.
* An exception while changing rolls the whole transaction back; a savepoint is undone alone.
"""

from contextlib import suppress
from typing import NamedTuple

from ...errors import (
    RegionFullError,
    StableMemoryError,
)
from ...layout import LEAF_CAPACITY, MAX_ADDRESS, NODE_SIZE
from ...shown import shown_error, shown_path, shown_text, uncommitted
from ..disk.device import Device
from ..disk.readers import is_read, newest_reader, oldest_reader
from ..format.catalog import Entry, Root
from ..format.slots import MAX_TRANSACTION, Tree
from ..space import punching
from ..space.punching import Holes
from ..space.spacemap import SpaceMap, replay, written_since
from ..tree.pager import MOST_NODES, NODE_BUDGET
from .latch import Owned
from .patches import Pending
from .state import State

__all__ = ["Transactions"]


class Mark(NamedTuple):
    """What a savepoint returns to."""

    layers: int
    changes: int
    trees: dict[str, Tree]
    entries: dict[str, Entry]
    dropped: set[str]
    roots: dict[str, Root]
    patches: Pending


class Transactions(State):
    """An open region and the transaction on top of it."""

    # -- begin -----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Prepare for the first change of a transaction; the caller is inside the latch."""
        self.require_writable()
        if self._space is None:
            # A snapshot may stand on a commit that left no other trace: its number is taken.
            self.header.highest = newest_reader(self.region.device, self.header.highest)
            unsynced: list[tuple[int, int]] = []
            unsynced_from, unsynced_commits = None, 0
            if not self.slot.synced:
                unsynced, unsynced_from, unsynced_commits = written_since(
                    self.region, self.slot, self.header.last_synced
                )
            try:
                self.header.recover(unsynced)
            except OSError as error:
                self._poison("recovery failed", error)
                raise
            space, chain = replay(self.region, self.slot)
            log = SpaceMap(space, chain, self.slot.length)
            log.unsynced_from, log.unsynced_commits = unsynced_from, unsynced_commits
            self.pager.space = space
            self.pager.transaction = self.header.highest + 2
            self._log = log
            space.most = self.most
            self.holes = Holes()
            self.holes.look(space.idle_pages(punching.HOLE_LEAST))
            self.lengths.clear()
            if self.best_fit:
                space.fit_best()
            # Last: with it the handle counts as recovered.
            self._space = space
        device = self.region.device
        if self.pager.transaction >= MAX_TRANSACTION:
            raise StableMemoryError(
                f"{shown_path(self.path)} has used up its transaction numbers: copy it to a new file"
            )
        self.tx.written_before = device.written
        self.pager.node_budget = self._node_budget()
        self.region.written = []
        self._space.release(self.header.floor, lambda above, below: is_read(device, above, below))
        if self.patches:
            self._begin_patches(device)
        self.tx.patched = bool(self.patches)
        self.tx.begun = True

    def _begin_patches(self, device: Device) -> None:
        """Write in place what may be, and take off the list what is."""
        assert self._space is not None
        try:
            self.patches.begin(
                self.region, self._space, self.header.floor, lambda below: oldest_reader(device, below)
            )
        except BaseException:
            self._undo_all()
            raise
        self.tx.catalog_changed = self.tx.catalog_changed or self.patches.changed
        # No digest covers what is in place: it is none of what the coming commit needs.
        self.region.written = []

    def write_early(self) -> None:
        """Write pending blobs, and dirty nodes beyond their budget."""
        with self.latch.held():
            try:
                self.write_out()
            except BaseException as error:
                self.failed(error)
                raise

    def write_out(self) -> None:
        """Do as ``write_early``, for a caller that is inside a change and undoes what fails."""
        self.tx.wrote_early = True
        self.pager.write_blobs()
        if self.pager.dirty_nodes >= self.pager.node_budget:
            self._place_nodes(0)
            self.pager.end_nodes()
        self.region.start_sync()

    def _node_budget(self) -> int:
        """Return how many dirty nodes the transaction may have: more if it begins with large lists.

        Changes all over a list meet each leaf again and again. What is only appended gains nothing from
        more: a full leaf is not met again.
        """
        leaves = sum(index.length for index in self.indexes.values()) // LEAF_CAPACITY
        return min(max(NODE_BUDGET, leaves), MOST_NODES)

    def write_no_digest(self) -> None:
        """Forget what the transaction wrote: it has become too much for a digest."""
        self.tx.wrote_early = True
        self.region.written = []

    def _place_nodes(self, spare: int) -> None:
        """Give all dirty nodes their addresses, reserving spare pages behind them."""
        self.pager.begin_nodes(spare)
        for index in self.indexes.values():
            index.place()

    def exclusive(self) -> Owned:
        """Return a context that keeps changes by other threads out for a block of calls."""
        return Owned(self.latch)

    # -- undo ------------------------------------------------------------------------------------------

    def failed(self, error: BaseException) -> None:
        """Undo the whole transaction after an error inside a change; the caller is inside the latch."""
        lost = self.changes
        if isinstance(error, MemoryError) or not isinstance(error, Exception):
            # An interrupt may have hit the free space half changed: it is read anew from the log.
            self._space = self._log = None
        self._undo_all()
        self._broken = self._savepoints > 0
        if isinstance(error, RegionFullError) and not self.failure:
            # What was written before the disk was full is of no use, and its room is needed to delete.
            with suppress(OSError):
                self._cut_tail()
        if lost:
            error.add_note(f"{uncommitted(lost)} {'were' if lost > 1 else 'was'} rolled back")

    def _poison(self, what: str, error: BaseException) -> None:
        """Refuse all further changes."""
        self.failure = f"{what} ({shown_text(getattr(error, 'strerror', None) or shown_error(error))})"

    def rollback(self) -> None:
        """Forget the changes since the last commit."""
        with self.latch.held():
            if self._savepoints:
                raise StableMemoryError(
                    "rollback() cannot be called in a transaction block: to undo the block, raise an "
                    "exception in it"
                )
            try:
                self._undo_all()
            except BaseException as error:
                self.failed(error)
                raise

    def _undo_all(self) -> None:
        """Return to the committed state, savepoints included."""
        self.pager.discard()
        self._new_transaction()
        if self._space is not None:
            while len(self._space.layers) > 1:
                self._space.undo()
                self._space.layers.pop()
            self._space.undo()
        self._revert(self.committed.lists, self.committed.roots)
        self.patches.rollback()
        for name, index in self.indexes.items():
            index.restore(self.entries[name].tree)

    def _revert(self, lists: dict[str, Entry], roots: dict[str, Root]) -> None:
        """Bring back the lists that there were; those that are new since stay, empty, with their handles."""
        added = {name: entry for name, entry in self.entries.items() if name not in lists}
        self.tx.catalog_changed = self.tx.catalog_changed or bool(added)
        self.entries = {**lists, **added}
        self.roots = dict(roots)

    def _cut_tail(self, least: int = 0) -> None:
        """Cut what lies behind all that slots and snapshots can reach, if it is more than ``least`` bytes."""
        if self._space is None:
            return
        device = self.region.device
        size = device.size()
        reach = max(slot.length for slot in self.header.valid)
        if size <= reach + least:
            return
        reach = max(reach, self._reach_of(oldest_reader(device, self.slot.transaction)))
        reach = -(-reach // NODE_SIZE) * NODE_SIZE
        if size > reach + least:
            self.region.truncate(reach)

    def _reach_of(self, oldest: int | None) -> int:
        """Return how far snapshots from a commit on reach, at the most; 0 without one.

        Of commits before this handle's own that is not known, nor of one that was taken back.
        """
        if oldest is None:
            return 0
        if not self.lengths or oldest < self.lengths[0][0]:
            return MAX_ADDRESS
        return max(length for number, length in self.lengths if number >= oldest)

    # -- transaction blocks ----------------------------------------------------------------------------

    def commit(self, sync: bool = True) -> None:
        """Make the changes so far one atomic step (commits.py)."""
        raise NotImplementedError

    def transaction(self, sync: bool) -> "TransactionBlock":
        """Return a block: committed at the end of the outermost one, undone if an exception leaves it."""
        return TransactionBlock(self, sync)

    def begin_block(self, block: "TransactionBlock") -> None:
        """Begin a block; note in it how many there are around it, and what undoes it alone, None for all."""
        self.require_open()
        self.require_writable()
        depth = self._savepoints
        layers = len(self._space.layers) if self._space is not None else 1
        try:
            mark = self._savepoint() if depth or self.changes else None
            block.begun = depth, mark
            self._savepoints = depth + 1
        except BaseException:
            if self._space is not None and len(self._space.layers) > layers:
                # The savepoint was there, but nobody has heard of it; nothing was changed since.
                self._space.undo()
                self._space.layers.pop()
            raise

    def end_block(self, depth: int, mark: Mark | None, sync: bool) -> None:
        """End a block that did all it wanted."""
        if self._savepoints > depth + 1:
            # Interpreted, an interrupt may end a block within it before that is undone.
            with self.latch.held():
                self.failed(KeyboardInterrupt())
        if self._broken:
            # Says what has undone it all; undo_block then ends this part of it.
            self.require_writable()
        if self.forked:
            return
        try:
            self._savepoints = depth
            if mark is not None and self._space is not None:
                self._space.pop()
        except BaseException as error:
            # What was the block's own may be half the outer one's.
            with self.latch.held():
                self.failed(error)
            raise
        if depth == 0:
            self.commit(sync)

    def undo_block(self, depth: int, mark: Mark | None) -> None:
        """End a block that an exception leaves, as if it had not been; or what is left of its end."""
        if self.forked:
            return
        try:
            if self._savepoints > depth:
                self._savepoints = depth
                self._broken = self._broken and depth > 0
                if mark is None:
                    self.rollback()
                else:
                    # Within the latch: another thread's read would meet a list without its values.
                    with self.latch.held():
                        self._undo_to(mark)
            elif depth == 0 and self.changes:
                self.rollback()
        except BaseException as error:
            # Half of the block may be undone: nothing of the transaction around it can stay.
            self._savepoints = depth
            with suppress(StableMemoryError), self.latch.held():
                # Refused only where the interrupt left the latch taken: the next call undoes it then.
                self.failed(error)
            raise

    def _savepoint(self) -> Mark:
        """Begin a savepoint: everything so far is written out, so that a root says all of it."""
        self.latch.enter()
        try:
            if not self.tx.begun:
                self.begin()
            self.tx.wrote_early = True
            self.pager.write_blobs()
            self._place_nodes(0)
            self.pager.end_nodes()
            assert self._space is not None
            states = {name: index.state() for name, index in self.indexes.items()}
            mark = Mark(
                len(self._space.layers) + 1, self.changes, states,
                dict(self.entries), set(self.tx.dropped), dict(self.roots),
                self.patches.mark(),
            )  # fmt: skip
            self._space.push()
        except BaseException as error:
            self.failed(error)
            raise
        finally:
            self.latch.leave()
        return mark

    def _undo_to(self, mark: Mark) -> None:
        """Return to a savepoint."""
        space = self._space
        if space is None or len(space.layers) < mark.layers:
            return  # an error has undone the whole transaction already
        self.pager.discard()
        while len(space.layers) >= mark.layers:
            space.undo()
            space.layers.pop()
        self.tx.changes = mark.changes
        self._revert(mark.entries, mark.roots)
        self.tx.dropped = set(mark.dropped)
        self.patches.undo_to(mark.patches)
        for name, tree in mark.trees.items():
            self.index(name).restore(tree)
        for name in self.indexes.keys() - mark.trees.keys():
            self.indexes[name].restore(self.entries[name].tree)


class TransactionBlock:
    """What ``with store.transaction(...)`` runs in.

    A class, since an interrupt between the halves of a generator would leave the second half to whenever
    the generator is collected, behind the end of the blocks around it.
    """

    __slots__ = ("_owned", "_store", "_sync", "begun")

    def __init__(self, store: Transactions, sync: bool) -> None:
        self._store = store
        self._sync = sync
        self._owned = store.exclusive()
        self.begun: tuple[int, Mark | None] | None = None

    def __enter__(self) -> None:
        if self.begun is not None:
            raise RuntimeError("a transaction block can be entered only once: call transaction() again")
        self._owned.__enter__()
        try:
            self._store.begin_block(self)
        except BaseException:
            self._leave(True)
            raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self.begun is not None
        try:
            if kind is None:
                self._store.end_block(*self.begun, self._sync)
        except BaseException:
            self._leave(True)
            raise
        self._leave(kind is not None)

    def _leave(self, undo: bool) -> None:
        """Undo the block, if it had begun and that is asked for, and let other threads in."""
        try:
            if undo and self.begun is not None:
                self._store.undo_block(*self.begun)
        finally:
            self._owned.__exit__()
