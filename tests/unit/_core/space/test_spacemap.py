import random

import pytest

from judge import judge
from stablemem import CorruptRegionError, MemoryRegion
from stablemem._core.audit.verify import verify_writer
from stablemem._core.space import spacemap
from stablemem._core.space.spacemap import CAPACITY, SWEEP_COMMITS, read_chain, replay
from support import chosen_seed, scaled
from support.player import Player
from support.probe import chain_of, handle_of
from support.recorded import BOOT, Recorder, contents, prove, region_of, region_on

SEED = chosen_seed()


def free_and_limbo(space):
    blocks = space.free_blocks()
    for each in space.limbo:
        blocks += each.blocks.blocks()
    merged = []
    for address, size in sorted(blocks):
        if merged and merged[-1][0] + merged[-1][1] == address:
            merged[-1] = (merged[-1][0], merged[-1][1] + size)
        else:
            merged.append((address, size))
    return merged


def same_space(region):
    """Assert that the log says what the writer knows, kinds included."""
    store = handle_of(region)
    read, chain = replay(store.region, store.slot)
    ours = store.writer.space
    assert verify_writer(store) == []
    end = store.slot.length
    clip = lambda blocks: [(a, min(n, end - a)) for a, n in blocks if a < end]  # noqa: E731
    assert clip(free_and_limbo(read)) == clip(free_and_limbo(ours)), f"seed {SEED}"
    for page in range(0, end, 65536):
        if ours.kind_at(page):
            assert read.kind_at(page) == ours.kind_at(page), f"seed {SEED}: kind of the page at {page}"
    assert read.check() == []
    return chain


def test_replay_equals_what_the_writer_knows():
    print(f"STABLEMEM_SEED={SEED}")
    rng = random.Random(SEED)
    for _ in range(scaled(6, 3)):
        region = region_on(Recorder())
        player = Player(rng.random(), region, most=900)
        for number in range(60):
            for _ in range(rng.randrange(1, 5)):
                player.change()
            if rng.random() < 0.2:
                handle_of(region).write_early()
            if rng.random() < 0.15:
                player.rollback()
                player.change()
            player.commit(sync=rng.random() < 0.5)
            if number % 3 == 0:
                same_space(region)
        region.close()


def test_restarting_in_the_middle():
    print(f"STABLEMEM_SEED={SEED}")
    rng = random.Random(SEED)
    device = Recorder()
    region = region_on(device)
    state = {"main": [], "second": []}
    for _ in range(scaled(12, 5)):
        player = Player(rng.random(), region, start=state, most=900)
        for _ in range(rng.randrange(1, 15)):
            player.change()
            player.commit(sync=rng.random() < 0.6)
        state = player.committed
        same_space(region)
        if rng.random() < 0.5:
            region.close()
            image = device.bytes()
        else:
            image = device.bytes()
            handle_of(region).close(commit=False)
        region = region_of(image, recording=True)
        device = handle_of(region).region.device
        assert contents(region) == state, f"seed {SEED}"
        prove(region)
    region.close()


def test_the_chain_stays_short_over_thousands_of_small_commits():
    commits = scaled(5000, 1500)
    with MemoryRegion() as region:
        values = region.buffer("main", "bytes")
        longest = 0
        for number in range(commits):
            if number % 3 == 2:
                del values[0]
            else:
                values.append(b"%d" % number)
            region.commit()
            longest = max(longest, len(chain_of(handle_of(region)).pages))
        assert longest <= 12
        assert region.stats().file_bytes < 2_000_000
        same_space(region)
        region.verify()


