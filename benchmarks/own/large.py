"""A million values and ten million, beside list: what happens to many at once, and to one in the middle.

Every row is the thread's own time, without the unsynced commit behind it, which is told beside. The page
cache is warm. Ten million are measured once, and without list: they are to cost as much each as a million.
"""

import random
from array import array
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from own.steady import busy
from report import Aim, Samples, Scale, Section, median, note, number, ratio, say, table

from stablemem import MemoryBuffer

SIZE = 100
"""Bytes of a value."""

LETTERS = 12
"""Characters of a text."""

STEP = 10
"""Of extended slices."""

OURS, THEIRS = "MemoryBuffer", "list"
COMMIT = "unsynced commit after it"

INSERT, DELETE = "insert at random", "delete at random"
DELETE_SLICE, INSERT_SLICE = "delete a slice", "insert a slice"
GET_MANY, GET_STEPS, SET_STEPS, DELETE_STEPS = (
    "get_many", f"x[::{STEP}]", f"x[::{STEP}] = values", f"del x[::{STEP}]",
)  # fmt: skip
REVERSE, SHUFFLE, ROTATE, SORT = "reverse", "shuffle", "rotate by a third", "sort of texts"
FORTH, BACK = "append and popleft", "appendleft and pop"
MILLISECONDS = {DELETE_SLICE, INSERT_SLICE}
"""Rows that are told in milliseconds a call; all others in nanoseconds for each call or value."""

MOST_OF_LIST, MOST_NANOSECONDS, MOST_SLICE, MOST_SORT, MOST_GROWTH = 1 / 50, 2500.0, 20.0, 3.0, 2.0


def _values(count: int) -> Iterator[bytes]:
    """Yield values that were never seen before, always the same."""
    chance = random.Random(1)
    for _ in range(0, count, 10_000):
        part = chance.randbytes(SIZE * 10_000)
        for place in range(0, len(part), SIZE):
            yield part[place : place + SIZE]


