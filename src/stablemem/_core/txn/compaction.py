"""Compaction: moves nodes and blobs from the end of a region into holes before it, and cuts the file.

    before   [used|free|used|free|used|  free  |used|used]
    moved    [used|used|used|used|limbo ........... limbo]     a limited number of bytes in each commit
    settled  [used|used|used|used]                             two commits later, without older snapshots

Each pass walks over each list once, leaf by leaf. Nodes and blobs above an address, the *cut*, move into the
lowest hole below that they fit into. The cut is chosen so that everything above it has room below. Raw blocks
never move, because their user knows their addresses. Every step is a commit like any other. So a crash, an
exception or a full disk leaves a whole state, and readers go on reading theirs.
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
"""If compaction could shorten the file by fewer bytes, nothing is moved."""

STEP = 4 << 20
"""Bytes moved in one commit."""

PASSES = 4
"""The most walks over all lists: a block that did not fit may fit after others have moved."""

SETTLING = 4
"""The most commits, after the last one that moved something, until no slot reaches beyond its end."""

TIDY_LEAST = REGION_PAGE
"""Closing makes extra commits only if it can cut at least this many bytes, and an eighth of the file."""

TIDYING = 8
"""The most such commits: two until a sweep is complete, two until the blocks freed by these are free, two
more if something was moved, and two until no slot reaches further."""

TIDY_MOVES = (2, 4)
"""The commits before which closing moves high blocks: the first ones that may find the freed blocks free."""

TIDY_MOVED = 1 << 20
"""The most bytes of nodes and blobs at the end that closing moves."""

TIDY_LEAVES = 1024
"""Closing looks for blocks to move only if all lists together have no more leaves than this."""

Progress = Callable[[int, int], object]


class Handle(Protocol):
    """The part of an open region that compaction uses (handle.py imports ``tidy`` from here)."""

    packed: int

    @property
    def latch(self) -> Latch:
        """The latch, which lets one thread at a time in."""

    @property
    def region(self) -> Region:
        """The bytes of the region."""

    @property
    def header(self) -> Header:
        """The slots."""

    @property
    def slot(self) -> Slot:
        """The slot of the newest commit."""

    @property
    def entries(self) -> dict[str, Entry]:
        """The lists that exist now."""

    @property
    def writer(self) -> Writer | None:
        """The writer; None before the first change."""

    @property
    def tx(self) -> Transaction:
        """The transaction."""

    @property
    def writable(self) -> bool:
        """Whether the handle may change the region."""

    def index(self, name: str) -> Index:
        """Return a list."""

    def begin(self) -> Writer:
        """Begin a transaction, if none has begun."""

    def commit_begun(self, writer: Writer, sync: bool) -> None:
        """Commit the transaction, with or without changes."""

    def failed(self, error: BaseException) -> None:
        """Undo the transaction."""


class Owner(Handle, Protocol):
    """A handle with the further calls that ``compact`` needs, and closing does not."""

    @property
    def blocks(self) -> list[Any]:
        """The transaction blocks that are open."""

    def exclusive(self) -> Owned:
        """Return a context that keeps out changes of other threads."""

    def require_open(self) -> None:
        """Raise if the handle has ended."""

    def require_writable(self) -> None:
        """Raise unless this handle may change the region."""

    def commit(self, sync: bool) -> None:
        """Commit the changes."""

    def rollback(self) -> None:
        """Undo the changes since the last commit."""


def compact(handle: Owner, max_bytes: int = MAX_ADDRESS, progress: Progress | None = None) -> int:
    """Move nodes and blobs from the end into holes before it, cut the file, punch out remaining holes.

    Changes so far are committed first. Cost: a walk over every node, and the bytes moved.

    Args:
        handle: the region.
        max_bytes: about how many bytes of blobs and nodes to move at most; the rest is left for next time.
        progress: called after each step with the bytes moved so far and all bytes to move. An exception from
            it ends the compaction; the steps so far stay.

    Returns:
        The number of bytes by which the file has become shorter.

    Raises:
        StableMemoryError: inside a transaction block.
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
                # Again, even if it was renewed just now: the space of its old pages, lower down, is free only
                # since then, and the log may be the last thing in the file.
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
    """Return about how many bytes compaction could take off the file.

    Args:
        handle: the region.
        space: its free space, which a reader reads from the log each time.
        oldest: the result of ``oldest_snapshot()``; ignored if the handle is a reader.
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
    """Return the oldest commit on which a snapshot is open, this handle's included; or None."""
    # Another file description, because a lock does not show through the one that holds it.
    device = handle.region.device.reopen()
    try:
        return oldest_reader(device, handle.slot.transaction + 1)
    finally:
        device.close()


