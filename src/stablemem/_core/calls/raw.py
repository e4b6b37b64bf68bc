# cython: annotation_typing=False
"""Heap: raw blocks, whose contents are up to the user of the region.

A raw block is nothing but its range: any range that is wholly allocated may be freed, resized or stored into,
no matter which calls allocated it. A store into a block that the innermost layer of the transaction allocated
is a write; into any other block it is a patch (patches.py).
"""

from operator import index as as_index
from typing import SupportsIndex

from ...errors import BlockError, RegionFullError
from ...layout import MAX_ADDRESS
from ...shown import shown
from ..disk.device import Buffer
from ..txn.handle import Handle
from .bracket import Calls, edit

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ...layout import HEADER_SIZE, RAW_PAGE, REGION_PAGE

__all__ = ["Heap", "bounds"]

MOST_WRITES = 1024
"""After this many stores, a transaction forgets what it wrote, so its commit needs two barriers."""


LIMIT = MAX_ADDRESS
BEYOND = MAX_ADDRESS + 1


def _word(value: SupportsIndex) -> int:
    """Return an integer as a C integer; BEYOND if it is negative or too large for an address."""
    number = value if isinstance(value, int) else as_index(value)
    if cython.compiled:
        try:
            word = number
        except OverflowError:
            word = BEYOND
    else:
        word = number if number >= 0 else BEYOND
    return word if word <= LIMIT else BEYOND


def _size(value: SupportsIndex) -> int:
    """Return a size; raise unless it is 1 byte or more."""
    size = _word(value)
    if not 0 < size < BEYOND:
        given = as_index(value)
        if given <= 0:
            raise ValueError(f"a block has 1 byte or more, not {shown(given)}")
        raise ValueError(f"a block has at most {MAX_ADDRESS} bytes, not {shown(given)}")
    return size


def bounds(start: SupportsIndex, stop: SupportsIndex) -> tuple[int, int]:
    """Return a range of addresses, cut to the possible ones."""
    low = min(max(0, as_index(start)), MAX_ADDRESS)
    return low, max(low, min(as_index(stop), MAX_ADDRESS))


def _address(value: SupportsIndex) -> int:
    """Return an address; raise if it is not a possible one."""
    address = _word(value)
    if address == BEYOND:
        given = as_index(value)
        raise BlockError(
            f"address {shown(given)} is not in the region: an address is from 0 to {MAX_ADDRESS}"
        )
    return address


def _refusal(fault: str) -> BlockError:
    """Return the error for a range that is not allocated."""
    return BlockError(f"{fault}: give an address and a size that allocate returned, or a part of it")


