"""The catalog and the counted B+trees (2.4, 2.5)."""

import struct
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
COUNTS = struct.Struct("<3I")
RECORD = struct.Struct("<2HI")
ROOT = struct.Struct("<2H")
PATCH = struct.Struct("<QI3Q")
TREE = struct.Struct("<3QI")
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
    """What the catalog names: lists, roots, and patches as (address, where its bytes are, the bytes)."""

    trees: list[Tree] = field(default_factory=list)
    roots: dict[str, tuple[int, ...]] = field(default_factory=dict)
    patches: list[tuple[int, int, bytes]] = field(default_factory=list)


@dataclass
class Reached:
    """What the trees of a state reach."""

    nodes: dict[int, int] = field(default_factory=dict)  # address: transaction
    blobs: list[Range] = field(default_factory=list)
    blob_bytes: int = 0


def read_catalog(content: memoryview, slot: Slot, faults: Faults) -> Catalog:
    """Return what the catalog names, with the tree of "main" from the slot."""
    catalog = Catalog()
    trees = catalog.trees

    def wrong(why: str) -> Catalog:
        faults.add(f"2.5 catalog: {why}")
        return catalog

    main = Tree("main", "", b"", slot.root, slot.root_sum, slot.values, slot.height)
    if not slot.catalog_size:
        if slot.height:
            wrong("there is none, but a tree of main")
            trees.append(main)
        return catalog
    block = bytes(content[slot.catalog : slot.catalog + slot.catalog_size])
    if xxh3(block) != slot.catalog_sum:
        return wrong("checksum")
    if len(block) < COUNTS.size:
        return wrong("too short")
    count, roots, patches = COUNTS.unpack_from(block)
    if not count and not roots and not patches:
        wrong("there is nothing in it")
    at = COUNTS.size
    before = b""
    for number in range(count):
        if at + RECORD.size > len(block):
            return wrong("it ends within a record")
        n, c, o = RECORD.unpack_from(block, at)
        at += RECORD.size
        if at + n + c + o + TREE.size > len(block):
            return wrong("it ends within a record")
        raw = block[at : at + n]
        name, blobify = text(raw), text(block[at + n : at + n + c])
        options = block[at + n + c : at + n + c + o]
        root, root_sum, values, height = TREE.unpack_from(block, at + n + c + o)
        at += n + c + o + TREE.size
        if name is None or blobify is None:
            return wrong("a name is not UTF-8")
        if number and raw <= before:  # UTF-8 sorts as its code points do
            return wrong("names are out of order")
        before = raw
        if blobify in BUILT_IN and options:
            wrong(f"{name!a}: options of a built-in codec")
        if name == "main":
            if root or root_sum or values or height:
                wrong("main has a tree of its own there")
            main.blobify, main.options = blobify, options
            trees.append(main)
            continue
        fault = tree_fault(root, values, height, slot.length)
        if fault or (not height and root_sum):
            wrong(f"{name!a}: {fault or 'no root, but its checksum'}")
            height = root = values = 0
        trees.append(Tree(name, blobify, options, root, root_sum, values, height))
    before = b""
    for number in range(roots):
        if at + ROOT.size > len(block):
            return wrong("it ends within a root")
        n, k = ROOT.unpack_from(block, at)
        end = at + ROOT.size + n + 16 * k
        if end > len(block):
            return wrong("it ends within a root")
        raw = block[at + ROOT.size : at + ROOT.size + n]
        name = text(raw)
        if name is None:
            return wrong("the name of a root is not UTF-8")
        if number and raw <= before:
            return wrong("roots are out of order")
        before = raw
        catalog.roots[name] = tuple(
            int.from_bytes(block[place : place + 16], "little", signed=True)
            for place in range(end - 16 * k, end, 16)
        )
        at = end
    over = HEADER
    for _ in range(patches):
        if at + PATCH.size > len(block):
            return wrong("it ends within a patch")
        address, size, transaction, data, check = PATCH.unpack_from(block, at)
        at += PATCH.size
        if (
            not size
            or address < over
            or address + size > slot.length
            or not HEADER <= data <= slot.length - size
        ):
            return wrong(f"a patch of {size} bytes at {address}, held at {data}")
        over = address + size
        if not 0 < transaction <= slot.transaction:
            wrong(f"a patch of transaction {transaction}")
        held = bytes(content[data : data + size])
        if xxh3(held) != check:
            wrong(f"the checksum of the patch at {address}")
        catalog.patches.append((address, data, held))
    if at != len(block):
        wrong("bytes behind its last record")
    if slot.height and main not in trees:
        wrong("it has no record of main, but the slot a tree")
    return catalog


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
        self.faults.add(f"2.4 list {self.tree.name!a}, node {at}: {why}")

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
