"""The command line: import, info, get, head, tail, verify. The region always comes first.

Exit codes: 0 good; 1 the region is damaged; 2 wrong usage, or something only the user can put right;
130 interrupted. Everything but ``import`` opens the region for reading and is in nobody's way.
"""

import errno
import json
import os
import shutil
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from reprlib import repr as shortened
from types import FrameType
from typing import Any, BinaryIO, Self

import click
import msgspec

from . import COMPILED, __version__
from ._core.catalog import MAIN
from ._core.sequence import ListCore
from .blobify import Blobify, Bytes, Msgpack, Text, describe
from .blobify.registry import BUILT_INS
from .errors import BlobifyError, CorruptRegionError, NotARegionError, RegionLockedError, StableMemoryError
from .layout import FORMAT, INLINE_SIZE
from .memory_buffer import MemoryBuffer
from .memory_region import MemoryRegion

__all__ = ["cli", "run"]

GOOD, DAMAGED, REFUSED, INTERRUPTED = 0, 1, 2, 130

COMMIT_BYTES = 4 << 20
"""Bytes of input between two commits of an import."""

READ_BYTES = 1 << 20
"""Bytes of input read and added at once."""

AHEAD = "at the end of the file, for the next commits"

ENGINE = "compiled" if COMPILED else "interpreted"


# -- errors, and how they end ------------------------------------------------------------------------


def _say(message: str, error: BaseException) -> None:
    """Write a message in one line, and behind it what notes the error has."""
    line = "; ".join([f"stablemem: {message}", *getattr(error, "__notes__", [])])
    click.echo(_printable(line), err=True)


_REMEDIES = {
    errno.EISDIR: "a region is a file; name one in this folder",
    errno.EACCES: "you need the right to it, and to its folder",
    errno.EPERM: "you need the right to it, and to its folder",
    errno.EROFS: "name a file where you may write",
}
"""What to do about the kernel's errors for which the library names modes of opening."""


def _reason(error: Exception) -> str:
    """Return an error in the words of the command line."""
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
    """Send what is still to be written nowhere: the interpreter must not fail with it at its exit."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


class _Commands(click.Group):
    """The group of all commands: turns what they raise into a message and an exit code."""

    def invoke(self, ctx: click.Context) -> int:
        """Run the chosen command and return its exit code."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Who reads the output has seen enough.
            _abandon_output()
            return GOOD
        except KeyboardInterrupt as error:
            _say("interrupted", error)
            return INTERRUPTED
        except CorruptRegionError as error:
            _say(str(error), error)
            return DAMAGED
        except StableMemoryError as error:
            _say(_reason(error), error)
            return REFUSED
        return code or GOOD


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line on the arguments, those of the process by default; return the exit code."""
    if sys.stdout is None:
        click.echo("stablemem: standard output is closed: send it to a file, or to /dev/null", err=True)
        return REFUSED
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    try:
        code = cli.main(arguments, prog_name="stablemem", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return REFUSED
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "stablemem"
        _say(f"{error.format_message()} (`{command} --help` says how)", error)
        return REFUSED
    except click.ClickException as error:
        _say(error.format_message(), error)
        return REFUSED
    except click.Abort:
        return INTERRUPTED
    except OSError as error:
        _say(_reason(error), error)
        if not error.filename:
            _abandon_output()
        return REFUSED
    return code if isinstance(code, int) else GOOD


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, message=f"stablemem %(version)s ({ENGINE}), format {FORMAT}")
def cli() -> None:
    """Look into lists that live in a file, and fill them.

    REGION is the file; a region holds one list called "main", or several under names of their own.
    """


_region = click.argument("path", metavar="REGION")


def _checked_name(_context: click.Context, _option: click.Parameter, name: str) -> str:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        size = 0
    if not 0 < size < 1 << 16:
        raise click.BadParameter(f"a name has 1 to 65535 bytes, in UTF-8; {shortened(name)} has not.")
    return name


_name = click.option(
    "--name", default=MAIN, show_default=True, callback=_checked_name, help="Which list of the region."
)


# -- import ------------------------------------------------------------------------------------------


_Decode = Callable[[bytes], Any]


class _LineError(Exception):
    """A line of an input is not what it was said to be."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index


