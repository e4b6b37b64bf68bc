"""Census: what the bytes of a committed state are used for, counted cell by cell.

    address 0      cell       2 cell      3 cell      length
            +-----------+-----------+-----------+-------+
            |  cell 0   |  cell 1   |  cell 2   | rest  |
            +-----------+-----------+-----------+-------+

The space map and the addresses of the log's pages are all it takes: what lies in the region pages of a
kind and is neither free nor in limbo is in use by that kind; the header and the log lie in pages of nodes.
So no node and no blob is read, and a region costs what its blocks and the cells cost, however long it is.

Invariant: the counts of a cell sum up to its bytes, those of all cells to the length of the region.
"""

from ...errors import CorruptRegionError
from ..space.spacemap import replay
from ..txn.handle import Handle
from .uses import IN_USE, USES, Counts, count_uses

__all__ = ["IN_USE", "USES", "Census", "cell_size", "census"]

LEAST_CELL = 16


class Census:
    """What the bytes of one committed state are used for.

    Attributes:
        transaction: number of the state.
        length: bytes of the region.
        ahead: bytes of the file behind those, for the next commits.
        cell: bytes of a cell; the last one may have fewer.
        counts: for each of USES, the bytes of each cell that are used for it.
    """

    def __init__(
        self, transaction: int, length: int, ahead: int, cell: int, counts: dict[str, Counts]
    ) -> None:
        self.transaction = transaction
        self.length = length
        self.ahead = ahead
        self.cell = cell
        self.counts = counts

    def __len__(self) -> int:
        return len(self.counts["header"])

    def size(self, number: int) -> int:
        """Return the bytes of a cell."""
        return min(self.cell, self.length - number * self.cell)

    def total(self, use: str) -> int:
        """Return how many bytes of the region are used for something. O(cells)."""
        return sum(self.counts[use])

    def share(self, use: str) -> str:
        """Return which part of the region is used for something, as a person reads it. O(cells)."""
        total = self.total(use)
        percent = 100 * total / self.length
        if 0 < percent < 0.1:
            return "< 0.1 %"
        if 99.9 < percent < 100:
            return "> 99.9 %"
        return f"{percent:.1f} %"

    def shown(self, number: int) -> tuple[str, float]:
        """Return the use that a cell is shown as, and which part of its bytes is in use, 0 to 1.

        What is in use comes before what is not, so that a small block in a large cell is seen; a cell of
        which nothing is in use counts as limbo if any of it is.
        """
        counts = [self.counts[use][number] for use in IN_USE]
        if used := sum(counts):
            return IN_USE[counts.index(max(counts))], used / self.size(number)
        return ("limbo" if self.counts["limbo"][number] else "free"), 0.0


def cell_size(length: int, most: int) -> int:
    """Return the least power of two that divides a region into ``most`` cells or fewer; 16 at the least.

    >>> cell_size(1 << 36, 1024), cell_size(69632, 1024), cell_size(1, 1)
    (67108864, 128, 16)
    """
    return max(LEAST_CELL, 1 << (-(-length // most) - 1).bit_length())


def census(store: Handle, cell: int) -> Census:
    """Count what the bytes of a store's newest commit are used for, in cells of so many bytes.

    O(n log n) for n entries of the space map, and O(cells); the region is not read.

    Raises:
        CorruptRegionError: the log is damaged, or what it says cannot be.
    """
    length = store.slot.length
    space, chain = replay(store.region, store.slot)
    counts = count_uses(space, [address for _, address, _ in chain.pages], length, cell)
    # Nothing is freed by a transaction that has not begun.
    del counts["freed"]
    found = Census(store.slot.transaction, length, max(store.region.device.size() - length, 0), cell, counts)
    for number, cells in enumerate(zip(*counts.values(), strict=True)):
        if min(cells) < 0 or sum(cells) != found.size(number):
            said = ", ".join(f"{use} {size}" for use, size in zip(counts, cells, strict=True) if size)
            expected = f"{found.size(number)} bytes, each used for one thing"
            raise CorruptRegionError(number * cell, expected, said, store.path)
    return found
