import random
import struct

import pytest

from stablemem import COMPILED, CorruptRegionError, MemoryBuffer
from stablemem._core.disk.device import MemoryDevice
from stablemem._core.disk.region import Region
from stablemem._core.space.freespace import FreeSpace
from stablemem._core.tree.index import Index
from stablemem._core.tree.pager import Pager
from stablemem._core.tree.rebalance import cut
from stablemem.layout import INNER_CAPACITY, LEAF_CAPACITY
from support import chosen_seed, scaled
from support.probe import handle_of
from support.steps import steps

SEED = chosen_seed()


def entries(values):
    """Return the entries of inline values."""
    return b"".join(struct.pack("<QQ", value, 8) for value in values)


@pytest.fixture
def values():
    """Return a list of 8-byte blobs, whose index is used directly."""
    with MemoryBuffer(blobify="bytes") as made:
        yield made


def index_of(values):
    return handle_of(values).index("main")


def blob(number):
    return number.to_bytes(8, "little")


def sound(index, length=None):
    assert index.check() == []
    if length is not None:
        assert index.length == length


@pytest.mark.parametrize("total", [0, 1, 254, 255, 256, 509, 510, 511, 600, 5000])
def test_cut(total):
    for capacity in (LEAF_CAPACITY, INNER_CAPACITY):
        full = cut(total, capacity, True)
        even = cut(total, capacity, False)
        assert sum(full) == sum(even) == total
        assert len(full) == len(even)
        assert all(piece == capacity for piece in full[:-1])
        assert max(even, default=0) - min(even, default=0) <= 1
        if total > capacity:
            assert min(even) >= capacity // 2


def test_a_new_index():
    index = Index(Pager(Region(MemoryDevice()), FreeSpace(), True))
    assert index.state() == (0, 0, 0, 0)
    sound(index, 0)
    index.insert_run(0, b"")
    index.clear()
    sound(index, 0)


@pytest.mark.parametrize("state", [(0, 0, 1, 0), (0, 0, 0, 1), (0, 0, 13, 5), (0, 0, 255, 5), (0, 0, -1, 1)])
def test_impossible_trees(state):
    with pytest.raises((CorruptRegionError, OverflowError)):
        Index(Pager(Region(MemoryDevice()), FreeSpace(), True), *state)


