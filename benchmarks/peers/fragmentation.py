"""Footprint over live bytes after long churn, beside malloc, jemalloc, multiprocessing and the original.

One trace for each mix of sizes and each seed is played to everyone: blocks until so many live, then again
and again one that is chosen at random is freed and another allocated. Live bytes are those asked for.
"""

import random
import re
import shutil
import subprocess
import tempfile
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from ctypes.util import find_library
from dataclasses import dataclass
from multiprocessing.heap import Heap
from pathlib import Path
from typing import Any, Literal

from peers.original import DualTree, LargestFirst
from report import Aim, Samples, Scale, Section, median, note, number, ratio, say, table

from stablemem import MemoryRegion
from stablemem.layout import NODE_PAGE

FIRST, BEST = "first fit", "best fit"
COMMITTED = "first fit, a commit every 1,000"
GLIBC, JEMALLOC, SHARED = "glibc malloc", "jemalloc", "multiprocessing"
DUAL, LARGEST = "original: dual tree", "original: largest first"
NAMES = (FIRST, BEST, COMMITTED, GLIBC, JEMALLOC, SHARED, DUAL, LARGEST)

HIGHEST, FINAL, RESIDENT = "highest", "final", "resident"
PAGES, LOG = "region pages", "nodes and log"
TOP = 4096
"""Bytes of the largest value of the mix in which values grow."""


def _uniform(chance: random.Random, _: int) -> int:
    return chance.randint(1, 100)


def _lognormal(chance: random.Random, _: int) -> int:
    return min(max(round(chance.lognormvariate(4, 1.2)), 1), 65536)


def _two_sizes(chance: random.Random, _: int) -> int:
    return 16 if chance.random() < 0.9 else 4096


def _growing(chance: random.Random, before: int) -> int:
    """Return up to twice the size that the value had; at the top, or for a new value, begin again."""
    if before == 0:
        # As if it had been replaced some times already, so that not all begin together.
        for _ in range(chance.randrange(16)):
            before = _growing(chance, before or 16)
        return before or 16
    return 16 if before >= TOP else min(before + 1 + chance.randrange(before), TOP)


@dataclass(frozen=True)
class Mix:
    """How sizes are drawn, of the size that the value had, 0 if it is new; and how many blocks live at once.

    So many that they are 5 MiB or more, and a page or two decide nothing.
    """

    draw: Callable[[random.Random, int], int]
    blocks: int


MIXES = {
    "uniform, 1 to 100": Mix(_uniform, 100_000),
    "lognormal(4, 1.2), 1 to 65,536": Mix(_lognormal, 50_000),
    "90 % of 16, 10 % of 4,096": Mix(_two_sizes, 20_000),
    "growing, 16 to 4,096": Mix(_growing, 20_000),
}
TURNS = 10
"""How often each block is replaced, on average."""


@dataclass(frozen=True)
class Trace:
    """What is played: in each step a slot's block is freed and one of a size put there.

    Attributes:
        slots: blocks that live at once.
        steps: slot and size, one behind the other.
        highest, final: live bytes.
    """

    slots: int
    steps: "array[int]"
    highest: int
    final: int

    def __iter__(self) -> Iterator[tuple[int, int]]:
        each = iter(self.steps)
        return zip(each, each, strict=True)


def _trace(mix: Mix, seed: int, share: int) -> Trace:
    chance = random.Random(seed)
    draw, slots = mix.draw, mix.blocks // share
    sizes = [0] * slots
    steps = array("I")
    live = highest = 0
    for step in range(slots * (1 + TURNS)):
        slot = step if step < slots else chance.randrange(slots)
        size = draw(chance, sizes[slot])
        live += size - sizes[slot]
        highest = max(highest, live)
        sizes[slot] = size
        steps.extend((slot, size))
    return Trace(slots, steps, highest, live)


@dataclass(frozen=True)
class Footprint:
    """Bytes that an allocator took, None for what it does not have.

    Attributes:
        highest, final: of its space, up to the end of what is in use.
        resident: the highest growth of a process, in anonymous pages in memory.
        pages: all final region pages of a region, in use or not, in bytes.
        log: those of them that hold header, nodes and log.
    """

    highest: int
    final: int
    resident: int | None = None
    pages: int | None = None
    log: int | None = None


