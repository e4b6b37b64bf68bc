# cython: annotation_typing=False
"""Heap: raw blocks, which the user of a region lays out as he likes.

A raw block has no identity beyond its range: any range that is wholly allocated may be freed, resized or
stored into, whatever calls allocated it. A store into a block that the innermost layer of the transaction
allocated is a write; into any other it is a patch (patches.py).
"""

from operator import index as as_index
from typing import Any

from ..errors import BlockError
from ..layout import HEADER_SIZE, MAX_ADDRESS, RAW_PAGE
from .calls import Calls
from .device import Buffer
from .store import Store

try:
    import cython
except ModuleNotFoundError:
    from . import _cython as cython  # noqa: F401

__all__ = ["Heap"]

MOST_WRITES = 1024
"""Stores after which a transaction no longer remembers what it wrote, and so pays for two barriers."""


def _size(value: Any) -> int:
    """Return a size of 1 byte or more."""
    size = as_index(value)
    if size <= 0:
        raise ValueError(f"a block has 1 byte or more, not {size}")
    if size > MAX_ADDRESS:
        raise ValueError(f"a block has at most {MAX_ADDRESS} bytes, not {size}")
    return size


class Heap(Calls):
    """The raw blocks of one region.

    Args:
        store: the open region.
    """

    __slots__ = ()

    def __init__(self, store: Store) -> None:
        Calls.__init__(self, store)

    # -- reading -------------------------------------------------------------------------------------

    def _range(self, address: Any, size: Any) -> tuple[int, int]:
        """Return a range to be read, which is inside the region."""
        at, length = as_index(address), as_index(size)
        if length < 0 or at < HEADER_SIZE or at + length > self._pager.region.limit:
            end = self._pager.region.limit
            raise BlockError(f"block ({at}, {length}) is not in the region, which ends at {end}")
        return at, length

    def load(self, address: Any, size: Any) -> bytes:
        """Return a copy of the bytes of a range. O(size)."""
        self._enter()
        try:
            at, length = self._range(address, size)
            content: bytes = self._store.patches.load(self._pager.region, at, length)
            return content
        finally:
            self._latch.leave()

    def view(self, address: Any, size: Any) -> memoryview:
        """Return a read-only view of a range: of the map, or of a copy where a store is not in place yet."""
        self._enter()
        try:
            at, length = self._range(address, size)
            patches = self._store.patches
            if patches and patches.over(self._pager.region, at, length):
                return memoryview(patches.load(self._pager.region, at, length))
            return self._pager.region.view(at, length)
        finally:
            self._latch.leave()

    # -- changing ------------------------------------------------------------------------------------

    def _begin_change_of(self, address: int, size: int) -> None:
        """Begin a change of a range, which is allocated."""
        self._begin_change()
        fault = self._pager.space.fault_of(RAW_PAGE, address, size)
        if fault:
            self._latch.leave()
            raise BlockError(f"{fault}: give an address and a size that allocate returned, or a part of it")

    def allocate(self, size: Any) -> int:
        """Return the address of a new block. O(log n) in free blocks."""
        wanted = _size(size)
        self._begin_change()
        try:
            address = self._pager.space.allocate(RAW_PAGE, wanted)
            self._pager.region.reach(address + wanted)
            self._pager.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()
        return address

    def deallocate(self, address: Any, size: Any) -> None:
        """Free a range. O(log n) in free blocks."""
        at, length = as_index(address), _size(size)
        self._begin_change_of(at, length)
        try:
            self._free(at, length)
            self._pager.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def _free(self, address: int, size: int) -> None:
        """Free a range, with what lies over it."""
        if self._store.patches:
            self._store.patches.drop(self._pager.region, self._pager.space, address, size)
        self._pager.space.free_range(address, size)

    def take(self, address: Any, size: Any) -> bytes:
        """Free a range and return what it held."""
        at, length = as_index(address), _size(size)
        self._begin_change_of(at, length)
        try:
            content: bytes = self._store.patches.load(self._pager.region, at, length)
            self._free(at, length)
            self._pager.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()
        return content

    def resize(self, address: Any, size: Any, new_size: Any) -> int:
        """Return where a block is after it got another size; its bytes, as far as it still has them, stay."""
        at, length, wanted = as_index(address), _size(size), _size(new_size)
        self._begin_change_of(at, length)
        try:
            content = None
            if wanted > length and not self._pager.space.extend_block(RAW_PAGE, at + length, wanted - length):
                content = self._store.patches.load(self._pager.region, at, length)
            at = self._resized(at, length, wanted, content is not None)
            if content is not None:
                self._write(at, content)
            self._pager.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()
        return at

    def _resized(self, address: int, size: int, wanted: int, moved: bool) -> int:
        """Return where a block of another size is, which was extended in place, is cut, or moves."""
        if moved:
            self._free(address, size)
            address = self._pager.space.allocate(RAW_PAGE, wanted)
        elif wanted < size:
            self._free(address + wanted, size - wanted)
        self._pager.region.reach(address + wanted)
        return address

    def replace(self, address: Any, size: Any, data: Buffer) -> int:
        """Return the address of a block that holds other bytes now, in place if they fit there."""
        at, length = as_index(address), _size(size)
        content = bytes(memoryview(data))
        wanted = _size(len(content))
        self._begin_change_of(at, length)
        try:
            more = wanted - length
            moved = more > 0 and not self._pager.space.extend_block(RAW_PAGE, at + length, more)
            at = self._resized(at, length, wanted, moved)
            self._write(at, content)
            self._pager.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()
        return at

    def store(self, address: Any, data: Buffer) -> None:
        """Overwrite a range with bytes. O(size)."""
        at = as_index(address)
        content = bytes(memoryview(data))
        if not content:
            return
        self._begin_change_of(at, len(content))
        try:
            self._write(at, content)
            self._pager.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def _write(self, address: int, content: bytes) -> None:
        """Overwrite an allocated range."""
        region, space, patches = self._pager.region, self._pager.space, self._store.patches
        self._store.raw_written = True
        for at, size, fresh in space.fresh_parts(address, len(content)):
            part = content[at - address : at - address + size]
            if not fresh:
                patches.put(region, space, at, part)
                continue
            if patches:
                patches.drop(region, space, at, size)
            region.write(at, part)
        if len(region.written) > MOST_WRITES:
            self._store.write_no_digest()

    def add(self, data: Buffer) -> int:
        """Return the address of a new block that holds bytes."""
        content = bytes(memoryview(data))
        size = _size(len(content))
        self._begin_change()
        try:
            address = self._pager.space.allocate(RAW_PAGE, size)
            self._write(address, content)
            self._pager.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()
        return address

    def clear(self, start: Any, stop: Any) -> None:
        """Free every raw block, or the part of it, in ``[start, stop)``."""
        low, high = max(0, as_index(start)), min(as_index(stop), MAX_ADDRESS)
        self._begin_change()
        try:
            for address, size in self._pager.space.allocated_blocks(RAW_PAGE, low, max(low, high)):
                self._free(address, size)
            self._pager.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def grow(self, pages: Any) -> int:
        """Add free region pages at the end; return how many there were."""
        more = as_index(pages)
        if more < 0:
            raise ValueError(f"a region grows by 0 pages or more, not {more}")
        self._begin_change()
        try:
            before: int = self._pager.space.end
            self._pager.space.add_pages(more)
            self._pager.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()
        return before >> 16

    # -- what else the catalog holds -----------------------------------------------------------------

    def set_root(self, name: str, numbers: tuple[int, ...] | None) -> None:
        """Set a root, or delete it; the caller has checked both."""
        self._begin_change()
        try:
            self._store.set_root(name, numbers)
            self._pager.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def drop(self, name: str) -> None:
        """Delete a list, which is in the catalog, and everything in it. O(n)."""
        self._begin_change()
        try:
            self._store.drop_list(name)
            self._pager.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()
