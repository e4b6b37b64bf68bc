# ruff: noqa: PT012 - what is tested is what an exception does to the block around it
"""Stores into committed blocks: committed with all else, rolled back, and never half on the disk."""

import pytest

from stablemem import MemoryRegion, RegionFullError
from support.probe import handle_of
from support.raw import Undo
from support.recorded import BOOT, NEXT_BOOT, Recorder, prove, region_of, region_on

STORES = {
    "whole": [(0, 100)],
    "part": [(10, 20)],
    "ends": [(0, 1), (99, 1)],
    "twice": [(10, 20), (10, 20)],
    "overlapping": [(10, 20), (20, 20), (5, 10)],
    "within": [(10, 50), (20, 5)],
    "around": [(20, 5), (10, 50)],
    "neighbours": [(10, 10), (20, 10), (0, 10)],
    "bridging": [(0, 20), (40, 20), (80, 20), (10, 80)],
    "many": [(at, 3) for at in range(0, 97, 2)],
    "falling": [(at, 3) for at in range(96, 0, -2)],
}


def play(heap, address, model, stores, first=65):
    """Store so into a block, and into its model; after each, both are the same."""
    for number, (at, size) in enumerate(stores):
        data = bytes([first + number % 58]) * size
        heap.store(address + at, data)
        model[at : at + size] = data
        assert heap.load(address, len(model)) == bytes(model)
        assert bytes(heap.view(address, len(model))) == bytes(model)
        for low, high in (
            (at, at + size),
            (max(0, at - 3), at + 1),
            (at + size - 1, min(100, at + size + 3)),
        ):
            assert heap.load(address + low, high - low) == bytes(model[low:high])


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("stores", STORES.values(), ids=STORES)
def test_stores_are_committed_with_everything_else(path, stores, sync):
    with MemoryRegion(path) as region:
        a = region.add_blob(bytes(100))
        region.roots["a"] = a, 100
        region.commit()
        before = region.snapshot()
        view = before.view(a, 100)
        model = bytearray(100)
        play(region, a, model, stores)
        assert before.load(a, 100) == bytes(100), "nobody else sees them before the commit"
        with MemoryRegion(path, "r") as reader:
            assert reader.load(a, 100) == bytes(100)
        region.commit(sync)
        after = region.snapshot()
        states = [(before, bytes(100)), (after, bytes(model))]
        for step in range(4):
            play(region, a, model, stores, 97 + step)
            region.commit(sync)
            with MemoryRegion(path, "r") as reader:
                states.append((reader.snapshot(), bytes(model)))
            for taken, content in states:
                assert taken.load(a, 100) == bytes(taken.view(a, 100)) == content
            prove(region)
        assert bytes(view) == bytes(100)
        assert before.refresh()
        assert before.load(a, 100) == bytes(model)
        assert bytes(view) == bytes(100), "a view of a snapshot never changes"
        for taken, _ in states:
            taken.close()
        view.release()
    with MemoryRegion(path, "r") as region:
        assert region.load(*region.roots["a"]) == bytes(model)
    with MemoryRegion(path) as region:
        for _ in range(4):
            assert region.load(a, 100) == bytes(model)
            region.add_blob(b"so that there is something to commit")
            region.commit()
        assert handle_of(region).patches.listed == (), "in the end they are in place"
        assert region.load(a, 100) == bytes(model)


@pytest.mark.parametrize("stores", STORES.values(), ids=STORES)
def test_stores_are_rolled_back(heap, stores):
    a = heap.add_blob(bytes(range(100)))
    heap.commit()
    heap.store(a + 15, b"listed patch")
    heap.commit()
    content = heap.load(a, 100)
    play(heap, a, bytearray(content), stores)
    heap.rollback()
    assert heap.load(a, 100) == content
    heap.add_blob(b"x")
    heap.commit()
    assert heap.load(a, 100) == content
    model = bytearray(content)
    play(heap, a, model, stores)
    heap.commit()
    assert heap.load(a, 100) == bytes(model)


