"""The calls that list has not: blobs, pointers, editing, batches, order by pointers."""

import gc
import os
import random
from collections import Counter

import pytest

from stablemem import BlobifyError, CorruptRegionError, MemoryBuffer, MemoryRegion, Sizes, StableMemoryError
from stablemem._core.calls import order
from stablemem.blobify import Text
from stablemem.layout import LEAF_CAPACITY
from support import scaled
from support.probe import handle_of

LONG = "a text of more than eight bytes, number %d"


@pytest.fixture
def values():
    with MemoryBuffer(blobify="text") as made:
        yield made


def texts(count):
    return [LONG % n if n % 3 else str(n) for n in range(count)]


# -- making ----------------------------------------------------------------------------------------------


def test_tabulate_and_filled(path):
    with MemoryBuffer.tabulate(1000, lambda n: n * n, path) as squares:
        assert squares == [n * n for n in range(1000)]
    with MemoryBuffer.filled(3, "x", path, "w", blobify=Text) as filled:
        assert filled == ["x"] * 3, "as many as asked for"
    with MemoryBuffer(path, "r") as reader:
        assert reader == ["x"] * 3, "committed"
    for none in (0, -1):
        assert MemoryBuffer.filled(none, 1) == MemoryBuffer.tabulate(none, str) == []
    for wrong in ("a", 1.5, None):
        with pytest.raises(TypeError):
            MemoryBuffer.filled(wrong, 1)
        with pytest.raises(TypeError):
            MemoryBuffer.tabulate(wrong, str)


def test_filled_encodes_once(path):
    encoded = []

    class Counting:
        name = "tests.Counting"

        def to_blob(self, value):
            encoded.append(value)
            return value

        def from_blob(self, blob):
            return blob

    with MemoryBuffer.filled(5000, b"some value", blobify=Counting()) as values:
        assert len(values) == 5000
        assert len(encoded) == 1


