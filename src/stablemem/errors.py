"""The exceptions of stablemem, with one base class for all of them, and its warnings.

Where a built-in exception means the same, ours is also a subclass of it, so that code written for files and
lists keeps working. Damage is never a ``ValueError`` or ``IndexError``: a caller that expects these from a
list would hide it.
"""

import errno
import io
import os
from collections.abc import Callable
from typing import Any

from .shown import shown_path, shown_text

__all__ = [
    "BlobifyError",
    "BlockError",
    "CorruptRegionError",
    "NotARegionError",
    "ReadOnlyError",
    "RegionClosedError",
    "RegionFullError",
    "RegionLockedError",
    "RegionReplacedError",
    "StableMemoryError",
    "UncommittedChangesWarning",
    "VersionError",
]


class StableMemoryError(Exception):
    """The base class of all exceptions that stablemem defines."""


class NotARegionError(StableMemoryError):
    """The file is not a region: it is empty, or another program wrote it."""


class VersionError(StableMemoryError):
    """The region was written in a format that this version does not read."""


class CorruptRegionError(StableMemoryError):
    """The file is damaged: the bytes at an address are not the expected ones.

    Attributes:
        address: byte offset of the damage in the region.
        expected: a description of the bytes that should be there.
        found: a description of the bytes that are there.
    """

    def __init__(self, address: int, expected: object, found: object, path: str = "") -> None:
        self.address = address
        self.expected = expected
        self.found = found
        self.path = path
        super().__init__(address, expected, found, path)

    @property
    def fault(self) -> str:
        """The fault alone, without the file and the advice."""
        expected, found = shown_text(str(self.expected)), shown_text(str(self.found))
        return f"address {self.address}: expected {expected}, found {found}"

    def __str__(self) -> str:
        where = shown_path(self.path, "the region")
        return (
            f"{where} is damaged at {self.fault}. "
            f"Run `stablemem verify` on it to see how far the damage goes, and restore it from a copy"
        )


class BlobifyError(StableMemoryError):
    """A value cannot be stored, its bytes cannot be decoded, or the file needs another Blobify.

    Attributes:
        index: position of the value in the list or in the given iterable; None for a value given alone.
    """

    def __init__(self, message: str, index: int | None = None) -> None:
        self.message = message
        self.index = index
        super().__init__(message, index)

    def __str__(self) -> str:
        return self.message if self.index is None else f"value {self.index}: {self.message}"


class RegionFullError(StableMemoryError, OSError):
    """The disk is full, or ``max_size`` is reached. Nothing that was committed is lost."""

    def __init__(self, message: str, path: str | None = None) -> None:
        self.message = message
        OSError.__init__(self, errno.ENOSPC, message, path)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self), (self.message, self.filename)


class RegionLockedError(StableMemoryError, BlockingIOError):
    """Another handle has the region open for writing.

    Attributes:
        pid: the process of that handle, or None if it is not known.
    """

    def __init__(self, path: str, pid: int | None = None) -> None:
        self.pid = pid
        if pid == os.getpid():
            said = (
                f"in this process ({pid}) already: close() that handle first, or use it; to read only, open "
                f"it with mode='r'; for another list pass its region, as in MemoryBuffer(b.region, name=...)"
            )
        else:
            who = "another process" if pid is None else f"process {pid}"
            said = f"in {who}: open it with mode='r' to read meanwhile, or wait with timeout="
        OSError.__init__(self, errno.EAGAIN, f"{shown_path(path)} is open for writing {said}")
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self), (self.path, self.pid)


class RegionReplacedError(StableMemoryError):
    """The path leads to another file than a reader has opened, or to no file. The reader still works."""


class RegionClosedError(StableMemoryError, ValueError):
    """The handle is closed: by you, because the process forked, or because a sync failed."""


def never_opened(what: object) -> str:
    """Return the message about an object whose ``__init__`` has not run, or has failed."""
    return f"this {type(what).__name__} was never opened: let its class call super().__init__() first"


class ReadOnlyError(StableMemoryError, io.UnsupportedOperation):
    """The handle is for reading only: a snapshot, one opened with mode 'r', or one in a forked child."""


class BlockError(StableMemoryError, ValueError):
    """A block cannot be used: it was freed, overlaps free space, is not raw, or is outside the region."""


class UncommittedChangesWarning(UserWarning):
    """A handle that was not closed has ended, and its changes since the last commit are lost."""


class UncommittedMemoryWarning(UncommittedChangesWarning, ResourceWarning):
    """The same for a list in memory, which ends with its process in any case. Python hides it by default."""
