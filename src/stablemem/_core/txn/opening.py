"""Opening and creating regions: the modes, and how a new file is made.

A new file is written under a temporary name that nobody knows, synced, and then linked to its own name. So a
file with that name is always whole. If another process was faster, its file is opened.

    mode   missing file         empty file       region                 anything else
    r      FileNotFoundError    NotARegionError  snapshot, read only    NotARegionError
    r+     FileNotFoundError    NotARegionError  writer                 NotARegionError
    a      created              made a region    writer                 NotARegionError
    x      created              FileExistsError  FileExistsError        FileExistsError
    w      created              made a region    replaced by a new one  NotARegionError
"""

import ctypes
import errno
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from numbers import Real
from typing import Any

from ...errors import NotARegionError, ReadOnlyError, RegionFullError, RegionLockedError
from ...layout import HEADER_SIZE, NODE_SIZE
from ...new_files import sync_folder, take_after
from ...shown import shown, shown_path
from ..disk.device import Device, FileDevice, MemoryDevice
from ..disk.header import is_sealed, write_empty
from ..disk.readers import lock_writer, require_as_new
from ..disk.region import Io
from ..format.slots import MAGIC, Slot
from .handle import Handle

__all__ = ["MODES", "open_again", "open_handle"]

PATH_MAX = 4096
"""Bytes of the longest path that Linux accepts."""

FOREVER = 1e9
"""Seconds, about thirty years, that stand for all longer times."""

MODES = ("r", "r+", "a", "x", "w")

# File systems on which flock and byte locks collide, or do not reach other machines. See statfs(2).
_NETWORK = {
    0x6969: "NFS", 0xFF534D42: "CIFS", 0xFE534D42: "SMB2", 0x517B: "SMB", 0x01021997: "9P",
    0x5346414F: "AFS", 0x6B414653: "AFS", 0x73757245: "Coda", 0x00C36400: "Ceph", 0x0BD00BD0: "Lustre",
    0x47504653: "GPFS", 0x19830326: "BeeGFS", 0x20030528: "OrangeFS", 0x01161970: "GFS2",
    0x7461636F: "OCFS2", 0x786F4256: "a VirtualBox folder", 0xBACBACBC: "a VMware folder",
}  # fmt: skip

_FUSE = 0x65735546
"""The one number of all file systems that are programs: sshfs, s3fs, rclone, gcsfuse, virtiofs, ntfs-3g."""


def open_handle(
    path: str | None,
    mode: str,
    *,
    timeout: float = 0.0,
    checksums: bool = True,
    io: Io = "map",
    device: Device | None = None,
    file_id: bytes | None = None,
    boot: bytes | None = None,
    at: Slot | None = None,
) -> Handle:
    """Open or create a region.

    Args:
        path: the file; None for memory.
        mode: one of MODES.
        timeout: seconds to wait for the writer lock.
        checksums: whether blobs are verified at each read.
        io: "map" or "pread": how bytes are read.
        device: an open device to use instead of a path; if it is empty, a new region is made on it.
        file_id: the 16 bytes of a new region's id; None for random ones.
        boot: 16 bytes to use instead of the id of this boot.
        at: the commit to read, for mode "r" and a path; None for the newest.

    Raises:
        FileNotFoundError, FileExistsError, IsADirectoryError, PermissionError: as ``open`` does.
        NotARegionError, VersionError, CorruptRegionError: the file is not a region that can be read.
        RegionLockedError: another handle is the writer.
        TypeError, ValueError: the mode, the timeout or ``io`` is not allowed.
    """
    if mode not in MODES:
        raise ValueError(f"mode is {shown(mode)}; it may be 'r', 'r+', 'a', 'x' or 'w'")
    if io not in ("map", "pread"):
        raise ValueError(
            f'io is "map" (read through a map of the file) or "pread" (read by system calls), not {shown(io)}'
        )
    timeout = _seconds(timeout)
    fresh = os.urandom(16) if file_id is None else file_id
    if path is None:
        held = MemoryDevice() if device is None else device
        if held.size() == 0:
            write_empty(held, fresh)
            held.sync()
        return Handle(held, writable=mode != "r", checksums=checksums, io=io, boot=boot)
    name = _absolute(path)
    if os.path.islink(path):
        # Make or replace the file that the link names, even if that file does not exist yet.
        path = os.path.realpath(path)
    with _advice(path, mode):
        opened = _local(FileDevice.open(path, writable=False), False) if mode == "r" else None
        while opened is None:
            opened = _writer(path, mode, timeout, fresh)
    opened.name = name
    return Handle(opened, writable=mode != "r", checksums=checksums, io=io, boot=boot, at=at)


