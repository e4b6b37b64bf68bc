"""Slots: what is written comes back, and what nobody wrote is refused."""

import struct
from dataclasses import replace

import pytest

from stablemem._core.format.checksum import page_checksum
from stablemem._core.format.slots import MAX_DIGESTED, MAX_TRANSACTION, Slot, burn, burned, decode
from stablemem.layout import HEADER_SIZE, NODE_SIZE
from support.slots import BOOT, FILE, SLOT


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


def test_a_number_that_was_taken_back():
    page = SLOT.encode()
    assert burned(page) == 0
    taken = burn(page, 9)
    assert len(taken) == NODE_SIZE
    assert burned(taken) == 9
    assert decode(taken, 0) == SLOT, "the slot itself is as it was"
    assert burned(burn(taken, MAX_TRANSACTION - 1)) == MAX_TRANSACTION - 1
    assert burned(burn(page, MAX_TRANSACTION)) == 0, "no transaction has this number"


@pytest.mark.parametrize("at", [512, 519, 520, 527])
def test_a_number_that_was_half_taken_back(at):
    page = bytearray(burn(SLOT.encode(), 9))
    page[at] ^= 1
    assert burned(bytes(page)) == 0
