# cython: annotation_typing=False
"""Header: three commit slots, which of them counts, and the next one to write.

A slot is a 4 KiB page; its 512 bytes in use fit one sector:

    0    magic "stablmem"            8     120  checksum of that log page   u64
    8    format                      u32   128  its sequence number         u64
    12   flags: 1 synced, 2 digest   u32   136  oldest page needed          u64
    16   file id                     16    144  slot number                 u32
    32   transaction                 u64   148  digest extents              u32
    40   length of the file in use   u64   152  digest (XXH3-64)            u64
    48   boot id, zeros if synced    16    160  16 extents of address u64,  192
    64   root of "main": address     u64        size u32
    72        checksum               u64   352  zeros                       152
    80        values                 u64   504  XXH3-64 of bytes 0 to 504   u64
    88        height                 u32   512  zeros to the end of the page;
    92   catalog: size               u32        in slot 2, 4092: wake word (turns.py)
    96        address                u64
    104       checksum               u64
    112  newest log page             u64

In a page whose slot was taken back, bytes 512 to 520 hold the number of the transaction that was in it, and
520 to 528 the XXH3-64 of those 8 bytes.

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
from dataclasses import dataclass, field
from struct import Struct
from typing import Any

from ..errors import CorruptRegionError, NotARegionError, VersionError
from ..layout import FORMAT, HEADER_SIZE, MAX_ADDRESS, MAX_LEVELS, NODE_SIZE, SLOT_COUNT
from ..shown import shown_path
from .checksum import page_checksum
from .device import Device

__all__ = ["MAGIC", "Header", "Slot", "boot_id", "write_empty"]

MAGIC = b"stablmem"
MAX_EXTENTS = 16
MAX_DIGESTED = 1 << 20
MAX_TRANSACTION = 1 << 48

_SYNCED = 1
_DIGEST = 2
_SLOT = Struct("<8sII16sQQ16sQQQIIQQQQQQIIQ")
_EXTENT = Struct("<QI")
_EXTENTS_AT = 160
_CHECK_AT = 504
_BURNED_AT = 512
_NO_BOOT = bytes(16)
_EMPTY = "empty"
_UNSYNCED = "written but not synced before the machine stopped"

Tree = tuple[int, int, int, int]
"""(root, checksum, height, length) of an index."""


def boot_id() -> bytes:
    """Return the 16 bytes that name this boot of the machine.

    Where the kernel does not tell, random ones: then no handle counts another's unsynced commits.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return bytes.fromhex(file.read().strip().replace("-", ""))
    except (OSError, ValueError):
        return os.urandom(16)


@dataclass(slots=True)
class Slot:
    """One committed state, as a slot of the header names it."""

    file_id: bytes
    transaction: int
    length: int
    synced: bool = True
    boot: bytes = _NO_BOOT
    main: Tree = (0, 0, 0, 0)
    catalog: tuple[int, int, int] = (0, 0, 0)
    """(address, size, checksum); size 0 is an empty catalog."""
    log_page: int = 0
    log_check: int = 0
    log_newest: int = 0
    log_oldest: int = 1
    extents: tuple[tuple[int, int], ...] = ()
    digest: int | None = None
    number: int = field(default=0, compare=False)

    def state(self) -> tuple[Any, ...]:
        """Return what names the state, without its digest: ``Slot(*state)`` is one of it."""
        return (
            self.file_id, self.transaction, self.length, self.synced, self.boot, self.main, self.catalog,
            self.log_page, self.log_check, self.log_newest, self.log_oldest,
        )  # fmt: skip

    def encode(self) -> bytes:
        """Return the slot's page of 4096 bytes."""
        root, check, height, length = self.main
        page = bytearray(NODE_SIZE)
        flags = (_SYNCED if self.synced else 0) | (_DIGEST if self.digest is not None else 0)
        _SLOT.pack_into(
            page, 0, MAGIC, FORMAT, flags, self.file_id, self.transaction, self.length, self.boot,
            root, check, length, height, self.catalog[1], self.catalog[0], self.catalog[2],
            self.log_page, self.log_check, self.log_newest, self.log_oldest,
            self.number, len(self.extents), self.digest or 0,
        )  # fmt: skip
        for number, extent in enumerate(self.extents):
            _EXTENT.pack_into(page, _EXTENTS_AT + number * _EXTENT.size, *extent)
        page[_CHECK_AT : _CHECK_AT + 8] = page_checksum(page[:_CHECK_AT]).to_bytes(8, "little")
        return bytes(page)


