from dataclasses import replace

import pytest

from stablemem import CorruptRegionError, NotARegionError, VersionError
from stablemem._core.disk.device import MemoryDevice
from stablemem._core.disk.header import Header, boot_id
from stablemem._core.format.checksum import page_checksum
from stablemem._core.format.slots import Slot
from stablemem.layout import HEADER_SIZE, NODE_SIZE
from support.recording import RecordingDevice
from support.slots import BOOT, FILE, SLOT


def device_with(*slots, size=1 << 20):
    """Return a device with slots at their numbers, and zeros behind."""
    device = MemoryDevice()
    device.truncate(size)
    for slot in slots:
        device.write(slot.number * NODE_SIZE, slot.encode())
    return device


def numbered(transaction, number, **more):
    return replace(SLOT, transaction=transaction, number=number, **more)


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
