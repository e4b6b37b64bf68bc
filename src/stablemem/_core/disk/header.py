"""Header: chooses the one of the three slots that counts, and the one to write next.

Invariants:

* A commit writes a slot that is neither the newest valid one nor the newest synced one besides it. Bytes that
  these two slots reach are not written to by that commit.
* Of the slots whose magic, format, bounds, length and checksum are right, the newest counts. An unsynced slot
  counts only in the boot in which it was written. Invalid slots are dropped before numbers are compared.
* A closed region has its newest state in two slots. So damage to one slot can be told from a slot that a
  crash tore, and does not lead to an older state.
* The number of a transaction that may have been seen is never used again.
"""

import os

from ...errors import CorruptRegionError, NotARegionError, ReadOnlyError, VersionError
from ...layout import FORMAT, HEADER_SIZE, LET_GO_AT, NODE_SIZE, SLOT_COUNT
from ...shown import shown_error, shown_path, shown_text
from ..format.checksum import page_checksum
from ..format.slots import (
    EMPTY,
    MAGIC,
    MAX_DIGESTED,
    READ_FEATURES,
    WRITE_FEATURES,
    Slot,
    burn,
    burned,
    decode,
)
from .device import Device

__all__ = ["Header", "boot_id", "is_sealed", "newest_number", "write_empty"]

UNSYNCED = "written but not synced before the machine stopped"


