# ruff: noqa: RUF005 - what is tested is what + does
"""Comparing, searching, arithmetic and copying, beside list."""

import bisect
import copy
import operator
import random

import pytest

from stablemem import BlobifyError, MemoryBuffer, ReadOnlyError, RegionClosedError, StableMemoryError
from stablemem.blobify import Bytes, Msgpack, Text
from support.errors import as_list_says

COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
LISTS = [[], [1], [1, 2], [1, 3], [2], [1, 2, 3], [1.0, 2.0], [-1], [0] * 300, [0] * 301, [[1], 2]]


@pytest.fixture
def values():
    with MemoryBuffer() as made:
        yield made


def made(content, **options):
    return MemoryBuffer.from_iterable(content, **options)


def outcome(call, *arguments):
    """Return what a call gives, or the exception and its words."""
    try:
        return call(*arguments)
    except (IndexError, ValueError, TypeError, OverflowError, MemoryError) as error:
        return type(error), as_list_says(error)


# -- comparing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", LISTS, ids=range(len(LISTS)))
def test_comparisons(one):
    with made(one) as mine:
        for two in LISTS:
            with made(two) as theirs:
                for compare in COMPARISONS:
                    try:
                        wanted = compare(one, two)
                    except TypeError:
                        for pair in ((mine, two), (one, theirs), (mine, theirs)):
                            with pytest.raises(TypeError):
                                compare(*pair)
                        continue
                    assert compare(mine, two) is wanted
                    assert compare(one, theirs) is wanted
                    assert compare(mine, theirs) is wanted


def test_comparing_lists_of_other_blobifys():
    with made("abc", blobify=Text) as texts, made("abc") as plain, made([b"a"], blobify=Bytes) as blobs:
        assert texts == plain
        assert plain == texts
        assert texts == ["a", "b", "c"]
        assert blobs != texts
        assert texts < ["b"]
        assert made("abc", blobify=Text) == texts
        assert made("abd", blobify="text") > texts


def test_comparing_with_anything_else(values):
    values.append(1)
    for other in ((1,), {1}, "1", 1, None, range(1)):
        assert values != other
        assert (values == other) is False
        for compare in COMPARISONS[2:]:
            with pytest.raises(TypeError, match="not supported between"):
                compare(values, other)


def test_equal_values_of_other_blobs():
    with made([1, True, 2.0]) as one, made([1.0, 1, 2]) as two:
        assert one == two
        assert not one < two
        assert one == [1, 1, 2]


def test_what_is_not_equal_to_itself(values):
    nan = float("nan")
    values.append(nan)
    assert nan in values, "as in a list: the same value, whatever it says of itself"
    assert values == values  # noqa: PLR0124
    assert values == values.copy()
    assert values != [float("nan")], "not the same object, and not equal"


def test_comparing_streams():
    """A comparison that is decided at once decodes next to nothing."""
    decoded = 0

    class Counting:
        name = "tests.Counting"

        def to_blob(self, value):
            return b"%d" % value

        def from_blob(self, blob):
            nonlocal decoded
            decoded += 1
            return int(blob)

    with made(range(5000), blobify=Counting()) as values:
        assert values < [1]
        assert values != [*range(4999), 0]
        decoded = 0
        assert values != [-1] * 5000
        assert values > [-1] * 5000
        assert decoded == 2
        assert values != [1]
        assert decoded == 2, "other lengths differ without a look"


def test_unhashable(values):
    assert MemoryBuffer.__hash__ is None
    with pytest.raises(TypeError, match="unhashable type"):
        hash(values)
    with pytest.raises(TypeError, match="unhashable type"):
        {values}  # noqa: B018


# -- searching -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [[], [1, 2, 1, 3, 1], [2] * 600 + [1], [1] + [2] * 600])
def test_searching(values, content):
    values.extend(content)
    for sought in (1, 2, 3, 4, 1.0, True, None, "1"):
        assert (sought in values) == (sought in content)
        assert values.count(sought) == content.count(sought)
        assert outcome(values.index, sought) == outcome(content.index, sought)
        for start in (0, 1, -1, -3, 5, 1000, -1000, 1 << 70, -(1 << 70)):
            assert outcome(values.index, sought, start) == outcome(content.index, sought, start)
            for stop in (0, 2, -1, 600, 1 << 70, -(1 << 70)):
                assert outcome(values.index, sought, start, stop) == outcome(
                    content.index, sought, start, stop
                )
                bounds = slice(start, stop)
                places = [n for n in range(len(content))[bounds] if content[n] == sought]
                if places:
                    assert values.rindex(sought, start, stop) == places[-1]
                else:
                    with pytest.raises(ValueError, match="is not in list"):
                        values.rindex(sought, start, stop)
    assert outcome(values.index, 1, "a") == outcome(content.index, 1, "a")


