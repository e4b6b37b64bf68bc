"""Nodes: searched and changed in place, against lists of the same entries.

Compiled, these are C functions that Python cannot call: what test_index.py does goes through them.
"""

import random
from types import SimpleNamespace

import pytest

from stablemem import COMPILED
from stablemem._core.tree import kinds, node
from stablemem.layout import INNER_CAPACITY, LEAF_CAPACITY, NODE_SIZE
from support import chosen_seed

COUNTED = 0x4E

pytestmark = pytest.mark.skipif(COMPILED, reason="Python cannot call them")


def leaf_of(entries):
    """Return a leaf with these entries of two words."""
    page = bytearray(NODE_SIZE)
    kinds.start(page, 0, COUNTED)
    node.set_count(page, len(entries))
    for slot, entry in enumerate(entries):
        node.set_entry(page, slot, *entry)
    return page


def branch_of(children):
    """Return a node of level 1 with these children: address, checksum, values below."""
    page = bytearray(NODE_SIZE)
    kinds.start(page, 1, COUNTED)
    node.put_children(SimpleNamespace(page=page, bytes=page), children)
    return page


def entries_in(page):
    return [(node.word0(page, slot), node.word1(page, slot)) for slot in range(node.count_of(page))]


def is_zero_after(page, number):
    return not any(page[16 + 16 * number :])


@pytest.fixture
def rng():
    return random.Random(chosen_seed())


def entries(rng, number):
    return [(rng.randrange(1 << 63), rng.randrange(1 << 64)) for _ in range(number)]


def children(rng, number):
    return [
        (NODE_SIZE * rng.randrange(1, 1 << 40), rng.randrange(1 << 64), rng.randrange(1, 1000))
        for _ in range(number)
    ]


def test_a_leaf(rng):
    model = entries(rng, LEAF_CAPACITY)
    page = leaf_of(model)
    assert (kinds.level_of(page), node.count_of(page), node.total_of(page)) == (0, 255, 255)
    assert entries_in(page) == model
    assert len(page) == NODE_SIZE
    assert node.entries_of(page, 3, 5) == bytes(page[16 + 48 : 16 + 80])


@pytest.mark.parametrize("number", [1, 2, 100, 255])
def test_entries_come_and_go(rng, number):
    model = entries(rng, 255 - number)
    page = leaf_of(model)
    at = rng.randrange(len(model) + 1)
    node.open_entries(page, at, number)
    new = entries(rng, number)
    for slot, entry in enumerate(new):
        node.set_entry(page, at + slot, *entry)
    model[at:at] = new
    assert entries_in(page) == model
    gone = rng.randrange(1, number + 1)
    at = rng.randrange(len(model) - gone + 1)
    node.close_entries(page, at, gone)
    del model[at : at + gone]
    assert entries_in(page) == model
    assert is_zero_after(page, len(model))


@pytest.mark.parametrize("slot", [0, 1, 128, 255])
def test_a_leaf_is_split(rng, slot):
    model = entries(rng, 255)
    left = SimpleNamespace(page=leaf_of(model))
    left.bytes = left.page
    right = SimpleNamespace(page=leaf_of([]))
    right.bytes = right.page
    node.move_entries(left, right, slot)
    assert (entries_in(left.page), entries_in(right.page)) == (model[:slot], model[slot:])
    assert is_zero_after(left.page, slot)


def test_a_run_of_entries_is_put(rng):
    model, other = entries(rng, 10), entries(rng, 3)
    page = leaf_of(model)
    node.put_entries(SimpleNamespace(page=page, bytes=page), 4, node.entries_of(leaf_of(other), 0, 3))
    model[4:7] = other
    assert entries_in(page) == model


@pytest.mark.parametrize("number", [1, 2, 3, 85, 170])
def test_the_child_of_each_position(rng, number):
    model = children(rng, number)
    page = branch_of(model)
    assert (kinds.level_of(page), node.count_of(page)) == (1, number)
    assert node.children_of(page) == model
    total = sum(values for _, _, values in model)
    assert node.total_of(page) == total
    seen = 0
    for slot, (address, check, values) in enumerate(model):
        assert (node.child_of(page, slot), node.check_of(page, slot)) == (address, check)
        assert node.before(page, slot) == seen
        assert {node.spot_of(page, seen), node.spot_of(page, seen + values - 1)} == {slot}
        seen += values
    assert node.spot_of(page, total) == number, "no child has it"


def test_values_below_a_child(rng):
    model = children(rng, 50)
    page = branch_of(model)
    node.add_count(page, 20, 7)
    node.add_count(page, 49, -1)
    expected = [list(each) for each in model]
    expected[20][2] += 7
    expected[49][2] -= 1
    assert node.children_of(page) == [tuple(each) for each in expected]


def test_children_are_split_shared_and_joined(rng):
    """As a tree does it: always the same room, and never a byte after the last entry."""
    model = children(rng, INNER_CAPACITY - 1)
    page = branch_of(model)
    at = rng.randrange(len(model))
    address, check, values = model[at]
    node.split_child(page, at, values, 1 << 63 | 5, 11)
    model[at : at + 1] = [(address, check, values), (1 << 63 | 5, 0, 11)]
    assert node.children_of(page) == model
    node.deal_children(page, at, values + 4, 1 << 63 | 8, 1 << 63 | 9)
    model[at : at + 2] = [(1 << 63 | 8, 0, values + 4), (1 << 63 | 9, 0, 7)]
    assert node.children_of(page) == model
    node.join_children(page, at, 1 << 63 | 2)
    model[at : at + 2] = [(1 << 63 | 2, 0, values + 11)]
    assert node.children_of(page) == model
    assert page == branch_of(model), "and not another byte"


def test_a_count_that_no_node_has():
    """Another program may change the file between two looks: no offset leaves the page."""
    for level, most in ((0, LEAF_CAPACITY), (1, INNER_CAPACITY), (200, INNER_CAPACITY)):
        page = bytearray(NODE_SIZE)
        kinds.start(page, level, COUNTED)
        page[2:4] = b"\xff\xff"
        assert node.count_of(page) == most
