"""Instructions of the core operations, counted by callgrind: figures that do not drift.

Each operation runs in a process of its own, a few times and many times; the difference is divided by the
difference of the numbers. So what happens once (the interpreter's start, the opening, recovery) cancels.
What the kernel does is not counted. Each step of a repeated instruction is: a page of 4 KiB that is cleared
by one `rep stosb` counts 4,096.
"""

import os
import random
import re
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from report import Scale, Section, number, python, say, table

import stablemem

SIZE = 100
"""Bytes of a value."""

CALLGRIND = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={os.devnull}")

LOOP = "empty loop over positions"
COMMIT = "append and unsynced commit"

Operation = Callable[[Any, list[int], int], object]


def _loop(_: Any, positions: list[int], times: int) -> None:
    for _position in positions[:times]:
        pass


def _get(buffer: Any, positions: list[int], times: int) -> None:
    for position in positions[:times]:
        buffer[position]


def _iterate(buffer: Any, _: list[int], times: int) -> None:
    deque(islice(buffer, times), maxlen=0)


def _slice(buffer: Any, positions: list[int], times: int) -> None:
    for position in positions[:times]:
        buffer[position : position + 1000]


def _append(buffer: Any, _: list[int], times: int) -> None:
    append = buffer.append
    for value in [b"v" * SIZE] * times:
        append(value)


def _extend(buffer: Any, _: list[int], times: int) -> None:
    buffer.extend([b"v" * SIZE] * times)


def _insert(buffer: Any, positions: list[int], times: int) -> None:
    insert = buffer.insert
    for position in positions[:times]:
        insert(position, b"v" * SIZE)


def _replace(buffer: Any, positions: list[int], times: int) -> None:
    for position in positions[:times]:
        buffer[position] = b"v" * SIZE


def _delete(buffer: Any, positions: list[int], times: int) -> None:
    for position in positions[:times]:
        del buffer[position]


def _commit(buffer: Any, _: list[int], times: int) -> None:
    for value in [b"v" * SIZE] * times:
        buffer.append(value)
        buffer.commit(sync=False)


@dataclass(frozen=True)
class Case:
    """An operation, how often it runs, whether it changes the list and is counted with a commit as well."""

    call: Operation
    few: int
    many: int
    changes: bool = False
    committed: bool = False


CASES = {
    LOOP: Case(_loop, 100, 10_100),
    "random get": Case(_get, 100, 100_100),
    "iterate": Case(_iterate, 1_000, 51_000),
    "slice of 1000": Case(_slice, 10, 60),
    "append": Case(_append, 1_000, 101_000, True, True),
    "extend": Case(_extend, 1_000, 101_000, True, True),
    "insert at random": Case(_insert, 100, 10_100, True, True),
    "replace at random": Case(_replace, 100, 10_100, True, True),
    "delete at random": Case(_delete, 100, 10_100, True, True),
    COMMIT: Case(_commit, 20, 220, True),
}


def _start(name: str, times: int, commit: bool, path: Path, before: Sequence[str]) -> str:
    """Run an operation so many times in a process; return what was told of it."""
    arguments = [__file__, name, str(times), str(int(commit)), str(path)]
    return python(arguments, before=before, bytecode=path.with_name("bytecode")).stderr


def _count(base: Path, name: str, times: int, commit: bool) -> int:
    """Return the instructions of a process that runs an operation so many times."""
    path = base
    if CASES[name].changes:
        path = base.with_name(f"{name}, {times}, {commit}")
        shutil.copyfile(base, path)
    told = _start(name, times, commit, path, CALLGRIND)
    if path != base:
        path.unlink()
    return collected(told)


def collected(told: str) -> int:
    """Return the instructions that callgrind says it collected."""
    found = re.search(r"Collected\s*:\s*(\d+)", told)
    if found is None:
        raise RuntimeError(f"callgrind did not say how much it collected:\n{told}")
    return int(found[1])


def uncounted(scale: Scale) -> str | None:
    """Return why no instructions are counted in this run, or None if they are."""
    if not scale.instructions:
        return "Instructions were not counted: --quick leaves them out."
    if shutil.which("valgrind") is None:
        return "Instructions were not counted: valgrind is not installed here."
    return None


def _run_counted(name: str, times: int, commit: bool, path: str) -> None:
    """Do what is counted, in the process that callgrind watches."""
    case = CASES[name]
    buffer = stablemem.MemoryBuffer(path, "a" if case.changes else "r")
    chance = random.Random(1)
    last = len(buffer) - case.many - 1000
    # As many positions as the longer run needs, so that making them cancels.
    positions = chance.choices(range(last), k=case.many)
    case.call(buffer, positions, times)
    if commit:
        buffer.commit(sync=False)
    # Closing would commit, and sync.
    os._exit(0)


def run(scale: Scale, folder: Path | None) -> Section:
    """Count, and return the table."""
    title = "Instructions"
    if (reason := uncounted(scale)) is not None:
        return Section(title, reason, {})
    if not stablemem.COMPILED:
        return Section(title, "Not counted: this is the interpreted form.", {})
    names = list(CASES)
    wanted = [
        (name, commit, times)
        for name in names
        for commit in ([False, True] if CASES[name].committed else [False])
        for times in (CASES[name].few, CASES[name].many)
    ]
    say(f"counts: {len(wanted)} processes under callgrind")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        base = Path(place) / "base.smem"
        chance = random.Random(1)
        with stablemem.MemoryBuffer(base, "x", blobify="bytes") as buffer:
            buffer.extend(chance.randbytes(SIZE) for _ in range(scale.count_values))
        # The first start compiles the sources.
        _start(LOOP, 1, False, base, ())
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            counted = pool.map(lambda one: _count(base, one[0], one[2], one[1]), wanted)
            collected = dict(zip(wanted, counted, strict=True))

    def each(name: str, commit: bool) -> float | None:
        case = CASES[name]
        if commit and not case.committed:
            return None
        few, many = collected[name, commit, case.few], collected[name, commit, case.many]
        return (many - few) / (case.many - case.few)

    rows = [
        [name, f"{CASES[name].many - CASES[name].few:,}", number(each(name, False)), number(each(name, True))]
        for name in names
    ]
    text = (
        f"callgrind's `Ir` outside the kernel, loop and interpreter included, on {scale.count_values:,} "
        f"values of {SIZE} bytes; the difference of two processes. In the last column one unsynced commit "
        f"follows, and each operation bears its share.\n\n"
        + table(["instructions an operation", "operations", "the call", "with its share of a commit"], rows)
    )
    samples = [
        {"operation": name, "commit": commit, "times": times, "instructions": found}
        for (name, commit, times), found in collected.items()
    ]
    return Section(title, text, samples)


if __name__ == "__main__":
    _run_counted(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1", sys.argv[4])
