# cython: annotation_typing=False
"""Codec: turns the values of one list into blobs, and blobs into values.

    a value                 encode             its blob, or a refusal
    an entry of the index   known              its value, if that needs no code of the Blobify
    a blob                  decode             its value

Every value of a list passes through here. So this is the place for a cache of decoded values: ``known`` would
look into it, and ``decode`` would fill it. Its key would be the address of the blob, as long as the blob is
not freed: a committed blob never changes.

A value is encoded before anything is changed, and decoded after the latch is left; only ``known`` may be
called inside the latch. So no code and no exception of a Blobify ever meets a structure that is half changed.
"""

from collections.abc import Iterable
from typing import Any

from ...errors import BlobifyError, StableMemoryError
from ...layout import MAX_BLOB
from ...shown import shown, shown_error, shown_text
from .shortcuts import blob_of, form_of, value_of_blob

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from .shortcuts import BYTES

__all__ = ["Codec"]

PASSED = (StableMemoryError, MemoryError, RecursionError, TimeoutError)
"""Exceptions that are not failures of the Blobify that raises them. They pass unchanged, as do exceptions
that are not an Exception."""

SOUGHT = -2
"""Used as the position of a value that is searched for; -1 is that of a value that was given alone."""

_FAILED = {
    "to_blob": "cannot store this value ({}): give the list a value that this Blobify takes, or mend to_blob",
    "in": "cannot encode the value that is searched for ({}): let to_blob raise BlobifyError for values that "
    "it cannot store, and such a value counts as not in the list",
    "from_blob": "cannot read this blob ({}): mend from_blob, or open the list with the Blobify that wrote "
    "it; `stablemem get --raw` shows the bytes",
}
"""Messages for a failure of a method of a Blobify, with advice."""


