import os
import random

import pytest

from stablemem import CorruptRegionError, RegionClosedError
from stablemem._core.disk.device import MemoryDevice
from stablemem._core.disk.region import Region
from support.recording import RecordingDevice

IOS = ("map", "pread")


@pytest.fixture(params=IOS)
def region(request):
    made = Region(MemoryDevice(), io=request.param)
    yield made
    made.close()


def test_empty(region):
    assert region.limit == region.mapped == 0
    assert region.load(0, 0) == b""
    with pytest.raises(CorruptRegionError):
        region.load(0, 1)


def test_growing_and_reading(region):
    region.write(0, b"a" * 5000)
    assert region.load(4990, 10) == b"a" * 10
    region.write_run(5000, [b"b" * 3000, b"c" * 70_000])
    assert region.limit == 78_000
    assert region.load(7999, 3) == b"bcc"
    assert region.load(77_999, 1) == b"c"
    region.write(10, b"new")
    assert region.load(9, 5) == b"anewa"


@pytest.mark.parametrize(
    ("address", "size"),
    [(0, 101), (100, 1), (101, 0), (99, 2), (1 << 40, 1), ((1 << 64) - 1, 1), ((1 << 64) - 1, (1 << 64) - 1),
     (1, (1 << 64) - 1), (1 << 63, 1 << 63), (50, (1 << 64) - 50)],
)  # fmt: skip
def test_bounds(region, address, size):
    region.write(0, bytes(100))
    with pytest.raises(CorruptRegionError) as caught:
        region.load(address, size)
    assert caught.value.address == address
    assert str(size) in str(caught.value)


def test_the_limit_is_what_a_snapshot_may_read(region):
    region.write(0, bytes(1000))
    region.set_limit(500)
    assert region.load(499, 1) == b"\0"
    with pytest.raises(CorruptRegionError):
        region.load(499, 2)


def test_a_file_that_shrank_under_the_limit(region):
    """The limit says more than there is: an error, not a signal."""
    region.write(0, bytes(20_000))
    region.device.truncate(4096)
    with pytest.raises(CorruptRegionError):
        region.load(10_000, 5)
    region.set_limit(30_000)
    with pytest.raises(CorruptRegionError):
        region.load(25_000, 5)


@pytest.mark.parametrize("io", IOS)
def test_views_outlive_growth_truncation_and_close(io):
    region = Region(MemoryDevice(), io=io)
    region.write(0, b"first" + bytes(100))
    view = region.view(0, 5)
    region.write(105, bytes(100_000))
    assert region.load(60_000, 4) == bytes(4)
    other = region.view(0, 5)
    region.truncate(5)
    assert region.load(0, 5) == b"first"
    region.close()
    assert view == other == b"first"
    assert view.readonly
    view.release()


def test_truncate(region):
    region.write(0, b"x" * 9000)
    region.truncate(4000)
    assert region.limit == 4000
    assert region.device.size() == 4000
    with pytest.raises(CorruptRegionError):
        region.load(3999, 2)
    region.write(4000, b"y")
    assert region.load(3999, 2) == b"xy"


@pytest.mark.parametrize("io", IOS)
def test_closed(io):
    region = Region(MemoryDevice(), io=io)
    assert region.io == io
    region.write(0, b"abc")
    region.load(0, 3)
    region.close()
    region.close()
    for call in (lambda: region.load(0, 3), lambda: region.view(0, 3), lambda: region.load(0, 1 << 40)):
        with pytest.raises(RegionClosedError, match="closed"):
            call()


def test_what_was_written_is_written_down(region):
    region.written = []
    region.write(0, b"abc")
    region.write_run(10, [b"ab", b"c"])
    assert region.written == [(0, 3), (10, 3)]


