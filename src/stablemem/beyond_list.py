"""BeyondList: the calls that ``list`` has not: blobs, where they lie, editing, moving by pointers."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from operator import index as as_index
from typing import TYPE_CHECKING, Any, Protocol, SupportsIndex, TypeVar, overload

from ._core.calls.list_core import BufferIterator
from .errors import StableMemoryError
from .layout import LEAF_CAPACITY, NODE_SIZE
from .list_calls import ListCalls
from .shown import shown

__all__ = ["BeyondList", "Random", "Sizes", "as_limit"]

T = TypeVar("T")
D = TypeVar("D")


class Random(Protocol):
    """Where ``shuffle`` takes its numbers from, such as ``random.Random``."""

    def randrange(self, stop: int, /) -> int:
        """Return a number from 0 up to, not including, ``stop``."""
        ...


@dataclass(frozen=True)
class Sizes:
    """How many bytes one list takes.

    Attributes:
        values: number of values.
        blob_bytes: bytes of the values themselves, also of small values that are kept inside their pointers.
        node_bytes: bytes of the index: pointers, checksums, counts, and room for more values.
        capacity: number of values that the index has room for now. The list may grow beyond it.
    """

    values: int
    blob_bytes: int
    node_bytes: int
    capacity: int


def as_limit(maxlen: Any) -> int:
    """Return how many values a list keeps, -1 for any number.

    Raises:
        TypeError, ValueError, OverflowError: a limit is 0 or more, or None.
    """
    if maxlen is None:
        return -1
    if isinstance(maxlen, bool) or not hasattr(maxlen, "__index__"):
        raise TypeError(
            f"maxlen is an int or None, not {type(maxlen).__name__}: None keeps any number of values"
        )
    most = as_index(maxlen)
    if most < 0:
        raise ValueError(f"maxlen is 0 or more, not {shown(most)}: None keeps any number of values")
    if most >> 63:
        raise OverflowError(f"maxlen is below 2**63, not {shown(most)}: None keeps any number of values")
    return most


_IMMUTABLE = (type(None), bool, int, float, complex, str, bytes, frozenset, range)
_OF_IMMUTABLES = {"datetime", "decimal", "fractions", "ipaddress", "numpy", "pathlib", "uuid"}
"""Modules whose values cannot be changed, unless they have ``__setitem__``, as numpy's arrays have."""


def _is_immutable(value: object) -> bool:
    """Return whether nothing in a value can be changed; for a class of somebody else's that is not known.

    >>> _is_immutable("x"), _is_immutable((1, ("x",))), _is_immutable(([],)), _is_immutable({})
    (True, True, False, False)
    """
    kind = type(value)
    if isinstance(value, Enum):
        return True
    if kind.__module__.partition(".")[0].lstrip("_") in _OF_IMMUTABLES:
        return not hasattr(kind, "__setitem__")
    if kind.__dictoffset__:
        return False
    return isinstance(value, _IMMUTABLE) or (isinstance(value, tuple) and all(map(_is_immutable, value)))


