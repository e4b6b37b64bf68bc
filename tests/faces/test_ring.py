"""maxlen and the calls at the left end, beside collections.deque."""

import contextlib
import copy
import errno
import operator
import threading
from collections import deque
from pathlib import Path

import pytest

from stablemem import (
    COMPILED,
    BlobifyError,
    CorruptRegionError,
    MemoryBuffer,
    MemoryRegion,
    ReadOnlyError,
    RegionClosedError,
)
from stablemem._core.disk.device import FileDevice
from stablemem.blobify import msgpack
from support import scaled
from support.steps import steps

MOST = [0, 1, 3, 300, None]


def both(most, content=()):
    """Return a deque and a list with the same maxlen and content."""
    values = MemoryBuffer(maxlen=most)
    values.extend(content)
    return deque(content, most), values


def outcome(call, each):
    try:
        return call(each)
    except IndexError:
        return IndexError


CALLS = [
    lambda each: each.append("a"),
    lambda each: each.appendleft("b"),
    lambda each: each.extend(["c", "d"]),
    lambda each: each.extend(str(n) for n in range(700)),
    lambda each: each.extendleft(["e", "f"]),
    lambda each: each.extendleft(range(700)),
    lambda each: each.extend([]),
    lambda each: each.extend(each),
    lambda each: each.extendleft(each),
    lambda each: each.insert(1, "g"),
    lambda each: each.insert(-100, "h"),
    lambda each: each.rotate(1),
    lambda each: each.rotate(-2),
    lambda each: (each.__imul__(3), None)[1],
    lambda each: (each.__iadd__("xyz"), None)[1],
    lambda each: each.popleft(),
    lambda each: each.pop(),
    lambda each: each.reverse(),
    lambda each: each.remove(each[0]) if each else None,
    lambda each: each.clear(),
]


@pytest.mark.parametrize("most", MOST)
@pytest.mark.parametrize("content", [(), range(2), range(299), range(1000)])
def test_every_call(most, content):
    for call in CALLS:
        model, values = both(most, content)
        assert outcome(call, values) == outcome(call, model)
        assert values == list(model)
        assert values.maxlen == most
        values.verify()
        values.commit()
        values.close()


@pytest.mark.parametrize("most", [0, 1, 5, None])
def test_one_after_the_other(most):
    model, values = both(most)
    for round_ in range(3):
        for number, call in enumerate(CALLS):
            if number % 3 != round_:
                assert outcome(call, values) == outcome(call, model)
                assert values == list(model)
    values.close()


def test_slice_assignment_keeps_the_newest():
    with MemoryBuffer(maxlen=5) as values:
        values[:] = range(9)
        assert values == [4, 5, 6, 7, 8]
        values[1:2] = "abc"
        assert values == ["b", "c", 6, 7, 8], "what is too much goes from the left, wherever it was put"
        values[::2] = [1, 2, 3]
        assert values == [1, "c", 2, 7, 3]


def test_a_full_list_takes_no_insertion():
    with MemoryBuffer(maxlen=2) as values:
        values.extend([1, 2])
        with pytest.raises(IndexError, match="already at its maximum size"):
            values.insert(0, 3)
        values[0] = 5
        assert values == [5, 2]


def test_nothing_left():
    with MemoryBuffer() as values:
        with pytest.raises(IndexError, match="pop from empty list"):
            values.popleft()
        values.append(1)
        assert values.popleft() == 1
        with pytest.raises(IndexError):
            values.popleft()


def test_it_holds_for_the_handle(path):
    with MemoryBuffer(path, maxlen=3) as values:
        values.extend(range(10))
        assert values == [7, 8, 9]
    with MemoryBuffer(path) as values:
        assert values.maxlen is None
        values.extend([10, 11])
        assert len(values) == 5
    with MemoryBuffer(path, maxlen=2) as values:
        assert len(values) == 5, "opening drops nothing"
        values.append(12)
        assert values == [11, 12]
        with values.snapshot() as snapshot:
            assert snapshot.maxlen == 2
    with pytest.raises(RegionClosedError):
        values.maxlen = 5
    assert values.maxlen == 2


