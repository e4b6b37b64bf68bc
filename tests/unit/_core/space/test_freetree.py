import random
from bisect import bisect_left

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from stablemem._core.space.freetree import FreeTree
from stablemem.errors import BlockError

END = 1 << 56


def tree_of(*blocks):
    tree = FreeTree()
    for address, size in blocks:
        tree.insert(address, size)
    return tree


def sound(tree):
    assert tree.check() == []
    blocks = list(tree)
    assert tree.total == sum(size for _, size in blocks)
    assert tree.count == len(tree) == len(blocks)
    assert tree.largest() == max((size for _, size in blocks), default=0)
    assert tree.last() == (blocks[-1] if blocks else None)
    if tree.sizes is not None:
        assert list(tree.sizes) == sorted((size, address) for address, size in blocks)
    return blocks


class Runs:
    """The model: bytes one by one, read back as maximal runs."""

    def __init__(self, space):
        self.bytes = bytearray(space)

    def fill(self, start, stop, value):
        self.bytes[start:stop] = bytes([value]) * (stop - start)

    def runs(self):
        found = []
        stop = 0
        while (start := self.bytes.find(1, stop)) >= 0:
            stop = self.bytes.find(0, start)
            stop = len(self.bytes) if stop < 0 else stop
            found.append((start, stop - start))
        return found


def test_empty():
    tree = FreeTree()
    assert sound(tree) == []
    assert tree.allocate(1) == tree.find(1) == -1
    assert tree.floor(END) is None
    assert tree.discard(0, END) == 0
    assert not tree.overlaps(0, END)
    assert not tree.covers(0, 1)
    assert not tree
    with pytest.raises(BlockError):
        tree.remove(0, 1)


def test_insert_merges_on_either_side_and_on_both():
    tree = tree_of((10, 10), (40, 10))
    tree.insert(20, 5)
    assert sound(tree) == [(10, 15), (40, 10)]
    tree.insert(35, 5)
    assert sound(tree) == [(10, 15), (35, 15)]
    tree.insert(25, 10)
    assert sound(tree) == [(10, 40)]
    tree.insert(0, 9)
    assert sound(tree) == [(0, 9), (10, 40)]


@pytest.mark.parametrize(
    ("address", "size", "there"),
    [
        (10, 10, 10),
        (9, 2, 10),
        (19, 1, 10),
        (12, 3, 10),
        (0, 100, 10),
        (20, 11, 30),
        (39, 5, 30),
        (0, 11, 10),
    ],
)
def test_insert_of_bytes_already_there_names_both_and_changes_nothing(address, size, there):
    tree = tree_of((10, 10), (30, 10))
    message = f"block at {address} of {size} bytes overlaps the block at {there} of 10 bytes"
    with pytest.raises(BlockError, match=message):
        tree.insert(address, size)
    assert sound(tree) == [(10, 10), (30, 10)]


def test_insert_clash_with_the_first_block_of_another_leaf():
    tree = tree_of(*((i * 10, 4) for i in range(3000)))
    for i in range(2999):
        message = f"block at {i * 10 + 5} of 6 bytes overlaps the block at {i * 10 + 10} of 4 bytes"
        with pytest.raises(BlockError, match=message):
            tree.insert(i * 10 + 5, 6)
    assert len(sound(tree)) == 3000


def test_allocate_takes_the_front_of_the_lowest_that_fits():
    tree = tree_of((0, 4), (10, 8), (30, 20), (100, 8))
    assert tree.allocate(5) == 10
    assert sound(tree) == [(0, 4), (15, 3), (30, 20), (100, 8)]
    assert tree.allocate(4) == 0
    assert tree.allocate(21) == -1
    assert tree.allocate(20) == 30
    assert tree.allocate(8) == 100
    assert tree.allocate(3) == 15
    assert sound(tree) == []


def test_best_fit_takes_the_front_of_the_smallest_that_fits():
    tree = tree_of((0, 40), (50, 8), (70, 8), (100, 20))
    assert tree.allocate(8) == 0, "the first, so far"
    tree.keep_sizes()
    assert [tree.find(size) for size in (1, 8, 9, 20, 21, 32, 33)] == [50, 50, 100, 100, 8, 8, -1]
    assert [tree.lowest(size) for size in (1, 8, 9, 20, 21, 32, 33)] == [8, 8, 8, 8, 8, 8, -1]
    assert tree.allocate(5) == 50
    assert tree.allocate(8) == 70
    assert tree.allocate(3) == 55
    assert tree.allocate(33) == -1
    assert sound(tree) == [(8, 32), (100, 20)]
    tree.clear()
    tree.insert(5, 5)
    tree.insert(20, 4)
    assert tree.allocate(4) == 20, "the best fit still"
    assert sound(tree) == [(5, 5)]


