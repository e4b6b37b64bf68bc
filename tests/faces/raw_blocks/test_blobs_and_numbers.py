"""Raw blocks that hold a blob or one number."""

import math
import struct

import pytest

from stablemem import BlockError
from support.raw import blocks, state


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("size", [1, 4, 5, 6, 100, 100_000])
def test_replace_blob(heap, committed, size):
    a, fence = heap.add_blob(b"hello"), heap.add_blob(b"fence")
    if committed:
        heap.commit()
    b = heap.replace_blob(a, 5, b"n" * size)
    assert (b == a) == (size <= 5)
    assert heap.load(b, size) == b"n" * size
    assert heap.load(fence, 5) == b"fence"
    assert heap.allocated_bytes == size + 5
    assert heap.remove_blob(b, size) == b"n" * size
    assert heap.allocated_blocks() == [(fence, 5)]


def test_remove_blob_gives_what_was_stored_last(heap):
    a = heap.add_blob(b"first.")
    heap.commit()
    heap.store(a + 1, b"IR")
    heap.commit()
    heap.store(a + 2, b"xx")
    assert heap.remove_blob(a, 6) == b"fIxxt."
    assert not heap.is_allocated(a, 1)
    heap.rollback()
    assert heap.load(a, 6) == b"fIRst."


INTEGERS = [
    (f"{sign}{bits}", alias + str(bits), bits // 8, low, high)
    for bits in (8, 16, 32, 64)
    for sign, alias, low, high in (
        ("u", "nat", 0, (1 << bits) - 1),
        ("i", "int", -1 << bits - 1, (1 << bits - 1) - 1),
    )
]


@pytest.mark.parametrize(("kind", "alias", "size", "low", "high"), INTEGERS)
def test_integers(heap, kind, alias, size, low, high):
    for value in (low, high, 0, 1, high - 1, low + 1, 0x55):
        a = heap.add_as(kind, value)
        assert heap.load(a, size) == value.to_bytes(size, "little", signed=kind[0] == "i")
        assert heap.load_as(kind, a) == heap.load_as(alias, a) == value
        heap.store_as(alias, a, high)
        assert heap.load_as(kind, a) == high
        assert heap.remove_as(alias, a) == high
        assert not heap.is_allocated(a, size)


@pytest.mark.parametrize("kind", [kind for row in INTEGERS for kind in row[:2]])
def test_integers_out_of_range(lived_in, kind):
    low, high = next(row[3:] for row in INTEGERS if kind in row[:2])
    a = blocks(lived_in)[0]
    before = state(lived_in)
    for value in (low - 1, high + 1, 2**64, -(2**63) - 1, 10**100):
        for call in (lambda v=value: lived_in.add_as(kind, v), lambda v=value: lived_in.store_as(kind, a, v)):
            with pytest.raises(OverflowError, match=rf"{kind} holds {low} to {high}, not {value}"):
                call()
    for value in (1.0, 1.5, "1", None, b"1"):
        for call in (lambda v=value: lived_in.add_as(kind, v), lambda v=value: lived_in.store_as(kind, a, v)):
            with pytest.raises(TypeError, match=f"{kind} holds"):
                call()
    assert state(lived_in) == before


@pytest.mark.parametrize("kind", ["f64", "float"])
def test_floats(lived_in, kind):
    heap = lived_in
    for value in (0.0, -0.0, 1.5, math.inf, -math.inf, math.pi, 5e-324, 1.7976931348623157e308, 3):
        a = heap.add_as(kind, value)
        assert heap.load(a, 8) == struct.pack("<d", value)
        assert math.copysign(1, heap.load_as(kind, a)) == math.copysign(1, value)
        assert heap.remove_as(kind, a) == value
    a = heap.add_as(kind, math.nan)
    assert math.isnan(heap.load_as(kind, a))
    before = state(heap)
    for value, error in (("1", TypeError), (None, TypeError), (1j, TypeError), (10**400, OverflowError)):
        with pytest.raises(error, match=kind):
            heap.store_as(kind, a, value)
        with pytest.raises(error, match=kind):
            heap.add_as(kind, value)
    assert state(heap) == before


@pytest.mark.parametrize("kind", ["u8", "i64", "f64"])
def test_a_number_of_5000_digits(heap, kind):
    with pytest.raises(OverflowError):
        heap.add_as(kind, 10**5000)


def test_what_is_said_of_a_float_that_is_too_large(heap):
    with pytest.raises(OverflowError) as caught:
        heap.add_as("f64", 10**400)
    assert "9223372036854775807" not in str(caught.value)


def test_an_index_out_of_range(heap):
    class Many:
        def __index__(self):
            return 300

    with pytest.raises(OverflowError):
        heap.add_as("u8", Many())


@pytest.mark.parametrize("kind", ["u9", "U8", "", "<Q", None, 8, [], b"u8"], ids=repr)
def test_kinds_that_are_none(lived_in, kind):
    a = blocks(lived_in)[0]
    before = state(lived_in)
    for call in (
        lambda: lived_in.load_as(kind, a),
        lambda: lived_in.store_as(kind, a, 1),
        lambda: lived_in.add_as(kind, 1),
        lambda: lived_in.remove_as(kind, a),
    ):
        with pytest.raises(ValueError, match=r"the kind of a number is one of u8, u16, .*f64, not"):
            call()
    assert state(lived_in) == before


def test_numbers_that_are_cut(lived_in):
    """The last bytes of a block hold no number that is longer."""
    last = blocks(lived_in)[2]
    lived_in.deallocate(last + 50, 50)
    before = state(lived_in)
    for kind, size in (("u16", 2), ("i32", 4), ("f64", 8)):
        at = last + 50 - size + 1
        for call in (
            lambda kind=kind, at=at: lived_in.store_as(kind, at, 1),
            lambda kind=kind, at=at: lived_in.remove_as(kind, at),
        ):
            with pytest.raises(BlockError):
                call()
        lived_in.load_as(kind, at - 1)
    assert state(lived_in) == before
