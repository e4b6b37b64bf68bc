# cython: annotation_typing=False
"""Values: one list in a region, and the steps that all its calls consist of.

    from a given index     to a position              _position, _at, _range
    from a position        to its entry and blob      _blob, _read, _read_ahead
    from a blob            to an entry                _word0, _word1, _entries
    from a limit           to the values beyond it    _excess, _trim

The calls themselves are functions over a ``Values``: slicing.py, extending.py, order.py, sorting.py and
walking.py. ``ListCore`` is the table of contents: its methods call these functions, and have the code of the
fastest calls. It is a separate class so that imports point down: from ListCore to the functions, and from the
functions to this class.
"""

from collections.abc import Iterator
from operator import index as as_index
from typing import Any, TypeGuard

from ...layout import MAX_ADDRESS
from ...shown import shown, shown_path
from ..format.checksum import crc32c
from ..txn.handle import Handle
from .bracket import Calls
from .codec import Codec

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ...layout import INLINE_SIZE, LEAF_CAPACITY
    from ..format.words import put64
    from ..tree.node import word0, word1

__all__ = ["READ_AHEAD", "Values", "ordinal", "resolved", "small"]

READ_AHEAD = 65536
"""When an iterator has read this many bytes of blobs at once, it reads no further blob."""

SEVERAL = ": get_many([1, 2]) reads the values at several indices; assign or delete them one by one"
"""Advice for a caller that gives a list, a tuple or an array as an index."""