def test_best_fit_is_exact_on_several_levels():
    """The dual tree that this one follows stopped at the first branch whose key qualified."""
    n = 9000
    chance = random.Random(1)
    order = chance.sample(range(n), n)
    tree = FreeTree()
    tree.keep_sizes()
    for i in order:
        tree.insert(i * 3 * n, 2 * (i * 7 % n) + 2)
    there = {2 * (i * 7 % n) + 2: i * 3 * n for i in range(n)}
    assert len(there) == n
    for size in range(1, 2 * n + 1):
        assert tree.find(size) == there[size + size % 2]
    # And with holes: each time that one is gone, the next one up is the fit.
    sizes = sorted(there)
    for _ in range(3000):
        at = chance.randrange(len(sizes))
        assert tree.allocate(sizes[at]) == there[sizes[at]]
        gone = sizes.pop(at)
        assert tree.find(gone) == (there[sizes[at]] if at < len(sizes) else -1)
    assert tree.check() == []


def test_find_changes_nothing():
    tree = tree_of((0, 4), (10, 8), (30, 8))
    assert [tree.find(size) for size in (1, 4, 5, 8, 9, END)] == [0, 0, 10, 10, -1, -1]
    assert sound(tree) == [(0, 4), (10, 8), (30, 8)]


def test_remove_front_back_middle_and_whole():
    tree = tree_of((0, 100))
    tree.remove(0, 10)
    assert sound(tree) == [(10, 90)]
    tree.remove(90, 10)
    assert sound(tree) == [(10, 80)]
    tree.remove(40, 20)
    assert sound(tree) == [(10, 30), (60, 30)]
    tree.remove(10, 30)
    assert sound(tree) == [(60, 30)]


@pytest.mark.parametrize(("address", "size"), [(0, 5), (9, 2), (19, 2), (10, 11), (20, 5), (10, 30), (50, 1)])
def test_remove_of_what_is_not_inside_one_block(address, size):
    tree = tree_of((10, 10), (30, 10))
    with pytest.raises(BlockError, match=f"block at {address} of {size} bytes is not inside one block"):
        tree.remove(address, size)
    assert sound(tree) == [(10, 10), (30, 10)]


def test_discard_cuts_blocks_and_counts_bytes():
    tree = tree_of((10, 10), (30, 10), (50, 10))
    assert tree.discard(0, 10) == 0
    assert tree.discard(20, 30) == 0
    assert tree.discard(35, 35) == tree.discard(36, 35) == 0
    assert tree.discard(15, 52) == 5 + 10 + 2
    assert sound(tree) == [(10, 5), (52, 8)]
    assert tree.discard(54, 56) == 2
    assert sound(tree) == [(10, 5), (52, 2), (56, 4)]
    assert tree.discard(0, END) == 11
    assert sound(tree) == []


def test_covers_and_overlaps():
    tree = tree_of((10, 10), (30, 10))
    for address in range(45):
        for size in range(1, 45):
            there = set(range(10, 20)) | set(range(30, 40))
            asked = set(range(address, address + size))
            assert tree.covers(address, size) == (asked <= there)
            assert tree.overlaps(address, size) == bool(asked & there)


def test_floor_and_blocks_around_every_block():
    blocks = [(i * 10 + 3, 4) for i in range(2000)]
    tree = tree_of(*blocks)
    assert tree.floor(2) is None
    assert tree.floor(END) == tree.last() == blocks[-1]
    for i in range(1, 1999):
        at = blocks[i][0]
        assert tree.floor(at) == blocks[i]
        assert tree.floor(at - 1) == blocks[i - 1]
        assert tree.start_of_end(at + 4) == at
        assert tree.start_of_end(at + 3) == at + 3
        assert tree.blocks(at + 3, at + 10) == [blocks[i]]
        assert tree.blocks(at + 4, at + 11) == [blocks[i + 1]]
        assert tree.blocks(at + 4, at + 10) == []
    assert tree.blocks() == list(tree) == blocks
    assert tree.blocks(5000, 15004) == blocks[500:1501]
    assert tree.blocks(7, 7) == tree.blocks(8, 3) == []


