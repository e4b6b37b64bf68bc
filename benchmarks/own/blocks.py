"""MemoryRegion as an allocator: the original's table; and, in steady.py, many blocks and small commits.

Everything happens in memory, so nothing here is the disk's, or waits: times are the processor's. From every
time, and from every count of instructions, that of the same loop without the calls is subtracted. Heap
bytes are those that malloc says are in use, in a process of its own, with Python's own allocator out of the
way.
"""

import os
import random
import sys
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from own import steady
from own.counts import CALLGRIND, collected, uncounted
from own.steady import HEAP, LARGEST, busy, draw_sizes, heap_bytes
from report import Samples, Scale, Section, median, note, number, python, say, table

import stablemem
from stablemem import MemoryRegion
from stablemem._core.disk.device import MemoryDevice
from stablemem._core.disk.region import Region

ALLOCATE, NO_MERGE, MERGE = "allocate()", "deallocate(), no merge", "deallocate(), merging"
RECYCLED, AMONG = "allocate(), recycled", "allocate(), among free blocks"
STEPS = (ALLOCATE, NO_MERGE, MERGE, RECYCLED, AMONG)
OURS, BARE = "MemoryRegion", "Region"
WHO = [(OURS, step) for step in STEPS] + [(BARE, ALLOCATE)]

SEED_CALLS = 10_000
SEED_INSTRUCTIONS = {
    ALLOCATE: 12_540_675, NO_MERGE: 90_775_947, MERGE: 239_162_910, RECYCLED: 84_871_033,
}  # fmt: skip
SEED_HEAP = {ALLOCATE: 9_140, NO_MERGE: 1_735_636, MERGE: 4_217_956, RECYCLED: 2_326_636}
SEED_BARE = {"instructions": 7_690_443, "heap": 9_140}
"""What the post tells, for all of its 10,000 calls."""

FEW = 100
"""Calls of the shorter of two runs whose instructions are compared."""

Loop = Callable[[int], object]


def _prepare(who: str, step: str, calls: int) -> tuple[Loop, Loop, Any]:
    """Return a loop over so many calls of a step, the same without the calls, and what they are made on."""
    chance = random.Random(1)
    sizes = draw_sizes(chance, 2 * calls)
    addresses = array("Q", bytes(8 * 2 * calls))
    if who == BARE:
        bare = Region(MemoryDevice())
        return _bump(bare, sizes, addresses), _no_allocate(sizes, addresses), bare
    region = MemoryRegion()
    freed: Sequence[int] = range(0)
    if step != ALLOCATE:
        for place, size in enumerate(sizes):
            addresses[place] = region.allocate(size)
        # Every other one: none has a free neighbour. Then the rest: each has two.
        first, rest = array("L", range(0, 2 * calls, 2)), array("L", range(1, 2 * calls, 2))
        chance.shuffle(first)
        chance.shuffle(rest)
        before = {NO_MERGE: [], MERGE: first, RECYCLED: [*first, *rest], AMONG: first}[step]
        for place in before:
            region.deallocate(addresses[place], sizes[place])
        freed = {NO_MERGE: first, MERGE: rest}.get(step, freed)
    if step in {NO_MERGE, MERGE}:
        return _deallocate(region, sizes, addresses, freed), _no_deallocate(sizes, addresses, freed), region
    sizes = draw_sizes(chance, calls)
    return _allocate(region, sizes, addresses), _no_allocate(sizes, addresses), region


def _bump(region: Any, sizes: "array[int]", addresses: "array[int]") -> Loop:
    def loop(times: int) -> None:
        reach = region.reach
        end = 0
        for place in range(times):
            addresses[place] = end
            end += sizes[place]
            reach(end)

    return loop


def _allocate(region: Any, sizes: "array[int]", addresses: "array[int]") -> Loop:
    def loop(times: int) -> None:
        allocate = region.allocate
        for place in range(times):
            addresses[place] = allocate(sizes[place])

    return loop


def _no_allocate(sizes: "array[int]", addresses: "array[int]") -> Loop:
    def loop(times: int) -> None:
        for place in range(times):
            addresses[place] = sizes[place]

    return loop


def _deallocate(region: Any, sizes: "array[int]", addresses: "array[int]", places: Sequence[int]) -> Loop:
    def loop(times: int) -> None:
        deallocate = region.deallocate
        for turn in range(times):
            place = places[turn]
            deallocate(addresses[place], sizes[place])

    return loop


def _no_deallocate(sizes: "array[int]", addresses: "array[int]", places: Sequence[int]) -> Loop:
    def loop(times: int) -> None:
        for turn in range(times):
            place = places[turn]
            addresses[place], sizes[place]

    return loop


def _times(scale: Scale, samples: Samples) -> None:
    calls = scale.block_calls
    for turn in range(scale.block_rounds):
        say(f"blocks: round {turn + 1} of {scale.block_rounds}, {calls:,} calls")
        for who, step in WHO:
            loop, without, region = _prepare(who, step, calls)
            nanoseconds = busy(loop, calls) - busy(without, calls)
            note(samples, step, f"{who}, ns", nanoseconds / calls)
            region.close()


