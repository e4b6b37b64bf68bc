"""MemoryBuffer: a list whose values live in a region."""

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from operator import index as as_index
from reprlib import recursive_repr
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, SupportsIndex, TypeVar, Unpack, overload

from ._core.audit.verify import Report
from ._core.calls import sorting
from ._core.calls.list_core import ListCore
from ._core.format.catalog import MAIN
from ._core.txn.opening import open_again
from .beyond_list import BeyondList, as_limit
from .blobify import Blobify, describe, resolve
from .errors import BlobifyError, StableMemoryError
from .layout import is_name
from .memory_region import MemoryRegion, RegionOptions, Stats
from .shown import MOST_OF_A_PATH, shown, shown_names, shown_path

if TYPE_CHECKING:
    from _typeshed import SupportsRichComparison, SupportsRichComparisonT
    from typing_extensions import TypeVar as DefaultTypeVar

    T = DefaultTypeVar("T", default=Any)
else:
    T = TypeVar("T")

__all__ = ["MemoryBuffer"]

V = TypeVar("V")

_DEFAULTS = {
    "mode": "a", "autocommit": False, "commit_every": None, "sync": True, "checksums": True, "timeout": 0.0,
}  # fmt: skip
_SHOWN = 6


class BufferOptions(RegionOptions, total=False):
    """The options of a list beside its Blobify; MemoryBuffer says what each means."""

    name: str
    autocommit: bool
    commit_every: float | timedelta | None
    sync: bool
    checksums: bool
    timeout: float
    maxlen: int | None


