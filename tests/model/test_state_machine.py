"""A region against plain lists: hypothesis finds short counterexamples, long seeded runs deep ones."""

import contextlib
import operator
import os
import random
import tempfile
from collections import deque

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

from stablemem import COMPILED, MemoryBuffer, MemoryRegion
from support import chosen_seed, scaled
from support.player import Player, same
from support.probe import handle_of

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


def as_deque(call):
    """Return a call on a list that goes by way of a deque, and the call itself."""

    def by_deque(values):
        kept = deque(values)
        try:
            return call(kept)
        finally:
            values[:] = kept

    return by_deque, call


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

    def same_change(self, name, by_list, by_buffer):
        """Do to the list what another call does to its model."""
        outcomes = []
        for values, call in ((self.now[name], by_list), (self.lists[name], by_buffer)):
            try:
                result = call(values)
                outcomes.append(None if result is values else result)
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
        self.both(name, lambda values: values.reverse())

    @rule(name=st.sampled_from(NAMES), step=st.sampled_from([2, 3, 7, 64, 65, -2, -100]), given=blobs())
    def change_stride(self, name, step, given):
        number = len(self.now[name][::step])
        self.both(name, lambda values: values.__setitem__(slice(None, None, step), [given] * number))

    @rule(name=st.sampled_from(NAMES), step=st.sampled_from([2, 3, 7, 64, 65, -2, -100]))
    def delete_stride(self, name, step):
        self.both(name, lambda values: values.__delitem__(slice(None, None, step)))

    @rule(name=st.sampled_from(NAMES), times=st.integers(-1, 3))
    def multiply(self, name, times):
        if len(self.now[name]) < 800:
            self.both(name, lambda values: (values.__imul__(times), None)[1])

    @rule(name=st.sampled_from(NAMES), other=st.sampled_from(NAMES))
    def add(self, name, other):
        if len(self.now[other]) < 800:
            self.same_change(
                name,
                lambda values: values.__iadd__(self.now[other]),
                lambda values: values.__iadd__(self.lists[other]),
            )

    @rule(name=st.sampled_from(NAMES), at=st.integers(-400, 400), to=st.integers(-400, 400), given=blobs())
    def search(self, name, at, to, given):
        sought = self.now[name][at] if -len(self.now[name]) <= at < len(self.now[name]) else given
        self.both(name, lambda values: sought in values)
        self.both(name, lambda values: values.count(sought))
        self.both(name, lambda values: values.index(sought, at, to))

    @rule(name=st.sampled_from(NAMES), at=st.integers(-400, 400), given=blobs())
    def remove(self, name, at, given):
        sought = self.now[name][at] if -len(self.now[name]) <= at < len(self.now[name]) else given
        self.both(name, lambda values: values.remove(sought))

    @rule(name=st.sampled_from(NAMES), at=st.integers(-400, 400), to=st.integers(-400, 400))
    def swap(self, name, at, to):
        def by_list(values):
            values[at], values[to] = values[to], values[at]

        self.same_change(name, by_list, lambda values: values.swap(at, to))

    @rule(name=st.sampled_from(NAMES), at=st.integers(-400, 400))
    def swap_remove(self, name, at):
        def by_list(values):
            values[at], values[-1] = values[-1], values[at]
            return values.pop()

        self.same_change(name, by_list, lambda values: values.swap_remove(at))

    @rule(name=st.sampled_from(NAMES), seed=st.integers(0, 5))
    def shuffle(self, name, seed):
        self.lists[name].shuffle(random.Random(seed))
        assert sorted(self.lists[name]) == sorted(self.now[name])
        self.now[name] = self.lists[name][:]

    @rule(name=st.sampled_from(NAMES), steps=st.integers(-1000, 1000))
    def rotate(self, name, steps):
        self.same_change(name, *as_deque(lambda values: values.rotate(steps)))

    @rule(name=st.sampled_from(NAMES), given=blobs())
    def appendleft(self, name, given):
        self.same_change(name, *as_deque(lambda values: values.appendleft(given)))

    @rule(name=st.sampled_from(NAMES))
    def popleft(self, name):
        self.same_change(name, *as_deque(lambda values: values.popleft()))

    @rule(name=st.sampled_from(NAMES), given=VALUES, times=st.sampled_from([1, 60]))
    def extendleft(self, name, given, times):
        self.same_change(name, *as_deque(lambda values: values.extendleft(given * times)))

    @rule(name=st.sampled_from(NAMES), given=VALUES, most=st.sampled_from([0, 1, 5, 300]))
    def ring(self, name, given, most):
        """Another handle on the list keeps the newest values only."""

        def by_list(values):
            if given:
                kept = deque(values, most)
                kept.extend(given)
                values[:] = kept

        def by_buffer(values):
            if given:
                MemoryBuffer(self.region, name=name, maxlen=most).extend(given)

        self.same_change(name, by_list, by_buffer)

    @rule(name=st.sampled_from(NAMES), at=st.integers(-400, 400))
    def edit(self, name, at):
        """Bytes cannot be changed in place: what is there is refused, and nothing else happens."""

        def by_list(values):
            raise TypeError(values[at])

        def by_buffer(values):
            with values.edit(at):
                pass

        self.same_change(name, by_list, by_buffer)

    @rule(name=st.sampled_from(NAMES), asked=st.lists(st.integers(-300, 300), max_size=8))
    def get_many(self, name, asked):
        self.same_change(
            name, lambda values: [values[at] for at in asked], lambda values: values.get_many(asked)
        )

    @rule(name=st.sampled_from(NAMES), low=BOUNDS, high=BOUNDS, backwards=st.booleans())
    def ranges(self, name, low, high, backwards):
        ours, model = self.lists[name], self.now[name]
        places = range(len(model))[slice(low, high)]
        places = places[::-1] if backwards else places
        assert list(ours.items(low, high, reverse=backwards)) == [(at, model[at]) for at in places]
        assert list(ours.blobs(low, high, reverse=backwards)) == [model[at] for at in places]
        sizes = [size for _, size in ours.pointers(low, high, reverse=backwards)]
        assert sizes == [len(model[at]) for at in places]
        assert ours.sizes().blob_bytes == sum(map(len, model))

    @rule(name=st.sampled_from(NAMES), other=st.sampled_from(NAMES))
    def compare(self, name, other):
        ours, theirs = self.lists[name], self.lists[other]
        for compare in (operator.eq, operator.lt, operator.ge):
            wanted = compare(self.now[name], self.now[other])
            assert compare(ours, theirs) == compare(ours, self.now[other]) == wanted
        with ours.copy() as copied:
            assert copied == ours

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
        handle_of(self.region).write_early()

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
            handle_of(self.region).close(commit=False)
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
            handle_of(self.region).close(commit=False)
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
    examples = scaled(120, 20, 3000)
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
    steps = scaled(8000, 600, 200_000)
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
            handle_of(region).write_early()
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
