"""Disk: what a file's medium may hold at a moment, kept cheap enough to be asked thousands of times a second.

    safe     what every sync so far has made sure of; a memfd holds the same bytes
    loose    pieces written since, of at most 4 KiB, in order; a change of the length is one of its own
    image    safe and some of the loose pieces: laid over the memfd for a check, then taken off again

Zeros written behind the end are a change of the length and nothing else: whether they arrived shows in
nothing but the length. A piece that is kept beyond the end extends the file to its own end.

A sync that fails has three outcomes for each piece before it: on the disk; lost for ever, though the page
cache still shows it; or still waiting for a later sync.
"""

import os
import random

from xxhash import xxh3_64_intdigest

from stablemem._core.disk.device import Device

__all__ = ["ALL", "NONE", "PAGE", "RETAINED", "Disk", "Piece", "Probe", "arrived"]

PAGE = 4096
SECTOR = 512
WORD = 8
_MASK = (1 << 64) - 1
_ZEROS = bytes(PAGE)

NONE, ALL, RETAINED = 0, 1, 2
"""What became of the pieces before a failed sync: lost, on the disk, or as before; others: some of them."""

SET = "set"
GROW = "grow"
Piece = tuple[int, "bytes | str"]
"""(address, bytes within one page), or (length, SET or GROW)."""


def arrived(choice: int, count: int) -> set[int]:
    """Return which of ``count`` pieces a failed sync brought to the disk."""
    if choice in {NONE, ALL}:
        return set(range(count)) if choice == ALL else set()
    rng = random.Random(choice)
    share = rng.choice([0.2, 0.5, 0.8])
    return {one for one in range(count) if rng.random() < share}


def _hash(number: int, page: bytes | bytearray) -> int:
    """Return a hash of a page at its place, 0 for zeros."""
    return 0 if page == _ZEROS else xxh3_64_intdigest(page, number)


