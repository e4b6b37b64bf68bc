# ruff: noqa: RUF005, PLR0124, B018 - what is looked at is the type of the expression
"""What mypy says of the main calls; test_typing.py runs it. Nothing here is ever executed."""

import copy
import random
from collections.abc import Iterator
from typing import Any, assert_type

from stablemem import CorruptRegionError, MemoryBuffer, MemoryRegion, RegionLockedError, Report, Sizes, Stats
from stablemem.blobify import Blobify, Bytes, Int, Msgpack, Nat, Text
from stablemem.fixed_width import Kind
from stablemem.roots import Roots


class Words:
    """A Blobify of one's own, without a base class."""

    def to_blob(self, value: list[str], /) -> bytes:
        return " ".join(value).encode()

    def from_blob(self, blob: bytes, /) -> list[str]:
        return blob.decode().split(" ")


class User:
    """What a user's list holds."""


class Users:
    """A Blobify whose parameters may also be given by name, as most are written."""

    name = "tests.Users"

    def to_blob(self, value: User) -> bytes:
        return b""

    def from_blob(self, blob: bytes) -> User:
        return User()


class Log(MemoryBuffer[str]):
    """A list of one's own."""


def lists_of_a_subclass() -> None:
    with Log("x", maxlen=5) as log:
        assert_type(log, Log)
        assert_type(log.snapshot(), Log)
        assert_type(log.copy(), Log)
        assert_type(log[0], str)


class Wide(Users):
    """One that is not made without arguments."""

    def __init__(self, width: int) -> None:
        self.width = width


def lists() -> None:
    texts = MemoryBuffer("x", blobify=Text)
    assert_type(texts, MemoryBuffer[str])
    assert_type(MemoryBuffer("x", blobify=Text()), MemoryBuffer[str])
    assert_type(MemoryBuffer("x", "r", blobify=Bytes), MemoryBuffer[bytes])
    assert_type(MemoryBuffer(blobify=Nat).pop(), int)
    assert_type(MemoryBuffer(blobify=Int()), MemoryBuffer[int])
    assert_type(MemoryBuffer(blobify=Words()), MemoryBuffer[list[str]])
    assert_type(MemoryBuffer("x"), MemoryBuffer[Any])
    assert_type(MemoryBuffer("x", blobify=Msgpack()), MemoryBuffer[Any])
    assert_type(MemoryBuffer.from_iterable([1, 2]), MemoryBuffer[int])
    assert_type(MemoryBuffer.from_iterable("ab", "x", "w", blobify=Text), MemoryBuffer[str])


def lists_of_ones_own(users: Blobify[User], kind: type[Blobify[User]], anything: Blobify[Any]) -> None:
    assert_type(MemoryBuffer(blobify=Users), MemoryBuffer[User])
    assert_type(MemoryBuffer(blobify=Users()), MemoryBuffer[User])
    assert_type(MemoryBuffer("x", "r", blobify=Wide(5), name="a", maxlen=5), MemoryBuffer[User])
    assert_type(MemoryBuffer(blobify=users), MemoryBuffer[User])
    assert_type(MemoryBuffer(blobify=kind), MemoryBuffer[User])
    assert_type(MemoryBuffer(blobify=anything), MemoryBuffer[Any])
    assert_type(MemoryBuffer[User]("x"), MemoryBuffer[User])
    assert_type(MemoryBuffer[User](), MemoryBuffer[User])
    assert_type(MemoryBuffer[User]("x", "r+", name="a", timeout=5), MemoryBuffer[User])
    assert_type(MemoryBuffer[User]("x", blobify="msgpack")[0], User)
    assert_type(MemoryBuffer[User]("x", blobify=Users()), MemoryBuffer[User])
    declared: MemoryBuffer[User] = MemoryBuffer("x")
    assert_type(declared[0], User)
    MemoryBuffer[int]("x", blobify=Users())  # type: ignore[arg-type]


def lists_by_name(name: str, chosen: str | None) -> None:
    assert_type(MemoryBuffer("x", blobify="text"), MemoryBuffer[str])
    assert_type(MemoryBuffer("x", "r", blobify="bytes", checksums=False), MemoryBuffer[bytes])
    assert_type(MemoryBuffer(blobify="nat"), MemoryBuffer[int])
    assert_type(MemoryBuffer(blobify="int", maxlen=5).pop(), int)
    assert_type(MemoryBuffer(blobify="msgpack"), MemoryBuffer[Any])
    assert_type(MemoryBuffer(blobify=None), MemoryBuffer[Any])
    assert_type(MemoryBuffer(blobify=name), MemoryBuffer[Any])
    assert_type(MemoryBuffer(blobify=chosen), MemoryBuffer[Any])
    wrong: MemoryBuffer[int] = MemoryBuffer("x", blobify="text")  # type: ignore[assignment]
    assert_type(wrong, MemoryBuffer[int])