@pytest.mark.parametrize("most", MOST)
@pytest.mark.parametrize("content", [(), range(2), range(299), range(1000)])
def test_another_limit(most, content):
    """What is left is what a deque of that maxlen would keep of the values, and they count as changes."""
    for before in MOST:
        model, values = both(before, content)
        values.commit()
        values.maxlen = most
        kept = deque(model, most)
        assert values == list(kept)
        assert values.maxlen == most
        assert values.stats().changes == len(model) - len(kept)
        for call in CALLS:
            assert outcome(call, values) == outcome(call, kept)
            assert values == list(kept)
        values.verify()
        values.close()


def test_the_new_limit_is_of_the_handle_and_its_changes_of_the_transaction(path):
    with MemoryBuffer.from_iterable(range(9), path) as values:
        values.maxlen = 3
        assert values == [6, 7, 8]
        values.rollback()
        assert values == list(range(9)), "what a rollback brings back stays until the next addition"
        assert values.maxlen == 3
        with contextlib.suppress(KeyError), values.transaction():
            values.maxlen = 2
            raise KeyError
        assert (len(values), values.maxlen) == (9, 2)
        values.append(9)
        assert values == [8, 9]
        values.maxlen = None
        values.extend("abc")
        assert values == [8, 9, "a", "b", "c"]
    with MemoryBuffer(path) as values:
        assert (len(values), values.maxlen) == (5, None)


def test_another_limit_is_a_call_that_commits_by_itself(path):
    with MemoryBuffer.from_iterable(range(9), path) as values:
        pass
    with MemoryBuffer(path, autocommit=True) as values:
        before = values.region.transaction_number
        values.maxlen = 10
        assert values.region.transaction_number == before, "nothing was changed"
        values.maxlen = 4
        with MemoryBuffer(path, "r") as reader:
            assert reader == [5, 6, 7, 8]


@pytest.mark.parametrize(
    ("wrong", "error"), [(-1, ValueError), ("a", TypeError), (1.5, TypeError), (1 << 63, OverflowError)]
)
def test_a_limit_that_cannot_be(wrong, error):
    with MemoryBuffer.from_iterable(range(9), maxlen=20) as values, values.snapshot() as snapshot:
        for each in (values, snapshot):
            with pytest.raises(error):
                each.maxlen = wrong
            assert each.maxlen == 20
            assert each == list(range(9))


def test_readers_take_no_other_limit(path):
    with MemoryBuffer.from_iterable(range(9), path, maxlen=20) as values, values.snapshot() as snapshot:
        for most in (3, 30, None):
            with pytest.raises(ReadOnlyError):
                snapshot.maxlen = most
        assert (snapshot.maxlen, len(snapshot)) == (20, 9)


@pytest.mark.parametrize("failing", ["write_run", "sync"])
def test_a_limit_that_fails_changes_nothing(path, monkeypatch, failing):
    with MemoryBuffer.from_iterable(range(1000), path, maxlen=2000):
        pass
    with MemoryBuffer(path, maxlen=2000, autocommit=True) as values:

        def fail(*arguments):
            raise OSError(errno.EIO, "the disk fails")

        monkeypatch.setattr(FileDevice, failing, fail)
        with pytest.raises(OSError, match="the disk fails"):
            values.maxlen = 3
        monkeypatch.undo()
        assert (values.maxlen, len(values)) == (2000, 1000)


def test_what_is_told_of_low_space_comes_after_the_limit(path):
    """The values are gone by then, and committed: the limit holds."""

    def tell(stats):
        raise KeyError

    with MemoryBuffer.from_iterable(range(1000), path):
        pass
    with MemoryBuffer(path, autocommit=True, max_size=1 << 20, low_space=0.01, on_low_space=tell) as values:
        with pytest.raises(KeyError):
            values.maxlen = 3
        assert (values[:], values.maxlen) == ([997, 998, 999], 3)


