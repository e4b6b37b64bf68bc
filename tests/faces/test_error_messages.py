"""What an open list says of values, positions, states and damage: expected, found, and what to do.

The tables read as those of test_errors.py do. Every refusal of the built-in Blobifys is in tests/blobify,
every call on a closed list in _core/txn/test_handle.py: here is one of each kind.
"""

import array
import contextlib
import datetime
import decimal
import enum
import errno
import fractions
import ipaddress
import os
import pathlib
import pickle
import uuid
from pathlib import Path
from typing import NamedTuple

import pytest

from stablemem import MemoryBuffer, MemoryRegion, UncommittedChangesWarning, errors
from stablemem.errors import (
    BlobifyError,
    BlockError,
    CorruptRegionError,
    ReadOnlyError,
    RegionClosedError,
    RegionFullError,
    RegionLockedError,
    RegionReplacedError,
    StableMemoryError,
)
from support.errors import Own, as_list_says, failing, flip, refused
from support.paths import PATHS, RESTORE
from support.probe import handle_of

# -- values ----------------------------------------------------------------------------------------------


class Colour(enum.StrEnum):
    RED = "red"


def four_gigabytes():
    """Return 4 GiB of zeros, which the kernel need not have."""
    try:
        return bytes(1 << 32)
    except MemoryError:
        pytest.skip("there is no room for 4 GiB of addresses")


LARGEST = "at most 4294967295 bytes", "a value of 4294967296 bytes is too large", "store it in pieces"
PLAIN = "it keeps None, bool, int, float, str, bytes, list, tuple and dict"
ANOTHER = "or make the list with another blobify="

VALUES = {
    # Blobify, what makes the value, error, expected, found, what to do
    "text as bytes": ("bytes", lambda: "text", BlobifyError, "Bytes cannot store", "a str",
        "encode it first, as in value.encode(), or make the list with blobify='text'"),
    "a number as bytes": ("bytes", lambda: 5, BlobifyError,
        "Bytes stores bytes, bytearray and memoryview", "not int", f"convert it to bytes first, {ANOTHER}"),
    "too many bytes": ("bytes", four_gigabytes, BlobifyError, *LARGEST),
    "bytes as text": ("text", lambda: b"bytes", BlobifyError,
        "Text stores str", "not bytes", f"convert it to str first, {ANOTHER}"),
    "a kind of str as text": ("text", lambda: Colour.RED, BlobifyError,
        "as str", "Colour, a subclass of str", "convert it to str first"),
    "a surrogate as text": ("text", lambda: "a\ud800", BlobifyError,
        "Text cannot store", r"the lone surrogate '\ud800' at position 1", "replace it, or encode with"),
    "a set": ("msgpack", lambda: {1, 2}, BlobifyError,
        PLAIN, "cannot keep the set at value as it is", "convert it"),
    "a Decimal within": ("msgpack", lambda: [1, {"price": decimal.Decimal(1)}], BlobifyError,
        PLAIN, "the decimal.Decimal at value[1]['price']", "convert it"),
    "a large int": ("msgpack", lambda: 1 << 70, BlobifyError,
        "it must lie in -2**63 to 2**64-1", "cannot write the int at value", "store it as str"),
    "a surrogate": ("msgpack", lambda: "a\ud800", BlobifyError,
        "cannot write the str", "it has a lone surrogate at position 1", "replace it, or encode with"),
    "a list in itself": ("msgpack", lambda: (row := [], row.append(row))[0], BlobifyError,
        "200 levels", "nested deeper than", "flatten it"),
    "too many bytes within": ("msgpack", lambda: [four_gigabytes()], BlobifyError,
        "longer than 2**32 - 1", "cannot write the value", "store it in pieces"),
    "no bytes from one's own": (Own, lambda: "text", BlobifyError,
        "not bytes", "Own.to_blob returned str", "let it return bytes, a bytearray or a memoryview"),
    "too many from one's own": (Own, four_gigabytes, BlobifyError, *LARGEST),
}  # fmt: skip


