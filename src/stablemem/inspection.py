"""Inspection: what a region's file holds as of a commit, for tools that look into it.

The command line and ``plot`` see a region through this and the other public classes; they import nothing of
the engine.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ._core.audit.census import IN_USE, USES, Census, cell_size, census
from ._core.audit.verify import Report
from ._core.format.catalog import KIND_WORDS, MAIN
from ._core.txn.handle import Handle
from .shown import shown_names

__all__ = ["IN_USE", "MAIN", "USES", "Census", "Inspection", "ListEntry", "cell_size"]


@dataclass(frozen=True)
class ListEntry:
    """What the catalog of a region says of one list, or of another structure, which a later version made.

    Attributes:
        values: number of values.
        blobify: name of the Blobify that wrote them.
        options: the options of that Blobify, as bytes that only it understands.
        kind: "list", or "map", "set", "queue", "unknown" for what this version cannot use.
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
        file_bytes: bytes of the file: those of the region, and room after them for the next commits.
        lists: what the catalog says of each list, by name, sorted.
        roots: the roots, by name, sorted.
        unused_slots: why a header slot, by number, is not used; most are "empty".
    """

    def __init__(
        self,
        store: Handle,
        at_last_commit: Callable[[], AbstractContextManager[Handle]],
        report: Callable[[], Report],
    ) -> None:
        self._at_last_commit = at_last_commit
        self._report = report
        self.path = store.path
        self.transaction: int = store.slot.transaction
        self.length: int = store.slot.length
        self.file_bytes = max(store.region.device.size(), self.length)
        committed = store.state
        self.lists = {
            name: ListEntry(
                entry.tree[3], entry.blobify, entry.options, KIND_WORDS.get(entry.kind, "unknown")
            )
            for name, entry in sorted(committed.lists.items())
        }
        self.roots = dict(sorted(committed.roots.items()))
        self.unused_slots = dict(sorted(store.header.dropped.items()))

    def __repr__(self) -> str:
        return f"<Inspection of commit {self.transaction}: lists {shown_names(self.lists)}>"

    def census(self, cell: int | None = None) -> Census:
        """Count what the bytes of the last commit are used for, in cells of so many bytes.

        O(n log n) for n entries of the space map, and O(cells). No values are read.

        Args:
            cell: bytes of a cell; None for one cell.

        Raises:
            CorruptRegionError: what the file says of its free space is damaged.
        """
        with self._at_last_commit() as store:
            return census(store, store.slot.length if cell is None else cell)

    def verify(self) -> Report:
        """Check everything in the last commit, as ``MemoryRegion.verify``; faults are in the report only."""
        return self._report()

    def entries(self, name: str, start: int, stop: int) -> bytes:
        """Return what the index has for the values of a list in ``[start, stop)``: 16 bytes for each.

        That is where the value is, or the value itself if it has 8 bytes or less, in 8 bytes; then 4 for its
        size and 4 for a checksum.
        """
        with self._at_last_commit() as store:
            return bytes(store.index(name).entries(start, stop))
