# cython: annotation_typing=False
"""ListCore: the calls of a list that must be fast, between the Python class and the index.

A value is encoded before anything is changed and decoded after the latch is left, so that what a
Blobify does, or raises, never meets a structure half changed. An error inside a change rolls the whole
transaction back.

``BufferIterator`` walks by position, as list's does: what is appended or deleted meanwhile is seen. It
reads a leaf at a time and drops what it has read when the index changed.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from operator import index as as_index
from typing import Any

from ..errors import BlobifyError, RegionClosedError, StableMemoryError
from ..layout import MAX_BLOB
from .calls import Calls
from .checksum import crc32c
from .store import Store

try:
    import cython
except ModuleNotFoundError:
    from . import _cython as cython
if not cython.compiled:
    from ..layout import INLINE_SIZE
    from .node import word0, word1
    from .words import put64

__all__ = ["BufferIterator", "ListCore"]

CHUNK = 4096
CHUNK_SIZE = 1 << 20
"""Values, and their bytes, that ``extend`` gathers before it changes the tree."""

if not cython.compiled:
    _CHUNK = CHUNK
    _CHUNK_SIZE = CHUNK_SIZE

READ_AHEAD = 65536
"""Bytes of blobs that an iterator reads at once, at the most, beyond the first."""


class ListCore(Calls):
    """A list of values in a region.

    Args:
        store: the open region.
        name: the list's name, which is in the store's catalog.
        blobify: makes blobs of values and values of blobs.
        plain: True if blobs are the values, as with ``Bytes``: decoding is left out.
    """

    __slots__ = ("_blobify", "_index", "_name", "_plain")

    def __init__(self, store: Store, name: str, blobify: Any, plain: bool) -> None:
        Calls.__init__(self, store)
        self._name = name
        self._blobify = blobify
        self._plain = plain
        self._index = store.index(name)

    def recode(self, blobify: Any, plain: bool) -> None:
        """Take another Blobify: the list was not there yet when this handle guessed."""
        self._blobify = blobify
        self._plain = plain

    def detach(self) -> None:
        """Refuse every further call, though the region may stay open."""
        where = self._store.path
        remedy = f"open {where} again" if where else "take it from its region again, or make a new one"
        self._closed = f"the list {self._name!r} is closed: {remedy}"

    # -- values and positions ------------------------------------------------------------------------

    def _decode(self, blob: bytes, position: int) -> Any:
        """Return the value of a blob."""
        if self._plain:
            return blob
        try:
            return self._blobify.from_blob(blob)
        except BlobifyError as error:
            if error.index is None:
                error.index = position
            raise

    def _encode(self, value: Any, position: int) -> bytes:
        """Return the blob of a value; ``position`` is where it is among those given, -1 if it is alone."""
        if self._plain and type(value) is bytes and not len(value) >> 32:
            return value
        try:
            blob = self._blobify.to_blob(value)
            if type(blob) is not bytes:
                blob = self._as_bytes(blob)
            if len(blob) >> 32:
                raise BlobifyError(
                    f"a value of {len(blob)} bytes is too large: a blob has at most {MAX_BLOB} bytes; "
                    f"store it in pieces"
                )
        except BlobifyError as error:
            if error.index is None and position >= 0:
                error.index = position
            raise
        return blob

    def _as_bytes(self, blob: Any) -> bytes:
        """Return what a Blobify made, which is not bytes, as bytes."""
        try:
            return bytes(memoryview(blob))
        except (TypeError, ValueError, BufferError) as error:
            found = type(blob).__name__ if isinstance(error, TypeError) else f"what cannot be read ({error})"
            raise BlobifyError(
                f"{type(self._blobify).__name__}.to_blob returned {found}, not bytes: "
                f"let it return bytes, a bytearray or a memoryview"
            ) from None

    def _position(self, item: Any) -> int:
        """Return a list index as a position, counted from the end if negative; unchecked."""
        try:
            position = as_index(item)
        except TypeError:
            raise TypeError(
                f"{type(self).__name__} indices must be integers or slices, not {type(item).__name__}"
            ) from None
        if not -(1 << 62) < position < 1 << 62:
            raise IndexError(f"cannot fit {type(item).__name__!r} into an index-sized integer")
        return position

    def _blob(self, position: int) -> bytes:
        """Return the blob at a position below the length; the caller is inside the latch."""
        leaf = self._index.leaf(position)
        slot = self._index.slot
        return self._pager.blob(word0(leaf, slot), word1(leaf, slot))

    def _read(self, item: Any, message: str) -> tuple[bytes, int]:
        """Return the blob at an index and its position."""
        position = self._position(item)
        self._enter()
        try:
            length = self._index.length
            if position < 0:
                position += length
            if not 0 <= position < length:
                raise IndexError(message)
            return self._blob(position), position
        finally:
            self._latch.leave()

    # -- reading -------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Return the number of values. O(1)."""
        if self._closed or self._latch.closed:
            raise RegionClosedError(self._closed or self._latch.closed)
        return self._index.length

    def __getitem__(self, item: Any) -> Any:
        """Return the value at an index, or a list of the values in a slice. O(log n + size)."""
        if type(item) is int:
            blob, position = self._read(item, "list index out of range")
            return self._decode(blob, position)
        if isinstance(item, slice):
            return [self._decode(blob, position) for blob, position in self._read_slice(item)]
        blob, position = self._read(item, "list index out of range")
        return self._decode(blob, position)

    def _read_slice(self, item: slice) -> list[tuple[bytes, int]]:
        """Return the blobs of a slice, all of one state, and their positions."""
        item = _resolved(item)
        found = []
        self._enter()
        try:
            for position in range(*item.indices(self._index.length)):
                found.append((self._blob(position), position))
        finally:
            self._latch.leave()
        return found

    def read_ahead(self, position: int, step: int) -> list[bytes]:
        """Return the blobs from a position on, up to the end of its leaf, upwards or downwards."""
        found: list[bytes] = []
        self._enter()
        try:
            length = self._index.length
            if not 0 <= position < length:
                return found
            room = READ_AHEAD
            leaf = self._index.leaf(position)
            slot = self._index.slot
            last = slot + self._index.leaf_end() - position - 1 if step > 0 else 0
            while True:
                blob = self._pager.blob(word0(leaf, slot), word1(leaf, slot))
                found.append(blob)
                room -= len(blob)
                if slot == last or room <= 0:
                    return found
                slot += step
                # The blob may have brought a new map, and with it another address for the leaf.
                leaf = self._index.leaf(position + step * len(found))
        finally:
            self._latch.leave()

    def version(self) -> int:
        """Return a number that changes with every change to the tree; raises once the list is closed."""
        if self._closed or self._latch.closed:
            raise RegionClosedError(self._closed or self._latch.closed)
        return self._index.version

    def __iter__(self) -> Iterator[Any]:
        """Iterate by position. O(1) a step; holds a leaf's worth of blobs."""
        return BufferIterator(self, 0, 1)

    def __reversed__(self) -> Iterator[Any]:
        """Iterate from the last to the first."""
        return BufferIterator(self, len(self) - 1, -1)

    # -- changing ------------------------------------------------------------------------------------

    def _begin_change_at(self, position: int) -> int:
        """Begin a change of the value at a position, possibly from the end; return it from the start."""
        self._begin_change()
        if position < 0:
            position += self._index.length
        if not 0 <= position < self._index.length:
            self._latch.leave()
            raise IndexError("list assignment index out of range")
        return position

    def _word0(self, blob: bytes) -> int:
        """Return the first word of an entry for a blob, which the pager holds if it is long."""
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

    def append(self, value: Any) -> None:
        """Add a value at the end. O(1) amortised plus its size."""
        blob = self._encode(value, -1)
        self._begin_change()
        try:
            self._index.insert(self._index.length, self._word0(blob), self._word1(blob))
            self._pager.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def insert(self, index: Any, value: Any) -> None:
        """Insert a value before an index, clamped to the ends as list does. O(log n)."""
        try:
            position = as_index(index)
        except TypeError:
            raise TypeError(f"{type(index).__name__!r} object cannot be interpreted as an integer") from None
        blob = self._encode(value, -1)
        self._begin_change()
        try:
            length = self._index.length
            if position < 0:
                position = max(0, position + length)
            position = min(position, length)
            self._index.insert(position, self._word0(blob), self._word1(blob))
            self._pager.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def __setitem__(self, item: Any, value: Any) -> None:
        """Replace the value at an index, or the values of a slice. O(log n), O(k + log n)."""
        if isinstance(item, slice):
            self._set_slice(item, value)
            return
        position = self._position(item)
        blob = self._encode(value, -1)
        position = self._begin_change_at(position)
        try:
            self._index.replace(position, self._word0(blob), self._word1(blob))
            self._pager.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def _set_slice(self, item: slice, values: Iterable[Any]) -> None:
        """Assign to a slice: nothing is changed unless every value could be encoded."""
        try:
            listed = list(values)
        except TypeError:
            if hasattr(values, "__iter__"):
                raise
            raise TypeError("can only assign an iterable") from None
        blobs = [self._encode(value, number) for number, value in enumerate(listed)]
        item = _resolved(item)
        self._begin_change()
        start, stop, step = item.indices(self._index.length)
        selected = range(start, stop, step)
        if step != 1 and len(selected) != len(blobs):
            self._latch.leave()
            raise ValueError(
                f"attempt to assign sequence of size {len(blobs)} to extended slice of size {len(selected)}"
            )
        try:
            if step == 1:
                self._index.delete_range(start, max(start, stop))
                self._index.insert_run(start, self._entries(blobs))
            else:
                for position, blob in zip(selected, blobs, strict=True):
                    self._index.replace(position, self._word0(blob), self._word1(blob))
            self._pager.changes += max(len(blobs), len(selected))
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def _entries(self, blobs: list[bytes]) -> bytes:
        """Return the entries of blobs, 16 bytes each."""
        entries = bytearray(16 * len(blobs))
        place = 0
        for blob in blobs:
            put64(entries, place, self._word0(blob))
            put64(entries, place + 8, self._word1(blob))
            place += 16
        return bytes(entries)

    def __delitem__(self, item: Any) -> None:
        """Delete the value at an index, or the values of a slice. O(log n), O(k + log n)."""
        if isinstance(item, slice):
            self._delete_slice(item)
            return
        position = self._position(item)
        position = self._begin_change_at(position)
        try:
            self._index.delete(position)
            self._pager.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def _delete_slice(self, item: slice) -> None:
        """Delete a slice: one range for step 1, value by value from the end otherwise."""
        item = _resolved(item)
        self._begin_change()
        try:
            start, stop, step = item.indices(self._index.length)
            selected = range(start, stop, step)
            if step == 1:
                self._index.delete_range(start, max(start, stop))
            else:
                for position in selected if step < 0 else reversed(selected):
                    self._index.delete(position)
            self._pager.changes += len(selected)
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def pop(self, index: Any = -1) -> Any:
        """Delete the value at an index and return it. O(log n)."""
        if len(self) == 0:
            raise IndexError("pop from empty list")
        with self._store.exclusive():
            blob, position = self._read(index, "pop index out of range")
            value = self._decode(blob, position)
            del self[position]
        self._relieve()
        return value

    def extend(self, values: Iterable[Any]) -> None:
        """Add all values of an iterable at the end, or none of them. O(1) amortised each.

        Any iterable, of any length, in bounded memory; a list extended by itself is doubled.
        """
        if values is self:
            values = self[:]
        iterator = iter(values)
        with self._store.exclusive():
            before = len(self)
            changes = self._pager.changes
            number = self._store.slot.transaction
            try:
                self._append_all(iterator)
            except BaseException:
                # What the iterable has committed itself goes with the next commit.
                committed = self._store.slot.transaction != number
                if len(self) > before and (self._pager.ready or committed):
                    with suppress(StableMemoryError):
                        self._delete_slice(slice(before, None))
                    if not committed:
                        self._pager.changes = changes
                raise
        self._relieve()

    def _append_all(self, values: Iterator[Any]) -> None:
        """Add values at the end, so many at a time."""
        blobs: list[bytes] = []
        size = 0
        for number, value in enumerate(values):
            blob = self._encode(value, number)
            blobs.append(blob)
            size += len(blob)
            if len(blobs) >= _CHUNK or size > _CHUNK_SIZE:
                self._append_blobs(blobs)
                blobs = []
                size = 0
        self._append_blobs(blobs)

    def _append_blobs(self, blobs: list[bytes]) -> None:
        """Add blobs at the end."""
        if not blobs:
            return
        self._begin_change()
        try:
            self._index.insert_run(self._index.length, self._entries(blobs))
            self._pager.changes += len(blobs)
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def clear(self) -> None:
        """Delete all values. O(n): every blob is freed."""
        self._delete_slice(slice(None))