@pytest.mark.parametrize(
    ("blobify", "make", "kind", "expected", "found", "remedy"), VALUES.values(), ids=VALUES
)
def test_values(blobify, make, kind, expected, found, remedy):
    value = make()
    good = "good" if blobify == "text" else b"good"
    with MemoryBuffer.from_iterable([good, good], blobify=blobify) as values:
        for call in (
            lambda: values.append(value),
            lambda: values.insert(1, value),
            lambda: values.__setitem__(0, value),
        ):
            said = str(refused(call, kind, expected, found, remedy))
            assert not said.startswith("value "), "the user knows which"
        for call in (
            lambda: values.extend([good, value]),
            lambda: values.__setitem__(slice(0, 2), [good, value]),
        ):
            assert refused(call, kind, "value 1: ", expected, found, remedy).index == 1
        assert values[:] == [good, good]


UNREADABLE = {
    # Blobify, the byte that the stored value now begins with; then expected, found
    "text": (b"\xff", "not written by Text, or it is damaged", "not UTF-8 (byte 0xff at position 0)"),
    "msgpack": (b"\xc1", "by another blobify, or it is damaged", "not what Msgpack writes (MessagePack"),
}


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize("blobify", UNREADABLE)
def test_blobs_that_are_no_values(path, blobify):
    first, expected, found = UNREADABLE[blobify]
    MemoryBuffer.from_iterable(["short", "a longer value"], path, blobify=blobify).close()
    content = Path(path).read_bytes()
    at = content.index(b"a longer value") - (blobify == "msgpack")
    Path(path).write_bytes(content[:at] + first + content[at + 1 :])
    with MemoryBuffer(path, "r", checksums=False) as values:
        for call in (lambda: values[1], lambda: values[:], lambda: list(values)):
            refused(call, BlobifyError, "value 1: ", expected, found, "`stablemem get --raw` shows its bytes")


# -- a Blobify of one's own that fails -------------------------------------------------------------------


class Numbers:
    """Keeps numbers, and raises what it is told to at 13, and for whatever is no number."""

    name = "tests.Numbers"

    def __init__(self, raised=None):
        self.raised = raised

    def to_blob(self, value):
        return self._tried(value).to_bytes(20, "big")

    def from_blob(self, blob):
        return self._tried(int.from_bytes(blob, "big"))

    def _tried(self, number):
        if number == 13 and self.raised is not None:
            raise self.raised
        return number


WRITING = {
    # call; where the value is among those given
    "append": (lambda b: b.append(13), None),
    "insert": (lambda b: b.insert(0, 13), None),
    "b[0] =": (lambda b: b.__setitem__(0, 13), None),
    "extend": (lambda b: b.extend([10, 13]), 1),
    "extend by a generator": (lambda b: b.extend(n for n in (10, 13)), 1),
    "extendleft": (lambda b: b.extendleft([10, 13]), 1),
    "appendleft": (lambda b: b.appendleft(13), None),
    "b[0:1] =": (lambda b: b.__setitem__(slice(0, 1), [10, 11, 13]), 2),
    "b[::2] =": (lambda b: b.__setitem__(slice(None, None, 2), [10, 13]), 1),
    "filled": (lambda b: MemoryBuffer.filled(3, 13, blobify=b.blobify), None),
    "from_iterable": (lambda b: MemoryBuffer.from_iterable([1, 13], blobify=b.blobify), 1),
}

SEARCHING = {
    "in": lambda b, value: value in b,
    "index": lambda b, value: b.index(value),
    "rindex": lambda b, value: b.rindex(value),
    "count": lambda b, value: b.count(value),
    "remove": lambda b, value: b.remove(value),
}

READING = {
    "b[1]": lambda b: b[1],
    "b[-2]": lambda b: b[-2],
    "get": lambda b: b.get(1, "none"),
    "get_many": lambda b: b.get_many([0, 1]),
    "b[:]": lambda b: b[:],
    "b[::-1]": lambda b: b[::-1],
    "list": list,
    "a loop": lambda b: [n for n in b],  # noqa: C416 - a loop of Python's own
    "unpacking": lambda b: [*b],
    "zip": lambda b: list(zip(b, range(3), strict=False)),
    "reversed": lambda b: list(reversed(b)),
    "items": lambda b: list(b.items()),
    "pop": lambda b: b.pop(1),
    "swap_remove": lambda b: b.swap_remove(1),
    "edit": lambda b: b.edit(1).__enter__(),
    "in": lambda b: 3 in b,
    "index": lambda b: b.index(3),
    "remove": lambda b: b.remove(3),
    "==": lambda b: b == [1, 13, 3],
    "== of another list": lambda b: b == MemoryBuffer.from_iterable([1, 14, 3], blobify=b.blobify),
    "sort": lambda b: b.sort(),
}

