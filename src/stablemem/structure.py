"""Structure: one name in a region; the common base of all classes whose values live under a name.

    class MemoryBuffer(ListCore, Structure[T], kind="list")

A structure is attached to a region when it is made. It is renewed when the region moves to another commit. It
ends with its region, or alone. Its class adds the calls of its kind. The calls that act on the whole region
are here, and are passed on to the region.
"""

import os
from collections.abc import Callable
from copy import deepcopy
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from ._core.audit.stats import Stats
from ._core.audit.verify import Report
from ._core.calls.codec import Codec
from ._core.disk.region import Io
from ._core.format.catalog import MAIN
from ._core.txn.block import Block
from ._core.txn.handle import Handle
from ._core.txn.opening import open_again
from .blob_store import binds, bound
from .blobify import Blobify
from .blobify.registry import describe, resolve
from .errors import BlobifyError, RegionClosedError, StableMemoryError, never_opened
from .layout import exact, is_own_name
from .memory_region import KINDS, MemoryRegion
from .options import DEFAULTS, RegionOptions
from .shown import shown, shown_names, shown_path

if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultTypeVar

    T = DefaultTypeVar("T", default=Any)
else:
    T = TypeVar("T")

__all__ = ["Source", "Structure"]

Source = str | os.PathLike[str] | MemoryRegion | None
"""Where a structure is: the path of its file, an open region, or None for memory."""


