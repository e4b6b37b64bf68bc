"""Searching and comparing: functions over a list that decode as few values as they can.

They go through a list a leaf at a time and hold no more of it. What a value's ``__eq__`` or a Blobify does to
the list meanwhile is seen by position, as list's own loops see it.
"""

import sys
from collections.abc import Iterator
from operator import index as as_index
from typing import Any

from .list_core import ListCore
from .walking import match

__all__ = ["clamped", "first_difference", "positions_of"]


def first_difference(core: ListCore, other: Any) -> tuple[Any, Any] | None:
    """Return the first values of a list and another that differ; None if one is the other's start."""
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
    """Yield the positions of a value, from one on, before another.

    What is compared is the value as it would come back from the list: a tuple is found as the list that
    Msgpack makes of it. One that the Blobify refuses, with BlobifyError, is nowhere; where the Blobify fails
    instead, that is raised.
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
    """Return bounds as ``list.index`` takes them."""
    try:
        low, high = as_index(start), as_index(stop)
    except TypeError:
        raise TypeError("slice indices must be integers or have an __index__ method") from None
    length = len(core)
    low += length if low < 0 else 0
    high += length if high < 0 else 0
    return min(max(low, 0), sys.maxsize), min(max(high, 0), sys.maxsize)
