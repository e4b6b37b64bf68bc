"""The operations of a list, beside list, py-lmdb and sqlite3.

Every row is measured for one contender after the other before the next row begins, in an order that
turns around each round: what else the machine does meets all of them alike. The page cache is warm.
"""

import os
import random
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peers.contenders import CONTENDERS, Stablemem
from report import Aim, Samples, Scale, Section, median, note, number, ratio, say, table, timed

SIZE = 100
"""Bytes of a value."""

INSERT = "insert at random"
FLOOR = "pwrite + fdatasync"
COMMIT = "durable commit of one value"
COMMIT_AFTER = "the same, after the random inserts"
FILE_APPEND = "bytes per value, after append"
FILE_EXTEND = "bytes per value, after extend"
FILE_FACTOR = "file / (payload + 16 bytes a value), after extend"
TIMES = ("append", "random get", "iterate", INSERT, "extend", COMMIT, COMMIT_AFTER)
FILES = (FILE_APPEND, FILE_EXTEND, FILE_FACTOR)


class Floor:
    """What the disk costs: 4 KiB written in place, and fdatasync."""

    name = FLOOR

    def __init__(self, folder: Path) -> None:
        self.descriptor = os.open(folder / "floor", os.O_RDWR | os.O_CREAT)
        os.pwrite(self.descriptor, bytes(4096), 0)
        os.fsync(self.descriptor)

    def append_one(self, value: bytes) -> None:
        os.pwrite(self.descriptor, value.ljust(4096), 0)
        os.fdatasync(self.descriptor)

    def close(self) -> None:
        os.close(self.descriptor)


class _Round:
    """Every row measured once, in the order of the methods, from an empty folder."""

    def __init__(self, kinds: Sequence[type[Any]], scale: Scale, folder: Path, samples: Samples) -> None:
        self.kinds = kinds
        self.scale = scale
        self.folder = folder
        self.samples = samples
        self.everyone = [kind(folder) for kind in kinds]
        self.durable = [one for one in self.everyone if hasattr(one, "file_bytes")]

    def _each(self, row: str, name: str, nanoseconds: float, operations: int) -> None:
        note(self.samples, row, name, nanoseconds / operations)

    def append(self, values: list[bytes]) -> None:
        for one in self.everyone:
            one.open(True)
            self._each("append", one.name, timed(_append, one, values), len(values))
            one.close()
        for one in self.durable:
            note(self.samples, FILE_APPEND, one.name, one.file_bytes() / len(values))

    def read(self, positions: list[int], count: int) -> None:
        for one in self.everyone:
            one.open(False)
            self._each("random get", one.name, timed(one.get_each, positions), len(positions))
        for one in self.everyone:
            self._each("iterate", one.name, timed(_exhaust, one), count)
            one.close()

    def commit(self) -> None:
        for one in self.durable:
            one.open(True)
        self._commit_in_turns(COMMIT, self.durable)
        for one in self.durable:
            one.close()

    def insert(self, positions: list[int]) -> None:
        for one in self.everyone:
            if not hasattr(one, "insert_each"):
                continue
            one.open(True)
            nanoseconds = timed(one.insert_each, positions, b"i" * SIZE)
            self._each(INSERT, one.name, nanoseconds, len(positions))
            one.commit()
            if one in self.durable:
                self._commit_in_turns(COMMIT_AFTER, [one])
            one.close()

    def _commit_in_turns(self, row: str, ones: Sequence[Any]) -> None:
        """Let each commit a few times, again and again: the disk drifts within seconds."""
        floor = Floor(self.folder)
        for _ in range(self.scale.turns):
            for one in [*ones, floor]:
                for _ in range(self.scale.commits):
                    note(self.samples, row, one.name, timed(one.append_one, b"c" * SIZE))
        floor.close()

    def extend(self, values: list[bytes]) -> None:
        place = self.folder / "extend"
        place.mkdir()
        count = len(values)
        for kind in self.kinds:
            one = kind(place)
            one.open(True)
            self._each("extend", one.name, timed(_extend, one, values), count)
            one.close()
            if hasattr(one, "file_bytes"):
                note(self.samples, FILE_EXTEND, one.name, one.file_bytes() / count)
                note(self.samples, FILE_FACTOR, one.name, one.file_bytes() / (count * (SIZE + 16)))


def _append(one: Any, values: list[bytes]) -> None:
    one.append_all(values)
    one.commit()


def _extend(one: Any, values: list[bytes]) -> None:
    one.extend(values)
    one.commit()


def _exhaust(one: Any) -> None:
    deque(one.iterate(), maxlen=0)


def measure(kinds: Sequence[type[Any]], scale: Scale, folder: Path | None) -> Samples:
    """Return nanoseconds an operation, and bytes of files, of every row and round."""
    chance = random.Random(1)
    values = [chance.randbytes(SIZE) for _ in range(scale.values)]
    count = len(values)
    samples: Samples = {}
    for turn in range(scale.rounds):
        say(f"lists: round {turn + 1} of {scale.rounds}, {count:,} values")
        ordered = list(kinds) if turn % 2 == 0 else list(reversed(kinds))
        with tempfile.TemporaryDirectory(dir=folder) as place:
            one_round = _Round(ordered, scale, Path(place), samples)
            one_round.append(values)
            one_round.read([chance.randrange(count) for _ in range(scale.gets)], count)
            one_round.commit()
            one_round.insert([chance.randrange(count) for _ in range(scale.inserts)])
            one_round.extend(values)
    return samples


def run(scale: Scale, folder: Path | None) -> Section:
    """Measure, and return the tables."""
    samples = measure(CONTENDERS, scale, folder)
    names = [kind.name for kind in CONTENDERS]
    ours, lmdb, plain = Stablemem.name, "py-lmdb", "list"
    times = table(
        ["ns an operation", *names, FLOOR, "/ py-lmdb", "/ list"],
        (
            [
                row,
                *(number(median(samples, row, name)) for name in [*names, FLOOR]),
                number(ratio(samples, row, ours, lmdb), 2),
                number(ratio(samples, row, ours, plain), 3 if row == INSERT else 1),
            ]
            for row in TIMES
        ),
    )
    durable = names[:-1]
    files = table(
        ["file", *durable],
        (
            [row, *(number(median(samples, row, name), 3 if row == FILE_FACTOR else 1) for name in durable)]
            for row in FILES
        ),
    )
    text = (
        f"{scale.values:,} values of {SIZE} bytes, medians of {scale.rounds} rounds; of "
        f"{scale.rounds * scale.turns * scale.commits:,} commits, in turns of {scale.commits}. "
        f"`append` and `extend` end with a durable commit; a `list` has neither file nor commits. "
        f"`{FLOOR}` writes 4 KiB in place: what the disk costs.\n\n{times}\n\n{files}"
    )
    wanted = [
        ("random get", lmdb, 0.6),
        ("append", lmdb, 0.4),
        ("iterate", lmdb, 1.0),
        (INSERT, plain, 0.03),
        (COMMIT, lmdb, 0.65),
    ]
    aims = [Aim(f"{row} / {other}", ratio(samples, row, ours, other), bound) for row, other, bound in wanted]
    aims.append(Aim(FILE_FACTOR, median(samples, FILE_FACTOR, ours), 1.02))
    return Section("Operations", text, samples, aims)
