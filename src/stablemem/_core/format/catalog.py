# cython: annotation_typing=False
"""Catalog: what a region holds beside the list "main": other lists, roots and patches.

One block, written anew when something in it changed (the root of "main" is in the header slot, so that
a region with one list hardly ever writes it):

    0    number of lists         u32
    4    number of roots         u32
    8    number of patches       u32
    12   for each list, by name:
           length of the name    u16     name in UTF-8
           length of its Blobify u16     name of the Blobify in UTF-8
           length of its options u32     options, opaque
           root address          u64     all four zero for "main", whose root is in the slot
           root checksum         u64
           number of values      u64
           height                u32
         for each root, by name:
           length of the name    u16     name in UTF-8
           number of integers    u16     each 16 bytes, signed
         for each patch, by address:
           address               u64     raw bytes that are not what they should be yet
           size                  u32
           transaction           u64     that stored into them
           data address          u64     what they should be
           data checksum         u64     XXH3-64
"""

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from ...errors import CorruptRegionError
from ...layout import HEADER_SIZE, MAX_ADDRESS, MAX_LEVELS, NODE_SIZE
from .slots import Tree

__all__ = ["MAIN", "Catalog", "Entry", "Patch", "Root", "decode", "encode"]

MAIN = "main"
MOST_INTEGERS = 65535
"""Integers in a root."""

_NUMBERS = struct.Struct("<III")
_LENGTHS = struct.Struct("<HHI")
_TREE = struct.Struct("<QQQI")
_ROOT = struct.Struct("<HH")
_PATCH = struct.Struct("<QIQQQ")
_INTEGER = 16

Root = tuple[int, ...]
"""What a root holds: addresses, sizes, whatever its owner wants, each below 2**127."""


class Entry(NamedTuple):
    """What the catalog knows of one list."""

    blobify: str
    options: bytes
    tree: Tree = (0, 0, 0, 0)

    def at(self, tree: Tree) -> "Entry":
        """Return the entry with another tree."""
        return Entry(self.blobify, self.options, tree)


class Patch(NamedTuple):
    """Raw bytes of a committed state that lie elsewhere until they may be written in place."""

    address: int
    size: int
    transaction: int
    data: int
    check: int


@dataclass
class Catalog:
    """Everything in the catalog, with the tree of "main" filled in from the slot."""

    lists: dict[str, Entry] = field(default_factory=dict)
    roots: dict[str, Root] = field(default_factory=dict)
    patches: tuple[Patch, ...] = ()

    def copy(self) -> "Catalog":
        """Return a catalog that may be changed without changing this one."""
        return Catalog(dict(self.lists), dict(self.roots), self.patches)


def encode(catalog: Catalog) -> bytes:
    """Return the catalog's bytes; empty for an empty one."""
    if not catalog.lists and not catalog.roots and not catalog.patches:
        return b""
    parts = [_NUMBERS.pack(len(catalog.lists), len(catalog.roots), len(catalog.patches))]
    for name, entry in sorted(catalog.lists.items()):
        key, codec = name.encode(), entry.blobify.encode()
        root, check, height, length = (0, 0, 0, 0) if name == MAIN else entry.tree
        parts += [
            _LENGTHS.pack(len(key), len(codec), len(entry.options)), key, codec, entry.options,
            _TREE.pack(root, check, length, height),
        ]  # fmt: skip
    for name, numbers in sorted(catalog.roots.items()):
        key = name.encode()
        parts += [_ROOT.pack(len(key), len(numbers)), key]
        parts += [number.to_bytes(_INTEGER, "little", signed=True) for number in numbers]
    parts += [_PATCH.pack(*patch) for patch in catalog.patches]
    return b"".join(parts)


class _Bytes:
    """The catalog's bytes, taken from the front; ValueError where there are not enough."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.place = 0

    def take(self, size: int) -> bytes:
        if self.place + size > len(self.content):
            raise ValueError(f"{size} bytes at {self.place} of {len(self.content)}")
        self.place += size
        return self.content[self.place - size : self.place]

    def name(self, size: int, known: dict[str, Entry] | dict[str, Root]) -> str:
        name = self.take(size).decode()
        if name in known:
            raise ValueError(f"the name {name!r} twice")
        return name


def decode(content: bytes, address: int, limit: int, path: str) -> Catalog:
    """Return the catalog in a block's bytes.

    Args:
        content: the bytes, their checksum already verified.
        address: where they are, for messages.
        limit: end of the region in bytes.
        path: the file, for messages.

    Raises:
        CorruptRegionError: the bytes are no catalog, or something it names leaves the region.
    """
    catalog = Catalog()
    if not content:
        return catalog
    rest = _Bytes(content)
    try:
        lists, roots, patches = _NUMBERS.unpack(rest.take(_NUMBERS.size))
        for _ in range(lists):
            key, codec, options = _LENGTHS.unpack(rest.take(_LENGTHS.size))
            name = rest.name(key, catalog.lists)
            blobify = rest.take(codec).decode()
            opaque = rest.take(options)
            catalog.lists[name] = Entry(blobify, opaque, _decode_tree(rest.take(_TREE.size), limit))
        for _ in range(roots):
            key, count = _ROOT.unpack(rest.take(_ROOT.size))
            name = rest.name(key, catalog.roots)
            numbers = [int.from_bytes(rest.take(_INTEGER), "little", signed=True) for _ in range(count)]
            catalog.roots[name] = tuple(numbers)
        catalog.patches = tuple(_decode_patches(rest, patches, limit))
        if rest.place != len(content):
            raise ValueError(f"{len(content) - rest.place} bytes too many")
    except (struct.error, ValueError) as error:
        raise CorruptRegionError(address, "a catalog", str(error), path) from error
    return catalog


def _decode_tree(content: bytes, limit: int) -> Tree:
    """Return the tree in a list's record."""
    root, check, length, height = _TREE.unpack(content)
    if (
        height > MAX_LEVELS
        or length >= MAX_ADDRESS
        or (height == 0) != (length == 0)
        or (height == 0) != (root == 0)
    ):
        raise ValueError(f"a tree of {height} levels and {length} values")
    if root % NODE_SIZE or (root and not HEADER_SIZE <= root <= limit - NODE_SIZE):
        raise ValueError(f"a root at {root}")
    return (root, check, height, length)


def _decode_patches(rest: _Bytes, count: int, limit: int) -> list[Patch]:
    """Return so many patches, which lie in the region and do not overlap."""
    found: list[Patch] = []
    end = HEADER_SIZE
    for _ in range(count):
        patch = Patch(*_PATCH.unpack(rest.take(_PATCH.size)))
        if patch.size == 0 or patch.address < end or patch.address + patch.size > limit:
            raise ValueError(f"a patch of {patch.size} bytes at {patch.address}")
        if not HEADER_SIZE <= patch.data <= limit - patch.size:
            raise ValueError(f"a patch whose bytes are at {patch.data}")
        end = patch.address + patch.size
        found.append(patch)
    return found
