"""ListCalls: what Python says of ``list``, on top of the calls of the core: comparing, searching, arithmetic.

Everything here goes through a list a leaf at a time and holds no more of it. What a value's ``__eq__`` or a
Blobify does to the list meanwhile is seen by position, as list's own loops see it.
"""

import sys
from collections.abc import Iterable, Iterator, MutableSequence
from operator import index as as_index
from typing import TYPE_CHECKING, Any, ClassVar, Self, SupportsIndex, TypeVar, overload

from ._core.calls.list_core import ListCore
from .shown import shown

__all__ = ["ListCalls"]

T = TypeVar("T")


class ListCalls(ListCore, MutableSequence[T]):
    """The calls of a list of values of one type."""

    if TYPE_CHECKING:
        # ListCore does these; what follows is their types.
        @overload
        def __getitem__(self, item: SupportsIndex) -> T: ...
        @overload
        def __getitem__(self, item: slice) -> list[T]: ...
        def __getitem__(self, item: Any) -> Any: ...
        @overload
        def __setitem__(self, item: SupportsIndex, value: T) -> None: ...
        @overload
        def __setitem__(self, item: slice, value: Iterable[T]) -> None: ...
        def __setitem__(self, item: Any, value: Any) -> None: ...
        def __delitem__(self, item: SupportsIndex | slice) -> None: ...
        def __len__(self) -> int: ...
        def __iter__(self) -> Iterator[T]: ...
        def __reversed__(self) -> Iterator[T]: ...
        def __iadd__(self, values: Iterable[T]) -> Self: ...
        def __imul__(self, times: SupportsIndex) -> Self: ...
        def append(self, value: T) -> None: ...  # noqa: D102
        def insert(self, index: SupportsIndex, value: T) -> None: ...  # noqa: D102
        def extend(self, values: Iterable[T]) -> None: ...  # noqa: D102
        def pop(self, index: SupportsIndex = -1) -> T: ...  # noqa: D102
        def clear(self) -> None: ...  # noqa: D102
        def reverse(self) -> None: ...  # noqa: D102

    # -- comparing -----------------------------------------------------------------------------------

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def _first_difference(self, other: Any) -> tuple[Any, Any] | None:
        """Return the first values of this list and another that differ; None if one is the other's start."""
        if self is other:
            return None
        if not self._shares_blobs_with(other):
            for one, two in zip(self, other, strict=False):
                if not (one is two or one == two):
                    return one, two
            return None
        exact = _equal_by_blob(self._blobify)
        for position, (mine, theirs) in enumerate(zip(self._all_blobs(), other._all_blobs(), strict=False)):
            if mine != theirs:
                one, two = self._decoded(mine, position), self._decoded(theirs, position)
                if exact or one != two:
                    return one, two
        return None

    def __eq__(self, other: object) -> bool:
        """Return whether a list or a MemoryBuffer has equal values in the same order. O(n)."""
        if not isinstance(other, list | ListCalls):
            return NotImplemented
        return len(self) == len(other) and self._first_difference(other) is None

    def __lt__(self, other: "list[T] | ListCalls[T]") -> bool:
        if not isinstance(other, list | ListCalls):
            return NotImplemented
        differ = self._first_difference(other)
        return len(self) < len(other) if differ is None else bool(differ[0] < differ[1])

    def __le__(self, other: "list[T] | ListCalls[T]") -> bool:
        if not isinstance(other, list | ListCalls):
            return NotImplemented
        differ = self._first_difference(other)
        return len(self) <= len(other) if differ is None else bool(differ[0] <= differ[1])

    def __gt__(self, other: "list[T] | ListCalls[T]") -> bool:
        if not isinstance(other, list | ListCalls):
            return NotImplemented
        differ = self._first_difference(other)
        return len(self) > len(other) if differ is None else bool(differ[0] > differ[1])

    def __ge__(self, other: "list[T] | ListCalls[T]") -> bool:
        if not isinstance(other, list | ListCalls):
            return NotImplemented
        differ = self._first_difference(other)
        return len(self) >= len(other) if differ is None else bool(differ[0] >= differ[1])

    # -- searching -----------------------------------------------------------------------------------

    def _positions(self, value: object, start: int, stop: int, step: int = 1) -> Iterator[int]:
        """Yield the positions of a value, from one on, before another.

        What is compared is the value as it would come back from the list: a tuple is found as the list
        that Msgpack makes of it. One that the Blobify refuses, with BlobifyError, is nowhere; where the
        Blobify fails instead, that is raised.
        """
        len(self)
        blob = self._sought(value)
        if blob is None:
            return
        exact = _equal_by_blob(self._blobify)
        sought = None if exact else self._decoded(blob, -1)
        while True:
            found = self._match(start, stop, step, blob, sought, exact)
            if found < 0:
                return
            yield found
            start = found + step

    def _clamped(self, start: Any, stop: Any) -> tuple[int, int]:
        """Return bounds as ``list.index`` takes them."""
        try:
            low, high = as_index(start), as_index(stop)
        except TypeError:
            raise TypeError("slice indices must be integers or have an __index__ method") from None
        length = len(self)
        low += length if low < 0 else 0
        high += length if high < 0 else 0
        return min(max(low, 0), sys.maxsize), min(max(high, 0), sys.maxsize)

    def __contains__(self, value: object) -> bool:
        """Return whether a value is in the list. O(n).

        >>> from stablemem import MemoryBuffer
        >>> numbers = MemoryBuffer.from_iterable([1, 2])
        >>> 2 in numbers, 2.0 in numbers, print in numbers
        (True, True, False)
        """
        return next(self._positions(value, 0, sys.maxsize), -1) >= 0

    def index(self, value: T, start: SupportsIndex = 0, stop: SupportsIndex = sys.maxsize) -> int:
        """Return the first position of a value, from ``start`` on, before ``stop``. O(n).

        Raises:
            ValueError: the value is not in the list.

        >>> from stablemem import MemoryBuffer
        >>> letters = MemoryBuffer.from_iterable("abcb")
        >>> letters.index("b"), letters.index("b", 2), letters.rindex("b")
        (1, 3, 3)
        """
        found = next(self._positions(value, *self._clamped(start, stop)), -1)
        if found < 0:
            raise ValueError(f"{shown(value)} is not in list")
        return found

    def rindex(self, value: T, start: SupportsIndex = 0, stop: SupportsIndex = sys.maxsize) -> int:
        """Return the last position of a value, from ``start`` on, before ``stop``. O(n), from the end.

        Raises:
            ValueError: the value is not in the list.
        """
        low, high = self._clamped(start, stop)
        found = next(self._positions(value, min(high, len(self)) - 1, low - 1, -1), -1)
        if found < 0:
            raise ValueError(f"{shown(value)} is not in list")
        return found

    def count(self, value: T) -> int:
        """Return how many values are equal to one. O(n).

        >>> from stablemem import MemoryBuffer
        >>> MemoryBuffer.from_iterable("banana").count("a")
        3
        """
        return sum(1 for _ in self._positions(value, 0, sys.maxsize))

    def remove(self, value: T) -> None:
        """Delete the first value equal to one. O(n).

        Raises:
            ValueError: the value is not in the list.

        >>> from stablemem import MemoryBuffer
        >>> letters = MemoryBuffer.from_iterable("aba")
        >>> letters.remove("a"); letters
        MemoryBuffer(['b', 'a'])
        >>> letters.close()
        """
        with self._store.exclusive():
            self._require_writable()
            found = next(self._positions(value, 0, sys.maxsize), -1)
            if found < 0:
                raise ValueError("list.remove(x): x not in list")
            del self[found : found + 1]
        self._settle()

    # -- arithmetic ----------------------------------------------------------------------------------

    def __add__(self, other: "list[T] | ListCalls[T]") -> list[T]:
        """Return a list of both's values. O(n).

        >>> from stablemem import MemoryBuffer
        >>> letters = MemoryBuffer.from_iterable("ab")
        >>> letters + ["c"], ["c"] + letters, letters * 2
        (['a', 'b', 'c'], ['c', 'a', 'b'], ['a', 'b', 'a', 'b'])
        """
        if not isinstance(other, list | ListCalls):
            return NotImplemented
        return self[:] + other[:]

    def __radd__(self, other: list[T]) -> list[T]:
        if not isinstance(other, list):
            return NotImplemented
        return other[:] + self[:]

    def __mul__(self, times: SupportsIndex) -> list[T]:
        """Return a list with the values repeated ``times`` times. O(n)."""
        return self[:] * times

    def __rmul__(self, times: SupportsIndex) -> list[T]:
        return self[:] * times


def _equal_by_blob(blobify: Any) -> bool:
    """Return whether values are equal exactly when their blobs are, so that none has to be decoded."""
    return getattr(blobify, "order_preserving", False) is True
