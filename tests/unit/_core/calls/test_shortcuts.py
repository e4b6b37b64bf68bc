"""Whatever a shortcut says, the Blobify says too; and it knows what it is there for."""

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stablemem import COMPILED, MemoryBuffer
from stablemem._core.calls.shortcuts import FORMS, blob_of, form_of, value_of_blob
from stablemem.blobify import Bytes, Int, Msgpack, Nat, Text
from stablemem.blobify.registry import BUILT_INS
from stablemem.errors import BlobifyError

CODECS = [Bytes(), Text(), Nat(), Int(), Msgpack()]
EDGES = sorted(
    {
        sign * (1 << power) + near
        for power in (0, 3, 5, 7, 8, 15, 16, 31, 32, 48, 55, 56, 62, 63, 64)
        for near in (-249, -248, -121, -120, -33, -32, -1, 0, 1, 119, 120, 247, 248)
        for sign in (1, -1)
    }
)
integers = st.integers(-(2**64) - 1, 2**64 + 1) | st.sampled_from(EDGES)
values = (
    integers
    | st.text(max_size=40)
    | st.text("ab", min_size=250, max_size=260)
    | st.floats()
    | st.booleans()
    | st.none()
    | st.binary(max_size=12)
    | st.lists(st.integers(0, 3), max_size=3)
)
near_msgpack = st.builds(
    lambda first, rest: bytes((first,)) + rest, st.integers(0x80, 0xFF), st.binary(max_size=10)
)
near_long = st.builds(
    lambda turn, rest: bytes(byte ^ turn for byte in b"\xff\x08" + rest),
    st.sampled_from([0, 0xFF]),
    st.binary(min_size=7, max_size=9) | st.binary(min_size=7, max_size=7).map(lambda rest: b"\x00" + rest),
)
blobs = (
    st.binary(max_size=12)
    | near_long
    | near_msgpack
    | st.builds(lambda text: b"\xd9" + bytes((len(text),)) + text, st.binary(max_size=40))
)


def same(one, two):
    """Return whether two values are one, NaN and the sign of zero included."""
    if type(one) is float and type(two) is float:
        return struct.pack("<d", one) == struct.pack("<d", two)
    return type(one) is type(two) and one == two


def test_every_built_in_has_a_form():
    assert sorted(FORMS) == sorted(BUILT_INS)
    assert len(set(FORMS.values())) == len(FORMS)
    assert 0 not in FORMS.values()


def test_a_form_is_taken_where_it_saves_something():
    taken = {codec.name for codec in CODECS if form_of(codec)}
    assert taken == (set(FORMS) if COMPILED else {"bytes"})
    assert form_of(object()) == 0


@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_a_blob_is_the_codecs(codec):
    known = 0

    @settings(max_examples=500)
    @given(value=values)
    @example(value=-0.0)
    @example(value="\ud800")
    @example(value="x" * 31)
    @example(value="x" * 32)
    @example(value="x" * 255)
    @example(value="x" * 256)
    def compare(value):
        nonlocal known
        found = blob_of(FORMS[codec.name], value)
        if found is not None:
            known += 1
            assert type(found) is bytes
            assert found == codec.to_blob(value)

    compare()
    # Bytes are what they are: to write them takes no shortcut.
    assert known >= 20 if codec.name != "bytes" else known == 0


KNOWN_INTEGERS = {
    "bytes": range(0), "text": range(0), "nat": range(2**63), "int": range(-(2**63), 2**63),
    "msgpack": range(-(2**63), 2**63),
}  # fmt: skip


@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_every_edge_is_the_codecs(codec):
    for number in EDGES:
        found = blob_of(FORMS[codec.name], number)
        assert (found is not None) == (number in KNOWN_INTEGERS[codec.name]), number
        if found is not None:
            assert found == codec.to_blob(number)
            assert same(value_of_blob(FORMS[codec.name], found), number)


@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_a_value_is_the_codecs(codec):
    known = 0

    @settings(max_examples=500)
    @given(blob=blobs)
    @example(blob=b"")
    @example(blob=b"\xd3\x80" + bytes(7))
    @example(blob=b"\xcf" + b"\xff" * 8)
    @example(blob=b"\xa1\xff")
    @example(blob=b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x01")
    def compare(blob):
        nonlocal known
        found = value_of_blob(FORMS[codec.name], blob)
        if found is not NotImplemented:
            known += 1
            assert same(found, codec.from_blob(blob))

    compare()
    # Bytes are what they are: to read them takes no shortcut.
    assert known >= 20 if codec.name != "bytes" else known == 0


@pytest.mark.parametrize(
    ("codec", "known"),
    [
        (Nat(), [0, 247, 248, 2**56 - 1, 2**56, 2**63 - 1]),
        (Int(), [0, -1, 119, 120, -121, 2**56 - 1, -(2**56), 2**63 - 1, -(2**63)]),
        (Msgpack(), [0, 127, 128, -32, -33, 2**63 - 1, -(2**63), 0.5, "", "text", "x" * 255]),
        (Text(), ["", "text", "x" * 1000]),
    ],
    ids=repr,
)
def test_what_is_small_is_known(codec, known):
    form = FORMS[codec.name]
    for value in known:
        blob = codec.to_blob(value)
        assert blob_of(form, value) == blob
        assert same(value_of_blob(form, blob), value)


@pytest.mark.parametrize(("blob", "value"), [(b"\xc0", None), (b"\xc2", False), (b"\xc3", True)])
def test_one_byte_of_msgpack_is_known(blob, value):
    assert value_of_blob(FORMS["msgpack"], blob) is value


def test_text_beyond_ascii_is_read_and_left_to_the_codec_to_write():
    form = FORMS["text"]
    assert blob_of(form, "z\u00fcrich") is None
    assert value_of_blob(form, "z\u00fcrich".encode()) == "z\u00fcrich"
    assert value_of_blob(form, b"\xff") is NotImplemented


@pytest.mark.parametrize("codec", ["nat", "int", "msgpack", "text"])
def test_what_a_list_refuses_is_told_by_the_codec(codec):
    with MemoryBuffer(blobify=codec) as buffer:
        refused = object() if codec != "nat" else -1
        for change in (
            buffer.append,
            lambda value: buffer.insert(0, value),
            lambda value: buffer.extend([value]),
        ):
            with pytest.raises(BlobifyError):
                change(refused)
        assert len(buffer) == 0


@pytest.mark.parametrize(
    ("codec", "given"),
    [
        ("nat", [5, 2**56, 300]),
        ("int", [-5, -(2**70), 300]),
        (
            "msgpack",
            [1, {"a": [1]}, "long enough for a block", "z\u00fcrich", 2.5, None, True, -70_000, 2**64 - 1],
        ),
        ("text", ["", "z\u00fcrich", "long enough for a block of its own"]),
    ],
)
def test_a_list_gives_back_what_it_was_given(codec, given):
    with MemoryBuffer.from_iterable(given, blobify=codec) as buffer:
        assert all(same(one, two) for one, two in zip(buffer, given, strict=True))
        assert [buffer[place] for place in range(len(given))] == given
        assert buffer[:] == buffer.get_many(range(len(given))) == given
        assert [buffer.get(place) for place in range(len(given))] == given
        for place in (1, 0, -1):
            expected = given.pop(place)
            assert same(buffer.pop(place), expected)
            assert buffer == given
