# ruff: noqa: PT012 - what is tested is what an exception does to the block around it
import fcntl
import os
import struct
from pathlib import Path

import pytest

from stablemem import MemoryBuffer, MemoryRegion, ReadOnlyError, RegionClosedError, StableMemoryError
from stablemem._core.txn.opening import open_handle
from support.probe import handle_of
from support.recorded import BOOT, NEXT_BOOT, Recorder, contents, prove, region_of, region_on


@pytest.fixture
def device():
    return Recorder()


@pytest.fixture
def region(device):
    made = region_on(device)
    yield made
    made.close()


def events_of(device, call):
    begin = len(device.events)
    call()
    return [event[0] for event in device.events[begin:]]


def test_a_writer_that_changes_nothing_writes_nothing(device, region):
    region.buffer("main", "bytes").append(b"x")
    region.close()
    again = region_of(device.bytes(), recording=True)
    device = handle_of(again).region.device

    def use():
        values = again.buffer("main")
        values[0], len(values), list(values)
        again.verify()
        again.stats()
        again.commit()
        again.rollback()
        with again.transaction():
            pass
        again.snapshot().close()
        again.close()

    assert events_of(device, use) == []


def test_a_small_synced_commit_syncs_once_and_a_large_one_twice(device, region):
    values = region.buffer("main", "bytes")
    values.append(b"first")
    region.commit()
    values.append(b"second")
    assert events_of(device, region.commit).count("sync") == 1
    values.extend([bytes(100_000)] * 20)
    assert events_of(device, region.commit).count("sync") == 2
    values.append(b"unsynced")
    assert events_of(device, lambda: region.commit(sync=False)).count("sync") == 0
    values.append(b"synced after an unsynced one")
    assert events_of(device, region.commit).count("sync") == 2


def test_an_empty_commit_is_none(device, region):
    values = region.buffer("main", "bytes")
    values.append(b"x")
    region.commit()
    number = region.transaction_number
    assert events_of(device, region.commit) == []
    assert region.transaction_number == number


def test_syncing_what_was_committed_unsynced(device, region):
    values = region.buffer("main", "bytes")
    values.append(b"x")
    region.commit(sync=False)
    lost = region_of(device.bytes(), boot=NEXT_BOOT)
    assert contents(lost)["main"] == []
    lost.close()
    assert "sync" in events_of(device, region.commit)
    kept = region_of(device.bytes(), boot=NEXT_BOOT)
    assert contents(kept)["main"] == [b"x"]
    kept.close()


def test_closing_syncs(device, region):
    region.buffer("main", "bytes").append(b"x")
    region.commit(sync=False)
    region.close()
    with region_of(device.bytes(), boot=NEXT_BOOT) as again:
        assert contents(again)["main"] == [b"x"]


def test_numbers_are_never_used_again(device, region):
    values = region.buffer("main", "bytes")
    seen = {region.transaction_number}
    boot = BOOT
    image = None
    for round_ in range(4):
        values.append(b"x")
        region.commit(sync=round_ % 2 == 0)
        assert region.transaction_number not in seen
        seen.add(region.transaction_number)
        image = device.bytes()
        handle_of(region).close(commit=False)
        boot = bytes([round_]) * 16
        region = region_of(image, boot=boot, recording=True)
        device = handle_of(region).region.device
        values = region.buffer("main", "bytes")
    region.close()


def test_recovery_comes_before_anything_else(device, region):
    values = region.buffer("main", "bytes")
    values.append(b"x")
    region.commit()
    again = region_of(device.bytes(), recording=True)
    begin = len(handle_of(again).region.device.events)
    again.buffer("main").append(b"y")
    events = handle_of(again).region.device.events[begin:]
    assert [event[0] for event in events][-1] == "sync"
    slot = handle_of(again).slot
    assert ("write", slot.number * 4096, slot.encode()) in events
    for address, size in slot.extents:
        assert any(event[:2] == ("write", address) and len(event[2]) == size for event in events)
    again.rollback()
    again.close()


def test_the_last_commit_after_rollback(region):
    values = region.buffer("main", "bytes")
    values.extend([b"%d" % number * 9 for number in range(700)])
    region.commit()
    before = values[:]
    values.clear()
    values.extend([b"other values, longer than eight"] * 1000)
    handle_of(region).write_early()
    values[3:900] = []
    region.rollback()
    assert values[:] == before
    prove(region)


