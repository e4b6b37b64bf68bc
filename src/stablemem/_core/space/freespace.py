# cython: annotation_typing=False
"""Free space: which bytes of the region are free, by kind, and what one transaction does to that.

    region page   0        1        2        3        4        5
                  +--------+--------+--------+--------+--------+
    kind          | nodes  | blobs  | blobs  |  free  | nodes  |   end
                  +--------+--------+--------+--------+--------+
    free trees      nodes    blobs (one block      pool   nodes
                             may span pages)

A region page that is wholly free has no kind and lies in the pool; a free block in any other page lies
in the tree of the page's kind. So nodes are 4 KiB aligned for nothing, and a small value never lands
among raw blocks. Neighbours of one kind merge; a page whose last byte is freed goes back to the pool.

Transactions are layers (layers.py). What a layer allocated is *fresh*, and it knows what it freed of older
things (``freed``). A block is reusable at once only if the innermost layer allocated it; all else waits:

    commit            fresh stays allocated; freed becomes limbo of this transaction
    rollback          fresh becomes free; freed stays allocated
    savepoint ends    its fresh joins the layer below; its freed is freed there

Fresh is what is not free in the pages that the layer itself took, and what it allocated elsewhere. Pages
are taken when they are wholly free, so nothing older can be in them, and nothing in them was freed and waits.

Limbo holds what committed transactions freed, oldest first, each with the number of the transaction
that freed it: reusable once no slot in use and no snapshot is older than that. What commits that were not
synced allocated is *young*: the newest synced state does not reach it. If it is freed before the next sync,
it waits for no sync, only for the snapshots of those commits.

Invariants: the free trees, the pool, limbo and everything allocated tile ``[0, end)``; a pool block is a
multiple of region pages; a kind tree holds no whole region page; the layers' sets are disjoint; a region
page has the number of the layer whose ``pages`` it is in, if any; neither limbo nor what that layer or an
older one freed or allocated elsewhere is in it; nothing young is free or in limbo.
"""

from collections.abc import Callable

from ...errors import BlockError, RegionFullError
from ...layout import KIND_NAMES, KINDS, MAX_ADDRESS, NODE_PAGE
from .freetree import FreeTree
from .layers import MOST_OWNERS, Layer, Limbo, common, owner_faults, without

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ...layout import HEADER_SIZE, RAW_PAGE, REGION_PAGE

__all__ = ["FreeSpace"]

RESERVE = 1 << 20
"""Bytes below ``most`` that only nodes and log may grow into; a quarter of it if that is less."""

LIMBO_GENERATIONS = 64
"""Distinct transaction numbers kept in limbo; beyond, neighbours share the younger number."""