RAISED = [
    StopIteration,
    StopAsyncIteration,
    IndexError,
    KeyError,
    AttributeError,
    TypeError,
    ValueError,
    OSError,
]


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize(("call", "index"), WRITING.values(), ids=WRITING)
def test_a_to_blob_that_fails(call, index, raised):
    with MemoryBuffer.from_iterable([1, 2, 3], blobify=Numbers()) as values:
        values.blobify.raised = cause = raised("went wrong")
        what = f"value {index}: Numbers" if index else "Numbers"
        why = f"cannot store this value ({raised.__name__}: "
        error = refused(
            lambda: call(values), BlobifyError, what, why, "give the list a value that this Blobify takes"
        )
        assert str(error).startswith(what)
        assert error.index == index
        assert error.__cause__ is cause
        where = f"value {index}" if index else "the value given"
        assert cause.__notes__ == [f"raised by Numbers.to_blob (blobify 'tests.Numbers') for {where}"]
        assert values[:] == [1, 2, 3]


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("call", READING.values(), ids=READING)
def test_a_from_blob_that_fails(call, raised):
    with MemoryBuffer.from_iterable([1, 13, 3], blobify=Numbers()) as values:
        values.blobify.raised = cause = raised("went wrong")
        parts = "value 1: Numbers", f"cannot read this blob ({raised.__name__}: ", "mend from_blob"
        error = refused(lambda: call(values), BlobifyError, *parts)
        assert error.index == 1
        assert error.__cause__ is cause
        assert cause.__notes__ == ["raised by Numbers.from_blob (blobify 'tests.Numbers') for value 1"]
        values.blobify.raised = None
        assert values[:] == [1, 13, 3], "nothing was deleted or moved"


NOT_ITS_FAILURE = [KeyboardInterrupt, GeneratorExit, MemoryError, RecursionError, TimeoutError, ReadOnlyError]


@pytest.mark.parametrize("raised", NOT_ITS_FAILURE)
def test_what_a_blobify_raises_that_is_not_its_failure(raised):
    """An interrupt, the end of memory or of the stack, an alarm, and our own errors keep their kind."""
    with MemoryBuffer.from_iterable([1, 13, 3], blobify=Numbers()) as values:
        values.blobify.raised = cause = raised("went wrong")
        search = [lambda b, call=call: call(b, 13) for call in SEARCHING.values()]
        for call in (*(call for call, _ in WRITING.values()), *READING.values(), *search):
            with pytest.raises(raised) as caught:
                call(values)
            assert caught.value is cause
        values.blobify.raised = None
        assert values[:] == [1, 13, 3]


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("search", SEARCHING.values(), ids=SEARCHING)
def test_a_search_whose_to_blob_fails(search, raised):
    with MemoryBuffer.from_iterable([1, 2], blobify=Numbers()) as values:
        values.blobify.raised = cause = raised("went wrong")
        what = f"Numbers cannot encode the value that is searched for ({raised.__name__}: "
        remedy = "let to_blob raise BlobifyError for values that it cannot store"
        assert refused(lambda: search(values, 13), BlobifyError, what, remedy).__cause__ is cause
        assert cause.__notes__ == ["raised by Numbers.to_blob (blobify 'tests.Numbers') for the value given"]
        said = "(AttributeError: 'str' object has no attribute 'to_bytes')"
        refused(lambda: search(values, "a value of another type"), BlobifyError, said, remedy)
        assert values[:] == [1, 2]


def test_what_a_blobify_refuses_is_not_in_the_list():
    with MemoryBuffer.from_iterable([1, 2], blobify=Numbers()) as values:
        values.blobify.raised = BlobifyError("no thirteen")
        assert 13 not in values
        assert values.count(13) == 0
        refused(lambda: values.index(13), ValueError, "13 is not in list")


# -- edit of what cannot be changed ------------------------------------------------------------------------


class Point(NamedTuple):
    x: int
    y: int