def test_two_lists_are_committed_together(device, region):
    one, two = region.buffer("one", "bytes"), region.buffer("two", "text")
    one.append(b"1")
    two.append("2")
    one.commit()
    one.append(b"lost")
    two.append("lost")
    two.rollback()
    with region_of(device.bytes()) as again:
        assert again.names() == ["one", "two"]
        assert again.buffer("one")[:] == [b"1"] == one[:]
        assert again.buffer("two")[:] == ["2"] == two[:]


class Leave(Exception):  # noqa: N818 - it is no error
    pass


def test_blocks(region):
    values = region.buffer("main", "bytes")
    with region.transaction():
        values.append(b"one")
        with pytest.raises(StableMemoryError, match="commits at its end"):
            region.commit()
        with pytest.raises(StableMemoryError, match="to undo the block, raise an exception"):
            region.rollback()
        values.append(b"two")
    number = region.transaction_number
    with pytest.raises(Leave), region.transaction():
        values.append(b"three")
        raise Leave
    assert values[:] == [b"one", b"two"]
    assert region.transaction_number == number


def test_blocks_within_blocks(region):
    values = region.buffer("main", "bytes")
    with region.transaction():
        values.extend([b"a long value number %d" % number for number in range(400)])
        with pytest.raises(Leave), region.transaction():
            del values[10:]
            with region.transaction():
                values[0] = b"deeper"
            raise Leave
        assert len(values) == 400
        assert values[0] == b"a long value number 0"
        with region.transaction():
            values.pop()
            with pytest.raises(Leave), region.transaction():
                values.clear()
                raise Leave
        values.append(b"the end")
    assert len(values) == 400
    assert values[-2:] == [b"a long value number 398", b"the end"]
    prove(region)


def test_a_block_undoes_only_itself(region):
    values = region.buffer("main", "bytes")
    values.append(b"before the block")
    with pytest.raises(Leave), region.transaction():
        values.append(b"in the block")
        raise Leave
    assert values[:] == [b"before the block"]
    assert region.stats().changes == 1
    region.commit()
    prove(region)


def test_a_new_list_in_a_block_that_is_undone(device, region):
    region.buffer("main", "bytes").append(b"x")
    region.commit()
    with pytest.raises(Leave), region.transaction():
        other = region.buffer("other", "text")
        other.append("y")
        raise Leave
    assert other[:] == []
    other.append("z")
    region.commit()
    prove(region)
    with region_of(device.bytes()) as again:
        assert again.buffer("other")[:] == ["z"]


def test_an_error_within_a_block_ends_the_block(device, region):
    values = region.buffer("main", "bytes")
    values.append(b"kept")
    region.commit()
    with (
        pytest.raises(StableMemoryError, match="rolled back the whole transaction block"),
        region.transaction(),
    ):
        values.append(b"lost with the block")
        # Not the first: those may be zeros ahead, which are left out if they fail.
        device.fail_at = len(device.events) + 2
        with pytest.raises(OSError, match="Input/output"):
            for _ in range(60):
                values.append(bytes(100_000))
        assert values[:] == [b"kept"]
        values.append(b"refused")
    device.fail_at = None
    assert values[:] == [b"kept"]
    values.append(b"a new one")
    region.commit()
    prove(region)


def test_snapshots(region):
    values = region.buffer("main", "bytes")
    values.append(b"one")
    region.commit()
    snapshot = region.snapshot()
    values[0] = b"two"
    assert snapshot.buffer("main")[:] == [b"one"]
    region.commit()
    assert snapshot.buffer("main")[:] == [b"one"]
    assert snapshot.mode == "r"
    with pytest.raises(ReadOnlyError):
        snapshot.buffer("main").append(b"x")
    with pytest.raises(ReadOnlyError), snapshot.transaction():
        pass
    assert snapshot.refresh() is True
    assert snapshot.refresh() is False
    assert snapshot.buffer("main")[:] == [b"two"]
    assert region.refresh() is False
    of_snapshot = snapshot.snapshot()
    snapshot.close()
    assert of_snapshot.buffer("main")[:] == [b"two"]
    of_snapshot.close()


def test_a_snapshot_of_a_list_that_comes_later(path):
    with MemoryRegion(path) as region:
        reader = MemoryBuffer(path, "r")
        assert reader[:] == []
        region.buffer("other", "bytes").append(b"x")
        region.commit()
        assert reader.refresh() is True
        assert reader[:] == []
        region.buffer("main", "text").append("a")
        region.commit()
        assert reader.refresh() is True
        assert reader[:] == ["a"]
        reader.close()


