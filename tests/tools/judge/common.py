"""What all parts of the judge use: limits of the format, faults, ranges of bytes, checksums."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TypeVar

import xxhash

PAGE = 4096
REGION_PAGE = 65536
HEADER = 12288
LET_GO = 12272
LARGEST_ADDRESS = 1 << 56
LARGEST_TRANSACTION = 1 << 48
INLINE = 8
MOST_LEVELS = 12
KIND_NODE, KIND_BLOB, KIND_RAW = 1, 2, 3

MOST_FAULTS = 100

V = TypeVar("V")

Range = tuple[int, int]
ZEROS = bytes(PAGE)

xxh3 = xxhash.xxh3_64_intdigest


class Faults(list[str]):
    """What is wrong, each thing once, and not without bound."""

    def add(self, fault: str) -> None:
        """Remember a fault unless there are too many."""
        if len(self) < MOST_FAULTS:
            self.append(fault)
        elif len(self) == MOST_FAULTS:
            self.append("and more")


def zero(content: bytes, start: int, end: int) -> bool:
    """Return whether at most one page of bytes are all zero."""
    return content[start:end] == ZEROS[: max(0, end - start)]


def text(raw: bytes) -> str | None:
    """Return what UTF-8 bytes say; None if they are not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


# Ranges -------------------------------------------------------------------------------------------


def union(ranges: Iterable[Range]) -> list[Range]:
    """Return the same bytes as sorted ranges that do not touch."""
    merged: list[Range] = []
    first, last = -1, -1
    for start, end in sorted(ranges):
        if start >= end:
            continue
        if start > last:
            if last > first:
                merged.append((first, last))
            first, last = start, end
        elif end > last:
            last = end
    if last > first:
        merged.append((first, last))
    return merged


def minus(left: Sequence[Range], right: Sequence[Range]) -> list[Range]:
    """Return the bytes of one union that are not in another."""
    rest: list[Range] = []
    k = 0
    for first, end in left:
        start = first
        while k < len(right) and right[k][1] <= start:
            k += 1
        j = k
        while j < len(right) and right[j][0] < end:
            if right[j][0] > start:
                rest.append((start, right[j][0]))
            start = max(start, right[j][1])
            j += 1
        if start < end:
            rest.append((start, end))
    return rest


def common(left: Sequence[Range], right: Sequence[Range]) -> list[Range]:
    """Return the bytes that two unions both have."""
    return minus(left, minus(left, right))


def paint(ranges: Sequence[tuple[int, int, V]]) -> list[tuple[int, int, V]]:
    """Return who painted each byte last, as sorted ranges. O(n log n), whatever overlaps."""
    points = sorted(set(chain.from_iterable((start, end) for start, end, _ in ranges)))
    index = {point: k for k, point in enumerate(points)}
    undecided = list(range(len(points) + 1))
    owner: list[V | None] = [None] * len(points)
    for start, end, value in reversed(ranges):
        stop = index[end]
        k = index[start]
        while True:
            root = k
            while undecided[root] != root:
                root = undecided[root]
            while undecided[k] != root:
                undecided[k], k = root, undecided[k]
            if root >= stop:
                break
            owner[root] = value
            undecided[root] = k = root + 1
    painted: list[tuple[int, int, V]] = []
    for k in range(len(points) - 1):
        value = owner[k]
        if value is None:
            continue
        if painted and painted[-1][1] == points[k] and painted[-1][2] == value:
            painted[-1] = (painted[-1][0], points[k + 1], value)
        else:
            painted.append((points[k], points[k + 1], value))
    return painted


# CRC-32C ------------------------------------------------------------------------------------------


def _tables() -> tuple[list[int], list[int]]:
    """Return the tables for one byte and for two (RFC 3720 B.4, reflected)."""
    one = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        one.append(crc)
    low = [(crc & 0xFF, crc >> 8) for crc in one]
    return one, [one[crc ^ high] ^ rest for high in range(256) for crc, rest in low]


_ONE, _TWO = _tables()
_SEEN: dict[bytes, int] = {}
_SEEN_BYTES = [0]


def crc32c(blob: bytes) -> int:
    """Return the CRC-32C; what was asked before is remembered, up to 32 MiB of it."""
    crc = _SEEN.get(blob)
    if crc is not None:
        return crc
    crc = 0xFFFFFFFF
    table = _TWO
    even = len(blob) & ~1
    words = memoryview(blob)[:even].cast("H") if _LITTLE else ()
    for word in words:
        crc = (crc >> 16) ^ table[(crc & 0xFFFF) ^ word]
    for byte in blob[even:] if _LITTLE else blob:
        crc = (crc >> 8) ^ _ONE[(crc & 0xFF) ^ byte]
    crc ^= 0xFFFFFFFF
    if _SEEN_BYTES[0] > 1 << 25:
        _SEEN.clear()
        _SEEN_BYTES[0] = 0
    _SEEN[blob] = crc
    _SEEN_BYTES[0] += len(blob) + 100
    return crc


_LITTLE = memoryview(b"\1\0").cast("H")[0] == 1
