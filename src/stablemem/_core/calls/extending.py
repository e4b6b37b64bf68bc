# cython: annotation_typing=False
"""Extending: adds many values to a list, at its end or before its first value.

``extend`` takes an iterable of any length, so it changes the list as it goes. If the iterable fails, it
removes the added values again: ``_Added`` is its ledger. Values from a list with the same Blobify are copied
without decoding.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import repeat as repeated
from typing import Any

from ...errors import StableMemoryError
from ...layout import MAX_ADDRESS
from . import slicing
from .bracket import edit
from .values import Values, ordinal

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython

__all__ = ["CHUNK", "CHUNK_SIZE", "add_copies", "extend", "extend_left", "repeat"]

CHUNK = 4096
CHUNK_SIZE = 1 << 20
"""Numbers of values, and of their bytes, that ``extend`` gathers before it changes the tree."""

if not cython.compiled:
    _CHUNK = CHUNK
    _CHUNK_SIZE = CHUNK_SIZE


class _Added:
    """The ledger of one ``extend``: the values that it has added so far.

    Attributes:
        first: number of the last commit when the ``extend`` began.
        version: version of the list after the last addition.
        transaction: number of the last commit at the last addition.
        number: number of values added since that commit.
        some: whether any values were added at all.
    """

    __slots__ = ("first", "number", "some", "transaction", "version")

    def __init__(self, version: int, transaction: int) -> None:
        self.version = version
        self.first = self.transaction = transaction
        self.number = 0
        self.some = False


def extend(core: Values, values: Iterable[Any]) -> None:
    """Add all values of an iterable at the end, or none of them; see ``ListCore.extend``."""
    if core._shares_blobs_with(values):
        add(core, values._blobs_between(0, len(values)), False)
    else:
        add(core, iter(values), True)


def add(core: Values, values: Iterator[Any], encode: bool) -> None:
    """Add values, or blobs, at the end, many at a time; none of them if the iterator fails."""
    core._require_open()
    with core._store.exclusive():
        core._require_writable()
        before = len(core)
        added = _Added(core._index.version, core._store.slot.transaction)
        try:
            _add_all(core, values, before, encode, added)
        except BaseException as error:
            with suppress(StableMemoryError):
                _take_back(core, before, added, error)
            raise
    core._relieve()


def _take_back(core: Values, before: int, added: "_Added", error: BaseException) -> None:
    """Delete the values that a failed ``extend`` has added so far, and do not count them any more."""
    if added.some and core._index.version != added.version:
        # The iterable has changed the list: positions do not tell the added values from others any more.
        error.add_note(
            "extend does not remove the values that it added before this error, because the iterable "
            "itself has changed the list"
        )
        return
    length = len(core)
    if length > before and added.some:
        # Values that the iterable itself has committed are deleted with the next commit.
        committed = core._store.slot.transaction != added.first
        changes = core._store.tx.changes
        slicing.delete(core, slice(before, None))
        if not committed:
            core._store.tx.changes = changes - added.number


def _add_all(core: Values, values: Iterator[Any], before: int, encode: bool, added: "_Added") -> None:
    """Add values, or blobs, after the first ``before``; then delete those that the list may not keep."""
    blobs: list[bytes] = []
    size = 0
    codec = core._codec
    for number, value in enumerate(values):
        blob = codec.encode(value, number) if encode else value
        blobs.append(blob)
        size += len(blob)
        if len(blobs) >= _CHUNK or size > _CHUNK_SIZE:
            _add_some(core, blobs, before, added)
            blobs = []
            size = 0
    _add_some(core, blobs, before, added)
    if added.some and core._excess(len(core)):
        edit(core, _trim, (core,), None, True)


def _add_some(core: Values, blobs: list[bytes], before: int, added: "_Added") -> None:
    """Add blobs at the end, and note them in the ledger."""
    if not blobs:
        return
    if core._store.tx.changes < added.number and core._store.slot.transaction == added.transaction:
        raise StableMemoryError(
            "the iterable called rollback(), and this also rolled back the values that extend had "
            "added: call extend with an iterable that does not roll back"
        )
    edit(core, _add_blobs, (core, blobs, before), None, True)
    if added.transaction != core._store.slot.transaction:
        added.number = 0
        added.transaction = core._store.slot.transaction
    added.number += len(blobs)
    added.some = True
    added.version = core._index.version


def _add_blobs(core: Values, blobs: list[bytes], before: int) -> int:
    """Add blobs at the end; if there are too many after ``before``, delete the first of these."""
    core._index.insert_run(core._index.length, core._entries(blobs))
    more = core._excess(core._index.length - before)
    if more:
        core._index.delete_range(before, before + more)
    return len(blobs)


def _trim(core: Values) -> int:
    """Delete from the left the values that the list may not keep; this does not count as a change."""
    core._trim(True)
    return 0


def add_copies(core: Values, value: Any, number: int) -> None:
    """Add a value at the end ``number`` times; it is encoded once."""
    core._require_open()
    add(core, repeated(core._codec.encode(value, -1), number), False)


def extend_left(core: Values, values: Iterable[Any]) -> None:
    """Add the values of an iterable before the first, one by one; see ``ListCore.extendleft``."""
    core._require_writable()
    if core._shares_blobs_with(values):
        blobs = list(values._blobs_between(0, len(values)))
    else:
        blobs = core._codec.encode_all(values)
    if blobs:
        edit(core, _add_left, (core, blobs), None, True)


def _add_left(core: Values, blobs: list[bytes]) -> int:
    """Add blobs before the first value, one by one; inside a change."""
    number = len(blobs)
    del blobs[: core._excess(number)]
    blobs.reverse()
    core._index.insert_run(0, core._entries(blobs))
    core._trim(False)
    return number


def repeat(core: Values, times: Any) -> None:
    """Repeat the values ``times`` times in place; 0 or less leaves an empty list."""
    if not hasattr(type(times), "__index__"):
        raise TypeError(f"can't multiply sequence by non-int of type {type(times).__name__!r}")
    number = ordinal(times)
    if not -(1 << 63) <= number < 1 << 63:
        raise OverflowError(f"cannot fit {type(times).__name__!r} into an index-sized integer")
    core._require_writable()
    length = len(core)
    if number <= 0:
        slicing.delete(core, slice(None))
    elif length * number > MAX_ADDRESS:
        raise MemoryError(f"a list has at most {MAX_ADDRESS} values, not {length} times {number}")
    elif length and number > 1:
        add(core, _copies(core, length, number - 1), False)


def _copies(core: Values, length: int, times: int) -> Iterator[bytes]:
    """Yield the blobs of the first ``length`` values, ``times`` times."""
    for _ in repeated(None, times):
        yield from core._blobs_between(0, length)
