# cython: annotation_typing=False
"""Catalog: what a region holds besides "main": its other structures, its roots and its patches.

One block, written anew when something in it changed (the tree of "main" is in the slot, so that a region
with one list hardly ever writes it). It is a row of records, each of which begins with

    0    size of the record          u32     with these 8 bytes, and what follows the fields below
    4    type                        u16     1 structure, 2 root, 3 patches
    6    n: length of the name       u16     0 for patches

Structures, by name:                         Roots, by name:

    8    kind: 1 list                u32         8     k: number of integers   u32
         (2 map, 3 set, 4 queue)                 12    name in UTF-8           n
    12   tree: height                u32         12+n  integers, signed        16 k
    16         root address          u64
    24         root checksum         u64     Patches, one record, by address:
    32         values                u64
    40         dropped from front    u64         8     number of patches       u32
    48   o: length of options        u32         12    each: address           u64  of raw bytes that are not
    52   p: length of key options    u32               size                    u32  what they should be yet
    56   b: length of Blobify        u16               transaction             u64  that stored into them
    58   k: length of key Blobify    u16               data address            u64  what they should be
    60   name in UTF-8               n                 data checksum           u64  XXH3-64
         Blobify in UTF-8            b
         options, opaque             o
         key Blobify in UTF-8        k
         key options, opaque         p

Invariants:

* Records are ordered by type, then by name. No two of one type have one name.
* "main" has a record as every structure has, but its tree is in the slot: the six
  fields from 12 to 48 are zeros there. All structures have such a tree, whatever their kind.
* A list has no key Blobify and no key options.
* What is in a record after the fields above, and a record of another type, was written by a later version.
  It is passed over, and it is in the next catalog too. So is a structure of a kind that is not known.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from ...errors import CorruptRegionError
from ...layout import HEADER_SIZE, MAX_ADDRESS, MAX_LEVELS, NODE_SIZE
from .slots import Tree

__all__ = [
    "KIND_WORDS",
    "LIST",
    "MAIN",
    "NOTHING_LATER",
    "Catalog",
    "Entry",
    "Later",
    "Patch",
    "Root",
    "decode",
    "encode",
]

MAIN = "main"

LIST = 1
"""The kind of structure that this version has."""

KIND_WORDS = {1: "list", 2: "map", 3: "set", 4: "queue"}

_STRUCTURE, _ROOT, _PATCHES = 1, 2, 3
_HEAD = struct.Struct("<IHH")
_FIELDS = struct.Struct("<IIQQQQIIHH")
_NUMBER = struct.Struct("<I")
_PATCH = struct.Struct("<QIQQQ")
_INTEGER = 16

Root = tuple[int, ...]
"""What a root holds: addresses, sizes, whatever its owner wants, each below 2**127."""


class Entry(NamedTuple):
    """What the catalog knows of one structure."""

    blobify: str
    options: bytes
    tree: Tree = (0, 0, 0, 0)
    kind: int = LIST
    front: int = 0
    """Values ever dropped from the front; reserved: what was read is written again."""
    keys: str = ""
    """Blobify of the keys; reserved."""
    key_options: bytes = b""
    later: bytes = b""
    """Fields of a later version."""

    def at(self, tree: Tree) -> "Entry":
        """Return the entry with another tree."""
        return Entry(
            self.blobify, self.options, tree, self.kind, self.front, self.keys, self.key_options, self.later
        )


class Patch(NamedTuple):
    """Raw bytes of a committed state that lie elsewhere until they may be written in place."""

    address: int
    size: int
    transaction: int
    data: int
    check: int


class Later(NamedTuple):
    """What a later version has put into a catalog, apart from structures, whose entries have theirs.

    Attributes:
        fields: what is after the known fields of a record, by its type and name.
        records: those of other types, whole, in order.
    """

    fields: Mapping[tuple[int, str], bytes]
    records: tuple[bytes, ...]

    def beside(self, roots: dict[str, Root], patches: tuple[Patch, ...]) -> "Later":
        """Return what of it is still there when these are the roots and the patches."""
        if not self.fields:
            return self
        fields = {
            (type_, name): more
            for (type_, name), more in self.fields.items()
            if (name in roots if type_ == _ROOT else patches)
        }
        return Later(fields, self.records)


NOTHING_LATER = Later(MappingProxyType({}), ())


@dataclass
class Catalog:
    """Everything in the catalog, with the tree of "main" filled in from the slot."""

    lists: dict[str, Entry] = field(default_factory=dict)
    roots: dict[str, Root] = field(default_factory=dict)
    patches: tuple[Patch, ...] = ()
    later: Later = NOTHING_LATER


def encode(catalog: Catalog) -> bytes:
    """Return the catalog's bytes; empty for an empty one."""
    parts: list[bytes] = []
    later = catalog.later.fields
    for name, entry in sorted(catalog.lists.items()):
        key, codec, keys = name.encode(), entry.blobify.encode(), entry.keys.encode()
        root, check, height, length = entry.tree
        front = entry.front
        if name == MAIN:
            root = check = height = length = front = 0
        fields = _FIELDS.pack(
            entry.kind, height, root, check, length, front,
            len(entry.options), len(entry.key_options), len(codec), len(keys),
        )  # fmt: skip
        parts += _record(
            _STRUCTURE, len(key), [fields, key, codec, entry.options, keys, entry.key_options, entry.later]
        )
    for name, numbers in sorted(catalog.roots.items()):
        key = name.encode()
        integers = [number.to_bytes(_INTEGER, "little", signed=True) for number in numbers]
        more = later.get((_ROOT, name), b"")
        parts += _record(_ROOT, len(key), [_NUMBER.pack(len(numbers)), key, *integers, more])
    if catalog.patches:
        patches = [_PATCH.pack(*patch) for patch in catalog.patches]
        more = later.get((_PATCHES, ""), b"")
        parts += _record(_PATCHES, 0, [_NUMBER.pack(len(patches)), *patches, more])
    parts += catalog.later.records
    return b"".join(parts)


