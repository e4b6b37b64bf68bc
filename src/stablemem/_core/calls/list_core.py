# cython: annotation_typing=False
"""ListCore: the calls of a list that must be fast, between the Python class and the index.

The layers below it, each a class over the one before:

    values.py    blobs of values, entries of blobs, positions of indices
    slices.py    many values at once
    moving.py    pointers into another order

``BufferIterator`` walks by position, as list's does: what is changed meanwhile is seen. It reads a leaf at a
time. When the list changed, it drops what it has read of the positions that the change was of, and reads less
ahead if all of it went.
"""

from collections.abc import Iterator
from typing import Any

from .order import Moving

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ...layout import INLINE_SIZE, LEAF_CAPACITY
    from ..format.words import low32
    from ..tree.measure import measure
    from ..tree.node import word0, word1
    from .shortcuts import BYTES, MSGPACK

__all__ = ["BufferIterator", "ListCore"]

POP_EMPTY, POP_RANGE = "pop from empty list", "pop index out of range"


class ListCore(Moving):
    """A list of values in a region; its arguments are those of Values."""

    __slots__ = ()

    # -- reading -------------------------------------------------------------------------------------

    def __getitem__(self, item: Any) -> Any:
        """Return the value at an index, or a list of the values in a slice. O(log n + size)."""
        if type(item) is not int and isinstance(item, slice):
            return self._get_slice(item)
        return self._value(self._position(item))

    def get(self, index: Any, default: Any = None) -> Any:
        """Return the value at an index, or ``default`` if it is out of range. O(log n + size).

        >>> from stablemem import MemoryBuffer
        >>> letters = MemoryBuffer.from_iterable("abc")
        >>> letters.get(-1), letters.get(3), letters.get(3, "none")
        ('c', None, 'none')
        """
        try:
            blob, position = self._read(index, "")
        except IndexError:
            return default
        return self._decode(blob, position)

    def blob_view(self, index: Any) -> memoryview:
        """Return a read-only view of the bytes of a value. O(log n), plus its size to verify the checksum.

        From a reader or snapshot it is a view of the file's own memory, and keeps the snapshot open as long
        as the view exists. From a list that is open for writing it is a copy, because freed space may be
        written again. A value of up to 8 bytes is always copied.

        Raises:
            IndexError: the index is out of range.

        >>> from stablemem import MemoryBuffer
        >>> texts = MemoryBuffer.from_iterable(["seen without a copy"], blobify="text")
        >>> with texts.snapshot() as snapshot:
        ...     bytes(snapshot.blob_view(0)[:4])
        b'seen'
        """
        version = self.version()
        blob, position = self._read(index, "list index out of range")
        if self._store.writable or len(blob) <= INLINE_SIZE:
            return memoryview(blob)
        self._enter()
        try:
            # A refresh in another thread: what is there now is something else.
            if self._index.version != version:
                return memoryview(blob)
            leaf = self._index.leaf(position)
            first = word0(leaf, self._index.slot)
            return self._pager.region.view(first, len(blob))
        finally:
            self._latch.leave()

    def __iter__(self) -> Iterator[Any]:
        """Iterate by position. O(1) a step; holds up to 255 blobs."""
        len(self)
        return BufferIterator(self, 0, 1)

    def __reversed__(self) -> Iterator[Any]:
        """Iterate from the last to the first."""
        return BufferIterator(self, len(self) - 1, -1)

    def _match(self, position: int, stop: int, step: int, blob: bytes, value: Any, exact: bool) -> int:
        """Return the first position from one on, before another, whose value equals one sought; -1 for none.

        Args:
            position: where to begin.
            stop: where to end: above it for step 1, below it for step -1.
            step: 1 or -1.
            blob: the blob of the value sought.
            value: what that blob says: the value, as it would come back from the list.
            exact: whether equal values always have equal blobs, so that nothing has to be decoded.
        """
        walk = BufferIterator(self, position, step, True)
        while position < stop if step > 0 else position > stop:
            if walk._place >= len(walk._blobs) or walk._version != self.version():
                walk._renew(self)
                if not walk._blobs:
                    return -1
            found = walk._blobs[walk._place]
            walk._place += 1
            walk._position += step
            if found == blob or (not exact and self._decode(found, position) == value):
                return position
            position += step
        return -1

    def _measure(self) -> tuple[int, int, int, int]:
        """Return how many values there are, the bytes of their blobs, and how many nodes and leaves."""
        self._enter()
        try:
            return self._index.length, *measure(self._index)
        finally:
            self._latch.leave()

    # -- changing ------------------------------------------------------------------------------------

    def append(self, value: Any) -> None:
        """Add a value at the end. O(1) amortised plus its size.

        With ``maxlen``, a full list drops its first value.
        """
        blob = self._encode(value, -1)
        self._begin_change()
        try:
            self._index.insert(self._index.length, self._word0(blob), self._word1(blob))
            if 0 <= self._most < self._index.length:
                self._trim()
            self._store.tx.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def appendleft(self, value: Any) -> None:
        """Add a value before the first one. O(log n) plus its size.

        With ``maxlen``, a full list drops its last value.

        >>> from stablemem import MemoryBuffer
        >>> letters = MemoryBuffer.from_iterable("bc")
        >>> letters.appendleft("a"); letters
        MemoryBuffer(['a', 'b', 'c'])
        >>> letters.close()
        """
        blob = self._encode(value, -1)
        self._begin_change()
        try:
            self._index.insert(0, self._word0(blob), self._word1(blob))
            if 0 <= self._most < self._index.length:
                self._index.delete_range(self._most, self._index.length)
            self._store.tx.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def insert(self, index: Any, value: Any) -> None:
        """Insert a value before an index, clamped to the ends as list does. O(log n).

        Raises:
            IndexError: with ``maxlen``, the list is full.
        """
        self._insert(self._small(index), value)

    def _insert(self, position: int, value: Any) -> None:
        """Insert a value before a position, which may count from the end, and is clamped."""
        blob = self._encode(value, -1)
        self._enter_change()
        length = self._index.length
        if 0 <= self._most <= length:
            self._latch.leave()
            raise IndexError("list already at its maximum size")
        self._begin()
        try:
            if position < 0:
                position = max(position + length, 0)
            position = min(position, length)
            self._index.insert(position, self._word0(blob), self._word1(blob))
            self._store.tx.changes += 1
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
        position = self._begin_change_at(position, "list assignment index out of range")
        try:
            self._index.replace(position, self._word0(blob), self._word1(blob))
            self._store.tx.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def __delitem__(self, item: Any) -> None:
        """Delete the value at an index, or the values of a slice. O(log n), O(k + log n)."""
        if isinstance(item, slice):
            self._delete_slice(item)
            return
        position = self._position(item)
        position = self._begin_change_at(position, "list assignment index out of range")
        try:
            self._index.delete(position)
            self._store.tx.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def pop(self, index: Any = -1) -> Any:
        """Delete the value at an index and return it. O(log n)."""
        return self._pop(self._small(index))

    def popleft(self) -> Any:
        """Delete the first value and return it. O(log n).

        Raises:
            IndexError: the list is empty.

        >>> from stablemem import MemoryBuffer
        >>> letters = MemoryBuffer.from_iterable("abc")
        >>> letters.popleft(), letters
        ('a', MemoryBuffer(['b', 'c']))
        >>> letters.close()
        """
        return self._pop(0)

    def _pop(self, index: int) -> Any:
        """Delete the value at an index and return it."""
        if self._form:
            value = self._pop_known(index)
            if value is not NotImplemented:
                return value
        return self._pop_decoded(index, False)

    def _pop_known(self, index: int) -> Any:
        """Delete the value at an index and return it; NotImplemented if only its Blobify knows: it stays."""
        position = self._begin_change_at(index, POP_RANGE if self._index.length else POP_EMPTY)
        changing = True
        try:
            leaf = self._index.owned(position)
            slot = self._index.slot
            first = word0(leaf, slot)
            second = word1(leaf, slot)
            # What is wrong with the blob alone leaves the transaction as it is.
            changing = False
            if self._form > BYTES and low32(second) <= INLINE_SIZE:
                value = self._inline(first, second)
            elif self._form == MSGPACK:
                # Likely a container, whose blob would be read for nothing.
                value = NotImplemented
            else:
                value = self._known(self._pager.blob(first, second))
            if value is not NotImplemented:
                changing = True
                self._index.delete_owned(position)
                self._store.tx.changes += 1
        except BaseException as error:
            if changing:
                self._fail(error)
            else:
                self._latch.leave()
            raise
        if value is NotImplemented:
            self._latch.leave()
        else:
            self._end_change()
        return value

    def _pop_decoded(self, index: int, alone: bool) -> Any:
        """Delete the value at an index and return what its Blobify made of it before.

        Args:
            index: of the value.
            alone: whether no other thread can have changed the list in between.

        Raises:
            RuntimeError: its Blobify changes the list.
        """
        # The version first: what changes while the blob is read makes it stale.
        version = self._index.version
        try:
            blob, position = self._read_at(index, POP_RANGE if self._index.length else POP_EMPTY)
        except IndexError:
            self._require_writable()
            raise
        value = self._decode(blob, position)
        self._enter_change()
        if self._index.version != version:
            self._latch.leave()
            if alone:
                raise RuntimeError("list changed during pop: its Blobify must not change the list")
            with self._store.exclusive():
                value = self._pop_decoded(index, True)
            self._relieve()
            return value
        self._begin()
        try:
            self._index.delete(position)
            self._store.tx.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()
        return value


