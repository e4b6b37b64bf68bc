# cython: annotation_typing=False
"""Commits: how a transaction becomes the newest state, at once or by itself.

    blobs, nodes, catalog, log pages   written where no slot that is kept and no snapshot reaches
    fdatasync                          they are on the disk: left out if the slot has a digest of them
    slot                               the one that is neither the newest nor the last synced
    fdatasync                          the commit is durable

Invariant: a failed sync poisons the handle: what the kernel did with the pages is unknown, so nothing is
retried.
"""

import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from ...errors import (
    CorruptRegionError,
    RegionClosedError,
    StableMemoryError,
)
from ...layout import BLOB_PAGE, MAX_ADDRESS, NODE_SIZE, REGION_PAGE
from ..disk.device import Device
from ..format import catalog
from ..format.catalog import MAIN, Catalog
from ..format.checksum import page_checksum
from ..format.slots import MAX_DIGESTED, MAX_EXTENTS, Slot
from ..space import punching
from ..space.freetree import FreeTree
from .alarm import Alarm
from .policy import UNSYNCED_COMMITS, UNSYNCED_LIMBO, UNSYNCED_LOG, UNSYNCED_SECONDS, Policy
from .transactions import Transactions

__all__ = ["Commits"]


TAIL_LEAST = 1 << 20
"""Bytes of free tail that a commit cuts off, if it is also more than an eighth of the file."""


LOG_APART = 8
"""Log pages since the last synced commit from which on more of them lie apart from the nodes."""


