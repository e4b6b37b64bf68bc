"""MemoryBuffer beside list: the original's table; and, in large.py, many values, in fifo.py, a queue.

The rows are those of the original's own benchmark, as its stored source has them: `add` fills an empty list,
`put` and `remove` take positions in an order drawn at random, `remove` and `removeLast` empty the list. Each
loop of ours ends with an unsynced commit. Times are those of the calls: what the same loop takes without
them is subtracted. Instructions are told both ways. The post counts whole loops (its tool measures a cell of
the table as one call), so ratios of whole loops are what is compared with the post's.
"""

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from own import fifo, large
from own.counts import CALLGRIND, collected, uncounted
from own.steady import HEAP, busy, heap_bytes
from peers.rows import (
    ADD,
    EMPTY,
    GET,
    INSERT,
    PUT_LARGER,
    PUT_SAME,
    PUT_SMALLER,
    REMOVE,
    REMOVE_LAST,
    ROWS,
    WHOLE,
    Loop,
    Work,
    draw,
)
from report import Aim, Samples, Scale, Section, median, note, number, python, ratio, say, table

import stablemem
from stablemem import MemoryBuffer

OURS, THEIRS = "MemoryBuffer", "list"
WHO = (THEIRS, OURS)

SEED_CALLS = 10_000
SEED_INSTRUCTIONS = {
    ADD: (7_506_635, 37_471_730),
    GET: (2_442_253, 22_743_302),
    PUT_SAME: (2_803_133, 26_629_193),
    PUT_LARGER: (3_143_921, 89_478_142),
    REMOVE: (10_855_068_046, 1_438_465_552),
    INSERT: (9_555_436_925, 1_374_513_438),
    REMOVE_LAST: (5_543_704, 377_115_486),
}
SEED_HEAP = {
    ADD: (154_740, 687_984),
    GET: (9_008, 762_888),
    PUT_SAME: (9_008, 687_936),
    PUT_LARGER: (9_008, 1_711_632),
    REMOVE: (57_716, 3_441_436),
    INSERT: (154_896, 2_305_752),
    REMOVE_LAST: (57_700, 6_300_332),
}
"""What the post tells, for all of its 10,000 calls: of Buffer, and of MemoryBuffer."""

WHOLE_LOOP = "instructions of the loop"

FEW = 100
"""Calls of the shorter of two runs whose instructions are compared."""


def _prepare(who: str, row: str, work: Work, folder: Path) -> Any:
    """Return the list as a row finds it."""
    values = work.larger if row == PUT_SMALLER else work.values
    if row in EMPTY:
        values = []
    if who == THEIRS:
        return list(values)
    it: Any = MemoryBuffer(folder / f"{time.monotonic_ns()}.smem", blobify="nat", sync=False)
    it.extend(values)
    it.commit()
    return it


def _finish(who: str, it: Any, loop: Loop, work: Work, times: int) -> None:
    """Do what is measured."""
    loop(it, work, times)
    if who == OURS:
        it.commit()


def _times(scale: Scale, samples: Samples, folder: Path) -> None:
    count = scale.buffer_calls
    work = draw(count)
    for turn in range(scale.block_rounds):
        say(f"buffer: round {turn + 1} of {scale.block_rounds}, {count:,} calls")
        for row, (loop, without) in ROWS.items():
            for who in WHO if turn % 2 else reversed(WHO):
                it = _prepare(who, row, work, folder)
                nanoseconds = busy(_finish, who, it, loop, work, count) - busy(without, it, work, count)
                note(samples, f"{row}, ns", who, nanoseconds / count)
                if who == OURS:
                    it.close()


def _counts(scale: Scale, samples: Samples, folder: Path) -> str:
    """Count bytes of heap, and instructions; return why not, if not."""
    count = scale.buffer_calls
    say(f"buffer: heap of {len(WHO) * len(ROWS)} processes")
    for row in ROWS:
        for who in WHO:
            arguments = [__file__, "heap", who, row, str(count), str(count), folder]
            told = python(arguments, before=HEAP).stdout
            # Plus 0: nothing is nothing, not -0.0.
            note(samples, f"{row}, heap", who, round(int(told) / count, 1) + 0.0)
    if (reason := uncounted(scale)) is not None:
        return reason
    if not stablemem.COMPILED:
        return "Instructions were not counted: this is the interpreted form."
    counted = list(ROWS)
    wanted = [(who, row, times) for who in WHO for row in counted for times in _two(row, count)]
    # A twin of the loop asks nothing of the list: one of them is enough.
    wanted += [("none", row, times) for row in counted if row not in WHOLE for times in _two(row, count)]
    say(f"buffer: {len(wanted)} processes under callgrind")
    bytecode = folder / "bytecode"

    def collect(one: tuple[str, str, int]) -> int:
        who, row, times = one
        arguments = [__file__, "count", who, row, str(count), str(times), folder]
        return collected(python(arguments, before=CALLGRIND, bytecode=bytecode).stderr)

    # The first start compiles the sources.
    python([__file__, "count", OURS, ADD, str(count), "1", folder], bytecode=bytecode)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(wanted, pool.map(collect, wanted), strict=True))

    def each(who: str, row: str) -> float:
        few, many = _two(row, count)
        if found[who, row, many] <= found[who, row, few]:
            raise RuntimeError(
                f"{row}: {many} calls took no more instructions than {few}; was a file changed?"
            )
        return (found[who, row, many] - found[who, row, few]) / (count if row in WHOLE else many - few)

    for row in counted:
        loop = 0.0 if row in WHOLE else each("none", row)
        for who in WHO:
            whole = each(who, row)
            note(samples, f"{row}, {WHOLE_LOOP}", who, whole)
            note(samples, f"{row}, instructions", who, whole - loop)
    return ""


