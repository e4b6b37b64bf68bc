# ruff: noqa: PT012 - what is tested is what an exception does to the block around it
"""Roots, which name raw blocks, and drop, which takes a list away."""

import os

import pytest

from stablemem import MemoryBuffer, MemoryRegion, RegionClosedError, StableMemoryError
from support.raw import Undo, state


def test_roots_are_a_mapping(path):
    with MemoryRegion(path) as region:
        roots = region.roots
        roots["one"] = 5
        roots["two"] = [1, -2, 3]
        roots["none"] = ()
        roots["limits"] = -(2**127), 2**127 - 1
        roots["naïve \U0001f600"] = range(1000)
        assert (len(roots), list(roots)[:2], "one" in roots, "six" in roots, 5 in roots) == (
            5, ["limits", "naïve \U0001f600"], True, False, False,
        )  # fmt: skip
        assert (roots["one"], roots["two"], roots.get("six")) == ((5,), (1, -2, 3), None)
        assert roots.pop("none") == ()
        assert repr(region.roots).startswith("Roots({'limits': (-170")
        expected = dict(roots)
        assert region.roots == expected
    with MemoryRegion(path, "r") as region:
        assert dict(region.roots) == expected
        with pytest.raises(KeyError):
            region.roots["none"]
    with MemoryRegion(path) as region:
        region.roots.clear()
    with MemoryRegion(path, "r") as region:
        assert len(region.roots) == 0


@pytest.mark.parametrize(
    ("name", "numbers", "error"),
    [
        ("x", 2**127, OverflowError),
        ("x", -(2**127) - 1, OverflowError),
        ("x", (1, 2**200), OverflowError),
        ("x", 1.5, TypeError),
        ("x", (1, 1.5), TypeError),
        ("x", "12", TypeError),
        ("x", None, TypeError),
        ("x", range(65536), ValueError),
        ("", 1, ValueError),
        ("x" * 65536, 1, ValueError),
        ("\ud800", 1, ValueError),
        (5, 1, ValueError),
        (None, 1, ValueError),
        (b"x", 1, ValueError),
    ],
)
def test_roots_that_are_none(lived_in, name, numbers, error):
    before = state(lived_in)
    with pytest.raises(error):
        lived_in.roots[name] = numbers
    with pytest.raises(KeyError):
        del lived_in.roots["missing"]
    assert state(lived_in) == before


def test_roots_of_the_largest_kind(path):
    with MemoryRegion(path) as region:
        region.roots["x" * 65535] = range(65535)
    with MemoryRegion(path, "r") as region:
        assert region.roots["x" * 65535] == tuple(range(65535))


def test_roots_are_rolled_back(heap):
    heap.roots["a"] = 1
    heap.commit()
    old = heap.snapshot()
    heap.roots["a"] = 2
    with pytest.raises(Undo), heap.transaction():
        del heap.roots["a"]
        heap.roots["b"] = 1
        with pytest.raises(Undo), heap.transaction():
            heap.roots["c"] = 3
            heap.roots["b"] = 4
            raise Undo
        assert dict(heap.roots) == {"b": (1,)}
        raise Undo
    assert dict(heap.roots) == {"a": (2,)}
    assert dict(old.roots) == {"a": (1,)}
    heap.rollback()
    assert dict(heap.roots) == {"a": (1,)}
    heap.roots["a"] = 7
    heap.commit()
    assert dict(old.roots) == {"a": (1,)}
    assert old.refresh()
    assert dict(old.roots) == {"a": (7,)}
    old.close()


def test_drop(path):
    with MemoryRegion(path) as region:
        keep, gone = region.buffer("keep"), region.buffer("gone")
        keep.extend(range(1000))
        gone.extend(range(1000))
        region.buffer("main").extend(range(300))
        a = region.add_blob(b"raw")
        region.commit()
        old = region.snapshot()
        region.drop("gone")
        region.drop("main")
        assert gone.closed
        with pytest.raises(RegionClosedError):
            gone.append(1)
        assert region.names() == ["keep"]
        with pytest.raises(KeyError, match="no list 'gone'; it has \\['keep'\\]"):
            region.drop("gone")
        region.commit()
        assert region.verify().lists == {"keep": 1000}
        assert old.buffer("gone")[:] == list(range(1000))
        old.close()
        assert region.buffer("gone", "text")[:] == []
        region.buffer("gone").append("new")
    with MemoryRegion(path, "r") as region:
        assert region.names() == ["gone", "keep"]
        assert region.buffer("gone")[:] == ["new"]
        assert region.load(a, 3) == b"raw"


@pytest.mark.parametrize("reopened", [False, True])
def test_drop_is_rolled_back(path, reopened):
    region = MemoryRegion(path)
    region.buffer("a").extend(range(1000))
    region.commit()
    if reopened:
        region.close()
        region = MemoryRegion(path)
    region.drop("a")
    region.rollback()
    assert region.names() == ["a"]
    assert region.buffer("a")[:] == list(range(1000))
    region.close()


def test_drop_in_a_block_that_is_undone(heap):
    heap.buffer("a").extend(range(1000))
    heap.commit()
    heap.buffer("b").append(1)
    with pytest.raises(Undo), heap.transaction():
        heap.drop("a")
        heap.drop("b")
        heap.buffer("c").append(1)
        raise Undo
    assert heap.buffer("a")[:] == list(range(1000))
    assert heap.buffer("b")[:] == [1]
    heap.commit()
    assert heap.buffer("a")[:] == list(range(1000))


def test_a_new_list_in_a_dropped_ones_place_is_undone(heap):
    heap.buffer("a", "text").append("hello")
    heap.commit()
    heap.buffer("b").append(1)
    with pytest.raises(Undo), heap.transaction():
        heap.drop("a")
        with pytest.raises(
            StableMemoryError, match="was dropped, and that is not committed yet: commit before"
        ):
            heap.buffer("a", "bytes")
        raise Undo
    assert heap.buffer("a")[:] == ["hello"]


def test_drop_of_a_list_that_was_never_committed(heap):
    heap.buffer("a").append(1)
    heap.drop("a")
    assert heap.names() == []
    heap.commit()
    heap.buffer("a").append(2)
    heap.commit()
    assert heap.buffer("a")[:] == [2]


def test_dropping_a_list_whose_handle_owns_the_region(path):
    values = MemoryBuffer(path)
    values.append(1)
    values.commit()
    region = values.region
    with region.transaction():
        region.drop("main")
        assert values.closed
        region.roots["still"] = 1
    region.commit()
    assert region.names() == []
    values.close()
    assert region.closed


def test_a_dropped_list_of_an_inner_block_that_is_undone(heap):
    with heap.transaction():
        heap.add_blob(b"x")
        with pytest.raises(Undo), heap.transaction():
            heap.buffer("new").append(1)
            heap.drop("new")
            raise Undo
        heap.buffer("new").append(2)
    assert heap.buffer("new")[:] == [2]


def test_a_fork_with_a_root_pending(path):
    with MemoryRegion(path) as region:
        region.roots["a"] = 1
        pid = os.fork()
        if pid == 0:
            try:
                region.commit()
                os._exit(0 if dict(region.roots) == {} else 1)
            finally:
                os._exit(2)
        assert os.waitpid(pid, 0)[1] == 0
