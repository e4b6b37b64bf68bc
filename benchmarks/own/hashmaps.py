"""The hash map of examples/hashmap.py: what an insert, and an overwrite, takes among so many.

In a file, all inserts in one transaction, then all overwrites, of committed entries, in another. Times are
the thread's own, medians of windows: a call that doubles the buckets takes longer, and decides none of them.
"""

import random
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from report import Aim, Samples, Scale, Section, median, note, number, say, table

from stablemem import MemoryRegion

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from hashmap import HashMap

INSERT, OVERWRITE = "insert", "overwrite"
LAST, MOST = 100_000, 1.5
"""The call that has a bound, and the bound, in calls of the first that is told of."""

WINDOW = 500
"""Calls up to the one that is told of, whose median is taken."""


def _each(values: Any, keys: list[bytes], form: bytes, scale: Scale, row: str, samples: Samples) -> None:
    """Set all keys; note what the calls up to some of them took, and what the commit takes for each."""
    taken = []
    clock = time.thread_time_ns
    for turn, key in enumerate(keys):
        value = form % turn
        begin = clock()
        values[key] = value
        taken.append(clock() - begin)
    for place in scale.map_entries:
        note(samples, row, f"{place}", statistics.median(taken[max(0, place - WINDOW) : place]))


def measure(scale: Scale, folder: Path | None, samples: Samples) -> None:
    """Note nanoseconds of a call at some numbers of entries, and of the commits."""
    count = scale.map_entries[-1]
    keys = [b"key %d" % turn for turn in range(count)]
    say(f"hashmaps: {count:,} entries")
    with TemporaryDirectory(dir=folder) as place:
        region = MemoryRegion(Path(place) / "map.smem")
        values = HashMap(region)
        region.commit(sync=False)
        for row, form in ((INSERT, b"%08d"), (OVERWRITE, b"%08x")):
            random.Random(row).shuffle(keys)
            _each(values, keys, form, scale, row, samples)
            begin = time.thread_time_ns()
            region.commit(sync=False)
            note(samples, row, "commit", (time.thread_time_ns() - begin) / count)
        region.close()


def run(scale: Scale, folder: Path | None) -> Section:
    """Measure, and return the table."""
    samples: Samples = {}
    measure(scale, folder, samples)
    told = scale.map_entries
    bound = LAST if LAST in told else told[-1]
    rows = [
        [
            row,
            *(number(median(samples, row, f"{place}")) for place in told),
            number(_growth(samples, row, told[0], bound), 2),
            number(median(samples, row, "commit")),
        ]
        for row in (INSERT, OVERWRITE)
    ]
    text = (
        f"A hash map in raw blocks (`examples/hashmap.py`) of {told[-1]:,} entries, 8 bytes a value, in a "
        "file: nanoseconds of a call, Python's own work for the map included. All inserts are one "
        "transaction, and so are all overwrites, of committed entries. "
        f"Medians of the {WINDOW} calls up to each number.\n\n"
        + table(
            [
                "ns a call",
                *(f"the {place:,}th" for place in told),
                f"the {bound:,}th / the {told[0]:,}th",
                "commit, an entry",
            ],
            rows,
        )
    )
    aims = [
        Aim(
            f"{row}, hash map: the {bound:,}th / the {told[0]:,}th",
            _growth(samples, row, told[0], bound),
            MOST,
        )
        for row in (INSERT, OVERWRITE)
    ]
    return Section("Hash map", text, samples, aims)


def _growth(samples: Samples, row: str, first: int, place: int) -> float | None:
    """Return what a call at a number of entries takes, in calls at another."""
    one, other = median(samples, row, f"{place}"), median(samples, row, f"{first}")
    return one / other if one and other else None
