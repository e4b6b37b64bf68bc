"""Savepoint: what it brings back, in which order, and that it ends with its transaction."""

import pytest

from stablemem import MemoryRegion
from stablemem._core.txn.savepoint import Savepoint
from support.probe import handle_of


@pytest.fixture
def region(path):
    with MemoryRegion(path) as made:
        values = made.buffer("main", "bytes")
        values.extend([b"value %d of more than eight bytes" % n for n in range(1000)])
        made.roots["block"] = made.add_blob(b"block")
        made.commit()
        values.append(b"not committed")
        yield made


def look(region):
    """Return all that a user sees of a region's content."""
    return (
        list(region.buffer("main")),
        dict(region.roots),
        region.load(region.roots["block"][0], 5),
        region.allocated_blocks(),
        region.stats().changes,
        region.names(),
    )


def change(region, number):
    values = region.buffer("main")
    values[number] = b"changed %d, which is more than eight bytes" % number
    del values[500 : 500 + 3 * number]
    values.extend([b"new"] * 300)
    region.roots[f"root {number}"] = region.add_blob(bytes(1000 * number))
    region.store(region.roots["block"][0], b"%d" % number)


def begun(region):
    made = Savepoint(handle_of(region))
    made.begin()
    return made


def undo(region, savepoint):
    handle_of(region).latch.enter()
    try:
        savepoint.undo()
    finally:
        handle_of(region).latch.leave()


def test_all_comes_back(region):
    before = look(region)
    savepoint = begun(region)
    assert look(region) == before, "beginning one changes nothing"
    change(region, 5)
    assert look(region) != before
    undo(region, savepoint)
    assert look(region) == before
    region.commit()
    assert list(region.buffer("main"))[-1] == b"not committed"
    region.verify()


def test_one_within_another(region):
    states, savepoints = [], []
    for number in range(1, 4):
        states.append(look(region))
        savepoints.append(begun(region))
        change(region, number)
    undo(region, savepoints.pop())
    assert look(region) == states.pop()
    # The outer of two: the inner one goes with it.
    undo(region, savepoints[0])
    assert look(region) == states[0]


def test_what_is_kept_is_undone_with_the_outer_one(region):
    before = look(region)
    outer = begun(region)
    change(region, 1)
    inner = begun(region)
    change(region, 2)
    after = look(region)
    inner.end()
    assert look(region) == after
    undo(region, outer)
    assert look(region) == before


def test_undone_twice(region):
    before = look(region)
    savepoint = begun(region)
    change(region, 3)
    undo(region, savepoint)
    undo(region, savepoint)
    assert look(region) == before


@pytest.mark.parametrize("how", ["undo", "end"])
def test_it_ends_with_its_transaction(region, how):
    savepoint = begun(region)
    change(region, 3)
    region.rollback()
    before = look(region)
    change(region, 4)
    after = look(region)
    if how == "undo":
        undo(region, savepoint)
    else:
        savepoint.end()
    assert before != look(region) == after
