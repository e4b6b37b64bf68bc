import pytest

from stablemem import CorruptRegionError, MemoryRegion
from stablemem._core.audit.verify import verify, verify_writer
from stablemem.layout import HEADER_SIZE
from support.player import Player
from support.probe import handle_of
from support.recorded import Recorder, region_of, region_on


def test_report():
    with MemoryRegion() as region:
        one, two = region.buffer("one", "bytes"), region.buffer("two", "bytes")
        one.extend([bytes(100)] * 300)
        two.append(b"inline")
        region.commit()
        report = region.verify()
        assert report.faults == []
        assert report.lists == {"one": 300, "two": 1}
        assert report.nodes == 2 + 1 + 1
        assert report.blobs == 300
        assert report.transaction == region.transaction_number
        total = (
            report.header_bytes + report.log_bytes + report.catalog_bytes + report.node_bytes
            + report.blob_bytes + report.free_bytes + report.limbo_bytes
        )  # fmt: skip
        assert total == handle_of(region).slot.length
        assert report.header_bytes == HEADER_SIZE
        assert report.node_bytes == 4 * 4096
        assert report.blob_bytes == 30_000


def test_an_empty_region():
    with MemoryRegion() as region:
        report = region.verify()
        assert report.faults == []
        assert report.lists == {}


@pytest.mark.usefixtures("damaged")
def test_every_flipped_page_is_found():
    device = Recorder()
    region = region_on(device)
    player = Player(3, region, most=300)
    for _ in range(6):
        for _ in range(10):
            player.change()
        player.commit()
    region.close()
    image = device.bytes()
    with region_of(image, mode="r") as sound:
        space = handle_of(sound).space
        unused = [(a, n) for a, n in space.free_blocks()]
        for each in space.limbo:
            unused += each.blocks.blocks()
    found = 0
    for place in range(HEADER_SIZE + 100, len(image), 997):
        other = bytearray(image)
        other[place] ^= 0x40
        used = not any(address <= place < address + size for address, size in unused)
        try:
            broken = region_of(bytes(other), mode="r")
        except CorruptRegionError:
            assert used
            found += 1
            continue
        report = verify(handle_of(broken))
        assert bool(report.faults) == used, f"byte {place}"
        found += bool(report.faults)
        if report.faults:
            with pytest.raises(CorruptRegionError) as caught:
                broken.verify()
            assert report.faults[0] in str(caught.value)
        broken.close()
    assert found > 10


@pytest.mark.usefixtures("damaged")
def test_all_damage_is_told():
    device = Recorder()
    region = region_on(device)
    for name in ("one", "two", "three"):
        region.buffer(name, "bytes").extend([b"%s %d, long" % (name.encode(), n) for n in range(300)])
    region.close()
    image = bytearray(device.bytes())
    for name in (b"one", b"three"):
        image[image.index(b"%s 7, long" % name)] ^= 1
    broken = region_of(bytes(image), mode="r")
    faults = verify(handle_of(broken)).faults
    assert len(faults) == 2
    assert any("'one'" in fault for fault in faults)
    assert any("'three'" in fault for fault in faults)
    with pytest.raises(CorruptRegionError) as caught:
        broken.verify()
    assert len([str(caught.value), *caught.value.__notes__]) == 2
    broken.close()


def test_lost_and_doubled_space_is_found():
    """verify_writer compares what is in memory with what was committed."""
    with MemoryRegion() as region:
        values = region.buffer("main", "bytes")
        values.extend([bytes(100)] * 300)
        region.commit()
        store = handle_of(region)
        assert verify_writer(store) == []
        space = store.writer.space
        taken = space.allocate(2, 1000)
        space.commit(99)
        assert any("differs from the space map" in fault for fault in verify_writer(store))
        space.reuse(taken, 1000)
        assert verify_writer(store) == []
