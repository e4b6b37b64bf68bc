"""Sorting against list.sort: in memory, in many runs, in several passes."""

import contextlib
import operator
import random
import tempfile
import threading
from functools import cmp_to_key

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stablemem import (
    BlobifyError,
    MemoryBuffer,
    MemoryRegion,
    ReadOnlyError,
    RegionClosedError,
)
from stablemem._core.calls import sorting
from stablemem._core.calls.sorting import permuted
from support import scaled
from support.probe import handle_of, handles, transactions
from support.waiting import HANGS, in_thread, join, wait_for, waits_for_latch

WAYS = [(256 << 20, 256, 4096), (3000, 256, 4096), (3000, 2, 4096), (700, 3, 40), (1, 2, 0)]
"""Sizes of runs, fan-in, and blobs kept in the spool: one run, many, many passes, one value a run."""

KEYS = [None, len, lambda value: value[-2:], lambda value: 0, operator.methodcaller("lower")]

TEXTS = st.text(st.sampled_from("abAB \u00e9\u20ac\U0001f600"), max_size=30)


class Undo(Exception):  # noqa: N818 - it is no error
    """Leaves a transaction block."""


class Least:
    """A key that knows nothing but ``<``."""

    def __init__(self, value):
        self.value = value

    def __lt__(self, other):
        return self.value < other.value

    def __eq__(self, other):
        raise AssertionError("list.sort does not ask this")

    __hash__ = None


@pytest.fixture(params=WAYS, ids=lambda way: f"run{way[0]}-by{way[1]}")
def way(request, monkeypatch):
    """Sort in each of the ways, whatever the size."""
    set_way(monkeypatch, request.param)
    return request.param


def set_way(monkeypatch, chosen):
    for name, value in zip(("RUN_SIZE", "FAN_IN", "KEPT_SIZE"), chosen, strict=True):
        monkeypatch.setattr(sorting, name, value)


def texts(count, seed=1):
    rng = random.Random(seed)
    return ["".join(rng.choices("abc", k=rng.randrange(60))) for _ in range(count)]


def pointers(entries):
    return sorted(entries[at : at + 16] for at in range(0, len(entries), 16))


def sound(values):
    assert handle_of(values.region).index(values.name).check() == []
    values.commit()
    assert values.verify().faults == []


# -- as list.sort does -------------------------------------------------------------------------------


@given(
    given_values=st.lists(TEXTS, max_size=60),
    key=st.sampled_from(KEYS),
    reverse=st.booleans(),
    chosen=st.sampled_from(WAYS),
    blobify=st.sampled_from(["text", "msgpack"]),
    committed=st.booleans(),
)
def test_against_list(given_values, key, reverse, chosen, blobify, committed):
    with pytest.MonkeyPatch.context() as patch, MemoryBuffer(blobify=blobify) as values:
        set_way(patch, chosen)
        values.extend(given_values)
        if committed:
            values.commit()
        model = list(given_values)
        values.sort(key=key, reverse=reverse)
        model.sort(key=key, reverse=reverse)
        assert values[:] == model
        if blobify == "text":
            values.sort(reverse=not reverse, by_blob=True)
            model.sort(reverse=not reverse)
            assert values[:] == model
        sound(values)


@given(
    numbers=st.lists(st.integers(-5, 5) | st.integers(-(2**40), 2**40), max_size=80),
    reverse=st.booleans(),
    chosen=st.sampled_from(WAYS),
)
def test_it_is_stable(numbers, reverse, chosen):
    """Each value knows where it was, and the key does not tell; nothing but ``<`` is asked."""
    with pytest.MonkeyPatch.context() as patch, MemoryBuffer() as values:
        set_way(patch, chosen)
        model = [[number, place] for place, number in enumerate(numbers)]
        values.extend(model)
        values.sort(key=lambda value: Least(value[0]), reverse=reverse)
        model.sort(key=operator.itemgetter(0), reverse=reverse)
        assert values[:] == model
        sound(values)


@pytest.mark.parametrize("count", [0, 1, 2, 255, 256, 1500])
def test_sizes(way, count):
    model = texts(count if way[0] > 1 else min(count, 300))
    with MemoryBuffer.from_iterable(model, blobify="text") as values:
        model.sort(key=lambda value: value[::-1])
        values.sort(key=lambda value: value[::-1])
        assert values[:] == model
        sound(values)


