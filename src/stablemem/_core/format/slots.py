"""Slots: the three pages at the start of a region, each of which names one committed state.

A slot is a 4 KiB page. Its 512 bytes in use fit into one sector:

    0    magic "stablmem"            8     120  catalog: size in bytes      u64
    8    format                      u32   128  newest log page: address    u64
    12   flags: 1 synced, 2 digest,  u32   136        checksum              u64
         4 sealed                          144        sequence number       u64
    16   file id                     16    152  oldest page needed          u64
    32   transaction                 u64   160  features needed to read     u64
    40   length of the file in use   u64   168  features needed to write    u64
    48   boot id, zeros if synced    16    176  slot number                 u32
    64   "main": root address        u64   180  digest extents              u32
    72        root checksum          u64   184  digest (XXH3-64)            u64
    80        values                 u64   192  16 extents of address u64,  192
    88        dropped from the front u64        size u32
    96        height                 u32   384  zeros                       120
    100  catalog: height, 0          u32   504  XXH3-64 of bytes 0 to 504   u64
    104       address                u64   512  zeros to the end of the page;
    112       checksum               u64        in slot 2 they end with two words

    slot 2, at the end of the header:
    12272  let-go word: the newest transaction, if its writer let go cleanly, else 0    u64
    12280  zero                                                                         u32
    12284  wake word (turns.py)                                                         u32

In a page whose slot was taken back, bytes 512 to 520 have the number of the transaction that was in it, and
bytes 520 to 528 the XXH3-64 of these 8 bytes.

Invariants:

* A feature that is needed to read may change the meaning of "main", catalog and log, and of nothing else in a
  slot. So a slot with a feature that this version lacks is compared with the others like any slot. If it
  counts, the file is refused: an older state is never shown instead.
* A commit keeps the features that it found, and the number of values dropped from the front.
* If the let-go word is not 0, no handle has changed anything since it was written: recovery clears it first.
"""

from dataclasses import dataclass, field
from struct import Struct
from typing import Any

from ...layout import FORMAT, HEADER_SIZE, MAX_ADDRESS, MAX_LEVELS, NODE_SIZE
from .checksum import page_checksum

__all__ = [
    "EMPTY",
    "MAGIC",
    "MAX_DIGESTED",
    "MAX_EXTENTS",
    "MAX_TRANSACTION",
    "READ_FEATURES",
    "WRITE_FEATURES",
    "Slot",
    "Tree",
    "burn",
    "burned",
    "decode",
]

MAGIC = b"stablmem"
MAX_EXTENTS = 16
MAX_DIGESTED = 1 << 20
MAX_TRANSACTION = 1 << 48

READ_FEATURES = 0
"""The bits of the features needed to read that this version has."""

WRITE_FEATURES = 0
"""The bits of the features needed to write that this version has."""

_SYNCED = 1
_DIGEST = 2
_SEALED = 4
_SLOT = Struct("<8sII16sQQ16sQQQQIIQQQQQQQQQIIQ")
_EXTENT = Struct("<QI")
_EXTENTS_AT = 192
_CHECK_AT = 504
_BURNED_AT = 512
_NO_BOOT = bytes(16)
EMPTY = "empty"

Tree = tuple[int, int, int, int]
"""(root, checksum, height, length) of an index."""