def _counts(scale: Scale, samples: Samples, folder: Path) -> str:
    """Count instructions and bytes of heap; return why not, if not."""
    calls = scale.block_calls
    for who, step in WHO:
        told = python([__file__, "heap", who, step, str(calls), str(calls)], before=HEAP).stdout
        # Plus 0: nothing is nothing, not -0.0.
        note(samples, step, f"{who}, heap", round(int(told) / calls, 1) + 0.0)
    if (reason := uncounted(scale)) is not None:
        return reason
    if not stablemem.COMPILED:
        return "Instructions were not counted: this is the interpreted form."
    counted = list(WHO)
    wanted = [("calls", who, step, times) for who, step in counted for times in (FEW, calls)]
    wanted += [
        ("none", *one, times)
        for one in counted
        if one in {(OURS, ALLOCATE), (OURS, NO_MERGE)}
        for times in (FEW, calls)
    ]
    say(f"blocks: {len(wanted)} processes under callgrind")
    bytecode = folder / "bytecode"

    def count(one: tuple[str, str, str, int]) -> int:
        which, who, step, times = one
        arguments = [__file__, which, who, step, str(calls), str(times)]
        return collected(python(arguments, before=CALLGRIND, bytecode=bytecode).stderr)

    # The first start compiles the sources.
    python([__file__, "calls", OURS, AMONG, "1", "1"], bytecode=bytecode)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(wanted, pool.map(count, wanted), strict=True))

    def each(which: str, who: str, step: str) -> float:
        return (found[which, who, step, calls] - found[which, who, step, FEW]) / (calls - FEW)

    for who, step in counted:
        loop = each("none", OURS, NO_MERGE if step in {NO_MERGE, MERGE} else ALLOCATE)
        note(samples, step, f"{who}, instructions", each("calls", who, step) - loop)
    return ""


def _table(scale: Scale, samples: Samples, missing: str) -> str:
    def figure(who: str, step: str, what: str, digits: int = 0) -> str:
        if (who, step) not in WHO:
            return "-----"
        return number(median(samples, step, f"{who}, {what}"), digits)

    header = ["an operation"]
    for what in "ns", "instructions", "heap bytes":
        header += [f"Region, {what}", f"MemoryRegion, {what}"]
    rows = [
        [
            step,
            *(figure(who, step, what) for what in ("ns", "instructions") for who in (BARE, OURS)),
            *(figure(who, step, "heap", 1) for who in (BARE, OURS)),
        ]
        for step in STEPS
    ]
    theirs = [
        [
            step,
            number(SEED_BARE["instructions"] / SEED_CALLS) if step == ALLOCATE else "-----",
            number(SEED_INSTRUCTIONS[step] / SEED_CALLS),
            number(SEED_BARE["heap"] / SEED_CALLS, 1) if step == ALLOCATE else "-----",
            number(SEED_HEAP[step] / SEED_CALLS, 1),
            number(_over_allocate(lambda each: SEED_INSTRUCTIONS[each], step), 1),
            number(_over_allocate(lambda each: median(samples, each, f"{OURS}, instructions"), step), 1),
        ]
        for step in SEED_INSTRUCTIONS
    ]
    own, bare = (median(samples, ALLOCATE, f"{who}, instructions") for who in (OURS, BARE))
    ours_over = number(own / bare, 2) if own and bare else "not counted"
    theirs_over = SEED_INSTRUCTIONS[ALLOCATE] / SEED_BARE["instructions"]
    return (
        f"{scale.block_calls:,} calls of each, blocks of 1 to {LARGEST} bytes, in memory and in one "
        f"transaction, medians of {scale.block_rounds} rounds. Of twice as many blocks, every other "
        "one is freed in an order drawn at random, then the rest; `recycled` follows both, when all "
        "is free and merged, as in the original's benchmark; `among free blocks` follows the first. "
        "`Region` is what lies below: there, to allocate is to let it grow, and nothing is freed. "
        f"{missing}\n\n"
        + table(header, rows)
        + f"\n\nThe post's own figures, in Motoko on the Internet Computer, divided by its {SEED_CALLS:,} "
        "calls (the stored source of that benchmark frees half as many in each of the two steps). Its "
        "instructions are WebAssembly's and its heap is another collector's, so only ratios within "
        "one system say anything. MemoryRegion / Region, instructions of allocate(): there "
        f"{theirs_over:.2f}, here {ours_over}.\n\n"
        + table(
            [
                "the post, an operation",
                "Region, instructions",
                "MemoryRegion, instructions",
                "Region, heap bytes",
                "MemoryRegion, heap bytes",
                "/ its allocate()",
                "ours / our allocate()",
            ],
            theirs,
        )
    )


def _over_allocate(of: Callable[[str], float | None], step: str) -> float | None:
    """Return how many times allocate() a step costs."""
    one, first = of(step), of(ALLOCATE)
    return one / first if one is not None and first else None


def run(scale: Scale, folder: Path | None) -> Section:
    """Measure, and return the tables."""
    samples: Samples = {}
    _times(scale, samples)
    with TemporaryDirectory(dir=folder) as place:
        missing = _counts(scale, samples, Path(place))
    pairs: Samples = {}
    steady.measure_pairs(scale, pairs)
    commits = steady.measure_commits(scale)
    text = "\n\n".join(
        [_table(scale, samples, missing), steady.pairs_text(scale, pairs), steady.commits_text(commits)]
    )
    aims = [*steady.pairs_aims(pairs), steady.commits_aim(commits)]
    return Section("Blocks", text, {"table": samples, "pairs": pairs, "commits": asdict(commits)}, aims)


def _child(what: str, who: str, step: str, calls: int, times: int) -> None:
    """Do in this process what is counted of it."""
    loop, without, _ = _prepare(who, step, calls)
    if what == "heap":
        before = heap_bytes()
        loop(times)
        print(heap_bytes() - before, flush=True)
    else:
        (without if what == "none" else loop)(times)
    os._exit(0)


if __name__ == "__main__":
    _child(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