IMMUTABLE = [
    None, True, 5, 1.5, 2j, "text", b"bytes", (1, ("x", None)), frozenset({1}), range(3), Colour.RED,
    Point(1, 2), decimal.Decimal(1), fractions.Fraction(1, 2), datetime.datetime(2000, 1, 1),
    datetime.timedelta(1), uuid.UUID(int=1), Path("x"), ipaddress.ip_address("::1"),
]  # fmt: skip


class Name(str):
    """A str with attributes, which can be changed."""


@pytest.mark.parametrize("value", IMMUTABLE, ids=lambda value: type(value).__name__)
def test_an_edit_of_what_cannot_be_changed(value):
    with MemoryBuffer.from_iterable([0, value], blobify=PickledAsIs()) as values:
        for index in (1, -1):
            parts = f"the {type(value).__name__} at index {index} cannot be changed", f"b[{index}] = value"
            refused(lambda index=index: values.edit(index).__enter__(), TypeError, "in place", *parts)
        assert values[:] == [0, value]


@pytest.mark.parametrize("value", [[1], {}, {1}, bytearray(1), ([],), Name("x"), Numbers()])
def test_an_edit_of_what_may_be_changed(value):
    with MemoryBuffer.from_iterable([value], blobify=PickledAsIs()) as values, values.edit(0):
        pass


class PickledAsIs:
    """Gives back what Msgpack does not."""

    name = "tests.PickledAsIs"

    def to_blob(self, value):
        return pickle.dumps(value)

    def from_blob(self, blob):
        return pickle.loads(blob)


# -- positions: as list says it --------------------------------------------------------------------------

AS_LIST = {
    "b['x']": lambda b: b["x"],
    "b[None]": lambda b: b[None],
    "b[1.0]": lambda b: b[1.0],
    "b[3]": lambda b: b[3],
    "b[-4]": lambda b: b[-4],
    "b[2**70]": lambda b: b[1 << 70],
    "b['x'] = 0": lambda b: b.__setitem__("x", 0),
    "b[3] = 0": lambda b: b.__setitem__(3, 0),
    "b[-4] = 0": lambda b: b.__setitem__(-4, 0),
    "b[2**70] = 0": lambda b: b.__setitem__(1 << 70, 0),
    "del b['x']": lambda b: b.__delitem__("x"),
    "del b[3]": lambda b: b.__delitem__(3),
    "del b[-4]": lambda b: b.__delitem__(-4),
    "b.pop(3)": lambda b: b.pop(3),
    "b.pop(-4)": lambda b: b.pop(-4),
    "b[:].pop() of none": lambda b: (b.clear(), b.pop()),
    "b.insert('x', 0)": lambda b: b.insert("x", 0),
    "b[::0]": lambda b: b[::0],
    "b['x':]": lambda b: b["x":],
    "b[:1.5]": lambda b: b[:1.5],
    "b[::0] = []": lambda b: b.__setitem__(slice(None, None, 0), []),
    "del b[::0]": lambda b: b.__delitem__(slice(None, None, 0)),
    "b[::2] = [0]": lambda b: b.__setitem__(slice(None, None, 2), [0]),
    "b[::-1] = [0, 0, 0, 0]": lambda b: b.__setitem__(slice(None, None, -1), [0] * 4),
    "b[0:1] = 0": lambda b: b.__setitem__(slice(0, 1), 0),
    "b.extend(5)": lambda b: b.extend(5),
    "b += 5": lambda b: b.__iadd__(5),
    "b()": lambda b: b(),
}


@pytest.mark.parametrize("call", AS_LIST.values(), ids=AS_LIST)
def test_positions_as_list_has_them(call):
    outcomes = []
    with MemoryBuffer.from_iterable([1, 2, 3]) as values:
        for each in ([1, 2, 3], values):
            with pytest.raises((IndexError, TypeError, ValueError)) as caught:
                call(each)
            outcomes.append((type(caught.value), as_list_says(caught.value), each[:]))
    assert outcomes[0] == outcomes[1]


SEVERAL = {
    "a list": [1, 2],
    "a tuple": (1, 2),
    "a range": range(2),
    "an array": array.array("i", [1, 2]),
    "no index at all": [],
    "a set": {1, 2},
}

