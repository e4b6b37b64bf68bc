# cython: annotation_typing=False
"""Writer: all that only a handle that changes its region needs, from recovery to the end.

It is made when the region is recovered: before the first change, or after an error has dropped the last
writer. All of it comes from the newest slot and the log, so it can be read again at any time.
"""

from collections import deque

from ...errors import StableMemoryError
from ...layout import MAX_ADDRESS, NODE_SIZE
from ...shown import shown_path
from ..disk.header import Header
from ..disk.readers import is_read, newest_reader, oldest_reader
from ..disk.region import Region
from ..format.slots import MAX_TRANSACTION
from ..space import punching, spacemap
from ..space.freespace import FreeSpace
from ..space.punching import Holes
from ..space.spacemap import SpaceMap, replay, written_since
from .patches import Patches
from .policy import UNSYNCED_COMMITS, UNSYNCED_LIMBO, UNSYNCED_LOG
from .state import State
from .transaction import Transaction, node_budget

__all__ = ["Writer", "follow", "reach_of", "recover"]

KNOWN_LENGTHS = 1024
"""Number of commits whose length is remembered, so that the file can be cut after their snapshots."""

TAIL_LEAST = 1 << 20
"""Least number of bytes in a free tail that a commit cuts; it must also exceed an eighth of the file."""


