"""Space map: the log, on disk, of what is allocated, free and in limbo.

Every commit writes one whole log page or more; pages form a chain from the newest back:

    0    mark 0x474F4C 'LOG'     u32      entry: two words of 64 bits
    4    number of entries       u32        bits 60-63  what        (below)
    8    transaction             u64        bits 56-59  kind of a region page
    16   sequence number         u64        bits 0-55   address, or transaction number
    24   page before: address    u64        second word: size in bytes
    32   page before: checksum   u64
    40   cursor                  u64      ALLOCATED a n   in use
    48   sweep began at page     u64      FREE a n        free
    56   last sweep began at     u64      LIMBO a n       freed by the transaction named last
    64   252 entries of 16       4032     FREED_BY t      names it
    4096                                  KIND a n        these region pages are of the kind
                                          SWEEP a n       what follows is all there is in a, n

A commit's own entries come first: growth as FREE, new kinds, ALLOCATED, LIMBO. The room left in its last
page restates, from a cursor that sweeps over the region, what is free and in limbo and which pages have
which kind. When the cursor reaches the end, nothing older than the page where it began is needed: the next
commit frees those pages (not those of commits that were not synced, which recovery asks for what they
wrote). So the log never needs compaction, no committed page is appended to, and the chain is at most about
two sweeps long: a commit restates at least as much as it adds.

Replay starts with the oldest page needed, which is the first of its commit, and applies entries in
order: each sets the state of its range, and what no entry mentions is in use. Ranges are clipped to the
length in the slot.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct

from ..errors import BlockError, CorruptRegionError
from ..layout import KINDS, NODE_PAGE, NODE_SIZE, REGION_PAGE
from .checksum import page_checksum
from .freespace import FreeSpace, Limbo
from .freetree import FreeTree
from .header import Slot
from .region import Region

__all__ = ["Chain", "SpaceMap", "read_chain", "replay", "written_since"]

LOG_MARK = 0x474F4C
CAPACITY = 252
SWEEP_LEAST = 16
"""Entries restated by a commit at the least; as many as its own if those are more."""

_HEADER = Struct("<IIQQQQQQQ")
_ENTRY = Struct("<QQ")

ALLOCATED, FREE, LIMBO, FREED_BY, KIND, SWEEP = range(1, 7)

Entry = tuple[int, int, int, int]
"""(what, kind, address or transaction, size)"""


@dataclass
class Chain:
    """Where the log's pages are and how far its sweep has got."""

    pages: list[tuple[int, int]] = field(default_factory=list)
    """(sequence number, address), oldest first."""
    newest_check: int = 0
    cursor: int = 0
    sweep_from: int = 1
    needed_from: int = 1
    """Sequence number where the last finished sweep began: older pages may go."""


@dataclass(frozen=True)
class Plan:
    """The log pages of one commit, ready to be written."""

    pages: list[tuple[int, bytes]]
    chain: Chain


def _pack(entry: Entry) -> bytes:
    what, kind, address, size = entry
    return _ENTRY.pack(what << 60 | kind << 56 | address, size)