AT_SEVERAL = {
    "reading": lambda b, item: b[item],
    "assigning": lambda b, item: b.__setitem__(item, [7, 8]),
    "deleting": lambda b, item: b.__delitem__(item),
    "get": lambda b, item: b.get(item),
    "swap": lambda b, item: b.swap(0, item),
}


@pytest.mark.parametrize("item", SEVERAL.values(), ids=SEVERAL)
@pytest.mark.parametrize("call", AT_SEVERAL.values(), ids=AT_SEVERAL)
def test_several_indices_at_once(call, item):
    with MemoryBuffer.from_iterable([1, 2, 3]) as values:
        found = f"MemoryBuffer indices must be integers or slices, not {type(item).__name__}: "
        remedy = "get_many([1, 2]) reads the values at several indices; assign or delete them one by one"
        refused(lambda: call(values, item), TypeError, found, remedy)
        assert values[:] == [1, 2, 3]


def test_several_indices_in_a_numpy_array():
    numpy = pytest.importorskip("numpy")
    with MemoryBuffer.from_iterable([1, 2, 3]) as values:
        for call in AT_SEVERAL.values():
            array_of_them = numpy.array([1, 2])
            refused(lambda call=call, a=array_of_them: call(values, a), TypeError, "not ndarray: get_many(")
        assert values[numpy.int64(1)] == 2


# -- roots: integers and nothing else ----------------------------------------------------------------------

NO_ROOTS = [
    "text",
    "",
    b"x",
    b"",
    bytearray(b"x"),
    memoryview(b"x"),
    1.5,
    None,
    [1.5],
    (1, "x"),
    [[1]],
    {"a": 1},
    {1: 2},
    {1, 2},
]


@pytest.mark.parametrize("numbers", NO_ROOTS, ids=lambda value: repr(value).partition(" at 0x")[0])
def test_what_is_no_root(numbers):
    with MemoryRegion() as region:
        region.roots["a"] = 1, 2
        remedy = "keep other values in a block, with add_blob() or add_as(), and its address and size here"
        call = lambda: region.roots.__setitem__("a", numbers)  # noqa: E731
        refused(call, TypeError, "a root holds integers, such as (address, size)", "not ", remedy)
        assert dict(region.roots) == {"a": (1, 2)}


def test_what_is_a_root():
    class Three:
        def __index__(self):
            return 3

    with MemoryRegion() as region:
        for given, root in ((5, (5,)), (Three(), (3,)), ([Three(), 4], (3, 4)), ((), ()), (range(2), (0, 1))):
            region.roots["a"] = given
            assert region.roots["a"] == root
        error = refused(
            lambda: region.roots["b"], KeyError, "has no root 'b'; it has ['a']", "roots.get(name)"
        )
        assert "this region" in str(error)
        assert region.roots.get("b") is None
        refused(lambda: region.roots.__delitem__("b"), KeyError, "has no root 'b'")


# -- what a handle may do, and when ----------------------------------------------------------------------


def a_closed_list(path):
    values = MemoryBuffer.from_iterable([1], path)
    values.close()
    return values[0]


def a_closed_file(path):
    values = MemoryBuffer(path)
    values.close()
    values.commit()


def a_closed_region(path):
    region = MemoryRegion(path)
    region.close()
    region.verify()


def a_closed_list_in_memory(_):
    values = MemoryBuffer.from_iterable([1])
    values.close()
    len(values)


def a_closed_region_in_memory(_):
    region = MemoryRegion()
    region.close()
    region.commit()


def a_closed_list_of_an_open_region(_):
    with MemoryRegion() as region:
        one = region.buffer("one")
        one.close()
        one.append(1)


def an_iterator_over_a_closed_list(path):
    values = MemoryBuffer.from_iterable([1, 2], path)
    iterator = iter(values)
    values.close()
    next(iterator)


def a_reader(path):
    MemoryBuffer(path).close()
    with MemoryBuffer(path, "r") as values:
        values.append(1)


def a_snapshot(path):
    with MemoryBuffer(path) as values, values.snapshot() as snapshot:
        snapshot.append(1)


def a_block_of_a_snapshot(path):
    with MemoryBuffer(path) as values, values.snapshot() as snapshot, snapshot.transaction():
        pass


