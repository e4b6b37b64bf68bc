"""The header: three slots, which of them are valid, and which one counts."""

import struct
from itertools import pairwise
from typing import NamedTuple

from xxhash import xxh3_64_intdigest

from judge.common import (
    HEADER,
    LARGEST_ADDRESS,
    LARGEST_TRANSACTION,
    LET_GO,
    MOST_LEVELS,
    PAGE,
    Faults,
    xxh3,
    zero,
)

FIELDS = struct.Struct("<8s2I16s2Q16s4Q2I9Q2IQ")
EXTENT = struct.Struct("<QI")
CHECKED = struct.Struct("<Q")
MAGIC = b"stablmem"
SYNCED, DIGEST, SEALED = 1, 2, 4
KNOWN_TO_READ, KNOWN_TO_WRITE = 0, 0
EXTENTS_AT, EXTENTS_END = 192, 384
MOST_EXTENTS = 16
MOST_DIGESTED = 1 << 20

assert FIELDS.size == EXTENTS_AT


class Slot(NamedTuple):
    """The fields of a slot, in the order of the file."""

    magic: bytes
    format: int
    flags: int
    file_id: bytes
    transaction: int
    length: int
    boot: bytes
    root: int
    root_sum: int
    values: int
    dropped: int
    height: int
    catalog_height: int
    catalog: int
    catalog_sum: int
    catalog_size: int
    log: int
    log_sum: int
    newest: int
    oldest: int
    to_read: int
    to_write: int
    number: int
    extent_count: int
    digest: int

    @property
    def synced(self) -> bool:
        """Whether it survives a power cut."""
        return bool(self.flags & SYNCED)

    @property
    def has_digest(self) -> bool:
        """Whether a digest stands for the barrier before it."""
        return bool(self.flags & DIGEST)

    @property
    def state(self) -> tuple[int | bytes, ...]:
        """What must be the same in two slots of one number."""
        return (self.flags & SEALED, self.file_id, *self[4:6], *self[7:22])


class Found(NamedTuple):
    """What became of one slot: the valid ones have a slot and its extents."""

    note: str
    slot: Slot | None = None
    extents: tuple[tuple[int, int], ...] = ()
    fatal: bool = False
    file_id: bytes = b""
    magic: bool = False


def tree_fault(root: int, values: int, height: int, length: int) -> str:
    """Return what is wrong with the place of a tree, by test 3; empty if nothing."""
    if height > MOST_LEVELS:
        return "more than 12 levels"
    if values >= LARGEST_ADDRESS:
        return "too many values"
    if (height == 0) != (values == 0) or (height == 0) != (root == 0):
        return "height, values and root are not zero together"
    if root % PAGE:
        return "root is not aligned"
    if height and not HEADER <= root <= length - PAGE:
        return "root is not in the region"
    return ""


def read_slot(content: memoryview, k: int, boot: bytes | None) -> Found:
    """Test one slot in the order of "Which slot counts"."""
    page = bytes(content[k * PAGE : (k + 1) * PAGE])
    if len(page) < PAGE:
        return Found("dropped by test 1: the file ends before", magic=page[:8] == MAGIC)
    if page[:8] != MAGIC:
        return Found("empty" if zero(page, 0, PAGE) else "dropped by test 1: no magic")
    slot = Slot(*FIELDS.unpack_from(page))
    if CHECKED.unpack_from(page, 504)[0] != xxh3(page[:504]):
        return Found("dropped by test 1: checksum", magic=True)
    if slot.format:
        return Found(f"dropped by test 1: format {slot.format}", magic=True)
    if slot.number != k:
        return Found(f"dropped by test 1: it says slot {slot.number}", magic=True)

    def dropped(test: int, why: str, fatal: bool = False) -> Found:
        note = f"transaction {slot.transaction} dropped by test {test}: {why}"
        return Found(note, None, (), fatal, slot.file_id, True)

    length = slot.length
    if not 0 < slot.transaction < LARGEST_TRANSACTION:
        return dropped(2, "transaction number")
    if not HEADER <= length <= LARGEST_ADDRESS:
        return dropped(2, "length")
    if not slot.to_read & ~KNOWN_TO_READ:
        fault = tree_fault(slot.root, slot.values, slot.height, length)
        if fault:
            return dropped(3, fault)
        if slot.catalog_size and not HEADER <= slot.catalog <= length - slot.catalog_size:
            return dropped(4, "catalog is not in the region")
        if slot.catalog_height:
            return dropped(4, "catalog with levels")
        if slot.newest:
            if slot.log % PAGE or not HEADER <= slot.log <= length - PAGE:
                return dropped(5, "log page is not in the region")
            if not 0 < slot.oldest <= slot.newest or slot.newest - slot.oldest > length // PAGE:
                return dropped(5, "sequence numbers of the log")
    if slot.extent_count > MOST_EXTENTS:
        return dropped(6, "too many extents")
    every = list(EXTENT.iter_unpack(page[EXTENTS_AT:EXTENTS_END]))
    extents = every[: slot.extent_count]
    if sum(size for _, size in extents) > MOST_DIGESTED:
        return dropped(6, "extents are too long")
    if any(address < HEADER or address + size > length for address, size in extents):
        return dropped(6, "extents are not in the region")
    if not slot.synced and slot.boot != boot:
        return dropped(7, "not synced, and another boot")
    if length > len(content):
        return dropped(8, "the file is shorter", slot.synced and not slot.has_digest)
    if slot.has_digest:
        digested = b"".join([content[address : address + size] for address, size in extents])
        if xxh3(digested) != slot.digest:
            return dropped(9, "digest")
    note = f"transaction {slot.transaction}, {'synced' if slot.synced else 'not synced'}"
    return Found(
        note + (", digest" if slot.has_digest else ""), slot, tuple(extents), False, slot.file_id, True
    )


