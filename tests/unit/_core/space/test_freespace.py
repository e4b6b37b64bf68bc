import random
from functools import partial

import pytest

from stablemem import BlockError, RegionFullError
from stablemem._core.space.freespace import LIMBO_GENERATIONS, FreeSpace
from stablemem._core.space.freetree import FreeTree
from stablemem._core.space.layers import MOST_OWNERS, Limbo
from stablemem.layout import BLOB_PAGE, HEADER_SIZE, NODE_PAGE, NODE_SIZE, RAW_PAGE, REGION_PAGE
from support import chosen_seed, scaled

SEED = chosen_seed()


def sound(space):
    assert space.check() == []


def any_between(readers, above, below):
    return any(above < one < below for one in readers)


def nobody(above, below):
    return False


def test_a_new_region():
    space = FreeSpace()
    sound(space)
    assert space.free_blocks() == [(HEADER_SIZE, REGION_PAGE - HEADER_SIZE)]
    assert space.free_bytes == REGION_PAGE - HEADER_SIZE
    assert space.kind_at(0) == NODE_PAGE
    assert space.kind_at(1 << 40) == 0
    assert space.used_end() == HEADER_SIZE


@pytest.mark.parametrize("when", ["at once", "later"])
def test_best_fit(when):
    space = FreeSpace()
    if when == "at once":
        space.fit_best()
    blocks = [space.allocate(RAW_PAGE, size) for size in (100, 1, 60, 1, 50, 1, 50, 1)]
    for at, size in ((0, 100), (2, 60), (4, 50), (6, 50)):
        space.free(blocks[at], size)
    space.fit_best()
    assert space.best
    sound(space)
    assert space.allocate(RAW_PAGE, 55) == blocks[2]
    assert space.allocate(RAW_PAGE, 50) == blocks[4]
    assert space.allocate(RAW_PAGE, 40) == blocks[6]
    assert space.allocate(RAW_PAGE, 61) == blocks[0]
    sound(space)


def test_best_fit_of_region_pages():
    space = FreeSpace()
    space.fit_best()
    long, one, short, two = (space.allocate(RAW_PAGE, pages * REGION_PAGE) for pages in (3, 1, 1, 1))
    space.free(long, 3 * REGION_PAGE)
    space.free(short, REGION_PAGE)
    assert one < short < two
    assert space.allocate(BLOB_PAGE, 10) == short
    assert space.allocate(RAW_PAGE, 2 * REGION_PAGE) == long
    sound(space)


def test_best_fit_cuts_runs_to_the_lowest_hole():
    """A run takes the best hole for all of it; or the lowest that may be cut, and not the smallest."""
    space = FreeSpace()
    space.fit_best()
    blocks = [space.allocate(BLOB_PAGE, 300_000) for _ in range(8)]
    apart = [space.allocate(BLOB_PAGE, 100) for _ in range(8)]
    space.free(apart[1], 100)
    space.free(apart[3], 100)
    for at in (1, 3, 5):
        space.free(blocks[at], 300_000 - 1000 * at)
    assert space.take_run(BLOB_PAGE, 100, 100) == (apart[1], 100)
    begin, size = space.take_run(BLOB_PAGE, 200_000, 100)
    assert size > 100
    assert begin != apart[3]
    sound(space)


def test_kinds_have_pages_of_their_own():
    space = FreeSpace()
    node = space.allocate(NODE_PAGE, NODE_SIZE)
    blob = space.allocate(BLOB_PAGE, 10)
    raw = space.allocate(RAW_PAGE, 10)
    assert (node, blob, raw) == (HEADER_SIZE, REGION_PAGE, 2 * REGION_PAGE)
    assert [space.kind_at(each) for each in (node, blob, raw)] == [NODE_PAGE, BLOB_PAGE, RAW_PAGE]
    space.free(blob, 10)
    assert space.kind_at(blob) == 0, "a page that is wholly free has no kind"
    assert space.allocate(RAW_PAGE, REGION_PAGE) == REGION_PAGE
    sound(space)


def test_nodes_are_aligned():
    space = FreeSpace()
    addresses = [space.allocate(NODE_PAGE, NODE_SIZE) for _ in range(60)]
    assert all(address % NODE_SIZE == 0 for address in addresses)
    assert len(set(addresses)) == 60
    sound(space)


