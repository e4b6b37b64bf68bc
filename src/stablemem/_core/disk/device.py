# cython: annotation_typing=False
"""Devices: keep the bytes of a region. This is the only code that asks the kernel for I/O.

There are two, with the same interface:

    FileDevice       a file
    MemoryDevice     anonymous memory (memfd), so that a list without a path runs the same code

The tests have a third one in tests/tools/support/recording.py. It records each write, growth and sync, and
fails on demand; the crash tests and fault tests use it.

Invariants: a descriptor is never 0 to 2, because a library that prints to a closed standard stream would
write into the region. Every error is an ``OSError`` that names the file. A failed or short write raises.
"""

import errno
import mmap
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fcntl import F_DUPFD_CLOEXEC, fcntl

from ...errors import RegionFullError
from ...new_files import create_beside

__all__ = ["Device", "FileDevice", "MemoryDevice"]

Buffer = bytes | bytearray | memoryview

_IOV_MAX = 1024
_KEEP_SIZE, _PUNCH_HOLE = 1, 2

_KINDS = {stat.S_IFIFO: "a fifo", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}

_REMEDIES = {
    errno.EIO: "check the disk",
    errno.EMFILE: "close some files, or raise the limit on open ones (ulimit -n)",
    errno.ENFILE: "close some files: the whole machine has too many open",
    errno.ENOMEM: "free some memory, close other regions, or raise the limit (ulimit -v)",
    errno.EFBIG: "raise the limit on the size of files, or delete values and commit",
}
"""Advice for the user, by error number of the kernel."""


def _above_standard_streams(descriptor: int) -> int:
    """Return the descriptor, moved above 2 if it is one of the standard streams."""
    if descriptor > 2:
        return descriptor
    moved = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
    os.close(descriptor)
    return moved


@contextmanager
def _standard_streams_taken() -> Iterator[None]:
    """Make files that are opened inside get descriptors above 2, even if a standard stream is closed."""
    taken = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)]
    try:
        while taken[-1] < 3:
            taken.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)


def _told(number: int, during: str, path: str) -> OSError:
    """Return the exception for an error number of the kernel, with advice."""
    remedy = f": {_REMEDIES[number]}" if number in _REMEDIES else ""
    return OSError(number, f"{os.strerror(number)} while {during}{remedy}", path or None)


