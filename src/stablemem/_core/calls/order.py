# cython: annotation_typing=False
"""Order: puts the values of a list into another order, by moving only their pointers.

No blob is read, moved or written; only leaves are written. ``reverse`` and ``shuffle`` go through the list in
pieces, so that the use of memory is limited.
"""

import random
from array import array
from collections.abc import Iterator
from mmap import mmap
from tempfile import TemporaryFile
from typing import Any

from ...shown import shown
from .bracket import edit, edit_in_pieces
from .slicing import PIECE
from .values import Values, ordinal, small

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ..tree.rotation import rotate_index

__all__ = ["reverse", "rotate", "shuffle", "swap", "swap_remove"]

IN_MEMORY = 1 << 20
"""The most values whose pointers ``shuffle`` holds in memory; for more, they are in a temporary file."""

RANGE = "list index out of range"


def swap(core: Values, i: Any, j: Any) -> None:
    """Exchange two values."""
    edit(core, _swap, (core, core._position(i), core._position(j)), _require_both)


def _require_both(core: Values, one: int, two: int) -> None:
    """Raise unless there are values at both positions."""
    core._at(one, RANGE)
    core._at(two, RANGE)


def _swap(core: Values, one: int, two: int) -> None:
    """Exchange the values at two positions, which may count from the end; inside a change."""
    _exchange(core, core._at(one, RANGE), core._at(two, RANGE))


def _exchange(core: Values, one: int, two: int) -> None:
    """Exchange the entries of two positions; inside a change."""
    if one != two:
        entry = core._index.entries(one, one + 1)
        core._index.put_entries_at(one, core._index.entries(two, two + 1))
        core._index.put_entries_at(two, entry)


def swap_remove(core: Values, index: Any) -> Any:
    """Delete the value at an index and return it; the last value takes its place."""
    core._require_open()
    with core._store.exclusive():
        core._require_writable()
        version = core._version()
        blob, position = core._read(core._position(index), RANGE)
        value = core._codec.decode(blob, position)
        if core._version() != version:
            raise RuntimeError("list changed during swap_remove: its Blobify must not change the list")
        edit(core, _remove, (core, position))
    core._relieve()
    return value


def _remove(core: Values, position: int) -> None:
    """Delete the value at a position, and put the last value there; inside a change."""
    last = core._index.length - 1
    _exchange(core, position, last)
    core._index.delete(last)


def reverse(core: Values) -> None:
    """Reverse the list."""
    core._require_open()
    with core._store.exclusive():
        edit_in_pieces(core, range(0, len(core) // 2, PIECE), _mirror)
    core._relieve()


def _mirror(core: Values, low: int) -> int:
    """Exchange a piece of the first half with its mirror image in the second half."""
    length = core._index.length
    high = min(low + PIECE, length // 2)
    front = core._index.entries(low, high)
    back = core._index.entries(length - high, length - low)
    core._index.put_entries_at(low, _backwards(back))
    core._index.put_entries_at(length - high, _backwards(front))
    return high - low


def rotate(core: Values, n: Any) -> None:
    """Rotate the list ``n`` steps to the right, or to the left if ``n`` is negative."""
    edit(core, _rotate, (core, small(n)), None, True)


def _rotate(core: Values, steps: int) -> int:
    """Rotate the list to the right; inside a change. Return the number of changes: 0 if the list is empty."""
    length = core._index.length
    if not length:
        return 0
    rotate_index(core._index, -steps % length)
    return 1


def shuffle(core: Values, rng: Any) -> None:
    """Put the values in random order."""
    randrange = (random if rng is None else rng).randrange
    core._require_open()
    with core._store.exclusive():
        length = len(core)
        # A blob that has been written out keeps its address; the number of a pending one may change.
        if core._pager.pending_bytes:
            core._store.write_early()
        if length <= IN_MEMORY:
            _deal(core, bytearray(16 * length), length, randrange)
        else:
            with TemporaryFile() as file:
                file.truncate(16 * length)
                with mmap(file.fileno(), 16 * length) as room:
                    _deal(core, room, length, randrange)
    core._relieve()


def _deal(core: Values, room: Any, length: int, randrange: Any) -> None:
    """Shuffle the pointers in a buffer that has room for them, and put them back."""
    version = core._version()
    for low in range(0, length, PIECE):
        part = core._entries_between(low, min(low + PIECE, length))
        room[16 * low : 16 * low + len(part)] = part
    with memoryview(room) as view, view.cast("Q") as words:
        _fisher_yates(words, length, randrange)
    if core._version() != version:
        raise ValueError("list modified during shuffle: rng must not change the list")
    edit_in_pieces(core, _pieces(room, length), _put)


def _pieces(room: Any, length: int) -> Iterator[tuple[int, bytes]]:
    """Yield positions, each with the piece of entries from there on."""
    for low in range(0, length, PIECE):
        yield low, bytes(room[16 * low : 16 * (low + PIECE)])


def _put(core: Values, piece: tuple[int, bytes]) -> int:
    """Overwrite entries from a position on; inside a change."""
    low, entries = piece
    core._index.put_entries_at(low, entries)
    return len(entries) // 16


def _backwards(entries: bytes) -> bytes:
    r"""Return entries in reverse order.

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
