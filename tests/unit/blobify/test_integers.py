import enum
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stablemem import MemoryBuffer
from stablemem.blobify import Int, Nat
from stablemem.errors import BlobifyError

# Around every change of size, and far beyond 64 bits.
EDGES = sorted(
    {
        edge
        for power in (0, 7, 8, 16, 24, 32, 40, 48, 55, 56, 57, 63, 64, 65, 8 * 247, 8 * 248, 8 * 300)
        for near in (119, 120, 247, 248, 1 << power)
        for edge in (near - 1, near, near + 1)
    }
)
naturals = st.integers(min_value=0) | st.sampled_from(EDGES) | st.integers(0, 2**70)
integers = naturals | naturals.map(lambda number: -1 - number)


class Small(enum.IntEnum):
    ONE = 1


@pytest.mark.parametrize(("codec", "sign"), [(Nat(), 1), (Int(), 1), (Int(), -1)])
def test_edges_come_back_in_order(codec, sign):
    numbers = sorted({sign * number for number in EDGES})
    blobs = [codec.to_blob(number) for number in numbers]
    assert [codec.from_blob(blob) for blob in blobs] == numbers
    assert blobs == sorted(set(blobs))


@given(naturals, naturals)
def test_nat_keeps_order(one, two):
    blobs = Nat().to_blob(one), Nat().to_blob(two)
    assert Nat().from_blob(blobs[0]) == one
    assert (one < two) == (blobs[0] < blobs[1])


@given(integers, integers)
@example(-1, 0)
@example(-121, -120)
def test_int_keeps_order(one, two):
    blobs = Int().to_blob(one), Int().to_blob(two)
    assert Int().from_blob(blobs[0]) == one
    assert (one < two) == (blobs[0] < blobs[1])


@pytest.mark.parametrize("codec", [Nat(), Int()])
@given(blob=st.binary(max_size=12) | st.binary(max_size=12).map(lambda rest: b"\xff\x09" + rest))
def test_what_is_read_was_written_so(codec, blob):
    with suppress(BlobifyError):
        assert codec.to_blob(codec.from_blob(blob)) == blob


@pytest.mark.parametrize(
    "blob",
    [
        b"", b"\x05\x05", b"\xf8", b"\xf8\x05", b"\xf9\x00\xff", b"\xff", b"\xff\x07" + b"\x01" * 7,
        b"\xff\x08" + bytes(8), b"\xff\x08" + b"\x01" * 9, b"\xff\xff" + b"\x01" * 20,
        b"\xff\xf8\x08" + b"\x01" * 8,
    ],
)  # fmt: skip
def test_other_bytes_are_refused(blob):
    with pytest.raises(BlobifyError, match="not what Nat writes"):
        Nat().from_blob(blob)
    with pytest.raises(BlobifyError, match="not what Int writes"):
        Int().from_blob(blob.translate(bytes(range(255, -1, -1))) if blob != b"\x05\x05" else blob)


@pytest.mark.parametrize("codec", [Nat(), Int()])
@pytest.mark.parametrize("value", [True, 1.0, "1", None, Small.ONE, b"\x01"])
def test_other_types_are_refused(codec, value):
    with pytest.raises(BlobifyError, match=f"stores int and nothing else, not {type(value).__name__}"):
        codec.to_blob(value)


@pytest.mark.parametrize("number", [-1, -(10**5000)], ids=["one", "too many digits to print"])
def test_nat_refuses_what_is_below_zero(number):
    with pytest.raises(BlobifyError, match="blobify='int'"):
        Nat().to_blob(number)


@pytest.mark.parametrize("number", [0, 247, 248, 2**56 - 1])
def test_up_to_56_bits_fit_a_pointer(number):
    assert len(Nat().to_blob(number)) <= 8
    assert len(Int().to_blob(number)) == len(Int().to_blob(-1 - number)) <= 8


def test_a_list_of_them_sorts_by_blob(tmp_path):
    numbers = [3, -70_000, 2**80, 0, -1, 119, 120, -(2**80)]
    with MemoryBuffer(tmp_path / "numbers.smem", blobify="int") as buffer:
        buffer.extend(numbers)
        buffer.sort(by_blob=True)
        assert buffer == sorted(numbers)
        assert 3.0 not in buffer
    with MemoryBuffer(tmp_path / "numbers.smem", "r") as buffer:
        assert buffer.blobify.name == "int"
        assert list(buffer) == sorted(numbers)
