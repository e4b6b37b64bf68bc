"""Failing writes, growths and syncs, Ctrl-C in the middle of them, and power cuts between them."""
# ruff: noqa: PT012 - what is tested is what an exception does to the block around it

import contextlib
import errno
import operator
import os
import random

import pytest

from stablemem import COMPILED, RegionFullError, StableMemoryError
from stablemem._core.disk.device import MemoryDevice
from support import LONG, chosen_seed, scaled
from support.images import Disk, images
from support.player import Player
from support.probe import handle_of
from support.recorded import BOOT, NEXT_BOOT, Recorder, contents, prove, region_of, region_on

pytestmark = pytest.mark.usefixtures("damaged")

CHANGES = 8
ROUNDS = 4


def seed_of_run():
    """Return the seed of this run, printed so that it can be replayed."""
    seed = chosen_seed()
    print(f"STABLEMEM_SEED={seed}")
    return seed


def play(player, rng, rounds, committed):
    """Change and commit a few times; ``committed`` gets (events so far, state) at every commit's end."""
    device = handle_of(player.region).region.device
    for number in range(rounds):
        for _ in range(CHANGES):
            player.change()
        if number == 1:
            handle_of(player.region).write_early()
        if rng.random() < 0.2:
            player.rollback()
            player.change()
        player.commit()
        committed.append((len(device.events), player.committed))


def workload(seed, rounds=ROUNDS, stop=None):
    """Play a workload on a new recorder; ``stop(device)`` may arm a fault. Returns everything."""
    device = Recorder()
    region = region_on(device)
    rng = random.Random(seed)
    committed = [(len(device.events), {"main": [], "second": []})]
    player = Player(rng.random(), region)
    if stop is not None:
        stop(device)
    error = None
    try:
        play(player, rng, rounds, committed)
        with region.transaction():
            player.change()
        player.keep()
        committed.append((len(device.events), player.committed))
    except (OSError, KeyboardInterrupt) as raised:
        error = raised
    return device, region, player, committed, error


def count_events(seed):
    device, region, _, _, error = workload(seed)
    assert error is None
    count = len(device.events)
    region.close()
    return count


def goes_on(region, state):
    """Assert that a region takes another change and keeps it."""
    player = Player(1, region, start=state)
    for _ in range(4):
        player.change()
    player.commit()
    player.compare()
    prove(region)
    return player.committed


