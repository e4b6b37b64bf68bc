"""New files: they are written under a name that nobody knows, and take their own name when they are whole."""

import os
from contextlib import suppress

__all__ = ["create_beside", "sync_folder", "take_after"]

_SHOWN = 16
"""Letters of a file's name that its temporary name begins with."""

_ACCESS_LIST = "system.posix_acl_access"
_OF_CONTENT = {"security.evm", "security.ima"}
"""Extended attributes that vouch for what is in a file."""


def create_beside(path: str, private: bool = False) -> tuple[int, str]:
    """Create a file in the folder of ``path``, under a name that only this call knows; open it.

    Args:
        path: the name that the file will have.
        private: whether nobody else may open it, until it is given another mode.

    Returns:
        Its descriptor, for reading and writing, and its name.
    """
    folder, name = os.path.split(path)
    # A part of the name: with all of it, a name as long as the file system takes would be too long.
    begin = os.path.join(folder, f".{name[:_SHOWN]}.{os.getpid()}")
    while True:
        candidate = f"{begin}.{os.urandom(4).hex()}.new"
        with suppress(FileExistsError):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            return os.open(candidate, flags, 0o600 if private else 0o666), candidate


def take_after(new: int, old: int) -> None:
    """Give a new file owner, group, mode and extended attributes of an old one, as far as this process may.

    Nobody gets a right by this that was not given to them: where the group, or the access list, cannot be
    kept, the group may do what everybody may.

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
    """Return once the names in the folder of ``path`` survive a power cut."""
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
