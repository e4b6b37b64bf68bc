"""Marks: whatever happened since, undoing brings back every entry, count and number."""

import random
from collections.abc import Iterator

import pytest

from stablemem._core.disk.device import MemoryDevice
from stablemem._core.disk.region import Region
from stablemem._core.format.checksum import crc32c
from stablemem._core.space.freespace import FreeSpace
from stablemem._core.tree.index import Index
from stablemem._core.tree.pager import Pager
from support import chosen_seed, scaled

HEADER = 65536
STEPS = [
    "insert", "insert", "insert_many", "replace", "replace", "delete", "set_mark", "set_mark", "write_blobs",
    "write_out", "end_mark", "undo", "undo",
]  # fmt: skip


class Machine:
    """An index on a pager with marks, beside a list; the free space is marked with it.

    Attributes:
        values: the blobs that the index should hold.
        marks: (mark, state of the index, values) of each mark, newest last.
    """

    def __init__(self, random: random.Random) -> None:
        self.random = random
        region = Region(MemoryDevice())
        region.write(0, bytes(HEADER))
        self.space = FreeSpace()
        self.pager = Pager(region, self.space, True)
        self.pager.transaction = 1
        self.index = Index(self.pager)
        self.values: list[bytes] = []
        self.marks: list[tuple[object, tuple[int, int, int, int], list[bytes]]] = []

    def entry(self, blob: bytes) -> tuple[int, int]:
        if len(blob) <= 8:
            return int.from_bytes(blob, "little"), len(blob)
        return self.pager.hold(blob), len(blob) | crc32c(blob) << 32

    def blob(self) -> bytes:
        return self.random.randbytes(self.random.choice([0, 5, 8, 9, 40, 300]))

    def insert(self) -> None:
        position, blob = self.random.randint(0, len(self.values)), self.blob()
        self.index.insert(position, *self.entry(blob))
        self.values.insert(position, blob)

    def insert_many(self) -> None:
        position = self.random.choice([0, len(self.values) // 2, len(self.values)])
        blobs = [self.blob() for _ in range(self.random.choice([1, 60, 700]))]
        words = [self.entry(blob) for blob in blobs]
        packed = b"".join(w.to_bytes(8, "little") for entry in words for w in entry)
        self.index.insert_run(position, packed)
        self.values[position:position] = blobs

    def replace(self) -> None:
        if self.values:
            position, blob = self.random.randrange(len(self.values)), self.blob()
            self.index.replace(position, *self.entry(blob))
            self.values[position] = blob

    def delete(self) -> None:
        if self.values:
            start = self.random.randrange(len(self.values))
            stop = min(len(self.values), start + self.random.choice([1, 2, 400]))
            self.index.delete_range(start, stop)
            del self.values[start:stop]

    def write_blobs(self) -> None:
        self.pager.write_blobs()

    def write_out(self) -> None:
        self.pager.write_blobs()
        self.pager.begin_nodes(0)
        self.index.place()
        self.pager.end_nodes()

    def set_mark(self) -> None:
        if len(self.marks) < 4:
            self.index.restore(self.index.state())
            self.space.push()
            self.marks.append((self.pager.set_mark(), self.index.state(), list(self.values)))

    def end_mark(self) -> None:
        if self.marks:
            self.marks.pop()
            self.pager.end_mark()
            self.space.pop()

    def undo(self) -> None:
        if self.marks:
            at = self.random.randrange(len(self.marks))
            mark, state, self.values = self.marks[at]
            for _ in self.marks[at:]:
                self.space.undo()
                self.space.layers.pop()
            del self.marks[at:]
            self.pager.undo_to(mark)
            self.index.restore(state)

    def step(self) -> None:
        getattr(self, self.random.choice(STEPS))()

    def read(self) -> Iterator[bytes]:
        packed = self.index.entries(0, self.index.length)
        for at in range(0, len(packed), 16):
            first = int.from_bytes(packed[at : at + 8], "little")
            yield self.pager.blob(first, int.from_bytes(packed[at + 8 : at + 16], "little"))

    def check(self) -> None:
        assert list(self.read()) == self.values
        assert not self.index.check()
        assert not self.pager.check()
        assert not self.space.check()


@pytest.mark.parametrize("number", range(scaled(40, 12)))
def test_random_machines(number: int) -> None:
    seed = chosen_seed(number)
    print(f"STABLEMEM_SEED={seed}")
    machine = Machine(random.Random(seed))
    for _ in range(60):
        machine.step()
        machine.check()
    while machine.marks:
        machine.undo()
        machine.check()
    machine.write_out()
    machine.check()


def test_a_mark_copies_what_is_changed_and_no_more() -> None:
    machine = Machine(random.Random(1))
    words = b"".join(
        machine.entry(b"%d" % n)[0].to_bytes(8, "little") + bytes([4]) + bytes(7) for n in range(9999)
    )
    machine.index.insert_run(0, words)
    machine.index.restore(machine.index.state())
    mark = machine.pager.set_mark()
    assert not mark.images
    machine.index.replace(5000, *machine.entry(b"new"))
    assert len(mark.images) == machine.index.height
    machine.index.replace(5001, *machine.entry(b"new"))
    assert len(mark.images) == machine.index.height
