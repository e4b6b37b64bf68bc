"""A region that reads by ``pread``, without a map."""

import os
import pickle
import subprocess
import sys

import pytest

from stablemem import CorruptRegionError, MemoryBuffer, MemoryRegion
from stablemem.options import DEFAULTS
from support import environment

VALUES = [bytes([number % 251]) * (number % 700) for number in range(3000)]


@pytest.mark.parametrize("io", ["mmap", "", None, "PREAD", 1])
def test_other_words_are_refused(path, io):
    for kind in (MemoryBuffer, MemoryRegion):
        with pytest.raises(ValueError, match=r'"map".*"pread"'):
            kind(path, "w", io=io)
    assert not os.path.exists(path)


def test_it_is_an_option_of_the_region():
    given = "map" if DEFAULTS["io"] == "pread" else "pread"
    with MemoryRegion() as region, pytest.raises(TypeError, match="io is an option of the region"):
        MemoryBuffer(region, io=given)


@pytest.mark.parametrize("source", [None, "path"])
def test_reading_and_writing(source, path):
    name = None if source is None else path
    with MemoryBuffer(name, blobify="bytes", io="pread") as values:
        values.extend(VALUES)
        assert list(values) == VALUES
        values.commit()
        with values.snapshot() as snapshot:
            for place in range(0, 3000, 7):
                values[place] = b"new value %d" % place
            values.commit()
            assert list(snapshot) == VALUES
            assert snapshot.refresh()
            assert list(snapshot) == list(values)
            assert snapshot[7] == b"new value 7"
            assert snapshot.blob_view(7) == b"new value 7"
        del values[100:2900]
        values.commit()
        values.compact()
        assert values[100] == VALUES[2900]
        values.verify()


@pytest.mark.parametrize("io", ["map", "pread"])
def test_it_is_kept(path, io):
    """By snapshots, refresh, pickles, and the child of a fork."""
    with MemoryBuffer(path, blobify="bytes", io=io) as values:
        values.append(b"a value")
        values.commit()
        with values.snapshot() as snapshot, pickle.loads(pickle.dumps(snapshot)) as again:
            values.append(b"another")
            values.commit()
            assert snapshot.refresh()
            assert again.refresh()
            for each in (values, snapshot, again):
                assert each.region._handle.region.io == io
                assert list(each) == [b"a value", b"another"]


def test_without_a_map(path):
    with MemoryBuffer(path, blobify="bytes", io="pread") as values:
        values.extend(VALUES)
        values.commit()
        with MemoryBuffer(path, "r", io="pread") as reader:
            assert list(reader) == VALUES
            with open("/proc/self/maps", encoding="utf-8") as maps:
                assert path not in maps.read()
    view = MemoryBuffer(path, "r", io="pread")
    kept = view.blob_view(100)
    view.close()
    assert kept == VALUES[100]


CALLS = {
    "get": lambda values: [values[place] for place in range(len(values))],
    "iterate": list,
    "backwards": lambda values: list(reversed(values)),
    "slice": lambda values: values[:],
    "get_many": lambda values: values.get_many(range(len(values))),
    "view": lambda values: [values.blob_view(place) for place in range(len(values))],
    "index": lambda values: values.index(b"not there"),
    "sizes": lambda values: values.sizes(),
    "verify": lambda values: values.verify(),
    "snapshot": lambda values: list(values.snapshot()),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("left", [13_000, 60_000, 250_000])
def test_a_file_that_somebody_cuts_short(path, damaged, call, opened, left):
    """Each call either gives what was there, or raises; none is killed, none sees zeros."""
    with MemoryBuffer(path, blobify="bytes") as values:
        values.extend(VALUES)
    expected = None if call in (CALLS["index"], CALLS["snapshot"]) else _result(path, call)
    reader = MemoryBuffer(path, "r", io="pread")
    if opened:
        list(reader[:200])
    os.truncate(path, left)
    try:
        found = call(reader)
    except CorruptRegionError:
        found = expected
    finally:
        reader.close()
    assert found == expected


def _result(path, call):
    with MemoryBuffer(path, "r") as values:
        return call(values)


def test_a_writer_whose_file_is_cut_short(path, damaged):
    with MemoryBuffer(path, blobify="bytes") as values:
        values.extend(VALUES)
    values = MemoryBuffer(path, "r+", io="pread")
    os.truncate(path, 100_000)
    with pytest.raises(CorruptRegionError):
        values.sort()
    values.region._handle.close(commit=False)


FEW_ADDRESSES = """
import resource, sys
from stablemem import MemoryBuffer
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
with MemoryBuffer(sys.argv[1], "r", io=sys.argv[2]) as values:
    print(values[0], values[-1])
"""


def test_a_file_larger_than_the_addresses(path):
    """A sparse raw block makes it large; a map of it does not fit, and pread needs none."""
    with MemoryRegion(path) as region:
        values = region.buffer("main", "text")
        values.append("first value of the list")
        region.allocate(4 << 30)
        values.append("last value of the list")
    said = {}
    for io in ("map", "pread"):
        said[io] = subprocess.run(
            [sys.executable, "-c", FEW_ADDRESSES, path, io],
            capture_output=True, text=True, env=environment(), timeout=60, check=False,
        )  # fmt: skip
    assert "Cannot allocate memory" in said["map"].stderr
    assert said["pread"].stdout == "first value of the list last value of the list\n", said["pread"].stderr
