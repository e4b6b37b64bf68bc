"""Blocks in steady state: what a pair of calls takes among so many, and what a commit of one free writes.

In memory: nothing here is the disk's, or waits. Times are those of the processor, without what other
processes take of it, and the loop's own cost is subtracted.
"""

import ctypes
import gc
import json
import math
import random
import statistics
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from report import Aim, Samples, Scale, median, note, number, python, say, table

from stablemem import MemoryRegion
from stablemem._core.disk.device import Buffer, MemoryDevice
from stablemem._core.txn.opening import open_handle

LARGEST = 100
"""Bytes of the largest block; sizes are drawn from 1 on, as in the original's benchmark."""

IN_ONE, AFTER = "in one transaction", "committed before"

BOUND_AT, BOUND = 1_000_000, 400.0
"""Blocks at which a pair of calls has a bound, and the bound in nanoseconds."""

MOST_WARM = 2_000_000
"""Pairs of calls, at most, before the state is taken for steady."""

ROUNDS = 5
MOST_ROUNDS = 50

MOST_WRITTEN = 64.0
"""KiB that a commit of one free may write."""

HEAP = ("env", "PYTHONMALLOC=malloc", "GLIBC_TUNABLES=glibc.malloc.tcache_count=0")
"""What runs a process whose heap is measured: without Python's own allocator, and without caches."""