def _two(row: str, count: int) -> tuple[int, int]:
    """Return how many calls a row makes in each of the two runs that are compared."""
    return (0, 1) if row in WHOLE else (FEW, count)


# -- the report ----------------------------------------------------------------------------------------


def _aims(samples: Samples) -> list[Aim]:
    aims = []
    for row in ROWS:
        bound = _seed_ratio(SEED_INSTRUCTIONS, row)
        ours = ratio(samples, f"{row}, {WHOLE_LOOP}", OURS, THEIRS)
        known = "" if bound else " (the post has no figure)"
        aims.append(Aim(f"{row}: MemoryBuffer / list, instructions{known}", ours, bound and round(bound, 3)))
    for row, (bare, theirs) in SEED_HEAP.items():
        ours, plain = (median(samples, f"{row}, heap", who) for who in (OURS, THEIRS))
        if ours is not None and plain is not None and plain > 0:
            aims.append(Aim(f"{row}: MemoryBuffer / list, heap", ours / plain, round(theirs / bare, 2)))
        else:
            # A list that takes nothing, or gives back: no ratio. So the original's own bytes are the bound.
            aims.append(Aim(f"{row}: heap, where list takes none", ours, round(theirs / SEED_CALLS, 1), "B"))
    return aims


def _seed_ratio(told: dict[str, tuple[int, int]], row: str) -> float | None:
    """Return MemoryBuffer / Buffer in the post."""
    return told[row][1] / told[row][0] if row in told else None


def _text(scale: Scale, samples: Samples, missing: str) -> str:
    def rows() -> Sequence[Sequence[str]]:
        made = []
        for row in ROWS:
            cells = [row]
            for what in ("ns", "instructions", WHOLE_LOOP):
                cells += [number(median(samples, f"{row}, {what}", who)) for who in WHO]
                cells.append(number(ratio(samples, f"{row}, {what}", OURS, THEIRS), 2))
            cells.append(number(_seed_ratio(SEED_INSTRUCTIONS, row), 2) or "no figure")
            made.append([*cells, *(number(median(samples, f"{row}, heap", who), 1) for who in WHO)])
        return made

    theirs = [
        [row, *(number(one / SEED_CALLS) for one in counted), number(_seed_ratio(SEED_INSTRUCTIONS, row), 2)]
        + [number(one / SEED_CALLS, 1) for one in SEED_HEAP[row]]
        + [number(_seed_ratio(SEED_HEAP, row), 1)]
        for row, counted in SEED_INSTRUCTIONS.items()
    ]
    return (
        f"{scale.buffer_calls:,} integers, Blobify `nat`, in a file; one unsynced commit "
        f"at the end of each row is in our figures. Medians of {scale.block_rounds} rounds of the thread's "
        "own time; `reverse`, `sort` and `shuffle` for each value. `larger` leaves the pointer for a block "
        "of its own, `smaller` gives that back. Heap is what malloc says is in use more than before the row; "
        f"the integers themselves were there before. {missing}\n\n"
        + table(
            [
                "an operation",
                *("list, ns", "MemoryBuffer, ns", "ratio"),
                *("list, instructions", "MemoryBuffer, instructions", "ratio"),
                *("list, with its loop", "MemoryBuffer, with its loop", "ratio", "in the post"),
                *("list, heap bytes", "MemoryBuffer, heap bytes"),
            ],
            rows(),
        )
        + f"\n\nThe post's figures, divided by its {SEED_CALLS:,} calls; it has none for the other rows:\n\n"
        + table(
            [
                "the post, an operation",
                *("Buffer, instructions", "MemoryBuffer, instructions", "ratio"),
                *("Buffer, heap bytes", "MemoryBuffer, heap bytes", "ratio"),
            ],
            theirs,
        )
        + "\n\nWhat may be compared, and what not: the two ratios have different denominators. Motoko's "
        "Buffer is WebAssembly, 250 to 750 instructions a call, and 100 or more for each value that `remove` "
        "or `insert` shifts. `list` is C, some 20 to 150 instructions a call, and shifts several values with "
        "one. So a ratio here says how far MemoryBuffer is from the fastest that Python has, and a ratio "
        "there how far the original was from something slower. The post's heap is another collector's, with "
        "garbage in it; ours is what remains. A loop of Python is more instructions than one of WebAssembly, "
        "and it is in both sides of the ratio with loops; the ratio of the calls alone has none."
    )


def run(scale: Scale, folder: Path | None) -> Section:
    """Measure, and return the tables."""
    samples: Samples = {}
    with TemporaryDirectory(dir=folder) as place:
        _times(scale, samples, Path(place))
        missing = _counts(scale, samples, Path(place))
    parts = [Section("", _text(scale, samples, missing), samples, _aims(samples))]
    parts += [large.run(scale, folder), fifo.run(scale, folder)]
    return Section(
        "MemoryBuffer beside list",
        "\n\n".join(part.text for part in parts),
        {name: part.samples for name, part in zip(("table", "large", "fifo"), parts, strict=True)},
        [aim for part in parts for aim in part.aims],
    )


def _child(what: str, who: str, row: str, count: int, times: int, folder: Path) -> None:
    """Do in this process what is counted of it."""
    work = draw(count)
    loop, without = ROWS[row]
    if who == "none":
        without(None, work, times)
        os._exit(0)
    it = _prepare(who, row, work, folder)
    before = heap_bytes() if what == "heap" else 0
    _finish(who, it, loop, work, times)
    if what == "heap":
        print(heap_bytes() - before, flush=True)
    os._exit(0)


if __name__ == "__main__":
    _child(*sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5]), Path(sys.argv[6]))
