"""Damaged and hostile files: right values or a typed error, never wrong values, a crash or a hang."""
# ruff: noqa: PT012 - what is tested is what an exception does to the block around it

import contextlib
import errno
import io
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stablemem import (
    BlobifyError,
    CorruptRegionError,
    MemoryBuffer,
    MemoryRegion,
    NotARegionError,
    ReadOnlyError,
    StableMemoryError,
    VersionError,
)
from support import HANGS, chosen_seed, environment, scaled
from support.hostile import CASES
from support.player import Player
from support.recorded import Recorder, region_of, region_on

pytestmark = pytest.mark.usefixtures("damaged")

BATCH = scaled(100, 30, 100)


def make_victim(folder, seed):
    """Write valid.smem, older.smem and states.pickle: two lists after a life of commits."""
    device = Recorder()
    region = region_on(device)
    player = Player(seed, region, most=scaled(1500, 300, 1500))
    states = {region.transaction_number: {}}
    player.lists["main"].extend([b"%d" % n * (n % 7) for n in range(900)])
    player.now["main"].extend([b"%d" % n * (n % 7) for n in range(900)])
    for number in range(scaled(12, 9, 12)):
        for _ in range(6):
            player.change()
        player.commit()
        states[region.transaction_number] = player.committed
        if number == 7:
            (folder / "older.smem").write_bytes(device.bytes())
    last = region.transaction_number
    region.close()
    (folder / "valid.smem").write_bytes(device.bytes())
    with region_of(device.bytes(), mode="r") as closed:
        # Closing may commit again, to cut the file: that changes no value.
        states |= dict.fromkeys(range(last + 1, closed.transaction_number + 1), states[last])
    (folder / "states.pickle").write_bytes(pickle.dumps(states))
    return len(device.bytes())


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("victim")
    seed = chosen_seed()
    make_victim(folder, seed)
    yield folder, seed
    shutil.rmtree(folder)


@pytest.mark.parametrize("batch", range(scaled(6, 3, 100)))
def test_random_damage(victim, batch):
    folder, seed = victim
    print(f"STABLEMEM_SEED={seed}")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "support.damager", str(folder), str(seed), str(batch * BATCH), str(BATCH)],
            env=environment(), capture_output=True, text=True, timeout=HANGS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as hung:
        last = (hung.stdout or b"").decode().splitlines()[-1:]
        raise AssertionError(f"it hangs: {last}") from None
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"seed {seed}: died with {done.returncode} at {lines[-1:]}\n{done.stderr}"
    bad = [line for line in lines if line.startswith("BAD")]
    assert not bad, f"seed {seed}\n" + "\n".join(bad[:20])
    assert lines[-1] == "done"


def test_the_victim_is_sound(victim):
    """Damage is found in a file that is whole before."""
    folder, _ = victim
    with MemoryRegion(str(folder / "valid.smem"), "r") as region:
        region.verify()
        states = pickle.loads((folder / "states.pickle").read_bytes())
        assert states[region.transaction_number]["main"] == region.buffer("main")[:]
        assert states[region.transaction_number]["second"] == region.buffer("second")[:]


# -- files made to do harm -------------------------------------------------------------------------------


