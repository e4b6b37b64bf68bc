# cython: annotation_typing=False
"""Layers: what a transaction, or a savepoint in it, allocated and freed. Limbo: blocks that were freed.

A block that a layer allocated is *fresh*: no other state reaches it. So it may be written to, and it is free
at once when it is freed. Most fresh blocks are known only by the region page that they are in:

    a region page that the layer took from the pool or the tail    is in ``pages``: all bytes in it
                                                                    that are not free are fresh
    any other region page                                           its fresh blocks are in ``blocks``

So allocating and freeing in its own pages costs a layer nothing. Only FreeSpace knows which bytes are free,
so it says which blocks are fresh (``FreeSpace.fresh_blocks``).

Invariants: ``pages`` are whole region pages, and each is in one layer only. No block of ``blocks`` or
``freed`` is in a page of the same layer or of a later one.
"""

from .freetree import FreeTree

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ...layout import REGION_PAGE

__all__ = ["MOST_OWNERS", "Layer", "Limbo", "common", "owner_faults", "without"]

MOST_OWNERS = 255
"""Number of layers that have their own pages: a byte numbers them. Later layers use only ``blocks``."""


class Layer:
    """What a transaction, or a savepoint in it, took, allocated and freed.

    Args:
        number: the number of layers up to this one; 1 for the transaction itself.

    Attributes:
        pages: region pages that it took and has not given back, as byte ranges.
        blocks: the blocks that it allocated in other pages.
        freed: the older blocks that it freed.
    """

    __slots__ = ("blocks", "freed", "number", "pages")

    def __init__(self, number: int) -> None:
        self.number = number
        self.pages = FreeTree()
        self.blocks = FreeTree()
        self.freed = FreeTree()

    def owns_part(self, address: int, size: int) -> bool:
        """Return whether any byte of a range is in one of the layer's own pages."""
        return self.pages.count > 0 and self.pages.overlaps(address, size)

    def add(self, address: int, size: int) -> None:
        """Note that a range was allocated."""
        if self.owns_part(address, size):
            for begin, part in without(address, address + size, self.pages.blocks(address, address + size)):
                self.blocks.insert(begin, part)
        else:
            self.blocks.insert(address, size)

    def remove(self, address: int, size: int) -> None:
        """Note that a range, which is wholly fresh, is not allocated any more."""
        if self.owns_part(address, size):
            self.blocks.discard(address, address + size)
        else:
            self.blocks.remove(address, size)


class Limbo:
    """Blocks that one committed transaction freed, but that older states may still reach.

    Only states with a number between ``since`` and ``transaction``, neither included, reach them.

    Attributes:
        transaction: number of the transaction that freed the blocks, or of a later one.
        since: number of a commit before any of the blocks was allocated; 0 if none is known.
        blocks: the freed blocks.
    """

    __slots__ = ("blocks", "since", "transaction")

    def __init__(self, transaction: int, blocks: FreeTree, since: int = 0) -> None:
        self.transaction = transaction
        self.since = since
        self.blocks = blocks

    def join(self, older: "Limbo") -> None:
        """Add the blocks of an older Limbo, as if freed here. O(k log n), k blocks in the smaller one."""
        self.since = min(self.since, older.since)
        fewer, more = older.blocks, self.blocks
        if fewer.count > more.count:
            fewer, more = more, fewer
        for address, size in fewer.blocks():
            more.insert(address, size)
        self.blocks = more


def common(one: FreeTree, other: FreeTree) -> list[tuple[int, int]]:
    """Return the bytes that are in both sets, as blocks by address. O(k log n), k blocks in the smaller.

    >>> from stablemem._core.space.freetree import FreeTree
    >>> one, other = FreeTree(), FreeTree()
    >>> one.insert(0, 10); other.insert(4, 2); other.insert(8, 5)
    >>> common(one, other)
    [(4, 2), (8, 2)]
    """
    if one.count > other.count:
        one, other = other, one
    found = []
    for start, length in one.blocks():
        stop = start + length
        for address, size in other.blocks(start, stop):
            low, high = max(address, start), min(address + size, stop)
            found.append((low, high - low))
    return found


def without(start: int, stop: int, holes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the rest of the range ``[start, stop)`` without other blocks, as blocks; all by address.

    >>> without(0, 10, [(2, 3), (9, 12)])
    [(0, 2), (5, 4)]
    """
    left = []
    for address, size in holes:
        if address >= stop:
            break
        if start < address:
            left.append((start, address - start))
        start = max(start, address + size)
    if start < stop:
        left.append((start, stop - start))
    return left


def owner_faults(
    layers: list[Layer], limbo: list[Limbo], given: FreeTree, kinds: bytearray, owners: bytearray
) -> list[str]:
    """Return a sentence for each violation of the invariants about which layer owns a region page.

    Args:
        layers: the layers, innermost last.
        limbo: the blocks that committed transactions freed.
        given: region pages that got a kind in this transaction.
        kinds: the kind of each region page; 0 for none.
        owners: for each region page, the number of the layer whose ``pages`` it is in; 0 for none.
    """
    faults = []
    expected = bytearray(len(kinds))
    for number, layer in enumerate(layers, 1):
        name = f"layer {layer.number}"
        faults += [f"pages of {name}: {fault}" for fault in layer.pages.check()]
        if number != layer.number:
            faults.append(f"{name} is layer {number}")
        strangers = [each.blocks for each in limbo]
        for older in layers[:number]:
            strangers += [older.blocks, older.freed]
        for address, size in layer.pages.blocks():
            first, last = address // REGION_PAGE, (address + size) // REGION_PAGE
            if address % REGION_PAGE or size % REGION_PAGE or last > len(kinds) or number > MOST_OWNERS:
                faults.append(f"{name}: ({address}, {size}) are no region pages, or cannot be its own")
                continue
            if any(expected[first:last]):
                faults.append(f"{name}: region pages ({address}, {size}) are another layer's too")
            expected[first:last] = bytes([number]) * (last - first)
            if not all(kinds[first:last]) or not given.covers(address, size):
                faults.append(f"{name}: region pages ({address}, {size}) were not taken in this transaction")
            if any(tree.overlaps(address, size) for tree in strangers):
                faults.append(f"{name}: something older is in region pages ({address}, {size})")
    if expected != owners:
        faults.append("the region pages do not have the numbers of the layers that took them")
    return faults
