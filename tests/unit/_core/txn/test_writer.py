"""Writer: there is one only once the region is recovered, and it is never half of two states."""

import dataclasses
import os
import random
from collections import deque

import pytest

from judge import judge
from stablemem import MemoryRegion
from stablemem._core.disk.device import Device, MemoryDevice
from stablemem._core.disk.header import Header
from stablemem._core.space.freetree import FreeTree
from stablemem._core.space.punching import HOLE_LEAST
from stablemem._core.space.spacemap import replay
from stablemem._core.txn.opening import open_handle
from stablemem._core.txn.patches import Patches
from stablemem._core.txn.state import State
from stablemem._core.txn.writer import follow, reach_of
from stablemem.layout import MAX_ADDRESS, REGION_PAGE
from support import chosen_seed, scaled
from support.player import Player
from support.probe import handle_of
from support.recorded import BOOT, NEXT_BOOT, Recorder, contents, prove, region_of, region_on

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


# -- following what others have committed ------------------------------------------------------------------


class Shared(MemoryDevice):
    """The memory of another device, through a file description of its own."""

    def __init__(self, device):
        Device.__init__(self, os.open(f"/proc/self/fd/{device.descriptor}", os.O_RDWR | os.O_CLOEXEC), "")


def take_turn(handle, boot=None):
    """Bring a handle, which has no transaction, to the newest commit; return whether its writer followed."""
    header = Header(handle.region.device, boot or handle.header.boot)
    handle.region.renew(header.newest.length)
    handle.pager.rebase(handle.region)
    state = State.read(handle.region, header.newest)
    patches = Patches(state.patches)
    followed = handle.writer is not None and follow(handle.writer, header, state, patches)
    if not followed:
        handle.writer = None
    handle.header, handle.state, handle.patches = header, state, patches
    handle.tx = handle.idle({})
    for name, index in handle.indexes.items():
        index.restore(handle.entries[name].tree)
    return followed


def shown_space(space, end):
    """Return what is free or in limbo, what is in limbo by number, and the kinds; up to an end."""
    union, limbo = FreeTree(), {}
    for address, size in space.free_blocks():
        union.insert(address, size)
    for each in space.limbo:
        for address, size in each.blocks.blocks():
            union.insert(address, size)
            limbo.setdefault(each.transaction, FreeTree()).insert(address, size)
    union.discard(end, MAX_ADDRESS)
    return union.blocks(), limbo, {page: space.kind_at(page) for page in range(0, end, REGION_PAGE)}


def require_same(handle):
    """Assert that the writer has the free space that the log says, or has released more of it from limbo."""
    writer = handle.writer
    read, chain = replay(handle.region, handle.slot)
    assert writer.space.check() == []
    ours, limbo, kinds = shown_space(writer.space, read.end)
    theirs, all_limbo, all_kinds = shown_space(read, read.end)
    assert ours == theirs
    for number, blocks in limbo.items():
        for address, size in blocks.blocks():
            # A writer gives many old blocks a later number than the log does; never an earlier one.
            for older, others in all_limbo.items():
                assert older <= number or not others.overlaps(address, size)
    released = FreeTree()
    for blocks in all_limbo.values():
        for address, size in blocks.blocks():
            released.insert(address, size)
    for blocks in limbo.values():
        for address, size in blocks.blocks():
            assert released.discard(address, address + size) == size
    for page, kind in kinds.items():
        if kind:
            assert kind == all_kinds[page]
        else:
            assert not all_kinds[page] or released.overlaps(page, REGION_PAGE)
    if not released.count:
        idle = [(a, min(n, read.end - a)) for a, n in writer.space.idle_pages(0) if a < read.end]
        assert idle == read.idle_pages(0)
        assert [tree.blocks() for tree in read.areas] == [tree.blocks() for tree in writer.space.areas]
    assert writer.log.chain == chain
    assert writer.log.length == handle.slot.length
    return released.total


