# cython: annotation_typing=False
"""State: one open region as a handle sees it: its bytes, the newest commit, and what has changed since.

Invariant: ``committed`` and ``slot`` are what the newest slot says, always; indexes, ``entries``, ``roots``
and ``patches`` differ from it by the open transaction.
"""

import os
from collections import deque
from collections.abc import Callable

from ...errors import (
    CorruptRegionError,
    ReadOnlyError,
    RegionClosedError,
    StableMemoryError,
)
from ...layout import MAX_ADDRESS
from ...shown import shown, shown_error, shown_names, shown_path
from ..disk.device import Device
from ..disk.header import Header, boot_id
from ..disk.readers import acquire, acquire_newest
from ..disk.region import Region
from ..format import catalog
from ..format.catalog import MAIN, Catalog, Entry, Root
from ..format.checksum import page_checksum
from ..format.slots import Slot
from ..space.freespace import FreeSpace
from ..space.punching import Holes
from ..space.spacemap import Chain, SpaceMap, replay
from ..tree.index import Index
from ..tree.pager import Pager
from .handle import Handle
from .latch import Latch
from .patches import Patches
from .policy import Policy
from .transaction import Transaction

__all__ = ["State"]

KNOWN_LENGTHS = 1024
"""Commits whose length is remembered, so that the file can be cut behind snapshots of them."""


