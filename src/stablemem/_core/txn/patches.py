"""Patches: stores into raw blocks of a committed state, kept beside the blocks until they may be overwritten.

    store in T           pending: in memory; every read lays it over the old bytes
    commit of T          listed: in a block of its own, which the catalog of T and of later commits names
    begin of a later X   written in place, if no kept slot and no snapshot is older than T: each of them
                         lays the patch over the old bytes
    after X is synced    off the list with the next commit: the bytes in place are on the disk

Invariants:

* Pending and listed patches are entries of one ``Ranges``, so they do not overlap.
* Every byte of a listed patch is allocated as raw; ``drop`` is called before a raw byte is freed.
* Writing in place twice does no harm: each handle does it again until one has synced it.
* A patch that the newest commit lists is in one of ``_waiting``, ``_placed`` and ``_durable``. These three
  say what is in the file, so no rollback changes them. They may also have patches that are not listed any
  more.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from ...errors import CorruptRegionError, RegionFullError
from ...layout import BLOB_PAGE, NODE_SIZE, RAW_PAGE
from ..disk.region import Region
from ..format.catalog import Patch
from ..format.checksum import page_checksum
from ..space.freespace import FreeSpace
from .ranges import Ranges

__all__ = ["Patches", "Pending"]

MOST = 1 << 30
"""The most bytes in one patch; a larger store makes several."""

VIEW_LEAST, VIEW_SHARE = 256, 8
"""The rest of a store is copied if it has fewer than VIEW_LEAST bytes, or less than a VIEW_SHARE-th of it."""

FORGOTTEN = 64
"""Patches that may be remembered, though not listed any more, beyond twice the number of listed ones."""

Data = bytes | memoryview


class Pending(NamedTuple):
    """The patches at one moment of a transaction, for returning to a savepoint."""

    now: Ranges
    pending: int
    changed: bool


class Patches:
    """The patches of one handle. O(n log n) to make.

    Args:
        committed: the list of the newest commit.

    Attributes:
        pending: number of pieces that the open transaction stored into blocks that it did not allocate.
        changed: whether the list differs from that of the newest commit.
    """

    def __init__(self, committed: tuple[Patch, ...]) -> None:
        self._committed = committed
        self._then = Ranges([(patch.address, patch.address + patch.size, patch) for patch in committed])
        # For each range, the bytes that the transaction has stored there, or the listed patch.
        self._now = self._then.copy()
        self.pending = 0
        self.changed = False
        self._made: list[Patch] = []
        # In the order of the transactions that made them.
        self._waiting = deque(sorted(committed, key=lambda patch: patch.transaction))
        self._placed: list[Patch] = []
        self._durable: list[Patch] = []
        self._leaving = 0
        self._verified: set[Patch] = set()

    def __bool__(self) -> bool:
        return len(self._now) > 0

    @property
    def listed(self) -> tuple[Patch, ...]:
        """The patches that the catalog names, or will name with the next commit, by address."""
        if not self.changed:
            return self._committed
        return tuple(what for _, _, what in self._now if isinstance(what, Patch))

    # -- reading -------------------------------------------------------------------------------------

    def covers(self, address: int, size: int) -> bool:
        """Return whether a patch lies over a range, or over a part of it."""
        return bool(self._now.over(address, address + size))

    def load(self, region: Region, address: int, size: int) -> bytes:
        """Return a copy of raw bytes, with the patches over them. O(log n + size)."""
        content = region.load(address, size)
        found = self._now.over(address, address + size) if self else []
        if not found:
            return content
        patched = bytearray(content)
        for at, stop, what in found:
            low, high = max(at, address), min(stop, address + size)
            patched[low - address : high - address] = self._bytes(region, at, what, low, high)
        return bytes(patched)

    def _bytes(self, region: Region, address: int, what: Patch | Data, low: int, high: int) -> Data:
        """Return the bytes from ``low`` to ``high`` of the entry at an address."""
        if not isinstance(what, Patch):
            return what[low - address : high - address]
        if what in self._verified:
            return region.load(what.data + low - address, high - low)
        data = region.load(what.data, what.size)
        found = page_checksum(data)
        if found != what.check:
            raise CorruptRegionError(
                what.data, f"a patch of checksum {what.check:016x}", f"{found:016x}", region.path
            )
        if what.size > NODE_SIZE:
            # Once only, as for a node: reading a part must not cost a check of the whole each time.
            self._verified.add(what)
        return data[low - address : high - address]

    # -- changing ------------------------------------------------------------------------------------

    def put(self, region: Region, space: FreeSpace, address: int, data: bytes) -> None:
        """Lay bytes over a range. O(log n), and as much again for each entry that it meets."""
        before = self._now.replace(address, address + len(data), data)
        if before is None:
            self.drop(region, space, address, len(data))
            self._add(address, data)
        elif isinstance(before, Patch):
            self.pending += 1
            self._unlist(region, space, before)

    def _add(self, address: int, data: Data) -> None:
        """Lay bytes over a range where no entry lies."""
        self._now.add(address, address + len(data), data)
        self.pending += 1

    def drop(self, region: Region, space: FreeSpace, address: int, size: int) -> None:
        """Forget the entries over a range. If an entry extends beyond the range, the rest stays, as pending.

        O(log n) for each entry that it meets.
        """
        stop = address + size
        for at, end, what in self._now.take(address, stop):
            if at < address:
                self._add(at, self._rest(region, at, what, at, address))
            if end > stop:
                self._add(stop, self._rest(region, at, what, stop, end))
            if isinstance(what, Patch):
                self._unlist(region, space, what)
            else:
                self.pending -= 1

    def _rest(self, region: Region, address: int, what: Patch | Data, low: int, high: int) -> Data:
        """Return the bytes from ``low`` to ``high`` of a dropped entry, which are to stay."""
        if isinstance(what, Patch):
            return self._bytes(region, address, what, low, high)
        return _part(what, low - address, high - address)

    def _unlist(self, region: Region, space: FreeSpace, patch: Patch) -> None:
        """Note that a patch is not listed any more, and free its block."""
        self.changed = True
        self._verified.discard(patch)
        fault = space.fault_of(BLOB_PAGE, patch.data, patch.size)
        if fault:
            raise CorruptRegionError(patch.data, "the bytes of a patch", fault, region.path)
        space.free_range(patch.data, patch.size)

    # -- transactions --------------------------------------------------------------------------------

    def rollback(self) -> None:
        """Return to the list of the newest commit."""
        self._now = self._then.copy()
        self._made = []
        self._leaving = self.pending = 0
        self.changed = False

    def mark(self) -> Pending:
        """Return the present state, for ``undo_to``."""
        return Pending(self._now.copy(), self.pending, self.changed)

    def undo_to(self, mark: Pending) -> None:
        """Return to a mark, once."""
        self._now, self.pending, self.changed = mark

    def begin(
        self, region: Region, space: FreeSpace, floor: int, oldest_reader: Callable[[int], int | None]
    ) -> None:
        """Unlist the patches that are durably in place; write those in place that all needed states include.

        Args:
            region: where to write.
            space: where the block of a patch that leaves the list is freed.
            floor: the oldest transaction among the header slots that the next commit keeps.
            oldest_reader: returns the oldest snapshot below a transaction number, or None.
        """
        for patch in self._durable:
            if self._is_listed(patch):
                self._now.take(patch.address, patch.address + patch.size)
                self._unlist(region, space, patch)
        self._leaving = len(self._durable)
        allowed = -1
        full: list[Patch] = []
        try:
            while self._waiting:
                patch = self._waiting[0]
                if patch.transaction != allowed:
                    if patch.transaction > floor or oldest_reader(patch.transaction) is not None:
                        break
                    allowed = patch.transaction
                if self._is_listed(patch) and not self._place(region, space, patch):
                    full.append(patch)
                self._waiting.popleft()
        finally:
            self._waiting.extendleft(reversed(full))

    def _is_listed(self, patch: Patch) -> bool:
        """Return whether a patch is on the list now."""
        found = self._now.over(patch.address, patch.address + 1)
        return bool(found) and found[0][2] == patch

    def _place(self, region: Region, space: FreeSpace, patch: Patch) -> bool:
        """Write a patch in place; return False if the disk has no room."""
        fault = space.fault_of(RAW_PAGE, patch.address, patch.size)
        if fault:
            raise CorruptRegionError(patch.address, "raw bytes under a patch", fault, region.path)
        # Raw bytes that were never written may need room that the disk does not have. Then the patch stays,
        # because an error here would stop every change, deletions too.
        with suppress(RegionFullError):
            stop = patch.address + patch.size
            region.write(patch.address, self._bytes(region, patch.address, patch, patch.address, stop))
            self._placed.append(patch)
            return True
        return False

    def commit(self, region: Region, space: FreeSpace, transaction: int) -> None:
        """Write the pending bytes: in place where the transaction allocated the block, else as patches."""
        made: list[Patch] = []
        listed: list[tuple[int, int, Patch]] = []
        for address, stop, what in self._now:
            if isinstance(what, Patch):
                listed.append((address, stop, what))
                continue
            for at, size, fresh in space.fresh_parts(address, stop - address):
                part = what[at - address : at - address + size]
                if fresh:
                    region.write(at, part)
                    continue
                for begin in range(0, size, MOST):
                    data = part[begin : begin + MOST]
                    place = space.allocate(BLOB_PAGE, len(data))
                    region.write(place, data)
                    made.append(Patch(at + begin, len(data), transaction, place, page_checksum(data)))
                    listed.append((at + begin, at + begin + len(data), made[-1]))
        self._now = Ranges(listed)
        self._made = made
        self.pending = 0
        self.changed = self.changed or bool(made)

    def synced(self) -> None:
        """Note that everything written so far is on the disk."""
        self._durable += self._placed
        self._placed = []

    def committed(self, listed: tuple[Patch, ...]) -> None:
        """Note that the list is in the committed catalog now."""
        if not self.changed and not self._leaving:
            return
        self._committed = listed
        self._then = self._now.copy()
        self._waiting.extend(self._made)
        del self._durable[: self._leaving]
        self._made = []
        self._leaving = 0
        self.changed = False
        self._forget()

    def _forget(self) -> None:
        """Forget the patches that are not listed any more, if there are many."""
        most = 2 * len(self._then) + FORGOTTEN
        if len(self._waiting) + len(self._placed) + len(self._durable) > most:
            self._waiting = deque(filter(self._is_listed, self._waiting))
            self._placed = [*filter(self._is_listed, self._placed)]
            self._durable = [*filter(self._is_listed, self._durable)]


def _part(data: Data, low: int, high: int) -> Data:
    """Return a part of a store: as a view if it is a large part, else as a copy.

    So a large store is not copied each time a later store cuts a piece off, and a small rest does not keep
    a large store in memory.
    """
    whole: Any = data.obj if isinstance(data, memoryview) else data
    size = high - low
    if size < VIEW_LEAST or size * VIEW_SHARE < len(whole):
        return bytes(data[low:high])
    return memoryview(data)[low:high]
