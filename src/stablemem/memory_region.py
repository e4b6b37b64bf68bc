"""MemoryRegion: an open region, its transactions and snapshots, and the lists in it."""

import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, TypeVar, overload

from ._core.heap import Heap
from ._core.opening import open_store
from ._core.policy import Policy
from ._core.store import Store
from ._core.verify import Report, verify, verify_writer
from .blobify import Blobify
from .errors import CorruptRegionError
from .layout import MAX_ADDRESS, RAW_PAGE
from .raw_blocks import RawBlocks

if TYPE_CHECKING:
    from .memory_buffer import MemoryBuffer

__all__ = ["MemoryRegion", "Stats"]

V = TypeVar("V")

LEAST_SIZE = 1 << 18
"""Bytes of the smallest ``max_size``."""


@dataclass(frozen=True)
class Stats:
    """What is where in a region: as a writer knows it, else as of the commit a reader stands on.

    The file is what is used, free and in limbo, and perhaps something behind that has no meaning.

    Attributes:
        path: the file, empty for memory.
        transaction: number of the last commit.
        lists: number of values in each list, by name, uncommitted changes included.
        changes: changes since the last commit.
        file_bytes: length of the file.
        disk_bytes: what the file takes on the disk, holes not counted.
        used_bytes: bytes that hold something: header, log, nodes, blobs, raw blocks.
        raw_bytes: those of them in raw blocks.
        free_bytes: bytes that may be used again.
        limbo_bytes: bytes freed that an older state can still reach.
        free_blocks: number of free blocks.
        largest_free: bytes of the largest free block.
        fragmentation: share of the free bytes that are not in the largest free block, from 0 to 1.
        reclaimable_bytes: by how much ``compact()`` could make the file shorter, about, beside the snapshots
            that are open, if values fit into the holes there are.
        oldest_snapshot: number of the oldest commit that a snapshot, here or in another process, is open on;
            None without one.
        held_bytes: bytes in limbo that would be free but for snapshots.
        written_bytes: bytes that the last commit of this handle wrote, 0 before one.
        written_runs: the number of pieces they were written in.
    """

    path: str
    transaction: int
    lists: dict[str, int]
    changes: int
    file_bytes: int
    disk_bytes: int
    used_bytes: int
    raw_bytes: int
    free_bytes: int
    limbo_bytes: int
    free_blocks: int
    largest_free: int
    fragmentation: float
    reclaimable_bytes: int
    oldest_snapshot: int | None
    held_bytes: int
    written_bytes: int
    written_runs: int


class RegionOptions(TypedDict, total=False):
    """How a region uses its room; MemoryRegion says what each means."""

    fit: Literal["first", "best"]
    max_size: int | None
    on_low_space: "Callable[[Stats], object] | None"
    low_space: float


