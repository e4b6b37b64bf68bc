# ruff: noqa: PT012 - what is tested is what an exception does to the block around it
import os
from pathlib import Path

import pytest

from stablemem import (
    BlobifyError,
    MemoryBuffer,
    MemoryRegion,
    ReadOnlyError,
    RegionClosedError,
    StableMemoryError,
)
from stablemem.blobify import Bytes, Msgpack, Text
from support.probe import handle_of


def test_the_example_of_the_issue(path):
    with MemoryBuffer(path) as events:
        events.append({"user": 7, "action": "login"})
        events.insert(0, "first")
        assert events[1] == events[-1] == {"user": 7, "action": "login"}
        assert events[10:20] == []
        events.extend(["x", "y"])
        del events[3]
    with MemoryBuffer(path, "r") as events:
        assert events[:] == ["first", {"user": 7, "action": "login"}, "x"]


def test_in_memory():
    with MemoryBuffer() as values:
        values.extend([1, "two", None, 3.5, b"bytes", [1, [2]], {"k": {"l": 1}}])
        values.commit()
        values.append("lost")
        values.rollback()
        assert len(values) == 7
        assert values.path == ""


@pytest.mark.parametrize("kind", [str, Path])
def test_paths(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with MemoryBuffer(kind("relative.smem")) as values:
        values.append(1)
        assert values.path == "relative.smem"
    with MemoryBuffer(kind(tmp_path / "relative.smem"), "r") as values:
        assert values[:] == [1]


def test_what_it_says_of_itself(path):
    with MemoryBuffer(path, blobify=Text, name="notes") as values:
        assert (values.path, values.mode, values.name, values.closed) == (path, "a", "notes", False)
        assert isinstance(values.blobify, Text)
        assert isinstance(values.region, MemoryRegion)
    assert values.closed
    assert values.name == "notes"


def test_repr(path):
    with MemoryBuffer(path) as values:
        assert repr(values) == f"MemoryBuffer([], {path!r})"
        values.extend(range(3))
        assert repr(values) == f"MemoryBuffer([0, 1, 2], {path!r})"
        values.extend(["long " * 1000] * 1000)
        assert len(repr(values)) < 400
        assert "1003 values" in repr(values)
    assert repr(values) == f"<MemoryBuffer {path}: closed>"
    with MemoryBuffer(name="other") as values:
        assert repr(values) == "MemoryBuffer([], name='other')"


def test_nothing_is_kept_before_commit_the_end_of_with_or_close(path):
    values = MemoryBuffer(path)

    def kept():
        with MemoryBuffer(path, "r") as reader:
            return reader[:]

    values.append(1)
    assert kept() == []
    values.commit()
    assert kept() == [1]
    values.append(2)
    assert kept() == [1]
    values.close()
    assert kept() == [1, 2]
    with MemoryBuffer(path) as values:
        values.append(3)
        assert kept() == [1, 2]
    assert kept() == [1, 2, 3]
    with pytest.raises(KeyError), MemoryBuffer(path) as values:
        values.append(4)
        raise KeyError
    assert kept() == [1, 2, 3]


def test_methods_of_mutable_sequences():
    with MemoryBuffer() as values:
        values.extend([3, 1, 2, 1])
        assert 2 in values
        assert 9 not in values
        assert values.index(1) == 1
        assert values.index(1, 2) == 3
        assert values.count(1) == 2
        values.remove(1)
        assert values[:] == [3, 2, 1]
        values.reverse()
        assert values[:] == [1, 2, 3]
        values += [4]
        assert values[:] == [1, 2, 3, 4]
        for call in (values.index, values.remove):
            with pytest.raises(ValueError) as caught:  # noqa: PT011 - the mixin gives no message
                call(7)
            assert not isinstance(caught.value, StableMemoryError)
        values.clear()
        assert not values


def test_from_iterable(path):
    values = MemoryBuffer.from_iterable(range(5), path)
    assert values[:] == list(range(5))
    with MemoryBuffer(path, "r") as reader:
        assert reader[:] == list(range(5)), "it commits"
    values.close()
    with MemoryBuffer.from_iterable("ab", path, blobify=None) as values:
        assert values[:] == [0, 1, 2, 3, 4, "a", "b"]
    with MemoryBuffer.from_iterable("ab", path, "w", blobify=Text) as values:
        assert values[:] == ["a", "b"]

    def failing():
        yield "c"
        raise KeyError

    with pytest.raises(KeyError):
        MemoryBuffer.from_iterable(failing(), path)
    with MemoryBuffer(path, "r+") as values:
        assert values[:] == ["a", "b"]


@pytest.mark.parametrize(
    ("blobify", "value"),
    [("bytes", b"x"), (Bytes, b"x"), (Bytes(), b"x"), ("text", "x"), (Text, "x"), ("msgpack", [1])],
)
def test_the_blobify_is_found_again(path, blobify, value):
    with MemoryBuffer(path, blobify=blobify) as values:
        values.append(value)
    for asked in (None, blobify):
        with MemoryBuffer(path, "r", blobify=asked) as values:
            assert values[0] == value


def test_msgpack_is_the_default(path):
    with MemoryBuffer(path) as values:
        assert isinstance(values.blobify, Msgpack)


class Reversed:
    """A Blobify of one's own."""

    name = "tests.Reversed"

    def to_blob(self, value):
        return value.encode()[::-1]

    def from_blob(self, blob):
        return blob[::-1].decode()


def test_a_blobify_of_ones_own(path):
    with MemoryBuffer(path, blobify=Reversed()) as values:
        values.append("abc")
    with MemoryBuffer(path, blobify=Reversed) as values:
        assert values[0] == "abc"
    with pytest.raises(BlobifyError, match=r"tests.Reversed.*not built in.*pass blobify="):
        MemoryBuffer(path)
    with pytest.raises(BlobifyError, match=r"'tests\.Reversed', not 'text'"):
        MemoryBuffer(path, blobify="text")


@pytest.mark.parametrize("name", ["", 5, None, "x" * 70_000, b"main"])
def test_bad_names(name):
    with pytest.raises(ValueError, match="name of a list"):
        MemoryBuffer(name=name)


@pytest.mark.parametrize("name", ["x", "z\u00fcrich \u2603", "x" * 60_000, "a/b", "a\0"])
def test_names(path, name):
    with MemoryBuffer(path, name=name) as values:
        values.append(name)
    with MemoryBuffer(path, "r", name=name) as values:
        assert values[0] == name
        assert values.region.names() == [name]


def test_a_list_that_is_not_there(path):
    with MemoryBuffer(path, name="here") as values:
        values.append(1)
    with pytest.raises(KeyError, match="no list 'there'; it has"):
        MemoryBuffer(path, "r", name="there")
    with MemoryBuffer(path, "r+", name="there") as values:
        assert values[:] == []


def test_detaching_from_a_region(path):
    with MemoryRegion(path) as region:
        one, two = MemoryBuffer(region, name="one"), region.buffer("two")
        one.append(1)
        two.append(2)
        one.close()
        assert one.closed
        assert not two.closed
        with pytest.raises(RegionClosedError, match="the list 'one' is closed"):
            one.append(3)
        for call in (lambda: one[0], lambda: len(one), lambda: list(one), one.pop, one.clear):
            with pytest.raises(RegionClosedError):
                call()
        two.append(3)
        again = region.buffer("one")
        assert again[:] == [1], "detaching neither commits nor rolls back"
    with MemoryRegion(path, "r") as region:
        assert region.buffer("two")[:] == [2, 3]


def test_with_on_a_list_of_a_region(path):
    with MemoryRegion(path) as region:
        with region.buffer("one") as one:
            one.append(1)
        with pytest.raises(KeyError), region.buffer("one") as one:
            one.append(2)
            raise KeyError
        assert region.buffer("one")[:] == [1]
        assert region.stats().changes == 0


def test_two_handles_on_one_list():
    with MemoryRegion() as region:
        one, two = region.buffer("x"), region.buffer("x")
        one.append(1)
        two.append(2)
        assert one[:] == two[:] == [1, 2]
        with pytest.raises(BlobifyError):
            region.buffer("x", "text")


def test_snapshot_before_the_first_commit():
    with MemoryBuffer(blobify=Text) as values:
        values.append("not committed")
        with values.snapshot() as snapshot:
            assert snapshot[:] == []
            values.commit()
            assert snapshot.refresh() is True
            assert snapshot[:] == ["not committed"]
    with MemoryRegion() as region:
        region.buffer("one").append(1)
        region.commit()
        two = region.buffer("two", "text")
        two.append("2")
        with two.snapshot() as snapshot:
            assert snapshot[:] == []
            region.commit()
            snapshot.refresh()
            assert snapshot[:] == ["2"]


def test_snapshot_of_a_snapshot(path):
    with MemoryBuffer.from_iterable([1, 2], path) as values, values.snapshot() as one:
        values.append(3)
        values.commit()
        with one.snapshot() as two:
            assert two[:] in ([1, 2], [1, 2, 3])
            with pytest.raises(ReadOnlyError):
                two.append(1)


@pytest.mark.parametrize("sync", [True, False])
def test_sync(path, sync):
    with MemoryBuffer(path, sync=sync) as values:
        values.append(1)
        values.commit()
        assert handle_of(values).slot.synced == sync
        values.append(2)
        values.commit(sync=not sync)
        assert handle_of(values).slot.synced != sync
    with MemoryBuffer(path, "r") as values:
        assert handle_of(values).slot.synced
        assert values[:] == [1, 2]


def test_stats(path):
    with MemoryBuffer(path, blobify="bytes") as values:
        empty = values.stats()
        assert empty.lists == {"main": 0}
        values.extend([bytes(100)] * 1000)
        assert values.stats().changes == 1000
        assert values.stats().lists == {"main": 1000}
        values.commit()
        stats = values.stats()
        assert stats.path == path
        assert stats.changes == 0
        assert stats.transaction > empty.transaction
        assert stats.file_bytes == os.path.getsize(path)
        assert stats.used_bytes >= 100_000
        assert stats.used_bytes + stats.free_bytes + stats.limbo_bytes <= stats.file_bytes
        del values[:500]
        values.commit()
        assert values.stats().limbo_bytes >= 50_000
        for _ in range(3):
            values.append(b"")
            values.commit()
        stats = values.stats()
        assert stats.free_bytes >= 50_000
        assert stats.largest_free >= 40_000
        assert stats.free_blocks >= 1
    with MemoryBuffer(path, "r") as values:
        assert values.stats().lists == {"main": 503}


def test_close_twice_and_use_after_close(path):
    values = MemoryBuffer(path)
    values.close()
    values.close()
    with pytest.raises(RegionClosedError), values:
        pass
    with pytest.raises(ValueError, match="closed"):
        values.append(1)
    with pytest.raises(StableMemoryError):
        values.snapshot()


def test_a_failed_opening_holds_nothing(path):
    with MemoryBuffer(path, blobify=Text) as values:
        values.append("x")
    for _ in range(3):
        with pytest.raises(BlobifyError):
            MemoryBuffer(path, blobify="bytes")
        with pytest.raises(BlobifyError, match="no built-in Blobify is called"):
            MemoryBuffer(path, blobify="nonsense")
        with pytest.raises(TypeError):
            MemoryBuffer(path, blobify=5)
    MemoryBuffer(path).close()


def test_a_large_list_of_small_values(path):
    with MemoryBuffer(path) as values:
        values.extend(range(100_000))
        assert sum(values[::1000]) == sum(range(0, 100_000, 1000))
    with MemoryBuffer(path, "r") as values:
        assert len(values) == 100_000
        assert values[-1] == 99_999
        assert values[50_000:50_003] == [50_000, 50_001, 50_002]
        assert sum(values) == sum(range(100_000))
