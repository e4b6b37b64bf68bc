"""Compaction: nodes and blobs move from the end of a region into the holes before, and the file is cut.

    before   [used|free|used|free|used|  free  |used|used]
    moved    [used|used|used|used|limbo ........... limbo]     a bounded number of bytes a commit
    settled  [used|used|used|used]                             two commits later, without older snapshots

Each list is walked once a pass, leaf by leaf. What lies above a *cut* goes into the lowest hole below that it
fits into; the cut is where everything above it has room below. Raw blocks have addresses that their user
knows: they never move. Every step is a commit like any other: a crash, an exception in between, a full disk
leave a whole state, and readers go on reading theirs.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from ...errors import StableMemoryError
from ...layout import LEAF_CAPACITY, MAX_ADDRESS, NODE_SIZE, REGION_PAGE
from ..disk.header import Header
from ..disk.readers import is_read, oldest_reader
from ..disk.region import Region
from ..format.catalog import LIST, Entry
from ..format.slots import Slot
from ..space.freespace import FreeSpace
from ..space.freetree import FreeTree
from ..space.packing import packed_end
from ..tree.index import Index
from ..tree.relocation import relocate
from .latch import Latch, Owned
from .transaction import Transaction
from .writer import Writer, reach_of

__all__ = ["compact", "oldest_snapshot", "reclaimable", "tidy"]

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


class Handle(Protocol):
    """What is compacted: an open region, as it is seen from here (handle.py calls ``tidy``)."""

    packed: int

    @property
    def latch(self) -> Latch:
        """One thread at a time is inside."""

    @property
    def region(self) -> Region:
        """The bytes."""

    @property
    def header(self) -> Header:
        """The slots."""

    @property
    def slot(self) -> Slot:
        """What the header says of the newest commit."""

    @property
    def entries(self) -> dict[str, Entry]:
        """The lists there are now."""

    @property
    def writer(self) -> Writer | None:
        """What is free; None before the first change."""

    @property
    def tx(self) -> Transaction:
        """Its transaction."""

    @property
    def writable(self) -> bool:
        """Whether it may be changed."""

    def index(self, name: str) -> Index:
        """Return a list."""

    def begin(self) -> Writer:
        """Begin a transaction, if none has begun."""

    def commit_begun(self, writer: Writer, sync: bool) -> None:
        """Commit it, changed or not."""

    def failed(self, error: BaseException) -> None:
        """Undo it."""


class Owner(Handle, Protocol):
    """A handle with what compaction needs beyond that, and closing does not."""

    @property
    def blocks(self) -> list[Any]:
        """The transaction blocks that are open."""

    def exclusive(self) -> Owned:
        """Return a context that keeps changes by other threads out."""

    def require_open(self) -> None:
        """Raise if the handle has ended."""

    def require_writable(self) -> None:
        """Raise unless this handle may change the region."""

    def commit(self, sync: bool) -> None:
        """Commit what was changed."""

    def rollback(self) -> None:
        """Forget what was changed."""


def compact(handle: Owner, max_bytes: int = MAX_ADDRESS, progress: Progress | None = None) -> int:
    """Move what lies at the end into the holes before it, cut the file, punch out what stays free.

    What was changed so far is committed first. Cost: a walk over every node, and the bytes moved.

    Args:
        handle: the region.
        max_bytes: of blobs and nodes moved, about; the rest is left to the next time.
        progress: called after each step with the bytes moved and those there are to move. What it raises
            ends the compaction: the steps so far stay.

    Returns:
        Bytes that the file has become shorter by.

    Raises:
        StableMemoryError: within a transaction block.
        CorruptRegionError: a value or a node that was to be moved is damaged; it stays where it is.
    """
    with handle.exclusive():
        handle.require_open()
        handle.require_writable()
        if handle.blocks:
            raise StableMemoryError(
                "compact() cannot be called in a transaction block, because it commits: call it after "
                "the block"
            )
        before: int = handle.region.device.size()
        handle.commit(True)
        with handle.latch.held():
            writer = handle.begin()
        _drain(handle, False)
        if reclaimable(handle, writer.space, oldest_snapshot(handle)) >= GAIN_LEAST:
            try:
                _renew_log(handle)
                done = _move_all(handle, max_bytes, progress)
                # Also if it was renewed just now: what its old pages left lower down is free only since
                # then, and the log may be what holds the end.
                _renew_log(handle)
                _settle(handle)
                if done:
                    handle.packed = handle.slot.transaction
            finally:
                _stop_packing(handle)
        handle.rollback()
        if handle.writer is not None:
            handle.writer.cut_tail()
            handle.writer.punch()
            handle.writer.punch()
        return max(0, before - handle.region.device.size())


def reclaimable(handle: Handle, space: FreeSpace, oldest: int | None) -> int:
    """Return by how many bytes compaction could make the file shorter, about.

    Args:
        handle: the region.
        space: its free space, which a reader reads from the log each time.
        oldest: ``oldest_snapshot()``; of a reader's own region it does not count.
    """
    if handle.packed == handle.slot.transaction:
        return 0
    if not handle.writable:
        oldest = None
    pinned = 0
    if oldest is not None and oldest < handle.slot.transaction:
        pinned = reach_of(handle.writer.lengths if handle.writer is not None else deque(), oldest)
    end = max(packed_end(space, oldest)[0], pinned)
    return max(0, handle.region.device.size() - end)


def oldest_snapshot(handle: Handle) -> int | None:
    """Return the oldest commit that a snapshot is open on, this one included, or None."""
    # A lock does not show through the description that holds it.
    device = handle.region.device.reopen()
    try:
        return oldest_reader(device, handle.slot.transaction + 1)
    finally:
        device.close()


# -- before the end ----------------------------------------------------------------------------------------


def tidy(handle: Handle) -> None:
    """Before the end: commit until nothing but what is needed holds the end of the file.

    What commits leave is log, and what they freed: both are let go of some commits later, which may not
    come any more. What lies behind them is moved, if it is little.
    """
    writer = handle.writer
    if writer is None or not handle.slot.synced:
        return
    size = handle.region.device.size()
    cut, end = _tidy_ends(handle, writer)
    # The space map is written whole, and as often as there are commits.
    cost = writer.space.count_blocks() * 16 * TIDYING
    if size - end < max(TIDY_LEAST, size >> 3, cost):
        return
    try:
        for number in range(TIDYING):
            if number in TIDY_MOVES and cut < MAX_ADDRESS:
                _move_high(handle, cut)
            _restate(handle, True)
            if max(slot.length for slot in handle.header.kept()) < end + TIDY_LEAST:
                break
    finally:
        _stop_packing(handle)


def _tidy_ends(handle: Handle, writer: Writer) -> tuple[int, int]:
    """Return from where on closing would move what is left, and where the region would end.

    That is without old log pages, the catalog, and what waits for commits. Nothing is moved from
    MAX_ADDRESS on.
    """
    device, slot, space = handle.region.device, handle.slot, writer.space
    gone = [each.blocks for each in space.limbo if not is_read(device, each.since, each.transaction)]
    oldest = oldest_reader(device, slot.transaction + 1)
    if oldest is not None:
        # What the next commits free stays in limbo.
        reach = reach_of(writer.lengths, oldest_reader(device, slot.transaction))
        return MAX_ADDRESS, max(space.end_without(gone), reach)
    own = FreeTree()
    for _, address, _ in writer.log.chain.pages:
        own.insert(address, NODE_SIZE)
    if slot.catalog[1]:
        own.insert(*slot.catalog[:2])
    gone.append(own)
    if sum(entry.tree[3] for entry in handle.entries.values()) <= TIDY_LEAVES * LEAF_CAPACITY:
        cut, above = packed_end(space, None, own)
        if above <= TIDY_MOVED:
            return cut, cut
    return MAX_ADDRESS, space.end_without(gone)


def _lists(handle: Handle) -> list[str]:
    """Return the names of the lists: what a later version has put beside them stays where it is."""
    return sorted(name for name, entry in handle.entries.items() if entry.kind == LIST)


def _move_high(handle: Handle, cut: int) -> None:
    """Move what lies above an address as low as there is room, in the transaction."""
    for name in _lists(handle):
        position = 0
        while position < handle.index(name).length:
            position, _ = _move_leaf(handle, name, position, cut, False)


# -- the steps of both -------------------------------------------------------------------------------------


def _pack(handle: Handle) -> Writer:
    """Begin a transaction of which what is written goes as low as it fits; the caller is inside the latch."""
    writer = handle.begin()
    writer.space.packing = True
    return writer


def _stop_packing(handle: Handle) -> None:
    """Let what is written from now on go where it goes at other times."""
    if handle.writer is not None:
        handle.writer.space.packing = False


def _renew_log(handle: Handle) -> None:
    """Commit the whole space map anew, so that no old page of it lies at the end; release limbo."""
    # The first finishes the running sweep, the second is a whole one: older pages are not needed then.
    _restate(handle, True)
    _restate(handle, True)
    _drain(handle, True)


def _drain(handle: Handle, packing: bool) -> None:
    """Commit until what was freed is free, as far as no snapshot holds it: two synced commits later."""
    for _ in range(3):
        oldest = oldest_snapshot(handle)
        limbo = handle.writer.space.limbo if handle.writer is not None else []
        waiting = [each for each in limbo if oldest is None or each.transaction <= oldest]
        if sum(each.blocks.total for each in waiting) < GAIN_LEAST:
            return
        _restate(handle, False, packing)


def _move_all(handle: Handle, max_bytes: int, progress: Progress | None) -> bool:
    """Walk over the lists until it gains nothing more; return false if that was not reached."""
    moved = 0
    for number in range(PASSES):
        with handle.latch.held():
            space = _pack(handle).space
            cut, above = packed_end(space, oldest_snapshot(handle))
            end = space.used_end()
        if end - cut < max(GAIN_LEAST, end >> 6):
            break
        total = moved + above
        step = 0
        before = moved
        for name in _lists(handle):
            position = 0
            # What is called between the steps may change the lists, and drop one.
            while name in handle.entries and position < handle.index(name).length:
                # What found no hole below the cut moves down to it, once there is room above.
                position, size = _move_leaf(handle, name, position, cut, number == 0)
                step += size
                moved += size
                if step >= STEP or moved >= max_bytes:
                    _restate(handle, False)
                    step = 0
                    if progress is not None:
                        progress(moved, max(moved, total))
                    if moved >= max_bytes:
                        return False
        if moved == before and number > 0:
            break
        _renew_log(handle)
        if progress is not None:
            progress(moved, max(moved, total))
    return True


def _move_leaf(handle: Handle, name: str, position: int, cut: int, below_cut: bool) -> tuple[int, int]:
    """Move a leaf, and what is in it; return the position behind it, and the bytes moved."""
    with handle.latch.held():
        try:
            _pack(handle)
            behind, size = relocate(handle.index(name), position, cut, below_cut)
        except BaseException as error:
            handle.failed(error)
            raise
    return behind, size


def _settle(handle: Handle) -> None:
    """Commit until no slot is left that reaches behind what is used now."""
    for _ in range(SETTLING):
        _restate(handle, False)
        if len({slot.length for slot in handle.header.valid}) == 1:
            break


def _restate(handle: Handle, whole: bool, packing: bool = True) -> None:
    """Commit, changed or not, with the whole space map in the log if so told."""
    with handle.latch.held():
        try:
            writer = _pack(handle) if packing else handle.begin()
            writer.log.whole = whole
            if packing:
                # The catalog may lie at the end as well.
                handle.tx.catalog_changed = True
            handle.commit_begun(writer, True)
        except BaseException as error:
            handle.failed(error)
            raise
        finally:
            if handle.writer is not None:
                handle.writer.log.whole = False