def _addressed(allocator: Any, trace: Trace, pause: Callable[[], int] | None = None) -> int:
    """Play a trace to what hands out addresses; return the highest end."""
    addresses, sizes = [0] * trace.slots, [0] * trace.slots
    allocate, deallocate = allocator.allocate, allocator.deallocate
    highest = 0
    for step, (slot, size) in enumerate(trace):
        if sizes[slot]:
            deallocate(addresses[slot], sizes[slot])
        addresses[slot], sizes[slot] = allocate(size), size
        highest = max(highest, addresses[slot] + size)
        if pause is not None and step % 1000 == 999:
            highest = max(highest, pause())
    return highest


def _region(trace: Trace, *, fit: Literal["first", "best"] = "first", commits: bool = False) -> Footprint:
    """Play a trace to a region in memory."""
    region = MemoryRegion(fit=fit)

    def commit() -> int:
        region.commit()
        return region.size

    try:
        highest = _addressed(region, trace, commit if commits else None)
        log = region._store.space.areas[NODE_PAGE].total
        return Footprint(max(highest, region.size), region.size, pages=region.capacity, log=log)
    finally:
        region.close()


def _model(kind: Callable[[], Any], trace: Trace) -> Footprint:
    allocator = kind()
    highest = _addressed(allocator, trace)
    return Footprint(highest, allocator.end)


def _shared(trace: Trace) -> Footprint:
    """Play a trace to the heap of multiprocessing, which gives whole arenas back if it gives any."""
    heap: Any = Heap()
    held: list[Any] = [None] * trace.slots
    highest = 0
    for slot, size in trace:
        if held[slot] is not None:
            heap.free(held[slot])
        before = len(heap._arenas)
        held[slot] = heap.malloc(size)
        if len(heap._arenas) != before:
            highest = max(highest, sum(arena.size for arena in heap._arenas))
    return Footprint(highest, sum(arena.size for arena in heap._arenas))


