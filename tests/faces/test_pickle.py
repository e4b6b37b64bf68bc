"""Pickles of lists and regions: who comes back, at which commit, and who is refused."""

import copy
import os
import pickle
import shutil
import subprocess
import sys

import pytest

from stablemem import MemoryBuffer, MemoryRegion, ReadOnlyError, RegionReplacedError, StableMemoryError
from stablemem._core.disk.readers import oldest_reader
from support import environment
from support.probe import handle_of

KINDS = [MemoryBuffer, MemoryRegion]


def values_of(handle):
    return handle[:] if isinstance(handle, MemoryBuffer) else handle.buffer("main")[:]


def commit_more(values, count=5):
    """Make so many commits that no slot of the header names the one before them."""
    for number in range(count):
        values[0] = f"newer {number}"
        values.append("more")
        values.commit(sync=number % 2 == 0)


# -- writers ---------------------------------------------------------------------------------------------


def test_a_writer_comes_back_reading_the_newest_commit(path):
    with MemoryBuffer(path, blobify="text") as values:
        values.append("one")
        values.commit()
        data = pickle.dumps(values)
        commit_more(values)
        with pickle.loads(data) as again:
            assert again[:] == values[:]
            assert again.mode == "r"
            with pytest.raises(ReadOnlyError):
                again.append("x")
    with pickle.loads(data) as again:
        assert len(again) == 6


def test_a_writer_with_uncommitted_changes_is_refused(path):
    with MemoryBuffer(path) as values:
        with pickle.loads(pickle.dumps(values)) as again:
            assert again == [], "what it has committed is an empty list"
        values.extend([1, 2])
        with pytest.raises(
            StableMemoryError, match=r"has 2 uncommitted changes, .*: call commit\(\) before you pickle"
        ):
            pickle.dumps(values)
        values.commit()
        with pickle.loads(pickle.dumps(values)) as again:
            assert again == [1, 2]
        with values.transaction():
            values.append(3)
            with pytest.raises(StableMemoryError, match=r"has 1 uncommitted change"):
                pickle.dumps({"values": values})
        other = MemoryBuffer(values.region, name="other")
        with pytest.raises(
            StableMemoryError, match=r"the list 'other' is not committed, .*: call commit\(\) before"
        ):
            pickle.dumps(other)
        values.commit()
        with pickle.loads(pickle.dumps(other)) as again:
            assert again.name == "other"


def test_a_list_that_was_dropped_since(path):
    with MemoryRegion(path) as region:
        other = region.buffer("other")
        region.buffer("main")
        region.commit()
        data = pickle.dumps(other)
        region.drop("other")
        region.commit()
        with pytest.raises(KeyError, match="no list 'other'"):
            pickle.loads(data)


def test_regions_that_write_and_those_in_memory(path):
    with (
        MemoryRegion(path) as region,
        pytest.raises(TypeError, match="pickle its path, or pickle a list in it or a"),
    ):
        pickle.dumps(region)
    with MemoryRegion() as region, pytest.raises(TypeError, match="a region in memory cannot be pickled"):
        pickle.dumps(region.snapshot())
    with MemoryBuffer() as values, pytest.raises(TypeError, match="in memory cannot be pickled"):
        pickle.dumps(values)
    with MemoryRegion(path, "r") as region:
        for make in (copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=r"a region cannot be copied: use snapshot\(\)"):
                make(region)


# -- readers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_comes_back_at_its_commit(path, kind):
    with MemoryBuffer.from_iterable(["old"], path) as values, kind(path, "r") as reader:
        commit_more(values)
        data = pickle.dumps(reader)
        again = pickle.loads(data)
        assert type(again) is kind
        assert values_of(again) == ["old"]
        reader.close()
        commit_more(values)
        third = pickle.loads(data)
        again.close()
        commit_more(values, 20)
        assert values_of(third) == ["old"], "it holds the commit by itself now"
        assert third.verify().lists == {"main": 1}
        assert third.stats().lists == {"main": 1}
        store = handle_of(third)
        assert oldest_reader(handle_of(values).region.device, 1 << 40) == store.slot.transaction
        assert third.refresh()
        assert values_of(third) == values[:]
        third.close()
        with pytest.raises(
            StableMemoryError,
            match=r"made at commit \d+, which .* no longer has; .*: keep the pickled reader",
        ):
            pickle.loads(data)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_that_is_closed(path, kind):
    """Its commit is whole as long as nothing newer takes its place in the header."""
    MemoryBuffer.from_iterable(["old"], path).close()
    reader = kind(path, "r")
    reader.close()
    data = pickle.dumps(reader)
    with pickle.loads(data) as again:
        assert values_of(again) == ["old"]
    with MemoryBuffer(path) as values:
        values.append("new")
        values.commit(sync=False)
        with pickle.loads(data) as again:
            assert values_of(again) == ["old"], "the last commit that was synced is kept"
        commit_more(values)
        with pytest.raises(StableMemoryError, match="no longer has; it is at commit"):
            pickle.loads(data)
    assert not os.path.exists(f"{path}.new")