def a_new_list_in_a_reader(path):
    MemoryBuffer(path, name="here").close()
    MemoryBuffer(path, "r", name="there")


def a_forked_child(path):
    with MemoryBuffer(path) as values:
        in_child(lambda: values.append(1))


def in_child(call):
    """Raise what a call raises in a forked child."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - it is what the parent asks for
            os.write(theirs, pickle.dumps(error))
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    raise pickle.loads(data)


def a_second_writer(path):
    with MemoryBuffer(path):
        MemoryBuffer(path, timeout=0.01)


def a_file_that_was_removed(path):
    MemoryBuffer(path).close()
    with MemoryBuffer(path, "r") as reader:
        os.unlink(path)
        reader.refresh()


def a_file_that_was_replaced(path):
    MemoryBuffer(path).close()
    with MemoryBuffer(path, "r") as reader:
        MemoryBuffer(path, "w").close()
        reader.refresh()


def a_commit_in_a_block(path):
    with MemoryBuffer(path) as values, values.transaction():
        values.commit()


def a_rollback_in_a_block(path):
    with MemoryBuffer(path) as values, values.transaction():
        values.rollback()


def a_change_in_a_broken_block(path):
    with MemoryBuffer(path, blobify="bytes") as values:
        values.append(b"first")
        values.commit()
        change_in_a_broken_block(values)


def change_in_a_broken_block(values):
    with values.transaction():
        with failing("pwritev", errno.EIO), pytest.raises(OSError, match="while writing"):
            values.extend([bytes(100_000)] * 60)
        values.append(b"more")


def a_full_disk(path):
    with MemoryBuffer(path) as values:
        values.append(1)
        with failing("pwritev", errno.ENOSPC):
            values.commit()


def a_limit_on_files(path):
    with MemoryBuffer(path) as values:
        values.append(1)
        with failing("pwritev", errno.EFBIG):
            values.commit()


def a_failed_sync(path):
    with MemoryBuffer(path) as values:
        values.append(1)
        with failing("fdatasync", errno.EIO):
            values.commit()


def a_change_after_a_failed_sync(path):
    with MemoryBuffer(path) as values:
        values.commit()
        values.append(1)
        with failing("fdatasync", errno.EIO), pytest.raises(OSError, match="while syncing"):
            values.commit()
        values.append(2)


def a_call_from_within(_):
    with MemoryBuffer() as values:
        handle_of(values).latch.enter()
        try:
            values.append(1)
        finally:
            handle_of(values).latch.leave()


def a_file_that_has_no_more_numbers(path):
    with pytest.MonkeyPatch.context() as patch, MemoryBuffer(path) as values:
        patch.setattr("stablemem._core.txn.writer.MAX_TRANSACTION", 1)
        values.append(1)


def a_pickle_of_a_list_in_memory(_):
    with MemoryBuffer() as values:
        pickle.dumps(values)


def a_pickle_of_a_newer_state(path):
    MemoryBuffer(path).close()
    older = pathlib.Path(path).read_bytes()
    with MemoryBuffer(path) as values:
        values.append(1)
        values.commit()
        data = pickle.dumps(values)
    pathlib.Path(path).write_bytes(older)
    pickle.loads(data)


def a_pickle_of_a_file_that_is_gone(path):
    with MemoryBuffer(path) as values:
        data = pickle.dumps(values)
    os.unlink(path)
    pickle.loads(data)


A_LIST_GONE = "the list 'main' is", "closed", "take it from its region again, or make a new one"
A_READER = "is open for", "reading only", "open it with mode='a' or 'r+' to change it; if this is"

STATES = {
    # what happens, error, expected, found, what to do
    "a closed list": (a_closed_list, RegionClosedError, "the list 'main' is", "closed", "list.smem again"),
    "a closed file": (a_closed_file, RegionClosedError, "list.smem is", "closed", "open it again"),
    "a closed region": (a_closed_region, RegionClosedError, "list.smem is", "closed", "open it again"),
    "a closed list in memory": (a_closed_list_in_memory, RegionClosedError, *A_LIST_GONE),
    "a closed region in memory": (a_closed_region_in_memory, RegionClosedError,
        "this region in memory is closed", "its contents are gone", "make a new one"),
    "a closed list of an open region": (a_closed_list_of_an_open_region, RegionClosedError,
        "the list 'one' is", "closed", "take it from its region again"),
    "an iterator over a closed list": (an_iterator_over_a_closed_list, RegionClosedError,
        "the list 'main' is", "closed", "list.smem again"),
    "a change to a reader": (a_reader, ReadOnlyError, *A_READER),
    "a change to a snapshot": (a_snapshot, ReadOnlyError, *A_READER,
        "change the list or region that it was made from"),
    "a block of a snapshot": (a_block_of_a_snapshot, ReadOnlyError, *A_READER,
        "change the list or region that it was made from"),
    "a new list in a reader": (a_new_list_in_a_reader, KeyError,
        "it has ['here']", "no list 'there'", "open one of these, or make it with mode='a'"),
    "a change in a forked child": (a_forked_child, ReadOnlyError, "this handle can only read",
        "was forked from the one that", "write in the parent process; to see its commits, open"),
    "a second writer": (a_second_writer, RegionLockedError, "list.smem is open for writing",
        f"in this process ({os.getpid()}) already", "close() that handle first, or use it; to read only, "
        "open it with mode='r'; for another list pass its region, as in MemoryBuffer(b.region, name=...)"),
    "a file that was removed": (a_file_that_was_removed, RegionReplacedError,
        "list.smem was removed or renamed", "after this handle was opened",
        "close the handle, and open the file by its new name, or make a new file"),
    "a file that was replaced": (a_file_that_was_replaced, RegionReplacedError,
        "list.smem was replaced by another file",
        "after this handle was opened", "which gets no more commits; close the handle, and open "),
    "a commit in a block": (a_commit_in_a_block, StableMemoryError,
        "the block commits at its end", "commit() cannot be called in a transaction block",
        "leave commit() out"),
    "a rollback in a block": (a_rollback_in_a_block, StableMemoryError,
        "to undo the block", "rollback() cannot be called in a transaction block",
        "raise an exception in it"),
    "a change in a broken block": (a_change_in_a_broken_block, StableMemoryError,
        "the whole transaction block", "an error has rolled back", "leave the block, and begin another"),
    "a full disk": (a_full_disk, RegionFullError, "nothing committed was lost",
        "no space left on the disk while writing", "free some space, or delete values, best many at once"),
    "a limit on files": (a_limit_on_files, OSError, "while writing",
        "File too large", "raise the limit on the size of files, or delete values and commit"),
    "a failed sync": (a_failed_sync, OSError,
        "while syncing", "Input/output error", "check the disk"),
    "a change after a failed sync": (a_change_after_a_failed_sync, StableMemoryError,
        "takes no more changes through this handle", "(Input/output error while syncing",
        "close it and open it again, which recovers the last commit"),
    "a call from within": (a_call_from_within, StableMemoryError, "from within one of its own calls",
        "in the same thread", "wait until that call has returned, or use another handle"),
    "no more numbers": (a_file_that_has_no_more_numbers, StableMemoryError,
        "its transaction numbers", "has used up", "copy it to a new file"),
    "a pickle of a list in memory": (a_pickle_of_a_list_in_memory, TypeError,
        "cannot be pickled", "a list in memory", "give it a path"),
    "a pickle of a newer state": (a_pickle_of_a_newer_state, StableMemoryError,
        "the pickle was made at the newer commit", "is at commit",
        "bring the newer file back, or open this one by its path"),
    "a pickle of a file that is gone": (a_pickle_of_a_file_that_is_gone, FileNotFoundError,
        "mode='r' opens an existing file", "No such file", "mode='a' makes a missing one"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "parts"), [(c, k, p) for c, k, *p in STATES.values()], ids=STATES)
def test_states(path, call, kind, parts):
    refused(lambda: call(path), kind, *parts)


@pytest.mark.parametrize("call", [a_full_disk, a_limit_on_files, a_failed_sync])
def test_a_failed_commit_says_how_much_it_took_back(path, call):
    with pytest.raises(OSError, match="while") as caught:
        call(path)
    assert caught.value.filename == path
    assert caught.value.__notes__ == ["1 uncommitted change was rolled back"]


def test_a_writer_in_another_process(path):
    ours, theirs = os.pipe()
    held, holds = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(theirs)
        with contextlib.suppress(BaseException):
            values = MemoryBuffer(path)
            os.write(holds, b"!")
            os.read(ours, 1)
            values.close()
        os._exit(0)
    os.close(holds)
    try:
        assert os.read(held, 1) == b"!"
        where = f"{path} is open for writing in process {pid}: "
        remedy = "open it with mode='r' to read meanwhile, or wait with timeout="
        error = refused(lambda: MemoryBuffer(path), RegionLockedError, where, remedy)
        assert error.pid == pid
    finally:
        os.close(theirs)
        os.waitpid(pid, 0)
        os.close(ours)
        os.close(held)


def test_a_dropped_handle_says_what_is_lost(path):
    values = MemoryBuffer.from_iterable([1, 2], path)
    values.append(3)
    said = r"list.smem \(list 'main'\) was dropped with 1 uncommitted change, which is lost: "
    remedy = r"use it in a with statement, or call commit\(\) or close\(\)"
    with pytest.warns(UncommittedChangesWarning, match=said + remedy):
        del values


# -- damage ----------------------------------------------------------------------------------------------


@pytest.fixture
def places(path):
    """Make a file of 300 values, and return where in it what is."""
    with MemoryBuffer(path, blobify="bytes") as values:
        values.extend([b"value %03d, and some more" % number for number in range(300)])
        MemoryBuffer(values.region, name="other").append(1)
    with MemoryBuffer(path, "r") as values:
        slot = handle_of(values).slot
        return {
            "root": slot.main[0],
            "blob": Path(path).read_bytes().index(b"value 007"),
            "catalog": slot.catalog[0],
            "log": slot.log_page,
        }


DAMAGE = {
    # what is damaged, how it is met, error, expected, found
    "the root, met by reading": ("root", "r", lambda b: b[0],
        CorruptRegionError, "expected a node of checksum ", ", found "),
    "the root, met by changing": ("root", "a", lambda b: b.append(b""),
        CorruptRegionError, "expected a node of checksum ", ", found "),
    "a value": ("blob", "r", lambda b: b[7],
        CorruptRegionError, "expected a blob of 24 bytes with CRC-32C ", ", found "),
    "a value, met by iterating": ("blob", "r", list,
        CorruptRegionError, "expected a blob of 24 bytes with CRC-32C ", ", found "),
    "the catalog": ("catalog", "r", len, CorruptRegionError, "expected a catalog of checksum ", ", found "),
    "the log, met by changing": ("log", "a", lambda b: b.append(b""),
        CorruptRegionError, "expected log page ", ", found "),
    "the log, met by stats": ("log", "r", lambda b: b.stats(),
        CorruptRegionError, "expected log page ", ", found "),
}  # fmt: skip


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize(("what", "mode", "call", "kind", "expected", "found"), DAMAGE.values(), ids=DAMAGE)
def test_damage(path, places, what, mode, call, kind, expected, found):
    flip(path, places[what] + 16)

    def use():
        with MemoryBuffer(path, mode) as values:
            call(values)

    where = f"{path} is damaged at address {places[what]}: "
    error = refused(use, kind, where, expected, found, RESTORE)
    assert (error.path, error.address) == (path, places[what])
    assert f"expected {error.expected}, found {error.found}" in str(error)


@pytest.mark.usefixtures("damaged")
def test_verify_tells_every_fault(path, places):
    flip(path, places["blob"], places["log"] + 16)
    with MemoryBuffer(path, "r") as values:
        parts = path, "expected a sound region", "found list 'main'", RESTORE
        error = refused(values.verify, CorruptRegionError, *parts)
        assert f"address {places['blob']}: expected a blob of 24 bytes" in str(error)
        assert [note for note in error.__notes__ if f"address {places['log']}: expected log page" in note]


def test_every_error_is_met():
    """All but BlockError, which no public call raises yet: _core/test_freetree.py reads its messages."""
    rows = [*PATHS, *VALUES.values(), *STATES.values(), *DAMAGE.values()]
    met = {kind for row in rows for kind in row if isinstance(kind, type)}
    assert {getattr(errors, name) for name in errors.__all__} - met == {BlockError, UncommittedChangesWarning}