@pytest.mark.parametrize("how", [MemoryBuffer.copy, copy.copy, copy.deepcopy])
def test_a_copy_of_a_longer_list_is_whole(path, how):
    with MemoryBuffer(path) as values:
        values.extend(range(600))
    with MemoryBuffer(path, maxlen=3) as values, how(values) as other:
        assert other == values
        assert (len(other), other.maxlen) == (600, 3)
        for each in (values, other):
            each.append("new")
            assert each == [598, 599, "new"]


@pytest.mark.parametrize(
    "call",
    [
        lambda each: each.extend([]),
        lambda each: each.extend(each[:0]),
        lambda each: each.extendleft([]),
        lambda each: operator.iadd(each, ()),
        lambda each: operator.imul(each, 1),
        lambda each: operator.setitem(each, slice(5, 5), []),
        lambda each: each.rotate(0),
    ],
)
def test_no_addition_drops_nothing(path, call):
    with MemoryBuffer(path) as values:
        values.extend(range(9))
    with MemoryBuffer(path, maxlen=3) as values:
        call(values)
        assert values == list(range(9))
        values[2:4] = []
        assert values == [0, 1, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("wrong", "error"), [(-1, ValueError), ("a", TypeError), (1.5, TypeError), (1 << 63, OverflowError)]
)
def test_bad_limits(wrong, error, path):
    with pytest.raises(error):
        MemoryBuffer(path, maxlen=wrong)


@pytest.mark.skipif(COMPILED, reason="steps are counted interpreted; compiled, the source is the same")
@pytest.mark.parametrize("most", [0, 1, 10, 1000, 100_000])
def test_a_full_ring_takes_no_more_steps_than_both_calls_by_hand(most):
    """It dropped one value as it would a range, at the cost of a list of all children on the way."""
    calls = [
        (lambda each: each.append("x"), lambda each: (each.append("x"), each.popleft())),
        (lambda each: each.appendleft("x"), lambda each: (each.appendleft("x"), each.pop())),
        (lambda each: each.extend("abc"), lambda each: (each.extend("abc"), [each.popleft() for _ in "abc"])),
    ]
    with MemoryBuffer.filled(most, "x") as plain, MemoryBuffer.filled(most, "x", maxlen=most) as ring:
        for call, by_hand in calls:
            for _ in range(3):
                taken = steps(lambda: [call(ring) for _ in range(20)])  # noqa: B023 - called at once
                assert taken <= 1.2 * steps(lambda: [by_hand(plain) for _ in range(20)])  # noqa: B023
            assert len(ring) == most
            assert len(plain) == most


def failing(after):
    yield from range(after)
    raise KeyError


@pytest.mark.parametrize("after", [0, 3, 5000, 20_000])
def test_all_or_nothing(after):
    with MemoryBuffer(maxlen=1000) as values:
        values.extend(range(1000))
        before = values[:]
        for call in (values.extend, values.extendleft):
            with pytest.raises(KeyError):
                call(failing(after))
            with pytest.raises(BlobifyError):
                call([*range(after), {1}])
            assert values == before, "what would have been dropped is still there"


def test_a_long_iterable_through_a_short_list(path):
    """Neither memory nor file grows by what passes through."""
    with MemoryBuffer(path, blobify="bytes", maxlen=100) as values:
        values.extend(b"%0200d" % n for n in range(scaled(100_000, 20_000)))
        assert values[-1] == b"%0200d" % (scaled(100_000, 20_000) - 1)
        assert len(values) == 100
        values.commit()
        assert values.stats().used_bytes < 1 << 20
        assert values.stats().file_bytes < 8 << 20


def turn(values, pairs, size, left):
    """Let so many values of a size go through a queue, and commit."""
    for number in range(pairs):
        value = b"%d" % number * size
        if left:
            values.append(value)
            values.popleft()
        else:
            values.appendleft(value)
            values.pop()
    values.commit()
    return values.stats().file_bytes


