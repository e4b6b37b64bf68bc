# ruff: noqa: PT012 - what is tested is what an exception does to the block around it
import enum
import os
import threading
import time
from pathlib import Path

import pytest

from stablemem import CorruptRegionError, MemoryBuffer, MemoryRegion, ReadOnlyError, RegionClosedError
from support.probe import handle_of


def test_lists(path):
    with MemoryRegion(path) as region:
        assert region.names() == []
        one = region.buffer("one", "text")
        one.append("x")
        assert region.names() == ["one"]
        two = region.buffer("two")
        two.append([1])
        assert isinstance(one, MemoryBuffer)
        assert one.region is region
    with MemoryRegion(path, "r") as region:
        assert region.names() == ["one", "two"]
        assert region.buffer("one")[:] == ["x"]
        with pytest.raises(KeyError, match="no list 'three'"):
            region.buffer("three")


def test_what_it_says_of_itself(path):
    with MemoryRegion(path, "w") as region:
        assert (region.path, region.mode, region.closed) == (path, "w", False)
        assert repr(region) == f"<MemoryRegion {path}: mode 'w', lists []>"
        snapshot = region.snapshot()
        assert snapshot.mode == "r"
        snapshot.close()
    assert region.closed
    assert repr(region) == f"<MemoryRegion {path}: closed>"
    with MemoryRegion() as region:
        assert "in memory" in repr(region)


def test_transaction_numbers_grow(path):
    with MemoryRegion(path) as region:
        numbers = [region.transaction_number]
        values = region.buffer("main")
        for number in range(5):
            values.append(number)
            region.commit(sync=number % 2 == 0)
            numbers.append(region.transaction_number)
        assert numbers == sorted(set(numbers))
    with MemoryRegion(path, "r") as region:
        assert region.transaction_number >= numbers[-1]


def test_committing_many_lists_at_once(path):
    with MemoryRegion(path) as region:
        lists = [region.buffer(f"list {number}", "bytes") for number in range(300)]
        for number, values in enumerate(lists):
            values.extend([b"%d" % number * 5] * (number % 5))
    with MemoryRegion(path, "r") as region:
        assert len(region.names()) == 300
        assert region.buffer("list 204")[:] == [b"204" * 5] * 4
        region.verify()
        assert region.stats().lists["list 204"] == 4


def test_changing_one_of_many_lists(path):
    with MemoryRegion(path) as region:
        for number in range(100):
            region.buffer(f"list {number}", "bytes").append(b"x" * number)
        region.commit()
        for _ in range(20):
            region.buffer("list 50").append(b"more of it, longer than eight")
            region.commit()
    with MemoryRegion(path, "r+") as region:
        region.buffer("list 7").clear()
    with MemoryRegion(path, "r") as region:
        assert len(region.buffer("list 50")) == 21
        assert region.buffer("list 7")[:] == []
        assert region.buffer("list 99")[0] == b"x" * 99
        region.verify()


def test_exit_commits_or_rolls_back(path):
    with MemoryRegion(path) as region:
        region.buffer("main").append(1)
    with pytest.raises(KeyError), MemoryRegion(path) as region:
        region.buffer("main").append(2)
        raise KeyError
    with MemoryRegion(path, "r") as region:
        assert region.buffer("main")[:] == [1]


def test_verify_after_closing(path):
    region = MemoryRegion(path)
    region.close()
    for call in (
        region.verify,
        region.stats,
        region.snapshot,
        region.commit,
        lambda: region.buffer("x").append(1),
    ):
        with pytest.raises(RegionClosedError):
            call()


def test_reading_a_region(path):
    with MemoryRegion(path) as region:
        region.buffer("main").append(1)
    before = os.stat(path)
    with MemoryRegion(path, "r") as region:
        region.commit()
        region.rollback()
        with pytest.raises(ReadOnlyError):
            region.buffer("main").append(2)
        region.verify()
        region.stats()
    after = os.stat(path)
    assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)


def test_a_region_is_one_file(tmp_path):
    with MemoryRegion(tmp_path / "x.smem") as region:
        region.buffer("main").append(1)
        region.commit()
        assert os.listdir(tmp_path) == ["x.smem"]
    assert os.listdir(tmp_path) == ["x.smem"]


def holes(region):
    """Leave three holes, of 90, 40 and 60 bytes, and return where they are."""
    blocks = [region.allocate(size) for size in (90, 1, 40, 1, 60, 1)]
    for at, size in ((0, 90), (2, 40), (4, 60)):
        region.deallocate(blocks[at], size)
    return blocks[0], blocks[2], blocks[4]


def test_first_fit_and_best_fit(path):
    with MemoryRegion(path) as region:
        ninety, forty, sixty = holes(region)
        assert region.allocate(35) == ninety
        region.rollback()
    with MemoryRegion(path, "w", fit="best") as region:
        ninety, forty, sixty = holes(region)
        assert region.allocate(35) == forty
        assert region.allocate(41) == sixty
        assert region.allocate(5) == forty + 35
        assert region.allocate(61) == ninety