def test_the_chain_of_a_region_with_many_free_blocks():
    """A sweep over n free blocks takes 64 pages, n / 252 if that is more; the chain holds about two."""
    with MemoryRegion() as region:
        values = region.buffer("main", "bytes")
        count = scaled(30_000, 8_000)
        values.extend([b"%d" % number * 5 for number in range(count)])
        region.commit()
        kept = region.snapshot()
        for number in range(0, count, 2):
            values[number] = b"inline"
        region.commit()
        kept.close()
        longest = 0
        for number in range(400):
            values[number % 100] = b"%d" % (number % 10)
            region.commit()
            if number >= 200:
                longest = max(longest, len(chain_of(handle_of(region)).pages))
        blocks = len(free_and_limbo(handle_of(region).writer.space))
        assert blocks > count // 4
        sweep = max(SWEEP_COMMITS, -(-blocks // (CAPACITY - 70))) + 1
        assert longest <= 2 * sweep + 4, f"{longest} pages for {blocks} blocks"
        same_space(region)
        region.verify()


def test_one_commit_with_more_entries_than_fit_a_page():
    with MemoryRegion() as region:
        values = region.buffer("main", "bytes")
        values.extend([b"%d" % number * 9 for number in range(4000)])
        region.commit()
        del values[::2]
        region.commit()
        assert len(chain_of(handle_of(region)).pages) > 5
        same_space(region)
        values[::3] = [b"a value of another length altogether"] * len(values[::3])
        region.commit()
        same_space(region)
        region.verify()


@pytest.mark.parametrize("sync", [True, False])
def test_snapshots_keep_limbo_in_the_log(sync):
    """Limbo keeps its transaction through a restart: readers outlive writers."""
    device = Recorder()
    region = region_on(device)
    values = region.buffer("main", "bytes")
    values.extend([bytes(100)] * 500)
    region.commit()
    snapshots = []
    for number in range(6):
        snapshots.append(region.snapshot())
        # Of each commit's values a part is freed with what was synced: two sets of one number.
        values[100 * (number % 3) :] = [b"%d" % number * 90] * 300
        region.commit(sync)
    space = handle_of(region).writer.space
    limbo = {each.transaction for each in space.limbo}
    assert len(limbo) > 3
    assert sync or len(limbo) < len(space.limbo)
    assert judge(device.bytes(), BOOT).faults == []
    read, _ = replay(handle_of(region).region, handle_of(region).slot)
    for number in limbo:
        kept = [each.blocks.blocks() for each in space.limbo if each.transaction == number]
        found = [each.blocks for each in read.limbo if each.transaction == number]
        assert [each.total for each in found] == [sum(size for one in kept for _, size in one)]
        assert all(found[0].covers(*block) for one in kept for block in one)
    for each in snapshots:
        each.close()
    region.close()


@pytest.mark.usefixtures("damaged")
def test_a_page_that_is_not_the_one_named():
    device = Recorder()
    region = region_on(device)
    values = region.buffer("main", "bytes")
    for number in range(5):
        values.append(b"%d" % number * 40)
        region.commit()
    slot = handle_of(region).slot
    pages = read_chain(handle_of(region).region, slot)[0].pages
    assert [page[0] for page in pages] == list(range(slot.log_oldest, slot.log_newest + 1))
    region.close()
    image = bytearray(device.bytes())
    for _, address, _ in pages:
        other = bytearray(image)
        other[address + 70] ^= 1
        broken = region_of(bytes(other))
        with pytest.raises(CorruptRegionError, match="log page"):
            handle_of(broken).space  # noqa: B018 - reading it is what fails
        before = broken.buffer("main")[:]
        with pytest.raises(CorruptRegionError, match="log page"):
            broken.buffer("main").append(b"x")
        assert broken.buffer("main")[:] == before
        handle_of(broken).close(commit=False)


@pytest.mark.parametrize("batch", [1, 2, 7, 99, 100])
def test_replay_asks_for_some_blocks_at_a_time(monkeypatch, batch):
    """What lies between the last block of one batch and the first of the next is decided as well."""
    with MemoryRegion() as region:
        block = region.allocate(100_000)
        region.commit()
        for number in range(100):
            region.deallocate(block + 900 * number, 100 + number)
        region.commit()
        for number in range(70):
            # Sweeps restate it all, several times.
            region.roots["number"] = (number,)
            region.commit()
        store = handle_of(region)

        def replayed():
            space, _ = replay(store.region, store.slot)
            limbo = [(each.transaction, each.blocks.blocks()) for each in space.limbo]
            return space.free_blocks(), limbo, [area.blocks() for area in space.areas], space.check()

        expected = replayed()
        assert len(expected[0]) > 90
        monkeypatch.setattr(spacemap, "BATCH", batch)
        assert replayed() == expected
