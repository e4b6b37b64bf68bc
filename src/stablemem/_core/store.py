# cython: annotation_typing=False
"""Store: one open region, the state it has committed, and the transaction on top of it.

A commit:

    blobs, nodes, catalog, log pages   written where no slot that is kept and no snapshot reaches
    fdatasync                          they are on the disk: left out if the slot has a digest of them
    slot                               the one that is neither the newest nor the last synced
    fdatasync                          the commit is durable

Invariants:

* Nothing is written before the first change; the first change recovers (``Header.recover``) and replays
  the space map, and only then is anything allocated.
* An exception while changing or committing rolls the transaction back; a failed sync poisons the handle:
  what the kernel did with the pages is unknown, so nothing is retried.
* ``committed`` is what the newest slot says, always; indexes differ from it by the open transaction.
"""

import atexit
import os
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import NamedTuple

from ..errors import (
    BlobifyError,
    CorruptRegionError,
    ReadOnlyError,
    RegionClosedError,
    RegionFullError,
    StableMemoryError,
)
from ..layout import BLOB_PAGE, MAX_ADDRESS, NODE_SIZE, REGION_PAGE
from . import catalog
from .alarm import Alarm
from .catalog import MAIN, Catalog, Entry, Patch, Root
from .checksum import page_checksum
from .device import Device
from .freespace import FreeSpace
from .freetree import FreeTree
from .header import (
    MAX_DIGESTED,
    MAX_EXTENTS,
    MAX_TRANSACTION,
    Header,
    Slot,
    Tree,
    boot_id,
    newest_number,
)
from .index import Index
from .latch import Latch
from .pager import NODE_BUDGET, Pager
from .patches import Patches, Piece
from .policy import UNSYNCED_LIMBO, UNSYNCED_SECONDS, Policy
from .readers import acquire_newest, look, newest_reader, oldest_reader
from .region import Region
from .spacemap import Chain, SpaceMap, replay, written_since

__all__ = ["Store"]

_OPEN: "weakref.WeakSet[Store]" = weakref.WeakSet()


class Mark(NamedTuple):
    """What a savepoint returns to."""

    layers: int
    changes: int
    trees: dict[str, Tree]
    entries: dict[str, Entry]
    roots: dict[str, Root]
    listed: tuple[Patch, ...]
    pending: list[Piece]


