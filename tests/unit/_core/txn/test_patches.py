# ruff: noqa: PT012 - what is tested is what an exception does to the block around it
"""What stores into committed blocks cost, in steps; what they do is in faces/raw_blocks and its model."""

import random
from pathlib import Path

import pytest

from stablemem import CorruptRegionError, MemoryRegion
from stablemem._core.txn import patches, writer
from stablemem._core.txn.ranges import MOST
from support.probe import handle_of
from support.recorded import prove
from support.steps import steps

FEW, MANY = 100, 5000
assert FEW < MOST < MANY // 2
ROOM = 60
"""Steps that may be more at one time than at another: a chunk is copied, cut in two or joined."""


def stored(number, committed):
    """Return a region with a block, and so many patches of a byte in it, every third byte."""
    region = MemoryRegion()
    address = region.add_blob(bytes(3 * MANY))
    region.commit()
    order = list(range(number))
    random.Random(1).shuffle(order)
    for place in order:
        region.store(address + 3 * place, b"x")
    if committed:
        region.commit()
        assert region.verify().patch_bytes == number
    return region, address


def nested(region, address):
    with region.transaction():
        region.store(address, b"n")


def nested_in_vain(region, address):
    with pytest.raises(KeyError), region.transaction():
        region.store(address + 30, b"nothing")
        raise KeyError


CALLS = {
    "load of a patch": lambda region, address: region.load(address + 60, 1),
    "load beside it": lambda region, address: region.load(address + 61, 2),
    "view": lambda region, address: region.view(address + 60, 4),
    "store over one": lambda region, address: region.store(address + 90, b"y"),
    "store beside one": lambda region, address: region.store(address + 91, b"z"),
    "store over some": lambda region, address: region.store(address + 120, b"some bytes"),
    "resize": lambda region, address: region.resize(address + 150, 10, 5),
    "free": lambda region, address: region.deallocate(address + 210, 9),
    "nested block": nested,
    "nested block, undone": nested_in_vain,
}


@pytest.mark.parametrize("committed", [False, True], ids=["pending", "listed"])
@pytest.mark.parametrize("name", CALLS)
def test_steps_do_not_grow_with_what_lies_elsewhere(name, committed):
    """Each load cut what was pending to its end, and each store made the list anew."""
    taken = []
    for number in (FEW, MANY):
        region, address = stored(number, committed)
        with region.transaction():
            # Whatever the first change does, it does now.
            region.store(address + 3, b"w")
            taken.append(steps(lambda: CALLS[name](region, address)))  # noqa: B023 - called at once
        prove(region)
        region.close()
    assert taken[1] <= taken[0] + ROOM


@pytest.mark.parametrize("committed", [False, True], ids=["pending", "listed"])
def test_a_block_is_freed_in_steps_for_each_of_its_patches(committed):
    taken = []
    for number in (FEW, MANY):
        region, address = stored(number, committed)
        region.add_blob(b"begins the transaction")
        taken.append(steps(lambda: region.deallocate(address, 3 * MANY)))  # noqa: B023 - called at once
        assert not handle_of(region).patches
        prove(region)
        region.close()
    assert taken[1] <= (MANY / FEW) * taken[0] + ROOM


def test_a_commit_of_something_else_takes_no_steps_for_patches_that_a_reader_holds(path):
    taken = []
    for number in (FEW, MANY):
        with MemoryRegion(path, "w") as region:
            address = region.add_blob(bytes(3 * MANY))
            values = region.buffer("main", "bytes")
            region.commit()
            with MemoryRegion(path, "r"):
                for place in range(number):
                    region.store(address + 3 * place, b"x")
                region.commit()

                def change():
                    values.append(b"some value")  # noqa: B023 - called at once
                    region.commit()

                change()
                taken.append(steps(change))
                assert len(handle_of(region).patches.listed) == number
    assert taken[1] <= taken[0] + ROOM


def test_readers_are_asked_for_once_for_all_patches_of_a_transaction(path, monkeypatch):
    asked = []

    def ask(device, below):
        asked.append(below)

    with MemoryRegion(path) as region:
        address = region.add_blob(bytes(3 * MANY))
        region.commit()
        for place in range(FEW):
            region.store(address + 3 * place, b"x")
        region.commit()
        monkeypatch.setattr(writer, "oldest_reader", ask)
        for _ in range(4):
            region.add_blob(b"x")
            region.commit()
        assert handle_of(region).patches.listed == ()
        assert len(asked) < FEW // 2


