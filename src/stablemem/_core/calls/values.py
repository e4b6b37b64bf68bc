# cython: annotation_typing=False
"""Values: how the values of a list become blobs and back, and positions entries of its index.

A value is encoded before anything is changed and decoded after the latch is left, so that what a
Blobify does, or raises, never meets a structure half changed. An error inside a change rolls the whole
transaction back.
"""

from collections.abc import Iterator
from operator import index as as_index
from typing import Any, TypeGuard

from ...errors import BlobifyError, StableMemoryError
from ...layout import MAX_ADDRESS, MAX_BLOB
from ...shown import shown, shown_error, shown_path, shown_text
from ..format.checksum import crc32c
from ..txn.handle import Handle
from .bracket import Calls
from .shortcuts import blob_of, form_of, value_of_blob

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ...layout import INLINE_SIZE, LEAF_CAPACITY
    from ..format.words import low32, put64
    from ..tree.node import word0, word1
    from .shortcuts import BYTES

__all__ = ["READ_AHEAD", "Values", "ordinal", "resolved", "small"]

READ_AHEAD = 65536
"""Bytes of blobs that an iterator reads at once, at the most, beyond the first."""

SEVERAL = ": get_many([1, 2]) reads the values at several indices; assign or delete them one by one"
"""What to do instead of giving a list, a tuple or an array as an index."""

PASSED = (StableMemoryError, MemoryError, RecursionError, TimeoutError)
"""What a Blobify may raise that is not its own failure: raised as it is, as all that is no Exception."""

SOUGHT = -2
"""In place of the position of a value that is searched for; -1 is that of one given alone."""

_FAILED = {
    "to_blob": "cannot store this value ({}): give the list a value that this Blobify takes, or mend to_blob",
    "in": "cannot encode the value that is searched for ({}): let to_blob raise BlobifyError for values that "
    "it cannot store, and such a value counts as not in the list",
    "from_blob": "cannot read this blob ({}): mend from_blob, or open the list with the Blobify that wrote "
    "it; `stablemem get --raw` shows the bytes",
}
"""What the methods of a Blobify did not do, and what to do."""


