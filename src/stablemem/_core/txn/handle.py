# cython: annotation_typing=False
"""Handle: one open region, from its opening to its end.

    Handle        opening .. end     the latch, the open lists, when to commit, forks
      State       one commit         the contents of the region: all that a reader has
      Writer      recovery .. end    the free space; there is no writer before the first change
      Transaction  .. commit         the changes; idle before the first change

After an error, the transaction is dropped, and also the writer if its memory cannot be trusted.
"""

import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from ...errors import (
    ReadOnlyError,
    RegionClosedError,
    RegionFullError,
    StableMemoryError,
    UncommittedChangesWarning,
    UncommittedMemoryWarning,
    VersionError,
)
from ...layout import MAX_ADDRESS
from ...shown import shown, shown_error, shown_path, shown_text, uncommitted
from ..disk.device import Device
from ..disk.header import Header, boot_id
from ..disk.readers import acquire, acquire_newest
from ..disk.region import Io, Region
from ..format.catalog import KIND_WORDS, LIST, Entry, Root
from ..format.slots import Slot
from ..space.freespace import FreeSpace
from ..space.spacemap import replay
from ..tree.index import Index
from ..tree.pager import Pager
from . import ending
from .alarm import Alarm
from .commit import commit, double, promote, say_done
from .compaction import tidy
from .latch import Latch, Owned
from .patches import Patches
from .policy import UNSYNCED_SECONDS, Policy
from .room import Room
from .snapshots import newer, still_absent
from .state import State
from .transaction import Transaction, write_early
from .writer import Writer, recover

__all__ = ["Handle"]

PATIENCE = 5.0
"""Seconds that the end of the interpreter waits for a call or a transaction block of another thread."""


ROLLED_BACK = "an error has rolled back the whole transaction block: leave the block, and begin another"


class OpenBlock(Protocol):
    """The part of a transaction block (block.py) that a handle uses."""

    broken: str

    def cancel(self, why: str) -> None:
        """Undo the block, and the blocks that were begun inside it."""


