# cython: annotation_typing=False
"""Walking: reads a list from one value to the next, for its iterator, for searches, and for pointers.

``BufferIterator`` walks by position, like the iterator of a list: it sees changes that are made in the
meantime. It reads one leaf at a time. When the list has changed, it drops the blobs that it has read for the
changed positions. If none is left, it reads less ahead.
"""

from array import array
from collections.abc import Iterator
from itertools import islice
from typing import Any

from .values import Values

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ...layout import INLINE_SIZE, LEAF_CAPACITY
    from ..tree.measure import measure
    from ..tree.node import word0

__all__ = ["BufferIterator", "match", "pointers", "sizes", "view"]

STRETCH = 256
"""Number of pointers that are read at once."""


class BufferIterator:
    """An iterator over a list, by position.

    Args:
        core: the list.
        position: the first position.
        step: 1 or -1.
        raw: whether to return blobs instead of values.
    """

    __slots__ = ("_ahead", "_blobs", "_core", "_place", "_position", "_raw", "_step", "_version")

    def __init__(self, core: Values, position: int, step: int, raw: bool = False) -> None:
        self._core: Values | None = core
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
        if self._place >= len(self._blobs) or self._version != core._version():
            self._renew(core)
            if not self._blobs:
                self._core = None
                raise StopIteration
        blob = self._blobs[self._place]
        position = self._position
        self._place += 1
        self._position += self._step
        return blob if self._raw else core._codec.decode(blob, position)

    def _renew(self, core: Values) -> None:
        """Drop the blobs read ahead whose positions have changed; if none is left, read more."""
        # The version is read first: a change while the blobs are read makes them stale.
        version = core._version()
        left = len(self._blobs) - self._place
        if left:
            kept = core._index.kept(self._version, version, self._position, self._step, left)
            if kept < left:
                # The next time, read at most twice as many as are useful this time.
                self._ahead = self._place + kept
                del self._blobs[self._ahead :]
            if kept:
                self._version = version
                return
        self._ahead = min(max(1, 2 * self._ahead), LEAF_CAPACITY)
        self._blobs = []
        self._place = 0
        self._version = version
        self._blobs = core._read_ahead(self._position, self._step, self._ahead)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle as the list and the position, like the iterators of a list."""
        if self._core is None:
            return iter, ((),)
        return BufferIterator, (self._core, self._position, self._step, self._raw)

    def __length_hint__(self) -> int:
        """Return the number of values that are left."""
        if self._core is None:
            return 0
        if self._step < 0:
            return max(0, self._position + 1)
        return max(0, len(self._core) - self._position)


def match(core: Values, position: int, stop: int, step: int, blob: bytes, value: Any, exact: bool) -> int:
    """Return the first position, from ``position`` to before ``stop``, with an equal value; -1 for none.

    Args:
        core: the list.
        position: the first position to compare.
        stop: the end of the search, not included: above ``position`` for step 1, below it for step -1.
        step: 1 or -1.
        blob: the blob of the searched value.
        value: the value that this blob stands for: as it would come back from the list.
        exact: whether equal values always have equal blobs, so that nothing has to be decoded.
    """
    walk = BufferIterator(core, position, step, True)
    while position < stop if step > 0 else position > stop:
        if walk._place >= len(walk._blobs) or walk._version != core._version():
            walk._renew(core)
            if not walk._blobs:
                return -1
        found = walk._blobs[walk._place]
        walk._place += 1
        walk._position += step
        if found == blob or (not exact and core._codec.decode(found, position) == value):
            return position
        position += step
    return -1


def view(core: Values, index: Any) -> memoryview:
    """Return a read-only view of the bytes of a value; see ``ListCore.blob_view``."""
    version = core._version()
    blob, position = core._read(core._position(index), "list index out of range")
    if core._store.writable or len(blob) <= INLINE_SIZE:
        return memoryview(blob)
    core._enter()
    try:
        # After a refresh in another thread, other bytes may be there now.
        if core._index.version != version:
            return memoryview(blob)
        leaf = core._index.leaf(position)
        first = word0(leaf, core._index.spot)
        return core._pager.region.view(first, len(blob))
    finally:
        core._latch.leave()


def sizes(core: Values) -> tuple[int, int, int, int]:
    """Return the number of values, the bytes of their blobs, and the numbers of nodes and leaves."""
    core._enter()
    try:
        return core._index.length, *measure(core._index)
    finally:
        core._latch.leave()


def pointers(core: Values, start: Any, stop: Any, reverse: bool) -> Iterator[tuple[int, int]]:
    """Iterate over (address, size) of the blobs in a range of positions; see ``ListCore.pointers``."""
    first, last = core._range(start, stop)
    return islice(_pointers(core, first, last, reverse), last - first)


def _pointers(core: Values, first: int, last: int, reverse: bool) -> Iterator[tuple[int, int]]:
    """Yield the pointers of positions; STRETCH are read at a time, as they are then."""
    while first < last:
        low, high = (max(first, last - STRETCH), last) if reverse else (first, min(first + STRETCH, last))
        words = array("Q", _placed_entries(core, low, high))
        pairs = list(zip(words[0::2], words[1::2], strict=True))
        for address, second in reversed(pairs) if reverse else pairs:
            size = second & 0xFFFFFFFF
            yield (address if size > INLINE_SIZE else 0), size
        if reverse:
            last = low
        elif len(pairs) < high - low:
            return
        else:
            first = high


def _placed_entries(core: Values, low: int, high: int) -> bytes:
    """Return the entries of positions, as far as they exist, after writing out all blobs."""
    with core._store.exclusive():
        if core._pager.pending_bytes:
            core._store.write_early()
        high = min(high, len(core))
        return core._entries_between(min(low, high), high)
