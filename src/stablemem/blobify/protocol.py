"""The protocol of a Blobify, and the base of those built in."""

from typing import ClassVar, Protocol, Self, TypeVar

from stablemem.errors import BlobifyError
from stablemem.shown import shown

__all__ = ["Blobify", "BuiltIn"]

T = TypeVar("T")


class Blobify(Protocol[T]):
    """Turns values of one kind into blobs (their bytes in the file), and blobs into values.

    A Blobify of one's own needs these two methods, a name, and no base class:

    - ``name: str`` is what the file calls it, such as ``"package.Class"``. Keep it when the class moves:
      the name of a module is another one when its script is imported, or run by a worker, and so is
      never taken. Without a name, making a list with it is a BlobifyError.

    Another attribute may be added, and is recorded in the file as the name is:

    - ``options: bytes`` is what else decides how a blob reads; without it that is ``b""``.

    A file opened later under another name or other options is refused.

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
        """Return the value that ``blob`` was made of, or raise BlobifyError."""
        ...


class BuiltIn:
    """Base of the Blobifys that a file names and that are found again without being passed."""

    name: ClassVar[str]
    options: bytes = b""
    order_preserving: ClassVar[bool] = False

    @classmethod
    def from_options(cls, options: bytes) -> Self:
        """Return the instance that recorded ``options``; BlobifyError where they say nothing to it."""
        if options:
            raise BlobifyError(
                f"the file records the options {shown(options)} for blobify {cls.name!r}, which has none: "
                f"open it with the newer version of stablemem that wrote it, or restore it from a copy if it "
                f"is damaged"
            )
        return cls()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
