# cython: annotation_typing=False
"""Compaction: nodes and blobs move from the end of a region into the holes before, and the file is cut.

    before   [used|free|used|free|used|  free  |used|used]
    moved    [used|used|used|used|limbo ........... limbo]     a bounded number of bytes a commit
    settled  [used|used|used|used]                             two commits later, without older snapshots

Each list is walked once a pass, leaf by leaf. What lies above a *cut* goes into the lowest hole below that it
fits into; the cut is where everything above it has room below. Raw blocks have addresses that their user
knows: they never move. Every step is a commit like any other: a crash, an exception in between, a full disk
leave a whole state, and readers go on reading theirs.
"""

from collections.abc import Callable

from ...errors import StableMemoryError
from ...layout import LEAF_CAPACITY, MAX_ADDRESS, NODE_SIZE, REGION_PAGE
from ..disk.device import Device
from ..disk.readers import is_read, oldest_reader
from ..format.slots import Slot
from ..space.freespace import FreeSpace
from ..space.freetree import FreeTree
from ..space.packing import packed_end
from ..tree.relocation import relocate
from .commits import Commits

__all__ = ["Compaction"]

GAIN_LEAST = REGION_PAGE
"""Bytes by which the file could be shorter, at the least, for anything to be moved."""

STEP = 4 << 20
"""Bytes moved in one commit."""

PASSES = 4
"""Walks over all lists at the most: what did not fit may, once others have moved."""

SETTLING = 4
"""Commits after the last one that moved something, at the most, until no slot reaches behind it."""

TIDY_LEAST = REGION_PAGE
"""Bytes that closing could cut at the least, if it is also more than an eighth of the file, to make commits
for it."""

TIDYING = 8
"""Commits that closing makes for it at the most: two until a sweep is whole, two until what these freed is
free, two more if something was moved, and two until no slot reaches further."""

TIDY_MOVES = (2, 4)
"""Before which of them it moves what lies high: the first that may find free what others have freed."""

TIDY_MOVED = 1 << 20
"""Bytes of nodes and blobs at the end that it moves at the most."""

TIDY_LEAVES = 1024
"""Leaves of all lists, if there are no more than which it looks through them for what to move."""

Progress = Callable[[int, int], object]


