"""Header: which of the three commit slots counts, and the next one to write.

Invariants:

* A commit writes the slot that is neither the newest valid one nor the last synced one; what the
  other two reach is never written to meanwhile.
* Of the slots that pass magic, format, bounds, length and checksum, the newest counts; an unsynced one
  only under the boot it was written in. Invalid slots are dropped before numbers are compared.
* A region that was closed has its newest state in two slots: there a damaged slot is told from one
  that a crash tore, and nobody is led back to an older state.
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
    """Return the 16 bytes that name this boot of the machine.

    Where the kernel does not tell, random ones: then no handle counts another's unsynced commits.
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
    """Return whether a slot says that the file takes no more changes; damaged ones say nothing."""
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
        valid: the slots that may count, newest first; a digest is checked only where it decides.
        dropped: what is wrong with each of the others, by slot number.
        highest: the highest transaction number in any slot whose checksum holds, or taken back from one.
        failure: why nothing may be written any more; empty while all went well.

    Raises:
        NotARegionError: no slot has the magic.
        VersionError: the slots are of a format that this version does not read, or the one that counts needs
            a feature that it lacks.
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
                    # Its length was on the disk before the slot was: no crash leaves this.
                    raise CorruptRegionError(
                        size, f"{found.length} bytes", "the end of the file", device.path
                    )
                self.dropped[number] = f"it needs {found.length} bytes, the file has {size}"
            else:
                self.valid.append(found)
        # Of two slots of one transaction the synced one, and the one without a digest, which needs no look at
        # the data.
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
        """Return whether a slot has no digest, or what it covers is there."""
        return slot.digest is None or self.digest(slot.extents) == slot.digest

    def digest(self, extents: tuple[tuple[int, int], ...]) -> int:
        """Return the XXH3-64 of what the extents hold now, one behind the other."""
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
        """Raise if nobody may change the region, or this version may not.

        Raises:
            ReadOnlyError: the region is sealed.
            VersionError: to change it needs a feature that this version lacks.
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
        """Return the slots that the next commit leaves alone: newest, last synced, one older."""
        kept = [self.valid[0]]
        kept += [slot for slot in self.valid[1:] if slot.synced][:1]
        return kept

    @property
    def floor(self) -> int:
        """The oldest transaction whose state must stay whole through the next commit."""
        return min(slot.transaction for slot in self.kept())

    def write(self, slot: Slot) -> None:
        """Write a slot where no kept one is, which gives it its number. The caller syncs."""
        taken = [kept.number for kept in self.kept()]
        number = 0
        while number in taken:
            number += 1
        slot.number = number
        self._before = (number, self._pages[number])
        self._number = slot.transaction
        page = slot.encode()
        if self.highest > slot.transaction:
            # A second copy of an old state may take the page that held a number taken back.
            page = burn(page, self.highest)
        self._pages[number] = page
        self.device.write(number * NODE_SIZE, page)

    @property
    def doubled(self) -> bool:
        """Whether two slots name the newest state, so that damage to one does not lead to an older one."""
        newest = self.valid[0].transaction
        return sum(slot.transaction == newest and slot.synced for slot in self.valid) > 1

    def poison(self, what: str, error: BaseException) -> None:
        """Note that nothing more may be written: what the disk has now is not known."""
        self.failure = f"{what} ({shown_text(getattr(error, 'strerror', None) or shown_error(error))})"

    def take_back(self) -> None:
        """Restore the slot that ``write`` wrote last, or began to: it failed, or its sync did."""
        number, before = self._before
        if before:
            self._pages[number] = burn(before, self._number)
            self.device.write(number * NODE_SIZE, self._pages[number])

    def published(self, slot: Slot) -> None:
        """Note that a slot is written, and synced if it says so."""
        self._before = (0, b"")
        self.valid = [slot, *[each for each in self.kept() if each.number != slot.number]]
        self.dropped.pop(slot.number, None)
        self.highest = max(self.highest, slot.transaction)

    @property
    def last_synced(self) -> int:
        """Number of the newest transaction that was synced, 0 if none is known."""
        return max((slot.transaction for slot in self.valid if slot.synced), default=0)

    def recover(self, unsynced: list[tuple[int, int]]) -> None:
        """Write the slots and every byte of the newest one's digest extents again, then sync.

        Args:
            unsynced: blocks (address, size) written by commits that were not synced: these too.

        What the page cache shows may never have reached the disk: the writer before was killed between
        writing and syncing, or its sync failed and the kernel marked the pages clean. Only after this may
        anything be allocated. The word of who let go last is taken back, before anything else can follow.
        """
        for address, size in [*self.newest.extents, *unsynced]:
            for begin in range(address, address + size, MAX_DIGESTED):
                piece = self.device.read(begin, min(MAX_DIGESTED, address + size - begin))
                self.device.write(begin, piece)
        content = self.device.read(0, HEADER_SIZE)
        # A slot that lost to an older one must not win later: the next transaction may write, to the same
        # free space, the very bytes that its digest waits for.
        # The others are written as they are: one may have been put back by a handle whose syncs failed.
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
        """Say that everything up to the newest state is on the disk, and that nothing was begun since.

        For the next writer, who need not make sure of it; written after the last sync. If it does not reach
        the disk, the next writer makes sure.
        """
        self.device.write(LET_GO_AT, self.newest.transaction.to_bytes(8, "little"))


def _bits(word: int) -> str:
    """Return which bits of a word of features are set, for a message."""
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
