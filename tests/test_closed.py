"""What a handle that is closed, or is inside a transaction block, refuses to do."""

import pickle

import pytest

from stablemem import BlobifyError, MemoryBuffer, MemoryRegion, RegionClosedError, StableMemoryError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "list.smem"


def test_a_closed_region_gives_no_list(path):
    region = MemoryRegion(path)
    region.close()
    with pytest.raises(RegionClosedError, match=r"list\.smem is closed: open it again"):
        region.buffer("new")
    with pytest.raises(RegionClosedError, match="is closed"):
        region.names()
    with pytest.raises(RegionClosedError, match="is closed"):
        MemoryBuffer(region)


def test_a_closed_region_begins_no_block(path):
    region = MemoryRegion(path)
    region.close()
    with pytest.raises(RegionClosedError, match="is closed: open it again"), region.transaction():
        pytest.fail("the block ran")


@pytest.mark.parametrize("step", [1, -1])
def test_an_iterator_ends_with_its_list(path, step):
    values = MemoryBuffer.from_iterable(range(10), path)
    walk = iter(values) if step == 1 else reversed(values)
    next(walk)
    values.close()
    with pytest.raises(RegionClosedError, match="is closed"):
        next(walk)


def test_an_iterator_ends_with_a_list_that_is_detached():
    with MemoryRegion() as region:
        values = region.buffer("main")
        values.extend(range(10))
        walk = iter(values)
        next(walk)
        values.close()
        with pytest.raises(RegionClosedError, match="the list 'main' is closed"):
            next(walk)


@pytest.mark.parametrize(
    "call",
    ["commit", "rollback", "transaction", "snapshot", "refresh", "compact", "verify", "stats", "__enter__"],
)
def test_a_list_that_is_closed_has_no_say_in_its_region(call):
    with MemoryRegion() as region:
        values = region.buffer("main")
        region.commit()
        other = region.buffer("other")
        values.close()
        other.append("not committed by others")
        with pytest.raises(RegionClosedError, match="the list 'main' is closed"):
            getattr(values, call)()
        assert other[:] == ["not committed by others"]
        region.rollback()


def test_no_closing_within_a_block(path):
    values = MemoryBuffer(path)
    with values.transaction():
        values.append(1)
        with pytest.raises(StableMemoryError, match="commits at its end: close it behind the block"):
            values.close()
        values.append(2)
    assert values[:] == [1, 2]
    values.close()
    with MemoryBuffer(path, "r") as kept:
        assert kept[:] == [1, 2]


def test_a_region_is_not_pickled(path):
    with MemoryRegion(path) as region, pytest.raises(TypeError, match="pickle its path, or a list in it"):
        pickle.dumps(region)


@pytest.mark.parametrize("name", ["", "x" * 65536, "\ud800", 5, None, b"main"])
def test_names_of_lists(name):
    with pytest.raises(
        ValueError, match=r"is a str of 1 to 65535 bytes in UTF-8, not .*: name it, or leave name= out"
    ):
        MemoryBuffer(name=name)


def test_a_value_given_alone_has_no_index():
    values = MemoryBuffer.from_iterable([1])
    for call in (
        values.append,
        lambda value: values.insert(0, value),
        lambda value: values.__setitem__(0, value),
    ):
        with pytest.raises(BlobifyError) as caught:
            call({1})
        assert caught.value.index is None
    with pytest.raises(BlobifyError, match=r"^value 1: ") as caught:
        values.extend([2, {1}])
    assert caught.value.index == 1


def test_a_blob_that_cannot_be_read():
    class Released:
        def to_blob(self, value):
            view = memoryview(b"value")
            view.release()
            return view

        def from_blob(self, blob):
            return blob

    values = MemoryBuffer(blobify=Released())
    with pytest.raises(
        BlobifyError, match=r"to_blob returned what cannot be read \(.*\), not bytes: let it return"
    ):
        values.append(1)
