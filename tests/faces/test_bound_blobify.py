# ruff: noqa: PT012 - what is tested is what an exception does to the block around it
"""A Blobify with a store of its own in the region: bind(), load() and save()."""

import pickle
import threading

import pytest

from judge import judge
from stablemem import (
    BlobifyError,
    MemoryBuffer,
    MemoryRegion,
    ReadOnlyError,
    RegionClosedError,
    StableMemoryError,
)
from support.recorded import prove


class Words:
    """Stores a word as its number in a table, which it keeps in its store."""

    name = "test.Words"

    def __init__(self, store=None):
        self.store = store

    def bind(self, store):
        return Words(store)

    def table(self):
        return self.store.load().decode().split("\n")[1:]

    def to_blob(self, value):
        table = self.table()
        if value not in table:
            if value.startswith("un"):
                raise BlobifyError("no such word")
            table.append(value)
            self.store.save("\n".join(["", *table]).encode())
        return b"%d" % table.index(value)

    def from_blob(self, blob):
        return self.table()[int(blob)]


class Undo(Exception):  # noqa: N818 - it is no error
    """Leaves a transaction block."""


@pytest.fixture
def region(path):
    with MemoryRegion(path) as region:
        yield region
        if not region.closed:
            region.commit()
            prove(region)


def test_it_is_kept_in_the_file(path):
    with MemoryBuffer(path, blobify=Words) as b:
        b.extend(["one", "two", "one"])
        assert (b[:], b.blobify.table()) == (["one", "two", "one"], ["one", "two"])
        assert list(b.blobs()) == [b"0", b"1", b"0"]
    with MemoryBuffer(path, "r", blobify=Words()) as b:
        assert (b[:], b.blobify.table()) == (["one", "two", "one"], ["one", "two"])
        b.verify()
    with MemoryBuffer(path, blobify=Words()) as b:
        b.append("three")
        assert b[2:] == ["one", "three"]


def test_the_judge_accepts_the_file(path):
    with MemoryBuffer(path, blobify=Words) as b:
        b.extend(["one", "two"])
    with open(path, "rb") as file:
        verdict = judge(file.read())
    assert (verdict.faults, verdict.lists, list(verdict.roots)) == ([], {"main": [b"0", b"1"]}, ["\0main"])


def test_one_blobify_serves_many_lists(region):
    words = Words()
    one, two = region.buffer("one", words), region.buffer("two", words)
    one.extend(["a", "b"])
    two.extend(["b", "a"])
    assert list(one.blobs()) == list(two.blobs()) == [b"0", b"1"]
    assert (one[:], two[:]) == (["a", "b"], ["b", "a"])
    assert one.blobify is not two.blobify
    assert words.store is None
    assert one != two
    one.extend(two)
    assert one[:] == ["a", "b", "b", "a"]
    one[:] = two
    assert (one[:], one == two, one.count("a")) == (["b", "a"], True, 1)
    one.extend(one)
    assert one[:] == ["b", "a", "b", "a"]


def test_lists_share_bytes_only_with_the_same_store(region):
    """Also if what bind returns has no bind itself."""

    class Plain:
        name = Words.name

        def __init__(self, words):
            self.to_blob, self.from_blob = words.to_blob, words.from_blob

    class Bare(Words):
        def bind(self, store):
            return Plain(Words(store))

    one, two = region.buffer("one", Bare), region.buffer("two", Bare)
    one.extend(["a", "b"])
    two.append("b")
    two.extend(one)
    assert two[:] == ["b", "a", "b"]


def test_rollback(region):
    b = region.buffer("b", Words)
    b.append("kept")
    region.commit()
    b.append("lost")
    region.rollback()
    assert (b[:], b.blobify.table()) == (["kept"], ["kept"])
    b.append("other")
    assert (b[:], list(b.blobs())) == (["kept", "other"], [b"0", b"1"])


def test_rollback_of_a_new_list(region):
    b = region.buffer("b", Words)
    b.append("lost")
    region.rollback()
    assert b.blobify.store.load() == b""
    assert region.allocated_bytes == 0
    b.append("kept")
    assert b[:] == ["kept"]


