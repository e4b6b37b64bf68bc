"""What a handle that is closed, or is inside a transaction block, refuses to do."""

import copy
import operator
import pickle

import pytest

from stablemem import (
    COMPILED,
    BlobifyError,
    MemoryBuffer,
    MemoryRegion,
    ReadOnlyError,
    RegionClosedError,
    StableMemoryError,
)
from support.waiting import in_thread, join, wait_for, waits_for_latch

READING = [
    ("__getitem__", lambda values: values[0]),
    ("__getitem__", lambda values: values[:0]),
    ("__getitem__", lambda values: values[::-1]),
    ("__len__", len),
    ("__iter__", iter),
    ("__reversed__", reversed),
    ("__contains__", lambda values: 1 in values),
    ("__contains__", lambda values: print in values),
    ("__eq__", lambda values: values == []),
    ("__eq__", lambda values: values == values),  # noqa: PLR0124 - a list is equal to itself, but closed
    ("__ne__", lambda values: values != []),
    ("__lt__", lambda values: values < []),
    ("__le__", lambda values: values <= []),
    ("__gt__", lambda values: values > []),
    ("__ge__", lambda values: values >= []),
    ("__add__", lambda values: operator.add(values, [])),
    ("__radd__", lambda values: operator.add([], values)),
    ("__mul__", lambda values: values * 0),
    ("__rmul__", lambda values: 0 * values),
    ("index", lambda values: values.index(1)),
    ("index", lambda values: values.index(1, 5, 2)),
    ("rindex", lambda values: values.rindex(1)),
    ("count", lambda values: values.count(1)),
    ("get", lambda values: values.get(0)),
    ("get_many", lambda values: values.get_many([])),
    ("__getitems__", lambda values: values.__getitems__([])),
    ("to_list", MemoryBuffer.to_list),
    ("items", lambda values: values.items(0, 0)),
    ("blobs", lambda values: values.blobs(0, 0)),
    ("pointers", lambda values: values.pointers(0, 0)),
    ("blob_view", lambda values: values.blob_view(0)),
    ("sizes", MemoryBuffer.sizes),
    ("copy", MemoryBuffer.copy),
    ("copy", copy.copy),
    ("copy", copy.deepcopy),
    ("commit", MemoryBuffer.commit),
    ("rollback", MemoryBuffer.rollback),
    ("snapshot", MemoryBuffer.snapshot),
    ("refresh", MemoryBuffer.refresh),
    ("verify", MemoryBuffer.verify),
    ("stats", MemoryBuffer.stats),
    ("__enter__", MemoryBuffer.__enter__),
]
"""Calls that a closed list refuses, by name."""

CHANGING = [
    ("__setitem__", lambda values: operator.setitem(values, 0, 1)),
    ("__setitem__", lambda values: operator.setitem(values, slice(0, 0), [])),
    ("__setitem__", lambda values: operator.setitem(values, slice(0, 0, 2), [])),
    ("__setitem__", lambda values: operator.setitem(values, slice(0, 0, -1), [])),
    ("__delitem__", lambda values: operator.delitem(values, 0)),
    ("__delitem__", lambda values: operator.delitem(values, slice(0, 0))),
    ("__delitem__", lambda values: operator.delitem(values, slice(0, 0, 2))),
    ("__delitem__", lambda values: operator.delitem(values, slice(0, 0, -100))),
    ("__iadd__", lambda values: operator.iadd(values, [])),
    ("__iadd__", lambda values: operator.iadd(values, values)),
    ("__imul__", lambda values: operator.imul(values, 0)),
    ("__imul__", lambda values: operator.imul(values, 1)),
    ("__imul__", lambda values: operator.imul(values, 2)),
    ("append", lambda values: values.append(1)),
    ("appendleft", lambda values: values.appendleft(1)),
    ("insert", lambda values: values.insert(0, 1)),
    ("extend", lambda values: values.extend([])),
    ("extend", lambda values: values.extend(MemoryBuffer())),
    ("extendleft", lambda values: values.extendleft([])),
    ("extendleft", lambda values: values.extendleft(MemoryBuffer())),
    ("pop", MemoryBuffer.pop),
    ("popleft", MemoryBuffer.popleft),
    ("remove", lambda values: values.remove(9)),
    ("remove", lambda values: values.remove(print)),
    ("clear", MemoryBuffer.clear),
    ("reverse", MemoryBuffer.reverse),
    ("rotate", lambda values: values.rotate(0)),
    ("shuffle", MemoryBuffer.shuffle),
    ("sort", MemoryBuffer.sort),
    ("swap", lambda values: values.swap(0, 0)),
    ("swap_remove", lambda values: values.swap_remove(0)),
    ("edit", lambda values: values.edit(0).__enter__()),
    ("transaction", lambda values: values.transaction().__enter__()),
    ("compact", MemoryBuffer.compact),
    ("set maxlen", lambda values: setattr(values, "maxlen", 5)),
]
"""Calls that a list which only reads refuses as well."""

