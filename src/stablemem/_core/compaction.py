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

from ..errors import StableMemoryError
from ..layout import MAX_ADDRESS, REGION_PAGE
from .commits import Commits
from .freespace import FreeSpace
from .relocation import relocate

__all__ = ["Compaction"]

GAIN_LEAST = REGION_PAGE
"""Bytes by which the file could be shorter, at the least, for anything to be moved."""

STEP = 4 << 20
"""Bytes moved in one commit."""

PASSES = 4
"""Walks over all lists at the most: what did not fit may, once others have moved."""

SETTLING = 4
"""Commits after the last one that moved something, at the most, until no slot reaches behind it."""

Progress = Callable[[int, int], object]


class Compaction(Commits):
    """An open region that can be made smaller."""

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
                raise StableMemoryError("the transaction block commits at its end: compact behind it")
            before: int = self.region.device.size()
            self.commit(True)
            self._drain()
            if self._gain() >= GAIN_LEAST:
                try:
                    self._renew_log()
                    self._move_all(max_bytes, progress)
                    self._settle()
                finally:
                    if self._space is not None:
                        self._space.packing = False
            self._cut_tail()
            self._punch()
            self._punch()
            return max(0, before - self.region.device.size())

    def _renew_log(self) -> None:
        """Commit the whole space map anew, so that no old page of it lies at the end; release limbo."""
        # The first finishes the running sweep, the second is a whole one: older pages are not needed then.
        self._restate(True)
        self._restate(True)
        self._drain()

    def _drain(self) -> None:
        """Commit until what was freed is free, as far as no snapshot holds it: two synced commits later."""
        for _ in range(3):
            if not self._ready_space().limbo:
                return
            self._restate(False)

    def _ready_space(self) -> FreeSpace:
        """Return the free space in a transaction that has begun, limbo released as far as may be."""
        with self.latch.held():
            if not self.pager.ready:
                self.begin()
        assert self._space is not None
        return self._space

    def _gain(self) -> int:
        """Return by how many bytes the region could end before it does."""
        space = self._ready_space()
        return max(self.region.device.size(), space.used_end()) - space.packed_end()[0]

    def _move_all(self, max_bytes: int, progress: Progress | None) -> None:
        """Walk over the lists until it gains nothing more."""
        moved = 0
        for number in range(PASSES):
            space = self._ready_space()
            cut, above = space.packed_end()
            end = space.used_end()
            if end - cut < max(GAIN_LEAST, end >> 6):
                return
            total = moved + above
            step = 0
            before = moved
            for name in sorted(self.entries):
                position = 0
                while position < self.index(name).length:
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
                return
            self._renew_log()
            if progress is not None:
                progress(moved, max(moved, total))

    def _move_leaf(self, name: str, position: int, cut: int, below_cut: bool) -> tuple[int, int]:
        """Move a leaf, and what is in it; return the position behind it, and the bytes moved."""
        with self.latch.held():
            try:
                if not self.pager.ready:
                    self.begin()
                assert self._space is not None
                self._space.packing = True
                behind, size = relocate(self.index(name), position, cut, below_cut)
            except BaseException as error:
                self.failed(error)
                raise
        return behind, size

    def _settle(self) -> None:
        """Commit until nothing old is left at the end: log pages, limbo, and the slots that reach there."""
        self._renew_log()
        for _ in range(SETTLING):
            self._restate(False)
            if len({slot.length for slot in self.header.valid}) == 1:
                return

    def _restate(self, whole: bool) -> None:
        """Commit, changed or not, with the whole space map in the log if so told."""
        with self.latch.held():
            try:
                if not self.pager.ready:
                    self.begin()
                assert self._space is not None
                assert self._log is not None
                self._space.packing = True
                self._log.whole = whole
                self._catalog_changed = True
                self._commit(True)
            except BaseException as error:
                self.failed(error)
                raise
            finally:
                if self._log is not None:
                    self._log.whole = False