class Player:
    """The C program that plays a trace to a malloc, in a process of its own.

    Args:
        folder: where it is built.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "trace"
        self._program = folder / "player"
        compiler = shutil.which("cc")
        self.missing = "" if compiler else "a C compiler, cc"
        if compiler:
            source = Path(__file__).with_name("player.c")
            command = [compiler, "-O2", "-o", str(self._program), str(source), "-ldl"]
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            if ran.returncode:
                self.missing = f"a C compiler that takes player.c ({ran.stderr.strip().splitlines()[-1]})"

    def play(self, trace: Trace, library: str | None = None) -> Footprint | None:
        """Play a trace to the system's malloc, or to that of a library; None if it cannot be built."""
        if self.missing:
            return None
        self._file.write_bytes(trace.steps.tobytes())
        before = [] if library is None else ["env", f"LD_PRELOAD={library}"]
        command = [*before, str(self._program), str(self._file), str(trace.slots)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = {
            name: (int(high), int(last)) for name, high, last in re.findall(r"(\w+) (-?\d+) (-?\d+)", told)
        }
        return Footprint(*found["held" if library is None else "active"], resident=found["anonymous"][0])


def _jemalloc() -> str | None:
    """Return the name of jemalloc's library, None if it is not installed."""
    with suppress(OSError):
        return find_library("jemalloc")
    return None


def _everyone(player: Player, library: str | None) -> dict[str, Callable[[Trace], Footprint | None]]:
    return {
        FIRST: _region,
        BEST: lambda trace: _region(trace, fit="best"),
        COMMITTED: lambda trace: _region(trace, commits=True),
        GLIBC: player.play,
        JEMALLOC: lambda trace: player.play(trace, library) if library else None,
        SHARED: _shared,
        DUAL: lambda trace: _model(DualTree, trace),
        LARGEST: lambda trace: _model(LargestFirst, trace),
    }


def _measure(scale: Scale, player: Player, library: str | None) -> dict[str, Samples]:
    """Return figures over live bytes: by which, by mix and by allocator."""
    figures: dict[str, Samples] = {HIGHEST: {}, FINAL: {}, RESIDENT: {}, PAGES: {}, LOG: {}}
    everyone = _everyone(player, library)
    for mix, how in MIXES.items():
        for seed in range(1, scale.churn_seeds + 1):
            say(f"fragmentation: {mix}, seed {seed} of {scale.churn_seeds}")
            trace = _trace(how, seed, scale.churn_share)
            for name, play in everyone.items():
                found = play(trace)
                if found is None:
                    continue
                note(figures[HIGHEST], mix, name, found.highest / trace.highest)
                note(figures[FINAL], mix, name, found.final / trace.final)
                for which, size in (RESIDENT, found.resident), (PAGES, found.pages), (LOG, found.log):
                    if size is not None:
                        live = trace.highest if which == RESIDENT else trace.final
                        note(figures[which], mix, name, size / live)
    return figures


def _worst(figures: dict[str, Samples], which: str, name: str, other: str, bound: float) -> Aim:
    """Return the mix in which one allocator's footprint is largest beside another's."""
    found = {mix: share for mix in MIXES if (share := ratio(figures[which], mix, name, other)) is not None}
    row = f"{which} footprint, {name} / {other}"
    worst = max(found, key=lambda mix: found[mix], default=None)
    if worst is None:
        return Aim(row, None, bound)
    return Aim(f"{row}, worst of {len(found)} mixes ({worst})", found[worst], bound)


def _text(scale: Scale, figures: dict[str, Samples], missing: list[str]) -> str:
    def rows(which: str, names: tuple[str, ...]) -> str:
        return table(
            [f"{which} / live", *names],
            ([mix, *(number(median(figures[which], mix, name), 3) for name in names)] for mix in MIXES),
        )

    calls = ", ".join(f"{mix.blocks // scale.churn_share:,}" for mix in MIXES.values())
    said = (
        f"Blocks that live at once, mix by mix: {calls}; each is replaced {TURNS} times on average, in an "
        f"order drawn at random. The same trace for everyone, medians of {scale.churn_seeds} seeds; live "
        "bytes are those asked for. The highest footprint over the most live bytes; both at the end; the "
        "growth of resident memory; all region pages at the end, in use or not; and those of them that hold "
        "header, nodes and log."
    )
    measures = (
        "What a footprint is. Of stablemem, the end of the last byte in use, header included, "
        "everything in one transaction; or with synced commits: what one frees waits for two more, and "
        "the log goes into the region. Of glibc, `arena` + `hblkhd` of `mallinfo2`, what it took from "
        "the kernel, looked at every 1,000 steps. Of jemalloc, `stats.active`: whole pages with blocks "
        "in them, without its own data and without pages kept for later, so the figure that is best for "
        "it. One measure for both is the growth of anonymous memory in RAM. Of multiprocessing, the sum "
        "of its arenas, which double up to 4 MiB: not quite comparable. Of the original, the end of the "
        "region, by models of its two allocators (`original.py`)."
    )
    differs = (
        "What differs: glibc keeps 8 to 16 bytes with each block and hands out multiples of 16; "
        "jemalloc rounds up to size classes; both must find a block's size from its address alone. Here "
        "the caller says address and size: blocks have no headers and no alignment, and what is free is "
        "known outside of them, in the writer's memory (the part `blocks` counts the bytes for each "
        "free block) and in the log."
    )
    return "\n\n".join(
        [
            said,
            rows(HIGHEST, NAMES),
            rows(FINAL, NAMES),
            rows(RESIDENT, (GLIBC, JEMALLOC)),
            rows(PAGES, (FIRST, BEST, COMMITTED)),
            rows(LOG, (FIRST, BEST, COMMITTED)),
            measures,
            differs,
            *(f"Not measured: {each}." for each in missing),
        ]
    )


def run(scale: Scale, folder: Path | None) -> Section:
    """Measure, and return the tables."""
    library = _jemalloc()
    with tempfile.TemporaryDirectory(dir=folder) as place:
        player = Player(Path(place))
        figures = _measure(scale, player, library)
    missing = [f"{GLIBC} and {JEMALLOC}, for want of {player.missing}"] if player.missing else []
    if library is None:
        missing.append(f"{JEMALLOC}, which is not installed here (Debian: libjemalloc2)")
    pairs = [
        (FIRST, BEST, 1.1),
        *((name, other, 1.0) for name in (FIRST, BEST) for other in (GLIBC, JEMALLOC)),
    ]
    aims = [_worst(figures, which, *pair) for which in (HIGHEST, FINAL) for pair in pairs]
    return Section("Fragmentation", _text(scale, figures, missing), figures, aims)