class Writer:
    """What the only writer of a region knows about it.

    Args:
        header: the slots of the region.
        region: its bytes.
        state: the newest commit.
        patches: the patches of that commit.
        space: the free space.
        log: the log of the free space.

    Attributes:
        number: number of the next commit.
        holes: the free pages that were, or may be, given back to the disk.
        lengths: (transaction, length) of the newest commits that this writer made.
    """

    def __init__(
        self, header: Header, region: Region, state: State, patches: Patches, space: FreeSpace, log: SpaceMap
    ) -> None:
        self.header = header
        self.region = region
        self.state = state
        self.patches = patches
        self.space = space
        self.log = log
        # The number after the highest may be in a slot that was taken back, but is on the disk nevertheless.
        self.number: int = header.highest + 2
        self.holes = Holes()
        self.holes.look(space.idle_pages(punching.HOLE_LEAST))
        self.lengths: deque[tuple[int, int]] = deque(maxlen=KNOWN_LENGTHS)

    def begin(self, tx: Transaction) -> None:
        """Begin a transaction: release limbo, and write patches in place, as far as no state needs them."""
        device, header, region = self.region.device, self.header, self.region
        tx.written_before = device.written
        if self.number >= MAX_TRANSACTION:
            raise StableMemoryError(
                f"{shown_path(region.path)} has used up its transaction numbers: copy it to a new file"
            )
        tx.number = self.number
        tx.pager.transaction = self.number
        tx.pager.node_budget = node_budget(tx.indexes)
        region.written = []
        self.space.release(header.floor, lambda above, below: is_read(device, above, below))
        if self.patches:
            self.patches.begin(region, self.space, header.floor, lambda below: oldest_reader(device, below))
            tx.catalog_changed = tx.catalog_changed or self.patches.changed
            # No digest covers the patches in place: the coming commit does not depend on them.
            region.written = []
        tx.patched = bool(self.patches)
        tx.begun = True

    def undo(self) -> None:
        """Return to the newest commit, and undo all savepoints."""
        space = self.space
        while len(space.layers) > 1:
            space.undo()
            space.layers.pop()
        space.undo()
        self.patches.rollback()

    def must_sync(self) -> bool:
        """Return whether the next commit must be synced, because too much waits for a synced one."""
        log = self.log
        size = log.unsynced_pages * NODE_SIZE
        most: int = self.space.most
        if size >= most >> 3 or (size >= UNSYNCED_LOG and log.unsynced_commits >= UNSYNCED_COMMITS):
            return True
        waiting: int = self.space.waiting_bytes(self.header.last_synced)
        return waiting > max(UNSYNCED_LIMBO, self.state.slot.length // 4)

    # -- giving back -----------------------------------------------------------------------------------

    def cut_tail(self, least: int = 0) -> None:
        """Cut the bytes after all that slots and snapshots can reach, if there are more than ``least``."""
        device = self.region.device
        size = device.size()
        reach = max(slot.length for slot in self.header.valid)
        if size <= reach + least:
            return
        reach = max(reach, reach_of(self.lengths, oldest_reader(device, self.state.slot.transaction)))
        reach = -(-reach // NODE_SIZE) * NODE_SIZE
        if size > reach + least:
            self.region.truncate(reach)

    def punch(self) -> None:
        """Punch out the free pages that were already free at the last look.

        Like cutting the tail, this touches only bytes that the next transaction could overwrite at once.
        """
        for address, size in self.holes.look(self.space.idle_pages(punching.HOLE_LEAST)):
            end = min(address + size, self.region.length)
            if address < end:
                self.region.punch(address, end - address)


def recover(
    header: Header, region: Region, state: State, patches: Patches, most: int, best_fit: bool
) -> Writer:
    """Make sure that the newest state is on the disk, read the free space, and return a writer.

    Args:
        header: the slots.
        region: the bytes.
        state: the state of the newest slot.
        patches: the patches of that state.
        most: the most bytes that the region may have.
        best_fit: whether blocks are placed by best fit, not by first fit.

    Raises:
        OSError: the disk failed.
        CorruptRegionError: the log is damaged.
    """
    unsynced_from, unsynced_commits = _secure(header, region, state)
    space, chain = replay(region, state.slot)
    space.most = most
    log = SpaceMap(space, chain, state.slot.length)
    log.unsynced_from, log.unsynced_commits = unsynced_from, unsynced_commits
    writer = Writer(header, region, state, patches, space, log)
    if best_fit:
        space.fit_best()
    return writer


def follow(writer: Writer, header: Header, state: State, patches: Patches) -> bool:
    """Bring a writer that was set aside to the newest commit, by the log pages since its own.

    For handles that take turns in writing, which come later: so far, only tests call it. The caller holds
    the writer lock again, has renewed the region and read the header, and has no transaction open.

    It does what ``recover`` does, but the cost depends on what was committed since, not on the region. Only
    what newer pages say is certain: no block is young, and no length of the commits between is known.

    Args:
        writer: stands at an earlier commit, or at the same.
        header: the slots as they are now.
        state: that of the newest slot.
        patches: those of that state.

    Returns:
        False if that is not possible (the cases are those of ``spacemap.follow``): then nothing is written
        and the writer is as it was, and the caller calls ``recover``.

    Raises:
        OSError: the disk failed. After any exception, the writer is of no use.
        CorruptRegionError: the log is damaged.
    """
    region, log = writer.region, writer.log
    if state.slot.file_id != writer.state.slot.file_id:
        return False
    given = spacemap.follow(log, region, state.slot)
    if given is None:
        return False
    log.unsynced_from, log.unsynced_commits = _secure(header, region, state)
    writer.header, writer.state, writer.patches = header, state, patches
    writer.number = header.highest + 2
    writer.holes.committed(given, writer.space.idle_bytes, writer.space.end)
    # A snapshot may be of a commit between, or of one that was taken back, of a length that nobody knows.
    writer.lengths.clear()
    return True


def _secure(header: Header, region: Region, state: State) -> tuple[int | None, int]:
    """Make sure that the disk has what the newest slot says.

    Returns:
        The first log page of the commits since the last synced one, or None; and their number.
    """
    # A snapshot may be open on a commit that left no other trace: its number must not be used again.
    header.highest = newest_reader(region.device, header.highest)
    unsynced: list[tuple[int, int]] = []
    unsynced_from, unsynced_commits = None, 0
    if not state.slot.synced:
        unsynced, unsynced_from, unsynced_commits = written_since(region, state.slot, header.last_synced)
    try:
        header.recover(unsynced)
    except OSError as error:
        header.poison("recovery failed", error)
        raise
    return unsynced_from, unsynced_commits


def reach_of(lengths: deque[tuple[int, int]], oldest: int | None) -> int:
    """Return the largest length that snapshots of ``oldest`` or later reach; 0 without a snapshot.

    It is MAX_ADDRESS if the length is not known: if ``oldest`` is before all commits whose length is
    remembered, or was taken back.
    """
    if oldest is None:
        return 0
    if not lengths or oldest < lengths[0][0]:
        return MAX_ADDRESS
    return max(length for number, length in lengths if number >= oldest)