def open_again(path: str, checksums: bool, state: tuple[Any, ...], exactly: bool, io: Io = "map") -> Handle:
    """Return a reader for a ``Handle.pickled``: of exactly that commit, or of the newest one.

    Raises:
        RegionReplacedError: the path leads to another file.
        StableMemoryError: the file does not have that commit.
        FileNotFoundError, IsADirectoryError, PermissionError: as ``open`` does.
    """
    slot = Slot(*state)
    handle = open_handle(path, "r", checksums=checksums, io=io, at=slot if exactly else None)
    try:
        require_as_new(handle.header, slot, path)
    except BaseException:
        handle.close()
        raise
    return handle


def _seconds(timeout: Any) -> float:
    """Return a time to wait, 0 or more, as a float that every call of the kernel accepts."""
    if isinstance(timeout, bool) or not isinstance(timeout, Real):
        raise TypeError(f"timeout is a number of seconds, not {type(timeout).__name__}: 0 does not wait")
    seconds: Any = timeout
    if not seconds >= 0:
        raise ValueError(f"timeout is 0 seconds or more, not {shown(timeout)}: 0 does not wait")
    return float(min(seconds, FOREVER))


def _absolute(path: str) -> str:
    """Return the absolute path; empty if the current folder does not exist any more."""
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        return ""


def _writer(path: str, mode: str, timeout: float, file_id: bytes) -> FileDevice | None:
    """Return the file for a mode, locked for writing; None if another process made it in the meantime."""
    found = _lock(path, mode, timeout)
    if found is None:
        return _create(path, file_id)
    if mode == "x":
        found.close()
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    if mode == "w" or (mode == "a" and found.size() == 0):
        return _replace(path, file_id, found)
    return found


@contextmanager
def _advice(path: str, mode: str) -> Iterator[None]:
    """Make the kernel's errors name the file that was asked for, and say what to do."""
    try:
        yield
    except (ReadOnlyError, RegionLockedError):
        raise
    except RegionFullError as error:
        error.filename = path
        raise
    except OSError as error:
        number, said = error.errno or 0, error.strerror or str(error)
        advice = _advised(number, path, mode) if said == os.strerror(number) else ""
        # The kernel accepts no longer path, so this one is not the path of any file: show only a part.
        named = path if len(path) <= PATH_MAX else shown_path(path)
        raise OSError(number, f"{said}: {advice}" if advice else said, named) from None


def _advised(number: int, path: str, mode: str) -> str:
    """Return advice about an error number of the kernel; empty if it is obvious or unknown."""
    if number == errno.ENOENT:
        folder = os.path.dirname(path) or "."
        if not path:
            return "the path is empty; name a file, or leave the path out for a list in memory"
        if not os.path.isdir(folder):
            return f"the folder {shown_path(folder)} is missing; make it first"
        if mode in {"r", "r+"}:
            return f"mode={mode!r} opens an existing file; mode='a' makes a missing one"
    if number == errno.EEXIST:
        return "mode='x' makes a new file; mode='a' opens this one, mode='w' replaces it"
    if number == errno.EISDIR:
        return "a region is a file; name one in this folder"
    if number in {errno.EACCES, errno.EPERM, errno.EROFS}:
        if mode == "r":
            return "mode='r' needs the right to read it"
        return f"mode={mode!r} needs the right to write there; mode='r' only reads"
    if number in {errno.EMFILE, errno.ENFILE}:
        return "close others, or raise the limit (ulimit -n)"
    if number in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO}:
        return "a region is a regular file; name another path"
    return ""


