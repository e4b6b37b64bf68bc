"""Census: the use of the bytes of a committed state, counted for each cell.

    address 0      cell       2 cell      3 cell      length
            +-----------+-----------+-----------+-------+
            |  cell 0   |  cell 1   |  cell 2   | rest  |
            +-----------+-----------+-----------+-------+

The log, and the addresses of its pages, are enough. Bytes in the region pages of a kind that are neither
free nor in limbo are in use by that kind; the header and the log are in pages of nodes. So no node and no
blob is read: the cost depends on the numbers of blocks and cells, and not on the length of the region.

Invariant: the counts of a cell sum up to its bytes, and those of all cells to the length of the region.
"""

from ...errors import CorruptRegionError
from ..space.spacemap import replay
from ..txn.handle import Handle
from .uses import IN_USE, USES, Counts, count_uses

__all__ = ["IN_USE", "USES", "Census", "cell_size", "census"]

LEAST_CELL = 16


class Census:
    """The use of the bytes of one committed state.

    Attributes:
        transaction: number of the state.
        length: bytes of the region.
        ahead: bytes of the file after the region, for the next commits.
        cell: bytes of a cell; the last cell may have fewer.
        counts: for each of USES, the number of bytes in each cell that have this use.
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
        """Return the number of bytes in a cell."""
        return min(self.cell, self.length - number * self.cell)

    def total(self, use: str) -> int:
        """Return the number of bytes of the region that have a use. O(cells)."""
        return sum(self.counts[use])

    def share(self, use: str) -> str:
        """Return the share of the region that has a use, as text for a person. O(cells)."""
        total = self.total(use)
        percent = 100 * total / self.length
        if 0 < percent < 0.1:
            return "< 0.1 %"
        if 99.9 < percent < 100:
            return "> 99.9 %"
        return f"{percent:.1f} %"

    def shown(self, number: int) -> tuple[str, float]:
        """Return the use to show for a cell, and the share of its bytes that is in use, from 0 to 1.

        Bytes in use come first, so that a small block in a large cell is visible. A cell in which nothing is
        in use is shown as limbo if any of its bytes are in limbo, else as free.
        """
        counts = [self.counts[use][number] for use in IN_USE]
        if used := sum(counts):
            return IN_USE[counts.index(max(counts))], used / self.size(number)
        return ("limbo" if self.counts["limbo"][number] else "free"), 0.0


def cell_size(length: int, most: int) -> int:
    """Return the least power of two, at least 16, that divides a region into at most ``most`` cells.

    >>> cell_size(1 << 36, 1024), cell_size(69632, 1024), cell_size(1, 1)
    (67108864, 128, 16)
    """
    return max(LEAST_CELL, 1 << (-(-length // most) - 1).bit_length())


def census(handle: Handle, cell: int) -> Census:
    """Return the use of the bytes of a handle's newest commit, in cells of ``cell`` bytes.

    O(n log n) for n entries of the log, and O(cells). Reads only the log, not the rest of the region.

    Raises:
        CorruptRegionError: the log is damaged, or contradicts itself.
    """
    length = handle.slot.length
    space, chain = replay(handle.region, handle.slot)
    counts = count_uses(space, [address for _, address, _ in chain.pages], length, cell)
    # No transaction is open, so nothing is freed by one.
    del counts["freed"]
    found = Census(
        handle.slot.transaction, length, max(handle.region.device.size() - length, 0), cell, counts
    )
    for number, cells in enumerate(zip(*counts.values(), strict=True)):
        if min(cells) < 0 or sum(cells) != found.size(number):
            said = ", ".join(f"{use} {size}" for use, size in zip(counts, cells, strict=True) if size)
            expected = f"{found.size(number)} bytes, each used for one thing"
            raise CorruptRegionError(number * cell, expected, said, handle.path)
    return found