class Compaction(Commits):
    """An open region that can be made smaller.

    Attributes:
        packed: the commit at which a compaction had nothing left to move.
    """

    def __init__(
        self,
        device: Device,
        *,
        writable: bool,
        checksums: bool = True,
        boot: bytes | None = None,
        at: Slot | None = None,
    ) -> None:
        self.packed = 0
        self._packing = self._done = False
        super().__init__(device, writable=writable, checksums=checksums, boot=boot, at=at)

    def compact(self, max_bytes: int = MAX_ADDRESS, progress: Progress | None = None) -> int:
        """Move what lies at the end into the holes before it, cut the file, punch out what stays free.

        What was changed so far is committed first. Cost: a walk over every node, and the bytes moved.

        Args:
            max_bytes: of blobs and nodes moved, about; the rest is left to the next time.
            progress: called after each step with the bytes moved and those there are to move. What it raises
                ends the compaction: the steps so far stay.

        Returns:
            Bytes that the file has become shorter by.

        Raises:
            StableMemoryError: within a transaction block.
            CorruptRegionError: a value or a node that was to be moved is damaged; it stays where it is.
        """
        with self.exclusive():
            self.require_open()
            self.require_writable()
            if self._savepoints:
                raise StableMemoryError(
                    "compact() cannot be called in a transaction block, because it commits: call it after "
                    "the block"
                )
            before: int = self.region.device.size()
            self._done = False
            self.commit(True)
            with self.latch.held():
                self._ready_space()
            self._drain()
            if self.reclaimable(self.space, self.oldest_snapshot()) >= GAIN_LEAST:
                try:
                    self._pack(True)
                    self._renew_log()
                    self._move_all(max_bytes, progress)
                    # Also if it was renewed just now: what its old pages left lower down is free only since
                    # then, and the log may be what holds the end.
                    self._renew_log()
                    self._settle()
                finally:
                    self._pack(False)
            self.rollback()
            self._cut_tail()
            self._punch()
            self._punch()
            return max(0, before - self.region.device.size())

    def reclaimable(self, space: FreeSpace, oldest: int | None) -> int:
        """Return by how many bytes compaction could make the file shorter, about.

        Args:
            space: ``self.space``, which a reader reads from the log each time.
            oldest: ``oldest_snapshot()``; of a reader's own region it does not count.
        """
        if self.packed == self.slot.transaction:
            return 0
        if not self.writable:
            oldest = None
        pinned = self._reach_of(oldest) if oldest is not None and oldest < self.slot.transaction else 0
        end = max(packed_end(space, oldest)[0], pinned)
        return max(0, self.region.device.size() - end)

    def tidy(self) -> None:
        """Before the end: commit until nothing but what is needed holds the end of the file.

        What commits leave is log, and what they freed: both are let go of some commits later, which may not
        come any more. What lies behind them is moved, if it is little.
        """
        space, log = self._space, self._log
        if space is None or log is None or not self.slot.synced:
            return
        size = self.region.device.size()
        cut, end = self._tidy_ends(space)
        # The space map is written whole, and as often as there are commits.
        cost = space.count_blocks() * 16 * TIDYING
        if size - end < max(TIDY_LEAST, size >> 3, cost):
            return
        try:
            self._pack(True)
            for number in range(TIDYING):
                if number in TIDY_MOVES and cut < MAX_ADDRESS:
                    self._move_high(cut)
                self._restate(True)
                if max(slot.length for slot in self.header.kept()) < end + TIDY_LEAST:
                    break
        finally:
            self._pack(False)

    def _tidy_ends(self, space: FreeSpace) -> tuple[int, int]:
        """Return from where on closing would move what is left, and where the region would end.

        That is without old log pages, the catalog, and what waits for commits. Nothing is moved from
        MAX_ADDRESS on.
        """
        device, number = self.region.device, self.slot.transaction
        gone = [each.blocks for each in space.limbo if not is_read(device, each.since, each.transaction)]
        oldest = oldest_reader(device, number + 1)
        if oldest is not None:
            # What the next commits free stays in limbo.
            return MAX_ADDRESS, max(space.end_without(gone), self._reach_of(oldest_reader(device, number)))
        own = FreeTree()
        for _, address, _ in self.chain.pages:
            own.insert(address, NODE_SIZE)
        if self.slot.catalog[1]:
            own.insert(*self.slot.catalog[:2])
        gone.append(own)
        if sum(entry.tree[3] for entry in self.entries.values()) <= TIDY_LEAVES * LEAF_CAPACITY:
            cut, above = packed_end(space, None, own)
            if above <= TIDY_MOVED:
                return cut, cut
        return MAX_ADDRESS, space.end_without(gone)

    def _move_high(self, cut: int) -> None:
        """Move what lies above an address as low as there is room, in the transaction."""
        for name in sorted(self.entries):
            position = 0
            while position < self.index(name).length:
                position, _ = self._move_leaf(name, position, cut, False)

    def oldest_snapshot(self) -> int | None:
        """Return the oldest commit that a snapshot is open on, this one included, or None."""
        # A lock does not show through the description that holds it.
        device = self.region.device.reopen()
        try:
            return oldest_reader(device, self.slot.transaction + 1)
        finally:
            device.close()

    def _pack(self, packing: bool) -> None:
        """Let what is written from now on go as low as it fits, or no longer."""
        self._packing = packing
        if self._space is not None:
            self._space.packing = packing

    def _ready_space(self) -> FreeSpace:
        """Return the free space in a transaction that has begun; the caller is inside the latch."""
        if not self.tx.begun:
            self.begin()
        assert self._space is not None
        self._space.packing = self._packing
        return self._space

    def _renew_log(self) -> None:
        """Commit the whole space map anew, so that no old page of it lies at the end; release limbo."""
        # The first finishes the running sweep, the second is a whole one: older pages are not needed then.
        self._restate(True)
        self._restate(True)
        self._drain()

    def _drain(self) -> None:
        """Commit until what was freed is free, as far as no snapshot holds it: two synced commits later."""
        for _ in range(3):
            oldest = self.oldest_snapshot()
            limbo = [each for each in self.space.limbo if oldest is None or each.transaction <= oldest]
            if sum(each.blocks.total for each in limbo) < GAIN_LEAST:
                return
            self._restate(False)

    def _move_all(self, max_bytes: int, progress: Progress | None) -> None:
        """Walk over the lists until it gains nothing more."""
        moved = 0
        for number in range(PASSES):
            with self.latch.held():
                space = self._ready_space()
                cut, above = packed_end(space, self.oldest_snapshot())
                end = space.used_end()
            if end - cut < max(GAIN_LEAST, end >> 6):
                break
            total = moved + above
            step = 0
            before = moved
            for name in sorted(self.entries):
                position = 0
                # What is called between the steps may change the lists, and drop one.
                while name in self.entries and position < self.index(name).length:
                    # What found no hole below the cut moves down to it, once there is room above.
                    position, size = self._move_leaf(name, position, cut, number == 0)
                    step += size
                    moved += size
                    if step >= STEP or moved >= max_bytes:
                        self._restate(False)
                        step = 0
                        if progress is not None:
                            progress(moved, max(moved, total))
                        if moved >= max_bytes:
                            return
            if moved == before and number > 0:
                break
            self._renew_log()
            if progress is not None:
                progress(moved, max(moved, total))
        self._done = True

    def _move_leaf(self, name: str, position: int, cut: int, below_cut: bool) -> tuple[int, int]:
        """Move a leaf, and what is in it; return the position behind it, and the bytes moved."""
        with self.latch.held():
            try:
                self._ready_space()
                behind, size = relocate(self.index(name), position, cut, below_cut)
            except BaseException as error:
                self.failed(error)
                raise
        return behind, size

    def _settle(self) -> None:
        """Commit until no slot is left that reaches behind what is used now."""
        for _ in range(SETTLING):
            self._restate(False)
            if len({slot.length for slot in self.header.valid}) == 1:
                break
        if self._done:
            self.packed = self.slot.transaction

    def _restate(self, whole: bool) -> None:
        """Commit, changed or not, with the whole space map in the log if so told."""
        with self.latch.held():
            try:
                self._ready_space()
                assert self._log is not None
                self._log.whole = whole
                # The catalog may lie at the end as well.
                self.tx.catalog_changed = self.tx.catalog_changed or self._packing
                self._commit(True)
            except BaseException as error:
                self.failed(error)
                raise
            finally:
                if self._log is not None:
                    self._log.whole = False