def test_blocks_larger_than_pages():
    space = FreeSpace()
    one = space.allocate(BLOB_PAGE, 3 * REGION_PAGE + 5)
    two = space.allocate(BLOB_PAGE, 100)
    assert two == one + 3 * REGION_PAGE + 5
    space.free(one, 3 * REGION_PAGE + 5)
    sound(space)
    assert space.kind_at(one) == 0
    assert space.kind_at(two) == BLOB_PAGE
    assert space.allocate(NODE_PAGE, NODE_SIZE) == HEADER_SIZE
    assert space.allocate(RAW_PAGE, 2 * REGION_PAGE) == one


def test_merging_with_the_free_tail_before_new_pages():
    space = FreeSpace()
    space.allocate(BLOB_PAGE, 4096)
    hole = space.allocate(RAW_PAGE, 2 * REGION_PAGE)
    space.allocate(RAW_PAGE, REGION_PAGE)
    space.free(hole, 2 * REGION_PAGE)
    space.allocate(BLOB_PAGE, 100 * 1024)
    sound(space)


def test_what_an_older_transaction_allocated_waits():
    space = FreeSpace()
    one = space.allocate(BLOB_PAGE, 100)
    space.allocate(BLOB_PAGE, 100)
    space.commit(5)
    space.free(one, 100)
    assert space.allocate(BLOB_PAGE, 100) != one
    space.commit(6)
    assert space.limbo_bytes == 100
    space.release(5, nobody)
    assert space.limbo_bytes == 100
    asked = []
    space.release(6, lambda above, below: asked.append((above, below)) is None)
    assert space.limbo_bytes == 100
    assert asked == [(0, 6)], "the snapshots that count are those older than what freed it"
    space.release(6, nobody)
    assert space.limbo_bytes == 0
    assert space.allocate(BLOB_PAGE, 100) == one
    sound(space)


def test_what_unsynced_commits_allocated_and_freed_waits_for_no_sync():
    space = FreeSpace()
    old, new, left = (space.allocate(BLOB_PAGE, 100) for _ in range(3))
    space.free(new, 100)
    space.free(left, 100)
    space.commit(5)
    assert [space.allocate(BLOB_PAGE, 100) for _ in range(2)] == [new, left]
    space.commit(6, 5, False)
    assert space.young.blocks() == [(new, 200)]
    space.free(old + 50, 100)
    space.commit(7, 5, False)
    assert [(each.since, each.transaction, each.blocks.blocks()) for each in space.limbo] == [
        (5, 7, [(new, 50)]), (0, 7, [(old + 50, 50)]),
    ]  # fmt: skip
    assert space.young.blocks() == [(new + 50, 150)]
    assert (space.waiting_bytes(5), space.held_bytes(4, 5), space.held_bytes(5, 7)) == (50, 50, 100)
    sound(space)
    asked = []
    space.release(5, lambda *between: asked.append(between) is None)
    assert asked == [(5, 7)], "a snapshot of an unsynced commit may reach it"
    assert space.limbo_bytes == 100
    space.release(5, nobody)
    assert space.limbo_bytes == 50
    assert space.allocate(BLOB_PAGE, 50) == new
    # Reached by the synced state from now on.
    space.settled()
    space.free(left, 100)
    space.commit(8, 7, False)
    assert [each.since for each in space.limbo] == [0, 0]
    space.free(new, 50)
    space.commit(9, 7, True)
    assert space.limbo[-1].since == 7
    assert not space.young.count
    sound(space)


def test_a_generation_that_takes_another_is_as_old():
    one, two = FreeTree(), FreeTree()
    one.insert(0, 10)
    two.insert(20, 10)
    younger = Limbo(9, two, 7)
    younger.join(Limbo(8, one, 3))
    assert (younger.since, younger.transaction, younger.blocks.total) == (3, 9, 20)


def test_limbo_that_a_snapshot_keeps_does_not_keep_what_it_does_not_reach():
    space = FreeSpace()
    blocks = [space.allocate(BLOB_PAGE, 100) for _ in range(4)]
    space.commit(5)
    space.free(blocks[0], 100)
    space.commit(6, 5, False)
    more = space.allocate(BLOB_PAGE, 100)
    space.commit(7, 5, False)
    space.free(more, 100)
    space.commit(8, 5, False)
    space.release(8, lambda above, below: above < 3 < below)
    assert [each.transaction for each in space.limbo] == [6]
    sound(space)


