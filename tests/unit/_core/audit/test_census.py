"""The census against a map of every byte, made by walking the trees, on many random small regions."""

import os
import random

import pytest

from stablemem import CorruptRegionError, MemoryRegion
from stablemem._core.audit.census import IN_USE, USES, Census, cell_size, census
from stablemem._core.tree.index import Index
from stablemem.layout import HEADER_SIZE, NODE_SIZE
from support import chosen_seed, scaled
from support.player import Player
from support.probe import chain_of, handle_of


def byte_map(store):
    """Return what each byte of a committed state is used for, a letter a byte; each is met once."""
    letters = bytearray(store.slot.length)

    def put(use, address, size):
        stop = min(address + size, len(letters))
        assert not any(letters[address:stop]), f"{use} at {address} lies over something else"
        letters[address:stop] = bytes([1 + USES.index(use)]) * (stop - address)

    put("header", 0, HEADER_SIZE)
    for _, address, _ in chain_of(store).pages:
        put("log", address, NODE_SIZE)
    if store.slot.catalog[1]:
        put("blobs", *store.slot.catalog[:2])
    for patch in store.state.patches:
        put("blobs", patch.data, patch.size)
    for entry in store.state.lists.values():
        Index(store.pager, *entry.tree).walk(
            lambda address: put("nodes", address, NODE_SIZE), lambda *blob: put("blobs", *blob), True
        )
    space = store.space
    for address, size in space.free_blocks():
        put("free", address, size)
    for each in space.limbo:
        for address, size in each.blocks.blocks():
            put("limbo", address, size)
    # Which leaves the raw blocks; what they hold, nothing tells.
    for address, size in space.allocated_blocks(3, 0, store.slot.length):
        put("raw", address, size)
    assert all(letters)
    return bytes(letters)


def counted(letters, cell):
    """Return what a census in cells of so many bytes should count."""
    cells = [letters[start : start + cell] for start in range(0, len(letters), cell)]
    return {use: [part.count(1 + number) for part in cells] for number, use in enumerate(USES)}


def same(store, rng):
    """Compare censuses of a state with its map; return the uses that it has."""
    letters = byte_map(store)
    sizes = [64, 4096, 65536, len(letters), len(letters) + 1, 1 << 40, rng.randrange(20, 200_000)]
    for cell in sizes:
        found = census(store, cell)
        assert found.counts == counted(letters, cell), f"cells of {cell} bytes"
        assert len(found) == len(found.counts["free"])
        assert sum(found.total(use) for use in USES) == found.length == len(letters)
        assert found.transaction == store.slot.transaction
        assert found.ahead == store.region.device.size() - len(letters)
    return {use for number, use in enumerate(USES) if 1 + number in letters}


def test_an_empty_region():
    with MemoryRegion() as region:
        found = census(handle_of(region), 5000)
        assert found.counts["header"] == [5000, 5000, 2288]
        assert [sum(each) for each in zip(*found.counts.values(), strict=True)] == [5000, 5000, 2288]
        assert [found.size(number) for number in range(3)] == [5000, 5000, 2288]


