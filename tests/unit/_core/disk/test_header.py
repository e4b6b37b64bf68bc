import struct
from dataclasses import replace

import pytest

from stablemem import CorruptRegionError, NotARegionError, VersionError
from stablemem._core.disk.device import MemoryDevice
from stablemem._core.disk.header import Header, boot_id
from stablemem._core.format.checksum import page_checksum
from stablemem._core.format.slots import MAX_DIGESTED, Slot, decode
from stablemem.layout import HEADER_SIZE, NODE_SIZE
from support.recording import RecordingDevice

BOOT = b"this boot is it."
FILE = b"the file's id..."
SLOT = Slot(
    file_id=FILE,
    transaction=7,
    length=100_000,
    main=(HEADER_SIZE, 1 << 63 | 5, 2, 300),
    catalog=(65536, 50, 99),
    log_page=4 * NODE_SIZE,
    log_check=98,
    log_newest=9,
    log_oldest=3,
)


def device_with(*slots, size=1 << 20):
    """Return a device with slots at their numbers, and zeros behind."""
    device = MemoryDevice()
    device.truncate(size)
    for slot in slots:
        device.write(slot.number * NODE_SIZE, slot.encode())
    return device


def numbered(transaction, number, **more):
    return replace(SLOT, transaction=transaction, number=number, **more)


def test_encode_and_decode():
    for slot in (
        SLOT,
        replace(SLOT, synced=False, boot=BOOT),
        replace(SLOT, digest=5, extents=((HEADER_SIZE, 4096), (70_000, 1))),
        replace(SLOT, digest=0),
        replace(SLOT, front=(1 << 64) - 1, sealed=True, needed_to_read=4, needed_to_write=1 << 63),
        Slot(file_id=FILE, transaction=1, length=HEADER_SIZE),
    ):
        page = slot.encode()
        assert len(page) == NODE_SIZE
        assert not any(page[512:])
        assert decode(page, 0) == slot


def test_the_layout_is_the_documented_one():
    more = {"front": 11, "sealed": True, "needed_to_read": 1 << 63, "needed_to_write": 2}
    page = replace(SLOT, number=2, digest=77, extents=((70_000, 9),), **more).encode()
    assert page[:8] == b"stablmem"
    fields = struct.unpack_from("<II16sQQ16sQQQQI", page, 8)
    assert fields == (0, 7, FILE, 7, 100_000, bytes(16), HEADER_SIZE, 1 << 63 | 5, 300, 11, 2)
    assert struct.unpack_from("<IQQQQQQQ", page, 100) == (0, 65536, 99, 50, 4 * NODE_SIZE, 98, 9, 3)
    assert struct.unpack_from("<QQIIQQI", page, 160) == (1 << 63, 2, 2, 1, 77, 70_000, 9)
    assert not any(page[204:504])
    assert struct.unpack_from("<Q", page, 504)[0] == page_checksum(page[:504])


@pytest.mark.parametrize("at", [*range(0, 512, 7), 510, 511])
def test_any_flipped_bit_drops_the_slot(at):
    page = bytearray(SLOT.encode())
    page[at] ^= 16
    assert isinstance(decode(bytes(page), 0), str)


def test_a_short_page():
    assert decode(SLOT.encode()[:-1], 0) == "the file ends within it"
    assert decode(bytes(NODE_SIZE), 0) == "empty"


def test_a_slot_at_another_place_is_refused():
    assert decode(SLOT.encode(), 1) == "it says it is slot 0"