def test_a_reader_with_another_blobify_than_comes_later(path):
    with MemoryRegion(path) as region:
        reader = MemoryBuffer(path, "r", blobify="bytes")
        region.buffer("main", "text").append("a")
        region.commit()
        with pytest.raises(StableMemoryError, match="written with blobify 'text'"):
            reader.refresh()
        reader.close()


def test_closed(region):
    values = region.buffer("main", "bytes")
    values.append(b"x")
    iterator = iter(values)
    region.close()
    region.close()
    assert region.closed
    assert values.closed
    for call in (
        lambda: values[0],
        lambda: len(values),
        lambda: values.append(b""),
        lambda: list(values),
        lambda: values[:],
        lambda: next(iterator),
        region.commit,
        region.rollback,
        region.verify,
        region.stats,
        region.snapshot,
        lambda: values.extend([b"x"]),
        values.pop,
        values.clear,
        lambda: values.insert(0, b""),
        region.refresh,
        region.__enter__,
        lambda: values.__delitem__(slice(0, 1)),
        lambda: values.__setitem__(0, b""),
    ):
        with pytest.raises(RegionClosedError, match="closed"):
            call()


def test_the_file_gives_its_tail_back(path):
    with MemoryBuffer(path, blobify="bytes") as values:
        values.commit()
        values.extend([bytes(10_000)] * 300)
        values.commit()
        large = os.path.getsize(path)
        values.clear()
        values.commit()
        for _ in range(5):
            values.append(b"x")
            values.commit()
    assert os.path.getsize(path) < large / 4
    with MemoryBuffer(path, "r") as values:
        assert values[:] == [b"x"] * 5


def test_the_tail_is_kept_for_a_reader(path):
    values = MemoryBuffer(path, blobify="bytes")
    values.extend([bytes([number % 256]) * 10_000 for number in range(300)])
    values.commit()
    reader = MemoryBuffer(path, "r")
    values.clear()
    for _ in range(4):
        values.append(b"x")
        values.commit()
    values.close()
    assert reader[299] == bytes([299 % 256]) * 10_000
    reader.verify()
    reader.close()


def test_opening_needs_no_time_for_size(path):
    """Opening reads the header and the catalog, whatever is behind them."""
    with MemoryBuffer(path, blobify="bytes") as values:
        values.extend([bytes(100)] * 20_000)
    store = open_handle(path, "r")
    reads = []
    real = type(store.region.device).read

    def noted(device, address, size):
        reads.append(size)
        return real(device, address, size)

    type(store.region.device).read, kept = noted, real
    try:
        MemoryBuffer(path, "r").close()
    finally:
        type(store.region.device).read = kept
        store.close()
    assert sum(reads) < 200_000


def test_the_number_of_a_commit_that_left_no_trace_but_a_reader(tmp_path):
    """Its sync failed, its process died, and the kernel forgot the page of its slot."""
    path = str(tmp_path / "list.smem")
    with MemoryBuffer(path, blobify="bytes") as values:
        values.append(b"kept")
    kept = Path(path).read_bytes()[: 3 * 4096]
    lost = MemoryBuffer(path)
    lost.append(b"lost")
    lost.commit()
    with MemoryBuffer(path, "r") as reader:
        assert reader[:] == [b"kept", b"lost"]
        handle_of(lost).end("killed")
        with open(path, "r+b") as file:
            file.write(kept)
        with MemoryBuffer(path) as values:
            values.append(b"another")
            values.commit()
            assert values.region.transaction_number > reader.region.transaction_number
            assert reader.refresh()
            assert reader[:] == [b"kept", b"another"]


def test_whoever_locks_far_bytes_takes_no_numbers(tmp_path):
    path = str(tmp_path / "list.smem")
    with MemoryBuffer(path) as values:
        values.append(1)
        number = values.region.transaction_number
    for at, size in ((1 << 61, 0), ((1 << 62) + (1 << 45), 1), ((1 << 62) + 5, 0)):
        with open(path, "rb") as file:
            lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, at, size, 0)
            fcntl.fcntl(file.fileno(), fcntl.F_OFD_SETLK, lock)
            with MemoryBuffer(path) as values:
                values.append(2)
                values.commit()
                assert values.region.transaction_number < number + 100
