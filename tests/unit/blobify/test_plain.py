import array
import enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stablemem.blobify import Bytes, Text
from stablemem.blobify.registry import describe
from stablemem.errors import BlobifyError


class TestBytes:
    @given(st.binary())
    def test_round_trip(self, value):
        codec = Bytes()
        assert codec.from_blob(codec.to_blob(value)) == value

    def test_bytes_are_not_copied(self):
        value = b"some bytes"
        assert Bytes().to_blob(value) is value
        assert Bytes().from_blob(value) is value

    @pytest.mark.parametrize(
        "value",
        [bytearray(b"abc"), memoryview(b"abc"), memoryview(bytearray(b"xabcx"))[1:4]],
        ids=["bytearray", "view", "part of a view"],
    )
    def test_others_become_bytes(self, value):
        blob = Bytes().to_blob(value)
        assert type(blob) is bytes
        assert blob == b"abc"

    def test_a_blob_does_not_follow_its_source(self):
        source = bytearray(b"abc")
        blobs = [Bytes().to_blob(source), Bytes().to_blob(memoryview(source))]
        source[0] = 0
        assert blobs == [b"abc", b"abc"]

    def test_a_typed_view_gives_its_memory(self):
        numbers = array.array("i", [1, -1])
        assert Bytes().to_blob(memoryview(numbers)) == numbers.tobytes()

    def test_str_is_refused(self):
        with pytest.raises(BlobifyError) as caught:
            Bytes().to_blob("abc")
        assert "cannot store a str: encode it first" in str(caught.value)
        assert "blobify='text'" in str(caught.value)
        assert caught.value.index is None

    @pytest.mark.parametrize(
        "value", [None, 5, [1, 2], type("Key", (bytes,), {})(b"abc"), array.array("b", [1])]
    )
    def test_anything_else_is_refused(self, value):
        with pytest.raises(BlobifyError, match="stores bytes, bytearray and memoryview, not ") as caught:
            Bytes().to_blob(value)
        assert f"not {type(value).__name__}: convert it to bytes first" in str(caught.value)

    def test_a_strided_view_is_refused(self):
        with pytest.raises(BlobifyError, match=r"not C-contiguous: pass view\.tobytes\(\)"):
            Bytes().to_blob(memoryview(b"abcdef")[::2])

    def test_a_released_view_is_refused(self):
        view = memoryview(b"abc")
        view.release()
        with pytest.raises(BlobifyError, match="released memoryview: store it before"):
            Bytes().to_blob(view)

    def test_name(self):
        assert describe(Bytes()) == ("bytes", b"")


class TestText:
    @given(st.text())
    def test_round_trip(self, value):
        codec = Text()
        blob = codec.to_blob(value)
        assert blob == value.encode("utf-8")
        assert codec.from_blob(blob) == value

    @given(st.text(alphabet=st.characters(categories=["Cs"]), min_size=1))
    def test_surrogates_are_refused(self, value):
        with pytest.raises(BlobifyError, match="lone surrogate"):
            Text().to_blob(value)

    def test_the_message_says_which_surrogate(self):
        with pytest.raises(BlobifyError) as caught:
            Text().to_blob("ab\udc80")
        assert r"lone surrogate '\udc80' at position 2" in str(caught.value)
        assert "surrogateescape" in str(caught.value)
        assert str(caught.value).isascii()

    @pytest.mark.parametrize("value", [None, 5, b"abc", ["a"]])
    def test_anything_else_is_refused(self, value):
        with pytest.raises(BlobifyError) as caught:
            Text().to_blob(value)
        assert f"Text stores str, not {type(value).__name__}: convert it to str first" in str(caught.value)

    def test_subclasses_are_refused(self):
        class Colour(enum.StrEnum):
            RED = "red"

        with pytest.raises(BlobifyError, match="Colour, a subclass of str, as str: convert it to str first"):
            Text().to_blob(Colour.RED)

    @pytest.mark.parametrize(
        ("blob", "where"),
        [
            (b"ab\xff", "byte 0xff at position 2"),
            (b"\xed\xb2\x80", "byte 0xed at position 0"),
            (b"a\xc3", "byte 0xc3 at position 1"),
            (b"\xc0\x80", "byte 0xc0 at position 0"),
        ],
        ids=["no lead byte", "surrogate", "cut short", "overlong"],
    )
    def test_bad_utf8_is_refused(self, blob, where):
        with pytest.raises(BlobifyError) as caught:
            Text().from_blob(blob)
        assert f"the blob is not UTF-8 ({where}): " in str(caught.value)
        assert "`stablemem get --raw` shows its bytes" in str(caught.value)

    def test_name(self):
        assert describe(Text()) == ("text", b"")
