"""Writer: there is one only once the region is recovered, and it is never half of two states."""

from collections import deque

import pytest

from stablemem._core.txn.writer import reach_of
from stablemem.layout import MAX_ADDRESS
from support.probe import handle_of
from support.recorded import Recorder, region_of, region_on

LENGTHS = deque([(10, 500), (11, 900), (13, 700), (14, 600)])


@pytest.mark.parametrize(
    ("oldest", "reach"),
    [(None, 0), (10, 900), (11, 900), (12, 700), (13, 700), (14, 600), (9, MAX_ADDRESS)],
)
def test_how_far_snapshots_reach(oldest, reach):
    assert reach_of(LENGTHS, oldest) == reach


def test_nothing_is_known_of_commits_before_this_handle():
    assert reach_of(deque(), 5) == MAX_ADDRESS
    assert reach_of(deque(), None) == 0


def test_reading_needs_none():
    device = Recorder()
    with region_on(device) as region:
        region.buffer("main").extend(range(100))
    with region_of(device.bytes()) as region:
        values = region.buffer("main")
        assert values[50] == 50
        region.verify()
        assert handle_of(region).writer is None
        values.append(1)
        assert handle_of(region).writer is not None
        region.rollback()


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("how", ["the disk failed", "interrupted"])
def test_after_a_commit_that_fails_it_has_the_free_space_of_the_file(how, at):
    """After an error of the disk it goes back; after an interrupt there is a new one."""
    device = Recorder()
    region = region_on(device)
    values = region.buffer("main", "bytes")
    values.extend([bytes(100)] * 500)
    region.commit()
    end, writer = handle_of(region).slot.length, handle_of(region).writer
    free = region.free_blocks(0, end)
    values.extend([bytes(100)] * 500)
    if how == "interrupted":
        device.interrupt_at = len(device.events) + at
    else:
        device.fail_at = len(device.events) + at
    with pytest.raises(KeyboardInterrupt if how == "interrupted" else OSError):
        region.commit()
    device.fail_at = device.interrupt_at = None
    assert len(values) == 500
    values.append(b"again")
    assert (handle_of(region).writer is writer) == (how != "interrupted")
    region.rollback()
    assert region.free_blocks(0, end) == free
    values.append(b"last")
    region.commit()
    assert (len(values), values[-1]) == (501, b"last")
    region.close()


def test_numbers_go_on():
    device = Recorder()
    region = region_on(device)
    numbers = []
    for turn in range(4):
        region.roots["turn"] = turn
        region.commit(sync=turn % 2 == 0)
        numbers.append(region.transaction_number)
        assert handle_of(region).writer.number > numbers[-1]
    assert numbers == sorted(set(numbers))
    region.close()