def test_appending_fills_leaves(values):
    """No space is wasted by the order in which most lists grow."""
    for number in range(2000):
        values.append(blob(number))
    index = index_of(values)
    sound(index, 2000)
    values.commit()
    report = values.verify()
    leaves = -(-2000 // LEAF_CAPACITY)
    assert report.nodes == leaves + 1
    assert index.height == 2


def test_extending_fills_leaves_and_inner_nodes(values):
    total = LEAF_CAPACITY * INNER_CAPACITY
    values.extend(blob(number) for number in range(total))
    assert index_of(values).height == 2
    values.append(b"one more")
    index = index_of(values)
    assert index.height == 3
    sound(index, total + 1)
    values.commit()
    assert values.verify().nodes == INNER_CAPACITY + 1 + 1 + 1 + 1
    assert values[total] == b"one more"
    assert values[total - 1] == blob(total - 1)
    values.pop()
    sound(index, total)
    assert index.height == 2


@pytest.mark.parametrize("count", [1, 254, 255, 256, 510, 511, 700])
@pytest.mark.parametrize("where", ["start", "middle", "end"])
def test_a_run_into_every_place(values, count, where):
    for size in (0, 1, 255, 256, 600):
        model = [blob(number) for number in range(size)]
        values[:] = model
        at = {"start": 0, "middle": size // 2, "end": size}[where]
        index_of(values).insert_run(at, entries(range(10**6, 10**6 + count)))
        model[at:at] = [blob(10**6 + number) for number in range(count)]
        sound(index_of(values), len(model))
        assert values[:] == model


def test_one_by_one_from_either_end(values):
    model = []
    index = index_of(values)
    for number in range(1500):
        at = 0 if number % 2 else len(model)
        index.insert(at, number, 8)
        model.insert(at, blob(number))
    sound(index, 1500)
    assert values[:] == model
    while model:
        at = 0 if len(model) % 3 else len(model) - 1
        index.delete(at)
        del model[at]
        if len(model) % 37 == 0:
            sound(index, len(model))
            assert values[:] == model
    assert index.state() == (0, 0, 0, 0)


@pytest.mark.parametrize(
    "bounds",
    [(0, 1), (0, 300), (1, 255), (254, 256), (100, 900), (0, 999), (1, 1000), (500, 500), (999, 1000)],
)
def test_ranges(values, bounds):
    model = [blob(number) for number in range(1000)]
    values.extend(model)
    index_of(values).delete_range(*bounds)
    del model[bounds[0] : bounds[1]]
    sound(index_of(values), len(model))
    assert values[:] == model


FULL, HALF, LAST = "full leaves", "leaves of all sizes", "one full leaf, and one of a single entry"


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("shape", [FULL, HALF, LAST])
@pytest.mark.parametrize("count", [1, 2, 127, 128, 254, 255, 256, 509, 510, 511, 765, 766])
def test_short_ranges_anywhere(values, shape, count, committed):
    """Within a leaf, across two, a whole leaf, and more than are deleted leaf by leaf."""
    model = [b"value %06d, and more" % number for number in range(256 if shape == LAST else 1100)]
    for start in range(0, max(1, len(model) - count + 1), scaled(61, 401)):
        kept = list(model)
        if shape == HALF:
            # Split and evened out at random, so that no leaf is full and none of the size of another.
            values[:] = kept[::2]
            for place in range(1, len(kept), 2):
                values.insert(place, kept[place])
        else:
            values[:] = kept
        if committed:
            values.commit()
        index = index_of(values)
        version = index.version
        stop = min(start + count, len(kept))
        index.delete_range(start, stop)
        del kept[start:stop]
        sound(index, len(kept))
        assert index.version > version
        assert values[:] == kept
        values.append(b"goes to the end, whatever path was kept")
        assert values[-1] == b"goes to the end, whatever path was kept"
    values.commit()
    assert values.verify().faults == []


@pytest.mark.skipif(COMPILED, reason="steps are counted interpreted; compiled, the source is the same")
@pytest.mark.parametrize("place", [0, 20_000, 39_900])
def test_a_short_range_takes_no_more_steps_than_its_values_alone(values, place):
    """A range made lists of all children of each node on the way, whatever it had to delete."""
    values.extend(blob(number) for number in range(40_000))
    index = index_of(values)
    index.delete(place)
    for count in (1, 2, 10):
        alone = steps(lambda: [index.delete(place) for _ in range(count)])  # noqa: B023 - called at once
        together = steps(lambda: index.delete_range(place, place + count))  # noqa: B023 - called at once
        assert together <= 1.2 * alone


def test_random_work(values):
    """Against a plain list, with the check after every change."""
    print(f"STABLEMEM_SEED={SEED}")
    rng = random.Random(SEED)
    model = []
    index = index_of(values)
    for step in range(scaled(1200, 400)):
        number = step + 1
        what = rng.random()
        at = rng.randrange(len(model) + 1)
        if what < 0.25 or not model:
            index.insert(at, number, 8)
            model.insert(at, blob(number))
        elif what < 0.5:
            count = rng.choice([1, 5, 100, 254, 255, 256, 800])
            index.insert_run(at, entries(range(number << 20, (number << 20) + count)))
            model[at:at] = [blob((number << 20) + each) for each in range(count)]
        elif what < 0.6:
            at = rng.randrange(len(model))
            index.replace(at, number, 8)
            model[at] = blob(number)
        elif what < 0.8:
            at = rng.randrange(len(model))
            index.delete(at)
            del model[at]
        else:
            stop = min(len(model), at + rng.choice([0, 1, 100, 255, 500, 2000]))
            index.delete_range(at, stop)
            del model[at:stop]
        assert index.check() == [], f"seed {SEED}, step {step}"
        assert index.length == len(model)
        if step % 40 == 0:
            assert values[:] == model, f"seed {SEED}, step {step}"
        if rng.random() < 0.02:
            values.commit()
    assert values[:] == model


def test_random_work_on_three_levels(values):
    print(f"STABLEMEM_SEED={SEED}")
    rng = random.Random(SEED)
    count = 60_000
    index = index_of(values)
    index.insert_run(0, entries(range(count)))
    model = list(range(count))
    assert index.height == 3
    for step in range(scaled(60, 25)):
        at = rng.randrange(len(model))
        size = rng.choice([1, 255, 3000, 20_000])
        if step % 2:
            index.delete_range(at, min(at + size, len(model)))
            del model[at : at + size]
        else:
            index.insert_run(at, entries(range(step << 32, (step << 32) + size)))
            model[at:at] = range(step << 32, (step << 32) + size)
        sound(index, len(model))
        if step % 10 == 0:
            values.commit()
            assert index.check() == []
        for place in rng.sample(range(len(model)), min(20, len(model))):
            assert values[place] == blob(model[place])
    assert values[:] == [blob(number) for number in model]
    while len(model) > 10:
        low = rng.randrange(len(model) // 3 + 1)
        high = len(model) - rng.randrange(len(model) // 3 + 1)
        index.delete_range(low, high)
        del model[low:high]
        sound(index, len(model))
    assert values[:] == [blob(number) for number in model]


def test_every_deletion_order_of_small_trees(values):
    """Merging and evening out at every place of a tree that is just above its minimum."""
    for at in range(0, 640, 13):
        values[:] = [blob(number) for number in range(640)]
        index = index_of(values)
        for _ in range(300):
            index.delete(min(at, index.length - 1))
            assert index.check() == []


@pytest.mark.parametrize("bounds", [(0, 0), (0, 1), (254, 256), (255, 510), (100, 1999), (0, 2000)])
def test_entries_of_a_range(values, bounds):
    index = index_of(values)
    index.insert_run(0, entries(range(2000)))
    values.commit()
    index.insert(1000, 77, 8)
    model = [*range(1000), 77, *range(1000, 2000)]
    assert index.entries(*bounds) == entries(model[bounds[0] : bounds[1]])
    assert index.entries(1990, 2001) == entries(model[1990:])


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("bounds", [(0, 0), (0, 1), (254, 256), (255, 510), (100, 1999), (0, 2000)])
def test_entries_put_in_place(values, bounds, committed):
    """A permutation: nothing is freed, nothing is counted, the tree has the same nodes as before."""
    first, last = bounds
    model = [bytes([number % 251]) * (3 + number % 20) for number in range(2000)]
    values.extend(model)
    if committed:
        values.commit()
    index = index_of(values)
    version = index.version
    order = list(range(first, last))
    random.Random(SEED).shuffle(order)
    old = index.entries(0, 2000)
    index.put_entries_at(first, b"".join(old[16 * place : 16 * place + 16] for place in order))
    model[first:last] = [model[place] for place in order]
    assert index.version > version
    sound(index, 2000)
    assert values[:] == model
    values.append(b"to be committed with it")
    values.commit()
    assert values[:-1] == model
    assert values.verify().faults == []


def test_entries_put_behind_the_end(values):
    index = index_of(values)
    index.insert_run(0, entries(range(300)))
    version = index.version
    with pytest.raises(IndexError):
        index.put_entries_at(299, entries([1, 2]))
    assert index.version == version
    assert index.entries(0, 300) == entries(range(300))


def test_writing_out_is_no_change(values):
    """An iterator need not read again what it read ahead, nor a sort give up, because of a commit."""
    values.extend(blob(number) for number in range(1000))
    version = index_of(values).version
    iterator = iter(values)
    assert next(iterator) == blob(0)
    values.commit()
    assert index_of(values).version == version
    assert list(iterator) == [blob(number) for number in range(1, 1000)]


def test_version_changes_with_every_change(values):
    index = index_of(values)
    seen = {index.version}
    for change in (
        lambda: index.insert(0, 1, 8),
        lambda: index.insert_run(0, entries([1, 2])),
        lambda: index.replace(1, 5, 8),
        lambda: index.put_entries_at(0, entries([9])),
        lambda: index.delete(0),
        lambda: index.delete_range(0, 1),
        index.clear,
        lambda: index.restore((0, 0, 0, 0)),
    ):
        change()
        assert index.version not in seen
        seen.add(index.version)
