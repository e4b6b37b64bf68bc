"""New files: written under a temporary name that nobody knows, and given their own name when whole."""

import os
from contextlib import suppress

__all__ = ["create_beside", "sync_folder", "take_after"]

_SHOWN = 16
"""Number of characters of a file's name that its temporary name begins with."""

_ACCESS_LIST = "system.posix_acl_access"
_OF_CONTENT = {"security.evm", "security.ima"}
"""Extended attributes that certify the contents of a file."""


def create_beside(path: str, private: bool = False) -> tuple[int, str]:
    """Create a file in the folder of ``path``, under a name that only this call knows, and open it.

    Args:
        path: the name that the file will have.
        private: whether no other user may open the file until its mode is changed.

    Returns:
        The descriptor, for reading and writing, and the temporary name.
    """
    folder, name = os.path.split(path)
    # Only a part of the name: if the name has the greatest length that the file system allows, all of it
    # and more would be too long.
    begin = os.path.join(folder, f".{name[:_SHOWN]}.{os.getpid()}")
    while True:
        candidate = f"{begin}.{os.urandom(4).hex()}.new"
        with suppress(FileExistsError):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            return os.open(candidate, flags, 0o600 if private else 0o666), candidate


def take_after(new: int, old: int) -> None:
    """Give a new file the owner, group, mode and extended attributes of an old one, as far as allowed.

    This gives nobody a new right: if the group or the access list cannot be kept, the group gets only the
    rights that everybody has.

    Args:
        new: descriptor of the new file.
        old: descriptor of the old file.
    """
    status = os.fstat(old)
    mode = status.st_mode & 0o7777
    rest = os.fstat(new)
    kept = True
    if (status.st_uid, status.st_gid) != (rest.st_uid, rest.st_gid):
        with suppress(OSError):
            os.fchown(new, -1, status.st_gid)
        with suppress(OSError):
            os.fchown(new, status.st_uid, -1)
        kept = os.fstat(new).st_gid == status.st_gid
    with suppress(OSError):
        for name in set(os.listxattr(old)) - _OF_CONTENT:
            try:
                os.setxattr(new, name, os.getxattr(old, name))
            except OSError:
                kept = kept and name != _ACCESS_LIST
    if not kept:
        mode = mode & ~0o2070 | (mode & 0o007) << 3
    with suppress(OSError):
        os.fchmod(new, mode)


def sync_folder(path: str) -> None:
    """Return when the names in the folder of ``path`` survive a power cut."""
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