class Values(Calls):
    """A list of values in a region.

    Args:
        handle: the open region.
        name: the name of the list, which is in the catalog.
        blobify: turns values into blobs and blobs into values.
        most: the number of values to keep, the newest; -1 for any number.
    """

    __slots__ = ("_codec", "_index", "_most", "_name")

    def __init__(self, handle: Handle, name: str, blobify: Any, most: int = -1) -> None:
        self._name = name
        self._codec = Codec(blobify)
        self._most = most
        self._index = handle.index(name)
        Calls.__init__(self, handle)

    def _recode(self, blobify: Any, bound: bool = False) -> None:
        """Take another Blobify: one with its store, or the right one, if this one was a guess."""
        self._codec = Codec(blobify, bound)

    def _detach(self) -> None:
        """Refuse every further call; the region may stay open."""
        where = self._store.path
        remedy = (
            f"open {shown_path(where)} again" if where else "take it from its region again, or make a new one"
        )
        self._closed = f"the list {shown(self._name)} is closed: {remedy}"
        self._open = False

    def __len__(self) -> int:
        """Return the number of values. O(1)."""
        if not self._open or self._latch.closed:
            self._require_open()
        return self._index.length

    def _require_writable(self) -> None:
        """Raise unless the list may be changed; for calls that may find nothing to change."""
        self._require_open()
        self._store.require_writable()

    def _version(self) -> int:
        """Return a number that changes with every change to the list; raise if the list is closed."""
        if not self._open or self._latch.closed:
            self._require_open()
        return self._index.version

    # -- positions -----------------------------------------------------------------------------------

    def _position(self, item: Any) -> int:
        """Return a list index as a position, which is negative if it counts from the end; not checked."""
        if cython.compiled and type(item) is int:
            # Without Python integers. An overflow is reported below.
            overflow = cython.declare(cython.int, 0)
            number = cython.declare(cython.longlong)
            number = PyLong_AsLongLongAndOverflow(item, cython.address(overflow))
            if not overflow and (number >> 61 == 0 or number >> 61 == -1):
                return number
        try:
            position = as_index(item)
        except TypeError:
            advice = "" if isinstance(item, str | bytes) or not hasattr(item, "__iter__") else SEVERAL
            raise TypeError(
                f"{type(self).__name__} indices must be integers or slices, not {type(item).__name__}{advice}"
            ) from None
        if not -(1 << 62) < position < 1 << 62:
            raise IndexError(f"cannot fit {type(item).__name__!r} into an index-sized integer")
        return position

    def _small(self, item: Any) -> int:
        """Return an argument that is an integer of 64 bits; its errors are not those of an index."""
        if cython.compiled and type(item) is int:
            overflow = cython.declare(cython.int, 0)
            number = cython.declare(cython.longlong)
            number = PyLong_AsLongLongAndOverflow(item, cython.address(overflow))
            if not overflow:
                return number
        return small(item)

    def _at(self, position: int, message: str) -> int:
        """Return a position from the start, given one that may count from the end; inside the latch.

        Raises:
            IndexError: there is no such value.
        """
        length = self._index.length
        if position < 0:
            position += length
        if not 0 <= position < length:
            raise IndexError(message)
        return position

    def _range(self, start: Any, stop: Any) -> tuple[int, int]:
        """Return the bounds of a range, clamped as in a slice; the first is at most the second."""
        start, stop, _ = resolved(slice(start, stop)).indices(len(self))
        return start, max(start, stop)

    # -- blobs ---------------------------------------------------------------------------------------

    def _blob(self, position: int) -> bytes:
        """Return the blob at a position below the length; the caller is inside the latch."""
        leaf = self._index.leaf(position)
        spot = self._index.spot
        return self._pager.blob(word0(leaf, spot), word1(leaf, spot))

    def _read(self, position: int, message: str) -> tuple[bytes, int]:
        """Return the blob at a position, which may count from the end, and its position from the start."""
        self._enter()
        try:
            position = self._at(position, message)
            return self._blob(position), position
        finally:
            self._latch.leave()

    def _entries_between(self, low: int, high: int) -> bytes:
        """Return the entries from ``low`` to before ``high``; these positions must exist."""
        self._enter()
        try:
            return self._index.entries(low, high)
        finally:
            self._latch.leave()

    def _read_ahead(self, position: int, step: int, most: int) -> list[bytes]:
        """Return the blobs from a position on, upwards or downwards, up to the end of its leaf.

        At most ``most`` of them, and not many more bytes than READ_AHEAD.
        """
        found: list[bytes] = []
        self._enter()
        try:
            length = self._index.length
            if not 0 <= position < length:
                return found
            room = READ_AHEAD
            leaf = self._index.leaf(position)
            spot = self._index.spot
            if step > 0:
                last = spot + min(most, self._index.leaf_end() - position) - 1
            else:
                last = max(0, spot - most + 1)
            while True:
                blob = self._pager.blob(word0(leaf, spot), word1(leaf, spot))
                found.append(blob)
                room -= len(blob)
                if spot == last or room <= 0:
                    return found
                spot += step
                # Reading the blob may have replaced the map, and so the address of the leaf.
                leaf = self._index.leaf(position + step * len(found))
        finally:
            self._latch.leave()

    def _blobs_between(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the blobs of positions ``start`` to ``stop``, as far as they exist; one leaf at a time."""
        while start < stop:
            found = self._read_ahead(start, 1, min(stop - start, LEAF_CAPACITY))
            if not found:
                return
            yield from found
            start += len(found)

    def _all_blobs(self) -> Iterator[bytes]:
        """Yield all blobs, including those that are added in the meantime."""
        return self._blobs_between(0, MAX_ADDRESS)

    def _shares_blobs_with(self, other: Any) -> "TypeGuard[Values]":
        """Return whether another object is an open list whose blobs stand for the same values here."""
        self._require_open()
        if not isinstance(other, Values):
            return False
        theirs = other
        return theirs._open and self._codec.means_the_same(theirs._codec)

    # -- within a change -----------------------------------------------------------------------------

    def _word0(self, blob: bytes) -> int:
        """Return the first word of an entry for a blob; the pager holds the blob if it is long."""
        size = len(blob)
        if size > INLINE_SIZE:
            return self._pager.hold(blob)
        if cython.compiled:
            word = cython.declare(cython.ulonglong, 0)
            memcpy(cython.address(word), cython.cast(cython.p_char, blob), size)
            return word
        else:
            return int.from_bytes(blob, "little")

    def _word1(self, blob: bytes) -> int:
        """Return the second word of an entry for a blob: its size and its checksum."""
        size = len(blob)
        if size <= INLINE_SIZE:
            return size
        if cython.compiled:
            return size | cython.cast(cython.ulonglong, crc32c_at(blob, size)) << 32
        else:
            return size | crc32c(blob) << 32

    def _entries(self, blobs: list[bytes]) -> bytes:
        """Return the entries of blobs, 16 bytes each."""
        entries = bytearray(16 * len(blobs))
        place = 0
        for blob in blobs:
            put64(entries, place, self._word0(blob))
            put64(entries, place + 8, self._word1(blob))
            place += 16
        return bytes(entries)

    def _write_out_if_full(self) -> None:
        """Write out early inside a change, if due; entries and nodes read before are not valid then."""
        if self._pager.is_full():
            self._store.write_early_in_change()

    def _excess(self, number: int) -> int:
        """Return by how much ``number`` values exceed the limit of the list."""
        return number - self._most if 0 <= self._most < number else 0

    def _trim(self, left: bool) -> None:
        """Delete the values beyond the limit of the list, at its left or at its right end."""
        more = self._excess(self._index.length)
        if more:
            start = 0 if left else self._index.length - more
            self._index.delete_range(start, start + more)


def resolved(item: slice) -> slice:
    """Return a slice of integers or None; raise the errors of a list for other bounds."""
    step = _bound(item.step)
    if step == 0:
        raise ValueError("slice step cannot be zero")
    return slice(_bound(item.start), _bound(item.stop), step)


def _bound(value: Any) -> int | None:
    """Return a bound of a slice as an integer."""
    if value is None:
        return None
    try:
        return as_index(value)
    except TypeError:
        raise TypeError("slice indices must be integers or None or have an __index__ method") from None


def ordinal(value: Any) -> int:
    """Return an argument that is an integer; raise the error of a list if it is not."""
    try:
        return as_index(value)
    except TypeError:
        raise TypeError(f"{type(value).__name__!r} object cannot be interpreted as an integer") from None


def small(value: Any) -> int:
    """Return an argument that is an integer of 64 bits; raise the errors of a list if it is not."""
    number = ordinal(value)
    if not -(1 << 63) <= number < 1 << 63:
        raise OverflowError("Python int too large to convert to C ssize_t")
    return number
