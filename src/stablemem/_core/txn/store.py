# cython: annotation_typing=False
"""Store: one open region from its opening to its end, and the snapshots that follow it.

The layers below it, each a class over the one before:

    state.py          what is there, and what was committed
    transactions.py   the changes on top, begun and undone
    commits.py        the changes made durable
    compaction.py     the region made smaller
"""

import os
import weakref
from contextlib import suppress
from typing import Any

from ...errors import (
    BlobifyError,
    RegionReplacedError,
    StableMemoryError,
    UncommittedChangesWarning,
    UncommittedMemoryWarning,
)
from ...shown import shown, shown_error, shown_path, shown_text, uncommitted
from ..disk.device import Device
from ..disk.header import Header, newest_number
from ..disk.readers import acquire_newest, look
from ..disk.region import Region
from ..format.slots import Slot
from . import ending
from .commits import alarms
from .compaction import Compaction

__all__ = ["Store"]

PATIENCE = 5.0
"""Seconds that the end of the interpreter waits for another thread's call or transaction block."""


class Store(Compaction):
    """An open region; its arguments are those of State."""

    def __init__(
        self,
        device: Device,
        *,
        writable: bool,
        checksums: bool = True,
        boot: bytes | None = None,
        at: Slot | None = None,
    ) -> None:
        super().__init__(device, writable=writable, checksums=checksums, boot=boot, at=at)
        weak = weakref.ref(self)

        def repair() -> None:
            store = weak()
            if store is not None:
                store.failed(KeyboardInterrupt())

        self.latch.repair = repair
        ending.opened(self)

    # -- snapshots -------------------------------------------------------------------------------------

    def snapshot(self) -> "Store":
        """Return a read-only store on the newest commit, with a descriptor and a map of its own."""
        self.require_open()
        return Store(self.region.device.reopen(), writable=False, checksums=self.checksums, boot=self.boot)

    def refresh(self) -> bool:
        """Move a snapshot to the newest commit; return whether there was a newer one.

        A writer is always at its newest.

        Raises:
            RegionReplacedError: there is none, and there will be none, since the file has lost its name.
        """
        with self.latch.held():
            if self.writable:
                return False
            if not self._is_behind():
                led = self.region.device.name_leads_to()
                # A commit between the two looks is shown first: whoever opens another file misses it else.
                if led == "this" or not self._is_behind():
                    self._require_name(led)
                    return False
            device, header = acquire_newest(self.region.device.reopen(), self.boot, self.slot.transaction)
            self._adopt(device, header)
            return True

    def _is_behind(self) -> bool:
        """Return whether the file has a newer commit than this snapshot's."""
        device = self.region.device
        if newest_number(device) <= self.slot.transaction:
            return False
        return look(device, self.boot).newest.transaction > self.slot.transaction

    def _require_name(self, found: str) -> None:
        """Raise if the name was found to lead to another file, or to none."""
        # The name that was asked for: the path of a symbolic link's file still leads to that file.
        path = shown_path(self.region.device.name or self.path)
        if found == "another":
            raise RegionReplacedError(
                f"{path} was replaced by another file after this handle was opened: the handle shows the "
                f"old file, which gets no more commits; close the handle, and open {path} again"
            )
        if found == "none":
            raise RegionReplacedError(
                f"{path} was removed or renamed after this handle was opened: the handle still shows the old "
                f"contents; close the handle, and open the file by its new name, or make a new file"
            )

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
                    raise BlobifyError(
                        f"the list {shown(name)} is no longer in {shown_path(self.path)}: open the file again"
                    )
                elif name not in self.absent and (ours.blobify, ours.options) != (
                    entries[name].blobify, entries[name].options,
                ):  # fmt: skip
                    raise BlobifyError(
                        f"the list {shown(name)} was made again with blobify "
                        f"{shown(entries[name].blobify)}, not {shown(ours.blobify)}: open the file again"
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

    def pickled(self) -> tuple[Any, ...]:
        """Return what ``open_again`` opens: name, checksums, state, and whether it must be just this state.

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
        return name, self.checksums, self.slot.state(), not self.writable

    # -- ending ----------------------------------------------------------------------------------------

    def close(self, commit: bool = True) -> None:
        """Commit, synced, unless told otherwise; cut the free tail; let go of the file."""
        if self.closed:
            return
        with self.exclusive():
            if self._savepoints:
                raise StableMemoryError("a transaction block is still open: close after the block has ended")
            try:
                if self.writable and not self.forked and not self.failure:
                    if commit:
                        self.commit(True)
                        with suppress(OSError, StableMemoryError):
                            # What is missing then is only the room that it would have given back.
                            self.tidy()
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
                        if self._space is not None:
                            self._punch()
                finally:
                    try:
                        self._end(
                            f"{shown_path(self.path)} is closed: open it again"
                            if self.path
                            else "this region in memory is closed, and its contents are gone: make a new one"
                        )
                    finally:
                        # Also after an interrupt: other threads may be waiting already.
                        self.latch.leave()
        if late is not None:
            raise StableMemoryError(
                f"a commit in the background failed ({shown_error(late)}), and the changes that it should "
                "have committed were rolled back: open the file again, and make the changes again"
            ) from late

    def _end(self, why: str) -> None:
        """Let go of everything."""
        self._commit_alarm.stop()
        self._sync_alarm.stop()
        self.latch.closed = why
        self.pager.discard()
        self._new_transaction()
        self.region.close()
        ending.OPEN.discard(self)

    def __del__(self) -> None:
        # One that outlives the modules of the program has been ended, and so has ``ending``.
        if getattr(self, "pager", None) is not None and not self.closed:
            ending.collected(self)

    def settle(self, well: bool) -> None:
        """Keep other threads out, since the process ends; if it ends well, commit as the policy does."""
        if self.closed or self._pid != os.getpid() or not self.latch.keep(PATIENCE):
            return
        if well and self.writable and self.policy.by_itself and not self._savepoints and self._late is None:
            try:
                self._commit_now(True)
            except Exception as error:  # noqa: BLE001 - whatever it is, close() or drop() tells
                self._late = error

    def drop(self, well: bool | None = None, leave: bool = False) -> None:
        """End a handle that nobody has closed: uncommitted changes are lost, with a warning.

        Args:
            well: whether the process ends well, if it ends.
            leave: leave the end to the kernel, since the process ends at once: threads may read until then.
        """
        if self.closed or self._pid != os.getpid():
            return
        lost = self._lost(well) if self.writable else ""
        when = "nothing referred to it any more" if well is None else "the interpreter ended"
        where = shown_path(self.path)
        if not leave:
            self._end(f"{where} was not closed, and this handle ended when {when}: open it again")
        if lost:
            ending.warn(lost, UncommittedChangesWarning if self.path else UncommittedMemoryWarning)

    def _lost(self, well: bool | None) -> str:
        """Return what to say of the changes that end with this handle; empty if there are none."""
        happened = "was dropped" if well is None else "was still open when the interpreter ended,"
        places = self._places() if self.path else ""
        said = f"{shown_path(self.path, 'a list in memory')}{places} {happened}"
        remedy = "use it in a with statement, or call commit() or close()"
        if self.changes:
            said += f" with {uncommitted(self.changes)}, which {'are' if self.changes > 1 else 'is'} lost: "
            if self._savepoints:
                return f"{said}a transaction block was still open: end the block, then close the handle"
            said += remedy
            if well is False and self.policy.by_itself:
                said += "; it commits at the end of a program only if no exception has ended the program"
            return said
        if self._late is None:
            return ""
        why = ", ".join(map(shown_text, [str(self._late), *getattr(self._late, "__notes__", [])]))
        return f"{said} after a commit that failed, and its changes are lost ({why}): {remedy}"

    def _places(self) -> str:
        """Return the lists that have uncommitted changes, to be put behind the file's name."""
        before = {name: entry.tree for name, entry in self.committed.lists.items()}
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
        """Become, in the child of a fork, a snapshot of the newest commit.

        The child shares the writer's descriptors: it closes its copies, and neither syncs nor unlocks.
        """
        self._pid = os.getpid()
        closed = self.latch.closed
        self.latch.reset()
        if closed or not self.writable:
            return
        self.forked, self.writable = True, False
        self._commit_alarm, self._sync_alarm = alarms(self)
        self._space = self._log = None
        self._savepoints = 0
        catalog_changed = self.tx.catalog_changed
        self._broken, self._late = False, None
        old = self.region
        self.pager.discard()
        self._new_transaction()
        try:
            if catalog_changed:
                self.absent |= self.entries.keys() - self.committed.lists.keys()
            device, header = acquire_newest(old.device.reopen(), self.boot, 0)
            self._adopt(device, header)
        except BaseException as error:  # noqa: BLE001 - nobody is there to catch it in a fork hook
            old.close()
            self.latch.closed = f"the region could not be read after a fork ({error}): open it again"