def test_blobs_of_all_sizes(way):
    """Inside their pointers, copied into the spool, left where they are."""
    rng = random.Random(5)
    model = [rng.randbytes(size) for size in (0, 3, 8, 9, 39, 40, 41, 4096, 4097, 70_000)] * 4
    with MemoryBuffer.from_iterable(model, blobify="bytes") as values:
        model.sort()
        values.sort()
        assert values[:] == model
        values.sort(key=len, reverse=True)
        model.sort(key=len, reverse=True)
        assert values[:] == model
        sound(values)


@pytest.mark.parametrize(
    "arrange", [sorted, lambda v: sorted(v)[::-1], lambda v: sorted(v)[50:] + sorted(v)[:50]]
)
def test_partly_in_order(way, arrange):
    model = arrange(texts(200))
    with MemoryBuffer.from_iterable(model, blobify="text") as values:
        for reverse in (False, True):
            values[:] = model
            values.sort(reverse=reverse)
            assert values[:] == sorted(model, reverse=reverse)


def test_the_default_order_of_text_is_that_of_str():
    characters = [
        "\x00",
        "\x7f",
        "\x80",
        "\u07ff",
        "\u0800",
        "\ud7ff",
        "\ue000",
        "\uffff",
        "\U00010000",
        "\U0010ffff",
    ]
    model = [first + second for first in characters for second in ["", *characters]]
    random.Random(2).shuffle(model)
    with MemoryBuffer.from_iterable(model, blobify="text") as values:
        values.sort()
        assert values[:] == sorted(model)


# -- nothing to do -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
def test_in_order_nothing_is_changed(way, path, reverse):
    for model in (sorted(texts(200), reverse=reverse), ["equal"] * 300, ["one"], []):
        with MemoryBuffer(path, blobify="text") as values:
            values[:] = model
            values.commit()
            number = values.region.transaction_number
            version = handle_of(values).index("main").version
            values.sort(reverse=reverse)
            values.sort(key=lambda value: 0)
            assert values.stats().changes == 0
            assert handle_of(values).index("main").version == version
            values.commit()
            assert values.region.transaction_number == number


def test_it_is_one_change(way):
    with MemoryBuffer.from_iterable(texts(100), blobify="text") as values:
        index = handle_of(values).index("main")
        before = index.entries(0, 100)
        values.sort()
        assert values.stats().changes == 1
        after = index.entries(0, 100)
        assert after != before
        assert pointers(after) == pointers(before), "blobs stay where they are"


# -- errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("at", [1, 5, 77, 150])
def test_a_key_that_raises(way, error, at):
    """In the first or a later run, or in a merge: nothing is changed, nothing blocked."""
    model = texts(100)
    with MemoryBuffer.from_iterable(model, blobify="text") as values:
        values.append("uncommitted")
        calls = 0

        def key(value):
            nonlocal calls
            calls += 1
            if calls == at:
                raise error
            return value

        if at > 101 and way[0] > 1 << 20:
            values.sort(key=key)
            assert calls == 101
            return
        with pytest.raises(error):
            values.sort(key=key)
        assert values[:] == [*model, "uncommitted"]
        assert values.stats().changes == 1
        values.append("goes on")
        sound(values)


@pytest.mark.parametrize("at", [1, 50, 400])
def test_a_comparison_that_raises(way, at):
    model = list(range(100, 0, -1))
    random.Random(3).shuffle(model)
    with MemoryBuffer.from_iterable(model) as values:
        calls = 0

        def compare(first, second):
            nonlocal calls
            calls += 1
            if calls == at:
                raise ZeroDivisionError
            return first - second

        with pytest.raises(ZeroDivisionError):
            values.sort(key=cmp_to_key(compare))
        assert values[:] == model
        assert values.stats().changes == 0


def test_what_cannot_be_compared(way):
    with MemoryBuffer.from_iterable([3, "a", 1, None]) as values:
        with pytest.raises(TypeError, match="'<' not supported"):
            values.sort()
        with pytest.raises(TypeError, match="not callable"):
            values.sort(key=3)
        assert values[:] == [3, "a", 1, None]


def test_a_blob_that_cannot_be_decoded(way):
    class Picky:
        name = "picky"

        def to_blob(self, value):
            return value

        def from_blob(self, blob):
            if blob == b"bad":
                raise BlobifyError("no value")
            return blob

    with MemoryBuffer.from_iterable([b"z", b"y", b"bad", b"a"], blobify=Picky()) as values:
        with pytest.raises(BlobifyError) as caught:
            values.sort()
        assert caught.value.index == 2
        assert values.stats().changes == 0