@pytest.mark.parametrize("again", range(scaled(4, 1)))
@pytest.mark.parametrize("short", [0, 1], ids=["nothing", "part"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_every_event_failing(number, short, again):
    """The n-th write, growth or sync fails, for every n: typed, rolled back, nothing lost, nothing leaked."""
    seed = seed_of_run()
    first = len(workload_header_events())
    for at in range(first, count_events(seed), 1 if COMPILED or LONG else 3):

        def arm(device, at=at):
            device.fail_at, device.fail_with = at, number
            device.fail_short = 700 * short

        device, region, player, committed, error = workload(seed, stop=arm)
        where = f"event {at} {device.events[at][:2]!r:.60}, seed {seed}"
        if error is None:
            # Zeros written ahead of the end are only for speed.
            assert device.events[at][0] == "write", where
            assert not any(device.events[at][2]), where
            assert contents(region) == player.committed, where
            prove(region)
            region.close()
            continue
        assert isinstance(error, OSError), where
        assert error.errno == number, where
        assert isinstance(error, RegionFullError) == (number == errno.ENOSPC), where
        assert "recording" in str(error), where
        last = committed[-1][1]
        device.fail_at = None
        assert contents(region) == last, where
        region.verify()
        store = handle_of(region)
        if device.events[at][0] == "sync":
            assert store.failure, where
        if store.failure:
            with pytest.raises(StableMemoryError, match="close it and open it again"):
                region.buffer("main").append(b"more")
            assert contents(region) == last, where
        else:
            prove(region)
            last = goes_on(region, last)
        for boot in (BOOT, NEXT_BOOT):
            with region_of(device.bytes(), boot=boot) as reopened:
                assert contents(reopened) == last, where
                prove(reopened)
                goes_on(reopened, last)
        handle_of(region).close(commit=False)


def workload_header_events():
    """Return the events of making an empty region, which no test here lets fail."""
    device = Recorder()
    region_on(device).close()
    return device.events


def test_growth_is_among_the_failing_events():
    kinds = {event[0] for event in workload(3)[0].events}
    assert kinds >= {"write", "sync"}


@pytest.mark.parametrize("again", range(scaled(4, 1)))
def test_ctrl_c_at_every_event(again):
    """Ctrl-C after the n-th write or sync: a later kill finds the last commit, or the interrupted one."""
    seed = seed_of_run()
    for at in range(len(workload_header_events()), count_events(seed), 1 if COMPILED or LONG else 3):

        def arm(device, at=at):
            device.interrupt_at = at

        device, region, player, committed, error = workload(seed, stop=arm)
        where = f"interrupted after event {at} {device.events[at][:2]!r:.60}, seed {seed}"
        assert isinstance(error, KeyboardInterrupt), where
        device.interrupt_at = None
        last = committed[-1][1]
        memory = contents(region)
        # The interrupted commit may have been kept, but not half of it.
        assert memory in (last, player.now), where
        again = contents(region_of(device.bytes()))
        assert again in (last, player.now), where
        begin = len(device.events)
        after = memory
        with contextlib.suppress(StableMemoryError):
            goes = Player(2, region, start=memory)
            for _ in range(12):
                goes.change()
            handle_of(region).write_early()
            midway = contents(region_of(device.bytes()))
            assert midway in (last, memory, player.now), f"killed later, {where}"
            goes.commit()
            after = goes.committed
        with region_of(device.bytes()) as reopened:
            assert contents(reopened) in (last, after, player.now), where
            prove(reopened)
        # A power cut after that, too.
        rng = random.Random(seed + at)
        disk = Disk()
        for number, event in enumerate(device.events):
            disk.play(event)
            if number >= begin and rng.random() < 0.3:
                for kept in disk.cuts(rng, 3):
                    with region_of(disk.image(kept), boot=NEXT_BOOT) as reopened:
                        assert contents(reopened) in (last, after, memory, player.now), f"cut, {where}"
                        reopened.verify()
        handle_of(region).close(commit=False)


def allowed(committed, at):
    """Return the states that a power cut after ``at`` events may leave: the last acknowledged, the next."""
    last = max(number for number, (events, _) in enumerate(committed) if events <= at)
    return [state for _, state in committed[last : last + 2]]


def recovered(image, states, where, rng):
    """Open an image as after a power cut; assert that it is one of the states, and sound, and usable."""
    region = region_of(image, boot=NEXT_BOOT, recording=True)
    found = contents(region)
    assert found in states, f"{where}: a state that was never committed, or an old one"
    region.verify()
    chance = rng.random()
    device = handle_of(region).region.device
    if chance < 0.3:
        after = goes_on(region, found)
        if chance < 0.1:
            # The power goes again, during or soon after the recovery.
            disk = Disk(start=image)
            for event in device.events:
                if rng.random() < 0.3:
                    for kept in disk.cuts(rng, 2):
                        with region_of(disk.image(kept), boot=b"a third boot ...") as again:
                            assert contents(again) in (found, after), f"{where}: cut again"
                            again.verify()
                disk.play(event)
        with region_of(device.bytes(), boot=NEXT_BOOT) as again:
            assert contents(again) == after, where
    handle_of(region).close(commit=False)


def test_power_cuts():
    """Thousands of states that a power cut may leave: each is the last commit or the one under way."""
    seed = seed_of_run()
    rng = random.Random(seed)
    wanted = scaled(1500, 80, 100_000)
    seen = 0
    while seen < wanted:
        one = rng.randrange(1 << 30)
        device, region, _, committed, error = workload(one, rounds=6)
        assert error is None
        handle_of(region).close(commit=False)
        start = committed[0][0]
        for at, image in images(device.events, rng, most=scaled(8, 3, 8)):
            if at < start:
                continue  # a file gets its name when it is whole
            seen += 1
            recovered(image, allowed(committed, at), f"seed {seed}, workload {one}, event {at}", rng)
    print(f"{seen} states")


def test_power_cuts_after_unsynced_commits():
    """A power cut may take unsynced commits away, all later ones with them, and nothing else."""
    seed = seed_of_run()
    rng = random.Random(seed)
    wanted = scaled(500, 10, 30_000)
    seen = 0
    while seen < wanted:
        one = rng.randrange(1 << 30)
        device = Recorder()
        region = region_on(device)
        player = Player(one, region)
        synced = [(len(device.events), player.committed)]
        kinds = random.Random(one)
        for _ in range(12):
            for _ in range(5):
                player.change()
            sync = kinds.random() < 0.3
            player.commit(sync)
            if sync:
                synced.append((len(device.events), player.committed))
        handle_of(region).close(commit=False)
        for at, image in images(device.events, rng, most=scaled(5, 2, 5)):
            if at < synced[0][0]:
                continue
            seen += 1
            recovered(image, allowed(synced, at), f"seed {seed}, workload {one}, event {at}", rng)
    print(f"{seen} states")


def test_kill_after_unsynced_commits():
    """The death of the process loses no commit, synced or not."""
    seed = seed_of_run()
    for one in range(scaled(40, 5)):
        device = Recorder()
        region = region_on(device)
        player = Player(seed + one, region)
        for number in range(8):
            for _ in range(5):
                player.change()
            player.commit(sync=number % 3 == 2)
            with region_of(device.bytes(), mode="r") as again:
                assert contents(again) == player.committed, f"seed {seed + one}, commit {number}"
                again.verify()
        handle_of(region).close(commit=False)


def test_power_cut_after_a_failed_write():
    """A failed write and what is done about it leave nothing that a later power cut turns into damage."""
    seed = seed_of_run()
    rng = random.Random(seed)
    wanted = scaled(700, 50, 30_000)
    seen = 0
    while seen < wanted:
        one = rng.randrange(1 << 30)
        count = count_events(one)
        at = rng.randrange(len(workload_header_events()), count)

        def arm(device, at=at):
            device.fail_at, device.fail_with = at, rng.choice([errno.EIO, errno.ENOSPC])
            device.fail_short = rng.choice([0, 512, 4096, 1 << 20])

        device, region, player, committed, error = workload(one, stop=arm)
        if not isinstance(error, OSError):
            continue
        device.fail_at = None
        last = committed[-1][1]
        interrupted = player.now
        states = [last, interrupted]
        with contextlib.suppress(StableMemoryError):
            goes = Player(one, region, start=contents(region))
            for _ in range(10):
                goes.change()
            goes.commit()
            states.append(goes.committed)
        # What the failing event did reach the disk with: what the device holds of it.
        events = list(device.events)
        if events[at][0] == "write":
            events[at] = ("write", events[at][1], events[at][2][: device.fail_short])
        elif events[at][0] == "truncate":
            events[at] = ("sync",) if False else ("write", 0, b"")
        else:
            events[at] = ("write", 0, b"")  # a sync that failed synced nothing for certain
        for number, image in images(events, rng, most=scaled(6, 3, 6)):
            if number <= at:
                continue
            seen += 1
            with region_of(image, boot=NEXT_BOOT) as again:
                where = f"seed {seed}, workload {one}, failed {at}, cut {number}"
                assert contents(again) in states, where
                again.verify()
        handle_of(region).close(commit=False)
    print(f"{seen} states")


def test_failed_sync_reopened_in_the_same_boot():
    """After a failed sync another handle recovers; what it then acknowledges survives a power cut."""
    seed = seed_of_run()
    rng = random.Random(seed)
    for one in range(scaled(12, 4)):
        events_before = workload(one)[0].events
        syncs = [n for n, event in enumerate(events_before) if event[0] == "sync"][1:]

        chosen = rng.choice(syncs)

        def arm(device, at=chosen):
            device.fail_at = at

        device, region, _, committed, error = workload(one, stop=arm)
        assert isinstance(error, OSError)
        last = committed[-1][1]
        image = device.bytes()
        handle_of(region).close(commit=False)
        again = region_of(image, recording=True)
        assert contents(again) == last
        after = goes_on(again, last)
        # The failed sync may have left anything of the interrupted commit on the disk.
        disk = Disk()
        for event in device.events[: device.fail_at]:
            disk.play(event)
        for kept in disk.cuts(rng, 6):
            cut = Disk(start=disk.image(kept))
            for event in device.events[device.fail_at + 1 :] + handle_of(again).region.device.events:
                cut.play(event)
            cut.play(("sync",))
            with region_of(bytes(cut.safe), boot=NEXT_BOOT) as third:
                assert contents(third) == after, f"seed {seed}, workload {one}"
                third.verify()
        handle_of(again).close(commit=False)


def test_every_event_of_closing_failing():
    """Closing commits; whatever fails after that, the values are there, and the handle is closed."""
    seed = seed_of_run()
    at = 0
    while True:
        device, region, player, _, _ = workload(seed, rounds=2)
        before = player.committed
        player.change()
        begin = len(device.events)
        device.fail_at, device.fail_with = begin + at, errno.EIO
        try:
            region.close()
        except OSError:
            kept = [before, player.now]
        else:
            kept = [player.now]
        assert region.closed
        with region_of(device.bytes()) as again:
            assert contents(again) in kept, f"closing, event {at}, seed {seed}"
            prove(again)
        if len(device.events) <= begin + at:
            break
        at += 1
    assert at >= 2


def test_full_disk_lets_values_be_deleted():
    """After ENOSPC the list still takes deletions, and then new values."""
    device = Recorder()
    region = region_on(device)
    values = region.buffer("main", "bytes")
    values.extend([bytes(100) for _ in range(2000)])
    region.commit()
    device.fail_at, device.fail_with = len(device.events) + 1, errno.ENOSPC
    with pytest.raises(RegionFullError) as caught:
        values.extend([bytes(200)] * 500)
        region.commit()
    assert caught.value.errno == errno.ENOSPC
    assert "nothing committed was lost" in str(caught.value)
    assert any("500 uncommitted changes were rolled back" in note for note in caught.value.__notes__)
    assert len(values) == 2000
    del values[100:]
    region.commit()
    assert len(values) == 100
    region.verify()
    region.close()


class FullDisk(MemoryDevice):
    """A disk that is full once the file has so many bytes."""

    most = 1 << 62

    def write_run(self, address, pieces):
        size = sum(map(len, pieces))
        if address + size > self.most:
            raise self.error(errno.ENOSPC, f"writing {size} bytes at address {address}")
        super().write_run(address, pieces)

    def truncate(self, size):
        if size > max(self.most, self.size()):
            raise self.error(errno.ENOSPC, f"setting the length to {size} bytes")
        super().truncate(size)


@pytest.fixture
def full():
    """Return a function: a region and its list of 20,000 values, on a disk with so much room left."""
    regions = []

    def made(room, commits=1, size=100):
        device = FullDisk()
        device.path = "full.smem"
        region = region_on(device)
        regions.append(region)
        values = region.buffer("main", "bytes")
        for first in range(0, 20_000, 20_000 // commits):
            values.extend(b"%0*d" % (size, number) for number in range(first, first + 20_000 // commits))
            region.commit()
        device.most = device.size() + room
        return region, values

    yield made
    for region in regions:
        handle_of(region).close(commit=False)


def delete_one_by_one(values):
    for position in range(len(values) // 2):
        del values[position]


@pytest.mark.parametrize("commits", [1, 20])
@pytest.mark.parametrize(
    "delete", [delete_one_by_one, lambda values: operator.delitem(values, slice(None, None, 2))]
)
def test_scattered_deletions_on_a_full_disk(full, delete, commits):
    """They need room: the error says what to do, nothing is lost, and what it says goes through."""
    region, values = full(1 << 18 if commits == 1 else 0, commits)
    held = values[:]
    for _ in range(2):
        delete(values)
        with pytest.raises(
            RegionFullError, match="or delete values, best many at once from the end, and commit"
        ) as caught:
            region.commit()
        assert "10000 uncommitted changes were rolled back" in caught.value.__notes__
        assert values[:] == held
        prove(region)
    del values[-1000:]
    region.commit()
    assert values[:] == held[:-1000]
    prove(region)


@pytest.mark.parametrize("commits", [1, 20])
@pytest.mark.parametrize("size", [8, 600])
@pytest.mark.parametrize("step", [200, 7000])
@pytest.mark.parametrize("front", [False, True])
def test_ranges_can_be_deleted_on_a_full_disk(full, commits, size, step, front):
    """As docs/durability.md says: a quarter of a MiB is enough, whatever the list."""
    region, values = full(1 << 18, commits, size)
    while values:
        del values[slice(step) if front else slice(-step, None)]
        region.commit()
    prove(region)


def test_thinning_on_a_full_disk(full):
    """As docs/durability.md says: 64 bytes for each value, and what a commit touches, three times over."""
    region, values = full(64 * 10_000 + 3 * 4096 * 1000 // 127)
    held = values[:]
    for stop in range(20_000, 0, -1000):
        del values[stop - 1000 : stop : 2]
        region.commit()
    assert values[:] == held[1::2]
    prove(region)


def fail_to_sync():
    """Stand in for a sync that fails."""
    raise OSError(errno.EIO, os.strerror(errno.EIO), "recording")


def test_poisoned_handle_says_what_to_do():
    device = Recorder()
    region = region_on(device)
    values = region.buffer("main", "bytes")
    values.append(b"kept for certain")
    region.commit()
    values.append(b"lost")
    handle_of(region).write_early()
    events = len(device.events)
    device.sync = fail_to_sync
    with pytest.raises(OSError, match="Input/output error") as caught:
        region.commit()
    assert any("1 uncommitted change was rolled back" in note for note in caught.value.__notes__)
    with pytest.raises(StableMemoryError, match=r"recording takes no more changes.*open it again"):
        values.append(b"more")
    with pytest.raises(StableMemoryError, match="open it again"):
        del values[0]
    values_of_snapshot = region.snapshot()
    assert contents(values_of_snapshot)["main"] == [b"kept for certain"]
    values_of_snapshot.close()
    assert len(device.events) - events <= 3
    assert values[:] == [b"kept for certain"]
    region.close()
    with pytest.raises(ValueError, match="closed"):
        len(values)
