# cython: annotation_typing=False
"""Region: one growable byte space, read through a read-only map and written by ``pwrite``.

    address 0                                     limit          mapped
    +--------------------------------------------+--------------+
    | bytes that somebody may read               | written ahead|   - - growth
    +--------------------------------------------+--------------+

Invariants:

* Every read names an address and a size and is checked against ``limit``; no other module computes
  an address in the map.
* ``mapped`` covers ``limit`` or is brought there on the first read beyond it. A map is replaced,
  never resized, and views taken earlier keep theirs.
* Nothing is ever stored through the map (a full disk is an ``OSError``, a stray pointer is harmless).
"""

from collections.abc import Sequence
from contextlib import suppress
from mmap import mmap

from ...errors import CorruptRegionError, RegionClosedError
from ...layout import MAX_ADDRESS, REGION_PAGE
from ...shown import shown_path
from ..format.words import Page
from .device import Buffer, Device

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython

__all__ = ["WRITE_AHEAD", "Region"]

WRITE_AHEAD = 32 << 10
"""Bytes of zeros written behind a small run that grows the file."""


class Region:
    """The bytes of one device.

    Args:
        device: where the bytes are; the region owns it.
        shared_lock: True makes the map hold the device's own locks, so that a view keeps the snapshot
            it was taken from alive; False gives the map a file description of its own, so that a
            view of a writer's never holds the writer lock.

    Attributes:
        limit: end of what may be read, in bytes.
        mapped: bytes that the map covers.
        length: bytes of the file, as far as this handle changes it.
        most: bytes that the file may have; only zeros written ahead look at it.
        written: (address, size) of every run written since the list was cleared.

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
        "_device",
        "_held",
        "_map",
        "_map_device",
        "_view",
        "length",
        "limit",
        "mapped",
        "most",
        "written",
    )

    def __init__(self, device: Device, shared_lock: bool = False) -> None:
        self._device = device
        self._map_device = device if shared_lock else device.reopen()
        self._map: mmap | None = None
        self._view = memoryview(b"")
        self._held = False
        self.mapped = 0
        self.most = MAX_ADDRESS
        self.length = device.size()
        self.limit = self.length
        self.written: list[tuple[int, int]] = []

    def __dealloc__(self) -> None:
        """Release the map (compiled only)."""
        self._release()

    @property
    def device(self) -> Device:
        """Where the bytes are."""
        return self._device

    @property
    def path(self) -> str:
        """The file's name, empty for memory."""
        return self._device.path

    def _release(self) -> None:
        """Let go of the map; views taken from it keep it alive."""
        if cython.compiled:
            if self._held:
                self._held = False
                self._base = cython.NULL
                PyBuffer_Release(cython.address(self._buffer))
        else:
            self._view = memoryview(b"")

    def _remap(self) -> None:
        """Map the file as long as it is now."""
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
                # The writer has cut the tail in between.
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
        """Return the bytes at an address: a pointer compiled, a slice interpreted.

        Valid until the next call that writes or grows. Bounds-checked; O(1).

        Raises:
            CorruptRegionError: the range leaves the region.
        """
        if size > self.limit or address > self.limit - size:
            self._out_of_bounds(address, size)
        if address + size > self.mapped:
            self._remap()
            if address + size > self.mapped:
                self._out_of_bounds(address, size)
        if cython.compiled:
            return self._base + address
        else:
            return self._view[address : address + size]

    def _out_of_bounds(self, address: int, size: int) -> None:
        """Raise for a range that leaves the region."""
        if self._device.closed:
            raise RegionClosedError(f"{shown_path(self._device.path)} is closed: open it again")
        end = min(self.limit, self._device.size())
        raise CorruptRegionError(address, f"{size} bytes within the region's {end}", "its end", self.path)

    def load(self, address: int, size: int) -> bytes:
        """Return a copy of ``size`` bytes at ``address``."""
        page = self.at(address, size)
        if cython.compiled:
            return PyBytes_FromStringAndSize(cython.cast(cython.p_char, page), size)
        else:
            return bytes(page)

    def view(self, address: int, size: int) -> memoryview:
        """Return a read-only view of ``size`` bytes at ``address``; it keeps its map alive."""
        self.at(address, size)
        assert self._map is not None
        return memoryview(self._map)[address : address + size]

    def write(self, address: int, data: Buffer) -> None:
        """Write ``data`` at ``address``, growing the region where it reaches beyond the end."""
        self.write_run(address, [data])

    def write_run(self, address: int, pieces: Sequence[Buffer]) -> None:
        """Write ``pieces`` one behind the other from ``address`` on."""
        size = sum(map(len, pieces))
        if address + size > self.length:
            self._grow(address + size, size)
        self._device.write_run(address, pieces)
        self.length = max(self.length, address + size)
        self.limit = max(self.limit, address + size)
        self.written.append((address, size))

    def reach(self, end: int) -> None:
        """Let the region reach to ``end`` at least; what was never written reads as zeros."""
        if end > self.length:
            # By whole pages, so that not every small block costs a call.
            length = (end + REGION_PAGE - 1) // REGION_PAGE * REGION_PAGE
            self._device.truncate(length)
            self.length = length
        self.limit = max(self.limit, end)

    def _grow(self, end: int, size: int) -> None:
        """Write zeros ahead of a small run that grows the file.

        A sync after growing costs nearly twice one after overwriting, and a file extended without
        writing costs the same at the first write of each page; zeros are paid for once in 32 KiB. More of
        them would make that commit a long one.
        """
        if size < WRITE_AHEAD:
            ahead = max(end, min(self.length + WRITE_AHEAD, self.most)) - self.length
            # Where there is no room for so much, the run itself may still fit.
            with suppress(OSError):
                self._device.write(self.length, bytes(ahead))
                self.length += ahead

    def start_sync(self) -> None:
        """Let the disk begin with what is in ``written``, and clear that list; returns at once.

        A hint, compiled only: the disk works while the transaction goes on, and the sync at its end finds
        little left. It proves nothing, and takes no error away from ``sync``.
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
        """Return once everything written survives a power cut."""
        self._device.sync()

    def truncate(self, size: int) -> None:
        """Cut the file to ``size`` bytes; the caller knows that nobody can reach beyond."""
        self._release()
        self.mapped = 0
        self._map = None
        self.limit = min(self.limit, size)
        self._device.truncate(size)
        self.length = size

    def set_limit(self, limit: int) -> None:
        """Set the end of what may be read: a snapshot's is its slot's length."""
        self.limit = limit

    def close(self) -> None:
        """Drop the map and close the device; views taken earlier stay valid."""
        self._release()
        self.mapped = 0
        self.limit = 0
        self._map = None
        if self._map_device is not self._device:
            self._map_device.close()
        self._device.close()
