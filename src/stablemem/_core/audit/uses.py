"""Uses: counts the bytes of a region by their use, from its free space. Only this module counts them.

Bytes in the region pages of a kind that are neither free, nor in limbo, nor freed by the open transaction are
in use by that kind. The header and the log are in pages of nodes. So no node and no blob is read. ``verify``
counts the bytes that it has found and read itself: it proves these figures, so it does not take them from
here.
"""

from collections.abc import Callable, Iterable, Iterator

from ...layout import HEADER_SIZE, KIND_NAMES, KINDS, NODE_PAGE, NODE_SIZE, REGION_PAGE
from ..space.freespace import FreeSpace
from ..space.freetree import FreeTree

__all__ = ["IN_USE", "USES", "Counts", "count_uses", "total_uses"]

IN_USE = ("header", "log", "nodes", "blobs", "raw")
USES = (*IN_USE, "free", "limbo")
"""The uses of a byte in a commit. The catalog and the bytes of patches count as blobs."""

BATCH = 4096
"""Number of blocks that are asked for at once: a list of all blocks might not fit into memory."""

Counts = list[int]
"""Number of bytes in each cell."""


def total_uses(space: FreeSpace, length: int) -> dict[str, int]:
    """Return the number of bytes of a region that have each use; those of the log count as nodes."""
    return {use: cells[0] for use, cells in count_uses(space, [], length, length).items()}


def count_uses(space: FreeSpace, log: Iterable[int], length: int, cell: int) -> dict[str, Counts]:
    """Return, for each of USES and for "freed", the number of bytes in each cell that have this use.

    "freed" are older blocks that the open transaction has freed: the newest commit still uses them.

    Args:
        space: the free space of the region.
        log: addresses of the pages of the log.
        length: bytes of the region.
        cell: bytes of a cell.
    """
    count = _Counter(length, cell)
    areas: dict[int, Counts] = {}
    for kind in KINDS:
        areas[kind] = count.blocks(_all(space.areas[kind].blocks, length))
    # The bytes in the pages of each kind that have another use.
    others = {kind: count.zeros() for kind in KINDS}
    header = count.blocks([(0, HEADER_SIZE)])
    pages = count.blocks((address, NODE_SIZE) for address in log)
    others[NODE_PAGE] = [sum(both) for both in zip(header, pages, strict=True)]
    free, limbo, freed = count.zeros(), count.zeros(), count.zeros()
    for address, size in _all(space.free_blocks, length):
        count.add(free, address, size)
        # All pages of a free block have the same kind, or none.
        if kind := space.kind_at(address):
            count.add(others[kind], address, size)
    gone: list[tuple[Counts, FreeTree]] = [(limbo, each.blocks) for each in space.limbo]
    gone += [(freed, layer.freed) for layer in space.layers]
    for counts, tree in gone:
        for address, size in _all(tree.blocks, length):
            count.add(counts, address, size)
            for kind, low, high in _by_kind(space, address, size):
                count.add(others[kind], low, high - low)
    found = {"header": header, "log": pages}
    for kind in KINDS:
        pairs = zip(areas[kind], others[kind], strict=True)
        found[KIND_NAMES[kind]] = [area - other for area, other in pairs]
    return {**found, "free": free, "limbo": limbo, "freed": freed}


class _Counter:
    """Adds blocks, cut at the end of the region, to the cells that they lie in."""

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
    """Yield the blocks below ``length``, given a function that returns the first blocks in a range."""
    place = 0
    while place < length and (found := blocks(place, length, BATCH)):
        yield from found
        place = sum(found[-1])


def _by_kind(space: FreeSpace, address: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Yield the parts (kind, start, stop) of a block that lie in region pages with a kind."""
    stop = address + size
    if address // REGION_PAGE == (stop - 1) // REGION_PAGE:
        if kind := space.kind_at(address):
            yield kind, address, stop
        return
    for kind in KINDS:
        for begin, length in space.areas[kind].blocks(address, stop):
            yield kind, max(begin, address), min(begin + length, stop)
