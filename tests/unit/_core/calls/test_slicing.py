"""Walks in pieces: strides read, assigned and deleted across the edges of pieces; faults in between."""

import random

import pytest

from stablemem import COMPILED, MemoryBuffer, MemoryRegion, RegionFullError, StableMemoryError
from stablemem._core.calls import slicing
from stablemem._core.calls.bracket import edit_in_pieces
from stablemem._core.tree.pager import BLOB_BUDGET, NODE_BUDGET
from support import scaled
from support.probe import handle_of, handles, transactions

STEPS = [2, 3, 63, 64, 65, 1000, -2, -64, -65]


def texts(count):
    return [f"a text that needs a blob of its own, {n}" if n % 3 else str(n) for n in range(count)]


@pytest.fixture(params=[1 << 16, 128])
def piece(request, monkeypatch):
    """Let walks go in pieces as they are, and in small ones."""
    monkeypatch.setattr(slicing, "PIECE", request.param)
    return request.param


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("bounds", [(None, None), (7, -9), (900, 100), (5, 6), (3, 3)])
@pytest.mark.usefixtures("piece")
def test_strides(step, bounds):
    where = slice(*bounds, step)
    model = texts(scaled(3000, 700))
    with MemoryBuffer.from_iterable(model, blobify="text") as values:
        assert values[where] == model[where]
        fresh = [f"new {n}" * (n % 4) for n in range(len(model[where]))]
        values[where] = iter(fresh)
        model[where] = fresh
        assert values == model
        assert handle_of(values).indexes["main"].check() == []
        values.commit()
        del values[where]
        del model[where]
        assert values == model
        assert handle_of(values).indexes["main"].check() == []
        values.commit()
        values.verify()


@pytest.mark.parametrize("step", [2, -2, 3])
def test_a_stride_of_the_wrong_size(step):
    model = texts(10)
    with MemoryBuffer.from_iterable(model) as values:
        for given in ([], ["x"], "x" * 20):
            with pytest.raises(ValueError, match="attempt to assign sequence of size") as ours:
                values[::step] = given
            with pytest.raises(ValueError, match="attempt to assign sequence of size") as theirs:
                model[::step] = given
            assert str(ours.value) == str(theirs.value)
        with pytest.raises(TypeError, match="must assign iterable to extended slice"):
            values[::step] = 5
        assert values == model


def test_strides_of_itself():
    model = texts(600)
    with MemoryBuffer.from_iterable(model) as values:
        for where in (slice(None, None, -1), slice(100, 200), slice(None, None, 1)):
            values[where] = values[where]
            assert values == model
        values[::-1] = values
        model[::-1] = model
        assert values == model
        values[5:100:2] = values[200:248]
        model[5:100:2] = model[200:248]
        values[10:20] = values
        model[10:20] = model
        assert values == model


def test_blobs_pass_between_lists_of_the_same_blobify():
    class Once:
        name = "tests.Once"

        def __init__(self):
            self.encoded = 0

        def to_blob(self, value):
            self.encoded += 1
            return value

        def from_blob(self, blob):
            raise AssertionError("decoded")

    once = Once()
    with MemoryBuffer(blobify=once) as one, MemoryBuffer(blobify=once) as two:
        one.extend([b"a", b"b"])
        two.extend(one)
        two[1:1] = one
        two.extendleft(one)
        two.extend(two)
        two.__imul__(2)
        assert list(two.blobs()) == [b"b", b"a", b"a", b"a", b"b", b"b"] * 4
        assert once.encoded == 2


@pytest.mark.skipif(not COMPILED, reason="takes a minute interpreted")
def test_walks_in_bounded_memory(monkeypatch):
    """Between pieces dirty nodes are written out."""
    with MemoryBuffer.filled(2_300_000, b"x", blobify="bytes") as values:
        store = handle_of(values)
        write_early = handles.write_early
        met = []

        def noted(tx):
            met.append(store.pager.dirty_nodes)
            write_early(tx)

        monkeypatch.setattr(handles, "write_early", noted)
        values.reverse()
        assert met
        assert max([*met, store.pager.dirty_nodes]) < NODE_BUDGET + 1000
        values.append(b"dirty again")
        del values[::2]
        assert max([*met, store.pager.dirty_nodes]) < NODE_BUDGET + 1000
        values.commit()