class Turns:
    """Several handles of one region, each of which stays as it was until it has its turn again."""

    def __init__(self, rng, handles, io):
        self.random = rng
        self.first = Recorder()
        device = self.first
        regions = []
        for number in range(handles):
            regions.append(region_on(device) if io == "map" else region_by_pread(device))
            if not number:
                for name in ("main", "second"):
                    values = regions[0].buffer(name, "bytes")
                    values.extend([bytes(20)] * rng.choice([0, 250]))
                regions[0].commit()
            device = Shared(self.first)
        self.regions = regions
        self.lists = contents(regions[0])
        self.blocks = []
        self.snapshots = []
        self.followed = self.recovered = self.released = 0

    def turn(self):
        rng = self.random
        region = rng.choice(self.regions)
        handle = handle_of(region)
        aside = handle.writer
        if take_turn(handle):
            assert handle.writer is aside
            self.released += require_same(handle) > 0
            self.followed += 1
        elif aside is not None:
            self.recovered += 1
        player = Player(rng.random(), region, start=self.lists, most=300)
        for _ in range(rng.choice([1, 1, 2, 5, 20])):
            self.step(region, player)
        region.rollback()
        self.lists = player.committed
        assert contents(region) == self.lists
        if handle.writer is not None:
            prove(region)
        assert judge(self.first.bytes(), BOOT).faults == []
        return region

    def step(self, region, player):
        rng = self.random
        for _ in range(rng.choice([0, 1, 1, 3])):
            player.change()
        before = list(self.blocks)
        what = rng.random()
        if what < 0.25:
            self.blocks.append((region.allocate(size := rng.choice([40, 5000, 200_000])), size))
            region.store(self.blocks[-1][0], rng.randbytes(min(size, 3000)))
        elif what < 0.4 and self.blocks:
            region.deallocate(*self.blocks.pop(rng.randrange(len(self.blocks))))
        elif what < 0.5 and self.blocks:
            region.store(rng.choice(self.blocks)[0], rng.randbytes(30))
        elif what < 0.55:
            handle_of(region).write_early()
        elif what < 0.6:
            self.snapshots.append(region.snapshot())
        elif what < 0.7 and self.snapshots:
            self.snapshots.pop(0).close()
        if rng.random() < 0.15:
            player.rollback()
            self.blocks = before
            return
        player.commit(sync=rng.random() < 0.4)
        if rng.random() < 0.03:
            region.compact()

    def close(self, last):
        for snapshot in self.snapshots:
            snapshot.close()
        for region in self.regions:
            if region is not last:
                take_turn(handle_of(region))
                handle_of(region).writer = None
                handle_of(region).close(commit=False)
        last.close()
        with region_of(self.first.bytes()) as region:
            assert contents(region) == self.lists
            prove(region)


def region_by_pread(device):
    store = open_handle(None, "a", device=device, boot=BOOT, file_id=b"\1" * 16, io="pread")
    return MemoryRegion._of(store, "a")


@pytest.mark.parametrize("io", ["map", "pread"])
def test_a_writer_that_was_set_aside_follows(io):
    seed = chosen_seed()
    print(f"STABLEMEM_SEED={seed}")
    rng = random.Random(seed)
    followed = recovered = released = 0
    for _ in range(scaled(6, 2)):
        turns = Turns(rng, rng.choice([2, 3]), io)
        for _ in range(30):
            last = turns.turn()
        turns.close(last)
        followed += turns.followed
        recovered += turns.recovered
        released += turns.released
    print(f"{followed} followed, {released} of them with more released; {recovered} recovered anew")
    assert followed > recovered


def two_on_one():
    """Return two regions on one memory, with so many free blocks that a sweep takes many commits."""
    device = Recorder()
    one = region_on(device)
    values = one.buffer("main", "bytes")
    values.extend([bytes(100)] * 1200)
    one.commit()
    del values[::2]
    one.commit()
    return one, region_on(Shared(device))


def let_go(*regions):
    for region in regions:
        take_turn(handle_of(region))
        handle_of(region).close(commit=False)


def test_following_without_a_commit_between_changes_nothing():
    one, other = two_on_one()
    writer, number = handle_of(one).writer, handle_of(one).writer.number
    free, chain = one.free_blocks(0), handle_of(one).writer.log.chain
    assert take_turn(handle_of(one))
    assert handle_of(one).writer is writer
    assert (one.free_blocks(0), writer.log.chain) == (free, chain)
    assert writer.number > number - 1
    let_go(one, other)


def test_a_commit_that_another_has_synced_is_no_longer_young():
    one, other = two_on_one()
    one.buffer("main", "bytes").append(bytes(5000))
    one.commit(sync=False)
    space, log = handle_of(one).writer.space, handle_of(one).writer.log
    assert space.young.count
    assert log.unsynced_commits == 1
    take_turn(handle_of(other))
    other.commit(sync=True)
    assert other.transaction_number == one.transaction_number
    assert take_turn(handle_of(one))
    assert (space.young.count, log.unsynced_commits, log.unsynced_from) == (0, 0, None)
    assert handle_of(one).slot.synced
    let_go(one, other)


def test_unsynced_commits_of_others_wait_for_a_sync():
    one, other = two_on_one()
    one.buffer("main", "bytes").append(b"one")
    one.commit(sync=False)
    log = handle_of(one).writer.log
    first = log.unsynced_from
    take_turn(handle_of(other))
    for number in range(3):
        other.roots["number"] = number
        other.commit(sync=False)
    assert take_turn(handle_of(one))
    assert (log.unsynced_from, log.unsynced_commits) == (first, 4)
    let_go(one, other)