class _Interrupts:
    """Ctrl-C, kept from falling into a change or a commit: then what was kept can be told exactly."""

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
    """One run of ``import``: counts what is committed and what is pending, and commits in pieces.

    Args:
        buffer: the list to append to.
        decode: makes a value of a line; ValueError or RecursionError if it cannot.
        interrupts: what holds Ctrl-C back during changes.
        advance: called with the bytes and the values of each piece that was read.
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
        """Commit what is pending."""
        self._buffer.commit()
        self.values += self._pending_values
        self.bytes += self._pending_bytes
        self._pending_values = self._pending_bytes = 0

    @property
    def kept(self) -> str:
        """What stays of an import that did not reach its end."""
        if not self.values:
            return "nothing of this import was kept"
        return f"the first {_counted(self.values, 'value')} of this import are committed and stay, no others"


def _read_lines(file: BinaryIO, name: str) -> list[bytes]:
    """Return some lines, each with its end; none at the end of the file."""
    try:
        return file.readlines(READ_BYTES)
    except OSError as error:
        said = f"{error.strerror}: it cannot be read; import the other inputs without it"
        raise OSError(error.errno, said, name) from error


def _json_decoder() -> _Decode:
    decode = msgspec.json.Decoder().decode

    def decoded(line: bytes) -> Any:
        try:
            return decode(line)
        except ValueError as error:
            raise ValueError(f"not JSON: {error}: mend the line, or leave --jsonl out") from error

    return decoded


def _text_decoder(encoding: str) -> _Decode:
    try:
        end = "\n".encode(encoding)
    except (LookupError, UnicodeError):
        raise click.BadParameter(
            f"{encoding!r} is not a text encoding: name one such as utf-8 or latin-1.",
            param_hint="'--encoding'",
        ) from None
    if end != b"\n":
        raise click.BadParameter(
            f"{encoding} does not end a line with the one byte 0a: convert the input first, for example "
            f"with iconv -t utf-8.",
            param_hint="'--encoding'",
        )

    def decoded(line: bytes) -> str:
        try:
            return line.decode(encoding)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"not {encoding}: byte {line[error.start]:#04x} at position {error.start} of the line: "
                f"mend it, or name another --encoding"
            ) from error
        except UnicodeError as error:
            raise ValueError(f"not {encoding}: {error}: mend it, or name another --encoding") from error

    return decoded


def _input_size(inputs: Sequence[str]) -> int | None:
    """Return the bytes of all inputs together; None if one of them is no plain file."""
    total = 0
    for name in inputs:
        if name == "-":
            return None
        found = os.stat(name)
        if not stat.S_ISREG(found.st_mode):
            return None
        total += found.st_size
    return total


@contextmanager
def _progress(inputs: Sequence[str]) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar if standard error is a terminal; gives what moves it on."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _size, _values: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("importing"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[values]:,} values"),
        TimeRemainingColumn(),
    )
    values = 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=_input_size(inputs), values=0)

        def advance(size: int, added: int) -> None:
            nonlocal values
            values += added
            progress.update(task, advance=size, values=values)

        yield advance


@cli.command("import")
@_region
@click.argument(
    "inputs",
    metavar="INPUT...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True),
)
@_name
@click.option("--encoding", metavar="ENCODING", help="Make text of the lines, which are in this encoding.")
@click.option("--jsonl", is_flag=True, help="Parse each line as JSON.")
def import_(path: str, inputs: Sequence[str], name: str, encoding: str | None, jsonl: bool) -> int:
    r"""Append every line of the INPUTs to a list.

    A region or a list that is missing is made. A line ends at "\n" and nowhere else; its value is the
    bytes before that, unless --encoding or --jsonl says otherwise. The INPUT - is standard input. What is
    read is committed every few MiB, so that an interruption loses little.
    """
    if jsonl and encoding is not None:
        raise click.UsageError("--jsonl and --encoding exclude each other: JSON is always UTF-8.")
    for each in inputs:
        if each == "-" and sys.stdin is None:
            raise click.UsageError("standard input is closed: name a file instead of -.")
        if each != "-" and os.path.exists(path) and os.path.samefile(path, each):
            raise click.UsageError(f"{path} cannot be imported into itself.")
    blobify: Blobify[Any] = Bytes()
    decode: _Decode | None = None
    if jsonl:
        blobify, decode = Msgpack(), _json_decoder()
    elif encoding is not None:
        blobify, decode = Text(), _text_decoder(encoding)
    with _Interrupts() as interrupts:
        with interrupts.deferred():
            buffer = _opened(path, name, blobify)
        with buffer, _progress(inputs) as advance:
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
        f"imported {_counted(work.values, 'value')} ({_counted(work.bytes, 'byte')}) "
        f"from {_counted(len(inputs), 'input')} into {path}"
    )
    try:
        click.echo(done)
    except OSError as error:
        error.add_note(done)
        raise
    return GOOD


_IMPORTED = {
    Bytes.name: "without --encoding and --jsonl",
    Text.name: "with --encoding",
    Msgpack.name: "with --jsonl",
}


def _opened(path: str, name: str, blobify: Blobify[Any]) -> MemoryBuffer[Any]:
    """Open the list to append to."""
    try:
        return MemoryBuffer(path, name=name, blobify=blobify)
    except BlobifyError:
        with MemoryRegion(path, "r") as region:
            found = _lists(region)[name]
        asked, _ = describe(blobify)
        if found == asked:
            raise
        how = f"import {_IMPORTED[found]}" if found in _IMPORTED else "import from Python"
        raise click.ClickException(
            f"{path} has {name!r} as {found!r}, not {asked!r}: {how}, or into another list with --name"
        ) from None


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


# -- looking -----------------------------------------------------------------------------------------


def _reader(path: str) -> MemoryRegion:
    """Open a region to look into it."""
    try:
        return MemoryRegion(path, "r")
    except NotARegionError:
        if os.path.getsize(path):
            raise
        raise click.ClickException(
            f"{path} is not a region: it is empty; `stablemem import` makes it one"
        ) from None


def _lists(region: MemoryRegion) -> dict[str, str]:
    """Return what the lists are called, and how their values are written."""
    return {name: entry.blobify for name, entry in sorted(region._store.entries.items())}


def _values(region: MemoryRegion, name: str, raw: bool = False) -> ListCore:
    """Return a list of the region, of blobs if they are wanted raw or its Blobify is somebody's own."""
    lists = _lists(region)
    if name not in lists:
        there = ", ".join(lists)
        remedy = f"there is {there}; choose one with --name" if lists else "`stablemem import` makes one"
        raise click.ClickException(f"{region.path} has no list {name!r}: {remedy}")
    if raw or lists[name] not in BUILT_INS:
        return ListCore(region._store, name, Bytes(), True)
    return region.buffer(name)


