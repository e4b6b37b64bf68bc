# cython: annotation_typing=False
"""Catalog: the table of the structures of a region, and of its roots and patches.

It is one block, which is written again when anything in it has changed. (The tree of "main" is in the slot,
so a region with one list hardly ever writes the catalog.) It is a sequence of records. Each begins with

    0    size of the record          u32     with these 8 bytes, and any bytes after the fields below
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
    48   o: length of options        u32         12    each: address           u64  of the raw bytes
    52   p: length of key options    u32               size                    u32
    56   b: length of Blobify        u16               transaction             u64  that stored into them
    58   k: length of key Blobify    u16               data address            u64  of their new contents
    60   name in UTF-8               n                 data checksum           u64  XXH3-64
         Blobify in UTF-8            b
         options, opaque             o
         key Blobify in UTF-8        k
         key options, opaque         p

Invariants:

* Records are ordered by type, then by name. No two records of one type have the same name.
* "main" has a record like every structure, but its tree is in the slot: the six fields from 12 to 48 are
  zeros in the record. Structures of every kind have such a tree.
* A list has no key Blobify and no key options.
* Bytes in a record after the fields above, and records of other types, were written by a later version. They
  are ignored, and written again into the next catalog. The same holds for structures of unknown kinds.
"""

import struct
from collections.abc import Mapping
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
"""The only kind of structure that this version has."""

KIND_WORDS = {1: "list", 2: "map", 3: "set", 4: "queue"}

_STRUCTURE, _ROOT, _PATCHES = 1, 2, 3
_HEAD = struct.Struct("<IHH")
_FIELDS = struct.Struct("<IIQQQQIIHH")
_NUMBER = struct.Struct("<I")
_PATCH = struct.Struct("<QIQQQ")
_INTEGER = 16

Root = tuple[int, ...]
"""The integers of a root, such as addresses and sizes, each below 2**127."""


class Entry(NamedTuple):
    """The record of one structure."""

    blobify: str
    options: bytes
    tree: Tree = (0, 0, 0, 0)
    kind: int = LIST
    front: int = 0
    """Number of values ever dropped from the front; reserved: the value that was read is written again."""
    keys: str = ""
    """Name of the Blobify of the keys; reserved."""
    key_options: bytes = b""
    later: bytes = b""
    """The bytes of fields that a later version has added."""

    def at(self, tree: Tree) -> "Entry":
        """Return the entry with another tree."""
        return Entry(
            self.blobify, self.options, tree, self.kind, self.front, self.keys, self.key_options, self.later
        )


class Patch(NamedTuple):
    """New contents of raw bytes, which are in another block until they may be written in place."""

    address: int
    size: int
    transaction: int
    data: int
    check: int


class Later(NamedTuple):
    """The parts of a catalog that only a later version understands, except those of structures.

    The Entry of each structure has its own.

    Attributes:
        fields: the bytes after the known fields of a record, by its type and name.
        records: the whole records of other types, in order.
    """

    fields: Mapping[tuple[int, str], bytes]
    records: tuple[bytes, ...]

    def beside(self, roots: dict[str, Root], patches: tuple[Patch, ...]) -> "Later":
        """Return the parts that remain in a catalog with these roots and patches."""
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
    """The contents of the catalog, with the tree of "main" filled in from the slot."""

    lists: dict[str, Entry] = field(default_factory=dict)
    roots: dict[str, Root] = field(default_factory=dict)
    patches: tuple[Patch, ...] = ()
    later: Later = NOTHING_LATER


def encode(catalog: Catalog) -> bytes:
    """Return the bytes of the catalog; empty for an empty catalog."""
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
    """Return the pieces of a record, its head first; ``name`` is the length of its name."""
    return [_HEAD.pack(_HEAD.size + sum(map(len, parts)), type_, name), *parts]


