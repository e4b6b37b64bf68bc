"""Running: many workloads, every image judged once, counted by how the power went.

An image that was judged already, with the same states allowed, is counted as repeated and left alone. Of
those that are judged, one in WORK is worked on, one in AGAIN cut a second time while that happens.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field

from support.recorded import BOOT

from .cutting import Cut, cuts
from .disk import Disk
from .judging import LATER_BOOT, Judge, hash_of, said
from .workloads import RANDOM, SHORT, Failure, Workload, play

__all__ = ["MOST", "RANDOM", "Found", "Tally", "part_of", "replay", "run", "seeds"]

MOST = 4096
SHORT_BUDGET = 80
"""Images of one short sequence: there are so many of those that each has few that are its own."""

RARE = 8
WORK, AGAIN = 3, 32
OFTEN = 8
"""In a thorough run one image in so many is cut again."""


@dataclass
class Found:
    """A failure: which state of which workload, and what is wrong with it."""

    seed: int
    state: int
    most: int
    message: str
    cut: str
    steps: list[str]
    fault: str = ""
    thorough: bool = False

    def __str__(self) -> str:
        fault = f" --fault {self.fault}" if self.fault else ""
        most = f" --most {self.most}" if self.most != MOST else ""
        thorough = " --thorough" if self.thorough else ""
        return (
            f"python -m powercut --seed {self.seed} --state {self.state}{most}{fault}{thorough}\n"
            f"    {self.message}\n    {self.cut}\n    workload: {'; '.join(self.steps)}"
        )


@dataclass
class Tally:
    """What a run met.

    Attributes:
        keys: of the distinct images.
        kinds: distinct images by how the power went.
        repeated: images that were judged before.
        workloads: how many were played.
        worked: images that were worked on.
        asked: images that the independent judge was given.
        found: the failures.
    """

    keys: set[int] = field(default_factory=set)
    kinds: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    workloads: int = 0
    worked: int = 0
    asked: int = 0
    found: list[Found] = field(default_factory=list)

    @property
    def states(self) -> int:
        """Number of distinct images."""
        return len(self.keys)

    def add(self, other: "Tally") -> None:
        """Take over another tally, images that both met being counted once."""
        twice = len(self.keys & other.keys)
        self.keys |= other.keys
        self.kinds += other.kinds
        self.repeated += other.repeated + twice
        self.workloads += other.workloads
        self.worked += other.worked
        self.asked += other.asked
        self.found += other.found

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in self.kinds.most_common())
        return (
            f"{self.states} distinct states of {self.workloads} workloads, {self.repeated} repeated, "
            f"{self.worked} worked on, {self.asked} seen by the independent judge, "
            f"{len(self.found)} failures\n"
            f"    {kinds}"
        )


def seeds(first: int = RANDOM) -> Iterator[int]:
    """Yield seeds: all short sequences in a mixed order, a random workload after every RARE of them."""
    short = list(range(2 * SHORT))
    random.Random(1).shuffle(short)
    later = first
    for number, seed in enumerate(short):
        yield seed
        if number % RARE == RARE - 1:
            yield later
            later += 1
    while True:
        yield later
        later += 1


class Runner:
    """Judges workloads one after the other.

    Args:
        most: images of subsets at a moment.
        budget: images of one workload, at the most.
        stop: failures after which to stop.
        fault: mistake that is switched on.
        whole: whether short sequences have the same budget.
        thorough: whether every image is worked on, and many of them cut again.
    """

    def __init__(
        self, most: int, budget: int, stop: int, fault: str = "", whole: bool = False, thorough: bool = False
    ) -> None:
        self.short_budget = budget if whole else min(budget, SHORT_BUDGET)
        self.thorough = thorough
        self.most, self.budget, self.stop, self.fault = most, budget, stop, fault
        self.tally = Tally()
        self.judge = Judge(asking=not fault)
        self.disk = Disk()

    def workload(self, seed: int) -> None:
        """Play a workload and judge what cuts leave of it."""
        tally = self.tally
        tally.workloads += 1
        try:
            played = play(seed)
        except Failure as failure:
            steps = failure.played.steps  # type: ignore[attr-defined]
            self._note(seed, 0, str(failure), "seen without a cut", steps)
            return
        disk, most = self.disk, self.most
        budget = self.budget if seed >= RANDOM else self.short_budget
        total = sum(1 for _ in cuts(played, disk, most))
        for cut in cuts(played, disk, most):
            if total > budget and mixed(cut.number, seed) % total >= budget:
                continue
            boot, states = _what_holds(played, cut)
            pages, length, key = disk.build(cut.pieces)
            key = hash((key, boot == BOOT, *map(hash_of, states)))
            if key in tally.keys:
                tally.repeated += 1
                continue
            tally.keys.add(key)
            tally.kinds[cut.kind] += 1
            disk.lay(pages, length)
            try:
                work, again = chosen(seed, cut.number, states, self.thorough)
                tally.worked += work
                older = played.allowed(cut.after) if boot == BOOT else None
                steady = cut.after <= played.steady
                self.judge.judge(disk, states, boot, mixed(seed, cut.number), work, again, older, steady)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
                self._note(seed, cut.number, said(error), str(cut), played.steps)
                if len(tally.found) >= self.stop:
                    return
                break
            finally:
                disk.clear()
                fresh = set(self.judge.second) - tally.keys
                tally.keys |= fresh
                tally.kinds["second cut"] += len(fresh)
                self.judge.second.clear()
                tally.asked, self.judge.asked = tally.asked + self.judge.asked, 0

    def _note(self, seed: int, state: int, message: str, cut: str, steps: list[str]) -> None:
        found = Found(seed, state, self.most, message, cut, list(steps), self.fault, self.thorough)
        self.tally.found.append(found)


def mixed(seed: int, state: int) -> int:
    """Return a number that depends on both and looks random."""
    return ((seed * 0x9E3779B97F4A7C15 + state) * 0xD1342543DE82EF95 >> 20) & ((1 << 40) - 1)


def chosen(seed: int, state: int, states: list, thorough: bool = False) -> tuple[bool, bool]:
    """Return whether a state is worked on, and cut again: rather if a commit was under way."""
    number = mixed(seed, state) >> 8
    rare = OFTEN if thorough else AGAIN
    again = number % (rare if len(states) == 1 else rare // 2) == 0
    return again or thorough or number % WORK == 0, again


def _what_holds(played: Workload, cut: Cut) -> tuple[bytes, list]:
    """Return the boot a cut is followed by, and the states allowed after it."""
    if cut.kind == "kill":
        return BOOT, played.living(cut.after)
    return LATER_BOOT[0], played.allowed(cut.after)


def run(
    wanted: int,
    most: int = MOST,
    budget: int = 1 << 30,
    first: int = RANDOM,
    stop: int = 5,
    which: Iterable[int] | None = None,
    fault: str = "",
    whole: bool = False,
    thorough: bool = False,
) -> Tally:
    """Judge workloads until so many distinct images were judged, or so many failures found.

    Args:
        wanted: number of images.
        most: images of subsets at a moment.
        budget: images of one workload.
        first: seed of the first random workload.
        stop: failures after which to stop.
        which: seeds instead of ``seeds(first)``.
        fault: mistake to switch on meanwhile.
        whole: whether short sequences are judged to the last image too.
        thorough: whether every image is worked on, and many of them cut again.
    """
    runner = Runner(most, budget, stop, fault, whole, thorough)
    tally = runner.tally
    with _planted(fault):
        for seed in seeds(first) if which is None else which:
            runner.workload(seed)
            if tally.states >= wanted or len(tally.found) >= stop:
                break
    return tally


def part_of(task: tuple[list[int], int, int]) -> Tally:
    """Judge the workloads of some seeds: (seeds, most, budget)."""
    numbers, most, budget = task
    return run(1 << 60, most, budget, which=numbers, stop=3)


def _planted(fault: str):
    if not fault:
        return nullcontext()
    from .faults import planted

    return planted(fault)


def replay(
    seed: int, state: int, most: int = MOST, fault: str = "", thorough: bool = False
) -> Found | None:  # fmt: skip
    """Judge one state of one workload again; print what it is."""
    with _planted(fault):
        try:
            played = play(seed)
        except Failure as failure:
            print(f"workload {seed}: {'; '.join(failure.played.steps)}")  # type: ignore[attr-defined]
            return Found(seed, 0, most, str(failure), "seen without a cut", [], fault, thorough)
        print(f"workload {seed}: {'; '.join(played.steps)}")
        if not state:
            return None
        disk = Disk()
        for cut in cuts(played, disk, most):
            if cut.number < state:
                continue
            print(cut)
            boot, states = _what_holds(played, cut)
            print(f"allowed are lists of {[[len(each) for each in one] for one in states]} values")
            pages, length, _ = disk.build(cut.pieces)
            disk.lay(pages, length)
            try:
                older = played.allowed(cut.after) if boot == BOOT else None
                steady = cut.after <= played.steady
                work, again = chosen(seed, state, states, thorough)
                Judge(not fault).judge(disk, states, boot, mixed(seed, state), work, again, older, steady)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
                return Found(seed, state, most, said(error), str(cut), played.steps, fault, thorough)
            finally:
                disk.clear()
            return None
    raise SystemExit(f"workload {seed} has no state {state}")
