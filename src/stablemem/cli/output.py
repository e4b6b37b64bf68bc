"""A file that a command writes: it takes its name at the end, whole, or never."""

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
    """Give a new file to write, which has another name beside ``path`` until the block ends well.

    Args:
        path: the name it gets; of a symbolic link, the name that this stands for.
        source: the region that is read, which it must not replace.
        force: whether a file that is there is replaced; the new one takes after it.

    Raises:
        click.UsageError: the name is the region's, or not that of a regular file.
        OSError: naming ``path``: the file cannot be written, or is there and is not to be replaced.
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
    """Open a file, for ``open``, without waiting for somebody at the other end of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


class _Ended(BaseException):
    """A signal that ends the process has arrived."""


@contextmanager
def _tidied_up() -> Iterator[None]:
    """Let a signal that ends the process end the block first, so that the block removes what it has made."""

    def arrived(number: int, _frame: FrameType | None) -> None:
        raise _Ended(number)

    # What is ignored, as under nohup, stays so.
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
    """Give a file its name, which nothing may have."""
    try:
        os.link(temporary, place)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without links: an empty file of the name, which is ours, keeps others away.
        os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        os.rename(temporary, place)
        return
    os.unlink(temporary)
