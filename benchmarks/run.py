"""Time the main operations beside list, py-lmdb and sqlite3, and print a Markdown table.

    python benchmarks/run.py [--values N] [--rounds R] [--json FILE]

All contenders run in one process, in turn, round after round: what else the machine does meets all of
them alike. The table shows medians, and the ratio of medians to py-lmdb. The page cache is warm.
"""

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contenders import CONTENDERS

import stablemem

SIZE = 100
GETS = 100_000
INSERTS = 10_000
COMMITS = 100

Measured = dict[str, dict[str, list[float]]]


def timed(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def one_round(kind: type[Any], folder: Path, values: list[bytes], seed: int, measured: Measured) -> None:
    """Run every row for one contender, from an empty folder."""

    def note(row: str, seconds: float, operations: int) -> None:
        measured.setdefault(row, {}).setdefault(kind.name, []).append(seconds / operations * 1e9)

    chance = random.Random(seed)
    count = len(values)
    durable = hasattr(kind, "append_one")
    one = kind(folder)
    one.open(True)
    note("append", timed(lambda: (one.append_all(values), one.commit())), count)
    positions = [chance.randrange(count) for _ in range(GETS)]
    one.close()
    one.open(False)
    note("random get", timed(lambda: one.get_each(positions)), GETS)
    note("iterate", timed(lambda: deque(one.iterate(), maxlen=0)), count)
    one.close()
    if durable:
        measured.setdefault("file bytes per value", {}).setdefault(kind.name, []).append(
            one.file_bytes() / count
        )
        begin = time.perf_counter()
        one.open(False)
        one.first()
        note("open and first get", time.perf_counter() - begin, 1)
        one.close()
    one.open(True)
    if hasattr(kind, "insert_each"):
        places = [chance.randrange(count) for _ in range(INSERTS)]
        note("insert at random", timed(lambda: one.insert_each(places, b"i" * SIZE)), INSERTS)
        one.commit()
    if durable:
        samples = [timed(lambda: one.append_one(b"c" * SIZE)) for _ in range(COMMITS)]
        note("durable commit of one value", statistics.median(samples), 1)
    one.close()
    extended = kind(folder / "extend")
    (folder / "extend").mkdir()
    extended.open(True)
    note("extend", timed(lambda: (extended.extend(values), extended.commit())), count)
    extended.close()


def table(measured: Measured, names: list[str]) -> str:
    """Return the medians as Markdown."""
    lines = [
        "| ns per operation | " + " | ".join(names) + " | stablemem / py-lmdb |",
        "|---|" + "---:|" * (len(names) + 1),
    ]
    for row, by_name in measured.items():
        medians = {name: statistics.median(by_name[name]) for name in names if name in by_name}
        cells = [f"{medians[name]:,.0f}" if name in medians else "" for name in names]
        ours, theirs = medians.get("stablemem"), medians.get("py-lmdb")
        ratio = f"{ours / theirs:.2f}" if ours and theirs else ""
        lines.append(f"| {row} | " + " | ".join(cells) + f" | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--values", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=None, help="also write every measurement here")
    parser.add_argument("--folder", type=Path, default=None, help="where the files go; default: a new one")
    options = parser.parse_args()
    chance = random.Random(1)
    values = [chance.randbytes(SIZE) for _ in range(options.values)]
    measured: Measured = {}
    for number in range(options.rounds):
        # Turn the order around each round, so that nobody always runs first.
        for kind in CONTENDERS if number % 2 == 0 else reversed(CONTENDERS):
            folder = Path(tempfile.mkdtemp(dir=options.folder))
            try:
                one_round(kind, folder, values, number, measured)
            finally:
                shutil.rmtree(folder)
        print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
    names = [kind.name for kind in CONTENDERS]
    form = "compiled" if stablemem.COMPILED else "interpreted"
    print(
        f"{options.values:,} values of {SIZE} bytes, {options.rounds} rounds, {form}, "
        f"Python {platform.python_version()}, {os.cpu_count()} cores\n"
    )
    print(table(measured, names))
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