class Handle:
    """An open region.

    Args:
        device: has the bytes of the region; the handle owns it. For a writer, it already holds the writer
            lock.
        writable: whether this is the only writer of the region; else it is a snapshot of the newest commit.
        checksums: whether blobs are verified at each read.
        io: how bytes are read.
        boot: the id of this boot; None asks the kernel.
        at: the commit to read, for a snapshot; None for the newest.

    Attributes:
        latch: lets one thread at a time in.
        pager: the nodes and blobs.
        header: the slots.
        state: the newest commit that this handle knows.
        tx: the transaction, begun or idle.
        writer: None before the first change, and for a reader.
        patches: the stores into raw blocks that are not in place yet.
        indexes: the lists opened so far, by name.
        absent: names of the lists that a snapshot shows as empty although they were never committed.
        blocks: the open transaction blocks, the innermost last.
        policy: when the handle commits by itself; ``obey`` sets it.
        room: how long the file may become.
        best_fit: whether blocks are placed by best fit, not by first fit.
        background_error: the exception of a commit in the background, until it has been reported.
        forked: whether this is the copy of a writer in the child of a fork.
        wrote: bytes and runs that the last commit wrote, including the slot.
        packed: number of the commit at which a compaction had nothing left to move.

    Raises:
        NotARegionError, VersionError, CorruptRegionError, ReadOnlyError: as in Header.
    """

    __slots__ = (
        "__weakref__", "_must_undo", "_pid", "absent", "background_error", "best_fit", "blocks", "boot",
        "commit_alarm", "forked", "header", "indexes", "latch", "packed", "pager", "patches", "policy",
        "room", "state", "sync_alarm", "tx", "writable", "writer", "wrote",
    )  # fmt: skip

    def __init__(
        self,
        device: Device,
        *,
        writable: bool,
        checksums: bool = True,
        io: Io = "map",
        boot: bytes | None = None,
        at: Slot | None = None,
    ) -> None:
        self.boot = boot_id() if boot is None else boot
        self.latch = Latch()
        self.writable = writable
        self.writer: Writer | None = None
        self.indexes: dict[str, Index] = {}
        self.absent: set[str] = set()
        self.blocks: list[OpenBlock] = []
        self.policy = Policy()
        self.room = Room()
        self.best_fit = False
        self.background_error: BaseException | None = None
        self.forked = False
        self.wrote = (0, 0)
        self.packed = 0
        self._must_undo = False
        self._pid = os.getpid()
        self.commit_alarm, self.sync_alarm = _alarms(self)
        try:
            if writable:
                self.header = Header(device, self.boot)
                self.header.require_writable()
            elif at is not None:
                self.header = acquire(device, self.boot, at)
            else:
                device, self.header = acquire_newest(device, self.boot, 0)
            region = Region(device, shared_lock=not writable, io=io)
            region.set_limit(self.header.newest.length)
            self.pager = Pager(region, FreeSpace(), checksums)
            self.state = State.read(region, self.header.newest)
            self.patches = Patches(self.state.patches)
            self.tx = self.idle({})
        except BaseException:
            device.close()
            raise
        self.latch.repair = _repair(self)
        ending.opened(self)

    # -- looking ---------------------------------------------------------------------------------------

    @property
    def region(self) -> Region:
        """The bytes of the region."""
        region: Region = self.pager.region
        return region

    @property
    def path(self) -> str:
        """The name of the file; empty for a region in memory."""
        return self.region.path

    @property
    def closed(self) -> bool:
        """Whether the handle has ended."""
        return bool(self.latch.closed)

    @property
    def failure(self) -> str:
        """Why the handle takes no more changes; empty while it does."""
        return self.header.failure

    @property
    def changes(self) -> int:
        """Number of changes since the last commit."""
        count: int = self.tx.changes
        return count

    @property
    def slot(self) -> Slot:
        """The slot of the newest commit."""
        return self.state.slot

    @property
    def entries(self) -> dict[str, Entry]:
        """The lists that exist now, with the committed tree of each."""
        return self.tx.entries

    @property
    def roots(self) -> dict[str, Root]:
        """The roots that exist now."""
        return self.tx.roots

    @property
    def space(self) -> FreeSpace:
        """The free space: the writer's if there is one, else read from the log."""
        return self.writer.space if self.writer is not None else replay(self.region, self.slot)[0]

    def index(self, name: str) -> Index:
        """Return the list with a name that is in the catalog.

        Raises:
            VersionError: another kind of structure has this name.
        """
        if name not in self.indexes:
            self.require_list(name)
            self.indexes[name] = Index(self.pager, *self.entries[name].tree)
        return self.indexes[name]

    def require_list(self, name: str) -> None:
        """Raise if the structure with a name in the catalog is of a kind that this version cannot use."""
        kind = self.entries[name].kind
        if kind != LIST:
            what = f"a {KIND_WORDS[kind]}" if kind in KIND_WORDS else f"a structure of kind {kind}"
            raise VersionError(
                f"{shown(name)} in {shown_path(self.path)} is {what}, which this version of stablemem cannot "
                f"use: use a later version for it; the lists of the file can be used with this one"
            )

    def require_open(self) -> None:
        """Raise if the handle has ended."""
        if self.latch.closed:
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
        if self.background_error is not None:
            error, self.background_error = self.background_error, None
            raise StableMemoryError(
                f"a commit in the background failed ({shown_error(error)}), and the changes that it should "
                "have committed were rolled back: make the changes again"
            ) from error
        if self.blocks and self.blocks[-1].broken:
            raise StableMemoryError(self.blocks[-1].broken)
        if self.failure:
            raise StableMemoryError(
                f"{shown_path(self.path)} takes no more changes through this handle, because "
                f"{self.failure}: close it and open it again, which recovers the last commit"
            )

    # -- the catalog -----------------------------------------------------------------------------------

    def add(self, name: str, blobify: str, options: bytes) -> None:
        """Put a new, empty list into the catalog, at the next commit."""
        self.require_writable()
        self.tx.add(name, blobify, options)

    def add_absent(self, name: str, blobify: str, options: bytes) -> None:
        """Let a snapshot show a list that was never committed: it is empty until a refresh finds it."""
        self.entries[name] = Entry(blobify, options)
        self.absent.add(name)

    def drop_list(self, name: str) -> None:
        """Delete a list and all its values, at the next commit; the caller is inside a change."""
        self.index(name).clear()
        self.tx.drop_list(name)

    def set_root(self, name: str, numbers: Root | None) -> None:
        """Set a root, or delete it, at the next commit; the caller is inside a change."""
        self.tx.set_root(name, numbers)

    # -- choices of the user ---------------------------------------------------------------------------

    def obey(self, policy: Policy) -> None:
        """From now on, commit as a policy says."""
        self.policy = policy
        self.tx.commit_changes = min(policy.changes or 0, MAX_ADDRESS)

    def confine(self, most: int | None, low_space: float, on_low_space: Callable[[], None] | None) -> None:
        """Limit the file to a size, and call when a share of the room is used; before the first change."""
        self.room = Room(most, low_space, on_low_space)
        self.region.most = self.room.most

    def fit(self, policy: str) -> None:
        """Allocate by "first" or "best" fit; before the first change."""
        self.best_fit = policy == "best"

    def watch_room(self) -> None:
        """Call the function of the user if little room is left, once each time."""
        if self.writer is not None and not self.closed:
            self.room.watch(self.writer.space, self.region, self.pager.pending_bytes)

    # -- the transaction -------------------------------------------------------------------------------

    def idle(self, added: dict[str, Entry]) -> Transaction:
        """Return a new transaction on the newest commit; the lists in ``added`` are not in that commit."""
        limit = min(self.policy.changes or 0, MAX_ADDRESS)
        tx = Transaction(self.state, self.pager, self.indexes, limit, added)
        tx.catalog_changed = self.writable and (bool(added) or self.patches.changed)
        return tx

    def begin(self) -> Writer:
        """Begin the transaction, unless it has begun; return the writer. The caller is inside the latch."""
        if self.writer is not None and self.tx.begun:
            return self.writer
        self.require_writable()
        if self._must_undo:
            self.undo(True)
        try:
            if self.writer is None:
                writer = recover(
                    self.header, self.region, self.state, self.patches, self.room.most, self.best_fit
                )
                self.pager.space = writer.space
                # Last, because with a writer the handle counts as recovered.
                self.writer = writer
            self.writer.begin(self.tx)
        except BaseException as error:
            self.undo(not _is_refusal(error))
            raise
        if self.policy.seconds is not None:
            self.commit_alarm.set(self.policy.seconds)
        return self.writer

    def write_early(self) -> None:
        """Write pending blobs, and dirty nodes beyond their budget."""
        with self.latch.held():
            try:
                self.write_early_in_change()
            except BaseException as error:
                self.failed(error)
                raise

    def write_early_in_change(self) -> None:
        """Do the same as ``write_early``, for a caller inside a change, which must undo it after an error."""
        write_early(self.tx)

    def write_no_digest(self) -> None:
        """Forget the list of written runs, because there are too many for a digest."""
        self.tx.wrote_early = True
        self.region.written = []

    def exclusive(self) -> Owned:
        """Return a context that keeps out changes of other threads during a block of calls."""
        return Owned(self.latch)

    # -- undo ------------------------------------------------------------------------------------------

    def failed(self, error: BaseException) -> None:
        """Undo the whole transaction after an error inside a change; the caller is inside the latch."""
        # After a commit of which only the last step failed, nothing is lost.
        lost = self.changes if self.writer is None or self.writer.state is self.state else 0
        for block in self.blocks:
            block.broken = ROLLED_BACK
        self.undo(not _is_refusal(error))
        if isinstance(error, RegionFullError) and not self.failure and self.writer is not None:
            # The bytes written before the disk was full are of no use, and deleting needs their room.
            with suppress(OSError):
                self.writer.cut_tail()
        if lost:
            error.add_note(f"{uncommitted(lost)} {'were' if lost > 1 else 'was'} rolled back")

    def rollback(self) -> None:
        """Forget the changes since the last commit."""
        with self.latch.held():
            if self.blocks:
                raise StableMemoryError(
                    "rollback() cannot be called in a transaction block: to undo the block, raise an "
                    "exception in it"
                )
            try:
                self.undo(False)
            except BaseException as error:
                self.failed(error)
                raise

    def doom(self) -> None:
        """Let the next change or commit undo all since the last commit: now, a call is still running."""
        for block in self.blocks:
            block.broken = ROLLED_BACK
        self._must_undo = True
        self.tx.begun = False

    def undo(self, forget: bool) -> None:
        """Return to the newest commit, with a new transaction.

        Args:
            forget: whether the writer may be half changed: then the next change makes a new one from the log.
        """
        self._must_undo = True
        self.tx.begun = False
        if self.writer is not None:
            # This is newer than the handle's state if an interrupt came right after a commit.
            self.state = self.writer.state
        if forget:
            self.writer = None
            self.patches = Patches(self.state.patches)
        self.pager.discard()
        if self.writer is not None:
            self.writer.undo()
        else:
            self.patches.rollback()
        lists = self.state.lists
        # Lists made since then stay, empty, with their open objects.
        self.tx = self.idle({name: entry for name, entry in self.entries.items() if name not in lists})
        for name, index in self.indexes.items():
            index.restore(self.entries[name].tree)
        self._must_undo = False

    # -- committing ------------------------------------------------------------------------------------

    def commit(self, sync: bool = True) -> None:
        """Commit the changes so far in one atomic step.

        Args:
            sync: True returns when the commit survives a power cut; False when it survives the death of
                this process.

        Raises:
            OSError: the disk failed or is full; the transaction was rolled back.
            StableMemoryError: inside a transaction block, or an earlier sync failed.
        """
        self.commit_now(sync)
        self.watch_room()

    def commit_now(self, sync: bool) -> None:
        """Commit if there is anything to commit."""
        with self.latch.held():
            if self.blocks:
                raise StableMemoryError(
                    "commit() cannot be called in a transaction block, because the block commits at its "
                    "end: leave commit() out"
                )
            if self._must_undo:
                self.undo(True)
            changed = self.tx.changes or self.tx.catalog_changed
            if (
                not changed
                and self.background_error is None
                and (self.slot.synced or not sync or not self.writable)
            ):
                return
            self.require_writable()
            try:
                writer = self.begin()
                if changed:
                    self.commit_begun(writer, sync or writer.must_sync())
                else:
                    self._promote(writer)
                    self.tx = self.idle({})
            except BaseException as error:
                self.failed(error)
                raise

    def commit_begun(self, writer: Writer, sync: bool) -> None:
        """Commit a transaction that has begun, with or without changes; the caller is inside the latch."""
        tx = self.tx
        self.state = commit(writer, tx, sync)
        self.tx = self.idle({})
        self._count_written(tx.written_before)
        self.commit_alarm.cancel()
        if sync:
            self.sync_alarm.cancel()
        elif self.region.device.durable:
            self.sync_alarm.set(UNSYNCED_SECONDS)

    def promote(self) -> None:
        """Promote the newest commit if it is unsynced; changes since then do not matter."""
        with self.latch.held():
            if self.slot.synced or self.failure or self.writer is None:
                return
            try:
                self._promote(self.writer)
            except BaseException as error:
                self.failed(error)
                raise

    def _promote(self, writer: Writer) -> None:
        """Make the newest commit, which is unsynced, a synced one."""
        before = self.region.device.written
        self.state = promote(writer)
        self._count_written(before)
        self.sync_alarm.cancel()

    def _count_written(self, before: tuple[int, int]) -> None:
        """Note how much a commit has written, given how much had been written before it."""
        written = self.region.device.written
        self.wrote = written[0] - before[0], written[1] - before[1]

    # -- automatic commits -----------------------------------------------------------------------------

    def relieve(self) -> None:
        """Do the work that is due after a change: commit if the policy says so, or else write out early."""
        before = self.latch.own()
        try:
            # If a block of calls holds the handle, its end commits.
            if not before and self.policy.changes is not None and self.changes >= self.policy.changes:
                self.commit(self.policy.sync)
            elif self.pager.is_full():
                self.write_early()
        finally:
            self.latch.disown()
        if not before:
            self.watch_room()

    def commit_late(self) -> None:
        """Commit, because the seconds of the policy are over; called by the alarm."""
        self._in_background(lambda: self.commit_now(self.policy.sync))
        self.watch_room()

    def sync_late(self) -> None:
        """Promote the newest commit, because it has been unsynced for too long; called by the alarm."""
        self._in_background(self.promote)

    def _in_background(self, work: Callable[[], None]) -> None:
        """Do something between the calls of other threads; the next change or close reports its exception."""
        try:
            work()
        except RegionClosedError:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told later
            self.background_error = error

    # -- snapshots -------------------------------------------------------------------------------------

    def snapshot(self) -> "Handle":
        """Return a reader of the newest commit, with its own descriptor; it reads as this handle does."""
        self.require_open()
        return Handle(
            self.region.device.reopen(),
            writable=False,
            checksums=self.pager.checksums,
            io=self.region.io,
            boot=self.boot,
        )

    def refresh(self) -> bool:
        """Move a snapshot to the newest commit; return whether there was a newer one.

        A writer is always at the newest commit.

        Raises:
            RegionReplacedError: there is no newer commit, and there will be none, because the file has lost
                its name.
        """
        with self.latch.held():
            if self.writable:
                return False
            found = newer(self.region.device, self.boot, self.slot.transaction)
            if found is None:
                return False
            self._move_to(*found)
            return True

    def _move_to(self, device: Device, header: Header) -> None:
        """Become a reader of the newest commit in a header, on another device."""
        old, before = self.region, self.entries
        try:
            region = Region(device, shared_lock=True, io=old.io)
            region.set_limit(header.newest.length)
            self.pager.rebase(region)
            state = State.read(region, header.newest)
            absent = still_absent(state, before, self.indexes.keys(), self.absent, self.path)
            patches = Patches(state.patches)
        except BaseException:
            self.pager.rebase(old)
            device.close()
            raise
        self.header, self.state, self.patches, self.absent = header, state, patches, absent
        self.tx = self.idle({name: before[name] for name in absent})
        for name, index in self.indexes.items():
            index.restore(self.entries[name].tree)
        old.close()

    def pickled(self) -> tuple[Any, ...]:
        """Return the arguments of ``open_again``: name, checksums, state, whether exactly this one, io.

        Raises:
            StableMemoryError: there are changes that another process would not see.
        """
        path = shown_path(self.path)
        if self.changes:
            raise StableMemoryError(
                f"{path} has {uncommitted(self.changes)}, which another process would not see: "
                f"call commit() before you pickle"
            )
        name = self.region.device.name or os.path.abspath(self.path)
        return name, self.pager.checksums, self.slot.state(), not self.writable, self.region.io

    # -- ending ----------------------------------------------------------------------------------------

    def close(self, commit: bool = True) -> None:
        """Commit, synced, unless ``commit`` is False; cut the free tail; close the file."""
        if self.closed:
            return
        with self.exclusive():
            if self.closed:
                # Another thread has closed it while this one waited.
                return
            try:
                if self.blocks:
                    self.blocks[0].cancel("the region was closed in a transaction block, which was undone")
                if self.writable and not self.failure:
                    if commit:
                        self.commit(True)
                        with suppress(OSError, StableMemoryError):
                            # After an error, only the room is missing that it would have given back.
                            tidy(self)
                    else:
                        self.rollback()
            finally:
                error, self.background_error = self.background_error, None
                self.latch.enter()
                try:
                    # Within the latch: a reader of another thread may be mapping the file just now.
                    if self.writable and not self.failure and self.writer is not None:
                        double(self.writer)
                        self.writer.cut_tail()
                        self.writer.punch()
                        say_done(self.writer)
                finally:
                    try:
                        self.end(
                            f"{shown_path(self.path)} is closed: open it again"
                            if self.path
                            else "this region in memory is closed, and its contents are gone: make a new one"
                        )
                    finally:
                        # Also after an interrupt: other threads may be waiting already.
                        self.latch.leave()
        if error is not None:
            raise StableMemoryError(
                f"a commit in the background failed ({shown_error(error)}), and the changes that it should "
                "have committed were rolled back: open the file again, and make the changes again"
            ) from error

    def end(self, why: str) -> None:
        """Let go of everything; each later call raises with ``why``."""
        let_go(self, why)

    def __del__(self) -> None:
        # A handle that outlives the modules of the program has been ended, and ``ending`` is gone.
        if getattr(self, "tx", None) is not None and not self.closed:
            ending.collected(self)

    def settle(self, well: bool) -> None:
        """Keep other threads out, because the process ends; if it ends well, commit if the policy does."""
        if self.closed or self._pid != os.getpid() or not self.latch.keep(PATIENCE):
            return
        by_itself = self.writable and self.policy.by_itself
        if well and by_itself and not self.blocks and self.background_error is None:
            try:
                self.commit_now(True)
            except Exception as error:  # noqa: BLE001 - whatever it is, close() or drop() tells
                self.background_error = error

    def drop(self, well: bool | None = None, leave: bool = False) -> None:
        """End a handle that nobody has closed: uncommitted changes are lost, with a warning.

        Args:
            well: whether the process ends well, if it ends.
            leave: whether the kernel ends the handle, because the process ends at once; threads may read
                until then.
        """
        if self.closed or self._pid != os.getpid():
            return
        lost = self._lost(well) if self.writable else ""
        when = "nothing referred to it any more" if well is None else "the interpreter ended"
        where = shown_path(self.path)
        if not leave:
            self.end(f"{where} was not closed, and this handle ended when {when}: open it again")
        if lost:
            ending.warn(lost, UncommittedChangesWarning if self.path else UncommittedMemoryWarning)

    def _lost(self, well: bool | None) -> str:
        """Return the warning about the changes that are lost with this handle; empty if there are none."""
        happened = "was dropped" if well is None else "was still open when the interpreter ended,"
        places = self._places() if self.path else ""
        said = f"{shown_path(self.path, 'a list in memory')}{places} {happened}"
        remedy = "use it in a with statement, or call commit() or close()"
        if self.changes:
            said += f" with {uncommitted(self.changes)}, which {'are' if self.changes > 1 else 'is'} lost: "
            if self.blocks:
                return f"{said}a transaction block was still open: end the block, then close the handle"
            said += remedy
            if well is False and self.policy.by_itself:
                said += "; it commits at the end of a program only if no exception has ended the program"
            return said
        error = self.background_error
        if error is None:
            return ""
        why = ", ".join(map(shown_text, [str(error), *getattr(error, "__notes__", [])]))
        return f"{said} after a commit that failed, and its changes are lost ({why}): {remedy}"

    def _places(self) -> str:
        """Return the names of the lists that have uncommitted changes, to follow the name of the file."""
        before = {name: entry.tree for name, entry in self.state.lists.items()}
        names = [
            name
            for name, index in self.indexes.items()
            if index.state() != before.get(name, (0, 0, 0, 0)) and name not in self.absent
        ]
        if not names:
            return ""
        first = ", ".join(shown(name) for name in names[:3])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f" (list{'s' if len(names) > 1 else ''} {first}{more})"

    # -- forks -----------------------------------------------------------------------------------------

    def after_fork(self) -> None:
        """Become a snapshot of the newest commit, in the child of a fork.

        The child shares the writer's descriptors. It closes its copies, and neither syncs nor unlocks.
        """
        self._pid = os.getpid()
        closed = self.latch.closed
        self.latch.reset()
        if closed or not self.writable:
            return
        self.forked, self.writable = True, False
        self.commit_alarm, self.sync_alarm = _alarms(self)
        self.writer, self.background_error = None, None
        self.blocks.clear()
        old = self.region
        self.pager.discard()
        added = {name: entry for name, entry in self.entries.items() if name not in self.state.lists}
        try:
            self.absent |= added.keys()
            self.tx = self.idle(added)
            device, header = acquire_newest(old.device.reopen(), self.boot, 0)
            self._move_to(device, header)
        except BaseException as error:  # noqa: BLE001 - nobody is there to catch it in a fork hook
            old.close()
            self.latch.closed = f"the region could not be read after a fork ({error}): open it again"


