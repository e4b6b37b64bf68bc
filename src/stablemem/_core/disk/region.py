# cython: annotation_typing=False
"""Region: one growable byte space, read through a read-only map or by ``pread``, written by ``pwrite``.

    address 0                                     limit          mapped
    +--------------------------------------------+--------------+
    | bytes that may be read                     | written ahead|   - - growth
    +--------------------------------------------+--------------+

Invariants:

* Every read names an address and a size, and is checked against ``limit``. No other module computes an
  address in the map. The result of ``at`` is valid until the next call of the region.
* ``mapped`` covers ``limit``, or is extended to it by the first read beyond it. A map is replaced, never
  resized, and views taken earlier keep their map.
* With ``pread`` nothing is ever mapped, and ``mapped`` stays 0. Pages in memory are dropped when this region
  writes, cuts off or punches out their bytes. No other handle writes bytes that a reader may see.
* Nothing is ever stored through the map. So a full disk is an ``OSError``, and a stray pointer is harmless.
"""

from collections.abc import Sequence
from contextlib import suppress
from mmap import mmap
from typing import Literal

from ...errors import CorruptRegionError, RegionClosedError
from ...layout import MAX_ADDRESS, REGION_PAGE
from ...shown import shown_path
from ..format.words import Page
from .device import Buffer, Device
from .pagecache import PAGES, PageCache

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython

__all__ = ["WRITE_AHEAD", "Io", "Region"]

Io = Literal["map", "pread"]
"""How bytes are read: through a map of the file, or by a system call for each page that is not in memory."""

WRITE_AHEAD = 32 << 10
"""Bytes by which a small run grows the file, with zeros after it."""


