"""The protocol of a Blobify, and the base class of the built-in ones."""

from typing import ClassVar, Protocol, Self, TypeVar

from stablemem.errors import BlobifyError
from stablemem.shown import shown

__all__ = ["Blobify", "BuiltIn"]

T = TypeVar("T")


class Blobify(Protocol[T]):
    """Turns values of one kind into blobs (their bytes in the file), and blobs into values.

    Your own Blobify needs these two methods and a name. It needs no base class.

    - ``name: str`` is its name in the file, such as ``"package.Class"``. Keep it when the class moves. The
      name of the module is never used, because it changes when its script is imported or run by a worker.
      Making a list with a Blobify that has no name raises BlobifyError.

    It may have another attribute, which the file records beside the name:

    - ``options: bytes`` is everything else that decides how a blob is decoded; the default is ``b""``.

    If the file is opened later with another name or other options, that is an error.

    One more attribute is not recorded:

    - ``order_preserving: bool`` is True if blobs compare as their values do: ``a < b`` exactly when
      ``to_blob(a) < to_blob(b)``. Then ``sort`` does not decode them.

    >>> class Hex:
    ...     name = "example.Hex"
    ...
    ...     def to_blob(self, value: str) -> bytes:
    ...         return bytes.fromhex(value)
    ...
    ...     def from_blob(self, blob: bytes) -> str:
    ...         return blob.hex()
    >>> Hex().from_blob(Hex().to_blob("c0ffee"))
    'c0ffee'
    """

    def to_blob(self, value: T, /) -> bytes | bytearray | memoryview:
        """Return the blob of ``value``, or raise BlobifyError if it cannot be stored.

        For ``in``, ``index``, ``count`` and ``remove``, BlobifyError means that the value is not in the list.
        Any other exception is a failure: they raise a BlobifyError with that exception as its cause.
        """
        ...

    def from_blob(self, blob: bytes, /) -> T:
        """Return the value that ``blob`` was made from, or raise BlobifyError."""
        ...


class BuiltIn:
    """Base class of the built-in Blobifys. The file names them, so they need not be passed on opening."""

    name: ClassVar[str]
    options: bytes = b""
    order_preserving: ClassVar[bool] = False

    @classmethod
    def from_options(cls, options: bytes) -> Self:
        """Return the instance that recorded ``options``. BlobifyError if the class has no such options."""
        if options:
            raise BlobifyError(
                f"the file records the options {shown(options)} for blobify {cls.name!r}, which has none: "
                f"open it with the newer version of stablemem that wrote it, or restore it from a copy if it "
                f"is damaged"
            )
        return cls()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