@pytest.mark.parametrize("best", [False, True], ids=["first", "best"])
def test_nothing_that_a_kept_slot_or_a_snapshot_reaches_is_handed_out(best):
    """Commits, synced or not, promotions and snapshots: with all states there were at hand."""
    print(f"STABLEMEM_SEED={SEED}")
    rng = random.Random(SEED)
    reused = 0
    for _ in range(scaled(30, 10)):
        space = FreeSpace()
        if best:
            space.fit_best()
        held = {}
        states = {1: {}}
        newest = synced = before = 1
        readers = []
        for number in range(2, 60):
            floor = before if newest == synced else synced
            space.release(floor, partial(any_between, readers))
            needed = [states[one] for one in {newest, floor, *readers}]
            for _ in range(rng.randrange(6)):
                if held and rng.random() < 0.5:
                    address = rng.choice(list(held))
                    space.free(address, held.pop(address))
                    continue
                kind = rng.choice([NODE_PAGE, BLOB_PAGE, RAW_PAGE])
                size = NODE_SIZE if kind == NODE_PAGE else rng.choice([9, 300, 5000, 70_000])
                if kind == NODE_PAGE and rng.random() < 0.3:
                    last = max((one for one in held if space.kind_at(one) == kind), default=0)
                    address = space.allocate_apart(kind, size, last + NODE_SIZE)
                else:
                    address = space.allocate(kind, size)
                held[address] = size
                reused += any(address in state for one, state in states.items() if one > synced)
                for state in needed:
                    for other, length in state.items():
                        assert address + size <= other or other + length <= address, f"seed {SEED}, {number}"
            if rng.random() < 0.1:
                # The newest is promoted while the transaction is open.
                if newest != synced:
                    before, synced = synced, newest
                space.settled()
            sync = rng.random() < 0.2
            space.commit(number, synced, sync)
            states[number] = dict(held)
            newest = number
            if sync:
                before, synced = synced, number
            if rng.random() < 0.15:
                readers.append(newest)
            if readers and rng.random() < 0.15:
                readers.remove(rng.choice(readers))
            sound(space)
        space.settled()
        space.release(1 << 40, nobody)
        assert space.limbo_bytes == 0
    assert reused > 20


def test_pages_apart():
    space = FreeSpace()
    one = space.allocate(NODE_PAGE, NODE_SIZE)
    first = space.allocate_apart(NODE_PAGE, NODE_SIZE, one)
    assert first == REGION_PAGE, "where something is, nothing is free"
    pages = [first]
    for _ in range(20):
        pages.append(space.allocate_apart(NODE_PAGE, NODE_SIZE, pages[-1] + NODE_SIZE))
    assert pages == [REGION_PAGE + NODE_SIZE * number for number in range(21)]
    assert space.allocate(NODE_PAGE, NODE_SIZE) == one + NODE_SIZE, "and the rest is others'"
    for page in pages:
        space.free(page, NODE_SIZE)
    sound(space)
    assert space.idle_pages(1) == [(REGION_PAGE, 2 * REGION_PAGE)]
    assert space.allocate_apart(NODE_PAGE, NODE_SIZE, 4 * REGION_PAGE) == REGION_PAGE
    space.most = space.end
    space.allocate_apart(NODE_PAGE, NODE_SIZE, one)
    assert space.allocate_apart(NODE_PAGE, NODE_SIZE, one) < REGION_PAGE, "where there is no room, anywhere"
    sound(space)


def test_what_is_put_where_most_is_free():
    """A hole high up is left for free pages below it, or it would keep the region long for ever."""
    space = FreeSpace()
    low = space.allocate(BLOB_PAGE, 40 * REGION_PAGE)
    high = space.allocate(BLOB_PAGE, 100)
    space.commit(5)
    space.free(low, 40 * REGION_PAGE)
    space.commit(6)
    space.release(6, nobody)
    assert space.allocate(BLOB_PAGE, 50) == low
    begin, size = space.take_run(BLOB_PAGE, 2 * REGION_PAGE, 10)
    assert begin == low + 50
    space.free(high, 100)
    space.commit(7)
    space.release(7, nobody)
    assert space.used_end() == begin + size
    sound(space)


