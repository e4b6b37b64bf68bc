"""The node of the trees in memory, against sorted lists.

Compiled, its methods are C functions that Python cannot call: test_freetree.py and test_sizetree.py go
through them.
"""

import random

import pytest

from stablemem import COMPILED
from stablemem._core.space.blocknode import BlockNode
from support import chosen_seed

pytestmark = pytest.mark.skipif(COMPILED, reason="Python cannot call them")


def node_of(pairs, kids=None):
    node = BlockNode(kids is not None)
    for spot, (key, value) in enumerate(pairs):
        node.put(spot, key, value, kids[spot] if kids else None)
    return node


def pairs_in(node):
    assert node.faults(0 if node.leaf else 1, 0) == []
    return list(zip(node.keys, node.values, strict=True))


@pytest.fixture
def rng():
    return random.Random(chosen_seed())


def drawn(rng, number):
    return sorted((rng.randrange(40), rng.randrange(10)) for _ in range(number))


@pytest.mark.parametrize("number", [0, 1, 2, 3, 31, 64])
def test_searches(rng, number):
    pairs = drawn(rng, number)
    node = node_of(pairs)
    for key in range(-1, 42):
        assert node.seek(key) == sum(pair[0] <= key for pair in pairs) - 1
        for value in range(-1, 12):
            assert node.seek_pair(key, value) == sum(pair <= (key, value) for pair in pairs) - 1
    for size in range(12):
        first = [spot for spot, (_, value) in enumerate(pairs) if value >= size]
        assert node.first_fit(size) == (first[0] if first else -1)
    assert node.top() == max((value for _, value in pairs), default=0)


@pytest.mark.parametrize("branch", [False, True])
def test_entries_come_and_go(rng, branch):
    pairs, kids = drawn(rng, 30), [BlockNode(False) for _ in range(30)]
    node = node_of(pairs, kids if branch else None)
    for _ in range(100):
        spot = rng.randrange(len(pairs) + 1)
        if spot < len(pairs) and (len(pairs) == 64 or rng.random() < 0.5):
            node.cut(spot)
            del pairs[spot], kids[spot]
        else:
            kid = BlockNode(False)
            pairs.insert(spot, (5, 6))
            kids.insert(spot, kid)
            node.put(spot, 5, 6, kid if branch else None)
        assert pairs_in(node) == pairs
        assert node.kids == (kids if branch else [])


@pytest.mark.parametrize("branch", [False, True])
@pytest.mark.parametrize("moved", [0, 1, 10, 20])
def test_entries_move_to_a_neighbour(rng, branch, moved):
    left, right = drawn(rng, 20), drawn(rng, 20)
    kids = [BlockNode(False) for _ in range(40)]
    one = node_of(left, kids[:20] if branch else None)
    other = node_of(right, kids[20:] if branch else None)
    one.move_tail(20 - moved, other)
    assert (pairs_in(one), pairs_in(other)) == (left[: 20 - moved], left[20 - moved :] + right)
    other.move_head(moved, one)
    assert (pairs_in(one), pairs_in(other)) == (left, right)
    assert one.kids + other.kids == (kids if branch else [])


def test_faults():
    node = node_of([(1, 1), (2, 2)])
    assert node.faults(0, 2) == []
    assert "has 2 entries, not 3 to 64" in node.faults(0, 3)[0]
    assert "is a leaf above level 0" in node.faults(1, 0)[0]
    node.count = 3
    assert "has 2 keys and 2 values for 3" in node.faults(0, 0)[0]
    branch = node_of([(1, 1), (2, 2)], [node, node])
    del branch.kids[0]
    assert "has 1 children for 2 entries" in branch.faults(1, 0)[0]
