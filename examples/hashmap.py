"""A hash map in a file, laid out by hand in raw blocks of a MemoryRegion; keys and values are bytes.

    python examples/hashmap.py [REGION]

    root    the address of the header
    header  table u64, buckets u64, entries u64
    table   for each bucket the address of its first entry u64, 0 if it has none
    entry   next entry of the bucket u64, size of the key u32, size of the value u32, key, value

Everything is reached from the root by addresses, and a block stays where it is until it is freed. A call of
the map stores several times, and the commit of the region makes one step of all of it: after ``kill -9`` the
map is as it was at a commit. Commit between two calls, not within one, as ``autocommit=True`` would.
"""

import struct
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from zlib import crc32

from stablemem import MemoryRegion

HEADER = struct.Struct("<QQQ")
ENTRY = struct.Struct("<QII")
ADDRESS = 8


class HashMap(MutableMapping[bytes, bytes]):
    """A mapping in a region, which may hold any number of them under different names.

    Args:
        region: where it lives.
        name: the root that leads to it; it is made if there is none.
        buckets: to begin with, if it is made; they double when there are as many entries.
    """

    def __init__(self, region: MemoryRegion, name: str = "map", buckets: int = 8) -> None:
        self._region = region
        if name not in region.roots:
            table = region.add_blob(bytes(ADDRESS * buckets))
            region.roots[name] = (region.add_blob(HEADER.pack(table, buckets, 0)),)
        (self._header,) = region.roots[name]

    def _read_header(self) -> tuple[int, int, int]:
        """Return where the table is, how many buckets it has, and how many entries there are."""
        table, buckets, entries = HEADER.unpack(self._region.load(self._header, HEADER.size))
        return table, buckets, entries

    def _find(self, key: bytes) -> tuple[int, int, int]:
        """Return where the address of the entry of a key stands, the address, and the size of the value.

        The address is 0 if there is no such entry: then it would have to stand there.
        """
        table, buckets, _ = self._read_header()
        link = table + ADDRESS * (crc32(key) % buckets)
        while entry := self._region.load_as("u64", link):
            _, key_size, value_size = ENTRY.unpack(self._region.load(entry, ENTRY.size))
            if key_size == len(key) and self._region.load(entry + ENTRY.size, key_size) == key:
                return link, entry, value_size
            # An entry begins with the address of the next one.
            link = entry
        return link, 0, 0

    def __getitem__(self, key: bytes) -> bytes:
        """Return the value of a key."""
        _, entry, value_size = self._find(key)
        if not entry:
            raise KeyError(key)
        return self._region.load(entry + ENTRY.size + len(key), value_size)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        link, entry, value_size = self._find(key)
        if entry and value_size == len(value):
            self._region.store(entry + ENTRY.size + len(key), value)
            return
        following = self._region.load_as("u64", entry) if entry else 0
        made = self._region.add_blob(ENTRY.pack(following, len(key), len(value)) + key + value)
        self._region.store_as("u64", link, made)
        if entry:
            self._region.deallocate(entry, ENTRY.size + len(key) + value_size)
        else:
            self._count(1)

    def __delitem__(self, key: bytes) -> None:
        """Delete a key and its value."""
        link, entry, value_size = self._find(key)
        if not entry:
            raise KeyError(key)
        self._region.store_as("u64", link, self._region.load_as("u64", entry))
        self._region.deallocate(entry, ENTRY.size + len(key) + value_size)
        self._count(-1)

    def __len__(self) -> int:
        """Return the number of keys."""
        return self._read_header()[2]

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the keys, in no order; do not change the map meanwhile."""
        for entry in self._entries():
            _, key_size, _ = ENTRY.unpack(self._region.load(entry, ENTRY.size))
            yield self._region.load(entry + ENTRY.size, key_size)

    def _entries(self) -> Iterator[int]:
        """Yield the addresses of all entries."""
        table, buckets, _ = self._read_header()
        for (first,) in struct.iter_unpack("<Q", self._region.load(table, ADDRESS * buckets)):
            entry = first
            while entry:
                following = self._region.load_as("u64", entry)
                yield entry
                entry = following

    def _count(self, more: int) -> None:
        """Count so many entries more, and double the buckets if that is one for each."""
        table, buckets, entries = self._read_header()
        entries += more
        if entries > buckets:
            table, buckets = self._double(table, buckets)
        self._region.store(self._header, HEADER.pack(table, buckets, entries))

    def _double(self, table: int, buckets: int) -> tuple[int, int]:
        """Link all entries to a table of twice as many buckets."""
        firsts = [0] * (2 * buckets)
        for entry in self._entries():
            _, key_size, _ = ENTRY.unpack(self._region.load(entry, ENTRY.size))
            bucket = crc32(self._region.load(entry + ENTRY.size, key_size)) % len(firsts)
            self._region.store_as("u64", entry, firsts[bucket])
            firsts[bucket] = entry
        self._region.deallocate(table, ADDRESS * buckets)
        return self._region.add_blob(struct.pack(f"<{len(firsts)}Q", *firsts)), len(firsts)


def main(path: str | None) -> None:
    """Count the words of this file, twice if it is called twice."""
    words = Path(__file__).read_bytes().split()
    with MemoryRegion(path) as region:
        counts = HashMap(region, "words")
        with region.transaction():
            for word in words:
                counts[word] = b"%d" % (int(counts.get(word, b"0")) + 1)
        often = sorted(counts, key=lambda word: int(counts[word]), reverse=True)[:3]
        print(f"{len(words)} words, {len(counts)} of them different; the commonest:")
        for word in often:
            print(f"{int(counts[word]):6} {word.decode()}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