def _texts(count: int) -> Iterator[str]:
    """Yield short texts in no order."""
    chance = random.Random(2)
    for _ in range(0, count, 10_000):
        part = chance.randbytes(LETTERS // 2 * 10_000).hex()
        for place in range(0, len(part), LETTERS):
            yield part[place : place + LETTERS]


class _Many:
    """One list of so many values, ours or Python's, and what is done to it."""

    def __init__(self, it: Any, name: str, count: int, scale: Scale) -> None:
        self.it = it
        self.name = name
        self.count = count
        self.plain = type(it) is list
        self.inserts = scale.inserts // 10 if self.plain else scale.inserts
        self.pairs = scale.gets // 100 if self.plain else scale.gets
        self.gets = scale.gets
        # As many as a tenth of the smaller list.
        self.slice = scale.large_values[0] // 10
        self.chance = random.Random(3)
        self.new = list(islice(_values(count), 100_000))

    def positions(self, number: int) -> "array[int]":
        # What stays the same for all who are measured, and is in range after a slice was deleted.
        return array("q", self.chance.choices(range(self.count - self.slice), k=number))

    def insert(self, positions: "array[int]") -> None:
        insert, value = self.it.insert, self.new[0]
        for position in positions:
            insert(position, value)

    def delete(self, positions: "array[int]") -> None:
        it = self.it
        for position in positions:
            del it[position]

    def delete_slice(self, position: int) -> None:
        del self.it[position : position + self.slice]

    def insert_slice(self, position: int, values: list[bytes]) -> None:
        self.it[position:position] = values

    def get_many(self, positions: list[int]) -> None:
        if self.plain:
            it = self.it
            [it[position] for position in positions]
        else:
            self.it.get_many(positions)

    def get_steps(self) -> None:
        self.it[::STEP]

    def set_steps(self, values: list[bytes]) -> None:
        self.it[::STEP] = values

    def delete_steps(self) -> None:
        del self.it[::STEP]

    def reverse(self) -> None:
        self.it.reverse()

    def rotate(self) -> None:
        third = self.count // 3
        if self.plain:
            self.it[:] = self.it[-third:] + self.it[:-third]
        else:
            self.it.rotate(third)

    def shuffle(self) -> None:
        if self.plain:
            self.chance.shuffle(self.it)
        else:
            self.it.shuffle(self.chance)

    def forth(self) -> None:
        append, value = self.it.append, self.new[0]
        take = (lambda: self.it.pop(0)) if self.plain else self.it.popleft
        for _ in range(self.pairs):
            append(value)
            take()

    def back(self) -> None:
        take, value = self.it.pop, self.new[0]
        put = (lambda one: self.it.insert(0, one)) if self.plain else self.it.appendleft
        for _ in range(self.pairs):
            put(value)
            take()

    def measure(self, samples: Samples) -> None:
        """Note nanoseconds of every row, in an order that leaves the length as it is until the end."""
        self._note(samples, GET_MANY, self.gets, self.get_many, list(self.positions(self.gets)))
        self._note(samples, GET_STEPS, self.count // STEP, self.get_steps)
        self._note(samples, INSERT, self.inserts, self.insert, self.positions(self.inserts))
        self._note(samples, DELETE, self.inserts, self.delete, self.positions(self.inserts))
        for position in self.positions(3):
            self._note(samples, DELETE_SLICE, 1, self.delete_slice, position)
            again = (self.new * (1 + self.slice // len(self.new)))[: self.slice]
            self._note(samples, INSERT_SLICE, 1, self.insert_slice, position, again)
        self._note(samples, ROTATE, 1, self.rotate)
        self._note(samples, REVERSE, self.count, self.reverse)
        number = len(range(0, len(self.it), STEP))
        steps = (self.new * (1 + number // len(self.new)))[:number]
        self._note(samples, SET_STEPS, number, self.set_steps, steps)
        self._note(samples, FORTH, self.pairs, self.forth)
        self._note(samples, BACK, self.pairs, self.back)
        self._note(samples, SHUFFLE, self.count, self.shuffle)
        self._note(samples, DELETE_STEPS, number, self.delete_steps)

    def _note(self, samples: Samples, row: str, number: int, call: Callable[..., None], *given: Any) -> None:
        note(samples, row, self.name, busy(call, *given) / number)
        if not self.plain:
            note(samples, f"{row}, {COMMIT}", self.name, busy(self.it.commit) / number)


def _name(count: int) -> str:
    return f"{OURS}, {count:,}"


def measure(scale: Scale, folder: Path | None) -> Samples:
    """Return nanoseconds of every row, of list and of ours, by number of values."""
    samples: Samples = {}
    first = scale.large_values[0]
    for count in scale.large_values:
        for turn in range(scale.rounds if count == first else 1):
            say(f"large: {count:,} values, round {turn + 1}")
            if count == first:
                _Many(list(_values(count)), THEIRS, count, scale).measure(samples)
            with TemporaryDirectory(dir=folder) as place:
                ours = MemoryBuffer(Path(place) / "values.smem", "x", blobify="bytes", sync=False)
                ours.extend(_values(count))
                ours.commit()
                _Many(ours, _name(count), count, scale).measure(samples)
                ours.close()
            say(f"large: {count:,} texts to sort")
            with TemporaryDirectory(dir=folder) as place:
                _sort(count, count == first, Path(place), samples)
    return samples


def _sort(count: int, beside: bool, folder: Path, samples: Samples) -> None:
    texts = MemoryBuffer(folder / "texts.smem", "x", blobify="text", sync=False)
    texts.extend(_texts(count))
    texts.commit()
    note(samples, SORT, _name(count), busy(texts.sort) / count)
    note(samples, f"{SORT}, {COMMIT}", _name(count), busy(texts.commit) / count)
    if beside:
        plain = list(_texts(count))
        note(samples, SORT, THEIRS, busy(sorted, plain) / count)
    texts.close()


ROWS = (
    INSERT, DELETE, DELETE_SLICE, INSERT_SLICE, SORT, REVERSE, SHUFFLE, ROTATE, GET_MANY, GET_STEPS,
    SET_STEPS, DELETE_STEPS, FORTH, BACK,
)  # fmt: skip


def run(scale: Scale, folder: Path | None) -> Section:
    """Measure, and return the table."""
    samples = measure(scale, folder)
    first, *more = scale.large_values
    name = _name(first)

    def unit(row: str) -> float:
        return 1e6 if row in MILLISECONDS else 1

    def digits(row: str) -> int:
        return 1 if row in MILLISECONDS else 0

    rows = []
    for row in ROWS:
        cells = [f"{row}, ms" if row in MILLISECONDS else row]
        cells.append(number(median(samples, row, THEIRS, unit(row)), digits(row)))
        cells.append(number(median(samples, row, name, unit(row)), digits(row)))
        cells.append(number(ratio(samples, row, name, THEIRS), 3))
        cells.append(number(median(samples, f"{row}, {COMMIT}", name, unit(row)), digits(row)))
        for count in more:
            cells.append(number(median(samples, row, _name(count), unit(row)), digits(row)))
            cells.append(number(ratio(samples, row, _name(count), name), 2))
            cells.append(number(median(samples, f"{row}, {COMMIT}", _name(count), unit(row)), digits(row)))
        rows.append(cells)
    header = ["ns for each", f"list, {first:,}", name, "/ list", "its commit"]
    for count in more:
        header += [_name(count), f"/ {first:,}", "its commit"]
    text = (
        f"{first:,} values of {SIZE} bytes, medians of {scale.rounds} rounds, and more of them, one round; "
        f"texts to sort have {LETTERS} characters. {scale.inserts:,} inserts and deletes at random positions "
        f"(list: a tenth), {scale.gets:,} positions for `get_many` (a comprehension for list), slices of "
        f"{first // 10:,}; rows without a call of their own in `list` are written as one would there "
        "(`rotate` by slices, `popleft` as `pop(0)`). What is done to many is told for each value; `rotate` "
        "for the call. `its commit` is that of the row, divided in the same way.\n\n" + table(header, rows)
    )
    aims = [
        Aim(f"{row} / list, {first:,}", ratio(samples, row, name, THEIRS), MOST_OF_LIST)
        for row in (INSERT, DELETE)
    ]
    aims += [
        Aim(f"the same alone: {row}", median(samples, row, name), MOST_NANOSECONDS, "ns")
        for row in (INSERT, DELETE)
    ]
    slices = median(samples, DELETE_SLICE, name, 1e6)
    aims.append(Aim(f"delete a slice of {first // 10:,} of {first:,}", slices, MOST_SLICE, "ms"))
    aims.append(Aim(f"{SORT} / sorted(list), {first:,}", ratio(samples, SORT, name, THEIRS), MOST_SORT))
    for count in more:
        aims += [
            Aim(f"{row}, {count:,} / {first:,}", ratio(samples, row, _name(count), name), MOST_GROWTH)
            for row in ROWS
        ]
    return Section("", text, samples, aims)
