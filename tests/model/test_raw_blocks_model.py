"""Raw blocks against a dict of bytes: hypothesis finds short counterexamples, long seeded runs deep ones."""

import contextlib
import os
import random
import tempfile

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from stablemem import COMPILED, BlockError, MemoryRegion
from stablemem.layout import REGION_PAGE
from support import chosen_seed, scaled
from support.probe import handle_of
from support.recorded import prove

SIZES = st.one_of(
    st.integers(1, 40),
    st.sampled_from([100, 4095, 4096, REGION_PAGE - 1, REGION_PAGE, REGION_PAGE + 1, 2 * REGION_PAGE]),
)
PICKS = st.integers(0, 1 << 16)
"""Chooses one of what there is, or a place in it; taken modulo how many there are."""

BYTES = st.integers(1, 255)
FITS = st.sampled_from(["first", "best"])
ROOTS = st.sampled_from(["a", "b", "c"])


class Undo(Exception):  # noqa: N818 - it is no error
    """Leaves a transaction block."""


class Model:
    """What a region holds: its blocks and its roots.

    Attributes:
        blocks: the bytes of each live block, by address; an allocation may have been cut into several.
        roots: as the region's.
    """

    def __init__(self, blocks=(), roots=()):
        self.blocks = dict(blocks)
        self.roots = dict(roots)

    def copy(self):
        return Model(self.blocks, self.roots)

    def add(self, address, data):
        for other, content in self.blocks.items():
            apart = other + len(content) <= address or address + len(data) <= other
            assert apart, f"({address}, {len(data)}) overlaps ({other}, {len(content)})"
        self.blocks[address] = bytes(data)

    def cut(self, low, high):
        """Take out what of the blocks lies in a range; return whether that was all of the range."""
        met = 0
        for address, content in list(self.blocks.items()):
            begin, end = max(address, low), min(address + len(content), high)
            if begin >= end:
                continue
            met += end - begin
            del self.blocks[address]
            if address < begin:
                self.blocks[address] = content[: begin - address]
            if end < address + len(content):
                self.blocks[end] = content[end - address :]
        return met == high - low

    def write(self, address, data):
        """Overwrite a range that lies in one block."""
        for begin, content in self.blocks.items():
            if begin <= address and address + len(data) <= begin + len(content):
                at = address - begin
                self.blocks[begin] = content[:at] + data + content[at + len(data) :]
                return
        raise AssertionError(f"({address}, {len(data)}) is in no block")

    def runs(self):
        """Return the maximal runs, as ``allocated_blocks`` does."""
        merged = []
        for address, content in sorted(self.blocks.items()):
            if merged and sum(merged[-1]) == address:
                merged[-1] = (merged[-1][0], merged[-1][1] + len(content))
            else:
                merged.append((address, len(content)))
        return merged


def same(region, model, what=""):
    """Assert that a region holds what its model does, to the byte."""
    assert region.allocated_blocks() == model.runs(), what
    for address, content in model.blocks.items():
        assert region.load(address, len(content)) == content, (what, address)
    assert dict(region.roots) == model.roots, what