def _record(type_: int, name: int, parts: list[bytes]) -> list[bytes]:
    """Return the pieces of a record, its head first; ``name`` is how long its name is."""
    return [_HEAD.pack(_HEAD.size + sum(map(len, parts)), type_, name), *parts]


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
    fields: dict[tuple[int, str], bytes] = {}
    others: list[bytes] = []
    try:
        for type_, name, record in _records(content):
            if type_ == _STRUCTURE:
                _decode_structure(catalog, name, record, limit)
            elif type_ == _ROOT:
                _decode_root(catalog, fields, name, record)
            elif type_ == _PATCHES:
                _decode_patches(catalog, fields, record, limit)
            else:
                others.append(record)
    except (struct.error, ValueError) as error:
        raise CorruptRegionError(address, "a catalog", str(error), path) from error
    if fields or others:
        catalog.later = Later(fields, tuple(others))
    return catalog


def _records(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield type, length of the name and bytes of each record."""
    place = 0
    while place < len(content):
        size, type_, name = _HEAD.unpack_from(content, place)
        if not _HEAD.size <= size <= len(content) - place:
            raise ValueError(f"a record of {size} bytes at {place} of {len(content)}")
        yield type_, name, content[place : place + size]
        place += size


def _pieces(record: bytes, place: int, sizes: list[int]) -> list[bytes]:
    """Return what follows one another in a record, from a place on, and last the bytes that are left."""
    found = []
    for size in sizes:
        found.append(record[place : place + size])
        place += size
    if place > len(record):
        raise ValueError(f"a record of {len(record)} bytes that needs {place}")
    return [*found, record[place:]]


def _decode_structure(catalog: Catalog, name_size: int, record: bytes, limit: int) -> None:
    """Add a structure."""
    (
        kind, height, root, check, length, front, options_size, key_options_size, codec_size, keys_size,
    ) = _FIELDS.unpack_from(record, _HEAD.size)  # fmt: skip
    place = _HEAD.size + _FIELDS.size
    sizes = [name_size, codec_size, options_size, keys_size, key_options_size]
    key, codec, options, keys, key_options, later = _pieces(record, place, sizes)
    name = key.decode()
    if name in catalog.lists:
        raise ValueError(f"the name {name!r} twice")
    if (
        height > MAX_LEVELS
        or length >= MAX_ADDRESS
        or (height == 0) != (length == 0)
        or (height == 0) != (root == 0)
    ):
        raise ValueError(f"a tree of {height} levels and {length} values")
    if root % NODE_SIZE or (root and not HEADER_SIZE <= root <= limit - NODE_SIZE):
        raise ValueError(f"a root at {root}")
    if kind == LIST and (keys or key_options):
        raise ValueError(f"a list with a Blobify of keys: {keys!r}")
    tree = (root, check, height, length)
    catalog.lists[name] = Entry(codec.decode(), options, tree, kind, front, keys.decode(), key_options, later)


def _decode_root(
    catalog: Catalog, fields: dict[tuple[int, str], bytes], name_size: int, record: bytes
) -> None:
    """Add a root."""
    (count,) = _NUMBER.unpack_from(record, _HEAD.size)
    place = _HEAD.size + _NUMBER.size
    key, integers, later = _pieces(record, place, [name_size, count * _INTEGER])
    name = key.decode()
    if name in catalog.roots:
        raise ValueError(f"the root {name!r} twice")
    catalog.roots[name] = tuple(
        int.from_bytes(integers[at : at + _INTEGER], "little", signed=True)
        for at in range(0, len(integers), _INTEGER)
    )
    if later:
        fields[_ROOT, name] = later


def _decode_patches(
    catalog: Catalog, fields: dict[tuple[int, str], bytes], record: bytes, limit: int
) -> None:
    """Add the patches, which lie in the region and do not overlap."""
    if catalog.patches:
        raise ValueError("patches twice")
    (count,) = _NUMBER.unpack_from(record, _HEAD.size)
    listed, later = _pieces(record, _HEAD.size + _NUMBER.size, [count * _PATCH.size])
    found: list[Patch] = []
    end = HEADER_SIZE
    for each in _PATCH.iter_unpack(listed):
        patch = Patch(*each)
        if patch.size == 0 or patch.address < end or patch.address + patch.size > limit:
            raise ValueError(f"a patch of {patch.size} bytes at {patch.address}")
        if not HEADER_SIZE <= patch.data <= limit - patch.size:
            raise ValueError(f"a patch whose bytes are at {patch.data}")
        end = patch.address + patch.size
        found.append(patch)
    catalog.patches = tuple(found)
    if later:
        fields[_PATCHES, ""] = later
