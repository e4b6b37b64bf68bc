"""The common parts of all commands: the group, the handling of errors, the opening and naming of regions.

Exit codes: 0 good; 1 the region is damaged; 2 wrong usage, or a problem that only the user can solve;
3 a fault of stablemem itself; 130 interrupted.
"""

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from click.shell_completion import CompletionItem

from .. import COMPILED, __version__
from ..blobify import Text
from ..blobify.registry import BUILT_INS
from ..errors import CorruptRegionError, NotARegionError, RegionLockedError, StableMemoryError
from ..inspection import MAIN
from ..layout import FORMAT, is_own_name
from ..memory_buffer import MemoryBuffer
from ..memory_region import MemoryRegion
from .positions import selected
from .printing import echo, listed, printable, shown_name

__all__ = [
    "AHEAD",
    "DAMAGED",
    "ENGINE",
    "GOOD",
    "blobifies",
    "commands",
    "counted",
    "each",
    "is_text",
    "list_of",
    "name_option",
    "open_region",
    "positions_of",
    "region_argument",
    "run",
    "say",
]

GOOD, DAMAGED, REFUSED, FAULTY, INTERRUPTED = 0, 1, 2, 3, 130

AHEAD = "at the end of the file, for the next commits"

ENGINE = "compiled" if COMPILED else "interpreted"


# -- errors, and how they end ------------------------------------------------------------------------


MOST = 1600
"""The most characters of a message; a longer text is not meant as one."""


def say(message: str, error: BaseException | None = None) -> None:
    """Write a message and the notes of an error in one line; the middle of a long line is left out."""
    line = printable("; ".join([f"stablemem: {message}", *getattr(error, "__notes__", [])]))
    if len(line) > MOST:
        line = f"{line[: MOST // 2]} ... {line[-MOST // 2 :]}"
    echo(line, err=True)


def _warned(message: Warning | str, *_: object) -> None:
    """Write a warning like any other message."""
    say(str(message))


_REMEDIES = {
    errno.EISDIR: "a region is a file; name one in this folder",
    errno.EACCES: "you need the right to it, and to its folder",
    errno.EPERM: "you need the right to it, and to its folder",
    errno.EROFS: "name a file where you may write",
    errno.EEXIST: "name another file, or replace it with --force",
}
"""Advice for those errors of the kernel for which the library's advice is a mode of opening."""


def _reason(error: Exception) -> str:
    """Return the message of an error, in words that fit the command line."""
    if isinstance(error, RegionLockedError):
        who = "another process" if error.pid is None else f"process {error.pid}"
        return f"{error.path} is open for writing in {who}: try again when that is done"
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    if not error.filename:
        # The library names the file in each of its errors, and so do inputs.
        return f"standard output: {error.strerror}: send it elsewhere"
    said = error.strerror
    if error.errno == errno.ENOENT:
        folder = os.path.dirname(error.filename) or "."
        remedy = "`stablemem import` makes it" if os.path.isdir(folder) else f"make the folder {folder} first"
        said = f"{os.strerror(errno.ENOENT)}: {remedy}"
    elif error.errno in _REMEDIES:
        said = f"{os.strerror(error.errno)}: {_REMEDIES[error.errno]}"
    return f"{error.filename}: {said}"