@pytest.mark.parametrize("step", [2, -2, 70, -70][:: scaled(1, 3, 1)])
@pytest.mark.parametrize("assigned", [True, False])
def test_steps_in_bounded_memory(monkeypatch, step, assigned):
    """Nodes and blobs are written out as the walk goes on; what fails there rolls the transaction back."""
    monkeypatch.setattr(slicing, "PIECE", 1 << 10)
    monkeypatch.setattr(transactions, "NODE_BUDGET", 4)
    monkeypatch.setattr(transactions, "MOST_NODES", 4)
    model = texts(20_000)
    given = [f"new {number}" * 40 for number in range(len(model[::step]))]
    with MemoryBuffer.from_iterable(model, blobify="text") as values:
        values.commit()
        store = handle_of(values)
        write_early = handles.write_early
        met = []

        def change(target):
            if assigned:
                target[::step] = given
            else:
                del target[::step]

        def noted(tx):
            met.append((store.pager.dirty_nodes, store.pager.pending_bytes))
            write_early(tx)

        def full(tx):
            if met:
                raise OSError("full")
            noted(tx)

        monkeypatch.setattr(handles, "write_early", full)
        with pytest.raises(OSError, match="full"):
            change(values)
        assert values[:] == model
        assert values.stats().changes == 0
        met.clear()
        monkeypatch.setattr(handles, "write_early", noted)
        change(values)
        change(model)
        met.append((store.pager.dirty_nodes, store.pager.pending_bytes))
        assert max(nodes for nodes, _ in met) < 20
        assert max(size for _, size in met) < BLOB_BUDGET + 1000 * 512
        assert values[:] == model
        assert handle_of(values).indexes["main"].check() == []
        values.commit()
        assert values.verify().faults == []


def test_assigning_large_blobs_in_bounded_memory(monkeypatch):
    """The nodes may be few, and the blobs much."""
    monkeypatch.setattr(slicing, "PIECE", 1 << 10)
    model = [b"%d" % number for number in range(20_000)]
    with MemoryBuffer.from_iterable(model, blobify="bytes") as values:
        store = handle_of(values)
        write_early = handles.write_early
        met = []

        def noted(tx):
            met.append(store.pager.pending_bytes)
            write_early(tx)

        monkeypatch.setattr(handles, "write_early", noted)
        for step, size in ((2, 150), (-100, 12_000)):
            met.clear()
            values[::step] = given = [b"%d" % number * size for number in range(len(model[::step]))]
            model[::step] = given
            assert met
            assert max(met) < min(BLOB_BUDGET + 1000 * 512, sum(map(len, given)))
            assert values[:] == model


def test_a_walk_that_fails_half_way_changes_nothing(monkeypatch):
    """What fails between two pieces rolls the transaction back, as a fault of storage does."""
    monkeypatch.setattr(slicing, "PIECE", 1 << 10)
    model = texts(5000)
    with MemoryBuffer.from_iterable(model, blobify="text") as values:
        begun = 0

        def failing(core, piece):
            nonlocal begun
            begun += 1
            if begun == 3:
                raise MemoryError
            return 1

        with handle_of(values).exclusive(), pytest.raises(MemoryError):
            edit_in_pieces(values, range(5), failing)
        assert begun == 3
        assert values == model
        values.append("usable")
        values.rollback()


def test_a_region_that_is_full(path):
    """extend and strides that find no room are undone."""
    with MemoryRegion(path, max_size=1 << 20) as region:
        values = region.buffer("main", "bytes")
        values.extend([b"x" * 100] * 1000)
        region.commit()
        with pytest.raises(RegionFullError):
            values.extend(b"y" * 1000 for _ in range(10_000))
        assert values == [b"x" * 100] * 1000
        with pytest.raises(RegionFullError):  # noqa: PT012
            values[::2] = [b"z" * 5000] * 500
            region.commit()
        assert values == [b"x" * 100] * 1000
        del values[::2]
        region.commit()
        assert len(values) == 500
        assert issubclass(RegionFullError, StableMemoryError)


def test_deleting_at_random():
    rng = random.Random(5)
    model = texts(scaled(20_000, 3000))
    with MemoryBuffer.from_iterable(model, blobify="text") as values:
        while model:
            low, high = sorted(rng.randrange(len(model) + 1) for _ in range(2))
            where = slice(low, high + 1, rng.choice([1, 2, 3, 10, 64, 70]))
            del values[where], model[where]
            assert len(values) == len(model)
            assert handle_of(values).indexes["main"].check() == []
        assert values == model
