import random

import pytest

from stablemem._core.format.checksum import COMPILED, crc32c, page_checksum
from support import run_python
from support.hostile import crc32c as by_bits


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"a", 0xC1D04330),
    ],
)
def test_known_vectors(data, expected):
    """RFC 3720 appendix B.4 and others."""
    assert crc32c(data) == expected == by_bits(data)


def test_every_length_and_alignment():
    rng = random.Random(3)
    data = rng.randbytes(100)
    for start in range(9):
        for size in range(80):
            piece = data[start : start + size]
            assert crc32c(piece) == by_bits(piece)
            assert crc32c(memoryview(data)[start : start + size]) == by_bits(piece)
    assert crc32c(bytearray(data)) == crc32c(data)


def test_one_flipped_bit_is_always_seen():
    data = random.Random(4).randbytes(64)
    for bit in range(512):
        other = bytearray(data)
        other[bit // 8] ^= 1 << bit % 8
        assert crc32c(other) != crc32c(data)


def test_page_checksum_is_xxh3():
    assert page_checksum(b"") == 0x2D06800538D394C2
    assert page_checksum(b"a") == 0xE6C632B61E964E1F
    assert (
        page_checksum(bytes(4096)) == page_checksum(bytearray(4096)) == page_checksum(memoryview(bytes(4096)))
    )


@pytest.mark.skipif(not COMPILED, reason="there is nothing to compare with")
def test_both_modes_agree():
    rng = random.Random(5)
    data = [rng.randbytes(rng.randrange(5000)) for _ in range(50)]
    code = (
        "import sys; from stablemem._core.format.checksum import *; assert not COMPILED\n"
        "print([crc32c(bytes.fromhex(each)) for each in sys.argv[1].split(',')])"
    )
    done = run_python(code, ",".join(each.hex() for each in data[:20]), STABLEMEM_PURE="1")
    assert done.stdout.strip() == str([crc32c(each) for each in data[:20]])
    assert [crc32c(each) for each in data] == [by_bits(each) for each in data]