def _local(device: FileDevice, writing: bool = True) -> FileDevice:
    """Return the device; raise if its file is where locks or syncs may not work."""
    magic = _file_system(device)
    if magic in _NETWORK:
        device.close()
        raise OSError(
            errno.EOPNOTSUPP,
            f"the file is on a network file system ({_NETWORK[magic]}), whose locks do not protect it: "
            f"keep it on a local disk",
            device.path,
        )
    if writing and magic == _FUSE:
        device.close()
        raise OSError(
            errno.EOPNOTSUPP,
            "the file is on a FUSE file system (such as sshfs, s3fs, rclone, gcsfuse, ntfs-3g), whose locks "
            "and syncs may not protect it: write it on a local disk; mode='r' reads it here",
            device.path,
        )
    return device


def _file_system(device: FileDevice) -> int:
    """Return the magic number of the file system; 0 if it is not known."""
    buffer = (ctypes.c_long * 32)()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fstatfs(device.descriptor, ctypes.byref(buffer)):
        return 0
    return int(buffer[0]) & 0xFFFFFFFF


def _lock(path: str, mode: str, timeout: float) -> FileDevice | None:
    """Return the file, opened and locked for writing; None if it is missing and the mode creates it."""
    while True:
        try:
            device = FileDevice.open(path, writable=True)
        except FileNotFoundError:
            if mode == "r+":
                raise
            return None
        if mode == "x":
            return device
        try:
            _local(device)
            _become_writer(device, timeout)
        except BaseException:
            device.close()
            raise
        if device.is_at(path):
            return device
        # The file was replaced between opening and locking: this one does not have the name any more.
        device.close()


def _become_writer(device: FileDevice, timeout: float) -> None:
    """Lock a file for writing.

    If a handle of this process has the lock, collect garbage and try again: only garbage may refer to it.
    """
    try:
        lock_writer(device, timeout)
        return
    except RegionLockedError as error:
        if error.pid != os.getpid():
            raise
    gc.collect()
    lock_writer(device, 0.0)


def _write_new(path: str, file_id: bytes, old: FileDevice | None = None) -> FileDevice:
    """Return a new region under a temporary name, synced and locked, with the owner and mode of ``old``."""
    device = FileDevice.temporary(path, private=old is not None)
    try:
        _local(device)
        lock_writer(device, 0.0)
        if old is not None:
            take_after(device.descriptor, old.descriptor)
        write_empty(device, file_id)
        os.fsync(device.descriptor)
    except BaseException:
        os.unlink(device.path)
        device.close()
        raise
    return device


def _create(path: str, file_id: bytes) -> FileDevice | None:
    """Create a region under a free name; return None if another process was faster."""
    device = _write_new(path, file_id)
    temporary = device.path
    try:
        _link(temporary, path)
        sync_folder(path)
    except FileExistsError:
        device.close()
        return None
    except BaseException:
        device.close()
        raise
    finally:
        os.unlink(temporary)
    device.path = path
    return device


def _link(temporary: str, path: str) -> None:
    """Give a new file its name, which no other file may have."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP}:
            raise
        raise OSError(
            error.errno,
            "a new region gets its name by a hard link, and this file system has none: make the region on "
            "another file system",
            path,
        ) from error


def _replace(path: str, file_id: bytes, old: FileDevice) -> FileDevice:
    """Replace an old region, or an empty file, by a new region. The old file is locked."""
    try:
        size = old.size()
        if size and not _is_ours(old):
            raise NotARegionError(
                f"{shown_path(path)} is not a region, and mode='w' does not replace other files: "
                f"remove it first, or name another file"
            )
        if is_sealed(old):
            raise ReadOnlyError(
                f"{shown_path(path)} is sealed, and mode='w' does not replace it: remove it first, or name "
                f"another file"
            )
        device = _write_new(path, file_id, old)
        try:
            os.rename(device.path, path)
            sync_folder(path)
        except BaseException:
            with suppress(OSError):
                os.unlink(device.path)
            device.close()
            raise
    finally:
        old.close()
    device.path = path
    return device


def _is_ours(device: Device) -> bool:
    """Return whether any slot of a file begins with the magic of a region."""
    content = device.read(0, HEADER_SIZE)
    return any(content[start : start + len(MAGIC)] == MAGIC for start in range(0, HEADER_SIZE, NODE_SIZE))