class Heap(Calls):
    """The raw blocks of one region.

    Args:
        handle: the open region.
    """

    __slots__ = ()

    def __init__(self, handle: Handle) -> None:
        Calls.__init__(self, handle)

    # -- reading -------------------------------------------------------------------------------------

    def _range(self, address: SupportsIndex, size: SupportsIndex) -> tuple[int, int]:
        """Return a range that is to be read; raise if it is not inside the region."""
        at, length = as_index(address), as_index(size)
        if length < 0 or at < HEADER_SIZE or at + length > self._pager.region.limit:
            end = self._pager.region.limit
            raise BlockError(
                f"block ({shown(at)}, {shown(length)}) is not in the region, which ends at {end}: give "
                f"an address and a size that allocate returned, or a part of it"
            )
        return at, length

    def load(self, address: SupportsIndex, size: SupportsIndex) -> bytes:
        """Return a copy of a range. O(size).

        Raises:
            BlockError: a part of the range is outside the region.
        """
        self._enter()
        try:
            at, length = self._range(address, size)
            content: bytes = self._store.patches.load(self._pager.region, at, length)
            return content
        finally:
            self._latch.leave()

    def view(self, address: SupportsIndex, size: SupportsIndex) -> memoryview:
        """Return a read-only view of a range.

        From a reader or snapshot, it is a view of the file's own memory, which keeps the snapshot open. From
        a region that is open for writing, it is a copy, because freed space may be written again.

        Raises:
            BlockError: a part of the range is outside the region.
        """
        self._enter()
        try:
            at, length = self._range(address, size)
            patches = self._store.patches
            if self._store.writable or patches.covers(at, length):
                return memoryview(patches.load(self._pager.region, at, length))
            return self._pager.region.view(at, length)
        finally:
            self._latch.leave()

    # -- changing ------------------------------------------------------------------------------------

    def _require_room(self, size: int, *_: object) -> None:
        """Raise if the region has no addresses for ``size`` more bytes; inside a change that has begun."""
        end = self._pager.space.end
        if size > LIMIT - end:
            raise RegionFullError(
                f"the region has {end} bytes, and with {size} more it would end beyond the largest address, "
                f"{MAX_ADDRESS}: ask for less"
            )

    def _require_allocated(self, address: int, size: int, *_: object) -> None:
        """Raise unless a range is allocated; inside a change that has begun."""
        fault = self._pager.space.fault_of(RAW_PAGE, address, size)
        if fault:
            raise _refusal(fault)

    def allocate(self, size: SupportsIndex) -> int:
        """Return the address of a new block of ``size`` bytes: the lowest that fits. O(log n), n free blocks.

        Raises:
            ValueError: the size is not 1 byte or more.
            RegionFullError: there is no room.

        >>> from stablemem import MemoryRegion
        >>> heap = MemoryRegion()
        >>> a, b = heap.allocate(100), heap.allocate(50)
        >>> heap.deallocate(a, 100)
        >>> heap.allocate(60) == a, b - a
        (True, 100)
        >>> heap.close()
        """
        return self._allocate(_size(size))

    def _allocate(self, wanted: int) -> int:
        """Do the work of ``allocate``, for a C integer."""
        changing = False
        self._begin_change()
        try:
            if wanted > LIMIT - self._pager.space.end:
                self._require_room(wanted)
            changing = True
            address = self._pager.space.allocate(RAW_PAGE, wanted)
            self._pager.region.reach(address + wanted)
            self._store.tx.changes += 1
        except BaseException as error:
            if changing:
                self._fail(error)
            else:
                self._latch.leave()
            raise
        self._end_change()
        return address

    def deallocate(self, address: SupportsIndex, size: SupportsIndex) -> None:
        """Free a range. It is used again when no older snapshot can read it any more. O(log n).

        Raises:
            BlockError: not all of it is allocated.
        """
        self._deallocate(_address(address), _size(size))

    def _deallocate(self, address: int, size: int) -> None:
        """Do the work of ``deallocate``, for C integers."""
        changing = True
        self._begin_change()
        try:
            if self._store.tx.patched:
                fault = self._pager.space.fault_of(RAW_PAGE, address, size)
                if not fault:
                    self._free(address, size)
            else:
                fault = self._pager.space.free_allocated(RAW_PAGE, address, size)
            if fault:
                # The block was searched and freed in one step. If it was not found, nothing has changed.
                changing = False
                raise _refusal(fault)
            self._store.tx.changes += 1
        except BaseException as error:
            if changing:
                self._fail(error)
            else:
                self._latch.leave()
            raise
        self._end_change()

    def _free(self, address: int, size: int) -> None:
        """Free a range, and drop the patches over it."""
        if self._store.patches:
            self._store.patches.drop(self._pager.region, self._pager.space, address, size)
        self._pager.space.free_range(address, size)

    def remove_blob(self, address: SupportsIndex, size: SupportsIndex) -> bytes:
        """Free a range and return its bytes.

        Raises:
            BlockError: not all of it is allocated.
        """
        block = _address(address), _size(size)
        removed: bytes = edit(self, self._remove, block, self._require_allocated)
        return removed

    def _remove(self, address: int, size: int) -> bytes:
        """Free a range and return its bytes; inside a change."""
        content: bytes = self._store.patches.load(self._pager.region, address, size)
        self._free(address, size)
        return content

    def resize(self, address: SupportsIndex, size: SupportsIndex, new_size: SupportsIndex) -> int:
        """Change the size of a block and return its address: the same one if there is room after the block.

        The contents are kept, up to the smaller of the two sizes. New bytes may have any contents.
        O(log n + size).

        Raises:
            BlockError: not all of it is allocated.
        """
        block = _address(address), _size(size), _size(new_size)
        at: int = edit(self, self._resize, block, self._require_resizable)
        return at

    def _require_resizable(self, address: int, size: int, wanted: int) -> None:
        """Raise unless a range is allocated and has room elsewhere; inside a change that has begun."""
        self._require_allocated(address, size)
        self._require_room(wanted)

    def _resize(self, address: int, size: int, wanted: int) -> int:
        """Change the size of a block and return its address; inside a change."""
        content = None
        if wanted > size and not self._pager.space.extend_block(RAW_PAGE, address + size, wanted - size):
            content = self._store.patches.load(self._pager.region, address, size)
        address = self._resized(address, size, wanted, content is not None)
        if content is not None:
            self._write(address, content)
        return address

    def _resized(self, address: int, size: int, wanted: int, moved: bool) -> int:
        """Return the address of a resized block: it moves, is cut, or was extended in place before."""
        if moved:
            self._free(address, size)
            address = self._pager.space.allocate(RAW_PAGE, wanted)
        elif wanted < size:
            self._free(address + wanted, size - wanted)
        self._pager.region.reach(address + wanted)
        return address

    def replace_blob(self, address: SupportsIndex, size: SupportsIndex, data: Buffer) -> int:
        """Replace the contents of a block by ``data``, resize the block to fit, and return its address.

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
        at, length = _address(address), _size(size)
        content = bytes(memoryview(data))
        _size(len(content))
        block: int = edit(self, self._replace, (at, length, content), self._require_allocated)
        return block

    def _replace(self, address: int, size: int, content: bytes) -> int:
        """Replace the contents of a block and return its address; inside a change."""
        more = len(content) - size
        moved = more > 0 and not self._pager.space.extend_block(RAW_PAGE, address + size, more)
        address = self._resized(address, size, len(content), moved)
        self._write(address, content)
        return address

    def store(self, address: SupportsIndex, data: Buffer) -> None:
        """Overwrite a range. Older snapshots still read the old bytes. O(size).

        Raises:
            BlockError: not all of it is allocated.
        """
        at = _address(address)
        content = bytes(memoryview(data))
        if not content:
            self._store.require_open()
            self._store.require_writable()
            return
        edit(self, self._overwrite, (at, len(content), content), self._require_allocated)

    def _overwrite(self, address: int, _: int, content: bytes) -> None:
        """Do the work of ``_write``; the size argument is only for the check."""
        self._write(address, content)

    def _write(self, address: int, content: bytes) -> None:
        """Overwrite an allocated range."""
        region, space, patches = self._pager.region, self._pager.space, self._store.patches
        self._store.tx.raw_written = True
        for at, size, fresh in space.fresh_parts(address, len(content)):
            part = content[at - address : at - address + size]
            if not fresh:
                self._store.tx.patched = True
                patches.put(region, space, at, part)
                continue
            if patches:
                patches.drop(region, space, at, size)
            region.write(at, part)
        if len(region.written) > MOST_WRITES:
            self._store.write_no_digest()

    def add_blob(self, data: Buffer) -> int:
        """Return the address of a new block that holds ``data``, of 1 byte or more."""
        content = bytes(memoryview(data))
        address: int = edit(self, self._add, (_size(len(content)), content), self._require_room)
        return address

    def _add(self, size: int, content: bytes) -> int:
        """Return the address of a new block with these contents; inside a change."""
        address: int = self._pager.space.allocate(RAW_PAGE, size)
        self._write(address, content)
        return address

    def _free_all(self, start: int, stop: int) -> None:
        """Free all raw bytes in ``[start, stop)``; inside a change."""
        for address, size in self._pager.space.allocated_blocks(RAW_PAGE, start, stop):
            self._free(address, size)

    def grow(self, pages: SupportsIndex) -> int:
        """Add free region pages of 64 KiB at the end, until the region is closed; return the old number."""
        more = as_index(pages)
        if more < 0:
            raise ValueError(f"a region grows by 0 pages or more, not {shown(more)}")
        room = min(more, MAX_ADDRESS) * REGION_PAGE
        before: int = edit(self, self._grow, (room,), self._require_room)
        return before // REGION_PAGE

    def _grow(self, size: int) -> int:
        """Add free region pages and return the old number of bytes; inside a change."""
        before: int = self._pager.space.end
        if size:
            self._pager.space.add_pages(size // REGION_PAGE)
        return before