@pytest.mark.parametrize(
    "bad",
    [
        {"transaction": 0},
        {"transaction": 1 << 62},
        {"length": 5},
        {"length": 1 << 60},
        {"main": (HEADER_SIZE + 1, 0, 1, 5)},
        {"main": (0, 0, 1, 5)},
        {"main": (HEADER_SIZE, 0, 0, 5)},
        {"main": (HEADER_SIZE, 0, 13, 5)},
        {"main": (1 << 40, 0, 1, 5)},
        {"main": (HEADER_SIZE, 0, 1, 1 << 63)},
        {"main": (4096, 0, 1, 5)},
        {"catalog": (100_000, 1, 0)},
        {"catalog": (0, 50, 0)},
        {"log_page": 5},
        {"log_page": 1 << 40},
        {"log_oldest": 0},
        {"log_oldest": 10},
        {"log_newest": 1 << 60},
        {"digest": 1, "extents": ((0, 5),)},
        {"digest": 1, "extents": ((99_999, 2),)},
        {"digest": 1, "extents": ((HEADER_SIZE, MAX_DIGESTED // 16 + 9),) * 16, "length": 1 << 30},
    ],
)
def test_fields_out_of_bounds(bad):
    assert isinstance(decode(replace(SLOT, **bad).encode(), 0), str)


def test_the_newest_counts():
    header = Header(device_with(numbered(5, 0), numbered(7, 1), numbered(6, 2)), BOOT)
    assert header.newest.transaction == 7
    assert [slot.transaction for slot in header.valid] == [7, 6, 5]
    assert header.highest == 7
    assert [slot.transaction for slot in header.kept()] == [7, 6]
    assert header.floor == 6


def test_damaged_slots_are_dropped_before_numbers_are_compared():
    device = device_with(numbered(5, 0), numbered(9, 1), numbered(6, 2))
    device.write(NODE_SIZE + 50, b"\xff")
    header = Header(device, BOOT)
    assert header.newest.transaction == 6
    assert header.dropped == {1: "its checksum does not match"}


def test_unsynced_slots_count_under_their_boot_only():
    slots = [numbered(5, 0), numbered(6, 1, synced=False, boot=BOOT), numbered(7, 2, synced=False, boot=BOOT)]
    here = Header(device_with(*slots), BOOT)
    assert here.newest.transaction == 7
    assert here.last_synced == 5
    assert [slot.transaction for slot in here.kept()] == [7, 5], "what is synced stays"
    assert here.floor == 5
    after = Header(device_with(*slots), b"the boot after..")
    assert after.newest.transaction == 5
    assert after.highest == 7, "numbers that were seen are not used again"
    assert "before the machine stopped" in after.dropped[1]


def test_a_digest_that_does_not_hold_drops_its_slot():
    device = device_with()
    device.write(70_000, b"covered")
    good = numbered(8, 1, digest=page_checksum(b"covered"), extents=((70_000, 7),))
    device.write(0, numbered(7, 0).encode())
    device.write(NODE_SIZE, good.encode())
    assert Header(device, BOOT).newest.transaction == 8
    device.write(70_003, b"!")
    header = Header(device, BOOT)
    assert header.newest.transaction == 7
    assert "digest" in header.dropped[1]
    assert header.highest == 8


def test_a_file_shorter_than_a_synced_slot_says():
    """Length and data were on the disk before the slot: no crash does this, damage does."""
    with pytest.raises(CorruptRegionError, match="100000 bytes"):
        Header(device_with(numbered(5, 0, length=40_000), numbered(6, 1), size=50_000), BOOT)


def test_a_file_shorter_than_a_slot_with_digest_says():
    """Slot and data are synced together: the slot may be there first."""
    slot = numbered(6, 1, digest=5, extents=((70_000, 7),))
    header = Header(device_with(numbered(5, 0, length=40_000, catalog=(0, 0, 0)), slot, size=50_000), BOOT)
    assert header.newest.transaction == 5


@pytest.mark.parametrize("content", [b"", b"hello", bytes(HEADER_SIZE), b"\x89PNG" * 9000, b"stablme" * 3000])
def test_not_a_region(content):
    device = MemoryDevice()
    device.path = "some.file"
    device.write(0, content)
    with pytest.raises(NotARegionError) as caught:
        Header(device, BOOT)
    assert "some.file is not a region" in str(caught.value)
    assert ("is empty" if not content else repr(content[:8])) in str(caught.value)


def test_a_newer_format():
    page = bytearray(numbered(5, 0).encode())
    page[8:12] = (3).to_bytes(4, "little")
    page[504:512] = page_checksum(bytes(page[:504])).to_bytes(8, "little")
    device = device_with()
    device.write(0, bytes(page))
    with pytest.raises(VersionError, match=r"format 3.*reads format 0.*version that wrote it"):
        Header(device, BOOT)


def test_all_slots_damaged():
    device = device_with(numbered(5, 0), numbered(6, 1))
    for at in (100, NODE_SIZE + 100):
        device.write(at, b"\xff\xff")
    with pytest.raises(CorruptRegionError, match="slot 0: its checksum does not match; slot 1: its checksum"):
        Header(device, BOOT)


def test_writing_goes_round_and_spares_what_is_needed():
    device = device_with(replace(Slot(file_id=FILE, transaction=1, length=HEADER_SIZE), number=0))
    header = Header(device, BOOT)
    written = []
    for transaction in range(2, 12):
        kept = {slot.number for slot in header.kept()}
        slot = replace(SLOT, transaction=transaction)
        header.write(slot)
        assert slot.number not in kept
        header.published(slot)
        written.append(slot.number)
        assert header.newest.transaction == transaction
        assert Header(device, BOOT).newest == slot
    assert set(written) == {0, 1, 2}


def test_unsynced_commits_never_touch_the_last_synced_slot():
    device = device_with(numbered(5, 1))
    header = Header(device, BOOT)
    for transaction in range(6, 20):
        slot = replace(SLOT, transaction=transaction, synced=False, boot=BOOT)
        header.write(slot)
        assert slot.number != 1
        header.published(slot)
        assert Header(device, b"the boot after..").newest.transaction == 5
        assert header.floor == 5


def test_take_back():
    device = device_with(numbered(5, 0), numbered(4, 1), numbered(3, 2))
    before = device.read(0, HEADER_SIZE)
    header = Header(device, BOOT)
    header.take_back()
    assert device.read(0, HEADER_SIZE) == before
    header.write(replace(SLOT, transaction=6))
    assert device.read(0, HEADER_SIZE) != before
    header.take_back()
    # All as before, but for the number, which is not used again.
    after = device.read(0, HEADER_SIZE)
    assert [after[at : at + 512] for at in (0, 4096, 8192)] == [
        before[at : at + 512] for at in (0, 4096, 8192)
    ]
    assert Header(device, BOOT).highest == 6
    assert Header(device, BOOT).newest == header.newest


def test_recovery_writes_again_what_counts():
    device = RecordingDevice()
    device.truncate(1 << 20)
    device.write(70_000, b"covered")
    device.write(80_000, b"unsynced")
    slot = numbered(8, 1, digest=page_checksum(b"covered"), extents=((70_000, 7),))
    device.write(NODE_SIZE, slot.encode())
    header = Header(device, BOOT)
    begin = len(device.events)
    header.recover([(80_000, 8)])
    events = device.events[begin:]
    assert events[-1] == ("sync",)
    assert ("write", 70_000, b"covered") in events
    assert ("write", 80_000, b"unsynced") in events
    assert ("write", NODE_SIZE, slot.encode()) in events
    assert Header(device, BOOT).newest == slot


def test_boot_id():
    assert len(boot_id()) == 16
    assert boot_id() == boot_id()
