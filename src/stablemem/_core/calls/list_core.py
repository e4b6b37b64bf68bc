# cython: annotation_typing=False
"""ListCore: a table of contents of all calls of a list, with the code of those that must be fast.

values.py       the list itself, and the steps that calls consist of
walking.py      reads from one value to the next: iterators, searches, pointers
slicing.py      reads, assigns and deletes many values
extending.py    adds many values
order.py        puts pointers into another order
sorting.py      sorts
"""

from collections.abc import Iterable, Iterator
from typing import Any

from . import extending, order, slicing, walking
from .values import Values

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ..tree.node import word0, word1
    from .shortcuts import MSGPACK

__all__ = ["ListCore"]

POP_EMPTY, POP_RANGE = "pop from empty list", "pop index out of range"

RAISE = object()
"""Used instead of a default: an IndexError is raised."""


class ListCore(Values):
    """A list of values in a region; its arguments are those of Values."""

    __slots__ = ()

    # -- reading -------------------------------------------------------------------------------------

    def __getitem__(self, item: Any) -> Any:
        """Return the value at an index, or a list of the values in a slice. O(log n + size)."""
        if type(item) is not int and isinstance(item, slice):
            return slicing.get(self, item)
        return self._value(self._position(item), RAISE)

    def get(self, index: Any, default: Any = None) -> Any:
        """Return the value at an index, or ``default`` if it is out of range. O(log n + size).

        >>> from stablemem import MemoryBuffer
        >>> letters = MemoryBuffer.from_iterable("abc")
        >>> letters.get(-1), letters.get(3), letters.get(3, "none")
        ('c', None, 'none')
        """
        try:
            position = self._position(index)
        except IndexError:
            return default
        return self._value(position, default)

    def _value(self, position: int, default: Any) -> Any:
        """Return the value at a position, which may count from the end; the default if there is none."""
        self._enter()
        try:
            length = self._index.length
            if position < 0:
                position += length
            if not 0 <= position < length:
                if default is RAISE:
                    raise IndexError("list index out of range")
                return default
            leaf = self._index.leaf(position)
            spot = self._index.spot
            first = word0(leaf, spot)
            second = word1(leaf, spot)
            if self._codec.knows:
                value = self._codec.known(first, second)
                if value is not NotImplemented:
                    return value
            blob = self._pager.blob(first, second)
        finally:
            self._latch.leave()
        return self._codec.decode(blob, position)

    def get_many(self, indices: Any) -> list[Any]:
        """Return the values at indices, in the given order. O(k log k + k) for k indices.

        All values are of one state of the list. Each page of the index is read once. Negative indices count
        from the end. ``__getitems__``, which data loaders call, does the same.

        Raises:
            IndexError: one of the indices is out of range; nothing was read.

        >>> from stablemem import MemoryBuffer
        >>> MemoryBuffer.from_iterable("abcdef").get_many([5, 0, -2, 0])
        ['f', 'a', 'e', 'a']
        """
        return slicing.get_many(self, indices)

    def __getitems__(self, indices: Any) -> list[Any]:
        """Return ``get_many(indices)``."""
        return slicing.get_many(self, indices)

    def blob_view(self, index: Any) -> memoryview:
        """Return a read-only view of the bytes of a value. O(log n), plus its size to verify the checksum.

        From a reader or snapshot, it is a view of the file's own memory, which keeps the snapshot open as
        long as the view exists. From a list that is open for writing, it is a copy, because freed space may
        be written again. A value of up to 8 bytes is always copied.

        Raises:
            IndexError: the index is out of range.

        >>> from stablemem import MemoryBuffer
        >>> texts = MemoryBuffer.from_iterable(["seen without a copy"], blobify="text")
        >>> with texts.snapshot() as snapshot:
        ...     bytes(snapshot.blob_view(0)[:4])
        b'seen'
        """
        return walking.view(self, index)

    def __iter__(self) -> Iterator[Any]:
        """Iterate by position. O(1) for each step; holds up to 255 blobs."""
        len(self)
        return walking.BufferIterator(self, 0, 1)

    def __reversed__(self) -> Iterator[Any]:
        """Iterate from the last to the first."""
        return walking.BufferIterator(self, len(self) - 1, -1)

    def pointers(
        self, start: Any = 0, stop: Any = None, *, reverse: bool = False
    ) -> Iterator[tuple[int, int]]:
        """Iterate over (address, size) of the blobs in a range of positions, in bytes.

        A value of up to 8 bytes is inside its pointer, and its address is 0. Uncommitted values are written
        out first, so that all have an address. The bounds are those of a slice, and are fixed by this call.
        If the list changes in the meantime, the iterator goes on by position. O(1) for each step.

        >>> from stablemem import MemoryBuffer
        >>> texts = MemoryBuffer.from_iterable(["short", "more than eight bytes"], blobify="text")
        >>> [(address > 0, size) for address, size in texts.pointers()]
        [(False, 5), (True, 21)]
        """
        return walking.pointers(self, start, stop, reverse)

    def _measure(self) -> tuple[int, int, int, int]:
        """Return the number of values, the bytes of their blobs, and the numbers of nodes and leaves."""
        return walking.sizes(self)

    # -- adding --------------------------------------------------------------------------------------

    def append(self, value: Any) -> None:
        """Add a value at the end. O(1) amortised, plus its size.

        With ``maxlen``, a full list drops its first value.
        """
        if not self._open:
            self._refuse()
        blob = self._codec.encode(value, -1)
        self._begin_change()
        try:
            self._index.insert(self._index.length, self._word0(blob), self._word1(blob))
            if self._most >= 0:
                self._trim(True)
            self._store.tx.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def appendleft(self, value: Any) -> None:
        """Add a value before the first one. O(log n), plus its size.

        With ``maxlen``, a full list drops its last value.

        >>> from stablemem import MemoryBuffer
        >>> letters = MemoryBuffer.from_iterable("bc")
        >>> letters.appendleft("a"); letters
        MemoryBuffer(['a', 'b', 'c'])
        >>> letters.close()
        """
        if not self._open:
            self._refuse()
        blob = self._codec.encode(value, -1)
        self._begin_change()
        try:
            self._index.insert(0, self._word0(blob), self._word1(blob))
            self._trim(False)
            self._store.tx.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def insert(self, index: Any, value: Any) -> None:
        """Insert a value before an index, which is clamped to the ends as in a list. O(log n).

        Raises:
            IndexError: with ``maxlen``, the list is full.
        """
        self._insert(self._small(index), value)

    def _insert(self, position: int, value: Any) -> None:
        """Insert a value before a position, which may count from the end, and is clamped."""
        if not self._open:
            self._refuse()
        blob = self._codec.encode(value, -1)
        self._enter_change()
        length = self._index.length
        if self._most >= 0 and self._excess(length + 1):
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

    def extend(self, values: Iterable[Any]) -> None:
        """Add all values of an iterable at the end, or none of them. O(1) amortised for each value.

        The iterable may have any length; the use of memory is limited. A list that is extended by itself is
        doubled. From a list with the same Blobify, blobs are copied without decoding. With ``maxlen``, the
        newest values stay.

        >>> from stablemem import MemoryBuffer
        >>> numbers = MemoryBuffer.from_iterable([1, 2])
        >>> numbers.extend(n * n for n in range(4)); numbers
        MemoryBuffer([1, 2, 0, 1, 4, 9])
        >>> numbers.close()
        """
        extending.extend(self, values)

    def extendleft(self, values: Iterable[Any]) -> None:
        """Add the values of an iterable before the first, one by one, so that their order is reversed.

        ``collections.deque`` does the same. All values are added, or none. They are held in memory during the
        call. At most O(log n) for each value. With ``maxlen``, values at the right end are dropped.

        >>> from stablemem import MemoryBuffer
        >>> letters = MemoryBuffer.from_iterable("x")
        >>> letters.extendleft("abc"); letters
        MemoryBuffer(['c', 'b', 'a', 'x'])
        >>> letters.close()
        """
        extending.extend_left(self, values)

    def _append_copies(self, value: Any, number: int) -> None:
        """Add a value at the end ``number`` times; it is encoded once."""
        extending.add_copies(self, value, number)

    def __iadd__(self, values: Iterable[Any]) -> Any:
        """Extend by the values and return the list."""
        extending.extend(self, values)
        return self

    def __imul__(self, times: Any) -> Any:
        """Repeat the values ``times`` times in place; 0 or less leaves an empty list."""
        extending.repeat(self, times)
        return self

    def _limit(self, most: int) -> None:
        """From now on, keep at most ``most`` values, -1 for any number; delete the first ones beyond that."""
        slicing.limit(self, most)

    # -- replacing and deleting ----------------------------------------------------------------------

    def __setitem__(self, item: Any, value: Any) -> None:
        """Replace the value at an index, or the values of a slice. O(log n), O(k + log n)."""
        if isinstance(item, slice):
            slicing.assign(self, item, value)
            return
        if not self._open:
            self._refuse()
        position = self._position(item)
        blob = self._codec.encode(value, -1)
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
            slicing.delete(self, item)
            return
        position = self._begin_change_at(self._position(item), "list assignment index out of range")
        try:
            self._index.delete(position)
            self._store.tx.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def _begin_change_at(self, position: int, message: str) -> int:
        """Begin a change of the value at a position, which may count from the end; return it from the start.

        Raises:
            ReadOnlyError: the list may not be changed.
            IndexError: there is no such value; nothing was begun.
        """
        self._enter_change()
        length = self._index.length
        if position < 0:
            position += length
        if not 0 <= position < length:
            self._latch.leave()
            self._require_writable()
            raise IndexError(message if length or message != POP_RANGE else POP_EMPTY)
        self._begin()
        return position

    def clear(self) -> None:
        """Delete all values. O(n): every blob is freed."""
        slicing.delete(self, slice(None))

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
        if not self._open:
            self._refuse()
        if self._codec.form:
            value = self._pop_known(index)
            if value is not NotImplemented:
                return value
        return self._pop_decoded(index, False)

    def _pop_known(self, index: int) -> Any:
        """Delete the value at an index and return it; if it needs its Blobify, only return NotImplemented."""
        position = self._begin_change_at(index, POP_RANGE)
        changing = True
        try:
            leaf = self._index.owned(position)
            spot = self._index.spot
            first = word0(leaf, spot)
            second = word1(leaf, spot)
            # If only the blob is at fault, the transaction is not rolled back.
            changing = False
            value = self._codec.known(first, second)
            if value is NotImplemented and self._codec.form != MSGPACK:
                # In MessagePack it is probably a container, and its blob would be read in vain.
                value = self._codec.known_blob(self._pager.blob(first, second))
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
        """Delete the value at an index and return it; its Blobify decodes it first.

        Args:
            index: the index of the value.
            alone: whether no other thread can have changed the list in between.

        Raises:
            RuntimeError: the Blobify changes the list.
        """
        # The version is read first: a change while the blob is read makes the blob stale.
        version = self._version()
        try:
            blob, position = self._read(index, POP_RANGE if self._index.length else POP_EMPTY)
        except IndexError:
            self._require_writable()
            raise
        value = self._codec.decode(blob, position)
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

    # -- order ---------------------------------------------------------------------------------------

    def swap(self, i: Any, j: Any) -> None:
        """Exchange two values. O(log n) for values of any size: only pointers move.

        Raises:
            IndexError: one of the indices is out of range.

        >>> from stablemem import MemoryBuffer
        >>> letters = MemoryBuffer.from_iterable("abc")
        >>> letters.swap(0, -1); letters
        MemoryBuffer(['c', 'b', 'a'])
        >>> letters.close()
        """
        order.swap(self, i, j)

    def swap_remove(self, index: Any) -> Any:
        """Delete the value at an index and return it; the last value takes its place. O(log n).

        Raises:
            IndexError: the index is out of range.
            RuntimeError: decoding the value has changed the list; nothing was deleted.

        >>> from stablemem import MemoryBuffer
        >>> letters = MemoryBuffer.from_iterable("abcd")
        >>> letters.swap_remove(0), letters
        ('a', MemoryBuffer(['d', 'b', 'c']))
        >>> letters.close()
        """
        return order.swap_remove(self, index)

    def reverse(self) -> None:
        """Reverse the list in place. O(n): only pointers move.

        >>> from stablemem import MemoryBuffer
        >>> letters = MemoryBuffer.from_iterable("abc")
        >>> letters.reverse(); letters
        MemoryBuffer(['c', 'b', 'a'])
        >>> letters.close()
        """
        order.reverse(self)

    def rotate(self, n: Any = 1) -> None:
        """Rotate the list ``n`` steps to the right, as ``deque.rotate``; to the left if ``n`` is negative.

        O(log n) for any number of steps: the index is cut into two parts, which change places.

        >>> from stablemem import MemoryBuffer
        >>> letters = MemoryBuffer.from_iterable("abcd")
        >>> letters.rotate(1); letters
        MemoryBuffer(['d', 'a', 'b', 'c'])
        >>> letters.close()
        """
        order.rotate(self, n)

    def shuffle(self, rng: Any = None) -> None:
        """Put the values in random order; every order is equally likely. O(n): only pointers move.

        It is a Fisher-Yates shuffle of the pointers. For more than a million values, the pointers are in a
        temporary file during the call, 16 bytes each, so that the use of memory is limited.

        Args:
            rng: the source of random numbers: a ``random.Random``, or any object with its ``randrange``; None
                takes the ``random`` module.

        Raises:
            ValueError: ``rng`` has changed the list; the list stays as ``rng`` left it.

        >>> import random
        >>> from stablemem import MemoryBuffer
        >>> numbers = MemoryBuffer.from_iterable(range(5))
        >>> numbers.shuffle(random.Random(1)); sorted(numbers)
        [0, 1, 2, 3, 4]
        >>> numbers.close()
        """
        order.shuffle(self, rng)
