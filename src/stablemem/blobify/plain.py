"""Bytes and Text: values whose blob is the value itself, or the value in UTF-8."""

from stablemem.blobify.protocol import Blobify, BuiltIn
from stablemem.errors import BlobifyError

__all__ = ["Bytes", "Text"]


class Bytes(BuiltIn, Blobify[bytes]):
    """Bytes, stored as they are.

    A ``bytearray`` or a C-contiguous ``memoryview`` is copied, and comes back as ``bytes``. Any other type
    raises BlobifyError.

    >>> Bytes().to_blob(bytearray(b"abc"))
    b'abc'
    """

    name = "bytes"
    order_preserving = True

    def to_blob(self, value: bytes | bytearray | memoryview, /) -> bytes:
        """Return ``value`` as immutable bytes."""
        kind = type(value)
        if kind is bytes:
            return value  # type: ignore[return-value]
        if kind is bytearray:
            return bytes(value)
        if kind is memoryview:
            return _bytes_of_view(value)  # type: ignore[arg-type]
        if isinstance(value, str):
            raise BlobifyError(
                "Bytes cannot store a str: encode it first, as in value.encode(), or make the list with "
                "blobify='text'"
            )
        raise BlobifyError(
            f"Bytes stores bytes, bytearray and memoryview, not {kind.__qualname__}: "
            f"convert it to bytes first, or make the list with another blobify="
        )

    def from_blob(self, blob: bytes, /) -> bytes:
        """Return ``blob`` itself."""
        return blob


def _bytes_of_view(view: memoryview) -> bytes:
    try:
        contiguous = view.c_contiguous
    except ValueError as error:
        raise BlobifyError("Bytes cannot store a released memoryview: store it before release()") from error
    if not contiguous:
        raise BlobifyError(
            "Bytes cannot store a memoryview that is not C-contiguous: pass view.tobytes(), "
            "which copies the items in order"
        )
    return view.tobytes()


class Text(BuiltIn, Blobify[str]):
    r"""Text, stored as UTF-8.

    O(length). A str with a lone surrogate raises BlobifyError, because UTF-8 cannot encode it. So does any
    other type, subclasses of ``str`` included, because they would come back as ``str``.

    >>> Text().to_blob("z\u00fcrich")
    b'z\xc3\xbcrich'
    """

    name = "text"
    order_preserving = True  # UTF-8 sorts by code point, as str does

    def to_blob(self, value: str, /) -> bytes:
        """Return ``value`` in UTF-8."""
        if type(value) is not str:
            kind = type(value).__qualname__
            if isinstance(value, str):
                raise BlobifyError(
                    f"Text would give back {kind}, a subclass of str, as str: convert it to str first"
                )
            raise BlobifyError(
                f"Text stores str, not {kind}: convert it to str first, or make the list with another "
                f"blobify="
            )
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise BlobifyError(
                f"Text cannot store a str with the lone surrogate {value[error.start]!a} at position "
                f"{error.start}: replace it, or encode with errors='surrogateescape' and store Bytes"
            ) from error

    def from_blob(self, blob: bytes, /) -> str:
        """Return the text in ``blob``. BlobifyError if it is not UTF-8."""
        try:
            return str(blob, "utf-8")
        except UnicodeDecodeError as error:
            raise BlobifyError(
                f"the blob is not UTF-8 (byte {blob[error.start]:#04x} at position {error.start}): "
                f"it was not written by Text, or it is damaged; `stablemem get --raw` shows its bytes"
            ) from error