def let_go(handle: Handle, why: str) -> None:
    """End a handle; nothing in it can be used any more."""
    handle.commit_alarm.stop()
    handle.sync_alarm.stop()
    handle.latch.closed = why
    handle.pager.discard()
    handle.region.close()
    handle.tx = handle.idle({})
    ending.OPEN.discard(handle)


def _is_refusal(error: BaseException) -> bool:
    """Return whether an error comes from this package or from the kernel, and so leaves nothing half done.

    Any other error may have come anywhere: an interrupt, no memory, an exception in a signal handler.
    """
    return isinstance(error, StableMemoryError) or (isinstance(error, OSError) and error.errno is not None)


def _repair(handle: Handle) -> Callable[[], None]:
    """Return a function that undoes an interrupted change, and does not keep the handle alive."""
    weak = weakref.ref(handle)

    def repair() -> None:
        if (alive := weak()) is not None:
            alive.failed(KeyboardInterrupt())

    return repair


def _alarms(handle: Handle) -> tuple[Alarm, Alarm]:
    """Return the alarms of a handle; they do not keep the handle alive."""
    weak = weakref.ref(handle)

    def commit() -> None:
        if (alive := weak()) is not None:
            alive.commit_late()

    def sync() -> None:
        if (alive := weak()) is not None:
            alive.sync_late()

    return Alarm(commit), Alarm(sync)
