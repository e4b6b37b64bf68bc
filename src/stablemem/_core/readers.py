"""Who else has the region open: one writer by ``flock``, readers by a lock on their transaction's byte.

    byte 2**62 + T of the file: read-locked by every snapshot of transaction T

The locks live in the kernel and end with the descriptor that took them, however its process ends: no
table, no pids, nothing stale. They belong to the open file description, so that two snapshots of one
process are two readers (F_OFD_SETLK), and they are never unlocked, only closed: a forked child shares
the description, and an unlock there would take the parent's protection away.
"""

import errno
import fcntl
import os
import struct
import time

from ..errors import CorruptRegionError, RegionLockedError
from ..layout import HEADER_SIZE
from .device import Device
from .header import Header

__all__ = [
    "acquire_newest",
    "lock_writer",
    "look",
    "newest_reader",
    "oldest_reader",
    "register_reader",
    "writer_pid",
]

_BASE = 1 << 62
_FAR = 1 << 32
"""Numbers beyond the highest in which a reader is looked for: whoever may read may lock any byte."""

_FLOCK = struct.Struct("hhqqi4x")
_POLL = 0.01


def _lock(kind: int, start: int, size: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, start, size, 0)


def lock_writer(device: Device, timeout: float) -> None:
    """Become the writer of a device's file.

    Args:
        device: opened for writing.
        timeout: seconds to wait for another writer to end; 0 does not wait.

    Raises:
        RegionLockedError: another handle writes, here or in another process.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(device.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            left = deadline - time.monotonic()
            if left <= 0:
                raise RegionLockedError(device.path, writer_pid(device)) from None
            time.sleep(min(_POLL, left))
        else:
            return


def writer_pid(device: Device) -> int | None:
    """Return the process that holds the writer lock, or None where the kernel does not tell."""
    number, inode = device.identity()
    file = f"{os.major(number):02x}:{os.minor(number):02x}:{inode}"
    try:
        with open("/proc/locks", encoding="ascii") as locks:
            for line in locks:
                fields = line.split()
                if "FLOCK" in fields and "WRITE" in fields and file in fields:
                    pid = int(fields[fields.index("WRITE") + 1])
                    return pid if pid > 0 else None
    except (OSError, ValueError):
        return None
    return None


def register_reader(device: Device, transaction: int) -> None:
    """Tell writers that a snapshot of a transaction is open, until the device is closed.

    The caller looks at the header again afterwards: only if that transaction is still the newest was
    the lock in time.
    """
    try:
        fcntl.fcntl(device.descriptor, fcntl.F_OFD_SETLK, _lock(fcntl.F_RDLCK, _BASE + transaction, 1))
    except OSError as error:
        raise device.error(error.errno or errno.EIO, "registering a reader") from error


def oldest_reader(device: Device, below: int) -> int | None:
    """Return the oldest transaction under ``below`` that a snapshot is open on, or None."""
    oldest = None
    while below > 0:
        reply = fcntl.fcntl(device.descriptor, fcntl.F_OFD_GETLK, _lock(fcntl.F_WRLCK, _BASE, below))
        kind, _, start, _, _ = _FLOCK.unpack(reply)
        if kind == fcntl.F_UNLCK:
            return oldest
        oldest = below = start - _BASE
    return oldest


def newest_reader(device: Device, above: int) -> int:
    """Return the newest transaction above ``above`` that a snapshot is open on, or ``above``.

    There is one only if the slot of that transaction is lost: its sync failed, its writer died, and the
    kernel has forgotten the page.
    """
    newest, end = above, above + _FAR
    while newest < end:
        wanted = _lock(fcntl.F_WRLCK, _BASE + newest + 1, end - newest)
        kind, _, start, size, _ = _FLOCK.unpack(fcntl.fcntl(device.descriptor, fcntl.F_OFD_GETLK, wanted))
        if kind == fcntl.F_UNLCK:
            return newest
        newest = start + size - 1 - _BASE if size else end
    return above


def look(device: Device, boot: bytes) -> Header:
    """Return the header of a region that somebody may be writing to meanwhile.

    What a digest covers may be reused while a slow reader looks at it: if the slots changed as well, the
    mismatch says nothing, and the reader looks again.
    """
    while True:
        content = device.read(0, HEADER_SIZE)
        try:
            header = Header(device, boot, content)
        except CorruptRegionError:
            if device.read(0, HEADER_SIZE) == content:
                raise
            continue
        if not header.dropped or device.read(0, HEADER_SIZE) == content:
            return header


def acquire_newest(device: Device, boot: bytes, least: int) -> tuple[Device, Header]:
    """Register as a reader of the newest commit; return the registered device and its header.

    A writer that committed between the look and the lock may have missed the lock; then the next commit
    is tried, on a new file description (locks are closed, never unlocked).
    """
    while True:
        try:
            header = look(device, boot)
            newest = header.newest.transaction
            register_reader(device, newest)
            if newest >= least and look(device, boot).newest.transaction == newest:
                return device, header
            fresh = device.reopen()
        except BaseException:
            device.close()
            raise
        device.close()
        device = fresh
