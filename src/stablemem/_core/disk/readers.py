"""Readers: which handles have the region open: one writer by ``flock``, readers by a lock on a byte each.

The byte of a reader stands for its transaction. There is no table in the file: the kernel's locks end with
the descriptor, no matter how its process ends. The lock of a snapshot is never unlocked; its file is closed.
The reason: a forked child shares the file description, and unlocking there would remove the parent's lock,
too. The lock of a writer is unlocked by the process that took it (turns.py).
"""

import errno
import fcntl
import os
import time

from ...errors import CorruptRegionError, RegionLockedError, RegionReplacedError, StableMemoryError
from ...layout import HEADER_SIZE
from ...shown import shown_path
from ..format.slots import Slot
from .device import Device
from .header import Header
from .locks import READERS, WHOLE, lock, probe
from .turns import Turn, let_go, somebody_waits

__all__ = [
    "acquire",
    "acquire_newest",
    "is_read",
    "lock_writer",
    "look",
    "newest_reader",
    "oldest_reader",
    "register_reader",
    "require_as_new",
    "writer_pid",
]

_FAR = 1 << 32
"""How far above a number readers are looked for: any process that may read the file may lock any byte."""


def lock_writer(device: Device, timeout: float) -> None:
    """Become the writer of a device's file.

    Args:
        device: opened for writing.
        timeout: seconds to wait for another writer to end; 0 does not wait.

    Raises:
        RegionLockedError: another handle is the writer, in this or in another process.
    """
    if not (timeout > 0 and somebody_waits(device)) and _try(device):
        return
    if timeout > 0:
        deadline = time.monotonic() + timeout
        with Turn(device, deadline) as turn:
            while True:
                seen = turn.look()
                if turn.has_come() and _try(device):
                    return
                if time.monotonic() >= deadline:
                    raise RegionLockedError(device.path, writer_pid(device))
                turn.sleep(seen)
    raise RegionLockedError(device.path, writer_pid(device))


def _try(device: Device) -> bool:
    """Take the writer lock if it is free."""
    try:
        fcntl.flock(device.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    owner = os.getpid()

    def before_close() -> None:
        if os.getpid() == owner:
            # In the child of a fork, the lock belongs to the parent.
            let_go(device)

    device.before_close = before_close
    return True


def writer_pid(device: Device) -> int | None:
    """Return the id of the process that holds the writer lock; None if the kernel does not tell."""
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

    The caller must look at the header again afterwards: the lock was in time only if that transaction is
    still the newest.
    """
    _share(device, READERS + transaction)


def _mark_whole(device: Device, transaction: int) -> None:
    """Tell others that the transaction of this registered device is whole, as long as the device is open."""
    _share(device, WHOLE + transaction)


def _share(device: Device, byte: int) -> None:
    try:
        lock(device, byte, shared=True)
    except OSError as error:
        raise device.error(error.errno or errno.EIO, "registering a reader") from error


def _is_held(device: Device, transaction: int) -> bool:
    """Return whether another snapshot has a lock that says that a transaction is whole."""
    return probe(device, WHOLE + transaction, WHOLE + transaction + 1) is not None


def oldest_reader(device: Device, below: int) -> int | None:
    """Return the oldest transaction below ``below`` on which a snapshot is open, or None."""
    oldest = None
    while below > 0 and (found := probe(device, READERS, READERS + below)) is not None:
        oldest = below = found[0] - READERS
    return oldest


def is_read(device: Device, above: int, below: int) -> bool:
    """Return whether a snapshot is open on a transaction between ``above`` and ``below``, both excluded."""
    return below > above + 1 and probe(device, READERS + above + 1, READERS + below) is not None


def newest_reader(device: Device, above: int) -> int:
    """Return the newest transaction above ``above`` on which a snapshot is open; if none, ``above``.

    There is such a transaction only if its slot is lost: its sync failed, its writer died, and the kernel
    has dropped the page.
    """
    newest, end = above, above + _FAR
    while newest < end:
        found = probe(device, READERS + newest + 1, READERS + end)
        if found is None:
            return newest
        newest = min(found[1] - 1 - READERS, end)
    return above


def look(device: Device, boot: bytes) -> Header:
    """Return the header of a region that another handle may be writing to.

    Bytes under a digest may be reused while a slow reader checks them. If the slots have changed, too, the
    mismatch means nothing, and the reader looks again.
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

    If a writer committed between the look and the lock, it may have missed the lock. Then the next commit
    is tried, on a new file description, because locks are never unlocked.
    """
    while True:
        try:
            header = look(device, boot)
            newest = header.newest.transaction
            register_reader(device, newest)
            if newest >= least and look(device, boot).newest.transaction == newest:
                _mark_whole(device, newest)
                return device, header
            fresh = device.reopen()
        except BaseException:
            device.close()
            raise
        device.close()
        device = fresh


def require_as_new(header: Header, slot: Slot, path: str) -> None:
    """Raise unless the header is of the same file as the slot, and its newest commit is not older."""
    found = header.newest
    if found.file_id != slot.file_id:
        raise RegionReplacedError(
            f"{shown_path(path)} is not the file that was pickled: bring that file back, or open this one "
            "by its path"
        )
    if found.transaction < slot.transaction:
        raise StableMemoryError(
            f"{shown_path(path)} is at commit {found.transaction}, and the pickle was made at the newer "
            f"commit {slot.transaction}: bring the newer file back, or open this one by its path"
        )


def acquire(device: Device, boot: bytes, slot: Slot) -> Header:
    """Register as a reader of an older commit; return the header as of that commit.

    Such a commit is whole if a kept slot names it, or if a snapshot of it is open that knows that it is
    whole. A reader's lock does not prove this, because that reader may still be asking, as we do: only the
    lock that says "whole" proves it. Our own lock is taken before the looks, so that the commit stays whole
    after them.

    Raises:
        RegionReplacedError: the path leads to another file.
        StableMemoryError: the file does not have that commit any more.
    """
    require_as_new(look(device, boot), slot, device.path)
    register_reader(device, slot.transaction)
    held = _is_held(device, slot.transaction)
    header = look(device, boot)
    kept = [each for each in header.kept() if each.transaction == slot.transaction]
    if not held and not any(_names_the_same(each, slot) for each in kept):
        path = shown_path(device.path)
        raise StableMemoryError(
            f"the pickle was made at commit {slot.transaction}, which {path} no longer has; it is at commit "
            f"{header.newest.transaction}: keep the pickled reader open, and do not refresh() it, until all "
            f"copies are unpickled, or open {path} by its path"
        )
    _mark_whole(device, slot.transaction)
    header.valid = [slot, *[each for each in header.valid if each.transaction < slot.transaction]]
    return header


def _names_the_same(one: Slot, other: Slot) -> bool:
    return (one.length, one.main, one.catalog) == (other.length, other.main, other.catalog)