class MemoryBuffer(BeyondList[T]):
    """A list that lives in a file. It may be larger than memory, opens at once, and is safe from crashes.

    Changes reach the file only when you call ``commit()`` or ``close()``, or when the ``with`` block ends
    normally. A value that the list returns is a copy: changing the copy does not change the list.

    Args:
        source: the file's path; None for a list in memory; or a MemoryRegion that is open.
        mode: as for MemoryRegion. "r" opens a snapshot: it never blocks a writer and is never blocked.
        name: which list of the region.
        blobify: how values become bytes: an instance, a class, or a name such as "text". None takes the one
            that the file records, and Msgpack for a new list.
        autocommit, commit_every, sync, checksums, timeout: as for MemoryRegion. A region that is open already
            has its own settings, and they may not be given with it.
        maxlen: how many values to keep: the newest, as ``collections.deque`` does. ``append``, ``extend`` and
            slice assignment drop values at the start, ``appendleft`` and ``extendleft`` drop values at the
            end, and ``insert`` into a full list raises IndexError. It belongs to this handle and is not
            stored. If the list already has more values, they stay until a value is added. The attribute
            ``maxlen`` changes it.
        region_options: ``max_size``, ``on_low_space``, ``low_space``, ``fit``, as for MemoryRegion; not with
            a region that is open already.

    Raises:
        FileNotFoundError, FileExistsError, IsADirectoryError, PermissionError: as ``open`` does.
        NotARegionError: stablemem did not write the file.
        VersionError: the file has a format that this version does not read.
        CorruptRegionError: the file is damaged.
        RegionLockedError: another handle has it open for writing.
        BlobifyError: the list was written with another Blobify.
        KeyError: there is no list of this name, and the region is open for reading only.

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

    # A class before an object: pyright takes one for the other where the object comes first.
    @overload
    def __init__(
        self,
        source: str | os.PathLike[str] | MemoryRegion | None = None,
        mode: str = "a",
        *,
        blobify: type[Blobify[T]],
        **options: Unpack[BufferOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        source: str | os.PathLike[str] | MemoryRegion | None = None,
        mode: str = "a",
        *,
        blobify: Blobify[T],
        **options: Unpack[BufferOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        source: str | os.PathLike[str] | MemoryRegion | None = None,
        mode: str = "a",
        *,
        blobify: Literal["msgpack"] | None = None,
        **options: Unpack[BufferOptions],
    ) -> None: ...

    @overload
    def __init__(
        self: "MemoryBuffer[str]",
        source: str | os.PathLike[str] | MemoryRegion | None = None,
        mode: str = "a",
        *,
        blobify: Literal["text"],
        **options: Unpack[BufferOptions],
    ) -> None: ...

    @overload
    def __init__(
        self: "MemoryBuffer[bytes]",
        source: str | os.PathLike[str] | MemoryRegion | None = None,
        mode: str = "a",
        *,
        blobify: Literal["bytes"],
        **options: Unpack[BufferOptions],
    ) -> None: ...

    @overload
    def __init__(
        self: "MemoryBuffer[int]",
        source: str | os.PathLike[str] | MemoryRegion | None = None,
        mode: str = "a",
        *,
        blobify: Literal["nat", "int"],
        **options: Unpack[BufferOptions],
    ) -> None: ...

    @overload
    def __init__(
        self,
        source: str | os.PathLike[str] | MemoryRegion | None = None,
        mode: str = "a",
        *,
        blobify: str | None,
        **options: Unpack[BufferOptions],
    ) -> None: ...

    def __init__(
        self,
        source: str | os.PathLike[str] | MemoryRegion | None = None,
        mode: str = "a",
        *,
        name: str = MAIN,
        blobify: Any = None,
        autocommit: bool = False,
        commit_every: float | timedelta | None = None,
        sync: bool = True,
        checksums: bool = True,
        timeout: float = 0.0,
        maxlen: int | None = None,
        **region_options: Unpack[RegionOptions],
    ) -> None:
        if not is_name(name):
            raise ValueError(
                f"the name of a list is a str of 1 to 65535 bytes in UTF-8, not {shown(name)}: "
                f"name it, or leave name= out"
            )
        most = as_limit(maxlen)
        for option in region_options.keys() - RegionOptions.__annotations__.keys():
            raise TypeError(f"MemoryBuffer() got an unexpected keyword argument {shown(option)}")
        self._owner = not isinstance(source, MemoryRegion)
        self._detached = False
        if isinstance(source, MemoryRegion):
            given = {"mode": mode, "autocommit": autocommit, "commit_every": commit_every, "sync": sync}
            given |= {"checksums": checksums, "timeout": timeout}
            foreign = [option for option, value in given.items() if value != _DEFAULTS[option]]
            foreign += region_options
            if foreign:
                raise TypeError(
                    f"{foreign[0]} is an option of the region, which is open already: give it to MemoryRegion"
                )
            self._region = source
        elif source is None or isinstance(source, str | os.PathLike):
            if mode in ("w", "x"):
                # Before a file is replaced, or made: what is wrong here is wrong with any file.
                blobify = resolve(blobify, None)
            self._region = MemoryRegion(
                source,
                mode,
                autocommit=autocommit,
                commit_every=commit_every,
                sync=sync,
                checksums=checksums,
                timeout=timeout,
                **region_options,
            )
        else:
            raise TypeError(
                f"source is a path, a MemoryRegion or None, not {type(source).__name__}: "
                f"to fill a list with values, use MemoryBuffer.from_iterable(values)"
            )
        try:
            # A commit in the background must not come between the catalog and what is made of it.
            with self._region._store.exclusive():
                self._attach(name, blobify, most)
        except BaseException:
            if self._owner:
                self._region._store.close(commit=False)
            raise

    def _attach(self, name: str, blobify: Any, most: int, absent: bool = False) -> None:
        """Find the list in the region's catalog, or add it."""
        store = self._region._store
        store.require_open()
        entry = store.entries.get(name)
        recorded = None if entry is None or name in store.absent else (entry.blobify, entry.options)
        chosen = resolve(blobify, recorded)
        if entry is None and store.writable:
            store.add(name, *describe(chosen))
        elif entry is None and (absent or (name == MAIN and not store.entries)):
            store.add_absent(name, *describe(chosen))
        elif entry is None:
            raise KeyError(
                f"{shown_path(store.path)} has no list {shown(name)}; it has "
                f"{shown_names(store.entries)}: open one of these, "
                f"or make it with mode='a'"
            )
        ListCore.__init__(self, store, name, chosen, most)
        self._choice = blobify
        self._region._attached(self)

    def _renew(self) -> None:
        """Look up the Blobify again after a refresh: the list may have been absent before."""
        entry = self._store.entries[self.name]
        if (entry.blobify, entry.options) != describe(self.blobify):
            try:
                chosen = resolve(self._choice, (entry.blobify, entry.options))
            except BlobifyError:
                self._detached = True
                self.detach()
                raise
            self.recode(chosen)

    @classmethod
    def from_iterable(
        cls,
        values: Iterable[V],
        source: str | os.PathLike[str] | MemoryRegion | None = None,
        mode: str = "a",
        **options: Any,
    ) -> "MemoryBuffer[V]":
        """Return a list with the values added at its end, committed.

        >>> MemoryBuffer.from_iterable("abc")
        MemoryBuffer(['a', 'b', 'c'])
        """
        buffer: Any = cls(source, mode, **options)
        made: MemoryBuffer[V] = buffer._made(lambda: buffer.extend(values))
        return made

    @classmethod
    def tabulate(
        cls,
        n: SupportsIndex,
        function: Callable[[int], V],
        source: str | os.PathLike[str] | MemoryRegion | None = None,
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
        source: str | os.PathLike[str] | MemoryRegion | None = None,
        mode: str = "a",
        **options: Any,
    ) -> "MemoryBuffer[V]":
        """Return a list with a value added at its end ``n`` times, committed. The value is encoded once.

        >>> MemoryBuffer.filled(3, "x")
        MemoryBuffer(['x', 'x', 'x'])
        """
        number = as_index(n)
        buffer: Any = cls(source, mode, **options)
        made: MemoryBuffer[V] = buffer._made(lambda: buffer._append_copies(value, number))
        return made

    def _made(self, fill: Callable[[], object]) -> Self:
        """Fill a list that was just opened, and commit; a failure closes it as it was."""
        try:
            fill()
            self.commit()
        except BaseException:
            if self._owner:
                self._store.close(commit=False)
            raise
        return self

    def copy(self) -> "MemoryBuffer[T]":
        """Return a list in memory with the same values, Blobify and ``maxlen``. O(n), without decoding.

        The copy has all values, even if they are more than ``maxlen``. They stay until the next addition.

        >>> letters = MemoryBuffer.from_iterable("ab")
        >>> other = letters.copy(); other.append("c"); letters, other
        (MemoryBuffer(['a', 'b']), MemoryBuffer(['a', 'b', 'c']))
        >>> letters.close(), other.close()
        (None, None)
        """
        with self._store.exclusive():
            other: MemoryBuffer[T] = MemoryBuffer(blobify=self.blobify)
            other._made(lambda: other.extend(self))
            other._most = self._most
            return other

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> "MemoryBuffer[T]":
        """Return a copy; its values come from blobs, so that they share nothing either way."""
        return self.copy()

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
        """Put the values in ascending order, as ``list.sort`` does: stable, and using ``<`` only.

        Only pointers move; no value is written again. If ``key`` or a comparison raises, the list is as it
        was. ``key`` and comparisons may read the list, and find it as it was.

        O(n log n) comparisons, fewer if the list is partly in order. If it is in order already, nothing is
        changed. A list of up to about 256 MiB, decoded, is sorted in memory. A longer list is sorted in parts
        of that size, which are merged through temporary files in ``tempfile.gettempdir()``. The files take as
        many bytes as the values, plus 32 for each value. Each value is then decoded, and ``key`` called for
        it, at least twice.

        Args:
            key: called with each value; its results are compared.
            reverse: whether the greatest comes first. Equal values keep their order in any case.
            by_blob: compare the bytes of the values, without decoding. Without ``key`` this is done anyway if
                the Blobify says ``order_preserving``.

        Raises:
            TypeError: two values cannot be compared; or ``by_blob`` was given with ``key``, or for a Blobify
                that does not say ``order_preserving``.
            ValueError: ``key`` or a comparison changed the list. Its changes stay, and nothing is sorted.
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

    # -- what it is ----------------------------------------------------------------------------------

    @property
    def region(self) -> MemoryRegion:
        """The region that the list is in."""
        return self._region

    @property
    def name(self) -> str:
        """The name of the list in its region."""
        name: str = self._name
        return name

    @property
    def blobify(self) -> Blobify[T]:
        """The object that turns values into bytes and back."""
        chosen: Blobify[T] = self._blobify
        return chosen

    @property
    def path(self) -> str:
        """The path of the file; empty for a list in memory."""
        return self._region.path

    @property
    def mode(self) -> str:
        """The mode that the list was opened with; "r" for snapshots and in forked children."""
        return self._region.mode

    @property
    def closed(self) -> bool:
        """Whether the list or its region was closed."""
        return self._detached or self._region.closed

    @recursive_repr("MemoryBuffer([...])")
    def __repr__(self) -> str:
        """Return the class, the first values, how many there are, and the file."""
        if self.closed:
            return f"<MemoryBuffer {shown_path(self.path, 'in memory')}: closed>"
        length = len(self)
        values = [shown(value, 80) for value in self[:_SHOWN]]
        if length > _SHOWN:
            values.append(f"... {length} values")
        where = f", {shown(self.path, MOST_OF_A_PATH)}" if self.path else ""
        name = f", name={shown(self.name)}" if self.name != MAIN else ""
        return f"MemoryBuffer([{', '.join(values)}]{where}{name})"

    # -- state, of the whole region ------------------------------------------------------------------

    def _live_region(self) -> MemoryRegion:
        """Return the region, in which this list has no say once it is closed."""
        if not self._region.closed:
            len(self)  # raises if only this list is closed; the region says itself that it is
        return self._region

    def commit(self, sync: bool | None = None) -> None:
        """Make all changes since the last commit part of the file: one atomic step for all lists of a region.

        Args:
            sync: True waits until the commit is safe from power cuts. False does not wait. None takes the
                setting that the list was opened with.

        Raises:
            OSError: the disk failed or is full; the changes were rolled back.
        """
        self._live_region().commit(sync)

    def rollback(self) -> None:
        """Undo all changes since the last commit."""
        self._live_region().rollback()

    def transaction(self) -> AbstractContextManager[None]:
        """Return a context that commits at its end. If an exception leaves it, its changes are undone.

        Do not ``await`` or ``yield`` inside the context, and leave it before you close the list.

        >>> numbers = MemoryBuffer.from_iterable([1, 2, 3])
        >>> with numbers.transaction():
        ...     numbers[0] = 10
        ...     numbers.append(4)
        >>> numbers
        MemoryBuffer([10, 2, 3, 4])
        """
        return self._live_region().transaction()

    def snapshot(self) -> "MemoryBuffer[T]":
        """Return a read-only list that stays at the last commit while others write."""
        return MemoryBuffer._on(self._live_region().snapshot(), self.name, self.blobify, self._most, True)

    @staticmethod
    def _on(
        region: MemoryRegion, name: str, blobify: Blobify[V], most: int, absent: bool
    ) -> "MemoryBuffer[V]":
        """Return a list on a region of its own, which reads; ``absent`` allows one that is not there yet."""
        try:
            buffer: MemoryBuffer[V] = MemoryBuffer.__new__(MemoryBuffer)
            buffer._owner, buffer._detached, buffer._region = True, False, region
            buffer._attach(name, blobify, most, absent)
        except BaseException:
            region.close()
            raise
        return buffer

    def refresh(self) -> bool:
        """Move a read-only list to the newest commit. Return whether there was a newer one.

        Raises:
            RegionReplacedError: there is none, and the path leads to another file by now, or to none.
        """
        return self._live_region().refresh()

    def compact(
        self, *, max_bytes: int | None = None, progress: Callable[[int, int], object] | None = None
    ) -> int:
        """Make the whole region's file as short as it can be; see MemoryRegion.compact."""
        return self._live_region().compact(max_bytes=max_bytes, progress=progress)

    def verify(self) -> Report:
        """Check everything in the last commit of the whole region; see MemoryRegion.verify."""
        return self._live_region().verify()

    def stats(self) -> Stats:
        """Return how the bytes of the region are used; see MemoryRegion.stats."""
        return self._live_region().stats()

    def close(self) -> None:
        """Commit, wait for the disk, and release the file.

        If the list was opened with a region, only the list is closed, and nothing is committed.
        """
        if self._owner:
            self._region.close()
        self._detached = True
        self.detach()

    def __enter__(self) -> Self:
        self._live_region().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; an exception rolls uncommitted changes back first."""
        if self._owner:
            self._region.__exit__(kind, error, trace)
        elif kind is None:
            self._region.commit()
        else:
            self._region.rollback()
        self._detached = True
        self.detach()

    # -- pickling ------------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the path and the commit; it comes back reading.

        A reader comes back at its own commit, if that is the newest, or as long as a reader is open on it. A
        writer comes back at the newest commit.

        Raises:
            TypeError: the list is in memory.
            StableMemoryError: it has uncommitted changes.
        """
        if not self.path:
            raise TypeError("a list in memory cannot be pickled: give it a path")
        store = self._store
        pickled = store.pickled()
        if self.name not in {MAIN, *store.state.lists, *store.absent}:
            raise StableMemoryError(
                f"the list {shown(self.name)} is not committed, so another process would not find it: "
                f"call commit() before you pickle"
            )
        return _reopen, (self.name, self.blobify, *pickled)


def _reopen(
    name: str, blobify: Blobify[T], path: str, checksums: bool, state: tuple[Any, ...], exactly: bool
) -> MemoryBuffer[T]:
    """Return what a pickle says."""
    region = MemoryRegion._of(open_again(path, checksums, state, exactly), "r")
    return MemoryBuffer._on(region, name, blobify, -1, exactly)
