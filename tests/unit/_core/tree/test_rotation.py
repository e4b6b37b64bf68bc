"""Cutting an index in two and joining it, at every kind of edge."""

import random

import pytest

from stablemem import MemoryBuffer
from stablemem.layout import INNER_CAPACITY, INNER_MINIMUM, LEAF_CAPACITY, LEAF_MINIMUM
from support import chosen_seed, scaled
from support.probe import handle_of

LEAVES = LEAF_CAPACITY * INNER_CAPACITY
"""Values of a full tree of two levels."""


def faults(values):
    return handle_of(values).indexes["main"].check()


def numbered(count):
    values = MemoryBuffer(blobify="bytes")
    model = [b"%d" % n for n in range(count)]
    values.extend(model)
    return values, model


@pytest.mark.parametrize("count", [2, 3, LEAF_CAPACITY, LEAF_CAPACITY + 1, 2 * LEAF_CAPACITY, 1000])
def test_every_position(count):
    values, model = numbered(count)
    for position in range(0, count, 1 if count < 300 else 13):
        values.rotate(-position)
        model = model[position:] + model[:position]
        assert values == model
        assert not faults(values)
    values.close()


@pytest.mark.parametrize("count", [LEAVES - 1, LEAVES, LEAVES + 1, LEAVES + LEAF_CAPACITY * INNER_MINIMUM])
def test_around_a_new_level(count):
    values, model = numbered(count)
    edges = [1, 2, LEAF_MINIMUM, LEAF_CAPACITY, LEAF_CAPACITY + 1, LEAF_CAPACITY * INNER_MINIMUM, count // 2]
    for edge in edges:
        for position in (edge, count - edge):
            values.rotate(-position)
            model = model[position:] + model[:position]
            assert not faults(values)
    assert values == model
    values.commit()
    values.verify()
    values.close()


def test_rotating_a_committed_list_costs_a_few_nodes(path):
    with MemoryBuffer(path, blobify="bytes") as values:
        values.extend(b"%09d" % n for n in range(50_000))
        values.commit()
        values.rotate(12_345)
        assert handle_of(values).pager.dirty_nodes < 20
        assert values[12_345] == b"%09d" % 0


def test_at_random():
    """Between rotations the tree is changed, so that its nodes are filled anyhow."""
    rng = random.Random(chosen_seed())
    for _ in range(scaled(12, 4)):
        values, model = numbered(rng.choice([5, 400, 5000, 60_000]))
        for _ in range(scaled(40, 20)):
            at = rng.randrange(len(model) + 1)
            if rng.random() < 0.3:
                stop = at + rng.choice([1, 100, 1000, 20_000])
                del values[at:stop], model[at:stop]
            elif rng.random() < 0.3:
                fresh = [b"x"] * rng.choice([1, 200, 3000])
                values[at:at] = fresh
                model[at:at] = fresh
            if rng.random() < 0.2:
                values.commit()
            position = rng.randrange(len(model)) if model else 0
            values.rotate(-position)
            model = model[position:] + model[:position]
            assert not faults(values)
        assert values == model
        values.commit()
        values.verify()
        values.close()