def test_removing(values):
    content = [1, 2, 1, 3]
    values.extend(content)
    for sought in (1, 9, 1.0, 3, 1, None):
        assert outcome(values.remove, sought) == outcome(content.remove, sought)
        assert values == content


def test_the_sought_value_passes_through_the_codec(values):
    values.extend([[1, 2], {"a": [3]}])
    assert (1, 2) in values, "Msgpack makes a list of a tuple"
    assert values.index((1, 2)) == 0
    assert values.count({"a": (3,)}) == 1
    values.remove((1, 2))
    assert len(values) == 1


class Refusing:
    """A Blobify that refuses None, makes no bytes of text, and fails at whatever else is no int."""

    name = "tests.Refusing"

    def to_blob(self, value):
        if value is None:
            raise BlobifyError("none of that")
        if isinstance(value, str):
            return value
        if isinstance(value, Exception):
            raise value
        return value.to_bytes(9, "big")

    def from_blob(self, blob):
        return int.from_bytes(blob, "big")


SEARCHES = [
    lambda values, value: value in values,
    lambda values, value: values.count(value),
    lambda values, value: values.index(value),
    lambda values, value: values.rindex(value),
    lambda values, value: values.remove(value),
]


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("kind", [BlobifyError, LookupError])
def test_a_value_that_could_be_stored_but_not_read(search, kind):
    class Unreadable(Refusing):
        def from_blob(self, blob):
            raise kind("not to be read")

    values = MemoryBuffer(blobify=Unreadable())
    values.extend([1, 2])
    with pytest.raises(BlobifyError, match="not to be read"):
        search(values, 1)
    assert len(values) == 2
    values.close()


def test_a_codec_that_uses_a_closed_list():
    names = MemoryBuffer.from_iterable("abc")

    class ByName(Refusing):
        def to_blob(self, value):
            return b"%d" % names.index(value)

    with MemoryBuffer(blobify=ByName()) as values:
        values.append("b")
        names.close()
        with pytest.raises(RegionClosedError):
            values.index("b")


@pytest.mark.parametrize("strange", [None, "text"])
def test_a_value_that_cannot_be_stored_is_not_there(strange):
    with made([1, 2], blobify=Refusing()) as values:
        assert strange not in values
        assert values.count(strange) == 0
        for call in (values.index, values.rindex):
            with pytest.raises(ValueError, match="is not in list") as caught:
                call(strange)
            assert not isinstance(caught.value, StableMemoryError)
        with pytest.raises(ValueError, match=r"list\.remove\(x\): x not in list"):
            values.remove(strange)
        assert values == [1, 2]


def test_searching_while_the_list_changes():
    class Nosy:
        name = "tests.Nosy"

        def to_blob(self, value):
            return b"%d" % value

        def from_blob(self, blob):
            if blob == b"3" and len(values) > 5:
                del values[0]
            return int(blob)

    with made([9, 1, 2, 3, 4, 5, 6], blobify=Nosy()) as values:
        assert values.index(5) == 4, "by position, as list's own loop"
        assert values.index(6) == 4


# -- arithmetic ------------------------------------------------------------------------------------------


def test_sums_and_products(values):
    values.extend([1, 2])
    other = made([3])
    for result, wanted in (
        (values + [3], [1, 2, 3]), ([3] + values, [3, 1, 2]), (values + other, [1, 2, 3]),
        (values * 2, [1, 2, 1, 2]), (2 * values, [1, 2, 1, 2]), (values * 0, []), (values * -1, []),
    ):  # fmt: skip
        assert type(result) is list
        assert result == wanted
    for call in (
        lambda v: v + (3,),
        lambda v: (3,) + v,
        lambda v: v + 3,
        lambda v: v * 1.5,
        lambda v: "a" * v,
    ):
        assert outcome(call, [1])[0] is outcome(call, values)[0] is TypeError


