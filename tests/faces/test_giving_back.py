"""Giving space back: the tail is cut, free pages are punched out, compaction moves the rest together."""

import itertools
import os
import random
from contextlib import suppress
from unittest.mock import patch

import pytest

from stablemem import MemoryBuffer, MemoryRegion, RegionFullError, StableMemoryError
from stablemem._core.space import punching
from stablemem._core.txn import compaction
from stablemem._core.txn.opening import open_handle
from stablemem.errors import CorruptRegionError, ReadOnlyError
from support.probe import handle_of, steps
from support.recording import RecordingDevice

MIB = 1 << 20


def filled(path, values=3000, size=1000):
    """Return a list of so many values of so many bytes, and a plain list of them."""
    buffer = MemoryBuffer(path, blobify="bytes")
    plain = [number.to_bytes(4, "big") * (size // 4) for number in range(values)]
    buffer.extend(plain)
    buffer.commit()
    return buffer, plain


def settle(buffer, commits=3):
    """Make some commits, so that what was freed is free."""
    for _ in range(commits):
        buffer.append(b"")
        del buffer[-1]
        buffer.commit()


def settle_raw(region, commits=6):
    """Make some commits that need no room for anything but the log."""
    for _ in range(commits):
        region.grow(0)
        region.commit()


# -- the tail ------------------------------------------------------------------------------------------


def test_a_long_free_tail_is_cut_by_a_commit(path):
    buffer, plain = filled(path)
    full = os.path.getsize(path)
    del buffer[100:], plain[100:]
    buffer.commit()
    assert os.path.getsize(path) == full, "the commit before still reaches it"
    settle(buffer, 5)
    # The nodes of the whole list, and the log, were written behind the values.
    buffer.compact()
    settle(buffer, 3)
    assert os.path.getsize(path) < full - 2 * MIB
    assert list(buffer) == plain
    buffer.close()


def test_a_raw_tail_is_cut_by_commits_alone(path):
    with MemoryRegion(path) as region:
        region.allocate(100)
        high = region.allocate(4 * MIB)
        region.store(high + 4 * MIB - 10, b"at the end")
        region.commit()
        assert os.path.getsize(path) > 4 * MIB
        region.deallocate(high, 4 * MIB)
        region.commit()
        settle_raw(region)
        assert os.path.getsize(path) < MIB


def test_a_short_free_tail_stays(path):
    with MemoryRegion(path) as region:
        region.allocate(100)
        high = region.allocate(MIB // 2)
        region.store(high + MIB // 2 - 1, b"x")
        region.commit()
        size = os.path.getsize(path)
        region.deallocate(high, MIB // 2)
        settle_raw(region)
        assert os.path.getsize(path) == size
    assert os.path.getsize(path) < size, "closing cuts all of it"


def test_unsynced_commits_cut_nothing(path):
    with MemoryRegion(path, sync=False) as region:
        region.allocate(100)
        high = region.allocate(4 * MIB)
        region.store(high + 4 * MIB - 1, b"x")
        region.commit()
        size = os.path.getsize(path)
        region.deallocate(high, 4 * MIB)
        settle_raw(region)
        assert os.path.getsize(path) == size


def test_the_tail_stays_for_a_snapshot_that_reaches_it(path):
    with MemoryRegion(path) as region:
        region.allocate(100)
        high = region.allocate(4 * MIB)
        region.store(high + 4 * MIB - 10, b"at the end")
        region.commit()
        old = region.snapshot()
        region.deallocate(high, 4 * MIB)
        settle_raw(region)
        region.compact()
        assert os.path.getsize(path) > 4 * MIB
        assert old.load(high + 4 * MIB - 10, 10) == b"at the end"
        old.close()
        region.compact()
        assert os.path.getsize(path) < MIB


def test_the_tail_is_cut_beside_a_snapshot_that_does_not_reach_it(path):
    with MemoryRegion(path) as region:
        low, high = region.allocate(100), region.allocate(4 * MIB)
        region.store(high + 4 * MIB - 1, b"x")
        region.commit()
        region.deallocate(high, 4 * MIB)
        region.commit()
        settle_raw(region)
        region.store(low, b"young")
        region.commit()
        young = region.snapshot()
        region.store(low, b"older")
        settle_raw(region)
        assert os.path.getsize(path) < MIB
        assert young.load(low, 5) == b"young"
        young.close()


def test_an_error_while_cutting_is_no_error_of_the_commit():
    device = RecordingDevice()
    region = MemoryRegion._of(open_handle(None, "w", device=device), "a")
    low, high = region.add_blob(b"first"), region.allocate(4 * MIB)
    region.store(high + 4 * MIB - 1, b"x")
    region.commit()
    region.deallocate(high, 4 * MIB)
    failed = []

    def fail(size):
        failed.append(size)
        raise device.error(5, "cutting")

    with patch.object(device, "truncate", fail):
        settle_raw(region)
    assert failed
    assert region.load(low, 5) == b"first"
    region.close()


# -- holes ---------------------------------------------------------------------------------------------


def on_disk(path):
    return os.stat(path).st_blocks * 512


def test_pages_that_stay_free_are_punched_out(path):
    with MemoryRegion(path) as region, patch.object(punching, "LOOK_EVERY", 4):
        region.allocate(100)
        middle = region.add_blob(os.urandom(4 * MIB))
        high = region.add_blob(b"the end")
        region.commit()
        full = on_disk(path)
        region.deallocate(middle, 4 * MIB)
        settle_raw(region, 20)
        assert on_disk(path) < full - 3 * MIB
        assert os.path.getsize(path) > 4 * MIB
        assert region.load(high, 7) == b"the end"
        assert region.stats().disk_bytes == on_disk(path)
        again = region.add_blob(b"y" * 4 * MIB)
        region.commit()
        assert region.load(again, 4 * MIB) == b"y" * 4 * MIB


def test_a_snapshot_keeps_what_it_reads_from_being_punched_out(path):
    with MemoryRegion(path) as region, patch.object(punching, "LOOK_EVERY", 2):
        region.allocate(100)
        content = os.urandom(2 * MIB)
        middle = region.add_blob(content)
        region.add_blob(b"the end")
        region.commit()
        old = region.snapshot()
        region.deallocate(middle, 2 * MIB)
        settle_raw(region, 20)
        assert old.load(middle, 2 * MIB) == content
        old.close()


def test_closing_punches_what_was_free_since_opening(path):
    with MemoryRegion(path) as region:
        middle = region.add_blob(os.urandom(4 * MIB))
        region.add_blob(b"the end")
        region.commit()
        region.deallocate(middle, 4 * MIB)
    full = on_disk(path)
    for _ in range(2):
        with MemoryRegion(path) as region:
            region.add_blob(b"x")
    assert on_disk(path) < full - 3 * MIB


def test_a_file_system_that_cannot_punch_is_left_alone(path):
    with MemoryRegion(path) as region:
        middle = region.add_blob(os.urandom(2 * MIB))
        region.add_blob(b"the end")
        region.commit()
        region.deallocate(middle, 2 * MIB)
        region.commit()
        with patch(
            "stablemem._core.disk.device._punch_hole", side_effect=OSError(95, "not supported")
        ) as punch:
            region.compact()
        assert punch.called


def test_memory_is_given_back_too():
    buffer, plain = filled(None, 8000)
    device = handle_of(buffer.region).region.device
    full = device.allocated()
    del buffer[10:], plain[10:]
    buffer.compact()
    assert device.allocated() < full // 10
    assert list(buffer) == plain
    buffer.close()


# -- compaction ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["middle", "front", "every", "scattered", "sizes"])
def test_compact(path, which):
    rng = random.Random(which)
    buffer, plain = filled(path)
    if which == "sizes":
        buffer[:] = plain = [bytes(rng.randrange(2000)) for _ in plain]
        buffer.commit()
    doomed = {
        "middle": range(30, 2970), "front": range(1500), "every": range(0, 3000, 2),
        "scattered": [number for number in range(3000) if rng.random() < 0.7],
        "sizes": [number for number in range(3000) if rng.random() < 0.7],
    }[which]  # fmt: skip
    for number in sorted(doomed, reverse=True):
        del buffer[number], plain[number]
    buffer.commit()
    before = os.path.getsize(path)
    live = sum(map(len, plain))
    told = []
    gained = buffer.compact(progress=lambda done, total: told.append((done, total)))
    after = os.path.getsize(path)
    assert gained == before - after > 0
    assert after < 1.35 * live + 400_000
    assert told
    assert told == sorted(told)
    assert all(done <= total for done, total in told)
    assert list(buffer) == plain
    buffer.verify()
    assert buffer.compact() < 200_000, "a second time gives little more"
    buffer.append(b"after")
    buffer.close()
    with MemoryBuffer(path, "r") as again:
        assert list(again) == [*plain, b"after"]


def test_compact_gives_back_what_stats_told(path):
    buffer, plain = filled(path)
    del buffer[:2000]
    settle(buffer)
    told = buffer.stats().reclaimable_bytes
    assert told > MIB
    assert abs(buffer.compact() - told) < told / 4
    assert buffer.stats().reclaimable_bytes < told / 10
    assert list(buffer) == plain[2000:]
    buffer.close()


def test_compact_in_small_steps(path):
    buffer, plain = filled(path)
    del buffer[:2000], plain[:2000]
    settle(buffer)
    before = os.path.getsize(path)
    moved = []
    with patch.object(compaction, "STEP", 100_000):
        buffer.compact(max_bytes=250_000, progress=lambda done, total: moved.append(done))
    assert len(moved) == 2
    assert 250_000 <= moved[-1] < 700_000, "what one leaf holds may be more"
    assert list(buffer) == plain
    for _ in range(20):
        buffer.compact(max_bytes=250_000)
    assert os.path.getsize(path) < before - MIB
    assert list(buffer) == plain
    buffer.close()


def test_max_bytes_of_nothing_moves_nothing(path):
    buffer, _ = filled(path, 100)
    with pytest.raises(ValueError, match="max_bytes is 0 bytes or more, not -1"):
        buffer.compact(max_bytes=-1)
    buffer.close()


def test_an_exception_in_progress_ends_it(path):
    buffer, plain = filled(path)
    del buffer[:2000], plain[:2000]
    settle(buffer)

    def stop(done, total):
        raise KeyError("enough")

    with patch.object(compaction, "STEP", 100_000), pytest.raises(KeyError, match="enough"):
        buffer.compact(progress=stop)
    assert list(buffer) == plain
    assert buffer.stats().changes == 0
    buffer.append(b"more")
    buffer.commit()
    buffer.compact()
    assert list(buffer) == [*plain, b"more"]
    buffer.close()


def test_compact_beside_readers(path):
    buffer, plain = filled(path)
    old = buffer.snapshot()
    kept = list(plain)
    del buffer[:2900], plain[:2900]
    buffer.commit()
    readers = []

    def look(done, total):
        readers.append(buffer.snapshot())

    with patch.object(compaction, "STEP", 20_000):
        buffer.compact(progress=look)
    assert list(old) == kept
    for reader in readers:
        assert list(reader) == plain
        reader.close()
    settle(buffer)
    stats = buffer.stats()
    assert stats.oldest_snapshot == old.region.transaction_number
    assert stats.held_bytes > 2 * MIB
    old.close()
    assert buffer.stats().oldest_snapshot is None
    buffer.compact()
    assert os.path.getsize(path) < 600_000
    assert list(buffer) == plain
    buffer.close()


def test_iterators_and_lists_go_on(path):
    buffer, plain = filled(path)
    other = buffer.region.buffer("other", "text")
    other.extend(map(str, range(500)))
    del buffer[:2000], plain[:2000]
    iterator = iter(buffer)
    assert list(itertools.islice(iterator, 10)) == plain[:10]
    buffer.compact()
    assert list(iterator) == plain[10:]
    assert list(other) == list(map(str, range(500)))
    buffer.close()


def test_raw_blocks_never_move(path):
    with MemoryRegion(path) as region:
        buffer = region.buffer("log", "bytes")
        buffer.extend([b"v" * 500] * 4000)
        region.commit()
        block = region.add_blob(b"here")
        region.store(block, b"HERE")
        region.commit()
        region.store(block, b"herE")
        del buffer[:3900]
        region.compact()
        assert region.load(block, 4) == b"herE"
        assert list(buffer) == [b"v" * 500] * 100
        assert region.is_allocated(block, 4)
    assert os.path.getsize(path) >= block + 4


def test_the_catalog_moves(path):
    """A catalog that was first written behind a large value holds the tail no longer."""
    with MemoryRegion(path) as region:
        first = region.buffer("first", "bytes")
        first.append(b"x" * 3 * MIB)
        region.buffer("second", "bytes").append(b"y" * 20)
        region.commit()
        first.clear()
        region.compact()
        assert os.path.getsize(path) < MIB
        assert region.names() == ["first", "second"]


def test_changes_before_it_are_committed(path):
    buffer, plain = filled(path, 10)
    buffer.append(b"more")
    buffer.compact()
    buffer.rollback()
    assert list(buffer) == [*plain, b"more"]
    buffer.close()


def test_it_is_refused_where_it_cannot_be(path):
    buffer, _ = filled(path, 10)
    with buffer.transaction(), pytest.raises(StableMemoryError, match="call it after the block"):
        buffer.compact()
    snapshot = buffer.snapshot()
    with pytest.raises(ReadOnlyError):
        snapshot.compact()
    snapshot.close()
    buffer.close()
    with pytest.raises(StableMemoryError, match="closed"):
        buffer.compact()


@pytest.mark.usefixtures("damaged")
def test_a_damaged_value_is_an_error_and_stays(path):
    # More than closing would move.
    buffer, plain = filled(path, 6000)
    del buffer[:4000]
    settle(buffer)
    buffer.close()
    with open(path, "r+b") as file:
        at = file.read().rindex(plain[-5])
        file.seek(at + 50)
        file.write(b"!")
    with MemoryBuffer(path, blobify="bytes") as buffer:
        with pytest.raises(CorruptRegionError):
            buffer.compact()
        assert buffer[:900] == plain[4000:4900]
        with pytest.raises(CorruptRegionError):
            buffer[-5]


def test_a_tight_region_is_compacted(path):
    """With max_size, compaction takes no more room than there is."""
    region = MemoryRegion(path, max_size=8 * MIB)
    buffer = region.buffer("main", "bytes")
    buffer.extend([b"x" * 1000] * 5500)
    region.commit()
    del buffer[:5500:2]
    region.compact()
    assert os.path.getsize(path) < 4 * MIB
    assert list(buffer) == [b"x" * 1000] * 2750
    region.close()


def test_a_full_disk_while_compacting_leaves_a_whole_state():
    device = RecordingDevice()
    region = MemoryRegion._of(open_handle(None, "w", device=device), "a")
    buffer = region.buffer("main", "bytes")
    plain = [bytes([number % 256]) * 500 for number in range(3000)]
    buffer.extend(plain)
    region.commit()
    del buffer[::2], plain[::2]
    settle(buffer)
    events = len(device.events)
    for later in (3, 20, 60):
        device.fail_at, device.fail_with = events + later, 28
        try:
            region.compact()
        except OSError as error:
            assert error.errno in {28, 5}  # noqa: PT017
        device.fail_at = None
        if handle_of(region).failure:
            break
        assert list(buffer) == plain
        events = len(device.events)
    assert list(buffer) == plain
    handle_of(region).close(commit=False)


# -- what stats tells ----------------------------------------------------------------------------------


def test_stats(path):
    with MemoryRegion(path) as region:
        buffer = region.buffer("log", "bytes")
        buffer.extend([b"x" * 100] * 1000)
        block = region.allocate(5000)
        region.commit()
        before = region.stats()
        assert before.raw_bytes == 5000
        assert before.used_bytes > 105_000
        assert before.oldest_snapshot is None
        assert before.written_bytes > 100_000
        assert 0 < before.written_runs < 50
        snapshot = region.snapshot()
        buffer.append(b"y" * 100)
        region.commit()
        small = region.stats()
        assert small.written_bytes < 40_000
        assert small.oldest_snapshot == before.transaction
        assert snapshot.stats().oldest_snapshot == before.transaction
        region.deallocate(block, 5000)
        for _ in range(3):
            buffer.append(b"z")
            region.commit()
        held = region.stats()
        assert held.held_bytes >= 5000
        assert held.raw_bytes == 0
        snapshot.close()
        buffer.append(b"z")
        after = region.stats()
        assert after.held_bytes == 0
        assert 0 <= after.fragmentation < 1
        free = region.free_blocks(0, max(region.size, handle_of(region).slot.length))
        assert after.free_blocks == len(free)
        assert after.largest_free == max(size for _, size in free)


def test_what_the_last_commit_wrote_is_what_reached_the_device():
    device = RecordingDevice()
    region = MemoryRegion._of(open_handle(None, "w", device=device), "a")
    buffer = region.buffer("main", "bytes")
    buffer.extend([b"x" * 1000] * 500)
    region.commit()
    for value in (b"y", b"z" * 300):
        events = len(device.events)
        buffer.append(value)
        region.commit()
        written = [event[2] for event in device.events[events:] if event[0] == "write"]
        stats = region.stats()
        assert (stats.written_bytes, stats.written_runs) == (sum(map(len, written)), len(written))
    region.close()


def test_cut_constants_are_as_documented():
    assert (steps.TAIL_LEAST, punching.HOLE_LEAST) == (MIB, MIB)


# -- what a reviewer found -----------------------------------------------------------------------------


def test_a_growth_that_fails_is_not_counted_on(tmp_path):
    """After it, the file is as long as the region is said to be."""
    device = RecordingDevice()
    region = MemoryRegion._of(open_handle(None, "w", device=device), "a")
    region.buffer("main").append("kept")
    region.commit()
    device.fail_at, device.fail_with = len(device.events), 27
    with pytest.raises(OSError, match="File too large"):
        region.allocate(16 * MIB)
    device.fail_at = None
    block = region.allocate(MIB)
    region.commit()
    assert device.size() >= block + MIB
    assert handle_of(region).slot.length <= device.size()
    region.verify()
    region.close()


def test_nothing_is_cut_under_a_reader_of_a_commit_that_was_taken_back(path):
    with MemoryRegion(path) as region:
        buffer = region.buffer("main", "bytes")
        buffer.append(b"first")
        region.commit()
        device, spies = handle_of(region).region.device, []

        sound = device.sync

        def fail():
            spy = MemoryRegion(path, "r")
            if spy.transaction_number > region.transaction_number:
                # The slot is written, and its sync is what fails.
                spies.append(spy)
                raise device.error(5, "syncing")
            spy.close()
            sound()

        buffer.extend([b"x" * 1000] * 8000)
        with patch.object(device, "sync", fail), pytest.raises(OSError, match="Input/output"):
            region.commit()
        (spy,) = spies
        assert spy.transaction_number > region.transaction_number
        reach = handle_of(spy).slot.length
        assert reach > 8_000_000
    with MemoryRegion(path) as region:
        for number in range(6):
            region.buffer("main", "bytes").append(bytes([number]))
            region.commit()
        region.compact()
        assert os.path.getsize(path) >= reach
    assert os.path.getsize(path) >= reach
    spy.close()


def test_compacting_beside_a_snapshot_again_and_again_adds_nothing(path):
    buffer, plain = filled(path)
    old = buffer.snapshot()
    del buffer[::2], plain[::2]
    buffer.commit()
    buffer.compact()
    size, number = os.path.getsize(path), buffer.region.transaction_number
    for _ in range(4):
        assert buffer.compact() == 0
    assert (os.path.getsize(path), buffer.region.transaction_number) == (size, number)
    assert buffer.stats().reclaimable_bytes == 0
    old.close()
    assert buffer.stats().reclaimable_bytes > MIB
    buffer.close()


@pytest.mark.parametrize("gains", [True, False])
def test_compacting_ends_with_compacting(path, gains):
    buffer, _ = filled(path)
    if gains:
        del buffer[:2000]
        assert buffer.compact() > MIB
    else:
        assert buffer.compact() < MIB
    buffer.append(b"x")
    assert not handle_of(buffer.region).space.packing
    buffer.close()


def test_the_tail_is_cut_while_a_reader_is_about_to_map_it(path):
    with MemoryRegion(path) as region:
        buffer = region.buffer("main", "bytes")
        buffer.append(b"x" * 100)
        region.commit()
        buffer.extend([b"y" * 4000] * 200)
        region.commit()
        del buffer[1:]
        region.commit()
        region.compact()
        with open(path, "ab") as file:
            file.write(bytes(50_000))
        snapshot = region.snapshot()
        device = handle_of(snapshot).region.device
        sound = device.map

        def late(size):
            os.truncate(path, handle_of(region).region.length)
            return sound(size)

        with patch.object(device, "map", late):
            assert list(snapshot.buffer("main", "bytes")) == [b"x" * 100]
        snapshot.close()


def test_a_list_that_is_dropped_meanwhile(path):
    with MemoryRegion(path) as region:
        for name in ("x", "a", "b"):
            region.buffer(name, "bytes").extend([b"v" * 1500] * 2000)
        region.commit()
        region.buffer("x").clear()
        dropped = []

        def drop(done, total):
            if not dropped:
                dropped.append(region.drop("b"))

        with patch.object(compaction, "STEP", 100_000):
            region.compact(progress=drop)
        assert dropped
        assert region.names() == ["a", "x"]
        assert list(region.buffer("a")) == [b"v" * 1500] * 2000


def test_a_library_without_the_call_for_holes(path):
    with MemoryRegion(path) as region:
        middle = region.add_blob(os.urandom(2 * MIB))
        region.add_blob(b"the end")
        region.commit()
        region.deallocate(middle, 2 * MIB)
        region.commit()
        with patch(
            "stablemem._core.disk.device._punch_hole", side_effect=AttributeError("fallocate")
        ) as punch:
            region.compact()
        assert punch.called


def test_compacting_where_there_is_hardly_room(path):
    rng = random.Random(1)
    region = MemoryRegion(path, max_size=1 << 22)
    buffer = region.buffer("main", "bytes")
    plain = []
    with suppress(RegionFullError):
        while True:
            more = [rng.randbytes(rng.randrange(9, rng.choice([20, 400, 5000]))) for _ in range(30)]
            buffer.extend(more)
            region.commit()
            plain += more
    for number in sorted(rng.sample(range(len(plain)), int(len(plain) * 0.4)), reverse=True):
        del buffer[number], plain[number]
    region.commit()
    assert region.compact() > MIB
    assert list(buffer) == plain
    region.close()


def test_what_stats_promises_counts_what_waits_for_two_commits(path):
    buffer, _ = filled(path)
    del buffer[100:]
    buffer.commit()
    told = buffer.stats().reclaimable_bytes
    assert told > 2 * MIB
    assert abs(buffer.compact() - told) < told / 4
    buffer.close()