class Disk:
    """A disk that events are played to, and whose images can be opened.

    Attributes:
        safe: what is on it whatever happens.
        loose: the pieces written since.
        ghosts: what the page cache shows and the disk has lost for ever.
        descriptor: a memfd with the bytes of ``safe``, except while an image lies over it.
    """

    def __init__(self, start: bytes = b"") -> None:
        self.descriptor = os.memfd_create("powercut", os.MFD_CLOEXEC)
        self.safe = bytearray()
        self.begin(start)

    def begin(self, start: bytes) -> None:
        """Start anew with these bytes, all of them safe."""
        self.safe = bytearray(start)
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, start, 0)
        self.loose: list[Piece] = []
        self.ghosts: list[Piece] = []
        self.length = len(start)
        padded = start + bytes(-len(start) % PAGE)
        self._hashes = {
            number: found
            for number in range(len(padded) // PAGE)
            if (found := _hash(number, padded[number * PAGE : (number + 1) * PAGE]))
        }
        self._total = sum(self._hashes.values()) & _MASK
        self._touched: set[int] = set()

    def close(self) -> None:
        """Let go of the memory."""
        os.close(self.descriptor)

    # -- events --------------------------------------------------------------------------------------

    def play(self, event: tuple, choice: int = NONE) -> None:
        """Take one event: of a RecordingDevice's, or ("failed", choice) for a sync that failed."""
        what = event[0]
        if what == "write":
            _, address, data = event
            end = address + len(data)
            if address >= self.length and len(data) >= PAGE and data.count(0) == len(data):
                self.loose.append((end, GROW))
            else:
                self.loose += split(address, data, PAGE)
            self.length = max(self.length, end)
        elif what == "truncate":
            self.loose.append((event[1], SET))
            self.length = event[1]
        elif what == "sync":
            self._settle(self.loose)
            self.loose = []
        elif choice != RETAINED:
            kept = arrived(choice, len(self.loose))
            self.ghosts += [piece for number, piece in enumerate(self.loose) if number not in kept]
            self._settle([piece for number, piece in enumerate(self.loose) if number in kept])
            self.loose = []

    def _settle(self, pieces: list[Piece]) -> None:
        """Make pieces safe."""
        pages, length, _ = self.build(pieces)
        for number, page in pages.items():
            found = _hash(number, page)
            self._total = (self._total - self._hashes.pop(number, 0) + found) & _MASK
            if found:
                self._hashes[number] = found
            self._touched.add(number)
        if length > len(self.safe):
            self.safe.extend(bytes(length - len(self.safe)))
        for number, page in pages.items():
            start = number * PAGE
            if start < length:
                self.safe[start : start + PAGE] = page[: length - start]
        del self.safe[length:]
        self.clear()

    # -- images --------------------------------------------------------------------------------------

    def build(self, pieces: list[Piece]) -> tuple[dict[int, bytearray], int, int]:
        """Return the pages, the length and the key of the image that has only these loose pieces."""
        safe = self.safe
        pages: dict[int, bytearray] = {}
        length = len(safe)
        for address, data in pieces:
            if isinstance(data, str):
                if data == SET and address < length:
                    for number in range(address // PAGE, -(-length // PAGE)):
                        if number in pages or number in self._hashes:
                            page = self._page(pages, number)
                            cut = max(0, address - number * PAGE)
                            page[cut:] = bytes(PAGE - cut)
                    length = address
                elif address > length:
                    length = address
                continue
            number = address // PAGE
            page = pages.get(number)
            if page is None:
                page = self._page(pages, number)
            place = address - number * PAGE
            page[place : place + len(data)] = data
            length = max(length, address + len(data))
        total = self._total
        for number, page in pages.items():
            total += _hash(number, page) - self._hashes.get(number, 0)
        return pages, length, hash((total & _MASK, length))

    def _page(self, pages: dict[int, bytearray], number: int) -> bytearray:
        page = pages.get(number)
        if page is None:
            page = self.safe[number * PAGE : (number + 1) * PAGE]
            if len(page) < PAGE:
                page.extend(bytes(PAGE - len(page)))
            pages[number] = page
        return page

    def lay(self, pages: dict[int, bytearray], length: int) -> None:
        """Lay an image over the memfd."""
        descriptor = self.descriptor
        for number, page in pages.items():
            start = number * PAGE
            if start < length:
                os.pwrite(descriptor, page[: length - start], start)
        self._touched.update(pages)
        if length != len(self.safe):
            if length < len(self.safe):
                self._touched.update(n for n in self._hashes if (n + 1) * PAGE > length)
            os.ftruncate(descriptor, length)

    def clear(self) -> None:
        """Take the image off again."""
        descriptor, safe = self.descriptor, self.safe
        os.ftruncate(descriptor, len(safe))
        for number in self._touched:
            page = safe[number * PAGE : (number + 1) * PAGE]
            if page:
                os.pwrite(descriptor, page, number * PAGE)
        self._touched.clear()

    def bytes(self) -> bytes:
        """Return what the memfd holds."""
        return os.pread(self.descriptor, os.fstat(self.descriptor).st_size, 0)

    def touch(self, start: int, stop: int) -> None:
        """Note that somebody writes to a range of the memfd."""
        self._touched.update(range(start // PAGE, -(-stop // PAGE)))


def split(address: int, data: bytes, grain: int) -> list[Piece]:
    """Return a write in pieces that end at multiples of ``grain``."""
    if address % grain + len(data) <= grain:
        return [(address, data)]
    pieces: list[Piece] = []
    place = 0
    while place < len(data):
        size = grain - (address + place) % grain
        pieces.append((address + place, data[place : place + size]))
        place += size
    return pieces


def torn(piece: Piece, grain: int, rng: random.Random) -> list[Piece]:
    """Return some of the parts of ``grain`` bytes of a piece, neither none nor all."""
    address, data = piece
    assert isinstance(data, bytes)
    parts = split(address, data, grain)
    if len(parts) < 2:
        return parts
    share = rng.choice([0.1, 0.5, 0.9])
    kept = {one for one in range(len(parts)) if rng.random() < share}
    if not kept or len(kept) == len(parts):
        kept = {*range(rng.randrange(1, len(parts)))}
    return [part for number, part in enumerate(parts) if number in kept]


class Probe(Device):
    """A device on a disk's memfd; what is written there can be taken off again.

    Attributes:
        events: what was written, cut and synced; None records nothing.
    """

    def __init__(self, disk: Disk, record: bool = False) -> None:
        self.descriptor = disk.descriptor
        self.path = "probe"
        self.closed = False
        self.disk = disk
        self.events: list[tuple] | None = [] if record else None

    def write_run(self, address, pieces):
        data = b"".join(pieces)
        if self.events is not None:
            self.events.append(("write", address, data))
        self.disk.touch(address, address + len(data))
        os.pwrite(self.descriptor, data, address)

    def punch(self, address, size):
        self.write_run(address, [bytes(size)])

    def sync(self):
        if self.events is not None:
            self.events.append(("sync",))

    def truncate(self, size):
        if self.events is not None:
            self.events.append(("truncate", size))
        self.disk.touch(size, self.size())
        os.ftruncate(self.descriptor, size)

    def reopen(self):
        """Return a device on the same description: there are no readers here whose locks would count."""
        return Probe(self.disk)

    def close(self):
        self.closed = True