class Driver:
    """Does the same to a region and to its model; what to do is told by numbers, whoever draws them."""

    def __init__(self, path, fit="first"):
        self.path = path
        self.region = MemoryRegion(path, fit=fit)
        self.now = Model()
        self.committed = Model()
        self.held = []

    # -- choosing ------------------------------------------------------------------------------------

    def pick(self, which):
        """Return the address and size of a live block."""
        addresses = sorted(self.now.blocks)
        address = addresses[which % len(addresses)]
        return address, len(self.now.blocks[address])

    def part(self, which, low, size):
        """Return a part of a live block."""
        address, whole = self.pick(which)
        low %= whole
        return address + low, 1 + size % (whole - low)

    # -- blocks --------------------------------------------------------------------------------------

    def allocate(self, size, fill):
        address = self.region.allocate(size)
        data = bytes([fill]) * size
        if fill % 4:
            self.region.store(address, data)
        else:
            # What nobody has stored into holds anything, and goes on holding that.
            data = self.region.load(address, size)
        self.now.add(address, data)

    def add(self, size, fill):
        data = bytes([fill]) * size
        self.now.add(self.region.add_blob(data), data)

    def deallocate(self, address, size):
        self.region.deallocate(address, size)
        assert self.now.cut(address, address + size)

    def remove(self, address, size):
        expected = self.region.load(address, size)
        assert self.region.remove_blob(address, size) == expected
        assert self.now.cut(address, address + size)

    def resize(self, address, size, new_size):
        content = self.region.load(address, min(size, new_size))
        moved = self.region.resize(address, size, new_size)
        assert self.now.cut(address, address + size)
        found = self.region.load(moved, new_size)
        assert found[: len(content)] == content
        assert moved == address or new_size > size, "what shrinks stays"
        self.now.add(moved, found)

    def replace(self, address, size, new_size, fill):
        data = bytes([fill]) * new_size
        moved = self.region.replace_blob(address, size, data)
        assert self.now.cut(address, address + size)
        assert moved == address or new_size > size
        self.now.add(moved, data)

    def store(self, address, size, fill):
        data = bytes([fill]) * size
        self.region.store(address, data)
        self.now.write(address, data)

    def deallocate_range(self, low, size):
        self.region.deallocate_range(low, low + size)
        self.now.cut(low, low + size)

    def clear(self):
        self.region.clear()
        self.now.blocks = {}

    def wrong(self, address, size, fill):
        """Ask for a range of which not all is allocated: everything refuses it, and nothing has happened."""
        if self.now.copy().cut(address, address + size):
            return
        before = self.region.stats().changes
        for call in (
            lambda: self.region.deallocate(address, size),
            lambda: self.region.store(address, bytes([fill]) * size),
            lambda: self.region.resize(address, size, size + fill),
            lambda: self.region.remove_blob(address, size),
            lambda: self.region.replace_blob(address, size, b"x"),
        ):
            try:
                call()
            except BlockError:
                continue
            raise AssertionError(f"({address}, {size}) was taken for allocated")
        assert self.region.stats().changes == before
        assert self.region.allocated_blocks() == self.now.runs()

    # -- roots and state -----------------------------------------------------------------------------

    def set_root(self, name, numbers):
        self.region.roots[name] = numbers
        self.now.roots[name] = tuple(numbers)

    def delete_root(self, name):
        assert (self.region.roots.pop(name, None) is None) == (self.now.roots.pop(name, None) is None)

    def commit(self, sync):
        self.region.commit(sync)
        self.committed = self.now.copy()

    def rollback(self):
        self.region.rollback()
        self.now = self.committed.copy()

    def reopen(self, commit, fit):
        if commit:
            self.region.close()
            self.committed = self.now.copy()
        else:
            handle_of(self.region).close(commit=False)
            self.now = self.committed.copy()
        self.region = MemoryRegion(self.path, "r+", fit=fit)

    @contextlib.contextmanager
    def block(self, well):
        """Open a transaction block; it ends well, or an exception leaves it."""
        before = self.now.copy()
        outermost = not handle_of(self.region).blocks
        with contextlib.suppress(Undo), self.region.transaction():
            yield
            if not well:
                raise Undo
        if not well:
            self.now = before
        elif outermost:
            self.committed = self.now.copy()

    def take_snapshot(self):
        taken = self.region.snapshot()
        views = [(taken.view(at, len(data)), data) for at, data in sorted(self.committed.blocks.items())[:3]]
        self.held.append((taken, self.committed.copy(), views))

    def end_snapshot(self, which):
        taken, then, views = self.held.pop(which % len(self.held))
        same(taken, then, "a snapshot")
        taken.close()
        assert all(bytes(view) == data for view, data in views), "a snapshot's view"

    def refresh(self, which):
        which %= len(self.held)
        taken, _, views = self.held[which]
        taken.refresh()
        self.held[which] = taken, self.committed.copy(), views

    # -- what always holds ---------------------------------------------------------------------------

    def compare(self):
        same(self.region, self.now)
        place = 0
        used = iter([*self.now.runs(), (1 << 60, 1)])
        run = next(used)
        for address, size in self.region.free_blocks():
            assert address >= place, "free blocks overlap"
            place = address + size
            while sum(run) <= address:
                run = next(used)
            assert run[0] >= place, f"({address}, {size}) is free, and {run} is allocated"

    def prove(self):
        """Compare everything that is open, and have the region prove itself."""
        prove(self.region)
        with MemoryRegion(self.path, "r") as reader:
            same(reader, self.committed, "a reader")
        for taken, then, views in self.held:
            same(taken, then, "a snapshot")
            assert all(bytes(view) == data for view, data in views), "a snapshot's view"

    def close(self):
        self.prove()
        while self.held:
            self.end_snapshot(0)
        self.region.close()
        with MemoryRegion(self.path, "r") as again:
            again.verify()
            same(again, self.now, "reopened")

    def abandon(self):
        for taken, _, _ in self.held:
            taken.close()
        handle_of(self.region).close(commit=False)