@dataclass(slots=True)
class Slot:
    """A slot of the header: it names one committed state."""

    file_id: bytes
    transaction: int
    length: int
    synced: bool = True
    boot: bytes = _NO_BOOT
    main: Tree = (0, 0, 0, 0)
    catalog: tuple[int, int, int] = (0, 0, 0)
    """(address, size, checksum); the size of an empty catalog is 0."""
    log_page: int = 0
    log_check: int = 0
    log_newest: int = 0
    log_oldest: int = 1
    front: int = 0
    """Number of values ever dropped from the front of "main"; reserved."""
    sealed: bool = False
    """Whether the file takes no more changes."""
    needed_to_read: int = 0
    needed_to_write: int = 0
    extents: tuple[tuple[int, int], ...] = ()
    digest: int | None = None
    number: int = field(default=0, compare=False)

    def state(self) -> tuple[Any, ...]:
        """Return the fields that name the state, without the digest: ``Slot(*state)`` is a slot of it."""
        return (
            self.file_id, self.transaction, self.length, self.synced, self.boot, self.main, self.catalog,
            self.log_page, self.log_check, self.log_newest, self.log_oldest,
            self.front, self.sealed, self.needed_to_read, self.needed_to_write,
        )  # fmt: skip

    def encode(self) -> bytes:
        """Return the slot's page of 4096 bytes."""
        root, check, height, length = self.main
        page = bytearray(NODE_SIZE)
        flags = (_SYNCED if self.synced else 0) | (_DIGEST if self.digest is not None else 0)
        flags |= _SEALED if self.sealed else 0
        _SLOT.pack_into(
            page, 0, MAGIC, FORMAT, flags, self.file_id, self.transaction, self.length, self.boot,
            root, check, length, self.front, height, 0, self.catalog[0], self.catalog[2], self.catalog[1],
            self.log_page, self.log_check, self.log_newest, self.log_oldest,
            self.needed_to_read, self.needed_to_write, self.number, len(self.extents), self.digest or 0,
        )  # fmt: skip
        for number, extent in enumerate(self.extents):
            _EXTENT.pack_into(page, _EXTENTS_AT + number * _EXTENT.size, *extent)
        page[_CHECK_AT : _CHECK_AT + 8] = page_checksum(page[:_CHECK_AT]).to_bytes(8, "little")
        return bytes(page)


def decode(page: bytes, number: int) -> Slot | str:
    """Return slot ``number``, read from its page of 4096 bytes, or a text that says its fault."""
    if len(page) < NODE_SIZE:
        return "the file ends within it"
    if page[:8] != MAGIC:
        return EMPTY if not any(page[: _CHECK_AT + 8]) else "no magic"
    if int.from_bytes(page[_CHECK_AT : _CHECK_AT + 8], "little") != page_checksum(page[:_CHECK_AT]):
        return "its checksum does not match"
    (
        _, form, flags, file_id, transaction, length, boot, root, check, values, front, height,
        catalog_height, catalog, catalog_check, catalog_size, log_page, log_check, log_newest, log_oldest,
        needed_to_read, needed_to_write, own_number, extent_count, digest,
    ) = _SLOT.unpack_from(page)  # fmt: skip
    if form != FORMAT:
        return f"its format is {form}"
    if own_number != number:
        return f"it says it is slot {own_number}"
    if not 0 < transaction < MAX_TRANSACTION:
        return f"its transaction number is {transaction}"
    if not HEADER_SIZE <= length <= MAX_ADDRESS:
        return f"its length is {length}"
    known = not needed_to_read & ~READ_FEATURES
    if known and (
        height > MAX_LEVELS
        or values >= MAX_ADDRESS
        or (height == 0) != (values == 0)
        or (height == 0) != (root == 0)
    ):
        return f"its tree has {height} levels and {values} values"
    if known and (root % NODE_SIZE or (height and not HEADER_SIZE <= root <= length - NODE_SIZE)):
        return f"its root is at {root}"
    if known and catalog_size and not HEADER_SIZE <= catalog <= length - catalog_size:
        return f"its catalog is at {catalog}"
    if known and catalog_height:
        return f"its catalog has {catalog_height} levels"
    if (
        known
        and log_newest
        and (
            log_page % NODE_SIZE
            or not HEADER_SIZE <= log_page <= length - NODE_SIZE
            or not 0 < log_oldest <= log_newest
            or log_newest - log_oldest > length // NODE_SIZE
        )
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
        front=front,
        sealed=bool(flags & _SEALED),
        needed_to_read=needed_to_read,
        needed_to_write=needed_to_write,
        extents=extents,
        digest=digest if flags & _DIGEST else None,
        number=number,
    )


def burn(page: bytes, transaction: int) -> bytes:
    """Return the page of a slot with the number of a transaction that was taken back from it.

    A snapshot may still be open on that transaction, so its number must not be used again.
    """
    number = transaction.to_bytes(8, "little")
    check = page_checksum(number).to_bytes(8, "little")
    return page[:_BURNED_AT] + number + check + page[_BURNED_AT + 16 :]


def burned(page: bytes) -> int:
    """Return the number that ``burn`` put into a page; 0 for none."""
    number = page[_BURNED_AT : _BURNED_AT + 8]
    found = int.from_bytes(number, "little")
    check = int.from_bytes(page[_BURNED_AT + 8 : _BURNED_AT + 16], "little")
    return found if 0 < found < MAX_TRANSACTION and check == page_checksum(number) else 0