def test_where_the_region_would_end_without_some_blocks():
    space = FreeSpace()
    blocks = [space.allocate(BLOB_PAGE, 100) for _ in range(4)]
    space.commit(5)
    assert space.used_end() == blocks[3] + 100
    gone, more = FreeTree(), FreeTree()
    gone.insert(blocks[3], 100)
    assert space.end_without([gone]) == blocks[3]
    more.insert(blocks[1], 200)
    assert space.end_without([gone, more]) == blocks[1]
    assert space.end_without([more]) == blocks[3] + 100
    assert space.end_without([]) == space.used_end()


def test_rollback_and_double_free():
    space = FreeSpace()
    one = space.allocate(BLOB_PAGE, 100)
    space.commit(5)
    before = space.free_blocks()
    space.free(one, 100)
    for bad in ((one, 100), (one + 50, 100), (one, 1)):
        with pytest.raises(BlockError):
            space.free(*bad)
    with pytest.raises(BlockError):
        space.free(1 << 50, 10)
    two = space.allocate(BLOB_PAGE, 500_000)
    space.undo()
    assert space.free_bytes == sum(size for _, size in space.free_blocks())
    assert two
    sound(space)
    assert [block for block in space.free_blocks() if block[0] < before[-1][0] + before[-1][1]]
    space.free(one, 100)
    space.commit(6)
    sound(space)


def test_savepoints():
    space = FreeSpace()
    old = space.allocate(BLOB_PAGE, 100)
    space.commit(5)
    outer = space.allocate(BLOB_PAGE, 100)
    space.push()
    inner = space.allocate(BLOB_PAGE, 100)
    space.free(inner, 100)
    assert space.allocate(BLOB_PAGE, 100) == inner, "the innermost layer's own is free at once"
    space.free(outer, 100)
    assert space.allocate(BLOB_PAGE, 100) not in {outer, inner, old}
    space.free(old, 100)
    space.pop()
    assert space.allocate(BLOB_PAGE, 100) == outer, "the savepoint has ended well"
    space.push()
    gone = space.allocate(BLOB_PAGE, 100)
    space.free(outer, 100)
    space.undo()
    space.layers.pop()
    assert space.allocate(BLOB_PAGE, 100) == gone
    space.commit(6)
    assert space.limbo_bytes == 100
    sound(space)


def test_freeing_what_is_allocated_and_nothing_else():
    """One call checks and frees; whatever it refuses, ``fault_of`` names, and nothing has changed."""
    space = FreeSpace()
    blocks = [space.allocate(RAW_PAGE, 100) for _ in range(6)]
    space.allocate(RAW_PAGE, 3 * REGION_PAGE)
    blob = space.allocate(BLOB_PAGE, 100)
    space.commit(5)
    space.free(blocks[0], 100)
    space.commit(6)
    space.free(blocks[1], 100)
    fresh = space.allocate(RAW_PAGE, 100)
    space.free(space.allocate(RAW_PAGE, 50), 50)
    free = fresh + 100
    space.push()
    inner = space.allocate(RAW_PAGE, 30)
    space.free(blocks[2], 100)
    before = space.free_blocks(), space.count_blocks(), [layer.freed.total for layer in space.layers]
    wrong = [
        (blocks[0], 100), (blocks[0] + 99, 2), (blocks[1] + 50, 100), (blocks[1], 1), (blocks[2], 100),
        (blocks[2] + 99, 101), (inner, 31), (inner + 30, 1), (free - 1, 50), (blob, 100), (0, 1),
        (HEADER_SIZE, 1), (fresh, 0), (space.end - 1, 2), (1 << 50, 10), (blocks[5], 7 * REGION_PAGE),
    ]  # fmt: skip
    for address, size in wrong:
        fault = space.fault_of(RAW_PAGE, address, size)
        assert fault
        assert space.free_allocated(RAW_PAGE, address, size) == fault
    after = space.free_blocks(), space.count_blocks(), [layer.freed.total for layer in space.layers]
    assert after == before
    for address, size in [(blocks[3] + 10, 20), (blocks[4], 200), (inner, 10), (fresh, 100)]:
        assert not space.fault_of(RAW_PAGE, address, size)
        assert space.free_allocated(RAW_PAGE, address, size) == ""
        assert space.is_unused(address, size)
        sound(space)
    assert space.layers[-1].freed.total == 100 + 20 + 200 + 100
    space.free(inner + 10, 20)
    assert space.free_allocated(RAW_PAGE, blocks[5] + 100, 3 * REGION_PAGE - 100) == ""
    sound(space)