def has_blocks(machine):
    return bool(machine.driver.now.blocks)


def has_snapshots(machine):
    return bool(machine.driver.held)


class HeapMachine(RuleBasedStateMachine):
    """A region in a file beside its model."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.driver = None
        self.blocks = contextlib.ExitStack()
        self.depth = 0
        self.steps = 0

    @initialize(
        count=st.sampled_from([0, 3, 30]), then=st.sampled_from(["open", "committed", "patched"]), fit=FITS
    )
    def fill(self, count, then, fit):
        self.driver = Driver(os.path.join(self.folder.name, "machine.smem"), fit)
        for number in range(count):
            self.driver.add(9 + 7 * number, 1 + number)
        if then != "open":
            self.driver.commit(True)
        if then == "patched":
            for address, content in sorted(self.driver.now.blocks.items())[::2]:
                self.driver.store(address + 3, len(content) - 5, 99)
            self.driver.commit(False)

    # -- blocks --------------------------------------------------------------------------------------

    @rule(size=SIZES, fill=BYTES)
    def allocate(self, size, fill):
        self.driver.allocate(size, fill)

    @rule(size=SIZES, fill=BYTES)
    def add(self, size, fill):
        self.driver.add(size, fill)

    @precondition(has_blocks)
    @rule(which=PICKS)
    def deallocate(self, which):
        self.driver.deallocate(*self.driver.pick(which))

    @precondition(has_blocks)
    @rule(which=PICKS, low=PICKS, size=PICKS, take=st.booleans())
    def deallocate_part(self, which, low, size, take):
        (self.driver.remove if take else self.driver.deallocate)(*self.driver.part(which, low, size))

    @precondition(has_blocks)
    @rule(which=PICKS, first=st.integers(0, 3), size=st.integers(1, 300))
    def deallocate_several(self, which, first, size):
        """Free a run that one call may have allocated, or several."""
        runs = self.driver.now.runs()
        address, whole = runs[which % len(runs)]
        first %= whole
        self.driver.deallocate(address + first, min(size, whole - first))

    @precondition(has_blocks)
    @rule(which=PICKS, new_size=SIZES)
    def resize(self, which, new_size):
        self.driver.resize(*self.driver.pick(which), new_size)

    @precondition(has_blocks)
    @rule(which=PICKS, more=st.integers(-20, 20))
    def resize_a_little(self, which, more):
        address, size = self.driver.pick(which)
        self.driver.resize(address, size, max(1, size + more))

    @precondition(has_blocks)
    @rule(which=PICKS, low=PICKS, size=PICKS, new_size=SIZES)
    def resize_part(self, which, low, size, new_size):
        self.driver.resize(*self.driver.part(which, low, size), new_size)

    @precondition(has_blocks)
    @rule(which=PICKS, new_size=SIZES, fill=BYTES)
    def replace(self, which, new_size, fill):
        self.driver.replace(*self.driver.pick(which), new_size, fill)

    @precondition(has_blocks)
    @rule(which=PICKS, fill=BYTES)
    def store(self, which, fill):
        self.driver.store(*self.driver.pick(which), fill)

    @precondition(has_blocks)
    @rule(which=PICKS, low=PICKS, size=PICKS, fill=BYTES)
    def store_part(self, which, low, size, fill):
        self.driver.store(*self.driver.part(which, low, size), fill)

    @precondition(has_blocks)
    @rule(which=PICKS, before=st.integers(0, 50), size=st.integers(0, 300))
    def deallocate_range(self, which, before, size):
        self.driver.deallocate_range(self.driver.pick(which)[0] - before, size)

    @precondition(has_blocks)
    @rule(which=PICKS, by=st.integers(-20, 20), more=st.integers(-3, 20), fill=BYTES)
    def wrong(self, which, by, more, fill):
        address, size = self.driver.pick(which)
        self.driver.wrong(address + by, max(1, size + more), fill)

    @rule(sure=st.integers(0, 5))
    def clear(self, sure):
        if sure == 0:
            self.driver.clear()

    @rule(pages=st.integers(1, 3))
    def grow(self, pages):
        before = self.driver.region.pages
        assert self.driver.region.grow(pages) == before
        assert self.driver.region.pages == before + pages

    # -- roots and state -----------------------------------------------------------------------------

    @rule(name=ROOTS, numbers=st.lists(st.integers(-(2**127), 2**127 - 1), max_size=3))
    def set_root(self, name, numbers):
        self.driver.set_root(name, numbers)

    @rule(name=ROOTS)
    def delete_root(self, name):
        self.driver.delete_root(name)

    @precondition(lambda self: self.depth == 0)
    @rule(sync=st.booleans())
    def commit(self, sync):
        self.driver.commit(sync)
        prove(self.driver.region)

    @precondition(lambda self: self.depth == 0 and has_blocks(self))
    @rule(which=PICKS, low=PICKS, size=PICKS, fill=BYTES, sync=st.booleans())
    def store_and_commit(self, which, low, size, fill, sync):
        self.store_part(which, low, size, fill)
        self.commit(sync)

    @precondition(lambda self: self.depth == 0 and has_blocks(self))
    @rule(which=PICKS, low=PICKS, size=PICKS, sync=st.booleans())
    def deallocate_and_commit(self, which, low, size, sync):
        self.deallocate_part(which, low, size, False)
        self.commit(sync)

    @precondition(lambda self: self.depth == 0)
    @rule()
    def rollback(self):
        self.driver.rollback()

    @rule()
    def relieve(self):
        handle_of(self.driver.region).write_early()

    @precondition(lambda self: self.depth == 0)
    @rule(commit=st.booleans(), fit=FITS)
    def reopen(self, commit, fit):
        self.driver.reopen(commit, fit)

    @precondition(lambda self: self.depth < 3)
    @rule(well=st.booleans())
    def begin_block(self, well):
        """Open a block, or one more within; all rules happen in it until it ends."""
        before = self.blocks
        self.blocks = contextlib.ExitStack()
        self.blocks.callback(setattr, self, "blocks", before)
        self.blocks.enter_context(self.driver.block(well))
        self.depth += 1

    @precondition(lambda self: self.depth > 0)
    @rule()
    def end_block(self):
        self.depth -= 1
        self.blocks.close()

    # -- snapshots -----------------------------------------------------------------------------------

    @precondition(lambda self: len(self.driver.held) < 4)
    @rule()
    def take_snapshot(self):
        self.driver.take_snapshot()

    @precondition(has_snapshots)
    @rule(which=PICKS)
    def end_snapshot(self, which):
        self.driver.end_snapshot(which)

    @precondition(has_snapshots)
    @rule(which=PICKS)
    def refresh(self, which):
        self.driver.refresh(which)

    # -- what always holds ---------------------------------------------------------------------------

    @invariant()
    def equal(self):
        if self.driver is not None:
            self.driver.compare()

    @invariant()
    def sound(self):
        self.steps += 1
        if self.steps % 5 == 0 and self.driver is not None:
            self.driver.prove()

    def teardown(self):
        try:
            while self.depth:
                self.end_block()
            if self.driver is None:
                return
            self.driver.compare()
            self.driver.close()
        finally:
            if self.driver is not None:
                self.driver.abandon()
            self.folder.cleanup()


def test_machine():
    run_state_machine_as_test(
        HeapMachine,
        settings=settings(max_examples=scaled(120, 40, 5000), stateful_step_count=50 if COMPILED else 40),
    )


def change(driver, rng, most):
    """Do one thing to some blocks."""
    fill = rng.randrange(1, 256)
    size = rng.choice([rng.randrange(1, 100), rng.randrange(1, 100), rng.randrange(1, 5000), REGION_PAGE])
    what = rng.random()
    if not driver.now.blocks or what < (0.4 if len(driver.now.blocks) < most else 0.1):
        (driver.add if what < 0.2 else driver.allocate)(size, fill)
        return
    which, low, part = (rng.randrange(1 << 16) for _ in range(3))
    if what < 0.5:
        driver.deallocate(*driver.pick(which))
    elif what < 0.6:
        driver.store(*driver.part(which, low, part), fill)
    elif what < 0.65:
        driver.store(*driver.pick(which), fill)
    elif what < 0.72:
        driver.resize(*driver.pick(which), size)
    elif what < 0.76:
        driver.resize(*driver.part(which, low, part), size)
    elif what < 0.82:
        driver.replace(*driver.pick(which), size, fill)
    elif what < 0.87:
        (driver.remove if fill % 2 else driver.deallocate)(*driver.part(which, low, part))
    elif what < 0.90:
        driver.deallocate_range(driver.pick(which)[0] - rng.randrange(50), rng.randrange(1000))
    elif what < 0.93:
        address, size = driver.pick(which)
        driver.wrong(address + rng.randrange(-20, 20), max(1, size + rng.randrange(-5, 30)), fill)
    elif what < 0.97:
        driver.set_root(rng.choice("abc"), driver.pick(which))
    elif what < 0.972:
        driver.clear()
    else:
        driver.delete_root(rng.choice("abc"))


def work(driver, rng, most, depth=0):
    """Change in a transaction block, with blocks in it; exceptions leave some of them."""
    with driver.block(rng.random() < 0.6):
        for _ in range(rng.randrange(6)):
            change(driver, rng, most)
            if depth < 3 and rng.random() < 0.3:
                work(driver, rng, most, depth + 1)


@pytest.mark.parametrize("fit", ["first", "best"])
def test_seeded_run(tmp_path, fit):
    """Thousands of changes with commits, rollbacks, blocks, reopenings and snapshots."""
    seed = chosen_seed()
    print(f"STABLEMEM_SEED={seed}")
    rng = random.Random(seed)
    most = 60
    driver = Driver(str(tmp_path / "heap.smem"), fit)
    driver.commit(True)
    try:
        for step in range(scaled(6000, 800, 1_000_000)):
            change(driver, rng, most)
            chance = rng.random()
            if chance < 0.10:
                driver.commit(rng.random() < 0.5)
            elif chance < 0.12:
                driver.rollback()
            elif chance < 0.16:
                work(driver, rng, most)
            elif chance < 0.17:
                handle_of(driver.region).write_early()
            elif chance < 0.18 and len(driver.held) < 5:
                driver.take_snapshot()
            elif chance < 0.19 and driver.held:
                driver.refresh(rng.randrange(5))
            elif chance < 0.20 and driver.held:
                driver.end_snapshot(rng.randrange(5))
            elif chance < 0.205:
                # Now and then with the other policy.
                driver.reopen(rng.random() < 0.7, rng.choice([fit, fit, "first", "best"]))
            if step % 20 == 0:
                driver.compare()
            if step % 200 == 0:
                driver.prove()
        driver.compare()
        driver.close()
    except BaseException:
        print(f"step {step}")
        raise
    finally:
        driver.abandon()