class Codec:
    """The Blobify of one list.

    Args:
        blobify: turns values into blobs and blobs into values.
        bound: whether it has a store for this list, which decides what its blobs mean.

    Attributes:
        blobify, bound: the same.
        form: the number of its form in shortcuts.py; 0 if it has no shortcuts.
        knows: whether ``known`` knows any values.
    """

    __slots__ = ("blobify", "bound", "form", "knows")

    def __init__(self, blobify: Any, bound: bool = False) -> None:
        self.blobify = blobify
        self.bound = bound
        self.form = form_of(blobify)
        self.knows = self.form > BYTES

    def is_ordered(self) -> bool:
        """Return whether blobs compare as their values do: then values are equal exactly if blobs are."""
        return getattr(self.blobify, "order_preserving", False) is True

    def means_the_same(self, other: "Codec") -> bool:
        """Return whether each blob of another codec stands for the same value here."""
        ours, theirs = self.blobify, other.blobify
        if ours is theirs:
            return True
        if self.bound or other.bound:
            return False
        names = [(getattr(each, "name", None), getattr(each, "options", b"")) for each in (ours, theirs)]
        return type(ours) is type(theirs) and names[0] == names[1]

    # -- writing -------------------------------------------------------------------------------------

    def encode(self, value: Any, position: int) -> bytes:
        """Return the blob of a value; ``position`` is its place among the given ones, -1 if it is alone."""
        if self.form == BYTES:
            if type(value) is bytes and not len(value) >> 32:
                return value
        elif self.form:
            known = blob_of(self.form, value)
            if known is not None:
                return known
        try:
            blob = self.blobify.to_blob(value)
            if type(blob) is not bytes:
                blob = self._as_bytes(blob)
            if len(blob) >> 32:
                raise BlobifyError(
                    f"a value of {len(blob)} bytes is too large: a blob has at most {MAX_BLOB} bytes; "
                    f"store it in pieces"
                )
        except BaseException as error:
            failure = self._failure(error, "to_blob", position)
            if failure is None:
                raise
            raise failure from error
        return blob

    def encode_all(self, values: Iterable[Any]) -> list[bytes]:
        """Return the blobs of values, in their order."""
        blobs = []
        for position, value in enumerate(values):
            blobs.append(self.encode(value, position))
        return blobs

    def sought(self, value: Any) -> bytes | None:
        """Return the blob of a value that is searched for; None if the Blobify refuses the value.

        A refused value cannot be in the list. A failure of the Blobify is raised, because it says nothing
        about the value.
        """
        try:
            blob = self.blobify.to_blob(value)
            return blob if type(blob) is bytes else self._as_bytes(blob)
        except BlobifyError:
            return None
        except BaseException as error:
            failure = self._failure(error, "to_blob", SOUGHT)
            if failure is None:
                raise
            raise failure from error

    def _as_bytes(self, blob: Any) -> bytes:
        """Return the blob from a Blobify, which is not of type bytes, as bytes."""
        try:
            return bytes(memoryview(blob))
        except (TypeError, ValueError, BufferError) as error:
            found = type(blob).__name__ if isinstance(error, TypeError) else f"what cannot be read ({error})"
            raise BlobifyError(
                f"{_kind(self.blobify)}.to_blob returned {found}, not bytes: "
                f"let it return bytes, a bytearray or a memoryview"
            ) from None

    # -- reading -------------------------------------------------------------------------------------

    def known(self, first: int, second: int) -> Any:
        """Return the value of an entry if that needs no code of a Blobify and no blob; else NotImplemented.

        The blob of a small value is in the entry itself, and is not made into an object.
        """
        if cython.compiled:
            if not self.knows or low32(second) > INLINE_SIZE:
                return NotImplemented
            return value_of(
                self.form,
                cython.cast(page_t, cython.address(first)),
                cython.cast(cython.Py_ssize_t, low32(second)),
            )
        else:
            return NotImplemented

    def known_blob(self, blob: bytes) -> Any:
        """Return the value of a blob if that needs no code of a Blobify; else NotImplemented."""
        if self.form <= BYTES:
            return blob if self.form else NotImplemented
        return value_of_blob(self.form, blob)

    def decode(self, blob: bytes, position: int) -> Any:
        """Return the value of a blob; ``position`` is -1 if it is not known."""
        if self.form == BYTES:
            return blob
        if self.knows:
            value = value_of_blob(self.form, blob)
            if value is not NotImplemented:
                return value
        try:
            return self.blobify.from_blob(blob)
        except BaseException as error:
            failure = self._failure(error, "from_blob", position)
            if failure is None:
                raise
            raise failure from error

    def decode_all(self, blobs: list[bytes], positions: Iterable[int]) -> list[Any]:
        """Return the values of blobs."""
        if self.form == BYTES:
            return blobs
        from_blob = self.blobify.from_blob
        values: list[Any] = []
        try:
            for blob in blobs:
                value = self.known_blob(blob)
                values.append(from_blob(blob) if value is NotImplemented else value)
        except BaseException as error:
            failure = self._failure(error, "from_blob", list(positions)[len(values)])
            if failure is None:
                raise
            raise failure from error
        return values

    # -- failing -------------------------------------------------------------------------------------

    def _failure(self, error: BaseException, method: str, position: int) -> BlobifyError | None:
        """Return the exception to raise instead of the one from the Blobify; None to raise that one.

        A BlobifyError gets the position of its value. Every other Exception is a failure of the Blobify, even
        a StopIteration, which would silently end a loop. Exceptions that are not its failure pass unchanged:
        our own errors, the end of memory or of the stack, a TimeoutError or KeyboardInterrupt from a signal
        handler.
        """
        if isinstance(error, BlobifyError):
            if error.index is None and position >= 0:
                error.index = position
            return None
        if not isinstance(error, Exception) or isinstance(error, PASSED):
            return None
        kind = _kind(self.blobify)
        name = getattr(self.blobify, "name", None)
        named = f" (blobify {shown(name)})" if name is not None else ""
        which = f"value {position}" if position >= 0 else "the value given"
        error.add_note(f"raised by {kind}.{method}{named} for {which}")
        said = _FAILED["in" if position == SOUGHT else method].format(shown_error(error))
        return BlobifyError(f"{kind} {said}", position if position >= 0 else None)


def _kind(blobify: Any) -> str:
    """Return the name of the class of a Blobify."""
    return shown_text(type(blobify).__qualname__)