class _Told(ctypes.Structure):
    """What mallinfo2 returns."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def heap_bytes() -> int:
    """Return the bytes that malloc says are in use."""
    gc.collect()
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = _Told
    told = ask()
    return int(told.uordblks + told.hblkhd)


def busy(call: Callable[..., object], *arguments: object) -> int:
    """Return the nanoseconds that a call keeps the processor busy: its time, if it waits for nothing."""
    begin = time.thread_time_ns()
    call(*arguments)
    return time.thread_time_ns() - begin


def draw_sizes(chance: random.Random, count: int) -> "array[int]":
    """Return so many sizes, drawn at random."""
    return array("B", chance.choices(range(1, LARGEST + 1), k=count))


class _Blocks:
    """A region with so many live blocks, and what frees one and allocates another."""

    def __init__(self, count: int) -> None:
        self.chance = random.Random(1)
        self.count = count
        self.region = MemoryRegion()
        self.sizes = draw_sizes(self.chance, count)
        self.addresses = array("Q", map(self.region.allocate, self.sizes))

    def pairs(self, slots: Sequence[int], sizes: Sequence[int]) -> None:
        allocate, deallocate = self.region.allocate, self.region.deallocate
        held, had = self.addresses, self.sizes
        for slot, size in zip(slots, sizes, strict=True):
            deallocate(held[slot], had[slot])
            held[slot] = allocate(size)
            had[slot] = size

    def nothing(self, slots: Sequence[int], sizes: Sequence[int]) -> None:
        """Do what ``pairs`` does without the calls."""
        held, had = self.addresses, self.sizes
        for slot, _ in zip(slots, sizes, strict=True):
            address, before = held[slot], had[slot]
            held[slot] = address
            had[slot] = before

    def measure(self, slots: Sequence[int]) -> float:
        """Return nanoseconds of a pair."""
        count = len(slots)
        # Others, which are as likely to be in no cache.
        others = array("L", self.chance.choices(range(self.count), k=count))
        sizes = draw_sizes(self.chance, count)
        return (busy(self.pairs, slots, sizes) - busy(self.nothing, others, sizes)) / count


def measure_pairs(scale: Scale, samples: Samples) -> None:
    """Note nanoseconds of a pair for every number of blocks, in one transaction and behind a commit."""
    for count in scale.steady_blocks:
        say(f"blocks: {count:,} live")
        blocks = _Blocks(count)
        warm = min(count, MOST_WARM)
        blocks.pairs(array("L", blocks.chance.choices(range(count), k=warm)), draw_sizes(blocks.chance, warm))
        for _ in range(ROUNDS):
            slots = array("L", blocks.chance.choices(range(count), k=scale.steady_pairs))
            note(samples, f"{count}", IN_ONE, blocks.measure(slots))
        # No more than a tenth of the blocks at a time: each of them was committed before.
        some = min(scale.steady_pairs, count // 10)
        for _ in range(max(ROUNDS, min(MOST_ROUNDS, scale.steady_pairs // some))):
            for _ in range(3):
                blocks.region.commit()
            slots = array("L", blocks.chance.sample(range(count), some))
            note(samples, f"{count}", AFTER, blocks.measure(slots))
        blocks.region.rollback()
        blocks.region.close()


def pairs_text(scale: Scale, samples: Samples) -> str:
    """Return the table of pairs."""
    least = scale.steady_blocks[0]

    def row(count: int) -> list[str]:
        cells = [f"{count:,}", number(math.log2(count) / math.log2(least), 2)]
        for name in (IN_ONE, AFTER):
            nanoseconds, first = median(samples, f"{count}", name), median(samples, f"{least}", name)
            assert nanoseconds is not None
            assert first is not None
            cells += [number(nanoseconds), number(nanoseconds / first, 2)]
        return cells

    return (
        f"`deallocate` of a random block and `allocate` of another size, 1 to {LARGEST} bytes, among n "
        f"live blocks: nanoseconds of the pair, medians of {ROUNDS} rounds or more of up to "
        f"{scale.steady_pairs:,} pairs, after n pairs that nobody timed ({MOST_WARM:,} at most). In "
        "one transaction a freed block is free at once. Of blocks that were committed before, at most "
        "a tenth is freed in each transaction, to come back two commits later; commits are not timed. "
        f"Beside each how it grows from n = {least:,}, and in the second column how log2 n does.\n\n"
        + table(
            ["n", "log2 n, growth", f"{IN_ONE}, ns", "growth", f"{AFTER}, ns", "growth"],
            (row(count) for count in scale.steady_blocks),
        )
    )


def pairs_aims(samples: Samples) -> list[Aim]:
    """Return what a pair must reach."""
    return [
        Aim(
            f"allocate + deallocate among {BOUND_AT:,} blocks, {name}",
            median(samples, f"{BOUND_AT}", name),
            BOUND,
            "ns",
        )
        for name in (IN_ONE, AFTER)
    ]


# -- commits that free one block -----------------------------------------------------------------------


class _Counting(MemoryDevice):
    """Memory that counts what is written to it, and is synced as if it were a disk.

    Attributes:
        all: bytes written.
        zeros: those of them that were written in runs of nothing but zeros.
    """

    durable = True
    all = zeros = 0

    def write_run(self, address: int, pieces: Sequence[Buffer]) -> None:
        size = sum(map(len, pieces))
        self.all += size
        self.zeros += size * (not any(map(any, pieces)))
        super().write_run(address, pieces)


@dataclass(frozen=True)
class Commits:
    """What was found.

    Attributes:
        free: free blocks before.
        heap: bytes that the region held then.
        written: bytes of each commit.
        zeros: those of them that were only zeros, written ahead.
    """

    free: int
    heap: int
    written: list[int]
    zeros: list[int]


def _small_commits(free: int, commits: int) -> Commits:
    """Make a region with so many free blocks, and let so many commits free one more each."""
    chance = random.Random(1)
    count = 2 * free + 1
    sizes = draw_sizes(chance, count)
    addresses = array("Q", bytes(8 * count))
    bare = heap_bytes()
    device = _Counting()
    region = MemoryRegion._of(open_handle(None, "a", device=device), "a")
    for place, size in enumerate(sizes):
        addresses[place] = region.allocate(size)
    # In no order that helps; the tree of free blocks is as full as such an order leaves it.
    for place in chance.sample(range(1, count, 2), free):
        region.deallocate(addresses[place], sizes[place])
    for _ in range(3):
        region.commit()
    held = heap_bytes() - bare
    blocks = region.stats().free_blocks
    written, zeros = [], []
    for place in chance.sample(range(0, count, 2), commits):
        region.deallocate(addresses[place], sizes[place])
        device.all = device.zeros = 0
        region.commit()
        written.append(device.all)
        zeros.append(device.zeros)
    region.close()
    return Commits(blocks, held, written, zeros)


def measure_commits(scale: Scale) -> Commits:
    """Return what commits that free one block write, and the heap that free blocks take."""
    say(f"blocks: {scale.small_commits} commits in a region with {scale.free_blocks:,} free blocks")
    told = python([__file__, str(scale.free_blocks), str(scale.small_commits)], before=HEAP).stdout
    return Commits(**json.loads(told))


def commits_aim(found: Commits) -> Aim:
    """Return what a small commit must reach."""
    row = f"largest of {len(found.written)} commits that free one block among {found.free:,} free ones"
    return Aim(row, max(found.written) / 1024, MOST_WRITTEN, "KiB")


def commits_text(found: Commits) -> str:
    """Return the table of commits."""
    written = found.written
    without = [size - ahead for size, ahead in zip(written, found.zeros, strict=True)]
    rows = [
        [what, *(number(one / 1024, 1) for one in (statistics.median(each), max(each), sum(each)))]
        for what, each in (("all", written), ("without zeros written ahead", without))
    ]
    return (
        f"A region with {found.free:,} free blocks, none beside another, three synced commits after "
        f"they were freed; then {len(written)} synced commits, each of which frees one block more: "
        "bytes given to the device's write, header and log included.\n\n"
        + table(
            ["KiB written by a commit", "median", "largest", "together"],
            rows,
        )
        + f"\n\nThe writer's heap holds {found.heap / found.free:.1f} bytes for each free block, everything "
        "else of the region included."
    )


if __name__ == "__main__":
    json.dump(asdict(_small_commits(int(sys.argv[1]), int(sys.argv[2]))), sys.stdout)
