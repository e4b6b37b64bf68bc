"""Locks on bytes far after the end of a file: these bytes exist only in the kernel's table of locks.

    byte 2**60 + T    read-locked by each snapshot of transaction T that knows that T is whole (readers.py)
    byte 2**61 + N    write-locked by the handle that has place N in the queue of waiting writers (turns.py)
    byte 2**62 + T    read-locked by every snapshot of transaction T (readers.py)

The locks belong to the open file description (F_OFD_SETLK), so two handles in one process have separate
locks. A lock ends with its file description, no matter how the process ends: no table and no process ids in
the file, nothing stale.
"""

import fcntl
import os
import struct

from .device import Device

__all__ = ["PLACES", "READERS", "WHOLE", "lock", "probe", "unlock"]

WHOLE = 1 << 60
PLACES = 1 << 61
READERS = 1 << 62

_FLOCK = struct.Struct("hhqqi4x")


def _set(device: Device, kind: int, byte: int) -> None:
    fcntl.fcntl(device.descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, byte, 1, 0))


def lock(device: Device, byte: int, *, shared: bool) -> None:
    """Lock a byte.

    Raises:
        BlockingIOError: another handle has locked it.
        OSError: the kernel has no more locks, or does not support them for this file.
    """
    _set(device, fcntl.F_RDLCK if shared else fcntl.F_WRLCK, byte)


def unlock(device: Device, byte: int) -> None:
    """Unlock a byte, for every process that shares the file description."""
    _set(device, fcntl.F_UNLCK, byte)


def probe(device: Device, begin: int, end: int) -> tuple[int, int] | None:
    """Return (begin, end) of a lock that another handle has in a range of bytes; None if there is none."""
    wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, begin, end - begin, 0)
    reply = fcntl.fcntl(device.descriptor, fcntl.F_OFD_GETLK, wanted)
    kind, _, start, size, _ = _FLOCK.unpack(reply)
    if kind == fcntl.F_UNLCK:
        return None
    return start, start + size if size else 1 << 63