def test_nested_blocks(region):
    b = region.buffer("b", Words)
    with region.transaction():
        b.append("one")
        with pytest.raises(Undo), region.transaction():
            b.append("two")
            assert b.blobify.table() == ["one", "two"]
            raise Undo
        assert b.blobify.table() == ["one"]
        with region.transaction():
            b.append("three")
    assert (b[:], b.blobify.table()) == (["one", "three"], ["one", "three"])
    with pytest.raises(Undo), region.transaction():
        b.append("four")
        raise Undo
    assert b.blobify.table() == ["one", "three"]
    region.verify()


def test_snapshots_and_refresh(path, region):
    b = region.buffer("b", Words)
    b.append("one")
    region.commit()
    with b.snapshot() as snapshot, MemoryRegion(path, "r") as other:
        reader = other.buffer("b", Words)
        b.extend(["two", "three"])
        region.commit()
        for old in (snapshot, reader):
            assert (old[:], old.blobify.table()) == (["one"], ["one"])
        assert b.blobify is not snapshot.blobify
        assert reader.refresh()
        assert (reader[:], reader.blobify.table()) == (["one", "two", "three"], ["one", "two", "three"])
        assert (snapshot[:], b[:]) == (["one"], reader[:])


def test_a_snapshot_of_a_list_that_is_not_committed(region):
    b = region.buffer("b", Words)
    b.append("one")
    with b.snapshot() as snapshot:
        assert (snapshot[:], snapshot.blobify.store.load()) == ([], b"")
        region.commit()
        assert snapshot.refresh()
        assert snapshot[:] == ["one"]


def test_a_refresh_that_finds_the_blobify(path):
    """A list that seemed to have the default Blobify has another one, and gets its store."""
    MemoryRegion(path).close()
    with MemoryBuffer(path, "r", blobify=Words) as reader, MemoryRegion(path) as region:
        region.buffer("main", Words).append("one")
        region.commit()
        assert reader.refresh()
        assert reader[:] == ["one"]


def test_readers_may_not_save(path, region):
    region.buffer("b", Words).append("one")
    region.commit()
    with MemoryRegion(path, "r") as other:
        reader = other.buffer("b", Words)
        with pytest.raises(ReadOnlyError):
            reader.blobify.store.save(b"x")
        with pytest.raises(ReadOnlyError):
            "two" in reader  # noqa: B015 - it calls to_blob
        assert "one" in reader
        assert "untrue" not in reader
        assert reader.blobify.table() == ["one"]


def test_pickles(path, region):
    b = region.buffer("b", Words)
    b.extend(["one", "two"])
    region.commit()
    with pickle.loads(pickle.dumps(b)) as again, b.snapshot() as snapshot:
        assert (again[:], again.blobify.table()) == (["one", "two"], ["one", "two"])
        with pickle.loads(pickle.dumps(snapshot)) as other:
            assert other[:] == ["one", "two"]
            assert other.blobify.store is not snapshot.blobify.store


def test_drop_frees_it(region):
    region.buffer("other").append(1)
    region.commit()
    used = region.allocated_bytes
    b = region.buffer("b", Words)
    b.append("word" * 10_000)
    region.commit()
    assert region.allocated_bytes > used + 40_000
    words = b.blobify
    region.drop("b")
    assert region.allocated_bytes == used
    with pytest.raises(StableMemoryError, match="'b' was dropped"):
        words.store.save(b"x")
    region.commit()
    region.verify()
    again = region.buffer("b", Words)
    assert again.blobify.store.load() == b""
    again.append("new")
    assert again[:] == ["new"]


def test_a_drop_that_is_undone(region):
    b = region.buffer("b", Words)
    b.append("one")
    region.commit()
    with pytest.raises(Undo), region.transaction():
        region.drop("b")
        raise Undo
    assert region.buffer("b", Words)[:] == ["one"]


def test_copies_have_a_copy_of_it():
    with MemoryBuffer(blobify=Words) as b:
        b.extend(["one", "two"])
        del b[0]
        with b.copy() as other:
            assert (other[:], other.blobify.table()) == (["two"], ["one", "two"])
            other.append("three")
            assert (b.blobify.table(), other[:]) == (["one", "two"], ["two", "three"])


