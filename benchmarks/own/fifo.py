"""A queue: values go in at one end and out at the other. What a pair of calls takes, and that the file stays.

Times are the thread's own: what a synced commit waits for the disk is not in them.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from own.steady import busy
from report import Aim, Samples, Scale, Section, median, note, number, say, table

from stablemem import MemoryBuffer

SIZE = 100
"""Bytes of a value whose pairs are timed."""

STANDING = (1_000, 100_000)
"""Values that wait in the queue."""

EVERY = (1_000, 100)
"""Pairs between two commits."""

FORTH, BACK = "append and popleft", "appendleft and pop"
ENDS = (FORTH, BACK)
MOST, GROWTH = 1000.0, 1.0
ALIKE, MIXED = f"{SIZE} bytes", f"1 to {2 * SIZE} bytes"


def _pairs(queue: Any, ends: str, values: Sequence[bytes], every: int, commit: Callable[[], object]) -> None:
    """Put values in at one end, and each time take one out at the other; commit every so often."""
    put, take = (queue.append, queue.popleft) if ends == FORTH else (queue.appendleft, queue.pop)
    for start in range(0, len(values), every or len(values)):
        for value in values[start : start + every] if every else values:
            put(value)
            take()
        commit()


def _draw(number: int, which: str) -> list[bytes]:
    chance = random.Random(1)
    if which == ALIKE:
        return [chance.randbytes(SIZE) for _ in range(number)]
    # Of many sizes in no order, again and again: what is freed does not fit what comes next.
    some = [chance.randbytes(chance.randint(1, 2 * SIZE)) for _ in range(min(number, 49_999))]
    return list(islice(cycle(some), number))


def _policies() -> list[tuple[str, int, bool]]:
    """Return name, pairs between commits, and whether they are synced."""
    kinds = [("unsynced", False), ("synced", True)]
    return [
        ("one transaction", 0, True),
        *((f"{kind} commit every {every:,}", every, sync) for kind, sync in kinds for every in EVERY),
    ]


def _times(scale: Scale, samples: Samples, folder: Path) -> None:
    values = _draw(scale.queue_pairs, ALIKE)
    number_of = len(values)
    for turn in range(scale.rounds):
        say(f"fifo: times, round {turn + 1} of {scale.rounds}")
        for standing in STANDING:
            for ends in ENDS:
                row = f"{ends}, {standing:,} waiting"
                plain = deque(values[:standing])
                note(samples, row, "deque", busy(_pairs, plain, ends, values, 0, int) / number_of)
                for name, every, sync in _policies():
                    if sync and every == EVERY[1]:
                        continue
                    with TemporaryDirectory(dir=folder) as place:
                        path = Path(place) / "queue.smem"
                        queue = MemoryBuffer(path, "x", blobify="bytes", sync=sync)
                        queue.extend(values[:standing])
                        queue.commit()
                        nothing = int if not every else queue.commit
                        taken = busy(_pairs, queue, ends, values, every, nothing)
                        note(samples, row, name, taken / number_of)
                        queue.close()


def _files(scale: Scale, samples: Samples, folder: Path) -> None:
    """Note sizes of the file after so many pairs, and after as many again."""
    for which in (ALIKE, MIXED):
        values = _draw(scale.queue_turns, which)
        for name, every, sync in _policies():
            say(f"fifo: file, {which}, {name}")
            for ends in ENDS:
                with TemporaryDirectory(dir=folder) as place:
                    path = Path(place) / "queue.smem"
                    queue = MemoryBuffer(path, "x", blobify="bytes", sync=sync)
                    queue.extend(values[: STANDING[0]])
                    queue.commit()
                    # Unsynced commits pile up what they free until that is 64 MiB; synced ones take long.
                    turns = values[: scale.queue_commits * every] if sync and every else values
                    # A freed block comes back two commits later, so the file takes some to settle.
                    among = every or len(values) // 10
                    for turn in (1, 2):
                        _pairs(queue, ends, turns, among, queue.commit)
                        note(samples, f"{name}: {ends}, {which}", f"{turn}", path.stat().st_size)
                    queue.close()


def run(scale: Scale, folder: Path | None) -> Section:
    """Measure, and return the tables."""
    times: Samples = {}
    files: Samples = {}
    with TemporaryDirectory(dir=folder) as place:
        _times(scale, times, Path(place))
        _files(scale, files, Path(place))
    names = ["deque", *(name for name, every, sync in _policies() if not sync or every != EVERY[1])]
    aims = [
        Aim(f"{row}, {name}, a pair", median(times, row, name), MOST, "ns")
        for row in times
        for name in names[1:3]
    ]
    rows = []
    for row in files:
        before, after = median(files, row, "1", 1024), median(files, row, "2", 1024)
        assert before is not None
        assert after is not None
        rows.append([row, number(before), number(after), number(after / before, 3)])
        aims.append(Aim(f"file after twice as many pairs / before; {row}", after / before, GROWTH))
    text = (
        f"A queue of values of {SIZE} bytes, nanoseconds of a pair of calls with its share of the commits, "
        f"{scale.queue_pairs:,} pairs, medians of {scale.rounds} rounds. The thread's own time: what a "
        "synced commit waits for is not in it.\n\n"
        + table(
            ["ns a pair", *names],
            ([row, *(number(median(times, row, name)) for name in names)] for row in times),
        )
        + f"\n\nThe file, {STANDING[0]:,} values waiting, after k pairs and a commit, and after as many "
        f"again; k is {scale.queue_turns:,} (`one transaction`: ten synced ones), with synced commits "
        f"as many as make {scale.queue_commits:,} of them. Unsynced commits give nothing back until 64 MiB "
        "have gathered; then one of them is synced:\n\n"
        + table(["KiB", "after k pairs", "after 2 k", "ratio"], rows)
    )
    return Section("", text, {"times": times, "files": files}, aims)
