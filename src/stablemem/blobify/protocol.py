"""The protocol of a Blobify, and the base class of the built-in ones."""

from typing import ClassVar, Protocol, Self, TypeVar

from stablemem.errors import BlobifyError
from stablemem.shown import shown

__all__ = ["BlobStore", "Blobify", "BuiltIn"]

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

    It may have one more method, if it keeps something for a list that its blobs are decoded with, such as a
    dictionary for compression or a schema:

    - ``bind(store: BlobStore) -> Blobify`` is called when a list is opened, with the store of this list. It
      returns the Blobify to use for this list, with the same name and options. Let it return a new object
      that knows the store, because one Blobify may serve many lists. ``b.blobify`` is the returned one.

    After a refresh of a reader, ``bind`` is called again only if the list turns out to have another Blobify
    than it seemed. So load the content each time you need it. If ``bind`` raises, the list is not opened. If
    the list is new, it stays in the region, empty.

    >>> import zlib
    >>> from stablemem import MemoryBuffer
    >>> class Zip:
    ...     name = "example.Zip"
    ...
    ...     def __init__(self, store=None):
    ...         self.store = store
    ...
    ...     def bind(self, store):
    ...         return Zip(store)
    ...
    ...     def learn(self, sample: bytes) -> None:
    ...         if self.store.load():
    ...             raise ValueError("values are compressed with another sample already")
    ...         self.store.save(sample)
    ...
    ...     def to_blob(self, value: bytes) -> bytes:
    ...         packer = zlib.compressobj(zdict=self.store.load())
    ...         return packer.compress(value) + packer.flush()
    ...
    ...     def from_blob(self, blob: bytes) -> bytes:
    ...         return zlib.decompressobj(zdict=self.store.load()).decompress(blob)
    >>> value = b'{"user": "Ada", "action": "login", "from": "10.0.0.1"}'
    >>> with MemoryBuffer("zipped.smem", "x", blobify=Zip) as b:
    ...     b.append(value)
    ...     b.blobify.learn(b'{"user": "", "action": "login", "from": "10.0.0."}')
    ...     b.append(value)
    >>> with MemoryBuffer("zipped.smem", "r", blobify=Zip) as b:
    ...     b[:] == [value, value], b.sizes().blob_bytes < 1.5 * len(value)
    (True, True)
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


class BlobStore(Protocol):
    """Some bytes that a Blobify keeps beside the values of one list. ``bind`` of a Blobify gets one.

    They are committed and rolled back with the values, and a snapshot has those of its commit. ``drop`` of
    the list deletes them. ``copy`` of the list copies them.
    """

    def load(self) -> bytes:
        """Return what was saved last; ``b""`` if nothing was.

        While the content stays the same, this is fast, and returns the same object. After a rollback or a
        refresh it returns what the list then has.

        Raises:
            CorruptRegionError: the content in the file is damaged.
        """
        ...

    def save(self, content: bytes | bytearray | memoryview, /) -> None:
        """Replace the content. ``b""`` deletes it.

        This is one change like ``append``: it becomes part of the file with the next commit, and is undone
        with its transaction block. ``to_blob`` may call it, and then it is a change of its own, before the
        change that stores the value. With ``autocommit`` it may so be committed alone. If the value is not
        stored in the end, the content stays. ``to_blob`` is called for ``in`` and ``index`` too, also by
        readers.

        Raises:
            ReadOnlyError: the list is open for reading only.
        """
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