@pytest.mark.parametrize("stores", STORES.values(), ids=STORES)
@pytest.mark.parametrize("owner", ["committed", "outer", "mixed"])
def test_stores_in_a_savepoint(heap, stores, owner):
    """Into blocks that were allocated outside of it; an exception leaves it, then nothing does."""
    a = heap.allocate(100)
    heap.store(a, bytes(range(100)))
    if owner == "mixed":
        heap.deallocate(a + 30, 70)
    if owner != "outer":
        heap.commit()
    with heap.transaction():
        if owner == "mixed":
            assert heap.resize(a, 30, 100) == a
            heap.store(a + 30, bytes(range(30, 100)))
        outer = bytearray(range(100))
        play(heap, a, outer, [(8, 20)])
        with pytest.raises(Undo), heap.transaction():
            play(heap, a, bytearray(outer), stores, 97)
            with heap.transaction():
                heap.store(a + 3, b"in an inner one that ends well")
            raise Undo
        assert heap.load(a, 100) == bytes(outer)
        with heap.transaction():
            play(heap, a, outer, stores, 97)
            with pytest.raises(Undo), heap.transaction():
                heap.store(a + 3, b"in an inner one that does not")
                heap.deallocate(a + 50, 10)
                raise Undo
        assert heap.load(a, 100) == bytes(outer)
        play(heap, a, outer, [(19, 2)])
    assert heap.load(a, 100) == bytes(outer)
    prove(heap)
    with heap.snapshot() as after:
        assert after.load(a, 100) == bytes(outer)


def test_an_exception_that_leaves_the_outermost_block(heap):
    a = heap.add_blob(b"." * 100)
    heap.commit()
    with pytest.raises(Undo), heap.transaction():
        heap.store(a, b"x" * 100)
        b = heap.add_blob(b"new")
        heap.deallocate(a + 50, 50)
        with heap.transaction():
            heap.store(b, b"New")
        raise Undo
    assert heap.load(a, 100) == b"." * 100
    assert heap.allocated_blocks() == [(a, 100)]


def test_a_store_over_what_is_partly_new(heap):
    a = heap.add_blob(b"old" * 10)
    heap.commit()
    assert heap.resize(a, 30, 60) == a
    heap.store(a + 20, b"x" * 20)
    heap.store(a + 59, b"!")
    assert heap.load(a, 60) == b"old" * 6 + b"ol" + b"x" * 20 + bytes(19) + b"!"
    old = heap.snapshot()
    heap.commit()
    assert old.load(a, 30) == b"old" * 10
    old.close()
    assert heap.load(a, 60) == b"old" * 6 + b"ol" + b"x" * 20 + bytes(19) + b"!"


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(("low", "size"), [(0, 100), (10, 20), (0, 15), (25, 50), (12, 6), (40, 60), (99, 1)])
def test_deallocating_with_a_store_over_it(heap, listed, low, size):
    a = heap.add_blob(b"." * 100)
    heap.commit()
    heap.store(a + 10, b"s" * 20)
    if listed:
        heap.commit()
    old = heap.snapshot()
    expected = bytearray(b"." * 10 + b"s" * 20 + b"." * 70)
    heap.deallocate(a + low, size)
    rest = [at for at in range(100) if not low <= at < low + size]
    for _ in range(4):
        assert [heap.load(a + at, 1) for at in rest] == [bytes([expected[at]]) for at in rest]
        assert heap.allocated_bytes == len(rest)
        heap.commit()
        heap.roots["n"] = heap.transaction_number
    assert old.load(a, 100) == (bytes(expected) if listed else b"." * 100)
    old.close()
    for number in range(3):
        heap.roots["n"] = number
        heap.commit()
    # What is allocated there again holds what is stored, never what once lay over it.
    again = [heap.allocate(1) for _ in range(size)]
    assert a + low in again
    for at in again:
        heap.store(at, b"!")
    heap.commit()
    assert [heap.load(at, 1) for at in again] == [b"!"] * size
    assert [heap.load(a + at, 1) for at in rest] == [bytes([expected[at]]) for at in rest]


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize("how", ["deallocate", "remove_blob", "clear", "resize", "shrink", "replace_blob"])
def test_a_commit_that_only_drops_patches(path, how):
    region = MemoryRegion(path)
    fence, a = region.allocate(1), region.add_blob(b"." * 100)
    region.add_blob(b"fence")
    region.commit()
    region.store(a + 10, b"s" * 20)
    region.commit()
    if how == "clear":
        region.clear()
    elif how == "replace_blob":
        region.replace_blob(a, 100, b"x" * 200)
    elif how == "resize":
        region.resize(a, 100, 200)
    elif how == "shrink":
        region.resize(a, 100, 5)
    else:
        getattr(region, how)(a, 100)
    assert handle_of(region).patches.listed == ()
    region.commit()
    assert handle_of(region).state.patches == ()
    region.verify()
    assert fence
    region.close()
    # A catalog that still names the patch lays it over whatever is allocated there next.
    with MemoryRegion(path, "r+") as again:
        for number in range(4):
            again.roots["n"] = number
            again.commit()
        b = again.add_blob(b"!" * 90)
        assert again.load(b, 90) == b"!" * 90
        again.commit()
        again.verify()


