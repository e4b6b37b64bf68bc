import struct

import pytest

from stablemem._core.format import words


@pytest.mark.parametrize(
    ("name", "code", "value"),
    [("8", "<B", 0xA7), ("16", "<H", 0xA7B6), ("64", "<Q", 0xA7B6C5D4E3F20180)],
)
@pytest.mark.parametrize("offset", [0, 1, 3, 8])
def test_words_are_little_endian(name, code, value, offset):
    page = bytearray(b"\x55" * 24)
    getattr(words, f"put{name}")(page, offset, value)
    size = struct.calcsize(code)
    assert page[offset : offset + size] == struct.pack(code, value)
    assert page[:offset] == b"\x55" * offset
    assert page[offset + size :] == b"\x55" * (24 - offset - size)
    assert getattr(words, f"get{name}")(page, offset) == value
    assert getattr(words, f"get{name}")(memoryview(bytes(page)), offset) == value


def test_get32():
    assert words.get32(b"\0\1\2\3\xff", 1) == 0xFF030201


def test_values_too_large_are_refused():
    page = bytearray(8)
    for put, bits in ((words.put8, 8), (words.put16, 16), (words.put64, 64)):
        with pytest.raises((struct.error, ValueError)):
            put(page, 0, 1 << bits)
    assert page == bytes(8)


@pytest.mark.parametrize(("to", "source", "size"), [(0, 4, 8), (4, 0, 8), (3, 3, 5), (0, 15, 1), (2, 2, 0)])
def test_move_overlapping(to, source, size):
    page = bytearray(range(16))
    expected = bytearray(page)
    expected[to : to + size] = bytes(page)[source : source + size]
    words.move(page, to, source, size)
    assert page == expected


def test_marks():
    assert words.mark(5) == (1 << 63) + 5
    assert words.unmark(words.mark(5)) == 5
    assert words.low32(0x1_2345_6789) == 0x2345_6789
    assert words.high32(0x1_2345_6789) == 1