class Device:
    """An open file, anonymous or not, with the calls that the engine needs.

    Args:
        descriptor: an open descriptor, which the device now owns.
        path: the name for messages and for reopening.
    """

    path: str
    name = ""
    """The absolute path by which the file was opened, which may be a link; empty if there is none."""

    durable = True
    """Whether synced bytes survive the end of the machine."""

    written = (0, 0)
    """Number of bytes written through the device, and number of runs."""

    before_close: Callable[[], None] | None = None
    """Called before the descriptor is closed."""

    def __init__(self, descriptor: int, path: str) -> None:
        self.descriptor = _above_standard_streams(descriptor)
        self.path = path
        self.closed = False

    def error(self, number: int, during: str) -> OSError:
        """Return the exception for an error number; it names the file and gives advice."""
        if number in {errno.ENOSPC, errno.EDQUOT}:
            return RegionFullError(
                f"no space left on the disk while {during}; nothing committed was lost: "
                f"free some space, or delete values, best many at once from the end, and commit",
                self.path or None,
            )
        return _told(number, during, self.path)

    def identity(self) -> tuple[int, int]:
        """Return (device number, inode number)."""
        status = os.fstat(self.descriptor)
        return status.st_dev, status.st_ino

    def is_at(self, path: str) -> bool:
        """Return whether ``path`` still names this file."""
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return (status.st_dev, status.st_ino) == self.identity()

    def name_leads_to(self) -> str:
        """Return "this" if the name leads to this file, or is not known; else "another" (file) or "none"."""
        if not self.name:
            return "this"
        try:
            if self.is_at(self.name):
                return "this"
        except OSError:
            return "this"
        return "another" if os.path.exists(self.name) else "none"

    def size(self) -> int:
        """Return the file's length in bytes."""
        return os.fstat(self.descriptor).st_size

    def room(self) -> int:
        """Return the number of bytes that the disk has left for this file."""
        try:
            status = os.fstatvfs(self.descriptor)
        except OSError as error:
            raise self.error(error.errno or errno.EIO, "reserving space on the disk") from error
        return status.f_bavail * status.f_frsize

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes at ``address``; fewer if the file ends before."""
        pieces = []
        try:
            while size and (piece := os.pread(self.descriptor, size, address)):
                pieces.append(piece)
                address += len(piece)
                size -= len(piece)
        except OSError as error:
            raise self.error(error.errno or errno.EIO, f"reading at address {address}") from error
        return b"".join(pieces)

    def write(self, address: int, data: Buffer) -> None:
        """Write all of ``data`` at ``address``."""
        self.write_run(address, [data])

    def write_run(self, address: int, pieces: Sequence[Buffer]) -> None:
        """Write ``pieces`` one after the other from ``address`` on, with as few calls as possible."""
        for first in range(0, len(pieces), _IOV_MAX):
            batch: Sequence[Buffer] = pieces[first : first + _IOV_MAX]
            size = sum(map(len, batch))
            try:
                written = os.pwritev(self.descriptor, batch, address)
                if written < size:
                    # A full disk or a limit cuts a write short; only the next call says which of them.
                    rest = memoryview(b"".join(batch))
                    while written < size:
                        step = os.pwrite(self.descriptor, rest[written:], address + written)
                        if step == 0:
                            raise OSError(errno.EIO, "the kernel wrote nothing")
                        written += step
            except OSError as error:
                during = f"writing {size} bytes at address {address}"
                raise self.error(error.errno or errno.EIO, during) from error
            address += size
            self.written = self.written[0] + size, self.written[1] + 1

    def sync(self) -> None:
        """Return when everything written so far survives a power cut."""
        try:
            os.fdatasync(self.descriptor)
        except OSError as error:
            raise self.error(error.errno or errno.EIO, "syncing") from error

    def truncate(self, size: int) -> None:
        """Cut or extend the file to ``size`` bytes."""
        try:
            os.ftruncate(self.descriptor, size)
        except OSError as error:
            raise self.error(error.errno or errno.EIO, f"setting the length to {size} bytes") from error

    def punch(self, address: int, size: int) -> None:
        """Give the disk space of a range back; the range then reads as zeros. Not every file system can."""
        with suppress(OSError, AttributeError):
            _punch_hole(self.descriptor, address, size)

    def allocated(self) -> int:
        """Return the number of bytes that the file takes on the disk, without holes."""
        return os.fstat(self.descriptor).st_blocks * 512

    def map(self, size: int) -> mmap.mmap:
        """Return a read-only map of the first ``size`` bytes.

        A map keeps a duplicate of its descriptor, and therefore the locks of that descriptor.
        """
        try:
            with _standard_streams_taken():
                return mmap.mmap(self.descriptor, size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        except OSError as error:
            raise self.error(error.errno or errno.EIO, f"mapping {size} bytes") from error

    def reopen(self) -> "Device":
        """Return a read-only device on the same file, with its own open file description."""
        device = self._reopened()
        device.name = self.name
        return device

    def _reopened(self) -> "Device":
        flags = os.O_RDONLY | os.O_CLOEXEC
        try:
            try:
                return Device(os.open(f"/proc/self/fd/{self.descriptor}", flags), self.path)
            except FileNotFoundError:
                # Without /proc there is only the name, and by now another file may have it.
                device = Device(os.open(self.path, flags), self.path)
                if device.identity() != self.identity():
                    device.close()
                    raise
                return device
        except OSError as error:
            # The kernel's error names a file in /proc, which means nothing to a user.
            raise self.error(error.errno or errno.EIO, "opening the file again to read it") from None

    def close(self) -> None:
        """Close the descriptor. Locks that were taken through it end with its last copy."""
        if not self.closed:
            self.closed = True
            before, self.before_close = self.before_close, None
            try:
                if before is not None:
                    before()
            finally:
                os.close(self.descriptor)


class FileDevice(Device):
    """A file of the file system."""

    @classmethod
    def open(cls, path: str, writable: bool) -> "FileDevice":
        """Open an existing regular file.

        Raises:
            FileNotFoundError, IsADirectoryError, PermissionError: as ``open`` does.
        """
        flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = _above_standard_streams(os.open(path, flags))
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            return cls(descriptor, path)
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        said = f"a region must be a regular file, this is {kind}: name another path"
        raise OSError(errno.EINVAL, said, path)

    @classmethod
    def temporary(cls, path: str, private: bool = False) -> "FileDevice":
        """Create a new file in the folder of ``path``, under a name that only this call knows.

        Args:
            path: the name that the file will have.
            private: whether no other user may open the file until its mode is changed.
        """
        return cls(*create_beside(path, private))


def _punch_hole(descriptor: int, address: int, size: int) -> None:
    """Call ``fallocate`` to free a range of a file's blocks (Linux; os.posix_fallocate cannot)."""
    # Imported here, because it takes milliseconds, and few programs need it.
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    offset = ctypes.c_int64
    library.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, offset, offset)
    if library.fallocate(descriptor, _KEEP_SIZE | _PUNCH_HOLE, address, size):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class MemoryDevice(Device):
    """Anonymous memory: a file without a name, which ends with its last descriptor and map."""

    durable = False

    def __init__(self) -> None:
        try:
            descriptor = os.memfd_create("stablemem", os.MFD_CLOEXEC)
        except OSError as error:
            raise _told(error.errno or errno.EIO, "making a region in memory", "") from None
        super().__init__(descriptor, "")

    def sync(self) -> None:
        """Do nothing: memory does not outlive the machine."""
