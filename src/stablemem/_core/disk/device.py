# cython: annotation_typing=False
"""Devices: where the bytes of a region are kept, and the only code that asks the kernel for I/O.

Two twins with one interface:

    FileDevice       a file
    MemoryDevice     anonymous memory (memfd), so that a list without a path runs the same code

The tests have a third in tests/tools/support/recording.py. It records each write, growth and sync, and fails
when told to; the crash and fault tests are built on it.

Invariants: a descriptor is never 0 to 2 (a library that prints to a closed standard stream would write
into the region); every error is an ``OSError`` that names the file; a failed or short write raises.
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
"""What to do when the kernel fails to do what it is asked."""


def _above_standard_streams(descriptor: int) -> int:
    """Return the descriptor, moved above 2 if it is one of the standard streams."""
    if descriptor > 2:
        return descriptor
    moved = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
    os.close(descriptor)
    return moved


@contextmanager
def _standard_streams_taken() -> Iterator[None]:
    """Keep what is opened within above the standard streams, where some of those are closed."""
    taken = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)]
    try:
        while taken[-1] < 3:
            taken.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)


def _told(number: int, during: str, path: str) -> OSError:
    """Return the exception for an error number of the kernel, with what to do."""
    remedy = f": {_REMEDIES[number]}" if number in _REMEDIES else ""
    return OSError(number, f"{os.strerror(number)} while {during}{remedy}", path or None)


class Device:
    """An open file, anonymous or not, with the calls the engine makes of it.

    Args:
        descriptor: an open descriptor, which the device now owns.
        path: the name used in messages and for reopening.
    """

    path: str
    name = ""
    """The absolute path that the file was asked for by, perhaps a link's; empty where it has none."""

    durable = True
    """Whether what was synced outlives the machine."""

    written = (0, 0)
    """Bytes written through it, and in how many runs."""

    before_close: Callable[[], None] | None = None
    """What to do before the descriptor is closed."""

    def __init__(self, descriptor: int, path: str) -> None:
        self.descriptor = _above_standard_streams(descriptor)
        self.path = path
        self.closed = False

    def error(self, number: int, during: str) -> OSError:
        """Return the exception for an error number, with the file named and what to do."""
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
        """Return "this" while the file has its name, or nobody can tell; else "another" (file), or "none"."""
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
        """Return how many bytes the disk has left for this file."""
        try:
            status = os.fstatvfs(self.descriptor)
        except OSError as error:
            raise self.error(error.errno or errno.EIO, "reserving space on the disk") from error
        return status.f_bavail * status.f_frsize

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes at ``address``, fewer where the file ends before."""
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
        """Write ``pieces`` one behind the other from ``address`` on, with as few calls as possible."""
        for first in range(0, len(pieces), _IOV_MAX):
            batch: Sequence[Buffer] = pieces[first : first + _IOV_MAX]
            size = sum(map(len, batch))
            try:
                written = os.pwritev(self.descriptor, batch, address)
                if written < size:
                    # A write is cut short by a full disk or a limit; only the next call says which.
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
        """Return once everything written survives a power cut."""
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
        """Give the disk space of a range back; it reads as zeros. A hint: not every file system can."""
        with suppress(OSError, AttributeError):
            _punch_hole(self.descriptor, address, size)

    def allocated(self) -> int:
        """Return how many bytes the file takes on the disk, holes not counted."""
        return os.fstat(self.descriptor).st_blocks * 512

    def map(self, size: int) -> mmap.mmap:
        """Return a read-only map of the first ``size`` bytes.

        A map keeps a duplicate of the descriptor it is made from, and with it that descriptor's locks.
        """
        try:
            with _standard_streams_taken():
                return mmap.mmap(self.descriptor, size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        except OSError as error:
            raise self.error(error.errno or errno.EIO, f"mapping {size} bytes") from error

    def reopen(self) -> "Device":
        """Return a read-only device on the same file, with a file description of its own."""
        device = self._reopened()
        device.name = self.name
        return device

    def _reopened(self) -> "Device":
        flags = os.O_RDONLY | os.O_CLOEXEC
        try:
            try:
                return Device(os.open(f"/proc/self/fd/{self.descriptor}", flags), self.path)
            except FileNotFoundError:
                # Without /proc there is only the name, which may be another file's by now.
                device = Device(os.open(self.path, flags), self.path)
                if device.identity() != self.identity():
                    device.close()
                    raise
                return device
        except OSError as error:
            # The kernel's error names a file of /proc, which says nothing to a user.
            raise self.error(error.errno or errno.EIO, "opening the file again to read it") from None

    def close(self) -> None:
        """Close the descriptor; locks taken through it end with the last copy of it."""
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
        """Create a new file beside ``path``, under a name that only this call knows.

        Args:
            path: the name that the file will have.
            private: whether nobody else may open it, until it is given another mode.
        """
        return cls(*create_beside(path, private))


def _punch_hole(descriptor: int, address: int, size: int) -> None:
    """Call ``fallocate`` to free a range of a file's blocks (Linux; os.posix_fallocate cannot)."""
    # Imported here: few need it, and it takes milliseconds.
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    offset = ctypes.c_int64
    library.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, offset, offset)
    if library.fallocate(descriptor, _KEEP_SIZE | _PUNCH_HOLE, address, size):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class MemoryDevice(Device):
    """Anonymous memory: a file without a name that ends with its last descriptor and map."""

    durable = False

    def __init__(self) -> None:
        try:
            descriptor = os.memfd_create("stablemem", os.MFD_CLOEXEC)
        except OSError as error:
            raise _told(error.errno or errno.EIO, "making a region in memory", "") from None
        super().__init__(descriptor, "")

    def sync(self) -> None:
        """Do nothing: memory does not outlive the machine."""