def test_a_reader_that_moved_on(path):
    with MemoryBuffer.from_iterable(["old"], path) as values, MemoryBuffer(path, "r") as reader:
        data = pickle.dumps(reader)
        commit_more(values)
        reader.refresh()
        with pytest.raises(StableMemoryError, match=r"do not refresh\(\) it"):
            pickle.loads(data)


def test_who_asks_holds_nothing_for_others(path):
    """A lock of somebody who is about to be refused does not make a commit look whole."""
    with MemoryBuffer.from_iterable(["old"], path) as values:
        reader = MemoryBuffer(path, "r")
        data = pickle.dumps(reader)
        commit_more(values)
        asking = handle_of(reader).region.device.reopen()
        from stablemem._core.disk import readers

        readers.register_reader(asking, handle_of(reader).slot.transaction)
        reader.close()
        with pytest.raises(StableMemoryError, match="no longer has"):
            pickle.loads(data)
        asking.close()


def test_a_snapshot_of_a_list_that_is_not_committed(path):
    with MemoryRegion(path) as region, region.buffer("new").snapshot() as snapshot:
        again = pickle.loads(pickle.dumps(snapshot))
        assert again == []
        assert again.name == "new"
        again.close()


def test_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    MemoryBuffer.from_iterable([1], "list.smem").close()
    with MemoryBuffer("list.smem", "r") as reader:
        (tmp_path / "folder").mkdir()
        monkeypatch.chdir(tmp_path / "folder")
        with pickle.loads(pickle.dumps(reader)) as again:
            assert again == [1]


# -- another file ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["r", "a"])
def test_another_file_at_the_path(path, mode):
    for _ in range(3):
        with MemoryBuffer(path) as values:
            values.append(1)
    shutil.copy(path, path + ".older")
    with MemoryBuffer(path) as values:
        commit_more(values)
    handle = MemoryBuffer(path, mode)
    data = pickle.dumps(handle)
    handle.close()
    os.replace(path + ".older", path)
    with pytest.raises(
        StableMemoryError, match=r"is at commit \d+, and the pickle was made at the newer commit \d+"
    ):
        pickle.loads(data)
    os.unlink(path)
    with pytest.raises(FileNotFoundError):
        pickle.loads(data)
    with MemoryBuffer(path) as values:
        values.append("another")
        commit_more(values, 20)
    with pytest.raises(RegionReplacedError, match="is not the file that was pickled"):
        pickle.loads(data)


@pytest.mark.parametrize("mode", ["r", "a"])
def test_another_file_with_fewer_commits(path, mode):
    with MemoryBuffer(path) as values:
        values.append(1)
        commit_more(values)
        handle = values.snapshot() if mode == "r" else values
        data = pickle.dumps(handle)
        handle.close()
    MemoryBuffer(path, "w").close()
    with pytest.raises(RegionReplacedError, match="is not the file that was pickled"):
        pickle.loads(data)


# -- iterators -------------------------------------------------------------------------------------------


def test_iterators_are_copied_and_pickled_with_their_list(path):
    with MemoryBuffer(path) as values:
        values.extend(range(1000))
        values.commit()
        for made, left in [(iter, range(3, 1000)), (reversed, range(996, -1, -1))]:
            iterator = made(values)
            for _ in range(3):
                next(iterator)
            for same in (copy.copy(iterator), pickle.loads(pickle.dumps(iterator))):
                assert list(same) == list(left)
            assert list(iterator) == list(left)
            assert list(copy.copy(iterator)) == []
            assert list(pickle.loads(pickle.dumps(iterator))) == []


# -- workers ---------------------------------------------------------------------------------------------

PROGRAM = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from stablemem import MemoryBuffer, MemoryRegion

def look(reader):
    values = reader if isinstance(reader, MemoryBuffer) else reader.buffer("main")
    return len(values), values[0]

if __name__ == "__main__":
    path, method = sys.argv[1:]
    with MemoryBuffer.from_iterable(range(10_000), path) as values:
        with MemoryBuffer(path, "r") as reader, MemoryRegion(path, "r") as region:
            with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
                for _ in range(5):
                    values.append("more")
                    values[0] = "newer"
                    values.commit()
                    print(list(pool.map(look, [reader, region, reader, region])) == [(10_000, 0)] * 4)
        print(values.verify().faults)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_see_what_the_reader_sees(path, tmp_path, method):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, program, path, method], env=environment(),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == ("True\n" * 5 + "[]\n", "", 0)
