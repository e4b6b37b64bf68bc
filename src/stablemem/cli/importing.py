"""The command ``import``: appends the lines of files to a list as values, committed in pieces."""

import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any, BinaryIO, Self

import click

from ..errors import BlobifyError
from ..memory_buffer import MemoryBuffer
from .base import GOOD, blobifies, commands, counted, name_option, open_region, region_argument
from .lines import BYTES, KINDS, MSGPACK, TEXT, WITH_JSON, decoder
from .printing import echo, shown_name
from .progress import progress

__all__: list[str] = []

COMMIT_BYTES = 4 << 20
"""Number of bytes of input between two commits of an import."""

READ_BYTES = 1 << 20
"""Number of bytes of input that are read and added at once."""

_Decode = Callable[[bytes], Any]


class _LineError(Exception):
    """A line of an input is not of the expected form."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index


class _Interrupts:
    """Keeps Ctrl-C out of a change or a commit, so that the message can say exactly what was kept."""

    def __init__(self) -> None:
        self._busy = self._waiting = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._arrived)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _arrived(self, _number: int, _frame: FrameType | None) -> None:
        if not self._busy:
            raise KeyboardInterrupt
        self._waiting = True

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let an interrupt wait for the end of the block."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
        if self._waiting:
            raise KeyboardInterrupt


class _Import:
    """One run of ``import``: counts committed and pending values, and commits in pieces.

    Args:
        buffer: the list to append to.
        decode: turns a line into a value; raises ValueError or RecursionError if it cannot.
        interrupts: keeps Ctrl-C out of changes.
        advance: called with the numbers of bytes and values of each piece that was read.
    """

    def __init__(
        self,
        buffer: MemoryBuffer[Any],
        decode: _Decode | None,
        interrupts: _Interrupts,
        advance: Callable[[int, int], None],
    ) -> None:
        self._buffer = buffer
        self._decode = decode
        self._interrupts = interrupts
        self._advance = advance
        self._pending_values = self._pending_bytes = 0
        self.values = self.bytes = 0

    def add_input(self, name: str) -> None:
        """Append every line of one input."""
        before = 0
        where = "standard input" if name == "-" else name
        with nullcontext(sys.stdin.buffer) if name == "-" else open(name, "rb") as file:
            while lines := _read_lines(file, where):
                try:
                    self._add(lines)
                except _LineError as error:
                    raise click.ClickException(f"{where}, line {before + error.index + 1}: {error}") from None
                before += len(lines)

    def _add(self, lines: list[bytes]) -> None:
        size = sum(map(len, lines))
        values = [line.removesuffix(b"\n") for line in lines]
        taken = sum(map(len, values))
        if self._decode is not None:
            values = self._decoded(values, self._decode)
        with self._interrupts.deferred():
            try:
                self._buffer.extend(values)
            except BlobifyError as error:
                raise _LineError(error.index or 0, error.message) from error
            self._pending_values += len(values)
            self._pending_bytes += taken
            if self._pending_bytes + self._pending_values >= COMMIT_BYTES:
                self.commit()
        self._advance(size, len(values))

    @staticmethod
    def _decoded(lines: list[bytes], decode: _Decode) -> list[Any]:
        values = []
        for index, line in enumerate(lines):
            try:
                values.append(decode(line))
            except (ValueError, RecursionError) as error:
                raise _LineError(index, str(error)) from error
        return values

    def commit(self) -> None:
        """Commit the pending values."""
        self._buffer.commit()
        self.values += self._pending_values
        self.bytes += self._pending_bytes
        self._pending_values = self._pending_bytes = 0

    @property
    def kept(self) -> str:
        """The text that says what an import has kept that did not reach its end."""
        if not self.values:
            return "nothing of this import was kept"
        return f"the first {counted(self.values, 'value')} of this import are committed and stay, no others"


def _read_lines(file: BinaryIO, name: str) -> list[bytes]:
    """Return some lines, each with its end; an empty list at the end of the file."""
    try:
        return file.readlines(READ_BYTES)
    except OSError as error:
        said = f"{error.strerror}: it cannot be read; import the other inputs without it"
        raise OSError(error.errno, said, name) from error


def _input_size(inputs: Sequence[str]) -> int | None:
    """Return the number of bytes of all inputs together; None if one of them is not a plain file."""
    total = 0
    for name in inputs:
        if name == "-":
            return None
        found = os.stat(name)
        if not stat.S_ISREG(found.st_mode):
            return None
        total += found.st_size
    return total


@commands.command("import")
@region_argument
@click.argument(
    "inputs",
    metavar="INPUT...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True),
)
@name_option
@click.option(
    "--blobify", "blobify", type=click.Choice(KINDS),
    help="What a line becomes. Default: that of the list; for a new list msgpack with --jsonl, text with "
    "--encoding, else bytes.",
)  # fmt: skip
@click.option("--encoding", metavar="ENCODING", help="The encoding of lines of text; UTF-8 by default.")
@click.option("--jsonl", is_flag=True, help="Each line is JSON. A new list is made with msgpack.")
def import_(
    path: str, inputs: Sequence[str], name: str, blobify: str | None, encoding: str | None, jsonl: bool
) -> int:
    r"""Append every line of the INPUTs to a list.

    If the region or the list does not exist, it is made. A line ends at "\n" only. Each line becomes one
    value: the bytes of the line; with --blobify, text or a whole number (nat: from 0 on; int: any); with
    --jsonl, a JSON value. If an INPUT is -, standard input is read.

    import commits every few MiB, so that an interruption loses little.

    \b
    Examples:
      stablemem import notes.smem notes.txt
      stablemem import events.smem --jsonl monday.jsonl tuesday.jsonl
      stablemem import words.smem --blobify text --encoding latin-1 words.txt
      stablemem import data.smem --name numbers --blobify nat numbers.txt
      sort notes.txt | stablemem import sorted.smem -
    """
    for each in inputs:
        if each == "-" and sys.stdin is None:
            raise click.UsageError("standard input is closed: name a file instead of -.")
        if each != "-" and os.path.exists(path) and os.path.samefile(path, each):
            raise click.UsageError(f"{path} cannot be imported into itself.")
    kind = blobify or _kind(path, name, encoding, jsonl)
    decode = decoder(kind, encoding, jsonl)
    with _Interrupts() as interrupts:
        with interrupts.deferred():
            buffer = _opened(path, name, kind)
        with buffer, progress("importing", size=_input_size(inputs)) as advance:
            work = _Import(buffer, decode, interrupts, advance)
            try:
                for each in inputs:
                    work.add_input(each)
                with interrupts.deferred():
                    work.commit()
            except BaseException as error:
                error.add_note(work.kept)
                raise
    done = (
        f"imported {counted(work.values, 'value')} ({counted(work.bytes, 'byte')}) "
        f"from {counted(len(inputs), 'input')} into {path}"
    )
    try:
        echo(done)
    except OSError as error:
        error.add_note(done)
        raise
    return GOOD


def _recorded(path: str, name: str) -> str | None:
    """Return the name of the Blobify of a list; None if there is no such list."""
    if not os.path.exists(path) or (os.path.isfile(path) and not os.path.getsize(path)):
        return None
    with open_region(path) as region:
        return blobifies(region).get(name)


def _kind(path: str, name: str, encoding: str | None, jsonl: bool) -> str:
    """Return the kind of values that lines become if --blobify is not given."""
    if encoding is not None:
        return TEXT
    found = _recorded(path, name)
    if jsonl:
        return found if found in WITH_JSON else MSGPACK
    if found is None:
        return BYTES
    if found not in KINDS or found == MSGPACK:
        raise _other(path, name, found, None)
    return found


def _other(path: str, name: str, found: str, asked: str | None) -> click.ClickException:
    """Return the error for a list whose kind of values does not fit the lines."""
    how = f"import with --blobify {found}" if found in KINDS else "import from Python"
    if found == MSGPACK:
        how = "import with --jsonl"
    what = f"{found!r}, not {asked!r}" if asked else f"{found!r}"
    return click.ClickException(
        f"the list {shown_name(name)} of {path} has blobify {what}: {how}, or choose another list with --name"
    )


def _opened(path: str, name: str, kind: str) -> MemoryBuffer[Any]:
    """Open the list to append to."""
    try:
        return MemoryBuffer(path, name=name, blobify=kind)
    except BlobifyError:
        found = _recorded(path, name)
        if found is None or found == kind:
            raise
        raise _other(path, name, found, kind) from None
