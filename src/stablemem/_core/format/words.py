"""Little-endian words in a page, for the interpreted form; ``words.pxd`` has the same functions in C.

A page is any object with the buffer protocol: a slice of the map, or the bytes of a dirty node. This module
is never compiled: compiled modules use the inline functions of the ``.pxd``.

>>> page = bytearray(16)
>>> put64(page, 8, 2**40 + 7)
>>> get64(page, 8) - 2**40, get32(page, 8), get16(page, 8), get8(page, 8)
(7, 7, 7, 7)
"""

from struct import Struct

Page = bytes | bytearray | memoryview

_U16 = Struct("<H")
_U32 = Struct("<I")
_U64 = Struct("<Q")


def get8(page: Page, offset: int) -> int:
    """Return the byte at ``offset``."""
    return page[offset]


def get16(page: Page, offset: int) -> int:
    """Return the 16-bit word at ``offset``."""
    value: int = _U16.unpack_from(page, offset)[0]
    return value


def get32(page: Page, offset: int) -> int:
    """Return the 32-bit word at ``offset``."""
    value: int = _U32.unpack_from(page, offset)[0]
    return value


def get64(page: Page, offset: int) -> int:
    """Return the 64-bit word at ``offset``."""
    value: int = _U64.unpack_from(page, offset)[0]
    return value


def put8(page: bytearray, offset: int, value: int) -> None:
    """Store a byte at ``offset``."""
    page[offset] = value


def put16(page: bytearray, offset: int, value: int) -> None:
    """Store a 16-bit word at ``offset``."""
    _U16.pack_into(page, offset, value)


def put64(page: bytearray, offset: int, value: int) -> None:
    """Store a 64-bit word at ``offset``."""
    _U64.pack_into(page, offset, value)


def mark(number: int) -> int:
    """Return the address, in memory only, of dirty node or pending blob ``number`` (see kinds.py)."""
    return number | 1 << 63


def unmark(address: int) -> int:
    """Return the number in a marked address."""
    return address ^ 1 << 63


def low32(word: int) -> int:
    """Return the low half of a 64-bit word."""
    return word & 0xFFFFFFFF


def high32(word: int) -> int:
    """Return the high half of a 64-bit word."""
    return word >> 32


def move(page: bytearray, to: int, source: int, size: int) -> None:
    """Move ``size`` bytes within the page; the ranges may overlap."""
    page[to : to + size] = page[source : source + size]
