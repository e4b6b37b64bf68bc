"""State: what a reader reads from a slot and its catalog, given bytes by address and size alone."""

import pytest

from stablemem import CorruptRegionError
from stablemem._core.format.catalog import Catalog, Entry, Patch, encode
from stablemem._core.format.checksum import page_checksum
from stablemem._core.format.slots import Slot
from stablemem._core.txn.state import State
from stablemem.layout import HEADER_SIZE

AT = HEADER_SIZE + 100
LENGTH = 1 << 20
TREE = (5 * 4096, 7, 1, 3)
PATCH = Patch(HEADER_SIZE + 8192, 10, 5, HEADER_SIZE + 300, 9)


class Bytes:
    """Bytes by address and size: a source that has neither lock nor map."""

    path = "somewhere.smem"

    def __init__(self, content):
        self.content = content
        self.loads = []

    def load(self, address, size):
        self.loads.append((address, size))
        return self.content[address - AT : address - AT + size]


def slot_of(content, **more):
    check = page_checksum(content) if content else 0
    return Slot(b"\1" * 16, 9, LENGTH, catalog=(AT if content else 0, len(content), check), **more)


def test_lists_roots_and_patches():
    content = encode(Catalog({"a list": Entry("text", b"", TREE)}, {"a root": (1, -2)}, (PATCH,)))
    source = Bytes(content)
    state = State.read(source, slot_of(content))
    assert source.loads == [(AT, len(content))]
    entry = state.lists["a list"]
    assert (entry.blobify, entry.options, entry.tree) == ("text", b"", TREE)
    assert (dict(state.roots), state.patches) == ({"a root": (1, -2)}, (PATCH,))


def test_an_empty_catalog_is_not_read():
    source = Bytes(b"")
    state = State.read(source, slot_of(b""))
    assert (dict(state.lists), dict(state.roots), state.patches, source.loads) == ({}, {}, (), [])


def test_it_never_changes():
    content = encode(Catalog({"a list": Entry("text", b"", TREE)}, {"a root": (1,)}))
    state = State.read(Bytes(content), slot_of(content))
    with pytest.raises(TypeError):
        state.lists["another"] = state.lists["a list"]
    with pytest.raises(TypeError):
        del state.roots["a root"]
    with pytest.raises(AttributeError):
        state.slot = None


@pytest.mark.parametrize("at", [0, 20, -1])
def test_a_flipped_bit_in_the_catalog(at):
    content = encode(Catalog({"a list": Entry("text", b"", TREE)}))
    slot = slot_of(content)
    damaged = bytearray(content)
    damaged[at] ^= 1
    with pytest.raises(CorruptRegionError, match="a catalog of checksum") as caught:
        State.read(Bytes(bytes(damaged)), slot)
    assert (caught.value.address, "somewhere.smem" in str(caught.value)) == (AT, True)


@pytest.mark.parametrize("transaction", [0, 10])
def test_a_patch_of_no_transaction_up_to_this_one(transaction):
    content = encode(Catalog(patches=(PATCH._replace(transaction=transaction),)))
    with pytest.raises(CorruptRegionError, match="a patch of a transaction up to 9"):
        State.read(Bytes(content), slot_of(content))