def test_zeros_ahead_of_small_growth():
    """Small writes at the end are not each a growth of the file; a large one is not doubled."""
    device = RecordingDevice()
    region = Region(device)
    for number in range(50):
        region.write(100 * number, bytes([number]) * 100)
    growing = 0
    end = 0
    for _, address, data in device.events:
        growing += address + len(data) > end
        end = max(end, address + len(data))
    assert growing <= 2
    assert region.load(4900, 100) == bytes([49]) * 100
    before = device.size()
    region.write(before, bytes(3_000_000))
    assert device.size() == before + 3_000_000
    region.close()


def test_a_full_disk_does_not_stop_what_still_fits():
    device = RecordingDevice()
    region = Region(device)
    device.fail_at = 0
    region.write(0, b"fits")
    assert region.load(0, 4) == b"fits"
    assert len(device.events) == 2
    region.close()


def test_the_lock_of_a_view():
    """A snapshot's map holds its registration; a writer's never holds the writer lock."""
    device = MemoryDevice()
    device.write(0, b"abc")
    for shared in (False, True):
        region = Region(device.reopen(), shared_lock=shared)
        view = region.view(0, 3)
        region.close()
        assert view == b"abc"
    device.close()


def test_by_pread_a_view_holds_nothing():
    """It is a copy: neither its snapshot's registration nor a map stays with it."""
    device = MemoryDevice()
    device.write(0, b"abc")
    region = Region(device, shared_lock=True, io="pread")
    view = region.view(0, 3)
    region.close()
    assert view == b"abc"
    assert view.readonly
    assert region.mapped == 0
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(device.descriptor)


def test_what_is_written_is_read(region):
    """Whatever was read before, by whatever sizes, a read shows the newest bytes."""
    draw = random.Random(5)
    model = bytearray()
    for _ in range(600):
        address = draw.randrange(len(model) + 1)
        size = draw.choice((1, 30, 4096, 9000))
        match draw.randrange(5):
            case 0:
                data = draw.randbytes(size)
                region.write(address, data)
                model[address : address + size] = data
            case 1:
                region.truncate(address)
                del model[address:]
            case 2:
                region.reach(address + size)
                model.extend(bytes(max(0, address + size - len(model))))
            case 3 if address + size <= len(model):
                region.punch(address, size)
                model[address : address + size] = bytes(size)
            case _:
                size = min(size, len(model) - address)
                assert region.load(address, size) == region.view(address, size) == model[address:][:size]
    assert region.load(0, len(model)) == model


def test_a_write_that_fails_half_way_is_seen():
    device = RecordingDevice()
    region = Region(device, io="pread")
    region.write(0, bytes(100_000))
    assert region.load(0, 10) == bytes(10)
    device.fail_at, device.fail_short = len(device.events), 4
    with pytest.raises(OSError, match="writing"):
        region.write(0, b"x" * 10)
    assert region.load(0, 10) == b"xxxx" + bytes(6)
    region.close()


def test_a_file_cut_by_somebody_is_an_error_by_pread():
    """Also within the last page, where a map shows zeros."""
    device = MemoryDevice()
    device.write(0, b"x" * 20_000)
    region = Region(device, io="pread")
    device.truncate(10_000)
    assert region.load(9_999, 1) == b"x"
    for address, size in [(9_999, 2), (10_000, 1), (12_287, 1), (19_999, 1), (0, 20_000), (8192, 4096)]:
        with pytest.raises(CorruptRegionError):
            region.load(address, size)
        with pytest.raises(CorruptRegionError):
            region.view(address, size)
    region.close()


@pytest.mark.parametrize("io", IOS)
def test_renewed_after_another_has_written(io):
    device = MemoryDevice()
    region = Region(device, io=io)
    region.write(0, b"a" * 9000)
    assert region.load(0, 9000) == b"a" * 9000
    device.truncate(4096)
    device.write(0, b"b" * 6000)
    region.renew(5000)
    assert (region.length, region.limit, region.written) == (6000, 5000, [])
    assert region.load(0, 5000) == b"b" * 5000
    with pytest.raises(CorruptRegionError):
        region.load(0, 5001)
    region.close()
