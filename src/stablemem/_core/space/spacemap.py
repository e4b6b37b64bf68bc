# cython: annotation_typing=False
"""Space map: the log in the file, which says which bytes are in use, free and in limbo.

Every commit writes one or more whole log pages. The pages form a chain from the newest back to the oldest:

    0    mark 0x474F4C 'LOG'     u32      entry: two words of 64 bits
    4    number of entries       u32        bits 60-63  type        (below)
    8    transaction             u64        bits 56-59  kind of a region page
    16   sequence number         u64        bits 0-55   address, or transaction number
    24   page before: address    u64        second word: size in bytes
    32   page before: checksum   u64
    40   cursor                  u64      ALLOCATED a n   in use
    48   sweep began at page     u64      FREE a n        free
    56   last sweep began at     u64      LIMBO a n       freed by the transaction that was named last
    64   252 entries of 16       4032     FREED_BY t      names that transaction
    4096                                  KIND a n        these region pages have the kind
                                          SWEEP a n       the next entries say everything about (a, n)

A commit's own entries come first: growth as FREE, new kinds, ALLOCATED, LIMBO. Then the commit restates a
part of the region, from the cursor on: which bytes are free and in limbo, and which pages have which kind.
When the cursor reaches the end of the region, pages older than the one where it began are not needed any
more. The next commits free them, a few each; but not the pages of unsynced commits, from which recovery
learns which bytes these commits wrote. So the log never needs compaction, no committed page is appended to,
and no commit writes much more than another of the same size. The chain is at most about two sweeps long,
because a commit restates at least as much as it adds.

Replay starts with the oldest page kept, which is the first page of its commit, and applies the entries in
order. Each entry sets the state of its range; bytes that no entry mentions are in use. Ranges are cut at the
length in the slot.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct, pack
from typing import NamedTuple

from ...errors import BlockError, CorruptRegionError
from ...layout import KINDS, MAX_ADDRESS, NODE_PAGE, NODE_SIZE, REGION_PAGE
from ..disk.region import Region
from ..format.checksum import page_checksum
from ..format.slots import Slot
from .freespace import FreeSpace
from .freetree import FreeTree
from .layers import Limbo

__all__ = ["Chain", "SpaceMap", "follow", "read_chain", "replay", "written_since"]

LOG_MARK = 0x474F4C
CAPACITY = 252
SWEEP_LEAST = 32
"""Least number of blocks that a commit restates. With more entries of its own, it restates as many blocks."""

SWEEP_COMMITS = 64
"""The most small commits that a sweep takes; it takes more only if one page per commit is not enough."""

DROP_LEAST = 16
"""Number of unneeded pages that a commit frees. With more entries of its own, it frees as many pages."""

BATCH = 4096
"""Number of blocks that replay asks for at once."""

_HEADER = Struct("<IIQQQQQQQ")
_BODY = CAPACITY * 16

ALLOCATED, FREE, LIMBO, FREED_BY, KIND, SWEEP = range(1, 7)

Entry = tuple[int, int, int, int]
"""(type, kind, address or transaction, size)"""


@dataclass
class Chain:
    """Where the pages of the log are, and how far the sweep has come."""

    pages: deque[tuple[int, int, int]] = field(default_factory=deque)
    """(sequence number, address, transaction), oldest first."""
    newest_check: int = 0
    cursor: int = 0
    sweep_from: int = 1
    needed_from: int = 1
    """Sequence number of the page where the last finished sweep began: older pages may be freed."""


class Plan(NamedTuple):
    """The log pages of one commit, ready to be written, and the values of the chain after it."""

    transaction: int
    length: int
    pages: list[tuple[int, bytes]]
    oldest: int
    newest: int
    newest_check: int
    cursor: int
    sweep_from: int
    needed_from: int


def tag(what: int, kind: int = 0) -> int:
    """Return the first word of an entry, without its address."""
    return what << 60 | kind << 56


_FREE, _LIMBO, _FREED_BY = tag(FREE), tag(LIMBO), tag(FREED_BY)


class SpaceMap:
    """The log, for the writer.

    Entries that are to be written are kept as a flat list of words, two for each entry.

    Args:
        space: the free space that the log describes.
        chain: the pages of the log now.
        length: the length in the slot that the chain belongs to.

    Attributes:
        unsynced_from: sequence number of the first page written since the last synced commit; None if
            there is none.
        unsynced_commits: number of commits since the last synced one.
        whole: whether the next commit restates everything.
    """

    def __init__(self, space: FreeSpace, chain: Chain, length: int) -> None:
        self.space = space
        self.chain = chain
        self.length = length
        self.unsynced_from: int | None = None
        self.unsynced_commits = 0
        self.whole = False
        self._oldest = 1

    @property
    def keep_from(self) -> int:
        """Sequence number of the oldest page that replay or recovery (``Header.recover``) needs."""
        needed = self.chain.needed_from
        return needed if self.unsynced_from is None else min(needed, self.unsynced_from)

    @property
    def unsynced_pages(self) -> int:
        """Number of pages that tell recovery which bytes were written since the last synced commit."""
        return 0 if self.unsynced_from is None else self.chain.pages[-1][0] + 1 - self.unsynced_from

    def settled(self) -> None:
        """Note that the newest commit was synced."""
        self.unsynced_from, self.unsynced_commits = None, 0

    def allocate_page(self) -> int:
        """Return the address of the next commit's first page: after the page before, or in new region pages.

        Pages that recovery needs stay until the next sync. If they lay among nodes, which come and go in the
        meantime, each page would leave a hole.
        """
        return self.space.allocate_apart(NODE_PAGE, NODE_SIZE, self.chain.pages[-1][1] + NODE_SIZE)

    def drop_unneeded(self) -> None:
        """Free pages that are not needed after a finished sweep; the plan leaves them out.

        It frees all pages of a commit or none: an entry may depend on an earlier page of the same commit.
        """
        layer = self.space.layers[-1]
        freed, most = layer.freed.count, DROP_LEAST
        if self.space.packing:
            most = len(self.chain.pages)
        keep_from = self.keep_from
        self._oldest = keep_from
        commit = 0
        for number, (sequence, address, transaction) in enumerate(self.chain.pages):
            if sequence >= keep_from:
                break
            if number == DROP_LEAST:
                # Computed only here, because it costs O(fresh blocks). The log pages freed above are old,
                # so they are not among these.
                most = max(most, len(self.space.fresh_blocks()) + freed)
            if number >= most and transaction != commit:
                self._oldest = sequence
                break
            commit = transaction
            self.space.free(address, NODE_SIZE)

    def plan(self, transaction: int, first_page: int) -> Plan:
        """Return the log pages of a commit, for which ``drop_unneeded`` has been called.

        Args:
            transaction: number of the commit.
            first_page: address of its first page; more pages are allocated if needed.
        """
        addresses = [first_page]
        while True:
            length = self.space.used_end()
            own = self._own_entries(transaction, length)
            needed = self._pages_for(len(own) // 2)
            if needed <= len(addresses):
                break
            while needed > len(addresses):
                # Free space may consist of many short runs. Make the entries again only after all are taken.
                run, size = self.space.take_run(NODE_PAGE, NODE_SIZE * (needed - len(addresses)), NODE_SIZE)
                addresses += range(run, run + size, NODE_SIZE)
        sweep, cursor = self._sweep(len(own) // 2, length, transaction)
        number = (len(own) + len(sweep)) // 2
        spare = len(addresses) - -(-number // CAPACITY)
        # A page that is given back may split a run that the commit allocated, and becomes a free block: that
        # is two more entries.
        while spare > 0 and number + 2 * spare > CAPACITY * (len(addresses) - spare):
            spare -= 1
        if spare > 0:
            # The sweep has reached the end of the region before it filled all pages.
            for address in addresses[-spare:]:
                self.space.free(address, NODE_SIZE)
            del addresses[-spare:]
            length = self.space.used_end()
            own = self._own_entries(transaction, length)
            sweep, cursor = self._sweep(len(own) // 2, length, transaction)
        return self._write(transaction, addresses, own + sweep, cursor, length)

    def _restated(self, own: int) -> int:
        """Return the number of blocks that a commit with ``own`` entries of its own restates."""
        space = self.space
        if self.whole:
            return own + space.count_blocks() + CAPACITY
        most = CAPACITY - 2 - len(space.limbo)
        return max(SWEEP_LEAST, own, min(space.count_blocks() // SWEEP_COMMITS, most - own))

    def _pages_for(self, own: int) -> int:
        """Return the number of pages for ``own`` entries of a commit and the blocks that it restates."""
        entries = own + 1 + self._restated(own) + len(self.space.limbo) + 1
        return -(-entries // CAPACITY)

    def _own_entries(self, transaction: int, length: int) -> list[int]:
        """Return the entries for the changes of this transaction."""
        layer = self.space.layers[-1]
        words: list[int] = []
        if length > self.length:
            words += (tag(FREE) | self.length, length - self.length)
        for address, size in self.space.given.blocks():
            for kind in KINDS:
                blocks = self.space.areas[kind].blocks(address, min(address + size, length))
                clip(words, tag(KIND, kind), blocks, address, min(address + size, length))
        clip(words, tag(ALLOCATED), self.space.fresh_blocks(), 0, MAX_ADDRESS)
        if layer.freed.count:
            words += (tag(FREED_BY) | transaction, 0)
            clip(words, tag(LIMBO), layer.freed.blocks(), 0, MAX_ADDRESS)
        return words

    def _sweep(self, own: int, length: int, transaction: int) -> tuple[list[int], int]:
        """Return the entries that restate the region from the cursor on, and the new cursor."""
        space = self.space
        start = self.chain.cursor if self.chain.cursor < length else 0
        budget = self._restated(own)
        # One block more than may be restated, to know where the next one begins.
        seen = budget + 1
        sets = [(_LIMBO, each.transaction, each.blocks) for each in space.limbo]
        sets.append((_LIMBO, transaction, space.layers[-1].freed))
        sets += [(tag(KIND, kind), 0, space.areas[kind]) for kind in KINDS]
        free = space.free_blocks(start, length, seen)
        parts = [(_FREE, 0, free)]
        begins = [block[0] for block in free]
        stop = length
        most = seen
        for first, freed_by, tree in sets:
            if len(begins) >= most:
                # Blocks that begin here or later are not restated, so they need not be listed. The list is
                # sorted again only after as many more blocks: that costs no more than listing them.
                begins = sorted(begins)[:seen]
                stop = min(stop, begins[budget])
                most = 2 * seen
            blocks = tree.blocks(start, stop, seen) if tree.count else []
            if blocks:
                begins += [block[0] for block in blocks]
                if freed_by and parts[-1][1] == freed_by:
                    # Two sets of one transaction: the young blocks that it freed, and the others.
                    blocks = sorted(parts.pop()[2] + blocks)
                parts.append((first, freed_by, blocks))
        if len(begins) >= seen:
            # At most two blocks begin at the same address or lie across the start: one of bytes in one
            # state, and one of region pages of one kind. So the cursor always moves.
            stop = min(stop, sorted(begins)[budget])
        words = [tag(SWEEP) | start, stop - start]
        for first, freed_by, blocks in parts:
            if freed_by and blocks and blocks[0][0] < stop:
                words.append(_FREED_BY | freed_by)
                words.append(0)
            clip(words, first, blocks, start, stop)
        return words, stop

    def _write(
        self, transaction: int, addresses: list[int], words: list[int], cursor: int, length: int
    ) -> Plan:
        """Return the plan: the pages, filled with entries and chained."""
        old = self.chain
        sequence = old.pages[-1][0] if old.pages else 0
        before = (old.pages[-1][1], old.newest_check) if old.pages else (0, 0)
        sweep_from, needed_from = old.sweep_from, old.needed_from
        pages = []
        for number, address in enumerate(addresses):
            sequence += 1
            part = words[number * CAPACITY * 2 : (number + 1) * CAPACITY * 2]
            if cursor >= length and number == len(addresses) - 1:
                needed_from, sweep_from, cursor = sweep_from, sequence + 1, 0
            page = _HEADER.pack(
                LOG_MARK, len(part) // 2, transaction, sequence, *before, cursor, sweep_from, needed_from
            ) + pack(f"<{len(part)}Q", *part).ljust(_BODY, b"\0")
            before = (address, page_checksum(page))
            pages.append((address, page))
        oldest = self._oldest if old.pages else 1
        return Plan(transaction, length, pages, oldest, sequence, before[1], cursor, sweep_from, needed_from)

    def adopt(self, plan: Plan, synced: bool) -> None:
        """Note that the plan was committed."""
        chain = self.chain
        while chain.pages and chain.pages[0][0] < plan.oldest:
            chain.pages.popleft()
        first = plan.newest + 1 - len(plan.pages)
        for number, (address, _) in enumerate(plan.pages, first):
            chain.pages.append((number, address, plan.transaction))
        chain.newest_check, chain.cursor = plan.newest_check, plan.cursor
        chain.sweep_from, chain.needed_from = plan.sweep_from, plan.needed_from
        self.length = plan.length
        if synced:
            self.settled()
            return
        if self.unsynced_from is None:
            self.unsynced_from = first
        self.unsynced_commits += 1


def clip(words: list[int], first: int, blocks: list[tuple[int, int]], start: int, stop: int) -> None:
    """Add entries for the parts of blocks, which are in order of address, within ``[start, stop)``."""
    for address, size in blocks:
        low = max(address, start)
        high = min(address + size, stop)
        if low < high:
            words.append(first | low)
            words.append(high - low)


# -- reading it back ---------------------------------------------------------------------------------


class LogPage(NamedTuple):
    """A log page as it is in the file; its entries stay bytes, for ``_entries``."""

    sequence: int
    address: int
    check: int
    transaction: int
    before: tuple[int, int]
    """Address and checksum of the page before."""
    cursor: int
    sweep_from: int
    needed_from: int
    content: bytes


def _pages_back(region: Region, slot: Slot) -> Iterator[LogPage]:
    """Yield the pages of the log that a slot names, newest first; each is read when it is asked for.

    Raises:
        CorruptRegionError: a page is not the one that the next page, or the slot, names.
    """
    address, check = slot.log_page, slot.log_check
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
        content = page[_HEADER.size : _HEADER.size + 16 * number]
        link = (before, before_check)
        yield LogPage(sequence, address, check, transaction, link, cursor, sweep, needed, content)
        address, check = before, before_check


def read_chain(region: Region, slot: Slot) -> tuple[Chain, list[tuple[int, bytes]]]:
    """Return the log that a slot names: its chain, and each page's transaction and entries, oldest first.

    The entries stay bytes: so they take only 16 bytes each, even in a log of millions.

    Raises:
        CorruptRegionError: a page is not the one that the next page, or the slot, names.
    """
    chain = Chain(newest_check=slot.log_check)
    contents: list[tuple[int, bytes]] = []
    for page in _pages_back(region, slot):
        if not contents:
            chain.cursor, chain.sweep_from, chain.needed_from = page.cursor, page.sweep_from, page.needed_from
        chain.pages.appendleft((page.sequence, page.address, page.transaction))
        contents.append((page.transaction, page.content))
    contents.reverse()
    return chain, contents


def _entries(content: bytes) -> list[Entry]:
    """Return the entries of a page."""
    words = Struct(f"<{len(content) // 8}Q").unpack(content)
    return [
        (first >> 60, first >> 56 & 15, first & (1 << 56) - 1, second)
        for first, second in zip(words[::2], words[1::2], strict=True)
    ]


def written_since(
    region: Region, slot: Slot, transaction: int
) -> tuple[list[tuple[int, int]], int | None, int]:  # fmt: skip
    """Return the bytes that commits after ``transaction`` wrote, according to the slot's log.

    Returns:
        Blocks (address, size) by address; the sequence number of the first log page of those commits; and
        the number of those commits.
    """
    pages = []
    for page in _pages_back(region, slot):
        if page.transaction <= transaction:
            break
        pages.append(page)
    pages.reverse()
    written = FreeTree()
    for page in pages:
        for what, _, address, size in _entries(page.content):
            stop = min(address + size, slot.length)
            if what == ALLOCATED and address < stop:
                # A later commit may have allocated again what an earlier one freed.
                written.discard(address, stop)
                written.insert(address, stop - address)
    first = pages[0].sequence if pages else None
    return written.blocks(), first, len({page.transaction for page in pages})


class Told(NamedTuple):
    """What log pages say of the bytes and the region pages that they mention."""

    free: FreeTree
    limbo: dict[int, FreeTree]
    """The blocks in limbo, by the transaction that freed them."""
    areas: list[FreeTree]
    """For each kind, the region pages that got it, as byte ranges; first those of no known kind."""
    decided: FreeTree
    """All bytes that are mentioned. Those that are neither free nor in limbo are in use."""
    decided_pages: FreeTree
    """All region pages whose kind is mentioned, as byte ranges."""


def _told(region: Region, contents: list[tuple[int, bytes]], length: int) -> Told:
    """Return what whole commits of the log say, oldest first, up to a length. O(k log k) for k entries.

    Works from the newest entry back: an earlier entry does not change bytes that a later one has decided.

    Raises:
        CorruptRegionError: the log is damaged.
    """
    told = Told(FreeTree(), {}, [FreeTree() for _ in range(max(KINDS) + 1)], FreeTree(), FreeTree())
    for what, kind, address, size, by in _backwards(contents):
        if what == KIND:
            stop = min(-(-(address + size) // REGION_PAGE), -(-length // REGION_PAGE)) * REGION_PAGE
            for low, high in _undecided(told.decided_pages, address // REGION_PAGE * REGION_PAGE, stop):
                told.areas[kind if kind in KINDS else 0].insert(low, high - low)
            continue
        if what not in {ALLOCATED, FREE, LIMBO, SWEEP} or (what == LIMBO and not by):
            raise CorruptRegionError(address, "an entry of the space map", f"type {what}", region.path)
        for low, high in _undecided(told.decided, address, min(address + size, length)):
            if what == FREE:
                told.free.insert(low, high - low)
            elif what == LIMBO:
                told.limbo.setdefault(by, FreeTree()).insert(low, high - low)
    return told


def _kept(limbo: dict[int, FreeTree]) -> list[Limbo]:
    """Return blocks in limbo by the number of the transaction that freed them, oldest first."""
    return [Limbo(by, blocks) for by, blocks in sorted(limbo.items()) if blocks.count]


def replay(region: Region, slot: Slot) -> tuple[FreeSpace, Chain]:
    """Return the free space as of a slot, read from the log. O(k log k) for k entries in the log.

    Raises:
        CorruptRegionError: the log is damaged.
    """
    chain, contents = read_chain(region, slot)
    told = _told(region, contents, slot.length)
    for low, high in _undecided(told.decided_pages, 0, REGION_PAGE):
        told.areas[KINDS[0]].insert(low, high - low)
    space = FreeSpace()
    try:
        space.rebuild(slot.length, told.areas, told.free, _kept(told.limbo))
    except BlockError as error:
        raise CorruptRegionError(slot.log_page, "a space map", str(error), region.path) from error
    return space, chain


def follow(log: SpaceMap, region: Region, slot: Slot) -> list[tuple[int, int]] | None:
    """Bring the free space and its log to a later slot, by the log pages that are newer than those known.

    O(k log n) for k entries in these pages and blocks in the ranges that they restate. The result is what
    ``replay`` returns, but for two differences. Limbo that was free already stays free, unless a later commit
    has restated it as limbo; and the region may end later in memory, with free pages. No block is young.

    Returns:
        The region pages that got a kind, or kept it in a sweep; None if nothing was changed, because the
        pages do not suffice:

        * The newest page known is not in the slot's chain: unsynced commits were lost, or it is another file.
        * A page between is not needed any more: a sweep, or a compaction, has passed it.
        * A commit has used a region page without naming its kind, and this writer has it as wholly free. It
          had released the limbo there, which were young blocks; the other one, after recovery, still had not.
        * The pages say what no writer writes (a kind that is none, free bytes in the header).

    Raises:
        CorruptRegionError: a page is damaged.
    """
    chain = log.chain
    newest, address = chain.pages[-1][:2] if chain.pages else (0, 0)
    if not slot.log_oldest - 1 <= newest <= slot.log_newest:
        return None
    pages: list[LogPage] = []
    before = (slot.log_page, slot.log_check)
    for page in _pages_back(region, slot):
        if page.sequence == newest:
            break
        pages.append(page)
        before = page.before
    if before != (address, chain.newest_check):
        return None
    pages.reverse()
    told = _told(region, [(page.transaction, page.content) for page in pages], slot.length)
    try:
        if not log.space.amend(
            slot.length, told.areas, told.free, _kept(told.limbo), told.decided, told.decided_pages
        ):
            return None
    except BlockError as error:
        raise CorruptRegionError(slot.log_page, "a space map", str(error), region.path) from error
    while chain.pages and chain.pages[0][0] < slot.log_oldest:
        chain.pages.popleft()
    for page in pages:
        chain.pages.append((page.sequence, page.address, page.transaction))
        chain.newest_check = page.check
        chain.cursor, chain.sweep_from, chain.needed_from = page.cursor, page.sweep_from, page.needed_from
    log.length = slot.length
    return told.decided_pages.blocks()


def _backwards(contents: list[tuple[int, bytes]]) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield (type, kind, address, size, freed by) of all entries, the newest first."""
    # FREED_BY is for the entries after it, which may be on the next page of the same commit.
    named = []
    by = 0
    for _, content in contents:
        named.append(by)
        for what, _, address, _ in _entries(content):
            if what == FREED_BY:
                by = address
    for start, (_, content) in zip(reversed(named), reversed(contents), strict=True):
        by = start
        resolved = []
        for what, kind, address, size in _entries(content):
            if what == FREED_BY:
                by = address
            else:
                resolved.append((what, kind, address, size, by))
        yield from reversed(resolved)


def _undecided(decided: FreeTree, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield the parts (begin, end) of a range that are not decided yet, and decide them.

    Works in batches: a sweep over the whole region may find a million parts.
    """
    place, more = start, True
    while more and place < stop:
        found = decided.blocks(place, stop, BATCH)
        more = len(found) == BATCH
        parts = []
        for address, size in found:
            if address > place:
                parts.append((place, address))
            place = max(place, address + size)
        if not more and place < stop:
            parts.append((place, stop))
        for low, high in parts:
            decided.insert(low, high - low)
        yield from parts