def decode(content: bytes, address: int, limit: int, path: str) -> Catalog:
    """Return the catalog from the bytes of its block.

    Args:
        content: the bytes; their checksum has been verified.
        address: the address of the block, for messages.
        limit: end of the region in bytes.
        path: the file, for messages.

    Raises:
        CorruptRegionError: the bytes are not a catalog, or it names a range outside the region.
    """
    catalog = Catalog()
    lists, roots = catalog.lists, catalog.roots
    fields: dict[tuple[int, str], bytes] = {}
    others: list[bytes] = []
    place, end = 0, len(content)
    try:
        while place < end:
            size, type_, name_size = _HEAD.unpack_from(content, place)
            stop = place + size
            if size < _HEAD.size or stop > end:
                raise ValueError(f"a record of {size} bytes at {place} of {end}")
            at = place + _HEAD.size
            if type_ == _STRUCTURE:
                name, entry = _structure(content, at, stop, name_size, limit)
                if name in lists:
                    raise ValueError(f"the name {name!r} twice")
                lists[name] = entry
            elif type_ == _ROOT:
                name, numbers, later = _root(content, at, stop, name_size)
                if name in roots:
                    raise ValueError(f"the root {name!r} twice")
                roots[name] = numbers
                if later:
                    fields[_ROOT, name] = later
            elif type_ == _PATCHES:
                if catalog.patches:
                    raise ValueError("patches twice")
                catalog.patches, later = _patches(content, at, stop, limit)
                if later:
                    fields[_PATCHES, ""] = later
            else:
                others.append(content[place:stop])
            place = stop
    except (struct.error, ValueError) as error:
        raise CorruptRegionError(address, "a catalog", str(error), path) from error
    if fields or others:
        catalog.later = Later(fields, tuple(others))
    return catalog


def _require(end: int, stop: int) -> None:
    """Raise if the fields of a record would end after the record. Call this before any field is used."""
    if end > stop:
        raise ValueError(f"a record that needs {end - stop} bytes more than it has")


def _structure(content: bytes, at: int, stop: int, name_size: int, limit: int) -> tuple[str, Entry]:
    """Return the name and the entry of a structure whose fields begin at ``at``."""
    (
        kind, height, root, check, length, front, options_size, key_options_size, codec_size, keys_size,
    ) = _FIELDS.unpack_from(content, at)  # fmt: skip
    name_at = at + _FIELDS.size
    codec_at = name_at + name_size
    options_at = codec_at + codec_size
    keys_at = options_at + options_size
    key_options_at = keys_at + keys_size
    later_at = key_options_at + key_options_size
    _require(later_at, stop)
    if (
        height > MAX_LEVELS
        or length >= MAX_ADDRESS
        or (height == 0) != (length == 0)
        or (height == 0) != (root == 0)
    ):
        raise ValueError(f"a tree of {height} levels and {length} values")
    if root % NODE_SIZE or (root and not HEADER_SIZE <= root <= limit - NODE_SIZE):
        raise ValueError(f"a root at {root}")
    if kind == LIST and later_at > keys_at:
        raise ValueError("a list with a Blobify of keys")
    entry = Entry(
        content[codec_at:options_at].decode(),
        content[options_at:keys_at],
        (root, check, height, length),
        kind,
        front,
        content[keys_at:key_options_at].decode(),
        content[key_options_at:later_at],
        content[later_at:stop],
    )
    return content[name_at:codec_at].decode(), entry


def _root(content: bytes, at: int, stop: int, name_size: int) -> tuple[str, Root, bytes]:
    """Return name and integers of a root whose fields begin at ``at``, and the bytes of a later version."""
    (count,) = _NUMBER.unpack_from(content, at)
    name_at = at + _NUMBER.size
    numbers_at = name_at + name_size
    later_at = numbers_at + count * _INTEGER
    _require(later_at, stop)
    numbers = tuple(
        int.from_bytes(content[place : place + _INTEGER], "little", signed=True)
        for place in range(numbers_at, later_at, _INTEGER)
    )
    return content[name_at:numbers_at].decode(), numbers, content[later_at:stop]


def _patches(content: bytes, at: int, stop: int, limit: int) -> tuple[tuple[Patch, ...], bytes]:
    """Return the patches, which are in the region and do not overlap, and the bytes of a later version."""
    (count,) = _NUMBER.unpack_from(content, at)
    first = at + _NUMBER.size
    later_at = first + count * _PATCH.size
    _require(later_at, stop)
    found: list[Patch] = []
    end = HEADER_SIZE
    for each in _PATCH.iter_unpack(content[first:later_at]):
        patch = Patch(*each)
        if patch.size == 0 or patch.address < end or patch.address + patch.size > limit:
            raise ValueError(f"a patch of {patch.size} bytes at {patch.address}")
        if not HEADER_SIZE <= patch.data <= limit - patch.size:
            raise ValueError(f"a patch whose bytes are at {patch.data}")
        end = patch.address + patch.size
        found.append(patch)
    return tuple(found), content[later_at:stop]
