# cython: annotation_typing=False
"""Slices: the calls that read and change many values of a list at once.

Each is one walk over the leaves it needs, and all or nothing: every value is encoded, and every index
known to be there, before anything is changed. ``extend`` alone changes the list as it goes, and takes
that back if the iterable fails.

A walk that changes much writes out on the way, so that memory stays bounded: some within the latch, others
leave it between pieces. Nothing can fail there but storage, which rolls the transaction back, or an
interrupt, for which ``_in_pieces`` does.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, repeat
from typing import Any

from ...errors import StableMemoryError
from ...layout import MAX_ADDRESS
from .values import Values, ordinal, resolved

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ..format.words import get64, put64
    from .shortcuts import BYTES

__all__ = ["CHUNK", "CHUNK_SIZE", "Slices"]

CHUNK = 4096
CHUNK_SIZE = 1 << 20
"""Values, and their bytes, that ``extend`` gathers before it changes the tree."""

PIECE = 1 << 16
"""Values whose pointers a walk moves within the latch."""

DENSE = 64
"""Steps up to this are taken by a walk over everything between, larger ones value by value."""

if not cython.compiled:
    _CHUNK = CHUNK
    _CHUNK_SIZE = CHUNK_SIZE


class _Added:
    """What an ``extend`` has added so far.

    Attributes:
        first: the last commit when it began.
        version: of the list behind it.
        transaction: the last commit then.
        number: values added since that commit.
        some: whether any were added at all.
    """

    __slots__ = ("first", "number", "some", "transaction", "version")

    def __init__(self, version: int, transaction: int) -> None:
        self.version = version
        self.first = self.transaction = transaction
        self.number = 0
        self.some = False


class Slices(Values):
    """What a list does to many values at once; its arguments are those of Values."""

    __slots__ = ()

    # -- reading -------------------------------------------------------------------------------------

    def _get_slice(self, item: slice) -> list[Any]:
        """Return the values of a slice, all of one state."""
        item = resolved(item)
        self._enter()
        try:
            start, stop, step = item.indices(self._index.length)
            positions = range(start, stop, step)
            blobs = self._blobs_at(positions)
        finally:
            self._latch.leave()
        return self._decode_all(blobs, positions)

    def _blobs_at(self, positions: Iterable[int]) -> list[bytes]:
        """Return the blobs at positions that exist; the caller is inside the latch."""
        found = []
        for position in positions:
            found.append(self._blob(position))
        return found

    def _decode_all(self, blobs: list[bytes], positions: Iterable[int]) -> list[Any]:
        """Return the values of blobs."""
        if self._form == BYTES:
            return blobs
        from_blob = self._blobify.from_blob
        values: list[Any] = []
        try:
            for blob in blobs:
                value = self._known(blob)
                values.append(from_blob(blob) if value is NotImplemented else value)
        except BaseException as error:
            failure = self._failure(error, "from_blob", list(positions)[len(values)])
            if failure is None:
                raise
            raise failure from error
        return values

    def get_many(self, indices: Any) -> list[Any]:
        """Return the values at indices, in the order asked for. O(k log k + k) for k indices.

        All values are of one state of the list. Each page of the index is read once. Negative indices count
        from the end. ``__getitems__``, which data loaders call, is the same.

        Raises:
            IndexError: one of the indices is out of range; nothing was read.

        >>> from stablemem import MemoryBuffer
        >>> MemoryBuffer.from_iterable("abcdef").get_many([5, 0, -2, 0])
        ['f', 'a', 'e', 'a']
        """
        positions = []
        for item in indices:
            positions.append(self._position(item))
        self._enter()
        try:
            length = self._index.length
            if not all(-length <= position < length for position in positions):
                raise IndexError("list index out of range")
            positions = [position + length if position < 0 else position for position in positions]
            order = sorted(range(len(positions)), key=positions.__getitem__)
            blobs: list[Any] = [None] * len(positions)
            for number in order:
                blobs[number] = self._blob(positions[number])
        finally:
            self._latch.leave()
        return self._decode_all(blobs, positions)

    def __getitems__(self, indices: Any) -> list[Any]:
        """Return ``get_many(indices)``."""
        return self.get_many(indices)

    # -- walks in pieces -----------------------------------------------------------------------------

    def _in_pieces(self, pieces: Iterable[Any], work: Callable[[Any], object]) -> None:
        """Do some work to each piece of the list, each within the latch, all or nothing.

        The caller holds the handle, and calls ``_relieve`` when it has let go of it.
        """
        begun = False
        self._begin_change()
        self._latch.leave()
        try:
            for piece in pieces:
                self._begin_change()
                begun = True
                try:
                    work(piece)
                except BaseException as error:
                    self._fail(error)
                    raise
                self._end_change()
        except BaseException as error:
            if begun and self._store.tx.begun:
                # Refused only where the interrupt left the latch taken: the next call undoes it then.
                with suppress(StableMemoryError):
                    self._latch.enter()
                    self._fail(error)
            raise

    # -- assigning -----------------------------------------------------------------------------------

    def _set_slice(self, item: slice, values: Iterable[Any]) -> None:
        """Assign to a slice: nothing is changed unless every value could be encoded."""
        blobs: list[bytes]
        if self._shares_blobs_with(values):
            blobs = list(values._all_blobs())
        else:
            try:
                listed = list(values)
            except TypeError:
                if hasattr(values, "__iter__"):
                    raise
                raise TypeError(
                    "can only assign an iterable"
                    if item.step is None or item.step == 1
                    else "must assign iterable to extended slice"
                ) from None
            blobs = [self._encode(value, number) for number, value in enumerate(listed)]
        item = resolved(item)
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
                if blobs:
                    self._trim()
            elif step > 0:
                self._put_stride(start, step, blobs)
            elif selected:
                blobs.reverse()
                self._put_stride(selected[-1], -step, blobs)
            self._store.tx.changes += max(len(blobs), len(selected))
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def _put_stride(self, start: int, step: int, blobs: list[bytes]) -> None:
        """Replace every so many-th value from a position on; the caller is inside a change."""
        if step > DENSE:
            for blob in blobs:
                self._index.replace(start, self._word0(blob), self._word1(blob))
                start += step
                self._write_out_if_full()
            return
        first = 0
        each = max(1, PIECE // step)
        while first < len(blobs):
            part = blobs[first : first + each]
            entries = bytearray(self._index.entries(start, start + step * (len(part) - 1) + 1))
            place = 0
            for blob in part:
                self._pager.release(get64(entries, place), get64(entries, place + 8))
                put64(entries, place, self._word0(blob))
                put64(entries, place + 8, self._word1(blob))
                place += 16 * step
            self._index.put_entries_at(start, bytes(entries))
            start += step * len(part)
            first += each
            self._write_out_if_full()

    def _write_out_if_full(self) -> None:
        """Write out early within a change, if that is due; entries and nodes met before hold no more."""
        if self._pager.is_full():
            self._store.write_out()

    def _trim(self) -> None:
        """Delete from the left what is more than the list may keep; the caller is inside a change."""
        if 0 <= self._most < self._index.length:
            self._index.delete_range(0, self._index.length - self._most)

    def _limit(self, most: int) -> None:
        """Keep so many values from now on, -1 for any number; the first ones go, where there are more."""
        before: int | None = None
        try:
            with self._store.exclusive():
                self._require_writable()
                before = self._most
                more = len(self) - most if most >= 0 else 0
                if more > 0:
                    self._delete_slice(slice(more))
                self._most = most
            self._relieve()
        except BaseException:
            if before is not None and 0 <= most < self._index.length:
                # What should have gone is there: the disk has failed.
                self._most = before
            raise

    # -- deleting ------------------------------------------------------------------------------------

    def _delete_slice(self, item: slice) -> None:
        """Delete a slice: O(k + log n) for step 1, else one walk, or value by value if they lie far apart."""
        item = resolved(item)
        if item.step is not None and 1 < abs(item.step) <= DENSE:
            with self._store.exclusive():
                selected = range(*item.indices(len(self)))
                self._in_pieces(_strides(selected if item.step > 0 else selected[::-1]), self._delete_stride)
            self._relieve()
            return
        self._begin_change()
        try:
            start, stop, step = item.indices(self._index.length)
            selected = range(start, stop, step)
            if step == 1:
                self._index.delete_range(start, max(start, stop))
            else:
                for position in selected if step < 0 else reversed(selected):
                    self._index.delete(position)
                    self._write_out_if_full()
            self._store.tx.changes += len(selected)
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def _delete_stride(self, piece: range) -> None:
        """Delete every so many-th value of a stretch: the others move together, what is left over goes."""
        start, stop, step = piece.start, piece[-1] + 1, piece.step
        entries = self._index.entries(start, stop)
        kept = bytearray(len(entries))
        place = 0
        for first in range(0, len(entries), 16 * step):
            self._pager.release(get64(entries, first), get64(entries, first + 8))
            part = entries[first + 16 : first + 16 * step]
            kept[place : place + len(part)] = part
            place += len(part)
        # What follows them is zeros, values of no bytes, which the range deletes without freeing anything.
        self._index.put_entries_at(start, bytes(kept))
        self._index.delete_range(start + place // 16, stop)
        self._store.tx.changes += len(piece)

    # -- adding --------------------------------------------------------------------------------------

    def extend(self, values: Iterable[Any]) -> None:
        """Add all values of an iterable at the end, or none of them. O(1) amortised each.

        The iterable may have any length; memory stays bounded. A list that is extended by itself is doubled.
        From a list with the same Blobify, bytes are copied without decoding. With ``maxlen``, the newest
        values stay.

        >>> from stablemem import MemoryBuffer
        >>> numbers = MemoryBuffer.from_iterable([1, 2])
        >>> numbers.extend(n * n for n in range(4)); numbers
        MemoryBuffer([1, 2, 0, 1, 4, 9])
        >>> numbers.close()
        """
        if self._shares_blobs_with(values):
            self._extend(values._blobs_between(0, len(values)), False)
        else:
            self._extend(iter(values), True)

    def _extend(self, values: Iterator[Any], encode: bool) -> None:
        """Add values, or blobs, at the end, so many at a time; none of them if the iterator fails."""
        with self._store.exclusive():
            self._require_writable()
            before = len(self)
            added = _Added(self._index.version, self._store.slot.transaction)
            try:
                self._append_all(values, before, encode, added)
            except BaseException as error:
                with suppress(StableMemoryError):
                    self._take_back(before, added, error)
                raise
        self._relieve()

    def _take_back(self, before: int, added: "_Added", error: BaseException) -> None:
        """Delete what a failed ``extend`` has added so far, and count it no more."""
        if added.some and self._index.version != added.version:
            # By position it cannot be told from what the iterable has put there, or left there.
            error.add_note(
                "extend does not remove the values that it added before this error, because the iterable "
                "itself has changed the list"
            )
            return
        length = len(self)
        if length > before and added.some:
            # What the iterable has committed itself goes with the next commit.
            committed = self._store.slot.transaction != added.first
            changes = self._store.tx.changes
            self._delete_slice(slice(before, None))
            if not committed:
                self._store.tx.changes = changes - added.number

    def _append_all(self, values: Iterator[Any], before: int, encode: bool, added: "_Added") -> None:
        """Add values, or blobs, behind the first ``before``; what the list cannot keep of them goes."""
        blobs: list[bytes] = []
        size = 0
        for number, value in enumerate(values):
            blob = self._encode(value, number) if encode else value
            blobs.append(blob)
            size += len(blob)
            if len(blobs) >= _CHUNK or size > _CHUNK_SIZE:
                self._append_blobs(blobs, before, added)
                blobs = []
                size = 0
        self._append_blobs(blobs, before, added)
        if added.some and 0 <= self._most < len(self):
            self._begin_change()
            try:
                self._trim()
            except BaseException as error:
                self._fail(error)
                raise
            self._end_change()

    def _append_blobs(self, blobs: list[bytes], before: int, added: "_Added") -> None:
        """Add blobs at the end."""
        if not blobs:
            return
        if self._store.tx.changes < added.number and self._store.slot.transaction == added.transaction:
            raise StableMemoryError(
                "the iterable called rollback(), and this also rolled back the values that extend had "
                "added: call extend with an iterable that does not roll back"
            )
        self._begin_change()
        try:
            self._index.insert_run(self._index.length, self._entries(blobs))
            if 0 <= self._most < self._index.length - before:
                self._index.delete_range(before, self._index.length - self._most)
            self._store.tx.changes += len(blobs)
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()
        if added.transaction != self._store.slot.transaction:
            added.number = 0
            added.transaction = self._store.slot.transaction
        added.number += len(blobs)
        added.some = True
        added.version = self._index.version

    def _append_copies(self, value: Any, number: int) -> None:
        """Add a value at the end so many times; it is encoded once."""
        self._extend(repeat(self._encode(value, -1), number), False)

    def extendleft(self, values: Iterable[Any]) -> None:
        """Add the values of an iterable before the first, one by one, so that their order is reversed.

        ``collections.deque`` does the same. All values are added, or none. They are held in memory
        meanwhile. At most O(log n) each. With ``maxlen``, values at the right end are dropped.

        >>> from stablemem import MemoryBuffer
        >>> letters = MemoryBuffer.from_iterable("x")
        >>> letters.extendleft("abc"); letters
        MemoryBuffer(['c', 'b', 'a', 'x'])
        >>> letters.close()
        """
        self._require_writable()
        if self._shares_blobs_with(values):
            blobs = list(values._blobs_between(0, len(values)))
        else:
            blobs = [self._encode(value, number) for number, value in enumerate(values)]
        number = len(blobs)
        if self._most >= 0:
            del blobs[: max(0, len(blobs) - self._most)]
        blobs.reverse()
        if not number:
            return
        self._begin_change()
        try:
            self._index.insert_run(0, self._entries(blobs))
            if 0 <= self._most < self._index.length:
                self._index.delete_range(self._most, self._index.length)
            self._store.tx.changes += number
        except BaseException as error:
            self._fail(error)
            raise
        self._end_change()

    def __iadd__(self, values: Iterable[Any]) -> Any:
        """Extend by the values and return the list."""
        self.extend(values)
        return self

    def __imul__(self, times: Any) -> Any:
        """Repeat the values ``times`` times in place; 0 or less leaves an empty list."""
        if not hasattr(type(times), "__index__"):
            raise TypeError(f"can't multiply sequence by non-int of type {type(times).__name__!r}")
        number = ordinal(times)
        if not -(1 << 63) <= number < 1 << 63:
            raise OverflowError(f"cannot fit {type(times).__name__!r} into an index-sized integer")
        self._require_writable()
        length = len(self)
        if number <= 0:
            self._delete_slice(slice(None))
        elif length * number > MAX_ADDRESS:
            raise MemoryError(f"a list has at most {MAX_ADDRESS} values, not {length} times {number}")
        elif length and number > 1:
            again = (self._blobs_between(0, length) for _ in repeat(None, number - 1))
            self._extend(chain.from_iterable(again), False)
        return self

    def clear(self) -> None:
        """Delete all values. O(n): every blob is freed."""
        self._delete_slice(slice(None))


def _strides(selected: range) -> Iterator[range]:
    """Yield the stretches of a range, from the last to the first, each of at most so many values."""
    most = PIECE // selected.step
    for end in range(len(selected), 0, -most):
        yield selected[max(0, end - most) : end]
