"""The lists that are compared, each used as its own documentation recommends.

Every contender stores the same values, in the same order, with the same durability: ``commit`` returns
when the data survives a power cut (py-lmdb: sync=True, its default; sqlite3: WAL with synchronous=FULL;
stablemem: its default). ``list`` has neither a file nor commits and is there as the measure of what the
language offers.

Positions: py-lmdb and sqlite3 have no list; the position, as an 8-byte big-endian key or as rowid, stands
in for it. Neither can insert in the middle without renumbering what follows, so they have no such row.
"""

import sqlite3
import struct
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import lmdb

from stablemem import MemoryBuffer

_KEY = struct.Struct(">Q")


class Stablemem:
    """MemoryBuffer with Blobify "bytes"."""

    name = "stablemem"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "stablemem.smem"
        self.buffer: Any = None

    def open(self, write: bool) -> None:
        self.buffer = MemoryBuffer(self.path, "a" if write else "r", blobify="bytes" if write else None)

    def close(self) -> None:
        self.buffer.close()

    def append_all(self, values: list[bytes]) -> None:
        append = self.buffer.append
        for value in values:
            append(value)

    def extend(self, values: list[bytes]) -> None:
        self.buffer.extend(values)

    def commit(self) -> None:
        self.buffer.commit()

    def append_one(self, value: bytes) -> None:
        self.buffer.append(value)
        self.buffer.commit()

    def get_each(self, positions: list[int]) -> None:
        buffer = self.buffer
        for position in positions:
            buffer[position]

    def iterate(self) -> Iterator[bytes]:
        return iter(self.buffer)

    def insert_each(self, positions: list[int], value: bytes) -> None:
        insert = self.buffer.insert
        for position in positions:
            insert(position, value)

    def first(self) -> bytes:
        value: bytes = self.buffer[0]
        return value

    def file_bytes(self) -> int:
        return self.path.stat().st_size


class Lmdb:
    """py-lmdb: one write transaction for the appends, one read transaction for the reads."""

    name = "py-lmdb"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lmdb.mdb"
        self.count = 0

    def open(self, write: bool) -> None:
        self.env = lmdb.open(str(self.path), subdir=False, map_size=1 << 34, readonly=not write)
        self.write = write
        self.txn = self.env.begin(write=write)

    def close(self) -> None:
        self.commit()
        self.env.close()

    def append_all(self, values: list[bytes]) -> None:
        put, pack = self.txn.put, _KEY.pack
        for number, value in enumerate(values, self.count):
            put(pack(number), value, append=True)
        self.count += len(values)

    def extend(self, values: list[bytes]) -> None:
        pack = _KEY.pack
        with self.txn.cursor() as cursor:
            cursor.putmulti(((pack(n), v) for n, v in enumerate(values, self.count)), append=True)
        self.count += len(values)

    def commit(self) -> None:
        self.txn.commit()
        self.txn = self.env.begin(write=self.write)

    def append_one(self, value: bytes) -> None:
        self.txn.put(_KEY.pack(self.count), value, append=True)
        self.count += 1
        self.commit()

    def get_each(self, positions: list[int]) -> None:
        get, pack = self.txn.get, _KEY.pack
        for position in positions:
            get(pack(position))

    def iterate(self) -> Iterator[bytes]:
        return iter(self.txn.cursor().iternext(keys=False, values=True))

    def first(self) -> bytes:
        value = self.txn.get(_KEY.pack(0))
        assert value is not None
        return value

    def file_bytes(self) -> int:
        return self.path.stat().st_size


class Sqlite:
    """sqlite3: a table of rowid and blob, write-ahead log, prepared statements."""

    name = "sqlite3"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "sqlite.db"
        self.count = 0

    def open(self, write: bool) -> None:
        mode = "rwc" if write else "ro"
        self.db = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None
        )
        if write:
            self.db.execute("pragma journal_mode=wal")
            self.db.execute("pragma synchronous=full")
            self.db.execute("create table if not exists list (position integer primary key, value blob)")
        self.db.execute("begin")

    def close(self) -> None:
        self.db.execute("commit")
        self.db.close()

    def append_all(self, values: list[bytes]) -> None:
        execute = self.db.execute
        for number, value in enumerate(values, self.count):
            execute("insert into list values (?, ?)", (number, value))
        self.count += len(values)

    def extend(self, values: list[bytes]) -> None:
        self.db.executemany("insert into list values (?, ?)", enumerate(values, self.count))
        self.count += len(values)

    def commit(self) -> None:
        self.db.execute("commit")
        self.db.execute("begin")

    def append_one(self, value: bytes) -> None:
        self.db.execute("insert into list values (?, ?)", (self.count, value))
        self.count += 1
        self.commit()

    def get_each(self, positions: list[int]) -> None:
        execute = self.db.execute
        for position in positions:
            execute("select value from list where position = ?", (position,)).fetchone()

    def iterate(self) -> Iterator[bytes]:
        return map(itemgetter(0), self.db.execute("select value from list order by position"))

    def first(self) -> bytes:
        row = self.db.execute("select value from list where position = 0").fetchone()
        return bytes(row[0])

    def file_bytes(self) -> int:
        return self.path.stat().st_size


class List:
    """A Python list: no file, no commits."""

    name = "list"

    def __init__(self, _: Path) -> None:
        self.values: list[bytes] = []

    def open(self, write: bool) -> None:
        pass

    def close(self) -> None:
        pass

    def append_all(self, values: list[bytes]) -> None:
        append = self.values.append
        for value in values:
            append(value)

    def extend(self, values: list[bytes]) -> None:
        self.values.extend(values)

    def commit(self) -> None:
        pass

    def get_each(self, positions: list[int]) -> None:
        values = self.values
        for position in positions:
            values[position]

    def iterate(self) -> Iterator[bytes]:
        return iter(self.values)

    def insert_each(self, positions: list[int], value: bytes) -> None:
        insert = self.values.insert
        for position in positions:
            insert(position, value)


CONTENDERS: list[type[Any]] = [Stablemem, Lmdb, Sqlite, List]