class Commits(Transactions):
    """An open region whose transaction can be committed."""

    def __init__(
        self,
        device: Device,
        *,
        writable: bool,
        checksums: bool = True,
        boot: bytes | None = None,
        at: Slot | None = None,
    ) -> None:
        self._commit_alarm, self._sync_alarm = alarms(self)
        super().__init__(device, writable=writable, checksums=checksums, boot=boot, at=at)

    # -- committing ------------------------------------------------------------------------------------

    def commit(self, sync: bool = True) -> None:
        """Make the changes so far one atomic step.

        Args:
            sync: True returns once the step survives a power cut; False once it survives the death of
                this process.

        Raises:
            OSError: the disk failed or is full; the transaction was rolled back.
            StableMemoryError: inside a transaction block, or an earlier sync failed.
        """
        self._commit_now(sync)
        self._watch_space()

    def _commit_now(self, sync: bool) -> None:
        """Commit, if there is something to."""
        with self.latch.held():
            if self._savepoints:
                raise StableMemoryError(
                    "commit() cannot be called in a transaction block, because the block commits at its "
                    "end: leave commit() out"
                )
            changed = self.tx.changes or self.tx.catalog_changed
            if not changed and self._late is None and (self.slot.synced or not sync or not self.writable):
                return
            self.require_writable()
            try:
                if not self.tx.begun:
                    self.begin()
                if changed:
                    self._commit(sync or self._must_sync())
                else:
                    self._promote()
                    self.tx.begun = False
            except BaseException as error:
                self.failed(error)
                raise

    def _must_sync(self) -> bool:
        """Return whether so much waits for a synced commit that the next one has to be one."""
        assert self._space is not None
        assert self._log is not None
        log = self._log
        size = log.unsynced_pages * NODE_SIZE
        if size >= self.most >> 3 or (size >= UNSYNCED_LOG and log.unsynced_commits >= UNSYNCED_COMMITS):
            return True
        waiting = self._space.waiting_bytes(self.header.last_synced)
        return waiting > max(UNSYNCED_LIMBO, self.slot.length // 4)

    def _commit(self, sync: bool) -> None:
        """Write everything out, then the slot."""
        pager, space, log = self.pager, self._space, self._log
        assert space is not None
        assert log is not None
        transaction = pager.transaction
        log.drop_unneeded()
        if self.patches.pending:
            self.tx.raw_written = True
            self.patches.commit(self.region, space, transaction)
        self.tx.catalog_changed = self.tx.catalog_changed or self.patches.changed
        pager.write_blobs()
        apart = log.unsynced_pages >= LOG_APART
        self._place_nodes(0 if apart else 1)
        first_page = log.allocate_page() if apart else pager.spare_page()
        entries = dict(self.entries)
        catalog_changed = self.tx.catalog_changed
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
        if plan.length > self.region.device.size():
            found = f"{self.region.device.size()}"
            raise CorruptRegionError(
                0, f"a file of {plan.length} bytes, as this handle left it", found, self.path
            )
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
        given, since = space.given.blocks(), self.header.last_synced
        try:
            self._publish(slot)
            log.adopt(plan, sync)
            space.commit(transaction, since, sync)
            self.slot, self.committed, self.entries = slot, content, dict(entries)
            self.lengths.append((transaction, slot.length))
            self.patches.committed(content.patches)
            if sync:
                self.patches.synced()
            written_before = self.tx.written_before
            self._new_transaction()
            pager.transaction = transaction + 1
        except BaseException as error:
            self._unpublished(error)
            raise
        self._count_written(written_before)
        self._commit_alarm.cancel()
        if sync:
            self._sync_alarm.cancel()
            with suppress(OSError):
                self._cut_tail(max(TAIL_LEAST, self.region.length // 8))
        elif self.region.device.durable:
            self._sync_alarm.set(UNSYNCED_SECONDS)
        if self.holes.committed(given, space.idle_bytes, space.end):
            self._punch()

    def _count_written(self, before: tuple[int, int]) -> None:
        """Note what a commit has written, given what had been written before it."""
        written = self.region.device.written
        self.wrote = written[0] - before[0], written[1] - before[1]

    def _punch(self) -> None:
        """Punch out the free pages that were free at the last look already.

        As cutting the tail, it only concerns bytes that the next transaction might write to at once.
        """
        assert self._space is not None
        for address, size in self.holes.look(self._space.idle_pages(punching.HOLE_LEAST)):
            end = min(address + size, self.region.length)
            if address < end:
                self.region.device.punch(address, end - address)

    def _digested(self) -> tuple[tuple[int, int], ...]:
        """Return the extents whose digest lets slot and data be synced together; none if that may not be.

        Not after an early write-out or a commit that was not synced: then data that the digest would
        not cover could be missing behind a valid slot.
        """
        if self.tx.wrote_early or not self.slot.synced:
            return ()
        written = self._still_allocated() if self.tx.raw_written else sorted(self.region.written)
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
        written = FreeTree()
        for address, size in self.region.written:
            for begin, length in self._space.fresh_blocks(address, address + size):
                written.discard(begin, begin + length)
                written.insert(begin, length)
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

    # -- the slot --------------------------------------------------------------------------------------

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

    def _promote(self) -> None:
        """Make the newest commit, which was not synced, a synced one.

        The transaction that may be open meanwhile goes on: what it wrote early no slot reaches, and what it
        allocated was free before either commit.
        """
        before = self.region.device.written
        self._sync("the data of a commit could not be synced")
        slot = replace(self.slot, synced=True, boot=bytes(16))
        try:
            self._publish(slot)
            self.slot = slot
            self._settled()
        except BaseException as error:
            self._unpublished(error)
            raise
        self._count_written(before)
        self._sync_alarm.cancel()

    def _settled(self) -> None:
        """Note that what was committed so far is synced: nothing of it is younger than that state."""
        assert self._log is not None
        assert self._space is not None
        self._log.settled()
        self._space.settled()
        self.patches.synced()

    def _publish(self, slot: Slot) -> None:
        """Write a slot and, if it says so, sync."""
        self.header.write(slot)
        if slot.synced:
            self.region.sync()
        self.header.published(slot)

    def _unpublished(self, error: BaseException) -> None:
        """Poison the handle: something went wrong while a slot was written, whatever it was."""
        # The slot may be on the disk or not.
        with suppress(OSError):
            self.header.take_back()
        self._poison("a commit was interrupted while its header slot was written", error)

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

    # -- without being told ----------------------------------------------------------------------------

    def begin(self) -> None:
        """Prepare for the first change of a transaction, which may have to be committed in time."""
        super().begin()
        if self.policy.seconds is not None:
            self._commit_alarm.set(self.policy.seconds)

    def obey(self, policy: Policy) -> None:
        """Commit from now on as a policy says."""
        self.policy = policy
        self.tx.commit_changes = min(policy.changes or 0, MAX_ADDRESS)

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
        if not before:
            self._watch_space()

    def commit_late(self) -> None:
        """Commit what the policy's seconds have run out for; called by the alarm."""
        self._in_background(lambda: self._commit_now(self.policy.sync))
        self._watch_space()

    def sync_late(self) -> None:
        """Sync the newest commit, which was not synced for so long; called by the alarm."""
        self._in_background(self.promote)

    def _in_background(self, work: Callable[[], None]) -> None:
        """Do something between the calls of other threads; what it raises, the next change or close tells."""
        try:
            work()
        except RegionClosedError:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told later
            self._late = error

    # -- room ------------------------------------------------------------------------------------------

    def confine(self, most: int | None, low_space: float, on_low_space: Callable[[], None] | None) -> None:
        """Keep the file below a size, and call when a share of the room there is, is taken."""
        self.most = MAX_ADDRESS if most is None else min(most, MAX_ADDRESS) // REGION_PAGE * REGION_PAGE
        self.region.most = self.most
        self._low_space, self._on_low_space = low_space, on_low_space

    def fit(self, policy: str) -> None:
        """Place what is allocated by a policy, "first" or "best" fit; before the first change."""
        self.best_fit = policy == "best"

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


def alarms(store: Commits) -> tuple[Alarm, Alarm]:
    """Return the alarms of a store, which they do not keep alive."""
    weak = weakref.ref(store)

    def commit() -> None:
        if (alive := weak()) is not None:
            alive.commit_late()

    def sync() -> None:
        if (alive := weak()) is not None:
            alive.sync_late()

    return Alarm(commit), Alarm(sync)