@pytest.mark.parametrize("fit", ["first", "best"])
def test_the_policy_is_of_the_opening_and_lasts_as_long(path, fit):
    other = {"first": "best", "best": "first"}[fit]
    with MemoryRegion(path, fit=other) as region:
        ninety, forty, _sixty = holes(region)
        region.commit()
    wanted = {"first": ninety, "best": forty}[fit]

    def allocated():
        address = region.allocate(35)
        assert handle_of(region).space.check() == []
        region.deallocate(address, 35)
        return address

    with MemoryRegion(path, "r+", fit=fit) as region:
        assert allocated() == wanted
        region.rollback()
        assert allocated() == wanted
        region.commit()
        assert allocated() == wanted
        with pytest.raises(KeyboardInterrupt), region.transaction():
            raise KeyboardInterrupt
        # As after an interrupt within a call: the free space is read anew from the log.
        with handle_of(region).latch.held():
            handle_of(region).failed(MemoryError())
        assert handle_of(region).writer is None
        assert allocated() == wanted
        with region.transaction():
            assert allocated() == wanted
        region.verify()
    with MemoryRegion(path, "r+", fit=other) as region:
        assert allocated() == {"first": ninety, "best": forty}[other]
        region.verify()


class Name(enum.StrEnum):
    """Names and options as many programs keep them."""

    LIST = "list"
    ROOT = "root"
    MODE = "a"
    CODEC = "text"


class Words:
    """A Blobify whose name is a str of a subclass."""

    name = Name.LIST
    to_blob = staticmethod(str.encode)
    from_blob = staticmethod(bytes.decode)


def test_a_str_of_a_subclass_is_the_str(path):
    path = type("Path", (str,), {})(path)
    with MemoryRegion(path, Name.MODE) as region:
        region.buffer(Name.LIST, Name.CODEC).append("a")
        MemoryBuffer(region, name=Name.ROOT, blobify=Words).append("b")
        region.roots[Name.ROOT] = 1
        assert [type(name) for name in [*region.names(), *region.roots]] == [str, str, str]
        assert (type(region.mode), type(region.path)) == (str, str)
    with MemoryRegion(path) as region:
        assert region.names() == ["list", "root"]
        assert region.buffer(Name.LIST)[:] == ["a"]
        assert region.buffer("root", Words)[:] == ["b"]
        assert region.roots[Name.ROOT] == (1,)
        del region.roots[Name.ROOT]
        region.drop(Name.LIST)
        assert (region.names(), dict(region.roots)) == (["root"], {})


def test_a_look_at_a_region(path):
    """A writer's look is at its last commit; a reader's at its own."""
    with MemoryRegion(path) as region:
        names = region.buffer("names", "text")
        names.extend(["Ada", "a name of more than eight bytes"])
        region.roots["root"] = (1, -2)
        region.commit()
        names.append("not committed")
        seen = region.inspect()
        assert (seen.transaction, list(seen.lists), seen.roots) == (
            region.transaction_number, ["names"], {"root": (1, -2)},
        )  # fmt: skip
        assert (seen.lists["names"].values, seen.lists["names"].blobify) == (2, "text")
        assert seen.census().total("blobs") > 0
        assert len(seen.census(4096)) == -(-seen.length // 4096)
        assert seen.file_bytes >= seen.length
        assert seen.verify().lists == {"names": 2}
        entries = seen.entries("names", 0, 2)
        assert (len(entries), entries[:3]) == (32, b"Ada")
        with region.snapshot() as reader:
            region.commit()
            assert reader.inspect().lists["names"].values == 2
        assert region.inspect().lists["names"].values == 3
    with pytest.raises(RegionClosedError):
        region.inspect()


def test_the_report_of_a_look_has_the_faults(path):
    with MemoryRegion(path) as region:
        region.buffer("names", "text").append("a name of more than eight bytes")
        region.commit()
    content = bytearray(Path(path).read_bytes())
    place = content.index(b"a name of more")
    content[place] ^= 1
    damaged = Path(path).with_suffix(".damaged")
    damaged.write_bytes(content)
    with MemoryRegion(damaged, "r") as region:
        report = region.inspect().verify()
        assert len(report.faults) == 1
        with pytest.raises(CorruptRegionError):
            region.verify()


def beside(region, wait_with, meanwhile):
    """Return what a call raises that had to wait while another thread changed something."""
    raised = []

    def run():
        try:
            wait_with(region)
        except KeyError as error:
            raised.append(error)

    waiting = threading.Thread(target=run)
    with handle_of(region).exclusive():
        waiting.start()
        time.sleep(0.05)
        meanwhile(region)
        region.buffer("kept").append("by the other thread")
    waiting.join()
    return raised


@pytest.mark.parametrize(
    ("wait_with", "meanwhile", "expected"),
    [
        (lambda region: region.roots.pop("root"), lambda region: region.roots.pop("root"), [KeyError]),
        (lambda region: region.roots.pop("root", None), lambda region: region.roots.pop("root"), []),
        (
            lambda region: region.roots.__delitem__("root"),
            lambda region: region.roots.pop("root"),
            [KeyError],
        ),
        (lambda region: region.drop("list"), lambda region: region.drop("list"), [KeyError]),
    ],
    ids=["pop", "pop with a default", "del", "drop"],
)
def test_what_is_gone_after_waiting_takes_nothing_with_it(path, wait_with, meanwhile, expected):
    """A KeyError of one thread does not roll back what another has changed."""
    with MemoryRegion(path) as region:
        region.roots["root"] = 1
        region.buffer("list").append(1)
        region.buffer("kept")
        region.commit()
        raised = beside(region, wait_with, meanwhile)
        assert [type(error) for error in raised] == expected
        assert region.buffer("kept")[:] == ["by the other thread"]


def test_all_roots_are_those_of_one_moment():
    """What another thread does between two of them is not seen; a loop over the names sees it."""
    with MemoryRegion() as region:
        region.roots.update(b=2, a=1)
        items, values = region.roots.items(), region.roots.values()
        del region.roots["a"]
        assert list(items) == [("a", (1,)), ("b", (2,))]
        assert list(values) == [(1,), (2,)]
        assert repr(region.roots) == "Roots({'b': (2,)})"