def values(texts: MemoryBuffer[str]) -> None:
    assert_type(texts[0], str)
    assert_type(texts[1:2], list[str])
    assert_type(texts[::-1], list[str])
    assert_type(texts.pop(), str)
    assert_type(texts.pop(0), str)
    assert_type(len(texts), int)
    assert_type(iter(texts), Iterator[str])
    assert_type(reversed(texts), Iterator[str])
    assert_type(list(texts), list[str])
    assert_type("a" in texts, bool)
    assert_type(texts.index("a"), int)
    assert_type(texts.count("a"), int)
    for text in texts:
        assert_type(text, str)
    texts.append("x")
    texts.extend(["x"])
    texts += ["x"]
    texts.insert(0, "x")
    texts[0] = "x"
    texts[0:1] = ["x", "y"]
    del texts[0], texts[0:1]
    texts.sort()
    texts.sort(key=len, reverse=True)
    texts.sort(by_blob=True)
    texts.sort(key=lambda text: (len(text), text))
    texts.sort(len)  # type: ignore[call-overload]
    texts.sort(key=len, by_blob=True)  # type: ignore[call-overload]
    texts.append(1)  # type: ignore[arg-type]
    texts[0] = b"x"  # type: ignore[call-overload]
    texts["a"]  # type: ignore[call-overload]
    MemoryBuffer([1, 2])  # type: ignore[call-overload]
    MemoryBuffer("x", maxsize=5)  # type: ignore[call-overload]
    MemoryRegion("x", maxsize=5)  # type: ignore[call-arg]
    MemoryRegion("x", on_low_space=lambda stats: print(stats.used_bytes), timeout=1.5)
    MemoryRegion("x", fit="worst")  # type: ignore[arg-type]


def all_of_list(texts: MemoryBuffer[str], numbers: MemoryBuffer[int]) -> None:
    assert_type(texts + ["x"], list[str])
    assert_type(["x"] + texts, list[str])
    assert_type(texts + texts, list[str])
    assert_type(texts * 2, list[str])
    assert_type(2 * texts, list[str])
    assert_type(texts == ["x"], bool)
    assert_type(texts < ["x"], bool)
    assert_type(texts >= texts, bool)
    assert_type(texts.copy(), MemoryBuffer[str])
    assert_type(copy.copy(texts), MemoryBuffer[str])
    assert_type(copy.deepcopy(texts), MemoryBuffer[str])
    assert_type(texts.index("a", 1, -1), int)
    texts.remove("a")
    texts.reverse()
    texts.sort()
    texts.sort(key=len, reverse=True)
    texts.clear()
    texts *= 2
    assert_type(texts, MemoryBuffer[str])
    texts += texts
    assert_type(texts, MemoryBuffer[str])
    numbers.sort()
    match texts:
        case [first, *_]:
            assert_type(first, str)
        case _:
            pass
    texts + (1,)  # type: ignore[operator]
    {texts}  # type: ignore[arg-type, unused-ignore]


def beyond_list(texts: MemoryBuffer[str], numbers: MemoryBuffer[int]) -> None:
    assert_type(texts.get(0), str | None)
    assert_type(texts.get(0, 5), str | int)
    assert_type(texts.get(0, ""), str)
    assert_type(texts.get_many([1, -1]), list[str])
    assert_type(texts.__getitems__(range(3)), list[str])
    assert_type(texts.swap_remove(0), str)
    assert_type(texts.rindex("a"), int)
    assert_type(texts.popleft(), str)
    assert_type(texts.maxlen, int | None)
    assert_type(texts.to_list(), list[str])
    assert_type(texts.items(1, 5, reverse=True), Iterator[tuple[int, str]])
    assert_type(texts.blobs(), Iterator[bytes])
    assert_type(texts.pointers(-5), Iterator[tuple[int, int]])
    assert_type(texts.blob_view(0), memoryview)
    assert_type(texts.sizes(), Sizes)
    assert_type(texts.sizes().blob_bytes, int)
    with texts.edit(0) as text:
        assert_type(text, str)
    for at, number in numbers.items():
        assert_type((at, number), tuple[int, int])
    texts.swap(0, 1)
    texts.shuffle()
    texts.shuffle(random.Random(1))
    texts.rotate(-3)
    texts.appendleft("x")
    texts.extendleft(["x"])
    assert_type(MemoryBuffer.tabulate(3, str), MemoryBuffer[str])
    assert_type(MemoryBuffer.filled(3, 1.5, "x", "w"), MemoryBuffer[float])
    assert_type(MemoryBuffer("x", blobify=Text, maxlen=100), MemoryBuffer[str])
    texts.appendleft(1)  # type: ignore[arg-type]
    texts.shuffle(5)  # type: ignore[arg-type]
    texts.get("a")  # type: ignore[call-overload]
    texts.maxlen = 5
    texts.maxlen = None
    texts.maxlen = "5"  # type: ignore[assignment]