@pytest.mark.parametrize("number", range(scaled(24, 8)))
def test_every_byte_is_counted(path, number):
    rng = random.Random(chosen_seed(number))
    snapshots, raw, met = [], [], set()
    with MemoryRegion(path) as region:
        player = Player(rng.random(), region, most=300)
        for _ in range(rng.randrange(2, 8)):
            for _ in range(rng.randrange(12)):
                what = rng.choice(["list", "list", "allocate", "free", "part", "store"])
                if what == "list":
                    player.change()
                elif what == "allocate":
                    size = rng.choice([1, 100, 5000, 65536, 200_000])
                    raw.append((region.allocate(size), size))
                elif raw and what == "free":
                    region.deallocate(*raw.pop(rng.randrange(len(raw))))
                elif raw and what == "part":
                    address, size = raw.pop(rng.randrange(len(raw)))
                    region.deallocate(address, (size + 1) // 2)
                elif raw:
                    address, size = rng.choice(raw)
                    if region.is_allocated(address, size):
                        region.store(address, rng.randbytes(min(size, 50)))
            player.commit(rng.random() < 0.7)
            if rng.random() < 0.4:
                snapshots.append(region.snapshot())
            elif snapshots and rng.random() < 0.3:
                snapshots.pop(0).close()
        # What the writer has not committed is no part of the state.
        player.change()
        region.allocate(300_000)
        if raw:
            region.deallocate(*raw[0])
        with MemoryRegion(path, "r") as reader:
            met |= same(handle_of(reader), rng)
        for each in snapshots:
            met |= same(handle_of(each), rng)
            each.close()
        region.rollback()
    assert met >= {"header", "log", "free"}


def test_every_use_is_met(path):
    """So that none of them is left out by the test above by chance."""
    with MemoryRegion(path) as region:
        region.buffer("main", "bytes").extend([bytes(100)] * 1000)
        address = region.add_blob(bytes(70_000))
        region.commit()
        reader = region.snapshot()
        region.store(address, b"a patch")
        del region.buffer("main")[::2]
        region.commit()
        assert handle_of(region).state.patches
        with region.snapshot() as snapshot:
            assert same(handle_of(snapshot), random.Random(0)) == set(USES)
        reader.close()


def test_limbo_over_pages_of_two_kinds(path):
    """Freed neighbours are one block in limbo, whatever kinds their pages are of."""
    with MemoryRegion(path) as region:
        values = region.buffer("main", "bytes")
        values.extend([bytes(1000)] * 400)
        block = region.allocate(65536)
        region.commit()
        values.clear()
        region.deallocate(block, 65536)
        region.commit()
        with region.snapshot() as snapshot:
            space = handle_of(snapshot).space
            (limbo,) = [each.blocks.blocks() for each in space.limbo if each.blocks.total > 400_000]
            assert any(space.kind_at(low) != space.kind_at(low + size - 1) for low, size in limbo)
            same(handle_of(snapshot), random.Random(0))


def test_a_region_larger_than_the_disk_is_counted_at_once(path):
    with MemoryRegion(path) as region:
        blocks = [region.allocate(1 << 35), region.allocate(1 << 35)]
        region.commit()
        region.deallocate(blocks[0] + 4096, (1 << 35) - 8192)
        region.commit()
    assert os.stat(path).st_blocks * 512 < 1 << 20, "a test must not fill the disk"
    with MemoryRegion(path, "r") as region:
        found = census(handle_of(region), cell_size(handle_of(region).slot.length, 1000))
    assert found.length > 1 << 36
    assert len(found) <= 1000
    assert found.total("raw") == (1 << 35) + 8192
    assert found.total("limbo") == (1 << 35) - 8192
    assert sum(found.total(use) for use in USES) == found.length


def test_blocks_that_do_not_fit_into_one_batch(path, monkeypatch):
    with MemoryRegion(path) as region:
        address = region.allocate(200_000)
        region.commit()
        for number in range(300):
            region.deallocate(address + 600 * number, 100 + number)
        region.commit()
        with region.snapshot() as snapshot:
            for batch in (1, 2, 7, 299, 300):
                monkeypatch.setattr("stablemem._core.audit.uses.BATCH", batch)
                assert "limbo" in same(handle_of(snapshot), random.Random(batch))


@pytest.mark.parametrize("length", [1, 15, 16, 17, 12_288, 12_289, 1 << 36, (1 << 56) - 1])
@pytest.mark.parametrize("most", [1, 2, 3, 1000])
def test_cell_size(length, most):
    cell = cell_size(length, most)
    assert cell & (cell - 1) == 0
    assert -(-length // cell) <= most
    assert cell == 16 or -(-length // (cell // 2)) > most


def test_what_a_cell_is_shown_as():
    def shown(size, **used):
        counts = {use: [used.get(use, 0)] for use in USES}
        return Census(1, size, 0, size, counts).shown(0)

    for use in IN_USE:
        assert shown(100, **{use: 100}) == (use, 1.0)
        assert shown(100, **{use: 1}, free=50, limbo=49) == (use, 0.01)
        assert shown(100, **{use: 50}, free=50) == (use, 0.5)
    assert shown(100, free=100) == ("free", 0.0)
    assert shown(100, free=99, limbo=1) == ("limbo", 0.0)
    assert shown(100, nodes=30, blobs=31, free=39) == ("blobs", 0.61)
    assert shown(100, nodes=30, blobs=30, free=40) == ("nodes", 0.6)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (0, "0.0 %"), (1, "< 0.1 %"), (999, "< 0.1 %"), (1000, "0.1 %"), (500_000, "50.0 %"),
        (999_000, "99.9 %"), (999_001, "> 99.9 %"), (1_000_000, "100.0 %"),
    ],
)  # fmt: skip
def test_share(part, said):
    counts = {use: [0] for use in USES} | {"blobs": [part], "free": [1_000_000 - part]}
    assert Census(1, 1_000_000, 0, 1_000_000, counts).share("blobs") == said


@pytest.mark.usefixtures("damaged")
def test_bytes_that_are_nothing(path, monkeypatch):
    """A log that is sound, page by page, and does not cover the region."""
    with MemoryRegion(path) as region:
        region.allocate(100_000)
        region.commit()
        with region.snapshot() as snapshot:
            store = handle_of(snapshot)
            space, chain = store.space, chain_of(store)
            space.areas[3].discard(65536, 131072)
            monkeypatch.setattr("stablemem._core.audit.census.replay", lambda *_: (space, chain))
            with pytest.raises(CorruptRegionError, match="each used for one thing"):
                census(store, 4096)
