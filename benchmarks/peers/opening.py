"""Opening for reading and the first get, at few values and at many; and what the import costs."""

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peers.contenders import CONTENDERS, Stablemem
from report import Aim, Samples, Scale, Section, median, note, number, python, ratio, say, table, timed

SIZE = 12
"""Bytes of a value: short, so that ten million of them are a moderate file, and yet no pointer holds one."""

AT_ONCE = 1_000_000
"""Values between two commits while the files are filled: sqlite3's log stays short."""

BARE = "bare interpreter"
IMPORTS = {BARE: "pass"} | {code: code for code in ("import stablemem", "import lmdb", "import sqlite3")}


def _values(count: int) -> Iterator[list[bytes]]:
    """Give the values, some at a time."""
    for begin in range(0, count, AT_ONCE):
        yield [b"%012d" % number for number in range(begin, min(begin + AT_ONCE, count))]


def _fill(one: Any, count: int) -> None:
    one.open(True)
    for values in _values(count):
        one.extend(values)
        one.commit()
    one.close()


def _open(one: Any) -> None:
    one.open(False)
    one.first()


def _open_each(count: int, opens: int, folder: Path | None, samples: Samples) -> None:
    """Note the nanoseconds of many openings, one contender after the other each time."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        everyone = [kind(Path(place)) for kind in CONTENDERS if hasattr(kind, "first")]
        for one in everyone:
            _fill(one, count)
        order = random.Random(1)
        for _ in range(opens):
            order.shuffle(everyone)
            for one in everyone:
                note(samples, f"{count:,} values", one.name, timed(_open, one))
                one.close()


def _imports(starts: int, folder: Path | None) -> Samples:
    """Return the nanoseconds of processes that import something and end, bytecode at hand."""
    samples: Samples = {}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for turn in range(starts + 1):
            for name, code in IMPORTS.items():
                nanoseconds = timed(python, ["-c", code], None, (), Path(place))
                # The first start compiles the sources.
                if turn:
                    note(samples, "start", name, nanoseconds)
    return samples


def run(scale: Scale, folder: Path | None) -> Section:
    """Measure, and return the tables."""
    samples: Samples = {}
    for count in scale.open_values:
        say(f"opening: {scale.opens} times, {count:,} values")
        _open_each(count, scale.opens, folder, samples)
    say("opening: imports")
    started = _imports(scale.starts, folder)
    names = [kind.name for kind in CONTENDERS if hasattr(kind, "first")]
    ours = Stablemem.name
    opened = table(
        ["microseconds", *names, "/ py-lmdb", f"slowest {ours}"],
        (
            [
                f"open and first get, {row}",
                *(number(median(samples, row, name, 1e3)) for name in names),
                number(ratio(samples, row, ours, "py-lmdb"), 2),
                number(max(samples[row][ours]) / 1e3),
            ]
            for row in samples
        ),
    )
    bare = median(started, "start", BARE, 1e6) or 0.0
    imported = table(
        ["milliseconds", "process", "more than the bare interpreter"],
        (
            [name, number(whole, 1), number(whole - bare, 1)]
            for name in IMPORTS
            if (whole := median(started, "start", name, 1e6)) is not None
        ),
    )
    text = (
        f"Own work, in a process that has imported everything, files in the page cache: mode `r`, value 0; "
        f"medians of {scale.opens} openings, one contender after the other; values of {SIZE} bytes.\n\n"
        f"{opened}\n\nA whole process that only imports, its bytecode at hand, median of {scale.starts}:\n\n"
        f"{imported}"
    )
    aims = [
        Aim(f'open in mode "r" and first get, {row}', median(samples, row, ours, 1e6), 2.0, "ms")
        for row in samples
    ]
    return Section("Opening", text, samples | started, aims)
