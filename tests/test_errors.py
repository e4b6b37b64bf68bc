import copy
import errno
import io
import os
import pickle

import pytest

from stablemem import errors
from stablemem.errors import (
    BlobifyError,
    BlockError,
    CorruptRegionError,
    NotARegionError,
    ReadOnlyError,
    RegionClosedError,
    RegionFullError,
    RegionLockedError,
    StableMemoryError,
    VersionError,
)

ALL = [
    NotARegionError("x is not a region"),
    VersionError("x is of format 7"),
    CorruptRegionError(4096, "a node", "zeros", "x.smem"),
    BlobifyError("cannot", 5),
    BlobifyError("cannot"),
    RegionFullError("the disk is full", "x.smem"),
    RegionLockedError("x.smem", 4711),
    RegionLockedError("x.smem"),
    RegionClosedError("x.smem is closed"),
    ReadOnlyError("read only"),
    BlockError("freed twice"),
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_pickle_and_copy(error):
    """Errors cross process boundaries whole, as a pool of workers needs."""
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
        assert getattr(again, "errno", None) == getattr(error, "errno", None)


def test_what_they_are_besides():
    assert all(isinstance(error, StableMemoryError) for error in ALL)
    for kind, builtin in (
        (RegionFullError, OSError), (RegionLockedError, BlockingIOError), (RegionClosedError, ValueError),
        (ReadOnlyError, io.UnsupportedOperation), (BlockError, ValueError),
    ):  # fmt: skip
        assert issubclass(kind, builtin)
    for kind in (CorruptRegionError, NotARegionError, VersionError, BlobifyError):
        assert not issubclass(kind, ValueError | LookupError | TypeError | OSError), (
            "try: index(x) except ValueError must not hide damage"
        )


def test_corrupt():
    error = CorruptRegionError(4096, "a node", "zeros", "x.smem")
    assert (error.address, error.expected, error.found, error.path) == (4096, "a node", "zeros", "x.smem")
    for part in ("x.smem is damaged at address 4096", "expected a node", "found zeros", "stablemem verify"):
        assert part in str(error)
    assert "the region is damaged" in str(CorruptRegionError(0, 1, 2))


def test_full():
    error = RegionFullError("the disk is full", "x.smem")
    assert error.errno == errno.ENOSPC
    assert error.filename == "x.smem"
    assert "the disk is full" in str(error)


def test_locked():
    error = RegionLockedError("x.smem", 4711)
    assert error.pid == 4711
    assert error.errno == errno.EAGAIN
    for part in ("x.smem is open for writing in process 4711", "mode='r'", "timeout="):
        assert part in str(error)
    assert f"this process ({os.getpid()})" in str(RegionLockedError("x", os.getpid()))
    assert "another process" in str(RegionLockedError("x"))


def test_blobify():
    assert str(BlobifyError("cannot", 5)) == "value 5: cannot"
    error = BlobifyError("cannot")
    assert error.index is None
    error.index = 0
    assert str(error) == "value 0: cannot"


def test_all_are_exported():
    kinds = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, StableMemoryError)
    }
    assert kinds == set(errors.__all__)