def test_freeing_a_run_of_which_the_transaction_allocated_a_part():
    space = FreeSpace()
    old = space.allocate(RAW_PAGE, 100)
    space.commit(5)
    new = space.allocate(RAW_PAGE, 100)
    assert new == old + 100
    assert space.free_allocated(RAW_PAGE, old + 50, 100) == ""
    assert space.layers[-1].freed.blocks() == [(old + 50, 50)]
    assert space.fresh_blocks() == [(new + 50, 50)]
    assert space.free_allocated(RAW_PAGE, old, 60) != ""
    sound(space)


def test_what_is_fresh_is_known_by_its_region_page():
    """In pages of its own a layer has whatever is not free; elsewhere, what it allocated."""
    space = FreeSpace()
    old = space.allocate(RAW_PAGE, REGION_PAGE - 50)
    space.commit(5)
    across = space.allocate(RAW_PAGE, REGION_PAGE + 100)
    assert across == old + REGION_PAGE - 50
    assert space.fresh_blocks() == [(across, REGION_PAGE + 100)]
    assert space.layers[-1].blocks.blocks() == [(across, 50)]
    assert space.layers[-1].pages.blocks() == [(across + 50, 2 * REGION_PAGE)]
    assert space.free_allocated(RAW_PAGE, across + 20, 100) == ""
    assert space.fresh_blocks() == [(across, 20), (across + 120, REGION_PAGE - 20)]
    assert space.fresh_blocks(across + 10, across + 130) == [(across + 10, 10), (across + 120, 10)]
    assert space.fresh_parts(across - 10, 40) == [
        (across - 10, 10, False), (across, 20, True), (across + 20, 10, False),
    ]  # fmt: skip
    for address, size in ((across, 20), (across + 120, REGION_PAGE - 20), (across + 120, 1)):
        assert space.is_fresh(address, size)
    for address, size in ((across, 21), (across - 1, 2), (across + 119, 2), (across + 10, 120), (old, 10)):
        assert not space.is_fresh(address, size)
    sound(space)
    space.undo()
    assert space.fresh_blocks() == []
    assert space.used_end() == across
    sound(space)


def test_pages_of_a_layer_are_not_fresh_for_the_one_above():
    space = FreeSpace()
    outer = space.allocate(RAW_PAGE, 100)
    space.push()
    assert space.fresh_blocks() == []
    inner = space.allocate(RAW_PAGE, 100)
    more = space.allocate(RAW_PAGE, 2 * REGION_PAGE)
    assert space.fresh_blocks() == [(inner, 100 + 2 * REGION_PAGE)]
    assert more == inner + 100
    assert space.free_allocated(RAW_PAGE, outer, 150) == ""
    assert not space.is_unused(inner + 50, 1)
    assert space.is_unused(outer, 150)
    assert space.allocate(RAW_PAGE, 50) == inner, "what the savepoint freed of its own"
    assert space.layers[-1].freed.blocks() == [(outer, 100)]
    sound(space)
    space.pop()
    assert space.fresh_blocks() == [(inner, 100 + 2 * REGION_PAGE)]
    assert space.allocate(RAW_PAGE, 100) == outer
    sound(space)


def test_a_page_given_back_and_taken_by_a_savepoint():
    space = FreeSpace()
    space.allocate(RAW_PAGE, 100)
    page = space.allocate(BLOB_PAGE, REGION_PAGE)
    last = space.allocate(BLOB_PAGE, 100)
    space.free(page, REGION_PAGE)
    space.push()
    assert space.allocate(NODE_PAGE, REGION_PAGE) == page
    assert space.fresh_blocks() == [(page, REGION_PAGE)]
    sound(space)
    space.undo()
    space.layers.pop()
    assert space.kind_at(page) == 0
    assert not space.is_fresh(page, 1)
    assert space.is_fresh(last, 100)
    sound(space)
    space.push()
    space.allocate(NODE_PAGE, REGION_PAGE)
    space.pop()
    assert space.is_fresh(page, REGION_PAGE)
    space.free(page, REGION_PAGE)
    sound(space)


