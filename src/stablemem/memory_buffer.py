"""MemoryBuffer: a list whose values live in a region."""

import sys
from collections.abc import Callable, Iterable, Iterator, MutableSequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from operator import index as as_index
from reprlib import recursive_repr
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    Protocol,
    Self,
    SupportsIndex,
    TypeVar,
    Unpack,
    overload,
)

from ._core.calls import sorting
from ._core.calls.editing import edited
from ._core.calls.list_core import ListCore
from ._core.calls.searching import clamped, first_difference, positions_of
from ._core.calls.walking import BufferIterator
from ._core.format.catalog import MAIN
from ._core.txn.handle import Handle
from .blob_store import copy_store
from .blobify import Blobify
from .layout import LEAF_CAPACITY, NODE_SIZE
from .memory_region import MemoryRegion
from .options import BUFFER_DEFAULTS, BufferOptions, require_known, spelled_out
from .shown import MOST_OF_A_PATH, shown, shown_path
from .structure import Source, Structure

if TYPE_CHECKING:
    from _typeshed import SupportsRichComparison, SupportsRichComparisonT
    from typing_extensions import TypeVar as DefaultTypeVar

    T = DefaultTypeVar("T", default=Any)
else:
    T = TypeVar("T")

__all__ = ["MemoryBuffer", "Random", "Sizes"]

V = TypeVar("V")
D = TypeVar("D")

_SHOWN = 6


class Random(Protocol):
    """The source of numbers for ``shuffle``, such as ``random.Random``."""

    def randrange(self, stop: int, /) -> int:
        """Return a number from 0 to ``stop`` - 1."""
        ...


@dataclass(frozen=True)
class Sizes:
    """The number of bytes that one list takes.

    Attributes:
        values: number of values.
        blob_bytes: bytes of the values themselves, including small values that are inside their pointers.
        node_bytes: bytes of the index: pointers, checksums, counts, and room for more values.
        capacity: number of values that the index has room for now. The list may grow beyond it.
    """

    values: int
    blob_bytes: int
    node_bytes: int
    capacity: int