def test_a_function_that_fails_leaves_nothing(path):
    MemoryBuffer.from_iterable([1], path).close()
    with pytest.raises(ZeroDivisionError):
        MemoryBuffer.tabulate(3, lambda n: 1 // (1 - n), path)
    with pytest.raises(BlobifyError):
        MemoryBuffer.filled(3, {1}, path)
    with MemoryBuffer(path, "r+") as values:
        assert values == [1]


def test_in_a_region():
    with MemoryRegion() as region:
        values = MemoryBuffer.tabulate(3, str, region, name="a")
        assert values == ["0", "1", "2"]
        assert region.names() == ["a"]
        with pytest.raises(ZeroDivisionError):
            MemoryBuffer.tabulate(3, lambda n: 1 // n, region, name="b")
        values.append("the region is still open")


# -- reading ---------------------------------------------------------------------------------------------


def test_get(values):
    values.extend("abc")
    for index in (0, 2, -1, -3):
        assert values.get(index) == values[index]
    for index in (3, -4, 1 << 70, -(1 << 70)):
        assert values.get(index) is None
        assert values.get(index, 5) == 5
    with pytest.raises(TypeError):
        values.get("a")


def test_get_does_not_hide_what_a_blobify_raises():
    class Broken:
        name = "tests.Broken"

        def to_blob(self, value):
            return value

        def from_blob(self, blob):
            raise IndexError("from the Blobify")

    with MemoryBuffer(blobify=Broken()) as values:
        values.append(b"x")
        with pytest.raises(BlobifyError, match="from the Blobify"):
            values.get(0)


def test_get_many(values):
    content = texts(1000)
    values.extend(content)
    rng = random.Random(3)
    for _ in range(20):
        asked = [rng.randrange(-1000, 1000) for _ in range(rng.choice([0, 1, 300]))]
        assert values.get_many(asked) == values.__getitems__(iter(asked)) == [content[n] for n in asked]
    for wrong in (1000, -1001, 1 << 70):
        with pytest.raises(IndexError):
            values.get_many([0, wrong])
    with pytest.raises(TypeError, match="indices must be integers"):
        values.get_many([0, "a"])


def test_get_many_checks_before_it_reads():
    read = []

    class Noting:
        name = "tests.Noting"

        def to_blob(self, value):
            return value

        def from_blob(self, blob):
            read.append(blob)
            return bytearray(blob)

    with MemoryBuffer(blobify=Noting()) as values:
        values.extend([b"a", b"b"])
        with pytest.raises(IndexError):
            values.get_many([0, 1, 2])
        assert not read
        one, two = values.get_many([0, 0])
        assert one is not two, "each its own, also if it is the same place"


def test_to_list(values):
    values.extend(texts(300))
    assert type(values.to_list()) is list
    assert values.to_list() == texts(300)


BOUNDS = [(0,), (5,), (-5,), (0, 0), (3, 700), (10, -10), (-100, -50), (900, 100), (0, 5000), (0, None)]


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("reverse", [False, True])
def test_ranges(values, bounds, reverse):
    content = texts(1000)
    values.extend(content)
    values.commit()
    values[7] = content[7] = "pending, and to be written out first"
    places = list(range(1000))[slice(*bounds) if len(bounds) != 1 else slice(bounds[0], None)]
    places = places[::-1] if reverse else places
    assert list(values.items(*bounds, reverse=reverse)) == [(n, content[n]) for n in places]
    assert list(values.blobs(*bounds, reverse=reverse)) == [content[n].encode() for n in places]
    pointers = list(values.pointers(*bounds, reverse=reverse))
    assert [size for _, size in pointers] == [len(content[n]) for n in places]
    region = handle_of(values.region).region
    for (address, size), place in zip(pointers, places, strict=True):
        if size <= 8:
            assert address == 0
        else:
            assert region.load(address, size) == content[place].encode()


def test_ranges_while_the_list_changes(values):
    values.extend("abcdef")
    items = values.items()
    assert next(items) == (0, "a")
    del values[0]
    assert next(items) == (1, "c")
    values.append("beyond the bounds taken at first")
    values.append("beyond")
    assert list(items) == [(2, "d"), (3, "e"), (4, "f"), (5, "beyond the bounds taken at first")]
    backwards = values.blobs(reverse=True)
    next(backwards)
    del values[2:]
    assert list(backwards) == []
    with pytest.raises(TypeError, match="slice indices"):
        values.items("a")


def test_blob_views(path):
    view = None
    with MemoryBuffer.from_iterable(["inline", LONG % 7], path, blobify=Text) as values:
        copied = values.blob_view(1)
        values[1] = "something else, written over it perhaps"
        values.commit()
        assert bytes(copied) == (LONG % 7).encode(), "of a writer a copy"
        with values.snapshot() as snapshot:
            view = snapshot.blob_view(-1)
            assert bytes(snapshot.blob_view(0)) == b"inline"
            with pytest.raises(IndexError):
                snapshot.blob_view(2)
            assert view.readonly
            transaction = snapshot.region.transaction_number
        del snapshot
        gc.collect()
        for number in range(30):
            values[1] = f"one of many that may take its place, {number:3}"
            values.commit()
        assert values.region.transaction_number > transaction + 20
        assert bytes(view) == b"something else, written over it perhaps", "it keeps the snapshot"
        with pytest.raises(TypeError):
            view[0] = 1
        view.release()


def test_blob_views_are_verified(path, damaged):
    with MemoryBuffer.from_iterable([LONG % 1], path, blobify=Text) as values:
        ((address, _),) = values.pointers()
    with open(path, "r+b") as file:
        file.seek(address)
        file.write(b"X")
    with MemoryBuffer(path, "r") as values, pytest.raises(CorruptRegionError):
        values.blob_view(0)


def test_sizes(values):
    assert values.sizes() == Sizes(values=0, blob_bytes=0, node_bytes=0, capacity=0)
    content = texts(70_000)
    values.extend(content)
    sizes = values.sizes()
    leaves = -(-70_000 // LEAF_CAPACITY)
    assert sizes.values == 70_000
    assert sizes.blob_bytes == sum(map(len, content))
    assert sizes.capacity == leaves * LEAF_CAPACITY
    assert sizes.node_bytes == 4096 * (leaves + 2 + 1)
    values.commit()
    assert values.sizes() == sizes
    del values[5:]
    assert values.sizes() == Sizes(5, sum(map(len, content[:5])), 4096, LEAF_CAPACITY)


# -- editing ---------------------------------------------------------------------------------------------


def test_edit():
    with MemoryBuffer() as values:
        values.extend([{"n": n} for n in range(3)])
        with values.edit(-1) as value:
            value["more"] = [1]
            values.append("counted from the end only at first")
        assert values[2] == {"n": 2, "more": [1]}
        with pytest.raises(KeyError), values.edit(0) as value:  # noqa: PT012
            value["n"] = 99
            raise KeyError
        assert values[0] == {"n": 0}
        with pytest.raises(BlobifyError), values.edit(0) as value:
            value["n"] = {1}
        assert values[0] == {"n": 0}
        with pytest.raises(IndexError), values.edit(9):
            pass


# -- order by pointers -----------------------------------------------------------------------------------


def blob_addresses(values):
    return [pointer for pointer in values.pointers() if pointer[0]]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 255, 256, 5000])
def test_pointers_move_and_blobs_stay(values, count):
    content = texts(count)
    values.extend(content)
    values.commit()
    before = blob_addresses(values)
    values.reverse()
    content.reverse()
    assert values == content
    assert blob_addresses(values) == before[::-1]
    for steps in (1, -1, 700, -255, 1 << 40):
        values.rotate(steps)
        cut = -steps % count if count else 0
        content = content[cut:] + content[:cut]
        assert values == content
    rng = random.Random(1)
    values.shuffle(rng)
    assert sorted(values) == sorted(content)
    assert values != content or count < 3
    content = values[:]
    for _ in range(min(count, 50)):
        i, j = rng.randrange(-count, count), rng.randrange(-count, count)
        values.swap(i, j)
        content[i], content[j] = content[j], content[i]
    assert values == content
    assert sorted(blob_addresses(values)) == sorted(before)
    while content and len(content) > count - 50:
        at = rng.randrange(-len(content), len(content))
        wanted = content[at]
        content[at] = content[-1]
        content.pop()
        assert values.swap_remove(at) == wanted
    assert values == content


def test_bad_indices_change_nothing(values):
    values.extend("abc")
    for call in (
        lambda: values.swap(0, 3), lambda: values.swap(-4, 0), lambda: values.swap_remove(3),
        lambda: values.swap(1 << 70, 0),
    ):  # fmt: skip
        with pytest.raises(IndexError):
            call()
    for call in (lambda: values.swap("a", 0), lambda: values.rotate("a"), lambda: values.rotate(1.5)):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(OverflowError):
        values.rotate(1 << 70)
    values.swap(1, 1)
    assert values == list("abc")


def test_swap_remove_deletes_nothing_that_it_cannot_return():
    class Picky:
        name = "tests.Picky"

        def to_blob(self, value):
            return value

        def from_blob(self, blob):
            raise BlobifyError("it is bad")

    with MemoryBuffer(blobify=Picky()) as values:
        values.extend([b"1", b"2"])
        with pytest.raises(BlobifyError):
            values.swap_remove(0)
        assert len(values) == 2


class Restless:
    """A Blobify that changes the list whenever it decodes a value, so many times."""

    name = "tests.Restless"

    def __init__(self, times):
        self.times = times
        self.decoded = 0
        self.values = None

    def to_blob(self, value):
        return value

    def from_blob(self, blob):
        self.decoded += 1
        assert self.decoded < 500, "it goes on for ever"
        if self.times:
            self.times -= 1
            self.values.insert(0, b"more")
        return blob


def restless(times):
    """Return a list of bytes, and its codec switched on."""
    codec = Restless(times)
    codec.values = MemoryBuffer(blobify=codec)
    codec.values.extend([b"1", b"2", b"3"])
    return codec.values


def test_swap_remove_while_the_list_changes():
    """What is returned is what was deleted, or nothing was."""
    values = restless(1)
    with pytest.raises(RuntimeError, match="list changed during swap_remove"):
        values.swap_remove(0)
    assert list(values.blobs()) == [b"more", b"1", b"2", b"3"]
    assert values.swap_remove(1) == b"1"
    assert list(values.blobs()) == [b"more", b"3", b"2"]
    values.close()


@pytest.mark.parametrize("pop", [MemoryBuffer.pop, MemoryBuffer.popleft, lambda values: values.pop(1)])
def test_pop_while_its_own_thread_changes_the_list(pop):
    """A Blobify that changes the list each time it decodes: an error, not a call that never ends."""
    values = restless(1000)
    try:
        with pytest.raises(RuntimeError, match="list changed during pop"):
            pop(values)
        assert [blob for blob in values.blobs() if blob != b"more"] == [b"1", b"2", b"3"]
    finally:
        values.close()


def test_shuffle_takes_every_order():
    """Chi-squared over the 24 orders of 4 values: 23 degrees of freedom, 1 in 10,000 is above 55."""
    with MemoryBuffer.from_iterable("abcd", blobify=Text) as values:
        rng = random.Random(11)
        seen = Counter()
        for _ in range(2400):
            values[:] = "abcd"
            values.shuffle(rng)
            seen["".join(values)] += 1
    assert len(seen) == 24
    assert sum((count - 100) ** 2 / 100 for count in seen.values()) < 55


def test_shuffle_by_a_file(values, monkeypatch):
    """More values than are held in memory give the same order as those held there."""
    content = texts(3000)
    values.extend(content)
    values.shuffle(random.Random(3))
    first = values[:]
    values[:] = content
    monkeypatch.setattr(order, "IN_MEMORY", 100)
    values.shuffle(random.Random(3))
    assert values == first


def test_shuffle_by_a_generator_of_ones_own(values):
    values.extend(texts(300))
    before = values[:]

    class Last:
        def randrange(self, stop):
            return stop - 1

    class Wrong:
        def randrange(self, stop):
            return stop

    class Failing:
        def randrange(self, stop):
            if stop == 100:
                raise KeyError
            return 0

    class Meddling:
        def randrange(self, stop):
            if stop == 100:
                values.append("meddled")
            return 0

    values.shuffle(Last())
    assert values == before
    with pytest.raises(ValueError, match="randrange"):
        values.shuffle(Wrong())
    with pytest.raises(KeyError):
        values.shuffle(Failing())
    with pytest.raises(AttributeError):
        values.shuffle(5)
    assert values == before
    with pytest.raises(ValueError, match="list modified during shuffle"):
        values.shuffle(Meddling())
    assert values == [*before, "meddled"]


def test_moving_costs_nodes_not_blobs(path):
    """A commit after order everything writes the index anew, and no blob."""
    with MemoryBuffer(path, blobify="bytes") as values:
        values.extend(bytes([n % 256]) * 5000 for n in range(scaled(2000, 500)))
        values.commit()
        size = os.path.getsize(path)
        values.reverse()
        values.rotate(100)
        values.shuffle()
        values.commit()
        assert os.path.getsize(path) < size + (1 << 20)


@pytest.mark.parametrize("index", [1.5, "x", None])
def test_edit_wants_an_integer(index):
    values = MemoryBuffer.from_iterable([1, 2])
    with pytest.raises(TypeError), values.edit(index):
        pass
    values.close()


MOVES = {
    "insert": lambda values: values.insert(0, "x"),
    "popleft": lambda values: values.popleft(),
    "assign": lambda values: values.__setitem__(1, ["other"]),
    "clear": lambda values: values.clear(),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_edit_of_a_value_that_has_moved_costs_no_other(move):
    with MemoryBuffer.from_iterable([["a"], ["b"], ["c"]]) as values:
        moved = pytest.raises(StableMemoryError, match="another value is at index 1 now")
        with moved, values.edit(1) as value:
            value.append("edited")
            move(values)
            expected = values[:]
        assert values[:] == expected


def test_edit_commits_as_the_policy_says(tmp_path):
    with MemoryBuffer(tmp_path / "list.smem", autocommit=True) as values:
        values.append([])
        with values.edit(0) as value:
            value.append(1)
        assert values.stats().changes == 0
        assert MemoryBuffer(values.path, "r")[:] == [[1]]