class MemoryRegion(RawBlocks):
    """A file (or anonymous memory) that holds blocks and lists, with one commit over all of them.

    Args:
        source: the file's path; None for memory.
        mode: "r" reads a snapshot of the last commit; "r+" opens an existing region for writing; "a"
            does too and creates a missing one; "x" creates one and fails if it exists; "w" puts a new
            one in its place.
        fit: which free block is allocated from: "first", the lowest that is large enough, or "best", the
            smallest, the lowest of equals. Best fit needs a second tree in memory, and more time; which of
            them leaves less unused depends on the sizes. No property of the file: each opening chooses.
        timeout: seconds to wait while another handle writes.
        autocommit: whether every call that changes something commits, at its end.
        commit_every: changes (int) after which a call commits, or seconds (float or timedelta) after the
            first uncommitted change at which a thread in the background does; never within a transaction
            block, or between the values of one call. None leaves it to ``commit``.
        sync: whether commits survive a power cut; False makes them survive the process only, and the
            machine half a minute later.
        checksums: whether values are verified at each read.
        max_size: bytes that the file may have; a change beyond is a RegionFullError, and the transaction is
            rolled back. The last MiB of it, or a quarter, is kept for what deleting writes.
        on_low_space: called with ``stats()`` after the call in which what is used reaches ``low_space`` of
            max_size, or of what the disk has room for if that is less; after the next commit if the file does
            not grow by it; once each time. It may change the region. What it raises, that call raises.
        low_space: the share, from 0 to 1.

    Raises:
        FileNotFoundError, FileExistsError, IsADirectoryError, PermissionError: as ``open`` does.
        NotARegionError, VersionError, CorruptRegionError: what the file is instead.
        RegionLockedError: another handle has it open for writing.

    >>> region = MemoryRegion()
    >>> names, ages = region.buffer("names", "text"), region.buffer("ages")
    >>> with region.transaction():
    ...     names.append("Ada")
    ...     ages.append(36)
    >>> region.names()
    ['ages', 'names']
    >>> region.close()
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | None = None,
        mode: str = "a",
        *,
        fit: Literal["first", "best"] = "first",
        autocommit: bool = False,
        commit_every: float | timedelta | None = None,
        sync: bool = True,
        checksums: bool = True,
        timeout: float = 0.0,
        max_size: int | None = None,
        on_low_space: "Callable[[Stats], object] | None" = None,
        low_space: float = 0.9,
    ) -> None:
        policy = Policy.of(sync, autocommit, commit_every)
        _check_room(max_size, low_space)
        if fit not in ("first", "best"):
            raise ValueError(f'fit is "first" or "best", not {fit!r}: which free block is allocated from')
        if source is not None and not isinstance(source, str | os.PathLike):
            raise TypeError(
                f"source is a path or None, not {type(source).__name__}: name a file, or leave it out for a "
                f"region in memory"
            )
        path = None if source is None else os.fspath(source)
        if not isinstance(path, str | None):
            raise TypeError("source is a path of text, not of bytes: decode it with os.fsdecode()")
        self._mode = mode
        self._buffers: list[weakref.ref[MemoryBuffer[Any]]] = []
        Heap.__init__(self, open_store(path, mode, timeout=timeout, checksums=checksums))
        self._store.obey(policy)
        self._store.fit(fit)
        self._store.confine(max_size, low_space, self._on_low_space(on_low_space))

    @classmethod
    def _of(cls, store: Store, mode: str) -> Self:
        """Return a region on a store that is open already."""
        region = cls.__new__(cls)
        Heap.__init__(region, store)
        region._mode, region._buffers = mode, []
        return region

    def _on_low_space(self, call: "Callable[[Stats], object] | None") -> Callable[[], None] | None:
        """Return what the store calls, which does not keep this region alive."""
        if call is None:
            return None
        weak = weakref.ref(self)

        def tell() -> None:
            region = weak()
            if region is not None:
                call(region.stats())

        return tell

    # -- what it is ----------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The file's path, empty for memory."""
        return self._store.path

    @property
    def mode(self) -> str:
        """The mode it was opened in; "r" for snapshots and in forked children."""
        return self._mode if self._store.writable else "r"

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._store.closed

    @property
    def transaction_number(self) -> int:
        """Number of the last commit, or of the one a snapshot stands on."""
        return self._store.slot.transaction

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"mode {self.mode!r}, lists {self.names()}"
        return f"<MemoryRegion {self.path or 'in memory'}: {state}>"

    # -- lists ---------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Return the names of the lists, sorted."""
        self._store.require_open()
        return sorted(self._store.entries)

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
        """Return the list of a name, made with the next commit if it is new.

        Raises:
            KeyError: there is none, and the region is open for reading only.
            BlobifyError: it was written with another Blobify.
        """
        from .memory_buffer import MemoryBuffer

        return MemoryBuffer(self, name=name, blobify=blobify)

    def drop(self, name: str) -> None:
        """Delete a list and everything in it, with the next commit. O(n).

        Its handles are closed, and stay so if the change is rolled back.

        Raises:
            KeyError: there is none of this name.
        """
        self._store.require_open()
        self._store.require_writable()
        if name not in self._store.entries:
            raise KeyError(f"{self.path or 'this region'} has no list {name!r}; it has {self.names()}")
        with self._store.exclusive():
            self._edit(self._store.drop_list, name)
            for reference in self._buffers:
                buffer = reference()
                if buffer is not None and buffer.name == name:
                    buffer._detached = True
                    buffer.detach()
        self._store.relieve()

    # -- state ---------------------------------------------------------------------------------------

    def commit(self, sync: bool | None = None) -> None:
        """Make all changes since the last commit one atomic step.

        Args:
            sync: False returns before the step survives a power cut; None takes what the region was
                opened with.

        Raises:
            OSError: the disk failed or is full; the changes were rolled back.
        """
        self._store.commit(self._store.policy.sync if sync is None else sync)

    def rollback(self) -> None:
        """Forget all changes since the last commit."""
        self._store.rollback()

    def transaction(self) -> AbstractContextManager[None]:
        """Return a context that commits at its end, and rolls back if an exception leaves it.

        Blocks nest: an inner one that an exception leaves is undone alone. Other threads' changes wait.
        """
        return self._store.transaction(self._store.policy.sync)

    def snapshot(self) -> Self:
        """Return a read-only region that stays at the last commit, whatever is written meanwhile."""
        return type(self)._of(self._store.snapshot(), "r")

    def refresh(self) -> bool:
        """Move a read-only region to the newest commit; return whether there was one."""
        changed = self._store.refresh()
        if changed:
            for reference in self._buffers:
                buffer = reference()
                if buffer is not None and not buffer.closed:
                    buffer._renew()
        return changed

    def _attached(self, buffer: "MemoryBuffer[Any]") -> None:
        """Note a list that is open on this region."""
        self._buffers = [each for each in self._buffers if each() is not None]
        self._buffers.append(weakref.ref(buffer))

    def compact(
        self, *, max_bytes: int | None = None, progress: Callable[[int, int], object] | None = None
    ) -> int:
        """Make the file as short as it can be, in small commits beside readers.

        What was changed so far is committed first. Then values and nodes move from the end into the holes
        before it, and the end is cut off. Free pages that remain, in runs of 1 MiB or more, are given back to
        the disk as holes. Raw blocks never move. What an older snapshot can still read stays until it is
        closed: compact again then. Between its steps no other change is let in; reads are. Cost: some walks
        over the nodes, and the bytes moved.

        Args:
            max_bytes: of values and nodes to move at the most, about; None moves all it can.
            progress: called after each step with the bytes moved so far and those there are to move. What
                it raises ends the compaction, and is raised; what was moved stays.

        Returns:
            Bytes by which the file is shorter.

        Raises:
            StableMemoryError: within a transaction block.
            CorruptRegionError: something that was to be moved is damaged.

        >>> region = MemoryRegion()
        >>> log = region.buffer("log")
        >>> log.extend([b"x" * 1000] * 10_000); region.commit()
        >>> del log[100:9900]
        >>> region.compact() > 9_000_000, log[-1] == b"x" * 1000
        (True, True)
        >>> region.close()
        """
        if max_bytes is not None and max_bytes < 0:
            raise ValueError(f"max_bytes is 0 or more, not {max_bytes}")
        return self._store.compact(MAX_ADDRESS if max_bytes is None else max_bytes, progress)

    def verify(self) -> Report:
        """Prove that the last commit is whole: every byte accounted for, every value as written.

        Cost: one read of everything.

        Raises:
            CorruptRegionError: it is not; the exception's notes say everything that is wrong.
        """
        report = self._verify()
        if report.faults:
            error = CorruptRegionError(0, "a sound region", report.faults[0], self.path)
            for fault in report.faults[1:100]:
                error.add_note(fault)
            raise error
        return report

    def _verify(self) -> Report:
        newest = self._store.slot.transaction
        with self._snapshot_store() as store:
            report = verify(store)
        if self._store.writable and not report.faults:
            with self._store.latch.held():
                report.faults += verify_writer(self._store)
                if report.transaction < newest:
                    report.faults.append(f"who opens it now sees commit {report.transaction}, not {newest}")
        return report

    @contextmanager
    def _snapshot_store(self) -> Iterator[Store]:
        """Give a store that nothing changes: this one if it is a snapshot, else a new one."""
        if not self._store.writable:
            with self._store.exclusive():
                self._store.require_open()
                yield self._store
            return
        store = self._store.snapshot()
        try:
            yield store
        finally:
            store.close()

    def stats(self) -> Stats:
        """Return what is where. O(free blocks + region pages)."""
        store = self._store
        lengths = {name: entry.tree[3] for name, entry in store.entries.items()}
        lengths |= {name: index.length for name, index in store.indexes.items()}
        with store.latch.held():
            space = store.space
            length = max(space.used_end(), store.slot.length)
            blocks = [(a, min(n, length - a)) for a, n in space.free_blocks(0, length)]
            limbo = space.limbo_bytes
            oldest = store.oldest_snapshot()
            held = 0 if oldest is None else space.held_bytes(oldest, store.header.floor)
            raw = sum(size for _, size in space.allocated_blocks(RAW_PAGE))
            reclaimable = store.reclaimable(space, oldest)
        free = sum(size for _, size in blocks)
        largest = max((size for _, size in blocks), default=0)
        file_bytes = store.region.device.size()
        return Stats(
            path=self.path,
            transaction=store.slot.transaction,
            lists=dict(sorted(lengths.items())),
            changes=store.changes,
            file_bytes=file_bytes,
            disk_bytes=store.region.device.allocated(),
            used_bytes=length - free - limbo,
            raw_bytes=raw,
            free_bytes=free,
            limbo_bytes=limbo,
            free_blocks=len(blocks),
            largest_free=largest,
            fragmentation=1 - largest / free if free else 0.0,
            reclaimable_bytes=reclaimable,
            oldest_snapshot=oldest,
            held_bytes=held,
            written_bytes=store.wrote[0],
            written_runs=store.wrote[1],
        )

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "a region cannot be pickled: pickle its path, or a list in it, which comes back reading"
        )

    def close(self) -> None:
        """Commit, synced, and let go of the file. Further calls do nothing."""
        self._store.close()

    def __enter__(self) -> Self:
        self._store.require_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; an exception rolls uncommitted changes back first."""
        self._store.close(commit=kind is None)


def _check_room(max_size: int | None, low_space: float) -> None:
    """Raise for limits that make no sense."""
    if max_size is not None:
        if isinstance(max_size, bool) or not isinstance(max_size, int):
            raise TypeError(f"max_size is a number of bytes or None, not {type(max_size).__name__}")
        if max_size < LEAST_SIZE:
            raise ValueError(f"max_size is {LEAST_SIZE} bytes or more, not {max_size}")
    if isinstance(low_space, bool) or not isinstance(low_space, int | float):
        raise TypeError(f"low_space is a share from 0 to 1, not {type(low_space).__name__}")
    if not 0 < low_space <= 1:
        raise ValueError(f"low_space is a share from 0 to 1, not {low_space}")