def decode(page: bytes, number: int) -> Slot | str:
    """Return slot ``number``, read from its page of 4096 bytes, or what is wrong with it."""
    if len(page) < NODE_SIZE:
        return "the file ends within it"
    if page[:8] != MAGIC:
        return _EMPTY if not any(page[: _CHECK_AT + 8]) else "no magic"
    if int.from_bytes(page[_CHECK_AT : _CHECK_AT + 8], "little") != page_checksum(page[:_CHECK_AT]):
        return "its checksum does not match"
    (
        _, form, flags, file_id, transaction, length, boot, root, check, values, height,
        catalog_size, catalog, catalog_check, log_page, log_check, log_newest, log_oldest,
        own_number, extent_count, digest,
    ) = _SLOT.unpack_from(page)  # fmt: skip
    if form != FORMAT:
        return f"its format is {form}"
    if own_number != number:
        return f"it says it is slot {own_number}"
    if not 0 < transaction < MAX_TRANSACTION:
        return f"its transaction number is {transaction}"
    if not HEADER_SIZE <= length <= MAX_ADDRESS:
        return f"its length is {length}"
    if (
        height > MAX_LEVELS
        or values >= MAX_ADDRESS
        or (height == 0) != (values == 0)
        or (height == 0) != (root == 0)
    ):
        return f"its tree has {height} levels and {values} values"
    if root % NODE_SIZE or (height and not HEADER_SIZE <= root <= length - NODE_SIZE):
        return f"its root is at {root}"
    if catalog_size and not HEADER_SIZE <= catalog <= length - catalog_size:
        return f"its catalog is at {catalog}"
    if log_newest and (
        log_page % NODE_SIZE
        or not HEADER_SIZE <= log_page <= length - NODE_SIZE
        or not 0 < log_oldest <= log_newest
        or log_newest - log_oldest > length // NODE_SIZE
    ):
        return f"its log runs from {log_oldest} to {log_newest} at {log_page}"
    if extent_count > MAX_EXTENTS:
        return f"it has {extent_count} extents"
    extents = tuple(
        _EXTENT.unpack_from(page, _EXTENTS_AT + each * _EXTENT.size) for each in range(extent_count)
    )
    if sum(extent for _, extent in extents) > MAX_DIGESTED:
        return "its digest is over too much"
    if any(address < HEADER_SIZE or address + extent > length for address, extent in extents):
        return "its digest leaves the file"
    return Slot(
        file_id=file_id,
        transaction=transaction,
        length=length,
        synced=bool(flags & _SYNCED),
        boot=boot,
        main=(root, check, height, values),
        catalog=(catalog, catalog_size, catalog_check),
        log_page=log_page,
        log_check=log_check,
        log_newest=log_newest,
        log_oldest=log_oldest,
        extents=extents,
        digest=digest if flags & _DIGEST else None,
        number=number,
    )


def _burn(page: bytes, transaction: int) -> bytes:
    """Return a slot's page with the number of a transaction that was taken back from it.

    A snapshot may still stand on that transaction: whoever counts on must not use its number again.
    """
    number = transaction.to_bytes(8, "little")
    check = page_checksum(number).to_bytes(8, "little")
    return page[:_BURNED_AT] + number + check + page[_BURNED_AT + 16 :]


def _burned(page: bytes) -> int:
    """Return the number that ``_burn`` put into a page, 0 for none."""
    number = page[_BURNED_AT : _BURNED_AT + 8]
    found = int.from_bytes(number, "little")
    check = int.from_bytes(page[_BURNED_AT + 8 : _BURNED_AT + 16], "little")
    return found if 0 < found < MAX_TRANSACTION and check == page_checksum(number) else 0


def newest_number(device: Device) -> int:
    """Return the highest transaction number that a slot names now, whether it counts or not."""
    content = device.read(0, HEADER_SIZE)
    slots = [decode(content[n * NODE_SIZE : (n + 1) * NODE_SIZE], n) for n in range(SLOT_COUNT)]
    return max((slot.transaction for slot in slots if isinstance(slot, Slot)), default=0)


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

    Raises:
        NotARegionError: no slot has the magic.
        VersionError: the slots are of a format that this version does not read.
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
        self._pages = [content[number * NODE_SIZE : (number + 1) * NODE_SIZE] for number in range(SLOT_COUNT)]
        self._before = (0, b"")
        self._number = 0
        for number, page in enumerate(self._pages):
            self.highest = max(self.highest, _burned(page))
            found = decode(page, number)
            if isinstance(found, str):
                self.dropped[number] = found
                continue
            self.highest = max(self.highest, found.transaction)
            if not found.synced and found.boot != boot:
                self.dropped[number] = _UNSYNCED
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
            page = _burn(page, self.highest)
        self._pages[number] = page
        self.device.write(number * NODE_SIZE, page)

    @property
    def sealed(self) -> bool:
        """Whether two slots name the newest state, so that damage to one does not lead to an older one."""
        newest = self.valid[0].transaction
        return sum(slot.transaction == newest and slot.synced for slot in self.valid) > 1

    def take_back(self) -> None:
        """Restore the slot that ``write`` wrote last, or began to: it failed, or its sync did."""
        number, before = self._before
        if before:
            self._pages[number] = _burn(before, self._number)
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
        anything be allocated.
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
            if self.dropped.get(number, _EMPTY) not in {_EMPTY, _UNSYNCED}:
                page = _burn(bytes(NODE_SIZE), self.highest)
            self._pages[number] = page
            self.device.write(number * NODE_SIZE, page)
        self.device.sync()


def write_empty(device: Device, file_id: bytes) -> None:
    """Write the header of a new, empty region; the caller syncs."""
    first = Slot(file_id=file_id, transaction=1, length=HEADER_SIZE)
    device.write(0, first.encode() + bytes((SLOT_COUNT - 1) * NODE_SIZE))