class BeyondList(ListCalls[T]):
    """The calls that a list in a region has and ``list`` does not."""

    if TYPE_CHECKING:
        # ListCore does these; what follows is their types.
        @overload  # type: ignore[override]
        def get(self, index: SupportsIndex) -> T | None: ...
        @overload
        def get(self, index: SupportsIndex, default: D) -> T | D: ...
        def get(self, index: Any, default: Any = None) -> Any: ...  # noqa: D102
        def get_many(self, indices: Iterable[SupportsIndex]) -> list[T]: ...  # noqa: D102
        def __getitems__(self, indices: Iterable[SupportsIndex]) -> list[T]: ...
        def swap(self, i: SupportsIndex, j: SupportsIndex) -> None: ...  # noqa: D102
        def swap_remove(self, index: SupportsIndex) -> T: ...  # noqa: D102
        def shuffle(self, rng: Random | None = None) -> None: ...  # noqa: D102
        def appendleft(self, value: T) -> None: ...  # noqa: D102
        def extendleft(self, values: Iterable[T]) -> None: ...  # noqa: D102
        def popleft(self) -> T: ...  # noqa: D102
        def rotate(self, n: SupportsIndex = 1) -> None: ...  # noqa: D102
        def pointers(  # noqa: D102
            self, start: SupportsIndex = 0, stop: SupportsIndex | None = None, *, reverse: bool = False
        ) -> Iterator[tuple[int, int]]: ...
        def blob_view(self, index: SupportsIndex) -> memoryview: ...  # noqa: D102

    @property
    def maxlen(self) -> int | None:
        """How many values it keeps, the newest; None for any number. Of this handle, not stored.

        Setting it drops the first values where there are more, as a deque of that ``maxlen`` would keep the
        last ones: all of that or nothing, with the next commit. None lifts the limit. O(k + log n) for k
        values dropped.

        Raises:
            TypeError, ValueError, OverflowError: a limit is 0 or more, or None.
            ReadOnlyError: the list only reads.

        >>> from stablemem import MemoryBuffer
        >>> recent = MemoryBuffer.from_iterable("abcd")
        >>> recent.maxlen = 3; recent.append("e"); recent
        MemoryBuffer(['c', 'd', 'e'])
        >>> recent.maxlen = None; recent.append("f"); len(recent)
        4
        >>> recent.close()
        """
        most: int = self._most
        return None if most < 0 else most

    @maxlen.setter
    def maxlen(self, maxlen: int | None) -> None:
        self._limit(as_limit(maxlen))

    def to_list(self) -> list[T]:
        """Return a ``list`` of all values as of one moment. O(n).

        >>> from stablemem import MemoryBuffer
        >>> MemoryBuffer.from_iterable("ab").to_list()
        ['a', 'b']
        """
        return self[:]

    def items(
        self, start: SupportsIndex = 0, stop: SupportsIndex | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[int, T]]:
        """Iterate over (index, value) in a range of positions. O(1) a step.

        The bounds are those of a slice, and are fixed by this call. If the list changes meanwhile, the
        iterator goes on by index.

        >>> from stablemem import MemoryBuffer
        >>> letters = MemoryBuffer.from_iterable("abcd")
        >>> list(letters.items(1, 3)), list(letters.items(-2, reverse=True))
        ([(1, 'b'), (2, 'c')], [(3, 'd'), (2, 'c')])
        """
        first, last = self._range(start, stop)
        positions = range(last - 1, first - 1, -1) if reverse else range(first, last)
        values: Iterator[T] = BufferIterator(self, positions.start, positions.step)
        return zip(positions, values, strict=False)

    def blobs(
        self, start: SupportsIndex = 0, stop: SupportsIndex | None = None, *, reverse: bool = False
    ) -> Iterator[bytes]:
        """Iterate over the bytes of the values in a range of positions, without decoding. O(1) a step.

        The bounds are those of a slice, and are fixed by this call. If the list changes meanwhile, the
        iterator goes on by index.

        >>> from stablemem import MemoryBuffer
        >>> list(MemoryBuffer.from_iterable("ab", blobify="text").blobs())
        [b'a', b'b']
        """
        first, last = self._range(start, stop)
        step = -1 if reverse else 1
        blobs: Iterator[bytes] = BufferIterator(self, last - 1 if reverse else first, step, raw=True)
        return islice(blobs, last - first)

    def edit(self, index: SupportsIndex) -> AbstractContextManager[T]:
        """Return a context that gives a mutable value, and assigns it back at its end.

        If an exception leaves the context, the value is not assigned. O(log n + size).

        Raises:
            IndexError: the index is out of range.
            TypeError: the value cannot be changed, such as a number or a text: assign another instead.
            StableMemoryError: another value is at the index by the end of the context, and stays.

        >>> from stablemem import MemoryBuffer
        >>> users = MemoryBuffer.from_iterable([{"name": "Ada"}])
        >>> with users.edit(0) as user:
        ...     user["age"] = 36
        >>> users[0]["age"]
        36
        >>> users.close()
        """
        return self._edited(index)

    @contextmanager
    def _edited(self, index: SupportsIndex) -> Iterator[T]:
        at = as_index(index)
        self._require_writable()
        position = at + len(self) if at < 0 else at
        before = bytes(self.blob_view(at))
        value = self._decoded(before, position)
        if _is_immutable(value):
            raise TypeError(
                f"edit() changes a value in place, and the {type(value).__name__} at index {at} cannot be "
                f"changed: assign another, as in b[{at}] = value"
            )
        yield value
        with self._store.exclusive():
            if position >= len(self) or self.blob_view(position) != before:
                raise StableMemoryError(
                    f"the list was changed within edit(): another value is at index {position} now, so "
                    f"nothing was assigned; change the list before or after, and edit again"
                )
            self[position] = value
        self._settle()

    def sizes(self) -> Sizes:
        """Return how many bytes the values and the index of the list take.

        It reads the whole index, 16 bytes for each value, but no values. Changes wait meanwhile.

        >>> from stablemem import MemoryBuffer
        >>> MemoryBuffer.from_iterable(["one", "two", "three"], blobify="text").sizes()
        Sizes(values=3, blob_bytes=11, node_bytes=4096, capacity=255)
        """
        values, size, nodes, leaves = self._measure()
        return Sizes(values, size, NODE_SIZE * nodes, LEAF_CAPACITY * leaves)