class Region:
    """The bytes of one device.

    Args:
        device: has the bytes; the region owns it.
        shared_lock: True makes the map hold the locks of the device, so that a view keeps its snapshot open.
            False gives the map its own file description, so that a view from a writer never holds the writer
            lock.
        io: "map" or "pread". With "pread", a file that another program cuts short is an error, not a signal;
            a view is a copy and holds no lock.
        pages: with ``pread``, half the number of pages of 4 KiB that are kept in memory.

    Attributes:
        limit: end of the bytes that may be read.
        mapped: number of bytes that the map covers.
        length: number of bytes of the file, as far as this handle changes it.
        most: the most bytes that the file may have; only writing zeros ahead obeys it.
        written: (address, size) of every run that was written since the list was cleared.

    >>> from stablemem._core.disk.device import MemoryDevice
    >>> region = Region(MemoryDevice())
    >>> region.write(0, b"hello, region")
    >>> region.load(7, 6)
    b'region'
    >>> region.load(7, 7)
    Traceback (most recent call last):
    stablemem.errors.CorruptRegionError: ...
    >>> region.close()
    """

    __slots__ = (
        "_base",
        "_cache",
        "_device",
        "_held",
        "_map",
        "_map_device",
        "_page",
        "_view",
        "length",
        "limit",
        "mapped",
        "most",
        "written",
    )

    def __init__(self, device: Device, shared_lock: bool = False, io: Io = "map", pages: int = PAGES) -> None:
        self._device = device
        self._cache: PageCache | None = PageCache(device.read, pages) if io == "pread" else None
        self._page = b""
        self._map_device = device if shared_lock or io == "pread" else device.reopen()
        self._map: mmap | None = None
        self._view = memoryview(b"")
        self._held = False
        self.mapped = 0
        self.most = MAX_ADDRESS
        self.length = device.size()
        self.limit = self.length
        self.written: list[tuple[int, int]] = []

    def __dealloc__(self) -> None:
        """Release the map (compiled form only)."""
        self._release()

    @property
    def device(self) -> Device:
        """The device, which has the bytes."""
        return self._device

    @property
    def path(self) -> str:
        """The name of the file; empty for a region in memory."""
        return self._device.path

    @property
    def io(self) -> Io:
        """How bytes are read."""
        return "map" if self._cache is None else "pread"

    def _release(self) -> None:
        """Release the map; views of it keep it alive."""
        if cython.compiled:
            if self._held:
                self._held = False
                self._base = cython.NULL
                PyBuffer_Release(cython.address(self._buffer))
        else:
            self._view = memoryview(b"")

    def _forget(self) -> None:
        """Let go of everything that was read."""
        self._release()
        self.mapped = 0
        self._map = None
        self._page = b""
        if self._cache is not None:
            self._cache.clear()

    def _remap(self) -> None:
        """Map the file in its present length."""
        if self._device.closed:
            raise RegionClosedError(f"{shown_path(self._device.path)} is closed: open it again")
        self._release()
        self.mapped = 0
        self._map = None
        while (size := self._device.size()) > 0:
            try:
                fresh = self._map_device.map(size)
                break
            except ValueError:
                # In between, the writer has cut the tail.
                if size <= self._device.size():
                    raise
        else:
            return
        self._map = fresh
        if cython.compiled:
            PyObject_GetBuffer(fresh, cython.address(self._buffer), PyBUF_SIMPLE)
            self._held = True
            self._base = cython.cast(page_t, self._buffer.buf)
        else:
            self._view = memoryview(fresh)
        self.mapped = size

    def at(self, address: int, size: int) -> Page:
        """Return the bytes at an address: a pointer in the compiled form, a slice in the interpreted one.

        They are valid until the next call of the region. The bounds are checked. O(1).

        Raises:
            CorruptRegionError: the range is not inside the region.
        """
        if size > self.limit or address > self.limit - size or address + size > self.mapped:
            return self._beyond(address, size)
        if cython.compiled:
            return self._base + address
        else:
            return self._view[address : address + size]

    def load(self, address: int, size: int) -> bytes:
        """Return a copy of ``size`` bytes at ``address``."""
        # The same test as in ``at``, without a call.
        if size > self.limit or address > self.limit - size or address + size > self.mapped:
            return self._load_beyond(address, size)
        if cython.compiled:
            return PyBytes_FromStringAndSize(cython.cast(cython.p_char, self._base + address), size)
        else:
            return bytes(self._view[address : address + size])

    def _beyond(self, address: int, size: int) -> Page:
        """Do the work of ``at`` for bytes that are not mapped; with ``pread``, ``_page`` keeps them alive."""
        if self._cache is not None:
            self._page = self._read(self._cache, address, size)
            if cython.compiled:
                return cython.cast(page_t, PyBytes_AS_STRING(self._page))
            else:
                return self._page
        self._map_up_to(address, size)
        if cython.compiled:
            return self._base + address
        else:
            return self._view[address : address + size]

    def _load_beyond(self, address: int, size: int) -> bytes:
        """Do the work of ``load`` for bytes that are not mapped."""
        if self._cache is not None:
            return self._read(self._cache, address, size)
        self._map_up_to(address, size)
        if cython.compiled:
            return PyBytes_FromStringAndSize(cython.cast(cython.p_char, self._base + address), size)
        else:
            return bytes(self._view[address : address + size])

    def _map_up_to(self, address: int, size: int) -> None:
        """Map the file so that it covers a range; raise if the range is not inside the region."""
        self._require(address, size)
        if address + size > self.mapped:
            self._remap()
            if address + size > self.mapped:
                self._out_of_bounds(address, size)

    def _read(self, cache: PageCache, address: int, size: int) -> bytes:
        """Return bytes without a map; raise if they are outside the region or not in the file any more."""
        self._require(address, size)
        content = cache.load(address, size)
        if len(content) < size:
            self._out_of_bounds(address, size)
        return content

    def _require(self, address: int, size: int) -> None:
        """Raise unless a range is inside the region."""
        if size > self.limit or address > self.limit - size:
            self._out_of_bounds(address, size)

    def _out_of_bounds(self, address: int, size: int) -> None:
        """Raise for a range that is not inside the region."""
        if self._device.closed:
            raise RegionClosedError(f"{shown_path(self._device.path)} is closed: open it again")
        end = min(self.limit, self._device.size())
        raise CorruptRegionError(address, f"{size} bytes within the region's {end}", "its end", self.path)

    def view(self, address: int, size: int) -> memoryview:
        """Return a read-only view of ``size`` bytes at ``address``, which keeps its map or copy alive."""
        if self._cache is None:
            self.at(address, size)
        if self._map is None:
            return memoryview(self.load(address, size))
        return memoryview(self._map)[address : address + size]

    def write(self, address: int, data: Buffer) -> None:
        """Write ``data`` at ``address``; grow the region if it reaches beyond the end."""
        self.write_run(address, [data])

    def write_run(self, address: int, pieces: Sequence[Buffer]) -> None:
        """Write ``pieces`` one after the other from ``address`` on."""
        size = sum(map(len, pieces))
        if address + size > self.length:
            self._grow(address + size, size)
        try:
            self._device.write_run(address, pieces)
        finally:
            # Also after an error, because a part may have been written.
            if self._cache is not None:
                self._cache.drop(address, size)
        self.length = max(self.length, address + size)
        self.limit = max(self.limit, address + size)
        self.written.append((address, size))

    def reach(self, end: int) -> None:
        """Make the region end at ``end`` at least; bytes that were never written read as zeros."""
        if end > self.length:
            # By whole region pages, so that not every small block costs a call.
            length = (end + REGION_PAGE - 1) // REGION_PAGE * REGION_PAGE
            self._device.truncate(length)
            self.length = length
        self.limit = max(self.limit, end)

    def _grow(self, end: int, size: int) -> None:
        """Write zeros ahead of a small run that grows the file.

        A sync after growing takes nearly twice as long as one after overwriting. If a file was extended
        without writing, the first write of each page takes as long. Zeros cost that only once in 32 KiB. More
        zeros would make that commit take long.
        """
        if size < WRITE_AHEAD:
            ahead = max(end, min(self.length + WRITE_AHEAD, self.most)) - self.length
            # If there is no room for the zeros, the run itself may still fit.
            with suppress(OSError):
                self._device.write(self.length, bytes(ahead))
                self.length += ahead

    def start_sync(self) -> None:
        """Let the disk begin to write the runs in ``written``, and clear that list; return at once.

        This is a hint, in the compiled form only: the disk works while the transaction goes on, and the sync
        at its end finds little left to do. It proves nothing, and ``sync`` still reports every error.
        """
        if cython.compiled:
            begin = end = 0
            for address, size in [*self.written, (0, 0)]:
                if address != end:
                    if end > begin:
                        sync_file_range(self._device.descriptor, begin, end - begin, SYNC_FILE_RANGE_WRITE)
                    begin = address
                end = address + size
        self.written = []

    def sync(self) -> None:
        """Return when everything written so far survives a power cut."""
        self._device.sync()

    def truncate(self, size: int) -> None:
        """Cut the file to ``size`` bytes; the caller must know that no state reaches beyond."""
        self._forget()
        self.limit = min(self.limit, size)
        self._device.truncate(size)
        self.length = size

    def punch(self, address: int, size: int) -> None:
        """Give the disk space of a range back, if the file system can; the range then reads as zeros."""
        self._device.punch(address, size)
        if self._cache is not None:
            self._cache.drop(address, size)

    def set_limit(self, limit: int) -> None:
        """Set the end of the bytes that may be read: for a snapshot, the length in its slot."""
        self.limit = limit

    def renew(self, limit: int) -> None:
        """Read anew from now on, up to ``limit``: another handle has written the file, or cut it."""
        self._forget()
        self.length = self._device.size()
        self.limit = limit
        self.written = []

    def close(self) -> None:
        """Drop the map and close the device; views taken earlier stay valid."""
        self._forget()
        self.limit = 0
        if self._map_device is not self._device:
            self._map_device.close()
        self._device.close()