NO_CALLS = {"blobify", "closed", "maxlen", "mode", "name", "path", "region"}
MAKING = {"from_iterable", "tabulate", "filled", "__class_getitem__"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "list.smem"


def closed_lists(path, content):
    """Yield lists that are closed, each in its own way."""
    writer = MemoryBuffer.from_iterable(content, path)
    writer.close()
    yield writer
    reader = MemoryBuffer(path, "r")
    reader.close()
    yield reader
    with MemoryRegion(path) as region:
        detached = region.buffer("main")
        detached.close()
        yield detached
        last = region.buffer("main")
    yield last


@pytest.mark.parametrize("content", [[], [1, 2, 3]])
@pytest.mark.parametrize(("name", "call"), READING + CHANGING, ids=[name for name, _ in READING + CHANGING])
def test_a_closed_list_refuses_every_call(path, name, call, content):
    for values in closed_lists(path, content):
        with pytest.raises(RegionClosedError):
            call(values)


@pytest.mark.parametrize("content", [[], [1, 2, 3]])
@pytest.mark.parametrize(("name", "call"), CHANGING, ids=[name for name, _ in CHANGING])
def test_a_list_that_only_reads_refuses_every_change(path, name, call, content):
    with MemoryBuffer.from_iterable(content, path) as writer, writer.snapshot() as snapshot:
        with pytest.raises(ReadOnlyError):
            call(snapshot)
        assert snapshot == content


HALF_MADE = RegionClosedError if COMPILED else (RegionClosedError, AttributeError)
"""What calls of the core raise; interpreted, it is Python that says that an attribute is not there."""


class HalfMade(MemoryBuffer):
    """A list whose class forgets ``super().__init__()``; as is one of a mock, or one that failed to open."""

    def __init__(self):
        pass


TELLING = [(name, lambda values, name=name: getattr(values, name)) for name in sorted(NO_CALLS - {"closed"})]
LATE = {
    "append", "appendleft", "extend", "insert", "reverse", "shuffle", "sort", "swap_remove", "__setitem__",
    "__delitem__", "__iadd__",
}  # fmt: skip
"""Calls that may come upon something else that is missing."""


@pytest.mark.parametrize(
    ("name", "call"), READING + CHANGING + TELLING,
    ids=[name for name, _ in READING + CHANGING + TELLING],
)  # fmt: skip
def test_a_half_made_list_refuses_every_call(name, call):
    values = HalfMade()
    with pytest.raises((RegionClosedError, AttributeError) if name in LATE else HALF_MADE) as caught:
        call(values)
    said = "HalfMade was never opened: let its class call super().__init__()"
    assert said in str(caught.value) or caught.type is AttributeError


def test_a_half_made_list_can_be_shown_and_closed():
    values = HalfMade()
    assert (repr(values), values.closed) == ("<HalfMade: never opened>", True)
    values.close()
    failed = HalfMade()
    with pytest.raises(FileNotFoundError):
        MemoryBuffer.__init__(failed, "none/none.smem", "r")
    assert repr(failed) == "<HalfMade: never opened>"
    failed.close()


class HalfMadeRegion(MemoryRegion):
    """A region whose class forgets ``super().__init__()``."""

    def __init__(self):
        pass


OF_A_REGION = [
    lambda region: region.load(0, 1), lambda region: region.view(0, 1), lambda region: region.allocate(1),
    lambda region: region.deallocate(4096, 1), lambda region: region.store(4096, b"x"),
    lambda region: region.resize(4096, 1, 2), lambda region: region.add_blob(b"x"),
    lambda region: region.remove_blob(4096, 1), lambda region: region.replace_blob(4096, 1, b"x"),
    lambda region: region.grow(1), MemoryRegion.clear, lambda region: region.deallocate_range(0, 1),
    lambda region: region.load_as("u8", 4096), lambda region: region.add_as("u8", 1),
    lambda region: region.store_as("u8", 4096, 1), lambda region: region.remove_as("u8", 4096),
    lambda region: region.roots["x"], lambda region: region.roots.update(x=1),
    lambda region: dict(region.roots),
    lambda region: region.size, lambda region: region.capacity, lambda region: region.pages,
    lambda region: region.allocated_bytes, lambda region: region.free_bytes,
    MemoryRegion.free_blocks, MemoryRegion.allocated_blocks, lambda region: region.is_free(0, 1),
    lambda region: region.is_allocated(0, 1), lambda region: region.path, lambda region: region.mode,
    lambda region: region.transaction_number, MemoryRegion.names, lambda region: region.buffer("x"),
    lambda region: region.drop("x"), MemoryRegion.commit, MemoryRegion.rollback,
    lambda region: region.transaction().__enter__(), MemoryRegion.snapshot, MemoryRegion.refresh,
    MemoryRegion.compact, MemoryRegion.verify, MemoryRegion.stats, MemoryRegion.inspect, pickle.dumps,
    MemoryRegion.__enter__,
]  # fmt: skip


@pytest.mark.parametrize("call", OF_A_REGION)
def test_a_half_made_region_refuses_every_call(call):
    with pytest.raises(HALF_MADE) as caught:
        call(HalfMadeRegion())
    assert "HalfMadeRegion was never opened" in str(caught.value) or caught.type is AttributeError


def test_a_half_made_region_can_be_shown_and_closed():
    region = HalfMadeRegion()
    assert (repr(region), region.closed) == ("<HalfMadeRegion: never opened>", True)
    region.close()
    with pytest.raises(FileNotFoundError):
        MemoryRegion.__init__(region, "none/none.smem", "r")
    assert repr(region) == "<HalfMadeRegion: never opened>"


def test_every_call_is_among_these():
    """A new call has to say what it does when the list is closed, or only reads."""
    public = {name for name in dir(MemoryBuffer) if not name.startswith("_")}
    of_list = set(dir(list)) - set(dir(object)) | {"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"}
    known = {name for name, _ in READING + CHANGING} - {"set maxlen"}
    assert (public | of_list) - known == NO_CALLS | MAKING | {"close"}


def test_what_a_closed_list_still_tells(path):
    values = MemoryBuffer.from_iterable([1], path, maxlen=3)
    values.close()
    values.close()
    assert values.closed
    assert (values.path, values.name, values.maxlen) == (str(path), "main", 3)
    assert values.blobify is not None
    assert values.region.closed
    assert repr(values) == f"<MemoryBuffer {path}: closed>"
    with pickle.loads(pickle.dumps(values)) as again:
        assert again == [1]


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


def test_closing_within_a_block_undoes_it(path):
    values = MemoryBuffer(path)
    values.append(0)
    block = values.transaction()
    block.__enter__()
    values.append(1)
    values.close()
    with pytest.raises(StableMemoryError, match="closed in a transaction block, which was undone"):
        block.__exit__(None, None, None)
    with MemoryBuffer(path, "r") as kept:
        assert kept[:] == [0]


@pytest.mark.parametrize("name", ["", "\0", "\0main", "x" * 65536, "\ud800", 5, None, b"main"])
def test_names_of_lists(name):
    with pytest.raises(
        ValueError, match=r"is a str of 1 to 65535 bytes in UTF-8 .*, not .*: name it, or leave name= out"
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
        name = "tests.Released"

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


def test_threads_that_close_at_once(path, monkeypatch):
    """One of them closes; the others find that it is done, as a second close() in one thread does."""
    waiting = waits_for_latch(monkeypatch)
    values = MemoryBuffer(path)
    errors = []

    def close():
        try:
            values.close()
        except BaseException as error:  # noqa: BLE001 - each is told
            errors.append(error)

    with values.transaction():
        values.append(1)
        threads = [in_thread(close) for _ in range(3)]
        wait_for(lambda: waiting() == 3)
    join(*threads)
    assert errors == []
    with MemoryBuffer(path, "r") as found:
        assert found[:] == [1]
