"""The log: the chain of its pages, what its entries must be, and their replay."""

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from judge.common import (
    HEADER,
    KIND_NODE,
    KIND_RAW,
    PAGE,
    REGION_PAGE,
    Faults,
    Range,
    minus,
    paint,
    union,
    xxh3,
    zero,
)
from judge.slots import Slot

HEAD = struct.Struct("<2I7Q")
MARK = 0x474F4C
MOST_ENTRIES = 252
ALLOCATED, FREE, LIMBO, FREED_BY, KIND, SWEEP = range(1, 7)
ADDRESS = (1 << 56) - 1
IN_USE, IS_FREE = 0, -1  # what a byte is painted as; limbo as the number that freed it

assert HEAD.size == 64


class LogPage(NamedTuple):
    """The head of a log page, where it lies, and its entries."""

    mark: int
    count: int
    transaction: int
    sequence: int
    before: int
    before_sum: int
    cursor: int
    running: int
    finished: int
    address: int
    words: tuple[int, ...]


@dataclass
class Commit:
    """The entries of one commit."""

    transaction: int
    first: int
    last: int
    cursor: int
    running: int
    finished: int
    entries: list[tuple[int, int, int, int]] = field(default_factory=list)
    allocated: list[Range] = field(default_factory=list)
    swept: list[Range] = field(default_factory=list)


@dataclass
class SpaceMap:
    """What the log says: None of it means anything unless ``whole``."""

    pages: list[LogPage] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    free: list[Range] = field(default_factory=list)
    limbo: list[tuple[int, int, int]] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    whole: bool = True


def read_pages(content: memoryview, slot: Slot, faults: Faults) -> list[LogPage] | None:
    """Return the pages that are needed, the oldest first; None if the chain is broken."""
    pages: list[LogPage] = []
    address, checksum, above = slot.log, slot.log_sum, slot.transaction
    for sequence in range(slot.newest, slot.oldest - 1, -1):

        def wrong(why: str, at: int = address, number: int = sequence) -> None:
            faults.add(f"log page {number} at {at}: {why}")

        if address % PAGE or not HEADER <= address <= slot.length - PAGE:
            wrong("not in the region")
            return None
        raw = bytes(content[address : address + PAGE])
        if xxh3(raw) != checksum:
            wrong("checksum")
            return None
        head = HEAD.unpack_from(raw)
        if head[0] != MARK or head[1] > MOST_ENTRIES or head[3] != sequence:
            wrong("mark, count or sequence number")
            return None
        page = LogPage(*head, address, struct.unpack_from(f"<{2 * head[1]}Q", raw, 64))
        if not zero(raw, 64 + 16 * page.count, PAGE):
            wrong("unused entries are not zero")
        if not pages and page.transaction != slot.transaction:
            wrong(f"newest, but of transaction {page.transaction}")
        if not 0 < page.transaction <= above:
            wrong("transactions do not rise")
        if (sequence == 1) != (page.before == 0) or (not page.before and page.before_sum):
            wrong("page before")
        pages.append(page)
        address, checksum, above = page.before, page.before_sum, page.transaction
    return pages[::-1]


def split(pages: list[LogPage], faults: Faults) -> list[Commit]:
    """Return the entries of each commit: (what, kind, address or number, size)."""
    commits: list[Commit] = []
    for page in pages:
        if not commits or commits[-1].transaction != page.transaction:
            commits.append(Commit(page.transaction, page.sequence, 0, 0, 0, 0))
        commit = commits[-1]
        commit.last, commit.cursor = page.sequence, page.cursor
        commit.running, commit.finished = page.running, page.finished
        words = page.words
        for word, size in zip(words[::2], words[1::2], strict=True):
            what, kind, address = word >> 60, word >> 56 & 15, word & ADDRESS
            if not ALLOCATED <= what <= SWEEP:
                faults.add(f"log page {page.sequence}: entry of kind {what}")
            elif kind > KIND_RAW or (kind and what != KIND):
                faults.add(f"log page {page.sequence}: kind {kind} in an entry {what}")
            elif what == FREED_BY and size:
                faults.add(f"log page {page.sequence}: FREED_BY with a size")
            elif what != FREED_BY and (size == 0 or address + size > ADDRESS + 1):
                faults.add(f"log page {page.sequence}: size {size} of an entry {what}")
            else:
                commit.entries.append((what, kind, address, size))
    return commits


