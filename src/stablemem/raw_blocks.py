"""RawBlocks: the part of MemoryRegion that allocates, recycles, reads and writes blocks of memory."""

from ._core.heap import Heap
from ._core.store import Store
from .errors import BlockError
from .layout import MAX_ADDRESS, RAW_PAGE, REGION_PAGE
from .numbers import Kind, pack, size_of, unpack
from .roots import Roots

__all__ = ["RawBlocks"]

Data = bytes | bytearray | memoryview


class RawBlocks:
    """Blocks that the user of a region lays out, each an address and a size in bytes.

    A block has no identity beyond its range: what was allocated in two calls may be freed in one, a part of
    a block may be resized or freed. A range that is not wholly allocated is a BlockError, and nothing
    happens. What was allocated and not stored into holds zeros, or what an earlier block left there.
    """

    _store: Store

    @property
    def _heap(self) -> Heap:
        return Heap(self._store)

    # -- blocks --------------------------------------------------------------------------------------

    def allocate(self, size: int) -> int:
        """Return the address of a new block of ``size`` bytes: the lowest that fits. O(log n) in free blocks.

        Raises:
            ValueError: a block has 1 byte or more.
            RegionFullError: there is no room.

        >>> from stablemem import MemoryRegion
        >>> heap = MemoryRegion()
        >>> a, b = heap.allocate(100), heap.allocate(50)
        >>> heap.deallocate(a, 100)
        >>> heap.allocate(60) == a, b - a
        (True, 100)
        >>> heap.close()
        """
        return self._heap.allocate(size)

    def deallocate(self, address: int, size: int) -> None:
        """Free a range. What older snapshots can still read is used again when they are gone. O(log n).

        Raises:
            BlockError: not all of it is allocated.
        """
        self._heap.deallocate(address, size)

    def resize(self, address: int, size: int, new_size: int) -> int:
        """Return the address of a block after a change of its size: the same if there is room behind it.

        Its bytes stay, as far as it still has them; the bytes that are new hold anything. O(log n + size).

        Raises:
            BlockError: not all of it is allocated.
        """
        return self._heap.resize(address, size, new_size)

    def load(self, address: int, size: int) -> bytes:
        """Return a copy of a range. O(size).

        Raises:
            BlockError: it leaves the region.
        """
        return self._heap.load(address, size)

    def view(self, address: int, size: int) -> memoryview:
        """Return a read-only view of a range, without a copy where that is possible.

        A snapshot's view keeps the snapshot and never changes; a writer's is good until its next change.

        Raises:
            BlockError: it leaves the region.
        """
        return self._heap.view(address, size)

    def store(self, address: int, data: Data) -> None:
        """Overwrite a range, which older snapshots go on seeing as it was. O(size).

        Raises:
            BlockError: not all of it is allocated.
        """
        self._heap.store(address, data)

    def deallocate_range(self, start: int, stop: int) -> None:
        """Free every byte of ``[start, stop)`` that is allocated as a raw block; others are left alone."""
        self._heap.clear(start, stop)

    def clear(self) -> None:
        """Free all raw blocks. Lists and roots stay."""
        self._heap.clear(0, MAX_ADDRESS)

    def grow(self, pages: int) -> int:
        """Add free region pages of 64 KiB at the end; return how many there were."""
        return self._heap.grow(pages)

    # -- blobs and numbers ---------------------------------------------------------------------------

    def add_blob(self, data: Data) -> int:
        """Return the address of a new block that holds ``data``, of 1 byte or more."""
        return self._heap.add(data)

    def remove_blob(self, address: int, size: int) -> bytes:
        """Free a range and return what it held.

        Raises:
            BlockError: not all of it is allocated.
        """
        return self._heap.take(address, size)

    def replace_blob(self, address: int, size: int, data: Data) -> int:
        """Return the address of a block that holds ``data`` in place of what it held, whatever its length.

        Raises:
            BlockError: not all of it is allocated.

        >>> from stablemem import MemoryRegion
        >>> heap = MemoryRegion()
        >>> a = heap.add_blob(b"hello")
        >>> a = heap.replace_blob(a, 5, b"hello, world")
        >>> heap.load(a, 12), heap.remove_blob(a, 12)
        (b'hello, world', b'hello, world')
        >>> heap.close()
        """
        return self._heap.replace(address, size, data)

    def load_as(self, kind: Kind, address: int) -> int | float:
        """Return the number at an address; see ``numbers.Kind``.

        Raises:
            BlockError: it leaves the region.
        """
        return unpack(kind, self.load(address, size_of(kind)))

    def store_as(self, kind: Kind, address: int, value: float) -> None:
        """Overwrite the number at an address.

        Raises:
            BlockError: not all of its bytes are allocated.
            OverflowError, TypeError: the value is no number of that kind.
        """
        self.store(address, pack(kind, value))

    def add_as(self, kind: Kind, value: float) -> int:
        """Return the address of a new block that holds a number.

        Raises:
            OverflowError, TypeError: the value is no number of that kind.

        >>> from stablemem import MemoryRegion
        >>> heap = MemoryRegion()
        >>> count = heap.add_as("u64", 42)
        >>> heap.store_as("u64", count, heap.load_as("u64", count) + 1)
        >>> heap.remove_as("u64", count)
        43
        >>> heap.close()
        """
        return self.add_blob(pack(kind, value))

    def remove_as(self, kind: Kind, address: int) -> int | float:
        """Free the block of a number and return the number.

        Raises:
            BlockError: not all of its bytes are allocated.
        """
        return unpack(kind, self.remove_blob(address, size_of(kind)))

    @property
    def roots(self) -> Roots:
        """The region's roots: a small mapping of names to tuples of integers, such as (address, size)."""
        return Roots(self._heap)

    # -- what is where -------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Bytes up to the end of the last one in use. O(log in the space map)."""
        with self._store.latch.held():
            return self._store.space.used_end()

    @property
    def capacity(self) -> int:
        """Bytes in the region's pages, in use or not."""
        with self._store.latch.held():
            return self._store.space.end

    @property
    def pages(self) -> int:
        """Region pages of 64 KiB, in use or not."""
        return self.capacity // REGION_PAGE

    @property
    def allocated_bytes(self) -> int:
        """Bytes in raw blocks. O(n) in free blocks."""
        return sum(size for _, size in self.allocated_blocks())

    @property
    def free_bytes(self) -> int:
        """Bytes that may be allocated without growing."""
        with self._store.latch.held():
            return self._store.space.free_bytes

    def free_blocks(self, start: int = 0, stop: int = MAX_ADDRESS) -> list[tuple[int, int]]:
        """Return the free blocks, as (address, size) by address, cut to ``[start, stop)``."""
        with self._store.latch.held():
            found = self._store.space.free_blocks(start, stop)
        cut = [(max(address, start), min(address + size, stop)) for address, size in found]
        return [(low, high - low) for low, high in cut if low < high]

    def allocated_blocks(self, start: int = 0, stop: int = MAX_ADDRESS) -> list[tuple[int, int]]:
        """Return the maximal runs of allocated raw bytes, as (address, size), cut to ``[start, stop)``."""
        with self._store.latch.held():
            return self._store.space.allocated_blocks(RAW_PAGE, start, stop)

    def is_allocated(self, address: int, size: int) -> bool:
        """Return whether every byte of a range is allocated as a raw block.

        Raises:
            BlockError: it leaves the region.
        """
        with self._store.latch.held():
            return not self._store.space.fault_of(RAW_PAGE, address, self._within(address, size))

    def is_free(self, address: int, size: int) -> bool:
        """Return whether no byte of a range is in use: free, or freed and only kept for older snapshots.

        Raises:
            BlockError: it leaves the region.
        """
        with self._store.latch.held():
            return self._store.space.is_unused(address, self._within(address, size))

    def _within(self, address: int, size: int) -> int:
        """Return the size of a range that is inside the region."""
        end = self._store.space.end
        if size <= 0 or address < 0 or address + size > end:
            raise BlockError(f"block ({address}, {size}) is not in the region of {end} bytes")
        return size