def _abandon_output() -> None:
    """Discard output that is still to be written, so that the interpreter does not fail with it at exit."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


class _Commands(click.Group):
    """The group of all commands: turns their exceptions into a message and an exit code."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        r"""Add a command. A line of ``\b`` in its raw docstring keeps the lines after it apart."""
        if cmd.help:
            cmd.help = cmd.help.replace("\\b\n", "\b\n")
        super().add_command(cmd, name)

    def invoke(self, ctx: click.Context) -> int:
        """Run the chosen command and return its exit code."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader of the output has seen enough.
            _abandon_output()
            return GOOD
        except KeyboardInterrupt as error:
            say("interrupted", error)
            return INTERRUPTED
        except CorruptRegionError as error:
            say(str(error), error)
            return DAMAGED
        except StableMemoryError as error:
            say(_reason(error), error)
            return REFUSED
        except MemoryError as error:
            say("there is not enough memory: close other programs, or ask for less at once", error)
            return REFUSED
        except (click.ClickException, click.exceptions.Exit, click.Abort, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - its text may hold what is in the file
            echo(
                "stablemem: this is a fault of stablemem itself; please report it with what follows", err=True
            )
            click.echo(printable("".join(traceback.format_exception(error)), "\n"), err=True, nl=False)
            return FAULTY
        return code or GOOD


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line on the arguments, by default those of the process; return the exit code."""
    if sys.stdout is None:
        click.echo("stablemem: standard output is closed: send it to a file, or to /dev/null", err=True)
        return REFUSED
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        warnings.showwarning = _warned  # type: ignore[assignment]
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    """Run a command; turn exceptions of click and of the system into a message and an exit code."""
    try:
        code = commands.main(arguments, prog_name="stablemem", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return REFUSED
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "stablemem"
        say(f"{error.format_message()} (`{command} --help` says how)", error)
        return REFUSED
    except click.ClickException as error:
        say(error.format_message(), error)
        return REFUSED
    except click.Abort:
        return INTERRUPTED
    except OSError as error:
        say(_reason(error), error)
        if not error.filename:
            _abandon_output()
        return REFUSED
    return code if isinstance(code, int) else GOOD


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, message=f"stablemem %(version)s ({ENGINE}), format {FORMAT}")
def commands() -> None:
    """Look into lists that live in a file, and fill them.

    REGION is the file. It holds one list, called "main", or several lists with names of their own.
    """


# -- arguments and output of commands ----------------------------------------------------------------


def _files(_context: click.Context, _argument: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete the name of a file."""
    return [CompletionItem(incomplete, type="file")]


region_argument = click.argument("path", metavar="REGION", shell_complete=_files)


def _checked_name(_context: click.Context, _option: click.Parameter, name: str) -> str:
    if not is_own_name(name):
        raise click.BadParameter(
            f"a name has 1 to 65535 bytes in UTF-8 and does not begin with NUL: {shown_name(name)} does not."
        )
    return name


name_option = click.option(
    "--name", default=MAIN, show_default=True, callback=_checked_name, help="Which list of the region."
)


@contextmanager
def open_region(path: str) -> Iterator[MemoryRegion]:
    """Open a region for reading, during a ``with`` block."""
    try:
        region = MemoryRegion(path, "r")
    except NotARegionError:
        if os.path.getsize(path):
            raise
        raise click.ClickException(
            f"{path} is not a region: it is empty; `stablemem import` makes it one"
        ) from None
    with region:
        yield region


def blobifies(region: MemoryRegion) -> dict[str, str]:
    """Return the names of the lists, with the name of the Blobify of each."""
    return {name: entry.blobify for name, entry in region.inspect().lists.items()}


class _Unread:
    """Stands for a Blobify that is not built in: its values are shown as their bytes.

    Args:
        name: its name in the file.
        options: its options in the file.
    """

    def __init__(self, name: str, options: bytes) -> None:
        self.name = name
        self.options = options

    def to_blob(self, value: bytes, /) -> bytes:
        """Return the bytes."""
        return value

    def from_blob(self, blob: bytes, /) -> bytes:
        """Return the bytes."""
        return blob


def list_of(region: MemoryRegion, name: str) -> MemoryBuffer[Any]:
    """Return a list of the region; if its Blobify is not built in, as a list of bytes."""
    lists = region.inspect().lists
    if name not in lists:
        there = listed(list(lists))
        remedy = f"there is {there}; choose one with --name" if there else "`stablemem import` makes one"
        raise click.ClickException(f"{region.path} has no list {shown_name(name)}: {remedy}")
    found = lists[name]
    # A Blobify without a name is not valid, and is refused when the list is opened.
    if found.blobify in BUILT_INS or not found.blobify:
        return region.buffer(name)
    return region.buffer(name, _Unread(found.blobify, found.options))


def is_text(values: MemoryBuffer[Any]) -> bool:
    """Return whether a list is a list of text."""
    return isinstance(values.blobify, Text)


def positions_of(values: MemoryBuffer[Any], path: str, name: str, choice: int | slice) -> range:
    """Return the positions that an index or a slice names; raise a message if there is no such index."""
    length = len(values)
    positions = selected(choice, length)
    if positions is None:
        remedy = f"; give 0 to {length - 1}, or -{length} to -1" if length else ""
        raise click.ClickException(
            f"{path} has {counted(length, 'value')} in {shown_name(name)}: there is no index {choice}{remedy}"
        )
    return positions


def each(values: MemoryBuffer[Any], positions: range, raw: bool = False) -> Iterator[Any]:
    """Yield the values at some positions, or their bytes, up to the first damaged one; reads many at once."""
    done = 0
    if positions.step == 1 and len(positions) > 1:
        bounds = positions.start, positions.stop
        try:
            for value in values.blobs(*bounds) if raw else (value for _, value in values.items(*bounds)):
                yield value
                done += 1
        except CorruptRegionError:
            # One of the values that were read together is damaged. Those before it can be read alone.
            pass
        else:
            return
    for position in positions[done:]:
        yield bytes(values.blob_view(position)) if raw else values[position]


def counted(number: int, noun: str) -> str:
    """Return a number with a noun, in singular or plural."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
