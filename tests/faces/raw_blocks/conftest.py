"""The region that the tests of raw blocks begin with."""

import pytest

from stablemem import MemoryRegion
from support.recorded import prove


@pytest.fixture
def heap():
    region = MemoryRegion()
    yield region
    if not region.closed:
        prove(region)
        region.close()


@pytest.fixture
def lived_in(heap):
    """Return a region with a list, committed raw blocks, a root, and one change that is not committed."""
    values = heap.buffer("main", "bytes")
    values.extend([b"a value of more than eight bytes, number %d" % n for n in range(600)])
    first = heap.add_blob(bytes(range(200)))
    hole = heap.add_blob(b"hole" * 25)
    last = heap.add_blob(b"last" * 25)
    heap.roots["blocks"] = first, hole, last
    heap.commit()
    heap.deallocate(hole, 100)
    heap.commit()
    heap.store(first, b"open")
    return heap
