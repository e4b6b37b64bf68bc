"""Commits that are not synced: what they allocate and free is reused, and what they leave is bounded."""

import os
import random

import pytest

from judge import judge, judge_kept
from stablemem import MemoryBuffer, MemoryRegion
from stablemem._core.txn.policy import UNSYNCED_COMMITS, UNSYNCED_LOG
from support import scaled
from support.probe import handle_of, writers
from support.recorded import BOOT, NEXT_BOOT, Recorder, contents, region_of, region_on

KIB = 1 << 10
MIB = 1 << 20
EPOCH = UNSYNCED_LOG // 4096
"""Small commits that bring about a sync."""


def syncs(device):
    return device.events.count(("sync",))


def test_the_ring_of_the_migration_page(path):
    """Three values of one byte: the file stays small while it is open, and is cut when it is closed."""
    largest = 0
    with MemoryBuffer(path, maxlen=3, autocommit=True, sync=False) as recent:
        for number in range(scaled(6, 3) * EPOCH):
            recent.append(f"{number % 10}")
            if number % 64 == 0:
                largest = max(largest, os.path.getsize(path))
        largest = max(largest, os.path.getsize(path))
        recent.verify()
        last = recent[:]
    assert largest < 4 * MIB
    assert os.path.getsize(path) < 100 * KIB
    with MemoryBuffer(path) as recent:
        assert recent[:] == last
        recent.verify()


@pytest.mark.parametrize("size", [1, 300, 5000])
def test_a_list_that_changes_all_the_time(size):
    """The file grows by the log since the last sync, and by a second copy of what was synced."""
    rng = random.Random(size)
    device = Recorder()
    device.events.clear()
    region = region_on(device)
    values = region.buffer("main", "bytes")
    plain = [rng.randbytes(size) for _ in range(300)]
    values.extend(plain)
    region.commit()
    before = device.size()
    for _ in range(EPOCH - 30):
        at = rng.randrange(300)
        plain[at] = values[at] = rng.randbytes(size)
        region.commit(sync=False)
        device.events.clear()
    assert device.size() - before < EPOCH * 4096 + 64 * KIB + 320 * size
    assert list(values) == plain
    region.verify()
    content = device.bytes()
    assert not judge(content, BOOT).faults
    assert [each.faults for each in judge_kept(content, BOOT)] == [[]]
    with region_of(content, boot=NEXT_BOOT) as after_a_cut:
        assert len(contents(after_a_cut)["main"]) == 300
    region.close()
    assert len(device.bytes()) < before + 128 * KIB + 320 * size


def test_one_in_so_many_is_synced():
    """At a MiB of log, and at most one in a hundred."""
    device = Recorder()
    region = region_on(device)
    values = region.buffer("main", "bytes")
    values.append(b"first")
    region.commit()
    synced = []
    for number in range(2 * EPOCH + 3):
        values[0] = b"%d" % number
        region.commit(sync=False)
        if handle_of(region).slot.synced:
            synced.append(number)
    assert synced == [EPOCH, 2 * EPOCH + 1]
    region.close()


def test_commits_with_much_log_are_synced_no_more_often_than_one_in_a_hundred(monkeypatch):
    monkeypatch.setattr(writers, "UNSYNCED_LOG", 4096)
    device = Recorder()
    with region_on(device) as region:
        values = region.buffer("main", "bytes")
        synced = []
        for number in range(2 * UNSYNCED_COMMITS + 3):
            values.append(b"%d" % number)
            region.commit(sync=False)
            if handle_of(region).slot.synced:
                synced.append(number)
    assert synced == [UNSYNCED_COMMITS, 2 * UNSYNCED_COMMITS + 1]


@pytest.mark.parametrize("most", [1, 2])
def test_with_little_room_they_are_synced_sooner(most):
    with MemoryRegion(max_size=most * MIB, sync=False) as region:
        values = region.buffer("main")
        values.append(0)
        for number in range(most * EPOCH + 100):
            values[0] = number
            region.commit()
        assert values[:] == [number]


def test_after_a_kill_the_commits_before_count_too():
    device = Recorder()
    region = region_on(device)
    values = region.buffer("main", "bytes")
    values.append(b"first")
    region.commit()
    for number in range(EPOCH - 10):
        values[0] = b"%d" % number
        region.commit(sync=False)
    again = region_of(device.bytes())
    values = again.buffer("main", "bytes")
    synced = []
    for number in range(20):
        values[0] = b"again %d" % number
        again.commit(sync=False)
        if handle_of(again).slot.synced:
            synced.append(number)
    assert synced == [10]
    again.close()
    region.close()


def test_a_snapshot_of_an_unsynced_commit_keeps_its_bytes():
    device = Recorder()
    region = region_on(device)
    values = region.buffer("main", "bytes")
    values.extend([b"synced " * 9] * 20)
    region.commit()
    snapshots = []
    for number in range(40):
        values[number % 20] = b"%d " % number * 30
        region.commit(sync=False)
        if number % 7 == 3:
            snapshots.append((region.snapshot(), values[:]))
        for snapshot, expected in snapshots:
            assert contents(snapshot)["main"] == expected
            snapshot.verify()
    for snapshot, _ in snapshots:
        snapshot.close()
    region.close()