class Structure(Generic[T]):
    """One name in a region: a base of the public classes.

    A subclass defines how its compiled part begins, ends and takes another Blobify: ``_bind``, ``_detach``
    and ``_recode``. The compiled part knows the name, too.
    """

    _kind: ClassVar[str]
    """The name of the kind in messages, and in `KINDS` of memory_region.py; the catalog has a number."""

    _region: MemoryRegion
    _choice: Any
    _unbound: Any
    _is_owner = False
    _ended = True

    if TYPE_CHECKING:
        # The compiled part of a subclass has these.
        _name: str
        _codec: Codec

        def _detach(self) -> None: ...
        def _recode(self, blobify: Blobify[T], bound: bool = False) -> None: ...
        def __len__(self) -> int: ...

    def __init_subclass__(cls, *, kind: str | None = None, **options: Any) -> None:
        """Register this class with regions as the class for a kind, if a kind is given."""
        super().__init_subclass__(**options)
        if kind is not None:
            cls._kind = kind
            KINDS[kind] = cls

    def _bind(self, store: Handle, name: str, blobify: Any) -> None:
        """Begin the compiled part."""
        raise NotImplementedError

    # -- beginning -----------------------------------------------------------------------------------

    def _connect(self, source: Source, mode: str, name: str, blobify: Any, options: RegionOptions) -> None:
        """Open a region, unless ``source`` is an open one, and attach to a name in it."""
        if not is_own_name(name):
            raise ValueError(
                f"the name of a {self._kind} is a str of 1 to 65535 bytes in UTF-8 that does not begin with "
                f"NUL, not {shown(name)}: name it, or leave name= out"
            )
        if isinstance(source, MemoryRegion):
            given: dict[str, object] = {"mode": mode, **options}
            plain: dict[str, object] = {"mode": "a", **DEFAULTS}
            for option, value in given.items():
                if value != plain[option]:
                    raise TypeError(
                        f"{option} is an option of the region, which is open already: give it to MemoryRegion"
                    )
            self._attach(source, False, exact(name), blobify)
        elif source is None or isinstance(source, str | os.PathLike):
            if mode in ("w", "x"):
                # Check this before a file is replaced or made: an error here does not depend on the file.
                blobify = resolve(blobify, None)
            self._attach(MemoryRegion(source, mode, **options), True, exact(name), blobify)
        else:
            raise TypeError(
                f"source is a path, a MemoryRegion or None, not {type(source).__name__}: "
                f"to fill a {self._kind} with values, use {type(self).__name__}.from_iterable(values)"
            )

    def _attach(
        self, region: MemoryRegion, is_owner: bool, name: str, blobify: Any, absent: bool = False
    ) -> None:
        """Attach to a name in a region. A failure closes the region if this structure owns it."""
        try:
            # No commit in the background may come between reading the catalog and using it.
            with region._handle.exclusive():
                self._find(region, name, blobify, absent)
                self._is_owner, self._ended = is_owner, False
                region._attached(self)
        except BaseException:
            if is_owner:
                region._handle.close(commit=False)
            raise

    def _find(self, region: MemoryRegion, name: str, blobify: Any, absent: bool) -> None:
        """Find the name in the region's catalog, or add it. ``absent``: a snapshot may lack the name."""
        store = region._handle
        store.require_open()
        entry = store.entries.get(name)
        if entry is not None:
            store.require_list(name)
        recorded = None if entry is None or name in store.absent else (entry.blobify, entry.options)
        chosen = resolve(blobify, recorded)
        if entry is None and store.writable:
            store.add(name, *describe(chosen))
        elif entry is None and (absent or (name == MAIN and not store.entries)):
            store.add_absent(name, *describe(chosen))
        elif entry is None:
            raise KeyError(
                f"{shown_path(store.path)} has no {self._kind} {shown(name)}; it has "
                f"{shown_names(store.entries)}: open one of these, "
                f"or make it with mode='a'"
            )
        self._bind(store, name, chosen)
        self._region, self._choice, self._unbound = region, blobify, chosen
        self._bind_blobify()

    def _bind_blobify(self) -> None:
        """Give the Blobify its store, if it wants one."""
        if binds(self._unbound):
            self._recode(bound(self._unbound, self._region, self._name), True)

    @classmethod
    def _on(cls, region: MemoryRegion, name: str, blobify: Any, absent: bool) -> Self:
        """Return a structure that owns its region. ``absent``: a snapshot may lack the name."""
        made = cls.__new__(cls)
        made._attach(region, True, name, blobify, absent)
        return made

    def _filled(self, fill: Callable[[], object]) -> Self:
        """Fill a structure that was just opened, and commit; on failure, close it without a change."""
        try:
            fill()
            self.commit()
        except BaseException:
            if self._is_owner:
                self.region._handle.close(commit=False)
            raise
        return self

    def _renew(self) -> None:
        """Look up the Blobify again after a refresh: the name may have been absent before."""
        entry = self.region._handle.entries[self.name]
        if (entry.blobify, entry.options) != describe(self.blobify):
            try:
                chosen = resolve(self._choice, (entry.blobify, entry.options))
            except BlobifyError:
                self._end()
                raise
            self._recode(chosen)
            self._unbound = chosen
            self._bind_blobify()

    # -- ending --------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Refuse every further call; the region may stay open."""
        self._ended = True
        self._detach()

    def close(self) -> None:
        """Commit, wait for the disk, and release the file.

        If this object was made on an open region, only the object is closed, and nothing is committed.
        """
        if self._is_owner:
            self._region.close()
        if not self._ended:
            self._end()

    def __enter__(self) -> Self:
        self._live_region().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; an exception rolls uncommitted changes back first."""
        if self._is_owner:
            self._region.__exit__(kind, error, trace)
        elif kind is None:
            self.region.commit()
        else:
            self.region.rollback()
        self._end()

    def _require_begun(self) -> None:
        """Raise for an object that was never opened: its class does not call ``super().__init__()``."""
        if not hasattr(self, "_region"):
            raise RegionClosedError(never_opened(self))

    # -- properties ----------------------------------------------------------------------------------

    @property
    def region(self) -> MemoryRegion:
        """The region that this structure is in.

        Raises:
            RegionClosedError: the structure was never opened.
        """
        self._require_begun()
        return self._region

    @property
    def name(self) -> str:
        """The name in the region."""
        self._require_begun()
        name: str = self._name
        return name

    @property
    def blobify(self) -> Blobify[T]:
        """The object that turns values into bytes and back."""
        self._require_begun()
        chosen: Blobify[T] = self._codec.blobify
        return chosen

    @property
    def path(self) -> str:
        """The path of the file; empty in memory."""
        return self.region.path

    @property
    def mode(self) -> str:
        """The mode of the region; "r" for snapshots and in forked children."""
        return self.region.mode

    @property
    def closed(self) -> bool:
        """Whether this structure or its region was closed."""
        return self._ended or self._region.closed

    # -- state, of the whole region ------------------------------------------------------------------

    def _live_region(self) -> MemoryRegion:
        """Return the region; raise if this structure is closed."""
        if not self.region.closed:
            len(self)  # raises if only this is closed; the region says itself that it is
        return self._region

    def commit(self, sync: bool | None = None) -> None:
        """Make all changes since the last commit part of the file: one atomic step for the whole region.

        Args:
            sync: True waits until the commit is safe from power cuts. False does not wait. None takes the
                setting of the region.

        Raises:
            OSError: the disk failed or is full; the changes were rolled back.
        """
        self._live_region().commit(sync)

    def rollback(self) -> None:
        """Undo all changes since the last commit."""
        self._live_region().rollback()

    def transaction(self) -> Block:
        """Return a context that commits at its end. If an exception leaves it, its changes are undone.

        ``async with`` waits for the contexts of other tasks. Leave it before you close the region.

        >>> from stablemem import MemoryBuffer
        >>> numbers = MemoryBuffer.from_iterable([1, 2, 3])
        >>> with numbers.transaction():
        ...     numbers[0] = 10
        ...     numbers.append(4)
        >>> numbers
        MemoryBuffer([10, 2, 3, 4])
        """
        return self._live_region().transaction()

    def snapshot(self) -> Self:
        """Return a read-only structure that stays at the last commit while others write."""
        region = self._live_region().snapshot()
        other = type(self)._on(region, self.name, self._unbound, True)
        other._take_after(self)
        return other

    def refresh(self) -> bool:
        """Move a read-only structure to the newest commit. Return whether there was a newer one.

        Raises:
            RegionReplacedError: there is no newer commit, and the path now leads to another file or to none.
        """
        return self._live_region().refresh()

    def compact(
        self, *, max_bytes: int | None = None, progress: Callable[[int, int], object] | None = None
    ) -> int:
        """Make the file of the whole region as short as possible; see MemoryRegion.compact."""
        return self._live_region().compact(max_bytes=max_bytes, progress=progress)

    def verify(self) -> Report:
        """Check everything in the last commit of the whole region; see MemoryRegion.verify."""
        return self._live_region().verify()

    def stats(self) -> Stats:
        """Return the use of the bytes of the region; see MemoryRegion.stats."""
        return self._live_region().stats()

    # -- copies and pickles --------------------------------------------------------------------------

    def _take_after(self, other: Self) -> None:
        """Copy the attributes that a subclass or a user has set, but not the contents, from another one."""
        vars(self).update(other._attributes())

    def _attributes(self) -> dict[str, Any]:
        """Return the attributes that a subclass or a user has set."""
        return {name: value for name, value in vars(self).items() if name not in _OURS}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a copy. Values come from blobs, so the copy shares nothing with this structure."""
        other: Self = self.__copy__()
        memo[id(self)] = other
        vars(other).update(deepcopy(self._attributes(), memo))
        return other

    def __copy__(self) -> Self:
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the path and the commit. The unpickled structure only reads.

        A pickled reader comes back at its own commit, if that is the newest one, or while a reader is open
        on it. A pickled writer comes back at the newest commit.

        Raises:
            TypeError: the structure is in memory.
            StableMemoryError: the region has uncommitted changes, or the structure is not committed.
        """
        if not self.path:
            raise TypeError(f"a {self._kind} in memory cannot be pickled: give it a path")
        store = self.region._handle
        pickled = store.pickled()
        if self.name not in {MAIN, *store.state.lists, *store.absent}:
            raise StableMemoryError(
                f"the {self._kind} {shown(self.name)} is not committed, so another process would not find "
                f"it: call commit() before you pickle"
            )
        return _reopen, (type(self), self.name, self._unbound, *pickled), self._attributes() or None


_OURS = {"_region", "_is_owner", "_choice", "_unbound", "_ended"}
"""The attributes that Structure itself sets."""


def _reopen(
    kind: type[Structure[T]],
    name: str,
    blobify: Blobify[T],
    path: str,
    checksums: bool,
    state: tuple[Any, ...],
    exactly: bool,
    io: Io = "map",
) -> Structure[T]:
    """Return the structure that a pickle describes."""
    region = MemoryRegion._of(open_again(path, checksums, state, exactly, io), "r")
    return kind._on(region, name, blobify, exactly)
