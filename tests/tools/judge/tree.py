"""The catalog and the counted B+trees."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from judge.common import (
    HEADER,
    INLINE,
    LARGEST_TRANSACTION,
    PAGE,
    Faults,
    Range,
    crc32c,
    text,
    xxh3,
    zero,
)
from judge.slots import Slot, tree_fault
from judge.values import BUILT_IN, value_fault

NODE = struct.Struct("<BBHIQ")
ENTRY = struct.Struct("<Q2I")
CHILD = struct.Struct("<2Q")
RECORD = struct.Struct("<I2H")
STRUCTURE = struct.Struct("<2I4Q2I2H")
TREE = struct.Struct("<I4Q")  # a part of it
COUNT = struct.Struct("<I")
PATCH = struct.Struct("<QI3Q")
A_STRUCTURE, A_ROOT, PATCHES = 1, 2, 3
LIST = 1
INLINE_VALUE = struct.Struct("<Q")
MARK = 0x4E
MOST_IN_LEAF, MOST_CHILDREN = 255, 170
LEAST_IN_LEAF, LEAST_CHILDREN = 127, 85
CHILDREN_AT = 1376


@dataclass
class Tree:
    """One list: where its tree is, and how its values read."""

    name: str
    blobify: str
    options: bytes
    root: int
    root_sum: int
    values: int
    height: int


@dataclass
class Catalog:
    """What the catalog names: lists, roots, and patches as (address, where its bytes are, the bytes).

    What a later version has put there is ``unknown``, a phrase each, and the pages of its roots.
    """

    trees: list[Tree] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    pages: list[Range] = field(default_factory=list)
    roots: dict[str, tuple[int, ...]] = field(default_factory=dict)
    patches: list[tuple[int, int, bytes]] = field(default_factory=list)


@dataclass
class Reached:
    """What the trees of a state reach."""

    nodes: dict[int, int] = field(default_factory=dict)  # address: transaction
    blobs: list[Range] = field(default_factory=list)
    blob_bytes: int = 0


class UnreadableError(Exception):
    """The catalog cannot be read on."""


def read_catalog(content: memoryview, slot: Slot, faults: Faults) -> Catalog:
    """Return what the catalog names, with the tree of "main" from the slot."""
    catalog = Catalog()

    def wrong(why: str) -> None:
        faults.add(f"catalog: {why}")

    main = Tree("main", "", b"", slot.root, slot.root_sum, slot.values, slot.height)
    if not slot.catalog_size:
        if slot.height:
            wrong("there is none, but a tree of main")
            catalog.trees.append(main)
        return catalog
    block = bytes(content[slot.catalog : slot.catalog + slot.catalog_size])
    if xxh3(block) != slot.catalog_sum:
        wrong("checksum")
        return catalog
    try:
        at, before = 0, (0, b"")
        while at < len(block):
            at, before = read_record(content, slot, block, at, before, catalog, main, wrong)
    except UnreadableError as fault:
        wrong(str(fault))
    # A main of another kind has its tree in the slot as well.
    if slot.height and main not in catalog.trees and "main" not in catalog.unknown:
        wrong("it has no record of main, but the slot a tree")
    return catalog


def read_record(
    content: memoryview,
    slot: Slot,
    block: bytes,
    at: int,
    before: tuple[int, bytes],
    catalog: Catalog,
    main: Tree,
    wrong: Callable[[str], None],
) -> tuple[int, tuple[int, bytes]]:
    """Read one record; return where the next one is, and the type and the name of this one."""
    if at + RECORD.size > len(block):
        raise UnreadableError("it ends within a record")
    size, sort, n = RECORD.unpack_from(block, at)
    if not RECORD.size <= size <= len(block) - at:
        raise UnreadableError(f"a record of {size} bytes")
    record = block[at : at + size]
    fields = {A_STRUCTURE: STRUCTURE.size, A_ROOT: COUNT.size, PATCHES: COUNT.size}.get(sort)
    if fields is None:
        catalog.unknown.append(f"record of type {sort}")
        if sort < before[0]:
            wrong("records are out of order")
        return at + size, (sort, b"")
    name_at = RECORD.size + fields
    raw = record[name_at : name_at + n]
    if len(record) < name_at + n:
        raise UnreadableError("a record is too short")
    if (sort, raw) <= before:  # UTF-8 sorts as its code points do
        wrong("records are out of order")
    if sort == PATCHES:
        if n:
            wrong("patches with a name")
        read_patches(content, slot, record, catalog, wrong)
        return at + size, (sort, b"")
    name = text(raw)
    if name is None:
        raise UnreadableError("a name is not UTF-8")
    if sort == A_ROOT:
        (k,) = COUNT.unpack_from(record, RECORD.size)
        end = name_at + n + 16 * k
        if end > len(record):
            raise UnreadableError("a root is too short")
        catalog.roots[name] = tuple(
            int.from_bytes(record[place : place + 16], "little", signed=True)
            for place in range(name_at + n, end, 16)
        )
        if end < len(record):
            catalog.unknown.append(f"fields of root {name!a}")
    else:
        read_structure(content, slot, record, name, name_at + n, catalog, main, wrong)
    return at + size, (sort, raw)


def read_structure(
    content: memoryview,
    slot: Slot,
    record: bytes,
    name: str,
    at: int,
    catalog: Catalog,
    main: Tree,
    wrong: Callable[[str], None],
) -> None:
    """Read the record of a structure; its name ends at a place."""
    kind, height, root, root_sum, values, dropped, o, p, c, k = STRUCTURE.unpack_from(record, RECORD.size)
    parts = []
    for size in (c, o, k, p):
        parts.append(record[at : at + size])
        at += size
    if at > len(record):
        raise UnreadableError("a record is too short")
    options, key_options = parts[1], parts[3]
    blobify, keys = text(parts[0]), text(parts[2])
    if blobify is None or keys is None:
        raise UnreadableError("a name is not UTF-8")
    if at < len(record):
        catalog.unknown.append(f"fields of {name!a}")
    for codec, its_options in ((blobify, options), (keys, key_options)):
        if codec in BUILT_IN and its_options:
            wrong(f"{name!a}: options of a built-in codec")
    if name == "main":
        if root or root_sum or values or height or dropped:
            wrong("main has a tree of its own there")
        root, root_sum, values, height = main.root, main.root_sum, main.values, main.height
        main.blobify, main.options = blobify, options
    fault = tree_fault(root, values, height, slot.length)
    if fault or (not height and root_sum):
        wrong(f"{name!a}: {fault or 'no root, but its checksum'}")
        height = root = values = 0
    if kind != LIST:
        catalog.unknown.append(name)
        if height:
            catalog.pages.append((root, root + PAGE))
            if xxh3(bytes(content[root : root + PAGE])) != root_sum:
                wrong(f"{name!a}: checksum of its root")
        return
    if keys or key_options:
        raise UnreadableError(f"{name!a}: a list with a codec of keys")
    catalog.trees.append(
        main if name == "main" else Tree(name, blobify, options, root, root_sum, values, height)
    )


def read_patches(
    content: memoryview, slot: Slot, record: bytes, catalog: Catalog, wrong: Callable[[str], None]
) -> None:
    """Read the record of the patches."""
    (count,) = COUNT.unpack_from(record, RECORD.size)
    at = RECORD.size + COUNT.size
    if at + count * PATCH.size > len(record):
        raise UnreadableError("there are not so many patches")
    if not count:
        wrong("a record of no patches")
    over = HEADER
    for _ in range(count):
        address, size, transaction, data, check = PATCH.unpack_from(record, at)
        at += PATCH.size
        if (
            not size
            or address < over
            or address + size > slot.length
            or not HEADER <= data <= slot.length - size
        ):
            raise UnreadableError(f"a patch of {size} bytes at {address}, held at {data}")
        over = address + size
        if not 0 < transaction <= slot.transaction:
            wrong(f"a patch of transaction {transaction}")
        held = bytes(content[data : data + size])
        if xxh3(held) != check:
            wrong(f"the checksum of the patch at {address}")
        catalog.patches.append((address, data, held))
    if at < len(record):
        catalog.unknown.append("fields of the patches")


class Walk:
    """Reads the blobs of one tree, and checks everything on the way."""

    def __init__(self, content: memoryview, slot: Slot, tree: Tree, reached: Reached, faults: Faults):
        self.content = content
        self.length = slot.length
        self.tree = tree
        self.reached = reached
        self.faults = faults
        self.blobs: list[bytes] = []
        self.newest = slot.transaction

    def wrong(self, at: int, why: str) -> None:
        """Remember a fault of a node."""
        self.faults.add(f"list {self.tree.name!a}, node {at}: {why}")

    def run(self) -> list[bytes]:
        """Return the blobs in order."""
        tree = self.tree
        if tree.height:
            # address, checksum, level, values or None, transaction above, root, last of its level
            waiting = [(tree.root, tree.root_sum, tree.height - 1, tree.values, self.newest, True, True)]
            while waiting:
                waiting += self.node(*waiting.pop())[::-1]
        return self.blobs

    def node(
        self, at: int, checksum: int, level: int, values: int, above: int, root: bool, last: bool
    ) -> list[tuple[int, int, int, int, int, bool, bool]]:
        """Check one node; return its children."""
        if at % PAGE or not HEADER <= at <= self.length - PAGE:
            self.wrong(at, "not in the region")
            return []
        if at in self.reached.nodes:
            self.wrong(at, "reached twice")
            return []
        page = bytes(self.content[at : at + PAGE])
        if xxh3(page) != checksum:
            self.wrong(at, "checksum")
            return []
        its_level, mark, count, padding, transaction = NODE.unpack_from(page)
        self.reached.nodes[at] = transaction
        if mark != MARK or its_level != level:
            self.wrong(at, f"mark {mark:#x}, level {its_level} instead of {level}")
            return []
        if padding:
            self.wrong(at, "bytes 4 to 8 are not zero")
        if not 0 < transaction <= above or transaction >= LARGEST_TRANSACTION:
            self.wrong(at, f"of transaction {transaction}, under {above}")
        if not 1 <= count <= (MOST_CHILDREN if level else MOST_IN_LEAF):
            self.wrong(at, f"{count} entries")
            return []
        if not (root or last) and count < (LEAST_CHILDREN if level else LEAST_IN_LEAF):
            self.wrong(at, f"only {count} entries")
        if level == 0:
            if count != values:
                self.wrong(at, f"{count} values instead of {values}")
            self.leaf(at, page, count)
            return []
        if root and count < 2:
            self.wrong(at, "a root with one child")
        if not zero(page, 16 + 8 * count, CHILDREN_AT) or not zero(page, CHILDREN_AT + 16 * count, PAGE):
            self.wrong(at, "unused entries are not zero")
        sums = struct.unpack_from(f"<{count}Q", page, 16)
        counts = [high - low for low, high in zip((0, *sums), sums, strict=False)]
        if min(counts) <= 0 or sums[-1] >= 1 << 63:
            self.wrong(at, "cumulative counts do not rise")
            return []
        if sums[-1] != values:
            self.wrong(at, f"{sums[-1]} values instead of {values}")
        pairs = CHILD.iter_unpack(page[CHILDREN_AT : CHILDREN_AT + 16 * count])
        return [
            (child, its_sum, level - 1, counts[k], transaction, False, last and k == count - 1)
            for k, (child, its_sum) in enumerate(pairs)
        ]

    def leaf(self, at: int, page: bytes, count: int) -> None:
        """Take the blobs of a leaf."""
        end = 16 + 16 * count
        if not zero(page, end, PAGE):
            self.wrong(at, "unused entries are not zero")
        content, length, blobs, reached = self.content, self.length, self.blobs, self.reached
        for k, (field_, size, crc) in enumerate(ENTRY.iter_unpack(page[16:end])):
            if size <= INLINE:
                blob = page[16 + 16 * k : 16 + 16 * k + size]
                if crc or field_ >> (8 * size):
                    self.wrong(at, f"entry {k}: an inline blob with a CRC or without zeros behind")
            elif not HEADER <= field_ <= length - size:
                self.wrong(at, f"entry {k}: its blob is not in the region")
                blob = b""
            elif reached.blob_bytes + size > length:
                self.wrong(at, f"entry {k}: the blobs are longer than the region")
                blob = b""
            else:
                blob = bytes(content[field_ : field_ + size])
                reached.blobs.append((field_, field_ + size))
                reached.blob_bytes += size
                if crc32c(blob) != crc:
                    self.wrong(at, f"entry {k}: CRC of the blob at {field_}")
            if fault := value_fault(self.tree.blobify, blob):
                self.wrong(at, f"entry {k}: {fault}")
            blobs.append(blob)