def test_reused_bytes_show_no_old_patch(heap):
    """A block is patched, freed, allocated anew and not stored into: no patch of its past lies over it."""
    a = heap.add_blob(b"." * 100)
    heap.commit()
    for number in range(6):
        heap.store(a, b"patched" * 10)
        heap.commit()
        heap.deallocate(a, 100)
        for _ in range(3):
            heap.roots["n"] = number
            heap.commit()
            heap.roots["n"] = -1
        a = heap.add_blob(b"fresh" * 20)
        assert heap.load(a, 100) == b"fresh" * 20
        heap.commit()
        assert heap.load(a, 100) == b"fresh" * 20
        prove(heap)


def test_the_first_store_after_reopening(path):
    with MemoryRegion(path) as region:
        a = region.add_blob(b"." * 100)
        region.commit()
        region.store(a, b"first")
    with MemoryRegion(path) as region:
        region.store(a + 3, b"second")
        assert region.load(a, 12) == b"firsecond..."
        region.rollback()
        assert region.load(a, 12) == b"first......."
        region.store(a + 3, b"second")
    with MemoryRegion(path, "r") as region:
        assert region.load(a, 12) == b"firsecond..."


def test_thousands_of_stores(heap):
    size = 30_000
    a = heap.allocate(size)
    heap.commit()
    model = bytearray(size)
    for at in range(0, size - 8, 15):
        heap.store_as("u64", a + at, at)
        model[at : at + 8] = at.to_bytes(8, "little")
    assert heap.load(a, size) == bytes(model)
    heap.commit()
    assert heap.load(a, size) == bytes(model)
    heap.store(a + 100, b"x" * 20_000)
    model[100:20_100] = b"x" * 20_000
    heap.commit()
    heap.roots["x"] = 1
    heap.commit()
    assert heap.load(a, size) == bytes(model)


def test_a_views_bytes_are_read_only(heap):
    a = heap.add_blob(b"." * 10)
    heap.commit()
    heap.store(a + 5, b"x")
    for view in (heap.view(a, 3), heap.view(a, 10)):
        assert view.readonly
        with pytest.raises(TypeError):
            view[0] = 1


def test_a_snapshots_view_outlives_the_snapshot(path):
    with MemoryRegion(path) as region:
        a = region.add_blob(b"." * 5000)
        b = region.add_blob(b"," * 5000)
        region.commit()
        region.store(b, b"patch")
        region.commit()
        taken = region.snapshot()
        views = taken.view(a, 5000), taken.view(b, 5000)
        taken.close()
        region.deallocate(a, 5000)
        region.deallocate(b, 5000)
        for number in range(5):
            region.roots["n"] = number
            region.commit()
            c = region.add_blob(b"x" * 20_000)
            region.commit()
            region.deallocate(c, 20_000)
        assert bytes(views[0]) == b"." * 5000
        assert bytes(views[1]) == b"patch" + b"," * 4995


