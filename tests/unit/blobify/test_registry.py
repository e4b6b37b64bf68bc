import pytest

from stablemem.blobify import Bytes, Msgpack, Text
from stablemem.blobify.registry import describe, resolve
from stablemem.errors import BlobifyError


class Hex:
    name = "example.Hex"

    def to_blob(self, value):
        return bytes.fromhex(value)

    def from_blob(self, blob):
        return blob.hex()


class Nameless:
    def to_blob(self, value):
        return value

    def from_blob(self, blob):
        return blob


class Fixed:
    name = "example.Fixed"

    def __init__(self, width):
        self.options = width.to_bytes(1, "little")

    def to_blob(self, value):
        return value

    def from_blob(self, blob):
        return blob


def refusal(choice, recorded):
    with pytest.raises(BlobifyError) as caught:
        resolve(choice, recorded)
    assert caught.value.index is None
    return str(caught.value)


class TestDescribe:
    def test_name_and_options(self):
        assert describe(Fixed(3)) == ("example.Fixed", b"\x03")

    def test_without_a_name(self):
        with pytest.raises(BlobifyError) as caught:
            describe(Nameless())
        assert str(caught.value) == (
            "Nameless has no name, and the file needs one to recognise it: add a line to the class, such as "
            'name = "my.Nameless", and keep it when the class moves'
        )

    def test_a_name_of_the_instance(self):
        named = Nameless()
        named.name = "example.Named"
        assert describe(named) == ("example.Named", b"")

    @pytest.mark.parametrize("name", ["", 5, b"x", "x" * 65536, "\udcff"])
    def test_a_bad_name(self, name):
        """One that the catalog has no room for would only fail at the commit."""
        with pytest.raises(
            TypeError, match=r"is a str of 1 to 65535 bytes in UTF-8; Bad has .*: call it something like"
        ) as caught:
            describe(type("Bad", (Nameless,), {"name": name})())
        assert len(str(caught.value)) < 200

    def test_bad_options(self):
        with pytest.raises(TypeError, match=r"the options of a Blobify are bytes; Bad has 'x'"):
            describe(type("Bad", (Hex,), {"options": "x"})())

    def test_a_name_of_a_built_in(self):
        with pytest.raises(
            TypeError, match="'text' belongs to a built-in Blobify: give Loud a name of its own"
        ):
            describe(type("Loud", (Text,), {})())
        assert describe(type("Loud", (Text,), {"name": "example.Loud"})()) == ("example.Loud", b"")


class TestNewList:
    def test_default(self):
        assert type(resolve(None, None)) is Msgpack

    @pytest.mark.parametrize(("name", "kind"), [("bytes", Bytes), ("text", Text), ("msgpack", Msgpack)])
    def test_names_classes_and_instances(self, name, kind):
        assert type(resolve(name, None)) is kind
        assert type(resolve(kind, None)) is kind
        instance = kind()
        assert resolve(instance, None) is instance

    def test_ones_own(self):
        instance = Hex()
        assert resolve(instance, None) is instance
        assert type(resolve(Hex, None)) is Hex

    @pytest.mark.parametrize("choice", [Nameless, Nameless()])
    def test_without_a_name(self, choice):
        assert 'add a line to the class, such as name = "my.Nameless"' in refusal(choice, None)

    def test_an_unknown_name(self):
        message = refusal("yaml", None)
        assert "no built-in Blobify is called 'yaml': there are bytes, int, msgpack, nat, text" in message
        assert "pass an object with to_blob and from_blob" in message


class TestRecorded:
    @pytest.mark.parametrize(("name", "kind"), [("bytes", Bytes), ("text", Text), ("msgpack", Msgpack)])
    def test_a_built_in_is_found_again(self, name, kind):
        assert type(resolve(None, (name, b""))) is kind
        assert type(resolve(name, (name, b""))) is kind
        assert type(resolve(kind, (name, b""))) is kind

    def test_ones_own_must_be_passed(self):
        message = refusal(None, ("example.Hex", b""))
        assert "written with blobify 'example.Hex', which is not built in" in message
        assert "pass blobify=" in message
        instance = Hex()
        assert resolve(instance, ("example.Hex", b"")) is instance

    @pytest.mark.parametrize("choice", ["bytes", Bytes, Bytes()])
    def test_another_name(self, choice):
        message = refusal(choice, ("text", b""))
        assert message == (
            "the file was written with blobify 'text', not 'bytes': "
            "leave blobify= out, or pass the one it was written with"
        )

    def test_another_name_of_ones_own(self):
        assert refusal("bytes", ("example.Hex", b"")) == (
            "the file was written with blobify 'example.Hex', not 'bytes': pass the one it was written with"
        )

    @pytest.mark.parametrize("choice", [Nameless, Nameless()])
    def test_without_a_name(self, choice):
        """A file from the time when the name of the module was taken: the message says the way out."""
        written = "__main__.Nameless"
        assert refusal(choice, (written, b"")) == (
            "the file was written with blobify '__main__.Nameless', and Nameless has no name: pass the one "
            "it was written with; if Nameless is that one, give the class the line name = '__main__.Nameless'"
        )
        mended = type("Nameless", (Nameless,), {"name": written})()
        assert resolve(mended, (written, b"")) is mended
        assert "leave blobify= out, or pass the one it was" in refusal(choice, ("text", b""))

    def test_the_same_class_under_another_name(self):
        message = refusal(Hex(), ("__main__.Hex", b""))
        assert (
            "'__main__.Hex', not 'example.Hex': pass the one it was written with; if Hex is that" in message
        )
        assert message.endswith("give the class the line name = '__main__.Hex'")

    def test_other_options(self):
        message = refusal(Fixed(3), ("example.Fixed", b"\x04"))
        assert r"'example.Fixed' with the options b'\x04', not b'\x03': pass the one" in message
        assert resolve(Fixed(4), ("example.Fixed", b"\x04")).options == b"\x04"

    @pytest.mark.parametrize("choice", [None, "text"])
    def test_options_that_the_built_in_does_not_have(self, choice):
        message = refusal(choice, ("text", b"x"))
        assert "the options b'x' for blobify 'text', which has none" in message
        assert "newer version" in message

    def test_options_against_an_instance(self):
        assert "'text' with the options b'x', not b''" in refusal(Text(), ("text", b"x"))

    def test_an_unknown_name_is_named_first(self):
        assert "no built-in Blobify is called 'yaml'" in refusal("yaml", ("text", b""))


class TestNoBlobify:
    @pytest.mark.parametrize("choice", [5, b"text", object(), dict, ["text"]])
    def test_without_the_methods(self, choice):
        with pytest.raises(TypeError) as caught:
            resolve(choice, None)
        kind = choice if isinstance(choice, type) else type(choice)
        assert f"bytes, int, msgpack, nat, text; {kind.__name__} has no to_blob" in str(caught.value)

    def test_with_one_method(self):
        half = type("Half", (), {"to_blob": lambda self, value: value})
        with pytest.raises(TypeError, match="Half has no from_blob"):
            resolve(half(), None)

    def test_a_class_that_needs_arguments(self):
        with pytest.raises(TypeError, match="Fixed cannot be made without arguments: pass an instance"):
            resolve(Fixed, None)
