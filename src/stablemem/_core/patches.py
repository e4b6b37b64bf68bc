"""Patches: stores into raw blocks of a committed state, kept beside it until they may be made in place.

    store, T             pending: in memory, laid over what is read
    commit of T          listed: the bytes in a block of their own, named by the catalog of T and later ones
    begin of a later X   in place, once no kept slot and no snapshot is older than T: all of them lay it over
    after X is synced    off the list with the next commit: what is in place is on the disk

Invariants:

* What is pending, and what is listed, is in order of address and does not overlap; what is pending lies
  over what is listed only after ``drop`` has cut that.
* Every byte of a listed patch is allocated raw; ``drop`` comes before a raw byte is freed.
* Writing in place twice is harmless: it is done anew by each handle until one has synced it.
"""

from bisect import bisect_left
from collections.abc import Callable
from contextlib import suppress

from ..errors import CorruptRegionError, RegionFullError
from ..layout import BLOB_PAGE, RAW_PAGE
from .catalog import Patch
from .checksum import page_checksum
from .freespace import FreeSpace
from .region import Region

__all__ = ["Patches"]

MOST = 1 << 30
"""Bytes in one patch; larger stores make several."""

Piece = tuple[int, bytes]
"""(address, what is there)"""


class Patches:
    """The patches of one handle.

    Attributes:
        listed: those that the catalog names, or will with the next commit, by address.
        pending: what the open transaction stored into blocks that it did not allocate, by address.
    """

    def __init__(self) -> None:
        self.listed: tuple[Patch, ...] = ()
        self.pending: list[Piece] = []
        self._placed: set[Patch] = set()
        self._durable: set[Patch] = set()

    def __bool__(self) -> bool:
        return bool(self.listed or self.pending)

    # -- reading -------------------------------------------------------------------------------------

    def over(self, region: Region, address: int, size: int) -> list[Piece]:
        """Return what lies over a range, cut to it."""
        stop = address + size
        pieces = [(patch.address, self._data(region, patch)) for patch in self._listed_over(address, stop)]
        pieces += self.pending[max(0, bisect_left(self.pending, (address,)) - 1) :]
        cut = []
        for at, data in pieces:
            low, high = max(at, address), min(at + len(data), stop)
            if low < high:
                cut.append((low, data[low - at : high - at]))
        return cut

    def _listed_over(self, address: int, stop: int) -> list[Patch]:
        """Return the listed patches that lie over a range, or over a part of it."""
        first = max(0, bisect_left(self.listed, (address,)) - 1)
        near = self.listed[first : bisect_left(self.listed, (stop,))]
        return [patch for patch in near if patch.address + patch.size > address]

    def _data(self, region: Region, patch: Patch) -> bytes:
        """Return the bytes of a listed patch, verified."""
        data = region.load(patch.data, patch.size)
        found = page_checksum(data)
        if found != patch.check:
            raise CorruptRegionError(
                patch.data, f"a patch of checksum {patch.check:016x}", f"{found:016x}", region.path
            )
        return data

    def _free(self, region: Region, space: FreeSpace, patch: Patch) -> None:
        """Free the block of a patch that leaves the list."""
        fault = space.fault_of(BLOB_PAGE, patch.data, patch.size)
        if fault:
            raise CorruptRegionError(patch.data, "the bytes of a patch", fault, region.path)
        space.free_range(patch.data, patch.size)

    def load(self, region: Region, address: int, size: int) -> bytes:
        """Return a copy of raw bytes, with what lies over them."""
        content = region.load(address, size)
        pieces = self.over(region, address, size) if self else []
        if not pieces:
            return content
        patched = bytearray(content)
        for at, data in pieces:
            patched[at - address : at - address + len(data)] = data
        return bytes(patched)

    # -- changing ------------------------------------------------------------------------------------

    def put(self, region: Region, space: FreeSpace, address: int, data: bytes) -> None:
        """Lay bytes over a range."""
        self.drop(region, space, address, len(data))
        self.pending.insert(bisect_left(self.pending, (address,)), (address, data))

    def drop(self, region: Region, space: FreeSpace, address: int, size: int) -> None:
        """Forget what lies over a range; of a patch that reaches out of it, the rest stays."""
        stop = address + size
        met = self._listed_over(address, stop)
        rest = [(patch.address, self._data(region, patch)) for patch in met]
        if met:
            self.listed = tuple(patch for patch in self.listed if patch not in met)
            for patch in met:
                self._free(region, space, patch)
        low, high = bisect_left(self.pending, (address,)), bisect_left(self.pending, (stop,))
        if low and self.pending[low - 1][0] + len(self.pending[low - 1][1]) > address:
            low -= 1
        kept: list[Piece] = []
        for at, data in sorted(self.pending[low:high] + rest):
            if at < address:
                kept.append((at, data[: address - at]))
            if at + len(data) > stop:
                kept.append((max(at, stop), data[max(0, stop - at) :]))
        self.pending[low:high] = kept

    def commit(self, region: Region, space: FreeSpace, transaction: int) -> None:
        """Write what is pending: in place where the transaction allocated it, else as listed patches."""
        made = []
        for address, data in self.pending:
            for at, size, fresh in space.fresh_parts(address, len(data)):
                part = data[at - address : at - address + size]
                if fresh:
                    region.write(at, part)
                    continue
                for begin in range(0, size, MOST):
                    bytes_ = part[begin : begin + MOST]
                    place = space.allocate(BLOB_PAGE, len(bytes_))
                    region.write(place, bytes_)
                    made.append(Patch(at + begin, len(bytes_), transaction, place, page_checksum(bytes_)))
        self.pending = []
        self.listed = tuple(sorted([*self.listed, *made]))

    def begin(
        self, region: Region, space: FreeSpace, floor: int, oldest_reader: Callable[[int], int | None]
    ) -> None:
        """Take off the list what is in place for good, and write in place what nobody older can see.

        Args:
            region: where.
            space: where the bytes of a patch that leaves the list are freed.
            floor: the oldest transaction among the header slots that the next commit keeps.
            oldest_reader: returns the oldest snapshot below a transaction number, or None.
        """
        for patch in self.listed:
            if patch in self._durable:
                self._free(region, space, patch)
            elif (
                patch not in self._placed
                and patch.transaction <= floor
                and oldest_reader(patch.transaction) is None
            ):
                fault = space.fault_of(RAW_PAGE, patch.address, patch.size)
                if fault:
                    raise CorruptRegionError(patch.address, "raw bytes under a patch", fault, region.path)
                # Bytes that were never written may need room that the disk has not: it stays a patch then,
                # or nothing could be deleted any more.
                with suppress(RegionFullError):
                    region.write(patch.address, self._data(region, patch))
                    self._placed.add(patch)
        self.listed = tuple(patch for patch in self.listed if patch not in self._durable)

    def synced(self) -> None:
        """Note that everything written so far is on the disk."""
        self._durable |= self._placed
        self._placed = set()

    def committed(self) -> None:
        """Note that the list is the catalog's now."""
        self._durable &= set(self.listed)

    def restore(self, listed: tuple[Patch, ...], pending: list[Piece]) -> None:
        """Return to an earlier list."""
        self.listed, self.pending = listed, pending