class State(Handle):
    """An open region.

    Args:
        device: where it is; the store owns it. A writer's device holds the writer lock already.
        writable: whether this is the region's one writer; else it is a snapshot of the newest commit.
        checksums: whether blobs are verified at each read.
        boot: this boot's id; None asks the kernel.
        at: the commit that a snapshot is of; None for the newest.

    Attributes:
        policy: when it commits without being told; ``obey`` sets it.
        most: bytes that the file may have; ``confine`` sets it.
        best_fit: whether blocks are placed by best fit, not by first; ``fit`` sets it.
        slot: the newest committed state this handle knows of.
        committed: the catalog of that state.
        entries: the lists there are now, with each one's tree as committed.
        roots: the roots there are now.
        patches: what was stored into raw blocks and is not in place.
        holes: which free pages were given back to the disk, or may be.
        wrote: bytes and runs that the last commit of this handle wrote, its slot included.
        lengths: (transaction, length) of the newest commits that this handle has made.
        indexes: the lists opened so far, by name.

    Raises:
        NotARegionError, VersionError, CorruptRegionError: as the header says.
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
        self.boot = boot_id() if boot is None else boot
        self.latch = Latch()
        self.writable = writable
        self.checksums = checksums
        self.indexes: dict[str, Index] = {}
        self.committed = Catalog()
        self.entries: dict[str, Entry] = {}
        self.roots: dict[str, Root] = {}
        self.patches = Patches()
        self.absent: set[str] = set()
        self.failure = ""
        self.forked = False
        self._broken = False
        self._space: FreeSpace | None = None
        self._log: SpaceMap | None = None
        self._savepoints = 0
        self._pid = os.getpid()
        self.policy = Policy()
        self._new_transaction()
        self.most = MAX_ADDRESS
        self.best_fit = False
        self._low_space = 1.0
        self._on_low_space: Callable[[], None] | None = None
        self._told = False
        self._room = 0
        self._late: BaseException | None = None
        self.holes = Holes()
        self.wrote = (0, 0)
        self.lengths: deque[tuple[int, int]] = deque(maxlen=KNOWN_LENGTHS)
        try:
            if writable:
                self.header = Header(device, self.boot)
            elif at is not None:
                self.header = acquire(device, self.boot, at)
            else:
                device, self.header = acquire_newest(device, self.boot, 0)
            self.slot = self.header.newest
            region = Region(device, shared_lock=not writable)
            region.set_limit(self.slot.length)
            self.pager = Pager(region, FreeSpace(), checksums)
            self._take(self._read_catalog(self.slot))
        except BaseException:
            device.close()
            raise

    def _new_transaction(self) -> None:
        """Have a new transaction, in the place of one that has ended."""
        self.tx = Transaction(min(self.policy.changes or 0, MAX_ADDRESS))

    # -- looking ---------------------------------------------------------------------------------------

    @property
    def region(self) -> Region:
        """The bytes."""
        region: Region = self.pager.region
        return region

    @property
    def path(self) -> str:
        """The file's name, empty for memory."""
        return self.region.path

    @property
    def closed(self) -> bool:
        """Whether the store was closed."""
        return bool(self.latch.closed)

    @property
    def changes(self) -> int:
        """Number of changes since the last commit."""
        count: int = self.tx.changes
        return count

    @property
    def writer_space(self) -> FreeSpace | None:
        """The free space of a writer that has changed something, else None."""
        return self._space

    @property
    def space(self) -> FreeSpace:
        """The free space; a writer's own once it has changed something, else read from the log."""
        return self._space if self._space is not None else replay(self.region, self.slot)[0]

    @property
    def chain(self) -> Chain:
        """The log's pages as of the newest slot."""
        return self._log.chain if self._log is not None else replay(self.region, self.slot)[1]

    def _take(self, committed: Catalog) -> None:
        """Make a catalog the one that changes begin with."""
        self.committed = committed
        self.entries = dict(committed.lists)
        self.roots = dict(committed.roots)
        self.patches.adopt(committed.patches)

    def _read_catalog(self, slot: Slot) -> Catalog:
        """Return the catalog of a slot, the root of "main" filled in."""
        address, size, check = slot.catalog
        content = self.region.load(address, size) if size else b""
        if size and page_checksum(content) != check:
            found = f"{page_checksum(content):016x}"
            raise CorruptRegionError(address, f"a catalog of checksum {check:016x}", found, self.path)
        read = catalog.decode(content, address, slot.length, self.path)
        for patch in read.patches:
            if not 0 < patch.transaction <= slot.transaction:
                found = f"{patch.transaction}"
                raise CorruptRegionError(
                    address, f"a patch of a transaction up to {slot.transaction}", found, self.path
                )
        if MAIN in read.lists:
            read.lists[MAIN] = read.lists[MAIN].at(slot.main)
        elif slot.main[0]:
            raise CorruptRegionError(address, f"a catalog with {MAIN!r}", shown_names(read.lists), self.path)
        return read

    def index(self, name: str) -> Index:
        """Return the list of a name that is in the catalog."""
        if name not in self.indexes:
            self.indexes[name] = Index(self.pager, *self.entries[name].tree)
        return self.indexes[name]

    def require_open(self) -> None:
        """Raise if the store was closed."""
        if self.closed:
            raise RegionClosedError(self.latch.closed)

    def require_writable(self) -> None:
        """Raise unless this handle may change the region."""
        if self.forked:
            raise ReadOnlyError(
                "this process was forked from the one that has the region open for writing, so this "
                "handle can only read: write in the parent process; to see its commits, open the file "
                "here with mode='r'"
            )
        if not self.writable:
            raise ReadOnlyError(
                f"{shown_path(self.path)} is open for reading only: open it with mode='a' or 'r+' to change "
                f"it; if this is a snapshot, change the list or region that it was made from"
            )
        if self._late is not None:
            late, self._late = self._late, None
            raise StableMemoryError(
                f"a commit in the background failed ({shown_error(late)}), and the changes that it should "
                "have committed were rolled back: make the changes again"
            ) from late
        if self._broken:
            raise StableMemoryError(
                "an error has rolled back the whole transaction block: leave the block, and begin another"
            )
        if self.failure:
            raise StableMemoryError(
                f"{shown_path(self.path)} takes no more changes through this handle, because "
                f"{self.failure}: close it and open it again, which recovers the last commit"
            )

    # -- the catalog -----------------------------------------------------------------------------------

    def add(self, name: str, blobify: str, options: bytes) -> None:
        """Put a new, empty list into the catalog, with the next commit."""
        self.require_writable()
        if name in self.tx.dropped:
            raise StableMemoryError(
                f"the list {shown(name)} was dropped, and that is not committed yet: commit before you "
                f"make another list of that name"
            )
        self.entries[name] = Entry(blobify, options)
        self.tx.catalog_changed = True

    def add_absent(self, name: str, blobify: str, options: bytes) -> None:
        """Let a snapshot show a list that nobody has committed yet: empty, until a refresh finds it."""
        self.entries[name] = Entry(blobify, options)
        self.absent.add(name)

    def drop_list(self, name: str) -> None:
        """Delete a list and everything in it, with the next commit; the caller is inside a change."""
        self.index(name).clear()
        del self.indexes[name], self.entries[name]
        self.tx.dropped.add(name)
        self.tx.catalog_changed = True

    def set_root(self, name: str, numbers: Root | None) -> None:
        """Set a root, or delete it, with the next commit."""
        if numbers is None:
            del self.roots[name]
        else:
            self.roots[name] = numbers
        self.tx.catalog_changed = True
