"""Output: a file that a command writes, and that gets its name only when it is complete."""

import errno
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import BinaryIO

import click

from ..new_files import create_beside, sync_folder, take_after

__all__ = ["new_file"]

_ENDING = (signal.SIGTERM, signal.SIGHUP)
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP}


@contextmanager
def new_file(path: str, source: str, force: bool) -> Iterator[BinaryIO]:
    """Yield a new file for writing. It has a temporary name in the same folder until the block ends well.

    Args:
        path: the name that the file gets; if this is a symbolic link, the name that the link leads to.
        source: the region that is read, which the file must not replace.
        force: whether to replace an existing file; the new one gets its owner, mode and attributes.

    Raises:
        click.UsageError: the name is that of the region, or not that of a regular file.
        OSError: the file cannot be written, or exists and may not be replaced; the error names ``path``.
    """
    if not path:
        raise click.UsageError("--output needs the name of a file, and the name that you gave is empty.")
    place = os.path.realpath(path) if os.path.islink(path) else path
    there = os.path.exists(place)
    if there:
        if os.path.exists(source) and os.path.samefile(place, source):
            raise click.UsageError(f"{source} cannot be exported into itself.")
        if not stat.S_ISREG(os.stat(place).st_mode):
            raise click.UsageError(
                f"--output writes regular files only, and {path} is not one: use > instead."
            )
        if not force:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    try:
        with _tidied_up():
            descriptor, temporary = create_beside(place, private=there)
            try:
                with open(descriptor, "wb") as file:
                    if there:
                        with open(place, "rb", opener=_open_at_once) as old:
                            take_after(descriptor, old.fileno())
                    yield file
                    file.flush()
                    os.fsync(descriptor)
                if force:
                    os.rename(temporary, place)
                else:
                    _name(temporary, place)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
        sync_folder(place)
    except OSError as error:
        if error.filename == source:
            raise
        raise OSError(error.errno, error.strerror, path) from error


def _open_at_once(path: str, flags: int) -> int:
    """Open a file, for ``open``, without waiting for the other end of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


class _Ended(BaseException):
    """A signal that ends the process has arrived."""


@contextmanager
def _tidied_up() -> Iterator[None]:
    """Let a signal that ends the process end the block first, so that the block can remove its files."""

    def arrived(number: int, _frame: FrameType | None) -> None:
        raise _Ended(number)

    # A signal that is ignored, as under nohup, stays ignored.
    caught = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in caught:
        signal.signal(number, arrived)
    try:
        yield
    except _Ended as ended:
        number = ended.args[0]
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        raise
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)


def _name(temporary: str, place: str) -> None:
    """Give a file its name, which no other file may have."""
    try:
        os.link(temporary, place)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # The file system has no hard links. So make an empty file with this name, which keeps others away.
        os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        os.rename(temporary, place)
        return
    os.unlink(temporary)
