"""MemoryRegion: an open region, its transactions and snapshots, and the lists in it."""

import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

from ._core.audit.stats import Stats, stats
from ._core.audit.verify import Report, verify, verify_writer
from ._core.calls.bracket import edit
from ._core.calls.raw import Heap
from ._core.txn.block import Block
from ._core.txn.compaction import compact
from ._core.txn.handle import Handle
from ._core.txn.opening import open_again, open_handle
from ._core.txn.policy import Policy
from .blob_store import discard
from .blobify import Blobify
from .errors import CorruptRegionError
from .inspection import Inspection
from .layout import MAX_ADDRESS, exact
from .options import DEFAULTS, RegionOptions, require_known, spelled_out
from .raw_blocks import RawBlocks
from .shown import shown, shown_names, shown_path

if TYPE_CHECKING:
    from .memory_buffer import MemoryBuffer
    from .structure import Structure

__all__ = ["KINDS", "MemoryRegion"]

V = TypeVar("V")

LEAST_SIZE = 1 << 18
"""Bytes of the smallest ``max_size``."""


KINDS: dict[str, Callable[..., Any]] = {}
"""The class of each kind of structure, called with region, name and Blobify. Structure registers them."""


class MemoryRegion(RawBlocks):
    """A file, or memory, that holds lists and raw blocks. One commit covers all of them.

    Args:
        source: the file's path; None for a region in memory.
        mode: "r" reads a snapshot of the last commit. "r+" opens an existing region for writing. "a" also
            creates a missing one. "x" creates one, and fails if the file exists. "w" replaces the file by a
            new, empty region.
        fit: which free block is used: "first" takes the lowest that is large enough, "best" the smallest that
            is large enough. Best fit needs a second tree in memory, and more time. Which of the two leaves
            less space unused depends on the sizes. The file does not record it: each opening chooses.
        timeout: seconds to wait while another handle has the file open for writing. Waiting handles get the
            file in the order in which they came. 0 tries once, and takes a free file even if others wait.
        autocommit: whether each call that changes something commits at its end.
        commit_every: an int is a number of changes: the call that reaches it commits. A float or timedelta is
            a time in seconds after the first uncommitted change: then a thread in the background commits.
            Neither commits inside a transaction block, or in the middle of a call. Both commit at the end of
            the program, unless an exception ends it. With None, nothing is committed until you call
            ``commit``; uncommitted changes at the end are lost, with an UncommittedChangesWarning.
        sync: whether commits survive a power cut. With False, a commit survives only the process at first,
            and a power cut half a minute later.
        checksums: whether values are verified at each read.
        io: how the file is read. "map" maps it into memory, which is faster; if another program cuts the file
            short, the process may end with SIGBUS. "pread" reads it by system calls and keeps up to 16 MiB of
            pages in memory. Then a file that was cut short raises CorruptRegionError, a disk that cannot be
            read raises OSError, ``ulimit -v`` does not limit the size of the file, and ``view`` and
            ``blob_view`` return copies. Each opening chooses; the file does not record it.
        max_size: the most bytes that the file may have. A change that needs more raises RegionFullError, and
            the transaction is rolled back. The last MiB of max_size, or the last quarter if that is less, is
            reserved for deleting.
        on_low_space: a function that is called with ``stats()`` when the used bytes reach ``low_space`` of
            max_size, or of the room on the disk if that is less. It is called once each time this happens:
            after the call that made the file grow, or else after the next commit. It may change the region.
            An exception from it is raised by that call.
        low_space: a share, from 0 to 1.

    Raises:
        FileNotFoundError, FileExistsError, IsADirectoryError, PermissionError: as ``open`` does.
        NotARegionError: stablemem did not write the file.
        VersionError: the file has a format that this version does not read.
        CorruptRegionError: the file is damaged.
        RegionLockedError: another handle has the file open for writing.

    >>> region = MemoryRegion()
    >>> names, ages = region.buffer("names", "text"), region.buffer("ages")
    >>> with region.transaction():
    ...     names.append("Ada")
    ...     ages.append(36)
    >>> region.names()
    ['ages', 'names']
    >>> region.close()
    """

    @spelled_out(RegionOptions, DEFAULTS)
    def __init__(
        self,
        source: str | os.PathLike[str] | None = None,
        mode: str = "a",
        **options: Unpack[RegionOptions],
    ) -> None:
        require_known("MemoryRegion()", options, RegionOptions)
        chosen: RegionOptions = {**DEFAULTS, **options}
        max_size, low_space, on_low_space, fit = (
            chosen["max_size"], chosen["low_space"], chosen["on_low_space"], chosen["fit"],
        )  # fmt: skip
        policy = Policy.of(chosen["sync"], chosen["autocommit"], chosen["commit_every"])
        _check_room(max_size, low_space)
        if on_low_space is not None and not callable(on_low_space):
            raise TypeError(
                f"on_low_space is a function of one argument, the Stats, or None, not "
                f"{type(on_low_space).__name__}"
            )
        if fit not in ("first", "best"):
            raise ValueError(
                f'fit is "first" (the lowest free block) or "best" (the smallest that fits), not {shown(fit)}'
            )
        if source is not None and not isinstance(source, str | os.PathLike):
            raise TypeError(
                f"source is a path or None, not {type(source).__name__}: name a file, or leave it out for a "
                f"region in memory"
            )
        path = None if source is None else os.fspath(source)
        if not isinstance(path, str | None):
            raise TypeError("source is a path of text, not of bytes: decode it with os.fsdecode()")
        path = None if path is None else exact(path)
        handle = open_handle(
            path, mode, timeout=chosen["timeout"], checksums=chosen["checksums"], io=chosen["io"]
        )
        self._mode = exact(mode)
        self._structures: list[weakref.ref[Structure[Any]]] = []
        Heap.__init__(self, handle)
        self._handle.obey(policy)
        self._handle.fit(fit)
        self._handle.confine(max_size, low_space, self._on_low_space(on_low_space))

    @classmethod
    def _of(cls, store: Handle, mode: str) -> Self:
        """Return a region on a handle that is open already."""
        region = cls.__new__(cls)
        Heap.__init__(region, store)
        region._mode, region._structures = mode, []
        return region

    def _on_low_space(self, call: "Callable[[Stats], object] | None") -> Callable[[], None] | None:
        """Return the function for the handle to call, which does not keep this region alive."""
        if call is None:
            return None
        weak = weakref.ref(self)

        def tell() -> None:
            region = weak()
            if region is not None:
                call(region.stats())

        return tell

    # -- properties ----------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The path of the file; empty for a region in memory."""
        return self._handle.path

    @property
    def mode(self) -> str:
        """The mode that the region was opened with; "r" for snapshots and in forked children."""
        return self._mode if self._handle.writable else "r"

    @property
    def closed(self) -> bool:
        """Whether the region was closed, or never opened."""
        handle: Handle | None = getattr(self, "_store", None)
        return handle is None or handle.closed

    @property
    def transaction_number(self) -> int:
        """Number of the last commit; for a snapshot, of the commit that it shows."""
        return self._handle.slot.transaction

    def __repr__(self) -> str:
        if getattr(self, "_store", None) is None:
            return f"<{type(self).__name__}: never opened>"
        lists = "" if self.closed else shown_names(self._handle.entries)
        state = f"mode {self.mode!r}, lists {lists}" if lists else "closed"
        return f"<{type(self).__name__} {shown_path(self.path, 'in memory')}: {state}>"

    # -- lists ---------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Return the names of the lists, sorted."""
        self._handle.require_open()
        return sorted(self._handle.entries)

    @overload
    def buffer(self, name: str, blobify: type[Blobify[V]]) -> "MemoryBuffer[V]": ...
    @overload
    def buffer(self, name: str, blobify: Blobify[V]) -> "MemoryBuffer[V]": ...
    @overload
    def buffer(self, name: str, blobify: Literal["text"]) -> "MemoryBuffer[str]": ...
    @overload
    def buffer(self, name: str, blobify: Literal["bytes"]) -> "MemoryBuffer[bytes]": ...
    @overload
    def buffer(self, name: str, blobify: Literal["nat", "int"]) -> "MemoryBuffer[int]": ...
    @overload
    def buffer(self, name: str, blobify: str | None = None) -> "MemoryBuffer[Any]": ...

    def buffer(self, name: str, blobify: Any = None) -> "MemoryBuffer[Any]":
        """Return the list with this name. If there is none, a new one is made with the next commit.

        Raises:
            KeyError: there is no list with this name, and the region is open for reading only.
            BlobifyError: the list was written with another Blobify.
        """
        made: MemoryBuffer[Any] = KINDS["list"](self, name=name, blobify=blobify)
        return made

    def drop(self, name: str) -> None:
        """Delete a list, all its values and its Blobify's store, with the next commit. O(n).

        Open handles of the list are closed. They stay closed if the change is rolled back.

        Raises:
            KeyError: there is no list with this name.
        """
        handle = self._handle
        with handle.exclusive():
            handle.require_open()
            handle.require_writable()
            if name not in handle.entries:
                raise KeyError(
                    f"{shown_path(self.path)} has no list {shown(name)}; it has "
                    f"{shown_names(handle.entries)}: drop one of these"
                )
            handle.require_list(name)
            edit(self, self._drop_list, (name,))
            for structure in self._open_structures():
                if structure.name == name:
                    structure._end()
        handle.relieve()

    def _drop_list(self, name: str) -> None:
        """Delete a list, its values and its Blobify's store; within a change."""
        self._handle.drop_list(name)
        discard(self, name)

    # -- state ---------------------------------------------------------------------------------------

    def commit(self, sync: bool | None = None) -> None:
        """Make all changes since the last commit part of the file, in one atomic step.

        Args:
            sync: True waits until the commit is safe from power cuts. False does not wait. None takes the
                setting that the region was opened with.

        Raises:
            OSError: the disk failed or is full; the changes were rolled back.
        """
        self._handle.commit(self._handle.policy.sync if sync is None else sync)

    def rollback(self) -> None:
        """Undo all changes since the last commit."""
        self._handle.rollback()

    def transaction(self) -> Block:
        """Return a context that commits at its end. If an exception leaves it, its changes are undone.

        Contexts may be nested. An exception that leaves an inner context undoes only the changes in it.
        Changes of other threads wait until the context ends. Changes of other asyncio tasks are refused,
        unless they are also made in ``async with region.transaction()``, which waits. Leave contexts in
        reverse order, in the thread that entered them, and before you close the region: otherwise they are
        undone.
        """
        return Block(self._handle, self._handle.policy.sync)

    def snapshot(self) -> Self:
        """Return a read-only region that stays at the last commit while others write."""
        made = type(self)._of(self._handle.snapshot(), "r")
        vars(made).update(self._attributes())
        return made

    def refresh(self) -> bool:
        """Move a read-only region to the newest commit. Return whether there was a newer one.

        Raises:
            RegionReplacedError: there is no newer commit, and the path now leads to another file or to none.
        """
        changed = self._handle.refresh()
        if changed:
            for structure in self._open_structures():
                structure._renew()
        return changed

    def _attached(self, structure: "Structure[Any]") -> None:
        """Note a structure that is open on this region."""
        self._structures = [each for each in self._structures if each() is not None]
        self._structures.append(weakref.ref(structure))

    def _open_structures(self) -> "list[Structure[Any]]":
        """Return the structures that are open on this region."""
        found = [reference() for reference in self._structures]
        return [each for each in found if each is not None and not each.closed]

    def compact(
        self, *, max_bytes: int | None = None, progress: Callable[[int, int], object] | None = None
    ) -> int:
        """Make the file as short as possible, in small commits, while readers may be open.

        Uncommitted changes are committed first. Then values and pages of the index move from the end of the
        file into free space before it, and the end is cut off. Free space of 1 MiB or more that remains in
        the middle is given back to the disk as a hole. Raw blocks never move. Bytes that an older snapshot
        can still read stay until the snapshot is closed; compact again then. Other threads may read between
        the steps, but their changes wait. Cost: some walks over the index, and the bytes moved.

        Args:
            max_bytes: about how many bytes to move at most; None moves as many as possible.
            progress: called after each step with the number of bytes moved so far and the total number to
                move. An exception from it ends the compaction and is raised; moved bytes stay moved.

        Returns:
            The number of bytes by which the file became shorter.

        Raises:
            StableMemoryError: it was called inside a transaction block.
            CorruptRegionError: a value or a page that is to move is damaged.

        >>> region = MemoryRegion()
        >>> log = region.buffer("log")
        >>> log.extend([b"x" * 1000] * 10_000); region.commit()
        >>> del log[100:9900]
        >>> region.compact() > 9_000_000, log[-1] == b"x" * 1000
        (True, True)
        >>> region.close()
        """
        most = MAX_ADDRESS if max_bytes is None else _bytes("max_bytes", max_bytes, 0)
        return compact(self._handle, min(most, MAX_ADDRESS), progress)

    def verify(self) -> Report:
        """Check everything in the last commit: all checksums, and that each byte has exactly one use.

        Cost: one read of all bytes in use.

        Raises:
            CorruptRegionError: something is damaged; the notes of the exception list all faults.
        """
        report = self._verify()
        if report.faults:
            error = CorruptRegionError(0, "a sound region", report.faults[0], self.path)
            for fault in report.faults[1:100]:
                error.add_note(fault)
            raise error
        return report

    def _verify(self) -> Report:
        newest = self._handle.slot.transaction
        with self._at_last_commit() as store:
            report = verify(store)
        if self._handle.writable and not report.faults:
            with self._handle.latch.held():
                report.faults += verify_writer(self._handle)
                if report.transaction < newest:
                    report.faults.append(
                        f"a reader that opens the file now sees commit {report.transaction}, not {newest}"
                    )
        return report

    @contextmanager
    def _at_last_commit(self) -> Iterator[Handle]:
        """Yield a handle that nothing changes: this region's if it only reads, else a new snapshot's."""
        if not self._handle.writable:
            with self._handle.exclusive():
                self._handle.require_open()
                yield self._handle
            return
        store = self._handle.snapshot()
        try:
            yield store
        finally:
            store.close()

    def stats(self) -> Stats:
        """Return the use of the bytes of the region. O(free blocks + region pages of 64 KiB)."""
        return stats(self._handle)

    def inspect(self) -> Inspection:
        """Return an Inspection of the last commit: its lists, roots and header slots, and its use of bytes.

        It is for tools that look into files, such as the command line.

        >>> region = MemoryRegion()
        >>> region.buffer("names", "text").append("Ada"); region.commit()
        >>> region.inspect().lists["names"].values, region.inspect().census().total("header")
        (1, 12288)
        >>> region.close()
        """
        with self._at_last_commit() as store:
            return Inspection(store, self._at_last_commit, self._verify)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle a reader as its path and its commit. It comes back at that commit, if the file still has it.

        Raises:
            TypeError: the region is in memory, or open for writing.
        """
        if not self.path:
            raise TypeError("a region in memory cannot be pickled: give it a path")
        if self._handle.writable:
            raise TypeError(
                "a region that is open for writing cannot be pickled: pickle its path, or pickle a list "
                "in it or a snapshot() of it, which open again for reading"
            )
        return _reopen, (type(self), *self._handle.pickled()), self._attributes() or None

    def _attributes(self) -> dict[str, Any]:
        """Return the attributes that a subclass or a user has set."""
        return {name: value for name, value in vars(self).items() if name not in _OURS}

    def __copy__(self) -> Self:
        raise TypeError("a region cannot be copied: use snapshot(), or copy a list in it")

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()

    def close(self) -> None:
        """Commit, wait for the disk, and release the file. Closing again does nothing."""
        if not self.closed:
            self._handle.close()

    def __enter__(self) -> Self:
        self._handle.require_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; an exception rolls uncommitted changes back first."""
        self._handle.close(commit=kind is None)


_OURS = {"_mode", "_structures"}
"""The attributes that MemoryRegion itself sets."""


def _reopen(kind: type[MemoryRegion], *pickled: Any) -> MemoryRegion:
    """Return the region that a pickle describes."""
    return kind._of(open_again(*pickled), "r")


def _check_room(max_size: int | None, low_space: float) -> None:
    """Raise for limits that make no sense."""
    if max_size is not None:
        _bytes("max_size", max_size, LEAST_SIZE)
    if isinstance(low_space, bool) or not isinstance(low_space, int | float):
        raise TypeError(f"low_space is a share from 0 to 1, not {type(low_space).__name__}")
    if not 0 < low_space <= 1:
        raise ValueError(f"low_space is a share from 0 to 1, not {shown(low_space)}")


def _bytes(option: str, value: Any, least: int) -> int:
    """Return an option that is a number of bytes."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{option} is a number of bytes (int) or None, not {type(value).__name__}")
    if value < least:
        raise ValueError(f"{option} is {least} bytes or more, not {shown(value)}: None sets no limit")
    return value
