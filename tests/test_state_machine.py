"""A region against plain lists: hypothesis finds short counterexamples, long seeded runs deep ones."""

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

from stablemem import COMPILED, MemoryRegion
from support import chosen_seed, scaled
from support.player import Player, same

NAMES = ("main", "second")
SIZES = st.one_of(st.integers(0, 20), st.sampled_from([100, 4096, 4097, 3 * 4096]))


@st.composite
def blobs(draw):
    """A value: a byte that tells it from others, repeated."""
    size = draw(SIZES)
    return bytes([draw(st.integers(0, 255))]) * size


VALUES = st.lists(blobs(), max_size=6)
BOUNDS = st.none() | st.integers(-12, 12)
SLICES = st.builds(slice, BOUNDS, BOUNDS, st.sampled_from([None, 1, -1, 2, -2, 3]))


class Undo(Exception):  # noqa: N818 - it is no error
    """Leaves a transaction block."""


class RegionMachine(RuleBasedStateMachine):
    """Two lists in one file beside two plain lists and their last committed state."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "machine.smem")
        self.region = MemoryRegion(self.path)
        self.lists = {}
        self.held = []
        self.steps = 0
        self.now = {name: [] for name in NAMES}
        self.committed = {name: [] for name in NAMES}
        self.open_lists()

    def open_lists(self):
        self.lists = {name: self.region.buffer(name, "bytes") for name in NAMES}

    def keep(self):
        self.committed = {name: list(values) for name, values in self.now.items()}

    def forget(self):
        self.now = {name: list(values) for name, values in self.committed.items()}

    def both(self, name, call):
        """Do the same to the list and to its model; both give the same or raise the same."""
        outcomes = []
        for values in (self.now[name], self.lists[name]):
            try:
                outcomes.append(call(values))
            except (IndexError, ValueError, TypeError) as error:
                outcomes.append(type(error))
        assert outcomes[0] == outcomes[1]

    # -- lists ---------------------------------------------------------------------------------------

    @initialize(counts=st.sampled_from([(0, 0), (300, 0), (700, 300), (0, 256)]))
    def fill(self, counts):
        for name, count in zip(NAMES, counts, strict=True):
            self.both(name, lambda values, count=count: values.extend([b"%d" % n for n in range(count)]))

    @rule(name=st.sampled_from(NAMES), value=blobs())
    def append(self, name, value):
        self.both(name, lambda values: values.append(value))

    @rule(name=st.sampled_from(NAMES), given=VALUES, times=st.sampled_from([1, 1, 1, 60]))
    def extend(self, name, given, times):
        self.both(name, lambda values: values.extend(given * times))

    @rule(name=st.sampled_from(NAMES), at=st.integers(-400, 400), value=blobs())
    def insert(self, name, at, value):
        self.both(name, lambda values: values.insert(at, value))

    @rule(name=st.sampled_from(NAMES), at=st.integers(-400, 400), value=blobs())
    def set_one(self, name, at, value):
        self.both(name, lambda values: values.__setitem__(at, value))

    @rule(name=st.sampled_from(NAMES), at=st.integers(-400, 400))
    def delete_one(self, name, at):
        self.both(name, lambda values: values.__delitem__(at))

    @rule(name=st.sampled_from(NAMES), at=st.integers(-400, 400))
    def pop(self, name, at):
        self.both(name, lambda values: values.pop(at))

    @rule(name=st.sampled_from(NAMES), where=SLICES)
    def get_slice(self, name, where):
        self.both(name, lambda values: values[where])

    @rule(name=st.sampled_from(NAMES), where=SLICES, given=VALUES)
    def set_slice(self, name, where, given):
        self.both(name, lambda values: values.__setitem__(where, given))

    @rule(name=st.sampled_from(NAMES), where=SLICES)
    def delete_slice(self, name, where):
        self.both(name, lambda values: values.__delitem__(where))

    @rule(name=st.sampled_from(NAMES), low=st.integers(0, 900), size=st.integers(0, 900))
    def delete_run(self, name, low, size):
        self.both(name, lambda values: values.__delitem__(slice(low, low + size)))

    @rule(name=st.sampled_from(NAMES))
    def clear(self, name):
        self.both(name, lambda values: values.clear())

    @rule(name=st.sampled_from(NAMES))
    def reverse(self, name):
        if len(self.now[name]) < 50:
            self.both(name, lambda values: values.reverse())

    @rule(
        name=st.sampled_from(NAMES), key=st.sampled_from([None, len, bytes.swapcase]), reverse=st.booleans()
    )
    def sort(self, name, key, reverse):
        self.both(name, lambda values: values.sort(key=key, reverse=reverse))

    @rule(name=st.sampled_from(NAMES))
    def iterate(self, name):
        self.both(name, lambda values: list(reversed(values)) if len(values) % 2 else list(iter(values)))

    # -- state ---------------------------------------------------------------------------------------

    @rule(sync=st.booleans())
    def commit(self, sync):
        self.region.commit(sync)
        self.keep()

    @rule()
    def rollback(self):
        self.region.rollback()
        self.forget()

    @rule()
    def relieve(self):
        self.region._store.write_early()

    @rule(
        name=st.sampled_from(NAMES),
        given=VALUES,
        inner=st.sampled_from(["none", "well", "badly"]),
        well=st.booleans(),
    )
    def block(self, name, given, inner, well):
        before = {key: list(values) for key, values in self.now.items()}
        with contextlib.suppress(Undo), self.region.transaction():
            self.both(name, lambda values: values.extend(given))
            self.both(NAMES[0], lambda values: values.insert(1, b"outer"))
            if inner != "none":
                mark = {key: list(values) for key, values in self.now.items()}
                with contextlib.suppress(Undo), self.region.transaction():
                    self.both(name, lambda values: values.__setitem__(slice(0, 3), given))
                    self.both(NAMES[1], lambda values: values.append(b"a longer value within"))
                    if inner == "badly":
                        raise Undo
                if inner == "badly":
                    self.now = mark
                self.both(NAMES[1], lambda values: values.append(b"behind the inner one"))
            if not well:
                raise Undo
        if well:
            self.keep()
        else:
            # What was changed before the block stays, uncommitted.
            self.now = before

    @rule(commit=st.booleans())
    def reopen(self, commit):
        if commit:
            self.region.close()
            self.keep()
        else:
            self.region._store.close(commit=False)
            self.forget()
        self.region = MemoryRegion(self.path, "r+" if os.path.getsize(self.path) else "a")
        self.open_lists()

    # -- snapshots -----------------------------------------------------------------------------------

    @precondition(lambda self: len(self.held) < 4)
    @rule()
    def take_snapshot(self):
        self.held.append((self.region.snapshot(), {k: list(v) for k, v in self.committed.items()}))

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 3))
    def end_snapshot(self, which):
        taken, _ = self.held.pop(which % len(self.held))
        taken.close()

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 3))
    def refresh(self, which):
        which %= len(self.held)
        taken, _ = self.held[which]
        taken.refresh()
        self.held[which] = (taken, {k: list(v) for k, v in self.committed.items()})

    # -- what always holds ---------------------------------------------------------------------------

    @invariant()
    def equal(self):
        for name in NAMES:
            same(self.lists[name], self.now[name], name)

    @invariant()
    def sound(self):
        self.steps += 1
        if self.steps % 4 == 0:
            self.region.verify()
            for taken, then in self.held:
                for name in taken.names():
                    same(taken.buffer(name), then[name], f"snapshot of {name}")

    def teardown(self):
        try:
            self.close_all()
        finally:
            for taken, _ in self.held:
                taken.close()
            self.region._store.close(commit=False)
            self.folder.cleanup()

    def close_all(self):
        for taken, then in self.held:
            for name in taken.names():
                same(taken.buffer(name), then[name], f"snapshot of {name}")
            taken.close()
        self.region.close()
        with MemoryRegion(self.path, "r") as again:
            again.verify()
            for name in again.names():
                same(again.buffer(name), self.now[name], f"reopened {name}")


def test_machine():
    examples = scaled(60, 25, 3000)
    run_state_machine_as_test(
        RegionMachine, settings=settings(max_examples=examples, stateful_step_count=30 if COMPILED else 20)
    )


def block(player, rng, depth=0):
    """Change in a transaction block, with blocks in it; exceptions leave some of them."""
    before = {name: list(values) for name, values in player.now.items()}
    well = rng.random() < 0.6
    with contextlib.suppress(Undo), player.region.transaction():
        for _ in range(rng.randrange(4)):
            player.change()
            if depth < 3 and rng.random() < 0.3:
                block(player, rng, depth + 1)
        if not well:
            raise Undo
    if not well:
        player.now = before
    elif depth == 0:
        player.keep()


@pytest.mark.parametrize("most", [300, 3000], ids=["small", "medium"])
def test_seeded_run(path, most):
    """Thousands of changes with commits, rollbacks, reopenings and snapshots."""
    seed = chosen_seed()
    print(f"STABLEMEM_SEED={seed}")
    rng = random.Random(seed)
    steps = scaled(8000, 1500, 200_000)
    region = MemoryRegion(path)
    player = Player(rng.random(), region, most=most)
    held = []
    step = 0
    while step < steps:
        step += 1
        player.change()
        chance = rng.random()
        if chance < 0.10:
            player.commit(sync=rng.random() < 0.5)
        elif chance < 0.12:
            player.rollback()
        elif chance < 0.14:
            region._store.write_early()
        elif chance < 0.16:
            block(player, rng)
        elif chance < 0.17 and len(held) < 5:
            held.append((region.snapshot(), {k: list(v) for k, v in player.committed.items()}))
        elif chance < 0.19 and held:
            taken, then = held.pop(rng.randrange(len(held)))
            for name in taken.names():
                same(taken.buffer(name), then[name], f"snapshot of {name}, step {step}, seed {seed}")
            taken.close()
        elif chance < 0.195:
            region.close()
            player.keep()
            region = MemoryRegion(path, "r+")
            player = Player(rng.random(), region, most=most)
        if step % 40 == 0:
            player.compare()
        if step % 100 == 0:
            region.verify()
    player.compare()
    for taken, then in held:
        for name in taken.names():
            same(taken.buffer(name), then[name], f"snapshot of {name}, at the end, seed {seed}")
        taken.close()
    region.close()
    print(f"{step} steps")


def test_three_levels(path):
    """Tens of thousands of values: three levels, whole subtrees freed, early write-outs of blobs."""
    seed = chosen_seed()
    print(f"STABLEMEM_SEED={seed}")
    rng = random.Random(seed)
    count = scaled(60_000, 50_000, 300_000)
    with MemoryRegion(path) as region:
        values = region.buffer("main", "bytes")
        model = [b"%d" % n if n % 3 else b"value number %d" % n for n in range(count)]
        values.extend(model)
        assert values._index.height == 3 if hasattr(values, "_index") else True
        region.commit()
        for step in range(scaled(120, 60)):
            what = rng.randrange(6)
            at = rng.randrange(len(model) + 1)
            size = rng.choice([1, 50, 300, 5000])
            if what == 0:
                fresh = [b"x%d" % (step * 10_000 + n) for n in range(size)]
                values[at:at] = fresh
                model[at:at] = fresh
            elif what == 1 and len(model) > count // 2:
                del values[at : at + size]
                del model[at : at + size]
            elif what == 2:
                for _ in range(20):
                    at = rng.randrange(len(model))
                    values.insert(at, b"inserted between the others")
                    model.insert(at, b"inserted between the others")
            elif what == 3:
                for _ in range(20):
                    at = rng.randrange(len(model))
                    assert values.pop(at) == model.pop(at)
            elif what == 4:
                region.commit(sync=False)
            else:
                fresh = [b"%d" % n for n in range(size)]
                values[at : at + size // 2] = fresh
                model[at : at + size // 2] = fresh
            assert len(values) == len(model)
            if step % 20 == 0:
                region.verify()
        same(values, model, f"seed {seed}")
        region.commit()
        region.verify()
        del values[100:-100]
        del model[100:-100]
        same(values, model, f"seed {seed}")
    with MemoryRegion(path, "r") as region:
        region.verify()
        same(region.buffer("main"), model, f"seed {seed}")