class BufferIterator:
    """An iterator over a ListCore, by position.

    Args:
        core: the list.
        position: where to begin.
        step: 1 or -1.
        raw: whether to give blobs instead of values.
    """

    __slots__ = ("_ahead", "_blobs", "_core", "_place", "_position", "_raw", "_step", "_version")

    def __init__(self, core: ListCore, position: int, step: int, raw: bool = False) -> None:
        self._core: ListCore | None = core
        self._position = position
        self._step = step
        self._raw = raw
        self._blobs: list[bytes] = []
        self._place = 0
        self._version = 0
        self._ahead = LEAF_CAPACITY

    def __iter__(self) -> "BufferIterator":
        return self

    def __next__(self) -> Any:
        core = self._core
        if core is None:
            raise StopIteration
        if self._place >= len(self._blobs) or self._version != core.version():
            self._renew(core)
            if not self._blobs:
                self._core = None
                raise StopIteration
        blob = self._blobs[self._place]
        position = self._position
        self._place += 1
        self._position += self._step
        return blob if self._raw else core._decode(blob, position)

    def _renew(self, core: ListCore) -> None:
        """Drop what has changed of what was read ahead; if nothing is left of it, read on."""
        # The version first: what changes while the blobs are read makes them stale.
        version = core.version()
        left = len(self._blobs) - self._place
        if left:
            kept = core._index.kept(self._version, version, self._position, self._step, left)
            if kept < left:
                # The next time no more than twice what is of use this time.
                self._ahead = self._place + kept
                del self._blobs[self._ahead :]
            if kept:
                self._version = version
                return
        self._ahead = min(max(1, 2 * self._ahead), LEAF_CAPACITY)
        self._blobs = []
        self._place = 0
        self._version = version
        self._blobs = core.read_ahead(self._position, self._step, self._ahead)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle as the list and the position, as list's iterators do."""
        if self._core is None:
            return iter, ((),)
        return BufferIterator, (self._core, self._position, self._step, self._raw)

    def __length_hint__(self) -> int:
        """Return how many values are left."""
        if self._core is None:
            return 0
        if self._step < 0:
            return max(0, self._position + 1)
        return max(0, len(self._core) - self._position)