def boot_id() -> bytes:
    """Return the 16 bytes that identify this boot of the machine.

    If the kernel does not tell, the bytes are random: then no handle counts unsynced commits of another.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return bytes.fromhex(file.read().strip().replace("-", ""))
    except (OSError, ValueError):
        return os.urandom(16)


def newest_number(device: Device) -> int:
    """Return the highest transaction number that a slot names now, whether it counts or not."""
    return max((slot.transaction for slot in _slots(device)), default=0)


def is_sealed(device: Device) -> bool:
    """Return whether any slot says that the file takes no more changes; damaged slots are ignored."""
    return any(slot.sealed for slot in _slots(device))


def _slots(device: Device) -> list[Slot]:
    """Return the slots that can be read now, whether they count or not."""
    content = device.read(0, HEADER_SIZE)
    slots = [decode(content[n * NODE_SIZE : (n + 1) * NODE_SIZE], n) for n in range(SLOT_COUNT)]
    return [slot for slot in slots if isinstance(slot, Slot)]


class Header:
    """The three slots of a device, read once.

    Args:
        device: the region's bytes.
        boot: this boot's id.
        content: the bytes of the header, if they were read already.

    Attributes:
        valid: the slots that may count, newest first; a digest is checked only if it decides which one does.
        dropped: the fault of each of the other slots, by slot number.
        highest: the highest transaction number in any slot whose checksum matches, or taken back from a slot.
        failure: why nothing may be written any more; empty if nothing has failed.

    Raises:
        NotARegionError: no slot has the magic.
        VersionError: this version does not read the format of the slots, or lacks a feature that the slot
            that counts needs.
        CorruptRegionError: every slot is damaged.
    """

    def __init__(self, device: Device, boot: bytes, content: bytes | None = None) -> None:
        self.device = device
        self.boot = boot
        if content is None:
            content = device.read(0, HEADER_SIZE)
        size = device.size()
        self.valid: list[Slot] = []
        self.dropped: dict[int, str] = {}
        self.highest = 0
        self.failure = ""
        self._pages = [content[number * NODE_SIZE : (number + 1) * NODE_SIZE] for number in range(SLOT_COUNT)]
        self._before = (0, b"")
        self._number = 0
        for number, page in enumerate(self._pages):
            self.highest = max(self.highest, burned(page))
            found = decode(page, number)
            if isinstance(found, str):
                self.dropped[number] = found
                continue
            self.highest = max(self.highest, found.transaction)
            if not found.synced and found.boot != boot:
                self.dropped[number] = UNSYNCED
            elif found.length > size:
                if found.synced and found.digest is None:
                    # The length was on the disk before the slot, so this is not the result of a crash.
                    raise CorruptRegionError(
                        size, f"{found.length} bytes", "the end of the file", device.path
                    )
                self.dropped[number] = f"it needs {found.length} bytes, the file has {size}"
            else:
                self.valid.append(found)
        # Of two slots of one transaction, prefer the synced one, and the one without a digest, because its
        # data need not be read.
        self.valid.sort(key=lambda slot: (slot.transaction, slot.synced, slot.digest is None), reverse=True)
        while self.valid and not self._digest_holds(self.valid[0]):
            self.dropped[self.valid.pop(0).number] = "its digest does not match"
        if not self.valid:
            self._refuse(content, size)
        if lacking := self.valid[0].needed_to_read & ~READ_FEATURES:
            raise VersionError(
                f"{shown_path(device.path)} needs features that this version of stablemem lacks "
                f"({_bits(lacking)}): open it with the version that wrote it, or a later one"
            )

    def _digest_holds(self, slot: Slot) -> bool:
        """Return whether a slot has no digest, or its digest matches the data."""
        return slot.digest is None or self.digest(slot.extents) == slot.digest

    def digest(self, extents: tuple[tuple[int, int], ...]) -> int:
        """Return the XXH3-64 of the present bytes of the extents, one after the other."""
        return page_checksum(b"".join([self.device.read(*extent) for extent in extents]))

    def _refuse(self, content: bytes, size: int) -> None:
        """Raise for a header without a valid slot."""
        path = self.device.path
        pages = [content[start : start + NODE_SIZE] for start in range(0, len(content), NODE_SIZE)]
        with_magic = [page for page in pages if page[:8] == MAGIC]
        if not with_magic:
            if size == 0:
                raise NotARegionError(
                    f"{shown_path(path)} is not a region: it is empty. Mode 'a' or 'w' makes it one"
                )
            raise NotARegionError(
                f"{shown_path(path)} is not a region: it starts with {content[:8]!r}, and a region "
                f"starts with {MAGIC!r}. Name another file"
            )
        formats = {int.from_bytes(page[8:12], "little") for page in with_magic}
        if FORMAT not in formats:
            raise VersionError(
                f"{shown_path(path)} has format {min(formats)}, and this version of stablemem reads format "
                f"{FORMAT}: open it with the version that wrote it"
            )
        faults = "; ".join(f"slot {number}: {fault}" for number, fault in sorted(self.dropped.items()))
        raise CorruptRegionError(0, "a valid header slot", faults, path)

    def require_writable(self) -> None:
        """Raise unless this version may change the region.

        Raises:
            ReadOnlyError: the region is sealed.
            VersionError: changing the region needs a feature that this version lacks.
        """
        newest = self.valid[0]
        if newest.sealed:
            raise ReadOnlyError(
                f"{shown_path(self.device.path)} is sealed, which means that it takes no more changes: open "
                f"it with mode='r'; to change what is in it, copy it into a new region"
            )
        if lacking := newest.needed_to_write & ~WRITE_FEATURES:
            raise VersionError(
                f"changing {shown_path(self.device.path)} needs features that this version of stablemem "
                f"lacks ({_bits(lacking)}): open it with mode='r', or change it with the version that wrote "
                f"it, or a later one"
            )

    @property
    def newest(self) -> Slot:
        """The slot that counts."""
        return self.valid[0]

    def kept(self) -> list[Slot]:
        """Return the slots that the next commit leaves alone: the newest, and the newest synced beside it."""
        kept = [self.valid[0]]
        kept += [slot for slot in self.valid[1:] if slot.synced][:1]
        return kept

    @property
    def floor(self) -> int:
        """Number of the oldest transaction whose state must stay whole during the next commit."""
        return min(slot.transaction for slot in self.kept())

    def write(self, slot: Slot) -> None:
        """Write a slot to a place that no kept slot has, and set its number. The caller syncs."""
        taken = [kept.number for kept in self.kept()]
        number = 0
        while number in taken:
            number += 1
        slot.number = number
        self._before = (number, self._pages[number])
        self._number = slot.transaction
        page = slot.encode()
        if self.highest > slot.transaction:
            # A second copy of an old state may go to the page that held a number that was taken back.
            page = burn(page, self.highest)
        self._pages[number] = page
        self.device.write(number * NODE_SIZE, page)

    @property
    def doubled(self) -> bool:
        """Whether two slots name the newest state, so that damage to one does not lead to an older one."""
        newest = self.valid[0].transaction
        return sum(slot.transaction == newest and slot.synced for slot in self.valid) > 1

    def poison(self, what: str, error: BaseException) -> None:
        """Note that nothing more may be written, because the contents of the disk are not known any more."""
        self.failure = f"{what} ({shown_text(getattr(error, 'strerror', None) or shown_error(error))})"

    def take_back(self) -> None:
        """Restore the page of the last ``write``, because that write, or the sync after it, failed."""
        number, before = self._before
        if before:
            self._pages[number] = burn(before, self._number)
            self.device.write(number * NODE_SIZE, self._pages[number])

    def published(self, slot: Slot) -> None:
        """Note that a slot was written, and synced if the slot says so."""
        self._before = (0, b"")
        self.valid = [slot, *[each for each in self.kept() if each.number != slot.number]]
        self.dropped.pop(slot.number, None)
        self.highest = max(self.highest, slot.transaction)

    @property
    def last_synced(self) -> int:
        """Number of the newest synced transaction; 0 if none is known."""
        return max((slot.transaction for slot in self.valid if slot.synced), default=0)

    def recover(self, unsynced: list[tuple[int, int]]) -> None:
        """Write the slots, and every byte in the extents of the newest slot's digest, again; then sync.

        Args:
            unsynced: blocks (address, size) that unsynced commits wrote; they are written again, too.

        The bytes in the page cache may never have reached the disk: the last writer was killed between
        writing and syncing, or its sync failed and the kernel marked the pages as clean. Nothing may be
        allocated before this is done. The let-go word is cleared, before anything else can be written.
        """
        for address, size in [*self.newest.extents, *unsynced]:
            for begin in range(address, address + size, MAX_DIGESTED):
                piece = self.device.read(begin, min(MAX_DIGESTED, address + size - begin))
                self.device.write(begin, piece)
        content = self.device.read(0, HEADER_SIZE)
        # A slot that lost to an older one must not win later: the next transaction may write exactly the
        # bytes that match its digest to the same free space. So that slot is erased.
        # The other slots are written as they are: a handle whose syncs failed may have restored one of them.
        for number in range(SLOT_COUNT):
            page = content[number * NODE_SIZE : (number + 1) * NODE_SIZE]
            if number == LET_GO_AT // NODE_SIZE:
                page = _without_word(page)
            if self.dropped.get(number, EMPTY) not in {EMPTY, UNSYNCED}:
                page = burn(bytes(NODE_SIZE), self.highest)
            self._pages[number] = page
            self.device.write(number * NODE_SIZE, page)
        self.device.sync()

    def write_let_go(self) -> None:
        """Write the let-go word: all up to the newest state is on the disk, and nothing was begun since.

        It is written after the last sync, for the next writer, which then need not make sure of this. If the
        word does not reach the disk, the next writer makes sure.
        """
        self.device.write(LET_GO_AT, self.newest.transaction.to_bytes(8, "little"))


def _bits(word: int) -> str:
    """Return the numbers of the bits that are set in a word of features, for a message."""
    found = [str(bit) for bit in range(64) if word >> bit & 1]
    return f"bit{'s' if len(found) > 1 else ''} {', '.join(found)}"


def _without_word(page: bytes) -> bytes:
    """Return the page of the last slot without the let-go word."""
    at = LET_GO_AT % NODE_SIZE
    return page[:at] + bytes(8) + page[at + 8 :]


def write_empty(device: Device, file_id: bytes) -> None:
    """Write the header of a new, empty region; the caller syncs."""
    first = Slot(file_id=file_id, transaction=1, length=HEADER_SIZE)
    device.write(0, first.encode() + bytes((SLOT_COUNT - 1) * NODE_SIZE))