@pytest.mark.parametrize("left", [True, False])
def test_a_queue_stops_growing(path, left):
    with MemoryBuffer(path, blobify="bytes") as values:
        values.extend([b"x" * 100] * 500)
        sizes = [turn(values, 200, 100, left) for _ in range(40)]
        assert sizes[-1] == sizes[9]
        assert len(values) == 500


@pytest.mark.skipif(not COMPILED, reason="takes minutes interpreted")
def test_a_queue_of_unsynced_commits_stops_growing(path):
    """What they leave behind is free again at once, or once one of them has become a synced one."""
    with MemoryBuffer(path, blobify="bytes", sync=False) as values:
        values.extend([b"x"] * 500)
        sizes = [turn(values, 10, 100_000, True) for _ in range(900)]
        assert max(sizes[450:]) <= max(sizes[:450]) * 1.05
        assert max(sizes) < 150 << 20


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize("codec", ["bytes", "text"])
def test_a_pop_that_meets_damage_leaves_appends_where_they_belong(path, codec):
    """It has owned the way to another leaf than the last, which the next append must not take for its own."""
    values = [f"value {number:06}" for number in range(1000)]
    if codec == "bytes":
        values = [value.encode() for value in values]
    with MemoryBuffer.from_iterable(values, path, blobify=codec):
        pass
    file = Path(path)
    file.write_bytes(file.read_bytes().replace(b"value 000000", b"damaged blob"))
    with MemoryBuffer(path) as buffer:
        buffer.append(values[1])
        with pytest.raises(CorruptRegionError):
            buffer.popleft()
        buffer.append(values[2])
        assert buffer[1:] == [*values[1:], values[1], values[2]]


@pytest.mark.skipif(not COMPILED, reason="interpreted, no pop asks for a shortcut here")
def test_a_pop_that_is_interrupted_leaves_appends_where_they_belong(monkeypatch):
    def interrupted(blob):
        raise KeyboardInterrupt

    with MemoryBuffer.from_iterable([n] for n in range(1000)) as values:
        values.append(1000)
        values[0] = ["more than eight bytes"]
        values.append(1001)
        with monkeypatch.context() as patch:
            patch.setattr(msgpack, "_decode", interrupted)
            with pytest.raises(KeyboardInterrupt):
                values.popleft()
        values.append(1002)
        assert values[255] == [255]
        assert values[-1] == 1002


@pytest.mark.skipif(not COMPILED, reason="interpreted, no pop asks for a shortcut here")
def test_an_append_within_a_pop_goes_to_the_end(monkeypatch):
    """By another thread, while the Blobify decodes what is popped."""
    decode = msgpack._decode

    def slow(blob):
        monkeypatch.setattr(msgpack, "_decode", decode)
        other = threading.Thread(target=values.append, args=[1001])
        other.start()
        other.join()
        return decode(blob)

    with MemoryBuffer.from_iterable([["more than eight bytes"], *range(1, 1001)]) as values:
        values.append(1001)
        monkeypatch.setattr(msgpack, "_decode", slow)
        assert values.popleft() == ["more than eight bytes"]
        assert values == [*range(1, 1002), 1001]


@pytest.mark.skipif(not COMPILED, reason="interpreted, no pop asks for a shortcut here")
def test_a_pop_that_is_interrupted_forgets_the_page_of_its_leaf(monkeypatch):
    """It has freed it: what is written there next is not the leaf."""

    def interrupted(blob):
        raise KeyboardInterrupt

    with MemoryRegion() as region, region.transaction():
        filler, values = (MemoryBuffer(region, name=name) for name in ("filler", "values"))
        filler.extend(range(12 * 255))
        with region.transaction():
            pass
        given = [[number, "some text"] for number in range(200)]
        values.extend(given)
        with region.transaction():
            pass
        assert values[5] == given[5]
        with monkeypatch.context() as patch:
            patch.setattr(msgpack, "_decode", interrupted)
            with pytest.raises(KeyboardInterrupt):
                values.pop(5)
        for _ in range(40):
            region.add_blob(b"\x77" * 4096)
        assert values[6] == given[6]
