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

from collections.abc import Callable, Iterator

from ...errors import CorruptRegionError
from ...layout import HEADER_SIZE, KIND_NAMES, KINDS, NODE_PAGE, NODE_SIZE, REGION_PAGE
from ..space.freespace import FreeSpace
from ..space.spacemap import replay
from ..txn.handle import Handle

__all__ = ["IN_USE", "USES", "Census", "cell_size", "census"]

IN_USE = ("header", "log", "nodes", "blobs", "raw")
USES = (*IN_USE, "free", "limbo")
"""What a byte may be used for. The catalog, and what patches hold, count as blobs."""

LEAST_CELL = 16
BATCH = 4096
"""Blocks that are asked for at once: a list of all of them might not fit into memory."""

Counts = list[int]
"""Bytes, for each cell."""


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
    length, path = store.slot.length, store.path
    space, chain = replay(store.region, store.slot)
    count = _Counter(length, cell)
    areas: dict[int, Counts] = {}
    for kind in KINDS:
        areas[kind] = count.blocks(_all(space.areas[kind].blocks, length))
    # Of each kind's pages, what is something else.
    others = {kind: count.zeros() for kind in KINDS}
    header = count.blocks([(0, HEADER_SIZE)])
    log = count.blocks((address, NODE_SIZE) for _, address, _ in chain.pages)
    others[NODE_PAGE] = [sum(both) for both in zip(header, log, strict=True)]
    free, limbo = count.zeros(), count.zeros()
    for address, size in _all(space.free_blocks, length):
        count.add(free, address, size)
        # A free block lies in pages of one kind, or of none.
        if kind := space.kind_at(address):
            count.add(others[kind], address, size)
    for generation in space.limbo:
        for address, size in _all(generation.blocks.blocks, length):
            count.add(limbo, address, size)
            for kind, low, high in _by_kind(space, address, size):
                count.add(others[kind], low, high - low)
    counts = {"header": header, "log": log}
    for kind in KINDS:
        pairs = zip(areas[kind], others[kind], strict=True)
        counts[KIND_NAMES[kind]] = [area - other for area, other in pairs]
    counts |= {"free": free, "limbo": limbo}
    found = Census(store.slot.transaction, length, max(store.region.device.size() - length, 0), cell, counts)
    for number, cells in enumerate(zip(*counts.values(), strict=True)):
        if min(cells) < 0 or sum(cells) != found.size(number):
            said = ", ".join(f"{use} {size}" for use, size in zip(counts, cells, strict=True) if size)
            expected = f"{found.size(number)} bytes, each used for one thing"
            raise CorruptRegionError(number * cell, expected, said, path)
    return found


class _Counter:
    """Adds blocks, clipped to the region, to the cells that they lie in."""

    def __init__(self, length: int, cell: int) -> None:
        self.length = length
        self.cell = cell

    def zeros(self) -> Counts:
        return [0] * -(-self.length // self.cell)

    def blocks(self, blocks: "Iterator[tuple[int, int]] | list[tuple[int, int]]") -> Counts:
        counts = self.zeros()
        for address, size in blocks:
            self.add(counts, address, size)
        return counts

    def add(self, counts: Counts, address: int, size: int) -> None:
        cell = self.cell
        stop = min(address + size, self.length)
        if address >= stop:
            return
        first, last = address // cell, (stop - 1) // cell
        if first == last:
            counts[first] += stop - address
            return
        counts[first] += (first + 1) * cell - address
        for number in range(first + 1, last):
            counts[number] += cell
        counts[last] += stop - last * cell


def _all(
    blocks: Callable[[int, int, int], list[tuple[int, int]]], length: int
) -> Iterator[tuple[int, int]]:  # fmt: skip
    """Yield the blocks below ``length``, given what returns some of those in a range."""
    place = 0
    while place < length and (found := blocks(place, length, BATCH)):
        yield from found
        place = sum(found[-1])


def _by_kind(space: FreeSpace, address: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Yield the parts (kind, start, stop) of a block that lie in pages of a kind."""
    stop = address + size
    if address // REGION_PAGE == (stop - 1) // REGION_PAGE:
        if kind := space.kind_at(address):
            yield kind, address, stop
        return
    for kind in KINDS:
        for begin, length in space.areas[kind].blocks(address, stop):
            yield kind, max(begin, address), min(begin + length, stop)