def check_padding(content: memoryview, k: int, found: Found, faults: Faults) -> None:
    """Check a valid slot for the rules that a writer keeps and no reader tests."""
    page = bytes(content[k * PAGE : (k + 1) * PAGE])
    slot = found.slot
    assert slot is not None

    def wrong(why: str) -> None:
        faults.add(f"slot {k}: {why}")

    # At the end of the last slot's page there are two words of no state; the wake word may be anything.
    ends = [(528, LET_GO % PAGE), (LET_GO % PAGE + 8, PAGE - 4)] if k == 2 else [(528, PAGE)]
    if not all(zero(page, *end) for end in ends) or not zero(page, EXTENTS_END, 504):
        wrong("padding is not zero")
    taken_back = int.from_bytes(page[520:528], "little")
    if not zero(page, 512, 528) and taken_back != xxh3_64_intdigest(page[512:520]):
        wrong("the number taken back has another checksum")
    if not zero(page, EXTENTS_AT + EXTENT.size * slot.extent_count, EXTENTS_END):
        wrong("unused extents are not zero")
    if slot.flags & ~(SYNCED | DIGEST | SEALED):
        wrong("unknown flags")
    if slot.synced and any(slot.boot):
        wrong("synced, with a boot id")
    if slot.has_digest and not slot.synced:
        wrong("a digest, but not synced")
    if slot.has_digest != (slot.extent_count > 0) or (not slot.has_digest and slot.digest):
        wrong("digest, extents and the flag do not agree")
    if any(size == 0 for _, size in found.extents):
        wrong("an empty extent")
    if not slot.height and slot.root_sum:
        wrong("no root, but its checksum")
    if not slot.catalog_size and (slot.catalog or slot.catalog_sum):
        wrong("no catalog, but its address or checksum")
    if not slot.newest and (slot.log or slot.log_sum or slot.oldest > 1):
        wrong("no log, but fields of it")
    if not slot.newest and slot.transaction != 1:
        wrong("a commit without a log page")
    if not slot.height and slot.dropped and not slot.catalog_size:
        wrong("no main, but values dropped from it")


def check_let_go(content: memoryview, every: list[Found], order: list[int], faults: Faults) -> None:
    """Check that who let go last, if it says so, let go of the state that counts, and that one is synced."""
    word = int.from_bytes(content[LET_GO : LET_GO + 8], "little")
    newest = every[order[0]].slot if order else None
    if word and newest and (word != newest.transaction or not newest.synced):
        faults.add(f"the let-go word names transaction {word}, and {newest.transaction} counts")


def read_header(content: memoryview, boot: bytes | None, faults: Faults) -> tuple[list[Found], list[int]]:
    """Return what became of the slots, and the numbers of the valid ones, the one that counts first."""
    every = [read_slot(content, k, boot) for k in range(3)]
    order = sorted(
        (k for k in range(3) if every[k].slot is not None),
        key=lambda k: (-every[k].slot.transaction, k),  # type: ignore[union-attr]
    )
    for k in order:
        check_padding(content, k, every[k], faults)
    if len({found.file_id for found in every if found.file_id}) > 1:
        faults.add("slots of different files")
    for first, second in pairwise(order):
        one, two = every[first].slot, every[second].slot
        assert one is not None
        assert two is not None
        if one.transaction == two.transaction and one.state != two.state:
            faults.add(f"which slot counts: slots {first} and {second} give one number to two states")
    for k, found in enumerate(every):
        if found.fatal:
            faults.add(f"which slot counts, test 8: the file is shorter than slot {k} says")
    if any(found.fatal for found in every):
        return every, []
    check_let_go(content, every, order, faults)
    if order and (lacking := every[order[0]].slot.to_read & ~KNOWN_TO_READ):  # type: ignore[union-attr]
        faults.add(f"which slot counts: slot {order[0]} needs features {lacking:#x} to be read")
        return every, []
    if not order:
        known = any(found.magic for found in every)
        faults.add("which slot counts: no slot is valid" if known else "which slot counts: not a region")
    return every, order


def kept(every: list[Found], order: list[int]) -> list[int]:
    """Return the slots that the next commit leaves alone: the newest, and the newest synced one besides."""
    return order[:1] + [k for k in order[1:] if every[k].slot.synced][:1]  # type: ignore[union-attr]
