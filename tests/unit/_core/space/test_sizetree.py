import random
from bisect import bisect_left, insort

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from stablemem._core.space.sizetree import SizeTree
from stablemem.errors import BlockError

END = 1 << 56


def ceiling(tree, size, address=0):
    """Return the pair that ``fit`` finds, or None."""
    found = tree.fit(size, address)
    return None if found < 0 else (tree.fitting, found)


def tree_of(pairs):
    tree = SizeTree()
    for size, address in pairs:
        tree.insert(size, address)
    return tree


def sound(tree):
    assert tree.check() == []
    pairs = list(tree)
    assert len(tree) == len(pairs)
    return pairs


def test_empty():
    tree = SizeTree()
    assert sound(tree) == []
    assert ceiling(tree, 1) is ceiling(tree, 0) is ceiling(tree, END, END) is None
    assert not tree
    with pytest.raises(BlockError, match="block at 2 of 1 bytes is not there"):
        tree.remove(1, 2)


def test_ceiling_is_the_smallest_that_fits_and_the_lowest_of_equals():
    tree = tree_of([(10, 500), (10, 100), (4, 900), (30, 0), (10, 300)])
    assert sound(tree) == [(4, 900), (10, 100), (10, 300), (10, 500), (30, 0)]
    assert ceiling(tree, 1) == ceiling(tree, 4) == (4, 900)
    assert ceiling(tree, 5) == ceiling(tree, 10) == (10, 100)
    assert ceiling(tree, 10, 100) == (10, 100)
    assert ceiling(tree, 10, 101) == (10, 300)
    assert ceiling(tree, 10, 501) == ceiling(tree, 11) == (30, 0)
    assert ceiling(tree, 30, 1) is ceiling(tree, 31) is None


def test_a_pair_is_there_once():
    tree = tree_of([(10, 100), (10, 200), (20, 100)])
    with pytest.raises(BlockError, match="block at 200 of 10 bytes is there already"):
        tree.insert(10, 200)
    for size, address in ((10, 150), (9, 100), (11, 100), (20, 200)):
        with pytest.raises(BlockError, match=f"block at {address} of {size} bytes is not there"):
            tree.remove(size, address)
    assert sound(tree) == [(10, 100), (10, 200), (20, 100)]


def test_the_ends_of_the_address_space():
    tree = tree_of([(END, 0), (1, END - 1), (END - 1, 1)])
    assert sound(tree) == [(1, END - 1), (END - 1, 1), (END, 0)]
    assert ceiling(tree, END - 1, 2) == ceiling(tree, END) == (END, 0)


def test_a_search_goes_down_to_the_leaf():
    """Not the first branch whose key qualifies: what is next may be further down, on any level."""
    n = 20_000
    pairs = [(2 * i + 2, 7 * i) for i in range(n)]
    tree = tree_of(random.Random(3).sample(pairs, n))
    for size, address in pairs:
        assert (
            ceiling(tree, size - 1) == ceiling(tree, size) == ceiling(tree, size, address) == (size, address)
        )
    for (size, address), after in zip(pairs, [*pairs[1:], None], strict=True):
        assert ceiling(tree, size, address + 1) == after


@pytest.mark.parametrize("distinct", [1, 100, 9000])
@pytest.mark.parametrize("order", ["up", "down", "random"])
@pytest.mark.parametrize("drop", ["up", "down", "random"])
def test_many_pairs_in_and_out(distinct, order, drop):
    n = 9000
    chance = random.Random(f"{distinct} {order} {drop}")
    pairs = sorted((1 + i % distinct, 3 * i) for i in range(n))
    orders = {"up": pairs, "down": pairs[::-1], "random": chance.sample(pairs, n)}
    tree = SizeTree()
    for i, pair in enumerate(orders[order]):
        tree.insert(*pair)
        if i % 1500 == 0:
            assert sound(tree) == sorted(orders[order][: i + 1])
    assert sound(tree) == pairs
    for i, pair in enumerate(orders[drop]):
        tree.remove(*pair)
        if i % 1000 == 0:
            assert sound(tree) == sorted(orders[drop][i + 1 :])
    assert sound(tree) == []


class Machine(RuleBasedStateMachine):
    """All that changes a tree, against a sorted list."""

    @initialize(
        count=st.sampled_from([0, 40, 5000]),
        distinct=st.sampled_from([1, 50, 5000]),
        data=st.randoms(use_true_random=False),
    )
    def begin(self, count, distinct, data):
        self.model = sorted((1 + data.randrange(distinct), 5 * i) for i in range(count))
        self.tree = tree_of(data.sample(self.model, count))

    sizes = st.integers(0, 60) | st.integers(0, 5100)
    addresses = st.integers(0, 30_000)

    @rule(size=sizes, address=addresses)
    def insert(self, size, address):
        if (size, address) in self.model:
            with pytest.raises(BlockError):
                self.tree.insert(size, address)
        else:
            self.tree.insert(size, address)
            insort(self.model, (size, address))

    @rule(size=sizes, address=addresses)
    def remove_what_may_not_be_there(self, size, address):
        if (size, address) not in self.model:
            with pytest.raises(BlockError):
                self.tree.remove(size, address)

    @rule(size=sizes, address=addresses, times=st.integers(1, 100))
    def remove(self, size, address, times):
        for _ in range(times):
            at = bisect_left(self.model, (size, address))
            found = ceiling(self.tree, size, address)
            assert found == (self.model[at] if at < len(self.model) else None)
            if found is None:
                return
            self.tree.remove(*found)
            del self.model[at]

    @invariant()
    def same_as_the_list(self):
        assert sound(self.tree) == self.model


TestMachine = Machine.TestCase
TestMachine.settings = settings(deadline=None, stateful_step_count=30)


@pytest.mark.skipif(
    not hasattr(SizeTree(), "root"), reason="compiled, the inside cannot be damaged from here"
)
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda tree: setattr(tree, "height", 0), "a leaf above level 0, or a branch on it"),
        (lambda tree: tree.root.keys.__setitem__(1, 5), "has (5, "),
        (lambda tree: tree.root.values.__setitem__(1, 5), ", 5) for a child"),
        (lambda tree: tree.root.kids.pop(), "children for"),
        (lambda tree: setattr(tree, "count", 299), "count is 299, there are 300 blocks"),
        (lambda tree: tree.root.kids[0].move_tail(9, tree.root.kids[1]), "has 9 entries"),
        (lambda tree: tree.root.kids[0].values.pop(), "values for"),
        (lambda tree: tree.root.kids[0].keys.__setitem__(3, 99), "stands before"),
        (lambda tree: tree.root.kids[0].values.__setitem__(3, 4), "stands before"),
    ],
)
def test_check_sees_damage(damage, words):
    tree = tree_of([(1 + i // 100, i * 2) for i in range(300)])
    assert tree.check() == []
    damage(tree)
    assert any(words in fault for fault in tree.check())
