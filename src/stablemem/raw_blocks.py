"""RawBlocks: the part of MemoryRegion that allocates, recycles, reads and writes blocks of memory."""

from operator import index
from typing import Any, overload

from ._core.audit.uses import total_uses
from ._core.calls.bracket import edit
from ._core.calls.raw import Heap, bounds
from ._core.txn.handle import Handle
from .blob_store import gaps
from .errors import BlockError, RegionClosedError, never_opened
from .fixed_width import FloatKind, Kind, WholeKind, pack, size_of, unpack
from .layout import MAX_ADDRESS, RAW_PAGE, REGION_PAGE
from .roots import Roots
from .shown import shown

__all__ = ["RawBlocks"]


class RawBlocks(Heap):
    """Blocks of raw bytes in a region, each named by its address and its size.

    A block is only a range of addresses. One call may free the bytes that two calls have allocated, and a
    part of a block may be freed or resized. If a range is not wholly allocated, the call raises BlockError,
    and nothing changes. A new block contains zeros, or bytes that an earlier block left there.
    """

    @property
    def _handle(self) -> Handle:
        """The handle of the open region.

        Raises:
            RegionClosedError: the region was never opened.
        """
        handle: Handle | None = getattr(self, "_store", None)
        if handle is None:
            raise RegionClosedError(never_opened(self))
        return handle

    def deallocate_range(self, start: int, stop: int) -> None:
        """Free every raw byte in ``[start, stop)``; lists in the region are not touched."""
        edit(self, self._free_own, bounds(start, stop))

    def clear(self) -> None:
        """Free all raw blocks. Lists and roots stay, and so do the stores of Blobifys."""
        edit(self, self._free_own, (0, MAX_ADDRESS))

    def _free_own(self, start: int, stop: int) -> None:
        """Free every raw byte in ``[start, stop)`` but for the stores of Blobifys; within a change."""
        for low, high in gaps(self, start, stop):
            self._free_all(low, high)

    # -- numbers ---------------------------------------------------------------------------

    @overload
    def load_as(self, kind: WholeKind, address: int) -> int: ...
    @overload
    def load_as(self, kind: FloatKind, address: int) -> float: ...
    @overload
    def load_as(self, kind: Kind, address: int) -> int | float: ...

    def load_as(self, kind: Kind, address: int) -> Any:
        """Return the number at an address; see ``fixed_width.Kind``.

        Raises:
            BlockError: a part of the number is outside the region.
        """
        return unpack(kind, self.load(address, size_of(kind)))

    def store_as(self, kind: Kind, address: int, value: float) -> None:
        """Overwrite the number at an address.

        Raises:
            BlockError: not all of its bytes are allocated.
            OverflowError, TypeError: the value is not a number of that kind.
        """
        self.store(address, pack(kind, value))

    def add_as(self, kind: Kind, value: float) -> int:
        """Return the address of a new block that holds a number.

        Raises:
            OverflowError, TypeError: the value is not a number of that kind.

        >>> from stablemem import MemoryRegion
        >>> heap = MemoryRegion()
        >>> count = heap.add_as("u64", 42)
        >>> heap.store_as("u64", count, heap.load_as("u64", count) + 1)
        >>> heap.remove_as("u64", count)
        43
        >>> heap.close()
        """
        return self.add_blob(pack(kind, value))

    @overload
    def remove_as(self, kind: WholeKind, address: int) -> int: ...
    @overload
    def remove_as(self, kind: FloatKind, address: int) -> float: ...
    @overload
    def remove_as(self, kind: Kind, address: int) -> int | float: ...

    def remove_as(self, kind: Kind, address: int) -> Any:
        """Free the block of a number and return the number.

        Raises:
            BlockError: not all of its bytes are allocated.
        """
        return unpack(kind, self.remove_blob(address, size_of(kind)))

    @property
    def roots(self) -> Roots:
        """The region's roots: a small mapping of names to tuples of integers, such as (address, size)."""
        return Roots(self)

    # -- use of space --------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of bytes up to the end of the last byte in use. O(log n) for n free blocks."""
        with self._handle.latch.held():
            return self._handle.space.used_end()

    @property
    def capacity(self) -> int:
        """Number of bytes in the region's pages, in use or not."""
        with self._handle.latch.held():
            return self._handle.space.end

    @property
    def pages(self) -> int:
        """Number of region pages of 64 KiB, in use or not."""
        return self.capacity // REGION_PAGE

    @property
    def allocated_bytes(self) -> int:
        """Number of bytes in raw blocks, with the stores of Blobifys. O(n) for n free blocks."""
        with self._handle.latch.held():
            space = self._handle.space
            return total_uses(space, space.end)["raw"]

    @property
    def free_bytes(self) -> int:
        """Number of bytes that can be allocated without growing the region."""
        with self._handle.latch.held():
            return self._handle.space.free_bytes

    def free_blocks(self, start: int = 0, stop: int = MAX_ADDRESS) -> list[tuple[int, int]]:
        """Return the free blocks, as (address, size) by address, cut to ``[start, stop)``."""
        start, stop = bounds(start, stop)
        with self._handle.latch.held():
            found = self._handle.space.free_blocks(start, stop)
        cut = [(max(address, start), min(address + size, stop)) for address, size in found]
        return [(low, high - low) for low, high in cut if low < high]

    def allocated_blocks(self, start: int = 0, stop: int = MAX_ADDRESS) -> list[tuple[int, int]]:
        """Return the allocated raw bytes, as (address, size), cut to ``[start, stop)``.

        Neighbouring blocks are one entry. The stores of Blobifys are among them.
        """
        start, stop = bounds(start, stop)
        with self._handle.latch.held():
            return self._handle.space.allocated_blocks(RAW_PAGE, start, stop)

    def is_allocated(self, address: int, size: int) -> bool:
        """Return whether every byte of a range is allocated as a raw block.

        Raises:
            BlockError: a part of the range is outside the region.
        """
        with self._handle.latch.held():
            return not self._handle.space.fault_of(RAW_PAGE, *self._within(address, size))

    def is_free(self, address: int, size: int) -> bool:
        """Return whether no byte of a range is in use. Freed bytes that older snapshots read count as free.

        Raises:
            BlockError: a part of the range is outside the region.
        """
        with self._handle.latch.held():
            return self._handle.space.is_unused(*self._within(address, size))

    def _within(self, address: int, size: int) -> tuple[int, int]:
        """Return the range as integers; raise BlockError if it is not inside the region."""
        at, length, end = index(address), index(size), self._handle.space.end
        if length <= 0 or at < 0 or at + length > end:
            raise BlockError(f"block ({shown(at)}, {shown(length)}) is not in the region of {end} bytes")
        return at, length
