"""Stats: the figures of a region whose every byte is known."""

import pytest

from stablemem import MemoryRegion
from stablemem._core.audit.stats import stats
from stablemem.layout import HEADER_SIZE, REGION_PAGE
from support.probe import handle_of


@pytest.fixture
def region(path):
    with MemoryRegion(path) as made:
        yield made


def figures(region):
    found = stats(handle_of(region))
    assert found.used_bytes + found.free_bytes + found.limbo_bytes <= found.file_bytes
    assert found.raw_bytes <= found.used_bytes
    assert found.largest_free <= found.free_bytes
    return found


def test_an_empty_region(region, path):
    found = figures(region)
    assert (found.path, found.lists, found.changes) == (str(path), {}, 0)
    assert (found.raw_bytes, found.limbo_bytes, found.written_bytes, found.written_runs) == (0, 0, 0, 0)
    assert found.used_bytes >= HEADER_SIZE
    assert (found.oldest_snapshot, found.held_bytes) == (None, 0)


def test_changes_that_are_not_committed_count(region):
    region.commit()
    before = figures(region)
    address = region.allocate(3 * REGION_PAGE)
    region.buffer("b").extend(range(5))
    region.buffer("a").append(1)
    found = figures(region)
    assert found.raw_bytes == before.raw_bytes + 3 * REGION_PAGE
    assert list(found.lists.items()) == [("a", 1), ("b", 5)], "by name"
    assert found.transaction == before.transaction
    assert found.changes > 0
    region.deallocate(address, REGION_PAGE)
    freed = figures(region)
    assert freed.raw_bytes == 2 * REGION_PAGE
    # What this transaction took is free at once.
    assert (freed.limbo_bytes, freed.largest_free >= REGION_PAGE) == (0, True)
    assert freed.fragmentation == 1 - freed.largest_free / freed.free_bytes


def test_what_a_snapshot_holds(region):
    first = region.allocate(2 * REGION_PAGE)
    region.roots["first"] = first
    region.commit()
    snapshot = region.snapshot()
    number = region.transaction_number
    region.deallocate(first, 2 * REGION_PAGE)
    for value in range(3):
        region.roots["first"] = value
        region.commit()
    found = figures(region)
    assert found.oldest_snapshot == number
    assert 2 * REGION_PAGE <= found.held_bytes <= found.limbo_bytes
    assert found.raw_bytes == 0
    snapshot.close()
    for value in range(3):
        region.roots["first"] = value
        region.commit()
    after = figures(region)
    assert (after.oldest_snapshot, after.held_bytes) == (None, 0)
    assert after.limbo_bytes < 2 * REGION_PAGE


def test_what_the_last_commit_wrote(region):
    region.allocate(100)
    region.commit()
    small = figures(region)
    assert small.written_bytes > 0
    assert small.written_runs > 0
    region.buffer("main", "bytes").extend([bytes(100_000)] * 10)
    region.commit()
    assert figures(region).written_bytes > 1_000_000 > small.written_bytes


def test_a_reader_counts_its_own_commit(region, path):
    region.allocate(REGION_PAGE)
    region.commit()
    with MemoryRegion(path, "r") as reader:
        then = figures(reader)
        region.allocate(REGION_PAGE)
        region.commit()
        now = figures(reader)
        for name in ("transaction", "used_bytes", "raw_bytes", "free_bytes", "limbo_bytes", "lists"):
            assert getattr(now, name) == getattr(then, name), name
        assert now.file_bytes > then.file_bytes, "the file is one"
        assert (now.raw_bytes, figures(region).raw_bytes) == (REGION_PAGE, 2 * REGION_PAGE)