def test_a_counter_beside_a_long_reader_is_remembered_once(path):
    """Each commit makes a patch in the place of the one before; those are no more to be thought of."""
    with MemoryRegion(path) as region:
        address = region.add_as("u64", 0)
        region.roots["counter"] = (address,)
        region.commit()
        with MemoryRegion(path, "r") as reader:
            for number in range(1, 400):
                region.store_as("u64", address, number)
                region.commit(sync=number % 3 == 0)
            assert reader.load_as("u64", address) == 0
            known = handle_of(region).patches
            assert len(known.listed) == 1
            remembered = len(known._waiting) + len(known._placed) + len(known._durable)
            assert remembered <= patches.FORGOTTEN + 3
        for _ in range(4):
            region.add_blob(b"x")
            region.commit()
        assert known.listed == ()
        assert region.load_as("u64", address) == 399
    with MemoryRegion(path) as region:
        assert region.load_as("u64", *region.roots["counter"]) == 399


@pytest.mark.parametrize("committed", [False, True], ids=["pending", "listed"])
def test_a_large_store_that_is_cut_everywhere(committed):
    """What is left of it stays where it is, not copied for each cut; and no small rest keeps it in memory."""
    size = 1 << 18
    rng = random.Random(1)
    with MemoryRegion() as region:
        address = region.add_blob(bytes(size))
        region.commit()
        model = bytearray(rng.randbytes(size))
        region.store(address, bytes(model))
        if committed:
            region.commit()
        for _ in range(500):
            at, data = rng.randrange(size - 8), rng.randbytes(rng.choice([1, 8]))
            region.store(address + at, data)
            model[at : at + len(data)] = data
        lying = handle_of(region).patches._now
        assert sum(stop - start for start, stop, _ in lying) == size
        wholes = {id(what.obj): len(what.obj) for *_, what in lying if isinstance(what, memoryview)}
        kept = sum(wholes.values()) + sum(len(what) for *_, what in lying if isinstance(what, bytes))
        assert kept <= patches.VIEW_SHARE * size
        assert region.load(address, size) == model
        with pytest.raises(KeyError), region.transaction():
            region.store(address + 5, bytes(size - 5))
            raise KeyError
        assert region.load(address, size) == model
        region.commit()
        assert region.load(address, size) == model
        assert region.verify().patch_bytes == size


@pytest.mark.parametrize("writer", [True, False])
def test_a_part_of_a_large_patch_costs_all_of_it_once(path, monkeypatch, writer):
    """Its checksum is that of all its bytes: it is verified when it is met first, as a node is."""
    size = 1 << 20
    with MemoryRegion(path) as region:
        address = region.add_blob(bytes(size))
        region.commit()
        region.store(address, b"x" * size)
        region.commit()
        with MemoryRegion(path, "r") as reader:
            each = region if writer else reader
            checked = []
            check = patches.page_checksum
            monkeypatch.setattr(
                patches, "page_checksum", lambda data: checked.append(len(data)) or check(data)
            )
            for place in range(100):
                assert each.load(address + 1000 * place, 8) == b"x" * 8
            assert sum(checked) <= 2 * size
            assert each.load(address, size) == b"x" * size


@pytest.mark.usefixtures("damaged")
def test_a_damaged_patch_is_met_where_it_is_read(path):
    with MemoryRegion(path) as region:
        address = region.add_blob(bytes(300))
        region.roots["block"] = (address,)
        region.commit()
        region.store(address + 100, b"the bytes of a patch" * 5)
        region.commit()
        (patch,) = handle_of(region).patches.listed
    file = Path(path)
    content = bytearray(file.read_bytes())
    content[patch.data + 50] ^= 1
    file.write_bytes(content)
    with MemoryRegion(path) as region:
        for call in (
            lambda: region.load(address + 100, 1),
            lambda: region.load(address, 300),
        ):
            with pytest.raises(CorruptRegionError, match="a patch of checksum"):
                call()
        assert region.load(address, 100) == bytes(100)