def test_more_savepoints_than_have_pages_of_their_own():
    space = FreeSpace()
    blocks = []
    for _ in range(MOST_OWNERS + 3):
        blocks.append(space.allocate(RAW_PAGE, REGION_PAGE))
        space.push()
    blocks.append(space.allocate(RAW_PAGE, REGION_PAGE))
    assert space.fresh_blocks() == [(blocks[-1], REGION_PAGE)]
    assert not space.layers[-1].pages.count
    sound(space)
    space.undo()
    space.layers.pop()
    assert space.kind_at(blocks[-1]) == 0
    while len(space.layers) > 1:
        space.pop()
    assert space.fresh_blocks() == [(blocks[0], (MOST_OWNERS + 3) * REGION_PAGE)]
    sound(space)
    space.commit(5)
    assert space.fresh_blocks() == []
    sound(space)


@pytest.mark.parametrize("size", [100, REGION_PAGE + 100])
def test_freeing_twice_in_pages_of_its_own(size):
    space = FreeSpace()
    space.allocate(RAW_PAGE, 50)
    block = space.allocate(RAW_PAGE, size)
    space.allocate(RAW_PAGE, 50)
    space.free(block + 40, 20)
    for address, length in ((block + 40, 20), (block + 30, 11), (block + 59, 2), (block, 100)):
        fault = f"block ({address}, {length}) is not all allocated: ({block + 40}, 20) is free"
        assert space.free_allocated(RAW_PAGE, address, length) == fault
        with pytest.raises(BlockError):
            space.free(address, length)
        sound(space)
    with pytest.raises(BlockError):
        space.free(block, size)
    sound(space)
    assert space.fresh_blocks() == [(block - 50, 90), (block + 60, size - 60 + 50)]
    assert space.layers[-1].freed.blocks() == []


def test_a_refused_growth_changes_nothing():
    space = FreeSpace()
    space.allocate(RAW_PAGE, 10)
    space.add_pages(1)
    space.most = space.end
    before = space.free_blocks()
    with pytest.raises(RegionFullError):
        space.allocate(NODE_PAGE, 2 * REGION_PAGE)
    assert space.free_blocks() == before
    sound(space)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda space, own, old: space.layers[0].pages.remove(own, REGION_PAGE),
        lambda space, own, old: space.layers[0].pages.insert(old, REGION_PAGE),
        lambda space, own, old: space.layers[0].pages.insert(1 << 40, REGION_PAGE),
        lambda space, own, old: space.layers[1].pages.insert(own, REGION_PAGE),
        lambda space, own, old: space.layers[0].blocks.insert(own, 10),
        lambda space, own, old: space.layers[0].freed.insert(own, 10),
        lambda space, own, old: space.limbo[0].blocks.insert(own, 10),
        lambda space, own, old: space.given.remove(own, REGION_PAGE),
        lambda space, own, old: space.young.insert(own - 30, 10),
        lambda space, own, old: space.young.insert(space.limbo[0].blocks.blocks()[0][0], 10),
        lambda space, own, old: space.layers.reverse(),
    ],
)  # fmt: skip
def test_check_finds_what_would_make_the_wrong_bytes_fresh(spoil):
    space = FreeSpace()
    old = space.allocate(RAW_PAGE, REGION_PAGE)
    gone = space.allocate(BLOB_PAGE, 10)
    space.allocate(BLOB_PAGE, 10)
    space.commit(5)
    space.free(gone, 10)
    space.commit(6)
    own = space.allocate(RAW_PAGE, REGION_PAGE)
    space.push()
    sound(space)
    spoil(space, own, old)
    assert space.check() != []


def test_generations_are_bounded():
    space = FreeSpace()
    blocks = [space.allocate(BLOB_PAGE, 10) for _ in range(3 * LIMBO_GENERATIONS)]
    space.commit(1)
    for number, address in enumerate(blocks):
        space.free(address, 10)
        space.commit(2 + number)
    assert len(space.limbo) <= LIMBO_GENERATIONS
    assert space.limbo_bytes == 30 * LIMBO_GENERATIONS
    assert space.limbo[0].transaction > 2
    sound(space)
    space.release(1 << 40, nobody)
    assert space.limbo_bytes == 0
    sound(space)


