# cython: annotation_typing=False
"""Layers: what one transaction, or one savepoint within it, allocated and freed; limbo, what stays of it.

What a layer allocated is *fresh*: nobody else has seen it, so it may be written to, and is free at once when
it is freed. Most of it is fresh for the page it is in, and is written down nowhere else:

    a region page that the layer took from the pool or the tail    in ``pages``; all that is not free
                                                                    in it is fresh
    any other page                                                  in ``blocks``: what is fresh

So to allocate in a page of its own, and to free there, costs a layer nothing. What is free, only
FreeSpace knows, and so it says what is fresh (``FreeSpace.fresh_blocks``).

Invariants: ``pages`` are whole region pages, each taken by one layer only; ``blocks`` lie in no page of
their own layer, nor of a later one; ``freed`` in no page of its own layer, nor of a later one.
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
"""Layers that have pages of their own: a byte numbers them. What a later one allocates is in ``blocks``."""


class Layer:
    """What one transaction, or one savepoint within it, took, allocated and freed.

    Args:
        number: how many layers there are with it; the transaction's own is 1.

    Attributes:
        pages: region pages that it took and has not given back, as byte ranges.
        blocks: what it allocated in other pages.
        freed: what it freed of older things.
    """

    __slots__ = ("blocks", "freed", "number", "pages")

    def __init__(self, number: int) -> None:
        self.number = number
        self.pages = FreeTree()
        self.blocks = FreeTree()
        self.freed = FreeTree()

    def owns_part(self, address: int, size: int) -> bool:
        """Tell whether any byte of a range is in a page of the layer's own."""
        return self.pages.count > 0 and self.pages.overlaps(address, size)

    def add(self, address: int, size: int) -> None:
        """Note that a range was allocated."""
        if self.owns_part(address, size):
            for begin, part in without(address, address + size, self.pages.blocks(address, address + size)):
                self.blocks.insert(begin, part)
        else:
            self.blocks.insert(address, size)

    def remove(self, address: int, size: int) -> None:
        """Note that a range, all of it fresh, is no longer allocated."""
        if self.owns_part(address, size):
            self.blocks.discard(address, address + size)
        else:
            self.blocks.remove(address, size)


class Limbo:
    """Blocks freed by one committed transaction that something older may still reach.

    Only states with a number between the two, neither included, reach them.

    Attributes:
        transaction: the one that freed them, or a later one.
        since: one that was committed before any of them was allocated; 0 if that is not known.
        blocks: what was freed.
    """

    __slots__ = ("blocks", "since", "transaction")

    def __init__(self, transaction: int, blocks: FreeTree, since: int = 0) -> None:
        self.transaction = transaction
        self.since = since
        self.blocks = blocks

    def join(self, older: "Limbo") -> None:
        """Take the blocks of an older one, as if this had freed them. O(k log n), k of the fewer."""
        self.since = min(self.since, older.since)
        fewer, more = older.blocks, self.blocks
        if fewer.count > more.count:
            fewer, more = more, fewer
        for address, size in fewer.blocks():
            more.insert(address, size)
        self.blocks = more


def common(one: FreeTree, other: FreeTree) -> list[tuple[int, int]]:
    """Return the blocks of the bytes that two sets both have, by address. O(k log n), k of the fewer.

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
    """Return what is left, as blocks, of the range ``[start, stop)`` without other blocks; all by address.

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
    """Return a sentence for everything that would make what is fresh another thing than was allocated.

    Args:
        layers: innermost last.
        limbo: what committed transactions freed.
        given: region pages that got a kind in this transaction.
        kinds: the kind of each region page, 0 for none.
        owners: the number of the layer in whose ``pages`` it is, 0 for none.
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
