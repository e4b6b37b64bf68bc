"""Cutting: which images of one workload are looked at, numbered, the same at every run.

Moments: before every sync, after the last event, and at random between. At each of them, with ``n`` pieces
written and not synced:

    subsets       every one of 2**n if n is at most 12 and there may be as many; else none, all, all but
                  one, only one, pairs, random ones
    torn page     some pieces, and one of them in some of its sectors of 512 bytes
    torn slot     some pieces, and a header slot in some of its words of 8 bytes
    kill          everything, as the page cache has it, under the same boot

A failed sync divides what follows into timelines: its pieces lost, arrived, some of both, or waiting on.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from stablemem.layout import HEADER_SIZE

from .disk import ALL, NONE, RETAINED, SECTOR, WORD, Disk, Piece, torn
from .workloads import Workload

__all__ = ["Cut", "cuts", "moments", "subsets"]

EVERY = 12
"""Most pieces of which every subset is tried."""

TORN = 6
"""Torn images of each kind at a moment, at the most."""

RANDOM_MOMENT = 0.12


@dataclass
class Cut:
    """One image of a workload: what was kept at which moment.

    Attributes:
        number: of the state, in this workload.
        after: events that were played.
        kind: how the power went.
        pieces: the loose pieces that arrived.
        timeline: what became of failed syncs.
    """

    number: int
    after: int
    kind: str
    pieces: list[Piece]
    timeline: int

    def __str__(self) -> str:
        kept = ", ".join(
            f"length {address}" if isinstance(data, str) else f"{address}+{len(data)}"
            for address, data in self.pieces
        )
        lost = f", failed syncs: {self.timeline}" if self.timeline else ""
        return f"cut after event {self.after} ({self.kind}{lost}), kept: {kept or 'nothing'}"


def subsets(count: int, rng: random.Random, most: int) -> Iterator[tuple[str, list[int]]]:
    """Yield (kind, numbers kept) for ``count`` pieces, no more than about ``most``."""
    everything = list(range(count))
    if count <= EVERY and 1 << count <= most:
        for mask in range(1 << count):
            kind = "none" if mask == 0 else "all" if mask == (1 << count) - 1 else "subset"
            yield kind, [one for one in everything if mask >> one & 1]
        return
    yield "none", []
    yield "all", everything
    some: list[tuple[str, list[int]]] = []
    some += [("only one", [one]) for one in everything]
    some += [("all but one", everything[:one] + everything[one + 1 :]) for one in everything]
    for _ in range(min(count, most)):
        one, two = sorted(rng.sample(everything, 2))
        some.append(("pair", [one, two]))
    room = max(2, most - 2)
    yield from rng.sample(some, min(len(some), room * 2 // 3))
    for _ in range(room // 3):
        share = rng.choice([0.1, 0.5, 0.9])
        yield "random", [one for one in everything if rng.random() < share]


def moments(events: list[tuple], first: int, rng: random.Random) -> set[int]:
    """Return after how many events the power goes."""
    found = {number for number, event in enumerate(events) if event[0] in {"sync", "failed"}}
    found |= {number for number in range(len(events)) if rng.random() < RANDOM_MOMENT}
    found.add(len(events))
    return {number for number in found if number >= first}


def at_moment(
    disk: Disk, rng: random.Random, most: int, kill: bool = True
) -> Iterator[tuple[str, list[Piece]]]:  # fmt: skip
    """Yield (kind, pieces that arrived) for a cut now."""
    loose = disk.loose
    for kind, kept in subsets(len(loose), rng, most):
        yield kind, [loose[one] for one in kept]
    pages = [number for number, (_, data) in enumerate(loose) if not isinstance(data, str)]
    slots = [number for number in pages if loose[number][0] < HEADER_SIZE]
    for kind, grain, among in (("torn page", SECTOR, pages), ("torn slot", WORD, slots)):
        for _ in range(min(TORN, most // 4) if among else 0):
            one = rng.choice(among)
            share = rng.choice([0.0, 0.3, 0.7, 1.0])
            pieces: list[Piece] = []
            for number, piece in enumerate(loose):
                if number == one:
                    # All that counts of a slot is in its first sector.
                    address, data = piece
                    size = SECTOR if kind == "torn slot" else len(data)
                    pieces += torn((address, data[:size]), grain, rng)
                    if size < len(data) and rng.random() < share:
                        pieces.append((address + size, data[size:]))
                elif rng.random() < share:
                    pieces.append(piece)
            yield kind, pieces
    if kill and not disk.ghosts:
        yield "kill", list(loose)


def cuts(played: Workload, disk: Disk, most: int) -> Iterator[Cut]:
    """Play a workload's events to a disk and yield the cuts, ``disk`` being as it was at each.

    Args:
        played: the workload.
        disk: an empty one.
        most: images of subsets at one moment.
    """
    rng = random.Random(played.seed ^ 0xC07)
    events = played.events
    chosen = moments(events, played.start, rng)
    open_failures = [n for n, event in enumerate(events) if event[0] == "failed" and event[1] is None]
    failures = [number for number, event in enumerate(events) if event[0] == "failed"]
    timelines = [0]
    if open_failures:
        timelines = [NONE, ALL, RETAINED, rng.randrange(3, 1 << 30), rng.randrange(3, 1 << 30)]
    number = 0
    for which, choice in enumerate(timelines):
        disk.begin(b"")
        # What was before the first failure, all timelines share.
        first = open_failures[0] + 1 if which else played.start
        for after in range(len(events) + 1):
            if after in chosen and after >= first:
                failed = bool(failures) and after > failures[0]
                for kind, pieces in at_moment(disk, rng, most):
                    number += 1
                    described = f"{kind} after a failed sync" if failed and kind != "kill" else kind
                    yield Cut(number, after, described, pieces, choice)
            if after < len(events):
                event = events[after]
                if event[0] == "failed":
                    disk.play(event, choice if event[1] is None else event[1])
                else:
                    disk.play(event)
