"""max_size: nothing beyond it, deletes below it; on_low_space: told once when the room runs low."""

import os

import pytest

from stablemem import MemoryBuffer, MemoryRegion, RegionFullError

MIB = 1 << 20


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "list.smem")


def fill(region, values, size=1000):
    """Append and commit until there is no more room; return how many values are kept."""
    kept = len(values)

    def fill_up():
        nonlocal kept
        while True:
            values.extend([os.urandom(size)] * 50)
            region.commit()
            kept = len(values)

    message = (
        r"of at most \d+ bytes \(max_size\).*: delete values, best many at once from the end, and commit"
    )
    with pytest.raises(RegionFullError, match=message):
        fill_up()
    assert len(values) == kept
    return kept


@pytest.mark.parametrize("most", [MIB // 4, MIB, 4 * MIB])
def test_a_full_region_keeps_what_it_has_and_can_be_deleted_from(path, most):
    with MemoryRegion(path, max_size=most) as region:
        values = region.buffer("main", "bytes")
        kept = fill(region, values)
        assert kept > 0
        assert os.path.getsize(path) <= most
        held = values[:]
        for _ in range(3):
            del values[len(values) // 2 :]
            region.commit()
            assert os.path.getsize(path) <= most
        assert values[:] == held[: len(values)]
        # What was deleted makes room again.
        for _ in range(3):
            values[0] = b"two commits later"
            region.commit()
        before = len(values)
        assert fill(region, values) > before
        region.verify()
    assert os.path.getsize(path) <= most


def test_a_full_region_again_and_again(path):
    """Filling and deleting for long never exceeds the limit, nor ends in a region full of nothing."""
    with MemoryRegion(path, max_size=MIB) as region:
        values = region.buffer("main", "bytes")
        for number in range(30):
            kept = fill(region, values, 100 + 37 * number % 900)
            assert kept > 100
            del values[number % 3 :: 3]
            region.commit()
            del values[: len(values) // 2]
            region.commit()
            values[0] = b"."
            region.commit()
            assert os.path.getsize(path) <= MIB
        region.verify()


def test_raw_blocks_are_refused_as_well(path):
    with MemoryRegion(path, max_size=MIB) as region:
        region.add_blob(b"kept")
        region.commit()
        for call in (lambda: region.allocate(2 * MIB), lambda: region.grow(100)):
            region.add_blob(b"lost")
            with pytest.raises(RegionFullError, match="max_size"):
                call()
        assert region.allocated_bytes == 4


def test_the_whole_transaction_is_rolled_back(path):
    with MemoryRegion(path, max_size=MIB) as region:
        values = region.buffer("main", "bytes")
        values.append(b"kept" * 10)
        region.commit()
        values.append(b"lost" * 10)
        values.append(bytes(2 * MIB))
        with pytest.raises(RegionFullError) as caught:
            region.commit()
        assert "2 uncommitted changes were rolled back" in caught.value.__notes__
        assert values[:] == [b"kept" * 10]
        assert isinstance(caught.value, OSError)


def test_a_region_that_is_larger_already(path):
    with MemoryBuffer(path, blobify="bytes") as values:
        values.extend([bytes(1000)] * 5000)
    with MemoryRegion(path, max_size=MIB) as region:
        values = region.buffer("main")
        assert len(values) == 5000
        values.append(bytes(3 * MIB))
        with pytest.raises(RegionFullError):
            region.commit()
        del values[100:]
        region.commit()
        values.append(b"there is room now")
        region.commit()
    assert os.path.getsize(path) <= 6 * MIB


def test_told_once_each_time(path):
    told = []
    with MemoryRegion(path, max_size=4 * MIB, on_low_space=told.append, low_space=0.5) as region:
        values = region.buffer("main", "bytes")
        while not told:
            values.extend([bytes(1000)] * 100)
            region.commit()
            assert len(values) < 4000
        assert 0.4 * 4 * MIB < told[0].used_bytes + told[0].limbo_bytes < 0.6 * 4 * MIB
        values.extend([bytes(1000)] * 300)
        region.commit()
        assert len(told) == 1
        del values[10:]
        for _ in range(4):
            values.append(b".")
            region.commit()
        assert len(told) == 1
        values.extend([bytes(1000)] * 2500)
        region.commit()
        assert len(told) == 2


def test_it_may_change_the_region(path):
    """A ring that makes room for itself."""

    def keep_some(_):
        del values[:-500]

    region = MemoryRegion(path, max_size=4 * MIB, on_low_space=keep_some, low_space=0.4)
    values = region.buffer("main", "bytes")
    for number in range(200):
        values.extend([b"%d" % number * 300] * 100)
        region.commit()
    assert values[-1] == b"199" * 300
    region.verify()
    region.close()
    assert os.path.getsize(path) <= 3 * MIB


def test_what_it_raises_the_call_raises(path):
    def refuse(stats):
        raise LookupError(stats.path)

    with MemoryRegion(path, max_size=MIB, on_low_space=refuse, low_space=0.5) as region:
        values = region.buffer("main", "bytes")

        def fill_up():
            for _ in range(1000):
                values.append(bytes(10_000))
                region.commit()

        with pytest.raises(LookupError, match=r"list\.smem"):
            fill_up()
        count = len(values)
    with MemoryBuffer(path, "r") as kept:
        assert len(kept) == count


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_size": 1000}, ValueError, "max_size is 262144 bytes or more, not 1000"),
        ({"max_size": 1e9}, TypeError, "max_size is a number of bytes .* or None, not float"),
        ({"max_size": True}, TypeError, "not bool"),
        ({"low_space": 0}, ValueError, "low_space is a share from 0 to 1, not 0"),
        ({"low_space": 1.5}, ValueError, "not 1.5"),
        ({"low_space": "half"}, TypeError, "low_space is a share from 0 to 1, not str"),
        ({"fit": "worst"}, ValueError, r'or "best" .the smallest that fits., not \'worst\''),
        ({"fit": None}, ValueError, "not None"),
    ],
)
def test_options_that_make_no_sense(path, options, error, message):
    with pytest.raises(error, match=message):
        MemoryRegion(path, **options)
    assert not os.path.exists(path)


def test_a_list_takes_its_regions_options(path):
    told = []
    with MemoryBuffer(
        path, blobify="bytes", max_size=1 << 20, low_space=0.5, on_low_space=told.append, fit="best"
    ) as buffer:
        buffer.extend([b"x" * 1000] * 2000)
        with pytest.raises(RegionFullError):
            buffer.commit()
        assert len(buffer) == 0
        buffer.extend([b"x" * 1000] * 600)
        buffer.commit()
    assert len(told) == 1
    with MemoryRegion(path) as region, pytest.raises(TypeError, match="max_size is an option of the region"):
        MemoryBuffer(region, max_size=1 << 20)
    with pytest.raises(TypeError, match="unexpected keyword argument 'maxsize'"):
        MemoryBuffer(path, maxsize=1 << 20)