def _resolved(item: slice) -> slice:
    """Return a slice of integers or None, with list's errors for what is neither."""
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


class BufferIterator:
    """An iterator over a ListCore, by position.

    Args:
        core: the list.
        position: where to begin.
        step: 1 or -1.
    """

    __slots__ = ("_blobs", "_core", "_place", "_position", "_step", "_version")

    def __init__(self, core: ListCore, position: int, step: int) -> None:
        self._core: ListCore | None = core
        self._position = position
        self._step = step
        self._blobs: list[bytes] = []
        self._place = 0
        self._version = 0

    def __iter__(self) -> "BufferIterator":
        return self

    def __next__(self) -> Any:
        core = self._core
        if core is None:
            raise StopIteration
        if self._place >= len(self._blobs) or self._version != core.version():
            # The version first: what changes while the blobs are read makes them stale.
            self._blobs = []
            self._place = 0
            self._version = core.version()
            self._blobs = core.read_ahead(self._position, self._step)
            if not self._blobs:
                self._core = None
                raise StopIteration
        blob = self._blobs[self._place]
        position = self._position
        self._place += 1
        self._position += self._step
        return core._decode(blob, position)

    def __length_hint__(self) -> int:
        """Return how many values are left."""
        if self._core is None:
            return 0
        if self._step < 0:
            return max(0, self._position + 1)
        return max(0, len(self._core) - self._position)
