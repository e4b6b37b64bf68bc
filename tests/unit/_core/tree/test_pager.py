import random
import struct

import pytest

from stablemem import CorruptRegionError, MemoryBuffer, MemoryRegion
from stablemem._core.disk.device import MemoryDevice
from stablemem._core.disk.region import Region
from stablemem._core.format.checksum import crc32c
from stablemem._core.space.freespace import FreeSpace
from stablemem._core.tree.pager import BLOB_BUDGET, MOST_NODES, NODE_BUDGET, NUMBER_BUDGET, WRITE_SIZE, Pager
from stablemem._core.tree.walk import walk
from support import scaled
from support.probe import handle_of
from support.recorded import Recorder, region_on


@pytest.fixture
def pager():
    region = Region(MemoryDevice())
    region.write(0, bytes(65536) + b"a blob of the region")
    yield Pager(region, FreeSpace(), True)
    region.close()


def words(data, address=65536):
    return address, len(data) | crc32c(data) << 32


def test_blobs_by_address(pager):
    assert pager.blob(*words(b"a blob of the region")) == b"a blob of the region"
    assert pager.blob(*words(b"blob of the", 65538)) == b"blob of the"


@pytest.mark.parametrize("size", range(9))
def test_inline_blobs(pager, size):
    data = bytes(range(0xF0, 0xF0 + size))
    assert pager.blob(int.from_bytes(data, "little"), size) == data


def test_a_blob_with_the_wrong_checksum(pager):
    first, second = words(b"a blob of the region")
    with pytest.raises(CorruptRegionError, match="CRC-32C") as caught:
        pager.blob(first, second ^ 1 << 40)
    assert caught.value.address == first
    pager.checksums = False
    assert pager.blob(first, second ^ 1 << 40) == b"a blob of the region"


@pytest.mark.parametrize("address", [1 << 40, 65536 + 15, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_a_blob_out_of_the_region(pager, address):
    with pytest.raises(CorruptRegionError):
        pager.blob(address, 20)


def test_nodes_out_of_the_region(pager):
    for root in (65536, 12289, 1 << 40, 1 << 63, (1 << 64) - 4096):
        with pytest.raises(CorruptRegionError):
            walk(pager, 0x4E, root, 0, 0, lambda node: None, lambda address, size: None, False)


def test_budgets():
    assert not Pager(Region(MemoryDevice()), FreeSpace(), True).is_full()
    with MemoryBuffer(blobify="bytes") as values:
        pager = handle_of(values).pager
        size = 100_000
        number = 0
        while number == 0 or pager.pending_bytes:
            assert pager.pending_bytes < BLOB_BUDGET + size
            values.append(bytes(size))
            number += 1
            assert number < 100
        assert number == -(-BLOB_BUDGET // size)
        assert values[-1] == bytes(size)


def test_a_queue_in_one_transaction_goes_out_early():
    with MemoryBuffer(blobify="bytes") as values:
        pager = handle_of(values).pager
        values.append(b"the first one")
        passed = 1
        while pager.pending_bytes:
            assert passed < NUMBER_BUDGET
            values.extend([b"123456789"] * 100_000)
            passed += 100_000
            del values[1:]
        assert passed >= NUMBER_BUDGET
        assert values[:] == [b"the first one"]


def test_many_dirty_nodes_go_out_early():
    with MemoryBuffer(blobify="bytes") as values:
        pager = handle_of(values).pager
        values.extend(b"%d" % number for number in range(300_000))
        assert pager.dirty_nodes > 1000
        count = 8_300 * 255
        handle_of(values).index("main").insert_run(0, struct.pack("<QQ", 7, 1) * count)
        assert pager.is_full()
        values.append(b"x")
        assert pager.dirty_nodes < NODE_BUDGET
        assert len(values) == 300_001 + count
        assert values[0] == b"\7"
        assert values[count] == b"0"
        values.rollback()
        assert len(values) == 0


@pytest.mark.parametrize(
    ("leaves", "allowed"),
    [(0, NODE_BUDGET), (NODE_BUDGET, NODE_BUDGET), (20_000, 20_000), (MOST_NODES + 1, MOST_NODES)][
        : scaled(4, 2)
    ],
)
def test_large_lists_may_have_more_dirty_nodes(leaves, allowed):
    """Those that were there when the transaction began: what it adds itself changes nothing."""
    with MemoryRegion() as region:
        one, two = region.buffer("one", "bytes"), region.buffer("two", "bytes")
        store = handle_of(one)
        one.append(b"begun")
        store.index("one").insert_run(0, struct.pack("<QQ", 7, 1) * (255 * (leaves // 2)))
        store.index("two").insert_run(0, struct.pack("<QQ", 7, 1) * (255 * (leaves - leaves // 2)))
        assert store.pager.node_budget == NODE_BUDGET
        region.commit(sync=False)
        two.append(b"begun again")
        assert store.pager.node_budget == allowed
        region.rollback()


def test_long_runs_of_blobs_are_written_in_aligned_parts():
    """Of any sizes, also such as need several parts; they come back as they were."""
    device = Recorder()
    chance = random.Random(1)
    with region_on(device) as region:
        values = region.buffer("main", "bytes")
        sizes = [100] * 5000 + [3 * WRITE_SIZE + 5, 9, WRITE_SIZE, 50_000, WRITE_SIZE - 1, 20] + [4000] * 60
        model = [chance.randbytes(size) for size in sizes]
        begin = len(device.events)
        values[:] = model
        region.commit()
        ends = [
            event[1] + len(event[2])
            for event in device.events[begin:]
            if event[0] == "write" and len(event[2]) >= WRITE_SIZE // 2
        ]
        assert len(ends) > 5
        assert sum(end % WRITE_SIZE == 0 for end in ends) >= len(ends) - 1
        assert values[:] == model
        region.verify()


def test_a_commit_is_written_in_few_runs():
    device = Recorder()
    with region_on(device) as region:
        values = region.buffer("main", "bytes")
        values.extend([bytes(100)] * 3000)
        region.commit()
        begin = len(device.events)
        for number in range(0, 3000, 40):
            values[number] = b"%d" % number * 30
        region.commit()
        writes = [event for event in device.events[begin:] if event[0] == "write"]
        blobs = [event for event in writes if len(event[2]) > 4096 and b"40" * 30 in event[2]]
        assert len(blobs) == 1, "the blobs go out in one run"
        assert len(writes) <= 8


def test_committed_bytes_are_never_written_to():
    device = Recorder()
    with region_on(device) as region:
        values = region.buffer("main", "bytes")
        values.extend([b"%d" % number * 20 for number in range(600)])
        region.commit()
        snapshot = region.snapshot()
        # What this state does not use: free, or freed by it and reachable only from older ones.
        space = handle_of(snapshot).space
        length = handle_of(snapshot).slot.length
        unused = bytearray(length) + b"\1" * (len(device.bytes()) - length)
        blocks = space.free_blocks(0, len(unused))
        for each in space.limbo:
            blocks += each.blocks.blocks()
        for address, size in blocks:
            end = min(address + size, len(unused))
            unused[address:end] = b"\1" * (end - address)
        begin = len(device.events)
        for number in range(50):
            values[number * 3] = b"another value of another size"
            del values[number]
            region.commit()
        for event in device.events[begin:]:
            if event[0] == "write" and event[1] >= 12288:
                touched = unused[event[1] : event[1] + len(event[2])]
                assert all(touched), f"committed bytes at {event[1]} were written to"
        assert snapshot.buffer("main")[5] == b"5" * 20
        snapshot.verify()
        snapshot.close()