def test_clear():
    for n in (1, 5000):
        tree = tree_of(*((i * 3, 2) for i in range(n)))
        tree.clear()
        assert sound(tree) == []
        tree.insert(7, 7)
        assert sound(tree) == [(7, 7)]


def test_merge_returns_the_size_of_the_merged_block_or_0_and_changes_nothing():
    tree = tree_of((10, 10), (40, 10))
    assert tree.merge(60, 5) == 5
    assert tree.merge(20, 5) == 15
    assert tree.merge(25, 15) == 40
    blocks = sound(tree)
    assert blocks == [(10, 40), (60, 5)]
    assert tree.merge(9, 2) == tree.merge(64, 1) == tree.merge(0, 100) == 0
    assert sound(tree) == blocks


def test_take_says_whether_all_none_or_some_of_the_bytes_were_there():
    tree = tree_of(*((i * 10, 4) for i in range(300)))
    blocks = sound(tree)
    for i in range(299):
        assert tree.take(i * 10 + 4, 6) == 0
        assert tree.take(i * 10 + 3, 2) == tree.take(i * 10 + 5, 6) == tree.take(i * 10 + 4, 20) == -1
        tree.expect(i * 10)
    assert sound(tree) == blocks
    for i in range(299):
        assert tree.take(i * 10, 4) == 1
    assert sound(tree) == [(2990, 4)]


def test_the_ends_of_the_address_space():
    tree = tree_of((END - 8, 8), (0, 1))
    assert sound(tree) == [(0, 1), (END - 8, 8)]
    assert tree.covers(END - 8, 8)
    assert tree.floor(END) == (END - 8, 8)
    assert tree.blocks(END - 1, END) == [(END - 8, 8)]
    tree.insert(1, END - 9)
    assert sound(tree) == [(0, END)]
    assert tree.allocate(END) == 0
    assert sound(tree) == []


@pytest.mark.parametrize("method", ["insert", "merge", "remove", "take", "covers", "overlaps"])
@pytest.mark.parametrize(("address", "size"), [(0, 0), (END, 1), (END - 4, 5), (0, END + 1), (1 << 63, 1)])
def test_blocks_out_of_range(method, address, size):
    tree = tree_of((0, 10))
    with pytest.raises(BlockError, match=f"block at {address} of {size} bytes is empty, or ends beyond"):
        getattr(tree, method)(address, size)
    assert sound(tree) == [(0, 10)]


@pytest.mark.parametrize("method", ["allocate", "find", "lowest"])
@pytest.mark.parametrize("size", [0, END + 1, 1 << 63])
def test_sizes_out_of_range(method, size):
    tree = tree_of((0, 10))
    with pytest.raises(BlockError, match=f"of {size} bytes is empty, or ends beyond"):
        getattr(tree, method)(size)
    assert sound(tree) == [(0, 10)]