@pytest.mark.parametrize("way", ["deallocate", "shrink", "move", "clear", "drop part"])
def test_writing_where_a_synced_commit_wrote_and_freed(way):
    """A block that one transaction allocates, stores into and frees is free for the next one at once.

    What the commit's digest covers must not include it: the next transaction's first store would undo the
    commit for whoever opens the region after a kill.
    """
    device = Recorder()
    region = region_on(device)
    region.roots["n"] = 1
    region.commit()
    a = region.add_blob(b"gone" * 50)
    fence = region.allocate(1)
    if way == "deallocate":
        region.deallocate(a, 200)
    elif way == "shrink":
        region.resize(a, 200, 10)
    elif way == "move":
        region.resize(a, 200, 300)
    elif way == "drop part":
        region.deallocate(a + 100, 5)
    else:
        region.clear()
    region.roots["n"] = 2
    region.commit()
    for size in (5, 90, 100, 190, 200, 300, 5000):
        region.store(region.allocate(size), b"!" * size)
        with region_of(device.bytes()) as after_a_kill:
            assert after_a_kill.roots["n"] == (2,), (way, size)
    assert fence
    region.rollback()
    region.close()


@pytest.mark.parametrize("sync", [True, False])
def test_killed_at_every_point_of_a_workload_with_stores(sync):
    """What was written is there, in order: whoever opens it then sees a commit as a whole."""
    device = Recorder()
    region = region_on(device)
    a, b = region.add_blob(b"." * 50), region.add_blob(b"," * 50)
    region.roots["n"] = 0
    region.commit()
    states = {0: (b"." * 50, b"," * 50)}
    images = []
    for number in range(1, 9):
        region.roots["n"] = number
        region.store(a + number, b"%d" % number * 10)
        images.append((number - 1, device.bytes()))
        region.store(b + 3 * number, b"%d" % number * 7)
        c = region.add_blob(b"c" * 100 * number)
        if number % 2:
            region.deallocate(c, 100 * number)
        images.append((number - 1, device.bytes()))
        states[number] = region.load(a, 50), region.load(b, 50)
        region.commit(sync)
        images.append((number, device.bytes()))
    region.close()
    images.append((8, device.bytes()))
    for number, image in images:
        for boot in (BOOT, NEXT_BOOT):
            with region_of(image, boot) as again:
                found = again.roots["n"][0]
                assert found == number or (boot == NEXT_BOOT and not sync and found <= number)
                assert (again.load(a, 50), again.load(b, 50)) == states[found]
                prove(again)
                again.roots["n"] = 100
                again.commit()
                assert (again.load(a, 50), again.load(b, 50)) == states[found]


def test_a_full_disk_under_a_patch_over_a_hole():
    """Writing in place needs room that the disk has not: nothing else may fail for it."""
    device = Recorder()
    region = region_on(device)
    other = region.add_blob(b"to be freed")
    hole = region.allocate(1 << 20)
    region.commit()
    region.store(hole + 500_000, b"patch")
    region.commit()
    write_run = device.write_run

    def full(address, pieces):
        if hole <= address < hole + (1 << 20):
            raise RegionFullError("no space left")
        write_run(address, pieces)

    device.write_run = full
    for _ in range(3):
        region.roots["number"] = 1, _
        region.commit()
    region.deallocate(other, 11)
    region.commit()
    assert region.load(hole + 500_000, 5) == b"patch"
    device.write_run = write_run
    for _ in range(4):
        region.roots["number"] = 2, _
        region.commit()
    assert not handle_of(region).patches.listed
    assert region.load(hole + 500_000, 5) == b"patch"
    region.close()