def _text(value: Any, text: bool) -> str:
    """Return a value as a person reads it: bytes and text as they are, other values as JSON or Python."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if text:
        return str(value)
    try:
        spelled = json.dumps(value, ensure_ascii=False)
        if json.loads(spelled) == value:
            return spelled
    except (TypeError, ValueError):
        pass
    return repr(value)


def _printable(text: str, kept: str = "") -> str:
    """Return text without what would move a terminal's cursor or change its state."""
    return "".join(
        letter if letter.isprintable() or letter in kept else ascii(letter)[1:-1] for letter in text
    )


def _show(values: ListCore, positions: range, text: bool) -> None:
    """Print positions and values, a line each, cut to the terminal's width if there is one."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    digits = len(str(positions[-1])) if positions else 0
    for position in positions:
        value = values[position]
        if width and isinstance(value, bytes | str):
            value = value[: 4 * width]
        line = f"{position:>{digits}}  {_printable(_text(value, text))}"
        if width:
            from rich.cells import cell_len, set_cell_size

            if cell_len(line) > width:
                line = set_cell_size(line, width - 3) + "..."
        click.echo(line)


@cli.command()
@_region
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(path: str, as_json: bool) -> None:
    """Print what a region holds, and what its bytes are used for."""
    with _reader(path) as region:
        stats, lists = region.stats(), _lists(region)
    if as_json:
        found = {
            "path": path,
            "format": FORMAT,
            "version": __version__,
            "compiled": COMPILED,
            "commit": stats.transaction,
            "lists": [
                {"name": name, "values": stats.lists[name], "blobify": blobify}
                for name, blobify in lists.items()
            ],
            "file_bytes": stats.file_bytes,
            "used_bytes": stats.used_bytes,
            "free_bytes": stats.free_bytes,
            "limbo_bytes": stats.limbo_bytes,
        }
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(path)
    click.echo(f"  format   {FORMAT} (unstable), read by stablemem {__version__} {ENGINE}")
    click.echo(f"  commit   {stats.transaction}")
    for name, blobify in lists.items():
        values = _counted(stats.lists[name], "value")
        click.echo(f"  list     {_printable(name)}: {values}, blobify {_printable(blobify)}")
    if not lists:
        click.echo("  list     none yet")
    _table(
        [
            ("file", stats.file_bytes, ""),
            ("used", stats.used_bytes, ""),
            ("free", stats.free_bytes, "to be used again"),
            ("limbo", stats.limbo_bytes, "freed, and still reachable from an older state"),
            ("ahead", stats.file_bytes - stats.used_bytes - stats.free_bytes - stats.limbo_bytes, AHEAD),
        ]
    )


def _table(rows: list[tuple[str, int, str]]) -> None:
    """Print byte counts below each other."""
    digits = max(len(f"{size:,}") for _, size, _ in rows)
    for label, size, remark in rows:
        click.echo(f"  {label:<7}  {size:>{digits},} bytes{remark and f'  ({remark})'}")


@cli.command(context_settings={"ignore_unknown_options": True})
@_region
@click.argument("index", type=int)
@_name
@click.option("--raw", is_flag=True, help="Write the value's bytes as they are in the file, nothing else.")
def get(path: str, index: int, name: str, raw: bool) -> None:
    r"""Print the value at INDEX; -1 is the last.

    Bytes are shown as UTF-8, what is not UTF-8 as \xNN; values that are not bytes or text, as JSON
    where that says all, else as Python writes them.
    """
    with _reader(path) as region:
        values = _values(region, name, raw)
        try:
            value = values[index]
        except IndexError:
            last = len(values) - 1
            remedy = f"; give 0 to {last}, or -{last + 1} to -1" if values else ""
            raise click.ClickException(
                f"{path} has {_counted(last + 1, 'value')} in {name!r}: there is no index {index}{remedy}"
            ) from None
        text = _lists(region)[name] == Text.name
    if raw:
        sys.stdout.buffer.write(value)
        return
    shown = _text(value, text)
    click.echo(_printable(shown, "\n\t") if sys.stdout.isatty() else shown)


_count = click.option(
    "-n", "count", default=10, show_default=True, type=click.IntRange(min=0), help="How many values."
)


@cli.command()
@_region
@_count
@_name
def head(path: str, count: int, name: str) -> None:
    """Print the first values, each with its index."""
    with _reader(path) as region:
        values = _values(region, name)
        _show(values, range(len(values))[:count], _lists(region)[name] == Text.name)


@cli.command()
@_region
@_count
@_name
def tail(path: str, count: int, name: str) -> None:
    """Print the last values, each with its index."""
    with _reader(path) as region:
        values = _values(region, name)
        length = len(values)
        _show(values, range(max(0, length - count), length), _lists(region)[name] == Text.name)


@cli.command()
@_region
def verify(path: str) -> int:
    """Read everything, and prove that every byte is what it should be.

    The exit code is 1 if something is damaged; every fault is then printed.
    """
    started = time.perf_counter()
    try:
        with _reader(path) as region:
            report = region._verify()
            dropped = region._store.header.dropped
            file_bytes = os.path.getsize(path)
    except CorruptRegionError as error:
        click.echo(f"{path}: DAMAGED, and cannot be opened: restore it from a copy\n  {error.fault}")
        return DAMAGED
    seconds = time.perf_counter() - started
    state = "DAMAGED" if report.faults else "sound"
    click.echo(f"{path}: {state} as of commit {report.transaction}, in {seconds:.2f} s")
    for name, length in report.lists.items():
        click.echo(f"  list     {_printable(name)}: {_counted(length, 'value')}")
    click.echo(
        f"  checked  {_counted(report.nodes, 'node')} and {_counted(report.blobs, 'blob')} "
        f"(values of more than {INLINE_SIZE} bytes)"
    )
    parts = [
        ("header", report.header_bytes, ""),
        ("log", report.log_bytes, ""),
        ("catalog", report.catalog_bytes, ""),
        ("nodes", report.node_bytes, ""),
        ("blobs", report.blob_bytes, ""),
        ("free", report.free_bytes, ""),
        ("limbo", report.limbo_bytes, ""),
    ]
    parts.append(("ahead", file_bytes - sum(size for _, size, _ in parts), AHEAD))
    _table([*parts, ("file", file_bytes, "")])
    for number, why in sorted(dropped.items()):
        if why != "empty":
            click.echo(f"  note     header slot {number} is not used: {_printable(why)}")
    for fault in report.faults:
        click.echo(f"  fault    {_printable(fault)}")
    return DAMAGED if report.faults else GOOD