@pytest.mark.parametrize("best", [False, True], ids=["first", "best"])
@pytest.mark.parametrize("order", ["up", "down", "random", "outside in"])
@pytest.mark.parametrize("drop", ["up", "down", "random", "allocate"])
def test_many_blocks_in_and_out(order, drop, best):
    n = 9000
    chance = random.Random(f"{order} {drop}")
    blocks = [(i * 100, chance.randrange(1, 99)) for i in range(n)]
    orders = {
        "up": blocks,
        "down": blocks[::-1],
        "random": chance.sample(blocks, n),
        "outside in": [blocks[i // 2 if i % 2 else -1 - i // 2] for i in range(n)],
    }
    tree = FreeTree()
    if best:
        tree.keep_sizes()
    for i, (address, size) in enumerate(orders[order]):
        tree.insert(address, size)
        if i % 1000 == 0:
            sound(tree)
    assert sound(tree) == blocks
    left = dict(blocks)
    for i in range(n):
        if drop == "allocate":
            size = tree.largest()
            address = tree.allocate(size)
            assert left.pop(address) == size
        else:
            address, size = orders[drop][i]
            tree.remove(address, size)
            del left[address]
        if i % 500 == 0:
            assert sound(tree) == sorted(left.items())
    assert sound(tree) == []


def test_taking_from_the_end_of_an_ascending_tree():
    # The right edge may hold branches of one child.
    for n in (65, 129, 64 * 64 + 1, 64 * 64 + 65):
        tree = tree_of(*((i * 2, 1) for i in range(n)))
        sound(tree)
        for i in reversed(range(n)):
            assert tree.last() == (i * 2, 1)
            tree.remove(i * 2, 1)
            if i % 97 == 0 or i > n - 70:
                sound(tree)
        assert sound(tree) == []


def test_every_gap_filled_merges_across_leaves():
    n = 6000
    for seed in range(3):
        chance = random.Random(seed)
        tree = tree_of(*((i * 2, 1) for i in chance.sample(range(n), n)))
        gaps = chance.sample(range(n - 1), n - 1)
        for i, gap in enumerate(gaps):
            tree.insert(gap * 2 + 1, 1)
            if i % 500 == 0:
                assert len(sound(tree)) == n - 1 - i
        assert sound(tree) == [(0, n * 2 - 1)]


def test_long_random_run():
    chance = random.Random(20260719)
    space = 1 << 16
    model = Runs(space)
    tree = FreeTree()
    # Every third byte or so: some 10,000 blocks, so three levels.
    for start in chance.sample(range(0, space, 4), space // 5):
        size = chance.randrange(1, 4)
        tree.insert(start, size)
        model.fill(start, start + size, 1)
    assert sound(tree) == model.runs()
    for step in range(20_000):
        act = chance.random()
        start = chance.randrange(space - 8)
        size = chance.randrange(1, 8)
        piece = model.bytes[start : start + size]
        if act < 0.45:
            if 1 in piece:
                with pytest.raises(BlockError):
                    tree.insert(start, size)
            else:
                tree.insert(start, size)
                model.fill(start, start + size, 1)
        elif act < 0.65:
            found = model.bytes.find(b"\1" * size)
            assert tree.find(size) == _front(model, found)
            assert tree.allocate(size) == found
            if found >= 0:
                model.fill(found, found + size, 0)
        elif act < 0.85:
            assert tree.covers(start, size) == (0 not in piece)
            if 0 in piece:
                with pytest.raises(BlockError):
                    tree.remove(start, size)
            else:
                tree.remove(start, size)
                model.fill(start, start + size, 0)
        elif act < 0.99:
            stop = start + size * 3
            assert tree.discard(start, stop) == sum(model.bytes[start:stop])
            model.fill(start, min(stop, space), 0)
        else:
            start = chance.randrange(space - 600)
            gaps = [i for i in range(start, start + 600, 5) if not tree.overlaps(i, 2)]
            for i in gaps:
                tree.insert(i, 2)
                model.fill(i, i + 2, 1)
        if step % 200 == 0:
            assert sound(tree) == model.runs()
    assert sound(tree) == model.runs()


def _front(model, found):
    """First fit in the tree is by block, in the model by byte: they must say the same."""
    assert found <= 0 or model.bytes[found - 1] == 0
    return found


class Machine(RuleBasedStateMachine):
    """All that changes a tree, against the bytes themselves."""

    @initialize(
        space=st.sampled_from([64, 2_000, 60_000]),
        fill=st.sampled_from([0, 2, 3, 7]),
        best=st.sampled_from(["no", "at once", "later"]),
        data=st.randoms(use_true_random=False),
    )
    def begin(self, space, fill, best, data):
        self.space = space
        self.model = Runs(space)
        self.tree = FreeTree()
        if best == "at once":
            self.tree.keep_sizes()
        if fill:
            starts = list(range(0, space - fill, fill))
            data.shuffle(starts)
            for start in starts:
                self.tree.insert(start, fill - 1)
                self.model.fill(start, start + fill - 1, 1)
        if best == "later":
            self.tree.keep_sizes()

    def fit(self, size):
        """Return where a block is to be taken from."""
        if self.tree.sizes is None:
            return self.model.bytes.find(b"\1" * size)
        return min(((room, at) for at, room in self.model.runs() if room >= size), default=(0, -1))[1]

    def area(self, where, size):
        start = int(where * (self.space - 1))
        return start, min(size, self.space - start)

    places = st.floats(0, 1)
    sizes = st.integers(1, 12) | st.integers(1, 700)

    @rule(where=places, size=sizes)
    def insert(self, where, size):
        start, size = self.area(where, size)
        taken = 1 in self.model.bytes[start : start + size]
        assert self.tree.overlaps(start, size) == taken
        if taken:
            with pytest.raises(BlockError):
                self.tree.insert(start, size)
        else:
            self.tree.insert(start, size)
            self.model.fill(start, start + size, 1)

    @rule(where=places)
    def fill_the_next_gap(self, where):
        start = self.model.bytes.find(0, int(where * (self.space - 1)))
        if start >= 0:
            stop = self.model.bytes.find(1, start)
            stop = self.space if stop < 0 else stop
            self.tree.insert(start, stop - start)
            self.model.fill(start, stop, 1)

    @rule(size=sizes, times=st.integers(1, 80))
    def allocate(self, size, times):
        for _ in range(times):
            found = self.fit(size)
            assert self.tree.find(size) == found
            assert self.tree.lowest(size) == self.model.bytes.find(b"\1" * size)
            assert self.tree.allocate(size) == found
            if found < 0:
                return
            self.model.fill(found, found + size, 0)

    @rule(where=places, size=sizes)
    def remove(self, where, size):
        start, size = self.area(where, size)
        whole = 0 not in self.model.bytes[start : start + size]
        assert self.tree.covers(start, size) == whole
        if whole:
            self.tree.remove(start, size)
            self.model.fill(start, start + size, 0)
        else:
            with pytest.raises(BlockError):
                self.tree.remove(start, size)

    @rule(where=places, times=st.integers(1, 80))
    def remove_whole_blocks(self, where, times):
        for _ in range(times):
            for block in self.tree.blocks(int(where * self.space), END, 1):
                self.tree.remove(*block)
                self.model.fill(block[0], sum(block), 0)

    @rule(where=places, size=sizes | st.integers(1, 20_000))
    def discard(self, where, size):
        start, size = self.area(where, size)
        assert self.tree.discard(start, start + size) == sum(self.model.bytes[start : start + size])
        self.model.fill(start, start + size, 0)

    @rule(where=places, size=sizes)
    def look(self, where, size):
        start, size = self.area(where, size)
        runs = self.model.runs()
        low = bisect_left(runs, (start + 1, 0)) - 1
        assert self.tree.floor(start) == (runs[low] if low >= 0 else None)
        stop = start + size
        assert self.tree.blocks(start, stop) == [run for run in runs if run[0] < stop and sum(run) > start]

    @rule()
    def clear(self):
        if self.space == 64:
            self.tree.clear()
            self.model.fill(0, self.space, 0)

    @invariant()
    def same_as_the_bytes(self):
        assert sound(self.tree) == self.model.runs()


TestMachine = Machine.TestCase
TestMachine.settings = settings(deadline=None, stateful_step_count=30)


@pytest.mark.skipif(
    not hasattr(FreeTree(), "root"), reason="compiled, the inside cannot be damaged from here"
)
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda tree: setattr(tree, "total", 1), "total is 1"),
        (lambda tree: setattr(tree, "count", 1), "count is 1"),
        (lambda tree: tree.sizes.insert(7, 7), "the sizes are not those of the blocks"),
        (lambda tree: setattr(tree.sizes, "count", 7), "sizes: count is 7, there are 300 blocks"),
        (lambda tree: setattr(tree, "height", 0), "a leaf above level 0, or a branch on it"),
        (lambda tree: tree.root.keys.__setitem__(1, 5), "has (5, 1) for a child that has"),
        (lambda tree: tree.root.values.__setitem__(1, 5), ", 5) for a child that has"),
        (lambda tree: tree.root.values.__setitem__(0, 0), "has (0, 0) for a child that has (0, 1)"),
        (lambda tree: tree.root.kids.pop(), "children for"),
        (lambda tree: setattr(tree.root, "count", 1), "has 1 entries"),
        (lambda tree: tree.root.kids[0].move_tail(9, tree.root.kids[1]), "has 9 entries"),
        (lambda tree: tree.root.kids[0].values.pop(), "values for"),
        (lambda tree: tree.root.kids[0].values.__setitem__(3, 2), "touches"),
        (lambda tree: tree.root.kids[0].values.__setitem__(3, 9), "begins before"),
        (lambda tree: tree.root.kids[0].values.__setitem__(3, 0), "out of range"),
        (lambda tree: tree.root.kids[-1].keys.__setitem__(-1, END), "out of range"),
    ],
)
def test_check_sees_damage(damage, words):
    tree = tree_of(*((i * 2, 1) for i in range(300)))
    tree.keep_sizes()
    assert tree.check() == []
    damage(tree)
    assert any(words in fault for fault in tree.check())