def as_limit(maxlen: Any) -> int:
    """Return the number of values that a list keeps; -1 for any number.

    Raises:
        TypeError, ValueError, OverflowError: ``maxlen`` is not None and not an int from 0 to 2**63 - 1.
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


class MemoryBuffer(ListCore, Structure[T], MutableSequence[T], kind="list"):
    """A list that lives in a file. It may be larger than memory, opens at once, and is safe from crashes.

    Changes reach the file only when you call ``commit()`` or ``close()``, or when the ``with`` block ends
    normally. A value that the list returns is a copy: changing the copy does not change the list.

    Args:
        source: the file's path; None for a list in memory; or an open MemoryRegion.
        mode: as for MemoryRegion. "r" opens a snapshot: it never blocks a writer and is never blocked.
        name: the name of the list in the region.
        blobify: how values become bytes: an instance, a class, or a name such as "text". None takes the
            Blobify that the file records, and Msgpack for a new list.
        maxlen: the number of values to keep, the newest, as in ``collections.deque``. ``append``, ``extend``
            and slice assignment drop values at the start, ``appendleft`` and ``extendleft`` drop values at
            the end, and ``insert`` into a full list raises IndexError. The limit belongs to this handle and
            is not stored. If the list already has more values, they stay until a value is added. Set the
            attribute ``maxlen`` to change the limit.
        autocommit, commit_every, sync, checksums, io, timeout, max_size, on_low_space, low_space, fit: as for
            MemoryRegion. They may not be given with an open region, which has its own settings.

    Raises:
        FileNotFoundError, FileExistsError, IsADirectoryError, PermissionError: as ``open`` does.
        NotARegionError: stablemem did not write the file.
        VersionError: the file has a format that this version does not read.
        CorruptRegionError: the file is damaged.
        RegionLockedError: another handle has the file open for writing.
        BlobifyError: the list was written with another Blobify.
        KeyError: there is no list with this name, and the region is open for reading only.

    >>> events = MemoryBuffer()
    >>> events.append({"user": 7, "action": "login"})
    >>> events.insert(0, "first")
    >>> events[1], events[-1] == events[1], len(events)
    ({'user': 7, 'action': 'login'}, True, 2)
    >>> events.extend(range(10)); del events[3]
    >>> events[2:5]
    [0, 2, 3]
    >>> events.close()
    """

    if TYPE_CHECKING:
        # The types of the methods that ListCore has.
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

    # The overload for a class comes before that for an object: in the other order, pyright takes a class
    # for an object.
    @overload
    def __init__(
        self,
        source: Source = None,
        mode: str = "a",
        *,
        blobify: type[Blobify[T]],
        **options: Unpack[BufferOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        source: Source = None,
        mode: str = "a",
        *,
        blobify: Blobify[T],
        **options: Unpack[BufferOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        source: Source = None,
        mode: str = "a",
        *,
        blobify: Literal["msgpack"] | None = None,
        **options: Unpack[BufferOptions],
    ) -> None: ...

    @overload
    def __init__(
        self: "MemoryBuffer[str]",
        source: Source = None,
        mode: str = "a",
        *,
        blobify: Literal["text"],
        **options: Unpack[BufferOptions],
    ) -> None: ...

    @overload
    def __init__(
        self: "MemoryBuffer[bytes]",
        source: Source = None,
        mode: str = "a",
        *,
        blobify: Literal["bytes"],
        **options: Unpack[BufferOptions],
    ) -> None: ...

    @overload
    def __init__(
        self: "MemoryBuffer[int]",
        source: Source = None,
        mode: str = "a",
        *,
        blobify: Literal["nat", "int"],
        **options: Unpack[BufferOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        source: Source = None,
        mode: str = "a",
        *,
        blobify: str | None,
        **options: Unpack[BufferOptions],
    ) -> None: ...

    @spelled_out(BufferOptions, BUFFER_DEFAULTS)
    def __init__(
        self, source: Source = None, mode: str = "a", *, blobify: Any = None, **options: Unpack[BufferOptions]
    ) -> None:
        require_known("MemoryBuffer()", options, BufferOptions)
        most = as_limit(options.pop("maxlen", None))
        name = options.pop("name", MAIN)
        self._connect(source, mode, name, blobify, options)
        self._most = most

    def _bind(self, store: Handle, name: str, blobify: Any) -> None:
        ListCore.__init__(self, store, name, blobify)

    def _take_after(self, other: Self) -> None:
        super()._take_after(other)
        self._most = other._most

    @classmethod
    def from_iterable(
        cls,
        values: Iterable[V],
        source: Source = None,
        mode: str = "a",
        **options: Any,
    ) -> "MemoryBuffer[V]":
        """Return a list with the values added at its end, committed.

        >>> MemoryBuffer.from_iterable("abc")
        MemoryBuffer(['a', 'b', 'c'])
        """
        buffer: Any = cls(source, mode, **options)
        made: MemoryBuffer[V] = buffer._filled(lambda: buffer.extend(values))
        return made

    @classmethod
    def tabulate(
        cls,
        n: SupportsIndex,
        function: Callable[[int], V],
        source: Source = None,
        mode: str = "a",
        **options: Any,
    ) -> "MemoryBuffer[V]":
        """Return a list with ``function(0)`` to ``function(n - 1)`` added at its end, committed.

        >>> MemoryBuffer.tabulate(4, lambda n: n * n)
        MemoryBuffer([0, 1, 4, 9])
        """
        return cls.from_iterable(map(function, range(as_index(n))), source, mode, **options)

    @classmethod
    def filled(
        cls,
        n: SupportsIndex,
        value: V,
        source: Source = None,
        mode: str = "a",
        **options: Any,
    ) -> "MemoryBuffer[V]":
        """Return a list with a value added at its end ``n`` times, committed. The value is encoded once.

        >>> MemoryBuffer.filled(3, "x")
        MemoryBuffer(['x', 'x', 'x'])
        """
        number = as_index(n)
        buffer: Any = cls(source, mode, **options)
        made: MemoryBuffer[V] = buffer._filled(lambda: buffer._append_copies(value, number))
        return made

    def copy(self) -> Self:
        """Return a list in memory with the same values, Blobify and ``maxlen``. O(n).

        Values are not decoded, unless the Blobify has a store, which is copied too.

        The copy has all values, even if there are more than ``maxlen``. They stay until the next addition.

        >>> letters = MemoryBuffer.from_iterable("ab")
        >>> other = letters.copy(); other.append("c"); letters, other
        (MemoryBuffer(['a', 'b']), MemoryBuffer(['a', 'b', 'c']))
        >>> letters.close(), other.close()
        (None, None)
        """
        with self.region._handle.exclusive():
            region = MemoryRegion()
            copy_store(self.region, self.name, region, MAIN)
            other = type(self)._on(region, MAIN, self._unbound, False)
            other._filled(lambda: ListCore.extend(other, self))
            other._take_after(self)
            return other

    __copy__ = copy

    # -- properties ----------------------------------------------------------------------------------

    @recursive_repr("MemoryBuffer([...])")
    def __repr__(self) -> str:
        """Return the class, the first values, the number of values, and the file."""
        if not hasattr(self, "_region"):
            return f"<{type(self).__name__}: never opened>"
        if self.closed:
            return f"<{type(self).__name__} {shown_path(self.path, 'in memory')}: closed>"
        length = len(self)
        values = [shown(value, 80) for value in self[:_SHOWN]]
        if length > _SHOWN:
            values.append(f"... {length} values")
        where = f", {shown(self.path, MOST_OF_A_PATH)}" if self.path else ""
        name = f", name={shown(self.name)}" if self.name != MAIN else ""
        return f"{type(self).__name__}([{', '.join(values)}]{where}{name})"

    @property
    def maxlen(self) -> int | None:
        """The number of values that the list keeps, the newest; None for any number.

        The limit belongs to this handle and is not stored. If the list has more values, setting it drops the
        first ones, as a deque keeps the last ones: all of them or, after an error, none, with the next
        commit. None removes the limit. O(k + log n) for k dropped values.

        Raises:
            TypeError, ValueError, OverflowError: the limit is not None and not an int from 0 to 2**63 - 1.
            ReadOnlyError: the list is open for reading only.

        >>> recent = MemoryBuffer.from_iterable("abcd")
        >>> recent.maxlen = 3; recent.append("e"); recent
        MemoryBuffer(['c', 'd', 'e'])
        >>> recent.maxlen = None; recent.append("f"); len(recent)
        4
        >>> recent.close()
        """
        self._require_begun()
        most: int = self._most
        return None if most < 0 else most

    @maxlen.setter
    def maxlen(self, maxlen: int | None) -> None:
        self._require_begun()
        self._limit(as_limit(maxlen))

    def sizes(self) -> Sizes:
        """Return the number of bytes that the values and the index of the list take.

        This reads the whole index, 16 bytes for each value, but no values. Changes wait in the meantime.

        >>> MemoryBuffer.from_iterable(["one", "two", "three"], blobify="text").sizes()
        Sizes(values=3, blob_bytes=11, node_bytes=4096, capacity=255)
        """
        values, size, nodes, leaves = self._measure()
        return Sizes(values, size, NODE_SIZE * nodes, LEAF_CAPACITY * leaves)

    # -- reading and editing -------------------------------------------------------------------------

    def to_list(self) -> list[T]:
        """Return a ``list`` of all values as of one moment. O(n).

        >>> MemoryBuffer.from_iterable("ab").to_list()
        ['a', 'b']
        """
        return self[:]

    def items(
        self, start: SupportsIndex = 0, stop: SupportsIndex | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[int, T]]:
        """Iterate over (index, value) in a range of positions. O(1) for each step.

        The bounds are those of a slice, and are fixed by this call. If the list changes in the meantime, the
        iterator goes on by index.

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
        """Iterate over the blobs of the values in a range of positions, without decoding. O(1) for each step.

        The bounds are those of a slice, and are fixed by this call. If the list changes in the meantime, the
        iterator goes on by index.

        >>> list(MemoryBuffer.from_iterable("ab", blobify="text").blobs())
        [b'a', b'b']
        """
        first, last = self._range(start, stop)
        step = -1 if reverse else 1
        blobs: Iterator[bytes] = BufferIterator(self, last - 1 if reverse else first, step, raw=True)
        return islice(blobs, last - first)

    def edit(self, index: SupportsIndex) -> AbstractContextManager[T]:
        """Return a context that returns a mutable value, and assigns the value back at its end.

        If an exception leaves the context, the value is not assigned. O(log n + size).

        Raises:
            IndexError: the index is out of range.
            TypeError: the value cannot be changed, such as a number or a text: assign another one instead.
            StableMemoryError: at the end of the context, another value is at the index; that value stays.

        >>> users = MemoryBuffer.from_iterable([{"name": "Ada"}])
        >>> with users.edit(0) as user:
        ...     user["age"] = 36
        >>> users[0]["age"]
        36
        >>> users.close()
        """
        return edited(self, index)

    # -- comparing -----------------------------------------------------------------------------------

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        """Return whether a list or a MemoryBuffer has equal values in the same order. O(n)."""
        if not isinstance(other, list | MemoryBuffer):
            return NotImplemented
        return len(self) == len(other) and first_difference(self, other) is None

    def __lt__(self, other: "list[T] | MemoryBuffer[T]") -> bool:
        if not isinstance(other, list | MemoryBuffer):
            return NotImplemented
        differ = first_difference(self, other)
        return len(self) < len(other) if differ is None else bool(differ[0] < differ[1])

    def __le__(self, other: "list[T] | MemoryBuffer[T]") -> bool:
        if not isinstance(other, list | MemoryBuffer):
            return NotImplemented
        differ = first_difference(self, other)
        return len(self) <= len(other) if differ is None else bool(differ[0] <= differ[1])

    def __gt__(self, other: "list[T] | MemoryBuffer[T]") -> bool:
        if not isinstance(other, list | MemoryBuffer):
            return NotImplemented
        differ = first_difference(self, other)
        return len(self) > len(other) if differ is None else bool(differ[0] > differ[1])

    def __ge__(self, other: "list[T] | MemoryBuffer[T]") -> bool:
        if not isinstance(other, list | MemoryBuffer):
            return NotImplemented
        differ = first_difference(self, other)
        return len(self) >= len(other) if differ is None else bool(differ[0] >= differ[1])

    # -- searching -----------------------------------------------------------------------------------

    def __contains__(self, value: object) -> bool:
        """Return whether a value is in the list. O(n).

        >>> numbers = MemoryBuffer.from_iterable([1, 2])
        >>> 2 in numbers, 2.0 in numbers, print in numbers
        (True, True, False)
        """
        return next(positions_of(self, value, 0, sys.maxsize), -1) >= 0

    def index(self, value: T, start: SupportsIndex = 0, stop: SupportsIndex = sys.maxsize) -> int:
        """Return the first position of a value, from ``start`` on, before ``stop``. O(n).

        Raises:
            ValueError: the value is not in the list.

        >>> letters = MemoryBuffer.from_iterable("abcb")
        >>> letters.index("b"), letters.index("b", 2), letters.rindex("b")
        (1, 3, 3)
        """
        found = next(positions_of(self, value, *clamped(self, start, stop)), -1)
        if found < 0:
            raise ValueError(f"{shown(value)} is not in list")
        return found

    def rindex(self, value: T, start: SupportsIndex = 0, stop: SupportsIndex = sys.maxsize) -> int:
        """Return the last position of a value, from ``start`` on, before ``stop``. O(n), from the end.

        Raises:
            ValueError: the value is not in the list.
        """
        low, high = clamped(self, start, stop)
        found = next(positions_of(self, value, min(high, len(self)) - 1, low - 1, -1), -1)
        if found < 0:
            raise ValueError(f"{shown(value)} is not in list")
        return found

    def count(self, value: T) -> int:
        """Return the number of values that are equal to ``value``. O(n).

        >>> MemoryBuffer.from_iterable("banana").count("a")
        3
        """
        return sum(1 for _ in positions_of(self, value, 0, sys.maxsize))

    def remove(self, value: T) -> None:
        """Delete the first value that is equal to ``value``. O(n).

        Raises:
            ValueError: the value is not in the list.

        >>> letters = MemoryBuffer.from_iterable("aba")
        >>> letters.remove("a"); letters
        MemoryBuffer(['b', 'a'])
        >>> letters.close()
        """
        with self.region._handle.exclusive():
            self._require_writable()
            found = next(positions_of(self, value, 0, sys.maxsize), -1)
            if found < 0:
                raise ValueError("list.remove(x): x not in list")
            del self[found : found + 1]
        self._relieve()

    # -- arithmetic ----------------------------------------------------------------------------------

    def __add__(self, other: "list[T] | MemoryBuffer[T]") -> list[T]:
        """Return a list of the values of both. O(n).

        >>> letters = MemoryBuffer.from_iterable("ab")
        >>> letters + ["c"], ["c"] + letters, letters * 2
        (['a', 'b', 'c'], ['c', 'a', 'b'], ['a', 'b', 'a', 'b'])
        """
        if not isinstance(other, list | MemoryBuffer):
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

    # -- order ---------------------------------------------------------------------------------------

    @overload
    def sort(
        self: "MemoryBuffer[SupportsRichComparisonT]", *, key: None = None, reverse: bool = False
    ) -> None: ...
    @overload
    def sort(self, *, key: "Callable[[T], SupportsRichComparison]", reverse: bool = False) -> None: ...
    @overload
    def sort(self, *, reverse: bool = False, by_blob: Literal[True]) -> None: ...

    def sort(self, *, key: Any = None, reverse: bool = False, by_blob: bool = False) -> None:
        """Put the values in ascending order, as ``list.sort`` does: stable, and using only ``<``.

        Only pointers move; no value is written again. If ``key`` or a comparison raises, the list does not
        change. ``key`` and comparisons may read the list, and see it unchanged.

        O(n log n) comparisons, fewer if the list is partly in order. If the list is in order already, nothing
        is changed. A list of up to about 256 MiB, decoded, is sorted in memory. A longer list is sorted in
        parts of that size, which are merged through temporary files in ``tempfile.gettempdir()``. The files
        take as many bytes as the values, plus 32 for each value. Then each value is decoded, and ``key``
        called for it, at least twice.

        Args:
            key: called with each value; its results are compared.
            reverse: whether the greatest value comes first. Equal values keep their order in any case.
            by_blob: whether to compare blobs, without decoding. If there is no ``key``, and the Blobify is
                ``order_preserving``, this is done anyway.

        Raises:
            TypeError: two values cannot be compared; or ``by_blob`` was given with ``key``, or for a Blobify
                that is not ``order_preserving``.
            ValueError: ``key`` or a comparison changed the list. These changes stay, and nothing is sorted.
            OSError: there is no room for the temporary files; or the disk failed, and all uncommitted changes
                were rolled back.

        >>> words = MemoryBuffer.from_iterable(["pear", "fig", "apple"], blobify="text")
        >>> words.sort()
        >>> words[:]
        ['apple', 'fig', 'pear']
        >>> words.sort(key=len, reverse=True)
        >>> words[:]
        ['apple', 'pear', 'fig']
        >>> words.close()
        """
        sorting.sort(self, key, reverse, by_blob)