def check_order(commit: Commit, faults: Faults) -> None:
    """Check the order of a commit's entries: its own, one SWEEP, what restates that range."""

    def wrong(why: str) -> None:
        faults.add(f"log of transaction {commit.transaction}: {why}")

    order = {FREE: 0, KIND: 1, ALLOCATED: 2, FREED_BY: 3, LIMBO: 3, SWEEP: 4}
    group = (0, 0)
    restated = {FREE: 0, FREED_BY: 1, LIMBO: 1, KIND: 2}
    stage, freed_by, at = 0, 0, 0
    sweep: Range | None = None
    for what, kind, address, size in commit.entries:
        end = address + size
        if what == FREED_BY:
            freed_by = address
            if not 0 < address <= commit.transaction:
                wrong(f"freed by {address}")
        if what == LIMBO and not freed_by:
            wrong("LIMBO before any FREED_BY")
        if sweep is None:
            if order[what] < stage:
                wrong(f"entry {what} is out of order")
            stage = max(stage, order[what])
            if what in {FREED_BY, LIMBO} and freed_by != commit.transaction:
                wrong("its own LIMBO under another number")
            if what == ALLOCATED:
                commit.allocated.append((address, end))
            if what == SWEEP:
                sweep = (address, end)
                commit.swept.append(sweep)
            continue
        if what in {ALLOCATED, SWEEP}:
            wrong(f"entry {what} within a sweep")
            continue
        before, group = group, (restated[what], freed_by if what in {FREED_BY, LIMBO} else kind)
        if what == FREED_BY:
            at = 0
            if group <= before:
                wrong(f"restates limbo of {freed_by} out of order")
            continue
        if group != before:
            at = 0
        if what != KIND and not sweep[0] <= address <= end <= sweep[1]:
            wrong("restates outside its sweep")
        if group < before or address < at:
            wrong("restates out of order")
        at = end
    commit.allocated = union(commit.allocated)


def check_sweeps(slot: Slot, space: SpaceMap, faults: Faults) -> None:
    """Check cursor and sweep bookkeeping of the newest page against the SWEEP entries."""
    newest = space.commits[-1]

    def wrong(why: str) -> None:
        faults.add(f"sweeps: {why}")

    firsts = {commit.first for commit in space.commits}
    for name, sequence in (("running", newest.running), ("finished", newest.finished)):
        if slot.oldest <= sequence <= slot.newest and sequence not in firsts:
            wrong(f"the {name} one does not begin with a commit")
    if not newest.finished < newest.running <= newest.last + 1:
        wrong(f"running since {newest.running}, finished since {newest.finished}, newest {newest.last}")
    # The commit that finishes a sweep still needs the pages before; the next one frees them.
    needed = space.commits[-2].finished if len(space.commits) > 1 else newest.first
    if slot.oldest > max(needed, 1):
        wrong(f"the log begins at {slot.oldest}, but is needed from {needed}")
    if len(space.commits) == 1 and newest.first != 1:
        wrong("the commit before the newest is not in the log")
    before: Commit | None = None
    if space.commits[0].first == 1:
        before = Commit(0, 0, 0, 0, 1, 0)
    for commit in space.commits:
        if len(commit.swept) != 1:
            wrong(f"transaction {commit.transaction} has {len(commit.swept)} SWEEP entries")
            return
        start, end = commit.swept[0]
        if before is not None:
            if start != before.cursor and not (start == 0 and end <= before.cursor):
                wrong(
                    f"that of transaction {commit.transaction} begins at {start} instead of {before.cursor}"
                )
            if commit.cursor:
                expected = (end, before.running, before.finished)
            else:
                expected = (0, commit.last + 1, before.running)
            if (commit.cursor, commit.running, commit.finished) != expected:
                wrong(f"transaction {commit.transaction}: cursor, running and finished should be {expected}")
        elif commit.cursor and commit.cursor != end:
            wrong(f"transaction {commit.transaction}: cursor {commit.cursor}, but swept to {end}")
        if commit is newest and (commit.cursor == 0) != (end == slot.length):
            wrong(f"cursor {commit.cursor} after a sweep to {end} of {slot.length}")
        before = commit