def grow(region):
    region.buffer("main", "bytes").extend([bytes(5000)] * 400)
    region.commit()


def shrink(region):
    del region.buffer("main", "bytes")[600:]
    region.commit()
    for number in range(3):
        region.roots["number"] = number
        region.commit()


@pytest.mark.parametrize("steps", [[grow], [grow, shrink], [shrink], [shrink, grow]])
def test_the_region_grows_and_shrinks_between(steps):
    one, other = two_on_one()
    grow(one)
    for step in steps:
        take_turn(handle_of(other))
        step(other)
    assert take_turn(handle_of(one))
    require_same(handle_of(one))
    grow(one)
    prove(one)
    assert judge(handle_of(one).region.device.bytes(), BOOT).faults == []
    let_go(one, other)


def require_refusal(one, boot=None):
    """Assert that a writer does not follow and does not change."""
    handle = handle_of(one)
    writer, space = handle.writer, handle.writer.space
    before = shown_space(space, space.end)[::2], list(writer.log.chain.pages), writer.number, writer.state
    assert not take_turn(handle, boot)
    after = shown_space(space, space.end)[::2], list(writer.log.chain.pages), writer.number, writer.state
    assert after == before
    one.roots["after"] = 1
    one.commit()
    prove(one)


def test_no_following_where_pages_between_are_gone():
    one, other = two_on_one()
    take_turn(handle_of(other))
    for number in range(100):
        other.roots["number"] = number
        other.commit()
    require_refusal(one)
    let_go(one, other)


def test_no_following_where_commits_were_lost():
    one, other = two_on_one()
    one.roots["lost"] = 1
    one.commit(sync=False)
    # As after a power cut: no handle survives one, but whoever finds another history must not go on with it.
    require_refusal(one, NEXT_BOOT)
    take_turn(handle_of(other), NEXT_BOOT)
    let_go(one, other)


@pytest.mark.parametrize("commits", [1, 2, 3])
def test_no_following_where_others_were_made_instead(commits):
    one, other = two_on_one()
    one.roots["lost"] = 1
    one.commit(sync=False)
    take_turn(handle_of(other), NEXT_BOOT)
    for number in range(commits):
        other.roots["number"] = number
        other.commit()
    require_refusal(one, NEXT_BOOT)
    let_go(one, other)


def test_no_following_in_another_file():
    one, other = two_on_one()
    writer = handle_of(one).writer
    header, state = handle_of(one).header, handle_of(one).state
    state = state._replace(slot=dataclasses.replace(state.slot, file_id=b"\2" * 16))
    assert not follow(writer, header, state, Patches(()))
    assert writer.state is not state
    let_go(one, other)


def test_no_following_into_a_page_whose_kind_nobody_names():
    """A page that is wholly free for one, since its blocks were young, has limbo and a kind for the other."""
    one, other = two_on_one()
    block = one.allocate(40_000)
    # After it, so that the page is not cut off when it is free.
    one.buffer("main", "bytes").append(bytes(70_000))
    one.commit(sync=False)
    one.deallocate(block, 40_000)
    one.commit(sync=False)
    one.roots["number"] = 1
    one.commit(sync=False)
    assert handle_of(one).writer.space.kind_at(block) == 0
    take_turn(handle_of(other))
    assert other.allocate(10_000) // REGION_PAGE == block // REGION_PAGE
    other.commit(sync=False)
    require_refusal(one)
    let_go(one, other)


def test_nothing_is_known_of_the_lengths_between():
    one, other = two_on_one()
    first = one.transaction_number
    assert reach_of(handle_of(one).writer.lengths, first) < MAX_ADDRESS
    take_turn(handle_of(other))
    other.roots["number"] = 1
    other.commit()
    assert take_turn(handle_of(one))
    one.roots["number"] = 2
    one.commit()
    assert reach_of(handle_of(one).writer.lengths, first) == MAX_ADDRESS
    assert reach_of(handle_of(one).writer.lengths, one.transaction_number) == handle_of(one).slot.length
    let_go(one, other)


def test_pages_that_others_took_are_no_holes():
    one, other = two_on_one()
    grow(one)
    shrink(one)
    holes, space = handle_of(one).writer.holes, handle_of(one).writer.space
    holes.look(space.idle_pages(HOLE_LEAST))
    assert holes.seen.total >= HOLE_LEAST
    take_turn(handle_of(other))
    grow(other)
    assert take_turn(handle_of(one))
    assert not [
        page
        for start, size in holes.seen
        for page in range(start, start + size, REGION_PAGE)
        if space.kind_at(page)
    ]
    let_go(one, other)