class SpaceMap:
    """The writer's end of the log.

    Args:
        space: the free space it describes.
        chain: the log as it is now.
        length: length in the slot that the chain belongs to.

    Attributes:
        unsynced_from: sequence number of the first page written since the last synced commit; None if
            there is none.
    """

    def __init__(self, space: FreeSpace, chain: Chain, length: int) -> None:
        self.space = space
        self.chain = chain
        self.length = length
        self.unsynced_from: int | None = None

    @property
    def keep_from(self) -> int:
        """Sequence number of the oldest page that must stay: for replay, or for recovery (Header.recover)."""
        needed = self.chain.needed_from
        return needed if self.unsynced_from is None else min(needed, self.unsynced_from)

    def drop_unneeded(self) -> None:
        """Free the pages that a finished sweep has made unnecessary; the plan then forgets them."""
        keep_from = self.keep_from
        for sequence, address in self.chain.pages:
            if sequence >= keep_from:
                break
            self.space.free(address, NODE_SIZE)

    def plan(self, transaction: int, first_page: int) -> Plan:
        """Return the log pages of a commit.

        Args:
            transaction: its number.
            first_page: address of the first page; more are allocated as needed.
        """
        addresses = [first_page]
        while True:
            own = self._own_entries(transaction)
            restated = max(SWEEP_LEAST, len(own))
            needed = -(-(len(own) + restated) // CAPACITY)
            if needed <= len(addresses):
                break
            run, size = self.space.take_run(NODE_PAGE, NODE_SIZE * (needed - len(addresses)), NODE_SIZE)
            addresses += range(run, run + size, NODE_SIZE)
        length = self.space.used_end()
        sweep, cursor = self._sweep(len(addresses) * CAPACITY - len(own), length, transaction)
        # A page given back may split a run of the commit's own, and so make one entry more.
        spare = len(addresses) - -(-(len(own) + len(sweep) + len(addresses)) // CAPACITY)
        if spare > 0:
            # The sweep has reached the end of the region before it filled them.
            for address in addresses[-spare:]:
                self.space.free(address, NODE_SIZE)
            del addresses[-spare:]
            own = self._own_entries(transaction)
            length = self.space.used_end()
            sweep, cursor = self._sweep(len(addresses) * CAPACITY - len(own), length, transaction)
        return self._write(transaction, addresses, own + sweep, cursor, length)

    def _own_entries(self, transaction: int) -> list[Entry]:
        """Return what this transaction changed."""
        layer = self.space.layers[-1]
        length = self.space.used_end()
        entries: list[Entry] = []
        if length > self.length:
            entries.append((FREE, 0, self.length, length - self.length))
        for address, size in self.space.given.blocks():
            entries += self._kinds_within(address, min(address + size, length))
        entries += [(ALLOCATED, 0, address, size) for address, size in layer.fresh.blocks()]
        if layer.freed.count:
            entries.append((FREED_BY, 0, transaction, 0))
            entries += [(LIMBO, 0, address, size) for address, size in layer.freed.blocks()]
        return entries

    def _kinds_within(self, start: int, stop: int) -> list[Entry]:
        """Return KIND entries for a range of region pages, free ones included."""
        entries: list[Entry] = []
        for kind in KINDS:
            for address, size in self.space.areas[kind].blocks(start, stop):
                low, high = max(start, address), min(stop, address + size)
                entries.append((KIND, kind, low, high - low))
        return entries

    def _sweep(self, room: int, length: int, transaction: int) -> tuple[list[Entry], int]:
        """Return the entries that restate the region from the cursor on, and the new cursor."""
        start = self.chain.cursor if self.chain.cursor < length else 0
        budget = room - 1
        if budget < 4:
            return [], start
        items: list[tuple[int, int, int, int, int]] = []
        stop = length
        sources: list[tuple[int, int, int, Iterator[tuple[int, int]]]] = [
            (FREE, 0, 0, iter(self.space.free_blocks(start, length, budget)))
        ]
        for each in self.space.limbo:
            sources.append((LIMBO, 0, each.transaction, iter(each.blocks.blocks(start, length, budget))))
        freed = self.space.layers[-1].freed
        sources.append((LIMBO, 0, transaction, iter(freed.blocks(start, length, budget))))
        for kind in KINDS:
            sources.append((KIND, kind, 0, iter(self.space.areas[kind].blocks(start, length, budget))))
        for what, kind, freed_by, blocks in sources:
            number = 0
            for address, size in blocks:
                items.append((address, what, kind, freed_by, size))
                number += 1
            if number >= budget and items:
                # There may be more of these behind the last one seen.
                stop = min(stop, items[-1][0])
        items.sort()
        entries: list[Entry] = []
        by = 0
        for address, what, kind, freed_by, size in items:
            if address >= stop:
                break
            cost = 2 if what == LIMBO and freed_by != by else 1
            if len(entries) + cost > budget:
                stop = max(address, start)
                break
            if cost == 2:
                entries.append((FREED_BY, 0, freed_by, 0))
                by = freed_by
            entries.append((what, kind, address, size))
        clipped: list[Entry] = [(SWEEP, 0, start, stop - start)] if stop > start else []
        for what, kind, address, size in entries:
            if what == FREED_BY:
                clipped.append((what, kind, address, size))
                continue
            low, high = max(address, start), min(address + size, stop)
            if low < high:
                clipped.append((what, kind, low, high - low))
        return clipped, stop

    def _write(
        self, transaction: int, addresses: list[int], entries: list[Entry], cursor: int, length: int
    ) -> Plan:
        """Return the plan: pages filled with entries, chained, and the chain afterwards."""
        old = self.chain
        kept = [page for page in old.pages if page[0] >= self.keep_from]
        sequence = kept[-1][0] if kept else 0
        sweep_from, needed_from = old.sweep_from, old.needed_from
        before = (kept[-1][1], old.newest_check) if kept else (0, 0)
        finished = cursor >= length
        pages = []
        for number, address in enumerate(addresses):
            sequence += 1
            kept.append((sequence, address))
            part = entries[number * CAPACITY : (number + 1) * CAPACITY]
            if finished and number == len(addresses) - 1:
                needed_from, sweep_from, cursor = sweep_from, sequence + 1, 0
            body = b"".join(map(_pack, part)).ljust(NODE_SIZE - _HEADER.size, b"\0")
            page = (
                _HEADER.pack(
                    LOG_MARK, len(part), transaction, sequence, *before, cursor, sweep_from, needed_from
                )
                + body
            )
            before = (address, page_checksum(page))
            pages.append((address, page))
        chain = Chain(kept, before[1], cursor, sweep_from, needed_from)
        return Plan(pages, chain)

    def adopt(self, plan: Plan, length: int, synced: bool) -> None:
        """Note that the plan was committed."""
        if synced:
            self.unsynced_from = None
        elif self.unsynced_from is None:
            self.unsynced_from = plan.chain.pages[-len(plan.pages)][0]
        self.chain = plan.chain
        self.length = length


# -- reading it back ---------------------------------------------------------------------------------


def read_chain(region: Region, slot: Slot) -> tuple[Chain, list[tuple[int, list[Entry]]]]:
    """Return the log that a slot names: its chain, and each page's transaction and entries, oldest first.

    Raises:
        CorruptRegionError: a page is not the one that the page behind it, or the slot, names.
    """
    pages: list[tuple[int, int]] = []
    contents: list[tuple[int, list[Entry]]] = []
    address, check = slot.log_page, slot.log_check
    chain = Chain(newest_check=slot.log_check)
    for sequence in range(slot.log_newest, slot.log_oldest - 1, -1):
        if address % NODE_SIZE:
            raise CorruptRegionError(address, "a log page at a multiple of 4096", "another", region.path)
        page = region.load(address, NODE_SIZE)
        found = page_checksum(page)
        if found != check:
            expected = f"log page {sequence} of checksum {check:016x}"
            raise CorruptRegionError(address, expected, f"{found:016x}", region.path)
        mark, number, transaction, own, before, before_check, cursor, sweep, needed = _HEADER.unpack_from(
            page
        )
        if mark != LOG_MARK or own != sequence or number > CAPACITY:
            fault = f"mark {mark:#x}, page {own}, {number} entries"
            raise CorruptRegionError(address, f"log page {sequence}", fault, region.path)
        if not pages:
            chain.cursor, chain.sweep_from, chain.needed_from = cursor, sweep, needed
        pages.append((sequence, address))
        words = Struct(f"<{2 * number}Q").unpack_from(page, _HEADER.size)
        entries = [
            (first >> 60, first >> 56 & 15, first & (1 << 56) - 1, second)
            for first, second in zip(words[::2], words[1::2], strict=True)
        ]
        contents.append((transaction, entries))
        address, check = before, before_check
    pages.reverse()
    contents.reverse()
    chain.pages = pages
    return chain, contents


def written_since(
    region: Region, slot: Slot, transaction: int
) -> tuple[list[tuple[int, int]], int | None]:  # fmt: skip
    """Return what commits after ``transaction`` wrote, as the slot's log says.

    Returns:
        Blocks (address, size), and the sequence number of the first log page of those commits.
    """
    chain, contents = read_chain(region, slot)
    first = None
    blocks = []
    for (sequence, _), (number, entries) in zip(chain.pages, contents, strict=True):
        if number <= transaction:
            continue
        if first is None:
            first = sequence
        for what, _, address, size in entries:
            if what == ALLOCATED and address < slot.length:
                blocks.append((address, min(size, slot.length - address)))
    return blocks, first


def replay(region: Region, slot: Slot) -> tuple[FreeSpace, Chain]:
    """Return the free space, as of a slot, that the log describes. O(k log k) for k entries in the log.

    Works from the newest entry back: what a later entry has decided, an earlier one no longer changes.

    Raises:
        CorruptRegionError: the log is damaged.
    """
    chain, contents = read_chain(region, slot)
    length = slot.length
    free = FreeTree()
    limbo: dict[int, FreeTree] = {}
    areas = [FreeTree() for _ in range(max(KINDS) + 1)]
    decided, decided_pages = FreeTree(), FreeTree()
    for what, kind, address, size, by in _backwards(contents):
        if what == KIND:
            stop = min(-(-(address + size) // REGION_PAGE), -(-length // REGION_PAGE)) * REGION_PAGE
            for low, high in _undecided(decided_pages, address // REGION_PAGE * REGION_PAGE, stop):
                areas[kind if kind in KINDS else 0].insert(low, high - low)
            continue
        if what not in {ALLOCATED, FREE, LIMBO, SWEEP} or (what == LIMBO and not by):
            raise CorruptRegionError(address, "an entry of the space map", f"type {what}", region.path)
        for low, high in _undecided(decided, address, min(address + size, length)):
            if what == FREE:
                free.insert(low, high - low)
            elif what == LIMBO:
                limbo.setdefault(by, FreeTree()).insert(low, high - low)
    for low, high in _undecided(decided_pages, 0, REGION_PAGE):
        areas[KINDS[0]].insert(low, high - low)
    space = FreeSpace()
    kept = [Limbo(by, blocks) for by, blocks in sorted(limbo.items()) if blocks.count]
    try:
        space.rebuild(length, areas, free, kept)
    except BlockError as error:
        raise CorruptRegionError(slot.log_page, "a space map", str(error), region.path) from error
    return space, chain


def _backwards(contents: list[tuple[int, list[Entry]]]) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield (what, kind, address, size, freed by) of all entries, the newest first."""
    # FREED_BY speaks of what follows it, and may do so in the next page of its commit.
    named = []
    by = 0
    for _, page in contents:
        named.append(by)
        for what, _, address, _ in page:
            if what == FREED_BY:
                by = address
    for start, (_, page) in zip(reversed(named), reversed(contents), strict=True):
        by = start
        resolved = []
        for what, kind, address, size in page:
            if what == FREED_BY:
                by = address
            else:
                resolved.append((what, kind, address, size, by))
        yield from reversed(resolved)


def _undecided(decided: FreeTree, start: int, stop: int) -> list[tuple[int, int]]:
    """Return the parts (begin, end) of a range that are not decided yet, and decide them."""
    parts = []
    place = start
    for address, size in decided.blocks(start, stop) if start < stop else []:
        if address > place:
            parts.append((place, address))
        place = max(place, address + size)
    if place < stop:
        parts.append((place, stop))
    for low, high in parts:
        decided.insert(low, high - low)
    return parts
