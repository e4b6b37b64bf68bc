"""The judge and the codecs, written apart from the same page, agree on which blobs are values."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from judge.values import value_fault
from stablemem.blobify import Int, Msgpack, Nat, Text
from stablemem.errors import BlobifyError

CODECS = [Nat(), Int(), Text(), Msgpack()]
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=20,
)
VALUES = {"nat": st.integers(0), "int": st.integers(), "text": st.text(), "msgpack": plain}
firsts = st.sampled_from(
    [b"\xff\x08", b"\xff\x09", b"\x00\xf7", b"\xf8", b"\x07", b"\xfe", b"\xd9\x04", b"\x92", b"\xdc\x00"]
)
blobs = st.binary(max_size=12) | st.builds(bytes.__add__, firsts, st.binary(max_size=12))


@pytest.mark.parametrize("codec", CODECS, ids=repr)
@settings(max_examples=300)
@given(data=st.data())
def test_what_a_codec_writes_is_right(codec, data):
    blob = codec.to_blob(data.draw(VALUES[codec.name]))
    assert value_fault(codec.name, blob) == ""
    assert value_fault(codec.name, blob + b"\xff")


@pytest.mark.parametrize("codec", CODECS, ids=repr)
@settings(max_examples=500)
@given(blob=blobs)
@example(blob=b"")
@example(blob=b"\xff\x08" + bytes(8))
@example(blob=b"\xc1")
def test_what_is_wrong_is_wrong_for_both(codec, blob):
    try:
        codec.from_blob(blob)
    except BlobifyError:
        # A dict as the key of a dict is MessagePack, but no value of Python.
        if "must be hashable" not in _told(codec, blob):
            assert value_fault(codec.name, blob)
    else:
        assert value_fault(codec.name, blob) == ""


def _told(codec, blob):
    with pytest.raises(BlobifyError) as caught:
        codec.from_blob(blob)
    return str(caught.value)