def state(texts: MemoryBuffer[str]) -> None:
    texts.commit()
    texts.commit(sync=False)
    texts.rollback()
    assert_type(texts.snapshot(), MemoryBuffer[str])
    assert_type(texts.refresh(), bool)
    assert_type(texts.stats(), Stats)
    assert_type(texts.stats().lists, dict[str, int])
    assert_type(texts.region, MemoryRegion)
    assert_type(texts.path, str)
    assert_type(texts.mode, str)
    assert_type(texts.name, str)
    assert_type(texts.closed, bool)
    assert_type(texts.blobify, Blobify[str])
    with texts as same:
        assert_type(same, MemoryBuffer[str])
    with texts.transaction() as nothing:
        assert_type(nothing, None)  # type: ignore[func-returns-value, unused-ignore]
    assert_type(texts.verify(), Report)


def regions() -> None:
    with MemoryRegion("x", "r+", fit="best", timeout=1.5) as region:
        assert_type(region, MemoryRegion)
        assert_type(region.buffer("a"), MemoryBuffer[Any])
        assert_type(MemoryBuffer(region, name="a", blobify=Text), MemoryBuffer[str])
        assert_type(region.buffer("a", Users), MemoryBuffer[User])
        assert_type(region.buffer("a", blobify=Users()), MemoryBuffer[User])
        assert_type(region.buffer("a", Text), MemoryBuffer[str])
        assert_type(region.buffer("a", "text"), MemoryBuffer[str])
        assert_type(region.buffer("a", blobify="bytes"), MemoryBuffer[bytes])
        assert_type(region.buffer("a", "nat"), MemoryBuffer[int])
        assert_type(region.buffer("a", "int"), MemoryBuffer[int])
        assert_type(region.buffer("a", "msgpack"), MemoryBuffer[Any])
        assert_type(region.names(), list[str])
        assert_type(region.snapshot(), MemoryRegion)
        assert_type(region.stats(), Stats)
        assert_type(region.transaction_number, int)
        assert_type(region.stats().file_bytes, int)


def blocks(region: MemoryRegion, kind: Kind) -> None:
    address = region.allocate(100)
    assert_type(address, int)
    assert_type(region.resize(address, 100, 200), int)
    assert_type(region.add_blob(b"x"), int)
    assert_type(region.add_blob(bytearray(1)), int)
    assert_type(region.add_blob(memoryview(b"x")), int)
    assert_type(region.replace_blob(address, 1, b"xy"), int)
    assert_type(region.remove_blob(address, 1), bytes)
    assert_type(region.load(address, 1), bytes)
    assert_type(region.view(address, 1), memoryview)
    region.store(address, b"x")
    region.deallocate(address, 100)
    region.deallocate_range(0, 100)
    region.clear()
    assert_type(region.grow(1), int)
    assert_type(region.load_as("u64", address), int)
    assert_type(region.load_as("int8", address), int)
    assert_type(region.load_as("f64", address), float)
    assert_type(region.load_as(kind, address), int | float)
    assert_type(region.add_as("float", 1.5), int)
    assert_type(region.remove_as("nat8", address), int)
    assert_type(region.remove_as("float", address), float)
    region.store_as("i32", address, -1)
    assert_type(region.roots, Roots)
    assert_type(region.roots["x"], tuple[int, ...])
    assert_type(region.roots.get("x"), tuple[int, ...] | None)
    assert_type(list(region.roots), list[str])
    region.load(*region.roots["x"])
    region.roots["x"] = (address, 100)
    del region.roots["x"]
    assert_type(region.free_blocks(), list[tuple[int, int]])
    assert_type(region.allocated_blocks(0, 100), list[tuple[int, int]])
    assert_type(region.is_allocated(address, 100), bool)
    assert_type(region.is_free(address, 100), bool)
    assert_type((region.size, region.capacity, region.pages), tuple[int, int, int])
    assert_type((region.allocated_bytes, region.free_bytes), tuple[int, int])
    region.load_as("u9", address)  # type: ignore[call-overload]
    region.add_blob("text")  # type: ignore[arg-type]
    region.roots["x"] = "text"  # type: ignore[assignment]
    region.snapshot().load(address, 1)
    region.drop("x")


def errors(locked: RegionLockedError, corrupt: CorruptRegionError) -> None:
    assert_type(locked.pid, int | None)
    assert_type(corrupt.address, int)
    assert_type(corrupt.expected, object)
