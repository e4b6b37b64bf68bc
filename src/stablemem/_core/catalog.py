# cython: annotation_typing=False
"""Catalog: the named lists of a region and how their values are coded.

One block, written anew when something in it changed (the root of "main" is in the header slot, so that
a region with one list hardly ever writes it):

    0    number of lists         u32
    4    for each, by name:
           length of the name    u16     name in UTF-8
           length of its Blobify u16     name of the Blobify in UTF-8
           length of its options u32     options, opaque
           root address          u64     all four zero for "main", whose root is in the slot
           root checksum         u64
           number of values      u64
           height                u32
"""

import struct
from typing import NamedTuple

from ..errors import CorruptRegionError
from ..layout import HEADER_SIZE, MAX_ADDRESS, MAX_LEVELS, NODE_SIZE
from .header import Tree

__all__ = ["MAIN", "Entry", "decode", "encode"]

MAIN = "main"
_NUMBER = struct.Struct("<I")
_LENGTHS = struct.Struct("<HHI")
_TREE = struct.Struct("<QQQI")


class Entry(NamedTuple):
    """What the catalog knows of one list."""

    blobify: str
    options: bytes
    tree: Tree = (0, 0, 0, 0)

    def at(self, tree: Tree) -> "Entry":
        """Return the entry with another tree."""
        return Entry(self.blobify, self.options, tree)


def encode(entries: dict[str, Entry]) -> bytes:
    """Return the catalog's bytes; empty for no entries."""
    if not entries:
        return b""
    parts = [_NUMBER.pack(len(entries))]
    for name, entry in sorted(entries.items()):
        key, codec = name.encode(), entry.blobify.encode()
        root, check, height, length = (0, 0, 0, 0) if name == MAIN else entry.tree
        parts += [
            _LENGTHS.pack(len(key), len(codec), len(entry.options)), key, codec, entry.options,
            _TREE.pack(root, check, length, height),
        ]  # fmt: skip
    return b"".join(parts)


def decode(content: bytes, address: int, limit: int, path: str) -> dict[str, Entry]:
    """Return the entries in a catalog's bytes.

    Args:
        content: the bytes, their checksum already verified.
        address: where they are, for messages.
        limit: end of the region in bytes.
        path: the file, for messages.

    Raises:
        CorruptRegionError: the bytes are no catalog, or a root leaves the region.
    """
    entries: dict[str, Entry] = {}
    if not content:
        return entries
    try:
        place = _NUMBER.size
        for _ in range(_NUMBER.unpack_from(content)[0]):
            key, codec, options = _LENGTHS.unpack_from(content, place)
            place += _LENGTHS.size
            texts = []
            for size in (key, codec, options):
                if place + size > len(content):
                    raise ValueError("a text leaves it")
                texts.append(content[place : place + size])
                place += size
            root, check, length, height = _TREE.unpack_from(content, place)
            place += _TREE.size
            if (
                height > MAX_LEVELS
                or length >= MAX_ADDRESS
                or (height == 0) != (length == 0)
                or (height == 0) != (root == 0)
            ):
                raise ValueError(f"a tree of {height} levels and {length} values")
            if root % NODE_SIZE or (root and not HEADER_SIZE <= root <= limit - NODE_SIZE):
                raise ValueError(f"a root at {root}")
            if texts[0].decode() in entries:
                raise ValueError(f"the list {texts[0].decode()!r} twice")
            entries[texts[0].decode()] = Entry(texts[1].decode(), texts[2], (root, check, height, length))
        if place != len(content):
            raise ValueError(f"{len(content) - place} bytes too many")
    except (struct.error, ValueError) as error:
        raise CorruptRegionError(address, "a catalog", str(error), path) from error
    return entries
