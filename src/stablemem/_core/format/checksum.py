# cython: annotation_typing=False
"""The two checksums of the format: XXH3-64 for pages, CRC-32C for blobs.

XXH3-64 (package xxhash) covers nodes, log pages, slots, the catalog and digests. CRC-32C (Castagnoli
polynomial, reflected, as in RFC 3720 appendix B.4) covers blobs. If the processor has an instruction for it,
8 bytes take one instruction, and a short blob is checked in a few nanoseconds. Else tables are used.
"""

from xxhash import xxh3_64_intdigest

from .words import Page

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython

__all__ = ["COMPILED", "crc32c", "page_checksum"]

COMPILED = bool(cython.compiled)
"""Whether the engine runs compiled."""

page_checksum = xxh3_64_intdigest
"""Return the XXH3-64 of a page as an integer (about 0.15 us for 4 KiB)."""


def _tables() -> tuple[list[int], list[int]]:
    """Return the CRC-32C tables for steps of one byte and of two bytes."""
    one = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        one.append(value)
    two = [one[one[low] & 255] ^ (one[low] >> 8) for low in range(256)]
    wide = [two[word & 255] ^ one[word >> 8] for word in range(65536)]
    return one, wide


if not cython.compiled:
    _ONE, _TWO = _tables()


def crc32c(data: Page) -> int:
    """Return the CRC-32C of ``data``, at about 10 GB/s compiled and 30 MB/s interpreted.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    if cython.compiled:
        blob = bytes(data)
        return crc32c_at(blob, len(blob))
    else:
        crc = 0xFFFFFFFF
        even = len(data) & ~1
        # Two bytes in each step halve the interpreter's work. Four would need a table of 2**32 entries.
        for word in memoryview(data)[:even].cast("B").cast("H") if even else ():
            crc = _TWO[(crc ^ word) & 0xFFFF] ^ crc >> 16
        if even != len(data):
            crc = _ONE[(crc ^ data[even]) & 255] ^ crc >> 8
        return crc ^ 0xFFFFFFFF