def test_beside_a_snapshot_that_is_older_than_the_last_sync():
    """It does not reach what later commits allocate: only their log waits for it."""
    device = Recorder()
    region = region_on(device)
    values = region.buffer("main", "bytes")
    values.extend([b"old " * 25] * 20)
    region.commit()
    snapshot = region.snapshot()
    values[0] = b"newer"
    region.commit()
    before = device.size()
    for number in range(EPOCH - 20):
        values[1] = b"%d " % number * 900
        region.commit(sync=False)
        device.events.clear()
    assert device.size() - before < EPOCH * 4096 + 128 * KIB
    assert contents(snapshot)["main"] == [b"old " * 25] * 20
    snapshot.close()
    region.close()


@pytest.mark.parametrize("ending", ["promote", "synced"])
def test_what_a_sync_reaches_is_kept_after_it(ending):
    """Young before a promotion, and what the promoted state reaches after it: in one transaction."""
    device = Recorder()
    region = region_on(device)
    values = region.buffer("main", "bytes")
    values.extend([b"first " * 9] * 20)
    region.commit()
    for number in range(3):
        values[:] = [b"unsynced %d " % number * 9] * 20
        region.commit(sync=False)
    if ending == "promote":
        values[3:5] = [b"under way " * 9] * 3
        handle_of(region).promote()
    else:
        values[5] = b"synced"
        region.commit()
    synced = [b"unsynced 2 " * 9] * 20
    if ending == "synced":
        synced[5] = b"synced"
    for number in range(12):
        values[:] = [b"later %d " % number * 9] * 20
        region.commit(sync=False)
        content = device.bytes()
        with region_of(content, boot=NEXT_BOOT) as after_a_cut:
            assert contents(after_a_cut)["main"] == synced
        assert [each.faults for each in judge_kept(content, BOOT)] == [[]]
    region.close()


# -- closing -------------------------------------------------------------------------------------------


def test_closing_cuts_what_nobody_reaches(path):
    """Also what the last commits have freed, synced or not."""
    for sync in (True, False):
        with MemoryBuffer(path, "w", blobify="bytes", sync=sync) as values:
            values.extend([b"v" * 10_000] * 300)
            values.commit()
            del values[10:]
            values.commit()
            assert os.path.getsize(path) > 2 * MIB
        assert os.path.getsize(path) < MIB // 4
        with MemoryBuffer(path, blobify="bytes") as values:
            assert values[:] == [b"v" * 10_000] * 10
            values.verify()


def test_closing_is_no_more_than_a_commit_where_there_is_little_to_gain():
    device = Recorder()
    region = region_on(device)
    values = region.buffer("main")
    for number in range(5):
        values.append(number)
        region.commit(sync=False)
    number = region.transaction_number
    before = syncs(device)
    values.append(5)
    region.close()
    assert syncs(device) - before == 3, "two of the commit, one of the copy of its slot"
    with region_of(device.bytes()) as again:
        assert again.transaction_number == number + 1


def test_a_full_disk_while_closing_loses_nothing():
    device = Recorder()
    region = region_on(device)
    values = region.buffer("main", "bytes")
    values.append(b"first")
    region.commit()
    for number in range(60):
        values[0] = b"%d" % number
        region.commit(sync=False)
    region.commit()
    device.fail_at, device.fail_with = len(device.events), 28
    region.close()
    with region_of(device.bytes()) as again:
        assert contents(again)["main"] == [b"59"]


def test_closing_beside_a_snapshot_cuts_nothing_that_it_reaches(path):
    with MemoryRegion(path, sync=False) as region:
        values = region.buffer("main", "bytes")
        values.extend([b"v" * 1000] * 1000)
        region.commit()
        for number in range(60):
            values[number] = b"w" * 1000
            region.commit()
        snapshot = region.snapshot()
        del values[10:]
    assert contents(snapshot)["main"] == [b"w" * 1000] * 60 + [b"v" * 1000] * 940
    snapshot.verify()
    snapshot.close()


# -- after a long snapshot -----------------------------------------------------------------------------


def on_disk(path):
    return os.stat(path).st_blocks * 512


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("size", [1000, 100_000][: scaled(2, 1)])
def test_the_file_is_short_again_after_a_long_snapshot(path, sync, size):
    """Ten times rewritten beside a snapshot; after it, a few commits are enough, whatever they do."""
    total = 2_000_000

    def values(number):
        return [bytes([number]) * size] * (total // size)

    buffer = MemoryBuffer(path, blobify="bytes", sync=sync)
    buffer.extend(values(0))
    buffer.commit()
    with MemoryBuffer(path, "r"):
        for number in range(1, 11):
            buffer[:] = values(number)
            buffer.commit()
        assert os.path.getsize(path) > 10 * total
    for _ in range(6):
        buffer.append(b"small")
        buffer.commit()
    assert on_disk(path) < 2.5 * total
    for number in range(8):
        buffer[:] = values(11 + number)
        buffer.commit()
    if sync:
        assert os.path.getsize(path) < 6 * total
    buffer.close()
    assert os.path.getsize(path) < 6 * total
    with MemoryBuffer(path, "r") as reader:
        assert reader[:] == values(18)
