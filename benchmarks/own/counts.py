"""Instructions of the core operations, counted by callgrind: figures that do not drift.

    python benchmarks/own/counts.py [--only NAME...] [--against CHECKOUT|JSON] [--json FILE]
                                    [--values N] [--jobs N] [--folder DIR]

Each operation runs in a process of its own. The process first prepares: it opens the list and makes some
calls that are not counted. Then two marks, calls of `getpgid` and `getsid`, tell callgrind where to begin and
where to end. What the kernel does is not counted. Each step of a repeated instruction is counted: a page of
4 KiB that is cleared by one `rep stosb` counts 4,096. So is the loop around the calls, and the interpreter.
Two runs of the same build differ by less than 0.01 %. Two checkouts differ by up to 2 instructions a call
without any reason in our code, as the empty loop shows: objects lie at other addresses.

With --against the same script also counts in another checkout (by its `.venv`), or reads what it wrote there
with --json, and prints both and their ratio. Each ratio above 1.01 is marked, and the exit code is then 1.
"""

import argparse
import gc
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from report import Scale, Section, number, say, table

import stablemem

SIZE = 100
"""Bytes of a value."""

MANY = 1_000
"""Values of a slice, positions of get_many, changes of a large commit."""

BLOCKS = 20_000
"""Raw blocks that a region has, of which every other one is free."""

DRAWN = 40_000
"""Positions that are drawn before the counting begins: at least as many as an operation needs."""

OPEN_VALUES = 100_000
"""Values, at most, of the lists that are opened and committed: there are several of these."""

WORSE = 1.01
"""A ratio above it is marked."""

CALLGRIND = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={os.devnull}")

Loop = Callable[[int], object]


@dataclass(frozen=True)
class Place:
    """Where one operation is counted: the files it may read, and a folder for its own copies."""

    base: Path
    folder: Path

    def open(self, mode: str) -> Any:
        """Return the list of many values."""
        if mode == "r":
            return stablemem.MemoryBuffer(self.base / "list", "r")
        return stablemem.MemoryBuffer(self.copy("list"), mode)

    def copy(self, name: str, number: int = 0) -> Path:
        """Return the path of a copy that may be changed."""
        path = self.folder / f"{name}{number}"
        shutil.copyfile(self.base / name, path)
        return path


def _at_random(length: int, times: int = DRAWN) -> Iterator[int]:
    """Return positions, the same in each process, that a list has even after as many are deleted."""
    return iter(random.Random(1).choices(range(length - DRAWN), k=times))


def _values(times: int) -> list[bytes]:
    return [b"v" * SIZE] * times


def _block_sizes() -> list[int]:
    return random.Random(2).choices(range(1, 300), k=BLOCKS)


def _loop(_: Place) -> Loop:
    positions = _at_random(100_000)

    def loop(times: int) -> None:
        for _position in islice(positions, times):
            pass

    return loop


def _get(place: Place) -> Loop:
    buffer = place.open("r")
    positions = _at_random(len(buffer))

    def loop(times: int) -> None:
        for position in islice(positions, times):
            buffer[position]

    return loop


