"""An ``extend`` whose iterable does more than give values: what fails takes nothing else with it."""

import threading

import pytest

from stablemem import MemoryBuffer, MemoryRegion, StableMemoryError
from support.waiting import in_thread, join, wait_for

CHUNK = 4096
"""Values that ``extend`` adds at once."""


def failing(values, *, first=lambda: None, last=lambda: None):
    """Yield values between two calls, then raise."""
    first()
    yield from values
    last()
    raise KeyError("enough")


def test_other_changes_of_the_iterable_are_still_counted(path):
    with MemoryRegion(path) as region:
        ours, other = region.buffer("ours"), region.buffer("other")
        ours.append(0)
        region.commit()
        with pytest.raises(KeyError):
            ours.extend(failing(range(2 * CHUNK), last=lambda: other.append("kept")))
        assert region.stats().changes == 1
        assert (ours[:], other[:]) == ([0], ["kept"])
    with MemoryRegion(path, "r") as region:
        assert (region.buffer("ours")[:], region.buffer("other")[:]) == ([0], ["kept"])


def test_nothing_is_counted_of_what_was_taken_back():
    values = MemoryBuffer.from_iterable([1, 2, 3])
    with pytest.raises(KeyError):
        values.extend(failing(range(3 * CHUNK)))
    assert values.stats().changes == 0
    assert values[:] == [1, 2, 3]
    values.close()


@pytest.mark.parametrize(
    "change", [lambda b: b.insert(0, 0), lambda b: b.popleft()], ids=["insert", "popleft"]
)
def test_older_values_stay_if_the_iterable_changes_the_list(change):
    values = MemoryBuffer.from_iterable([1, 2, 3])
    plain = values.to_list()
    with pytest.raises(KeyError):
        values.extend(failing(range(10), first=lambda: change(values)))
    if len(values) > 3:
        plain.insert(0, 0)
    else:
        del plain[0]
    assert values[:] == plain
    values.rollback()
    with pytest.raises(KeyError) as caught:
        values.extend(failing(range(CHUNK + 1), last=lambda: change(values)))
    assert any("changed the list" in note for note in caught.value.__notes__)
    assert {1, 2, 3} - {1} <= set(values[:4])
    values.rollback()
    assert values[:] == [1, 2, 3]
    values.close()


def test_a_rollback_by_the_iterable_is_an_error():
    values = MemoryBuffer.from_iterable([1])

    def undoing():
        yield from range(CHUNK)
        values.rollback()
        yield from range(CHUNK)

    with pytest.raises(StableMemoryError, match="rolled back the values that extend had added"):
        values.extend(undoing())
    assert values[:] == [1]
    values.close()


def test_a_commit_by_the_iterable(path):
    values = MemoryBuffer.from_iterable([1], path)
    with pytest.raises(KeyError):
        values.extend(failing(range(CHUNK + 5), last=values.commit))
    assert values[:] == [1]
    values.close()
    with MemoryBuffer(path, "r") as again:
        assert again[:] == [1]


def test_a_block_begins_between_the_calls_of_other_threads():
    """What a block reads first holds until it changes it, whatever threads were doing when it began."""
    values = MemoryBuffer.from_iterable(range(2000))
    ended = threading.Event()
    wrong = []
    rounds = [0, 0]

    def work(mine):
        while not ended.is_set():
            values.append(1)
            values.popleft()
            rounds[mine] += 1

    threads = [in_thread(lambda mine=mine: work(mine)) for mine in range(2)]
    try:
        wait_for(lambda: all(rounds))
        for _ in range(300):
            with values.transaction():
                length = len(values)
                values.append(0)
                if len(values) != length + 1:
                    wrong.append(length)
            values.reverse()
    finally:
        ended.set()
        join(*threads)
    assert not wrong
    values.commit()
    values.close()


def test_verifying_beside_a_thread_that_commits(path):
    with MemoryBuffer(path, autocommit=True, sync=False) as values:
        values.extend(range(20_000))
        ended = threading.Event()

        def work():
            while not ended.is_set():
                values.append(1)

        thread = in_thread(work)
        try:
            for _ in range(5):
                length = len(values)
                assert not values.verify().faults
                wait_for(lambda length=length: len(values) > length)
        finally:
            ended.set()
            join(thread)