class Values(Calls):
    """A list of values in a region.

    Args:
        store: the open region.
        name: the list's name, which is in the store's catalog.
        blobify: makes blobs of values and values of blobs.
        most: how many values it keeps, the newest; -1 for any number.
    """

    __slots__ = ("_blobify", "_form", "_index", "_most", "_name")

    def __init__(self, store: Handle, name: str, blobify: Any, most: int = -1) -> None:
        self._name = name
        self._blobify = blobify
        self._form = form_of(blobify)
        self._most = most
        self._index = store.index(name)
        Calls.__init__(self, store)

    def recode(self, blobify: Any) -> None:
        """Take another Blobify: the list was not there yet when this handle guessed."""
        self._blobify = blobify
        self._form = form_of(blobify)

    def detach(self) -> None:
        """Refuse every further call, though the region may stay open."""
        where = self._store.path
        remedy = (
            f"open {shown_path(where)} again" if where else "take it from its region again, or make a new one"
        )
        self._closed = f"the list {shown(self._name)} is closed: {remedy}"
        self._open = False

    # -- values and positions ------------------------------------------------------------------------

    def _settle(self) -> None:
        """Do what is due after changes that were made holding the handle."""
        self._relieve()

    def _decode(self, blob: bytes, position: int) -> Any:
        """Return the value of a blob."""
        value = self._known(blob)
        if value is not NotImplemented:
            return value
        try:
            return self._blobify.from_blob(blob)
        except BaseException as error:
            failure = self._failure(error, "from_blob", position)
            if failure is None:
                raise
            raise failure from error

    def _decoded(self, blob: bytes, position: int) -> Any:
        """Return the value of a blob, for callers that are not compiled; -1 is a position unknown."""
        return self._decode(blob, position)

    def _failure(self, error: BaseException, method: str, position: int) -> BlobifyError | None:
        """Return what to raise in place of what the Blobify has raised; None to raise that.

        A BlobifyError is told where its value is. Every other Exception is a failure of the Blobify, a
        StopIteration too, which would end a loop in silence. What is not its failure is left alone: our own
        errors, the end of memory or of the stack, a signal handler's TimeoutError or KeyboardInterrupt.
        """
        if isinstance(error, BlobifyError):
            if error.index is None and position >= 0:
                error.index = position
            return None
        if not isinstance(error, Exception) or isinstance(error, PASSED):
            return None
        kind = shown_kind(self._blobify)
        entry = self._store.entries.get(self._name)
        name = f" (blobify {shown(entry.blobify)})" if entry is not None else ""
        which = f"value {position}" if position >= 0 else "the value given"
        error.add_note(f"raised by {kind}.{method}{name} for {which}")
        said = _FAILED["in" if position == SOUGHT else method].format(shown_error(error))
        return BlobifyError(f"{kind} {said}", position if position >= 0 else None)

    def _known(self, blob: bytes) -> Any:
        """Return the value of a blob if that takes no code of a Blobify, else NotImplemented."""
        if self._form <= BYTES:
            return blob if self._form else NotImplemented
        return value_of_blob(self._form, blob)

    def _inline(self, first: int, second: int) -> Any:
        """Return what ``_known`` does for the blob that is in an entry, without making an object of it."""
        if cython.compiled:
            return value_of(
                self._form,
                cython.cast(page_t, cython.address(first)),
                cython.cast(cython.Py_ssize_t, low32(second)),
            )
        else:
            return self._known(self._pager.blob(first, second))

    def _encode(self, value: Any, position: int) -> bytes:
        """Return the blob of a value; ``position`` is where it is among those given, -1 if it is alone."""
        if self._form == BYTES:
            if type(value) is bytes and not len(value) >> 32:
                return value
        elif self._form:
            known = blob_of(self._form, value)
            if known is not None:
                return known
        try:
            blob = self._blobify.to_blob(value)
            if type(blob) is not bytes:
                blob = self._as_bytes(blob)
            if len(blob) >> 32:
                raise BlobifyError(
                    f"a value of {len(blob)} bytes is too large: a blob has at most {MAX_BLOB} bytes; "
                    f"store it in pieces"
                )
        except BaseException as error:
            failure = self._failure(error, "to_blob", position)
            if failure is None:
                raise
            raise failure from error
        return blob

    def _sought(self, value: Any) -> bytes | None:
        """Return the blob of a value that is searched for; None if the Blobify refuses it: it is not there.

        A failure of the Blobify is raised: it says nothing about the value.
        """
        try:
            blob = self._blobify.to_blob(value)
            return blob if type(blob) is bytes else self._as_bytes(blob)
        except BlobifyError:
            return None
        except BaseException as error:
            failure = self._failure(error, "to_blob", SOUGHT)
            if failure is None:
                raise
            raise failure from error

    def _as_bytes(self, blob: Any) -> bytes:
        """Return what a Blobify made, which is not bytes, as bytes."""
        try:
            return bytes(memoryview(blob))
        except (TypeError, ValueError, BufferError) as error:
            found = type(blob).__name__ if isinstance(error, TypeError) else f"what cannot be read ({error})"
            raise BlobifyError(
                f"{shown_kind(self._blobify)}.to_blob returned {found}, not bytes: "
                f"let it return bytes, a bytearray or a memoryview"
            ) from None

    def _position(self, item: Any) -> int:
        """Return a list index as a position, counted from the end if negative; unchecked."""
        if cython.compiled and type(item) is int:
            # Without Python integers; what overflows is told below.
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
        """Return an argument that is an integer of 64 bits; other errors than those of an index."""
        if cython.compiled and type(item) is int:
            overflow = cython.declare(cython.int, 0)
            number = cython.declare(cython.longlong)
            number = PyLong_AsLongLongAndOverflow(item, cython.address(overflow))
            if not overflow:
                return number
        return small(item)

    def _blob(self, position: int) -> bytes:
        """Return the blob at a position below the length; the caller is inside the latch."""
        leaf = self._index.leaf(position)
        slot = self._index.slot
        return self._pager.blob(word0(leaf, slot), word1(leaf, slot))

    def _range(self, start: Any, stop: Any) -> tuple[int, int]:
        """Return the bounds of a range as a slice clamps them, the first at most the second."""
        start, stop, _ = resolved(slice(start, stop)).indices(len(self))
        return start, max(start, stop)

    def _read(self, item: Any, message: str) -> tuple[bytes, int]:
        """Return the blob at an index and its position."""
        return self._read_at(self._position(item), message)

    def _read_at(self, position: int, message: str) -> tuple[bytes, int]:
        """Return the blob at a position, possibly from the end, and its position from the start."""
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

    def _value(self, position: int) -> Any:
        """Return the value at a position, possibly from the end."""
        self._enter()
        try:
            length = self._index.length
            if position < 0:
                position += length
            if not 0 <= position < length:
                raise IndexError("list index out of range")
            leaf = self._index.leaf(position)
            slot = self._index.slot
            first = word0(leaf, slot)
            second = word1(leaf, slot)
            if self._form > BYTES and low32(second) <= INLINE_SIZE:
                value = self._inline(first, second)
                if value is not NotImplemented:
                    return value
            blob = self._pager.blob(first, second)
        finally:
            self._latch.leave()
        return self._decode(blob, position)

    def _begin_change_at(self, position: int, message: str) -> int:
        """Begin a change of the value at a position, possibly from the end; return it from the start.

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
            raise IndexError(message)
        self._begin()
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

    def _entries(self, blobs: list[bytes]) -> bytes:
        """Return the entries of blobs, 16 bytes each."""
        entries = bytearray(16 * len(blobs))
        place = 0
        for blob in blobs:
            put64(entries, place, self._word0(blob))
            put64(entries, place + 8, self._word1(blob))
            place += 16
        return bytes(entries)

    # -- blobs of a range ----------------------------------------------------------------------------

    def read_ahead(self, position: int, step: int, most: int) -> list[bytes]:
        """Return the blobs from a position on, upwards or downwards, up to the end of its leaf.

        No more than ``most`` of them, nor many more bytes than READ_AHEAD.
        """
        found: list[bytes] = []
        self._enter()
        try:
            length = self._index.length
            if not 0 <= position < length:
                return found
            room = READ_AHEAD
            leaf = self._index.leaf(position)
            slot = self._index.slot
            if step > 0:
                last = slot + min(most, self._index.leaf_end() - position) - 1
            else:
                last = max(0, slot - most + 1)
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

    def __len__(self) -> int:
        """Return the number of values. O(1)."""
        self._require_open()
        return self._index.length

    def _require_writable(self) -> None:
        """Raise unless the list may be changed: for a call that may find nothing to change."""
        self._require_open()
        self._store.require_writable()

    def version(self) -> int:
        """Return a number that changes with every change to the list; raises once the list is closed."""
        self._require_open()
        return self._index.version

    def _blobs_between(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the blobs of positions ``start`` to ``stop``, as many as there are; a leaf's at a time."""
        while start < stop:
            found = self.read_ahead(start, 1, min(stop - start, LEAF_CAPACITY))
            if not found:
                return
            yield from found
            start += len(found)

    def _all_blobs(self) -> Iterator[bytes]:
        """Yield all blobs, those added meanwhile included."""
        return self._blobs_between(0, MAX_ADDRESS)

    def _shares_blobs_with(self, other: Any) -> "TypeGuard[Values]":
        """Return whether another list's blobs say here what they say there."""
        if not isinstance(other, Values):
            return False
        ours, theirs = self._blobify, other._blobify
        if ours is theirs:
            return True
        names = [(getattr(each, "name", None), getattr(each, "options", b"")) for each in (ours, theirs)]
        return type(ours) is type(theirs) and names[0] == names[1]


def shown_kind(blobify: Any) -> str:
    """Return the name of a Blobify's class."""
    return shown_text(type(blobify).__qualname__)


def resolved(item: slice) -> slice:
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


def ordinal(value: Any) -> int:
    """Return an argument that is an integer, with list's error for what is not."""
    try:
        return as_index(value)
    except TypeError:
        raise TypeError(f"{type(value).__name__!r} object cannot be interpreted as an integer") from None


def small(value: Any) -> int:
    """Return an argument that is an integer of 64 bits, with list's errors for what is not."""
    number = ordinal(value)
    if not -(1 << 63) <= number < 1 << 63:
        raise OverflowError("Python int too large to convert to C ssize_t")
    return number
