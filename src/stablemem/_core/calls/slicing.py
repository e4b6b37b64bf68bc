# cython: annotation_typing=False
"""Slicing: reads, assigns or deletes many values of a list at once.

Each call is one walk over the leaves that it needs, and does all or nothing: before anything is changed,
every value has been encoded, and every index has been checked.

A walk that changes much writes out on the way, so that the use of memory is limited. Some walks do so inside
the latch; others leave the latch between pieces. There, only two things can go wrong: a storage error rolls
the transaction back, and after an interrupt ``edit_in_pieces`` does.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from .bracket import edit, edit_in_pieces
from .values import Values, resolved

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ..format.words import get64, put64

__all__ = ["PIECE", "assign", "delete", "get", "get_many", "limit"]

PIECE = 1 << 16
"""Number of values whose pointers a walk moves inside the latch at once."""

DENSE = 64
"""Slices with steps up to this are done by a walk over all values between; larger steps, value by value."""


# -- reading -------------------------------------------------------------------------------------------


def get(core: Values, item: slice) -> list[Any]:
    """Return the values of a slice, all of one state."""
    item = resolved(item)
    blobs = []
    core._enter()
    try:
        start, stop, step = item.indices(core._index.length)
        positions = range(start, stop, step)
        for position in positions:
            blobs.append(core._blob(position))
    finally:
        core._latch.leave()
    return core._codec.decode_all(blobs, positions)


def get_many(core: Values, indices: Iterable[Any]) -> list[Any]:
    """Return the values at indices, in the given order; see ``ListCore.get_many``."""
    positions: list[int] = []
    for item in indices:
        positions.append(core._position(item))
    blobs: list[Any] = [None] * len(positions)
    core._enter()
    try:
        for number, position in enumerate(positions):
            place = core._at(position, "list index out of range")
            if place != position:
                positions[number] = place
        for number in sorted(range(len(positions)), key=positions.__getitem__):
            blobs[number] = core._blob(positions[number])
    finally:
        core._latch.leave()
    return core._codec.decode_all(blobs, positions)


# -- assigning -----------------------------------------------------------------------------------------


def assign(core: Values, item: slice, values: Iterable[Any]) -> None:
    """Assign to a slice. Nothing is changed unless every value can be encoded."""
    blobs: list[bytes]
    if core._shares_blobs_with(values):
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
        blobs = core._codec.encode_all(listed)
    edit(core, _assign, (core, resolved(item), blobs), _require_size, True)


def _require_size(core: Values, item: slice, blobs: list[bytes]) -> None:
    """Raise if the size of a slice with a step is not the number of values to assign."""
    start, stop, step = item.indices(core._index.length)
    size = len(range(start, stop, step))
    if step != 1 and size != len(blobs):
        raise ValueError(f"attempt to assign sequence of size {len(blobs)} to extended slice of size {size}")


def _assign(core: Values, item: slice, blobs: list[bytes]) -> int:
    """Replace the values of a slice; inside a change. Return the number of changes."""
    start, stop, step = item.indices(core._index.length)
    selected = range(start, stop, step)
    number = max(len(blobs), len(selected))
    if step == 1:
        core._index.delete_range(start, max(start, stop))
        core._index.insert_run(start, core._entries(blobs))
        if blobs:
            core._trim(True)
    elif step > 0:
        _put_stride(core, start, step, blobs)
    elif selected:
        blobs.reverse()
        _put_stride(core, selected[-1], -step, blobs)
    return number


def _put_stride(core: Values, start: int, step: int, blobs: list[bytes]) -> None:
    """Replace each ``step``-th value from a position on; inside a change."""
    if step > DENSE:
        for blob in blobs:
            core._index.replace(start, core._word0(blob), core._word1(blob))
            start += step
            core._write_out_if_full()
        return
    first = 0
    each = max(1, PIECE // step)
    while first < len(blobs):
        part = blobs[first : first + each]
        entries = bytearray(core._index.entries(start, start + step * (len(part) - 1) + 1))
        place = 0
        for blob in part:
            core._pager.release(get64(entries, place), get64(entries, place + 8))
            put64(entries, place, core._word0(blob))
            put64(entries, place + 8, core._word1(blob))
            place += 16 * step
        core._index.put_entries_at(start, bytes(entries))
        start += step * len(part)
        first += each
        core._write_out_if_full()


# -- deleting ------------------------------------------------------------------------------------------


def delete(core: Values, item: slice) -> None:
    """Delete a slice: O(k + log n) for step 1, else in one walk, or value by value if they are far apart."""
    item = resolved(item)
    if item.step is None or not 1 < abs(item.step) <= DENSE:
        edit(core, _delete, (core, item), None, True)
        return
    core._require_open()
    with core._store.exclusive():
        selected = range(*item.indices(len(core)))
        edit_in_pieces(core, _strides(selected if item.step > 0 else selected[::-1]), _delete_stride)
    core._relieve()


def _delete(core: Values, item: slice) -> int:
    """Delete a slice; inside a change. Return the number of changes."""
    start, stop, step = item.indices(core._index.length)
    selected = range(start, stop, step)
    if step == 1:
        core._index.delete_range(start, max(start, stop))
    else:
        for position in selected if step < 0 else reversed(selected):
            core._index.delete(position)
            core._write_out_if_full()
    return len(selected)


def _strides(selected: range) -> Iterator[range]:
    """Yield the pieces of a range, from the last to the first; each spans at most PIECE positions."""
    most = PIECE // selected.step
    for end in range(len(selected), 0, -most):
        yield selected[max(0, end - most) : end]


def _delete_stride(core: Values, piece: range) -> int:
    """Delete the values of a piece: move the values between them together, and delete the rest."""
    start, stop, step = piece.start, piece[-1] + 1, piece.step
    entries = core._index.entries(start, stop)
    kept = bytearray(len(entries))
    place = 0
    for first in range(0, len(entries), 16 * step):
        core._pager.release(get64(entries, first), get64(entries, first + 8))
        part = entries[first + 16 : first + 16 * step]
        kept[place : place + len(part)] = part
        place += len(part)
    # After the kept entries there are zeros: values without bytes. Deleting them frees no blobs.
    core._index.put_entries_at(start, bytes(kept))
    core._index.delete_range(start + place // 16, stop)
    return len(piece)


def limit(core: Values, most: int) -> None:
    """From now on, keep at most ``most`` values, -1 for any number; delete the first ones beyond that."""
    before: int | None = None
    core._require_open()
    try:
        with core._store.exclusive():
            core._require_writable()
            before = core._most
            more = len(core) - most if most >= 0 else 0
            if more > 0:
                delete(core, slice(more))
            core._most = most
        core._relieve()
    except BaseException:
        if before is not None and 0 <= most < core._index.length:
            # The values that should be gone are still there, because the disk has failed.
            core._most = before
        raise