class FreeSpace:
    """The free blocks of one region, for its one writer.

    Attributes:
        end: end of the last region page that ever had a kind, in bytes.
        layers: the open transaction's layers, innermost last; never empty.
        limbo: what committed transactions freed, oldest first.
        young: what commits since the last synced one allocated, and none of them freed.
        areas: for each kind, the set of its region pages, as byte ranges.
        given: region pages that got a kind in this transaction, as byte ranges.
        most: where the region must end at the latest; blobs and raw blocks leave the last ``RESERVE`` of it
            to nodes and log, so that what is full can be deleted from.
        grown: whether the region has grown since somebody cleared it.
        packing: whether what is written out goes as low as it fits, at whatever price: while compacting.
        best: whether allocations take the best fit, for which pool and kind trees keep sizes; else the first.

    >>> space = FreeSpace()
    >>> space.allocate(1, 4096), space.allocate(2, 100), space.allocate(2, 100)
    (12288, 65536, 65636)
    >>> space.free(65536, 100); space.allocate(2, 60)
    65536
    """

    __slots__ = (
        "_kinds", "_owners", "_pool", "_trees", "areas", "best", "end", "given", "grown", "layers", "limbo",
        "most", "packing", "young",
    )  # fmt: skip

    def __init__(self) -> None:
        self.most = MAX_ADDRESS
        self.grown = False
        self.packing = False
        self.best = False
        self._pool = FreeTree()
        self._trees = [FreeTree() for _ in KIND_NAMES]
        self.areas = [FreeTree() for _ in KIND_NAMES]
        self.layers = [Layer(1)]
        self.limbo: list[Limbo] = []
        self.young = FreeTree()
        self.given = FreeTree()
        # Region page 0 has its kind from the start: the header takes the first 12 KiB of it.
        self._kinds = bytearray([NODE_PAGE])
        # The number of the layer that took a region page, 0 for none.
        self._owners = bytearray(1)
        self.areas[NODE_PAGE].insert(0, REGION_PAGE)
        self._trees[NODE_PAGE].insert(HEADER_SIZE, REGION_PAGE - HEADER_SIZE)
        self.end = REGION_PAGE

    def fit_best(self) -> None:
        """Allocate from the smallest block that fits, not from the lowest, from now on. O(n log n)."""
        self.best = True
        self._pool.keep_sizes()
        for tree in self._trees:
            tree.keep_sizes()

    # -- allocating ----------------------------------------------------------------------------------

    def allocate(self, kind: int, size: int) -> int:
        """Return the address of a block of ``size`` bytes: one of the kind's that fits, else in new pages."""
        if self.packing:
            address = self.allocate_below(kind, size, self.end)
            if address:
                return address
        tree = self._trees[kind]
        if self._is_sparse() and self._is_higher(tree.lowest(size), size):
            address = self.allocate_below(kind, size, self.end)
            if address:
                return address
        address = tree.allocate(size)
        if address < 0:
            self._extend(kind, size)
            address = tree.allocate(size)
            self._trim(kind, address + size)
        self._note_fresh(address, size)
        return address

    def _is_sparse(self) -> bool:
        """Tell whether most of the region is in the pool: then what is put high up keeps the file long."""
        return not self.best and self._pool.total > self.end >> 1

    def _is_higher(self, address: int, size: int) -> bool:
        """Tell whether pages for a block of ``size`` bytes are to be had below an address."""
        if address < 0:
            return False
        page = self._pool.lowest((size + REGION_PAGE - 1) // REGION_PAGE * REGION_PAGE)
        return 0 <= page < address

    def take_run(self, kind: int, wanted: int, least: int) -> tuple[int, int]:
        """Return a block (address, size) of at most ``wanted`` bytes and at least ``least``.

        One run is worth more than old holes: bytes written together cost one write. Holes are used when
        the whole run fits into one, when a long run fits a large part into one, or when more than a
        quarter of the kind's pages is free, which bounds what contiguity may cost.
        """
        if self.packing:
            begin = self.allocate_below(kind, least, self.end)
            if begin:
                return begin, least + self._lengthen(kind, begin + least, wanted - least)
        tree = self._trees[kind]
        area = self.areas[kind].total
        least_run = wanted
        if tree.total > area >> 2 and tree.total >= 1 << 20:
            least_run = least
        elif wanted >= REGION_PAGE:
            least_run = max(least, REGION_PAGE >> 2)
        address = tree.find(wanted) if self.best else -1
        if address < 0:
            # A run is cut to the hole that it gets: the smallest that holds any of it would be the worst.
            address = tree.lowest(least_run)
        if self._is_sparse() and self._is_higher(address, wanted):
            address = -1
        extended = address < 0
        if extended:
            pages = (wanted + REGION_PAGE - 1) // REGION_PAGE
            largest = self._pool.largest()
            tight = self.end + pages * REGION_PAGE > self.most
            if largest < pages * REGION_PAGE and largest >= max(least, 0 if tight else 16 * REGION_PAGE):
                wanted = min(wanted, largest)
            self._extend(kind, wanted)
            address = tree.find(wanted)
        begin, size = tree.floor(address) or (0, 0)
        size = min(size, wanted)
        tree.remove(begin, size)
        if extended:
            self._trim(kind, begin + size)
        self._note_fresh(begin, size)
        return begin, size

    def allocate_below(self, kind: int, size: int, cut: int) -> int:
        """Return the address of the lowest block of ``size`` bytes that ends at most at ``cut``, or 0."""
        tree = self._trees[kind]
        pages = (size + REGION_PAGE - 1) // REGION_PAGE * REGION_PAGE
        address = tree.lowest(size)
        page = self._pool.lowest(pages)
        if page >= 0 and (address < 0 or page < address):
            if page + size > cut or not self._may_take(kind, pages):
                return 0
            self._pool.remove(page, pages)
            self._give_kind(kind, page, pages)
            tree.insert(page, pages)
            # With the free bytes before it, if they are of the kind, it is one block now.
            address = tree.lowest(size)
        if address < 0 or address + size > cut:
            return 0
        tree.remove(address, size)
        self._trim(kind, address + size)
        self._note_fresh(address, size)
        return address

    def allocate_apart(self, kind: int, size: int, address: int) -> int:
        """Return ``address`` if a block of ``size`` bytes is free there, else that of one in new pages.

        So what is freed together lies together, apart from what lives longer.
        """
        if address % REGION_PAGE and self.extend_block(kind, address, size):
            return address
        pages = (size + REGION_PAGE - 1) // REGION_PAGE * REGION_PAGE
        begin = self._pool.allocate(pages)
        if begin < 0:
            if self.end + pages > self.most:
                return self.allocate(kind, size)
            begin = self.end
            self._grow_to(begin + pages)
        self._give_kind(kind, begin, pages)
        self._trees[kind].insert(begin, pages)
        self._trees[kind].remove(begin, size)
        self._note_fresh(begin, size)
        return begin

    def _lengthen(self, kind: int, address: int, most: int) -> int:
        """Allocate what is free of a kind from an address on, up to ``most`` bytes; return how many."""
        tree = self._trees[kind]
        block = tree.floor(address)
        if block is None or block[0] != address:
            return 0
        size: int = min(block[1], most)
        if size:
            tree.remove(address, size)
            self._note_fresh(address, size)
        return size

    def _note_fresh(self, address: int, size: int) -> int:
        """Note that the innermost layer allocated a range: for one in a page of its own, nothing."""
        layer = self.layers[-1]
        page = address // REGION_PAGE
        if (address + size - 1) // REGION_PAGE > page:
            layer.add(address, size)
        elif self._owners[page] != layer.number:
            layer.blocks.insert(address, size)
        return 0

    def _trim(self, kind: int, address: int) -> None:
        """Give whole region pages at an address back that a neighbour's free bytes made unneeded."""
        block = self._trees[kind].floor(address)
        if block is not None and block[0] == address:
            first = (address + REGION_PAGE - 1) // REGION_PAGE * REGION_PAGE
            stop = (address + block[1]) // REGION_PAGE * REGION_PAGE
            if stop > first:
                self._trees[kind].remove(first, stop - first)
                self._reuse_pages(first, stop - first)

    def _extend(self, kind: int, size: int) -> None:
        """Give pages to a kind so that its tree has a block of ``size``."""
        if size > MAX_ADDRESS - self.end:
            raise RegionFullError(
                f"a block of {size} bytes would end beyond the largest address, {MAX_ADDRESS}: allocate less"
            )
        pages = (size + REGION_PAGE - 1) // REGION_PAGE
        self._reserve(kind, pages * REGION_PAGE)
        address = self._pool.allocate(pages * REGION_PAGE)
        if address < 0:
            tail = self._pool.last()
            tree_tail = self._trees[kind].last()
            if tail is not None and tail[0] + tail[1] == self.end:
                address = tail[0]
                self._grow_to(address + pages * REGION_PAGE)
                self._pool.remove(tail[0], tail[1])
            else:
                address = self.end
                if tree_tail is not None and tree_tail[0] + tree_tail[1] == self.end:
                    pages = (size - tree_tail[1] + REGION_PAGE - 1) // REGION_PAGE
                self._grow_to(address + pages * REGION_PAGE)
        self._give_kind(kind, address, pages * REGION_PAGE)
        self._trees[kind].insert(address, pages * REGION_PAGE)

    def _give_kind(self, kind: int, address: int, size: int) -> None:
        """Write down that these region pages, wholly free so far, are of a kind now and the layer's own."""
        first = address // REGION_PAGE
        self._kinds[first : first + size // REGION_PAGE] = bytes([kind]) * (size // REGION_PAGE)
        layer = self.layers[-1]
        if layer.number <= MOST_OWNERS:
            layer.pages.insert(address, size)
            self._set_owner(layer.number, address, size)
        for other in KINDS:
            self.areas[other].discard(address, address + size)
        self.areas[kind].insert(address, size)
        self.given.discard(address, address + size)
        self.given.insert(address, size)

    def _set_owner(self, number: int, address: int, size: int) -> None:
        """Write down which layer took these region pages."""
        first = address // REGION_PAGE
        self._owners[first : first + size // REGION_PAGE] = bytes([number]) * (size // REGION_PAGE)

    # -- freeing -------------------------------------------------------------------------------------

    def free(self, address: int, size: int) -> None:
        """Free a block: at once if the innermost layer allocated it, else when its layer ends."""
        if size == 0 or size > self.end or address > self.end - size:
            raise BlockError(f"block ({address}, {size}) is not in the region of {self.end} bytes")
        layer = self.layers[-1]
        page = address // REGION_PAGE
        if self._owners[page] == layer.number and (address + size - 1) // REGION_PAGE == page:
            self.reuse(address, size)
        elif self.is_fresh(address, size):
            layer.remove(address, size)
            self.reuse(address, size)
        elif layer.owns_part(address, size):
            raise BlockError(f"block ({address}, {size}) is only partly allocated in its layer")
        else:
            layer.freed.insert(address, size)

    def free_allocated(self, kind: int, address: int, size: int) -> str:
        """Free a range that is wholly allocated in pages of a kind; else change nothing and return why.

        As ``fault_of`` and ``free_range`` one after the other, with one search of each set.
        """
        if size == 0 or address < HEADER_SIZE or size > self.end or address > self.end - size:
            return self.fault_of(kind, address, size)
        first = address // REGION_PAGE
        stop = (address + size - 1) // REGION_PAGE + 1
        layer = self.layers[-1]
        if stop - first == 1:
            if self._kinds[first] != kind:
                return self.fault_of(kind, address, size)
            if self._owners[first] == layer.number:
                # Whatever is not free there is fresh: to find it free is all that can be wrong.
                return "" if self._merge_within(address, size) else self.fault_of(kind, address, size)
        else:
            tree = self.areas[kind]
            if not tree.covers(first * REGION_PAGE, (stop - first) * REGION_PAGE):
                return self.fault_of(kind, address, size)
        # Searches wait for memory; that of the later sets comes while the first ones are searched.
        tree = self._trees[kind]
        tree.expect(address)
        for each in self.limbo:
            each.blocks.expect(address)
        layer.freed.expect(address)
        taken = -1
        if stop - first == 1 or not layer.owns_part(address, size):
            taken = layer.blocks.take(address, size)
        if taken > 0:
            self.reuse(address, size)
            return ""
        if taken < 0 or self._is_free(kind, address, size):
            fault = self.fault_of(kind, address, size)
            if not fault:
                self.free_range(address, size)
            return fault
        if not layer.freed.merge(address, size):
            return self.fault_of(kind, address, size)
        return ""

    def _is_free(self, kind: int, address: int, size: int) -> bool:
        """Tell whether a byte of a range is free, in limbo, or freed by a layer below the innermost."""
        tree = self._trees[kind]
        if tree.count and tree.overlaps(address, size):
            return True
        for each in self.limbo:
            if each.blocks.overlaps(address, size):
                return True
        if len(self.layers) > 1:
            for layer in self.layers[:-1]:
                if layer.freed.overlaps(address, size):
                    return True
        return False

    def fault_of(self, kind: int, address: int, size: int) -> str:
        """Return why a range is not wholly allocated in pages of a kind, "" if it is."""
        if size <= 0 or address < HEADER_SIZE or size > self.end or address > self.end - size:
            return f"block ({address}, {size}) is not in the region of {self.end} bytes"
        first = address // REGION_PAGE * REGION_PAGE
        stop = (address + size + REGION_PAGE - 1) // REGION_PAGE * REGION_PAGE
        tree = self.areas[kind]
        if not tree.covers(first, stop - first):
            for page in range(first // REGION_PAGE, stop // REGION_PAGE):
                if self._kinds[page] != kind:
                    found = KIND_NAMES[self._kinds[page]]
                    return f"block ({address}, {size}) is not {KIND_NAMES[kind]}: page {page} is {found}"
        tree = self._trees[kind]
        if tree.overlaps(address, size):
            return self._already_free(tree, address, size)
        if self._owners[address // REGION_PAGE] == len(self.layers) and stop - first == REGION_PAGE:
            return ""
        for tree in self._gone():
            if tree.overlaps(address, size):
                return self._already_free(tree, address, size)
        return ""

    def _already_free(self, tree: FreeTree, address: int, size: int) -> str:
        """Say which part of a range is free."""
        begin, length = tree.blocks(address, address + size, 1)[0]
        return f"block ({address}, {size}) is not all allocated: ({begin}, {length}) is free"

    def _gone(self) -> list[FreeTree]:
        """Return what was freed and is not to be had yet."""
        return [*[each.blocks for each in self.limbo], *[layer.freed for layer in self.layers]]

    def allocated_blocks(self, kind: int, start: int = 0, stop: int = MAX_ADDRESS) -> list[tuple[int, int]]:
        """Return the maximal runs allocated in pages of a kind, cut to ``[start, stop)``. O(blocks there)."""
        used = FreeTree()
        for address, size in self.areas[kind].blocks(start, stop):
            low, high = max(address, start, HEADER_SIZE), min(address + size, stop)
            if low < high:
                used.insert(low, high - low)
        for tree in [self._trees[kind], *self._gone()]:
            for address, size in tree.blocks(start, stop):
                used.discard(address, address + size)
        return used.blocks()

    def is_unused(self, address: int, size: int) -> bool:
        """Return whether each byte of a range is free, in limbo, or freed in this transaction."""
        left = FreeTree()
        left.insert(address, size)
        for tree in [self._pool, *self._trees, *self._gone()]:
            for begin, length in tree.blocks(address, address + size):
                left.discard(begin, begin + length)
        left.discard(self.end, MAX_ADDRESS)
        return left.count == 0

    def extend_block(self, kind: int, address: int, more: int) -> bool:
        """Allocate ``more`` bytes at an address, behind a block of a kind, if they are free there."""
        tree = self._trees[kind]
        block = tree.floor(address)
        there = block[1] if block is not None and block[0] == address else 0
        behind = address + there
        if there < more:
            if behind % REGION_PAGE:
                return False
            size = (more - there + REGION_PAGE - 1) // REGION_PAGE * REGION_PAGE
            tail = self._pool.floor(behind)
            pooled = tail[1] if tail is not None and tail[0] == behind else 0
            if pooled < size and (behind + pooled != self.end or behind + size > self.most):
                return False
            self._reserve(kind, size)
            if pooled:
                self._pool.remove(behind, min(pooled, size))
            if pooled < size:
                self._grow_to(behind + size)
            self._give_kind(kind, behind, size)
            tree.insert(behind, size)
        tree.remove(address, more)
        self._note_fresh(address, more)
        return True

    def _grow_to(self, end: int) -> None:
        """Let the region end there; the new pages have no kind yet."""
        if end > MAX_ADDRESS:
            raise RegionFullError(
                f"the region would end beyond the largest address, {MAX_ADDRESS}: grow it by less"
            )
        if end > self.most:
            self._no_room(end - self.end)
        self.grown = True
        self._kinds.extend(bytes((end - self.end) // REGION_PAGE))
        self._owners.extend(bytes((end - self.end) // REGION_PAGE))
        self.end = end

    def _reserve(self, kind: int, size: int) -> None:
        """Raise if taking pages for a kind leaves too few for nodes and log to delete with."""
        if not self._may_take(kind, size):
            self._no_room(size)

    def _may_take(self, kind: int, size: int) -> bool:
        """Return whether pages of so many bytes for a kind leave enough for nodes and log."""
        left = self._pool.total + max(self.most - self.end, 0)
        return kind == NODE_PAGE or left >= size + min(RESERVE, self.most >> 2)

    def _no_room(self, more: int) -> None:
        raise RegionFullError(
            f"the region has {self.end} of at most {self.most} bytes (max_size), and needs {more} more; "
            "nothing committed was lost: delete values, best many at once from the end, and commit, or "
            "open the file with a larger max_size"
        )

    def add_pages(self, pages: int) -> None:
        """Add region pages at the end, free and of no kind."""
        begin = self.end
        self._reserve(RAW_PAGE, pages * REGION_PAGE)
        self._grow_to(begin + pages * REGION_PAGE)
        self._pool.insert(begin, pages * REGION_PAGE)

    def reuse(self, address: int, size: int) -> None:
        """Put a block that nothing reaches into the tree of its kind, or its whole pages into the pool."""
        stop = address + size
        first = (address + REGION_PAGE - 1) // REGION_PAGE
        last = stop // REGION_PAGE
        if first > last:
            self._reuse_within(address, size)
            return
        if first * REGION_PAGE > address:
            self._reuse_within(address, first * REGION_PAGE - address)
        if last > first:
            self._reuse_pages(first * REGION_PAGE, (last - first) * REGION_PAGE)
        if stop > last * REGION_PAGE:
            self._reuse_within(last * REGION_PAGE, stop - last * REGION_PAGE)

    def _reuse_within(self, address: int, size: int) -> None:
        """Put a part of one region page into the tree of its kind; raise if some of it is free already."""
        if not self._merge_within(address, size):
            self._trees[self._kinds[address // REGION_PAGE]].insert(address, size)

    def _merge_within(self, address: int, size: int) -> bool:
        """Do ``_reuse_within``; or, if some of it is free already, nothing, and return false."""
        page = address // REGION_PAGE
        tree = self._trees[self._kinds[page]]
        merged = tree.merge(address, size)
        if merged >= REGION_PAGE:
            begin = page * REGION_PAGE
            if tree.covers(begin, REGION_PAGE):
                tree.remove(begin, REGION_PAGE)
                self._reuse_pages(begin, REGION_PAGE)
        return merged > 0

    def _reuse_pages(self, address: int, size: int) -> None:
        """Put whole region pages into the pool; they lose their kind, and are no layer's any more."""
        self._pool.insert(address, size)
        first = address // REGION_PAGE
        self._kinds[first : first + size // REGION_PAGE] = bytes(size // REGION_PAGE)
        for kind in KINDS:
            self.areas[kind].discard(address, address + size)
        if self._owners.count(0, first, first + size // REGION_PAGE) < size // REGION_PAGE:
            self._set_owner(0, address, size)
            for layer in self.layers:
                layer.pages.discard(address, address + size)

    # -- transactions --------------------------------------------------------------------------------

    def push(self) -> None:
        """Open a savepoint."""
        self.layers.append(Layer(len(self.layers) + 1))

    def pop(self) -> None:
        """End a savepoint, keeping what it did."""
        layer = self.layers.pop()
        below = self.layers[-1]
        for address, size in layer.blocks.blocks():
            below.add(address, size)
        for address, size in layer.pages.blocks():
            below.pages.insert(address, size)
            self._set_owner(below.number, address, size)
        for address, size in layer.freed.blocks():
            self.free_range(address, size)

    def is_fresh(self, address: int, size: int) -> bool:
        """Return whether the innermost layer allocated all of a range, and has not freed it."""
        layer = self.layers[-1]
        if layer.owns_part(address, size):
            return self.fresh_blocks(address, address + size) == [(address, size)]
        return layer.blocks.covers(address, size)

    def fresh_blocks(self, start: int = 0, stop: int = MAX_ADDRESS) -> list[tuple[int, int]]:
        """Return what the innermost layer allocated, as maximal blocks cut to ``[start, stop)``.

        That is what is not free in pages of its own, and what it allocated elsewhere. O(log n) for each run
        of its pages there, and each block that is free in it, or fresh elsewhere.
        """
        layer = self.layers[-1]
        parts: list[tuple[int, int]] = []
        for address, size in layer.pages.blocks(start, stop):
            low, high = max(address, start), min(address + size, stop)
            free: list[tuple[int, int]] = []
            for tree in self._trees:
                if tree.count:
                    free += tree.blocks(low, high)
            free.sort()
            parts += without(low, high, free)
        for address, size in layer.blocks.blocks(start, stop):
            low = max(address, start)
            parts.append((low, min(address + size, stop) - low))
        parts.sort()
        found: list[tuple[int, int]] = []
        begin = end = 0
        for block in parts:
            address, size = block
            if address == end and found:
                found[-1] = (begin, address + size - begin)
            else:
                found.append(block)
                begin = address
            end = address + size
        return found

    def fresh_parts(self, address: int, size: int) -> list[tuple[int, int, bool]]:
        """Return a range cut into parts (address, size, whether the innermost layer allocated it)."""
        parts = []
        place, stop = address, address + size
        for begin, length in self.fresh_blocks(address, stop):
            if place < begin:
                parts.append((place, begin - place, False))
            parts.append((begin, length, True))
            place = begin + length
        if place < stop:
            parts.append((place, stop - place, False))
        return parts

    def free_range(self, address: int, size: int) -> None:
        """Free a run that may lie partly in what the innermost layer allocated."""
        page = address // REGION_PAGE
        if self._owners[page] == len(self.layers) and (address + size - 1) // REGION_PAGE == page:
            self.reuse(address, size)
            return
        for begin, part, _ in self.fresh_parts(address, size):
            self.free(begin, part)

    def undo(self) -> None:
        """Undo the innermost layer: what it allocated is free again, what it freed is not."""
        layer = self.layers[-1]
        for address, size in layer.pages.blocks():
            for tree in self._trees:
                tree.discard(address, address + size)
            self._reuse_pages(address, size)
        for address, size in layer.blocks.blocks():
            self.reuse(address, size)
        self.layers[-1] = Layer(layer.number)
        if len(self.layers) == 1:
            self.given = FreeTree()

    def commit(self, transaction: int, since: int = 0, synced: bool = True) -> None:
        """End the transaction: what it freed of older states goes into limbo.

        Args:
            transaction: its number.
            since: the newest synced transaction before it.
            synced: whether it is synced itself.
        """
        layer = self.layers[-1]
        self._part_young(transaction, since)
        if synced:
            self.young.clear()
        else:
            for address, size in self.fresh_blocks():
                self.young.insert(address, size)
        for address, size in layer.pages.blocks():
            self._set_owner(0, address, size)
        layer.pages.clear()
        layer.blocks.clear()
        if layer.freed.count:
            self.limbo.append(Limbo(transaction, layer.freed))
            layer.freed = FreeTree()
        while len(self.limbo) > LIMBO_GENERATIONS:
            self.limbo[1].join(self.limbo.pop(0))
        self.given.clear()

    def _part_young(self, transaction: int, since: int) -> None:
        """Put what the transaction freed of the young into limbo, apart from the rest."""
        freed = self.layers[-1].freed
        if not self.young.count or not freed.count:
            return
        parts = common(self.young, freed)
        if not parts:
            return
        blocks = FreeTree()
        for address, size in parts:
            self.young.discard(address, address + size)
            freed.discard(address, address + size)
            blocks.insert(address, size)
        self.limbo.append(Limbo(transaction, blocks, since))

    def settled(self) -> None:
        """Note that the newest commit was synced: that state reaches what was young."""
        self.young.clear()

    def release(self, floor: int, is_read: Callable[[int, int], bool]) -> None:
        """Reuse what limbo holds that neither a kept slot nor a snapshot reaches.

        The newest slot reaches none of it: only the other kept one has to be looked at.

        Args:
            floor: the oldest transaction among the header slots that the next commit keeps.
            is_read: returns whether a snapshot is open on a transaction between two, neither included.
        """
        left: list[Limbo] = []
        released: list[Limbo] = []
        least = 0
        for each in self.limbo:
            if each.since < least:
                left.append(each)
            elif each.since < floor < each.transaction or is_read(each.since, each.transaction):
                # What reaches this reaches what was freed later and allocated no later.
                least = each.since + 1
                left.append(each)
            else:
                released.append(each)
        if released:
            self.limbo = left
            for each in released:
                for address, size in each.blocks.blocks():
                    self.reuse(address, size)

    # -- looking -------------------------------------------------------------------------------------

    def kind_at(self, address: int) -> int:
        """Return the kind of the region page that holds an address; 0 behind the end."""
        page = address // REGION_PAGE
        return self._kinds[page] if page < len(self._kinds) else 0

    @property
    def free_bytes(self) -> int:
        """Bytes that may be allocated without growing."""
        return self._pool.total + sum([tree.total for tree in self._trees])

    @property
    def limbo_bytes(self) -> int:
        """Bytes in limbo."""
        return sum([each.blocks.total for each in self.limbo])

    def held_bytes(self, oldest: int, floor: int) -> int:
        """Return the bytes in limbo that only snapshots from ``oldest`` on keep from being released."""
        return sum(
            each.blocks.total
            for each in self.limbo
            if oldest < each.transaction and not each.since < floor < each.transaction
        )

    def waiting_bytes(self, synced: int) -> int:
        """Return the bytes in limbo that were freed after a transaction and allocated before or by it."""
        total = 0
        for each in self.limbo:
            if each.since < synced < each.transaction:
                total += each.blocks.total
        return total

    def count_blocks(self) -> int:
        """Return the number of blocks free or in limbo, and of runs of region pages of one kind."""
        count = self._pool.count
        for tree in self._trees:
            count += tree.count
        for tree in self.areas:
            count += tree.count
        for each in self.limbo:
            count += each.blocks.count
        return count

    def free_blocks(
        self, start: int = 0, stop: int = MAX_ADDRESS, most: int = MAX_ADDRESS
    ) -> list[tuple[int, int]]:
        """Return the first ``most`` free blocks that touch ``[start, stop)``, by address, not clipped."""
        found = self._pool.blocks(start, stop, most)
        for tree in self._trees:
            found += tree.blocks(start, stop, most)
        found.sort()
        return found[:most]

    def used_end(self) -> int:
        """Return the end of the last byte that is not free. O(log n) for each tree that ends there."""
        end = self.end
        below = -1
        while end != below:
            below = end
            end = self._pool.start_of_end(end)
            for tree in self._trees:
                end = tree.start_of_end(end)
        return end

    def end_without(self, gone: list[FreeTree]) -> int:
        """Return where the last byte in use would end if these sets were free as well."""
        end = self.end
        below = -1
        while end != below:
            below = end
            for tree in [self._pool, *self._trees, *gone]:
                end = tree.start_of_end(end)
        return end

    @property
    def idle_bytes(self) -> int:
        """Bytes in region pages of no kind."""
        total: int = self._pool.total
        return total

    def idle_pages(self, least: int) -> list[tuple[int, int]]:
        """Return the runs of region pages of no kind, of ``least`` bytes or more."""
        return [(address, size) for address, size in self._pool.blocks() if size >= least]

    def largest_free(self) -> int:
        """Return the size of the largest free block."""
        return max([tree.largest() for tree in [self._pool, *self._trees]])

    # -- rebuilding ----------------------------------------------------------------------------------

    def rebuild(
        self, end: int, areas: list[FreeTree], free: FreeTree, limbo: list[Limbo]
    ) -> None:  # fmt: skip
        """Take over a state read from the space map.

        Args:
            end: bytes of the region; rounded up to region pages here, the rest being free.
            areas: for each kind, its region pages as byte ranges.
            free: the free bytes below ``end``.
            limbo: what is in limbo, oldest first.
        """
        self._pool = FreeTree()
        self._trees = [FreeTree() for _ in KIND_NAMES]
        self.areas = areas
        self.layers = [Layer(1)]
        self.given = FreeTree()
        self.limbo = limbo
        self.young = FreeTree()
        pages = max(1, (end + REGION_PAGE - 1) // REGION_PAGE)
        self.end = pages * REGION_PAGE
        if any(sum(tree.last() or ()) > self.end for tree in areas):
            raise BlockError("a region page is after the end")
        self._kinds = bytearray(pages)
        self._owners = bytearray(pages)
        for kind in KINDS:
            for address, size in areas[kind].blocks():
                first = address // REGION_PAGE
                self._kinds[first : first + size // REGION_PAGE] = bytes([kind]) * (size // REGION_PAGE)
        if end < self.end:
            free.discard(end, self.end)
            free.insert(end, self.end - end)
        for address, size in free.blocks():
            self.reuse(address, size)
        if self.best:
            self.fit_best()
        misplaced = self._trees[0].blocks() or free.blocks(0, HEADER_SIZE)
        for each in limbo:
            misplaced += each.blocks.blocks(0, HEADER_SIZE)
        if misplaced:
            raise BlockError(f"block {misplaced[0]} is free in a region page of no kind, or in the header")

    # -- checking ------------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Return a sentence for every invariant that does not hold."""
        faults = []
        everything = FreeTree()
        named = [("pool", self._pool), *zip(KIND_NAMES, self._trees, strict=True)]
        named += [(f"limbo {each.transaction}", each.blocks) for each in self.limbo]
        named += [("freed", layer.freed) for layer in self.layers]
        named.append(("young", self.young))
        named += [(f"blocks of layer {layer.number}", layer.blocks) for layer in self.layers]
        for name, tree in named:
            faults += [f"{name}: {fault}" for fault in tree.check()]
            if name == "freed":
                continue
            if name == "young":
                # Allocated, so in none of the sets before but that of what is freed meanwhile.
                faults += [f"young: block {block} is in another set" for block in common(tree, everything)]
                continue
            for address, size in tree.blocks():
                if everything.overlaps(address, size):
                    faults.append(f"{name}: block ({address}, {size}) is also in another set")
                else:
                    everything.insert(address, size)
        for address, size in self._pool.blocks():
            if address % REGION_PAGE or size % REGION_PAGE:
                faults.append(f"pool: block ({address}, {size}) is not of whole region pages")
            if any(self._kinds[address // REGION_PAGE : (address + size) // REGION_PAGE]):
                faults.append(f"pool: block ({address}, {size}) has a kind")
        faults += owner_faults(self.layers, self.limbo, self.given, self._kinds, self._owners)
        for kind in KINDS:
            for address, size in self._trees[kind].blocks():
                first, last = -(-address // REGION_PAGE), (address + size) // REGION_PAGE
                if last > first:
                    faults.append(f"{KIND_NAMES[kind]}: block ({address}, {size}) has a whole region page")
                for page in range(address // REGION_PAGE, -(-(address + size) // REGION_PAGE)):
                    if self._kinds[page] != kind:
                        faults.append(f"{KIND_NAMES[kind]}: block ({address}, {size}) in another kind's page")
            for address, size in self.areas[kind].blocks():
                if set(self._kinds[address // REGION_PAGE : (address + size) // REGION_PAGE]) != {kind}:
                    faults.append(f"{KIND_NAMES[kind]}: area ({address}, {size}) is of another kind")
        if sum(self.areas[kind].total for kind in KINDS) + self._pool.total != self.end:
            faults.append("areas and pool do not cover the region")
        if any((tree.sizes is not None) != self.best for tree in [self._pool, *self._trees]):
            faults.append("some trees keep sizes, and some do not")
        if self._trees[0].count:
            faults.append("the tree of no kind is not empty")
        return faults
