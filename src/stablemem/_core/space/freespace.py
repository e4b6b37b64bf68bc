# cython: annotation_typing=False
"""Free space: which bytes of the region are free, by kind, and what a transaction allocates and frees.

    region page   0        1        2        3        4        5
                  +--------+--------+--------+--------+--------+
    kind          | nodes  | blobs  | blobs  |  free  | nodes  |   end
                  +--------+--------+--------+--------+--------+
    free trees      nodes    blobs (one block      pool   nodes
                             may span pages)

A region page that is wholly free has no kind and is in the pool. A free block in any other page is in the
tree of the page's kind. So nodes are 4 KiB aligned at no cost, and a small value never lies among raw blocks.
Neighbouring free blocks of one kind merge. A page whose last byte is freed goes back to the pool.

A transaction consists of layers (layers.py). A block that a layer allocated is *fresh*. Each layer also
knows the older blocks that it freed (``freed``). A freed block can be reused at once only if the innermost
layer allocated it; all others wait:

    commit            fresh blocks stay allocated; freed blocks go into limbo under this transaction
    rollback          fresh blocks become free; freed blocks stay allocated
    savepoint ends    its fresh blocks join the layer below; its freed blocks are freed there

Fresh bytes are those that are not free in the region pages that the layer took, and those that it allocated
in other pages. A layer takes only pages that are wholly free. So nothing older can be in them, and nothing
freed in them has to wait.

Limbo holds the blocks that committed transactions freed, oldest first, with the number of the transaction
that freed them. They can be reused when no slot in use and no snapshot is older than that. Blocks that
unsynced commits allocated are *young*: the newest synced state does not reach them. A young block that is
freed before the next sync does not wait for that sync, only for the snapshots of those commits.

Invariants:

* The free trees, the pool, limbo and all allocated blocks together cover ``[0, end)`` without overlaps.
* A block in the pool consists of whole region pages; the tree of a kind has no whole region page.
* The sets of the layers are disjoint.
* A region page has the number of the layer whose ``pages`` it is in, if any. In such a page there is nothing
  in limbo, and nothing that this layer or an older one freed or allocated elsewhere.
* No young block is free or in limbo.
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
"""Bytes below ``most`` that only nodes and log may grow into; a quarter of ``most`` if that is less."""

LIMBO_GENERATIONS = 64
"""The most transaction numbers in limbo; if there are more, the oldest take the next younger number."""


class FreeSpace:
    """The free blocks of one region, for its only writer.

    Attributes:
        end: end of the last region page that ever had a kind, in bytes.
        layers: the layers of the open transaction, innermost last; never empty.
        limbo: the blocks that committed transactions freed, oldest first.
        young: the blocks that commits after the last synced one allocated, and none of them freed.
        areas: for each kind, the set of its region pages, as byte ranges.
        given: region pages that got a kind in this transaction, as byte ranges.
        most: the highest allowed end of the region. Blobs and raw blocks leave the last ``RESERVE`` bytes
            to nodes and log, so that values can be deleted from a full region.
        grown: whether the region has grown since this flag was last cleared.
        packing: whether each allocation goes as low as possible, at any cost: while compacting.
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
        """From now on, allocate from the smallest block that fits, not from the lowest. O(n log n)."""
        self.best = True
        self._pool.keep_sizes()
        for tree in self._trees:
            tree.keep_sizes()

    # -- allocating ----------------------------------------------------------------------------------

    def allocate(self, kind: int, size: int) -> int:
        """Return the address of a new block of ``size`` bytes, in free space of the kind or in new pages."""
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
        """Return whether most of the region is in the pool: then a block placed high keeps the file long."""
        return not self.best and self._pool.total > self.end >> 1

    def _is_higher(self, address: int, size: int) -> bool:
        """Return whether the pool has pages for a block of ``size`` bytes below an address."""
        if address < 0:
            return False
        page = self._pool.lowest((size + REGION_PAGE - 1) // REGION_PAGE * REGION_PAGE)
        return 0 <= page < address

    def take_run(self, kind: int, wanted: int, least: int) -> tuple[int, int]:
        """Return a block (address, size) of at most ``wanted`` bytes and at least ``least``.

        One long run is better than old holes, because bytes that lie together cost one write. A hole is used
        if the whole run fits into it, or if a large part of a long run does. If more than a quarter of the
        kind's pages is free, any hole is used: this limits the space that long runs may cost.
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
            # A run is cut to fit its hole. The smallest hole that holds any part of it would be the worst.
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
            # It is one block now with the free bytes before it, if they are of the same kind.
            address = tree.lowest(size)
        if address < 0 or address + size > cut:
            return 0
        tree.remove(address, size)
        self._trim(kind, address + size)
        self._note_fresh(address, size)
        return address

    def allocate_apart(self, kind: int, size: int, address: int) -> int:
        """Allocate ``size`` bytes at ``address`` if they are free, else in new pages; return their address.

        So blocks that will be freed together lie together, apart from blocks that live longer.
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
        """Allocate the free bytes of a kind from an address on, at most ``most``; return their number."""
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
        """Note that the innermost layer allocated a range. Nothing to do if it is in a page of that layer."""
        layer = self.layers[-1]
        page = address // REGION_PAGE
        if (address + size - 1) // REGION_PAGE > page:
            layer.add(address, size)
        elif self._owners[page] != layer.number:
            layer.blocks.insert(address, size)
        return 0

    def _trim(self, kind: int, address: int) -> None:
        """Give back whole region pages at an address: thanks to free bytes beside, they were not needed."""
        block = self._trees[kind].floor(address)
        if block is not None and block[0] == address:
            first = (address + REGION_PAGE - 1) // REGION_PAGE * REGION_PAGE
            stop = (address + block[1]) // REGION_PAGE * REGION_PAGE
            if stop > first:
                self._trees[kind].remove(first, stop - first)
                self._reuse_pages(first, stop - first)

    def _extend(self, kind: int, size: int) -> None:
        """Give pages to a kind, so that its tree has a free block of ``size`` bytes."""
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
        """Give a kind to these region pages, which were wholly free, and make them the innermost layer's."""
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
        """Note which layer took these region pages; 0 for none."""
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
        """Free a range that is wholly allocated in pages of a kind; else change nothing and return why not.

        Does the same as ``fault_of`` and then ``free_range``, with only one search in each set.
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
                # All bytes there are either free or fresh. So the only possible fault is that some are free.
                return "" if self._merge_within(address, size) else self.fault_of(kind, address, size)
        else:
            tree = self.areas[kind]
            if not tree.covers(first * REGION_PAGE, (stop - first) * REGION_PAGE):
                return self.fault_of(kind, address, size)
        # Searches wait for memory. The memory of the later sets is fetched while the first ones are searched.
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
        """Return whether any byte of a range is free, in limbo, or freed by a layer below the innermost."""
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
        """Return why a range is not wholly allocated in pages of a kind; "" if it is."""
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
        """Return a sentence that names the part of a range that is free."""
        begin, length = tree.blocks(address, address + size, 1)[0]
        return f"block ({address}, {size}) is not all allocated: ({begin}, {length}) is free"

    def _gone(self) -> list[FreeTree]:
        """Return the sets of blocks that were freed, but cannot be reused yet."""
        return [*[each.blocks for each in self.limbo], *[layer.freed for layer in self.layers]]

    def allocated_blocks(self, kind: int, start: int = 0, stop: int = MAX_ADDRESS) -> list[tuple[int, int]]:
        """Return the maximal allocated runs of a kind, cut to ``[start, stop)``. O(blocks there)."""
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
        """Allocate ``more`` bytes at an address, just after a block of a kind, if they are free."""
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
        """Let the region end at ``end``; the new pages have no kind yet."""
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
        """Raise if taking pages for a kind would leave too few for the nodes and log of a deletion."""
        if not self._may_take(kind, size):
            self._no_room(size)

    def _may_take(self, kind: int, size: int) -> bool:
        """Return whether taking ``size`` bytes of pages for a kind leaves enough for nodes and log."""
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
        """Make a block free that nothing reaches: whole pages go to the pool, the rest to the kind's tree."""
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
        """Do the same as ``_reuse_within``; if some of it is free already, do nothing and return False."""
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
        """Put whole region pages into the pool; they lose their kind and their layer."""
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
        """End a savepoint and keep its changes."""
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
        """Return whether the innermost layer allocated all of a range, and has freed none of it."""
        layer = self.layers[-1]
        if layer.owns_part(address, size):
            return self.fresh_blocks(address, address + size) == [(address, size)]
        return layer.blocks.covers(address, size)

    def fresh_blocks(self, start: int = 0, stop: int = MAX_ADDRESS) -> list[tuple[int, int]]:
        """Return the fresh bytes of the innermost layer, as maximal blocks cut to ``[start, stop)``.

        These are the bytes that are not free in its own pages, and those that it allocated elsewhere.
        O(log n) for each run of its pages there, each free block in them, and each fresh block elsewhere.
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
        """Return a range in parts: (address, size, whether the innermost layer allocated the part)."""
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
        """Free a range of which the innermost layer may have allocated a part."""
        page = address // REGION_PAGE
        if self._owners[page] == len(self.layers) and (address + size - 1) // REGION_PAGE == page:
            self.reuse(address, size)
            return
        for begin, part, _ in self.fresh_parts(address, size):
            self.free(begin, part)

    def undo(self) -> None:
        """Undo the innermost layer: the blocks it allocated are free again, those it freed are allocated."""
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
        """End the transaction: the blocks of older states that it freed go into limbo.

        Args:
            transaction: its number.
            since: the newest synced transaction before it.
            synced: whether this commit is synced.
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
        """Put the young blocks that the transaction freed into limbo, apart from the others."""
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
        """Note that the newest commit was synced: so no block is young any more."""
        self.young.clear()

    def release(self, floor: int, is_read: Callable[[int, int], bool]) -> None:
        """Make the blocks in limbo free that neither a kept slot nor a snapshot reaches.

        The newest slot reaches nothing in limbo, so only the other kept slot has to be checked.

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
                # A state that reaches these blocks also reaches those that were freed later and allocated
                # no later.
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
        """Return the kind of the region page that an address is in; 0 after the end."""
        page = address // REGION_PAGE
        return self._kinds[page] if page < len(self._kinds) else 0

    @property
    def free_bytes(self) -> int:
        """Bytes that can be allocated without growing the region."""
        return self._pool.total + sum([tree.total for tree in self._trees])

    @property
    def limbo_bytes(self) -> int:
        """Bytes in limbo."""
        return sum([each.blocks.total for each in self.limbo])

    def held_bytes(self, oldest: int, floor: int) -> int:
        """Return the number of bytes in limbo that only snapshots, of ``oldest`` or later, keep there."""
        return sum(
            each.blocks.total
            for each in self.limbo
            if oldest < each.transaction and not each.since < floor < each.transaction
        )

    def waiting_bytes(self, synced: int) -> int:
        """Return the number of bytes in limbo freed after ``synced`` that it, or an older one, allocated."""
        total = 0
        for each in self.limbo:
            if each.since < synced < each.transaction:
                total += each.blocks.total
        return total

    def count_blocks(self) -> int:
        """Return the number of free blocks, blocks in limbo, and runs of region pages of one kind, summed."""
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
        """Return the first ``most`` free blocks with a byte in ``[start, stop)``, by address, not cut."""
        found = self._pool.blocks(start, stop, most)
        for tree in self._trees:
            found += tree.blocks(start, stop, most)
        found.sort()
        return found[:most]

    def used_end(self) -> int:
        """Return the end of the last byte that is not free. O(log n) for each free block after it."""
        end = self.end
        below = -1
        while end != below:
            below = end
            end = self._pool.start_of_end(end)
            for tree in self._trees:
                end = tree.start_of_end(end)
        return end

    def end_without(self, gone: list[FreeTree]) -> int:
        """Return the end of the last byte in use, if the blocks in these sets were free as well."""
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
        """Return the runs of region pages of no kind that have ``least`` bytes or more."""
        return [(address, size) for address, size in self._pool.blocks() if size >= least]

    def largest_free(self) -> int:
        """Return the size of the largest free block."""
        return max([tree.largest() for tree in [self._pool, *self._trees]])

    # -- rebuilding ----------------------------------------------------------------------------------

    def rebuild(
        self, end: int, areas: list[FreeTree], free: FreeTree, limbo: list[Limbo]
    ) -> None:  # fmt: skip
        """Take over a state that was read from the log.

        Args:
            end: bytes of the region. Rounded up to whole region pages here; the added bytes are free.
            areas: for each kind, its region pages as byte ranges.
            free: the free bytes below ``end``.
            limbo: the blocks in limbo, oldest first.
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

    def amend(
        self,
        end: int,
        areas: list[FreeTree],
        free: FreeTree,
        limbo: list[Limbo],
        decided: FreeTree,
        pages: FreeTree,
    ) -> bool:
        """Take over what newer pages of the log say; no transaction is open. What they do not say, stays.

        Args:
            end: bytes of the region now. All after it is free.
            areas: for each kind, the region pages that got it, as byte ranges.
            free: the bytes that are free now.
            limbo: the blocks that are in limbo now, oldest first.
            decided: all bytes that the pages mention; those that are neither free nor in limbo are in use.
            pages: all region pages whose kind the pages mention, as byte ranges.

        Returns:
            False, with nothing changed, if bytes are in use or in limbo in a region page that has no kind
            here, or if anything is free or in limbo in the header.

        Raises:
            BlockError: no writer writes what the pages say.
        """
        gone_now = [each.blocks for each in limbo]
        if areas[0].count or any(tree.overlaps(0, HEADER_SIZE) for tree in [free, *gone_now]):
            return False
        for address, size in decided.blocks():
            for begin, part in without(address, address + size, free.blocks(address, address + size)):
                first, stop = _whole_pages(begin, begin + part)
                for low, length in without(first, stop, pages.blocks(first, stop)):
                    kinds = self._kinds[low // REGION_PAGE : (low + length) // REGION_PAGE]
                    if low + length > self.end or 0 in kinds:
                        return False
        last = _whole_pages(0, end)[1]
        if last > self.end:
            self.grown = True
            more = bytes((last - self.end) // REGION_PAGE)
            self._kinds.extend(more)
            self._owners.extend(more)
            self.end = last
        gone = FreeTree()
        for address, size in decided.blocks():
            gone.insert(address, size)
        tail = [(end, self.end - end)] if end < self.end else []
        for address, size in tail:
            gone.insert(address, size)
        for address, size in gone.blocks():
            for tree in [*self._trees, *[each.blocks for each in self.limbo]]:
                tree.discard(address, address + size)
        back = self._unpool(gone, pages)
        for address, size in pages.blocks():
            for tree in self._trees:
                back += _taken(tree, address, address + size)
            for tree in self.areas:
                tree.discard(address, address + size)
        for kind in KINDS:
            for address, size in areas[kind].blocks():
                self.areas[kind].insert(address, size)
                first = address // REGION_PAGE
                self._kinds[first : first + size // REGION_PAGE] = bytes([kind]) * (size // REGION_PAGE)
        for address, size in [*back, *free.blocks(), *tail]:
            self.reuse(address, size)
        if self._trees[0].count:
            raise BlockError(f"block {self._trees[0].blocks()[0]} is free in a region page of no kind")
        self._add_limbo(limbo)
        self.young.clear()
        return True

    def _add_limbo(self, limbo: list[Limbo]) -> None:
        """Add blocks in limbo to those that are known, and forget the numbers of those that are gone."""
        known = {each.transaction: each for each in self.limbo if not each.since}
        for each in limbo:
            if each.transaction in known:
                known[each.transaction].join(each)
            else:
                self.limbo.append(each)
        self.limbo = [each for each in self.limbo if each.blocks.count]
        self.limbo.sort(key=lambda each: each.transaction)
        while len(self.limbo) > LIMBO_GENERATIONS:
            self.limbo[1].join(self.limbo.pop(0))

    def _unpool(self, gone: FreeTree, pages: FreeTree) -> list[tuple[int, int]]:
        """Take the region pages out of the pool in which a byte is gone, or which may get a kind.

        Returns:
            What is left of them, which is free in no tree now.
        """
        left: list[tuple[int, int]] = []
        for tree in (gone, pages):
            for address, size in tree.blocks():
                for begin, part in _taken(self._pool, *_whole_pages(address, address + size)):
                    left += without(begin, begin + part, gone.blocks(begin, begin + part))
        return left

    # -- checking ------------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Return a sentence for each violation of an invariant."""
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
                # Young blocks are allocated: they may be in no set so far, except in the freed ones.
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


def _whole_pages(start: int, stop: int) -> tuple[int, int]:
    """Return the range (start, stop) of the region pages that a range touches."""
    return start // REGION_PAGE * REGION_PAGE, (stop + REGION_PAGE - 1) // REGION_PAGE * REGION_PAGE


def _taken(tree: FreeTree, start: int, stop: int) -> list[tuple[int, int]]:
    """Take all bytes in ``[start, stop)`` out of a tree, and return them as blocks."""
    found = []
    for address, size in tree.blocks(start, stop):
        low, high = max(address, start), min(address + size, stop)
        found.append((low, high - low))
    tree.discard(start, stop)
    return found