def _get_many(place: Place) -> Loop:
    buffer = place.open("r")
    positions = _at_random(len(buffer))
    chunks = [list(islice(positions, MANY)) for _ in range(DRAWN // MANY)]

    def loop(times: int) -> None:
        for _ in range(times // MANY):
            buffer.get_many(chunks.pop())

    return loop


def _slice(place: Place) -> Loop:
    buffer = place.open("r")
    positions = _at_random(len(buffer))

    def loop(times: int) -> None:
        for position in islice(positions, times // MANY):
            buffer[position : position + MANY]

    return loop


def _iterate(place: Place) -> Loop:
    buffer = place.open("r")
    return lambda times: deque(islice(buffer, times), maxlen=0)


def _append(place: Place) -> Loop:
    append = place.open("a").append

    def loop(times: int) -> None:
        for value in _values(times):
            append(value)

    return loop


def _extend(place: Place) -> Loop:
    buffer = place.open("a")
    return lambda times: buffer.extend(_values(times))


def _insert(place: Place) -> Loop:
    buffer = place.open("a")
    positions, value = _at_random(len(buffer)), b"v" * SIZE

    def loop(times: int) -> None:
        insert = buffer.insert
        for position in islice(positions, times):
            insert(position, value)

    return loop


def _set(place: Place) -> Loop:
    buffer = place.open("a")
    positions, value = _at_random(len(buffer)), b"v" * SIZE

    def loop(times: int) -> None:
        for position in islice(positions, times):
            buffer[position] = value

    return loop


def _delete(place: Place) -> Loop:
    buffer = place.open("a")
    positions = _at_random(len(buffer))

    def loop(times: int) -> None:
        for position in islice(positions, times):
            del buffer[position]

    return loop


def _allocate(place: Place) -> Loop:
    region = stablemem.MemoryRegion(place.copy("blocks"), "a")
    sizes = iter(_block_sizes())

    def loop(times: int) -> None:
        allocate = region.allocate
        for size in islice(sizes, times):
            allocate(size)

    return loop


def _deallocate(place: Place) -> Loop:
    blocks = json.loads((place.base / "blocks.json").read_text())
    region = stablemem.MemoryRegion(place.copy("blocks"), "a")

    def loop(times: int) -> None:
        deallocate = region.deallocate
        for _ in range(times):
            address, size = blocks.pop()
            deallocate(address, size)

    return loop


def _open(mode: str) -> Callable[[Place], Loop]:
    def prepare(place: Place) -> Loop:
        path = place.copy("small")

        def loop(times: int) -> None:
            for _ in range(times):
                stablemem.MemoryBuffer(path, mode).close()

        return loop

    return prepare


def _commit(changes: int, sync: bool) -> Callable[[Place], Loop]:
    """Return what commits lists that were changed before: one call is one commit of one list."""

    def prepare(place: Place) -> Loop:
        buffers: list[Any] = []
        for copy in range(COMMITS):
            buffer = stablemem.MemoryBuffer(place.copy("small", copy), "a")
            positions, value = _at_random(len(buffer)), b"v" * SIZE
            # The first commits of a handle do more than the ones after them.
            for turn in range(4):
                for position in islice(positions, changes):
                    buffer[position] = value
                if turn < 3:
                    buffer.commit(sync=sync)
            buffers.append(buffer)
        left = iter(buffers)

        def loop(times: int) -> None:
            for buffer in islice(left, times):
                buffer.commit(sync=sync)

        return loop

    return prepare


@dataclass(frozen=True)
class Case:
    """An operation, and how often it runs uncounted and counted."""

    text: str
    prepare: Callable[[Place], Loop]
    before: int
    times: int


COMMITS = 10
"""Lists of which each is committed once."""

CASES = {
    "loop": Case("empty loop over positions", _loop, 100, 20_000),
    "get": Case("b[i], at random", _get, 1_000, 20_000),
    "get_many": Case("b.get_many(1,000 positions), each", _get_many, 2_000, 20_000),
    "slice": Case("b[i:i + 1000], each", _slice, 2_000, 20_000),
    "iterate": Case("for value in b", _iterate, 1_000, 50_000),
    "append": Case("b.append(value)", _append, 1_000, 20_000),
    "extend": Case("b.extend(20,000 values), each", _extend, 1_000, 20_000),
    "insert": Case("b.insert(i, value), at random", _insert, 1_000, 10_000),
    "set": Case("b[i] = value, at random", _set, 1_000, 10_000),
    "delete": Case("del b[i], at random", _delete, 1_000, 10_000),
    "allocate": Case("region.allocate(size)", _allocate, 1_000, 7_000),
    "deallocate": Case("region.deallocate(address, size)", _deallocate, 1_000, 7_000),
    "open_r": Case('MemoryBuffer(path, "r").close()', _open("r"), 5, 40),
    "open_a": Case('MemoryBuffer(path, "a").close()', _open("a"), 5, 40),
    "commit_1": Case("commit of 1 change, not synced", _commit(1, False), 0, COMMITS),
    "commit_1_synced": Case("commit of 1 change, synced", _commit(1, True), 0, COMMITS),
    "commit_1000": Case("commit of 1,000 changes, not synced", _commit(MANY, False), 0, COMMITS),
    "commit_1000_synced": Case("commit of 1,000 changes, synced", _commit(MANY, True), 0, COMMITS),
}


def _start(mark: int) -> None:
    """Say to callgrind that counting begins."""
    os.getpgid(mark)


def _stop(mark: int) -> None:
    """Say to callgrind to write what it counted, and to begin anew."""
    os.getsid(mark)


def _run_counted(name: str, base: Path, folder: Path) -> None:
    """Do what is counted, in the process that callgrind watches."""
    if not stablemem.COMPILED:
        raise SystemExit("the interpreted form of stablemem is not counted: build the compiled one")
    case = CASES[name]
    gc.disable()
    loop = case.prepare(Place(base, folder))
    if case.before:
        loop(case.before)
    _start(0)
    loop(case.times)
    _stop(0)
    # Closing would commit, and sync.
    os._exit(0)


def _make(base: Path, values: int) -> None:
    """Make the files that operations begin with."""
    chance = random.Random(1)
    for name, count in (("list", values), ("small", min(values, OPEN_VALUES))):
        with stablemem.MemoryBuffer(base / name, "x", blobify="bytes") as buffer:
            buffer.extend(chance.randbytes(SIZE) for _ in range(count))
    with stablemem.MemoryRegion(base / "blocks", "x") as region:
        blocks = [(region.allocate(size), size) for size in _block_sizes()]
        order = list(range(0, BLOCKS, 2))
        chance.shuffle(order)
        for place in order:
            region.deallocate(*blocks[place])
    rest = blocks[1::2]
    chance.shuffle(rest)
    (base / "blocks.json").write_text(json.dumps(rest))


def _python(python: str, bytecode: Path, *arguments: str | Path, before: tuple[str, ...] = ()) -> None:
    """Run this file by a Python, with a fixed environment: two runs shall do the same work."""
    environment = {
        name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL") if name in os.environ
    }
    environment |= {"PYTHONHASHSEED": "0", "PYTHONPYCACHEPREFIX": str(bytecode), "STABLEMEM_PURE": "0"}
    command = [*before, python, __file__, *map(str, arguments)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with code {ran.returncode}:\n{ran.stderr}")


def _count(python: str, base: Path, name: str) -> float:
    """Return the instructions of one call of an operation."""
    with tempfile.TemporaryDirectory(dir=base) as place:
        out = Path(place) / "callgrind"
        callgrind = (
            "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
            "--zero-before=getpgid", "--dump-before=getsid",
        )  # fmt: skip
        _python(python, base / "bytecode", "--counted", name, base, place, before=callgrind)
        found = re.search(r"^totals: (\d+)", out.with_name("callgrind.1").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"callgrind did not write what it counted of {name}")
    return int(found[1]) / CASES[name].times


def count(python: str, names: list[str], values: int, folder: Path | None, jobs: int) -> dict[str, float]:
    """Return the instructions of one call of each of some operations, of the stablemem that a Python has."""
    say(f"counts: {len(names)} processes under callgrind, by {python}")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        base = Path(place)
        # It compiles the sources, too.
        _python(python, base / "bytecode", "--made", base, str(values))
        with ThreadPoolExecutor(jobs) as pool:
            return dict(zip(names, pool.map(lambda name: _count(python, base, name), names), strict=True))


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


def run(scale: Scale, folder: Path | None) -> Section:
    """Count, and return the table."""
    title = "Instructions"
    if (reason := uncounted(scale)) is not None:
        return Section(title, reason, {})
    if not stablemem.COMPILED:
        return Section(title, "Not counted: this is the interpreted form.", {})
    counted = count(sys.executable, list(CASES), scale.count_values, folder, os.cpu_count() or 1)
    rows = [[CASES[name].text, f"{CASES[name].times:,}", number(each)] for name, each in counted.items()]
    text = (
        f"callgrind's `Ir` outside the kernel, loop and interpreter included, on {scale.count_values:,} "
        f"values of {SIZE} bytes; opening and commits on {min(scale.count_values, OPEN_VALUES):,}.\n\n"
        + table(["instructions an operation", "operations", "each"], rows)
    )
    samples = [{"operation": name, "instructions": each} for name, each in counted.items()]
    return Section(title, text, samples)


def _before(against: Path, names: list[str], options: argparse.Namespace) -> dict[str, float]:
    """Return what a checkout, or a file that was written of one, has for the same operations."""
    if against.is_dir():
        python = str(against.resolve() / ".venv" / "bin" / "python")
        return count(python, names, options.values, options.folder, options.jobs)
    record = json.loads(against.read_text())
    if record["values"] != options.values:
        raise SystemExit(
            f"{against} is of lists of {record['values']:,} values: give --values {record['values']}"
        )
    found: dict[str, float] = record["counts"]
    return found


def _compared(names: list[str], before: dict[str, float], now: dict[str, float]) -> tuple[str, list[str]]:
    """Return a table of both, and what rose by more than a step may cost."""
    rows, worse = [], []
    for name in names:
        row = [name, number(before.get(name), 1), number(now[name], 1), ""]
        if name in before:
            ratio = now[name] / before[name]
            row[3] = f"{ratio:.4f}"
            # The empty loop has none of our code in it: what it differs by is noise.
            if ratio > WORSE and name != "loop":
                row[3] = f"**{ratio:.4f}**"
                worse.append(name)
        rows.append(row)
    return table(["instructions an operation", "before", "now", "ratio"], rows), worse


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="NAME", help=f"of {' '.join(CASES)}")
    parser.add_argument("--against", type=Path, help="a checkout that is built, or a file of --json")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--values", type=int, default=100_000, help="of a list; default 100,000")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("--folder", type=Path, help="where the files go; default: where temporary files go")
    parser.add_argument("--counted", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--made", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.counted:
        name, base, folder = options.counted
        return _run_counted(name, Path(base), Path(folder))
    if options.made:
        return _make(Path(options.made[0]), int(options.made[1]))
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is not installed here: nothing is counted without it")
    names = options.only or list(CASES)
    now = count(sys.executable, names, options.values, options.folder, options.jobs)
    print(f"stablemem: {Path(stablemem.__file__).parent}\n")
    worse: list[str] = []
    if options.against:
        text, worse = _compared(names, _before(options.against, names, options), now)
    else:
        text = table(["instructions an operation", "each"], [[name, number(now[name], 1)] for name in names])
    print(text)
    if options.json:
        record = {"stablemem": str(Path(stablemem.__file__).parent), "values": options.values, "counts": now}
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    if worse:
        raise SystemExit(f"more than {WORSE - 1:.0%} above: {', '.join(worse)}")
    return None


if __name__ == "__main__":
    main()