def use_hostile(names):
    """Return what using the cases did, by (case, mode); a case that kills or hangs is said so."""
    left = list(names)
    found = {}
    while left:
        # It ends by itself: a case that hangs is ended by the watchdog of its process.
        done = subprocess.run(
            [sys.executable, "-m", "support.hostile", *left],
            env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        running = None
        for line in done.stdout.splitlines():
            what, name, mode, *outcome = line.split(" ", 3)
            if what == "begin":
                running = name, mode
            else:
                found[name, mode] = outcome[0]
                running = None
        if running is None:
            break
        found[running] = f"BAD died or hung: {done.stderr[-2000:]}"
        left = left[left.index(running[0]) + 1 :]
    return found


ODD = {
    "sound", "two_levels", "slot_digest_of_nothing", "slot_length_odd", "slot_transaction_most",
    "slot_transaction_almost", "sparse_and_large", "pointer_inline_padding", "blob_is_a_node",
    "catalog_empty_name", "catalog_twice", "catalog_blobify", "catalog_options", "catalog_msgpack",
    "slot_dropped_top", "slot_sealed", "slot_features_to_write", "catalog_patches_none", "catalog_kind_none",
    "catalog_kind_of_main", "catalog_later_fields", "catalog_later_record", "catalog_later_many",
}  # fmt: skip
"""What is merely odd, which verify() lets pass."""

BATCHES = 8


@pytest.mark.parametrize("batch", range(BATCHES))
def test_hostile_files(batch):
    """Not one crashes, hangs, allocates without bound or raises what is no StableMemoryError.

    verify() tells every one of them from a sound one, but for those that are merely odd.
    """
    names = list(CASES)[batch::BATCHES]
    found = use_hostile(names)
    assert set(found) == {(name, mode) for name in names for mode in ("r", "a")}
    bad = [f"{case}: {outcome[-1500:]}" for case, outcome in found.items() if "BAD" in outcome]
    assert not bad, "\n".join(bad)
    passed = [name for name in names if "verify: ok" in found[name, "r"]]
    assert not [name for name in passed if name not in ODD and not name.startswith(("log", "slot_log"))]


SAID = {
    "slot_format_next": "VersionError", "slot_format_top": "VersionError",
    "slot_root_dirty": "CorruptRegionError", "slot_length_top": "CorruptRegionError",
    "slot_transaction_big": "CorruptRegionError", "slot_values_top": "CorruptRegionError",
    "slot_digest_wrong": "CorruptRegionError", "digest_sixteen": "CorruptRegionError",
    "catalog_utf8": "CorruptRegionError", "catalog_record_long": "CorruptRegionError",
    "catalog_keys_of_list": "CorruptRegionError", "slot_features_to_read": "VersionError",
    "slot_catalog_height": "CorruptRegionError",
}  # fmt: skip
"""What opening a hostile file raises."""


@pytest.fixture(scope="module")
def hostile():
    return use_hostile(["sound", "two_levels", *SAID])


@pytest.mark.parametrize("name", ["sound", "two_levels"])
def test_hand_made_files_are_sound_before_they_are_spoilt(hostile, name):
    """What the engine reads is the documented format, not only what it writes itself."""
    for mode in ("r", "a"):
        outcomes = hostile[name, mode].split(", ")
        assert set(outcomes) == {*outcomes} & {"get: IndexError"} | {*outcomes} - {"get: IndexError"}
        assert not [each for each in outcomes if "Error" in each and each != "get: IndexError"], outcomes


@pytest.mark.parametrize(("name", "error"), SAID.items())
def test_what_opening_a_hostile_file_says(hostile, name, error):
    assert hostile[name, "r"] == hostile[name, "a"] == f"open: {error}"


# -- bad input, case by case -----------------------------------------------------------------------------


@pytest.fixture
def region_file(path):
    with MemoryBuffer(path, blobify="text") as values:
        values.extend(["one", "two", "a third value that is longer"])
    return path


@pytest.mark.parametrize("mode", ["r", "r+", "a", "w"])
@pytest.mark.parametrize("content", [b"no region at all", b"x", bytes(20_000), b"stablme" * 3000])
def test_not_a_region(path, mode, content):
    with open(path, "wb") as file:
        file.write(content)
    with pytest.raises(NotARegionError) as caught:
        MemoryBuffer(path, mode)
    assert path in str(caught.value)
    assert not isinstance(caught.value, ValueError | IndexError)
    with open(path, "rb") as file:
        assert file.read() == content


@pytest.mark.parametrize("mode", ["r", "r+", "a", "w"])
def test_a_directory(tmp_path, mode):
    with pytest.raises(IsADirectoryError) as caught:
        MemoryBuffer(tmp_path, mode)
    assert caught.value.filename == str(tmp_path)


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_a_missing_file(path, mode):
    with pytest.raises(FileNotFoundError) as caught:
        MemoryBuffer(path, mode)
    assert caught.value.filename == path
    assert not os.path.exists(path)


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_an_empty_file_is_no_region_for_readers(path, mode):
    Path(path).touch()
    with pytest.raises(NotARegionError, match="is empty"):
        MemoryBuffer(path, mode)
    assert os.path.getsize(path) == 0


@pytest.mark.parametrize("mode", ["a", "w"])
def test_an_empty_file_is_new_for_writers(path, mode):
    Path(path).touch()
    with MemoryBuffer(path, mode) as values:
        values.append(1)
    with MemoryBuffer(path, "r") as values:
        assert values[:] == [1]


def test_an_existing_file_in_mode_x(region_file):
    before = Path(region_file).read_bytes()
    with pytest.raises(FileExistsError) as caught:
        MemoryBuffer(region_file, "x")
    assert caught.value.filename == region_file
    assert Path(region_file).read_bytes() == before


@pytest.mark.parametrize("mode", ["r", "r+", "a"])
def test_a_newer_format(region_file, mode):
    from xxhash import xxh3_64_intdigest

    with open(region_file, "r+b") as file:
        for number in range(3):
            file.seek(4096 * number)
            page = bytearray(file.read(4096))
            if page[:8] == b"stablmem":
                page[8:12] = (7).to_bytes(4, "little")
                page[504:512] = xxh3_64_intdigest(bytes(page[:504])).to_bytes(8, "little")
                file.seek(4096 * number)
                file.write(page)
    with pytest.raises(VersionError, match=r"format 7.*reads format 0.*version that wrote it"):
        MemoryBuffer(region_file, mode)


@pytest.mark.parametrize("mode", ["r", "r+", "a"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_file(region_file, mode, share):
    size = os.path.getsize(region_file)
    os.truncate(region_file, max(9, int(size * share)))
    with pytest.raises(CorruptRegionError) as caught:
        MemoryBuffer(region_file, mode)
    assert region_file in str(caught.value)
    assert "expected" in str(caught.value)
    assert "stablemem verify" in str(caught.value)
    assert caught.value.path == region_file


def test_flipped_bits_in_a_value(region_file):
    content = bytearray(Path(region_file).read_bytes())
    at = content.index(b"a third value")
    content[at] ^= 4
    Path(region_file).write_bytes(content)
    with MemoryBuffer(region_file, "r") as values:
        assert values[:2] == ["one", "two"]
        with pytest.raises(CorruptRegionError, match="CRC-32C") as caught:
            values[2]
        assert caught.value.address == at
        walk = iter(values)
        for _ in range(2):
            with pytest.raises(CorruptRegionError), contextlib.suppress(StopIteration):
                while True:
                    next(walk)
        with pytest.raises(CorruptRegionError) as caught:
            values.verify()
        assert not isinstance(caught.value, ValueError)


def test_flipped_bits_without_checksums(region_file):
    content = bytearray(Path(region_file).read_bytes())
    at = content.index(b"a third value")
    content[at] ^= 4
    Path(region_file).write_bytes(content)
    with MemoryBuffer(region_file, "r", checksums=False) as values:
        assert values[2] == "e third value that is longer"


@pytest.mark.parametrize("mode", ["r", "r+", "a"])
@pytest.mark.parametrize("wrong", ["msgpack", "bytes"])
def test_a_wrong_blobify(region_file, mode, wrong):
    with pytest.raises(BlobifyError, match=f"written with blobify 'text', not '{wrong}'"):
        MemoryBuffer(region_file, mode, blobify=wrong)
    # The failed opening holds nothing.
    with MemoryBuffer(region_file, "r+") as values:
        assert len(values) == 3


def test_a_snapshot_takes_no_changes(region_file):
    with MemoryBuffer(region_file, "r") as values:
        for change in (
            lambda: values.append("x"),
            lambda: values.insert(0, "x"),
            lambda: values.extend(["x"]),
            lambda: values.__setitem__(0, "x"),
            lambda: values.__delitem__(0),
            lambda: values.__setitem__(slice(0, 1), []),
            lambda: values.__delitem__(slice(None)),
            values.pop,
            values.clear,
            values.reverse,
        ):
            with pytest.raises(ReadOnlyError, match="open it with mode='a' or 'r\\+'") as caught:
                change()
            assert isinstance(caught.value, io.UnsupportedOperation)
        assert len(values) == 3
        values.rollback()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_read_only_file(region_file):
    os.chmod(region_file, 0o444)
    for mode in ("r+", "a"):
        with pytest.raises(PermissionError):
            MemoryBuffer(region_file, mode)
    with MemoryBuffer(region_file, "r") as values:
        assert len(values) == 3


def test_a_read_only_file_as_the_kernel_says_it(region_file, monkeypatch):
    """For root, who may write everything: what the engine does with the kernel's refusal."""
    real = os.open

    def refuse(path, flags, *rest, **more):
        if path == region_file and flags & os.O_ACCMODE == os.O_RDWR:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    for mode in ("r+", "a", "w"):
        with pytest.raises(PermissionError) as caught:
            MemoryBuffer(region_file, mode)
        assert caught.value.filename == region_file
    with MemoryBuffer(region_file, "r") as values:
        assert len(values) == 3


class Unserialisable:
    pass


@pytest.mark.parametrize(
    "value", [Unserialisable(), {1, 2}, object, 1 << 70, "\ud800", [[{"a": (1, {3})}]], float]
)
def test_an_unserialisable_object(value):
    with MemoryBuffer() as values:
        values.extend([1, 2, 3])
        for call in (
            lambda: values.append(value),
            lambda: values.insert(1, value),
            lambda: values.__setitem__(0, value),
            lambda: values.__setitem__(slice(0, 2), [5, value]),
            lambda: values.extend([7, 8, value, 9]),
        ):
            with pytest.raises(BlobifyError) as caught:
                call()
            assert not isinstance(caught.value, ValueError | TypeError)
            assert values[:] == [1, 2, 3]
        with pytest.raises(BlobifyError) as caught:
            values.extend([7, 8, value, 9])
        assert caught.value.index == 2
        assert str(caught.value).startswith("value 2: ")
        values.commit()
        assert values[:] == [1, 2, 3]


@pytest.mark.parametrize("index", ["1", 1.0, None, b"1", (1,), 1j])
def test_a_non_integer_index(index):
    model = [1, 2, 3]
    with MemoryBuffer.from_iterable(model) as values:
        for call in (
            lambda each: each[index],
            lambda each: each.__setitem__(index, 1),
            lambda each: each.__delitem__(index),
            lambda each: each.insert(index, 1),
            lambda each: each.pop(index),
        ):
            for each in (model, values):
                with pytest.raises(TypeError) as caught:
                    call(each)
                assert type(index).__name__ in str(caught.value)
        assert values[:] == model
        assert values.stats().changes == 0


def test_a_source_that_is_none(tmp_path):
    with pytest.raises(TypeError, match="from_iterable"):
        MemoryBuffer([1, 2, 3])
    with pytest.raises(TypeError, match="path"):
        MemoryRegion(3)
    with pytest.raises(TypeError, match="bytes"):
        MemoryRegion(os.fsencode(tmp_path))
    with pytest.raises(ValueError, match="mode is 'rb'"):
        MemoryBuffer(tmp_path / "x.smem", "rb")


def test_every_error_of_damage_is_ours():
    for error in (NotARegionError, CorruptRegionError, VersionError, BlobifyError):
        assert issubclass(error, StableMemoryError)
        assert not issubclass(error, ValueError | LookupError | TypeError)