def test_runs_are_contiguous():
    space = FreeSpace()
    address, size = space.take_run(BLOB_PAGE, 1_000_000, 100)
    assert size == 1_000_000
    assert space.take_run(BLOB_PAGE, 50, 50) == (address + size, 50)
    space.commit(1)
    sound(space)


def test_holes_are_used_before_the_file_grows_without_end():
    space = FreeSpace()
    blocks = [space.allocate(BLOB_PAGE, 1000) for _ in range(5000)]
    space.commit(1)
    for address in blocks[::2]:
        space.free(address, 1000)
    space.commit(2)
    space.release(2, nobody)
    end = space.end
    left = 1_000_000
    while left:
        _, size = space.take_run(BLOB_PAGE, left, 1000)
        left -= size
    assert space.end == end
    sound(space)


def test_a_region_is_never_larger_than_addresses_are():
    with pytest.raises(RegionFullError, match="beyond"):
        FreeSpace().allocate(RAW_PAGE, 1 << 56)


@pytest.mark.parametrize("best", [False, True], ids=["first", "best"])
def test_random_work(best):
    """Nothing is handed out twice; what is not allocated is free or in limbo."""
    print(f"STABLEMEM_SEED={SEED}")
    rng = random.Random(SEED)
    for _ in range(scaled(20, 8)):
        space = FreeSpace()
        if best:
            space.fit_best()
        held, kept, layers = {}, {}, []
        fresh = [set()]
        transaction = 1
        for step in range(300):
            what = rng.random()
            if what < 0.45:
                kind = rng.choice([NODE_PAGE, BLOB_PAGE, BLOB_PAGE, RAW_PAGE])
                size = (
                    NODE_SIZE if kind == NODE_PAGE else rng.choice([1, 9, 300, 5000, 70_000, 65_536, 200_000])
                )
                if rng.random() < 0.3:
                    wanted = size * rng.randrange(1, 9)
                    address, size = space.take_run(kind, wanted, size)
                    assert size <= wanted
                else:
                    address = space.allocate(kind, size)
                for other, other_size in held.items():
                    assert address + size <= other or other + other_size <= address
                held[address] = size
                fresh[-1].add(address)
            elif what < 0.8 and held:
                address = rng.choice(list(held))
                space.free(address, held.pop(address))
                fresh[-1].discard(address)
            elif what < 0.86:
                space.push()
                layers.append(dict(held))
                fresh.append(set())
            elif what < 0.92 and layers:
                if rng.random() < 0.5:
                    space.pop()
                    layers.pop()
                    fresh[-2:] = [(fresh[-1] | fresh[-2]) & held.keys()]
                else:
                    space.undo()
                    space.layers.pop()
                    held = layers.pop()
                    fresh.pop()
            elif not layers:
                fresh = [set()]
                if rng.random() < 0.6:
                    space.commit(transaction)
                    kept = dict(held)
                    transaction += 1
                    space.release(rng.randrange(transaction), lambda *_: rng.random() < 0.3)
                else:
                    space.undo()
                    held = dict(kept)
            if step % 10 == 0:
                assert space.check() == [], f"seed {SEED}, step {step}"
            expected = FreeTree()
            for address in fresh[-1]:
                expected.insert(address, held[address])
            assert space.fresh_blocks() == expected.blocks(), f"seed {SEED}, step {step}"
        free = sum(size for _, size in space.free_blocks()) + space.limbo_bytes
        waiting = sum(layer.freed.total for layer in space.layers)
        assert free + waiting + sum(held.values()) + HEADER_SIZE == space.end, f"seed {SEED}"


# -- what newer pages of the log say -----------------------------------------------------------------------


def tree_of(*blocks):
    tree = FreeTree()
    for block in blocks:
        tree.insert(*block)
    return tree


def amended(space, end, free=(), limbo=(), decided=(), **kinds):
    """Amend a space; ``nodes``, ``blobs`` and ``raw`` are the region pages that got these kinds."""
    areas = [tree_of(), *[tree_of(*kinds.get(name, ())) for name in ("nodes", "blobs", "raw")]]
    pages = tree_of(*[block for blocks in kinds.values() for block in blocks])
    old = [Limbo(number, tree_of(*blocks)) for number, blocks in limbo]
    done = space.amend(end, areas, tree_of(*free), old, tree_of(*decided), pages)
    assert space.check() == []
    return done