# -- before the end ----------------------------------------------------------------------------------------


def tidy(handle: Handle) -> None:
    """Before closing, make commits until the end of the file has only bytes that are needed.

    Each commit leaves log pages, and blocks that it freed. Both become free some commits later, which may not
    come any more. Nodes and blobs after them are moved, if they are few.
    """
    writer = handle.writer
    if writer is None or not handle.slot.synced:
        return
    size = handle.region.device.size()
    cut, end = _tidy_ends(handle, writer)
    # Each of these commits writes the whole space map.
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
    """Return the cut above which closing would move blocks, and the end that the region would then have.

    Old log pages, the catalog, and blocks that wait for commits are not counted. A cut of MAX_ADDRESS means
    that nothing is moved.
    """
    device, slot, space = handle.region.device, handle.slot, writer.space
    gone = [each.blocks for each in space.limbo if not is_read(device, each.since, each.transaction)]
    oldest = oldest_reader(device, slot.transaction + 1)
    if oldest is not None:
        # Blocks that the next commits free stay in limbo.
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
    """Return the names of the lists. Structures of a later version stay where they are."""
    return sorted(name for name, entry in handle.entries.items() if entry.kind == LIST)


def _move_high(handle: Handle, cut: int) -> None:
    """Move nodes and blobs above an address as low as there is room, in the transaction."""
    for name in _lists(handle):
        position = 0
        while position < handle.index(name).length:
            position, _ = _move_leaf(handle, name, position, cut, False)


# -- the steps of both -------------------------------------------------------------------------------------


def _pack(handle: Handle) -> Writer:
    """Begin a transaction that writes as low as possible; the caller is inside the latch."""
    writer = handle.begin()
    writer.space.packing = True
    return writer


def _stop_packing(handle: Handle) -> None:
    """From now on, allocate in the usual way."""
    if handle.writer is not None:
        handle.writer.space.packing = False


def _renew_log(handle: Handle) -> None:
    """Write the whole space map again, so that no old log page lies at the end; release limbo."""
    # The first commit finishes the running sweep. The second is a whole sweep: then older pages are not
    # needed.
    _restate(handle, True)
    _restate(handle, True)
    _drain(handle, True)


def _drain(handle: Handle, packing: bool) -> None:
    """Make commits until freed blocks are free, unless a snapshot holds them: two synced commits later."""
    for _ in range(3):
        oldest = oldest_snapshot(handle)
        limbo = handle.writer.space.limbo if handle.writer is not None else []
        waiting = [each for each in limbo if oldest is None or each.transaction <= oldest]
        if sum(each.blocks.total for each in waiting) < GAIN_LEAST:
            return
        _restate(handle, False, packing)


def _move_all(handle: Handle, max_bytes: int, progress: Progress | None) -> bool:
    """Walk over the lists until that gains nothing more; return False if ``max_bytes`` ended it before."""
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
            # ``progress``, called between the steps, may change the lists, and even drop one.
            while name in handle.entries and position < handle.index(name).length:
                # In the first pass, blocks move only below the cut. Later there is room just above it, and
                # blocks that found no hole below move down to there.
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
    """Move a leaf and its blobs; return the position after it, and the number of bytes moved."""
    with handle.latch.held():
        try:
            _pack(handle)
            behind, size = relocate(handle.index(name), position, cut, below_cut)
        except BaseException as error:
            handle.failed(error)
            raise
    return behind, size


def _settle(handle: Handle) -> None:
    """Make commits until no slot reaches beyond the bytes that are in use now."""
    for _ in range(SETTLING):
        _restate(handle, False)
        if len({slot.length for slot in handle.header.valid}) == 1:
            break


def _restate(handle: Handle, whole: bool, packing: bool = True) -> None:
    """Commit, with or without changes; if ``whole``, write the whole space map into the log."""
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