def test_it_is_hidden(path, region):
    region.buffer("b", Words).append("one")
    region.roots["mine"] = 5
    region.commit()
    roots = region.roots
    assert (list(roots), len(roots), dict(roots)) == (["mine"], 1, {"mine": (5,)})
    assert dict(roots.items()) == {"mine": (5,)}
    assert list(roots.values()) == [(5,)]
    assert "\0b" not in roots
    assert roots.get("\0b") is None
    with pytest.raises(KeyError, match=r"it has \['mine'\]"):
        roots["\0b"]
    with pytest.raises(KeyError):
        del roots["\0b"]
    with pytest.raises(ValueError, match="does not begin with NUL"):
        roots["\0b"] = 5
    with pytest.raises(ValueError, match="does not begin with NUL"):
        region.buffer("\0b")
    assert region.names() == ["b"]
    assert region.inspect().roots == {"mine": (5,)}
    roots.clear()
    assert region.buffer("b", Words)[:] == ["one"]


def test_autocommit_and_maxlen(path):
    with MemoryBuffer(path, blobify=Words, autocommit=True, maxlen=2) as b:
        for word in ("a", "b", "c"):
            b.append(word)
        with MemoryBuffer(path, "r", blobify=Words) as reader:
            assert reader[:] == ["b", "c"]
        with pytest.raises(BlobifyError):
            b.extend(["d", "unwanted"])
        assert b[:] == ["b", "c"]
        assert b.blobify.table() == ["a", "b", "c", "d"]
        b.verify()


def test_other_calls_of_a_list():
    with MemoryBuffer(blobify=Words) as b:
        b += ["c", "a", "b"]
        b.sort()
        assert b[:] == ["a", "b", "c"]
        b[1:1] = ["x", "y"]
        b.extendleft(["z"])
        b[0] = "w"
        assert b[:] == ["w", "a", "x", "y", "b", "c"]
        assert (b.index("y"), next(reversed(b)), b.pop()) == (3, "c", "c")


def test_bind_may_save(path):
    class Eager(Words):
        def bind(self, store):
            if not store.load():
                store.save(b"\nfirst")
            return Words(store)

    with MemoryBuffer(path, blobify=Eager) as b:
        b.append("second")
        assert list(b.blobs()) == [b"1"]
    with MemoryBuffer(path, "r", blobify=Eager) as b:
        assert b.blobify.table() == ["first", "second"]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "bind returned NoneType, which has no to_blob"),
        ("text", "bind returned str, which has no to_blob"),
        (type("Other", (Words,), {"name": "test.Other"})(), "another name or other options"),
        (type("Other", (Words,), {"options": b"x"})(), "another name or other options"),
    ],
)
def test_bind_that_returns_something_else(path, returned, message):
    class Wrong(Words):
        def bind(self, store):
            return returned

    with pytest.raises(BlobifyError, match=message):
        MemoryBuffer(path, blobify=Wrong)
    with MemoryBuffer(path, blobify=Words) as b:
        b.append("one")


def test_bind_that_raises(region):
    class Failing(Words):
        def bind(self, store):
            raise Undo

    with pytest.raises(Undo):
        region.buffer("b", Failing)
    with region.buffer("b", Words) as b:
        b.append("one")
        assert b[:] == ["one"]


def test_bind_is_called_once_for_each_list(path):
    calls = []

    class Counted(Words):
        def bind(self, store):
            calls.append(store)
            return Words(store)

    with MemoryBuffer(path, blobify=Counted) as b:
        b.extend(["one", "two"])
        b.commit()
        assert b[:] == ["one", "two"]
        b.rollback()
    assert len(calls) == 1


def test_after_the_end(path):
    with MemoryBuffer(path, blobify=Words) as b:
        b.append("one")
        store = b.blobify.store
    for call in (store.load, lambda: store.save(b"x")):
        with pytest.raises(RegionClosedError):
            call()


def test_threads(region):
    """Each reads while another saves: what it reads is always one of the contents."""
    store = region.buffer("b", Words).blobify.store
    contents = [bytes([n]) * (n * 1000 + 1) for n in range(1, 6)]
    store.save(contents[0])
    wrong, over = [], threading.Event()

    def read():
        while not over.is_set():
            content = store.load()
            if content not in contents:
                wrong.append(content)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for each in readers:
        each.start()
    try:
        for number in range(300):
            store.save(contents[number % 5])
    finally:
        over.set()
        for each in readers:
            each.join()
    assert wrong == []


def test_a_read_does_not_wait_for_a_block_of_another_thread(region):
    b = region.buffer("b", Words)
    b.append("one")
    found = []
    with region.transaction():
        b.append("two")
        thread = threading.Thread(target=lambda: found.append(b[1]))
        thread.start()
        thread.join(60)
        assert found == ["two"]
