"""Searching and comparing: functions over a list that decode as few values as possible.

They go through a list one leaf at a time, and hold no more of it. If the ``__eq__`` of a value or a Blobify
changes the list in the meantime, they go on by position, like the loops of a ``list``.
"""

import sys
from collections.abc import Iterator
from operator import index as as_index
from typing import Any

from .list_core import ListCore
from .walking import match

__all__ = ["clamped", "first_difference", "positions_of"]


def first_difference(core: ListCore, other: Any) -> tuple[Any, Any] | None:
    """Return the first values that differ between two lists; None if one is the beginning of the other."""
    if core is other:
        return None
    if not core._shares_blobs_with(other):
        for one, two in zip(core, other, strict=False):
            if not (one is two or one == two):
                return one, two
        return None
    exact = core._codec.is_ordered()
    for position, (mine, theirs) in enumerate(zip(core._all_blobs(), other._all_blobs(), strict=False)):
        if mine != theirs:
            one, two = core._codec.decode(mine, position), core._codec.decode(theirs, position)
            if exact or one != two:
                return one, two
    return None


def positions_of(core: ListCore, value: object, start: int, stop: int, step: int = 1) -> Iterator[int]:
    """Yield the positions of a value from ``start`` to before ``stop``.

    The value is compared in the form in which it would come back from the list: a tuple is found as the list
    that Msgpack makes of it. A value that the Blobify refuses with BlobifyError has no positions; any other
    failure of the Blobify is raised.
    """
    len(core)
    blob = core._codec.sought(value)
    if blob is None:
        return
    exact = core._codec.is_ordered()
    sought = None if exact else core._codec.decode(blob, -1)
    while True:
        found = match(core, start, stop, step, blob, sought, exact)
        if found < 0:
            return
        yield found
        start = found + step


def clamped(core: ListCore, start: Any, stop: Any) -> tuple[int, int]:
    """Return the bounds of a search, clamped as in ``list.index``."""
    try:
        low, high = as_index(start), as_index(stop)
    except TypeError:
        raise TypeError("slice indices must be integers or have an __index__ method") from None
    length = len(core)
    low += length if low < 0 else 0
    high += length if high < 0 else 0
    return min(max(low, 0), sys.maxsize), min(max(high, 0), sys.maxsize)
