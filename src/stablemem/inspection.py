"""Inspection: the contents of a region's file as of one commit, for tools that look into it.

The command line and ``plot`` use a region only through this and the other public classes; they import
nothing from the engine.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ._core.audit.census import IN_USE, USES, Census, cell_size, census
from ._core.audit.verify import Report
from ._core.format.catalog import KIND_WORDS, MAIN
from ._core.txn.handle import Handle
from ._core.txn.hidden import visible
from .shown import shown_names

__all__ = ["IN_USE", "MAIN", "USES", "Census", "Inspection", "ListEntry", "cell_size"]


@dataclass(frozen=True)
class ListEntry:
    """The record of one list in the catalog of a region, or of a structure that a later version made.

    Attributes:
        values: number of values.
        blobify: name of the Blobify that wrote the values.
        options: options of that Blobify, as bytes that only this Blobify understands.
        kind: "list"; or "map", "set", "queue" or "unknown" for a structure that this version cannot use.
    """

    values: int
    blobify: str
    options: bytes
    kind: str = "list"


class Inspection:
    """A look at the last commit of a region; ``MemoryRegion.inspect`` makes it.

    Attributes:
        path: the file; empty for a region in memory.
        transaction: number of the commit.
        length: bytes of the region.
        file_bytes: bytes of the file: those of the region, and room after it for the next commits.
        lists: a ListEntry for each list, by name, sorted.
        roots: the roots, by name, sorted.
        unused_slots: for the number of each unused header slot, why it is not used; mostly "empty".
    """

    def __init__(
        self,
        handle: Handle,
        at_last_commit: Callable[[], AbstractContextManager[Handle]],
        report: Callable[[], Report],
    ) -> None:
        self._at_last_commit = at_last_commit
        self._report = report
        self.path = handle.path
        self.transaction: int = handle.slot.transaction
        self.length: int = handle.slot.length
        self.file_bytes = max(handle.region.device.size(), self.length)
        committed = handle.state
        self.lists = {
            name: ListEntry(
                entry.tree[3], entry.blobify, entry.options, KIND_WORDS.get(entry.kind, "unknown")
            )
            for name, entry in sorted(committed.lists.items())
        }
        self.roots = visible(committed.roots)
        self.unused_slots = dict(sorted(handle.header.dropped.items()))

    def __repr__(self) -> str:
        return f"<Inspection of commit {self.transaction}: lists {shown_names(self.lists)}>"

    def census(self, cell: int | None = None) -> Census:
        """Return the use of the bytes of the last commit, counted in cells of ``cell`` bytes.

        O(n log n) for n entries of the log, and O(cells). No values are read.

        Args:
            cell: bytes of a cell; None for a single cell.

        Raises:
            CorruptRegionError: the log, which records free space, is damaged.
        """
        with self._at_last_commit() as handle:
            return census(handle, handle.slot.length if cell is None else cell)

    def verify(self) -> Report:
        """Check everything in the last commit, as ``MemoryRegion.verify`` does; do not raise for faults."""
        return self._report()

    def entries(self, name: str, start: int, stop: int) -> bytes:
        """Return the leaf entries of the values of a list in ``[start, stop)``: 16 bytes for each value.

        An entry is 8 bytes for the address of the blob, or for the blob itself if it has 8 bytes or less;
        then 4 bytes for its size and 4 for its checksum.
        """
        with self._at_last_commit() as handle:
            return bytes(handle.index(name).entries(start, stop))