CHANGES = {
    "append": lambda values: values.append("more"),
    "set": lambda values: values.__setitem__(0, "set"),
    "delete": lambda values: values.__delitem__(0),
    "clear": lambda values: values.clear(),
    "insert": lambda values: values.insert(3, "in"),
}


@pytest.mark.parametrize("at", [1, 60, 130])
@pytest.mark.parametrize("change", CHANGES)
def test_a_key_that_changes_the_list(way, change, at):
    """As list's: an error. Unlike list's, what the key did stays."""
    model = texts(100)
    with MemoryBuffer.from_iterable(model, blobify="text") as values:
        calls = 0

        def key(value):
            nonlocal calls
            calls += 1
            if calls == at:
                CHANGES[change](values)
                CHANGES[change](model)
            return value

        if at > 100 and way[0] > 1 << 20:
            return
        with pytest.raises(ValueError, match="list modified during sort"):
            values.sort(key=key)
        assert values[:] == model
        sound(values)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_last_comparison_that_changes_the_list(monkeypatch, reverse):
    """A list in order, of more than one run: nothing is read behind the comparison that joins the last."""
    set_way(monkeypatch, WAYS[1])
    made = 0
    change_at = -1

    class Changing(Least):
        def __lt__(self, other):
            nonlocal made
            made += 1
            if made == change_at:
                values.append("more")
            return self.value < other.value

    model = sorted(texts(100), reverse=reverse)
    with MemoryBuffer.from_iterable(model, blobify="text") as values:
        values.sort(key=Changing, reverse=reverse)
        change_at = made
        made = 0
        with pytest.raises(ValueError, match="list modified during sort"):
            values.sort(key=Changing, reverse=reverse)
        assert made == change_at
        assert values[:] == [*model, "more"]
        sound(values)


def test_a_key_that_rolls_back_closes_or_commits(way):
    with MemoryBuffer.from_iterable(["c", "a", "b"], blobify="text") as values:
        values.append("uncommitted")
        with pytest.raises(ValueError, match="modified"):
            values.sort(key=lambda value: (values.rollback(), value)[1])
        assert values[:] == ["c", "a", "b"]

        def key(value):
            values.commit()
            return value, values[:]

        values.append("aa")
        values.sort(key=key)
        assert values[:] == ["a", "aa", "b", "c"]
        with pytest.raises(RegionClosedError):
            values.sort(key=lambda value: (values.close(), value)[1])


def test_a_key_that_changes_another_list(way):
    """A write-out that it causes gives pending blobs their addresses while the sort is on."""
    with MemoryRegion() as region:
        values, log = region.buffer("main", "text"), region.buffer("log", "bytes")
        model = texts(120)
        values.extend(model)

        def key(value):
            log.append(value.encode() + bytes(100))
            if len(log) % 50 == 3:
                handle_of(region).write_early()
            return value

        values.sort(key=key)
        assert values[:] == sorted(model)
        assert len(log) >= 120
        sound(values)