class Store:
    """An open region.

    Args:
        device: where it is; the store owns it. A writer's device holds the writer lock already.
        writable: whether this is the region's one writer; else it is a snapshot of the newest commit.
        checksums: whether blobs are verified at each read.
        boot: this boot's id; None asks the kernel.

    Attributes:
        policy: when it commits without being told; ``obey`` sets it.
        most: bytes that the file may have; ``confine`` sets it.
        slot: the newest committed state this handle knows of.
        committed: the catalog of that state.
        entries: the lists there are now, with each one's tree as committed.
        roots: the roots there are now.
        patches: what was stored into raw blocks and is not in place.
        raw_written: whether the transaction wrote into raw blocks, which it may write again, or free.
        indexes: the lists opened so far, by name.

    Raises:
        NotARegionError, VersionError, CorruptRegionError: as the header says.
    """

    def __init__(
        self, device: Device, *, writable: bool, checksums: bool = True, boot: bytes | None = None
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
        self._dropped: set[str] = set()
        self.absent: set[str] = set()
        self.failure = ""
        self.forked = False
        self._broken = False
        self._early = False
        self.raw_written = False
        self._space: FreeSpace | None = None
        self._log: SpaceMap | None = None
        self._catalog_changed = False
        self._savepoints = 0
        self._pid = os.getpid()
        self.policy = Policy()
        self.most = MAX_ADDRESS
        self._low_space = 1.0
        self._on_low_space: Callable[[], None] | None = None
        self._told = False
        self._room = 0
        self._late: BaseException | None = None
        self._commit_alarm, self._sync_alarm = _alarms(self)
        try:
            if writable:
                self.header = Header(device, self.boot)
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
        _OPEN.add(self)

    # -- looking -------------------------------------------------------------------------------------

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
        count: int = self.pager.changes
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
        self.patches.restore(committed.patches, [])

    def _read_catalog(self, slot: Slot) -> Catalog:
        """Return the catalog of a slot, the root of "main" filled in."""
        address, size, check = slot.catalog
        content = self.region.load(address, size) if size else b""
        if size and page_checksum(content) != check:
            found = f"{page_checksum(content):016x}"
            raise CorruptRegionError(address, f"a catalog of checksum {check:016x}", found, self.path)
        read = catalog.decode(content, address, slot.length, self.path)
        if MAIN in read.lists:
            read.lists[MAIN] = read.lists[MAIN].at(slot.main)
        elif slot.main[0]:
            raise CorruptRegionError(address, f"a catalog with {MAIN!r}", f"{sorted(read.lists)}", self.path)
        return read

    def index(self, name: str) -> Index:
        """Return the list of a name that is in the catalog."""
        if name not in self.indexes:
            self.indexes[name] = Index(self.pager, *self.entries[name].tree)
        return self.indexes[name]

    def add(self, name: str, blobify: str, options: bytes) -> None:
        """Put a new, empty list into the catalog, with the next commit."""
        self.require_writable()
        if name in self._dropped:
            raise StableMemoryError(
                f"the list {name!r} was dropped in this transaction: commit before making another of its name"
            )
        self.entries[name] = Entry(blobify, options)
        self._catalog_changed = True

    def add_absent(self, name: str, blobify: str, options: bytes) -> None:
        """Let a snapshot show a list that nobody has committed yet: empty, until a refresh finds it."""
        self.entries[name] = Entry(blobify, options)
        self.absent.add(name)

    def drop_list(self, name: str) -> None:
        """Delete a list and everything in it, with the next commit; the caller is inside a change."""
        self.index(name).clear()
        del self.indexes[name], self.entries[name]
        self._dropped.add(name)
        self._catalog_changed = True

    def set_root(self, name: str, numbers: Root | None) -> None:
        """Set a root, or delete it, with the next commit."""
        if numbers is None:
            del self.roots[name]
        else:
            self.roots[name] = numbers
        self._catalog_changed = True

    def write_no_digest(self) -> None:
        """Forget what the transaction wrote: it has become too much for a digest."""
        self._early = True
        self.region.written = []

    # -- changing ------------------------------------------------------------------------------------

    def require_writable(self) -> None:
        """Raise unless this handle may change the region."""
        if self.forked:
            raise ReadOnlyError(
                "this process was forked from the one that has the region open for writing: "
                "here it only reads; open it again with mode='r', or write in the parent"
            )
        if not self.writable:
            where = self.path or "this region"
            raise ReadOnlyError(
                f"{where} is open for reading only: open it with mode='a' or 'r+' to change it, or change "
                f"what this is a snapshot of"
            )
        if self._late is not None:
            late, self._late = self._late, None
            raise StableMemoryError(
                f"a commit in the background failed, and what it was to commit was rolled back ({late}): "
                f"change or commit again"
            ) from late
        if self._broken:
            raise StableMemoryError(
                "an error has rolled back the whole transaction block: leave it, and begin another"
            )
        if self.failure:
            raise StableMemoryError(
                f"{self.path or 'this region'} takes no more changes through this handle, because "
                f"{self.failure}: close it and open it again, which recovers what was committed"
            )

    def begin(self) -> None:
        """Prepare for the first change of a transaction; the caller is inside the latch."""
        self.require_writable()
        if self._space is None:
            # A snapshot may stand on a commit that left no other trace: its number is taken.
            self.header.highest = newest_reader(self.region.device, self.header.highest)
            unsynced: list[tuple[int, int]] = []
            unsynced_from = None
            if not self.slot.synced:
                unsynced, unsynced_from = written_since(self.region, self.slot, self.header.last_synced)
            try:
                self.header.recover(unsynced)
            except OSError as error:
                self._poison("recovery failed", error)
                raise
            space, chain = replay(self.region, self.slot)
            log = SpaceMap(space, chain, self.slot.length)
            log.unsynced_from = unsynced_from
            self.pager.space = space
            self.pager.transaction = self.header.highest + 2
            self._log = log
            space.most = self.most
            # Last: with it the handle counts as recovered.
            self._space = space
        device = self.region.device
        if self.pager.transaction >= MAX_TRANSACTION:
            raise StableMemoryError(f"{self.path} has used up its transaction numbers: copy it to a new file")
        self._early = self.raw_written = False
        self.region.written = []
        self._space.release(self.header.floor, lambda below: oldest_reader(device, below))
        if self.patches:
            self._begin_patches(device)
        self.pager.ready = True
        if self.policy.seconds is not None:
            self._commit_alarm.set(self.policy.seconds)

    def _begin_patches(self, device: Device) -> None:
        """Write in place what may be, and take off the list what is."""
        assert self._space is not None
        before = self.patches.listed
        try:
            self.patches.begin(
                self.region, self._space, self.header.floor, lambda below: oldest_reader(device, below)
            )
        except BaseException:
            self._undo_all()
            raise
        self._catalog_changed = self._catalog_changed or self.patches.listed != before
        # No digest covers what is in place: it is none of what the coming commit needs.
        self.region.written = []

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
            error.add_note(f"{lost} uncommitted changes were rolled back")

    def relieve(self) -> None:
        """Do what is due after a change: commit, as the policy says, or else write out early."""
        before = self.latch.own()
        try:
            # Whoever holds the handle for longer than this call commits at its own end.
            if not before and self.policy.changes is not None and self.changes >= self.policy.changes:
                self.commit(self.policy.sync)
            elif self.pager.is_full():
                self.write_early()
        finally:
            self.latch.disown(before)
        self._watch_space()

    def write_early(self) -> None:
        """Write pending blobs, and dirty nodes beyond their budget."""
        with self.latch.held():
            try:
                self._early = True
                self.pager.write_blobs()
                if self.pager.dirty_nodes >= NODE_BUDGET:
                    self._place_nodes(0)
                    self.pager.end_nodes()
                self.region.start_sync()
            except BaseException as error:
                self.failed(error)
                raise

    def _place_nodes(self, spare: int) -> None:
        """Give all dirty nodes their addresses, reserving spare pages behind them."""
        self.pager.begin_nodes(spare)
        for index in self.indexes.values():
            index.place()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep changes by other threads out for a block of calls."""
        before = self.latch.own()
        try:
            yield
        finally:
            self.latch.disown(before)

    # -- committing ----------------------------------------------------------------------------------

    def commit(self, sync: bool = True) -> None:
        """Make the changes so far one atomic step.

        Args:
            sync: True returns once the step survives a power cut; False once it survives the death of
                this process.

        Raises:
            OSError: the disk failed or is full; the transaction was rolled back.
            StableMemoryError: inside a transaction block, or an earlier sync failed.
        """
        with self.latch.held():
            if self._savepoints:
                raise StableMemoryError("the transaction block commits at its end; do not commit within it")
            changed = self.pager.changes or self._catalog_changed
            if not changed and self._late is None and (self.slot.synced or not sync or not self.writable):
                return
            self.require_writable()
            try:
                if not self.pager.ready:
                    self.begin()
                if changed:
                    self._commit(sync or self._must_sync())
                else:
                    self._promote()
                    self.pager.ready = False
            except BaseException as error:
                self.failed(error)
                raise
        self._watch_space()

    def _must_sync(self) -> bool:
        """Return whether limbo has grown so far that only a synced commit can give it back."""
        assert self._space is not None
        return self._space.limbo_bytes > max(UNSYNCED_LIMBO, self.slot.length // 4)

    def _commit(self, sync: bool) -> None:
        """Write everything out, then the slot."""
        pager, space, log = self.pager, self._space, self._log
        assert space is not None
        assert log is not None
        transaction = pager.transaction
        log.drop_unneeded()
        if self.patches.pending:
            self.raw_written = True
            self._catalog_changed |= self.patches.commit(self.region, space, transaction)
        self._catalog_changed |= self.patches.listed != self.committed.patches
        pager.write_blobs()
        self._place_nodes(1)
        first_page = pager.spare_page()
        entries = dict(self.entries)
        catalog_changed = self._catalog_changed
        for name, index in self.indexes.items():
            tree = index.state()
            if tree != entries[name].tree:
                entries[name] = entries[name].at(tree)
                catalog_changed = catalog_changed or name != MAIN
        content = Catalog(entries, dict(self.roots), self.patches.listed)
        place = self._write_catalog(content) if catalog_changed else self.slot.catalog
        plan = log.plan(transaction, first_page)
        for address, page in plan.pages:
            pager.place_page(address, page)
        pager.end_nodes()
        extents = self._digested() if sync else ()
        slot = Slot(
            file_id=self.slot.file_id,
            transaction=transaction,
            length=plan.length,
            synced=sync,
            boot=bytes(16) if sync else self.boot,
            main=entries[MAIN].tree if MAIN in entries else (0, 0, 0, 0),
            catalog=place,
            log_page=plan.pages[-1][0],
            log_check=plan.newest_check,
            log_newest=plan.newest,
            log_oldest=plan.oldest,
            extents=extents,
            digest=page_checksum(b"".join([self.region.load(*each) for each in extents]))
            if extents
            else None,
        )
        if sync and not extents:
            self._sync("the data of a commit could not be synced")
        with self._publishing():
            self._publish(slot)
            log.adopt(plan, sync)
            space.commit(transaction)
            self.slot, self.committed, self.entries = slot, content, dict(entries)
            self._catalog_changed = False
            self._dropped = set()
            self.patches.committed()
            if sync:
                self.patches.synced()
            pager.changes = 0
            pager.ready = False
            pager.transaction = transaction + 1
        self._commit_alarm.cancel()
        if sync:
            self._sync_alarm.cancel()
        elif self.region.device.durable:
            self._sync_alarm.set(UNSYNCED_SECONDS)

    def _promote(self) -> None:
        """Make the newest commit, which was not synced, a synced one.

        The transaction that may be open meanwhile goes on: what it wrote early no slot reaches, and what it
        allocated was free before either commit.
        """
        assert self._log is not None
        self._sync("the data of a commit could not be synced")
        slot = replace(self.slot, synced=True, boot=bytes(16))
        with self._publishing():
            self._publish(slot)
            self._log.unsynced_from = None
            self.slot = slot
            self.patches.synced()
        self._sync_alarm.cancel()

    def _publish(self, slot: Slot) -> None:
        """Write a slot and, if it says so, sync."""
        self.header.write(slot)
        if slot.synced:
            self.region.sync()
        self.header.published(slot)

    @contextmanager
    def _publishing(self) -> Iterator[None]:
        """Poison the handle if anything goes wrong while a slot is written."""
        try:
            yield
        except BaseException as error:
            # The slot may be on the disk or not, whatever was raised and by whom.
            with suppress(OSError):
                self.header.take_back()
            self._poison("a commit was interrupted while its header slot was written", error)
            raise

    # -- room ----------------------------------------------------------------------------------------

    def confine(self, most: int | None, low_space: float, on_low_space: Callable[[], None] | None) -> None:
        """Keep the file below a size, and call when a share of the room there is, is taken."""
        self.most = MAX_ADDRESS if most is None else most // REGION_PAGE * REGION_PAGE
        self.region.most = self.most
        self._low_space, self._on_low_space = low_space, on_low_space

    def _watch_space(self) -> None:
        """Call the owner when the room that is left falls below what was asked for, once each time."""
        space = self._space
        if space is None or self.closed:
            return
        grown, space.grown = space.grown, False
        if self._on_low_space is None:
            return
        if grown or not self._room:
            self._room = min(self.most, self.region.length + self.region.device.room())
        low = space.end - space.free_bytes + self.pager.pending_bytes >= self._low_space * self._room
        told, self._told = self._told, low
        if low and not told:
            self._on_low_space()

    # -- by the clock --------------------------------------------------------------------------------

    def obey(self, policy: Policy) -> None:
        """Commit from now on as a policy says."""
        self.policy = policy
        self.pager.commit_changes = policy.changes or 0

    def commit_late(self) -> None:
        """Commit what the policy's seconds have run out for; called by the alarm."""
        self._in_background(lambda: self.commit(self.policy.sync))

    def sync_late(self) -> None:
        """Sync the newest commit, which was not synced for so long; called by the alarm."""
        self._in_background(self.promote)

    def promote(self) -> None:
        """Sync the newest commit if it was not, whatever this handle has changed since then."""
        with self.latch.held():
            if self.slot.synced or self.failure or self._log is None:
                return
            try:
                self._promote()
            except BaseException as error:
                self.failed(error)
                raise

    def _in_background(self, work: Callable[[], None]) -> None:
        """Do something between the calls of other threads; what it raises, the next change or close tells."""
        try:
            work()
        except RegionClosedError:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told later
            self._late = error

    def _digested(self) -> tuple[tuple[int, int], ...]:
        """Return the extents whose digest lets slot and data be synced together; none if that may not be.

        Not after an early write-out or a commit that was not synced: then data that the digest would
        not cover could be missing behind a valid slot.
        """
        if self._early or not self.slot.synced:
            return ()
        written = self._still_allocated() if self.raw_written else sorted(self.region.written)
        extents: list[tuple[int, int]] = []
        for address, size in written:
            if extents and extents[-1][0] + extents[-1][1] == address:
                extents[-1] = (extents[-1][0], extents[-1][1] + size)
            else:
                extents.append((address, size))
        if len(extents) > MAX_EXTENTS or sum(size for _, size in extents) > MAX_DIGESTED:
            return ()
        return tuple(extents)

    def _still_allocated(self) -> list[tuple[int, int]]:
        """Return what the transaction wrote and has not freed again, each byte once.

        What it has freed may be written to by the next transaction, under a digest that this one needs.
        """
        assert self._space is not None
        fresh = self._space.layers[-1].fresh
        written = FreeTree()
        for address, size in self.region.written:
            for begin, length in fresh.blocks(address, address + size):
                low, high = max(address, begin), min(address + size, begin + length)
                written.discard(low, high)
                written.insert(low, high - low)
        return written.blocks()

    def _write_catalog(self, now: Catalog) -> tuple[int, int, int]:
        """Write the catalog; return address, size and checksum, all zero for an empty one."""
        space = self._space
        assert space is not None
        if self.slot.catalog[1]:
            space.free(self.slot.catalog[0], self.slot.catalog[1])
        content = catalog.encode(now)
        if not content:
            return 0, 0, 0
        address = space.allocate(BLOB_PAGE, len(content))
        self.region.write(address, content)
        return address, len(content), page_checksum(content)

    def _sync(self, what: str) -> None:
        """Sync, and poison the handle if that fails."""
        try:
            self.region.sync()
        except OSError as error:
            self._poison(what, error)
            raise

    def _poison(self, what: str, error: BaseException) -> None:
        """Refuse all further changes."""
        self.failure = f"{what} ({getattr(error, 'strerror', None) or repr(error)})"

    def rollback(self) -> None:
        """Forget the changes since the last commit."""
        with self.latch.held():
            if self._savepoints:
                raise StableMemoryError(
                    "a transaction block rolls back when an exception leaves it; do not do so within it"
                )
            self._undo_all()

    def _undo_all(self) -> None:
        """Return to the committed state, savepoints included."""
        self.pager.discard()
        self.pager.ready = False
        if self._space is not None:
            while len(self._space.layers) > 1:
                self._space.undo()
                self._space.layers.pop()
            self._space.undo()
        self._catalog_changed = False
        self._dropped = set()
        self._revert(self.committed.lists, self.committed.roots)
        self.patches.restore(self.committed.patches, [])
        for name, index in self.indexes.items():
            index.restore(self.entries[name].tree)

    def _revert(self, lists: dict[str, Entry], roots: dict[str, Root]) -> None:
        """Bring back the lists that there were; those that are new since stay, empty, with their handles."""
        added = {name: entry for name, entry in self.entries.items() if name not in lists}
        self._catalog_changed = self._catalog_changed or bool(added)
        self.entries = {**lists, **added}
        self.roots = dict(roots)

    # -- transaction blocks --------------------------------------------------------------------------

    @contextmanager
    def transaction(self, sync: bool) -> Iterator[None]:
        """Commit at the end of the outermost block; undo what a block did if an exception leaves it."""
        before = self.latch.own()
        depth = self._savepoints
        try:
            self.require_open()
            self.require_writable()
            mark = self._savepoint() if depth or self.changes else None
            self._savepoints = depth + 1
            try:
                yield
                if self._broken:
                    self.require_writable()
            except BaseException:
                if not self.forked:
                    self._savepoints = depth
                    self._broken = self._broken and depth > 0
                    if mark is None:
                        self.rollback()
                    else:
                        self._undo_to(mark)
                raise
            if not self.forked:
                self._savepoints = depth
                if mark is not None and self._space is not None:
                    self._space.pop()
                if depth == 0:
                    self.commit(sync)
        finally:
            self.latch.disown(before)

    def _savepoint(self) -> Mark:
        """Begin a savepoint: everything so far is written out, so that a root says all of it."""
        self.latch.enter()
        try:
            if not self.pager.ready:
                self.begin()
            self._early = True
            self.pager.write_blobs()
            self._place_nodes(0)
            self.pager.end_nodes()
        except BaseException as error:
            self.failed(error)
            raise
        finally:
            self.latch.leave()
        assert self._space is not None
        self._space.push()
        states = {name: index.state() for name, index in self.indexes.items()}
        return Mark(
            len(self._space.layers), self.changes, states, dict(self.entries), dict(self.roots),
            self.patches.listed, list(self.patches.pending),
        )  # fmt: skip

    def _undo_to(self, mark: Mark) -> None:
        """Return to a savepoint."""
        space = self._space
        if space is None or len(space.layers) < mark.layers:
            return  # an error has undone the whole transaction already
        self.pager.discard()
        space.undo()
        space.layers.pop()
        self.pager.changes = mark.changes
        self._revert(mark.entries, mark.roots)
        self.patches.restore(mark.listed, mark.pending)
        for name, tree in mark.trees.items():
            self.index(name).restore(tree)
        for name in self.indexes.keys() - mark.trees.keys():
            self.indexes[name].restore(self.entries[name].tree)

    # -- snapshots -----------------------------------------------------------------------------------

    def snapshot(self) -> "Store":
        """Return a read-only store on the newest commit, with a descriptor and a map of its own."""
        self.require_open()
        return Store(self.region.device.reopen(), writable=False, checksums=self.checksums, boot=self.boot)

    def refresh(self) -> bool:
        """Move a snapshot to the newest commit; return whether there was a newer one.

        A writer is always at its newest.
        """
        with self.latch.held():
            if self.writable:
                return False
            if newest_number(self.region.device) <= self.slot.transaction:
                return False
            if look(self.region.device, self.boot).newest.transaction <= self.slot.transaction:
                return False
            device, header = acquire_newest(self.region.device.reopen(), self.boot, self.slot.transaction)
            self._adopt(device, header)
            return True

    def _adopt(self, device: Device, header: Header) -> None:
        """Become a snapshot of what a header says, on another device."""
        old = self.region
        try:
            region = Region(device, shared_lock=True)
            region.set_limit(header.newest.length)
            self.pager.rebase(region)
            fresh = self._read_catalog(header.newest)
            entries = fresh.lists
            for name in self.indexes:
                ours = self.entries[name]
                if name not in entries and name in self.absent:
                    entries[name] = ours
                elif name not in entries:
                    raise BlobifyError(f"the list {name!r} is no longer in {self.path}: open the file again")
                elif name not in self.absent and (ours.blobify, ours.options) != (
                    entries[name].blobify, entries[name].options,
                ):  # fmt: skip
                    raise BlobifyError(
                        f"the list {name!r} was written anew with blobify {entries[name].blobify!r}, "
                        f"not {ours.blobify!r}: open the file again"
                    )
        except BaseException:
            self.pager.rebase(old)
            device.close()
            raise
        before = self.entries
        self._take(fresh)
        self.header, self.slot = header, header.newest
        self.absent -= {name for name in self.absent if entries[name] is not before[name]}
        for name, index in self.indexes.items():
            index.restore(entries[name].tree)
        old.close()

    # -- ending --------------------------------------------------------------------------------------

    def require_open(self) -> None:
        """Raise if the store was closed."""
        if self.closed:
            raise RegionClosedError(self.latch.closed)

    def close(self, commit: bool = True) -> None:
        """Commit, synced, unless told otherwise; cut the free tail; let go of the file."""
        if self.closed:
            return
        with self.exclusive():
            if self._savepoints:
                raise StableMemoryError("the transaction block commits at its end: close it behind the block")
            try:
                if self.writable and not self.forked and not self.failure:
                    if commit:
                        self.commit(True)
                    else:
                        self.rollback()
            finally:
                late, self._late = self._late, None
                self.latch.enter()
                try:
                    # Within the latch: a reader of another thread may be mapping the file just now.
                    if self.writable and not self.forked and not self.failure:
                        self._seal()
                        self._cut_tail()
                finally:
                    self._end(
                        f"{self.path} is closed: open it again"
                        if self.path
                        else "this region in memory is closed, and what it held is gone: make a new one"
                    )
                    self.latch.leave()
        if late is not None:
            raise StableMemoryError(
                f"a commit in the background failed, and what it was to commit was rolled back ({late}): "
                f"open it again, and make those changes again"
            ) from late

    def _end(self, why: str) -> None:
        """Let go of everything."""
        self._commit_alarm.stop()
        self._sync_alarm.stop()
        self.latch.closed = why
        self.pager.discard()
        self.region.close()
        _OPEN.discard(self)

    def _seal(self) -> None:
        """Write the newest slot a second time, so that damage to one of the two cannot hide it."""
        if self._space is None or self.header.sealed or not self.slot.synced:
            return
        try:
            # Without a digest: what the first copy's covers is on the disk by now, and if it is damaged
            # later, that must be met as damage, not pass for a commit that a power cut undid.
            slot = replace(self.slot, extents=(), digest=None)
            self._publish(slot)
        except OSError:
            # The commit itself is durable; what is missing is only its second copy.
            with suppress(OSError):
                self.header.take_back()

    def _cut_tail(self) -> None:
        """Cut what lies behind everything that a slot or a snapshot can reach."""
        if self._space is None:
            return
        device = self.region.device
        if oldest_reader(device, self.slot.transaction) is not None:
            return
        reach = max(slot.length for slot in self.header.valid)
        reach = -(-reach // NODE_SIZE) * NODE_SIZE
        if device.size() > reach:
            self.region.truncate(reach)

    def __del__(self) -> None:
        if getattr(self, "pager", None) is not None:
            self.drop()

    def drop(self) -> None:
        """End a handle that nobody closed: uncommitted changes are rolled back, with a warning."""
        if self.closed or self._pid != os.getpid():
            return
        lost = self.changes if self.writable and not self.forked else 0
        if lost:
            warnings.warn(
                f"{self.path or 'a list in memory'} was dropped with {lost} uncommitted changes, which are "
                f"lost: use it in a with statement, or call commit() or close()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )
        self._end(f"{self.path or 'this region'} was dropped without close(): open it again")

    # -- forks ---------------------------------------------------------------------------------------

    def after_fork(self) -> None:
        """Become, in the child of a fork, a snapshot of the newest commit.

        The child shares the writer's descriptors: it closes its copies, and neither syncs nor unlocks.
        """
        self._pid = os.getpid()
        closed = self.latch.closed
        self.latch.reset()
        if closed or not self.writable:
            return
        self.forked, self.writable = True, False
        self._commit_alarm, self._sync_alarm = _alarms(self)
        self._space = self._log = None
        self._savepoints = 0
        old = self.region
        self.pager.discard()
        self.pager.ready = False
        try:
            if self._catalog_changed:
                self.absent |= self.entries.keys() - self.committed.lists.keys()
            device, header = acquire_newest(old.device.reopen(), self.boot, 0)
            self._adopt(device, header)
        except BaseException as error:  # noqa: BLE001 - nobody is there to catch it in a fork hook
            old.close()
            self.latch.closed = f"the region could not be read after a fork ({error}): open it again"


def _alarms(store: Store) -> tuple[Alarm, Alarm]:
    """Return the alarms of a store, which they do not keep alive."""
    weak = weakref.ref(store)

    def commit() -> None:
        if (alive := weak()) is not None:
            alive.commit_late()

    def sync() -> None:
        if (alive := weak()) is not None:
            alive.sync_late()

    return Alarm(commit), Alarm(sync)


def _after_fork_in_child() -> None:
    for store in list(_OPEN):
        store.after_fork()


def _at_exit() -> None:
    for store in list(_OPEN):
        store.drop()


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