def check_amount(pages: list[LogPage], commit: Commit, faults: Faults) -> None:
    """Check that a commit restated enough, unless its sweep ended, and filled its pages (sweeps)."""
    counts = [page.count for page in pages if page.transaction == commit.transaction]
    own = next((k for k, entry in enumerate(commit.entries) if entry[0] == SWEEP), 0)
    restated = sum(entry[0] != FREED_BY for entry in commit.entries[own + 1 :])
    # One fewer where two begin at the same address.
    if commit.cursor and restated < max(32, own) - 1:
        faults.add(f"sweeps: transaction {commit.transaction}, {own} own entries, restated {restated}")
    # A compaction restates all there is, and so ends the sweep.
    too_many = commit.cursor and restated > max(32, own, MOST_ENTRIES)
    if counts[-1] == 0:
        del counts[-1]  # to give it back would have made entries more
    if too_many or any(count < MOST_ENTRIES for count in counts[:-1]):
        faults.add(f"sweeps: transaction {commit.transaction} restated {restated}, in pages of {counts}")


def replay(slot: Slot, space: SpaceMap, faults: Faults) -> None:
    """Apply all entries; a later one decides."""
    length = slot.length
    state: list[tuple[int, int, int]] = []
    kinds: list[tuple[int, int, int]] = [(0, 1, KIND_NODE)]
    for commit in space.commits:
        freed_by = 0
        for what, kind, address, size in commit.entries:
            end = min(address + size, length)
            if what == FREED_BY:
                freed_by = address
            elif address < end:
                if what == KIND:
                    kinds.append((address // REGION_PAGE, -(-end // REGION_PAGE), kind))
                elif what == FREE:
                    state.append((address, end, IS_FREE))
                elif what == LIMBO:
                    state.append((address, end, freed_by))
                else:
                    state.append((address, end, IN_USE))
    painted = paint(state)
    unsaid = minus([(HEADER, length)], union((start, end) for start, end, _ in painted))
    if unsaid and length > HEADER:
        faults.add(f"sweeps: the log says nothing of {unsaid[0]}")
    space.free = union((start, end) for start, end, value in painted if value == IS_FREE)
    space.limbo = [piece for piece in painted if piece[2] > 0]
    space.kinds = [0] * -(-length // REGION_PAGE)
    for first, last, kind in paint(kinds):
        space.kinds[first:last] = [kind] * (last - first)
    for start, end, _ in [*((a, b, 0) for a, b in space.free[:1]), *space.limbo[:1]]:
        if start < HEADER:
            faults.add(f"replay: {start} to {end} is free or in limbo, in the header")


def check_kinds(slot: Slot, space: SpaceMap, faults: Faults) -> None:
    """Give region pages that are wholly free no kind; all others have one."""
    for start, end in space.free:
        first = -(-start // REGION_PAGE)
        last = len(space.kinds) if end == slot.length else end // REGION_PAGE
        if first < last:
            space.kinds[first:last] = [0] * (last - first)
        partly = {start // REGION_PAGE} if start % REGION_PAGE else set()
        if end % REGION_PAGE and end != slot.length:
            partly.add(end // REGION_PAGE)
        for page in sorted(partly):
            if page < len(space.kinds) and not space.kinds[page]:
                faults.add(f"replay: {start} to {end} is free, in region page {page} without a kind")
    if space.kinds[0] != KIND_NODE:
        faults.add("kinds: region page 0 is not of kind 1")
    wholly: list[Range] = [
        (-(-start // REGION_PAGE), len(space.kinds) if end == slot.length else end // REGION_PAGE)
        for start, end in space.free
    ]
    used = minus([(0, len(space.kinds))], union(wholly))
    for first, last in used:
        for page in range(first, last):
            if not space.kinds[page]:
                faults.add(f"kinds: region page {page} is in use and has no kind")


def read_log(content: memoryview, slot: Slot, faults: Faults) -> SpaceMap:
    """Read and replay the log of a state."""
    space = SpaceMap()
    if not slot.newest:
        space.kinds = [KIND_NODE] + [0] * (-(-slot.length // REGION_PAGE) - 1)
        if slot.length != HEADER:
            faults.add("a region without a log is longer than its header")
        return space
    pages = read_pages(content, slot, faults)
    if pages is None:
        space.whole = False
        return space
    space.pages = pages
    space.commits = split(pages, faults)
    for commit in space.commits:
        check_order(commit, faults)
        check_amount(pages, commit, faults)
    check_sweeps(slot, space, faults)
    replay(slot, space, faults)
    check_kinds(slot, space, faults)
    return space
