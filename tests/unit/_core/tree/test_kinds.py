import struct

import pytest

from stablemem import CorruptRegionError
from stablemem._core.disk.device import MemoryDevice
from stablemem._core.disk.region import Region
from stablemem._core.format.checksum import crc32c, page_checksum
from stablemem._core.space.freespace import FreeSpace
from stablemem._core.tree import kinds
from stablemem._core.tree.pager import Pager
from stablemem._core.tree.walk import walk

MARK = 0x58


class Backwards(kinds.NodeKind):
    """A layout that no tree has: 24 bytes an entry, the first one at the end of the page.

    Of a leaf: address, size and checksum, nothing. Of a branch: address, checksum, values below.
    """

    def entry(self, page, slot):
        return struct.unpack_from("<QQQ", page, 4096 - 24 * (slot + 1))

    def set_entry(self, page, slot, *words):
        struct.pack_into("<QQQ", page, 4096 - 24 * (slot + 1), *words)

    def fault(self, page):
        return "too many" if self.count(page) > 100 else ""

    def count(self, page):
        return page[2]

    def child(self, page, slot):
        return self.entry(page, slot)[0]

    def set_child(self, page, slot, address, check):
        self.set_entry(page, slot, address, check, self.entry(page, slot)[2])
        return 0

    def children(self, page):
        return [self.entry(page, slot) for slot in range(page[2])]

    def blobs(self, page):
        return [(slot, *self.entry(page, slot)[:2]) for slot in range(page[2])]

    def set_blob(self, page, slot, address):
        self.set_entry(page, slot, address, *self.entry(page, slot)[1:])
        return 0


@pytest.fixture
def region():
    region = Region(MemoryDevice())
    region.reach(1 << 20)
    yield region
    region.close()


@pytest.fixture
def backwards():
    kind = Backwards(MARK)
    before = kinds._KINDS[MARK]
    kinds.register(kind)
    yield kind
    kinds._KINDS[MARK] = before


def seen(pager, mark, root, check, level):
    nodes, blobs = [], []
    values = walk(pager, mark, root, check, level, nodes.append, lambda *blob: blobs.append(blob), True)
    return values, nodes, blobs


def test_a_page_of_no_kind_is_no_node(region):
    page = bytes([0, MARK, 1]) + bytes(4093)
    region.write(65536, page)
    with pytest.raises(CorruptRegionError, match=r"a page that is no node \(its mark is 88\)"):
        seen(Pager(region, FreeSpace(), True), MARK, 65536, page_checksum(page), 0)


@pytest.mark.skipif(
    not hasattr(kinds, "_KINDS"), reason="compiled, a kind is asked in C, where Python cannot answer"
)
def test_a_tree_of_another_layout_is_written_out_walked_and_checked(region, backwards):
    """Pager and walk know nothing of a node but how it begins: all else they ask its kind."""
    space = FreeSpace()
    pager = Pager(region, space, True)
    pager.transaction = 7
    blobs = [b"number %d of the blobs" % number for number in range(6)]
    leaves = []
    for first in (0, 3):
        leaf = pager.create(0, MARK)
        leaf.page[2] = 3
        for slot, blob in enumerate(blobs[first : first + 3]):
            backwards.set_entry(leaf.page, slot, pager.hold(blob), len(blob) | crc32c(blob) << 32, 0)
        leaves.append(leaf)
    top = pager.create(1, MARK)
    top.page[2] = 2
    for slot, leaf in enumerate(leaves):
        backwards.set_entry(top.page, slot, leaf.reference, 0, 3)
    pager.write_blobs()
    pager.begin_nodes(0)
    root, check = pager.place_tree(top.reference, 0)
    pager.end_nodes()
    assert pager.check() == []

    again = Pager(region, FreeSpace(), True)
    values, nodes, found = seen(again, MARK, root, check, 1)
    assert values == 6
    assert len(nodes) == len(set(nodes)) == 3
    assert [region.load(address, size) for address, size in found] == blobs
    assert struct.unpack_from("<Q", region.load(root, 4096), 8) == (7,)

    with pytest.raises(CorruptRegionError, match="a node of mark 78"):
        seen(again, 0x4E, root, check, 1)
    page = bytearray(region.load(root, 4096))
    page[2] = 101
    region.write(root, page)
    with pytest.raises(CorruptRegionError, match="too many"):
        seen(Pager(region, FreeSpace(), True), MARK, root, page_checksum(page), 1)
    page[2] = 2
    backwards.set_entry(page, 0, *backwards.entry(page, 0)[:2], 4)
    region.write(root, page)
    with pytest.raises(CorruptRegionError, match="4 values below the node"):
        seen(Pager(region, FreeSpace(), True), MARK, root, page_checksum(page), 1)
