"""A region altered by hand and signed again: every checksum is right, from the altered page up to the slot.

Knows the format from docs/format.md, by way of the judge's own structures, and nothing of the engine.
"""

import struct

from judge.common import PAGE, Faults, xxh3
from judge.log import HEAD
from judge.slots import DIGEST, EXTENT, EXTENTS_AT, EXTENTS_END, FIELDS, Slot, read_header
from judge.tree import A_STRUCTURE, CHILD, CHILDREN_AT, NODE, RECORD, STRUCTURE, TREE

__all__ = ["Forger"]


class Forger:
    """The bytes of a region, and what changes them.

    Args:
        content: the bytes of a sound region.
        boot: the boot that it was written in.
    """

    def __init__(self, content, boot):
        self.content = bytearray(content)
        found, order = read_header(memoryview(content), boot, Faults())
        number = found[order[0]].slot.transaction
        self.slots = [k for k in order if found[k].slot.transaction == number]

    # -- slots ---------------------------------------------------------------------------------------------

    @property
    def slot(self):
        """The fields of the slot that counts."""
        return Slot(*FIELDS.unpack_from(self.content, PAGE * self.slots[0]))

    def set_slot(self, **fields):
        """Change fields of the slot that counts, and of its twin."""
        for k in self.slots:
            FIELDS.pack_into(
                self.content, PAGE * k, *Slot(*FIELDS.unpack_from(self.content, PAGE * k))._replace(**fields)
            )

    def set_extents(self, extents):
        """Let the slots have other extents."""
        for k in self.slots:
            packed = b"".join(EXTENT.pack(*extent) for extent in extents)
            self.content[PAGE * k + EXTENTS_AT : PAGE * k + EXTENTS_END] = packed.ljust(192, b"\0")
        self.set_slot(extent_count=len(extents))

    def signed(self):
        """Return the bytes, with digests and checksums of the slots made right."""
        for k in self.slots:
            slot = Slot(*FIELDS.unpack_from(self.content, PAGE * k))
            if slot.flags & DIGEST:
                at = PAGE * k + EXTENTS_AT
                pieces = EXTENT.iter_unpack(self.content[at : at + 12 * slot.extent_count])
                digest = xxh3(b"".join(bytes(self.content[at : at + size]) for at, size in pieces))
                FIELDS.pack_into(self.content, PAGE * k, *slot._replace(digest=digest))
            check = xxh3(bytes(self.content[PAGE * k : PAGE * k + 504]))
            self.content[PAGE * k + 504 : PAGE * k + 512] = check.to_bytes(8, "little")
        return bytes(self.content)

    # -- trees ---------------------------------------------------------------------------------------------

    def record(self, name):
        """Return where the record of a list is in the catalog, and where its tree."""
        at = self.slot.catalog
        while True:
            size, sort, n = RECORD.unpack_from(self.content, at)
            place = at + RECORD.size + STRUCTURE.size
            if sort == A_STRUCTURE and self.content[place : place + n] == name.encode():
                return at, at + RECORD.size + 4
            at += size

    def tree(self, name):
        """Return (root, checksum, values, height) of a list."""
        if name == "main":
            slot = self.slot
            return slot.root, slot.root_sum, slot.values, slot.height
        height, root, check, values, _ = TREE.unpack_from(self.content, self.record(name)[1])
        return root, check, values, height

    def set_tree(self, name, root, check, values, height):
        """Change the tree of a list, in the slot or in the catalog."""
        if name == "main":
            self.set_slot(root=root, root_sum=check, values=values, height=height)
        else:
            place = self.record(name)[1]
            dropped = TREE.unpack_from(self.content, place)[4]
            self.catalog(
                lambda block: TREE.pack_into(
                    block, place - self.slot.catalog, height, root, check, values, dropped
                )
            )

    def way(self, name, path):
        """Return the addresses of the nodes from the root to the one at a path of child numbers."""
        at = self.tree(name)[0]
        found = [at]
        for k in path:
            at = CHILD.unpack_from(self.content, at + CHILDREN_AT + 16 * k)[0]
            found.append(at)
        return found

    def node(self, name, path, change, more=0):
        """Change the page of a node, and sign it upwards; ``more`` values are below it than before."""
        *above, at = self.way(name, path)
        page = self.content[at : at + PAGE]
        change(page)
        self.content[at : at + PAGE] = page
        for parent, k in zip(reversed(above), reversed(path), strict=True):
            CHILD.pack_into(self.content, parent + CHILDREN_AT + 16 * k, at, xxh3(bytes(page)))
            for later in range(k, NODE.unpack_from(self.content, parent)[2]):
                place = parent + 16 + 8 * later
                count = int.from_bytes(self.content[place : place + 8], "little") + more
                self.content[place : place + 8] = count.to_bytes(8, "little")
            at, page = parent, self.content[parent : parent + PAGE]
        _, _, values, height = self.tree(name)
        self.set_tree(name, at, xxh3(bytes(page)), values + more, height)

    # -- catalog -------------------------------------------------------------------------------------------

    def catalog(self, change, size=None):
        """Change the catalog's bytes in place, or cut them to a size."""
        slot = self.slot
        block = self.content[slot.catalog : slot.catalog + slot.catalog_size]
        change(block)
        self.content[slot.catalog : slot.catalog + len(block)] = block
        size = len(block) if size is None else size
        self.set_slot(
            catalog_size=size, catalog_sum=xxh3(bytes(self.content[slot.catalog : slot.catalog + size]))
        )

    # -- log -----------------------------------------------------------------------------------------------

    def log_page(self, back, change):
        """Change the log page that is so many before the newest, and sign the later ones."""
        addresses = [self.slot.log]
        for _ in range(back):
            addresses.append(int.from_bytes(self.content[addresses[-1] + 24 : addresses[-1] + 32], "little"))
        page = self.content[addresses[-1] : addresses[-1] + PAGE]
        change(page)
        self.content[addresses[-1] : addresses[-1] + PAGE] = page
        for later, address in zip(addresses[-2::-1], addresses[:0:-1], strict=True):
            check = xxh3(bytes(self.content[address : address + PAGE]))
            self.content[later + 32 : later + 40] = check.to_bytes(8, "little")
        self.set_slot(log_sum=xxh3(bytes(self.content[addresses[0] : addresses[0] + PAGE])))

    def entries(self, back, change):
        """Change the entries of a log page: ``change`` gets a list of [what, kind, address, size]."""

        def rewrite(page):
            count = HEAD.unpack_from(page)[1]
            words = struct.unpack_from(f"<{2 * count}Q", page, 64)
            listed = [
                [first >> 60, first >> 56 & 15, first & (1 << 56) - 1, second]
                for first, second in zip(words[::2], words[1::2], strict=True)
            ]
            change(listed)
            packed = b"".join(
                struct.pack("<QQ", what << 60 | kind << 56 | address, size)
                for what, kind, address, size in listed
            )
            page[4:8] = len(listed).to_bytes(4, "little")
            page[64:] = packed.ljust(PAGE - 64, b"\0")

        self.log_page(back, rewrite)
