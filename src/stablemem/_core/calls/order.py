# cython: annotation_typing=False
"""Moving: the calls that put the values of a list into another order, by their pointers alone.

No blob is read, moved or written; what is written is leaves. ``reverse`` and ``shuffle`` go through the
list in pieces, so that memory stays bounded.
"""

import random
from array import array
from collections.abc import Iterator
from itertools import islice
from mmap import mmap
from tempfile import TemporaryFile
from typing import Any

from ...shown import shown
from .slices import PIECE, Slices
from .values import ordinal, small

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ..tree.rotation import rotate_index

__all__ = ["Moving"]

IN_MEMORY = 1 << 20
"""Values whose pointers ``shuffle`` holds in memory; those of more lie in a temporary file."""


class Moving(Slices):
    """What a list does to the order of its values; its arguments are those of Values."""

    __slots__ = ()

    def _two(self, one: int, two: int) -> tuple[int, int]:
        """Begin a change of two positions, possibly from the end; return them from the start."""
        self._begin_change()
        length = self._index.length
        one += length if one < 0 else 0
        two += length if two < 0 else 0
        if not (0 <= one < length and 0 <= two < length):
            self._latch.leave()
            raise IndexError("list index out of range")
        return one, two

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
        one, two = self._two(self._position(i), self._position(j))
        try:
            self._exchange(one, two)
            self._store.tx.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def _exchange(self, one: int, two: int) -> None:
        """Exchange the entries of two positions; the caller is inside a change."""
        if one != two:
            entry = self._index.entries(one, one + 1)
            self._index.put_entries_at(one, self._index.entries(two, two + 1))
            self._index.put_entries_at(two, entry)

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
        with self._store.exclusive():
            self._require_writable()
            version = self.version()
            blob, position = self._read(index, "list index out of range")
            value = self._decode(blob, position)
            if self.version() != version:
                raise RuntimeError("list changed during swap_remove: its Blobify must not change the list")
            one, last = self._two(position, -1)
            try:
                self._exchange(one, last)
                self._index.delete(last)
                self._store.tx.changes += 1
            except BaseException as error:
                self._fail(error)
                raise
            self._end_change()
        self._relieve()
        return value

    def reverse(self) -> None:
        """Reverse the list in place. O(n): only pointers move.

        >>> from stablemem import MemoryBuffer
        >>> letters = MemoryBuffer.from_iterable("abc")
        >>> letters.reverse(); letters
        MemoryBuffer(['c', 'b', 'a'])
        >>> letters.close()
        """
        with self._store.exclusive():
            half = len(self) // 2
            self._in_pieces(range(0, half, PIECE), lambda low: self._mirror(low, min(low + PIECE, half)))
        self._relieve()

    def _mirror(self, low: int, high: int) -> None:
        """Exchange positions ``low`` to ``high`` with those as far from the end, the other way round."""
        length = self._index.length
        front = self._index.entries(low, high)
        back = self._index.entries(length - high, length - low)
        self._index.put_entries_at(low, _backwards(back))
        self._index.put_entries_at(length - high, _backwards(front))
        self._store.tx.changes += high - low

    def rotate(self, n: Any = 1) -> None:
        """Rotate the list ``n`` steps to the right, as ``deque.rotate``; to the left if ``n`` is negative.

        O(log n) for any number of steps: the index is cut in two, and the parts change places.

        >>> from stablemem import MemoryBuffer
        >>> letters = MemoryBuffer.from_iterable("abcd")
        >>> letters.rotate(1); letters
        MemoryBuffer(['d', 'a', 'b', 'c'])
        >>> letters.close()
        """
        steps = small(n)
        self._begin_change()
        try:
            length = self._index.length
            if length:
                rotate_index(self._index, -steps % length)
                self._store.tx.changes += 1
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def shuffle(self, rng: Any = None) -> None:
        """Put the values in random order; every order is equally likely. O(n): only pointers move.

        It is a Fisher-Yates shuffle of the pointers. For more than a million values, the pointers are kept
        in a temporary file meanwhile, 16 bytes each, so that memory stays bounded.

        Args:
            rng: gives the random numbers: a ``random.Random``, or any object with its ``randrange``; None
                takes the ``random`` module.

        Raises:
            ValueError: ``rng`` changed the list meanwhile; the list stays as ``rng`` left it.

        >>> import random
        >>> from stablemem import MemoryBuffer
        >>> numbers = MemoryBuffer.from_iterable(range(5))
        >>> numbers.shuffle(random.Random(1)); sorted(numbers)
        [0, 1, 2, 3, 4]
        >>> numbers.close()
        """
        randrange = (random if rng is None else rng).randrange
        with self._store.exclusive():
            length = len(self)
            # Written out, a blob keeps its address whatever is written after it.
            self._place_blobs()
            if length <= IN_MEMORY:
                self._deal(bytearray(16 * length), length, randrange)
            else:
                with TemporaryFile() as file:
                    file.truncate(16 * length)
                    with mmap(file.fileno(), 16 * length) as room:
                        self._deal(room, length, randrange)
        self._relieve()

    def _place_blobs(self) -> None:
        """Write out what is pending, if anything is."""
        if self._pager.pending_bytes:
            self._store.write_early()

    def _deal(self, room: Any, length: int, randrange: Any) -> None:
        """Shuffle the pointers within a buffer that has room for them, and put them back."""
        version = self.version()
        for low in range(0, length, PIECE):
            part = self._entries_between(low, min(low + PIECE, length))
            room[16 * low : 16 * low + len(part)] = part
        with memoryview(room) as view, view.cast("Q") as words:
            _fisher_yates(words, length, randrange)
        if self.version() != version:
            raise ValueError("list modified during shuffle: rng must not change the list")
        self._in_pieces(
            range(0, length, PIECE), lambda low: self._put(low, bytes(room[16 * low : 16 * (low + PIECE)]))
        )

    def _put(self, low: int, entries: bytes) -> None:
        """Overwrite entries within a change."""
        self._index.put_entries_at(low, entries)
        self._store.tx.changes += len(entries) // 16

    def _entries_between(self, low: int, high: int) -> bytes:
        """Return the entries of positions that exist."""
        self._enter()
        try:
            return self._index.entries(low, high)
        finally:
            self._latch.leave()

    def pointers(
        self, start: Any = 0, stop: Any = None, *, reverse: bool = False
    ) -> Iterator[tuple[int, int]]:
        """Iterate over (address, size) of the blobs in a range of positions, in bytes.

        A value of up to 8 bytes is kept inside its pointer, and its address is 0. Uncommitted values are
        written out first, so that all have an address. The bounds are those of a slice, and are fixed by this
        call. If the list changes meanwhile, the iterator goes on by position. O(1) a step.

        >>> from stablemem import MemoryBuffer
        >>> texts = MemoryBuffer.from_iterable(["short", "more than eight bytes"], blobify="text")
        >>> [(address > 0, size) for address, size in texts.pointers()]
        [(False, 5), (True, 21)]
        """
        first, last = self._range(start, stop)
        return islice(self._pointers(first, last, reverse), last - first)

    def _pointers(self, first: int, last: int, reverse: bool) -> Iterator[tuple[int, int]]:
        """Yield the pointers of positions as they are now, so many leaves' worth at a time."""
        while first < last:
            part = range(max(first, last - 256), last) if reverse else range(first, min(first + 256, last))
            with self._store.exclusive():
                self._place_blobs()
                stop = min(part.stop, len(self))
                entries = self._entries_between(min(part.start, stop), stop)
            words = array("Q", entries)
            pairs = list(zip(words[0::2], words[1::2], strict=True))
            for address, second in reversed(pairs) if reverse else pairs:
                size = second & 0xFFFFFFFF
                yield (address if size > 8 else 0), size
            if reverse:
                last = part.start
            elif stop < part.stop:
                return
            else:
                first = part.stop


def _backwards(entries: bytes) -> bytes:
    r"""Return entries in reverse.

    >>> _backwards(bytes([1] * 16 + [2] * 16))[::8]
    b'\x02\x02\x01\x01'
    """
    words = array("Q", entries)
    words[0::2], words[1::2] = words[-2::-2], words[-1::-2]
    return words.tobytes()


def _fisher_yates(words: Any, number: int, randrange: Any) -> None:
    """Shuffle pairs of words."""
    for last in range(number - 1, 0, -1):
        other = ordinal(randrange(last + 1))
        if not 0 <= other <= last:
            raise ValueError(
                f"rng.randrange({last + 1}) returned {shown(other)}: it must return a number from 0 to {last}"
            )
        first, second = words[2 * last], words[2 * last + 1]
        words[2 * last], words[2 * last + 1] = words[2 * other], words[2 * other + 1]
        words[2 * other], words[2 * other + 1] = first, second