@pytest.mark.parametrize("times", [3, 1, 0, -1, True])
def test_multiplying_in_place(values, times):
    content = [1, "long enough to be a blob of its own", 3] * 200
    values.extend(content)
    same = values
    values *= times
    content *= times
    assert values is same
    assert values == content


def test_multiplying_by_nonsense(values):
    content = [1]
    values.append(1)
    for times in ("a", 1.5, None, 1 << 70, (1 << 63) - 1):
        assert outcome(operator.imul, values, times)[0] in {
            outcome(operator.imul, content, times)[0],
            MemoryError,
        }
    assert values == [1]


def test_adding_in_place(values):
    same = values
    values += (n for n in range(3))
    values += values
    values += "ab"
    assert same is values
    assert values == [0, 1, 2, 0, 1, 2, "a", "b"]
    with pytest.raises(TypeError):
        values += 5
    with pytest.raises(BlobifyError):
        values += [1, {1}]
    assert len(values) == 8


# -- copying ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [MemoryBuffer.copy, copy.copy, copy.deepcopy])
def test_copies(path, how):
    with MemoryBuffer(path, blobify=Text, maxlen=700, name="notes") as values:
        values.extend(map(str, range(600)))
        other = how(values)
        assert type(other) is MemoryBuffer
        assert (other.path, other.maxlen, type(other.blobify)) == ("", 700, Text)
        assert other == values
        other.append("more")
        other.commit()
        assert len(values) == 600
        values.commit()
        with values.snapshot() as snapshot:
            writable = how(snapshot)
            writable.append("x")
            assert len(writable) == 601
            writable.close()


def test_copies_decode_nothing():
    class Opaque(Msgpack):
        def from_blob(self, blob):
            raise AssertionError("decoded")

    values = MemoryBuffer(
        blobify=type("Plain", (), {"name": "p", "to_blob": lambda s, v: v, "from_blob": Opaque.from_blob})()
    )
    values.extend([b"1", b"2"])
    other = values.copy()
    assert list(other.blobs()) == [b"1", b"2"]
    values.close()


# -- what the language does with sequences ---------------------------------------------------------------


def test_match_patterns(values):
    values.extend([1, [2, 3], 4])
    match values:
        case [first, [_, third], *rest]:
            assert (first, third, rest) == (1, 3, [4])
        case _:
            pytest.fail("no match")


def test_bisect_and_shuffle(values):
    values.extend(range(0, 100, 2))
    assert bisect.bisect_left(values, 31) == 16
    bisect.insort(values, 31)
    assert values[16] == 31
    content = values[:]
    random.Random(5).shuffle(values)
    random.Random(5).shuffle(content)
    assert values == content


def test_a_list_that_holds_itself():
    kept = []

    class Itself:
        name = "tests.Itself"

        def to_blob(self, value):
            return b""

        def from_blob(self, blob):
            return kept[0]

    with MemoryBuffer(blobify=Itself()) as values:
        kept.append(values)
        values.append(values)
        assert repr(values) == "MemoryBuffer([MemoryBuffer([...])])"
        values.commit()


def test_a_closed_list_says_so(values):
    values.append(1)
    values.close()
    for call in (
        lambda: 1 in values, lambda: values.index(1), lambda: values.count(1), lambda: values.remove(1),
        lambda: values == [1], lambda: values < [2], lambda: values + [1], lambda: values * 2, values.copy,
        values.reverse, values.shuffle, values.rotate, values.popleft, lambda: values.swap(0, 0),
        lambda: list(values.items()), lambda: values.get(0), lambda: values.get_many([0]), values.sizes,
        lambda: values.blob_view(0), lambda: list(values.pointers()), lambda: values.extendleft([1]),
    ):  # fmt: skip
        with pytest.raises(RegionClosedError):
            call()


def test_a_snapshot_refuses_changes(values):
    values.extend([1, 2])
    values.commit()
    with values.snapshot() as snapshot:
        for call in (
            snapshot.reverse, snapshot.shuffle, snapshot.rotate, snapshot.popleft,
            lambda: snapshot.swap(0, 1), lambda: snapshot.swap_remove(0), lambda: snapshot.remove(1),
            lambda: snapshot.appendleft(1), lambda: snapshot.extendleft([1]),
            lambda: operator.imul(snapshot, 2), lambda: operator.delitem(snapshot, slice(None, None, 2)),
        ):  # fmt: skip
            with pytest.raises(ReadOnlyError):
                call()
        assert snapshot == [1, 2]