class Whole:
    """A number that is true, whatever it is."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        if self.value is None:
            raise LookupError
        return self.value


def refusal(call, **options):
    """Return what a call raises, and says."""
    try:
        return call(**options)
    except (TypeError, OverflowError, LookupError) as error:
        return type(error), str(error)


@pytest.mark.parametrize(
    "reverse", ["x", "", None, 1.5, [], b"1", 1 << 40, -(1 << 40), 2, -1, 0, Whole(0), Whole(5), Whole(None)]
)
def test_reverse_is_what_list_takes(reverse):
    model = ["b", "c", "a"]
    with MemoryBuffer.from_iterable(model, blobify="text") as values:
        for options in ({}, {"key": len}, {"by_blob": True}):
            wanted = refusal(model.sort, key=options.get("key"), reverse=reverse)
            assert refusal(values.sort, reverse=reverse, **options) == wanted
            assert values[:] == model


def test_no_room_for_temporary_files(monkeypatch, tmp_path):
    model = texts(100)
    with MemoryBuffer.from_iterable(model, blobify="text") as values:
        set_way(monkeypatch, WAYS[1])
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
        with pytest.raises(FileNotFoundError):
            values.sort()
        assert values[:] == model
        assert values.stats().changes == 0


def test_who_must_not_sort(path):
    with MemoryBuffer.from_iterable(["a", "b"], path, blobify="text") as values:
        with values.snapshot() as snapshot, pytest.raises(ReadOnlyError):
            snapshot.sort()
        values.close()
        with pytest.raises(RegionClosedError):
            values.sort()


# -- by blob -----------------------------------------------------------------------------------------


def test_by_blob_decodes_nothing(way):
    class Number:
        name = "number"
        order_preserving = True
        decoded = 0

        def to_blob(self, value):
            return value.to_bytes(12, "big")

        def from_blob(self, blob):
            self.decoded += 1
            return int.from_bytes(blob, "big")

    number = Number()
    model = [random.Random(7).randrange(1 << 90) for _ in range(100)]
    with MemoryBuffer.from_iterable(model, blobify=number) as values:
        values.sort(by_blob=True)
        values.sort(reverse=True)
        assert number.decoded == 0
        assert values[:] == sorted(model, reverse=True)
        values.sort(key=operator.neg)
        assert number.decoded > 100


def test_by_blob_where_blobs_say_nothing_of_order():
    values = MemoryBuffer.from_iterable([1, 2])
    with pytest.raises(TypeError, match="blobs of Msgpack do not compare as its values do"):
        values.sort(by_blob=True)
    values = MemoryBuffer.from_iterable(["a"], blobify="text")
    with pytest.raises(TypeError, match="leave out key=, or by_blob="):
        values.sort(key=len, by_blob=True)


# -- transactions and threads ------------------------------------------------------------------------


def test_in_transactions(way):
    model = texts(150)
    with MemoryBuffer.from_iterable(model, blobify="text") as values:
        with contextlib.suppress(Undo), values.transaction():
            values.sort()
            raise Undo
        assert values[:] == model
        with values.transaction():
            values.append("mmm")
            with contextlib.suppress(Undo), values.transaction():
                values.sort(reverse=True)
                assert values[:] == sorted([*model, "mmm"], reverse=True)
                raise Undo
            assert values[:] == [*model, "mmm"]
            values.sort()
        model = sorted([*model, "mmm"])
        assert values[:] == model
        values.sort(key=len)
        values.rollback()
        assert values[:] == model
        values.sort(key=len)
        assert values[:] == sorted(model, key=len)
        sound(values)


def test_it_is_kept(way, path):
    model = texts(150)
    with MemoryBuffer.from_iterable(model, path, blobify="text", autocommit=True) as values:
        values.sort()
        assert values.stats().changes == 0
        with values.snapshot() as snapshot:
            assert snapshot[:] == sorted(model)
    with MemoryBuffer(path, "r") as values:
        assert values[:] == sorted(model)


def test_other_threads_wait(way, monkeypatch):
    """A change made by another thread comes after the sort, and is no error; reading goes on."""
    waiting = waits_for_latch(monkeypatch)
    model = texts(100)
    with MemoryBuffer.from_iterable(model, blobify="text") as values:
        reached, seen = threading.Event(), []

        def other():
            assert reached.wait(HANGS)
            seen.append(values[:])
            values.append("zzz")

        thread = in_thread(other)

        def key(value):
            if not seen:
                reached.set()
                wait_for(lambda: seen and waiting())
            return value

        values.sort(key=key)
        join(thread)
        assert seen == [model]
        assert values[:] == [*sorted(model), "zzz"]


def test_writing_back_in_bounded_memory(monkeypatch):
    """Dirty nodes are written out while the entries are put back."""
    monkeypatch.setattr(transactions, "NODE_BUDGET", 4)
    monkeypatch.setattr(transactions, "MOST_NODES", 4)
    monkeypatch.setattr(sorting, "WRITTEN_BACK", 300)
    set_way(monkeypatch, (20_000, 4, 4096))
    model = texts(scaled(5000, 3000))
    with MemoryBuffer.from_iterable(model, blobify="text") as values:
        most = 0
        write_early = handles.write_early

        def watched(tx):
            nonlocal most
            most = max(most, tx.pager.dirty_nodes)
            write_early(tx)

        monkeypatch.setattr(handles, "write_early", watched)
        values.sort()
        assert 0 < most < 10
        assert values[:] == sorted(model)
        sound(values)


def test_permuted():
    entries = b"".join(bytes([number]) * 16 for number in range(100))
    order = list(range(100))
    random.Random(9).shuffle(order)
    assert permuted(entries, order) == b"".join(bytes([number]) * 16 for number in order)
    assert permuted(b"", []) == b""