PAGE = REGION_PAGE


def two_pages():
    """Return a space with a region page of blobs: 1000 bytes in use, 1000 in limbo of 5, the rest free."""
    space = FreeSpace()
    assert space.allocate(2, 2000) == PAGE
    space.commit(4)
    space.free(PAGE + 1000, 1000)
    space.commit(5)
    return space


def test_amending_with_nothing_changes_nothing():
    space = two_pages()
    free = space.free_blocks()
    assert amended(space, PAGE + 2000)
    assert (space.free_blocks(), space.limbo_bytes, space.end) == (free, 1000, 2 * PAGE)


def test_amending_the_use_of_bytes():
    space = two_pages()
    assert amended(space, PAGE + 3000, limbo=[(6, [(PAGE, 500)])], decided=[(PAGE, 500), (PAGE + 2900, 100)])
    assert space.free_blocks(PAGE) == [(PAGE + 2000, 900), (PAGE + 3000, PAGE - 3000)]
    assert [(each.transaction, each.blocks.blocks()) for each in space.limbo] == [
        (5, [(PAGE + 1000, 1000)]),
        (6, [(PAGE, 500)]),
    ]


def test_amending_keeps_one_limbo_for_a_number():
    space = two_pages()
    assert amended(space, PAGE + 2000, limbo=[(5, [(PAGE, 500)])], decided=[(PAGE, 500)])
    assert [(each.transaction, each.blocks.blocks()) for each in space.limbo] == [
        (5, [(PAGE, 500), (PAGE + 1000, 1000)])
    ]


def test_amending_the_kind_of_a_page_that_is_partly_free():
    """What another writer had released from limbo is in a page of another kind by now."""
    space = two_pages()
    assert amended(space, PAGE + 5096, limbo=[(6, [(PAGE, 1000)])], decided=[(PAGE, 1000)])
    assert amended(space, PAGE + 5096, decided=[(PAGE, 1000), (PAGE + 4096, 1000)], raw=[(PAGE, PAGE)])
    assert space.kind_at(PAGE) == 3
    assert space.limbo_bytes == 1000
    assert space.allocate(3, 2000) == PAGE + 2000


def test_amending_the_kind_of_a_page_that_stays_free():
    space = two_pages()
    space.add_pages(1)
    assert amended(space, 3 * PAGE, decided=[(PAGE, 1)], raw=[(2 * PAGE, PAGE)])
    assert space.kind_at(2 * PAGE) == 0
    assert space.idle_bytes == PAGE


def test_amending_a_page_until_it_is_free():
    space = two_pages()
    assert amended(space, PAGE + 2000, free=[(PAGE, 2000)], decided=[(PAGE, 2000)])
    assert (space.kind_at(PAGE), space.idle_bytes, space.limbo_bytes) == (0, PAGE, 0)


@pytest.mark.parametrize("end", [PAGE, 2 * PAGE - 1, 2 * PAGE, 2 * PAGE + 1, 5 * PAGE])
def test_amending_the_end(end):
    space = two_pages()
    space.grown = False
    growth = [(2 * PAGE, end - 2 * PAGE)] if end > 2 * PAGE else []
    assert amended(space, end, free=growth, decided=growth)
    assert space.end == max(2 * PAGE, -(-end // PAGE) * PAGE)
    assert space.grown == (end > 2 * PAGE)
    if end == PAGE:
        assert (space.used_end(), space.limbo_bytes) == (12288, 0)


@pytest.mark.parametrize(
    "told",
    [
        {"decided": [(2 * PAGE, 10)]},
        {"decided": [(3 * PAGE, 10)]},
        {"decided": [(2 * PAGE, 10)], "limbo": [(6, [(2 * PAGE, 10)])]},
        {"decided": [(0, 20)], "free": [(0, 20)]},
        {"decided": [(0, 20)], "limbo": [(6, [(0, 20)])]},
    ],
)
def test_amending_is_refused(told):
    """Bytes in use where no page has a kind, and free ones in the header."""
    space = two_pages()
    space.add_pages(1)
    before = space.free_blocks(), space.limbo_bytes, space.end
    assert not amended(space, 4 * PAGE, **told)
    assert (space.free_blocks(), space.limbo_bytes, space.end) == before
